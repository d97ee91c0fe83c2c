/* Inside of sentry/pgpool.c, pgblocks.c and pgrange.c: nobody else includes this. */
#ifndef SBX_SENTRY_PGPOOL_INT_H
#define SBX_SENTRY_PGPOOL_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include "sentry/pgpool.h"

#define STEP	      (1ull << 30) /* the window is taken in steps of this size */
#define BIG_PAGES     (1u << PGPOOL_MAX_ORDER)
#define NONE	      UINT32_MAX
#define BATCH_RUNS    64
#define BATCH_PAGES   1024 /* freed pages waiting for the host to drop their contents */
#define WARM_ORDER    4	   /* largest order of blocks that are used again as they are */
#define WARM_PAGES    512  /* of them, for each order */
#define PAGES_OF(len) ((len) >> PGPOOL_SHIFT)

/* What a step of the window holds. Blocks of the largest order come from steps where the host uses
 * large pages, all others from steps where it does not, so that a small program stays small. */
enum { KIND_NONE, KIND_SMALL, KIND_BIG, KIND_FILE, KIND_SPLIT };
#define LIST_BIG (PGPOOL_MAX_ORDER + 1) /* free list of whole blocks in steps of large pages */

struct link {
	uint32_t next, prev;
};

struct run {
	uint32_t page, n;
};

struct batch {
	struct run run[BATCH_RUNS];
	unsigned n;
	uint64_t pages;
};

struct pgpool {
	pthread_mutex_t lock;
	struct platform *platform;
	uint8_t *base;
	uint64_t size;
	uint64_t next_off;     /* the window above is not taken yet */
	/* The first step is divided: small pages, large pages from split, files from twice that. */
	uint64_t split;
	uint8_t *step_kind;    /* per step */
	uint32_t fresh[2], fresh_end[2]; /* pages never given out: small, big */
	_Atomic uint32_t *refs;
	_Atomic uint16_t *holders; /* address spaces that hold a private page */
	struct link *links;    /* of free blocks, at their first page */
	uint8_t *free_order;   /* 1 + order at the first page of a free block */
	uint8_t *made;	       /* the host was made to have the page, and was not made to drop it */
	size_t meta_pages;
	uint32_t head[LIST_BIG + 1];
	/* Freed pages that the host has not dropped yet: blocks that it is known to hold, which are
	 * cheaper to clear than to drop and make again, and others. */
	uint32_t warm[WARM_ORDER + 1];
	uint64_t warm_pages[WARM_ORDER + 1];
	struct batch dirty;
	uint64_t dropping;     /* pages that some thread is having dropped, with no lock held */
	pthread_cond_t dropped;
	bool took_files;
	uint64_t used;	       /* anonymous pages in use */
	uint64_t limit;	       /* pages; 0: none */
	uint64_t check_at;     /* look at the host's figure when used gets here */
	/* Pages that the sentry itself had at the start: anonymous, all. */
	uint64_t own, own_all;
	int statm;
};
extern struct pgpool pgpool;

/* ---- pgblocks.c; pool locked ---- */

/* Is page where the host uses large pages? No lock. */
bool pgblocks_is_big(uint32_t page);
/* A block of 2^order pages of zeros; false: the window is used up. */
bool pgblocks_take(unsigned order, uint32_t *page);
/* Frees pages of zeros, a run that need not be aligned. */
void pgblocks_free(uint32_t page, uint32_t n);

/* ---- for pgrange.c ---- */

/* Takes more of the window for file mappings: at least len bytes, except at the first call. 0 with
 * *off and *got, or -ENOMEM. */
int pgpool_take_files(uint64_t len, uint64_t *off, uint64_t *got);
/* Forgets all ranges. */
void pgrange_exit(void);

#endif
