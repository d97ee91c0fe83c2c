/* Sparse map from page index to window page: a radix tree whose leaves cover 2 MiB of addresses.
 * Not locked: the owner's lock guards it. */
#ifndef SBX_SENTRY_PAGEMAP_H
#define SBX_SENTRY_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>

#define PAGEMAP_INDEX_BITS 35 /* 47-bit addresses */
#define PAGEMAP_NONE	   UINT32_MAX

struct pagemap_mid;
struct pagemap {
	struct pagemap_mid **root; /* allocated by the first set */
	uint64_t pages;		   /* populated entries */
};

/* Window page at index, or PAGEMAP_NONE. */
uint32_t pagemap_get(const struct pagemap *m, uint64_t index);

/* Makes room so that pagemap_set of [index, index+n) cannot fail. 0 or -ENOMEM. */
int pagemap_reserve(struct pagemap *m, uint64_t index, uint64_t n);

/* Sets a reserved entry; page PAGEMAP_NONE clears it (no reservation needed). */
void pagemap_set(struct pagemap *m, uint64_t index, uint32_t page);

/* A maximal run of populated entries with consecutive window pages. */
struct pagemap_run {
	uint64_t index;
	uint32_t page;
	uint32_t n; /* at most 512: a run does not leave its leaf */
};

/* First run at or after index and before end. False when there is none. */
bool pagemap_next_run(const struct pagemap *m, uint64_t index, uint64_t end,
		      struct pagemap_run *out);

/* Clears the entries [index, index+n) of one run and frees an emptied leaf. */
void pagemap_clear(struct pagemap *m, uint64_t index, uint32_t n);

/* Frees the tree; entries are forgotten. */
void pagemap_free(struct pagemap *m);

#endif
