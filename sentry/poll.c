/* poll, ppoll, select, pselect6 on host descriptors, and the timeouts of everything that waits. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/ready.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/vdso.h"

#define NSEC	  1000000000ull
#define SETS_MAX  65536 /* descriptors that select looks at */
#define WORD_BITS 64

#define SEL_IN	   (POLLIN | POLLRDNORM | POLLRDBAND)
#define SEL_OUT	   (POLLOUT | POLLWRNORM | POLLWRBAND)
#define SEL_EX	   POLLPRI
#define FILE_READY (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM)

/* ---- time ---- */

uint64_t ready_now(void)
{
	return vdso_now(CLOCK_MONOTONIC);
}

uint64_t ready_deadline(uint64_t ns)
{
	uint64_t d;

	return ns == READY_FOREVER || add_overflow(ready_now(), ns, &d) ? READY_FOREVER : d;
}

uint64_t ready_left(uint64_t deadline)
{
	uint64_t now;

	if (deadline == READY_FOREVER)
		return READY_FOREVER;
	now = ready_now();
	return now < deadline ? deadline - now : 0;
}

static int to_ns(int64_t sec, int64_t frac, uint64_t unit, uint64_t *ns)
{
	if (sec < 0 || frac < 0 || (uint64_t)frac * unit >= NSEC)
		return -EINVAL;
	*ns = (uint64_t)sec >= READY_FOREVER / NSEC ? READY_FOREVER : sec * NSEC + frac * unit;
	return 0;
}

int ready_read_timespec(struct task *t, struct gptr p, uint64_t *ns)
{
	struct timespec ts;

	*ns = READY_FOREVER;
	if (!p.addr)
		return 0;
	if (gmem_read(t->proc->mm, &ts, p, sizeof(ts)))
		return -EFAULT;
	return to_ns(ts.tv_sec, ts.tv_nsec, 1, ns);
}

int ready_read_timeval(struct task *t, struct gptr p, uint64_t *ns)
{
	struct timeval tv;

	*ns = READY_FOREVER;
	if (!p.addr)
		return 0;
	if (gmem_read(t->proc->mm, &tv, p, sizeof(tv)))
		return -EFAULT;
	if (tv.tv_usec < 0)
		return -EINVAL;
	/* select takes more than a second in microseconds. */
	if (tv.tv_sec >= 0 && !add_overflow(tv.tv_sec, tv.tv_usec / 1000000, &tv.tv_sec))
		return to_ns(tv.tv_sec, tv.tv_usec % 1000000, 1000, ns);
	return -EINVAL;
}

/* Tells the app how much of its timeout is left, as Linux does. False when it cannot be told. */
static bool write_left(struct task *t, struct gptr p, uint64_t deadline, bool timeval)
{
	uint64_t left = ready_left(deadline);
	int64_t v[2] = {left / NSEC, left % NSEC / (timeval ? 1000 : 1)};

	if (atomic_load(&t->proc->persona) & STICKY_TIMEOUTS)
		return false;
	return !p.addr || deadline == READY_FOREVER || !gmem_write(t->proc->mm, p, v, sizeof(v));
}

int ready_push_mask(struct task *t, struct gptr p, uint64_t size)
{
	uint64_t mask;

	if (!p.addr)
		return 0;
	if (size != sizeof(mask))
		return -EINVAL;
	if (gmem_read(t->proc->mm, &mask, p, sizeof(mask)))
		return -EFAULT;
	signal_push_mask(t, mask);
	return 0;
}

/* ---- the host call ---- */

/* What is polled: the app's view in pfd, the files behind it, and what the host is asked. */
struct pollset {
	struct pollfd *app, *host;
	struct file **file;
	size_t n;
	size_t ready; /* entries that need no host to be ready */
};

static int pollset_init(struct pollset *ps, size_t n)
{
	memset(ps, 0, sizeof(*ps));
	ps->n = n;
	ps->app = calloc(n + 1, sizeof(*ps->app));
	ps->host = calloc(n + 1, sizeof(*ps->host));
	ps->file = calloc(n + 1, sizeof(*ps->file));
	return ps->app && ps->host && ps->file ? 0 : -ENOMEM;
}

static void pollset_free(struct pollset *ps)
{
	for (size_t i = 0; ps->file && i < ps->n; i++)
		if (ps->file[i])
			file_put(ps->file[i]);
	free(ps->app);
	free(ps->host);
	free(ps->file);
}

/* Looks up the files. app[i].revents is final for those that the host is not asked about. */
static void pollset_resolve(struct task *t, struct pollset *ps)
{
	for (size_t i = 0; i < ps->n; i++) {
		struct pollfd *p = &ps->app[i];
		struct file *f;

		p->revents = 0;
		ps->host[i].fd = -1;
		if (p->fd < 0)
			continue;
		f = ps->file[i] = fdtab_lookup(t->proc->fdtab, p->fd);
		if (!f || (f->flags & O_PATH)) {
			p->revents = POLLNVAL;
		} else if (f->hostfd < 0) {
			p->revents = p->events & FILE_READY;
		} else {
			ps->host[i].fd = f->hostfd;
			ps->host[i].events = p->events;
		}
		ps->ready += p->revents != 0;
	}
}

/* Entries with revents, or -errno. */
static long pollset_ask(struct task *t, struct pollset *ps, uint64_t deadline)
{
	uint64_t left = ps->ready ? 0 : ready_left(deadline);
	struct timespec ts = {left / NSEC, left % NSEC};
	long r;

	r = task_host_call(t, SYS_ppoll, (long)ps->host, ps->n,
			   left == READY_FOREVER ? 0 : (long)&ts, 0, 0, 0);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ps->n; i++) {
		struct file *f = ps->file[i];

		if (ps->host[i].fd < 0)
			continue;
		ps->app[i].revents = ps->host[i].revents;
		if (f->ops->poll && ps->host[i].revents) {
			ps->app[i].revents = f->ops->poll(f, ps->host[i].events);
			r -= !ps->app[i].revents;
		}
	}
	return r + ps->ready;
}

/* The same until there are some, or the time is up: what the host saw can be gone again. */
static long pollset_wait(struct task *t, struct pollset *ps, uint64_t deadline)
{
	long r;

	do
		r = pollset_ask(t, ps, deadline);
	while (!r && ready_left(deadline));
	return r;
}

/* ---- poll ---- */

static long poll_copied(struct task *t, struct pollset *ps, struct gptr fds, uint64_t deadline)
{
	size_t size = ps->n * sizeof(*ps->app);
	long r;

	if (size && gmem_read(t->proc->mm, ps->app, fds, size))
		return -EFAULT;
	pollset_resolve(t, ps);
	r = pollset_wait(t, ps, deadline);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ps->n; i++) {
		struct gptr p = gptr_at(fds.addr + i * sizeof(struct pollfd) +
					offsetof(struct pollfd, revents));

		if (gmem_write(t->proc->mm, p, &ps->app[i].revents, sizeof(short)))
			return -EFAULT;
	}
	return r;
}

static long do_poll(struct task *t, struct gptr fds, unsigned n, uint64_t deadline)
{
	struct pollset ps;
	long r;

	if (n > t->proc->rlim[RLIMIT_NOFILE].rlim_cur || n > SETS_MAX * 16)
		return -EINVAL;
	r = pollset_init(&ps, n);
	if (!r)
		r = poll_copied(t, &ps, fds, deadline);
	pollset_free(&ps);
	return r;
}

static int restart_poll(struct task *t)
{
	long r = do_poll(t, gptr_at(t->restart_arg[0]), t->restart_arg[1], t->restart_arg[2]);

	return r == -ERESTARTSYS ? -ERESTART_RESTARTBLOCK : r;
}

long sys_poll(struct task *t, struct sysargs *a)
{
	int ms = A_INT(a, 2);
	uint64_t deadline = ready_deadline(ms < 0 ? READY_FOREVER : ms * 1000000ull);
	long r = do_poll(t, A_PTR(a, 0), A_UINT(a, 1), deadline);

	if (r != -ERESTARTSYS)
		return r;
	t->restart = restart_poll;
	t->restart_arg[0] = a->raw[0];
	t->restart_arg[1] = A_UINT(a, 1);
	t->restart_arg[2] = deadline;
	return -ERESTART_RESTARTBLOCK;
}

/* The end of a wait whose timeout is updated in place: it can be restarted only when that worked.
 */
static long finish_timed(struct task *t, long r, struct gptr timeout, uint64_t deadline,
			 bool timeval)
{
	bool told = write_left(t, timeout, deadline, timeval);

	if (r != -ERESTARTSYS)
		return r;
	return told ? -ERESTARTNOHAND : -EINTR;
}

long sys_ppoll(struct task *t, struct sysargs *a)
{
	uint64_t ns, deadline;
	int err = ready_read_timespec(t, A_PTR(a, 2), &ns);

	if (!err)
		err = ready_push_mask(t, A_PTR(a, 3), a->raw[4]);
	if (err)
		return err;
	deadline = ready_deadline(ns);
	return finish_timed(t, do_poll(t, A_PTR(a, 0), A_UINT(a, 1), deadline), A_PTR(a, 2),
			    deadline, false);
}

/* ---- select ---- */

enum { IN, OUT, EX, NSETS };

static const short asked[NSETS] = {SEL_IN, SEL_OUT, SEL_EX};
static const short answered[NSETS] = {SEL_IN | POLLHUP | POLLERR, SEL_OUT | POLLERR, SEL_EX};

struct fdsets {
	struct gptr app[NSETS];
	uint64_t *bits[NSETS]; /* NULL where the app gave none */
	int n;
	size_t size;
};

static bool bit(const uint64_t *set, int i)
{
	return set && (set[i / WORD_BITS] >> i % WORD_BITS & 1);
}

static int sets_read(struct task *t, struct fdsets *s)
{
	s->size = ALIGN_UP((size_t)s->n, WORD_BITS) / 8;
	for (int k = 0; k < NSETS; k++) {
		if (!s->app[k].addr)
			continue;
		s->bits[k] = calloc(1, s->size + 1);
		if (!s->bits[k])
			return -ENOMEM;
		if (s->size && gmem_read(t->proc->mm, s->bits[k], s->app[k], s->size))
			return -EFAULT;
	}
	return 0;
}

/* One entry per descriptor that is in some set. */
static int sets_to_poll(const struct fdsets *s, struct pollset *ps)
{
	size_t n = 0;
	int err = pollset_init(ps, s->n);

	if (err)
		return err;
	for (int i = 0; i < s->n; i++) {
		short events = 0;

		for (int k = 0; k < NSETS; k++)
			events |= bit(s->bits[k], i) ? asked[k] : 0;
		if (events)
			ps->app[n++] = (struct pollfd){.fd = i, .events = events};
	}
	ps->n = n;
	return 0;
}

/* Turns results into sets. Number of bits, or -errno. */
static long sets_write(struct task *t, struct fdsets *s, const struct pollset *ps)
{
	long count = 0;

	for (int k = 0; k < NSETS; k++) {
		uint64_t *out;

		if (!s->bits[k])
			continue;
		out = calloc(1, s->size + 1);
		if (!out)
			return -ENOMEM;
		for (size_t i = 0; i < ps->n; i++) {
			const struct pollfd *p = &ps->app[i];

			if (!bit(s->bits[k], p->fd) || !(p->revents & answered[k]))
				continue;
			out[p->fd / WORD_BITS] |= 1ull << p->fd % WORD_BITS;
			count++;
		}
		free(s->bits[k]);
		s->bits[k] = out;
		if (s->size && gmem_write(t->proc->mm, s->app[k], out, s->size))
			return -EFAULT;
	}
	return count;
}

static long select_sets(struct task *t, struct fdsets *s, struct pollset *ps, uint64_t deadline)
{
	long r = sets_read(t, s);

	if (!r)
		r = sets_to_poll(s, ps);
	if (r)
		return r;
	pollset_resolve(t, ps);
	for (size_t i = 0; i < ps->n; i++)
		if (ps->app[i].revents & POLLNVAL)
			return -EBADF;
	r = pollset_wait(t, ps, deadline);
	return r < 0 ? r : sets_write(t, s, ps);
}

static long do_select(struct task *t, struct sysargs *a, uint64_t deadline)
{
	struct fdsets s = {.n = A_INT(a, 0), .app = {A_PTR(a, 1), A_PTR(a, 2), A_PTR(a, 3)}};
	struct pollset ps = {0};
	long r;

	if (s.n < 0)
		return -EINVAL;
	s.n = MIN(s.n, SETS_MAX);
	s.n = MIN((rlim_t)s.n, t->proc->rlim[RLIMIT_NOFILE].rlim_cur);
	r = select_sets(t, &s, &ps, deadline);
	pollset_free(&ps);
	for (int k = 0; k < NSETS; k++)
		free(s.bits[k]);
	return r;
}

long sys_select(struct task *t, struct sysargs *a)
{
	uint64_t ns, deadline;
	int err = ready_read_timeval(t, A_PTR(a, 4), &ns);

	if (err)
		return err;
	deadline = ready_deadline(ns);
	return finish_timed(t, do_select(t, a, deadline), A_PTR(a, 4), deadline, true);
}

long sys_pselect6(struct task *t, struct sysargs *a)
{
	uint64_t mask[2] = {0, 0}; /* address and size */
	uint64_t ns, deadline;
	int err = ready_read_timespec(t, A_PTR(a, 4), &ns);

	if (err)
		return err;
	if (A_PTR(a, 5).addr && gmem_read(t->proc->mm, mask, A_PTR(a, 5), sizeof(mask)))
		return -EFAULT;
	err = ready_push_mask(t, gptr_at(mask[0]), mask[1]);
	if (err)
		return err;
	deadline = ready_deadline(ns);
	return finish_timed(t, do_select(t, a, deadline), A_PTR(a, 4), deadline, false);
}
