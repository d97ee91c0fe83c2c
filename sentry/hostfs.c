#include "sentry/hostfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/hostproc.h"
#include "sentry/task.h"

static int neg(int r)
{
	return r < 0 ? -errno : r;
}

/* ---- which file systems may be seen ---- */

#define DEV_CACHE 64u /* a power of two */

/* Device numbers whose file system was looked at: (dev << 1 | refused) + 1; 0 is an empty slot. */
static _Atomic uint64_t dev_cache[DEV_CACHE];

static bool refused_type(unsigned long magic)
{
	static const unsigned long refused[] = {
	    PROC_SUPER_MAGIC,
	    SYSFS_MAGIC,
	    CGROUP_SUPER_MAGIC,
	    CGROUP2_SUPER_MAGIC,
	    DEBUGFS_MAGIC,
	    TRACEFS_MAGIC,
	    SECURITYFS_MAGIC,
	    SELINUX_MAGIC,
	    SMACK_MAGIC,
	    BPF_FS_MAGIC,
	    DEVPTS_SUPER_MAGIC,
	    PSTOREFS_MAGIC,
	    EFIVARFS_MAGIC,
	    BINDERFS_SUPER_MAGIC,
	    NSFS_MAGIC,
	    0x62656570 /* configfs */,
	    0x19800202 /* mqueue */,
	    0x65735543 /* fusectl */,
	    0xabba1974 /* xenfs */,
	    0x7655821 /* resctrl */,
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (refused[i] == magic)
			return true;
	return false;
}

/* The kernel's own file systems reach past every rule about names: the app gets the sentry's /proc,
 * /sys and /dev, and no other instance. */
static int check_fs(int fd, uint32_t major, uint32_t minor)
{
	uint64_t dev = (uint64_t)major << 32 | minor, seen;
	_Atomic uint64_t *slot = &dev_cache[(minor ^ major * 31) & (DEV_CACHE - 1)];
	struct statfs sf;
	bool refuse;

	seen = atomic_load_explicit(slot, memory_order_relaxed);
	if (seen && (seen - 1) >> 1 == dev)
		return (seen - 1) & 1 ? -ENOENT : 0;
	if (fstatfs(fd, &sf))
		return -errno;
	refuse = refused_type((unsigned long)sf.f_type);
	atomic_store_explicit(slot, (dev << 1 | refuse) + 1, memory_order_relaxed);
	return refuse ? -ENOENT : 0;
}

/* ---- nodes ---- */

static void hostfs_release(struct vnode *n)
{
	if (n->hostfd >= 0)
		close(n->hostfd);
	free(n->priv);
	free(n->path);
	free(n);
}

int hostfs_node(int fd, struct mount *mnt, struct vnode **out)
{
	struct vnode *n;
	struct statx st;
	int r;

	r = neg(statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
		      STATX_TYPE | STATX_INO, &st));
	if (!r)
		r = check_fs(fd, st.stx_dev_major, st.stx_dev_minor);
	if (!r) {
		n = calloc(1, sizeof(*n));
		r = n ? 0 : -ENOMEM;
	}
	if (r) {
		close(fd);
		return r;
	}
	atomic_init(&n->refs, 1);
	n->ops = &hostfs_ops;
	n->mnt = mnt;
	n->type = st.stx_mode & S_IFMT;
	n->ino = st.stx_ino;
	n->hostfd = fd;
	*out = n;
	return 0;
}

/* The root's priv is the host's path of it, which node_path takes off; NULL for the host's own
 * root. A name that leads through a link is not what the policy speaks of. */
int hostfs_root(const char *host_path, struct vnode **out)
{
	char real[PATH_MAX];
	ssize_t len;
	int fd, r;

	fd = open(host_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = hostproc_readlink(fd, real, sizeof(real));
	if (len < 0 || (size_t)len != strlen(host_path) || memcmp(real, host_path, (size_t)len)) {
		close(fd);
		return len < 0 ? (int)len : -ELOOP;
	}
	r = hostfs_node(fd, NULL, out);
	if (r)
		return r;
	if (strcmp(host_path, "/"))
		(*out)->priv = strdup(host_path);
	if ((*out)->type == S_IFLNK)
		r = -ELOOP;
	else if (strcmp(host_path, "/") && !(*out)->priv)
		r = -ENOMEM;
	if (r)
		vnode_put(*out);
	return r;
}

static int hostfs_lookup(struct vnode *dir, const char *name, struct vnode **out)
{
	int fd = openat(dir->hostfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : hostfs_node(fd, dir->mnt, out);
}

atomic_bool hostfs_no_openat2;

int hostfs_lookup_path(struct vnode *dir, const char *rel, bool nofollow, struct vnode **out)
{
	struct open_how how = {
	    .flags = O_PATH | O_CLOEXEC | (nofollow ? O_NOFOLLOW : 0),
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	long fd;

	if (atomic_load_explicit(&hostfs_no_openat2, memory_order_relaxed))
		return -EAGAIN;
	fd = syscall(SYS_openat2, dir->hostfd, rel, &how, sizeof(how));
	if (fd >= 0)
		return hostfs_node((int)fd, dir->mnt, out);
	if (errno == ENOSYS || errno == EPERM) {
		atomic_store_explicit(&hostfs_no_openat2, true, memory_order_relaxed);
		return -EAGAIN;
	}
	return errno == EXDEV ? -EAGAIN : -errno;
}

static int hostfs_node_path(struct vnode *n, char *buf, size_t size)
{
	char link[PATH_MAX + sizeof(" (deleted)")];
	const char *prefix = n->mnt && n->mnt->root->priv ? n->mnt->root->priv : "";
	size_t skip = strlen(prefix);
	struct statx st;
	ssize_t len;

	/* A name can end in " (deleted)" as well; the link count tells. Files keep a count while
	 * another name of theirs exists, so what looks deleted counts as deleted. */
	len = hostproc_readlink(n->hostfd, link, sizeof(link) - 1);
	if (len < 0)
		return (int)len;
	if ((size_t)len >= PATH_MAX + sizeof(" (deleted)") - 1)
		return -ENAMETOOLONG;
	link[len] = '\0';
	if (link[0] != '/' || strncmp(link, prefix, skip) || (link[skip] && link[skip] != '/'))
		return -EACCES; /* moved out of the tree that the mount shows */
	if (len > 10 && !strcmp(link + len - 10, " (deleted)") &&
	    (n->type != S_IFDIR || statx(n->hostfd, "", AT_EMPTY_PATH, STATX_NLINK, &st) ||
	     !st.stx_nlink))
		return -ENOENT;
	len -= (ssize_t)skip;
	if ((size_t)len >= size)
		return -ENAMETOOLONG;
	memcpy(buf, link + skip, (size_t)len + 1);
	if (!strcmp(buf, "/"))
		buf[0] = '\0';
	return 0;
}

/* Status flags of open(2) that go to the host as they are. */
#define OPEN_FLAGS                                                                                 \
	(O_ACCMODE | O_APPEND | O_TRUNC | O_NONBLOCK | O_DIRECTORY | O_SYNC | O_DSYNC | O_DIRECT | \
	 O_NOATIME)

/* ---- changing names: one checked component below a pinned directory ---- */

/* Node and open file for fd (taken), which was opened just now below dir. */
static int finish_create(struct vnode *dir, int fd, unsigned flags, struct vnode **node,
			 struct file **out)
{
	int r = hostfs_node(fd, dir->mnt, node);

	if (r)
		return r;
	r = hostfs_file(*node, fd, flags, out);
	if (r) {
		vnode_put(*node);
		*node = NULL;
	}
	return r;
}

static int hostfs_create(struct task *t, struct vnode *dir, const char *name, mode_t mode,
			 unsigned flags, struct vnode **node, struct file **out)
{
	int fd =
	    openat(dir->hostfd, name,
		   (int)((flags & OPEN_FLAGS) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC), mode);

	return fd < 0 ? -errno : finish_create(dir, fd, flags, node, out);
}

static int hostfs_tmpfile(struct vnode *dir, const char *dir_path, mode_t mode, unsigned flags,
		   struct vnode **node, struct file **out)
{
	int r, fd = openat(dir->hostfd, ".",
			   (int)((flags & (OPEN_FLAGS | O_EXCL)) | O_TMPFILE | O_CLOEXEC), mode);

	if (fd < 0)
		return -errno;
	r = finish_create(dir, fd, flags, node, out);
	if (!r && asprintf(&(*node)->path, "%s/#%llu", strcmp(dir_path, "/") ? dir_path : "",
			   (unsigned long long)(*node)->ino) < 0) {
		(*node)->path = NULL;
		file_put(*out);
		vnode_put(*node);
		r = -ENOMEM;
	}
	return r;
}

static int hostfs_mkdir(struct vnode *dir, const char *name, mode_t mode)
{
	return neg(mkdirat(dir->hostfd, name, mode));
}

static int hostfs_mknod(struct vnode *dir, const char *name, mode_t mode, dev_t dev)
{
	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		return neg(mknodat(dir->hostfd, name, mode, 0));
	case S_IFDIR:
		return -EPERM;
	case S_IFCHR:
	case S_IFBLK:
		return -EPERM; /* whoever the host lets do it: no devices from in here */
	default:
		return -EINVAL;
	}
}

static int hostfs_symlink(struct vnode *dir, const char *name, const char *target)
{
	return neg(symlinkat(target, dir->hostfd, name));
}

static int hostfs_link(struct vnode *node, struct vnode *dir, const char *name)
{
	char num[16];

	snprintf(num, sizeof(num), "%d", node->hostfd);
	return neg(linkat(hostproc_fd_self(), num, dir->hostfd, name, AT_SYMLINK_FOLLOW));
}

static int hostfs_unlink(struct vnode *dir, const char *name, bool rmdir)
{
	return neg(unlinkat(dir->hostfd, name, rmdir ? AT_REMOVEDIR : 0));
}

static int hostfs_rename(struct vnode *from, const char *name, struct vnode *to,
			 const char *newname, unsigned flags)
{
	return neg(renameat2(from->hostfd, name, to->hostfd, newname, flags));
}

static ssize_t hostfs_readlink(struct task *t, struct vnode *node, char *buf, size_t size)
{
	ssize_t r = readlinkat(node->hostfd, "", buf, size);

	if (r < 0)
		return errno == ENOENT ? -EINVAL : -errno; /* not a symlink */
	return r;
}

/* ---- attributes ---- */

static int hostfs_getattr(struct task *t, struct vnode *node, struct statx *st)
{
	if (statx(node->hostfd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
		  STATX_BASIC_STATS | STATX_BTIME, st))
		return -errno;
	vfs_ids_to_app(st);
	return 0;
}

static int set_times(struct vnode *node, const struct vattr *a, const char *num)
{
	struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};

	if (a->mask & VATTR_ATIME)
		ts[0] = a->atime;
	if (a->mask & VATTR_MTIME)
		ts[1] = a->mtime;
	if (node->type == S_IFLNK)
		return neg((int)syscall(SYS_utimensat, node->hostfd, "", ts,
					AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
	return neg(utimensat(hostproc_fd_self(), num, ts, 0));
}

static int set_size(struct vnode *node, off_t size)
{
	cleanup_close int fd = -1;

	if (node->type == S_IFDIR)
		return -EISDIR;
	if (node->type != S_IFREG)
		return -EINVAL;
	fd = hostproc_reopen(node->hostfd, O_WRONLY);
	if (fd < 0)
		return fd;
	return neg(ftruncate(fd, size));
}

static int hostfs_setattr(struct vnode *node, const struct vattr *a)
{
	char num[16];
	int r = 0;

	snprintf(num, sizeof(num), "%d", node->hostfd);
	if (a->mask & VATTR_SIZE)
		r = set_size(node, a->size);
	if (!r && a->mask & (VATTR_UID | VATTR_GID))
		r = neg(fchownat(node->hostfd, "", a->mask & VATTR_UID ? a->uid : (uid_t)-1,
				 a->mask & VATTR_GID ? a->gid : (gid_t)-1,
				 AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
	if (!r && a->mask & VATTR_MODE)
		r = node->type == S_IFLNK ? -EOPNOTSUPP
					  : neg(fchmodat(hostproc_fd_self(), num, a->mode, 0));
	if (!r && a->mask & (VATTR_ATIME | VATTR_MTIME))
		r = set_times(node, a, num);
	return r;
}

static int hostfs_statfs(struct vnode *node, struct statfs *st)
{
	return neg(fstatfs(node->hostfd, st));
}

/* ---- opening ---- */

/* The node of a fresh resolution is nobody else's: it takes over the opened descriptor, which pins
 * as well as its O_PATH one. So an open file needs one descriptor of the host. */
static int open_over(struct vnode *node, int fd, unsigned flags, struct file **out)
{
	if (atomic_load(&node->refs) == 1) {
		close(node->hostfd);
		node->hostfd = fd;
	}
	return hostfs_file(node, fd, flags, out);
}

static int hostfs_open(struct task *t, struct vnode *node, unsigned flags, struct file **out)
{
	unsigned host_flags = (flags & OPEN_FLAGS) | O_NOCTTY | O_CLOEXEC;
	char num[16];
	long fd;

	if (flags & O_PATH)
		return hostfs_file(node, node->hostfd, flags, out);
	switch (node->type) {
	case S_IFLNK:
		return -ELOOP;
	case S_IFSOCK:
		return -ENXIO;
	case S_IFCHR:
	case S_IFBLK:
		return -EACCES; /* devices are the sentry's own, in /dev */
	case S_IFIFO:
		/* Waits for the other end. */
		snprintf(num, sizeof(num), "%d", node->hostfd);
		fd = task_host_call(t, SYS_openat, hostproc_fd_self(), (long)num, host_flags, 0, 0,
				    0);
		break;
	default:
		fd = hostproc_reopen(node->hostfd, host_flags);
	}
	return fd < 0 ? (int)fd : open_over(node, (int)fd, flags, out);
}

const struct vnode_ops hostfs_ops = {
    .lookup = hostfs_lookup,
    .open = hostfs_open,
    .create = hostfs_create,
    .tmpfile = hostfs_tmpfile,
    .mkdir = hostfs_mkdir,
    .mknod = hostfs_mknod,
    .symlink = hostfs_symlink,
    .link = hostfs_link,
    .unlink = hostfs_unlink,
    .rename = hostfs_rename,
    .readlink = hostfs_readlink,
    .getattr = hostfs_getattr,
    .setattr = hostfs_setattr,
    .statfs = hostfs_statfs,
    .getxattr = hostfs_getxattr,
    .setxattr = hostfs_setxattr,
    .listxattr = hostfs_listxattr,
    .node_path = hostfs_node_path,
    .release = hostfs_release,
};
