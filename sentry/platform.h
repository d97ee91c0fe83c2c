/* The one seam between Linux semantics (sentry/) and hardware (kvm/).
 *
 * A platform owns one machine: its app memory (the window), its app address spaces and its
 * execution contexts. Nothing of KVM shows here; unit tests implement it with a fake.
 *
 * The window is a host-virtual range that backs all app memory. An app page is (window offset); the
 * sentry reads and writes app memory through window base + offset. How window offsets become
 * guest-physical addresses is the platform's business. */
#ifndef SBX_SENTRY_PLATFORM_H
#define SBX_SENTRY_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct platform;
struct platform_as;  /* an app address space: a page table */
struct platform_ctx; /* an execution context: a vCPU, owned by one host thread at a time */

#define PLATFORM_PAGE 4096u

enum {
	PLATFORM_READ = 1,
	PLATFORM_WRITE = 2,
	PLATFORM_EXEC = 4,
	/* A hint of platform_map: the host has these pages and the app will soon use them. On some
	 * machines the hardware's first access to each page is slow, and those near it come along
	 * when this is set. */
	PLATFORM_HOT = 8,
};

/* General registers of the app, as in struct user_regs_struct. Segment bases are separate. */
struct platform_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
};

enum platform_event_kind {
	PLATFORM_SYSCALL,     /* SYSCALL: regs.rax is the number, rip is past the instruction */
	PLATFORM_FAULT,	      /* CPU exception in ring 3: vector, error, addr (CR2 for #PF) */
	PLATFORM_INTERRUPTED, /* platform_kick, or a host signal: nothing else happened */
	PLATFORM_BROKEN,      /* the machine is dead; message says why, a register dump was logged */
};

struct platform_event {
	enum platform_event_kind kind;
	uint32_t vector; /* 0..31 */
	uint32_t error;	 /* CPU error code; for #PF: 1 present, 2 write, 4 user, 16 fetch */
	uint64_t addr;	 /* CR2, for #PF */
	bool host_fault; /* #PF whose page is mapped, but whose host page cannot be had: SIGBUS */
	const char *message;
};

/* Constants that tier 0 answers from, per context; written by the sentry through
 * platform_ctx_consts before the context runs and whenever one changes. The index is the
 * `tier0` column of the system call table. */
enum platform_const {
	PLATFORM_CONST_NONE,
	PLATFORM_CONST_PID,
	PLATFORM_CONST_TID,
	PLATFORM_CONST_PPID,
	PLATFORM_CONST_UID,
	PLATFORM_CONST_EUID,
	PLATFORM_CONST_GID,
	PLATFORM_CONST_EGID,
	PLATFORM_CONST_MAX
};

/* One call that tier 0 decided by itself. Produced in ring 0, handed to the sentry in order. */
struct platform_tier0_record {
	uint64_t arg[6];
	uint64_t rip;
	int64_t result; /* what the app got in RAX */
	uint8_t action; /* enum pol_action */
	uint8_t flags;	/* enum pol_verdict_flags */
	uint8_t gate;	/* enum pol_gate */
	uint8_t pad;
	uint32_t rule; /* rule id of the verdict */
	uint32_t nr;
	uint32_t pad2;
};

/* Counters of one context; `syscalls_*` count app system calls by where they were answered. */
struct platform_stats {
	uint64_t exits;		/* returns from guest mode to the host */
	uint64_t tier0;		/* answered in ring 0 */
	uint64_t forwarded;	/* PLATFORM_SYSCALL events */
	uint64_t faults;	/* PLATFORM_FAULT events */
	uint64_t interrupts;	/* PLATFORM_INTERRUPTED events */
	uint64_t cr3_writes;	/* executed by ring 0 */
	uint64_t tier0_deny, tier0_emulate, tier0_const; /* tier0 by kind of answer */
	/* A sentry in ring 0 only. */
	uint64_t tier1;		/* events (calls and faults) finished without an exit */
	uint64_t requests;	/* host calls asked for by a request block */
	uint64_t red_pills;	/* moves to host mode */
	uint64_t blue_pills;	/* moves to ring 0 */
	uint64_t ring0_faults;	/* red pills by an exception or a missing host page */
};

/* Where the sentry runs between two events of an app: in the host, or in guest ring 0, from where it
 * only leaves for what the host must do. AUTO: what is faster on this machine. */
enum platform_residency {
	PLATFORM_RESIDENCY_AUTO,
	PLATFORM_RESIDENCY_HOST,
	PLATFORM_RESIDENCY_GUEST, /* platform_create fails where this cannot be */
};

/* How a sentry in host mode gets into ring 0: by switching there, or by an instruction that faults in
 * host mode and does nothing in ring 0. The first is faster. */
enum platform_pill {
	PLATFORM_PILL_DIRECT,
	PLATFORM_PILL_FAULT,
};

/* The function that makes host calls which a signal may cancel: call(flag, nr, args) tests *flag at
 * begin, and its SYSCALL instruction, the only one, ends at end. There RBX holds flag, and it may
 * start over at begin. A sentry in ring 0 has such calls made by it. */
struct platform_cancel {
	long (*call)(const void *flag, long nr, const long arg[6]);
	const char *begin, *end;
};

struct platform_opts {
	const void *image; /* compiled policy image, page aligned, borrowed for the machine's life */
	size_t image_len;
	/* Takes n tier-0 records of a context; called in the context's thread from platform_run,
	 * before the event that follows them. arg is the context's tag. */
	void (*tier0)(void *tag, const struct platform_tier0_record *rec, size_t n);
	size_t window_max; /* bytes of window wanted; 0: as much as the machine allows */
	enum platform_residency residency;
	enum platform_pill pill;
	struct platform_cancel cancel; /* call NULL: none */
};

/* Creates the machine. One line in *e says what is missing when it fails. */
int platform_create(const struct platform_opts *opts, struct platform **out, struct sbx_err **e);
void platform_destroy(struct platform **p);

/* Number of contexts that can exist at once. */
unsigned platform_ctx_max(const struct platform *p);

/* Does the sentry run in guest ring 0? */
bool platform_resident(const struct platform *p);

/* The value AT_HWCAP2 announces to the app (bit 1: FSGSBASE usable). */
uint64_t platform_hwcap2(const struct platform *p);

/* XCR0 that the app runs with, and the size of its XSAVE area (standard format, CPUID 0xD). */
uint64_t platform_xcr0(const struct platform *p);
size_t platform_fpu_size(const struct platform *p);

/* The app reads the host's TSC (RDTSC gives equal values in both): a vDSO may use it. khz is its
 * frequency. */
bool platform_tsc_shared(const struct platform *p, uint64_t *khz);

/* The CPU says that its TSC has one rate and never stops (CPUID 0x80000007, EDX bit 8). */
bool platform_tsc_invariant(const struct platform *p);

/* ---- window ---- */

/* Base address and size of the window: reserved PROT_NONE; the sentry maps into it with MAP_FIXED. */
void *platform_window(const struct platform *p, size_t *size);

/* Makes [off, off+len) reachable from the guest; must precede platform_map of it. Idempotent.
 * 0 or -ENOMEM. Thread safe. */
int platform_window_commit(struct platform *p, uint64_t off, uint64_t len);

/* How the sentry mapped a part of the window. On some machines the platform has to make the host
 * drop its own translations of pages that were unmapped or narrowed, without losing their contents
 * and without a moment in which another thread's access to them would fail; how depends on this. */
enum platform_backing {
	PLATFORM_BACKING_PRIVATE_RW, /* MAP_PRIVATE or anonymous, PROT_READ|PROT_WRITE: the default */
	PLATFORM_BACKING_PRIVATE_RO, /* MAP_PRIVATE, PROT_READ */
	PLATFORM_BACKING_SHARED,     /* MAP_SHARED of a memfd or file, any protection */
};

/* Records the backing of [off, off+len); call it after mapping something else than the default
 * there, before platform_map, and again when the range goes back to the default. Cheap. */
void platform_window_backing(struct platform *p, uint64_t off, uint64_t len,
			     enum platform_backing kind);

/* ---- address spaces: all thread safe, addresses and lengths page aligned, below 2^47 ---- */

int platform_as_create(struct platform *p, struct platform_as **out); /* 0 or -errno */
void platform_as_destroy(struct platform_as **as); /* no context may be attached */

/* Maps len bytes at va to window offset off, replacing what was there. 0 or -ENOMEM. May be lazy in
 * flushing only when it adds to or widens what was mapped; replacing a present page by a different
 * one, or narrowing it, is complete on all contexts at return. */
int platform_map(struct platform_as *as, uint64_t va, uint64_t len, uint64_t off, unsigned prot);

/* Changes of address spaces never involve the calling thread's own context in a wait; they may be
 * made by a thread that owns a stopped context of the same address space. Addresses at or above
 * 0x7ffffffff000 are refused with -EINVAL by platform_map and ignored by the others. */

/* Removes translations. At return no context can reach the old pages. */
void platform_unmap(struct platform_as *as, uint64_t va, uint64_t len);

/* Changes the protection of the pages that are present; same guarantee. prot 0 removes them. */
void platform_protect(struct platform_as *as, uint64_t va, uint64_t len, unsigned prot);

/* Takes the right to write from the pages that are present in n ranges, with one wait for all of them;
 * same guarantee. The cost grows with the page tables that exist there. */
struct platform_range {
	uint64_t va, len;
};
void platform_write_protect(struct platform_as *as, const struct platform_range *r, size_t n);

/* Is one context all that runs in the address space? Asked by its owner, who alone could add another. */
bool platform_as_alone(struct platform_as *as);

/* Looks up one page: window offset of the page that contains va, and its protection.
 * False when not present. */
bool platform_lookup(struct platform_as *as, uint64_t va, uint64_t *off, unsigned *prot);

/* ---- contexts ---- */

/* tag is passed to the tier0 callback. 0 or -errno (-EAGAIN: platform_ctx_max reached). */
int platform_ctx_create(struct platform *p, struct platform_as *as, void *tag,
			struct platform_ctx **out);
void platform_ctx_destroy(struct platform_ctx **ctx);

/* Ends its stay in its address space, for good: the thread that ran it calls this before others may destroy
 * that. platform_ctx_destroy follows. */
void platform_ctx_detach(struct platform_ctx *ctx);

/* A word of the caller's that belongs to the vCPU: NULL at first, and what it was when platform_ctx_create
 * hands the same one out again. */
void **platform_ctx_worker(struct platform_ctx *ctx);

/* Moves the context to another address space (execve). */
void platform_ctx_set_as(struct platform_ctx *ctx, struct platform_as *as);

/* The app's registers: valid and writable between calls of platform_run. */
struct platform_regs *platform_ctx_regs(struct platform_ctx *ctx);

/* FS and GS base. The app may change them by WRFSBASE at any time; these read the live value.
 * set: -EPERM when v is not a user address. */
uint64_t platform_ctx_fsbase(struct platform_ctx *ctx);
uint64_t platform_ctx_gsbase(struct platform_ctx *ctx);
int platform_ctx_set_fsbase(struct platform_ctx *ctx, uint64_t v);
int platform_ctx_set_gsbase(struct platform_ctx *ctx, uint64_t v);

/* x87/SSE/AVX state as a standard-format XSAVE area of platform_fpu_size bytes. load refuses a bad
 * image with -EINVAL and leaves the state alone; a NULL image loads the initial state. */
int platform_ctx_fpu_save(struct platform_ctx *ctx, void *area);
int platform_ctx_fpu_load(struct platform_ctx *ctx, const void *area);

/* Array of PLATFORM_CONST_MAX values for tier 0. */
int64_t *platform_ctx_consts(struct platform_ctx *ctx);

/* Selects the view of the policy (policy/eval.h) whose verdict table tier 0 uses. */
void platform_ctx_set_view(struct platform_ctx *ctx, uint32_t view);

/* Runs the app until its next event. The calling host thread owns ctx. */
void platform_run(struct platform_ctx *ctx, struct platform_event *ev);

/* Makes the context's current or next platform_run return PLATFORM_INTERRUPTED soon. Any thread;
 * async-signal-safe. Uses the host signal PLATFORM_KICK_SIGNAL, which it sends to the thread that is
 * in platform_run (and only then), so host system calls of the sentry are not interrupted by it. */
void platform_kick(struct platform_ctx *ctx);

/* Real-time signal number the platform reserves in the host process. */
int platform_kick_signal(void);

void platform_ctx_stats(const struct platform_ctx *ctx, struct platform_stats *out);

#endif
