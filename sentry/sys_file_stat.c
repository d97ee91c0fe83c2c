/* What files are: stat, access, readlink, statfs, directory contents. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/dirent.h"
#include "sentry/notify.h"
#include "sentry/sys_file.h"

#define DIRENT_BUF_MAX (64u << 10)

/* Attributes of a path argument: its node, or the descriptor of an empty path. */
static int path_getattr(struct task *t, const struct sysargs *a, struct statx *st)
{
	const struct vpath *v = a->path[0].v;

	return v->file ? file_fstat(t, v->file, st) : vfs_getattr(t, v->node, st);
}

static struct timespec to_timespec(const struct statx_timestamp *ts)
{
	return (struct timespec){.tv_sec = ts->tv_sec, .tv_nsec = ts->tv_nsec};
}

static long put_stat(struct task *t, uint64_t addr, const struct statx *x)
{
	struct stat st = {
	    .st_dev = makedev(x->stx_dev_major, x->stx_dev_minor),
	    .st_ino = x->stx_ino,
	    .st_nlink = x->stx_nlink,
	    .st_mode = x->stx_mode,
	    .st_uid = x->stx_uid,
	    .st_gid = x->stx_gid,
	    .st_rdev = makedev(x->stx_rdev_major, x->stx_rdev_minor),
	    .st_size = (off_t)x->stx_size,
	    .st_blksize = x->stx_blksize,
	    .st_blocks = (blkcnt_t)x->stx_blocks,
	    .st_atim = to_timespec(&x->stx_atime),
	    .st_mtim = to_timespec(&x->stx_mtime),
	    .st_ctim = to_timespec(&x->stx_ctime),
	};

	return gmem_write(t->proc->mm, gptr_at(addr), &st, sizeof(st));
}

static long do_stat(struct task *t, struct sysargs *a, uint64_t addr)
{
	struct statx st;
	int r = path_getattr(t, a, &st);

	return r ? r : put_stat(t, addr, &st);
}

long sys_stat(struct task *t, struct sysargs *a)
{
	return do_stat(t, a, a->raw[1]);
}

long sys_lstat(struct task *t, struct sysargs *a)
{
	return do_stat(t, a, a->raw[1]);
}

long sys_newfstatat(struct task *t, struct sysargs *a)
{
	return do_stat(t, a, a->raw[2]);
}

long sys_fstat(struct task *t, struct sysargs *a)
{
	struct statx st;
	int r = a->file[0] ? file_fstat(t, a->file[0], &st) : -EBADF;

	return r ? r : put_stat(t, a->raw[1], &st);
}

/* libc's structure need not have this field of the kernel's yet. */
#define MNT_ID_MASK   0x1000u /* STATX_MNT_ID */
#define MNT_ID_OFFSET (offsetof(struct statx, stx_dev_minor) + sizeof(uint32_t))

/* The sandbox's mount, not the host's. */
static void put_mount_id(const struct vnode *n, struct statx *st)
{
	uint64_t id = (uint64_t)vfs_mount_id(n->mnt);

	memcpy((char *)st + MNT_ID_OFFSET, &id, sizeof(id));
	st->stx_mask |= MNT_ID_MASK;
}

long sys_statx(struct task *t, struct sysargs *a)
{
	struct vnode *n = a->path[0].v->node;
	struct statx st;
	int r = path_getattr(t, a, &st);

	if (!r && n)
		put_mount_id(n, &st);
	return r ? r : gmem_write(t->proc->mm, A_PTR(a, 4), &st, sizeof(st));
}

/* ---- access ---- */

static long do_access(struct task *t, struct sysargs *a, unsigned mode)
{
	const struct vpath *v = a->path[0].v;

	/* A descriptor without a name: its own mode says what it can be used for. */
	if (!v->node)
		return (mode & R_OK && !file_can_read(v->file)) ||
			       (mode & W_OK && !file_can_write(v->file)) || mode & X_OK
			   ? -EACCES
			   : 0;
	return vfs_access(t, v->node, (int)mode);
}

long sys_access(struct task *t, struct sysargs *a)
{
	return do_access(t, a, A_UINT(a, 1));
}

long sys_faccessat(struct task *t, struct sysargs *a)
{
	return do_access(t, a, A_UINT(a, 2));
}

long sys_faccessat2(struct task *t, struct sysargs *a)
{
	return do_access(t, a, A_UINT(a, 2));
}

/* ---- readlink ---- */

/* Links of /proc that are objects tell their path as the reader sees it. */
static ssize_t seen(struct task *t, const struct vnode *n, char *buf, ssize_t len)
{
	if (!n->ops->follow || buf[0] != '/' || (size_t)len >= PATH_MAX)
		return len;
	buf[len] = '\0';
	fsctx_seen_path(t->proc->fs, buf);
	return (ssize_t)strlen(buf);
}

static long do_readlink(struct task *t, struct sysargs *a, uint64_t addr, int size)
{
	const struct vpath *v = a->path[0].v;
	char buf[PATH_MAX];
	bool magic;
	ssize_t n;

	if (size <= 0)
		return -EINVAL;
	if (!v->node || v->node->type != S_IFLNK || !v->node->ops->readlink)
		return a->path[0].str[0] ? -EINVAL : -ENOENT;
	magic = v->node->ops->follow != NULL;
	n = v->node->ops->readlink(t, v->node, buf,
				   magic ? sizeof(buf) : MIN((size_t)size, sizeof(buf)));
	if (n < 0)
		return n;
	n = MIN(seen(t, v->node, buf, n), size);
	return gmem_write(t->proc->mm, gptr_at(addr), buf, (size_t)n) ? -EFAULT : n;
}

long sys_readlink(struct task *t, struct sysargs *a)
{
	return do_readlink(t, a, a->raw[1], A_INT(a, 2));
}

long sys_readlinkat(struct task *t, struct sysargs *a)
{
	return do_readlink(t, a, a->raw[2], A_INT(a, 3));
}

/* ---- statfs ---- */

/* The sentry's file systems are mounted as /proc/mounts says: rw, relatime. */
static void set_flags(struct statfs *st)
{
	const long valid = 0x20; /* the kernel's ST_VALID */

	if (!st->f_flags)
		st->f_flags = valid | ST_RELATIME;
}

long sys_statfs(struct task *t, struct sysargs *a)
{
	struct vnode *n = a->path[0].v->node;
	struct statfs st = {0};
	int r = n->ops->statfs ? n->ops->statfs(n, &st) : -ENOSYS;

	set_flags(&st);
	return r ? r : gmem_write(t->proc->mm, A_PTR(a, 1), &st, sizeof(st));
}

long sys_fstatfs(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	struct statfs st = {0};
	int r = -ENOSYS;

	if (!f)
		return -EBADF;
	if (f->node && f->node->ops->statfs)
		r = f->node->ops->statfs(f->node, &st);
	else if (f->hostfd >= 0)
		r = fstatfs(f->hostfd, &st) ? -errno : 0;
	set_flags(&st);
	return r ? r : gmem_write(t->proc->mm, A_PTR(a, 1), &st, sizeof(st));
}

/* ---- directories ---- */

static long do_getdents(struct task *t, struct sysargs *a, bool legacy)
{
	struct file *f = a->file[0];
	size_t cap = MIN((size_t)A_UINT(a, 2), (size_t)DIRENT_BUF_MAX);
	cleanup_free uint8_t *buf = NULL;
	char path[PATH_MAX];
	struct dirent_sink sink = {.cap = cap, .legacy = legacy, .view = task_view(t)};
	int r;

	if (!f || f->flags & O_PATH)
		return -EBADF;
	if (!f->ops->getdents)
		return -ENOTDIR;
	buf = malloc(cap + 1);
	if (!buf)
		return -ENOMEM;
	sink.buf = buf;
	r = f->node ? vfs_node_path(f->node, path, sizeof(path)) : -EOPNOTSUPP;
	sink.path = r >= 0 ? path : f->path;
	sink.path_len = sink.path ? strlen(sink.path) : 0;
	r = f->ops->getdents(t, f, &sink);
	if (r < 0 && !sink.len)
		return r;
	notify_file(f, IN_ACCESS);
	if (!sink.len)
		return sink.overflow ? -EINVAL : 0;
	return gmem_write(t->proc->mm, A_PTR(a, 1), sink.buf, sink.len) ? -EFAULT : (long)sink.len;
}

long sys_getdents(struct task *t, struct sysargs *a)
{
	return do_getdents(t, a, true);
}

long sys_getdents64(struct task *t, struct sysargs *a)
{
	return do_getdents(t, a, false);
}
