/* Sockets. Owner: sentry/net_addr.c (addresses), net_gate.c (what the net gate judges), net_name.c
 * (names of unix sockets), net_cmsg.c (control messages), net_opt.c (options), sys_net.c,
 * sys_msg.c.
 *
 * A socket of the app is a struct file over a host socket; struct sock remembers what it was made
 * as. Addresses are copied in once, decoded, judged, and the handler acts on the decoded copy. */
#ifndef SBX_SENTRY_NET_H
#define SBX_SENTRY_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include "base/list.h"
#include "policy/eval.h"
#include "sentry/gmem.h"

struct file;
struct mount;
struct sysargs;
struct task;
struct vnode;
struct vpath;

#define NET_CMSG_MAX 4096 /* bytes of control data in one message, either way */

struct sock {
	struct list all;		/* of net_each; guarded by net_lock */
	int domain, type, protocol;	/* type without the SOCK_ flags */
	atomic_bool bound;		/* by the app, so that listen() was judged already */
	atomic_bool rcvtimeo, sndtimeo; /* set: an interrupted call is not restarted */
	atomic_int linger; /* seconds the app asked for, when the host waits for fewer */
	/* What its messages reach: for SCM_RIGHTS. */
	atomic_bool peer_inside; /* the peer is a socket of this sandbox */
	struct net_name *name;	 /* unix: the name it is bound to, or NULL; net_name.c */
	struct netlink *netlink; /* AF_NETLINK: what else there is; netlink.c */
	/* unix: who is there; guarded by net_lock, see net_cred.h. */
	struct file *file; /* whose priv this is */
	struct net_link *link;
	int side;
	bool has_peer, listening, has_last;
	struct ucred peer, to_be_peer, self; /* self: who connected it */
	struct ucred last_from;		     /* stream: sender of what was read last */
	atomic_bool passcred, passpidfd;
	unsigned in_flight; /* tokens that hold its file */
	bool marked;	    /* of net_rights_closed */
};

extern const struct file_ops file_sock_ops, file_unix_ops, file_netlink_ops;

/* The socket behind f, or NULL when f is something else. */
struct sock *net_sock(const struct file *f);

/* Wraps a host socket (taken, closed on failure) as a file. NULL: out of memory. */
struct file *net_file_new(int hostfd, int domain, int type, int protocol, unsigned flags);

/* Calls visit for each socket of the sandbox, net_lock held. */
void net_each(void (*visit)(struct sock *s, void *arg), void *arg);

/* ---- addresses ---- */

/* Decodes an address as sock would use it: IPv4-mapped addresses become IPv4. For AF_UNIX only the
 * form is checked; path stays NULL. 0 or -errno (-EINVAL, -EAFNOSUPPORT ...). */
int net_addr_parse(const struct sock *s, const struct sockaddr_storage *ss, socklen_t len,
		   struct pol_addr *out);

/* One address that a call uses and that the net gate must judge. */
struct net_target {
	uint32_t nverb;	      /* enum pol_nverb */
	uint32_t alt_nverb;   /* another verb that is as good; 0: none. See net_call_judge. */
	struct pol_addr addr; /* what is judged; path points into v or text */
	struct sockaddr_storage host; /* what the handler gives to the host */
	socklen_t host_len;
	bool inside;	 /* unix: the name can only belong to a socket of this sandbox */
	bool any;	 /* unix: any free name will do */
	bool disconnect; /* connect(AF_UNSPEC): nothing to judge */
	struct vpath *v; /* unix: the resolved name, pinned until net_call_release */
	char text[sizeof(((struct sockaddr_un *)0)->sun_path) + 1]; /* "@name" */
	struct sockaddr_un app; /* unix: the name as the app gave it */
	socklen_t app_len;
};

/* The addresses of one call, hung at sysargs.net. */
struct net_call {
	unsigned n;
	struct net_target *target;
	/* sendmmsg: the copied headers, and for each the index of its target or -1. */
	unsigned nmsg;
	struct mmsghdr *msg;
	int *msg_target;
};

/* Finds the addresses that the decoded call uses: bind, connect, listen, sendto, sendmsg, sendmmsg;
 * no other call has any. Resolves unix paths and pins what they name. To be called by dispatch
 * after decoding and before the handler, which refuses to act on what was not prepared. a->net is
 * NULL afterwards when there is nothing to judge. 0, or the call's -errno. */
int net_call_prepare(struct task *t, struct sysargs *a);

/* Judges the prepared addresses of a call in order. True when all may be used; else *v is the
 * refusal and *refused the address. A datagram socket's connect and send are as good as one
 * another: a verb that only the policy's default refuses is allowed when the other one is granted.
 */
bool net_call_judge(const struct pol_image *img, uint32_t view, const struct net_call *nc,
		    struct pol_verdict *v, const struct net_target **refused);

void net_call_release(struct sysargs *a);

/* ---- names of unix sockets ---- */

/* A name that a socket of the sandbox is bound to: what the host knows and what the app knows. */
struct net_name {
	struct list node;
	struct sockaddr_un host, app;
	socklen_t host_len, app_len;
	struct mount *mnt; /* bound in a file system of the sentry: ino is its node there */
	struct sock *owner;
	int dirfd;	   /* bound in the host's: the N of "/proc/self/fd/N/..."; else -1 */
	dev_t dev;	   /* bound in the host's: dev and ino of the node */
	uint64_t ino;
};

/* Host name of an abstract name ("" excluded): the app's, made unique to this sandbox. */
void net_name_abstract(const char *name, size_t len, struct sockaddr_un *host, socklen_t *host_len);

/* Fills target's host name for connecting to, or sending to, the resolved v. 0 or -errno. */
int net_name_connect(struct net_target *target);

/* Binds a unix socket to a prepared target. 0 or -errno. */
int net_name_bind(struct task *t, struct file *f, struct net_target *target);

/* Rewrites a host's unix address into what the app is to see. */
void net_name_translate(struct sockaddr_storage *ss, socklen_t *len);

/* Binds an unbound unix socket to a free abstract name. 0 or -errno. */
int net_name_autobind(struct task *t, struct file *f);

/* A name for the host only, told from others by net_name_is_hidden, which gives its text back. */
void net_name_hidden(const char *text, size_t len, struct sockaddr_un *host, socklen_t *host_len);
bool net_name_is_hidden(const struct sockaddr_storage *ss, socklen_t len, char *text, size_t size);

/* The socket of the sandbox that the host knows as ss, or NULL. net_lock held. */
struct sock *net_name_owner(const struct sockaddr_storage *ss, socklen_t len);

/* Does a socket of this type listen, in here, at a target that net_name_connect has filled? Then *c is
 * who called listen. */
bool net_name_listener(const struct net_target *target, int type, struct ucred *c);

/* Forgets the name of a socket that goes away. */
void net_name_release(struct net_name **name);

/* ---- control messages ---- */

/* Files that travel with one message; released by net_rights_done. */
#define NET_RIGHTS_MAX 253 /* SCM_MAX_FD */
struct net_rights {
	int fd[NET_RIGHTS_MAX]; /* host descriptors that stand for them */
	unsigned n;
	bool named; /* the app said who it is */
};
void net_rights_done(struct net_rights *r);

/* Lets go of files whose messages are gone: after a unix socket was closed. */
void net_rights_sweep(void);

/* Translates the app's control data (copied in: len bytes at in) for the host: descriptors into
 * tokens, credentials checked and left out. out has room for NET_CMSG_MAX. Bytes of out, or -errno. */
ssize_t net_cmsg_send(struct task *t, struct sock *s, bool inside, const void *in, size_t len,
		      void *out, struct net_rights *r);

/* Adds to used bytes at out who sends: NET_IDENTITY_SPACE bytes at most. Bytes of out, or -errno. */
#define NET_IDENTITY_SPACE (CMSG_SPACE(sizeof(int)) + 8)
ssize_t net_cmsg_identify(struct task *t, void *out, size_t used);

/* Translates what the host delivered to s into at most out_max bytes for the app; installs descriptors.
 * *flags gets MSG_CTRUNC when something did not fit or was not from this sandbox. */
size_t net_cmsg_recv(struct task *t, struct sock *s, struct msghdr *host, void *out, size_t out_max,
		     bool cloexec, int *flags);

/* write(2) to a unix socket that must say who writes, or to any other. Bytes or -errno. */
ssize_t net_unix_write(struct task *t, struct file *f, const struct iovec *iov, int n);

/* ---- options ---- */

long net_getsockopt(struct task *t, struct file *f, int level, int name, struct gptr val,
		    struct gptr lenp);
long net_setsockopt(struct task *t, struct sysargs *a, int level, int name, struct gptr val,
		    uint32_t len);

/* Groups: joining one is listening on its address, and judged as that; net_mcast.c. */
bool net_mcast_option(int level, int name);
long net_mcast_set(struct task *t, struct sysargs *a, struct file *f, int level, int name,
		   struct gptr val, uint32_t len);

/* Writes an address and its length to the app, as accept, getsockname and recvfrom do: a NULL addr
 * is fine, *lenp says the room. 0 or -errno. */
int net_addr_write(struct task *t, const struct sockaddr_storage *ss, socklen_t len,
		   struct gptr addr, struct gptr lenp);

#endif
