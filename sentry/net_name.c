/* Names of unix sockets. The host never sees a path that was not resolved and judged: a socket in
 * the host's file system is reached through the pinned descriptor of its directory or of itself,
 * one in a file system of the sentry through an abstract host name, and abstract names carry a
 * random prefix, so that sandboxes do not meet each other. What the app sees is kept here. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/digest.h"
#include "sentry/net.h"
#include "sentry/net_cred.h"
#include "sentry/notify.h"
#include "sentry/task.h"
#include "sentry/vfs.h"

#define PATH_OFF offsetof(struct sockaddr_un, sun_path)
#define SUN_MAX	 sizeof(((struct sockaddr_un *)0)->sun_path)

static struct list names = LIST_INIT(names); /* guarded by net_lock */
static pthread_once_t prefix_once = PTHREAD_ONCE_INIT;
static char prefix[24]; /* "sbx/0123456789abcdef" */

static void make_prefix(void)
{
	uint64_t r = 0;

	/* Without randomness the pid still keeps sandboxes apart. */
	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = getpid();
	snprintf(prefix, sizeof(prefix), "sbx/%016" PRIx64, r);
}

/* "\0sbx/RANDOM" kind rest: kind is '@' for names as they are, '#' for digests of long ones, '%'
 * for sockets in a file system of the sentry, '&' for those without a name. */
static void host_name(struct sockaddr_un *host, socklen_t *host_len, char kind, const void *rest,
		      size_t len)
{
	size_t n;

	pthread_once(&prefix_once, make_prefix);
	n = strlen(prefix);
	memset(host, 0, sizeof(*host));
	host->sun_family = AF_UNIX;
	memcpy(host->sun_path + 1, prefix, n);
	host->sun_path[1 + n] = kind;
	memcpy(host->sun_path + 2 + n, rest, len);
	*host_len = PATH_OFF + 2 + n + len;
}

void net_name_abstract(const char *name, size_t len, struct sockaddr_un *host, socklen_t *host_len)
{
	uint8_t digest[DIGEST_SIZE];

	if (len + sizeof(prefix) + 2 <= SUN_MAX) {
		host_name(host, host_len, '@', name, len);
		return;
	}
	digest_sha256(name, len, digest);
	host_name(host, host_len, '#', digest, sizeof(digest));
}

void net_name_hidden(const char *text, size_t len, struct sockaddr_un *host, socklen_t *host_len)
{
	host_name(host, host_len, '&', text, len);
}

bool net_name_is_hidden(const struct sockaddr_storage *ss, socklen_t len, char *text, size_t size)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)ss;
	size_t skip, n;

	pthread_once(&prefix_once, make_prefix);
	skip = 1 + strlen(prefix) + 1;
	if (len <= PATH_OFF + skip || len > sizeof(*un) || un->sun_family != AF_UNIX ||
	    un->sun_path[0] || memcmp(un->sun_path + 1, prefix, skip - 2) ||
	    un->sun_path[skip - 1] != '&')
		return false;
	n = len - PATH_OFF - skip;
	if (n >= size)
		return false;
	memcpy(text, un->sun_path + skip, n);
	text[n] = '\0';
	return true;
}

/* The name that the host knows; net_lock held. */
static struct net_name *by_host(const void *addr, socklen_t len)
{
	struct net_name *n;

	list_for_each (n, &names, node)
		if (n->host_len == len && !memcmp(&n->host, addr, len))
			return n;
	return NULL;
}

struct sock *net_name_owner(const struct sockaddr_storage *ss, socklen_t len)
{
	struct net_name *n = len <= sizeof(struct sockaddr_un) ? by_host(ss, len) : NULL;

	return n ? n->owner : NULL;
}

/* The name that a target is; net_lock held. st: of its node in the host's file system. */
static struct net_name *by_target(const struct net_target *tg, const struct stat *st)
{
	const struct vnode *node = tg->v ? tg->v->node : NULL;
	struct net_name *n;

	if (!node || node->hostfd < 0)
		return by_host(&tg->host, tg->host_len);
	list_for_each (n, &names, node)
		if (n->dirfd >= 0 && n->dev == st->st_dev && n->ino == st->st_ino)
			return n;
	return NULL;
}

bool net_name_listener(const struct net_target *target, int type, struct ucred *c)
{
	const struct vnode *node = target->v ? target->v->node : NULL;
	struct net_name *n;
	struct stat st = {0};
	bool found;

	if (node && node->hostfd >= 0 && fstat(node->hostfd, &st))
		return false;
	pthread_mutex_lock(&net_lock);
	n = by_target(target, &st);
	found = n && n->owner && n->owner->listening && n->owner->type == type;
	if (found)
		*c = n->owner->peer;
	pthread_mutex_unlock(&net_lock);
	return found;
}

/* ---- connecting ---- */

static int connect_sentry_node(struct net_target *target)
{
	struct vnode *node = target->v->node;
	struct net_name *n;
	int err = -ECONNREFUSED;

	pthread_mutex_lock(&net_lock);
	list_for_each (n, &names, node) {
		if (n->mnt != node->mnt || n->ino != node->ino)
			continue;
		memcpy(&target->host, &n->host, sizeof(n->host));
		target->host_len = n->host_len;
		target->inside = true;
		err = 0;
		break;
	}
	pthread_mutex_unlock(&net_lock);
	return err;
}

/* Is the host's socket node behind fd bound by a socket of this sandbox? */
static bool bound_here(int fd)
{
	struct net_name *n;
	struct stat st;
	bool found = false;

	if (fstat(fd, &st))
		return false;
	pthread_mutex_lock(&net_lock);
	list_for_each (n, &names, node)
		found = found || (n->dirfd >= 0 && n->dev == st.st_dev && n->ino == st.st_ino);
	pthread_mutex_unlock(&net_lock);
	return found;
}

int net_name_connect(struct net_target *target)
{
	struct sockaddr_un *host = (struct sockaddr_un *)&target->host;
	struct vnode *node;

	if (!target->v)
		return 0; /* abstract: the host name is there already */
	node = target->v->node;
	if (!node)
		return -ENOENT;
	if (node->type != S_IFSOCK)
		return -ECONNREFUSED;
	if (node->hostfd < 0)
		return connect_sentry_node(target);
	memset(host, 0, sizeof(*host));
	host->sun_family = AF_UNIX;
	target->host_len =
		PATH_OFF + 1 + snprintf(host->sun_path, SUN_MAX, "/proc/self/fd/%d", node->hostfd);
	target->inside = bound_here(node->hostfd);
	return 0;
}

/* ---- binding ---- */

static mode_t task_umask(struct task *t)
{
	mode_t m;

	pthread_mutex_lock(&t->proc->fs->lock);
	m = t->proc->fs->umask;
	pthread_mutex_unlock(&t->proc->fs->lock);
	return m;
}

static int host_bind(struct file *f, const struct net_name *n)
{
	return bind(f->hostfd, (const struct sockaddr *)&n->host, n->host_len) ? -errno : 0;
}

/* In the host's file system. The directory's descriptor is copied and stays open with the name, so
 * that no other socket gets the same host name. */
static int bind_host_dir(struct task *t, struct file *f, const struct vpath *v, struct net_name *n)
{
	struct stat st;
	int len, err;

	n->dirfd = fcntl(v->dir->hostfd, F_DUPFD_CLOEXEC, 0);
	if (n->dirfd < 0)
		return -errno;
	n->host.sun_family = AF_UNIX;
	len = snprintf(n->host.sun_path, SUN_MAX, "/proc/self/fd/%d/%s", n->dirfd, v->name);
	if (len >= (int)SUN_MAX)
		return -ENAMETOOLONG;
	n->host_len = PATH_OFF + len + 1;
	/* The new node's mode comes from the socket's own. */
	if (fchmod(f->hostfd, 0777 & ~task_umask(t)))
		return -errno;
	err = host_bind(f, n);
	if (!err && !fstatat(n->dirfd, v->name, &st, AT_SYMLINK_NOFOLLOW)) {
		n->dev = st.st_dev;
		n->ino = st.st_ino;
	}
	return err;
}

static int bind_sentry_dir(struct task *t, struct file *f, const struct vpath *v,
			   struct net_name *n)
{
	static _Atomic unsigned next;
	struct vnode *dir = v->dir, *node;
	char text[16];
	int err;

	if (!dir->ops->mknod || !dir->ops->lookup)
		return -EPERM;
	err = dir->ops->mknod(dir, v->name, S_IFSOCK | (0777 & ~task_umask(t)), 0);
	if (err)
		return err == -EEXIST ? -EADDRINUSE : err;
	host_name(&n->host, &n->host_len, '%', text, snprintf(text, sizeof(text), "%u", next++));
	err = host_bind(f, n);
	if (!err)
		err = dir->ops->lookup(dir, v->name, &node);
	if (err) {
		if (dir->ops->unlink)
			dir->ops->unlink(dir, v->name, false);
		return err;
	}
	n->mnt = node->mnt;
	n->ino = node->ino;
	vnode_put(node);
	notify_name(dir, v->name, false, IN_CREATE, 0);
	return 0;
}

static int bind_name(struct task *t, struct file *f, struct net_target *target, struct net_name *n)
{
	const struct vpath *v = target->v;

	if (!v) {
		memcpy(&n->host, &target->host, sizeof(n->host));
		n->host_len = target->host_len;
		return host_bind(f, n);
	}
	return v->dir->hostfd >= 0 ? bind_host_dir(t, f, v, n) : bind_sentry_dir(t, f, v, n);
}

static bool name_claim(struct sock *s, struct net_name *n)
{
	bool ok;

	pthread_mutex_lock(&net_lock);
	ok = !s->name;
	if (ok) {
		s->name = n;
		n->owner = s;
		list_append(&names, &n->node);
	}
	pthread_mutex_unlock(&net_lock);
	return ok;
}

int net_name_bind(struct task *t, struct file *f, struct net_target *target)
{
	struct sock *s = net_sock(f);
	struct net_name *n;
	int err;

	if (target->v && (!target->v->dir || target->v->node))
		return -EADDRINUSE;
	if (s->bound)
		return target->any ? 0 : -EINVAL;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	list_init(&n->node);
	n->dirfd = -1;
	n->app = target->app;
	n->app_len = target->app_len;
	err = bind_name(t, f, target, n);
	if (!err && !name_claim(s, n))
		err = -EINVAL;
	if (err)
		net_name_release(&n);
	else
		s->bound = true;
	return err;
}

void net_name_release(struct net_name **name)
{
	struct net_name *n = *name;

	if (!n)
		return;
	*name = NULL;
	pthread_mutex_lock(&net_lock);
	list_del(&n->node);
	pthread_mutex_unlock(&net_lock);
	if (n->dirfd >= 0)
		close(n->dirfd);
	free(n);
}

/* ---- showing ---- */

/* A host name made by host_name from a short abstract name, whose socket may be gone. */
static bool strip_prefix(struct sockaddr_un *un, socklen_t *len)
{
	size_t skip;

	pthread_once(&prefix_once, make_prefix);
	skip = 1 + strlen(prefix) + 1;
	if (*len < PATH_OFF + skip || un->sun_path[0] ||
	    memcmp(un->sun_path + 1, prefix, skip - 2) || un->sun_path[skip - 1] != '@')
		return false;
	memmove(un->sun_path + 1, un->sun_path + skip, *len - PATH_OFF - skip);
	*len = *len - skip + 1;
	return true;
}

void net_name_translate(struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ss;
	struct net_name *n;
	bool found;

	if (*len <= PATH_OFF || ss->ss_family != AF_UNIX || strip_prefix(un, len))
		return;
	pthread_mutex_lock(&net_lock);
	n = *len <= sizeof(*un) ? by_host(un, *len) : NULL;
	if (n) {
		memcpy(un, &n->app, n->app_len);
		*len = n->app_len;
	}
	found = n || net_cred_left(un, *len, un, len);
	pthread_mutex_unlock(&net_lock);
	if (found)
		return;
	/* A name of ours whose socket is gone says nothing to the app. */
	if (!strncmp(un->sun_path, "/proc/self/fd/", 14) ||
	    (!un->sun_path[0] && *len > PATH_OFF + 1 + strlen(prefix) &&
	     !memcmp(un->sun_path + 1, prefix, strlen(prefix))))
		*len = sizeof(sa_family_t);
}
