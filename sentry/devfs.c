/* /dev: the harmless character devices of the host, held by O_PATH descriptors from before
 * confinement, the sandbox's own ptmx, and the usual symlinks. /dev/shm and /dev/pts are file systems
 * of their own, mounted over the directories. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/dirent.h"
#include "sentry/confine.h"
#include "sentry/hostproc.h"
#include "sentry/pty.h"
#include "sentry/task.h"
#include "sentry/vfs.h"

enum { ROOT = -1 };

static const struct dev_entry {
	const char *name;
	mode_t type;
	const char *target; /* symlink */
} entries[] = {
	{"fd", S_IFLNK, "/proc/self/fd"},
	{"full", S_IFCHR, NULL},
	{"null", S_IFCHR, NULL},
	{"ptmx", S_IFCHR, NULL},
	{"pts", S_IFDIR, NULL},
	{"random", S_IFCHR, NULL},
	{"shm", S_IFDIR, NULL},
	{"stderr", S_IFLNK, "/proc/self/fd/2"},
	{"stdin", S_IFLNK, "/proc/self/fd/0"},
	{"stdout", S_IFLNK, "/proc/self/fd/1"},
	{"tty", S_IFCHR, NULL},
	{"urandom", S_IFCHR, NULL},
	{"zero", S_IFCHR, NULL},
};

static int host_fd[ARRAY_SIZE(entries)]; /* O_PATH; -1: the host has no such device, or it is ours */

struct dnode {
	struct vnode vn; /* first */
	int index;	 /* into entries, or ROOT */
};

static const struct vnode_ops devfs_ops;

static struct dnode *dnode_of(struct vnode *vn)
{
	return container_of(vn, struct dnode, vn);
}

static int dnode_new(struct mount *mnt, int index, struct vnode **out)
{
	struct dnode *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	atomic_init(&n->vn.refs, 1);
	n->vn.ops = &devfs_ops;
	n->vn.mnt = mnt;
	n->vn.type = index == ROOT ? S_IFDIR : entries[index].type;
	n->vn.hostfd = -1; /* host_fd is shared by all nodes of a device */
	n->vn.ino = (uint64_t)(index + 2);
	n->index = index;
	*out = &n->vn;
	return 0;
}

static void devfs_release(struct vnode *vn)
{
	free(vn->path);
	free(dnode_of(vn));
}

static bool is(int index, const char *name)
{
	return index != ROOT && !strcmp(entries[index].name, name);
}

static bool exists(size_t i)
{
	return entries[i].type != S_IFCHR || host_fd[i] >= 0 || is((int)i, "ptmx") || is((int)i, "tty");
}

static int devfs_lookup(struct vnode *dir, const char *name, struct vnode **out)
{
	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	for (size_t i = 0; dnode_of(dir)->index == ROOT && i < ARRAY_SIZE(entries); i++)
		if (!strcmp(entries[i].name, name) && exists(i))
			return dnode_new(dir->mnt, (int)i, out);
	return -ENOENT;
}

static int devfs_getattr(struct task *t, struct vnode *vn, struct statx *st)
{
	struct dnode *n = dnode_of(vn);
	dev_t dev = vn->mnt ? vn->mnt->dev : 0;

	if (S_ISCHR(vn->type) && host_fd[n->index] >= 0)
		return statx(host_fd[n->index], "", AT_EMPTY_PATH, STATX_BASIC_STATS, st) ? -errno : 0;
	memset(st, 0, sizeof(*st));
	st->stx_mask = STATX_BASIC_STATS;
	st->stx_mode = (uint16_t)(vn->type | (S_ISLNK(vn->type) ? 0777 : 0755));
	if (S_ISCHR(vn->type)) {
		st->stx_mode = S_IFCHR | 0666;
		st->stx_rdev_major = 5; /* ptmx, or tty where the host has none */
		st->stx_rdev_minor = is(n->index, "ptmx") ? 2 : 0;
	}
	st->stx_blksize = 4096;
	st->stx_ino = vn->ino;
	st->stx_nlink = S_ISDIR(vn->type) ? 2 : 1;
	if (S_ISLNK(vn->type))
		st->stx_size = strlen(entries[n->index].target);
	st->stx_dev_major = major(dev);
	st->stx_dev_minor = minor(dev);
	st->stx_atime.tv_sec = st->stx_mtime.tv_sec = st->stx_ctime.tv_sec = time(NULL);
	return 0;
}

static int devfs_statfs(struct vnode *vn, struct statfs *st)
{
	memset(st, 0, sizeof(*st));
	st->f_type = TMPFS_MAGIC; /* as the host's devtmpfs says */
	st->f_bsize = st->f_frsize = 4096;
	st->f_namelen = NAME_MAX;
	return 0;
}

static ssize_t devfs_readlink(struct task *t, struct vnode *vn, char *buf, size_t size)
{
	const char *target = entries[dnode_of(vn)->index].target;
	size_t len;

	if (!S_ISLNK(vn->type))
		return -EINVAL;
	len = MIN(strlen(target), size);
	memcpy(buf, target, len);
	return (ssize_t)len;
}

/* ---- open files ---- */

static int dir_getdents(struct task *t, struct file *f, struct dirent_sink *sink)
{
	struct vnode *vn = f->priv;
	bool more = true;

	pthread_mutex_lock(&f->lock);
	if (f->pos == 0 && (more = dirent_emit(sink, vn->ino, 1, DT_DIR, ".")))
		f->pos = 1;
	if (more && f->pos == 1 && (more = dirent_emit(sink, 1, 2, DT_DIR, "..")))
		f->pos = 2;
	while (more && dnode_of(vn)->index == ROOT && f->pos - 2 < (off_t)ARRAY_SIZE(entries)) {
		size_t i = (size_t)f->pos - 2;

		more = !exists(i) || dirent_emit(sink, i + 2, f->pos + 1,
						 (unsigned char)IFTODT(entries[i].type),
						 entries[i].name);
		f->pos += more;
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

static int open_device(int index, unsigned flags, struct file **out)
{
	const unsigned keep = O_ACCMODE | O_APPEND | O_NONBLOCK | O_NOCTTY;
	int fd = hostproc_reopen(host_fd[index], (flags & keep) | O_NOCTTY);

	if (fd < 0)
		return fd;
	*out = file_new(&file_host_ops, fd, flags & ~(unsigned)O_TRUNC,
			isatty(fd) ? POL_FD_TTY : POL_FD_DEVICE);
	return *out ? 0 : -ENOMEM;
}

/* /dev/tty: the terminal that controls the session. */
static int open_tty(struct task *t, int index, unsigned flags, struct file **out)
{
	bool host = true;
	struct pty *p = pty_controlling(t, &host);
	int r = -ENXIO;

	if (host)
		return host_fd[index] >= 0 ? open_device(index, flags, out) : -ENXIO;
	if (p)
		r = pty_open_slave(t, p, flags | O_NOCTTY, out);
	pty_put(p);
	return r;
}

static int devfs_open(struct task *t, struct vnode *vn, unsigned flags, struct file **out)
{
	int index = dnode_of(vn)->index;

	if (S_ISDIR(vn->type) || (flags & O_PATH))
		return dirfile_open(vn, &dir_ops, flags, POL_FD_FILE, out);
	if (S_ISLNK(vn->type))
		return -ELOOP;
	if (is(index, "ptmx"))
		return pty_open_master(flags, out);
	return is(index, "tty") ? open_tty(t, index, flags, out) : open_device(index, flags, out);
}

static const struct vnode_ops devfs_ops = {
	.lookup = devfs_lookup,
	.open = devfs_open,
	.readlink = devfs_readlink,
	.getattr = devfs_getattr,
	.statfs = devfs_statfs,
	.release = devfs_release,
};

/* Holds the host's device of entry i, unless what has the name is no character device. */
static void hold_device(int dir, size_t i)
{
	struct stat st;

	host_fd[i] = -1;
	if (dir < 0 || entries[i].type != S_IFCHR || is((int)i, "ptmx"))
		return;
	host_fd[i] = openat(dir, entries[i].name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (host_fd[i] < 0 || (!fstat(host_fd[i], &st) && S_ISCHR(st.st_mode)))
		return;
	close(host_fd[i]);
	host_fd[i] = -1;
}

int devfs_host_fd(size_t index)
{
	size_t seen = 0;

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		if (entries[i].type == S_IFCHR && host_fd[i] > 0 && seen++ == index)
			return host_fd[i];
	return -1;
}

int devfs_root(struct vnode **out)
{
	int dir = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC), r;
	struct vnode *shm;

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		hold_device(dir, i);
	if (dir >= 0)
		close(dir);
	r = tmpfs_root(0, &shm);
	if (r)
		return r;
	r = vfs_mount("/dev/shm", shm, "tmpfs", NULL, NULL);
	r = r ? r : devpts_mount_at("/dev/pts");
	return r ? r : dnode_new(NULL, ROOT, out);
}
