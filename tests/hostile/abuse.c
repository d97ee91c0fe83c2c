/* Programs that break themselves in ways a sandbox must survive. Usage: abuse WHAT. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile int *volatile nowhere = (int *)8;

/* Unmaps the whole lower half under itself. */
static void unmap_all(void)
{
	syscall(SYS_munmap, 0x1000, 0x7ffffffff000ull - 0x1000);
	_exit(99);
}

#define BELOW (4l << 20)

static __attribute__((noinline)) void unmap_around(void)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0) & ~0xfffull;

	/* no call from here on: its return address would be gone */
	__asm__ volatile("syscall\n\t"
			 "movb $1, %c2(%%rdi)\n\t"
			 "mov $231, %%eax\n\t"
			 "mov $99, %%edi\n\t"
			 "syscall" ::"a"(SYS_munmap),
			 "D"(sp - BELOW), "i"(BELOW - 8), "S"(BELOW + 8192l)
			 : "rcx", "r11", "memory");
}

/* What is left of the stack, above, grows down again: something is left there, however small the
 * environment is, and nothing below that would be too near. */
static void unmap_stack(void)
{
	volatile char above[32768];

	above[0] = above[sizeof(above) - 1] = 1;
	unmap_around();
	above[0]++;
}

static void on_segv(int sig) {}

/* A handler whose frame cannot be written: the signal must kill. */
static void bad_frame(void)
{
	struct sigaction sa = {.sa_handler = on_segv};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	__asm__ volatile("mov $62, %%eax; mov %0, %%edi; mov $10, %%esi; mov $0x1000, %%rsp; syscall; ud2" ::"r"(
				 getpid())
			 : "rax", "rdi", "rsi", "rcx", "r11");
	_exit(99);
}

/* rt_sigreturn with a frame of garbage. */
static void bad_sigreturn(void)
{
	static char junk[4096];

	memset(junk, 0xff, sizeof(junk));
	__asm__ volatile("lea 1024(%0), %%rsp; mov $15, %%eax; syscall; ud2" ::"r"(junk) : "rax");
	_exit(99);
}

static int depth;

static void recurse_forever(void)
{
	char big[8192];

	memset(big, depth, sizeof(big));
	if (++depth >= 0)
		recurse_forever();
	__asm__ volatile("" ::"r"(big) : "memory");
}

static void *sleep_thread(void *arg)
{
	pause();
	return NULL;
}

/* Threads until the system says no; then normal exit. */
static void thread_bomb(void)
{
	pthread_attr_t attr;
	pthread_t t;
	long n = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16384);
	while (n < 100000 && !pthread_create(&t, &attr, sleep_thread, NULL))
		n++;
	printf("stopped: %s\n", n > 8 && n < 100000 ? "yes" : "no");
	fflush(stdout);
	_exit(0);
}

static void fd_bomb(void)
{
	long n = 0;

	while (open("/dev/null", O_RDONLY) >= 0)
		n++;
	printf("stopped: %s %s\n", n > 100 ? "yes" : "no", strerror(errno));
}

static void eat_memory(void)
{
	size_t i, step = 16 << 20;

	for (;;) {
		char *p = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			_exit(12);
		for (i = 0; i < step; i += 4096)
			p[i] = 1;
	}
}

static void *storm(void *arg)
{
	pid_t pid = getpid();
	int i;

	for (i = 0; i < 2000; i++)
		kill(pid, SIGUSR1);
	return NULL;
}

static void signal_storm(void)
{
	struct sigaction sa = {.sa_handler = on_segv, .sa_flags = SA_NODEFER};
	pthread_t t[4];
	int i;

	sigaction(SIGUSR1, &sa, NULL);
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, storm, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	puts("survived");
}

static volatile int stop;
static char *race_page;

static void *unmapper(void *arg)
{
	while (!stop) {
		munmap(race_page, 65536);
		mmap(race_page, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
	return NULL;
}

/* read(2) into pages that another thread takes away and puts back. */
static void map_race(void)
{
	int fd = open("/dev/zero", O_RDONLY), i, odd = 0;
	pthread_t t;

	race_page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_create(&t, NULL, unmapper, NULL);
	for (i = 0; i < 3000; i++) {
		ssize_t r = read(fd, race_page, 65536);

		if (r < 0 && errno != EFAULT)
			odd++;
	}
	stop = 1;
	pthread_join(t, NULL);
	printf("odd results: %d\n", odd);
}

/* Threads at their limit when several ask for more at the same time: each asks until it is refused.
 * Prints how many were granted. */
static atomic_int bomb_ready, bomb_go, bomb_refused, bomb_granted;

static void *bomb_wait(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void *bomb_start(void *arg)
{
	pthread_t t;

	atomic_fetch_add(&bomb_ready, 1);
	while (!bomb_go)
		sched_yield();
	while (!pthread_create(&t, NULL, bomb_wait, NULL))
		atomic_fetch_add(&bomb_granted, 1);
	atomic_fetch_add(&bomb_refused, 1);
	return bomb_wait(arg);
}

static void thread_race(void)
{
	pthread_t t;
	int i;

	for (i = 0; i < 6; i++)
		pthread_create(&t, NULL, bomb_start, NULL);
	while (bomb_ready < 6)
		usleep(1000);
	bomb_go = 1;
	while (bomb_refused < 6)
		usleep(1000);
	printf("threads: %d\n", 1 + 6 + bomb_granted);
	fflush(stdout);
	_exit(0);
}

static void stop_self(void)
{
	for (;;)
		kill(getpid(), SIGSTOP);
}

static void self_kill(void) { kill(getpid(), SIGKILL); }
static void abort_now(void) { abort(); }
static void segv_blocked(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	*nowhere = 1;
}
static void segv_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	*nowhere = 1;
}
static void exec_data(void)
{
	static char code[] = {(char)0xc3};

	((void (*)(void))(uintptr_t)code)();
}
static void write_text(void) { *(volatile char *)(uintptr_t)write_text = 0; }

/* What may be read only is not cut either, by whatever name. */
static void cut_stdin(void)
{
	puts(open("/proc/self/fd/0", O_RDONLY | O_TRUNC) < 0 ? "refused" : "cut");
}

static const struct {
	const char *name;
	void (*run)(void);
} table[] = {
	{"unmap-all", unmap_all},	{"unmap-stack", unmap_stack}, {"bad-frame", bad_frame},
	{"bad-sigreturn", bad_sigreturn}, {"recurse", recurse_forever}, {"thread-bomb", thread_bomb},
	{"fd-bomb", fd_bomb},		{"eat-memory", eat_memory},   {"signal-storm", signal_storm},
	{"map-race", map_race},		{"self-kill", self_kill},     {"abort", abort_now},
	{"segv-blocked", segv_blocked}, {"segv-ignored", segv_ignored}, {"exec-data", exec_data},
	{"write-text", write_text},	{"thread-race", thread_race}, {"stop-self", stop_self},
	{"cut-stdin", cut_stdin},
};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(table) / sizeof(*table); i++)
		if (!strcmp(argv[1], table[i].name))
			table[i].run();
	return 0;
}
