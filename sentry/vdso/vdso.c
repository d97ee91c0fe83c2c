/* The vDSO image: app code. Freestanding, position independent, no relocations, no writable data. */
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include "sentry/vdso/clock.h"

#define EXPORT __attribute__((visibility("default")))

/* The page before the image: placed by vdso.lds. */
extern const struct vdso_data vdso_page __attribute__((visibility("hidden")));

EXPORT int __vdso_clock_gettime(clockid_t clock, struct timespec *ts);
EXPORT int __vdso_clock_getres(clockid_t clock, struct timespec *ts);
EXPORT int __vdso_gettimeofday(struct timeval *tv, struct timezone *tz);
EXPORT time_t __vdso_time(time_t *t);

static long call2(long nr, long a, long b)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b)
			 : "rcx", "r11", "memory");
	return ret;
}

int __vdso_clock_gettime(clockid_t clock, struct timespec *ts)
{
	uint64_t ns;

	if (!vdso_clock_ns(&vdso_page, clock, &ns))
		return (int)call2(SYS_clock_gettime, clock, (long)ts);
	ts->tv_sec = (time_t)(ns / VDSO_NS);
	ts->tv_nsec = (long)(ns % VDSO_NS);
	return 0;
}

int __vdso_clock_getres(clockid_t clock, struct timespec *ts)
{
	uint64_t ns;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_BOOTTIME:
		ns = 1;
		break;
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		ns = vdso_page.coarse_ns;
		break;
	default:
		ns = 0;
	}
	if (!ns || !vdso_page.usable)
		return (int)call2(SYS_clock_getres, clock, (long)ts);
	if (ts) {
		ts->tv_sec = (time_t)(ns / VDSO_NS);
		ts->tv_nsec = (long)(ns % VDSO_NS);
	}
	return 0;
}

int __vdso_gettimeofday(struct timeval *tv, struct timezone *tz)
{
	uint64_t ns;

	if (tz || !vdso_clock_ns(&vdso_page, CLOCK_REALTIME, &ns))
		return (int)call2(SYS_gettimeofday, (long)tv, (long)tz);
	if (tv) {
		tv->tv_sec = (time_t)(ns / VDSO_NS);
		tv->tv_usec = (suseconds_t)(ns % VDSO_NS / 1000);
	}
	return 0;
}

time_t __vdso_time(time_t *t)
{
	uint64_t ns;
	time_t now;

	if (!vdso_clock_ns(&vdso_page, CLOCK_REALTIME_COARSE, &ns))
		return (time_t)call2(SYS_time, (long)t, 0);
	now = (time_t)(ns / VDSO_NS);
	if (t)
		*t = now;
	return now;
}

int clock_gettime(clockid_t, struct timespec *) __attribute__((weak, alias("__vdso_clock_gettime")))
EXPORT;
int clock_getres(clockid_t, struct timespec *) __attribute__((weak, alias("__vdso_clock_getres")))
EXPORT;
int gettimeofday(struct timeval *restrict, void *restrict)
	__attribute__((weak, alias("__vdso_gettimeofday"))) EXPORT;
time_t time(time_t *) __attribute__((weak, alias("__vdso_time"))) EXPORT;
