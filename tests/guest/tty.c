/* Terminal control. Without a terminal on standard input it says so; tests/guest/tty.t gives it one. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void *volatile bad = (void *)8;

int main(void)
{
	struct termios t, raw;
	struct winsize ws = {0};
	int n = -1;

	SAY(isatty(0));
	if (!isatty(0))
		return 0;
	SAY(tcgetattr(0, &t));
	printf("flags %#x %#x %#x %#x\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
	raw = t;
	cfmakeraw(&raw);
	SAY(tcsetattr(0, TCSANOW, &raw));
	SAY(tcgetattr(0, &raw));
	printf("raw %d\r\n", !(raw.c_lflag & ICANON));
	SAY(tcsetattr(0, TCSADRAIN, &t));
	SAY(tcsetattr(0, TCSAFLUSH, &t));
	SAY(ioctl(0, TIOCGWINSZ, &ws));
	printf("%d x %d\n", ws.ws_row, ws.ws_col);
	ws.ws_row = 33;
	SAY(ioctl(0, TIOCSWINSZ, &ws));
	SAY(ioctl(0, TIOCGWINSZ, &ws));
	printf("%d x %d\n", ws.ws_row, ws.ws_col);
	SAY(tcflush(0, TCIFLUSH));
	SAY(tcdrain(0));
	SAY(ioctl(0, FIONREAD, &n));
	printf("fionread %d\n", n);
	SAY(ioctl(0, TCGETS, bad));
	printf("own group %d\n", tcgetpgrp(0) == getpgrp());
	printf("own session %d\n", tcgetsid(0) == getsid(0));
	return 0;
}
