/* Layout of the entry area: what the ring-0 handler (C and assembler) and the host share.
 *
 * The entry area is the whole upper half of every app page table, supervisor only: the handler's
 * text, the IDT, one block per vCPU, and the policy image. Version RING_ABI_VERSION; both sides are
 * built from this header at the same time, so a mismatch cannot be loaded. */
#ifndef SBX_ABI_RING_ABI_H
#define SBX_ABI_RING_ABI_H

#define RING_ABI_VERSION 1

/* Virtual addresses. */
#define RING_TEXT_VA  0xffffffff80000000 /* text and rodata of the handler; LSTAR is here */
#define RING_IDT_VA   0xffffffff90000000 /* one page */
#define RING_CPU_VA   0xffffffffa0000000 /* RING_CPU_SIZE for each vCPU */
#define RING_IMAGE_VA 0xffffffffc0000000 /* policy image, read-only */

/* One vCPU's block, offsets in bytes. The page below each stack group is not mapped. */
#define RING_CPU_SIZE	 0x10000
#define RING_CPU_DATA	 0x0000 /* struct ring_cpu */
#define RING_CPU_GDT	 0x1000 /* GDT, then TSS; read-only for the guest */
#define RING_CPU_GUARD	 0x2000
#define RING_CPU_STACK	 0x5000 /* top of the entry stack (two pages) */
#define RING_CPU_IST1	 0x6000 /* top: every exception but those below */
#define RING_CPU_IST2	 0x7000 /* top: double fault */
#define RING_CPU_IST3	 0x8000 /* top: NMI, machine check */
#define RING_CPU_RECORDS 0x8000 /* RING_RECORDS records, to the end */
#define RING_RECORDS	 372

/* Selectors: the user ones have the values that Linux shows to programs. */
#define RING_KERNEL_CS 0x10
#define RING_KERNEL_SS 0x18
#define RING_USER_SS   0x2b
#define RING_USER_CS   0x33
#define RING_TSS_SEL   0x38
#define RING_TSS_OFF   0x80 /* of the TSS in the GDT page */

/* IDT stubs: RING_STUB_SIZE bytes each, in vector order, from ring0_stubs. */
#define RING_STUB_SIZE 16

/* Offsets in struct ring_cpu that the assembler uses. */
#define RING_CPU_SELF	   0
#define RING_CPU_STACK_TOP 8
#define RING_CPU_USER_RSP  16
#define RING_CPU_KICK	   24

/* What the entry leaves at the stack's top. */
#define RING_ENTRY_RIP	  16 /* below the top */
#define RING_ENTRY_RFLAGS 8

/* IRET frame, offsets. */
#define RING_FRAME_RIP	  0
#define RING_FRAME_CS	  8
#define RING_FRAME_RFLAGS 16
#define RING_FRAME_RSP	  24
#define RING_FRAME_SS	  32
#define RING_FRAME_SIZE	  40

#define RING_CONSTS  8
#define RING_ACTIONS 5

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct ring_frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

/* A tier-0 decision; the same as struct platform_tier0_record (asserted in kvm/). */
struct ring_record {
	uint64_t arg[6];
	uint64_t rip;
	uint64_t tsc;
	int64_t result;
	uint8_t action, flags, gate, pad; /* with rule: the first half of struct img_verdict */
	uint32_t rule;
	uint32_t nr, pad2;
};

/* First page of a vCPU's block. IN: written by the host while the vCPU is outside the guest;
 * OUT: by ring 0. */
struct ring_cpu {
	uint64_t self;	    /* IN: its guest address */
	uint64_t stack_top; /* IN */
	uint64_t user_rsp;  /* scratch of the entry */
	uint32_t kick;	    /* IN, any time: leave at the next return to ring 3 */
	uint32_t pad;
	uint64_t image; /* IN: guest address of the policy image; 0: none */
	uint64_t calls; /* IN: guest address of the phase's verdict table in it */
	uint64_t next;	/* OUT: guest address of the next record; the host takes all at once */
	uint64_t limit; /* IN: end of the records */
	int64_t consts[RING_CONSTS];	 /* IN */
	uint64_t answered[RING_ACTIONS]; /* OUT: unrecorded calls answered, by enum pol_action */
};

_Static_assert(offsetof(struct ring_cpu, self) == RING_CPU_SELF, "ring_cpu.self");
_Static_assert(offsetof(struct ring_cpu, stack_top) == RING_CPU_STACK_TOP, "ring_cpu.stack_top");
_Static_assert(offsetof(struct ring_cpu, user_rsp) == RING_CPU_USER_RSP, "ring_cpu.user_rsp");
_Static_assert(offsetof(struct ring_cpu, kick) == RING_CPU_KICK, "ring_cpu.kick");
_Static_assert(sizeof(struct ring_cpu) <= 4096, "ring_cpu fits its page");
_Static_assert(sizeof(struct ring_record) == 88, "ring_record");
_Static_assert(RING_RECORDS * sizeof(struct ring_record) <= RING_CPU_SIZE - RING_CPU_RECORDS,
	       "records fit the block");
_Static_assert(sizeof(struct ring_frame) == RING_FRAME_SIZE, "ring_frame");
_Static_assert(offsetof(struct ring_frame, rsp) == RING_FRAME_RSP, "ring_frame.rsp");
#endif
#endif
