/* The yardstick: nanoseconds for one bare KVM_RUN that returns with the exit for HLT, the best
 * round's. The guest is `hlt; jmp` in real mode. Usage: hlt [COUNT [ROUNDS]]. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

static int need(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
	return r;
}

/* A vCPU at address 0 of one page; *run is what it shares with KVM. */
static int make_vcpu(struct kvm_run **run)
{
	static const unsigned char code[] = {0xf4, 0xeb, 0xfd};
	struct kvm_userspace_memory_region m = {.memory_size = 4096};
	struct kvm_regs regs = {.rflags = 2};
	struct kvm_sregs sregs;
	int kvm = need(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	int vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	int vcpu = need(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	memcpy(page, code, sizeof(code));
	m.userspace_addr = (unsigned long)page;
	need(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &m), "memory");
	need(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	need(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	need(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	*run = mmap(NULL, (size_t)need(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "size"),
		    PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	return vcpu;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 10000, k;
	long rounds = argc > 2 ? atol(argv[2]) : 3;
	struct kvm_run *run;
	int vcpu = make_vcpu(&run);
	double best = 1e18;

	while (rounds-- > 0) {
		double t = now();

		for (k = 0; k < n; k++)
			if (ioctl(vcpu, KVM_RUN, 0) < 0 || run->exit_reason != KVM_EXIT_HLT) {
				fprintf(stderr, "hlt: exit reason %u\n", run->exit_reason);
				return 1;
			}
		t = (now() - t) / (double)n;
		best = t < best ? t : best;
	}
	printf("KVM_RUN/HLT\t%.1f\n", best);
	return 0;
}
