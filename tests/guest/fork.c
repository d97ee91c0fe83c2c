/* Processes: fork, vfork, clone, exit, wait4, waitid, orphans. */
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

static volatile int data = 1;
static volatile int shift = 8;
static char bss[3 * 4096];

/* Waits for any child and tells what became of it, without its number. */
static void tell(const char *what, pid_t expected)
{
	int st = -1;
	pid_t pid = waitpid(expected, &st, WUNTRACED | WCONTINUED);

	printf("%s: ", what);
	if (pid < 0)
		printf("%s\n", strerrorname_np(errno));
	else if (WIFEXITED(st))
		printf("exit %d%s\n", WEXITSTATUS(st), pid == expected ? "" : " (another)");
	else if (WIFSIGNALED(st))
		printf("signal %d\n", WTERMSIG(st));
	else if (WIFSTOPPED(st))
		printf("stopped %d\n", WSTOPSIG(st));
	else if (WIFCONTINUED(st))
		printf("continued\n");
	else
		printf("status %x\n", st);
}

static void memory(void)
{
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int *priv = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int local = 1, go[2], ok[2];
	char c;
	pid_t pid;

	for (int i = 0; i < 256; i++)
		priv[i * 1024] = i;
	pipe(go);
	pipe(ok);
	pid = fork();
	if (!pid) {
		data = local = 2;
		bss[5000] = 2;
		shared[0] = 2;
		for (int i = 0; i < 256; i++)
			priv[i * 1024] += 1000;
		write(ok[1], "x", 1);
		read(go[0], &c, 1);
		_exit(priv[1024] == 1001 && shared[1] == 3 && data == 2 ? 7 : 8);
	}
	read(ok[0], &c, 1);
	printf("after the child wrote: %d %d %d %d %d\n", data, local, bss[5000], shared[0], priv[2048]);
	shared[1] = 3;
	for (int i = 0; i < 256; i++)
		priv[i * 1024] = -1;
	write(go[1], "x", 1);
	tell("memory", pid);
	close(go[0]), close(go[1]), close(ok[0]), close(ok[1]);
}

static void ids(void)
{
	pid_t me = getpid(), pid = fork();

	if (!pid)
		_exit((getppid() == me) | (getpid() != me) << 1 | (getpgrp() == getpgid(me)) << 2 |
		      (getsid(0) == getsid(me)) << 3 | (gettid() == getpid()) << 4);
	tell("ids", pid);
}

static void files(void)
{
	char name[] = "fork-file", buf[8] = "";
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	pid_t pid;

	write(fd, "abcdef", 6);
	lseek(fd, 1, SEEK_SET);
	umask(022);
	pid = fork();
	if (!pid) {
		read(fd, buf, 2);
		umask(077);
		chdir("/");
		close(fd);
		_exit(buf[0] == 'b' && dup(0) == fd ? 0 : 1);
	}
	tell("files", pid);
	read(fd, buf, 2);
	printf("offset is shared: %.2s; umask is not: %o\n", buf, umask(022));
	SAY(access(name, F_OK));
	unlink(name);
	close(fd);
}

static void statuses(void)
{
	static const int codes[] = {0, 1, 255, 256, -1, 0x1234};
	static const int sigs[] = {SIGKILL, SIGTERM, SIGABRT, SIGUSR1, SIGPIPE};
	struct rlimit none = {0, 0};
	pid_t pid;

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		pid = fork();
		if (!pid)
			_exit(codes[i]);
		tell("exit", pid);
	}
	setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < sizeof(sigs) / sizeof(*sigs); i++) {
		pid = fork();
		if (!pid) {
			kill(getpid(), sigs[i]);
			pause();
			_exit(0);
		}
		tell("kill", pid);
	}
	pid = fork();
	if (!pid) {
		*(volatile int *)(uintptr_t)shift = 1;
		_exit(0);
	}
	tell("segv", pid);
}

static void errors(void)
{
	siginfo_t si;
	int st;

	SAY(waitpid(-1, &st, 0));
	SAY(waitpid(getpid(), &st, 0));
	SAY(waitpid(-1, &st, 0x100));
	SAY(syscall(SYS_wait4, INT32_MIN, &st, 0, NULL));
	SAY(waitid(P_ALL, 0, &si, 0));
	SAY(waitid(P_ALL, 0, &si, WEXITED | 0x100));
	SAY(waitid(P_PID, 0, &si, WEXITED));
	SAY(waitid((idtype_t)77, 0, &si, WEXITED));
	SAY(waitid(P_PGID, -1, &si, WEXITED));
}

static void options(void)
{
	int go[2], st = -1;
	struct rusage ru;
	siginfo_t si;
	pid_t pid;
	char c;

	pipe(go);
	pid = fork();
	if (!pid) {
		read(go[0], &c, 1);
		_exit(9);
	}
	SAY(waitpid(pid, &st, WNOHANG));
	SAY(waitpid(0, &st, WNOHANG));
	SAY(waitpid(-getpgrp(), &st, WNOHANG));
	SAY(waitpid(-999999, &st, WNOHANG));
	SAY(waitpid(pid, &st, WNOHANG | __WCLONE));
	SAY(waitpid(pid, &st, WNOHANG | __WALL));
	memset(&si, 0xff, sizeof(si));
	SAY(waitid(P_PID, pid, &si, WEXITED | WNOHANG));
	printf("nothing yet: pid %d signo %d\n", si.si_pid, si.si_signo);
	write(go[1], "x", 1);
	SAY(waitid(P_PID, pid, &si, WEXITED | WNOWAIT));
	printf("%d %d %d %d %d\n", si.si_pid == pid, si.si_signo == SIGCHLD, si.si_code == CLD_EXITED,
	       si.si_status, si.si_uid == getuid());
	SAY(kill(pid, 0)); /* a zombie is there */
	SAY(kill(pid, SIGKILL));
	SAY(getpgid(pid) == getpgrp());
	SAY(waitid(P_ALL, 0, &si, WSTOPPED | WNOHANG));
	memset(&ru, 0xff, sizeof(ru));
	SAY(wait4(pid, &st, 0, &ru) == pid);
	printf("%d usage %d\n", WEXITSTATUS(st), ru.ru_utime.tv_sec < 10);
	SAY(kill(pid, 0));
	SAY(waitpid(pid, &st, 0));
	close(go[0]), close(go[1]);
	pid = fork();
	if (!pid)
		_exit(0);
	SAY(waitpid(pid, (int *)16, 0)); /* the child is gone all the same */
	SAY(waitpid(pid, NULL, 0));
}

static volatile sig_atomic_t chld;
static siginfo_t chld_info;

static void on_chld(int sig, siginfo_t *si, void *ctx)
{
	chld++;
	chld_info = *si;
}

static void sigchld(void)
{
	struct sigaction sa = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO};
	struct sigaction old;
	sigset_t set, none;
	pid_t pid;

	sigemptyset(&set);
	sigemptyset(&none);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGCHLD, &sa, &old);
	pid = fork();
	if (!pid)
		_exit(3);
	SAY(sigsuspend(&none));
	printf("SIGCHLD %d: %d code %d status %d\n", chld, chld_info.si_pid == pid,
	       chld_info.si_code == CLD_EXITED, chld_info.si_status);
	tell("after it", pid);
	sa.sa_flags |= SA_NOCLDWAIT;
	sigaction(SIGCHLD, &sa, NULL);
	pid = fork();
	if (!pid)
		_exit(3);
	sigsuspend(&none);
	printf("no zombie, but a signal: %d\n", chld);
	tell("wait", pid);
	sigaction(SIGCHLD, &old, NULL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (!pid)
		_exit(3);
	tell("ignored", pid);
	signal(SIGCHLD, SIG_DFL);
}

/* A wait that a handler interrupts. */
static void on_alarm(int sig)
{
}

static void interrupted(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	int go[2];
	char c;
	pid_t pid;

	pipe(go);
	sigaction(SIGALRM, &sa, NULL);
	pid = fork();
	if (!pid) {
		close(go[1]);
		read(go[0], &c, 1);
		_exit(4);
	}
	close(go[0]);
	ualarm(20000, 0);
	SAY(waitpid(pid, NULL, 0));
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, NULL);
	ualarm(20000, 0);
	if (!fork()) {
		usleep(60000);
		write(go[1], "x", 1);
		_exit(5);
	}
	close(go[1]);
	tell("restarted", pid);
	tell("the other", -1);
}

static void stopping(void)
{
	struct sigaction sa = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO | SA_RESTART};
	siginfo_t si;
	int st;
	pid_t pid;

	chld = 0;
	sigaction(SIGCHLD, &sa, NULL);
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	SAY(waitid(P_PID, pid, &si, WSTOPPED | WNOWAIT));
	printf("code %d status %d, handler saw %d\n", si.si_code == CLD_STOPPED, si.si_status, chld);
	tell("stop", pid);
	SAY(waitpid(pid, &st, WUNTRACED | WNOHANG));
	kill(pid, SIGUSR1); /* waits until the child goes on */
	SAY(waitpid(pid, &st, WUNTRACED | WNOHANG));
	kill(pid, SIGCONT);
	SAY(waitpid(pid, &st, 0) == pid);
	printf("end: signal %d\n", WTERMSIG(st));
	chld = 0;
	sa.sa_flags |= SA_NOCLDSTOP;
	sigaction(SIGCHLD, &sa, NULL);
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	tell("stop", pid);
	kill(pid, SIGCONT);
	tell("continue", pid);
	printf("no signals: %d\n", chld);
	kill(pid, SIGSTOP);
	tell("stop", pid);
	kill(pid, SIGKILL);
	tell("killed while stopped", pid);
	signal(SIGCHLD, SIG_DFL);
	for (int i = 0; i < 50; i++) {
		pid = fork();
		if (!pid)
			for (;;)
				pause();
		kill(pid, SIGSTOP);
		kill(pid, SIGCONT);
		kill(pid, SIGTERM);
		while (waitpid(pid, &st, 0) < 0)
			;
		if (!WIFSIGNALED(st))
			printf("lost a continue\n");
	}
}

static void orphans(void)
{
	int p[2], seen[2];
	pid_t pid, got[3] = {0};

	SAY(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pipe(p);
	pipe(seen);
	pid = fork();
	if (!pid) {
		pid_t me = getpid(), child = fork();

		if (!child) {
			got[0] = getppid() == me;
			write(seen[1], "", 1);
			while (getppid() == me)
				usleep(1000);
			got[1] = getppid();
			write(p[1], got, sizeof(got));
			_exit(21);
		}
		read(seen[0], got, 1);
		_exit(20);
	}
	tell("middle", pid);
	read(p[0], got, sizeof(got));
	printf("grandchild had its parent: %d, has us: %d\n", got[0], got[1] == getpid());
	tell("grandchild", -1);
	SAY(prctl(PR_SET_CHILD_SUBREAPER, 0));
	/* The signal at the parent's end. */
	pid = fork();
	if (!pid) {
		if (!fork()) {
			sigset_t set;
			int sig;

			sigemptyset(&set);
			sigaddset(&set, SIGUSR2);
			sigprocmask(SIG_BLOCK, &set, NULL);
			prctl(PR_SET_PDEATHSIG, SIGUSR2);
			write(p[1], got, 1);
			sigwait(&set, &sig);
			got[0] = sig;
			write(p[1], got, sizeof(got));
			_exit(0);
		}
		read(p[0], got, 1);
		_exit(22);
	}
	tell("parent", pid);
	read(p[0], got, sizeof(got));
	printf("death signal %d\n", got[0]);
	close(p[0]), close(p[1]);
}

static void vforks(void)
{
	volatile int seen = 0;
	pid_t pid = vfork();

	if (!pid) {
		seen = 1;
		usleep(30000);
		_exit(12);
	}
	printf("vfork: the child ran first, in our memory: %d\n", seen);
	tell("vfork", pid);
}

static char stack[65536] __attribute__((aligned(16)));

static int cloned(void *arg)
{
	data = 77;
	_exit((int)(intptr_t)arg);
}

static void clones(void)
{
	struct clone_args ca = {.exit_signal = SIGCHLD};
	int tid = -1, st, fd;
	pid_t pid;

	data = 1;
	pid = clone(cloned, stack + sizeof(stack), CLONE_VM | SIGCHLD, (void *)31);
	tell("clone vm", pid);
	printf("memory is shared: %d\n", data);
	data = 1;
	pid = clone(cloned, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)32);
	printf("and the parent waited: %d\n", data);
	tell("clone vfork", pid);
	pid = clone(cloned, stack + sizeof(stack), 0, (void *)33); /* no signal */
	SAY(waitpid(pid, &st, 0));
	SAY(waitpid(pid, &st, __WCLONE) == pid);
	printf("%d\n", WEXITSTATUS(st));
	pid = clone(cloned, stack + sizeof(stack), CLONE_PARENT_SETTID | SIGCHLD, (void *)34, &tid);
	printf("parent tid %d\n", tid == pid);
	tell("settid", pid);
	fd = dup(0);
	pid = (int)syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		close(fd);
		umask(0123);
		_exit(35);
	}
	tell("clone files", pid);
	SAY(close(fd));
	printf("umask %o\n", umask(022));
	pid = (int)syscall(SYS_clone3, &ca, sizeof(ca));
	if (!pid)
		_exit(36);
	tell("clone3", pid);
	ca.exit_signal = 65;
	SAY(syscall(SYS_clone3, &ca, sizeof(ca)));
	ca.exit_signal = 0;
	ca.flags = SIGCHLD;
	SAY(syscall(SYS_clone3, &ca, sizeof(ca)));
	ca.flags = 0;
	ca.set_tid_size = 40;
	SAY(syscall(SYS_clone3, &ca, sizeof(ca)));
	SAY(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0));
}

static void *thread_fork(void *arg)
{
	pid_t pid = fork();

	if (!pid)
		_exit(getpid() == gettid() ? 41 : 42);
	tell("fork in a thread", pid);
	return NULL;
}

static void *child_of_main(void *arg)
{
	SAY(waitpid(*(pid_t *)arg, NULL, 0) == *(pid_t *)arg);
	return NULL;
}

static void *sleeper(void *arg)
{
	pause();
	return NULL;
}

static void threads(void)
{
	pthread_t th;
	pid_t pid;

	pthread_create(&th, NULL, thread_fork, NULL);
	pthread_join(th, NULL);
	pid = fork();
	if (!pid)
		_exit(0);
	pthread_create(&th, NULL, child_of_main, &pid);
	pthread_join(th, NULL);
	pid = fork();
	if (!pid) {
		pthread_create(&th, NULL, sleeper, NULL);
		pthread_create(&th, NULL, sleeper, NULL);
		usleep(10000);
		_exit(43);
	}
	tell("threads end with their process", pid);
	pid = fork();
	if (!pid) {
		pthread_create(&th, NULL, sleeper, NULL);
		usleep(10000);
		kill(getpid(), SIGTERM);
		pause();
	}
	tell("and by a signal", pid);
}

static void many(void)
{
	int sum = 0, st;

	for (int i = 0; i < 60; i++)
		if (!fork())
			_exit(i);
	while (wait(&st) > 0)
		sum += WEXITSTATUS(st);
	printf("60 children: %d\n", sum);
	for (int i = 0; i < 20; i++) {
		if (!fork()) {
			for (int k = 0; k < 4; k++)
				if (!fork())
					_exit(1);
			for (sum = 0; wait(&st) > 0;)
				sum += WEXITSTATUS(st);
			_exit(sum);
		}
	}
	for (sum = 0; wait(&st) > 0;)
		sum += WEXITSTATUS(st);
	printf("a tree: %d\n", sum);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	errors();
	ids();
	memory();
	files();
	statuses();
	options();
	sigchld();
	interrupted();
	stopping();
	orphans();
	vforks();
	clones();
	threads();
	many();
	return 0;
}
