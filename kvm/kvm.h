/* Internal to kvm/: the machine, its vCPUs and what was found about the KVM underneath.
 *
 * Guest-physical space, all assigned by a constant offset from host-virtual ranges:
 *   SYS_GPA     ring-0 text, IDT, policy image
 *   CPU_GPA     per-vCPU blocks (abi/ring_abi.h)
 *   TABLE_GPA   page-table pages, in slots of TABLE_SLOT on demand
 *   DUMMY_GPA   one page whose slot is deleted to make a shadowing KVM forget everything
 *   WINDOW_GPA  the window, in slots on demand (a slot costs time in proportion to its size) */
#ifndef SBX_KVM_KVM_H
#define SBX_KVM_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "abi/ring_abi.h"
#include "base/err.h"
#include "base/list.h"
#include "kvm/pill.h"
#include "kvm/probe.h"
#include "sentry/platform.h"

#define SYS_GPA		0x0000000001000000ull
#define DUMMY_GPA	0x000000000f000000ull
#define CPU_GPA		0x0000000010000000ull
#define TABLE_GPA	0x0000000040000000ull
#define TABLE_MAX	0x0000000080000000ull
#define TABLE_SLOT	0x0000000001000000ull
#define WINDOW_GPA	0x0000000100000000ull
#define WINDOW_SLOT	0x0000000010000000ull /* where KVM has slots enough, else WINDOW_SLOT_BIG */
#define WINDOW_SLOT_BIG 0x0000000040000000ull
#define WINDOW_ALIGN	0x0000000000200000ull
#define WINDOW_LIMIT	0x0000008000000000ull /* 512 GiB: below AMD's reserved range under 1 TiB */
#define CPUS_MAX	1024u
#define SYSCALL_CACHE	1024u

#define PAGE 4096ull

/* User addresses: [0, USER_END). The last page of the half stays out of reach, so that no SYSCALL
 * can leave a non-canonical RCX. */
#define USER_END 0x00007ffffffff000ull

enum pte_bits {
	PTE_P = 1 << 0,
	PTE_W = 1 << 1,
	PTE_U = 1 << 2,
	PTE_A = 1 << 5,
	PTE_D = 1 << 6,
	PTE_G = 1 << 8,
};
#define PTE_NX	 (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

/* Page-table pages: a reserved range, handed out in pages. */
struct table_pool {
	uint8_t *base;
	uint64_t used;	 /* bytes ever handed out */
	uint64_t backed; /* bytes that have a slot */
	uint64_t *free;	 /* stack of free gpas */
	size_t nfree, cap_free;
	uint64_t *stale; /* freed, but a shadowing KVM may still remember their contents */
	size_t nstale, cap_stale;
	pthread_mutex_t lock;
};

struct platform {
	int kvm_fd, vm_fd;
	size_t run_size;
	struct kvm_facts facts;
	struct platform_opts opts;

	uint8_t *sys; /* SYS_GPA */
	size_t sys_len;
	uint8_t *cpus; /* CPU_GPA */
	uint8_t *dummy;
	uint64_t image_len;

	pthread_mutex_t slot_lock;
	unsigned next_slot, nr_slots;
	unsigned dummy_slot;

	struct table_pool tables;
	uint64_t upper; /* gpa of the PDPT of the upper half, shared by all address spaces */

	uint8_t *window;
	size_t window_size;
	void *window_map; /* as reserved: the window is aligned to WINDOW_ALIGN in it */
	size_t window_map_len;
	uint8_t *window_kind; /* one byte per page: enum platform_backing */
	uint64_t window_slot; /* bytes per slot */
	_Atomic uint8_t committed[WINDOW_LIMIT / WINDOW_SLOT];

	struct kvm_cpuid2 *cpuid;

	int pid;
	bool lean; /* probed: SYSCALL does not enter ring 0, which has no state of its own then */
	_Atomic uint64_t syscall_at[SYSCALL_CACHE]; /* 1 + window offset of SYSCALL instructions seen */
	bool resident; /* the sentry runs in guest ring 0 */
	struct kvm_sentry_map *sentry;
	uint64_t sentry_root; /* gpa of the PML4 of the sentry's table */

	pthread_mutex_t ctx_lock;
	struct platform_ctx *idle; /* contexts whose vCPU waits for a new owner */
	unsigned nr_ctx, max_ctx;
	struct platform_ctx *all; /* every vCPU ever made */
};

struct platform_as {
	struct platform *p;
	uint64_t root;	      /* gpa of the PML4 */
	pthread_mutex_t lock; /* page tables and ctxs */
	struct list ctxs;
	_Atomic uint32_t gen; /* changes whenever a translation is removed or narrowed */
};

/* Where the guest stopped: decides how it goes on. */
enum ctx_state {
	CTX_RING0, /* halted in ring 0: go on through the resume stub */
	CTX_RING3, /* stopped in ring 3: go on directly */
};

struct platform_ctx {
	struct platform *p;
	struct platform_as *as;
	struct list as_node;
	struct platform_ctx *next_idle, *next_all;
	void *tag, *worker;
	unsigned index;
	int fd;
	struct kvm_run *run;
	struct ring_cpu *cpu; /* host address of the block */
	uint64_t cpu_va;      /* guest address of the block */

	struct platform_regs regs;
	enum ctx_state state;
	uint64_t spurious_rip, spurious_addr;
	unsigned spurious;

	_Atomic uint32_t guest_seq; /* odd: inside KVM_RUN, or about to be */
	_Atomic uint32_t waiters;
	_Atomic uint32_t kick;
	_Atomic uint32_t flush;
	_Atomic uint32_t poked; /* a kick signal is on its way */
	_Atomic int32_t tid;
	int32_t mask_tid;  /* the thread that the vCPU is set up for */
	uint8_t mask[8];   /* the vCPU's signal mask */
	bool has_mask;
	bool shares_sregs; /* the special registers are in the shared page after each KVM_RUN */
	uint32_t dirty_regs; /* of those, what the next KVM_RUN is to take in: KVM_SYNC_X86_* */
	bool fpu_initial;    /* the vector state is to be the initial one */
	bool stopped_oddly;  /* by a signal or an error: an event may be queued */
	uint32_t seen_seq; /* of kvm_as_quiesce, under as->lock */
	bool flushing;	   /* this entry goes through the flushing stub */
	bool touched;	      /* the vCPU went through the stub for its first entry */
	bool entry_fault;  /* the last system call arrived as a fetch fault */
	bool probing;	   /* any signal ends the run */
	bool broken;
	char broken_msg[160];

	struct platform_stats stats;
	uint64_t recorded[RING_ACTIONS]; /* tier-0 records taken, by action */

	/* for a sentry in ring 0 */
	struct kvm_pill pill;
	void *monitor; /* stack of the loop around KVM_RUN, then two XSAVE areas */
	size_t monitor_size;
	void *app_fpu;
	bool outside; /* a signal that is not a kick ended a stay */
	bool direct;  /* the app's call came straight to host mode */
	bool live;    /* since then the vCPU has the app's vector state, FS base and vcpu_root */
	uint64_t vcpu_root;
	uint64_t exits_at_event; /* stats.exits when the app's last event arrived */
	uint64_t last_call;	 /* its number; UINT64_MAX: not a call */
	void (*trace)(void *arg, const struct kvm_step *); /* NULL: not followed */
	void *trace_arg;
	uint8_t needs_host[512]; /* by number: how sure it is that a call needs the host */
};

/* Where SYSCALL goes. */
uint64_t kvm_lstar(const struct platform *p);

/* slots.c */
int kvm_slot_add(struct platform *p, uint64_t gpa, uint64_t len, void *host, unsigned *slot);
int kvm_slot_set(struct platform *p, unsigned slot, uint64_t gpa, uint64_t len, void *host);
int kvm_slot_try_add(struct platform *p, uint64_t gpa, uint64_t len, void *host); /* -EAGAIN: locked */
void *kvm_reserve(size_t len, int prot); /* NORESERVE mapping; NULL with errno */

/* machine.c */
int kvm_open(struct kvm_facts *f, int *fd, struct sbx_err **e);
void kvm_machine_fast_pf(struct platform *p);
void kvm_machine_resident_idt(struct platform *p);

/* pagetable.c */
int kvm_tables_init(struct platform *p);
void kvm_tables_fini(struct platform *p);
int kvm_upper_map(struct platform *p, uint64_t va, uint64_t gpa, uint64_t len, uint64_t bits);
const uint64_t *kvm_table_page(const struct platform *p, uint64_t entry);
uint64_t kvm_walk(const struct platform_as *as, uint64_t va); /* the PTE, or 0; takes no lock */

/* quirks.c */
struct zap_list {
	struct zap_run {
		uint64_t off, len;
	} run[64];
	unsigned n;
	bool all;
};
void kvm_zap_add(struct zap_list *z, uint64_t off);
void kvm_zap(struct platform *p, const struct zap_list *z);
void kvm_zap_everything(struct platform *p);

/* vcpu.c */
int kvm_vcpu_create(struct platform *p, struct platform_ctx **out);
int kvm_vcpu_reset(struct platform_ctx *ctx, struct platform_as *as);
void kvm_vcpu_free(struct platform_ctx *ctx);
int kvm_vcpu_sregs(struct platform_ctx *ctx, uint64_t cr4, uint64_t root);
int kvm_vcpu_kernel_mode(struct platform_ctx *ctx);
int kvm_vcpu_set_root(struct platform_ctx *ctx, uint64_t root);
int kvm_vcpu_trap_entry(struct platform_ctx *ctx, bool on); /* keep TF through SYSCALL */
void kvm_vcpu_swap_gs(struct platform_ctx *ctx);
uint64_t kvm_vcpu_cr2(struct platform_ctx *ctx);
bool kvm_vcpu_event_queued(struct platform_ctx *ctx);
bool kvm_vcpu_in_user(struct platform_ctx *ctx);

/* fpu.c */
int kvm_vcpu_fpu_get(struct platform_ctx *ctx, void *area);
void kvm_fpu_init(const struct platform *p, void *area);

/* run.c */
int kvm_kick_setup(void);
void kvm_as_quiesce(struct platform_as *as); /* as->lock held */
bool kvm_kick_take(struct platform_ctx *ctx);	/* a pending kick signal; true when there was one */
void kvm_leave_guest(struct platform_ctx *ctx);
void kvm_interrupted_event(struct platform_ctx *ctx, struct platform_event *ev);

/* resident.c: platform_run where the sentry is in ring 0 */
int kvm_resident_setup(struct platform *p, struct sbx_err **e);
int kvm_resident_load(struct platform_ctx *ctx); /* into the block, for ring0_enter; 0 */
void kvm_resident_run(struct platform_ctx *ctx, struct platform_event *ev);

/* The rest of the calling function runs in host mode: any system call is the red pill. */
void kvm_host_mode(void);

/* monitor.c */
int kvm_monitor_prepare(struct platform_ctx *ctx);
void kvm_monitor_adopt(struct platform_ctx *ctx);
void kvm_monitor_fini(struct platform_ctx *ctx);

/* debug.c */
void kvm_trace_arm(struct platform_ctx *ctx);  /* before KVM_RUN */
bool kvm_trace_step(struct platform_ctx *ctx); /* after it; false: it was not a step */

/* sentry_map.c */
int kvm_sentry_init(struct platform *p);
void kvm_sentry_fini(struct platform *p);
/* A page fault of ring 0 at va. True: the table has what it takes, try again. Host mode only. */
bool kvm_sentry_fault(struct platform *p, uint64_t va, uint64_t error);
/* Takes memory in that ring 0 must be able to touch without a fault. */
bool kvm_sentry_cover(struct platform *p, uint64_t va, size_t len);
const uint64_t *kvm_sentry_page(const struct platform *p, uint64_t entry); /* a page of the table */
void kvm_sentry_window(struct platform *p, uint64_t off, uint64_t len);

/* exit.c */
enum exit_what {
	EXIT_EVENT,	  /* *ev is complete */
	EXIT_AGAIN,	  /* nothing to report: continue the app with ctx->regs */
	EXIT_RUN_ON,	  /* in the middle of ring 0: continue without touching registers */
	EXIT_INTERRUPTED, /* the app can be continued; whether to report it is up to the caller */
};
enum exit_what kvm_exit_decode(struct platform_ctx *ctx, int r, struct platform_event *ev);
void kvm_broken(struct platform_ctx *ctx, struct platform_event *ev, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
enum exit_what kvm_broken_exit(struct platform_ctx *ctx, struct platform_event *ev);
enum exit_what kvm_page_fault(struct platform_ctx *ctx, struct platform_event *ev);
struct ring_frame *kvm_frame(struct platform_ctx *ctx);
uint64_t kvm_user_rflags(uint64_t rflags);

/* hostfault.c: the address whose host page is missing, as well as it can be told. */
uint64_t kvm_fault_address(struct platform_ctx *ctx);

int kvm_load(struct platform_ctx *ctx);

/* cpuid.c */
int kvm_cpuid_load(struct platform *p, struct sbx_err **e);

/* probe.c */
int kvm_probe(struct platform *p, struct sbx_err **e);

static inline uint64_t window_gpa(uint64_t off)
{
	return WINDOW_GPA + off;
}

#endif
