/* One thread rewrites the path that another is passing to openat(2): a decision on one copy and an
 * action on another would open what the policy denies. Arguments: allowed file, denied file, rounds. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[4096];
static const char *good, *evil;
static volatile int stop;

static void *flip(void *arg)
{
	while (!stop) {
		strcpy(path, evil);
		strcpy(path, good);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int i, leaks = 0, rounds;
	char c;
	pthread_t t;

	if (argc != 4)
		return 2;
	good = argv[1];
	evil = argv[2];
	rounds = atoi(argv[3]);
	strcpy(path, good);
	pthread_create(&t, NULL, flip, NULL);
	for (i = 0; i < rounds; i++) {
		int fd = open(path, O_RDONLY);

		if (fd < 0)
			continue;
		if (read(fd, &c, 1) == 1 && c == 'S')
			leaks++;
		close(fd);
	}
	stop = 1;
	pthread_join(t, NULL);
	printf("leaks: %d\n", leaks);
	return leaks ? 1 : 0;
}
