/* Micro-benchmark: nanoseconds per operation, the best round's, one line each.
 * Usage: calls [all|OPERATION] [COUNT [ROUNDS]]; `calls list` names the operations, their
 * classes and counts. */
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REGION (1u << 20)

static int fd_tmp, pipe_fd[2];
static char block[4096];

static void need(long r, long wanted)
{
	if (r != wanted)
		abort();
}

static void op_nothing(void) { __asm__ volatile(""); }
static void op_getppid(void) { syscall(SYS_getppid); }
static void op_getpid(void) { syscall(SYS_getpid); }
/* Not a request that would succeed natively: a traced process stops at its first signal. */
static void op_denied(void) { syscall(SYS_ptrace, 1, 0, 0, 0); }
static void op_umask(void) { syscall(SYS_umask, 022); }
static void op_fcntl(void) { need(fcntl(pipe_fd[0], F_GETFD), 0); }
static void op_sigaction(void)
{
	struct sigaction sa;

	need(sigaction(SIGUSR1, NULL, &sa), 0);
}
static void op_read4k(void)
{
	static unsigned n;

	if (!(n++ % 16) && lseek(fd_tmp, 0, SEEK_SET))
		abort();
	need(read(fd_tmp, block, sizeof(block)), sizeof(block));
}
static void op_write4k(void)
{
	static unsigned n;

	if (!(n++ % 16) && lseek(fd_tmp, 0, SEEK_SET))
		abort();
	need(write(fd_tmp, block, sizeof(block)), sizeof(block));
}
static void op_pread4k(void) { need(pread(fd_tmp, block, sizeof(block), 4096), sizeof(block)); }
static void op_pipe(void)
{
	need(write(pipe_fd[1], block, 1), 1);
	need(read(pipe_fd[0], block, 1), 1);
}
static void op_open(void) { close(open("/dev/null", O_RDONLY)); }
static void op_stat(void) { struct stat st; stat("/usr/bin/env", &st); }
static void op_clock(void) { struct timespec ts; clock_gettime(CLOCK_MONOTONIC, &ts); }
static void op_mmap(void) { munmap(mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536); }

/* Touches the next page of a mapping, which is made anew when all of it was touched. */
static void op_fault(void)
{
	static char *p;
	static size_t at = REGION;

	if (at == REGION) {
		if (p)
			munmap(p, REGION);
		p = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		at = 0;
	}
	p[at] = 1;
	at += 4096;
}

/* ---- futexes ---- */

static _Atomic uint32_t turn; /* 0: the main thread's, 1: the other's */

static long futex(_Atomic uint32_t *word, int op, uint32_t v)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, v, NULL, NULL, 0);
}

static void pass(uint32_t to)
{
	atomic_store(&turn, to);
	futex(&turn, FUTEX_WAKE, 1);
	while (atomic_load(&turn) == to)
		futex(&turn, FUTEX_WAIT, to);
}

static void *partner(void *arg)
{
	while (atomic_load(&turn) != 1)
		futex(&turn, FUTEX_WAIT, 0);
	for (;;)
		pass(0);
	return arg;
}

static void op_wake(void)
{
	static _Atomic uint32_t word;

	need(futex(&word, FUTEX_WAKE, 1), 0);
}

static void op_pingpong(void)
{
	static pthread_t t;

	if (!t)
		need(pthread_create(&t, NULL, partner, NULL), 0);
	pass(1);
}

/* ---- round trips with another thread or process, which sends back each byte it gets ---- */

struct ends {
	int in, out;
};

static void *echo(void *arg)
{
	struct ends *e = arg;
	char byte;

	while (read(e->in, &byte, 1) == 1 && write(e->out, &byte, 1) == 1)
		;
	return NULL;
}

static void round_trip(const struct ends *e)
{
	need(write(e->out, block, 1), 1);
	need(read(e->in, block, 1), 1);
}

static void start_echo(struct ends *e, bool process)
{
	pthread_t t;

	if (!process) {
		need(pthread_create(&t, NULL, echo, e), 0);
	} else if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		echo(e);
		_exit(0);
	}
}

static void pipe_trip(struct ends mine[2], bool process)
{
	int there[2], back[2];

	if (!mine[0].out) {
		if (pipe(there) || pipe(back))
			abort();
		mine[0] = (struct ends){back[0], there[1]};
		mine[1] = (struct ends){there[0], back[1]};
		start_echo(&mine[1], process);
	}
	round_trip(&mine[0]);
}

static void op_pipe_threads(void)
{
	static struct ends e[2];

	pipe_trip(e, false);
}

static void op_pipe_processes(void)
{
	static struct ends e[2];

	pipe_trip(e, true);
}

static void op_unix(void)
{
	static struct ends e[2];
	int s[2];

	if (!e[0].out) {
		need(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
		e[0] = (struct ends){s[0], s[0]};
		e[1] = (struct ends){s[1], s[1]};
		start_echo(&e[1], false);
	}
	round_trip(&e[0]);
}

static void op_tcp(void)
{
	static struct ends e[2];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l, c, s, one = 1;

	if (!e[0].out) {
		l = socket(AF_INET, SOCK_STREAM, 0);
		c = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(l, (void *)&a, len) || listen(l, 1) || getsockname(l, (void *)&a, &len) ||
		    connect(c, (void *)&a, len) || (s = accept(l, NULL, NULL)) < 0)
			abort();
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		e[0] = (struct ends){c, c};
		e[1] = (struct ends){s, s};
		start_echo(&e[1], false);
	}
	round_trip(&e[0]);
}

/* The same by a word that two processes share. */
static _Atomic uint32_t *shared_turn;

static long shared_futex(int op, uint32_t v)
{
	return syscall(SYS_futex, shared_turn, op, v, NULL, NULL, 0);
}

static void shared_pass(uint32_t to)
{
	atomic_store(shared_turn, to);
	shared_futex(FUTEX_WAKE, 1);
	while (atomic_load(shared_turn) == to)
		shared_futex(FUTEX_WAIT, to);
}

static void op_pingpong_processes(void)
{
	if (!shared_turn) {
		shared_turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (atomic_load(shared_turn) != 1)
				shared_futex(FUTEX_WAIT, 0);
			for (;;)
				shared_pass(0);
		}
	}
	shared_pass(1);
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
		execl(self, self, "exit", NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}
static void op_exec(void) { exec_child(fork()); }
static void op_vfork_exec(void) { exec_child(vfork()); }

/* class: what answers it under sbx when the sentry is in ring 0, as far as one call tells; slow and
 * big ones take long, in an emulator above all; a round trip (trip) has two sides. */
static const struct op {
	const char *name;
	void (*run)(void);
	long count;
	const char *class;
} ops[] = {
	{"nothing", op_nothing, 1000000, "-"},
	{"getpid", op_getpid, 20000, "tier0"},
	{"getppid", op_getppid, 20000, "tier0"},
	{"denied ptrace", op_denied, 20000, "tier0"},
	{"umask", op_umask, 20000, "tier1"},
	{"fcntl", op_fcntl, 20000, "tier1"},
	{"sigaction", op_sigaction, 20000, "tier1"},
	{"futex wake", op_wake, 20000, "tier1"},
	{"read 4 KiB", op_read4k, 10000, "tier2"},
	{"write 4 KiB", op_write4k, 10000, "tier2"},
	{"pread 4 KiB", op_pread4k, 10000, "tier2"},
	{"pipe write+read", op_pipe, 10000, "mixed"},
	{"futex ping-pong", op_pingpong, 2000, "mixed"},
	{"futex ping-pong, procs", op_pingpong_processes, 1000, "trip"},
	{"pipe ping-pong", op_pipe_threads, 1000, "trip"},
	{"pipe ping-pong, procs", op_pipe_processes, 1000, "trip"},
	{"unix socket round trip", op_unix, 1000, "trip"},
	{"TCP round trip", op_tcp, 1000, "trip"},
	{"clock_gettime", op_clock, 1000000, "vdso"},
	{"open+close", op_open, 5000, "mixed"},
	{"stat", op_stat, 5000, "mixed"},
	{"page fault", op_fault, 20000, "mixed"},
	{"mmap+munmap", op_mmap, 5000, "mixed"},
	{"thread create+join", op_thread, 300, "slow"},
	{"fork+exit+wait", op_fork, 200, "slow"},
	{"fork+exec+wait", op_exec, 100, "slow"},
	{"vfork+exec+wait", op_vfork_exec, 100, "slow"},
	{"fork with 64 MiB", op_fork_big, 20, "big"},
};
#define NR_OPS (sizeof(ops) / sizeof(*ops))

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double measure(const struct op *op, long n, long rounds)
{
	double best = 1e18;
	long k;

	while (rounds-- > 0) {
		double t = now();

		for (k = 0; k < n; k++)
			op->run();
		t = (now() - t) / (double)n;
		best = t < best ? t : best;
	}
	return best;
}

/* A file of 64 KiB: beside the program, or in memory where that cannot be written. */
static int set_up(void)
{
	char name[4096];
	int i;

	snprintf(name, sizeof(name), "%s.tmp", self);
	fd_tmp = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd_tmp >= 0)
		unlink(name);
	else
		fd_tmp = memfd_create("calls", 0);
	for (i = 0; i < 16; i++)
		if (write(fd_tmp, block, sizeof(block)) != sizeof(block))
			return -1;
	return pipe(pipe_fd);
}

int main(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "all";
	bool list = !strcmp(which, "list");
	long count = argc > 2 ? atol(argv[2]) : 0, rounds = argc > 3 ? atol(argv[3]) : 3;
	size_t i;

	self = argv[0];
	if (!strcmp(which, "exit"))
		return 0;
	if (set_up()) {
		perror("calls");
		return 1;
	}
	for (i = list || !strcmp(which, "all"); i < NR_OPS; i++) {
		if (list)
			printf("%s\t%s\t%ld\n", ops[i].name, ops[i].class, ops[i].count);
		else if (!strcmp(which, "all") || !strcmp(which, ops[i].name))
			printf("%s\t%.1f\n", ops[i].name,
			       measure(&ops[i], count ? count : ops[i].count, rounds));
		fflush(stdout);
	}
	return 0;
}
