/* Control messages, translated either way. What stands for descriptors and senders is in net_rights.c. What
 * is received and is no token of ours came from outside of the sandbox: it is closed, and the app sees a
 * truncated control message. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/file.h"
#include "sentry/net.h"
#include "sentry/net_cred.h"
#include "sentry/task.h"

#define OVERFLOW_ID 65534
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

/* ---- sending ---- */

struct sending {
	struct task *t;
	struct sock *s;
	bool inside;
	struct net_rights *r;
};

static int send_rights(struct sending *c, const void *data, size_t len, int *out)
{
	struct net_rights *r = c->r;
	struct net_link *link;
	struct ucred self;
	struct file *f;
	int fd, to, token;

	net_cred_self(c->t, &self);
	for (size_t i = 0; i < len / sizeof(int); i++) {
		if (r->n == NET_RIGHTS_MAX)
			return -EINVAL;
		memcpy(&fd, (const char *)data + i * sizeof(int), sizeof(fd));
		f = fdtab_lookup(c->t->proc->fdtab, fd);
		if (!f)
			return -EBADF;
		link = net_cred_way(c->s, &to);
		token = net_token_new(f, &self, link, to);
		net_link_put(link);
		if (token < 0)
			return token;
		out[i] = r->fd[r->n++] = token;
	}
	return 0;
}

/* Only one's own may be sent; who it is goes with the message's token. */
static int check_creds(struct sending *c, const void *data, size_t len)
{
	struct ucred given, self;

	if (len != sizeof(given))
		return -EINVAL;
	memcpy(&given, data, sizeof(given));
	net_cred_self(c->t, &self);
	if (memcmp(&given, &self, sizeof(self)))
		return -EPERM;
	c->r->named = true;
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

/* Translates one message's data to o; its length, 0 to leave it out, or -errno. */
static ssize_t send_one(struct sending *c, const struct cmsghdr *h, const void *data, size_t len,
			struct cmsghdr *o)
{
	bool is_unix = c->s->domain == AF_UNIX && h->cmsg_level == SOL_SOCKET;
	int err;

	if (is_unix && h->cmsg_type == SCM_RIGHTS) {
		err = c->inside ? send_rights(c, data, len, (int *)CMSG_DATA(o)) : -EPERM;
		return err ? err : (ssize_t)(len / sizeof(int) * sizeof(int));
	}
	if (is_unix && h->cmsg_type == SCM_CREDENTIALS)
		return check_creds(c, data, len);
	if (c->s->domain == AF_UNIX || !plain_allowed(h->cmsg_level, h->cmsg_type, len))
		return -EINVAL;
	memcpy(CMSG_DATA(o), data, len);
	return (ssize_t)len;
}

ssize_t net_cmsg_send(struct task *t, struct sock *s, bool inside, const void *in, size_t len,
		      void *out, struct net_rights *r)
{
	struct sending c = {.t = t, .s = s, .inside = inside, .r = r};
	size_t off = 0, used = 0;
	struct cmsghdr h, *o;
	ssize_t n;

	if (len > NET_CMSG_MAX)
		return -ENOBUFS;
	memset(out, 0, len);
	while (len - off >= sizeof(h)) {
		memcpy(&h, (const char *)in + off, sizeof(h));
		if (h.cmsg_len < sizeof(h) || h.cmsg_len > len - off)
			return -EINVAL;
		o = (struct cmsghdr *)((char *)out + used);
		n = send_one(&c, &h, (const char *)in + off + sizeof(h), h.cmsg_len - sizeof(h), o);
		if (n < 0)
			return n;
		off += MIN(CMSG_ALIGN(h.cmsg_len), len - off);
		if (!n)
			continue;
		*o = h;
		o->cmsg_len = CMSG_LEN(n);
		used += MIN(CMSG_SPACE((size_t)n), len - used);
	}
	return (ssize_t)used;
}

ssize_t net_cmsg_identify(struct task *t, void *out, size_t used)
{
	struct cmsghdr *o = (struct cmsghdr *)((char *)out + CMSG_ALIGN(used));
	int fd = net_identity(t);

	if (fd < 0)
		return fd;
	memset(o, 0, NET_IDENTITY_SPACE);
	o->cmsg_level = SOL_SOCKET;
	o->cmsg_type = SCM_RIGHTS;
	o->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(o), &fd, sizeof(fd));
	return (ssize_t)(CMSG_ALIGN(used) + CMSG_SPACE(sizeof(fd)));
}

/* ---- receiving ---- */

struct receiving {
	struct task *t;
	struct sock *s;
	char *out; /* for the app */
	size_t max, off, end;
	bool cloexec;
	int *flags;
	struct ucred from; /* who sent it, once that is known */
	bool has_from;
	struct file *file[NET_RIGHTS_MAX];
	unsigned nfiles;
};

/* Room left for data of one more message; 0 when even its header does not fit. */
static size_t room(const struct receiving *c)
{
	return c->max >= c->off && c->max - c->off > CMSG_LEN(0) ? c->max - c->off - CMSG_LEN(0) : 0;
}

static void emit(struct receiving *c, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *o = (struct cmsghdr *)(c->out + c->off);

	if (!len || len > room(c)) {
		*c->flags |= MSG_CTRUNC;
		return;
	}
	o->cmsg_len = CMSG_LEN(len);
	o->cmsg_level = level;
	o->cmsg_type = type;
	memmove(CMSG_DATA(o), data, len);
	c->end = c->off + CMSG_LEN(len);
	c->off += CMSG_SPACE(len);
}

/* Looks at the descriptors that came: takes files and sender from tokens, closes all. */
static void take_rights(struct receiving *c, const struct cmsghdr *h)
{
	size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	struct ucred from;
	struct file *f;
	int fd;

	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
		if (net_token_take(fd, &f, &from)) {
			c->from = from;
			c->has_from = true;
			if (f && c->nfiles < NET_RIGHTS_MAX)
				c->file[c->nfiles++] = f;
			else
				file_put(f);
		} else {
			*c->flags |= MSG_CTRUNC;
		}
		close(fd);
	}
}

/* The sender as the app is to see it. What is left of a stream's message after its first bytes were read
 * brings no token: it is the sender of those. */
static void sender(struct receiving *c, struct ucred *out)
{
	*out = (struct ucred){.pid = 0, .uid = OVERFLOW_ID, .gid = OVERFLOW_ID};
	pthread_mutex_lock(&net_lock);
	if (c->has_from && c->s->type == SOCK_STREAM) {
		c->s->last_from = c->from;
		c->s->has_last = true;
	} else if (!c->has_from && c->s->has_last) {
		c->from = c->s->last_from;
		c->has_from = true;
	}
	pthread_mutex_unlock(&net_lock);
	if (c->has_from || net_cred_early(c->s, &c->from))
		*out = c->from;
}

static void give_pidfd(struct receiving *c, int pid)
{
	int fd;

	if (room(c) < sizeof(fd)) {
		*c->flags |= MSG_CTRUNC;
		return;
	}
	fd = net_cred_pidfd(c->t, pid);
	emit(c, SOL_SOCKET, SCM_PIDFD, &fd, sizeof(fd));
}

static void give_files(struct receiving *c)
{
	int out[NET_RIGHTS_MAX];
	unsigned used = 0;

	for (unsigned i = 0; i < c->nfiles; i++) {
		int fd = -EMFILE;

		if (used < room(c) / sizeof(int))
			fd = fdtab_install(c->t->proc->fdtab, c->file[i], 0, c->cloexec);
		else
			file_put(c->file[i]);
		if (fd >= 0)
			out[used++] = fd;
		else
			*c->flags |= MSG_CTRUNC;
	}
	if (used)
		emit(c, SOL_SOCKET, SCM_RIGHTS, out, used * sizeof(int));
}

/* Of a unix socket: in the order in which Linux gives them. */
static void give_unix(struct receiving *c)
{
	struct ucred from;

	if (c->s->passcred || c->s->passpidfd) {
		sender(c, &from);
		if (c->s->passcred)
			emit(c, SOL_SOCKET, SCM_CREDENTIALS, &from, sizeof(from));
	}
	if (c->nfiles)
		give_files(c);
	if (c->s->passpidfd)
		give_pidfd(c, from.pid);
	net_rights_sweep();
}

size_t net_cmsg_recv(struct task *t, struct sock *s, struct msghdr *host, void *out, size_t out_max,
		     bool cloexec, int *flags)
{
	struct receiving c = {.t = t, .s = s, .out = out, .max = out_max, .cloexec = cloexec,
			      .flags = flags};
	struct cmsghdr *h;

	for (h = CMSG_FIRSTHDR(host); h; h = CMSG_NXTHDR(host, h)) {
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
			take_rights(&c, h);
		else
			emit(&c, h->cmsg_level, h->cmsg_type, CMSG_DATA(h),
			     h->cmsg_len - CMSG_LEN(0));
	}
	if (s->domain == AF_UNIX)
		give_unix(&c);
	/* Linux counts the padding of the last one where there is room for it. */
	return c.off <= out_max ? c.off : c.end;
}
