/* Attributes: mode, owner, times, size. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>
#include "base/overflow.h"
#include "sentry/hostfs.h"
#include "sentry/notify.h"
#include "sentry/sys_file.h"
#include "sentry/textbusy.h"

/* Owner ids of an attribute change in the host's terms, for what the host holds. */
static int host_ids(const struct vattr *a, struct vattr *out)
{
	uid_t uid = a->mask & VATTR_UID ? a->uid : (uid_t)-1;
	gid_t gid = a->mask & VATTR_GID ? a->gid : (gid_t)-1;
	int r = vfs_ids_to_host(&uid, &gid);

	*out = *a;
	out->uid = uid;
	out->gid = gid;
	return r;
}

/* How Linux tells watchers of a change. */
static uint32_t what_changed(const struct vattr *a)
{
	bool atime = a->mask & VATTR_ATIME && a->atime.tv_nsec != UTIME_OMIT;
	bool mtime = a->mask & VATTR_MTIME && a->mtime.tv_nsec != UTIME_OMIT;
	uint32_t mask = a->mask & (VATTR_UID | VATTR_GID | VATTR_MODE) ? IN_ATTRIB : 0;

	if (a->mask & VATTR_SIZE)
		mask |= IN_MODIFY;
	if (atime || mtime)
		mask |= atime && mtime ? IN_ATTRIB : atime ? IN_ACCESS : IN_MODIFY;
	return mask;
}

static int set_node(struct vnode *n, const struct vattr *a)
{
	struct vattr mapped = *a;
	int r = 0;

	if (!n->ops->setattr)
		return -EPERM;
	/* A set-id program would lend the identity of whoever runs sbx. */
	if (a->mask & VATTR_MODE && n->type != S_IFDIR && a->mode & (S_ISUID | S_ISGID))
		return -EPERM;
	if (n->ops == &hostfs_ops)
		r = host_ids(a, &mapped);
	if (!r)
		r = n->ops->setattr(n, &mapped);
	if (!r)
		notify_node(n, what_changed(a));
	return r;
}

/* A file without a node that the sandbox made itself: a pipe, a socket, a memfd. */
static int set_hostfd(struct file *f, const struct vattr *a)
{
	struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	struct vattr m;
	int r = 0;

	if (f->hostfd < 0 || f->inherited)
		return -EPERM;
	if (a->mask & (VATTR_UID | VATTR_GID)) {
		r = host_ids(a, &m);
		if (!r && fchown(f->hostfd, m.uid, m.gid))
			r = -errno;
	}
	if (!r && a->mask & VATTR_MODE && fchmod(f->hostfd, a->mode & 01777))
		r = -errno;
	if (a->mask & VATTR_ATIME)
		ts[0] = a->atime;
	if (a->mask & VATTR_MTIME)
		ts[1] = a->mtime;
	if (!r && a->mask & (VATTR_ATIME | VATTR_MTIME) && futimens(f->hostfd, ts))
		r = -errno;
	return r;
}

static int set_file(struct file *f, const struct vattr *a)
{
	if (!f->node)
		return set_hostfd(f, a);
	return f->verbs & POL_V_WRITE ? set_node(f->node, a) : -EPERM;
}

/* Of a path argument, or of the descriptor that an empty path names. */
static int set_path(const struct sysargs *a, const struct vattr *attr)
{
	const struct vpath *v = a->path[0].v;

	return v->file ? set_file(v->file, attr) : set_node(v->node, attr);
}

/* ---- mode ---- */

static struct vattr mode_attr(unsigned mode)
{
	return (struct vattr){.mask = VATTR_MODE, .mode = mode & 07777};
}

long sys_chmod(struct task *t, struct sysargs *a)
{
	struct vattr attr = mode_attr(A_UINT(a, 1));

	return set_path(a, &attr);
}

long sys_fchmod(struct task *t, struct sysargs *a)
{
	struct vattr attr = mode_attr(A_UINT(a, 1));

	if (!a->file[0] || a->file[0]->flags & O_PATH)
		return -EBADF;
	return set_file(a->file[0], &attr);
}

long sys_fchmodat(struct task *t, struct sysargs *a)
{
	struct vattr attr = mode_attr(A_UINT(a, 2));

	return set_path(a, &attr);
}

long sys_fchmodat2(struct task *t, struct sysargs *a)
{
	struct vattr attr = mode_attr(A_UINT(a, 2));

	return set_path(a, &attr);
}

/* ---- owner ---- */

static struct vattr owner_attr(unsigned uid, unsigned gid)
{
	struct vattr attr = {.uid = uid, .gid = gid};

	if (uid != (unsigned)-1)
		attr.mask |= VATTR_UID;
	if (gid != (unsigned)-1)
		attr.mask |= VATTR_GID;
	return attr;
}

long sys_chown(struct task *t, struct sysargs *a)
{
	struct vattr attr = owner_attr(A_UINT(a, 1), A_UINT(a, 2));

	return set_path(a, &attr);
}

long sys_lchown(struct task *t, struct sysargs *a)
{
	return sys_chown(t, a);
}

long sys_fchown(struct task *t, struct sysargs *a)
{
	struct vattr attr = owner_attr(A_UINT(a, 1), A_UINT(a, 2));

	if (!a->file[0] || a->file[0]->flags & O_PATH)
		return -EBADF;
	return set_file(a->file[0], &attr);
}

long sys_fchownat(struct task *t, struct sysargs *a)
{
	struct vattr attr = owner_attr(A_UINT(a, 2), A_UINT(a, 3));

	return set_path(a, &attr);
}

/* ---- times ---- */

static struct vattr times_attr(const struct timespec ts[2])
{
	return (struct vattr){.mask = VATTR_ATIME | VATTR_MTIME, .atime = ts[0], .mtime = ts[1]};
}

static void times_now(struct timespec ts[2])
{
	ts[0] = ts[1] = (struct timespec){.tv_nsec = UTIME_NOW};
}

/* Two struct timeval of the app, or now when addr is NULL. */
static int read_timevals(struct task *t, uint64_t addr, struct timespec ts[2])
{
	struct timeval tv[2];

	times_now(ts);
	if (!addr)
		return 0;
	if (gmem_read(t->proc->mm, tv, gptr_at(addr), sizeof(tv)))
		return -EFAULT;
	for (int i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
			return -EINVAL;
		ts[i] = (struct timespec){tv[i].tv_sec, tv[i].tv_usec * 1000};
	}
	return 0;
}

/* The path's object, or with a null path the descriptor in argument 0. */
static long set_times(struct sysargs *a, const struct timespec ts[2])
{
	struct vattr attr = times_attr(ts);

	if (a->npaths && a->path[0].v)
		return set_path(a, &attr);
	if (!a->file[0] || a->file[0]->flags & O_PATH)
		return -EBADF;
	return set_file(a->file[0], &attr);
}

long sys_utime(struct task *t, struct sysargs *a)
{
	struct timespec ts[2];
	struct utimbuf u;

	times_now(ts);
	if (a->raw[1]) {
		if (gmem_read(t->proc->mm, &u, A_PTR(a, 1), sizeof(u)))
			return -EFAULT;
		ts[0] = (struct timespec){.tv_sec = u.actime};
		ts[1] = (struct timespec){.tv_sec = u.modtime};
	}
	return set_times(a, ts);
}

long sys_utimes(struct task *t, struct sysargs *a)
{
	struct timespec ts[2];
	int r = read_timevals(t, a->raw[1], ts);

	return r ? r : set_times(a, ts);
}

long sys_futimesat(struct task *t, struct sysargs *a)
{
	struct timespec ts[2];
	int r = read_timevals(t, a->raw[2], ts);

	return r ? r : set_times(a, ts);
}

long sys_utimensat(struct task *t, struct sysargs *a)
{
	unsigned flags = sys_at_flags(a);
	struct timespec ts[2];

	times_now(ts);
	if (a->raw[2]) {
		if (gmem_read(t->proc->mm, ts, A_PTR(a, 2), sizeof(ts)))
			return -EFAULT;
		if (ts[0].tv_nsec == UTIME_OMIT && ts[1].tv_nsec == UTIME_OMIT)
			return 0;
	}
	for (int i = 0; i < 2; i++)
		if ((ts[i].tv_nsec < 0 || ts[i].tv_nsec >= 1000000000) &&
		    ts[i].tv_nsec != UTIME_NOW && ts[i].tv_nsec != UTIME_OMIT)
			return -EINVAL;
	if (flags & ~(unsigned)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) || (!a->raw[1] && flags))
		return -EINVAL;
	return set_times(a, ts);
}

/* ---- size ---- */

long sys_truncate(struct task *t, struct sysargs *a)
{
	struct vattr attr = {.mask = VATTR_SIZE, .size = (off_t)a->raw[1]};
	struct vnode *n = a->path[0].v->node;
	int r;

	if (attr.size < 0)
		return -EINVAL;
	if (n->type != S_IFREG)
		return n->type == S_IFDIR ? -EISDIR : -EINVAL;
	r = textbusy_check(n);
	r = r ? r : file_check_size(t, attr.size);
	return r ? r : set_node(n, &attr);
}

long sys_ftruncate(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	off_t len = (off_t)a->raw[1];
	int r;

	if (len < 0)
		return -EINVAL;
	if (!f || f->flags & O_PATH)
		return -EBADF;
	if (!file_can_write(f) || (f->kind != POL_FD_FILE && f->kind != POL_FD_DEVICE))
		return -EINVAL;
	if (f->append_only)
		return -EPERM;
	r = file_check_size(t, len);
	if (r)
		return r;
	if (f->ops->truncate) {
		r = f->ops->truncate(t, f, len);
		if (!r)
			notify_file(f, IN_MODIFY);
		return r;
	}
	return f->hostfd < 0 || ftruncate(f->hostfd, len) ? (f->hostfd < 0 ? -EINVAL : -errno) : 0;
}

long sys_fallocate(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	off_t off = (off_t)a->raw[2], len = (off_t)a->raw[3], end;
	int r;

	if (!f || f->flags & O_PATH)
		return -EBADF;
	if (off < 0 || len <= 0)
		return -EINVAL;
	if (!file_can_write(f))
		return -EBADF;
	if (f->append_only && A_UINT(a, 1) & ~(unsigned)FALLOC_FL_KEEP_SIZE)
		return -EPERM;
	if (add_overflow(off, len, &end))
		return -EFBIG;
	r = file_check_size(t, end);
	if (r)
		return r;
	if (f->ops->fallocate) {
		r = f->ops->fallocate(t, f, A_INT(a, 1), off, len);
		if (!r)
			notify_file(f, IN_MODIFY);
		return r;
	}
	if (f->hostfd < 0)
		return -ENODEV;
	return file_host_call(t, f, SYS_fallocate, A_INT(a, 1), off, len, 0, 0);
}
