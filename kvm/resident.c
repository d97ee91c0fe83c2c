/* Residency: platform_run for a sentry that runs in guest ring 0. The code of the sentry is the same
 * in both modes and does not know in which it is; kvm_pill_switch goes to the app from either. */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/hot.h"
#include "base/log.h"
#include "base/overflow.h"
#include "kvm/kvm.h"
#include "ring0/ring0_syms.h"

#define RFLAGS_TF 0x100u
#define RFLAGS_RF 0x10000u
#define VECTOR_PF 14

_Static_assert(sizeof(struct ring_regs) == sizeof(struct platform_regs) &&
		       offsetof(struct ring_regs, r8) == offsetof(struct platform_regs, r8) &&
		       offsetof(struct ring_regs, rflags) == offsetof(struct platform_regs, rflags),
	       "the same registers");

bool platform_resident(const struct platform *p)
{
	return p->resident;
}

void kvm_host_mode(void)
{
	syscall(SYS_getppid); /* not one of the calls that are asked for by request */
}

/* The sentry's code uses the vector registers that this process found at its start; in ring 0 only
 * those that the guest was given work. */
static bool vectors_complete(const struct platform *p)
{
	const uint64_t optional = 3ull << 3 | 1ull << 9 | 3ull << 17; /* MPX, PKRU, AMX */
	uint32_t lo, hi;

	if (!p->facts.xsave)
		return true; /* without OSXSAVE the host has none either */
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return !(((uint64_t)hi << 32 | lo) & ~optional & ~p->facts.xcr0);
}

int kvm_resident_setup(struct platform *p, struct sbx_err **e)
{
	enum platform_residency wanted = p->opts.residency;
	bool able = p->facts.tier0 && !p->facts.shadow && vectors_complete(p);
	int r;

	if (wanted == PLATFORM_RESIDENCY_HOST)
		return 0;
	if (!able && wanted == PLATFORM_RESIDENCY_GUEST)
		return sbx_err_set(e, "residency=guest: this machine's KVM %s; use host or auto",
				   p->facts.shadow	   ? "shadows page tables"
				   : !p->facts.syscall_entry ? "does not enter ring 0 by SYSCALL"
				   : !p->facts.tier0	   ? "emulates ring 0"
							   : "does not give the guest all of the "
							     "vector registers");
	if (!able)
		return 0;
	r = kvm_sentry_init(p);
	if (r < 0 && wanted == PLATFORM_RESIDENCY_AUTO) {
		log_warn("the sentry stays in the host: its page table: %s", strerror(-r));
		kvm_sentry_fini(p);
		return 0;
	}
	if (r < 0)
		return sbx_err_errno(e, -r, "setting up the sentry's page table");
	p->resident = true;
	kvm_machine_resident_idt(p);
	return 0;
}

/* What ring 0 loads on its way to the app. */
hot_path int kvm_resident_load(struct platform_ctx *ctx)
{
	struct ring_resident *res = &ctx->cpu->res;
	struct platform_regs *r = &ctx->regs;
	bool sysret, flush;

	r->rflags = kvm_user_rflags(r->rflags);
	sysret = r->rcx == r->rip && r->r11 == r->rflags && !(r->rflags & (RFLAGS_TF | RFLAGS_RF));
	memcpy(&res->app, r, sizeof(*r));
	if (ctx->trace) {
		res->app.rflags |= RFLAGS_TF;
		res->app.r11 |= sysret ? RFLAGS_TF : 0;
	}
	res->app_cr3 = ctx->as->root;
	flush = atomic_exchange(&ctx->flush, 0) || ctx->vcpu_root != ctx->as->root;
	res->flags &= ~(uint64_t)(RES_F_SYSRET | RES_F_LIVE | RES_F_CR3);
	res->flags |= (sysret ? RES_F_SYSRET : 0) | (ctx->live ? RES_F_LIVE : 0) |
		      (ctx->live && !flush ? RES_F_CR3 : 0);
	ctx->stats.cr3_writes += !(res->flags & RES_F_CR3);
	ctx->vcpu_root = ctx->as->root;
	return 0;
}

static void take(struct platform_ctx *ctx)
{
	memcpy(&ctx->regs, &ctx->cpu->res.app, sizeof(ctx->regs));
	ctx->regs.rflags = kvm_user_rflags(ctx->regs.rflags);
	if (ctx->trace) { /* the trap flag is the tracer's */
		ctx->regs.rflags &= ~(uint64_t)RFLAGS_TF;
		if (ctx->cpu->res.event == RES_EV_SYSCALL)
			ctx->regs.r11 = ctx->regs.rflags;
	}
}

static enum exit_what fault(struct platform_ctx *ctx, struct platform_event *ev)
{
	const struct ring_resident *res = &ctx->cpu->res;

	if (res->vector == 2 || res->vector == 8 || res->vector == 18 || res->vector >= 32) {
		kvm_broken(ctx, ev, "exception %u in ring 3", (unsigned)res->vector);
		return EXIT_EVENT;
	}
	ev->kind = PLATFORM_FAULT;
	ev->vector = (uint32_t)res->vector;
	ev->error = (uint32_t)res->error;
	if (res->vector == VECTOR_PF) {
		ev->addr = res->cr2;
		if (kvm_page_fault(ctx, ev) == EXIT_AGAIN)
			return EXIT_AGAIN;
	}
	ctx->stats.faults++;
	return EXIT_EVENT;
}

static enum exit_what decode(struct platform_ctx *ctx, struct platform_event *ev)
{
	switch (ctx->cpu->res.event) {
	case RES_EV_SYSCALL:
		ev->kind = PLATFORM_SYSCALL;
		ctx->spurious = 0;
		ctx->stats.forwarded++;
		return EXIT_EVENT;
	case RES_EV_EXCEPTION:
		return fault(ctx, ev);
	case RES_EV_KICKED:
		return EXIT_INTERRUPTED;
	case RES_EV_HOST:
		ev->kind = PLATFORM_FAULT;
		ev->vector = VECTOR_PF;
		ev->error = 1 | 4; /* present, user */
		ev->host_fault = true;
		ev->addr = kvm_fault_address(ctx);
		ctx->stats.faults++;
		return EXIT_EVENT;
	default: /* RES_EV_BROKEN: reported when it happened */
		ev->kind = PLATFORM_BROKEN;
		ev->message = ctx->broken_msg;
		return EXIT_EVENT;
	}
}

/* One stay with the app. False when a kick came first. */
static bool enter(struct platform_ctx *ctx)
{
	bool go;

	ctx->cpu->kick = 0;
	atomic_fetch_add(&ctx->guest_seq, 1);
	go = !atomic_load(&ctx->kick);
	if (go) {
		kvm_resident_load(ctx);
		ctx->direct = false;
		kvm_pill_switch(&ctx->pill);
		ctx->live = ctx->direct;
		ctx->stats.cr3_writes += !ctx->live;
		take(ctx);
	}
	kvm_leave_guest(ctx);
	return go;
}

/* A call that needed the host the last times it was made is better off going there at once: that
 * saves two CR3 writes. Now and then it is made the other way again, to see if that is still so. */
#define SURE  2
#define RETRY 64

static void learn(struct platform_ctx *ctx)
{
	uint64_t nr = ctx->last_call, bit = 1ull << (nr % 64), *word;
	bool exited = ctx->stats.exits != ctx->exits_at_event;
	uint8_t *n;

	if (nr >= 512 || ctx->p->opts.residency == PLATFORM_RESIDENCY_GUEST)
		return;
	word = &ctx->cpu->res.direct[nr / 64];
	n = &ctx->needs_host[nr];
	if (!ctx->live && !exited)
		*n = 0;
	else if (++*n == SURE)
		*word |= bit;
	else if (*n == RETRY) {
		*n = SURE - 1;
		*word &= ~bit;
	}
}

hot_path void kvm_resident_run(struct platform_ctx *ctx, struct platform_event *ev)
{
	if (ctx->last_call && !ctx->live && ctx->stats.exits == ctx->exits_at_event)
		ctx->stats.tier1++;
	learn(ctx);
	for (;;) {
		enum exit_what w;

		ctx->outside = false;
		atomic_store(&ctx->poked, 0);
		if (!enter(ctx)) {
			kvm_interrupted_event(ctx, ev);
			break;
		}
		memset(ev, 0, sizeof(*ev));
		w = decode(ctx, ev);
		if (w == EXIT_EVENT)
			break;
		if (w == EXIT_INTERRUPTED &&
		    (ctx->outside || ctx->probing || atomic_load(&ctx->kick))) {
			kvm_interrupted_event(ctx, ev);
			break;
		}
	}
	ctx->exits_at_event = ctx->stats.exits;
	ctx->last_call = ev->kind == PLATFORM_SYSCALL ? ctx->regs.rax : UINT64_MAX;
}
