/* Private to the files of tasks: hostcall.c, task.c, sandbox.c. */
#ifndef SBX_SENTRY_TASK_INT_H
#define SBX_SENTRY_TASK_INT_H

#include "sentry/task.h"

/* Installs the handler of task_signal(). */
int hostcall_init(struct sbx_err **e);

/* The first thread's process and task, not yet running; task_start runs it. NULL: *err
 * says why (-EAGAIN: limits.processes, or no context is free). */
struct proc *proc_create(void);
struct task *task_create(struct proc *p, struct platform_as *as, uint64_t blocked, int *err);
/* Starts the host thread of t. 0 or -errno; then t is still the caller's. */
int task_start(struct task *t);
/* Takes a task that never started off its process and drops it. */
void task_discard(struct task *t);

#endif
