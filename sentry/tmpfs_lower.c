/* Overlays: an in-memory file system that begins as a view of a folder of the host. A folder's names are
 * taken over when it is first looked into, a node's attributes when it is first found, a file's contents
 * when it is first opened to be changed. From then on they are this file system's own: removing,
 * renaming and linking are what they are everywhere in it, and nothing of the host's is ever changed.
 *
 * A node remembers where in the host's tree it was found (struct tlower), not where it is now, and is
 * looked for there from the folder's root, name by name, never through links. */
#include "sentry/tmpfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "sentry/hostfs.h"
#include "sentry/hostproc.h"

#define LINK_BUCKETS 1024u /* a power of two */
#define DEPTH_MAX    2048u
#define OWN_INO	     (1ull << 48) /* numbers of nodes that the host does not have */

struct tlower { /* a name in the host's folder */
	atomic_int refs;
	unsigned depth;
	struct tlower *up; /* NULL: the folder itself */
	char name[];
};

struct tlink { /* a file of the host with several names */
	struct tlink *next;
	uint64_t dev, ino;
	struct tnode *node; /* referenced: names that were not found yet may lead to it */
};

struct toverlay {
	struct vnode *root;   /* of the host */
	pthread_mutex_t lock; /* guards at, at_node */
	struct tlower *at;    /* the folder that was used last, and its node */
	struct vnode *at_node;
	struct tlink *links[LINK_BUCKETS]; /* guarded by tmpfs.lock */
};

struct treader { /* an open file that reads the host's contents */
	struct list node;
	struct file *file;
};

/* ---- places in the host's tree ---- */

static struct tlower *lower_get(struct tlower *l)
{
	atomic_fetch_add(&l->refs, 1);
	return l;
}

static void lower_put(struct tlower *l)
{
	while (l && atomic_fetch_sub(&l->refs, 1) == 1) {
		struct tlower *up = l->up;

		free(l);
		l = up;
	}
}

static struct tlower *lower_new(struct tlower *up, const char *name)
{
	size_t len = strlen(name);
	struct tlower *l = calloc(1, sizeof(*l) + len + 1);

	if (!l)
		return NULL;
	atomic_init(&l->refs, 1);
	memcpy(l->name, name, len + 1);
	if (up) {
		l->up = lower_get(up);
		l->depth = up->depth + 1;
	}
	return l;
}

/* The remembered folder's node, when it is l. */
static struct vnode *remembered(struct toverlay *o, const struct tlower *l)
{
	struct vnode *vn = NULL;

	pthread_mutex_lock(&o->lock);
	if (!l->up)
		vn = vnode_get(o->root);
	else if (o->at == l)
		vn = vnode_get(o->at_node);
	pthread_mutex_unlock(&o->lock);
	return vn;
}

static void remember(struct toverlay *o, struct tlower *l, struct vnode *vn)
{
	struct tlower *old;
	struct vnode *old_node;

	pthread_mutex_lock(&o->lock);
	old = o->at;
	old_node = o->at_node;
	o->at = lower_get(l);
	o->at_node = vnode_get(vn);
	pthread_mutex_unlock(&o->lock);
	lower_put(old);
	vnode_put(old_node);
}

/* The names from the remembered folder above l, or from the root, down to l; *dir: that folder. */
static int way_down(struct toverlay *o, struct tlower *l, struct tlower **way, struct vnode **dir)
{
	int n = 0;

	while (!(*dir = remembered(o, l))) {
		way[n++] = l;
		l = l->up;
	}
	return n;
}

/* The host's node at l. 0 or -errno. Without recursion: a place may be deep, a task's stack is not. */
static int lower_find(struct toverlay *o, struct tlower *l, struct vnode **out)
{
	cleanup_free struct tlower **way = malloc((l->depth + 1) * sizeof(*way));
	struct vnode *dir = NULL, *next;
	int n, r = 0;

	if (!way)
		return -ENOMEM;
	n = way_down(o, l, way, &dir);
	while (n-- && !r) {
		next = NULL;
		r = dir->type == S_IFDIR ? dir->ops->lookup(dir, way[n]->name, &next) : -ENOTDIR;
		if (!r && next->type == S_IFDIR)
			remember(o, way[n], next);
		vnode_put(dir);
		dir = next;
	}
	*out = dir;
	return r;
}

/* The host's node that n was taken from. -ENOENT when something else has its name now. */
static int host_node(struct tnode *n, struct vnode **out)
{
	int r = lower_find(n->fs->overlay, n->lower, out);

	if (!r && (*out)->type != n->vn.type) {
		vnode_put(*out);
		r = -ENOENT;
	}
	return r;
}

/* ---- attributes ---- */

static struct timespec time_of(const struct statx_timestamp *ts)
{
	return (struct timespec){.tv_sec = ts->tv_sec, .tv_nsec = ts->tv_nsec};
}

static void take_attr(struct tnode *n, struct statx *st)
{
	vfs_ids_to_app(st);
	n->perm = st->stx_mode & 07777;
	n->uid = st->stx_uid;
	n->gid = st->stx_gid;
	n->rdev = makedev(st->stx_rdev_major, st->stx_rdev_minor);
	n->atime = time_of(&st->stx_atime);
	n->mtime = time_of(&st->stx_mtime);
	n->ctime = time_of(&st->stx_ctime);
	n->btime = time_of(&st->stx_btime);
	if (n->vn.type == S_IFDIR) {
		n->dir.host_size = st->stx_size;
		n->dir.host_links = st->stx_nlink;
	} else {
		n->nlink = st->stx_nlink;
	}
	if (n->vn.type == S_IFREG) {
		n->data.host = true;
		n->data.host_size = st->stx_size;
		n->data.host_blocks = st->stx_blocks;
	}
}

static int take_target(struct tnode *n, struct vnode *host)
{
	char buf[PATH_MAX];
	ssize_t len = host->ops->readlink(NULL, host, buf, sizeof(buf) - 1);
	int r;

	if (len < 0)
		return (int)len;
	buf[len] = '\0';
	r = tmpfs_charge(n->fs, strlen(buf));
	if (r)
		return r;
	n->target = strdup(buf);
	if (!n->target)
		tmpfs_uncharge(n->fs, strlen(buf));
	return n->target ? 0 : -ENOMEM;
}

static struct tlink **link_at(struct toverlay *o, uint64_t dev, uint64_t ino)
{
	struct tlink **p = &o->links[(ino * 0x9e3779b97f4a7c15ull >> 40 ^ dev) & (LINK_BUCKETS - 1)];

	while (*p && ((*p)->dev != dev || (*p)->ino != ino))
		p = &(*p)->next;
	return p;
}

/* Another name of a file that is known already gets that file's node. */
static int join_links(struct tentry *e, const struct statx *st)
{
	uint64_t dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	struct tlink **p = link_at(e->node->fs->overlay, dev, st->stx_ino), *l = *p;
	struct tnode *n = e->node;

	if (l) {
		e->node = l->node;
		vnode_get(&l->node->vn);
		if (!l->node->entry)
			l->node->entry = e;
		n->entry = NULL;
		vnode_put(&n->vn);
		return 0;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = (struct tlink){.dev = dev, .ino = st->stx_ino, .node = n};
	vnode_get(&n->vn);
	n->host_dev = dev;
	n->linked = true;
	*p = l;
	return 0;
}

void tmpfs_lower_unlinked(struct tnode *n)
{
	struct tlink **p, *l;

	if (!n->linked || n->nlink)
		return;
	p = link_at(n->fs->overlay, n->host_dev, n->vn.ino);
	l = *p;
	n->linked = false;
	*p = l->next;
	free(l);
	vnode_put(&n->vn); /* the caller has another */
}

/* The name leads to nothing any more: the host removed it before anybody here looked. */
static void drop(struct tentry *e)
{
	struct tnode *n = e->node;

	e->host = false; /* nothing that was taken away here */
	tmpfs_dir_del(e);
	n->nlink = 0;
	vnode_put(&n->vn);
}

/* Takes over the attributes of the node that e leads to. */
static int settle(struct tentry *e)
{
	struct tnode *n = e->node;
	struct vnode *host;
	struct statx st;
	int r = host_node(n, &host);

	if (r)
		return r;
	if (statx(host->hostfd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
		  STATX_BASIC_STATS | STATX_BTIME, &st))
		r = -errno;
	else if (n->vn.type == S_IFLNK)
		r = take_target(n, host);
	vnode_put(host);
	if (r)
		return r;
	n->vn.ino = st.stx_ino;
	take_attr(n, &st);
	n->raw = false;
	return n->vn.type != S_IFDIR && st.stx_nlink > 1 ? join_links(e, &st) : 0;
}

int tmpfs_find(struct tnode *dir, const char *name, struct tentry **out)
{
	struct tentry *e;
	int r = tmpfs_lower_list(dir);

	*out = NULL;
	if (r)
		return r;
	e = tmpfs_dir_find(dir, name);
	if (e && e->node->raw) {
		r = settle(e);
		if (r == -ENOENT || r == -ENOTDIR) {
			drop(e);
			return 0;
		}
	}
	if (!r)
		*out = e;
	return r;
}

/* ---- names ---- */

struct host_dirent { /* struct linux_dirent64 */
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* The type of what has the name, where the host's directory does not tell. 0: it is not to be seen. */
static mode_t type_of(struct vnode *host, const struct host_dirent *d)
{
	struct vnode *vn;
	mode_t type;

	if (d->type != DT_UNKNOWN)
		return DTTOIF(d->type);
	if (host->ops->lookup(host, d->name, &vn))
		return 0;
	type = vn->type;
	vnode_put(vn);
	return type;
}

static int take_name(struct tnode *dir, struct vnode *host, const struct host_dirent *d)
{
	mode_t type = type_of(host, d);
	struct tnode *n;
	int r;

	if (!type || !strcmp(d->name, ".") || !strcmp(d->name, ".."))
		return 0;
	r = tmpfs_node_new(dir->fs, dir->vn.mnt, type, &n);
	if (r)
		return r;
	n->vn.ino = d->ino;
	n->raw = true;
	n->lower = lower_new(dir->lower, d->name);
	if (type == S_IFDIR)
		n->dir.unread = true;
	r = n->lower ? tmpfs_dir_add(dir, d->name, n) : -ENOMEM;
	if (r)
		vnode_put(&n->vn);
	else
		n->entry->host = true;
	return r;
}

static int take_names(struct tnode *dir, struct vnode *host, int fd)
{
	_Alignas(8) uint8_t buf[8192];
	long len;
	int r = 0;

	while (!r && (len = syscall(SYS_getdents64, fd, buf, sizeof(buf))) != 0) {
		if (len < 0)
			return -errno;
		for (long at = 0; at < len && !r;) {
			const struct host_dirent *d = (const struct host_dirent *)(buf + at);

			r = take_name(dir, host, d);
			at += d->reclen;
		}
	}
	return r;
}

int tmpfs_lower_list(struct tnode *dir)
{
	cleanup_close int fd = -1;
	struct vnode *host;
	int r;

	if (!dir->dir.unread)
		return 0;
	if (dir->lower->depth >= DEPTH_MAX)
		return -ENAMETOOLONG;
	r = host_node(dir, &host);
	if (r)
		return r;
	fd = hostproc_reopen(host->hostfd, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		vnode_put(host);
		return fd;
	}
	r = take_names(dir, host, fd);
	vnode_put(host);
	if (r) { /* all or nothing */
		tmpfs_dir_free(dir);
		dir->dir.count = dir->dir.subdirs = 0;
	}
	dir->dir.unread = r != 0;
	return r;
}

/* ---- contents ---- */

/* The host's file, opened to read; its size is what there is now. */
static int open_host(struct tnode *n, unsigned flags)
{
	struct vnode *host;
	struct stat st;
	int fd = host_node(n, &host);

	if (fd)
		return fd;
	fd = hostproc_reopen(host->hostfd, O_RDONLY | flags);
	vnode_put(host);
	if (fd >= 0 && !fstat(fd, &st)) {
		n->data.host_size = (uint64_t)st.st_size;
		n->data.host_blocks = (uint64_t)st.st_blocks;
	}
	return fd;
}

int tmpfs_lower_host(struct tnode *n)
{
	return open_host(n, 0);
}

int tmpfs_lower_open(struct tnode *n, unsigned flags, const struct file_ops *ops, struct file **out)
{
	struct treader *reader = malloc(sizeof(*reader));
	int fd;

	if (!reader)
		return -ENOMEM;
	fd = open_host(n, flags & (O_NONBLOCK | O_DIRECT));
	*out = fd < 0 ? NULL : file_new(ops, fd, flags, POL_FD_FILE);
	if (!*out) {
		free(reader);
		return fd < 0 ? fd : -ENOMEM;
	}
	reader->file = *out;
	list_append(&n->data.readers, &reader->node);
	n->data.opens++;
	return 0;
}

void tmpfs_lower_closed(struct tnode *n, const struct file *f)
{
	struct treader *r, *tmp;

	list_for_each_safe (r, tmp, &n->data.readers, node) {
		if (r->file != f)
			continue;
		list_del(&r->node);
		free(r);
	}
}

/* Who reads the host's contents reads ours from now on, at the same position. */
static void move_readers(struct tnode *n)
{
	struct treader *r;

	list_for_each (r, &n->data.readers, node) {
		int own = r->file->hostfd, fd = hostproc_reopen(n->data.memfd, O_RDONLY);
		off_t pos = lseek(own, 0, SEEK_CUR);

		if (fd < 0)
			continue;
		if (dup3(fd, own, O_CLOEXEC) >= 0)
			lseek(own, pos, SEEK_SET);
		close(fd);
	}
}

int tmpfs_lower_copy(struct tnode *n, uint64_t keep)
{
	cleanup_close int fd = -1;
	int r;

	if (!n->data.host)
		return 0;
	fd = open_host(n, 0);
	if (fd < 0)
		return fd;
	r = tmpfs_data_fill(n, fd, MIN(keep, n->data.host_size));
	if (r)
		return r;
	n->data.host = false;
	move_readers(n);
	return 0;
}

/* ---- extended attributes ---- */

int tmpfs_lower_xattrs(struct tnode *n,
		       int (*take)(struct tnode *n, const char *name, const void *value, size_t size))
{
	cleanup_free char *names = NULL, *value = NULL;
	struct vnode *host;
	ssize_t len, size;
	int r;

	if (n->own_xattrs || !n->lower || (n->vn.type != S_IFREG && n->vn.type != S_IFDIR))
		return 0;
	names = malloc(XATTR_LIST_MAX);
	value = malloc(XATTR_SIZE_MAX);
	r = names && value ? host_node(n, &host) : -ENOMEM;
	if (r)
		return r;
	len = hostfs_listxattr(host, names, XATTR_LIST_MAX);
	if (len < 0) /* not readable: it has none here */
		len = 0;
	for (const char *x = names; x < names + len && !r; x += strlen(x) + 1) {
		size = hostfs_getxattr(host, x, value, XATTR_SIZE_MAX);
		if (size >= 0)
			r = take(n, x, value, (size_t)size);
	}
	vnode_put(host);
	n->own_xattrs = !r;
	return r;
}

/* ---- the file system ---- */

void tmpfs_lower_free(struct tnode *n)
{
	free(n->saved);
	lower_put(n->lower);
}

int tmpfs_overlay(const char *path, uint64_t max_bytes, struct vnode **out)
{
	struct toverlay *o = calloc(1, sizeof(*o));
	struct tnode *root;
	struct statx st;
	int r = o ? hostfs_root(path, &o->root) : -ENOMEM;

	if (!r && o->root->type != S_IFDIR)
		r = -ENOTDIR;
	if (!r && statx(o->root->hostfd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st))
		r = -errno;
	if (!r)
		r = tmpfs_root(max_bytes, out);
	if (r) {
		if (o)
			vnode_put(o->root);
		free(o);
		return r;
	}
	pthread_mutex_init(&o->lock, NULL);
	root = tnode_of(*out);
	root->fs->overlay = o;
	atomic_store(&root->fs->next_ino, OWN_INO);
	root->lower = lower_new(NULL, "");
	if (!root->lower)
		return -ENOMEM; /* at start-up: sbx ends */
	root->vn.ino = st.stx_ino;
	root->dir.unread = true;
	take_attr(root, &st);
	return 0;
}
