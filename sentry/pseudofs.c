#include "sentry/dirent.h"
#include "sentry/pseudofs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/overflow.h"

#define STORE_MAX   4096
#define FIRST_FIXED 2	   /* getdents offsets: ".", "..", fixed members ... */
#define FIRST_NUM   0x1000 /* ... numbered members */

struct pnode {
	struct vnode vn; /* first */
	const struct pseudo_entry *entry;
	struct pseudo_key key;
	uint64_t parent_ino;
	long magic;
};

static const struct vnode_ops pseudo_ops, magic_ops;

static struct pnode *pnode_of(struct vnode *vn)
{
	return container_of(vn, struct pnode, vn);
}

/* The same object has the same inode number each time it is looked up. */
static uint64_t ino_of(const struct pseudo_entry *e, const struct pseudo_key *k)
{
	uint64_t h = 0x51ed270b9f652295ull;
	const char *s;

	for (s = e->name; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x9e3779b97f4a7c15ull;
	h = (h ^ (uint32_t)k->pid ^ (uint64_t)(uint32_t)k->tid << 32) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 31 ^ (uint32_t)k->num) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 30) & 0xffffffff;
	return h ? h : 1;
}

int pseudo_node(struct mount *mnt, const struct pseudo_entry *e, const struct pseudo_key *k,
		long magic, struct vnode **out)
{
	struct pnode *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	atomic_init(&n->vn.refs, 1);
	n->vn.ops = e->follow ? &magic_ops : &pseudo_ops;
	n->vn.mnt = mnt;
	n->vn.type = e->mode & S_IFMT;
	n->vn.hostfd = -1;
	n->vn.ino = n->parent_ino = ino_of(e, k);
	n->vn.priv = n;
	n->entry = e;
	n->key = *k;
	n->magic = magic;
	*out = &n->vn;
	return 0;
}

int pseudo_root(const struct pseudo_entry *top, long magic, struct vnode **out)
{
	struct pseudo_key none = {0};

	return pseudo_node(NULL, top, &none, magic, out);
}

static void pseudo_release(struct vnode *vn)
{
	free(vn->path);
	free(pnode_of(vn));
}

/* ---- names ---- */

static bool still_there(const struct pseudo_entry *e, const struct pseudo_key *k, int number)
{
	return number >= 0 && e->next(k, number) == number;
}

/* The number in a member's name; -1 when it is not one. No leading zeros, no sign. */
static int parse_number(const char *name, const char *prefix)
{
	size_t skip = prefix ? strlen(prefix) : 0;
	long n = 0;

	if (skip && strncmp(name, prefix, skip))
		return -1;
	name += skip;
	if (!*name || (*name == '0' && name[1]))
		return -1;
	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return -1;
		n = n * 10 + (*name - '0');
		if (n > INT32_MAX - FIRST_NUM)
			return -1;
	}
	return (int)n;
}

static int pseudo_lookup(struct vnode *dir, const char *name, struct vnode **out)
{
	struct pnode *d = pnode_of(dir);
	const struct pseudo_entry *e = d->entry, *c;
	struct pseudo_key key = d->key;
	int r = -ENOENT, number;

	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	for (c = e->children; c && c->name; c++)
		if (!strcmp(c->name, name))
			break;
	if (c && c->name) {
		r = pseudo_node(dir->mnt, c, &key, d->magic, out);
	} else if (e->numbered) {
		number = parse_number(name, e->prefix);
		if (!still_there(e, &d->key, number))
			return -ENOENT;
		e->bind(&key, number);
		r = pseudo_node(dir->mnt, e->numbered, &key, d->magic, out);
	}
	if (!r)
		pnode_of(*out)->parent_ino = dir->ino;
	return r;
}

static bool emit_fixed(struct pnode *n, struct file *f, struct dirent_sink *sink)
{
	const struct pseudo_entry *c = n->entry->children;
	off_t pos = FIRST_FIXED;

	for (; c && c->name; c++, pos++) {
		if (pos < f->pos)
			continue;
		if (!dirent_emit(sink, ino_of(c, &n->key), pos + 1,
				 (unsigned char)IFTODT(c->mode), c->name))
			return false;
		f->pos = pos + 1;
	}
	f->pos = FIRST_NUM;
	return true;
}

static void emit_numbered(struct pnode *n, struct file *f, struct dirent_sink *sink)
{
	const struct pseudo_entry *e = n->entry;
	int number = (int)MIN(f->pos - FIRST_NUM, (off_t)INT32_MAX - FIRST_NUM);
	struct pseudo_key key;
	char name[48];

	while (e->numbered && (number = e->next(&n->key, number)) >= 0) {
		key = n->key;
		e->bind(&key, number);
		snprintf(name, sizeof(name), "%s%d", e->prefix ? e->prefix : "", number);
		if (!dirent_emit(sink, ino_of(e->numbered, &key), (int64_t)number + FIRST_NUM + 1,
				 (unsigned char)IFTODT(e->numbered->mode), name))
			return;
		f->pos = (off_t)number + FIRST_NUM + 1;
		number++;
	}
}

static int dir_getdents(struct task *t, struct file *f, struct dirent_sink *sink)
{
	struct pnode *n = f->priv;

	pthread_mutex_lock(&f->lock);
	if (f->pos == 0 && dirent_emit(sink, n->vn.ino, 1, DT_DIR, "."))
		f->pos = 1;
	if (f->pos == 1 && dirent_emit(sink, n->parent_ino, FIRST_FIXED, DT_DIR, ".."))
		f->pos = FIRST_FIXED;
	if (f->pos >= FIRST_NUM || (f->pos >= FIRST_FIXED && emit_fixed(n, f, sink)))
		emit_numbered(n, f, sink);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

/* ---- attributes ---- */

static int fill_attr(struct pnode *n, struct statx *st)
{
	const struct pseudo_entry *c;
	dev_t dev = n->vn.mnt ? n->vn.mnt->dev : 0;
	struct timespec now;

	memset(st, 0, sizeof(*st));
	clock_gettime(CLOCK_REALTIME, &now);
	st->stx_mask = STATX_BASIC_STATS;
	st->stx_mode = (uint16_t)n->entry->mode;
	st->stx_blksize = 1024;
	st->stx_ino = n->vn.ino;
	st->stx_nlink = 1;
	if (S_ISDIR(n->vn.type)) {
		st->stx_nlink = 2;
		for (c = n->entry->children; c && c->name; c++)
			st->stx_nlink += S_ISDIR(c->mode);
	}
	st->stx_dev_major = major(dev);
	st->stx_dev_minor = minor(dev);
	st->stx_atime.tv_sec = st->stx_mtime.tv_sec = st->stx_ctime.tv_sec = now.tv_sec;
	st->stx_atime.tv_nsec = st->stx_mtime.tv_nsec = st->stx_ctime.tv_nsec = (uint32_t)now.tv_nsec;
	return 0;
}

static int pseudo_getattr(struct task *t, struct vnode *vn, struct statx *st)
{
	return fill_attr(pnode_of(vn), st);
}

static int pseudo_statfs(struct vnode *vn, struct statfs *st)
{
	memset(st, 0, sizeof(*st));
	st->f_type = pnode_of(vn)->magic;
	st->f_bsize = st->f_frsize = 4096;
	st->f_namelen = NAME_MAX;
	return 0;
}

static ssize_t pseudo_readlink(struct task *t, struct vnode *vn, char *buf, size_t size)
{
	struct pnode *n = pnode_of(vn);

	return S_ISLNK(vn->type) ? n->entry->link(&n->key, buf, size) : -EINVAL;
}

static int pseudo_follow(struct task *t, struct vnode *vn, struct vnode **out)
{
	struct pnode *n = pnode_of(vn);

	return n->entry->follow(t, &n->key, out);
}

/* ---- open files: priv is the node for directories, a struct content for files ---- */

/* The text is in a memfd, the file's host descriptor: app buffers are filled by the host, which
 * survives pages that cannot be had. */
struct content {
	struct vnode *vn;
	bool fresh; /* made by open and not read yet */
};

static int fill_memfd(int fd, const struct buf *text)
{
	if (ftruncate(fd, 0))
		return -errno;
	return pwrite(fd, text->data, text->len, 0) == (ssize_t)text->len ? 0 : -ENOMEM;
}

static int reload(struct vnode *vn, int fd)
{
	struct pnode *n = pnode_of(vn);
	struct buf text = BUF_INIT;
	int r = -EINVAL;

	if (n->entry->show)
		r = n->entry->show(&n->key, &text);
	if (!r)
		r = text.failed ? -ENOMEM : fill_memfd(fd, &text);
	buf_free(&text);
	return r;
}

/* Contents are made anew for every read at offset 0, so that a program which keeps the file open and
 * rewinds sees the present, and one that reads in pieces sees one state. */
static ssize_t content_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	struct content *c = f->priv;
	off_t pos = off;
	ssize_t r = 0;

	pthread_mutex_lock(&f->lock);
	if (off < 0)
		pos = lseek(f->hostfd, 0, SEEK_CUR);
	if (!pos && !c->fresh)
		r = reload(c->vn, f->hostfd);
	c->fresh = false;
	if (!r) {
		r = off < 0 ? readv(f->hostfd, iov, n) : preadv(f->hostfd, iov, n, off);
		if (r < 0)
			r = -errno;
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* Copies what an app buffer holds, at most size bytes. Length or -errno. */
static ssize_t copy_in(const struct iovec *iov, int n, char *buf, size_t size)
{
	cleanup_close int fd = memfd_create("store", MFD_CLOEXEC);
	size_t total = 0;
	ssize_t r;

	for (int i = 0; i < n; i++)
		if (add_overflow(total, iov[i].iov_len, &total) || total > size)
			return -EINVAL;
	if (fd < 0)
		return -ENOMEM;
	r = pwritev(fd, iov, n, 0);
	if (r >= 0)
		r = pread(fd, buf, (size_t)r, 0);
	return r < 0 ? -errno : r;
}

static ssize_t content_write(struct task *t, struct file *f, const struct iovec *iov, int n,
			     off_t off)
{
	struct content *c = f->priv;
	struct pnode *p = pnode_of(c->vn);
	char text[STORE_MAX];
	ssize_t len;
	int r;

	if (!p->entry->store)
		return -EACCES;
	len = copy_in(iov, n, text, sizeof(text));
	if (len < 0)
		return len;
	r = p->entry->store(&p->key, text, (size_t)len);
	return r ? r : len;
}

static int content_fstat(struct task *t, struct file *f, struct statx *st)
{
	struct content *c = f->priv;

	return fill_attr(pnode_of(c->vn), st);
}

static int content_truncate(struct task *t, struct file *f, off_t len)
{
	return -EINVAL;
}

static int content_fallocate(struct task *t, struct file *f, int mode, off_t off, off_t len)
{
	return -EOPNOTSUPP;
}

static int content_mmap_fd(struct task *t, struct file *f, bool shared)
{
	return -ENODEV;
}

static void content_release(struct file *f)
{
	struct content *c = f->priv;

	vnode_put(c->vn);
	free(c);
}

static const struct file_ops content_ops = {
	.read = content_read,
	.write = content_write,
	.fstat = content_fstat,
	.truncate = content_truncate,
	.fallocate = content_fallocate,
	.mmap_fd = content_mmap_fd,
	.release = content_release,
};

static int dir_fstat(struct task *t, struct file *f, struct statx *st)
{
	return fill_attr(f->priv, st);
}

static void dir_release(struct file *f)
{
	struct pnode *n = f->priv;

	vnode_put(&n->vn);
}

static const struct file_ops dir_ops = {
	.read = dirfile_io,
	.seek = dirfile_seek,
	.getdents = dir_getdents,
	.fstat = dir_fstat,
	.release = dir_release,
};

const struct pseudo_entry *pseudo_dir_entry(const struct file *f, struct pseudo_key *key)
{
	const struct pnode *n = f->priv;

	if (f->ops != &dir_ops)
		return NULL;
	*key = n->key;
	return n->entry;
}

static int open_dir(struct pnode *n, unsigned flags, struct file **out)
{
	if ((flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
		return -EISDIR;
	*out = file_new(&dir_ops, -1, flags, POL_FD_DIR);
	if (!*out)
		return -ENOMEM;
	(*out)->priv = n;
	vnode_get(&n->vn);
	return 0;
}

static int open_content(struct pnode *n, unsigned flags, struct file **out)
{
	bool reads = !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY;
	bool writes = !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
	cleanup_close int fd = -1;
	cleanup_free struct content *c = NULL;
	int r;

	if (writes && !n->entry->store)
		return -EACCES;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	if (!(flags & O_PATH)) {
		fd = memfd_create("proc", MFD_CLOEXEC);
		if (fd < 0)
			return errno == EMFILE ? -ENFILE : -errno;
	}
	if (reads) { /* a process that is gone is an error here, not at the read */
		r = reload(&n->vn, fd);
		if (r)
			return r;
		c->fresh = true;
	}
	*out = file_new(&content_ops, steal_fd(&fd), flags & ~(unsigned)O_TRUNC, POL_FD_FILE);
	if (!*out)
		return -ENOMEM;
	c->vn = vnode_get(&n->vn);
	(*out)->priv = steal_ptr(&c);
	return 0;
}

static int pseudo_open(struct task *t, struct vnode *vn, unsigned flags, struct file **out)
{
	struct pnode *n = pnode_of(vn);

	if (S_ISDIR(vn->type))
		return open_dir(n, flags, out);
	if (S_ISREG(vn->type) || (flags & O_PATH))
		return open_content(n, flags, out);
	return -ELOOP;
}

static const struct vnode_ops pseudo_ops = {
	.lookup = pseudo_lookup,
	.open = pseudo_open,
	.readlink = pseudo_readlink,
	.getattr = pseudo_getattr,
	.statfs = pseudo_statfs,
	.release = pseudo_release,
};

static const struct vnode_ops magic_ops = {
	.open = pseudo_open,
	.readlink = pseudo_readlink,
	.follow = pseudo_follow,
	.getattr = pseudo_getattr,
	.statfs = pseudo_statfs,
	.release = pseudo_release,
};
