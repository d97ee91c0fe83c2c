/* Contents of regular files of the in-memory file system. Each file with users has a memfd, whose
 * descriptors serve reads, mappings and locks; everything that can make it larger passes here and is
 * charged by size in whole pages, so sparse files and later stores into mappings are paid for when the
 * size changes. Small files that nobody has open are kept on the heap: a tree of many files must not
 * use up host descriptors. */
#include "sentry/tmpfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>
#include "sentry/hostproc.h"

static uint64_t pages_of(uint64_t size)
{
	return size / TMPFS_PAGE + !!(size % TMPFS_PAGE);
}

static bool ts_equal(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static void remember_times(struct tdata *d)
{
	struct stat st;

	if (fstat(d->memfd, &st))
		return;
	d->seen_mtime = st.st_mtim;
	d->seen_atime = st.st_atim;
}

void tmpfs_data_init(struct tnode *n)
{
	n->data.memfd = -1;
	list_init(&n->data.readers);
}

void tmpfs_data_free(struct tnode *n)
{
	if (n->data.memfd >= 0)
		close(n->data.memfd);
	free(n->data.parked);
	tmpfs_uncharge(n->fs, n->data.charged * TMPFS_PAGE);
}

/* Where the contents are from now on, in memfd fd or, without one, in `parked`. Whoever asks for the size and
 * times holds fs->lock only. Caller holds n->lock; what was there before is its to free. */
static void contents_at(struct tnode *n, int fd, char *parked, uint64_t size)
{
	pthread_mutex_lock(&n->fs->lock);
	n->data.memfd = fd;
	n->data.parked = parked;
	n->data.parked_size = size;
	if (fd >= 0)
		remember_times(&n->data);
	pthread_mutex_unlock(&n->fs->lock);
}

/* Makes sure the memfd exists. */
static int unpark(struct tnode *n)
{
	struct tdata *d = &n->data;
	char *parked = d->parked;
	ssize_t r;
	int fd;

	if (d->memfd >= 0)
		return 0;
	fd = memfd_create("tmpfs", MFD_CLOEXEC | (d->sealable ? MFD_ALLOW_SEALING : 0));
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? -ENFILE : -ENOMEM;
	if (parked) {
		r = pwrite(fd, parked, d->parked_size, 0);
		if (r != (ssize_t)d->parked_size) {
			close(fd);
			return -ENOMEM;
		}
	}
	contents_at(n, fd, NULL, 0);
	free(parked);
	return 0;
}

/* Moves the contents of a small file to the heap and closes the memfd; keeps it when memory is short. */
static void park(struct tnode *n)
{
	struct tdata *d = &n->data;
	uint64_t size, blocks;
	char *copy = NULL;
	int fd = d->memfd;

	pthread_mutex_lock(&n->fs->lock);
	tmpfs_data_sync(n, &size, &blocks);
	pthread_mutex_unlock(&n->fs->lock);
	if (size > TMPFS_PARK_MAX)
		return;
	if (size) {
		copy = malloc(size);
		if (!copy || pread(fd, copy, size, 0) != (ssize_t)size) {
			free(copy);
			return;
		}
	}
	contents_at(n, -1, copy, size);
	close(fd);
}

void tmpfs_data_sync(struct tnode *n, uint64_t *size, uint64_t *blocks)
{
	struct tdata *d = &n->data;
	struct stat st;

	if (d->host) {
		*size = d->host_size;
		*blocks = d->host_blocks;
		return;
	}
	*size = d->parked_size;
	*blocks = pages_of(d->parked_size) * (TMPFS_PAGE / 512);
	if (d->memfd < 0 || fstat(d->memfd, &st))
		return;
	*size = (uint64_t)st.st_size;
	*blocks = (uint64_t)st.st_blocks;
	if (!ts_equal(&st.st_mtim, &d->seen_mtime))
		n->mtime = n->ctime = d->seen_mtime = st.st_mtim;
	if (!ts_equal(&st.st_atim, &d->seen_atime))
		n->atime = d->seen_atime = st.st_atim;
}

void tmpfs_data_times_set(struct tnode *n)
{
	if (n->data.memfd >= 0)
		remember_times(&n->data);
}

static off_t current_size(const struct tdata *d)
{
	struct stat st;

	return fstat(d->memfd, &st) ? 0 : st.st_size;
}

/* After the contents were changed here: their time is the node's, even where the host's clock has
 * not ticked since its times were last looked at. Caller holds n->lock. Returns the size. */
static off_t changed(struct tnode *n)
{
	struct stat st;

	if (fstat(n->data.memfd, &st))
		return 0;
	pthread_mutex_lock(&n->fs->lock);
	n->mtime = n->ctime = n->data.seen_mtime = st.st_mtim;
	pthread_mutex_unlock(&n->fs->lock);
	return st.st_size;
}

/* Charges for a size of at least `size` bytes. Caller holds n->lock. */
static int reserve(struct tnode *n, uint64_t size)
{
	uint64_t want = pages_of(size);
	int r;

	if (want <= n->data.charged)
		return 0;
	r = tmpfs_charge(n->fs, (want - n->data.charged) * TMPFS_PAGE);
	if (!r)
		n->data.charged = want;
	return r;
}

/* Gives back what is charged beyond `size` bytes. */
static void give_back(struct tnode *n, uint64_t size)
{
	uint64_t keep = pages_of(size);

	if (keep >= n->data.charged)
		return;
	tmpfs_uncharge(n->fs, (n->data.charged - keep) * TMPFS_PAGE);
	n->data.charged = keep;
}

int tmpfs_data_fill(struct tnode *n, int fd, uint64_t size)
{
	uint64_t done = 0;
	ssize_t k = 1;
	int r = reserve(n, size), own;

	if (!r)
		r = unpark(n);
	while (!r && done < size && k) {
		k = sendfile(n->data.memfd, fd, NULL, MIN(size - done, (uint64_t)1 << 30));
		if (k < 0)
			r = -errno;
		else
			done += (uint64_t)k;
	}
	if (r && n->data.memfd >= 0) {
		own = n->data.memfd;
		contents_at(n, -1, NULL, 0);
		close(own);
		give_back(n, 0);
	} else if (!r) {
		remember_times(&n->data); /* they stay the file's */
	}
	return r;
}

static int truncate_locked(struct tnode *n, off_t len)
{
	int r;

	if (len < 0)
		return -EINVAL;
	r = tmpfs_lower_copy(n, (uint64_t)len);
	if (!r)
		r = reserve(n, (uint64_t)len);
	if (!r)
		r = unpark(n);
	if (!r && ftruncate(n->data.memfd, len))
		r = -errno;
	if (!r) {
		changed(n);
		give_back(n, (uint64_t)len);
	}
	return r;
}

int tmpfs_data_truncate(struct tnode *n, off_t len)
{
	int r;

	pthread_mutex_lock(&n->lock);
	r = truncate_locked(n, len);
	if (!n->data.opens && n->data.memfd >= 0)
		park(n);
	pthread_mutex_unlock(&n->lock);
	return r;
}

/* ---- open files: priv is the node ---- */

/* How many of `want` bytes at pos fit into the limit; reserves them. 0: none. */
static size_t reserve_write(struct tnode *n, off_t pos, size_t want)
{
	uint64_t end, room;

	if (want > (uint64_t)INT64_MAX - (uint64_t)pos)
		want = (size_t)(INT64_MAX - pos);
	end = (uint64_t)pos + want;
	if (!reserve(n, end))
		return want;
	room = n->fs->limit - MIN(n->fs->limit, atomic_load(&n->fs->used));
	end = (n->data.charged + room / TMPFS_PAGE) * TMPFS_PAGE;
	if (end <= (uint64_t)pos || reserve(n, end))
		return 0;
	return (size_t)MIN((uint64_t)want, end - (uint64_t)pos);
}

static ssize_t write_locked(struct tnode *n, struct file *f, const struct iovec *iov, int cnt,
			    off_t off)
{
	struct iovec cut[GMEM_IOV_MAX];
	off_t size = current_size(&n->data), pos = off;
	bool append = f->flags & O_APPEND || off < -1, move = off == -1 || off == FILE_AT_END_MOVE;
	uint64_t charged = n->data.charged;
	size_t want, total = file_iov_total(iov, cnt);
	ssize_t r;

	if (append)
		pos = size;
	else if (move)
		pos = lseek(f->hostfd, 0, SEEK_CUR);
	if (pos < 0)
		return -errno;
	if (!total)
		return 0;
	want = reserve_write(n, pos, total);
	if (!want)
		return pos == INT64_MAX ? -EFBIG : -ENOSPC;
	cnt = file_iov_clip(iov, MIN(cnt, GMEM_IOV_MAX), want, cut);
	r = pwritev(f->hostfd, cut, cnt, pos);
	if (r < 0)
		r = -errno;
	else if (move)
		lseek(f->hostfd, pos + r, SEEK_SET);
	size = r > 0 ? changed(n) : current_size(&n->data);
	if (pages_of((uint64_t)size) < n->data.charged)
		give_back(n, MAX(charged * TMPFS_PAGE, (uint64_t)size));
	return r;
}

static ssize_t data_write(struct task *t, struct file *f, const struct iovec *iov, int cnt, off_t off)
{
	struct tnode *n = f->priv;
	ssize_t r;

	if ((f->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	pthread_mutex_lock(&n->lock);
	r = write_locked(n, f, iov, cnt, off);
	pthread_mutex_unlock(&n->lock);
	return r;
}

/* As write_locked, from a host pipe that is not waited for. */
static ssize_t from_pipe_locked(struct tnode *n, struct file *f, int pipe, size_t len, off_t off)
{
	uint64_t charged = n->data.charged;
	off_t pos = off < 0 ? lseek(f->hostfd, 0, SEEK_CUR) : off, size;
	size_t want;
	ssize_t r;

	if (pos < 0)
		return -errno;
	want = reserve_write(n, pos, len);
	if (!want)
		return pos == INT64_MAX ? -EFBIG : -ENOSPC;
	r = splice(pipe, NULL, f->hostfd, &pos, want, SPLICE_F_NONBLOCK);
	if (r < 0)
		r = -errno;
	else if (off < 0)
		lseek(f->hostfd, pos, SEEK_SET);
	size = r > 0 ? changed(n) : current_size(&n->data);
	if (pages_of((uint64_t)size) < n->data.charged)
		give_back(n, MAX(charged * TMPFS_PAGE, (uint64_t)size));
	return r;
}

static ssize_t data_from_pipe(struct task *t, struct file *f, int pipe, size_t len, off_t off)
{
	struct tnode *n = f->priv;
	ssize_t r;

	pthread_mutex_lock(&n->lock);
	r = from_pipe_locked(n, f, pipe, len, off);
	pthread_mutex_unlock(&n->lock);
	return r;
}

static int data_truncate(struct task *t, struct file *f, off_t len)
{
	struct tnode *n = f->priv;
	int r;

	if ((f->flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	pthread_mutex_lock(&n->lock);
	r = truncate_locked(n, len);
	pthread_mutex_unlock(&n->lock);
	return r;
}

static int data_fallocate(struct task *t, struct file *f, int mode, off_t off, off_t len)
{
	struct tnode *n = f->priv;
	off_t end;
	int r = 0;

	if ((f->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (off < 0 || len <= 0)
		return -EINVAL;
	if (add_overflow(off, len, &end))
		return -EFBIG;
	pthread_mutex_lock(&n->lock);
	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		r = reserve(n, (uint64_t)end);
	if (!r && fallocate(f->hostfd, mode, off, len))
		r = -errno;
	pthread_mutex_unlock(&n->lock);
	return r;
}

static int data_fstat(struct task *t, struct file *f, struct statx *st)
{
	struct tnode *n = f->priv;

	return tmpfs_getattr(t, &n->vn, st);
}

static void data_release(struct file *f)
{
	struct tnode *n = f->priv;

	pthread_mutex_lock(&n->lock);
	tmpfs_lower_closed(n, f);
	if (!--n->data.opens && n->data.memfd >= 0)
		park(n);
	pthread_mutex_unlock(&n->lock);
	vnode_put(&n->vn);
}

/* A shared mapping shows what is written later, so it cannot be one of the host's file. */
static int data_mmap_fd(struct task *t, struct file *f, bool shared)
{
	struct tnode *n = f->priv;
	int r = 0;

	pthread_mutex_lock(&n->lock);
	if (shared)
		r = tmpfs_lower_copy(n, UINT64_MAX);
	pthread_mutex_unlock(&n->lock);
	return r ? r : f->hostfd;
}

static const struct file_ops data_file_ops = {
	.mmap_fd = data_mmap_fd,
	.write = data_write,
	.from_pipe = data_from_pipe,
	.truncate = data_truncate,
	.fallocate = data_fallocate,
	.fstat = data_fstat,
	.release = data_release,
};

static int path_fstat(struct task *t, struct file *f, struct statx *st)
{
	return data_fstat(t, f, st);
}

static void path_release(struct file *f)
{
	struct tnode *n = f->priv;

	vnode_put(&n->vn);
}

/* O_PATH: a name held open, nothing more. */
static const struct file_ops path_file_ops = {
	.fstat = path_fstat,
	.release = path_release,
};

static int open_locked(struct tnode *n, unsigned flags, struct file **out)
{
	int fd, r;

	if (n->data.host && (flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
		return tmpfs_lower_open(n, flags, &data_file_ops, out);
	r = tmpfs_lower_copy(n, flags & O_TRUNC ? 0 : UINT64_MAX);
	if (!r)
		r = unpark(n);
	if (r)
		return r;
	fd = hostproc_reopen(n->data.memfd, flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECT));
	if (fd < 0)
		return fd == -EMFILE ? -ENFILE : fd;
	if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY)
		r = truncate_locked(n, 0);
	if (r) {
		close(fd);
		return r;
	}
	*out = file_new(&data_file_ops, fd, flags & ~(unsigned)O_TRUNC, POL_FD_FILE);
	if (!*out)
		return -ENOMEM;
	n->data.opens++;
	return 0;
}

int tmpfs_data_open(struct tnode *n, unsigned flags, struct file **out)
{
	int r;

	if (flags & O_PATH) {
		*out = file_new(&path_file_ops, -1, flags, POL_FD_FILE);
		r = *out ? 0 : -ENOMEM;
	} else {
		pthread_mutex_lock(&n->lock);
		r = open_locked(n, flags, out);
		if (r && !n->data.opens && n->data.memfd >= 0)
			park(n);
		pthread_mutex_unlock(&n->lock);
	}
	if (r)
		return r;
	(*out)->priv = n;
	vnode_get(&n->vn);
	return 0;
}
