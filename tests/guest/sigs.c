/* Signals: handlers, masks, queues, stacks, restarts, faults. Prints only what is deterministic. */
#include <errno.h>
#include <pthread.h>
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
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t hits;
static siginfo_t last;
static sigjmp_buf jump;

static void set(int sig, void (*f)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags};

	sigaction(sig, &sa, NULL);
}

/* A result, with errno when it is -1. */
static void say(const char *what, long r)
{
	printf("%s: %ld errno %d\n", what, r, r == -1 ? errno : 0);
}

static void on_hit(int sig, siginfo_t *si, void *uc)
{
	last = *si;
	hits++;
}

static void test_kill(void)
{
	union sigval v = {.sival_int = 1234};
	struct sigaction old;

	set(SIGUSR1, on_hit, 0);
	kill(getpid(), SIGUSR1);
	printf("kill: hits %d sig %d code %d pid %d\n", hits, last.si_signo, last.si_code,
	       last.si_pid == getpid());
	raise(SIGUSR1);
	printf("raise: hits %d code %d\n", hits, last.si_code);
	sigqueue(getpid(), SIGUSR1, v);
	printf("sigqueue: hits %d code %d value %d\n", hits, last.si_code, last.si_value.sival_int);
	sigaction(SIGUSR1, NULL, &old);
	printf("old: %d flags %x\n", old.sa_sigaction == on_hit,
	       (unsigned)old.sa_flags & SA_SIGINFO);
	say("kill 0", kill(getpid(), 0));
	say("kill none", kill(999999, 0));
	say("bad sig", kill(getpid(), 65));
	say("sigaction KILL", sigaction(SIGKILL, &old, NULL));
}

static void test_mask(void)
{
	sigset_t s, p, o;

	hits = 0;
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigaddset(&s, SIGRTMIN);
	sigaddset(&s, SIGRTMIN + 1);
	set(SIGRTMIN, on_hit, 0);
	set(SIGRTMIN + 1, on_hit, 0);
	sigprocmask(SIG_BLOCK, &s, &o);
	raise(SIGUSR1);
	raise(SIGUSR1);
	sigpending(&p);
	printf("blocked: hits %d pending %d %d\n", hits, sigismember(&p, SIGUSR1),
	       sigismember(&p, SIGUSR2));
	sigprocmask(SIG_SETMASK, &o, NULL);
	printf("unblocked: hits %d\n", hits);
	sigprocmask(SIG_BLOCK, &s, NULL);
	for (int i = 0; i < 3; i++) {
		sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + i});
		sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
	}
	struct timespec zero = {0, 0};
	siginfo_t si;
	int r;

	while ((r = sigtimedwait(&s, &si, &zero)) > 0)
		printf("queued: rt+%d value %d\n", r - SIGRTMIN, si.si_value.sival_int);
	printf("empty: %d %d\n", r, errno);
	struct timespec ms = {0, 20000000};

	r = sigtimedwait(&s, &si, &ms);
	printf("timed out: %d %d\n", r, errno);
	sigprocmask(SIG_SETMASK, &o, NULL);
}

static void on_nested(int sig, siginfo_t *si, void *uc)
{
	sigset_t m;

	sigprocmask(SIG_BLOCK, NULL, &m);
	printf("in handler: self %d usr2 %d saved self %d\n", sigismember(&m, SIGUSR1),
	       sigismember(&m, SIGUSR2), sigismember(&((ucontext_t *)uc)->uc_sigmask, SIGUSR1));
	if (hits++ == 0)
		raise(SIGUSR1);
	printf("leaving %d\n", hits);
}

static void test_nesting(void)
{
	struct sigaction sa = {.sa_sigaction = on_nested, .sa_flags = SA_SIGINFO};
	struct sigaction now;

	sigaddset(&sa.sa_mask, SIGUSR2);
	hits = 0;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	hits = 0;
	sa.sa_flags |= SA_NODEFER | SA_RESETHAND;
	sigaction(SIGUSR1, &sa, NULL);
	signal(SIGUSR1, SIG_IGN);
	sigaction(SIGUSR1, &sa, NULL);
	hits = 1;
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &now);
	printf("reset: %d\n", now.sa_handler == SIG_DFL);
}

static char alt[65536];

static void on_alt(int sig, siginfo_t *si, void *uc)
{
	char here;
	stack_t ss;

	sigaltstack(NULL, &ss);
	printf("on alt stack: %d flags %d\n", &here > alt && &here < alt + sizeof(alt),
	       ss.ss_flags);
	ss.ss_flags = SS_DISABLE;
	say("change on it", sigaltstack(&ss, NULL));
}

static void on_disarm(int sig, siginfo_t *si, void *uc)
{
	char here;
	stack_t ss;

	sigaltstack(NULL, &ss);
	printf("autodisarm: on %d flags %d\n", &here > alt && &here < alt + sizeof(alt),
	       ss.ss_flags);
}

static void test_altstack(void)
{
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)}, old;

	printf("altstack: %d\n", sigaltstack(&ss, &old));
	printf("was: flags %d\n", old.ss_flags);
	set(SIGUSR1, on_alt, SA_ONSTACK);
	raise(SIGUSR1);
	ss.ss_flags = (int)(1u << 31);
	sigaltstack(&ss, NULL);
	set(SIGUSR1, on_disarm, SA_ONSTACK);
	raise(SIGUSR1);
	sigaltstack(NULL, &old);
	printf("armed again: %d %d\n", old.ss_sp == alt, old.ss_flags == (int)(1u << 31));
	ss.ss_size = 100;
	ss.ss_flags = 0;
	say("small", sigaltstack(&ss, NULL));
	ss.ss_flags = SS_DISABLE;
	sigaltstack(&ss, NULL);
}

static void on_fault(int sig, siginfo_t *si, void *ucp)
{
	ucontext_t *uc = ucp;

	last = *si;
	last.si_errno = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
	siglongjmp(jump, 1);
}

static void fault(const char *name, void (*f)(void *), void *arg)
{
	if (!sigsetjmp(jump, 1)) {
		f(arg);
		printf("%s: no fault\n", name);
		return;
	}
	printf("%s: sig %d code %d trap %d addr %s\n", name, last.si_signo, last.si_code,
	       last.si_errno,
	       !last.si_addr	     ? "0"
	       : last.si_addr == arg ? "arg"
				     : "other");
}

static void do_write(void *p)
{
	*(volatile char *)p = 1;
}
static void do_read(void *p)
{
	(void)*(volatile char *)p;
}
static void do_ud(void *p)
{
	__asm__ volatile("ud2");
}
static void do_hlt(void *p)
{
	__asm__ volatile("hlt");
}
static void do_int3(void *p)
{
	__asm__ volatile("int3");
}
static void do_jump(void *p)
{
	((void (*)(void))p)();
}
static void do_div(void *p)
{
	int q, r = 0;

	__asm__ volatile("idivl %3" : "=a"(q), "+d"(r) : "a"(1), "r"(0));
}

static void test_faults(void)
{
	char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

	for (unsigned i = 0; i < 5; i++)
		set(sigs[i], on_fault, SA_NODEFER);
	fault("null", do_write, (void *)16);
	fault("read-only", do_write, ro + 8);
	fault("none", do_read, none + 5);
	fault("not exec", do_jump, ro);
	fault("upper half", do_read, (void *)0xffffffff80000000ul);
	fault("jump up", do_jump, (void *)0xffffffff90000000ul);
	fault("non-canonical", do_read, (void *)0x8000000000000000ul);
	fault("ud2", do_ud, NULL);
	fault("hlt", do_hlt, NULL);
	fault("int3", do_int3, NULL);
	fault("div", do_div, NULL);
	munmap(ro, 4096);
	munmap(none, 4096);
}

static void *interrupter(void *arg)
{
	usleep(50000);
	pthread_kill(*(pthread_t *)arg, SIGUSR2);
	usleep(50000);
	if (write(*(int *)((char *)arg + sizeof(pthread_t)), "x", 1) < 0)
		perror("write");
	return NULL;
}

static void test_restart(void)
{
	struct {
		pthread_t main;
		int fd;
	} a = {pthread_self(), -1};
	int p[2], r, flags[2] = {SA_RESTART, 0};
	pthread_t th;
	char c;

	for (int i = 0; i < 2; i++) {
		if (pipe(p))
			return;
		a.fd = p[1];
		hits = 0;
		set(SIGUSR2, on_hit, flags[i]);
		pthread_create(&th, NULL, interrupter, &a);
		errno = 0;
		r = (int)read(p[0], &c, 1);
		printf("read %s: %d errno %d hits %d\n", i ? "plain" : "restart", r, errno, hits);
		pthread_join(th, NULL);
		close(p[0]);
		close(p[1]);
	}
	struct timespec req = {10, 0}, rem = {0, 0};

	if (pipe(p))
		return;
	a.fd = p[1];
	pthread_create(&th, NULL, interrupter, &a);
	r = nanosleep(&req, &rem);
	printf("nanosleep: %d errno %d left %d\n", r, errno, rem.tv_sec == 9);
	pthread_join(th, NULL);
	sigset_t none;

	sigemptyset(&none);
	hits = 0;
	pthread_create(&th, NULL, interrupter, &a);
	r = sigsuspend(&none);
	printf("sigsuspend: %d errno %d hits %d\n", r, errno, hits);
	pthread_join(th, NULL);
	pthread_create(&th, NULL, interrupter, &a);
	r = pause();
	printf("pause: %d errno %d\n", r, errno);
	pthread_join(th, NULL);
}

static void *waiter(void *arg)
{
	sigset_t s;
	int sig = 0;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigwait(&s, &sig);
	return (void *)(intptr_t)sig;
}

static void test_threads(void)
{
	sigset_t s;
	pthread_t th;
	void *ret;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	set(SIGUSR1, on_hit, 0);
	hits = 0;
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	pthread_create(&th, NULL, waiter, NULL);
	usleep(30000);
	kill(getpid(), SIGUSR1);
	pthread_join(th, &ret);
	printf("sigwait in a thread: %d hits %d\n", (int)(intptr_t)ret, hits);
	pthread_sigmask(SIG_UNBLOCK, &s, NULL);
	say("tgkill", syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	printf("hits %d code %d\n", hits, last.si_code);
	say("tgkill none", syscall(SYS_tgkill, getpid(), 999999, SIGUSR1));
}

static void on_modify(int sig, siginfo_t *si, void *ucp)
{
	ucontext_t *uc = ucp;

	uc->uc_mcontext.gregs[REG_RAX] = 77;
	uc->uc_mcontext.gregs[REG_RIP] += 2;
}

static void on_forever(int sig, siginfo_t *si, void *ucp)
{
	ucontext_t *uc = ucp;

	uc->uc_mcontext.gregs[REG_EFL] |= 0x3000 | 0x4000 | 0x20000; /* IOPL NT VM: filtered */
	uc->uc_mcontext.gregs[REG_EFL] |= 0x1;			     /* carry: taken */
}

static void test_context(void)
{
	long rax;
	unsigned long fl;

	set(SIGILL, on_modify, 0);
	__asm__ volatile("mov $1, %%eax; ud2" : "=a"(rax));
	printf("changed rax: %ld\n", rax);
	set(SIGUSR1, on_forever, 0);
	syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
	__asm__ volatile("pushfq; pop %0" : "=r"(fl));
	printf("iopl %lx\n", fl & 0x3000);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	test_kill();
	test_mask();
	test_nesting();
	test_altstack();
	test_faults();
	test_restart();
	test_threads();
	test_context();
	signal(SIGPIPE, SIG_IGN);
	int p[2];

	if (pipe(p))
		return 1;
	close(p[0]);
	say("epipe", write(p[1], "x", 1));
	signal(SIGPIPE, SIG_DFL);
	if (write(p[1], "x", 1) < 0)
		printf("not reached\n");
	return 0;
}
