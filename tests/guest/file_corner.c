/* The edges that the manual pages of the file calls name: statx, openat2, links, O_PATH, O_TMPFILE, times,
 * holes, fallocate, renames. */
#include "tests/guest/files.h"
#include <linux/openat2.h>
#include <linux/falloc.h>
#include <sys/ioctl.h>

#ifndef RENAME_WHITEOUT
#define RENAME_WHITEOUT (1 << 2)
#endif

static char *volatile null; /* the compiler must not know */

static long openat2_(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve,
		     size_t size)
{
	struct {
		struct open_how how;
		char more[16];
	} h = {.how = {flags, mode, resolve}};
	long fd = syscall(SYS_openat2, dirfd, path, &h, size);

	if (fd >= 0)
		close((int)fd);
	return fd < 0 ? fd : 0;
}

#define O2(flags, mode, resolve, path) T(openat2_(AT_FDCWD, path, flags, mode, resolve, 24))

static void tree(void)
{
	mkdir("d", 0755);
	mkdir("d/e", 0755);
	put("d/f", "0123456789");
	put("g", "g");
	symlink("f", "d/l");
	symlink("../g", "d/up");
	symlink("/", "d/root");
	symlink("e", "d/toe");
	symlink("nowhere", "d/dangling");
	symlink("loop2", "d/loop1");
	symlink("loop1", "d/loop2");
}

static void open_how(void)
{
	int d = open("d", O_PATH);
	char pathed[64];

	O2(O_RDONLY, 0, 0, "d/f");
	O2(O_RDONLY, 0, RESOLVE_BENEATH, "d/../g");
	O2(O_RDONLY, 0, RESOLVE_BENEATH, "../x");
	O2(O_RDONLY, 0, RESOLVE_BENEATH, "/etc");
	T(openat2_(d, "up", O_RDONLY, 0, RESOLVE_BENEATH, 24));
	T(openat2_(d, "l", O_RDONLY, 0, RESOLVE_BENEATH, 24));
	T(openat2_(d, "e/../f", O_RDONLY, 0, RESOLVE_BENEATH, 24));
	T(openat2_(d, "e/../../g", O_RDONLY, 0, RESOLVE_BENEATH, 24));
	T(openat2_(d, "root", O_RDONLY, 0, RESOLVE_BENEATH, 24));
	T(openat2_(d, "up", O_RDONLY, 0, RESOLVE_IN_ROOT, 24));
	T(openat2_(d, "../../f", O_RDONLY, 0, RESOLVE_IN_ROOT, 24));
	T(openat2_(d, "/f", O_RDONLY, 0, RESOLVE_IN_ROOT, 24));
	T(openat2_(d, "root/f", O_RDONLY, 0, RESOLVE_IN_ROOT, 24));
	T(openat2_(d, "root/e/../../../f", O_RDONLY, 0, RESOLVE_IN_ROOT, 24));
	T(openat2_(d, "l", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, 24));
	T(openat2_(d, "l", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS, 24));
	T(openat2_(d, "toe/.", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, 24));
	T(openat2_(d, "f", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, 24));
	snprintf(pathed, sizeof(pathed), "/proc/self/fd/%d", d);
	O2(O_RDONLY, 0, 0, pathed);
	O2(O_RDONLY, 0, RESOLVE_NO_MAGICLINKS, pathed);
	O2(O_RDONLY, 0, RESOLVE_NO_XDEV, "/proc/self/status");
	O2(O_RDONLY, 0, RESOLVE_NO_XDEV, "d/f");
	O2(O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT, "d/f");
	O2(O_RDONLY, 0, 0x80, "d/f");
	O2(O_RDONLY, 0644, 0, "d/f");
	O2(O_RDONLY | O_CREAT, 010000, 0, "d/f");
	O2(1ull << 40, 0, 0, "d/f");
	O2(O_PATH | O_RDWR, 0, 0, "d/f");
	O2(O_CREAT | O_EXCL | O_RDWR, 0600, 0, "d/f");
	O2(O_DIRECTORY, 0, 0, "d/f");
	T(openat2_(AT_FDCWD, "d/f", O_RDONLY, 0, 0, 16));
	T(openat2_(AT_FDCWD, "d/f", O_RDONLY, 0, 0, 0));
	T(openat2_(AT_FDCWD, "d/f", O_RDONLY, 0, 0, 40));
	T(openat2_(AT_FDCWD, "d/f", O_RDONLY, 0, 0, 5000));
	T(syscall(SYS_openat2, AT_FDCWD, "d/f", BAD_PTR, 24));
	close(d);
}

static void o_path(void)
{
	char buf[16];
	struct stat st;
	int fd = open("d/f", O_PATH), l, d;

	T(read(fd, buf, 1));
	T(write(fd, buf, 1));
	T(lseek(fd, 0, SEEK_SET));
	T(fchmod(fd, 0600));
	T(fchown(fd, -1, -1));
	T(ftruncate(fd, 0));
	T(ioctl(fd, FIONREAD, buf));
	T(flock(fd, LOCK_SH));
	T(fcntl(fd, F_GETFL) & (O_PATH | O_ACCMODE));
	T(fcntl(fd, F_SETFL, O_NONBLOCK));
	T(fcntl(fd, F_GETFD));
	T(fstat(fd, &st));
	T(fstatfs(fd, &(struct statfs){0}));
	T(fsync(fd));
	T(fallocate(fd, 0, 0, 1));
	T(futimens(fd, NULL));
	T(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
	T(fchdir(fd));
	T(getdents64(fd, buf, sizeof(buf)));
	T(dup(fd) > 0);
	T(faccessat(fd, "", R_OK, AT_EMPTY_PATH));
	T(openat(fd, "x", O_RDONLY));
	close(fd);
	l = open("d/l", O_PATH | O_NOFOLLOW);
	T(readlinkat(l, "", buf, sizeof(buf)));
	T(fstat(l, &st));
	printf("a link: %d\n", S_ISLNK(st.st_mode));
	T(fchownat(l, "", -1, -1, AT_EMPTY_PATH));
	close(l);
	T(open("d/l", O_RDONLY | O_NOFOLLOW));
	T(open("d/loop1", O_RDONLY));
	T(open("d/loop1", O_PATH | O_NOFOLLOW) > 0);
	d = open("d", O_PATH | O_DIRECTORY);
	T(openat(d, "f", O_RDONLY) > 0);
	T(fchdir(d));
	T(chdir(".."));
	T(getdents64(d, buf, sizeof(buf)));
	T(readlinkat(d, "", buf, sizeof(buf)));
	syscall(SYS_close_range, 3, ~0u, 0);
}

static void statxs(void)
{
	struct statx x, y;
	struct stat st;

	T(statx(AT_FDCWD, "d/f", 0, STATX_ALL, &x));
	printf("basic %d btime %d size %lld blksize %d nlink %u\n",
	       (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS, !!(x.stx_mask & STATX_BTIME),
	       (long long)x.stx_size, x.stx_blksize != 0, x.stx_nlink);
	T(statx(AT_FDCWD, "d/f", 0, 0x1000 | STATX_TYPE, &y));
	printf("mount id %d same ino %d\n", !!(y.stx_mask & 0x1000), x.stx_ino == y.stx_ino);
	T(statx(AT_FDCWD, "d/f", AT_STATX_FORCE_SYNC, STATX_SIZE, &x));
	T(statx(AT_FDCWD, "d/f", AT_STATX_DONT_SYNC, STATX_SIZE, &x));
	T(statx(AT_FDCWD, "d/f", AT_NO_AUTOMOUNT, STATX_SIZE, &x));
	T(statx(AT_FDCWD, "d/f", AT_SYMLINK_FOLLOW, STATX_SIZE, &x));
	T(statx(AT_FDCWD, "d/f", 0, 0, &x));
	T(statx(AT_FDCWD, "d/f", 0, ~0u, &x));
	T(statx(AT_FDCWD, "d/f", 0, STATX_SIZE, BAD_PTR));
	T(statx(AT_FDCWD, "", 0, STATX_SIZE, &x));
	T(statx(AT_FDCWD, "", AT_EMPTY_PATH, STATX_TYPE, &x));
	T(statx(AT_FDCWD, null, 0, STATX_TYPE, &x));
	T(fstatat(AT_FDCWD, "d/l", &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT));
	T(fstatat(AT_FDCWD, "d/l", &st, AT_SYMLINK_FOLLOW));
}

static void renames(void)
{
	T(rename("d/f", "d/f"));
	T(rename("d", "d/e"));
	T(rename("d/e", "d"));
	T(rename("d/e", "d/f"));
	T(rename("d/f", "d/e"));
	T(rename("none", "x"));
	T(rename("d/f", "none/x"));
	T(rename("d/f/x", "y"));
	T(rename(".", "x"));
	T(rename("d/.", "x"));
	T(rename("d/..", "x"));
	T(rename("d/f", ""));
	T(rename("d/f", "d/new/"));
	T(rename("d/e/", "d/new/"));
	T(rename("d/new", "d/e"));
	T(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "g", RENAME_NOREPLACE));
	T(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "g", RENAME_EXCHANGE));
	show("g");
	T(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "g", RENAME_EXCHANGE));
	T(renameat2(AT_FDCWD, "d/e", AT_FDCWD, "g", RENAME_EXCHANGE));
	T(renameat2(AT_FDCWD, "d/e", AT_FDCWD, "g", RENAME_EXCHANGE));
	T(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "none", RENAME_EXCHANGE));
	T(renameat2(AT_FDCWD, "d", AT_FDCWD, "d/e", RENAME_EXCHANGE));
	T(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "g", RENAME_EXCHANGE | RENAME_NOREPLACE));
	T(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "g", RENAME_EXCHANGE | RENAME_WHITEOUT));
	T(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "g", 8));
	T(renameat2(99, "d/f", AT_FDCWD, "g", 0));
	link("d/f", "d/same");
	T(rename("d/f", "d/same"));
	T(access("d/f", F_OK));
	unlink("d/same");
	T(mkdir("d/full", 0755));
	put("d/full/x", "");
	T(rename("d/e", "d/full"));
	T(rmdir("d/full"));
	T(rmdir("d/full/."));
	T(rmdir("d/full/.."));
	T(rmdir("d/f"));
	T(unlink("d/e"));
	T(unlink("d/e/"));
	T(unlink("d/f/"));
	T(unlinkat(AT_FDCWD, "d/e", 1));
	T(unlinkat(AT_FDCWD, "d/f", AT_REMOVEDIR));
	T(mkdir("d/e/", 0755));
	T(mkdir("d/e", 0755));
	T(mkdir("d/dangling", 0755));
	T(mkdir("none/x", 0755));
	T(mkdir("d/f/x", 0755));
	T(symlink("", "x"));
	T(symlink("x", "d/f"));
	T(symlink("x", "d/s/"));
	unlink("d/full/x");
	rmdir("d/full");
}

static void links(void)
{
	struct stat st;
	int fd, d;

	T(link("d/f", "h"));
	T(stat("h", &st));
	printf("nlink %d\n", (int)st.st_nlink);
	T(link("d/f", "h"));
	T(link("d", "dl"));
	T(link("none", "x"));
	T(link("d/f", "h/"));
	T(link("d/l", "hl"));
	T(lstat("hl", &st));
	printf("of the link: %d\n", S_ISLNK(st.st_mode));
	T(linkat(AT_FDCWD, "d/l", AT_FDCWD, "hf", AT_SYMLINK_FOLLOW));
	T(lstat("hf", &st));
	printf("of the file: %d\n", S_ISREG(st.st_mode));
	T(linkat(AT_FDCWD, "d/f", AT_FDCWD, "x", 1));
	T(linkat(AT_FDCWD, "d/f", AT_FDCWD, "x", AT_SYMLINK_NOFOLLOW));
	d = open("d", O_RDONLY);
	T(linkat(d, "f", AT_FDCWD, "x", 0));
	T(linkat(AT_FDCWD, "x", d, "x", 0));
	unlink("x");
	unlink("d/x");
	unlink("h");
	unlink("hl");
	unlink("hf");
	close(d);
	fd = open("d", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0) {
		printf("no O_TMPFILE: %s\n", strerrorname_np(errno));
		return;
	}
	T(fstat(fd, &st));
	printf("nlink %d mode %o\n", (int)st.st_nlink, st.st_mode);
	write(fd, "nameless", 8);
	char self[64];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	T(linkat(AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	show("named");
	T(linkat(AT_FDCWD, self, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
	unlink("again");
	unlink("named");
	close(fd);
	fd = open("d", O_TMPFILE | O_RDWR | O_EXCL, 0600);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	T(linkat(AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	close(fd);
	T(open("d", O_TMPFILE | O_RDONLY, 0600));
	T(open("d/f", O_TMPFILE | O_RDWR, 0600));
	T(open("none", O_TMPFILE | O_RDWR, 0600));
	T(open("d", O_TMPFILE | O_RDWR | O_CREAT, 0600));
}

static void print_times(const char *what, const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %lld.%09ld %lld.%09ld\n", what,
		       st.st_atim.tv_sec < 1000000000 ? (long long)st.st_atim.tv_sec : -1,
		       st.st_atim.tv_sec < 1000000000 ? st.st_atim.tv_nsec : 0,
		       st.st_mtim.tv_sec < 1000000000 ? (long long)st.st_mtim.tv_sec : -1,
		       st.st_mtim.tv_sec < 1000000000 ? st.st_mtim.tv_nsec : 0);
}

static void times(void)
{
	struct timespec ts[2] = {{100, 5}, {200, 999999999}};
	struct timeval tv[2] = {{1, 2}, {3, 4}};
	int fd;

	T(utimensat(AT_FDCWD, "g", ts, 0));
	print_times("set", "g");
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1] = (struct timespec){300, 0};
	T(utimensat(AT_FDCWD, "g", ts, 0));
	print_times("one omitted", "g");
	ts[1].tv_nsec = UTIME_OMIT;
	T(utimensat(AT_FDCWD, "g", ts, 0));
	print_times("both omitted", "g");
	ts[1].tv_nsec = UTIME_NOW;
	T(utimensat(AT_FDCWD, "g", ts, 0));
	print_times("now", "g");
	ts[1].tv_nsec = 1000000000;
	T(utimensat(AT_FDCWD, "g", ts, 0));
	ts[1].tv_nsec = -1;
	T(utimensat(AT_FDCWD, "g", ts, 0));
	ts[0] = ts[1] = (struct timespec){50, 0};
	T(utimensat(AT_FDCWD, "d/l", ts, AT_SYMLINK_NOFOLLOW));
	print_times("of the link", "d/l");
	T(utimensat(AT_FDCWD, "g", ts, 1));
	T(utimensat(AT_FDCWD, "g", BAD_PTR, 0));
	ts[0] = ts[1] = (struct timespec){-5, 5};
	T(utimensat(AT_FDCWD, "g", ts, 0));
	print_times("before 1970", "g");
	T(utimes("g", tv));
	print_times("utimes", "g");
	tv[0].tv_usec = 1000000;
	T(utimes("g", tv));
	fd = open("g", O_RDONLY);
	ts[0] = ts[1] = (struct timespec){60, 0};
	T(futimens(fd, ts));
	T(utimensat(fd, "", ts, AT_EMPTY_PATH));
	T(utimensat(fd, null, ts, 0));
	T(utimensat(fd, null, ts, AT_SYMLINK_NOFOLLOW));
	T(utimensat(99, null, ts, 0));
	T(utimensat(AT_FDCWD, null, ts, 0));
	print_times("futimens", "g");
	close(fd);
}

static void holes(void)
{
	struct stat st;
	int fd = open("holes", O_RDWR | O_CREAT | O_TRUNC, 0600);

	T(lseek(fd, 0, SEEK_DATA));
	T(lseek(fd, 0, SEEK_HOLE));
	pwrite(fd, "x", 1, 65536);
	T(lseek(fd, 0, SEEK_DATA));
	T(lseek(fd, 0, SEEK_HOLE));
	T(lseek(fd, 65536, SEEK_HOLE));
	T(lseek(fd, 65537, SEEK_DATA));
	T(lseek(fd, 65537, SEEK_HOLE));
	T(lseek(fd, -1, SEEK_DATA));
	T(lseek(fd, -1, SEEK_SET));
	T(lseek(fd, -70000, SEEK_END));
	T(lseek(fd, 10, SEEK_END));
	T(lseek(fd, 0, 9));
	T(fallocate(fd, 0, 0, 200000));
	fstat(fd, &st);
	printf("size %ld\n", (long)st.st_size);
	T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 400000));
	fstat(fd, &st);
	printf("size %ld\n", (long)st.st_size);
	T(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
	T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 4096));
	T(pread(fd, &st, 1, 65536));
	printf("punched: %d\n", *(char *)&st);
	T(fallocate(fd, 0, -1, 10));
	T(fallocate(fd, 0, 0, 0));
	T(fallocate(fd, 0, 0, -1));
	T(fallocate(fd, 0x1000, 0, 1));
	T(fallocate(99, 0, 0, 1));
	T(fallocate(fd, 0, INT64_MAX, 10));
	T(ftruncate(fd, -1));
	T(truncate("holes", -1));
	T(truncate("d", 0));
	T(truncate("none", 0));
	T(truncate("holes", 5));
	T(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	T(posix_fadvise(fd, 0, 0, 99));
	T(readahead(fd, 0, 100));
	T(sync_file_range(fd, 0, 100, SYNC_FILE_RANGE_WRITE));
	T(sync_file_range(fd, -1, 100, SYNC_FILE_RANGE_WRITE));
	T(sync_file_range(fd, 0, 100, 8));
	T(sync_file_range(99, 0, 100, 8));
	T(fsync(fd));
	T(fdatasync(fd));
	T(syncfs(fd));
	close(fd);
	fd = open("holes", O_RDONLY);
	T(fallocate(fd, 0, 0, 1));
	T(ftruncate(fd, 0));
	close(fd);
	int p[2];

	pipe(p);
	T(fallocate(p[1], 0, 0, 1));
	T(ftruncate(p[1], 0));
	T(lseek(p[0], 0, SEEK_CUR));
	T(readahead(p[0], 0, 1));
	T(posix_fadvise(p[0], 0, 1, POSIX_FADV_NORMAL));
	T(sync_file_range(p[0], 0, 1, 0));
	T(fsync(p[0]));
	T(syncfs(p[0]));
	T(flock(p[0], LOCK_SH));
	close(p[0]);
	close(p[1]);
	fd = open("d", O_RDONLY);
	T(fallocate(fd, 0, 0, 1));
	T(fsync(fd));
	T(read(fd, &st, 1));
	T(readahead(fd, 0, 1));
	T(flock(fd, LOCK_EX | LOCK_NB));
	T(flock(fd, LOCK_UN));
	T(flock(fd, 0));
	int fd2 = open("d", O_RDONLY);
	T(flock(fd, LOCK_SH));
	T(flock(fd2, LOCK_SH | LOCK_NB));
	T(flock(fd2, LOCK_EX | LOCK_NB));
	T(flock(fd, LOCK_UN));
	T(flock(fd2, LOCK_EX | LOCK_NB));
	T(flock(fd, LOCK_SH | LOCK_NB));
	close(fd2);
	T(flock(fd, LOCK_SH | LOCK_NB));
	T(sync_file_range(fd, 0, 1, 0));
	close(fd);
	unlink("holes");
}

static void flagged(void)
{
	static const int flags[] = {RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_APPEND};
	struct iovec v = {"abcd", 4};
	struct statfs fs;
	int fd = open("flagged", O_RDWR | O_CREAT | O_TRUNC, 0600);

	for (int i = 0; i < 4; i++) {
		printf("%#x: ", flags[i]);
		T(pwritev2(fd, &v, 1, 2, flags[i]));
		T(preadv2(fd, &v, 0, 2, flags[i]));
	}
	T(lseek(fd, 0, SEEK_CUR));
	T(pwritev2(fd, &v, 1, -1, RWF_APPEND));
	T(lseek(fd, 0, SEEK_CUR));
	T(pwritev2(fd, &v, 1, 0, 1 << 20));
	T(preadv2(fd, &v, 1, 0, 1 << 20));
	T(fstatfs(fd, &fs));
	printf("%#lx %ld %ld %d\n", (long)fs.f_type, (long)fs.f_bsize, (long)fs.f_namelen,
	       fs.f_flags != 0);
	T(statfs("/proc", &fs));
	printf("%#lx %ld %ld %d\n", (long)fs.f_type, (long)fs.f_bsize, (long)fs.f_namelen,
	       fs.f_flags != 0);
	T(statfs("flagged", BAD_PTR));
	T(statfs("none", &fs));
	T(fstatfs(99, &fs));
	show("flagged");
	close(fd);
	unlink("flagged");
}

static void masks(void)
{
	struct stat st;

	T(umask(0777));
	T(umask(027));
	put("m", "");
	stat("m", &st);
	printf("%o\n", st.st_mode);
	mkdir("md", 01777);
	stat("md", &st);
	printf("%o\n", st.st_mode);
	mkfifo("mf", 0666);
	stat("mf", &st);
	printf("%o\n", st.st_mode);
	T(umask(022));
	T(mknod("mn", S_IFREG | 0644, 0));
	T(mknod("mn", S_IFREG | 0644, 0));
	T(mknod("md2", S_IFDIR | 0755, 0));
	T(mknod("mx", 0170000, 0));
	T(mknod("ms", S_IFSOCK | 0644, 0));
	T(open("ms", O_RDONLY));
	T(creat("md", 0600));
	T(open("md", O_RDWR));
	T(open("md", O_RDONLY | O_CREAT, 0600));
	T(open("mn", O_RDONLY | O_DIRECTORY));
	T(open("mn/", O_RDONLY));
	T(open("new/", O_RDWR | O_CREAT, 0600));
	T(open("", O_RDONLY));
	T(open("mn", O_RDONLY | O_CREAT | O_EXCL));
	unlink("m");
	rmdir("md");
	unlink("mf");
	unlink("mn");
	unlink("ms");
}

struct handle {
	struct file_handle head;
	char more[128];
};

static void handles(void)
{
	struct handle h = {.head = {.handle_bytes = 128}}, g = h;
	int id, id2;

	T(name_to_handle_at(AT_FDCWD, "d/f", &h.head, &id, 0));
	T(name_to_handle_at(AT_FDCWD, "d/f", &g.head, &id2, 0));
	printf("same: %d\n", id == id2 && h.head.handle_bytes == g.head.handle_bytes &&
				      !memcmp(h.more, g.more, h.head.handle_bytes));
	g.head.handle_bytes = 128;
	T(name_to_handle_at(AT_FDCWD, "g", &g.head, &id2, 0));
	printf("same: %d\n", !memcmp(h.head.f_handle, g.head.f_handle, h.head.handle_bytes));
	g.head.handle_bytes = 128;
	T(name_to_handle_at(AT_FDCWD, "d/l", &g.head, &id2, AT_SYMLINK_FOLLOW));
	printf("same: %d\n", !memcmp(h.head.f_handle, g.head.f_handle, h.head.handle_bytes));
	g.head.handle_bytes = 0;
	T(name_to_handle_at(AT_FDCWD, "d/f", &g.head, &id2, 0));
	printf("told: %d\n", g.head.handle_bytes > 0 && g.head.handle_bytes <= 128 && id == id2);
	g.head.handle_bytes = 129;
	T(name_to_handle_at(AT_FDCWD, "d/f", &g.head, &id2, 0));
	T(name_to_handle_at(AT_FDCWD, "none", &g.head, &id2, 0));
	T(name_to_handle_at(AT_FDCWD, "d/f", BAD_PTR, &id2, 0));
	T(name_to_handle_at(AT_FDCWD, "d/f", &h.head, BAD_PTR, 0));
	T(name_to_handle_at(AT_FDCWD, "d/f", &h.head, &id, 0x8000));
	T(name_to_handle_at(99, "f", &h.head, &id, 0));
	T(open_by_handle_at(99, &h.head, O_RDONLY));
}

static void clear(void)
{
	const char *names[] = {"d/f", "g", "d/l", "d/up", "d/root", "d/toe", "d/dangling", "d/loop1", "d/loop2"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(names[i]);
	rmdir("d/e");
	rmdir("d");
}

static void all(const char *where)
{
	printf("-- %s\n", where);
	tree();
	open_how();
	o_path();
	statxs();
	renames();
	links();
	times();
	holes();
	flagged();
	masks();
	handles();
	clear();
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	all("the disk");
	if (!mkdir("/dev/shm/sbx-corner", 0755) && !chdir("/dev/shm/sbx-corner")) {
		all("memory");
		T(rmdir("/dev/shm/sbx-corner"));
	}
	return 0;
}
