/* Ranges of the window for the host's file mappings. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/log.h"
#include "base/overflow.h"
#include "sentry/pgpool_int.h"

#define RANGES_MAX 32768 /* each costs the host's process mappings, of which it has 65530 */

static struct {
	pthread_mutex_t lock;
	struct extent *free;
	struct extent *used; /* of struct pgrange */
	unsigned nr_used;
} files = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void free_all(struct extent *x)
{
	if (!x)
		return;
	free_all(x->left);
	free_all(x->right);
	free(x);
}

void pgrange_exit(void)
{
	free_all(files.free);
	files.free = files.used = NULL;
	files.nr_used = 0;
}

/* ---- free ranges; all with the lock held ---- */

/* Joins x with the member after it, if that begins where x ends. */
static void join_next(struct extent *x)
{
	uint64_t end = x->off + x->len;
	struct extent *next = extents_at(files.free, end);

	if (!next || next->off != end)
		return;
	extents_del(&files.free, next);
	extents_resize(files.free, x, x->off, x->len + next->len);
	free(next);
}

static void give_back(uint64_t off, uint64_t len)
{
	struct extent *x = extents_at(files.free, off);

	if (x && x->off + x->len == off) {
		extents_resize(files.free, x, x->off, x->len + len);
	} else {
		x = malloc(sizeof(*x));
		if (!x) {
			log_warn("a window range of %llu bytes is lost: no memory",
				 (unsigned long long)len);
			return;
		}
		*x = (struct extent){.off = off, .len = len};
		extents_add(&files.free, x);
	}
	join_next(x);
}

static bool take(uint64_t len, uint64_t *off)
{
	struct extent *x = extents_fit(files.free, len);

	if (!x)
		return false;
	*off = x->off;
	if (x->len > len) {
		extents_resize(files.free, x, x->off + len, x->len - len);
	} else {
		extents_del(&files.free, x);
		free(x);
	}
	return true;
}

static int take_or_grow(uint64_t len, uint64_t *off)
{
	uint64_t more, got;
	int ret;

	while (!take(len, off)) {
		ret = pgpool_take_files(len, &more, &got);
		if (ret < 0)
			return ret;
		give_back(more, got);
	}
	return 0;
}

/* ---- ranges ---- */

int pgrange_create(uint64_t len, struct pgrange **out)
{
	struct pgrange *r;
	uint64_t off = 0;
	int ret = -ENOMEM;

	if (len > pgpool.size)
		return -ENOMEM;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	pthread_mutex_lock(&files.lock);
	if (files.nr_used < RANGES_MAX)
		ret = take_or_grow(len, &off);
	if (!ret) {
		r->at = (struct extent){.off = off, .len = len};
		r->refs = 1;
		extents_add(&files.used, &r->at);
		files.nr_used++;
	}
	pthread_mutex_unlock(&files.lock);
	if (ret)
		free(r);
	else
		*out = r;
	return ret;
}

struct pgrange *pgrange_get(struct pgrange *r)
{
	pthread_mutex_lock(&files.lock);
	r->refs++;
	pthread_mutex_unlock(&files.lock);
	return r;
}

void pgrange_punch(uint64_t off, uint64_t len)
{
	void *p = mmap(pgpool_host(off), len, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		log_warn("the host cannot unmap a file range: %s", strerror(errno));
}

void pgrange_drop(struct pgrange *r, uint64_t off, uint64_t len)
{
	bool last;

	pthread_mutex_lock(&files.lock);
	last = r->refs == 1;
	pthread_mutex_unlock(&files.lock);
	/* with the last reference all of it goes, in one call */
	if (!last && !r->forked)
		pgrange_punch(off, len);
	pgrange_put(r);
}

void pgrange_put(struct pgrange *r)
{
	bool last;

	pthread_mutex_lock(&files.lock);
	last = --r->refs == 0;
	if (last) {
		extents_del(&files.used, &r->at);
		files.nr_used--;
	}
	pthread_mutex_unlock(&files.lock);
	if (!last)
		return;
	/* Nobody can find it any more, and its place is not free yet: the host's work needs no lock. */
	pgrange_punch(r->at.off, r->at.len);
	if (r->shared)
		platform_window_backing(pgpool.platform, r->at.off, r->at.len,
					PLATFORM_BACKING_PRIVATE_RW);
	pthread_mutex_lock(&files.lock);
	give_back(r->at.off, r->at.len);
	pthread_mutex_unlock(&files.lock);
	free(r);
}

void pgrange_shared(struct pgrange *r)
{
	r->shared = true;
	platform_window_backing(pgpool.platform, r->at.off, r->at.len, PLATFORM_BACKING_SHARED);
}

struct pgrange *pgrange_at(uint64_t off)
{
	struct pgrange *found = NULL;
	struct extent *x;

	pthread_mutex_lock(&files.lock);
	x = extents_at(files.used, off);
	if (x && off - x->off < x->len) {
		found = container_of(x, struct pgrange, at);
		found->refs++;
	}
	pthread_mutex_unlock(&files.lock);
	return found;
}
