#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include "sentry/file.h"
#include "sentry/mm_impl.h"
#include "sentry/task.h"

#define PROT_ALL      (PROT_READ | PROT_WRITE | PROT_EXEC)
#define MINCORE_CHUNK 1024

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* Rounds [addr, addr+len) to pages. 0, 1 when it is empty, or -err. */
static int page_range(uint64_t addr, uint64_t len, int err, uint64_t *end)
{
	uint64_t round = ALIGN_UP(len, PAGE_SIZE);

	if (addr % PAGE_SIZE)
		return -EINVAL;
	if (round < len || add_overflow(addr, round, end))
		return -err;
	return *end == addr;
}

/* ---- madvise ---- */

/* Drops the contents of private pages in place: their translations stay, the host gives fresh zero
 * pages. Pages that somebody else holds are let go instead. */
static void discard_anon(struct mm *mm, struct vma *v, uint64_t start, uint64_t end)
{
	uint64_t i = start >> PGPOOL_SHIFT, last = end >> PGPOOL_SHIFT;
	struct pagemap_run r;

	while (pagemap_next_run(&mm->pages, i, last, &r)) {
		uint32_t n = 0;

		while (n < r.n && pgpool_refs(r.page + n) == 1)
			n++;
		if (n) {
			pgpool_discard(r.page, n);
		} else {
			n = 1;
			mm_zap(mm, v, r.index << PGPOOL_SHIFT, (r.index + 1) << PGPOOL_SHIFT);
		}
		i = r.index + n;
	}
}

static int advise_dontneed(struct mm *mm, struct vma *v, uint64_t start, uint64_t end)
{
	if (v->kind == VMA_ANON)
		discard_anon(mm, v, start, end);
	else if (v->kind == VMA_FILE && !(v->flags & VMA_SHARED))
		madvise(pgpool_host(v->win + (start - v->start)), end - start, MADV_DONTNEED);
	return 0;
}

static int advise_remove(struct vma *v, uint64_t start, uint64_t end)
{
	uint64_t off = v->off + (start - v->start);
	struct pagemap_run r;
	int fd;

	if ((v->flags & VMA_LOCKED) || v->kind == VMA_ANON)
		return -EINVAL;
	if (!(v->flags & VMA_SHARED) || !(v->flags & VMA_MAYWRITE))
		return -EACCES;
	if (v->kind == VMA_FILE) {
		fd = v->file->ops->mmap_fd ? v->file->ops->mmap_fd(current, v->file, true)
					   : v->file->hostfd;
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
				 (off_t)(end - start)) < 0 ? -errno : 0;
	}
	pthread_mutex_lock(&v->shm->lock);
	for (uint64_t i = off >> PGPOOL_SHIFT, last = i + ((end - start) >> PGPOOL_SHIFT);
	     pagemap_next_run(&v->shm->pages, i, last, &r); i = r.index + r.n)
		pgpool_discard(r.page, r.n);
	pthread_mutex_unlock(&v->shm->lock);
	return 0;
}

static int advise_populate(struct mm *mm, struct vma *v, uint64_t start, uint64_t end, int advice)
{
	bool write = advice == MADV_POPULATE_WRITE;

	if (write ? !(v->prot & PROT_WRITE) : !(v->prot & PROT_ALL))
		return -EINVAL;
	return mm_populate(mm, start, end);
}

static int advise_flag(struct mm *mm, struct vma *v, uint64_t start, uint64_t end, unsigned set,
		       unsigned clear)
{
	unsigned want = (v->flags | set) & ~clear;
	int ret;

	if (want == v->flags)
		return 0;
	ret = mm_split_edges(mm, start, end);
	if (ret < 0)
		return ret;
	v = vma_at(mm, start);
	v->flags = want;
	vma_merge(mm, v);
	return 0;
}

/* One mapping's part of the range. */
static int advise(struct mm *mm, struct vma *v, uint64_t start, uint64_t end, int advice)
{
	switch (advice) {
	case MADV_FREE: /* freeing at once is one of the things it allows */
		if (v->kind != VMA_ANON)
			return -EINVAL;
		/* fallthrough */
	case MADV_DONTNEED:
		if (v->flags & VMA_LOCKED)
			return -EINVAL;
		/* fallthrough */
	case MADV_DONTNEED_LOCKED:
		return advise_dontneed(mm, v, start, end);
	case MADV_REMOVE:
		return advise_remove(v, start, end);
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return advise_populate(mm, v, start, end, advice);
	case MADV_COLD:
	case MADV_PAGEOUT:
		return v->flags & VMA_LOCKED ? -EINVAL : 0;
	case MADV_DONTFORK:
		return advise_flag(mm, v, start, end, VMA_DONTFORK, 0);
	case MADV_DOFORK:
		return advise_flag(mm, v, start, end, 0, VMA_DONTFORK);
	case MADV_WIPEONFORK:
		if (v->kind != VMA_ANON)
			return -EINVAL;
		return advise_flag(mm, v, start, end, VMA_WIPEONFORK, 0);
	case MADV_KEEPONFORK:
		return advise_flag(mm, v, start, end, 0, VMA_WIPEONFORK);
	default: /* hints */
		return 0;
	}
}

static int check_advice(int advice)
{
	switch (advice) {
	case MADV_NORMAL: case MADV_RANDOM: case MADV_SEQUENTIAL: case MADV_WILLNEED:
	case MADV_DONTNEED: case MADV_FREE: case MADV_REMOVE: case MADV_DONTFORK:
	case MADV_DOFORK: case MADV_MERGEABLE: case MADV_UNMERGEABLE: case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE: case MADV_DONTDUMP: case MADV_DODUMP: case MADV_WIPEONFORK:
	case MADV_KEEPONFORK: case MADV_COLD: case MADV_PAGEOUT: case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE: case MADV_DONTNEED_LOCKED:
		return 0;
	case MADV_HWPOISON:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

int mm_madvise(struct mm *mm, uint64_t addr, uint64_t len, int advice)
{
	int ret = check_advice(advice), hole = 0;
	uint64_t end;
	struct vma *v;

	if (ret < 0)
		return ret;
	ret = page_range(addr, len, EINVAL, &end);
	if (ret)
		return ret < 0 ? ret : 0;
	pthread_mutex_lock(&mm->lock);
	while (addr < end) {
		uint64_t stop;

		v = vma_find(mm, addr);
		if (!v || v->start >= end) {
			hole = -ENOMEM;
			break;
		}
		if (v->start > addr)
			hole = -ENOMEM;
		addr = MAX(addr, v->start);
		stop = MIN(end, v->end);
		ret = advise(mm, v, addr, stop, advice);
		if (ret < 0)
			break;
		addr = stop;
	}
	pthread_mutex_unlock(&mm->lock);
	return ret < 0 ? ret : hole;
}

/* ---- mincore ---- */

static void host_mincore(uint64_t off, uint64_t pages, uint8_t *vec)
{
	if (mincore(pgpool_host(off), pages << PGPOOL_SHIFT, vec) < 0)
		memset(vec, 0, pages);
	for (uint64_t i = 0; i < pages; i++)
		vec[i] &= 1;
}

/* Residency of n pages from addr, all inside v. */
static void vma_mincore(struct mm *mm, struct vma *v, uint64_t addr, uint64_t n, uint8_t *vec)
{
	uint64_t base = vma_index(v, addr), i;
	struct pagemap_run r;

	if (v->kind == VMA_FILE) {
		host_mincore(v->win + (addr - v->start), n, vec);
		return;
	}
	memset(vec, 0, n);
	for (i = base; pagemap_next_run(vma_pages(mm, v), i, base + n, &r); i = r.index + r.n)
		host_mincore((uint64_t)r.page << PGPOOL_SHIFT, r.n, vec + (r.index - base));
}

/* Fills vec for up to n pages; how many were mapped, at least one, or -ENOMEM. */
uint64_t mm_present(struct mm *mm)
{
	return __atomic_load_n(&mm->pages.pages, __ATOMIC_RELAXED) << PGPOOL_SHIFT;
}

uint64_t mm_private(struct mm *mm)
{
	uint8_t vec[1u << PGPOOL_MAX_ORDER];
	struct pagemap_run r;
	uint64_t i, bytes = 0;

	pthread_mutex_lock(&mm->lock);
	for (i = 0; pagemap_next_run(&mm->pages, i, 1ull << PAGEMAP_INDEX_BITS, &r); i = r.index + r.n) {
		host_mincore((uint64_t)r.page << PGPOOL_SHIFT, r.n, vec);
		for (uint32_t k = 0; k < r.n; k++)
			if (vec[k] & 1)
				bytes += PAGE_SIZE / pgpool_holders(r.page + k);
	}
	pthread_mutex_unlock(&mm->lock);
	return bytes;
}

static int64_t mincore_chunk(struct mm *mm, uint64_t addr, uint64_t n, uint8_t *vec)
{
	struct vma *v;

	pthread_mutex_lock(&mm->lock);
	v = vma_at(mm, addr);
	if (v) {
		n = MIN(n, (v->end - addr) >> PGPOOL_SHIFT);
		vma_mincore(mm, v, addr, n, vec);
	}
	pthread_mutex_unlock(&mm->lock);
	return v ? (int64_t)n : -ENOMEM;
}

int mm_mincore(struct mm *mm, uint64_t addr, uint64_t len, struct gptr vec)
{
	uint64_t pages = ALIGN_UP(len, PAGE_SIZE) >> PGPOOL_SHIFT;
	uint8_t chunk[MINCORE_CHUNK];

	if (addr % PAGE_SIZE)
		return -EINVAL;
	if (addr > MM_ADDR_MAX || len > MM_ADDR_MAX - addr)
		return -ENOMEM;
	while (pages) {
		int64_t n = mincore_chunk(mm, addr, MIN(pages, (uint64_t)MINCORE_CHUNK), chunk);

		if (n < 0)
			return (int)n;
		if (gmem_write(mm, vec, chunk, (size_t)n) < 0)
			return -EFAULT;
		vec.addr += (uint64_t)n;
		addr += (uint64_t)n << PGPOOL_SHIFT;
		pages -= (uint64_t)n;
	}
	return 0;
}

int mm_page_present(struct mm *mm, uint64_t addr)
{
	uint8_t in = 0;

	return addr < MM_ADDR_MAX && mincore_chunk(mm, addr & PAGE_MASK, 1, &in) == 1 ? in : -EFAULT;
}

/* ---- memory policies ---- */

int mm_set_policy(struct mm *mm, uint64_t addr, uint64_t len, unsigned policy)
{
	uint64_t end, stop;
	struct vma *v;
	int ret = page_range(addr, len, EINVAL, &end);

	if (ret)
		return ret < 0 ? ret : 0;
	pthread_mutex_lock(&mm->lock);
	for (; !ret && addr < end; addr = stop) {
		v = vma_at(mm, addr);
		stop = v ? MIN(end, v->end) : end;
		ret = v ? advise_flag(mm, v, addr, stop, policy << VMA_POLICY_SHIFT,
				      VMA_POLICY & ~(policy << VMA_POLICY_SHIFT))
			: -EFAULT;
	}
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

int mm_get_policy(struct mm *mm, uint64_t addr, unsigned *policy)
{
	struct vma *v;

	pthread_mutex_lock(&mm->lock);
	v = vma_at(mm, addr);
	if (v)
		*policy = (v->flags & VMA_POLICY) >> VMA_POLICY_SHIFT;
	pthread_mutex_unlock(&mm->lock);
	return v ? 0 : -EFAULT;
}

/* ---- msync ---- */

/* Writes back what of [addr, end) lies in the mapping at addr; *next is where that ends. mm locked,
 * and unlocked while the host writes. */
static int msync_one(struct mm *mm, struct vma *v, uint64_t addr, uint64_t end, int flags,
		     uint64_t *next)
{
	struct pgrange *range;
	uint64_t off;
	int ret = 0;

	*next = MIN(end, v->end);
	if ((flags & MS_INVALIDATE) && (v->flags & VMA_LOCKED))
		return -EBUSY;
	if (!(flags & MS_SYNC) || v->kind != VMA_FILE || !(v->flags & VMA_SHARED))
		return 0;
	range = pgrange_get(v->range);
	off = v->win + (addr - v->start);
	pthread_mutex_unlock(&mm->lock);
	if (msync(pgpool_host(off), *next - addr, MS_SYNC) < 0 && errno != ENOMEM)
		ret = -errno;
	pgrange_put(range);
	pthread_mutex_lock(&mm->lock);
	return ret;
}

int mm_msync(struct mm *mm, uint64_t addr, uint64_t len, int flags)
{
	int ret, hole = 0;
	uint64_t end;

	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) ||
	    ((flags & MS_ASYNC) && (flags & MS_SYNC)))
		return -EINVAL;
	ret = page_range(addr, len, ENOMEM, &end);
	if (ret)
		return ret < 0 ? ret : 0;
	pthread_mutex_lock(&mm->lock);
	while (addr < end && !ret) {
		struct vma *v = vma_find(mm, addr);

		if (!v || v->start >= end) {
			hole = -ENOMEM;
			break;
		}
		if (v->start > addr)
			hole = -ENOMEM;
		ret = msync_one(mm, v, MAX(addr, v->start), end, flags, &addr);
	}
	pthread_mutex_unlock(&mm->lock);
	return ret < 0 ? ret : hole;
}

/* ---- locking ---- */

/* Sets or clears VMA_LOCKED on [start, end). 0, or -ENOMEM when a part is not mapped. */
static int set_locked(struct mm *mm, uint64_t start, uint64_t end, bool on)
{
	while (start < end) {
		struct vma *v = vma_at(mm, start);
		uint64_t stop;

		if (!v)
			return -ENOMEM;
		stop = MIN(v->end, end);
		if (!!(v->flags & VMA_LOCKED) != on && !(v->flags & VMA_SPECIAL)) {
			if (mm_split_edges(mm, start, stop) < 0)
				return -ENOMEM;
			v = vma_at(mm, start);
			vma_count(mm, v, -1);
			v->flags ^= VMA_LOCKED;
			vma_count(mm, v, 1);
			vma_merge(mm, v);
		}
		start = stop;
	}
	return 0;
}

/* Page-aligned range of mlock and munlock: 0, 1 when empty, or -EINVAL. */
static int lock_range(uint64_t *addr, uint64_t len, uint64_t *end)
{
	uint64_t n = ALIGN_UP(len + *addr % PAGE_SIZE, PAGE_SIZE);

	*addr &= PAGE_MASK;
	if (add_overflow(*addr, n, end) || n < len)
		return -EINVAL;
	return *end == *addr;
}

/* Bytes of [start, end) that are locked already. */
static uint64_t locked_within(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v;
	uint64_t n = 0;

	for (v = vma_find(mm, start); v && v->start < end; v = vma_next(mm, v))
		if (v->flags & VMA_LOCKED)
			n += MIN(v->end, end) - MAX(v->start, start);
	return n;
}

void mm_set_memlock(struct mm *mm, uint64_t limit)
{
	pthread_mutex_lock(&mm->lock);
	mm->limit_locked = limit;
	pthread_mutex_unlock(&mm->lock);
}

int mm_mlock(struct mm *mm, uint64_t addr, uint64_t len, bool on_fault, uint64_t limit)
{
	uint64_t end;
	int ret;

	if (!limit)
		return -EPERM;
	ret = lock_range(&addr, len, &end);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&mm->lock);
	if (end - addr > limit ||
	    mm->locked - locked_within(mm, addr, end) > limit - (end - addr))
		ret = -ENOMEM;
	else if (!ret)
		ret = set_locked(mm, addr, end, true);
	else
		ret = 0;
	if (!ret && !on_fault)
		mm_populate(mm, addr, end);
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

int mm_munlock(struct mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t end;
	int ret = lock_range(&addr, len, &end);

	if (ret)
		return ret < 0 ? ret : 0;
	pthread_mutex_lock(&mm->lock);
	ret = set_locked(mm, addr, end, false);
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

static void lock_all(struct mm *mm, bool on)
{
	struct vma *v;

	list_for_each(v, &mm->vmas, node) {
		if (v->flags & VMA_SPECIAL)
			continue;
		vma_count(mm, v, -1);
		v->flags = on ? v->flags | VMA_LOCKED : v->flags & ~(unsigned)VMA_LOCKED;
		vma_count(mm, v, 1);
	}
}

int mm_mlockall(struct mm *mm, int flags, uint64_t limit)
{
	int ret = 0;

	if (!flags || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || flags == MCL_ONFAULT)
		return -EINVAL;
	if (!limit)
		return -EPERM;
	pthread_mutex_lock(&mm->lock);
	if ((flags & MCL_CURRENT) && mm->vsize > limit) {
		ret = -ENOMEM;
	} else {
		mm->lock_future = flags & MCL_FUTURE ? VMA_LOCKED : 0;
		if (flags & MCL_CURRENT)
			lock_all(mm, true);
		if ((flags & MCL_CURRENT) && !(flags & MCL_ONFAULT))
			mm_populate(mm, 0, MM_ADDR_MAX);
	}
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

int mm_munlockall(struct mm *mm)
{
	pthread_mutex_lock(&mm->lock);
	mm->lock_future = 0;
	lock_all(mm, false);
	pthread_mutex_unlock(&mm->lock);
	return 0;
}
