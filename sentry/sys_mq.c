/* POSIX message queues: the calls. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sentry/mqueue.h"
#include "sentry/signal.h"
#include "sentry/sys_file.h"
#include "sentry/timer.h"

/* ---- names ---- */

/* A name is one component; the C library takes the slash before it away. */
static int check_name(const struct sysargs *a)
{
	const char *s = a->str;

	if (a->str_err)
		return a->str_err;
	if (!*s)
		return -ENOENT;
	if (!strcmp(s, ".") || !strcmp(s, "..") || strchr(s, '/'))
		return -EACCES;
	return strlen(s) > NAME_MAX ? -ENAMETOOLONG : 0;
}

static struct mqueue *open_queue(struct task *t, const struct sysargs *a, const struct mq_attr *attr,
				 int *err)
{
	static const int modes[] = {[O_RDONLY] = R_OK, [O_WRONLY] = W_OK, [O_RDWR] = R_OK | W_OK};
	unsigned flags = A_UINT(a, 1);
	struct mqueue *q = mq_find(a->str);

	if (!q && flags & O_CREAT)
		return mq_create(t, a->str, sys_create_mode(t, (mode_t)A_UINT(a, 2)), attr, err);
	if (!q)
		*err = -ENOENT;
	else if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		*err = -EEXIST;
	else if ((flags & O_ACCMODE) == O_ACCMODE)
		*err = -EINVAL;
	else if (!mq_permits(t, q, modes[flags & O_ACCMODE]))
		*err = -EACCES;
	return *err ? NULL : q;
}

long sys_mq_open(struct task *t, struct sysargs *a)
{
	unsigned flags = A_UINT(a, 1);
	struct file *f = NULL;
	struct mq_attr attr;
	struct mqueue *q;
	int err;

	if (flags & O_CREAT && a->raw[3] && gmem_read(t->proc->mm, &attr, A_PTR(a, 3), sizeof(attr)))
		return -EFAULT;
	err = check_name(a);
	if (err)
		return err;
	pthread_mutex_lock(&mq_lock);
	q = open_queue(t, a, a->raw[3] ? &attr : NULL, &err);
	if (q)
		f = mq_file(q, flags, &err);
	pthread_mutex_unlock(&mq_lock);
	return f ? fdtab_install(t->proc->fdtab, f, 0, true) : err;
}

long sys_mq_unlink(struct task *t, struct sysargs *a)
{
	struct mqueue *q;
	int err = check_name(a);

	if (err)
		return err;
	pthread_mutex_lock(&mq_lock);
	q = mq_find(a->str);
	if (!q)
		err = -ENOENT;
	else if (t->proc->uid && t->proc->uid != q->uid)
		err = -EACCES;
	else
		mq_remove(q);
	pthread_mutex_unlock(&mq_lock);
	return err;
}

/* ---- messages ---- */

/* The end of waiting, on the real-time clock; *use is NULL for none. */
static int read_deadline(struct task *t, uint64_t addr, struct timespec *ts, const struct timespec **use)
{
	*use = NULL;
	if (!addr)
		return 0;
	if (gmem_read(t->proc->mm, ts, gptr_at(addr), sizeof(*ts)))
		return -EFAULT;
	if (!timespec_valid(ts))
		return -EINVAL;
	*use = ts;
	return 0;
}

/* Waits for the queue to change. mq_lock held, and not while waiting. */
static int wait_change(struct task *t, struct mqueue *q, unsigned flags, const struct timespec *end,
		       bool receive)
{
	uint32_t seen = atomic_load(&q->event);
	int r;

	if (flags & O_NONBLOCK)
		return -EAGAIN;
	q->receivers += receive;
	pthread_mutex_unlock(&mq_lock);
	r = task_wait(t, &q->event, seen, CLOCK_REALTIME, end);
	pthread_mutex_lock(&mq_lock);
	q->receivers -= receive;
	return r;
}

static struct mq_message *read_message(struct task *t, struct sysargs *a, int *err)
{
	size_t len = (size_t)a->raw[2];
	struct mq_message *m = malloc(sizeof(*m) + len);

	*err = -ENOMEM;
	if (!m)
		return NULL;
	m->prio = A_UINT(a, 3);
	m->len = len;
	*err = gmem_read(t->proc->mm, m->text, A_PTR(a, 1), len);
	if (!*err)
		return m;
	free(m);
	return NULL;
}

long sys_mq_timedsend(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	struct mqueue *q = mq_of(f);
	const struct timespec *end;
	struct mq_message *m;
	struct timespec ts;
	int r = read_deadline(t, a->raw[4], &ts, &end);

	if (r)
		return r;
	if (A_UINT(a, 3) >= MQ_PRIO_END)
		return -EINVAL;
	if (!q || !file_can_write(f))
		return -EBADF;
	if (a->raw[2] > (uint64_t)q->max_size)
		return -EMSGSIZE;
	m = read_message(t, a, &r);
	if (!m)
		return r;
	pthread_mutex_lock(&mq_lock);
	while (!r && q->count >= q->max_messages)
		r = wait_change(t, q, f->flags, end, false);
	if (!r)
		mq_add(t, q, m);
	pthread_mutex_unlock(&mq_lock);
	if (r)
		free(m);
	return r;
}

long sys_mq_timedreceive(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	struct mqueue *q = mq_of(f);
	struct mq_message *m = NULL;
	const struct timespec *end;
	struct timespec ts;
	long r = read_deadline(t, a->raw[4], &ts, &end);

	if (r)
		return r;
	if (!q || !file_can_read(f))
		return -EBADF;
	if (a->raw[2] < (uint64_t)q->max_size)
		return -EMSGSIZE;
	pthread_mutex_lock(&mq_lock);
	while (!r && !q->count)
		r = wait_change(t, q, f->flags, end, true);
	if (!r)
		m = mq_take(q);
	pthread_mutex_unlock(&mq_lock);
	if (r)
		return r;
	r = (long)m->len;
	if ((a->raw[3] && gmem_write(t->proc->mm, A_PTR(a, 3), &m->prio, sizeof(m->prio))) ||
	    gmem_write(t->proc->mm, A_PTR(a, 1), m->text, m->len))
		r = -EFAULT;
	free(m);
	return r;
}

/* ---- the rest ---- */

static int check_event(const struct sigevent *ev)
{
	switch (ev->sigev_notify) {
	case SIGEV_NONE:
		return 0;
	case SIGEV_SIGNAL:
		return ev->sigev_signo < 0 || ev->sigev_signo > SIGNAL_MAX ? -EINVAL : 0;
	case SIGEV_THREAD:
		return -ENOSYS; /* through a netlink socket that only kernels can write to */
	default:
		return -EINVAL;
	}
}

long sys_mq_notify(struct task *t, struct sysargs *a)
{
	struct mqueue *q = mq_of(a->file[0]);
	struct sigevent ev;
	int r = 0;

	if (a->raw[1]) {
		if (gmem_read(t->proc->mm, &ev, A_PTR(a, 1), sizeof(ev)))
			return -EFAULT;
		r = check_event(&ev);
	}
	if (r || !q)
		return r ? r : -EBADF;
	pthread_mutex_lock(&mq_lock);
	if (q->notify.proc && q->notify.proc->zombie)
		mq_forget(q, NULL);
	if (!a->raw[1])
		mq_forget(q, t->proc);
	else if (q->notify.proc)
		r = -EBUSY;
	else
		q->notify = (struct mq_notify){proc_get(t->proc), ev.sigev_notify, ev.sigev_signo,
					       ev.sigev_value};
	pthread_mutex_unlock(&mq_lock);
	return r;
}

long sys_mq_getsetattr(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	struct mqueue *q = mq_of(f);
	struct mq_attr want, now = {0};
	unsigned old;

	if (a->raw[1]) {
		if (gmem_read(t->proc->mm, &want, A_PTR(a, 1), sizeof(want)))
			return -EFAULT;
		if (want.mq_flags & ~O_NONBLOCK)
			return -EINVAL;
	}
	if (!q)
		return -EBADF;
	pthread_mutex_lock(&mq_lock);
	old = f->flags;
	now.mq_flags = (long)(old & O_NONBLOCK);
	now.mq_maxmsg = q->max_messages;
	now.mq_msgsize = q->max_size;
	now.mq_curmsgs = q->count;
	pthread_mutex_unlock(&mq_lock);
	while (a->raw[1] && !atomic_compare_exchange_weak(
				    &f->flags, &old,
				    (old & ~(unsigned)O_NONBLOCK) | (unsigned)(want.mq_flags & O_NONBLOCK)))
		;
	return a->raw[2] ? gmem_write(t->proc->mm, A_PTR(a, 2), &now, sizeof(now)) : 0;
}
