/* Threads made by the raw calls, identity, limits, prctl, scheduling: what does not depend on the
 * machine or on who runs the test. */
#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static void say(const char *what, long r)
{
	printf("%s: %ld errno %d\n", what, r, r == -1 ? errno : 0);
}

static _Atomic int ran, parent_tid, child_tid, seen_tid;
static char stack[65536] __attribute__((aligned(16)));

/* A raw thread has no TLS of its own: only calls that need none. */
static int raw_thread(void *arg)
{
	seen_tid = child_tid;
	ran = (int)(intptr_t)arg;
	__asm__ volatile("syscall" : : "a"(SYS_exit), "D"(3) : "rcx", "r11", "memory");
	return 0;
}

static void wait_exit(void)
{
	int v;

	while ((v = child_tid) != 0)
		syscall(SYS_futex, &child_tid, FUTEX_WAIT, v, NULL, NULL, 0);
}

static void test_clone(void)
{
	int tid;

	child_tid = -1;
	tid = clone(raw_thread, stack + sizeof(stack),
		    THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID,
		    (void *)5, &parent_tid, NULL, &child_tid);
	wait_exit();
	printf("clone: ran %d parent tid %d child tid %d\n", ran, parent_tid == tid,
	       seen_tid == tid);
	say("no thread without sighand", syscall(SYS_clone, CLONE_VM | CLONE_THREAD, 0, 0, 0, 0));
	struct clone_args ca = {.flags = THREAD, .stack = 0, .stack_size = 4096};

	say("clone3 stack size alone", syscall(SYS_clone3, &ca, sizeof(ca)));
	say("clone3 too small", syscall(SYS_clone3, &ca, 8));
	ca.stack_size = 0;
	ca.exit_signal = SIGCHLD;
	say("clone3 thread with signal", syscall(SYS_clone3, &ca, sizeof(ca)));
	say("clone3 bad pointer", syscall(SYS_clone3, (void *)16, sizeof(ca)));
	char big[4096] = {0};

	big[3000] = 1;
	say("clone3 from the future", syscall(SYS_clone3, big, sizeof(big)));
}

static void *thread_ids(void *arg)
{
	return (void *)(intptr_t)(gettid() != getpid() && getpid() == *(int *)arg);
}

static void test_ids(void)
{
	int pid = getpid(), uid = (int)getuid();
	uid_t r, e, s;
	pthread_t th;
	void *ret;

	printf("main: %d\n", gettid() == pid);
	pthread_create(&th, NULL, thread_ids, &pid);
	pthread_join(th, &ret);
	printf("thread: %d\n", (int)(intptr_t)ret);
	printf("group %d %d session %d\n", getpgrp() == getpgid(0), getpgid(pid) == getpgrp(),
	       getsid(0) == getsid(pid));
	say("getpgid none", getpgid(999999));
	getresuid(&r, &e, &s);
	printf("uids: %d %d %d\n", (int)r == uid, (int)e == (int)geteuid(), (int)s == uid);
	say("setuid self", setuid(getuid()));
	say("setresgid keep", setresgid(-1, -1, -1));
	printf("setfsuid: %d\n", setfsuid(-1) == uid);
	say("wait4", waitpid(-1, NULL, 0));
	siginfo_t si;

	say("waitid", waitid(P_ALL, 0, &si, WEXITED));
}

static void test_limits(void)
{
	struct rlimit rl, now;

	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = 64;
	say("setrlimit", setrlimit(RLIMIT_NOFILE, &rl));
	getrlimit(RLIMIT_NOFILE, &now);
	printf("now %lu\n", (unsigned long)now.rlim_cur);
	int fd = 0, n = 0, fds[80];

	while (n < 80 && (fd = dup(1)) >= 0)
		fds[n++] = fd;
	printf("dup: %d errno %d last %d\n", fd, errno, fds[n - 1]);
	while (n)
		close(fds[--n]);
	rl.rlim_cur = 100;
	rl.rlim_max = 50;
	say("cur over max", setrlimit(RLIMIT_NOFILE, &rl));
	say("bad resource", syscall(SYS_prlimit64, 0, 99, NULL, &rl));
	say("prlimit none", syscall(SYS_prlimit64, 999999, RLIMIT_CORE, NULL, &rl));
	say("getrlimit fault", syscall(SYS_getrlimit, RLIMIT_CORE, (void *)16));
	getrlimit(RLIMIT_STACK, &rl);
	printf("stack %d\n", rl.rlim_cur > 0);
}

static void test_prctl(void)
{
	char name[16] = "";

	say("set name", prctl(PR_SET_NAME, "a-name-longer-than-fits"));
	prctl(PR_GET_NAME, name);
	printf("name %s\n", name);
	say("name fault", prctl(PR_SET_NAME, (char *)16));
	say("dumpable", prctl(PR_GET_DUMPABLE));
	say("set dumpable", prctl(PR_SET_DUMPABLE, 0));
	say("dumpable", prctl(PR_GET_DUMPABLE));
	say("bad dumpable", prctl(PR_SET_DUMPABLE, 9));
	say("no new privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	say("no new privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	say("pdeathsig", prctl(PR_SET_PDEATHSIG, SIGTERM));
	say("bad option", prctl(12345));
	unsigned long fs = 0, gs = 1;

	say("get fs", syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	printf("fs %d\n", fs == (unsigned long)pthread_self());
	say("set gs", syscall(SYS_arch_prctl, ARCH_SET_GS, 0x12345000));
	say("get gs", syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	printf("gs %lx\n", gs);
	say("set gs bad", syscall(SYS_arch_prctl, ARCH_SET_GS, 0xffff800000000000ul));
	say("personality", syscall(SYS_personality, 0xffffffff));
}

static void test_sched(void)
{
	cpu_set_t set, one;
	struct sched_param sp = {0};

	say("affinity", sched_getaffinity(0, sizeof(set), &set));
	printf("cpus %d\n", CPU_COUNT(&set) >= 1);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set)) {
			CPU_SET(i, &one);
			break;
		}
	say("set affinity", sched_setaffinity(0, sizeof(one), &one));
	sched_getaffinity(0, sizeof(set), &set);
	printf("now %d\n", CPU_COUNT(&set));
	CPU_ZERO(&one);
	say("set none", sched_setaffinity(0, sizeof(one), &one));
	say("scheduler", sched_getscheduler(0));
	say("param", sched_getparam(0, &sp));
	printf("priorities %d %d %d %d\n", sched_get_priority_max(SCHED_FIFO),
	       sched_get_priority_min(SCHED_RR), sched_get_priority_max(SCHED_OTHER),
	       sched_get_priority_max(99));
	say("yield", sched_yield());
	unsigned cpu = 99999, node = 99999;

	say("getcpu", syscall(SYS_getcpu, &cpu, &node, NULL));
	printf("cpu %d node %d\n", cpu < 1024, node < 64);
	say("nice", nice(3));
	say("priority", getpriority(PRIO_PROCESS, 0));
}

static void *exit_early(void *arg)
{
	usleep(20000);
	syscall(SYS_exit_group, 9);
	return NULL;
}

int main(void)
{
	struct utsname u;
	struct sysinfo si;
	struct tms tms;
	char buf[300];
	pthread_t th;

	setvbuf(stdout, NULL, _IONBF, 0);
	test_clone();
	test_ids();
	test_limits();
	test_prctl();
	test_sched();
	say("uname", uname(&u));
	printf("%s %s\n", u.sysname, u.machine);
	say("uname fault", syscall(SYS_uname, (void *)16));
	say("sysinfo", sysinfo(&si));
	printf("ram %d\n", si.totalram >= si.freeram && si.totalram > 0);
	printf("times %d\n", times(&tms) > 0);
	say("getrandom", getrandom(buf, sizeof(buf), 0));
	say("getrandom flags", getrandom(buf, sizeof(buf), 0x80));
	say("getrandom fault", syscall(SYS_getrandom, (void *)16, 8, 0));
	say("set_tid_address", syscall(SYS_set_tid_address, NULL) == gettid());
	say("unknown call", syscall(600, 1, 2, 3));
	say("capget", syscall(SYS_capget, NULL, NULL));
	pthread_create(&th, NULL, exit_early, NULL);
	for (;;)
		pause();
}
