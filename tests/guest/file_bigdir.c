/* Large folders: what is there all the time is listed once, whatever comes and goes; positions can be gone
 * back to. */
#include "tests/guest/files.h"

#define N 1500

static unsigned char seen[N];

static const char *name_of(int i)
{
	static char name[40];

	snprintf(name, sizeof(name), "entry-%d-%.*s", i, i % 20, "xxxxxxxxxxxxxxxxxxxx");
	return name;
}

static int number_of(const char *name)
{
	int i = -1;

	return sscanf(name, "entry-%d-", &i) == 1 && i >= 0 && i < N ? i : -1;
}

static void fill(void)
{
	for (int i = 0; i < N; i++) {
		int fd = openat(AT_FDCWD, name_of(i), O_WRONLY | O_CREAT, 0600);

		if (fd < 0)
			exit(printf("cannot make %s: %s\n", name_of(i), strerrorname_np(errno)));
		close(fd);
	}
}

static void count(const char *what, int step)
{
	int missing = 0, twice = 0, others = 0;

	for (int i = 0; i < N; i++) {
		if (i % step)
			others += seen[i] > 1;
		else
			missing += !seen[i], twice += seen[i] > 1;
	}
	printf("%s: %d missing, %d twice, %d of the others twice\n", what, missing, twice, others);
	memset(seen, 0, sizeof(seen));
}

/* Lists with a buffer of so many bytes. */
static void list(const char *what, size_t size)
{
	char buf[4096];
	int fd = open(".", O_RDONLY | O_DIRECTORY), dots = 0;
	long n;

	while ((n = getdents64(fd, buf, size)) > 0)
		for (long at = 0; at < n;) {
			struct dirent64 *d = (struct dirent64 *)(buf + at);
			int i = number_of(d->d_name);

			dots += d->d_name[0] == '.';
			if (i >= 0)
				seen[i] += seen[i] < 9;
			at += d->d_reclen;
		}
	printf("ends with %ld, %d dots\n", n, dots);
	close(fd);
	count(what, 1);
}

/* Every third stays; the rest is removed while the list is read, and new ones are made. */
static void change_while_listing(void)
{
	DIR *d = opendir(".");
	struct dirent *e;
	char fresh[32];
	int n = 0;

	while ((e = readdir(d))) {
		int i = number_of(e->d_name);

		if (i < 0)
			continue;
		seen[i] += seen[i] < 9;
		n++;
		if (i % 3)
			unlink(e->d_name);
		if (n % 50 == 0 && n < N) {
			snprintf(fresh, sizeof(fresh), "fresh-%d", n);
			put(fresh, "");
		}
	}
	closedir(d);
	count("changed", 3);
}

static void positions(void)
{
	DIR *d = opendir(".");
	struct dirent *e;
	long at[8];
	char name[8][256];
	int wrong = 0, n = 0;

	for (int i = 0; i < 8; i++) {
		for (int k = 0; k < 37; k++)
			readdir(d);
		at[i] = telldir(d);
		e = readdir(d);
		strcpy(name[i], e ? e->d_name : "");
	}
	for (int i = 7; i >= 0; i--) {
		seekdir(d, at[i]);
		e = readdir(d);
		wrong += !e || strcmp(e->d_name, name[i]);
	}
	printf("%d positions wrong\n", wrong);
	rewinddir(d);
	put("late", "");
	while ((e = readdir(d)))
		n += !strcmp(e->d_name, "late");
	printf("late: %d\n", n);
	closedir(d);
}

static void odd(void)
{
	char buf[64];
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	T(getdents64(fd, buf, 10));
	T(getdents64(fd, BAD_PTR, 4096));
	T(lseek(fd, 0, SEEK_SET));
	T(getdents64(fd, buf, 24) > 0);
	close(fd);
	mkdir("gone", 0755);
	fd = open("gone", O_RDONLY | O_DIRECTORY);
	rmdir("gone");
	T(getdents64(fd, buf, sizeof(buf)));
	T(openat(fd, "x", O_WRONLY | O_CREAT, 0600));
	close(fd);
}

static void empty(void)
{
	DIR *d = opendir(".");
	struct dirent *e;

	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			unlink(e->d_name);
	closedir(d);
}

static void all(const char *where)
{
	printf("-- %s\n", where);
	mkdir("big", 0755);
	if (chdir("big"))
		return;
	fill();
	list("whole buffers", 4096);
	list("small buffers", 100);
	positions();
	change_while_listing();
	list("what is left is listed", 1000);
	odd();
	empty();
	T(chdir(".."));
	T(rmdir("big"));
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	all("the disk");
	if (!chdir("/dev/shm"))
		all("memory");
	return 0;
}
