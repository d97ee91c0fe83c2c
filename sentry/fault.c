/* CPU exceptions of the app: page faults are resolved, the others become signals. */
#include <string.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/overflow.h"
#include "sentry/signal.h"
#include "sentry/task.h"

enum { /* x86 exception vectors */
       VEC_DE = 0,
       VEC_DB = 1,
       VEC_BP = 3,
       VEC_OF = 4,
       VEC_BR = 5,
       VEC_UD = 6,
       VEC_NM = 7,
       VEC_TS = 10,
       VEC_NP = 11,
       VEC_SS = 12,
       VEC_GP = 13,
       VEC_PF = 14,
       VEC_MF = 16,
       VEC_AC = 17,
       VEC_XM = 19,
};

#define PF_WRITE 2u
#define PF_FETCH 16u

/* si_code of SIGFPE from unmasked exception bits, in the order of the x87 and SSE status words. */
static int fpe_code(unsigned bits)
{
	if (bits & 1)
		return FPE_FLTINV;
	if (bits & 4)
		return FPE_FLTDIV;
	if (bits & 8)
		return FPE_FLTOVF;
	if (bits & (16 | 2))
		return FPE_FLTUND;
	if (bits & 32)
		return FPE_FLTRES;
	return FPE_FLTUNK;
}

static int vector_fpe(struct task *t, bool sse)
{
	size_t size = platform_fpu_size(sandbox.platform);
	uint8_t *area = aligned_alloc(64, ALIGN_UP(size, (size_t)64));
	uint16_t cw, sw;
	uint32_t mxcsr;
	int code = FPE_FLTUNK;

	if (area && !platform_ctx_fpu_save(t->ctx, area)) {
		memcpy(&cw, area, sizeof(cw));
		memcpy(&sw, area + 2, sizeof(sw));
		memcpy(&mxcsr, area + 24, sizeof(mxcsr));
		code = fpe_code(sse ? ~(mxcsr >> 7) & mxcsr & 0x3f : sw & ~cw & 0x3fu);
	}
	free(area);
	return code;
}

static void raise_fault(struct task *t, int sig, int code, uint64_t addr)
{
	siginfo_t info = {.si_signo = sig, .si_code = code};

	log_debug("tid %d: exception %llu error %llx becomes signal %d at %llx, rip %llx", t->tid,
		  (unsigned long long)t->sig->trapno, (unsigned long long)t->sig->error, sig,
		  (unsigned long long)addr, (unsigned long long)t->regs->rip);
	info.si_addr = (void *)addr;
	signal_force(t, &info);
}

static void page_fault(struct task *t, const struct platform_event *ev)
{
	unsigned access = ev->error & PF_FETCH	 ? PLATFORM_EXEC
			  : ev->error & PF_WRITE ? PLATFORM_WRITE
						 : PLATFORM_READ;

	if (ev->host_fault) {
		raise_fault(t, SIGBUS, BUS_ADRERR, ev->addr);
		return;
	}
	if (ev->addr >= MM_ADDR_MAX) {
		raise_fault(t, SIGSEGV, SEGV_MAPERR, ev->addr);
		return;
	}
	switch (mm_fault(t->proc->mm, ev->addr, access)) {
	case MM_FAULT_OK:
		break;
	case MM_FAULT_MAPERR:
		raise_fault(t, SIGSEGV, SEGV_MAPERR, ev->addr);
		break;
	case MM_FAULT_ACCERR:
		raise_fault(t, SIGSEGV, SEGV_ACCERR, ev->addr);
		break;
	case MM_FAULT_BUS:
		raise_fault(t, SIGBUS, BUS_ADRERR, ev->addr);
		break;
	case MM_FAULT_NOMEM:
		log_error("the program needs more memory than limits.memory allows; it is stopped");
		sandbox_end(128 + SIGKILL, "memory limit");
		break;
	}
}

static bool is_prefix(uint8_t b)
{
	return (b & 0xf0) == 0x40 || b == 0x66 || b == 0x67 || b == 0x26 || b == 0x2e ||
	       b == 0x36 || b == 0x3e || b == 0x64 || b == 0x65 || b == 0xf2 || b == 0xf3;
}

/* INT n and far transfers fault with #GP in an app; a KVM that emulates privileged instructions in
 * software may say #UD instead. */
static bool is_far_transfer(struct task *t)
{
	uint8_t b[16];
	unsigned n = sizeof(b), i = 0, reg;

	while (n && gmem_read(t->proc->mm, b, gptr_at(t->regs->rip), n))
		n--; /* the end of a mapping */
	while (i < n && is_prefix(b[i]))
		i++;
	if (i >= n)
		return false;
	if (b[i] == 0xff && i + 1 < n && b[i + 1] < 0xc0) { /* far call and jump through memory */
		reg = b[i + 1] >> 3 & 7;
		return reg == 3 || reg == 5;
	}
	return b[i] == 0xcd || b[i] == 0xca || b[i] == 0xcb || b[i] == 0xcf;
}

static void invalid_opcode(struct task *t)
{
	if (!is_far_transfer(t)) {
		raise_fault(t, SIGILL, ILL_ILLOPN, t->regs->rip);
		return;
	}
	t->sig->trapno = VEC_GP;
	raise_fault(t, SIGSEGV, SI_KERNEL, 0);
}

void task_fault(struct task *t, const struct platform_event *ev)
{
	uint64_t rip = t->regs->rip;

	t->orig_rax = ~0ull;
	t->sig->trapno = ev->vector;
	t->sig->error = ev->error;
	if (ev->vector == VEC_PF)
		t->sig->cr2 = ev->addr;
	switch (ev->vector) {
	case VEC_PF:
		page_fault(t, ev);
		break;
	case VEC_DE:
		raise_fault(t, SIGFPE, FPE_INTDIV, rip);
		break;
	case VEC_DB:
		raise_fault(t, SIGTRAP, TRAP_TRACE, rip);
		break;
	case VEC_BP:
		raise_fault(t, SIGTRAP, SI_KERNEL, 0);
		break;
	case VEC_UD:
	case VEC_NM:
		invalid_opcode(t);
		break;
	case VEC_MF:
	case VEC_XM:
		raise_fault(t, SIGFPE, vector_fpe(t, ev->vector == VEC_XM), rip);
		break;
	case VEC_AC:
		raise_fault(t, SIGBUS, BUS_ADRALN, 0);
		break;
	case VEC_NP:
	case VEC_SS:
		raise_fault(t, SIGBUS, SI_KERNEL, 0);
		break;
	default: /* #GP, #OF, #BR, #TS and whatever else */
		raise_fault(t, SIGSEGV, SI_KERNEL, 0);
		break;
	}
}
