/* Watching files: inotify. Owner: sentry/notify.c (watches and queues), notify_host.c (watches that the
 * host keeps), sys_inotify.c.
 *
 * What happens to files of the host, inside and outside of the sandbox, the host's own inotify tells: an
 * instance of the app has one of the host behind it. For nodes of the sentry's file systems the calls
 * that change or use them say so here. An instance's events come out of one queue. */
#ifndef SBX_SENTRY_NOTIFY_H
#define SBX_SENTRY_NOTIFY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/inotify.h>
#include <sys/types.h>
#include "base/list.h"

struct file;
struct mount;
struct vnode;
struct vpath;

/* ---- telling: for nodes of the sentry's file systems; those of the host are passed over ---- */

/* Watches there are on such nodes: while there is none, telling costs nothing. */
extern atomic_uint notify_count;

/* mask happened to n, reached through its directory: watchers of either are told. */
void notify_node_slow(struct vnode *n, uint32_t mask);
/* To n itself: only its own watchers are told. */
void notify_self_slow(struct vnode *n, uint32_t mask);
/* To a name of dir; dir_entry: the name is a directory's. cookie: of two that belong together. */
void notify_name_slow(struct vnode *dir, const char *name, bool dir_entry, uint32_t mask,
		      uint32_t cookie);
/* The last name and the last user of n are gone: its watches end. Call before it is freed. */
void notify_gone_slow(struct vnode *n);
uint32_t notify_cookie(void);
/* To an open file, unless it is of the host or a mere O_PATH. */
void notify_file_slow(struct file *f, uint32_t mask);

static inline bool notify_any(void)
{
	return atomic_load_explicit(&notify_count, memory_order_relaxed) != 0;
}

static inline void notify_node(struct vnode *n, uint32_t mask)
{
	if (notify_any())
		notify_node_slow(n, mask);
}

static inline void notify_self(struct vnode *n, uint32_t mask)
{
	if (notify_any())
		notify_self_slow(n, mask);
}

static inline void notify_name(struct vnode *dir, const char *name, bool dir_entry, uint32_t mask,
			       uint32_t cookie)
{
	if (notify_any())
		notify_name_slow(dir, name, dir_entry, mask, cookie);
}

static inline void notify_gone(struct vnode *n)
{
	if (notify_any())
		notify_gone_slow(n);
}

static inline void notify_file(struct file *f, uint32_t mask)
{
	if (notify_any())
		notify_file_slow(f, mask);
}

/* ---- instances ---- */

struct notify; /* an instance */

/* A new instance. -EMFILE when the sandbox or the host has enough of them. *fd is pollable for events;
 * it stays the instance's until notify_destroy. */
int notify_create(struct notify **out, int *fd);
void notify_destroy(struct notify *in);

/* Watches the object that v names, as mask says: a watch number or -errno. */
int notify_add(struct notify *in, const struct vpath *v, uint32_t mask);
int notify_remove(struct notify *in, int wd); /* 0 or -EINVAL */

/* Moves events that fit into size bytes to buf. Bytes, 0 when there is none, or -EINVAL when not even the
 * first fits. */
ssize_t notify_take(struct notify *in, char *buf, size_t size);
/* Bytes that all queued events take. */
size_t notify_queued(struct notify *in);

/* ---- between notify.c and notify_host.c; the caller holds notify_lock ---- */

struct watch {
	struct list of;	      /* in the instance's watches */
	struct list by_wd;    /* in a bucket of NOTIFY_BY_WD */
	struct list by_place; /* in one of NOTIFY_BY_HOST or NOTIFY_BY_NODE */
	struct notify *in;
	int wd;
	int host_wd; /* 0: of the sentry */
	bool removed; /* by the app; the host's last word is still to come */
	uint32_t mask;
	const struct mount *mnt;
	uint64_t ino;
	char *path;    /* canonical, of a directory of the host: what the policy hides is not told */
	uint32_t view; /* ... from whoever made the watch */
};

void notify_lock(void);
void notify_unlock(void);
/* A new watch, in the instance's list and under its number only. NULL: *err says why not. */
struct watch *notify_watch_new(struct notify *in, int *err);
/* Ends w: it is freed. */
void notify_watch_free(struct watch *w);
void notify_event(struct notify *in, int wd, uint32_t mask, uint32_t cookie, const char *name);
/* Where watches are found: by instance and number, instance and host's number, mount and node. */
enum notify_table { NOTIFY_BY_WD, NOTIFY_BY_HOST, NOTIFY_BY_NODE, NOTIFY_TABLES };
struct list *notify_bucket(enum notify_table table, const void *a, uint64_t b);
int notify_host_fd(const struct notify *in);

/* Moves what the host has told so far to the instance's queue. */
void notify_host_drain(struct notify *in);
int notify_host_add(struct notify *in, const struct vpath *v, uint32_t mask);
void notify_host_remove(struct watch *w);
void notify_host_forget(struct watch *w); /* frees what w keeps for the host */

#endif
