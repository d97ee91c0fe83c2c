/* Names: directories, links, renames, listings, the working directory. */
#include "tests/guest/files.h"
#include <linux/fs.h>

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
	printf(" (%d)\n", n);
}

static void directories(void)
{
	struct stat st;
	char cwd[PATH_MAX], *tail;

	T(mkdir("d", 0750));
	T(stat("d", &st));
	printf("%o\n", st.st_mode);
	T(mkdir("d", 0750));
	T(mkdir("d/", 0750));
	T(mkdir("slash/", 0750));
	T(mkdir("no/d", 0750));
	T(mkdir(".", 0750));
	T(mkdir("..", 0750));
	T(mkdir("/", 0750));
	T(mkdir("", 0750));
	T(chdir("d"));
	getcwd(cwd, sizeof(cwd));
	tail = strrchr(cwd, '/');
	printf("%s\n", tail);
	T(syscall(SYS_getcwd, cwd, 3));
	T(syscall(SYS_getcwd, BAD_PTR, 4096));
	T(mkdir("sub", 0755));
	T(rmdir("../d"));
	T(rmdir("."));
	T(rmdir(".."));
	T(rmdir("sub/."));
	T(rmdir("sub"));
	T(chdir(".."));
	T(chdir("none"));
	put("file", "x");
	T(chdir("file"));
	T(rmdir("file"));
	T(rmdir("none"));
	T(rmdir("d/"));
	T(mkdir("gone", 0755));
	T(chdir("gone"));
	T(rmdir("../gone"));
	T(syscall(SYS_getcwd, cwd, sizeof(cwd)));
	T(open("x", O_WRONLY | O_CREAT, 0644));
	T(open(".", O_RDONLY));
	T(close(3));
	T(chdir(".."));
	T(access("file", F_OK));
	T(rmdir("slash"));
}

static void links(void)
{
	char buf[64];
	struct stat st;

	put("one", "1");
	T(link("one", "two"));
	T(stat("one", &st));
	printf("nlink %ld\n", (long)st.st_nlink);
	T(link("one", "two"));
	T(link("none", "three"));
	T(link(".", "three"));
	T(link("one", "no/three"));
	T(symlink("one", "s"));
	T(symlink("one", "s"));
	T(symlink("", "e"));
	T(symlink("x", "s2/"));
	T(symlink(BAD_PTR, "s3"));
	T(link("s", "hs"));
	T(lstat("hs", &st));
	printf("link to link: %d\n", S_ISLNK(st.st_mode));
	T(linkat(AT_FDCWD, "s", AT_FDCWD, "hf", AT_SYMLINK_FOLLOW));
	T(lstat("hf", &st));
	printf("nlink %ld\n", (long)st.st_nlink);
	T(linkat(AT_FDCWD, "s", AT_FDCWD, "hx", 1 << 20));
	memset(buf, '#', sizeof(buf));
	T(readlink("s", buf, sizeof(buf)));
	printf("%.4s\n", buf);
	T(readlink("s", buf, 1));
	T(readlink("s", buf, 0));
	T(readlink("one", buf, 1));
	T(readlink("none", buf, 1));
	T(readlink("s", BAD_PTR, 1));
	T(unlink("s/"));
	T(unlink("one/"));
	T(unlink("s"));
	T(unlink("hs"));
	T(unlink("two"));
	T(unlink("none"));
	T(unlink("."));
	T(unlink(""));
	T(unlinkat(AT_FDCWD, "hf", 1));
	T(unlinkat(AT_FDCWD, "hf", AT_REMOVEDIR));
	T(unlinkat(AT_FDCWD, "hf", 0));
	T(stat("one", &st));
	printf("nlink %ld\n", (long)st.st_nlink);
	mkdir("du", 0755);
	T(unlink("du"));
	T(unlink("du/"));
	T(unlinkat(AT_FDCWD, "du", AT_REMOVEDIR));
}

static void renames(void)
{
	put("r1", "first");
	put("r2", "second");
	mkdir("rd", 0755);
	mkdir("rd/in", 0755);
	symlink("r1", "rl");
	T(rename("r1", "r3"));
	T(rename("r1", "r3"));
	T(rename("r3", "r2"));
	show("r2");
	T(rename("r2", "rd"));
	T(rename("rd", "r2"));
	T(rename("rd", "rd/in/x"));
	T(rename("r2", "r2/"));
	T(rename("r2", "new/"));
	T(rename("rd/", "re/"));
	T(rename("re/in", "rin"));
	T(rename("re", "rin"));
	T(rename(".", "x"));
	T(rename("rl", "rm"));
	T(rename("no/a", "b"));
	T(rename("r2", "no/b"));
	T(rename("r2", "r2"));
	put("r4", "fourth");
	T(renameat2(AT_FDCWD, "r2", AT_FDCWD, "r4", RENAME_NOREPLACE));
	T(renameat2(AT_FDCWD, "r2", AT_FDCWD, "r4", RENAME_EXCHANGE));
	show("r2");
	T(renameat2(AT_FDCWD, "r2", AT_FDCWD, "none", RENAME_EXCHANGE));
	T(renameat2(AT_FDCWD, "r2", AT_FDCWD, "r5", RENAME_NOREPLACE));
	T(renameat2(AT_FDCWD, "r5", AT_FDCWD, "r6", RENAME_NOREPLACE | RENAME_EXCHANGE));
	T(renameat2(AT_FDCWD, "r5", AT_FDCWD, "r6", 1 << 10));
	T(open("rin", O_RDONLY | O_DIRECTORY));
	T(renameat(AT_FDCWD, "r5", 3, "moved"));
	T(renameat(3, "moved", AT_FDCWD, "back"));
	T(rename("rin", "rout"));
	T(openat(3, "after", O_WRONLY | O_CREAT, 0644));
	T(close(4));
	T(close(3));
	list("rout");
}

static void special(void)
{
	struct stat st;

	T(mknod("reg", S_IFREG | 0644, 0));
	T(mknod("fifo", S_IFIFO | 0600, 0));
	T(mknod("sock", S_IFSOCK | 0600, 0));
	T(mknod("dir", S_IFDIR | 0700, 0));
	T(mknod("bad", 0170000 | 0600, 0));
	T(mknod("reg", S_IFREG | 0644, 0));
	T(stat("fifo", &st));
	printf("%o\n", st.st_mode);
	T(open("sock", O_RDONLY));
	T(open("fifo", O_RDONLY | O_NONBLOCK));
	T(open("fifo", O_WRONLY | O_NONBLOCK));
	T(write(4, "through", 7));
	T(read(3, (char[9]){0}, 9));
	T(lseek(3, 0, SEEK_CUR));
	T(close(4));
	T(read(3, (char[9]){0}, 9));
	T(close(3));
	T(open("fifo", O_WRONLY | O_NONBLOCK));
}

static void listings(void)
{
	char name[64], buf[4096];
	int n = 0, calls = 0;
	long r;
	DIR *d;

	mkdir("many", 0755);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "many/a-rather-long-name-of-a-file-%04d", i);
		put(name, "");
	}
	d = opendir("many");
	while (readdir(d))
		n++;
	printf("entries %d\n", n);
	rewinddir(d);
	for (n = 0; readdir(d);)
		n++;
	printf("again %d\n", n);
	closedir(d);
	T(open("many", O_RDONLY));
	for (n = 0; (r = syscall(SYS_getdents64, 3, buf, sizeof(buf))) > 0; calls++)
		for (long at = 0; at < r; at += *(unsigned short *)(buf + at + 16))
			n++;
	printf("entries %d, several calls %d, end %ld\n", n, calls > 5, r);
	T(lseek(3, 0, SEEK_SET));
	for (n = 0; (r = syscall(SYS_getdents, 3, buf, sizeof(buf))) > 0;)
		for (long at = 0; at < r; at += *(unsigned short *)(buf + at + 16))
			n++;
	printf("entries %d, end %ld\n", n, r);
	T(lseek(3, 0, SEEK_SET));
	T(syscall(SYS_getdents64, 3, buf, 10));
	T(syscall(SYS_getdents64, 3, BAD_PTR, 4096));
	T(close(3));
	T(open("one", O_RDONLY));
	T(syscall(SYS_getdents64, 3, buf, sizeof(buf)));
	T(close(3));
	mkdir("few", 0755);
	put("few/f", "");
	symlink("f", "few/l");
	mkdir("few/d", 0755);
	mknod("few/p", S_IFIFO | 0600, 0);
	list("few");
	list("few/d");
}

int main(void)
{
	umask(022);
	directories();
	links();
	renames();
	special();
	listings();
	return 0;
}
