/* Programs that try what ring 3 may not do. Each gets an exception or nothing; the vCPU stays usable,
 * and the machine never breaks. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "abi/ring_abi.h"
#include "ring0/ring0_syms.h"
#include "tests/kvm/guest.h"

enum { DE = 0, DB = 1, BP = 3, UD = 6, NM = 7, NP = 11, GP = 13, PF = 14, AC = 17, XM = 19 };
#define ANY	  0x80000000u /* may also reach its system call */
#define V(n)	  (1u << (n))
#define C(...)	  ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})
#define SYSCALLS  0u /* must reach its system call */

/* rdi: DATA; rsi: LSTAR; rbp: this vCPU's block. Emulated CPUs differ in which fault they choose: what
 * counts is that there is one. */
static const struct attempt {
	const char *name;
	unsigned expect; /* vectors */
	const uint8_t *code;
	size_t n;
} attempts[] = {
	{"hlt", V(GP), C(0xf4)},
	{"cli", V(GP), C(0xfa)},
	{"sti", V(GP), C(0xfb)},
	{"in al, dx", V(GP), C(0xec)},
	{"in eax, 0x60", V(GP), C(0xe5, 0x60)},
	{"out 0x80, al", V(GP), C(0xe6, 0x80)},
	{"rep outsb", V(GP), C(0x48, 0x89, 0xfe, 0xb9, 1, 0, 0, 0, 0xf3, 0x6e)},
	{"wrmsr LSTAR", V(GP), C(0xb9, 0x82, 0, 0, 0xc0, 0x0f, 0x30)},
	{"rdmsr", V(GP), C(0xb9, 0x82, 0, 0, 0xc0, 0x0f, 0x32)},
	{"lgdt (rdi)", V(GP), C(0x0f, 0x01, 0x17)},
	{"lidt (rdi)", V(GP), C(0x0f, 0x01, 0x1f)},
	{"lldt ax", V(GP), C(0x31, 0xc0, 0x0f, 0x00, 0xd0)},
	{"ltr ax", V(GP), C(0x31, 0xc0, 0x0f, 0x00, 0xd8)},
	{"lmsw ax", V(GP), C(0x0f, 0x01, 0xf0)},
	{"clts", V(GP), C(0x0f, 0x06)},
	{"mov cr0, rax", V(GP), C(0x0f, 0x22, 0xc0)},
	{"mov rax, cr0", V(GP), C(0x0f, 0x20, 0xc0)},
	{"mov cr3, rax", V(GP), C(0x0f, 0x22, 0xd8)},
	{"mov rax, cr3", V(GP), C(0x0f, 0x20, 0xd8)},
	{"mov cr4, rax", V(GP), C(0x0f, 0x22, 0xe0)},
	{"mov cr8, rax", V(GP), C(0x44, 0x0f, 0x22, 0xc0)},
	{"mov dr7, rax", V(GP), C(0x0f, 0x23, 0xf8)},
	{"mov rax, dr6", V(GP), C(0x0f, 0x21, 0xf0)},
	{"invlpg (rdi)", V(GP), C(0x0f, 0x01, 0x3f)},
	{"wbinvd", V(GP), C(0x0f, 0x09)},
	{"invd", V(GP), C(0x0f, 0x08)},
	{"swapgs", V(GP) | V(UD), C(0x0f, 0x01, 0xf8)},
	{"sysretq", V(GP) | V(UD), C(0x48, 0x0f, 0x07)},
	{"sysenter", V(GP) | V(UD), C(0x0f, 0x34)},
	{"sysexit", V(GP) | V(UD), C(0x48, 0x0f, 0x35)},
	{"xsetbv", V(GP) | V(UD), C(0x31, 0xc9, 0x31, 0xd2, 0xb8, 1, 0, 0, 0, 0x0f, 0x01, 0xd1)},
	{"rdpmc", V(GP), C(0x31, 0xc9, 0x0f, 0x33)},
	{"monitor", V(GP) | V(UD) | ANY, C(0x0f, 0x01, 0xc8)},
	{"mwait", V(GP) | V(UD) | ANY, C(0x0f, 0x01, 0xc9)},
	{"vmcall", V(GP) | V(UD) | ANY, C(0x0f, 0x01, 0xc1)},
	{"vmmcall", V(GP) | V(UD) | ANY, C(0x0f, 0x01, 0xd9)},
	{"vmrun", V(GP) | V(UD), C(0x0f, 0x01, 0xd8)},
	{"vmload", V(GP) | V(UD), C(0x0f, 0x01, 0xda)},
	{"vmxon", V(GP) | V(UD), C(0xf3, 0x0f, 0xc7, 0x37)},
	{"stgi", V(GP) | V(UD), C(0x0f, 0x01, 0xdc)},
	{"skinit", V(GP) | V(UD), C(0x0f, 0x01, 0xde)},
	{"getsec", V(GP) | V(UD), C(0x0f, 0x37)},
	{"rsm", V(GP) | V(UD), C(0x0f, 0xaa)},
	{"ud2", V(UD), C(0x0f, 0x0b)},
	{"int3", V(BP), C(0xcc)},
	{"int 3 (cd 03)", V(BP), C(0xcd, 0x03)},
	{"int 0x80", V(GP) | V(UD), C(0xcd, 0x80)},
	{"int 2", V(GP) | V(UD), C(0xcd, 0x02)},
	{"int 8", V(GP) | V(UD), C(0xcd, 0x08)},
	{"int 14", V(GP) | V(UD), C(0xcd, 0x0e)},
	{"int 0xff", V(GP) | V(UD), C(0xcd, 0xff)},
	{"icebp", V(DB) | V(UD), C(0xf1)},
	{"divide by zero", V(DE), C(0x31, 0xc9, 0xf7, 0xf1)},
	{"single step", V(DB), C(0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x90, 0x90)},
	{"single step over syscall", V(DB) | ANY, C(0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x0f, 0x05)},
	{"NT flag", SYSCALLS, C(0x9c, 0x81, 0x0c, 0x24, 0, 0x40, 0, 0, 0x9d)},
	{"IOPL by popf, then cli", V(GP), C(0x9c, 0x81, 0x0c, 0x24, 0, 0x30, 0, 0, 0x9d, 0xfa)},
	{"AC flag, misaligned read", V(AC) | ANY,
	 C(0x9c, 0x81, 0x0c, 0x24, 0, 0, 4, 0, 0x9d, 0x8b, 0x47, 0x01)},
	{"DF and all flags", SYSCALLS, C(0x9c, 0x81, 0x0c, 0x24, 0xd5, 0x0c, 0, 0, 0x9d, 0xfd)},
	{"jump to LSTAR", V(PF), C(0xff, 0xe6)},
	{"jump into the stubs", V(PF), C(0x48, 0x81, 0xc6, 0, 1, 0, 0, 0xff, 0xe6)},
	{"read the entry text", V(PF), C(0x48, 0x8b, 0x06)},
	{"write the entry text", V(PF), C(0x48, 0x89, 0x06)},
	{"read the vCPU block", V(PF), C(0x48, 0x8b, 0x45, 0x00)},
	{"write the vCPU block", V(PF), C(0x48, 0x89, 0x45, 0x08)},
	{"jump to a non-canonical address", V(GP), C(0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xe0)},
	{"read a non-canonical address", V(GP), C(0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x48, 0x8b, 0x00)},
	{"syscall with rsp = 0", SYSCALLS, C(0x31, 0xe4)},
	{"syscall with rsp in the vCPU block", SYSCALLS, C(0x48, 0x89, 0xec, 0x48, 0x81, 0xc4, 0, 0x50, 0, 0)},
	{"syscall with non-canonical rsp", SYSCALLS, C(0x48, 0xbc, 0, 0, 0, 0, 0, 0, 0, 0x80)},
	{"push with non-canonical rsp", V(12) | V(GP), C(0x48, 0xbc, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x50)},
	{"gs base in the vCPU block, syscall", V(UD) | ANY, C(0xf3, 0x48, 0x0f, 0xae, 0xdd)},
	{"wrfsbase non-canonical", V(GP) | V(UD) | ANY, C(0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xf3, 0x48, 0x0f, 0xae, 0xd0)},
	{"load ss with the kernel's", V(GP), C(0xb8, 0x18, 0, 0, 0, 0x8e, 0xd0)},
	{"load ds with the TSS", V(GP), C(0xb8, 0x38, 0, 0, 0, 0x8e, 0xd8)},
	{"load ds with the user's", SYSCALLS, C(0xb8, 0x2b, 0, 0, 0, 0x8e, 0xd8, 0x8e, 0xe0, 0x8e, 0xe8)},
	{"load fs with 0", SYSCALLS, C(0x31, 0xc0, 0x8e, 0xe0)},
	{"mov ss, then syscall", SYSCALLS, C(0xb8, 0x2b, 0, 0, 0, 0x8e, 0xd0)},
	{"far return to the kernel's segment", V(GP) | V(PF), C(0x6a, 0x10, 0x56, 0x48, 0xcb)},
	{"far return to 32-bit code", V(GP) | V(NP) | V(PF), C(0x6a, 0x23, 0x57, 0x48, 0xcb)},
	{"iretq to ring 0", V(GP) | V(PF), C(0x6a, 0x18, 0x55, 0x9c, 0x6a, 0x10, 0x56, 0x48, 0xcf)},
	{"lar of the TSS", SYSCALLS, C(0xb8, 0x38, 0, 0, 0, 0x0f, 0x02, 0xd8)},
	{"verr", SYSCALLS, C(0xb8, 0x10, 0, 0, 0, 0x0f, 0x00, 0xe0)},
	{"sgdt", V(GP) | ANY, C(0x0f, 0x01, 0x07)},
	{"sidt", V(GP) | ANY, C(0x0f, 0x01, 0x0f)},
	{"str", V(GP) | ANY, C(0x0f, 0x00, 0xc8)},
	{"smsw", V(GP) | ANY, C(0x0f, 0x01, 0xe0)},
	{"cpuid", SYSCALLS, C(0x31, 0xc0, 0x0f, 0xa2)},
	{"rdtscp", V(UD) | ANY, C(0x0f, 0x01, 0xf9)},
	{"pause", SYSCALLS, C(0xf3, 0x90)},
	{"xrstor of garbage", V(GP) | V(UD), C(0xb8, 0xff, 0xff, 0xff, 0xff, 0x89, 0xc2, 0x0f, 0xae, 0xaf, 0, 1, 0, 0)},
	{"prefetch the entry", SYSCALLS, C(0x0f, 0x18, 0x0e)},
	{"syscall with DR-like state", SYSCALLS, C(0x90)},
	{"wrpkru", V(UD) | V(GP) | ANY, C(0x31, 0xc0, 0x31, 0xc9, 0x31, 0xd2, 0x0f, 0x01, 0xef)},
	{"clflush the entry", V(PF) | ANY, C(0x0f, 0xae, 0x3e)},
	{"enclu", V(UD) | V(GP), C(0x0f, 0x01, 0xd7)},
	{"lock prefix abuse", V(UD), C(0xf0, 0x90)},
	{"undefined opcode", V(UD), C(0x0f, 0xff, 0xc0)},
};

static void open_attempt(struct guest *g, const struct attempt *a)
{
	uint8_t code[64];

	memcpy(code, a->code, a->n);
	code[a->n] = 0x0f;
	code[a->n + 1] = 0x05;
	guest_open(g, code, a->n + 2);
	g->r->rdi = DATA;
	g->r->rsi = RING0_ENTRY_VA;
	g->r->rbp = RING_CPU_VA;
	memset(guest_window + P, 0xa5, 2 * P);
}

/* The context still works: a system call from fresh registers. */
static void check_alive(struct guest *g, const char *name)
{
	static const uint8_t code[] = {0x48, 0xff, 0xc3, 0x0f, 0x05};

	memcpy(guest_window, code, sizeof(code));
	g->r->rip = CODE;
	g->r->rsp = STACK + P - 64;
	g->r->rflags = 0x202;
	g->r->rbx = 41;
	guest_run(g);
	if (g->ev.kind != PLATFORM_SYSCALL || g->r->rbx != 42)
		fail_msg("%s: the vCPU is not usable afterwards", name);
}

static bool as_expected(const struct attempt *a, const struct guest *g)
{
	if (g->ev.kind == PLATFORM_SYSCALL)
		return a->expect == SYSCALLS || (a->expect & ANY);
	return g->ev.kind == PLATFORM_FAULT && (a->expect >> g->ev.vector & 1);
}

/* SBX_LEAVE_OUT names an attempt at which an emulator differs from every CPU. */
static void test_attempts(void **state)
{
	const char *left_out = getenv("SBX_LEAVE_OUT");
	unsigned bad = 0;
	size_t i;

	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *a = &attempts[i];
		struct guest g;

		if (left_out && !strcmp(left_out, a->name)) {
			print_message("# left out: %s\n", a->name);
			continue;
		}
		open_attempt(&g, a);
		guest_run(&g);
		if (!as_expected(a, &g)) {
			print_message("# %s: kind %d vector %u error %x at %lx\n", a->name, g.ev.kind,
				      g.ev.vector, g.ev.error, g.r->rip);
			bad++;
		}
		if (g.ev.kind != PLATFORM_BROKEN)
			check_alive(&g, a->name);
		guest_close(&g);
	}
	assert_int_equal(bad, 0);
}

/* KVM leaves the hypercall instruction of the other maker in memory as it is. */
static void test_hypercalls(void **state)
{
	static const uint8_t last[] = {0xc1, 0xd9}; /* vmcall, vmmcall */
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int quirks = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
	size_t i;

	close(fd);
	if (quirks < 0 || !(quirks & KVM_X86_QUIRK_FIX_HYPERCALL_INSN))
		skip();
	for (i = 0; i < sizeof(last); i++) {
		const uint8_t code[] = {0x0f, 0x01, last[i], 0x0f, 0x05};
		struct guest g;

		guest_open(&g, code, sizeof(code));
		assert_int_equal(platform_map(g.as, CODE, P, 0, PLATFORM_READ | PLATFORM_WRITE |
					      PLATFORM_EXEC), 0);
		guest_run(&g);
		assert_memory_equal(guest_window, code, sizeof(code));
		if (g.ev.kind != PLATFORM_SYSCALL) { /* KVM answers its own maker's with an error */
			assert_int_equal(g.ev.kind, PLATFORM_FAULT);
			assert_true((V(UD) | V(GP)) >> g.ev.vector & 1);
		}
		check_alive(&g, "hypercall");
		guest_close(&g);
	}
}

/* The last page of the user half cannot be mapped, so no SYSCALL can leave a RIP of 2^47. */
static void test_end_of_half(void **state)
{
	static const uint8_t code[] = {0x0f, 0x05};
	struct guest g;

	guest_open(&g, code, sizeof(code));
	assert_int_equal(platform_map(g.as, 0x7ffffffff000, P, 0, PLATFORM_READ | PLATFORM_EXEC),
			 -EINVAL);
	assert_int_equal(platform_map(g.as, 0x7fffffffe000, P, 9 * P, PLATFORM_READ | PLATFORM_EXEC), 0);
	memcpy(guest_window + 10 * P - 2, code, 2);
	g.r->rip = 0x7fffffffeffe;
	guest_expect_syscall(&g);
	assert_int_equal(g.r->rip, 0x7ffffffff000);
	guest_expect_fault(&g, PF);
	assert_int_equal(g.ev.addr, 0x7ffffffff000);
	g.r->rip = 0x800000000000;
	guest_expect_fault(&g, GP);
	g.r->rip = RING0_ENTRY_VA;
	guest_expect_fault(&g, GP);
	check_alive(&g, "end of half");
	guest_close(&g);
}

/* A new owner of a used vCPU finds nothing of the old one's state. */
static void test_reuse(void **state)
{
	/* load xmm0 and the segment bases, set DF and AC, then a system call */
	static const uint8_t dirty[] = {0xf3, 0x0f, 0x6f, 0x07, 0xd9, 0xee, 0xfd, 0xb8, 0x2b, 0,
					0,    0,    0x8e, 0xd8, 0x0f, 0x05};
	static const uint8_t look[] = {0xf3, 0x0f, 0x7f, 0x07, 0x8c, 0xd8, 0x0f, 0x05};
	struct platform_ctx *old;
	struct guest g;

	guest_open(&g, dirty, sizeof(dirty));
	g.r->rdi = DATA;
	memset(guest_window + P, 0x5a, 64);
	assert_int_equal(platform_ctx_set_fsbase(g.ctx, 0x1234000), 0);
	assert_int_equal(platform_ctx_set_gsbase(g.ctx, 0x5678000), 0);
	assert_int_equal(platform_ctx_set_gsbase(g.ctx, 0xffff800000000000), -EPERM);
	platform_ctx_consts(g.ctx)[PLATFORM_CONST_PID] = 99;
	guest_expect_syscall(&g);
	assert_int_equal(platform_ctx_fsbase(g.ctx), 0x1234000);
	assert_int_equal(platform_ctx_gsbase(g.ctx), 0x5678000);
	platform_kick(g.ctx);
	old = g.ctx;
	guest_close(&g);
	guest_open(&g, look, sizeof(look));
	assert_ptr_equal(g.ctx, old);
	g.r->rdi = DATA;
	memset(guest_window + P, 0xff, 64);
	guest_expect_syscall(&g);
	assert_int_equal(*(uint64_t *)(guest_window + P), 0);
	assert_int_equal(g.r->rax & 0xffff, 0);
	assert_int_equal(g.r->rflags & 0x40400, 0);
	assert_int_equal(g.r->r15, 0);
	assert_int_equal(platform_ctx_fsbase(g.ctx), 0);
	assert_int_equal(platform_ctx_gsbase(g.ctx), 0);
	assert_int_equal(platform_ctx_consts(g.ctx)[PLATFORM_CONST_PID], 0);
	guest_close(&g);
}

/* Vector state goes out and comes back; images that the CPU would fault on are refused. */
static void test_fpu(void **state)
{
	/* movdqu (rdi),xmm0; syscall; movdqu xmm0,(rdi); syscall */
	static const uint8_t code[] = {0xf3, 0x0f, 0x6f, 0x07, 0x0f, 0x05, 0xf3, 0x0f, 0x7f, 0x07, 0x0f,
				       0x05};
	static _Alignas(64) uint8_t area[16384], copy[16384];
	uint64_t *header = (uint64_t *)(area + 512);
	struct guest g;

	guest_open(&g, code, sizeof(code));
	assert_in_range(platform_fpu_size(guest_platform), 512, sizeof(area));
	g.r->rdi = DATA;
	memset(guest_window + P, 0x5a, 64);
	guest_expect_syscall(&g);
	assert_int_equal(platform_ctx_fpu_save(g.ctx, area), 0);
	assert_int_equal(area[160], 0x5a);
	memcpy(copy, area, sizeof(copy));
	area[160] = 0x77;
	assert_int_equal(platform_ctx_fpu_load(g.ctx, area), 0);
	area[24 + 3] = 0x80; /* MXCSR */
	assert_int_equal(platform_ctx_fpu_load(g.ctx, area), -EINVAL);
	memcpy(area, copy, sizeof(copy));
	if (platform_xcr0(guest_platform)) {
		header[0] |= 1ull << 62;
		assert_int_equal(platform_ctx_fpu_load(g.ctx, area), -EINVAL);
		header[0] = 3;
		header[1] = 1ull << 63;
		assert_int_equal(platform_ctx_fpu_load(g.ctx, area), -EINVAL);
	}
	guest_expect_syscall(&g);
	assert_int_equal(guest_window[P], 0x77);
	assert_int_equal(platform_ctx_fpu_load(g.ctx, NULL), 0);
	guest_close(&g);
}

/* A page whose host memory is gone: a file mapping beyond the end of its file. */
static void test_host_fault(void **state)
{
	static const uint8_t code[] = {0x48, 0x8b, 0x47, 0x08, 0x0f, 0x05}; /* mov 8(rdi),rax */
	struct guest g;
	int fd = memfd_create("test", 0);

	guest_open(&g, code, sizeof(code));
	assert_true(fd >= 0);
	assert_ptr_not_equal(mmap(guest_window + 20 * P, P, PROT_READ | PROT_WRITE,
				  MAP_FIXED | MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(platform_map(g.as, 0x700000, P, 20 * P, PLATFORM_READ | PLATFORM_WRITE), 0);
	g.r->rdi = 0x700000;
	guest_expect_fault(&g, PF);
	assert_true(g.ev.host_fault);
	assert_int_equal(g.ev.addr, 0x700008);
	assert_int_equal(g.r->rip, CODE);
	assert_int_equal(ftruncate(fd, P), 0);
	*(uint64_t *)(guest_window + 20 * P + 8) = 0x99;
	guest_expect_syscall(&g);
	assert_int_equal(g.r->rax, 0x99);
	platform_unmap(g.as, 0x700000, P);
	assert_ptr_not_equal(mmap(guest_window + 20 * P, P, PROT_READ | PROT_WRITE,
				  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
	close(fd);
	guest_close(&g);
}

/* Many contexts exist at once, and one more than the limit is refused, not fatal. */
static void test_many_contexts(void **state)
{
	static const uint8_t code[] = {0x48, 0xff, 0xc3, 0x0f, 0x05};
	struct platform_ctx *c[200];
	struct platform_event ev;
	struct guest g;
	unsigned i, n;

	guest_open(&g, code, sizeof(code));
	assert_true(platform_ctx_max(guest_platform) >= 64);
	n = platform_ctx_max(guest_platform) < 200 ? platform_ctx_max(guest_platform) - 1 : 200;
	for (i = 0; i < n; i++) {
		assert_int_equal(platform_ctx_create(guest_platform, g.as, NULL, &c[i]), 0);
		platform_ctx_regs(c[i])->rip = CODE;
		platform_ctx_regs(c[i])->rbx = i;
	}
	for (i = 0; i < n; i++) {
		platform_run(c[i], &ev);
		assert_int_equal(ev.kind, PLATFORM_SYSCALL);
		assert_int_equal(platform_ctx_regs(c[i])->rbx, i + 1);
	}
	for (i = 0; i < n; i++)
		platform_ctx_destroy(&c[i]);
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_hypercalls),   cmocka_unit_test(test_end_of_half),
		cmocka_unit_test(test_reuse),	   cmocka_unit_test(test_fpu),
		cmocka_unit_test(test_host_fault), cmocka_unit_test(test_many_contexts),
	};

	if (!guest_possible())
		return guest_skip();
	return cmocka_run_group_tests_name("hostile", tests, guest_group_setup, guest_group_teardown);
}
