/* Inside of path resolution: shared by path.c and path_move.c. */
#ifndef SBX_SENTRY_PATH_INT_H
#define SBX_SENTRY_PATH_INT_H

#include <limits.h>
#include "sentry/vfs.h"

#define WALK_REST_MAX (2 * PATH_MAX)

struct walk {
	struct task *t;
	unsigned flags;
	struct vpath *out; /* out->path is the canonical path of cur while walking */
	struct vnode *cur; /* referenced */
	char rest[WALK_REST_MAX];
	char *next; /* what is left, inside rest */
	int links;
	bool slow;	    /* the next components are taken one by one */
	bool dotdot;	    /* VFS_PARENT: the path ends with ".." */
	struct vnode *root; /* chroot: where "/" is and ".." stays, referenced; NULL: the tree's root */
	char *root_path;    /* ... its canonical path; owned */
	size_t base_len;    /* RESOLVE_BENEATH, RESOLVE_IN_ROOT: length of the start's path */
	struct vnode *base; /* ... and its node, referenced */
};

/* ---- path_move.c: 0 or -errno ---- */

/* The canonical path of where the walk is. */
int walk_set_path(struct walk *w, const char *path, size_t len);
/* Appends "/name" to it; -ENAMETOOLONG beyond PATH_MAX. */
int walk_push(struct walk *w, const char *name, size_t len);
/* Puts text in front of what is left. */
int walk_prepend(struct walk *w, const char *text, size_t len);
/* Makes n (reference taken) the current directory. */
void walk_to(struct walk *w, struct vnode *n);
/* To where the process has its root. */
int walk_to_root(struct walk *w);
int walk_to_parent(struct walk *w);
/* A directory that was reached earlier may have another name by now: the policy judges the present
 * one. */
int walk_refresh(struct walk *w);
/* Takes over the root of the walk's process. */
int walk_take_root(struct walk *w);
/* Is the walk where ".." leads no further? */
bool walk_at_root(const struct walk *w);

#endif
