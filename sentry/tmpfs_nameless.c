/* Regular files of the in-memory file system that have no name: memfd_create, O_TMPFILE. */
#include "sentry/tmpfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The path, below the mount's root, that a file is known by until it gets a name. 0 or -errno. */
static int call_it(struct tnode *n, const struct tnode *dir)
{
	char path[PATH_MAX], *text;
	int r;

	pthread_mutex_lock(&n->fs->lock);
	tmpfs_inherit_group(dir, n);
	r = tmpfs_path_locked(dir, path, sizeof(path));
	pthread_mutex_unlock(&n->fs->lock);
	if (r)
		return r;
	if (asprintf(&text, "%s/#%llu", path, (unsigned long long)n->vn.ino) < 0)
		return -ENOMEM;
	r = tmpfs_charge(n->fs, strlen(text));
	if (r)
		free(text);
	else
		n->nameless = text;
	return r;
}

void tmpfs_named(struct tnode *n)
{
	if (!n->nameless)
		return;
	tmpfs_uncharge(n->fs, strlen(n->nameless));
	free(n->nameless);
	n->nameless = NULL;
}

int tmpfs_tmpfile(struct vnode *dir, const char *dir_path, mode_t mode, unsigned flags,
		  struct vnode **node, struct file **out)
{
	struct tnode *n;
	int r;

	r = tmpfs_node_new(tnode_of(dir)->fs, dir->mnt, S_IFREG | (mode & 07777), &n);
	if (r)
		return r;
	n->nlink = 0;
	r = call_it(n, tnode_of(dir));
	if (!r)
		r = tmpfs_data_open(n, flags & ~(unsigned)O_TRUNC, out);
	if (r) {
		vnode_put(&n->vn);
		return r;
	}
	n->linkable = !(flags & O_EXCL);
	*node = &n->vn;
	return 0;
}

/* The file system that all memfds share: it has a root only to own it, and no place in the tree. */
static struct tmpfs *memfd_fs(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct vnode *root;
	int r = 0;

	pthread_mutex_lock(&lock);
	if (!root)
		r = tmpfs_root(0, &root);
	pthread_mutex_unlock(&lock);
	return r ? NULL : tnode_of(root)->fs;
}

int tmpfs_memfd(const char *name, mode_t mode, bool sealable, struct file **out)
{
	struct tmpfs *fs = memfd_fs();
	struct tnode *n;
	int r;

	if (!fs)
		return -ENOMEM;
	r = tmpfs_node_new(fs, NULL, S_IFREG | mode, &n);
	if (r)
		return r == -ENOSPC ? -ENOMEM : r;
	n->nlink = 0;
	n->data.sealable = sealable;
	if (asprintf(&n->vn.path, "/memfd:%s (deleted)", name) < 0) {
		n->vn.path = NULL;
		r = -ENOMEM;
	}
	if (!r)
		r = tmpfs_data_open(n, O_RDWR, out);
	if (!r) {
		r = vfs_file_adopt(*out, &n->vn, n->vn.path);
		if (r) {
			file_put(*out);
		} else { /* the app's own: no rule is about it */
			(*out)->verbs = POL_V_ALL;
			(*out)->append_only = false;
		}
	}
	vnode_put(&n->vn);
	return r;
}
