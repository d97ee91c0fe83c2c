/* Finding the page that KVM could not get. Newer kernels say it (KVM_EXIT_MEMORY_FAULT); older ones
 * return EFAULT and leave the app at the instruction, so its operands are worked out here. The
 * answer is a hint for the signal's si_addr: a wrong one costs the app a misleading address only.
 */
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "kvm/kvm.h"

/* Is va mapped for the app, with no memory to read behind it? */
static bool missing(struct platform_ctx *ctx, uint64_t va)
{
	uint64_t pte = kvm_walk(ctx->as, va);
	uint8_t byte;
	struct iovec to = {&byte, 1}, from = {NULL, 1};

	if (!pte)
		return false;
	from.iov_base = ctx->p->window + ((pte & PTE_ADDR) - WINDOW_GPA) + (va & (PAGE - 1));
	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) != 1;
}

/* Copies up to n instruction bytes; returns how many could be read. */
static size_t fetch(struct platform_ctx *ctx, uint64_t rip, uint8_t *buf, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		uint64_t pte = kvm_walk(ctx->as, rip + i);
		struct iovec to = {buf + i, 1}, from = {NULL, 1};

		if (!pte)
			break;
		from.iov_base =
			ctx->p->window + ((pte & PTE_ADDR) - WINDOW_GPA) + ((rip + i) & (PAGE - 1));
		if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != 1)
			break;
	}
	return i;
}

static uint64_t reg(const struct platform_regs *r, unsigned n)
{
	const uint64_t v[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
				r->r8,	r->r9,	r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};

	return v[n & 15];
}

/* Where the ModRM byte is, and the prefixes that matter to the address. */
struct insn {
	const uint8_t *b;
	size_t len, modrm;
	unsigned rex_x, rex_b, seg;
};

static void find_modrm(struct insn *i)
{
	size_t n = 0;

	for (; n < i->len; n++) {
		uint8_t c = i->b[n];

		if (c == 0x64 || c == 0x65)
			i->seg = c;
		else if (c != 0x66 && c != 0x67 && c != 0xf0 && c != 0xf2 && c != 0xf3 &&
			 c != 0x2e && c != 0x36 && c != 0x3e && c != 0x26)
			break;
	}
	if (n < i->len && (i->b[n] & 0xf0) == 0x40) {
		i->rex_x = i->b[n] >> 1 & 1;
		i->rex_b = i->b[n] & 1;
		n++;
	}
	if (n + 2 < i->len && (i->b[n] == 0xc4 || i->b[n] == 0x62)) {
		i->rex_x = !(i->b[n + 1] & 0x40);
		i->rex_b = !(i->b[n + 1] & 0x20);
		n += i->b[n] == 0xc4 ? 3 : 4;
	} else if (n < i->len && i->b[n] == 0xc5) {
		n += 2;
	} else if (n + 1 < i->len && i->b[n] == 0x0f) {
		n += i->b[n + 1] == 0x38 || i->b[n + 1] == 0x3a ? 2 : 1;
	}
	i->modrm = n + 1;
}

/* Effective address of a ModRM memory operand, without the displacement scaling of EVEX. */
static bool effective(struct platform_ctx *ctx, const struct insn *i, uint64_t *ea)
{
	const struct platform_regs *r = &ctx->regs;
	size_t n = i->modrm;
	uint64_t a = 0;
	unsigned mod, rm;
	int32_t d32 = 0;

	if (n >= i->len)
		return false;
	mod = i->b[n] >> 6;
	rm = i->b[n] & 7;
	n++;
	if (mod == 3)
		return false;
	if (rm == 4) {
		unsigned sib, index, base;

		if (n >= i->len)
			return false;
		sib = i->b[n++];
		index = (sib >> 3 & 7) | i->rex_x << 3;
		base = (sib & 7) | i->rex_b << 3;
		if (index != 4)
			a += reg(r, index) << (sib >> 6);
		if ((sib & 7) == 5 && mod == 0)
			mod = 2;
		else
			a += reg(r, base);
	} else if (rm == 5 && mod == 0) {
		mod = 2;
		a = r->rip + n + 4; /* an immediate may follow: the page is what matters */
	} else {
		a += reg(r, rm | i->rex_b << 3);
	}
	if (mod == 1 && n < i->len)
		a += (uint64_t)(int8_t)i->b[n];
	if (mod == 2 && n + 4 <= i->len) {
		memcpy(&d32, i->b + n, 4);
		a += (uint64_t)(int64_t)d32;
	}
	if (i->seg == 0x64)
		a += platform_ctx_fsbase(ctx);
	if (i->seg == 0x65)
		a += platform_ctx_gsbase(ctx);
	*ea = a;
	return true;
}

uint64_t kvm_fault_address(struct platform_ctx *ctx)
{
	const struct platform_regs *r = &ctx->regs;
	uint8_t buf[15];
	struct insn i = {.b = buf};
	uint64_t ea;
	unsigned n;

	i.len = fetch(ctx, r->rip, buf, sizeof(buf));
	if (i.len == 0)
		return r->rip;
	find_modrm(&i);
	if (effective(ctx, &i, &ea)) {
		/* an operand may reach into the next page */
		if (missing(ctx, ea))
			return ea;
		if (missing(ctx, ea + 63))
			return (ea + 63) & ~(PAGE - 1);
	}
	if (missing(ctx, r->rsp))
		return r->rsp;
	if (missing(ctx, r->rsp - 8))
		return r->rsp - 8;
	for (n = 0; n < 16; n++)
		if (missing(ctx, reg(r, n)))
			return reg(r, n);
	if (i.len < sizeof(buf))
		return r->rip + i.len;
	return r->rip;
}
