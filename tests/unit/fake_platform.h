/* A platform without hardware for unit tests: the window is plain host memory, an address space is a
 * table of pages, nothing runs. */
#ifndef SBX_TESTS_FAKE_PLATFORM_H
#define SBX_TESTS_FAKE_PLATFORM_H

#include "sentry/platform.h"

/* Size of the window of the next platform_create; 0: 8 GiB. */
extern size_t fake_window_size;

/* What platform_tsc_shared tells; 0 (the default): not shared. */
extern uint64_t fake_tsc_khz;
extern bool fake_tsc_variable; /* platform_tsc_invariant: not */

/* Reads or writes through an address space as the app's processor would: false on a page fault. */
bool fake_access(struct platform_as *as, uint64_t va, void *buf, size_t n, bool write);

/* Calls since the start. */
extern unsigned fake_maps, fake_unmaps, fake_protects, fake_commits;

/* Pages that are present in an address space. */
uint64_t fake_present(struct platform_as *as);

#endif
