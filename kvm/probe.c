/* The probe: a tiny guest, run on the machine that the app will get, that shows which kind of KVM
 * this is. Nothing is decided by name. */
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/log.h"
#include "kvm/kvm.h"
#include "ring0/ring0_syms.h"

#define CODE_VA 0x10000ull
#define DATA_VA 0x20000ull

/* Ring-0 instructions slower than this are emulated one by one: an exit is cheaper than a verdict.
 */
#define RING0_SLOW_PS  100000u
#define RING0_ATTEMPTS 4

/* System calls after each part: reading the clock and a word; reading the word again, and CPUID of
 * leaf 7; RDFSBASE; XGETBV. RDI is the word's address. */
extern const uint8_t kvm_probe_code[], kvm_probe_fsgsbase[], kvm_probe_xgetbv[],
	kvm_probe_code_end[];
__asm__(".pushsection .rodata\n"
	"kvm_probe_code:\n"
	"	rdtsc\n"
	"	shl $32, %rdx\n"
	"	or %rax, %rdx\n"
	"	mov %rdx, %r12\n"
	"	mov (%rdi), %rbx\n"
	"	syscall\n"
	"	mov (%rdi), %r13\n"
	"	mov $7, %eax\n"
	"	xor %ecx, %ecx\n"
	"	cpuid\n"
	"	syscall\n"
	"kvm_probe_fsgsbase:\n"
	"	rdfsbase %rbx\n"
	"	syscall\n"
	"kvm_probe_xgetbv:\n"
	"	xor %ecx, %ecx\n"
	"	xgetbv\n"
	"	vmovdqu (%rdi), %ymm15\n"
	"	syscall\n"
	"kvm_probe_code_end:\n"
	".popsection\n");

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static int step(struct platform_ctx *ctx, struct platform_event *ev, const char *what,
		struct sbx_err **e)
{
	platform_run(ctx, ev);
	if (ev->kind == PLATFORM_SYSCALL)
		return 0;
	if (ev->kind == PLATFORM_BROKEN)
		return sbx_err_set(e, "KVM on this machine does not run the probe guest (%s): %s",
				   what, ev->message);
	if (ev->kind == PLATFORM_INTERRUPTED)
		return sbx_err_set(e, "KVM on this machine hangs in the probe guest (%s)", what);
	return sbx_err_set(
		e,
		"KVM on this machine fails the probe guest (%s): exception %u, error 0x%x, "
		"at 0x%llx",
		what, ev->vector, ev->error, (unsigned long long)ctx->regs.rip);
}

/* Nanoseconds for n iterations of the two-instruction loop, with the exit. */
static uint64_t time_loop(struct platform_ctx *ctx, uint64_t n)
{
	struct kvm_regs *r = &ctx->run->s.regs.regs;
	uint64_t t0 = now_ns();

	memset(r, 0, sizeof(*r));
	r->rip = RING0_PROBE_LOOP_VA;
	r->rsp = ctx->cpu_va + RING_CPU_STACK - RING_FRAME_SIZE;
	r->rcx = n;
	r->rflags = 2;
	ctx->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	ctx->run->immediate_exit = 0;
	if (ioctl(ctx->fd, KVM_RUN, 0) < 0)
		return 0;
	return now_ns() - t0;
}

/* The fastest of a few attempts: another program's time slice in the middle of one must not make a
 * fast ring 0 look slow. A first attempt that is fast says enough, and where ring 0 sees no system
 * calls nothing depends on its speed. */
static void measure_ring0(struct platform_ctx *ctx)
{
	uint64_t base = UINT64_MAX, loop = UINT64_MAX;
	unsigned i, ps = RING0_SLOW_PS, most = ctx->p->facts.syscall_entry ? RING0_ATTEMPTS : 1;

	for (i = 0; i < most && ps >= RING0_SLOW_PS; i++) {
		base = MIN(base, time_loop(ctx, 1));
		loop = MIN(loop, time_loop(ctx, 51));
		ps = loop > base ? (unsigned)((loop - base) * 1000 / 100) : 1;
	}
	ctx->p->facts.ring0_ps = ps;
}

/* The word's page is replaced under the guest, and its CPU told so the ordinary way. */
static int probe_shadow(struct platform_ctx *ctx, struct platform_event *ev, struct sbx_err **e)
{
	struct platform *p = ctx->p;

	if (platform_map(ctx->as, DATA_VA, PAGE, 2 * PAGE, PLATFORM_READ) < 0)
		return sbx_err_errno(e, ENOMEM, "probe guest");
	if (step(ctx, ev, "page tables and CPUID", e) < 0)
		return -1;
	p->facts.shadow = ctx->regs.r13 != 2;
	return 0;
}

/* Instructions that may turn out not to exist. */
static int probe_features(struct platform_ctx *ctx, struct platform_event *ev, struct sbx_err **e)
{
	struct kvm_facts *f = &ctx->p->facts;
	unsigned a, b, c, d;

	__cpuid_count(7, 0, a, b, c, d);
	f->cpuid_native = (uint32_t)ctx->regs.rbx == b;
	if (f->fsgsbase) {
		ctx->regs.rip = CODE_VA + (uint64_t)(kvm_probe_fsgsbase - kvm_probe_code);
		platform_run(ctx, ev);
		f->fsgsbase = ev->kind == PLATFORM_SYSCALL;
	}
	if (f->xcr0 & 4) {
		ctx->regs.rip = CODE_VA + (uint64_t)(kvm_probe_xgetbv - kvm_probe_code);
		platform_run(ctx, ev);
		if (ev->kind != PLATFORM_SYSCALL || (uint32_t)ctx->regs.rax != f->xcr0)
			return sbx_err_set(
				e,
				"KVM on this machine accepts XCR0 0x%llx, and the guest has "
				"0x%x",
				(unsigned long long)f->xcr0, (uint32_t)ctx->regs.rax);
	}
	return 0;
}

/* A TSC that stops or changes its rate is no clock, whoever reads it. In virtual machines it is often a good
 * one though the CPU does not say so. */
static bool invariant_tsc(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8);
}

static int probe_run(struct platform_ctx *ctx, struct sbx_err **e)
{
	struct platform *p = ctx->p;
	struct kvm_facts *f = &p->facts;
	struct platform_event ev;
	uint64_t before = rdtsc();

	ctx->regs.rip = CODE_VA;
	ctx->regs.rdi = DATA_VA;
	if (step(ctx, &ev, "system call", e) < 0)
		return -1;
	f->tsc_shared = ctx->regs.r12 >= before && ctx->regs.r12 <= rdtsc();
	f->tsc_khz = (uint64_t)ioctl(ctx->fd, KVM_GET_TSC_KHZ, 0);
	if ((int64_t)f->tsc_khz <= 0)
		f->tsc_shared = false;
	f->tsc_invariant = invariant_tsc();
	f->syscall_entry = !ctx->entry_fault;
	if (ctx->regs.rbx != 1)
		return sbx_err_set(e, "KVM on this machine shows the guest wrong memory");
	if (probe_shadow(ctx, &ev, e) < 0)
		return -1;
	if (probe_features(ctx, &ev, e) < 0)
		return -1;
	measure_ring0(ctx);
	return 0;
}

/* Control bits that KVM announces but refuses are dropped: each alone first, then together. */
static int create_ctx(struct platform *p, struct platform_as *as, struct platform_ctx **ctx,
		      struct sbx_err **e)
{
	struct kvm_facts *f = &p->facts, asked = *f;
	bool *drop[] = {&f->xsave, &f->fsgsbase, &f->smap, &f->umip, &f->smep, &f->pge};
	size_t i, n = sizeof(drop) / sizeof(drop[0]);
	int r;

	r = platform_ctx_create(p, as, NULL, ctx);
	for (i = 0; r < 0 && i < 2 * n; i++) {
		if (i < n)
			*f = asked;
		*drop[i % n] = false;
		if (!f->xsave)
			f->xcr0 = 0;
		r = platform_ctx_create(p, as, NULL, ctx);
	}
	return r ? sbx_err_errno(e, -r, "KVM on this machine refuses a 64-bit vCPU") : 0;
}

/* A guest that never comes back is stopped by the kick signal. */
static bool arm_timeout(timer_t *t)
{
	struct sigevent sev = {.sigev_notify = SIGEV_THREAD_ID,
			       .sigev_signo = platform_kick_signal()};
	struct itimerspec its = {.it_value.tv_sec = 2, .it_interval.tv_sec = 1};

	sev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &sev, t) < 0)
		return false;
	timer_settime(*t, 0, &its, NULL);
	return true;
}

static int probe_as(struct platform *p, struct platform_as *as, struct sbx_err **e)
{
	size_t n = (size_t)(kvm_probe_code_end - kvm_probe_code);
	struct platform_ctx *ctx;
	timer_t timer;
	bool timed;
	int r;

	memcpy(p->window, kvm_probe_code, n);
	*(uint64_t *)(p->window + PAGE) = 1;
	*(uint64_t *)(p->window + 2 * PAGE) = 2;
	r = platform_map(as, CODE_VA, PAGE, 0, PLATFORM_READ | PLATFORM_EXEC);
	r = r ? r : platform_map(as, DATA_VA, PAGE, PAGE, PLATFORM_READ);
	if (r)
		return sbx_err_errno(e, -r, "probe guest");
	if (create_ctx(p, as, &ctx, e) < 0)
		return -1;
	ctx->probing = true;
	timed = arm_timeout(&timer);
	r = probe_run(ctx, e);
	if (timed)
		timer_delete(timer);
	ctx->probing = false;
	platform_ctx_destroy(&ctx);
	return r;
}

int kvm_probe(struct platform *p, struct sbx_err **e)
{
	struct platform_as *as;
	int r;

	if (mmap(p->window, 3 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED ||
	    platform_as_create(p, &as) < 0)
		return sbx_err_errno(e, ENOMEM, "probe guest");
	r = probe_as(p, as, e);
	platform_as_destroy(&as);
	if (mmap(p->window, 3 * PAGE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return sbx_err_errno(e, errno, "probe guest");
	if (r == 0 && p->facts.syscall_entry)
		kvm_machine_fast_pf(p);
	p->lean = r == 0 && p->facts.shadow && !p->facts.syscall_entry;
	p->facts.tier0 = p->facts.syscall_entry && p->facts.ring0_ps < RING0_SLOW_PS;
	return r;
}
