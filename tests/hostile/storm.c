/* Attacks on what processes share with each other and with the sandbox, each for STORM_SECONDS (1).
 * Usage: storm WHAT; without it, names them. Each prints "survived" and what Linux defines of its end. */
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

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool over(void) { return now() >= end_time; }

static unsigned rnd(unsigned n)
{
	uint64_t s = __atomic_load_n(&seed, __ATOMIC_RELAXED) * 6364136223846793005ull + 1442695040888963407ull;

	__atomic_store_n(&seed, s, __ATOMIC_RELAXED);
	return (unsigned)(s >> 33) % n;
}

static void *map(size_t len, int flags)
{
	void *p = mmap(NULL, len, RW, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		printf("mmap: %s\n", strerror(errno));
		_exit(3);
	}
	return p;
}

/* A child that lives until it is killed or run returns. */
static pid_t child(void (*run)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	seed ^= (uint64_t)getpid() << 20;
	run();
	_exit(0);
}

static void reap_all(void)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

static int wait_status(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

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
	int i, born = 0, dead = 0;

	killing = map(sizeof(*killing), MAP_SHARED);
	setpgid(0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (!over()) {
		for (i = 0; i < KILLERS; i++)
			if (!killing->pid[i] || waitpid(killing->pid[i], NULL, WNOHANG) > 0) {
				dead += killing->pid[i] != 0;
				born++;
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

/* ---- descriptors and buffers ---- */

static void fill_buffers(void)
{
	char block[65536] = {0};
	int s[2], n = 0;

	while (n < 40 && (rnd(2) ? pipe2(s, O_NONBLOCK) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) == 0) {
		n++;
		while (write(s[1], block, sizeof(block)) > 0)
			;
	}
	if (write(s[1], block, 1) < 0 && errno == EAGAIN)
		fcntl(s[1], F_SETFL, 0);
	if (write(s[1], block, sizeof(block)) < 0) /* until somebody kills it */
		pause();
}

static void buffers(void)
{
	pid_t pid[4];
	int i;

	while (!over()) {
		for (i = 0; i < 4; i++)
			pid[i] = child(fill_buffers);
		usleep(20000);
		for (i = 0; i < 4; i++)
			if (pid[i] > 0)
				kill(pid[i], SIGKILL);
		reap_all();
	}
}

static int pass_fd(int over_fd, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {{0}};
	char byte = 0;
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return (int)sendmsg(over_fd, &m, MSG_DONTWAIT);
}

/* Descriptors that are only held by messages on themselves, and watchers that watch each other. */
static void circles(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int s[2], e[2], n = 0;

	while (!over()) {
		if (socketpair(AF_UNIX, rnd(2) ? SOCK_STREAM : SOCK_DGRAM, 0, s))
			break;
		pass_fd(s[0], s[0]);
		pass_fd(s[0], s[1]);
		pass_fd(s[1], s[0]);
		e[0] = epoll_create1(0);
		e[1] = epoll_create1(0);
		epoll_ctl(e[0], EPOLL_CTL_ADD, e[1], &ev);
		epoll_ctl(e[1], EPOLL_CTL_ADD, e[0], &ev);
		epoll_ctl(e[0], EPOLL_CTL_ADD, e[0], &ev);
		epoll_ctl(e[0], EPOLL_CTL_ADD, s[0], &ev);
		epoll_wait(e[0], &ev, 1, 0);
		if (rnd(2))
			pass_fd(s[0], e[0]);
		close(s[0]);
		close(s[1]);
		close(e[0]);
		close(e[1]);
		n++;
	}
	printf("many: %d\n", n > 3);
}

/* Processes that are at the limit of descriptors, in tables that they share or do not. */
static void open_all(void)
{
	int fd;

	while ((fd = rnd(2) ? dup(0) : eventfd(0, 0)) >= 0)
		;
	for (int i = 0; i < 50; i++) {
		close((int)rnd(200));
		syscall(SYS_pidfd_open, getppid(), 0);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (fd >= 0 && rnd(2))
			dup2(fd, (int)rnd(300));
		if (rnd(8) == 0) {
			pid_t pid = fork();

			if (!pid)
				_exit(0);
		}
	}
}

static void descriptors(void)
{
	while (!over()) {
		for (int i = 0; i < 3; i++)
			child(open_all);
		reap_all();
	}
}

/* ---- timers and futexes ---- */

static atomic_int ticks;

static void on_tick(int sig)
{
	(void)sig;
	atomic_fetch_add(&ticks, 1);
}

static void timer_process(void)
{
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_NODEFER};
	struct itimerspec often = {{0, 1}, {0, 1}};
	struct itimerval it = {{0, 1}, {0, 1}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL};
	int i, fd;
	timer_t t;

	for (i = 0; i < 8; i++)
		sigaction(SIGRTMIN + i, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGVTALRM, &sa, NULL);
	for (i = 0; i < 50; i++) {
		ev.sigev_signo = SIGRTMIN + i % 8;
		if (!timer_create(i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &ev, &t))
			timer_settime(t, 0, &often, NULL);
		fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
		if (fd >= 0)
			timerfd_settime(fd, 0, &often, NULL);
	}
	setitimer(ITIMER_REAL, &it, NULL);
	setitimer(ITIMER_VIRTUAL, &it, NULL);
	for (i = 0; i < 200; i++) {
		usleep(500);
		if (rnd(50) == 0)
			execl(self, self, "exit", NULL);
	}
}

static void timers(void)
{
	while (!over()) {
		for (int i = 0; i < 3; i++)
			child(timer_process);
		reap_all();
	}
}

static _Atomic uint32_t *words;

static void futex_process(void)
{
	struct timespec ts = {0, 1};
	struct robust_list_head *head = map(PAGE, MAP_PRIVATE);

	head->list.next = (void *)&head->list; /* or a circle, or nonsense */
	if (rnd(3) == 0)
		head->list.next = (void *)((char *)head + 64), *(void **)((char *)head + 64) = (char *)head + 64;
	else if (rnd(2))
		head->list.next = (void *)(uintptr_t)(rnd(2) ? 8 : ~7ull);
	head->futex_offset = rnd(2) ? 16 : -(long)rnd(1u << 30);
	head->list_op_pending = (void *)&words[rnd(64)];
	syscall(SYS_set_robust_list, head, sizeof(*head));
	for (int i = 0; i < 3000; i++) {
		_Atomic uint32_t *w = rnd(20) ? &words[rnd(64)] : (_Atomic uint32_t *)(uintptr_t)(rnd(2) ? 4 : rnd(1u << 30));

		ts.tv_nsec = rnd(100000);
		switch (rnd(6)) {
		case 0:
			syscall(SYS_futex, w, FUTEX_WAIT, 0, &ts, NULL, 0);
			break;
		case 1:
			syscall(SYS_futex, w, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
			break;
		case 2:
			syscall(SYS_futex, w, FUTEX_REQUEUE, 1, (long)rnd(4), &words[rnd(64)], 0);
			break;
		case 3:
			syscall(SYS_futex, w, FUTEX_WAKE_OP, 1, 1L, &words[rnd(64)], FUTEX_OP(FUTEX_OP_XOR, 1, FUTEX_OP_CMP_EQ, 0));
			break;
		case 4:
			syscall(SYS_futex, w, FUTEX_WAIT_BITSET, 0, &ts, NULL, rnd(4));
			break;
		default:
			syscall(SYS_futex, w, rnd(20), rnd(4), &ts, &words[rnd(64)], rnd(4));
			break;
		}
	}
}

static void futexes(void)
{
	pid_t pid[8];

	words = map(PAGE, MAP_SHARED);
	while (!over()) {
		for (int i = 0; i < 8; i++)
			pid[i] = child(futex_process);
		usleep(50000);
		for (int i = 0; i < 8; i++)
			if (pid[i] > 0)
				kill(pid[i], SIGKILL);
		reap_all();
	}
}

/* ---- who looks at whom, and who is in whose group ---- */

static void look_process(void)
{
	static const char *const names[] = {"stat", "status", "maps", "cmdline", "environ", "smaps", "fd", "task",
					    "exe", "cwd", "io", "limits", "auxv", "comm", "fdinfo", "mem"};
	char name[64], text[4096];
	int fd;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "/proc/%d/%s", (int)(getpid() - (int)rnd(20)), names[rnd(16)]);
		fd = open(name, O_RDONLY);
		if (fd < 0)
			continue;
		if (read(fd, text, sizeof(text)) < 0)
			syscall(SYS_getdents64, fd, text, sizeof(text));
		close(fd);
	}
}

static void group_process(void)
{
	int tty = open("/dev/tty", O_RDWR);

	signal(SIGTTOU, rnd(2) ? SIG_IGN : SIG_DFL);
	alarm(1);
	for (int i = 0; i < 200; i++) {
		pid_t pid = getpid() - (int)rnd(20);

		switch (rnd(9)) {
		case 0:
			setpgid(rnd(2) ? 0 : pid, rnd(2) ? 0 : pid);
			break;
		case 1:
			if (rnd(8) == 0)
				setsid();
			break;
		case 2:
			tcsetpgrp(tty >= 0 ? tty : 0, pid);
			break;
		case 3:
			ioctl(tty, rnd(2) ? TIOCNOTTY : TIOCSCTTY, 0);
			break;
		case 4:
			getsid(pid);
			getpgid(pid);
			break;
		case 5:
			kill(-pid, rnd(8) ? 0 : SIGCONT);
			break;
		case 6:
			prctl(PR_SET_PDEATHSIG, rnd(65));
			break;
		case 7:
			if (rnd(8) == 0 && fork() == 0)
				_exit(0);
			break;
		default:
			waitpid(-(pid_t)rnd(30), NULL, WNOHANG | WUNTRACED | WCONTINUED);
			break;
		}
	}
}

static void lookers(void)
{
	while (!over()) {
		for (int i = 0; i < 4; i++)
			child(rnd(2) ? look_process : group_process);
		reap_all();
	}
}

/* ---- memory until there is none: each of them may be what finds that out ---- */

static void hungry(const char *how)
{
	static char big[1 << 20];
	int s[2], fd;
	char *p;

	for (;;) {
		p = mmap(NULL, 4 << 20, RW, (!strcmp(how, "shared") ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			_exit(12);
		if (!strcmp(how, "fork")) {
			memset(p, 1, 4 << 20);
			if (fork() == 0)
				memset(p, 2, 4 << 20);
		} else if (!strcmp(how, "read")) {
			if (read(zero_fd, p, 4 << 20) < 0)
				_exit(12);
		} else if (!strcmp(how, "socket")) {
			if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) || recv(s[0], p, 1, MSG_DONTWAIT) > 0)
				_exit(12);
			while (send(s[1], big, sizeof(big), MSG_DONTWAIT) > 0)
				;
		} else if (!strcmp(how, "memfd")) {
			fd = memfd_create("x", 0);
			while (write(fd, big, sizeof(big)) > 0)
				;
			_exit(12);
		} else if (!strcmp(how, "brk")) {
			if (sbrk(4 << 20) == (void *)-1)
				_exit(12);
			memset((char *)sbrk(0) - (4 << 20), 1, 4 << 20);
		} else if (!strcmp(how, "populate")) {
			if (madvise(p, 4 << 20, MADV_POPULATE_WRITE))
				_exit(12);
		} else if (!strcmp(how, "lock")) {
			if (mlock(p, 4 << 20))
				_exit(12);
		} else if (!strcmp(how, "areas")) {
			munmap(p, 4 << 20);
			for (fd = 0; fd < 1000; fd++)
				if (mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
					_exit(12);
		} else {
			memset(p, 1, 4 << 20);
		}
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} table[] = {
	{"read-race", read_race},	{"pinned-fork", pinned_fork}, {"stack-gone", stack_gone},
	{"snapshot", snapshot},
	{"kill-each-other", kill_each_other}, {"wait-race", wait_race}, {"clone-random", clone_random},
	{"exec-race", exec_race},	{"elf-nonsense", elf_nonsense}, {"buffers", buffers},
	{"circles", circles},		{"descriptors", descriptors}, {"timers", timers},
	{"futexes", futexes},		{"lookers", lookers},
};

int main(int argc, char **argv)
{
	const char *seconds = getenv("STORM_SECONDS"), *from = getenv("STORM_SEED");

	setvbuf(stdout, NULL, _IONBF, 0);
	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	seed = from ? strtoull(from, NULL, 0) : (uint64_t)time(NULL);
	end_time = now() + (seconds ? atof(seconds) : 1);
	zero_fd = open("/dev/zero", O_RDONLY);
	null_fd = open("/dev/null", O_WRONLY);
	if (argc > 2 && !strcmp(argv[1], "hungry"))
		hungry(argv[2]);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
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
