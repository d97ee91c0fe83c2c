/* Copies between descriptors without the app's memory, and advice. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/notify.h"
#include "sentry/sys_file.h"

#define COPY_CHUNK (64u << 10)

/* Can the host copy between the two by itself? */
static bool on_host(const struct file *in, const struct file *out)
{
	return in->hostfd >= 0 && out->hostfd >= 0 && !in->ops->read && !out->ops->write &&
	       !out->count_output && !out->inherited;
}

int sys_off_read(struct task *t, uint64_t addr, off_t *off)
{
	*off = -1;
	if (!addr)
		return 0;
	if (gmem_read(t->proc->mm, off, gptr_at(addr), sizeof(*off)))
		return -EFAULT;
	return *off < 0 ? -EINVAL : 0;
}

int sys_off_write(struct task *t, uint64_t addr, off_t off)
{
	return addr ? gmem_write(t->proc->mm, gptr_at(addr), &off, sizeof(off)) : 0;
}

/* Copies through the sentry's memory until count bytes, the end of in, or an error. Offsets
 * advance; -1 stands for the file's position. */
static ssize_t copy_slow(struct task *t, struct file *in, off_t *in_off, struct file *out,
			 off_t *out_off, size_t count)
{
	cleanup_free char *buf = malloc(COPY_CHUNK);
	size_t done = 0;

	if (!buf)
		return -ENOMEM;
	while (done < count) {
		struct iovec iov = {buf, MIN(count - done, (size_t)COPY_CHUNK)};
		ssize_t got = file_read(t, in, &iov, 1, *in_off), put = 0;

		if (got <= 0)
			return done ? (ssize_t)done : got;
		iov.iov_len = (size_t)got;
		put = file_write(t, out, &iov, 1, *out_off);
		if (*out_off >= 0)
			*out_off += put > 0 ? put : 0;
		if (*in_off >= 0)
			*in_off += put > 0 ? put : 0;
		else if (put < got)
			file_seek(t, in, (put > 0 ? put : 0) - got, SEEK_CUR);
		if (put < 0)
			return done ? (ssize_t)done : put;
		done += (size_t)put;
		if (put < got || task_pending(t))
			break;
	}
	return (ssize_t)done;
}

long sys_sendfile(struct task *t, struct sysargs *a)
{
	struct file *out = a->file[0], *in = a->file[1];
	size_t count = MIN(a->raw[3], SYS_RW_MAX);
	off_t off, at_pos = -1;
	struct file_out o;
	ssize_t r;

	if (!in || !out || !file_can_read(in) || !file_can_write(out))
		return -EBADF;
	if (out->flags & O_APPEND)
		return -EINVAL;
	if (in->kind == POL_FD_PIPE || in->kind == POL_FD_SOCKET || in->kind == POL_FD_TTY ||
	    in->kind == POL_FD_EVENT)
		return a->raw[2] ? -ESPIPE : -EINVAL;
	r = sys_off_read(t, a->raw[2], &off);
	if (r)
		return r;
	if (on_host(in, out)) {
		r = file_out_begin(t, out, -1, count, &o);
		if (r)
			return r;
		r = task_host_call(t, SYS_sendfile, out->hostfd, in->hostfd,
				   off < 0 ? 0 : (long)&off, (long)o.room, 0, 0);
		file_out_end(t, out, &o, r);
		if (r > 0)
			notify_file(in, IN_ACCESS);
	} else {
		r = copy_slow(t, in, &off, out, &at_pos, count);
	}
	if (r >= 0 && sys_off_write(t, a->raw[2], off))
		return -EFAULT;
	return r;
}

/* One side of copy_file_range: off is explicit, moves tells that it is the file's position. */
struct range_end {
	struct file *f;
	off_t off;
	bool moves;
};

static int range_begin(struct task *t, struct range_end *e)
{
	e->moves = e->off < 0;
	if (e->moves)
		e->off = file_seek(t, e->f, 0, SEEK_CUR);
	return e->off < 0 ? (int)e->off : 0;
}

/* How much of count there is to copy: 0 at the end of in. -EINVAL when a file would be copied over
 * itself. */
static ssize_t range_check(struct task *t, const struct range_end *in, const struct range_end *out,
			   size_t count)
{
	off_t in_end, out_end;
	struct statx st;
	int r;

	if (add_overflow(in->off, (off_t)count, &in_end) ||
	    add_overflow(out->off, (off_t)count, &out_end))
		return -EOVERFLOW;
	r = file_fstat(t, in->f, &st);
	if (r)
		return r;
	if ((uint64_t)in->off >= st.stx_size)
		return 0;
	count = MIN(count, (size_t)(st.stx_size - (uint64_t)in->off));
	if (in->f->node && in->f->node == out->f->node && out->off < in->off + (off_t)count &&
	    in->off < out->off + (off_t)count)
		return -EINVAL;
	return (ssize_t)count;
}

/* copy_file_range where the host cannot do it alone. Offsets advance; -1: the file's position. */
static ssize_t copy_range(struct task *t, struct file *in_file, off_t *in_off,
			  struct file *out_file, off_t *out_off, size_t count)
{
	struct range_end in = {.f = in_file, .off = *in_off};
	struct range_end out = {.f = out_file, .off = *out_off};
	ssize_t r = range_begin(t, &in);

	if (!r)
		r = range_begin(t, &out);
	if (!r)
		r = range_check(t, &in, &out, count);
	if (r > 0)
		r = copy_slow(t, in.f, &in.off, out.f, &out.off, (size_t)r);
	if (r <= 0)
		return r;
	if (in.moves)
		file_seek(t, in.f, in.off, SEEK_SET);
	else
		*in_off = in.off;
	if (out.moves)
		file_seek(t, out.f, out.off, SEEK_SET);
	else
		*out_off = out.off;
	return r;
}

static bool off_wraps(const struct sysargs *a, int arg, off_t off)
{
	return a->raw[arg] && (uint64_t)off + a->raw[4] < (uint64_t)off;
}

static int check_copy(const struct file *in, const struct file *out, off_t in_off, off_t out_off,
		      const struct sysargs *a)
{
	if (a->raw[5])
		return -EINVAL;
	if (in->kind == POL_FD_DIR || out->kind == POL_FD_DIR)
		return -EISDIR;
	if (in->kind != POL_FD_FILE || out->kind != POL_FD_FILE)
		return -EINVAL;
	if (!file_can_read(in) || !file_can_write(out) || out->flags & O_APPEND)
		return -EBADF;
	if (off_wraps(a, 1, in_off) || off_wraps(a, 3, out_off))
		return -EOVERFLOW;
	return (a->raw[1] && in_off < 0) || (a->raw[3] && out_off < 0) ? -EINVAL : 0;
}

static ssize_t copy_on_host(struct task *t, struct file *in, off_t *in_off, struct file *out,
			    off_t *out_off, size_t count)
{
	struct file_out o;
	ssize_t r = file_out_begin(t, out, *out_off, count, &o);

	if (r)
		return r;
	r = file_host_call(t, in, SYS_copy_file_range, *in_off < 0 ? 0 : (long)in_off, out->hostfd,
			   *out_off < 0 ? 0 : (long)out_off, (long)o.room, 0);
	file_out_end(t, out, &o, r);
	if (r > 0)
		notify_file(in, IN_ACCESS);
	return r;
}

long sys_copy_file_range(struct task *t, struct sysargs *a)
{
	struct file *in = a->file[0], *out = a->file[2];
	size_t count = MIN(a->raw[4], SYS_RW_MAX);
	off_t in_off, out_off;
	long r;

	if (!in || !out || (in->flags | out->flags) & O_PATH)
		return -EBADF;
	if (sys_off_read(t, a->raw[1], &in_off) == -EFAULT ||
	    sys_off_read(t, a->raw[3], &out_off) == -EFAULT)
		return -EFAULT;
	r = check_copy(in, out, in_off, out_off, a);
	if (r)
		return r;
	r = on_host(in, out) ? copy_on_host(t, in, &in_off, out, &out_off, count)
			     : copy_range(t, in, &in_off, out, &out_off, count);
	if (r >= 0 && (sys_off_write(t, a->raw[1], in_off) || sys_off_write(t, a->raw[3], out_off)))
		return -EFAULT;
	return r;
}

long sys_fadvise64(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];

	if (!f || f->flags & O_PATH)
		return -EBADF;
	if (f->kind == POL_FD_PIPE || f->kind == POL_FD_SOCKET)
		return -ESPIPE;
	if ((int64_t)a->raw[2] < 0 || A_UINT(a, 3) > POSIX_FADV_NOREUSE)
		return -EINVAL;
	/* posix_fadvise returns its error. */
	return f->hostfd < 0
		   ? 0
		   : -posix_fadvise(f->hostfd, (off_t)a->raw[1], (off_t)a->raw[2], A_INT(a, 3));
}

long sys_readahead(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];

	if (!f || !file_can_read(f))
		return -EBADF;
	if (f->kind != POL_FD_FILE)
		return -EINVAL;
	return f->hostfd < 0 || !readahead(f->hostfd, (off_t)a->raw[1], a->raw[2]) ? 0 : -errno;
}
