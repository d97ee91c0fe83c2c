/* Descriptor tables: a growing array of entries with two-level bitmaps, so that the lowest free
 * descriptor is found in a few word operations however many are open. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "base/overflow.h"
#include "sentry/file.h"
#include "sentry/filelock.h"
#include "sentry/mqueue.h"
#include "sentry/task.h"

#define WORD_BITS  64u
#define FIRST_SIZE 256u /* a multiple of WORD_BITS */

struct fdtab {
	atomic_int refs;
	atomic_int users; /* processes whose table it is */
	pthread_mutex_t lock; /* guards all below */
	uint32_t max;	      /* descriptors at or above it are not given out */
	uint32_t size;	      /* entries allocated: a multiple of WORD_BITS */
	struct file **file;
	uint64_t *open; /* bit set: descriptor in use */
	uint64_t *cloexec;
	uint64_t *full; /* bit w set: word w of open is all ones */
	struct filelock_table *locks;
};

static size_t words(size_t bits)
{
	return (bits + WORD_BITS - 1) / WORD_BITS;
}

static bool bit_get(const uint64_t *map, uint32_t i)
{
	return map[i / WORD_BITS] >> (i % WORD_BITS) & 1;
}

static void bit_put(uint64_t *map, uint32_t i, bool on)
{
	uint64_t m = 1ull << (i % WORD_BITS);

	if (on)
		map[i / WORD_BITS] |= m;
	else
		map[i / WORD_BITS] &= ~m;
}

/* Grows one bitmap from old to new words; the new ones are zero. False when out of memory. */
static bool grow_map(uint64_t **map, size_t from, size_t to)
{
	uint64_t *p = realloc(*map, to * sizeof(*p));

	if (!p)
		return false;
	memset(p + from, 0, (to - from) * sizeof(*p));
	*map = p;
	return true;
}

/* Makes room for descriptor fd. False when out of memory. */
static bool grow(struct fdtab *t, uint32_t fd)
{
	uint32_t size = t->size ? t->size : FIRST_SIZE;
	struct file **file;

	while (size <= fd)
		size *= 2;
	if (size == t->size)
		return true;
	file = realloc(t->file, size * sizeof(struct file *));
	if (!file)
		return false;
	memset(file + t->size, 0, (size - t->size) * sizeof(*file));
	t->file = file;
	if (!grow_map(&t->open, words(t->size), words(size)) ||
	    !grow_map(&t->cloexec, words(t->size), words(size)) ||
	    !grow_map(&t->full, words(words(t->size)), words(words(size))))
		return false;
	t->size = size;
	return true;
}

static void set_open(struct fdtab *t, uint32_t fd, bool on)
{
	bit_put(t->open, fd, on);
	bit_put(t->full, fd / WORD_BITS, t->open[fd / WORD_BITS] == UINT64_MAX);
}

/* Lowest free descriptor >= min; may be t->size or more, when all allocated ones are in use. */
static uint32_t lowest_free(const struct fdtab *t, uint32_t min)
{
	uint32_t w = min / WORD_BITS, nw = t->size / WORD_BITS;
	uint64_t free_bits;

	if (min >= t->size)
		return min;
	free_bits = ~t->open[w] & (UINT64_MAX << (min % WORD_BITS));
	if (free_bits)
		return w * WORD_BITS + (uint32_t)__builtin_ctzll(free_bits);
	for (w++; w < nw; w++) {
		uint64_t not_full = ~t->full[w / WORD_BITS] & (UINT64_MAX << (w % WORD_BITS));

		if (!not_full) {
			w |= WORD_BITS - 1; /* the loop goes on with the next summary word */
			continue;
		}
		w = (w & ~(WORD_BITS - 1)) + (uint32_t)__builtin_ctzll(not_full);
		return w < nw ? w * WORD_BITS + (uint32_t)__builtin_ctzll(~t->open[w]) : t->size;
	}
	return t->size;
}

/* Lowest descriptor >= from whose bit is set in map, or t->size. */
static uint32_t next_set(const struct fdtab *t, const uint64_t *map, uint32_t from)
{
	uint32_t w = from / WORD_BITS;
	uint64_t bits;

	if (from >= t->size)
		return t->size;
	bits = map[w] & (UINT64_MAX << (from % WORD_BITS));
	while (!bits) {
		if (++w >= t->size / WORD_BITS)
			return t->size;
		bits = map[w];
	}
	return w * WORD_BITS + (uint32_t)__builtin_ctzll(bits);
}

uint32_t fdtab_limit(uint64_t want)
{
	static _Atomic uint64_t cap; /* asked once: the host filter may forbid it later */
	struct rlimit host;

	if (!atomic_load(&cap)) {
		if (getrlimit(RLIMIT_NOFILE, &host) || host.rlim_cur > FDTAB_RESERVE + (1u << 20))
			host.rlim_cur = FDTAB_RESERVE + (1u << 20);
		atomic_store(&cap, host.rlim_cur > 2 * FDTAB_RESERVE ? host.rlim_cur - FDTAB_RESERVE : FDTAB_RESERVE);
	}
	return (uint32_t)MIN(want, atomic_load(&cap));
}

struct fdtab *fdtab_create(uint32_t max)
{
	struct fdtab *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	atomic_init(&t->refs, 1);
	atomic_init(&t->users, 1);
	pthread_mutex_init(&t->lock, NULL);
	t->max = max;
	t->locks = filelock_table_create();
	if (!t->locks || !grow(t, FIRST_SIZE - 1)) {
		fdtab_put(t);
		return NULL;
	}
	return t;
}

struct fdtab *fdtab_copy(struct fdtab *from)
{
	struct fdtab *t = fdtab_create(0);
	uint32_t fd;

	if (!t)
		return NULL;
	pthread_mutex_lock(&from->lock);
	t->max = from->max;
	if (!grow(t, from->size - 1)) {
		pthread_mutex_unlock(&from->lock);
		fdtab_put(t);
		return NULL;
	}
	for (fd = next_set(from, from->open, 0); fd < from->size;
	     fd = next_set(from, from->open, fd + 1)) {
		if (!from->file[fd])
			continue; /* reserved for a thread that is not copied */
		t->file[fd] = file_get(from->file[fd]);
		set_open(t, fd, true);
		bit_put(t->cloexec, fd, bit_get(from->cloexec, fd));
	}
	pthread_mutex_unlock(&from->lock);
	return t;
}

bool fdtab_is_shared(const struct fdtab *t)
{
	return atomic_load(&t->users) > 1;
}

struct fdtab *fdtab_share(struct fdtab *t)
{
	atomic_fetch_add(&t->users, 1);
	return fdtab_get(t);
}

void fdtab_leave(struct fdtab *t)
{
	if (!t)
		return;
	atomic_fetch_sub(&t->users, 1);
	fdtab_put(t);
}

struct fdtab *fdtab_get(struct fdtab *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

struct filelock_table *fdtab_locks(struct fdtab *t)
{
	return t->locks;
}

void fdtab_put(struct fdtab *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	for (uint32_t fd = 0; fd < t->size; fd++)
		if (t->file[fd])
			file_put(t->file[fd]);
	filelock_table_destroy(&t->locks);
	free(t->file);
	free(t->open);
	free(t->cloexec);
	free(t->full);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct file *fdtab_lookup(struct fdtab *t, int fd)
{
	struct file *f = NULL;

	pthread_mutex_lock(&t->lock);
	if (fd >= 0 && (uint32_t)fd < t->size && t->file[fd])
		f = file_get(t->file[fd]);
	pthread_mutex_unlock(&t->lock);
	return f;
}

int fdtab_install(struct fdtab *t, struct file *f, int min, bool cloexec)
{
	uint32_t fd;

	pthread_mutex_lock(&t->lock);
	fd = min < 0 ? UINT32_MAX : lowest_free(t, (uint32_t)min);
	if (fd >= t->max || !grow(t, fd)) {
		pthread_mutex_unlock(&t->lock);
		file_put(f);
		return -EMFILE;
	}
	t->file[fd] = f;
	set_open(t, fd, true);
	bit_put(t->cloexec, fd, cloexec);
	pthread_mutex_unlock(&t->lock);
	return (int)fd;
}

int fdtab_reserve(struct fdtab *t)
{
	uint32_t fd;
	int r = -EMFILE;

	pthread_mutex_lock(&t->lock);
	fd = lowest_free(t, 0);
	if (fd < t->max && grow(t, fd)) {
		set_open(t, fd, true);
		r = (int)fd;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

void fdtab_fill(struct fdtab *t, int fd, struct file *f, bool cloexec)
{
	pthread_mutex_lock(&t->lock);
	t->file[fd] = f;
	set_open(t, (uint32_t)fd, f != NULL);
	bit_put(t->cloexec, (uint32_t)fd, f && cloexec);
	pthread_mutex_unlock(&t->lock);
}

/* What Linux does when a descriptor goes: the process' record locks on the file go with it. */
static void drop(struct fdtab *t, struct file *f)
{
	filelock_release(t->locks, f);
	mq_closed(f);
	file_put(f);
}

int fdtab_install_at(struct fdtab *t, struct file *f, int fd, bool cloexec)
{
	struct file *old;

	pthread_mutex_lock(&t->lock);
	if (fd < 0 || (uint32_t)fd >= t->max || !grow(t, (uint32_t)fd)) {
		pthread_mutex_unlock(&t->lock);
		file_put(f);
		return -EBADF;
	}
	old = t->file[fd];
	if (!old && bit_get(t->open, (uint32_t)fd)) {
		pthread_mutex_unlock(&t->lock);
		file_put(f);
		return -EBUSY; /* reserved */
	}
	t->file[fd] = f;
	set_open(t, (uint32_t)fd, true);
	bit_put(t->cloexec, (uint32_t)fd, cloexec);
	pthread_mutex_unlock(&t->lock);
	if (old)
		drop(t, old);
	return fd;
}

/* Takes the file out of entry fd; the caller drops it. Call with the lock held. */
static struct file *take(struct fdtab *t, uint32_t fd)
{
	struct file *f = t->file[fd];

	t->file[fd] = NULL;
	set_open(t, fd, false);
	bit_put(t->cloexec, fd, false);
	return f;
}

int fdtab_close(struct fdtab *t, int fd)
{
	struct file *f = NULL;

	pthread_mutex_lock(&t->lock);
	if (fd >= 0 && (uint32_t)fd < t->size && t->file[fd])
		f = take(t, (uint32_t)fd);
	pthread_mutex_unlock(&t->lock);
	if (!f)
		return -EBADF;
	drop(t, f);
	return 0;
}

int fdtab_get_cloexec(struct fdtab *t, int fd)
{
	int r = -EBADF;

	pthread_mutex_lock(&t->lock);
	if (fd >= 0 && (uint32_t)fd < t->size && t->file[fd])
		r = bit_get(t->cloexec, (uint32_t)fd);
	pthread_mutex_unlock(&t->lock);
	return r;
}

int fdtab_set_cloexec(struct fdtab *t, int fd, bool on)
{
	int r = -EBADF;

	pthread_mutex_lock(&t->lock);
	if (fd >= 0 && (uint32_t)fd < t->size && t->file[fd]) {
		bit_put(t->cloexec, (uint32_t)fd, on);
		r = 0;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

/* Closes every descriptor of first..last, or only those with FD_CLOEXEC (execve). */
void fdtab_close_range(struct fdtab *t, unsigned first, unsigned last, bool cloexec_only)
{
	for (uint64_t fd = first; fd <= last;) {
		struct file *f = NULL;

		pthread_mutex_lock(&t->lock);
		fd = fd < t->size ? next_set(t, cloexec_only ? t->cloexec : t->open, (uint32_t)fd)
				  : t->size;
		if (fd >= t->size || fd > last) {
			pthread_mutex_unlock(&t->lock);
			return;
		}
		if (t->file[fd])
			f = take(t, (uint32_t)fd);
		pthread_mutex_unlock(&t->lock);
		if (f) /* else it is reserved */
			drop(t, f);
		fd++;
	}
}

void fdtab_cloexec_range(struct fdtab *t, unsigned first, unsigned last)
{
	pthread_mutex_lock(&t->lock);
	for (uint32_t fd = first < t->size ? next_set(t, t->open, first) : t->size;
	     fd < t->size && fd <= last; fd = next_set(t, t->open, fd + 1))
		bit_put(t->cloexec, fd, true);
	pthread_mutex_unlock(&t->lock);
}

void fdtab_set_max(struct fdtab *t, uint32_t max)
{
	pthread_mutex_lock(&t->lock);
	t->max = max;
	pthread_mutex_unlock(&t->lock);
}

uint32_t fdtab_max(struct fdtab *t)
{
	uint32_t max;

	pthread_mutex_lock(&t->lock);
	max = t->max;
	pthread_mutex_unlock(&t->lock);
	return max;
}

int fdtab_next(struct fdtab *t, int from)
{
	uint32_t fd;

	pthread_mutex_lock(&t->lock);
	fd = from < 0 ? t->size : next_set(t, t->open, (uint32_t)from);
	while (fd < t->size && !t->file[fd])
		fd = next_set(t, t->open, fd + 1);
	fd = fd < t->size ? fd : UINT32_MAX;
	pthread_mutex_unlock(&t->lock);
	return (int)fd;
}

int fdtab_own(struct proc *p)
{
	struct fdtab *old = p->fdtab, *mine;

	if (!fdtab_is_shared(old))
		return 0;
	mine = fdtab_copy(old);
	if (!mine)
		return -ENOMEM;
	pthread_mutex_lock(&p->lock);
	p->fdtab = mine;
	pthread_mutex_unlock(&p->lock);
	fdtab_leave(old);
	return 0;
}
