/* stat in every form, access, modes, times, statfs, extended attributes. */
#include "tests/guest/files.h"
#include <sys/xattr.h>
#include <utime.h>

static void print_stat(const char *what, const struct stat *st)
{
	printf("%s: mode %o nlink %ld size %ld blocks %d uid %d gid %d dev %d ino %d\n", what,
	       st->st_mode, (long)st->st_nlink, S_ISDIR(st->st_mode) ? 0L : (long)st->st_size,
	       S_ISDIR(st->st_mode) || st->st_blocks > 0, st->st_uid == getuid(),
	       st->st_gid == getgid(), st->st_dev != 0, st->st_ino != 0);
}

static void stats(void)
{
	struct stat st, st2;
	struct statx x;

	put("f", "contents");
	symlink("f", "l");
	mkdir("d", 0755);
	T(stat("f", &st));
	print_stat("f", &st);
	T(lstat("l", &st));
	print_stat("l", &st);
	T(stat("l", &st));
	print_stat("l", &st);
	T(stat("d", &st));
	print_stat("d", &st);
	T(stat("none", &st));
	T(stat("f", BAD_PTR));
	T(stat(BAD_PTR, &st));
	T(open("f", O_RDONLY));
	T(fstat(3, &st));
	T(stat("f", &st2));
	printf("equal: %d\n", !memcmp(&st, &st2, sizeof(st)));
	T(fstatat(3, "", &st2, AT_EMPTY_PATH));
	printf("equal: %d\n", !memcmp(&st, &st2, sizeof(st)));
	T(fstatat(3, "", &st2, 0));
	T(fstatat(AT_FDCWD, "", &st2, AT_EMPTY_PATH));
	T(fstatat(AT_FDCWD, "f", &st2, 1 << 20));
	T(fstatat(9, "", &st2, AT_EMPTY_PATH));
	T(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x));
	printf("%o %lld %d\n", x.stx_mode, (long long)x.stx_size,
	       (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	T(statx(3, "", AT_EMPTY_PATH, STATX_SIZE, &x));
	T(statx(AT_FDCWD, "f", 0x6000, STATX_SIZE, &x));
	T(statx(AT_FDCWD, "f", 0, 1u << 31, &x));
	T(statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x));
	printf("%o\n", x.stx_mode & S_IFMT);
	T(close(3));
	T(fstat(3, &st));
}

static void permissions(void)
{
	struct stat st;

	T(access("f", F_OK));
	T(access("f", R_OK | W_OK));
	T(access("none", F_OK));
	T(access("f", 8));
	T(faccessat(AT_FDCWD, "l", R_OK, 0));
	T(syscall(SYS_faccessat2, AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW));
	T(syscall(SYS_faccessat2, AT_FDCWD, "l", F_OK, 1));
	T(access("d", X_OK));
	T(chmod("f", 0600));
	T(stat("f", &st));
	printf("%o\n", st.st_mode);
	T(chmod("l", 0640));
	T(stat("f", &st));
	printf("%o\n", st.st_mode);
	T(chmod("none", 0600));
	T(open("f", O_RDONLY));
	T(fchmod(3, 0444));
	T(fstat(3, &st));
	printf("%o\n", st.st_mode);
	T(fchmod(3, 0644));
	T(fchmod(9, 0644));
	T(fchown(3, -1, -1));
	T(fchown(3, getuid(), getgid()));
	T(chown("f", getuid(), -1));
	T(lchown("l", -1, getgid()));
	T(chown("none", -1, -1));
	T(fchownat(AT_FDCWD, "f", -1, -1, 1 << 20));
	T(chmod("d", 01777));
	T(stat("d", &st));
	printf("%o\n", st.st_mode);
	T(close(3));
}

static void print_times(const char *path)
{
	struct stat st;

	lstat(path, &st);
	printf("%s: %ld.%09ld %ld.%09ld\n", path, (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
	       (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void times(void)
{
	struct timespec now = {0, UTIME_NOW}, omit = {0, UTIME_OMIT};
	struct stat st;

	T(utimensat(AT_FDCWD, "f", (struct timespec[]){{1000, 123456789}, {2000, 987654321}}, 0));
	print_times("f");
	T(utimensat(AT_FDCWD, "f", (struct timespec[]){omit, {3000, 5}}, 0));
	print_times("f");
	T(utimensat(AT_FDCWD, "none", (struct timespec[]){omit, now}, 0));
	T(utimensat(AT_FDCWD, "f", (struct timespec[]){{1, 1000000000}, omit}, 0));
	T(utimensat(AT_FDCWD, "f", NULL, 1 << 20));
	T(utimensat(AT_FDCWD, "l", (struct timespec[]){{11, 0}, {12, 0}}, AT_SYMLINK_NOFOLLOW));
	print_times("l");
	print_times("f");
	T(open("f", O_RDONLY));
	T(futimens(3, (struct timespec[]){{21, 0}, {22, 0}}));
	print_times("f");
	T(futimens(3, (struct timespec[]){now, omit}));
	fstat(3, &st);
	printf("recent: %d\n", st.st_atim.tv_sec > 1600000000);
	T(close(3));
	T(futimens(9, NULL));
	T(utimes("f", (struct timeval[]){{31, 5}, {32, 6}}));
	print_times("f");
	T(utimes("f", (struct timeval[]){{31, 1000000}, {32, 6}}));
	T(utime("f", &(struct utimbuf){41, 42}));
	print_times("f");
	T(utime("f", NULL));
	T(syscall(SYS_utimes, "f", BAD_PTR));
	T(syscall(SYS_futimesat, AT_FDCWD, "f", (struct timeval[]){{51, 0}, {52, 0}}));
	print_times("f");
}

static void others(void)
{
	struct statfs sf;
	char buf[64];

	T(statfs(".", &sf));
	printf("%d %d\n", sf.f_bsize > 0, sf.f_namelen > 0);
	T(statfs("none", &sf));
	T(open(".", O_RDONLY));
	T(fstatfs(3, &sf));
	T(close(3));
	T(fstatfs(9, &sf));
	T(fgetxattr(9, "user.x", buf, sizeof(buf)));
}

int main(void)
{
	umask(022);
	stats();
	permissions();
	times();
	others();
	return 0;
}
