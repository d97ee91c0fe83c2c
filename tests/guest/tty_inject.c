/* Every way to make a terminal believe that somebody typed, or to take it over: one line each. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int main(void)
{
	static const unsigned long cmd[] = {TIOCSTI, 0x541c /* TIOCLINUX */, TIOCSCTTY, TIOCNOTTY,
					    TIOCCONS, TIOCSETD, TIOCEXCL, TIOCVHANGUP,
					    TIOCSTI | 1ul << 32};
	char buf[64] = "x";

	for (unsigned i = 0; i < sizeof(cmd) / sizeof(cmd[0]); i++) {
		errno = 0;
		puts(ioctl(0, cmd[i], buf) < 0 ? strerrorname_np(errno) : "done");
	}
	return 0;
}
