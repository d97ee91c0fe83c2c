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
#include "sentry/pgpool_int.h"

#define SLACK_PAGES   2048 /* that the sentry may grow by without it being the program's fault */
#define WINDOW_MAX    (8ull << 40)

struct pgpool pgpool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.dropped = PTHREAD_COND_INITIALIZER,
	.statm = -1,
};

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
	ssize_t n = pgpool.statm < 0 ? -1 : pread(pgpool.statm, text, sizeof(text) - 1, 0);

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

	pgpool.platform = p;
	pgpool.base = platform_window(p, &size);
	pgpool.size = MIN((uint64_t)size, WINDOW_MAX) & ~(uint64_t)(BIG_PAGES * PLATFORM_PAGE - 1);
	if (!pgpool.base || !pgpool.size)
		return sbx_err_set(e, "the machine has no memory window");
	pgpool.meta_pages = PAGES_OF(pgpool.size);
	pgpool.refs = meta_map(pgpool.meta_pages * sizeof(*pgpool.refs));
	pgpool.holders = meta_map(pgpool.meta_pages * sizeof(*pgpool.holders));
	pgpool.links = meta_map(pgpool.meta_pages * sizeof(*pgpool.links));
	pgpool.free_order = meta_map(pgpool.meta_pages);
	pgpool.made = meta_map(pgpool.meta_pages);
	pgpool.step_kind = calloc(pgpool.size / STEP + 1, 1);
	if (!pgpool.refs || !pgpool.holders || !pgpool.links || !pgpool.free_order || !pgpool.made ||
	    !pgpool.step_kind)
		return sbx_err_errno(e, ENOMEM, "page tables of the memory window");
	for (unsigned i = 0; i <= LIST_BIG; i++)
		pgpool.head[i] = NONE;
	for (unsigned i = 0; i <= WARM_ORDER; i++)
		pgpool.warm[i] = NONE;
	pgpool.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	pgpool.own = resident_pages(false);
	pgpool.own_all = resident_pages(true);
	pgpool.limit = PAGES_OF(limit_bytes);
	if (limit_bytes && !pgpool.limit)
		pgpool.limit = 1;
	pgpool.check_at = pgpool.limit;
	return 0;
}

void pgpool_exit(void)
{
	if (pgpool.refs)
		munmap((void *)pgpool.refs, pgpool.meta_pages * sizeof(*pgpool.refs));
	if (pgpool.holders)
		munmap((void *)pgpool.holders, pgpool.meta_pages * sizeof(*pgpool.holders));
	if (pgpool.links)
		munmap(pgpool.links, pgpool.meta_pages * sizeof(*pgpool.links));
	if (pgpool.free_order)
		munmap(pgpool.free_order, pgpool.meta_pages);
	if (pgpool.made)
		munmap(pgpool.made, pgpool.meta_pages);
	free(pgpool.step_kind);
	pgrange_exit();
	if (pgpool.statm >= 0)
		close(pgpool.statm);
	memset(&pgpool, 0, sizeof(pgpool));
	pthread_mutex_init(&pgpool.lock, NULL);
	pthread_cond_init(&pgpool.dropped, NULL);
	pgpool.statm = -1;
}

uint8_t *pgpool_host(uint64_t off)
{
	return pgpool.base + off;
}

bool pgpool_offset(const void *p, uint64_t *off)
{
	*off = (uint64_t)((const uint8_t *)p - pgpool.base);
	return (const uint8_t *)p >= pgpool.base && *off < pgpool.size;
}

bool pgpool_is_anon(uint64_t off)
{
	uint8_t kind = pgpool.step_kind[off / STEP];

	return kind == KIND_SPLIT ? off < 2 * pgpool.split : kind == KIND_SMALL || kind == KIND_BIG;
}

/* ---- freed pages; pool locked unless it says otherwise ---- */

/* No lock. */
static void drop_contents(uint32_t page, uint32_t n)
{
	void *p = pgpool.base + ((uint64_t)page << PGPOOL_SHIFT);
	size_t len = (size_t)n << PGPOOL_SHIFT;

	memset(pgpool.made + page, 0, n);
	if (madvise(p, len, MADV_DONTNEED) < 0)
		memset(p, 0, len);
}

/* Has the host drop the pages of a batch and frees them. The lock is not held meanwhile: thousands of
 * threads may end at once, and the host takes its time. */
static void batch_drop(struct batch *from)
{
	struct batch b = *from;

	from->n = 0;
	from->pages = 0;
	pgpool.dropping += b.pages;
	pthread_mutex_unlock(&pgpool.lock);
	for (unsigned i = 0; i < b.n; i++)
		drop_contents(b.run[i].page, b.run[i].n);
	pthread_mutex_lock(&pgpool.lock);
	for (unsigned i = 0; i < b.n; i++)
		pgblocks_free(b.run[i].page, b.run[i].n);
	pgpool.used -= b.pages;
	pgpool.dropping -= b.pages;
	pthread_cond_broadcast(&pgpool.dropped);
}

/* May let go of the lock, and take it again. */
static void dirty_add(uint32_t page, uint32_t n)
{
	struct batch *d = &pgpool.dirty;
	struct run *last = d->n ? &d->run[d->n - 1] : NULL;

	if (last && last->page + last->n == page)
		last->n += n;
	else
		d->run[d->n++] = (struct run){.page = page, .n = n};
	d->pages += n;
	if (d->n == BATCH_RUNS || d->pages >= BATCH_PAGES)
		batch_drop(d);
}

static void warm_push(uint32_t page, unsigned order)
{
	pgpool.links[page].next = pgpool.warm[order];
	pgpool.warm[order] = page;
	pgpool.warm_pages[order] += 1u << order;
}

static bool warm_pop(unsigned order, uint32_t *page)
{
	if (order > WARM_ORDER || pgpool.warm[order] == NONE)
		return false;
	*page = pgpool.warm[order];
	pgpool.warm[order] = pgpool.links[*page].next;
	pgpool.warm_pages[order] -= 1u << order;
	return true;
}

/* A warm block of order or larger, of which the rest stays warm. */
static bool warm_take(unsigned order, uint32_t *page)
{
	unsigned have = order;

	while (have <= WARM_ORDER && !warm_pop(have, page))
		have++;
	if (have > WARM_ORDER)
		return false;
	while (have > order) {
		have--;
		warm_push(*page + (1u << have), have);
	}
	return true;
}

/* Frees pages that the host holds: blocks of them stay warm, as far as there is room. */
static void free_made(uint32_t page, uint32_t n)
{
	while (n) {
		unsigned order = 0;

		while (order < WARM_ORDER && !(page & ((2u << order) - 1)) && (2u << order) <= n)
			order++;
		if (pgpool.warm_pages[order] < WARM_PAGES)
			warm_push(page, order);
		else
			dirty_add(page, 1u << order);
		page += 1u << order;
		n -= 1u << order;
	}
}

/* Frees a run of pages whose last references went. */
static void free_pages(uint32_t page, uint32_t n)
{
	uint32_t k;

	for (; n; page += k, n -= k) {
		uint8_t made = pgpool.made[page];

		for (k = 1; k < n && pgpool.made[page + k] == made; k++)
			;
		if (made && !pgblocks_is_big(page))
			free_made(page, k);
		else
			dirty_add(page, k);
	}
}

/* Has the host drop freed pages, or waits until another thread has. Lets go of the lock. False: there
 * are none. */
static bool reclaim(void)
{
	uint32_t page;

	for (unsigned order = 0; order <= WARM_ORDER; order++)
		if (warm_pop(order, &page)) {
			dirty_add(page, 1u << order);
			return true;
		}
	if (pgpool.dirty.n) {
		batch_drop(&pgpool.dirty);
		return true;
	}
	if (!pgpool.dropping)
		return false;
	pthread_cond_wait(&pgpool.dropped, &pgpool.lock);
	return true;
}

/* ---- the limit ---- */

/* May n more pages be used? Counting what was made present overstates: at the limit the host's own
 * figure decides, and how far it is from the limit says when to look again. */
static bool limit_allows(uint64_t n)
{
	uint64_t real;

	if (!pgpool.limit || pgpool.used + n <= pgpool.check_at)
		return true;
	while (reclaim())
		;
	if (pgpool.used + n <= pgpool.limit)
		return true;
	real = resident_pages(false);
	if (!real || real - MIN(real, pgpool.own) + n > pgpool.limit)
		return false;
	real -= MIN(real, pgpool.own);
	pgpool.check_at = pgpool.used + n + (pgpool.limit - real - n) / 2;
	return true;
}

/* Near the limit nothing is made present on speculation. */
static unsigned limit_order(unsigned order)
{
	uint64_t left;

	if (!pgpool.limit)
		return order;
	left = pgpool.check_at > pgpool.used ? pgpool.check_at - pgpool.used : 0;
	while (order && (8ull << order) > left)
		order--;
	return order;
}

/* ---- pages in use ---- */

/* A block of at most 2^*order pages, *cold: zeros, that the host may not have. */
static bool alloc_block(unsigned *order, uint32_t *page, bool *cold)
{
	unsigned o = limit_order(*order);
	bool ok;

	*cold = false;
	ok = warm_take(o, page);
	if (!ok) {
		*cold = true;
		ok = limit_allows(1ull << o);
		if (!ok && o) {
			o = 0;
			ok = limit_allows(1);
		}
		while (ok && !(ok = pgblocks_take(o, page)) && reclaim())
			ok = true;
		while (!ok && o && !(ok = pgblocks_take(--o, page)))
			;
		if (ok)
			pgpool.used += 1ull << o;
	}
	*order = o;
	return ok;
}

static void first_holder(uint32_t page, unsigned order)
{
	for (uint32_t i = 0; i < 1u << order; i++) {
		atomic_store_explicit(&pgpool.refs[page + i], 1, memory_order_relaxed);
		atomic_store_explicit(&pgpool.holders[page + i], 1, memory_order_relaxed);
	}
}

int pgpool_alloc(unsigned *order, uint32_t *page)
{
	bool ok, cold;

	pthread_mutex_lock(&pgpool.lock);
	ok = alloc_block(order, page, &cold);
	pthread_mutex_unlock(&pgpool.lock);
	if (!ok)
		return -ENOMEM;
	if (!cold)
		memset(pgpool_host((uint64_t)*page << PGPOOL_SHIFT), 0,
		       (size_t)PLATFORM_PAGE << *order);
	first_holder(*page, *order);
	return 0;
}

int pgpool_alloc_copy(uint32_t from, uint32_t *page)
{
	unsigned order = 0;
	bool ok, cold;

	pthread_mutex_lock(&pgpool.lock);
	ok = alloc_block(&order, page, &cold);
	pthread_mutex_unlock(&pgpool.lock);
	if (!ok)
		return -ENOMEM;
	memcpy(pgpool_host((uint64_t)*page << PGPOOL_SHIFT),
	       pgpool_host((uint64_t)from << PGPOOL_SHIFT), PLATFORM_PAGE);
	pgpool.made[*page] = 1;
	first_holder(*page, 0);
	return 0;
}

void pgpool_get(uint32_t page)
{
	atomic_fetch_add(&pgpool.refs[page], 1);
}

uint32_t pgpool_refs(uint32_t page)
{
	return atomic_load(&pgpool.refs[page]);
}

void pgpool_share(uint32_t page, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		atomic_fetch_add(&pgpool.refs[page + i], 1);
		atomic_fetch_add(&pgpool.holders[page + i], 1);
	}
}

void pgpool_leave(uint32_t page, uint32_t n)
{
	/* A page that a host call in progress still reads for the one who leaves must not become another's
	 * to write: it goes on counting as shared, and its last holder copies it. */
	for (uint32_t i = 0; i < n; i++)
		if (atomic_load(&pgpool.refs[page + i]) <= atomic_load(&pgpool.holders[page + i]))
			atomic_fetch_sub(&pgpool.holders[page + i], 1);
	pgpool_put(page, n);
}

bool pgpool_shared(uint32_t page)
{
	return atomic_load(&pgpool.holders[page]) > 1;
}

uint32_t pgpool_holders(uint32_t page)
{
	return MAX(atomic_load(&pgpool.holders[page]), 1u);
}

void pgpool_put(uint32_t page, uint32_t n)
{
	uint32_t start = page, end = page + n;
	bool locked = false;

	while (page < end) {
		bool last = atomic_fetch_sub(&pgpool.refs[page++], 1) == 1;

		if (last && page < end)
			continue;
		if (page - !last > start) {
			if (!locked)
				pthread_mutex_lock(&pgpool.lock);
			locked = true;
			free_pages(start, page - !last - start);
		}
		start = page;
	}
	if (locked)
		pthread_mutex_unlock(&pgpool.lock);
}

void pgpool_discard(uint32_t page, uint32_t n)
{
	drop_contents(page, n);
}

void pgpool_populate(uint32_t page, uint32_t n)
{
#ifdef MADV_POPULATE_WRITE
	if (!memchr(pgpool.made + page, 0, n))
		return;
	if (!madvise(pgpool.base + ((uint64_t)page << PGPOOL_SHIFT), (size_t)n << PGPOOL_SHIFT,
		     MADV_POPULATE_WRITE))
		memset(pgpool.made + page, 1, n);
#endif
}

uint64_t pgpool_used(void)
{
	uint64_t n;

	pthread_mutex_lock(&pgpool.lock);
	n = pgpool.used - pgpool.dirty.pages - pgpool.dropping;
	for (unsigned i = 0; i <= WARM_ORDER; i++)
		n -= pgpool.warm_pages[i];
	pthread_mutex_unlock(&pgpool.lock);
	return n << PGPOOL_SHIFT;
}

uint64_t pgpool_limit(void)
{
	return pgpool.limit << PGPOOL_SHIFT;
}

uint64_t pgpool_program_share(uint64_t bytes)
{
	return bytes - MIN(bytes, pgpool.own_all << PGPOOL_SHIFT);
}

uint64_t pgpool_resident(void)
{
	return pgpool_program_share(resident_pages(true) << PGPOOL_SHIFT);
}

static bool too_much(void)
{
	return resident_pages(false) > pgpool.limit + pgpool.own + SLACK_PAGES;
}

bool pgpool_over_limit(void)
{
	if (!pgpool.limit || !too_much())
		return false;
	pthread_mutex_lock(&pgpool.lock);
	while (reclaim()) /* what is kept for later is not the program's fault either */
		;
	pthread_mutex_unlock(&pgpool.lock);
	return too_much();
}
