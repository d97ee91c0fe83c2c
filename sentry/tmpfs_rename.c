/* Renaming in the in-memory file system. */
#include <errno.h>
#include <linux/fs.h>
#include <unistd.h>
#include "sentry/tmpfs.h"

/* Is dir the directory top or below it? */
static bool is_below(const struct tnode *dir, const struct tnode *top)
{
	for (; dir; dir = dir->dir.parent)
		if (dir == top)
			return true;
	return false;
}

static int check_replace(const struct tnode *src, const struct tnode *dst)
{
	bool sdir = S_ISDIR(src->vn.type), ddir = S_ISDIR(dst->vn.type);

	if (sdir != ddir)
		return sdir ? -ENOTDIR : -EISDIR;
	return ddir && dst->dir.count ? -ENOTEMPTY : 0;
}

static void cover(struct tentry *e)
{
	e->covers |= e->host;
	e->host = false;
}

/* Points two entries at each other's nodes. */
static void exchange(struct tentry *a, struct tentry *b)
{
	struct tnode *an = a->node, *bn = b->node;
	bool adir = S_ISDIR(an->vn.type), bdir = S_ISDIR(bn->vn.type);

	a->node = bn;
	b->node = an;
	cover(a);
	cover(b);
	an->entry = b;
	bn->entry = a;
	a->dir->dir.subdirs += (uint32_t)bdir - (uint32_t)adir;
	b->dir->dir.subdirs += (uint32_t)adir - (uint32_t)bdir;
	if (adir)
		an->dir.parent = b->dir;
	if (bdir)
		bn->dir.parent = a->dir;
	an->ctime = bn->ctime = tmpfs_now();
	tmpfs_touch(a->dir);
	tmpfs_touch(b->dir);
}

/* Moves the node of src to name in d, replacing dst when there is one. *gone: node to put. */
static int move(struct tentry *src, struct tnode *d, const char *name, struct tentry *dst,
		struct tnode **gone)
{
	struct tnode *n = src->node, *from = src->dir;
	int r = 0;

	if (dst) { /* reuse the entry: nothing can fail half-way */
		*gone = dst->node;
		dst->node->nlink--;
		dst->node->ctime = tmpfs_now();
		tmpfs_lower_unlinked(dst->node);
		if (dst->node->entry == dst)
			dst->node->entry = NULL;
		if (S_ISDIR(dst->node->vn.type))
			dst->node->dir.parent = NULL;
		tmpfs_dir_del(src);
		dst->node = n;
		cover(dst);
		n->entry = dst;
		if (S_ISDIR(n->vn.type))
			n->dir.parent = d;
	} else {
		r = tmpfs_dir_add(d, name, n);
		if (r)
			return r;
		tmpfs_dir_del(src);
		if (S_ISDIR(n->vn.type))
			n->dir.parent = d;
	}
	n->ctime = tmpfs_now();
	tmpfs_touch(from);
	tmpfs_touch(d);
	return 0;
}

static int rename_locked(struct tnode *sd, const char *name, struct tnode *dd, const char *newname,
			 unsigned flags, struct tnode **gone)
{
	struct tentry *src = NULL, *dst;
	int r = tmpfs_find(dd, newname, &dst);

	if (!r)
		r = tmpfs_find(sd, name, &src);
	if (!r && dst && S_ISDIR(dst->node->vn.type))
		r = tmpfs_lower_list(dst->node);
	if (r)
		return r;
	if (!src || !dd->nlink)
		return -ENOENT;
	if (dst && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!dst && (flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (src->node->vn.path || (dst && dst->node->vn.path))
		return -EBUSY;
	if (S_ISDIR(src->node->vn.type) && is_below(dd, src->node))
		return -EINVAL;
	if (dst && dst->node == src->node)
		return 0;
	if (flags & RENAME_EXCHANGE) {
		if (S_ISDIR(dst->node->vn.type) && is_below(sd, dst->node))
			return -EINVAL;
		exchange(src, dst);
		return 0;
	}
	if (dst && S_ISDIR(dst->node->vn.type) && is_below(sd, dst->node))
		return -ENOTEMPTY;
	r = dst ? check_replace(src->node, dst->node) : 0;
	return r ? r : move(src, dd, newname, dst, gone);
}

int tmpfs_rename(struct vnode *from, const char *name, struct vnode *to, const char *newname,
			unsigned flags)
{
	struct tnode *sd = tnode_of(from), *dd = tnode_of(to), *gone = NULL;
	int r;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if ((flags & RENAME_NOREPLACE) && (flags & RENAME_EXCHANGE))
		return -EINVAL;
	r = tmpfs_permit(from, W_OK | X_OK);
	r = r ? r : tmpfs_permit(to, W_OK | X_OK);
	if (r)
		return r;
	pthread_mutex_lock(&sd->fs->lock);
	r = rename_locked(sd, name, dd, newname, flags, &gone);
	pthread_mutex_unlock(&sd->fs->lock);
	if (gone)
		vnode_put(&gone->vn);
	return r;
}
