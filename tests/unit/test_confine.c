/* Host confinement: each case in a child process that confines itself and then tries something. */
#include "tests/unit/file_test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "base/err.h"
#include "sentry/confine.h"
#include "sentry/hostproc.h"

/* Runs act in a confined child: its exit status, or -1 when a signal ended it. said: its stderr. */
static int confined(const struct confine_opts *o, int (*act)(void), char *said, size_t size)
{
	int p[2], st, n;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	if (!pid) {
		struct sbx_err *e = NULL;

		dup2(p[1], 2);
		if (hostproc_init(&e) || confine_apply_opts(o, &e)) {
			dprintf(2, "%s\n", e->msg);
			_exit(99);
		}
		_exit(act());
	}
	close(p[1]);
	n = (int)read(p[0], said, size - 1);
	said[n > 0 ? n : 0] = '\0';
	close(p[0]);
	assert_int_equal(waitpid(pid, &st, 0), pid);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static void expect(const struct confine_opts *o, int (*act)(void), int status, const char *message)
{
	char said[512];
	int r = confined(o, act, said, sizeof(said));

	if (r != status)
		fail_msg("status %d instead of %d: %s", r, status, said);
	if (message && !strstr(said, message))
		fail_msg("said: %s", said);
}

static int try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_pair(void)
{
	int sv[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, sv) ? errno : 0;
}

static int try_exec(void)
{
	char *const argv[] = {"true", NULL};

	execv("/bin/true", argv);
	return errno;
}

static int try_fork(void)
{
	return fork() < 0 ? errno : 0;
}

static int try_ptrace(void)
{
	return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
}

static int try_open_name(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

/* Landlock stops what no filter of call numbers can. */
static int try_open_for_writing(void)
{
	int dir = openat(hostproc_fd_self(), "0", O_PATH), fd = dir;

	if (fd < 0)
		return 1;
	fd = openat(hostproc_fd_proc(), "self/cwd/sbx-confine-test", O_WRONLY | O_CREAT, 0600);
	if (fd < 0)
		return errno;
	unlink("sbx-confine-test");
	return 0;
}

static int try_mkdir(void)
{
	return mkdirat(hostproc_fd_proc(), "self/cwd/sbx-confine-dir", 0700) ? errno : 0;
}

static int try_exec_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static int try_owner(void)
{
	return fcntl(0, F_SETOWN, 1) ? errno : 0;
}

static int try_kill(void)
{
	return kill(getppid(), 0);
}

static void *in_thread(void *arg)
{
	void *p = malloc(1 << 20);

	free(p);
	return arg;
}

/* What the sentry does all day goes on. */
static int try_ordinary(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC), again, p[2];
	pthread_t t;
	void *r;

	if (fd < 0 || write(fd, "abc", 3) != 3 || ftruncate(fd, 10))
		return 1;
	again = hostproc_reopen(fd, O_RDWR | O_APPEND);
	if (again < 0 || write(again, "x", 1) != 1 || lseek(fd, 0, SEEK_END) != 11)
		return 2;
	if (pthread_create(&t, NULL, in_thread, &fd) || pthread_join(t, &r) || r != &fd)
		return 3;
	if (pipe2(p, O_CLOEXEC) || fcntl(p[0], F_SETFL, O_NONBLOCK) || raise(SIGCONT))
		return 4;
	return isatty(fd) ? 5 : 0;
}

static const struct confine_opts nothing, inet = {.net_inet = true},
	unix_only = {.net_unix = true}, writes = {.files_write = true};

static void network(void **state)
{
	expect(&nothing, try_socket, EACCES, NULL);
	expect(&nothing, try_unix, EACCES, NULL);
	expect(&nothing, try_pair, 0, NULL);
	expect(&inet, try_socket, 0, NULL);
	expect(&inet, try_unix, EACCES, NULL);
	expect(&unix_only, try_socket, EACCES, NULL);
	expect(&unix_only, try_unix, 0, NULL);
}

static void processes(void **state)
{
	expect(&writes, try_exec, SBX_EXIT_SETUP, "host call execve");
	expect(&writes, try_fork, SBX_EXIT_SETUP, "host call clone");
	expect(&writes, try_ptrace, SBX_EXIT_SETUP, "host call ptrace");
	expect(&writes, try_kill, SBX_EXIT_SETUP, "host call kill");
	expect(&writes, try_exec_memory, SBX_EXIT_SETUP, "host call mmap");
	expect(&writes, try_owner, EINVAL, NULL);
}

static void files(void **state)
{
	expect(&nothing, try_open_name, EACCES, NULL);
	expect(&nothing, try_mkdir, EPERM, NULL);
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0)
		expect(&nothing, try_open_for_writing, EACCES, NULL);
}

static void ordinary_work(void **state)
{
	expect(&nothing, try_ordinary, 0, NULL);
	expect(&writes, try_ordinary, 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(network),
		cmocka_unit_test(processes),
		cmocka_unit_test(files),
		cmocka_unit_test(ordinary_work),
	};

#if defined(__SANITIZE_ADDRESS__) || defined(SBX_INSTRUMENTED)
	printf("1..0 # SKIP the filter is off in instrumented builds\n");
	return 0;
#endif
	return cmocka_run_group_tests_name("confine", tests, NULL, NULL);
}
