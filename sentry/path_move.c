/* Path resolution: moving from directory to directory. */
#include "sentry/path_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "sentry/hostfs.h"
#include "sentry/task.h"

int walk_set_path(struct walk *w, const char *path, size_t len)
{
	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	memmove(w->out->path, path, len);
	w->out->path[len] = '\0';
	w->out->path_len = len;
	return 0;
}

int walk_push(struct walk *w, const char *name, size_t len)
{
	struct vpath *o = w->out;
	size_t at = o->path_len == 1 ? 0 : o->path_len;

	if (at + 1 + len >= PATH_MAX)
		return -ENAMETOOLONG;
	o->path[at] = '/';
	memcpy(o->path + at + 1, name, len);
	o->path_len = at + 1 + len;
	o->path[o->path_len] = '\0';
	return 0;
}

void walk_to(struct walk *w, struct vnode *n)
{
	vnode_put(w->cur);
	w->cur = n;
}

static int to_tree_root(struct walk *w)
{
	struct mount *m = vfs_mount_at("/", 1);

	if (!m)
		return -ENOENT;
	walk_to(w, vnode_get(m->root));
	return walk_set_path(w, "/", 1);
}

int walk_prepend(struct walk *w, const char *text, size_t len)
{
	size_t left = strlen(w->next);

	if (len + 1 + left + 1 > sizeof(w->rest))
		return -ENAMETOOLONG;
	memmove(w->rest + len + 1, w->next, left + 1);
	memcpy(w->rest, text, len);
	w->rest[len] = left ? '/' : '\0';
	w->next = w->rest;
	return 0;
}

int walk_to_root(struct walk *w)
{
	if (!w->root)
		return to_tree_root(w);
	walk_to(w, vnode_get(w->root));
	return walk_set_path(w, w->root_path, strlen(w->root_path));
}

bool walk_at_root(const struct walk *w)
{
	return w->out->path_len == 1 || (w->root && !strcmp(w->out->path, w->root_path));
}

int walk_take_root(struct walk *w)
{
	struct fsctx *fs = w->t ? w->t->proc->fs : NULL;
	char path[PATH_MAX];
	int r;

	if (!fs || !atomic_load_explicit(&fs->has_root, memory_order_relaxed))
		return 0;
	pthread_mutex_lock(&fs->lock);
	w->root = vnode_get(fs->root);
	w->root_path = strdup(fs->root_path);
	pthread_mutex_unlock(&fs->lock);
	if (!w->root_path)
		return -ENOMEM;
	/* It may have been moved; where it was removed or cannot tell, its old name stays. */
	r = vfs_node_path(w->root, path, sizeof(path));
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		return r;
	free(w->root_path);
	w->root_path = strdup(path);
	return w->root_path ? 0 : -ENOMEM;
}

/* ".." by name: walks the parent's canonical path from the root. */
static int parent_by_name(struct walk *w)
{
	char parent[PATH_MAX + 2];
	size_t len = w->out->path_len;
	int r;

	memcpy(parent, w->out->path, len + 1);
	while (len > 1 && parent[len - 1] != '/')
		len--;
	memcpy(parent + len, ".", 2); /* "/a/b/." : not a last component by name */
	r = walk_prepend(w, parent + 1, len);
	return r ? r : to_tree_root(w);
}

int walk_to_parent(struct walk *w)
{
	char path[PATH_MAX];
	struct vnode *up;
	int fd, len;

	if (w->flags & (VFS_BENEATH | VFS_IN_ROOT) && w->out->path_len == w->base_len)
		return w->flags & VFS_BENEATH ? -EXDEV : 0;
	if (walk_at_root(w))
		return 0;
	if (w->cur->ops != &hostfs_ops || (w->cur->mnt && w->cur == w->cur->mnt->root))
		return parent_by_name(w);
	/* The directory may have been moved: its true parent is asked for its true path. */
	fd = openat(w->cur->hostfd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = hostfs_node(fd, w->cur->mnt, &up);
	if (len < 0)
		return len;
	len = vfs_node_path(up, path, sizeof(path));
	if (len < 0 || vfs_mount_of(path, (size_t)len) != up->mnt) {
		vnode_put(up);
		return len < 0 ? len : -ENOENT;
	}
	if (w->flags & (VFS_BENEATH | VFS_IN_ROOT) && (size_t)len < w->base_len) {
		vnode_put(up);
		return -EXDEV;
	}
	walk_to(w, up);
	return walk_set_path(w, path, (size_t)len);
}

int walk_refresh(struct walk *w)
{
	char path[PATH_MAX];
	int r = vfs_node_path(w->cur, path, sizeof(path));

	if (r == -EOPNOTSUPP)
		return 0;
	return r < 0 ? r : walk_set_path(w, path, (size_t)r);
}

