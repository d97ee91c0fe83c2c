/* Uses up what can be used up of address spaces: mappings, file mappings, addresses. Each limit must
 * be an errno, and the program must be able to go on after giving back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PG   4096ul
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static void split(void)
{
	size_t pages = 140000;
	char *p = mmap(NULL, pages * PG, PROT_NONE, ANON, -1, 0);
	size_t n;

	for (n = 1; n < pages; n += 2)
		if (mprotect(p + n * PG, PG, PROT_READ))
			break;
	printf("split until %s, as many as Linux allows %d\n", n < pages ? strerrorname_np(errno) : "-",
	       n > 64000 && n < 66000);
	/* A hole in the middle would make one more; the whole makes fewer. */
	printf("unmap all %d\n", munmap(p, pages * PG));
	p = mmap(NULL, PG, RW, ANON, -1, 0);
	*p = 1;
}

static void files(void)
{
	char name[] = "floodXXXXXX", *first = NULL, *p;
	int fd = mkstemp(name), n;

	if (write(fd, "x", 1) != 1)
		return;
	for (n = 0; n < 70000; n++) {
		p = mmap(NULL, PG, PROT_READ | (n & 1 ? PROT_WRITE : 0), MAP_PRIVATE, fd, 0);
		if (p == MAP_FAILED)
			break;
		first = first ? first : p;
	}
	printf("many file mappings %d, then %s, the first reads %c\n", n > 20000,
	       n < 70000 ? strerrorname_np(errno) : "-", *first);
	unlink(name);
}

static void addresses(void)
{
	size_t len = 1ul << 46;
	int n = 0;

	for (; len >= PG; len /= 2)
		while (n < 10000 && mmap(NULL, len, PROT_NONE, ANON, -1, 0) != MAP_FAILED)
			n++;
	printf("all addresses used: %s\n", strerrorname_np(errno));
	printf("program goes on\n");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	split();
	files();
	addresses();
	return 0;
}
