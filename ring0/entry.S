/* What runs in guest ring 0: the system call entry, the IDT stubs, and the ways back to ring 3.
 *
 * Rules: nothing here may fault. GS is the app's whenever the guest halts, so the host never has to
 * look at KERNEL_GS_BASE; only the system call entry swaps it, for as long as it runs. */
#include "ring0/tier0.h"

	.section .text.entry, "ax"

/* LSTAR of app page tables. */
	.globl ring0_entry
	.p2align 6
ring0_entry:
	tier0_entry ring0_tail, ring0_forward, ring0_kicked

/* Has C decide with a struct pol_call at hand: the lower seven words, for which the rest of RAX is
 * padding. Changes RAX only. */
	.globl ring0_ask_slow
ring0_ask_slow:
	push %r11
	push %rcx
	push %r9
	push %r8
	push %r10
	push %rdx
	push %rsi
	push %rdi
	push CPU(RING_CPU_USER_RAX)
	mov %rsp, %rdi
	call ring0_syscall_slow
	add $8, %rsp
	pop %rdi
	pop %rsi
	pop %rdx
	pop %r10
	pop %r8
	pop %r9
	pop %rcx
	pop %r11
	ret

/* LSTAR without a policy image: every call goes to the sentry. */
	.globl ring0_entry_plain
	.p2align 6
ring0_entry_plain:
	swapgs
	mov %rsp, CPU(RING_CPU_USER_RSP)
	mov CPU(RING_CPU_STACK_TOP), %rsp
/* The sentry decides. All registers but RSP are the app's; RIP and RFLAGS are in RCX and R11. */
	.globl ring0_halt_syscall, ring0_halt_kicked
ring0_forward:
	swapgs
	hlt
ring0_halt_syscall:
	jmp ring0_bug

/* The call is answered, and the host wants the vCPU before ring 3 goes on. */
ring0_kicked:
	swapgs
	hlt
ring0_halt_kicked:
	jmp ring0_bug

/* Ways back: the host wrote the frame at RSP. ring0_resume is one instruction, for hosts that
 * emulate ring 0; ring0_resume_flush drops this vCPU's stale translations first; ring0_resume_first
 * also touches what delivering an exception touches. A page that the host has yet to provide then
 * faults at an instruction of its own, not in the middle of a delivery. */
#define TOUCH(at) (at) - (RING_CPU_STACK - RING_FRAME_SIZE)(%rsp)
	.globl ring0_resume, ring0_resume_first, ring0_resume_flush, ring0_resume_end
	.p2align 4
ring0_resume:
	iretq
ring0_resume_first:
	orb $0, TOUCH(0)
	testb $0, TOUCH(RING_CPU_GDT)
	orb $0, TOUCH(RING_CPU_STACK - 0x2000)
	orb $0, TOUCH(RING_CPU_IST1 - 8)
	orb $0, TOUCH(RING_CPU_IST2 - 8)
	orb $0, TOUCH(RING_CPU_IST6 - 8)
	orb $0, TOUCH(RING_CPU_RECORDS)
	testb $0, RING_IDT_VA
	testb $0, ring0_stubs
ring0_resume_flush:
	push %rax
	mov %cr3, %rax
	mov %rax, %cr3
	pop %rax
	iretq
ring0_resume_end:

/* CSTAR: no 32-bit code segment exists, so this is unreachable; it says so if it is not. */
	.globl ring0_compat
ring0_compat:
	jmp ring0_bug

/* Something continued where nothing can. The address in RIP tells the host. */
	.globl ring0_bug, ring0_halt_bug
ring0_bug:
	hlt
ring0_halt_bug:
	jmp ring0_bug

/* The probe's timing loop: RCX iterations of two instructions. */
	.globl ring0_probe_loop, ring0_halt_probe
ring0_probe_loop:
	dec %rcx
	jnz ring0_probe_loop
	hlt
ring0_halt_probe:
	jmp ring0_bug

/* IDT stubs. A stub halts at its first instruction: the host finds the vector in RIP and the frame
 * (with the error code, where the vector has one) at RSP. #PF has a second form for hosts where
 * ring 0 is fast, which leaves CR2 on the stack and spares the host an ioctl. */
	.globl ring0_stubs, ring0_stub_pf_fast, ring0_halt_pf_fast
	.p2align 6
ring0_stubs:
	.rept 256
	.p2align 4
	hlt
	jmp ring0_bug
	.endr
	.p2align 4
ring0_stub_pf_fast:
	push %rax
	mov %cr2, %rax
	xchg %rax, (%rsp)
	hlt
ring0_halt_pf_fast:
	jmp ring0_bug
