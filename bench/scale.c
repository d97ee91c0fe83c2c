/* Large numbers: how many of a thing work at once, and what they cost. Prints one line for each figure:
 * name, value and unit, between tabs. Ends with 1 when something did not work.
 * Usage: scale threads N | processes N | files N | memory MIB | areas N | fork [areas N | empty GIB |
 * touched MIB] | sleep */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Microseconds since the last call. */
static double lap(void)
{
	static double last;
	double t = now(), d = t - last;

	last = t;
	return d;
}

static void say(const char *name, double value, const char *unit)
{
	printf("%s\t%.2f\t%s\n", name, value, unit);
	fflush(stdout);
}

static void fail(const char *what, long n)
{
	printf("%s failed at %ld: %s\n", what, n, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static void *map(size_t len, int prot)
{
	void *p = mmap(NULL, len, prot, ANON | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap", (long)(len >> 20));
	return p;
}

static long futex(_Atomic uint32_t *word, int op, uint32_t v)
{
	return syscall(SYS_futex, word, op, v, NULL, NULL, 0);
}

/* ---- many that answer ---- */

/* In memory that processes share: the round that has been asked for, and how many have answered it. */
static struct rounds {
	_Atomic uint32_t asked, answered;
	uint32_t members;
} *rounds;

static void rounds_init(long n)
{
	rounds = mmap(NULL, sizeof(*rounds), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (rounds == MAP_FAILED)
		fail("mmap", 0);
	rounds->members = (uint32_t)n;
}

/* A member: answers each of two rounds. */
static void answer_rounds(void)
{
	for (uint32_t i = 1; i <= 2; i++) {
		while (atomic_load(&rounds->asked) < i)
			futex(&rounds->asked, FUTEX_WAIT, i - 1);
		if (atomic_fetch_add(&rounds->answered, 1) + 1 == i * rounds->members)
			futex(&rounds->answered, FUTEX_WAKE, 1);
	}
}

/* Asks all members twice, when all are there. */
static void ask_rounds(const char *each)
{
	uint32_t got;

	for (uint32_t i = 1; i <= 2; i++) {
		atomic_store(&rounds->asked, i);
		futex(&rounds->asked, FUTEX_WAKE, INT32_MAX);
		while ((got = atomic_load(&rounds->answered)) < i * rounds->members)
			futex(&rounds->answered, FUTEX_WAIT, got);
		if (i == 1)
			say(each, lap() / rounds->members, "us");
	}
}

static void *thread(void *arg)
{
	answer_rounds();
	return arg;
}

static void threads(long n)
{
	pthread_t *t = calloc((size_t)n, sizeof(*t));
	pthread_attr_t a;
	void *back;

	rounds_init(n);
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 * 1024);
	lap();
	for (long i = 0; i < n; i++) {
		errno = pthread_create(&t[i], &a, thread, rounds);
		if (errno)
			fail("pthread_create", i);
	}
	say("threads: create", lap() / (double)n, "us");
	ask_rounds("threads: wake and answer");
	for (long i = 0; i < n; i++)
		if (pthread_join(t[i], &back) || back != rounds)
			fail("pthread_join", i);
	say("threads: join", lap() / (double)n, "us");
	free(t);
}

static void processes(long n)
{
	int status;

	rounds_init(n);
	lap();
	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork", i);
		if (!pid) {
			answer_rounds();
			_exit((int)(i & 127));
		}
	}
	say("processes: fork", lap() / (double)n, "us");
	ask_rounds("processes: wake and answer");
	for (long i = 0; i < n; i++)
		if (wait(&status) < 0 || !WIFEXITED(status))
			fail("wait", i);
	say("processes: exit and wait", lap() / (double)n, "us");
}

/* ---- descriptors ---- */

static void files(long n)
{
	struct rlimit r;
	int first;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	syscall(SYS_close_range, 3, ~0u, 0); /* what it was started with */
	lap();
	for (long i = 0; i < n; i++)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) != i + 3)
			fail("open", i);
	say("files: open", lap() / (double)n, "us");
	for (long i = 0; i < n; i++)
		if (fcntl((int)(i * 7919 % n) + 3, F_GETFD) != FD_CLOEXEC)
			fail("fcntl", i);
	say("files: fcntl, anywhere", lap() / (double)n, "us");
	for (long i = 0; i < 200; i++) {
		first = (int)((i * 7919) % n) + 3;
		if (close(first) || dup(0) != first)
			fail("the lowest free descriptor", i);
	}
	say("files: close and dup, anywhere", lap() / 200, "us");
	for (long i = 0; i < n; i++)
		if (close((int)i + 3))
			fail("close", i);
	say("files: close", lap() / (double)n, "us");
}

/* ---- memory ---- */

static void memory(long mib)
{
	size_t len = (size_t)mib << 20;
	uint64_t *p, n = len / PAGE;

	lap();
	p = map(len, RW);
	for (uint64_t i = 0; i < n; i++)
		p[i * (PAGE / 8)] = i ^ 0x5bd1e995;
	say("memory: first touch of a MiB", lap() / (double)mib, "us");
	for (uint64_t i = 0; i < n; i++)
		if (p[i * (PAGE / 8)] != (i ^ 0x5bd1e995) || p[i * (PAGE / 8) + 1])
			fail("reading", (long)i);
	say("memory: reading a page of it", lap() / (double)n, "us");
	if (munmap(p, len))
		fail("munmap", mib);
	say("memory: unmapping a MiB", lap() / (double)mib, "us");
}

/* n mappings that cannot be joined. */
static char *make_areas(long n)
{
	char *p = map((size_t)n * PAGE, PROT_READ);

	for (long i = 1; i < n; i += 2)
		if (mprotect(p + (size_t)i * PAGE, PAGE, RW))
			fail("mprotect", i);
	return p;
}

static void areas(long n)
{
	char *p, *q;

	lap();
	p = make_areas(n);
	say("areas: mprotect that makes two", lap() * 2 / (double)n, "us");
	for (long i = 0; i < 2000; i++)
		p[(i * 7919 * 2 + 1) % n * (long)PAGE] = 1;
	say("areas: page fault, anywhere", lap() / 2000, "us");
	for (long i = 0; i < 2000; i++) {
		q = map(PAGE, RW);
		if (munmap(q, PAGE))
			fail("munmap", i);
	}
	say("areas: mmap+munmap", lap() / 2000, "us");
	if (munmap(p, (size_t)n * PAGE))
		fail("munmap", n);
	say("areas: unmapping one of all", lap() / (double)n, "us");
}

static void fork_one(void)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork", 0);
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

/* The cost of a fork with something in the address space. */
static void forks(const char *what, long n)
{
	char name[64] = "fork+exit+wait";
	double best = 1e18, t;

	if (!strcmp(what, "areas")) {
		make_areas(n);
		snprintf(name, sizeof(name), "fork with %ld areas", n);
	} else if (!strcmp(what, "empty")) {
		map((size_t)n << 29, PROT_NONE);
		map((size_t)n << 29, RW);
		snprintf(name, sizeof(name), "fork with %ld GiB untouched", n);
	} else if (!strcmp(what, "touched")) {
		memset(map((size_t)n << 20, RW), 1, (size_t)n << 20);
		snprintf(name, sizeof(name), "fork with %ld MiB touched", n);
	}
	fork_one();
	for (int round = 0; round < 5; round++) {
		lap();
		for (int i = 0; i < 4; i++)
			fork_one();
		t = lap() / 4;
		best = t < best ? t : best;
	}
	say(name, best, "us");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(long n);
	} subjects[] = {
		{"threads", threads}, {"processes", processes}, {"files", files},
		{"memory", memory},   {"areas", areas},
	};
	long n = argc > 2 ? atol(argv[argc - 1]) : 0;
	char byte;

	if (argc > 1 && !strcmp(argv[1], "sleep")) { /* until the other end of its input closes */
		printf("ready\n");
		fflush(stdout);
		return read(0, &byte, 1) != 0;
	}
	if (argc > 1 && !strcmp(argv[1], "fork")) {
		forks(argc > 3 ? argv[2] : "", n);
		return 0;
	}
	for (size_t i = 0; argc == 3 && n > 0 && i < sizeof(subjects) / sizeof(*subjects); i++)
		if (!strcmp(argv[1], subjects[i].name)) {
			subjects[i].run(n);
			return 0;
		}
	fprintf(stderr, "usage: scale threads|processes|files|memory|areas N, fork [WHAT N], sleep\n");
	return 2;
}
