/* Random network and readiness calls that mostly make sense: a pool of descriptors that several threads
 * bind, connect, pass to each other, register, wait for and close, with lengths and pointers that are
 * wrong now and then. The sandbox must stay up: "alive" at the end. Usage: fuzz_net SEED COUNT. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define POOL	64
#define THREADS 4

static _Atomic int pool[POOL];
static _Atomic int last_port;
static uint64_t seed;
static long count;

static uint64_t next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

#define PICK(n)	 ((int)(next(s) % (n)))
#define RARE(n)	 (PICK(n) == 0)
#define FD()	 (RARE(40) ? PICK(200) + 3 : pool[PICK(POOL)])

/* A pointer that is wrong now and then. */
static void *ptr(uint64_t *s, void *good)
{
	static const uintptr_t odd[] = {0, 1, 4096, 0x7fffffffeff8, 0x800000000000,
					0xffffffff80000000, ~0ul};

	return RARE(30) ? (void *)odd[PICK(7)] : good;
}

static void put(uint64_t *s, int fd)
{
	int old;

	if (fd < 0)
		return;
	old = atomic_exchange(&pool[PICK(POOL)], fd);
	if (old >= 0)
		close(old);
}

static socklen_t address(uint64_t *s, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (void *)ss;
	struct sockaddr_in6 *in6 = (void *)ss;
	struct sockaddr_un *un = (void *)ss;
	socklen_t n;

	memset(ss, 0, sizeof(*ss));
	switch (PICK(6)) {
	case 0:
		*in = (struct sockaddr_in){.sin_family = AF_INET};
		in->sin_addr.s_addr = RARE(8) ? next(s) : htonl(INADDR_LOOPBACK);
		in->sin_port = RARE(3) ? 0 : last_port;
		n = sizeof(*in);
		break;
	case 1:
		in6->sin6_family = AF_INET6;
		in6->sin6_port = RARE(3) ? 0 : last_port;
		inet_pton(AF_INET6, RARE(2) ? "::1" : "::ffff:127.0.0.1", &in6->sin6_addr);
		n = sizeof(*in6);
		break;
	case 2:
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "%ssock%d", RARE(4) ? "/scratch/" : "", PICK(8));
		n = 2 + strlen(un->sun_path) + 1;
		break;
	case 3:
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "fuzz%d", PICK(8));
		n = 2 + 1 + strlen(un->sun_path + 1);
		break;
	case 4:
		*(struct sockaddr_nl *)ss = (struct sockaddr_nl){.nl_family = AF_NETLINK, .nl_pid = RARE(2) ? PICK(5) : 0};
		n = sizeof(struct sockaddr_nl);
		break;
	default:
		for (size_t i = 0; i < sizeof(*ss); i++)
			((char *)ss)[i] = (char)next(s);
		ss->ss_family = PICK(12);
		n = PICK(140);
	}
	return RARE(20) ? (socklen_t)next(s) : n;
}

static size_t control(uint64_t *s, char *buf, size_t size)
{
	size_t off = 0;

	memset(buf, 0, size);
	while (off + CMSG_SPACE(64) <= size && !RARE(3)) {
		struct cmsghdr *c = (void *)(buf + off);
		int n = PICK(5);

		c->cmsg_level = RARE(6) ? PICK(300) : SOL_SOCKET;
		c->cmsg_type = RARE(6) ? PICK(80) : RARE(4) ? SCM_CREDENTIALS : SCM_RIGHTS;
		c->cmsg_len = RARE(12) ? next(s) % 200 : CMSG_LEN(n * sizeof(int));
		for (int i = 0; i < n; i++)
			((int *)CMSG_DATA(c))[i] = FD();
		off += CMSG_SPACE(n * sizeof(int));
	}
	return RARE(15) ? next(s) % 100000 : off;
}

/* Requests to netlink that are nearly right. Bytes. */
static size_t requests(uint64_t *s, char *buf, size_t size)
{
	size_t off = 0;

	while (off + 128 <= size && !RARE(3)) {
		struct nlmsghdr *h = (void *)(buf + off);

		for (int i = 0; i < 128; i++)
			buf[off + i] = RARE(3) ? (char)next(s) : 0;
		h->nlmsg_len = RARE(6) ? (uint32_t)PICK(200) : 16 + (uint32_t)PICK(60);
		h->nlmsg_type = RARE(6) ? PICK(200) : 16 + 4 * PICK(5) + 2;
		h->nlmsg_flags = NLM_F_REQUEST | (RARE(2) ? NLM_F_DUMP : 0) | (RARE(3) ? NLM_F_ACK : 0);
		buf[off + 16] = RARE(2) ? AF_INET : AF_INET6;
		*(uint16_t *)(buf + off + 28) = PICK(40);
		*(uint16_t *)(buf + off + 30) = PICK(60);
		off += (h->nlmsg_len + 3) & ~3u;
	}
	return RARE(8) ? (size_t)PICK(40000) : off;
}

static void messages(uint64_t *s)
{
	static __thread char data[1 << 17];
	static __thread char ctl[1024] __attribute__((aligned(8)));
	struct sockaddr_storage ss;
	struct iovec iov[3] = {{ptr(s, data), PICK(200)}, {ptr(s, data + 300), PICK(3)},
			       {data + 1000, RARE(9) ? sizeof(data) - 1000 : (size_t)PICK(5000)}};
	struct mmsghdr m[3];
	int fd = FD(), flags = MSG_DONTWAIT | (RARE(3) ? (int)next(s) & ~MSG_WAITALL : 0);

	for (int i = 0; i < 3; i++) {
		socklen_t n = address(s, &ss);

		m[i].msg_hdr = (struct msghdr){RARE(2) ? NULL : &ss, n, ptr(s, iov), PICK(4), ctl, 0, 0};
		m[i].msg_hdr.msg_controllen = control(s, ctl, sizeof(ctl));
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
	switch (PICK(7)) {
	case 6:
		syscall(SYS_sendto, fd, data, requests(s, data, 4096), flags & ~MSG_OOB, NULL, 0);
		break;
	case 0:
		syscall(SYS_sendmsg, fd, ptr(s, &m[0].msg_hdr), flags);
		break;
	case 1:
		syscall(SYS_sendmmsg, fd, ptr(s, m), PICK(4), flags);
		break;
	case 2:
		syscall(SYS_sendto, fd, data, PICK(5000), flags, ptr(s, &ss), address(s, &ss));
		break;
	case 3:
		syscall(SYS_recvmsg, fd, ptr(s, &m[0].msg_hdr), flags);
		for (struct cmsghdr *c = m[0].msg_hdr.msg_control; RARE(2) && c == (void *)ctl; c = NULL)
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
				put(s, *(int *)CMSG_DATA(c));
		break;
	case 4:
		syscall(SYS_recvmmsg, fd, ptr(s, m), PICK(4), flags, NULL);
		break;
	case 5:
		syscall(SYS_recvfrom, fd, data, PICK(5000), flags, ptr(s, &ss), ptr(s, &(socklen_t){PICK(200)}));
	}
}

static void make(uint64_t *s)
{
	static const int domains[] = {AF_INET, AF_INET6, AF_UNIX, AF_UNIX, AF_NETLINK};
	int p[2] = {-1, -1}, d = domains[PICK(5)], t = (RARE(10) ? PICK(8) : d == AF_NETLINK ? 3 : 1 + PICK(2)) | SOCK_NONBLOCK;

	switch (PICK(7)) {
	case 0:
	case 1:
		put(s, socket(d, RARE(8) ? SOCK_SEQPACKET | SOCK_NONBLOCK : t, 0));
		break;
	case 2:
		socketpair(AF_UNIX, t, 0, ptr(s, p));
		break;
	case 3:
		pipe2(ptr(s, p), O_NONBLOCK);
		break;
	case 4:
		put(s, epoll_create1(0));
		break;
	case 5:
		put(s, eventfd(PICK(3), EFD_NONBLOCK));
		break;
	case 6:
		put(s, dup(FD()));
	}
	put(s, p[0]);
	put(s, p[1]);
}

static void names(uint64_t *s)
{
	struct sockaddr_storage ss;
	socklen_t n = address(s, &ss), got = sizeof(ss);
	char val[64] = {0};
	int fd = FD();

	switch (PICK(8)) {
	case 0:
		fcntl(fd, F_SETFL, O_NONBLOCK);
		syscall(SYS_bind, fd, ptr(s, &ss), n);
		break;
	case 1:
		fcntl(fd, F_SETFL, O_NONBLOCK);
		syscall(SYS_connect, fd, ptr(s, &ss), n);
		break;
	case 2:
		listen(fd, PICK(5));
		if (!getsockname(fd, (void *)&ss, &got) && ss.ss_family == AF_INET)
			last_port = ((struct sockaddr_in *)&ss)->sin_port;
		break;
	case 3:
		fcntl(fd, F_SETFL, O_NONBLOCK);
		put(s, syscall(SYS_accept4, fd, ptr(s, &ss), ptr(s, &got), SOCK_NONBLOCK));
		break;
	case 4:
		syscall(RARE(2) ? SYS_getsockname : SYS_getpeername, fd, ptr(s, &ss), ptr(s, &got));
		break;
	case 5:
		syscall(SYS_getsockopt, fd, RARE(2) ? 1 : RARE(9) ? 270 : PICK(50), PICK(80), ptr(s, val), ptr(s, &got));
		break;
	case 6: { /* not the time-outs: nothing here may block long, and no lingering */
		int name = PICK(80);

		if (name != SO_LINGER)
			syscall(SYS_setsockopt, fd, RARE(2) ? 1 : RARE(9) ? 270 : PICK(50), name, ptr(s, val), PICK(64));
		break;
	}
	case 7:
		shutdown(fd, PICK(4));
	}
}

static void waits(uint64_t *s)
{
	struct epoll_event ev[4] = {{.events = next(s), .data.u64 = next(s)}};
	struct pollfd pf[8];
	struct timespec ts = {0, PICK(2000)};
	struct timeval tv = {0, PICK(20)};
	fd_set set[3];

	for (int i = 0; i < 8; i++)
		pf[i] = (struct pollfd){.fd = FD(), .events = next(s)};
	for (int k = 0; k < 3; k++) {
		FD_ZERO(&set[k]);
		for (int i = 0; i < 5; i++)
			FD_SET(PICK(128), &set[k]);
	}
	switch (PICK(6)) {
	case 0:
	case 1:
		syscall(SYS_epoll_ctl, FD(), 1 + PICK(4), FD(), ptr(s, ev));
		break;
	case 2:
		syscall(SYS_epoll_wait, FD(), ptr(s, ev), PICK(5), PICK(2));
		break;
	case 3:
		syscall(SYS_ppoll, ptr(s, pf), PICK(9), &ts, NULL, 8);
		break;
	case 4:
		syscall(SYS_select, PICK(200), ptr(s, &set[0]), ptr(s, &set[1]), ptr(s, &set[2]), &tv);
		break;
	case 5:
		syscall(SYS_timerfd_settime, FD(), PICK(3), ptr(s, ev), ptr(s, ev));
	}
}

static void others(uint64_t *s)
{
	static const unsigned cmds[] = {FIONREAD, FIONBIO, FIOCLEX, TIOCOUTQ, TCGETS, TIOCGWINSZ,
					TIOCGPGRP, 0x8905, 0x8912, 0x5450, 0x8910, 0x8913,
					0x8927, 0x8933, FIOASYNC};
	char buf[256];
	int fd = FD();

	fcntl(fd, F_SETFL, O_NONBLOCK);
	switch (PICK(5)) {
	case 4:
		syscall(SYS_fcntl, fd, RARE(2) ? F_SETOWN : F_SETFL, RARE(2) ? getpid() : O_ASYNC | O_NONBLOCK);
		break;
	case 0:
		syscall(SYS_ioctl, fd, cmds[PICK(15)], ptr(s, buf));
		break;
	case 1:
		syscall(SYS_read, fd, ptr(s, buf), PICK(256));
		break;
	case 2:
		if (fd > 2)
			syscall(SYS_write, fd, ptr(s, buf), PICK(256));
		break;
	case 3: {
		char path[32];

		snprintf(path, sizeof(path), "%ssock%d", RARE(2) ? "/scratch/" : "", PICK(8));
		unlink(path);
	}
	}
}

static void *body(void *arg)
{
	uint64_t state = seed * 1000003 + (uintptr_t)arg * 7919 + 1, *s = &state;

	for (long i = 0; i < count; i++) {
		switch (PICK(8)) {
		case 0:
		case 1:
			make(s);
			break;
		case 2:
		case 3:
			names(s);
			break;
		case 4:
		case 5:
			messages(s);
			break;
		case 6:
			waits(s);
			break;
		case 7:
			others(s);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t th[THREADS];

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	count = argc > 2 ? atol(argv[2]) : 2000;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGIO, SIG_IGN);
	for (int i = 0; i < POOL; i++)
		pool[i] = -1;
	for (long i = 0; i < THREADS; i++)
		pthread_create(&th[i], NULL, body, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(th[i], NULL);
	puts("alive");
	return 0;
}
