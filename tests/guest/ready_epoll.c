/* epoll: what is registered under which number, modes, nesting, errors. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void *volatile bad = (void *)8;
static volatile int minus_one = -1;

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
	/* In order of data: the order of delivery is not the test's subject. */
	for (uint64_t d = 0; d < 20; d++)
		for (int i = 0; i < n; i++)
			if (ev[i].data.u64 == d)
				printf(" %llu/%#x", (unsigned long long)d, ev[i].events);
	printf("\n");
}

static void duplicates(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), p[2], d, e;

	printf("-- duplicates\n");
	SAY(pipe(p));
	SAY(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	SAY(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 2));
	d = dup(p[0]);
	SAY(ctl(ep, EPOLL_CTL_MOD, d, EPOLLIN, 2));
	SAY(ctl(ep, EPOLL_CTL_ADD, d, EPOLLIN, 2));
	e = dup(d);
	SAY(ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN, 3));
	wait_and_say(ep, 0);
	SAY(write(p[1], "x", 1));
	wait_and_say(ep, 0);
	SAY(ctl(ep, EPOLL_CTL_MOD, d, EPOLLIN, 12));
	wait_and_say(ep, 0);
	SAY(ctl(ep, EPOLL_CTL_DEL, d, 0, 0));
	SAY(ctl(ep, EPOLL_CTL_DEL, d, 0, 0));
	wait_and_say(ep, 0);
	/* The file is open as long as one of its numbers is. */
	close(p[0]);
	wait_and_say(ep, 0);
	SAY(ctl(ep, EPOLL_CTL_DEL, p[0], 0, 0));
	close(d);
	wait_and_say(ep, 0);
	close(e);
	wait_and_say(ep, 0);
	SAY(fcntl(p[1], F_GETFD));
	close(p[1]);
	/* The number is free for something else. */
	SAY(pipe(p));
	SAY(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 5));
	close(p[1]);
	wait_and_say(ep, 0);
	close(p[0]);
	wait_and_say(ep, 0);
	close(ep);
}

static void modes(void)
{
	int ep = epoll_create(1), e = eventfd(0, EFD_NONBLOCK);
	uint64_t v = 1;

	printf("-- modes\n");
	SAY(ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLET, 1));
	write(e, &v, 8);
	wait_and_say(ep, 0);
	wait_and_say(ep, 0);
	write(e, &v, 8);
	wait_and_say(ep, 0);
	SAY(ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLONESHOT, 2));
	wait_and_say(ep, 0);
	wait_and_say(ep, 0);
	SAY(ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLOUT, 3));
	wait_and_say(ep, 0);
	SAY(ctl(ep, EPOLL_CTL_DEL, e, 0, 0));
	SAY(ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLEXCLUSIVE, 4));
	SAY(ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN, 4));
	wait_and_say(ep, 0);
	close(e);
	close(ep);
}

static void nested(void)
{
	int a = epoll_create1(0), b = epoll_create1(0), e = eventfd(1, 0);

	printf("-- nested\n");
	SAY(ctl(a, EPOLL_CTL_ADD, b, EPOLLIN, 1));
	SAY(ctl(b, EPOLL_CTL_ADD, a, EPOLLIN, 1));
	wait_and_say(a, 0);
	SAY(ctl(b, EPOLL_CTL_ADD, e, EPOLLIN, 2));
	wait_and_say(a, 0);
	close(e);
	wait_and_say(a, 0);
	close(b);
	close(a);
}

static void errors(void)
{
	int ep = epoll_create1(0), p[2], f = open("file", O_CREAT | O_RDWR, 0600);
	struct epoll_event ev;

	printf("-- errors\n");
	pipe(p);
	SAY(epoll_create(0));
	SAY(epoll_create1(77));
	SAY(ctl(ep, EPOLL_CTL_ADD, f, EPOLLIN, 1));
	SAY(ctl(ep, EPOLL_CTL_ADD, 99, EPOLLIN, 1));
	SAY(ctl(99, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	SAY(ctl(p[0], EPOLL_CTL_ADD, p[1], EPOLLIN, 1));
	SAY(ctl(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 1));
	SAY(ctl(ep, 77, p[0], EPOLLIN, 1));
	SAY(ctl(ep, EPOLL_CTL_DEL, p[0], EPOLLIN, 1));
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], bad));
	SAY(epoll_wait(ep, &ev, 0, 0));
	SAY(epoll_wait(ep, &ev, minus_one, 0));
	SAY(epoll_wait(p[0], &ev, 1, 0));
	SAY(epoll_wait(99, &ev, 1, 0));
	ctl(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT, 1);
	SAY(epoll_wait(ep, bad, 1, 0));
	SAY(read(ep, &ev, 8));
	close(p[0]);
	close(p[1]);
	close(f);
	close(ep);
}

static void on_signal(int sig)
{
	printf("handler %d\n", sig);
}

static void *poke(void *arg)
{
	uint64_t v = 3;

	usleep(30000);
	write(*(int *)arg, &v, 8);
	return NULL;
}

static void waiting(void)
{
	int ep = epoll_create1(0), e = eventfd(0, 0);
	struct timespec a, b, ts = {0, 10000000};
	struct epoll_event ev;
	sigset_t block, none;
	pthread_t th;
	long ms;

	printf("-- waiting\n");
	fflush(stdout);
	ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN, 7);
	clock_gettime(CLOCK_MONOTONIC, &a);
	SAY(epoll_wait(ep, &ev, 1, 50));
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	printf("waited %d\n", ms >= 49 && ms < 5000);
	SAY(epoll_pwait2(ep, &ev, 1, &ts, NULL));
	ts.tv_nsec = -1;
	SAY(epoll_pwait2(ep, &ev, 1, &ts, NULL));
	pthread_create(&th, NULL, poke, &e);
	wait_and_say(ep, -1);
	pthread_join(th, NULL);
	/* A blocked signal is let through for the time of the wait only. */
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	read(e, &(uint64_t){0}, 8);
	SAY(epoll_pwait(ep, &ev, 1, -1, &none));
	sigprocmask(SIG_BLOCK, NULL, &none);
	printf("blocked %d\n", sigismember(&none, SIGUSR1));
	close(e);
	close(ep);
}

int main(void)
{
	duplicates();
	modes();
	nested();
	errors();
	waiting();
	return 0;
}
