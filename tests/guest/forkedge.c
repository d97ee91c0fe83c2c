/* Corners of fork: pages that were never written, pages that a call is reading, siblings. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PG 4096

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(90);
	}
}

/* A page of a private file mapping that only becomes writable, beside one that was, after a fork. */
static void never_written(void)
{
	int fd = open("forkedge.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600), go[2], st;
	char block[PG], *m, c;
	pid_t pid;

	check(fd >= 0 && pipe(go) == 0, "file and pipe");
	memset(block, 'a', PG);
	check(write(fd, block, PG) == PG && write(fd, block, PG) == PG, "write");
	m = mmap(NULL, 2 * PG, PROT_READ, MAP_PRIVATE, fd, 0);
	check(m != MAP_FAILED && mprotect(m + PG, PG, PROT_READ | PROT_WRITE) == 0, "mmap");
	m[PG] = 'b';
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		check(read(go[0], &c, 1) == 1, "read");
		printf("the child's pages: %c %c\n", m[0], m[PG]);
		fflush(stdout);
		_exit(0);
	}
	check(mprotect(m + PG, PG, PROT_READ) == 0, "mprotect");
	check(mprotect(m, 2 * PG, PROT_READ | PROT_WRITE) == 0, "mprotect");
	m[0] = 'X';
	m[PG] = 'Y';
	check(write(go[1], "", 1) == 1, "write");
	waitpid(pid, &st, 0);
	printf("the parent's pages: %c %c\n", m[0], m[PG]);
	unlink("forkedge.tmp");
}

static int full[2];
static char *page;

static void *write_page(void *arg)
{
	check(write(full[1], page, 1) == 1, "write of the page");
	return NULL;
}

/* A child must not see in its parent's output what it writes to its own copy. */
static void read_in_progress(void)
{
	int go[2], st, n, flags;
	char buf[PG], c = 0, last = 0;
	pthread_t t;
	pid_t pid;

	page = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(page != MAP_FAILED && pipe(full) == 0 && pipe(go) == 0, "pipes");
	page[0] = 'p';
	flags = fcntl(full[1], F_GETFL);
	fcntl(full[1], F_SETFL, flags | O_NONBLOCK);
	memset(buf, '.', sizeof(buf));
	while (write(full[1], buf, sizeof(buf)) > 0)
		;
	while (write(full[1], buf, 1) > 0)
		;
	fcntl(full[1], F_SETFL, flags);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		check(read(go[0], &c, 1) == 1, "read");
		page[0] = 'c';
		close(full[1]);
		while ((n = (int)read(full[0], buf, sizeof(buf))) > 0)
			last = buf[n - 1];
		printf("the parent wrote its own: %d\n", last == 'p' || last == 'q');
		fflush(stdout);
		_exit(0);
	}
	pthread_create(&t, NULL, write_page, NULL);
	usleep(100000);
	page[0] = 'q';
	check(write(go[1], "", 1) == 1, "write");
	pthread_join(t, NULL);
	close(full[1]);
	waitpid(pid, &st, 0);
}

static volatile int usr1;

static void on_usr1(int sig)
{
	usr1++;
}

/* A sibling made by a child tells the parent by the child's signal, whatever it asked for. */
static void sibling(void)
{
	int i, st, codes = 0;

	signal(SIGUSR1, on_usr1);
	fflush(stdout);
	if (fork() == 0) {
		long r = syscall(SYS_clone, CLONE_PARENT | SIGUSR1, 0, 0, 0, 0);

		_exit(r == 0 ? 1 : 2);
	}
	for (i = 0; i < 2; i++)
		if (wait(&st) > 0)
			codes += WEXITSTATUS(st);
	printf("both children: %d, other signals %d\n", codes, usr1);
}

static void caught(int sig)
{
}

/* The end of a child that SIGCHLD tells of ends a wait with its answer, not with EINTR. */
static void wait_and_sigchld(void)
{
	struct sigaction act = {.sa_handler = caught};
	int pid, r, status = 0;

	sigaction(SIGCHLD, &act, NULL);
	pid = fork();
	if (!pid) {
		usleep(50000);
		_exit(3);
	}
	r = waitpid(-1, &status, 0);
	printf("wait %d status %d\n", r == pid, WEXITSTATUS(status));
	act.sa_flags = SA_NOCLDWAIT;
	sigaction(SIGCHLD, &act, NULL);
	pid = fork();
	if (!pid) {
		usleep(50000);
		_exit(3);
	}
	errno = 0;
	r = waitpid(-1, &status, 0);
	printf("nobody to wait for: %d %s\n", r, strerrorname_np(errno));
	signal(SIGCHLD, SIG_DFL);
}

/* A table of descriptors that is shared: the copy is changed. */
static void unshared_table(void)
{
	int fd = open("/dev/null", O_RDONLY), status;
	long pid;

	fflush(stdout);
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid) {
		printf("close_range: %ld", syscall(SYS_close_range, fd, fd, 2 /* CLOSE_RANGE_UNSHARE */));
		printf(" closed: %d\n", fcntl(fd, F_GETFD) < 0);
		fflush(stdout);
		_exit(0);
	}
	waitpid((pid_t)pid, &status, 0);
	printf("still open: %d\n", fcntl(fd, F_GETFD));
	close(fd);
}

static volatile int stops, conts;

static void child_changed(int sig, siginfo_t *info, void *ctx)
{
	stops += info->si_code == CLD_STOPPED;
	conts += info->si_code == CLD_CONTINUED;
}

/* SIGCONT that comes as soon as the stop is known: both are told, each time. */
static void stop_and_go(void)
{
	struct sigaction act = {.sa_sigaction = child_changed, .sa_flags = SA_SIGINFO};
	int pid, status;

	sigaction(SIGCHLD, &act, NULL);
	pid = fork();
	if (!pid)
		for (;;)
			getppid();
	for (int i = 0; i < 50; i++) {
		kill(pid, SIGSTOP);
		for (int n = 0; stops == i && n < 2000; n++)
			usleep(1000);
		kill(pid, SIGCONT);
		for (int n = 0; conts == i && n < 2000; n++)
			usleep(1000);
	}
	printf("stopped %d times, went on %d times\n", stops, conts);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
	stop_and_go();
	unshared_table();
	wait_and_sigchld();
	never_written();
	read_in_progress();
	sibling();
	return 0;
}
