/* Names: vnodes, mounts, path resolution, and the policy's files gate. Owner: sentry/path.c, vfs.c.
 *
 * The tree the app sees: the host's file system at "/" (hostfs: host descriptors), and over it
 * procfs at /proc, devfs at /dev, and one tmpfs for each `scratch` of the policy. Resolution goes
 * component by component, symlinks are followed by the sentry; the policy judges the canonical result
 * and the handler uses the very object that was judged. */
#ifndef SBX_SENTRY_VFS_H
#define SBX_SENTRY_VFS_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include "policy/eval.h"
#include "policy/image.h"
#include "policy/sysdesc.h" /* enum path_role */
#include "sentry/file.h"

struct mount;
struct sbx_err;
struct task;
struct vnode;

struct vattr { /* for setattr: which members count */
	unsigned mask;
#define VATTR_MODE  1u
#define VATTR_UID   2u
#define VATTR_GID   4u
#define VATTR_SIZE  8u
#define VATTR_ATIME 16u
#define VATTR_MTIME 32u
	mode_t mode;
	uid_t uid;
	gid_t gid;
	off_t size;
	struct timespec atime, mtime; /* tv_nsec may be UTIME_NOW / UTIME_OMIT */
};

/* Operations of a file system on its nodes: 0 or -errno unless said. Names are single components,
 * checked: not empty, ".", "..", no '/', at most NAME_MAX bytes. A NULL member: -EPERM for those that
 * change something, -EINVAL for readlink, -ENOTDIR for lookup. Nodes that come back are referenced. */
struct vnode_ops {
	int (*lookup)(struct vnode *dir, const char *name, struct vnode **out);
	/* Opens; flags are O_* (no O_CREAT, O_EXCL, O_NOFOLLOW: resolution handled those). O_TRUNC and
	 * O_APPEND are the file system's to do. kind and hostfd of the result are set. */
	int (*open)(struct task *t, struct vnode *node, unsigned flags, struct file **out);
	/* Creates a regular file exclusively and opens it; -EEXIST when the name exists. mode of this
	 * and of mkdir and mknod has the umask applied. */
	int (*create)(struct task *t, struct vnode *dir, const char *name, mode_t mode, unsigned flags,
		      struct vnode **node, struct file **out);
	/* O_TMPFILE: makes a regular file without a name in dir, whose canonical path is dir_path, and
	 * opens it; with O_EXCL in flags it can never get a name. Its path is DIR/#INO until it has
	 * one. NULL member: -EOPNOTSUPP. */
	int (*tmpfile)(struct vnode *dir, const char *dir_path, mode_t mode, unsigned flags,
		       struct vnode **node, struct file **out);
	int (*mkdir)(struct vnode *dir, const char *name, mode_t mode);
	int (*mknod)(struct vnode *dir, const char *name, mode_t mode, dev_t dev);
	int (*symlink)(struct vnode *dir, const char *name, const char *target);
	int (*link)(struct vnode *node, struct vnode *dir, const char *name);
	int (*unlink)(struct vnode *dir, const char *name, bool rmdir);
	int (*rename)(struct vnode *from, const char *name, struct vnode *to, const char *newname,
		      unsigned flags); /* same mount */
	ssize_t (*readlink)(struct task *t, struct vnode *node, char *buf, size_t size);
	/* Magic links (/proc/self/fd/N, exe): the node itself, not its text; else NULL member. */
	int (*follow)(struct task *t, struct vnode *node, struct vnode **out);
	int (*getattr)(struct task *t, struct vnode *node, struct statx *st);
	int (*setattr)(struct vnode *node, const struct vattr *a);
	int (*statfs)(struct vnode *node, struct statfs *st);
	/* Extended attributes of regular files and directories; names start with "user.".
	 * Lengths; with a size of 0 nothing is stored. A value of NULL removes. NULL members:
	 * -EOPNOTSUPP, and an empty list. */
	ssize_t (*getxattr)(struct vnode *node, const char *name, void *buf, size_t size);
	int (*setxattr)(struct vnode *node, const char *name, const void *value, size_t size,
			int flags);
	ssize_t (*listxattr)(struct vnode *node, char *buf, size_t size);
	/* Present path of the node below its mount's root: "" for the root itself, else "/a/b".
	 * 0, -ENAMETOOLONG, or -ENOENT when it was unlinked. NULL member: vnode.path is fixed. */
	int (*node_path)(struct vnode *node, char *buf, size_t size);
	/* Directory and name by which the node can be reached: referenced, or NULL. For those who watch
	 * the directory. */
	struct vnode *(*parent)(struct vnode *node, char name[NAME_MAX + 1]);
	void (*release)(struct vnode *node); /* last reference; frees the node */
};

struct vnode {
	atomic_int refs;
	const struct vnode_ops *ops;
	struct mount *mnt;
	mode_t type;  /* S_IFMT bits */
	int hostfd;   /* hostfs: O_PATH descriptor, owned; else -1 */
	uint64_t ino; /* for file systems of the sentry */
	void *priv;   /* file system's own */
	char *path;   /* canonical path when it is known to be fixed (mount points), or NULL */
};

struct vnode *vnode_get(struct vnode *n);
void vnode_put(struct vnode *n); /* NULL is allowed */

struct mount {
	struct mount *next;
	char path[PATH_MAX]; /* canonical mount point, "/" for the root */
	size_t path_len;
	struct vnode *root;
	const char *fstype; /* "ext4", "tmpfs", "proc", "devtmpfs": for /proc/mounts */
	dev_t dev;	    /* st_dev of its nodes (file systems of the sentry) */
	void *priv;
};

/* Registers a mount (at start-up only). Takes root's reference. 0 or -errno. */
int vfs_mount(const char *path, struct vnode *root, const char *fstype, void *priv,
	      struct mount **out);
struct mount *vfs_mounts(void); /* list, for /proc/mounts */
int vfs_mount_id(const struct mount *m); /* as statx and /proc tell it */
/* The mount at exactly this path; the deepest mount that holds path (never NULL after vfs_init). */
struct mount *vfs_mount_at(const char *path, size_t len);
struct mount *vfs_mount_of(const char *path, size_t len);

/* Builds the whole tree from the policy image. Called once. */
int vfs_init(const struct pol_image *img, struct sbx_err **e);
int tmpfs_root(uint64_t max_bytes, struct vnode **out);	   /* sentry/tmpfs.c */
/* As tmpfs_root, beginning as a view of the host's folder at path. 0 or -errno. */
int tmpfs_overlay(const char *path, uint64_t max_bytes, struct vnode **out); /* tmpfs_lower.c */
/* Writes what was changed in an overlay, which is mounted at path, to fd as a part of a tar archive, and
 * the archive's end. 0 or -errno; -ENAMETOOLONG: what has too long a path is missing. tmpfs_save.c */
int tmpfs_save(struct vnode *root, const char *path, int fd);
int tmpfs_save_end(int fd);
/* The same for all overlays, with the end. */
int vfs_save_overlays(int fd);
/* memfd_create: a file in memory without a name, counted as a tmpfs of the sandbox's memory limit. */
int tmpfs_memfd(const char *name, mode_t mode, bool sealable, struct file **out);
int procfs_root(struct vnode **out);			   /* sentry/procfs.c */
int sysfs_root(struct vnode **out);			   /* sentry/sysfs.c */
int cgroupfs_root(struct vnode **out);			   /* sentry/cgroupfs.c */
int devpts_mount_at(const char *path);			   /* sentry/devpts.c */
int devfs_root(struct vnode **out);			   /* sentry/devfs.c */
int hostfs_root(const char *host_path, struct vnode **out); /* sentry/hostfs.c */

/* The result of resolving one path argument. After a failure only path is meaningful: the canonical
 * path as far as it was known, with the rest as the app wrote it, or empty. */
struct vpath {
	struct vnode *dir;	  /* parent of the last component; referenced. Always there when node is
				   * NULL, and with VFS_PARENT unless name is "", "." or ".." */
	struct vnode *node;	  /* the object, referenced; NULL when it does not exist, or when file
				   * is set and has no node (a pipe, a socket ...) */
	struct file *file;	  /* VFS_EMPTY and an empty path: the descriptor itself; referenced */
	char name[NAME_MAX + 1];  /* last component, with VFS_PARENT or VFS_CREATE; "" for "/" */
	char path[PATH_MAX];	  /* canonical absolute path of the object */
	size_t path_len;
	bool must_dir;		  /* a trailing slash was given */
};
void vpath_release(struct vpath *p);

struct fsctx { /* per process: cwd, umask; shared by threads (CLONE_FS) */
	atomic_int refs;
	pthread_mutex_t lock;
	struct vnode *cwd;
	char cwd_path[PATH_MAX];
	mode_t umask;
	atomic_bool has_root; /* chroot: */
	struct vnode *root;   /* the directory that absolute paths start at */
	char *root_path;      /* its canonical path; owned */
};
struct fsctx *fsctx_create(const char *cwd, struct sbx_err **e);
struct fsctx *fsctx_copy(struct fsctx *fs); /* NULL when out of memory */
struct fsctx *fsctx_get(struct fsctx *fs);
void fsctx_put(struct fsctx *fs);

enum { /* flags of vfs_resolve */
	VFS_NOFOLLOW = 1, /* the last component's symlink is not followed */
	VFS_CREATE = 2,	  /* the last component may be missing: node == NULL, not an error */
	VFS_PARENT = 4,	  /* only dir and name matter (unlink, mkdir ...): never follows the last */
	VFS_EMPTY = 8,	  /* AT_EMPTY_PATH: "" means dirfd itself */
	VFS_DIRECTORY = 16,
	VFS_BENEATH = 32, /* RESOLVE_* of openat2 */
	VFS_NO_SYMLINKS = 64,
	VFS_IN_ROOT = 128,
	VFS_NO_MAGICLINKS = 256,
	VFS_NO_XDEV = 512,
};
/* chroot: n, whose canonical path is path, becomes the root. 0 or -ENOMEM. */
int fsctx_set_root(struct fsctx *fs, struct vnode *n, const char *path);
/* Turns a canonical path into what a process of fs sees: without the path of its root. False, and nothing
 * is changed, when it does not lie there. */
bool fsctx_seen_path(struct fsctx *fs, char *path);

/* Resolves path relative to dirfd (AT_FDCWD or a descriptor of t). Does not consult the policy.
 * 0 or -errno (-ENOENT, -ENOTDIR, -ELOOP, -EACCES, -ENAMETOOLONG, -EBADF). */
int vfs_resolve(struct task *t, int dirfd, const char *path, unsigned flags, struct vpath *out);

/* Flags of vfs_resolve and verbs needed by a path argument of the call: from its role, the call's
 * flag arguments and the resolved object (open: O_ACCMODE, O_CREAT, O_TRUNC, O_APPEND ...). */
struct sysargs;
/* vfs_role_check refuses what Linux refuses before it resolves the path: bad flags. 0 or -errno. */
int vfs_role_check(enum path_role role, const struct sysargs *a);
unsigned vfs_role_flags(enum path_role role, const struct sysargs *a);
uint32_t vfs_role_verbs(enum path_role role, const struct sysargs *a, const struct vpath *p);

/* The files gate on a canonical path, as the calling thread's process sees the policy. */
void vfs_judge(const char *path, size_t len, uint32_t verbs, struct pol_verdict *v);
/* All verbs that the path has, in the same way. */
uint32_t vfs_verbs(const char *path, size_t len);

/* Resolves the name of a program or interpreter and judges its canonical path with verb exec. 0, with *v to
 * be released, or -errno. */
int vfs_find_exec(struct task *t, const char *path, struct vpath *v);
/* The same, and opens it. */
int vfs_open_exec(struct task *t, const char *path, struct file **out);

/* Opens the program that a path argument resolved to and that was judged, for execve. */
int vfs_open_program(struct task *t, const struct vpath *v, struct file **out);

/* Canonical path of an open directory or file at this moment (it may have been renamed). Length, or
 * -ENOENT when it was unlinked, -EACCES when it left the visible tree, -ENAMETOOLONG, -EOPNOTSUPP when
 * the file system cannot tell. */
int vfs_node_path(struct vnode *n, char *buf, size_t size);

/* Attributes as the app sees them (ids of the policy). 0 or -errno. */
int vfs_getattr(struct task *t, struct vnode *n, struct statx *st);
/* Ids as the app sees them to the host's, and back. */
void vfs_ids_to_app(struct statx *st);
int vfs_ids_to_host(uid_t *uid, gid_t *gid); /* -1 stays; 0 or -EPERM */
/* access(2) on a node: mode is R_OK | W_OK | X_OK. 0, -EACCES, -EROFS. */
int vfs_access(struct task *t, struct vnode *n, int mode);
/* Opens a node of any file system: the object itself, never by name. flags as open(2)'s. *out has
 * node, path and verbs set. */
int vfs_open(struct task *t, struct vnode *n, const char *path, unsigned flags, struct file **out);
/* After a file system opened f for path: remembers node and path, and the verbs granted there. */
int vfs_file_adopt(struct file *f, struct vnode *n, const char *path);

#endif
