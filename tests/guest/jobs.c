/* Process groups, sessions, signals between processes. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

static int *shared;

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

static void reap(const char *what, pid_t pid)
{
	int st = 0;

	if (waitpid(pid, &st, 0) < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %s %d\n", what, WIFSIGNALED(st) ? "signal" : "exit",
		       WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st));
}

static void groups(void)
{
	pid_t a = sleeper(), b = sleeper(), c = sleeper();

	SAY(setpgid(a, a));
	SAY(setpgid(b, a));
	printf("%d %d %d\n", getpgid(a) == a, getpgid(b) == a, getpgid(c) == getpgrp());
	SAY(setpgid(c, 999999));
	SAY(setpgid(a, -1));
	SAY(setpgid(999999, 0));
	SAY(setpgid(getppid(), 0) < 0);
	SAY(kill(-a, 0));
	SAY(kill(-999999, SIGTERM));
	SAY(kill(-a, SIGTERM));
	reap("a", a);
	reap("b", b);
	SAY(kill(-a, 0));
	SAY(kill(c, SIGKILL));
	reap("c", c);
	SAY(kill(c, 0));
	SAY(kill(getpid(), 65));
	SAY(kill(999999, 0));
}

static void sessions(void)
{
	pid_t pid = fork();

	if (!pid) {
		pid_t child;

		SAY(setsid() == getpid());
		printf("%d %d\n", getsid(0) == getpid(), getpgrp() == getpid());
		SAY(setsid());
		SAY(setpgid(0, 0));
		child = sleeper();
		printf("child in it: %d %d\n", getsid(child) == getpid(), getpgid(child) == getpid());
		SAY(setpgid(child, child));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		_exit(3);
	}
	reap("session", pid);
	pid = fork();
	if (!pid) {
		setsid();
		shared[0] = 1;
		for (;;)
			pause();
	}
	while (!shared[0])
		usleep(1000);
	SAY(setpgid(pid, getpgrp()));
	SAY(setpgid(pid, pid));
	printf("%d\n", getsid(pid) == pid);
	kill(pid, SIGKILL);
	reap("other session", pid);
}

static void on_usr1(int sig, siginfo_t *si, void *ctx)
{
	shared[1] = si->si_pid == getppid();
	shared[2] = si->si_code;
	shared[3] = si->si_value.sival_int;
	shared[4]++;
}

static void sending(void)
{
	struct sigaction sa = {.sa_sigaction = on_usr1, .sa_flags = SA_SIGINFO};
	pid_t pid;

	memset(shared, 0, 4096);
	pid = fork();
	if (!pid) {
		sigaction(SIGUSR1, &sa, NULL);
		sigaction(SIGRTMIN, &sa, NULL);
		shared[10] = 1;
		while (shared[4] < 3)
			usleep(1000);
		_exit(0);
	}
	while (!shared[10])
		usleep(1000);
	SAY(kill(pid, SIGUSR1));
	while (shared[4] < 1)
		usleep(1000);
	printf("from us %d code %d\n", shared[1], shared[2]);
	SAY(sigqueue(pid, SIGRTMIN, (union sigval){.sival_int = 42}));
	while (shared[4] < 2)
		usleep(1000);
	printf("from us %d code %d value %d\n", shared[1], shared[2], shared[3]);
	SAY(syscall(SYS_tgkill, pid, pid, SIGUSR1));
	reap("receiver", pid);
	printf("code %d\n", shared[2]);
}

/* A write into a pipe whose readers are gone, in a process of its own. */
static void pipes(void)
{
	int p[2], st;
	pid_t pid;
	char c;

	pipe(p);
	pid = fork();
	if (!pid) {
		close(p[0]);
		usleep(20000);
		write(p[1], "x", 1);
		write(p[1], "x", 1);
		_exit(0);
	}
	close(p[1]);
	SAY(read(p[0], &c, 1));
	SAY(read(p[0], &c, 1));
	SAY(read(p[0], &c, 1));
	close(p[0]);
	reap("writer", pid);
	pipe(p);
	pid = fork();
	if (!pid) {
		close(p[0]);
		for (;;)
			write(p[1], "x", 1);
	}
	close(p[0]);
	close(p[1]);
	waitpid(pid, &st, 0);
	printf("broken pipe: signal %d\n", WIFSIGNALED(st) ? WTERMSIG(st) : 0);
}

/* A group whose last parent outside it ends is not stopped by a terminal's signals. */
static void orphaned_group(void)
{
	pid_t pid;

	memset(shared, 0, 4096);
	pid = fork();
	if (!pid) {
		setsid();
		if (!fork()) {
			setpgid(0, 0);
			shared[0] = 1;
			while (!shared[1])
				usleep(1000);
			usleep(20000);
			kill(getpid(), SIGTSTP);
			shared[2] = 1; /* was not stopped */
			_exit(0);
		}
		while (!shared[0])
			usleep(1000);
		shared[1] = 1;
		_exit(0);
	}
	reap("leader", pid);
	for (int i = 0; i < 2000 && !shared[2]; i++)
		usleep(1000);
	printf("orphaned group went on: %d\n", shared[2]);
}

/* Limits of another process. */
static void limits(void)
{
	struct rlimit rl = {.rlim_cur = 77}, old;
	pid_t pid = sleeper();

	getrlimit(RLIMIT_NOFILE, &old);
	rl.rlim_max = old.rlim_max;
	SAY(prlimit(pid, RLIMIT_NOFILE, &rl, NULL));
	SAY(prlimit(pid, RLIMIT_NOFILE, NULL, &rl));
	printf("%lu", (unsigned long)rl.rlim_cur);
	printf(", ours as before: %d\n", !getrlimit(RLIMIT_NOFILE, &rl) && rl.rlim_cur == old.rlim_cur);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	SAY(prlimit(pid, RLIMIT_NOFILE, NULL, &rl));
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	groups();
	sessions();
	sending();
	pipes();
	orphaned_group();
	limits();
	return 0;
}
