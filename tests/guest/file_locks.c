/* Record locks of several processes: who is told of whom, waiting, and waits that would never end. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

static int fd, up[2], down[2];

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static int lock(int cmd, short type, off_t start, off_t len)
{
	struct flock fl = range(type, start, len);

	return fcntl(fd, cmd, &fl);
}

static void signal_to(int to)
{
	if (write(to, "", 1) != 1)
		exit(9);
}

static void wait_for(int from)
{
	char c;

	if (read(from, &c, 1) != 1)
		exit(8);
}

static void show(const char *who, off_t start)
{
	struct flock fl = range(F_WRLCK, start, 1);

	SAY(fcntl(fd, F_GETLK, &fl));
	printf("%s sees type %d start %ld len %ld of its parent %d\n", who, fl.l_type,
	       (long)fl.l_start, (long)fl.l_len, fl.l_pid == getppid());
}

/* Holds byte 1; then waits for byte 0, which its parent holds. */
static void child(void)
{
	show("child", 0);
	show("child", 3);
	show("child", 7);
	SAY(lock(F_SETLK, F_RDLCK, 0, 1));
	SAY(lock(F_SETLK, F_WRLCK, 1, 1));
	signal_to(up[1]);
	SAY(lock(F_SETLKW, F_WRLCK, 0, 1));
	signal_to(up[1]);
	wait_for(down[0]);
	exit(0);
}

/* Both read byte 20 and want to write it. */
static void upgrader(void)
{
	SAY(lock(F_SETLK, F_RDLCK, 20, 1));
	signal_to(up[1]);
	SAY(lock(F_SETLKW, F_WRLCK, 20, 1));
	exit(0);
}

static void end(pid_t pid)
{
	int st;

	waitpid(pid, &st, 0);
	printf("status %x\n", st);
}

int main(void)
{
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = open("locked", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || pipe(up) || pipe(down))
		return 1;
	SAY(lock(F_SETLK, F_WRLCK, 0, 1));
	SAY(lock(F_SETLK, F_WRLCK, 2, 10));
	SAY(lock(F_SETLK, F_UNLCK, 5, 3));
	pid = fork();
	if (!pid)
		child();
	wait_for(up[0]);
	usleep(500000); /* the child sleeps by now */
	SAY(lock(F_SETLK, F_WRLCK, 1, 1));
	SAY(lock(F_SETLKW, F_WRLCK, 1, 1));
	SAY(lock(F_SETLKW, F_RDLCK, 0, 5));
	SAY(lock(F_SETLKW, F_WRLCK, 5, 3));
	lock(F_SETLK, F_UNLCK, 0, 1); /* the child has something to say now */
	wait_for(up[0]);
	SAY(lock(F_SETLK, F_WRLCK, 0, 1));
	signal_to(down[1]);
	SAY(lock(F_SETLKW, F_WRLCK, 0, 2)); /* the child's locks end with it */
	end(pid);
	SAY(lock(F_SETLK, F_RDLCK, 20, 1));
	pid = fork();
	if (!pid)
		upgrader();
	wait_for(up[0]);
	usleep(500000);
	SAY(lock(F_SETLKW, F_WRLCK, 20, 1));
	lock(F_SETLK, F_UNLCK, 20, 1);
	end(pid);
	return 0;
}
