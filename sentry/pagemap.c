#include <errno.h>
#include <stdlib.h>
#include "sentry/pagemap.h"

#define ROOT_BITS  8
#define LEVEL_BITS 9
#define LEVEL_SIZE (1u << LEVEL_BITS)
#define LEVEL_MASK (LEVEL_SIZE - 1)

struct leaf {
	uint32_t used;
	uint32_t page[LEVEL_SIZE]; /* window page + 1; 0: none */
};

struct pagemap_low {
	struct leaf *leaf[LEVEL_SIZE];
};

struct pagemap_mid {
	struct pagemap_low *low[LEVEL_SIZE];
};

static unsigned root_slot(uint64_t index)
{
	return (unsigned)(index >> (3 * LEVEL_BITS)) & ((1u << ROOT_BITS) - 1);
}

static unsigned mid_slot(uint64_t index)
{
	return (unsigned)(index >> (2 * LEVEL_BITS)) & LEVEL_MASK;
}

static unsigned low_slot(uint64_t index)
{
	return (unsigned)(index >> LEVEL_BITS) & LEVEL_MASK;
}

/* The leaf of index, or NULL; *skip is then the first index that may have one. */
static struct leaf *find_leaf(const struct pagemap *m, uint64_t index, uint64_t *skip)
{
	struct pagemap_mid *mid = m->root ? m->root[root_slot(index)] : NULL;
	struct pagemap_low *low;
	struct leaf *leaf;

	if (!mid) {
		*skip = ((index >> (3 * LEVEL_BITS)) + 1) << (3 * LEVEL_BITS);
		return NULL;
	}
	low = mid->low[mid_slot(index)];
	if (!low) {
		*skip = ((index >> (2 * LEVEL_BITS)) + 1) << (2 * LEVEL_BITS);
		return NULL;
	}
	leaf = low->leaf[low_slot(index)];
	if (!leaf)
		*skip = ((index >> LEVEL_BITS) + 1) << LEVEL_BITS;
	return leaf;
}

uint32_t pagemap_get(const struct pagemap *m, uint64_t index)
{
	uint64_t skip;
	struct leaf *leaf = find_leaf(m, index, &skip);

	return leaf ? leaf->page[index & LEVEL_MASK] - 1 : PAGEMAP_NONE;
}

static struct leaf *make_leaf(struct pagemap *m, uint64_t index)
{
	struct pagemap_mid **mid;
	struct pagemap_low **low;
	struct leaf **leaf;

	if (!m->root)
		m->root = calloc(1u << ROOT_BITS, sizeof(*m->root));
	if (!m->root)
		return NULL;
	mid = &m->root[root_slot(index)];
	if (!*mid)
		*mid = calloc(1, sizeof(**mid));
	if (!*mid)
		return NULL;
	low = &(*mid)->low[mid_slot(index)];
	if (!*low)
		*low = calloc(1, sizeof(**low));
	if (!*low)
		return NULL;
	leaf = &(*low)->leaf[low_slot(index)];
	if (!*leaf)
		*leaf = calloc(1, sizeof(**leaf));
	return *leaf;
}

int pagemap_reserve(struct pagemap *m, uint64_t index, uint64_t n)
{
	uint64_t i = index & ~(uint64_t)LEVEL_MASK;

	for (; i < index + n; i += LEVEL_SIZE)
		if (!make_leaf(m, i))
			return -ENOMEM;
	return 0;
}

void pagemap_set(struct pagemap *m, uint64_t index, uint32_t page)
{
	uint64_t skip;
	struct leaf *leaf;
	uint32_t *slot;

	if (page == PAGEMAP_NONE) {
		pagemap_clear(m, index, 1);
		return;
	}
	leaf = find_leaf(m, index, &skip);
	slot = &leaf->page[index & LEVEL_MASK];
	if (!*slot) {
		leaf->used++;
		m->pages++;
	}
	*slot = page + 1;
}

bool pagemap_next_run(const struct pagemap *m, uint64_t index, uint64_t end,
		      struct pagemap_run *out)
{
	while (index < end) {
		uint64_t skip;
		struct leaf *leaf = find_leaf(m, index, &skip);
		unsigned i, n;
		uint64_t left;

		if (!leaf) {
			index = skip;
			continue;
		}
		i = index & LEVEL_MASK;
		while (i < LEVEL_SIZE && !leaf->page[i])
			i++;
		index = (index & ~(uint64_t)LEVEL_MASK) + i;
		if (i == LEVEL_SIZE || index >= end)
			continue;
		left = end - index;
		for (n = 1; i + n < LEVEL_SIZE && n < left; n++)
			if (leaf->page[i + n] != leaf->page[i] + n)
				break;
		*out = (struct pagemap_run){.index = index, .page = leaf->page[i] - 1, .n = n};
		return true;
	}
	return false;
}

void pagemap_clear(struct pagemap *m, uint64_t index, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++, index++) {
		uint64_t skip;
		struct leaf *leaf = find_leaf(m, index, &skip);

		if (!leaf || !leaf->page[index & LEVEL_MASK])
			continue;
		leaf->page[index & LEVEL_MASK] = 0;
		m->pages--;
		if (--leaf->used)
			continue;
		m->root[root_slot(index)]->low[mid_slot(index)]->leaf[low_slot(index)] = NULL;
		free(leaf);
	}
}

static void free_mid(struct pagemap_mid *mid)
{
	for (unsigned i = 0; i < LEVEL_SIZE; i++) {
		if (!mid->low[i])
			continue;
		for (unsigned k = 0; k < LEVEL_SIZE; k++)
			free(mid->low[i]->leaf[k]);
		free(mid->low[i]);
	}
	free(mid);
}

void pagemap_free(struct pagemap *m)
{
	if (!m->root)
		return;
	for (unsigned i = 0; i < 1u << ROOT_BITS; i++)
		if (m->root[i])
			free_mid(m->root[i]);
	free(m->root);
	m->root = NULL;
	m->pages = 0;
}
