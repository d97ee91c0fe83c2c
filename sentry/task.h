/* Sandbox, processes, tasks (threads). Owner: sentry/task.c. */
#ifndef SBX_SENTRY_TASK_H
#define SBX_SENTRY_TASK_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include "audit/record.h"
#include "base/list.h"
#include "policy/image.h"
#include "sentry/mm.h"
#include "sentry/platform.h"

struct fdtab;
struct file;
struct fsctx;
struct signal_state;  /* sentry/signal.h: per task */
struct sighand;	      /* sentry/signal.h: per process */
struct posix_timers;  /* sentry/timer.c: per process */

/* One per sbx run. */
struct sandbox {
	struct platform *platform;
	const struct pol_image *image;
	struct pol_config config;
	struct audit_log *audit; /* NULL: no log was asked for */
	_Atomic uint32_t phase;
	pthread_mutex_t lock;	 /* guards the lists below */
	struct list procs;
	int next_pid;
	uint64_t start_mono_ns;	 /* CLOCK_MONOTONIC at start */
	_Atomic uint64_t output_bytes; /* for limits.output */
	/* How the sandbox ended; set once by sandbox_end, first caller wins. */
	atomic_bool ended;
	int end_status;		 /* exit status of sbx */
	struct audit_totals totals; /* calls by verdict; complete when sandbox_run returns */
	const char *end_reason;	 /* "exited", "signal 9", "terminated by policy", "memory limit" ... */
};
extern struct sandbox sandbox;

struct proc { /* thread group */
	atomic_int refs;
	struct list node; /* in sandbox.procs */
	int pid, ppid, pgid, sid;
	struct mm *mm;
	struct fdtab *fdtab;
	struct fsctx *fs;
	struct sighand *sighand;
	struct posix_timers *timers;
	struct file *exe;
	char comm[16];
	pthread_mutex_t lock; /* guards tasks, exit state, rlimits, itimers */
	struct list tasks;
	int nr_tasks;
	bool exiting;	      /* exit_group or a fatal signal is under way */
	int exit_code;	      /* wait status format */
	struct rlimit rlim[RLIM_NLIMITS];
	uint32_t uid, gid;
	uint64_t start_ns;    /* CLOCK_BOOTTIME at start */
	bool dumpable;
};

struct task {
	atomic_int refs;
	struct list node; /* in proc->tasks */
	struct proc *proc;
	int tid;
	pthread_t thread;
	int host_tid;
	struct platform_ctx *ctx;
	struct platform_regs *regs; /* platform_ctx_regs(ctx) */
	struct signal_state *sig;
	char comm[16];
	uint64_t clear_child_tid; /* set_tid_address */
	uint64_t robust_list;
	size_t robust_list_len;
	/* Interruption of host calls: see task_host_call. */
	atomic_int interrupt;
	bool exiting;
	uint64_t orig_rax;	  /* number of the call in progress, for restart */
	int (*restart)(struct task *t); /* restart_syscall block */
	uint64_t restart_arg[4];
	uint64_t nr_syscalls;
};

/* The task whose host thread this is. */
extern __thread struct task *current;

/* Restart codes, as Linux uses inside: never seen by the app. */
#define ERESTARTSYS	      512 /* restart if SA_RESTART, else EINTR */
#define ERESTARTNOINTR	      513 /* always restart */
#define ERESTARTNOHAND	      514 /* restart only when no handler runs */
#define ERESTART_RESTARTBLOCK 516 /* through restart_syscall: t->restart */

/* A host system call that may block, interruptible without a lost wake-up: when task_interrupt was
 * called before or during it, it returns -ERESTARTSYS. Otherwise its result, negative errno on
 * failure. Never use a plain blocking libc call in the sentry. */
long task_host_call(struct task *t, long nr, long a0, long a1, long a2, long a3, long a4, long a5);

/* Makes t look at its signals and state soon: leaves guest mode, ends a task_host_call. Any thread. */
void task_interrupt(struct task *t);
/* True when t should stop what it waits for (signal to deliver, exit). */
bool task_pending(const struct task *t);

/* Creates the first process and runs it to its end. Returns the exit status of sbx. */
struct sandbox_opts {
	const struct pol_image *image;
	struct audit_log *audit;
	const char *program;	 /* as given; resolved by PATH when it has no slash */
	const char *const *argv;
	const char *const *envp;
	bool stats;
};
int sandbox_run(const struct sandbox_opts *o, struct sbx_err **e);

/* Ends the whole sandbox from any thread: every task is interrupted and leaves. */
void sandbox_end(int status, const char *reason);

struct task *task_get(struct task *t);
void task_put(struct task *t);
struct task *task_by_tid(int tid); /* referenced, or NULL */
struct proc *proc_by_pid(int pid); /* referenced, or NULL */
void proc_put(struct proc *p);

#endif
