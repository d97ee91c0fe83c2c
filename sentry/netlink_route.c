/* Requests to the route family, and their answers. Nothing can be changed. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <string.h>
#include "base/overflow.h"
#include "sentry/netif.h"
#include "sentry/netlink.h"

#define REPLY_MAX 3584u /* what a reader with a page for a buffer can take */
#define ATTRS	  64

/* The answer that is being written: sent by and by. */
struct reply {
	struct netlink *nl;
	const struct nlmsghdr *req;
	uint16_t flags; /* of each message */
	int err;
	size_t used, start; /* start: of the message in the making */
	_Alignas(8) char buf[REPLY_MAX];
};

/* ---- writing ---- */

static void flush(struct reply *r)
{
	struct iovec iov = {r->buf, r->used};
	const struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (r->used && !r->err && sendmsg(r->nl->peer, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		r->err = -ENOBUFS;
	r->used = 0;
}

/* n more bytes, zeroed; the caller has made sure that they fit. */
static void *grow(struct reply *r, size_t n)
{
	char *p = r->buf + r->used;

	n = NLMSG_ALIGN(n);
	memset(p, 0, n);
	r->used += n;
	return p;
}

/* Begins a message that will have up to max bytes; its fixed part of size bytes is returned. */
static void *begin(struct reply *r, uint16_t type, size_t size, size_t max)
{
	struct nlmsghdr *h;

	if (r->used + max > sizeof(r->buf))
		flush(r);
	r->start = r->used;
	h = grow(r, sizeof(*h));
	h->nlmsg_type = type;
	h->nlmsg_flags = r->flags;
	h->nlmsg_seq = r->req->nlmsg_seq;
	h->nlmsg_pid = r->nl->port;
	return grow(r, size);
}

static void attr(struct reply *r, uint16_t type, const void *data, size_t n)
{
	struct rtattr *a = grow(r, RTA_LENGTH(n));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(n);
	memcpy(RTA_DATA(a), data, n);
}

static void attr_u32(struct reply *r, uint16_t type, uint32_t v)
{
	attr(r, type, &v, sizeof(v));
}

static void attr_u8(struct reply *r, uint16_t type, uint8_t v)
{
	attr(r, type, &v, sizeof(v));
}

static void end(struct reply *r)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(r->buf + r->start);

	h->nlmsg_len = r->used - r->start;
}

/* ---- what is told ---- */

#define MESSAGE_MAX 256u /* bytes of any of the three */

static size_t addr_size(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

static void put_link(struct reply *r, const struct netif_link *l)
{
	static const uint8_t none[6]; /* hardware addresses are not told */
	struct ifinfomsg *m = begin(r, RTM_NEWLINK, sizeof(*m), MESSAGE_MAX);

	m->ifi_type = l->type;
	m->ifi_index = l->index;
	m->ifi_flags = l->flags;
	attr(r, IFLA_IFNAME, l->name, strlen(l->name) + 1);
	attr_u32(r, IFLA_TXQLEN, l->txqlen);
	attr_u8(r, IFLA_OPERSTATE, l->operstate);
	attr_u8(r, IFLA_LINKMODE, 0);
	attr_u32(r, IFLA_MTU, l->mtu);
	attr_u32(r, IFLA_GROUP, 0);
	attr_u8(r, IFLA_CARRIER, 1);
	attr(r, IFLA_QDISC, "noqueue", sizeof("noqueue"));
	if (l->type == ARPHRD_ETHER || l->type == ARPHRD_LOOPBACK) {
		attr(r, IFLA_ADDRESS, none, sizeof(none));
		attr(r, IFLA_BROADCAST, none, sizeof(none));
	}
	end(r);
}

static void put_addr(struct reply *r, const struct netif_addr *a)
{
	const struct ifa_cacheinfo forever = {.ifa_prefered = UINT32_MAX, .ifa_valid = UINT32_MAX};
	const struct netif_link *l = netif_by_index(a->index);
	struct ifaddrmsg *m = begin(r, RTM_NEWADDR, sizeof(*m), MESSAGE_MAX);
	size_t n = addr_size(a->family);

	m->ifa_family = a->family;
	m->ifa_prefixlen = a->prefix;
	m->ifa_flags = (uint8_t)a->flags;
	m->ifa_scope = a->scope;
	m->ifa_index = a->index;
	attr(r, IFA_ADDRESS, a->addr, n);
	if (a->family == AF_INET) {
		attr(r, IFA_LOCAL, a->addr, n);
		if (a->has_brd)
			attr(r, IFA_BROADCAST, a->brd, n);
		if (l)
			attr(r, IFA_LABEL, l->name, strlen(l->name) + 1);
	}
	attr(r, IFA_CACHEINFO, &forever, sizeof(forever));
	attr_u32(r, IFA_FLAGS, a->flags);
	end(r);
}

static void put_route(struct reply *r, const struct netif_route *rt)
{
	struct rtmsg *m = begin(r, RTM_NEWROUTE, sizeof(*m), MESSAGE_MAX);
	size_t n = addr_size(rt->family);

	m->rtm_family = rt->family;
	m->rtm_dst_len = rt->dst_len;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = rt->protocol;
	m->rtm_scope = rt->scope;
	m->rtm_type = rt->type;
	attr_u32(r, RTA_TABLE, RT_TABLE_MAIN);
	if (rt->dst_len)
		attr(r, RTA_DST, rt->dst, n);
	if (rt->metric)
		attr_u32(r, RTA_PRIORITY, rt->metric);
	if (rt->has_gateway)
		attr(r, RTA_GATEWAY, rt->gateway, n);
	if (rt->has_prefsrc)
		attr(r, RTA_PREFSRC, rt->prefsrc, n);
	attr_u32(r, RTA_OIF, (uint32_t)rt->index);
	end(r);
}

/* ---- requests ---- */

/* The request's attributes behind a fixed part of head bytes. */
static void split(const struct nlmsghdr *h, size_t head, const struct rtattr **tb)
{
	const struct rtattr *a = (const void *)((const char *)h + NLMSG_SPACE(head));
	size_t left = h->nlmsg_len > NLMSG_SPACE(head) ? h->nlmsg_len - NLMSG_SPACE(head) : 0;

	memset(tb, 0, ATTRS * sizeof(*tb));
	while (left >= sizeof(*a) && a->rta_len >= sizeof(*a) && a->rta_len <= left) {
		size_t step = MIN(RTA_ALIGN(a->rta_len), left);

		if (a->rta_type < ATTRS)
			tb[a->rta_type] = a;
		left -= step;
		a = (const void *)((const char *)a + step);
	}
}

static bool attr_name(const struct rtattr *a, char name[IFNAMSIZ])
{
	if (!a || RTA_PAYLOAD(a) == 0 || RTA_PAYLOAD(a) > IFNAMSIZ)
		return false;
	memset(name, 0, IFNAMSIZ);
	memcpy(name, RTA_DATA(a), MIN(RTA_PAYLOAD(a), (size_t)IFNAMSIZ - 1));
	return true;
}

/* One link, by index or name. */
static int get_link(struct reply *r)
{
	const struct ifinfomsg *m = NLMSG_DATA(r->req);
	const struct netif_link *l = NULL;
	const struct rtattr *tb[ATTRS];
	char name[IFNAMSIZ];

	if (r->req->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EINVAL;
	split(r->req, sizeof(*m), tb);
	if (m->ifi_index > 0)
		l = netif_by_index(m->ifi_index);
	else if (attr_name(tb[IFLA_IFNAME], name) || attr_name(tb[IFLA_ALT_IFNAME], name))
		l = netif_by_name(name);
	else
		return -EINVAL;
	if (!l)
		return -ENODEV;
	put_link(r, l);
	return 0;
}

/* The route to one address. */
static int get_route(struct reply *r)
{
	static const uint8_t loop6[16] = {[15] = 1};
	const struct rtmsg *m = NLMSG_DATA(r->req);
	const struct netif_route *found;
	struct netif_route rt = {0};
	const struct rtattr *tb[ATTRS];
	size_t n;

	if (r->req->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EINVAL;
	if (m->rtm_family != AF_INET && m->rtm_family != AF_INET6)
		return -EOPNOTSUPP;
	n = addr_size(m->rtm_family);
	split(r->req, sizeof(*m), tb);
	if (!tb[RTA_DST] || RTA_PAYLOAD(tb[RTA_DST]) != n)
		return -EINVAL;
	memcpy(rt.dst, RTA_DATA(tb[RTA_DST]), n);
	found = netif_route_to(m->rtm_family, rt.dst);
	if (m->rtm_family == AF_INET ? rt.dst[0] == 127 : !memcmp(rt.dst, loop6, 16)) {
		rt.type = RTN_LOCAL;
		rt.index = netif.nlinks ? netif.link[0].index : 1;
	} else if (!found) {
		return -ENETUNREACH;
	} else {
		const struct netif_route asked = rt;

		rt = *found;
		memcpy(rt.dst, asked.dst, n);
	}
	rt.family = m->rtm_family;
	rt.dst_len = n * 8;
	put_route(r, &rt);
	return 0;
}

static void dump_addrs(struct reply *r)
{
	const struct ifaddrmsg *m = NLMSG_DATA(r->req);
	bool whole = r->req->nlmsg_len >= NLMSG_LENGTH(sizeof(*m));
	uint8_t family = ((const struct rtgenmsg *)NLMSG_DATA(r->req))->rtgen_family;

	for (unsigned i = 0; i < netif.naddrs; i++) {
		const struct netif_addr *a = &netif.addr[i];

		if (family && a->family != family)
			continue;
		if (r->nl->strict && whole && m->ifa_index && (int)m->ifa_index != a->index)
			continue;
		put_addr(r, a);
	}
}

static int dump(struct reply *r)
{
	uint8_t family = ((const struct rtgenmsg *)NLMSG_DATA(r->req))->rtgen_family;
	unsigned i;

	r->flags = NLM_F_MULTI;
	switch (r->req->nlmsg_type) {
	case RTM_GETLINK:
		for (i = 0; i < netif.nlinks; i++)
			put_link(r, &netif.link[i]);
		break;
	case RTM_GETADDR:
		dump_addrs(r);
		break;
	case RTM_GETROUTE:
		for (i = 0; i < netif.nroutes; i++)
			if (!family || netif.route[i].family == family)
				put_route(r, &netif.route[i]);
		break;
	case RTM_GETNEIGH: /* none is told */
		break;
	default:
		return -EOPNOTSUPP;
	}
	memset(begin(r, NLMSG_DONE, sizeof(int), NLMSG_SPACE(sizeof(int))), 0, sizeof(int));
	end(r);
	return 0;
}

/* Handles one request; what it answers is in r. 0 or the -errno of its acknowledgement. */
static int request(struct reply *r)
{
	const struct nlmsghdr *h = r->req;

	if (h->nlmsg_type < RTM_BASE || h->nlmsg_type > RTM_MAX)
		return -EOPNOTSUPP;
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtgenmsg)))
		return 0;
	if ((h->nlmsg_type & 3) != (RTM_GETLINK & 3))
		return -EPERM;
	if ((h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP)
		return dump(r);
	if (h->nlmsg_type == RTM_GETLINK)
		return get_link(r);
	if (h->nlmsg_type == RTM_GETROUTE)
		return get_route(r);
	return -EOPNOTSUPP;
}

static void acknowledge(struct reply *r, int err)
{
	const struct nlmsghdr *h = r->req;
	bool whole = err && !r->nl->cap_ack;
	size_t n = whole ? MIN(h->nlmsg_len, REPLY_MAX / 2) : sizeof(*h);
	struct nlmsgerr *e;

	r->flags = !whole ? NLM_F_CAPPED : 0;
	e = begin(r, NLMSG_ERROR, sizeof(e->error) + n, NLMSG_SPACE(sizeof(*e) + n));
	e->error = err;
	memcpy(&e->msg, h, n);
	end(r);
}

int netlink_route(struct netlink *nl, const void *data, size_t len)
{
	struct reply r = {.nl = nl};
	bool dumps;
	int err;

	while (len >= sizeof(struct nlmsghdr) && !r.err) {
		const struct nlmsghdr *h = data;
		size_t step;

		if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > len)
			break;
		step = MIN(NLMSG_ALIGN(h->nlmsg_len), len);
		r.req = h;
		r.flags = 0;
		err = 0;
		dumps = false;
		if ((h->nlmsg_flags & NLM_F_REQUEST) && h->nlmsg_type >= NLMSG_MIN_TYPE) {
			err = request(&r);
			dumps = !err && (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
		}
		flush(&r);
		if (err || ((h->nlmsg_flags & NLM_F_ACK) && !dumps))
			acknowledge(&r, err);
		flush(&r);
		data = (const char *)data + step;
		len -= step;
	}
	return r.err;
}
