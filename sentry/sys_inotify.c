/* inotify_init, inotify_init1, inotify_add_watch, inotify_rm_watch, and what their descriptor does. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/notify.h"
#include "sentry/sys_file.h"

#define READ_MAX (64u << 10)
#define KNOWN	 (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW | \
		  IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT)

static ssize_t inotify_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	size_t room = MIN(file_iov_total(iov, n), (size_t)READ_MAX);
	struct pollfd p = {.fd = f->hostfd, .events = POLLIN};
	cleanup_free char *buf = malloc(room + 1);
	ssize_t r;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		r = notify_take(f->priv, buf, room);
		if (r)
			return r < 0 ? r : file_iov_put(iov, n, buf, (size_t)r);
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		r = task_host_call(t, SYS_ppoll, (long)&p, 1, 0, 0, 0, 0);
		if (r < 0)
			return r;
	}
}

static off_t inotify_seek(struct task *t, struct file *f, off_t off, int whence)
{
	return 0;
}

static long inotify_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	int n;

	if (cmd != FIONREAD)
		return -ENOTTY;
	n = (int)notify_queued(f->priv);
	return gmem_write(t->proc->mm, gptr_at(arg), &n, sizeof(n));
}

static void inotify_release(struct file *f)
{
	notify_destroy(f->priv);
	f->hostfd = -1; /* the instance's */
}

static const struct file_ops inotify_ops = {
	.read = inotify_read,
	.seek = inotify_seek,
	.ioctl = inotify_ioctl,
	.release = inotify_release,
	.link = "anon_inode:inotify",
};

static long create(struct task *t, unsigned flags)
{
	struct notify *in;
	struct file *f;
	int fd, r;

	if (flags & ~(unsigned)(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	r = notify_create(&in, &fd);
	if (r)
		return r;
	f = file_new(&inotify_ops, -1, O_RDONLY | (flags & O_NONBLOCK), POL_FD_EVENT);
	if (!f) {
		notify_destroy(in);
		return -ENOMEM;
	}
	f->hostfd = fd;
	f->priv = in;
	return fdtab_install(t->proc->fdtab, f, 0, flags & IN_CLOEXEC);
}

long sys_inotify_init(struct task *t, struct sysargs *a)
{
	return create(t, 0);
}

long sys_inotify_init1(struct task *t, struct sysargs *a)
{
	return create(t, A_UINT(a, 0));
}

int sys_watch_check(const struct sysargs *a)
{
	uint32_t mask = A_UINT(a, 2);

	if (!(mask & KNOWN))
		return -EINVAL;
	if (!a->file[0] || a->file[0]->flags & O_PATH)
		return -EBADF;
	if ((mask & (IN_MASK_ADD | IN_MASK_CREATE)) == (IN_MASK_ADD | IN_MASK_CREATE) ||
	    a->file[0]->ops != &inotify_ops)
		return -EINVAL;
	return 0;
}

long sys_inotify_add_watch(struct task *t, struct sysargs *a)
{
	int r = sys_watch_check(a);

	if (!r)
		r = vfs_access(t, a->path[0].v->node, R_OK);
	return r ? r : notify_add(a->file[0]->priv, a->path[0].v, A_UINT(a, 2));
}

long sys_inotify_rm_watch(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];

	if (!f || f->flags & O_PATH)
		return -EBADF;
	return f->ops == &inotify_ops ? notify_remove(f->priv, A_INT(a, 1)) : -EINVAL;
}
