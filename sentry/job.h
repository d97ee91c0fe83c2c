/* Job control of the terminal that sbx was started on. Owner: sentry/sys_job.c. */
#ifndef SBX_SENTRY_JOB_H
#define SBX_SENTRY_JOB_H

#include <stdint.h>
#include "sentry/gmem.h"

struct task;

/* May t read the terminal (sig is SIGTTIN) or change it (SIGTTOU)? 0; -EIO; or -ERESTARTSYS after t's
 * group, which is in the background, was sent sig. */
int job_terminal_access(struct task *t, int sig);

/* TIOCGPGRP, TIOCSPGRP, TIOCGSID on a terminal. */
long job_ioctl(struct task *t, uint32_t cmd, struct gptr arg);

#endif
