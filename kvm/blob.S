/* The ring-0 handler, embedded. */
	.section .rodata
	.globl kvm_ring0_blob, kvm_ring0_blob_end
	.p2align 6
kvm_ring0_blob:
	.incbin "ring0/ring0.bin"
kvm_ring0_blob_end:
	.section .note.GNU-stack, "", @progbits
