/* Clocks, sleeping, timers: the calls. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>
#include "sentry/sys.h"
#include "sentry/timer.h"
#include "sentry/vdso.h"

#define CLOCK_MAX_ID	CLOCK_TAI
#define CPUCLOCK_WHICH	3

/* CPU clocks of other threads and processes carry an id in their upper bits. */
static int dynamic_clock(struct task *t, int clock, uint64_t *ns)
{
	int id = timer_clock_id(clock);
	struct task *o;
	struct proc *p;

	if ((clock & CPUCLOCK_WHICH) == CPUCLOCK_WHICH) /* a clock device's descriptor */
		return -EINVAL;
	if (timer_clock_of_thread(clock)) {
		int r = -EINVAL;

		o = id ? task_by_tid(id) : task_get(t);
		if (o && o->proc == t->proc) {
			*ns = task_cpu_ns(o);
			r = 0;
		}
		task_put(o);
		return r;
	}
	p = proc_by_pid(id ? id : t->proc->pid);
	*ns = 0;
	if (!p)
		return id == 1 ? 0 : -EINVAL; /* sbx's own is not told */
	*ns = proc_cpu_ns(p);
	proc_put(p);
	return 0;
}

int clock_read(struct task *t, int clock, uint64_t *ns)
{
	struct timespec ts;

	if (clock < 0)
		return dynamic_clock(t, clock, ns);
	if (clock == CLOCK_THREAD_CPUTIME_ID)
		*ns = task_cpu_ns(t);
	else if (clock == CLOCK_PROCESS_CPUTIME_ID)
		*ns = proc_cpu_ns(t->proc);
	else if (vdso_read(clock, ns)) /* as the app does: from one to the other time does not go back */
		return 0;
	else if (clock > CLOCK_MAX_ID || clock_gettime(clock, &ts))
		return -EINVAL;
	else
		*ns = (uint64_t)ts.tv_sec * TIME_NSEC + (uint64_t)ts.tv_nsec;
	return 0;
}

long sys_clock_gettime(struct task *t, struct sysargs *a)
{
	struct timespec ts;
	uint64_t ns;
	int r = clock_read(t, A_INT(a, 0), &ns);

	if (r)
		return r;
	ts = ns_to_timespec(ns);
	return gmem_write(t->proc->mm, A_PTR(a, 1), &ts, sizeof(ts));
}

long sys_clock_getres(struct task *t, struct sysargs *a)
{
	struct timespec ts = {0, 1};
	int clock = A_INT(a, 0);
	uint64_t ns;
	int r = clock_read(t, clock, &ns);

	if (r)
		return r;
	if (clock >= 0 && clock_getres(clock, &ts))
		return -EINVAL;
	return a->raw[1] ? gmem_write(t->proc->mm, A_PTR(a, 1), &ts, sizeof(ts)) : 0;
}

long sys_gettimeofday(struct task *t, struct sysargs *a)
{
	uint64_t ns = clock_now_ns(CLOCK_REALTIME);
	struct timeval tv = {(time_t)(ns / TIME_NSEC), (suseconds_t)(ns % TIME_NSEC / 1000)};
	int tz[2] = {0, 0};

	if (a->raw[0] && gmem_write(t->proc->mm, A_PTR(a, 0), &tv, sizeof(tv)))
		return -EFAULT;
	return a->raw[1] ? gmem_write(t->proc->mm, A_PTR(a, 1), tz, sizeof(tz)) : 0;
}

long sys_time(struct task *t, struct sysargs *a)
{
	int64_t now = (int64_t)(clock_now_ns(CLOCK_REALTIME) / TIME_NSEC);

	if (a->raw[0] && gmem_write(t->proc->mm, A_PTR(a, 0), &now, sizeof(now)))
		return -EFAULT;
	return now;
}

/* The host's clock as it is kept; it cannot be changed from here. */
static long do_adjtimex(struct task *t, struct gptr p)
{
	struct timex tx, now = {0};
	int state;

	if (gmem_read(t->proc->mm, &tx, p, sizeof(tx)))
		return -EFAULT;
	if (tx.modes & (ADJ_OFFSET_SINGLESHOT & ~ADJ_OFFSET) && !(tx.modes & ADJ_OFFSET))
		return -EINVAL;
	if (tx.modes && tx.modes != ADJ_OFFSET_SS_READ)
		return -EPERM;
	state = (int)syscall(SYS_adjtimex, &now);
	if (state < 0)
		return -errno;
	now.modes = tx.modes;
	return gmem_write(t->proc->mm, p, &now, sizeof(now)) ? -EFAULT : state;
}

long sys_adjtimex(struct task *t, struct sysargs *a)
{
	return do_adjtimex(t, A_PTR(a, 0));
}

long sys_clock_adjtime(struct task *t, struct sysargs *a)
{
	int clock = A_INT(a, 0);
	uint64_t ns;

	if (clock == CLOCK_REALTIME)
		return do_adjtimex(t, A_PTR(a, 1));
	return clock_read(t, clock, &ns) || clock < 0 ? -EINVAL : -EOPNOTSUPP;
}

/* ---- sleeping ---- */

static bool can_sleep_on(int clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
	       clock == CLOCK_TAI || clock == CLOCK_PROCESS_CPUTIME_ID || clock < 0;
}

/* CPU time passes at most as fast as all threads run: look again when it could be due. */
static int sleep_cpu(struct task *t, int clock, uint64_t deadline)
{
	struct timespec ts;
	uint64_t now;
	int r;

	for (;;) {
		r = clock_read(t, clock, &now);
		if (r || now >= deadline)
			return r;
		ts = ns_to_timespec(ns_add(clock_now_ns(CLOCK_MONOTONIC),
					   MAX((deadline - now) / 64, (uint64_t)1000000)));
		r = (int)task_host_call(t, SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME,
					(long)&ts, 0, 0, 0);
		if (r)
			return r;
	}
}

static int sleep_until(struct task *t, int clock, uint64_t deadline)
{
	struct timespec ts = ns_to_timespec(deadline);

	if (clock == CLOCK_PROCESS_CPUTIME_ID || clock < 0)
		return sleep_cpu(t, clock, deadline);
	return (int)task_host_call(t, SYS_clock_nanosleep, clock, TIMER_ABSTIME, (long)&ts, 0, 0,
				   0);
}

static int sleep_relative(struct task *t);

/* An interrupted relative sleep: says what is left and restarts with the same deadline. */
static int sleep_interrupted(struct task *t, int clock, uint64_t deadline, uint64_t rem_ptr)
{
	struct timespec rem;
	uint64_t now;

	if (rem_ptr && !clock_read(t, clock, &now)) {
		rem = ns_to_timespec(deadline > now ? deadline - now : 0);
		if (gmem_write(t->proc->mm, gptr_at(rem_ptr), &rem, sizeof(rem)))
			return -EFAULT;
	}
	t->restart = sleep_relative;
	t->restart_arg[0] = (uint64_t)(int64_t)clock;
	t->restart_arg[1] = deadline;
	t->restart_arg[2] = rem_ptr;
	return -ERESTART_RESTARTBLOCK;
}

static int sleep_relative(struct task *t)
{
	int clock = (int)t->restart_arg[0];
	uint64_t deadline = t->restart_arg[1];
	int r = sleep_until(t, clock, deadline);

	return r == -ERESTARTSYS ? sleep_interrupted(t, clock, deadline, t->restart_arg[2]) : r;
}

static long do_sleep(struct task *t, int clock, bool absolute, struct gptr req, uint64_t rem)
{
	struct timespec ts;
	uint64_t now;
	int r;

	if (gmem_read(t->proc->mm, &ts, req, sizeof(ts)))
		return -EFAULT;
	if (!timespec_valid(&ts))
		return -EINVAL;
	if (absolute) {
		r = sleep_until(t, clock, timespec_to_ns(&ts));
		return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
	}
	/* A relative sleep on the real-time clock does not follow changes of that clock. */
	if (clock == CLOCK_REALTIME || clock == CLOCK_TAI)
		clock = CLOCK_MONOTONIC;
	r = clock_read(t, clock, &now);
	if (r)
		return r;
	t->restart_arg[0] = (uint64_t)(int64_t)clock;
	t->restart_arg[1] = ns_add(now, timespec_to_ns(&ts));
	t->restart_arg[2] = rem;
	return sleep_relative(t);
}

long sys_nanosleep(struct task *t, struct sysargs *a)
{
	return do_sleep(t, CLOCK_MONOTONIC, false, A_PTR(a, 0), a->raw[1]);
}

long sys_clock_nanosleep(struct task *t, struct sysargs *a)
{
	int clock = A_INT(a, 0);
	uint64_t ns;

	if (!can_sleep_on(clock))
		return clock_read(t, clock, &ns) ? -EINVAL : -EOPNOTSUPP;
	return do_sleep(t, clock, A_INT(a, 1) & TIMER_ABSTIME, A_PTR(a, 2), a->raw[3]);
}

/* ---- interval timers ---- */

static struct itimerval to_itimerval(const struct itimer_value *v)
{
	/* Rounded up: an armed timer never shows zero. */
	uint64_t us = (v->value + 999) / 1000, ius = v->interval / 1000;

	return (struct itimerval){
	    .it_interval = {(time_t)(ius / 1000000), (suseconds_t)(ius % 1000000)},
	    .it_value = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)},
	};
}

static bool from_timeval(const struct timeval *tv, uint64_t *ns)
{
	struct timespec ts = {tv->tv_sec, tv->tv_usec * 1000};

	if (tv->tv_sec < 0 || tv->tv_usec < 0 || tv->tv_usec >= 1000000)
		return false;
	*ns = timespec_to_ns(&ts);
	return true;
}

long sys_getitimer(struct task *t, struct sysargs *a)
{
	struct itimer_value v;
	struct itimerval it;
	int r = itimer_get(t->proc, A_INT(a, 0), &v);

	if (r)
		return r;
	it = to_itimerval(&v);
	return gmem_write(t->proc->mm, A_PTR(a, 1), &it, sizeof(it));
}

long sys_setitimer(struct task *t, struct sysargs *a)
{
	struct itimer_value v = {0}, old;
	struct itimerval it;
	int r;

	if (a->raw[1]) {
		if (gmem_read(t->proc->mm, &it, A_PTR(a, 1), sizeof(it)))
			return -EFAULT;
		if (!from_timeval(&it.it_value, &v.value) ||
		    !from_timeval(&it.it_interval, &v.interval))
			return -EINVAL;
	}
	r = itimer_set(t->proc, A_INT(a, 0), &v, &old);
	if (r)
		return r;
	it = to_itimerval(&old);
	return a->raw[2] ? gmem_write(t->proc->mm, A_PTR(a, 2), &it, sizeof(it)) : 0;
}

long sys_alarm(struct task *t, struct sysargs *a)
{
	struct itimer_value v = {.value = A_UINT(a, 0) * TIME_NSEC}, old;

	itimer_set(t->proc, ITIMER_REAL, &v, &old);
	if (!old.value)
		return 0;
	return (long)MAX((old.value + TIME_NSEC / 2) / TIME_NSEC, 1ull);
}

/* ---- POSIX timers ---- */

static bool can_time_on(int clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
	       clock == CLOCK_TAI || clock == CLOCK_PROCESS_CPUTIME_ID ||
	       clock == CLOCK_THREAD_CPUTIME_ID ||
	       (clock < 0 && (clock & CPUCLOCK_WHICH) != CPUCLOCK_WHICH);
}

long sys_timer_create(struct task *t, struct sysargs *a)
{
	int clock = A_INT(a, 0), id;
	struct sigevent ev;

	if (!can_time_on(clock))
		return clock >= 0 && clock <= CLOCK_MAX_ID ? -EOPNOTSUPP : -EINVAL;
	if (a->raw[1]) {
		if (gmem_read(t->proc->mm, &ev, A_PTR(a, 1), sizeof(ev)))
			return -EFAULT;
		if (ev.sigev_notify != SIGEV_NONE && ev.sigev_notify != SIGEV_SIGNAL &&
		    ev.sigev_notify != SIGEV_THREAD_ID)
			return -EINVAL;
		if (ev.sigev_notify != SIGEV_NONE && (ev.sigev_signo < 1 || ev.sigev_signo > 64))
			return -EINVAL;
	}
	id = ptimer_create(t, clock, a->raw[1] ? &ev : NULL);
	if (id < 0)
		return id;
	if (gmem_write(t->proc->mm, A_PTR(a, 2), &id, sizeof(id))) {
		ptimer_delete(t->proc, id);
		return -EFAULT;
	}
	return 0;
}

static int write_itimerspec(struct task *t, uint64_t addr, const struct itimer_value *v)
{
	struct itimerspec it = {ns_to_timespec(v->interval), ns_to_timespec(v->value)};

	return gmem_write(t->proc->mm, gptr_at(addr), &it, sizeof(it));
}

long sys_timer_settime(struct task *t, struct sysargs *a)
{
	struct itimer_value v, old;
	struct itimerspec it;
	int r;

	if (gmem_read(t->proc->mm, &it, A_PTR(a, 2), sizeof(it)))
		return -EFAULT;
	if (!timespec_valid(&it.it_value) || !timespec_valid(&it.it_interval))
		return -EINVAL;
	v.value = timespec_to_ns(&it.it_value);
	v.interval = timespec_to_ns(&it.it_interval);
	r = ptimer_settime(t->proc, A_INT(a, 0), A_INT(a, 1) & TIMER_ABSTIME, &v, &old);
	if (r)
		return r;
	return a->raw[3] ? write_itimerspec(t, a->raw[3], &old) : 0;
}

long sys_timer_gettime(struct task *t, struct sysargs *a)
{
	struct itimer_value v;
	int r = ptimer_gettime(t->proc, A_INT(a, 0), &v);

	return r ? r : write_itimerspec(t, a->raw[1], &v);
}

long sys_timer_getoverrun(struct task *t, struct sysargs *a)
{
	return ptimer_overrun(t->proc, A_INT(a, 0));
}

long sys_timer_delete(struct task *t, struct sysargs *a)
{
	return ptimer_delete(t->proc, A_INT(a, 0));
}
