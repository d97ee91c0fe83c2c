/* The loop around KVM_RUN of a thread whose sentry runs in guest ring 0. It is entered by the blue
 * pill and left by the red one, on a stack of its own; what it does must not disturb the sentry code
 * that it interrupts, which may be anywhere, inside malloc for instance. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "base/log.h"
#include "base/overflow.h"
#include "kvm/kvm.h"
#include "ring0/ring0_syms.h"

#define MONITOR_STACK (64u << 10)
#define VECTOR_PF     14
#define RFLAGS_AC     0x40000ull
#define STACK_NEAR    (256u << 10) /* of a thread's stack: where it will be when ring 0 returns to it */

/* What follows from one return of KVM_RUN. */
enum next {
	GO_ON,	/* in the guest */
	NATIVE, /* in host mode, with pill->native */
	BACK,	/* in host mode, where kvm_pill_switch returns */
};

static const uint16_t hot_calls[] = {
	SYS_read,	   SYS_write,	     SYS_pread64,   SYS_pwrite64,   SYS_readv,
	SYS_writev,	   SYS_preadv,	     SYS_pwritev,   SYS_preadv2,    SYS_pwritev2,
	SYS_sendto,	   SYS_recvfrom,     SYS_sendmsg,   SYS_recvmsg,    SYS_epoll_wait,
	SYS_epoll_pwait,   SYS_epoll_pwait2, SYS_poll,	    SYS_ppoll,	    SYS_futex,
	SYS_nanosleep,	   SYS_openat,	     SYS_openat2,   SYS_close,	    SYS_newfstatat,
	SYS_clock_gettime, SYS_statx,	     SYS_fstat,	    SYS_lseek,	    SYS_getdents64,
	SYS_readlinkat,	   SYS_mmap,	     SYS_munmap,    SYS_mprotect,   SYS_madvise,
	SYS_epoll_ctl,	   SYS_dup,	     SYS_fcntl,	    SYS_accept4,    SYS_connect,
	SYS_tgkill,	   SYS_process_vm_readv, SYS_clock_nanosleep,
	SYS_getrandom,	   SYS_ioctl,	     SYS_fstatfs,
};

int kvm_monitor_prepare(struct platform_ctx *ctx)
{
	struct platform *p = ctx->p;
	struct ring_resident *res = &ctx->cpu->res;
	struct kvm_pill *pill = &ctx->pill;
	size_t fpu = ALIGN_UP(platform_fpu_size(p), 64), i;
	uint8_t *m;

	if (!ctx->monitor) {
		ctx->monitor_size = ALIGN_UP(MONITOR_STACK + 2 * fpu, PAGE);
		m = kvm_reserve(ctx->monitor_size, PROT_READ | PROT_WRITE);
		if (!m)
			return -ENOMEM;
		ctx->monitor = m;
	}
	m = ctx->monitor;
	/* ring 0 saves vector state there without being able to take a fault */
	if (!kvm_sentry_cover(p, (uintptr_t)m, ctx->monitor_size))
		return -ENOMEM;
	ctx->app_fpu = m + MONITOR_STACK;
	memset(res, 0, sizeof(*res));
	memset(m + MONITOR_STACK, 0, 2 * fpu);
	res->app_fpu = (uintptr_t)ctx->app_fpu;
	res->sentry_fpu = res->app_fpu + fpu;
	res->xmask = p->facts.xcr0;
	res->flags = (p->facts.xsave ? RES_F_XSAVE : 0) |
		     (p->facts.fsgsbase ? RES_F_FSGSBASE : 0);
	res->sentry_cr3 = p->sentry_root;
	for (i = 0; i < ARRAY_SIZE(hot_calls); i++)
		res->hot[hot_calls[i] / 64] |= 1ull << (hot_calls[i] % 64);
	*pill = (struct kvm_pill){
		.stack = m + MONITOR_STACK,
		.fpu = (void *)res->sentry_fpu,
		.xmask = p->facts.xcr0,
		.xsave = p->facts.xsave,
		.enter = RING0_ENTER_VA,
		.by_fault = p->opts.pill == PLATFORM_PILL_FAULT,
		.res = res,
	};
	return 0;
}

void kvm_monitor_fini(struct platform_ctx *ctx)
{
	if (ctx->monitor)
		munmap(ctx->monitor, ctx->monitor_size);
}

/* ---- leaving the guest for good ---- */

static void native_regs(struct platform_ctx *ctx, uint64_t rip, uint64_t rsp, uint64_t rflags)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;

	ctx->pill.native = (struct ring_regs){
		.rax = r->rax,
		.rbx = r->rbx,
		.rcx = r->rcx,
		.rdx = r->rdx,
		.rsi = r->rsi,
		.rdi = r->rdi,
		.rbp = r->rbp,
		.rsp = rsp,
		.r8 = r->r8,
		.r9 = r->r9,
		.r10 = r->r10,
		.r11 = r->r11,
		.r12 = r->r12,
		.r13 = r->r13,
		.r14 = r->r14,
		.r15 = r->r15,
		.rip = rip,
		.rflags = kvm_user_rflags(rflags) & ~RFLAGS_AC,
	};
	ctx->stats.red_pills++;
}

/* Is the app in charge of the vCPU, or ring 0 on its way to or from it? */
static bool app_turn(struct platform_ctx *ctx)
{
	return atomic_load(&ctx->guest_seq) & 1;
}

/* The machine cannot go on, as kvm_broken has reported. While the app runs its thread learns that as
 * an event; in the middle of the sentry's own code there is nobody left to tell. */
static enum next give_up(struct platform_ctx *ctx)
{
	struct ring_resident *res = &ctx->cpu->res;

	if (!app_turn(ctx)) {
		log_error("this happened in sentry code in ring 0, at 0x%llx: giving up",
			  (unsigned long long)ctx->run->s.regs.regs.rip);
		abort();
	}
	res->event = RES_EV_BROKEN;
	memset((void *)res->sentry_fpu, 0, 512);
	native_regs(ctx, *(uint64_t *)res->sentry_rsp, res->sentry_rsp + 8, 2);
	return NATIVE;
}

static enum next broken(struct platform_ctx *ctx, const char *what)
{
	struct platform_event ev;

	kvm_broken(ctx, &ev, "%s", what);
	return give_up(ctx);
}

/* ---- exits ---- */

static int64_t host_call(const uint64_t q[7])
{
	register uint64_t r10 __asm__("r10") = q[4];
	register uint64_t r8 __asm__("r8") = q[5];
	register uint64_t r9 __asm__("r9") = q[6];
	int64_t r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(q[0]), "D"(q[1]), "S"(q[2]), "d"(q[3]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

/* A request of the sentry. One that may be cancelled by a signal is made by the function that can
 * be: its own registers do not matter then, only the flag that it looks at. */
static enum next request(struct platform_ctx *ctx)
{
	const struct platform_cancel *c = &ctx->p->opts.cancel;
	const struct kvm_regs *r = &ctx->run->s.regs.regs;
	struct ring_resident *res = &ctx->cpu->res;
	const uint64_t *q = res->request;
	long arg[6];

	if (c->call && r->rcx == (uintptr_t)c->end) {
		memcpy(arg, q + 1, sizeof(arg));
		res->reply = c->call((const void *)r->rbx, (long)q[0], arg);
	} else {
		res->reply = host_call(q);
	}
	ctx->stats.requests++;
	return GO_ON;
}

/* The red pill for a system call: the instruction before RCX is executed in host mode. A call that
 * may be cancelled starts over at the test of its flag. */
static enum next red_pill(struct platform_ctx *ctx)
{
	const struct platform_cancel *c = &ctx->p->opts.cancel;
	const struct kvm_regs *r = &ctx->run->s.regs.regs;
	uint64_t rip = c->call && r->rcx == (uintptr_t)c->end ? (uintptr_t)c->begin : r->rcx - 2;

	native_regs(ctx, rip, r->rsp, 2);
	return NATIVE;
}

static void set_rip(struct platform_ctx *ctx, uint64_t rip)
{
	ctx->run->s.regs.regs.rip = rip;
	ctx->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
}

/* An exception in ring 0. In sentry code: take in the memory that is missing, or let host mode show
 * what the instruction does there. In ring 0's own text only XRSTOR may fault. */
static enum next exception(struct platform_ctx *ctx)
{
	struct kvm_regs *r = &ctx->run->s.regs.regs;
	struct ring_resident *res = &ctx->cpu->res;
	uint64_t off = r->rsp - ctx->cpu_va;
	struct {
		uint64_t vector, error;
		struct ring_frame f;
	} s;

	if (off > RING_CPU_IST6 - sizeof(s) || (off & 7))
		return broken(ctx, "exception in ring 0 with a stack outside its block");
	memcpy(&s, (uint8_t *)ctx->cpu + off, sizeof(s));
	if (s.f.rip == RING0_XRSTOR_VA || s.f.rip == RING0_FXRSTOR_VA) {
		log_error("vcpu %u: a vector state image was refused; the app gets the initial one",
			  ctx->index);
		kvm_fpu_init(ctx->p, (void *)res->app_fpu);
	} else if (s.f.rip >> 47 || s.vector == 2 || s.vector == 8 || s.vector == 18 ||
		   s.vector >= 32) {
		return broken(ctx, "exception in ring 0");
	} else if (s.vector != VECTOR_PF || !kvm_sentry_fault(ctx->p, res->cr2, s.error)) {
		native_regs(ctx, s.f.rip, s.f.rsp, s.f.rflags);
		ctx->stats.ring0_faults++;
		return NATIVE;
	}
	r->rip = s.f.rip;
	r->rsp = s.f.rsp;
	r->rflags = s.f.rflags;
	ctx->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	return GO_ON;
}

/* A system call of the app that the host is to see at once. Only the general registers are taken: the
 * rest of the app's state stays in the vCPU. */
static enum next direct(struct platform_ctx *ctx)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;
	uint64_t rip = r->rcx, rflags = r->r11;

	ctx->cpu->res.app = (struct ring_regs){
		r->rax, r->rbx, rip,	r->rdx, r->rsi, r->rdi, r->rbp, ctx->cpu->user_rsp, r->r8,
		r->r9,	r->r10, rflags, r->r12, r->r13, r->r14, r->r15, rip,		    rflags,
	};
	ctx->direct = true;
	return BACK;
}

static enum next halted(struct platform_ctx *ctx)
{
	switch (ctx->run->s.regs.regs.rip) {
	case RING0_HALT_REQUEST_VA:
		return request(ctx);
	case RING0_HALT_DIRECT_VA:
		return direct(ctx);
	case RING0_HALT_RED_VA:
		return red_pill(ctx);
	case RING0_HALT_EXCEPTION_VA:
		return exception(ctx);
	default:
		return broken(ctx, "halt at an unknown place in ring 0");
	}
}

/* The app was stopped in ring 3: its registers are saved for it, and ring 0 goes on to the sentry. */
static enum next stop_app(struct platform_ctx *ctx, uint64_t event)
{
	struct kvm_regs *r = &ctx->run->s.regs.regs;
	struct ring_resident *res = &ctx->cpu->res;

	if (kvm_vcpu_kernel_mode(ctx) < 0)
		return broken(ctx, "the vCPU's segments cannot be set");
	res->app = (struct ring_regs){
		r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8,
		r->r9,	r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip, r->rflags,
	};
	res->event = event;
	r->rip = RING0_LEAVE_STOPPED_VA;
	r->rsp = ctx->cpu_va + RING_CPU_STACK;
	r->rflags = 2;
	ctx->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	return GO_ON;
}

/* A signal or immediate_exit stopped the vCPU. Somebody wants the app to stop: if it is in ring 3, or
 * about to be, it does; otherwise ring 0 sees the kick before it goes there. */
static enum next interrupted(struct platform_ctx *ctx)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;
	bool user = kvm_vcpu_in_user(ctx);

	if (user && !kvm_vcpu_event_queued(ctx))
		return stop_app(ctx, RES_EV_KICKED);
	if (user || !app_turn(ctx)) {
		ctx->cpu->kick = 1;
		return GO_ON;
	}
	if (r->rip >= RING0_ENTER_BEGIN_VA && r->rip < RING0_ENTER_END_VA) {
		bool swapped = r->rip == RING0_ENTER_SYSRET_VA || r->rip == RING0_ENTER_IRET_VA;

		set_rip(ctx, swapped ? RING0_ENTER_ABORT_SWAPPED_VA : RING0_ENTER_ABORT_VA);
		return GO_ON;
	}
	if (r->rip >= RING0_ANSWERED_VA && r->rip < RING0_ANSWERED_END_VA) {
		bool swapped = r->rip == RING0_ANSWERED_SYSRET_VA;

		set_rip(ctx, swapped ? RING0_LEAVE_ANSWERED_SWAPPED_VA : RING0_LEAVE_ANSWERED_VA);
		ctx->run->s.regs.regs.rsp = ctx->cpu_va + RING_CPU_STACK;
		return GO_ON;
	}
	ctx->cpu->kick = 1;
	return GO_ON;
}

/* A page that KVM cannot get. The app's: its SIGBUS. The sentry's: host mode knows. */
static enum next host_fault(struct platform_ctx *ctx)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;

	if (kvm_vcpu_in_user(ctx))
		return stop_app(ctx, RES_EV_HOST);
	if (r->rip >> 47)
		return broken(ctx, "KVM could not reach the entry area's memory");
	if (kvm_vcpu_fpu_get(ctx, (void *)ctx->cpu->res.sentry_fpu) < 0)
		return broken(ctx, "the vCPU's vector state cannot be read");
	native_regs(ctx, r->rip, r->rsp, r->rflags);
	ctx->stats.ring0_faults++;
	return NATIVE;
}

static enum next decode(struct platform_ctx *ctx, int r)
{
	struct platform_event ev;

	if (r == 0 && ctx->run->exit_reason == KVM_EXIT_HLT)
		return halted(ctx);
	if (r == -EINTR || (r == 0 && ctx->run->exit_reason == KVM_EXIT_INTR))
		return interrupted(ctx);
	if (r == -EFAULT)
		return host_fault(ctx);
	if (r == -EAGAIN)
		return GO_ON;
	if (r == 0) {
		kvm_broken_exit(ctx, &ev);
		return give_up(ctx);
	}
	return broken(ctx, strerror(-r));
}

/* errno belongs to the sentry code that was interrupted, so nothing here may change it. */
static enum next run_guest(struct platform_ctx *ctx)
{
	const uint64_t enter[7] = {SYS_ioctl, (uint64_t)ctx->fd, KVM_RUN};
	enum next next;

	do {
		int r, saved = errno;
		bool poked;

		if (ctx->trace)
			kvm_trace_arm(ctx);
		errno = saved;
		r = (int)host_call(enter);
		saved = errno;
		poked = ctx->run->immediate_exit;
		if (ctx->trace && r == 0 && kvm_trace_step(ctx)) {
			next = GO_ON;
			continue;
		}

		ctx->stats.exits++;
		ctx->run->kvm_dirty_regs = 0;
		if (r == -EINTR) {
			ctx->run->immediate_exit = 0;
			poked |= kvm_kick_take(ctx);
			ctx->outside |= !poked;
		}
		next = decode(ctx, r);
		errno = saved;
	} while (next == GO_ON);
	return next;
}

/* ---- the two ways in ---- */

static void start_at(struct platform_ctx *ctx, uint64_t rip)
{
	struct kvm_regs *r = &ctx->run->s.regs.regs;

	r->rip = rip;
	r->rflags = 2;
	ctx->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	ctx->stats.blue_pills++;
}

/* Called by pill.S in host mode, on the monitor's stack. Returns false for the red pill, and true when
 * kvm_pill_switch is to return. */
bool kvm_pill_take(struct kvm_pill *pill)
{
	struct platform_ctx *ctx = container_of(pill, struct platform_ctx, pill);

	start_at(ctx, ctx->touched ? RING0_ENTER_VA : RING0_PILL_FIRST_VA);
	ctx->touched = true;
	return run_guest(ctx) == BACK;
}

static struct sigaction old_segv;

static void copy_in(struct platform_ctx *ctx, const greg_t *g)
{
	struct kvm_regs *r = &ctx->run->s.regs.regs;

	r->rax = (uint64_t)g[REG_RAX];
	r->rbx = (uint64_t)g[REG_RBX];
	r->rcx = (uint64_t)g[REG_RCX];
	r->rdx = (uint64_t)g[REG_RDX];
	r->rsi = (uint64_t)g[REG_RSI];
	r->rdi = (uint64_t)g[REG_RDI];
	r->rbp = (uint64_t)g[REG_RBP];
	r->rsp = (uint64_t)g[REG_RSP];
	r->r8 = (uint64_t)g[REG_R8];
	r->r9 = (uint64_t)g[REG_R9];
	r->r10 = (uint64_t)g[REG_R10];
	r->r11 = (uint64_t)g[REG_R11];
	r->r12 = (uint64_t)g[REG_R12];
	r->r13 = (uint64_t)g[REG_R13];
	r->r14 = (uint64_t)g[REG_R14];
	r->r15 = (uint64_t)g[REG_R15];
}

static void copy_out(const struct ring_regs *n, greg_t *g)
{
	g[REG_RAX] = (greg_t)n->rax;
	g[REG_RBX] = (greg_t)n->rbx;
	g[REG_RCX] = (greg_t)n->rcx;
	g[REG_RDX] = (greg_t)n->rdx;
	g[REG_RSI] = (greg_t)n->rsi;
	g[REG_RDI] = (greg_t)n->rdi;
	g[REG_RBP] = (greg_t)n->rbp;
	g[REG_RSP] = (greg_t)n->rsp;
	g[REG_R8] = (greg_t)n->r8;
	g[REG_R9] = (greg_t)n->r9;
	g[REG_R10] = (greg_t)n->r10;
	g[REG_R11] = (greg_t)n->r11;
	g[REG_R12] = (greg_t)n->r12;
	g[REG_R13] = (greg_t)n->r13;
	g[REG_R14] = (greg_t)n->r14;
	g[REG_R15] = (greg_t)n->r15;
	g[REG_RIP] = (greg_t)n->rip;
	g[REG_EFL] = (greg_t)n->rflags;
}

#define FPU_REGS   416 /* x87 and SSE, without what the kernel keeps behind them */
#define FPU_SW	   464 /* struct _fpx_sw_bytes */
#define FPU_HEADER 512

/* The sentry's vector state into a signal frame. State components that the guest does not have stay
 * as they are. */
static void copy_out_fpu(struct platform_ctx *ctx, uint8_t *frame)
{
	const uint8_t *fpu = ctx->pill.fpu;
	const struct _fpx_sw_bytes *sw = (const void *)(frame + FPU_SW);
	uint64_t mask = ctx->pill.xmask, theirs, ours;

	memcpy(frame, fpu, FPU_REGS);
	if (!ctx->pill.xsave || sw->magic1 != FP_XSTATE_MAGIC1)
		return;
	memcpy(&theirs, frame + FPU_HEADER, 8);
	memcpy(&ours, fpu + FPU_HEADER, 8);
	theirs = (theirs & ~mask) | (ours & mask);
	memcpy(frame + FPU_HEADER, &theirs, 8);
	if (platform_fpu_size(ctx->p) > FPU_HEADER + 64)
		memcpy(frame + FPU_HEADER + 64, fpu + FPU_HEADER + 64,
		       MIN(platform_fpu_size(ctx->p), sw->xstate_size) - FPU_HEADER - 64);
}

/* SIGSEGV of the CLI in pill.S: the thread goes on in ring 0 until it needs host mode again, which
 * begins when the handler returns. */
static void on_segv(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;
	struct platform_ctx *ctx;

	if (g[REG_RIP] != (greg_t)kvm_pill_cli) {
		if (old_segv.sa_flags & SA_SIGINFO)
			old_segv.sa_sigaction(sig, info, context);
		else if (old_segv.sa_handler != SIG_DFL && old_segv.sa_handler != SIG_IGN)
			old_segv.sa_handler(sig);
		else
			sigaction(sig, &old_segv, NULL);
		return;
	}
	ctx = container_of((struct kvm_pill *)g[REG_RDI], struct platform_ctx, pill);
	copy_in(ctx, g);
	ctx->cpu->res.pill_rip = (uint64_t)g[REG_RIP];
	/* where the vCPU still has the app's page table there is no sentry code to go on with */
	start_at(ctx, ctx->live ? RING0_ENTER_VA : RING0_PILL_FAULT_VA);
	if (run_guest(ctx) == BACK) {
		g[REG_RIP] = *(greg_t *)ctx->cpu->res.sentry_rsp;
		g[REG_RSP] = (greg_t)ctx->cpu->res.sentry_rsp + 8;
		return;
	}
	copy_out(&ctx->pill.native, g);
	copy_out_fpu(ctx, (uint8_t *)uc->uc_mcontext.fpregs);
}

/* Others may have installed a handler after ours: it becomes the one that is asked next. */
static void claim_segv(void)
{
	struct sigaction sa = {.sa_sigaction = on_segv,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER},
			 now;

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction != on_segv) {
		old_segv = now;
		sigaction(SIGSEGV, &sa, NULL);
	}
}

/* The calling thread takes ctx over. */
void kvm_monitor_adopt(struct platform_ctx *ctx)
{
	stack_t st = {.ss_sp = ctx->monitor, .ss_size = MONITOR_STACK};
	uintptr_t here = (uintptr_t)&st;

	/* a fault of ring 0's own return to the thread's stack could not be mended */
	kvm_sentry_cover(ctx->p, here - STACK_NEAR, 2 * STACK_NEAR);
	__asm__("mov %%fs:0, %0" : "=r"(ctx->cpu->res.sentry_fs));
	if (ctx->pill.by_fault) {
		sigaltstack(&st, NULL);
		claim_segv();
	}
}
