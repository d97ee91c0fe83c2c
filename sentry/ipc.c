/* What the kinds of System V IPC have in common: identifiers, keys, permissions, waiting. */
#include "sentry/ipc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sentry/task.h"
#include "sentry/timer.h"

#define SLOT_BITS  15
#define SEQ_MAX	   65535u
#define CHARGE_MAX (64ull << 20)

pthread_mutex_t ipc_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- accounting ---- */

static uint64_t charged;

bool ipc_charge(uint64_t n)
{
	uint64_t limit = sandbox.config.limit_memory, max = CHARGE_MAX;

	if (limit)
		max = MIN(max, limit / 4);
	if (n > max || charged > max - n)
		return false;
	charged += n;
	return true;
}

void ipc_uncharge(uint64_t n)
{
	charged -= n;
}

/* ---- permissions ---- */

bool ipc_owns(const struct task *t, const struct ipc_obj *o)
{
	return t->proc->uid == o->uid || t->proc->uid == o->cuid;
}

bool ipc_access(const struct task *t, const struct ipc_obj *o, int want)
{
	unsigned need = (unsigned)(want >> 6 | want >> 3 | want) & 7, have = o->mode;

	if (ipc_owns(t, o))
		have >>= 6;
	else if (t->proc->gid == o->gid || t->proc->gid == o->cgid)
		have >>= 3;
	return !(need & ~have);
}

void ipc_fill_perm(const struct ipc_obj *o, struct ipc_perm *p)
{
	memset(p, 0, sizeof(*p));
	p->__key = o->key;
	p->uid = o->uid;
	p->gid = o->gid;
	p->cuid = o->cuid;
	p->cgid = o->cgid;
	p->mode = (__typeof__(p->mode))o->mode;
	p->__seq = (unsigned short)(o->id >> SLOT_BITS);
}

long ipc_set_perm(const struct task *t, struct ipc_obj *o, const struct ipc_perm *p)
{
	if (!ipc_owns(t, o))
		return -EPERM;
	if (p->uid == UINT32_MAX || p->gid == UINT32_MAX)
		return -EINVAL;
	o->uid = p->uid;
	o->gid = p->gid;
	o->mode = (o->mode & ~0777u) | (p->mode & 0777u);
	return 0;
}

/* ---- identifiers ---- */

static struct list *bucket(struct ipc_ids *ids, int key)
{
	return &ids->hash[((uint32_t)key * 0x9e3779b1u >> 16) % IPC_BUCKETS];
}

static void ids_init(struct ipc_ids *ids, unsigned max)
{
	if (ids->max)
		return;
	ids->max = max;
	ids->high = -1;
	ids->last = UINT32_MAX;
	for (unsigned i = 0; i < IPC_BUCKETS; i++)
		list_init(&ids->hash[i]);
}

/* The lowest free slot, made if need be; -1: none. */
static int free_slot(struct ipc_ids *ids)
{
	unsigned i, cap = MIN(MAX(ids->cap * 2, 16u), ids->max);
	struct ipc_obj **slot;

	if (ids->used == ids->max)
		return -1;
	for (i = 0; i < ids->cap; i++)
		if (!ids->slot[i])
			return (int)i;
	slot = realloc(ids->slot, cap * sizeof(*slot));
	if (!slot)
		return -1;
	memset(slot + ids->cap, 0, (cap - ids->cap) * sizeof(*slot));
	ids->slot = slot;
	ids->cap = cap;
	return (int)i;
}

/* Gives o an id. */
static long add(struct task *t, const struct ipc_get *g, struct ipc_obj *o)
{
	struct ipc_ids *ids = g->ids;
	int i = free_slot(ids);

	if (i < 0)
		return -ENOSPC;
	/* A slot that is used again so soon gives another id: numbers are not reused at once. */
	if (ids->last != UINT32_MAX && (unsigned)i <= ids->last)
		ids->seq = (ids->seq + 1) % (SEQ_MAX + 1);
	ids->last = (unsigned)i;
	o->key = g->key;
	o->id = (int)(ids->seq << SLOT_BITS | (unsigned)i);
	o->uid = o->cuid = t->proc->uid;
	o->gid = o->cgid = t->proc->gid;
	o->mode = (unsigned)g->flags & 0777u;
	if (g->key == IPC_PRIVATE)
		list_init(&o->hash);
	else
		list_append(bucket(ids, g->key), &o->hash);
	ids->slot[i] = o;
	ids->used++;
	ids->high = MAX(ids->high, i);
	return o->id;
}

static struct ipc_obj *find_key(struct ipc_ids *ids, int key)
{
	struct ipc_obj *o;

	list_for_each (o, bucket(ids, key), hash)
		if (o->key == key)
			return o;
	return NULL;
}

static long create(struct task *t, const struct ipc_get *g)
{
	long r = -ENOMEM;
	struct ipc_obj *o = g->create(t, g, &r);

	if (!o)
		return r;
	r = add(t, g, o);
	if (r < 0)
		g->destroy(o);
	return r;
}

static long get_locked(struct task *t, const struct ipc_get *g)
{
	struct ipc_obj *o = g->key == IPC_PRIVATE ? NULL : find_key(g->ids, g->key);
	long r;

	if (!o)
		return g->key == IPC_PRIVATE || (g->flags & IPC_CREAT) ? create(t, g) : -ENOENT;
	if ((g->flags & IPC_CREAT) && (g->flags & IPC_EXCL))
		return -EEXIST;
	r = g->check(o, g);
	if (r)
		return r;
	return ipc_access(t, o, g->flags) ? o->id : -EACCES;
}

long ipc_get(struct task *t, const struct ipc_get *g)
{
	long r;

	pthread_mutex_lock(&ipc_lock);
	ids_init(g->ids, g->max);
	r = get_locked(t, g);
	pthread_mutex_unlock(&ipc_lock);
	return r;
}

struct ipc_obj *ipc_at(const struct ipc_ids *ids, int slot)
{
	return slot >= 0 && (unsigned)slot < ids->cap ? ids->slot[slot] : NULL;
}

struct ipc_obj *ipc_find(const struct ipc_ids *ids, int id)
{
	struct ipc_obj *o = id < 0 ? NULL : ipc_at(ids, id & ((1 << SLOT_BITS) - 1));

	return o && o->id == id ? o : NULL;
}

void ipc_unkey(struct ipc_obj *o)
{
	list_del(&o->hash);
	o->key = IPC_PRIVATE;
}

void ipc_remove(struct ipc_ids *ids, struct ipc_obj *o)
{
	list_del(&o->hash);
	ids->slot[o->id & ((1 << SLOT_BITS) - 1)] = NULL;
	ids->used--;
	while (ids->high >= 0 && !ids->slot[ids->high])
		ids->high--;
}

/* ---- waiting ---- */

int ipc_sleep(struct task *t, const struct timespec *deadline)
{
	int r;

	while (!atomic_load(&t->wait_word)) {
		r = task_wait(t, &t->wait_word, 0, CLOCK_MONOTONIC, deadline);
		if (r == -ERESTARTSYS) {
			atomic_store(&t->interrupt, 0); /* before what it stands for is looked at */
			if (task_pending(t)) {
				atomic_store(&t->interrupt, 1);
				return -EINTR;
			}
		} else if (r) {
			return r;
		}
	}
	return 0;
}

void ipc_wake(struct task *t)
{
	atomic_store(&t->wait_word, 1);
	task_wake(&t->wait_word);
}

int64_t ipc_now(void)
{
	return (int64_t)(clock_now_ns(CLOCK_REALTIME) / TIME_NSEC);
}
