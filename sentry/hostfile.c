/* Open files of the host: directories list through the sentry, all else is the host's own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sentry/dirent.h"
#include "sentry/hostfs.h"

struct host_dirent { /* struct linux_dirent64 */
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* Hands the entries of one host buffer to the sink. The position of the first that did not fit, or
 * -1 when all did. */
static int64_t emit_all(struct dirent_sink *sink, const uint8_t *buf, size_t len, int64_t start)
{
	int64_t prev = start;

	for (size_t at = 0; at < len;) {
		const struct host_dirent *d = (const struct host_dirent *)(buf + at);

		if (!dirent_emit(sink, d->ino, d->off, d->type, d->name))
			return prev;
		prev = d->off;
		at += d->reclen;
	}
	return -1;
}

/* Name of mount m in the directory at path, or NULL when it lies elsewhere. */
static const char *mount_name(const struct mount *m, const char *path, size_t len)
{
	size_t at = len == 1 ? 0 : len;

	if (m->path_len <= at + 1 || memcmp(m->path, path, at) || m->path[at] != '/' ||
	    strchr(m->path + at + 1, '/'))
		return NULL;
	return m->path + at + 1;
}

/* After the host's entries: mount points that the host's directory lacks. f->pos counts those that
 * were listed. */
static void emit_mounts(struct file *f, struct dirent_sink *sink)
{
	off_t i = 0;
	struct stat st;

	if (!sink->path)
		return;
	pthread_mutex_lock(&f->lock);
	for (const struct mount *m = vfs_mounts(); m; m = m->next, i++) {
		const char *name = mount_name(m, sink->path, sink->path_len);

		if (i < f->pos)
			continue;
		if (name && fstatat(f->hostfd, name, &st, AT_SYMLINK_NOFOLLOW) &&
		    !dirent_emit(sink, m->root->ino, INT64_MAX, DT_DIR, name))
			break;
		f->pos = i + 1;
	}
	pthread_mutex_unlock(&f->lock);
}

static off_t host_dir_seek(struct task *t, struct file *f, off_t off, int whence)
{
	off_t r = lseek(f->hostfd, off, whence);

	if (r < 0)
		return -errno;
	if (whence != SEEK_CUR || off) {
		pthread_mutex_lock(&f->lock);
		f->pos = 0;
		pthread_mutex_unlock(&f->lock);
	}
	return r;
}

static int host_getdents(struct task *t, struct file *f, struct dirent_sink *sink)
{
	uint8_t buf[8192] __attribute__((aligned(8)));
	int64_t back;
	off_t start;
	long n;

	size_t room = sink->cap - sink->len;

	/* Again only when every entry of a batch was hidden. Records of ours are as long as the
	 * host's, so what the host returns for the room that is left fits. */
	do {
		start = lseek(f->hostfd, 0, SEEK_CUR);
		n = syscall(SYS_getdents64, f->hostfd, buf,
			    room < sizeof(buf) ? room : sizeof(buf));
		if (n < 0) {
			if (errno != EINVAL)
				return -errno;
			sink->overflow = true; /* no room for the next one */
			return 0;
		}
		if (!n) {
			emit_mounts(f, sink);
			return 0;
		}
		back = emit_all(sink, buf, (size_t)n, start);
		if (back >= 0) {
			lseek(f->hostfd, back, SEEK_SET);
			return 0;
		}
	} while (!sink->len);
	return 0;
}

static const struct file_ops host_dir_ops = {
    .seek = host_dir_seek,
    .getdents = host_getdents,
};

int hostfs_file(struct vnode *node, int fd, unsigned flags, struct file **out)
{
	const struct file_ops *ops = node->type == S_IFDIR ? &host_dir_ops : &file_host_ops;

	bool own = fd != node->hostfd;

	*out = file_new(ops, own ? fd : -1, flags, file_kind(node->type));
	if (!*out)
		return -ENOMEM;
	(*out)->node = vnode_get(node);
	(*out)->hostfd = fd;
	(*out)->node_fd = !own;
	return 0;
}
