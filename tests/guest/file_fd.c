/* Descriptors: duplicates, flags, ranges, locks. */
#include "tests/guest/files.h"

static void duplicates(void)
{
	T(open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	T(dup(3));
	T(fcntl(3, F_GETFD));
	T(fcntl(4, F_GETFD));
	T(write(4, "shared", 6));
	T(lseek(3, 0, SEEK_CUR));
	T(dup2(3, 10));
	T(dup2(3, 3));
	T(dup2(9, 9));
	T(dup2(9, 3));
	T(dup2(3, -1));
	T(dup2(3, 1 << 30));
	T(dup3(3, 3, 0));
	T(dup3(3, 11, O_CLOEXEC));
	T(fcntl(11, F_GETFD));
	T(dup3(3, 11, 1));
	T(fcntl(3, F_DUPFD, 20));
	T(fcntl(3, F_DUPFD_CLOEXEC, 20));
	T(fcntl(21, F_GETFD));
	T(fcntl(3, F_DUPFD, -1));
	T(fcntl(3, F_DUPFD, 1 << 30));
	T(fcntl(9, F_DUPFD, 0));
	T(fcntl(3, F_SETFD, 0));
	T(fcntl(3, F_GETFD));
	T(dup(99));
	T(close(10));
	T(close(10));
	T(close(-1));
	T(syscall(SYS_close_range, 4, 15, 0));
	T(fcntl(4, F_GETFD));
	T(fcntl(20, F_GETFD));
	T(syscall(SYS_close_range, 20, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */));
	T(fcntl(20, F_GETFD));
	T(syscall(SYS_close_range, 20, 10, 0));
	T(syscall(SYS_close_range, 20, 30, 1));
	T(syscall(SYS_close_range, 4, ~0u, 0));
	T(dup(3));
}

static void flags(void)
{
	printf("%o\n", fcntl(3, F_GETFL));
	T(fcntl(3, F_SETFL, O_APPEND | O_NONBLOCK));
	printf("%o\n", fcntl(3, F_GETFL));
	printf("%o\n", fcntl(4, F_GETFL));
	T(fcntl(3, F_SETFL, O_RDONLY | O_CREAT | O_TRUNC));
	printf("%o\n", fcntl(3, F_GETFL));
	T(fcntl(3, 12345));
	T(fcntl(99, F_GETFL));
	T(open("f", O_WRONLY | O_APPEND | O_SYNC));
	printf("%o\n", fcntl(5, F_GETFL));
	T(close(5));
	T(open(".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	printf("%o\n", fcntl(5, F_GETFL));
	T(close(5));
	T(fcntl(3, F_GETPIPE_SZ));
}

static void lock_range(int fd, int cmd, short type, long start, long len)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	int r = fcntl(fd, cmd, &fl);

	printf("lock fd %d cmd %d type %d %ld+%ld: %s, %d\n", fd, cmd, type, start, len,
	       r ? strerrorname_np(errno) : "ok", fl.l_type);
}

static void locks(void)
{
	T(open("f", O_RDWR)); /* another description of the same file */
	/* One process never conflicts with itself. */
	lock_range(3, F_SETLK, F_WRLCK, 0, 10);
	lock_range(5, F_SETLK, F_WRLCK, 5, 10);
	lock_range(5, F_GETLK, F_WRLCK, 0, 0);
	lock_range(3, F_SETLK, F_RDLCK, 0, 0);
	lock_range(5, F_SETLKW, F_UNLCK, 0, 0);
	lock_range(5, F_SETLK, 77, 0, 0);
	lock_range(5, F_GETLK, F_UNLCK, 0, 0);
	lock_range(5, F_SETLK, F_RDLCK, -5, 0);
	T(fcntl(3, F_SETLK, BAD_PTR));
	/* Locks of descriptions do. */
	lock_range(3, F_OFD_SETLK, F_WRLCK, 0, 10);
	lock_range(5, F_OFD_SETLK, F_WRLCK, 5, 10);
	lock_range(5, F_OFD_GETLK, F_WRLCK, 5, 10);
	lock_range(5, F_OFD_SETLK, F_WRLCK, 10, 10);
	lock_range(3, F_OFD_SETLK, F_UNLCK, 0, 0);
	lock_range(5, F_OFD_SETLK, F_WRLCK, 5, 10);
	T(close(5));
	T(open("f", O_RDONLY));
	lock_range(5, F_SETLK, F_WRLCK, 0, 1);
	lock_range(5, F_SETLK, F_RDLCK, 0, 1);
	T(flock(3, LOCK_EX));
	T(flock(5, LOCK_SH | LOCK_NB));
	T(flock(4, LOCK_UN));
	T(flock(5, LOCK_SH | LOCK_NB));
	T(flock(5, 77));
	T(flock(9, LOCK_SH));
	T(close(5));
}

int main(void)
{
	duplicates();
	flags();
	locks();
	return 0;
}
