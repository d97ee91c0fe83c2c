/* Tries to reach what its policy does not grant, by every other name that Linux has for it. One line
 * for each attempt; tests/net/gate.t knows what they must be. argv: port granted on 127.0.0.1, another
 * port that listens there, a unix socket of the host that is granted, one that is not. */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <errno.h>
#include "tests/net/addr.h"

static void say(const char *what, long r)
{
	printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "done");
}

static void connects(const char *what, int domain, const void *a, socklen_t n)
{
	int s = socket(domain, SOCK_STREAM, 0);

	say(what, connect(s, a, n));
	close(s);
}

static void tcp(int granted, int other)
{
	struct sockaddr_in a = v4("127.0.0.1", granted), b = v4("127.0.0.1", other);
	struct sockaddr_in any = v4("0.0.0.0", other), two = v4("127.0.0.2", other);
	struct sockaddr_in6 m = v6("::ffff:127.0.0.1", other), z = v6("::ffff:0.0.0.0", other);
	struct sockaddr_in6 g = v6("::ffff:127.0.0.1", granted), all = v6("::", other);
	int s;

	connects("granted", AF_INET, &a, sizeof(a));
	connects("granted, mapped", AF_INET6, &g, sizeof(g));
	connects("other port", AF_INET, &b, sizeof(b));
	connects("wildcard", AF_INET, &any, sizeof(any));
	connects("other loopback", AF_INET, &two, sizeof(two));
	connects("mapped", AF_INET6, &m, sizeof(m));
	connects("mapped wildcard", AF_INET6, &z, sizeof(z));
	connects("v6 wildcard", AF_INET6, &all, sizeof(all));
	s = socket(AF_INET, SOCK_STREAM, 0);
	say("fast open", sendto(s, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&b, sizeof(b)));
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){1}, sizeof(int));
	say("fast open connect", connect(s, (struct sockaddr *)&b, sizeof(b)));
	close(s);
	/* A connected socket is let go and connected anew. */
	s = socket(AF_INET, SOCK_STREAM, 0);
	connect(s, (struct sockaddr *)&a, sizeof(a));
	say("disconnect", connect(s, &(struct sockaddr){.sa_family = AF_UNSPEC}, 16));
	say("connect again", connect(s, (struct sockaddr *)&b, sizeof(b)));
	close(s);
}

static void udp(int granted, int other)
{
	struct sockaddr_in a = v4("127.0.0.1", granted), b = v4("127.0.0.1", other), un = b;
	int s = socket(AF_INET, SOCK_DGRAM, 0), s6 = socket(AF_INET6, SOCK_DGRAM, 0);
	struct iovec iov = {"x", 1};
	struct mmsghdr m[2] = {{.msg_hdr = {&a, sizeof(a), &iov, 1, NULL, 0, 0}},
			       {.msg_hdr = {&b, sizeof(b), &iov, 1, NULL, 0, 0}}};
	char ctl[CMSG_SPACE(40)] __attribute__((aligned(8))) = {0};
	struct msghdr h = {&a, sizeof(a), &iov, 1, ctl, sizeof(ctl), 0};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	un.sin_family = AF_UNSPEC;
	say("udp granted", sendto(s, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	say("udp other", sendto(s, "x", 1, 0, (struct sockaddr *)&b, sizeof(b)));
	say("udp unspec", sendto(s, "x", 1, 0, (struct sockaddr *)&un, sizeof(un)));
	say("udp v4 on v6", sendto(s6, "x", 1, 0, (struct sockaddr *)&b, sizeof(b)));
	say("udp sendmsg", sendmsg(s, &m[1].msg_hdr, 0));
	say("udp batch", sendmmsg(s, m, 2, 0));
	say("udp connect", connect(s, (struct sockaddr *)&b, sizeof(b)));
	say("udp connect granted", connect(s, (struct sockaddr *)&a, sizeof(a)));
	say("udp past connect", sendto(s, "x", 1, 0, (struct sockaddr *)&b, sizeof(b)));
	say("source route", setsockopt(s, IPPROTO_IP, IP_OPTIONS, "\x83\x07\x04\x7f\0\0\1", 8));
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_RETOPTS;
	c->cmsg_len = CMSG_LEN(8);
	say("source route in a message", sendmsg(s, &h, 0));
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_RTHDR;
	say("routing header", sendmsg(s6, &h, 0));
	say("v6 to v4", setsockopt(s6, IPPROTO_IPV6, IPV6_ADDRFORM, &(int){AF_INET}, sizeof(int)));
	close(s);
	close(s6);
}

static void listens(void)
{
	struct sockaddr_in a = v4("0.0.0.0", 0), l = v4("127.0.0.1", 0);
	int s = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);

	say("listen unbound", listen(s, 1));
	say("bind any", bind(s, (struct sockaddr *)&a, sizeof(a)));
	say("bind udp", bind(u, (struct sockaddr *)&l, sizeof(l)));
	say("bind granted", bind(s, (struct sockaddr *)&l, sizeof(l)));
	say("listen bound", listen(s, 1));
	say("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	say("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	say("mptcp", socket(AF_INET, SOCK_STREAM, 262));
	say("packet", socket(AF_PACKET, SOCK_RAW, 0));
	say("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
	say("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	say("alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
	say("device", setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	say("filter", setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &s, 16));
	say("multicast", setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &l, 8));
	close(s);
	close(u);
}

static int un(struct sockaddr_un *a, const char *path, int abstract)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	strncpy(a->sun_path + abstract, path, sizeof(a->sun_path) - 2);
	return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

/* What a server outside of the sandbox sends, and what it must not get. */
static void outside(int s)
{
	char ctl[256] __attribute__((aligned(8))) = {0}, b;
	struct iovec iov = {&b, 1};
	struct msghdr h = {NULL, 0, &iov, 1, ctl, CMSG_SPACE(sizeof(int)), 0};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &s, sizeof(s));
	b = 'x';
	say("descriptor to the outside", sendmsg(s, &h, 0));
	say("message to the outside", send(s, "x", 1, 0));
	h.msg_controllen = sizeof(ctl);
	say("message from the outside", recvmsg(s, &h, 0));
	printf("descriptors from the outside: %zu, truncated %d\n", h.msg_controllen,
	       (h.msg_flags & MSG_CTRUNC) != 0);
}

static void unix_sockets(const char *granted, const char *other)
{
	struct sockaddr_un a;
	char path[4096];
	int s = socket(AF_UNIX, SOCK_STREAM, 0), d = socket(AF_UNIX, SOCK_DGRAM, 0), c;

	say("unix granted", connect(s, (struct sockaddr *)&a, un(&a, granted, 0)));
	outside(s);
	close(s);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	say("unix other", connect(s, (struct sockaddr *)&a, un(&a, other, 0)));
	unlink("link");
	say("make link", symlink(other, "link"));
	say("unix through a link", connect(s, (struct sockaddr *)&a, un(&a, "link", 0)));
	snprintf(path, sizeof(path), "./../%s", strrchr(other, '/') + 1);
	say("unix through dots", connect(s, (struct sockaddr *)&a, un(&a, path, 0)));
	say("unix bind elsewhere", bind(s, (struct sockaddr *)&a, un(&a, "../new", 0)));
	say("unix bind through a link", bind(s, (struct sockaddr *)&a, un(&a, "link", 0)));
	say("unix abstract", connect(s, (struct sockaddr *)&a, un(&a, "elsewhere", 1)));
	say("unix abstract send", sendto(d, "x", 1, 0, (struct sockaddr *)&a, un(&a, "elsewhere", 1)));
	say("unix abstract bind", bind(d, (struct sockaddr *)&a, un(&a, "mine", 1)));
	say("unix autobind", bind(d, (struct sockaddr *)&a, sizeof(sa_family_t)));
	/* In a file system of the sentry. */
	say("scratch bind", bind(s, (struct sockaddr *)&a, un(&a, "/scratch/sock", 0)));
	say("scratch listen", listen(s, 1));
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	say("scratch connect", connect(c, (struct sockaddr *)&a, un(&a, "/scratch/sock", 0)));
	struct stat st;
	say("scratch stat", stat("/scratch/sock", &st));
	printf("scratch is a socket: %d\n", S_ISSOCK(st.st_mode));
	say("scratch bind again", bind(d, (struct sockaddr *)&a, un(&a, "/scratch/sock", 0)));
	close(s);
	close(c);
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	say("scratch after close", connect(c, (struct sockaddr *)&a, un(&a, "/scratch/sock", 0)));
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 5)
		return 2;
	tcp(atoi(argv[1]), atoi(argv[2]));
	udp(atoi(argv[1]), atoi(argv[2]));
	listens();
	unix_sockets(argv[3], argv[4]);
	return 0;
}
