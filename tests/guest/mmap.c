/* mmap, munmap, mprotect, madvise, msync, mincore, mlock, brk: results, errnos and contents. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PG   4096ul
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf jump;
static volatile int got_sig, got_code;
static void *volatile got_addr;

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
	got_sig = sig;
	got_code = info->si_code;
	got_addr = info->si_addr;
	siglongjmp(jump, 1);
}

/* Result of a call: its value (when it is small) or the errno's name. */
static void show(const char *what, long ret)
{
	if (ret == -1)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: ok\n", what);
	errno = 0;
}
#define SHOW(call) show(#call, (long)(call))

/* What touching a byte does. */
static void touch(const char *what, volatile char *p, int write)
{
	if (sigsetjmp(jump, 1)) {
		printf("%s: signal %d code %d at %s\n", what, got_sig, got_code,
		       got_addr == (void *)p ? "the byte" : "elsewhere");
		return;
	}
	if (write)
		*p = 1;
	else
		(void)*p;
	printf("%s: fine\n", what);
}

static char *map(size_t len, int prot, int flags, int fd, off_t off)
{
	char *p = mmap(NULL, len, prot, flags, fd, off);

	if (p == MAP_FAILED) {
		printf("mmap failed: %s\n", strerrorname_np(errno));
		exit(1);
	}
	return p;
}

static void errnos(void)
{
	char *p = map(4 * PG, RW, ANON, -1, 0);

	SHOW(mmap(NULL, 0, RW, ANON, -1, 0));
	SHOW(mmap(NULL, PG, RW, MAP_ANONYMOUS, -1, 0));
	SHOW(mmap(NULL, PG, RW, MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SHOW(mmap(NULL, ~0ul, RW, ANON, -1, 0));
	SHOW(mmap(NULL, 1ul << 48, RW, ANON | MAP_NORESERVE, -1, 0));
	SHOW(mmap(p + 1, PG, RW, ANON | MAP_FIXED, -1, 0));
	SHOW(mmap((void *)(1ul << 47), PG, RW, ANON | MAP_FIXED, -1, 0));
	SHOW(mmap(p, PG, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	SHOW(mmap(NULL, PG, RW, MAP_PRIVATE, 999, 0));
	SHOW(syscall(SYS_mmap, NULL, PG, RW, ANON, -1, 1));
	SHOW(munmap(p + 1, PG));
	SHOW(munmap(p, 0));
	SHOW(munmap((void *)(1ul << 50), PG));
	SHOW(mprotect(p + 1, PG, RW));
	SHOW(mprotect(p, 0, RW));
	SHOW(mprotect(p, PG, 0x4000));
	SHOW(munmap(p + PG, PG));
	SHOW(mprotect(p, 4 * PG, PROT_READ));
	touch("write first page", p, 1);
	touch("write last page", p + 3 * PG, 1);
	SHOW(madvise(p + 1, PG, MADV_DONTNEED));
	SHOW(madvise(p, PG, 12345));
	SHOW(madvise(p, 4 * PG, MADV_DONTNEED));
	SHOW(madvise(p, PG, MADV_WILLNEED));
	SHOW(madvise(p, PG, MADV_REMOVE));
	SHOW(madvise(p, 0, MADV_DONTNEED));
	SHOW(msync(p + 1, PG, MS_SYNC));
	SHOW(msync(p, PG, MS_SYNC | MS_ASYNC));
	SHOW(msync(p, 4 * PG, MS_SYNC));
	SHOW(msync(p, PG, 64));
	SHOW(munmap(p, 4 * PG));
	SHOW(munmap(p, 4 * PG));
}

static void anonymous(void)
{
	char *p = map(600 * PG, RW, ANON, -1, 0), *q;
	long sum = 0;

	for (size_t i = 0; i < 600; i++)
		sum += p[i * PG] + p[i * PG + 4095];
	printf("fresh sum %ld\n", sum);
	memset(p, 7, 600 * PG);
	SHOW(madvise(p + 10 * PG, 20 * PG, MADV_DONTNEED));
	printf("after DONTNEED %d %d %d %d\n", p[9 * PG], p[10 * PG], p[29 * PG], p[30 * PG]);
	SHOW(mprotect(p + 100 * PG, 10 * PG, PROT_READ));
	touch("read protected", p + 105 * PG, 0);
	touch("write protected", p + 105 * PG, 1);
	SHOW(mprotect(p + 100 * PG, 10 * PG, PROT_NONE));
	touch("read none", p + 105 * PG, 0);
	SHOW(mprotect(p + 100 * PG, 10 * PG, RW));
	printf("kept %d\n", p[105 * PG]);
	touch("write again", p + 105 * PG, 1);
	SHOW(munmap(p + 200 * PG, 5 * PG));
	touch("hole", p + 202 * PG, 0);
	q = mmap(p + 200 * PG, 5 * PG, RW, ANON | MAP_FIXED, -1, 0);
	printf("filled at the hole: %d, fresh %d\n", q == p + 200 * PG, q[PG]);
	touch("jump into data", p, 0);
	munmap(p, 600 * PG);
}

static void execute(void)
{
	static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
	char *p = map(PG, RW, ANON, -1, 0);
	int (*fn)(void) = (int (*)(void))(void *)p;

	memcpy(p, code, sizeof(code));
	if (sigsetjmp(jump, 1))
		printf("execute data: signal %d code %d at the byte %d\n", got_sig, got_code,
		       got_addr == p);
	else
		printf("executed %d\n", fn());
	SHOW(mprotect(p, PG, PROT_READ | PROT_EXEC));
	printf("executed %d\n", fn());
	touch("write text", p, 1);
	SHOW(mprotect(p, PG, RW | PROT_EXEC));
	p[1] = 43;
	printf("executed %d\n", fn());
	munmap(p, PG);
}

static void files(void)
{
	char name[] = "mmapXXXXXX", buf[16] = "";
	int fd = mkstemp(name), ro;
	char *a, *b;

	for (int i = 0; i < 3; i++) {
		char block[PG];

		memset(block, 'a' + i, sizeof(block));
		if (write(fd, block, i == 2 ? 100 : sizeof(block)) < 0)
			printf("write failed\n");
	}
	ro = open(name, O_RDONLY);
	a = map(4 * PG, RW, MAP_PRIVATE, fd, 0);
	b = map(4 * PG, RW, MAP_SHARED, fd, 0);
	printf("file %c %c %c %d\n", a[0], a[PG], a[2 * PG + 99], a[2 * PG + 100]);
	a[1] = 'P';
	b[2] = 'S';
	pread(fd, buf, 4, 0);
	printf("private %.4s shared %.4s file %.4s\n", a, b, buf);
	SHOW(msync(b, 3 * PG, MS_SYNC));
	touch("past the end", b + 3 * PG, 0);
	touch("past the end, private write", a + 3 * PG, 1);
	SHOW(ftruncate(fd, 4 * PG));
	touch("after growing", b + 3 * PG, 0);
	SHOW(ftruncate(fd, PG));
	touch("after shrinking", b + PG, 0);
	pwrite(fd, "Z", 1, 0);
	printf("write seen %c\n", b[0]);
	SHOW(mmap(NULL, PG, RW, MAP_SHARED, ro, 0));
	SHOW(mmap(NULL, PG, RW, MAP_PRIVATE, ro, 0));
	SHOW(mmap(NULL, PG, PROT_READ, MAP_SHARED, ro, 0));
	SHOW(mprotect(map(PG, PROT_READ, MAP_SHARED, ro, 0), PG, RW));
	SHOW(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, ro, 123));
	SHOW(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0));
	SHOW(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, open(name, O_WRONLY), 0));
	SHOW(mmap(NULL, PG, PROT_READ, MAP_SHARED_VALIDATE | 0x800000, ro, 0));
	SHOW(madvise(a, PG, MADV_DONTNEED));
	printf("private again %.3s\n", a);
	close(fd);
	close(ro);
	unlink(name);
	printf("after close %c\n", b[2]);
}

static void residency(void)
{
	char *p = map(8 * PG, RW, ANON, -1, 0);
	unsigned char vec[8];

	memset(vec, 9, sizeof(vec));
	SHOW(mincore(p + 1, PG, vec));
	SHOW(mincore(p, 8 * PG, (void *)8));
	memset(p, 1, 8 * PG);
	SHOW(mincore(p, 8 * PG, vec));
	printf("resident %d %d\n", vec[0] & 1, vec[7] & 1);
	munmap(p + 4 * PG, PG);
	SHOW(mincore(p, 8 * PG, vec));
	SHOW(mlock(p, 4 * PG));
	SHOW(munlock(p, 4 * PG));
	SHOW(mlock(p, 8 * PG));
	SHOW(munlockall());
	SHOW(mlockall(0));
	SHOW(mlock2(p, PG, 77));
}

static void break_(void)
{
	char *start = sbrk(0), *p;

	p = sbrk(100000);
	printf("brk moved %d\n", p == start);
	memset(p, 5, 100000);
	SHOW(brk(start));
	SHOW(brk(start + 3 * PG));
	printf("fresh %d\n", start[2 * PG]);
	SHOW(brk((void *)PG));
	SHOW(brk((void *)(1ul << 46)));
	printf("still %d\n", (char *)sbrk(0) == start + 3 * PG);
}

static void limits(void)
{
	struct rlimit old, lim;

	getrlimit(RLIMIT_AS, &old);
	lim = (struct rlimit){1ul << 30, old.rlim_max};
	SHOW(setrlimit(RLIMIT_AS, &lim));
	SHOW(mmap(NULL, 2ul << 30, RW, ANON | MAP_NORESERVE, -1, 0));
	SHOW(mmap(NULL, 1ul << 20, RW, ANON, -1, 0));
	setrlimit(RLIMIT_AS, &old);
	SHOW(mmap(NULL, 8ul << 40, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
}

static void low(void)
{
	char *p = mmap(NULL, PG, RW, ANON | MAP_32BIT, -1, 0);

	printf("32 bits %d\n", p != MAP_FAILED && (uintptr_t)p < 1ul << 31);
	p = mmap((void *)0x10000000, PG, RW, ANON, -1, 0);
	printf("hint %p\n", (void *)p);
	p = mmap((void *)0x10000123, PG, RW, ANON, -1, 0);
	printf("taken hint moved %d\n", p != (void *)0x10000000);
	p = mmap((void *)0x11000000, PG, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	printf("noreplace %p\n", (void *)p);
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	errnos();
	anonymous();
	execute();
	files();
	residency();
	break_();
	limits();
	low();
	touch("null", NULL, 0);
	touch("non-canonical", (char *)(1ul << 52), 0);
	touch("upper half", (char *)0xffff800000000000, 1);
	return 0;
}
