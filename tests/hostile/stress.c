/* Random memory, thread, futex and signal calls from threads that come and go.
 * Usage: stress SEED BODIES [THREADS]: BODIES threads in all, THREADS at a time and now and then more.
 * Prints "alive" when the sandbox and the program survived. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE	  4096ul
#define ARENA	  (256 * PAGE) /* where mappings come and go */
#define ARENA_AT  0x100000000000ul /* mmap without an address stays away from here */
#define THREADS	  24

static uint8_t *arena;
static atomic_int stop, alive, started;
static int threads = 8, file, devnull, pipefd[2];
static _Atomic uint32_t words[64]; /* futexes that all use */

struct rnd {
	uint64_t s;
};

static uint32_t rnd(struct rnd *r, uint32_t n)
{
	r->s = r->s * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(r->s >> 33) % n;
}

static __thread sigjmp_buf escape;
static __thread volatile sig_atomic_t guarded;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	if (!guarded)
		_exit(90);
	guarded = 0;
	siglongjmp(escape, 1);
}

static void on_signal(int sig, siginfo_t *si, void *uc)
{
	if (si->si_value.sival_int == 12345)
		syscall(SYS_getppid);
}

static void touch(struct rnd *r, uint8_t *p, size_t len)
{
	if (sigsetjmp(escape, 1))
		return;
	guarded = 1;
	if (rnd(r, 2))
		*(volatile uint8_t *)(p + rnd(r, (uint32_t)len)) = 1;
	else
		(void)*(volatile uint8_t *)(p + rnd(r, (uint32_t)len));
	guarded = 0;
}

static void memory(struct rnd *r)
{
	static const int prots[] = {PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE,
				    PROT_READ | PROT_WRITE | PROT_EXEC};
	static const int advice[] = {MADV_DONTNEED, MADV_FREE, MADV_WILLNEED, MADV_POPULATE_WRITE,
				     MADV_REMOVE, MADV_DONTFORK, MADV_HUGEPAGE, MADV_POPULATE_READ};
	uint32_t at = rnd(r, 240), n = 1 + rnd(r, 16), to = rnd(r, 240), m = 1 + rnd(r, 16);
	uint8_t *p = arena + at * PAGE, *q = arena + to * PAGE;
	struct iovec v[3] = {{p, 100}, {p + 100, PAGE}, {q + 7, PAGE}};
	uint8_t vec[16], *moved;

	switch (rnd(r, 16)) {
	case 0: case 1:
		mmap(p, n * PAGE, prots[rnd(r, 4)], MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
		     (rnd(r, 8) ? 0 : MAP_POPULATE), -1, 0);
		break;
	case 2:
		mmap(p, n * PAGE, prots[rnd(r, 3)], (rnd(r, 2) ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED,
		     file, (off_t)(rnd(r, 8) * PAGE));
		break;
	case 3:
		mmap(p, n * PAGE, prots[rnd(r, 3)], MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 4: case 5:
		munmap(p, n * PAGE);
		break;
	case 6: case 7:
		mprotect(p, n * PAGE, prots[rnd(r, 4)]);
		break;
	case 8:
		madvise(p, n * PAGE, advice[rnd(r, 8)]);
		break;
	case 9:
		mremap(p, n * PAGE, m * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q);
		break;
	case 10:
		moved = mremap(p, rnd(r, 3) ? n * PAGE : 0, n * PAGE,
			       MREMAP_MAYMOVE | (rnd(r, 2) ? MREMAP_DONTUNMAP : 0) |
			       (rnd(r, 2) ? MREMAP_FIXED : 0), rnd(r, 4) ? q : p);
		if (moved != (uint8_t *)MAP_FAILED && (moved < arena || moved >= arena + ARENA))
			munmap(moved, n * PAGE);
		break;
	case 11:
		writev(devnull, v, 3);
		if (pwritev(file, v, 3, (off_t)(rnd(r, 8) * PAGE)) < 0)
			preadv(file, v, 3, 0);
		break;
	case 12:
		if (!rnd(r, 8) && ftruncate(file, (off_t)(rnd(r, 16) * PAGE)))
			break;
		msync(p, n * PAGE, rnd(r, 2) ? MS_SYNC : MS_ASYNC);
		break;
	case 13:
		rnd(r, 2) ? mlock(p, n * PAGE) : munlock(p, n * PAGE);
		mincore(p, n * PAGE, vec);
		break;
	default:
		touch(r, p, n * PAGE);
		break;
	}
}

static void futexes(struct rnd *r)
{
	_Atomic uint32_t *w = rnd(r, 8) ? &words[rnd(r, 64)]
					: (_Atomic uint32_t *)(void *)(arena + rnd(r, 200) * PAGE);
	_Atomic uint32_t *w2 = &words[rnd(r, 64)];
	struct timespec ts = {0, rnd(r, 2000000)};
	int priv = rnd(r, 2) ? FUTEX_PRIVATE_FLAG : 0;

	switch (rnd(r, 6)) {
	case 0: case 1:
		syscall(SYS_futex, w, FUTEX_WAIT | priv, 0, &ts, NULL, 0);
		break;
	case 2:
		syscall(SYS_futex, w, FUTEX_WAKE | priv, rnd(r, 4), NULL, NULL, 0);
		break;
	case 3:
		syscall(SYS_futex, w, FUTEX_REQUEUE | priv, rnd(r, 2), (long)rnd(r, 4), w2, 0);
		break;
	case 4:
		syscall(SYS_futex, w, FUTEX_CMP_REQUEUE | priv, 1, (long)rnd(r, 4), w2, 0);
		break;
	case 5:
		syscall(SYS_futex, w, FUTEX_WAKE_OP | priv, 1, 1L, w2,
			FUTEX_OP(FUTEX_OP_XOR, 1, FUTEX_OP_CMP_EQ, 0));
		break;
	}
}

static void timers(struct rnd *r)
{
	struct sigevent ev = {.sigev_notify = rnd(r, 3) ? SIGEV_SIGNAL : SIGEV_THREAD_ID,
			      .sigev_signo = rnd(r, 2) ? SIGUSR2 : SIGRTMIN + 3};
	struct itimerspec its = {{0, rnd(r, 300000)}, {0, 1 + rnd(r, 300000)}};
	int id;

	ev._sigev_un._tid = rnd(r, 2) ? (int)syscall(SYS_gettid) : getpid() + (int)rnd(r, 64);
	if (syscall(SYS_timer_create, rnd(r, 4) ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &ev, &id))
		id = (int)rnd(r, 32);
	syscall(SYS_timer_settime, id, 0, &its, NULL);
	if (rnd(r, 2))
		syscall(SYS_timer_delete, (int)rnd(r, 32));
	syscall(SYS_timer_delete, id);
}

static void signals(struct rnd *r)
{
	static const int sigs[] = {SIGUSR1, SIGUSR2, SIGCHLD, SIGURG};
	int sig = rnd(r, 4) ? sigs[rnd(r, 4)] : SIGRTMIN + 2 + (int)rnd(r, 4);
	struct timespec ts = {0, rnd(r, 1000000)};
	siginfo_t si = {.si_code = SI_QUEUE};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	si.si_value.sival_int = 12345;
	switch (rnd(r, 8)) {
	case 0:
		syscall(SYS_tgkill, getpid(), getpid() + rnd(r, 256), sig);
		break;
	case 1:
		kill(getpid(), sig);
		break;
	case 2:
		syscall(SYS_rt_sigqueueinfo, getpid(), sig, &si);
		break;
	case 3:
		sigprocmask(rnd(r, 3), &set, NULL);
		break;
	case 4:
		sigtimedwait(&set, NULL, &ts);
		break;
	case 5:
		timers(r);
		break;
	case 6:
		nanosleep(&ts, NULL);
		break;
	default:
		ppoll(NULL, 0, &ts, &set);
		break;
	}
}

static void *body(void *arg);

static void thread_start(struct rnd *r)
{
	pthread_attr_t a;
	pthread_t t;

	if (atomic_fetch_add(&alive, 1) >= threads + THREADS) {
		atomic_fetch_sub(&alive, 1);
		return;
	}
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 * 1024);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&t, &a, body, (void *)(uintptr_t)(r->s ^ rnd(r, 1000))))
		atomic_fetch_sub(&alive, 1);
	else
		atomic_fetch_add(&started, 1);
	pthread_attr_destroy(&a);
}

static void *body(void *arg)
{
	struct rnd r = {.s = (uintptr_t)arg};
	stack_t ss = {.ss_size = 32768};
	int left = (int)rnd(&r, 400);

	ss.ss_sp = malloc(ss.ss_size);
	if (ss.ss_sp)
		sigaltstack(&ss, NULL);
	while (!atomic_load(&stop) && left--) {
		switch (rnd(&r, 8)) {
		case 0: case 1: case 2: case 3:
			memory(&r);
			break;
		case 4:
			futexes(&r);
			break;
		case 5:
			signals(&r);
			break;
		case 6:
			for (volatile int i = 0; i < 20000; i++)
				;
			break;
		case 7:
			if (!rnd(&r, 6))
				thread_start(&r);
			break;
		}
	}
	ss.ss_flags = SS_DISABLE;
	sigaltstack(&ss, NULL);
	free(ss.ss_sp);
	atomic_fetch_sub(&alive, 1);
	return NULL;
}

static void set_up(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
	char name[] = "stress.XXXXXX";
	int i;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sa.sa_sigaction = on_signal;
	sa.sa_flags = SA_SIGINFO | SA_RESTART;
	for (i = 0; i < 4; i++)
		sigaction(SIGRTMIN + 2 + i, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGUSR2, &sa, NULL);
	arena = mmap((void *)ARENA_AT, ARENA, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	file = mkstemp(name);
	unlink(name);
	devnull = open("/dev/null", O_WRONLY);
	if (arena == MAP_FAILED || file < 0 || devnull < 0 || ftruncate(file, 16 * PAGE) ||
	    pipe(pipefd))
		_exit(91);
}

int main(int argc, char **argv)
{
	struct rnd r = {.s = argc > 1 ? strtoull(argv[1], NULL, 0) : 1};
	int bodies = argc > 2 ? atoi(argv[2]) : 300;

	if (argc > 3)
		threads = atoi(argv[3]);
	set_up();
	while (atomic_load(&started) < bodies) {
		while (atomic_load(&alive) < threads)
			thread_start(&r);
		usleep(1000);
	}
	if (write(1, "alive\n", 6) < 0)
		return 1;
	if (rnd(&r, 2))
		_exit(0); /* with all others at work */
	atomic_store(&stop, 1);
	while (atomic_load(&alive))
		usleep(1000);
	return 0;
}
