/* flock on files that the host does not know: folders and texts of the sentry's file systems. Each that is
 * locked has a nameless file of the host, and each open file a description of its own of that. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/list.h"
#include "sentry/file.h"
#include "sentry/filelock.h"
#include "sentry/hostproc.h"
#include "sentry/vfs.h"

struct stand_in {
	struct list node;
	const struct mount *mnt;
	uint64_t ino;
	int fd;
	unsigned users; /* open files with a description of it */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all, and files' lockfd */
static struct list stand_ins = LIST_INIT(stand_ins);

static struct stand_in *find(const struct vnode *n)
{
	struct stand_in *s;

	list_for_each (s, &stand_ins, node)
		if (s->mnt == n->mnt && s->ino == n->ino)
			return s;
	return NULL;
}

static struct stand_in *make(const struct vnode *n)
{
	struct stand_in *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->fd = memfd_create("flock", MFD_CLOEXEC);
	if (s->fd < 0) {
		free(s);
		return NULL;
	}
	s->mnt = n->mnt;
	s->ino = n->ino;
	list_append(&stand_ins, &s->node);
	return s;
}

static void drop_unused(struct stand_in *s)
{
	if (s->users)
		return;
	list_del(&s->node);
	close(s->fd);
	free(s);
}

static int open_locked(struct file *f)
{
	struct stand_in *s = find(f->node);

	if (!s)
		s = make(f->node);
	if (!s)
		return -ENOLCK;
	f->lockfd = hostproc_reopen(s->fd, O_RDWR);
	if (f->lockfd < 0) {
		f->lockfd = 0;
		drop_unused(s);
		return -ENOLCK;
	}
	s->users++;
	return f->lockfd;
}

int filelock_flock_fd(struct file *f)
{
	int fd;

	if (f->hostfd >= 0)
		return f->hostfd;
	if (!f->node)
		return -ENOLCK;
	pthread_mutex_lock(&lock);
	fd = f->lockfd ? f->lockfd : open_locked(f);
	pthread_mutex_unlock(&lock);
	return fd;
}

void filelock_flock_end(struct file *f)
{
	struct stand_in *s;

	pthread_mutex_lock(&lock);
	s = find(f->node);
	close(f->lockfd);
	f->lockfd = 0;
	s->users--;
	drop_unused(s);
	pthread_mutex_unlock(&lock);
}
