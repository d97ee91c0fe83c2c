/* O_ASYNC: who is told that a descriptor is ready, and by which signal. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

#ifndef F_SETSIG
#define F_SETSIG 10
#define F_GETSIG 11
#endif

/* Waits a while for sig; prints what came. */
static void await(const sigset_t *set, int fd)
{
	struct timespec ts = {2, 0};
	siginfo_t si = {0};
	int sig = sigtimedwait(set, &si, &ts);

	if (sig < 0) {
		printf("no signal\n");
		return;
	}
	printf("signal %d code %d", sig == SIGIO ? 1 : sig - SIGRTMIN + 100, si.si_code);
	if (sig != SIGIO)
		printf(" fd %d band in %d", si.si_fd == fd, (si.si_band & 1) != 0);
	printf("\n");
}

static void none(const sigset_t *set)
{
	struct timespec ts = {0, 100000000};

	printf("%s\n", sigtimedwait(set, NULL, &ts) < 0 ? "none" : "one more");
}

static void owners(int fd)
{
	struct f_owner_ex ex = {F_OWNER_PID, 0};
	int own;

	printf("-- owners\n");
	SAY(fcntl(fd, F_GETOWN));
	SAY(fcntl(fd, F_SETOWN, 99999999));
	SAY(fcntl(fd, F_SETOWN, -99999999));
	SAY(fcntl(fd, F_SETOWN, getpid()));
	printf("self %d\n", fcntl(fd, F_GETOWN) == getpid());
	SAY(fcntl(fd, F_GETOWN_EX, &ex));
	printf("type %d self %d\n", ex.type, ex.pid == getpid());
	ex.type = 7;
	SAY(fcntl(fd, F_SETOWN_EX, &ex));
	ex.type = F_OWNER_TID;
	ex.pid = gettid();
	SAY(fcntl(fd, F_SETOWN_EX, &ex));
	own = -getpgrp();
	SAY(ioctl(fd, FIOSETOWN, &own));
	printf("group %d\n", fcntl(fd, F_GETOWN) == own);
	own = 0;
	SAY(ioctl(fd, SIOCGPGRP, &own));
	printf("group %d\n", own == -getpgrp());
	SAY(ioctl(fd, SIOCSPGRP, (void *)8));
	fcntl(fd, F_SETOWN, getpid());
	SAY(fcntl(fd, F_SETSIG, 77));
	SAY(fcntl(fd, F_GETSIG));
}

static void by_signal(int a, int b, const sigset_t *set)
{
	int on = 1;
	char buf[8];

	printf("-- by signal\n");
	SAY(ioctl(a, FIOASYNC, &on));
	printf("flag %d\n", (fcntl(a, F_GETFL) & O_ASYNC) != 0);
	none(set);
	write(b, "x", 1);
	await(set, a);
	none(set);
	SAY(read(a, buf, 8));
	SAY(fcntl(a, F_SETSIG, SIGRTMIN));
	SAY(fcntl(a, F_GETSIG) == SIGRTMIN);
	while (sigtimedwait(set, NULL, &(struct timespec){0, 50000000}) > 0)
		;
	write(b, "y", 1);
	await(set, a);
	SAY(fcntl(a, F_SETFL, 0));
	read(a, buf, 8);
	while (sigtimedwait(set, NULL, &(struct timespec){0, 50000000}) > 0)
		;
	write(b, "z", 1);
	none(set);
}

/* As servers do: the parent is told of what a child writes. */
static void from_child(const sigset_t *set)
{
	int sv[2];

	printf("-- from a child\n");
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	fcntl(sv[0], F_SETOWN, getpid());
	fcntl(sv[0], F_SETFL, O_ASYNC | O_NONBLOCK);
	if (!fork()) {
		write(sv[1], "c", 1);
		_exit(0);
	}
	await(set, sv[0]);
	wait(NULL);
	close(sv[0]);
	close(sv[1]);
}

static void files(void)
{
	int fd = open("plain", O_CREAT | O_RDWR, 0600), on = 1;

	printf("-- files\n");
	SAY(ioctl(fd, FIOASYNC, &on));
	SAY(fcntl(fd, F_SETFL, O_ASYNC));
	SAY((fcntl(fd, F_GETFL) & O_ASYNC) != 0);
	close(fd);
}

int main(void)
{
	sigset_t set;
	int sv[2];

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	owners(sv[0]);
	by_signal(sv[0], sv[1], &set);
	from_child(&set);
	files();
	return 0;
}
