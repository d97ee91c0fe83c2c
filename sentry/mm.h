/* App address spaces: VMAs, page faults, the break, limits. Owner: sentry/mm*.c.
 * One struct mm per app process, shared by its threads, internally locked. */
#ifndef SBX_SENTRY_MM_H
#define SBX_SENTRY_MM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "sentry/gmem.h"
#include "sentry/platform.h"

struct file;
struct mm;
struct sandbox;

#define MM_ADDR_MAX 0x7ffffffff000ull /* first address above app mappings: TASK_SIZE of x86-64 */

/* Window page allocator; one per sandbox. limit_bytes: 0 for none. */
int mm_global_init(struct platform *p, uint64_t limit_bytes, struct sbx_err **e);

/* To be called about once a second: lets go of mapped files that nobody mapped again for a while. */
void mm_text_age(void);
/* The same for all of them, before the pool goes (tests). */
void mm_text_exit(void);

int mm_create(struct platform *p, struct mm **out); /* 0 or -errno */
/* Puts mappings where they would be without chance: for an empty address space. */
void mm_fix_layout(struct mm *mm);
/* Copy for a new process: private pages are shared until one side writes to them. 0 or -errno. The
 * cost grows with the pages that are present, not with the size of the mappings. */
int mm_fork(struct mm *from, struct mm **out);
struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);
struct platform_as *mm_as(struct mm *mm);

/* System calls of the family; results as Linux's: address or -errno. */
int64_t mm_mmap(struct mm *mm, uint64_t addr, uint64_t len, int prot, int flags, struct file *f,
		uint64_t off);
int mm_munmap(struct mm *mm, uint64_t addr, uint64_t len);
int mm_mprotect(struct mm *mm, uint64_t addr, uint64_t len, int prot);
/* The first file mapped in [addr, addr + len) that was opened without the verb `exec`, so that
 * mm_mprotect refuses PROT_EXEC there. Referenced, or NULL. */
struct file *mm_unexecutable(struct mm *mm, uint64_t addr, uint64_t len);
int64_t mm_mremap(struct mm *mm, uint64_t old, uint64_t old_len, uint64_t new_len, int flags,
		  uint64_t new_addr);
int mm_madvise(struct mm *mm, uint64_t addr, uint64_t len, int advice);
int mm_msync(struct mm *mm, uint64_t addr, uint64_t len, int flags);
int mm_mincore(struct mm *mm, uint64_t addr, uint64_t len, struct gptr vec);
uint64_t mm_brk(struct mm *mm, uint64_t addr);
/* mlock and munlock: nothing of the host is locked, but the pages are made present and counted.
 * limit is RLIMIT_MEMLOCK in bytes. */
void mm_set_memlock(struct mm *mm, uint64_t limit); /* for mappings that are locked from the start */
int mm_mlock(struct mm *mm, uint64_t addr, uint64_t len, bool on_fault, uint64_t limit);
int mm_munlock(struct mm *mm, uint64_t addr, uint64_t len);
int mm_mlockall(struct mm *mm, int flags, uint64_t limit);
int mm_munlockall(struct mm *mm);

/* ---- objects whose pages several address spaces map: System V shared memory ---- */

struct mm_shm;

struct mm_shm_ops { /* called with an address space locked */
	void (*attached)(void *owner);
	void (*detached)(void *owner); /* owner may let go of the object here */
};

/* A new object of so many bytes; name as /proc/PID/maps shows it, living as long as the object.
 * NULL: out of memory. */
struct mm_shm *mm_shm_create(const char *name, uint64_t size, uint64_t ino,
			     const struct mm_shm_ops *ops, void *owner);
struct mm_shm *mm_shm_get(struct mm_shm *s);
void mm_shm_put(struct mm_shm *s);
/* Bytes of it that are present. */
uint64_t mm_shm_resident(struct mm_shm *s);
/* Maps all of s: at addr, which must be free unless remap says to replace what is there; addr 0:
 * anywhere. may_write: mprotect can make it writable. The address or -errno. */
int64_t mm_shmat(struct mm *mm, struct mm_shm *s, uint64_t addr, int prot, bool may_write,
		 bool remap);
/* Removes the mappings that mm_shmat made at addr. 0 or -EINVAL. */
int mm_shmdt(struct mm *mm, uint64_t addr);
/* Is a mapping of so many bytes more than all memory, so that it is refused? */
bool mm_overcommits(uint64_t n);

/* Memory policies of mappings (mbind), 0 to 63, for the app to read back: there is one node. 0 or
 * -EFAULT where nothing is mapped. */
int mm_set_policy(struct mm *mm, uint64_t addr, uint64_t len, unsigned policy);
int mm_get_policy(struct mm *mm, uint64_t addr, unsigned *policy);
/* Is the page at addr present? 1, 0, or -EFAULT where nothing is mapped. */
int mm_page_present(struct mm *mm, uint64_t addr);

/* What a page fault of the app means. */
enum mm_fault_result {
	MM_FAULT_OK,	  /* mapped now: run again */
	MM_FAULT_MAPERR,  /* SIGSEGV, SEGV_MAPERR */
	MM_FAULT_ACCERR,  /* SIGSEGV, SEGV_ACCERR */
	MM_FAULT_BUS,	  /* SIGBUS, BUS_ADRERR: past the end of a file */
	MM_FAULT_NOMEM,	  /* the sandbox's memory limit (or the host's memory) is used up */
};
/* access: PLATFORM_READ, WRITE or EXEC. */
enum mm_fault_result mm_fault(struct mm *mm, uint64_t addr, unsigned access);

/* Called, with an address space locked, when a copy for a system call finds no memory: the call gets
 * EFAULT, but the program is over its limit. */
void mm_on_nomem(void (*fn)(void));

/* Layout chosen by the loader. */
struct mm_layout {
	uint64_t start_code, end_code, start_data, end_data, start_brk;
	uint64_t start_stack, arg_start, arg_end, env_start, env_end;
	uint64_t vdso; /* address of the mapped vDSO */
};
struct mm_layout *mm_layout(struct mm *mm);

/* Bytes: for /proc/self/status, statm, rusage. */
struct mm_usage {
	uint64_t vsize, vsize_peak, rss, rss_peak, data, stack, text, locked, swap;
	uint64_t rss_anon, rss_file, rss_shm; /* only from mm_resident */
};
void mm_usage(struct mm *mm, struct mm_usage *out);
/* The same with this address space's own pages as rss, by kind: looks every file page up. */
void mm_resident(struct mm *mm, struct mm_usage *out);

/* /proc/PID/maps, in its exact format. */
void mm_print_maps(struct mm *mm, struct buf *out);
/* /proc/PID/smaps and smaps_rollup. */
void mm_print_smaps(struct mm *mm, struct buf *out);
void mm_print_smaps_rollup(struct mm *mm, struct buf *out);

/* Bytes of private memory that were made present (no lock is taken), and of those that the host holds; a
 * page that several address spaces share counts in part. */
uint64_t mm_present(struct mm *mm);
uint64_t mm_private(struct mm *mm);

/* RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK in bytes, as set by the task's rlimits. */
void mm_set_limits(struct mm *mm, uint64_t as, uint64_t data, uint64_t stack);

/* ---- loader (sentry/loader.c) ---- */

struct loader_args {
	struct file *exe;	  /* opened program, borrowed */
	const char *path;	  /* as the app is to see it in AT_EXECFN and /proc/self/exe */
	const char *const *argv;  /* host strings, NULL-terminated */
	const char *const *envp;
	uint32_t uid, gid;
	uint64_t hwcap2;
	bool fixed; /* no random addresses; mm_fix_layout was called */
	/* Opens an interpreter through the policy's exec verb; argv: of the one after "#!", which is a
	 * program that is started, or NULL: PT_INTERP. 0 with *out referenced, or -errno. */
	int (*open_exec)(void *arg, const char *path, const char *const *argv, struct file **out);
	void *open_arg;
};
struct loader_result {
	uint64_t entry, stack; /* initial RIP and RSP */
	char comm[16];
	/* What /proc/self/exe shows: the program, or a script's interpreter. Referenced for the
	 * caller when loader_exec succeeds. */
	struct file *exe;
};
/* Builds a fresh process image in mm (empty on entry). 0 or -errno (-ENOEXEC, -ENOENT for a missing
 * interpreter, -ELIBBAD ...); *why, when not NULL, gets a static sentence for the user. */
int loader_exec(struct mm *mm, const struct loader_args *a, struct loader_result *out,
		const char **why);

#endif
