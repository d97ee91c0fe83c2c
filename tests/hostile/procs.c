/* Processes that multiply, are never waited for, or stop, kill, replace and orphan each other.
 * Usage: procs bomb | zombies | wild | random SEED SECONDS [PROCESSES] */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIDS  64
#define PAGES 256

static struct shared {
	volatile int stop;
	volatile pid_t pid[PIDS];
	volatile unsigned char page[4096];
} *shared;
static char *self;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Forks until it cannot; the children sleep. */
static int bomb(void)
{
	int n = 0;
	pid_t pid;

	while (n < 100000 && (pid = fork()) >= 0) {
		if (!pid)
			for (;;)
				pause();
		n++;
	}
	printf("stopped: %s %s\n", n < 100000 ? "yes" : "no", strerror(errno));
	return 0;
}

static int zombies(void)
{
	int n = 0, reaped = 0;
	pid_t pid;

	while (n < 100000 && (pid = fork()) >= 0) {
		if (!pid)
			_exit(0);
		n++;
	}
	printf("stopped: %s %s\n", n < 100000 ? "yes" : "no", strerror(errno));
	while (wait(NULL) > 0)
		reaped++;
	pid = fork();
	if (!pid)
		_exit(0);
	printf("reaped: %d, and again: %d\n", reaped == n, pid > 0);
	return 0;
}

/* What the name says. Only a limit ends it. */
static int wild(void)
{
	for (;;) {
		if (fork() < 0)
			sched_yield();
		else if (rand() % 7 == 0)
			_exit(0);
	}
}

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % n;
}

static void *thread(void *arg)
{
	unsigned char *mem = arg;

	for (int i = 0; i < 100; i++)
		mem[(unsigned)i * 4096 % (PAGES * 4096)]++;
	if (((uintptr_t)&mem >> 12) % 5 == 0)
		syscall(SYS_exit_group, 1);
	return NULL;
}

static void spawn(void);

/* One of many: does random things for a while. */
static void live(void)
{
	unsigned char *mem = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t th;
	pid_t other;

	for (int i = 0; i < 60 && !shared->stop; i++) {
		other = shared->pid[rnd(PIDS)];
		switch (rnd(14)) {
		case 0: case 1:
			spawn();
			break;
		case 2:
			if (other > 2)
				kill(other, rnd(2) ? SIGKILL : SIGTERM);
			break;
		case 3:
			if (other > 2 && kill(other, SIGSTOP) == 0)
				kill(other, SIGCONT);
			break;
		case 4:
			waitpid(-1, NULL, WNOHANG | (rnd(2) ? WUNTRACED | WCONTINUED : 0));
			break;
		case 5:
			if (!pthread_create(&th, NULL, thread, mem))
				pthread_detach(th);
			break;
		case 6:
			if (rnd(8) == 0)
				_exit(0);
			break;
		case 7:
			if (rnd(8) == 0) {
				char num[24];

				snprintf(num, sizeof(num), "%u", rnd(1000000));
				execl(self, self, "life", num, NULL);
			}
			break;
		case 8:
			setpgid(0, rnd(2) ? 0 : getppid());
			break;
		case 9:
			prctl(PR_SET_CHILD_SUBREAPER, rnd(2));
			prctl(PR_SET_PDEATHSIG, rnd(2) ? SIGTERM : 0);
			break;
		case 10:
			if (vfork() == 0)
				_exit(0);
			break;
		case 11:
			mprotect(mem, 16 * 4096, PROT_READ);
			mprotect(mem, 16 * 4096, PROT_READ | PROT_WRITE);
			madvise(mem + 4096 * rnd(PAGES / 2), 8 * 4096, MADV_DONTNEED);
			break;
		default:
			for (unsigned k = 0; k < 32; k++)
				mem[rnd(PAGES) * 4096] = (unsigned char)k;
			shared->page[rnd(4096)]++;
			break;
		}
	}
}

static void spawn(void)
{
	unsigned salt = rnd(1u << 30);
	pid_t pid = fork();

	if (pid > 0)
		shared->pid[rnd(PIDS)] = pid;
	if (pid)
		return;
	seed ^= salt ^ (uint64_t)getpid() << 20;
	live();
	_exit(0);
}

static int random_life(const char *from, const char *seconds, int n)
{
	double end = now() + atof(seconds);

	seed = strtoull(from, NULL, 10);
	while (now() < end) {
		for (int i = 0; i < n; i++)
			spawn();
		usleep(5000);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	shared->stop = 1;
	for (int i = 0; i < PIDS; i++)
		if (shared->pid[i] > 2)
			kill(shared->pid[i], SIGKILL);
	usleep(50000);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	printf("alive\n");
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	self = argv[0];
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "bomb"))
		return bomb();
	if (!strcmp(argv[1], "zombies"))
		return zombies();
	if (!strcmp(argv[1], "wild"))
		return wild();
	if (!strcmp(argv[1], "life") && argc > 2) {
		seed = strtoull(argv[2], NULL, 10);
		live();
		return 0;
	}
	if (!strcmp(argv[1], "random") && argc > 3)
		return random_life(argv[2], argv[3], argc > 4 ? atoi(argv[4]) : 4);
	return 2;
}
