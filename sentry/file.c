/* Open file descriptions: references, reading and writing. */
#include "sentry/file.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/async.h"
#include "sentry/filelock.h"
#include "sentry/job.h"
#include "sentry/notify.h"
#include "sentry/ready.h"
#include "sentry/signal.h"
#include "sentry/task.h"
#include "sentry/vfs.h"

const struct file_ops file_host_ops;

struct file *file_new(const struct file_ops *ops, int hostfd, unsigned flags, enum pol_fdkind kind)
{
	struct file *f = calloc(1, sizeof(*f));

	if (!f) {
		if (hostfd >= 0)
			close(hostfd);
		return NULL;
	}
	atomic_init(&f->refs, 1);
	atomic_init(&f->flags, flags);
	f->ops = ops;
	f->hostfd = hostfd;
	f->kind = kind;
	f->verbs = POL_V_ALL;
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

struct file *file_get(struct file *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

void file_put(struct file *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	if (f->watched)
		epoll_forget(f);
	notify_file(f, file_can_write(f) ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
	if (f->async)
		async_forget(f);
	if (f->lockfd)
		filelock_flock_end(f);
	if (f->ops->release)
		f->ops->release(f);
	if (f->hostfd >= 0 && !f->node_fd)
		close(f->hostfd);
	vnode_put(f->node);
	pthread_mutex_destroy(&f->lock);
	free(f->path);
	free(f);
}

enum pol_fdkind file_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFLNK:
		return POL_FD_FILE;
	case S_IFDIR:
		return POL_FD_DIR;
	case S_IFIFO:
		return POL_FD_PIPE;
	case S_IFSOCK:
		return POL_FD_SOCKET;
	default:
		return POL_FD_DEVICE;
	}
}

struct file *file_inherit(int hostfd)
{
	struct file *f;
	struct stat st;
	int fd, flags;

	flags = fcntl(hostfd, F_GETFL);
	if (flags < 0 || fstat(hostfd, &st))
		return NULL;
	fd = fcntl(hostfd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return NULL;
	f = file_new(&file_host_ops, fd, (unsigned)flags,
		     isatty(fd) ? POL_FD_TTY : file_kind(st.st_mode));
	if (!f)
		return NULL;
	f->inherited = true;
	f->count_output = hostfd == 1 || hostfd == 2;
	return f;
}

size_t file_iov_total(const struct iovec *iov, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		if (add_overflow(total, iov[i].iov_len, &total))
			return SIZE_MAX;
	return total;
}

int file_iov_clip(const struct iovec *iov, int n, size_t max, struct iovec *out)
{
	int i;

	for (i = 0; i < n && max; i++) {
		out[i] = iov[i];
		out[i].iov_len = MIN(iov[i].iov_len, max);
		max -= out[i].iov_len;
	}
	return i;
}

ssize_t file_iov_put(const struct iovec *iov, int n, const void *from, size_t len)
{
	const struct iovec src = {(void *)from, len};
	ssize_t r = process_vm_readv(getpid(), iov, (unsigned long)n, &src, 1, 0);

	return r == (ssize_t)len ? r : -EFAULT;
}

/* O_NONBLOCK set by the app on a description that the host shares: the host's flag stays as it is,
 * so readiness is asked first. 0 to go on, or -EAGAIN. */
int file_inherited_ready(const struct file *f, short events)
{
	struct pollfd p = {.fd = f->hostfd, .events = events};

	if (!f->inherited || !(f->flags & O_NONBLOCK) || f->kind == POL_FD_FILE)
		return 0;
	return poll(&p, 1, 0) == 0 ? -EAGAIN : 0;
}

long file_host_call(struct task *t, const struct file *f, long nr, long a1, long a2, long a3,
		    long a4, long a5)
{
	long r;

	if (f->hostfd < 0)
		return -EINVAL;
	r = task_host_call(t, nr, f->hostfd, a1, a2, a3, a4, a5);
	/* On Linux no signal interrupts the input and output of regular files. */
	if (r == -ERESTARTSYS && (f->kind == POL_FD_FILE || f->kind == POL_FD_DIR))
		r = -ERESTARTNOINTR;
	return r;
}

static ssize_t host_io_once(struct task *t, long plain, long at, struct file *f,
			    const struct iovec *iov, int n, off_t off, int flags)
{
	if (flags || off >= 0)
		/* The position goes in two halves; the upper one is always 0 on 64-bit hosts. An
		 * offset of -1 means the file position. */
		return file_host_call(t, f, at, (long)iov, n, off, 0, flags);
	if (n == 1)
		return file_host_call(t, f, plain == SYS_readv ? SYS_read : SYS_write,
				      (long)iov[0].iov_base, (long)iov[0].iov_len, 0, 0, 0);
	return file_host_call(t, f, plain, (long)iov, n, 0, 0, 0);
}

static ssize_t host_io(struct task *t, long plain, long at, struct file *f, const struct iovec *iov,
		       int n, off_t off, int flags)
{
	struct pollfd p = {.fd = f->hostfd, .events = plain == SYS_readv ? POLLIN : POLLOUT};
	ssize_t r;

	for (;;) {
		r = host_io_once(t, plain, at, f, iov, n, off, flags);
		/* Whoever shares the description made it non-blocking; the app wants to wait. */
		if (r != -EAGAIN || !f->inherited || f->flags & O_NONBLOCK || flags & RWF_NOWAIT)
			return r;
		r = task_host_call(t, SYS_poll, (long)&p, 1, -1, 0, 0, 0);
		if (r < 0)
			return r;
	}
}

static ssize_t read_any(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off,
			int flags)
{
	int r;

	if (f->ops->read)
		return flags ? -EOPNOTSUPP : f->ops->read(t, f, iov, n, off);
	r = f->kind == POL_FD_TTY ? job_terminal_access(t, &job_host_tty, SIGTTIN) : 0;
	if (!r)
		r = file_inherited_ready(f, POLLIN);
	if (r)
		return r;
	return host_io(t, SYS_readv, SYS_preadv2, f, iov, n, off, flags);
}

ssize_t file_read_flags(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off,
			int flags)
{
	ssize_t r;

	if (!file_can_read(f))
		return -EBADF;
	r = read_any(t, f, iov, n, off, flags);
	if (r > 0)
		notify_file(f, IN_ACCESS);
	return r;
}

ssize_t file_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	return file_read_flags(t, f, iov, n, off, 0);
}

/* With the sentry's own files there is nothing to wait for and nothing to sync. */
static ssize_t write_own(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off,
			 int flags)
{
	if (f->kind == POL_FD_FILE)
		flags &= ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC);
	if (f->kind == POL_FD_FILE && flags == RWF_APPEND) {
		flags = 0;
		off = off < 0 ? FILE_AT_END_MOVE : FILE_AT_END;
	}
	return flags ? -EOPNOTSUPP : f->ops->write(t, f, iov, n, off);
}

static ssize_t write_any(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off,
			 int flags)
{
	struct iovec cut[GMEM_IOV_MAX];
	ssize_t r;

	if (f->ops->write)
		return write_own(t, f, iov, n, off, flags);
	r = file_inherited_ready(f, POLLOUT);
	if (r)
		return r;
	if (f->inherited && (f->flags & O_NONBLOCK) && f->kind != POL_FD_FILE) {
		/* A pipe that polls writable takes PIPE_BUF bytes without blocking. */
		n = file_iov_clip(iov, MIN(n, GMEM_IOV_MAX), PIPE_BUF, cut);
		iov = cut;
	}
	if (f->inherited && f->flags & O_APPEND && f->kind == POL_FD_FILE)
		flags |= RWF_APPEND; /* set by the app: the host's flag is left alone */
	return host_io(t, SYS_writev, SYS_pwritev2, f, iov, n, off, flags);
}

/* RLIMIT_FSIZE: what of want bytes may be written at off of a regular file. -EFBIG, with SIGXFSZ,
 * when nothing may. */
static ssize_t fsize_room(struct task *t, struct file *f, off_t off, size_t want)
{
	rlim_t limit = t->proc->rlim[RLIMIT_FSIZE].rlim_cur;
	struct statx st;
	off_t pos = off;

	if (limit == RLIM_INFINITY || f->kind != POL_FD_FILE || !want)
		return (ssize_t)want;
	if (f->flags & O_APPEND)
		pos = file_fstat(t, f, &st) ? -1 : (off_t)st.stx_size;
	else if (off < 0)
		pos = file_seek(t, f, 0, SEEK_CUR);
	if (pos < 0)
		return (ssize_t)want;
	if ((rlim_t)pos >= limit) {
		signal_raise(t, SIGXFSZ);
		return -EFBIG;
	}
	return (ssize_t)MIN((rlim_t)want, limit - (rlim_t)pos);
}

int file_out_begin(struct task *t, struct file *f, off_t off, size_t want, struct file_out *o)
{
	uint64_t limit = sandbox.config.limit_output, before;
	ssize_t r = fsize_room(t, f, off, want);

	if (r < 0)
		return (int)r;
	o->want = o->room = (size_t)r;
	if (!f->count_output)
		return 0;
	before = atomic_fetch_add(&sandbox.output_bytes, o->want);
	if (limit && (before >= limit || o->want > limit - before))
		o->room = before < limit ? (size_t)(limit - before) : 0;
	return 0;
}

void file_out_end(struct task *t, struct file *f, const struct file_out *o, ssize_t r)
{
	if (f->count_output)
		atomic_fetch_sub(&sandbox.output_bytes, o->want - (r > 0 ? (size_t)r : 0));
	if (o->want > o->room && r >= 0 && (size_t)r == o->room)
		sandbox_end(128 + SIGKILL, "output limit");
	if (r > 0)
		notify_file(f, IN_MODIFY);
	/* Sockets decide for themselves (MSG_NOSIGNAL); their write() comes through here too. */
	if (r == -EPIPE)
		signal_raise(t, SIGPIPE);
}

int file_check_size(struct task *t, off_t size)
{
	if ((rlim_t)size <= t->proc->rlim[RLIMIT_FSIZE].rlim_cur)
		return 0;
	signal_raise(t, SIGXFSZ);
	return -EFBIG;
}

ssize_t file_write_flags(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off,
			 int flags)
{
	size_t want = file_iov_total(iov, n);
	struct iovec cut[GMEM_IOV_MAX];
	struct file_out o;
	ssize_t r;

	if (!file_can_write(f))
		return -EBADF;
	r = file_out_begin(t, f, off, want, &o);
	if (r < 0)
		return r;
	if (o.room < want) {
		n = file_iov_clip(iov, MIN(n, GMEM_IOV_MAX), o.room, cut);
		iov = cut;
	}
	if (o.room || !o.want)
		r = write_any(t, f, iov, n, off, flags);
	file_out_end(t, f, &o, r);
	return r;
}

ssize_t file_write(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	return file_write_flags(t, f, iov, n, off, 0);
}

int file_fstat(struct task *t, struct file *f, struct statx *st)
{
	memset(st, 0, sizeof(*st));
	if (f->ops->fstat)
		return f->ops->fstat(t, f, st);
	if (f->hostfd < 0)
		return f->node ? vfs_getattr(t, f->node, st) : -EBADF;
	if (statx(f->hostfd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, st))
		return -errno;
	vfs_ids_to_app(st);
	return 0;
}

off_t file_seek(struct task *t, struct file *f, off_t off, int whence)
{
	off_t r;

	if (f->flags & O_PATH)
		return -EBADF;
	if (f->ops->seek)
		return f->ops->seek(t, f, off, whence);
	if (f->hostfd < 0)
		return -ESPIPE;
	r = lseek(f->hostfd, off, whence);
	return r < 0 ? -errno : r;
}
