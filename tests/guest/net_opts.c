/* Socket options of every level, multicast groups, and the corners of TCP that servers rely on. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

#define OPT(level, name) {level, name, #name}
static const struct {
	int level, name;
	const char *text;
} opts[] = {
	OPT(SOL_SOCKET, SO_REUSEADDR), OPT(SOL_SOCKET, SO_TYPE), OPT(SOL_SOCKET, SO_ERROR),
	OPT(SOL_SOCKET, SO_DONTROUTE), OPT(SOL_SOCKET, SO_BROADCAST), OPT(SOL_SOCKET, SO_KEEPALIVE),
	OPT(SOL_SOCKET, SO_OOBINLINE), OPT(SOL_SOCKET, SO_NO_CHECK), OPT(SOL_SOCKET, SO_PRIORITY),
	OPT(SOL_SOCKET, SO_REUSEPORT), OPT(SOL_SOCKET, SO_RCVLOWAT), OPT(SOL_SOCKET, SO_SNDLOWAT),
	OPT(SOL_SOCKET, SO_TIMESTAMP), OPT(SOL_SOCKET, SO_TIMESTAMPNS), OPT(SOL_SOCKET, SO_ACCEPTCONN),
	OPT(SOL_SOCKET, SO_PROTOCOL), OPT(SOL_SOCKET, SO_DOMAIN), OPT(SOL_SOCKET, SO_PEEK_OFF),
	OPT(SOL_SOCKET, SO_RXQ_OVFL), OPT(SOL_SOCKET, SO_SELECT_ERR_QUEUE), OPT(SOL_SOCKET, SO_TIMESTAMPING),
	OPT(SOL_SOCKET, 250), OPT(SOL_SOCKET, SO_SNDBUF), OPT(SOL_SOCKET, SO_RCVBUF),
	OPT(IPPROTO_TCP, TCP_NODELAY), OPT(IPPROTO_TCP, TCP_MAXSEG), OPT(IPPROTO_TCP, TCP_CORK),
	OPT(IPPROTO_TCP, TCP_KEEPIDLE), OPT(IPPROTO_TCP, TCP_KEEPINTVL), OPT(IPPROTO_TCP, TCP_KEEPCNT),
	OPT(IPPROTO_TCP, TCP_SYNCNT), OPT(IPPROTO_TCP, TCP_LINGER2), OPT(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	OPT(IPPROTO_TCP, TCP_WINDOW_CLAMP), OPT(IPPROTO_TCP, TCP_QUICKACK), OPT(IPPROTO_TCP, TCP_USER_TIMEOUT),
	OPT(IPPROTO_TCP, TCP_FASTOPEN), OPT(IPPROTO_TCP, TCP_NOTSENT_LOWAT), OPT(IPPROTO_TCP, TCP_SAVE_SYN),
	OPT(IPPROTO_TCP, TCP_THIN_DUPACK), OPT(IPPROTO_TCP, 240),
	OPT(IPPROTO_UDP, UDP_CORK), OPT(IPPROTO_UDP, UDP_SEGMENT), OPT(IPPROTO_UDP, UDP_GRO),
	OPT(IPPROTO_IP, IP_TOS), OPT(IPPROTO_IP, IP_TTL), OPT(IPPROTO_IP, IP_PKTINFO),
	OPT(IPPROTO_IP, IP_RECVTOS), OPT(IPPROTO_IP, IP_RECVTTL), OPT(IPPROTO_IP, IP_RECVERR),
	OPT(IPPROTO_IP, IP_MTU_DISCOVER), OPT(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
	OPT(IPPROTO_IP, IP_MULTICAST_TTL), OPT(IPPROTO_IP, IP_MULTICAST_LOOP),
	OPT(IPPROTO_IP, IP_MULTICAST_ALL), OPT(IPPROTO_IP, IP_MINTTL), OPT(IPPROTO_IP, IP_RECVORIGDSTADDR),
	OPT(IPPROTO_IP, 240),
	OPT(IPPROTO_IPV6, IPV6_V6ONLY), OPT(IPPROTO_IPV6, IPV6_RECVPKTINFO),
	OPT(IPPROTO_IPV6, IPV6_UNICAST_HOPS), OPT(IPPROTO_IPV6, IPV6_MULTICAST_HOPS),
	OPT(IPPROTO_IPV6, IPV6_TCLASS), OPT(IPPROTO_IPV6, IPV6_RECVTCLASS),
	OPT(IPPROTO_IPV6, IPV6_RECVHOPLIMIT), OPT(IPPROTO_IPV6, IPV6_DONTFRAG),
	OPT(IPPROTO_IPV6, IPV6_MTU_DISCOVER), OPT(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL), OPT(IPPROTO_IPV6, 240),
	OPT(SOL_NETLINK, 1),
};

static void walk(const char *what, int s)
{
	printf("-- options of %s\n", what);
	for (size_t i = 0; i < sizeof(opts) / sizeof(*opts); i++) {
		int v = 77, on = 1, r;
		socklen_t n = sizeof(v);

		r = getsockopt(s, opts[i].level, opts[i].name, &v, &n);
		printf("%s %s", opts[i].text, r ? strerrorname_np(errno) : "");
		if (!r)
			printf("%d len %u", v, n);
		r = setsockopt(s, opts[i].level, opts[i].name, &on, sizeof(on));
		printf(" set %s", r ? strerrorname_np(errno) : "ok");
		v = 77;
		n = sizeof(v);
		r = getsockopt(s, opts[i].level, opts[i].name, &v, &n);
		printf(" then %d", r ? -1 : v);
		v = 0;
		n = 1;
		r = getsockopt(s, opts[i].level, opts[i].name, &v, &n);
		printf(" short %s %u", r ? strerrorname_np(errno) : "ok", n);
		r = setsockopt(s, opts[i].level, opts[i].name, &on, 2);
		printf(" short set %s\n", r ? strerrorname_np(errno) : "ok");
	}
	close(s);
}

static struct sockaddr_in at(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port};

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static int port_of(int s)
{
	struct sockaddr_in a;
	socklen_t n = sizeof(a);

	getsockname(s, (struct sockaddr *)&a, &n);
	return a.sin_port;
}

static void groups(void)
{
	int rx = socket(AF_INET, SOCK_DGRAM, 0), tx = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in any = at("0.0.0.0", 0), to = at("239.1.2.3", 0);
	struct ip_mreqn m = {.imr_address.s_addr = htonl(INADDR_LOOPBACK)};
	struct pollfd p = {.fd = rx, .events = POLLIN};
	struct in_addr lo = {htonl(INADDR_LOOPBACK)};
	char buf[16];

	printf("-- groups\n");
	m.imr_multiaddr = to.sin_addr;
	bind(rx, (struct sockaddr *)&any, sizeof(any));
	to.sin_port = port_of(rx);
	SAY(setsockopt(rx, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, 4));
	SAY(setsockopt(rx, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	SAY(setsockopt(rx, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(struct ip_mreq)));
	SAY(setsockopt(tx, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)));
	SAY(sendto(tx, "group", 5, 0, (struct sockaddr *)&to, sizeof(to)));
	SAY(poll(&p, 1, 1000));
	SAY(recv(rx, buf, sizeof(buf), MSG_DONTWAIT));
	SAY(setsockopt(rx, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)));
	SAY(setsockopt(rx, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)));
	m.imr_multiaddr.s_addr = htonl(INADDR_LOOPBACK);
	close(rx);
	close(tx);
}

static void pair(int *c, int *s)
{
	struct sockaddr_in a = at("127.0.0.1", 0);
	int ls = socket(AF_INET, SOCK_STREAM, 0);

	bind(ls, (struct sockaddr *)&a, sizeof(a));
	listen(ls, 1);
	a.sin_port = port_of(ls);
	*c = socket(AF_INET, SOCK_STREAM, 0);
	connect(*c, (struct sockaddr *)&a, sizeof(a));
	*s = accept4(ls, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	close(ls);
}

static void half_close(void)
{
	int c, s, v;
	struct tcp_info ti;
	socklen_t n = sizeof(ti);
	char buf[64];

	printf("-- half closed\n");
	pair(&c, &s);
	printf("cloexec %d nonblock %d\n", fcntl(s, F_GETFD), !!(fcntl(s, F_GETFL) & O_NONBLOCK));
	SAY(getsockopt(c, IPPROTO_TCP, TCP_INFO, &ti, &n));
	SAY(ti.tcpi_state);
	SAY(shutdown(c, SHUT_WR));
	SAY(send(c, "x", 1, MSG_NOSIGNAL));
	SAY(poll(&(struct pollfd){s, POLLIN, 0}, 1, 1000));
	SAY(read(s, buf, sizeof(buf)));
	SAY(write(s, "still", 5));
	SAY(recv(c, buf, 3, MSG_WAITALL));
	SAY(ioctl(c, FIONREAD, &v));
	SAY(v);
	n = sizeof(ti);
	getsockopt(s, IPPROTO_TCP, TCP_INFO, &ti, &n);
	SAY(ti.tcpi_state);
	SAY(shutdown(s, SHUT_RD));
	SAY(shutdown(s, SHUT_RDWR));
	usleep(20000);
	SAY(shutdown(s, SHUT_WR));
	SAY(shutdown(c, 5));
	SAY(recv(c, buf, sizeof(buf), 0));
	SAY(recv(c, buf, sizeof(buf), 0));
	close(c);
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	SAY(shutdown(s, SHUT_RD));
	close(s);
}

static void refused(void)
{
	struct sockaddr_in a = at("127.0.0.1", 0);
	int ls = socket(AF_INET, SOCK_STREAM, 0), c, e = 5;
	struct pollfd p = {.events = POLLOUT};
	socklen_t n = sizeof(e);

	printf("-- refused\n");
	bind(ls, (struct sockaddr *)&a, sizeof(a));
	a.sin_port = port_of(ls); /* nobody listens there */
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	p.fd = c;
	SAY(poll(&p, 1, 1000));
	printf("revents %x\n", p.revents);
	SAY(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &n));
	printf("error %s\n", strerrorname_np(e));
	SAY(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &n));
	SAY(e);
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	close(c);
	/* A port that two listen on. */
	int two[2], one = 1;

	for (int i = 0; i < 2; i++) {
		two[i] = socket(AF_INET, SOCK_STREAM, 0);
		SAY(setsockopt(two[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
		if (!i)
			a.sin_port = 0;
		SAY(bind(two[i], (struct sockaddr *)&a, sizeof(a)));
		a.sin_port = port_of(two[i]);
		SAY(listen(two[i], 4));
	}
	c = socket(AF_INET, SOCK_STREAM, 0);
	SAY(bind(c, (struct sockaddr *)&a, sizeof(a)));
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	close(c);
	close(two[0]);
	close(two[1]);
	close(ls);
}

static void urgent(void)
{
	int c, s, v, one = 1;
	char buf[64];

	printf("-- urgent\n");
	pair(&c, &s);
	fcntl(s, F_SETFL, 0);
	SAY(send(c, "ab", 2, 0));
	SAY(send(c, "!", 1, MSG_OOB));
	SAY(send(c, "cd", 2, 0));
	usleep(50000);
	SAY(poll(&(struct pollfd){s, POLLPRI, 0}, 1, 1000));
	SAY(recv(s, buf, sizeof(buf), MSG_OOB));
	SAY(recv(s, buf, sizeof(buf), 0));
	SAY(ioctl(s, SIOCATMARK, &v));
	SAY(v);
	SAY(recv(s, buf, sizeof(buf), MSG_PEEK));
	SAY(recv(s, buf, sizeof(buf), MSG_TRUNC));
	SAY(setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)));
	SAY(recv(s, buf, 1, MSG_OOB));
	close(c);
	close(s);
}

static void many_messages(void)
{
	struct sockaddr_in a = at("127.0.0.1", 0);
	int rx = socket(AF_INET, SOCK_DGRAM, 0), tx = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
	struct timespec ts = {.tv_nsec = 50000000}, bad = {.tv_nsec = -1}, t0, t1;
	struct mmsghdr m[4] = {0};
	struct iovec iov[4];
	char buf[4][16];

	printf("-- many messages\n");
	bind(rx, (struct sockaddr *)&a, sizeof(a));
	a.sin_port = port_of(rx);
	connect(tx, (struct sockaddr *)&a, sizeof(a));
	for (int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){buf[i], 3 + i};
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	SAY(sendmmsg(tx, m, 4, 0));
	printf("%u %u %u %u\n", m[0].msg_len, m[1].msg_len, m[2].msg_len, m[3].msg_len);
	iov[1].iov_base = (void *)8;
	SAY(sendmmsg(tx, m, 4, 0)); /* up to the bad one */
	SAY(sendmmsg(tx, m + 1, 3, 0));
	iov[1].iov_base = buf[1];
	SAY(sendmmsg(tx, m, 0, 0));
	SAY(recvmmsg(rx, m, 3, MSG_WAITFORONE, NULL));
	SAY(recvmmsg(rx, m, 4, MSG_DONTWAIT, NULL));
	SAY(recvmmsg(rx, m, 4, MSG_DONTWAIT, &ts));
	SAY(recvmmsg(rx, m, 4, 0, &bad));
	SAY(recvmmsg(rx, m, 4, 0, (void *)8));
	/* Linux looks at the time between messages. */
	setsockopt(rx, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = 100000}, sizeof(struct timeval));
	sendmmsg(tx, m, 1, 0);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	SAY(recvmmsg(rx, m, 4, 0, &ts));
	clock_gettime(CLOCK_MONOTONIC, &t1);
	printf("in time %d\n", (t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000 < 3000);
	(void)one;
	close(rx);
	close(tx);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	walk("TCP", socket(AF_INET, SOCK_STREAM, 0));
	walk("UDP", socket(AF_INET, SOCK_DGRAM, 0));
	walk("TCP over IPv6", socket(AF_INET6, SOCK_STREAM, 0));
	walk("unix", socket(AF_UNIX, SOCK_STREAM, 0));
	groups();
	half_close();
	refused();
	urgent();
	many_messages();
	return 0;
}
