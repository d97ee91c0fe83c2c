/* Inside of sentry/mm*.c, vma.c, gmem.c: nobody else includes this. */
#ifndef SBX_SENTRY_MM_IMPL_H
#define SBX_SENTRY_MM_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include "base/list.h"
#include "base/overflow.h"
#include "sentry/mm.h"
#include "sentry/pagemap.h"
#include "sentry/pgpool.h"

#define PAGE_SIZE	   4096ull
#define PAGE_MASK	   (~(PAGE_SIZE - 1))
#define MM_ADDR_MIN	   0x10000ull /* vm.mmap_min_addr of most systems */
#define MM_MAX_VMAS	   65530
#define MM_STACK_GUARD	   (256 * PAGE_SIZE)
#define MM_FAULT_ORDER	   4 /* pages made present by a first fault: 1 << 4 */
#define MM_EAGER_FILE	   (2ull << 20) /* file mappings up to this size are mapped at once */
#define MM_POPULATE_FILE   (64ull << 20) /* of one on request; the rest when it is touched */

enum vma_kind {
	VMA_ANON, /* private anonymous: pages in mm->pages */
	VMA_SHM,  /* pages of a shared object: MAP_SHARED|MAP_ANONYMOUS, vDSO */
	VMA_FILE, /* a host mapping in a window range */
};

enum { /* vma.flags */
	VMA_SHARED = 1 << 0,
	VMA_MAYREAD = 1 << 1,
	VMA_MAYWRITE = 1 << 2,
	VMA_MAYEXEC = 1 << 3,
	VMA_MAYALL = VMA_MAYREAD | VMA_MAYWRITE | VMA_MAYEXEC,
	VMA_GROWSDOWN = 1 << 4,
	VMA_LOCKED = 1 << 5,
	VMA_NORESERVE = 1 << 6,
	VMA_SPECIAL = 1 << 7, /* vDSO, vvar: cannot be resized or discarded */
	VMA_DONTFORK = 1 << 8,
	VMA_WIPEONFORK = 1 << 9,
	VMA_POLICY_SHIFT = 16, /* what mbind said: mode and mode flags, as mm_set_policy has them */
	VMA_POLICY = 0x3f << VMA_POLICY_SHIFT,
};

/* Pages shared by several mappings, found by page index. Locked by itself. */
struct mm_shm {
	atomic_int refs;
	pthread_mutex_t lock;
	struct pagemap pages;
	const char *name; /* for maps; NULL: "/dev/zero (deleted)" */
	uint64_t size;	  /* bytes; what is mapped beyond them has no pages. 0: no end */
	uint64_t ino;	  /* for maps */
	/* Told of every mapping of it that begins and ends; NULL: nobody. */
	const struct mm_shm_ops *ops;
	void *owner;
};

struct vma {
	uint64_t start, end;
	int prot;	/* PROT_* */
	unsigned flags; /* VMA_* */
	enum vma_kind kind;
	bool touched;	/* may have translations */
	bool wrote;	/* VMA_FILE: was writable at some time, so it may have private pages */
	uint8_t order;	/* of the next speculative fault */
	uint64_t last_start, last_end; /* what the last fault made present */
	/* VMA_FILE, VMA_SHM: offset of start in the object, in bytes. */
	uint64_t off;
	struct mm_shm *shm;
	struct file *file;
	struct pgrange *range;
	uint64_t win; /* VMA_FILE: window offset of start */
	/* VMA_FILE: where in the window it may have been written to, by the app or for it. */
	uint64_t wrote_from, wrote_to;
	/* Tree (treap by start, with the largest gap before a member of the subtree) and list. */
	struct vma *left, *right;
	uint32_t prio;
	uint64_t gap, max_gap;
	struct list node;
};

struct mm {
	atomic_int refs;
	pthread_mutex_t lock;
	struct platform *platform;
	struct platform_as *as;
	struct vma *root;
	struct list vmas;
	unsigned nr_vmas;
	struct vma *last; /* found last */
	uint32_t seed;	  /* of treap priorities */
	struct pagemap pages;
	uint64_t mmap_random;
	uint64_t mmap_base; /* mappings without an address go below this */
	uint64_t brk;
	struct mm_layout layout;
	uint64_t limit_as, limit_data, limit_stack, limit_locked;
	uint64_t vsize, vsize_peak, data, text, stack, locked; /* bytes */
	unsigned lock_future; /* VMA_LOCKED after mlockall(MCL_FUTURE) */
	bool forked; /* private pages may be shared with other address spaces */
	struct mm_hots *hots; /* mm_fork.c */
};

/* One line of /proc/PID/maps; mm locked (mm_maps.c). */
void mm_print_vma(struct mm *mm, const struct vma *v, struct buf *out);

/* ---- vma.c: the tree; mm locked ---- */

/* First mapping with end > addr, or NULL. */
struct vma *vma_find(struct mm *mm, uint64_t addr);
/* The mapping that contains addr, or NULL. */
struct vma *vma_at(struct mm *mm, uint64_t addr);
struct vma *vma_next(struct mm *mm, struct vma *v);
struct vma *vma_prev(struct mm *mm, struct vma *v);
/* Links v, which overlaps nothing, and counts it. */
void vma_link(struct mm *mm, struct vma *v);
void vma_unlink(struct mm *mm, struct vma *v);
/* Changes the bounds of a linked mapping, which may not pass its neighbours. */
void vma_resize(struct mm *mm, struct vma *v, uint64_t start, uint64_t end);
/* Highest free range of len bytes in [low, high), aligned; 0 when there is none. */
uint64_t vma_find_gap(struct mm *mm, uint64_t len, uint64_t align, uint64_t low, uint64_t high);
/* True when [start, end) has no mapping (and is not the guard of a stack, with guard). */
bool vma_range_free(struct mm *mm, uint64_t start, uint64_t end, bool guard);

/* New mapping with prot, flags and bounds set, or NULL. Not linked. */
struct vma *vma_new(uint64_t start, uint64_t end, int prot, unsigned flags, enum vma_kind kind);
/* Drops the references that v holds, and v. */
void vma_free(struct vma *v);
/* Splits v at addr, inside it; v keeps the lower part. The upper part, or NULL (-ENOMEM). */
struct vma *vma_split(struct mm *mm, struct vma *v, uint64_t addr);
/* Joins v with its neighbours where they are alike; returns what v became. */
struct vma *vma_merge(struct mm *mm, struct vma *v);
/* Adds (sign 1) or takes (sign -1) v's bytes to the counters of mm. */
void vma_count(struct mm *mm, const struct vma *v, int sign);

/* ---- mm_shm.c ---- */

/* References of mappings: as mm_shm_get and mm_shm_put, telling the owner. */
struct mm_shm *mm_shm_attach(struct mm_shm *s);
void mm_shm_detach(struct mm_shm *s);

/* ---- mm.c, mm_fault.c, mm_move.c; mm locked ---- */

unsigned mm_platform_prot(int prot);
/* Removes everything in [start, end). 0 or -ENOMEM (too many mappings). */
int mm_unmap_locked(struct mm *mm, uint64_t start, uint64_t end);
/* Translations and private pages of [start, end), inside v; v itself stays. */
void mm_zap(struct mm *mm, struct vma *v, uint64_t start, uint64_t end);
/* Would n more bytes exceed RLIMIT_AS, or RLIMIT_DATA for a writable private mapping? */
bool mm_may_expand(struct mm *mm, uint64_t n, bool data);
/* Splits the mappings that straddle start and end. 0 or -ENOMEM. */
int mm_split_edges(struct mm *mm, uint64_t start, uint64_t end);
/* As mm_mmap with checked, page-aligned arguments at a free place; merges. */
int mm_map_anon(struct mm *mm, uint64_t addr, uint64_t len, int prot, unsigned flags);
/* Puts len bytes of file at off into a range of the window, for v, which it fills in. */
int mm_map_file(struct vma *v, struct file *f, uint64_t off);

/* Maps the host's file of v at a window offset, with the protection that v may ever need. */
int mm_host_map(const struct vma *v, uint64_t win, uint64_t len, uint64_t off);
/* Chooses the address of a mapping by addr and flags as mmap does: 0 < result, or -errno. */
int64_t mm_place(struct mm *mm, uint64_t addr, uint64_t len, int flags, bool anon);
/* A free place for len bytes, as mmap without an address finds it; 0 when there is none. */
uint64_t mm_find_area(struct mm *mm, uint64_t len);

/* Makes the page at addr present, with others around it as worth it. */
enum mm_fault_result mm_fault_locked(struct mm *mm, uint64_t addr, unsigned access);
/* The mapping at addr, after growing a stack down to it if that is allowed; or NULL. */
struct vma *mm_vma_for(struct mm *mm, uint64_t addr);
/* Makes the first block at start present: new memory is nearly always used from its start, and a
 * fault costs much more than this does. */
void mm_prefault(struct mm *mm, uint64_t start);
/* Makes [start, end) present, as far as memory goes. 0 or -ENOMEM. */
int mm_populate(struct mm *mm, uint64_t start, uint64_t end);
/* Installs translations of the pages in [start, end) of v that exist already. */
int mm_map_present(struct mm *mm, struct vma *v, uint64_t start, uint64_t end);
/* As mm_map_present for a file mapping, after having the host map what its page cache holds. */
int mm_map_file_hot(struct mm *mm, struct vma *v, uint64_t start, uint64_t end);
/* Window offset of the byte at addr, made present with access; *v its mapping. */
enum mm_fault_result mm_translate(struct mm *mm, uint64_t addr, unsigned access, uint64_t *off,
				  struct vma **v);

/* ---- mm_text.c ---- */

struct stat;
/* Gives v, new and private, the range of an equal mapping of f at off that is kept, and a reference. In
 * any case *st is what mm_text_add wants. */
bool mm_text_get(struct vma *v, struct file *f, uint64_t off, struct stat *st);
/* Keeps the range of v, just made, for others. */
void mm_text_add(struct vma *v, const struct stat *st);

/* ---- mm_fork.c; mm locked ---- */

/* Opens what mm_fork needs of the host, before sbx is confined. */
void mm_fork_init(void);
/* Which pages are written to after forks: known to all copies of an address space. */
struct mm_hots *mm_hots_new(void);
void mm_hots_put(struct mm_hots *s);
/* Gives v, at address page, a page of its own in place of old, which others hold too. */
enum mm_fault_result mm_cow(struct mm *mm, struct vma *v, uint64_t page, uint32_t old);
/* Gives the file mapping v, which has no private pages, a window range of its own if another address
 * space uses its range too: it is to become writable. 0 or -errno. */
int mm_unshare_file(struct mm *mm, struct vma *v);

/* Must a write to the private page of an anonymous mapping copy it first? */
static inline bool mm_page_shared(const struct mm *mm, const struct vma *v, uint32_t page)
{
	return v->kind == VMA_ANON && mm->forked && pgpool_shared(page);
}

static inline uint64_t vma_len(const struct vma *v)
{
	return v->end - v->start;
}

/* Notes that window offsets [from, to) of the file mapping v may be written to from now on. */
static inline void vma_writes(struct vma *v, uint64_t from, uint64_t to)
{
	v->wrote_from = v->wrote_to ? MIN(v->wrote_from, from) : from;
	v->wrote_to = MAX(v->wrote_to, to);
}

/* End of what v can have pages for: a mapping may be longer than its object. */
static inline uint64_t vma_usable_end(const struct vma *v)
{
	uint64_t size;

	if (v->kind != VMA_SHM || !v->shm->size)
		return v->end;
	size = ALIGN_UP(v->shm->size, PAGE_SIZE);
	return size <= v->off ? v->start : MIN(v->end, v->start + (size - v->off));
}

/* n has the pages of v in another place of the window. */
static inline void vma_writes_moved(struct vma *n, const struct vma *v)
{
	if (v->wrote_to > v->win)
		vma_writes(n, n->win + (MAX(v->wrote_from, v->win) - v->win),
			   n->win + (MIN(v->wrote_to, v->win + vma_len(v)) - v->win));
}

/* Page map and index of an address in an anonymous or shared-object mapping. */
static inline struct pagemap *vma_pages(struct mm *mm, struct vma *v)
{
	return v->kind == VMA_SHM ? &v->shm->pages : &mm->pages;
}

static inline uint64_t vma_index(const struct vma *v, uint64_t addr)
{
	if (v->kind == VMA_SHM)
		return (v->off + (addr - v->start)) >> PGPOOL_SHIFT;
	return addr >> PGPOOL_SHIFT;
}

#endif
