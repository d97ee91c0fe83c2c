/* The vDSO: clocks without a system call. Owner: sentry/vdso.c, sentry/vdso/. */
#ifndef SBX_SENTRY_VDSO_H
#define SBX_SENTRY_VDSO_H

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

/* Fits the data page to the host's clocks anew. To be called about once a second. */
void vdso_update(void);

/* Maps the vDSO into a new address space and sets mm_layout(mm)->vdso; does nothing without one.
 * 0 or -errno. */
int vdso_map(struct mm *mm);

#endif
