#include "sentry/mqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sentry/signal.h"
#include "sentry/task.h"
#include "sentry/timer.h"
#include "sentry/vfs.h"

/* What a message takes beside its text. */
#define OVERHEAD       96u
#define STATUS_SIZE    80 /* as a file */
#define ALL_QUEUES_MAX (64ull << 20)

enum { EMPTY, SOME, FULL }; /* ready_state */

pthread_mutex_t mq_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list queues = LIST_INIT(queues);
static unsigned nr_queues;
static uint64_t charged_all;

/* Poll sees an eventfd readable when its count is not 0, and writable when it is not the highest. */
static void show_state(struct mqueue *q)
{
	static const uint64_t counts[] = {[EMPTY] = 0, [SOME] = 1, [FULL] = UINT64_MAX - 1};
	int now = !q->count ? EMPTY : q->count >= q->max_messages ? FULL : SOME;
	uint64_t old;

	if (now != q->ready_state) {
		if (q->ready_state != EMPTY)
			(void)!read(q->ready_fd, &old, sizeof(old));
		if (now != EMPTY)
			(void)!write(q->ready_fd, &counts[now], sizeof(counts[now]));
		q->ready_state = now;
	}
	atomic_fetch_add(&q->event, 1);
	task_wake(&q->event);
}

/* ---- queues ---- */

struct mqueue *mq_find(const char *name)
{
	struct mqueue *q;

	list_for_each(q, &queues, node)
		if (!strcmp(q->name, name))
			return q;
	return NULL;
}

static int check_attr(const struct task *t, const struct mq_attr *a)
{
	bool root = !t->proc->uid;

	if (a->mq_maxmsg <= 0 || a->mq_msgsize <= 0 || a->mq_maxmsg > (root ? 65536 : MQ_MESSAGES_MAX) ||
	    a->mq_msgsize > (root ? 16 << 20 : MQ_SIZE_MAX))
		return -EINVAL;
	return 0;
}

static int charge(const struct task *t, struct mqueue *q)
{
	uint64_t limit = MIN((uint64_t)t->proc->rlim[RLIMIT_MSGQUEUE].rlim_cur, ALL_QUEUES_MAX);
	uint64_t want = (uint64_t)q->max_messages * ((uint64_t)q->max_size + OVERHEAD);

	if (charged_all > limit || want > limit - charged_all)
		return -EMFILE;
	q->charged = want;
	charged_all += want;
	return 0;
}

static void set_times(struct mqueue *q)
{
	clock_gettime(CLOCK_REALTIME, &q->changed);
	q->read = q->changed;
}

struct mqueue *mq_create(struct task *t, const char *name, mode_t mode, const struct mq_attr *attr,
			 int *err)
{
	const struct mq_attr usual = {.mq_maxmsg = MQ_MESSAGES_MAX, .mq_msgsize = MQ_SIZE_MAX};
	struct mqueue *q;

	attr = attr ? attr : &usual;
	*err = check_attr(t, attr);
	if (!*err && nr_queues >= MQ_QUEUES_MAX && t->proc->uid)
		*err = -ENOSPC;
	q = *err ? NULL : calloc(1, sizeof(*q));
	if (!q) {
		*err = *err ? *err : -ENOMEM;
		return NULL;
	}
	q->max_messages = attr->mq_maxmsg;
	q->max_size = attr->mq_msgsize;
	*err = charge(t, q);
	q->ready_fd = *err ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->ready_fd < 0) {
		*err = *err ? *err : -errno;
		charged_all -= q->charged;
		free(q);
		return NULL;
	}
	snprintf(q->name, sizeof(q->name), "%s", name);
	q->refs = 1;
	q->uid = t->proc->uid;
	q->gid = t->proc->gid;
	q->mode = mode & 0777;
	set_times(q);
	list_init(&q->messages);
	list_append(&queues, &q->node);
	nr_queues++;
	return q;
}

void mq_put(struct mqueue *q)
{
	struct mq_message *m, *tmp;

	if (--q->refs)
		return;
	mq_forget(q, NULL);
	list_for_each_safe(m, tmp, &q->messages, node)
	{
		list_del(&m->node);
		free(m);
	}
	charged_all -= q->charged;
	close(q->ready_fd);
	free(q);
}

void mq_remove(struct mqueue *q)
{
	list_del(&q->node);
	nr_queues--;
	mq_put(q);
}

bool mq_permits(const struct task *t, const struct mqueue *q, int mode)
{
	unsigned bits = q->mode;

	if (!t->proc->uid)
		return true;
	if (q->uid == t->proc->uid)
		bits >>= 6;
	else if (q->gid == t->proc->gid)
		bits >>= 3;
	return !((unsigned)mode & ~bits & 7);
}

/* ---- messages ---- */

void mq_forget(struct mqueue *q, const struct proc *p)
{
	if (!q->notify.proc || (p && q->notify.proc != p))
		return;
	proc_put(q->notify.proc);
	q->notify.proc = NULL;
}

static void tell(struct task *t, struct mqueue *q)
{
	siginfo_t info = {.si_signo = q->notify.signo, .si_code = SI_MESGQ};

	if (!q->notify.proc)
		return;
	info.si_pid = t->proc->pid;
	info.si_uid = t->proc->uid;
	info.si_value = q->notify.value;
	if (q->notify.how == SIGEV_SIGNAL && q->notify.signo)
		signal_send_proc(q->notify.proc, &info);
	mq_forget(q, NULL);
}

void mq_add(struct task *t, struct mqueue *q, struct mq_message *m)
{
	struct mq_message *o;
	struct list *after = &q->messages;

	list_for_each(o, &q->messages, node) {
		if (o->prio < m->prio)
			break;
		after = &o->node;
	}
	list_prepend(after, &m->node);
	q->bytes += m->len;
	if (!q->count++ && !q->receivers)
		tell(t, q);
	set_times(q);
	show_state(q);
}

struct mq_message *mq_take(struct mqueue *q)
{
	struct mq_message *m = container_of(q->messages.next, struct mq_message, node);

	list_del(&m->node);
	q->bytes -= m->len;
	q->count--;
	clock_gettime(CLOCK_REALTIME, &q->read);
	show_state(q);
	return m;
}

/* ---- descriptors ---- */

static void mq_release(struct file *f)
{
	pthread_mutex_lock(&mq_lock);
	mq_put(f->priv);
	pthread_mutex_unlock(&mq_lock);
}

/* What a queue says as a file. */
static ssize_t mq_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	struct mqueue *q = f->priv;
	char text[STATUS_SIZE + 1] = "";
	ssize_t len, r;

	pthread_mutex_lock(&mq_lock);
	snprintf(text, sizeof(text), "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
		 (unsigned long long)q->bytes, q->notify.proc ? q->notify.how : 0,
		 q->notify.proc && q->notify.how == SIGEV_SIGNAL ? q->notify.signo : 0,
		 q->notify.proc ? q->notify.proc->pid : 0);
	pthread_mutex_unlock(&mq_lock);
	pthread_mutex_lock(&f->lock);
	off = off < 0 ? f->pos : off;
	len = (ssize_t)strlen(text);
	len = off >= len ? 0 : (ssize_t)MIN((size_t)(len - off), file_iov_total(iov, n));
	r = len ? file_iov_put(iov, n, text + off, (size_t)len) : 0;
	if (r > 0)
		f->pos = off + r;
	pthread_mutex_unlock(&f->lock);
	return r;
}

static ssize_t mq_write(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	return -EINVAL;
}

static off_t mq_seek(struct task *t, struct file *f, off_t off, int whence)
{
	off_t pos;

	pthread_mutex_lock(&f->lock);
	pos = whence == SEEK_SET ? off : whence == SEEK_CUR ? f->pos + off : STATUS_SIZE + off;
	if (pos >= 0)
		f->pos = pos;
	pthread_mutex_unlock(&f->lock);
	return pos < 0 ? -EINVAL : pos;
}

static int mq_fstat(struct task *t, struct file *f, struct statx *st)
{
	struct mqueue *q = f->priv;

	pthread_mutex_lock(&mq_lock);
	st->stx_mask = STATX_BASIC_STATS;
	st->stx_mode = (uint16_t)(S_IFREG | q->mode);
	st->stx_uid = q->uid;
	st->stx_gid = q->gid;
	st->stx_size = STATUS_SIZE;
	st->stx_nlink = list_empty(&q->node) ? 0 : 1;
	st->stx_blksize = 4096;
	st->stx_ino = 1 + ((uintptr_t)q >> 4 & 0xffffff);
	st->stx_mtime.tv_sec = st->stx_ctime.tv_sec = q->changed.tv_sec;
	st->stx_mtime.tv_nsec = st->stx_ctime.tv_nsec = (uint32_t)q->changed.tv_nsec;
	st->stx_atime.tv_sec = q->read.tv_sec;
	st->stx_atime.tv_nsec = (uint32_t)q->read.tv_nsec;
	pthread_mutex_unlock(&mq_lock);
	return 0;
}

static const struct file_ops mq_ops = {
	.read = mq_read,
	.write = mq_write,
	.seek = mq_seek,
	.fstat = mq_fstat,
	.release = mq_release,
};

struct file *mq_file(struct mqueue *q, unsigned flags, int *err)
{
	int fd = fcntl(q->ready_fd, F_DUPFD_CLOEXEC, 0);
	struct file *f;

	if (fd < 0) {
		*err = -errno;
		return NULL;
	}
	f = file_new(&mq_ops, fd, flags & (O_ACCMODE | O_NONBLOCK), POL_FD_EVENT);
	if (!f) {
		*err = -ENOMEM;
		return NULL;
	}
	f->priv = q;
	q->refs++;
	return f;
}

struct mqueue *mq_of(const struct file *f)
{
	return f && f->ops == &mq_ops ? f->priv : NULL;
}

void mq_closed(struct file *f)
{
	struct mqueue *q = mq_of(f);

	if (!q || !current)
		return;
	pthread_mutex_lock(&mq_lock);
	mq_forget(q, current->proc);
	pthread_mutex_unlock(&mq_lock);
}
