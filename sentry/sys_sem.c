/* System V semaphores: semget, semop, semtimedop, semctl, /proc/sysvipc/sem, and what SEM_UNDO undoes
 * at the end of a process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include "sentry/ipc.h"
#include "sentry/sys.h"
#include "sentry/timer.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif
#define SEMVMX 32767
#define SEMAEM 32767

struct sem {
	int val, pid;
};

struct sem_set {
	struct ipc_obj obj; /* first */
	unsigned n;
	int64_t otime, ctime;
	struct list waiters; /* of struct op, oldest first */
	struct list undos;
	struct sem sem[];
};

struct sem_undo { /* what one process's end does to one set */
	struct list of_proc, of_set;
	struct sem_set *set;
	struct proc *proc;
	int16_t adj[];
};

struct op { /* one semop, on the stack of the thread that makes it */
	struct list node;
	struct task *t;
	struct sem_set *set;
	const struct sembuf *sops;
	unsigned n;
	struct sem_undo *undo; /* NULL: no operation is to be undone */
	const struct sembuf *blocks;
	int result;
};

static struct ipc_ids sets;
static unsigned total_sems;

static struct sem_set *set_of(struct ipc_obj *o)
{
	return (struct sem_set *)o;
}

static struct sem_set *set_find(int id)
{
	return set_of(ipc_find(&sets, id));
}

/* ---- undo; the lock is held ---- */

static size_t undo_size(const struct sem_set *s)
{
	return sizeof(struct sem_undo) + s->n * sizeof(int16_t);
}

static void undo_free(struct sem_undo *u)
{
	list_del(&u->of_proc);
	list_del(&u->of_set);
	ipc_uncharge(undo_size(u->set));
	free(u);
}

static struct sem_undo *undo_get(struct proc *p, struct sem_set *s)
{
	struct sem_undo *u;

	list_for_each (u, &p->sem_undos, of_proc)
		if (u->set == s)
			return u;
	if (!ipc_charge(undo_size(s)))
		return NULL;
	u = calloc(1, undo_size(s));
	if (!u) {
		ipc_uncharge(undo_size(s));
		return NULL;
	}
	u->set = s;
	u->proc = p;
	list_append(&p->sem_undos, &u->of_proc);
	list_append(&s->undos, &u->of_set);
	return u;
}

/* Values that are set directly are not adjusted at anybody's end. */
static void undo_forget(struct sem_set *s, unsigned first, unsigned n)
{
	struct sem_undo *u;

	list_for_each (u, &s->undos, of_set)
		memset(u->adj + first, 0, n * sizeof(u->adj[0]));
}

/* ---- operations; the lock is held ---- */

/* Takes back the first n operations. */
static void revert(struct op *o, unsigned n)
{
	while (n--) {
		const struct sembuf *b = &o->sops[n];

		o->set->sem[b->sem_num].val -= b->sem_op;
		if (b->sem_flg & SEM_UNDO)
			o->undo->adj[b->sem_num] = (int16_t)(o->undo->adj[b->sem_num] + b->sem_op);
	}
}

/* One of the operations: 0 done, 1 it has to wait, or -errno. */
static int step(struct op *o, const struct sembuf *b)
{
	struct sem *s = &o->set->sem[b->sem_num];
	int val = s->val + b->sem_op, adj;

	if ((!b->sem_op && s->val) || val < 0)
		return 1;
	if (val > SEMVMX)
		return -ERANGE;
	if (b->sem_flg & SEM_UNDO) {
		adj = o->undo->adj[b->sem_num] - b->sem_op;
		if (adj < -SEMAEM - 1 || adj > SEMAEM)
			return -ERANGE;
		o->undo->adj[b->sem_num] = (int16_t)adj;
	}
	s->val = val;
	return 0;
}

/* All operations or none: 0, 1 they have to wait, or -errno. */
static int perform(struct op *o)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < o->n && !r; i++)
		r = step(o, &o->sops[i]);
	if (r) {
		revert(o, i - 1);
		o->blocks = &o->sops[i - 1];
		return r > 0 && (o->blocks->sem_flg & IPC_NOWAIT) ? -EAGAIN : r;
	}
	for (i = 0; i < o->n; i++)
		o->set->sem[o->sops[i].sem_num].pid = o->t->proc->pid;
	o->set->otime = ipc_now();
	return 0;
}

static bool alters(const struct op *o)
{
	unsigned i;

	for (i = 0; i < o->n; i++)
		if (o->sops[i].sem_op)
			return true;
	return false;
}

static void finish(struct op *o, int result)
{
	list_del(&o->node);
	o->result = result;
	ipc_wake(o->t);
}

/* Lets those go on that can; what one of them changes may let others. */
static void wake_waiters(struct sem_set *s)
{
	struct op *o, *tmp;
	bool again;
	int r;

	do {
		again = false;
		list_for_each_safe (o, tmp, &s->waiters, node) {
			r = perform(o);
			if (r > 0)
				continue;
			again = !r && alters(o);
			finish(o, r);
			if (again)
				break;
		}
	} while (again);
}

void ipc_sem_exit(struct proc *p)
{
	struct sem_undo *u, *tmp;
	struct sem_set *s;
	unsigned i;

	pthread_mutex_lock(&ipc_lock);
	list_for_each_safe (u, tmp, &p->sem_undos, of_proc) {
		s = u->set;
		for (i = 0; i < s->n; i++) {
			if (!u->adj[i])
				continue;
			s->sem[i].val = MIN(MAX(s->sem[i].val + u->adj[i], 0), SEMVMX);
			s->sem[i].pid = p->pid;
		}
		undo_free(u);
		wake_waiters(s);
	}
	pthread_mutex_unlock(&ipc_lock);
}

/* ---- semget ---- */

static size_t set_size(unsigned n)
{
	return sizeof(struct sem_set) + n * sizeof(struct sem);
}

static void set_free(struct ipc_obj *o)
{
	struct sem_set *s = set_of(o);

	total_sems -= s->n;
	ipc_uncharge(set_size(s->n));
	free(s);
}

static struct ipc_obj *set_create(struct task *t, const struct ipc_get *g, long *err)
{
	unsigned n = (unsigned)g->size;
	struct sem_set *s;

	*err = !n ? -EINVAL : total_sems + n > IPC_SEM_MNS ? -ENOSPC : 0;
	if (*err)
		return NULL;
	*err = -ENOMEM;
	if (!ipc_charge(set_size(n)))
		return NULL;
	s = calloc(1, set_size(n));
	if (!s) {
		ipc_uncharge(set_size(n));
		return NULL;
	}
	list_init(&s->waiters);
	list_init(&s->undos);
	s->n = n;
	s->ctime = ipc_now();
	total_sems += n;
	return &s->obj;
}

static long set_check(const struct ipc_obj *o, const struct ipc_get *g)
{
	return g->size > ((const struct sem_set *)o)->n ? -EINVAL : 0;
}

long sys_semget(struct task *t, struct sysargs *a)
{
	const struct ipc_get g = {
		.ids = &sets,
		.max = IPC_SEM_MNI,
		.create = set_create,
		.destroy = set_free,
		.check = set_check,
		.key = A_INT(a, 0),
		.size = A_UINT(a, 1),
		.flags = A_INT(a, 2),
	};

	if (A_INT(a, 1) < 0 || A_UINT(a, 1) > IPC_SEM_MSL)
		return -EINVAL;
	return ipc_get(t, &g);
}

/* ---- semop, semtimedop ---- */

/* What can be told before anything is tried; finds the set and the undo record. */
static int prepare(struct op *o, int id)
{
	bool undo = false;
	unsigned i;

	o->set = set_find(id);
	if (!o->set)
		return -EINVAL;
	for (i = 0; i < o->n; i++) {
		if (o->sops[i].sem_num >= o->set->n)
			return -EFBIG;
		undo |= (o->sops[i].sem_flg & SEM_UNDO) != 0;
	}
	if (!ipc_access(o->t, &o->set->obj, alters(o) ? S_IWUSR : S_IRUSR))
		return -EACCES;
	if (undo)
		o->undo = undo_get(o->t->proc, o->set);
	return undo && !o->undo ? -ENOMEM : 0;
}

/* Waits until somebody has performed o or its set is gone. */
static int wait_turn(struct op *o, const struct timespec *deadline)
{
	int r;

	atomic_store(&o->t->wait_word, 0);
	list_append(&o->set->waiters, &o->node);
	o->result = 1;
	pthread_mutex_unlock(&ipc_lock);
	r = ipc_sleep(o->t, deadline);
	pthread_mutex_lock(&ipc_lock);
	list_del(&o->node);
	if (o->result <= 0)
		return o->result;
	return r == -ETIMEDOUT ? -EAGAIN : r;
}

static long do_semop(struct task *t, int id, const struct sembuf *sops, unsigned n,
		     const struct timespec *deadline)
{
	struct op o = {.t = t, .sops = sops, .n = n};
	int r;

	list_init(&o.node);
	pthread_mutex_lock(&ipc_lock);
	r = prepare(&o, id);
	if (!r) {
		r = perform(&o);
		if (!r && alters(&o))
			wake_waiters(o.set);
	}
	if (r > 0)
		r = wait_turn(&o, deadline);
	pthread_mutex_unlock(&ipc_lock);
	return r;
}

static long semop_call(struct task *t, struct sysargs *a, const struct timespec *deadline)
{
	uint64_t n = (uint32_t)a->raw[2];
	struct sembuf few[16], *sops = few;
	long r;

	if (!n || A_INT(a, 0) < 0)
		return -EINVAL;
	if (n > IPC_SEM_OPM)
		return -E2BIG;
	if (n > ARRAY_SIZE(few)) {
		sops = calloc(n, sizeof(*sops));
		if (!sops)
			return -ENOMEM;
	}
	if (gmem_read(t->proc->mm, sops, A_PTR(a, 1), n * sizeof(*sops)))
		r = -EFAULT;
	else
		r = do_semop(t, A_INT(a, 0), sops, (unsigned)n, deadline);
	if (sops != few)
		free(sops);
	return r;
}

long sys_semop(struct task *t, struct sysargs *a)
{
	return semop_call(t, a, NULL);
}

long sys_semtimedop(struct task *t, struct sysargs *a)
{
	struct timespec ts;

	if (!a->raw[3])
		return semop_call(t, a, NULL);
	if (gmem_read(t->proc->mm, &ts, A_PTR(a, 3), sizeof(ts)))
		return -EFAULT;
	if (!timespec_valid(&ts))
		return -EINVAL;
	ts = ns_to_timespec(ns_add(clock_now_ns(CLOCK_MONOTONIC), timespec_to_ns(&ts)));
	return semop_call(t, a, &ts);
}

/* ---- semctl ---- */

static long info(struct task *t, struct gptr out, int cmd)
{
	struct seminfo i = {
		.semmap = (int)IPC_SEM_MNS,
		.semmni = (int)IPC_SEM_MNI,
		.semmns = (int)IPC_SEM_MNS,
		.semmnu = (int)IPC_SEM_MNS,
		.semmsl = (int)IPC_SEM_MSL,
		.semopm = (int)IPC_SEM_OPM,
		.semume = (int)IPC_SEM_OPM,
		.semusz = 20,
		.semvmx = SEMVMX,
		.semaem = SEMAEM,
	};
	long high;

	pthread_mutex_lock(&ipc_lock);
	high = sets.max ? MAX(sets.high, 0) : 0;
	if (cmd == SEM_INFO) {
		i.semusz = (int)sets.used;
		i.semaem = (int)total_sems;
	}
	pthread_mutex_unlock(&ipc_lock);
	return gmem_write(t->proc->mm, out, &i, sizeof(i)) ? -EFAULT : high;
}

static long stat_set(struct task *t, int id, int cmd, struct gptr out)
{
	struct semid_ds ds = {0};
	struct ipc_obj *o;
	long r = 0;

	pthread_mutex_lock(&ipc_lock);
	o = cmd == IPC_STAT ? ipc_find(&sets, id) : ipc_at(&sets, id);
	if (!o) {
		r = -EINVAL;
	} else if (cmd != SEM_STAT_ANY && !ipc_access(t, o, S_IRUSR)) {
		r = -EACCES;
	} else {
		ipc_fill_perm(o, &ds.sem_perm);
		ds.sem_otime = set_of(o)->otime;
		ds.sem_ctime = set_of(o)->ctime;
		ds.sem_nsems = set_of(o)->n;
		r = cmd == IPC_STAT ? 0 : o->id;
	}
	pthread_mutex_unlock(&ipc_lock);
	if (r >= 0 && gmem_write(t->proc->mm, out, &ds, sizeof(ds)))
		r = -EFAULT;
	return r;
}

static void remove_set(struct sem_set *s)
{
	struct sem_undo *u, *utmp;
	struct op *o, *tmp;

	list_for_each_safe (u, utmp, &s->undos, of_set)
		undo_free(u);
	list_for_each_safe (o, tmp, &s->waiters, node)
		finish(o, -EIDRM);
	ipc_remove(&sets, &s->obj);
	set_free(&s->obj);
}

/* IPC_RMID and IPC_SET. */
static long change_set(struct task *t, int id, int cmd, const struct semid_ds *ds)
{
	struct sem_set *s;
	long r;

	pthread_mutex_lock(&ipc_lock);
	s = set_find(id);
	if (!s) {
		r = -EINVAL;
	} else if (cmd == IPC_SET) {
		r = ipc_set_perm(t, &s->obj, &ds->sem_perm);
		if (!r)
			s->ctime = ipc_now();
	} else {
		r = ipc_owns(t, &s->obj) ? 0 : -EPERM;
		if (!r)
			remove_set(s);
	}
	pthread_mutex_unlock(&ipc_lock);
	return r;
}

static long count_waiters(const struct sem_set *s, unsigned num, bool zero)
{
	const struct op *o;
	long n = 0;

	list_for_each (o, &s->waiters, node)
		n += o->blocks->sem_num == num && !o->blocks->sem_op == zero;
	return n;
}

static long get_one(const struct sem_set *s, unsigned num, int cmd)
{
	switch (cmd) {
	case GETVAL:
		return s->sem[num].val;
	case GETPID:
		return s->sem[num].pid;
	default:
		return count_waiters(s, num, cmd == GETZCNT);
	}
}

/* GETVAL, GETPID, GETNCNT, GETZCNT, SETVAL. */
static long one_value(struct task *t, int id, int num, int cmd, int val)
{
	struct sem_set *s;
	long r;

	if (cmd == SETVAL && (val < 0 || val > SEMVMX))
		return -ERANGE;
	pthread_mutex_lock(&ipc_lock);
	s = set_find(id);
	if (!s || (cmd == SETVAL && (num < 0 || (unsigned)num >= s->n))) {
		r = -EINVAL;
	} else if (!ipc_access(t, &s->obj, cmd == SETVAL ? S_IWUSR : S_IRUSR)) {
		r = -EACCES;
	} else if (num < 0 || (unsigned)num >= s->n) {
		r = -EINVAL;
	} else if (cmd != SETVAL) {
		r = get_one(s, (unsigned)num, cmd);
	} else {
		r = 0;
		undo_forget(s, (unsigned)num, 1);
		s->sem[num] = (struct sem){val, t->proc->pid};
		s->ctime = ipc_now();
		wake_waiters(s);
	}
	pthread_mutex_unlock(&ipc_lock);
	return r;
}

/* The number of semaphores of a set that t may use for want, or -errno. */
static long set_length(struct task *t, int id, int want)
{
	struct sem_set *s;
	long r;

	pthread_mutex_lock(&ipc_lock);
	s = set_find(id);
	r = !s ? -EINVAL : !ipc_access(t, &s->obj, want) ? -EACCES : (long)s->n;
	pthread_mutex_unlock(&ipc_lock);
	return r;
}

/* Moves all values between vals and the set, if it still is the same. */
static long all_values(struct task *t, int id, int cmd, uint16_t *vals, unsigned n)
{
	struct sem_set *s;
	long r = 0;

	pthread_mutex_lock(&ipc_lock);
	s = set_find(id);
	if (!s || s->n != n) {
		r = -EIDRM;
	} else if (cmd == GETALL) {
		for (unsigned i = 0; i < n; i++)
			vals[i] = (uint16_t)s->sem[i].val;
	} else {
		for (unsigned i = 0; i < n; i++)
			s->sem[i] = (struct sem){vals[i], t->proc->pid};
		undo_forget(s, 0, n);
		s->ctime = ipc_now();
		wake_waiters(s);
	}
	pthread_mutex_unlock(&ipc_lock);
	return r;
}

static long copy_all(struct task *t, int id, int cmd, struct gptr p)
{
	long n = set_length(t, id, cmd == GETALL ? S_IRUSR : S_IWUSR), r = 0;
	size_t size = (size_t)n * sizeof(uint16_t);
	uint16_t *vals;

	if (n < 0)
		return n;
	vals = malloc(size);
	if (!vals)
		return -ENOMEM;
	if (cmd == SETALL && gmem_read(t->proc->mm, vals, p, size))
		r = -EFAULT;
	for (long i = 0; cmd == SETALL && !r && i < n; i++)
		if (vals[i] > SEMVMX)
			r = -ERANGE;
	if (!r)
		r = all_values(t, id, cmd, vals, (unsigned)n);
	if (!r && cmd == GETALL && gmem_write(t->proc->mm, p, vals, size))
		r = -EFAULT;
	free(vals);
	return r;
}

long sys_semctl(struct task *t, struct sysargs *a)
{
	int id = A_INT(a, 0), num = A_INT(a, 1), cmd = A_INT(a, 2);
	struct semid_ds ds = {0};

	if (id < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case SEM_INFO:
		return info(t, A_PTR(a, 3), cmd);
	case IPC_STAT:
	case SEM_STAT:
	case SEM_STAT_ANY:
		return stat_set(t, id, cmd, A_PTR(a, 3));
	case GETALL:
	case SETALL:
		return copy_all(t, id, cmd, A_PTR(a, 3));
	case GETVAL:
	case GETPID:
	case GETNCNT:
	case GETZCNT:
	case SETVAL:
		return one_value(t, id, num, cmd, A_INT(a, 3));
	case IPC_SET:
		if (gmem_read(t->proc->mm, &ds, A_PTR(a, 3), sizeof(ds)))
			return -EFAULT;
		/* fallthrough */
	case IPC_RMID:
		return change_set(t, id, cmd, &ds);
	default:
		return -EINVAL;
	}
}

int ipc_show_sem(const struct pseudo_key *k, struct buf *out)
{
	struct sem_set *s;

	buf_puts(out, "       key      semid perms      nsems   uid   gid  cuid  cgid"
		      "      otime      ctime\n");
	pthread_mutex_lock(&ipc_lock);
	for (int i = 0; sets.max && i <= sets.high; i++) {
		s = set_of(ipc_at(&sets, i));
		if (!s)
			continue;
		buf_printf(out, "%10d %10d  %4o %10u %5u %5u %5u %5u %10lld %10lld\n", s->obj.key,
			   s->obj.id, s->obj.mode, s->n, s->obj.uid, s->obj.gid, s->obj.cuid,
			   s->obj.cgid, (long long)s->otime, (long long)s->ctime);
	}
	pthread_mutex_unlock(&ipc_lock);
	return 0;
}
