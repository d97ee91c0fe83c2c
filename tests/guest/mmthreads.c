/* Threads that map, fill, check, protect, move and unmap at the same time: nobody sees another's
 * pages, or an old one. Faults on pages of others being taken away arrive as signals. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PG	4096ul
#define THREADS 8
#define ROUNDS	60
#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)

static atomic_int bad, signals;
static char *volatile victim; /* mapped and unmapped while others read it */
static atomic_bool stop;
static __thread sigjmp_buf jump;

static void on_signal(int sig)
{
	siglongjmp(jump, 1);
}

static unsigned rnd(unsigned *seed)
{
	return (*seed = *seed * 1664525u + 1013904223u) >> 10;
}

static void check(const uint64_t *p, size_t pages, uint64_t want)
{
	for (size_t i = 0; i < pages * PG / 8; i += 64)
		if (p[i] != want)
			atomic_fetch_add(&bad, 1);
}

static void fill(uint64_t *p, size_t pages, uint64_t v)
{
	for (size_t i = 0; i < pages * PG / 8; i += 64)
		p[i] = v;
}

static void *worker(void *arg)
{
	uint64_t id = (uint64_t)(uintptr_t)arg;
	unsigned seed = (unsigned)id * 7919;

	for (uint64_t round = 1; round <= ROUNDS; round++) {
		size_t pages = 1 + rnd(&seed) % 40;
		uint64_t tag = id << 32 | round;
		uint64_t *p = mmap(NULL, pages * PG, RW, ANON, -1, 0);

		check(p, pages, 0);
		fill(p, pages, tag);
		if (round % 3 == 0) {
			p = mremap(p, pages * PG, (pages + 60) * PG, MREMAP_MAYMOVE);
			check(p, pages, tag);
			check(p + pages * PG / 8, 60, 0);
			munmap((char *)p + pages * PG, 60 * PG);
		}
		if (round % 4 == 0) {
			mprotect(p, pages * PG, PROT_READ);
			check(p, pages, tag);
			mprotect(p, pages * PG, RW);
			fill(p, pages, ~tag);
			madvise(p, pages * PG, MADV_DONTNEED);
			check(p, pages, 0);
			fill(p, pages, tag);
		}
		check(p, pages, tag);
		munmap(p, pages * PG);
	}
	return NULL;
}

/* Reads the victim for ever: either its contents or a signal, never anything else. */
static void *reader(void *arg)
{
	while (!atomic_load(&stop)) {
		char *p = victim, v;

		if (!p)
			continue;
		if (sigsetjmp(jump, 1)) {
			atomic_fetch_add(&signals, 1);
			continue;
		}
		v = *(volatile char *)p;
		if (v != 0 && v != 'v')
			atomic_fetch_add(&bad, 1);
	}
	return NULL;
}

static void *taker(void *arg)
{
	for (int i = 0; i < 150; i++) {
		char *p = mmap((void *)0x300000000, 4 * PG, RW, ANON | MAP_FIXED, -1, 0);

		*p = 'v';
		victim = p;
		munmap(p, 4 * PG);
		/* Another use of the same physical pages, with other contents. */
		p = mmap((void *)0x380000000, 16 * PG, RW, ANON | MAP_FIXED, -1, 0);
		memset(p, 'x', 16 * PG);
		munmap(p, 16 * PG);
	}
	atomic_store(&stop, true);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	pthread_t t[THREADS + 2];

	sigaction(SIGSEGV, &sa, NULL);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, worker, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	printf("workers: bad %d\n", atomic_load(&bad));
	pthread_create(&t[0], NULL, reader, NULL);
	pthread_create(&t[1], NULL, taker, NULL);
	pthread_join(t[1], NULL);
	pthread_join(t[0], NULL);
	printf("readers: bad %d\n", atomic_load(&bad));
	return 0;
}
