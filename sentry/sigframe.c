/* Signal frames on the app's stack, in the exact x86-64 layout of Linux, and the way back.
 *
 * A frame that comes back through rt_sigreturn is hostile: every field is checked or filtered;
 * selectors are not looked at (the platform's user selectors always apply). */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/signal.h"
#include "sentry/task.h"

#define RED_ZONE 128u

#define UC_FP_XSTATE	     1u
#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u

#define FP_MAGIC1      0x46505853u
#define FP_MAGIC2      0x46505845u
#define FP_MAGIC2_SIZE 4u
#define FP_LEGACY      512u /* FXSAVE area */
#define FP_SW_OFFSET   464u /* its software-reserved bytes */
#define FP_XSTATE_BV   512u /* header of the XSAVE area */
#define FP_HDR_SIZE    64u

#define RFLAGS_USER 0x50dd5ull /* AC OF DF TF SF ZF AF PF CF RF: what sigreturn may set */
#define RFLAGS_KEEP 0x202ull   /* IF and the bit that is always one */
#define RFLAGS_RF   0x10000ull
#define RFLAGS_TF   0x100ull
#define RFLAGS_DF   0x400ull

#define SA_RESTORER_BIT	  0x04000000ull
#define SS_AUTODISARM_BIT (1u << 31)

#define USER_CS 0x33
#define USER_SS 0x2b

struct frame_stack {
	uint64_t sp;
	uint32_t flags, pad;
	uint64_t size;
};

struct frame_mcontext { /* struct sigcontext */
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate;
	uint64_t reserved[8];
};

struct frame_ucontext {
	uint64_t flags, link;
	struct frame_stack stack;
	struct frame_mcontext mc;
	uint64_t sigmask;
};

struct frame {
	uint64_t pretcode;
	struct frame_ucontext uc;
	siginfo_t info;
};

_Static_assert(sizeof(struct frame_mcontext) == 256, "sigcontext");
_Static_assert(offsetof(struct frame_ucontext, mc) == 40, "ucontext");
_Static_assert(offsetof(struct frame_ucontext, sigmask) == 296, "ucontext");
_Static_assert(sizeof(struct frame) == 8 + 304 + 128, "rt_sigframe");

struct frame_sw_bytes { /* struct _fpx_sw_bytes */
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size;
	uint32_t pad[7];
};
_Static_assert(sizeof(struct frame_sw_bytes) == 48, "fpx_sw_bytes");

size_t signal_frame_size(const struct platform *p)
{
	/* 64 and 16: the worst alignment of the two parts. */
	return ALIGN_UP(sizeof(struct frame) + platform_fpu_size(p) + FP_MAGIC2_SIZE + 64 + 16,
			(size_t)16);
}

/* ---- alternate stacks ---- */

static bool on_alt_stack(const struct signal_state *s, uint64_t sp)
{
	/* With SS_AUTODISARM the stack counts as left as soon as it is entered. */
	return !(s->alt_flags & SS_AUTODISARM_BIT) && s->alt_size && sp > s->alt_sp &&
	       sp - s->alt_sp <= s->alt_size;
}

static uint32_t alt_flags_shown(const struct signal_state *s, uint64_t sp)
{
	uint32_t f = s->alt_flags & SS_AUTODISARM_BIT;

	if (!s->alt_size)
		return f | SS_DISABLE;
	return on_alt_stack(s, sp) ? f | SS_ONSTACK : f;
}

int signal_altstack(struct task *t, const stack_t *new_ss, stack_t *old_ss, uint64_t sp)
{
	struct signal_state *s = t->sig;
	uint32_t mode;

	if (old_ss) {
		memset(old_ss, 0, sizeof(*old_ss));
		old_ss->ss_sp = (void *)s->alt_sp;
		old_ss->ss_size = s->alt_size;
		old_ss->ss_flags = (int)alt_flags_shown(s, sp);
	}
	if (!new_ss)
		return 0;
	if (on_alt_stack(s, sp))
		return -EPERM;
	mode = (uint32_t)new_ss->ss_flags & ~SS_AUTODISARM_BIT;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	s->alt_flags = (uint32_t)new_ss->ss_flags;
	if (mode == SS_DISABLE) {
		s->alt_sp = s->alt_size = 0;
		return 0;
	}
	if (new_ss->ss_size < 2048) {
		s->alt_flags = SS_DISABLE;
		return -ENOMEM;
	}
	s->alt_sp = (uint64_t)new_ss->ss_sp;
	s->alt_size = new_ss->ss_size;
	return 0;
}

/* ---- building a frame ---- */

/* Saves the vector state in the form sigreturn and debuggers know. area has room for the XSAVE
 * image and the trailing magic; the bytes used, or -1. */
static ssize_t save_fpu(struct task *t, uint8_t *area, size_t size)
{
	struct frame_sw_bytes sw = {
	    .magic1 = FP_MAGIC1,
	    .extended_size = (uint32_t)(size + FP_MAGIC2_SIZE),
	    .xfeatures = platform_xcr0(sandbox.platform),
	    .xstate_size = (uint32_t)size,
	};
	uint32_t magic2 = FP_MAGIC2;

	if (platform_ctx_fpu_save(t->ctx, area))
		return -1;
	if (size <= FP_LEGACY) {
		memset(area + FP_SW_OFFSET, 0, sizeof(sw));
		return FP_LEGACY;
	}
	memcpy(area + FP_SW_OFFSET, &sw, sizeof(sw));
	memcpy(area + size, &magic2, sizeof(magic2));
	return (ssize_t)(size + FP_MAGIC2_SIZE);
}

static void fill_mcontext(const struct task *t, struct frame_mcontext *m, uint64_t fp,
			  uint64_t mask)
{
	const struct platform_regs *r = t->regs;

	*m = (struct frame_mcontext){
	    .r8 = r->r8,
	    .r9 = r->r9,
	    .r10 = r->r10,
	    .r11 = r->r11,
	    .r12 = r->r12,
	    .r13 = r->r13,
	    .r14 = r->r14,
	    .r15 = r->r15,
	    .rdi = r->rdi,
	    .rsi = r->rsi,
	    .rbp = r->rbp,
	    .rbx = r->rbx,
	    .rdx = r->rdx,
	    .rax = r->rax,
	    .rcx = r->rcx,
	    .rsp = r->rsp,
	    .rip = r->rip,
	    .eflags = r->rflags,
	    .cs = USER_CS,
	    .ss = USER_SS,
	    .err = t->sig->error,
	    .trapno = t->sig->trapno,
	    .cr2 = t->sig->cr2,
	    .oldmask = mask,
	    .fpstate = fp,
	};
}

/* Where the frame goes: top is where it may grow down from. */
static uint64_t frame_top(struct task *t, const struct sig_action *act)
{
	const struct signal_state *s = t->sig;
	uint64_t sp = t->regs->rsp - RED_ZONE;

	if ((act->flags & SA_ONSTACK) && s->alt_size && !on_alt_stack(s, t->regs->rsp))
		sp = s->alt_sp + s->alt_size;
	return sp;
}

static bool overflows_alt(const struct task *t, uint64_t sp)
{
	const struct signal_state *s = t->sig;

	return on_alt_stack(s, t->regs->rsp) && !on_alt_stack(s, sp);
}

static void enter_handler(struct task *t, const struct sig_action *act, int sig, uint64_t frame)
{
	struct platform_regs *r = t->regs;

	r->rdi = (uint64_t)sig;
	r->rsi = frame + offsetof(struct frame, info);
	r->rdx = frame + offsetof(struct frame, uc);
	r->rax = 0;
	r->rip = act->handler;
	r->rsp = frame;
	r->rflags &= ~(RFLAGS_DF | RFLAGS_RF | RFLAGS_TF);
	platform_ctx_fpu_load(t->ctx, NULL);
}

int sigframe_setup(struct task *t, const struct sig_action *act, const siginfo_t *info,
		   uint64_t mask)
{
	size_t size = platform_fpu_size(sandbox.platform);
	cleanup_free uint8_t *fpu = aligned_alloc(64, ALIGN_UP(size + FP_MAGIC2_SIZE, (size_t)64));
	struct signal_state *s = t->sig;
	struct mm *mm = t->proc->mm;
	uint64_t fp, sp = frame_top(t, act);
	struct frame f = {.info = *info};
	ssize_t n;

	if (!fpu || !(act->flags & SA_RESTORER_BIT))
		return -EFAULT;
	n = save_fpu(t, fpu, size);
	if (n < 0)
		return -EFAULT;
	fp = ALIGN_DOWN(sp - (uint64_t)n, 64ull);
	sp = ALIGN_DOWN(fp - sizeof(f), 16ull) - 8;
	if (overflows_alt(t, sp) || sp >= MM_ADDR_MAX || act->handler >= MM_ADDR_MAX)
		return -EFAULT;
	f.pretcode = act->restorer;
	f.uc.flags =
	    UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (size > FP_LEGACY ? UC_FP_XSTATE : 0);
	f.uc.stack =
	    (struct frame_stack){s->alt_sp, alt_flags_shown(s, t->regs->rsp), 0, s->alt_size};
	f.uc.sigmask = mask;
	fill_mcontext(t, &f.uc.mc, fp, mask);
	if (gmem_write(mm, gptr_at(fp), fpu, (size_t)n) ||
	    gmem_write(mm, gptr_at(sp), &f, sizeof(f)))
		return -EFAULT;
	if (s->alt_flags & SS_AUTODISARM_BIT) {
		s->alt_sp = s->alt_size = 0;
		s->alt_flags = SS_DISABLE;
	}
	enter_handler(t, act, info->si_signo, sp);
	return 0;
}

/* ---- going back ---- */

/* Size of the app's XSAVE image as its software bytes claim, when they are consistent; else only
 * the legacy part counts, as for a frame of an old program. */
static size_t image_size(struct task *t, uint64_t fp, const uint8_t *legacy, uint64_t *features)
{
	size_t size = platform_fpu_size(sandbox.platform);
	struct frame_sw_bytes sw;
	uint32_t magic2;

	memcpy(&sw, legacy + FP_SW_OFFSET, sizeof(sw));
	*features = 3; /* x87 and SSE */
	if (size <= FP_LEGACY || sw.magic1 != FP_MAGIC1 ||
	    sw.xstate_size < FP_LEGACY + FP_HDR_SIZE || sw.xstate_size > size ||
	    sw.extended_size < sw.xstate_size + FP_MAGIC2_SIZE)
		return FP_LEGACY;
	if (gmem_read(t->proc->mm, &magic2, gptr_at(fp + sw.xstate_size), sizeof(magic2)) ||
	    magic2 != FP_MAGIC2)
		return FP_LEGACY;
	*features = sw.xfeatures & platform_xcr0(sandbox.platform);
	return sw.xstate_size;
}

static int restore_fpu(struct task *t, uint64_t fp)
{
	size_t size = platform_fpu_size(sandbox.platform), n;
	cleanup_free uint8_t *area = NULL;
	uint64_t bv, features;

	if (!fp)
		return platform_ctx_fpu_load(t->ctx, NULL) ? -EFAULT : 0;
	area = aligned_alloc(64, ALIGN_UP(MAX(size, (size_t)FP_LEGACY + FP_HDR_SIZE), (size_t)64));
	if (!area)
		return -EFAULT;
	memset(area, 0, MAX(size, (size_t)FP_LEGACY + FP_HDR_SIZE));
	if (gmem_read(t->proc->mm, area, gptr_at(fp), FP_LEGACY))
		return -EFAULT;
	n = image_size(t, fp, area, &features);
	if (n > FP_LEGACY &&
	    gmem_read(t->proc->mm, area + FP_LEGACY, gptr_at(fp + FP_LEGACY), n - FP_LEGACY))
		return -EFAULT;
	memset(area + FP_SW_OFFSET, 0, sizeof(struct frame_sw_bytes));
	if (size > FP_LEGACY) {
		memcpy(&bv, area + FP_XSTATE_BV, sizeof(bv));
		bv = n > FP_LEGACY ? bv & features : 3;
		memset(area + FP_XSTATE_BV, 0, FP_HDR_SIZE);
		memcpy(area + FP_XSTATE_BV, &bv, sizeof(bv));
	}
	return platform_ctx_fpu_load(t->ctx, area) ? -EFAULT : 0;
}

static void restore_regs(struct task *t, const struct frame_mcontext *m)
{
	struct platform_regs *r = t->regs;

	*r = (struct platform_regs){
	    .r8 = m->r8,
	    .r9 = m->r9,
	    .r10 = m->r10,
	    .r11 = m->r11,
	    .r12 = m->r12,
	    .r13 = m->r13,
	    .r14 = m->r14,
	    .r15 = m->r15,
	    .rdi = m->rdi,
	    .rsi = m->rsi,
	    .rbp = m->rbp,
	    .rbx = m->rbx,
	    .rdx = m->rdx,
	    .rax = m->rax,
	    .rcx = m->rcx,
	    .rsp = m->rsp,
	    .rip = m->rip,
	    .rflags = (m->eflags & RFLAGS_USER) | RFLAGS_KEEP,
	};
}

int sigframe_restore(struct task *t)
{
	struct frame_ucontext uc;
	uint64_t at = t->regs->rsp - 8 + offsetof(struct frame, uc);
	stack_t ss;

	if (gmem_read(t->proc->mm, &uc, gptr_at(at), sizeof(uc)))
		return -EFAULT;
	signal_set_mask(t, uc.sigmask);
	if (uc.mc.rip >= MM_ADDR_MAX)
		return -EFAULT;
	if (restore_fpu(t, uc.mc.fpstate))
		return -EFAULT;
	restore_regs(t, &uc.mc);
	memset(&ss, 0, sizeof(ss));
	ss.ss_sp = (void *)uc.stack.sp;
	ss.ss_size = uc.stack.size;
	ss.ss_flags = (int)(uc.stack.flags & ~(uint32_t)SS_ONSTACK);
	signal_altstack(t, &ss, NULL, uc.mc.rsp); /* what it refuses is left as it is */
	return 0;
}
