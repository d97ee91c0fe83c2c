/* Descriptors of processes. The host descriptor is a copy of the process's eventfd, which is written
 * once when the process ends, so that poll and epoll are the host's. */
#include "sentry/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "sentry/procfs.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/task_int.h"

#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK O_NONBLOCK
#endif

static ssize_t no_io(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	return -EINVAL;
}

static void release(struct file *f)
{
	proc_put(f->priv);
}

static const struct file_ops pidfd_ops = {
	.read = no_io,
	.write = no_io,
	.release = release,
};

struct proc *pidfd_proc(const struct file *f)
{
	return f->ops == &pidfd_ops ? f->priv : NULL;
}

/* A copy of p's eventfd, which is made for the first; -errno. */
static int end_fd(struct proc *p)
{
	int fd = -EMFILE;

	pthread_mutex_lock(&sandbox.lock);
	if (p->end_fd <= 0)
		p->end_fd = eventfd(p->zombie, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->end_fd > 0)
		fd = fcntl(p->end_fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&sandbox.lock);
	return fd < 0 ? -EMFILE : fd;
}

int pidfd_file(struct proc *p, unsigned flags, struct file **out)
{
	int fd = end_fd(p);

	if (fd < 0)
		return fd;
	*out = file_new(&pidfd_ops, fd, O_RDWR | (flags & O_NONBLOCK), POL_FD_EVENT);
	if (!*out)
		return -ENOMEM;
	(*out)->priv = proc_get(p);
	return 0;
}

void pidfd_ended(struct proc *p)
{
	if (p->end_fd > 0)
		(void)!write(p->end_fd, &(uint64_t){1}, sizeof(uint64_t));
}

long sys_pidfd_open(struct task *t, struct sysargs *a)
{
	int pid = A_INT(a, 0);
	struct task *thread;
	struct proc *p;
	struct file *f;
	long r;

	if (pid <= 0 || (A_UINT(a, 1) & ~(unsigned)PIDFD_NONBLOCK))
		return -EINVAL;
	p = proc_by_pid(pid);
	if (!p) {
		thread = task_by_tid(pid);
		task_put(thread);
		return thread ? -EINVAL : -ESRCH;
	}
	r = pidfd_file(p, A_UINT(a, 1), &f);
	proc_put(p);
	return r ? r : fdtab_install(t->proc->fdtab, f, 0, true);
}

/* The process that a signal is for, referenced: f is a pidfd or an open /proc/PID. */
static int signalled(const struct file *f, struct proc **p)
{
	struct pseudo_key key;

	*p = f ? pidfd_proc(f) : NULL;
	if (*p) {
		proc_get(*p);
		return 0;
	}
	if (!f || pseudo_dir_entry(f, &key) != &procfs_pid_dir)
		return -EBADF;
	return procfs_proc(&key, p) ? key.pid == 1 ? -EPERM : -ESRCH : 0;
}

static long send_signal(struct task *t, struct proc *p, const struct sysargs *a)
{
	int sig = A_INT(a, 1);
	siginfo_t info = {.si_signo = sig, .si_code = SI_USER};

	info.si_pid = t->proc->pid;
	info.si_uid = t->proc->uid;
	if (a->raw[2]) {
		if (gmem_read(t->proc->mm, &info, A_PTR(a, 2), sizeof(info)))
			return -EFAULT;
		if (info.si_signo != sig)
			return -EINVAL;
		if (p != t->proc && (info.si_code >= 0 || info.si_code == SI_TKILL))
			return -EPERM;
	}
	if (sig < 0 || sig > SIGNAL_MAX)
		return -EINVAL;
	if (atomic_load(&p->gone))
		return -ESRCH;
	if (!proc_may_touch(t, p))
		return -EPERM;
	return sig ? signal_send_proc(p, &info) : 0;
}

long sys_pidfd_send_signal(struct task *t, struct sysargs *a)
{
	struct proc *p;
	long r;

	if (A_UINT(a, 3))
		return -EINVAL;
	r = signalled(a->file[0], &p);
	if (r)
		return r;
	r = send_signal(t, p, a);
	proc_put(p);
	return r;
}
