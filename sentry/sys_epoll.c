/* epoll_create, epoll_ctl, epoll_wait and their kin. The book is epoll.c. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/ready.h"
#include "sentry/sys.h"

#define EVENTS_MAX (INT_MAX / (int)sizeof(struct epoll_event))
#define BATCH	   65536u /* events of one call at most: the app asks again for the rest */

static void epoll_file_release(struct file *f)
{
	struct epoll *ep = f->priv;

	epoll_destroy_book(&ep);
	f->priv = NULL;
}

static const struct file_ops epoll_ops = {
	.release = epoll_file_release,
};

static long make_epoll(struct task *t, unsigned flags)
{
	struct epoll *ep;
	struct file *f;
	int fd;

	if (flags & ~EPOLL_CLOEXEC)
		return -EINVAL;
	ep = epoll_create_book();
	if (!ep)
		return -ENOMEM;
	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0) {
		epoll_destroy_book(&ep);
		return -errno;
	}
	f = file_new(&epoll_ops, fd, O_RDWR, POL_FD_EVENT);
	if (!f) {
		epoll_destroy_book(&ep);
		return -ENOMEM;
	}
	f->priv = ep;
	return fdtab_install(t->proc->fdtab, f, 0, flags & EPOLL_CLOEXEC);
}

long sys_epoll_create(struct task *t, struct sysargs *a)
{
	return A_INT(a, 0) <= 0 ? -EINVAL : make_epoll(t, 0);
}

long sys_epoll_create1(struct task *t, struct sysargs *a)
{
	return make_epoll(t, A_UINT(a, 0));
}

long sys_epoll_ctl(struct task *t, struct sysargs *a)
{
	struct file *ef = a->file[0], *f = a->file[2];
	struct epoll_event ev = {0};
	int op = A_INT(a, 1);

	if (op != EPOLL_CTL_DEL && gmem_read(t->proc->mm, &ev, A_PTR(a, 3), sizeof(ev)))
		return -EFAULT;
	if (!ef || !f)
		return -EBADF;
	if (f->hostfd < 0)
		return -EPERM;
	if (ef == f || ef->ops != &epoll_ops)
		return -EINVAL;
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		return -EINVAL;
	ev.events &= ~EPOLLWAKEUP;
	return epoll_change(ef->priv, ef->hostfd, op, f, A_INT(a, 2), &ev);
}

/* ---- waiting ---- */

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* Waits until deadline for events of f. Events stored at out, or -errno. */
static long wait_events(struct task *t, struct file *f, struct gptr out, int max, uint64_t deadline)
{
	cleanup_free struct epoll_event *ev = NULL;
	uint64_t left = ready_left(deadline);
	unsigned room;
	struct timespec ts;
	long n;

	/* No more than are registered; some, because more may be by the time. */
	room = epoll_count(f->priv) + 16;
	room = MIN(room, BATCH);
	max = (int)MIN((unsigned)max, room);
	ev = malloc(max * sizeof(*ev));
	if (!ev)
		return -ENOMEM;
	ts = to_timespec(left);
	n = task_host_call(t, SYS_epoll_pwait2, f->hostfd, (long)ev, max,
			   left == READY_FOREVER ? 0 : (long)&ts, 0, 0);
	if (n > 0 && gmem_write(t->proc->mm, out, ev, n * sizeof(*ev)))
		return -EFAULT;
	return n;
}

/* restart_syscall of an interrupted epoll_wait: the descriptor may be another file by now. */
static int restart_wait(struct task *t)
{
	struct file *f = fdtab_lookup(t->proc->fdtab, t->restart_arg[0]);
	long r;

	if (!f)
		return -EBADF;
	r = f->ops == &epoll_ops ? wait_events(t, f, gptr_at(t->restart_arg[1]), t->restart_arg[2],
					       t->restart_arg[3])
				 : -EINVAL;
	file_put(f);
	if (r != -ERESTARTSYS)
		return r;
	return task_pending(t) ? -EINTR : -ERESTART_RESTARTBLOCK;
}

static long do_wait(struct task *t, struct sysargs *a, uint64_t ns, bool masked)
{
	struct file *f = a->file[0];
	int max = A_INT(a, 2);
	uint64_t deadline = ready_deadline(ns);
	long r;

	if (max <= 0 || max > EVENTS_MAX)
		return -EINVAL;
	if (!f)
		return -EBADF;
	if (f->ops != &epoll_ops)
		return -EINVAL;
	r = wait_events(t, f, A_PTR(a, 1), max, deadline);
	if (r != -ERESTARTSYS)
		return r;
	if (masked)
		return -ERESTARTNOHAND;
	if (task_pending(t))
		return -EINTR; /* also for a stop, whatever the handler's flags say */
	t->restart = restart_wait;
	t->restart_arg[0] = A_INT(a, 0);
	t->restart_arg[1] = a->raw[1];
	t->restart_arg[2] = max;
	t->restart_arg[3] = deadline;
	return -ERESTART_RESTARTBLOCK;
}

static uint64_t ms_to_ns(int ms)
{
	return ms < 0 ? READY_FOREVER : ms * 1000000ull;
}

long sys_epoll_wait(struct task *t, struct sysargs *a)
{
	return do_wait(t, a, ms_to_ns(A_INT(a, 3)), false);
}

long sys_epoll_pwait(struct task *t, struct sysargs *a)
{
	int err = ready_push_mask(t, A_PTR(a, 4), a->raw[5]);

	return err ? err : do_wait(t, a, ms_to_ns(A_INT(a, 3)), A_PTR(a, 4).addr);
}

long sys_epoll_pwait2(struct task *t, struct sysargs *a)
{
	uint64_t ns;
	int err = ready_read_timespec(t, A_PTR(a, 3), &ns);

	if (!err)
		err = ready_push_mask(t, A_PTR(a, 4), a->raw[5]);
	return err ? err : do_wait(t, a, ns, A_PTR(a, 4).addr);
}
