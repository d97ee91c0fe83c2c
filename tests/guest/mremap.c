/* mremap: results, errnos, contents; stack growth. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PG   4096ul
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static void show(const char *what, void *ret)
{
	printf("%s: %s\n", what, ret == MAP_FAILED ? strerrorname_np(errno) : "ok");
	errno = 0;
}
#define SHOW(call) show(#call, call)

/* A reserved area, so that neighbours are known. */
static char *area(size_t pages)
{
	return mmap(NULL, pages * PG, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
}

static void fill(char *p, int pages)
{
	for (int i = 0; i < pages; i++)
		memset(p + (size_t)i * PG, 'a' + i % 26, PG);
}

static void print(const char *what, const char *p, int pages)
{
	printf("%s ", what);
	for (int i = 0; i < pages; i++)
		putchar(p[(size_t)i * PG + 17] ? p[(size_t)i * PG + 17] : '0');
	putchar('\n');
}

static void errnos(void)
{
	char *p = area(32);

	SHOW(mremap(p + 1, PG, PG, 0));
	SHOW(mremap(p, PG, 0, 0));
	SHOW(mremap(p, PG, 2 * PG, 64));
	SHOW(mremap(p, PG, PG, MREMAP_FIXED, p + 8 * PG));
	SHOW(mremap(p, PG, 2 * PG, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
	SHOW(mremap(p, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, p + 2 * PG));
	SHOW(mremap(p, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, p + 8 * PG + 1));
	SHOW(mremap(p, 0, PG, MREMAP_MAYMOVE));
	SHOW(mremap((void *)0x10000, PG, 2 * PG, MREMAP_MAYMOVE));
	munmap(p, 32 * PG);
	SHOW(mremap(p, PG, 2 * PG, MREMAP_MAYMOVE));
}

static void anonymous(void)
{
	char *a = area(64), *p, *q;

	p = mmap(a, 8 * PG, RW, ANON | MAP_FIXED, -1, 0);
	fill(p, 8);
	SHOW(mremap(p, 8 * PG, 16 * PG, 0)); /* its neighbour is in the way */
	munmap(a + 8 * PG, 20 * PG);
	q = mremap(p, 8 * PG, 16 * PG, 0);
	printf("grown in place %d\n", q == p);
	print("contents", q, 16);
	q = mremap(p, 16 * PG, 4 * PG, 0);
	printf("shrunk in place %d\n", q == p);
	q = mremap(p, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, a + 40 * PG);
	printf("moved %d\n", q == a + 40 * PG);
	print("contents", q, 4);
	q[5] = 'X';
	SHOW(mremap(p, PG, PG, 0));
	p = mremap(q, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	print("moved away", p, 4);
	print("left behind", q, 4);
	printf("%c\n", p[5]);
	p = mremap(p, 4 * PG, 3000 * PG, MREMAP_MAYMOVE);
	print("grown far", p, 6);
	p[2999 * PG] = 1;
	/* From the middle of a mapping. */
	fill(p, 16);
	q = mremap(p + 4 * PG, 2 * PG, 5 * PG, MREMAP_MAYMOVE);
	print("middle", q, 5);
	print("before", p, 4);
	print("after", p + 6 * PG, 4);
}

static void files(void)
{
	char name[] = "mremapXXXXXX", byte = 0;
	int fd = mkstemp(name);
	char *p, *q;

	for (int i = 0; i < 40; i++) {
		char block[PG];

		memset(block, 'A' + i % 26, sizeof(block));
		if (write(fd, block, sizeof(block)) < 0)
			printf("write failed\n");
	}
	p = mmap(area(64), 4 * PG, RW, MAP_PRIVATE | MAP_FIXED, fd, 2 * PG);
	p[PG + 17] = '!';
	q = mremap(p, 4 * PG, 30 * PG, MREMAP_MAYMOVE);
	print("private", q, 30);
	p = mmap(area(64), 4 * PG, RW, MAP_SHARED | MAP_FIXED, fd, 2 * PG);
	q = mremap(p, 4 * PG, 20 * PG, MREMAP_MAYMOVE);
	q[9 * PG + 17] = '?';
	pread(fd, &byte, 1, 11 * PG + 17);
	printf("file has %c\n", byte);
	p = mremap(q, 0, 20 * PG, MREMAP_MAYMOVE);
	printf("twice %c %d\n", p[9 * PG + 17], p != q);
	p = mmap(NULL, 4 * PG, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	q = mremap(p, 0, 4 * PG, MREMAP_MAYMOVE);
	p[3 * PG] = 'k';
	printf("shared twice %c\n", q[3 * PG]);
	unlink(name);
}

static int deep(int n)
{
	volatile char frame[2000];

	frame[0] = (char)n;
	frame[1999] = 1;
	return n ? deep(n - 1) + frame[1999] : frame[0];
}

/* The old place and the new one lie in the same 2 MiB, and the old one's share of it empties first. */
static void neighbours(void)
{
	const size_t half = 512 << 10, len = 3 * half;
	char *area = mmap(NULL, 16 * half, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *edge = (char *)(((uintptr_t)area + 8 * half - 1) & ~(uintptr_t)(4 * half - 1));
	char *old = edge + 2 * half, *new = edge - half;

	mmap(old, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	old[0] = 1;
	old[5 * (half / 2)] = 2;
	printf("moved %d\n", mremap(old, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, new) == new);
	printf("%d %d\n", new[0], new[5 * (half / 2)]);
	munmap(area, 16 * half);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	errnos();
	anonymous();
	files();
	neighbours();
	printf("stack depth %d\n", deep(3000));
	return 0;
}
