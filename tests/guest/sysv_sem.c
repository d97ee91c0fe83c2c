/* System V semaphores. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

static void drop_capabilities(void)
{
	struct {
		unsigned version;
		int pid;
	} hdr = {0x20080522, 0};
	unsigned data[6] = {0};

	syscall(SYS_capset, &hdr, data);
}

static int op(int id, int num, int n, int flags)
{
	struct sembuf b = {(unsigned short)num, (short)n, (short)flags};

	return semop(id, &b, 1);
}

static void values(const char *what, int id)
{
	unsigned short v[3];

	semctl(id, 0, GETALL, v);
	printf("%s: %d %d %d\n", what, v[0], v[1], v[2]);
}

static void test_get(int key)
{
	int id = semget(key, 3, IPC_CREAT | IPC_EXCL | 0600);
	struct semid_ds ds;

	printf("made %d\n", id >= 0);
	SAY(semget(key, 3, IPC_CREAT | IPC_EXCL | 0600));
	SAY(semget(key, 4, 0600));
	printf("same %d\n", semget(key, 0, 0) == id);
	SAY(semget(key + 1, 3, 0));
	SAY(semget(IPC_PRIVATE, 0, 0600));
	SAY(semget(IPC_PRIVATE, -1, 0600));
	SAY(semget(IPC_PRIVATE, 32001, 0600));
	SAY(semctl(id, 0, IPC_STAT, &ds));
	printf("nsems %lu mode %o otime %d ctime %d\n", ds.sem_nsems, ds.sem_perm.mode,
	       ds.sem_otime != 0, ds.sem_ctime != 0);
	SAY(semctl(id, 0, IPC_RMID));
	SAY(semctl(id, 0, IPC_RMID));
	SAY(semctl(id, 0, GETVAL));
}

static void test_ops(void)
{
	int id = semget(IPC_PRIVATE, 3, 0600);
	struct sembuf many[3] = {{0, 2, 0}, {1, 3, 0}, {2, -1, IPC_NOWAIT}};
	unsigned short all[3] = {1, 2, 40000};
	static struct sembuf lots[501];
	struct timespec ts = {0, 20000000};

	SAY(semctl(id, 1, SETVAL, 5));
	SAY(semctl(id, 1, GETVAL));
	printf("pid %d\n", semctl(id, 1, GETPID) == getpid());
	SAY(semctl(id, 1, SETVAL, -1));
	SAY(semctl(id, 1, SETVAL, 32768));
	SAY(semctl(id, 3, SETVAL, 1));
	SAY(semctl(id, 3, GETVAL));
	SAY(semctl(id, -1, GETVAL));
	SAY(semop(id, many, 3));
	values("nothing done", id);
	many[2].sem_op = 0;
	SAY(semop(id, many, 3));
	values("done", id);
	SAY(semctl(id, 0, SETALL, all));
	all[2] = 3;
	SAY(semctl(id, 0, SETALL, all));
	values("set", id);
	SAY(op(id, 3, 1, 0));
	SAY(op(id, 0, 32767, 0));
	SAY(op(id, 0, -2, IPC_NOWAIT));
	SAY(op(id, 0, 0, IPC_NOWAIT));
	SAY(semop(id, many, 0));
	SAY(semop(id, lots, 501));
	SAY(semop(id, (void *)8, 1));
	SAY(semop(-1, many, 1));
	SAY(semop(id + 1, many, 1));
	many[0] = (struct sembuf){0, -2, 0};
	SAY(semtimedop(id, many, 1, &ts));
	ts.tv_nsec = -1;
	SAY(semtimedop(id, many, 1, &ts));
	many[0] = (struct sembuf){0, -1, 0};
	SAY(semtimedop(id, many, 1, NULL));
	values("end", id);
	SAY(semctl(id, 0, 999));
	SAY(semctl(id, 0, IPC_STAT, (void *)8));
	SAY(semctl(id, 0, GETALL, (void *)8));
	semctl(id, 0, IPC_RMID);
}

static void on_signal(int sig)
{
}

static void wait_for(int id, int num, int cmd)
{
	while (!semctl(id, num, cmd))
		usleep(1000);
}

static pid_t start(int id, int num, int n, int flags)
{
	pid_t p;

	fflush(stdout);
	p = fork();
	if (!p) {
		errno = 0;
		n = op(id, num, n, flags);
		_exit(n ? errno : 0);
	}
	return p;
}

static void end(const char *what, pid_t p)
{
	int st;

	waitpid(p, &st, 0);
	printf("%s: %s\n", what, st ? strerrorname_np(WEXITSTATUS(st)) : "0");
}

static void test_waits(void)
{
	int id = semget(IPC_PRIVATE, 3, 0600);
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pid_t p, q;

	sigaction(SIGUSR1, &sa, NULL);
	p = start(id, 0, -2, 0);
	wait_for(id, 0, GETNCNT);
	printf("waiting %d %d\n", semctl(id, 0, GETNCNT), semctl(id, 0, GETZCNT));
	op(id, 0, 1, 0);
	printf("still %d\n", semctl(id, 0, GETNCNT));
	op(id, 0, 1, 0);
	end("woken", p);
	printf("pid %d\n", semctl(id, 0, GETPID) == p);
	op(id, 1, 1, 0);
	p = start(id, 1, 0, 0);
	wait_for(id, 1, GETZCNT);
	op(id, 1, -1, 0);
	end("zero", p);
	p = start(id, 0, -1, 0);
	wait_for(id, 0, GETNCNT);
	semctl(id, 0, SETVAL, 1);
	end("setval", p);
	p = start(id, 0, -1, 0);
	wait_for(id, 0, GETNCNT);
	kill(p, SIGUSR1);
	end("signal", p);
	p = start(id, 0, -1, 0);
	q = start(id, 0, -1, 0);
	while (semctl(id, 0, GETNCNT) != 2)
		usleep(1000);
	semctl(id, 0, IPC_RMID);
	end("removed", p);
	end("removed", q);
}

static void test_undo(void)
{
	int id = semget(IPC_PRIVATE, 3, 0600), st;
	pid_t p;

	semctl(id, 0, SETVAL, 5);
	end("undo", start(id, 0, -3, SEM_UNDO));
	values("undone", id);
	end("undo up", start(id, 1, 3, SEM_UNDO));
	values("undone up", id);
	fflush(stdout);
	p = fork();
	if (!p) {
		op(id, 0, -2, SEM_UNDO);
		op(id, 1, 4, SEM_UNDO);
		semctl(id, 1, SETVAL, 7);
		op(id, 2, 2, SEM_UNDO);
		op(id, 2, -2, 0);
		if (fork()) {
			wait(NULL);
			raise(SIGKILL);
		}
		_exit(0); /* a child has nothing to undo */
	}
	waitpid(p, &st, 0);
	values("killed", id);
	/* somebody who waits goes on when another's death gives back */
	semctl(id, 0, SETVAL, 1);
	fflush(stdout);
	p = fork();
	if (!p) {
		op(id, 0, -1, SEM_UNDO);
		wait_for(id, 0, GETNCNT);
		_exit(0);
	}
	while (semctl(id, 0, GETVAL))
		usleep(1000);
	SAY(op(id, 0, -1, 0));
	waitpid(p, &st, 0);
	for (st = 0; st < 32767 && !op(id, 2, 1, SEM_UNDO); st++)
		;
	printf("ups %d\n", st);
	SAY(op(id, 2, 1, SEM_UNDO));
	semctl(id, 0, IPC_RMID);
}

static int shared_id;
static volatile long counter;

static void *adder(void *arg)
{
	for (int i = 0; i < 300; i++) {
		op(shared_id, 0, -1, SEM_UNDO);
		long v = counter;
		if (i % 16 == 0)
			sched_yield();
		counter = v + 1;
		op(shared_id, 0, 1, SEM_UNDO);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t th[4];

	shared_id = semget(IPC_PRIVATE, 1, 0600);
	semctl(shared_id, 0, SETVAL, 1);
	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, adder, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	printf("counter %ld value %d\n", counter, semctl(shared_id, 0, GETVAL));
	semctl(shared_id, 0, IPC_RMID);
}

static void test_rights(void)
{
	int id = semget(IPC_PRIVATE, 1, 0400);
	struct semid_ds ds;

	SAY(op(id, 0, 1, 0));
	SAY(op(id, 0, 0, 0));
	SAY(semctl(id, 0, SETVAL, 1));
	SAY(semctl(id, 0, GETVAL));
	semctl(id, 0, IPC_STAT, &ds);
	ds.sem_perm.mode = 0200;
	SAY(semctl(id, 0, IPC_SET, &ds));
	SAY(semctl(id, 0, GETVAL));
	SAY(semctl(id, 0, IPC_STAT, &ds));
	SAY(op(id, 0, 1, 0));
	semctl(id, 0, IPC_RMID);
}

static void test_proc(void)
{
	int id = semget(0x5b7e58, 3, IPC_CREAT | 0640), key, semid;
	unsigned mode, nsems, uid;
	char line[400];
	FILE *f = fopen("/proc/sysvipc/sem", "r");

	if (fgets(line, sizeof(line), f))
		printf("%s", line);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%d %d %o %u %u", &key, &semid, &mode, &nsems, &uid) == 5 &&
		    semid == id)
			printf("row %x %o %u %d %zu\n", key, mode, nsems, uid == getuid(), strlen(line));
	fclose(f);
	semctl(id, 0, IPC_RMID);
}

int main(void)
{
	struct seminfo si;

	drop_capabilities();
	test_get(0x5e5e + getpid());
	test_ops();
	test_waits();
	test_undo();
	test_threads();
	test_rights();
	test_proc();
	SAY(semctl(0, 0, IPC_INFO, &si) >= 0);
	printf("%d %d %d %d\n", si.semmsl, si.semopm, si.semmni, si.semvmx);
	return 0;
}
