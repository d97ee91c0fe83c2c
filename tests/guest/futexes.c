/* Futexes by the raw call: waiting, waking, requeueing, operations, timeouts, robust lists. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint32_t a, b;
static atomic_int woken;

static long futex(void *p, int op, uint32_t val, const void *timeout, void *p2, uint32_t val3)
{
	long r = syscall(SYS_futex, p, op, val, timeout, p2, val3);

	return r < 0 ? -errno : r;
}

struct job {
	void *p;
	int op;
	uint32_t bits;
	long result;
	atomic_int tid;
};

static void *wait_job(void *arg)
{
	struct job *j = arg;

	j->tid = (int)syscall(SYS_gettid);
	j->result = futex(j->p, j->op, 0, NULL, NULL, j->bits);
	woken++;
	return NULL;
}

/* Says /proc that the thread sleeps? */
static bool asleep(int tid)
{
	char name[64], line[128] = "", *p;
	int fd;

	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", tid);
	fd = open(name, O_RDONLY);
	if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0)
		return false;
	close(fd);
	p = strrchr(line, ')');
	return p && p[2] == 'S';
}

static void start(pthread_t *th, struct job *j, int n)
{
	woken = 0;
	for (int i = 0; i < n; i++)
		pthread_create(&th[i], NULL, wait_job, &j[i]);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < 4000 && !asleep(j[i].tid); k++)
			usleep(1000);
	usleep(20000);
}

static void settle(const char *what, int want)
{
	for (int i = 0; i < 200 && woken < want; i++)
		usleep(5000);
	usleep(20000);
	printf("%s: woken %d\n", what, woken);
}

static void test_errors(void)
{
	struct timespec ts = {0, 10000000}, bad = {0, 2000000000}, past = {1, 0};

	printf("wrong value: %ld\n", futex(&a, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
	printf("unaligned: %ld\n", futex((char *)&a + 1, FUTEX_WAIT, 0, NULL, NULL, 0));
	printf("bad address: %ld\n", futex((void *)8, FUTEX_WAIT, 0, NULL, NULL, 0));
	printf("bad timeout: %ld\n", futex(&a, FUTEX_WAIT, 0, &bad, NULL, 0));
	printf("timeout: %ld\n", futex(&a, FUTEX_WAIT, 0, &ts, NULL, 0));
	printf("past: %ld\n", futex(&a, FUTEX_WAIT_BITSET, 0, &past, NULL, ~0u));
	printf("past realtime: %ld\n",
	       futex(&a, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, ~0u));
	printf("no bits: %ld %ld\n", futex(&a, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0),
	       futex(&a, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
	printf("nobody: %ld\n", futex(&a, FUTEX_WAKE, 10, NULL, NULL, 0));
	printf("no operation: %ld\n", futex(&a, 77, 0, NULL, NULL, 0));
}

static void test_wake(void)
{
	pthread_t th[6];
	struct job j[6];

	for (int i = 0; i < 6; i++)
		j[i] = (struct job){&a, FUTEX_WAIT_BITSET_PRIVATE, 1u << (i % 3), 0, 0};
	start(th, j, 6);
	printf("shared wake of private waiters: %ld\n", futex(&a, FUTEX_WAKE, 10, NULL, NULL, 0));
	printf("bit 0: %ld\n", futex(&a, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 1));
	settle("after bit 0", 2);
	printf("one: %ld\n", futex(&a, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	settle("after one", 3);
	printf("rest: %ld\n", futex(&a, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0));
	settle("after all", 6);
	for (int i = 0; i < 6; i++) {
		pthread_join(th[i], NULL);
		printf("%ld ", j[i].result);
	}
	printf("\n");
}

static void test_requeue(void)
{
	pthread_t th[5];
	struct job j[5];

	for (int i = 0; i < 5; i++)
		j[i] = (struct job){&a, FUTEX_WAIT_BITSET_PRIVATE, ~0u, 0, 0};
	start(th, j, 5);
	printf("wrong value: %ld\n", futex(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &b, 9));
	printf("cmp_requeue: %ld\n", futex(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &b, 0));
	settle("woken by requeue", 1);
	printf("at b: %ld\n", futex(&b, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	settle("after b", 3);
	printf("requeue: %ld\n", futex(&a, FUTEX_REQUEUE_PRIVATE, 0, (void *)10, &b, 0));
	printf("at a: %ld at b: %ld\n", futex(&a, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0),
	       futex(&b, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	settle("after all", 5);
	for (int i = 0; i < 5; i++)
		pthread_join(th[i], NULL);
}

static void test_wake_op(void)
{
	pthread_t th[2];
	struct job j[2] = {{&a, FUTEX_WAIT_BITSET_PRIVATE, ~0u, 0, 0},
			   {&b, FUTEX_WAIT_BITSET_PRIVATE, ~0u, 0, 0}};

	b = 0;
	start(th, j, 2);
	printf("wake_op: %ld\n", futex(&a, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &b,
				       FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0)));
	settle("both", 2);
	printf("b is %u\n", b);
	printf("or: %ld\n",
	       futex(&a, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &b,
		     FUTEX_OP((FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT), 8, FUTEX_OP_CMP_GT, 9)));
	printf("b is %x\n", b);
	b = 0;
	for (int i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
}

static void test_shared(void)
{
	_Atomic uint32_t *m =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t th;
	struct job j = {m, FUTEX_WAIT_BITSET, ~0u, 0, 0};

	start(&th, &j, 1);
	printf("shared: %ld\n", futex(m, FUTEX_WAKE, 1, NULL, NULL, 0));
	pthread_join(th, NULL);
	munmap(m, 4096);
}

static void on_signal(int sig)
{
}

static void *poke(void *arg)
{
	usleep(30000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void test_signal(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	pthread_t self = pthread_self(), th;
	struct timespec ts = {5, 0};

	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&th, NULL, poke, &self);
	printf("interrupted: %ld\n", futex(&a, FUTEX_WAIT, 0, NULL, NULL, 0));
	pthread_join(th, NULL);
	pthread_create(&th, NULL, poke, &self);
	printf("interrupted, timeout: %ld\n", futex(&a, FUTEX_WAIT, 0, &ts, NULL, 0));
	pthread_join(th, NULL);
}

static pthread_mutex_t robust;
static atomic_int locked;

static void *die_with_lock(void *arg)
{
	pthread_mutex_lock(&robust);
	locked = 1;
	usleep((useconds_t)(intptr_t)arg);
	return NULL;
}

static void test_robust(void)
{
	pthread_mutexattr_t at;
	pthread_t th;

	pthread_mutexattr_init(&at);
	pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &at);
	pthread_create(&th, NULL, die_with_lock, (void *)0);
	pthread_join(th, NULL);
	printf("owner died: %d\n", pthread_mutex_lock(&robust) == EOWNERDEAD);
	printf("consistent: %d\n", pthread_mutex_consistent(&robust));
	pthread_mutex_unlock(&robust);
	locked = 0;
	pthread_create(&th, NULL, die_with_lock, (void *)60000);
	while (!locked)
		usleep(1000);
	printf("owner died while waiting: %d\n", pthread_mutex_lock(&robust) == EOWNERDEAD);
	pthread_mutex_unlock(&robust);
	printf("not recoverable: %d\n", pthread_mutex_lock(&robust) == ENOTRECOVERABLE);
	pthread_join(th, NULL);
}

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cv = PTHREAD_COND_INITIALIZER;
static int turn;
static long total;

static void *ping(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&mu);
		while (turn % 4 != me)
			pthread_cond_wait(&cv, &mu);
		turn++;
		total += me;
		pthread_cond_broadcast(&cv);
		pthread_mutex_unlock(&mu);
	}
	return NULL;
}

int main(void)
{
	pthread_t th[4];

	setvbuf(stdout, NULL, _IONBF, 0);
	test_errors();
	test_wake();
	test_requeue();
	test_wake_op();
	test_shared();
	test_signal();
	test_robust();
	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, ping, (void *)(intptr_t)i);
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	printf("turns %d total %ld\n", turn, total);
	return 0;
}
