/* signalfd: readiness, what is read, masks, blocking. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void *volatile bad = (void *)8;
static pthread_t main_thread;

static void *later(void *arg)
{
	struct timespec ts = {0, 30000000};

	nanosleep(&ts, NULL);
	kill(getpid(), SIGUSR1);
	return NULL;
}

static void say_info(const struct signalfd_siginfo *i)
{
	printf("signo %u code %d pid %d int %d\n", i->ssi_signo, i->ssi_code,
	       i->ssi_pid == (unsigned)getpid(), i->ssi_int);
}

static void on_signal(int sig)
{
	printf("handler %d\n", sig);
}

int main(void)
{
	struct signalfd_siginfo in[4];
	struct itimerspec its = {{0}, {0, 10000000}};
	struct sigevent se = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd p = {.events = POLLIN};
	union sigval v = {.sival_int = 42};
	sigset_t set, wide;
	timer_t timer;
	pthread_t th;
	int fd, ep = epoll_create1(0);

	setvbuf(stdout, NULL, _IOLBF, 0);
	main_thread = pthread_self();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	wide = set;
	sigaddset(&wide, SIGRTMIN + 1);
	sigaddset(&wide, SIGUSR2);
	sigprocmask(SIG_BLOCK, &wide, NULL);
	kill(getpid(), SIGUSR1); /* before there is a descriptor */
	fd = SAY_FD(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	printf("flags %#x cloexec %d\n", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
	p.fd = fd;
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	SAY(poll(&p, 1, 0));
	SAY(read(fd, in, 1));
	SAY(read(fd, in, sizeof(in)) / (long)sizeof(in[0]));
	say_info(&in[0]);
	SAY(read(fd, in, sizeof(in)));
	SAY(poll(&p, 1, 0));
	SAY(epoll_wait(ep, &ev, 1, 0));
	sigqueue(getpid(), SIGRTMIN, v);
	v.sival_int = 43;
	sigqueue(getpid(), SIGRTMIN, v);
	raise(SIGUSR1);
	raise(SIGUSR1); /* merged */
	SAY(epoll_wait(ep, &ev, 1, 0));
	SAY(read(fd, in, sizeof(in[0])) / (long)sizeof(in[0]));
	say_info(&in[0]);
	SAY(poll(&p, 1, 0)); /* there is more */
	SAY(read(fd, in, sizeof(in)) / (long)sizeof(in[0]));
	say_info(&in[0]);
	say_info(&in[1]);
	SAY(poll(&p, 1, 0));
	/* The mask changes. */
	kill(getpid(), SIGUSR2);
	SAY(poll(&p, 1, 0));
	SAY(signalfd(fd, &wide, 0) == fd);
	SAY(poll(&p, 1, 0));
	SAY(read(fd, in, sizeof(in)) / (long)sizeof(in[0]));
	say_info(&in[0]);
	/* A timer's signal. */
	timer_create(CLOCK_MONOTONIC, &se, &timer);
	timer_settime(timer, 0, &its, NULL);
	SAY(poll(&p, 1, 2000));
	SAY(read(fd, in, sizeof(in)) / (long)sizeof(in[0]));
	printf("timer %d\n", in[0].ssi_signo == (unsigned)SIGRTMIN + 1 && in[0].ssi_code == SI_TIMER);
	/* A blocking read. */
	fcntl(fd, F_SETFL, 0);
	pthread_sigmask(SIG_BLOCK, &wide, NULL);
	pthread_create(&th, NULL, later, NULL);
	SAY(read(fd, in, sizeof(in)) / (long)sizeof(in[0]));
	say_info(&in[0]);
	pthread_join(th, NULL);
	/* What is not blocked goes to its handler. */
	signal(SIGUSR2, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(SIGUSR2);
	SAY(write(fd, in, sizeof(in[0])));
	SAY(syscall(SYS_signalfd4, -1, &set, 4, 0));
	SAY(syscall(SYS_signalfd4, -1, bad, 8, 0));
	SAY(syscall(SYS_signalfd4, -1, &set, 8, 0x10));
	SAY(syscall(SYS_signalfd4, ep, &set, 8, 0));
	SAY(syscall(SYS_signalfd4, 99, &set, 8, 0));
	return 0;
}
