/* Pipes, eventfd, timerfd. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void *volatile bad = (void *)8;
static volatile int pipes_broken;

static void on_pipe(int sig)
{
	pipes_broken++;
}

static void *feed(void *arg)
{
	static char block[1 << 16];
	int fd = *(int *)arg;

	for (int i = 0; i < 64; i++) {
		memset(block, i, sizeof(block));
		if (write(fd, block, sizeof(block)) != sizeof(block))
			perror("write");
	}
	close(fd);
	return NULL;
}

static void pipes(void)
{
	static char big[1 << 17];
	int p[2], n = -1;
	char buf[64] = {0};
	struct iovec iov[3] = {{"ab", 2}, {"", 0}, {"cde", 3}}, riov[2] = {{buf, 1}, {buf + 10, 9}};
	pthread_t th;
	size_t total = 0;
	ssize_t r;

	printf("-- pipes\n");
	SAY(pipe2(p, O_NONBLOCK | O_CLOEXEC));
	printf("flags %#x %#x cloexec %d\n", fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFL),
	       fcntl(p[0], F_GETFD));
	SAY(read(p[0], buf, 1));
	SAY(writev(p[1], iov, 3));
	SAY(ioctl(p[0], FIONREAD, &n));
	printf("fionread %d\n", n);
	SAY(readv(p[0], riov, 2));
	printf("%c %s\n", buf[0], buf + 10);
	SAY(read(p[1], buf, 1));
	SAY(write(p[0], buf, 1));
	SAY(write(p[1], big, sizeof(big)));
	SAY(write(p[1], big, 1));
	SAY(read(p[0], big, sizeof(big)));
	SAY(lseek(p[0], 0, SEEK_CUR));
	SAY(pread(p[0], buf, 1, 0));
	SAY(write(p[1], bad, 4));
	SAY(fcntl(p[1], F_GETPIPE_SZ));
	close(p[0]);
	signal(SIGPIPE, on_pipe);
	SAY(write(p[1], "x", 1));
	printf("sigpipe %d\n", pipes_broken);
	close(p[1]);
	SAY(pipe2(p, 0x8));
	SAY(pipe2(bad, 0));
	SAY(pipe(p));
	pthread_create(&th, NULL, feed, &p[1]);
	while ((r = read(p[0], big, sizeof(big))) > 0)
		total += r;
	pthread_join(th, NULL);
	printf("total %zu\n", total);
	close(p[0]);
}

static void events(void)
{
	uint64_t v = 0;
	int e = eventfd(3, EFD_NONBLOCK);

	printf("-- eventfd\n");
	SAY(read(e, &v, 8));
	printf("value %llu\n", (unsigned long long)v);
	SAY(read(e, &v, 8));
	v = 5;
	SAY(write(e, &v, 8));
	SAY(write(e, &v, 8));
	SAY(read(e, &v, 4));
	SAY(read(e, &v, 8));
	printf("value %llu\n", (unsigned long long)v);
	v = UINT64_MAX;
	SAY(write(e, &v, 8));
	v--;
	SAY(write(e, &v, 8));
	SAY(write(e, &(uint64_t){1}, 8));
	close(e);
	e = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
	SAY(read(e, &v, 8));
	SAY(read(e, &v, 8));
	SAY(read(e, &v, 8));
	close(e);
	SAY(eventfd(0, 0x10));
}

static void timers(void)
{
	struct itimerspec its = {{0, 10000000}, {0, 20000000}}, cur = {0};
	int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct pollfd p = {.fd = t, .events = POLLIN};
	uint64_t n = 0;

	printf("-- timerfd\n");
	SAY(read(t, &n, 8));
	SAY(timerfd_settime(t, 0, &its, NULL));
	SAY(poll(&p, 1, -1));
	SAY(read(t, &n, 8));
	printf("expired %d\n", n >= 1);
	SAY(timerfd_gettime(t, &cur));
	printf("interval %ld running %d\n", cur.it_interval.tv_nsec, cur.it_value.tv_nsec > 0);
	its = (struct itimerspec){0};
	SAY(timerfd_settime(t, 0, &its, &cur));
	printf("old interval %ld\n", cur.it_interval.tv_nsec);
	SAY(poll(&p, 1, 30));
	its.it_value.tv_nsec = -1;
	SAY(timerfd_settime(t, 0, &its, NULL));
	SAY(timerfd_settime(t, 0, bad, NULL));
	SAY(timerfd_settime(0, 0, &cur, NULL));
	SAY(timerfd_settime(99, 0, &cur, NULL));
	SAY(timerfd_gettime(t, bad));
	its = (struct itimerspec){{0}, {1, 0}}; /* absolute, long past */
	SAY(timerfd_settime(t, TFD_TIMER_ABSTIME, &its, NULL));
	poll(&(struct pollfd){.fd = t, .events = POLLIN}, 1, 5000); /* the past expires soon, not at once */
	SAY(read(t, &n, 8));
	SAY(timerfd_create(77, 0));
	SAY(timerfd_create(CLOCK_REALTIME, 1));
	close(t);
}

static void controls(void)
{
	int p[2], n = 1, f = open("file", O_CREAT | O_RDWR, 0600);
	char buf[64];

	printf("-- ioctl\n");
	pipe(p);
	SAY(ioctl(p[0], FIONBIO, &n));
	SAY(read(p[0], buf, 1));
	SAY(ioctl(p[0], FIOCLEX));
	printf("cloexec %d\n", fcntl(p[0], F_GETFD));
	SAY(ioctl(p[0], FIONCLEX));
	printf("cloexec %d\n", fcntl(p[0], F_GETFD));
	SAY(ioctl(p[0], FIONBIO, bad));
	SAY(isatty(p[0]));
	SAY(ioctl(f, TIOCGWINSZ, buf));
	write(f, "12345", 5);
	lseek(f, 2, SEEK_SET);
	SAY(ioctl(f, FIONREAD, &n));
	printf("fionread %d\n", n);
	SAY(ioctl(99, FIONREAD, &n));
	SAY(ioctl(p[0], 0x12345678, &n));
	close(p[0]);
	close(p[1]);
	close(f);
}

int main(void)
{
	pipes();
	events();
	timers();
	controls();
	return 0;
}
