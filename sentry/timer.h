/* Interval timers, POSIX timers and time arithmetic. Owner: sentry/timer.c.
 * Timers of a process hang in its struct posix_timers; the housekeeping loop fires them. */
#ifndef SBX_SENTRY_TIMER_H
#define SBX_SENTRY_TIMER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

struct posix_timers;
struct proc;
struct task;

#define TIME_NSEC 1000000000ull
#define TIME_MAX  INT64_MAX /* saturated times */

static inline bool timespec_valid(const struct timespec *ts)
{
	return ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < (long)TIME_NSEC;
}

/* Saturates at TIME_MAX; ts is valid. */
static inline uint64_t timespec_to_ns(const struct timespec *ts)
{
	if ((uint64_t)ts->tv_sec >= TIME_MAX / TIME_NSEC)
		return TIME_MAX;
	return (uint64_t)ts->tv_sec * TIME_NSEC + (uint64_t)ts->tv_nsec;
}

static inline struct timespec ns_to_timespec(uint64_t ns)
{
	return (struct timespec){(time_t)(ns / TIME_NSEC), (long)(ns % TIME_NSEC)};
}

static inline uint64_t ns_add(uint64_t a, uint64_t b)
{
	return a > TIME_MAX - b ? TIME_MAX : a + b;
}

/* The host's clock, in nanoseconds. */
static inline uint64_t clock_now_ns(int clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * TIME_NSEC + (uint64_t)ts.tv_nsec;
}

/* Reads a clock of the app, CPU clocks included. 0 or -EINVAL. */
int clock_read(struct task *t, int clock, uint64_t *ns);

struct posix_timers *timers_create(void);
void timers_destroy(struct posix_timers **pt);
/* Fires what is due at now (CLOCK_MONOTONIC); returns when the next one is, or UINT64_MAX. */
uint64_t timers_run(struct proc *p, uint64_t now);
/* execve: POSIX timers go, interval timers stay. */
void timers_exec(struct proc *p);
/* Forgets timers that signal a thread that ends. */
void timers_task_exit(struct task *t);

/* setitimer and getitimer in nanoseconds; which is ITIMER_*. 0 or -EINVAL. */
struct itimer_value {
	uint64_t value, interval;
};
int itimer_get(struct proc *p, int which, struct itimer_value *out);
int itimer_set(struct proc *p, int which, const struct itimer_value *v, struct itimer_value *old);

/* Dynamic numbers of CPU clocks: whose they are, 0 for the caller; of a thread? */
static inline int timer_clock_id(int clock)
{
	return ~(clock >> 3);
}

static inline bool timer_clock_of_thread(int clock)
{
	return clock & 4;
}

/* timer_create ...: id or 0, or -errno. ev is the checked sigevent; NULL: SIGALRM, value = id. */
int ptimer_create(struct task *t, int clock, const struct sigevent *ev);
int ptimer_settime(struct proc *p, int id, bool absolute, const struct itimer_value *v,
		   struct itimer_value *old);
int ptimer_gettime(struct proc *p, int id, struct itimer_value *out);
int ptimer_overrun(struct proc *p, int id);
int ptimer_delete(struct proc *p, int id);

#endif
