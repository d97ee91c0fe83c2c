/* Page tables: four levels, written by the host while vCPUs may be walking them.
 *
 * Entries are stored with single 64-bit accesses and removed with an exchange, because the walker
 * (hardware or KVM) sets accessed and dirty bits at the same time. An entry whose accessed bit is
 * clear was never used, so nothing can have cached it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/overflow.h"
#include "kvm/kvm.h"

/* Freed pages that a shadowing KVM may remember, before it is made to forget everything. */
#define STALE_MAX 2048u

typedef _Atomic uint64_t pte_t;

/* Table pages freed by an operation: given back when no vCPU can be walking them any more. */
struct freed {
	uint64_t *gpa;
	size_t n, cap;
};

static pte_t *table(const struct platform *p, uint64_t entry)
{
	return (pte_t *)(p->tables.base + ((entry & PTE_ADDR) - TABLE_GPA));
}

const uint64_t *kvm_table_page(const struct platform *p, uint64_t entry)
{
	return (const uint64_t *)table(p, entry);
}

static unsigned slot_of(uint64_t va, int level)
{
	return (va >> (12 + 9 * level)) & 511;
}

static bool push(uint64_t **v, size_t *n, size_t *cap, uint64_t x)
{
	if (*n == *cap) {
		size_t c = *cap ? *cap * 2 : 64;
		uint64_t *t = realloc(*v, c * sizeof(*t));

		if (!t)
			return false;
		*v = t;
		*cap = c;
	}
	(*v)[(*n)++] = x;
	return true;
}

int kvm_tables_init(struct platform *p)
{
	struct table_pool *t = &p->tables;

	pthread_mutex_init(&t->lock, NULL);
	t->base = kvm_reserve(TABLE_MAX, PROT_READ | PROT_WRITE);
	if (!t->base)
		return -ENOMEM;
	madvise(t->base, TABLE_MAX, MADV_NOHUGEPAGE);
	return 0;
}

void kvm_tables_fini(struct platform *p)
{
	struct table_pool *t = &p->tables;

	if (t->base)
		munmap(t->base, TABLE_MAX);
	free(t->free);
	free(t->stale);
}

/* A zeroed table page; 0 when memory is out. */
static uint64_t table_alloc(struct platform *p)
{
	struct table_pool *t = &p->tables;
	uint64_t gpa = 0;

	pthread_mutex_lock(&t->lock);
	if (t->nfree) {
		gpa = t->free[--t->nfree];
	} else if (t->used < TABLE_MAX) {
		if (t->used == t->backed && kvm_slot_add(p, TABLE_GPA + t->backed, TABLE_SLOT,
							 t->base + t->backed, NULL) == 0)
			t->backed += TABLE_SLOT;
		if (t->used < t->backed) {
			gpa = TABLE_GPA + t->used;
			t->used += PAGE;
		}
	}
	pthread_mutex_unlock(&t->lock);
	if (gpa)
		memset(table(p, gpa), 0, PAGE);
	return gpa;
}

/* Gives pages back. A shadowing KVM remembers what a table page said when it last read it, so there
 * they wait until there are enough to be worth a complete zap. */
static void tables_release(struct platform *p, struct freed *f)
{
	struct table_pool *t = &p->tables;
	size_t i;

	pthread_mutex_lock(&t->lock);
	for (i = 0; i < f->n; i++) {
		if (!p->facts.shadow)
			push(&t->free, &t->nfree, &t->cap_free, f->gpa[i]);
		else
			push(&t->stale, &t->nstale, &t->cap_stale, f->gpa[i]);
	}
	if (t->nstale >= STALE_MAX) {
		kvm_zap_everything(p);
		while (t->nstale &&
		       push(&t->free, &t->nfree, &t->cap_free, t->stale[t->nstale - 1]))
			t->nstale--;
	}
	pthread_mutex_unlock(&t->lock);
	free(f->gpa);
	memset(f, 0, sizeof(*f));
}

/* The page table of va, made if missing and create. NULL: missing, or no memory. */
static pte_t *leaf_table(struct platform *p, uint64_t root, uint64_t va, bool create, uint64_t bits)
{
	pte_t *t = table(p, root);
	int level;

	for (level = 3; level > 0; level--) {
		pte_t *e = &t[slot_of(va, level)];
		uint64_t v = atomic_load_explicit(e, memory_order_acquire);

		if (!(v & PTE_P)) {
			if (!create)
				return NULL;
			v = table_alloc(p);
			if (!v)
				return NULL;
			v |= PTE_P | PTE_W | PTE_A | bits;
			atomic_store_explicit(e, v, memory_order_release);
		}
		t = table(p, v);
	}
	return t;
}

int kvm_upper_map(struct platform *p, uint64_t va, uint64_t gpa, uint64_t len, uint64_t bits)
{
	pte_t *t;
	uint64_t i;

	if (!p->upper) {
		p->upper = table_alloc(p);
		if (!p->upper)
			return -ENOMEM;
	}
	for (i = 0; i < len; i += PAGE) {
		uint64_t a = va + i, pd, pt;
		pte_t *pdpt = table(p, p->upper);

		pd = pdpt[slot_of(a, 2)];
		if (!pd) {
			pd = table_alloc(p);
			if (!pd)
				return -ENOMEM;
			pd |= PTE_P | PTE_W | PTE_A;
			pdpt[slot_of(a, 2)] = pd;
		}
		pt = table(p, pd)[slot_of(a, 1)];
		if (!pt) {
			pt = table_alloc(p);
			if (!pt)
				return -ENOMEM;
			pt |= PTE_P | PTE_W | PTE_A;
			table(p, pd)[slot_of(a, 1)] = pt;
		}
		t = table(p, pt);
		t[slot_of(a, 0)] = (gpa + i) | bits | PTE_P | PTE_A | PTE_D;
	}
	return 0;
}

int platform_as_create(struct platform *p, struct platform_as **out)
{
	struct platform_as *as = calloc(1, sizeof(*as));

	if (!as)
		return -ENOMEM;
	as->p = p;
	as->root = table_alloc(p);
	if (!as->root) {
		free(as);
		return -ENOMEM;
	}
	table(p, as->root)[511] = p->upper | PTE_P | PTE_W | PTE_A;
	pthread_mutex_init(&as->lock, NULL);
	list_init(&as->ctxs);
	*out = as;
	return 0;
}

static void free_tree(struct platform *p, uint64_t gpa, int level, struct freed *f)
{
	pte_t *t = table(p, gpa);
	unsigned i, n = level == 3 ? 256 : 512;

	if (level > 0)
		for (i = 0; i < n; i++)
			if (t[i] & PTE_P)
				free_tree(p, t[i] & PTE_ADDR, level - 1, f);
	push(&f->gpa, &f->n, &f->cap, gpa);
}

void platform_as_destroy(struct platform_as **asp)
{
	struct platform_as *as = *asp;
	struct freed f = {0};

	if (!as)
		return;
	*asp = NULL;
	free_tree(as->p, as->root, 3, &f);
	tables_release(as->p, &f);
	pthread_mutex_destroy(&as->lock);
	free(as);
}

/* A KVM that shadows page tables takes in, with the page of a fault, those of the neighbouring
 * entries that have been accessed (and, to be writable, written): for hot pages we say so. */
static uint64_t prot_bits(unsigned prot)
{
	uint64_t hot = prot & PLATFORM_WRITE ? PTE_A | PTE_D : PTE_A;

	return PTE_P | PTE_U | (prot & PLATFORM_WRITE ? PTE_W : 0) |
	       (prot & PLATFORM_EXEC ? 0 : PTE_NX) | (prot & PLATFORM_HOT ? hot : 0);
}

/* True when something that old allowed is not allowed, or means another page, under new. */
static bool narrows(uint64_t old, uint64_t new)
{
	if (!(old & PTE_P))
		return false;
	return !(new &PTE_P) || ((old ^ new) & PTE_ADDR) || (old & ~new &PTE_W) ||
	       (~old & new &PTE_NX);
}

/* What an operation has to finish after it changed entries. */
struct change {
	struct zap_list zap;
	struct freed freed;
	bool shoot;
};

/* Replaces an entry and notes what that leaves behind. An entry that goes on naming the same page
 * stays accessed: translations of it may be cached. */
static void replace(struct platform_as *as, pte_t *e, uint64_t new, struct change *c)
{
	uint64_t old = atomic_load_explicit(e, memory_order_relaxed), now;

	if (!((old | new) & PTE_P))
		return;
	do {
		now = new;
		if ((old & new &PTE_P) && !((old ^ new) & PTE_ADDR))
			now |= old & (PTE_A | PTE_D);
	} while (!atomic_compare_exchange_weak(e, &old, now));
	if (!narrows(old, new) || !(old & PTE_A))
		return;
	c->shoot = true;
	kvm_zap_add(&c->zap, (old & PTE_ADDR) - WINDOW_GPA);
}

static void finish(struct platform_as *as, struct change *c)
{
	if (c->shoot || c->freed.n) {
		atomic_fetch_add(&as->gen, 1);
		kvm_as_quiesce(as);
		if (as->p->facts.shadow)
			kvm_zap(as->p, &c->zap);
	}
	if (c->freed.n)
		tables_release(as->p, &c->freed);
}

static bool bad_range(uint64_t va, uint64_t len)
{
	uint64_t end;

	return ((va | len) & (PAGE - 1)) || add_overflow(va, len, &end) || end > USER_END;
}

int platform_map(struct platform_as *as, uint64_t va, uint64_t len, uint64_t off, unsigned prot)
{
	struct change c = {.shoot = false};
	uint64_t bits = prot_bits(prot), i;
	pte_t *t = NULL;
	int r;

	if (bad_range(va, len) || (off & (PAGE - 1)))
		return -EINVAL;
	if (prot == 0) {
		platform_unmap(as, va, len);
		return 0;
	}
	r = platform_window_commit(as->p, off, len);
	if (r < 0)
		return r;
	pthread_mutex_lock(&as->lock);
	for (i = 0; i < len; i += PAGE) {
		if (!t || slot_of(va + i, 0) == 0)
			t = leaf_table(as->p, as->root, va + i, true, PTE_U);
		if (!t) {
			r = -ENOMEM;
			break;
		}
		replace(as, &t[slot_of(va + i, 0)], window_gpa(off + i) | bits, &c);
	}
	finish(as, &c);
	pthread_mutex_unlock(&as->lock);
	return r;
}

static bool table_empty(const pte_t *t)
{
	unsigned i;

	for (i = 0; i < 512; i++)
		if (atomic_load_explicit(&t[i], memory_order_relaxed))
			return false;
	return true;
}

/* Clears [va, end) below one table; va and end lie inside what the table covers. */
static void clear_range(struct platform_as *as, pte_t *t, int level, uint64_t va, uint64_t end,
			struct change *c)
{
	uint64_t span = PAGE << (9 * level), next;

	for (; va < end; va = next) {
		pte_t *e = &t[slot_of(va, level)];
		uint64_t v = atomic_load_explicit(e, memory_order_relaxed);

		next = MIN(ALIGN_DOWN(va, span) + span, end);
		if (!(v & PTE_P))
			continue;
		if (level == 0) {
			replace(as, e, 0, c);
			continue;
		}
		clear_range(as, table(as->p, v), level - 1, va, next, c);
		if (table_empty(table(as->p, v)) &&
		    push(&c->freed.gpa, &c->freed.n, &c->freed.cap, v & PTE_ADDR))
			atomic_store(e, 0);
	}
}

void platform_unmap(struct platform_as *as, uint64_t va, uint64_t len)
{
	struct change c = {.shoot = false};

	if (bad_range(va, len) || !len)
		return;
	pthread_mutex_lock(&as->lock);
	clear_range(as, table(as->p, as->root), 3, va, va + len, &c);
	finish(as, &c);
	pthread_mutex_unlock(&as->lock);
}

/* First address after va that another table of level covers. */
static uint64_t next_table(uint64_t va)
{
	return ALIGN_DOWN(va, PAGE * 512) + PAGE * 512;
}

void platform_protect(struct platform_as *as, uint64_t va, uint64_t len, unsigned prot)
{
	struct change c = {.shoot = false};
	uint64_t bits = prot_bits(prot), a, end = va + len;

	if (bad_range(va, len))
		return;
	if (prot == 0) {
		platform_unmap(as, va, len);
		return;
	}
	pthread_mutex_lock(&as->lock);
	for (a = va; a < end; a = next_table(a)) {
		pte_t *t = leaf_table(as->p, as->root, a, false, 0);
		uint64_t i, stop = MIN(next_table(a), end);

		for (i = a; t && i < stop; i += PAGE) {
			pte_t *e = &t[slot_of(i, 0)];
			uint64_t old = atomic_load(e), new;

			do {
				new = (old & (PTE_ADDR | PTE_A | PTE_D)) | bits;
			} while ((old & PTE_P) && !atomic_compare_exchange_weak(e, &old, new));
			if ((old & PTE_A) && narrows(old, new)) {
				c.shoot = true;
				kvm_zap_add(&c.zap, (old & PTE_ADDR) - WINDOW_GPA);
			}
		}
	}
	finish(as, &c);
	pthread_mutex_unlock(&as->lock);
}

/* Clears the write bits of [va, end) below one table. */
static void protect_below(struct platform_as *as, pte_t *t, int level, uint64_t va, uint64_t end,
			  struct change *c)
{
	uint64_t span = PAGE << (9 * level), next;

	for (; va < end; va = next) {
		pte_t *e = &t[slot_of(va, level)];
		uint64_t v = atomic_load_explicit(e, memory_order_relaxed);

		next = MIN(ALIGN_DOWN(va, span) + span, end);
		if (!(v & PTE_P))
			continue;
		if (level > 0)
			protect_below(as, table(as->p, v), level - 1, va, next, c);
		else if (v & PTE_W)
			replace(as, e, v & ~(uint64_t)PTE_W, c);
	}
}

void platform_write_protect(struct platform_as *as, const struct platform_range *r, size_t n)
{
	struct change c = {.shoot = false};
	size_t i;

	pthread_mutex_lock(&as->lock);
	for (i = 0; i < n; i++)
		if (!bad_range(r[i].va, r[i].len))
			protect_below(as, table(as->p, as->root), 3, r[i].va, r[i].va + r[i].len, &c);
	finish(as, &c);
	pthread_mutex_unlock(&as->lock);
}

bool platform_as_alone(struct platform_as *as)
{
	bool alone;

	pthread_mutex_lock(&as->lock);
	alone = !list_empty(&as->ctxs) && as->ctxs.next == as->ctxs.prev;
	pthread_mutex_unlock(&as->lock);
	return alone;
}

uint64_t kvm_walk(const struct platform_as *as, uint64_t va)
{
	uint64_t v = as->root | PTE_P;
	int level;

	if (va >= USER_END)
		return 0;
	for (level = 3; level >= 0 && (v & PTE_P); level--)
		v = atomic_load_explicit(&table(as->p, v)[slot_of(va, level)],
					 memory_order_acquire);
	return v & PTE_P ? v : 0;
}

bool platform_lookup(struct platform_as *as, uint64_t va, uint64_t *off, unsigned *prot)
{
	uint64_t v;

	pthread_mutex_lock(&as->lock);
	v = kvm_walk(as, va);
	pthread_mutex_unlock(&as->lock);
	if (!v)
		return false;
	*off = (v & PTE_ADDR) - WINDOW_GPA;
	*prot = PLATFORM_READ | (v & PTE_W ? PLATFORM_WRITE : 0) | (v & PTE_NX ? 0 : PLATFORM_EXEC);
	return true;
}
