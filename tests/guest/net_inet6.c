/* IPv6 sockets over loopback, and IPv4 through them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/guest/say.h"

static struct sockaddr_in6 at(const char *ip, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = port};

	inet_pton(AF_INET6, ip, &a.sin6_addr);
	return a;
}

static int port_of(int s)
{
	struct sockaddr_in6 a;
	socklen_t n = sizeof(a);

	getsockname(s, (struct sockaddr *)&a, &n);
	return a.sin6_port;
}

static void say_addr(const char *what, const struct sockaddr_in6 *a, socklen_t n)
{
	char text[64] = "?";

	if (a->sin6_family == AF_INET6)
		inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof(text));
	printf("%s %s len %u family %d\n", what, text, n, a->sin6_family);
}

static void tcp(const char *ip)
{
	struct sockaddr_in6 a = at(ip, 0), peer;
	int ls = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET6, SOCK_STREAM, 0), s;
	socklen_t n = sizeof(peer);
	char buf[8] = {0};

	printf("-- tcp %s\n", ip);
	SAY(bind(ls, (struct sockaddr *)&a, sizeof(a)));
	SAY(listen(ls, 1));
	a.sin6_port = port_of(ls);
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	s = SAY_FD(accept(ls, (struct sockaddr *)&peer, &n));
	say_addr("peer", &peer, n);
	SAY(write(c, "six", 3));
	SAY(read(s, buf, sizeof(buf)));
	close(s);
	close(c);
	close(ls);
}

static void udp(void)
{
	struct sockaddr_in6 a = at("::ffff:127.0.0.1", 0), from;
	struct sockaddr_in four = {.sin_family = AF_INET};
	int rx = socket(AF_INET6, SOCK_DGRAM, 0), tx = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	socklen_t n = sizeof(from);
	char buf[8];

	printf("-- udp\n");
	SAY(bind(rx, (struct sockaddr *)&a, sizeof(a)));
	a.sin6_port = port_of(rx);
	SAY(sendto(tx, "one", 3, 0, (struct sockaddr *)&a, sizeof(a)));
	SAY(recvfrom(rx, buf, 8, 0, (struct sockaddr *)&from, &n));
	say_addr("from", &from, n);
	/* An IPv4 address on an IPv6 socket. */
	four.sin_port = a.sin6_port;
	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	SAY(sendto(tx, "two", 3, 0, (struct sockaddr *)&four, sizeof(four)));
	SAY(recv(rx, buf, 8, 0));
	SAY(sendto(tx, "x", 1, 0, &un, sizeof(un)));
	SAY(connect(tx, (struct sockaddr *)&four, sizeof(four)));
	SAY(send(tx, "three", 5, 0));
	SAY(recv(rx, buf, 8, 0));
	SAY(sendto(tx, "four", 4, 0, (struct sockaddr *)&a, 23));
	close(rx);
	close(tx);
}

int main(void)
{
	int s = socket(AF_INET6, SOCK_STREAM, 0), v = 7;
	socklen_t n = sizeof(v);

	if (s < 0)
		return SAY(s) != 0;
	SAY(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (v = 1, &v), sizeof(v)));
	SAY(getsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (v = 0, &v), &n));
	printf("v6only %d\n", v);
	close(s);
	tcp("::1");
	tcp("::ffff:127.0.0.1");
	udp();
	return 0;
}
