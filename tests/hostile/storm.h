/* What the programs of attacks share: time, chance, children, and choosing one by name. */
#ifndef SBX_TESTS_STORM_H
#define SBX_TESTS_STORM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static double end_time;
static uint64_t seed;
static char *self;

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline bool over(void) { return now() >= end_time; }

static inline unsigned rnd(unsigned n)
{
	uint64_t s = __atomic_load_n(&seed, __ATOMIC_RELAXED) * 6364136223846793005ull + 1442695040888963407ull;

	__atomic_store_n(&seed, s, __ATOMIC_RELAXED);
	return (unsigned)(s >> 33) % n;
}

static inline void *map(size_t len, int flags)
{
	void *p = mmap(NULL, len, RW, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		printf("mmap: %s\n", strerror(errno));
		_exit(3);
	}
	return p;
}

/* A child that lives until it is killed or run returns. */
static inline pid_t child(void (*run)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	seed ^= (uint64_t)getpid() << 20;
	run();
	_exit(0);
}

static inline void reap_all(void)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

static inline int wait_status(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

struct storm {
	const char *name;
	void (*run)(void);
};

/* Sets up seed, time and descriptors; runs the one that is named, or names all n. */
static inline int storm_main(int argc, char **argv, const struct storm *table, size_t n)
{
	const char *seconds = getenv("STORM_SECONDS"), *from = getenv("STORM_SEED");

	setvbuf(stdout, NULL, _IONBF, 0);
	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	seed = from ? strtoull(from, NULL, 0) : (uint64_t)time(NULL);
	end_time = now() + (seconds ? atof(seconds) : 1);
	for (size_t i = 0; i < n; i++) {
		if (argc < 2) {
			puts(table[i].name);
		} else if (!strcmp(argv[1], table[i].name)) {
			table[i].run();
			puts("survived");
			return 0;
		}
	}
	return argc < 2 ? 0 : 98;
}

#endif
