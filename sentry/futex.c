/* Futex wait queues: a hash of buckets, each with its lock. A waiter sleeps on its task's wait_word
 * by a host futex, so that waking is one host call and interruption is task_interrupt's. */
#include "sentry/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/list.h"
#include "sentry/task.h"

#define BUCKETS	   256u
#define WAKE_BATCH 32u

struct waiter {
	struct list node; /* unlinked once woken */
	struct futex_key key;
	uint32_t bitset;
	struct task *task;
	_Atomic unsigned bucket; /* requeue moves it; stable while that bucket's lock is held */
};

struct bucket {
	pthread_mutex_t lock;
	struct list waiters;
} __attribute__((aligned(64)));

static struct bucket buckets[BUCKETS];

__attribute__((constructor)) static void init_buckets(void)
{
	unsigned i;

	for (i = 0; i < BUCKETS; i++) {
		pthread_mutex_init(&buckets[i].lock, NULL);
		list_init(&buckets[i].waiters);
	}
}

static unsigned bucket_of(const struct futex_key *k)
{
	uint64_t h = (k->id ^ (uint64_t)k->mm) * 0x9e3779b97f4a7c15ull;

	return (unsigned)(h >> 40) % BUCKETS;
}

static bool same_key(const struct futex_key *a, const struct futex_key *b)
{
	return a->id == b->id && a->mm == b->mm;
}

int futex_key(struct task *t, struct gptr p, bool shared, struct futex_key *key)
{
	bool private;
	uint64_t id;
	int r;

	if (p.addr & 3)
		return -EINVAL;
	if (p.addr >= MM_ADDR_MAX)
		return -EFAULT;
	key->id = p.addr;
	key->mm = t->proc->mm;
	if (!shared)
		return 0;
	r = gmem_key(t->proc->mm, p, &id, &private);
	if (!r && private)
		key->id |= 1; /* not the key of FUTEX_PRIVATE_FLAG's waiters at the same word */
	else if (!r)
		*key = (struct futex_key){.id = id};
	return r;
}

/* Tasks to wake after the bucket locks are dropped. */
struct wake_list {
	struct task *task[WAKE_BATCH];
	unsigned n;
};

static void wake_flush(struct wake_list *w)
{
	unsigned i;

	for (i = 0; i < w->n; i++) {
		task_wake(&w->task[i]->wait_word);
		task_put(w->task[i]);
	}
	w->n = 0;
}

/* Unlinks a waiter: from here on it may return at any time. */
static void wake_one(struct wake_list *w, struct waiter *q)
{
	struct task *t = task_get(q->task);

	list_del(&q->node);
	atomic_store(&t->wait_word, 1);
	if (w->n == WAKE_BATCH)
		wake_flush(w);
	w->task[w->n++] = t;
}

/* Wakes up to n matching waiters of a locked bucket. */
static int wake_matching(struct bucket *b, const struct futex_key *key, uint32_t n, uint32_t bitset,
			 struct wake_list *w)
{
	struct waiter *q, *tmp;
	int woken = 0;

	list_for_each_safe(q, tmp, &b->waiters, node)
	{
		if ((uint32_t)woken >= n)
			break;
		if (!same_key(&q->key, key) || !(q->bitset & bitset))
			continue;
		wake_one(w, q);
		woken++;
	}
	return woken;
}

int futex_wake(struct task *t, struct gptr p, bool shared, uint32_t n, uint32_t bitset)
{
	struct wake_list w = {.n = 0};
	struct futex_key key;
	struct bucket *b;
	int r = futex_key(t, p, shared, &key);

	if (r)
		return r;
	b = &buckets[bucket_of(&key)];
	pthread_mutex_lock(&b->lock);
	r = wake_matching(b, &key, n, bitset, &w);
	pthread_mutex_unlock(&b->lock);
	wake_flush(&w);
	return r;
}

/* Locks the bucket that q is in, which may change until the lock is held. */
static struct bucket *lock_bucket_of(struct waiter *q)
{
	unsigned i;

	for (;;) {
		i = atomic_load(&q->bucket);
		pthread_mutex_lock(&buckets[i].lock);
		if (atomic_load(&q->bucket) == i)
			return &buckets[i];
		pthread_mutex_unlock(&buckets[i].lock);
	}
}

/* Takes q off its queue; false when somebody woke it. */
static bool dequeue(struct waiter *q)
{
	struct bucket *b = lock_bucket_of(q);
	bool queued = !list_empty(&q->node);

	list_del(&q->node);
	pthread_mutex_unlock(&b->lock);
	return queued;
}

/* Queues q if *p still is val. */
static int enqueue(struct task *t, struct waiter *q, struct gptr p, uint32_t val)
{
	struct bucket *b;
	uint32_t now;
	int r;

	/* Fault the page in without the lock; under it the load finds it present. */
	r = gmem_load32(t->proc->mm, p, &now);
	if (r || now != val)
		return r ? r : -EAGAIN;
	b = &buckets[bucket_of(&q->key)];
	pthread_mutex_lock(&b->lock);
	r = gmem_load32(t->proc->mm, p, &now);
	if (!r && now != val)
		r = -EAGAIN;
	if (!r)
		list_append(&b->waiters, &q->node);
	pthread_mutex_unlock(&b->lock);
	return r;
}

int futex_wait(struct task *t, struct gptr p, bool shared, uint32_t val, uint32_t bitset, int clock,
	       const struct timespec *deadline)
{
	struct waiter q = {.bitset = bitset, .task = t};
	int r;

	if (!bitset)
		return -EINVAL;
	list_init(&q.node);
	r = futex_key(t, p, shared, &q.key);
	if (r)
		return r;
	atomic_init(&q.bucket, bucket_of(&q.key));
	atomic_store(&t->wait_word, 0);
	r = enqueue(t, &q, p, val);
	if (r)
		return r;
	do
		r = task_wait(t, &t->wait_word, 0, clock, deadline);
	while (!r && !atomic_load(&t->wait_word));
	return dequeue(&q) ? r : 0;
}

/* Queues q[0] to q[n - 1], as far as the words are what they should be; *queued: how many. */
static int enqueue_all(struct task *t, struct waiter *q, const struct futex_want *w, unsigned n,
		       unsigned *queued)
{
	unsigned i;
	int r;

	atomic_store(&t->wait_word, 0);
	for (i = 0; i < n; i++) {
		q[i].bitset = FUTEX_BITSET_MATCH_ANY;
		q[i].task = t;
		list_init(&q[i].node);
		*queued = i;
		r = futex_key(t, w[i].p, w[i].shared, &q[i].key);
		if (r)
			return r;
		atomic_init(&q[i].bucket, bucket_of(&q[i].key));
		r = enqueue(t, &q[i], w[i].p, w[i].val);
		if (r)
			return r;
	}
	*queued = n;
	return 0;
}

int futex_wait_many(struct task *t, const struct futex_want *w, unsigned n, int clock,
		    const struct timespec *deadline)
{
	struct waiter *q = calloc(n, sizeof(*q));
	unsigned queued = 0;
	int r, woken = -1;

	if (!q)
		return -ENOMEM;
	r = enqueue_all(t, q, w, n, &queued);
	while (!r && !atomic_load(&t->wait_word))
		r = task_wait(t, &t->wait_word, 0, clock, deadline);
	while (queued--)
		if (!dequeue(&q[queued]) && woken < 0)
			woken = (int)queued;
	free(q);
	return woken >= 0 ? woken : r;
}

static void lock_two(struct bucket *a, struct bucket *b)
{
	if (a > b) {
		struct bucket *c = a;

		a = b;
		b = c;
	}
	pthread_mutex_lock(&a->lock);
	if (a != b)
		pthread_mutex_lock(&b->lock);
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
	pthread_mutex_unlock(&a->lock);
	if (a != b)
		pthread_mutex_unlock(&b->lock);
}

static int move_matching(struct bucket *from, struct bucket *to, const struct futex_key *key,
			 const struct futex_key *new_key, uint32_t n)
{
	struct waiter *q, *tmp;
	struct list moved = LIST_INIT(moved);
	int count = 0;

	list_for_each_safe(q, tmp, &from->waiters, node)
	{
		if ((uint32_t)count >= n)
			break;
		if (!same_key(&q->key, key))
			continue;
		list_del(&q->node);
		q->key = *new_key;
		list_append(&moved, &q->node);
		count++;
	}
	list_for_each_safe(q, tmp, &moved, node)
	{
		list_del(&q->node);
		list_append(&to->waiters, &q->node);
		atomic_store(&q->bucket, (unsigned)(to - buckets));
	}
	return count;
}

int futex_requeue(struct task *t, struct gptr p, bool shared, struct gptr p2, bool shared2,
		  uint32_t nwake, uint32_t nmove, bool cmp, uint32_t val)
{
	struct wake_list w = {.n = 0};
	struct futex_key k1, k2;
	struct bucket *b1, *b2;
	uint32_t now = val;
	int r, moved;

	if ((int32_t)nwake < 0 || (int32_t)nmove < 0)
		return -EINVAL;
	r = futex_key(t, p, shared, &k1);
	if (!r)
		r = futex_key(t, p2, shared2, &k2);
	if (!r && cmp)
		r = gmem_load32(t->proc->mm, p, &now);
	if (r)
		return r;
	b1 = &buckets[bucket_of(&k1)];
	b2 = &buckets[bucket_of(&k2)];
	lock_two(b1, b2);
	if (cmp)
		r = gmem_load32(t->proc->mm, p, &now);
	if (!r && now != val)
		r = -EAGAIN;
	if (!r) {
		r = wake_matching(b1, &k1, nwake, FUTEX_BITSET_MATCH_ANY, &w);
		moved = move_matching(b1, b2, &k1, &k2, nmove);
		r += moved;
	}
	unlock_two(b1, b2);
	wake_flush(&w);
	return r;
}

/* The word's new value, and whether its old one compares. False: no such operation. */
static bool apply_op(uint32_t op, uint32_t old, uint32_t *new_val, bool *wake2)
{
	uint32_t arg = (uint32_t)((int32_t)(op << 8) >> 20);
	int32_t cmparg = (int32_t)(op << 20) >> 20, sold = (int32_t)old;

	if (op & ((uint32_t)FUTEX_OP_OPARG_SHIFT << 28))
		arg = 1u << (arg & 31);
	switch ((op >> 28) & 7) {
	case FUTEX_OP_SET:
		*new_val = arg;
		break;
	case FUTEX_OP_ADD:
		*new_val = old + arg;
		break;
	case FUTEX_OP_OR:
		*new_val = old | arg;
		break;
	case FUTEX_OP_ANDN:
		*new_val = old & ~arg;
		break;
	case FUTEX_OP_XOR:
		*new_val = old ^ arg;
		break;
	default:
		return false;
	}
	switch ((op >> 24) & 15) {
	case FUTEX_OP_CMP_EQ:
		*wake2 = sold == cmparg;
		break;
	case FUTEX_OP_CMP_NE:
		*wake2 = sold != cmparg;
		break;
	case FUTEX_OP_CMP_LT:
		*wake2 = sold < cmparg;
		break;
	case FUTEX_OP_CMP_LE:
		*wake2 = sold <= cmparg;
		break;
	case FUTEX_OP_CMP_GT:
		*wake2 = sold > cmparg;
		break;
	case FUTEX_OP_CMP_GE:
		*wake2 = sold >= cmparg;
		break;
	default:
		return false;
	}
	return true;
}

static int change_word(struct task *t, struct gptr p, uint32_t op, bool *wake2)
{
	uint32_t old, new_val;
	bool ok = false;
	int r = gmem_load32(t->proc->mm, p, &old);

	while (!r && !ok) {
		if (!apply_op(op, old, &new_val, wake2))
			return -ENOSYS;
		r = gmem_cmpxchg32(t->proc->mm, p, &old, new_val, &ok);
	}
	return r;
}

int futex_wake_op(struct task *t, struct gptr p, struct gptr p2, bool shared, uint32_t n,
		  uint32_t n2, uint32_t op)
{
	struct wake_list w = {.n = 0};
	struct futex_key k1, k2;
	struct bucket *b1, *b2;
	bool wake2 = false;
	int r = futex_key(t, p, shared, &k1);

	if (!r)
		r = futex_key(t, p2, shared, &k2);
	if (r)
		return r;
	b1 = &buckets[bucket_of(&k1)];
	b2 = &buckets[bucket_of(&k2)];
	lock_two(b1, b2);
	r = change_word(t, p2, op, &wake2);
	if (!r) {
		r = wake_matching(b1, &k1, n, FUTEX_BITSET_MATCH_ANY, &w);
		if (wake2)
			r += wake_matching(b2, &k2, n2, FUTEX_BITSET_MATCH_ANY, &w);
	}
	unlock_two(b1, b2);
	wake_flush(&w);
	return r;
}
