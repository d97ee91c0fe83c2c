/* Names: directories, links, renaming, the working directory. Each acts on the parent that
 * resolution pinned, by one checked component. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include "sentry/hostfs.h"
#include "sentry/notify.h"
#include "sentry/sys_file.h"

static bool is_mount_root(const struct vnode *n)
{
	return n->mnt && n->mnt->root == n;
}

/* Common to mkdir, mknod, symlink and link: the place of a new name. */
static int check_new(const struct vpath *v, bool dir)
{
	if (!v->dir || v->node)
		return -EEXIST;
	return v->must_dir && !dir ? -ENOENT : 0;
}

/* Tells watchers of a new name. r: what came of making it. */
static int made(const struct vpath *v, int r, bool dir)
{
	if (!r)
		notify_name(v->dir, v->name, dir, IN_CREATE, 0);
	return r;
}

static long do_mkdir(struct task *t, struct sysargs *a, mode_t mode)
{
	const struct vpath *v = a->path[0].v;
	int r = check_new(v, true);

	if (r)
		return r;
	if (!v->dir->ops->mkdir)
		return -EPERM;
	r = v->dir->ops->mkdir(v->dir, v->name, sys_create_mode(t, mode & (0777 | S_ISVTX)));
	return made(v, r, true);
}

long sys_mkdir(struct task *t, struct sysargs *a)
{
	return do_mkdir(t, a, A_UINT(a, 1));
}

long sys_mkdirat(struct task *t, struct sysargs *a)
{
	return do_mkdir(t, a, A_UINT(a, 2));
}

static long do_mknod(struct task *t, struct sysargs *a, mode_t mode, unsigned dev)
{
	const struct vpath *v = a->path[0].v;
	int r = check_new(v, false);

	if (r)
		return r;
	switch (mode & S_IFMT) {
	case 0:
		mode |= S_IFREG;
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
		return -EPERM;
	default:
		return -EINVAL;
	}
	if (!v->dir->ops->mknod)
		return -EPERM;
	return made(v, v->dir->ops->mknod(v->dir, v->name, sys_create_mode(t, mode), dev), false);
}

long sys_mknod(struct task *t, struct sysargs *a)
{
	return do_mknod(t, a, A_UINT(a, 1), A_UINT(a, 2));
}

long sys_mknodat(struct task *t, struct sysargs *a)
{
	return do_mknod(t, a, A_UINT(a, 2), A_UINT(a, 3));
}

/* The target is text that no rule judges: it is judged when somebody follows the link. */
static long do_symlink(struct task *t, struct sysargs *a)
{
	const struct vpath *v = a->path[0].v;
	int r = check_new(v, false);

	if (r)
		return r;
	if (!v->dir->ops->symlink)
		return -EPERM;
	return made(v, v->dir->ops->symlink(v->dir, v->name, a->str), false);
}

long sys_symlink(struct task *t, struct sysargs *a)
{
	return do_symlink(t, a);
}

long sys_symlinkat(struct task *t, struct sysargs *a)
{
	return do_symlink(t, a);
}

static long do_link(struct sysargs *a)
{
	const struct vpath *from = a->path[0].v, *to = a->path[1].v;
	struct vnode *node = from->node;
	int r;

	if (from->file &&
	    (!node || !(from->file->verbs & POL_V_LINK) || sys_link_widens(from->file, to)))
		return -ENOENT; /* as Linux, to callers without privileges */
	r = check_new(to, false);
	if (r)
		return r;
	if (node->type == S_IFDIR || !to->dir->ops->link)
		return -EPERM;
	if (node->mnt != to->dir->mnt)
		return -EXDEV;
	r = to->dir->ops->link(node, to->dir, to->name);
	if (!r)
		notify_self(node, IN_ATTRIB);
	return made(to, r, false);
}

long sys_link(struct task *t, struct sysargs *a)
{
	return do_link(a);
}

long sys_linkat(struct task *t, struct sysargs *a)
{
	return do_link(a);
}

/* ---- removing ---- */

/* The node is let go before the name is told to be gone, as on Linux: its own watchers hear first. */
static int remove_name(struct vpath *v, bool rmdir)
{
	struct vnode *n = v->node;
	int r;

	if (!v->dir->ops->unlink)
		return -EPERM;
	if (n->ops == &hostfs_ops) {
		vnode_put(n);
		v->node = NULL;
		return v->dir->ops->unlink(v->dir, v->name, rmdir);
	}
	r = v->dir->ops->unlink(v->dir, v->name, rmdir);
	if (r)
		return r;
	if (!rmdir)
		notify_self(n, IN_ATTRIB);
	vnode_put(n);
	v->node = NULL;
	notify_name(v->dir, v->name, rmdir, IN_DELETE, 0);
	return 0;
}

static long do_unlink(struct sysargs *a)
{
	const struct vpath *v = a->path[0].v;

	if (!v->dir)
		return -EISDIR;
	if (!v->node)
		return -ENOENT;
	if (v->must_dir)
		return v->node->type == S_IFDIR ? -EISDIR : -ENOTDIR;
	if (v->node->type == S_IFDIR)
		return -EISDIR;
	return remove_name(a->path[0].v, false);
}

static long do_rmdir(struct sysargs *a)
{
	const struct vpath *v = a->path[0].v;

	if (!v->dir) {
		if (!v->name[0])
			return -EBUSY;
		return strcmp(v->name, ".") ? -ENOTEMPTY : -EINVAL;
	}
	if (!v->node)
		return -ENOENT;
	if (v->node->type != S_IFDIR)
		return -ENOTDIR;
	if (is_mount_root(v->node))
		return -EBUSY;
	return remove_name(a->path[0].v, true);
}

long sys_unlink(struct task *t, struct sysargs *a)
{
	return do_unlink(a);
}

long sys_rmdir(struct task *t, struct sysargs *a)
{
	return do_rmdir(a);
}

long sys_unlinkat(struct task *t, struct sysargs *a)
{
	return A_UINT(a, 2) & AT_REMOVEDIR ? do_rmdir(a) : do_unlink(a);
}

/* ---- renaming ---- */

/* A whole tree moves: where rules tell things below it apart, by its old place or its new one, each
 * would have to be judged. As for a move to another file system, the caller moves them one by one. */
static bool moves_as_one(const struct vnode *n, const struct vpath *from, const struct vpath *to)
{
	return n->type != S_IFDIR || !sandbox.image ||
	       (pol_tree_uniform(sandbox.image, from->path, from->path_len) &&
		pol_tree_uniform(sandbox.image, to->path, to->path_len));
}

static int check_rename(const struct vpath *from, const struct vpath *to, unsigned flags)
{
	if (!from->dir)
		return -EBUSY;
	if (!to->dir)
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	if (from->dir->mnt != to->dir->mnt)
		return -EXDEV;
	if (!from->node)
		return -ENOENT;
	if (flags & RENAME_NOREPLACE && to->node)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE && !to->node)
		return -ENOENT;
	if (from->must_dir && from->node->type != S_IFDIR)
		return -ENOTDIR;
	if (to->must_dir && (flags & RENAME_EXCHANGE ? to->node : from->node)->type != S_IFDIR)
		return -ENOTDIR;
	if (is_mount_root(from->node) || (to->node && is_mount_root(to->node)))
		return -EBUSY;
	if (!moves_as_one(from->node, from, to) ||
	    (flags & RENAME_EXCHANGE && !moves_as_one(to->node, from, to)))
		return -EXDEV;
	return 0;
}

/* Tells watchers of a move; over is what it replaced, or NULL. */
static void told_move(const struct vpath *from, const struct vpath *to, struct vnode *over)
{
	bool dir = from->node->type == S_IFDIR;
	uint32_t cookie = notify_any() ? notify_cookie() : 0;

	notify_name(from->dir, from->name, dir, IN_MOVED_FROM, cookie);
	notify_name(to->dir, to->name, dir, IN_MOVED_TO, cookie);
	if (over)
		notify_self(over, IN_ATTRIB);
	notify_self(from->node, IN_MOVE_SELF);
}

static long do_rename(struct sysargs *a, unsigned flags)
{
	const struct vpath *from = a->path[0].v, *to = a->path[1].v;
	int r;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) ||
	    (flags & RENAME_EXCHANGE && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
		return -EINVAL;
	if (flags & RENAME_WHITEOUT)
		return -EPERM; /* makes a device node */
	r = check_rename(from, to, flags);
	if (r)
		return r;
	if (!from->dir->ops->rename)
		return -EPERM;
	r = from->dir->ops->rename(from->dir, from->name, to->dir, to->name, flags);
	if (r || from->node == to->node)
		return r;
	told_move(from, to, flags & RENAME_EXCHANGE ? NULL : to->node);
	if (flags & RENAME_EXCHANGE)
		told_move(to, from, NULL);
	return 0;
}

long sys_rename(struct task *t, struct sysargs *a)
{
	return do_rename(a, 0);
}

long sys_renameat(struct task *t, struct sysargs *a)
{
	return do_rename(a, 0);
}

long sys_renameat2(struct task *t, struct sysargs *a)
{
	return do_rename(a, A_UINT(a, 4));
}

/* ---- where the process is ---- */

static long set_cwd(struct task *t, struct vnode *n, const char *path, size_t len)
{
	struct fsctx *fs = t->proc->fs;
	struct vnode *old;
	int r = vfs_access(t, n, X_OK);

	if (r)
		return r;
	pthread_mutex_lock(&fs->lock);
	old = fs->cwd;
	fs->cwd = vnode_get(n);
	memcpy(fs->cwd_path, path, len + 1);
	pthread_mutex_unlock(&fs->lock);
	vnode_put(old);
	return 0;
}

long sys_chdir(struct task *t, struct sysargs *a)
{
	const struct vpath *v = a->path[0].v;

	return set_cwd(t, v->node, v->path, v->path_len);
}

long sys_fchdir(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	char path[PATH_MAX];
	int r;

	if (!f)
		return -EBADF;
	if (!f->node || f->node->type != S_IFDIR)
		return -ENOTDIR;
	r = vfs_node_path(f->node, path, sizeof(path));
	if (r < 0) { /* removed, or of a file system that cannot tell */
		strncpy(path, f->path ? f->path : "/", sizeof(path) - 1);
		path[sizeof(path) - 1] = '\0';
	}
	return set_cwd(t, f->node, path, strlen(path));
}

int sys_cwd_path(struct task *t, char *buf, size_t size)
{
	struct fsctx *fs = t->proc->fs;
	struct vnode *n;
	int r;

	pthread_mutex_lock(&fs->lock);
	n = vnode_get(fs->cwd);
	r = vfs_node_path(n, buf, size);
	if (r == -EOPNOTSUPP) {
		size_t len = strlen(fs->cwd_path);

		r = len < size ? (int)len : -ENAMETOOLONG;
		if (r >= 0)
			memcpy(buf, fs->cwd_path, len + 1);
	}
	pthread_mutex_unlock(&fs->lock);
	vnode_put(n);
	return r;
}

long sys_chroot(struct task *t, struct sysargs *a)
{
	const struct vpath *v = a->path[0].v;
	int r = vfs_access(t, v->node, X_OK);

	if (r)
		return r;
	return t->proc->uid == 0 ? fsctx_set_root(t->proc->fs, v->node, v->path) : -EPERM;
}

#define UNREACHABLE "(unreachable)"

long sys_getcwd(struct task *t, struct sysargs *a)
{
	char path[sizeof(UNREACHABLE) + PATH_MAX];
	int len = sys_cwd_path(t, path, PATH_MAX);

	if (len < 0)
		return len;
	if (!fsctx_seen_path(t->proc->fs, path)) {
		memmove(path + strlen(UNREACHABLE), path, (size_t)len + 1);
		memcpy(path, UNREACHABLE, strlen(UNREACHABLE));
	}
	len = (int)strlen(path);
	if ((uint64_t)len + 1 > a->raw[1])
		return -ERANGE;
	return gmem_write(t->proc->mm, A_PTR(a, 0), path, (size_t)len + 1) ? -EFAULT : len + 1;
}

long sys_umask(struct task *t, struct sysargs *a)
{
	struct fsctx *fs = t->proc->fs;
	mode_t old;

	pthread_mutex_lock(&fs->lock);
	old = fs->umask;
	fs->umask = A_UINT(a, 0) & 0777;
	pthread_mutex_unlock(&fs->lock);
	return (long)old;
}
