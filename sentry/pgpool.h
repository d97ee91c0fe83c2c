/* The window's pages. Anonymous pages come in naturally aligned blocks of 2^order pages, are
 * counted one by one, and are zero when they are given out. File mappings get whole ranges.
 * One pool per process; thread safe. */
#ifndef SBX_SENTRY_PGPOOL_H
#define SBX_SENTRY_PGPOOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sentry/extents.h"
#include "sentry/platform.h"

#define PGPOOL_MAX_ORDER 9 /* 2 MiB */
#define PGPOOL_SHIFT	 12

/* limit_bytes: 0 for none. */
int pgpool_init(struct platform *p, uint64_t limit_bytes, struct sbx_err **e);

/* Forgets the pool (tests); no page may be in use. */
void pgpool_exit(void);

/* Host address of a window offset. */
uint8_t *pgpool_host(uint64_t off);
/* Inverse; false when p is not inside the window. */
bool pgpool_offset(const void *p, uint64_t *off);

/* A page with one reference and a copy of the page from. 0, or -ENOMEM. */
int pgpool_alloc_copy(uint32_t from, uint32_t *page);

/* Allocates a block of at most 2^*order pages, each with one reference; *order tells how many it
 * became (less when memory is short). 0, or -ENOMEM when the memory limit is reached. */
int pgpool_alloc(unsigned *order, uint32_t *page);

/* References of single pages. A page whose last reference goes may be given to somebody else, with
 * zeros in it, so the caller must have removed its translations. */
void pgpool_get(uint32_t page);
void pgpool_put(uint32_t page, uint32_t n);
uint32_t pgpool_refs(uint32_t page);

/* How many address spaces hold a private page: one from pgpool_alloc on, one more with each fork.
 * Only who holds a page alone may write to it; others copy it first. pgpool_share takes a reference
 * for one more holder, pgpool_leave drops the references of one holder. */
void pgpool_share(uint32_t page, uint32_t n);
void pgpool_leave(uint32_t page, uint32_t n);
bool pgpool_shared(uint32_t page);
uint32_t pgpool_holders(uint32_t page); /* at least 1 */

/* Drops the contents of pages that stay allocated: they read as zero afterwards. */
void pgpool_discard(uint32_t page, uint32_t n);

/* Has the host make these pages now: cheaper in one go than one by one at their first use. */
void pgpool_populate(uint32_t page, uint32_t n);

/* True when off belongs to anonymous pages, false for file ranges. */
bool pgpool_is_anon(uint64_t off);

/* A range of the window for host file mappings: reserved and committed, PROT_NONE until the
 * owner maps into it. Reference counted; after the last put it is PROT_NONE again. */
struct pgrange {
	struct extent at;
	uint32_t refs; /* guarded by the ranges' lock */
	bool shared;   /* holds a MAP_SHARED mapping: set with pgrange_shared */
	atomic_bool forked; /* several address spaces use it: it stays mapped until the last put */
	atomic_bool populated; /* the host was made to map all of it */
};
int pgrange_create(uint64_t len, struct pgrange **out); /* 0 or -ENOMEM */
struct pgrange *pgrange_get(struct pgrange *r);
void pgrange_put(struct pgrange *r);
/* A put by who used [off, off+len) of the window, in r: the host's pages there go at once, unless
 * other address spaces use r too. */
void pgrange_drop(struct pgrange *r, uint64_t off, uint64_t len);
/* To be called before a MAP_SHARED mapping is used through the range. */
void pgrange_shared(struct pgrange *r);
/* Takes a reference on the range that contains off, for pins. NULL when there is none. */
struct pgrange *pgrange_at(uint64_t off);

/* Unmaps the host's file pages of [off, off+len), leaving PROT_NONE. */
void pgrange_punch(uint64_t off, uint64_t len);

/* Bytes of anonymous pages in use (made present, touched or not), and the limit. */
uint64_t pgpool_used(void);
uint64_t pgpool_limit(void);

/* Bytes that the host holds for the program; 0 when it cannot be told. */
uint64_t pgpool_resident(void);

/* Of so many bytes held for the whole process, those that are not the sentry's own. */
uint64_t pgpool_program_share(uint64_t bytes);

/* True when the sandbox holds more memory than its limit allows. For the housekeeper. */
bool pgpool_over_limit(void);

#endif
