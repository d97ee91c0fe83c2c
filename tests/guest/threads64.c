/* 64 threads doing malloc, futex and file work. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 64
#define ROUNDS	50

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long total, arrived;
static __thread int mine;

static void file_work(int id)
{
	char name[32], buf[256], back[256];
	int fd, i;

	snprintf(name, sizeof(name), "file%d", id);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (i = 0; i < 8; i++) {
		memset(buf, 'a' + (id + i) % 26, sizeof(buf));
		if (write(fd, buf, sizeof(buf)) != sizeof(buf))
			abort();
	}
	if (pread(fd, back, sizeof(back), 7 * 256) != sizeof(back) || memcmp(buf, back, sizeof(buf)))
		abort();
	close(fd);
	unlink(name);
}

static void *worker(void *arg)
{
	int id = (int)(long)arg, i, j;
	char *p[16];

	mine = id;
	pthread_barrier_wait(&barrier);
	for (i = 0; i < ROUNDS; i++) {
		for (j = 0; j < 16; j++) {
			size_t n = (size_t)(1 + (id * 131 + i * 17 + j * 1009) % 50000);

			p[j] = malloc(n);
			memset(p[j], j, n);
		}
		for (j = 0; j < 16; j++)
			free(p[j]);
		pthread_mutex_lock(&lock);
		total += mine;
		pthread_mutex_unlock(&lock);
	}
	file_work(id);
	pthread_mutex_lock(&lock);
	if (++arrived == THREADS)
		pthread_cond_broadcast(&cond);
	while (arrived < THREADS)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	return (void *)(long)(mine + 1);
}

int main(void)
{
	pthread_t t[THREADS];
	long i, sum = 0;
	void *r;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, worker, (void *)i))
			return 1;
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], &r);
		sum += (long)r;
	}
	printf("total %ld, sum %ld\n", total, sum);
	return 0;
}
