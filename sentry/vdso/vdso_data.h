/* The page that the vDSO reads: written by the sentry (sentry/vdso.c), read by app code. */
#ifndef SBX_SENTRY_VDSO_DATA_H
#define SBX_SENTRY_VDSO_DATA_H

#include <stdint.h>

/* A clock is base + (tsc - tsc_base) * mult / 2^32 nanoseconds. Everything in a set was written
 * together. */
struct vdso_set {
	uint64_t tsc_base;
	uint64_t mono_base, mono_mult;
	uint64_t raw_base, raw_mult;
	uint64_t real_offset; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
	uint64_t boot_offset; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC */
};

/* Set seq & 1 is valid; the writer prepares the other one and then increments seq, so that readers
 * never wait. A reader whose seq changed meanwhile starts again. */
struct vdso_data {
	uint32_t seq;
	uint32_t usable; /* 0: make system calls */
	uint64_t coarse_ns; /* resolution of the coarse clocks */
	struct vdso_set set[2];
};

_Static_assert(sizeof(struct vdso_data) <= 4096, "the data is one page");

#endif
