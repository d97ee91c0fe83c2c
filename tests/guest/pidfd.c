/* Descriptors of processes. */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

static int pidfd_open(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static int pidfd_send(int fd, int sig, siginfo_t *info, unsigned flags)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

static void *thread(void *arg)
{
	*(pid_t *)arg = gettid();
	pause();
	return NULL;
}

static void errors(void)
{
	SAY(pidfd_open(0, 0));
	SAY(pidfd_open(-5, 0));
	SAY(pidfd_open(999999, 0));
	SAY(pidfd_open(getpid(), 0x4000000));
	SAY(pidfd_send(-1, 0, NULL, 0));
	SAY(pidfd_send(0, 0, NULL, 0));
	SAY(pidfd_send(999, 0, NULL, 0));
}

/* An open /proc/PID names the process for signals, and for nothing else. */
static void proc_dir(void)
{
	pid_t pid = sleeper();
	char name[32];
	int fd, sub;

	snprintf(name, sizeof(name), "/proc/%d", pid);
	SAY_FD(fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	SAY_FD(sub = openat(fd, "task", O_RDONLY | O_CLOEXEC));
	SAY(pidfd_send(fd, 0, NULL, 0));
	SAY(pidfd_send(sub, 0, NULL, 0));
	SAY(waitid(P_PIDFD, fd, NULL, WEXITED | WNOHANG));
	SAY(pidfd_send(fd, SIGKILL, NULL, 0));
	SAY(waitpid(pid, NULL, 0) == pid);
	SAY(pidfd_send(fd, 0, NULL, 0));
	close(fd);
	close(sub);
}

static void life(void)
{
	struct pollfd p = {.events = POLLIN};
	siginfo_t si = {0};
	pid_t pid = sleeper();
	char c;

	SAY_FD(p.fd = pidfd_open(pid, 0));
	SAY(fcntl(p.fd, F_GETFD));
	SAY(read(p.fd, &c, 1));
	SAY(poll(&p, 1, 0));
	SAY(pidfd_send(p.fd, 0, NULL, 0));
	SAY(pidfd_send(p.fd, SIGTERM, NULL, 7));
	SAY(pidfd_send(p.fd, 99, NULL, 0));
	si.si_signo = SIGUSR1;
	si.si_code = SI_USER;
	SAY(pidfd_send(p.fd, SIGUSR1, &si, 0));
	SAY(pidfd_send(p.fd, SIGUSR2, &si, 0));
	SAY(pidfd_send(p.fd, SIGTERM, NULL, 0));
	SAY(poll(&p, 1, 10000));
	printf("readable %d\n", p.revents == POLLIN);
	SAY(pidfd_send(p.fd, SIGTERM, NULL, 0)); /* a zombie */
	memset(&si, 0, sizeof(si));
	SAY(waitid((idtype_t)P_PIDFD, (id_t)p.fd, &si, WEXITED));
	printf("%d %d %d\n", si.si_pid == pid, si.si_code == CLD_KILLED, si.si_status);
	SAY(pidfd_send(p.fd, SIGTERM, NULL, 0));
	SAY(waitid((idtype_t)P_PIDFD, (id_t)p.fd, &si, WEXITED));
	SAY(waitid((idtype_t)P_PIDFD, 999, &si, WEXITED));
	SAY(waitid((idtype_t)P_PIDFD, 0, &si, WEXITED));
	SAY(poll(&p, 1, 0));
	close(p.fd);
}

static void nonblocking(void)
{
	pid_t pid = sleeper();
	int fd = pidfd_open(pid, O_NONBLOCK), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
	siginfo_t si;

	if (fd < 0)
		return;
	SAY(waitid((idtype_t)P_PIDFD, (id_t)fd, &si, WEXITED));
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	SAY(epoll_wait(ep, &ev, 1, 0));
	kill(pid, SIGKILL);
	SAY(epoll_wait(ep, &ev, 1, 10000));
	printf("data %u\n", ev.data.u32);
	SAY(waitid((idtype_t)P_PIDFD, (id_t)fd, &si, WEXITED));
	close(fd);
	close(ep);
}

static void from_clone(void)
{
	int fd = -1, copy;
	struct clone_args ca = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
	struct pollfd p = {.events = POLLIN};
	siginfo_t si;
	pid_t pid = (int)syscall(SYS_clone3, &ca, sizeof(ca));

	if (!pid)
		_exit(5);
	printf("fd %d\n", fd >= 0);
	copy = dup(fd);
	p.fd = copy;
	SAY(poll(&p, 1, 10000));
	SAY(waitid((idtype_t)P_PIDFD, (id_t)copy, &si, WEXITED));
	printf("status %d\n", si.si_status);
	close(fd);
	close(copy);
	pid = (int)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &fd, 0, 0);
	if (!pid)
		_exit(6);
	SAY(waitid((idtype_t)P_PIDFD, (id_t)fd, &si, WEXITED));
	printf("status %d\n", si.si_status);
	SAY(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &fd, 0, 0));
}

int main(void)
{
	pid_t tid = 0;
	pthread_t th;

	setvbuf(stdout, NULL, _IONBF, 0);
	errors();
	life();
	proc_dir();
	nonblocking();
	from_clone();
	pthread_create(&th, NULL, thread, &tid);
	while (!*(volatile pid_t *)&tid)
		usleep(1000);
	printf("a thread: %d\n", pidfd_open(tid, 0) < 0);
	return 0;
}
