/* Free blocks of the window's pages, buddies joined; and how the window is taken. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "base/overflow.h"
#include "sentry/pgpool_int.h"

bool pgblocks_is_big(uint32_t page)
{
	uint64_t off = (uint64_t)page << PGPOOL_SHIFT;
	uint8_t kind = pgpool.step_kind[off / STEP];

	return kind == KIND_SPLIT ? off >= pgpool.split : kind == KIND_BIG;
}

static int map_anon(uint64_t off, uint64_t len, bool big)
{
	void *p = mmap(pgpool.base + off, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	madvise(p, len, big ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return 0;
}

static int take_first(void)
{
	uint64_t len = MIN(STEP, pgpool.size), split = len / 4;

	split = ALIGN_DOWN(split, (uint64_t)BIG_PAGES * PLATFORM_PAGE);
	if (platform_window_commit(pgpool.platform, 0, len) < 0 || map_anon(0, split, false) < 0 ||
	    map_anon(split, split, true) < 0)
		return -ENOMEM;
	pgpool.step_kind[0] = KIND_SPLIT;
	pgpool.split = split;
	pgpool.fresh_end[0] = pgpool.fresh[1] = (uint32_t)PAGES_OF(split);
	pgpool.fresh_end[1] = (uint32_t)PAGES_OF(2 * split);
	pgpool.next_off = len;
	return 0;
}

/* Takes at least len more bytes of the window for kind; *off and *got say where. */
static int take_steps(uint64_t len, uint8_t kind, uint64_t *off, uint64_t *got)
{
	uint64_t want = ALIGN_UP(len, STEP), left = pgpool.size - pgpool.next_off;

	want = MIN(want, left);
	if (want < len || !want)
		return -ENOMEM;
	if (platform_window_commit(pgpool.platform, pgpool.next_off, want) < 0)
		return -ENOMEM;
	if (kind != KIND_FILE && map_anon(pgpool.next_off, want, kind == KIND_BIG) < 0)
		return -ENOMEM;
	for (uint64_t o = 0; o < want; o += STEP)
		pgpool.step_kind[(pgpool.next_off + o) / STEP] = kind;
	*off = pgpool.next_off;
	*got = want;
	pgpool.next_off += want;
	return 0;
}

/* ---- free blocks ---- */

static unsigned list_of(uint32_t page, unsigned order)
{
	return order == PGPOOL_MAX_ORDER && pgblocks_is_big(page) ? LIST_BIG : order;
}

static void block_push(uint32_t page, unsigned order)
{
	unsigned list = list_of(page, order);
	uint32_t head = pgpool.head[list];

	pgpool.links[page] = (struct link){.next = head, .prev = NONE};
	if (head != NONE)
		pgpool.links[head].prev = page;
	pgpool.head[list] = page;
	pgpool.free_order[page] = (uint8_t)(order + 1);
}

static void block_remove(uint32_t page, unsigned order)
{
	struct link l = pgpool.links[page];

	if (l.prev != NONE)
		pgpool.links[l.prev].next = l.next;
	else
		pgpool.head[list_of(page, order)] = l.next;
	if (l.next != NONE)
		pgpool.links[l.next].prev = l.prev;
	pgpool.free_order[page] = 0;
}

/* Gives a block back, joined with its free buddies. */
static void block_free(uint32_t page, unsigned order)
{
	while (order < PGPOOL_MAX_ORDER) {
		uint32_t buddy = page ^ (1u << order);

		if (pgpool.free_order[buddy] != order + 1)
			break;
		block_remove(buddy, order);
		page = MIN(page, buddy);
		order++;
	}
	block_push(page, order);
}

void pgblocks_free(uint32_t page, uint32_t n)
{
	while (n) {
		unsigned order = 0;

		while (order < PGPOOL_MAX_ORDER && !(page & ((2u << order) - 1)) &&
		       (2u << order) <= n)
			order++;
		block_free(page, order);
		page += 1u << order;
		n -= 1u << order;
	}
}

static bool fresh_block(bool big, uint32_t *page)
{
	uint8_t kind = big ? KIND_BIG : KIND_SMALL;
	uint64_t off, got;

	if (!pgpool.next_off && take_first() < 0)
		return false;
	if (pgpool.fresh[big] == pgpool.fresh_end[big]) {
		if (take_steps(STEP, kind, &off, &got) < 0 &&
		    take_steps(BIG_PAGES * PLATFORM_PAGE, kind, &off, &got) < 0)
			return false;
		pgpool.fresh[big] = (uint32_t)PAGES_OF(off);
		pgpool.fresh_end[big] = (uint32_t)PAGES_OF(off + got);
	}
	*page = pgpool.fresh[big];
	pgpool.fresh[big] += BIG_PAGES;
	return true;
}

/* The list to take a block of order from: the smallest that has one, large pages last unless they
 * are what is wanted. LIST_BIG + 1: none. */
static unsigned find_list(unsigned order)
{
	unsigned list;

	if (order == PGPOOL_MAX_ORDER && pgpool.head[LIST_BIG] != NONE)
		return LIST_BIG;
	for (list = order; list < LIST_BIG && pgpool.head[list] == NONE; list++)
		;
	return list < LIST_BIG ? list : LIST_BIG + 1;
}

bool pgblocks_take(unsigned order, uint32_t *page)
{
	unsigned list = find_list(order), have = MIN(list, (unsigned)PGPOOL_MAX_ORDER);
	bool big = order == PGPOOL_MAX_ORDER;

	if (list <= LIST_BIG) {
		*page = pgpool.head[list];
		block_remove(*page, have);
	} else if (!fresh_block(big, page)) {
		if (pgpool.head[LIST_BIG] != NONE) {
			*page = pgpool.head[LIST_BIG];
			block_remove(*page, PGPOOL_MAX_ORDER);
		} else if (!fresh_block(!big, page)) {
			return false;
		}
	}
	while (have > order) {
		have--;
		block_push(*page + (1u << have), have);
	}
	return true;
}

int pgpool_take_files(uint64_t len, uint64_t *off, uint64_t *got)
{
	int ret = 0;

	pthread_mutex_lock(&pgpool.lock);
	if (!pgpool.next_off)
		ret = take_first();
	if (!ret && !pgpool.took_files) {
		pgpool.took_files = true;
		*off = 2 * pgpool.split;
		*got = MIN(STEP, pgpool.size) - *off;
	} else if (!ret) {
		ret = take_steps(len, KIND_FILE, off, got);
	}
	pthread_mutex_unlock(&pgpool.lock);
	return ret;
}
