/* Scheduling: processors, priorities, policies. The host schedules; the app sees a machine of
 * config.cpus processors and may lower its own priority. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sentry/sys.h"
#include "sentry/timer.h"

#define CPU_WORDS 16

/* The app's processors: numbers 0..n-1 with a limit, else the host's set of sbx. */
static void possible_cpus(uint64_t mask[CPU_WORDS])
{
	unsigned n = sandbox.config.cpus, i;

	memset(mask, 0, CPU_WORDS * sizeof(*mask));
	if (!n) {
		if (sched_getaffinity(getpid(), CPU_WORDS * sizeof(*mask), (cpu_set_t *)mask))
			mask[0] = 1;
		return;
	}
	for (i = 0; i < MIN(n, CPU_WORDS * 64u); i++)
		mask[i / 64] |= 1ull << (i % 64);
}

/* The thread that a pid argument names; referenced. */
static struct task *target(struct task *t, int pid)
{
	return pid ? task_by_tid(pid) : task_get(t);
}

static int check_pid(struct task *t, int pid)
{
	struct task *o;

	if (pid < 0)
		return -EINVAL;
	o = target(t, pid);
	if (!o)
		return -ESRCH;
	task_put(o);
	return 0;
}

static bool any_bit(const uint64_t mask[CPU_WORDS])
{
	int i;

	for (i = 0; i < CPU_WORDS; i++)
		if (mask[i])
			return true;
	return false;
}

long sys_sched_getaffinity(struct task *t, struct sysargs *a)
{
	uint64_t mask[CPU_WORDS], len = a->raw[1];
	struct task *o;
	int words;

	possible_cpus(mask);
	for (words = CPU_WORDS; words > 1 && !mask[words - 1]; words--)
		;
	if ((len & 7) || len < (uint64_t)words * 8)
		return -EINVAL;
	o = A_INT(a, 0) < 0 ? NULL : target(t, A_INT(a, 0));
	if (!o)
		return -ESRCH;
	if (any_bit(o->cpus))
		memcpy(mask, o->cpus, sizeof(mask));
	task_put(o);
	/* Linux writes as many bytes as its processors need, rounded to words. */
	if (gmem_write(t->proc->mm, A_PTR(a, 2), mask, (size_t)words * 8))
		return -EFAULT;
	return words * 8;
}

long sys_sched_setaffinity(struct task *t, struct sysargs *a)
{
	uint64_t want[CPU_WORDS] = {0}, may[CPU_WORDS];
	size_t n = MIN(a->raw[1], (uint64_t)sizeof(want));
	struct task *o;
	int i;

	if (gmem_read(t->proc->mm, want, A_PTR(a, 2), n))
		return -EFAULT;
	possible_cpus(may);
	for (i = 0; i < CPU_WORDS; i++)
		want[i] &= may[i];
	if (!any_bit(want))
		return -EINVAL;
	o = A_INT(a, 0) < 0 ? NULL : target(t, A_INT(a, 0));
	if (!o)
		return -ESRCH;
	memcpy(o->cpus, want, sizeof(o->cpus));
	/* The host's numbers are the app's unless the policy set a number of processors. */
	if (!sandbox.config.cpus && o->host_tid)
		sched_setaffinity(o->host_tid, sizeof(want), (cpu_set_t *)want);
	task_put(o);
	return 0;
}

long sys_getcpu(struct task *t, struct sysargs *a)
{
	unsigned cpu = 0, node = 0;

	getcpu(&cpu, &node);
	if (sandbox.config.cpus) {
		cpu %= sandbox.config.cpus;
		node = 0;
	}
	if (a->raw[0] && gmem_write(t->proc->mm, A_PTR(a, 0), &cpu, sizeof(cpu)))
		return -EFAULT;
	return a->raw[1] ? gmem_write(t->proc->mm, A_PTR(a, 1), &node, sizeof(node)) : 0;
}

long sys_sched_yield(struct task *t, struct sysargs *a)
{
	sched_yield();
	return 0;
}

/* ---- policies: everything is SCHED_OTHER ---- */

static bool is_normal(int policy)
{
	policy &= ~SCHED_RESET_ON_FORK;
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

static bool is_realtime(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static long read_param(struct task *t, uint64_t addr, int *prio)
{
	if (!addr)
		return -EINVAL;
	return gmem_read(t->proc->mm, prio, gptr_at(addr), sizeof(*prio));
}

long sys_sched_setscheduler(struct task *t, struct sysargs *a)
{
	int prio, policy = A_INT(a, 1);
	long r = check_pid(t, A_INT(a, 0));

	if (!r)
		r = read_param(t, a->raw[2], &prio);
	if (r)
		return r;
	if (is_realtime(policy & ~SCHED_RESET_ON_FORK))
		return prio >= 1 && prio <= 99 ? -EPERM : -EINVAL;
	return is_normal(policy) && !prio ? 0 : -EINVAL;
}

long sys_sched_getscheduler(struct task *t, struct sysargs *a)
{
	int r = check_pid(t, A_INT(a, 0));

	return r ? r : SCHED_OTHER;
}

long sys_sched_setparam(struct task *t, struct sysargs *a)
{
	int prio;
	long r = check_pid(t, A_INT(a, 0));

	if (!r)
		r = read_param(t, a->raw[1], &prio);
	return r ? r : prio ? -EINVAL : 0;
}

long sys_sched_getparam(struct task *t, struct sysargs *a)
{
	int prio = 0, r = check_pid(t, A_INT(a, 0));

	if (r)
		return r;
	return a->raw[1] ? gmem_write(t->proc->mm, A_PTR(a, 1), &prio, sizeof(prio)) : -EINVAL;
}

static long priority_bound(int policy, int realtime)
{
	if (is_realtime(policy))
		return realtime;
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE ||
		       policy == SCHED_DEADLINE
		   ? 0
		   : -EINVAL;
}

long sys_sched_get_priority_max(struct task *t, struct sysargs *a)
{
	return priority_bound(A_INT(a, 0), 99);
}

long sys_sched_get_priority_min(struct task *t, struct sysargs *a)
{
	return priority_bound(A_INT(a, 0), 1);
}

long sys_sched_rr_get_interval(struct task *t, struct sysargs *a)
{
	struct timespec ts = {0, 4000000};
	int r = check_pid(t, A_INT(a, 0));

	return r ? r : gmem_write(t->proc->mm, A_PTR(a, 1), &ts, sizeof(ts));
}

/* ---- nice values ---- */

static int check_who(struct task *t, int which, int who)
{
	struct proc *p = t->proc;

	switch (which) {
	case PRIO_PROCESS:
		return who && check_pid(t, who) ? -ESRCH : 0;
	case PRIO_PGRP:
		return who && who != p->pgid ? -ESRCH : 0;
	case PRIO_USER:
		return who && (uint32_t)who != p->uid ? -ESRCH : 0;
	default:
		return -EINVAL;
	}
}

long sys_getpriority(struct task *t, struct sysargs *a)
{
	struct task *o = NULL;
	int r = check_who(t, A_INT(a, 0), A_INT(a, 1));

	if (r)
		return r;
	if (A_INT(a, 0) == PRIO_PROCESS)
		o = target(t, A_INT(a, 1));
	r = 20 - (o ? o->nice : t->nice);
	task_put(o);
	return r;
}

long sys_setpriority(struct task *t, struct sysargs *a)
{
	int nice = MAX(-20, MIN(19, A_INT(a, 2))), r = check_who(t, A_INT(a, 0), A_INT(a, 1));
	struct task *o = NULL;

	if (r)
		return r;
	if (A_INT(a, 0) == PRIO_PROCESS)
		o = target(t, A_INT(a, 1));
	if (!o)
		o = task_get(t);
	if (nice < o->nice) {
		r = -EACCES;
	} else {
		o->nice = nice;
		if (o->host_tid)
			setpriority(PRIO_PROCESS, (id_t)o->host_tid, nice);
	}
	task_put(o);
	return r;
}
