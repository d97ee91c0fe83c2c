/* Mapping files that are not regular files of a disk: devices, in-memory files, sockets, pipes; and
 * reading and writing with buffers in mappings. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PG 4096ul
#define RW (PROT_READ | PROT_WRITE)

static char *map(const char *what, int fd, size_t len, int prot, int flags)
{
	char *p = mmap(NULL, len, prot, flags, fd, 0);

	printf("%s: %s\n", what, p == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	return p == MAP_FAILED ? NULL : p;
}

static void devices(void)
{
	int fd = open("/dev/zero", O_RDWR);
	char *p = map("/dev/zero private", fd, 4 * PG, RW, MAP_PRIVATE);

	if (p) {
		printf("reads %d\n", p[PG]);
		p[PG] = 5;
		printf("keeps %d\n", p[PG]);
	}
	p = map("/dev/zero shared", fd, 4 * PG, RW, MAP_SHARED);
	if (p) {
		p[2 * PG] = 6;
		printf("keeps %d\n", p[2 * PG]);
	}
	close(fd);
	fd = open("/dev/null", O_RDWR);
	map("/dev/null", fd, PG, RW, MAP_PRIVATE);
	close(fd);
}

static void memory_files(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *p, *q, buf[8] = "";

	if (ftruncate(fd, 3 * PG))
		printf("ftruncate: %s\n", strerrorname_np(errno));
	p = map("memfd shared", fd, 3 * PG, RW, MAP_SHARED);
	q = map("memfd private", fd, 3 * PG, RW, MAP_PRIVATE);
	strcpy(p + PG, "shared");
	printf("private sees %s\n", q + PG);
	strcpy(q + PG, "own");
	if (pread(fd, buf, 7, PG) != 7)
		printf("pread: %s\n", strerrorname_np(errno));
	printf("file has %s, private %s\n", buf, q + PG);
	munmap(p, 3 * PG);
	printf("seal %d\n", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
	map("sealed shared rw", fd, PG, RW, MAP_SHARED);
	map("sealed shared r", fd, PG, PROT_READ, MAP_SHARED);
	map("sealed private rw", fd, PG, RW, MAP_PRIVATE);
	close(fd);
}

static void others(void)
{
	int fds[2], fd;

	if (pipe(fds))
		return;
	map("pipe", fds[0], PG, PROT_READ, MAP_PRIVATE);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return;
	map("socket", fds[0], PG, RW, MAP_SHARED);
	fd = open(".", O_RDONLY | O_DIRECTORY);
	map("directory", fd, PG, PROT_READ, MAP_PRIVATE);
	fd = open(".", O_PATH);
	map("O_PATH", fd, PG, PROT_READ, MAP_PRIVATE);
}

/* System calls whose buffers are in mappings of all kinds. */
static void io(void)
{
	char name[] = "mmfilesXXXXXX", *src, *dst, *ro;
	int fd = mkstemp(name), i;
	struct iovec iov[3];

	src = mmap(NULL, 1 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < 1 << 20; i++)
		src[i] = (char)(i * 31 >> 3);
	printf("write %zd\n", write(fd, src, 1 << 20));
	dst = mmap(NULL, 1 << 20, RW, MAP_PRIVATE, fd, 0);
	printf("file mapping equal %d\n", !memcmp(src, dst, 1 << 20));
	memset(src, 0, 1 << 20);
	printf("pread into fresh %zd\n", pread(fd, src, 1 << 20, 0));
	printf("equal %d\n", !memcmp(src, dst, 1 << 20));
	printf("write from its own mapping %zd\n", pwrite(fd, dst + 5, 300000, 400000));
	ro = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
	printf("shared sees it %d\n", !memcmp(ro + 400000, src + 5, 1000));
	i = (int)pread(fd, ro, 100, 0);
	printf("read into read-only: %d %s\n", i, i < 0 ? strerrorname_np(errno) : "");
	munmap(src + 8192, 4096);
	printf("short read at a hole %zd\n", pread(fd, src + 4096, 20000, 0));
	i = (int)pread(fd, src + 8192, 100, 0);
	printf("read into a hole: %d %s\n", i, i < 0 ? strerrorname_np(errno) : "");
	iov[0] = (struct iovec){src, 10};
	iov[1] = (struct iovec){dst + 4090, 100};
	iov[2] = (struct iovec){src + 4096 * 10, 70000};
	printf("preadv %zd\n", preadv(fd, iov, 3, 77));
	printf("pwritev %zd\n", pwritev(fd, iov, 3, 10));
	iov[1].iov_base = src + 8192;
	printf("preadv over a hole %zd\n", preadv(fd, iov, 3, 77));
	unlink(name);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	devices();
	memory_files();
	others();
	io();
	return 0;
}
