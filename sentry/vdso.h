/* The vDSO: clocks without a system call. Owner: sentry/vdso.c, sentry/vdso/. */
#ifndef SBX_SENTRY_VDSO_H
#define SBX_SENTRY_VDSO_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "base/err.h"

struct mm;
struct platform;

/* Makes the image and its data page, once per process, after mm_global_init. Without a shared TSC
 * there is none, and programs make system calls: no error. */
int vdso_init(struct platform *p, struct sbx_err **e);

/* Gives the pages back (tests); no address space may have it mapped. */
void vdso_exit(void);

/* The page that app code reads, or NULL without a vDSO. For tests. */
struct vdso_data;
const struct vdso_data *vdso_page_data(void);

/* Fits the data page to the host's clocks anew. To be called about once a second, or as long as
 * vdso_on_trial, every VDSO_TRIAL_NS. A TSC that the CPU does not call steady is on trial first: programs make
 * system calls until a few measurements in turn have agreed on its rate, and again when one does not. */
#define VDSO_TRIAL_NS 110000000ull
void vdso_update(void);
bool vdso_on_trial(void);

/* A clock in nanoseconds, as the page tells it; false when it does not. */
bool vdso_read(clockid_t clock, uint64_t *ns);

/* The same for a clock that exists, by a system call where the page does not tell it. */
uint64_t vdso_now(clockid_t clock);

/* Maps the vDSO into a new address space and sets mm_layout(mm)->vdso; does nothing without one.
 * 0 or -errno. */
int vdso_map(struct mm *mm);

#endif
