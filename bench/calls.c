/* Micro-benchmark: nanoseconds per operation, one line each. Usage: calls [OPERATION] [COUNT]. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fd_zero, pipe_fd[2];
static char block[4096];

static void op_getppid(void) { syscall(SYS_getppid); }
static void op_getpid(void) { syscall(SYS_getpid); }
/* Not a request that would succeed natively: a traced process stops at its first signal. */
static void op_denied(void) { syscall(SYS_ptrace, 1, 0, 0, 0); }
static void op_sentry(void) { syscall(SYS_umask, 022); }
static void op_read4k(void) { if (read(fd_zero, block, sizeof(block)) < 0) abort(); }
static void op_pipe(void) { if (write(pipe_fd[1], block, 1) != 1 || read(pipe_fd[0], block, 1) != 1) abort(); }
static void op_open(void) { close(open("/dev/null", O_RDONLY)); }
static void op_stat(void) { struct stat st; stat("/usr/bin/env", &st); }
static void op_clock(void) { struct timespec ts; clock_gettime(CLOCK_MONOTONIC, &ts); }
static void op_mmap(void) { munmap(mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536); }
static void op_fault(void)
{
	char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	for (i = 0; i < 1 << 20; i += 4096)
		p[i] = 1;
	munmap(p, 1 << 20);
}
static void *nothing(void *arg) { return arg; }
static void op_thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, nothing, NULL);
	pthread_join(t, NULL);
}

static char *self;
static void op_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}
/* The same with memory that the child does not touch. */
static void op_fork_big(void)
{
	static char *big;

	if (!big) {
		big = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(big, 1, 64 << 20);
	}
	op_fork();
}
static void exec_child(pid_t pid)
{
	if (!pid) {
		execl(self, self, "nothing", NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}
static void op_exec(void) { exec_child(fork()); }
static void op_vfork_exec(void) { exec_child(vfork()); }

static const struct {
	const char *name;
	void (*run)(void);
	long count;
} ops[] = {
	{"getppid", op_getppid, 20000},	 {"getpid", op_getpid, 20000},	{"denied ptrace", op_denied, 20000},
	{"umask (sentry)", op_sentry, 20000}, {"read 4 KiB", op_read4k, 10000},
	{"pipe write+read", op_pipe, 10000}, {"open+close", op_open, 5000}, {"stat", op_stat, 5000},
	{"clock_gettime", op_clock, 1000000}, {"mmap+munmap", op_mmap, 5000},
	{"256 page faults", op_fault, 100}, {"thread create+join", op_thread, 300},
	{"fork+exit+wait", op_fork, 200}, {"fork+exec+wait", op_exec, 100},
	{"vfork+exec+wait", op_vfork_exec, 100}, {"fork with 64 MiB", op_fork_big, 20},
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	size_t i;

	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "nothing"))
		return 0;
	fd_zero = open("/dev/zero", O_RDONLY);
	if (pipe(pipe_fd))
		return 1;
	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		long n = argc > 2 ? atol(argv[2]) : ops[i].count, k;
		double best = 1e18;
		int rep;

		if (argc > 1 && strcmp(argv[1], "all") && strcmp(argv[1], ops[i].name))
			continue;
		for (rep = 0; rep < 3; rep++) {
			double t = now();

			for (k = 0; k < n; k++)
				ops[i].run();
			t = (now() - t) / (double)n;
			best = t < best ? t : best;
		}
		printf("%s\t%.1f\n", ops[i].name, best);
	}
	return 0;
}
