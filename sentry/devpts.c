/* /dev/pts: the terminals of the sandbox's pseudo-terminal pairs. A node holds its pair; when the
 * master closes, the name is gone and the node opens no more. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include "base/overflow.h"
#include "sentry/dirent.h"
#include "sentry/pty.h"
#include "sentry/task.h"

enum { ROOT_INO = 1, PTMX_INO, FIRST_INO };

struct ptsnode {
	struct vnode vn; /* first */
	struct pty *pty; /* NULL: the directory, or ptmx */
};

static const struct vnode_ops devpts_ops;
static struct mount *devpts_mount;

static struct ptsnode *node_of(struct vnode *vn)
{
	return container_of(vn, struct ptsnode, vn);
}

/* Takes p's reference, also on failure. */
static int node_new(struct mount *mnt, uint64_t ino, struct pty *p, struct vnode **out)
{
	struct ptsnode *n = calloc(1, sizeof(*n));

	if (!n) {
		pty_put(p);
		return -ENOMEM;
	}
	atomic_init(&n->vn.refs, 1);
	n->vn.ops = &devpts_ops;
	n->vn.mnt = mnt;
	n->vn.type = ino == ROOT_INO ? S_IFDIR : S_IFCHR;
	n->vn.hostfd = -1;
	n->vn.ino = ino;
	n->pty = p;
	*out = &n->vn;
	return 0;
}

static void devpts_release(struct vnode *vn)
{
	pty_put(node_of(vn)->pty);
	free(vn->path);
	free(node_of(vn));
}

/* The number that name is, as the directory lists it; -1 when it is none. */
static int index_of(const char *name)
{
	char *end, back[16];
	long n = strtol(name, &end, 10);

	if (*end || n < 0 || n >= PTY_MAX)
		return -1;
	snprintf(back, sizeof(back), "%ld", n);
	return strcmp(back, name) ? -1 : (int)n;
}

static int devpts_lookup(struct vnode *dir, const char *name, struct vnode **out)
{
	int index = index_of(name);
	struct pty *p;

	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	if (!strcmp(name, "ptmx"))
		return node_new(dir->mnt, PTMX_INO, NULL, out);
	p = index < 0 ? NULL : pty_next(index);
	if (p && p->index == index)
		return node_new(dir->mnt, FIRST_INO + (uint64_t)index, p, out);
	pty_put(p);
	return -ENOENT;
}

static void set_time(struct statx_timestamp *to, const struct timespec *from)
{
	to->tv_sec = from->tv_sec;
	to->tv_nsec = (uint32_t)from->tv_nsec;
}

static void pty_attr(struct pty *p, struct statx *st)
{
	pthread_mutex_lock(&p->lock);
	st->stx_mode = (uint16_t)(S_IFCHR | p->mode);
	st->stx_uid = p->uid;
	st->stx_gid = p->gid;
	set_time(&st->stx_atime, &p->atime);
	set_time(&st->stx_mtime, &p->mtime);
	set_time(&st->stx_ctime, &p->ctime);
	pthread_mutex_unlock(&p->lock);
	st->stx_rdev_major = PTY_MAJOR;
	st->stx_rdev_minor = (uint32_t)p->index;
}

static int devpts_getattr(struct task *t, struct vnode *vn, struct statx *st)
{
	struct ptsnode *n = node_of(vn);
	dev_t dev = vn->mnt ? vn->mnt->dev : 0;

	memset(st, 0, sizeof(*st));
	st->stx_mask = STATX_BASIC_STATS;
	st->stx_blksize = 1024;
	st->stx_ino = vn->ino;
	st->stx_nlink = S_ISDIR(vn->type) ? 2 : 1;
	st->stx_dev_major = major(dev);
	st->stx_dev_minor = minor(dev);
	if (n->pty) {
		pty_attr(n->pty, st);
		return 0;
	}
	st->stx_mode = (uint16_t)(S_ISDIR(vn->type) ? S_IFDIR | 0755 : S_IFCHR | 0666);
	st->stx_atime.tv_sec = st->stx_mtime.tv_sec = st->stx_ctime.tv_sec = time(NULL);
	if (S_ISCHR(vn->type)) {
		st->stx_rdev_major = 5;
		st->stx_rdev_minor = 2;
	}
	return 0;
}

static void take_time(struct timespec *to, const struct timespec *from)
{
	if (from->tv_nsec == UTIME_NOW)
		clock_gettime(CLOCK_REALTIME, to);
	else if (from->tv_nsec != UTIME_OMIT)
		*to = *from;
}

static int devpts_setattr(struct vnode *vn, const struct vattr *a)
{
	struct pty *p = node_of(vn)->pty;
	int r = 0;

	if (!p)
		return -EPERM;
	pthread_mutex_lock(&p->lock);
	/* Nobody else is in the sandbox to own it; the group is a name only. */
	if (a->mask & VATTR_UID && a->uid != (uid_t)-1 && a->uid != p->uid)
		r = -EPERM;
	if (!r && a->mask & VATTR_GID && a->gid != (gid_t)-1)
		p->gid = a->gid;
	if (!r && a->mask & VATTR_MODE)
		p->mode = a->mode & 07777;
	if (!r && a->mask & VATTR_ATIME)
		take_time(&p->atime, &a->atime);
	if (!r && a->mask & VATTR_MTIME)
		take_time(&p->mtime, &a->mtime);
	if (!r)
		clock_gettime(CLOCK_REALTIME, &p->ctime);
	pthread_mutex_unlock(&p->lock);
	return r;
}

static int devpts_statfs(struct vnode *vn, struct statfs *st)
{
	memset(st, 0, sizeof(*st));
	st->f_type = DEVPTS_SUPER_MAGIC;
	st->f_bsize = st->f_frsize = 4096;
	st->f_namelen = NAME_MAX;
	return 0;
}

/* ---- open files ---- */

/* Position 0 and 1: . and ..; 2: ptmx; 3 + N: terminal N. */
static int dir_getdents(struct task *t, struct file *f, struct dirent_sink *sink)
{
	bool more = true;
	char name[16];
	struct pty *p;

	pthread_mutex_lock(&f->lock);
	if (f->pos == 0 && (more = dirent_emit(sink, ROOT_INO, 1, DT_DIR, ".")))
		f->pos = 1;
	if (more && f->pos == 1 && (more = dirent_emit(sink, ROOT_INO, 2, DT_DIR, "..")))
		f->pos = 2;
	if (more && f->pos == 2 && (more = dirent_emit(sink, PTMX_INO, 3, DT_CHR, "ptmx")))
		f->pos = 3;
	while (more && f->pos >= 3 && f->pos - 3 < PTY_MAX && (p = pty_next((int)f->pos - 3))) {
		snprintf(name, sizeof(name), "%d", p->index);
		more = dirent_emit(sink, FIRST_INO + (uint64_t)p->index, p->index + 4, DT_CHR, name);
		if (more)
			f->pos = p->index + 4;
		pty_put(p);
	}
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static const struct file_ops dir_ops = {
	.read = dirfile_io,
	.seek = dirfile_seek,
	.getdents = dir_getdents,
	.fstat = dirfile_fstat,
	.release = dirfile_release,
};

static int devpts_open_node(struct task *t, struct vnode *vn, unsigned flags, struct file **out)
{
	if (S_ISDIR(vn->type) || flags & O_PATH)
		return dirfile_open(vn, &dir_ops, flags, POL_FD_TTY, out);
	if (node_of(vn)->pty)
		return pty_open_slave(t, node_of(vn)->pty, flags, out);
	return pty_open_master(flags, out);
}

static const struct vnode_ops devpts_ops = {
	.lookup = devpts_lookup,
	.open = devpts_open_node,
	.getattr = devpts_getattr,
	.setattr = devpts_setattr,
	.statfs = devpts_statfs,
	.release = devpts_release,
};

int devpts_open(struct task *t, struct pty *p, unsigned flags, struct file **out)
{
	const uint32_t verbs[] = {POL_V_READ, POL_V_WRITE, POL_V_READ | POL_V_WRITE, 0};
	struct pol_verdict v = {.action = POL_ALLOW};
	struct vnode *n;
	char path[32];
	int r, len = snprintf(path, sizeof(path), "/dev/pts/%d", p->index);

	if (sandbox.image)
		vfs_judge(path, (size_t)len, verbs[flags & O_ACCMODE], &v);
	if (v.action != POL_ALLOW)
		return v.action == POL_DENY ? -(int)v.value : -EACCES;
	r = node_new(devpts_mount, FIRST_INO + (uint64_t)p->index, pty_get(p), &n);
	if (r)
		return r;
	r = vfs_open(t, n, path, flags, out);
	vnode_put(n);
	return r;
}

int devpts_mount_at(const char *path)
{
	struct vnode *root;
	int r = node_new(NULL, ROOT_INO, NULL, &root);

	return r ? r : vfs_mount(path, root, "devpts", NULL, &devpts_mount);
}
