/* Socket addresses: form checks, and the view that the policy judges. No host calls here. */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include "sentry/net.h"

#define SIN6_LEN_OLD 24 /* struct sockaddr_in6 without the scope, which Linux still takes */

static int parse_in4(const struct sockaddr_storage *ss, socklen_t len, struct pol_addr *out)
{
	struct sockaddr_in in;

	if (len < sizeof(in))
		return -EINVAL;
	memcpy(&in, ss, sizeof(in));
	out->family = 4;
	out->port = ntohs(in.sin_port);
	memcpy(out->ip, &in.sin_addr, 4);
	return 0;
}

static int parse_in6(const struct sockaddr_storage *ss, socklen_t len, struct pol_addr *out)
{
	struct sockaddr_in6 in6;

	if (len < SIN6_LEN_OLD)
		return -EINVAL;
	memset(&in6, 0, sizeof(in6));
	memcpy(&in6, ss, len < sizeof(in6) ? len : sizeof(in6));
	out->port = ntohs(in6.sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
		out->family = 4;
		memcpy(out->ip, in6.sin6_addr.s6_addr + 12, 4);
	} else {
		out->family = 6;
		memcpy(out->ip, &in6.sin6_addr, 16);
	}
	return 0;
}

static int parse_unix(const struct sockaddr_storage *ss, socklen_t len, struct pol_addr *out)
{
	if (len < offsetof(struct sockaddr_un, sun_path) || len > sizeof(struct sockaddr_un))
		return -EINVAL;
	out->family = 0;
	return 0;
}

int net_addr_parse(const struct sock *s, const struct sockaddr_storage *ss, socklen_t len,
		   struct pol_addr *out)
{
	memset(out, 0, sizeof(*out));
	if (len < sizeof(sa_family_t) || len > sizeof(*ss))
		return -EINVAL;
	if (s->domain == AF_UNIX) {
		out->proto = POL_PROTO_UNIX;
		return ss->ss_family == AF_UNIX ? parse_unix(ss, len, out) : -EINVAL;
	}
	out->proto = s->type == SOCK_STREAM ? POL_PROTO_TCP : POL_PROTO_UDP;
	if (ss->ss_family == AF_INET)
		return parse_in4(ss, len, out);
	if (ss->ss_family == AF_INET6 && s->domain == AF_INET6)
		return parse_in6(ss, len, out);
	return -EAFNOSUPPORT;
}
