#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "sentry/mm_impl.h"

#define FAULT_AROUND_FILE (512 * PAGE_SIZE) /* file pages are mapped this far around a fault */
#define SCATTER_ORDER	  8		   /* of blocks for faults without a pattern */
#define NEAR_FILE	  (16 * PAGE_SIZE) /* mapped by the host with a fault in a file */
#define STACK_STEP	  (64 * 1024ull)
#define PROT_ALL	  (PROT_READ | PROT_WRITE | PROT_EXEC)

/* ---- installing translations ---- */

static int map_run(struct mm *mm, struct vma *v, uint64_t va, uint64_t off, uint64_t len,
		   unsigned hot)
{
	v->touched = true;
	if (v->kind == VMA_FILE && (v->prot & PROT_WRITE))
		vma_writes(v, off, off + len);
	return platform_map(mm->as, va, len, off, mm_platform_prot(v->prot) | hot);
}

/* A run of anonymous pages, of which those that others hold too are mapped read-only. */
static int map_pages(struct mm *mm, struct vma *v, uint64_t va, uint32_t page, uint32_t n)
{
	unsigned prot = mm_platform_prot(v->prot) | PLATFORM_HOT;
	uint32_t i, k;
	int ret = 0;

	v->touched = true;
	for (i = 0; !ret && i < n; i = k) {
		bool shared = mm_page_shared(mm, v, page + i);

		for (k = i + 1; k < n && mm_page_shared(mm, v, page + k) == shared; k++)
			;
		ret = platform_map(mm->as, va + ((uint64_t)i << PGPOOL_SHIFT),
				   (uint64_t)(k - i) << PGPOOL_SHIFT,
				   (uint64_t)(page + i) << PGPOOL_SHIFT,
				   shared ? prot & ~(unsigned)PLATFORM_WRITE : prot);
	}
	return ret;
}

/* As mm_map_present, for pages whose lock is held. */
static int map_present(struct mm *mm, struct vma *v, uint64_t start, uint64_t end)
{
	struct pagemap_run r;
	struct pagemap *pages;
	uint64_t i, base, last;
	int ret = 0;

	pages = vma_pages(mm, v);
	base = vma_index(v, start);
	last = base + ((end - start) >> PGPOOL_SHIFT);
	for (i = base; !ret && pagemap_next_run(pages, i, last, &r); i = r.index + r.n)
		ret = map_pages(mm, v, start + ((r.index - base) << PGPOOL_SHIFT), r.page, r.n);
	return ret;
}

int mm_map_present(struct mm *mm, struct vma *v, uint64_t start, uint64_t end)
{
	int ret;

	if (v->kind == VMA_FILE)
		return map_run(mm, v, start, v->win + (start - v->start), end - start, 0);
	if (v->kind == VMA_SHM)
		pthread_mutex_lock(&v->shm->lock);
	ret = map_present(mm, v, start, end);
	if (v->kind == VMA_SHM)
		pthread_mutex_unlock(&v->shm->lock);
	return ret;
}

/* Has the host map the file's pages that are in its cache; nothing is read from a disk. */
static void populate_cached(struct vma *v, uint64_t start, uint64_t end)
{
#ifdef MADV_POPULATE_READ
	bool whole = end - start == v->range->at.len;
	uint8_t *host = pgpool_host(v->win + (start - v->start));
	uint64_t n = (end - start) >> PGPOOL_SHIFT;
	uint8_t in[MM_EAGER_FILE / PAGE_SIZE];

	if (v->range->populated || n > sizeof(in) || mincore(host, end - start, in) < 0 ||
	    memchr(in, 0, n))
		return;
	if (!madvise(host, end - start, MADV_POPULATE_READ) && whole)
		v->range->populated = true;
#endif
}

int mm_map_file_hot(struct mm *mm, struct vma *v, uint64_t start, uint64_t end)
{
	populate_cached(v, start, end);
	return map_run(mm, v, start, v->win + (start - v->start), end - start, PLATFORM_HOT);
}

/* ---- making pages ---- */

/* How much to make present around a fault, by the pattern of the last ones. A fault next to what the
 * last one made is sequential: the next block is larger, and the host makes all of it at once. For
 * scattered faults the translations of a block are installed, but the host makes only the page
 * itself: what is not touched costs no memory. Returns true when all is to be made. */
static bool adapt_order(struct vma *v, uint64_t page)
{
	if (!v->last_end)
		return true;
	if (page == v->last_end || page + PAGE_SIZE == v->last_start) {
		v->order = MIN(v->order + 1, PGPOOL_MAX_ORDER);
		return true;
	}
	v->order = MIN(v->order + 1, SCATTER_ORDER);
	return false;
}

/* Largest order up to v->order whose block around page lies in v and has no page yet. */
static unsigned fit_order(struct pagemap *pages, struct vma *v, uint64_t page)
{
	unsigned order = v->order;
	struct pagemap_run r;

	for (; order; order--) {
		uint64_t size = PAGE_SIZE << order, start = ALIGN_DOWN(page, size), i;

		if (start < v->start || start + size > vma_usable_end(v))
			continue;
		i = vma_index(v, start);
		if (!pagemap_next_run(pages, i, i + (1ull << order), &r))
			break;
	}
	return order;
}

/* Allocates and maps a block around page, which has none; all: the host is to make it whole.
 * *less: memory is too short for more. */
static enum mm_fault_result make_block(struct mm *mm, struct vma *v, struct pagemap *pages,
				       uint64_t page, bool all, bool *less)
{
	unsigned fit = fit_order(pages, v, page), order = fit;
	uint64_t start, index;
	uint32_t first;

	if (pgpool_alloc(&order, &first) < 0)
		return MM_FAULT_NOMEM;
	*less = order < fit;
	start = ALIGN_DOWN(page, PAGE_SIZE << order);
	index = vma_index(v, start);
	if (pagemap_reserve(pages, index, 1ull << order) < 0) {
		pgpool_put(first, 1u << order);
		return MM_FAULT_NOMEM;
	}
	for (uint32_t i = 0; i < 1u << order; i++)
		pagemap_set(pages, index + i, first + i);
	v->last_start = start;
	v->last_end = start + (PAGE_SIZE << order);
	if (all)
		pgpool_populate(first, 1u << order);
	else
		pgpool_populate(first + (uint32_t)((page - start) >> PGPOOL_SHIFT), 1);
	if (map_run(mm, v, start, (uint64_t)first << PGPOOL_SHIFT, PAGE_SIZE << order,
		    PLATFORM_HOT) < 0)
		return MM_FAULT_NOMEM;
	return MM_FAULT_OK;
}

/* Makes the page, and what is worth it after it: blocks are aligned, so one may not be enough. */
static enum mm_fault_result make_blocks(struct mm *mm, struct vma *v, struct pagemap *pages,
					uint64_t page, bool all)
{
	enum mm_fault_result ret;
	uint64_t start, want = PAGE_SIZE << v->order;
	bool less = false;

	ret = make_block(mm, v, pages, page, all, &less);
	start = v->last_start;
	while (ret == MM_FAULT_OK && all && !less && v->last_end - start < want &&
	       v->last_end < vma_usable_end(v) &&
	       pagemap_get(pages, vma_index(v, v->last_end)) == PAGEMAP_NONE)
		if (make_block(mm, v, pages, v->last_end, all, &less) != MM_FAULT_OK)
			break;
	v->last_start = start;
	return ret;
}

static enum mm_fault_result fault_pages(struct mm *mm, struct vma *v, uint64_t page, unsigned access)
{
	struct pagemap *pages = vma_pages(mm, v);
	enum mm_fault_result ret = MM_FAULT_OK;
	uint64_t start, end;
	uint32_t pg;

	if (page >= vma_usable_end(v))
		return MM_FAULT_BUS;
	if (v->kind == VMA_SHM)
		pthread_mutex_lock(&v->shm->lock);
	pg = pagemap_get(pages, vma_index(v, page));
	if (pg == PAGEMAP_NONE) {
		ret = make_blocks(mm, v, pages, page, adapt_order(v, page));
	} else if ((access & PLATFORM_WRITE) && mm_page_shared(mm, v, pg)) {
		ret = mm_cow(mm, v, page, pg);
	} else {
		start = MAX(ALIGN_DOWN(page, PAGE_SIZE << PGPOOL_MAX_ORDER), v->start);
		end = MIN(ALIGN_DOWN(page, PAGE_SIZE << PGPOOL_MAX_ORDER) +
				  (PAGE_SIZE << PGPOOL_MAX_ORDER), v->end);
		if (map_present(mm, v, start, end) < 0)
			ret = MM_FAULT_NOMEM;
	}
	if (v->kind == VMA_SHM)
		pthread_mutex_unlock(&v->shm->lock);
	return ret;
}

static enum mm_fault_result fault_file(struct mm *mm, struct vma *v, uint64_t page)
{
	uint64_t base = ALIGN_DOWN(page, FAULT_AROUND_FILE);
	uint64_t start = MAX(base, v->start), end = MIN(base + FAULT_AROUND_FILE, v->end);
	uint64_t near = ALIGN_DOWN(page, NEAR_FILE);

	if (page == v->last_end) /* sequential */
		populate_cached(v, start, end);
	else
		populate_cached(v, MAX(near, start), MIN(near + NEAR_FILE, end));
	v->last_end = end;
	if (map_run(mm, v, start, v->win + (start - v->start), end - start, PLATFORM_HOT) < 0)
		return MM_FAULT_NOMEM;
	return MM_FAULT_OK;
}

/* ---- stacks ---- */

/* Grows the mapping v down to start, if limits and neighbours allow it. */
static bool grow_to(struct mm *mm, struct vma *v, uint64_t start)
{
	uint64_t grow = v->start - start;
	struct vma *prev = vma_prev(mm, v);

	if (start < MM_ADDR_MIN || v->end - start > mm->limit_stack)
		return false;
	if (prev && prev->end > start)
		return false;
	if (prev && !(prev->flags & VMA_GROWSDOWN) && (prev->prot & PROT_ALL) &&
	    start - prev->end < MM_STACK_GUARD)
		return false;
	if (!mm_may_expand(mm, grow, false))
		return false;
	vma_resize(mm, v, start, v->end);
	return true;
}

/* A fault costs much more than a page that is not touched: stacks grow in larger steps. */
static bool grow_stack(struct mm *mm, struct vma *v, uint64_t addr)
{
	return grow_to(mm, v, ALIGN_DOWN(addr, STACK_STEP)) || grow_to(mm, v, addr & PAGE_MASK);
}

struct vma *mm_vma_for(struct mm *mm, uint64_t addr)
{
	struct vma *v = addr < MM_ADDR_MAX ? vma_find(mm, addr) : NULL;

	if (!v || v->start <= addr)
		return v;
	if (!(v->flags & VMA_GROWSDOWN) || !grow_stack(mm, v, addr))
		return NULL;
	return v;
}

/* ---- faults ---- */

static bool access_ok(const struct vma *v, unsigned access)
{
	if (access & PLATFORM_WRITE)
		return v->prot & PROT_WRITE;
	if (access & PLATFORM_EXEC)
		return v->prot & PROT_EXEC;
	return v->prot & PROT_ALL;
}

static enum mm_fault_result fault_in(struct mm *mm, struct vma *v, uint64_t page, unsigned access)
{
	return v->kind == VMA_FILE ? fault_file(mm, v, page) : fault_pages(mm, v, page, access);
}

enum mm_fault_result mm_fault_locked(struct mm *mm, uint64_t addr, unsigned access)
{
	struct vma *v = mm_vma_for(mm, addr);
	unsigned prot;
	uint64_t off;

	if (!v)
		return MM_FAULT_MAPERR;
	if (!access_ok(v, access))
		return MM_FAULT_ACCERR;
	/* Another thread may have been here first. */
	if (platform_lookup(mm->as, addr & PAGE_MASK, &off, &prot) &&
	    !(mm_platform_prot(v->prot) & ~prot) && !(access & ~prot)) {
		/* Present and allowed: install it again, so that a stale translation goes. */
		return platform_map(mm->as, addr & PAGE_MASK, PAGE_SIZE, off, prot) < 0
			       ? MM_FAULT_NOMEM
			       : MM_FAULT_OK;
	}
	return fault_in(mm, v, addr & PAGE_MASK, access);
}

enum mm_fault_result mm_fault(struct mm *mm, uint64_t addr, unsigned access)
{
	enum mm_fault_result ret;

	pthread_mutex_lock(&mm->lock);
	ret = mm_fault_locked(mm, addr, access);
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

static void (*nomem)(void);

void mm_on_nomem(void (*fn)(void))
{
	nomem = fn;
}

static uint32_t page_at(struct mm *mm, struct vma *v, uint64_t page)
{
	uint32_t pg;

	if (v->kind == VMA_SHM)
		pthread_mutex_lock(&v->shm->lock);
	pg = pagemap_get(vma_pages(mm, v), vma_index(v, page));
	if (v->kind == VMA_SHM)
		pthread_mutex_unlock(&v->shm->lock);
	return pg;
}

void mm_prefault(struct mm *mm, uint64_t start)
{
	struct vma *v = vma_at(mm, start);

	if (!v || v->kind != VMA_ANON)
		return;
	v->order = MM_FAULT_ORDER;
	v->last_end = 0;
	fault_pages(mm, v, start, PLATFORM_READ);
}

int mm_populate(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v;

	for (v = vma_find(mm, start); v && v->start < end; v = vma_next(mm, v)) {
		uint64_t a = MAX(start, v->start), stop = MIN(end, vma_usable_end(v));

		if (!(v->prot & PROT_ALL))
			continue;
		if (v->kind == VMA_FILE) {
			/* A mapping may be far larger than the file, and than page tables should be. */
			if (mm_map_present(mm, v, a, MIN(stop, a + MM_POPULATE_FILE)) < 0)
				return -ENOMEM;
			continue;
		}
		v->order = PGPOOL_MAX_ORDER;
		for (; a < stop; a += PAGE_SIZE) {
			if (page_at(mm, v, a) != PAGEMAP_NONE)
				continue;
			v->order = PGPOOL_MAX_ORDER;
			v->last_end = a; /* sequential */
			if (fault_pages(mm, v, a, PLATFORM_READ) != MM_FAULT_OK)
				return -ENOMEM;
		}
	}
	return 0;
}

enum mm_fault_result mm_translate(struct mm *mm, uint64_t addr, unsigned access, uint64_t *off,
				  struct vma **out)
{
	struct vma *v = mm_vma_for(mm, addr);
	uint64_t page = addr & PAGE_MASK;
	enum mm_fault_result ret;
	uint32_t pg;

	if (!v)
		return MM_FAULT_MAPERR;
	if (!access_ok(v, access))
		return MM_FAULT_ACCERR;
	*out = v;
	if (v->kind == VMA_FILE) {
		*off = v->win + (addr - v->start);
		if (access & PLATFORM_WRITE)
			vma_writes(v, *off & PAGE_MASK, (*off & PAGE_MASK) + PAGE_SIZE);
		return MM_FAULT_OK;
	}
	pg = page_at(mm, v, page);
	if (pg == PAGEMAP_NONE || ((access & PLATFORM_WRITE) && mm_page_shared(mm, v, pg))) {
		ret = fault_pages(mm, v, page, access);
		if (ret == MM_FAULT_NOMEM && nomem)
			nomem();
		if (ret != MM_FAULT_OK)
			return ret;
		pg = page_at(mm, v, page);
	}
	*off = ((uint64_t)pg << PGPOOL_SHIFT) + (addr - page);
	return MM_FAULT_OK;
}
