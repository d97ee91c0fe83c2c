/* madvise in full, mremap without unmapping, growing stacks, locks, limits, the break. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

#define P 4096ul

static sigjmp_buf jump;
static volatile int code;

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	code = sig * 100 + si->si_code;
	siglongjmp(jump, 1);
}

/* Signal and code of a load or store at p; 0: it works. */
static int touch(volatile char *p, int write)
{
	code = 0;
	if (!sigsetjmp(jump, 1)) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	return code;
}

static char *map(size_t pages, int prot, int flags)
{
	return mmap(NULL, pages * P, prot, MAP_ANONYMOUS | (flags ? flags : MAP_PRIVATE), -1, 0);
}

static void drop_capabilities(void)
{
	struct {
		unsigned version;
		int pid;
	} hdr = {0x20080522, 0};
	unsigned data[6] = {0};

	syscall(SYS_capset, &hdr, data);
}

static int file(int pages)
{
	int fd = memfd_create("f", 0);

	if (ftruncate(fd, (off_t)(pages * P)))
		exit(1);
	for (int i = 0; i < pages; i++)
		if (pwrite(fd, "file", 4, (off_t)(i * P)) != 4)
			exit(1);
	return fd;
}

static void advise(const char *what, char *p, size_t n, int fd_kind)
{
	static const int all[] = {0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
				  22, 23, 5, 6, 7, 99, -1};

	printf("%s:", what);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		errno = 0;
		int r = madvise(p, n, all[i]);

		/* merging pages is a matter of the kernel's configuration, huge pages too */
		if (all[i] == 12 || all[i] == 13 || all[i] == 14 || all[i] == 15)
			continue;
		printf(" %d:%s", all[i], r ? strerrorname_np(errno) : "0");
	}
	(void)fd_kind;
	printf("\n");
}

static void test_all(void)
{
	int fd = file(4);
	char *a = map(4, PROT_READ | PROT_WRITE, 0), *s = map(4, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *fp = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *fs = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *fr = mmap(NULL, 4 * P, PROT_READ, MAP_SHARED, fd, 0);
	char *none = map(4, PROT_NONE, 0);

	advise("anonymous", a, 4 * P, 0);
	advise("shared", s, 4 * P, 0);
	advise("file private", fp, 4 * P, 0);
	advise("file shared", fs, 4 * P, 0);
	advise("file read", fr, 4 * P, 0);
	advise("none", none, 4 * P, 0);
	munmap(a + P, P);
	advise("hole", a, 4 * P, 0);
	advise("odd address", a + 1, 4 * P, 0);
	advise("nothing", a, 0, 0);
	advise("too long", a, -1ul, 0);
	close(fd);
}

static void test_contents(void)
{
	int fd = file(4);
	char *a = map(4, PROT_READ | PROT_WRITE, 0);
	char *fp = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *fs = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	unsigned char vec[4];

	memset(a, 7, 4 * P);
	madvise(a + P, P, MADV_DONTNEED);
	printf("dontneed %d %d %d\n", a[0], a[P], a[2 * P]);
	strcpy(fp, "mine");
	madvise(fp, P, MADV_DONTNEED);
	printf("private file %s\n", fp);
	strcpy(fs + P, "kept");
	madvise(fs, 2 * P, MADV_DONTNEED);
	printf("shared file %s\n", fs + P);
	SAY(madvise(fs, P, MADV_REMOVE));
	printf("removed '%s' next '%s'\n", fs, fs + P);
	SAY(madvise(a, 4 * P, 22)); /* MADV_POPULATE_READ */
	SAY(mincore(a, 4 * P, vec));
	printf("%d %d %d %d\n", vec[0] & 1, vec[1] & 1, vec[2] & 1, vec[3] & 1);
	mprotect(a, P, PROT_READ);
	SAY(madvise(a, P, 23)); /* MADV_POPULATE_WRITE */
	SAY(madvise(a + P, P, 23));
	SAY(mlock(a + P, P));
	SAY(madvise(a + P, P, MADV_DONTNEED));
	SAY(madvise(a + P, P, 24)); /* MADV_DONTNEED_LOCKED */
	printf("locked %d\n", a[P]);
	SAY(madvise(a + P, P, MADV_FREE));
	SAY(madvise(a + P, P, MADV_COLD));
	SAY(munlock(a + P, P));
	close(fd);
}

static void test_fork(void)
{
	char *a = map(3, PROT_READ | PROT_WRITE, 0);
	int st;

	memset(a, 5, 3 * P);
	SAY(madvise(a, P, MADV_WIPEONFORK));
	SAY(madvise(a + P, P, MADV_DONTFORK));
	fflush(stdout);
	if (!fork()) {
		printf("child %d %d %d\n", a[0], touch(a + P, 0), a[2 * P]);
		a[0] = 6;
		fflush(stdout);
		if (!fork()) {
			printf("grandchild %d\n", a[0]);
			fflush(stdout);
			_exit(0);
		}
		wait(&st);
		_exit(0);
	}
	wait(&st);
	SAY(madvise(a, P, MADV_KEEPONFORK));
	SAY(madvise(a + P, P, MADV_DOFORK));
	fflush(stdout);
	if (!fork()) {
		printf("child %d %d %d\n", a[0], touch(a + P, 0), a[2 * P]);
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
}

static void test_mremap(void)
{
	char *a = map(4, PROT_READ | PROT_WRITE, 0), *s = map(2, PROT_READ | PROT_WRITE, MAP_SHARED), *b;
	int fd = file(2);
	char *fp = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	strcpy(a, "first");
	strcpy(a + P, "second");
	b = mremap(a, 2 * P, 2 * P, MREMAP_MAYMOVE | 4, NULL); /* MREMAP_DONTUNMAP */
	printf("dontunmap %d %s %s old '%s'\n", b != MAP_FAILED, b, b + P, a);
	SAY(mremap(a, P, 2 * P, MREMAP_MAYMOVE | 4, NULL) == MAP_FAILED);
	SAY((long)mremap(a, P, P, 4, NULL));
	strcpy(s, "shared");
	b = mremap(s, 2 * P, 2 * P, MREMAP_MAYMOVE | 4, NULL);
	printf("shared %d\n", b != MAP_FAILED && !strcmp(b, "shared") && !strcmp(s, "shared"));
	strcpy(fp, "private");
	b = mremap(fp, 2 * P, 2 * P, MREMAP_MAYMOVE | 4, NULL);
	printf("file %d %s old %s\n", b != MAP_FAILED, b, fp);
	b = mremap(s, 0, 2 * P, MREMAP_MAYMOVE);
	printf("second view %s\n", b == MAP_FAILED ? strerrorname_np(errno) : b);
	SAY((long)mremap(a, 0, P, MREMAP_MAYMOVE));
	SAY((long)mremap(a, P, 0, MREMAP_MAYMOVE));
	SAY((long)mremap(a + 1, P, P, MREMAP_MAYMOVE));
	SAY((long)mremap(a, P, 2 * P, MREMAP_FIXED, a + 8 * P));
	SAY((long)mremap(a, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, a + P));
	SAY((long)mremap((void *)0x10000, P, 2 * P, MREMAP_MAYMOVE));
	munmap(a + P, P);
	SAY((long)mremap(a, 4 * P, 5 * P, MREMAP_MAYMOVE));
	close(fd);
}

static void test_place(void)
{
	char *a = map(8, PROT_NONE, 0), *b;

	munmap(a + 2 * P, P);
	b = mmap(a + 2 * P, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	printf("noreplace %d\n", b == a + 2 * P);
	SAY((long)mmap(a + 2 * P, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	b = mmap(a + 2 * P, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("hint %d\n", b != a + 2 * P && b != MAP_FAILED);
	SAY((long)mmap((void *)1, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	SAY((long)mmap((void *)-P, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	SAY((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SAY((long)mmap(NULL, P, PROT_READ, MAP_ANONYMOUS, -1, 0));
	SAY((long)mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS | 0x80, -1, 0) < 0);
	SAY((long)mmap(NULL, -P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SAY((long)mmap(NULL, P, PROT_READ, MAP_PRIVATE, 77, 0));
	SAY((long)mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1));
	SAY(munmap(a + 1, P));
	SAY(munmap(a, 0));
	SAY(munmap((void *)-P, P));
	SAY(mprotect(a, 9 * P, 99));
	SAY(mprotect(a + 1, P, PROT_READ));
	SAY(mprotect(a, 0, PROT_READ));
	SAY(mprotect((void *)0x10000, P, PROT_READ));
}

static void test_growsdown(void)
{
	char *area = map(600, PROT_NONE, 0), *g;

	munmap(area, 600 * P);
	g = mmap(area + 500 * P, 4 * P, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	printf("growsdown %d\n", g != MAP_FAILED);
	printf("below %d\n", touch(g - P, 1));
	printf("more %d\n", touch(g - 20 * P, 1));
	g[-20 * (long)P] = 3;
	printf("far below %d\n", touch(area - 100000 * P, 1) != 0);
	SAY((long)mmap(NULL, P, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
	SAY(mprotect(g, P, PROT_READ | PROT_GROWSDOWN));
	printf("all of it %d\n", touch(g - 3 * P, 1));
}

static void test_locks(void)
{
	struct rlimit r = {4 * P, 4 * P}, none = {0, 0};
	char *a = map(8, PROT_READ | PROT_WRITE, 0);

	SAY(setrlimit(RLIMIT_MEMLOCK, &r));
	SAY(mlock(a, 4 * P));
	SAY(mlock(a, 5 * P));
	SAY(mlock(a, P)); /* again */
	SAY(mlock(a + 4 * P, P));
	SAY(munlock(a, P));
	SAY(mlock(a + 4 * P, P));
	SAY(munlockall());
	SAY(mlockall(MCL_CURRENT));
	SAY(mlockall(0));
	SAY(mlockall(MCL_ONFAULT));
	SAY(mlockall(99));
	SAY(syscall(SYS_mlock2, a, P, 2));
	SAY(syscall(SYS_mlock2, a, P, 1));
	munmap(a + 6 * P, P);
	SAY(mlock(a + 5 * P, 2 * P));
	SAY(munlock(a + 5 * P, 2 * P));
	SAY((long)mmap(NULL, 8 * P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
	SAY(msync(a, P, MS_INVALIDATE | MS_SYNC));
	SAY(msync(a, 8 * P, MS_SYNC));
	SAY(msync(a, P, MS_SYNC | MS_ASYNC));
	SAY(msync(a + 1, P, MS_SYNC));
	SAY(setrlimit(RLIMIT_MEMLOCK, &none));
	SAY(mlock(a, P));
	SAY(mlockall(MCL_FUTURE));
	munlockall();
	unsigned char vec[8];

	SAY(mincore(a, 8 * P, vec));
	SAY(mincore(a + 1, P, vec));
	SAY(mincore(a, P, (void *)8));
}

static void in_child(const char *what, void (*fn)(void))
{
	int st;

	fflush(stdout);
	if (!fork()) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	printf("%s ends %x\n", what, st);
}

static unsigned long vsize(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long n = 0;

	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n * P;
}

static void limit_as(void)
{
	struct rlimit r = {vsize() + 100 * P, RLIM_INFINITY};
	char *a;

	SAY(setrlimit(RLIMIT_AS, &r));
	SAY((long)map(200, PROT_READ, 0));
	a = map(50, PROT_READ, 0);
	printf("mapped %d\n", a != MAP_FAILED);
	SAY((long)mremap(a, 50 * P, 200 * P, MREMAP_MAYMOVE));
	SAY((long)sbrk(200 * P));
}

static void limit_data(void)
{
	struct rlimit r = {2 << 20, RLIM_INFINITY};
	char *a;

	SAY(setrlimit(RLIMIT_DATA, &r));
	SAY((long)map(1000, PROT_READ | PROT_WRITE, 0));
	a = map(1000, PROT_READ, 0);
	printf("read only %d\n", a != MAP_FAILED);
	SAY(mprotect(a, 1000 * P, PROT_READ | PROT_WRITE));
	printf("shared %d\n", map(1000, PROT_READ | PROT_WRITE, MAP_SHARED) != MAP_FAILED);
	SAY((long)sbrk(4 << 20));
}

static int deep(int n)
{
	volatile char room[16384];

	room[0] = (char)n;
	return n ? deep(n - 1) + room[0] : 0;
}

static void limit_stack(void)
{
	struct rlimit r = {1 << 20, RLIM_INFINITY};

	SAY(setrlimit(RLIMIT_STACK, &r));
	printf("shallow %d\n", deep(20) != 12345);
	fflush(stdout);
	signal(SIGSEGV, SIG_DFL);
	deep(200);
}

static void the_break(void)
{
	char *b = sbrk(0);

	SAY(syscall(SYS_brk, 0) == (long)b);
	SAY(syscall(SYS_brk, b + 100) == (long)(b + 100));
	b[50] = 3;
	SAY(syscall(SYS_brk, b + 5 * P) == (long)(b + 5 * P));
	printf("zero %d kept %d\n", b[4 * P], b[50]);
	b[4 * P] = 9;
	SAY(syscall(SYS_brk, b + P) == (long)(b + P));
	printf("gone %d\n", touch(b + 4 * P, 0));
	SAY(syscall(SYS_brk, b + 5 * P) == (long)(b + 5 * P));
	printf("fresh %d\n", b[4 * P]);
	SAY(syscall(SYS_brk, 8) == (long)(b + 5 * P));
	SAY(syscall(SYS_brk, -1l) == (long)(b + 5 * P));
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	drop_capabilities();
	test_all();
	test_contents();
	test_fork();
	test_mremap();
	test_place();
	test_growsdown();
	in_child("locks", test_locks);
	in_child("as", limit_as);
	in_child("data", limit_data);
	in_child("stack", limit_stack);
	in_child("break", the_break);
	return 0;
}
