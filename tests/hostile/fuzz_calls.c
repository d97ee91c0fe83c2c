/* Random system calls with hostile arguments, from several threads. The sandbox may refuse anything,
 * but must stay up: the program prints "alive" at the end. Usage: fuzz_calls SEED COUNT. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t seed;
static long count;
static char *area;
#define AREA (1 << 20)

static uint64_t next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static int excluded(long nr)
{
	static const int list[] = {
		SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_kill, SYS_tkill, SYS_tgkill, SYS_clone,
		SYS_clone3, SYS_fork, SYS_vfork, SYS_execve, SYS_execveat, SYS_pause, SYS_rt_sigsuspend,
		SYS_rt_sigtimedwait, SYS_nanosleep, SYS_clock_nanosleep, SYS_munmap, SYS_mremap, SYS_mprotect,
		SYS_mmap, SYS_brk, SYS_madvise, SYS_arch_prctl, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
		SYS_read, SYS_readv, SYS_pread64, SYS_preadv, SYS_preadv2, SYS_select, SYS_pselect6, SYS_poll,
		SYS_ppoll, SYS_epoll_wait, SYS_epoll_pwait, SYS_futex, SYS_alarm, SYS_setitimer,
		SYS_timer_settime, SYS_timer_create, SYS_close, SYS_close_range, SYS_dup2, SYS_dup3,
		SYS_setrlimit, SYS_prlimit64, SYS_restart_syscall, SYS_wait4, SYS_waitid, SYS_sigaltstack,
		SYS_rt_sigaction, SYS_set_robust_list, SYS_rseq, SYS_flock, SYS_fcntl, SYS_accept,
		SYS_accept4, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_write, SYS_writev, SYS_pwrite64,
		SYS_msync, SYS_set_tid_address, SYS_prctl, SYS_getrandom, SYS_sendfile, SYS_splice, 441, 449,
		SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_chroot, SYS_shmat, SYS_semop, SYS_semtimedop, SYS_msgsnd,
		SYS_msgrcv, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pkey_mprotect,
		455 /* futex_wait */,
	};
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(*list); i++)
		if (list[i] == nr)
			return 1;
	return 0;
}

static uint64_t argument(uint64_t *s)
{
	static const uint64_t odd[] = {
		0, 1, ~0ull, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffff,
		0x800000000000, 0xffff800000000000, 0xffffffff80000000, 0xffffffff80001000,
		0x7fffffffefff, 4095, 4096, (uint64_t)-100, (uint64_t)-4096,
	};
	uint64_t r = next(s);

	switch (r % 8) {
	case 0:
		return next(s);
	case 1:
		return next(s) % 8;
	case 2:
	case 3:
		return odd[next(s) % (sizeof(odd) / sizeof(*odd))];
	case 4: /* at the end of a mapping */
		return (uint64_t)area + AREA - next(s) % 64;
	default:
		return (uint64_t)area + next(s) % (AREA - 4096);
	}
}

static void *worker(void *arg)
{
	uint64_t s = seed * 2654435761u + (uint64_t)(uintptr_t)arg * 40503 + 1;
	long i;

	for (i = 0; i < count; i++) {
		long nr = (long)(next(&s) % 470), k;

		if (excluded(nr))
			continue;
		for (k = 0; k < 64; k++) {
			uint64_t *p = (uint64_t *)(area + (next(&s) % (AREA - 64) & ~7ull));

			*p = argument(&s);
		}
		syscall(nr, argument(&s), argument(&s), argument(&s), argument(&s), argument(&s),
			argument(&s));
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[3];
	sigset_t all;
	long i;

	if (argc != 3)
		return 2;
	seed = strtoull(argv[1], NULL, 0);
	count = atol(argv[2]);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	area = mmap(NULL, AREA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(area + AREA, 4096, PROT_NONE);
	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, worker, (void *)i);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	syscall(SYS_write, 1, "alive\n", 6);
	_exit(0);
}
