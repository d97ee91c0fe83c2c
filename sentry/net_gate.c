/* Which addresses a call uses, and what the net gate says of them. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "base/hot.h"
#include "sentry/net.h"
#include "sentry/sys.h"

#define PATH_OFF offsetof(struct sockaddr_un, sun_path)

/* To connect to the wildcard address is to connect to the loopback one: say so before judging, or
 * 0.0.0.0 would be another name for 127.0.0.1. */
static void wildcard_to_loopback(struct net_target *tg)
{
	static const uint8_t zero[16];
	struct sockaddr_in *in = (struct sockaddr_in *)&tg->host;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&tg->host;

	if (memcmp(tg->addr.ip, zero, tg->addr.family == 4 ? 4 : 16))
		return;
	if (tg->addr.family == 4) {
		tg->addr.ip[0] = 127;
		tg->addr.ip[3] = 1;
		memcpy(tg->host.ss_family == AF_INET ? (uint8_t *)&in->sin_addr
						     : in6->sin6_addr.s6_addr + 12,
		       tg->addr.ip, 4);
	} else {
		tg->addr.ip[15] = 1;
		in6->sin6_addr = in6addr_loopback;
	}
}

static void abstract_target(struct net_target *tg, const char *name, size_t len)
{
	tg->text[0] = '@';
	memcpy(tg->text + 1, name, len);
	tg->addr.path = tg->text;
	tg->addr.path_len = len + 1;
	tg->inside = true;
	tg->app.sun_family = AF_UNIX;
	memcpy(tg->app.sun_path + 1, name, len);
	tg->app_len = PATH_OFF + 1 + len;
	net_name_abstract(name, len, (struct sockaddr_un *)&tg->host, &tg->host_len);
}

/* bind() with nothing but the family: Linux picks a free abstract name of five digits. */
static void autobind_target(struct net_target *tg)
{
	static _Atomic unsigned next;
	char name[16];

	tg->any = true;
	snprintf(name, sizeof(name), "%05x", next++ & 0xfffff);
	abstract_target(tg, name, 5);
}

int net_name_autobind(struct task *t, struct file *f)
{
	struct net_target *tg;
	int err = -EADDRINUSE;

	for (int i = 0; i < 64 && err == -EADDRINUSE; i++) {
		tg = calloc(1, sizeof(*tg));
		if (!tg)
			return -ENOMEM;
		tg->nverb = POL_NET_LISTEN;
		autobind_target(tg);
		err = net_name_bind(t, f, tg);
		free(tg);
	}
	return err == -EINVAL && net_sock(f)->name ? 0 : err; /* another thread was faster */
}

static int path_target(struct task *t, struct net_target *tg, const char *path, size_t len)
{
	bool binds = tg->nverb == POL_NET_LISTEN;
	int err;

	tg->app.sun_family = AF_UNIX;
	memcpy(tg->app.sun_path, path, len);
	tg->app_len = PATH_OFF + len + 1;
	if (tg->app_len > sizeof(tg->app))
		tg->app_len = sizeof(tg->app);
	tg->v = calloc(1, sizeof(*tg->v));
	if (!tg->v)
		return -ENOMEM;
	err = vfs_resolve(t, AT_FDCWD, path, binds ? VFS_PARENT | VFS_CREATE : 0, tg->v);
	if (err) {
		free(tg->v);
		tg->v = NULL;
		return err;
	}
	tg->addr.path = tg->v->path;
	tg->addr.path_len = tg->v->path_len;
	return 0;
}

static int unix_target(struct task *t, struct net_target *tg, const struct sockaddr_storage *ss,
		       socklen_t len)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1] = "";
	size_t n = len - PATH_OFF;

	memcpy(path, ((const struct sockaddr_un *)ss)->sun_path, n);
	if (!n && tg->nverb != POL_NET_LISTEN)
		return -EINVAL;
	if (!n)
		autobind_target(tg);
	else if (!path[0])
		abstract_target(tg, path + 1, n - 1);
	else
		return path_target(t, tg, path, strlen(path));
	return 0;
}

static int fill_target(struct task *t, const struct sock *s, struct net_target *tg,
		       const struct sockaddr_storage *ss, socklen_t len)
{
	int err = net_addr_parse(s, ss, len, &tg->addr);

	if (err)
		return err;
	if (s->domain == AF_UNIX)
		return unix_target(t, tg, ss, len);
	tg->host = *ss;
	tg->host_len = len;
	if (tg->nverb != POL_NET_LISTEN)
		wildcard_to_loopback(tg);
	return 0;
}

static bool is_dgram(const struct sock *s)
{
	return s->type == SOCK_DGRAM;
}

static int prepare_connect(struct task *t, const struct sock *s, struct net_target *tg,
			   const struct sockaddr_storage *ss, socklen_t len)
{
	tg->nverb = POL_NET_CONNECT;
	tg->alt_nverb = is_dgram(s) ? POL_NET_SEND : 0;
	if (len < sizeof(sa_family_t))
		return -EINVAL;
	if (ss->ss_family == AF_UNSPEC) {
		tg->disconnect = true;
		tg->host.ss_family = AF_UNSPEC;
		tg->host_len = sizeof(struct sockaddr_in);
		return 0;
	}
	return fill_target(t, s, tg, ss, len);
}

/* listen() on a socket that was not bound takes any free port of any address. */
static bool prepare_listen(const struct sock *s, struct net_target *tg)
{
	if (s->domain == AF_UNIX || s->netlink || s->bound)
		return false;
	tg->nverb = POL_NET_LISTEN;
	tg->addr.proto = s->type == SOCK_STREAM ? POL_PROTO_TCP : POL_PROTO_UDP;
	tg->addr.family = s->domain == AF_INET ? 4 : 6;
	return true;
}

/* The address of one message. 1 when there is one to judge, 0 when the socket ignores it. */
static int prepare_send(struct task *t, const struct sock *s, struct net_target *tg,
			const struct sockaddr_storage *in, socklen_t len, int flags)
{
	struct sockaddr_storage ss = *in;
	int err;

	if (s->netlink)
		return 0; /* there is only the sentry to send to */
	if (s->type == SOCK_STREAM && s->domain != AF_UNIX && (flags & MSG_FASTOPEN)) {
		if (ss.ss_family == AF_UNSPEC)
			return -EOPNOTSUPP;
		err = prepare_connect(t, s, tg, &ss, len);
		return err ? err : 1;
	}
	if (!is_dgram(s))
		return 0;
	tg->nverb = POL_NET_SEND;
	tg->alt_nverb = POL_NET_CONNECT;
	if (ss.ss_family == AF_UNSPEC && s->domain == AF_INET6)
		return 0;
	if (ss.ss_family == AF_UNSPEC && s->domain == AF_INET)
		ss.ss_family = AF_INET; /* as Linux takes it */
	err = fill_target(t, s, tg, &ss, len);
	return err ? err : 1;
}

static int read_name(struct task *t, const struct msghdr *m, struct sockaddr_storage *ss,
		     socklen_t *len)
{
	memset(ss, 0, sizeof(*ss));
	*len = 0;
	if (!m->msg_name || !m->msg_namelen)
		return 0;
	if ((int)m->msg_namelen < 0)
		return -EINVAL;
	*len = m->msg_namelen < sizeof(*ss) ? m->msg_namelen : sizeof(*ss);
	return gmem_read(t->proc->mm, ss, gptr_at((uintptr_t)m->msg_name), *len);
}

static int prepare_mmsg(struct task *t, const struct sock *s, struct sysargs *a,
			struct net_call *nc)
{
	unsigned vlen = A_UINT(a, 2) < UIO_MAXIOV ? A_UINT(a, 2) : UIO_MAXIOV;
	struct sockaddr_storage ss;
	socklen_t len;
	int r;

	nc->msg = calloc(vlen + 1, sizeof(*nc->msg));
	nc->msg_target = calloc(vlen + 1, sizeof(*nc->msg_target));
	nc->target = calloc(vlen + 1, sizeof(*nc->target));
	if (!nc->msg || !nc->msg_target || !nc->target)
		return -ENOMEM;
	for (; nc->nmsg < vlen; nc->nmsg++) {
		struct mmsghdr *m = &nc->msg[nc->nmsg];

		nc->msg_target[nc->nmsg] = -1;
		r = gmem_read(t->proc->mm, m, gptr_at(a->raw[1] + nc->nmsg * sizeof(*m)),
			      sizeof(*m));
		if (!r)
			r = read_name(t, &m->msg_hdr, &ss, &len);
		if (!r && len)
			r = prepare_send(t, s, &nc->target[nc->n], &ss, len, A_INT(a, 3));
		if (r < 0 && !nc->nmsg)
			return r;
		if (r < 0)
			break; /* the messages before this one are sent */
		if (r > 0)
			nc->msg_target[nc->nmsg] = nc->n++;
	}
	return 0;
}

/* Fills nc: 0 or -errno. */
static int prepare(struct task *t, const struct sock *s, struct sysargs *a, struct net_call *nc)
{
	struct net_target *tg;
	int r = 0;

	if (a->nr == SYS_sendmmsg)
		return prepare_mmsg(t, s, a, nc);
	tg = nc->target = calloc(1, sizeof(*tg));
	if (!tg)
		return -ENOMEM;
	switch (a->nr) {
	case SYS_bind:
		if (s->netlink)
			break;
		tg->nverb = POL_NET_LISTEN;
		r = fill_target(t, s, tg, &a->addr, a->addr_len);
		r = r ? r : 1;
		break;
	case SYS_connect:
		if (s->netlink)
			break;
		r = prepare_connect(t, s, tg, &a->addr, a->addr_len);
		r = r ? r : 1;
		break;
	case SYS_listen:
		r = prepare_listen(s, tg);
		break;
	case SYS_sendto:
		if (a->has_addr)
			r = prepare_send(t, s, tg, &a->addr, a->addr_len, A_INT(a, 3));
		break;
	case SYS_sendmsg:
		if (a->has_addr)
			r = prepare_send(t, s, tg, &a->addr, a->addr_len, A_INT(a, 2));
		break;
	}
	if (r < 0)
		return r;
	nc->n = r;
	return 0;
}

static bool has_addresses(uint32_t nr)
{
	return nr == SYS_bind || nr == SYS_connect || nr == SYS_listen || nr == SYS_sendto ||
	       nr == SYS_sendmsg || nr == SYS_sendmmsg;
}

hot_path int net_call_prepare(struct task *t, struct sysargs *a)
{
	struct sock *s;
	int err;

	a->net = NULL;
	if (!has_addresses(a->nr))
		return 0;
	if (!a->file[0] || a->file[0]->flags & O_PATH)
		return -EBADF;
	s = net_sock(a->file[0]);
	if (!s)
		return -ENOTSOCK;
	if (a->addr_err)
		return a->addr_err;
	a->net = calloc(1, sizeof(*a->net));
	if (!a->net)
		return -ENOMEM;
	err = prepare(t, s, a, a->net);
	if (err)
		net_call_release(a);
	return err;
}

static bool judge(const struct pol_image *img, uint32_t view, const struct net_target *tg,
		  struct pol_verdict *v)
{
	struct pol_verdict alt;

	pol_eval_net(img, view, tg->nverb, &tg->addr, v);
	if (v->action == POL_ALLOW)
		return true;
	if (!tg->alt_nverb || !(v->flags & POL_F_DEFAULT))
		return false;
	pol_eval_net(img, view, tg->alt_nverb, &tg->addr, &alt);
	if (alt.action == POL_ALLOW)
		*v = alt;
	return alt.action == POL_ALLOW;
}

bool net_call_judge(const struct pol_image *img, uint32_t view, const struct net_call *nc,
		    struct pol_verdict *v, const struct net_target **refused)
{
	for (unsigned i = 0; nc && i < nc->n; i++) {
		if (nc->target[i].disconnect || judge(img, view, &nc->target[i], v))
			continue;
		*refused = &nc->target[i];
		return false;
	}
	return true;
}

hot_path void net_call_release(struct sysargs *a)
{
	struct net_call *nc = a->net;

	if (!nc)
		return;
	a->net = NULL;
	for (unsigned i = 0; i < nc->n; i++) {
		if (!nc->target[i].v)
			continue;
		vpath_release(nc->target[i].v);
		free(nc->target[i].v);
	}
	free(nc->target);
	free(nc->msg);
	free(nc->msg_target);
	free(nc);
}
