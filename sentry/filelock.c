#include "sentry/filelock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/list.h"
#include "base/overflow.h"
#include "sentry/file.h"
#include "sentry/hostproc.h"
#include "sentry/lockgraph.h"
#include "sentry/task.h"

struct lock_file { /* the process' description of one locked file */
	struct list node;
	atomic_int refs; /* the table, and calls under way */
	struct lock_set set; /* what it holds */
	int fd;
	unsigned accmode;
};

struct filelock_table {
	pthread_mutex_t lock; /* guards files */
	struct list files;
	atomic_int count; /* 0 lets filelock_release return at once */
};

struct filelock_table *filelock_table_create(void)
{
	struct filelock_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->files);
	return t;
}

static void lock_file_put(struct lock_file *l)
{
	if (atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	lock_graph_lock();
	lock_set_remove(&l->set);
	lock_graph_unlock();
	close(l->fd);
	free(l);
}

void filelock_table_destroy(struct filelock_table **tp)
{
	struct filelock_table *t = *tp;
	struct lock_file *l, *tmp;

	if (!t)
		return;
	list_for_each_safe(l, tmp, &t->files, node)
	{
		list_del(&l->node);
		lock_file_put(l);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
	*tp = NULL;
}

/* Call with the table's lock held. */
static struct lock_file *find(struct filelock_table *t, const struct stat *st)
{
	struct lock_file *l;

	list_for_each(l, &t->files,
		      node) if (l->set.dev == st->st_dev && l->set.ino == st->st_ino) return l;
	return NULL;
}

/* A description of f's file that can take read and write locks, if the host grants one. */
static int reopen(const struct file *f, unsigned *accmode)
{
	int fd = hostproc_reopen(f->hostfd, O_RDWR | O_NONBLOCK);

	*accmode = O_RDWR;
	if (fd < 0) {
		*accmode = f->flags & O_ACCMODE;
		fd = hostproc_reopen(f->hostfd, *accmode | O_NONBLOCK);
	}
	return fd;
}

/* The referenced lock description of f's file, made when create is set. NULL: *err says why, or 0.
 */
static struct lock_file *lock_file_get(struct filelock_table *t, struct file *f, bool create,
				       int *err)
{
	struct lock_file *l;
	struct stat st;

	*err = 0;
	if (fstat(f->hostfd, &st)) {
		*err = -errno;
		return NULL;
	}
	pthread_mutex_lock(&t->lock);
	l = find(t, &st);
	if (!l && create) {
		l = calloc(1, sizeof(*l));
		if (!l) {
			*err = -ENOLCK;
			goto out;
		}
		l->fd = reopen(f, &l->accmode);
		if (l->fd < 0) {
			free(l);
			l = NULL;
			*err = -ENOLCK;
			goto out;
		}
		lock_graph_lock();
		lock_set_add(&l->set, t, st.st_dev, st.st_ino);
		lock_graph_unlock();
		atomic_init(&l->refs, 1);
		list_append(&t->files, &l->node);
		atomic_fetch_add(&t->count, 1);
	}
	if (l)
		atomic_fetch_add(&l->refs, 1);
out:
	pthread_mutex_unlock(&t->lock);
	return l;
}

/* Does the descriptor's mode allow a lock of this type? Linux checks what the app's own descriptor
 * was opened for, although the lock is taken on another one here. */
static int check_mode(const struct file *f, const struct flock *fl)
{
	switch (fl->l_type) {
	case F_RDLCK:
		return file_can_read(f) ? 0 : -EBADF;
	case F_WRLCK:
		return file_can_write(f) ? 0 : -EBADF;
	case F_UNLCK:
		return 0;
	}
	return -EINVAL;
}

/* Positions relative to the app's descriptor become absolute: the lock's own has another position.
 */
static int make_absolute(struct task *t, struct file *f, struct flock *fl)
{
	off_t pos;

	if (fl->l_whence != SEEK_CUR)
		return 0;
	pos = file_seek(t, f, 0, SEEK_CUR);
	if (pos < 0)
		return (int)pos;
	if (__builtin_add_overflow(pos, fl->l_start, &fl->l_start))
		return -EOVERFLOW;
	fl->l_whence = SEEK_SET;
	return 0;
}

static int lock_call(struct task *t, int fd, int cmd, struct flock *fl)
{
	if (cmd == F_OFD_SETLKW)
		return (int)task_host_call(t, SYS_fcntl, fd, cmd, (long)fl, 0, 0, 0);
	return fcntl(fd, cmd, fl) < 0 ? -errno : 0;
}

/* The range of fl, whose position is absolute or from the end of the file at fd. */
static int range_of(int fd, const struct flock *fl, struct lock_range *out)
{
	off_t start = fl->l_start, end = INT64_MAX;
	struct stat st;

	if (fl->l_whence == SEEK_END && (fstat(fd, &st) || add_overflow(st.st_size, start, &start)))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	if (fl->l_len > 0 && add_overflow(start, fl->l_len - 1, &end))
		return -EOVERFLOW;
	*out = (struct lock_range){start, end, fl->l_type};
	if (fl->l_len < 0) {
		out->start = start + fl->l_len;
		out->end = start - 1;
	}
	return out->start < 0 ? -EINVAL : 0;
}

static int note_change(struct task *t, struct lock_file *l, struct lock_range want, int r)
{
	if (!r) {
		l->set.pid = t->proc->pid;
		lock_set_change(&l->set, want);
	}
	return r;
}

/* F_SETLK, or F_SETLKW when wait is set. */
static int set_lock(struct task *t, struct lock_file *l, struct flock *fl, bool wait)
{
	struct lock_range want;
	struct lock_wait w;
	int r;

	r = range_of(l->fd, fl, &want);
	if (r)
		return r;
	lock_graph_lock();
	r = note_change(t, l, want, fcntl(l->fd, F_OFD_SETLK, fl) < 0 ? -errno : 0);
	wait = wait && (r == -EAGAIN || r == -EACCES);
	if (wait && !lock_wait_begin(&w, &l->set, want)) {
		wait = false;
		r = -EDEADLK;
	}
	lock_graph_unlock();
	if (!wait)
		return r;
	r = (int)task_host_call(t, SYS_fcntl, l->fd, F_OFD_SETLKW, (long)fl, 0, 0, 0);
	lock_graph_lock();
	lock_wait_end(&w);
	r = note_change(t, l, want, r);
	lock_graph_unlock();
	return r;
}

/* Whom a lock is told to be of: the process that holds it in here; -1 where a description does, as the
 * host says. A process of the host has no number in here. */
static pid_t holder(pid_t inside, pid_t host)
{
	return inside ? inside : host == -1 ? -1 : 0;
}

/* F_OFD_GETLK. */
static int get_ofd(struct file *f, struct flock *fl)
{
	struct lock_set nothing = {0};
	struct lock_range want;
	struct stat st;
	int r = range_of(f->hostfd, fl, &want);

	if (r || fstat(f->hostfd, &st))
		return r ? r : -errno;
	nothing.dev = st.st_dev;
	nothing.ino = st.st_ino;
	lock_graph_lock();
	r = fcntl(f->hostfd, F_OFD_GETLK, fl) < 0 ? -errno : 0;
	if (!r && fl->l_type != F_UNLCK)
		fl->l_pid = holder(lock_set_blocker(&nothing, want), fl->l_pid);
	lock_graph_unlock();
	return r;
}

static int get_lock(struct filelock_table *tab, struct lock_file *l, struct file *f,
		    struct flock *fl)
{
	struct lock_set nothing = {.owner = tab};
	struct lock_range want;
	struct stat st;
	int r;

	r = range_of(f->hostfd, fl, &want);
	if (r || fstat(f->hostfd, &st))
		return r ? r : -errno;
	nothing.dev = st.st_dev;
	nothing.ino = st.st_ino;
	lock_graph_lock();
	r = fcntl(l ? l->fd : f->hostfd, F_OFD_GETLK, fl) < 0 ? -errno : 0;
	if (!r && fl->l_type != F_UNLCK)
		fl->l_pid = holder(lock_set_blocker(l ? &l->set : &nothing, want), fl->l_pid);
	lock_graph_unlock();
	return r;
}

static int check_posix(const struct file *f, int cmd, const struct flock *fl)
{
	if (fl->l_whence != SEEK_SET && fl->l_whence != SEEK_CUR && fl->l_whence != SEEK_END)
		return -EINVAL;
	if (f->hostfd < 0)
		return -EINVAL;
	if (fl->l_type != F_RDLCK && fl->l_type != F_WRLCK && fl->l_type != F_UNLCK)
		return -EINVAL;
	if (cmd == F_GETLK)
		return fl->l_type == F_UNLCK ? -EINVAL : 0;
	return check_mode(f, fl);
}

int filelock_posix(struct task *t, struct filelock_table *tab, struct file *f, int cmd,
		   struct flock *fl)
{
	const struct flock asked = *fl;
	struct lock_file *l;
	int r;

	r = check_posix(f, cmd, fl);
	if (!r)
		r = make_absolute(t, f, fl);
	if (r)
		return r;
	fl->l_pid = 0;
	l = lock_file_get(tab, f, cmd != F_GETLK && fl->l_type != F_UNLCK, &r);
	if (!l && (r || cmd != F_GETLK))
		return r; /* nothing was locked, so nothing is to be unlocked */
	r = cmd == F_GETLK ? get_lock(tab, l, f, fl) : set_lock(t, l, fl, cmd == F_SETLKW);
	if (!r && cmd == F_GETLK && fl->l_type == F_UNLCK) { /* nothing else is changed then */
		*fl = asked;
		fl->l_type = F_UNLCK;
	}
	if (l)
		lock_file_put(l);
	return r;
}

int filelock_ofd(struct task *t, struct file *f, int cmd, struct flock *fl)
{
	int r;

	if (f->hostfd < 0 || fl->l_pid)
		return -EINVAL;
	if (cmd == F_OFD_GETLK) {
		r = make_absolute(t, f, fl);
		return r ? r : get_ofd(f, fl);
	}
	r = check_mode(f, fl);
	return r ? r : lock_call(t, f->hostfd, cmd, fl);
}

void filelock_release(struct filelock_table *tab, struct file *f)
{
	struct lock_file *l;
	struct stat st;

	if (!tab || !atomic_load(&tab->count) || f->hostfd < 0 || (f->flags & O_PATH) ||
	    fstat(f->hostfd, &st))
		return;
	pthread_mutex_lock(&tab->lock);
	l = find(tab, &st);
	if (l) {
		list_del(&l->node);
		atomic_fetch_sub(&tab->count, 1);
	}
	pthread_mutex_unlock(&tab->lock);
	if (l)
		lock_file_put(l);
}
