/* Pseudo-terminals of the sandbox: pairs of a master, opened as /dev/ptmx, and a terminal in /dev/pts.
 * Owner: sentry/pty.c (pairs), pty_io.c (reading and writing), pty_ioctl.c, devpts.c (/dev/pts). */
#ifndef SBX_SENTRY_PTY_H
#define SBX_SENTRY_PTY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include "sentry/job.h"
#include "sentry/readyfd.h"
#include "sentry/tty.h"
#include "sentry/vfs.h"

#define PTY_MAX	  256 /* pairs in a sandbox */
#define PTY_MAJOR 136

struct pty {
	struct job_tty job; /* first */
	atomic_int refs;
	int index;	      /* its name in /dev/pts */
	pthread_mutex_t lock; /* guards what follows; taken before the lock of epoll's book */
	struct tty_line line;
	struct winsize size;
	bool locked;	    /* TIOCSPTLCK: the terminal cannot be opened yet */
	bool exclusive;	    /* TIOCEXCL */
	bool master_closed; /* hung up */
	bool slave_closed;  /* it was open and is not */
	unsigned slaves;    /* open files of the terminal */
	bool printing;	    /* a write of the terminal is under way */
	struct file *master;	     /* not referenced; NULL when closed */
	struct readyfd ready_master; /* its fd is the master file's */
	struct readyfd ready_slave;  /* every open file of the terminal has a copy of its fd */
	_Atomic uint32_t event;	     /* changes with everything that somebody may sleep for */
	atomic_int sleepers;
	mode_t mode; /* of the node in /dev/pts */
	uid_t uid;
	gid_t gid;
	struct timespec atime, mtime, ctime;
};

/* Opens /dev/ptmx: a new pair, whose terminal is locked. 0 or -errno. */
int pty_open_master(unsigned flags, struct file **out);
/* Opens the terminal of p; without O_NOCTTY it may become t's controlling one. 0 or -errno. */
int pty_open_slave(struct task *t, struct pty *p, unsigned flags, struct file **out);
/* The pair that controls t's session, referenced. NULL: none does, or *host is set: the terminal that
 * sbx was started on. */
struct pty *pty_controlling(struct task *t, bool *host);
struct pty *pty_get(struct pty *p);
void pty_put(struct pty *p);
/* The living pair with the lowest index >= from, referenced, or NULL. */
struct pty *pty_next(int from);
/* Of the terminal; 0 for what is none. As /proc/PID/stat encodes it. */
int pty_device(const struct job_tty *j);

/* ---- between the files of pty ---- */

extern const struct file_ops pty_master_ops, pty_slave_ops;

void pty_lock(struct pty *p);
/* Unlocks, after a change: sets what the host's poll sees, wakes sleepers, sends signals. typed and
 * printed: something new can be read by the terminal, by the master. */
void pty_unlock(struct pty *p, bool typed, bool printed);
/* Sleeps, unlocked, until something changes; locks again. 0 or -ERESTARTSYS or -ETIMEDOUT. */
int pty_sleep(struct task *t, struct pty *p, const struct timespec *deadline);

/* Can the terminal, the master be read, in poll's sense? */
bool pty_slave_ready(const struct pty *p);
bool pty_master_ready(const struct pty *p);

ssize_t pty_slave_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off);
ssize_t pty_slave_write(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off);
ssize_t pty_master_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off);
ssize_t pty_master_write(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off);
long pty_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg);

/* devpts.c: opens /dev/pts/INDEX, for TIOCGPTPEER. 0 or -errno. */
int devpts_open(struct task *t, struct pty *p, unsigned flags, struct file **out);
/* What a file's f->priv is, for both kinds. */
static inline struct pty *pty_of(const struct file *f)
{
	return f->priv;
}

#endif
