/* signalfd over the sentry's own signal queues. The host descriptor is an eventfd that is poked
 * when a signal of the mask is queued, so that poll and epoll see it; reading takes the signals off
 * the queues. A poke can outlive its signal (another thread took it): then reading says EAGAIN or
 * waits. */
#include "sentry/signalfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/list.h"
#include "base/overflow.h"
#include "sentry/signal.h"
#include "sentry/sys.h"

struct sigfd {
	struct list node;
	_Atomic uint64_t mask;
	int hostfd;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list sigfds = LIST_INIT(sigfds);
static _Atomic unsigned nr_sigfds;

static void poke(const struct sigfd *s)
{
	(void)!write(s->hostfd, &(uint64_t){1}, sizeof(uint64_t));
}

void signalfd_notify(int sig)
{
	struct sigfd *s;

	if (!nr_sigfds)
		return;
	pthread_mutex_lock(&lock);
	list_for_each (s, &sigfds, node)
		if (atomic_load(&s->mask) & sig_bit(sig))
			poke(s);
	pthread_mutex_unlock(&lock);
}

static bool any_pending(const struct task *t, uint64_t mask)
{
	return (atomic_load(&t->sig->pending.set) | atomic_load(&t->proc->sighand->shared.set)) &
	       mask;
}

/* ---- reading ---- */

static void fill_sender(struct signalfd_siginfo *o, const siginfo_t *i)
{
	o->ssi_pid = i->si_pid;
	o->ssi_uid = i->si_uid;
	if (i->si_code == SI_USER || i->si_code == SI_TKILL)
		return;
	o->ssi_int = i->si_int;
	o->ssi_ptr = (uintptr_t)i->si_ptr;
}

static void convert(struct signalfd_siginfo *o, const siginfo_t *i)
{
	memset(o, 0, sizeof(*o));
	o->ssi_signo = i->si_signo;
	o->ssi_errno = i->si_errno;
	o->ssi_code = i->si_code;
	if (i->si_code == SI_TIMER) {
		o->ssi_tid = i->si_timerid;
		o->ssi_overrun = i->si_overrun;
		o->ssi_int = i->si_int;
		o->ssi_ptr = (uintptr_t)i->si_ptr;
	} else if (i->si_code <= 0) {
		fill_sender(o, i);
	} else if (i->si_signo == SIGCHLD) {
		o->ssi_pid = i->si_pid;
		o->ssi_uid = i->si_uid;
		o->ssi_status = i->si_status;
		o->ssi_utime = i->si_utime;
		o->ssi_stime = i->si_stime;
	} else if (i->si_signo == SIGSEGV || i->si_signo == SIGBUS || i->si_signo == SIGFPE ||
		   i->si_signo == SIGILL || i->si_signo == SIGTRAP) {
		o->ssi_addr = (uintptr_t)i->si_addr;
	}
}

/* Forgets pokes. The host descriptor may block: only what poll has seen is read, under f->lock. */
static void settle(struct file *f)
{
	struct pollfd p = {.fd = f->hostfd, .events = POLLIN};

	pthread_mutex_lock(&f->lock);
	if (poll(&p, 1, 0) == 1)
		(void)!read(f->hostfd, &(uint64_t){0}, sizeof(uint64_t));
	pthread_mutex_unlock(&f->lock);
}

/* Copies n bytes to position at of the iovecs, which have room for them. */
static void scatter(const struct iovec *iov, size_t at, const void *from, size_t n)
{
	for (; n; iov++) {
		size_t k;

		if (at >= iov->iov_len) {
			at -= iov->iov_len;
			continue;
		}
		k = MIN(n, iov->iov_len - at);
		memcpy((char *)iov->iov_base + at, from, k);
		from = (const char *)from + k;
		n -= k;
		at = 0;
	}
}

/* Takes what is queued now, as much as fits in room bytes. Bytes stored. */
static size_t take(struct task *t, const struct sigfd *s, const struct iovec *iov, size_t room)
{
	uint64_t mask = atomic_load(&s->mask);
	struct signalfd_siginfo out;
	siginfo_t info;
	size_t done = 0;

	while (room - done >= sizeof(out) && signal_dequeue(t, mask, &info)) {
		convert(&out, &info);
		scatter(iov, done, &out, sizeof(out));
		done += sizeof(out);
	}
	return done;
}

static ssize_t sigfd_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	const struct sigfd *s = f->priv;
	struct pollfd p = {.fd = f->hostfd, .events = POLLIN};
	size_t room = 0, done;
	long r;

	if (off >= 0)
		return -ESPIPE;
	for (int i = 0; i < n; i++)
		room += iov[i].iov_len;
	if (room < sizeof(struct signalfd_siginfo))
		return -EINVAL;
	for (;;) {
		settle(f);
		done = take(t, s, iov, room);
		if (any_pending(t, atomic_load(&s->mask)))
			poke(s);
		if (done)
			return done;
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		r = task_host_call(t, SYS_ppoll, (long)&p, 1, 0, 0, 0, 0);
		if (r < 0)
			return r;
	}
}

static void sigfd_release(struct file *f)
{
	struct sigfd *s = f->priv;

	pthread_mutex_lock(&lock);
	list_del(&s->node);
	nr_sigfds--;
	pthread_mutex_unlock(&lock);
	free(s);
	f->priv = NULL;
}

static ssize_t sigfd_write(struct task *t, struct file *f, const struct iovec *iov, int n,
			   off_t off)
{
	return -EINVAL;
}

static const struct file_ops sigfd_ops = {
	.read = sigfd_read,
	.write = sigfd_write,
	.release = sigfd_release,
	.link = "anon_inode:[signalfd]",
};

/* ---- calls ---- */

static long create(struct task *t, uint64_t mask, unsigned flags)
{
	struct sigfd *s = calloc(1, sizeof(*s));
	struct file *f;

	if (!s)
		return -ENOMEM;
	s->hostfd = eventfd(0, EFD_CLOEXEC);
	if (s->hostfd < 0) {
		free(s);
		return -errno;
	}
	s->mask = mask;
	f = file_new(&sigfd_ops, s->hostfd, O_RDWR | (flags & O_NONBLOCK), POL_FD_EVENT);
	if (!f) {
		free(s);
		return -ENOMEM;
	}
	f->priv = s;
	pthread_mutex_lock(&lock);
	list_append(&sigfds, &s->node);
	nr_sigfds++;
	pthread_mutex_unlock(&lock);
	if (any_pending(t, mask))
		poke(s);
	return fdtab_install(t->proc->fdtab, f, 0, flags & SFD_CLOEXEC);
}

static long do_signalfd(struct task *t, struct sysargs *a, unsigned flags)
{
	struct sigfd *s;
	uint64_t mask;

	if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK) || a->raw[2] != sizeof(mask))
		return -EINVAL;
	if (gmem_read(t->proc->mm, &mask, A_PTR(a, 1), sizeof(mask)))
		return -EFAULT;
	mask &= ~SIGNAL_UNBLOCKABLE;
	if (A_INT(a, 0) == -1)
		return create(t, mask, flags);
	if (!a->file[0])
		return -EBADF;
	if (a->file[0]->ops != &sigfd_ops)
		return -EINVAL;
	s = a->file[0]->priv;
	atomic_store(&s->mask, mask);
	settle(a->file[0]);
	if (any_pending(t, mask))
		poke(s);
	return A_INT(a, 0);
}

long sys_signalfd(struct task *t, struct sysargs *a)
{
	return do_signalfd(t, a, 0);
}

long sys_signalfd4(struct task *t, struct sysargs *a)
{
	return do_signalfd(t, a, A_UINT(a, 3));
}
