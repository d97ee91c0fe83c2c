/* CPU time in user mode and in the kernel: getrusage, times, wait4 and /proc agree; personality(2). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static double seconds(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

static int near(double a, double b)
{
	return a - b < 0.25 && b - a < 0.25;
}

/* Works until the kernel has worked for some time, and the program too. */
static void work(struct rusage *ru)
{
	static char buf[1 << 20];
	int fd = open("/dev/zero", O_RDONLY);

	do {
		for (int i = 0; i < 20; i++)
			if (read(fd, buf, sizeof(buf)) < 0)
				return;
		for (int i = 0; i < 1000000; i++)
			__asm__ volatile("");
		getrusage(RUSAGE_SELF, ru);
	} while (seconds(&ru->ru_utime) < 0.1 || seconds(&ru->ru_stime) < 0.1);
	close(fd);
}

static void agree(const struct rusage *ru)
{
	double user = seconds(&ru->ru_utime), sys = seconds(&ru->ru_stime), hz = (double)sysconf(_SC_CLK_TCK);
	unsigned long long ut = 0, st = 0;
	struct rusage thread;
	struct timespec ts;
	char text[1024] = "", *s;
	struct tms tms;
	int fd;

	times(&tms);
	printf("times: %d %d\n", near(user, (double)tms.tms_utime / hz), near(sys, (double)tms.tms_stime / hz));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	printf("clock: %d\n", near(user + sys, (double)ts.tv_sec + (double)ts.tv_nsec / 1e9));
	getrusage(RUSAGE_THREAD, &thread);
	printf("thread: %d\n", near(sys, seconds(&thread.ru_stime)));
	fd = open("/proc/self/stat", O_RDONLY);
	if (read(fd, text, sizeof(text) - 1) < 0)
		return;
	close(fd);
	s = strrchr(text, ')');
	if (s)
		sscanf(s, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &ut, &st);
	printf("stat: %d %d\n", near(user, (double)ut / hz), near(sys, (double)st / hz));
}

static void children(void)
{
	struct rusage ru, all;
	struct tms tms;
	int status;
	int pid = fork();

	if (!pid) {
		work(&ru);
		_exit(0);
	}
	printf("waited: %d\n", wait4(pid, &status, 0, &ru) == pid);
	printf("child: %d %d\n", seconds(&ru.ru_utime) >= 0.09, seconds(&ru.ru_stime) >= 0.09);
	getrusage(RUSAGE_CHILDREN, &all);
	printf("children: %d %d\n", near(seconds(&all.ru_utime), seconds(&ru.ru_utime)),
	       near(seconds(&all.ru_stime), seconds(&ru.ru_stime)));
	times(&tms);
	printf("times: %d %d\n", tms.tms_cutime > 0, tms.tms_cstime > 0);
}

static void personalities(char **argv)
{
	static const unsigned long some[] = {0, ADDR_NO_RANDOMIZE, SHORT_INODE, STICKY_TIMEOUTS,
					     PER_LINUX32_3GB & ~7ul, PER_BSD};
	struct utsname u;

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		printf("%lx: was %x", some[i], (unsigned)personality(some[i]));
		printf(", is %x\n", (unsigned)personality(0xffffffff));
	}
	for (int sticky = 0; sticky < 2; sticky++) {
		struct timeval tv = {0, 1000};

		personality(sticky ? STICKY_TIMEOUTS : 0);
		select(0, NULL, NULL, NULL, &tv);
		printf("left %ld\n", (long)tv.tv_usec);
	}
	personality(UNAME26);
	uname(&u);
	printf("release: %.4s\n", u.release);
	personality(ADDR_NO_RANDOMIZE);
	for (int i = 0; i < 2; i++) {
		fflush(stdout);
		if (!fork())
			execl(argv[0], argv[0], "where", NULL);
		wait(NULL);
	}
}

int main(int argc, char **argv)
{
	struct rusage ru;

	if (argc > 1) { /* the same addresses in both runs */
		void *top = sbrk(0);
		char path[64];
		FILE *f;

		snprintf(path, sizeof(path), "usage.%d", getppid());
		f = fopen(path, "r");
		if (f) {
			void *stack, *heap;

			printf("read: %d\n", fscanf(f, "%p %p", &stack, &heap));
			printf("same: %d %d\n", stack == (void *)&argc, heap == top);
			unlink(path);
			return 0;
		}
		f = fopen(path, "w");
		fprintf(f, "%p %p\n", (void *)&argc, top);
		printf("personality %x\n", (unsigned)personality(0xffffffff));
		return 0;
	}
	work(&ru);
	agree(&ru);
	children();
	personalities(argv);
	return 0;
}
