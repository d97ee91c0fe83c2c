/* Copies between descriptors without the app's memory, and advice. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/signal.h"
#include "sentry/sys_file.h"

#define COPY_CHUNK (64u << 10)

/* Can the host copy between the two by itself? */
static bool on_host(const struct file *in, const struct file *out)
{
	return in->hostfd >= 0 && out->hostfd >= 0 && !in->ops->read && !out->ops->write &&
	       !out->count_output && !out->inherited;
}

/* An off_t of the app's behind a pointer that may be NULL: then *off is -1. */
static int read_off(struct task *t, uint64_t addr, off_t *off)
{
	*off = -1;
	if (!addr)
		return 0;
	if (gmem_read(t->proc->mm, off, gptr_at(addr), sizeof(*off)))
		return -EFAULT;
	return *off < 0 ? -EINVAL : 0;
}

static int write_off(struct task *t, uint64_t addr, off_t off)
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
		if (put < got)
			break;
	}
	return (ssize_t)done;
}

long sys_sendfile(struct task *t, struct sysargs *a)
{
	struct file *out = a->file[0], *in = a->file[1];
	size_t count = MIN(a->raw[3], SYS_RW_MAX);
	off_t off, at_pos = -1;
	ssize_t r;

	if (!in || !out || !file_can_read(in) || !file_can_write(out))
		return -EBADF;
	if (out->flags & O_APPEND)
		return -EINVAL;
	if (in->kind == POL_FD_PIPE || in->kind == POL_FD_SOCKET || in->kind == POL_FD_TTY ||
	    in->kind == POL_FD_EVENT)
		return a->raw[2] ? -ESPIPE : -EINVAL;
	r = read_off(t, a->raw[2], &off);
	if (r)
		return r;
	if (on_host(in, out)) {
		r = task_host_call(t, SYS_sendfile, out->hostfd, in->hostfd,
				   off < 0 ? 0 : (long)&off, (long)count, 0, 0);
		if (r == -EPIPE)
			signal_raise(t, SIGPIPE);
	} else {
		r = copy_slow(t, in, &off, out, &at_pos, count);
	}
	if (r >= 0 && write_off(t, a->raw[2], off))
		return -EFAULT;
	return r;
}

long sys_copy_file_range(struct task *t, struct sysargs *a)
{
	struct file *in = a->file[0], *out = a->file[2];
	size_t count = MIN(a->raw[4], SYS_RW_MAX);
	off_t in_off, out_off;
	long r;

	if (a->raw[5])
		return -EINVAL;
	if (!in || !out || !file_can_read(in) || !file_can_write(out) || out->flags & O_APPEND)
		return -EBADF;
	r = read_off(t, a->raw[1], &in_off);
	if (!r)
		r = read_off(t, a->raw[3], &out_off);
	if (r)
		return r;
	if (in->kind == POL_FD_DIR || out->kind == POL_FD_DIR)
		return -EISDIR;
	if (in->kind != POL_FD_FILE || out->kind != POL_FD_FILE)
		return -EINVAL;
	if (on_host(in, out))
		r = file_host_call(t, in, SYS_copy_file_range, in_off < 0 ? 0 : (long)&in_off,
				   out->hostfd, out_off < 0 ? 0 : (long)&out_off, (long)count, 0);
	else if (in->node && in->node == out->node)
		return -EXDEV; /* the ranges may overlap: callers copy by themselves then */
	else
		r = copy_slow(t, in, &in_off, out, &out_off, count);
	if (r >= 0 && (write_off(t, a->raw[1], in_off) || write_off(t, a->raw[3], out_off)))
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
