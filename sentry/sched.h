/* Nice values, I/O priorities and scheduling policies of threads. Owner: sentry/sys_sched.c and
 * sys_priority.c. */
#ifndef SBX_SENTRY_SCHED_H
#define SBX_SENTRY_SCHED_H

#include <stdbool.h>
#include "sentry/task.h"

/* Does RLIMIT_NICE of o's process allow this nice value? */
bool sched_can_nice(struct task *o, int nice);

/* Sets o's nice value, here and at the host, which may refuse to raise a priority. */
void sched_set_nice(struct task *o, int nice);

/* What a new thread or process n has of its maker t. */
void sched_inherit(const struct task *t, struct task *n);

#endif
