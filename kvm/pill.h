/* Blue pill and red pill: how a thread of the sentry gets into guest ring 0 and back. Offsets for
 * pill.S. */
#ifndef SBX_KVM_PILL_H
#define SBX_KVM_PILL_H

#define PILL_RAX      0
#define PILL_RBX      8
#define PILL_RCX      16
#define PILL_RDX      24
#define PILL_RSI      32
#define PILL_RDI      40
#define PILL_RBP      48
#define PILL_RSP      56
#define PILL_R8	      64
#define PILL_R9	      72
#define PILL_R10      80
#define PILL_R11      88
#define PILL_R12      96
#define PILL_R13      104
#define PILL_R14      112
#define PILL_R15      120
#define PILL_RIP      128
#define PILL_RFLAGS   136
#define PILL_STACK    144
#define PILL_FPU      152
#define PILL_XMASK    160
#define PILL_XSAVE    168
#define PILL_ENTER    176
#define PILL_BY_FAULT 184
#define PILL_RES      192

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi/ring_abi.h"

struct kvm_pill {
	struct ring_regs native; /* what host mode goes on with */
	void *stack;		 /* top of the stack of the loop around KVM_RUN */
	void *fpu;		 /* the sentry's vector state when it left ring 0 */
	uint64_t xmask;
	uint64_t xsave;	   /* 0: FXSAVE only */
	uint64_t enter;	   /* where ring 0 goes on to the app */
	uint64_t by_fault; /* enter by a faulting CLI instead of a direct switch */
	struct ring_resident *res;
};

_Static_assert(offsetof(struct kvm_pill, native.rflags) == PILL_RFLAGS &&
		       offsetof(struct kvm_pill, stack) == PILL_STACK &&
		       offsetof(struct kvm_pill, xmask) == PILL_XMASK &&
		       offsetof(struct kvm_pill, enter) == PILL_ENTER &&
		       offsetof(struct kvm_pill, by_fault) == PILL_BY_FAULT &&
		       offsetof(struct kvm_pill, res) == PILL_RES,
	       "kvm_pill");

void kvm_pill_switch(struct kvm_pill *pill);
bool kvm_pill_take(struct kvm_pill *pill); /* called by pill.S */
extern const char kvm_pill_cli[];
#endif
#endif
