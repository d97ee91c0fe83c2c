/* CPUID as the app sees it, and the size of its vector state. */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include "kvm/kvm.h"

#define ENTRIES_MAX 256

/* x87, SSE, AVX, and the three AVX-512 parts: what saving and signal frames handle. */
#define XCR0_AVX    0x07ull
#define XCR0_AVX512 0xe0ull

static void clear_leaf1(struct kvm_cpuid_entry2 *c)
{
	/* MONITOR, VMX, SMX, EIST, TM2, PCID, x2APIC, TSC deadline, hypervisor */
	c->ecx &= ~(1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 17 | 1u << 21 |
		    1u << 24 | 1u << 31);
	c->edx &= ~(1u << 9 | 1u << 12); /* APIC, MTRR */
}

static void clear_leaf7(struct kvm_cpuid_entry2 *c)
{
	if (c->index == 0) {
		c->ebx &= ~(1u << 2 | 1u << 14); /* SGX, MPX */
		/* PKU, OSPKE, WAITPKG, CET-SS, LA57, ENQCMD, SGX-LC, PKS */
		c->ecx &= ~(1u << 3 | 1u << 4 | 1u << 5 | 1u << 7 | 1u << 16 | 1u << 29 | 1u << 30 |
			    1u << 31);
		/* UINTR, CET-IBT, AMX-BF16, AMX-TILE, AMX-INT8 */
		c->edx &= ~(1u << 5 | 1u << 20 | 1u << 22 | 1u << 24 | 1u << 25);
	}
}

/* Reduces an XSAVE leaf to the components in XCR0. Returns false when the entry goes away. */
static bool clear_leafd(struct kvm_cpuid_entry2 *c, const struct kvm_facts *f)
{
	if (c->index == 0) {
		c->eax &= (uint32_t)f->xcr0;
		c->edx = 0;
		c->ecx = (uint32_t)f->xsave_size;
	} else if (c->index == 1) {
		c->eax &= ~(1u << 3 | 1u << 4); /* XSAVES, XFD */
		c->ecx = c->edx = 0;
	} else {
		return c->index < 64 && (f->xcr0 >> c->index & 1);
	}
	return true;
}

static bool filter(struct kvm_cpuid_entry2 *c, const struct kvm_facts *f)
{
	switch (c->function) {
	case 1:
		clear_leaf1(c);
		return true;
	case 7:
		clear_leaf7(c);
		return true;
	case 0xd:
		return clear_leafd(c, f);
	case 0x80000001:
		c->ecx &= ~(1u << 2); /* SVM */
		return true;
	default:
		return !(c->function >= 0x40000000 && c->function < 0x50000000);
	}
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *c, uint32_t fn, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < c->nent; i++)
		if (c->entries[i].function == fn && c->entries[i].index == index)
			return &c->entries[i];
	return NULL;
}

/* Each CPUID instruction is dear where the host is a guest itself. */
static size_t xsave_size(uint64_t xcr0)
{
	size_t size = 576;
	unsigned i, a, b, c, d;

	for (i = 2; i < 63; i++) {
		if (!(xcr0 >> i & 1))
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		if (a && b + a > size)
			size = b + a;
	}
	return size;
}

/* What both KVM and the host's XCR0 have. */
static uint64_t xcr0_wanted(const struct platform *p)
{
	const struct kvm_cpuid_entry2 *cd = find(p->cpuid, 0xd, 0);
	unsigned a, b, c, d;
	uint32_t lo, hi;
	uint64_t x;

	__cpuid(1, a, b, c, d);
	if (!cd || !(c & 1u << 27))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	x = ((uint64_t)hi << 32 | lo) & ((uint64_t)cd->edx << 32 | cd->eax);
	if ((x & XCR0_AVX512) != XCR0_AVX512 || !(x & 4))
		x &= ~XCR0_AVX512;
	return x & (XCR0_AVX | XCR0_AVX512);
}

/* A KVM that runs ring 3 natively may leave out what its guests have all the same, because CPUID,
 * XCR0 and CR4 are the host's there. Such features are asked for, and the probe tries them. */
static void ask_for_more(struct platform *p)
{
	struct kvm_cpuid_entry2 *c1 = find(p->cpuid, 1, 0), *c7 = find(p->cpuid, 7, 0);
	unsigned a, b, c, d;

	__cpuid(1, a, b, c, d);
	if (c1 && p->facts.xcr0 && !(c1->ecx & 1u << 26)) {
		c1->ecx |= c & (1u << 12 | 1u << 26 | 1u << 28 | 1u << 29);
		p->facts.xsave_unlisted = true;
	}
	if (c7 && (getauxval(AT_HWCAP2) & 2) && !(c7->ebx & 1u)) {
		c7->ebx |= 1u;
		p->facts.fsgsbase = p->facts.fsgsbase_unlisted = true;
	}
}

int kvm_cpuid_load(struct platform *p, struct sbx_err **e)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + ENTRIES_MAX * sizeof(c->entries[0]));
	struct kvm_cpuid_entry2 *f;
	uint32_t i, n = 0;

	if (!c)
		return sbx_err_errno(e, ENOMEM, "CPUID table");
	p->cpuid = c;
	c->nent = ENTRIES_MAX;
	if (ioctl(p->kvm_fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return sbx_err_errno(e, errno, "/dev/kvm: KVM_GET_SUPPORTED_CPUID");
	f = find(c, 0x80000001, 0);
	if (!f || !(f->edx & 1u << 29))
		return sbx_err_set(e,
				   "KVM on this machine offers no 64-bit guests (CPUID has no long "
				   "mode)");
	f = find(c, 0x80000008, 0);
	p->facts.phys_bits = f && (f->eax & 0xff) ? f->eax & 0xff : 36;
	f = find(c, 7, 0);
	p->facts.fsgsbase = f && (f->ebx & 1u << 0);
	p->facts.smep = f && (f->ebx & 1u << 7);
	p->facts.smap = f && (f->ebx & 1u << 20);
	p->facts.umip = f && (f->ecx & 1u << 2);
	f = find(c, 1, 0);
	p->facts.pge = f && (f->edx & 1u << 13);
	p->facts.xcr0 = xcr0_wanted(p);
	p->facts.xsave = p->facts.xcr0 != 0;
	p->facts.xsave_size = xsave_size(p->facts.xcr0);
	ask_for_more(p);
	for (i = 0; i < c->nent; i++)
		if (filter(&c->entries[i], &p->facts))
			c->entries[n++] = c->entries[i];
	c->nent = n;
	return 0;
}
