/* Netlink sockets: names, options, sending. */
#include "sentry/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/net.h"
#include "sentry/task.h"

#define GROUPS_KNOWN 0x7fffffffu /* of RTNLGRP_*; nothing is ever told to them: nothing changes */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all and every port */
static struct list all = LIST_INIT(all);

struct file *netlink_socket(int type, int protocol, unsigned file_flags, unsigned sock_flags, int *err)
{
	struct netlink *nl = calloc(1, sizeof(*nl));
	struct file *f;
	int sv[2];

	*err = -ENOMEM;
	if (!nl)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | (sock_flags & SOCK_NONBLOCK), 0, sv)) {
		*err = -errno;
		free(nl);
		return NULL;
	}
	f = net_file_new(sv[0], AF_NETLINK, type, protocol, file_flags);
	if (!f) {
		close(sv[1]);
		free(nl);
		return NULL;
	}
	nl->peer = sv[1];
	pthread_mutex_init(&nl->lock, NULL);
	pthread_mutex_lock(&lock);
	list_append(&all, &nl->node);
	pthread_mutex_unlock(&lock);
	net_sock(f)->netlink = nl;
	return f;
}

void netlink_destroy(struct netlink **nlp)
{
	struct netlink *nl = *nlp;

	if (!nl)
		return;
	*nlp = NULL;
	pthread_mutex_lock(&lock);
	list_del(&nl->node);
	pthread_mutex_unlock(&lock);
	close(nl->peer);
	pthread_mutex_destroy(&nl->lock);
	free(nl);
}

struct netlink *netlink_of(const struct file *f)
{
	const struct sock *s = net_sock(f);

	return s ? s->netlink : NULL;
}

/* ---- names ---- */

static bool port_taken(uint32_t port)
{
	struct netlink *nl;

	list_for_each (nl, &all, node)
		if (nl->port == port)
			return true;
	return false;
}

/* The process's number, or a number from the top when that one is taken. */
static void autobind(struct task *t, struct netlink *nl)
{
	uint32_t port = (uint32_t)t->proc->pid;

	pthread_mutex_lock(&lock);
	if (!nl->port) {
		if (port_taken(port))
			for (port = (uint32_t)-4097; port_taken(port); port--)
				;
		nl->port = port;
	}
	pthread_mutex_unlock(&lock);
}

static int parse(const struct sockaddr_storage *ss, socklen_t len, struct sockaddr_nl *out)
{
	if (len < sizeof(*out))
		return -EINVAL;
	memcpy(out, ss, sizeof(*out));
	return out->nl_family == AF_NETLINK ? 0 : -EINVAL;
}

long netlink_bind(struct task *t, struct netlink *nl, const struct sockaddr_storage *ss, socklen_t len)
{
	struct sockaddr_nl a;
	int err = parse(ss, len, &a);

	if (err)
		return err;
	pthread_mutex_lock(&lock);
	if (nl->port && a.nl_pid != nl->port)
		err = -EINVAL;
	else if (!nl->port && a.nl_pid && port_taken(a.nl_pid))
		err = -EADDRINUSE;
	else if (!nl->port)
		nl->port = a.nl_pid;
	if (!err)
		nl->groups = a.nl_groups & GROUPS_KNOWN;
	pthread_mutex_unlock(&lock);
	if (!err)
		autobind(t, nl);
	return err;
}

/* The kernel is the only one to talk to. */
static int check_target(const struct sockaddr_nl *a)
{
	if (a->nl_groups)
		return -EPERM;
	return a->nl_pid ? -ECONNREFUSED : 0;
}

long netlink_connect(struct task *t, struct netlink *nl, const struct sockaddr_storage *ss, socklen_t len)
{
	struct sockaddr_nl a;
	int err;

	if (len >= sizeof(sa_family_t) && ss->ss_family == AF_UNSPEC)
		return 0;
	err = parse(ss, len, &a);
	if (!err)
		err = check_target(&a);
	if (!err)
		autobind(t, nl);
	return err;
}

void netlink_name(const struct netlink *nl, bool peer, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};

	if (!peer) {
		a.nl_pid = nl->port;
		a.nl_groups = nl->groups;
	}
	memset(ss, 0, sizeof(*ss));
	memcpy(ss, &a, sizeof(a));
	*len = sizeof(a);
}

/* ---- requests ---- */

long netlink_send(struct task *t, struct netlink *nl, const void *data, size_t len,
		  const struct sockaddr_storage *name, socklen_t name_len)
{
	struct sockaddr_nl a;
	int err = 0;

	if (name_len)
		err = parse(name, name_len, &a);
	if (name_len && !err)
		err = check_target(&a);
	if (err)
		return err;
	autobind(t, nl);
	pthread_mutex_lock(&nl->lock);
	err = netlink_route(nl, data, len);
	pthread_mutex_unlock(&nl->lock);
	return err ? err : (long)len;
}

/* ---- options ---- */

static bool *option(struct netlink *nl, int name)
{
	switch (name) {
	case NETLINK_NO_ENOBUFS:
		return &nl->no_enobufs;
	case NETLINK_CAP_ACK:
		return &nl->cap_ack;
	case NETLINK_EXT_ACK:
		return &nl->ext_ack;
	case NETLINK_GET_STRICT_CHK:
		return &nl->strict;
	default:
		return NULL;
	}
}

long netlink_getsockopt(struct task *t, struct netlink *nl, int name, struct gptr val, struct gptr lenp)
{
	const bool *on = option(nl, name);
	int len, v;

	if (gmem_read(t->proc->mm, &len, lenp, sizeof(len)))
		return -EFAULT;
	if (len < 0)
		return -EINVAL;
	if (!on)
		return -ENOPROTOOPT;
	if (len < (int)sizeof(v))
		return -EINVAL;
	v = *on;
	len = sizeof(v);
	if (gmem_write(t->proc->mm, val, &v, sizeof(v)))
		return -EFAULT;
	return gmem_write(t->proc->mm, lenp, &len, sizeof(len));
}

long netlink_setsockopt(struct task *t, struct netlink *nl, int name, struct gptr val, uint32_t len)
{
	bool *on = option(nl, name);
	uint32_t v = 0;

	if (len >= sizeof(v) && gmem_read(t->proc->mm, &v, val, sizeof(v)))
		return -EFAULT;
	if (name == NETLINK_ADD_MEMBERSHIP || name == NETLINK_DROP_MEMBERSHIP) {
		if (!v || v > 32)
			return -EINVAL;
		if (name == NETLINK_ADD_MEMBERSHIP)
			nl->groups |= 1u << (v - 1);
		else
			nl->groups &= ~(1u << (v - 1));
		return 0;
	}
	if (!on)
		return -ENOPROTOOPT;
	if (len < sizeof(v))
		return -EINVAL;
	*on = v;
	return 0;
}
