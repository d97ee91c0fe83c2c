/* Processes that use, remove and inherit System V objects at random, and are killed while they do. */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

#define KEYS  4
#define PROCS 6

static int base;
static uint64_t state;

static unsigned rnd(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % n;
}

static void shm_step(void)
{
	static char *at[8];
	static int n;
	int id = shmget(base + (int)rnd(KEYS), (1 + rnd(20)) * 4096, IPC_CREAT | 0600);
	char *p;

	switch (rnd(6)) {
	case 0:
	case 1:
		p = n < 8 ? shmat(id, NULL, rnd(4) ? 0 : SHM_RDONLY) : (void *)-1;
		if (p != (void *)-1)
			at[n++] = p;
		break;
	case 2:
		if (n)
			shmdt(at[--n]);
		break;
	case 3:
		if (n && !mprotect(at[n - 1], 4096, PROT_READ | PROT_WRITE))
			at[n - 1][rnd(4096)]++;
		break;
	case 4:
		if (n)
			munmap(at[n - 1] + 4096 * rnd(3), 4096);
		break;
	default:
		if (!rnd(4))
			shmctl(id, IPC_RMID, NULL);
	}
}

static void sem_step(void)
{
	int id = semget(base + (int)rnd(KEYS), 3, IPC_CREAT | 0600);
	struct sembuf b[2] = {{(unsigned short)rnd(3), (short)(rnd(5) - 2), rnd(2) ? SEM_UNDO : 0},
			      {(unsigned short)rnd(3), (short)(rnd(3) - 1), SEM_UNDO}};
	struct timespec ts = {0, 2000000};

	if (!rnd(20))
		semctl(id, 0, IPC_RMID);
	else if (!rnd(10))
		semctl(id, (int)rnd(3), SETVAL, (int)rnd(4));
	else
		semtimedop(id, b, 1 + rnd(2), &ts);
}

static void msg_step(void)
{
	struct {
		long type;
		char text[600];
	} m = {1 + rnd(3), ""};
	int id = msgget(base + (int)rnd(KEYS), IPC_CREAT | 0600);

	if (!rnd(30))
		msgctl(id, IPC_RMID, NULL);
	else if (rnd(2))
		msgsnd(id, &m, rnd(600), rnd(8) ? IPC_NOWAIT : 0);
	else
		msgrcv(id, &m, 600, (long)rnd(4), rnd(8) ? IPC_NOWAIT | MSG_NOERROR : 0);
}

static void work(unsigned seed, int rounds)
{
	state = seed * 0x9e3779b97f4a7c15ull + 1;
	alarm(20);
	while (rounds--) {
		switch (rnd(3)) {
		case 0:
			shm_step();
			break;
		case 1:
			sem_step();
			break;
		default:
			msg_step();
		}
		if (!rnd(200) && !fork()) {
			shm_step();
			_exit(0);
		}
	}
	_exit(0);
}

int main(void)
{
	int ended = 0;

	base = 0x10000000 + (getpid() << 4);
	signal(SIGCHLD, SIG_IGN);
	for (unsigned i = 0; i < 30; i++) {
		pid_t p[PROCS];

		for (unsigned k = 0; k < PROCS; k++) {
			p[k] = fork();
			if (!p[k]) {
				signal(SIGCHLD, SIG_IGN);
				work(i * PROCS + k, 300);
			}
		}
		usleep(15000);
		for (unsigned k = 0; k < PROCS; k++)
			ended += !kill(p[k], SIGKILL) || errno == ESRCH;
	}
	usleep(50000);
	for (int k = 0; k < KEYS; k++) {
		shmctl(shmget(base + k, 0, 0), IPC_RMID, NULL);
		semctl(semget(base + k, 0, 0), 0, IPC_RMID);
		msgctl(msgget(base + k, 0), IPC_RMID, NULL);
	}
	for (int k = 0; k < KEYS; k++)
		printf("left %d %d %d\n", shmget(base + k, 0, 0), semget(base + k, 0, 0),
		       msgget(base + k, 0));
	printf("ended %d\n", ended);
	return 0;
}
