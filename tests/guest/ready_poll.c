/* poll, ppoll, select, pselect6: readiness, bad descriptors, timeouts, masks. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void *volatile bad = (void *)8;
static volatile unsigned too_many = 1u << 30;

static void say_poll(struct pollfd *p, int n, int ms)
{
	SAY(poll(p, n, ms));
	for (int i = 0; i < n; i++)
		printf(" %#x", p[i].revents);
	printf("\n");
}

static void polls(void)
{
	int p[2], sv[2], f = open("file", O_CREAT | O_RDWR, 0600), path = open(".", O_PATH);
	struct pollfd s[8];

	printf("-- poll\n");
	pipe(p);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	s[0] = (struct pollfd){.fd = p[0], .events = POLLIN};
	s[1] = (struct pollfd){.fd = p[1], .events = POLLOUT};
	s[2] = (struct pollfd){.fd = -5, .events = POLLIN};
	s[3] = (struct pollfd){.fd = 99, .events = POLLIN};
	s[4] = (struct pollfd){.fd = f, .events = POLLIN | POLLOUT};
	s[5] = (struct pollfd){.fd = sv[0], .events = POLLIN | POLLOUT};
	s[6] = (struct pollfd){.fd = path, .events = POLLIN};
	s[7] = (struct pollfd){.fd = sv[0], .events = POLLPRI};
	say_poll(s, 8, -1);
	say_poll(s, 1, 0);
	say_poll(s, 1, 10);
	write(p[1], "x", 1);
	say_poll(s, 2, -1);
	close(p[1]);
	say_poll(s, 1, -1);
	read(p[0], &(char){0}, 1);
	say_poll(s, 1, -1);
	close(sv[1]);
	s[5].revents = 0;
	say_poll(&s[5], 1, -1);
	SAY(poll(NULL, 0, 10));
	SAY(poll(bad, 1, 0));
	SAY(poll(s, too_many, 0));
	close(p[0]);
	close(sv[0]);
	close(f);
	close(path);
}

static void say_set(const char *what, fd_set *s, const int *fd, int n)
{
	printf(" %s", what);
	for (int i = 0; i < n; i++)
		printf("%d", FD_ISSET(fd[i], s) != 0);
}

static void selects(void)
{
	fd_set r, w, x;
	struct timeval tv = {0, 10000};
	int fd[4], top;

	printf("-- select\n");
	pipe(fd);
	pipe(fd + 2);
	top = fd[3] + 1;
	write(fd[1], "x", 1);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	for (int i = 0; i < 4; i++) {
		FD_SET(fd[i], &r);
		FD_SET(fd[i], &w);
		FD_SET(fd[i], &x);
	}
	SAY(select(top, &r, &w, &x, NULL));
	say_set("r", &r, fd, 4);
	say_set("w", &w, fd, 4);
	say_set("x", &x, fd, 4);
	printf("\n");
	FD_ZERO(&r);
	FD_SET(fd[2], &r);
	SAY(select(top, &r, NULL, NULL, &tv));
	say_set("r", &r, fd, 4);
	printf(" left %ld.%06ld\n", (long)tv.tv_sec, (long)tv.tv_usec);
	tv = (struct timeval){100, 0};
	FD_SET(fd[0], &r);
	SAY(select(top, &r, NULL, NULL, &tv));
	printf("left is less %d\n", tv.tv_sec == 99 || (tv.tv_sec == 100 && !tv.tv_usec));
	SAY(select(-1, NULL, NULL, NULL, &tv));
	SAY(select(top, bad, NULL, NULL, &tv));
	tv = (struct timeval){-1, 0};
	SAY(select(0, NULL, NULL, NULL, &tv));
	tv = (struct timeval){0, 5000};
	SAY(select(0, NULL, NULL, NULL, &tv));
	FD_ZERO(&r);
	close(fd[3]);
	FD_SET(fd[3], &r);
	SAY(select(fd[3] + 1, &r, NULL, NULL, &tv));
	close(fd[0]);
	close(fd[1]);
	close(fd[2]);
}

static volatile int handled;

static void on_signal(int sig)
{
	handled++;
}

static void masks(void)
{
	struct timespec ts = {5, 0};
	sigset_t block, none, now;
	struct pollfd p = {.fd = -1};
	fd_set r;

	printf("-- masks\n");
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	signal(SIGUSR1, on_signal);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	SAY(poll(&p, 1, 5));
	printf("handled %d\n", handled);
	SAY(ppoll(&p, 1, &ts, &none));
	printf("handled %d\n", handled);
	raise(SIGUSR1);
	FD_ZERO(&r);
	SAY(pselect(0, &r, NULL, NULL, &ts, &none));
	printf("handled %d\n", handled);
	sigprocmask(SIG_SETMASK, NULL, &now);
	printf("blocked %d\n", sigismember(&now, SIGUSR1));
	ts.tv_nsec = 2000000000;
	SAY(ppoll(&p, 1, &ts, NULL));
	ts = (struct timespec){0, 3000000};
	SAY(syscall(SYS_ppoll, &p, 1, &ts, &none, 5));
	SAY(syscall(SYS_ppoll, &p, 1, &ts, NULL, 5));
	printf("left %ld.%09ld\n", (long)ts.tv_sec, ts.tv_nsec);
	SAY(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, bad));
	sigprocmask(SIG_UNBLOCK, &block, NULL);
}

/* A timer's signal ends a wait; the time already waited counts. */
static void interrupted(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct timespec a, b;
	struct pollfd p = {.fd = -1};

	printf("-- interrupted\n");
	sigaction(SIGALRM, &sa, NULL);
	ualarm(20000, 0);
	SAY(poll(&p, 1, 5000));
	signal(SIGWINCH, SIG_DFL); /* ignored: does not end the wait */
	clock_gettime(CLOCK_MONOTONIC, &a);
	raise(SIGWINCH);
	SAY(poll(&p, 1, 60));
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("waited %d\n", (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 59);
	printf("handled %d\n", handled);
}

int main(void)
{
	polls();
	selects();
	masks();
	interrupted();
	return 0;
}
