/* /proc/net: the sandbox's own sockets, and of interfaces what sentry/netif.h tells. */
#include "sentry/procfs.h"

#include <inttypes.h>
#include <linux/if_addr.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include "sentry/file.h"
#include "sentry/net.h"
#include "sentry/netif.h"

/* ---- sockets ---- */

/* What the host knows of one. */
struct seen {
	struct sockaddr_storage own, peer;
	socklen_t own_len, peer_len;
	int state; /* TCP_* */
	uint64_t ino;
	unsigned uid;
	struct sock *s;
};

struct listing {
	struct buf *out;
	int domain, type;
	unsigned n;
};

static bool look(struct sock *s, struct seen *v)
{
	int fd = s->file->hostfd, on = 0;
	socklen_t len = sizeof(on);
	struct tcp_info info;
	struct stat st;

	memset(v, 0, sizeof(*v));
	v->s = s;
	v->own_len = v->peer_len = sizeof(v->own);
	if (fstat(fd, &st) || getsockname(fd, (struct sockaddr *)&v->own, &v->own_len))
		return false;
	v->ino = st.st_ino;
	v->uid = current ? current->proc->uid : 0;
	if (getpeername(fd, (struct sockaddr *)&v->peer, &v->peer_len))
		v->peer_len = 0;
	v->state = v->peer_len ? TCP_ESTABLISHED : TCP_CLOSE;
	if (s->domain == AF_UNIX && !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) && on)
		v->state = TCP_LISTEN;
	len = sizeof(info);
	if (s->domain != AF_UNIX && s->type == SOCK_STREAM) {
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
			return false;
		v->state = info.tcpi_state;
	}
	return true;
}

static void print_end(struct buf *out, const struct sockaddr_storage *ss, socklen_t len, int domain)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	uint32_t w[4] = {0};

	if (domain == AF_INET) {
		buf_printf(out, " %08X:%04X", len ? in->sin_addr.s_addr : 0,
			   len ? ntohs(in->sin_port) : 0);
		return;
	}
	if (len)
		memcpy(w, &in6->sin6_addr, sizeof(w));
	buf_printf(out, " %08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3],
		   len ? ntohs(in6->sin6_port) : 0);
}

static void inet_row(struct listing *l, const struct seen *v)
{
	bool tcp = l->type == SOCK_STREAM;

	/* TCP lists what listens or speaks, UDP what has a port. */
	if (tcp ? v->state == TCP_CLOSE : !((const struct sockaddr_in *)&v->own)->sin_port)
		return;
	buf_printf(l->out, tcp ? "%4u:" : "%5u:", l->n++);
	print_end(l->out, &v->own, v->own_len, l->domain);
	print_end(l->out, &v->peer, v->peer_len, l->domain);
	buf_printf(l->out, " %02X 00000000:00000000 00:00000000 00000000 %5u        0 %" PRIu64,
		   v->state, v->uid, v->ino);
	buf_puts(l->out, tcp ? " 1 0000000000000000 100 0 0 10 0\n" : " 2 0000000000000000 0\n");
}

static void unix_row(struct listing *l, struct seen *v)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&v->own;
	size_t off = offsetof(struct sockaddr_un, sun_path), n;

	buf_printf(l->out, "0000000000000000: 00000002 00000000 %08X %04X %02X %5" PRIu64,
		   v->state == TCP_LISTEN ? 0x10000 : 0, v->s->type, v->peer_len ? 3 : 1, v->ino);
	if (v->s->name) {
		un = &v->s->name->app;
		n = v->s->name->app_len > off ? v->s->name->app_len - off : 0;
		if (n && un->sun_path[0])
			buf_printf(l->out, " %.*s", (int)n, un->sun_path);
		else if (n)
			buf_printf(l->out, " @%.*s", (int)n - 1, un->sun_path + 1);
	}
	buf_puts(l->out, "\n");
}

static void visit(struct sock *s, void *arg)
{
	struct listing *l = arg;
	struct seen v;

	if (s->domain != l->domain || (l->type && s->type != l->type) || !look(s, &v))
		return;
	if (l->domain == AF_UNIX)
		unix_row(l, &v);
	else
		inet_row(l, &v);
}

static int list(struct buf *out, const char *head, int domain, int type)
{
	struct listing l = {.out = out, .domain = domain, .type = type};

	buf_printf(out, "%s\n", head);
	net_each(visit, &l);
	return 0;
}

#define INET_HEAD                                                                                  \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
#define INET6_HEAD                                                                                 \
	"  sl  local_address                         remote_address                        st "    \
	"tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"

static int show_tcp(const struct pseudo_key *k, struct buf *out)
{
	return list(out, INET_HEAD, AF_INET, SOCK_STREAM);
}

static int show_tcp6(const struct pseudo_key *k, struct buf *out)
{
	return list(out, INET6_HEAD, AF_INET6, SOCK_STREAM);
}

static int show_udp(const struct pseudo_key *k, struct buf *out)
{
	return list(out, " " INET_HEAD " ref pointer drops", AF_INET, SOCK_DGRAM);
}

static int show_udp6(const struct pseudo_key *k, struct buf *out)
{
	return list(out, INET6_HEAD " ref pointer drops", AF_INET6, SOCK_DGRAM);
}

static int show_unix(const struct pseudo_key *k, struct buf *out)
{
	return list(out, "Num       RefCount Protocol Flags    Type St Inode Path", AF_UNIX, 0);
}

/* ---- interfaces ---- */

/* The counters are the host's to know. */
static int show_dev(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "Inter-|   Receive                                                |  Transmit\n"
		      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
		      "packets errs drop fifo colls carrier compressed\n");
	for (unsigned i = 0; i < netif.nlinks; i++)
		buf_printf(out,
			   "%6s:       0       0    0    0    0     0          0         0"
			   "        0       0    0    0    0     0       0          0\n",
			   netif.link[i].name);
	return 0;
}

static int show_if_inet6(const struct pseudo_key *k, struct buf *out)
{
	for (unsigned i = 0; i < netif.naddrs; i++) {
		const struct netif_addr *a = &netif.addr[i];
		const struct netif_link *l = netif_by_index(a->index);
		unsigned scope = a->scope == 253 ? 0x20 : a->scope == 254 ? 0x10 : 0;

		if (a->family != AF_INET6 || !l)
			continue;
		for (unsigned b = 0; b < 16; b++)
			buf_printf(out, "%02x", a->addr[b]);
		buf_printf(out, " %02x %02x %02x %02x %8s\n", (unsigned)a->index, a->prefix, scope,
			   a->flags & 0xff, l->name);
	}
	return 0;
}

static int show_route(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%-127s\n",
		   "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
	for (unsigned i = 0; i < netif.nroutes; i++) {
		const struct netif_route *r = &netif.route[i];
		const struct netif_link *l = netif_by_index(r->index);
		uint32_t dst, gateway, mask = r->dst_len ? htonl(UINT32_MAX << (32 - r->dst_len)) : 0;
		char row[128];

		if (r->family != AF_INET || !l)
			continue;
		memcpy(&dst, r->dst, 4);
		memcpy(&gateway, r->gateway, 4);
		snprintf(row, sizeof(row), "%s\t%08X\t%08X\t%04X\t0\t0\t%u\t%08X\t0\t0\t0", l->name, dst,
			 gateway, 1 | (r->has_gateway ? 2 : 0), r->metric, mask);
		buf_printf(out, "%-127s\n", row);
	}
	return 0;
}

static int show_arp(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "IP address       HW type     Flags       HW address            Mask     Device\n");
	return 0;
}

const struct pseudo_entry procfs_net[] = {
	PROC_REG("arp", 0444, show_arp),
	PROC_REG("dev", 0444, show_dev),
	PROC_REG("if_inet6", 0444, show_if_inet6),
	PROC_REG("route", 0444, show_route),
	PROC_REG("tcp", 0444, show_tcp),
	PROC_REG("tcp6", 0444, show_tcp6),
	PROC_REG("udp", 0444, show_udp),
	PROC_REG("udp6", 0444, show_udp6),
	PROC_REG("unix", 0444, show_unix),
	PROC_END,
};
