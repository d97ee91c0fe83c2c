/* System V message queues. */
#include <signal.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

static struct {
	long type;
	char text[9000];
} m;

static void drop_capabilities(void)
{
	struct {
		unsigned version;
		int pid;
	} hdr = {0x20080522, 0};
	unsigned data[6] = {0};

	syscall(SYS_capset, &hdr, data);
}

static int put(int id, long type, const char *text, int flags)
{
	m.type = type;
	strcpy(m.text, text);
	return msgsnd(id, &m, strlen(text), flags);
}

static void get(int id, long type, size_t size, int flags)
{
	long n;

	memset(&m, 0, sizeof(m));
	n = msgrcv(id, &m, size, type, flags);
	if (n < 0)
		printf("type %ld size %zu flags %o: %s\n", type, size, flags, strerrorname_np(errno));
	else
		printf("type %ld size %zu flags %o: %ld %ld %s\n", type, size, flags, n, m.type, m.text);
}

static void stat_of(const char *what, int id)
{
	struct msqid_ds ds;

	if (msgctl(id, IPC_STAT, &ds)) {
		printf("%s: stat: %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s: mode %o qnum %lu cbytes %lu qbytes %lu lspid %d lrpid %d times %d %d %d\n", what,
	       ds.msg_perm.mode, ds.msg_qnum, ds.__msg_cbytes, ds.msg_qbytes,
	       ds.msg_lspid == getpid(), ds.msg_lrpid == getpid(), ds.msg_stime != 0,
	       ds.msg_rtime != 0, ds.msg_ctime != 0);
}

static void test_types(int key)
{
	int id = msgget(key, IPC_CREAT | IPC_EXCL | 0600);

	printf("made %d same %d\n", id >= 0, msgget(key, 0) == id);
	SAY(msgget(key, IPC_CREAT | IPC_EXCL));
	SAY(msgget(key + 1, 0));
	stat_of("new", id);
	SAY(put(id, 3, "three", 0));
	SAY(put(id, 1, "one", 0));
	SAY(put(id, 2, "two", 0));
	SAY(put(id, 3, "again", 0));
	SAY(put(id, 7, "", 0));
	SAY(put(id, 0, "x", 0));
	SAY(put(id, -1, "x", 0));
	stat_of("five", id);
	get(id, 0, 100, MSG_COPY | IPC_NOWAIT);
	get(id, 3, 100, MSG_COPY | IPC_NOWAIT);
	get(id, 9, 100, MSG_COPY | IPC_NOWAIT);
	get(id, 0, 100, MSG_COPY);
	get(id, 0, 2, 0);
	get(id, 3, 3, MSG_NOERROR);
	get(id, -2, 100, 0);
	get(id, 3, 100, MSG_EXCEPT);
	get(id, -100, 100, 0);
	get(id, 5, 100, IPC_NOWAIT);
	get(id, 7, 0, 0);
	get(id, 0, 10, IPC_NOWAIT);
	stat_of("empty", id);
	SAY(msgsnd(id, &m, 8193, 0));
	SAY(msgsnd(id, &m, -1, 0));
	SAY(msgsnd(id, (void *)8, 4, 0));
	SAY(msgsnd(-1, &m, 4, 0));
	SAY(msgrcv(id, &m, -1, 0, 0));
	put(id, 1, "lost", 0);
	SAY(msgrcv(id, (void *)8, 10, 0, 0));
	get(id, 0, 10, IPC_NOWAIT);
	SAY(msgctl(id, 99, NULL));
	SAY(msgctl(id, IPC_RMID, NULL));
	SAY(msgctl(id, IPC_RMID, NULL));
	SAY(put(id, 1, "x", 0));
	get(id, 0, 10, 0);
}

static void on_signal(int sig)
{
}

/* With a signal: until it ends, as it may come before the call. */
static void end(const char *what, pid_t p, int sig)
{
	int st;

	while (!waitpid(p, &st, sig ? WNOHANG : 0)) {
		kill(p, sig);
		usleep(10000);
	}
	printf("%s: %s\n", what, st ? strerrorname_np(WEXITSTATUS(st)) : "0");
}

static pid_t receiver(int id, long type)
{
	pid_t p;

	fflush(stdout);
	p = fork();
	if (!p) {
		if (msgrcv(id, &m, 100, type, 0) < 0)
			_exit(errno);
		_exit(0);
	}
	usleep(30000);
	return p;
}

static pid_t sender(int id)
{
	pid_t p;

	fflush(stdout);
	p = fork();
	if (!p)
		_exit(msgsnd(id, &m, 8000, 0) ? errno : 0);
	usleep(30000);
	return p;
}

static void test_waits(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int id = msgget(IPC_PRIVATE, 0600);
	pid_t p, q;

	sigaction(SIGUSR1, &sa, NULL);
	p = receiver(id, 5);
	put(id, 4, "not for it", 0);
	put(id, 5, "for it", 0);
	end("received", p, 0);
	p = receiver(id, 5);
	end("signal", p, SIGUSR1);
	m.type = 1;
	SAY(msgsnd(id, &m, 8000, IPC_NOWAIT));
	SAY(msgsnd(id, &m, 8000, IPC_NOWAIT));
	SAY(msgsnd(id, &m, 8000, IPC_NOWAIT));
	p = sender(id);
	get(id, 4, 100, 0);
	SAY(msgrcv(id, &m, 9000, 1, 0));
	end("sent", p, 0);
	p = sender(id);
	end("signal", p, SIGUSR1);
	p = sender(id);
	q = receiver(id, 77);
	usleep(200000);
	msgctl(id, IPC_RMID, NULL);
	end("removed", p, 0);
	end("removed", q, 0);
}

static void test_rights(void)
{
	int id = msgget(IPC_PRIVATE, 0400);
	struct msqid_ds ds;

	SAY(put(id, 1, "x", IPC_NOWAIT));
	get(id, 0, 10, IPC_NOWAIT);
	msgctl(id, IPC_STAT, &ds);
	ds.msg_perm.mode = 0200;
	ds.msg_qbytes = 10;
	SAY(msgctl(id, IPC_SET, &ds));
	SAY(msgctl(id, IPC_STAT, &ds));
	SAY(put(id, 1, "0123456789", IPC_NOWAIT));
	SAY(put(id, 1, "0", IPC_NOWAIT));
	get(id, 0, 10, IPC_NOWAIT);
	ds.msg_qbytes = 1 << 20;
	SAY(msgctl(id, IPC_SET, &ds));
	msgctl(id, IPC_RMID, NULL);
}

static void test_proc(void)
{
	int id = msgget(0x5b7e59, IPC_CREAT | 0640), key, qid;
	unsigned long mode, bytes, n;
	char line[400];
	FILE *f;

	put(id, 1, "hello", 0);
	f = fopen("/proc/sysvipc/msg", "r");
	if (fgets(line, sizeof(line), f))
		printf("%s", line);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%d %d %lo %lu %lu", &key, &qid, &mode, &bytes, &n) == 5 && qid == id)
			printf("row %x %lo %lu %lu %zu\n", key, mode, bytes, n, strlen(line));
	fclose(f);
	msgctl(id, IPC_RMID, NULL);
}

int main(void)
{
	struct msginfo mi;

	drop_capabilities();
	test_types(0x3e55 + getpid());
	test_waits();
	test_rights();
	test_proc();
	SAY(msgctl(0, IPC_INFO, (void *)&mi) >= 0);
	printf("%d %d %d\n", mi.msgmax, mi.msgmnb, mi.msgmni);
	return 0;
}
