/* epoll on host epoll. The app's data goes to the host as it is, so waiting needs no translation;
 * what is kept here is who registered what. Linux's key is (open file, descriptor number): a file
 * that the app has under two numbers can be registered twice, which the host allows only for two
 * host descriptors, so the second registration gets a copy of its own. A registration ends with the
 * file's last descriptor, not with the one it was made by. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "base/list.h"
#include "sentry/file.h"
#include "sentry/ready.h"

struct reg {
	struct list node;  /* in epoll.regs */
	struct list watch; /* in the bucket of watched files */
	struct epoll *ep;
	struct file *file; /* not referenced: epoll_forget comes before it goes */
	int fd;
	int hostfd;
	bool copied; /* hostfd is our own copy */
	struct epoll_event ev;
};

struct epoll {
	struct list regs;
	unsigned count;
	int host_epoll;
};

#define BUCKETS 256

/* One lock for all books: registrations change rarely, waiting takes no lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list bucket[BUCKETS]; /* registrations by file */

static struct list *bucket_of(const struct file *f)
{
	struct list *b = &bucket[((uintptr_t)f >> 4) * 0x9e3779b97f4a7c15ull >> 56];

	if (!b->next)
		list_init(b);
	return b;
}

struct epoll *epoll_create_book(void)
{
	struct epoll *ep = calloc(1, sizeof(*ep));

	if (ep)
		list_init(&ep->regs);
	return ep;
}

static void drop(struct reg *r)
{
	list_del(&r->node);
	list_del(&r->watch);
	r->ep->count--;
	if (r->copied)
		close(r->hostfd);
	free(r);
}

void epoll_destroy_book(struct epoll **epp)
{
	struct epoll *ep = *epp;
	struct reg *r, *tmp;

	if (!ep)
		return;
	*epp = NULL;
	pthread_mutex_lock(&lock);
	list_for_each_safe (r, tmp, &ep->regs, node)
		drop(r);
	pthread_mutex_unlock(&lock);
	free(ep);
}

static struct reg *find(struct epoll *ep, const struct file *f, int fd)
{
	struct list *b = bucket_of(f);
	struct reg *r;

	list_for_each (r, b, watch)
		if (r->file == f && r->fd == fd && r->ep == ep)
			return r;
	return NULL;
}

/* Is f's own host descriptor registered in ep already, under whatever number? */
static bool host_in_use(struct epoll *ep, const struct file *f)
{
	struct list *b = bucket_of(f);
	struct reg *r;

	list_for_each (r, b, watch)
		if (r->file == f && r->ep == ep && !r->copied)
			return true;
	return false;
}

static int add(struct epoll *ep, int host_epoll, struct file *f, int fd, struct epoll_event *ev)
{
	struct reg *r = calloc(1, sizeof(*r));
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->hostfd = f->hostfd;
	if (host_in_use(ep, f)) {
		r->hostfd = fcntl(f->hostfd, F_DUPFD_CLOEXEC, 0);
		r->copied = true;
		if (r->hostfd < 0)
			err = -ENOSPC;
	}
	if (!err && epoll_ctl(host_epoll, EPOLL_CTL_ADD, r->hostfd, ev))
		err = -errno;
	if (err) {
		if (r->copied && r->hostfd >= 0)
			close(r->hostfd);
		free(r);
		return err;
	}
	r->ep = ep;
	r->file = f;
	r->fd = fd;
	r->ev = *ev;
	list_append(&ep->regs, &r->node);
	list_append(bucket_of(f), &r->watch);
	ep->count++;
	ep->host_epoll = host_epoll;
	f->watched = true;
	return 0;
}

static int change_locked(struct epoll *ep, int host_epoll, int op, struct file *f, int fd,
			 struct epoll_event *ev)
{
	struct reg *r = find(ep, f, fd);

	if (op == EPOLL_CTL_ADD)
		return r ? -EEXIST : add(ep, host_epoll, f, fd, ev);
	if (!r)
		return -ENOENT;
	if (epoll_ctl(host_epoll, op, r->hostfd, ev))
		return -errno;
	if (op == EPOLL_CTL_DEL)
		drop(r);
	else
		r->ev = *ev;
	return 0;
}

int epoll_change(struct epoll *ep, int host_epoll, int op, struct file *f, int fd,
		 struct epoll_event *ev)
{
	int r;

	if (f->hostfd < 0)
		return -EPERM; /* always ready: Linux does not take such files */
	pthread_mutex_lock(&lock);
	r = change_locked(ep, host_epoll, op, f, fd, ev);
	pthread_mutex_unlock(&lock);
	return r;
}

void epoll_forget(struct file *f)
{
	struct reg *r, *tmp;
	struct list *b;

	pthread_mutex_lock(&lock);
	b = bucket_of(f);
	list_for_each_safe (r, tmp, b, watch) {
		if (r->file != f)
			continue;
		/* Somebody else may still hold the host's open file: closing is not enough. */
		epoll_ctl(r->ep->host_epoll, EPOLL_CTL_DEL, r->hostfd, NULL);
		drop(r);
	}
	pthread_mutex_unlock(&lock);
}

void epoll_renew(struct file *f)
{
	struct reg *r;
	struct list *b;

	pthread_mutex_lock(&lock);
	b = bucket_of(f);
	list_for_each (r, b, watch) {
		if (r->file != f)
			continue;
		if (r->copied && dup3(f->hostfd, r->hostfd, O_CLOEXEC) < 0)
			continue;
		epoll_ctl(r->ep->host_epoll, EPOLL_CTL_ADD, r->hostfd, &r->ev);
	}
	pthread_mutex_unlock(&lock);
}

unsigned epoll_count(struct epoll *ep)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = ep->count;
	pthread_mutex_unlock(&lock);
	return n;
}
