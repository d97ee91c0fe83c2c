/* Netlink's route family and the ioctls of interfaces: the loopback, which every program may know, and what
 * goes wrong. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void sockets(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK}, b = a;
	socklen_t n = sizeof(a);
	int s, s2, v;

	printf("-- sockets\n");
	SAY(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE));
	SAY(socket(AF_NETLINK, SOCK_SEQPACKET, NETLINK_ROUTE));
	SAY_FD(socket(AF_NETLINK, SOCK_DGRAM, 999) >= 0);
	SAY_FD(s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	SAY(getsockname(s, (struct sockaddr *)&a, &n));
	printf("len %u pid %u\n", n, a.nl_pid);
	SAY(bind(s, (struct sockaddr *)&a, 4));
	a.nl_family = AF_INET;
	SAY(bind(s, (struct sockaddr *)&a, sizeof(a)));
	a.nl_family = AF_NETLINK;
	a.nl_pid = 0;
	SAY(bind(s, (struct sockaddr *)&a, sizeof(a)));
	SAY(getsockname(s, (struct sockaddr *)&a, &n));
	printf("own pid %d\n", a.nl_pid == (unsigned)getpid());
	b.nl_pid = 12345678;
	SAY(bind(s, (struct sockaddr *)&b, sizeof(b)));
	s2 = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE);
	SAY(bind(s2, (struct sockaddr *)&a, sizeof(a)));
	a.nl_pid = 0;
	SAY(bind(s2, (struct sockaddr *)&a, sizeof(a)));
	SAY(getsockname(s2, (struct sockaddr *)&a, &n));
	printf("another pid %d\n", (int)a.nl_pid < 0);
	SAY(listen(s, 1));
	SAY(accept(s, NULL, NULL));
	SAY(shutdown(s, SHUT_RDWR));
	n = sizeof(v);
	SAY(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &n));
	SAY(v);
	SAY(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
	SAY(v);
	SAY(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &n));
	SAY(v);
	v = 1;
	SAY(setsockopt(s, SOL_NETLINK, NETLINK_EXT_ACK, &v, sizeof(v)));
	v = 0;
	SAY(getsockopt(s, SOL_NETLINK, NETLINK_EXT_ACK, &v, &n));
	SAY(v);
	SAY(setsockopt(s, SOL_NETLINK, 77, &v, sizeof(v)));
	SAY(getsockopt(s, IPPROTO_TCP, 1, &v, &n));
	close(s);
	close(s2);
}

/* Sends one request; prints the first answer. */
static void ask(const char *what, int type, int flags, const void *body, size_t n)
{
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct {
		struct nlmsghdr h;
		char body[256];
	} req = {.h = {.nlmsg_len = NLMSG_LENGTH(n), .nlmsg_type = type,
		       .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = 77}};
	_Alignas(8) char buf[16384];
	struct nlmsghdr *h = (void *)buf;
	struct sockaddr_nl from = {.nl_pid = 5};
	socklen_t fl = sizeof(from);
	struct timeval tv = {.tv_usec = 200000};
	ssize_t r;

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	memcpy(req.body, body, n);
	printf("%s: sent %zd\n", what, send(s, &req, req.h.nlmsg_len, 0));
	r = recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&from, &fl);
	if (r < 0) {
		printf("  nothing: %s\n", strerrorname_np(errno));
	} else {
		printf("  type %d seq %u multi %d pid %d from %u len %u", h->nlmsg_type,
		       h->nlmsg_seq, (h->nlmsg_flags & NLM_F_MULTI) != 0,
		       h->nlmsg_pid == (unsigned)getpid(), from.nl_pid, fl);
		if (h->nlmsg_type == NLMSG_ERROR)
			printf(" error %d about %d", ((struct nlmsgerr *)NLMSG_DATA(h))->error,
			       ((struct nlmsgerr *)NLMSG_DATA(h))->msg.nlmsg_type);
		printf("\n");
	}
	close(s);
}

static void requests(void)
{
	struct ifinfomsg link = {0};
	struct ifaddrmsg addr = {.ifa_family = AF_INET};
	struct {
		struct ifinfomsg m;
		struct rtattr a;
		char name[8];
	} by_name = {.a = {.rta_type = IFLA_IFNAME, .rta_len = RTA_LENGTH(3)}, .name = "lo"};
	struct {
		struct rtmsg m;
		struct rtattr a;
		uint32_t dst;
	} route = {.m = {.rtm_family = AF_INET, .rtm_dst_len = 32},
		   .a = {.rta_type = RTA_DST, .rta_len = RTA_LENGTH(4)},
		   .dst = htonl(INADDR_LOOPBACK)};

	printf("-- requests\n");
	ask("dump links", RTM_GETLINK, NLM_F_DUMP, &link, sizeof(link));
	ask("dump addresses", RTM_GETADDR, NLM_F_DUMP, &addr, sizeof(addr));
	ask("short dump", RTM_GETADDR, NLM_F_DUMP, "\2", 1);
	ask("by name", RTM_GETLINK, 0, &by_name, sizeof(by_name));
	strcpy(by_name.name, "zz");
	ask("unknown name", RTM_GETLINK, 0, &by_name, sizeof(by_name));
	link.ifi_index = 999999;
	ask("unknown index", RTM_GETLINK, 0, &link, sizeof(link));
	link.ifi_index = 1;
	ask("index", RTM_GETLINK, 0, &link, sizeof(link));
	ask("index, acknowledged", RTM_GETLINK, NLM_F_ACK, &link, sizeof(link));
	ask("nothing named", RTM_GETLINK, 0, (char[sizeof(link)]){0}, sizeof(link));
	ask("one address", RTM_GETADDR, 0, &addr, sizeof(addr));
	ask("a route", RTM_GETROUTE, 0, &route, sizeof(route));
	ask("no such type", 300, NLM_F_ACK, &link, sizeof(link));
	ask("nothing asked", NLMSG_NOOP, NLM_F_ACK, &link, sizeof(link));
}

static void errors(void)
{
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = 87654321};
	struct pollfd p = {.fd = s, .events = POLLIN | POLLOUT};
	struct nlmsghdr h = {.nlmsg_len = 400, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_type = RTM_GETLINK};
	char buf[64];

	printf("-- errors\n");
	SAY(poll(&p, 1, 0));
	SAY(p.revents);
	SAY(sendto(s, &h, sizeof(h), 0, (struct sockaddr *)&to, sizeof(to)));
	SAY(sendto(s, &h, sizeof(h), 0, (struct sockaddr *)&to, 3));
	SAY(send(s, &h, sizeof(h), 0));
	SAY(send(s, &h, 5, 0));
	SAY(send(s, &h, sizeof(h), MSG_OOB));
	SAY(write(s, &h, sizeof(h)));
	SAY(recv(s, buf, sizeof(buf), MSG_DONTWAIT));
	SAY(connect(s, (struct sockaddr *)&to, 4));
	to.nl_pid = 0;
	SAY(connect(s, (struct sockaddr *)&to, sizeof(to)));
	close(s);
}

/* The C library's views. */
static void library(void)
{
	struct if_nameindex *ni = if_nameindex();
	struct ifaddrs *ifa, *p;
	char text[64], name[IF_NAMESIZE];
	unsigned index = if_nametoindex("lo");

	printf("-- library\n");
	for (int i = 0; ni && ni[i].if_name; i++)
		if (!strcmp(ni[i].if_name, "lo"))
			printf("lo index %u\n", ni[i].if_index);
	if_freenameindex(ni);
	SAY(index);
	printf("%s\n", if_indextoname(index, name));
	SAY(if_nametoindex("none0"));
	SAY(getifaddrs(&ifa));
	for (p = ifa; p; p = p->ifa_next) {
		if (strcmp(p->ifa_name, "lo") || !p->ifa_addr)
			continue;
		printf("lo family %d flags %x", p->ifa_addr->sa_family, p->ifa_flags);
		if (p->ifa_addr->sa_family == AF_INET || p->ifa_addr->sa_family == AF_INET6) {
			getnameinfo(p->ifa_addr, sizeof(struct sockaddr_in6), text, sizeof(text), NULL, 0,
				    NI_NUMERICHOST);
			printf(" %s", text);
			getnameinfo(p->ifa_netmask, sizeof(struct sockaddr_in6), text, sizeof(text), NULL,
				    0, NI_NUMERICHOST);
			printf("/%s", text);
		}
		printf("\n");
	}
	freeifaddrs(ifa);
}

static void ioctls(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq r = {.ifr_name = "lo"};
	char buf[4096];
	struct ifconf c = {.ifc_len = sizeof(buf), .ifc_buf = buf};
	struct sockaddr_in *in = (void *)&r.ifr_addr;

	printf("-- ioctls\n");
	SAY(ioctl(s, SIOCGIFFLAGS, &r));
	printf("%x\n", (unsigned short)r.ifr_flags);
	SAY(ioctl(s, SIOCGIFADDR, &r));
	printf("%s\n", inet_ntoa(in->sin_addr));
	SAY(ioctl(s, SIOCGIFNETMASK, &r));
	printf("%s\n", inet_ntoa(in->sin_addr));
	SAY(ioctl(s, SIOCGIFBRDADDR, &r));
	printf("%s\n", inet_ntoa(in->sin_addr));
	SAY(ioctl(s, SIOCGIFMTU, &r));
	SAY(r.ifr_mtu);
	SAY(ioctl(s, SIOCGIFINDEX, &r));
	SAY(r.ifr_ifindex);
	SAY(ioctl(s, SIOCGIFHWADDR, &r));
	SAY(r.ifr_hwaddr.sa_family);
	SAY(r.ifr_hwaddr.sa_data[0]);
	SAY(ioctl(s, SIOCGIFNAME, &r));
	strcpy(r.ifr_name, "none0");
	SAY(ioctl(s, SIOCGIFFLAGS, &r));
	r.ifr_ifindex = 99999;
	SAY(ioctl(s, SIOCGIFNAME, &r));
	SAY(ioctl(s, SIOCGIFCONF, &c));
	for (int i = 0; i < c.ifc_len / (int)sizeof(r); i++)
		if (!strcmp(c.ifc_req[i].ifr_name, "lo"))
			printf("lo %s\n", inet_ntoa(((struct sockaddr_in *)&c.ifc_req[i].ifr_addr)->sin_addr));
	SAY(ioctl(s, SIOCGIFFLAGS, (void *)8));
	close(s);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	sockets();
	requests();
	errors();
	library();
	ioctls();
	return 0;
}
