/* Netlink sockets of the route family, read only: what is in sentry/netif.h, as the kernel would tell it.
 * Owner: sentry/netlink.c (sockets), netlink_route.c (requests and answers).
 *
 * A socket is one end of a pair of the host's; answers are written into the other end when the request is
 * sent, so that waiting and receiving are the host's. */
#ifndef SBX_SENTRY_NETLINK_H
#define SBX_SENTRY_NETLINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "base/list.h"
#include "sentry/gmem.h"

struct file;
struct sysargs;
struct task;

struct netlink {
	struct list node;     /* in the list of all */
	pthread_mutex_t lock; /* one request at a time */
	int peer;	      /* the other end */
	uint32_t port;	      /* nl_pid; 0: not bound */
	uint32_t groups;
	bool ext_ack, cap_ack, strict, no_enobufs;
};

/* socket(AF_NETLINK, ...): an open file, or NULL with -errno in *err. */
struct file *netlink_socket(int type, int protocol, unsigned file_flags, unsigned sock_flags, int *err);
void netlink_destroy(struct netlink **nl);

/* NULL when f is no netlink socket. */
struct netlink *netlink_of(const struct file *f);

long netlink_bind(struct task *t, struct netlink *nl, const struct sockaddr_storage *ss, socklen_t len);
long netlink_connect(struct task *t, struct netlink *nl, const struct sockaddr_storage *ss, socklen_t len);
/* getsockname and, with peer, getpeername. */
void netlink_name(const struct netlink *nl, bool peer, struct sockaddr_storage *ss, socklen_t *len);

/* Takes the requests in a message (a copy) of which name says where it goes. Its length, or -errno. */
#define NETLINK_SEND_MAX 16384u
long netlink_send(struct task *t, struct netlink *nl, const void *data, size_t len,
		  const struct sockaddr_storage *name, socklen_t name_len);

long netlink_getsockopt(struct task *t, struct netlink *nl, int name, struct gptr val, struct gptr lenp);
long netlink_setsockopt(struct task *t, struct netlink *nl, int name, struct gptr val, uint32_t len);

/* ---- netlink_route.c ---- */

/* Answers the requests at data. -ENOBUFS when the socket is full of answers that nobody read. */
int netlink_route(struct netlink *nl, const void *data, size_t len);

#endif
