/* Control messages. Descriptors that the app sends never leave as such: the host socket carries a
 * token, the write end of a pipe whose read end is kept here with the open file it stands for. The
 * receiver's token is recognised by the pipe's inode. When every copy of a token is gone, received
 * or not, its pipe hangs up and the file is let go. What is received and is no token of ours came
 * from outside of the sandbox: it is closed, and the app sees a truncated control message. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/file.h"
#include "sentry/net.h"
#include "sentry/task.h"

#define TOKENS_MAX  1024 /* files in flight in the whole sandbox */
#define OVERFLOW_ID 65534

struct token {
	struct list node;
	struct file *file;
	int rfd;
	dev_t dev;
	ino_t ino;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list tokens = LIST_INIT(tokens);
static _Atomic unsigned nr_tokens;

/* ---- tokens ---- */

static void token_free(struct token *k)
{
	close(k->rfd);
	file_put(k->file);
	free(k);
}

/* Moves tokens without a write end from the list to dead. */
static void collect(struct list *dead)
{
	struct token *k, *tmp;
	struct pollfd p;

	pthread_mutex_lock(&lock);
	list_for_each_safe (k, tmp, &tokens, node) {
		p = (struct pollfd){.fd = k->rfd};
		if (poll(&p, 1, 0) != 1 || !(p.revents & POLLHUP))
			continue;
		list_del(&k->node);
		list_append(dead, &k->node);
		nr_tokens--;
	}
	pthread_mutex_unlock(&lock);
}

void net_rights_sweep(void)
{
	static __thread bool busy, again;
	struct list dead = LIST_INIT(dead);
	struct token *k, *tmp;

	/* Letting go of a socket that holds messages comes back here: no recursion. */
	again = true;
	if (busy || !nr_tokens)
		return;
	busy = true;
	while (again) {
		again = false;
		list_init(&dead);
		collect(&dead);
		list_for_each_safe (k, tmp, &dead, node) {
			list_del(&k->node);
			token_free(k);
		}
	}
	busy = false;
}

/* A token for f (reference taken, dropped on failure): its write end, or -errno. */
static int token_new(struct file *f)
{
	struct token *k = calloc(1, sizeof(*k));
	struct stat st;
	int fd[2];

	if (!k || nr_tokens >= TOKENS_MAX || pipe2(fd, O_CLOEXEC)) {
		file_put(f);
		free(k);
		return k ? -ETOOMANYREFS : -ENOMEM;
	}
	if (fstat(fd[0], &st))
		st.st_ino = 0;
	k->file = f;
	k->rfd = fd[0];
	k->dev = st.st_dev;
	k->ino = st.st_ino;
	pthread_mutex_lock(&lock);
	list_append(&tokens, &k->node);
	nr_tokens++;
	pthread_mutex_unlock(&lock);
	return fd[1];
}

/* The file that a received descriptor stands for, referenced; NULL for a stranger. */
static struct file *token_file(int fd)
{
	struct file *f = NULL;
	struct token *k;
	struct stat st;

	if (fstat(fd, &st) || !S_ISFIFO(st.st_mode))
		return NULL;
	pthread_mutex_lock(&lock);
	list_for_each (k, &tokens, node) {
		if (k->dev != st.st_dev || k->ino != st.st_ino)
			continue;
		f = file_get(k->file);
		break;
	}
	pthread_mutex_unlock(&lock);
	return f;
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

/* ---- sending ---- */

static int send_rights(struct task *t, const void *data, size_t len, int *out, struct net_rights *r)
{
	struct file *f;
	int fd, token;

	for (size_t i = 0; i < len / sizeof(int); i++) {
		if (r->n == NET_RIGHTS_MAX)
			return -EINVAL;
		memcpy(&fd, (const char *)data + i * sizeof(int), sizeof(fd));
		f = fdtab_lookup(t->proc->fdtab, fd);
		if (!f)
			return -EBADF;
		token = token_new(f);
		if (token < 0)
			return token;
		out[i] = r->fd[r->n++] = token;
	}
	return 0;
}

static int send_creds(struct task *t, const void *data, size_t len, void *out)
{
	struct ucred c;

	if (len != sizeof(c))
		return -EINVAL;
	memcpy(&c, data, sizeof(c));
	if (c.pid != t->proc->pid || c.uid != t->proc->uid || c.gid != t->proc->gid)
		return -EPERM;
	c = (struct ucred){.pid = getpid(), .uid = getuid(), .gid = getgid()};
	memcpy(out, &c, sizeof(c));
	return 0;
}

/* What may be sent as it is: nothing here changes where a message goes. */
static bool plain_allowed(int level, int type, size_t len)
{
	static const struct {
		int level, type;
		size_t len;
	} table[] = {
		{IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo)},
		{IPPROTO_IP, IP_TTL, sizeof(int)},
		{IPPROTO_IP, IP_TOS, sizeof(int)},
		{IPPROTO_IP, IP_TOS, 1},
		{IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo)},
		{IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof(int)},
		{IPPROTO_IPV6, IPV6_TCLASS, sizeof(int)},
		{IPPROTO_IPV6, IPV6_DONTFRAG, sizeof(int)},
		{IPPROTO_UDP, UDP_SEGMENT, sizeof(uint16_t)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].level == level && table[i].type == type && table[i].len == len)
			return true;
	return false;
}

static int send_one(struct task *t, const struct sock *s, bool inside, struct cmsghdr *h,
		    const void *data, size_t len, struct net_rights *r)
{
	void *out = CMSG_DATA(h);

	if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && s->domain == AF_UNIX) {
		h->cmsg_len = CMSG_LEN(len / sizeof(int) * sizeof(int));
		return inside ? send_rights(t, data, len, out, r) : -EPERM;
	}
	if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS && s->domain == AF_UNIX)
		return send_creds(t, data, len, out);
	if (s->domain == AF_UNIX || !plain_allowed(h->cmsg_level, h->cmsg_type, len))
		return -EINVAL;
	memcpy(out, data, len);
	return 0;
}

ssize_t net_cmsg_send(struct task *t, const struct sock *s, bool inside, const void *in, size_t len,
		      void *out, struct net_rights *r)
{
	struct cmsghdr h, *o;
	size_t off = 0;
	int err;

	if (len > NET_CMSG_MAX)
		return -ENOBUFS;
	memset(out, 0, len);
	while (len - off >= sizeof(h)) {
		memcpy(&h, (const char *)in + off, sizeof(h));
		if (h.cmsg_len < sizeof(h) || h.cmsg_len > len - off)
			return -EINVAL;
		o = (struct cmsghdr *)((char *)out + off);
		*o = h;
		err = send_one(t, s, inside, o, (const char *)in + off + sizeof(h),
			       h.cmsg_len - sizeof(h), r);
		if (err)
			return err;
		off += MIN(CMSG_ALIGN(h.cmsg_len), len - off);
	}
	return off;
}

/* ---- receiving ---- */

/* Room left for data after a header at off; 0 when even the header does not fit. */
static size_t room_at(size_t off, size_t max)
{
	return max >= off && max - off > CMSG_LEN(0) ? max - off - CMSG_LEN(0) : 0;
}

static size_t recv_rights(struct task *t, const struct cmsghdr *h, int *out, size_t room,
			  bool cloexec, int *flags)
{
	size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int), used = 0;
	struct file *f;
	int fd;

	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
		f = token_file(fd);
		close(fd);
		if (f && used < room / sizeof(int))
			fd = fdtab_install(t->proc->fdtab, f, 0, cloexec);
		else if (f)
			file_put(f);
		if (f && used < room / sizeof(int) && fd >= 0)
			out[used++] = fd;
		else
			*flags |= MSG_CTRUNC;
	}
	net_rights_sweep();
	return used * sizeof(int);
}

static void recv_creds(struct task *t, struct ucred *c)
{
	c->uid = c->uid == getuid() ? t->proc->uid : OVERFLOW_ID;
	c->gid = c->gid == getgid() ? t->proc->gid : OVERFLOW_ID;
	c->pid = c->pid == getpid() ? t->proc->pid : 0;
}

/* Copies one message to o; bytes of data, 0 to leave it out. */
static size_t recv_one(struct task *t, const struct cmsghdr *h, struct cmsghdr *o, size_t room,
		       bool cloexec, int *flags)
{
	size_t len = h->cmsg_len - CMSG_LEN(0);

	if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
		return recv_rights(t, h, (int *)CMSG_DATA(o), room, cloexec, flags);
	if (!len || len > room) {
		*flags |= MSG_CTRUNC;
		return 0;
	}
	memcpy(CMSG_DATA(o), CMSG_DATA(h), len);
	if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS &&
	    len == sizeof(struct ucred))
		recv_creds(t, (struct ucred *)CMSG_DATA(o));
	return len;
}

size_t net_cmsg_recv(struct task *t, struct msghdr *host, void *out, size_t out_max, bool cloexec,
		     int *flags)
{
	struct cmsghdr *h, *o;
	size_t off = 0, end = 0, len;

	for (h = CMSG_FIRSTHDR(host); h; h = CMSG_NXTHDR(host, h)) {
		o = (struct cmsghdr *)((char *)out + off);
		len = recv_one(t, h, o, room_at(off, out_max), cloexec, flags);
		if (!len)
			continue;
		o->cmsg_len = CMSG_LEN(len);
		o->cmsg_level = h->cmsg_level;
		o->cmsg_type = h->cmsg_type;
		end = off + CMSG_LEN(len);
		off += CMSG_SPACE(len);
	}
	/* Linux counts the padding of the last one where there is room for it. */
	return off <= out_max ? off : end;
}
