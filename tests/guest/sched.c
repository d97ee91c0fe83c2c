/* Scheduling policies, nice values, I/O priorities: what is set is told, and what children have of it. */
#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

#define NOBODY 4194303 /* not the number of a process */

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint8_t more[64];
};

static void in_child(void (*fn)(void))
{
	int status, pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

static long set_attr(int pid, struct attr *at, unsigned flags)
{
	return syscall(SYS_sched_setattr, pid, at, flags);
}

static long get_attr(int pid, struct attr *at, unsigned size, unsigned flags)
{
	return syscall(SYS_sched_getattr, pid, at, size, flags);
}

static void print_attr(void)
{
	struct attr at;

	memset(&at, 0xee, sizeof(at));
	SAY(get_attr(0, &at, 48, 0));
	printf("size %u policy %u flags %llu nice %d priority %u\n", at.size, at.policy,
	       (unsigned long long)at.flags, at.nice, at.priority);
}

static void policies(void)
{
	struct sched_param p = {0};
	struct timespec ts;

	SAY(sched_getscheduler(0));
	SAY(sched_setscheduler(0, SCHED_BATCH, &p));
	SAY(sched_getscheduler(0));
	SAY(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &p));
	SAY(sched_getscheduler(0) == (SCHED_OTHER | SCHED_RESET_ON_FORK));
	SAY(sched_setparam(0, &p));
	SAY(sched_getparam(0, &p));
	p.sched_priority = 1;
	SAY(sched_setscheduler(0, SCHED_OTHER, &p));
	SAY(sched_setparam(0, &p));
	p.sched_priority = 0;
	SAY(sched_setscheduler(0, SCHED_FIFO, &p));
	SAY(sched_setscheduler(0, 4, &p));
	SAY(sched_setscheduler(0, 99, &p));
	SAY(sched_setscheduler(0, -1, &p));
	SAY(sched_setscheduler(-1, SCHED_OTHER, &p));
	SAY(sched_setscheduler(0, SCHED_OTHER, NULL));
	SAY(sched_setscheduler(0, SCHED_OTHER, (void *)-1));
	SAY(sched_setscheduler(NOBODY, SCHED_OTHER, &p));
	SAY(sched_getscheduler(NOBODY));
	SAY(sched_getscheduler(-1));
	SAY(sched_getscheduler(1) >= 0);
	SAY(sched_getparam(0, NULL));
	SAY(sched_getparam(0, (void *)-1));
	SAY(sched_getparam(NOBODY, &p));
	SAY(sched_rr_get_interval(-1, &ts));
	SAY(sched_rr_get_interval(NOBODY, &ts));
	SAY(sched_rr_get_interval(0, (void *)-1));
	for (int i = -1; i < 7; i++)
		printf("policy %d: %d to %d\n", i, sched_get_priority_min(i), sched_get_priority_max(i));
}

static void attributes(void)
{
	struct attr at = {.size = 48, .policy = SCHED_BATCH, .nice = 3};

	print_attr();
	SAY(set_attr(0, &at, 0));
	print_attr();
	in_child(print_attr);
	at.flags = 1;
	at.nice = 5;
	SAY(set_attr(0, &at, 0));
	print_attr();
	in_child(print_attr);
	at = (struct attr){.size = 0, .policy = SCHED_OTHER, .flags = 8 | 16 | 1};
	SAY(set_attr(0, &at, 0));
	print_attr();
	SAY(set_attr(0, NULL, 0));
	SAY(set_attr(0, &at, 1));
	SAY(set_attr(-1, &at, 0));
	SAY(set_attr(NOBODY, &at, 0));
	at.size = 20;
	SAY(set_attr(0, &at, 0));
	printf("size %u\n", at.size > 47);
	at.size = 100;
	at.more[40] = 1;
	SAY(set_attr(0, &at, 0));
	at = (struct attr){.size = 48, .policy = 77};
	SAY(set_attr(0, &at, 0));
	at = (struct attr){.size = 48, .flags = 1 << 20};
	SAY(set_attr(0, &at, 0));
	SAY(get_attr(0, &at, 47, 0));
	SAY(get_attr(0, &at, 5000, 0));
	SAY(get_attr(0, &at, 48, 1));
	SAY(get_attr(0, NULL, 48, 0));
	SAY(get_attr(NOBODY, &at, 48, 0));
	SAY(get_attr(0, (void *)-100, 48, 0));
}

static void show_nice(void)
{
	SAY(getpriority(PRIO_PROCESS, 0));
}

static void nices(void)
{
	int pid, p[2];
	char c;

	setpgid(0, 0);
	show_nice();
	SAY(setpriority(PRIO_PROCESS, 0, 4));
	show_nice();
	in_child(show_nice);
	if (pipe(p))
		return;
	pid = fork();
	if (!pid) {
		close(p[1]);
		setpriority(PRIO_PROCESS, 0, 9);
		_exit(read(p[0], &c, 1) < 0);
	}
	while (getpriority(PRIO_PROCESS, pid) != 9)
		usleep(1000);
	SAY(getpriority(PRIO_PGRP, 0));
	SAY(getpriority(PRIO_PGRP, getpid()));
	SAY(setpriority(PRIO_PGRP, 0, 12));
	SAY(getpriority(PRIO_PROCESS, pid));
	show_nice();
	SAY(setpriority(PRIO_PROCESS, pid, 100));
	SAY(getpriority(PRIO_PROCESS, pid));
	SAY(getpriority(PRIO_PROCESS, NOBODY));
	SAY(getpriority(PRIO_PGRP, NOBODY));
	SAY(getpriority(PRIO_USER, 4000000));
	SAY(getpriority(3, 0));
	SAY(setpriority(3, 0, 0));
	SAY(setpriority(PRIO_PROCESS, NOBODY, 0));
	close(p[1]);
	wait(NULL);
}

#define IO(class, level) ((class) << 13 | (level))
static long io_get(int which, int who)
{
	return syscall(SYS_ioprio_get, which, who);
}

static long io_set(int which, int who, int value)
{
	return syscall(SYS_ioprio_set, which, who, value);
}

static void show_io(void)
{
	SAY(io_get(1, 0));
}

static void io_priorities(void)
{
	setpgid(0, 0);
	SAY(io_set(1, 0, IO(2, 5)));
	show_io();
	in_child(show_io);
	SAY(io_get(2, 0));
	SAY(io_set(2, 0, IO(3, 0)));
	show_io();
	SAY(io_set(1, getpid(), 0));
	show_io();
	SAY(io_set(1, 0, IO(0, 3)));
	SAY(io_set(1, 0, IO(4, 3)));
	SAY(io_set(9, 0, IO(2, 3)));
	SAY(io_set(1, NOBODY, IO(2, 3)));
	SAY(io_get(9, 0));
	SAY(io_get(1, NOBODY));
	SAY(io_get(2, NOBODY));
}

/* Zero sets what the parent had when it made this process. */
static void slack(void)
{
	SAY(prctl(PR_GET_TIMERSLACK));
	SAY(prctl(PR_SET_TIMERSLACK, 123));
	SAY(prctl(PR_GET_TIMERSLACK));
	SAY(prctl(PR_SET_TIMERSLACK, 0));
	SAY(prctl(PR_GET_TIMERSLACK));
}

int main(void)
{
	in_child(policies);
	in_child(attributes);
	in_child(nices);
	in_child(io_priorities);
	slack();
	prctl(PR_SET_TIMERSLACK, 70000);
	in_child(slack);
	SAY(getpgid(1) >= 0);
	SAY(getsid(1) >= 0);
	SAY(getpgid(NOBODY));
	return 0;
}
