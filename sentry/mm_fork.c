/* Copies of address spaces: fork, and the copies of pages that it puts off.
 *
 * Private anonymous pages are shared by both sides and read-only for both; the fault of a write copies
 * the page unless the others have let go of it. Pages that a call in progress has pinned are copied
 * at once, so that what the host writes arrives where it was asked for.
 *
 * Most programs write to the same few pages after each fork, and so do their children: a stack's end,
 * counters, lists of free memory. Those that a write made copy after one fork are copied by the next
 * ones at once, which costs far less than the faults of both sides; unless other threads could be
 * writing meanwhile, who would have the child see a later write without an earlier one.
 *
 * A file mapping that was never writable has no private pages: both sides use the same window range
 * from then on. One that was gets a new range over the same file for the child, with the pages that
 * the host had copied on writing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/log.h"
#include "sentry/file.h"
#include "sentry/mm_impl.h"

#define MAP_CHUNK 512 /* entries of the host's page map read in one go */
#define PM_SWAPPED (1ull << 62)
#define PM_PRESENT (1ull << 63)
#define PM_FILE	   (1ull << 61)
/* What the child is given translations of at once: a fault costs what many pages do. */
#define EAGER_PAGES 2048u
#define HOT_MAX	    64
#define AGAIN_MAX   64 /* pages that calls of other threads have pinned */
#define HOT_AGE	    16 /* forks after which a page has to show again that it is written to */

static int host_pagemap = -1;

void mm_fork_init(void)
{
	if (host_pagemap < 0)
		host_pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

/* ---- pages that are written to after each fork ---- */

struct hot {
	uint64_t index;
	uint8_t age; /* forks since it was noted */
	bool copied; /* by the fork in progress */
};

struct mm_hots {
	atomic_int refs;
	pthread_mutex_t lock; /* comes after those of address spaces */
	unsigned n;
	struct hot page[HOT_MAX]; /* by index */
};

/* What a fork has at hand. */
struct fork_job {
	struct mm *from, *to;
	bool alone; /* no other thread can be writing meanwhile */
	struct hot hot[HOT_MAX];
	unsigned nr_hot;
	struct {
		uint32_t from, to;
	} again[AGAIN_MAX]; /* pages to be copied once more when nobody can write */
	unsigned nr_again;
};

struct mm_hots *mm_hots_new(void)
{
	struct mm_hots *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void mm_hots_put(struct mm_hots *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* The first of n entries, which are in order, with an index of at least index. */
static struct hot *hot_from(struct hot *h, unsigned n, uint64_t index)
{
	struct hot *end = h + n;

	while (h < end && h->index < index)
		h++;
	return h;
}

static void hot_note(struct mm_hots *s, uint64_t index)
{
	struct hot *h, *end;

	pthread_mutex_lock(&s->lock);
	end = s->page + s->n;
	h = hot_from(s->page, s->n, index);
	if (h < end && h->index == index) {
		h->age = 0;
	} else if (s->n < HOT_MAX) { /* else the others age */
		memmove(h + 1, h, (size_t)(end - h) * sizeof(*h));
		*h = (struct hot){.index = index};
		s->n++;
	}
	pthread_mutex_unlock(&s->lock);
}

/* One more fork: those that are still hot, for it. */
static void hot_take(struct fork_job *job)
{
	struct mm_hots *s = job->from->hots;
	unsigned kept = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->n; i++)
		if (++s->page[i].age <= HOT_AGE)
			s->page[kept++] = s->page[i];
	s->n = kept;
	if (job->alone) {
		memcpy(job->hot, s->page, kept * sizeof(*job->hot));
		job->nr_hot = kept;
	}
	atomic_fetch_add(&s->refs, 1);
	pthread_mutex_unlock(&s->lock);
	mm_hots_put(job->to->hots);
	job->to->hots = s;
}

/* ---- copying pages ---- */

enum mm_fault_result mm_cow(struct mm *mm, struct vma *v, uint64_t page, uint32_t old)
{
	uint32_t new;

	if (pgpool_alloc_copy(old, &new) < 0)
		return MM_FAULT_NOMEM;
	pagemap_set(&mm->pages, vma_index(v, page), new);
	v->touched = true;
	/* Complete at return, so that nothing reaches the old page when it is let go. */
	if (platform_map(mm->as, page, PAGE_SIZE, (uint64_t)new << PGPOOL_SHIFT,
			 mm_platform_prot(v->prot) | PLATFORM_HOT) < 0)
		platform_unmap(mm->as, page, PAGE_SIZE);
	pgpool_leave(old, 1);
	hot_note(mm->hots, vma_index(v, page));
	return MM_FAULT_OK;
}

/* The child's own copy of a page. */
static int copy_page(struct fork_job *job, uint64_t index, uint32_t page)
{
	uint32_t new;

	if (pgpool_alloc_copy(page, &new) < 0)
		return -ENOMEM;
	pagemap_set(&job->to->pages, index, new);
	if (!job->alone && job->nr_again < AGAIN_MAX) {
		job->again[job->nr_again].from = page;
		job->again[job->nr_again++].to = new;
	}
	return 0;
}

/* Gives the child a page of the parent's, or its share of it; h: its entry if it is hot. */
static int share_page(struct fork_job *job, uint64_t index, uint32_t page, struct hot *h)
{
	if (!pgpool_shared(page)) {
		if (pgpool_refs(page) > 1) /* pinned */
			return copy_page(job, index, page);
		if (h && copy_page(job, index, page) == 0) {
			h->copied = true;
			return 0;
		}
	}
	pgpool_share(page, 1);
	pagemap_set(&job->to->pages, index, page);
	return 0;
}

/* Shares the pages of an anonymous mapping. */
static int share_pages(struct fork_job *job, const struct vma *v)
{
	uint64_t i = v->start >> PGPOOL_SHIFT, end = v->end >> PGPOOL_SHIFT;
	struct hot *h = hot_from(job->hot, job->nr_hot, i), *last = job->hot + job->nr_hot;
	struct pagemap_run r;

	for (; pagemap_next_run(&job->from->pages, i, end, &r); i = r.index + r.n) {
		if (pagemap_reserve(&job->to->pages, r.index, r.n) < 0)
			return -ENOMEM;
		for (uint32_t k = 0; k < r.n; k++) {
			uint64_t index = r.index + k;

			while (h < last && h->index < index)
				h++;
			if (share_page(job, index, r.page + k,
				       h < last && h->index == index ? h : NULL) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* ---- file mappings ---- */

int mm_unshare_file(struct mm *mm, struct vma *v)
{
	struct pgrange *r;
	int ret;

	if ((v->flags & VMA_SHARED) || v->wrote || !v->range->forked)
		return 0;
	ret = pgrange_create(vma_len(v), &r);
	if (ret < 0)
		return ret;
	ret = mm_host_map(v, r->at.off, r->at.len, v->off);
	if (ret < 0) {
		pgrange_put(r);
		return ret;
	}
	if (v->touched)
		platform_unmap(mm->as, v->start, vma_len(v));
	v->touched = false;
	pgrange_put(v->range);
	v->range = r;
	v->win = r->at.off;
	v->wrote_from = v->wrote_to = 0;
	return 0;
}

/* Which of n pages (up to MAP_CHUNK) from host address p on are private copies? When the host does
 * not tell, all of them may be. */
static void find_private(const uint8_t *p, unsigned n, bool *private)
{
	uint64_t entry[MAP_CHUNK];
	ssize_t want = (ssize_t)(n * sizeof(entry[0]));
	off_t at = (off_t)((uintptr_t)p / PAGE_SIZE * sizeof(entry[0]));
	bool known = host_pagemap >= 0 && pread(host_pagemap, entry, (size_t)want, at) == want;

	for (unsigned i = 0; i < n; i++)
		private[i] = !known || (entry[i] & PM_SWAPPED) ||
			     ((entry[i] & PM_PRESENT) && !(entry[i] & PM_FILE));
}

/* Copies the private pages of the file mapping v to the window range at win. Beyond the file's end
 * there is nothing to copy: those faults are skipped. */
static void copy_private(const struct vma *v, uint64_t win)
{
	uint64_t from = MAX(v->wrote_from, v->win) - v->win, done, pages;
	uint64_t to = MIN(v->wrote_to, v->win + vma_len(v));
	bool private[MAP_CHUNK];

	to -= MIN(v->win, to);
	pages = to >> PGPOOL_SHIFT;
	for (done = from >> PGPOOL_SHIFT; done < pages; done += MAP_CHUNK) {
		unsigned n = (unsigned)MIN(pages - done, (uint64_t)MAP_CHUNK);
		uint64_t off = done << PGPOOL_SHIFT;

		find_private(pgpool_host(v->win + off), n, private);
		for (unsigned i = 0; i < n; i++, off += PAGE_SIZE)
			if (private[i])
				gmem_copy_raw(pgpool_host(win + off), pgpool_host(v->win + off),
					      PAGE_SIZE);
	}
}

static int fork_file(const struct vma *v, struct vma *n)
{
	int ret;

	n->file = file_get(v->file);
	n->off = v->off;
	if ((v->flags & VMA_SHARED) || !v->wrote) {
		v->range->forked = true;
		n->range = pgrange_get(v->range);
		n->win = v->win;
		return 0;
	}
	ret = pgrange_create(vma_len(v), &n->range);
	if (ret < 0)
		return ret;
	n->win = n->range->at.off;
	ret = mm_host_map(n, n->win, vma_len(n), n->off);
	vma_writes_moved(n, v); /* copied when nobody can write: copy_rest */
	return ret;
}

/* ---- the whole ---- */

static int fork_vma(struct fork_job *job, struct vma *v)
{
	struct vma *n = vma_new(v->start, v->end, v->prot, v->flags & ~(unsigned)VMA_LOCKED, v->kind);
	int ret = 0;

	if (!n)
		return -ENOMEM;
	n->wrote = v->wrote;
	if (v->kind == VMA_FILE) {
		ret = fork_file(v, n);
	} else if (v->kind == VMA_SHM) {
		n->shm = mm_shm_attach(v->shm);
		n->off = v->off;
	}
	if (ret < 0) {
		vma_free(n);
		return ret;
	}
	vma_link(job->to, n);
	if (v->kind == VMA_ANON && !(v->flags & VMA_WIPEONFORK))
		ret = share_pages(job, v);
	return ret;
}

static void copy_settings(const struct mm *from, struct mm *to)
{
	to->mmap_random = from->mmap_random;
	to->mmap_base = from->mmap_base;
	to->brk = from->brk;
	to->layout = from->layout;
	to->limit_as = from->limit_as;
	to->limit_data = from->limit_data;
	to->limit_stack = from->limit_stack;
	to->limit_locked = from->limit_locked;
	to->forked = true;
}

/* The parts of v whose pages the child did not get copies of; how many. */
static size_t shared_parts(struct fork_job *job, const struct vma *v, struct platform_range *r)
{
	struct hot *h = hot_from(job->hot, job->nr_hot, v->start >> PGPOOL_SHIFT);
	uint64_t start = v->start, at;
	size_t n = 0;

	for (; h < job->hot + job->nr_hot && (at = h->index << PGPOOL_SHIFT) < v->end; h++) {
		if (!h->copied)
			continue;
		if (at > start)
			r[n++] = (struct platform_range){.va = start, .len = at - start};
		start = at + PAGE_SIZE;
	}
	if (v->end > start)
		r[n++] = (struct platform_range){.va = start, .len = v->end - start};
	return n;
}

/* A file mapping with private pages, which a child gets copies of. */
static bool has_copies(const struct vma *v)
{
	return v->kind == VMA_FILE && !(v->flags & (VMA_SHARED | VMA_DONTFORK)) && v->wrote;
}

/* Makes the private pages that the parent now shares read-only, in one go: what the child sees of other
 * threads' writes is what they had written at that moment. Pages that are about to be copied are
 * included; the next write to them makes them writable again. */
static int protect_private(struct fork_job *job)
{
	struct mm *mm = job->from;
	struct platform_range *r = calloc(mm->nr_vmas + HOT_MAX + 1, sizeof(*r));
	struct vma *v;
	size_t n = 0;

	if (!r)
		return -ENOMEM;
	list_for_each(v, &mm->vmas, node)
		if (v->kind == VMA_ANON && v->touched && (v->prot & PROT_WRITE) &&
		    !(v->flags & (VMA_DONTFORK | VMA_WIPEONFORK)))
			n += shared_parts(job, v, r + n);
		else if (has_copies(v) && v->touched && !job->alone)
			r[n++] = (struct platform_range){.va = v->start, .len = vma_len(v)};
	platform_write_protect(mm->as, r, n);
	free(r);
	return 0;
}

/* Copies what no thread of the parent can write to now. */
static void copy_rest(struct fork_job *job)
{
	struct vma *v;

	for (unsigned i = 0; i < job->nr_again; i++)
		memcpy(pgpool_host((uint64_t)job->again[i].to << PGPOOL_SHIFT),
		       pgpool_host((uint64_t)job->again[i].from << PGPOOL_SHIFT), PAGE_SIZE);
	list_for_each(v, &job->from->vmas, node)
		if (has_copies(v))
			copy_private(v, vma_at(job->to, v->start)->win);
}

/* Gives a child its first translations. */
static void map_first(struct mm *to, const struct mm *from)
{
	struct vma *v;

	if (from->pages.pages > EAGER_PAGES)
		return;
	list_for_each(v, &to->vmas, node)
		if ((v->prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) &&
		    (v->kind == VMA_ANON || vma_len(v) <= MM_EAGER_FILE))
			mm_map_present(to, v, v->start, v->end);
}

int mm_fork(struct mm *from, struct mm **out)
{
	struct fork_job job = {.from = from};
	struct vma *v;
	int ret = mm_create(from->platform, &job.to);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&from->lock);
	copy_settings(from, job.to);
	from->forked = true;
	job.alone = platform_as_alone(from->as);
	hot_take(&job);
	list_for_each(v, &from->vmas, node) {
		if (v->flags & VMA_DONTFORK)
			continue;
		ret = fork_vma(&job, v);
		if (ret < 0)
			break;
	}
	/* Also after a failure: pages that were shared may stay read-only. */
	if (protect_private(&job) < 0)
		ret = -ENOMEM;
	if (!ret) {
		copy_rest(&job);
		map_first(job.to, from);
	}
	pthread_mutex_unlock(&from->lock);
	if (ret < 0)
		mm_put(job.to);
	else
		*out = job.to;
	return ret;
}
