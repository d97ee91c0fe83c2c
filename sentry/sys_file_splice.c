/* splice, tee, vmsplice. The host moves the pages; the sentry sees to limits, to what has no host
 * descriptor, and to pipes that sbx shares with the host. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/job.h"
#include "sentry/net.h"
#include "sentry/notify.h"
#include "sentry/signal.h"
#include "sentry/sys_file.h"

#define FLAGS_ALL (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)
#define PAGE	  4096u
#define GIFT_MAX  256u /* pages of one vmsplice: as many as an unprivileged pipe can hold */
#define IOV_COUNT 1024u

struct splice {
	struct task *t;
	struct file *in, *out;
	off_t in_off, out_off; /* -1: the file's position */
	size_t len;
	unsigned flags;
};

static bool is_pipe(const struct file *f)
{
	return f->kind == POL_FD_PIPE && f->hostfd >= 0;
}

static bool is_stream(const struct file *f)
{
	return f->kind != POL_FD_FILE && f->kind != POL_FD_DEVICE && f->kind != POL_FD_DIR;
}

/* Does the app want to wait where the host would not, since others made a shared description
 * non-blocking? */
static bool waits_here(const struct splice *s)
{
	if (s->flags & SPLICE_F_NONBLOCK)
		return false;
	return (s->in->inherited && !(s->in->flags & O_NONBLOCK)) ||
	       (s->out->inherited && !(s->out->flags & O_NONBLOCK));
}

/* Waits until f is ready for events. 0 or -errno. */
static int wait_ready(struct task *t, const struct file *f, short events)
{
	struct pollfd p = {.fd = f->hostfd, .events = events};
	long r = task_host_call(t, SYS_poll, (long)&p, 1, -1, 0, 0, 0);

	return r < 0 ? (int)r : 0;
}

static int wait_both(const struct splice *s)
{
	int r = wait_ready(s->t, s->in, POLLIN);

	return r ? r : wait_ready(s->t, s->out, POLLOUT);
}

/* ---- between host descriptors ---- */

static ssize_t host_once(struct splice *s, long nr, size_t len, unsigned flags)
{
	if (nr == SYS_tee)
		return task_host_call(s->t, nr, s->in->hostfd, s->out->hostfd, (long)len, flags, 0,
				      0);
	return task_host_call(s->t, nr, s->in->hostfd, s->in_off < 0 ? 0 : (long)&s->in_off,
			      s->out->hostfd, s->out_off < 0 ? 0 : (long)&s->out_off, (long)len,
			      flags);
}

/* What the terminal and the app's own O_NONBLOCK on a shared description say first. */
static int check_shared(struct splice *s)
{
	int r = s->in->kind == POL_FD_TTY ? job_terminal_access(s->t, &job_host_tty, SIGTTIN) : 0;

	if (!r)
		r = file_inherited_ready(s->in, POLLIN);
	return r ? r : file_inherited_ready(s->out, POLLOUT);
}

static ssize_t on_host(struct splice *s, long nr)
{
	struct file_out o;
	ssize_t r;

	r = check_shared(s);
	if (!r)
		r = file_out_begin(s->t, s->out, s->out_off, s->len, &o);
	if (r)
		return r;
	while (o.room) {
		r = host_once(s, nr, o.room, s->flags);
		if (r != -EAGAIN || !waits_here(s))
			break;
		r = wait_both(s);
		if (r)
			break;
	}
	file_out_end(s->t, s->out, &o, r);
	if (r > 0)
		notify_file(s->in, IN_ACCESS);
	if (r > 0 && net_sock(s->in) && net_sock(s->in)->domain == AF_UNIX)
		net_rights_sweep();
	return r;
}

/* ---- with a file of the sentry ---- */

/* From a pipe into a file whose growth the sentry counts. */
static ssize_t into_counted(struct splice *s)
{
	int have, fd = s->in->hostfd;
	struct file_out o;
	ssize_t r;

	for (;;) {
		if (ioctl(fd, FIONREAD, &have))
			return -errno;
		r = file_out_begin(s->t, s->out, s->out_off,
				   MIN(s->len, (size_t)MAX(have, (int)PAGE)), &o);
		if (r)
			return r;
		r = s->out->ops->from_pipe(s->t, s->out, fd, o.room, s->out_off);
		file_out_end(s->t, s->out, &o, r);
		if (r != -EAGAIN || (s->flags | s->in->flags) & (SPLICE_F_NONBLOCK | O_NONBLOCK))
			break;
		r = wait_ready(s->t, s->in, POLLIN);
		if (r)
			return r;
	}
	if (r > 0 && s->out_off >= 0)
		s->out_off += r;
	return r;
}

/* Text that the sentry makes (/proc) into a pipe: a page at a time, which a writable pipe takes. */
static ssize_t from_text(struct splice *s)
{
	struct pollfd p = {.fd = s->out->hostfd, .events = POLLOUT};
	char buf[PAGE];
	struct iovec iov = {buf, MIN(s->len, sizeof(buf))};
	ssize_t r, put;

	if ((s->flags & SPLICE_F_NONBLOCK || s->out->flags & O_NONBLOCK) && !poll(&p, 1, 0))
		return -EAGAIN;
	r = wait_ready(s->t, s->out, POLLOUT);
	if (!r)
		r = file_read(s->t, s->in, &iov, 1, s->in_off);
	if (r <= 0)
		return r;
	iov.iov_len = (size_t)r;
	put = file_write(s->t, s->out, &iov, 1, -1);
	if (s->in_off >= 0)
		s->in_off += MAX(put, 0);
	else if (put < r)
		file_seek(s->t, s->in, MAX(put, 0) - r, SEEK_CUR);
	return put;
}

/* Waits for f as the app wants it: -EAGAIN without waiting. What poll told, or -errno. */
static int ready(struct splice *s, const struct file *f, short events)
{
	struct pollfd p = {.fd = f->hostfd, .events = events};
	bool wait = !(s->flags & SPLICE_F_NONBLOCK) && !(f->flags & O_NONBLOCK);
	long r = task_host_call(s->t, SYS_poll, (long)&p, 1, wait ? -1 : 0, 0, 0, 0);

	return r < 0 ? (int)r : r ? p.revents : -EAGAIN;
}

/* Would a message be taken now? A unix socket takes some well after poll has stopped saying so. */
static bool has_room(const struct file *f)
{
	int queued = 0, size = 0;
	socklen_t len = sizeof(size);

	return !ioctl(f->hostfd, TIOCOUTQ, &queued) &&
	       !getsockopt(f->hostfd, SOL_SOCKET, SO_SNDBUF, &size, &len) && queued < size;
}

/* From a pipe into a socket whose messages the sentry makes: what it takes at once when it is ready. */
static ssize_t into_socket(struct splice *s)
{
	char buf[PAGE];
	struct pollfd p = {.fd = s->out->hostfd, .events = POLLOUT};
	struct iovec iov = {buf, MIN(s->len, sizeof(buf))};
	ssize_t r = ready(s, s->in, POLLIN);

	if (r >= 0 && has_room(s->out))
		r = poll(&p, 1, 0) > 0 ? p.revents : 0;
	else if (r >= 0)
		r = ready(s, s->out, POLLOUT);
	if (r >= 0 && r & (POLLHUP | POLLERR)) {
		signal_raise(s->t, SIGPIPE);
		return -EPIPE;
	}
	if (r >= 0)
		r = file_read(s->t, s->in, &iov, 1, -1);
	if (r <= 0)
		return r;
	iov.iov_len = (size_t)r;
	return file_write(s->t, s->out, &iov, 1, -1);
}

static ssize_t splice_any(struct splice *s)
{
	if (!is_pipe(s->in) && !is_pipe(s->out))
		return -EINVAL;
	if (s->out->flags & O_APPEND && !is_pipe(s->out))
		return -EINVAL;
	if (s->out->ops->from_pipe)
		return into_counted(s);
	if (s->in->kind == POL_FD_FILE && s->in->ops->read)
		return from_text(s);
	if (s->out->ops == &file_unix_ops)
		return s->out_off < 0 ? into_socket(s) : -EINVAL;
	if (s->in->hostfd < 0 || s->out->hostfd < 0 ||
	    (s->out->ops->write && !net_sock(s->out)) || (s->in->ops->read && !net_sock(s->in)))
		return -EINVAL;
	return on_host(s, SYS_splice);
}

/* ---- arguments ---- */

static int check_ends(const struct splice *s)
{
	if (!s->in || !s->out || (s->in->flags | s->out->flags) & O_PATH)
		return -EBADF;
	return 0;
}

static int read_offs(struct splice *s, const struct sysargs *a)
{
	int r;

	if ((is_pipe(s->in) && a->raw[1]) || (is_pipe(s->out) && a->raw[3]))
		return -ESPIPE;
	r = sys_off_read(s->t, a->raw[3], &s->out_off);
	if (r == -EFAULT)
		return r;
	if (sys_off_read(s->t, a->raw[1], &s->in_off) == -EFAULT)
		return -EFAULT;
	if (!file_can_read(s->in) || !file_can_write(s->out))
		return -EBADF;
	if ((a->raw[1] && s->in_off < 0) || (a->raw[3] && s->out_off < 0))
		return -EINVAL;
	if ((a->raw[1] && is_stream(s->in)) || (a->raw[3] && is_stream(s->out)))
		return -EINVAL;
	return 0;
}

long sys_splice(struct task *t, struct sysargs *a)
{
	struct splice s = {
		.t = t,
		.in = a->file[0],
		.out = a->file[2],
		.len = MIN(a->raw[4], SYS_RW_MAX),
		.flags = A_UINT(a, 5),
	};
	ssize_t r;

	if (!s.len)
		return 0;
	if (s.flags & ~(unsigned)FLAGS_ALL)
		return -EINVAL;
	r = check_ends(&s);
	if (!r)
		r = read_offs(&s, a);
	if (r)
		return r;
	r = splice_any(&s);
	if (r >= 0 && (sys_off_write(t, a->raw[1], s.in_off) || sys_off_write(t, a->raw[3], s.out_off)))
		return -EFAULT;
	return r;
}

long sys_tee(struct task *t, struct sysargs *a)
{
	struct splice s = {
		.t = t,
		.in = a->file[0],
		.out = a->file[1],
		.in_off = -1,
		.out_off = -1,
		.len = MIN(a->raw[2], SYS_RW_MAX),
		.flags = A_UINT(a, 3),
	};
	int r;

	if (s.flags & ~(unsigned)FLAGS_ALL)
		return -EINVAL;
	if (!s.len)
		return 0;
	r = check_ends(&s);
	if (r)
		return r;
	if (!file_can_read(s.in) || !file_can_write(s.out))
		return -EBADF;
	if (!is_pipe(s.in) || !is_pipe(s.out))
		return -EINVAL;
	return on_host(&s, SYS_tee);
}

/* ---- vmsplice ---- */

/* A copy of the app's pages, each where it lies in its page, so that they fill as much of the pipe as
 * the app's own would. The app's pages are not lent: what they hold later is nobody else's. */
struct gift {
	char *pages;
	size_t npages;
	struct iovec iov[GIFT_MAX];
	int n;
};

/* One piece inside one page. False when there is no room, or *err says why not. */
static bool gift_add(struct task *t, struct gift *g, uint64_t addr, size_t len, int *err)
{
	char *to = g->pages + g->npages * PAGE + addr % PAGE;

	if (g->npages == GIFT_MAX)
		return false;
	if (gmem_read(t->proc->mm, to, gptr_at(addr), len)) {
		*err = -EFAULT;
		return false;
	}
	g->npages++;
	g->iov[g->n++] = (struct iovec){to, len};
	return true;
}

static int gift_fill(struct task *t, struct gift *g, const struct iovec *iov, int n)
{
	int err = 0;

	for (int i = 0; i < n; i++) {
		uint64_t at = (uint64_t)iov[i].iov_base;

		for (size_t left = iov[i].iov_len, part; left; left -= part, at += part) {
			part = MIN(left, PAGE - at % PAGE);
			if (!gift_add(t, g, at, part, &err))
				return g->n ? 0 : err;
		}
	}
	return err;
}

static ssize_t to_pipe(struct splice *s, const struct iovec *iov, int n)
{
	const size_t size = GIFT_MAX * PAGE;
	struct gift g = {0};
	struct file_out o;
	ssize_t r;

	g.pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g.pages == MAP_FAILED)
		return -ENOMEM;
	r = gift_fill(s->t, &g, iov, n);
	if (!r)
		r = file_inherited_ready(s->out, POLLOUT);
	if (!r)
		r = file_out_begin(s->t, s->out, -1, file_iov_total(g.iov, g.n), &o);
	if (!r) {
		g.n = file_iov_clip(g.iov, g.n, o.room, g.iov);
		while (g.n) {
			r = task_host_call(s->t, SYS_vmsplice, s->out->hostfd, (long)g.iov, g.n,
					   s->flags & SPLICE_F_NONBLOCK, 0, 0);
			if (r != -EAGAIN || !waits_here(s))
				break;
			r = wait_ready(s->t, s->out, POLLOUT);
			if (r)
				break;
		}
		file_out_end(s->t, s->out, &o, r);
	}
	munmap(g.pages, size);
	return r;
}

static ssize_t from_pipe(struct splice *s, const struct iovec *iov, int n)
{
	struct gmem_pin pin;
	ssize_t r = gmem_pin_iov(s->t->proc->mm, iov, n, true, &pin);

	if (r)
		return r;
	r = file_inherited_ready(s->in, POLLIN);
	while (!r) {
		r = task_host_call(s->t, SYS_vmsplice, s->in->hostfd, (long)pin.iov, pin.niov,
				   s->flags, 0, 0);
		if (r != -EAGAIN || !waits_here(s))
			break;
		r = wait_ready(s->t, s->in, POLLIN);
	}
	gmem_unpin(&pin);
	return r;
}

long sys_vmsplice(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	struct splice s = {.t = t, .in = f, .out = f, .flags = A_UINT(a, 3)};
	struct iovec iov[IOV_COUNT];
	bool write;
	int r;

	if (s.flags & ~(unsigned)FLAGS_ALL)
		return -EINVAL;
	if (!f || (!file_can_read(f) && !file_can_write(f)))
		return -EBADF;
	write = file_can_write(f);
	if (a->raw[2] > IOV_COUNT)
		return -EINVAL;
	r = gmem_read_iov(t->proc->mm, A_PTR(a, 1), a->raw[2], iov);
	if (r < 0)
		return r;
	if (!file_iov_total(iov, (int)a->raw[2]))
		return 0;
	if (!is_pipe(f))
		return -EBADF;
	return write ? to_pipe(&s, iov, (int)a->raw[2]) : from_pipe(&s, iov, (int)a->raw[2]);
}
