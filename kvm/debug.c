/* Counting what ring 0 does for one system call, by single-stepping the vCPU: for `doctor --bench`
 * and tests. */
#include <errno.h>
#include <sys/ioctl.h>
#include "kvm/kvm.h"
#include "ring0/ring0_syms.h"

#define STEPS_MAX 100000u

static int arm(struct platform_ctx *ctx, bool on)
{
	struct kvm_guest_debug d = {
		.control = on ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0,
	};

	return ioctl(ctx->fd, KVM_SET_GUEST_DEBUG, &d) < 0 ? -errno : 0;
}

/* Steps from the app's registers to the end of its next system call. Returns 0 when that was
 * answered in ring 0, 1 when it halted for the host, -errno when it could not be followed. */
static int follow(struct platform_ctx *ctx, unsigned *count)
{
	const struct kvm_run *run = ctx->run;
	const struct kvm_regs *r = &ctx->run->s.regs.regs;
	bool entered = false;
	unsigned i;
	int err;

	*count = 0;
	for (i = 0; i < STEPS_MAX; i++) {
		err = arm(ctx, true);
		if (err == 0 && ioctl(ctx->fd, KVM_RUN, 0) < 0)
			err = -errno;
		if (err < 0 && err != -EINTR)
			return err;
		*count += entered; /* the instruction just done */
		if (run->exit_reason == KVM_EXIT_HLT)
			return entered ? 1 : -EIO;
		if (run->exit_reason != KVM_EXIT_DEBUG)
			return -EIO;
		if (r->rip == kvm_lstar(ctx->p))
			entered = true;
		if (entered && !(r->rip >> 47))
			return 0;
	}
	return -ETIMEDOUT;
}

/* The same where the sentry is in ring 0: the way there, which ends at a return address of ours, and
 * the way back from it to the app both count. */
static int follow_resident(struct platform_ctx *ctx, unsigned *count)
{
	uint64_t stack[2] = {1, 0};
	const struct kvm_run *run = ctx->run;
	struct kvm_regs *r = &ctx->run->s.regs.regs;
	unsigned i, back = 0, there = 0;
	enum { WAY_BACK, APP, WAY_THERE } at = WAY_BACK;
	int err;

	ctx->cpu->res.sentry_rsp = (uintptr_t)stack;
	r->rip = RING0_ENTER_VA;
	r->rflags = 2;
	if (ioctl(ctx->fd, KVM_SET_REGS, r) < 0)
		return -errno;
	for (i = 0; i < STEPS_MAX; i++) {
		err = arm(ctx, true);
		if (err == 0 && ioctl(ctx->fd, KVM_RUN, 0) < 0 && errno != EINTR)
			err = -errno;
		if (err < 0)
			return err;
		if (run->exit_reason != KVM_EXIT_DEBUG)
			return -EIO;
		back += at == WAY_BACK;
		there += at == WAY_THERE;
		if (at == WAY_BACK && !(r->rip >> 47))
			at = APP;
		else if (at == APP && r->rip == kvm_lstar(ctx->p))
			at = WAY_THERE;
		else if (at == WAY_THERE && r->rip == stack[0])
			return *count = there + back, 1;
		else if (at == WAY_THERE && !(r->rip >> 47))
			return *count = there, 0;
	}
	return -ETIMEDOUT;
}

int kvm_debug_count(struct platform_ctx *ctx, unsigned *count)
{
	int r, err;

	if (!ctx->p->facts.syscall_entry)
		return -ENOTSUP;
	ctx->cpu->kick = 0;
	r = ctx->p->resident ? kvm_resident_load(ctx) : kvm_load(ctx);
	if (r == 0)
		r = kvm_vcpu_trap_entry(ctx, true);
	/* the registers must be in place before stepping is armed */
	ctx->run->kvm_dirty_regs = 0;
	if (r == 0 && ioctl(ctx->fd, KVM_SET_REGS, &ctx->run->s.regs.regs) < 0)
		r = -errno;
	if (r < 0)
		return r;
	r = ctx->p->resident ? follow_resident(ctx, count) : follow(ctx, count);
	err = arm(ctx, false);
	kvm_vcpu_trap_entry(ctx, false);
	ctx->broken = true; /* its flags are the debugger's now: not for another owner */
	return r < 0 ? r : err < 0 ? err : r;
}

int kvm_trace_start(struct platform_ctx *ctx, void (*step)(void *arg, const struct kvm_step *),
		    void *arg)
{
	int r;

	if (!ctx->p->resident)
		return -ENOTSUP;
	r = kvm_vcpu_trap_entry(ctx, true);
	if (r < 0)
		return r;
	ctx->run->kvm_valid_regs |= KVM_SYNC_X86_SREGS;
	ctx->trace_arg = arg;
	ctx->trace = step;
	kvm_host_mode(); /* the next entry is armed */
	return 0;
}

void kvm_trace_stop(struct platform_ctx *ctx)
{
	kvm_host_mode();
	ctx->trace = NULL;
	ctx->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	arm(ctx, false);
	kvm_vcpu_trap_entry(ctx, false);
}

/* Registers set from here would lose the trap flag that arming sets, so they go first. */
void kvm_trace_arm(struct platform_ctx *ctx)
{
	if (ctx->run->kvm_dirty_regs) {
		ctx->run->kvm_dirty_regs = 0;
		ioctl(ctx->fd, KVM_SET_REGS, &ctx->run->s.regs.regs);
	}
	arm(ctx, true);
}

bool kvm_trace_step(struct platform_ctx *ctx)
{
	const struct kvm_run *run = ctx->run;
	struct kvm_step s = {
		.rip = run->s.regs.regs.rip,
		.sentry_table = run->s.regs.sregs.cr3 == ctx->p->sentry_root,
		.exit = run->exit_reason != KVM_EXIT_DEBUG,
	};

	ctx->trace(ctx->trace_arg, &s);
	return !s.exit;
}
