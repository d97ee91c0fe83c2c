/* Who is at the other end of a unix socket, and who sent a message. The host knows one process, sbx; the
 * sandbox's own are remembered here. Owner: sentry/net_cred.c (peers), net_rights.c (messages). */
#ifndef SBX_SENTRY_NET_CRED_H
#define SBX_SENTRY_NET_CRED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct file;
struct net_link;
struct net_target;
struct sock;
struct task;

/* Guards links, tokens and what struct sock has of them. Comes after every other lock of the sentry but
 * the allocator's. */
extern pthread_mutex_t net_lock;

/* t's process as the app knows it. */
void net_cred_self(struct task *t, struct ucred *c);

/* ---- links: the two ends of a connection inside ---- */

struct net_link *net_link_get(struct net_link *l); /* NULL stays NULL */
void net_link_put(struct net_link *l);
/* The socket at one end, or NULL: not known, not accepted yet, gone. net_lock held. */
struct sock *net_link_end(const struct net_link *l, int end);

/* socketpair made a and b. */
void net_cred_pair(struct task *t, struct sock *a, struct sock *b);
/* s listens: who connects to it sees t's process. */
void net_cred_listen(struct task *t, struct sock *s);
/* s is about to connect to target. A socket without a name gets one that only the host sees and that tells
 * who connects; Linux's own name where the app asked for credentials. 0 or -errno. */
int net_cred_connecting(struct task *t, struct file *f, const struct net_target *target);
/* The connection that net_cred_connecting prepared is there. */
void net_cred_connected(struct sock *s);
/* s was accepted from a peer with the host's name ss. */
void net_cred_accepted(struct sock *s, const struct sockaddr_storage *ss, socklen_t len);
void net_cred_released(struct sock *s);
/* The app's name of a closed socket that the host knows as host; net_lock held. */
bool net_cred_left(const void *host, socklen_t len, struct sockaddr_un *app, socklen_t *app_len);

/* SO_PEERCRED: the peer's, or {0, -1, -1}. */
void net_cred_peer(struct sock *s, struct ucred *c);

/* A descriptor of t's process for process pid; -ESRCH when it is gone, or another -errno. */
int net_cred_pidfd(struct task *t, int pid);

/* ---- messages ---- */

/* Must a message from s say who sends it? */
bool net_cred_wanted(struct sock *s);
/* Who sent what came over s before it was accepted, as far as is known: who connected. */
bool net_cred_early(struct sock *s, struct ucred *c);
/* Any unix socket has SO_PASSCRED or SO_PASSPIDFD from now on, perhaps. */
void net_cred_passing(void);
/* Where what s sends arrives: a reference to the link, or NULL, and which end of it. */
struct net_link *net_cred_way(struct sock *s, int *to);

/* The write end that stands for f (reference taken, also on failure) as sent by from; -errno. */
int net_token_new(struct file *f, const struct ucred *from, struct net_link *link, int to);
/* Is a received descriptor a token? Then its sender, and the file, referenced, if it stands for one. */
bool net_token_take(int fd, struct file **f, struct ucred *from);
/* The write end that stands for t's process, which keeps it; or -errno. */
int net_identity(struct task *t);
/* A unix socket was closed: messages, and sockets that only they held, may be gone. */
void net_rights_closed(void);

#endif
