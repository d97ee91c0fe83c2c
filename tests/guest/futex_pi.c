/* Futexes with an owner, waiting for several, and the calls that have sizes and flags. */
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

#define PRIVATE FUTEX_PRIVATE_FLAG

static _Atomic uint32_t word;

static long futex(void *p, int op, uint32_t val, const void *timeout)
{
	return syscall(SYS_futex, p, op, val, timeout, NULL, 0);
}

static struct timespec in(int clock, long ms)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_nsec += ms * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static void *taker(void *arg)
{
	long r = futex(&word, FUTEX_LOCK_PI | PRIVATE, 0, NULL);

	printf("taken %ld owner %d waiters %d\n", r, (word & FUTEX_TID_MASK) == (uint32_t)gettid(),
	       !!(word & FUTEX_WAITERS));
	r = futex(&word, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL);
	printf("given %ld %u\n", r, word);
	return NULL;
}

static void test_raw(void)
{
	struct timespec ts;
	pthread_t th;

	SAY(futex(&word, FUTEX_LOCK_PI | PRIVATE, 0, NULL));
	printf("mine %d\n", word == (uint32_t)gettid());
	SAY(futex(&word, FUTEX_LOCK_PI | PRIVATE, 0, NULL));
	SAY(futex(&word, FUTEX_TRYLOCK_PI | PRIVATE, 0, NULL));
	pthread_create(&th, NULL, taker, NULL);
	while (!(word & FUTEX_WAITERS))
		usleep(1000);
	usleep(20000);
	long r = futex(&word, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL);
	pthread_join(th, NULL);
	printf("unlock %ld\n", r);
	SAY(futex(&word, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL));
	word = 999999;
	SAY(futex(&word, FUTEX_LOCK_PI | PRIVATE, 0, NULL));
	word = FUTEX_OWNER_DIED;
	SAY(futex(&word, FUTEX_TRYLOCK_PI | PRIVATE, 0, NULL));
	printf("died %d\n", word == (FUTEX_OWNER_DIED | (uint32_t)gettid()));
	SAY(futex(&word, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL));
	printf("free %u\n", word);
	word = 1;
	ts = in(CLOCK_REALTIME, 20);
	pid_t p = fork();

	if (!p) {
		pause();
		_exit(0);
	}
	word = (uint32_t)p;
	SAY(futex(&word, FUTEX_LOCK_PI, 0, &ts));
	printf("waiters %d\n", !!(word & FUTEX_WAITERS));
	ts = in(CLOCK_MONOTONIC, 20);
	SAY(futex(&word, 13 /* FUTEX_LOCK_PI2 */, 0, &ts));
	SAY(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL));
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
	SAY(futex((void *)3, FUTEX_LOCK_PI, 0, NULL));
	SAY(futex((void *)8, FUTEX_LOCK_PI | PRIVATE, 0, NULL));
}

static pthread_mutex_t mutex;
static volatile int counter;

static void *adder(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&mutex);
		counter = counter + 1;
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *die_holding(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void test_mutexes(void)
{
	pthread_mutexattr_t at;
	pthread_t th[4];

	pthread_mutexattr_init(&at);
	SAY(pthread_mutexattr_setprotocol(&at, PTHREAD_PRIO_INHERIT));
	SAY(pthread_mutex_init(&mutex, &at));
	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, adder, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	printf("counter %d\n", counter);
	struct timespec ts = in(CLOCK_REALTIME, 10);

	pthread_mutex_lock(&mutex);
	SAY(pthread_mutex_timedlock(&mutex, &ts));
	pthread_mutex_unlock(&mutex);
	pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
	SAY(pthread_mutex_init(&mutex, &at));
	pthread_create(&th[0], NULL, die_holding, &mutex);
	pthread_join(th[0], NULL);
	SAY(pthread_mutex_lock(&mutex) == EOWNERDEAD);
	SAY(pthread_mutex_consistent(&mutex));
	SAY(pthread_mutex_unlock(&mutex));
	SAY(pthread_mutex_lock(&mutex));
	SAY(pthread_mutex_unlock(&mutex));
}

/* A process dies with the lock while another waits. */
static void test_shared(void)
{
	pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t at;
	int st, r;
	pid_t p;

	pthread_mutexattr_init(&at);
	pthread_mutexattr_setprotocol(&at, PTHREAD_PRIO_INHERIT);
	pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &at);
	fflush(stdout);
	p = fork();
	if (!p) {
		pthread_mutex_lock(m);
		((volatile char *)m)[2048] = 1;
		while (!(m->__data.__lock & (int)FUTEX_WAITERS))
			usleep(1000);
		usleep(20000);
		raise(SIGKILL);
	}
	while (!((volatile char *)m)[2048])
		usleep(1000);
	r = pthread_mutex_lock(m);
	waitpid(p, &st, 0);
	printf("dead owner %d signal %d\n", r == EOWNERDEAD, WTERMSIG(st));
	pthread_mutex_consistent(m);
	SAY(pthread_mutex_unlock(m));
}

struct waitv {
	uint64_t val, addr;
	uint32_t flags, reserved;
};

static _Atomic uint32_t many[3];

static void *wake_second(void *arg)
{
	usleep(30000);
	many[1] = 1;
	futex(&many[1], FUTEX_WAKE | PRIVATE, 1, NULL);
	return NULL;
}

static void test_waitv(void)
{
	struct waitv w[3];
	struct timespec ts;
	pthread_t th;

	for (int i = 0; i < 3; i++)
		w[i] = (struct waitv){0, (uint64_t)&many[i], 2 | PRIVATE, 0};
	pthread_create(&th, NULL, wake_second, NULL);
	SAY(syscall(SYS_futex_waitv, w, 3, 0, NULL, 0));
	pthread_join(th, NULL);
	SAY(syscall(SYS_futex_waitv, w, 3, 0, NULL, 0));
	many[1] = 0;
	ts = in(CLOCK_MONOTONIC, 20);
	SAY(syscall(SYS_futex_waitv, w, 3, 0, &ts, CLOCK_MONOTONIC));
	ts = in(CLOCK_REALTIME, 20);
	SAY(syscall(SYS_futex_waitv, w, 3, 0, &ts, CLOCK_REALTIME));
	SAY(syscall(SYS_futex_waitv, w, 3, 0, &ts, CLOCK_BOOTTIME));
	SAY(syscall(SYS_futex_waitv, w, 0, 0, NULL, 0));
	SAY(syscall(SYS_futex_waitv, w, 129, 0, NULL, 0));
	SAY(syscall(SYS_futex_waitv, w, 3, 1, NULL, 0));
	SAY(syscall(SYS_futex_waitv, NULL, 3, 0, NULL, 0));
	SAY(syscall(SYS_futex_waitv, 8, 3, 0, NULL, 0));
	w[2].reserved = 1;
	SAY(syscall(SYS_futex_waitv, w, 3, 0, NULL, 0));
	w[2].reserved = 0;
	w[2].flags = 1;
	SAY(syscall(SYS_futex_waitv, w, 3, 0, NULL, 0));
	w[2].flags = 2;
	w[2].addr = 8;
	SAY(syscall(SYS_futex_waitv, w, 3, 0, NULL, 0));
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	test_raw();
	test_mutexes();
	test_shared();
	test_waitv();
	return 0;
}
