/* The way from the app's SYSCALL to tier 0 and back, for the assembler: the same in LSTAR's page of a
 * sentry in ring 0 and of one in the host.
 *
 * The app's RIP and RFLAGS stay in RCX and R11. What C uses it saves, so a call that tier 0 does not
 * answer, and one that a record is made of, has all its registers. */
#ifndef SBX_RING0_TIER0_H
#define SBX_RING0_TIER0_H
#include "abi/ring_abi.h"

#define CPU(at) %gs:(at)

/* NAME to NAME_end is where the call is answered and its registers are as the app will see them; from
 * NAME_sysret on GS is the app's. A call that is not answered goes to FORWARD, with the app's RAX; one
 * that is, and whose vCPU the host wants, to KICKED. GS and RSP are ring 0's there. The look at the
 * kick is in the answered part: stopped between the two instructions, a vCPU would go on with the old
 * answer. */
	.macro tier0_entry name, forward, kicked
	swapgs
	mov %rsp, CPU(RING_CPU_USER_RSP)
	mov CPU(RING_CPU_STACK_TOP), %rsp
	mov %rax, CPU(RING_CPU_USER_RAX)
/* SYSRETQ faults in ring 0 on a RIP outside the user half. RIP follows an instruction that was
 * executed in the user half, so bit 47 tells. */
	bt $47, %rcx
	jc \forward
	call ring0_syscall
\name\()_verdict:
	cmp $RING_ANSWERED, %rax
	je \name\()_unrecorded
	jb \name\()_unanswered
	mov %rdi, RING_RECORD_ARG(%rax)
	mov %rsi, RING_RECORD_ARG + 8(%rax)
	mov %rdx, RING_RECORD_ARG + 16(%rax)
	mov %r10, RING_RECORD_ARG + 24(%rax)
	mov %r8, RING_RECORD_ARG + 32(%rax)
	mov %r9, RING_RECORD_ARG + 40(%rax)
	mov %rcx, RING_RECORD_RIP(%rax)
	addq $RING_RECORD_SIZE, CPU(RING_CPU_NEXT)
	mov RING_RECORD_RESULT(%rax), %rax
	.globl \name, \name\()_sysret, \name\()_end
\name:
	cmpl $0, CPU(RING_CPU_KICK)
	jne \kicked
	mov CPU(RING_CPU_USER_RSP), %rsp
	swapgs
\name\()_sysret:
	sysretq
\name\()_end:
\name\()_unrecorded:
	mov CPU(RING_CPU_USER_RAX), %rax
	jmp \name
\name\()_unanswered:
	cmp $RING_SLOW, %rax
	je \name\()_slow
	mov CPU(RING_CPU_USER_RAX), %rax
	jmp \forward
\name\()_slow:
	call ring0_ask_slow
	jmp \name\()_verdict
	.endm

#endif
