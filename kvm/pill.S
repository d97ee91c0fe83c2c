/* Between host mode and guest ring 0, for a sentry that runs in either. Offsets are those of struct
 * kvm_pill in kvm/pill.h. */
#include "abi/ring_abi.h"
#include "kvm/pill.h"

	.section .text.hot, "ax"

/* void kvm_pill_switch(struct kvm_pill *): lets the app run until its next event. Called in host mode
 * or in guest ring 0; returns in either. All that a call preserves is on the stack, whose address is
 * in the vCPU's block: ring 0, or the host when the machine broke, returns to it from there. */
	.globl kvm_pill_switch, kvm_pill_cli
	.hidden kvm_pill_switch, kvm_pill_cli
	.type kvm_pill_switch, @function
kvm_pill_switch:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	sub $8, %rsp
	stmxcsr (%rsp)
	fnstcw 4(%rsp)
	mov PILL_RES(%rdi), %rsi
	lea back(%rip), %rax
	push %rax
	mov %rsp, (RES_SENTRY_RSP - RES)(%rsi)
	cmpq $0, PILL_BY_FAULT(%rdi)
	jne kvm_pill_cli
	mov %cs, %eax
	test $3, %al
	jz enter
	mov PILL_STACK(%rdi), %rsp
	push %rdi
	sub $8, %rsp
	call kvm_pill_take /* true: to back, in host mode */
	add $8, %rsp
	pop %rdi
	test %al, %al
	jz kvm_pill_native
	mov PILL_RES(%rdi), %rsi
	mov (RES_SENTRY_RSP - RES)(%rsi), %rsp
	ret

/* Faults in host mode; the handler continues the thread here, in ring 0. */
kvm_pill_cli:
	cli
enter:	mov PILL_ENTER(%rdi), %rax
	jmp *%rax

back:	fninit
	fldcw 4(%rsp)
	ldmxcsr (%rsp)
	add $8, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret
	.size kvm_pill_switch, . - kvm_pill_switch

/* The red pill: goes on in host mode with pill->native and the vector state at pill->fpu. RIP takes
 * the way over the thread's stack, below its red zone, as a signal frame would. (IRETQ would leave the
 * stack alone; QEMU's emulation of it in ring 3 fails where there is SMAP.) */
#define RED_ZONE 128
	.type kvm_pill_native, @function
kvm_pill_native:
	mov PILL_FPU(%rdi), %rcx
	mov PILL_XMASK(%rdi), %eax
	mov PILL_XMASK + 4(%rdi), %edx
	cmpq $0, PILL_XSAVE(%rdi)
	je 1f
	xrstor64 (%rcx)
	jmp 2f
1:	fxrstor64 (%rcx)
2:	push PILL_RFLAGS(%rdi)
	popfq
	mov PILL_RSP(%rdi), %rsp
	lea -(RED_ZONE + 8)(%rsp), %rsp
	mov PILL_RIP(%rdi), %rax
	mov %rax, (%rsp)
	mov PILL_RAX(%rdi), %rax
	mov PILL_RBX(%rdi), %rbx
	mov PILL_RCX(%rdi), %rcx
	mov PILL_RDX(%rdi), %rdx
	mov PILL_RSI(%rdi), %rsi
	mov PILL_RBP(%rdi), %rbp
	mov PILL_R8(%rdi), %r8
	mov PILL_R9(%rdi), %r9
	mov PILL_R10(%rdi), %r10
	mov PILL_R11(%rdi), %r11
	mov PILL_R12(%rdi), %r12
	mov PILL_R13(%rdi), %r13
	mov PILL_R14(%rdi), %r14
	mov PILL_R15(%rdi), %r15
	mov PILL_RDI(%rdi), %rdi
	ret $RED_ZONE
	.size kvm_pill_native, . - kvm_pill_native
	.section .note.GNU-stack, "", @progbits
