/* open, openat, openat2, creat: on the object that resolution pinned and the policy judged. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include "sentry/notify.h"
#include "sentry/sys_file.h"

#define HOW_FLAGS                                                                                  \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |      \
	 O_DSYNC | O_ASYNC | O_DIRECT | KERNEL_O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW |            \
	 O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
#define HOW_RESOLVE                                                                                \
	(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |         \
	 RESOLVE_IN_ROOT | RESOLVE_CACHED)

mode_t sys_create_mode(struct task *t, mode_t mode)
{
	struct fsctx *fs = t->proc->fs;
	mode_t mask;

	pthread_mutex_lock(&fs->lock);
	mask = fs->umask;
	pthread_mutex_unlock(&fs->lock);
	return mode & ~mask & (S_IFMT | S_ISVTX | 0777);
}

/* openat2 refuses what open ignores. */
static int check_how2(const struct sysargs *a, const struct open_how *how)
{
	bool creates = how->flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY));

	if (a->strct_size < sizeof(*how) || how->flags & ~(uint64_t)HOW_FLAGS ||
	    how->resolve & ~(uint64_t)HOW_RESOLVE || how->mode & ~07777ull)
		return -EINVAL;
	if (how->mode && !creates)
		return -EINVAL;
	if (how->resolve & RESOLVE_BENEATH && how->resolve & RESOLVE_IN_ROOT)
		return -EINVAL;
	if (how->flags & O_PATH &&
	    how->flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
		return -EINVAL;
	return how->resolve & RESOLVE_CACHED ? -EAGAIN : 0;
}

static int check_how(const struct open_how *how)
{
	if (how->flags & O_PATH)
		return 0;
	if (how->flags & (O_TMPFILE & ~O_DIRECTORY)) {
		if (!sys_open_is_tmpfile(how) || how->flags & O_CREAT)
			return -EINVAL;
		if ((how->flags & O_ACCMODE) == O_RDONLY)
			return -EINVAL;
	}
	return (how->flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY) ? -EINVAL : 0;
}

/* Does the type of what is there allow this open? */
static int check_type(const struct open_how *how, const struct vnode *n)
{
	bool writes = (how->flags & O_ACCMODE) != O_RDONLY || how->flags & (O_TRUNC | O_CREAT);

	if ((how->flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (how->flags & O_DIRECTORY && n->type != S_IFDIR)
		return -ENOTDIR;
	if (n->type == S_IFLNK && !(how->flags & O_PATH))
		return -ELOOP;
	if (n->type == S_IFDIR && writes && !sys_open_is_tmpfile(how) && !(how->flags & O_PATH))
		return -EISDIR;
	return 0;
}

static int open_tmpfile(struct task *t, const struct vpath *v, const struct open_how *how,
			struct file **out)
{
	char path[PATH_MAX];
	struct vnode *node;
	int r;

	if (!v->node->ops->tmpfile)
		return -EOPNOTSUPP;
	r = v->node->ops->tmpfile(v->node, v->path, sys_create_mode(t, (mode_t)how->mode),
				  (unsigned)how->flags, &node, out);
	if (r)
		return r;
	r = vfs_node_path(node, path, sizeof(path));
	if (r >= 0)
		r = vfs_file_adopt(*out, node, path);
	vnode_put(node);
	if (r)
		file_put(*out);
	else
		notify_file(*out, IN_OPEN);
	return r;
}

/* Somebody else made the file between resolution and creation. What was granted for creating it is
 * granted for opening it under the very same canonical path. */
static int open_raced(struct task *t, const struct vpath *v, const struct open_how *how,
		      struct file **out)
{
	struct vpath now;
	int r;

	if (how->flags & O_EXCL || (how->flags & O_TRUNC && (how->flags & O_ACCMODE) == O_RDONLY))
		return -EEXIST;
	r = vfs_resolve(t, AT_FDCWD, v->path, VFS_NOFOLLOW, &now);
	if (r)
		return r;
	if (now.node->type != S_IFREG || strcmp(now.path, v->path))
		r = -EEXIST;
	else
		r = vfs_open(t, now.node, now.path, (unsigned)how->flags, out);
	vpath_release(&now);
	return r;
}

static int open_new(struct task *t, const struct vpath *v, const struct open_how *how,
		    struct file **out)
{
	struct vnode *node = NULL;
	int r;

	if (!v->dir->ops->create)
		return -EACCES;
	r = v->dir->ops->create(t, v->dir, v->name, sys_create_mode(t, (mode_t)how->mode),
				(unsigned)how->flags & ~(unsigned)(O_CREAT | O_EXCL | O_TRUNC),
				&node, out);
	if (r == -EEXIST)
		return open_raced(t, v, how, out);
	if (r)
		return r;
	notify_name(v->dir, v->name, false, IN_CREATE, 0);
	r = vfs_file_adopt(*out, node, v->path);
	vnode_put(node);
	if (r)
		file_put(*out);
	else
		notify_file(*out, IN_OPEN);
	return r;
}

int sys_open_check(const struct sysargs *a)
{
	struct open_how how;
	int r = 0;

	sys_open_how(a, &how);
	if (a->nr == SYS_openat2)
		r = a->strct_err && a->strct_size >= sizeof(how) ? a->strct_err
								 : check_how2(a, &how);
	return r ? r : check_how(&how);
}

static long do_open(struct task *t, struct sysargs *a)
{
	const struct vpath *v = a->path[0].v;
	struct open_how open_how, *how = &open_how;
	struct file *f = NULL;
	int r = 0;

	sys_open_how(a, how);
	if (v->node)
		r = check_type(how, v->node);
	if (r)
		return r;
	if (!v->node)
		r = open_new(t, v, how, &f);
	else if (sys_open_is_tmpfile(how) && !(how->flags & O_PATH))
		r = open_tmpfile(t, v, how, &f);
	else
		r = vfs_open(t, v->node, v->path, (unsigned)how->flags, &f);
	if (r)
		return r;
	return fdtab_install(t->proc->fdtab, f, 0, how->flags & O_CLOEXEC);
}

long sys_open(struct task *t, struct sysargs *a)
{
	return do_open(t, a);
}

long sys_openat(struct task *t, struct sysargs *a)
{
	return do_open(t, a);
}

long sys_creat(struct task *t, struct sysargs *a)
{
	return do_open(t, a);
}

long sys_openat2(struct task *t, struct sysargs *a)
{
	return do_open(t, a);
}
