/* Locks: ranges of POSIX and OFD locks, flock, between descriptors and processes; deadlocks. */
#define KEEP_INHERITED
#include "tests/guest/files.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static int to_child[2], to_parent[2];
static pid_t me;

static void tell(int fd)
{
	if (write(fd, "x", 1) != 1)
		exit(1);
}

static void hear(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		exit(1);
}

static long lock(int fd, int cmd, int type, int whence, off_t start, off_t len)
{
	struct flock fl = {.l_type = type, .l_whence = whence, .l_start = start, .l_len = len};

	return fcntl(fd, cmd, &fl);
}

static void ask(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	if (fcntl(fd, cmd, &fl))
		printf("ask %ld+%ld: %s\n", (long)start, (long)len, strerrorname_np(errno));
	else if (fl.l_type == F_UNLCK)
		printf("ask %ld+%ld: free\n", (long)start, (long)len);
	else
		printf("ask %ld+%ld: %s %ld+%ld by %s\n", (long)start, (long)len,
		       fl.l_type == F_RDLCK ? "read" : "write", (long)fl.l_start, (long)fl.l_len,
		       fl.l_pid == me ? "the parent" : fl.l_pid == -1 ? "-1" : "another");
}

static void finish(pid_t pid)
{
	int st;

	waitpid(pid, &st, 0);
	if (st)
		printf("child: %#x\n", st);
}

static void arguments(void)
{
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600), r, w, p[2];
	struct flock fl = {.l_type = 9};

	write(fd, "0123456789", 10);
	T(fcntl(fd, F_SETLK, BAD_PTR));
	T(fcntl(fd, F_SETLK, &fl));
	T(lock(fd, F_SETLK, F_WRLCK, 9, 0, 0));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, -1, 0));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 5, -6));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 5, -5));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_END, -2, 1));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_CUR, -3, 1));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, INT64_MAX, 2));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, INT64_MAX, 1));
	T(lock(fd, F_SETLK, F_UNLCK, SEEK_SET, 0, 0));
	r = open("f", O_RDONLY);
	w = open("f", O_WRONLY);
	T(lock(r, F_SETLK, F_WRLCK, SEEK_SET, 0, 0));
	T(lock(w, F_SETLK, F_RDLCK, SEEK_SET, 0, 0));
	T(lock(r, F_SETLK, F_RDLCK, SEEK_SET, 0, 0));
	T(lock(w, F_SETLK, F_WRLCK, SEEK_SET, 0, 0));
	T(lock(r, F_OFD_SETLK, F_WRLCK, SEEK_SET, 0, 0));
	fl = (struct flock){.l_type = F_RDLCK, .l_pid = 1};
	T(fcntl(r, F_OFD_SETLK, &fl));
	T(lock(r, F_GETLK, F_UNLCK, SEEK_SET, 0, 0));
	close(r);
	r = open("f", O_PATH);
	T(lock(r, F_SETLK, F_RDLCK, SEEK_SET, 0, 0));
	T(lock(99, F_SETLK, F_RDLCK, SEEK_SET, 0, 0));
	close(r);
	close(w);
	close(fd);
	pipe(p);
	T(lock(p[0], F_SETLK, F_RDLCK, SEEK_SET, 0, 0));
	close(p[0]);
	close(p[1]);
}

static void on_a_folder(void)
{
	int fd = open(".", O_RDONLY);

	T(lock(fd, F_SETLK, F_RDLCK, SEEK_SET, 0, 0));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 0, 0));
	close(fd);
}

static void ranges_child(void)
{
	int fd = open("f", O_RDWR);

	hear(to_child[0]);
	ask(fd, F_GETLK, F_WRLCK, 0, 0);
	ask(fd, F_GETLK, F_RDLCK, 0, 0);
	ask(fd, F_GETLK, F_WRLCK, 0, 10);
	ask(fd, F_GETLK, F_WRLCK, 20, 5);
	ask(fd, F_OFD_GETLK, F_WRLCK, 12, 1);
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 15, 1));
	T(lock(fd, F_SETLK, F_RDLCK, SEEK_SET, 15, 1));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 0, 10));
	tell(to_parent[1]);
	hear(to_child[0]);
	ask(fd, F_GETLK, F_WRLCK, 10, 0);
	tell(to_parent[1]);
	hear(to_child[0]);
	ask(fd, F_GETLK, F_WRLCK, 10, 0);
	fflush(stdout);
	_exit(0);
}

static void ranges(void)
{
	int fd = open("f", O_RDWR), other;
	pid_t pid = fork();

	if (!pid)
		ranges_child();
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 10, 20));
	T(lock(fd, F_SETLK, F_RDLCK, SEEK_SET, 14, 4));
	T(lock(fd, F_SETLK, F_UNLCK, SEEK_SET, 20, 5));
	ask(fd, F_GETLK, F_WRLCK, 0, 0);
	tell(to_child[1]);
	hear(to_parent[0]);
	ask(fd, F_GETLK, F_WRLCK, 0, 0);
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 5, 1));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 15, 1));
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 10, 5));
	tell(to_child[1]);
	hear(to_parent[0]);
	other = open("f", O_RDONLY);
	close(other);
	tell(to_child[1]);
	finish(pid);
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 0, 0));
	close(fd);
}

/* Each holds one byte and waits for the next one's: the last to ask is told. */
static void deadlock(int n)
{
	int fd = open("f", O_RDWR), got = 0, st;
	pid_t pid[4];

	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 0, 1));
	for (int i = 1; i < n; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			lock(fd, F_SETLK, F_WRLCK, SEEK_SET, i, 1);
			tell(to_parent[1]);
			/* waits until the one before lets go, which it does in the end */
			_exit(lock(fd, F_SETLKW, F_WRLCK, SEEK_SET, i - 1, 1) ? errno : 0);
		}
		hear(to_parent[0]);
	}
	usleep(100000);
	T(lock(fd, F_SETLKW, F_WRLCK, SEEK_SET, n - 1, 1));
	T(lock(fd, F_SETLK, F_UNLCK, SEEK_SET, 0, 0));
	for (int i = 1; i < n; i++) {
		waitpid(pid[i], &st, 0);
		got += st == 0;
	}
	printf("%d of %d went on\n", got, n - 1);
	close(fd);
}

static void on_signal(int sig)
{
}

static void *unlocker(void *arg)
{
	return (void *)lock(*(int *)arg, F_SETLK, F_UNLCK, SEEK_SET, 0, 0);
}

static void waits(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int fd = open("f", O_RDWR), fd2;
	pthread_t th;
	void *res;
	pid_t pid;

	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 0, 0));
	sigaction(SIGALRM, &sa, NULL);
	pid = fork();
	if (!pid) {
		sigaction(SIGALRM, &sa, NULL);
		ualarm(50000, 50000);
		T(lock(fd, F_SETLKW, F_WRLCK, SEEK_SET, 0, 0));
		fd2 = open("f", O_RDWR);
		T(flock(fd2, LOCK_EX | LOCK_NB));
		ualarm(50000, 50000);
		T(flock(open("f", O_RDWR), LOCK_EX));
		sa.sa_flags = SA_RESTART;
		sigaction(SIGALRM, &sa, NULL);
		ualarm(50000, 50000);
		tell(to_parent[1]);
		T(lock(fd, F_SETLKW, F_WRLCK, SEEK_SET, 0, 0));
		fflush(stdout);
		_exit(0);
	}
	hear(to_parent[0]);
	usleep(150000);
	pthread_create(&th, NULL, unlocker, &fd);
	pthread_join(th, &res);
	finish(pid);
	printf("a thread unlocked: %ld\n", (long)res);
	close(fd);
}

static void of_descriptions(void)
{
	int a = open("f", O_RDWR), b = open("f", O_RDWR), c = dup(a);
	pid_t pid;

	T(lock(a, F_OFD_SETLK, F_WRLCK, SEEK_SET, 0, 10));
	T(lock(b, F_OFD_SETLK, F_WRLCK, SEEK_SET, 5, 10));
	T(lock(c, F_OFD_SETLK, F_RDLCK, SEEK_SET, 5, 5));
	T(lock(b, F_OFD_SETLK, F_RDLCK, SEEK_SET, 5, 10));
	ask(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	ask(b, F_GETLK, F_WRLCK, 0, 0);
	T(lock(b, F_SETLK, F_WRLCK, SEEK_SET, 0, 1));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		T(lock(a, F_OFD_SETLK, F_UNLCK, SEEK_SET, 0, 5));
		ask(b, F_OFD_GETLK, F_WRLCK, 0, 0);
		fflush(stdout);
		_exit(0);
	}
	finish(pid);
	ask(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	close(a);
	ask(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	close(c);
	ask(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	close(b);
}

static void whole(void)
{
	int a = open("f", O_RDWR), b = open("f", O_RDONLY), c = dup(a);
	pid_t pid;

	T(flock(a, LOCK_SH));
	T(flock(b, LOCK_SH));
	T(flock(a, LOCK_EX | LOCK_NB));
	T(flock(b, LOCK_EX | LOCK_NB));
	T(flock(a, LOCK_SH | LOCK_NB));
	T(flock(b, LOCK_UN));
	T(flock(c, LOCK_EX | LOCK_NB));
	T(flock(b, LOCK_SH | LOCK_NB));
	T(lock(b, F_SETLK, F_RDLCK, SEEK_SET, 0, 0));
	T(flock(a, LOCK_SH | LOCK_EX));
	T(flock(a, LOCK_NB));
	T(flock(99, LOCK_SH));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		T(flock(b, LOCK_SH | LOCK_NB));
		T(flock(a, LOCK_UN));
		T(flock(b, LOCK_EX | LOCK_NB));
		fflush(stdout);
		_exit(0);
	}
	finish(pid);
	T(flock(a, LOCK_EX | LOCK_NB));
	T(flock(b, LOCK_UN));
	T(flock(a, LOCK_EX | LOCK_NB));
	close(a);
	T(flock(b, LOCK_SH | LOCK_NB));
	close(c);
	T(flock(b, LOCK_SH | LOCK_NB));
	close(b);
}

/* Record locks stay with the process over an exec; those of descriptors that close then go. */
static void over_exec(const char *self)
{
	int fd = open("f", O_RDWR), st;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		int keep = open("f", O_RDWR);

		lock(keep, F_SETLK, F_WRLCK, SEEK_SET, 3, 4);
		execl(self, self, "holding", NULL);
		_exit(9);
	}
	hear(to_parent[0]);
	ask(fd, F_GETLK, F_WRLCK, 0, 0);
	T(lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 0, 0));
	tell(to_child[1]);
	waitpid(pid, &st, 0);
	printf("child %#x\n", st);
	ask(fd, F_GETLK, F_WRLCK, 0, 0);
	close(fd);
}

static void all(const char *where, const char *self)
{
	printf("-- %s\n", where);
	arguments();
	ranges();
	deadlock(2);
	deadlock(4);
	waits();
	of_descriptions();
	whole();
	over_exec(self);
	unlink("f");
}

int main(int argc, char **argv)
{
	char self[PATH_MAX];

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1) {
		tell(20);
		hear(21);
		return 0;
	}
	me = getpid();
	if (!realpath("/proc/self/exe", self))
		return 1;
	if (pipe(to_child) || pipe(to_parent))
		return 1;
	dup2(to_parent[1], 20);
	dup2(to_child[0], 21);
	all("the disk", self);
	on_a_folder();
	if (!mkdir("/dev/shm/sbx-locks", 0755) && !chdir("/dev/shm/sbx-locks")) {
		all("memory", self);
		rmdir("/dev/shm/sbx-locks");
	}
	return 0;
}
