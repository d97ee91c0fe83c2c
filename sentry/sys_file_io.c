/* Reading, writing, seeking. Bulk data goes between app pages and the host in place. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include "base/overflow.h"
#include "sentry/net.h"
#include "sentry/sys_file.h"

/* Most bytes pinned at a time: an app's buffer is not faulted in far beyond what will be used. */
#define CHUNK (1u << 20)

#define IOV_COUNT_MAX 1024u

struct xfer {
	struct task *t;
	struct file *f;
	off_t off; /* -1: the file position */
	int flags; /* RWF_* */
	bool write;
};

/* One chunk; n is 0 for a transfer of nothing, whose errors are the file's. */
static ssize_t xfer_chunk(const struct xfer *x, const struct iovec *iov, int n, off_t off)
{
	if (x->write)
		return file_write_flags(x->t, x->f, iov, n, off, x->flags);
	return file_read_flags(x->t, x->f, iov, n, off, x->flags);
}

/* May the next chunk be asked for after a full one? A reader of a stream gets what there is. */
static bool xfer_goes_on(const struct xfer *x)
{
	return x->write || x->f->kind == POL_FD_FILE || x->f->kind == POL_FD_DEVICE;
}

static int xfer_check(const struct xfer *x)
{
	if (!x->f)
		return -EBADF;
	if (x->off >= 0 && (x->f->kind == POL_FD_PIPE || x->f->kind == POL_FD_SOCKET))
		return -ESPIPE;
	if (x->write ? !file_can_write(x->f) : !file_can_read(x->f))
		return -EBADF;
	if (x->off < -1)
		return -EINVAL;
	if (x->write && x->f->append_only && x->flags & 0x20 /* RWF_NOAPPEND */)
		return -EPERM;
	return 0;
}

/* Takes up to CHUNK bytes and GMEM_IOV_MAX entries off the front of iov, after *skip bytes of its
 * first entry. Returns the entries written to out. */
static int iov_chunk(const struct iovec *iov, int n, size_t skip, struct iovec *out, size_t *total)
{
	int count = 0;

	*total = 0;
	for (int i = 0; i < n && count < GMEM_IOV_MAX && *total < CHUNK; i++) {
		size_t len = iov[i].iov_len - skip;

		if (len) {
			len = MIN(len, CHUNK - *total);
			out[count].iov_base = (char *)iov[i].iov_base + skip;
			out[count++].iov_len = len;
			*total += len;
		}
		skip = 0;
	}
	return count;
}

/* Reading into memory that is not there fails only when something is to be stored: at the end of a file
 * it does not, and an empty pipe has to be waited for first. So the host is asked, with a pointer that
 * is as bad; what the sentry itself makes has no such cases. */
static ssize_t read_nowhere(const struct xfer *x, size_t want, off_t off)
{
	struct iovec nowhere = {(void *)1, want};

	if (x->f->hostfd < 0 || (x->f->ops->read && !net_sock(x->f)))
		return -EFAULT;
	return file_read_flags(x->t, x->f, &nowhere, 1, off, x->flags);
}

static long xfer_iov(const struct xfer *x, const struct iovec *iov, int n)
{
	struct mm *mm = x->t->proc->mm;
	struct iovec part[GMEM_IOV_MAX];
	size_t done = 0, skip = 0, want;
	struct gmem_pin pin;
	int i = 0, count;
	off_t off;
	ssize_t r;

	for (;;) {
		count = iov_chunk(iov + i, n - i, skip, part, &want);
		off = x->off < 0 ? -1 : x->off + (off_t)done;
		if (!count)
			return done ? (long)done : xfer_chunk(x, part, 0, off);
		r = gmem_pin_iov(mm, part, count, !x->write, &pin);
		if (r == -EFAULT && !done && !x->write)
			return read_nowhere(x, want, off);
		if (r)
			return done ? (long)done : r;
		r = xfer_chunk(x, pin.iov, pin.niov, off);
		gmem_unpin(&pin);
		if (r <= 0)
			return done ? (long)done : r;
		done += (size_t)r;
		if ((size_t)r < want || !xfer_goes_on(x))
			return (long)done;
		for (skip += (size_t)r; i < n && skip >= iov[i].iov_len; i++)
			skip -= iov[i].iov_len;
	}
}

static long xfer_buf(const struct xfer *x, uint64_t addr, uint64_t len)
{
	struct iovec iov = {(void *)addr, MIN(len, SYS_RW_MAX)};
	int r = xfer_check(x);

	return r ? r : xfer_iov(x, &iov, 1);
}

static long xfer_vec(const struct xfer *x, uint64_t addr, uint64_t count)
{
	struct iovec iov[IOV_COUNT_MAX];
	int r = xfer_check(x);

	if (r)
		return r;
	if (count > IOV_COUNT_MAX)
		return -EINVAL;
	r = gmem_read_iov(x->t->proc->mm, gptr_at(addr), count, iov);
	return r < 0 ? r : xfer_iov(x, iov, (int)count);
}

long sys_read(struct task *t, struct sysargs *a)
{
	return xfer_buf(&(struct xfer){t, a->file[0], -1, 0, false}, a->raw[1], a->raw[2]);
}

long sys_write(struct task *t, struct sysargs *a)
{
	return xfer_buf(&(struct xfer){t, a->file[0], -1, 0, true}, a->raw[1], a->raw[2]);
}

static long positioned(const struct xfer *x, struct sysargs *a, bool vec)
{
	if ((off_t)x->off < 0)
		return x->f ? -EINVAL : -EBADF;
	return vec ? xfer_vec(x, a->raw[1], a->raw[2]) : xfer_buf(x, a->raw[1], a->raw[2]);
}

long sys_pread64(struct task *t, struct sysargs *a)
{
	return positioned(&(struct xfer){t, a->file[0], (off_t)a->raw[3], 0, false}, a, false);
}

long sys_pwrite64(struct task *t, struct sysargs *a)
{
	return positioned(&(struct xfer){t, a->file[0], (off_t)a->raw[3], 0, true}, a, false);
}

long sys_readv(struct task *t, struct sysargs *a)
{
	return xfer_vec(&(struct xfer){t, a->file[0], -1, 0, false}, a->raw[1], a->raw[2]);
}

long sys_writev(struct task *t, struct sysargs *a)
{
	return xfer_vec(&(struct xfer){t, a->file[0], -1, 0, true}, a->raw[1], a->raw[2]);
}

long sys_preadv(struct task *t, struct sysargs *a)
{
	return positioned(&(struct xfer){t, a->file[0], (off_t)a->raw[3], 0, false}, a, true);
}

long sys_pwritev(struct task *t, struct sysargs *a)
{
	return positioned(&(struct xfer){t, a->file[0], (off_t)a->raw[3], 0, true}, a, true);
}

/* preadv2 and pwritev2 take -1 for the file position. */
static long vec2(struct task *t, struct sysargs *a, bool write)
{
	struct xfer x = {t, a->file[0], (off_t)a->raw[3], A_INT(a, 5), write};

	return xfer_vec(&x, a->raw[1], a->raw[2]);
}

long sys_preadv2(struct task *t, struct sysargs *a)
{
	return vec2(t, a, false);
}

long sys_pwritev2(struct task *t, struct sysargs *a)
{
	return vec2(t, a, true);
}

long sys_lseek(struct task *t, struct sysargs *a)
{
	if (!a->file[0])
		return -EBADF;
	if (A_UINT(a, 2) > SEEK_HOLE)
		return -EINVAL;
	return file_seek(t, a->file[0], (off_t)a->raw[1], A_INT(a, 2));
}
