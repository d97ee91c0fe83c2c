/* System V shared memory. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

#define SIZE (5 * 4096)

static void drop_capabilities(void)
{
	struct {
		unsigned version;
		int pid;
	} hdr = {0x20080522, 0};
	unsigned data[6] = {0};

	syscall(SYS_capset, &hdr, data); /* without them natively, as in the sandbox */
	errno = 0;
}

static void stat_of(const char *what, int id)
{
	struct shmid_ds ds;

	if (shmctl(id, IPC_STAT, &ds)) {
		printf("%s: stat: %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s: mode %o size %zu nattch %lu private %d uid %d cuid %d cpid %d lpid %d times %d %d %d\n",
	       what, ds.shm_perm.mode, ds.shm_segsz, (unsigned long)ds.shm_nattch,
	       ds.shm_perm.__key == IPC_PRIVATE, ds.shm_perm.uid == getuid(),
	       ds.shm_perm.cuid == getuid(), ds.shm_cpid == getpid(), ds.shm_lpid == getpid(),
	       ds.shm_atime > 0, ds.shm_dtime > 0, ds.shm_ctime > 0);
}

static void test_keys(int key)
{
	int id, id2;

	SAY(shmget(key, SIZE, 0600));
	id = shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0600);
	id2 = shmget(key, 0, 0);
	printf("same %d\n", id >= 0 && id == id2);
	SAY(shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0600));
	SAY(shmget(key, SIZE + 1, 0600));
	SAY(shmget(key, SIZE * 2, 0600));
	SAY(shmget(IPC_PRIVATE, 0, 0600));
	SAY(shmget(IPC_PRIVATE, -1, 0600));
	SAY(shmget(IPC_PRIVATE, 1ul << 50, 0600));
	stat_of("made", id);
	SAY(shmctl(id, IPC_RMID, NULL));
	SAY(shmctl(id, IPC_RMID, NULL));
	SAY(shmget(key, SIZE, 0600));
	stat_of("gone", id);
}


static void test_attach(void)
{
	int id = shmget(IPC_PRIVATE, SIZE - 100, IPC_CREAT | 0600);
	char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY), *c;

	stat_of("two", id);
	strcpy(a + 4096, "seen");
	printf("%s, last %d\n", b + 4096, a[SIZE - 1]);
	SAY(mprotect(b, 4096, PROT_READ | PROT_WRITE));
	SAY(mprotect(b, 4096, PROT_READ | PROT_EXEC));
	stat_of("split", id);
	SAY(shmdt(a + 4096));
	SAY(shmdt(a + 1));
	SAY(shmdt(b));
	stat_of("one", id);
	SAY(shmdt(b));
	c = mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	SAY((long)shmat(id, c, 0));
	SAY((long)shmat(id, c + 100, 0));
	SAY(shmat(id, c + 4096 + 100, SHM_RND | SHM_REMAP) == c + 4096);
	printf("%s\n", c + 4096 + 4096);
	SAY((long)shmat(id, NULL, SHM_REMAP));
	munmap(c + 4096 * 3, 4096);
	stat_of("hole", id);
	SAY(shmdt(c + 4096));
	stat_of("after", id);
	SAY(shmctl(id, IPC_RMID, NULL));
	stat_of("removed", id);
	b = shmat(id, NULL, 0);
	printf("again %d %s\n", b != (void *)-1, b + 4096);
	SAY(shmdt(a));
	SAY(shmdt(b));
	stat_of("last", id);
	SAY((long)shmat(id, NULL, 0));
	SAY((long)shmat(-1, NULL, 0));
}

static void test_mremap(void)
{
	int id = shmget(IPC_PRIVATE, 4096, 0600);
	char *a = shmat(id, NULL, 0), *b;
	pid_t p;
	int st;

	strcpy(a, "moved");
	b = mremap(a, 4096, 3 * 4096, MREMAP_MAYMOVE);
	printf("mremap %d %s\n", b != MAP_FAILED, b);
	fflush(stdout);
	p = fork();
	if (!p) {
		b[4096] = 1; /* beyond the end */
		_exit(0);
	}
	waitpid(p, &st, 0);
	printf("beyond: signal %d\n", WTERMSIG(st));
	shmctl(id, IPC_RMID, NULL);
	SAY(shmdt(b));
	b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	b = mremap(b, 4096, 2 * 4096, MREMAP_MAYMOVE);
	fflush(stdout);
	p = fork();
	if (!p) {
		b[4096] = 1;
		_exit(0);
	}
	waitpid(p, &st, 0);
	printf("beyond anonymous: signal %d\n", WTERMSIG(st));
}

static void test_rights(void)
{
	int id = shmget(IPC_PRIVATE, 4096, 0400);
	struct shmid_ds ds;
	void *p;

	SAY((long)shmat(id, NULL, 0));
	p = shmat(id, NULL, SHM_RDONLY);
	printf("read only %d\n", p != (void *)-1);
	SAY((long)shmat(id, NULL, SHM_RDONLY | SHM_EXEC));
	SAY(shmctl(id, IPC_STAT, &ds));
	ds.shm_perm.mode = 07600;
	SAY(shmctl(id, IPC_SET, &ds));
	stat_of("set", id);
	p = shmat(id, NULL, SHM_EXEC);
	printf("exec: %d\n", p == (void *)-1);
	ds.shm_perm.mode = 0;
	SAY(shmctl(id, IPC_SET, &ds));
	SAY(shmctl(id, IPC_STAT, &ds));
	SAY(shmctl(id, IPC_SET, (void *)8));
	SAY(shmctl(id, 999, NULL));
	SAY(shmctl(-1, IPC_RMID, NULL));
	SAY(shmctl(id, IPC_RMID, NULL));
}

static void test_processes(const char *self)
{
	int id = shmget(IPC_PRIVATE, SIZE, 0600), fds[2];
	char *a = shmat(id, NULL, 0), byte;
	pid_t p;
	int st;

	stat_of("before fork", id);
	pipe(fds);
	fflush(stdout);
	p = fork();
	if (!p) {
		a[7] = 'x';
		stat_of("in child", id);
		fflush(stdout);
		if (read(fds[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	while (!a[7])
		usleep(1000);
	usleep(20000);
	struct shmid_ds ds;
	shmctl(id, IPC_STAT, &ds);
	printf("both %lu\n", (unsigned long)ds.shm_nattch);
	if (write(fds[1], "x", 1) != 1)
		return;
	waitpid(p, &st, 0);
	stat_of("child gone", id);
	shmctl(id, IPC_RMID, NULL);
	fflush(stdout);
	p = fork();
	if (!p) {
		char num[16];

		snprintf(num, sizeof(num), "%d", id);
		execl(self, self, num, NULL);
		_exit(1);
	}
	waitpid(p, &st, 0);
	printf("exec %d\n", st);
	shmdt(a);
	stat_of("end", id);
}

static void test_proc(void)
{
	int id = shmget(0x5b7e57, SIZE, IPC_CREAT | 0640), n, key, shmid;
	char line[400], *a = shmat(id, NULL, 0);
	unsigned mode, uid, gid;
	unsigned long size, cpid, lpid, nattch;
	FILE *f = fopen("/proc/sysvipc/shm", "r");

	if (fgets(line, sizeof(line), f))
		printf("%s", line);
	while (fgets(line, sizeof(line), f)) {
		n = sscanf(line, "%d %d %o %lu %lu %lu %lu %u %u", &key, &shmid, &mode, &size, &cpid,
			   &lpid, &nattch, &uid, &gid);
		if (n == 9 && shmid == id)
			printf("row %x %o %lu %d %d %lu %d %zu\n", key, mode, size,
			       cpid == (unsigned long)getpid(), lpid == (unsigned long)getpid(),
			       nattch, uid == getuid(), strlen(line));
	}
	fclose(f);
	f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "SYSV"))
			printf("maps %.14s %s", strchr(line, ' '), strchr(line, '/'));
	fclose(f);
	shmdt(a);
	shmctl(id, IPC_RMID, NULL);
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"shmmax", "shmall", "shmmni"};

		snprintf(line, sizeof(line), "/proc/sys/kernel/%s", names[i]);
		f = fopen(line, "r");
		if (f && fgets(line, sizeof(line), f))
			printf("%s", line);
		fclose(f);
	}
}

int main(int argc, char **argv)
{
	struct shminfo lim;

	if (argc > 1) { /* after exec */
		stat_of("in exec", atoi(argv[1]));
		return 0;
	}
	drop_capabilities();
	test_keys(0x51b5 + getpid());
	test_attach();
	test_mremap();
	test_rights();
	test_processes("/proc/self/exe");
	test_proc();
	SAY(shmctl(0, IPC_INFO, (void *)&lim) >= 0);
	printf("limits %lu %lu\n", lim.shmmni, lim.shmmin);
	return 0;
}
