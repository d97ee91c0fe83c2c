/* The devices every program may expect, and the standard descriptors by name. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void node(const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		printf("%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	printf("%s: type %o device %u:%u\n", path, st.st_mode & S_IFMT, major(st.st_rdev),
	       minor(st.st_rdev));
}

static int all_zero(const char *p, size_t n)
{
	while (n--)
		if (*p++)
			return 0;
	return 1;
}

static void zero_and_full(void)
{
	char buf[8192];
	int fd = open("/dev/zero", O_RDWR);
	char *m;

	memset(buf, 1, sizeof(buf));
	SAY(read(fd, buf, sizeof(buf)));
	printf("zeroes %d\n", all_zero(buf, sizeof(buf)));
	SAY(write(fd, buf, 100));
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	printf("mapped %d zeroes %d\n", m != MAP_FAILED, m != MAP_FAILED && all_zero(m, 8192));
	if (m != MAP_FAILED) {
		m[5000] = 1;
		munmap(m, 8192);
	}
	close(fd);
	fd = open("/dev/full", O_RDWR);
	SAY(read(fd, buf, 10));
	SAY(write(fd, buf, 10));
	close(fd);
}

static void null_and_random(void)
{
	char a[32] = "", b[32] = "";
	int fd = open("/dev/null", O_RDWR | O_TRUNC);

	SAY(read(fd, a, sizeof(a)));
	SAY(write(fd, a, sizeof(a)));
	SAY(lseek(fd, 100, SEEK_SET));
	close(fd);
	fd = open("/dev/urandom", O_RDONLY);
	SAY(read(fd, a, sizeof(a)));
	SAY(read(fd, b, sizeof(b)));
	printf("differ %d\n", memcmp(a, b, sizeof(a)) != 0);
	close(fd);
	SAY_FD(open("/dev/random", O_RDONLY));
}

static void standard_descriptors(void)
{
	char buf[64];
	int fd, p[2];
	FILE *f;

	fflush(stdout);
	fd = open("/dev/stdout", O_WRONLY | O_APPEND);
	printf("/dev/stdout %d\n", fd >= 0);
	fflush(stdout);
	if (fd >= 0)
		SAY(write(fd, "by name\n", 8));
	close(fd);
	if (pipe(p) || dup2(p[0], 0) < 0)
		return;
	SAY(write(p[1], "through stdin", 13));
	close(p[1]);
	f = fopen("/dev/stdin", "r");
	printf("/dev/stdin: %s\n", f && fgets(buf, sizeof(buf), f) ? buf : "?");
	SAY_FD(open("/dev/fd/0", O_RDONLY));
	SAY_FD(open("/dev/fd/777", O_RDONLY));
	SAY_FD(open("/dev/fd/0", O_WRONLY | O_NONBLOCK));
}

int main(void)
{
	char buf[64];
	ssize_t n;

	setvbuf(stdout, NULL, _IOLBF, 0);
	node("/dev/null");
	node("/dev/zero");
	node("/dev/full");
	node("/dev/random");
	node("/dev/urandom");
	node("/dev/tty");
	node("/dev/shm");
	node("/dev/fd/");
	n = readlink("/dev/stdin", buf, sizeof(buf));
	printf("%.*s\n", (int)n, buf);
	n = readlink("/dev/fd", buf, sizeof(buf));
	printf("%.*s\n", (int)n, buf);
	zero_and_full();
	null_and_random();
	standard_descriptors();
	return 0;
}
