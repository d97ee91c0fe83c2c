/* The only instructions that touch app memory. Each has an entry in sbx_fixup, as distances from the
 * entry's own two words: where to go on when the host cannot give the page (a truncated file). Leaf functions, System V calling convention. */

	.macro fixup insn, target
	.pushsection sbx_fixup, "aw", @progbits
	.long \insn - ., \target - .
	.popsection
	.endm

	.text

/* size_t gmem_copy_raw(void *dst, const void *src, size_t n): bytes not copied. */
	.globl gmem_copy_raw
	.type gmem_copy_raw, @function
gmem_copy_raw:
	mov	%rdx, %rcx
1:	rep movsb
2:	mov	%rcx, %rax
	ret
	fixup	1b, 2b
	.size gmem_copy_raw, . - gmem_copy_raw

/* size_t gmem_zero_raw(void *dst, size_t n): bytes not cleared. */
	.globl gmem_zero_raw
	.type gmem_zero_raw, @function
gmem_zero_raw:
	mov	%rsi, %rcx
	xor	%eax, %eax
1:	rep stosb
2:	mov	%rcx, %rax
	ret
	fixup	1b, 2b
	.size gmem_zero_raw, . - gmem_zero_raw

/* int gmem_load32_raw(const uint32_t *p, uint32_t *val): 0, or 1 after a fault. */
	.globl gmem_load32_raw
	.type gmem_load32_raw, @function
gmem_load32_raw:
1:	mov	(%rdi), %eax
	mov	%eax, (%rsi)
	xor	%eax, %eax
	ret
2:	mov	$1, %eax
	ret
	fixup	1b, 2b
	.size gmem_load32_raw, . - gmem_load32_raw

/* int gmem_cmpxchg32_raw(uint32_t *p, uint32_t *expected, uint32_t desired): 0 when exchanged, 2
 * when *p differed (*expected is what it was), 1 after a fault. */
	.globl gmem_cmpxchg32_raw
	.type gmem_cmpxchg32_raw, @function
gmem_cmpxchg32_raw:
	mov	(%rsi), %eax
1:	lock cmpxchg %edx, (%rdi)
	jne	3f
	xor	%eax, %eax
	ret
2:	mov	$1, %eax
	ret
3:	mov	%eax, (%rsi)
	mov	$2, %eax
	ret
	fixup	1b, 2b
	.size gmem_cmpxchg32_raw, . - gmem_cmpxchg32_raw

	.section .note.GNU-stack, "", @progbits
