/* What the probe found about this machine's KVM: `sbx doctor` prints it. */
#ifndef SBX_KVM_PROBE_H
#define SBX_KVM_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct kvm_facts {
	int api_version;
	bool has_sync_regs, has_immediate_exit;
	unsigned max_vcpus, max_slots;
	unsigned phys_bits;
	uint64_t window_size; /* bytes of app memory that can be addressed */
	bool syscall_entry;   /* SYSCALL enters ring 0; else it arrives as a fetch fault at LSTAR */
	bool shadow;	      /* page tables are shadowed: host changes must be zapped */
	bool fsgsbase, smep, smap, umip, pge;
	bool xsave;
	bool xsave_unlisted, fsgsbase_unlisted; /* there, though KVM's CPUID does not say so */
	bool cpuid_native;			/* CPUID is not trapped: apps see the host's */
	uint64_t xcr0;
	size_t xsave_size;
	bool tsc_shared;	  /* the guest reads the values that the host reads */
	bool tsc_invariant; /* and the CPU says that it has one rate and never stops */
	uint64_t tsc_khz;
	bool tier0;	   /* ring 0 answers what it can; decided by the probe */
	unsigned ring0_ps; /* picoseconds for one ring-0 instruction */
	unsigned probe_us; /* what start-up and probe took */
	bool fault_info;   /* KVM says which page was missing (KVM_EXIT_MEMORY_FAULT) */
};

/* Facts of a running machine. */
struct platform;
struct platform_ctx;
const struct kvm_facts *kvm_facts_get(const struct platform *p);

/* Single-steps ctx, which is about to execute a SYSCALL soon, through that system call and counts
 * the instructions executed in ring 0. Returns 0: answered in ring 0; 1: handed to the host;
 * -ENOTSUP where ring 0 decides nothing; -errno. Only for measuring: destroy ctx afterwards. */
int kvm_debug_count(struct platform_ctx *ctx, unsigned *count);

/* One step of a context that is followed: the instruction at rip comes next, or KVM_RUN returned. */
struct kvm_step {
	uint64_t rip;
	bool sentry_table; /* CR3 is the sentry's */
	bool exit;
};

/* Follows ctx, whose sentry runs in ring 0, instruction by instruction from its next entry; step is
 * called in host mode, in the middle of what is followed: it must not allocate or lock. Only for
 * measuring. 0, -ENOTSUP for a sentry in the host, or -errno. */
int kvm_trace_start(struct platform_ctx *ctx, void (*step)(void *arg, const struct kvm_step *),
		    void *arg);
void kvm_trace_stop(struct platform_ctx *ctx);

#endif
