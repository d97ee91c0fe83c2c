/* Tasks: creation, the event loop, the end of threads and processes. */
#include "sentry/task.h"
#include "base/hot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/log.h"
#include "sentry/decode.h"
#include "sentry/domain.h"
#include "sentry/file.h"
#include "sentry/futex.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/task_int.h"
#include "sentry/timer.h"

#define ZOMBIES_MAX 16384 /* with the tasks */

__thread struct task *current;

/* ---- tasks ---- */

struct task *task_get(struct task *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void task_put(struct task *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	signal_state_destroy(&t->sig, t->proc->sighand);
	decode_scratch_free(t);
	proc_put(t->proc);
	free(t);
}

hot_path bool task_leaving(const struct task *t)
{
	const struct task *stays = atomic_load(&t->proc->exec_task);

	return t->exiting || t->proc->exiting || atomic_load(&sandbox.ended) || (stays && stays != t);
}

bool task_pending(const struct task *t)
{
	return task_leaving(t) || signal_pending(t) || atomic_load(&t->proc->stopped);
}

bool task_wait_killable(struct task *t, _Atomic uint32_t *word, uint32_t val)
{
	bool interrupted = false;

	while (atomic_load(word) == val && !task_leaving(t)) {
		if (task_wait(t, word, val, CLOCK_MONOTONIC, NULL) != -ERESTARTSYS)
			continue;
		interrupted = true;
		atomic_store(&t->interrupt, 0); /* before what it stands for is looked at */
	}
	if (interrupted)
		atomic_store(&t->interrupt, 1);
	return atomic_load(word) != val;
}

/* The most tasks there may be for p to make one more: limits.processes, and RLIMIT_NPROC, which does
 * not hold for root. All processes are one user's. */
static uint64_t tasks_max(const struct proc *p)
{
	uint64_t max = ZOMBIES_MAX;

	if (sandbox.config.limit_processes)
		max = MIN(max, sandbox.config.limit_processes);
	return p->uid ? MIN(max, p->rlim[RLIMIT_NPROC].rlim_cur) : max;
}

bool task_room(const struct proc *p)
{
	int tasks = atomic_load(&sandbox.nr_tasks), all = tasks + atomic_load(&sandbox.nr_zombies);

	return (uint64_t)all < tasks_max(p) && (unsigned)tasks < platform_ctx_max(sandbox.platform);
}

/* Counts one more task of p, if the limits allow it: several threads may ask at the same time. The
 * first needs no leave. */
static bool count_task(const struct proc *p)
{
	int before = atomic_fetch_add(&sandbox.nr_tasks, 1) + atomic_load(&sandbox.nr_zombies);

	if (!before || (uint64_t)before < tasks_max(p))
		return true;
	atomic_fetch_sub(&sandbox.nr_tasks, 1);
	return false;
}

void task_set_constants(struct task *t)
{
	int64_t *c = platform_ctx_consts(t->ctx);
	struct proc *p = t->proc;

	c[PLATFORM_CONST_PID] = p->pid;
	c[PLATFORM_CONST_TID] = t->tid;
	c[PLATFORM_CONST_PPID] = p->ppid;
	c[PLATFORM_CONST_UID] = c[PLATFORM_CONST_EUID] = p->uid;
	c[PLATFORM_CONST_GID] = c[PLATFORM_CONST_EGID] = p->gid;
}

struct task *task_create(struct proc *p, struct platform_as *as, uint64_t blocked, int *err)
{
	struct task *t;

	*err = -EAGAIN;
	if (!domain_add_task(p->domain))
		return NULL;
	if (!count_task(p)) {
		domain_remove_task(p->domain);
		return NULL;
	}
	*err = -ENOMEM;
	t = calloc(1, sizeof(*t));
	if (!t)
		goto uncount;
	atomic_init(&t->refs, 1);
	list_init(&t->node);
	atomic_fetch_add(&p->refs, 1);
	t->proc = p;
	t->orig_rax = ~0ull;
	t->timer_slack_ns = t->timer_slack_default_ns = 50000;
	t->sig = signal_state_create(blocked);
	if (!t->sig || decode_scratch_alloc(t))
		goto fail;
	*err = platform_ctx_create(sandbox.platform, as, t, &t->ctx);
	if (*err)
		goto fail;
	t->regs = platform_ctx_regs(t->ctx);
	pthread_mutex_lock(&sandbox.lock);
	t->tid = task_new_tid();
	pthread_mutex_unlock(&sandbox.lock);
	if (!p->pid)
		ids_change_proc(p, t->tid);
	if (!p->pgid)
		p->pgid = p->pid;
	task_set_constants(t);
	pthread_mutex_lock(&p->lock);
	list_append(&p->tasks, &t->node);
	platform_ctx_set_view(t->ctx, task_view(t)); /* in the list: a phase that begins finds it */
	p->nr_tasks++;
	pthread_mutex_unlock(&p->lock);
	ids_add_task(t);
	return t;
fail:
	task_put(t);
uncount:
	domain_remove_task(p->domain);
	atomic_fetch_sub(&sandbox.nr_tasks, 1);
	return NULL;
}

/* Unlinks t from its process; true for the last one. Nobody can find t to kick it any more: the list
 * was the way. The context leaves before others may see that t is gone: then they may destroy the address
 * space it is in. It is the caller's, as *ctx. References keep the struct. */
static bool unlink_task(struct task *t, struct platform_ctx **ctx)
{
	struct proc *p = t->proc;
	bool last;

	*ctx = t->ctx;
	signal_retarget(t, ~0ull);
	ids_del_task(t);
	pthread_mutex_lock(&p->lock);
	list_del(&t->node);
	t->ctx = NULL;
	platform_ctx_detach(*ctx);
	cpu_sample_add(&p->dead_cpu, t);
	t->host_tid = 0; /* the number may be another thread's soon */
	last = --p->nr_tasks == 0;
	if (last && !p->exiting)
		p->exit_code = t->exit_code;
	pthread_mutex_unlock(&p->lock);
	atomic_fetch_add(&p->thread_event, 1);
	task_wake(&p->thread_event);
	return last;
}

void task_discard(struct task *t)
{
	struct platform_ctx *ctx;

	t->exiting = true;
	domain_remove_task(t->proc->domain);
	unlink_task(t, &ctx);
	platform_ctx_destroy(&ctx);
	atomic_fetch_sub(&sandbox.nr_tasks, 1);
	task_put(t);
}

/* The end of a thread, in the thread itself; true: the host's thread is to wait for another task. */
static bool task_exit(struct task *t)
{
	struct proc *p = t->proc;
	struct platform_ctx *ctx;
	bool last, keep;

	t->exiting = true;
	if (!atomic_load(&sandbox.ended)) {
		futex_robust_exit(t);
		futex_pi_exit(t);
		futex_clear_tid(t);
	}
	timers_task_exit(t);
	stats_add(t);
	domain_remove_task(p->domain); /* before execve of another thread may change it */
	last = unlink_task(t, &ctx);
	keep = !t->host_sched; /* nobody changes this thread's any more */
	if (last)
		proc_ended(p);
	else
		proc_thread_ended(p, t->tid);
	current = NULL;
	task_put(t);
	keep = worker_release(ctx, keep);
	atomic_fetch_sub(&sandbox.nr_tasks, 1);
	sandbox_wake();
	return keep;
}

static void platform_broke(const struct platform_event *ev)
{
	log_error("the virtual machine failed: %s", ev->message ? ev->message : "unknown reason");
	sandbox_end(SBX_EXIT_SETUP, "virtual machine failed");
}

hot_path void task_loop(struct task *t)
{
	struct platform_event ev;

	for (;;) {
		if (atomic_load(&t->interrupt) || t->restart_code)
			signal_deliver(t);
		if (task_leaving(t))
			return;
		platform_run(t->ctx, &ev);
		switch (ev.kind) {
		case PLATFORM_SYSCALL:
			sys_dispatch(t);
			break;
		case PLATFORM_FAULT:
			task_fault(t, &ev);
			break;
		case PLATFORM_INTERRUPTED:
			if (signal_pending(t))
				atomic_store(&t->interrupt, 1);
			break;
		case PLATFORM_BROKEN:
			platform_broke(&ev);
			return;
		}
	}
}

bool task_main(struct task *t)
{
	int tid;

	current = t;
	pthread_mutex_lock(&t->proc->lock); /* a phase that begins comes before, or after */
	platform_ctx_set_view(t->ctx, task_view(t)); /* now that its process is on the list, too */
	pthread_mutex_unlock(&t->proc->lock);
	cpu_start(t);
	if (t->create_tid_addr) {
		tid = t->tid;
		gmem_write(t->proc->mm, gptr_at(t->create_tid_addr), &tid, sizeof(tid));
	}
	task_loop(t);
	return task_exit(t);
}
