/* Which blocking calls go on after a handler, with and without SA_RESTART: signal(7) lists them. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static volatile int *shared; /* [0]: ready, [1]: handled */
static char dir[64];

static void on_signal(int sig)
{
	shared[1]++;
}

static int fds[2];

static int do_read(void)
{
	char c;

	return (int)read(fds[0], &c, 1);
}

static int do_write(void)
{
	static char big[1 << 20];
	int r = 0;

	while (r >= 0)
		r = (int)write(fds[1], big, sizeof(big)) == (int)sizeof(big) ? 0 : -1;
	return errno ? -1 : -2; /* a short count: -2 */
}

static pid_t child; /* for the calls that wait for one */

static void make_child(void)
{
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
}

static int do_wait4(void)
{
	return waitpid(child, NULL, 0);
}

static int do_waitid(void)
{
	siginfo_t si;

	return waitid(P_ALL, 0, &si, WEXITED);
}

static int do_flock(void)
{
	return flock(open(dir, O_RDONLY), LOCK_EX); /* the parent has it */
}

static int do_setlkw(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_len = 1};
	char name[96];

	snprintf(name, sizeof(name), "%s/locked", dir);
	return fcntl(open(name, O_RDWR), F_SETLKW, &fl);
}

static int do_fifo(void)
{
	char name[96];

	snprintf(name, sizeof(name), "%s/fifo", dir);
	return open(name, O_RDONLY);
}

static int do_futex(void)
{
	static int word;

	return (int)syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static int do_futex_timed(void)
{
	static int word;

	return (int)syscall(SYS_futex, &word, FUTEX_WAIT, 0, &(struct timespec){5, 0}, NULL, 0);
}

static int do_futex_bitset(void)
{
	static int word;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += 5;
	return (int)syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &ts, NULL, ~0u);
}

static int do_semop(void)
{
	struct sembuf b = {0, -1, 0};
	int id = semget(IPC_PRIVATE, 1, 0600);
	int r = semtimedop(id, &b, 1, &(struct timespec){5, 0}), e = errno;

	semctl(id, 0, IPC_RMID);
	errno = e;
	return r;
}

static int do_msgrcv(void)
{
	struct {
		long type;
		char text[8];
	} m;
	int id = msgget(IPC_PRIVATE, 0600), r, e;

	r = (int)msgrcv(id, &m, 8, 0, 0);
	e = errno;
	msgctl(id, IPC_RMID, NULL);
	errno = e;
	return r;
}

static int do_sigtimedwait(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	return sigtimedwait(&s, NULL, &(struct timespec){5, 0});
}

static int do_sigsuspend(void)
{
	sigset_t s;

	sigemptyset(&s);
	return sigsuspend(&s);
}

static int do_nanosleep(void)
{
	return nanosleep(&(struct timespec){5, 0}, NULL);
}

static int do_clock_nanosleep(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += 5;
	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	return errno ? -1 : 0;
}

static int do_poll(void)
{
	return poll(NULL, 0, 5000);
}

static int do_ppoll(void)
{
	return ppoll(NULL, 0, &(struct timespec){5, 0}, NULL);
}

static int do_select(void)
{
	return select(0, NULL, NULL, NULL, &(struct timeval){5, 0});
}

static int do_pselect(void)
{
	return pselect(0, NULL, NULL, NULL, &(struct timespec){5, 0}, NULL);
}

static int do_epoll(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_create1(0), &e, 1, 5000);
}

static int do_epoll_masked(void)
{
	struct epoll_event e;
	sigset_t s;

	sigemptyset(&s);
	return epoll_pwait(epoll_create1(0), &e, 1, 5000, &s);
}

static int do_accept(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(s, (void *)&sin, sizeof(sin)))
		return -1;
	listen(s, 1);
	return accept(s, NULL, NULL);
}

static int do_recv(void)
{
	char c;
	int s[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, s) ? -1 : (int)recv(s[0], &c, 1, 0);
}

static int do_recv_timed(void)
{
	struct timeval tv = {5, 0};
	char c;
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		return -1;
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return (int)recv(s[0], &c, 1, 0);
}

static int do_recvmsg(void)
{
	char c;
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int s[2];

	return socketpair(AF_UNIX, SOCK_DGRAM, 0, s) ? -1 : (int)recvmsg(s[0], &m, 0);
}

static int do_eventfd(void)
{
	uint64_t n;

	return (int)read(eventfd(0, 0), &n, 8);
}

static int do_timerfd(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec it = {{0, 0}, {5, 0}};
	uint64_t n;

	timerfd_settime(fd, 0, &it, NULL);
	return (int)read(fd, &n, 8);
}

static int do_mq(void)
{
	char name[32], buf[16];
	struct mq_attr at = {.mq_maxmsg = 1, .mq_msgsize = 16};
	mqd_t q;

	snprintf(name, sizeof(name), "/restart-%d", getpid());
	q = mq_open(name, O_RDWR | O_CREAT, 0600, &at);
	mq_unlink(name);
	return (int)mq_receive(q, buf, sizeof(buf), NULL);
}

static int do_pi_lock(void)
{
	static int word;

	word = getppid();
	return (int)syscall(SYS_futex, &word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

static const struct {
	const char *name;
	int (*call)(void);
} calls[] = {
	{"read", do_read}, {"write", do_write}, {"wait4", do_wait4}, {"waitid", do_waitid},
	{"flock", do_flock}, {"F_SETLKW", do_setlkw}, {"open of a fifo", do_fifo},
	{"futex", do_futex}, {"futex with a timeout", do_futex_timed},
	{"futex bitset", do_futex_bitset}, {"futex pi", do_pi_lock}, {"semop", do_semop},
	{"msgrcv", do_msgrcv}, {"sigtimedwait", do_sigtimedwait}, {"sigsuspend", do_sigsuspend},
	{"nanosleep", do_nanosleep}, {"clock_nanosleep", do_clock_nanosleep}, {"poll", do_poll},
	{"ppoll", do_ppoll}, {"select", do_select}, {"pselect", do_pselect},
	{"epoll_wait", do_epoll}, {"epoll_pwait", do_epoll_masked}, {"accept", do_accept},
	{"recv", do_recv}, {"recv with a timeout", do_recv_timed}, {"recvmsg", do_recvmsg},
	{"eventfd", do_eventfd}, {"timerfd", do_timerfd}, {"mq_receive", do_mq},
};

/* How the call ends after a signal at a time at which it waits, or that it goes on. */
static void try(unsigned i, int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
	int st, r, k;
	pid_t p;

	shared[0] = shared[1] = 0;
	if (pipe(fds))
		exit(1);
	fflush(stdout);
	p = fork();
	if (!p) {
		setpgid(0, 0);
		if (calls[i].call == do_wait4 || calls[i].call == do_waitid)
			make_child();
		sigaction(SIGUSR1, &sa, NULL);
		shared[0] = 1;
		errno = 0;
		r = calls[i].call();
		_exit(r >= 0 ? 200 : r == -2 ? 201 : errno);
	}
	while (!shared[0])
		usleep(500);
	usleep(30000);
	kill(p, SIGUSR1);
	for (k = 0; k < 200 && !shared[1]; k++)
		usleep(500);
	for (k = 0; k < 200 && waitpid(p, &st, WNOHANG) != p; k++)
		usleep(1000);
	if (k < 200)
		printf(" %s", WEXITSTATUS(st) == 200 ? "done"
			      : WEXITSTATUS(st) == 201 ? "short" : strerrorname_np(WEXITSTATUS(st)));
	else
		printf(" goes on");
	kill(-p, SIGKILL);
	kill(p, SIGKILL);
	if (k >= 200)
		waitpid(p, &st, 0);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_len = 1};
	char name[96];
	int fd;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(dir, sizeof(dir), "restart.%d", getpid());
	mkdir(dir, 0700);
	flock(open(dir, O_RDONLY), LOCK_EX);
	snprintf(name, sizeof(name), "%s/locked", dir);
	fd = open(name, O_RDWR | O_CREAT, 0600);
	fcntl(fd, F_SETLK, &fl);
	snprintf(name, sizeof(name), "%s/fifo", dir);
	mkfifo(name, 0600);
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		printf("%s:", calls[i].name);
		try(i, 0);
		try(i, SA_RESTART);
		printf("\n");
	}
	unlink(name);
	snprintf(name, sizeof(name), "%s/locked", dir);
	unlink(name);
	rmdir(dir);
	return 0;
}
