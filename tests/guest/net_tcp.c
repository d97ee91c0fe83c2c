/* TCP over loopback: addresses, options, blocking and not, many connections. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "tests/guest/say.h"

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int bound(int s)
{
	struct sockaddr_in a;
	socklen_t n = sizeof(a);

	getsockname(s, (struct sockaddr *)&a, &n);
	return a.sin_port;
}

static int listener(void)
{
	struct sockaddr_in a = loopback(0);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	bind(s, (struct sockaddr *)&a, sizeof(a));
	listen(s, 128);
	return s;
}

static void *echo(void *arg)
{
	char buf[4096];
	int ls = *(int *)arg, s;
	ssize_t n;

	for (int i = 0; i < 20; i++) {
		s = accept(ls, NULL, NULL);
		while ((n = read(s, buf, sizeof(buf))) > 0)
			if (write(s, buf, n) != n)
				break;
		close(s);
	}
	return NULL;
}

static void many(void)
{
	struct sockaddr_in a;
	int ls = listener(), ok = 0;
	pthread_t th;
	char out[3000], in[3000];

	a = loopback(bound(ls));
	pthread_create(&th, NULL, echo, &ls);
	for (int i = 0; i < 20; i++) {
		int s = socket(AF_INET, SOCK_STREAM, 0);

		memset(out, 'a' + i, sizeof(out));
		connect(s, (struct sockaddr *)&a, sizeof(a));
		send(s, out, sizeof(out), 0);
		shutdown(s, SHUT_WR);
		ok += recv(s, in, sizeof(in), MSG_WAITALL) == sizeof(in) && !memcmp(in, out, sizeof(in));
		close(s);
	}
	pthread_join(th, NULL);
	close(ls);
	printf("echoed %d\n", ok);
}

static void *drain(void *arg)
{
	static char buf[1 << 16];
	size_t total = 0;
	unsigned sum = 0;
	ssize_t n;

	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)buf[i];
		total += n;
	}
	printf("drained %zu sum %u\n", total, sum);
	return NULL;
}

/* A blocking send of more than one call can pin. */
static void bulk(int c, int s)
{
	size_t size = 8 << 20;
	char *p = malloc(size);
	pthread_t th;

	for (size_t i = 0; i < size; i++)
		p[i] = i * 7 >> 3;
	fflush(stdout);
	pthread_create(&th, NULL, drain, &s);
	SAY(send(c, p, size, 0));
	shutdown(c, SHUT_WR);
	pthread_join(th, NULL);
	free(p);
}

static void options(int s)
{
	struct linger l = {1, 2};
	struct timeval tv = {0, 20000};
	socklen_t n = sizeof(int);
	char name[16] = "";
	int v = 1;

	SAY(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)));
	v = 0;
	SAY(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n));
	printf("nodelay %d len %u\n", v != 0, n);
	SAY(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
	printf("type %d\n", v);
	SAY(getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &n));
	SAY(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &n));
	SAY(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	SAY(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, 4));
	l.l_linger = 1000;
	SAY(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	n = sizeof(l);
	SAY(getsockopt(s, SOL_SOCKET, SO_LINGER, &l, &n));
	printf("linger %d %d len %u\n", l.l_onoff, l.l_linger, n);
	n = sizeof(int);
	SAY(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(v)));
	SAY(getsockopt(s, SOL_SOCKET, SO_TYPE, NULL, &n));
	n = 2;
	SAY(getsockopt(s, SOL_SOCKET, SO_TYPE, name, &n));
	n = -1;
	SAY(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
	SAY(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SAY(recv(s, name, 1, 0));
}

static void errors(void)
{
	struct sockaddr_in a = loopback(0);
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	int s = socket(AF_INET, SOCK_STREAM, 0), p[2];
	char c;

	SAY(socket(AF_INET, 77, 0));
	SAY(socket(AF_INET, SOCK_STREAM | 0x100, 0));
	SAY(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	SAY(socket(4242, SOCK_STREAM, 0));
	SAY(bind(-1, (struct sockaddr *)&a, sizeof(a)));
	SAY(bind(1, (struct sockaddr *)&a, sizeof(a)));
	SAY(bind(s, (struct sockaddr *)&a, 3));
	SAY(bind(s, (void *)8, sizeof(a)));
	SAY(connect(s, (struct sockaddr *)&a6, sizeof(a6)));
	SAY(accept(s, NULL, NULL));
	SAY(getpeername(s, (struct sockaddr *)&a, &(socklen_t){sizeof(a)}));
	SAY(send(s, "x", 1, MSG_NOSIGNAL));
	SAY(recv(s, &c, 1, 0));
	SAY(accept4(s, NULL, NULL, 5));
	SAY(shutdown(s, SHUT_RD));
	SAY(pipe(p));
	SAY(listen(p[0], 1));
	SAY(sendto(p[0], "x", 1, 0, NULL, 0));
	SAY(lseek(s, 0, SEEK_SET));
	SAY(listen(99, 1));
	close(p[0]);
	close(p[1]);
	close(s);
}

static void nonblocking(void)
{
	struct sockaddr_in a;
	int ls = listener(), c, s, err = -1, n = 0;
	struct pollfd p;
	char buf[8];

	a = loopback(bound(ls));
	fcntl(ls, F_SETFL, O_NONBLOCK);
	SAY(accept(ls, NULL, NULL));
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	printf("nonblock flag %d\n", (fcntl(c, F_GETFL) & O_NONBLOCK) != 0);
	if (connect(c, (struct sockaddr *)&a, sizeof(a)) && errno != EINPROGRESS)
		perror("connect");
	p = (struct pollfd){.fd = c, .events = POLLOUT};
	SAY(poll(&p, 1, 1000));
	getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){sizeof(err)});
	printf("so_error %d revents %#x\n", err, p.revents);
	p = (struct pollfd){.fd = ls, .events = POLLIN};
	SAY(poll(&p, 1, 1000));
	s = SAY_FD(accept4(ls, NULL, NULL, SOCK_NONBLOCK));
	SAY(read(s, buf, 1));
	SAY(write(c, "abcdef", 6));
	p = (struct pollfd){.fd = s, .events = POLLIN};
	SAY(poll(&p, 1, 1000));
	SAY(ioctl(s, FIONREAD, &n));
	printf("fionread %d\n", n);
	SAY(recv(s, buf, 3, MSG_PEEK));
	SAY(recv(s, buf, sizeof(buf), 0));
	n = 0;
	SAY(ioctl(s, FIONBIO, &n));
	printf("nonblock flag %d\n", (fcntl(s, F_GETFL) & O_NONBLOCK) != 0);
	close(c);
	SAY(recv(s, buf, sizeof(buf), 0));
	close(s);
	close(ls);
}

/* A connection for which there is no descriptor stays in the queue. */
static void at_the_limit(void)
{
	struct rlimit all, few;
	struct sockaddr_in a;
	int ls = listener(), c = socket(AF_INET, SOCK_STREAM, 0), s;
	char buf[8] = "";

	a = loopback(bound(ls));
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	SAY(write(c, "kept", 4));
	getrlimit(RLIMIT_NOFILE, &all);
	few = all;
	few.rlim_cur = (rlim_t)c + 1;
	setrlimit(RLIMIT_NOFILE, &few);
	SAY(accept(ls, NULL, NULL));
	SAY(accept4(ls, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	setrlimit(RLIMIT_NOFILE, &all);
	SAY_FD(s = accept4(ls, NULL, NULL, SOCK_CLOEXEC));
	printf("same number %d cloexec %d\n", s == c + 1, fcntl(s, F_GETFD));
	SAY(read(s, buf, sizeof(buf)));
	printf("%s\n", buf);
	close(s);
	fcntl(ls, F_SETFL, O_NONBLOCK);
	SAY(accept(ls, NULL, NULL));
	SAY_FD(s = dup(ls));
	printf("given back %d\n", s == c + 1);
	close(s);
	close(c);
	close(ls);
}

int main(void)
{
	struct sockaddr_in a, peer;
	socklen_t n = sizeof(peer);
	int ls, c, s;

	setvbuf(stdout, NULL, _IOLBF, 0);
	ls = listener();
	a = loopback(bound(ls));
	c = socket(AF_INET, SOCK_STREAM, 0);
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	s = SAY_FD(accept(ls, (struct sockaddr *)&peer, &n));
	printf("peer %s len %u same %d\n", inet_ntoa(peer.sin_addr), n, peer.sin_port == bound(c));
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	options(s);
	bulk(c, s);
	close(c);
	close(s);
	close(ls);
	SAY(connect(c = socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)));
	close(c);
	many();
	errors();
	nonblocking();
	at_the_limit();
	return 0;
}
