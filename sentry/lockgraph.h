/* Who holds record locks and who waits for one, to find waits that would never end.
 *
 * The locks themselves are the host's, which does not look for deadlocks between descriptions; this
 * is the sentry's note of what it asked for. Owner: sentry/lockgraph.c; used by filelock.c. */
#ifndef SBX_SENTRY_LOCKGRAPH_H
#define SBX_SENTRY_LOCKGRAPH_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/list.h"

struct lock_range {
	off_t start, end; /* inclusive */
	short type;	  /* F_RDLCK, F_WRLCK; F_UNLCK only in lock_set_change */
};

struct lock_set { /* what one owner holds on one file */
	struct list node;
	const void *owner;
	dev_t dev;
	ino_t ino;
	int pid;		 /* who locked last */
	struct lock_range *held; /* disjoint; owned */
	unsigned n, cap;
};

struct lock_wait {
	struct list node;
	const struct lock_set *set;
	struct lock_range want;
	unsigned seen; /* by the search of that number */
};

/* All below are called between these two. A lock is taken and noted in one go, so that nobody sees
 * one without the other. */
void lock_graph_lock(void);
void lock_graph_unlock(void);

/* Makes a set, which holds nothing, part of the graph; removes it and frees what it owns. */
void lock_set_add(struct lock_set *s, const void *owner, dev_t dev, ino_t ino);
void lock_set_remove(struct lock_set *s);

/* The owner locked or unlocked a range. What does not fit into memory is forgotten: then a deadlock
 * may go unnoticed. */
void lock_set_change(struct lock_set *s, struct lock_range r);

/* The process that keeps s's owner from locking the range, or 0 when the graph knows of none. s need
 * not be part of the graph. */
int lock_set_blocker(const struct lock_set *s, struct lock_range want);

/* Notes that s's owner is going to wait for a range, until lock_wait_end. False, and nothing is noted,
 * when whoever holds it waits, directly or through others, for that owner. */
bool lock_wait_begin(struct lock_wait *w, const struct lock_set *s, struct lock_range want);
void lock_wait_end(struct lock_wait *w);

#endif
