/* Signals between processes and threads: queues, limits, stops, what fork and exec keep, the end of
 * threads. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void drop_capabilities(void)
{
	struct {
		unsigned version;
		int pid;
	} hdr = {0x20080522, 0};
	unsigned data[6] = {0};

	syscall(SYS_capset, &hdr, data);
	prctl(PR_SET_DUMPABLE, 1);
}

static sigset_t set_of(int a, int b)
{
	sigset_t s;

	sigemptyset(&s);
	if (a)
		sigaddset(&s, a);
	if (b)
		sigaddset(&s, b);
	return s;
}

static void block(int a, int b)
{
	sigset_t s = set_of(a, b);

	sigprocmask(SIG_BLOCK, &s, NULL);
}

static int take(int sig, siginfo_t *si, long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
	sigset_t s = set_of(sig, 0);

	memset(si, 0, sizeof(*si));
	return sigtimedwait(&s, si, &ts);
}

struct kact {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask;
};

static volatile int count;
static siginfo_t last;

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
	last = *si;
	count++;
}

static void install(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};

	sigaction(sig, &sa, NULL);
	count = 0;
}

static void test_action(void)
{
	struct kact k = {.handler = SIG_IGN, .flags = 0xf8000fff, .mask = ~0ul}, old;

	SAY(syscall(SYS_rt_sigaction, SIGUSR2, &k, NULL, 8));
	SAY(syscall(SYS_rt_sigaction, SIGUSR2, NULL, &old, 8));
	printf("flags %lx mask %lx\n", old.flags, old.mask);
	SAY(syscall(SYS_rt_sigaction, SIGUSR2, NULL, &old, 16));
	SAY(syscall(SYS_rt_sigaction, 0, NULL, &old, 8));
	SAY(syscall(SYS_rt_sigaction, 65, NULL, &old, 8));
	SAY(syscall(SYS_rt_sigaction, SIGKILL, NULL, &old, 8));
	SAY(syscall(SYS_rt_sigaction, SIGSTOP, &k, NULL, 8));
	signal(SIGUSR2, SIG_DFL);
}

static void test_queue(void)
{
	struct rlimit r = {5, 5}, was;
	union sigval v;
	siginfo_t si;
	int i;

	block(SIGRTMIN + 2, SIGRTMIN + 3);
	for (i = 0; i < 3; i++) {
		v.sival_int = i;
		sigqueue(getpid(), SIGRTMIN + 3, v);
		sigqueue(getpid(), SIGRTMIN + 2, v);
	}
	for (i = 0; i < 6; i++) {
		sigset_t both = set_of(SIGRTMIN + 2, SIGRTMIN + 3);
		int sig = sigwaitinfo(&both, &si);

		printf("+%d value %d code %d pid %d uid %d\n", sig - SIGRTMIN, si.si_value.sival_int,
		       si.si_code, si.si_pid == getpid(), si.si_uid == getuid());
	}
	getrlimit(RLIMIT_SIGPENDING, &was);
	r.rlim_max = was.rlim_max;
	SAY(setrlimit(RLIMIT_SIGPENDING, &r));
	for (i = 0; i < 7 && !sigqueue(getpid(), SIGRTMIN + 2, v); i++)
		;
	printf("at most five %d then %s\n", i <= 5, strerrorname_np(errno));
	SAY(kill(getpid(), SIGRTMIN + 3)); /* without a place in the queue, but sent */
	for (i = 0; take(SIGRTMIN + 2, &si, 0) > 0; i++)
		;
	printf("taken %d\n", i <= 5);
	SAY(take(SIGRTMIN + 3, &si, 0) == SIGRTMIN + 3);
	setrlimit(RLIMIT_SIGPENDING, &was);
	SAY(sigqueue(getpid(), 65, v));
	SAY(sigqueue(999999, 0, v));
	SAY(sigqueue(getpid(), 0, v));
}

static void test_made_up(void)
{
	siginfo_t si = {.si_code = SI_USER};
	pid_t p = fork();
	int st;

	if (!p) {
		pause();
		_exit(0);
	}
	SAY(syscall(SYS_rt_sigqueueinfo, p, SIGUSR1, &si));
	si.si_code = SI_TKILL;
	SAY(syscall(SYS_rt_sigqueueinfo, p, SIGUSR1, &si));
	si.si_code = SI_KERNEL;
	SAY(syscall(SYS_rt_tgsigqueueinfo, p, p, SIGUSR1, &si));
	SAY(syscall(SYS_rt_tgsigqueueinfo, getpid(), p, SIGUSR1, &si));
	si.si_code = SI_QUEUE;
	SAY(syscall(SYS_rt_tgsigqueueinfo, getpid(), p, SIGUSR1, &si));
	SAY(syscall(SYS_rt_tgsigqueueinfo, p, p, 65, &si));
	SAY(syscall(SYS_rt_tgsigqueueinfo, -1, p, SIGUSR1, &si));
	SAY(syscall(SYS_rt_sigqueueinfo, p, SIGUSR1, 8));
	SAY(syscall(SYS_tgkill, p, getpid(), SIGUSR1));
	SAY(syscall(SYS_tgkill, 0, p, SIGUSR1));
	SAY(syscall(SYS_tkill, 0, SIGUSR1));
	SAY(syscall(SYS_tkill, 999999, SIGUSR1));
	SAY(syscall(SYS_rt_tgsigqueueinfo, p, p, SIGUSR1, &si));
	waitpid(p, &st, 0);
	printf("ended by %d\n", WTERMSIG(st));
	block(SIGUSR1, 0);
	si.si_code = 77;
	si.si_value.sival_int = 99;
	SAY(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &si)); /* to itself anything goes */
	SAY(take(SIGUSR1, &si, 0) == SIGUSR1);
	printf("code %d\n", si.si_code);
}

static void *exit_late(void *arg)
{
	usleep(50000);
	syscall(SYS_exit, 5);
	return NULL;
}

static void test_leader(void)
{
	pthread_t th;
	siginfo_t si;
	int st;
	pid_t p;

	fflush(stdout);
	p = fork();
	if (!p) {
		pthread_create(&th, NULL, exit_late, NULL);
		syscall(SYS_exit, 3);
	}
	waitid(P_PID, p, &si, WEXITED | WNOWAIT);
	SAY(kill(p, SIGKILL));
	SAY(kill(p, 0));
	usleep(10000);
	waitpid(p, &st, 0);
	printf("exit %d signal %d\n", WEXITSTATUS(st), WTERMSIG(st));
	SAY(kill(p, 0));
	p = fork();
	if (!p) {
		pthread_create(&th, NULL, exit_late, NULL);
		usleep(1000);
		syscall(SYS_exit, 3);
	}
	usleep(20000);
	SAY(kill(p, SIGTERM)); /* the other thread takes it */
	waitpid(p, &st, 0);
	printf("exit %d signal %d\n", WEXITSTATUS(st), WTERMSIG(st));
}

static int death_pipe[2];

static void *fork_and_end(void *arg)
{
	pid_t p = fork();
	siginfo_t si;

	if (!p) {
		block(SIGRTMIN + 5, 0);
		prctl(PR_SET_PDEATHSIG, SIGRTMIN + 5);
		if (write(death_pipe[1], "r", 1) != 1)
			_exit(1);
		int r = take(SIGRTMIN + 5, &si, 5000);

		dprintf(death_pipe[1], "signal +%d code %d from parent %d\n", r - SIGRTMIN, si.si_code,
			si.si_pid == getppid());
		_exit(0);
	}
	while (read(death_pipe[0], arg, 1) != 1)
		;
	return (void *)(intptr_t)p;
}

static void test_pdeathsig(void)
{
	char c[100] = "";
	pthread_t th;
	int st;

	SAY(pipe(death_pipe));
	SAY(prctl(PR_SET_PDEATHSIG, 65));
	pthread_create(&th, NULL, fork_and_end, c);
	pthread_join(th, NULL);
	wait(&st);
	memset(c, 0, sizeof(c));
	if (read(death_pipe[0], c, 99) > 0)
		printf("%s", c);
}

static void test_fork_exec(const char *self)
{
	sigset_t s;
	pid_t p;
	int st;

	block(SIGUSR1, SIGUSR2);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, exit);
	raise(SIGUSR1);
	fflush(stdout);
	p = fork();
	if (!p) {
		sigpending(&s);
		printf("child: pending %d", sigismember(&s, SIGUSR1));
		sigprocmask(SIG_BLOCK, NULL, &s);
		printf(" blocked %d\n", sigismember(&s, SIGUSR2));
		raise(SIGUSR2);
		fflush(stdout);
		execl(self, self, "exec", NULL);
		_exit(1);
	}
	waitpid(p, &st, 0);
	siginfo_t si;

	take(SIGUSR1, &si, 0);
	signal(SIGHUP, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
}

static void after_exec(void)
{
	sigset_t s;
	struct sigaction sa;

	sigpending(&s);
	printf("exec: pending %d %d", sigismember(&s, SIGUSR1), sigismember(&s, SIGUSR2));
	sigprocmask(SIG_BLOCK, NULL, &s);
	printf(" blocked %d", sigismember(&s, SIGUSR2));
	sigaction(SIGHUP, NULL, &sa);
	printf(" ignored %d", sa.sa_handler == SIG_IGN);
	sigaction(SIGTERM, NULL, &sa);
	printf(" default %d\n", sa.sa_handler == SIG_DFL);
}

static void wait_state(pid_t p, int options)
{
	siginfo_t si;

	memset(&si, 0, sizeof(si));
	if (waitid(P_PID, p, &si, options))
		printf("waitid %s\n", strerrorname_np(errno));
	else
		printf("code %d status %d pid %d uid %d\n", si.si_code, si.si_status, si.si_pid == p,
		       si.si_uid == getuid());
}

static volatile int *ready; /* shared with children */

/* Waits until a child has set *ready, and a while for the call after that. */
static void wait_ready(void)
{
	while (!*ready)
		usleep(1000);
	*ready = 0;
	usleep(60000);
}

/* A child that is stopped and goes on in `what`. */
static void stopped_in(const char *name, int (*what)(void))
{
	pid_t p;
	int st;

	fflush(stdout);
	p = fork();
	if (!p) {
		*ready = 1;
		errno = 0;
		st = what() < 0 ? errno : 200;
		usleep(300000); /* so that going on is seen before the end */
		_exit(st);
	}
	wait_ready();
	kill(p, SIGSTOP);
	waitpid(p, &st, WUNTRACED);
	kill(p, SIGCONT);
	waitpid(p, &st, WCONTINUED);
	usleep(600000);
	if (waitpid(p, &st, WNOHANG) == p) {
		printf("%s: %s\n", name, strerrorname_np(WEXITSTATUS(st)));
		return;
	}
	printf("%s: goes on\n", name);
	kill(p, SIGKILL);
	waitpid(p, &st, 0);
}

static int in_epoll(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_create1(0), &e, 1, 5000);
}

static int in_semop(void)
{
	int id = semget(IPC_PRIVATE, 1, 0600);
	struct sembuf b = {0, -1, 0};

	return semop(id, &b, 1);
}

static int in_nanosleep(void)
{
	return nanosleep(&(struct timespec){5, 0}, NULL);
}

static int in_read(void)
{
	int p[2];
	char c;

	return pipe(p) ? -1 : (int)read(p[0], &c, 1);
}

static int in_pause(void)
{
	return pause();
}

static int in_sigwait(void)
{
	siginfo_t si;

	return take(SIGRTMIN + 9, &si, 5000);
}

static int in_futex(void)
{
	static int word;

	return (int)syscall(SYS_futex, &word, 0, 0, &(struct timespec){5, 0}, NULL, 0);
}

static void test_stops(void)
{
	pid_t p;
	int st;

	fflush(stdout);
	p = fork();
	if (!p) {
		install(SIGCONT, 0);
		*ready = 1;
		while (!count)
			usleep(1000);
		usleep(200000);
		_exit(last.si_pid == getppid() ? 7 : 8);
	}
	wait_ready();
	kill(p, SIGSTOP);
	wait_state(p, WSTOPPED);
	SAY(waitpid(p, &st, WNOHANG | WUNTRACED));
	kill(p, SIGCONT);
	wait_state(p, WCONTINUED);
	waitpid(p, &st, 0);
	printf("end %d\n", WEXITSTATUS(st));
	stopped_in("epoll_wait", in_epoll);
	stopped_in("semop", in_semop);
	stopped_in("nanosleep", in_nanosleep);
	stopped_in("read", in_read);
	stopped_in("pause", in_pause);
	stopped_in("sigtimedwait", in_sigwait);
	stopped_in("futex", in_futex);
}

static void test_signalfd(void)
{
	sigset_t s = set_of(SIGRTMIN + 6, 0);
	struct signalfd_siginfo si;
	int fd, st;

	block(SIGRTMIN + 6, 0);
	fd = signalfd(-1, &s, SFD_NONBLOCK);
	raise(SIGRTMIN + 6);
	fflush(stdout);
	if (!fork()) {
		/* what is pending for the parent is not for the child */
		printf("child %zd", read(fd, &si, sizeof(si)));
		printf(" %s", strerrorname_np(errno));
		raise(SIGRTMIN + 6);
		printf(" own %zd pid %d\n", read(fd, &si, sizeof(si)), si.ssi_pid == (unsigned)getpid());
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	printf("parent %zd pid %d\n", read(fd, &si, sizeof(si)), si.ssi_pid == (unsigned)getpid());
	close(fd);
}

static char stack[65536] __attribute__((aligned(16)));
static const char *self_path;

/* Shares the actions with the process that made it, but is one of its own. */
static int with_handlers(void *arg)
{
	struct sigaction sa;

	if (getpid() == *(int *)arg)
		return 1;
	sigaction(SIGUSR1, NULL, &sa);
	if (sa.sa_sigaction != on_signal)
		return 2;
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_DFL);
	sigaction(SIGHUP, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (*((int *)arg + 1))
		execl(self_path, self_path, "exec", NULL);
	return 0;
}

static void test_shared_actions(void)
{
	int arg[2] = {getpid(), 0}, st = -1;
	struct sigaction sa;
	pid_t p;

	for (arg[1] = 0; arg[1] < 2; arg[1]++) {
		install(SIGUSR1, 0);
		install(SIGUSR2, 0);
		fflush(stdout);
		p = clone(with_handlers, stack + sizeof(stack), CLONE_VM | CLONE_SIGHAND | SIGCHLD, arg);
		waitpid(p, &st, 0);
		sigaction(SIGUSR1, NULL, &sa);
		printf("child %x ignored %d", st, sa.sa_handler == SIG_IGN);
		sigaction(SIGUSR2, NULL, &sa);
		printf(" default %d\n", sa.sa_handler == SIG_DFL);
	}
	p = clone(with_handlers, stack + sizeof(stack), CLONE_SIGHAND | SIGCHLD, arg);
	printf("without the memory %s\n", p < 0 ? strerrorname_np(errno) : "made");
	signal(SIGHUP, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
}

static char alt[65536];
static stack_t seen[2];

static void on_alt(int sig, siginfo_t *si, void *ctx)
{
	char here;

	sigaltstack(NULL, &seen[0]);
	seen[1] = ((ucontext_t *)ctx)->uc_stack;
	count += &here >= alt && &here < alt + sizeof(alt);
}

static void test_autodisarm(void)
{
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt), .ss_flags = (int)(1u << 31)};
	struct sigaction sa = {.sa_sigaction = on_alt, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	count = 0;
	sigaction(SIGURG, &sa, NULL);
	SAY(sigaltstack(&ss, NULL));
	raise(SIGURG);
	printf("on it %d inside flags %x size %d saved %x %zu\n", count, (unsigned)seen[0].ss_flags,
	       seen[0].ss_size == 0, (unsigned)seen[1].ss_flags, seen[1].ss_size);
	sigaltstack(NULL, &ss);
	printf("after %x %zu\n", (unsigned)ss.ss_flags, ss.ss_size);
	ss.ss_flags = 4;
	SAY(sigaltstack(&ss, NULL));
	ss.ss_flags = SS_DISABLE;
	SAY(sigaltstack(&ss, NULL));
	SAY(syscall(SYS_sigaltstack, 8, NULL));
	SAY(syscall(SYS_sigaltstack, NULL, 8));
}

static void test_timers_pending(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 7};
	struct itimerspec it = {{0, 0}, {0, 1}};
	sigset_t s;
	timer_t id;

	block(SIGRTMIN + 7, 0);
	timer_create(CLOCK_MONOTONIC, &ev, &id);
	timer_settime(id, 0, &it, NULL);
	usleep(20000);
	sigpending(&s);
	printf("pending %d", sigismember(&s, SIGRTMIN + 7));
	timer_delete(id);
	siginfo_t si;

	take(SIGRTMIN + 7, &si, 0);
	sigpending(&s);
	printf(" %d\n", sigismember(&s, SIGRTMIN + 7));
}

static void test_wait(void)
{
	siginfo_t si;
	sigset_t s = set_of(SIGUSR1, 0);
	struct timespec bad = {0, -1};

	SAY(take(SIGUSR1, &si, 10));
	SAY(sigtimedwait(&s, &si, &bad));
	SAY(syscall(SYS_rt_sigtimedwait, &s, &si, NULL, 4));
	SAY(syscall(SYS_rt_sigtimedwait, 8, &si, NULL, 8));
	raise(SIGUSR1);
	SAY(syscall(SYS_rt_sigtimedwait, &s, NULL, NULL, 8) == SIGUSR1);
	install(SIGALRM, SA_RESTART);
	struct itimerval it = {{0, 0}, {0, 20000}};

	setitimer(ITIMER_REAL, &it, NULL);
	SAY(take(SIGUSR1, &si, 5000));
	printf("handled %d\n", count);
	SAY(syscall(SYS_rt_sigsuspend, &s, 4));
	SAY(syscall(SYS_rt_sigpending, &s, 9));
	SAY(syscall(SYS_rt_sigprocmask, 77, &s, NULL, 8));
	SAY(syscall(SYS_rt_sigprocmask, 77, NULL, &s, 8));
	SAY(syscall(SYS_rt_sigprocmask, 0, 8, NULL, 8));
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		after_exec();
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	drop_capabilities();
	self_path = "/proc/self/exe";
	test_action();
	test_queue();
	test_made_up();
	test_leader();
	test_pdeathsig();
	test_fork_exec("/proc/self/exe");
	test_stops();
	test_shared_actions();
	test_signalfd();
	test_autodisarm();
	test_timers_pending();
	test_wait();
	return 0;
}
