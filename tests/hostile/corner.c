/* Corner cases of memory, threads and signals, in which the sandbox itself could end or hang.
 * Usage: corner WHAT. Ends with status 0, natively and under sbx. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void *map(size_t len, int flags)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* A second mapping of a shared object, put on top of the first. */
static void remap_onto(void)
{
	char *p = map(4 * PAGE, MAP_SHARED);

	if (mremap(p, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) != MAP_FAILED || errno != EFAULT)
		die("mremap");
}

/* ---- a context that was kicked as its thread ended, in the hands of the next thread ---- */

static atomic_int stop;

static void *leave(void *arg)
{
	return NULL;
}

static void *spin(void *arg)
{
	while (!atomic_load(&stop))
		;
	return NULL;
}

static void *shoot(void *arg)
{
	while (!atomic_load(&stop)) {
		volatile char *p = map(PAGE, MAP_PRIVATE);

		*p = 1;
		munmap((void *)p, PAGE);
	}
	return NULL;
}

static void start(pthread_t *t, void *(*fn)(void *))
{
	int r;

	while ((r = pthread_create(t, NULL, fn, NULL)) == EAGAIN)
		sched_yield();
	if (r) {
		errno = r;
		die("pthread_create");
	}
}

static void shoot_leaving(void)
{
	pthread_t shooter[2], other[4];
	int i, round;

	for (round = 0; round < 20; round++) {
		int n;

		atomic_store(&stop, 0);
		start(&shooter[0], shoot);
		start(&shooter[1], shoot);
		for (n = 0; n < 20; n++) {
			for (i = 0; i < 4; i++)
				start(&other[i], leave);
			for (i = 0; i < 4; i++)
				pthread_join(other[i], NULL);
		}
		for (i = 0; i < 4; i++)
			start(&other[i], spin);
		usleep(20000);
		atomic_store(&stop, 1);
		for (i = 0; i < 4; i++)
			pthread_join(other[i], NULL);
		pthread_join(shooter[0], NULL);
		pthread_join(shooter[1], NULL);
	}
}

/* exit_group while all others compute. */
static void leave_spinning(void)
{
	pthread_t t[8];
	int i, n;

	for (n = 0; n < 40; n++) {
		for (i = 0; i < 8; i++)
			start(&t[i], leave);
		for (i = 0; i < 8; i++)
			pthread_kill(t[i], 0), pthread_join(t[i], NULL);
	}
	for (i = 0; i < 8; i++)
		start(&t[i], spin);
	usleep(10000);
	_exit(0);
}

#define QUEUES 8000

/* Semaphores' undo records when messages have used up what there is for System V IPC. */
static void undo_without_room(void)
{
	static struct {
		long type;
		char text[8192];
	} m = {1, ""};
	static int queue[QUEUES];
	const int set = semget(IPC_PRIVATE, 32000, 0600);
	struct sembuf zero = {0, 0, SEM_UNDO | IPC_NOWAIT};
	int n = 0;

	if (set < 0)
		die("semget");
	do {
		queue[n] = msgget(IPC_PRIVATE, 0600);
		if (queue[n] < 0)
			break;
		while (!msgsnd(queue[n], &m, sizeof(m.text), IPC_NOWAIT))
			;
	} while (++n < QUEUES && errno == EAGAIN);
	semop(set, &zero, 1);
	semctl(set, 0, IPC_RMID);
	while (n--)
		msgctl(queue[n], IPC_RMID, NULL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} cases[] = {
		{"remap-onto", remap_onto},
		{"shoot-leaving", shoot_leaving},
		{"leave-spinning", leave_spinning},
		{"undo-without-room", undo_without_room},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc < 2) {
			puts(cases[i].name);
		} else if (!strcmp(argv[1], cases[i].name)) {
			cases[i].fn();
			return 0;
		}
	}
	return argc < 2 ? 0 : 98;
}
