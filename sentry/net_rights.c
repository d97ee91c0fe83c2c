/* What stands for the app's descriptors and processes while messages are under way. Descriptors that the
 * app sends never leave as such: the host socket carries a token, the write end of a pipe whose read end is
 * kept here with the open file it stands for. The receiver's token is recognised by the pipe's inode. When
 * every copy of a token is gone, received or not, its pipe hangs up and the file is let go.
 *
 * Who sent a message is said by a token, too: that of the file that comes with it, or one of the process's
 * own, which stands for no file.
 *
 * Sockets that only messages in one another's queues hold would stay for ever: collect_cycles finds them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/file.h"
#include "sentry/net.h"
#include "sentry/net_cred.h"
#include "sentry/task.h"

#define TOKENS_MAX 1024 /* files in flight in the whole sandbox */

struct token {
	struct list node;
	struct file *file; /* NULL: a process's, or taken away by collect_cycles */
	struct ucred from; /* as the app knows its processes */
	struct net_link *link; /* where it was sent to, when that is known: */
	int to;		       /* this end */
	bool live;	       /* of collect_cycles */
	int rfd;
	dev_t dev;
	ino_t ino;
};

/* All guarded by net_lock. */
static struct list tokens = LIST_INIT(tokens);
static struct list identities = LIST_INIT(identities); /* tokens of processes */
static _Atomic unsigned nr_tokens;

/* ---- making and ending ---- */

/* A token without a file; its write end in *wfd. NULL: no memory, or no descriptors. */
static struct token *make(const struct ucred *from, int *wfd)
{
	struct token *k = calloc(1, sizeof(*k));
	struct stat st = {0};
	int fd[2];

	if (!k || pipe2(fd, O_CLOEXEC)) {
		free(k);
		return NULL;
	}
	if (fstat(fd[0], &st))
		st.st_ino = 0;
	k->from = *from;
	k->rfd = fd[0];
	k->dev = st.st_dev;
	k->ino = st.st_ino;
	*wfd = fd[1];
	return k;
}

static void token_free(struct token *k)
{
	close(k->rfd);
	net_link_put(k->link);
	if (k->file)
		file_put(k->file);
	free(k);
}

/* Moves tokens of list without a write end to dead; net_lock held. */
static void hung_up(struct list *list, struct list *dead)
{
	struct token *k, *tmp;
	struct pollfd p;

	list_for_each_safe (k, tmp, list, node) {
		struct sock *s = k->file ? net_sock(k->file) : NULL;

		p = (struct pollfd){.fd = k->rfd};
		if (poll(&p, 1, 0) != 1 || !(p.revents & POLLHUP))
			continue;
		if (s)
			s->in_flight--;
		list_del(&k->node);
		list_append(dead, &k->node);
		nr_tokens -= list == &tokens;
	}
}

static void free_all(struct list *dead)
{
	struct token *k, *tmp;

	list_for_each_safe (k, tmp, dead, node) {
		list_del(&k->node);
		token_free(k);
	}
}

/* ---- cycles ---- */

/* Is it a socket that only tokens hold? */
static bool is_inner(const struct sock *s)
{
	return s && s->in_flight && atomic_load(&s->file->refs) == (int)s->in_flight;
}

static struct sock *held(const struct token *k)
{
	struct sock *s = k->file ? net_sock(k->file) : NULL;

	return s && s->domain == AF_UNIX ? s : NULL;
}

/* Marks what is in the queues of sockets that something else than a token holds, or that are not known.
 * False: no token holds an inner socket. */
static bool mark_roots(void)
{
	bool inner_seen = false;
	struct token *k;

	list_for_each (k, &tokens, node) {
		k->live = !is_inner(net_link_end(k->link, k->to));
		inner_seen = inner_seen || is_inner(held(k));
		if (held(k))
			held(k)->marked = false;
	}
	return inner_seen;
}

/* Of a socket that can be reached so can what lies in its queue. */
static bool mark_queue(struct sock *s)
{
	bool changed = false;
	struct token *k;

	s->marked = true;
	list_for_each (k, &tokens, node) {
		if (k->live || net_link_end(k->link, k->to) != s)
			continue;
		k->live = changed = true;
	}
	return changed;
}

#define BATCH 64

/* Takes files out of tokens that cannot be reached: how many. */
static unsigned collect_cycles(struct file *gone[BATCH])
{
	unsigned n = 0;
	struct token *k;
	bool more = mark_roots();

	if (!more)
		return 0;
	while (more) {
		more = false;
		list_for_each (k, &tokens, node)
			if (k->live && held(k) && !held(k)->marked)
				more |= mark_queue(held(k));
	}
	list_for_each (k, &tokens, node) {
		if (k->live || !is_inner(held(k)) || n == BATCH)
			continue;
		held(k)->in_flight--;
		gone[n++] = k->file;
		k->file = NULL;
	}
	return n;
}

void net_rights_sweep(void)
{
	static __thread bool busy, again;
	struct list dead = LIST_INIT(dead);

	/* Letting go of a socket that holds messages comes back here: no recursion. */
	again = true;
	if (busy || !nr_tokens)
		return;
	busy = true;
	while (again) {
		again = false;
		list_init(&dead);
		pthread_mutex_lock(&net_lock);
		hung_up(&tokens, &dead);
		pthread_mutex_unlock(&net_lock);
		free_all(&dead);
	}
	busy = false;
}

void net_rights_closed(void)
{
	static __thread bool busy;
	struct file *gone[BATCH];
	unsigned n = 1;

	while (n && nr_tokens && !busy) {
		pthread_mutex_lock(&net_lock);
		n = collect_cycles(gone);
		pthread_mutex_unlock(&net_lock);
		busy = true; /* what goes now is no reason to look again in here */
		for (unsigned i = 0; i < n; i++)
			file_put(gone[i]);
		busy = false;
	}
	net_rights_sweep();
}

/* ---- files ---- */

int net_token_new(struct file *f, const struct ucred *from, struct net_link *link, int to)
{
	struct sock *s = net_sock(f);
	struct token *k;
	int wfd;

	k = nr_tokens < TOKENS_MAX ? make(from, &wfd) : NULL;
	if (!k) {
		file_put(f);
		return -ETOOMANYREFS;
	}
	k->file = f;
	k->link = net_link_get(link);
	k->to = to;
	pthread_mutex_lock(&net_lock);
	if (s)
		s->in_flight++;
	list_append(&tokens, &k->node);
	nr_tokens++;
	pthread_mutex_unlock(&net_lock);
	return wfd;
}

static const struct token *find(const struct list *list, const struct stat *st)
{
	const struct token *k;

	list_for_each (k, list, node)
		if (k->dev == st->st_dev && k->ino == st->st_ino)
			return k;
	return NULL;
}

bool net_token_take(int fd, struct file **f, struct ucred *from)
{
	const struct token *k;
	struct stat st;

	*f = NULL;
	if (fstat(fd, &st) || !S_ISFIFO(st.st_mode))
		return false;
	pthread_mutex_lock(&net_lock);
	k = find(&tokens, &st);
	if (!k)
		k = find(&identities, &st);
	if (k) {
		*from = k->from;
		*f = k->file ? file_get(k->file) : NULL;
	}
	pthread_mutex_unlock(&net_lock);
	return k;
}

void net_rights_done(struct net_rights *r)
{
	if (!r->n)
		return;
	for (unsigned i = 0; i < r->n; i++)
		close(r->fd[i]);
	r->n = 0;
	net_rights_sweep();
}

/* ---- processes ---- */

int net_identity(struct task *t)
{
	struct list dead = LIST_INIT(dead);
	struct ucred self;
	struct token *k;
	int fd;

	net_cred_self(t, &self);
	pthread_mutex_lock(&net_lock);
	fd = t->proc->cred_fd;
	if (fd <= 0) {
		k = make(&self, &fd);
		if (k) {
			/* Those of processes that are gone, and of whom no message is left. */
			hung_up(&identities, &dead);
			list_append(&identities, &k->node);
			t->proc->cred_fd = fd;
		} else {
			fd = -ENOBUFS;
		}
	}
	pthread_mutex_unlock(&net_lock);
	free_all(&dead);
	return fd;
}
