/* In-memory file system of `scratch` mounts and /dev/shm: nodes, names, attributes. */
#include "sentry/tmpfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "sentry/notify.h"
#include "sentry/task.h"
#include "sentry/vdso.h"

static const struct vnode_ops tmpfs_ops;

struct timespec tmpfs_now(void)
{
	uint64_t ns = vdso_now(CLOCK_REALTIME);

	return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

int tmpfs_charge(struct tmpfs *fs, uint64_t n)
{
	uint64_t used = atomic_load(&fs->used);

	do {
		if (used > fs->limit || n > fs->limit - used)
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak(&fs->used, &used, used + n));
	return 0;
}

void tmpfs_uncharge(struct tmpfs *fs, uint64_t n)
{
	atomic_fetch_sub(&fs->used, n);
}

void tmpfs_touch(struct tnode *n)
{
	n->mtime = n->ctime = tmpfs_now();
}

/* ---- nodes ---- */

int tmpfs_node_new(struct tmpfs *fs, struct mount *mnt, mode_t mode, struct tnode **out)
{
	struct tnode *n;
	int r;

	r = tmpfs_charge(fs, TMPFS_NODE_COST);
	if (r)
		return r;
	n = calloc(1, sizeof(*n));
	if (!n) {
		tmpfs_uncharge(fs, TMPFS_NODE_COST);
		return -ENOMEM;
	}
	atomic_fetch_add(&fs->nr_nodes, 1);
	atomic_init(&n->vn.refs, 1);
	n->vn.ops = &tmpfs_ops;
	n->vn.mnt = mnt;
	n->vn.type = mode & S_IFMT;
	n->vn.hostfd = -1;
	n->vn.ino = atomic_fetch_add(&fs->next_ino, 1);
	n->vn.priv = n;
	n->fs = fs;
	pthread_mutex_init(&n->lock, NULL);
	n->perm = mode & 07777;
	n->uid = current ? current->proc->uid : geteuid();
	n->gid = current ? current->proc->gid : getegid();
	n->nlink = 1;
	n->atime = n->mtime = n->ctime = n->btime = tmpfs_now();
	if (S_ISREG(mode))
		tmpfs_data_init(n);
	else if (S_ISDIR(mode))
		n->dir.free_slot = UINT32_MAX;
	else if (S_ISFIFO(mode))
		n->fifo.host = -1;
	*out = n;
	return 0;
}

static struct vnode *tmpfs_parent(struct vnode *vn, char name[NAME_MAX + 1])
{
	struct tnode *n = tnode_of(vn);
	struct vnode *dir = NULL;

	pthread_mutex_lock(&n->fs->lock);
	if (n->entry) {
		dir = vnode_get(&n->entry->dir->vn);
		strcpy(name, n->entry->name);
	}
	pthread_mutex_unlock(&n->fs->lock);
	return dir;
}

static void tmpfs_release(struct vnode *vn)
{
	struct tnode *n = tnode_of(vn);
	struct tmpfs *fs = n->fs;

	notify_gone(vn);
	if (S_ISREG(vn->type)) {
		tmpfs_data_free(n);
	} else if (S_ISDIR(vn->type)) {
		tmpfs_dir_free(n);
	} else if (S_ISFIFO(vn->type)) {
		tmpfs_fifo_free(n);
	} else if (S_ISLNK(vn->type)) {
		tmpfs_uncharge(fs, n->target ? strlen(n->target) : 0);
		free(n->target);
	}
	tmpfs_xattr_free(n);
	tmpfs_lower_free(n);
	free(vn->path);
	tmpfs_named(n);
	pthread_mutex_destroy(&n->lock);
	free(n);
	tmpfs_uncharge(fs, TMPFS_NODE_COST);
	if (atomic_fetch_sub(&fs->nr_nodes, 1) == 1) {
		pthread_mutex_destroy(&fs->lock);
		free(fs);
	}
}

void tmpfs_inherit_group(const struct tnode *dir, struct tnode *n)
{
	if (!(dir->perm & S_ISGID))
		return;
	n->gid = dir->gid;
	if (S_ISDIR(n->vn.type))
		n->perm |= S_ISGID;
}

/* Enters the new node n as name in dir. Drops nothing: the caller keeps its own reference. */
static int enter(struct tnode *dir, const char *name, struct tnode *n)
{
	struct tentry *e;
	int r;

	pthread_mutex_lock(&dir->fs->lock);
	r = tmpfs_find(dir, name, &e);
	if (!r && !dir->nlink)
		r = -ENOENT;
	else if (!r && e)
		r = -EEXIST;
	else if (!r)
		r = tmpfs_dir_add(dir, name, n);
	if (!r) {
		vnode_get(&n->vn);
		tmpfs_inherit_group(dir, n);
		tmpfs_touch(dir);
	}
	pthread_mutex_unlock(&dir->fs->lock);
	return r;
}

int tmpfs_permit(struct vnode *n, int mode)
{
	return current && current->proc->uid ? vfs_access(current, n, mode) : 0;
}

/* Makes a node and enters it; target is for symlinks, taken over. */
static int make(struct vnode *dir, const char *name, mode_t mode, dev_t dev, char *target)
{
	struct tnode *d = tnode_of(dir), *n;
	int r = tmpfs_permit(dir, W_OK | X_OK);

	if (!r)
		r = tmpfs_node_new(d->fs, dir->mnt, mode, &n);
	if (r) {
		free(target);
		return r;
	}
	n->rdev = dev;
	if (target) {
		r = tmpfs_charge(d->fs, strlen(target));
		if (r)
			free(target);
		else
			n->target = target;
	}
	if (!r)
		r = enter(d, name, n);
	vnode_put(&n->vn);
	return r;
}

/* ---- operations on names ---- */

static int tmpfs_lookup(struct vnode *dir, const char *name, struct vnode **out)
{
	struct tnode *d = tnode_of(dir);
	struct tentry *e;
	int r;

	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	r = tmpfs_permit(dir, X_OK);
	if (r)
		return r;
	pthread_mutex_lock(&d->fs->lock);
	r = tmpfs_find(d, name, &e);
	if (e)
		*out = vnode_get(&e->node->vn);
	else if (!r)
		r = -ENOENT;
	pthread_mutex_unlock(&d->fs->lock);
	return r;
}

static int tmpfs_open(struct task *t, struct vnode *node, unsigned flags, struct file **out)
{
	struct tnode *n = tnode_of(node);
	int r = 0;

	if (!(flags & O_PATH))
		r = tmpfs_permit(node, ((flags & O_ACCMODE) != O_WRONLY ? R_OK : 0) |
				       ((flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY ? W_OK : 0));
	if (r)
		return r;
	if (S_ISDIR(node->type))
		return tmpfs_dir_open(n, flags, out);
	if (S_ISREG(node->type) || (flags & O_PATH))
		return tmpfs_data_open(n, flags, out);
	if (S_ISFIFO(node->type))
		return tmpfs_fifo_open(t, n, flags, out);
	return S_ISLNK(node->type) ? -ELOOP : -ENXIO;
}

static int tmpfs_create(struct task *t, struct vnode *dir, const char *name, mode_t mode,
			unsigned flags, struct vnode **node, struct file **out)
{
	struct tnode *d = tnode_of(dir), *n;
	struct file *f;
	int r = tmpfs_permit(dir, W_OK | X_OK);

	if (!r)
		r = tmpfs_node_new(d->fs, dir->mnt, S_IFREG | (mode & 07777), &n);
	if (r)
		return r;
	r = tmpfs_data_open(n, flags & ~(unsigned)O_TRUNC, &f);
	if (!r) {
		r = enter(d, name, n);
		if (r)
			file_put(f);
	}
	if (r) {
		vnode_put(&n->vn);
		return r;
	}
	*node = &n->vn;
	*out = f;
	return 0;
}

static int tmpfs_mkdir(struct vnode *dir, const char *name, mode_t mode)
{
	return make(dir, name, S_IFDIR | (mode & 07777), 0, NULL);
}

static int tmpfs_mknod(struct vnode *dir, const char *name, mode_t mode, dev_t dev)
{
	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode))
		return -EPERM;
	return make(dir, name, mode & (S_IFMT | 07777), 0, NULL);
}

static int tmpfs_symlink(struct vnode *dir, const char *name, const char *target)
{
	char *copy = strdup(target);

	return copy ? make(dir, name, S_IFLNK | 0777, 0, copy) : -ENOMEM;
}

static int tmpfs_link(struct vnode *node, struct vnode *dir, const char *name)
{
	struct tnode *n = tnode_of(node), *d = tnode_of(dir);
	struct tentry *e;
	int r = tmpfs_permit(dir, W_OK | X_OK);

	if (r || S_ISDIR(node->type))
		return r ? r : -EPERM;
	pthread_mutex_lock(&d->fs->lock);
	r = tmpfs_find(d, name, &e);
	if (r)
		;
	else if (!d->nlink || (!n->nlink && !n->linkable))
		r = -ENOENT;
	else if (n->nlink >= TMPFS_LINK_MAX)
		r = -EMLINK;
	else if (e)
		r = -EEXIST;
	else
		r = tmpfs_dir_add(d, name, n);
	if (!r) {
		vnode_get(node);
		n->nlink++;
		n->linkable = false;
		tmpfs_named(n);
		n->ctime = tmpfs_now();
		tmpfs_touch(d);
	}
	pthread_mutex_unlock(&d->fs->lock);
	return r;
}

/* Takes the entry out of its directory; the caller puts the node it gets, without the lock. */
static struct tnode *remove_entry(struct tentry *e)
{
	struct tnode *n = e->node;

	tmpfs_touch(e->dir);
	tmpfs_dir_del(e);
	n->nlink--;
	n->ctime = tmpfs_now();
	tmpfs_lower_unlinked(n);
	return n;
}

static int tmpfs_unlink(struct vnode *dir, const char *name, bool rmdir)
{
	struct tnode *d = tnode_of(dir), *gone = NULL;
	struct tentry *e;
	int r = tmpfs_permit(dir, W_OK | X_OK);

	if (r)
		return r;
	pthread_mutex_lock(&d->fs->lock);
	r = tmpfs_find(d, name, &e);
	if (!r && e && rmdir && S_ISDIR(e->node->vn.type))
		r = tmpfs_lower_list(e->node);
	if (r)
		;
	else if (!e)
		r = -ENOENT;
	else if (rmdir && !S_ISDIR(e->node->vn.type))
		r = -ENOTDIR;
	else if (!rmdir && S_ISDIR(e->node->vn.type))
		r = -EISDIR;
	else if (rmdir && e->node->dir.count)
		r = -ENOTEMPTY;
	else if (e->node->vn.path)
		r = -EBUSY; /* something is mounted on it */
	else
		gone = remove_entry(e);
	pthread_mutex_unlock(&d->fs->lock);
	if (gone)
		vnode_put(&gone->vn);
	return r;
}

/* ---- attributes ---- */

static ssize_t tmpfs_readlink(struct task *t, struct vnode *node, char *buf, size_t size)
{
	struct tnode *n = tnode_of(node);
	size_t len;

	if (!S_ISLNK(node->type))
		return -EINVAL;
	len = strlen(n->target);
	len = MIN(len, size);
	memcpy(buf, n->target, len);
	return (ssize_t)len;
}

static struct statx_timestamp stamp(const struct timespec *ts)
{
	return (struct statx_timestamp){.tv_sec = ts->tv_sec, .tv_nsec = (uint32_t)ts->tv_nsec};
}

static void fill_attr(struct tnode *n, struct statx *st)
{
	uint64_t size = 0, blocks = 0;

	if (S_ISREG(n->vn.type))
		tmpfs_data_sync(n, &size, &blocks);
	else if (S_ISDIR(n->vn.type))
		size = n->dir.unread ? n->dir.host_size : ((uint64_t)n->dir.count + 2) * 20;
	else if (S_ISLNK(n->vn.type))
		size = strlen(n->target);
	st->stx_size = size;
	st->stx_blocks = blocks;
	st->stx_nlink = n->nlink;
	if (S_ISDIR(n->vn.type) && n->nlink)
		st->stx_nlink = n->dir.unread ? n->dir.host_links : n->dir.subdirs + 2;
	st->stx_uid = n->uid;
	st->stx_gid = n->gid;
	st->stx_mode = (uint16_t)(n->vn.type | n->perm);
	st->stx_atime = stamp(&n->atime);
	st->stx_mtime = stamp(&n->mtime);
	st->stx_ctime = stamp(&n->ctime);
	st->stx_btime = stamp(&n->btime);
}

int tmpfs_getattr(struct task *t, struct vnode *vn, struct statx *st)
{
	struct tnode *n = tnode_of(vn);
	dev_t dev = vn->mnt ? vn->mnt->dev : 0;

	memset(st, 0, sizeof(*st));
	pthread_mutex_lock(&n->lock);
	pthread_mutex_lock(&n->fs->lock);
	fill_attr(n, st);
	pthread_mutex_unlock(&n->fs->lock);
	pthread_mutex_unlock(&n->lock);
	st->stx_mask = STATX_BASIC_STATS | STATX_BTIME;
	st->stx_blksize = TMPFS_PAGE;
	st->stx_ino = vn->ino;
	st->stx_dev_major = major(dev);
	st->stx_dev_minor = minor(dev);
	st->stx_rdev_major = major(n->rdev);
	st->stx_rdev_minor = minor(n->rdev);
	return 0;
}

static void set_time(struct timespec *dst, const struct timespec *src)
{
	if (src->tv_nsec == UTIME_NOW)
		*dst = tmpfs_now();
	else if (src->tv_nsec != UTIME_OMIT)
		*dst = *src;
}

static int tmpfs_setattr(struct vnode *node, const struct vattr *a)
{
	struct tnode *n = tnode_of(node);
	uint64_t size, blocks;
	int r;

	if (a->mask & VATTR_SIZE) {
		if (!S_ISREG(node->type))
			return S_ISDIR(node->type) ? -EISDIR : -EINVAL;
		r = tmpfs_data_truncate(n, a->size);
		if (r)
			return r;
	}
	pthread_mutex_lock(&n->lock);
	pthread_mutex_lock(&n->fs->lock);
	if (S_ISREG(node->type)) /* take over what happened before */
		tmpfs_data_sync(n, &size, &blocks);
	if (a->mask & VATTR_MODE)
		n->perm = a->mode & 07777;
	if (a->mask & VATTR_UID)
		n->uid = a->uid;
	if (a->mask & VATTR_GID)
		n->gid = a->gid;
	if (a->mask & VATTR_ATIME)
		set_time(&n->atime, &a->atime);
	if (a->mask & VATTR_MTIME)
		set_time(&n->mtime, &a->mtime);
	n->ctime = tmpfs_now();
	n->dirty = true;
	if (S_ISREG(node->type))
		tmpfs_data_times_set(n);
	pthread_mutex_unlock(&n->fs->lock);
	pthread_mutex_unlock(&n->lock);
	return 0;
}

static int tmpfs_statfs(struct vnode *node, struct statfs *st)
{
	struct tmpfs *fs = tnode_of(node)->fs;
	uint64_t used = atomic_load(&fs->used);
	uint64_t left = fs->limit > used ? fs->limit - used : 0;

	memset(st, 0, sizeof(*st));
	st->f_type = fs->overlay ? OVERLAYFS_SUPER_MAGIC : TMPFS_MAGIC;
	st->f_bsize = st->f_frsize = TMPFS_PAGE;
	st->f_blocks = fs->limit / TMPFS_PAGE;
	st->f_bfree = st->f_bavail = left / TMPFS_PAGE;
	st->f_files = atomic_load(&fs->nr_nodes) + left / (TMPFS_NODE_COST + TMPFS_ENTRY_COST);
	st->f_ffree = left / (TMPFS_NODE_COST + TMPFS_ENTRY_COST);
	st->f_namelen = NAME_MAX;
	return 0;
}

/* Writes the path from its end towards the start of buf. */
int tmpfs_path_locked(const struct tnode *n, char *buf, size_t size)
{
	size_t pos = size, len;
	const struct tentry *e;

	if (!size)
		return -ENAMETOOLONG;
	if (n->nameless) {
		snprintf(buf, size, "%s", n->nameless);
		return strlen(n->nameless) < size ? 0 : -ENAMETOOLONG;
	}
	buf[--pos] = '\0';
	while (!S_ISDIR(n->vn.type) || n->dir.parent) {
		e = n->entry;
		if (!e)
			return -ENOENT;
		len = strlen(e->name);
		if (len + 1 > pos)
			return -ENAMETOOLONG;
		pos -= len;
		memcpy(buf + pos, e->name, len);
		buf[--pos] = '/';
		n = e->dir;
	}
	if (!n->nlink)
		return -ENOENT;
	memmove(buf, buf + pos, size - pos);
	return 0;
}

static int tmpfs_node_path(struct vnode *node, char *buf, size_t size)
{
	struct tnode *n = tnode_of(node);
	int r;

	pthread_mutex_lock(&n->fs->lock);
	r = tmpfs_path_locked(n, buf, size);
	pthread_mutex_unlock(&n->fs->lock);
	return r;
}

static const struct vnode_ops tmpfs_ops = {
	.lookup = tmpfs_lookup,
	.open = tmpfs_open,
	.create = tmpfs_create,
	.tmpfile = tmpfs_tmpfile,
	.mkdir = tmpfs_mkdir,
	.mknod = tmpfs_mknod,
	.symlink = tmpfs_symlink,
	.link = tmpfs_link,
	.unlink = tmpfs_unlink,
	.rename = tmpfs_rename,
	.readlink = tmpfs_readlink,
	.getattr = tmpfs_getattr,
	.setattr = tmpfs_setattr,
	.statfs = tmpfs_statfs,
	.getxattr = tmpfs_getxattr,
	.setxattr = tmpfs_setxattr,
	.listxattr = tmpfs_listxattr,
	.node_path = tmpfs_node_path,
	.parent = tmpfs_parent,
	.release = tmpfs_release,
};

/* Without a size: the sandbox's memory limit, or half of the host's memory as Linux does. */
static uint64_t default_limit(void)
{
	struct sysinfo si;

	if (sandbox.config.limit_memory)
		return sandbox.config.limit_memory;
	return sysinfo(&si) ? 0 : (uint64_t)si.totalram * si.mem_unit / 2;
}

int tmpfs_root(uint64_t max_bytes, struct vnode **out)
{
	struct tmpfs *fs = calloc(1, sizeof(*fs));
	struct tnode *root;
	int r;

	if (!fs)
		return -ENOMEM;
	pthread_mutex_init(&fs->lock, NULL);
	fs->limit = max_bytes ? max_bytes : default_limit();
	atomic_init(&fs->next_ino, 1);
	if (getrandom(&fs->seed, sizeof(fs->seed), GRND_NONBLOCK) < 0)
		fs->seed = (uintptr_t)fs;
	r = tmpfs_node_new(fs, NULL, S_IFDIR | 01777, &root);
	if (r) {
		free(fs);
		return r;
	}
	*out = &root->vn;
	return 0;
}
