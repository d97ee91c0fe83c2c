/* Extended attributes of the in-memory file system: a list for each node, in the order of names, charged
 * to the file system's space. Guarded by the node's lock. */
#include "sentry/tmpfs.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

struct txattr {
	struct txattr *next;
	size_t size;
	char *value; /* behind the name */
	char name[];
};

/* Does the name go on after its class? */
static bool is_whole(const char *name)
{
	return name[strlen("user.")] != '\0';
}

static uint64_t cost(const char *name, size_t size)
{
	return sizeof(struct txattr) + strlen(name) + 1 + size;
}

/* Where name is or would be. */
static struct txattr **place(struct tnode *n, const char *name)
{
	struct txattr **p = &n->xattrs;

	while (*p && strcmp((*p)->name, name) < 0)
		p = &(*p)->next;
	return p;
}

static struct txattr *found(struct txattr **p, const char *name)
{
	return *p && !strcmp((*p)->name, name) ? *p : NULL;
}

static void drop(struct tnode *n, struct txattr *x)
{
	tmpfs_uncharge(n->fs, cost(x->name, x->size));
	free(x);
}

void tmpfs_xattr_free(struct tnode *n)
{
	while (n->xattrs) {
		struct txattr *x = n->xattrs;

		n->xattrs = x->next;
		drop(n, x);
	}
}

static int make(struct tnode *n, const char *name, const void *value, size_t size,
		struct txattr **out)
{
	size_t len = strlen(name) + 1;
	struct txattr *x;
	int r = tmpfs_charge(n->fs, cost(name, size));

	if (r)
		return r;
	x = malloc(sizeof(*x) + len + size);
	if (!x) {
		tmpfs_uncharge(n->fs, cost(name, size));
		return -ENOMEM;
	}
	memcpy(x->name, name, len);
	x->value = x->name + len;
	x->size = size;
	memcpy(x->value, value, size);
	*out = x;
	return 0;
}

static int set_locked(struct tnode *n, const char *name, const void *value, size_t size, int flags)
{
	struct txattr **p = place(n, name), *old = found(p, name), *x = NULL;
	int r = 0;

	if (old && flags & XATTR_CREATE)
		return -EEXIST;
	if (!old && flags & XATTR_REPLACE)
		return -ENODATA;
	if (value)
		r = make(n, name, value, size, &x);
	if (r)
		return r;
	if (old)
		*p = old->next;
	if (x) {
		x->next = *p;
		*p = x;
	}
	if (old)
		drop(n, old);
	return 0;
}

/* An attribute of the host's file, in an overlay. */
static int take_host(struct tnode *n, const char *name, const void *value, size_t size)
{
	return set_locked(n, name, value, size, 0);
}

ssize_t tmpfs_getxattr(struct vnode *vn, const char *name, void *buf, size_t size)
{
	struct tnode *n = tnode_of(vn);
	struct txattr *x;
	ssize_t r = -ENODATA;
	int err;

	if (!is_whole(name))
		return -EINVAL;
	pthread_mutex_lock(&n->lock);
	err = tmpfs_lower_xattrs(n, take_host);
	x = found(place(n, name), name);
	if (err)
		r = err;
	else if (x)
		r = size && size < x->size ? -ERANGE : (ssize_t)x->size;
	if (r > 0 && size)
		memcpy(buf, x->value, x->size);
	pthread_mutex_unlock(&n->lock);
	return r;
}

int tmpfs_setxattr(struct vnode *vn, const char *name, const void *value, size_t size, int flags)
{
	struct tnode *n = tnode_of(vn);
	int r;

	if (!is_whole(name))
		return -EINVAL;
	pthread_mutex_lock(&n->lock);
	r = tmpfs_lower_xattrs(n, take_host);
	if (!r)
		r = set_locked(n, name, value, size, flags);
	if (!r) {
		pthread_mutex_lock(&n->fs->lock);
		n->ctime = tmpfs_now();
		pthread_mutex_unlock(&n->fs->lock);
	}
	pthread_mutex_unlock(&n->lock);
	return r;
}

ssize_t tmpfs_listxattr(struct vnode *vn, char *buf, size_t size)
{
	struct tnode *n = tnode_of(vn);
	size_t total = 0;
	bool fits = true;
	int err;

	pthread_mutex_lock(&n->lock);
	err = tmpfs_lower_xattrs(n, take_host);
	for (const struct txattr *x = n->xattrs; x && total <= XATTR_LIST_MAX; x = x->next) {
		size_t len = strlen(x->name) + 1;

		fits = fits && total + len <= size;
		if (fits)
			memcpy(buf + total, x->name, len);
		total += len;
	}
	pthread_mutex_unlock(&n->lock);
	if (err)
		return err;
	return !fits && size ? -ERANGE : total > XATTR_LIST_MAX ? -E2BIG : (ssize_t)total;
}
