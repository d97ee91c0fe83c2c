/* Reading the clocks from the data page; used by the vDSO and by the sentry's tests of it. */
#ifndef SBX_SENTRY_VDSO_CLOCK_H
#define SBX_SENTRY_VDSO_CLOCK_H

#include <stdbool.h>
#include <time.h>
#include "sentry/vdso/vdso_data.h"

#define VDSO_NS 1000000000ull

static inline uint64_t vdso_tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* A TSC read on another processor may be a little behind the base: that counts as no time. */
static inline uint64_t vdso_scale(const struct vdso_set *s, uint64_t tsc, uint64_t mult)
{
	if ((int64_t)(tsc - s->tsc_base) < 0)
		return 0;
	return (uint64_t)(((unsigned __int128)(tsc - s->tsc_base) * mult) >> 32);
}

static inline bool vdso_set_ns(const struct vdso_data *d, const struct vdso_set *s, int clock,
			       uint64_t *ns)
{
	uint64_t tsc = vdso_tsc(), mono = s->mono_base + vdso_scale(s, tsc, s->mono_mult);

	switch (clock) {
	case CLOCK_MONOTONIC:
		*ns = mono;
		return true;
	case CLOCK_REALTIME:
		*ns = mono + s->real_offset;
		return true;
	case CLOCK_BOOTTIME:
		*ns = mono + s->boot_offset;
		return true;
	case CLOCK_MONOTONIC_RAW:
		*ns = s->raw_base + vdso_scale(s, tsc, s->raw_mult);
		return true;
	case CLOCK_MONOTONIC_COARSE:
		*ns = mono - mono % d->coarse_ns;
		return true;
	case CLOCK_REALTIME_COARSE:
		*ns = mono - mono % d->coarse_ns + s->real_offset;
		return true;
	default:
		return false;
	}
}

/* The clock in nanoseconds; false when only a system call can tell. */
static inline bool vdso_clock_ns(const struct vdso_data *d, int clock, uint64_t *ns)
{
	uint32_t seq;
	bool ok;

	if (!__atomic_load_n(&d->usable, __ATOMIC_RELAXED))
		return false;
	do {
		seq = __atomic_load_n(&d->seq, __ATOMIC_ACQUIRE);
		ok = vdso_set_ns(d, &d->set[seq & 1], clock, ns);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&d->seq, __ATOMIC_RELAXED) != seq);
	return ok;
}

#endif
