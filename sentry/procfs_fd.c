/* /proc/PID/fd and fdinfo. */
#include "sentry/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sentry/hostproc.h"

int procfs_next_fd(const struct pseudo_key *k, int from)
{
	struct fdtab *tab;
	int fd;

	if (procfs_fdtab(k, &tab))
		return -1;
	fd = fdtab_next(tab, from);
	fdtab_put(tab);
	return fd;
}

void procfs_bind_num(struct pseudo_key *k, int number)
{
	k->num = number;
}

static int file_of(const struct pseudo_key *k, struct file **f, bool *cloexec)
{
	struct fdtab *tab;
	int r = procfs_fdtab(k, &tab);

	if (r)
		return r;
	*f = fdtab_lookup(tab, k->num);
	if (cloexec)
		*cloexec = fdtab_get_cloexec(tab, k->num) > 0;
	fdtab_put(tab);
	return *f ? 0 : -ENOENT;
}

/* ---- links ---- */

/* Where an open file is now; the path of the open when its file system cannot tell. */
static ssize_t path_text(struct file *f, char *buf, size_t size)
{
	char path[PATH_MAX + 16];

	if (f->node && vfs_node_path(f->node, path, PATH_MAX) >= 0)
		return procfs_text(path, buf, size);
	if (!f->path)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s (deleted)", f->path);
	return procfs_text(f->node ? path : f->path, buf, size);
}

static ssize_t link_fd(const struct pseudo_key *k, char *buf, size_t size)
{
	struct file *f;
	ssize_t r = file_of(k, &f, NULL);

	if (r)
		return r;
	r = path_text(f, buf, size);
	if (r < 0 && f->ops->link)
		r = procfs_text(f->ops->link, buf, size);
	if (r < 0 && f->hostfd >= 0)
		r = hostproc_readlink(f->hostfd, buf, size);
	if (r < 0)
		r = procfs_text(f->kind == POL_FD_EVENT ? "anon_inode:[event]" : "anon_inode:[sbx]",
				buf, size);
	file_put(f);
	return r;
}

/* ---- nodes of open files that have none: pipes, terminals, inherited descriptors ---- */

struct fdnode {
	struct vnode vn; /* first */
	struct file *file;
};

static struct file *file_behind(struct vnode *vn)
{
	return container_of(vn, struct fdnode, vn)->file;
}

static void fdnode_release(struct vnode *vn)
{
	struct fdnode *n = container_of(vn, struct fdnode, vn);

	file_put(n->file);
	free(vn->path);
	free(n);
}

static int fdnode_getattr(struct task *t, struct vnode *vn, struct statx *st)
{
	struct file *f = file_behind(vn);

	if (f->ops->fstat)
		return f->ops->fstat(t, f, st);
	if (f->hostfd < 0)
		return -EBADF;
	return statx(f->hostfd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, st) ? -errno : 0;
}

/* A new description, with no more rights than the descriptor has. */
static int fdnode_open(struct task *t, struct vnode *vn, unsigned flags, struct file **out)
{
	const unsigned keep = O_ACCMODE | O_APPEND | O_NONBLOCK | O_TRUNC | O_NOCTTY;
	struct file *f = file_behind(vn);
	unsigned have = f->flags & O_ACCMODE, want = flags & O_ACCMODE;
	int fd, host;

	if (S_ISSOCK(vn->type) || f->hostfd < 0 || f->kind == POL_FD_EVENT)
		return -ENXIO;
	if (!S_ISFIFO(vn->type) && have != O_RDWR && want != have)
		return -EACCES;
	if (flags & O_TRUNC && have == O_RDONLY) /* the host would ask the file's mode only */
		return -EACCES;
	host = fcntl(f->hostfd, F_GETFL);
	if (host < 0 || host & O_APPEND) /* what the caller has in its file stays */
		flags = (flags | O_APPEND) & ~(unsigned)O_TRUNC;
	fd = hostproc_reopen(f->hostfd, flags & keep);
	if (fd < 0)
		return fd;
	*out = file_new(&file_host_ops, fd, flags & ~(unsigned)O_TRUNC, f->kind);
	if (!*out)
		return -ENOMEM;
	(*out)->count_output = f->count_output;
	return 0;
}

static const struct vnode_ops fdnode_ops = {
	.open = fdnode_open,
	.getattr = fdnode_getattr,
	.release = fdnode_release,
};

/* Takes f. Its path is the same for every process, as a policy names it. */
static int fdnode_new(struct task *t, int fd, struct file *f, struct vnode **out)
{
	struct fdnode *n = calloc(1, sizeof(*n));
	char path[40];
	struct statx st;
	int r = -ENOMEM;

	if (!n) {
		file_put(f);
		return r;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	atomic_init(&n->vn.refs, 1);
	n->vn.ops = &fdnode_ops;
	n->vn.hostfd = -1;
	n->vn.path = strdup(path);
	n->file = f;
	if (n->vn.path)
		r = fdnode_getattr(t, &n->vn, &st);
	if (r) {
		vnode_put(&n->vn);
		return r;
	}
	n->vn.type = st.stx_mode & S_IFMT;
	n->vn.ino = st.stx_ino;
	*out = &n->vn;
	return 0;
}

static int follow_fd(struct task *t, const struct pseudo_key *k, struct vnode **out)
{
	struct file *f;
	int r = file_of(k, &f, NULL);

	if (r)
		return r;
	if (!f->node)
		return fdnode_new(t, k->num, f, out);
	*out = vnode_get(f->node);
	file_put(f);
	return 0;
}

const struct pseudo_entry procfs_fd_link = {
	.name = "fd", .mode = S_IFLNK | 0700, .link = link_fd, .follow = follow_fd};

/* ---- fdinfo ---- */

static off_t position(struct file *f)
{
	off_t pos = 0;

	if (f->ops->seek)
		pos = f->ops->seek(current, f, 0, SEEK_CUR);
	else if (f->hostfd >= 0)
		pos = lseek(f->hostfd, 0, SEEK_CUR);
	return pos > 0 ? pos : 0;
}

static int show_fdinfo(const struct pseudo_key *k, struct buf *out)
{
	struct file *f;
	bool cloexec;
	int r = file_of(k, &f, &cloexec);

	if (r)
		return r;
	buf_printf(out, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%d\nino:\t%llu\n",
		   (long long)position(f), f->flags | (cloexec ? O_CLOEXEC : 0), vfs_mount_id(f->node ? f->node->mnt : NULL),
		   (unsigned long long)(f->node ? f->node->ino : 0));
	file_put(f);
	return 0;
}

const struct pseudo_entry procfs_fdinfo_file = PROC_REG("fdinfo", 0400, show_fdinfo);
