/* Reading and writing in every form, positions, sizes. */
#include "tests/guest/files.h"
#include <signal.h>
#include <sys/resource.h>

#define BIG (3 << 20)

static void basics(void)
{
	char buf[32] = "";

	T(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
	T(write(3, "hello world", 11));
	T(lseek(3, 0, SEEK_SET));
	T(read(3, buf, 5));
	T(lseek(3, 0, SEEK_CUR));
	T(pread(3, buf, 5, 6));
	printf("%.5s\n", buf);
	T(lseek(3, 0, SEEK_CUR));
	T(pwrite(3, "WORLD", 5, 6));
	T(read(3, buf, sizeof(buf)));
	printf("%.6s\n", buf);
	T(read(3, buf, sizeof(buf)));
	T(read(3, buf, 0));
	T(pread(3, buf, 5, -1));
	T(lseek(3, 0, SEEK_SET));
	T(read(3, BAD_PTR, 5));
	T(write(3, BAD_PTR, 5));
	T(write(3, BAD_PTR, 0));
	T(read(9, buf, 1));
	T(write(9, buf, 1));
	T(lseek(3, -1, SEEK_SET));
	T(lseek(3, 5, 9));
	T(lseek(3, 100, SEEK_END));
	T(write(3, "end", 3));
	T(lseek(3, 0, SEEK_END));
	T(close(3));
	T(open("f", O_WRONLY | O_APPEND));
	T(lseek(3, 0, SEEK_SET));
	T(write(3, "+", 1));
	T(lseek(3, 0, SEEK_CUR));
	T(pwrite(3, "-", 1, 0));
	T(read(3, buf, 1));
	T(fcntl(3, F_SETFL, 0));
	T(pwrite(3, "J", 1, 0));
	T(close(3));
	show("f");
}

/* Whether a bad buffer matters depends on what there is to read. */
static void nowhere(void)
{
	struct iovec v[2] = {{BAD_PTR, 5}, {BAD_PTR, 5}};
	char buf[8];

	T(open("n", O_RDWR | O_CREAT | O_TRUNC, 0644));
	T(read(3, BAD_PTR, 5));
	T(write(3, "12345678", 8));
	T(read(3, BAD_PTR, 5));
	T(pread(3, BAD_PTR, 5, 7));
	T(pread(3, BAD_PTR, 5, 8));
	T(readv(3, v, 2));
	T(preadv(3, v, 2, 3));
	T(lseek(3, 0, SEEK_CUR));
	T(close(3));
	T(pipe2((int *)v, O_NONBLOCK));
	T(read(3, BAD_PTR, 5));
	T(write(4, "left", 4));
	T(read(3, BAD_PTR, 5));
	T(read(3, buf, 8));
	T(close(4));
	T(read(3, BAD_PTR, 5));
	T(close(3));
}

static void vectors(void)
{
	struct iovec v[1025];
	char bytes[1025], a[4] = "", b[4] = "", c[4] = "";

	memset(bytes, 'v', sizeof(bytes));
	for (int i = 0; i < 1025; i++)
		v[i] = (struct iovec){bytes + i, 1};
	T(open("v", O_RDWR | O_CREAT | O_TRUNC, 0644));
	T(writev(3, v, 1024));
	T(writev(3, v, 1025));
	T(writev(3, v, 0));
	T(writev(3, v, minus_one));
	T(pwritev(3, v, 3, 2000));
	T(lseek(3, 0, SEEK_END));
	T(lseek(3, 0, SEEK_SET));
	T(readv(3, v, 1024));
	T(preadv(3, (struct iovec[]){{a, 2}, {b, 0}, {c, 2}}, 3, 1022));
	printf("%d %d %d\n", a[0], a[1], c[0]);
	T(readv(3, (struct iovec[]){{a, 2}, {BAD_PTR, 2}}, 2));
	T(pwritev(3, (struct iovec[]){{"ok", 2}, {BAD_PTR, 2}}, 2, 0));
	T(writev(3, (struct iovec[]){{a, (size_t)minus_one}}, 1));
	T(writev(3, BAD_PTR, 1));
	T(preadv2(3, (struct iovec[]){{a, 2}}, 1, -1, 0));
	T(preadv2(3, (struct iovec[]){{a, 2}}, 1, 0, 0));
	T(pwritev2(3, (struct iovec[]){{"zz", 2}}, 1, 0, RWF_APPEND));
	T(pwritev2(3, (struct iovec[]){{"zz", 2}}, 1, 0, 1 << 20));
	T(lseek(3, 0, SEEK_END));
	T(close(3));
}

static void big(void)
{
	char *p = malloc(BIG), *q = malloc(BIG);
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < BIG; i++)
		p[i] = (char)(i * 7 + i / 4096);
	T(open("big", O_RDWR | O_CREAT | O_TRUNC, 0644));
	T(write(3, p, BIG));
	T(pread(3, q, BIG, 0));
	printf("same: %d\n", !memcmp(p, q, BIG));
	T(pread(3, q, BIG, BIG - 10));
	/* Half of the buffer is not there. */
	munmap(edge + 4096, 4096);
	T(pread(3, edge, 8192, 0));
	T(pwrite(3, edge, 8192, 0));
	T(pread(3, edge + 4096, 10, 0));
	mprotect(edge, 4096, PROT_READ);
	T(pread(3, edge, 10, 0));
	T(pwrite(3, edge, 10, 0));
	T(close(3));
	free(p);
	free(q);
}

static void sizes(void)
{
	struct stat st;

	T(open("s", O_RDWR | O_CREAT | O_TRUNC, 0644));
	T(ftruncate(3, 10000));
	T(write(3, "data", 4));
	T(fstat(3, &st));
	printf("size %ld\n", (long)st.st_size);
	T(ftruncate(3, -1));
	T(ftruncate(3, 3));
	T(truncate("s", 2));
	T(truncate("s", -1));
	T(truncate(".", 0));
	T(truncate("none", 0));
	T(fallocate(3, 0, 0, 8192));
	T(fstat(3, &st));
	printf("size %ld\n", (long)st.st_size);
	T(fallocate(3, FALLOC_FL_KEEP_SIZE, 8192, 8192));
	T(fallocate(3, 0, -1, 10));
	T(fallocate(3, 0, 0, 0));
	T(posix_fadvise(3, 0, 0, POSIX_FADV_SEQUENTIAL));
	T(posix_fadvise(3, 0, 0, 99));
	T(readahead(3, 0, 4096));
	T(fsync(3));
	T(fdatasync(3));
	T(syncfs(3));
	T(sync_file_range(3, 0, 100, SYNC_FILE_RANGE_WRITE));
	T(close(3));
	T(open("s", O_RDONLY));
	T(ftruncate(3, 0));
	T(fallocate(3, 0, 0, 10));
	T(fsync(3));
	T(close(3));
	T(fsync(9));
}

static void copies(void)
{
	loff_t in = 2, out = 1;
	off_t off = 3;

	put("from", "abcdefghijklmnopqrstuvwxyz");
	T(open("from", O_RDONLY));
	T(open("to", O_RDWR | O_CREAT | O_TRUNC, 0644));
	T(sendfile(4, 3, &off, 5));
	printf("off %ld\n", (long)off);
	T(sendfile(4, 3, NULL, 2));
	T(lseek(3, 0, SEEK_CUR));
	T(lseek(4, 0, SEEK_CUR));
	T(sendfile(3, 4, NULL, 2));
	T(sendfile(4, 9, NULL, 2));
	off = -1;
	T(sendfile(4, 3, &off, 2));
	T(sendfile(4, 3, BAD_PTR, 2));
	T(copy_file_range(3, &in, 4, &out, 4, 0));
	printf("in %ld out %ld\n", (long)in, (long)out);
	T(copy_file_range(3, NULL, 4, NULL, 100, 0));
	T(copy_file_range(3, NULL, 4, NULL, 100, 1));
	T(copy_file_range(4, NULL, 3, NULL, 100, 0));
	T(close(3));
	T(close(4));
	show("to");
}

static void memory_files(void)
{
	struct stat st;
	char *p;

	T(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	T(fcntl(3, F_GETFD));
	T(write(3, "in memory", 9));
	T(ftruncate(3, 4096));
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0);
	printf("%s\n", p);
	T(fcntl(3, F_GET_SEALS));
	T(fcntl(3, F_ADD_SEALS, F_SEAL_SHRINK));
	T(ftruncate(3, 0));
	T(fcntl(3, F_GET_SEALS));
	T(fstat(3, &st));
	printf("%o %ld\n", st.st_mode, (long)st.st_size);
	T(close(3));
	T(memfd_create("name", 1 << 20));
	T(memfd_create(BAD_PTR, 0));
}

static void on_xfsz(int sig)
{
	printf("SIGXFSZ\n");
}

static void size_limit(void)
{
	struct rlimit lim = {1000, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	char buf[700] = "";

	fflush(stdout); /* which is limited too, when it is a file */
	signal(SIGXFSZ, on_xfsz);
	T(open("limited", O_RDWR | O_CREAT | O_TRUNC, 0644));
	T(setrlimit(RLIMIT_FSIZE, &lim));
	T(write(3, buf, sizeof(buf)));
	T(write(3, buf, sizeof(buf)));
	T(write(3, buf, sizeof(buf)));
	T(pwrite(3, buf, 1, 999));
	T(pwrite(3, buf, 1, 1000));
	T(ftruncate(3, 1001));
	T(truncate("limited", 1001));
	T(fallocate(3, 0, 0, 1001));
	T(ftruncate(3, 1000));
	T(close(3));
	setrlimit(RLIMIT_FSIZE, &none);
}

int main(void)
{
	basics();
	nowhere();
	vectors();
	big();
	sizes();
	copies();
	memory_files();
	size_limit();
	return 0;
}
