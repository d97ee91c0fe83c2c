/* A long random sequence of memory calls in one area, with a digest of all results and contents. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PG    4096ul
#define AREA  64 /* pages */
#define AT    ((char *)0x300000000)
#define STEPS 1500
#define RW    (PROT_READ | PROT_WRITE)
#define ANON  (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf jump;
static uint64_t digest = 14695981039346656037ull;
static unsigned seed = 77;

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
	siglongjmp(jump, sig * 16 + (info->si_code & 15));
}

static void mix(uint64_t v)
{
	digest = (digest ^ v) * 1099511628211ull;
}

static unsigned rnd(unsigned n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 10) % n;
}

static void result(long ret)
{
	mix(ret == -1 ? (uint64_t)errno << 32 : (uint64_t)ret);
}

static void touch(char *p, int write)
{
	int sig = sigsetjmp(jump, 1);

	if (sig)
		mix((uint64_t)sig);
	else if (write)
		*(volatile char *)p = (char)rnd(256);
	else
		mix((uint64_t)*(volatile char *)p);
}

static int prot(void)
{
	static const int all[] = {PROT_NONE, PROT_READ, RW, RW, RW, PROT_READ | PROT_EXEC};

	return all[rnd(6)];
}

static void step(int fd)
{
	char *p = AT + PG * rnd(AREA);
	size_t len = PG * (1 + rnd(10)), left = (size_t)(AT + AREA * PG - p);
	int kind;

	len = len < left ? len : left;
	switch (rnd(9)) {
	case 0:
		result((long)mmap(p, len, prot(), ANON | MAP_FIXED, -1, 0));
		break;
	case 1:
		kind = rnd(2) ? MAP_SHARED : MAP_PRIVATE;
		result((long)mmap(p, len, prot(), kind | MAP_FIXED, fd, (off_t)(PG * rnd(40))));
		break;
	case 2:
		result((long)mmap(p, len, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		break;
	case 3:
		result(munmap(p, len));
		break;
	case 4:
		result(mprotect(p, len, prot()));
		break;
	case 5:
		result(madvise(p, len, MADV_DONTNEED));
		break;
	case 6:
		result(pread(fd, p, len / 2 + 77, PG * rnd(30)));
		break;
	default:
		for (int i = 0; i < 8; i++)
			touch(AT + rnd(AREA * PG), (int)rnd(3));
	}
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	char name[] = "mmrandomXXXXXX", block[PG];
	int fd = mkstemp(name);

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	for (int i = 0; i < 48; i++) { /* the last mapped pages are past the end */
		memset(block, i + 1, sizeof(block));
		if (write(fd, block, sizeof(block)) < 0)
			return 1;
	}
	for (int i = 1; i <= STEPS; i++) {
		step(fd);
		if (i % 100)
			continue;
		for (size_t k = 0; k < AREA; k++)
			touch(AT + k * PG + k * 13, 0);
		printf("%d %016llx\n", i, (unsigned long long)digest);
	}
	unlink(name);
	return 0;
}
