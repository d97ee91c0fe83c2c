/* Path resolution. Every directory on the way is pinned, so what comes out is one object and the
 * canonical path under which the policy judges it; the handler then uses that object.
 *
 * Host directories usually need one call for the whole path (openat2 without symlinks). Where a
 * symlink is met the walk goes component by component until it is passed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/overflow.h"
#include "sentry/hostfs.h"
#include "sentry/path_int.h"
#include "sentry/task.h"

#define MAX_LINKS 40 /* as Linux */

void vpath_release(struct vpath *p)
{
	vnode_put(p->dir);
	vnode_put(p->node);
	file_put(p->file);
	p->dir = p->node = NULL;
	p->file = NULL;
}

/* ---- components ---- */

/* The next component: its length, 0 at the end. Skips slashes before it. */
static size_t component(struct walk *w, const char **name)
{
	w->next += strspn(w->next, "/");
	*name = w->next;
	return strcspn(w->next, "/");
}

static bool is_dots(const char *name, size_t len)
{
	return (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.');
}

/* What is left as one normal relative path without "." components, up to the first "..". */
struct ahead {
	char text[PATH_MAX];
	size_t len;	 /* 0: the next component is no plain name */
	size_t last;	 /* length before the last component's slash */
	const char *end; /* where it stops in the walk's text */
	bool whole;	 /* nothing is left after it but slashes and "." ... */
	bool dot, dir;	 /* ... of which there are some: the last component must be a directory */
};

static void look_ahead(const struct walk *w, struct ahead *a)
{
	const char *p = w->next;

	a->len = a->last = 0;
	a->dot = false;
	a->end = p;
	for (;;) {
		size_t len;

		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (!len || (len == 2 && is_dots(p, 2)) || a->len + len + 2 > PATH_MAX)
			break;
		a->dot = is_dots(p, len);
		if (!a->dot) {
			a->last = a->len;
			if (a->len)
				a->text[a->len++] = '/';
			memcpy(a->text + a->len, p, len);
			a->len += len;
		}
		p += len;
		a->end = p;
	}
	a->text[a->len] = '\0';
	a->whole = !*p;
	a->dir = a->dot || *a->end == '/';
}

/* Passes plain components whose lengths, with a slash for each, are left together. */
static void skip(struct walk *w, size_t left)
{
	const char *name;
	size_t len;

	while (left) {
		len = component(w, &name);
		w->next += len;
		left -= is_dots(name, len) ? 0 : len + 1;
	}
}

/* Enters a mount that lies ahead: mount points are found by the text of the path, before any
 * symlink of the host on the way to them. True when it moved. */
static int enter_mount(struct walk *w, bool *moved)
{
	size_t at = w->out->path_len == 1 ? 0 : w->out->path_len;
	char full[2 * PATH_MAX];
	struct mount *m;
	struct ahead a;

	*moved = false;
	look_ahead(w, &a);
	if (!a.len)
		return 0;
	memcpy(full, w->out->path, at);
	full[at] = '/';
	memcpy(full + at + 1, a.text, a.len + 1);
	m = vfs_mount_of(full, at + 1 + a.len);
	if (!m || m->path_len <= w->out->path_len)
		return 0;
	if (w->flags & VFS_PARENT && m->path_len == at + 1 + a.len && a.whole && !a.dot)
		return 0; /* the mount point itself is the last component */
	if (w->flags & VFS_NO_XDEV)
		return -EXDEV;
	skip(w, m->path_len - at);
	walk_to(w, vnode_get(m->root));
	*moved = true;
	return walk_set_path(w, m->path, m->path_len);
}

/* ---- symlinks ---- */

static int follow_magic(struct walk *w, struct vnode *link, const char *name, size_t len)
{
	char path[PATH_MAX];
	struct vnode *to;
	int r;

	if (w->flags & (VFS_NO_MAGICLINKS | VFS_NO_SYMLINKS))
		return -ELOOP;
	if (w->flags & (VFS_BENEATH | VFS_IN_ROOT | VFS_NO_XDEV))
		return -EXDEV;
	r = link->ops->follow(w->t, link, &to);
	if (r)
		return r;
	r = vfs_node_path(to, path, sizeof(path));
	if (r >= 0)
		r = walk_set_path(w, path, (size_t)r);
	else if (r == -EOPNOTSUPP)
		r = walk_push(w, name, len); /* no name of its own: a pipe, a socket */
	if (r < 0) {
		vnode_put(to);
		return r;
	}
	walk_to(w, to);
	return 0;
}

/* Follows link (last component taken off the text already). */
static int follow(struct walk *w, struct vnode *link, const char *name, size_t len, bool *magic)
{
	char target[PATH_MAX];
	ssize_t n;
	int r;

	*magic = link->ops->follow != NULL;
	if (w->flags & VFS_NO_SYMLINKS || ++w->links > MAX_LINKS)
		return -ELOOP;
	if (*magic) {
		r = follow_magic(w, link, name, len);
		if (r != -EINVAL)
			return r;
		*magic = false; /* an ordinary symlink of a file system that has magic ones too */
	}
	if (!link->ops->readlink)
		return -EINVAL;
	n = link->ops->readlink(w->t, link, target, sizeof(target));
	if (n < 0)
		return (int)n;
	if (!n)
		return -ENOENT;
	if ((size_t)n >= sizeof(target))
		return -ENAMETOOLONG;
	r = walk_prepend(w, target, (size_t)n);
	if (r)
		return r;
	w->slow = false;
	if (target[0] != '/')
		return 0;
	if (w->flags & VFS_BENEATH)
		return -EXDEV;
	if (w->flags & VFS_IN_ROOT) {
		w->out->path[w->base_len] =
		    '\0'; /* cur is below base: its path starts with base's */
		w->out->path_len = w->base_len;
		walk_to(w, vnode_get(w->base));
		r = walk_refresh(w);
		w->base_len = w->out->path_len;
		return r;
	}
	return walk_to_root(w);
}

/* ---- the walk ---- */

/* Ends the walk at cur, reached through "/", ".", ".." or a directory with nothing after it. */
static int end_at_cur(struct walk *w, const char *name)
{
	struct vpath *o = w->out;

	o->node = w->cur;
	w->cur = NULL;
	strcpy(o->name, name);
	return 0;
}

/* Ends the walk at component name of cur: node (reference taken) or NULL when it does not exist. */
static int end_at_name(struct walk *w, const char *name, size_t len, struct vnode *node)
{
	struct vpath *o = w->out;
	int r = walk_push(w, name, len);

	if (r) {
		vnode_put(node);
		return r;
	}
	memcpy(o->name, name, len);
	o->name[len] = '\0';
	o->dir = w->cur;
	w->cur = NULL;
	o->node = node;
	return 0;
}

/* Looks cur's child up, through a mount on it. */
static int lookup_child(struct walk *w, const char *name, size_t len, struct vnode **out)
{
	char child[PATH_MAX + NAME_MAX + 2], one[NAME_MAX + 1];
	size_t at = w->out->path_len == 1 ? 0 : w->out->path_len;
	struct mount *m;

	if (w->cur->type != S_IFDIR)
		return -ENOTDIR;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(one, name, len);
	one[len] = '\0';
	memcpy(child, w->out->path, at);
	child[at] = '/';
	memcpy(child + at + 1, one, len + 1);
	m = vfs_mount_at(child, at + 1 + len);
	if (m) {
		*out = vnode_get(m->root);
		return 0;
	}
	return w->cur->ops->lookup ? w->cur->ops->lookup(w->cur, one, out) : -ENOTDIR;
}

/* Moves to node (taken), found len bytes of the plain text ahead. */
static int arrive(struct walk *w, struct vnode *node, const struct ahead *a, size_t len)
{
	int r = walk_push(w, a->text, len);

	if (r)
		vnode_put(node);
	else
		walk_to(w, node);
	return r;
}

/* One call for all components ahead but the last. 1 when it went there, 0 when a symlink or the
 * host forbids it, or -errno. */
static int walk_parent(struct walk *w, struct ahead *a)
{
	struct vnode *node;
	int r;

	a->text[a->last] = '\0';
	r = hostfs_lookup_path(w->cur, a->text, false, &node);
	if (!r)
		r = arrive(w, node, a, a->last);
	else if (r == -ELOOP || r == -EAGAIN)
		return 0;
	if (r)
		return r;
	skip(w, a->last + 1);
	return 1;
}

/* One call for all components ahead that are plain names. Returns 1 when the walk is done, 0 when
 * it goes on, or -errno. */
static int walk_fast(struct walk *w)
{
	struct vnode *node;
	struct ahead a;
	int r = -ELOOP;

	look_ahead(w, &a);
	if (!a.last)
		return 0; /* one component is looked up by name anyway */
	/* Calls that change names want the parent. */
	if (!a.whole || !(w->flags & VFS_PARENT || (w->flags & VFS_CREATE && a.dir)))
		r = hostfs_lookup_path(w->cur, a.text, a.whole && !a.dir && w->flags & VFS_NOFOLLOW,
				       &node);
	if (!r) {
		r = arrive(w, node, &a, a.len);
		if (r)
			return r;
		w->next += a.end - w->next;
		if (!a.whole)
			return 0;
		if (a.dir && node->type != S_IFDIR)
			return -ENOTDIR;
		end_at_cur(w, "");
		return 1;
	}
	if (r == -ELOOP || (r == -ENOENT && w->flags & VFS_CREATE && a.whole)) {
		r = walk_parent(w, &a);
		if (r)
			return r < 0 ? r : 0;
	} else if (r != -EAGAIN) {
		return r;
	}
	w->slow = true;
	return 0;
}

/* The component after the fast part. Returns 1 when the walk is done, 0 when it goes on, -errno. */
static int walk_name(struct walk *w, const char *name, size_t len)
{
	const char *after = name + len;
	bool last = !after[strspn(after, "/")], slash = *after == '/', magic;
	struct vnode *node = NULL;
	int r;

	if (last && slash && w->flags & VFS_CREATE)
		return -EISDIR; /* open makes no directories */
	r = lookup_child(w, name, len, &node);

	if (r == -ENOENT && last && w->flags & (VFS_CREATE | VFS_PARENT)) {
		w->out->must_dir = slash;
		r = end_at_name(w, name, len, NULL);
		return r ? r : 1;
	}
	if (r)
		return r;
	if (last && w->flags & VFS_PARENT) {
		w->out->must_dir = slash;
		r = end_at_name(w, name, len, node);
		return r ? r : 1;
	}
	w->next += len;
	if (node->type == S_IFLNK && (!last || slash || !(w->flags & VFS_NOFOLLOW))) {
		char kept[NAME_MAX + 1]; /* prepending the target moves the text */

		memcpy(kept, name, len);
		r = follow(w, node, kept, len, &magic);
		vnode_put(node);
		if (r || !magic || !last)
			return r;
		if (slash && w->cur->type != S_IFDIR)
			return -ENOTDIR;
		end_at_cur(w, "");
		return 1;
	}
	if (!last || slash) {
		if (node->type != S_IFDIR) {
			vnode_put(node);
			return -ENOTDIR;
		}
		if (node->mnt != w->cur->mnt && w->flags & VFS_NO_XDEV) {
			vnode_put(node);
			return -EXDEV;
		}
	}
	if (last) {
		w->out->must_dir = slash;
		r = end_at_name(w, name, len, node);
		return r ? r : 1;
	}
	r = walk_push(w, name, len);
	if (r) {
		vnode_put(node);
		return r;
	}
	walk_to(w, node);
	return 0;
}

static int walk(struct walk *w)
{
	const char *name = "";
	bool moved;
	size_t len;
	int r;

	for (;;) {
		r = enter_mount(w, &moved);
		if (r)
			return r;
		if (!w->slow && w->cur->ops == &hostfs_ops) {
			r = walk_fast(w);
			if (r)
				return r;
		}
		len = component(w, &name);
		if (!len)
			return end_at_cur(w, "");
		if (w->cur->type != S_IFDIR)
			return -ENOTDIR;
		if (!is_dots(name, len)) {
			r = walk_name(w, name, len);
			if (r)
				return r;
			continue;
		}
		w->next += len;
		if (!w->next[strspn(w->next, "/")] && w->flags & VFS_PARENT) {
			if (len == 2) {
				r = walk_to_parent(w);
				if (r)
					return r;
				w->dotdot = true;
			}
			if (!w->next[strspn(w->next, "/")])
				return end_at_cur(w, w->dotdot ? ".." : ".");
			continue; /* the parent is found by name: "/its/path/." */
		}
		if (len == 2) {
			r = walk_to_parent(w);
			if (r)
				return r;
		}
	}
}

/* ---- where it starts ---- */

static int start_at_cwd(struct walk *w)
{
	struct fsctx *fs;
	int r;

	if (!w->t)
		return -ENOENT;
	fs = w->t->proc->fs;
	pthread_mutex_lock(&fs->lock);
	walk_to(w, vnode_get(fs->cwd));
	r = walk_set_path(w, fs->cwd_path, strlen(fs->cwd_path));
	pthread_mutex_unlock(&fs->lock);
	return r;
}

static int start_at_fd(struct walk *w, int fd)
{
	struct file *f = w->t ? fdtab_lookup(w->t->proc->fdtab, fd) : NULL;
	int r = 0;

	if (!f)
		return -EBADF;
	if (!f->node || f->node->type != S_IFDIR)
		r = -ENOTDIR;
	else {
		walk_to(w, vnode_get(f->node));
		r = walk_set_path(w, f->path ? f->path : "/", f->path ? strlen(f->path) : 1);
	}
	file_put(f);
	return r;
}

static int start(struct walk *w, int dirfd, const char *path)
{
	int r;

	if (path[0] == '/' && !(w->flags & VFS_IN_ROOT)) {
		if (w->flags & VFS_BENEATH)
			return -EXDEV;
		return walk_to_root(w);
	}
	r = dirfd == AT_FDCWD ? start_at_cwd(w) : start_at_fd(w, dirfd);
	if (!r)
		r = walk_refresh(w);
	if (r == -ENOENT) /* removed: nothing can be found in it, but itself and its parent */
		r = 0;
	if (!r && w->flags & (VFS_BENEATH | VFS_IN_ROOT)) {
		w->base = vnode_get(w->cur);
		w->base_len = w->out->path_len;
	}
	return r;
}

/* AT_EMPTY_PATH: the descriptor itself, of whatever kind, or the working directory. */
static int resolve_fd(struct walk *w, int dirfd)
{
	struct vpath *o = w->out;
	int r;

	if (dirfd == AT_FDCWD) {
		r = start(w, dirfd, "");
		return r ? r : end_at_cur(w, "");
	}
	o->file = w->t ? fdtab_lookup(w->t->proc->fdtab, dirfd) : NULL;
	if (!o->file)
		return -EBADF;
	if (o->file->node)
		o->node = vnode_get(o->file->node);
	if (o->file->path)
		return walk_set_path(w, o->file->path, strlen(o->file->path));
	return 0;
}

/* The path for the policy when resolution failed: as far as it was canonical, then as written. */
static void keep_failed_path(struct walk *w)
{
	const char *name;
	size_t len;

	if (!w->next || !w->out->path_len)
		return;
	while ((len = component(w, &name))) {
		w->next += len;
		if (len == 2 && is_dots(name, 2)) {
			if (walk_at_root(w))
				continue;
			while (w->out->path_len > 1 && w->out->path[--w->out->path_len] != '/')
				;
			w->out->path[w->out->path_len] = '\0';
			if (!w->out->path_len)
				walk_set_path(w, "/", 1);
		} else if (!is_dots(name, len) && walk_push(w, name, len)) {
			return;
		}
	}
}

int vfs_resolve(struct task *t, int dirfd, const char *path, unsigned flags, struct vpath *out)
{
	struct walk w = {.t = t, .flags = flags, .out = out};
	size_t len = strlen(path);
	int r;

	out->dir = out->node = NULL;
	out->file = NULL;
	out->name[0] = out->path[0] = '\0';
	out->path_len = 0;
	out->must_dir = false;
	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	if (!len && !(flags & VFS_EMPTY))
		return -ENOENT;
	memcpy(w.rest, path, len + 1);
	w.next = w.rest;
	r = walk_take_root(&w);
	if (!r)
		r = len ? start(&w, dirfd, path) : resolve_fd(&w, dirfd);
	if (!r && len)
		r = walk(&w);
	if (r > 0) /* the walk ended early */
		r = 0;
	if (!r && flags & VFS_DIRECTORY && out->node && out->node->type != S_IFDIR)
		r = -ENOTDIR;
	if (!r && flags & VFS_NO_XDEV && w.base && out->node && out->node->mnt != w.base->mnt)
		r = -EXDEV;
	if (r) {
		vpath_release(out);
		if (w.links > MAX_LINKS) { /* round and round: there is no such object */
			out->path_len = 0;
			out->path[0] = '\0';
		} else {
			keep_failed_path(&w);
		}
	}
	vnode_put(w.cur);
	vnode_put(w.base);
	vnode_put(w.root);
	free(w.root_path);
	return r;
}
