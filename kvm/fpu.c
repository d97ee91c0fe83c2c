/* The app's x87, SSE and AVX state, as a standard-format XSAVE area. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include "base/overflow.h"
#include "kvm/kvm.h"

#define MXCSR_OFFSET	  24
#define MXCSR_MASK_OFFSET 28
#define HEADER_OFFSET	  512
#define HEADER_SIZE	  64
#define LEGACY_SIZE	  512

uint64_t platform_xcr0(const struct platform *p)
{
	return p->facts.xcr0;
}

size_t platform_fpu_size(const struct platform *p)
{
	return p->facts.xsave ? p->facts.xsave_size : LEGACY_SIZE;
}

int kvm_vcpu_fpu_get(struct platform_ctx *ctx, void *area)
{
	struct kvm_xsave x;

	if (ioctl(ctx->fd, KVM_GET_XSAVE, &x) < 0)
		return -errno;
	memcpy(area, &x, MIN(platform_fpu_size(ctx->p), sizeof(x)));
	return 0;
}

int platform_ctx_fpu_save(struct platform_ctx *ctx, void *area)
{
	if (ctx->fpu_initial) {
		kvm_fpu_init(ctx->p, area);
		return 0;
	}
	if (!ctx->p->resident || ctx->live)
		return kvm_vcpu_fpu_get(ctx, area);
	memcpy(area, ctx->app_fpu, platform_fpu_size(ctx->p));
	return 0;
}

/* MXCSR bits that this CPU has; a set bit outside faults in FXRSTOR. */
static uint32_t mxcsr_mask(void)
{
	static _Atomic uint32_t mask;
	uint32_t m = atomic_load(&mask);

	if (!m) {
		_Alignas(16) uint8_t area[LEGACY_SIZE] = {0};

		__asm__ volatile("fxsave %0" : "=m"(area));
		memcpy(&m, area + MXCSR_MASK_OFFSET, 4);
		m = m ? m : 0xffbf;
		atomic_store(&mask, m);
	}
	return m;
}

static bool image_ok(const struct platform *p, const uint8_t *a)
{
	uint64_t header[HEADER_SIZE / 8];
	uint32_t mxcsr;
	unsigned i;

	memcpy(&mxcsr, a + MXCSR_OFFSET, 4);
	if (mxcsr & ~mxcsr_mask())
		return false;
	if (!p->facts.xsave)
		return true;
	memcpy(header, a + HEADER_OFFSET, sizeof(header));
	if (header[0] & ~p->facts.xcr0)
		return false;
	for (i = 1; i < ARRAY_SIZE(header); i++)
		if (header[i])
			return false;
	return true;
}

/* The initial state, as a complete image of platform_fpu_size bytes. */
void kvm_fpu_init(const struct platform *p, void *area)
{
	const uint16_t fcw = 0x37f;
	const uint32_t mxcsr = 0x1f80;
	const uint64_t bv = p->facts.xcr0;
	uint8_t *b = area;

	memset(b, 0, platform_fpu_size(p));
	memcpy(b, &fcw, 2);
	memcpy(b + MXCSR_OFFSET, &mxcsr, 4);
	if (p->facts.xsave)
		memcpy(b + HEADER_OFFSET, &bv, 8);
}

int platform_ctx_fpu_load(struct platform_ctx *ctx, const void *area)
{
	const struct platform *p = ctx->p;
	struct kvm_xsave x;
	uint8_t *b = (uint8_t *)&x;
	const uint64_t bv = 3;

	memset(&x, 0, sizeof(x));
	if (area)
		memcpy(&x, area, MIN(platform_fpu_size(p), sizeof(x)));
	else
		kvm_fpu_init(p, &x);
	if (!image_ok(p, b))
		return -EINVAL;
	if (p->resident && !ctx->live) {
		memcpy(ctx->app_fpu, &x, platform_fpu_size(p));
		return 0;
	}
	if (!p->facts.xsave)
		memcpy(b + HEADER_OFFSET, &bv, 8);
	ctx->fpu_initial = false;
	return ioctl(ctx->fd, KVM_SET_XSAVE, &x) < 0 ? -errno : 0;
}
