/* A host system call that a signal can cancel before it starts.
 *
 * long hostcall_run(const int *flag, long nr, const long arg[6])
 *
 * Between the test of *flag and the SYSCALL instruction a signal could be lost: its handler sees the
 * task outside a call, and the call then blocks. So the handler looks at the interrupted RIP: inside
 * [hostcall_begin, hostcall_end) it moves it to hostcall_cancelled. At hostcall_end the call was made,
 * and its result stands. */
	.text
	.globl	hostcall_run, hostcall_begin, hostcall_end, hostcall_cancelled
	.hidden	hostcall_run, hostcall_begin, hostcall_end, hostcall_cancelled
	.type	hostcall_run, @function
hostcall_run:
	.cfi_startproc
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	mov	%rdi, %rbx		/* the platform finds it there */
	mov	%rsi, %rax
	mov	%rdx, %rcx
	mov	0(%rcx), %rdi
	mov	8(%rcx), %rsi
	mov	16(%rcx), %rdx
	mov	24(%rcx), %r10
	mov	32(%rcx), %r8
	mov	40(%rcx), %r9
hostcall_begin:
	cmpl	$0, (%rbx)
	jne	hostcall_cancelled
	syscall
hostcall_end:
	pop	%rbx
	ret
hostcall_cancelled:
	mov	$-512, %rax		/* -ERESTARTSYS */
	pop	%rbx
	ret
	.cfi_endproc
	.size	hostcall_run, . - hostcall_run
	.section .note.GNU-stack, "", @progbits
