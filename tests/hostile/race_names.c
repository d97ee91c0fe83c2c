/* Names change while they are resolved: links flip between an allowed and a denied file, directories
 * trade places, the working directory moves. Whatever is opened must never be the denied file.
 * Arguments: the directory that holds public and secret/key, rounds. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int stop, leaks, reads;
static char top[512];
static int rounds;

static void *flip_link(void *arg)
{
	char evil[600], good[600];

	snprintf(evil, sizeof(evil), "%s/secret/key", top);
	snprintf(good, sizeof(good), "%s/public", top);
	for (unsigned i = 0; !stop; i++) {
		symlink(i & 1 ? evil : good, "race/l.new");
		rename("race/l.new", "race/l");
		symlink(i & 1 ? "../secret" : "good", "race/d.new");
		rename("race/d.new", "race/d");
	}
	return NULL;
}

/* race/x and race/deep/x trade places: ".." of them means different things. */
static void *swap_dirs(void *arg)
{
	while (!stop) {
		syscall(SYS_renameat2, AT_FDCWD, "race/x", AT_FDCWD, "race/deep/x", 2);
		rename("race/in", "race/out");
		rename("race/out", "race/in");
	}
	return NULL;
}

static void try_open(int dirfd, const char *path, int flags)
{
	int fd = openat(dirfd, path, flags, 0600);
	char c;

	if (fd < 0)
		return;
	reads++;
	if (read(fd, &c, 1) == 1 && c == 'S')
		leaks++;
	close(fd);
}

static void *open_all(void *arg)
{
	int x = open("race/x", O_RDONLY | O_DIRECTORY);

	for (int i = 0; i < rounds; i++) {
		try_open(AT_FDCWD, "race/l", O_RDONLY);
		try_open(AT_FDCWD, "race/l", O_RDWR | O_CREAT);
		try_open(AT_FDCWD, "race/d/key", O_RDONLY);
		try_open(AT_FDCWD, "race/x/../../secret/key", O_RDONLY);
		try_open(AT_FDCWD, "race/x/../../public", O_RDONLY);
		try_open(x, "../../secret/key", O_RDONLY);
		try_open(x, "../secret/key", O_RDONLY);
		try_open(AT_FDCWD, "race/in/../d/key", O_RDONLY);
		link("race/l", "race/linked");
		link("race/d/key", "race/linked");
		try_open(AT_FDCWD, "race/linked", O_RDONLY);
		unlink("race/linked");
		rename("race/d/key", "race/moved");
		try_open(AT_FDCWD, "race/moved", O_RDONLY);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t flip, swap, open1, open2;
	int fd;

	if (argc != 3 || chdir(argv[1]))
		return 2;
	snprintf(top, sizeof(top), "%s", argv[1]);
	rounds = atoi(argv[2]);
	mkdir("race", 0755);
	mkdir("race/good", 0755);
	mkdir("race/x", 0755);
	mkdir("race/deep", 0755);
	mkdir("race/deep/x", 0755);
	mkdir("race/in", 0755);
	mkdir("race/secret", 0755);
	fd = open("race/good/key", O_WRONLY | O_CREAT, 0600);
	(void)!write(fd, "good", 4);
	close(fd);
	pthread_create(&flip, NULL, flip_link, NULL);
	pthread_create(&swap, NULL, swap_dirs, NULL);
	pthread_create(&open1, NULL, open_all, NULL);
	pthread_create(&open2, NULL, open_all, NULL);
	pthread_join(open1, NULL);
	pthread_join(open2, NULL);
	stop = 1;
	pthread_join(flip, NULL);
	pthread_join(swap, NULL);
	printf("leaks: %d%s\n", leaks, reads ? "" : ", but nothing was opened");
	return leaks ? 1 : 0;
}
