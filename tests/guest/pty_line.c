/* The line discipline of pseudo-terminals: editing, echo, output processing, packet mode. */
#include "tests/guest/pty.h"

#define COOKED (ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN)

static int m, s;

static void both(const char *text)
{
	type(m, text);
	take("echo", m);
	take("read", s);
}

static void fresh(unsigned iflag, unsigned oflag, unsigned lflag)
{
	tcflush(s, TCIOFLUSH);
	take("rest", m);
	set_flags(s, iflag, oflag, lflag);
}

static void defaults(void)
{
	struct termios t;
	int n = -1;

	SAY(tcgetattr(s, &t));
	printf("%#x %#x %#x %#x line %d speed %u %u\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag,
	       t.c_line, cfgetispeed(&t), cfgetospeed(&t));
	for (int i = 0; i < 19; i++)
		printf(" %d", t.c_cc[i]);
	printf("\n");
	SAY(isatty(m));
	SAY(isatty(s));
	SAY(ioctl(s, TIOCGETD, &n));
	printf("discipline %d\n", n);
	cfsetospeed(&t, B115200);
	t.c_cflag |= PARENB | CS5;
	SAY(tcsetattr(m, TCSANOW, &t));
	SAY(tcgetattr(s, &t));
	printf("%#x\n", t.c_cflag);
}

static void editing(void)
{
	fresh(ICRNL | IXON, OPOST | ONLCR, COOKED);
	both("plain\n");
	both("return\r");
	both("ab\177\177\177c\n");
	both("one two  three\027\027x\n");
	both("gone\025kept\n");
	both("a\tb\t\177\177c\n");
	both("ctl\001\002\177\n");
	both("next\026\003\026\177\n");
	both("rep\022rint\n");
	both("no newline\004");
	both("\004");
	both("two\nlines\n");
	both("stop\023more\021go\n");
	both("eol\n\n\n");
	fresh(ICRNL | IXON | IUTF8, OPOST | ONLCR, COOKED);
	both("\303\244\303\266\177\342\202\254\177x\n");
	fresh(ICRNL, OPOST | ONLCR, ICANON | ECHO);
	both("no echoe\177\177\n");
	both("kill\025x\n");
	fresh(ICRNL, OPOST | ONLCR, ICANON | ECHO | ECHOK | IEXTEN);
	both("kill\025x\001\n");
	fresh(ICRNL, OPOST | ONLCR, ICANON | ECHO | ECHOE | ECHOPRT | IEXTEN | ECHOCTL);
	both("print\177\177\177er\n");
	both("print\177\177\177\177\177\n");
	fresh(ICRNL, OPOST | ONLCR, ICANON | ECHONL);
	both("silent\n");
	fresh(ICRNL, OPOST | ONLCR, ICANON);
	both("silent\177\n");
}

static void mapping(void)
{
	fresh(INLCR, OPOST, ECHO | ICANON);
	both("a\nb\r\n");
	tcflush(s, TCIOFLUSH);
	fresh(IGNCR, OPOST | ONLCR, ECHO | ICANON);
	both("a\rb\n");
	fresh(ISTRIP | ICRNL, OPOST | ONLCR, ECHO | ICANON);
	both("\341\342\n");
	fresh(IUCLC | ICRNL, OPOST | ONLCR | OLCUC, ECHO | ICANON | IEXTEN);
	both("MiXed\n");
	fresh(PARMRK, OPOST, 0);
	both("x\377y");
}

static void print(const char *text)
{
	show("print", (const unsigned char *)text, (long)strlen(text));
	printf("%ld\n", (long)write(s, text, strlen(text)));
	take("out", m);
}

static void output(void)
{
	fresh(0, 0, 0);
	print("raw\n\t\r");
	fresh(0, OPOST | ONLCR, 0);
	print("a\nb\tc\r\n");
	fresh(0, OPOST | OCRNL, 0);
	print("a\rb\n");
	fresh(0, OPOST | OCRNL | ONLRET, 0);
	print("a\rb\n");
	fresh(0, OPOST | ONOCR, 0);
	print("\ra\r\rb\r");
	fresh(0, OPOST | XTABS, 0);
	print("\r1\t12\t12345678\tx\b\b\t.\n");
}

static void set_times(int min, int time)
{
	struct termios t;

	tcgetattr(s, &t);
	t.c_cc[VMIN] = (cc_t)min;
	t.c_cc[VTIME] = (cc_t)time;
	tcsetattr(s, TCSANOW, &t);
	printf("-- min %d time %d\n", min, time);
}

static void one_read(size_t n)
{
	unsigned char buf[64];
	long r = read(s, buf, n);

	if (r < 0)
		printf("read %s\n", strerrorname_np(errno));
	else
		show("one read", buf, r);
}

static void settle(void)
{
	usleep(30000);
}

static void counts(void)
{
	int n = -1;

	fresh(0, 0, 0);
	set_times(0, 0);
	one_read(8);
	type(m, "abc");
	settle();
	one_read(2);
	SAY(ioctl(s, FIONREAD, &n));
	printf("%d\n", n);
	one_read(8);
	set_times(0, 1);
	one_read(8);
	set_times(3, 0);
	type(m, "xy");
	settle();
	printf("ready %d\n", poll(&(struct pollfd){s, POLLIN, 0}, 1, 0));
	type(m, "z");
	settle();
	printf("ready %d\n", poll(&(struct pollfd){s, POLLIN, 0}, 1, 0));
	one_read(8);
	set_times(5, 1);
	type(m, "xy");
	one_read(8);
	fcntl(s, F_SETFL, O_NONBLOCK);
	set_times(1, 0);
	one_read(8);
	fcntl(s, F_SETFL, 0);
	fresh(ICRNL, OPOST, ICANON);
	type(m, "line one\nline two\nhalf");
	settle();
	SAY(ioctl(s, FIONREAD, &n));
	printf("%d\n", n);
	one_read(4);
	one_read(64);
	one_read(64);
	set_flags(s, 0, 0, 0);
	one_read(64);
	type(m, "raw");
	settle();
	set_flags(s, ICRNL, 0, ICANON);
	type(m, " then\n");
	settle();
	one_read(64);
	one_read(64);
}

static void packets(void)
{
	int on = 1, off = 0;

	fresh(ICRNL | IXON, OPOST | ONLCR, COOKED);
	SAY(ioctl(m, TIOCPKT, &on));
	take("pkt", m);
	print("data\n");
	SAY(tcflush(s, TCIFLUSH));
	take("pkt", m);
	SAY(tcflow(s, TCOOFF));
	take("pkt", m);
	SAY(tcflow(s, TCOON));
	take("pkt", m);
	set_flags(s, ICRNL, OPOST | ONLCR, COOKED);
	take("pkt", m);
	set_flags(s, ICRNL | IXON, OPOST | ONLCR, COOKED);
	take("pkt", m);
	SAY(ioctl(m, TIOCPKT, &off));
	SAY(tcflow(s, TCIOFF));
	SAY(tcflow(s, TCION));
	take("sent", m);
}

static void overflow(void)
{
	static char big[5000];
	unsigned char buf[8192];
	long n;

	fresh(ICRNL, OPOST | ONLCR, ICANON);
	memset(big, 'x', sizeof(big));
	printf("%ld\n", (long)write(m, big, sizeof(big)));
	printf("%ld\n", (long)write(m, "\n", 1));
	settle();
	n = read(s, buf, sizeof(buf));
	printf("line of %ld, ends %d\n", n, n > 0 ? buf[n - 1] : 0);
}

static void ioctls(void)
{
	struct winsize ws = {10, 20, 30, 40}, got = {0};
	int n = 7;
	char c = 'x';

	SAY(ioctl(s, TIOCSWINSZ, &ws));
	SAY(ioctl(m, TIOCGWINSZ, &got));
	printf("%d %d %d %d\n", got.ws_row, got.ws_col, got.ws_xpixel, got.ws_ypixel);
	SAY(ioctl(s, TIOCGPTN, &n));
	SAY(ioctl(s, TIOCPKT, &n));
	SAY(ioctl(s, TIOCSPTLCK, &n));
	SAY(tcdrain(s));
	SAY(tcsendbreak(s, 0));
	SAY(tcflush(s, 17));
	SAY(ioctl(s, TCXONC, 9));
	SAY(ioctl(s, TIOCGPGRP, &n));
	SAY(ioctl(s, TIOCGSID, &n));
	SAY(ioctl(m, TIOCGPGRP, &n));
	printf("%d\n", n);
	SAY(ioctl(m, TIOCGSID, &n));
	SAY(ioctl(s, TIOCNOTTY));
	SAY(ioctl(s, 0x5499, 0));
	SAY(ioctl(s, TCGETS, (void *)8));
	SAY(lseek(s, 0, SEEK_CUR));
	SAY(pread(s, &c, 1, 0));
	SAY(pread(m, &c, 1, 0));
	n = 1;
	SAY(ioctl(m, TIOCSPTLCK, &n));
	SAY_FD(open(ptsname(m), O_RDWR | O_NOCTTY));
	n = 0;
	SAY(ioctl(m, TIOCSPTLCK, &n));
	n = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	printf("peer %d\n", n >= 0 && isatty(n));
	close(n);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	m = open_master();
	s = open_slave(m, O_RDWR | O_NOCTTY);
	defaults();
	editing();
	mapping();
	output();
	counts();
	packets();
	overflow();
	ioctls();
	return 0;
}
