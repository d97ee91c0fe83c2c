/* Futexes with an owner: mutexes with PTHREAD_PRIO_INHERIT. All tasks have the same priority in here,
 * so what remains of the protocol is its word (the owner's thread number and whether somebody waits)
 * and its promise: who unlocks gives the lock to a waiter, and an owner that dies is told of. */
#include <errno.h>
#include <linux/futex.h>
#include "base/list.h"
#include "sentry/futex.h"
#include "sentry/task.h"

struct pi_waiter { /* on the stack of the thread that waits */
	struct list node; /* unlinked once it owns the lock */
	struct futex_key key;
	struct gptr p;
	struct task *t;
	uint32_t owner;
};

/* Few programs have such mutexes: one list, oldest first, and one lock for all. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list waiters = LIST_INIT(waiters);

static bool same(const struct futex_key *a, const struct futex_key *b)
{
	return a->id == b->id && a->mm == b->mm;
}

static struct pi_waiter *first_waiter(const struct futex_key *key)
{
	struct pi_waiter *w;

	list_for_each (w, &waiters, node)
		if (same(&w->key, key))
			return w;
	return NULL;
}

/* Makes w, whose word was val, the owner. False: the word has changed; *r may be -EFAULT. */
static bool hand_over(struct pi_waiter *w, uint32_t *val, uint32_t mark, int *r)
{
	uint32_t want = (uint32_t)w->t->tid | FUTEX_WAITERS | mark;
	struct pi_waiter *o;
	bool ok = false;

	*r = gmem_cmpxchg32(w->t->proc->mm, w->p, val, want, &ok);
	if (*r || !ok)
		return false;
	list_del(&w->node);
	list_for_each (o, &waiters, node)
		if (same(&o->key, &w->key))
			o->owner = (uint32_t)w->t->tid;
	atomic_store(&w->t->wait_word, 1);
	task_wake(&w->t->wait_word);
	return true;
}

/* Is there a task that will unlock, or be seen to by futex_pi_exit? */
static bool owns_still(uint32_t tid)
{
	struct task *o = task_by_tid((int)tid);
	bool r = o && !o->pi_gone;

	task_put(o);
	return r;
}

/* Tries to take the word, or to say in it that somebody waits. 0: t owns it; 1: *owner does, and w is
 * queued; 2: the word changed; or -errno. */
static int take_or_queue(struct task *t, struct pi_waiter *w, bool try, uint32_t val)
{
	uint32_t owner = val & FUTEX_TID_MASK, want;
	bool ok = false;
	int r;

	if (!owner)
		want = (uint32_t)t->tid | (val & FUTEX_OWNER_DIED) |
		       (first_waiter(&w->key) ? FUTEX_WAITERS : 0);
	else
		want = val | FUTEX_WAITERS;
	if (owner && !owns_still(owner))
		return -ESRCH;
	if (owner && try)
		return -EAGAIN;
	if (want == val)
		r = gmem_load32(t->proc->mm, w->p, &want), ok = want == val;
	else
		r = gmem_cmpxchg32(t->proc->mm, w->p, &val, want, &ok);
	if (r || !ok)
		return r ? r : 2;
	if (!owner)
		return 0;
	w->owner = owner;
	atomic_store(&t->wait_word, 0);
	list_append(&waiters, &w->node);
	return 1;
}

/* 0: the lock is t's; 1: w is queued; or -errno. */
static int begin(struct task *t, struct pi_waiter *w, bool try)
{
	uint32_t val;
	int r;

	do {
		r = gmem_load32(t->proc->mm, w->p, &val);
		if (r)
			return r;
		if ((val & FUTEX_TID_MASK) == (uint32_t)t->tid)
			return -EDEADLK;
		pthread_mutex_lock(&lock);
		r = take_or_queue(t, w, try, val);
		pthread_mutex_unlock(&lock);
	} while (r == 2 && !task_pending(t));
	return r == 2 ? -ERESTARTNOINTR : r;
}

int futex_pi_lock(struct task *t, struct gptr p, bool shared, bool try, int clock,
		  const struct timespec *deadline)
{
	struct pi_waiter w = {.t = t, .p = p};
	int r = futex_key(t, p, shared, &w.key);

	list_init(&w.node);
	if (!r)
		r = begin(t, &w, try);
	if (r <= 0)
		return r;
	do
		r = task_wait(t, &t->wait_word, 0, clock, deadline);
	while (!r && !atomic_load(&t->wait_word));
	pthread_mutex_lock(&lock);
	if (list_empty(&w.node))
		r = 0;
	list_del(&w.node);
	pthread_mutex_unlock(&lock);
	return r == -ERESTARTSYS ? -ERESTARTNOINTR : r;
}

int futex_pi_unlock(struct task *t, struct gptr p, bool shared)
{
	struct futex_key key;
	struct pi_waiter *w;
	uint32_t val;
	bool ok = false;
	int r = futex_key(t, p, shared, &key);

	if (r)
		return r;
	do {
		r = gmem_load32(t->proc->mm, p, &val);
		if (r)
			return r;
		if ((val & FUTEX_TID_MASK) != (uint32_t)t->tid)
			return -EPERM;
		pthread_mutex_lock(&lock);
		w = first_waiter(&key);
		if (w)
			ok = hand_over(w, &val, 0, &r);
		else
			r = gmem_cmpxchg32(t->proc->mm, p, &val, 0, &ok);
		pthread_mutex_unlock(&lock);
	} while (!r && !ok && !task_pending(t));
	return r || ok ? r : -ERESTARTNOINTR;
}

/* Gives w's word to w, whatever is in it now. */
static void inherit(struct pi_waiter *w)
{
	uint32_t val = 0;
	int r, tries;

	for (tries = 0; tries < 100; tries++) {
		if (gmem_load32(w->t->proc->mm, w->p, &val) ||
		    hand_over(w, &val, FUTEX_OWNER_DIED, &r) || r)
			return;
	}
}

void futex_pi_exit(struct task *t)
{
	struct pi_waiter *w, *found;

	pthread_mutex_lock(&lock);
	t->pi_gone = t->exiting;
	do {
		found = NULL;
		list_for_each (w, &waiters, node) {
			if (w->owner != (uint32_t)t->tid)
				continue;
			found = w;
			break;
		}
		if (found) {
			found->owner = 0; /* not again, whatever becomes of it */
			inherit(found);
		}
	} while (found);
	pthread_mutex_unlock(&lock);
}
