/* CPU time of threads and processes, and what getrusage and times tell of it.
 *
 * Each thread of the app is one of the host's, which counts time in the guest as user time. It measures
 * their sum exactly, and samples what of it was user and what system time. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <unistd.h>
#include "sentry/sys.h"
#include "sentry/timer.h"

#define USER_HZ_NS 10000000ull

enum { CLOCK_ALL, CLOCK_USER, CLOCK_EXACT }; /* the host's numbers for a thread's clocks */

static uint64_t host_clock(int host_tid, unsigned which)
{
	clockid_t id = (clockid_t)((~(unsigned)host_tid << 3) | 4u | which);
	struct timespec ts;

	if (!host_tid || clock_gettime(id, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * TIME_NSEC + (uint64_t)ts.tv_nsec;
}

/* What t used of it. */
static uint64_t task_clock(const struct task *t, unsigned which, uint64_t base)
{
	int tid = __atomic_load_n(&t->host_tid, __ATOMIC_ACQUIRE);
	uint64_t ns = host_clock(tid, which);

	return ns > base ? ns - base : 0;
}

void cpu_start(struct task *t)
{
	int tid = (int)syscall(SYS_gettid);

	t->cpu_base = (struct cpu_sample){
		.exact = host_clock(tid, CLOCK_EXACT),
		.all = host_clock(tid, CLOCK_ALL),
		.user = host_clock(tid, CLOCK_USER),
	};
	__atomic_store_n(&t->host_tid, tid, __ATOMIC_RELEASE);
}

uint64_t task_cpu_ns(const struct task *t)
{
	return task_clock(t, CLOCK_EXACT, t->cpu_base.exact);
}

static uint64_t task_user_ns(const struct task *t)
{
	return task_clock(t, CLOCK_USER, t->cpu_base.user);
}

uint64_t proc_cpu_ns(struct proc *p)
{
	struct task *t;
	uint64_t sum;

	pthread_mutex_lock(&p->lock);
	sum = p->dead_cpu.exact;
	list_for_each (t, &p->tasks, node)
		sum += task_cpu_ns(t);
	pthread_mutex_unlock(&p->lock);
	return sum;
}

void cpu_sample_add(struct cpu_sample *s, const struct task *t)
{
	s->exact += task_cpu_ns(t);
	s->all += task_clock(t, CLOCK_ALL, t->cpu_base.all);
	s->user += task_user_ns(t);
}

static struct cpu_sample proc_sample(struct proc *p)
{
	struct cpu_sample s = p->dead_cpu;
	struct task *t;

	list_for_each (t, &p->tasks, node)
		cpu_sample_add(&s, t);
	return s;
}

/* Divides the exact time as the samples say. What was told before in *seen never gets less. */
static void divide(const struct cpu_sample *s, struct cpu_times *seen)
{
	uint64_t sys = s->all - MIN(s->user, s->all), user;

	if (s->exact <= seen->user + seen->sys)
		return;
	if (!s->all)
		sys = 0; /* too short for a sample: the program has run */
	else
		sys = (uint64_t)((unsigned __int128)s->exact * sys / s->all);
	sys = MAX(sys, seen->sys);
	user = s->exact - MIN(sys, s->exact);
	if (user < seen->user) {
		user = seen->user;
		sys = s->exact - user;
	}
	*seen = (struct cpu_times){user, sys};
}

struct cpu_times task_cpu_times(const struct task *t)
{
	struct cpu_sample s = {0};
	struct cpu_times c = {0};

	cpu_sample_add(&s, t);
	divide(&s, &c);
	return c;
}

struct cpu_times proc_cpu_times(struct proc *p)
{
	struct cpu_sample s;
	struct cpu_times c;

	pthread_mutex_lock(&p->lock);
	s = proc_sample(p);
	divide(&s, &p->cpu_seen);
	c = p->cpu_seen;
	pthread_mutex_unlock(&p->lock);
	return c;
}

uint64_t proc_user_ns(struct proc *p)
{
	struct task *t;
	uint64_t sum;

	pthread_mutex_lock(&p->lock);
	sum = p->dead_cpu.user;
	list_for_each (t, &p->tasks, node)
		sum += task_user_ns(t);
	pthread_mutex_unlock(&p->lock);
	return sum;
}

/* ---- the calls ---- */

static struct timeval to_timeval(uint64_t ns)
{
	return (struct timeval){(time_t)(ns / TIME_NSEC), (suseconds_t)(ns % TIME_NSEC / 1000)};
}

void proc_rusage(const struct cpu_times *c, uint64_t maxrss, struct rusage *ru)
{
	memset(ru, 0, sizeof(*ru));
	ru->ru_utime = to_timeval(c->user);
	ru->ru_stime = to_timeval(c->sys);
	ru->ru_maxrss = (long)(maxrss / 1024);
}

static struct cpu_times child_times(struct proc *p)
{
	struct cpu_times c;

	pthread_mutex_lock(&sandbox.lock);
	c = p->child_cpu;
	pthread_mutex_unlock(&sandbox.lock);
	return c;
}

long sys_times(struct task *t, struct sysargs *a)
{
	struct cpu_times own = proc_cpu_times(t->proc), child = child_times(t->proc);
	struct tms tms = {
		.tms_utime = (clock_t)(own.user / USER_HZ_NS),
		.tms_stime = (clock_t)(own.sys / USER_HZ_NS),
		.tms_cutime = (clock_t)(child.user / USER_HZ_NS),
		.tms_cstime = (clock_t)(child.sys / USER_HZ_NS),
	};

	if (a->raw[0] && gmem_write(t->proc->mm, A_PTR(a, 0), &tms, sizeof(tms)))
		return -EFAULT;
	return (long)(clock_now_ns(CLOCK_BOOTTIME) / USER_HZ_NS);
}

long sys_getrusage(struct task *t, struct sysargs *a)
{
	struct mm_usage mu = {0};
	struct cpu_times c;
	struct rusage ru;

	switch (A_INT(a, 0)) {
	case RUSAGE_SELF:
		c = proc_cpu_times(t->proc);
		break;
	case RUSAGE_THREAD:
		c = task_cpu_times(t);
		break;
	case RUSAGE_CHILDREN:
		c = child_times(t->proc);
		mu.rss_peak = t->proc->child_maxrss;
		break;
	default:
		return -EINVAL;
	}
	if (A_INT(a, 0) != RUSAGE_CHILDREN)
		mm_usage(t->proc->mm, &mu);
	proc_rusage(&c, mu.rss_peak, &ru);
	return gmem_write(t->proc->mm, A_PTR(a, 1), &ru, sizeof(ru));
}
