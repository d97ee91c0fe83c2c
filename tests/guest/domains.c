/* Programs with rules of their own, and what they try to get out of them. Run by domains.t under domains.pol
 * as "domains all": there `inner`, `deep` and `limited` are other names of this program, which a section of
 * the policy narrows. Without arguments it says nothing: natively there is nothing to see. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, const char *result)
{
	printf("%s: %s\n", what, result);
	fflush(stdout);
}

static const char *word(long r)
{
	return r >= 0 ? "done" : strerrorname_np(errno);
}

static void try_open(const char *what, const char *path, int flags)
{
	int fd = open(path, flags);

	say(what, word(fd));
	if (fd >= 0)
		close(fd);
}

/* ---- starting ---- */

static int wait_for(pid_t pid)
{
	int st = 0;

	if (pid < 0 || waitpid(pid, &st, 0) != pid)
		return -1;
	return WIFSIGNALED(st) ? 1000 + WTERMSIG(st) : WEXITSTATUS(st);
}

static int start(const char *path, const char *mode, const char *arg)
{
	const char *argv[] = {path, mode, arg, NULL};
	pid_t pid = fork();

	if (pid == 0) {
		execv(path, (char **)argv);
		_exit(errno == EPERM ? 101 : 102);
	}
	return wait_for(pid);
}

static void report(const char *what, int status)
{
	char text[64];

	snprintf(text, sizeof(text), status >= 1000 ? "signal %d" : "status %d",
		 status >= 1000 ? status - 1000 : status);
	say(what, text);
}

/* ---- what a program may do ---- */

/* One line that tells which sections a process is in. */
static void probe(const char *who)
{
	bool inner, deep;
	int fd = open("secret", O_RDONLY);

	inner = fd < 0;
	if (fd >= 0)
		close(fd);
	deep = syscall(SYS_getppid) < 0; /* refused without leaving the guest, where it can be */
	printf("%s:%s%s%s\n", who, inner ? " inner" : "", deep ? " deep" : "", inner || deep ? "" : " free");
	fflush(stdout);
}

static void others(pid_t parent)
{
	char path[64], byte;
	struct rlimit lim;
	struct iovec iov = {&byte, 1};
	cpu_set_t cpus;
	int pidfd, fd;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	say("kill of a freer process", word(kill(parent, SIGUSR1)));
	say("kill with 0", word(kill(parent, 0)));
	say("SIGCONT in the session", word(kill(parent, SIGCONT)));
	say("tgkill", word(syscall(SYS_tgkill, parent, parent, SIGUSR1)));
	pidfd = (int)syscall(SYS_pidfd_open, parent, 0);
	say("pidfd_send_signal", word(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0)));
	say("pidfd_getfd", word(syscall(SYS_pidfd_getfd, pidfd, 1, 0)));
	say("ptrace", syscall(SYS_ptrace, 16, parent, 0, 0) < 0 ? "refused" : "done");
	say("process_vm_readv", word(process_vm_readv(parent, &iov, 1, &iov, 1, 0)));
	say("kcmp", word(syscall(SYS_kcmp, parent, getpid(), 0, 0, 0)));
	say("prlimit", word(prlimit(parent, RLIMIT_NOFILE, NULL, &lim)));
	say("setpriority", word(setpriority(PRIO_PROCESS, (id_t)parent, 5)));
	say("sched_setaffinity", word(sched_setaffinity(parent, sizeof(cpus), &cpus)));
	snprintf(path, sizeof(path), "/proc/%d/environ", parent);
	fd = open(path, O_RDONLY);
	say("environ", fd < 0 ? word(fd) : word(read(fd, &byte, 1)));
	snprintf(path, sizeof(path), "/proc/%d/fd/9", parent);
	try_open("a pipe of it", path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/cwd/secret", parent);
	try_open("its working directory", path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/mem", parent);
	say("its memory", open(path, O_RDWR) < 0 ? "refused" : "done");
	snprintf(path, sizeof(path), "/proc/%d/stat", parent);
	try_open("its state", path, O_RDONLY);
}

static void inside(void)
{
	char byte = 0;

	probe("inner");
	try_open("read of what the section denies", "secret", O_RDONLY);
	try_open("read of the rest", "plain", O_RDONLY);
	say("an inherited descriptor", read(8, &byte, 1) == 1 ? "done" : "refused");
	say("its file again, by /proc/self/fd", word(open("/proc/self/fd/8", O_RDONLY)));
	say("mkdir", word(mkdir("new", 0700)));
	say("link to another name", word(link("secret", "plain2")));
	say("rename", word(rename("secret", "plain2")));
	if (fork() == 0) {
		probe("child");
		_exit(0);
	}
	wait(NULL);
	report("exec of what the policy runs as self", start("./domains", "probe", "domains again"));
	report("exec of what the section does not list", start("./other", "probe", "other"));
	report("exec of a deeper one", start("./deep", "probe", "deep in inner"));
}

/* ---- threads, vfork, races ---- */

static void *exec_thread(void *arg)
{
	execl("./inner", "inner", "probe", "thread that called execve", NULL);
	return NULL;
}

static void from_a_thread(void)
{
	pthread_t t;

	if (fork() == 0) {
		pthread_create(&t, NULL, exec_thread, NULL);
		pause();
	}
	wait(NULL);
}

static void by_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl("./inner", "inner", "probe", "vfork", NULL);
		_exit(1);
	}
	wait_for(pid);
	probe("its parent");
}

static char racing[] = "permitted";
static volatile int stop;

static void *flip(void *arg)
{
	while (!stop) {
		memcpy(racing, "forbidden", 9);
		memcpy(racing, "permitted", 9);
	}
	return NULL;
}

/* What is checked is what the program gets, however the caller's memory changes. */
static void race(void)
{
	char *argv[] = {"inner", racing, NULL};
	int bad = 0, ran = 0, status;
	pthread_t t;

	for (int i = 0; i < 40; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			pthread_create(&t, NULL, flip, NULL);
			for (int k = 0; k < 50; k++)
				execv("./inner", argv);
			_exit(0);
		}
		status = wait_for(pid);
		ran += status == 70;
		bad += status == 66;
	}
	say("forbidden arguments that a program saw", bad ? "some" : "none");
	say("programs that ran meanwhile", ran ? "some" : "none");
}

static void by_descriptor(void)
{
	char *argv[] = {"inner", "probe", "fexecve", NULL}, *env[] = {NULL}, buf[4096];
	int fd = open("./inner", O_RDONLY | O_CLOEXEC), mem = memfd_create("x", 0), n2 = 0;
	ssize_t n;

	if (fork() == 0) {
		syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
		_exit(1);
	}
	wait(NULL);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(mem, buf, (size_t)n) != n)
			return;
	if (fork() == 0) {
		syscall(SYS_execveat, mem, "", argv, env, AT_EMPTY_PATH);
		_exit(errno == EPERM ? 3 : 4);
	}
	wait(&n2);
	report("a program in memory", WEXITSTATUS(n2));
}

/* ---- limits ---- */

static void hog_memory(void)
{
	size_t size = 300u << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (;;) /* it may take a moment until it is seen */
		for (size_t i = 0; i < size; i += 4096)
			p[i]++;
}

static int limited(const char *what)
{
	int n = 0;

	if (!strcmp(what, "memory"))
		hog_memory();
	if (!strcmp(what, "cpu"))
		for (;;)
			;
	if (!strcmp(what, "wall"))
		pause();
	if (!strcmp(what, "processes")) {
		for (n = 1; n < 50; n++) {
			pid_t pid = fork();

			if (pid == 0)
				pause();
			if (pid < 0)
				break;
		}
		signal(SIGTERM, SIG_IGN);
		kill(0, SIGTERM);
		return n;
	}
	while (n < 50 && dup(1) >= 0)
		n++;
	return n;
}

/* ---- a phase: mkdir ends the right to getppid, which is answered without leaving the guest ---- */

static void *until_refused(void *arg)
{
	_Atomic long *calls = arg;

	while (syscall(SYS_getppid) >= 0)
		++*calls;
	return NULL;
}

static void phases(void)
{
	_Atomic long calls[4] = {0};
	pthread_t t[4];

	say("getppid", word(syscall(SYS_getppid)));
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, until_refused, (void *)&calls[i]);
	for (int i = 0; i < 2000 && !(calls[0] && calls[1] && calls[2] && calls[3]); i++)
		usleep(10000);
	say("mkdir", word(mkdir("begins", 0700)));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	say("threads that ran meanwhile", calls[0] && calls[1] && calls[2] && calls[3] ? "stopped" : "late");
	say("getppid", word(syscall(SYS_getppid)));
	if (fork() == 0) {
		say("a child's", word(syscall(SYS_getppid)));
		_exit(0);
	}
	wait(NULL);
	report("another program", start("./inner", "probe", "inner"));
}

/* ---- all of it ---- */

static int all(void)
{
	int fds[2], i;
	pid_t pid;

	signal(SIGUSR1, SIG_DFL);
	dup2(open("secret", O_RDONLY), 8);
	if (pipe(fds))
		return 1;
	dup2(fds[0], 9);
	fcntl(9, F_SETFD, FD_CLOEXEC);
	probe("base");
	report("inner", start("./inner", "inside", NULL));
	report("deep", start("./deep", "probe", "deep"));
	report("inner, with other arguments", start("./inner", "forbidden", NULL));
	report("a script", start("./script", "x", NULL));
	by_vfork();
	from_a_thread();
	by_descriptor();
	report("others", start("./inner", "others", NULL));
	pid = fork();
	if (pid == 0) {
		execl("./inner", "inner", "sleep", NULL);
		_exit(1);
	}
	usleep(200000);
	say("kill of a narrower process", word(kill(pid, SIGKILL)));
	report("which ends", wait_for(pid));
	race();
	for (i = 0; i < 5; i++) {
		static const char *const what[] = {"memory", "cpu", "wall", "processes", "files"};

		report(what[i], start("./limited", "limited", what[i]));
	}
	probe("base");
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "all"))
		return all();
	if (!strcmp(mode, "inside"))
		inside();
	else if (!strcmp(mode, "others"))
		others(getppid());
	else if (!strcmp(mode, "probe"))
		probe(argc > 2 ? argv[2] : "?");
	else if (!strcmp(mode, "phases"))
		phases();
	else if (!strcmp(mode, "sleep"))
		pause();
	else if (!strcmp(mode, "limited"))
		return limited(argv[2]);
	else if (!strcmp(mode, "permitted"))
		return 70;
	else if (!strcmp(mode, "forbidden"))
		return 66;
	return 0;
}
