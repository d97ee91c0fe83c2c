/* splice, tee, vmsplice; sendfile and copy_file_range where splice's rules apply to them. */
#include "tests/guest/files.h"
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char *dir;
static int rd, wr; /* a pipe */

static void new_pipe(void)
{
	int p[2];

	if (rd > 0) {
		close(rd);
		close(wr);
	}
	if (pipe(p)) {
		printf("no pipe\n");
		exit(1);
	}
	rd = p[0];
	wr = p[1];
}

static int held(int fd)
{
	int n = -1;

	ioctl(fd, FIONREAD, &n);
	return n;
}

static void drain(int fd)
{
	char buf[4096];
	ssize_t n = held(fd) ? read(fd, buf, sizeof(buf)) : 0;

	printf("drained \"%.*s\"\n", (int)(n > 40 ? 40 : n), buf);
}

static void to_and_from_files(void)
{
	loff_t off = 2;
	int in, out;

	printf("-- files in %s\n", dir);
	new_pipe();
	put("in", "0123456789");
	in = open("in", O_RDWR);
	out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644);
	T(splice(in, NULL, wr, NULL, 4, 0));
	T(lseek(in, 0, SEEK_CUR));
	T(splice(in, &off, wr, NULL, 100, SPLICE_F_MORE));
	printf("off %ld held %d\n", (long)off, held(rd));
	T(splice(in, &off, wr, NULL, 100, 0));
	T(splice(rd, NULL, out, NULL, 5, SPLICE_F_MOVE));
	T(lseek(out, 0, SEEK_CUR));
	off = 8;
	T(splice(rd, NULL, out, &off, 100, 0));
	printf("off %ld\n", (long)off);
	T(lseek(out, 0, SEEK_CUR));
	show("out");
	T(splice(rd, NULL, out, NULL, 100, SPLICE_F_NONBLOCK));
	write(wr, "x", 1);
	off = -1;
	T(splice(rd, NULL, out, &off, 1, 0));
	T(splice(in, &off, wr, NULL, 1, 0));
	T(splice(in, BAD_PTR, wr, NULL, 1, 0));
	T(splice(rd, NULL, out, BAD_PTR, 1, 0));
	off = 0;
	T(splice(rd, &off, out, NULL, 1, 0));
	T(splice(in, NULL, wr, &off, 1, 0));
	T(splice(in, NULL, out, NULL, 1, 0));
	T(splice(rd, NULL, out, NULL, 1, 16));
	T(splice(rd, NULL, out, NULL, 0, 16));
	T(splice(99, NULL, out, NULL, 1, 0));
	T(splice(rd, NULL, 99, NULL, 1, 0));
	T(splice(wr, NULL, out, NULL, 1, 0));
	T(splice(in, NULL, rd, NULL, 1, 0));
	T(fcntl(out, F_SETFL, O_APPEND));
	T(splice(rd, NULL, out, NULL, 1, 0));
	close(in);
	close(out);
	in = open("in", O_WRONLY);
	T(splice(in, NULL, wr, NULL, 1, 0));
	close(in);
	out = open("out", O_RDONLY);
	T(splice(rd, NULL, out, NULL, 1, 0));
	close(out);
	in = open("in", O_PATH);
	T(splice(in, NULL, wr, NULL, 1, 0));
	T(splice(rd, NULL, in, NULL, 1, 0));
	close(in);
	in = open(".", O_RDONLY);
	T(splice(in, NULL, wr, NULL, 1, 0));
	close(in);
	drain(rd);
}

static void whole_file(void)
{
	char *big = malloc(300000), *back = malloc(300000);
	int in, out;
	long total = 0, n;

	printf("-- a large file in %s\n", dir);
	new_pipe();
	for (int i = 0; i < 300000; i++)
		big[i] = (char)(i * 7 + i / 251);
	out = open("big", O_RDWR | O_CREAT | O_TRUNC, 0644);
	T(write(out, big, 300000));
	close(out);
	in = open("big", O_RDONLY);
	out = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0644);
	while ((n = splice(in, NULL, wr, NULL, 65536, 0)) > 0)
		for (long m; n > 0; n -= m, total += m) {
			m = splice(rd, NULL, out, NULL, (size_t)n, 0);
			if (m <= 0)
				exit(printf("splice out: %ld\n", m));
		}
	printf("last %ld total %ld size %ld\n", n, total, (long)lseek(out, 0, SEEK_END));
	printf("same %d\n", pread(out, back, 300000, 0) == 300000 && !memcmp(big, back, 300000));
	close(in);
	close(out);
	unlink("big");
	unlink("copy");
	free(big);
	free(back);
}

static void pipes(void)
{
	int a[2], s[2];
	char buf[8];

	printf("-- pipes\n");
	new_pipe();
	pipe(a);
	write(wr, "abcdef", 6);
	T(splice(rd, NULL, a[1], NULL, 3, 0));
	T(splice(rd, NULL, wr, NULL, 3, 0));
	T(tee(rd, a[1], 2, 0));
	T(tee(rd, a[1], 100, SPLICE_F_NONBLOCK));
	printf("held %d and %d\n", held(rd), held(a[0]));
	drain(a[0]);
	drain(rd);
	T(tee(rd, a[1], 1, SPLICE_F_NONBLOCK));
	T(tee(rd, wr, 1, 0));
	T(tee(rd, a[1], 0, 0));
	T(tee(rd, a[1], 0, 16));
	T(tee(rd, a[1], 1, 16));
	T(tee(wr, a[1], 1, 0));
	T(tee(rd, a[0], 1, 0));
	T(tee(99, a[1], 1, 0));
	T(tee(rd, 99, 1, 0));
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	T(tee(s[0], wr, 1, 0));
	write(wr, "socket", 6);
	T(splice(rd, NULL, s[0], NULL, 6, 0));
	T(splice(s[1], NULL, a[1], NULL, 6, 0));
	drain(a[0]);
	T(splice(s[0], NULL, s[1], NULL, 6, 0));
	T(fcntl(s[1], F_SETFL, O_NONBLOCK));
	T(splice(s[1], NULL, a[1], NULL, 6, 0));
	close(s[0]);
	T(splice(s[1], NULL, a[1], NULL, 6, 0));
	signal(SIGPIPE, SIG_IGN);
	write(wr, "gone", 4);
	T(splice(rd, NULL, s[1], NULL, 4, 0));
	close(s[1]);
	close(a[0]);
	T(splice(rd, NULL, a[1], NULL, 4, 0));
	T(tee(rd, a[1], 4, 0));
	close(a[1]);
	signal(SIGPIPE, SIG_DFL);
	if (fork() == 0) {
		new_pipe();
		pipe(a);
		write(wr, "x", 1);
		close(a[0]);
		splice(rd, NULL, a[1], NULL, 1, 0);
		_exit(0);
	}
	int st;

	wait(&st);
	printf("killed by %d\n", WIFSIGNALED(st) ? WTERMSIG(st) : 0);
	new_pipe();
	close(wr);
	pipe(a);
	T(splice(rd, NULL, a[1], NULL, 1, 0));
	T(tee(rd, a[1], 1, 0));
	T(read(rd, buf, 1));
	close(a[0]);
	close(a[1]);
	wr = dup(rd);
}

static void lent(void)
{
	static char page[3 * 4096] __attribute__((aligned(4096)));
	struct iovec v[3] = {{"one", 3}, {page, 0}, {page + 4094, 4}};
	char a[4] = "....", b[4] = "....";
	struct iovec r[2] = {{a, 2}, {b, 4}};
	int i, n, fd;

	printf("-- vmsplice\n");
	new_pipe();
	memcpy(page + 4094, "1234", 4);
	T(vmsplice(wr, v, 3, 0));
	drain(rd);
	T(vmsplice(wr, v, 3, SPLICE_F_GIFT));
	T(vmsplice(rd, r, 2, 0));
	printf("%.2s %.4s held %d\n", a, b, held(rd));
	T(vmsplice(rd, r, 2, 0));
	T(vmsplice(rd, r, 2, SPLICE_F_NONBLOCK));
	T(vmsplice(rd, r, 0, 0));
	T(vmsplice(wr, v, 1025, 0));
	T(vmsplice(wr, v, 1, 16));
	T(vmsplice(99, v, 1, 0));
	T(vmsplice(wr, BAD_PTR, 1, 0));
	v[0].iov_base = BAD_PTR;
	T(vmsplice(wr, v, 1, 0));
	v[0].iov_base = "one";
	v[1] = (struct iovec){BAD_PTR, 5};
	T(vmsplice(wr, v, 2, 0));
	drain(rd);
	fd = open("in", O_RDWR);
	T(vmsplice(fd, v, 1, 0));
	T(vmsplice(fd, v, 0, 0));
	close(fd);
	fd = open("in", O_PATH);
	T(vmsplice(fd, v, 1, 0));
	close(fd);
	/* each piece takes a page of the pipe */
	v[0] = (struct iovec){page, 1};
	for (i = 0; (n = vmsplice(wr, v, 1, SPLICE_F_NONBLOCK)) == 1; i++)
		;
	printf("%d pieces, then %s\n", i, strerrorname_np(errno));
	drain(rd);
	v[0] = (struct iovec){page, sizeof(page)};
	new_pipe();
	T(vmsplice(wr, v, 1, 0));
	printf("held %d\n", held(rd));
	signal(SIGPIPE, SIG_IGN);
	close(rd);
	rd = dup(wr);
	T(vmsplice(wr, v, 1, 0));
	signal(SIGPIPE, SIG_DFL);
}

static void other_files(void)
{
	int fd, fds[2];
	char buf[64];
	loff_t off = 0;

	printf("-- devices and /proc\n");
	new_pipe();
	write(wr, "0123456789", 10);
	fd = open("/dev/null", O_WRONLY);
	T(splice(rd, NULL, fd, NULL, 100, 0));
	close(fd);
	fd = open("/proc/meminfo", O_RDONLY);
	T(splice(fd, &off, wr, NULL, 9, 0));
	printf("off %ld\n", (long)off);
	T(splice(fd, NULL, wr, NULL, 4, 0));
	drain(rd);
	T(lseek(fd, 0, SEEK_CUR));
	close(fd);
	pipe(fds);
	write(wr, "late", 4);
	if (fork() == 0) {
		/* waits for data */
		T(splice(fds[0], NULL, 1, NULL, 0, 0));
		long n = splice(fds[0], NULL, wr, NULL, 10, 0);

		_exit((int)n);
	}
	usleep(20000);
	write(fds[1], "\nwaited", 7);
	int st;

	wait(&st);
	printf("child %d\n", WEXITSTATUS(st));
	T(read(rd, buf, sizeof(buf)));
	close(fds[0]);
	close(fds[1]);
}

/* The result of a call under a limit of 10 bytes, which must not hold for what is printed. */
static long within(int which, int in, int out, loff_t *a, loff_t *b)
{
	struct rlimit old, lim;
	long r;
	int err;

	getrlimit(RLIMIT_FSIZE, &old);
	lim = old;
	lim.rlim_cur = 10;
	setrlimit(RLIMIT_FSIZE, &lim);
	if (which == 0)
		r = sendfile(out, in, NULL, 8);
	else if (which == 1)
		r = copy_file_range(in, a, out, b, 8, 0);
	else
		r = splice(rd, NULL, out, NULL, 16, 0);
	err = errno;
	setrlimit(RLIMIT_FSIZE, &old);
	errno = err;
	return r;
}

static void limited(void)
{
	int in, out;
	loff_t a = 0, b = 8;

	printf("-- a file size limit in %s\n", dir);
	put("in", "0123456789abcdef");
	in = open("in", O_RDONLY);
	out = open("lim", O_RDWR | O_CREAT | O_TRUNC, 0644);
	signal(SIGXFSZ, SIG_IGN);
	new_pipe();
	T(within(0, in, out, NULL, NULL));
	T(within(0, in, out, NULL, NULL));
	T(within(0, in, out, NULL, NULL));
	ftruncate(out, 0);
	T(within(1, in, out, &a, &b));
	T(within(1, in, out, &a, &b));
	write(wr, "0123456789abcdef", 16);
	T(lseek(out, 8, SEEK_SET));
	T(within(2, in, out, NULL, NULL));
	T(within(2, in, out, NULL, NULL));
	T(lseek(out, 0, SEEK_END));
	signal(SIGXFSZ, SIG_DFL);
	close(in);
	close(out);
}

static void ranges(void)
{
	loff_t a = 0, b = 5;
	int fd, fd2;

	printf("-- copy_file_range in %s\n", dir);
	put("in", "0123456789");
	fd = open("in", O_RDWR);
	fd2 = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644);
	T(copy_file_range(fd, &a, fd, &b, 6, 0));
	T(copy_file_range(fd, &a, fd, &b, 5, 0));
	printf("%ld %ld\n", (long)a, (long)b);
	show("in");
	a = 10;
	T(copy_file_range(fd, &a, fd2, NULL, 5, 0));
	T(copy_file_range(fd, NULL, fd2, NULL, 0, 0));
	T(copy_file_range(fd, NULL, fd2, NULL, 5, 1));
	T(copy_file_range(99, NULL, fd2, NULL, 5, 1));
	T(copy_file_range(fd, BAD_PTR, fd2, NULL, 5, 1));
	a = -1;
	T(copy_file_range(fd, &a, fd2, NULL, 5, 0));
	a = -10;
	T(copy_file_range(fd, &a, fd2, NULL, 5, 0));
	new_pipe();
	T(copy_file_range(fd, NULL, wr, NULL, 5, 0));
	T(copy_file_range(rd, NULL, fd, NULL, 5, 0));
	close(fd2);
	fd2 = open(".", O_RDONLY);
	T(copy_file_range(fd, NULL, fd2, NULL, 5, 0));
	T(copy_file_range(fd2, NULL, fd, NULL, 5, 0));
	close(fd2);
	fd2 = open("out", O_WRONLY | O_APPEND);
	T(copy_file_range(fd, NULL, fd2, NULL, 5, 0));
	T(copy_file_range(fd2, NULL, fd, NULL, 5, 0));
	T(sendfile(fd2, fd, NULL, 5));
	close(fd2);
	close(fd);
}

static void all_files(const char *where)
{
	dir = where;
	to_and_from_files();
	whole_file();
	limited();
	ranges();
	unlink("in");
	unlink("out");
	unlink("lim");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	alarm(40);
	all_files("the working directory");
	put("in", "data");
	pipes();
	lent();
	other_files();
	unlink("in");
	if (!chdir("/dev/shm") && !mkdir("sbx-splice", 0755) && !chdir("sbx-splice")) {
		all_files("/dev/shm");
		rmdir("../sbx-splice");
	}
	return 0;
}
