/* What the memory tests share: an address space over the fake platform, and files that are plain host
 * descriptors. Include after cmocka.h. */
#ifndef SBX_TESTS_MM_FIXTURE_H
#define SBX_TESTS_MM_FIXTURE_H

#include "sentry/file.h"
#include "sentry/mm.h"

extern struct platform *fixture_platform;

/* Sets up the fake platform and the page pool with a memory limit (0: none). */
void fixture_start(uint64_t limit);
void fixture_stop(void);

/* Installs gmem's recovery again: cmocka has handlers of its own for each test. */
void fixture_catch_faults(void);

struct mm *fixture_mm(void);

/* A file with len bytes of a pattern: byte i is (i >> 12) + i. */
struct file *fixture_file(size_t len, unsigned flags);
/* A file with these bytes. */
struct file *fixture_file_with(const void *data, size_t len);

/* Access as the app would make it: faults, retries. 0, or the mm_fault_result that refused. */
int fixture_access(struct mm *mm, uint64_t va, void *buf, size_t n, bool write);

#endif
