/* Private to the files of tasks: hostcall.c, task.c, proc.c, fork.c, exec.c, wait.c, sandbox.c. */
#ifndef SBX_SENTRY_TASK_INT_H
#define SBX_SENTRY_TASK_INT_H

#include "sentry/task.h"

/* Installs the handler of task_signal(). */
int hostcall_init(struct sbx_err **e);

/* What the platform has to know of the host calls that a signal can cancel. */
struct platform_cancel hostcall_cancel(void);

/* The first thread's process and task, not yet running; task_start runs it. NULL: *err
 * says why (-EAGAIN: limits.processes, RLIMIT_NPROC, or no context is free). */
struct proc *proc_create(void);
struct task *task_create(struct proc *p, struct platform_as *as, uint64_t blocked, int *err);
/* Is there likely room for one more task of p? Asked before the costly parts of making one. */
bool task_room(const struct proc *p);
/* Has a host thread run t. 0 or -errno; then t is still the caller's. (worker.c) */
int task_start(struct task *t);
/* Runs t in this thread until it ends; true: the thread is to wait for another task. */
bool task_main(struct task *t);
/* Gives back the vCPU that this thread ran; keep: with the thread, for another task. False when there are
 * enough that wait: then the thread is to end. */
bool worker_release(struct platform_ctx *ctx, bool keep);
/* Takes a task that never started off its process and drops it. */
void task_discard(struct task *t);
/* Registers, segment bases and vector state of the new thread n: those of t, except what clone
 * changes. 0 or -errno. */
int task_copy_context(struct task *t, struct task *n, const struct clone_req *r);
/* What else a new thread has from the one that made it. */
void task_inherit(struct task *t, struct task *n, const struct clone_req *r);
/* Adds the counters of t, which ends, to the sandbox's; prints those. (stats.c) */
void stats_add(struct task *t);
void stats_print(void);
/* Writes what tier 0 answers with (ids) for t. */
void task_set_constants(struct task *t);
/* Who can be found by number. A process from when it is linked to when it is reaped; a task from when
 * it has a number to its end. The changes give it another one. */
void ids_add_proc(struct proc *p);
void ids_del_proc(struct proc *p);
void ids_change_proc(struct proc *p, int pid); /* before others may look */
void ids_add_task(struct task *t);
void ids_del_task(struct task *t);
void ids_change_task(struct task *t, int tid);
/* A number for a new task. sandbox.lock held. */
int task_new_tid(void);

/* Links a new process with its parent (NULL: sbx). sandbox.lock held. */
void proc_link(struct proc *p, struct proc *parent);
/* The last thread of p left: it becomes a zombie or goes. The thread has no context any more. */
void proc_ended(struct proc *p);
/* Takes a zombie, or a process that never ran, off the lists and drops it. sandbox.lock held. */
void proc_reap(struct proc *p);
/* A thread of p ended, others remain: children that it made have another parent thread now. */
void proc_thread_ended(struct proc *p, int tid);
/* Wakes a parent that waits in vfork. */
void proc_vfork_done(struct proc *p);
/* Tells p's parent of an event, by signal and to wait4. sandbox.lock held. */
void proc_notify_parent(struct proc *p, int code, int status);

#endif
