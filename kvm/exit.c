/* What a return from KVM_RUN means. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/hot.h"
#include "base/log.h"
#include "kvm/kvm.h"
#include "ring0/ring0_syms.h"

/* RFLAGS bits that an app may have; IF and the fixed bit are always set. */
#define RFLAGS_USER  0x254dd5ull
#define RFLAGS_FIXED 0x202ull

#define VECTOR_DB 1
#define VECTOR_MC 18
#define VECTOR_GP 13
#define VECTOR_PF 14
#define VECTORS_WITH_ERROR                                                                         \
	(1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21 |    \
	 1u << 29 | 1u << 30)

#define PF_PRESENT  1u
#define PF_WRITE    2u
#define PF_USER	    4u
#define PF_RESERVED 8u
#define PF_FETCH    16u

/* Unexplained faults in a row at one place before it is taken for a real one. */
#define SPURIOUS_MAX 1000u

/* The frame that the resume stub pops. */
struct ring_frame *kvm_frame(struct platform_ctx *ctx)
{
	return (struct ring_frame *)((uint8_t *)ctx->cpu + RING_CPU_STACK) - 1;
}

hot_path uint64_t kvm_user_rflags(uint64_t rflags)
{
	return (rflags & RFLAGS_USER) | RFLAGS_FIXED;
}

static const char *exit_name(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_UNKNOWN:
		return "unknown exit";
	case KVM_EXIT_EXCEPTION:
		return "exception exit";
	case KVM_EXIT_IO:
		return "I/O exit";
	case KVM_EXIT_MMIO:
		return "access to unmapped guest-physical memory";
	case KVM_EXIT_SHUTDOWN:
		return "triple fault";
	case KVM_EXIT_FAIL_ENTRY:
		return "the CPU refused the guest state";
	case KVM_EXIT_INTERNAL_ERROR:
		return "KVM internal error";
	default:
		return "unexpected exit";
	}
}

/* Words below the top of one of the block's stacks: the last frame there, if it was used. */
static void dump_stack(struct platform_ctx *ctx, const char *name, unsigned top)
{
	const uint64_t *w = (const uint64_t *)((const uint8_t *)ctx->cpu + top) - 7;

	log_error("  %-6s %016lx %016lx %016lx %04lx %08lx %016lx %04lx", name, w[0], w[1], w[2],
		  w[3], w[4], w[5], w[6]);
}

static void dump(struct platform_ctx *ctx)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;

	log_error("vcpu %u: rip %016llx rsp %016llx rflags %08llx", ctx->index, r->rip, r->rsp,
		  r->rflags);
	log_error("  rax %016llx rbx %016llx rcx %016llx rdx %016llx", r->rax, r->rbx, r->rcx,
		  r->rdx);
	log_error("  rsi %016llx rdi %016llx rbp %016llx r8  %016llx", r->rsi, r->rdi, r->rbp,
		  r->r8);
	log_error("  r9  %016llx r10 %016llx r11 %016llx r12 %016llx", r->r9, r->r10, r->r11,
		  r->r12);
	log_error("  r13 %016llx r14 %016llx r15 %016llx cr2 %016llx", r->r13, r->r14, r->r15,
		  (unsigned long long)kvm_vcpu_cr2(ctx));
	log_error("  state %d, kick %u, user rsp %016lx, app rip %016lx rsp %016lx", ctx->state,
		  ctx->cpu->kick, ctx->cpu->user_rsp, ctx->regs.rip, ctx->regs.rsp);
	dump_stack(ctx, "entry", RING_CPU_STACK);
	dump_stack(ctx, "ist1", RING_CPU_IST1);
	dump_stack(ctx, "ist2", RING_CPU_IST2);
	dump_stack(ctx, "ist3", RING_CPU_IST3);
	dump_stack(ctx, "ist4", RING_CPU_IST4);
	dump_stack(ctx, "ist5", RING_CPU_IST5);
	dump_stack(ctx, "ist6", RING_CPU_IST6);
}

void kvm_broken(struct platform_ctx *ctx, struct platform_event *ev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ctx->broken_msg, sizeof(ctx->broken_msg), fmt, ap);
	va_end(ap);
	ctx->broken = true;
	log_error("the virtual machine broke: %s", ctx->broken_msg);
	dump(ctx);
	ev->kind = PLATFORM_BROKEN;
	ev->message = ctx->broken_msg;
}

enum exit_what kvm_broken_exit(struct platform_ctx *ctx, struct platform_event *ev)
{
	const struct kvm_run *run = ctx->run;

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		kvm_broken(ctx, ev, "%s, suberror %u", exit_name(run->exit_reason),
			   run->internal.suberror);
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		kvm_broken(ctx, ev, "%s, reason 0x%llx", exit_name(run->exit_reason),
			   (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
	else
		kvm_broken(ctx, ev, "%s (KVM exit %u)", exit_name(run->exit_reason),
			   run->exit_reason);
	return EXIT_EVENT;
}

/* General registers from the vCPU; RIP, RSP and RFLAGS from where the app's are. */
static void take_regs(struct platform_ctx *ctx, uint64_t rip, uint64_t rsp, uint64_t rflags)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;
	struct platform_regs *a = &ctx->regs;

	a->rax = r->rax;
	a->rbx = r->rbx;
	a->rcx = r->rcx;
	a->rdx = r->rdx;
	a->rsi = r->rsi;
	a->rdi = r->rdi;
	a->rbp = r->rbp;
	a->r8 = r->r8;
	a->r9 = r->r9;
	a->r10 = r->r10;
	a->r11 = r->r11;
	a->r12 = r->r12;
	a->r13 = r->r13;
	a->r14 = r->r14;
	a->r15 = r->r15;
	a->rip = rip;
	a->rsp = rsp;
	a->rflags = kvm_user_rflags(rflags);
}

/* After a SYSCALL instruction: RIP and RFLAGS are in RCX and R11, RSP is where the entry put it. */
static void take_syscall(struct platform_ctx *ctx)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;

	take_regs(ctx, r->rcx, ctx->cpu->user_rsp, r->r11);
	ctx->regs.r11 = ctx->regs.rflags;
	ctx->state = CTX_RING0;
}

/* Reads n bytes of app memory at va that the app could execute. False: it could not. */
static bool read_text(struct platform_ctx *ctx, uint64_t va, void *buf, size_t n)
{
	uint64_t pte = kvm_walk(ctx->as, va);
	struct iovec to = {buf, n}, from = {.iov_len = n};

	if (!pte || (pte & PTE_NX))
		return false;
	from.iov_base = ctx->p->window + ((pte & PTE_ADDR) - WINDOW_GPA) + (va & (PAGE - 1));
	return process_vm_readv(ctx->p->pid, &to, 1, &from, 1, 0) == (ssize_t)n;
}

/* Is there a SYSCALL instruction before rip? Asked where a system call arrives as a fetch fault, to
 * tell it from a wild jump to the same address. Remembers where in memory such instructions were
 * seen. Should there be something else by now, then the wild jump is a system call with the registers
 * that it came with: nothing that the app could not do. */
static bool after_syscall(struct platform_ctx *ctx, uint64_t rip)
{
	uint64_t va = rip - 2, pte, at;
	_Atomic uint64_t *seen;
	uint8_t byte[2];

	if (rip < 2 || rip > USER_END)
		return false;
	if (va % PAGE == PAGE - 1) /* on two pages */
		return read_text(ctx, va, byte, 1) && read_text(ctx, va + 1, byte + 1, 1) &&
		       byte[0] == 0x0f && byte[1] == 0x05;
	pte = kvm_walk(ctx->as, va);
	if (!pte || (pte & PTE_NX))
		return false;
	at = (pte & PTE_ADDR) - WINDOW_GPA + va % PAGE + 1;
	seen = &ctx->p->syscall_at[(at ^ at >> 10) % SYSCALL_CACHE];
	if (atomic_load_explicit(seen, memory_order_relaxed) == at)
		return true;
	if (!read_text(ctx, va, byte, 2) || byte[0] != 0x0f || byte[1] != 0x05)
		return false;
	atomic_store_explicit(seen, at, memory_order_relaxed);
	return true;
}

static void syscall_event(struct platform_ctx *ctx, struct platform_event *ev)
{
	ev->kind = PLATFORM_SYSCALL;
	ctx->spurious = 0;
	ctx->stats.forwarded++;
}

/* Do the page tables allow what faulted? Then they were widened while this CPU, or the walk, still
 * had the narrower entry, and trying again is enough. */
static bool unexplained(struct platform_ctx *ctx, const struct platform_event *ev)
{
	uint64_t pte = kvm_walk(ctx->as, ev->addr);

	return pte && !((ev->error & PF_WRITE) && !(pte & PTE_W)) &&
	       !((ev->error & PF_FETCH) && (pte & PTE_NX));
}

/* Decides about a page fault. One that stays unexplained (a CPU that reads ring 3's stack with ring
 * 0's rights, for example) becomes a protection fault: no page that the sentry could map would
 * help. */
enum exit_what kvm_page_fault(struct platform_ctx *ctx, struct platform_event *ev)
{
	if (!unexplained(ctx, ev)) {
		ctx->spurious = 0;
		return EXIT_EVENT;
	}
	if (ctx->spurious_rip != ctx->regs.rip || ctx->spurious_addr != ev->addr)
		ctx->spurious = 0;
	ctx->spurious_rip = ctx->regs.rip;
	ctx->spurious_addr = ev->addr;
	if ((ev->error & (PF_USER | PF_RESERVED)) == PF_USER && ctx->spurious++ < SPURIOUS_MAX)
		return EXIT_AGAIN;
	ctx->spurious = 0;
	ev->vector = VECTOR_GP;
	ev->error = 0;
	ev->addr = 0;
	return EXIT_EVENT;
}

static enum exit_what exception(struct platform_ctx *ctx, struct platform_event *ev,
				unsigned vector, uint64_t rsp, const uint64_t *cr2)
{
	bool has_error = vector < 32 && (VECTORS_WITH_ERROR >> vector & 1);
	uint64_t off = rsp - ctx->cpu_va, error = 0;
	struct ring_frame f;

	if (off < RING_CPU_GUARD + PAGE || off > RING_CPU_IST6 - sizeof(f) - 8 || (off & 7)) {
		kvm_broken(ctx, ev, "exception %u with a stack outside its block", vector);
		return EXIT_EVENT;
	}
	if (has_error) {
		memcpy(&error, (uint8_t *)ctx->cpu + off, 8);
		off += 8;
	}
	memcpy(&f, (uint8_t *)ctx->cpu + off, sizeof(f));
	if ((f.cs & 3) != 3 || vector == 2 || vector == 8 || vector == VECTOR_MC || vector >= 32) {
		kvm_broken(ctx, ev, "exception %u, error 0x%llx, in ring %llu at 0x%llx", vector,
			   (unsigned long long)error, (unsigned long long)(f.cs & 3),
			   (unsigned long long)f.rip);
		return EXIT_EVENT;
	}
	take_regs(ctx, f.rip, f.rsp, f.rflags);
	ctx->state = CTX_RING0;
	ctx->entry_fault = false;
	/* a fetch fault with RIP there has CR2 there: no need to ask */
	if (vector == VECTOR_PF && !ctx->p->facts.syscall_entry && f.rip == kvm_lstar(ctx->p) &&
	    (error & PF_FETCH) && after_syscall(ctx, ctx->regs.rcx)) {
		ctx->entry_fault = true;
		ctx->regs.rip = ctx->regs.rcx;
		ctx->regs.rflags = kvm_user_rflags(ctx->regs.r11);
		syscall_event(ctx, ev);
		return EXIT_EVENT;
	}
	ev->kind = PLATFORM_FAULT;
	ev->vector = vector;
	ev->error = (uint32_t)error;
	if (vector == VECTOR_PF)
		ev->addr = cr2 ? *cr2 : kvm_vcpu_cr2(ctx);
	if (vector == VECTOR_PF && kvm_page_fault(ctx, ev) == EXIT_AGAIN)
		return EXIT_AGAIN;
	ctx->stats.faults++;
	return EXIT_EVENT;
}

static enum exit_what halted(struct platform_ctx *ctx, struct platform_event *ev)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;
	uint64_t stub = r->rip - 1 - RING0_STUBS_VA;

	if (r->rip == RING0_HALT_SYSCALL_VA) {
		take_syscall(ctx);
		ctx->entry_fault = false;
		syscall_event(ctx, ev);
		return EXIT_EVENT;
	}
	if (r->rip == RING0_HALT_KICKED_VA) {
		take_syscall(ctx);
		ev->kind = PLATFORM_INTERRUPTED;
		return EXIT_INTERRUPTED;
	}
	if (r->rip == RING0_HALT_PF_FAST_VA) {
		uint64_t off = r->rsp - ctx->cpu_va;

		if (off < RING_CPU_SIZE - 8)
			return exception(ctx, ev, VECTOR_PF, r->rsp + 8,
					 (uint64_t *)((uint8_t *)ctx->cpu + (off & ~7ull)));
	}
	if (stub < 256 * RING_STUB_SIZE && stub % RING_STUB_SIZE == 0)
		return exception(ctx, ev, (unsigned)(stub / RING_STUB_SIZE), r->rsp, NULL);
	kvm_broken(ctx, ev, "halt at an unknown place in ring 0");
	return EXIT_EVENT;
}

/* A signal or immediate_exit stopped the vCPU: where? What runs on, in ring 0 or into it, halts before
 * it gets back to ring 3, so that neither a kick nor a change of translations is overlooked. */
static enum exit_what interrupted(struct platform_ctx *ctx, struct platform_event *ev)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;

	ev->kind = PLATFORM_INTERRUPTED;
	if (r->rip >= RING0_RESUME_VA && r->rip < RING0_RESUME_END_VA) {
		ctx->flush |= ctx->flushing; /* nothing ran: ctx->regs still says it all */
		ctx->touched = ctx->touched && !ctx->flushing;
		return EXIT_INTERRUPTED;
	}
	if (r->rip >= RING0_TAIL_VA && r->rip < RING0_TAIL_END_VA) {
		bool swapped = r->rip == RING0_TAIL_SYSRET_VA;

		take_syscall(ctx);
		if (!swapped)
			kvm_vcpu_swap_gs(ctx);
		return EXIT_INTERRUPTED;
	}
	if (r->rip >> 47 || kvm_vcpu_event_queued(ctx)) {
		ctx->cpu->kick = 1;
		return EXIT_RUN_ON;
	}
	take_regs(ctx, r->rip, r->rsp, r->rflags);
	ctx->state = CTX_RING3;
	return EXIT_INTERRUPTED;
}

/* KVM_RUN could not get a page that the tables map: its host mapping has no memory behind it. */
static enum exit_what host_fault(struct platform_ctx *ctx, struct platform_event *ev)
{
	const struct kvm_regs *r = &ctx->run->s.regs.regs;

	if (r->rip >> 47) {
		kvm_broken(ctx, ev, "KVM could not reach the entry area's memory");
		return EXIT_EVENT;
	}
	take_regs(ctx, r->rip, r->rsp, r->rflags);
	ctx->state = CTX_RING3;
	ev->kind = PLATFORM_FAULT;
	ev->vector = VECTOR_PF;
	ev->error = PF_PRESENT | PF_USER;
	ev->host_fault = true;
	ev->addr = kvm_fault_address(ctx);
	ctx->stats.faults++;
	return EXIT_EVENT;
}

enum exit_what kvm_exit_decode(struct platform_ctx *ctx, int r, struct platform_event *ev)
{
	if (r == 0 && ctx->run->exit_reason == KVM_EXIT_HLT)
		return halted(ctx, ev);
	/* KVM_RUN that is to be repeated (EAGAIN) is as good as one that a signal ended */
	ctx->stopped_oddly = true;
	if (r == -EINTR || r == -EAGAIN || (r == 0 && ctx->run->exit_reason == KVM_EXIT_INTR))
		return interrupted(ctx, ev);
	if (r == -EFAULT)
		return host_fault(ctx, ev);
	if (r == 0)
		return kvm_broken_exit(ctx, ev);
	kvm_broken(ctx, ev, "KVM_RUN: %s", strerror(-r));
	return EXIT_EVENT;
}
