/* One app process over the fake platform, with its tasks, for tests of the sentry's core. Nothing
 * runs: the test plays the app's part. */
#ifndef SBX_TESTS_TASK_FIXTURE_H
#define SBX_TESTS_TASK_FIXTURE_H

#include "sentry/task.h"

/* A process with an address space, a descriptor table and one task, which becomes `current`. Aborts
 * when something is missing. */
struct task *task_fixture_start(void);

/* Ends every task of t's process and the process. */
void task_fixture_stop(struct task *t);

/* Another task of the same process, for a test thread to be. */
struct task *task_fixture_add(struct task *t);

/* Maps len zeroed bytes, readable and writable; the address. */
uint64_t task_fixture_map(struct task *t, uint64_t len);

#endif
