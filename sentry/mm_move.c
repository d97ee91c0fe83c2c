/* mremap. */
#include <errno.h>
#include <sys/mman.h>
#include "sentry/mm_impl.h"

struct move {
	uint64_t old, old_len, new, new_len;
	int flags;
};

static bool expands(const struct move *m)
{
	return m->new_len > m->old_len;
}

/* Moves the private pages of [old, old+len) to new, which is apart. 0 or -ENOMEM with nothing changed.
 * Nothing is cleared before all is set: clearing frees leaves, of which one may be reserved. */
static int move_pages(struct mm *mm, uint64_t old, uint64_t new, uint64_t len)
{
	uint64_t from = old >> PGPOOL_SHIFT, to = new >> PGPOOL_SHIFT, end, i;
	struct pagemap_run r;

	end = from + (len >> PGPOOL_SHIFT);
	for (i = from; pagemap_next_run(&mm->pages, i, end, &r); i = r.index + r.n)
		if (pagemap_reserve(&mm->pages, r.index - from + to, r.n) < 0)
			return -ENOMEM;
	for (i = from; pagemap_next_run(&mm->pages, i, end, &r); i = r.index + r.n)
		for (uint32_t k = 0; k < r.n; k++)
			pagemap_set(&mm->pages, r.index - from + to + k, r.page + k);
	for (i = from; pagemap_next_run(&mm->pages, i, end, &r); i = r.index + r.n)
		pagemap_clear(&mm->pages, r.index, r.n);
	return 0;
}

/* Gives the file mapping v a longer window range that holds its pages, private copies included. */
static int regrow_file(struct vma *v, uint64_t new_len)
{
	uint64_t len = vma_len(v);
	struct pgrange *r;
	struct vma old;
	int ret = pgrange_create(new_len, &r);
	void *p;

	if (ret < 0)
		return ret;
	ret = mm_host_map(v, r->at.off + len, new_len - len, v->off + len);
	if (ret < 0) {
		pgrange_put(r);
		return ret;
	}
	/* The old place stays mapped until it is punched: no moment in which it could be taken. */
	p = mremap(pgpool_host(v->win), len, len, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		   pgpool_host(r->at.off));
	if (p == MAP_FAILED) {
		pgrange_put(r);
		return -ENOMEM;
	}
	if (v->flags & VMA_SHARED)
		pgrange_shared(r);
	pgrange_drop(v->range, v->win, len);
	old = *v;
	v->range = r;
	v->win = r->at.off;
	v->wrote_from = v->wrote_to = 0;
	vma_writes_moved(v, &old);
	return 0;
}

static void drop_translations(struct mm *mm, struct vma *v)
{
	if (v->touched)
		platform_unmap(mm->as, v->start, vma_len(v));
	v->touched = false;
}

/* Links v and installs what it has; returns its address. */
static int64_t settle(struct mm *mm, struct vma *v, const struct move *m)
{
	vma_link(mm, v);
	v = vma_merge(mm, v);
	if ((v->prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) &&
	    (v->kind != VMA_FILE || m->new_len <= MM_EAGER_FILE))
		mm_map_present(mm, v, m->new, m->new + m->new_len);
	if ((v->flags & VMA_LOCKED) && expands(m))
		mm_populate(mm, m->new + m->old_len, m->new + m->new_len);
	return (int64_t)m->new;
}

/* v is exactly the old range: it becomes the new one. */
static int64_t move_whole(struct mm *mm, struct vma *v, const struct move *m)
{
	int ret = 0;

	drop_translations(mm, v);
	if (v->kind == VMA_ANON)
		ret = move_pages(mm, m->old, m->new, m->old_len);
	else if (v->kind == VMA_FILE && expands(m))
		ret = regrow_file(v, m->new_len);
	if (ret < 0)
		return ret;
	vma_unlink(mm, v);
	v->start = m->new;
	v->end = m->new + m->new_len;
	return settle(mm, v, m);
}

static void swap_windows(struct vma *a, struct vma *b)
{
	struct vma was = *a;

	a->range = b->range;
	a->win = b->win;
	a->wrote_from = b->wrote_from;
	a->wrote_to = b->wrote_to;
	b->range = was.range;
	b->win = was.win;
	b->wrote_from = was.wrote_from;
	b->wrote_to = was.wrote_to;
}

/* The old range stays mapped: MREMAP_DONTUNMAP, or a second mapping of a shared object
 * (old_len is 0). */
static int64_t move_copy(struct mm *mm, struct vma *v, const struct move *m)
{
	struct vma *n = vma_new(m->new, m->new + m->new_len, v->prot,
				v->flags & ~(unsigned)VMA_LOCKED, v->kind);
	int ret = 0;

	if (!n || mm->nr_vmas >= MM_MAX_VMAS) {
		ret = -ENOMEM;
	} else if (v->kind == VMA_ANON) {
		drop_translations(mm, v);
		ret = move_pages(mm, m->old, m->new, m->old_len);
	} else if (v->kind == VMA_SHM) {
		n->shm = mm_shm_attach(v->shm);
		n->off = v->off + (m->old - v->start);
	} else {
		ret = mm_map_file(n, v->file, v->off + (m->old - v->start));
		if (!ret && m->old_len) {
			drop_translations(mm, v);
			swap_windows(v, n);
			n->wrote = v->wrote;
		}
	}
	if (ret < 0) {
		if (n)
			vma_free(n);
		return ret;
	}
	return settle(mm, n, m);
}

static int64_t move_vma(struct mm *mm, struct move *m)
{
	struct vma *v = vma_at(mm, m->old);

	if (!v) /* the target replaced it */
		return -EFAULT;
	if (!m->old_len)
		return move_copy(mm, v, m);
	if (mm_split_edges(mm, m->old, m->old + m->old_len) < 0)
		return -ENOMEM;
	v = vma_at(mm, m->old);
	if (m->flags & MREMAP_DONTUNMAP)
		return move_copy(mm, v, m);
	return move_whole(mm, v, m);
}

/* What Linux asks of the mapping at m->old. 0 or -errno. */
static int check_old(struct mm *mm, const struct move *m)
{
	struct vma *v = vma_at(mm, m->old);

	if (!v)
		return -EFAULT;
	if (!m->old_len && !(v->flags & VMA_SHARED))
		return -EINVAL;
	if ((m->flags & MREMAP_DONTUNMAP) && (v->flags & VMA_SPECIAL))
		return -EINVAL;
	if (m->old_len > v->end - m->old)
		return -EFAULT;
	if (m->new_len == m->old_len)
		return 0;
	if (v->flags & VMA_SPECIAL)
		return -EFAULT;
	if (expands(m) && !mm_may_expand(mm, m->new_len - m->old_len,
					 (v->prot & PROT_WRITE) && !(v->flags & VMA_SHARED)))
		return -ENOMEM;
	return 0;
}

/* Where a fixed target may be. */
static int check_target(const struct move *m)
{
	if (m->new % PAGE_SIZE || m->new_len > MM_ADDR_MAX || m->new > MM_ADDR_MAX - m->new_len)
		return -EINVAL;
	if (m->old + m->old_len > m->new && m->new + m->new_len > m->old)
		return -EINVAL;
	return m->new < MM_ADDR_MIN ? -EPERM : 0;
}

static int64_t remap_fixed(struct mm *mm, struct move *m)
{
	uint64_t old_end = m->old + m->old_len;
	int ret = 0;

	if (m->flags & MREMAP_FIXED)
		ret = check_target(m);
	m->old_len = MIN(m->old_len, m->new_len);
	if (!ret)
		ret = check_old(mm, m);
	if (!ret && (m->flags & MREMAP_DONTUNMAP) && !mm_may_expand(mm, m->new_len, false))
		ret = -ENOMEM;
	if (!ret && (m->flags & MREMAP_FIXED))
		ret = mm_unmap_locked(mm, m->new, m->new + m->new_len);
	if (!ret && old_end > m->old + m->old_len)
		ret = mm_unmap_locked(mm, m->old + m->old_len, old_end);
	if (ret < 0)
		return ret;
	if (!(m->flags & MREMAP_FIXED))
		m->new = mm_find_area(mm, m->new_len);
	return m->new ? move_vma(mm, m) : -ENOMEM;
}

/* Makes v, which ends where the old range does, longer. False when it has to move. */
static bool grow_in_place(struct mm *mm, struct vma *v, const struct move *m)
{
	uint64_t end = m->old + m->new_len;

	if (v->end != m->old + m->old_len || !m->old_len || end > MM_ADDR_MAX)
		return false;
	if (!vma_range_free(mm, v->end, end, true))
		return false;
	if (v->kind == VMA_FILE) {
		drop_translations(mm, v);
		if (regrow_file(v, end - v->start) < 0)
			return false;
	}
	vma_resize(mm, v, v->start, end);
	v = vma_merge(mm, v);
	if (v->flags & VMA_LOCKED)
		mm_populate(mm, m->old + m->old_len, end);
	return true;
}

static int64_t remap_locked(struct mm *mm, struct move *m)
{
	int ret;

	if (!vma_at(mm, m->old))
		return -EFAULT;
	if (m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return remap_fixed(mm, m);
	if (m->old_len >= m->new_len) {
		ret = 0;
		if (m->old_len > m->new_len)
			ret = mm_unmap_locked(mm, m->old + m->new_len, m->old + m->old_len);
		return ret < 0 ? ret : (int64_t)m->old;
	}
	ret = check_old(mm, m);
	if (ret < 0)
		return ret;
	if (grow_in_place(mm, vma_at(mm, m->old), m))
		return (int64_t)m->old;
	if (!(m->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	m->new = mm_find_area(mm, m->new_len);
	return m->new ? move_vma(mm, m) : -ENOMEM;
}

int64_t mm_mremap(struct mm *mm, uint64_t old, uint64_t old_len, uint64_t new_len, int flags,
		  uint64_t new_addr)
{
	struct move m = {.old = old, .new = new_addr, .flags = flags};
	int64_t ret;

	if (flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP))
		return -EINVAL;
	if ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if ((flags & MREMAP_DONTUNMAP) && (!(flags & MREMAP_MAYMOVE) || old_len != new_len))
		return -EINVAL;
	if (old % PAGE_SIZE || !new_len)
		return -EINVAL;
	if (old >= MM_ADDR_MAX)
		return -EFAULT;
	if (old_len > MM_ADDR_MAX - old)
		return -EINVAL;
	if (new_len > MM_ADDR_MAX)
		return -EINVAL;
	m.old_len = ALIGN_UP(old_len, PAGE_SIZE);
	m.new_len = ALIGN_UP(new_len, PAGE_SIZE);
	pthread_mutex_lock(&mm->lock);
	ret = remap_locked(mm, &m);
	pthread_mutex_unlock(&mm->lock);
	return ret;
}
