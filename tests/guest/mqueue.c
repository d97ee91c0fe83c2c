/* POSIX message queues: names, order, limits, waiting, notification, readiness. */
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static char name[64], buf[9000];
static const struct mq_attr small = {.mq_maxmsg = 3, .mq_msgsize = 16};

static void names(void)
{
	struct mq_attr bad = small;
	char longname[300] = "/";
	mqd_t q;

	SAY_FD(mq_open(name, O_RDWR));
	SAY(q = mq_open(name, O_RDWR | O_CREAT, 0600, &small));
	SAY(fcntl(q, F_GETFD));
	SAY(fcntl(q, F_GETFL) == O_RDWR);
	SAY_FD(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &small));
	SAY_FD(mq_open(name, O_RDWR | O_CREAT, 0600, NULL));
	SAY_FD(mq_open(name, O_RDONLY));
	SAY_FD(syscall(SYS_mq_open, name + 1, O_ACCMODE, 0, NULL));
	SAY(mq_unlink(name));
	SAY(mq_unlink(name));
	SAY_FD(mq_open(name, O_RDWR));
	SAY(mq_send(q, "still there", 11, 0));
	SAY(mq_close(q));
	SAY_FD(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL));
	SAY_FD(syscall(SYS_mq_open, "", O_RDWR | O_CREAT, 0600, NULL));
	SAY_FD(syscall(SYS_mq_open, ".", O_RDWR | O_CREAT, 0600, NULL));
	SAY_FD(syscall(SYS_mq_open, (void *)-1, O_RDWR | O_CREAT, 0600, NULL));
	SAY_FD(syscall(SYS_mq_open, name + 1, O_RDWR | O_CREAT, 0600, (void *)-1));
	memset(longname + 1, 'x', 280);
	SAY_FD(mq_open(longname, O_RDWR | O_CREAT, 0600, NULL));
	SAY(mq_unlink(longname));
	bad.mq_maxmsg = 0;
	SAY_FD(mq_open(name, O_RDWR | O_CREAT, 0600, &bad));
	bad.mq_maxmsg = 3;
	bad.mq_msgsize = -1;
	SAY_FD(mq_open(name, O_RDWR | O_CREAT, 0600, &bad));
	bad.mq_maxmsg = 1000000;
	bad.mq_msgsize = 16;
	SAY_FD(mq_open(name, O_RDWR | O_CREAT, 0600, &bad));
}

static void attributes(void)
{
	mqd_t q = mq_open(name, O_RDWR | O_CREAT, 0640, &small);
	struct mq_attr at, old;
	struct stat st;

	SAY(mq_getattr(q, &at));
	printf("%ld %ld %ld %ld\n", at.mq_flags, at.mq_maxmsg, at.mq_msgsize, at.mq_curmsgs);
	at.mq_flags = O_NONBLOCK;
	at.mq_maxmsg = 77;
	SAY(mq_setattr(q, &at, &old));
	SAY(mq_getattr(q, &at));
	printf("%ld %ld %ld\n", at.mq_flags, at.mq_maxmsg, old.mq_flags);
	SAY(fcntl(q, F_GETFL) == (O_RDWR | O_NONBLOCK));
	at.mq_flags = O_APPEND;
	SAY(mq_setattr(q, &at, NULL));
	SAY(syscall(SYS_mq_getsetattr, q, NULL, (void *)-1));
	SAY(mq_getattr(1, &at));
	SAY(mq_getattr(-1, &at));
	SAY(mq_send(q, "abc", 3, 0));
	SAY(fstat(q, &st));
	printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
	memset(buf, 0, sizeof(buf));
	SAY(read(q, buf, sizeof(buf)));
	printf("%s", buf);
	SAY(read(q, buf, sizeof(buf)));
	SAY(write(q, "x", 1));
	mq_close(q);
	mq_unlink(name);
}

static void order(void)
{
	mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &small), r;
	unsigned prio;
	ssize_t n;

	SAY(mq_receive(q, buf, 16, NULL));
	SAY(mq_send(q, "low", 3, 1));
	SAY(mq_send(q, "high", 4, 32767));
	SAY(mq_send(q, "low too", 7, 1));
	SAY(mq_send(q, "full", 4, 1));
	while ((n = mq_receive(q, buf, 16, &prio)) >= 0)
		printf("%.*s %u\n", (int)n, buf, prio);
	SAY(mq_send(q, "", 0, 0));
	SAY(mq_receive(q, buf, 16, NULL));
	SAY(mq_send(q, buf, 17, 0));
	SAY(mq_send(q, "x", 1, 32768));
	SAY(mq_send(q, (void *)-1, 5, 0));
	SAY(mq_receive(q, buf, 15, NULL));
	SAY(mq_send(0, "x", 1, 0));
	SAY(mq_receive(-1, buf, 16, NULL));
	r = mq_open(name, O_RDONLY);
	SAY(mq_send(r, "x", 1, 0));
	mq_close(r);
	r = mq_open(name, O_WRONLY);
	SAY(mq_receive(r, buf, 16, NULL));
	mq_close(r);
	SAY(mq_send(q, "x", 1, 0));
	SAY(mq_receive(q, (void *)8, 16, NULL));
	mq_close(q);
	mq_unlink(name);
}

static void alarmed(int sig)
{
}

static void waiting(void)
{
	mqd_t q = mq_open(name, O_RDWR | O_CREAT, 0600, &small);
	struct sigaction act = {.sa_handler = alarmed};
	struct timespec ts, bad = {0, -1}, past = {1, 0};
	int status;

	SAY(mq_timedreceive(q, buf, 16, NULL, &past));
	SAY(mq_timedreceive(q, buf, 16, NULL, &bad));
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 20000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	SAY(mq_timedreceive(q, buf, 16, NULL, &ts));
	for (int i = 0; i < 3; i++)
		mq_send(q, "x", 1, 0);
	SAY(mq_timedsend(q, "x", 1, 0, &past));
	sigaction(SIGALRM, &act, NULL);
	ualarm(20000, 0);
	SAY(mq_send(q, "x", 1, 0));
	while (!mq_getattr(q, &(struct mq_attr){0}) && mq_timedreceive(q, buf, 16, NULL, &past) >= 0)
		;
	fflush(stdout);
	if (!fork()) {
		usleep(20000);
		mq_send(q, "from a child", 12, 5);
		_exit(0);
	}
	SAY(mq_receive(q, buf, 16, NULL));
	printf("%.12s\n", buf);
	wait(&status);
	mq_close(q);
	mq_unlink(name);
}

static volatile int told, told_code, told_value;

static void notified(int sig, siginfo_t *info, void *ctx)
{
	told++;
	told_code = info->si_code;
	told_value = info->si_value.sival_int;
}

static void notification(void)
{
	mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &small), other;
	struct sigaction act = {.sa_sigaction = notified, .sa_flags = SA_SIGINFO};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

	sigaction(SIGUSR1, &act, NULL);
	ev.sigev_value.sival_int = 42;
	SAY(mq_notify(q, &ev));
	SAY(mq_notify(q, &ev));
	SAY(mq_send(q, "1", 1, 0));
	printf("told %d: %d %d\n", told, told_code == SI_MESGQ, told_value);
	SAY(mq_send(q, "2", 1, 0));
	printf("told %d\n", told);
	SAY(mq_notify(q, &ev));
	SAY(mq_send(q, "not empty", 9, 0));
	printf("told %d\n", told);
	SAY(mq_notify(q, NULL));
	SAY(mq_notify(q, NULL));
	SAY(mq_notify(q, &ev));
	other = mq_open(name, O_RDWR);
	mq_close(other); /* ends the wish, too */
	SAY(mq_notify(q, &ev));
	SAY(mq_notify(q, NULL));
	ev.sigev_signo = 100;
	SAY(mq_notify(q, &ev));
	ev.sigev_notify = 99;
	SAY(mq_notify(q, &ev));
	ev.sigev_notify = SIGEV_NONE;
	SAY(mq_notify(q, &ev));
	SAY(mq_notify(0, NULL));
	SAY(syscall(SYS_mq_notify, q, (void *)-1));
	mq_close(q);
	mq_unlink(name);
}

static void ready(mqd_t q)
{
	struct pollfd p = {q, POLLIN | POLLOUT, 0};

	poll(&p, 1, 0);
	printf("ready %d%s%s\n", p.revents != 0, p.revents & POLLIN ? " in" : "",
	       p.revents & POLLOUT ? " out" : "");
}

static void readiness(void)
{
	mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &small), r = mq_open(name, O_RDONLY);
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0);

	ready(q);
	mq_send(q, "1", 1, 0);
	ready(q);
	mq_send(q, "1", 1, 0);
	mq_send(q, "1", 1, 0);
	ready(q);
	mq_receive(q, buf, 16, NULL);
	ready(q);
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, r, &ev));
	SAY(epoll_wait(ep, &ev, 1, 0));
	mq_receive(q, buf, 16, NULL);
	mq_receive(q, buf, 16, NULL);
	SAY(epoll_wait(ep, &ev, 1, 0));
	ready(q);
	mq_send(q, "1", 1, 0);
	SAY(epoll_wait(ep, &ev, 1, 1000));
	mq_close(q);
	mq_close(r);
	mq_unlink(name);
}

int main(void)
{
	snprintf(name, sizeof(name), "/sbx-test-%d", getpid());
	names();
	attributes();
	order();
	waiting();
	notification();
	readiness();
	return 0;
}
