/* Who is at the other end of a unix socket, and who sent a message, when several processes are about. */
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

static int first, child; /* processes */

static const char *who(int pid)
{
	return pid == first ? "first" : pid == child ? "child" : pid ? "another" : "nobody";
}

static socklen_t name(struct sockaddr_un *a, const char *path, int abstract)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	strcpy(a->sun_path + abstract, path);
	return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static void say_peer(const char *what, int s)
{
	struct ucred c = {0};
	socklen_t n = sizeof(c);

	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &c, &n))
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %s uid %d gid %d len %u\n", what, who(c.pid),
		       c.uid == getuid() ? 1 : (int)c.uid, c.gid == getgid() ? 1 : (int)c.gid, n);
}

/* Receives up to n bytes; says what came and who sent it. */
static ssize_t receive(int s, size_t n, int flags)
{
	_Alignas(8) char ctl[512];
	char buf[256] = {0};
	struct iovec iov = {buf, n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			   .msg_controllen = sizeof(ctl)};
	ssize_t r = recvmsg(s, &m, flags);
	struct cmsghdr *c;

	if (r < 0) {
		printf("  %s\n", strerrorname_np(errno));
		return r;
	}
	printf("  \"%.*s\"", (int)r, buf);
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct ucred cr;

		if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&cr, CMSG_DATA(c), sizeof(cr));
			printf(" from %s uid %d", who(cr.pid), cr.uid == getuid() ? 1 : (int)cr.uid);
		} else if (c->cmsg_type == SCM_RIGHTS) {
			size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

			printf(" files %zu", k);
			for (size_t i = 0; i < k; i++)
				close(((int *)CMSG_DATA(c))[i]);
		} else {
			printf(" type %d", c->cmsg_type);
		}
	}
	printf(" flags %x\n", m.msg_flags & ~MSG_CMSG_CLOEXEC);
	return r;
}

static void pass(int s, int on)
{
	if (setsockopt(s, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)))
		perror("SO_PASSCRED");
}

static void send_with_fd(int s, const char *text)
{
	_Alignas(8) char ctl[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)text, strlen(text)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			   .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	*(int *)CMSG_DATA(c) = 0;
	sendmsg(s, &m, 0);
}

/* Runs f in a child that waits until the parent says go, and until the end. */
static void in_child(void (*f)(int), int arg, int go[2])
{
	char b;

	pipe(go);
	fflush(stdout);
	child = fork();
	if (!child) {
		close(go[1]);
		child = getpid();
		f(arg);
		read(go[0], &b, 1);
		_exit(0);
	}
	close(go[0]);
}

static void end_child(int go[2])
{
	close(go[1]);
	waitpid(child, NULL, 0);
}

static void pairs(void)
{
	int sv[2];

	printf("-- pairs\n");
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	say_peer("one end", sv[0]);
	say_peer("the other", sv[1]);
	close(sv[0]);
	say_peer("alone", sv[1]);
	close(sv[1]);
	sv[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	say_peer("no peer", sv[0]);
	close(sv[0]);
}

static int connect_type, connect_bound;
static const char *connect_path;
static int connect_abstract;

static int connect_leave;

static void connector(int report)
{
	struct sockaddr_un a, own;
	int s = socket(AF_UNIX, connect_type, 0);
	socklen_t n = sizeof(own);

	if (connect_bound)
		bind(s, (struct sockaddr *)&own, name(&own, "cred.client", 0));
	if (connect(s, (struct sockaddr *)&a, name(&a, connect_path, connect_abstract)))
		perror("connect");
	write(s, "hello", 5);
	say_peer("child's peer", s);
	n = sizeof(own);
	getsockname(s, (struct sockaddr *)&own, &n);
	printf("child's name: %u bytes\n", n);
	n = sizeof(own);
	getpeername(s, (struct sockaddr *)&own, &n);
	printf("its peer's: %u bytes\n", n);
	fflush(stdout);
	if (connect_leave)
		close(s);
	write(report, "!", 1);
}

static void connections(int type, const char *path, int abstract, int bound)
{
	int ls = socket(AF_UNIX, type, 0), s, go[2], report[2];
	struct sockaddr_un a;
	socklen_t n;
	char b;

	printf("-- connection type %d %s%s%s\n", type, abstract ? "@" : "", path, bound ? ", bound" : "");
	bind(ls, (struct sockaddr *)&a, name(&a, path, abstract));
	say_peer("before listen", ls);
	listen(ls, 5);
	say_peer("listening", ls);
	connect_type = type;
	connect_bound = bound;
	connect_path = path;
	connect_abstract = abstract;
	pipe(report);
	in_child(connector, report[1], go);
	read(report[0], &b, 1);
	n = sizeof(a);
	memset(&a, 0, sizeof(a));
	s = SAY_FD(accept(ls, (struct sockaddr *)&a, &n));
	printf("accepted from %u bytes %s\n", n, n > 2 ? a.sun_path : "");
	say_peer("accepted", s);
	n = sizeof(a);
	SAY(getpeername(s, (struct sockaddr *)&a, &n));
	printf("%u bytes\n", n);
	receive(s, 100, 0);
	end_child(go);
	say_peer("after its end", s);
	close(s);
	close(ls);
	close(report[0]);
	close(report[1]);
	if (!abstract)
		unlink(path);
	unlink("cred.client");
}

/* A connect that fails leaves the socket as it was. */
static void failed_connect(void)
{
	struct sockaddr_un a;
	int s = socket(AF_UNIX, SOCK_STREAM, 0), ls = socket(AF_UNIX, SOCK_STREAM, 0), c;

	printf("-- a failed connect\n");
	SAY(connect(s, (struct sockaddr *)&a, name(&a, "cred-none", 1)));
	SAY(bind(ls, (struct sockaddr *)&a, name(&a, "cred-deaf", 1)));
	SAY(connect(s, (struct sockaddr *)&a, name(&a, "cred-deaf", 1)));
	SAY(bind(s, (struct sockaddr *)&a, name(&a, "cred-now", 1)));
	SAY(listen(s, 1));
	c = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	SAY(connect(c, (struct sockaddr *)&a, name(&a, "cred-now", 1)));
	SAY(bind(c, (struct sockaddr *)&a, name(&a, "cred-other", 1)));
	close(c);
	close(ls);
	close(s);
}

static void writer(int s)
{
	write(s, "by write", 8);
	usleep(20000);
	send(s, "by send", 7, 0);
	usleep(20000);
	send_with_fd(s, "with a file");
}

static void messages(int type)
{
	int sv[2], go[2];

	printf("-- messages type %d\n", type);
	socketpair(AF_UNIX, type, 0, sv);
	write(sv[0], "before", 6);
	pass(sv[1], 1);
	receive(sv[1], 6, 0);
	in_child(writer, sv[0], go);
	receive(sv[1], 8, 0);
	receive(sv[1], 7, MSG_PEEK);
	receive(sv[1], 7, 0);
	receive(sv[1], 11, 0);
	write(sv[0], "mine", 4);
	receive(sv[1], 4, 0);
	end_child(go);
	if (type == SOCK_STREAM) {
		write(sv[0], "in parts", 8);
		receive(sv[1], 3, 0);
		receive(sv[1], 5, 0);
	}
	pass(sv[1], 0);
	write(sv[0], "after", 5);
	receive(sv[1], 5, 0);
	/* The sender's own wish is enough for its messages to be signed. */
	pass(sv[0], 1);
	write(sv[0], "signed", 6);
	pass(sv[1], 1);
	receive(sv[1], 6, 0);
	close(sv[0]);
	close(sv[1]);
}

static void dgram_sender(int report)
{
	struct sockaddr_un a;
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);

	sendto(s, "to a name", 9, 0, (struct sockaddr *)&a, name(&a, "cred.dgram", 0));
	connect(s, (struct sockaddr *)&a, name(&a, "cred.dgram", 0));
	say_peer("a connected datagram socket", s);
	fflush(stdout);
	write(s, "connected", 9);
	close(s);
	write(report, "!", 1);
}

static void datagrams(void)
{
	int s = socket(AF_UNIX, SOCK_DGRAM, 0), c, go[2], report[2];
	struct sockaddr_un a;
	socklen_t n = sizeof(a);
	char b;

	printf("-- datagrams\n");
	bind(s, (struct sockaddr *)&a, name(&a, "cred.dgram", 0));
	pass(s, 1);
	pipe(report);
	in_child(dgram_sender, report[1], go);
	read(report[0], &b, 1);
	receive(s, 100, 0);
	receive(s, 100, 0);
	end_child(go);
	/* A sender that wants credentials has a name from then on. */
	c = socket(AF_UNIX, SOCK_DGRAM, 0);
	pass(c, 1);
	SAY(sendto(c, "named", 5, 0, (struct sockaddr *)&a, name(&a, "cred.dgram", 0)));
	n = sizeof(a);
	SAY(getsockname(c, (struct sockaddr *)&a, &n));
	printf("%u bytes, abstract %d\n", n, !a.sun_path[0]);
	n = sizeof(a);
	SAY(recvfrom(s, &b, 1, 0, (struct sockaddr *)&a, &n));
	SAY(sendto(s, "back", 4, 0, (struct sockaddr *)&a, n));
	receive(c, 100, MSG_DONTWAIT);
	close(c);
	close(s);
	unlink("cred.dgram");
}

static void options(void)
{
	int sv[2], v = 5, go[2];
	socklen_t n = sizeof(v);
	char label[64];

	printf("-- options\n");
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	SAY(getsockopt(sv[0], SOL_SOCKET, SO_PASSCRED, &v, &n));
	SAY(v);
	pass(sv[0], 7);
	SAY(getsockopt(sv[0], SOL_SOCKET, SO_PASSCRED, &v, &n));
	SAY(v);
	SAY(setsockopt(sv[0], SOL_SOCKET, SO_PASSCRED, &v, 2));
	n = 4;
	SAY(getsockopt(sv[0], SOL_SOCKET, SO_PEERCRED, label, &n));
	printf("len %u\n", n);
	SAY(ioctl(sv[0], FIONREAD, &v));
	SAY(v);
	write(sv[1], "12345", 5);
	SAY(ioctl(sv[0], FIONREAD, &v));
	SAY(v);
	SAY(ioctl(sv[1], TIOCOUTQ, &v) == 0 && v > 0);
	close(sv[0]);
	close(sv[1]);
	(void)go;
}

/* Sockets that hold one another in messages go when nobody else holds them: the pipe's reader sees it. */
static void cycles(void)
{
	int sv[2], p[2];
	struct pollfd pf;
	struct iovec iov = {"x", 1};
	_Alignas(8) char ctl[CMSG_SPACE(20 * sizeof(int))] = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			   .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	printf("-- cycles\n");
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(20 * sizeof(int));
	for (int i = 0; i < 80; i++) {
		pipe(p);
		socketpair(AF_UNIX, i & 1 ? SOCK_STREAM : SOCK_DGRAM, 0, sv);
		/* Into its own queue, with the pipe. */
		((int *)CMSG_DATA(c))[0] = sv[1];
		for (int k = 1; k < 20; k++)
			((int *)CMSG_DATA(c))[k] = p[1];
		if (sendmsg(sv[0], &m, 0) != 1 || (i & 2 && sendmsg(sv[1], &m, 0) != 1)) {
			printf("%d: %s\n", i, strerrorname_np(errno));
			break;
		}
		close(p[1]);
		close(sv[0]);
		close(sv[1]);
		/* The end of some socket makes the kernel look for such. */
		close(socket(AF_UNIX, SOCK_STREAM, 0));
		pf = (struct pollfd){.fd = p[0], .events = POLLIN};
		if (poll(&pf, 1, 2000) != 1) {
			printf("%d: still held\n", i);
			break;
		}
		close(p[0]);
	}
	printf("done\n");
}

/* Many processes connect at once; what each says of itself is what the socket says of it. */
static void crowd(void)
{
	int ls = socket(AF_UNIX, SOCK_STREAM, 0), wrong = 0, pid;
	struct sockaddr_un a;
	socklen_t n = name(&a, "cred-crowd", 1), len;
	struct ucred c;

	printf("-- a crowd\n");
	bind(ls, (struct sockaddr *)&a, n);
	listen(ls, 20);
	fflush(stdout);
	for (int i = 0; i < 5; i++) {
		if (fork())
			continue;
		for (int k = 0; k < 40; k++) {
			int s = socket(AF_UNIX, SOCK_STREAM, 0);

			pid = getpid();
			connect(s, (struct sockaddr *)&a, n);
			write(s, &pid, sizeof(pid));
			close(s);
		}
		_exit(0);
	}
	for (int i = 0; i < 200; i++) {
		int s = accept(ls, NULL, NULL);

		len = sizeof(c);
		pid = 0;
		read(s, &pid, sizeof(pid));
		getsockopt(s, SOL_SOCKET, SO_PEERCRED, &c, &len);
		wrong += c.pid != pid;
		close(s);
	}
	while (wait(NULL) > 0)
		;
	SAY(wrong);
	close(ls);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	first = getpid();
	pairs();
	connections(SOCK_STREAM, "cred.stream", 0, 0);
	connections(SOCK_STREAM, "cred-abstract", 1, 0);
	connections(SOCK_SEQPACKET, "cred.seq", 0, 0);
	connections(SOCK_STREAM, "cred.stream", 0, 1);
	connect_leave = 1; /* closed before it is accepted */
	connections(SOCK_STREAM, "cred.stream", 0, 0);
	connections(SOCK_STREAM, "cred.stream", 0, 1);
	failed_connect();
	messages(SOCK_STREAM);
	messages(SOCK_DGRAM);
	messages(SOCK_SEQPACKET);
	datagrams();
	options();
	crowd();
	cycles();
	return 0;
}
