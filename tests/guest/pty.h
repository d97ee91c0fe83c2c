/* For tests of pseudo-terminals: a pair, and what comes out of its ends, printed readably. */
#ifndef TESTS_GUEST_PTY_H
#define TESTS_GUEST_PTY_H

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void show(const char *what, const unsigned char *s, long n)
{
	printf("%s \"", what);
	for (long i = 0; i < n; i++)
		printf(isprint(s[i]) && s[i] != '"' ? "%c" : "\\%03o", s[i]);
	printf("\"\n");
}

/* Everything that fd has within a short time, at most max bytes. */
static void take(const char *what, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	unsigned char buf[65536];
	long n = 0, r = 0;

	errno = 0;
	while (n < (long)sizeof(buf) && poll(&p, 1, 40) > 0) {
		r = read(fd, buf + n, sizeof(buf) - n);
		if (r <= 0)
			break;
		n += r;
	}
	show(what, buf, n);
	if (r < 0)
		printf("%s then %s\n", what, strerrorname_np(errno));
}

static inline void type(int fd, const char *s)
{
	size_t n = strlen(s);

	show("type", (const unsigned char *)s, (long)n);
	if (write(fd, s, n) != (ssize_t)n)
		printf("short write\n");
}

static int open_master(void)
{
	int m = open("/dev/ptmx", O_RDWR | O_NOCTTY);

	if (m < 0 || grantpt(m) || unlockpt(m)) {
		printf("no pty: %s\n", strerrorname_np(errno));
		exit(1);
	}
	return m;
}

static int open_slave(int m, int flags)
{
	int s = open(ptsname(m), flags);

	if (s < 0) {
		printf("no terminal: %s\n", strerrorname_np(errno));
		exit(1);
	}
	return s;
}

static void set_flags(int fd, unsigned iflag, unsigned oflag, unsigned lflag)
{
	struct termios t;

	tcgetattr(fd, &t);
	t.c_iflag = iflag;
	t.c_oflag = oflag;
	t.c_lflag = lflag;
	tcsetattr(fd, TCSANOW, &t);
	printf("-- flags %#x %#x %#x\n", iflag, oflag, lflag);
}

#endif
