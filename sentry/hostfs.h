/* The host's file system as the app sees it: nodes pinned by O_PATH descriptors. Owner:
 * sentry/hostfs.c (nodes), hostfile.c (open files), hostxattr.c. */
#ifndef SBX_SENTRY_HOSTFS_H
#define SBX_SENTRY_HOSTFS_H

#include <sys/types.h>
#include "sentry/vfs.h"

extern const struct vnode_ops hostfs_ops;

/* The host has no openat2 (before Linux 5.6): found out by trying. Tests set it. */
extern atomic_bool hostfs_no_openat2;

/* Takes fd (O_PATH), closed on failure. -ENOENT for what must not be seen: other instances of the
 * kernel's own file systems (proc, sysfs, cgroup ...). mnt may be NULL. */
int hostfs_node(int fd, struct mount *mnt, struct vnode **out);

/* Pins a whole relative path below dir in one call. 0, -ELOOP when a symlink is met (with nofollow,
 * a last one is pinned itself), -EAGAIN when the host cannot do it (then go component by
 * component), or another -errno that is final. */
int hostfs_lookup_path(struct vnode *dir, const char *rel, bool nofollow, struct vnode **out);

/* Open file over fd of a pinned node. When fd is the node's own descriptor, the node keeps owning
 * it; else it is taken. */
int hostfs_file(struct vnode *node, int fd, unsigned flags, struct file **out);

/* The vnode operations: sentry/hostxattr.c. */
ssize_t hostfs_getxattr(struct vnode *n, const char *name, void *buf, size_t size);
int hostfs_setxattr(struct vnode *n, const char *name, const void *value, size_t size, int flags);
ssize_t hostfs_listxattr(struct vnode *n, char *buf, size_t size);

#endif
