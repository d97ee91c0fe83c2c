/* POSIX record locks of a process over the host's open-file-description locks.
 *
 * A process' POSIX locks on a file are one set, whichever descriptor they were taken through, and
 * go when the process closes any descriptor of the file. The sentry holds one host description per
 * (process, file) and takes the locks as OFD locks of it, so processes of the sandbox and of the
 * host exclude each other properly. Owner: sentry/filelock.c. */
#ifndef SBX_SENTRY_FILELOCK_H
#define SBX_SENTRY_FILELOCK_H

#include <fcntl.h>

struct file;
struct filelock_table;
struct task;

struct filelock_table *filelock_table_create(void);
void filelock_table_destroy(struct filelock_table **t);

/* F_SETLK, F_SETLKW or F_GETLK on f with a checked copy of the app's lock. 0 or -errno, also
 * -ERESTARTSYS; F_GETLK leaves its answer in *fl. */
int filelock_posix(struct task *t, struct filelock_table *tab, struct file *f, int cmd,
		   struct flock *fl);

/* F_OFD_SETLK ...: locks of the description itself. */
int filelock_ofd(struct task *t, struct file *f, int cmd, struct flock *fl);

/* A descriptor of f was closed: the process' POSIX locks on its file go. */
void filelock_release(struct filelock_table *tab, struct file *f);

/* The host descriptor that flock is to act on: f's own, or one that stands for it. -ENOLCK. */
int filelock_flock_fd(struct file *f);
/* The last of f, which has a lockfd: its lock goes. */
void filelock_flock_end(struct file *f);

#endif
