/* vCPUs: creation, the state a context starts with, and access to what is not in platform_regs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/overflow.h"
#include "kvm/kvm.h"
#include "ring0/ring0_syms.h"

#define SAME(f) (offsetof(struct ring_record, f) == offsetof(struct platform_tier0_record, f))
_Static_assert(sizeof(struct ring_record) == sizeof(struct platform_tier0_record) && SAME(rip) &&
		       SAME(result) && SAME(action) && SAME(rule) && SAME(nr),
	       "records");
_Static_assert(RING_CONSTS == PLATFORM_CONST_MAX, "constants");

#define MSR_TSC		 0x00000010
#define MSR_SYSENTER_CS	 0x00000174
#define MSR_SYSENTER_ESP 0x00000175
#define MSR_SYSENTER_EIP 0x00000176
#define MSR_STAR	 0xc0000081
#define MSR_LSTAR	 0xc0000082
#define MSR_CSTAR	 0xc0000083
#define MSR_FMASK	 0xc0000084
#define MSR_FS_BASE	 0xc0000100
#define MSR_GS_BASE	 0xc0000101
#define MSR_KERNEL_GS	 0xc0000102
#define MSR_TSC_AUX	 0xc0000103

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_PG (1u << 31)

#define CR4_PAE	       (1u << 5)
#define CR4_PGE	       (1u << 7)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NX	 (1u << 11)

/* Cleared by SYSCALL: everything but the bit that is always set. */
#define FMASK	  0x257fd5u
#define RFLAGS_TF 0x100u

/* struct kvm_msrs with its entries */
struct msrs {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry e[12];
};

_Static_assert(offsetof(struct msrs, e) == sizeof(struct kvm_msrs), "kvm_msrs");

static int msr_set(struct platform_ctx *ctx, unsigned n, const struct kvm_msr_entry *e)
{
	struct msrs m = {.nmsrs = n};
	int r;

	memcpy(m.e, e, n * sizeof(*e));
	r = ioctl(ctx->fd, KVM_SET_MSRS, &m);
	return r == (int)n ? 0 : r < 0 ? -errno : -EINVAL;
}

static uint64_t msr_get(struct platform_ctx *ctx, uint32_t index)
{
	struct msrs m = {.nmsrs = 1, .e[0].index = index};

	return ioctl(ctx->fd, KVM_GET_MSRS, &m) == 1 ? m.e[0].data : 0;
}

static uint64_t descriptor(unsigned type, unsigned dpl, bool code)
{
	/* flat, present, accessed; long mode for code */
	return 0x000f00000000ffffull | (uint64_t)type << 40 | 1ull << 44 | (uint64_t)dpl << 45 |
	       1ull << 47 | (code ? 1ull << 53 : 1ull << 54) | 1ull << 55;
}

/* Fills the GDT and TSS page. Entry 4, where SYSCALL's 32-bit user code segment would be, stays
 * empty: an app cannot enter compatibility mode. */
static void fill_gdt(struct platform_ctx *ctx)
{
	uint8_t *page = (uint8_t *)ctx->cpu + RING_CPU_GDT;
	uint64_t *gdt = (uint64_t *)page, tss = ctx->cpu_va + RING_CPU_GDT + RING_TSS_OFF;
	uint8_t *t = page + RING_TSS_OFF;
	uint64_t v;

	gdt[RING_KERNEL_CS / 8] = descriptor(0xb, 0, true);
	gdt[RING_KERNEL_SS / 8] = descriptor(0x3, 0, false);
	gdt[RING_USER_SS / 8] = descriptor(0x3, 3, false);
	gdt[RING_USER_CS / 8] = descriptor(0xb, 3, true);
	gdt[RING_TSS_SEL / 8] =
		103 | (tss & 0xffffff) << 16 | 0xbull << 40 | 1ull << 47 | (tss >> 24 & 0xff) << 56;
	gdt[RING_TSS_SEL / 8 + 1] = tss >> 32;
#define TSS_SET(offset, value) (v = (value), memcpy(t + (offset), &v, 8))
	TSS_SET(4, ctx->cpu_va + RING_CPU_STACK);
	TSS_SET(36, ctx->cpu_va + RING_CPU_IST1);
	TSS_SET(44, ctx->cpu_va + RING_CPU_IST2);
	TSS_SET(52, ctx->cpu_va + RING_CPU_IST3);
	TSS_SET(60, ctx->cpu_va + RING_CPU_IST4);
	TSS_SET(68, ctx->cpu_va + RING_CPU_IST5);
	TSS_SET(76, ctx->cpu_va + RING_CPU_IST6);
#undef TSS_SET
	t[102] = 104; /* no I/O bitmap inside the limit */
}

static int map_block(struct platform_ctx *ctx)
{
	struct platform *p = ctx->p;
	uint64_t va = ctx->cpu_va, gpa = CPU_GPA + (uint64_t)ctx->index * RING_CPU_SIZE;
	uint64_t rw = PTE_W | PTE_NX | PTE_G;
	int r;

	r = kvm_upper_map(p, va, gpa, PAGE, rw);
	if (r == 0)
		r = kvm_upper_map(p, va + RING_CPU_GDT, gpa + RING_CPU_GDT, PAGE, PTE_NX | PTE_G);
	if (r == 0)
		r = kvm_upper_map(p, va + RING_CPU_GUARD + PAGE, gpa + RING_CPU_GUARD + PAGE,
				  RING_CPU_SIZE - RING_CPU_GUARD - PAGE, rw);
	return r;
}

static void segment(struct kvm_segment *s, unsigned sel, unsigned type, unsigned dpl, bool code)
{
	memset(s, 0, sizeof(*s));
	s->limit = 0xffffffff;
	s->selector = sel;
	s->type = type;
	s->present = 1;
	s->dpl = dpl;
	s->s = 1;
	s->l = code;
	s->db = !code;
	s->g = 1;
}

/* The special registers: as the last KVM_RUN left them in the shared page, where those travel with
 * each run; else by a call, which costs a third of an exit and more. */
static int sregs_get(struct platform_ctx *ctx, struct kvm_sregs *s)
{
	if (ctx->shares_sregs) {
		*s = ctx->run->s.regs.sregs;
		return 0;
	}
	return ioctl(ctx->fd, KVM_GET_SREGS, s) < 0 ? -errno : 0;
}

static int sregs_set(struct platform_ctx *ctx, const struct kvm_sregs *s)
{
	if (ctx->shares_sregs) {
		ctx->run->s.regs.sregs = *s;
		ctx->dirty_regs |= KVM_SYNC_X86_SREGS; /* taken in by the next KVM_RUN */
		return 0;
	}
	return ioctl(ctx->fd, KVM_SET_SREGS, s) < 0 ? -errno : 0;
}

/* Everything in kvm_sregs: ring 0, so that the first entry goes through the resume stub. */
int kvm_vcpu_sregs(struct platform_ctx *ctx, uint64_t cr4, uint64_t root)
{
	struct kvm_sregs s;
	int r = sregs_get(ctx, &s);

	if (r < 0)
		return r;
	segment(&s.cs, RING_KERNEL_CS, 0xb, 0, true);
	segment(&s.ss, RING_KERNEL_SS, 0x3, 0, false);
	segment(&s.ds, 0, 0, 0, false);
	s.ds.present = 0;
	s.ds.unusable = 1;
	s.es = s.fs = s.gs = s.ds;
	s.ldt = s.ds;
	s.ldt.s = 0;
	s.ldt.type = 2;
	memset(&s.tr, 0, sizeof(s.tr));
	s.tr.base = ctx->cpu_va + RING_CPU_GDT + RING_TSS_OFF;
	s.tr.limit = 103;
	s.tr.selector = RING_TSS_SEL;
	s.tr.type = 0xb;
	s.tr.present = 1;
	s.gdt.base = ctx->cpu_va + RING_CPU_GDT;
	s.gdt.limit = RING_TSS_SEL + 15;
	s.idt.base = RING_IDT_VA;
	s.idt.limit = PAGE - 1;
	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s.cr2 = 0;
	s.cr3 = root;
	s.cr4 = cr4;
	s.cr8 = 0;
	s.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
	memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
	ctx->state = CTX_RING0;
	return sregs_set(ctx, &s);
}

static uint64_t cr4_wanted(const struct platform *p)
{
	const struct kvm_facts *f = &p->facts;

	return CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (f->pge ? CR4_PGE : 0) |
	       (f->umip ? CR4_UMIP : 0) | (f->fsgsbase ? CR4_FSGSBASE : 0) |
	       (f->xsave ? CR4_OSXSAVE : 0) | (f->smep ? CR4_SMEP : 0) | (f->smap ? CR4_SMAP : 0);
}

uint64_t kvm_lstar(const struct platform *p)
{
	bool tier0 = p->image_len && p->facts.tier0;

	if (p->resident)
		return tier0 ? RING0_LSTAR_APP_FULL_VA : RING0_LSTAR_APP_VA;
	return tier0 ? RING0_ENTRY_VA : RING0_ENTRY_PLAIN_VA;
}

static int set_msrs(struct platform_ctx *ctx)
{
	struct kvm_msr_entry e[] = {
		{.index = MSR_STAR,
		 .data = (uint64_t)(RING_USER_CS - 16) << 48 | (uint64_t)RING_KERNEL_CS << 32},
		{.index = MSR_LSTAR, .data = kvm_lstar(ctx->p)},
		{.index = MSR_CSTAR, .data = RING0_COMPAT_VA},
		{.index = MSR_FMASK, .data = FMASK},
		{.index = MSR_FS_BASE},
		{.index = MSR_GS_BASE, .data = ctx->p->resident ? ctx->cpu_va : 0},
		{.index = MSR_KERNEL_GS, .data = ctx->p->resident ? 0 : ctx->cpu_va},
		{.index = MSR_SYSENTER_CS},
		{.index = MSR_SYSENTER_ESP},
		{.index = MSR_SYSENTER_EIP},
	};

	return msr_set(ctx, ARRAY_SIZE(e), e);
}

static int set_xcr0(struct platform_ctx *ctx)
{
	struct kvm_xcrs x = {.nr_xcrs = 1, .xcrs[0].value = ctx->p->facts.xcr0};

	if (!ctx->p->facts.xsave)
		return 0;
	return ioctl(ctx->fd, KVM_SET_XCRS, &x) < 0 ? -errno : 0;
}

/* Guest TSC = host TSC. Older KVMs lack the attribute; then the probe finds that the two differ. */
static void set_tsc(struct platform_ctx *ctx)
{
#ifdef KVM_VCPU_TSC_CTRL
	uint64_t offset = 0;
	struct kvm_device_attr a = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	ioctl(ctx->fd, KVM_SET_DEVICE_ATTR, &a);
#endif
}

/* All state that only ring 0, or KVM, can change. */
static int reset_machine(struct platform_ctx *ctx)
{
	struct kvm_vcpu_events ev = {0};
	struct kvm_debugregs dr = {.dr6 = 0xffff0ff0, .dr7 = 0x400};
	int r;

	ioctl(ctx->fd, KVM_SET_VCPU_EVENTS, &ev);
	ioctl(ctx->fd, KVM_SET_DEBUGREGS, &dr);
	r = set_xcr0(ctx);
	if (r == 0)
		r = set_msrs(ctx);
	return r ? r : platform_ctx_fpu_load(ctx, NULL);
}

/* Where ring 0 executes nothing but HLT and IRETQ, a used vCPU is as it was but for the registers that
 * travel with KVM_RUN and the vector state. From the first reset on, they do. */
static int share_sregs(struct platform_ctx *ctx)
{
	if (!ctx->p->lean)
		return 0;
	if (ioctl(ctx->fd, KVM_GET_SREGS, &ctx->run->s.regs.sregs) < 0)
		return -errno;
	ctx->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	ctx->shares_sregs = true;
	return 0;
}

/* Brings a vCPU, new or used, to the state every context starts with. */
int kvm_vcpu_reset(struct platform_ctx *ctx, struct platform_as *as)
{
	struct kvm_vcpu_events ev = {0};
	struct ring_cpu *cpu = ctx->cpu;
	uint64_t cr4 = cr4_wanted(ctx->p);
	int r;

	memset(cpu, 0, sizeof(*cpu));
	cpu->stack_top = ctx->cpu_va + RING_CPU_STACK;
	cpu->image = ctx->p->image_len ? RING_IMAGE_VA : 0;
	cpu->next = ctx->cpu_va + RING_CPU_RECORDS;
	cpu->limit = cpu->next + RING_RECORDS * sizeof(struct ring_record);
	platform_ctx_set_view(ctx, 0);
	memset(&ctx->regs, 0, sizeof(ctx->regs));
	ctx->regs.rflags = 0x202;
	memset(&ctx->stats, 0, sizeof(ctx->stats));
	memset(ctx->recorded, 0, sizeof(ctx->recorded));
	ctx->kick = ctx->flush = 0;
	ctx->poked = 0; /* a signal to the last owner may have come too late to be taken */
	ctx->spurious = 0;
	ctx->mask_tid = 0;
	ctx->live = false;
	ctx->vcpu_root = 0;
	ctx->last_call = 0;
	memset(ctx->needs_host, 0, sizeof(ctx->needs_host));
	ctx->flush = 1; /* a used vCPU may remember translations */
	if (ctx->shares_sregs) {
		if (ctx->stopped_oddly)
			ioctl(ctx->fd, KVM_SET_VCPU_EVENTS, &ev);
		ctx->stopped_oddly = false;
		ctx->fpu_initial = true; /* made so by the next run, unless another comes first */
		return kvm_vcpu_sregs(ctx, cr4, as->root);
	}
	r = kvm_vcpu_sregs(ctx, cr4, ctx->p->resident ? ctx->p->sentry_root : as->root);
	if (r == 0 && ctx->p->resident)
		r = kvm_monitor_prepare(ctx);
	if (r == 0)
		r = reset_machine(ctx);
	return r ? r : share_sregs(ctx);
}

int kvm_vcpu_create(struct platform *p, struct platform_ctx **out)
{
	struct platform_ctx *ctx = calloc(1, sizeof(*ctx));
	int r = -ENOMEM;

	if (!ctx)
		return -ENOMEM;
	ctx->p = p;
	ctx->index = p->nr_ctx;
	ctx->cpu = (struct ring_cpu *)(p->cpus + (size_t)ctx->index * RING_CPU_SIZE);
	ctx->cpu_va = RING_CPU_VA + (uint64_t)ctx->index * RING_CPU_SIZE;
	list_init(&ctx->as_node);
	ctx->run = MAP_FAILED;
	ctx->fd = ioctl(p->vm_fd, KVM_CREATE_VCPU, ctx->index);
	if (ctx->fd < 0) {
		r = -errno;
		goto fail;
	}
	fcntl(ctx->fd, F_SETFD, FD_CLOEXEC);
	ctx->run = mmap(NULL, p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, ctx->fd, 0);
	if (ctx->run == MAP_FAILED)
		goto fail;
	if (ioctl(ctx->fd, KVM_SET_CPUID2, p->cpuid) < 0) {
		r = -errno;
		goto fail;
	}
	set_tsc(ctx);
	r = map_block(ctx);
	if (r < 0)
		goto fail;
	fill_gdt(ctx);
	ctx->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	p->nr_ctx++;
	ctx->next_all = p->all;
	p->all = ctx;
	*out = ctx;
	return 0;
fail:
	kvm_vcpu_free(ctx);
	return r;
}

void kvm_vcpu_free(struct platform_ctx *ctx)
{
	kvm_monitor_fini(ctx);
	if (ctx->run != MAP_FAILED)
		munmap(ctx->run, ctx->p->run_size);
	if (ctx->fd >= 0)
		close(ctx->fd);
	free(ctx);
}

/* Puts a vCPU that was stopped in ring 3 where a halted one is: app registers in ctx->regs, ring 0.
 */
int kvm_vcpu_kernel_mode(struct platform_ctx *ctx)
{
	struct kvm_sregs s;
	int r = sregs_get(ctx, &s);

	if (r < 0)
		return r;
	segment(&s.cs, RING_KERNEL_CS, 0xb, 0, true);
	segment(&s.ss, RING_KERNEL_SS, 0x3, 0, false);
	r = sregs_set(ctx, &s);
	if (r == 0)
		ctx->state = CTX_RING0;
	return r;
}

int kvm_vcpu_set_root(struct platform_ctx *ctx, uint64_t root)
{
	struct kvm_sregs s;
	int r = sregs_get(ctx, &s);

	s.cr3 = root;
	return r ? r : sregs_set(ctx, &s);
}

int kvm_vcpu_trap_entry(struct platform_ctx *ctx, bool on)
{
	struct kvm_msr_entry e = {.index = MSR_FMASK, .data = on ? FMASK & ~RFLAGS_TF : FMASK};

	return msr_set(ctx, 1, &e);
}

/* SWAPGS on behalf of an entry that was stopped before it did so itself. */
void kvm_vcpu_swap_gs(struct platform_ctx *ctx)
{
	struct kvm_msr_entry e[] = {
		{.index = MSR_GS_BASE, .data = msr_get(ctx, MSR_KERNEL_GS)},
		{.index = MSR_KERNEL_GS, .data = msr_get(ctx, MSR_GS_BASE)},
	};

	msr_set(ctx, ARRAY_SIZE(e), e);
}

uint64_t kvm_vcpu_cr2(struct platform_ctx *ctx)
{
	struct kvm_sregs s;

	if (ctx->run->kvm_valid_regs & KVM_SYNC_X86_SREGS)
		return ctx->run->s.regs.sregs.cr2;
	return ioctl(ctx->fd, KVM_GET_SREGS, &s) < 0 ? 0 : s.cr2;
}

bool kvm_vcpu_event_queued(struct platform_ctx *ctx)
{
	struct kvm_vcpu_events ev;

	if (ioctl(ctx->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
		return false;
	return ev.exception.injected || ev.exception.pending || ev.interrupt.injected;
}

bool kvm_vcpu_in_user(struct platform_ctx *ctx)
{
	struct kvm_sregs s;

	return sregs_get(ctx, &s) == 0 && (s.cs.selector & 3) == 3;
}

/* The app's bases: in the block, or in KERNEL_GS_BASE, while the sentry is in ring 0. */
uint64_t platform_ctx_fsbase(struct platform_ctx *ctx)
{
	if (ctx->p->resident && !ctx->live)
		return ctx->cpu->res.app_fs;
	if (ctx->shares_sregs)
		return ctx->run->s.regs.sregs.fs.base;
	return msr_get(ctx, MSR_FS_BASE);
}

uint64_t platform_ctx_gsbase(struct platform_ctx *ctx)
{
	if (ctx->shares_sregs)
		return ctx->run->s.regs.sregs.gs.base;
	return msr_get(ctx, ctx->p->resident ? MSR_KERNEL_GS : MSR_GS_BASE);
}

static int base_set(struct platform_ctx *ctx, uint32_t msr, uint64_t v)
{
	struct kvm_msr_entry e = {.index = msr, .data = v};
	struct kvm_sregs *s = &ctx->run->s.regs.sregs;

	if (v >= USER_END)
		return -EPERM;
	if (!ctx->shares_sregs)
		return msr_set(ctx, 1, &e);
	*(msr == MSR_FS_BASE ? &s->fs.base : &s->gs.base) = v;
	ctx->dirty_regs |= KVM_SYNC_X86_SREGS;
	return 0;
}

int platform_ctx_set_fsbase(struct platform_ctx *ctx, uint64_t v)
{
	if (ctx->p->resident && !ctx->live) {
		if (v >= USER_END)
			return -EPERM;
		ctx->cpu->res.app_fs = v;
		return 0;
	}
	return base_set(ctx, MSR_FS_BASE, v);
}

int platform_ctx_set_gsbase(struct platform_ctx *ctx, uint64_t v)
{
	return base_set(ctx, ctx->p->resident ? MSR_KERNEL_GS : MSR_GS_BASE, v);
}
