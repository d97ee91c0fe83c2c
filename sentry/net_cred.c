/* Peers of unix sockets. A listening socket shows who called listen, an accepted one who connected. The
 * host cannot tell the latter, so the connecting socket is bound to a name first, "&PID.UID.GID.LINK" behind
 * the sandbox's prefix, which accept reads and the app never sees. */
#include "sentry/net_cred.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sentry/file.h"
#include "sentry/net.h"
#include "sentry/pidfd.h"
#include "sentry/task.h"

struct net_link {
	atomic_int refs;
	struct list node; /* in waiting until it is accepted */
	uint64_t id;
	struct sock *end[2]; /* 0 connected, 1 was accepted; NULL when gone */
	bool accepted;
	bool early; /* something was sent before, without a token */
};

pthread_mutex_t net_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list waiting = LIST_INIT(waiting);
static uint64_t next_id = 1;
static atomic_bool passing;

void net_cred_self(struct task *t, struct ucred *c)
{
	*c = (struct ucred){.pid = t->proc->pid, .uid = t->proc->uid, .gid = t->proc->gid};
}

/* ---- links ---- */

static struct net_link *link_new(void)
{
	struct net_link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	atomic_init(&l->refs, 1);
	list_init(&l->node);
	return l;
}

struct net_link *net_link_get(struct net_link *l)
{
	if (l)
		atomic_fetch_add(&l->refs, 1);
	return l;
}

void net_link_put(struct net_link *l)
{
	if (l && atomic_fetch_sub(&l->refs, 1) == 1)
		free(l);
}

struct sock *net_link_end(const struct net_link *l, int end)
{
	return l ? l->end[end] : NULL;
}

static void join(struct sock *s, struct net_link *l, int side)
{
	s->link = l;
	s->side = side;
	l->end[side] = s;
}

void net_cred_pair(struct task *t, struct sock *a, struct sock *b)
{
	struct net_link *l = link_new();

	net_cred_self(t, &a->peer);
	b->peer = a->peer;
	a->has_peer = b->has_peer = true;
	if (!l)
		return; /* only collect_cycles and credentials of messages miss it */
	l->accepted = true;
	join(a, l, 0);
	join(b, net_link_get(l), 1);
}

void net_cred_listen(struct task *t, struct sock *s)
{
	pthread_mutex_lock(&net_lock);
	net_cred_self(t, &s->peer);
	s->has_peer = s->listening = true;
	pthread_mutex_unlock(&net_lock);
}

/* Binds f's host socket to the name that tells who connects and by which link. 0 or -errno. */
static int hidden_bind(struct file *f, const struct ucred *self, uint64_t id)
{
	struct sockaddr_un un;
	socklen_t len;
	char text[64];

	snprintf(text, sizeof(text), "%d.%u.%u.%" PRIx64, self->pid, self->uid, self->gid, id);
	net_name_hidden(text, strlen(text), &un, &len);
	return bind(f->hostfd, (struct sockaddr *)&un, len) ? -errno : 0;
}

/* Must what it sends and is sent say who sends it? */
static bool wants(const struct sock *s)
{
	return s->passcred || s->passpidfd;
}

int net_cred_connecting(struct task *t, struct file *f, const struct net_target *target)
{
	struct sock *s = net_sock(f);
	struct net_link *l;
	struct ucred self, listener;
	int err = 0;

	if (!s->name && wants(s)) {
		err = net_name_autobind(t, f);
		if (err)
			return err;
	}
	if (s->type == SOCK_DGRAM || !target->inside ||
	    !net_name_listener(target, s->type, &listener))
		return 0; /* or the host says what is wrong */
	l = link_new();
	if (!l)
		return -ENOMEM;
	net_cred_self(t, &self);
	pthread_mutex_lock(&net_lock);
	s->self = self;
	s->to_be_peer = listener;
	if (s->link) { /* tried before */
		net_link_put(l);
	} else {
		l->id = next_id++;
		join(s, l, 0);
		list_append(&waiting, &l->node);
	}
	pthread_mutex_unlock(&net_lock);
	if (!s->name)
		err = hidden_bind(f, &self, s->link->id);
	return err == -EINVAL ? 0 : err; /* bound meanwhile, or by an attempt before */
}

void net_cred_connected(struct sock *s)
{
	pthread_mutex_lock(&net_lock);
	if (s->link && !s->has_peer) {
		s->peer = s->to_be_peer;
		s->has_peer = true;
	}
	pthread_mutex_unlock(&net_lock);
}

/* Puts s at the accepted end of a waiting link; net_lock held. */
static void take_up(struct sock *s, struct net_link *l)
{
	list_del(&l->node);
	l->accepted = true;
	join(s, net_link_get(l), 1);
}

static void take_up_id(struct sock *s, uint64_t id)
{
	struct net_link *l;

	list_for_each (l, &waiting, node) {
		if (l->id != id)
			continue;
		take_up(s, l);
		return;
	}
}

/* Sockets with a name of their own that are closed: whoever accepts their connection or reads what they
 * sent may still ask for them. */
#define LEFT_MAX 64
static struct left {
	struct sockaddr_un host, app;
	socklen_t host_len, app_len;
	struct ucred self; /* pid 0: connected to nobody who did not know it already */
} left[LEFT_MAX];
static unsigned nr_left;

static void remember(const struct sock *s, bool waits)
{
	struct left *f = &left[nr_left++ % LEFT_MAX];

	*f = (struct left){
		.host = s->name->host,
		.host_len = s->name->host_len,
		.app = s->name->app,
		.app_len = s->name->app_len,
	};
	if (waits)
		f->self = s->self;
}

/* The latest of that name. */
static const struct left *recall(const void *ss, socklen_t len)
{
	for (unsigned i = 1; i <= LEFT_MAX; i++) {
		const struct left *f = &left[(nr_left - i) % LEFT_MAX];

		if (f->host_len == len && !memcmp(&f->host, ss, len))
			return f;
	}
	return NULL;
}

bool net_cred_left(const void *host, socklen_t len, struct sockaddr_un *app, socklen_t *app_len)
{
	const struct left *f = recall(host, len);

	if (!f)
		return false;
	*app = f->app;
	*app_len = f->app_len;
	return true;
}

void net_cred_accepted(struct sock *s, const struct sockaddr_storage *ss, socklen_t len)
{
	const struct left *gone;
	struct ucred c = {0};
	struct sock *from;
	char text[128];
	uint64_t id;

	pthread_mutex_lock(&net_lock);
	if (net_name_is_hidden(ss, len, text, sizeof(text))) {
		if (sscanf(text, "%d.%u.%u.%" SCNx64, &c.pid, &c.uid, &c.gid, &id) == 4) {
			s->peer = c;
			s->has_peer = true;
			take_up_id(s, id);
		}
	} else {
		/* Under a name of its own. */
		from = net_name_owner(ss, len);
		gone = recall(ss, len);
		if (from && from->link && !from->link->accepted && !from->side) {
			s->peer = from->self;
			s->has_peer = true;
			take_up(s, from->link);
		} else if (!from && gone && gone->self.pid) {
			s->peer = gone->self;
			s->has_peer = true;
		}
	}
	pthread_mutex_unlock(&net_lock);
}

void net_cred_released(struct sock *s)
{
	struct net_link *l;

	pthread_mutex_lock(&net_lock);
	l = s->link;
	s->link = NULL;
	if (s->name)
		remember(s, l && !l->accepted);
	if (l) {
		l->end[s->side] = NULL;
		if (!s->side)
			list_del(&l->node);
	}
	pthread_mutex_unlock(&net_lock);
	net_link_put(l);
}

void net_cred_peer(struct sock *s, struct ucred *c)
{
	pthread_mutex_lock(&net_lock);
	*c = s->has_peer ? s->peer : (struct ucred){.pid = 0, .uid = -1, .gid = -1};
	pthread_mutex_unlock(&net_lock);
}

int net_cred_pidfd(struct task *t, int pid)
{
	struct proc *p = pid > 0 ? proc_by_pid(pid) : NULL;
	struct file *f;
	int r = p ? pidfd_file(p, 0, &f) : -ESRCH;

	proc_put(p);
	return r ? r : fdtab_install(t->proc->fdtab, f, 0, true);
}

/* ---- messages ---- */

void net_cred_passing(void)
{
	atomic_store(&passing, true);
}

bool net_cred_wanted(struct sock *s)
{
	const struct sock *other;
	bool r = true;

	if (wants(s))
		return true;
	if (s->type == SOCK_DGRAM && !s->link)
		return atomic_load(&passing); /* the receiver is not known */
	pthread_mutex_lock(&net_lock);
	if (s->link && s->link->accepted) {
		other = s->link->end[!s->side];
		r = other && wants(other);
	} else if (s->link && !atomic_load(&passing)) {
		s->link->early = true;
		r = false;
	} else {
		r = atomic_load(&passing);
	}
	pthread_mutex_unlock(&net_lock);
	return r;
}

bool net_cred_early(struct sock *s, struct ucred *c)
{
	bool r;

	pthread_mutex_lock(&net_lock);
	r = s->link && s->link->early && s->side && s->has_peer;
	if (r)
		*c = s->peer;
	pthread_mutex_unlock(&net_lock);
	return r;
}

struct net_link *net_cred_way(struct sock *s, int *to)
{
	struct net_link *l;

	pthread_mutex_lock(&net_lock);
	l = net_link_get(s->link);
	*to = !s->side;
	pthread_mutex_unlock(&net_lock);
	return l;
}
