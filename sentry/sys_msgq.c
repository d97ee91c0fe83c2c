/* System V message queues: msgget, msgsnd, msgrcv, msgctl, /proc/sysvipc/msg. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include "sentry/ipc.h"
#include "sentry/sys.h"

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

struct message {
	struct list node;
	int64_t type;
	size_t len;
	char text[];
};

struct msg_queue {
	struct ipc_obj obj; /* first */
	int64_t stime, rtime, ctime;
	uint64_t cbytes, qnum, qbytes;
	int lspid, lrpid;
	struct list messages;
	struct list senders, receivers; /* of struct waiter */
};

struct waiter { /* on the stack of the thread that sleeps */
	struct list node;
	struct task *t;
};

struct receive { /* what a msgrcv asks for */
	int64_t type;
	size_t size;
	int flags;
};

static struct ipc_ids queues;
static uint64_t total_bytes, total_messages;

static struct msg_queue *queue_of(struct ipc_obj *o)
{
	return (struct msg_queue *)o;
}

static struct msg_queue *queue_find(int id)
{
	return queue_of(ipc_find(&queues, id));
}

/* ---- messages ---- */

static size_t msg_size(size_t len)
{
	return sizeof(struct message) + len;
}

/* A copy of the app's message. NULL with *err. */
static struct message *msg_read(struct task *t, struct gptr p, size_t len, long *err)
{
	struct message *m;
	bool room;

	pthread_mutex_lock(&ipc_lock);
	room = ipc_charge(msg_size(len));
	pthread_mutex_unlock(&ipc_lock);
	m = room ? malloc(msg_size(len)) : NULL;
	*err = -ENOMEM;
	if (m) {
		list_init(&m->node);
		m->len = len;
		*err = 0;
		if (gmem_read(t->proc->mm, &m->type, p, sizeof(m->type)) ||
		    gmem_read(t->proc->mm, m->text, gptr_at(p.addr + sizeof(m->type)), len))
			*err = -EFAULT;
		else if (m->type < 1)
			*err = -EINVAL;
	}
	if (!*err)
		return m;
	free(m);
	pthread_mutex_lock(&ipc_lock);
	if (room)
		ipc_uncharge(msg_size(len));
	pthread_mutex_unlock(&ipc_lock);
	return NULL;
}

/* Frees a message that is in no queue; the lock is held. */
static void msg_free(struct message *m)
{
	ipc_uncharge(msg_size(m->len));
	free(m);
}

/* ---- queues; the lock is held ---- */

static void wake_all(struct list *waiters)
{
	struct waiter *w, *tmp;

	list_for_each_safe (w, tmp, waiters, node) {
		list_del(&w->node);
		ipc_wake(w->t);
	}
}

static void queue_free(struct ipc_obj *o)
{
	struct msg_queue *q = queue_of(o);
	struct message *m, *tmp;

	list_for_each_safe (m, tmp, &q->messages, node)
		msg_free(m);
	total_bytes -= q->cbytes;
	total_messages -= q->qnum;
	ipc_uncharge(sizeof(*q));
	free(q);
}

static struct ipc_obj *queue_create(struct task *t, const struct ipc_get *g, long *err)
{
	struct msg_queue *q;

	*err = -ENOMEM;
	if (!ipc_charge(sizeof(*q)))
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q) {
		ipc_uncharge(sizeof(*q));
		return NULL;
	}
	list_init(&q->messages);
	list_init(&q->senders);
	list_init(&q->receivers);
	q->qbytes = IPC_MSG_MNB;
	q->ctime = ipc_now();
	return &q->obj;
}

static long queue_check(const struct ipc_obj *o, const struct ipc_get *g)
{
	return 0;
}

long sys_msgget(struct task *t, struct sysargs *a)
{
	const struct ipc_get g = {
		.ids = &queues,
		.max = IPC_MSG_MNI,
		.create = queue_create,
		.destroy = queue_free,
		.check = queue_check,
		.key = A_INT(a, 0),
		.flags = A_INT(a, 1),
	};

	return ipc_get(t, &g);
}

/* Sleeps in a list of the queue, without the lock; the queue may be gone afterwards. A handler that
 * runs ends the call, whatever its flags say. */
static long queue_wait(struct task *t, struct list *waiters)
{
	struct waiter w = {.t = t};
	int r;

	atomic_store(&t->wait_word, 0);
	list_append(waiters, &w.node);
	pthread_mutex_unlock(&ipc_lock);
	r = ipc_sleep(t, NULL);
	pthread_mutex_lock(&ipc_lock);
	list_del(&w.node);
	return r ? -ERESTARTNOHAND : 0;
}

/* ---- msgsnd ---- */

static void put_message(struct task *t, struct msg_queue *q, struct message *m)
{
	list_append(&q->messages, &m->node);
	q->cbytes += m->len;
	q->qnum++;
	total_bytes += m->len;
	total_messages++;
	q->lspid = t->proc->pid;
	q->stime = ipc_now();
	wake_all(&q->receivers);
}

static long send_locked(struct task *t, int id, struct message *m, int flags)
{
	struct msg_queue *q = queue_find(id);
	long r = q ? 0 : -EINVAL;

	while (!r) {
		if (!ipc_access(t, &q->obj, S_IWUSR))
			return -EACCES;
		if (q->cbytes + m->len <= q->qbytes && q->qnum + 1 <= q->qbytes) {
			put_message(t, q, m);
			return 0;
		}
		if (flags & IPC_NOWAIT)
			return -EAGAIN;
		r = queue_wait(t, &q->senders);
		q = queue_find(id);
		if (!q)
			r = -EIDRM;
	}
	return r;
}

long sys_msgsnd(struct task *t, struct sysargs *a)
{
	uint64_t len = a->raw[2];
	struct message *m;
	long r;

	if (len > IPC_MSG_MAX || A_INT(a, 0) < 0)
		return -EINVAL;
	m = msg_read(t, A_PTR(a, 1), len, &r);
	if (!m)
		return r;
	pthread_mutex_lock(&ipc_lock);
	r = send_locked(t, A_INT(a, 0), m, A_INT(a, 3));
	if (r)
		msg_free(m);
	pthread_mutex_unlock(&ipc_lock);
	return r;
}

/* ---- msgrcv ---- */

static bool wanted(const struct message *m, const struct receive *want)
{
	if (!want->type)
		return true;
	if (want->type < 0)
		return m->type <= -want->type;
	return (m->type == want->type) == !(want->flags & MSG_EXCEPT);
}

static struct message *msg_find(struct msg_queue *q, const struct receive *want)
{
	struct message *m, *best = NULL;
	int64_t n = want->type;

	list_for_each (m, &q->messages, node) {
		if (want->flags & MSG_COPY) {
			if (!n--)
				return m;
		} else if (wanted(m, want) && (!best || m->type < best->type)) {
			best = m;
			if (want->type >= 0)
				break;
		}
	}
	return best;
}

static void take_message(struct task *t, struct msg_queue *q, struct message *m)
{
	list_del(&m->node);
	q->cbytes -= m->len;
	q->qnum--;
	total_bytes -= m->len;
	total_messages--;
	q->lrpid = t->proc->pid;
	q->rtime = ipc_now();
	wake_all(&q->senders);
}

/* MSG_COPY: a message of its own, which is not charged. */
static struct message *msg_copy(const struct message *m)
{
	struct message *n = malloc(msg_size(m->len));

	if (n)
		memcpy(n, m, msg_size(m->len));
	return n;
}

/* The message that fits, taken off the queue or (MSG_COPY) copied. */
static long receive_locked(struct task *t, int id, const struct receive *want, struct message **out)
{
	struct msg_queue *q = queue_find(id);
	long r = q ? 0 : -EINVAL;
	struct message *m;

	while (!r) {
		if (!ipc_access(t, &q->obj, S_IRUSR))
			return -EACCES;
		m = msg_find(q, want);
		if (m && m->len > want->size && !(want->flags & MSG_NOERROR))
			return -E2BIG;
		if (m && (want->flags & MSG_COPY)) {
			*out = m->len > want->size ? NULL : msg_copy(m);
			return *out ? 0 : m->len > want->size ? -EINVAL : -ENOMEM;
		}
		if (m) {
			take_message(t, q, m);
			ipc_uncharge(msg_size(m->len));
			*out = m;
			return 0;
		}
		if (want->flags & IPC_NOWAIT)
			return -ENOMSG;
		r = queue_wait(t, &q->receivers);
		q = queue_find(id);
		if (!q)
			r = -EIDRM;
	}
	return r;
}

long sys_msgrcv(struct task *t, struct sysargs *a)
{
	struct receive want = {.type = (int64_t)a->raw[3], .size = a->raw[2], .flags = A_INT(a, 4)};
	struct message *m = NULL;
	long r;

	if (A_INT(a, 0) < 0 || (int64_t)a->raw[2] < 0)
		return -EINVAL;
	if ((want.flags & MSG_COPY) &&
	    ((want.flags & MSG_EXCEPT) || !(want.flags & IPC_NOWAIT)))
		return -EINVAL;
	if (want.type == INT64_MIN && !(want.flags & MSG_COPY))
		want.type = -INT64_MAX;
	pthread_mutex_lock(&ipc_lock);
	r = receive_locked(t, A_INT(a, 0), &want, &m);
	pthread_mutex_unlock(&ipc_lock);
	if (r)
		return r;
	r = (long)MIN(m->len, want.size);
	if (gmem_write(t->proc->mm, A_PTR(a, 1), &m->type, sizeof(m->type)) ||
	    gmem_write(t->proc->mm, gptr_at(a->raw[1] + sizeof(m->type)), m->text, (size_t)r))
		r = -EFAULT;
	free(m);
	return r;
}

/* ---- msgctl ---- */

static long info(struct task *t, struct gptr out, int cmd)
{
	struct msginfo i = {
		.msgpool = (int)(IPC_MSG_MNI * (IPC_MSG_MNB / 1024)),
		.msgmap = (int)IPC_MSG_MNB,
		.msgmax = (int)IPC_MSG_MAX,
		.msgmnb = (int)IPC_MSG_MNB,
		.msgmni = (int)IPC_MSG_MNI,
		.msgssz = 16,
		.msgtql = (int)IPC_MSG_MNB,
		.msgseg = 0xffff,
	};
	long high;

	pthread_mutex_lock(&ipc_lock);
	high = queues.max ? MAX(queues.high, 0) : 0;
	if (cmd == MSG_INFO) {
		i.msgpool = (int)queues.used;
		i.msgmap = (int)total_messages;
		i.msgtql = (int)total_bytes;
	}
	pthread_mutex_unlock(&ipc_lock);
	return gmem_write(t->proc->mm, out, &i, sizeof(i)) ? -EFAULT : high;
}

static long stat_queue(struct task *t, int id, int cmd, struct gptr out)
{
	struct msqid_ds ds = {0};
	struct msg_queue *q;
	long r;

	pthread_mutex_lock(&ipc_lock);
	q = cmd == IPC_STAT ? queue_find(id) : queue_of(ipc_at(&queues, id));
	if (!q) {
		r = -EINVAL;
	} else if (cmd != MSG_STAT_ANY && !ipc_access(t, &q->obj, S_IRUSR)) {
		r = -EACCES;
	} else {
		ds = (struct msqid_ds){
			.msg_stime = q->stime,
			.msg_rtime = q->rtime,
			.msg_ctime = q->ctime,
			.__msg_cbytes = q->cbytes,
			.msg_qnum = q->qnum,
			.msg_qbytes = q->qbytes,
			.msg_lspid = q->lspid,
			.msg_lrpid = q->lrpid,
		};
		ipc_fill_perm(&q->obj, &ds.msg_perm);
		r = cmd == IPC_STAT ? 0 : q->obj.id;
	}
	pthread_mutex_unlock(&ipc_lock);
	if (r >= 0 && gmem_write(t->proc->mm, out, &ds, sizeof(ds)))
		r = -EFAULT;
	return r;
}

static long set_queue(struct task *t, struct msg_queue *q, const struct msqid_ds *ds)
{
	long r = ds->msg_qbytes > IPC_MSG_MNB && ipc_owns(t, &q->obj) ? -EPERM : 0;

	if (!r)
		r = ipc_set_perm(t, &q->obj, &ds->msg_perm);
	if (r)
		return r;
	q->qbytes = ds->msg_qbytes;
	q->ctime = ipc_now();
	wake_all(&q->senders); /* there may be room now, or no right any more */
	wake_all(&q->receivers);
	return 0;
}

static long change_queue(struct task *t, int id, int cmd, const struct msqid_ds *ds)
{
	struct msg_queue *q;
	long r;

	pthread_mutex_lock(&ipc_lock);
	q = queue_find(id);
	if (!q) {
		r = -EINVAL;
	} else if (cmd == IPC_SET) {
		r = set_queue(t, q, ds);
	} else {
		r = ipc_owns(t, &q->obj) ? 0 : -EPERM;
		if (!r) {
			wake_all(&q->senders);
			wake_all(&q->receivers);
			ipc_remove(&queues, &q->obj);
			queue_free(&q->obj);
		}
	}
	pthread_mutex_unlock(&ipc_lock);
	return r;
}

long sys_msgctl(struct task *t, struct sysargs *a)
{
	int id = A_INT(a, 0), cmd = A_INT(a, 1);
	struct msqid_ds ds = {0};

	if (cmd < 0 || id < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case MSG_INFO:
		return info(t, A_PTR(a, 2), cmd);
	case IPC_STAT:
	case MSG_STAT:
	case MSG_STAT_ANY:
		return stat_queue(t, id, cmd, A_PTR(a, 2));
	case IPC_SET:
		if (gmem_read(t->proc->mm, &ds, A_PTR(a, 2), sizeof(ds)))
			return -EFAULT;
		/* fallthrough */
	case IPC_RMID:
		return change_queue(t, id, cmd, &ds);
	default:
		return -EINVAL;
	}
}

int ipc_show_msg(const struct pseudo_key *k, struct buf *out)
{
	struct msg_queue *q;

	buf_puts(out, "       key      msqid perms      cbytes       qnum lspid lrpid"
		      "   uid   gid  cuid  cgid      stime      rtime      ctime\n");
	pthread_mutex_lock(&ipc_lock);
	for (int i = 0; queues.max && i <= queues.high; i++) {
		q = queue_of(ipc_at(&queues, i));
		if (!q)
			continue;
		buf_printf(out, "%10d %10d  %4o  %10llu %10llu %5d %5d %5u %5u %5u %5u "
				"%10lld %10lld %10lld\n",
			   q->obj.key, q->obj.id, q->obj.mode, (unsigned long long)q->cbytes,
			   (unsigned long long)q->qnum, q->lspid, q->lrpid, q->obj.uid, q->obj.gid,
			   q->obj.cuid, q->obj.cgid, (long long)q->stime, (long long)q->rtime,
			   (long long)q->ctime);
	}
	pthread_mutex_unlock(&ipc_lock);
	return 0;
}
