/* Layout of the entry area: what the ring-0 handler (C and assembler) and the host share.
 *
 * The entry area is the whole upper half of every app page table, supervisor only: the handler's
 * text, the IDT, one block per vCPU, and the policy image. Version RING_ABI_VERSION; both sides are
 * built from this header at the same time, so a mismatch cannot be loaded. */
#ifndef SBX_ABI_RING_ABI_H
#define SBX_ABI_RING_ABI_H

#define RING_ABI_VERSION 3

/* Virtual addresses. */
#define RING_IMAGE_VA 0xffffffff80000000 /* policy image, read-only */
#define RING_IDT_VA   0xffffffff90000000 /* one page */
#define RING_CPU_VA   0xffffffffa0000000 /* RING_CPU_SIZE for each vCPU */
#define RING_TEXT_VA  0xffffffffc0000000 /* text and rodata of the handler; LSTAR is here */

/* The first page of the text is LSTAR's, in the tables of apps. In the sentry's table the page after
 * it has that address, so a SYSCALL tells by itself who made it. */
#define RING_LSTAR_PLAIN 0  /* offsets in both pages: without a policy image */
#define RING_LSTAR_FULL	 64

/* One vCPU's block, offsets in bytes. The page below each stack group is not mapped. */
#define RING_CPU_SIZE	 0x10000
#define RING_CPU_DATA	 0x0000 /* struct ring_cpu */
#define RING_CPU_GDT	 0x1000 /* GDT, then TSS; read-only for the guest */
#define RING_CPU_GUARD	 0x2000
#define RING_CPU_STACK	 0x5000 /* top of the entry stack (two pages) */
#define RING_CPU_IST1	 0x6000 /* top: every exception but those below */
#define RING_CPU_IST2	 0x7000 /* top: double fault */
#define RING_CPU_IST3	 0x7400 /* top: NMI */
#define RING_CPU_IST4	 0x7800 /* top: machine check */
#define RING_CPU_IST5	 0x7c00 /* top: debug */
#define RING_CPU_IST6	 0x8000 /* top: page fault */
#define RING_CPU_RECORDS 0x8000 /* RING_RECORDS records, to the end */
#define RING_RECORDS	 409

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
#define RING_CPU_STACK_TOP 0
#define RING_CPU_KICK	   8
#define RING_CPU_USER_RSP  16
#define RING_CPU_USER_RAX  24
#define RING_CPU_NEXT	   48

/* The part of struct ring_cpu that serves a sentry in ring 0: offsets in the block. The first 18
 * words are the app's registers, in the order of struct ring_regs. */
#define RES		512
#define RES_RAX		(RES + 0)
#define RES_RBX		(RES + 8)
#define RES_RCX		(RES + 16)
#define RES_RDX		(RES + 24)
#define RES_RSI		(RES + 32)
#define RES_RDI		(RES + 40)
#define RES_RBP		(RES + 48)
#define RES_RSP		(RES + 56)
#define RES_R8		(RES + 64)
#define RES_R9		(RES + 72)
#define RES_R10		(RES + 80)
#define RES_R11		(RES + 88)
#define RES_R12		(RES + 96)
#define RES_R13		(RES + 104)
#define RES_R14		(RES + 112)
#define RES_R15		(RES + 120)
#define RES_RIP		(RES + 128)
#define RES_RFLAGS	(RES + 136)
#define RES_APP_FS	(RES + 144)
#define RES_APP_CR3	(RES + 152)
#define RES_SENTRY_CR3	(RES + 160)
#define RES_SENTRY_RSP	(RES + 168)
#define RES_SENTRY_FS	(RES + 176)
#define RES_APP_FPU	(RES + 184)
#define RES_SENTRY_FPU	(RES + 192)
#define RES_XMASK	(RES + 200)
#define RES_FLAGS	(RES + 208)
#define RES_EVENT	(RES + 216)
#define RES_VECTOR	(RES + 224)
#define RES_ERROR	(RES + 232)
#define RES_CR2		(RES + 240)
#define RES_PILL_RIP	(RES + 248)
#define RES_REQUEST	(RES + 256) /* seven words */
#define RES_REPLY	(RES + 312)
#define RES_HOT		(RES + 320) /* eight words */
#define RES_DIRECT	(RES + 384) /* eight words */
#define RES_SIZE	448

#define RES_F_XSAVE    1
#define RES_F_FSGSBASE 2
#define RES_F_SYSRET   4
#define RES_F_LIVE     8  /* the vCPU has the app's vector state and FS base: load neither */
#define RES_F_CR3      16 /* and its CR3 */

#define RES_EV_SYSCALL	 1 /* the app's */
#define RES_EV_EXCEPTION 2
#define RES_EV_KICKED	 3
#define RES_EV_HOST	 4 /* the host lacks the page that the app touched */
#define RES_EV_BROKEN	 5

/* IRET frame, offsets. */
#define RING_FRAME_RIP	  0
#define RING_FRAME_CS	  8
#define RING_FRAME_RFLAGS 16
#define RING_FRAME_RSP	  24
#define RING_FRAME_SS	  32
#define RING_FRAME_SIZE	  40

/* What the handler answers the entry. */
#define RING_FORWARD  0 /* the sentry decides */
#define RING_SLOW     1 /* the table does not decide: ask the slow part of the handler */
#define RING_ANSWERED 2 /* without a record; greater is the address of one */

/* Offsets in struct ring_record. */
#define RING_RECORD_ARG	   0
#define RING_RECORD_RIP	   48
#define RING_RECORD_RESULT 56
#define RING_RECORD_SIZE   80

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
	int64_t result;
	uint8_t action, flags, gate, pad; /* with rule: the first half of struct img_verdict */
	uint32_t rule;
	uint32_t nr, pad2;
};

struct ring_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
};

/* For a sentry that runs in ring 0. Written by it, or by the host, while the app does not run. */
struct ring_resident {
	struct ring_regs app; /* saved when the app is left, loaded when it goes on */
	uint64_t app_fs;
	uint64_t app_cr3, sentry_cr3;
	uint64_t sentry_rsp; /* where the sentry goes on: a return address is there */
	uint64_t sentry_fs;
	uint64_t app_fpu, sentry_fpu; /* XSAVE areas, in sentry memory */
	uint64_t xmask;
	uint64_t flags; /* RES_F_* */
	uint64_t event; /* RES_EV_*: why the app was left */
	uint64_t vector, error, cr2;
	uint64_t pill_rip;
	uint64_t request[7]; /* a host call of the sentry: number and arguments */
	int64_t reply;
	uint64_t hot[8]; /* host calls that are asked for by request, by number */
	uint64_t direct[8]; /* calls of the app that go to the host at once, by number */
};

/* First page of a vCPU's block. IN: written by the host while the vCPU is outside the guest;
 * OUT: by ring 0. */
struct ring_cpu {
	uint64_t stack_top; /* IN */
	uint32_t kick;	    /* IN, any time: leave at the next return to ring 3 */
	uint32_t pad;
	uint64_t user_rsp; /* scratch of the entry; the host finds the app's RSP there */
	union { /* scratch of the entry: the call's number, then its result */
		uint64_t user_rax;
		uint32_t user_nr;
	};
	uint64_t image; /* IN: guest address of the policy image; 0: none */
	uint64_t calls; /* IN: guest address of the verdict table of the process's view in it */
	uint64_t next;	/* OUT: guest address of the next record; the host takes all at once */
	uint64_t limit; /* IN: end of the records */
	int64_t consts[RING_CONSTS];	 /* IN */
	uint64_t answered[RING_ACTIONS]; /* OUT: unrecorded calls answered, by enum pol_action */
	_Alignas(512) struct ring_resident res;
};

_Static_assert(offsetof(struct ring_cpu, stack_top) == RING_CPU_STACK_TOP, "ring_cpu.stack_top");
_Static_assert(offsetof(struct ring_cpu, user_rsp) == RING_CPU_USER_RSP, "ring_cpu.user_rsp");
_Static_assert(offsetof(struct ring_cpu, user_rax) == RING_CPU_USER_RAX, "ring_cpu.user_rax");
_Static_assert(offsetof(struct ring_cpu, kick) == RING_CPU_KICK, "ring_cpu.kick");
_Static_assert(offsetof(struct ring_cpu, res) == RES, "ring_cpu.res");
#define RES_AT(f) (RES + offsetof(struct ring_resident, f))
_Static_assert(RES_AT(app.rsp) == RES_RSP && RES_AT(app.r15) == RES_R15 &&
		       RES_AT(app.rflags) == RES_RFLAGS && RES_AT(app_fs) == RES_APP_FS &&
		       RES_AT(sentry_cr3) == RES_SENTRY_CR3 && RES_AT(sentry_rsp) == RES_SENTRY_RSP &&
		       RES_AT(sentry_fs) == RES_SENTRY_FS && RES_AT(app_fpu) == RES_APP_FPU &&
		       RES_AT(sentry_fpu) == RES_SENTRY_FPU && RES_AT(xmask) == RES_XMASK &&
		       RES_AT(flags) == RES_FLAGS && RES_AT(event) == RES_EVENT &&
		       RES_AT(cr2) == RES_CR2 && RES_AT(pill_rip) == RES_PILL_RIP &&
		       RES_AT(request) == RES_REQUEST && RES_AT(reply) == RES_REPLY &&
		       RES_AT(hot) == RES_HOT &&
		       RES_AT(direct) == RES_DIRECT && sizeof(struct ring_resident) == RES_SIZE,
	       "ring_resident");
_Static_assert(sizeof(struct ring_cpu) <= 4096, "ring_cpu fits its page");
_Static_assert(offsetof(struct ring_cpu, next) == RING_CPU_NEXT, "ring_cpu.next");
_Static_assert(offsetof(struct ring_record, arg) == RING_RECORD_ARG &&
		       offsetof(struct ring_record, rip) == RING_RECORD_RIP &&
		       offsetof(struct ring_record, result) == RING_RECORD_RESULT &&
		       sizeof(struct ring_record) == RING_RECORD_SIZE,
	       "ring_record");
_Static_assert(RING_RECORDS * sizeof(struct ring_record) <= RING_CPU_SIZE - RING_CPU_RECORDS,
	       "records fit the block");
_Static_assert(sizeof(struct ring_frame) == RING_FRAME_SIZE, "ring_frame");
_Static_assert(offsetof(struct ring_frame, rsp) == RING_FRAME_RSP, "ring_frame.rsp");
#endif
#endif
