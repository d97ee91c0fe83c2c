/* Descriptors of processes. Owner: sentry/pidfd.c. */
#ifndef SBX_SENTRY_PIDFD_H
#define SBX_SENTRY_PIDFD_H

struct file;
struct proc;

/* A new open file that stands for p; flags may have O_NONBLOCK. 0 or -errno. */
int pidfd_file(struct proc *p, unsigned flags, struct file **out);
/* The process of a descriptor, borrowed; NULL when f is of another kind. */
struct proc *pidfd_proc(const struct file *f);
/* p has ended: its descriptors are readable from now on. sandbox.lock held. */
void pidfd_ended(struct proc *p);

#endif
