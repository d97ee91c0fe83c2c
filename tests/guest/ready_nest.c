/* epoll: nesting and its limits, exclusive waits, and sets that processes share after a fork. */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static int ctl(int ep, int op, int fd, unsigned events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, op, fd, &ev);
}

static void wait_and_say(int ep, int ms)
{
	struct epoll_event ev[8];
	int n = epoll_wait(ep, ev, 8, ms);

	printf("events %d:", n);
	for (uint64_t d = 0; d < 20; d++)
		for (int i = 0; i < n; i++)
			if (ev[i].data.u64 == d)
				printf(" %llu/%#x", (unsigned long long)d, ev[i].events);
	printf("\n");
}

static void loops(void)
{
	int a = epoll_create1(0), b = epoll_create1(0), c = epoll_create1(0), chain[8];

	printf("-- loops\n");
	SAY(ctl(a, EPOLL_CTL_ADD, a, EPOLLIN, 1));
	SAY(ctl(a, EPOLL_CTL_ADD, b, EPOLLIN, 1));
	SAY(ctl(b, EPOLL_CTL_ADD, a, EPOLLIN, 1));
	SAY(ctl(b, EPOLL_CTL_ADD, c, EPOLLIN, 1));
	SAY(ctl(c, EPOLL_CTL_ADD, a, EPOLLIN, 1));
	for (int i = 0; i < 8; i++) {
		chain[i] = epoll_create1(0);
		if (i)
			printf("depth %d: %s\n", i, ctl(chain[i], EPOLL_CTL_ADD, chain[i - 1], EPOLLIN, 1) ? strerrorname_np(errno) : "ok");
	}
	for (int i = 0; i < 8; i++)
		close(chain[i]);
	close(a);
	close(b);
	close(c);
}

static void through(void)
{
	int in = epoll_create1(0), out = epoll_create1(0), e = eventfd(0, EFD_NONBLOCK);
	uint64_t v = 1;

	printf("-- through another\n");
	SAY(ctl(in, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLET, 1));
	SAY(ctl(out, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLET, 2));
	wait_and_say(out, 0);
	write(e, &v, 8);
	wait_and_say(out, 100);
	wait_and_say(out, 0);
	SAY(poll(&(struct pollfd){in, POLLIN, 0}, 1, 0));
	wait_and_say(in, 0);
	wait_and_say(in, 0);
	write(e, &v, 8);
	wait_and_say(out, 100);
	close(in);
	wait_and_say(out, 0);
	close(out);
	close(e);
}

static void exclusive(void)
{
	int ep = epoll_create1(0), other = epoll_create1(0), e = eventfd(1, EFD_NONBLOCK);

	printf("-- exclusive\n");
	SAY(ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLEXCLUSIVE, 3));
	SAY(ctl(other, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLEXCLUSIVE, 4));
	SAY(ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN, 3));
	SAY(ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLEXCLUSIVE, 3));
	wait_and_say(ep, 0);
	wait_and_say(other, 0);
	SAY(ctl(ep, EPOLL_CTL_ADD, other, EPOLLIN | EPOLLEXCLUSIVE, 5));
	SAY(ctl(ep, EPOLL_CTL_DEL, e, 0, 0));
	SAY(ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 3));
	close(ep);
	close(other);
	close(e);
}

/* The set and what is in it belong to open files, not to processes. */
static void shared(void)
{
	int ep = epoll_create1(0), p[2], q[2], sync[2];
	char c;

	printf("-- shared\n");
	fflush(stdout);
	pipe(p);
	pipe(sync);
	SAY(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 6));
	if (!fork()) {
		close(p[0]); /* the parent has it open */
		pipe(q);
		ctl(ep, EPOLL_CTL_ADD, q[0], EPOLLIN, 7);
		write(q[1], "q", 1);
		write(p[1], "p", 1);
		write(sync[1], "1", 1);
		sleep(1);
		_exit(0);
	}
	read(sync[0], &c, 1);
	wait_and_say(ep, 1000);
	close(p[0]);
	wait_and_say(ep, 0);
	wait(NULL);
	wait_and_say(ep, 0); /* the child's went with it */
	close(p[1]);
	close(ep);
}

/* A descriptor closed while it is registered: gone, unless the open file has another one. */
static void closed(void)
{
	int ep = epoll_create1(0), e = eventfd(1, EFD_NONBLOCK), d = dup(e), n;

	printf("-- closed\n");
	SAY(ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN, 8));
	close(e);
	wait_and_say(ep, 0);
	SAY(ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN, 8));
	n = dup2(d, e);
	SAY(n == e);
	SAY(ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN, 9)); /* the same file, the same number */
	wait_and_say(ep, 0);
	close(d);
	close(e);
	wait_and_say(ep, 0);
	close(ep);
}

static void timeouts(void)
{
	int ep = epoll_create1(0);
	struct timespec ts = {.tv_nsec = 20000000}, bad = {.tv_nsec = 1000000000};
	struct epoll_event ev;

	printf("-- timeouts\n");
	SAY(epoll_pwait2(ep, &ev, 1, &ts, NULL));
	SAY(epoll_pwait2(ep, &ev, 1, &bad, NULL));
	SAY(epoll_pwait2(ep, &ev, 0, &ts, NULL));
	SAY(epoll_pwait2(ep, &ev, 1, (void *)8, NULL));
	close(ep);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	loops();
	through();
	exclusive();
	shared();
	closed();
	timeouts();
	return 0;
}
