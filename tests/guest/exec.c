/* execve and execveat: what the new program gets, what it keeps, and what goes wrong before. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static char *self;
extern char **environ;

static void tell(const char *what, pid_t pid)
{
	int st;

	if (waitpid(pid, &st, 0) != pid)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else if (WIFEXITED(st))
		printf("%s: exit %d\n", what, WEXITSTATUS(st));
	else
		printf("%s: signal %d\n", what, WTERMSIG(st));
}

/* Runs ourselves with these arguments in a child. */
static void run(const char *what, char *const argv[], char *const envp[])
{
	pid_t pid = fork();

	if (!pid) {
		execve(self, argv, envp);
		printf("%s\n", strerrorname_np(errno));
		_exit(99);
	}
	tell(what, pid);
}

static void write_file(const char *name, const char *text, int mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	write(fd, text, strlen(text));
	close(fd);
	chmod(name, (mode_t)mode);
}

static void failures(void)
{
	static char *const none[] = {"x", NULL};
	char *huge = malloc(200000), *many[3] = {"x", huge, NULL};

	SAY(execve("no-such-program", none, none));
	SAY(execve("", none, none));
	SAY(execve(".", none, none));
	SAY(syscall(SYS_execve, 16, none, none));
	SAY(syscall(SYS_execve, self, 16, none));
	SAY(execve(self, (char *[]){(char *)16, NULL}, none));
	write_file("not-executable", "#!/bin/sh\n", 0600);
	SAY(execve("not-executable", none, none));
	write_file("not-elf", "hello\n", 0700);
	SAY(execve("not-elf", none, none));
	write_file("empty", "", 0700);
	SAY(execve("empty", none, none));
	write_file("no-interpreter", "#!/no/such/interpreter\n", 0700);
	SAY(execve("no-interpreter", none, none));
	write_file("loop", "#! loop\n", 0700);
	SAY(execve("loop", none, none));
	write_file("bad-elf", "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\76\0", 0700);
	SAY(execve("bad-elf", none, none));
	SAY(execve("not-elf/x", none, none));
	memset(huge, 'a', 199999);
	huge[199999] = '\0';
	SAY(execve(self, many, none));
	free(huge);
	SAY(syscall(SYS_execveat, AT_FDCWD, self, none, none, 0x8000));
	SAY(syscall(SYS_execveat, 999, "relative", none, none, 0));
	SAY(syscall(SYS_execveat, 999, "", none, none, AT_EMPTY_PATH));
	symlink(self, "link");
	SAY(syscall(SYS_execveat, AT_FDCWD, "link", none, none, AT_SYMLINK_NOFOLLOW));
	printf("still here\n");
}

static void on_usr1(int sig)
{
}

static void set_up_state(void)
{
	struct itimerval it = {.it_value.tv_sec = 100};
	sigset_t set;
	timer_t timer;

	signal(SIGUSR1, on_usr1);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGHUP);
	setitimer(ITIMER_REAL, &it, NULL);
	timer_create(CLOCK_MONOTONIC, NULL, &timer);
	fcntl(0, F_DUPFD_CLOEXEC, 100);
	fcntl(0, F_DUPFD, 200);
	umask(0137);
	prctl(PR_SET_NAME, "other");
	prctl(PR_SET_DUMPABLE, 0);
	mmap((void *)0x10000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* The new program's side of it. */
static int state(void)
{
	struct sigaction sa;
	struct itimerval it;
	struct itimerspec its;
	sigset_t set;
	char name[16];

	sigaction(SIGUSR1, NULL, &sa);
	printf("handler is default: %d\n", sa.sa_handler == SIG_DFL);
	sigaction(SIGUSR2, NULL, &sa);
	printf("ignored stays: %d\n", sa.sa_handler == SIG_IGN);
	sigprocmask(SIG_BLOCK, NULL, &set);
	printf("mask: %d %d %d\n", sigismember(&set, SIGTERM), sigismember(&set, SIGHUP),
	       sigismember(&set, SIGINT));
	sigpending(&set);
	printf("pending: %d\n", sigismember(&set, SIGHUP));
	getitimer(ITIMER_REAL, &it);
	printf("interval timer stays: %d\n", it.it_value.tv_sec > 10);
	SAY(syscall(SYS_timer_gettime, 0, &its));
	SAY(fcntl(100, F_GETFD));
	SAY(fcntl(200, F_GETFD));
	printf("umask %o\n", umask(0));
	prctl(PR_GET_NAME, name);
	printf("name %s\n", name);
	SAY(prctl(PR_GET_DUMPABLE));
	SAY(msync((void *)0x10000000, 4096, MS_ASYNC));
	printf("leader: %d\n", getpid() == gettid());
	printf("execfn %s\n", strrchr((char *)getauxval(AT_EXECFN), '/'));
	return 23;
}

static int print_args(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		printf("arg %d: %s\n", i, argv[i]);
	for (char **e = environ; *e; e++)
		printf("env: %s\n", *e);
	return argc;
}

static void *exec_here(void *arg)
{
	execve(self, (char *[]){self, "threads", NULL}, environ);
	return NULL;
}

static void *spin(void *arg)
{
	for (;;)
		__asm__ volatile("pause");
	return NULL;
}

static void *block(void *arg)
{
	pause();
	return NULL;
}

static void from_threads(void)
{
	pthread_t th;
	pid_t pid = fork();

	if (!pid) {
		pthread_create(&th, NULL, spin, NULL);
		pthread_create(&th, NULL, block, NULL);
		exec_here(NULL);
	}
	tell("exec by the leader", pid);
	pid = fork();
	if (!pid) {
		pthread_create(&th, NULL, block, NULL);
		pthread_create(&th, NULL, exec_here, NULL);
		pause();
		_exit(1);
	}
	tell("exec by another thread", pid);
	pid = vfork();
	if (!pid) {
		execve(self, (char *[]){self, "threads", NULL}, environ);
		_exit(1);
	}
	tell("exec after vfork", pid);
}

static int count_threads(const char *pid)
{
	printf("leader %d\n", getpid() == gettid());
	return 24;
}

static void scripts(void)
{
	char text[300];
	pid_t pid;

	snprintf(text, sizeof(text), "#!%s args one two\nrest\n", self);
	write_file("script", text, 0700);
	pid = fork();
	if (!pid) {
		execve("./script", (char *[]){"zero", "a", "b", NULL}, (char *[]){"X=1", NULL});
		_exit(99);
	}
	tell("script", pid);
	pid = fork();
	if (!pid) {
		int fd = open(self, O_RDONLY | O_CLOEXEC);

		syscall(SYS_execveat, fd, "", (char *[]){"zero", "args", "fd", NULL}, (char *[]){NULL},
			AT_EMPTY_PATH);
		_exit(99);
	}
	tell("execveat of a descriptor", pid);
	pid = fork();
	if (!pid) {
		int fd = open(".", O_RDONLY | O_DIRECTORY);

		syscall(SYS_execveat, fd, strrchr(self, '/') + 1,
			(char *[]){"zero", "args", "relative", NULL}, (char *[]){NULL}, 0);
		_exit(99);
	}
	tell("execveat relative", pid);
}

static void big_args(void)
{
	size_t n = 3000;
	char **v = calloc(n + 3, sizeof(*v)), *str = malloc(101);

	memset(str, 'x', 100);
	str[100] = '\0';
	v[0] = self;
	v[1] = "count";
	for (size_t i = 0; i < n; i++)
		v[i + 2] = str;
	run("3000 arguments", v, environ);
	run("no arguments", (char *[]){NULL}, (char *[]){NULL});
	free(v);
	free(str);
}

static void chain(int n)
{
	char num[16];

	snprintf(num, sizeof(num), "%d", n - 1);
	execve(self, (char *[]){self, "chain", num, NULL}, environ);
}

int main(int argc, char **argv)
{
	pid_t pid;

	setvbuf(stdout, NULL, _IONBF, 0);
	self = (char *)getauxval(AT_EXECFN);
	if (argc == 1 && !argv[0][0])
		return 77;
	if (argc > 1 && !strcmp(argv[1], "state"))
		return state();
	if (argc > 1 && !strcmp(argv[1], "args"))
		return print_args(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "args one two")) {
		printf("script argument: %s, %s %s %s\n", argv[1], argv[2], argv[3], argv[4]);
		return argc;
	}
	if (argc > 1 && !strcmp(argv[1], "threads"))
		return count_threads(argv[2]);
	if (argc > 1 && !strcmp(argv[1], "count"))
		return argc == 3002 ? 55 : 1;
	if (argc > 2 && !strcmp(argv[1], "chain")) {
		if (atoi(argv[2]) == 0)
			return 66;
		chain(atoi(argv[2]));
		return 1;
	}
	failures();
	run("args", (char *[]){self, "args", "a", "", "b c", NULL}, (char *[]){"A=1", "B=", NULL});
	pid = fork();
	if (!pid) {
		set_up_state();
		execve(self, (char *[]){self, "state", NULL}, environ);
		_exit(1);
	}
	tell("state", pid);
	from_threads();
	scripts();
	big_args();
	run("a chain of programs", (char *[]){self, "chain", "20", NULL}, environ);
	return 0;
}
