/* Attacks on the memory that processes share, and on their lives, each for STORM_SECONDS (1).
 * Usage: storm WHAT; without it, names them. Each prints "survived" and what Linux defines of its end. */
#include "tests/hostile/storm.h"

/* ---- memory that is taken away while calls use it ---- */

static char *arena;
static int arena_file;
static int zero_fd, null_fd;
#define ARENA (64 * PAGE)

static void change_arena(void)
{
	size_t at = rnd(60) * PAGE, len = (1 + rnd(4)) * PAGE;

	switch (rnd(8)) {
	case 0: case 1:
		munmap(arena + at, len);
		break;
	case 2:
		mmap(arena + at, len, RW, ANON | MAP_FIXED, -1, 0);
		break;
	case 3:
		mmap(arena + at, len, RW, MAP_SHARED | MAP_FIXED, arena_file, (off_t)(rnd(4) * PAGE));
		break;
	case 4:
		mprotect(arena + at, len, rnd(2) ? RW : PROT_READ);
		break;
	case 5:
		madvise(arena + at, len, MADV_DONTNEED);
		break;
	case 6:
		if (ftruncate(arena_file, (off_t)(rnd(8) * PAGE)))
			break;
		break;
	default:
		mremap(arena + at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, arena + rnd(60) * PAGE);
		break;
	}
}

static void *change_thread(void *arg)
{
	while (!over())
		change_arena();
	return arg;
}

static long use_arena(void)
{
	char *p = arena + rnd(60) * PAGE + rnd(4096), *q = arena + rnd(60) * PAGE;
	struct iovec v[3] = {{p, rnd(9000)}, {q, PAGE}, {p + 100, 7}};

	switch (rnd(6)) {
	case 0:
		return read(zero_fd, p, rnd(4 * PAGE));
	case 1:
		return readv(zero_fd, v, 3);
	case 2:
		return pread(arena_file, p, rnd(3 * PAGE), rnd(8192));
	case 3:
		return pwrite(arena_file, p, rnd(3 * PAGE), rnd(8192));
	case 4:
		return writev(null_fd, v, 3);
	default:
		return syscall(SYS_getrandom, p, rnd(2000), 0);
	}
}

static void *use_thread(void *arg)
{
	while (!over())
		if (use_arena() < 0 && errno != EFAULT && errno != EINTR && errno != ENOMEM)
			*(int *)arg = errno;
	return NULL;
}

static void read_race(void)
{
	char name[] = "storm.XXXXXX";
	int odd[3] = {0}, i;
	pthread_t t[5];
	pid_t pid;

	zero_fd = open("/dev/zero", O_RDONLY);
	null_fd = open("/dev/null", O_WRONLY);
	arena = map(ARENA, MAP_PRIVATE);
	arena_file = mkstemp(name);
	unlink(name);
	pid = fork(); /* both sides do the same, at first with shared pages */
	for (i = 0; i < 5; i++)
		pthread_create(&t[i], NULL, i < 2 ? change_thread : use_thread, &odd[i < 2 ? 0 : i - 2]);
	for (i = 0; i < 5; i++)
		pthread_join(t[i], NULL);
	if (!pid)
		_exit(odd[0] | odd[1] | odd[2]);
	printf("odd: %d %d %d %d\n", odd[0], odd[1], odd[2], wait_status(pid));
}

/* A child's copy of a page that a read(2) of its parent is filling never changes under it, and the
 * parent gets all bytes that were read. */
static char *filled;
static int fill_pipe[2];

static void *fill_thread(void *arg)
{
	char block[64];
	unsigned char n = 0;

	while (!over()) {
		memset(block, ++n, sizeof(block));
		if (write(fill_pipe[1], block, sizeof(block)) != sizeof(block))
			break;
	}
	close(fill_pipe[1]);
	return arg;
}

static atomic_int lost;

static void *read_thread(void *arg)
{
	ssize_t n;

	/* the pipe is empty most of the time: the page is pinned when the fork comes */
	while ((n = read(fill_pipe[0], filled + 1000, 64)) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (filled[1000 + i] != filled[1000])
				atomic_fetch_add(&lost, 1);
	return arg;
}

static void watch_page(void)
{
	char copy[PAGE];

	memcpy(copy, filled, PAGE);
	usleep(rnd(3000));
	_exit(memcmp(copy, filled, PAGE) != 0);
}

static void pinned_fork(void)
{
	int changed = 0, status;
	pthread_t t[2];

	filled = map(PAGE, MAP_PRIVATE);
	if (pipe(fill_pipe))
		return;
	pthread_create(&t[0], NULL, read_thread, NULL);
	pthread_create(&t[1], NULL, fill_thread, NULL);
	while (!over()) {
		status = wait_status(child(watch_page));
		changed += status != 0;
		filled[8]++; /* a copy, if the child still has it */
	}
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	printf("changed: %d, lost: %d\n", changed, atomic_load(&lost));
}

/* What a child sees of a thread's writes ends at one moment, whatever kind of memory they went to. */
static volatile unsigned long in_data[1024] __attribute__((aligned(4096))) = {1};
static volatile unsigned long in_bss[1024] __attribute__((aligned(4096)));
static volatile unsigned long *in_heap;

static void *count_thread(void *arg)
{
	while (!over())
		for (int i = 0; i < 1000; i++) {
			in_heap[0] = in_heap[0] + 1;
			in_data[600] = in_heap[0];
			in_bss[7] = in_heap[0];
			in_heap[512] = in_heap[0];
			in_data[0] = in_heap[0];
		}
	return arg;
}

static void check_counts(void)
{
	unsigned long n[5] = {in_heap[0], in_data[600], in_bss[7], in_heap[512], in_data[0]};
	int i;

	for (i = 1; i < 5 && n[i] <= n[i - 1]; i++)
		;
	_exit(i < 5 || n[0] - n[4] > 1);
}

static void snapshot(void)
{
	int odd = 0;
	pthread_t t;

	in_heap = map(2 * PAGE, MAP_PRIVATE);
	in_heap[512] = 0;
	in_data[0] = in_data[600] = 0;
	pthread_create(&t, NULL, count_thread, NULL);
	while (!over())
		odd += wait_status(child(check_counts)) != 0;
	pthread_join(t, NULL);
	printf("odd: %d\n", odd);
}

/* ---- stacks ---- */

static void on_signal(int sig) { (void)sig; }

static void lose_stack(void)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0) & ~(PAGE - 1);
	static char alt[65536];
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	unsigned how = rnd(4);

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	if (how == 1) { /* a stack for the handler that is no memory */
		ss.ss_sp = (void *)0x10000;
		ss.ss_size = 1 << 20;
	}
	if (how < 2)
		sigaltstack(&ss, NULL);
	else
		signal(SIGSEGV, SIG_DFL);
	if (how == 2) {
		__asm__ volatile("mov $0x7ffffffff000, %%rsp; push %%rax" ::: "memory");
	} else {
		/* from here on without a stack: a few calls, then the one that needs it */
		__asm__ volatile("syscall\n\t"
				 "mov $39, %%eax\n\t"
				 "syscall\n\t"
				 "mov %%eax, %%edi\n\t"
				 "mov $10, %%esi\n\t"
				 "mov $62, %%eax\n\t"
				 "syscall\n\t"
				 "push %%rax" ::"a"(SYS_munmap),
				 "D"(sp - (8ul << 20)), "S"((8ul << 20) + 8 * PAGE)
				 : "rcx", "r11", "rdx", "memory");
	}
}

static void alarm_soon(void)
{
	ualarm(100000, 0); /* a handler that returns to the fault goes on for ever */
	lose_stack();
}

static void stack_gone(void)
{
	int n = 0, odd = 0;

	while (!over() || n < 20) {
		int status = wait_status(child(alarm_soon));

		odd += !WIFSIGNALED(status);
		n++;
	}
	printf("ended otherwise: %d\n", odd);
}

/* ---- processes that kill each other ---- */

#define KILLERS 24
static struct killing {
	volatile int stop;
	volatile pid_t pid[KILLERS];
} *killing;

static void kill_others(void)
{
	static const int sigs[] = {SIGKILL, SIGTERM, SIGSTOP, SIGCONT, SIGUSR1, SIGCHLD, SIGTSTP, SIGABRT};

	while (!killing->stop) {
		pid_t pid = killing->pid[rnd(KILLERS)];

		if (pid > 1)
			syscall(rnd(4) ? SYS_kill : SYS_tkill, pid, sigs[rnd(8)]);
		if (rnd(16) == 0) {
			pid = fork();
			if (!pid)
				_exit(0);
			if (rnd(2))
				waitpid(pid, NULL, WNOHANG);
		}
		if (rnd(64) == 0)
			execl(self, self, "exit", NULL);
	}
}

static void kill_each_other(void)
{
	int i;

	killing = map(sizeof(*killing), MAP_SHARED);
	setpgid(0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (!over()) {
		for (i = 0; i < KILLERS; i++)
			if (!killing->pid[i] || waitpid(killing->pid[i], NULL, WNOHANG) > 0) {
				killing->pid[i] = child(kill_others);
			}
		while (waitpid(-1, NULL, WNOHANG | WUNTRACED) > 0)
			killing->pid[rnd(KILLERS)] = 0; /* some are forgotten: they live on */
		usleep(1000);
	}
	killing->stop = 1;
	for (i = 0; i < 20; i++) {
		kill(0, SIGCONT);
		usleep(5000);
	}
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	reap_all();
	printf("none left: %d\n", waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
}

/* Several threads wait for each child: one of them gets it. */
static atomic_int waited, spawned;
static atomic_bool spawn_over;

static void *wait_thread(void *arg)
{
	siginfo_t si;

	for (;;) {
		memset(&si, 0, sizeof(si));
		if (waitid(P_ALL, 0, &si, WEXITED) == 0)
			atomic_fetch_add(&waited, 1);
		else if (errno == ECHILD && atomic_load(&spawn_over))
			return arg;
		else
			sched_yield();
	}
}

static void quit(void) {}

static void wait_race(void)
{
	pthread_t t[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, wait_thread, NULL);
	while (!over())
		if (child(quit) > 0)
			atomic_fetch_add(&spawned, 1);
		else
			usleep(1000);
	atomic_store(&spawn_over, true);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("each once: %d\n", atomic_load(&waited) == atomic_load(&spawned));
}

/* ---- clone and execve as nobody calls them ---- */

static void odd_clone(void)
{
	static const uint64_t flags[] = {0x100, 0x200, 0x400, 0x800, 0x2000, 0x4000, 0x8000, 0x10000, 0x80000,
					 0x100000, 0x200000, 0x400000, 0x1000000, 0x2000000, 0x100000000};
	uint64_t f = rnd(4) ? SIGCHLD : rnd(80), i;
	static char stack[16384] __attribute__((aligned(64)));
	long at[] = {0, (long)stack, 8, (long)stack + 3, -1};

	if (f >= SIGSTOP && f <= SIGTTOU)
		f = SIGCHLD; /* the parent would stop */
	for (i = rnd(5); i; i--)
		f |= flags[rnd(15)];
	f &= ~(uint64_t)0x4100; /* not our memory, and no wait for one that hangs */
	if (syscall(SYS_clone, f, rnd(3) ? 0 : stack + 16000, at[rnd(5)], at[rnd(5)], at[rnd(5)]) == 0)
		syscall(SYS_exit, 0);
}

static void clone_some(void)
{
	alarm(1);
	for (int i = 0; i < 100; i++)
		odd_clone();
}

static void clone_random(void)
{
	signal(SIGCHLD, SIG_IGN);
	while (!over())
		wait_status(child(clone_some));
	signal(SIGCHLD, SIG_DFL);
}

static void *exec_thread(void *arg)
{
	char *args[] = {self, "exit", NULL};

	usleep(rnd(300));
	execv(rnd(4) ? self : "/nonexistent", args);
	return arg;
}

/* Threads that all call execve, while others start threads and the parent kills. */
static void exec_many(void)
{
	pthread_t t;

	for (int i = 0; i < 6; i++)
		pthread_create(&t, NULL, exec_thread, NULL);
	usleep(rnd(500));
	if (rnd(2))
		exec_thread(NULL);
	pause();
}

static void exec_race(void)
{
	int odd = 0;

	while (!over()) {
		pid_t pid = child(exec_many);
		int status;

		usleep(rnd(3000));
		if (rnd(2))
			kill(pid, SIGKILL);
		status = wait_status(pid);
		odd += !(WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
		       !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	printf("ended otherwise: %d\n", odd);
}

/* ---- programs that are none ---- */

static void put_file(const char *name, const void *data, size_t n)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		_exit(4);
	close(fd);
}

static void run_it(void)
{
	alarm(1);
	execl("./storm-elf", "storm-elf", "exit", NULL);
	_exit(55);
}

/* An ELF header and program headers, then nonsense; mostly with an interpreter. */
static size_t odd_elf(unsigned char *b)
{
	static const char *const interps[] = {"./storm-elf", "/dev/zero", ".", "/proc/self/exe", "/proc/self/mem",
					      "./storm-fifo", "", "/nonexistent", "./storm-script"};
	uint64_t values[] = {0, 1, 0xfff, 0x1000, 0x10000, 0x400000, 1ull << 46, 0x7ffffffff000, 1ull << 47,
			     ~0ull, ~0xfffull, 1ull << 63, 64, 56, 4096};
	unsigned n = 1 + rnd(6), i, k;
	const char *interp = interps[rnd(9)];

	memset(b, 0, 8192);
	memcpy(b, "\177ELF\2\1\1", 7);
	b[16] = rnd(2) ? 2 : 3;
	b[18] = 62;
	b[20] = 1;
	memcpy(b + 24, &values[rnd(15)], 8); /* entry */
	b[32] = 64;			     /* program headers */
	b[52] = 64;
	b[54] = 56;
	b[56] = (unsigned char)n;
	for (i = 0; i < n; i++) {
		unsigned char *p = b + 64 + 56 * i;

		p[0] = rnd(8) ? (unsigned char)(i == 0 && rnd(2) ? 3 : 1) : (unsigned char)rnd(8);
		p[4] = (unsigned char)rnd(8);
		for (k = 8; k < 56; k += 8)
			memcpy(p + k, &values[rnd(15)], 8);
		if (p[0] == 3) {
			uint64_t at = 1024, len = strlen(interp) + (rnd(8) != 0);

			memcpy(p + 8, &at, 8);
			memcpy(p + 32, &len, 8);
			strcpy((char *)b + 1024, interp);
		}
	}
	if (rnd(4) == 0)
		b[rnd(8) ? rnd(400) : rnd(64)] = (unsigned char)rnd(256);
	return rnd(8) ? 8192 : rnd(8192);
}

static void elf_nonsense(void)
{
	unsigned char b[8192];
	int n = 0;

	put_file("storm-script", "#!./storm-script\n", 17);
	mkfifo("storm-fifo", 0700);
	while (!over() || n < 20) {
		unlink("storm-elf"); /* one that is still running cannot be written */
		put_file("storm-elf", b, odd_elf(b));
		wait_status(child(run_it));
		n++;
	}
	unlink("storm-elf");
	unlink("storm-script");
	unlink("storm-fifo");
}

int main(int argc, char **argv)
{
	static const struct storm table[] = {
		{"read-race", read_race},     {"pinned-fork", pinned_fork},
		{"snapshot", snapshot},	      {"stack-gone", stack_gone},
		{"kill-each-other", kill_each_other}, {"wait-race", wait_race},
		{"clone-random", clone_random}, {"exec-race", exec_race},
		{"elf-nonsense", elf_nonsense},
	};

	return storm_main(argc, argv, table, sizeof(table) / sizeof(*table));
}
