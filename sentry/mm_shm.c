/* Objects whose pages several mappings share, and the mappings of those that System V shared memory
 * makes. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "sentry/mm_impl.h"

struct mm_shm *mm_shm_create(const char *name, uint64_t size, uint64_t ino,
			     const struct mm_shm_ops *ops, void *owner)
{
	struct mm_shm *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	pthread_mutex_init(&s->lock, NULL);
	s->name = name;
	s->size = size;
	s->ino = ino;
	s->ops = ops;
	s->owner = owner;
	return s;
}

struct mm_shm *mm_shm_get(struct mm_shm *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void mm_shm_put(struct mm_shm *s)
{
	struct pagemap_run r;
	uint64_t i = 0;

	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	while (pagemap_next_run(&s->pages, i, 1ull << PAGEMAP_INDEX_BITS, &r)) {
		pgpool_put(r.page, r.n);
		i = r.index + r.n;
	}
	pagemap_free(&s->pages);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct mm_shm *mm_shm_attach(struct mm_shm *s)
{
	mm_shm_get(s);
	if (s->ops)
		s->ops->attached(s->owner);
	return s;
}

void mm_shm_detach(struct mm_shm *s)
{
	if (s->ops)
		s->ops->detached(s->owner);
	mm_shm_put(s);
}

uint64_t mm_shm_resident(struct mm_shm *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	n = s->pages.pages << PGPOOL_SHIFT;
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* ---- System V attachments ---- */

static int64_t attach(struct mm *mm, struct mm_shm *s, int64_t at, uint64_t len, int prot,
		      unsigned flags)
{
	struct vma *v = vma_new((uint64_t)at, (uint64_t)at + len, prot, flags, VMA_SHM);
	int ret;

	if (!v)
		return -ENOMEM;
	ret = mm_unmap_locked(mm, v->start, v->end);
	if (ret < 0) {
		vma_free(v);
		return ret;
	}
	v->shm = mm_shm_attach(s);
	vma_link(mm, v);
	if (v->flags & VMA_LOCKED)
		mm_populate(mm, v->start, v->end);
	else
		mm_map_present(mm, v, v->start, v->end);
	return at;
}

int64_t mm_shmat(struct mm *mm, struct mm_shm *s, uint64_t addr, int prot, bool may_write,
		 bool remap)
{
	unsigned flags = VMA_SHARED | VMA_MAYREAD | VMA_MAYEXEC | (may_write ? VMA_MAYWRITE : 0u);
	uint64_t len = ALIGN_UP(s->size, PAGE_SIZE);
	int64_t at;

	pthread_mutex_lock(&mm->lock);
	at = mm_place(mm, addr, len, addr ? MAP_FIXED : 0, true);
	if (addr && !remap && addr > UINT64_MAX - len)
		at = -EINVAL;
	else if (addr && !remap && at > 0 && !vma_range_free(mm, addr, addr + len, false))
		at = -EINVAL;
	else if (at > 0 && (mm->nr_vmas >= MM_MAX_VMAS || !mm_may_expand(mm, len, false)))
		at = -ENOMEM;
	if (at > 0)
		at = attach(mm, s, at, len, prot, flags | mm->lock_future);
	pthread_mutex_unlock(&mm->lock);
	return at;
}

/* Is v a part of an attachment that begins at addr? */
static bool part_of(const struct vma *v, uint64_t addr)
{
	return v->kind == VMA_SHM && v->shm->ops && v->start - addr == v->off;
}

int mm_shmdt(struct mm *mm, uint64_t addr)
{
	struct mm_shm *s = NULL;
	struct vma *v, *next;
	uint64_t end = 0;
	int ret = -EINVAL;

	pthread_mutex_lock(&mm->lock);
	for (v = vma_find(mm, addr); v && (!s || v->start < end); v = next) {
		next = vma_next(mm, v);
		if (v->start < addr || !part_of(v, addr) || (s && v->shm != s))
			continue;
		if (!s) {
			s = mm_shm_get(v->shm);
			end = addr + ALIGN_UP(s->size, PAGE_SIZE);
		}
		ret = mm_unmap_locked(mm, v->start, v->end);
		if (ret < 0)
			break;
	}
	pthread_mutex_unlock(&mm->lock);
	if (s)
		mm_shm_put(s);
	return ret;
}
