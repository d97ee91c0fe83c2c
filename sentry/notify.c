#include "sentry/notify.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/file.h"
#include "sentry/hostfs.h"
#include "sentry/vfs.h"

#define INSTANCES_MAX 128u	 /* as Linux allows a user */
#define WATCHES_MAX   32768u	 /* in the sandbox */
#define EVENTS_MAX    16384u	 /* in one queue, as Linux */
#define EVENTS_TOTAL  (4 * EVENTS_MAX) /* in the sandbox */
#define BUCKETS	      1024u
#define KEPT_MASK     (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT)

struct event {
	struct list node;
	struct inotify_event head; /* and its name; head.len: of that with its padding */
};

struct notify {
	struct list events, watches;
	unsigned nr_events;
	bool overflowed; /* the queue ends with IN_Q_OVERFLOW */
	int last_wd;
	int host;   /* the host's instance */
	int queued; /* eventfd, readable while events are queued */
	int poll;   /* epoll of the two */
};

atomic_uint notify_count;

/* Guards instances and watches. Taken last; nothing under it waits. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list bucket[NOTIFY_TABLES][BUCKETS];
static unsigned nr_instances, nr_watches, nr_events;
static _Atomic uint32_t last_cookie = 1u << 30; /* far from where the host's are */

void notify_lock(void)
{
	pthread_mutex_lock(&lock);
}

void notify_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

int notify_host_fd(const struct notify *in)
{
	return in->host;
}

uint32_t notify_cookie(void)
{
	return atomic_fetch_add(&last_cookie, 1);
}

struct list *notify_bucket(enum notify_table table, const void *a, uint64_t b)
{
	uint64_t h = ((uintptr_t)a >> 4 ^ b * 0x9e3779b97f4a7c15ull) * 0x9e3779b97f4a7c15ull;
	struct list *l = &bucket[table][h >> 54];

	if (!l->next)
		list_init(l);
	return l;
}

/* ---- queues ---- */

static void poke(struct notify *in)
{
	(void)!write(in->queued, &(uint64_t){1}, sizeof(uint64_t));
}

static void append(struct notify *in, struct event *e)
{
	if (list_empty(&in->events))
		poke(in);
	list_append(&in->events, &e->node);
	in->nr_events++;
	nr_events++;
}

static bool is_repeat(const struct notify *in, const struct inotify_event *h, const char *name)
{
	const struct event *last;

	if (list_empty(&in->events))
		return false;
	last = list_entry(in->events.prev, struct event, node);
	return last->head.wd == h->wd && last->head.mask == h->mask && last->head.len == h->len &&
	       (!h->len || !strcmp(last->head.name, name));
}

static struct event *make(const struct inotify_event *h, const char *name)
{
	struct event *e = calloc(1, sizeof(*e) + h->len);

	if (!e)
		return NULL;
	e->head = *h;
	if (h->len)
		memcpy(e->head.name, name, strlen(name));
	return e;
}

static void overflow(struct notify *in)
{
	const struct inotify_event h = {.wd = -1, .mask = IN_Q_OVERFLOW};
	struct event *e = in->overflowed ? NULL : make(&h, NULL);

	if (!e)
		return;
	in->overflowed = true;
	append(in, e);
}

void notify_event(struct notify *in, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
	struct inotify_event h = {.wd = wd, .mask = mask, .cookie = cookie};
	struct event *e = NULL;

	if (name)
		h.len = (uint32_t)ALIGN_UP(strlen(name) + 1, sizeof(h));
	if (is_repeat(in, &h, name))
		return;
	if (!(mask & IN_Q_OVERFLOW) && in->nr_events < EVENTS_MAX && nr_events < EVENTS_TOTAL)
		e = make(&h, name);
	if (e)
		append(in, e);
	else
		overflow(in);
}

static void drop_event(struct notify *in, struct event *e)
{
	if (e->head.mask & IN_Q_OVERFLOW)
		in->overflowed = false;
	list_del(&e->node);
	free(e);
	nr_events--;
	if (!--in->nr_events)
		(void)!read(in->queued, &(uint64_t){0}, sizeof(uint64_t));
}

static ssize_t take(struct notify *in, char *buf, size_t size)
{
	size_t done = 0, len;

	while (!list_empty(&in->events)) {
		struct event *e = list_entry(in->events.next, struct event, node);

		len = sizeof(e->head) + e->head.len;
		if (len > size - done)
			return done ? (ssize_t)done : -EINVAL;
		memcpy(buf + done, &e->head, sizeof(e->head));
		memcpy(buf + done + sizeof(e->head), e->head.name, e->head.len);
		done += len;
		drop_event(in, e);
	}
	return (ssize_t)done;
}

ssize_t notify_take(struct notify *in, char *buf, size_t size)
{
	ssize_t r;

	notify_lock();
	notify_host_drain(in);
	r = take(in, buf, size);
	notify_unlock();
	return r;
}

size_t notify_queued(struct notify *in)
{
	struct event *e;
	size_t n = 0;

	notify_lock();
	notify_host_drain(in);
	list_for_each (e, &in->events, node)
		n += sizeof(e->head) + e->head.len;
	notify_unlock();
	return n;
}

/* ---- watches ---- */

static struct watch *by_wd(struct notify *in, int wd)
{
	struct list *b = notify_bucket(NOTIFY_BY_WD, in, (uint64_t)wd);
	struct watch *w;

	list_for_each (w, b, by_wd)
		if (w->in == in && w->wd == wd)
			return w;
	return NULL;
}

struct watch *notify_watch_new(struct notify *in, int *err)
{
	struct watch *w = NULL;

	*err = nr_watches < WATCHES_MAX && in->last_wd < INT_MAX ? -ENOMEM : -ENOSPC;
	if (*err == -ENOMEM)
		w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->in = in;
	w->wd = ++in->last_wd;
	list_init(&w->by_place);
	list_append(&in->watches, &w->of);
	list_append(notify_bucket(NOTIFY_BY_WD, in, (uint64_t)w->wd), &w->by_wd);
	nr_watches++;
	return w;
}

void notify_watch_free(struct watch *w)
{
	if (!w->host_wd)
		atomic_fetch_sub(&notify_count, 1);
	list_del(&w->of);
	list_del(&w->by_wd);
	list_del(&w->by_place);
	nr_watches--;
	notify_host_forget(w);
	free(w);
}

/* A watch of the sentry ends: the app is told, and it is freed. */
static void end_watch(struct watch *w)
{
	notify_event(w->in, w->wd, IN_IGNORED, 0, NULL);
	notify_watch_free(w);
}

static bool is_of(const struct watch *w, const struct vnode *n)
{
	return !w->host_wd && w->mnt == n->mnt && w->ino == n->ino;
}

/* A watch on a node of the sentry's file systems. */
static int add_here(struct notify *in, struct vnode *n, uint32_t mask)
{
	struct list *b = notify_bucket(NOTIFY_BY_NODE, n->mnt, n->ino);
	struct watch *w;
	int err;

	list_for_each (w, b, by_place) {
		if (w->in != in || !is_of(w, n))
			continue;
		if (mask & IN_MASK_CREATE)
			return -EEXIST;
		w->mask = (mask & KEPT_MASK) | (mask & IN_MASK_ADD ? w->mask : 0);
		return w->wd;
	}
	w = notify_watch_new(in, &err);
	if (!w)
		return err;
	w->mnt = n->mnt;
	w->ino = n->ino;
	w->mask = mask & KEPT_MASK;
	list_append(b, &w->by_place);
	atomic_fetch_add(&notify_count, 1);
	return w->wd;
}

int notify_add(struct notify *in, const struct vpath *v, uint32_t mask)
{
	int r;

	if (!v->node)
		return -ENOENT;
	notify_lock();
	r = v->node->ops == &hostfs_ops ? notify_host_add(in, v, mask)
					: add_here(in, v->node, mask);
	notify_unlock();
	return r;
}

int notify_remove(struct notify *in, int wd)
{
	struct watch *w;

	notify_lock();
	w = wd > 0 ? by_wd(in, wd) : NULL;
	if (w && w->removed)
		w = NULL;
	if (w && w->host_wd)
		notify_host_remove(w);
	else if (w)
		end_watch(w);
	notify_unlock();
	return w ? 0 : -EINVAL;
}

/* ---- telling ---- */

static void tell(struct watch *w, uint32_t mask, uint32_t cookie, const char *name)
{
	notify_host_drain(w->in); /* what came before stays before */
	notify_event(w->in, w->wd, mask, cookie, name);
	if (w->mask & IN_ONESHOT)
		end_watch(w);
}

/* Tells all watchers of n. */
static void tell_all(const struct vnode *n, uint32_t mask, uint32_t cookie, const char *name)
{
	struct list *b = notify_bucket(NOTIFY_BY_NODE, n->mnt, n->ino), *at, *next;

	for (at = b->next; at != b; at = next) {
		struct watch *w = list_entry(at, struct watch, by_place);

		next = at->next;
		if (is_of(w, n) && w->mask & mask & IN_ALL_EVENTS)
			tell(w, mask, cookie, name);
	}
}

static uint32_t dir_bit(const struct vnode *n)
{
	return n->type == S_IFDIR ? IN_ISDIR : 0;
}

void notify_self_slow(struct vnode *n, uint32_t mask)
{
	if (n->ops == &hostfs_ops)
		return;
	notify_lock();
	tell_all(n, mask, 0, NULL);
	notify_unlock();
}

void notify_node_slow(struct vnode *n, uint32_t mask)
{
	char name[NAME_MAX + 1];
	struct vnode *dir;

	if (n->ops == &hostfs_ops)
		return;
	dir = n->ops->parent ? n->ops->parent(n, name) : NULL;
	notify_lock();
	if (dir)
		tell_all(dir, mask | dir_bit(n), 0, name);
	tell_all(n, mask | dir_bit(n), 0, NULL);
	notify_unlock();
	vnode_put(dir);
}

void notify_name_slow(struct vnode *dir, const char *name, bool dir_entry, uint32_t mask,
		      uint32_t cookie)
{
	if (dir->ops == &hostfs_ops)
		return;
	notify_lock();
	tell_all(dir, mask | (dir_entry ? IN_ISDIR : 0), cookie, name);
	notify_unlock();
}

void notify_gone_slow(struct vnode *n)
{
	struct list *b, *at, *next;

	notify_lock();
	b = notify_bucket(NOTIFY_BY_NODE, n->mnt, n->ino);
	tell_all(n, IN_DELETE_SELF, 0, NULL);
	for (at = b->next; at != b; at = next) {
		struct watch *w = list_entry(at, struct watch, by_place);

		next = at->next;
		if (is_of(w, n))
			end_watch(w);
	}
	notify_unlock();
}

void notify_file_slow(struct file *f, uint32_t mask)
{
	if (f->node && !(f->flags & O_PATH))
		notify_node_slow(f->node, mask);
}

/* ---- instances ---- */

static int watch_both(struct notify *in)
{
	struct epoll_event ev = {.events = EPOLLIN};

	in->host = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	in->queued = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	in->poll = epoll_create1(EPOLL_CLOEXEC);
	if (in->host < 0 || in->queued < 0 || in->poll < 0 ||
	    epoll_ctl(in->poll, EPOLL_CTL_ADD, in->host, &ev) ||
	    epoll_ctl(in->poll, EPOLL_CTL_ADD, in->queued, &ev))
		return -EMFILE;
	return 0;
}

static void close_all(struct notify *in)
{
	if (in->host >= 0)
		close(in->host);
	if (in->queued >= 0)
		close(in->queued);
	if (in->poll >= 0)
		close(in->poll);
	free(in);
}

int notify_create(struct notify **out, int *fd)
{
	struct notify *in = calloc(1, sizeof(*in));
	bool enough;
	int r;

	if (!in)
		return -ENOMEM;
	list_init(&in->events);
	list_init(&in->watches);
	in->host = in->queued = in->poll = -1;
	notify_lock();
	enough = nr_instances >= INSTANCES_MAX;
	nr_instances += !enough;
	notify_unlock();
	r = enough ? -EMFILE : watch_both(in);
	if (r) {
		notify_lock();
		nr_instances -= !enough;
		notify_unlock();
		close_all(in);
		return r;
	}
	*out = in;
	*fd = in->poll;
	return 0;
}

void notify_destroy(struct notify *in)
{
	notify_lock();
	while (!list_empty(&in->watches))
		notify_watch_free(list_entry(in->watches.next, struct watch, of));
	while (!list_empty(&in->events))
		drop_event(in, list_entry(in->events.next, struct event, node));
	nr_instances--;
	notify_unlock();
	close_all(in);
}
