/* File mappings that cannot be written to, kept for the next who maps the same: programs and libraries
 * are mapped again and again, and what the host has to do for each costs more than finding them here.
 *
 * Such a mapping has no pages of its own, so all address spaces may use one window range of it. A file
 * is known by its numbers, size and times: what was changed in between is mapped anew. Ranges that
 * nobody asked for lately are let go, and with them the file, should it have been deleted. */
#include <sys/stat.h>
#include "sentry/file.h"
#include "sentry/mm_impl.h"

#define TEXTS	 256 /* kept at most: as many sets of WAYS as it takes */
#define WAYS	 4
#define TEXT_AGE 3 /* ticks, of about a second */

struct text {
	struct pgrange *range; /* NULL: free */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	uint64_t off;
	uint32_t tick; /* of the last use */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct text texts[TEXTS / WAYS][WAYS];
static uint32_t tick;

static bool can_share(const struct vma *v, const struct file *f)
{
	return !(v->flags & VMA_SHARED) && !v->wrote && !f->ops->mmap_fd && f->hostfd >= 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct text *t, const struct stat *st, uint64_t off, uint64_t len)
{
	return t->range && t->ino == st->st_ino && t->dev == st->st_dev && t->off == off &&
	       t->range->at.len == len && t->size == st->st_size &&
	       same_time(&t->mtime, &st->st_mtim) && same_time(&t->ctime, &st->st_ctim);
}

static struct text *set_of(const struct stat *st, uint64_t off)
{
	uint64_t h = (st->st_ino ^ off >> PGPOOL_SHIFT) * 0x9e3779b97f4a7c15ull;

	return texts[(h >> 32) % (TEXTS / WAYS)];
}

bool mm_text_get(struct vma *v, struct file *f, uint64_t off, struct stat *st)
{
	struct text *set;
	bool found = false;

	st->st_ino = 0;
	if (!can_share(v, f) || fstat(f->hostfd, st) < 0 || !S_ISREG(st->st_mode)) {
		st->st_ino = 0;
		return false;
	}
	set = set_of(st, off);
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < WAYS && !found; i++)
		if (is_same(&set[i], st, off, vma_len(v))) {
			v->range = pgrange_get(set[i].range);
			set[i].tick = tick;
			found = true;
		}
	pthread_mutex_unlock(&lock);
	return found;
}

void mm_text_add(struct vma *v, const struct stat *st)
{
	struct text *set = set_of(st, v->off), *t = &set[0];
	struct pgrange *old;

	if (!st->st_ino)
		return;
	v->range->forked = true;
	pthread_mutex_lock(&lock);
	for (unsigned i = 1; i < WAYS && t->range; i++)
		if (!set[i].range || (int32_t)(t->tick - set[i].tick) > 0)
			t = &set[i];
	old = t->range;
	*t = (struct text){
		.range = pgrange_get(v->range),
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
		.off = v->off,
		.tick = tick,
	};
	pthread_mutex_unlock(&lock);
	if (old)
		pgrange_put(old);
}

static void forget(bool all)
{
	struct pgrange *old[TEXTS];
	unsigned n = 0;

	pthread_mutex_lock(&lock);
	tick++;
	for (unsigned i = 0; i < TEXTS; i++) {
		struct text *t = &texts[i / WAYS][i % WAYS];

		if (!t->range || (!all && tick - t->tick <= TEXT_AGE))
			continue;
		old[n++] = t->range;
		t->range = NULL;
	}
	pthread_mutex_unlock(&lock);
	while (n)
		pgrange_put(old[--n]);
}

void mm_text_age(void)
{
	forget(false);
}

void mm_text_exit(void)
{
	forget(true);
}
