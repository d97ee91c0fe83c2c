/* chroot: what names mean afterwards, what descriptors still reach, what a child inherits. Needs uid 0 for
 * most of it. */
#include "tests/guest/files.h"
#include <sys/wait.h>

static int proc;

static void cwd(void)
{
	char buf[PATH_MAX + 32];

	errno = 0;
	if (syscall(SYS_getcwd, buf, sizeof(buf)) < 0)
		printf("cwd: %s\n", strerrorname_np(errno));
	else if (buf[0] == '(')
		printf("cwd: %.14s... %s\n", buf, strrchr(buf, '/'));
	else
		printf("cwd: %s\n", buf);
}

static void link_of(const char *name)
{
	char buf[PATH_MAX];
	ssize_t n = readlinkat(proc, name, buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = 0;
	if (n < 0)
		printf("%s: %s\n", name, strerrorname_np(errno));
	else
		printf("%s: %s\n", name, buf);
}

static void content(const char *path)
{
	char buf[32] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0) {
		printf("%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	if (read(fd, buf, sizeof(buf) - 1) < 0)
		strcpy(buf, strerrorname_np(errno));
	close(fd);
	printf("%s: \"%s\"\n", path, buf);
}

static void errors(void)
{
	char name[5000];

	put("file", "outside");
	memset(name, 'x', sizeof(name));
	name[4999] = 0;
	T(chroot("none"));
	T(chroot("file"));
	T(chroot(BAD_PTR));
	T(chroot(""));
	T(chroot(name));
	symlink("loop", "loop");
	T(chroot("loop"));
}

static void build(void)
{
	mkdir("jail", 0755);
	mkdir("jail/sub", 0755);
	mkdir("jail/sub/deep", 0755);
	put("jail/f", "inside");
	put("jail/sub/f", "below");
	symlink("/f", "jail/abs");
	symlink("../../../../f", "jail/up");
	symlink("/../sub/./../sub/f", "jail/sub/round");
}

static void inside(void)
{
	struct stat a, b;
	int fd;

	cwd();
	content("file");
	content("/file");
	content("/f");
	content("/../../f");
	content("/abs");
	content("/up");
	content("/sub/round");
	content("/sub/deep/../../f");
	T(chdir("/sub"));
	cwd();
	link_of("self/cwd");
	link_of("self/root");
	content("../../../f");
	content("f");
	fd = open("/sub/f", O_RDONLY);
	link_of("self/fd/4");
	close(fd);
	T(chdir(".."));
	T(chdir(".."));
	cwd();
	T(stat("/", &a));
	T(stat("/..", &b));
	printf("the same: %d\n", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	T(stat("/proc/self", &a));
	T(mkdir("/new", 0700));
	T(rename("/new", "/sub/new"));
	T(rmdir("/sub/new"));
	T(symlink("/sub", "/link"));
	T(chdir("/link/deep"));
	cwd();
	T(unlink("/link"));
}

static void child(void)
{
	int st;

	fflush(stdout);
	if (fork() == 0) {
		content("/f");
		T(chroot("/sub"));
		content("/f");
		T(chdir("/"));
		cwd();
		content("../../f");
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	content("/f");
}

int main(void)
{
	int out;

	setvbuf(stdout, NULL, _IONBF, 0);
	errors();
	build();
	proc = open("/proc", O_RDONLY | O_DIRECTORY);
	if (getuid()) {
		T(chroot("jail"));
		return 0;
	}
	out = open(".", O_RDONLY | O_DIRECTORY);
	dup2(out, 5);
	close(out);
	T(chroot("jail"));
	inside();
	child();
	/* who holds a descriptor of what lies outside can go there */
	T(fchdir(5));
	cwd();
	content("file");
	content("jail/f");
	content("/f");
	T(chroot("."));
	cwd();
	content("/file");
	return 0;
}
