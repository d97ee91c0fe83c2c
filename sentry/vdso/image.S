/* The vDSO image, embedded. */
	.section .rodata
	.globl vdso_image, vdso_image_end
	.p2align 6
vdso_image:
	.incbin "sentry/vdso/vdso.so"
vdso_image_end:
	.section .note.GNU-stack, "", @progbits
