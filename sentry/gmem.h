/* The only door to app memory. Every function faults pages in as the app itself would, checks
 * protections of the app's mapping, and survives host pages that vanish (truncated files).
 * Copy in once, check the copy, act on the copy. */
#ifndef SBX_SENTRY_GMEM_H
#define SBX_SENTRY_GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "base/err.h"

struct mm;

/* An address of the app: never dereferenced, never a host pointer. */
struct gptr {
	uint64_t addr;
};

static inline struct gptr gptr_at(uint64_t addr)
{
	return (struct gptr){addr};
}

/* Installs handlers of SIGBUS and SIGSEGV that turn a fault inside the copy routines into -EFAULT;
 * other faults go to the handlers that were there before. Called once, by mm_global_init. */
int gmem_init(struct sbx_err **e);
/* For another handler of those signals: true when the fault was one of a copy routine; the context
 * then goes on in its recovery path. Async-signal-safe. */
bool gmem_fixup(void *ucontext);

/* All or nothing to the caller: 0 or -EFAULT. n bounded by the caller. */
int gmem_read(struct mm *mm, void *dst, struct gptr src, size_t n);
int gmem_write(struct mm *mm, struct gptr dst, const void *src, size_t n);
int gmem_zero(struct mm *mm, struct gptr dst, size_t n);

/* Copies a NUL-terminated string; returns its length, -EFAULT, or -ENAMETOOLONG when no NUL is
 * found in max bytes. dst has room for max. */
ssize_t gmem_read_str(struct mm *mm, char *dst, struct gptr src, size_t max);

/* gmem_copy.S: copies between host addresses, of pinned app memory or not, that may fault (a file that
 * shrinks); how many bytes are left. */
size_t gmem_copy_raw(void *dst, const void *src, size_t n);

/* Futex words: 4-byte aligned; 0 or -EFAULT. */
int gmem_load32(struct mm *mm, struct gptr p, uint32_t *val);
int gmem_cmpxchg32(struct mm *mm, struct gptr p, uint32_t *expected, uint32_t desired, bool *ok);

/* Bulk I/O in place: app ranges turned into pinned host iovecs over window pages. A pinned page is
 * not given to another use before gmem_unpin, even if the app unmaps it meanwhile. The prefix that
 * is accessible is pinned; *total is its length (0 < *total), or -EFAULT when not even the first
 * byte is. At most GMEM_IOV_MAX host segments: longer requests become short I/O. */
#define GMEM_IOV_MAX 256
struct gmem_pin {
	struct mm *mm;
	struct iovec iov[GMEM_IOV_MAX];
	int niov;
	size_t total;
};
int gmem_pin(struct mm *mm, struct gptr p, size_t len, bool for_write, struct gmem_pin *out);
/* As gmem_pin over an app iovec array that was already copied in (base fields are app addresses). */
int gmem_pin_iov(struct mm *mm, const struct iovec *app_iov, int n, bool for_write,
		 struct gmem_pin *out);
void gmem_unpin(struct gmem_pin *pin);
/* Copies from pinned memory, which the host may fail to have (a truncated file): 0 or -EFAULT. */
int gmem_copy_pinned(void *dst, const void *src, size_t n);

/* Copies in an app iovec array: n <= 1024, lengths checked to sum to at most MAX_RW_COUNT
 * (excess is cut, as Linux does). dst has room for n. 0, -EFAULT or -EINVAL. */
int gmem_read_iov(struct mm *mm, struct gptr src, size_t n, struct iovec *dst);

/* Identity of a futex word for shared futexes: stable key of the page behind p, or *private for memory
 * that no other process can have: there the address is the identity. 0 or -EFAULT. */
int gmem_key(struct mm *mm, struct gptr p, uint64_t *key, bool *private);

#endif
