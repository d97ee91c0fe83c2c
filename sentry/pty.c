/* Pseudo-terminals: pairs, their two ends, hang-up. */
#include "sentry/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/ready.h"
#include "sentry/signal.h"
#include "sentry/task.h"

#define TTY_GID 5 /* the group that owns terminals, as distributions number it */

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pty *table[PTY_MAX]; /* not referenced: a pair leaves it with its master */

struct pty *pty_get(struct pty *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void pty_put(struct pty *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	readyfd_close(&p->ready_slave);
	p->ready_master.fd = -1; /* the master's file had it */
	readyfd_close(&p->ready_master);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

struct pty *pty_next(int from)
{
	struct pty *p = NULL;

	pthread_mutex_lock(&table_lock);
	for (int i = from; i < PTY_MAX && !p; i++)
		if (table[i])
			p = pty_get(table[i]);
	pthread_mutex_unlock(&table_lock);
	return p;
}

struct pty *pty_controlling(struct task *t, bool *host)
{
	struct job_tty *j;

	pthread_mutex_lock(&sandbox.lock);
	j = t->proc->tty;
	*host = j == &job_host_tty;
	if (j && !*host)
		pty_get(container_of(j, struct pty, job));
	pthread_mutex_unlock(&sandbox.lock);
	return j && !*host ? container_of(j, struct pty, job) : NULL;
}

int pty_device(const struct job_tty *j)
{
	int minor;

	if (!j || j == &job_host_tty)
		return 0;
	minor = container_of(j, struct pty, job)->index;
	return PTY_MAJOR << 8 | (minor & 0xff) | (minor & ~0xff) << 12;
}

/* ---- changes ---- */

void pty_lock(struct pty *p)
{
	pthread_mutex_lock(&p->lock);
}

bool pty_slave_ready(const struct pty *p)
{
	const struct tty_line *l = &p->line;
	unsigned min = l->tio.c_cc[VMIN];

	if (p->master_closed)
		return true;
	if (tty_is_canon(l) || l->tio.c_cc[VTIME] || !min)
		return tty_has_input(l);
	return l->head - l->tail >= min;
}

bool pty_master_ready(const struct pty *p)
{
	return tty_out_used(&p->line) || p->line.pkt;
}

/* The master's poll says that it can be written until little room is left. */
static bool master_room(const struct pty *p)
{
	return tty_raw_room(&p->line) >= 256;
}

void pty_unlock(struct pty *p, bool typed, bool printed)
{
	uint32_t signals = p->line.signals;

	p->line.signals = 0;
	readyfd_set(&p->ready_slave, pty_slave_ready(p), tty_out_room(&p->line), typed);
	if (p->master)
		readyfd_set(&p->ready_master, pty_master_ready(p), master_room(p), printed);
	atomic_fetch_add(&p->event, 1);
	pthread_mutex_unlock(&p->lock);
	if (atomic_load(&p->sleepers))
		task_wake(&p->event);
	for (int sig = 1; signals; sig++)
		if (signals & (uint32_t)sig_bit(sig)) {
			signals &= ~(uint32_t)sig_bit(sig);
			job_signal(&p->job, sig);
		}
}

int pty_sleep(struct task *t, struct pty *p, const struct timespec *deadline)
{
	uint32_t seen = atomic_load(&p->event);
	int r;

	atomic_fetch_add(&p->sleepers, 1);
	pthread_mutex_unlock(&p->lock);
	r = task_wait(t, &p->event, seen, CLOCK_MONOTONIC, deadline);
	atomic_fetch_sub(&p->sleepers, 1);
	pthread_mutex_lock(&p->lock);
	return r;
}

/* ---- open files ---- */

static short slave_poll(struct file *f, short events)
{
	struct pty *p = pty_of(f);
	short r = 0;

	pty_lock(p);
	if (p->master_closed)
		r = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
	if (pty_slave_ready(p))
		r |= POLLIN | POLLRDNORM;
	if (tty_out_room(&p->line))
		r |= POLLOUT | POLLWRNORM;
	r &= events;
	if (p->master_closed)
		r |= POLLHUP | POLLERR;
	pthread_mutex_unlock(&p->lock);
	return r;
}

static short master_poll(struct file *f, short events)
{
	struct pty *p = pty_of(f);
	short r = 0;

	pty_lock(p);
	if (pty_master_ready(p))
		r |= POLLIN | POLLRDNORM;
	if (p->line.pkt)
		r |= POLLPRI;
	if (master_room(p))
		r |= POLLOUT | POLLWRNORM;
	r &= events;
	if (p->slave_closed)
		r |= POLLHUP;
	pthread_mutex_unlock(&p->lock);
	return r;
}

static int node_fstat(struct task *t, struct file *f, struct statx *st)
{
	return f->node ? vfs_getattr(t, f->node, st) : -EBADF;
}

static void slave_release(struct file *f)
{
	struct pty *p = pty_of(f);

	pty_lock(p);
	if (!--p->slaves && !p->master_closed) {
		p->slave_closed = true;
		readyfd_hangup(&p->ready_master);
	}
	pty_unlock(p, false, false);
	pty_put(p);
}

static void master_release(struct file *f)
{
	struct pty *p = pty_of(f);

	pthread_mutex_lock(&table_lock);
	table[p->index] = NULL;
	pthread_mutex_unlock(&table_lock);
	pty_lock(p);
	p->master_closed = true;
	p->master = NULL;
	tty_flush_input(&p->line);
	readyfd_hangup(&p->ready_slave);
	pty_unlock(p, false, false);
	job_hangup(&p->job);
	pty_put(p);
}

const struct file_ops pty_slave_ops = {
	.read = pty_slave_read,
	.write = pty_slave_write,
	.ioctl = pty_ioctl,
	.fstat = node_fstat,
	.poll = slave_poll,
	.release = slave_release,
};

const struct file_ops pty_master_ops = {
	.read = pty_master_read,
	.write = pty_master_write,
	.ioctl = pty_ioctl,
	.fstat = node_fstat,
	.poll = master_poll,
	.release = master_release,
};

static int pair_new(struct pty **out)
{
	struct pty *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	r = readyfd_open(&p->ready_master);
	if (!r) {
		r = readyfd_open(&p->ready_slave);
		if (r)
			readyfd_close(&p->ready_master);
	}
	if (r) {
		free(p);
		return r;
	}
	atomic_init(&p->refs, 1);
	pthread_mutex_init(&p->lock, NULL);
	tty_init(&p->line);
	p->locked = true;
	p->mode = 0620;
	p->uid = current ? current->proc->uid : geteuid();
	p->gid = TTY_GID;
	clock_gettime(CLOCK_REALTIME, &p->ctime);
	p->atime = p->mtime = p->ctime;
	*out = p;
	return 0;
}

/* -ENOSPC when there are PTY_MAX. */
static int enter(struct pty *p)
{
	int r = -ENOSPC;

	pthread_mutex_lock(&table_lock);
	for (int i = 0; i < PTY_MAX && r; i++)
		if (!table[i]) {
			table[i] = p;
			p->index = i;
			r = 0;
		}
	pthread_mutex_unlock(&table_lock);
	return r;
}

int pty_open_master(unsigned flags, struct file **out)
{
	struct pty *p;
	int r = pair_new(&p);

	if (r)
		return r;
	*out = file_new(&pty_master_ops, p->ready_master.fd, flags & ~(unsigned)O_TRUNC, POL_FD_TTY);
	if (!*out) {
		pty_put(p);
		return -ENOMEM;
	}
	(*out)->priv = p;
	p->master = *out;
	r = enter(p);
	if (r) {
		(*out)->ops = &file_host_ops;
		file_put(*out);
		pty_put(p);
	}
	return r;
}

/* The terminal's first open file after it had none: the master's end is no longer hung up. */
static int reopened(struct pty *p)
{
	int r = 0;

	if (p->slave_closed && p->master) {
		r = readyfd_renew(&p->ready_master);
		if (!r && p->master->watched)
			epoll_renew(p->master);
	}
	if (!r)
		p->slave_closed = false;
	return r;
}

int pty_open_slave(struct task *t, struct pty *p, unsigned flags, struct file **out)
{
	int fd = -1, r = 0;

	pty_lock(p);
	if (p->master_closed || p->locked)
		r = -EIO;
	else if (p->exclusive && p->slaves)
		r = -EBUSY;
	else if ((fd = fcntl(p->ready_slave.fd, F_DUPFD_CLOEXEC, 3)) < 0)
		r = -EMFILE;
	else
		r = reopened(p);
	if (!r) {
		*out = file_new(&pty_slave_ops, fd, flags & ~(unsigned)O_TRUNC, POL_FD_TTY);
		fd = -1;
		r = *out ? 0 : -ENOMEM;
	}
	if (!r) {
		(*out)->priv = pty_get(p);
		p->slaves++;
	}
	pty_unlock(p, false, false);
	if (fd >= 0)
		close(fd);
	if (!r && !(flags & O_NOCTTY) && file_can_read(*out))
		job_opened(t, &p->job);
	return r;
}
