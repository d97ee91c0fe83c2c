/* Read-only trees of generated files: the machinery under /proc and /sys. A tree is described by
 * constant tables; nodes are made on lookup and say by a key of what they tell. */
#ifndef SBX_SENTRY_PSEUDOFS_H
#define SBX_SENTRY_PSEUDOFS_H

#include "base/buf.h"
#include "sentry/vfs.h"

struct pseudo_key {
	int pid, tid; /* 0: not below a process or thread */
	int num;      /* descriptor, CPU ... */
};

struct pseudo_entry {
	const char *name; /* NULL ends a table */
	mode_t mode;	  /* type and permissions; the type decides which members below count */
	/* Regular file: appends the present contents. 0 or -errno. */
	int (*show)(const struct pseudo_key *k, struct buf *out);
	/* Regular file, optional: takes the n bytes of one write. 0 or -errno. */
	int (*store)(const struct pseudo_key *k, const char *s, size_t n);
	/* Symlink: its text, not terminated. Length or -errno. */
	ssize_t (*link)(const struct pseudo_key *k, char *buf, size_t size);
	/* Magic link: the object itself. 0 or -errno. */
	int (*follow)(struct task *t, const struct pseudo_key *k, struct vnode **out);
	/* Directory: fixed members, and members named prefix + number made after `numbered`. */
	const struct pseudo_entry *children;
	const struct pseudo_entry *numbered;
	const char *prefix; /* of numbered members; NULL: none */
	/* Smallest existing number >= from, or -1. */
	int (*next)(const struct pseudo_key *k, int from);
	/* Puts a number into a member's key, which starts as the directory's. */
	void (*bind)(struct pseudo_key *k, int number);
};

/* Root of a tree. The table lives as long as the program. 0 or -errno. */
int pseudo_root(const struct pseudo_entry *top, long magic, struct vnode **out);

/* What an open directory of such a tree was made from, and its key; NULL for other files. */
const struct pseudo_entry *pseudo_dir_entry(const struct file *f, struct pseudo_key *key);

/* A node for an entry outside the tree's own lookups (tests). 0 or -errno. */
int pseudo_node(struct mount *mnt, const struct pseudo_entry *e, const struct pseudo_key *k,
		long magic, struct vnode **out);

#endif
