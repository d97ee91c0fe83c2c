/* Pseudo-terminals as controlling terminals: sessions, signals, hang-up, readiness. */
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "tests/guest/pty.h"

static void caught(int sig)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "caught %s\n", sigabbrev_np(sig));

	(void)!write(1, line, (size_t)n);
}

static atomic_int told; /* bits of the signals that came; which comes first is not defined */

static void quiet(int sig)
{
	atomic_fetch_or(&told, 1 << sig);
}

static void catch(int sig)
{
	struct sigaction sa = {.sa_handler = caught};

	sigaction(sig, &sa, NULL);
}

static void reap(const char *what, pid_t pid)
{
	int st = 0;

	if (waitpid(pid, &st, WUNTRACED) < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else if (WIFSTOPPED(st))
		printf("%s: stopped %s\n", what, sigabbrev_np(WSTOPSIG(st)));
	else
		printf("%s: %s %d\n", what, WIFSIGNALED(st) ? "signal" : "exit",
		       WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st));
}

static void nap(void)
{
	usleep(100000);
}

/* Until one has come, and those that come with it. */
static void wait_signal(void)
{
	pause();
	nap();
	nap();
}

/* Runs fn as a session leader with the terminal of m on 0. */
static pid_t leader(int m, void (*fn)(int m))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	SAY(setsid() > 0);
	int s = open_slave(m, O_RDWR);

	dup2(s, 0);
	close(s);
	fn(m);
	_exit(0);
}

static void controlling(int m)
{
	int tty = open("/dev/tty", O_RDWR), n = 0;
	struct stat a, b;

	printf("/dev/tty %d\n", tty >= 0);
	SAY(tcgetpgrp(0) == getpid());
	SAY(tcgetsid(0) == getpid());
	SAY(ioctl(m, TIOCGSID, &n));
	printf("%d\n", n == getpid());
	SAY(write(tty, "via tty\n", 8));
	take("master", m);
	fstat(0, &a);
	stat(ptsname(m), &b);
	printf("same %d, device %d, char %d\n", a.st_ino == b.st_ino && a.st_dev == b.st_dev,
	       major(a.st_rdev), S_ISCHR(a.st_mode));
	printf("ttyname %d\n", !strcmp(ttyname(0), ptsname(m)));
	SAY(ioctl(0, TIOCSCTTY, 0));
	SAY(tcsetpgrp(0, 1 << 28));
	SAY(tcsetpgrp(0, -1));
	close(tty);
	SAY(fchmod(0, 0600));
	fstat(0, &a);
	printf("mode %o\n", a.st_mode & 07777);
	catch(SIGHUP);
	catch(SIGCONT);
	SAY(ioctl(0, TIOCNOTTY));
	SAY_FD(open("/dev/tty", O_RDWR));
	SAY(tcgetpgrp(0));
	SAY(ioctl(0, TIOCSCTTY, 0));
	SAY(tcgetpgrp(0) == getpid());
}

static void signals(int m)
{
	catch(SIGINT);
	catch(SIGQUIT);
	catch(SIGTSTP);
	catch(SIGWINCH);
	for (const char *s = "\003\034\032"; *s; s++) {
		(void)!write(m, s, 1);
		nap();
		take("echo", m); /* the next signal may flush it */
	}
	struct winsize ws = {5, 6, 0, 0};

	SAY(ioctl(m, TIOCSWINSZ, &ws));
	SAY(ioctl(m, TIOCSWINSZ, &ws));
	nap();
	SAY(ioctl(m, TIOCSIG, SIGINT));
	nap();
	SAY(ioctl(m, TIOCSIG, SIGKILL));
	set_flags(0, ICRNL, OPOST | ONLCR, ICANON | ISIG | NOFLSH);
	(void)!write(m, "ab\003cd\n", 6);
	nap();
	take("kept", 0);
	set_flags(0, ICRNL, OPOST | ONLCR, ICANON | ISIG);
	(void)!write(m, "ab\003cd\n", 6);
	nap();
	take("flushed", 0);
}

/* A group in the background reads, writes with TOSTOP, changes the terminal. */
static void background(int m)
{
	struct termios t;
	char c;

	tcgetattr(0, &t);
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();

		if (!pid) {
			setpgid(0, 0);
			if (i == 0)
				(void)!read(0, &c, 1);
			if (i == 1)
				tcsetattr(0, TCSANOW, &t);
			if (i == 2) {
				signal(SIGTTIN, SIG_IGN);
				SAY(read(0, &c, 1));
			}
			if (i == 3) {
				signal(SIGTTOU, SIG_IGN);
				SAY(tcsetattr(0, TCSANOW, &t));
				SAY(tcsetpgrp(0, getpid()));
				SAY(tcgetpgrp(0) == getpid());
			}
			_exit(0);
		}
		setpgid(pid, pid);
		reap("background", pid);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	signal(SIGTTOU, SIG_IGN);
	SAY(tcsetpgrp(0, getpid()));
	t.c_lflag |= TOSTOP;
	SAY(tcsetattr(0, TCSANOW, &t));
	pid_t pid = fork();

	if (!pid) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_DFL);
		(void)!write(0, "x", 1);
		_exit(0);
	}
	setpgid(pid, pid);
	reap("tostop", pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void leader_ends(int m)
{
	if (!fork()) {
		signal(SIGHUP, quiet);
		wait_signal();
		printf("hung up: %#x\n", told);
		SAY_FD(open("/dev/tty", O_RDWR));
		_exit(0);
	}
	nap();
	nap();
}

static void hung_up(void)
{
	int m = open_master(), s = open_slave(m, O_RDWR | O_NOCTTY), n = 0;
	struct pollfd p = {.fd = s, .events = POLLIN | POLLOUT};
	char c;
	pid_t pid = fork();

	if (!pid) {
		close(m);
		setsid();
		SAY(ioctl(s, TIOCSCTTY, 0));
		signal(SIGHUP, quiet);
		signal(SIGCONT, quiet);
		wait_signal();
		printf("told %#x\n", told);
		SAY(read(s, &c, 1));
		SAY(write(s, "x", 1));
		SAY(ioctl(s, TIOCGWINSZ, &n));
		SAY(ioctl(s, TIOCSPGRP, &n));
		printf("poll %d %#x\n", poll(&p, 1, 0), p.revents);
		SAY_FD(open("/dev/tty", O_RDWR));
		_exit(0);
	}
	nap();
	close(s);
	close(m);
	reap("hung up", pid);
	m = open_master();
	s = open_slave(m, O_RDWR | O_NOCTTY);
	pid = fork();
	if (!pid) {
		close(m);
		SAY(read(s, &c, 1));
		_exit(0);
	}
	close(s);
	nap();
	close(m);
	reap("reader", pid);
}

static void look(const char *what, int ep, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	struct epoll_event ev = {0};
	int n = poll(&p, 1, 50), e = epoll_wait(ep, &ev, 1, 50);
	fd_set in, out;
	struct timeval tv = {0, 0};

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	select(fd + 1, &in, &out, NULL, &tv);
	printf("%s: poll %d %#x epoll %d %s%s%s select %d %d\n", what, n, p.revents, e,
	       ev.events & EPOLLIN ? "in " : "", ev.events & EPOLLOUT ? "out " : "",
	       ev.events & EPOLLHUP ? "hup" : "", FD_ISSET(fd, &in), FD_ISSET(fd, &out));
}

static int watch(int fd, unsigned events)
{
	struct epoll_event ev = {.events = events};
	int ep = epoll_create1(0);

	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	return ep;
}

static void readiness(void)
{
	int m = open_master(), em = watch(m, EPOLLIN | EPOLLOUT), s, es, et;
	struct epoll_event ev;
	char c;

	look("new master", em, m);
	s = open_slave(m, O_RDWR | O_NOCTTY);
	es = watch(s, EPOLLIN | EPOLLOUT);
	set_flags(s, ICRNL, OPOST, ICANON);
	look("idle slave", es, s);
	(void)!write(m, "half", 4);
	nap();
	look("half a line", es, s);
	(void)!write(m, "\n", 1);
	nap();
	look("a line", es, s);
	take("line", s);
	look("empty", es, s);
	(void)!write(s, "x", 1);
	nap();
	look("output", em, m);
	close(s);
	close(es);
	nap();
	take("last", m);
	s = open_slave(m, O_RDWR | O_NOCTTY);
	look("open again", em, m);
	(void)!write(s, "y", 1);
	nap();
	look("output again", em, m);
	et = watch(m, EPOLLIN | EPOLLET);
	SAY(epoll_wait(et, &ev, 1, 50));
	SAY(epoll_wait(et, &ev, 1, 50));
	(void)!write(s, "z", 1);
	SAY(epoll_wait(et, &ev, 1, 50));
	fcntl(m, F_SETFL, O_NONBLOCK);
	SAY(read(m, &c, 1));
	SAY(read(m, &c, 1));
	SAY(read(m, &c, 1));
	close(s);
	close(m);
}

/* More than any buffer holds goes through both ways while both ends block. */
static void flood(void)
{
	enum { BYTES = 300000 };
	int m = open_master(), s = open_slave(m, O_RDWR | O_NOCTTY);
	static unsigned char buf[BYTES];
	long got = 0, r, bad = 0;
	pid_t pid;

	set_flags(s, 0, 0, 0);
	for (long i = 0; i < BYTES; i++)
		buf[i] = (unsigned char)(i * 7 + i / 251);
	pid = fork();
	if (!pid) {
		close(m);
		_exit(write(s, buf, BYTES) != BYTES);
	}
	while (got < BYTES) {
		unsigned char in[3000];

		r = read(m, in, sizeof(in));
		if (r <= 0)
			break;
		for (long i = 0; i < r; i++)
			bad += in[i] != buf[got + i];
		got += r;
	}
	printf("out: %ld bytes, %ld wrong\n", got, bad);
	reap("writer", pid);
	pid = fork();
	if (!pid) {
		close(s);
		_exit(write(m, buf, BYTES) != BYTES);
	}
	for (got = bad = 0; got < BYTES; got += r) {
		unsigned char in[3000];

		r = read(s, in, sizeof(in));
		if (r <= 0)
			break;
		for (long i = 0; i < r; i++)
			bad += in[i] != buf[got + i];
	}
	printf("in: %ld bytes, %ld wrong\n", got, bad);
	reap("writer", pid);
}

static void many(void)
{
	int fd[40];

	for (int i = 0; i < 40; i++)
		fd[i] = open_master();
	for (int i = 0; i < 40; i++) {
		int s = open_slave(fd[i], O_RDWR | O_NOCTTY);

		if (write(s, "m", 1) != 1)
			printf("no write\n");
		close(s);
		close(fd[i]);
	}
	printf("many\n");
}

int main(void)
{
	static void (*const steps[])(int) = {controlling, signals, background, leader_ends};

	setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int m = open_master();

		printf("-- step %zu\n", i);
		reap("leader", leader(m, steps[i]));
		nap();
		nap();
		nap();
		take("left", m);
		close(m);
	}
	hung_up();
	readiness();
	flood();
	many();
	return 0;
}
