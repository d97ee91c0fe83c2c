/* Multicast groups. What arrives for a group that somebody on the host has joined any socket bound to its port
 * could get anyway; but joining asks the network for it, so the policy must grant listening on the group's
 * address, at the port that the socket is bound to. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "base/overflow.h"
#include "sentry/auditx.h"
#include "sentry/net.h"
#include "sentry/sys.h"

#define REQ_MAX sizeof(struct group_source_req)

enum form { MREQ4, MREQ6, GROUP }; /* where the group is in the argument */

static const struct mcast {
	int level, name;
	uint16_t min, max;
	uint8_t form;
	bool joins;
} rows[] = {
	{IPPROTO_IP, IP_ADD_MEMBERSHIP, 8, 12, MREQ4, true},
	{IPPROTO_IP, IP_DROP_MEMBERSHIP, 8, 12, MREQ4, false},
	{IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, 12, 12, MREQ4, true},
	{IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, 12, 12, MREQ4, false},
	{IPPROTO_IP, IP_BLOCK_SOURCE, 12, 12, MREQ4, false},
	{IPPROTO_IP, IP_UNBLOCK_SOURCE, 12, 12, MREQ4, false},
	{IPPROTO_IPV6, IPV6_JOIN_GROUP, 20, 20, MREQ6, true},
	{IPPROTO_IPV6, IPV6_LEAVE_GROUP, 20, 20, MREQ6, false},
	{IPPROTO_IP, MCAST_JOIN_GROUP, sizeof(struct group_req), sizeof(struct group_req), GROUP, true},
	{IPPROTO_IP, MCAST_LEAVE_GROUP, sizeof(struct group_req), sizeof(struct group_req), GROUP, false},
	{IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, REQ_MAX, REQ_MAX, GROUP, true},
	{IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, REQ_MAX, REQ_MAX, GROUP, false},
	{IPPROTO_IPV6, MCAST_JOIN_GROUP, sizeof(struct group_req), sizeof(struct group_req), GROUP, true},
	{IPPROTO_IPV6, MCAST_LEAVE_GROUP, sizeof(struct group_req), sizeof(struct group_req), GROUP, false},
	{IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, REQ_MAX, REQ_MAX, GROUP, true},
	{IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP, REQ_MAX, REQ_MAX, GROUP, false},
};

static const struct mcast *find(int level, int name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].level == level && rows[i].name == name)
			return &rows[i];
	return NULL;
}

bool net_mcast_option(int level, int name)
{
	return find(level, name);
}

/* The group that req names, as a socket address. */
static void group_of(const struct mcast *m, const uint8_t *req, struct sockaddr_storage *ss,
		     socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	*len = sizeof(*ss);
	if (m->form == GROUP) {
		memcpy(ss, req + offsetof(struct group_req, gr_group), sizeof(*ss));
	} else if (m->form == MREQ4) {
		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, req, 4);
	} else {
		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, req, 16);
	}
}

static uint16_t bound_port(const struct file *f)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);

	if (getsockname(f->hostfd, (struct sockaddr *)&ss, &len))
		return 0;
	return ntohs(((struct sockaddr_in *)&ss)->sin_port); /* where IPv6 has it, too */
}

/* 0, or the -errno of the refusal, which is recorded. */
static long judge(struct task *t, struct sysargs *a, struct file *f, const struct mcast *m,
		  const uint8_t *req)
{
	struct net_target tg = {.nverb = POL_NET_LISTEN};
	struct pol_verdict v;
	socklen_t len;
	int err;

	group_of(m, req, &tg.host, &len);
	err = net_addr_parse(net_sock(f), &tg.host, len, &tg.addr);
	if (err)
		return err;
	tg.addr.port = bound_port(f);
	pol_eval_net(sandbox.image, task_view(t), tg.nverb, &tg.addr, &v);
	if (v.action == POL_ALLOW)
		return 0;
	auditx_net(t, a, &v, &tg);
	if (v.action == POL_DENY)
		return -v.value;
	sandbox_end(SBX_EXIT_TERMINATED, "terminated by policy: a multicast group");
	return -EPERM;
}

long net_mcast_set(struct task *t, struct sysargs *a, struct file *f, int level, int name,
		   struct gptr val, uint32_t len)
{
	const struct mcast *m = find(level, name);
	_Alignas(8) uint8_t req[REQ_MAX] = {0};
	long err;

	if (net_sock(f)->type == SOCK_STREAM && level == IPPROTO_IP)
		return -EPROTO;
	if (len < m->min)
		return -EINVAL;
	len = MIN(len, (uint32_t)m->max);
	if (gmem_read(t->proc->mm, req, val, len))
		return -EFAULT;
	err = m->joins ? judge(t, a, f, m, req) : 0;
	if (err)
		return err;
	return setsockopt(f->hostfd, level, name, req, len) ? -errno : 0;
}
