/* What a copy-on-write view must do as a real copy does. Runs in a folder that the test prepared:
 * tests/cli/overlay.t compares a native run on a copy with one on an overlay of the original. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void cat(const char *path)
{
	char buf[256];
	int fd = open(path, O_RDONLY);
	long n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (n < 0)
		printf("%s: %s\n", path, strerrorname_np(errno));
	else
		printf("%s: \"%.*s\"\n", path, (int)n, buf);
	close(fd);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *path)
{
	struct dirent **e;
	int n = scandir(path, &e, NULL, by_name);

	printf("%s:", path);
	for (int i = 0; i < n; i++)
		printf(" %s/%d", e[i]->d_name, e[i]->d_type);
	printf(n < 0 ? " %s\n" : "\n", strerrorname_np(errno));
}

static void put(const char *path, int flags, const char *text)
{
	int fd = open(path, flags, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		printf("put %s: %s\n", path, strerrorname_np(errno));
	close(fd);
}

static struct stat look(const char *path)
{
	struct stat st = {0};

	if (lstat(path, &st))
		printf("%s: %s\n", path, strerrorname_np(errno));
	return st;
}

static void show(const char *path)
{
	struct stat st = look(path);

	printf("%s: mode %o links %d size %ld mtime %ld\n", path, st.st_mode, (int)st.st_nlink,
	       S_ISDIR(st.st_mode) ? 0 : (long)st.st_size,
	       st.st_mtime > 2000000 ? -1 : (long)st.st_mtime);
}

/* Readers see what is written later, at the place where they are. */
static void coherent(void)
{
	char buf[64] = {0}, *map, *priv;
	int r = open("data", O_RDONLY), w;

	SAY(read(r, buf, 4));
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, r, 0);
	priv = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 0);
	priv[0] = '#';
	w = open("data", O_RDWR);
	SAY(pwrite(w, "WXYZ", 4, 4));
	SAY(read(r, buf, 4));
	printf("read %.4s map %.8s private %.4s\n", buf, map, priv);
	SAY(pwrite(w, "!!", 2, 0));
	printf("map %.8s\n", map);
	SAY(ftruncate(w, 6));
	SAY(lseek(r, 0, SEEK_END));
	SAY(write(r, "x", 1));
	close(r);
	r = open("other", O_RDONLY);
	SAY(read(r, buf, 3));
	put("other", O_WRONLY | O_APPEND, "more");
	memset(buf, 0, sizeof(buf));
	SAY(read(r, buf, 60));
	printf("rest \"%s\"\n", buf);
	put("other", O_WRONLY | O_TRUNC, "new");
	SAY(pread(r, buf, 60, 0));
	close(r);
	cat("other");
	SAY(truncate("cut", 3));
	cat("cut");
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0);
	map[1] = '+';
	close(w);
	cat("data");
}

static void names(void)
{
	SAY(unlink("gone"));
	SAY(access("gone", F_OK));
	SAY(unlink("gone"));
	list(".");
	put("gone", O_WRONLY | O_CREAT | O_EXCL, "again");
	cat("gone");
	SAY(rename("dir", "moved"));
	list("moved");
	SAY_FD(open("dir", O_RDONLY));
	cat("moved/in/deep");
	SAY(mkdir("dir", 0755));
	list("dir");
	put("dir/own", O_WRONLY | O_CREAT, "own");
	SAY(rmdir("moved/in"));
	SAY(rename("moved/in/deep", "deep"));
	SAY(rmdir("moved/in"));
	SAY(mkdir("moved/in", 0700));
	list("moved/in");
	SAY(rename("full", "dir"));
	SAY(rename("empty", "dir"));
	SAY(unlink("dir/own"));
	SAY(rename("empty", "dir"));
	SAY(rmdir("full"));
	SAY(rename("link", "dir/link"));
	SAY(symlink("../deep", "dir/up"));
	cat("dir/up");
	cat("dir/link");
	SAY(rename("deep", "data2"));
	SAY(rename("data2", "cut"));
	cat("cut");
	list(".");
}

static void links(void)
{
	struct stat a = look("one"), b;

	show("one");
	put("one", O_WRONLY | O_APPEND, "+1");
	cat("two");
	b = look("two");
	printf("same %d\n", a.st_ino == b.st_ino);
	SAY(link("two", "three"));
	show("two");
	SAY(unlink("one"));
	show("three");
	SAY(rename("two", "three"));
	list(".");
	SAY(unlink("two"));
	SAY(chmod("three", 0600));
	show("three");
	SAY(linkat(AT_FDCWD, "other", AT_FDCWD, "dir/other", 0));
	put("dir/other", O_WRONLY | O_APPEND, "!");
	cat("other");
}

static void attributes(void)
{
	struct timespec ts[2] = {{5, 0}, {1234, 0}};
	struct stat before, after;
	int fd;

	show("attr");
	before = look("attr");
	SAY(chmod("attr", 0750));
	show("attr");
	SAY(utimensat(AT_FDCWD, "attr", ts, 0));
	show("attr");
	fd = open("attr", O_WRONLY);
	show("attr");
	fstat(fd, &after);
	printf("inode kept %d\n", before.st_ino == after.st_ino && before.st_dev == after.st_dev);
	close(fd);
	cat("attr");
	show("script");
	if (!fork()) {
		execl("./script", "script", "arg", NULL);
		_exit(9);
	}
	int st;

	wait(&st);
	printf("script %d\n", WEXITSTATUS(st));
	put("script", O_WRONLY | O_TRUNC, "#!/bin/sh\nexit 4\n");
	if (!fork()) {
		execl("./script", "script", NULL);
		_exit(9);
	}
	wait(&st);
	printf("script %d\n", WEXITSTATUS(st));
	SAY_FD(open("pipe", O_RDONLY | O_NONBLOCK));
	show("pipe");
}

/* Where the folder's file system has them. */
static void extended(void)
{
	char buf[64];
	long n = getxattr("xattr", "user.k", buf, sizeof(buf));

	if (n < 0)
		return;
	printf("user.k \"%.*s\"\n", (int)n, buf);
	SAY(listxattr("xattr", buf, sizeof(buf)));
	SAY(setxattr("xattr", "user.k", "new", 3, XATTR_CREATE));
	SAY(setxattr("xattr", "user.k", "new", 3, XATTR_REPLACE));
	SAY(getxattr("xattr", "user.k", buf, sizeof(buf)));
	SAY(removexattr("xattr", "user.k"));
	SAY(getxattr("xattr", "user.k", buf, sizeof(buf)));
	SAY(listxattr("xattr", buf, sizeof(buf)));
}

/* Two that write the same file, and one that reads it, at once. */
static void together(void)
{
	for (int i = 0; i < 4; i++) {
		if (fork())
			continue;
		for (int k = 0; k < 200; k++) {
			char name[32];

			snprintf(name, sizeof(name), "full/f%d", k % 10);
			put(name, O_WRONLY | O_APPEND, "x");
			snprintf(name, sizeof(name), "full/f%d", (k + i) % 10);
			close(open(name, O_RDONLY));
		}
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < 10; i++) {
		char name[32];

		snprintf(name, sizeof(name), "full/f%d", i);
		printf("%s %ld\n", name, (long)look(name).st_size);
	}
}

/* A tree deeper than any path, made by moving it into a new folder again and again. */
static int nest(int depth)
{
	int r = mkdir("top", 0700);

	while (depth-- && !r)
		r = mkdir("new", 0700) || rename("top", "new/top") || rename("new", "top");
	return r;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc < 2)
		return 0; /* run by itself */
	if (argc == 3)
		return nest(atoi(argv[2]));
	if (chdir(argv[1]))
		return 1;
	list(".");
	coherent();
	links();
	names();
	attributes();
	extended();
	together();
	return 0;
}
