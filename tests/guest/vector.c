/* Vector and x87 registers must survive system calls, faults, signals and preemption. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t signals;

/* Spoils every vector register, as a handler may. */
__attribute__((target("avx2"))) static void on_signal(int sig)
{
	__asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n\tvmovdqa %%ymm0, %%ymm1\n\tvmovdqa %%ymm0, %%ymm5\n\t"
			 "vmovdqa %%ymm0, %%ymm15\n\tfninit" ::: "xmm0", "xmm1", "xmm5", "xmm15");
	signals++;
}

/* Loads patterns, runs a system call (or spins when nr < 0), reads the registers back. */
__attribute__((target("avx2"))) static int round_trip(long nr, uint64_t seed, long spin)
{
	uint64_t in[4][4], out[4][4];
	double st = 1.5 + (double)(seed & 0xff), back = 0;
	int i, j;

	for (i = 0; i < 4; i++)
		for (j = 0; j < 4; j++)
			in[i][j] = seed * 0x9e3779b97f4a7c15ull + (uint64_t)(i * 4 + j);
	__asm__ volatile("fldl %[st]\n\t"
			 "vmovdqu 0(%[in]), %%ymm0\n\tvmovdqu 32(%[in]), %%ymm1\n\t"
			 "vmovdqu 64(%[in]), %%ymm5\n\tvmovdqu 96(%[in]), %%ymm15\n\t"
			 "test %[nr], %[nr]\n\tjs 1f\n\tmov %[nr], %%rax\n\tsyscall\n"
			 "1:\tdec %[spin]\n\tjns 1b\n\t"
			 "vmovdqu %%ymm0, 0(%[out])\n\tvmovdqu %%ymm1, 32(%[out])\n\t"
			 "vmovdqu %%ymm5, 64(%[out])\n\tvmovdqu %%ymm15, 96(%[out])\n\t"
			 "fstpl %[back]\n\tvzeroupper"
			 : [spin] "+r"(spin), [back] "=m"(back)
			 : [in] "r"(in), [out] "r"(out), [nr] "r"(nr), [st] "m"(st)
			 : "rax", "rcx", "r11", "memory", "xmm0", "xmm1", "xmm5", "xmm15");
	return memcmp(in, out, sizeof(in)) || back != st;
}

static void *preempted(void *arg)
{
	long bad = 0;
	uint64_t i;

	for (i = 0; i < 200; i++)
		bad += round_trip(-1, i * 77 + (uint64_t)(uintptr_t)arg, 200000);
	return (void *)bad;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct itimerval tick = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
	long bad = 0, i;
	pthread_t t[4];
	void *r;

	if (!__builtin_cpu_supports("avx2")) {
		puts("no avx2");
		return 0;
	}
	for (i = 0; i < 2000; i++)
		bad += round_trip(i % 2 ? SYS_getppid : SYS_sched_yield, (uint64_t)i, 0);
	printf("across calls: %ld\n", bad);
	bad = 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
	for (i = 0; signals < 20 || i < 100; i++)
		bad += round_trip(i % 3 ? -1 : SYS_getppid, (uint64_t)i, 20000);
	setitimer(ITIMER_REAL, &off, NULL);
	printf("across signals: %ld\n", bad);
	bad = 0;
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, preempted, (void *)(i * 1000));
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &r);
		bad += (long)r;
	}
	printf("across preemption: %ld\n", bad);
	return 0;
}
