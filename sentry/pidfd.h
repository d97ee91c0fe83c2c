/* Descriptors of processes. Owner: sentry/pidfd.c. */
#ifndef SBX_SENTRY_PIDFD_H
#define SBX_SENTRY_PIDFD_H

struct file;
struct proc;
struct task;

/* A new descriptor of t's process for p; flags may have O_NONBLOCK. Its number, or -errno. */
int pidfd_create(struct task *t, struct proc *p, unsigned flags);
/* The process of a descriptor, borrowed; NULL when f is of another kind. */
struct proc *pidfd_proc(const struct file *f);
/* p has ended: its descriptors are readable from now on. sandbox.lock held. */
void pidfd_ended(struct proc *p);

#endif
