/* prctl, membarrier, sealed memory files, POSIX shared memory. */
#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void drop_capabilities(void)
{
	struct {
		unsigned version;
		int pid;
	} hdr = {0x20080522, 0};
	unsigned data[6] = {0};

	syscall(SYS_capset, &hdr, data);
	prctl(PR_SET_DUMPABLE, 1);
}

static void test_prctl(void)
{
	int v = -1;

	SAY(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	SAY(prctl(PR_GET_PDEATHSIG, &v));
	printf("%d\n", v);
	SAY(prctl(PR_SET_PDEATHSIG, 0));
	SAY(prctl(PR_GET_PDEATHSIG, 8));
	SAY(prctl(PR_SET_DUMPABLE, 2));
	SAY(prctl(PR_SET_DUMPABLE, 0));
	SAY(prctl(PR_GET_DUMPABLE));
	SAY(prctl(PR_SET_DUMPABLE, 1));
	SAY(prctl(PR_SET_KEEPCAPS, 1));
	SAY(prctl(PR_GET_KEEPCAPS));
	SAY(prctl(PR_SET_KEEPCAPS, 2));
	SAY(prctl(PR_SET_KEEPCAPS, 0));
	SAY(prctl(PR_GET_KEEPCAPS));
	SAY(prctl(PR_SET_TIMING, 0));
	SAY(prctl(PR_SET_TIMING, 1));
	SAY(prctl(PR_GET_TIMING));
	SAY(prctl(PR_GET_SECUREBITS));
	SAY(prctl(PR_SET_SECUREBITS, 1));
	SAY(prctl(PR_CAPBSET_DROP, 1));
	SAY(prctl(PR_CAPBSET_READ, 99));
	SAY(prctl(PR_SET_TIMERSLACK, 1234));
	SAY(prctl(PR_GET_TIMERSLACK));
	SAY(prctl(PR_SET_TIMERSLACK, 0) + (prctl(PR_GET_TIMERSLACK) > 0));
	SAY(prctl(PR_TASK_PERF_EVENTS_DISABLE));
	SAY(prctl(PR_TASK_PERF_EVENTS_ENABLE));
	SAY(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	SAY(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	SAY(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	SAY(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 9, 0, 0));
	SAY(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
	SAY(prctl(PR_MCE_KILL_GET, 1, 0, 0, 0));
	SAY(prctl(PR_MCE_KILL, 9, 0, 0, 0));
	SAY(prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0));
	SAY(prctl(PR_SET_CHILD_SUBREAPER, 1));
	SAY(prctl(PR_GET_CHILD_SUBREAPER, &v));
	printf("%d\n", v);
	SAY(prctl(PR_SET_CHILD_SUBREAPER, 0));
	SAY(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SAY(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
	SAY(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SAY(prctl(PR_GET_TID_ADDRESS, 8));
	SAY(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	SAY(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	SAY(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0));
	SAY(prctl(PR_SET_THP_DISABLE, 1, 1 << 20, 0, 0));
	int st;

	fflush(stdout);
	if (!fork())
		_exit(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	wait(&st);
	printf("child %d\n", WEXITSTATUS(st));
	SAY(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	SAY(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	SAY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 5, 0, 0));
	SAY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 5, 0, 0));
	SAY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, 5, 0, 0));
	SAY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	SAY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 99, 0, 0));
	SAY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0));
	SAY(prctl(PR_CAP_AMBIENT, 77, 0, 0, 0));
	SAY(prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));
	SAY(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0));
	SAY(prctl(PR_GET_UNALIGN, &v));
	SAY(prctl(PR_GET_FPEMU, &v));
	SAY(prctl(PR_GET_ENDIAN, &v));
	SAY(prctl(PR_SET_NAME, 8));
	SAY(prctl(-1));
}

static long barrier(int cmd, unsigned flags)
{
	return syscall(SYS_membarrier, cmd, flags, 0);
}

static void test_membarrier(void)
{
	long have = barrier(MEMBARRIER_CMD_QUERY, 0);

	printf("have %d\n", (have & 0x7f) == 0x7f);
	SAY(barrier(MEMBARRIER_CMD_QUERY, 1));
	SAY(barrier(MEMBARRIER_CMD_GLOBAL, 0));
	SAY(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0));
	SAY(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0));
	SAY(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0));
	SAY(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0));
	SAY(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0));
	SAY(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0));
	SAY(barrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0));
	SAY(barrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0));
	SAY(barrier(1 << 30, 0));
	SAY(barrier(3, 0));
	int st;

	fflush(stdout);
	if (!fork())
		_exit(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) ? 1 : 0);
	wait(&st);
	printf("child %d\n", WEXITSTATUS(st));
}

static void test_seals(void)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING), plain = memfd_create("plain", 0);
	char *p, *q;

	SAY(fcntl(plain, F_GET_SEALS));
	SAY(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
	SAY(fcntl(fd, F_GET_SEALS));
	SAY(ftruncate(fd, 8192));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	SAY(ftruncate(fd, 9000));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	SAY(ftruncate(fd, 4096));
	SAY(pwrite(fd, "x", 1, 9000));
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(p, "in it");
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	munmap(p, 4096);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	SAY(pwrite(fd, "x", 1, 0));
	SAY((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	q = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	printf("read %s private %s\n", p, q);
	SAY(mprotect(p, 4096, PROT_READ | PROT_WRITE));
	strcpy(q, "mine");
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	SAY(fcntl(fd, F_GET_SEALS));
	SAY(fcntl(fd, F_ADD_SEALS, 1 << 20));
	SAY(memfd_create("x", 1 << 20));
	SAY(syscall(SYS_memfd_create, 8, 0));
	char link[64] = "", path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, link, 63) > 0)
		printf("%s\n", link);
	close(fd);
	close(plain);
}

static void test_posix_shm(void)
{
	char name[64];
	struct stat st;
	int fd, fd2;
	char *p;

	snprintf(name, sizeof(name), "/prctls-%d", getpid());
	SAY(shm_open("/prctls-none", O_RDWR, 0));
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	SAY(fd >= 0);
	SAY(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	SAY(ftruncate(fd, 4096));
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fflush(stdout);
	if (!fork()) {
		fd2 = shm_open(name, O_RDWR, 0);
		char *q = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd2, 0);

		strcpy(q, "from the child");
		_exit(0);
	}
	wait(NULL);
	printf("%s\n", p);
	fstat(fd, &st);
	printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
	SAY(shm_unlink(name));
	SAY(shm_unlink(name));
	printf("still %s\n", p);
}

static char stack[65536] __attribute__((aligned(16)));

static int apart(void *arg)
{
	int fd = *(int *)arg;

	if (unshare(CLONE_FILES | CLONE_FS))
		return 1;
	close(fd);
	return chdir("/") ? 2 : 0;
}

static int together(void *arg)
{
	return close(*(int *)arg);
}

static void *in_thread(void *arg)
{
	SAY(unshare(CLONE_VM));
	return NULL;
}

static void test_unshare(void)
{
	int fd = open("/dev/null", O_RDONLY), st = -1;
	char before[4096], after[4096];
	pthread_t th;

	if (!getcwd(before, sizeof(before)))
		return;
	waitpid(clone(apart, stack + sizeof(stack), CLONE_FILES | CLONE_FS | SIGCHLD, &fd), &st, 0);
	printf("apart %x still open %d same place %d\n", st, fcntl(fd, F_GETFD),
	       getcwd(after, sizeof(after)) && !strcmp(before, after));
	waitpid(clone(together, stack + sizeof(stack), CLONE_FILES | SIGCHLD, &fd), &st, 0);
	printf("together %x open %d\n", st, fcntl(fd, F_GETFD));
	SAY(unshare(0));
	SAY(unshare(CLONE_SYSVSEM));
	SAY(unshare(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM));
	SAY(unshare(CLONE_PARENT));
	pthread_create(&th, NULL, in_thread, NULL);
	pthread_join(th, NULL);
}

int main(void)
{
	drop_capabilities();
	test_prctl();
	test_membarrier();
	test_seals();
	test_posix_shm();
	test_unshare();
	return 0;
}
