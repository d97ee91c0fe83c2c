#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "sentry/file.h"
#include "sentry/mm_impl.h"

/* ---- tree ---- */

static void pull(struct vma *v)
{
	uint64_t m = v->gap;

	if (v->left)
		m = MAX(m, v->left->max_gap);
	if (v->right)
		m = MAX(m, v->right->max_gap);
	v->max_gap = m;
}

static struct vma *join(struct vma *a, struct vma *b)
{
	if (!a || !b)
		return a ? a : b;
	if (a->prio > b->prio) {
		a->right = join(a->right, b);
		pull(a);
		return a;
	}
	b->left = join(a, b->left);
	pull(b);
	return b;
}

/* Divides t into members below start and the rest. */
static void divide(struct vma *t, uint64_t start, struct vma **low, struct vma **high)
{
	if (!t) {
		*low = *high = NULL;
	} else if (t->start < start) {
		divide(t->right, start, &t->right, high);
		*low = t;
		pull(t);
	} else {
		divide(t->left, start, low, &t->left);
		*high = t;
		pull(t);
	}
}

static struct vma *detach(struct vma *t, struct vma *v)
{
	if (t == v)
		return join(v->left, v->right);
	if (v->start < t->start)
		t->left = detach(t->left, v);
	else
		t->right = detach(t->right, v);
	pull(t);
	return t;
}

/* Recomputes the gaps on the way from t to v. */
static void refresh(struct vma *t, const struct vma *v)
{
	if (t != v)
		refresh(v->start < t->start ? t->left : t->right, v);
	pull(t);
}

/* First address that a new mapping may not touch because of v above it. */
static uint64_t guarded_start(const struct vma *v, uint64_t prev_end)
{
	if (!(v->flags & VMA_GROWSDOWN))
		return v->start;
	return v->start - prev_end > MM_STACK_GUARD ? v->start - MM_STACK_GUARD : prev_end;
}

static uint64_t prev_end_of(struct mm *mm, struct vma *v)
{
	struct vma *p = vma_prev(mm, v);

	return p ? p->end : 0;
}

static void set_gap(struct mm *mm, struct vma *v)
{
	uint64_t prev_end = prev_end_of(mm, v);

	v->gap = guarded_start(v, prev_end) - prev_end;
}

static void update_gap(struct mm *mm, struct vma *v)
{
	if (!v)
		return;
	set_gap(mm, v);
	refresh(mm->root, v);
}

struct vma *vma_find(struct mm *mm, uint64_t addr)
{
	struct vma *t = mm->root, *best = NULL;

	if (mm->last && addr >= mm->last->start && addr < mm->last->end)
		return mm->last;
	while (t) {
		if (t->end > addr) {
			best = t;
			t = t->left;
		} else {
			t = t->right;
		}
	}
	if (best && best->start <= addr)
		mm->last = best;
	return best;
}

struct vma *vma_at(struct mm *mm, uint64_t addr)
{
	struct vma *v = vma_find(mm, addr);

	return v && v->start <= addr ? v : NULL;
}

struct vma *vma_next(struct mm *mm, struct vma *v)
{
	return v->node.next == &mm->vmas ? NULL : list_entry(v->node.next, struct vma, node);
}

struct vma *vma_prev(struct mm *mm, struct vma *v)
{
	return v->node.prev == &mm->vmas ? NULL : list_entry(v->node.prev, struct vma, node);
}

void vma_link(struct mm *mm, struct vma *v)
{
	struct vma *next = vma_find(mm, v->start), *low, *high;

	list_add_before(next ? &next->node : &mm->vmas, &v->node);
	mm->seed = mm->seed * 1664525u + 1013904223u;
	v->prio = mm->seed >> 1;
	v->left = v->right = NULL;
	set_gap(mm, v);
	pull(v);
	divide(mm->root, v->start, &low, &high);
	mm->root = join(join(low, v), high);
	update_gap(mm, next);
	mm->nr_vmas++;
	vma_count(mm, v, 1);
}

void vma_unlink(struct mm *mm, struct vma *v)
{
	struct vma *next = vma_next(mm, v);

	vma_count(mm, v, -1);
	mm->root = detach(mm->root, v);
	list_del(&v->node);
	update_gap(mm, next);
	mm->nr_vmas--;
	if (mm->last == v)
		mm->last = NULL;
}

void vma_resize(struct mm *mm, struct vma *v, uint64_t start, uint64_t end)
{
	vma_count(mm, v, -1);
	v->start = start;
	v->end = end;
	vma_count(mm, v, 1);
	update_gap(mm, v);
	update_gap(mm, vma_next(mm, v));
}

/* The highest address for len bytes in a gap before a member of t; 0 for none. */
static uint64_t search_gap(struct mm *mm, struct vma *t, uint64_t len, uint64_t low, uint64_t high)
{
	uint64_t found, prev_end, top, bottom;

	if (!t || t->max_gap < len)
		return 0;
	if (t->end < high) {
		found = search_gap(mm, t->right, len, low, high);
		if (found)
			return found;
	}
	prev_end = prev_end_of(mm, t);
	top = MIN(guarded_start(t, prev_end), high);
	bottom = MAX(prev_end, low);
	if (top > bottom && top - bottom >= len)
		return top - len;
	return prev_end > low ? search_gap(mm, t->left, len, low, high) : 0;
}

uint64_t vma_find_gap(struct mm *mm, uint64_t len, uint64_t align, uint64_t low, uint64_t high)
{
	struct vma *last = list_empty(&mm->vmas)
				   ? NULL
				   : list_entry(mm->vmas.prev, struct vma, node);
	uint64_t bottom = MAX(last ? last->end : 0, low), found;
	uint64_t want = len + align - PAGE_SIZE;

	if (want < len || high <= low || want > high - low)
		return 0;
	if (high > bottom && high - bottom >= want)
		found = high - want;
	else
		found = search_gap(mm, mm->root, want, low, high);
	return found ? ALIGN_DOWN(found + align - PAGE_SIZE, align) : 0;
}

bool vma_range_free(struct mm *mm, uint64_t start, uint64_t end, bool guard)
{
	struct vma *v = vma_find(mm, start);
	uint64_t limit;

	if (!v)
		return true;
	limit = guard ? guarded_start(v, prev_end_of(mm, v)) : v->start;
	return end <= limit;
}

/* ---- mappings ---- */

void vma_count(struct mm *mm, const struct vma *v, int sign)
{
	uint64_t n = sign > 0 ? vma_len(v) : -vma_len(v);

	mm->vsize += n;
	if (mm->vsize > mm->vsize_peak)
		mm->vsize_peak = mm->vsize;
	if (v->flags & VMA_GROWSDOWN)
		mm->stack += n;
	else if ((v->prot & PROT_WRITE) && !(v->flags & VMA_SHARED))
		mm->data += n;
	if ((v->prot & PROT_EXEC) && !(v->prot & PROT_WRITE))
		mm->text += n;
	if (v->flags & VMA_LOCKED)
		mm->locked += n;
}

struct vma *vma_new(uint64_t start, uint64_t end, int prot, unsigned flags, enum vma_kind kind)
{
	struct vma *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->start = start;
	v->end = end;
	v->prot = prot;
	v->flags = flags;
	v->kind = kind;
	v->order = MM_FAULT_ORDER;
	v->wrote = prot & PROT_WRITE;
	list_init(&v->node);
	return v;
}

void vma_free(struct vma *v)
{
	if (v->kind == VMA_FILE && v->range)
		pgrange_drop(v->range, v->win, vma_len(v));
	if (v->file)
		file_put(v->file);
	if (v->shm)
		mm_shm_detach(v->shm);
	free(v);
}

struct vma *vma_split(struct mm *mm, struct vma *v, uint64_t addr)
{
	struct vma *high;

	if (mm->nr_vmas >= MM_MAX_VMAS)
		return NULL;
	high = vma_new(addr, v->end, v->prot, v->flags, v->kind);
	if (!high)
		return NULL;
	high->touched = v->touched;
	high->wrote = v->wrote;
	high->wrote_from = v->wrote_from;
	high->wrote_to = v->wrote_to;
	high->off = v->off + (addr - v->start);
	high->win = v->win + (addr - v->start);
	if (v->file)
		high->file = file_get(v->file);
	if (v->range)
		high->range = pgrange_get(v->range);
	if (v->shm)
		high->shm = mm_shm_attach(v->shm);
	vma_resize(mm, v, v->start, addr);
	vma_link(mm, high);
	return high;
}

static bool alike(const struct vma *a, const struct vma *b)
{
	if (a->end != b->start || a->prot != b->prot || a->flags != b->flags ||
	    a->kind != b->kind || (a->flags & VMA_SPECIAL) || (a->shm && a->shm->ops))
		return false;
	if (a->kind == VMA_ANON)
		return true;
	if (a->shm != b->shm || a->file != b->file || a->range != b->range ||
	    a->off + vma_len(a) != b->off)
		return false;
	/* a part that was never written may be shared with another process, in the same place */
	return a->kind != VMA_FILE || (a->win + vma_len(a) == b->win && a->wrote == b->wrote);
}

/* Makes a cover b as well, and drops b without unmapping anything. */
static void absorb(struct mm *mm, struct vma *a, struct vma *b)
{
	uint64_t end = b->end;

	a->touched |= b->touched;
	a->wrote |= b->wrote;
	if (b->wrote_to)
		vma_writes(a, b->wrote_from, b->wrote_to);
	vma_unlink(mm, b);
	vma_resize(mm, a, a->start, end);
	if (b->range)
		pgrange_put(b->range);
	b->range = NULL;
	vma_free(b);
}

struct vma *vma_merge(struct mm *mm, struct vma *v)
{
	struct vma *prev = vma_prev(mm, v), *next = vma_next(mm, v);

	if (next && alike(v, next))
		absorb(mm, v, next);
	if (prev && alike(prev, v)) {
		absorb(mm, prev, v);
		v = prev;
	}
	return v;
}
