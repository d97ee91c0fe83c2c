/* The sentry's page table: this process's memory at its own addresses, for supervisor use only.
 *
 * Memory is taken in by chunks of 1 GiB, each a memory slot, when the machine is set up and whenever
 * ring 0 touches a chunk for the first time. What the process has mapped inside a chunk, KVM looks up
 * itself; a page that is not there, or may not be written, ends in host mode, where the same
 * instruction has the effect it should have. Only text gets entries of its own: no page can be both
 * written and executed.
 *
 * kvm_sentry_fault runs in the middle of anything the sentry does, so nothing here allocates memory
 * or waits for a lock that the sentry may hold. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/overflow.h"
#include "kvm/kvm.h"
#include "ring0/ring0_syms.h"

#define CHUNK	   (1ull << 30)
#define BLOCK	   (1ull << 21)
#define POOL_GPA   0x00000000c0000000ull
#define POOL_PAGES 4096u
#define PTE_PS	   (1u << 7)
#define HALF_END   0x00007ffffffff000ull /* what the kernel takes as a slot's address */
#define DATA	   (PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX)
#define DIRECTORY  (PTE_P | PTE_W | PTE_A)

#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_FETCH   16u

#define COVER_TRIES 100
#define RANGES_MAX 256
#define MAPS_MAX   (256 << 10)

/* A part of the process that is read or executed, never written. */
struct range {
	uint64_t start, end;
	bool exec;
};

struct kvm_sentry_map {
	pthread_mutex_t lock; /* never held in guest mode */
	uint64_t *pool;
	unsigned used;
	uint64_t next_gpa, limit_gpa;
	uint64_t clock_start, clock_end; /* the vDSO, where it must not be executed in ring 0 */
	struct range range[RANGES_MAX];
	unsigned nranges;
	int maps_fd;
	char maps[MAPS_MAX];
};

static uint64_t *page_at(const struct kvm_sentry_map *m, uint64_t entry)
{
	return m->pool + ((entry & PTE_ADDR) - POOL_GPA) / 8;
}

const uint64_t *kvm_sentry_page(const struct platform *p, uint64_t entry)
{
	return page_at(p->sentry, entry);
}

/* gpa of a zeroed table page, or 0. */
static uint64_t page_alloc(struct kvm_sentry_map *m)
{
	return m->used < POOL_PAGES ? POOL_GPA + PAGE * m->used++ : 0;
}

/* The table below entry e, made if it is missing. NULL: no page left. */
static uint64_t *below(struct kvm_sentry_map *m, uint64_t *e)
{
	if (!(*e & PTE_P)) {
		uint64_t gpa = page_alloc(m);

		if (!gpa)
			return NULL;
		__atomic_store_n(e, gpa | DIRECTORY, __ATOMIC_RELEASE);
	}
	return page_at(m, *e);
}

/* The page directory entry of va. */
static uint64_t *block_entry(struct platform *p, uint64_t va)
{
	uint64_t *t = page_at(p->sentry, p->sentry_root);

	t = below(p->sentry, &t[va >> 39 & 511]);
	t = t ? below(p->sentry, &t[va >> 30 & 511]) : NULL;
	return t ? &t[va >> 21 & 511] : NULL;
}

/* Reads /proc/self/maps into m->maps. The file stays open: a confined process may not open it. */
static ssize_t read_maps(struct kvm_sentry_map *m)
{
	size_t n = 0;
	ssize_t r;

	if (lseek(m->maps_fd, 0, SEEK_SET) < 0)
		return -errno;
	while (n < MAPS_MAX - 1 && (r = read(m->maps_fd, m->maps + n, MAPS_MAX - 1 - n)) > 0)
		n += (size_t)r;
	m->maps[n] = 0;
	return (ssize_t)n;
}

struct maps_line {
	uint64_t start, end;
	char perms[5];
	bool vdso;
};

/* The line at *at, and on to the next. False at the end. */
static bool next_line(char **at, struct maps_line *l)
{
	char *s = *at, *end = strchr(s, '\n');

	if (!end)
		return false;
	*end = 0;
	*at = end + 1;
	l->start = strtoull(s, &s, 16);
	l->end = *s == '-' ? strtoull(s + 1, &s, 16) : 0;
	if (*s != ' ' || strlen(s) < 5)
		return false;
	memcpy(l->perms, s + 1, 4);
	l->perms[4] = 0;
	l->vdso = strstr(s, "[vdso]");
	return true;
}

static void note_range(struct platform *p, const struct maps_line *l)
{
	struct kvm_sentry_map *m = p->sentry;
	/* the kernel's clock code is right in ring 0 only where the guest's TSC is the host's */
	bool exec = l->perms[2] == 'x' && (!l->vdso || p->facts.tsc_shared);

	if (l->vdso && !exec) {
		m->clock_start = l->start;
		m->clock_end = l->end;
	}
	if (l->perms[0] != 'r' || l->perms[1] == 'w' || l->end > HALF_END ||
	    m->nranges == RANGES_MAX)
		return;
	m->range[m->nranges++] = (struct range){l->start, l->end, exec};
}

static bool in_window(const struct platform *p, uint64_t va)
{
	return va >= (uintptr_t)p->window && va < (uintptr_t)p->window + p->window_size;
}

/* Fills the page table of a block in which something is not plain data. */
static uint64_t fill_block(struct kvm_sentry_map *m, uint64_t va, uint64_t gpa, uint64_t end)
{
	uint64_t pt = page_alloc(m), *t, i;
	unsigned k;

	if (!pt)
		return 0;
	t = page_at(m, pt);
	for (i = 0; i < 512 && va + i * PAGE < end; i++)
		t[i] = (gpa + i * PAGE) | DATA;
	for (k = 0; k < m->nranges; k++) {
		const struct range *r = &m->range[k];
		uint64_t stop = MIN(end, va + BLOCK), a = MAX(r->start, va), b = MIN(r->end, stop);

		for (; a < b; a += PAGE)
			t[(a - va) / PAGE] =
				(gpa + (a - va)) | PTE_P | PTE_A | (r->exec ? 0 : PTE_NX);
	}
	return pt | DIRECTORY;
}

static bool plain_block(const struct kvm_sentry_map *m, uint64_t va, uint64_t end)
{
	unsigned k;

	if (va + BLOCK > end)
		return false;
	for (k = 0; k < m->nranges; k++)
		if (m->range[k].start < va + BLOCK && m->range[k].end > va)
			return false;
	return true;
}

static bool covered(const struct platform *p, uint64_t va)
{
	const uint64_t *t = page_at(p->sentry, p->sentry_root);
	uint64_t e = t[va >> 39 & 511];

	if (e & PTE_P)
		e = page_at(p->sentry, e)[va >> 30 & 511];
	if (e & PTE_P)
		e = page_at(p->sentry, e)[va >> 21 & 511];
	return e & PTE_P;
}

/* Takes in the chunk of va. m->lock held, m->range current. */
static int add_chunk(struct platform *p, uint64_t va)
{
	struct kvm_sentry_map *m = p->sentry;
	uint64_t start = ALIGN_DOWN(va, CHUNK), end = MIN(start + CHUNK, HALF_END), a;
	uint64_t gpa = m->next_gpa;
	int r;

	if (gpa + CHUNK > m->limit_gpa || va >= HALF_END || m->used + 600 > POOL_PAGES)
		return -ENOMEM;
	r = kvm_slot_try_add(p, gpa, end - start, (void *)start);
	if (r < 0)
		return r;
	m->next_gpa += CHUNK;
	for (a = start; a < end; a += BLOCK) {
		uint64_t *e = in_window(p, a) ? NULL : block_entry(p, a), v;

		if (!e)
			continue;
		v = plain_block(m, a, end) ? (gpa + (a - start)) | DATA | PTE_PS
					   : fill_block(m, a, gpa + (a - start), end);
		__atomic_store_n(e, v, __ATOMIC_RELEASE);
	}
	return 0;
}

/* What the process has that is not plain data, as of now. */
static int scan(struct platform *p)
{
	struct kvm_sentry_map *m = p->sentry;
	struct maps_line l;
	char *at = m->maps;
	ssize_t n = read_maps(m);

	if (n < 0)
		return (int)n;
	m->nranges = 0;
	while (next_line(&at, &l))
		note_range(p, &l);
	return 0;
}

/* Brings the entry of va, in a chunk that is known, up to what the process has there now. True when
 * that changed it, and it allows the access of a page fault with this error code. */
static bool refresh(struct platform *p, uint64_t va, uint64_t error)
{
	struct kvm_sentry_map *m = p->sentry;
	uint64_t *e = block_entry(p, va), *pte, start = ALIGN_DOWN(va, BLOCK), want = DATA, gpa, v;
	unsigned k;

	if (!e || !(*e & PTE_P))
		return false;
	for (k = 0; k < m->nranges; k++)
		if (va >= m->range[k].start && va < m->range[k].end)
			want = PTE_P | PTE_A | (m->range[k].exec ? 0 : PTE_NX);
	gpa = *e & PTE_PS ? *e & PTE_ADDR : page_at(m, *e)[0] & PTE_ADDR;
	if (*e & PTE_PS) {
		v = want == DATA ? 0 : fill_block(m, start, gpa, HALF_END);
		if (!v)
			return false;
		__atomic_store_n(e, v, __ATOMIC_RELEASE);
	} else {
		pte = &page_at(m, *e)[va >> 12 & 511];
		v = (gpa + ALIGN_DOWN(va - start, PAGE)) | want;
		if (((*pte ^ v) & (PTE_P | PTE_W | PTE_NX)) == 0)
			return false;
		__atomic_store_n(pte, v, __ATOMIC_RELEASE);
	}
	return !((error & PF_WRITE) && !(want & PTE_W)) && !((error & PF_FETCH) && (want & PTE_NX));
}

bool kvm_sentry_fault(struct platform *p, uint64_t va, uint64_t error)
{
	bool done = false;

	if (va >= HALF_END || in_window(p, va) ||
	    (va >= p->sentry->clock_start && va < p->sentry->clock_end))
		return false;
	pthread_mutex_lock(&p->sentry->lock);
	if (!(error & PF_PRESENT) && covered(p, va))
		done = true; /* another thread was faster */
	else if (scan(p) == 0)
		done = error & PF_PRESENT ? refresh(p, va, error) : add_chunk(p, va) == 0;
	pthread_mutex_unlock(&p->sentry->lock);
	return done;
}

bool kvm_sentry_cover(struct platform *p, uint64_t va, size_t len)
{
	uint64_t end = va + len;

	unsigned tries;

	kvm_host_mode();
	for (; va < end; va = ALIGN_DOWN(va, CHUNK) + CHUNK)
		for (tries = 0; !kvm_sentry_fault(p, va, 0); tries++) {
			if (tries == COVER_TRIES)
				return false;
			sched_yield(); /* another thread adds a slot */
		}
	return true;
}

void kvm_sentry_window(struct platform *p, uint64_t off, uint64_t len)
{
	uint64_t i;

	kvm_host_mode();
	pthread_mutex_lock(&p->sentry->lock);
	for (i = off; i < off + len; i += BLOCK) {
		uint64_t *e = block_entry(p, (uintptr_t)p->window + i);

		if (e)
			__atomic_store_n(e, window_gpa(i) | DATA | PTE_PS, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&p->sentry->lock);
}

/* The upper half: that of the apps, but for LSTAR's page. */
static int map_upper(struct platform *p, uint64_t *root)
{
	struct kvm_sentry_map *m = p->sentry;
	const uint64_t *theirs = kvm_table_page(p, p->upper);
	uint64_t *pdpt = below(m, &root[511]), *pd, *pt;
	unsigned i;

	if (!pdpt)
		return -ENOMEM;
	for (i = 0; i < 511; i++)
		pdpt[i] = theirs[i];
	pd = below(m, &pdpt[511]);
	pt = pd ? below(m, &pd[0]) : NULL;
	if (!pt)
		return -ENOMEM;
	theirs = kvm_table_page(p, theirs[511]);
	theirs = kvm_table_page(p, theirs[0]);
	for (i = 0; i < 512; i++)
		pt[i] = theirs[i];
	pt[0] = pt[1] & ~(uint64_t)PTE_G;
	return 0;
}

int kvm_sentry_init(struct platform *p)
{
	struct kvm_sentry_map *m = kvm_reserve(sizeof(*m), PROT_READ | PROT_WRITE);
	uint64_t phys = 1ull << MIN(p->facts.phys_bits, 52u), i;
	struct maps_line l;
	char *at;
	int r;

	if (!m)
		return -ENOMEM;
	p->sentry = m;
	m->maps_fd = -1;
	pthread_mutex_init(&m->lock, NULL);
	m->maps_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (m->maps_fd < 0)
		return -errno;
	m->pool = kvm_reserve(POOL_PAGES * PAGE, PROT_READ | PROT_WRITE);
	if (!m->pool)
		return -ENOMEM;
	m->next_gpa = ALIGN_UP(WINDOW_GPA + p->window_size, CHUNK);
	m->limit_gpa = MIN(phys, m->next_gpa + 256 * CHUNK);
	r = kvm_slot_add(p, POOL_GPA, POOL_PAGES * PAGE, m->pool, NULL);
	if (r < 0)
		return r;
	p->sentry_root = page_alloc(m);
	r = map_upper(p, m->pool);
	r = r ? r : scan(p);
	if (r == 0)
		r = (int)MIN(read_maps(m), 0);
	for (at = m->maps; r == 0 && next_line(&at, &l);)
		if (l.perms[0] == 'r' && l.end <= HALF_END && l.end - l.start <= 8 * CHUNK)
			for (i = ALIGN_DOWN(l.start, CHUNK); r == 0 && i < l.end; i += CHUNK)
				if (!covered(p, MAX(i, l.start)) && !in_window(p, MAX(i, l.start)))
					r = add_chunk(p, MAX(i, l.start));
	for (i = 0; r == 0 && i * p->window_slot < p->window_size; i++)
		if (p->committed[i])
			kvm_sentry_window(p, i * p->window_slot,
					  MIN(p->window_slot, p->window_size - i * p->window_slot));
	return r;
}

void kvm_sentry_fini(struct platform *p)
{
	if (!p->sentry)
		return;
	close(p->sentry->maps_fd);
	if (p->sentry->pool)
		munmap(p->sentry->pool, POOL_PAGES * PAGE);
	munmap(p->sentry, sizeof(*p->sentry));
	p->sentry = NULL;
}
