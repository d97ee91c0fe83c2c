/* The machine: opening KVM, the VM and its fixed regions, and the contexts. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/hot.h"
#include "base/overflow.h"
#include "kvm/kvm.h"
#include "policy/eval.h"
#include "ring0/ring0_syms.h"

extern const uint8_t kvm_ring0_blob[], kvm_ring0_blob_end[];

const struct kvm_facts *kvm_facts_get(const struct platform *p)
{
	return &p->facts;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

static int open_error(struct sbx_err **e)
{
	int err = errno;

	switch (err) {
	case ENOENT:
		return sbx_err_set(
			e, "/dev/kvm does not exist: enable virtualization in the firmware "
			   "(or nested virtualization in the hypervisor) and load kvm_intel "
			   "or kvm_amd");
	case EACCES:
	case EPERM:
		return sbx_err_set(e,
				   "/dev/kvm: permission denied: add this user to the group that "
				   "owns it (usually: usermod -aG kvm USER) and log in again");
	case ENODEV:
	case ENXIO:
		return sbx_err_set(e,
				   "/dev/kvm has no driver behind it: load kvm_intel or kvm_amd");
	default:
		return sbx_err_errno(e, err, "/dev/kvm");
	}
}

static int extension(int fd, int cap)
{
	int r = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return r < 0 ? 0 : r;
}

int kvm_open(struct kvm_facts *f, int *out, struct sbx_err **e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), sync;

	if (fd < 0)
		return open_error(e);
	f->api_version = ioctl(fd, KVM_GET_API_VERSION, 0);
	sync = extension(fd, KVM_CAP_SYNC_REGS);
	f->has_sync_regs = (sync & KVM_SYNC_X86_REGS) && (sync & KVM_SYNC_X86_SREGS);
	f->has_immediate_exit = extension(fd, KVM_CAP_IMMEDIATE_EXIT) > 0;
	f->max_vcpus = (unsigned)MAX(extension(fd, KVM_CAP_MAX_VCPUS), 1);
	f->max_slots = (unsigned)extension(fd, KVM_CAP_NR_MEMSLOTS);
	if (f->api_version != KVM_API_VERSION)
		sbx_err_set(e, "/dev/kvm: API version %d, not %d", f->api_version, KVM_API_VERSION);
	else if (!f->has_sync_regs || !f->has_immediate_exit || f->max_slots < 64)
		sbx_err_set(
			e,
			"/dev/kvm: this kernel's KVM is too old (no %s); 5.10 or newer is needed",
			!f->has_sync_regs	 ? "KVM_CAP_SYNC_REGS"
			: !f->has_immediate_exit ? "KVM_CAP_IMMEDIATE_EXIT"
						 : "memory slots");
	else {
		*out = fd;
		return 0;
	}
	close(fd);
	return -1;
}

static unsigned ist_of(unsigned vector)
{
	switch (vector) {
	case 1:
		return 5;
	case 2:
		return 3;
	case 8:
		return 2;
	case 14:
		return 6;
	case 18:
		return 4;
	default:
		return 1;
	}
}

static void fill_idt(struct platform *p, uint64_t stubs, uint64_t pf_stub)
{
	uint64_t *idt = (uint64_t *)(p->sys + (RING0_END_VA - RING_TEXT_VA));
	unsigned v;

	for (v = 0; v < 256; v++) {
		uint64_t a = v == 14 && pf_stub ? pf_stub : stubs + v * RING_STUB_SIZE;
		unsigned ist = ist_of(v);
		unsigned dpl = v == 3 || v == 4 ? 3 : 0;

		idt[2 * v] = (a & 0xffff) | (uint64_t)RING_KERNEL_CS << 16 | (uint64_t)ist << 32 |
			     0xeull << 40 | (uint64_t)dpl << 45 | 1ull << 47 |
			     (a >> 16 & 0xffff) << 48;
		idt[2 * v + 1] = a >> 32;
	}
}

void kvm_machine_fast_pf(struct platform *p)
{
	fill_idt(p, RING0_STUBS_VA, RING0_STUB_PF_FAST_VA);
}

void kvm_machine_resident_idt(struct platform *p)
{
	fill_idt(p, RING0_RESIDENT_STUBS_VA, 0);
}

/* The regions whose place is fixed, and the upper half that shows them to the guest. */
static int map_fixed(struct platform *p)
{
	uint64_t text = RING0_RODATA_VA - RING_TEXT_VA, blob = RING0_END_VA - RING_TEXT_VA;
	uint64_t image = ALIGN_UP(p->opts.image_len, PAGE),
		 cpus = (uint64_t)p->max_ctx * RING_CPU_SIZE;
	int r;

	p->image_len = p->opts.image ? p->opts.image_len : 0;
	p->sys_len = blob + PAGE + (p->image_len ? image : 0);
	p->sys = kvm_reserve(p->sys_len, PROT_READ | PROT_WRITE);
	p->cpus = kvm_reserve(cpus, PROT_READ | PROT_WRITE);
	p->dummy = kvm_reserve(PAGE, PROT_READ | PROT_WRITE);
	if (!p->sys || !p->cpus || !p->dummy)
		return -ENOMEM;
	madvise(p->cpus, cpus, MADV_NOHUGEPAGE);
	memcpy(p->sys, kvm_ring0_blob, (size_t)(kvm_ring0_blob_end - kvm_ring0_blob));
	fill_idt(p, RING0_STUBS_VA, 0);
	if (p->image_len)
		memcpy(p->sys + blob + PAGE, p->opts.image, p->image_len);
	r = kvm_slot_add(p, SYS_GPA, p->sys_len, p->sys, NULL);
	r = r ? r : kvm_slot_add(p, CPU_GPA, cpus, p->cpus, NULL);
	r = r ? r : kvm_slot_add(p, DUMMY_GPA, PAGE, p->dummy, &p->dummy_slot);
	/* LSTAR's page is not the same in all tables, so it cannot be global */
	r = r ? r : kvm_upper_map(p, RING_TEXT_VA, SYS_GPA, PAGE, 0);
	r = r ? r : kvm_upper_map(p, RING_TEXT_VA + PAGE, SYS_GPA + PAGE, text - PAGE, PTE_G);
	if (!r && blob > text)
		r = kvm_upper_map(p, RING_TEXT_VA + text, SYS_GPA + text, blob - text,
				  PTE_G | PTE_NX);
	r = r ? r : kvm_upper_map(p, RING_IDT_VA, SYS_GPA + blob, PAGE, PTE_G | PTE_NX);
	if (!r && p->image_len)
		r = kvm_upper_map(p, RING_IMAGE_VA, SYS_GPA + blob + PAGE, image, PTE_G | PTE_NX);
	return r;
}

static int reserve_window(struct platform *p, size_t max)
{
	uint64_t phys = 1ull << MIN(p->facts.phys_bits, 52u);
	uint64_t size = WINDOW_LIMIT, slots = p->nr_slots - 40;

	if (phys < 2 * WINDOW_GPA)
		return -ENOTSUP;
	/* an eighth of the space is for the sentry's own memory */
	size = MIN(size, phys - phys / 8 - WINDOW_GPA);
	p->window_slot = slots >= 2 * (WINDOW_LIMIT / WINDOW_SLOT) ? WINDOW_SLOT : WINDOW_SLOT_BIG;
	size = MIN(size, slots * p->window_slot);
	if (max)
		size = MIN(size, ALIGN_UP(max, WINDOW_ALIGN));
	for (; size >= (64u << 20); size /= 2) {
		p->window_map_len = ALIGN_DOWN(size, WINDOW_ALIGN) + WINDOW_ALIGN;
		p->window_map = kvm_reserve(p->window_map_len, PROT_NONE);
		if (p->window_map)
			break;
	}
	if (!p->window_map)
		return -ENOMEM;
	p->window = (uint8_t *)ALIGN_UP((uintptr_t)p->window_map, WINDOW_ALIGN);
	p->window_size = p->facts.window_size = ALIGN_DOWN(size, WINDOW_ALIGN);
	p->window_kind = kvm_reserve(p->window_size / PAGE, PROT_READ | PROT_WRITE);
	return p->window_kind ? 0 : -ENOMEM;
}

/* KVM would replace an app's VMCALL by VMMCALL, or the reverse, in the app's memory; where that is
 * not writable the app would see a page fault. Asked not to, it gives the fault that the CPU gives. */
static void leave_hypercalls(struct platform *p)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_DISABLE_QUIRKS2,
				     .args = {KVM_X86_QUIRK_FIX_HYPERCALL_INSN}};

	if (extension(p->kvm_fd, KVM_CAP_DISABLE_QUIRKS2) & KVM_X86_QUIRK_FIX_HYPERCALL_INSN)
		ioctl(p->vm_fd, KVM_ENABLE_CAP, &cap);
}

static int create_vm(struct platform *p, struct sbx_err **e)
{
	do {
		p->vm_fd = ioctl(p->kvm_fd, KVM_CREATE_VM, 0);
	} while (p->vm_fd < 0 && errno == EINTR);
	if (p->vm_fd < 0)
		return sbx_err_errno(e, errno, "/dev/kvm: creating a virtual machine");
	fcntl(p->vm_fd, F_SETFD, FD_CLOEXEC);
	leave_hypercalls(p);
	p->run_size = (size_t)ioctl(p->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	return 0;
}

int platform_create(const struct platform_opts *opts, struct platform **out, struct sbx_err **e)
{
	struct platform *p = calloc(1, sizeof(*p));
	uint64_t start = now_us();
	int r;

	if (!p)
		return sbx_err_errno(e, ENOMEM, "virtual machine");
	p->kvm_fd = p->vm_fd = -1;
	p->pid = getpid();
	p->opts = *opts;
	pthread_mutex_init(&p->slot_lock, NULL);
	pthread_mutex_init(&p->ctx_lock, NULL);
	if (kvm_open(&p->facts, &p->kvm_fd, e) < 0 || kvm_cpuid_load(p, e) < 0 ||
	    create_vm(p, e) < 0)
		goto fail;
	p->nr_slots = p->facts.max_slots;
	p->max_ctx = MIN(p->facts.max_vcpus, CPUS_MAX);
	r = kvm_kick_setup();
	r = r ? r : kvm_tables_init(p);
	r = r ? r : map_fixed(p);
	r = r ? r : reserve_window(p, opts->window_max);
	if (r) {
		sbx_err_errno(e, -r, "setting up the virtual machine's memory");
		goto fail;
	}
	if (kvm_probe(p, e) < 0 || kvm_resident_setup(p, e) < 0)
		goto fail;
	p->facts.probe_us = (unsigned)(now_us() - start);
	*out = p;
	return 0;
fail:
	platform_destroy(&p);
	return -1;
}

static void unmap(void *a, size_t len)
{
	if (a)
		munmap(a, len);
}

void platform_destroy(struct platform **pp)
{
	struct platform *p = *pp;
	struct platform_ctx *c, *next;

	if (!p)
		return;
	*pp = NULL;
	for (c = p->all; c; c = next) {
		next = c->next_all;
		kvm_vcpu_free(c);
	}
	if (p->vm_fd >= 0)
		close(p->vm_fd);
	if (p->kvm_fd >= 0)
		close(p->kvm_fd);
	unmap(p->sys, p->sys_len);
	unmap(p->cpus, (size_t)p->max_ctx * RING_CPU_SIZE);
	unmap(p->dummy, PAGE);
	unmap(p->window_map, p->window_map_len);
	unmap(p->window_kind, p->window_size / PAGE);
	kvm_tables_fini(p);
	kvm_sentry_fini(p);
	free(p->cpuid);
	free(p);
}

unsigned platform_ctx_max(const struct platform *p)
{
	return p->max_ctx;
}

uint64_t platform_hwcap2(const struct platform *p)
{
	return p->facts.fsgsbase ? 2 : 0;
}

bool platform_tsc_shared(const struct platform *p, uint64_t *khz)
{
	*khz = p->facts.tsc_khz;
	return p->facts.tsc_shared;
}

bool platform_tsc_invariant(const struct platform *p)
{
	return p->facts.tsc_invariant;
}

int platform_ctx_create(struct platform *p, struct platform_as *as, void *tag,
			struct platform_ctx **out)
{
	struct platform_ctx *ctx;
	int r = 0;

	pthread_mutex_lock(&p->ctx_lock);
	ctx = p->idle;
	if (ctx)
		p->idle = ctx->next_idle;
	else if (p->nr_ctx >= p->max_ctx)
		r = -EAGAIN;
	else
		r = kvm_vcpu_create(p, &ctx);
	pthread_mutex_unlock(&p->ctx_lock);
	if (r < 0)
		return r;
	ctx->tag = tag;
	r = kvm_vcpu_reset(ctx, as);
	if (r < 0) {
		pthread_mutex_lock(&p->ctx_lock);
		ctx->next_idle = p->idle;
		p->idle = ctx;
		pthread_mutex_unlock(&p->ctx_lock);
		return r;
	}
	ctx->as = as;
	pthread_mutex_lock(&as->lock);
	list_append(&as->ctxs, &ctx->as_node);
	pthread_mutex_unlock(&as->lock);
	*out = ctx;
	return 0;
}

static void leave_as(struct platform_ctx *ctx)
{
	pthread_mutex_lock(&ctx->as->lock);
	list_del(&ctx->as_node);
	pthread_mutex_unlock(&ctx->as->lock);
	ctx->as = NULL;
}

void platform_ctx_detach(struct platform_ctx *ctx)
{
	if (ctx->p->resident)
		kvm_host_mode(); /* this thread leaves the vCPU */
	leave_as(ctx);
}

void **platform_ctx_worker(struct platform_ctx *ctx)
{
	return &ctx->worker;
}

void platform_ctx_destroy(struct platform_ctx **ctxp)
{
	struct platform_ctx *ctx = *ctxp;
	struct platform *p;

	if (!ctx)
		return;
	*ctxp = NULL;
	p = ctx->p;
	if (ctx->as)
		platform_ctx_detach(ctx);
	pthread_mutex_lock(&p->ctx_lock);
	if (!ctx->broken) {
		ctx->next_idle = p->idle;
		p->idle = ctx;
	}
	pthread_mutex_unlock(&p->ctx_lock);
}

void platform_ctx_set_as(struct platform_ctx *ctx, struct platform_as *as)
{
	leave_as(ctx);
	if (!ctx->p->resident || ctx->live) /* the old tables may go away before the next entry */
		kvm_vcpu_set_root(ctx, as->root);
	ctx->as = as;
	pthread_mutex_lock(&as->lock);
	list_append(&as->ctxs, &ctx->as_node);
	pthread_mutex_unlock(&as->lock);
	atomic_store(&ctx->flush, 1);
}

hot_path struct platform_regs *platform_ctx_regs(struct platform_ctx *ctx)
{
	return &ctx->regs;
}

int64_t *platform_ctx_consts(struct platform_ctx *ctx)
{
	return ctx->cpu->consts;
}

void platform_ctx_set_view(struct platform_ctx *ctx, uint32_t view)
{
	const struct pol_image *img = ctx->p->opts.image;

	if (ctx->p->image_len)
		ctx->cpu->calls =
			RING_IMAGE_VA +
			(uint64_t)((const char *)pol_eval_table(img, view) - (const char *)img);
}
