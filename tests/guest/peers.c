/* What one process does to another: memory, descriptors, comparing. Memory policies of one node. */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
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

static char theirs[3 * 4096] __attribute__((aligned(4096)));
static char mine[3 * 4096];

static pid_t child(int *to, int *from)
{
	int a[2], b[2];
	pid_t p;
	char c;

	if (pipe(a) || pipe(b))
		exit(1);
	fflush(stdout);
	p = fork();
	if (!p) {
		int fd = memfd_create("theirs", 0);

		dup2(fd, 77);
		if (write(fd, "contents", 8) != 8)
			_exit(1);
		strcpy(theirs, "child's words");
		c = 'r';
		while (write(b[1], &c, 1) == 1 && read(a[0], &c, 1) == 1) {
			if (c == 'd')
				prctl(PR_SET_DUMPABLE, 0);
			else if (c == 'p')
				munmap(theirs + 4096, 4096);
			else if (c == 's')
				printf("child has: %s\n", theirs + 100), fflush(stdout);
			else if (c == 'q')
				_exit(0);
		}
		_exit(0);
	}
	*to = a[1];
	*from = b[0];
	if (read(*from, &c, 1) != 1)
		exit(1);
	return p;
}

static void tell(int to, int from, char c)
{
	if (write(to, &c, 1) != 1 || read(from, &c, 1) != 1)
		return;
}

static void test_memory(pid_t p, int to, int from)
{
	struct iovec l[2] = {{mine, 5}, {mine + 100, 20}}, r[2] = {{theirs, 14}, {theirs, 5}};

	SAY(process_vm_readv(p, l, 2, r, 1, 0));
	printf("%.5s|%s\n", mine, mine + 100);
	SAY(process_vm_readv(p, l, 2, r, 2, 0));
	SAY(process_vm_readv(p, l, 1, r, 2, 0));
	strcpy(mine, "written by the parent");
	l[0].iov_len = r[0].iov_len = 22;
	r[0].iov_base = theirs + 100;
	SAY(process_vm_writev(p, l, 1, r, 1, 0));
	tell(to, from, 's');
	SAY(process_vm_readv(p, l, 1, r, 1, 1));
	SAY(process_vm_readv(999999, l, 1, r, 1, 0));
	SAY(process_vm_readv(p, l, 0, r, 1, 0));
	SAY(process_vm_readv(p, l, 1, r, 0, 0));
	SAY(process_vm_readv(p, l, 1025, r, 1, 0));
	SAY(process_vm_readv(p, l, 1, r, 1025, 0));
	SAY(process_vm_readv(p, (void *)8, 1, r, 1, 0));
	r[0].iov_base = (void *)8;
	SAY(process_vm_readv(p, l, 1, r, 1, 0));
	tell(to, from, 'p');
	l[0] = (struct iovec){mine, sizeof(mine)};
	r[0] = (struct iovec){theirs + 96, 2 * 4096};
	SAY(process_vm_readv(p, l, 1, r, 1, 0));
	SAY(process_vm_readv(getpid(), l, 1, l, 1, 0) == sizeof(mine));
}

static void test_descriptors(pid_t p)
{
	int pf = (int)syscall(SYS_pidfd_open, p, 0), fd, self;
	char buf[16] = "";

	fd = (int)syscall(SYS_pidfd_getfd, pf, 77, 0);
	printf("got %d cloexec %d\n", fd >= 0, fcntl(fd, F_GETFD));
	printf("%zd %s\n", pread(fd, buf, 15, 0), buf);
	SAY(syscall(SYS_pidfd_getfd, pf, 78, 0));
	SAY(syscall(SYS_pidfd_getfd, pf, -1, 0));
	SAY(syscall(SYS_pidfd_getfd, pf, 77, 1));
	SAY(syscall(SYS_pidfd_getfd, 0x7fff, 77, 0));
	SAY(syscall(SYS_kcmp, p, getpid(), KCMP_FILE, 77, fd));
	SAY(syscall(SYS_kcmp, p, getpid(), KCMP_FILE, 77, 0) != 0);
	SAY(syscall(SYS_kcmp, p, getpid(), KCMP_FILE, 78, fd));
	SAY(syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0));
	SAY(syscall(SYS_kcmp, p, getpid(), KCMP_VM, 0, 0) != 0);
	SAY(syscall(SYS_kcmp, p, getpid(), KCMP_FILES, 0, 0) != 0);
	SAY(syscall(SYS_kcmp, p, getpid(), KCMP_FS, 0, 0) != 0);
	SAY(syscall(SYS_kcmp, p, getpid(), KCMP_SIGHAND, 0, 0) != 0);
	SAY(syscall(SYS_kcmp, p, getpid(), KCMP_SYSVSEM, 0, 0));
	SAY(syscall(SYS_kcmp, p, getpid(), 99, 0, 0));
	SAY(syscall(SYS_kcmp, 999999, getpid(), KCMP_VM, 0, 0));
	long ab = syscall(SYS_kcmp, p, getpid(), KCMP_VM, 0, 0);
	long ba = syscall(SYS_kcmp, getpid(), p, KCMP_VM, 0, 0);

	printf("order %d\n", ab + ba == 3);
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec v = {theirs, sizeof(theirs)};

	/* to itself: newer kernels allow it without a capability */
	SAY(syscall(SYS_process_madvise, self, &v, 1, MADV_COLD, 1));
	SAY(syscall(SYS_process_madvise, pf, &v, 1, MADV_DONTNEED, 0));
	SAY(syscall(SYS_process_madvise, pf, &v, 1, MADV_COLD, 0));
	SAY(syscall(SYS_process_madvise, 0x7fff, &v, 1, MADV_COLD, 0));
	SAY(syscall(SYS_process_mrelease, self, 0));
	SAY(syscall(SYS_process_mrelease, self, 1));
	close(fd);
}

static void test_undumpable(pid_t p, int to, int from)
{
	struct iovec l = {mine, 5}, r = {theirs, 5};
	int pf = (int)syscall(SYS_pidfd_open, p, 0), st;
	char q = 'q';

	tell(to, from, 'd');
	SAY(process_vm_readv(p, &l, 1, &r, 1, 0));
	SAY(syscall(SYS_pidfd_getfd, pf, 77, 0));
	SAY(syscall(SYS_kcmp, p, getpid(), KCMP_VM, 0, 0));
	if (write(to, &q, 1) != 1)
		return;
	waitpid(p, &st, 0);
	SAY(process_vm_readv(p, &l, 1, &r, 1, 0));
	SAY(syscall(SYS_pidfd_getfd, pf, 77, 0));
}

static long policy_at(void *p, unsigned long *mask)
{
	int mode = -1;

	*mask = 0;
	return syscall(SYS_get_mempolicy, &mode, mask, 64, p, MPOL_F_ADDR) ? -1 : mode;
}

static void test_numa(void)
{
	char *p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long mask = 0, zero = 1, one = 2, both = 3;
	int mode = -1, status[2] = {9, 9}, nodes[2] = {0, 1};
	void *pages[2] = {p, p + 4096 * 7};

	SAY(syscall(SYS_get_mempolicy, &mode, &mask, 64, 0, 0));
	printf("mode %d mask %lu\n", mode, mask);
	SAY(syscall(SYS_get_mempolicy, NULL, &mask, 64, 0, MPOL_F_MEMS_ALLOWED));
	printf("allowed %lu\n", mask);
	SAY(syscall(SYS_get_mempolicy, &mode, NULL, 0, p, 0));
	SAY(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, MPOL_F_NODE));
	SAY(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 1 << 9));
	SAY(syscall(SYS_get_mempolicy, &mode, &mask, 0, NULL, 0));
	SAY(syscall(SYS_set_mempolicy, MPOL_BIND, &zero, 64));
	SAY(syscall(SYS_get_mempolicy, &mode, &mask, 64, 0, 0));
	printf("mode %d mask %lu\n", mode, mask);
	SAY(syscall(SYS_set_mempolicy, MPOL_BIND, &one, 64));
	SAY(syscall(SYS_set_mempolicy, MPOL_BIND, NULL, 0));
	SAY(syscall(SYS_set_mempolicy, MPOL_DEFAULT, &zero, 64));
	SAY(syscall(SYS_set_mempolicy, 99, NULL, 0));
	SAY(syscall(SYS_set_mempolicy, MPOL_PREFERRED, NULL, 0));
	SAY(syscall(SYS_get_mempolicy, &mode, &mask, 64, 0, 0));
	printf("mode %d mask %lu\n", mode, mask);
	SAY(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, &zero, 64));
	SAY(syscall(SYS_get_mempolicy, &mode, &mask, 64, 0, 0));
	printf("mode %#x mask %lu\n", mode, mask);
	SAY(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0));
	SAY(syscall(SYS_mbind, p, 4 * 4096, MPOL_BIND, &zero, 64, 0));
	SAY(syscall(SYS_mbind, p + 1, 4 * 4096, MPOL_BIND, &zero, 64, 0));
	SAY(syscall(SYS_mbind, p, 4 * 4096, MPOL_BIND, &one, 64, 0));
	SAY(syscall(SYS_mbind, p, 4 * 4096, MPOL_BIND, &zero, 64, 1 << 9));
	SAY(syscall(SYS_mbind, p, 4 * 4096, MPOL_BIND, &zero, 64, MPOL_MF_MOVE_ALL));
	SAY(syscall(SYS_mbind, p, 0, MPOL_BIND, &zero, 64, 0));
	SAY(syscall(SYS_mbind, p, 4 * 4096, MPOL_BIND, (void *)8, 64, 0));
	SAY(policy_at(p, &mask));
	SAY(policy_at(p + 5 * 4096, &mask));
	SAY(policy_at((void *)8, &mask));
	munmap(p + 6 * 4096, 4096);
	SAY(syscall(SYS_mbind, p, 8 * 4096, MPOL_BIND, &zero, 64, 0));
	SAY(syscall(SYS_mbind, p, 4 * 4096, MPOL_DEFAULT, NULL, 0, 0));
	SAY(policy_at(p, &mask));
	p[0] = 1;
	p[7 * 4096] = 1;
	SAY(syscall(SYS_move_pages, 0, 2, pages, NULL, status, 0));
	printf("status %d %d\n", status[0], status[1]);
	pages[1] = p + 6 * 4096;
	SAY(syscall(SYS_move_pages, 0, 2, pages, NULL, status, 0));
	printf("status %d %d\n", status[0], status[1]);
	SAY(syscall(SYS_move_pages, 0, 2, pages, nodes, status, MPOL_MF_MOVE));
	SAY(syscall(SYS_move_pages, 0, 1, pages, nodes, status, MPOL_MF_MOVE));
	SAY(syscall(SYS_move_pages, 999999, 1, pages, NULL, status, 0));
	SAY(syscall(SYS_move_pages, 0, 1, pages, NULL, status, 1 << 9));
	SAY(syscall(SYS_migrate_pages, 0, 64, &zero, &zero));
	(void)both;
}

static void test_rest(void)
{
	struct timex tx = {0};

	SAY(adjtimex(&tx) >= 0);
	printf("tick %ld time %d\n", tx.tick, tx.time.tv_sec > 1000000000);
	tx.modes = ADJ_TICK;
	SAY(adjtimex(&tx));
	tx.modes = 0;
	SAY(clock_adjtime(CLOCK_REALTIME, &tx) >= 0);
	SAY(clock_adjtime(CLOCK_MONOTONIC, &tx));
	SAY(syscall(SYS_pkey_mprotect, theirs, 4096, PROT_READ, -1));
	SAY(syscall(SYS_pkey_free, 9));
	SAY(syscall(SYS_pkey_alloc, 1, 0));
	SAY(syscall(SYS_pkey_mprotect, theirs, 4096, PROT_READ, 9));
}

int main(void)
{
	int to, from;
	pid_t p;

	drop_capabilities();
	p = child(&to, &from);
	test_memory(p, to, from);
	test_descriptors(p);
	test_undumpable(p, to, from);
	test_numa();
	test_rest();
	return 0;
}
