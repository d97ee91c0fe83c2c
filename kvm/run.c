/* The loop around KVM_RUN, kicks, and the wait that makes page-table changes complete.
 *
 * The kick signal is blocked in every thread that runs a vCPU and unblocked only inside KVM_RUN, by
 * the vCPU's own signal mask: it can interrupt nothing else. It stays pending when KVM_RUN returns
 * and is taken there. immediate_exit covers the time before the guest is entered. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/hot.h"
#include "kvm/kvm.h"
#include "ring0/ring0_syms.h"

static _Thread_local int32_t thread_id;

int platform_kick_signal(void)
{
	return SIGRTMAX - 2;
}

static void on_kick(int sig)
{
}

/* A kick can reach a thread that has just left KVM_RUN for good, so the signal must be harmless. */
int kvm_kick_setup(void)
{
	struct sigaction sa = {.sa_handler = on_kick, .sa_flags = SA_RESTART};

	sigemptyset(&sa.sa_mask);
	return sigaction(platform_kick_signal(), &sa, NULL) < 0 ? -errno : 0;
}

/* A KVM that runs ring 3 natively leaves DS and ES as the last app of this thread had them. */
static void clear_selectors(void)
{
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(0));
}

/* Gives the vCPU the signal mask of this thread, less the kick signal. */
hot_path static void adopt_thread(struct platform_ctx *ctx)
{
	struct { /* struct kvm_signal_mask with its set */
		uint32_t len;
		uint8_t set[8];
	} m = {.len = 8};
	sigset_t kick, old;

	if (!thread_id)
		thread_id = (int32_t)syscall(SYS_gettid);
	atomic_store(&ctx->tid, thread_id);
	if (ctx->mask_tid == thread_id)
		return;
	clear_selectors();
	sigemptyset(&kick);
	sigaddset(&kick, platform_kick_signal());
	pthread_sigmask(SIG_BLOCK, &kick, &old);
	sigdelset(&old, platform_kick_signal());
	memcpy(m.set, &old, 8);
	if (!ctx->has_mask || memcmp(ctx->mask, m.set, 8))
		ioctl(ctx->fd, KVM_SET_SIGNAL_MASK, &m);
	memcpy(ctx->mask, m.set, 8);
	ctx->has_mask = true;
	if (ctx->p->resident)
		kvm_monitor_adopt(ctx);
	ctx->mask_tid = thread_id;
}

/* Gets ctx out of KVM_RUN, if it is there. Async-signal-safe. */
static void poke(struct platform_ctx *ctx)
{
	__atomic_store_n(&ctx->run->immediate_exit, 1, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_seq_cst);
	if ((atomic_load(&ctx->guest_seq) & 1) && !atomic_exchange(&ctx->poked, 1))
		syscall(SYS_tgkill, getpid(), atomic_load(&ctx->tid), platform_kick_signal());
}

void platform_kick(struct platform_ctx *ctx)
{
	atomic_store(&ctx->kick, 1);
	poke(ctx);
}

/* Takes a pending kick signal. True when there was one. */
bool kvm_kick_take(struct platform_ctx *ctx)
{
	const struct timespec zero = {0};
	bool any = false;
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, platform_kick_signal());
	while (sigtimedwait(&s, NULL, &zero) > 0)
		any = true;
	atomic_store(&ctx->poked, 0);
	return any;
}

static void futex(_Atomic uint32_t *word, int op, uint32_t val)
{
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, val, NULL, NULL, 0);
}

/* Waits until every context of as that was inside the guest has left it once, and makes all of them
 * drop their stale translations before they run the app again. */
void kvm_as_quiesce(struct platform_as *as)
{
	struct platform_ctx *ctx;

	list_for_each (ctx, &as->ctxs, as_node) {
		atomic_store(&ctx->flush, 1);
		ctx->seen_seq = atomic_load(&ctx->guest_seq);
		if (ctx->seen_seq & 1)
			poke(ctx);
	}
	list_for_each (ctx, &as->ctxs, as_node) {
		if (!(ctx->seen_seq & 1))
			continue;
		atomic_fetch_add(&ctx->waiters, 1);
		while (atomic_load(&ctx->guest_seq) == ctx->seen_seq)
			futex(&ctx->guest_seq, FUTEX_WAIT, ctx->seen_seq);
		atomic_fetch_sub(&ctx->waiters, 1);
	}
}

hot_path void kvm_leave_guest(struct platform_ctx *ctx)
{
	atomic_fetch_add(&ctx->guest_seq, 1);
	if (atomic_load(&ctx->waiters))
		futex(&ctx->guest_seq, FUTEX_WAKE, INT32_MAX);
}

static void load_gprs(struct platform_ctx *ctx)
{
	struct kvm_regs *r = &ctx->run->s.regs.regs;
	const struct platform_regs *a = &ctx->regs;

	r->rax = a->rax;
	r->rbx = a->rbx;
	r->rcx = a->rcx;
	r->rdx = a->rdx;
	r->rsi = a->rsi;
	r->rdi = a->rdi;
	r->rbp = a->rbp;
	r->r8 = a->r8;
	r->r9 = a->r9;
	r->r10 = a->r10;
	r->r11 = a->r11;
	r->r12 = a->r12;
	r->r13 = a->r13;
	r->r14 = a->r14;
	r->r15 = a->r15;
	ctx->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | ctx->dirty_regs;
	ctx->dirty_regs = 0;
}

/* Prepares the vCPU to continue the app with ctx->regs. */
int kvm_load(struct platform_ctx *ctx)
{
	struct kvm_regs *r = &ctx->run->s.regs.regs;
	bool flush = atomic_exchange(&ctx->flush, 0) && !ctx->p->facts.shadow;
	struct ring_frame *f = kvm_frame(ctx);

	ctx->regs.rflags = kvm_user_rflags(ctx->regs.rflags);
	ctx->flushing = flush;
	if (flush && ctx->state == CTX_RING3) {
		int err = kvm_vcpu_kernel_mode(ctx);

		if (err < 0)
			return err;
	}
	if (ctx->fpu_initial) {
		int err = platform_ctx_fpu_load(ctx, NULL);

		if (err < 0)
			return err;
	}
	load_gprs(ctx);
	if (ctx->state == CTX_RING3) {
		r->rip = ctx->regs.rip;
		r->rsp = ctx->regs.rsp;
		r->rflags = ctx->regs.rflags;
		return 0;
	}
	f->rip = ctx->regs.rip;
	f->cs = RING_USER_CS;
	f->rflags = ctx->regs.rflags;
	f->rsp = ctx->regs.rsp;
	f->ss = RING_USER_SS;
	r->rip = flush ? RING0_RESUME_FLUSH_VA : RING0_RESUME_VA;
	if (flush && !ctx->touched) {
		r->rip = RING0_RESUME_FIRST_VA;
		ctx->touched = true;
	}
	r->rsp = ctx->cpu_va + RING_CPU_STACK - RING_FRAME_SIZE;
	r->rflags = 2;
	ctx->stats.cr3_writes += flush;
	return 0;
}

/* Hands the new tier-0 records over and empties the buffer. False when ring 0's end of it makes no
 * sense. */
static bool drain(struct platform_ctx *ctx)
{
	struct ring_cpu *cpu = ctx->cpu;
	uint64_t start = ctx->cpu_va + RING_CPU_RECORDS;
	uint64_t used = __atomic_load_n(&cpu->next, __ATOMIC_ACQUIRE) - start;
	uint64_t n = used / sizeof(struct ring_record), i;
	const struct platform_tier0_record *rec;

	if (used == 0)
		return true;
	if (n > RING_RECORDS || used % sizeof(struct ring_record))
		return false;
	rec = (const void *)((const uint8_t *)cpu + RING_CPU_RECORDS);
	for (i = 0; i < n; i++)
		ctx->recorded[rec[i].action % RING_ACTIONS]++;
	if (ctx->p->opts.tier0)
		ctx->p->opts.tier0(ctx->tag, rec, n);
	cpu->next = start;
	return true;
}

/* One stay in the guest. 0 or -errno of KVM_RUN; -ECANCELED when a kick came first. */
static int enter(struct platform_ctx *ctx, bool run_on)
{
	int r = 0;

	__atomic_store_n(&ctx->run->immediate_exit, 0, __ATOMIC_RELAXED);
	atomic_store(&ctx->poked, 0); /* a signal of the last stay may have gone elsewhere */
	atomic_fetch_add(&ctx->guest_seq, 1);
	if (run_on) {
		ctx->run->kvm_dirty_regs = 0;
	} else {
		ctx->cpu->kick = 0;
		if (atomic_load(&ctx->kick))
			r = -ECANCELED;
		else
			r = kvm_load(ctx);
	}
	if (r == 0) {
		r = ioctl(ctx->fd, KVM_RUN, 0) < 0 ? -errno : 0;
		ctx->stats.exits++;
	}
	kvm_leave_guest(ctx);
	return r;
}

void kvm_interrupted_event(struct platform_ctx *ctx, struct platform_event *ev)
{
	atomic_store(&ctx->kick, 0);
	memset(ev, 0, sizeof(*ev));
	ev->kind = PLATFORM_INTERRUPTED;
	ctx->stats.interrupts++;
}

static void run(struct platform_ctx *ctx, struct platform_event *ev)
{
	bool run_on = false, outside = false;

	for (;;) {
		bool poked;
		int r = enter(ctx, run_on);

		if (r == -ECANCELED) {
			kvm_interrupted_event(ctx, ev);
			return;
		}
		poked = __atomic_load_n(&ctx->run->immediate_exit, __ATOMIC_RELAXED);
		if (r == -EINTR) {
			poked |= kvm_kick_take(ctx);
			outside |= !poked || ctx->probing; /* another signal of this process */
		}
		memset(ev, 0, sizeof(*ev));
		switch (kvm_exit_decode(ctx, r, ev)) {
		case EXIT_EVENT:
			return;
		case EXIT_RUN_ON:
			run_on = true;
			break;
		case EXIT_AGAIN:
			run_on = false;
			break;
		case EXIT_INTERRUPTED:
			run_on = false;
			if (outside || atomic_load(&ctx->kick)) {
				kvm_interrupted_event(ctx, ev);
				return;
			}
			break;
		}
	}
}

hot_path void platform_run(struct platform_ctx *ctx, struct platform_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	if (ctx->broken) {
		ev->kind = PLATFORM_BROKEN;
		ev->message = ctx->broken_msg;
		return;
	}
	if (ctx->regs.rip >> 47) {
		/* IRETQ would fault in ring 0 */
		ev->kind = PLATFORM_FAULT;
		ev->vector = 13;
		ctx->stats.faults++;
		return;
	}
	adopt_thread(ctx);
	if (ctx->p->resident)
		kvm_resident_run(ctx, ev);
	else
		run(ctx, ev);
	if (!drain(ctx) && ev->kind != PLATFORM_BROKEN)
		kvm_broken(ctx, ev, "the tier-0 record ring is damaged");
}

void platform_ctx_stats(const struct platform_ctx *ctx, struct platform_stats *out)
{
	const uint64_t *a = ctx->cpu->answered, *r = ctx->recorded;

	*out = ctx->stats;
	out->tier0_const = a[1] + r[1];
	out->tier0_deny = a[2] + r[2];
	out->tier0_emulate = a[3] + r[3];
	out->tier0 = out->tier0_const + out->tier0_deny + out->tier0_emulate;
}
