/* Descriptors, buffers, timers, futexes and looks at others, as many as there can be, each for
 * STORM_SECONDS (1); and memory until there is none. Usage: flood WHAT | hungry HOW; without it, names
 * the first. Each prints "survived". */
#include "tests/hostile/storm.h"

/* ---- descriptors and buffers ---- */

static void fill_buffers(void)
{
	char block[65536] = {0};
	int s[2], n = 0;

	while (n < 40 && (rnd(2) ? pipe2(s, O_NONBLOCK) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) == 0) {
		n++;
		while (write(s[1], block, sizeof(block)) > 0)
			;
	}
	if (write(s[1], block, 1) < 0 && errno == EAGAIN)
		fcntl(s[1], F_SETFL, 0);
	if (write(s[1], block, sizeof(block)) < 0) /* until somebody kills it */
		pause();
}

static void buffers(void)
{
	pid_t pid[4];
	int i;

	while (!over()) {
		for (i = 0; i < 4; i++)
			pid[i] = child(fill_buffers);
		usleep(20000);
		for (i = 0; i < 4; i++)
			if (pid[i] > 0)
				kill(pid[i], SIGKILL);
		reap_all();
	}
}

static int pass_fd(int over_fd, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {{0}};
	char byte = 0;
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return (int)sendmsg(over_fd, &m, MSG_DONTWAIT);
}

/* Descriptors that are only held by messages on themselves, and watchers that watch each other. */
static void circles(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int s[2], e[2], n = 0;

	while (!over()) {
		if (socketpair(AF_UNIX, rnd(2) ? SOCK_STREAM : SOCK_DGRAM, 0, s))
			break;
		pass_fd(s[0], s[0]);
		pass_fd(s[0], s[1]);
		pass_fd(s[1], s[0]);
		e[0] = epoll_create1(0);
		e[1] = epoll_create1(0);
		epoll_ctl(e[0], EPOLL_CTL_ADD, e[1], &ev);
		epoll_ctl(e[1], EPOLL_CTL_ADD, e[0], &ev);
		epoll_ctl(e[0], EPOLL_CTL_ADD, e[0], &ev);
		epoll_ctl(e[0], EPOLL_CTL_ADD, s[0], &ev);
		epoll_wait(e[0], &ev, 1, 0);
		if (rnd(2))
			pass_fd(s[0], e[0]);
		close(s[0]);
		close(s[1]);
		close(e[0]);
		close(e[1]);
		n++;
	}
	printf("many: %d\n", n > 3);
}

/* Processes that are at the limit of descriptors, in tables that they share or do not. */
static void open_all(void)
{
	int fd;

	while ((fd = rnd(2) ? dup(0) : eventfd(0, 0)) >= 0)
		;
	for (int i = 0; i < 50; i++) {
		close((int)rnd(200));
		syscall(SYS_pidfd_open, getppid(), 0);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (fd >= 0 && rnd(2))
			dup2(fd, (int)rnd(300));
		if (rnd(8) == 0) {
			pid_t pid = fork();

			if (!pid)
				_exit(0);
		}
	}
}

static void descriptors(void)
{
	while (!over()) {
		for (int i = 0; i < 3; i++)
			child(open_all);
		reap_all();
	}
}

/* ---- timers and futexes ---- */

static atomic_int ticks;

static void on_tick(int sig)
{
	(void)sig;
	atomic_fetch_add(&ticks, 1);
}

static void timer_process(void)
{
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_NODEFER};
	struct itimerspec often = {{0, 1}, {0, 1}};
	struct itimerval it = {{0, 1}, {0, 1}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL};
	int i, fd;
	timer_t t;

	for (i = 0; i < 8; i++)
		sigaction(SIGRTMIN + i, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGVTALRM, &sa, NULL);
	for (i = 0; i < 50; i++) {
		ev.sigev_signo = SIGRTMIN + i % 8;
		if (!timer_create(i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &ev, &t))
			timer_settime(t, 0, &often, NULL);
		fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
		if (fd >= 0)
			timerfd_settime(fd, 0, &often, NULL);
	}
	setitimer(ITIMER_REAL, &it, NULL);
	setitimer(ITIMER_VIRTUAL, &it, NULL);
	for (i = 0; i < 200; i++) {
		usleep(500);
		if (rnd(50) == 0)
			execl(self, self, "exit", NULL);
	}
}

static void timers(void)
{
	while (!over()) {
		for (int i = 0; i < 3; i++)
			child(timer_process);
		reap_all();
	}
}

static _Atomic uint32_t *words;

static void futex_process(void)
{
	struct timespec ts = {0, 1};
	struct robust_list_head *head = map(PAGE, MAP_PRIVATE);

	head->list.next = (void *)&head->list; /* or a circle, or nonsense */
	if (rnd(3) == 0)
		head->list.next = (void *)((char *)head + 64), *(void **)((char *)head + 64) = (char *)head + 64;
	else if (rnd(2))
		head->list.next = (void *)(uintptr_t)(rnd(2) ? 8 : ~7ull);
	head->futex_offset = rnd(2) ? 16 : -(long)rnd(1u << 30);
	head->list_op_pending = (void *)&words[rnd(64)];
	syscall(SYS_set_robust_list, head, sizeof(*head));
	for (int i = 0; i < 3000; i++) {
		_Atomic uint32_t *w = rnd(20) ? &words[rnd(64)] : (_Atomic uint32_t *)(uintptr_t)(rnd(2) ? 4 : rnd(1u << 30));

		ts.tv_nsec = rnd(100000);
		switch (rnd(6)) {
		case 0:
			syscall(SYS_futex, w, FUTEX_WAIT, 0, &ts, NULL, 0);
			break;
		case 1:
			syscall(SYS_futex, w, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
			break;
		case 2:
			syscall(SYS_futex, w, FUTEX_REQUEUE, 1, (long)rnd(4), &words[rnd(64)], 0);
			break;
		case 3:
			syscall(SYS_futex, w, FUTEX_WAKE_OP, 1, 1L, &words[rnd(64)], FUTEX_OP(FUTEX_OP_XOR, 1, FUTEX_OP_CMP_EQ, 0));
			break;
		case 4:
			syscall(SYS_futex, w, FUTEX_WAIT_BITSET, 0, &ts, NULL, rnd(4));
			break;
		default:
			syscall(SYS_futex, w, rnd(20), rnd(4), &ts, &words[rnd(64)], rnd(4));
			break;
		}
	}
}

static void futexes(void)
{
	pid_t pid[8];

	words = map(PAGE, MAP_SHARED);
	while (!over()) {
		for (int i = 0; i < 8; i++)
			pid[i] = child(futex_process);
		usleep(50000);
		for (int i = 0; i < 8; i++)
			if (pid[i] > 0)
				kill(pid[i], SIGKILL);
		reap_all();
	}
}

/* ---- who looks at whom, and who is in whose group ---- */

static void look_process(void)
{
	static const char *const names[] = {"stat", "status", "maps", "cmdline", "environ", "smaps", "fd", "task",
					    "exe", "cwd", "io", "limits", "auxv", "comm", "fdinfo", "mem"};
	char name[64], text[4096];
	int fd;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "/proc/%d/%s", (int)(getpid() - (int)rnd(20)), names[rnd(16)]);
		fd = open(name, O_RDONLY);
		if (fd < 0)
			continue;
		if (read(fd, text, sizeof(text)) < 0)
			syscall(SYS_getdents64, fd, text, sizeof(text));
		close(fd);
	}
}

static void group_process(void)
{
	int tty = open("/dev/tty", O_RDWR);

	signal(SIGTTOU, rnd(2) ? SIG_IGN : SIG_DFL);
	alarm(1);
	for (int i = 0; i < 200; i++) {
		pid_t pid = getpid() - (int)rnd(20);

		switch (rnd(9)) {
		case 0:
			setpgid(rnd(2) ? 0 : pid, rnd(2) ? 0 : pid);
			break;
		case 1:
			if (rnd(8) == 0)
				setsid();
			break;
		case 2:
			tcsetpgrp(tty >= 0 ? tty : 0, pid);
			break;
		case 3:
			ioctl(tty, rnd(2) ? TIOCNOTTY : TIOCSCTTY, 0);
			break;
		case 4:
			getsid(pid);
			getpgid(pid);
			break;
		case 5:
			kill(-pid, rnd(8) ? 0 : SIGCONT);
			break;
		case 6:
			prctl(PR_SET_PDEATHSIG, rnd(65));
			break;
		case 7:
			if (rnd(8) == 0 && fork() == 0)
				_exit(0);
			break;
		default:
			waitpid(-(pid_t)rnd(30), NULL, WNOHANG | WUNTRACED | WCONTINUED);
			break;
		}
	}
}

static void lookers(void)
{
	while (!over()) {
		for (int i = 0; i < 4; i++)
			child(rnd(2) ? look_process : group_process);
		reap_all();
	}
}

/* ---- memory until there is none: each of them may be what finds that out ---- */

static void hungry(const char *how)
{
	int zero_fd = open("/dev/zero", O_RDONLY);
	static char big[1 << 20];
	int s[2], fd;
	char *p;

	for (;;) {
		p = mmap(NULL, 4 << 20, RW, (!strcmp(how, "shared") ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			_exit(12);
		if (!strcmp(how, "fork")) {
			memset(p, 1, 4 << 20);
			if (fork() == 0)
				memset(p, 2, 4 << 20);
		} else if (!strcmp(how, "read")) {
			if (read(zero_fd, p, 4 << 20) < 0)
				_exit(12);
		} else if (!strcmp(how, "socket")) {
			if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) || recv(s[0], p, 1, MSG_DONTWAIT) > 0)
				_exit(12);
			while (send(s[1], big, sizeof(big), MSG_DONTWAIT) > 0)
				;
		} else if (!strcmp(how, "memfd")) {
			fd = memfd_create("x", 0);
			while (write(fd, big, sizeof(big)) > 0)
				;
			_exit(12);
		} else if (!strcmp(how, "brk")) {
			if (sbrk(4 << 20) == (void *)-1)
				_exit(12);
			memset((char *)sbrk(0) - (4 << 20), 1, 4 << 20);
		} else if (!strcmp(how, "populate")) {
			if (madvise(p, 4 << 20, MADV_POPULATE_WRITE))
				_exit(12);
		} else if (!strcmp(how, "lock")) {
			if (mlock(p, 4 << 20))
				_exit(12);
		} else if (!strcmp(how, "areas")) {
			munmap(p, 4 << 20);
			for (fd = 0; fd < 1000; fd++)
				if (mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
					_exit(12);
		} else {
			memset(p, 1, 4 << 20);
		}
	}
}

int main(int argc, char **argv)
{
	static const struct storm table[] = {
		{"buffers", buffers}, {"circles", circles}, {"descriptors", descriptors},
		{"timers", timers},   {"futexes", futexes}, {"lookers", lookers},
	};

	if (argc > 2 && !strcmp(argv[1], "hungry"))
		hungry(argv[2]);
	return storm_main(argc, argv, table, sizeof(table) / sizeof(*table));
}
