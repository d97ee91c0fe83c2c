/* Inside of the in-memory file system: shared by the tmpfs*.c files only.
 *
 * A node is a vnode; a directory entry holds a reference to its node, open files hold another. Locks:
 * tnode.lock (contents of a regular file, fifo ends) before tmpfs.lock (names, links, attributes). */
#ifndef SBX_SENTRY_TMPFS_H
#define SBX_SENTRY_TMPFS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "base/list.h"
#include "base/overflow.h"
#include "sentry/vfs.h"

#define TMPFS_PAGE	 4096u
#define TMPFS_NODE_COST	 1024u	    /* charged for each node beside its contents */
#define TMPFS_ENTRY_COST 384u	    /* charged for each name */
#define TMPFS_PARK_MAX	 (64 * 1024) /* closed files up to this size need no descriptor */
#define TMPFS_LINK_MAX	 65000u

struct tlower; /* tmpfs_lower.c */
struct toverlay;

struct tmpfs {
	pthread_mutex_t lock;
	uint64_t limit; /* bytes */
	_Atomic uint64_t used;
	_Atomic uint64_t nr_nodes; /* the last node frees this structure */
	_Atomic uint64_t next_ino;
	uint64_t seed;
	struct toverlay *overlay; /* NULL: it began empty */
};

struct tentry { /* a name */
	struct tentry *next; /* in the bucket */
	struct tnode *dir, *node;
	uint32_t hash, slot;
	bool host;   /* overlay: leads to what the host has of this name here */
	bool covers; /* the host has something of this name here, which this replaced */
	char name[];
};

struct tslot { /* place in directory order: the getdents offset is a function of its index */
	struct tentry *entry; /* NULL: free */
	uint32_t next_free;
};

struct tdir {
	struct tentry **buckets;
	uint32_t nr_buckets; /* power of two, or 0 */
	struct tslot *slots;
	uint32_t nr_slots, cap_slots, free_slot; /* free_slot: UINT32_MAX for none */
	uint32_t count, subdirs;
	struct tnode *parent; /* NULL: the root, or removed */
	struct tentry *gone;  /* overlay: names of the host's that were taken away here */
	bool unread;	      /* overlay: names are still to be taken from the host */
	uint32_t host_links;  /* its link count and size there */
	uint64_t host_size;
};

struct tdata { /* regular file: exactly one of memfd, parked holds it; neither when empty */
	int memfd;
	bool sealable; /* memfd_create with MFD_ALLOW_SEALING */
	char *parked;
	uint64_t parked_size;
	uint64_t charged; /* pages */
	unsigned opens;
	bool host; /* overlay: the contents are the host's, of this size */
	uint64_t host_size, host_blocks;
	struct list readers; /* open files that read these */
	struct timespec seen_mtime, seen_atime; /* memfd's, when the node's times were last synced */
};

struct tfifo {
	int host; /* O_PATH descriptor of a host pipe, or -1 until the first open */
	unsigned readers, writers;
	_Atomic uint32_t opened_r, opened_w; /* counts of opens: futex words for the other side */
};

struct tnode {
	struct vnode vn; /* first: a vnode of this file system is a tnode */
	struct tmpfs *fs;
	pthread_mutex_t lock;
	mode_t perm; /* permission bits and setuid, setgid, sticky */
	uid_t uid;
	gid_t gid;
	dev_t rdev;
	uint32_t nlink;
	struct timespec atime, mtime, ctime, btime;
	struct tentry *entry; /* a name of it, for its path; NULL when not known */
	bool linkable;	      /* of O_TMPFILE: may get its first name */
	char *nameless;	      /* what O_TMPFILE's is called until it has one; owned, charged */
	struct txattr *xattrs; /* guarded by lock */
	struct tlower *lower;  /* overlay: where it was found on the host, or NULL */
	uint64_t host_dev;     /* the device there, when it is linked */
	bool raw;	       /* its attributes are still to be taken from the host */
	bool linked;	       /* has several names on the host */
	bool dirty;	       /* its attributes were changed */
	bool own_xattrs;       /* extended ones were taken from the host */
	char *saved;	       /* tmpfs_save.c: the name under which it was written; owned */
	union {
		struct tdir dir;
		struct tdata data;
		struct tfifo fifo;
		char *target; /* symlink */
	};
};

static inline struct tnode *tnode_of(struct vnode *vn)
{
	return container_of(vn, struct tnode, vn);
}

struct timespec tmpfs_now(void);
/* The contents of a folder changed now. */
void tmpfs_touch(struct tnode *n);
/* Do n's permissions let the app do this (R_OK ...)? 0 or -EACCES; root and set-up may do all. */
int tmpfs_permit(struct vnode *n, int mode);
int tmpfs_getattr(struct task *t, struct vnode *vn, struct statx *st);

/* A new node, with a reference for the caller. 0 or -errno. */
int tmpfs_node_new(struct tmpfs *fs, struct mount *mnt, mode_t mode, struct tnode **out);
/* A directory that is set-group-ID hands its group on, and the bit to new directories. The caller
 * holds tmpfs.lock, as for the next one, which writes n's path below its mount: 0 or -errno. */
void tmpfs_inherit_group(const struct tnode *dir, struct tnode *n);
int tmpfs_path_locked(const struct tnode *n, char *buf, size_t size);

/* Takes n bytes of the file system's space. 0 or -ENOSPC. */
int tmpfs_charge(struct tmpfs *fs, uint64_t n);
void tmpfs_uncharge(struct tmpfs *fs, uint64_t n);

/* ---- tmpfs_dir.c: names; the caller holds tmpfs.lock ---- */
struct tentry *tmpfs_dir_find(struct tnode *dir, const char *name);
/* Adds name -> node (takes over one reference of node on success; nlink is the caller's). 0 or -errno. */
int tmpfs_dir_add(struct tnode *dir, const char *name, struct tnode *node);
/* Removes and frees the entry; the caller gets its reference of the node. */
void tmpfs_dir_del(struct tentry *entry);
void tmpfs_dir_free(struct tnode *dir);
int tmpfs_dir_open(struct tnode *dir, unsigned flags, struct file **out);

/* ---- tmpfs_lower.c: overlays; the first three with tmpfs.lock held, the others with tnode.lock ---- */
/* Takes over the names of a folder of the host that was not looked into yet. 0 or -errno. */
int tmpfs_lower_list(struct tnode *dir);
/* What name leads to in dir, with its attributes; *out is NULL when there is nothing. 0 or -errno. */
int tmpfs_find(struct tnode *dir, const char *name, struct tentry **out);
/* n lost a name. */
void tmpfs_lower_unlinked(struct tnode *n);
/* Opens the host's contents to read. */
int tmpfs_lower_open(struct tnode *n, unsigned flags, const struct file_ops *ops, struct file **out);
void tmpfs_lower_closed(struct tnode *n, const struct file *f);
/* Makes the contents n's own, at most the first keep bytes of them. 0 or -errno. */
int tmpfs_lower_copy(struct tnode *n, uint64_t keep);
void tmpfs_lower_free(struct tnode *n);
/* Hands the extended attributes that n has on the host to take, the first time. 0 or -errno. */
int tmpfs_lower_xattrs(struct tnode *n,
		       int (*take)(struct tnode *n, const char *name, const void *value, size_t size));
/* The host's file, opened to read: descriptor or -errno. */
int tmpfs_lower_host(struct tnode *n);

/* ---- tmpfs_data.c: contents of regular files ---- */
/* Fills n, which has no contents, with size bytes of the host's file fd. 0 or -errno. */
int tmpfs_data_fill(struct tnode *n, int fd, uint64_t size);
void tmpfs_data_init(struct tnode *n);
void tmpfs_data_free(struct tnode *n);
int tmpfs_data_open(struct tnode *n, unsigned flags, struct file **out);
int tmpfs_data_truncate(struct tnode *n, off_t len);
/* Size and blocks of n, and its times brought up to date with what the host saw. Caller holds n->lock
 * and then tmpfs.lock. */
void tmpfs_data_sync(struct tnode *n, uint64_t *size, uint64_t *blocks);
/* After atime or mtime were set: what the host has must not override them. Locks as above. */
void tmpfs_data_times_set(struct tnode *n);

/* ---- tmpfs_fifo.c ---- */
int tmpfs_fifo_open(struct task *t, struct tnode *n, unsigned flags, struct file **out);
void tmpfs_fifo_free(struct tnode *n);

/* ---- tmpfs_xattr.c: the vnode operations, and what the last reference does ---- */
ssize_t tmpfs_getxattr(struct vnode *vn, const char *name, void *buf, size_t size);
int tmpfs_setxattr(struct vnode *vn, const char *name, const void *value, size_t size, int flags);
ssize_t tmpfs_listxattr(struct vnode *vn, char *buf, size_t size);
void tmpfs_xattr_free(struct tnode *n);

/* ---- tmpfs_rename.c: the vnode operation ---- */
int tmpfs_rename(struct vnode *from, const char *name, struct vnode *to, const char *newname,
		 unsigned flags);

/* ---- tmpfs_nameless.c ---- */
/* Forgets what n was called before it had a name. The caller holds tmpfs.lock, or all of n. */
void tmpfs_named(struct tnode *n);
/* The vnode operation. */
int tmpfs_tmpfile(struct vnode *dir, const char *dir_path, mode_t mode, unsigned flags,
		  struct vnode **node, struct file **out);

#endif
