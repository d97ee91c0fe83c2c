/* Extended attributes of host files: only those of the `user.` class pass. They are reached through a
 * descriptor of their own, since an O_PATH one does not do. */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "sentry/hostfs.h"
#include "sentry/hostproc.h"

/* The caller has seen to it that n is a regular file or a directory: opening it waits for nothing. */
static int open_node(struct vnode *n, bool write)
{
	int fd;

	/* That of an open file will do, and nobody is told of another opening. */
	fd = fcntl(n->hostfd, F_GETFL);
	if (fd >= 0 && !(fd & O_PATH))
		return fcntl(n->hostfd, F_DUPFD_CLOEXEC, 0);
	fd = hostproc_reopen(n->hostfd, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	if (fd == -EACCES && write && n->type == S_IFREG)
		fd = hostproc_reopen(n->hostfd, O_WRONLY | O_NONBLOCK | O_NOCTTY);
	return fd;
}

ssize_t hostfs_getxattr(struct vnode *n, const char *name, void *buf, size_t size)
{
	cleanup_close int fd = open_node(n, false);
	ssize_t r;

	if (fd < 0)
		return fd;
	r = fgetxattr(fd, name, buf, size);
	return r < 0 ? -errno : r;
}

int hostfs_setxattr(struct vnode *n, const char *name, const void *value, size_t size, int flags)
{
	cleanup_close int fd = open_node(n, true);
	int r;

	if (fd < 0)
		return fd;
	r = value ? fsetxattr(fd, name, value, size, flags) : fremovexattr(fd, name);
	return r < 0 ? -errno : 0;
}

/* Moves the app's names to the front of text. Their length. */
static size_t keep_user(char *text, size_t size)
{
	size_t kept = 0, len;

	for (size_t at = 0; at < size; at += len) {
		len = strnlen(text + at, size - at - 1) + 1;
		if (strncmp(text + at, "user.", strlen("user.")))
			continue;
		memmove(text + kept, text + at, len);
		kept += len;
	}
	return kept;
}

ssize_t hostfs_listxattr(struct vnode *n, char *buf, size_t size)
{
	cleanup_close int fd = open_node(n, true);
	cleanup_free char *text = NULL;
	ssize_t r;
	size_t kept;

	if (fd < 0)
		return fd;
	text = malloc(XATTR_LIST_MAX);
	if (!text)
		return -ENOMEM;
	r = flistxattr(fd, text, XATTR_LIST_MAX);
	if (r < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	kept = r ? keep_user(text, (size_t)r) : 0;
	if (!size)
		return (ssize_t)kept;
	if (kept > size)
		return -ERANGE;
	memcpy(buf, text, kept);
	return (ssize_t)kept;
}
