/* An in-memory file system: names, links, contents, mappings, locks, fifos, directory offsets. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include "tests/guest/say.h"

static char home[64];

static void say_stat(const char *path)
{
	struct stat st;

	if (lstat(path, &st)) {
		printf("%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	printf("%s: mode %o links %lu size %ld\n", path, st.st_mode, (unsigned long)st.st_nlink,
	       S_ISDIR(st.st_mode) ? 0L : (long)st.st_size);
}

static void contents(void)
{
	char buf[32] = "", *m;
	int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0640), again;

	SAY_FD(open("f", O_RDWR | O_CREAT | O_EXCL, 0640));
	SAY(write(fd, "hello world", 11));
	SAY(pread(fd, buf, 5, 6));
	printf("%s\n", buf);
	SAY(lseek(fd, 8192, SEEK_SET));
	SAY(write(fd, "end", 3));
	SAY(lseek(fd, 0, SEEK_END));
	say_stat("f");
	m = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memcpy(m + 4096, "mapped", 6);
	again = open("f", O_RDONLY);
	memset(buf, 0, sizeof(buf));
	SAY(pread(again, buf, 6, 4096));
	printf("%s\n", buf);
	SAY(write(again, "x", 1));
	SAY(flock(fd, LOCK_EX));
	SAY(flock(again, LOCK_SH | LOCK_NB));
	SAY(flock(fd, LOCK_UN));
	SAY(flock(again, LOCK_SH | LOCK_NB));
	munmap(m, 12288);
	SAY(ftruncate(fd, 5));
	SAY(ftruncate(again, 5));
	SAY(fallocate(fd, 0, 0, 10000));
	say_stat("f");
	SAY(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	SAY(fsync(fd));
	close(again);
	SAY_FD(again = open("f", O_WRONLY | O_APPEND | O_TRUNC));
	SAY(write(again, "abc", 3));
	SAY(lseek(again, 0, SEEK_SET));
	SAY(write(again, "def", 3));
	memset(buf, 0, sizeof(buf));
	SAY(pread(fd, buf, sizeof(buf), 0));
	printf("%s\n", buf);
	close(again);
	close(fd);
}

static void names(void)
{
	SAY(mkdir("d", 0751));
	SAY(mkdir("d", 0751));
	SAY(link("f", "d/g"));
	SAY(link("d", "dd"));
	SAY(symlink("d/g", "s"));
	say_stat("s");
	say_stat("d");
	say_stat("f");
	SAY(rmdir("d"));
	SAY(unlink("d"));
	SAY(rmdir("f"));
	SAY(rename("d", "d/sub"));
	SAY(rename("f", "d"));
	SAY(rename("d", "f"));
	SAY(renameat2(AT_FDCWD, "f", AT_FDCWD, "s", RENAME_NOREPLACE));
	SAY(renameat2(AT_FDCWD, "f", AT_FDCWD, "s", RENAME_EXCHANGE));
	say_stat("f");
	say_stat("s");
	SAY(renameat2(AT_FDCWD, "f", AT_FDCWD, "s", RENAME_EXCHANGE));
	SAY(rename("f", "d/g")); /* the same file: nothing happens */
	SAY(access("f", F_OK));
	SAY(unlink("f"));
	SAY(access("s", R_OK));
	SAY(chmod("d/g", 0711));
	SAY(truncate("d/g", 3));
	say_stat("d/g");
	SAY(unlink("d/g"));
	SAY(access("s", R_OK));
	SAY(unlink("s"));
	SAY(chdir("d"));
	SAY(rmdir("../d"));
	SAY_FD(open("x", O_CREAT | O_RDWR, 0600));
	if (chdir(home))
		return;
	SAY_FD(open("a-name-that-is-missing/x", O_CREAT | O_RDWR, 0600));
}

static void times(void)
{
	struct timespec ts[2] = {{1000, 5}, {2000, 7}};
	struct stat st;
	int fd = open("t", O_CREAT | O_RDWR, 0600);

	SAY(futimens(fd, ts));
	close(fd);
	SAY(stat("t", &st));
	printf("%ld.%ld %ld.%ld\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
	       (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	fd = open("t", O_WRONLY);
	SAY(write(fd, "x", 1));
	SAY(fstat(fd, &st));
	printf("newer %d\n", st.st_mtim.tv_sec > 2000);
	SAY(unlink("t"));
	SAY(fstat(fd, &st));
	printf("links %lu size %ld\n", (unsigned long)st.st_nlink, (long)st.st_size);
	close(fd);
}

/* Files without a name, and how they get one. */
static void nameless(void)
{
	int fd, once;
	char link[40];
	struct stat st;

	SAY_FD(fd = open(".", O_TMPFILE | O_RDWR, 0640));
	SAY(write(fd, "unseen", 6));
	SAY(fstat(fd, &st));
	printf("mode %o links %lu size %ld\n", st.st_mode, (unsigned long)st.st_nlink, (long)st.st_size);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	SAY(linkat(AT_FDCWD, link, AT_FDCWD, "seen", AT_SYMLINK_FOLLOW));
	SAY(linkat(AT_FDCWD, link, AT_FDCWD, "seen", AT_SYMLINK_FOLLOW));
	say_stat("seen");
	SAY(linkat(AT_FDCWD, link, AT_FDCWD, "twice", AT_SYMLINK_FOLLOW));
	say_stat("twice");
	SAY(unlink("seen"));
	SAY(unlink("twice"));
	close(fd);
	SAY_FD(once = open(".", O_TMPFILE | O_EXCL | O_WRONLY, 0600));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", once);
	SAY(linkat(AT_FDCWD, link, AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
	close(once);
	SAY_FD(open(".", O_TMPFILE | O_RDONLY, 0600));
	SAY_FD(open("missing", O_TMPFILE | O_RDWR, 0600));
}

static void *writer(void *arg)
{
	int fd = open("q", O_WRONLY);

	if (write(fd, "through the fifo", 16) != 16)
		printf("short\n");
	close(fd);
	return NULL;
}

static void fifo(void)
{
	char buf[32] = "";
	pthread_t t;
	int fd;

	SAY(mkfifo("q", 0600));
	SAY_FD(open("q", O_WRONLY | O_NONBLOCK));
	pthread_create(&t, NULL, writer, NULL);
	fd = open("q", O_RDONLY);
	SAY(read(fd, buf, sizeof(buf)));
	printf("%s\n", buf);
	pthread_join(t, NULL);
	SAY(read(fd, buf, sizeof(buf)));
	close(fd);
	SAY(unlink("q"));
}

static void directories(void)
{
	enum { N = 3000 };
	static char seen[N];
	int total = 0, extra = 0, i;
	struct dirent *e;
	char name[32];
	long mid = 0;
	DIR *d;

	for (i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		close(open(name, O_CREAT | O_RDWR, 0600));
	}
	d = opendir(".");
	if (!d)
		return;
	while ((e = readdir(d))) {
		if (e->d_name[0] != 'n') {
			extra++;
			continue;
		}
		seen[atoi(e->d_name + 1)]++;
		if (++total == N / 2)
			mid = telldir(d);
	}
	for (i = 0; i < N && seen[i] == 1; i++)
		;
	printf("listed %d once each %d others %d\n", total, i == N, extra);
	seekdir(d, mid);
	for (total = 0; (e = readdir(d));)
		total += e->d_name[0] == 'n';
	printf("second half %d\n", total == N / 2);
	rewinddir(d);
	for (total = 0; (e = readdir(d));)
		if (e->d_name[0] == 'n' && !unlink(e->d_name))
			total++;
	printf("removed while reading %d\n", total);
	closedir(d);
}

int main(void)
{
	struct statfs sf;

	snprintf(home, sizeof(home), "/dev/shm/sbx-guest-%d", (int)getpid());
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022);
	if (mkdir(home, 0700) || chdir(home)) {
		printf("no /dev/shm: %s\n", strerrorname_np(errno));
		return 1;
	}
	SAY(statfs(".", &sf));
	printf("magic %lx\n", (unsigned long)sf.f_type);
	contents();
	names();
	times();
	nameless();
	fifo();
	directories();
	SAY(chdir("/"));
	printf("removed %d\n", rmdir(home));
	return 0;
}
