/* Pipes, eventfd, timerfd: host descriptors made for the app. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "sentry/ready.h"
#include "sentry/sys.h"

#define NSEC 1000000000

long ready_install_pair(struct task *t, struct file *f[2], bool cloexec, struct gptr out)
{
	struct fdtab *tab = t->proc->fdtab;
	int fd[2];

	fd[0] = fdtab_install(tab, f[0], 0, cloexec);
	if (fd[0] < 0) {
		file_put(f[1]);
		return fd[0];
	}
	fd[1] = fdtab_install(tab, f[1], 0, cloexec);
	if (fd[1] < 0) {
		fdtab_close(tab, fd[0]);
		return fd[1];
	}
	if (!gmem_write(t->proc->mm, out, fd, sizeof(fd)))
		return 0;
	fdtab_close(tab, fd[0]);
	fdtab_close(tab, fd[1]);
	return -EFAULT;
}

static long make_pipe(struct task *t, struct gptr out, unsigned flags)
{
	unsigned status = flags & ~O_CLOEXEC;
	struct file *f[2];
	int fd[2];

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	if (pipe2(fd, flags | O_CLOEXEC))
		return -errno;
	f[0] = file_new(&file_host_ops, fd[0], O_RDONLY | status, POL_FD_PIPE);
	f[1] = file_new(&file_host_ops, fd[1], O_WRONLY | status, POL_FD_PIPE);
	if (f[0] && f[1])
		return ready_install_pair(t, f, flags & O_CLOEXEC, out);
	if (f[0])
		file_put(f[0]);
	if (f[1])
		file_put(f[1]);
	return -ENOMEM;
}

long sys_pipe(struct task *t, struct sysargs *a)
{
	return make_pipe(t, A_PTR(a, 0), 0);
}

long sys_pipe2(struct task *t, struct sysargs *a)
{
	return make_pipe(t, A_PTR(a, 0), A_UINT(a, 1));
}

/* Installs a host descriptor of the event kind. Descriptor or -errno. */
static long install_event(struct task *t, int hostfd, bool nonblock, bool cloexec)
{
	struct file *f;

	if (hostfd < 0)
		return -errno;
	f = file_new(&file_host_ops, hostfd, O_RDWR | (nonblock ? O_NONBLOCK : 0), POL_FD_EVENT);
	return f ? fdtab_install(t->proc->fdtab, f, 0, cloexec) : -ENOMEM;
}

static long make_eventfd(struct task *t, unsigned value, unsigned flags)
{
	if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
		return -EINVAL;
	return install_event(t, eventfd(value, flags | EFD_CLOEXEC), flags & EFD_NONBLOCK,
			     flags & EFD_CLOEXEC);
}

long sys_eventfd(struct task *t, struct sysargs *a)
{
	return make_eventfd(t, A_UINT(a, 0), 0);
}

long sys_eventfd2(struct task *t, struct sysargs *a)
{
	return make_eventfd(t, A_UINT(a, 0), A_UINT(a, 1));
}

/* ---- timerfd ---- */

long sys_timerfd_create(struct task *t, struct sysargs *a)
{
	int clock = A_INT(a, 0);
	unsigned flags = A_UINT(a, 1);

	if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
		return -EPERM;
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
		return -EINVAL;
	return install_event(t, timerfd_create(clock, flags | TFD_CLOEXEC), flags & TFD_NONBLOCK,
			     flags & TFD_CLOEXEC);
}

/* The host knows whether an event descriptor is a timer, and says EINVAL when not; asking it about
 * something else that the app has open would be wrong all the same. */
static int timer_file(struct sysargs *a)
{
	if (!a->file[0])
		return -EBADF;
	return a->file[0]->kind == POL_FD_EVENT && a->file[0]->hostfd >= 0 ? 0 : -EINVAL;
}

static bool timespec_ok(const struct timespec *ts)
{
	return ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < NSEC;
}

long sys_timerfd_settime(struct task *t, struct sysargs *a)
{
	struct itimerspec new, old;
	int err = timer_file(a);

	if (gmem_read(t->proc->mm, &new, A_PTR(a, 2), sizeof(new)))
		return -EFAULT;
	if (!timespec_ok(&new.it_value) || !timespec_ok(&new.it_interval))
		return -EINVAL;
	if (err)
		return err;
	if (timerfd_settime(a->file[0]->hostfd, A_INT(a, 1), &new, &old))
		return -errno;
	return A_PTR(a, 3).addr ? gmem_write(t->proc->mm, A_PTR(a, 3), &old, sizeof(old)) : 0;
}

long sys_timerfd_gettime(struct task *t, struct sysargs *a)
{
	struct itimerspec cur;
	int err = timer_file(a);

	if (err)
		return err;
	if (timerfd_gettime(a->file[0]->hostfd, &cur))
		return -errno;
	return gmem_write(t->proc->mm, A_PTR(a, 1), &cur, sizeof(cur));
}
