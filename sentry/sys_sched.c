/* Scheduling: processors and policies. The host schedules; the app sees a machine of config.cpus
 * processors. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "sentry/sched.h"
#include "sentry/sys.h"

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
	if (!o && A_INT(a, 0) != 1)
		return -ESRCH;
	if (o && any_bit(o->cpus))
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
	if (!proc_may_touch(t, o->proc)) {
		task_put(o);
		return -EPERM;
	}
	pthread_mutex_lock(&o->proc->lock); /* its host thread stays its own */
	memcpy(o->cpus, want, sizeof(o->cpus));
	/* The host's numbers are the app's unless the policy set a number of processors. */
	o->host_sched = o->host_sched || !sandbox.config.cpus;
	if (!sandbox.config.cpus && o->host_tid)
		sched_setaffinity(o->host_tid, sizeof(want), (cpu_set_t *)want);
	pthread_mutex_unlock(&o->proc->lock);
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

/* ---- policies: kept and told; the host schedules all as SCHED_OTHER, by their nice values ---- */

#define POLICY_MAX	6 /* SCHED_DEADLINE */
#define POLICY_DEADLINE 6
#define RESET_ON_FORK	1u /* of sched_attr.sched_flags */
#define KEEP_POLICY	8u
#define KEEP_PARAMS	16u
#define KNOWN_FLAGS	(RESET_ON_FORK | 2u | 4u | KEEP_POLICY | KEEP_PARAMS)
#define ATTR_SIZE_MIN	48u
#define ATTR_SIZE_MAX	4096u

struct attr { /* Linux's sched_attr, up to its first version */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
_Static_assert(sizeof(struct attr) == ATTR_SIZE_MIN, "size of struct sched_attr, version 0");

struct wish { /* what a call asks for */
	int policy, prio, nice;
	bool set_nice, reset_on_fork;
};

static bool is_realtime(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool is_policy(int policy)
{
	return policy >= 0 && policy <= POLICY_MAX && policy != 4;
}

bool sched_can_nice(struct task *o, int nice)
{
	return (rlim_t)(20 - nice) <= o->proc->rlim[RLIMIT_NICE].rlim_cur;
}

static int may_change(struct task *t, struct task *o, const struct wish *w)
{
	if (!proc_may_touch(t, o->proc))
		return -EPERM;
	if (is_realtime(w->policy) || w->policy == POLICY_DEADLINE)
		return -EPERM; /* nobody has a right to real time in here */
	if (w->set_nice && w->nice < o->nice && !sched_can_nice(o, w->nice))
		return -EPERM;
	if (o->sched_policy == SCHED_IDLE && w->policy != SCHED_IDLE && !sched_can_nice(o, o->nice))
		return -EPERM;
	return o->sched_reset_on_fork && !w->reset_on_fork ? -EPERM : 0;
}

/* o: NULL is process 1, which is not the app's. */
static int change(struct task *t, struct task *o, const struct wish *w)
{
	int r;

	if (!is_policy(w->policy))
		return -EINVAL;
	if (w->prio < 0 || w->prio > 99 || (is_realtime(w->policy) != (w->prio != 0)))
		return -EINVAL;
	r = o ? may_change(t, o, w) : -EPERM;
	if (r)
		return r;
	o->sched_policy = w->policy;
	o->sched_reset_on_fork = w->reset_on_fork;
	if (w->set_nice) {
		pthread_mutex_lock(&o->proc->lock);
		sched_set_nice(o, w->nice);
		pthread_mutex_unlock(&o->proc->lock);
	}
	return 0;
}

/* The thread, referenced, or NULL for process 1. */
static int find_for(struct task *t, int pid, struct task **o)
{
	*o = target(t, pid);
	return *o || pid == 1 ? 0 : -ESRCH;
}

static long set_scheduler(struct task *t, int pid, int policy, uint64_t param)
{
	struct wish w = {0};
	struct task *o;
	int r;

	if (pid < 0 || !param)
		return -EINVAL;
	if (gmem_read(t->proc->mm, &w.prio, gptr_at(param), sizeof(w.prio)))
		return -EFAULT;
	r = find_for(t, pid, &o);
	if (r)
		return r;
	w.policy = policy < 0 ? SCHED_OTHER : policy;
	if (policy < 0 && o) { /* sched_setparam */
		w.policy = o->sched_policy;
		w.reset_on_fork = o->sched_reset_on_fork;
	} else if (policy & SCHED_RESET_ON_FORK) {
		w.policy &= ~SCHED_RESET_ON_FORK;
		w.reset_on_fork = true;
	}
	r = change(t, o, &w);
	task_put(o);
	return r;
}

long sys_sched_setscheduler(struct task *t, struct sysargs *a)
{
	return A_INT(a, 1) < 0 ? -EINVAL : set_scheduler(t, A_INT(a, 0), A_INT(a, 1), a->raw[2]);
}

long sys_sched_setparam(struct task *t, struct sysargs *a)
{
	return set_scheduler(t, A_INT(a, 0), -1, a->raw[1]);
}

long sys_sched_getscheduler(struct task *t, struct sysargs *a)
{
	struct task *o;
	int r = A_INT(a, 0) < 0 ? -EINVAL : find_for(t, A_INT(a, 0), &o);

	if (r)
		return r;
	r = o ? o->sched_policy | (o->sched_reset_on_fork ? SCHED_RESET_ON_FORK : 0) : SCHED_OTHER;
	task_put(o);
	return r;
}

long sys_sched_getparam(struct task *t, struct sysargs *a)
{
	struct task *o;
	int prio = 0, r;

	if (A_INT(a, 0) < 0 || !a->raw[1])
		return -EINVAL;
	r = find_for(t, A_INT(a, 0), &o);
	if (r)
		return r;
	task_put(o);
	return gmem_write(t->proc->mm, A_PTR(a, 1), &prio, sizeof(prio));
}

/* A structure of the app's size: what is beyond ours must be zero. */
static int read_attr(struct task *t, uint64_t addr, struct attr *at)
{
	uint32_t size, mine = ATTR_SIZE_MIN;
	uint8_t rest[64];

	if (gmem_read(t->proc->mm, &size, gptr_at(addr), sizeof(size)))
		return -EFAULT;
	size = size ? size : ATTR_SIZE_MIN;
	if (size < ATTR_SIZE_MIN || size > ATTR_SIZE_MAX)
		goto too_big;
	if (gmem_read(t->proc->mm, at, gptr_at(addr), sizeof(*at)))
		return -EFAULT;
	for (uint32_t done = sizeof(*at); done < size; done += sizeof(rest)) {
		uint32_t n = MIN(size - done, (uint32_t)sizeof(rest));

		if (gmem_read(t->proc->mm, rest, gptr_at(addr + done), n))
			return -EFAULT;
		for (uint32_t i = 0; i < n; i++)
			if (rest[i] && done + i >= 56) /* 48 to 56: limits of utilization, unused */
				goto too_big;
	}
	return 0;
too_big:
	return gmem_write(t->proc->mm, gptr_at(addr), &mine, sizeof(mine)) ? -EFAULT : -E2BIG;
}

long sys_sched_setattr(struct task *t, struct sysargs *a)
{
	struct wish w = {.set_nice = true};
	struct task *o;
	struct attr at;
	int r;

	if (!a->raw[1] || A_INT(a, 0) < 0 || A_UINT(a, 2))
		return -EINVAL;
	r = read_attr(t, a->raw[1], &at);
	if (r)
		return r;
	if ((int)at.policy < 0)
		return -EINVAL;
	r = find_for(t, A_INT(a, 0), &o);
	if (r)
		return r;
	w.policy = at.flags & KEEP_POLICY && o ? o->sched_policy : (int)at.policy;
	w.prio = at.flags & KEEP_PARAMS ? 0 : (int)MIN(at.priority, 1000u);
	w.nice = MAX(-20, MIN(19, at.nice));
	w.set_nice = !(at.flags & KEEP_PARAMS) && (w.policy == SCHED_OTHER || w.policy == SCHED_BATCH);
	w.reset_on_fork = at.flags & RESET_ON_FORK;
	r = at.flags & ~(uint64_t)KNOWN_FLAGS ? -EINVAL : change(t, o, &w);
	task_put(o);
	return r;
}

long sys_sched_getattr(struct task *t, struct sysargs *a)
{
	struct attr at = {.size = ATTR_SIZE_MIN};
	uint32_t size = A_UINT(a, 2);
	struct task *o;
	int r;

	if (!a->raw[1] || A_INT(a, 0) < 0 || size > ATTR_SIZE_MAX || size < ATTR_SIZE_MIN || A_UINT(a, 3))
		return -EINVAL;
	r = find_for(t, A_INT(a, 0), &o);
	if (r)
		return r;
	if (o) {
		at.policy = (uint32_t)o->sched_policy;
		at.flags = o->sched_reset_on_fork ? RESET_ON_FORK : 0;
		at.nice = o->nice;
	}
	task_put(o);
	return gmem_write(t->proc->mm, A_PTR(a, 1), &at, sizeof(at));
}

static long priority_bound(int policy, int realtime)
{
	if (is_realtime(policy))
		return realtime;
	return is_policy(policy) ? 0 : -EINVAL;
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
	struct task *o;
	int r = A_INT(a, 0) < 0 ? -EINVAL : find_for(t, A_INT(a, 0), &o);

	if (r)
		return r;
	task_put(o);
	return gmem_write(t->proc->mm, A_PTR(a, 1), &ts, sizeof(ts));
}
