/* Extended attributes of the user class: files, directories, what cannot have them, sizes, flags. */
#include "tests/guest/files.h"
#include <sys/socket.h>
#include <sys/xattr.h>

static char big[70000];

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of the user class, sorted: the host has others, in an order of its own. */
static void names(const char *path)
{
	static char text[70000];
	char *v[64];
	int n = 0;
	ssize_t len = listxattr(path, text, 65536);

	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(text + at) + 1)
		if (n < 64 && !strncmp(text + at, "user.", 5))
			v[n++] = text + at;
	qsort(v, (size_t)n, sizeof(*v), by_name);
	printf("names of %s:", path);
	for (int i = 0; i < n; i++)
		printf(" %s", v[i]);
	printf("\n");
}

static void value(const char *path, const char *name)
{
	char buf[64];
	ssize_t n = getxattr(path, name, buf, sizeof(buf));

	if (n < 0)
		printf("%s %s: %s\n", path, name, strerrorname_np(errno));
	else
		printf("%s %s: \"%.*s\"\n", path, name, (int)n, buf);
}

static void common(const char *path)
{
	char buf[16];

	names(path);
	T(setxattr(path, "user.a", "one", 3, 0));
	T(setxattr(path, "user.b", "two", 3, XATTR_CREATE));
	T(setxattr(path, "user.b", "2", 1, XATTR_CREATE));
	T(setxattr(path, "user.c", "3", 1, XATTR_REPLACE));
	T(setxattr(path, "user.b", "zwei", 4, XATTR_REPLACE));
	T(setxattr(path, "user.empty", NULL, 0, 0));
	names(path);
	value(path, "user.a");
	value(path, "user.b");
	value(path, "user.empty");
	value(path, "user.none");
	T(getxattr(path, "user.b", NULL, 0));
	T(getxattr(path, "user.b", buf, 2));
	T(getxattr(path, "user.b", BAD_PTR, 16));
	T(getxattr(path, BAD_PTR, buf, 16));
	T(getxattr(path, "", buf, 16));
	T(getxattr(path, "user.", buf, 16));
	T(getxattr(path, "user", buf, 16));
	T(getxattr(path, "other.x", buf, 16));
	T(getxattr("none", "user.a", buf, 16));
	T(listxattr(path, NULL, 0) > 20);
	T(listxattr(path, buf, 3));
	T(listxattr("none", buf, 3));
	T(setxattr(path, "user.a", BAD_PTR, 3, 0));
	T(setxattr(path, "user.a", "x", 1, 4));
	T(setxattr(path, "user.a", big, 65537, 0));
	T(setxattr(path, "other.x", "x", 1, 0));
	T(setxattr(path, "user.", "x", 1, 0));
	T(setxattr(path, "", "x", 1, 0));
	T(setxattr("none", "user.a", "x", 1, 0));
	memset(big, 'n', 300);
	memcpy(big, "user.", 5);
	big[255] = 0;
	T(setxattr(path, big, "long", 4, 0));
	T(getxattr(path, big, buf, 16));
	T(removexattr(path, big));
	big[255] = 'n';
	big[256] = 0;
	T(setxattr(path, big, "long", 4, 0));
	T(getxattr(path, big, buf, 16));
	T(removexattr(path, big));
	T(removexattr(path, "user.a"));
	T(removexattr(path, "user.a"));
	T(removexattr(path, "other.x"));
	T(removexattr("none", "user.a"));
	names(path);
}

static void links_and_descriptors(void)
{
	char buf[16];
	int fd, p[2];

	symlink("f", "l");
	T(setxattr("l", "user.via", "link", 4, 0));
	value("f", "user.via");
	T(lsetxattr("l", "user.x", "x", 1, 0));
	T(lgetxattr("l", "user.x", buf, 16));
	T(lremovexattr("l", "user.x"));
	T(llistxattr("l", buf, 16));
	T(lgetxattr("f", "user.via", buf, 16));
	fd = open("f", O_RDONLY);
	T(fsetxattr(fd, "user.fd", "yes", 3, 0));
	T(fgetxattr(fd, "user.fd", buf, 16));
	T(flistxattr(fd, NULL, 0) > 16);
	T(fremovexattr(fd, "user.fd"));
	T(fgetxattr(fd, "user.fd", buf, 16));
	close(fd);
	fd = open("f", O_PATH);
	T(fsetxattr(fd, "user.fd", "yes", 3, 0));
	T(fgetxattr(fd, "user.fd", buf, 16));
	T(flistxattr(fd, NULL, 0));
	T(fremovexattr(fd, "user.fd"));
	close(fd);
	T(fgetxattr(99, "user.fd", buf, 16));
	pipe(p);
	T(fsetxattr(p[0], "user.fd", "yes", 3, 0));
	T(fgetxattr(p[0], "user.fd", buf, 16));
	T(fremovexattr(p[0], "user.fd"));
	T(flistxattr(p[0], buf, 16));
	close(p[0]);
	close(p[1]);
	mkfifo("fifo", 0644);
	T(setxattr("fifo", "user.x", "x", 1, 0));
	T(getxattr("fifo", "user.x", buf, 16));
	T(listxattr("fifo", buf, 16));
	unlink("fifo");
	unlink("l");
}

/* They belong to the object, not to the name. */
static void stay_with_the_object(void)
{
	char buf[16];

	T(setxattr("f", "user.keep", "1", 1, 0));
	T(rename("f", "g"));
	value("g", "user.keep");
	T(link("g", "h"));
	value("h", "user.keep");
	T(setxattr("h", "user.keep", "22", 2, 0));
	value("g", "user.keep");
	unlink("g");
	value("h", "user.keep");
	unlink("h");
	put("h", "new");
	T(getxattr("h", "user.keep", buf, 16));
	unlink("h");
}

static void all(const char *where)
{
	printf("-- %s\n", where);
	put("f", "text");
	mkdir("d", 0755);
	common("f");
	common("d");
	links_and_descriptors();
	stay_with_the_object();
	rmdir("d");
}

/* Kernels before 6.6 have none of the class in /dev/shm, sbx does: there the disk stands in for it. */
static int shm_has_them(void)
{
	int r = -1;

	if (!mkdir("/dev/shm/sbx-xattr", 0755))
		r = setxattr("/dev/shm/sbx-xattr", "user.x", "x", 1, 0);
	if (r)
		rmdir("/dev/shm/sbx-xattr");
	return !r;
}

int main(void)
{
	char buf[16];
	int shm;

	all("the disk");
	T(getxattr("/proc/self/status", "user.x", buf, 16));
	T(listxattr("/proc/self/status", buf, 16));
	put("f", "");
	if (setxattr("f", "user.x", "x", 1, 0)) {
		printf("the disk has none\n");
		return 0;
	}
	unlink("f");
	shm = shm_has_them();
	if (shm)
		chdir("/dev/shm/sbx-xattr");
	all("memory");
	put("f", "");
	memset(big, 'v', sizeof(big));
	if (shm && (setxattr("f", "user.big", big, 65536, 0) ||
		    getxattr("f", "user.big", big, sizeof(big)) != 65536 || big[65535] != 'v'))
		printf("no large value: %s\n", strerrorname_np(errno));
	unlink("f");
	if (shm)
		rmdir("/dev/shm/sbx-xattr");
	return 0;
}
