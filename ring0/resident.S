/* Ring 0 for a sentry that runs in the guest: the app's way to it, its way to the app, and its own
 * system calls.
 *
 * In ring 0 GS is this vCPU's block, the app's GS base waits in KERNEL_GS_BASE. The sentry runs on
 * its own stack, with its own FS base and its own page table, where all of this text is mapped too;
 * only LSTAR's page differs. So a CR3 write may stand anywhere but in that page. */
#include "ring0/tier0.h"

/* LSTAR's page in the tables of apps. */
	.section .text.lstar_app, "ax"
	.globl ring0_lstar_app
ring0_lstar_app:
	swapgs
	mov %rsp, CPU(RING_CPU_USER_RSP)
	mov CPU(RING_CPU_STACK_TOP), %rsp
	jmp ring0_leave_syscall

/* A vCPU that is stopped where the call is answered, in ring 0, goes on at ring0_leave_answered instead,
 * or behind the SWAPGS at the form that repeats it. */
	.p2align 6
	.globl ring0_lstar_app_full
ring0_lstar_app_full:
	tier0_entry ring0_answered, ring0_leave_syscall, ring0_leave_answered

/* LSTAR's page in the sentry's table. RCX is the return address, R11 is free. */
	.section .text.lstar_sentry, "ax"
	.globl ring0_lstar_sentry
ring0_lstar_sentry:
	mov $sentry_syscall, %r11
	jmp *%r11
	.p2align 6
ring0_lstar_sentry_full:
	mov $sentry_syscall, %r11
	jmp *%r11

/* What every system call runs through; the rest is in .text.resident. */
	.section .text.fast, "ax"

/* The vector state of ring 0's current user to, or from, the area at RDI. RAX and RDX are lost. */
	.macro fpu_save
	mov CPU(RES_XMASK), %eax
	mov CPU(RES_XMASK + 4), %edx
	testl $RES_F_XSAVE, CPU(RES_FLAGS)
	jz 1f
	xsave64 (%rdi)
	jmp 2f
1:	fxsave64 (%rdi)
2:
	.endm

/* FS base from RAX; RCX and RDX are lost where there is no FSGSBASE. */
	.macro fs_load
	testl $RES_F_FSGSBASE, CPU(RES_FLAGS)
	jz 1f
	wrfsbase %rax
	jmp 2f
1:	mov %rax, %rdx
	shr $32, %rdx
	mov $0xc0000100, %ecx
	wrmsr
2:
	.endm

/* All general registers but RSP into the block. */
	.macro regs_save
	mov %rax, CPU(RES_RAX)
	mov %rbx, CPU(RES_RBX)
	mov %rcx, CPU(RES_RCX)
	mov %rdx, CPU(RES_RDX)
	mov %rsi, CPU(RES_RSI)
	mov %rdi, CPU(RES_RDI)
	mov %rbp, CPU(RES_RBP)
	mov %r8, CPU(RES_R8)
	mov %r9, CPU(RES_R9)
	mov %r10, CPU(RES_R10)
	mov %r11, CPU(RES_R11)
	mov %r12, CPU(RES_R12)
	mov %r13, CPU(RES_R13)
	mov %r14, CPU(RES_R14)
	mov %r15, CPU(RES_R15)
	.endm

/* ---- from the app to the sentry ---- */

/* A system call for the sentry. All registers but RSP are the app's; RIP and RFLAGS are in RCX and R11. */
	.globl ring0_leave_answered_swapped, ring0_leave_answered
	.globl ring0_halt_direct
ring0_leave_syscall:
	movq $RES_EV_SYSCALL, CPU(RES_EVENT)
	cmp $512, %rax
	jae leave_from_entry
	bt %rax, CPU(RES_DIRECT)
	jnc leave_from_entry
	hlt /* the host takes the registers, and has the sentry go on in host mode */
ring0_halt_direct:
	jmp ring0_bug
ring0_leave_answered_swapped:
	swapgs
ring0_leave_answered:
	movq $RES_EV_KICKED, CPU(RES_EVENT)
leave_from_entry:
	regs_save
	mov %rcx, CPU(RES_RIP)
	mov %r11, CPU(RES_RFLAGS)
	mov CPU(RING_CPU_USER_RSP), %rax
	mov %rax, CPU(RES_RSP)

/* All of the app's general registers are saved. Not those of the app any more: RAX and on. */
leave_saved:
	mov CPU(RES_SENTRY_CR3), %rax
	mov %rax, %cr3
	mov CPU(RES_APP_FPU), %rdi
	fpu_save
	testl $RES_F_FSGSBASE, CPU(RES_FLAGS)
	jz 1f
	rdfsbase %rax
	jmp 2f
1:	mov $0xc0000100, %ecx
	rdmsr
	shl $32, %rdx
	or %rdx, %rax
2:	mov %rax, CPU(RES_APP_FS)
	mov CPU(RES_SENTRY_FS), %rax
	fs_load
	mov CPU(RES_SENTRY_RSP), %rsp
	ret

/* The host stopped the app in ring 3, saved its general registers, and wrote the event. */
	.globl ring0_leave_stopped
ring0_leave_stopped:
	swapgs
	jmp leave_saved

/* ---- exceptions ---- */

	.section .text.resident, "ax"
	.globl ring0_resident_stubs
	.p2align 6
ring0_resident_stubs:
	.set vector, 0
	.rept 256
	.p2align 4
	.if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 \
		&& vector != 14 && vector != 17 && vector != 21 && vector != 29 && vector != 30
	push $0
	.endif
	push $vector
	jmp exception
	.set vector, vector + 1
	.endr

/* On an IST stack: vector, error code, frame. */
	.p2align 4
exception:
	testb $3, 24(%rsp)
	jz exception_ring0
	swapgs
	regs_save
	pop %rax
	mov %rax, CPU(RES_VECTOR)
	pop %rax
	mov %rax, CPU(RES_ERROR)
	pop %rax
	mov %rax, CPU(RES_RIP)
	mov 8(%rsp), %rax
	mov %rax, CPU(RES_RFLAGS)
	mov 16(%rsp), %rax
	mov %rax, CPU(RES_RSP)
	mov %cr2, %rax
	mov %rax, CPU(RES_CR2)
	movq $RES_EV_EXCEPTION, CPU(RES_EVENT)
	push $2
	popfq /* nothing of the app's flags, AC and DF above all, reaches the sentry */
	jmp leave_saved

/* In sentry code, or in a bug of this file. The host looks at the frame and goes on with the same
 * instruction in host mode, or ends the machine. */
	.globl ring0_halt_exception
exception_ring0:
	push %rax
	push %rdx
	push %rdi
	mov %cr2, %rax
	mov %rax, CPU(RES_CR2)
	mov CPU(RES_SENTRY_FPU), %rdi
	fpu_save
	pop %rdi
	pop %rdx
	pop %rax
	hlt
ring0_halt_exception:
	jmp ring0_bug

/* ---- from the sentry to the app ---- */

/* The blue pill's first entry: touches what delivering an exception touches, see entry.S. */
	.globl ring0_pill_first
ring0_pill_first:
	mov CPU(RING_CPU_STACK_TOP), %rax
	orb $0, -8(%rax)
	testb $0, (RING_CPU_GDT - RING_CPU_STACK)(%rax)
	orb $0, -0x2000(%rax)
	orb $0, (RING_CPU_IST1 - RING_CPU_STACK - 8)(%rax)
	orb $0, (RING_CPU_IST2 - RING_CPU_STACK - 8)(%rax)
	orb $0, (RING_CPU_IST6 - RING_CPU_STACK - 8)(%rax)
	orb $0, (RING_CPU_RECORDS - RING_CPU_STACK)(%rax)
	testb $0, RING_IDT_VA
	testb $0, ring0_resident_stubs
	jmp ring0_enter

	.section .text.fast
/* In ring 0, sentry's table; a return address is at RES_SENTRY_RSP. Between begin and end a vCPU
 * that is stopped can go on at ring0_enter_abort instead: what the app had is still in the block. */
	.globl ring0_enter, ring0_enter_begin, ring0_enter_sysret, ring0_enter_iret, ring0_enter_end
	.globl ring0_xrstor, ring0_fxrstor
ring0_enter:
	cmpl $0, CPU(RING_CPU_KICK)
ring0_enter_begin:
	jne ring0_enter_abort
	testl $RES_F_LIVE, CPU(RES_FLAGS)
	jnz 3f
	mov CPU(RES_APP_FPU), %rdi
	mov CPU(RES_XMASK), %eax
	mov CPU(RES_XMASK + 4), %edx
	testl $RES_F_XSAVE, CPU(RES_FLAGS)
	jz ring0_fxrstor
ring0_xrstor:
	xrstor64 (%rdi)
	jmp 1f
ring0_fxrstor:
	fxrstor64 (%rdi)
1:	mov CPU(RES_APP_FS), %rax
	fs_load
3:	testl $RES_F_CR3, CPU(RES_FLAGS)
	jnz 4f
	mov CPU(RES_APP_CR3), %rax
	mov %rax, %cr3
4:	mov CPU(RES_RBX), %rbx
	mov CPU(RES_RDX), %rdx
	mov CPU(RES_RSI), %rsi
	mov CPU(RES_RDI), %rdi
	mov CPU(RES_RBP), %rbp
	mov CPU(RES_R8), %r8
	mov CPU(RES_R9), %r9
	mov CPU(RES_R10), %r10
	mov CPU(RES_R12), %r12
	mov CPU(RES_R13), %r13
	mov CPU(RES_R14), %r14
	mov CPU(RES_R15), %r15
	mov CPU(RES_R11), %r11
	mov CPU(RES_RCX), %rcx
	testl $RES_F_SYSRET, CPU(RES_FLAGS)
	mov CPU(RES_RAX), %rax
	jz 2f
	mov CPU(RES_RSP), %rsp
	swapgs
ring0_enter_sysret:
	sysretq
2:	mov CPU(RING_CPU_STACK_TOP), %rsp
	push $RING_USER_SS
	push CPU(RES_RSP)
	push CPU(RES_RFLAGS)
	push $RING_USER_CS
	push CPU(RES_RIP)
	swapgs
ring0_enter_iret:
	iretq
ring0_enter_end:

	.globl ring0_enter_abort, ring0_enter_abort_swapped
ring0_enter_abort_swapped:
	swapgs
ring0_enter_abort:
	movq $RES_EV_KICKED, CPU(RES_EVENT)
	testl $RES_F_LIVE, CPU(RES_FLAGS)
	jnz leave_saved
	mov CPU(RES_SENTRY_CR3), %rax
	mov %rax, %cr3
	mov CPU(RES_SENTRY_FS), %rax
	fs_load
	mov CPU(RES_SENTRY_RSP), %rsp
	ret

/* The blue pill by a fault: goes on with the instruction that faulted in host mode. RAX, RCX and RDX
 * are free. */
	.globl ring0_pill_fault
ring0_pill_fault:
	mov CPU(RES_SENTRY_FS), %rax
	fs_load
	jmp *CPU(RES_PILL_RIP)

/* ---- the sentry's own system calls ---- */

/* A hot one is left to the host as a request; RIP goes on behind the HLT. Any other is the red pill:
 * the host loads the sentry's registers and executes the SYSCALL instruction itself. */
	.globl ring0_halt_request, ring0_halt_red
sentry_syscall:
	cmp $512, %rax
	jae 1f
	bt %rax, CPU(RES_HOT)
	jnc 1f
	mov %rax, CPU(RES_REQUEST)
	mov %rdi, CPU(RES_REQUEST + 8)
	mov %rsi, CPU(RES_REQUEST + 16)
	mov %rdx, CPU(RES_REQUEST + 24)
	mov %r10, CPU(RES_REQUEST + 32)
	mov %r8, CPU(RES_REQUEST + 40)
	mov %r9, CPU(RES_REQUEST + 48)
	hlt
ring0_halt_request:
	mov CPU(RES_REPLY), %rax
	jmp *%rcx
1:	mov %rax, CPU(RES_REQUEST)
	mov %rdx, CPU(RES_REQUEST + 8)
	mov %rdi, CPU(RES_REQUEST + 16)
	mov CPU(RES_SENTRY_FPU), %rdi
	fpu_save
	mov CPU(RES_REQUEST), %rax
	mov CPU(RES_REQUEST + 8), %rdx
	mov CPU(RES_REQUEST + 16), %rdi
	hlt
ring0_halt_red:
	jmp ring0_bug
