#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/log.h"
#include "base/overflow.h"
#include "sentry/pgpool.h"

#define STEP	      (1ull << 30) /* the window is taken in steps of this size */
#define BIG_PAGES     (1u << PGPOOL_MAX_ORDER)
#define NONE	      UINT32_MAX
#define DIRTY_RUNS    64
#define DIRTY_MAX     1024 /* pages waiting for the host to drop their contents */
#define RANGES_MAX    32768 /* each costs the host's process mappings, of which it has 65530 */
#define SLACK_PAGES   1024 /* that the sentry may grow by without it being the program's fault */
#define WINDOW_MAX    (8ull << 40)
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

struct extent {
	uint64_t off, len;
	struct extent *next;
};

static struct {
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
	size_t meta_pages;
	uint32_t head[LIST_BIG + 1];
	struct run dirty[DIRTY_RUNS];
	unsigned nr_dirty;
	uint64_t dirty_pages;
	struct extent *free_extents; /* by offset */
	struct list ranges;
	unsigned nr_ranges;
	uint64_t used;	       /* anonymous pages in use */
	uint64_t limit;	       /* pages; 0: none */
	uint64_t check_at;     /* look at the host's figure when used gets here */
	/* Pages that the sentry itself had at the start: anonymous, all. */
	uint64_t own, own_all;
	int statm;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .statm = -1};

/* ---- set-up ---- */

static void *meta_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Resident pages of this process, with or without those of files; 0 when it cannot be told. */
static uint64_t resident_pages(bool files)
{
	unsigned long size, resident, shared;
	char text[128];
	ssize_t n = pool.statm < 0 ? -1 : pread(pool.statm, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3 || shared > resident)
		return 0;
	return files ? resident : resident - shared;
}

int pgpool_init(struct platform *p, uint64_t limit_bytes, struct sbx_err **e)
{
	size_t size;

	pool.platform = p;
	pool.base = platform_window(p, &size);
	pool.size = MIN((uint64_t)size, WINDOW_MAX) & ~(uint64_t)(BIG_PAGES * PLATFORM_PAGE - 1);
	if (!pool.base || !pool.size)
		return sbx_err_set(e, "the machine has no memory window");
	pool.meta_pages = PAGES_OF(pool.size);
	pool.refs = meta_map(pool.meta_pages * sizeof(*pool.refs));
	pool.holders = meta_map(pool.meta_pages * sizeof(*pool.holders));
	pool.links = meta_map(pool.meta_pages * sizeof(*pool.links));
	pool.free_order = meta_map(pool.meta_pages);
	pool.step_kind = calloc(pool.size / STEP + 1, 1);
	if (!pool.refs || !pool.holders || !pool.links || !pool.free_order || !pool.step_kind)
		return sbx_err_errno(e, ENOMEM, "page tables of the memory window");
	for (unsigned i = 0; i <= LIST_BIG; i++)
		pool.head[i] = NONE;
	list_init(&pool.ranges);
	pool.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	pool.own = resident_pages(false);
	pool.own_all = resident_pages(true);
	pool.limit = PAGES_OF(limit_bytes);
	if (limit_bytes && !pool.limit)
		pool.limit = 1;
	pool.check_at = pool.limit;
	return 0;
}

void pgpool_exit(void)
{
	struct extent *x;

	if (pool.refs)
		munmap((void *)pool.refs, pool.meta_pages * sizeof(*pool.refs));
	if (pool.holders)
		munmap((void *)pool.holders, pool.meta_pages * sizeof(*pool.holders));
	if (pool.links)
		munmap(pool.links, pool.meta_pages * sizeof(*pool.links));
	if (pool.free_order)
		munmap(pool.free_order, pool.meta_pages);
	free(pool.step_kind);
	while ((x = pool.free_extents)) {
		pool.free_extents = x->next;
		free(x);
	}
	if (pool.statm >= 0)
		close(pool.statm);
	memset(&pool, 0, sizeof(pool));
	pthread_mutex_init(&pool.lock, NULL);
	pool.statm = -1;
}

uint8_t *pgpool_host(uint64_t off)
{
	return pool.base + off;
}

bool pgpool_offset(const void *p, uint64_t *off)
{
	*off = (uint64_t)((const uint8_t *)p - pool.base);
	return (const uint8_t *)p >= pool.base && *off < pool.size;
}

bool pgpool_is_anon(uint64_t off)
{
	uint8_t kind = pool.step_kind[off / STEP];

	return kind == KIND_SPLIT ? off < 2 * pool.split : kind == KIND_SMALL || kind == KIND_BIG;
}

static bool is_big(uint32_t page)
{
	uint64_t off = (uint64_t)page << PGPOOL_SHIFT;
	uint8_t kind = pool.step_kind[off / STEP];

	return kind == KIND_SPLIT ? off >= pool.split : kind == KIND_BIG;
}

static int map_anon(uint64_t off, uint64_t len, bool big)
{
	void *p = mmap(pool.base + off, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	madvise(p, len, big ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return 0;
}

static int take_first(void)
{
	uint64_t len = MIN(STEP, pool.size), split = len / 4;

	split = ALIGN_DOWN(split, (uint64_t)BIG_PAGES * PLATFORM_PAGE);
	if (platform_window_commit(pool.platform, 0, len) < 0 || map_anon(0, split, false) < 0 ||
	    map_anon(split, split, true) < 0)
		return -ENOMEM;
	pool.free_extents = calloc(1, sizeof(*pool.free_extents));
	if (!pool.free_extents)
		return -ENOMEM;
	*pool.free_extents = (struct extent){.off = 2 * split, .len = len - 2 * split};
	pool.step_kind[0] = KIND_SPLIT;
	pool.split = split;
	pool.fresh_end[0] = pool.fresh[1] = (uint32_t)PAGES_OF(split);
	pool.fresh_end[1] = (uint32_t)PAGES_OF(2 * split);
	pool.next_off = len;
	return 0;
}

/* Takes at least len more bytes of the window for kind; *off and *got say where. */
static int take_steps(uint64_t len, uint8_t kind, uint64_t *off, uint64_t *got)
{
	uint64_t want = ALIGN_UP(len, STEP), left = pool.size - pool.next_off;

	want = MIN(want, left);
	if (want < len || !want)
		return -ENOMEM;
	if (platform_window_commit(pool.platform, pool.next_off, want) < 0)
		return -ENOMEM;
	if (kind != KIND_FILE && map_anon(pool.next_off, want, kind == KIND_BIG) < 0)
		return -ENOMEM;
	for (uint64_t o = 0; o < want; o += STEP)
		pool.step_kind[(pool.next_off + o) / STEP] = kind;
	*off = pool.next_off;
	*got = want;
	pool.next_off += want;
	return 0;
}

/* ---- free blocks ---- */

static unsigned list_of(uint32_t page, unsigned order)
{
	return order == PGPOOL_MAX_ORDER && is_big(page) ? LIST_BIG : order;
}

static void block_push(uint32_t page, unsigned order)
{
	unsigned list = list_of(page, order);
	uint32_t head = pool.head[list];

	pool.links[page] = (struct link){.next = head, .prev = NONE};
	if (head != NONE)
		pool.links[head].prev = page;
	pool.head[list] = page;
	pool.free_order[page] = (uint8_t)(order + 1);
}

static void block_remove(uint32_t page, unsigned order)
{
	struct link l = pool.links[page];

	if (l.prev != NONE)
		pool.links[l.prev].next = l.next;
	else
		pool.head[list_of(page, order)] = l.next;
	if (l.next != NONE)
		pool.links[l.next].prev = l.prev;
	pool.free_order[page] = 0;
}

/* Gives a block back, joined with its free buddies. */
static void block_free(uint32_t page, unsigned order)
{
	while (order < PGPOOL_MAX_ORDER) {
		uint32_t buddy = page ^ (1u << order);

		if (pool.free_order[buddy] != order + 1)
			break;
		block_remove(buddy, order);
		page = MIN(page, buddy);
		order++;
	}
	block_push(page, order);
}

/* Frees a run that need not be aligned. */
static void run_free(uint32_t page, uint32_t n)
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

	if (!pool.next_off && take_first() < 0)
		return false;
	if (pool.fresh[big] == pool.fresh_end[big]) {
		if (take_steps(STEP, kind, &off, &got) < 0 &&
		    take_steps(BIG_PAGES * PLATFORM_PAGE, kind, &off, &got) < 0)
			return false;
		pool.fresh[big] = (uint32_t)PAGES_OF(off);
		pool.fresh_end[big] = (uint32_t)PAGES_OF(off + got);
	}
	*page = pool.fresh[big];
	pool.fresh[big] += BIG_PAGES;
	return true;
}

/* The list to take a block of order from: the smallest that has one, large pages last unless they
 * are what is wanted. LIST_BIG + 1: none. */
static unsigned find_list(unsigned order)
{
	unsigned list;

	if (order == PGPOOL_MAX_ORDER && pool.head[LIST_BIG] != NONE)
		return LIST_BIG;
	for (list = order; list < LIST_BIG && pool.head[list] == NONE; list++)
		;
	return list < LIST_BIG ? list : LIST_BIG + 1;
}

static bool block_take(unsigned order, uint32_t *page)
{
	unsigned list = find_list(order), have = MIN(list, (unsigned)PGPOOL_MAX_ORDER);
	bool big = order == PGPOOL_MAX_ORDER;

	if (list <= LIST_BIG) {
		*page = pool.head[list];
		block_remove(*page, have);
	} else if (!fresh_block(big, page)) {
		if (pool.head[LIST_BIG] != NONE) {
			*page = pool.head[LIST_BIG];
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

/* ---- pages that wait for the host to drop their contents ---- */

static void drop_contents(uint32_t page, uint32_t n)
{
	void *p = pool.base + ((uint64_t)page << PGPOOL_SHIFT);
	size_t len = (size_t)n << PGPOOL_SHIFT;

	if (madvise(p, len, MADV_DONTNEED) < 0)
		memset(p, 0, len);
}

static void dirty_flush(void)
{
	for (unsigned i = 0; i < pool.nr_dirty; i++) {
		drop_contents(pool.dirty[i].page, pool.dirty[i].n);
		run_free(pool.dirty[i].page, pool.dirty[i].n);
	}
	pool.used -= pool.dirty_pages;
	pool.nr_dirty = 0;
	pool.dirty_pages = 0;
}

static void dirty_add(uint32_t page, uint32_t n)
{
	struct run *last = pool.nr_dirty ? &pool.dirty[pool.nr_dirty - 1] : NULL;

	pool.dirty_pages += n;
	if (last && last->page + last->n == page) {
		last->n += n;
	} else {
		if (pool.nr_dirty == DIRTY_RUNS) {
			pool.dirty_pages -= n;
			dirty_flush();
			pool.dirty_pages += n;
		}
		pool.dirty[pool.nr_dirty++] = (struct run){.page = page, .n = n};
	}
	if (pool.dirty_pages >= DIRTY_MAX)
		dirty_flush();
}

/* ---- the limit ---- */

/* May n more pages be used? Counting what was made present overstates: at the limit the host's own
 * figure decides, and how far it is from the limit says when to look again. */
static bool limit_allows(uint64_t n)
{
	uint64_t real;

	if (!pool.limit || pool.used + n <= pool.check_at)
		return true;
	dirty_flush();
	if (pool.used + n <= pool.limit)
		return true;
	real = resident_pages(false);
	if (!real || real - MIN(real, pool.own) + n > pool.limit)
		return false;
	real -= MIN(real, pool.own);
	pool.check_at = pool.used + n + (pool.limit - real - n) / 2;
	return true;
}

/* Near the limit nothing is made present on speculation. */
static unsigned limit_order(unsigned order)
{
	uint64_t left;

	if (!pool.limit)
		return order;
	left = pool.check_at > pool.used ? pool.check_at - pool.used : 0;
	while (order && (8ull << order) > left)
		order--;
	return order;
}

int pgpool_alloc(unsigned *order, uint32_t *page)
{
	unsigned o;
	bool ok;

	pthread_mutex_lock(&pool.lock);
	o = limit_order(*order);
	ok = limit_allows(1ull << o);
	if (!ok && o) {
		o = 0;
		ok = limit_allows(1);
	}
	if (ok && !block_take(o, page)) {
		dirty_flush();
		while (!(ok = block_take(o, page)) && o)
			o--;
	}
	if (ok) {
		pool.used += 1ull << o;
		for (uint32_t i = 0; i < 1u << o; i++) {
			atomic_store_explicit(&pool.refs[*page + i], 1, memory_order_relaxed);
			atomic_store_explicit(&pool.holders[*page + i], 1, memory_order_relaxed);
		}
	}
	pthread_mutex_unlock(&pool.lock);
	*order = o;
	return ok ? 0 : -ENOMEM;
}

void pgpool_get(uint32_t page)
{
	atomic_fetch_add(&pool.refs[page], 1);
}

uint32_t pgpool_refs(uint32_t page)
{
	return atomic_load(&pool.refs[page]);
}

void pgpool_share(uint32_t page, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		atomic_fetch_add(&pool.refs[page + i], 1);
		atomic_fetch_add(&pool.holders[page + i], 1);
	}
}

void pgpool_leave(uint32_t page, uint32_t n)
{
	/* A page that a host call in progress still reads for the one who leaves must not become another's
	 * to write: it goes on counting as shared, and its last holder copies it. */
	for (uint32_t i = 0; i < n; i++)
		if (atomic_load(&pool.refs[page + i]) <= atomic_load(&pool.holders[page + i]))
			atomic_fetch_sub(&pool.holders[page + i], 1);
	pgpool_put(page, n);
}

bool pgpool_shared(uint32_t page)
{
	return atomic_load(&pool.holders[page]) > 1;
}

void pgpool_put(uint32_t page, uint32_t n)
{
	uint32_t start = page, end = page + n;

	pthread_mutex_lock(&pool.lock);
	for (; page < end; page++) {
		if (atomic_fetch_sub(&pool.refs[page], 1) == 1)
			continue;
		if (page > start)
			dirty_add(start, page - start);
		start = page + 1;
	}
	if (end > start)
		dirty_add(start, end - start);
	pthread_mutex_unlock(&pool.lock);
}

void pgpool_discard(uint32_t page, uint32_t n)
{
	drop_contents(page, n);
}

void pgpool_populate(uint32_t page, uint32_t n)
{
#ifdef MADV_POPULATE_WRITE
	madvise(pool.base + ((uint64_t)page << PGPOOL_SHIFT), (size_t)n << PGPOOL_SHIFT,
		MADV_POPULATE_WRITE);
#endif
}

uint64_t pgpool_used(void)
{
	uint64_t n;

	pthread_mutex_lock(&pool.lock);
	n = pool.used - pool.dirty_pages;
	pthread_mutex_unlock(&pool.lock);
	return n << PGPOOL_SHIFT;
}

uint64_t pgpool_limit(void)
{
	return pool.limit << PGPOOL_SHIFT;
}

uint64_t pgpool_program_share(uint64_t bytes)
{
	return bytes - MIN(bytes, pool.own_all << PGPOOL_SHIFT);
}

uint64_t pgpool_resident(void)
{
	return pgpool_program_share(resident_pages(true) << PGPOOL_SHIFT);
}

bool pgpool_over_limit(void)
{
	return pool.limit && resident_pages(false) > pool.limit + pool.own + SLACK_PAGES;
}

/* ---- ranges for files ---- */

/* Puts [off, off+len) into the free list, joined with its neighbours. Pool locked. */
static void extent_free(uint64_t off, uint64_t len)
{
	struct extent **at = &pool.free_extents, *before = NULL, *x;

	while (*at && (*at)->off < off) {
		before = *at;
		at = &(*at)->next;
	}
	if (before && before->off + before->len == off) {
		before->len += len;
		x = before;
	} else {
		x = malloc(sizeof(*x));
		if (!x) {
			log_warn("a window range of %llu bytes is lost: no memory",
				 (unsigned long long)len);
			return;
		}
		*x = (struct extent){.off = off, .len = len, .next = *at};
		*at = x;
	}
	if (x->next && x->off + x->len == x->next->off) {
		struct extent *after = x->next;

		x->len += after->len;
		x->next = after->next;
		free(after);
	}
}

static bool extent_take(uint64_t len, uint64_t *off)
{
	for (struct extent **at = &pool.free_extents; *at; at = &(*at)->next) {
		struct extent *x = *at;

		if (x->len < len)
			continue;
		*off = x->off;
		x->off += len;
		x->len -= len;
		if (!x->len) {
			*at = x->next;
			free(x);
		}
		return true;
	}
	return false;
}

static int extent_grow(uint64_t len)
{
	uint64_t off, got;
	int ret;

	if (!pool.next_off) {
		ret = take_first();
		if (ret < 0)
			return ret;
		if (pool.free_extents->len >= len)
			return 0;
	}
	ret = take_steps(len, KIND_FILE, &off, &got);
	if (!ret)
		extent_free(off, got);
	return ret;
}

int pgrange_create(uint64_t len, struct pgrange **out)
{
	struct pgrange *r = calloc(1, sizeof(*r));
	int ret = 0;

	if (!r)
		return -ENOMEM;
	if (len > pool.size) {
		free(r);
		return -ENOMEM;
	}
	pthread_mutex_lock(&pool.lock);
	if (pool.nr_ranges >= RANGES_MAX) {
		ret = -ENOMEM;
	} else if (!extent_take(len, &r->off)) {
		ret = extent_grow(len);
		if (!ret && !extent_take(len, &r->off))
			ret = -ENOMEM;
	}
	if (!ret) {
		r->len = len;
		r->refs = 1;
		list_prepend(&pool.ranges, &r->node);
		pool.nr_ranges++;
	}
	pthread_mutex_unlock(&pool.lock);
	if (ret)
		free(r);
	else
		*out = r;
	return ret;
}

struct pgrange *pgrange_get(struct pgrange *r)
{
	pthread_mutex_lock(&pool.lock);
	r->refs++;
	pthread_mutex_unlock(&pool.lock);
	return r;
}

void pgrange_punch(uint64_t off, uint64_t len)
{
	void *p = mmap(pool.base + off, len, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		log_warn("the host cannot unmap a file range: %s", strerror(errno));
}

void pgrange_put(struct pgrange *r)
{
	pthread_mutex_lock(&pool.lock);
	if (--r->refs) {
		pthread_mutex_unlock(&pool.lock);
		return;
	}
	pgrange_punch(r->off, r->len);
	if (r->shared)
		platform_window_backing(pool.platform, r->off, r->len,
					PLATFORM_BACKING_PRIVATE_RW);
	extent_free(r->off, r->len);
	list_del(&r->node);
	pool.nr_ranges--;
	pthread_mutex_unlock(&pool.lock);
	free(r);
}

void pgrange_shared(struct pgrange *r)
{
	r->shared = true;
	platform_window_backing(pool.platform, r->off, r->len, PLATFORM_BACKING_SHARED);
}

struct pgrange *pgrange_at(uint64_t off)
{
	struct pgrange *r, *found = NULL;

	pthread_mutex_lock(&pool.lock);
	list_for_each(r, &pool.ranges, node)
		if (off >= r->off && off < r->off + r->len) {
			r->refs++;
			found = r;
			break;
		}
	pthread_mutex_unlock(&pool.lock);
	return found;
}
