/* Descriptors and credentials that travel over unix sockets. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "tests/guest/say.h"

static ssize_t send_fds(int s, const int *fds, int n, int flags)
{
	_Alignas(8) char ctl[CMSG_SPACE(16 * sizeof(int))] = {0};
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			   .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return sendmsg(s, &m, flags);
}

/* Number of descriptors received; room is how many fit. */
static int recv_fds(int s, int *fds, int room, int flags, int *mflags)
{
	_Alignas(8) char ctl[CMSG_SPACE(16 * sizeof(int))] = {0};
	char b;
	struct iovec iov = {&b, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			   .msg_controllen = room ? CMSG_LEN(room * sizeof(int)) : 0};
	struct cmsghdr *c;
	int n = 0;

	if (recvmsg(s, &m, flags) < 0)
		return -1;
	*mflags = m.msg_flags;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	}
	return n;
}

static void files(int a, int b)
{
	int fd = open("passed", O_CREAT | O_RDWR, 0600), got[16], flags, bad = 99;
	char buf[8] = {0};

	printf("-- files\n");
	write(fd, "content", 7);
	SAY(send_fds(a, &fd, 1, 0));
	SAY(recv_fds(b, got, 4, MSG_CMSG_CLOEXEC, &flags));
	printf("cloexec %d\n", fcntl(got[0], F_GETFD));
	SAY(lseek(fd, 2, SEEK_SET)); /* one description, one position */
	SAY(read(got[0], buf, 3));
	printf("read %s\n", buf);
	SAY(lseek(fd, 0, SEEK_CUR));
	close(got[0]);
	SAY(send_fds(a, (int[]){fd, fd, fd}, 3, 0));
	SAY(recv_fds(b, got, 2, 0, &flags));
	printf("truncated %d cloexec %d\n", (flags & MSG_CTRUNC) != 0, fcntl(got[1], F_GETFD));
	close(got[0]);
	close(got[1]);
	SAY(send_fds(a, &fd, 1, 0));
	SAY(recv_fds(b, got, 0, 0, &flags));
	printf("truncated %d\n", (flags & MSG_CTRUNC) != 0);
	SAY(send_fds(a, &bad, 1, 0));
	SAY(send_fds(a, &fd, 1, 0));
	SAY(recv_fds(b, got, 1, MSG_PEEK, &flags));
	close(got[0]);
	SAY(recv_fds(b, got, 1, 0, &flags));
	close(got[0]);
	close(fd);
}

/* The last copy of a pipe's end must be the last: the reader sees the end. */
static void lifetime(int a, int b)
{
	int p[2], got[16], flags;
	struct pollfd pf;
	char c;

	printf("-- lifetime\n");
	pipe(p);
	pf = (struct pollfd){.fd = p[0], .events = POLLIN};
	SAY(send_fds(a, &p[1], 1, 0));
	close(p[1]);
	SAY(poll(&pf, 1, 0));
	SAY(recv_fds(b, got, 1, 0, &flags));
	SAY(write(got[0], "!", 1));
	SAY(read(p[0], &c, 1));
	close(got[0]);
	SAY(poll(&pf, 1, 1000));
	SAY(read(p[0], &c, 1));
	close(p[0]);
	/* In a message that nobody reads. */
	pipe(p);
	pf.fd = p[0];
	int sv[2];
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	SAY(send_fds(sv[0], &p[1], 1, 0));
	close(p[1]);
	close(sv[0]);
	close(sv[1]);
	SAY(poll(&pf, 1, 1000));
	close(p[0]);
	/* read() drops descriptors. */
	pipe(p);
	pf.fd = p[0];
	SAY(send_fds(a, &p[1], 1, 0));
	close(p[1]);
	SAY(read(b, &c, 1));
	SAY(poll(&pf, 1, 1000));
	close(p[0]);
}

static void sockets(int a, int b)
{
	int sv[2], got[16], flags;
	char buf[4] = {0};

	printf("-- sockets\n");
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	SAY(send_fds(a, sv, 2, 0));
	close(sv[0]);
	close(sv[1]);
	SAY(recv_fds(b, got, 2, 0, &flags));
	SAY(write(got[0], "abc", 3));
	SAY(read(got[1], buf, 3));
	SAY(send_fds(got[0], &got[1], 1, 0));
	SAY(recv_fds(got[1], sv, 1, 0, &flags));
	close(sv[0]);
	close(got[0]);
	SAY(read(got[1], buf, 3));
	close(got[1]);
}

static ssize_t send_cred(int s, struct ucred cr, size_t len)
{
	_Alignas(8) char ctl[CMSG_SPACE(sizeof(cr))] = {0};
	struct iovec iov = {"c", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			   .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = len;
	memcpy(CMSG_DATA(c), &cr, sizeof(cr));
	return sendmsg(s, &m, 0);
}

static void credentials(int a, int b)
{
	struct ucred mine = {getpid(), getuid(), getgid()}, got = {0};
	_Alignas(8) char ctl[256];
	char c;
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			   .msg_controllen = sizeof(ctl)};
	struct cmsghdr *h;
	int one = 1;

	printf("-- credentials\n");
	SAY(setsockopt(b, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	SAY(send_cred(a, mine, CMSG_LEN(sizeof(mine))));
	SAY(recvmsg(b, &m, 0));
	for (h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
		if (h->cmsg_type == SCM_CREDENTIALS)
			memcpy(&got, CMSG_DATA(h), sizeof(got));
	printf("equal %d\n", !memcmp(&got, &mine, sizeof(got)));
	SAY(send_cred(a, mine, CMSG_LEN(4)));
	SAY(send_cred(a, mine, 4));
	SAY(send_cred(a, mine, 4000));
	one = 0;
	setsockopt(b, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
}

int main(void)
{
	int sv[2];

	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	files(sv[0], sv[1]);
	lifetime(sv[0], sv[1]);
	sockets(sv[0], sv[1]);
	credentials(sv[0], sv[1]);
	return 0;
}
