#include "sentry/lockgraph.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/overflow.h"

#define RANGES_MAX 4096 /* of one set; one with more is not followed */
#define DEPTH_MAX  64	/* owners in a circle */

static pthread_mutex_t graph = PTHREAD_MUTEX_INITIALIZER;
static struct list sets = LIST_INIT(sets);
static struct list waits = LIST_INIT(waits);
static unsigned searches;

void lock_graph_lock(void)
{
	pthread_mutex_lock(&graph);
}

void lock_graph_unlock(void)
{
	pthread_mutex_unlock(&graph);
}

void lock_set_add(struct lock_set *s, const void *owner, dev_t dev, ino_t ino)
{
	memset(s, 0, sizeof(*s));
	s->owner = owner;
	s->dev = dev;
	s->ino = ino;
	list_append(&sets, &s->node);
}

void lock_set_remove(struct lock_set *s)
{
	list_del(&s->node);
	free(s->held);
	s->held = NULL;
	s->n = s->cap = 0;
}

/* Room for two more ranges than there are. */
static bool make_room(struct lock_set *s)
{
	struct lock_range *more;
	unsigned cap = MAX(s->cap * 2, 8u);

	if (s->n + 2 <= s->cap)
		return true;
	more = s->n < RANGES_MAX ? reallocarray(s->held, cap, sizeof(*more)) : NULL;
	if (!more)
		return false;
	s->held = more;
	s->cap = cap;
	return true;
}

static bool overlap(const struct lock_range *a, const struct lock_range *b)
{
	return a->start <= b->end && b->start <= a->end;
}

/* Of the same type, and with nothing between them? */
static bool join(const struct lock_range *a, const struct lock_range *b)
{
	return a->type == b->type && a->start - 1 <= b->end && b->start - 1 <= a->end;
}

void lock_set_change(struct lock_set *s, struct lock_range r)
{
	unsigned i, n = 0;
	struct lock_range tail = {.type = F_UNLCK};

	if (!make_room(s)) {
		s->n = 0;
		return;
	}
	for (i = 0; i < s->n; i++) {
		struct lock_range h = s->held[i];

		if (join(&h, &r)) {
			r.start = MIN(r.start, h.start);
			r.end = MAX(r.end, h.end);
			continue;
		}
		if (!overlap(&h, &r)) {
			s->held[n++] = h;
			continue;
		}
		/* At most one range reaches beyond r at both ends: what is left needs one more place. */
		if (h.end > r.end)
			tail = (struct lock_range){r.end + 1, h.end, h.type};
		if (h.start < r.start)
			s->held[n++] = (struct lock_range){h.start, r.start - 1, h.type};
	}
	if (tail.type != F_UNLCK)
		s->held[n++] = tail;
	if (r.type != F_UNLCK)
		s->held[n++] = r;
	s->n = n;
}

static bool holds_up(const struct lock_set *holder, const struct lock_set *s,
		     const struct lock_range *want)
{
	unsigned i;

	if (holder->owner == s->owner || holder->dev != s->dev || holder->ino != s->ino)
		return false;
	for (i = 0; i < holder->n; i++)
		if (overlap(&holder->held[i], want) &&
		    (want->type == F_WRLCK || holder->held[i].type == F_WRLCK))
			return true;
	return false;
}

int lock_set_blocker(const struct lock_set *s, struct lock_range want)
{
	const struct lock_set *h;

	list_for_each(h, &sets, node)
		if (holds_up(h, s, &want))
			return h->pid;
	return 0;
}

/* Does a wait of s's owner for the range wait for target? */
static bool leads_to(const struct lock_set *s, const struct lock_range *want, const void *target,
		     unsigned depth)
{
	const struct lock_set *h;
	struct lock_wait *w;

	list_for_each(h, &sets, node) {
		if (!holds_up(h, s, want))
			continue;
		if (h->owner == target)
			return true;
		list_for_each(w, &waits, node) {
			if (w->set->owner != h->owner || w->seen == searches)
				continue;
			w->seen = searches;
			if (depth < DEPTH_MAX && leads_to(w->set, &w->want, target, depth + 1))
				return true;
		}
	}
	return false;
}

bool lock_wait_begin(struct lock_wait *w, const struct lock_set *s, struct lock_range want)
{
	searches++;
	if (leads_to(s, &want, s->owner, 0))
		return false;
	w->set = s;
	w->want = want;
	w->seen = 0;
	list_append(&waits, &w->node);
	return true;
}

void lock_wait_end(struct lock_wait *w)
{
	list_del(&w->node);
}
