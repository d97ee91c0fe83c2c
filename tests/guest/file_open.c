/* open, openat, openat2, creat: flags, types, errors. */
#include "tests/guest/files.h"
#include <linux/openat2.h>
#include <sys/resource.h>

static long openat2_call(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve,
			 size_t size)
{
	uint64_t how[4] = {flags, mode, resolve, 0};

	return syscall(SYS_openat2, dirfd, path, how, size);
}

static void creation(void)
{
	struct stat st;

	T(open("new", O_RDONLY));
	T(open("new", O_WRONLY | O_CREAT | O_EXCL, 0640));
	T(write(3, "0123456789", 10));
	T(close(3));
	T(open("new", O_WRONLY | O_CREAT | O_EXCL, 0640));
	T(open("new", O_RDWR | O_CREAT, 0600));
	T(read(3, (char[10]){0}, 10));
	T(close(3));
	T(open("new", O_WRONLY | O_TRUNC));
	T(close(3));
	show("new");
	umask(027);
	T(open("masked", O_WRONLY | O_CREAT, 0777));
	fstat(3, &st);
	printf("mode %o\n", st.st_mode);
	T(close(3));
	T(creat("made", 0666));
	fstat(3, &st);
	printf("mode %o\n", st.st_mode);
	T(read(3, (char[1]){0}, 1));
	T(close(3));
	umask(022);
	T(open("none/new", O_WRONLY | O_CREAT, 0644));
	T(open("new/x", O_WRONLY | O_CREAT, 0644));
	T(open("slash/", O_WRONLY | O_CREAT, 0644));
	T(open("", O_WRONLY | O_CREAT, 0644));
	T(open("readonly", O_RDONLY | O_CREAT, 0444));
	T(write(3, "x", 1));
	T(close(3));
}

static void types(void)
{
	char name[300];

	mkdir("dir", 0755);
	symlink("new", "link");
	symlink("gone", "dangling");
	symlink("self", "self");
	symlink("dir", "dirlink");
	T(open("dir", O_WRONLY));
	T(open("dir", O_RDONLY | O_CREAT, 0644));
	T(open("dir", O_RDONLY | O_TRUNC));
	T(open("dir", O_RDONLY));
	T(read(3, (char[1]){0}, 1));
	T(write(3, "x", 1));
	T(close(3));
	T(open("new", O_RDONLY | O_DIRECTORY));
	T(open("new/", O_RDONLY));
	T(open("link", O_RDONLY | O_NOFOLLOW));
	T(open("dirlink", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
	T(open("dirlink/", O_RDONLY | O_NOFOLLOW));
	T(close(3));
	T(open("dangling", O_RDONLY));
	T(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0644));
	T(open("dangling", O_WRONLY | O_CREAT, 0644));
	T(close(3));
	T(access("gone", F_OK));
	T(open("self", O_RDONLY));
	T(open("self", O_WRONLY | O_CREAT, 0644));
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	T(open(name, O_WRONLY | O_CREAT, 0644));
	name[255] = '\0';
	T(open(name, O_WRONLY | O_CREAT, 0644));
	T(close(3));
	T(open(BAD_PTR, O_RDONLY));
	T(open("dir", O_RDWR | O_DIRECTORY | O_CREAT, 0644));
}

static void path_only(void)
{
	struct stat st;
	char buf[8];

	T(open("link", O_PATH | O_NOFOLLOW));
	T(fstat(3, &st));
	printf("is a link: %d\n", S_ISLNK(st.st_mode));
	T(readlinkat(3, "", buf, sizeof(buf)));
	T(fcntl(3, F_GETFL) & ~O_CLOEXEC);
	T(read(3, buf, 1));
	T(fchmod(3, 0600));
	T(fcntl(3, F_SETFL, O_NONBLOCK));
	T(dup(3));
	T(close(4));
	T(close(3));
	T(open("dir", O_PATH | O_DIRECTORY));
	T(openat(3, "in", O_WRONLY | O_CREAT, 0644));
	T(close(4));
	T(openat(3, "../new", O_RDONLY));
	T(close(4));
	T(fchdir(3));
	T(access("in", F_OK));
	T(chdir(".."));
	T(lseek(3, 0, SEEK_CUR));
	T(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) == MAP_FAILED ? -1 : 0);
	T(close(3));
	T(openat(77, "new", O_RDONLY));
	T(openat(0, "new", O_RDONLY));
}

static void second_form(void)
{
	T(openat2_call(AT_FDCWD, "new", O_RDONLY, 0, 0, 24));
	T(close(3));
	T(openat2_call(AT_FDCWD, "new", O_RDONLY, 0, 0, 23));
	T(openat2_call(AT_FDCWD, "new", O_RDONLY, 0, 0, 32));
	T(close(3));
	T(openat2_call(AT_FDCWD, "new", O_RDONLY, 0644, 0, 24));
	T(openat2_call(AT_FDCWD, "new", 1ull << 40, 0, 0, 24));
	T(openat2_call(AT_FDCWD, "new", O_RDONLY, 0, 1 << 20, 24));
	T(openat2_call(AT_FDCWD, "new", O_PATH | O_RDWR, 0, 0, 24));
	T(openat2_call(AT_FDCWD, "../x", O_RDONLY, 0, RESOLVE_BENEATH, 24));
	T(openat2_call(AT_FDCWD, "dir/../new", O_RDONLY, 0, RESOLVE_BENEATH, 24));
	T(close(3));
	T(openat2_call(AT_FDCWD, "/etc", O_RDONLY, 0, RESOLVE_BENEATH, 24));
	T(openat2_call(AT_FDCWD, "/new", O_RDONLY, 0, RESOLVE_IN_ROOT, 24));
	T(close(3));
	T(openat2_call(AT_FDCWD, "link", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, 24));
	T(openat2_call(AT_FDCWD, "dirlink/in", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, 24));
	T(openat2_call(AT_FDCWD, "new", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT, 24));
	T(syscall(SYS_openat2, AT_FDCWD, "new", BAD_PTR, 24));
}

static void unnamed(void)
{
	char proc[64];

	T(open("dir", O_TMPFILE | O_RDONLY, 0600));
	T(open("new", O_TMPFILE | O_RDWR, 0600));
	if (T(open("dir", O_TMPFILE | O_RDWR, 0600)) < 0)
		return;
	T(write(3, "unnamed", 7));
	snprintf(proc, sizeof(proc), "/proc/self/fd/3");
	T(linkat(AT_FDCWD, proc, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	T(close(3));
	show("named");
}

static void many(void)
{
	struct rlimit small = {100, 200};
	int n = 0, fd;

	T(setrlimit(RLIMIT_NOFILE, &small));
	while ((fd = open("new", O_RDONLY)) >= 0)
		n = fd;
	printf("last %d %s\n", n, strerrorname_np(errno));
	close(50);
	T(open("new", O_RDONLY));
}

int main(void)
{
	creation();
	types();
	path_only();
	second_form();
	unnamed();
	many();
	return 0;
}
