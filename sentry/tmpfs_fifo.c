/* Fifos of the in-memory file system: a host pipe without a name. A pipe's O_PATH descriptor keeps its
 * inode without being a reader or writer, and opening it through /proc/self/fd makes a new end; only
 * the waiting for the other side, which the host does for named fifos alone, is done here. */
#include "sentry/tmpfs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "sentry/hostproc.h"
#include "sentry/task.h"

static int make_pipe(struct tfifo *q)
{
	int p[2];

	if (q->host >= 0)
		return 0;
	if (pipe2(p, O_CLOEXEC))
		return -errno;
	q->host = hostproc_reopen(p[0], O_PATH);
	close(p[0]);
	close(p[1]);
	return q->host < 0 ? q->host : 0;
}

void tmpfs_fifo_free(struct tnode *n)
{
	if (n->fifo.host >= 0)
		close(n->fifo.host);
}

static void wake(_Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	task_wake(word);
}

static int fifo_fstat(struct task *t, struct file *f, struct statx *st)
{
	struct tnode *n = f->priv;

	return tmpfs_getattr(t, &n->vn, st);
}

static void count_ends(struct tnode *n, unsigned flags, int by)
{
	unsigned acc = flags & O_ACCMODE;

	if (acc == O_RDONLY || acc == O_RDWR)
		n->fifo.readers += (unsigned)by;
	if (acc == O_WRONLY || acc == O_RDWR)
		n->fifo.writers += (unsigned)by;
}

static void fifo_release(struct file *f)
{
	struct tnode *n = f->priv;

	pthread_mutex_lock(&n->lock);
	count_ends(n, f->flags, -1);
	pthread_mutex_unlock(&n->lock);
	vnode_put(&n->vn);
}

static const struct file_ops fifo_file_ops = {
	.fstat = fifo_fstat,
	.release = fifo_release,
};

/* Waits until the other side was opened once since `seen`. 0 or -ERESTARTSYS. */
static int wait_other(struct task *t, _Atomic uint32_t *word, uint32_t seen)
{
	int r = 0;

	while (!r && atomic_load(word) == seen)
		r = task_wait(t, word, seen, CLOCK_MONOTONIC, NULL);
	return r;
}

/* Opens this side's host end and counts it. Caller holds n->lock. */
static int open_end(struct tnode *n, unsigned flags, struct file **out)
{
	int fd, r = make_pipe(&n->fifo);

	if (r)
		return r;
	fd = hostproc_reopen(n->fifo.host, flags & (O_ACCMODE | O_NONBLOCK));
	if (fd < 0)
		return fd;
	*out = file_new(&fifo_file_ops, fd, flags & ~(unsigned)O_TRUNC, POL_FD_PIPE);
	if (!*out)
		return -ENOMEM;
	(*out)->priv = n;
	vnode_get(&n->vn);
	count_ends(n, flags, 1);
	return 0;
}

int tmpfs_fifo_open(struct task *t, struct tnode *n, unsigned flags, struct file **out)
{
	struct tfifo *q = &n->fifo;
	unsigned acc = flags & O_ACCMODE;
	_Atomic uint32_t *other = acc == O_RDONLY ? &q->opened_w : &q->opened_r;
	bool must_wait;
	uint32_t seen;
	int r;

	if (acc == O_ACCMODE)
		return -EINVAL;
	pthread_mutex_lock(&n->lock);
	must_wait = acc == O_RDONLY ? !q->writers : acc == O_WRONLY && !q->readers;
	if (must_wait && acc == O_WRONLY && (flags & O_NONBLOCK)) {
		pthread_mutex_unlock(&n->lock);
		return -ENXIO;
	}
	seen = atomic_load(other);
	r = open_end(n, flags, out);
	pthread_mutex_unlock(&n->lock);
	if (r)
		return r;
	if (acc != O_WRONLY)
		wake(&q->opened_r);
	if (acc != O_RDONLY)
		wake(&q->opened_w);
	if (must_wait && !(flags & O_NONBLOCK)) {
		r = wait_other(t, other, seen);
		if (r) {
			file_put(*out);
			*out = NULL;
		}
	}
	return r;
}
