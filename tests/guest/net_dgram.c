/* Unix datagrams and sequenced packets: who may send to whom, full queues, lengths, ends. */
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

static char big[1 << 20];

static socklen_t name(struct sockaddr_un *a, const char *text)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	strcpy(a->sun_path + 1, text);
	return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text);
}

static int bound(int type, const char *text)
{
	struct sockaddr_un a;
	int s = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
	socklen_t n = name(&a, text);

	if (bind(s, (struct sockaddr *)&a, n))
		perror("bind");
	return s;
}

static long to(int s, const char *text, const char *data)
{
	struct sockaddr_un a;
	socklen_t n = name(&a, text);

	return sendto(s, data, strlen(data), 0, (struct sockaddr *)&a, n);
}

static long attach(int s, const char *text)
{
	struct sockaddr_un a;
	socklen_t n = name(&a, text);

	return connect(s, (struct sockaddr *)&a, n);
}

static void who_may_send(void)
{
	int x = bound(SOCK_DGRAM, "dg-x"), y = bound(SOCK_DGRAM, "dg-y"), z = bound(SOCK_DGRAM, "dg-z");
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	char buf[32];

	printf("-- who may send\n");
	SAY(attach(x, "dg-y"));
	SAY(to(z, "dg-x", "from z"));
	SAY(to(y, "dg-x", "from y"));
	SAY(recv(x, buf, sizeof(buf), 0));
	SAY(to(x, "dg-z", "elsewhere"));
	SAY(recv(z, buf, sizeof(buf), 0));
	SAY(send(x, "to the peer", 11, 0));
	SAY(recv(y, buf, 5, MSG_TRUNC));
	SAY(attach(x, "dg-z"));
	SAY(to(z, "dg-x", "now"));
	SAY(recv(x, buf, sizeof(buf), 0));
	SAY(connect(x, &un, sizeof(un)));
	SAY(to(y, "dg-x", "again"));
	SAY(recv(x, buf, sizeof(buf), 0));
	SAY(attach(x, "dg-x"));
	SAY(send(x, "myself", 6, 0));
	SAY(recv(x, buf, sizeof(buf), 0));
	SAY(attach(x, "dg-none"));
	SAY(attach(y, "dg-z"));
	close(z);
	SAY(send(y, "nobody", 6, 0));
	SAY(send(y, "nobody", 6, 0));
	SAY(recv(y, buf, sizeof(buf), 0));
	z = bound(SOCK_STREAM, "dg-stream");
	SAY(attach(y, "dg-stream"));
	SAY(to(y, "dg-stream", "wrong kind"));
	close(x);
	close(y);
	close(z);
}

static void full(int type)
{
	int sv[2], n = 0, small = 4096, v;
	struct pollfd p = {.events = POLLOUT};
	socklen_t len = sizeof(v);

	printf("-- full, type %d\n", type);
	socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, sv);
	SAY(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
	SAY(getsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &v, &len));
	SAY(v);
	while (send(sv[0], big, 256, 0) == 256)
		n++;
	printf("sent %d, then %s\n", n, strerrorname_np(errno));
	p.fd = sv[0];
	SAY(poll(&p, 1, 0));
	SAY(ioctl(sv[1], FIONREAD, &v));
	SAY(type == SOCK_STREAM ? v == 256 * n : v);
	SAY(ioctl(sv[0], TIOCOUTQ, &v) == 0 && v > 0);
	while (recv(sv[1], big, type == SOCK_STREAM ? sizeof(big) : 512, 0) > 0)
		;
	SAY(poll(&p, 1, 0));
	SAY(send(sv[0], big, sizeof(big), 0) > 0);
	SAY(send(sv[0], big, 0, 0));
	close(sv[0]);
	close(sv[1]);
}

static void packets(void)
{
	int sv[2];
	char buf[16];
	struct iovec iov = {buf, 4};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	printf("-- packets\n");
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv);
	SAY(send(sv[0], "first packet", 12, MSG_EOR));
	SAY(send(sv[0], "2nd", 3, 0));
	SAY(send(sv[0], "", 0, 0));
	SAY(recvmsg(sv[1], &m, 0));
	printf("flags %x\n", m.msg_flags & ~MSG_EOR);
	SAY(recvmsg(sv[1], &m, MSG_PEEK));
	printf("flags %x\n", m.msg_flags & ~MSG_EOR);
	SAY(recv(sv[1], buf, 1, MSG_PEEK | MSG_TRUNC));
	SAY(recv(sv[1], buf, 16, MSG_WAITALL));
	SAY(recv(sv[1], buf, 16, 0));
	SAY(recv(sv[1], buf, 16, 0));
	SAY(shutdown(sv[0], SHUT_WR));
	SAY(recv(sv[1], buf, 16, 0));
	SAY(send(sv[1], "back", 4, 0));
	SAY(recv(sv[0], buf, 16, 0));
	SAY(send(sv[0], "x", 1, MSG_NOSIGNAL));
	close(sv[0]);
	SAY(send(sv[1], "x", 1, MSG_NOSIGNAL));
	SAY(recv(sv[1], buf, 16, 0));
	close(sv[1]);
}

static void peek_offset(void)
{
	int sv[2], off = 2, v;
	socklen_t n = sizeof(v);
	char buf[16] = {0};

	printf("-- peek offset\n");
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	SAY(setsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)));
	write(sv[0], "abcdefgh", 8);
	SAY(recv(sv[1], buf, 3, MSG_PEEK));
	printf("%.3s\n", buf);
	SAY(recv(sv[1], buf, 3, MSG_PEEK));
	printf("%.3s\n", buf);
	SAY(read(sv[1], buf, 4));
	SAY(getsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &v, &n));
	SAY(v);
	close(sv[0]);
	close(sv[1]);
}

/* Names that Linux picks, and names that a child inherits. */
static void names(void)
{
	struct sockaddr_un a, b;
	socklen_t n = sizeof(a), m = sizeof(b);
	int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0), st;
	char buf[16];

	printf("-- names\n");
	SAY(bind(x, &(struct sockaddr){AF_UNIX, {0}}, sizeof(sa_family_t)));
	SAY(bind(y, &(struct sockaddr){AF_UNIX, {0}}, sizeof(sa_family_t)));
	getsockname(x, (struct sockaddr *)&a, &n);
	getsockname(y, (struct sockaddr *)&b, &m);
	printf("len %u, different %d, abstract %d\n", n, memcmp(&a, &b, n) != 0, !a.sun_path[0]);
	SAY(bind(x, &(struct sockaddr){AF_UNIX, {0}}, sizeof(sa_family_t)));
	fflush(stdout);
	if (!fork()) {
		close(x);
		_exit(sendto(y, "child", 5, 0, (struct sockaddr *)&a, n) == 5 ? 7 : 8);
	}
	wait(&st);
	SAY(WEXITSTATUS(st));
	m = sizeof(b);
	SAY(recvfrom(x, buf, sizeof(buf), 0, (struct sockaddr *)&b, &m));
	SAY(sendto(x, "parent", 6, 0, (struct sockaddr *)&b, m));
	SAY(recv(y, buf, sizeof(buf), 0));
	close(x);
	close(y);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	who_may_send();
	full(SOCK_STREAM);
	full(SOCK_DGRAM);
	full(SOCK_SEQPACKET);
	packets();
	peek_offset();
	names();
	return 0;
}
