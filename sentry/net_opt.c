/* Socket options: only what the table lists reaches the host. Others are ENOPROTOOPT, which
 * programs know how to live without; those that would reach past the policy (source routes,
 * filters, raw headers, device binding) are EPERM. */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/file.h"
#include "sentry/net.h"
#include "sentry/net_cred.h"
#include "sentry/netlink.h"
#include "sentry/sys.h"

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif
#ifndef SO_RCVTIMEO_NEW
#define SO_RCVTIMEO_NEW 66
#define SO_SNDTIMEO_NEW 67
#endif

#ifndef SO_PASSPIDFD /* Linux 6.5 */
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif

#define OPT_MAX	    256
#define OVERFLOW_ID 65534
#define LINGER_MAX  5 /* seconds that closing may take: nothing can interrupt it */

enum { GET = 1, SET = 2, BOTH = 3, REFUSED = 4 };

struct opt {
	int level, name;
	uint16_t min, max; /* bytes: set of SOL_SOCKET needs min, both are cut to max */
	uint8_t how;
};

#define INT_OPT(level, name, how)                                                                  \
	{                                                                                          \
		level, name, sizeof(int), sizeof(int), how                                         \
	}
#define IP_OPT(name)                                                                               \
	{                                                                                          \
		IPPROTO_IP, name, 1, sizeof(int), BOTH                                             \
	}
/* May be looked at: nobody has set it. */
#define REFUSE(level, name)                                                                        \
	{                                                                                          \
		level, name, 0, 40, REFUSED | GET                                                  \
	}

static const struct opt options[] = {
	INT_OPT(SOL_SOCKET, SO_DEBUG, GET),
	INT_OPT(SOL_SOCKET, SO_REUSEADDR, BOTH),
	INT_OPT(SOL_SOCKET, SO_TYPE, GET),
	INT_OPT(SOL_SOCKET, SO_ERROR, GET),
	INT_OPT(SOL_SOCKET, SO_DONTROUTE, BOTH),
	INT_OPT(SOL_SOCKET, SO_BROADCAST, BOTH),
	INT_OPT(SOL_SOCKET, SO_SNDBUF, BOTH),
	INT_OPT(SOL_SOCKET, SO_RCVBUF, BOTH),
	INT_OPT(SOL_SOCKET, SO_KEEPALIVE, BOTH),
	INT_OPT(SOL_SOCKET, SO_OOBINLINE, BOTH),
	INT_OPT(SOL_SOCKET, SO_NO_CHECK, BOTH),
	INT_OPT(SOL_SOCKET, SO_PRIORITY, BOTH),
	{SOL_SOCKET, SO_LINGER, sizeof(struct linger), sizeof(struct linger), BOTH},
	INT_OPT(SOL_SOCKET, SO_REUSEPORT, BOTH),
	INT_OPT(SOL_SOCKET, SO_PASSCRED, BOTH),
	INT_OPT(SOL_SOCKET, SO_PASSPIDFD, BOTH),
	{SOL_SOCKET, SO_PEERCRED, 0, sizeof(struct ucred), GET},
	INT_OPT(SOL_SOCKET, SO_RCVLOWAT, BOTH),
	INT_OPT(SOL_SOCKET, SO_SNDLOWAT, GET),
	{SOL_SOCKET, SO_RCVTIMEO, sizeof(struct timeval), sizeof(struct timeval), BOTH},
	{SOL_SOCKET, SO_SNDTIMEO, sizeof(struct timeval), sizeof(struct timeval), BOTH},
	{SOL_SOCKET, SO_RCVTIMEO_NEW, sizeof(struct timeval), sizeof(struct timeval), BOTH},
	{SOL_SOCKET, SO_SNDTIMEO_NEW, sizeof(struct timeval), sizeof(struct timeval), BOTH},
	INT_OPT(SOL_SOCKET, SO_TIMESTAMP, BOTH),
	INT_OPT(SOL_SOCKET, SO_TIMESTAMPNS, BOTH),
	INT_OPT(SOL_SOCKET, SO_ACCEPTCONN, GET),
	INT_OPT(SOL_SOCKET, SO_PROTOCOL, GET),
	INT_OPT(SOL_SOCKET, SO_DOMAIN, GET),
	INT_OPT(SOL_SOCKET, SO_PEEK_OFF, BOTH),
	INT_OPT(SOL_SOCKET, SO_INCOMING_CPU, GET),
	INT_OPT(SOL_SOCKET, SO_RXQ_OVFL, BOTH),
	{SOL_SOCKET, SO_COOKIE, 8, 8, GET},
	{SOL_SOCKET, SO_MAX_PACING_RATE, sizeof(int), 8, BOTH},
	INT_OPT(SOL_SOCKET, SO_TIMESTAMPING, BOTH),
	INT_OPT(SOL_SOCKET, SO_TIMESTAMP_NEW, BOTH),
	INT_OPT(SOL_SOCKET, SO_TIMESTAMPNS_NEW, BOTH),
	INT_OPT(SOL_SOCKET, SO_TIMESTAMPING_NEW, BOTH),
	INT_OPT(SOL_SOCKET, SO_SELECT_ERR_QUEUE, BOTH),
	INT_OPT(SOL_SOCKET, SO_BUSY_POLL, BOTH),
	INT_OPT(SOL_SOCKET, SO_INCOMING_NAPI_ID, GET),
	INT_OPT(SOL_SOCKET, SO_BPF_EXTENSIONS, GET),
	INT_OPT(SOL_SOCKET, SO_DETACH_FILTER, SET),
	INT_OPT(SOL_SOCKET, SO_BSDCOMPAT, BOTH),
	{SOL_SOCKET, SO_MEMINFO, 0, 36, GET},
	REFUSE(SOL_SOCKET, SO_BINDTODEVICE),
	REFUSE(SOL_SOCKET, SO_ATTACH_FILTER),
	REFUSE(SOL_SOCKET, SO_ATTACH_BPF),
	REFUSE(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF),
	REFUSE(SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF),
	REFUSE(SOL_SOCKET, SO_MARK),
	REFUSE(SOL_SOCKET, SO_SNDBUFFORCE),
	REFUSE(SOL_SOCKET, SO_RCVBUFFORCE),

	INT_OPT(IPPROTO_TCP, TCP_NODELAY, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_MAXSEG, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_CORK, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_KEEPIDLE, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_KEEPINTVL, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_KEEPCNT, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_SYNCNT, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_LINGER2, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_DEFER_ACCEPT, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_WINDOW_CLAMP, BOTH),
	{IPPROTO_TCP, TCP_INFO, 0, OPT_MAX, GET},
	INT_OPT(IPPROTO_TCP, TCP_QUICKACK, BOTH),
	{IPPROTO_TCP, TCP_CONGESTION, 1, 16, BOTH},
	INT_OPT(IPPROTO_TCP, TCP_USER_TIMEOUT, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_FASTOPEN, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_NOTSENT_LOWAT, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_THIN_DUPACK, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_TIMESTAMP, GET),
	{IPPROTO_TCP, TCP_CC_INFO, 0, OPT_MAX, GET},
	INT_OPT(IPPROTO_TCP, TCP_SAVE_SYN, BOTH),
	{IPPROTO_TCP, TCP_SAVED_SYN, 0, OPT_MAX, GET},
	INT_OPT(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, BOTH),
	INT_OPT(IPPROTO_TCP, TCP_INQ, BOTH),
	REFUSE(IPPROTO_TCP, TCP_REPAIR),
	REFUSE(IPPROTO_TCP, TCP_MD5SIG),
	REFUSE(IPPROTO_TCP, TCP_ULP),

	INT_OPT(IPPROTO_UDP, UDP_CORK, BOTH),
	INT_OPT(IPPROTO_UDP, UDP_SEGMENT, BOTH),
	INT_OPT(IPPROTO_UDP, UDP_GRO, BOTH),
	REFUSE(IPPROTO_UDP, UDP_ENCAP),

	IP_OPT(IP_TOS),
	IP_OPT(IP_TTL),
	IP_OPT(IP_PKTINFO),
	IP_OPT(IP_RECVTOS),
	IP_OPT(IP_RECVTTL),
	IP_OPT(IP_RECVERR),
	IP_OPT(IP_MTU_DISCOVER),
	INT_OPT(IPPROTO_IP, IP_MTU, GET),
	IP_OPT(IP_BIND_ADDRESS_NO_PORT),
	IP_OPT(IP_MULTICAST_TTL),
	IP_OPT(IP_MULTICAST_LOOP),
	IP_OPT(IP_MULTICAST_ALL),
	IP_OPT(IP_RECVOPTS),
	IP_OPT(IP_RETOPTS),
	IP_OPT(IP_RECVORIGDSTADDR),
	IP_OPT(IP_MINTTL),
	IP_OPT(IP_CHECKSUM),
	IP_OPT(IP_RECVFRAGSIZE),
	IP_OPT(IP_RECVERR_RFC4884),
	INT_OPT(IPPROTO_IP, IP_UNICAST_IF, GET),
	{IPPROTO_IP, IP_MULTICAST_IF, 4, sizeof(struct ip_mreqn), BOTH},
	REFUSE(IPPROTO_IP, IP_OPTIONS),
	REFUSE(IPPROTO_IP, IP_HDRINCL),
	REFUSE(IPPROTO_IP, IP_TRANSPARENT),
	REFUSE(IPPROTO_IP, IP_FREEBIND),

	INT_OPT(IPPROTO_IPV6, IPV6_V6ONLY, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVPKTINFO, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_UNICAST_HOPS, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_TCLASS, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVTCLASS, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVERR, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_MTU_DISCOVER, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_MTU, GET),
	INT_OPT(IPPROTO_IPV6, IPV6_DONTFRAG, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_2292PKTINFO, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_2292HOPLIMIT, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_MULTICAST_IF, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_MULTICAST_ALL, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVERR_RFC4884, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVHOPOPTS, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVRTHDR, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVDSTOPTS, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVPATHMTU, BOTH),
	{IPPROTO_IPV6, IPV6_PATHMTU, 0, 32, GET},
	INT_OPT(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_MINHOPCOUNT, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_ORIGDSTADDR, BOTH),
	INT_OPT(IPPROTO_IPV6, IPV6_UNICAST_IF, GET),
	INT_OPT(IPPROTO_IPV6, IPV6_RECVFRAGSIZE, BOTH),
	REFUSE(IPPROTO_IPV6, IPV6_FREEBIND),
	REFUSE(IPPROTO_IPV6, IPV6_ADDRFORM),
	REFUSE(IPPROTO_IPV6, IPV6_RTHDR),
	REFUSE(IPPROTO_IPV6, IPV6_HOPOPTS),
	REFUSE(IPPROTO_IPV6, IPV6_DSTOPTS),
	REFUSE(IPPROTO_IPV6, IPV6_RTHDRDSTOPTS),
	REFUSE(IPPROTO_IPV6, IPV6_HDRINCL),
	REFUSE(IPPROTO_IPV6, IPV6_TRANSPARENT),
};

/* The table's row, or NULL with the -errno in *err. */
static const struct opt *find(int level, int name, unsigned how, int *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct opt *o = &options[i];

		if (o->level != level || o->name != name)
			continue;
		*err = o->how & REFUSED ? -EPERM : -ENOPROTOOPT;
		return o->how & how ? o : NULL;
	}
	*err = -ENOPROTOOPT;
	return NULL;
}

/* ---- what is the sentry's own of unix sockets ---- */

/* Credentials of a peer outside as the app knows them. */
static void fix_peercred(struct task *t, struct ucred *c)
{
	c->pid = 0;
	if (c->uid != (uid_t)-1)
		c->uid = c->uid == getuid() ? t->proc->uid : OVERFLOW_ID;
	if (c->gid != (gid_t)-1)
		c->gid = c->gid == getgid() ? t->proc->gid : OVERFLOW_ID;
}

static void get_peercred(struct task *t, struct sock *s, struct ucred *host)
{
	struct ucred c;

	net_cred_peer(s, &c);
	if (c.uid != (uid_t)-1)
		*host = c;
	else
		fix_peercred(t, host);
}

static atomic_bool *pass_flag(struct sock *s, int name)
{
	if (s->domain != AF_UNIX && s->domain != AF_NETLINK)
		return NULL;
	return name == SO_PASSCRED ? &s->passcred : name == SO_PASSPIDFD ? &s->passpidfd : NULL;
}

/* Options that the host is not asked for: 1 with the value in *v, 0: not one of them, or -errno. */
static int get_own(struct task *t, struct sock *s, int name, int *v)
{
	struct ucred c;

	if (pass_flag(s, name)) {
		*v = *pass_flag(s, name);
		return 1;
	}
	if (s->domain != AF_UNIX)
		return 0;
	if (name == SO_PEERPIDFD) {
		net_cred_peer(s, &c);
		*v = c.pid ? net_cred_pidfd(t, c.pid) : -ENODATA;
		return *v < 0 ? *v : 1;
	}
	if (name == SO_PEERGROUPS) { /* the sandbox's processes have none */
		net_cred_peer(s, &c);
		return c.uid == (uid_t)-1 ? -ENODATA : 1;
	}
	return 0;
}

static long give(struct task *t, const void *data, int n, struct gptr val, struct gptr lenp)
{
	if (gmem_write(t->proc->mm, val, data, n))
		return -EFAULT;
	return gmem_write(t->proc->mm, lenp, &n, sizeof(n));
}

static void set_linger(struct sock *s, struct linger *l)
{
	s->linger = 0;
	if (!l->l_onoff || (l->l_linger >= 0 && l->l_linger <= LINGER_MAX))
		return;
	s->linger = l->l_linger;
	l->l_linger = LINGER_MAX;
}

static int own_level(const struct sock *s)
{
	return s->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
}

/* A level that the socket knows nothing of. */
static int level_error(const struct sock *s, int level, bool get)
{
	if (level == SOL_SOCKET)
		return 0;
	if (s->domain == AF_UNIX)
		return -EOPNOTSUPP;
	if (s->domain != AF_INET || level == IPPROTO_IP ||
	    level == own_level(s))
		return 0;
	return get ? -EOPNOTSUPP : -ENOPROTOOPT;
}

/* What a socket was made as: of a netlink socket the host's is something else. */
static void fix_kind(const struct sock *s, int name, int *v)
{
	if (name == SO_TYPE)
		*v = s->type;
	else if (name == SO_DOMAIN)
		*v = s->domain;
	else if (name == SO_PROTOCOL)
		*v = s->protocol;
}

long net_getsockopt(struct task *t, struct file *f, int level, int name, struct gptr val,
		    struct gptr lenp)
{
	union {
		uint8_t bytes[OPT_MAX];
		struct ucred cred;
		struct linger linger;
		int val;
	} u = {0};
	struct netlink *nl = netlink_of(f);
	const struct opt *o;
	socklen_t n;
	int len, err;

	if (nl && level == SOL_NETLINK)
		return netlink_getsockopt(t, nl, name, val, lenp);
	if (gmem_read(t->proc->mm, &len, lenp, sizeof(len)))
		return -EFAULT;
	if (len < 0)
		return -EINVAL;
	if (nl && level != SOL_SOCKET)
		return -ENOPROTOOPT;
	err = level_error(net_sock(f), level, true);
	if (err)
		return err;
	if (level == SOL_SOCKET) {
		err = get_own(t, net_sock(f), name, &u.val);
		if (err < 0)
			return err;
		if (err)
			return give(t, &u, name == SO_PEERGROUPS ? 0 : MIN(len, (int)sizeof(int)), val,
				    lenp);
	}
	o = find(level, name, GET, &err);
	if (!o)
		return err;
	n = MIN(len, (int)o->max);
	if (level == SOL_SOCKET && name == SO_PEERCRED)
		n = sizeof(u.cred);
	if (getsockopt(f->hostfd, level, name, &u, &n))
		return -errno;
	if (level == SOL_SOCKET && name == SO_PEERCRED)
		get_peercred(t, net_sock(f), &u.cred);
	if (nl)
		fix_kind(net_sock(f), name, &u.val);
	if (level == SOL_SOCKET && name == SO_LINGER && u.linger.l_onoff && net_sock(f)->linger)
		u.linger.l_linger = net_sock(f)->linger;
	return give(t, &u, MIN((int)n, len), val, lenp);
}

static void note_timeout(struct sock *s, int name, const void *val)
{
	const struct timeval *tv = val;
	bool on = tv->tv_sec || tv->tv_usec;

	if (name == SO_RCVTIMEO || name == SO_RCVTIMEO_NEW)
		s->rcvtimeo = on;
	else if (name == SO_SNDTIMEO || name == SO_SNDTIMEO_NEW)
		s->sndtimeo = on;
}

long net_setsockopt(struct task *t, struct sysargs *a, int level, int name, struct gptr val,
		    uint32_t len)
{
	struct file *f = a->file[0];
	_Alignas(8) uint8_t buf[OPT_MAX] = {0};
	struct netlink *nl = netlink_of(f);
	const struct opt *o;
	atomic_bool *flag;
	int err;

	if (len > INT32_MAX)
		return -EINVAL;
	if (nl && level == SOL_NETLINK)
		return netlink_setsockopt(t, nl, name, val, len);
	if (nl && level != SOL_SOCKET)
		return -ENOPROTOOPT;
	err = level_error(net_sock(f), level, false);
	if (err)
		return err;
	if (net_mcast_option(level, name))
		return net_mcast_set(t, a, f, level, name, val, len);
	o = find(level, name, SET, &err);
	/* Linux looks at the length first where all options but a few are numbers. */
	if (err == -ENOPROTOOPT && !o && len < sizeof(int) &&
	    (level == SOL_SOCKET || level == own_level(net_sock(f))))
		return -EINVAL;
	if (!o)
		return err;
	if (len < o->min && level == SOL_SOCKET) /* else the host has its rules */
		return -EINVAL;
	len = MIN(len, (uint32_t)o->max);
	if (gmem_read(t->proc->mm, buf, val, len))
		return -EFAULT;
	if (level == SOL_SOCKET && name == SO_LINGER)
		set_linger(net_sock(f), (struct linger *)buf);
	flag = level == SOL_SOCKET ? pass_flag(net_sock(f), name) : NULL;
	if (flag) {
		*flag = *(int *)buf != 0;
		if (*flag)
			net_cred_passing();
		return 0;
	}
	if (setsockopt(f->hostfd, level, name, buf, len))
		return -errno;
	if (level == SOL_SOCKET)
		note_timeout(net_sock(f), name, buf);
	return 0;
}
