#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include "sentry/file.h"
#include "sentry/mm_impl.h"
#include "sentry/task.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

#define PROT_ALL      (PROT_READ | PROT_WRITE | PROT_EXEC)
#define HUGE_SIZES    ((int)(63u << MAP_HUGE_SHIFT)) /* the size bits of MAP_HUGETLB */
#define LEGACY_FLAGS                                                                               \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE |   \
	 MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK |    \
	 MAP_HUGETLB | MAP_32BIT | MAP_FIXED_NOREPLACE | HUGE_SIZES)
#define THP_SIZE      (2ull << 20)
#define BLOCK_SIZE    (PAGE_SIZE << MM_FAULT_ORDER) /* larger mappings start where a block can */
#define STACK_GAP_MIN (128ull << 20)
#define STACK_GAP_MAX (64ull << 30)
#define LOW_2G	      0x80000000ull

int mm_global_init(struct platform *p, uint64_t limit_bytes, struct sbx_err **e)
{
	if (gmem_init(e) < 0)
		return -1;
	mm_fork_init();
	return pgpool_init(p, limit_bytes, e);
}

static uint64_t random_pages(unsigned bits)
{
	uint64_t r = 0;

	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = 0;
	return (r & ((1ull << bits) - 1)) * PAGE_SIZE;
}

/* A single writable mapping larger than all memory is refused, as Linux does by default. */
bool mm_overcommits(uint64_t n)
{
	static _Atomic uint64_t total;
	struct sysinfo si;

	if (!total && !sysinfo(&si))
		total = ((uint64_t)si.totalram + si.totalswap) * si.mem_unit;
	return total && n > total;
}

/* Leaves room for the stack, whose top moves by up to 16 GiB, above the mappings. */
static void set_mmap_base(struct mm *mm)
{
	uint64_t gap = MIN(MAX(mm->limit_stack, STACK_GAP_MIN), STACK_GAP_MAX);

	mm->mmap_base = MM_ADDR_MAX - gap - MM_STACK_GUARD - (1ull << 34) - mm->mmap_random;
}

int mm_create(struct platform *p, struct mm **out)
{
	struct mm *mm = calloc(1, sizeof(*mm));
	int ret;

	if (!mm)
		return -ENOMEM;
	mm->hots = mm_hots_new();
	ret = mm->hots ? platform_as_create(p, &mm->as) : -ENOMEM;
	if (ret < 0) {
		mm_hots_put(mm->hots);
		free(mm);
		return ret;
	}
	atomic_init(&mm->refs, 1);
	pthread_mutex_init(&mm->lock, NULL);
	mm->platform = p;
	list_init(&mm->vmas);
	mm->seed = (uint32_t)(random_pages(32) >> 12);
	mm->limit_as = mm->limit_data = mm->limit_locked = UINT64_MAX;
	mm->limit_stack = 8ull << 20;
	mm->mmap_random = random_pages(28);
	set_mmap_base(mm);
	*out = mm;
	return 0;
}

void mm_fix_layout(struct mm *mm)
{
	mm->mmap_random = 0;
	set_mmap_base(mm);
}

struct mm *mm_get(struct mm *mm)
{
	atomic_fetch_add(&mm->refs, 1);
	return mm;
}

void mm_put(struct mm *mm)
{
	if (atomic_fetch_sub(&mm->refs, 1) != 1)
		return;
	platform_as_destroy(&mm->as);
	mm_unmap_locked(mm, 0, MM_ADDR_MAX);
	pagemap_free(&mm->pages);
	mm_hots_put(mm->hots);
	pthread_mutex_destroy(&mm->lock);
	free(mm);
}

struct platform_as *mm_as(struct mm *mm)
{
	return mm->as;
}

struct mm_layout *mm_layout(struct mm *mm)
{
	return &mm->layout;
}

void mm_set_limits(struct mm *mm, uint64_t as, uint64_t data, uint64_t stack)
{
	pthread_mutex_lock(&mm->lock);
	mm->limit_as = as;
	mm->limit_data = data;
	mm->limit_stack = stack;
	if (list_empty(&mm->vmas))
		set_mmap_base(mm);
	pthread_mutex_unlock(&mm->lock);
}

unsigned mm_platform_prot(int prot)
{
	unsigned p = 0;

	if (prot & PROT_ALL)
		p |= PLATFORM_READ;
	if (prot & PROT_WRITE)
		p |= PLATFORM_WRITE;
	if (prot & PROT_EXEC)
		p |= PLATFORM_EXEC;
	return p;
}

static bool data_allowed(const struct mm *mm, uint64_t n)
{
	return n <= mm->limit_data && mm->data <= mm->limit_data - n;
}

bool mm_may_expand(struct mm *mm, uint64_t n, bool data)
{
	if (n > mm->limit_as || mm->vsize > mm->limit_as - n)
		return false;
	return !data || (data_allowed(mm, n) && !mm_overcommits(n));
}

/* ---- unmapping ---- */

static void release_pages(struct mm *mm, uint64_t start, uint64_t end)
{
	uint64_t i = start >> PGPOOL_SHIFT, last = end >> PGPOOL_SHIFT;
	struct pagemap_run r;

	while (pagemap_next_run(&mm->pages, i, last, &r)) {
		pagemap_clear(&mm->pages, r.index, r.n);
		pgpool_leave(r.page, r.n);
		i = r.index + r.n;
	}
}

void mm_zap(struct mm *mm, struct vma *v, uint64_t start, uint64_t end)
{
	if (v->touched && mm->as)
		platform_unmap(mm->as, start, end - start);
	if (v->kind == VMA_ANON)
		release_pages(mm, start, end);
}

int mm_split_edges(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v = vma_at(mm, start);

	if (v && v->start < start) {
		if (v->end > end && mm->nr_vmas + 1 >= MM_MAX_VMAS)
			return -ENOMEM;
		if (!vma_split(mm, v, start))
			return -ENOMEM;
	}
	v = vma_at(mm, end);
	if (v && v->start < end && !vma_split(mm, v, end))
		return -ENOMEM;
	return 0;
}

int mm_unmap_locked(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v, *next;
	int ret = mm_split_edges(mm, start, end);

	if (ret < 0)
		return ret;
	for (v = vma_find(mm, start); v && v->start < end; v = next) {
		next = vma_next(mm, v);
		mm_zap(mm, v, v->start, v->end);
		vma_unlink(mm, v);
		vma_free(v);
	}
	return 0;
}

int mm_munmap(struct mm *mm, uint64_t addr, uint64_t len)
{
	int ret;

	if (addr % PAGE_SIZE || addr > MM_ADDR_MAX || len > MM_ADDR_MAX - addr || !len)
		return -EINVAL;
	pthread_mutex_lock(&mm->lock);
	ret = mm_unmap_locked(mm, addr, addr + ALIGN_UP(len, PAGE_SIZE));
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

/* ---- mapping ---- */

int mm_map_anon(struct mm *mm, uint64_t addr, uint64_t len, int prot, unsigned flags)
{
	struct vma *v;

	if (mm->nr_vmas >= MM_MAX_VMAS)
		return -ENOMEM;
	v = vma_new(addr, addr + len, prot, flags | VMA_MAYALL, VMA_ANON);
	if (!v)
		return -ENOMEM;
	vma_link(mm, v);
	vma_merge(mm, v);
	return 0;
}

static int map_shm(struct mm *mm, uint64_t addr, uint64_t len, int prot, unsigned flags)
{
	struct vma *v = vma_new(addr, addr + len, prot, flags | VMA_MAYALL, VMA_SHM);

	if (!v)
		return -ENOMEM;
	v->shm = mm_shm_create(NULL, len, 0, NULL, NULL);
	if (!v->shm) {
		vma_free(v);
		return -ENOMEM;
	}
	vma_link(mm, v);
	return 0;
}

static int host_fd(struct file *f, const struct vma *v)
{
	return f->ops->mmap_fd ? f->ops->mmap_fd(current, f, v->flags & VMA_SHARED) : f->hostfd;
}

static int host_map_fd(const struct vma *v, int fd, uint64_t win, uint64_t len, uint64_t off)
{
	bool shared = v->flags & VMA_SHARED;
	int prot = PROT_READ | (!shared || (v->flags & VMA_MAYWRITE) ? PROT_WRITE : 0);
	void *p = mmap(pgpool_host(win), len, prot,
		       (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | MAP_NORESERVE, fd,
		       (off_t)off);

	return p == MAP_FAILED ? -errno : 0;
}

int mm_host_map(const struct vma *v, uint64_t win, uint64_t len, uint64_t off)
{
	int fd = host_fd(v->file, v);

	return fd < 0 ? -ENODEV : host_map_fd(v, fd, win, len, off);
}

int mm_map_file(struct vma *v, struct file *f, uint64_t off)
{
	int fd = host_fd(f, v), ret;
	struct pgrange *r;
	struct stat st;

	if (fd < 0)
		return fd == -1 ? -ENODEV : fd;
	if (mm_text_get(v, f, off, &st)) {
		v->win = v->range->at.off;
		v->off = off;
		v->file = file_get(f);
		return 0;
	}
	ret = pgrange_create(vma_len(v), &r);
	if (ret < 0)
		return ret;
	ret = host_map_fd(v, fd, r->at.off, r->at.len, off);
	if ((ret == -EPERM || ret == -EACCES) && (v->flags & VMA_SHARED) && !(v->prot & PROT_WRITE)) {
		v->flags &= ~(unsigned)VMA_MAYWRITE; /* sealed against writing */
		ret = host_map_fd(v, fd, r->at.off, r->at.len, off);
	}
	if (ret < 0) {
		pgrange_put(r);
		return ret;
	}
	if (v->flags & VMA_SHARED)
		pgrange_shared(r);
	v->range = r;
	v->win = r->at.off;
	v->off = off;
	v->file = file_get(f);
	mm_text_add(v, &st);
	return 0;
}

static int map_file(struct mm *mm, uint64_t addr, uint64_t len, int prot, unsigned flags,
		    struct file *f, uint64_t off)
{
	struct vma *v = vma_new(addr, addr + len, prot, flags, VMA_FILE);
	int ret;

	if (!v)
		return -ENOMEM;
	ret = mm_map_file(v, f, off);
	if (ret < 0) {
		vma_free(v);
		return ret;
	}
	vma_link(mm, v);
	if ((prot & PROT_ALL) && len <= MM_EAGER_FILE)
		mm_map_file_hot(mm, v, v->start, v->end);
	return 0;
}

/* What Linux checks of the file and the flags; *vflags gets VMA_MAY*, VMA_SHARED. */
static int check_file(struct file *f, int prot, int flags, unsigned *vflags)
{
	unsigned acc = f->flags & O_ACCMODE;
	int type = flags & MAP_TYPE;

	if (f->kind == POL_FD_DIR)
		return -ENODEV;
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (type == MAP_SHARED_VALIDATE && (flags & ~LEGACY_FLAGS))
		return -EOPNOTSUPP;
	*vflags |= VMA_MAYALL;
	if (!(f->verbs & POL_V_EXEC)) {
		if (prot & PROT_EXEC)
			return -EPERM;
		*vflags &= ~(unsigned)VMA_MAYEXEC;
	}
	if (type != MAP_PRIVATE) {
		bool writable = acc == O_RDWR && !f->append_only;

		if ((prot & PROT_WRITE) && !writable)
			return -EACCES;
		*vflags |= VMA_SHARED;
		if (!writable)
			*vflags &= ~(unsigned)VMA_MAYWRITE;
	}
	if (acc == O_WRONLY)
		return -EACCES;
	return flags & MAP_GROWSDOWN ? -EINVAL : 0;
}

static int check_anon(int flags, unsigned *vflags)
{
	int type = flags & MAP_TYPE;

	if (type == MAP_SHARED) {
		if (flags & MAP_GROWSDOWN)
			return -EINVAL;
		*vflags |= VMA_SHARED;
	} else if (type != MAP_PRIVATE && type != MAP_DROPPABLE) {
		return -EINVAL;
	}
	if (flags & MAP_GROWSDOWN)
		*vflags |= VMA_GROWSDOWN;
	return 0;
}

uint64_t mm_find_area(struct mm *mm, uint64_t len)
{
	uint64_t at = vma_find_gap(mm, len, PAGE_SIZE, MM_ADDR_MIN, mm->mmap_base);

	return at ? at : vma_find_gap(mm, len, PAGE_SIZE, MM_ADDR_MIN, MM_ADDR_MAX);
}

int64_t mm_place(struct mm *mm, uint64_t addr, uint64_t len, int flags, bool anon)
{
	uint64_t found, align;

	if (len > MM_ADDR_MAX)
		return -ENOMEM;
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (addr > MM_ADDR_MAX - len)
			return -ENOMEM;
		if (addr % PAGE_SIZE)
			return -EINVAL;
		if (addr < MM_ADDR_MIN)
			return -EPERM;
		if ((flags & MAP_FIXED_NOREPLACE) && !vma_range_free(mm, addr, addr + len, false))
			return -EEXIST;
		return (int64_t)addr;
	}
	if (addr) {
		uint64_t end;

		addr = MAX(addr & PAGE_MASK, MM_ADDR_MIN);
		if (!add_overflow(addr, len, &end) &&
		    end <= ((flags & MAP_32BIT) ? LOW_2G : MM_ADDR_MAX) &&
		    vma_range_free(mm, addr, end, true))
			return (int64_t)addr;
	}
	if (flags & MAP_32BIT) {
		found = vma_find_gap(mm, len, PAGE_SIZE, LOW_2G / 2, LOW_2G);
		return found ? (int64_t)found : -ENOMEM;
	}
	align = len >= THP_SIZE ? THP_SIZE : len >= BLOCK_SIZE ? BLOCK_SIZE : PAGE_SIZE;
	found = anon ? vma_find_gap(mm, len, align, MM_ADDR_MIN, mm->mmap_base) : 0;
	if (!found)
		found = mm_find_area(mm, len);
	return found ? (int64_t)found : -ENOMEM;
}

static int64_t mmap_locked(struct mm *mm, uint64_t addr, uint64_t len, int prot, int flags,
			   struct file *f, uint64_t off)
{
	unsigned vflags = 0;
	int64_t at;
	bool data;
	int ret;

	if (mm->nr_vmas >= MM_MAX_VMAS)
		return -ENOMEM;
	at = mm_place(mm, addr, len, flags, !f);
	if (at < 0)
		return at;
	ret = f ? check_file(f, prot, flags, &vflags) : check_anon(flags, &vflags);
	if (ret < 0)
		return ret;
	data = (prot & PROT_WRITE) && !(vflags & (VMA_SHARED | VMA_GROWSDOWN));
	if (!mm_may_expand(mm, len, data && !(flags & MAP_NORESERVE)) ||
	    (data && !data_allowed(mm, len)))
		return -ENOMEM;
	if (flags & MAP_NORESERVE)
		vflags |= VMA_NORESERVE;
	if (flags & MAP_LOCKED)
		vflags |= VMA_LOCKED;
	vflags |= mm->lock_future;
	if ((flags & MAP_LOCKED) && !mm->limit_locked)
		return -EPERM;
	if ((vflags & VMA_LOCKED) && (len > mm->limit_locked || mm->locked > mm->limit_locked - len))
		return -EAGAIN;
	ret = mm_unmap_locked(mm, (uint64_t)at, (uint64_t)at + len);
	if (ret < 0)
		return ret;
	if (f)
		ret = map_file(mm, (uint64_t)at, len, prot, vflags, f, off);
	else if (vflags & VMA_SHARED)
		ret = map_shm(mm, (uint64_t)at, len, prot, vflags);
	else
		ret = mm_map_anon(mm, (uint64_t)at, len, prot, vflags);
	if (ret < 0)
		return ret;
	if ((vflags & VMA_LOCKED) || (flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE)
		mm_populate(mm, (uint64_t)at, (uint64_t)at + len);
	else if (data && !f && !(flags & (MAP_NORESERVE | MAP_STACK)))
		mm_prefault(mm, (uint64_t)at);
	return at;
}

/* The sizes of huge pages on x86-64: the default, 2 MiB, 1 GiB. */
static bool huge_size_known(int flags)
{
	unsigned log = (unsigned)flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;

	return !log || log == 21 || log == 30;
}

int64_t mm_mmap(struct mm *mm, uint64_t addr, uint64_t len, int prot, int flags, struct file *f,
		uint64_t off)
{
	int64_t ret;

	if (off % PAGE_SIZE || !len)
		return -EINVAL;
	if (flags & MAP_HUGETLB && f)
		return -EINVAL; /* not a file of huge pages */
	if (flags & MAP_HUGETLB)
		return f || !huge_size_known(flags) ? -EINVAL : -ENOMEM;
	if (len > MM_ADDR_MAX)
		return -ENOMEM;
	len = ALIGN_UP(len, PAGE_SIZE);
	if (f && (off > INT64_MAX || len > INT64_MAX - off))
		return -EOVERFLOW;
	pthread_mutex_lock(&mm->lock);
	ret = mmap_locked(mm, addr, len, prot & PROT_ALL, flags, f, off);
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

/* ---- protection ---- */

/* What the pages of v that are present can all have: those shared with others stay read-only until
 * the fault that copies them. */
static unsigned protect_bits(const struct mm *mm, const struct vma *v)
{
	unsigned bits = mm_platform_prot(v->prot);

	return mm->forked && v->kind == VMA_ANON ? bits & ~(unsigned)PLATFORM_WRITE : bits;
}

static int protect_one(struct mm *mm, struct vma *v, int prot)
{
	unsigned may = (unsigned)((prot & PROT_READ ? VMA_MAYREAD : 0) |
				  (prot & PROT_WRITE ? VMA_MAYWRITE : 0) |
				  (prot & PROT_EXEC ? VMA_MAYEXEC : 0));
	int old = v->prot;

	if (may & ~v->flags)
		return -EACCES;
	if (prot == old)
		return 0;
	if ((prot & PROT_WRITE) && !(old & PROT_WRITE) && !(v->flags & (VMA_SHARED | VMA_GROWSDOWN)) &&
	    (!data_allowed(mm, vma_len(v)) ||
	     (!(v->flags & VMA_NORESERVE) && mm_overcommits(vma_len(v)))))
		return -ENOMEM;
	if ((prot & PROT_WRITE) && v->kind == VMA_FILE && mm_unshare_file(mm, v) < 0)
		return -ENOMEM;
	vma_count(mm, v, -1);
	v->prot = prot;
	v->wrote |= (prot & PROT_WRITE) != 0;
	if (v->kind == VMA_FILE && (prot & PROT_WRITE) && v->touched) /* pages that are present widen */
		vma_writes(v, v->win, v->win + vma_len(v));
	vma_count(mm, v, 1);
	if (!v->touched)
		return 0;
	if (!(prot & PROT_ALL)) {
		platform_unmap(mm->as, v->start, vma_len(v));
	} else if (old & PROT_ALL) {
		platform_protect(mm->as, v->start, vma_len(v), protect_bits(mm, v));
	} else if (vma_len(v) <= MM_EAGER_FILE) {
		mm_map_present(mm, v, v->start, v->end);
	}
	return 0;
}

static int protect_range(struct mm *mm, uint64_t start, uint64_t end, int prot)
{
	struct vma *v = vma_at(mm, start);

	for (; start < end; v = vma_next(mm, v)) {
		int ret;

		if (!v || v->start > start)
			return -ENOMEM;
		if (v->prot != prot) {
			if (v->start < start && !(v = vma_split(mm, v, start)))
				return -ENOMEM;
			if (v->end > end && !vma_split(mm, v, end))
				return -ENOMEM;
		}
		start = v->end;
		ret = protect_one(mm, v, prot);
		if (ret < 0)
			return ret;
		v = vma_merge(mm, v);
		if (v->end >= end)
			break;
		start = v->end;
	}
	return 0;
}

int mm_mprotect(struct mm *mm, uint64_t addr, uint64_t len, int prot)
{
	int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
	struct vma *v;
	uint64_t end;
	int ret = 0;

	prot &= ~(PROT_GROWSDOWN | PROT_GROWSUP);
	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || addr % PAGE_SIZE)
		return -EINVAL;
	if (!len)
		return 0;
	if (len > MM_ADDR_MAX || add_overflow(addr, ALIGN_UP(len, PAGE_SIZE), &end) ||
	    end > MM_ADDR_MAX)
		return -ENOMEM;
	if (prot & ~(PROT_ALL | 8 /* PROT_SEM */))
		return -EINVAL;
	pthread_mutex_lock(&mm->lock);
	v = vma_find(mm, addr);
	if (!v)
		ret = -ENOMEM;
	else if (grows == PROT_GROWSDOWN && v->start >= end)
		ret = -ENOMEM;
	else if (grows && (grows == PROT_GROWSUP || !(v->flags & VMA_GROWSDOWN)))
		ret = -EINVAL;
	else if (!grows && v->start > addr)
		ret = -ENOMEM;
	if (!ret)
		ret = protect_range(mm, grows ? v->start : addr, end, prot & PROT_ALL);
	pthread_mutex_unlock(&mm->lock);
	return ret;
}

/* ---- the break ---- */

static bool brk_locked(struct mm *mm, uint64_t want)
{
	uint64_t old = ALIGN_UP(mm->brk, PAGE_SIZE), new = ALIGN_UP(want, PAGE_SIZE);

	if (want < mm->layout.start_brk || want > MM_ADDR_MAX - PAGE_SIZE)
		return false;
	if (want - mm->layout.start_brk > mm->limit_data)
		return false;
	if (new < old)
		return mm_unmap_locked(mm, new, old) == 0;
	if (new == old)
		return true;
	if (!vma_range_free(mm, old, new + PAGE_SIZE, true) || !mm_may_expand(mm, new - old, true))
		return false;
	if (mm_map_anon(mm, old, new - old, PROT_READ | PROT_WRITE, mm->lock_future) < 0)
		return false;
	mm_prefault(mm, old);
	return true;
}

uint64_t mm_brk(struct mm *mm, uint64_t addr)
{
	uint64_t ret;

	pthread_mutex_lock(&mm->lock);
	if (!mm->brk)
		mm->brk = mm->layout.start_brk;
	if (addr && brk_locked(mm, addr))
		mm->brk = addr;
	ret = mm->brk;
	pthread_mutex_unlock(&mm->lock);
	return ret;
}
