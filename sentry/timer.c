/* Timers: a table per process; the housekeeping loop fires what is due.
 *
 * Clocks of real time become deadlines of CLOCK_MONOTONIC when they are armed. Timers of CPU time
 * are looked at when, at the earliest, they can be due: after the time left divided by the number
 * of running threads. */
#include "sentry/timer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "sentry/signal.h"
#include "sentry/task.h"

#define TIMER_MAX     1024 /* POSIX timers of a process */
#define CPU_CHECK_MIN 1000000ull
#define PERIOD_MIN    100000ull /* faster timers count overruns */

struct ptimer {
	int id;
	int clock;
	bool armed, is_itimer;
	uint64_t due;	   /* on CLOCK_MONOTONIC, or on the CPU clock */
	uint64_t interval; /* 0: one shot */
	int notify;	   /* SIGEV_* */
	struct task *task; /* SIGEV_THREAD_ID: referenced */
	/* Whose CPU clock it is: referenced. NULL: the process's own. */
	struct task *clock_task;
	struct proc *clock_proc;
	struct sig_entry entry;
};

struct posix_timers {
	pthread_mutex_t lock;
	struct ptimer itimer[3];
	struct ptimer *timer[TIMER_MAX];
	int high; /* one past the highest used */
	int next;
};

struct posix_timers *timers_create(void)
{
	static const int sig[3] = {SIGALRM, SIGVTALRM, SIGPROF};
	struct posix_timers *pt = calloc(1, sizeof(*pt));
	int i;

	if (!pt)
		return NULL;
	pthread_mutex_init(&pt->lock, NULL);
	for (i = 0; i < 3; i++) {
		pt->itimer[i].is_itimer = true;
		pt->itimer[i].clock = i ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
		pt->itimer[i].entry.info.si_signo = sig[i];
		pt->itimer[i].entry.info.si_code = SI_KERNEL;
		list_init(&pt->itimer[i].entry.node);
	}
	return pt;
}

static void free_timer(struct ptimer *tm)
{
	task_put(tm->task);
	task_put(tm->clock_task);
	proc_put(tm->clock_proc);
	free(tm);
}

void timers_destroy(struct posix_timers **pt)
{
	int i;

	if (!*pt)
		return;
	for (i = 0; i < (*pt)->high; i++)
		if ((*pt)->timer[i])
			free_timer((*pt)->timer[i]);
	pthread_mutex_destroy(&(*pt)->lock);
	free(*pt);
	*pt = NULL;
}

static bool is_cpu_clock(int clock)
{
	return clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

/* Now, on the clock that tm->due is on. */
static uint64_t now_of(struct proc *p, const struct ptimer *tm)
{
	if (!is_cpu_clock(tm->clock))
		return clock_now_ns(CLOCK_MONOTONIC);
	if (tm->clock_task)
		return task_cpu_ns(tm->clock_task);
	if (tm->is_itimer && tm->entry.info.si_signo == SIGVTALRM)
		return proc_user_ns(p);
	return proc_cpu_ns(tm->clock_proc ? tm->clock_proc : p);
}

/* missed: expirations that were due together with this one. */
static void send_expiry(struct proc *p, struct ptimer *tm, unsigned missed)
{
	if (tm->is_itimer) {
		signal_send_proc(p, &tm->entry.info);
		return;
	}
	if (tm->notify == SIGEV_NONE || (tm->notify == SIGEV_THREAD_ID && !tm->task))
		return;
	signal_send_entry(p, tm->notify == SIGEV_THREAD_ID ? tm->task : NULL, &tm->entry, missed);
}

/* Fires tm if it is due. Returns the monotonic time to look at it again. */
static uint64_t run_one(struct proc *p, struct ptimer *tm, uint64_t mono)
{
	uint64_t now, left, periods;
	unsigned missed = 0;
	int n = MAX(atomic_load(&sandbox.nr_tasks), 1);

	if (!tm->armed)
		return UINT64_MAX;
	now = is_cpu_clock(tm->clock) ? now_of(p, tm) : mono;
	if (now >= tm->due) {
		if (tm->interval) {
			periods = (now - tm->due) / tm->interval;
			missed = (unsigned)MIN(periods, (uint64_t)INT32_MAX);
			tm->due = ns_add(tm->due, (periods + 1) * tm->interval);
		} else {
			tm->armed = false;
		}
		send_expiry(p, tm, missed);
		if (!tm->armed)
			return UINT64_MAX;
	}
	if (!is_cpu_clock(tm->clock))
		return tm->interval ? MAX(tm->due, mono + PERIOD_MIN) : tm->due;
	left = (tm->due - now) / (unsigned)n;
	return mono + MAX(left, CPU_CHECK_MIN);
}

uint64_t timers_run(struct proc *p, uint64_t now)
{
	struct posix_timers *pt = p->timers;
	uint64_t next = UINT64_MAX, at;
	int i;

	pthread_mutex_lock(&pt->lock);
	for (i = 0; i < 3; i++) {
		at = run_one(p, &pt->itimer[i], now);
		next = MIN(next, at);
	}
	for (i = 0; i < pt->high; i++) {
		if (!pt->timer[i])
			continue;
		at = run_one(p, pt->timer[i], now);
		next = MIN(next, at);
	}
	pthread_mutex_unlock(&pt->lock);
	return next;
}

static void get_value(struct proc *p, const struct ptimer *tm, struct itimer_value *out)
{
	uint64_t now = now_of(p, tm);

	out->interval = tm->interval;
	out->value = 0;
	if (tm->armed)
		out->value = tm->due > now ? tm->due - now : 1;
}

static void arm(struct proc *p, struct ptimer *tm, const struct itimer_value *v)
{
	tm->interval = v->interval;
	tm->armed = v->value != 0;
	tm->due = v->value ? ns_add(now_of(p, tm), v->value) : 0;
}

int itimer_get(struct proc *p, int which, struct itimer_value *out)
{
	if (which < 0 || which > 2)
		return -EINVAL;
	pthread_mutex_lock(&p->timers->lock);
	get_value(p, &p->timers->itimer[which], out);
	pthread_mutex_unlock(&p->timers->lock);
	return 0;
}

int itimer_set(struct proc *p, int which, const struct itimer_value *v, struct itimer_value *old)
{
	if (which < 0 || which > 2)
		return -EINVAL;
	pthread_mutex_lock(&p->timers->lock);
	get_value(p, &p->timers->itimer[which], old);
	arm(p, &p->timers->itimer[which], v);
	pthread_mutex_unlock(&p->timers->lock);
	sandbox_wake();
	return 0;
}

/* ---- POSIX timers ---- */

static struct ptimer *find(struct posix_timers *pt, int id)
{
	return id >= 0 && id < pt->high ? pt->timer[id] : NULL;
}

/* Free slot, after the last one given: ids are not reused at once. */
static int free_slot(struct posix_timers *pt)
{
	int i, id;

	for (i = 0; i < TIMER_MAX; i++) {
		id = (pt->next + i) % TIMER_MAX;
		if (!pt->timer[id])
			return id;
	}
	return -1;
}

static int set_notify(struct task *t, struct ptimer *tm, const struct sigevent *ev)
{
	struct task *target;

	tm->notify = ev ? ev->sigev_notify : SIGEV_SIGNAL;
	tm->entry.info.si_signo = ev ? ev->sigev_signo : SIGALRM;
	if (tm->notify == SIGEV_THREAD_ID) {
		target = task_by_tid(ev->_sigev_un._tid);
		if (!target)
			return -EINVAL;
		if (target->proc != t->proc) {
			task_put(target);
			return -EINVAL;
		}
		tm->task = target;
	}
	return 0;
}

/* A CPU clock by its dynamic number is one of a thread of this process, or of any process. */
static int set_clock(struct task *t, struct ptimer *tm, int clock)
{
	int id = timer_clock_id(clock);

	tm->clock = clock;
	if (clock == CLOCK_THREAD_CPUTIME_ID)
		tm->clock_task = task_get(t);
	if (clock >= 0)
		return 0;
	if (!timer_clock_of_thread(clock)) {
		tm->clock = CLOCK_PROCESS_CPUTIME_ID;
		tm->clock_proc = id && id != t->proc->pid ? proc_by_pid(id) : NULL;
		return id && id != t->proc->pid && !tm->clock_proc ? -EINVAL : 0;
	}
	tm->clock = CLOCK_THREAD_CPUTIME_ID;
	tm->clock_task = id ? task_by_tid(id) : task_get(t);
	return tm->clock_task && tm->clock_task->proc == t->proc ? 0 : -EINVAL;
}

int ptimer_create(struct task *t, int clock, const struct sigevent *ev)
{
	struct posix_timers *pt = t->proc->timers;
	struct ptimer *tm = calloc(1, sizeof(*tm));
	int r;

	if (!tm)
		return -EAGAIN;
	list_init(&tm->entry.node);
	tm->entry.embedded = true;
	r = set_clock(t, tm, clock);
	if (!r)
		r = set_notify(t, tm, ev);
	if (r) {
		free_timer(tm);
		return r;
	}
	pthread_mutex_lock(&pt->lock);
	/* A thread that leaves has looked for timers to let go of, or will when it gets the lock. */
	r = tm->task && tm->task->exiting ? -1 : free_slot(pt);
	if (r >= 0) {
		tm->id = r;
		pt->next = (r + 1) % TIMER_MAX;
		pt->high = MAX(pt->high, r + 1);
		tm->entry.info.si_code = SI_TIMER;
		tm->entry.info.si_timerid = r;
		if (ev)
			tm->entry.info.si_value = ev->sigev_value;
		else
			tm->entry.info.si_value.sival_int = r;
		pt->timer[r] = tm;
	}
	pthread_mutex_unlock(&pt->lock);
	if (r < 0) {
		free_timer(tm);
		return -EAGAIN;
	}
	return r;
}

static uint64_t clock_of_timer(struct proc *p, const struct ptimer *tm)
{
	return is_cpu_clock(tm->clock) ? now_of(p, tm) : clock_now_ns(tm->clock);
}

int ptimer_settime(struct proc *p, int id, bool absolute, const struct itimer_value *v,
		   struct itimer_value *old)
{
	struct posix_timers *pt = p->timers;
	struct itimer_value rel = *v;
	struct ptimer *tm;
	uint64_t now;

	pthread_mutex_lock(&pt->lock);
	tm = find(pt, id);
	if (tm) {
		get_value(p, tm, old);
		if (absolute && v->value) {
			now = clock_of_timer(p, tm);
			rel.value = v->value > now ? v->value - now : 1;
		}
		signal_cancel_entry(p, &tm->entry);
		tm->entry.delivered = tm->entry.overrun = 0;
		arm(p, tm, &rel);
	}
	pthread_mutex_unlock(&pt->lock);
	sandbox_wake();
	return tm ? 0 : -EINVAL;
}

int ptimer_gettime(struct proc *p, int id, struct itimer_value *out)
{
	struct ptimer *tm;

	pthread_mutex_lock(&p->timers->lock);
	tm = find(p->timers, id);
	if (tm)
		get_value(p, tm, out);
	pthread_mutex_unlock(&p->timers->lock);
	return tm ? 0 : -EINVAL;
}

int ptimer_overrun(struct proc *p, int id)
{
	struct ptimer *tm;
	int r = -EINVAL;

	pthread_mutex_lock(&p->timers->lock);
	tm = find(p->timers, id);
	if (tm)
		r = tm->entry.delivered;
	pthread_mutex_unlock(&p->timers->lock);
	return r;
}

int ptimer_delete(struct proc *p, int id)
{
	struct ptimer *tm;

	pthread_mutex_lock(&p->timers->lock);
	tm = find(p->timers, id);
	if (tm) {
		p->timers->timer[id] = NULL;
		signal_cancel_entry(p, &tm->entry);
	}
	pthread_mutex_unlock(&p->timers->lock);
	if (!tm)
		return -EINVAL;
	free_timer(tm);
	return 0;
}

void timers_exec(struct proc *p)
{
	int id;

	for (id = 0; id < TIMER_MAX; id++)
		if (ptimer_delete(p, id) && id >= p->timers->high)
			break;
}

void timers_task_exit(struct task *t)
{
	struct posix_timers *pt = t->proc->timers;
	struct task *drop;
	int i;

	for (i = 0; i < TIMER_MAX; i++) {
		drop = NULL;
		pthread_mutex_lock(&pt->lock);
		if (i >= pt->high) {
			pthread_mutex_unlock(&pt->lock);
			break;
		}
		if (pt->timer[i] && pt->timer[i]->task == t) {
			drop = t;
			pt->timer[i]->task = NULL;
			pt->timer[i]->armed = false;
			signal_cancel_entry(t->proc, &pt->timer[i]->entry);
		}
		pthread_mutex_unlock(&pt->lock);
		task_put(drop);
	}
}
