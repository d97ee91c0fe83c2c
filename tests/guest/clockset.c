/* What sets clocks is refused, after its arguments are looked at. Also: sysinfo and the running program. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <linux/capability.h>
#include <linux/random.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

/* Only what is refused to root as well: on Linux it could set the clock. */
static void clocks(void)
{
	struct timespec ts = {1, -1};
	struct timeval tv = {1, -1};
	struct timex tx = {.modes = 0x8000}; /* a single shot of nothing */

	SAY(syscall(SYS_settimeofday, &tv, NULL));
	tv.tv_usec = 1000001;
	SAY(syscall(SYS_settimeofday, &tv, NULL));
	SAY(syscall(SYS_settimeofday, (void *)-1, NULL));
	SAY(syscall(SYS_settimeofday, NULL, (void *)-1));
	SAY(syscall(SYS_clock_settime, CLOCK_REALTIME, &ts));
	SAY(syscall(SYS_clock_settime, CLOCK_REALTIME, (void *)-1));
	SAY(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &ts));
	SAY(syscall(SYS_clock_settime, CLOCK_BOOTTIME, &ts));
	SAY(syscall(SYS_clock_settime, 99, &ts));
	SAY(adjtimex(&tx));
	SAY(adjtimex((void *)-1));
}

static void *other(void *arg)
{
	*(int *)arg = (int)syscall(SYS_gettid);
	while (*(volatile int *)arg)
		usleep(1000);
	return NULL;
}

/* A thread's number names its process for kill. */
static void threads(void)
{
	volatile int tid = 0;
	pthread_t t;

	pthread_create(&t, NULL, other, (void *)&tid);
	while (!tid)
		usleep(1000);
	SAY(kill(tid, 0));
	SAY(syscall(SYS_tgkill, getpid(), tid, 0));
	SAY(syscall(SYS_tgkill, tid, tid, 0));
	tid = 0;
	pthread_join(t, NULL);
}

static void self(const char *exe)
{
	SAY_FD(open(exe, O_WRONLY));
	SAY_FD(open(exe, O_RDWR));
	SAY_FD(open(exe, O_RDONLY | O_TRUNC));
	SAY(truncate(exe, 10));
	SAY_FD(open(exe, O_RDONLY));
	SAY_FD(open(exe, O_PATH));
}

/* Errors, and giving all capabilities up, in a child. */
static void capabilities(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0, 0, 0}, {0, 0, 0}};

	fflush(stdout);
	if (fork()) {
		wait(NULL);
		return;
	}
	SAY(syscall(SYS_capset, NULL, d));
	SAY(syscall(SYS_capset, &h, (void *)-1));
	h.pid = getppid();
	SAY(syscall(SYS_capset, &h, d));
	h.pid = 0;
	SAY(syscall(SYS_capset, &h, d));
	SAY(syscall(SYS_capget, &h, d));
	printf("left %x %x %x\n", d[0].effective, d[0].permitted, d[0].inheritable);
	d[0].permitted = 1;
	SAY(syscall(SYS_capset, &h, d));
	h.version = 1;
	SAY(syscall(SYS_capset, &h, d));
	printf("version %x\n", h.version);
	h.pid = 4194303;
	SAY(syscall(SYS_capget, &h, d));
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sysinfo si;
	char exe[4096], line[64] = "";
	int bits = -1, fd;
	double load;

	clocks();
	capabilities();
	threads();
	if (realpath(argv[0], exe))
		self(exe);
	fd = open("/dev/urandom", O_RDONLY);
	SAY(ioctl(fd, RNDGETENTCNT, &bits));
	printf("bits %d\n", bits > 0);
	close(fd);
	SAY(sysinfo(&si));
	fd = open("/proc/loadavg", O_RDONLY);
	if (read(fd, line, sizeof(line) - 1) < 0 || sscanf(line, "%lf", &load) != 1)
		return 1;
	load -= (double)si.loads[0] / 65536;
	printf("load: %d\n", load < 0.2 && load > -0.2);
	printf("memory: %d\n", si.totalram * si.mem_unit > si.freeram * si.mem_unit && si.freeram > 0);
	return 0;
}
