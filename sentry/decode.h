/* Copy-in of system call arguments by their kinds. Owner: sentry/decode.c. */
#ifndef SBX_SENTRY_DECODE_H
#define SBX_SENTRY_DECODE_H

#include "sentry/sys.h"

/* What one call in progress needs; one per task, reused. */
struct task_scratch {
	struct sysargs args;
	struct vpath vpath[SYS_MAX_PATHS];
	bool resolved[SYS_MAX_PATHS]; /* vpath holds references */
	bool tried[SYS_MAX_PATHS];
	char path[SYS_MAX_PATHS][PATH_MAX];
	char str[PATH_MAX];
};

/* Buffers of a task for its call in progress. 0 or -1 (out of memory). */
int decode_scratch_alloc(struct task *t);
void decode_scratch_free(struct task *t);

/* Fills the task's sysargs from its registers: scalars, descriptors, strings, structures,
 * addresses. Errors of single arguments are kept in it, for the handler to return. d may be NULL
 * (an unknown call: raw registers). The result is the task's until decode_end. */
struct sysargs *decode_begin(struct task *t, uint32_t nr, const struct sys_desc *d);

/* Resolves path argument k (once; later calls return the same). Its -errno, also kept in err. */
int decode_resolve(struct task *t, struct sysargs *a, int k);

/* Index into a->path of argument argno, or -1. */
int decode_path_index(const struct sysargs *a, unsigned argno);

/* Releases everything that decoding holds. */
void decode_end(struct task *t, struct sysargs *a);

#endif
