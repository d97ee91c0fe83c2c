/* Processes and threads do all that can be done to pseudo-terminals, at once and at random, for some
 * seconds. What comes of it is nobody's business; that it ends, and the sandbox with it, is. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { FDS = 12, PROCS = 4, THREADS = 3, SECONDS = 3 };

static int fd[FDS];
static int ep;
static time_t end;

static unsigned rnd(unsigned *s)
{
	*s = *s * 1103515245u + 12345u;
	return *s >> 8;
}

static void reopen(int *slot, unsigned *s)
{
	int old = *slot, m, zero = 0;
	char name[32];
	unsigned n;

	if (rnd(s) % 2) {
		m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
		if (m >= 0)
			ioctl(m, TIOCSPTLCK, &zero);
	} else if (rnd(s) % 4) {
		snprintf(name, sizeof(name), "/dev/pts/%u", rnd(s) % 6);
		m = open(name, O_RDWR | O_NONBLOCK | (rnd(s) % 2 ? O_NOCTTY : 0));
	} else if (!ioctl(old, TIOCGPTN, &n)) {
		m = ioctl(old, TIOCGPTPEER, O_RDWR | O_NONBLOCK);
	} else {
		m = open("/dev/tty", O_RDWR | O_NONBLOCK);
	}
	if (m < 0)
		return;
	*slot = m;
	if (old >= 0)
		close(old);
}

static void change(int f, unsigned *s)
{
	static const unsigned cmds[] = {TIOCSCTTY, TIOCNOTTY, TIOCGPGRP, TIOCGSID,  TCFLSH, TCXONC,
					TIOCPKT,   TIOCSIG,   FIONREAD,	 TIOCGPTN,  TIOCEXCL, TIOCNXCL,
					TCSBRK,	   TIOCOUTQ,  TIOCSTI,	 TIOCGWINSZ, TIOCSPTLCK, 0x5499};
	struct termios t;
	struct winsize ws = {(unsigned short)rnd(s), 1, 2, 3};
	int n = (int)(rnd(s) % 4);
	unsigned cmd = cmds[rnd(s) % (sizeof(cmds) / sizeof(cmds[0]))];

	switch (rnd(s) % 4) {
	case 0:
		if (tcgetattr(f, &t))
			break;
		t.c_lflag ^= 1u << rnd(s) % 16;
		t.c_iflag ^= 1u << rnd(s) % 16;
		t.c_oflag ^= 1u << rnd(s) % 8;
		t.c_cc[VMIN] = (cc_t)(rnd(s) % 3);
		t.c_cc[VTIME] = (cc_t)(rnd(s) % 2);
		tcsetattr(f, (int)(rnd(s) % 3), &t);
		break;
	case 1:
		ioctl(f, TIOCSWINSZ, &ws);
		break;
	case 2:
		tcsetpgrp(f, getpgrp());
		break;
	default:
		if (cmd == TCFLSH || cmd == TCXONC || cmd == TIOCSCTTY || cmd == TIOCSIG)
			ioctl(f, cmd, n);
		else
			ioctl(f, cmd, rnd(s) % 8 ? (void *)&n : (void *)8);
	}
}

static void *work(void *arg)
{
	unsigned s = (unsigned)(size_t)arg;
	static const char typed[] = "ls\n\003\004\023\021\032\034ab\177\025\026\t\r";
	char buf[3000];
	struct epoll_event ev[4] = {{.events = EPOLLIN | EPOLLOUT}};

	while (time(NULL) < end) {
		int *slot = &fd[rnd(&s) % FDS], f = *slot;
		struct pollfd p[2] = {{f, POLLIN | POLLPRI, 0}, {fd[rnd(&s) % FDS], POLLOUT, 0}};

		switch (rnd(&s) % 9) {
		case 0:
			reopen(slot, &s);
			break;
		case 1:
		case 2:
			if (write(f, typed + rnd(&s) % 10, 1 + rnd(&s) % 6) < 0 && rnd(&s) % 50 == 0)
				close(f);
			break;
		case 3:
			memset(buf, 'x', sizeof(buf));
			fcntl(f, F_SETFL, O_NONBLOCK);
			(void)!write(f, buf, rnd(&s) % sizeof(buf));
			break;
		case 4:
		case 5:
			poll(p, 2, rnd(&s) % 30 == 0);
			if (p[0].revents & POLLIN)
				(void)!read(f, buf, rnd(&s) % sizeof(buf));
			break;
		case 6:
			epoll_ctl(ep, rnd(&s) % 3 ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, f, ev);
			epoll_wait(ep, ev, 4, rnd(&s) % 30 == 0);
			ev[0].events = EPOLLIN | EPOLLOUT | (rnd(&s) % 2 ? EPOLLET : 0);
			break;
		default:
			change(f, &s);
		}
	}
	return NULL;
}

static void nothing(int sig)
{
}

static int play(unsigned seed)
{
	struct sigaction sa = {.sa_handler = nothing};
	pthread_t t[THREADS];

	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != SIGSEGV && sig != SIGALRM)
			sigaction(sig, &sa, NULL);
	alarm(SECONDS + 3); /* for those that wait for a terminal's other end */
	if (seed % 2)
		setsid();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, work, (void *)(size_t)(seed * 10 + (unsigned)i));
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	return 0;
}

int main(void)
{
	unsigned s = 7;
	int st;

	signal(SIGHUP, SIG_IGN);
	end = time(NULL) + SECONDS;
	ep = epoll_create1(0);
	for (int i = 0; i < FDS; i++) {
		fd[i] = -1;
		reopen(&fd[i], &s);
	}
	for (unsigned i = 0; i < PROCS; i++)
		if (!fork())
			_exit(play(i + 1));
	while (wait(&st) > 0)
		if (WIFSIGNALED(st) && WTERMSIG(st) != SIGALRM)
			printf("signal %d\n", WTERMSIG(st));
	puts("ended");
	return 0;
}
