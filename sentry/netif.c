/* Takes the host's interfaces, addresses and routes at start. */
#include "sentry/netif.h"

#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "policy/image.h"

#define DUMP_BUF  32768
#define DUMP_MAX  4096 /* datagrams of one dump */
#define SENDING	  (1u << POL_NET_CONNECT | 1u << POL_NET_SEND)
#define LISTENING (1u << POL_NET_LISTEN)

struct netif netif;
static bool may_send[2]; /* beyond the loopback: IPv4, IPv6 */

typedef void take_fn(const struct pol_image *img, const struct nlmsghdr *h, struct rtattr **tb);

const struct netif_link *netif_by_index(int index)
{
	for (unsigned i = 0; i < netif.nlinks; i++)
		if (netif.link[i].index == index)
			return &netif.link[i];
	return NULL;
}

const struct netif_link *netif_by_name(const char *name)
{
	for (unsigned i = 0; i < netif.nlinks; i++)
		if (!strcmp(netif.link[i].name, name))
			return &netif.link[i];
	return NULL;
}

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return !memcmp(a, b, whole) && (!rest || !((a[whole] ^ b[whole]) >> (8 - rest)));
}

const struct netif_route *netif_route_to(uint8_t family, const uint8_t *addr)
{
	const struct netif_route *best = NULL;

	for (unsigned i = 0; i < netif.nroutes; i++) {
		const struct netif_route *r = &netif.route[i];

		if (r->family != family || !prefix_equal(r->dst, addr, r->dst_len))
			continue;
		if (!best || r->dst_len > best->dst_len ||
		    (r->dst_len == best->dst_len && r->metric < best->metric))
			best = r;
	}
	return best;
}

/* ---- the host's answers ---- */

static uint32_t attr_u32(const struct rtattr *a, uint32_t other)
{
	uint32_t v;

	if (!a || RTA_PAYLOAD(a) < sizeof(v))
		return other;
	memcpy(&v, RTA_DATA(a), sizeof(v));
	return v;
}

static bool attr_bytes(const struct rtattr *a, void *out, size_t n)
{
	if (!a || RTA_PAYLOAD(a) < n)
		return false;
	memcpy(out, RTA_DATA(a), n);
	return true;
}

static void take_link(const struct pol_image *img, const struct nlmsghdr *h, struct rtattr **tb)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	struct netif_link *l = &netif.link[netif.nlinks];
	uint8_t operstate = 0;

	if (netif.nlinks == NETIF_LINKS || !tb[IFLA_IFNAME] || !(m->ifi_flags & IFF_UP))
		return;
	attr_bytes(tb[IFLA_OPERSTATE], &operstate, 1);
	*l = (struct netif_link){
		.index = m->ifi_index,
		.flags = m->ifi_flags,
		.type = m->ifi_type,
		.mtu = attr_u32(tb[IFLA_MTU], 1500),
		.txqlen = attr_u32(tb[IFLA_TXQLEN], 1000),
		.operstate = operstate,
	};
	memcpy(l->name, RTA_DATA(tb[IFLA_IFNAME]),
	       MIN(RTA_PAYLOAD(tb[IFLA_IFNAME]), sizeof(l->name) - 1));
	netif.nlinks++;
}

/* Of the loopback interface, and no address of the host's that was put there. */
static bool is_loopback(const struct netif_addr *a)
{
	static const uint8_t one[16] = {[15] = 1};
	const struct netif_link *l = netif_by_index(a->index);

	return l && (l->flags & IFF_LOOPBACK) &&
	       (a->family == AF_INET ? a->addr[0] == 127 : !memcmp(a->addr, one, 16));
}

static bool may_tell(const struct pol_image *img, const struct netif_addr *a)
{
	if (!netif_by_index(a->index))
		return false;
	return is_loopback(a) || may_send[a->family == AF_INET6] ||
	       pol_net_grants(img, LISTENING, a->family == AF_INET ? 4 : 6, a->addr);
}

static void take_addr(const struct pol_image *img, const struct nlmsghdr *h, struct rtattr **tb)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	struct netif_addr *a = &netif.addr[netif.naddrs];
	size_t n = m->ifa_family == AF_INET ? 4 : 16;

	if (netif.naddrs == NETIF_ADDRS || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6))
		return;
	*a = (struct netif_addr){
		.family = m->ifa_family,
		.prefix = MIN(m->ifa_prefixlen, n * 8),
		.scope = m->ifa_scope,
		.index = m->ifa_index,
		.flags = attr_u32(tb[IFA_FLAGS], m->ifa_flags),
	};
	/* Of a point-to-point link the other end is not told. */
	if (!attr_bytes(tb[IFA_LOCAL], a->addr, n) && !attr_bytes(tb[IFA_ADDRESS], a->addr, n))
		return;
	a->has_brd = n == 4 && attr_bytes(tb[IFA_BROADCAST], a->brd, 4);
	netif.naddrs += may_tell(img, a);
}

static void take_route(const struct pol_image *img, const struct nlmsghdr *h, struct rtattr **tb)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	struct netif_route *r = &netif.route[netif.nroutes];
	size_t n = m->rtm_family == AF_INET ? 4 : 16;

	if (netif.nroutes == NETIF_ROUTES ||
	    (m->rtm_family != AF_INET && m->rtm_family != AF_INET6) ||
	    attr_u32(tb[RTA_TABLE], m->rtm_table) != RT_TABLE_MAIN || m->rtm_type != RTN_UNICAST ||
	    (m->rtm_flags & RTM_F_CLONED) || !may_send[m->rtm_family == AF_INET6])
		return;
	*r = (struct netif_route){
		.family = m->rtm_family,
		.dst_len = MIN(m->rtm_dst_len, n * 8),
		.protocol = m->rtm_protocol,
		.scope = m->rtm_scope,
		.type = m->rtm_type,
		.index = (int)attr_u32(tb[RTA_OIF], 0),
		.metric = attr_u32(tb[RTA_PRIORITY], 0),
	};
	if (r->dst_len && !attr_bytes(tb[RTA_DST], r->dst, n))
		return;
	r->has_gateway = attr_bytes(tb[RTA_GATEWAY], r->gateway, n);
	r->has_prefsrc = attr_bytes(tb[RTA_PREFSRC], r->prefsrc, n);
	netif.nroutes += netif_by_index(r->index) != NULL;
}

#define ATTRS 64

static void split(const struct nlmsghdr *h, size_t head, struct rtattr **tb)
{
	struct rtattr *a = (struct rtattr *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(head));
	int len = (int)h->nlmsg_len - (int)NLMSG_SPACE(head);

	memset(tb, 0, ATTRS * sizeof(*tb));
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type < ATTRS)
			tb[a->rta_type] = a;
}

/* Takes the messages of one datagram. False at the end of the dump. */
static bool take_all(const struct pol_image *img, struct nlmsghdr *h, uint32_t len, size_t head,
		     take_fn *take)
{
	struct rtattr *tb[ATTRS];

	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return false;
		if (h->nlmsg_len < NLMSG_LENGTH(head))
			continue;
		split(h, head, tb);
		take(img, h, tb);
	}
	return true;
}

static void dump(int fd, const struct pol_image *img, uint16_t type, size_t head, take_fn *take)
{
	static _Alignas(8) char buf[DUMP_BUF];
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
		char pad[32];
	} req = {.h = {.nlmsg_len = NLMSG_LENGTH(head), .nlmsg_type = type,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	ssize_t n;

	if (send(fd, &req, req.h.nlmsg_len, 0) < 0)
		return;
	for (int i = 0; i < DUMP_MAX; i++) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0 || !take_all(img, (struct nlmsghdr *)buf, (uint32_t)n, head, take))
			return;
	}
}

/* Interfaces none of whose addresses may be told look absent. */
static void drop_links(void)
{
	unsigned kept = 0, k;

	for (unsigned i = 0; i < netif.nlinks; i++) {
		for (k = 0; k < netif.naddrs && netif.addr[k].index != netif.link[i].index; k++)
			;
		if (k < netif.naddrs || (netif.link[i].flags & IFF_LOOPBACK))
			netif.link[kept++] = netif.link[i];
	}
	netif.nlinks = kept;
}

/* Where the host tells nothing: what every Linux has. */
static void assume_loopback(void)
{
	netif.link[0] = (struct netif_link){
		.index = 1, .flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING, .mtu = 65536,
		.txqlen = 1000, .type = ARPHRD_LOOPBACK, .name = "lo"};
	netif.addr[0] = (struct netif_addr){
		.family = AF_INET, .prefix = 8, .scope = RT_SCOPE_HOST, .flags = IFA_F_PERMANENT,
		.index = 1, .addr = {127, 0, 0, 1}};
	netif.nlinks = netif.naddrs = 1;
}

void netif_init(const struct pol_image *img)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0) {
		assume_loopback();
		return;
	}
	may_send[0] = pol_net_grants(img, SENDING, 4, NULL);
	may_send[1] = pol_net_grants(img, SENDING, 6, NULL);
	dump(fd, img, RTM_GETLINK, sizeof(struct ifinfomsg), take_link);
	dump(fd, img, RTM_GETADDR, sizeof(struct ifaddrmsg), take_addr);
	drop_links();
	if (may_send[0] || may_send[1])
		dump(fd, img, RTM_GETROUTE, sizeof(struct rtmsg), take_route);
}
