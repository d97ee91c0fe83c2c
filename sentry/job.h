/* Job control of terminals: the one that sbx was started on, and the sandbox's own. Owner:
 * sentry/sys_job.c. */
#ifndef SBX_SENTRY_JOB_H
#define SBX_SENTRY_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "sentry/gmem.h"

struct proc;
struct task;

/* A terminal as what controls a session. */
struct job_tty {
	int sid;	       /* the session; 0: none. Guarded by sandbox.lock */
	atomic_int foreground; /* process group that the terminal's signals go to; 0: none */
	bool dead;	       /* hung up: controls nothing any more. Guarded by sandbox.lock */
};

/* The terminal that sbx was started on. It controls the first process's session. */
extern struct job_tty job_host_tty;

/* May t read terminal j (sig is SIGTTIN) or change it (SIGTTOU)? 0; -EIO; or -ERESTARTSYS after t's
 * group, which is in the background, was sent sig. */
int job_terminal_access(struct task *t, struct job_tty *j, int sig);

/* TIOCGPGRP, TIOCSPGRP, TIOCGSID on a terminal, or with master on the other end of it. */
long job_ioctl(struct task *t, struct job_tty *j, bool master, uint32_t cmd, struct gptr arg);

/* t opened j: makes it the controlling terminal of a session leader that has none. */
void job_opened(struct task *t, struct job_tty *j);
/* TIOCSCTTY and TIOCNOTTY. 0 or -errno. */
int job_take(struct task *t, struct job_tty *j);
int job_leave(struct task *t, struct job_tty *j);

/* Sends sig to j's foreground group. */
void job_signal(struct job_tty *j, int sig);
/* j is gone: its session has no controlling terminal any more, and the leader is told. */
void job_hangup(struct job_tty *j);
/* p, the leader of a session, ended, or with exit false gives its terminal up. sandbox.lock held. */
void job_release(struct proc *p, bool exit);

#endif
