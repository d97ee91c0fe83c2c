/* Sandbox, processes, tasks (threads). Owner: sentry/task.c. */
#ifndef SBX_SENTRY_TASK_H
#define SBX_SENTRY_TASK_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>
#include "audit/record.h"
#include "base/list.h"
#include "policy/image.h"
#include "sentry/mm.h"
#include "sentry/platform.h"

struct fdtab;
struct file;
struct fsctx;
struct job_tty; /* sentry/job.h */
struct domain;	     /* sentry/domain.h: limits of programs: */
struct signal_state; /* sentry/signal.h: per task */
struct sighand;	     /* sentry/signal.h: per process */
struct posix_timers; /* sentry/timer.c: per process */

/* One per sbx run. */
struct sandbox {
	struct platform *platform;
	const struct pol_image *image;
	struct pol_config config;
	struct audit_log *audit; /* NULL: no log was asked for */
	_Atomic uint32_t phase;	 /* of the policy: how many have begun */
	/* Guards the processes' relations: procs, next_pid, and of each process parent, children,
	 * pgid, sid and what wait4 reports. Comes before proc.lock. */
	pthread_mutex_t lock;
	struct list procs; /* living processes and zombies */
	int next_pid;
	bool pids_wrapped;
	struct proc *first; /* the sandbox ends with it */
	atomic_int nr_zombies;
	uint64_t reaped_cpu_ns; /* CPU time of processes that are gone */
	uint64_t start_mono_ns;	       /* CLOCK_MONOTONIC at start */
	_Atomic uint64_t output_bytes; /* for limits.output */
	/* How the sandbox ended; set once by sandbox_end, first caller wins. */
	atomic_bool ended;
	int end_status;		    /* exit status of sbx */
	struct audit_totals totals; /* calls by verdict; complete when sandbox_run returns */
	const char
	    *end_reason;     /* "exited", "signal 9", "terminated by policy", "memory limit" ... */
	int wake_fd;	     /* eventfd: makes the housekeeping loop look again */
	atomic_int nr_tasks; /* app threads alive, for limits.processes and the end */
	struct platform_stats stats; /* sums of the tasks that ended; guarded by lock */
};
extern struct sandbox sandbox;

struct cpu_times { /* nanoseconds */
	uint64_t user, sys;
};

struct cpu_sample { /* what the host tells of CPU time: exactly, and by sampling */
	uint64_t exact, all, user;
};

struct proc { /* thread group */
	atomic_int refs;
	struct list node; /* in sandbox.procs */
	int pid, ppid, pgid, sid;
	struct job_tty *tty; /* controlling terminal, or NULL; guarded by sandbox.lock */
	struct proc *id_next; /* with has_id: sentry/ids.c */
	bool has_id;
	struct proc *parent; /* NULL: sbx itself, which the app sees as process 1 */
	struct list children, sibling;
	atomic_int exit_signal; /* sent to the parent at the end; 0: none */
	bool zombie;	     /* ended, not waited for yet */
	atomic_bool gone;    /* off the list */
	int end_fd;	     /* eventfd of its pidfds; 0: there are none */
	int cred_fd;	     /* says in messages that it sent them: net_rights.c; 0: none did */
	bool did_exec;
	atomic_int stop_report;	 /* signal of a stop that wait4 has not told yet, or 0 */
	atomic_bool cont_report; /* the same of going on after a stop */
	_Atomic uint32_t child_event; /* changes with every event that wait4 may tell */
	_Atomic uint32_t stopped;     /* signal that stopped all threads, or 0 */
	uint32_t continued;	      /* counts what undoes a stop: see task.stop_seen */
	atomic_bool cont_event;	      /* the parent is still to be told of going on */
	_Atomic uint32_t vfork_done;  /* word that a parent in vfork sleeps on */
	_Atomic uint32_t thread_event; /* changes when a thread ends: execve sleeps on it */
	_Atomic(struct task *) exec_task; /* execve: the thread that stays */
	bool subreaper;
	int mce_kill;	  /* PR_MCE_KILL and PR_SET_THP_DISABLE, for the app to read back */
	bool thp_disable;
	_Atomic unsigned barriers; /* commands of membarrier that it registered for */
	int pdeath_sig;
	int parent_tid; /* thread of the parent whose end pdeath_sig tells */
	struct cpu_times child_cpu; /* of children that were waited for, with theirs */
	uint64_t child_maxrss;
	struct mm *mm;
	struct fdtab *fdtab;
	struct fsctx *fs;
	struct sighand *sighand;
	struct posix_timers *timers;
	struct list sem_undos; /* guarded by ipc_lock */
	struct file *exe;
	char comm[16];
	pthread_mutex_t lock; /* guards tasks, exit state, rlimits, itimers */
	struct list tasks;
	int nr_tasks;
	atomic_bool exiting; /* exit_group or a fatal signal is under way */
	int exit_code;	     /* wait status format */
	struct rlimit rlim[RLIM_NLIMITS];
	_Atomic uint32_t view; /* of phase 0: the sections of programs: that this process entered */
	struct domain *domain; /* with limits of theirs, or NULL; changed by execve, when alone */
	uint32_t uid, gid;
	uint64_t start_ns; /* CLOCK_BOOTTIME at start */
	bool dumpable;
	atomic_int oom_adj, oom_adj_min; /* /proc/PID/oom_score_adj; it cannot be made less than min */
	struct cpu_sample dead_cpu; /* of threads that ended */
	struct cpu_times cpu_seen;  /* what was told last */
	uint64_t xcpu_next_ns; /* CPU time of the next SIGXCPU */
	uint64_t maxrss_dead;
	int nice;
	_Atomic uint32_t persona; /* personality(2) */
};

struct task {
	atomic_int refs;
	struct list node; /* in proc->tasks */
	struct task *id_next; /* sentry/ids.c */
	struct proc *proc;
	int tid;
	int host_tid;		    /* of the thread that runs it, or 0 */
	struct cpu_sample cpu_base; /* what that had used before */
	struct platform_ctx *ctx;
	struct platform_regs *regs; /* platform_ctx_regs(ctx) */
	struct signal_state *sig;
	char comm[16];
	uint64_t clear_child_tid; /* set_tid_address */
	uint64_t robust_list;
	size_t robust_list_len;
	/* Interruption of host calls: see task_host_call. */
	atomic_int interrupt;
	atomic_bool exiting;
	uint64_t orig_rax;		/* number of the call in progress, for restart */
	int (*restart)(struct task *t); /* restart_syscall block */
	uint64_t restart_arg[4];
	uint64_t nr_syscalls;
	struct audit_totals totals;   /* added to the sandbox's when the task ends */
	atomic_int in_host;	      /* in task_host_call: task_interrupt must send the signal */
	_Atomic uint32_t wait_word;   /* what the task's host futex waits are on */
	long restart_code;	      /* ERESTART* that the call in progress returned, or 0 */
	uint64_t create_tid_addr;     /* CLONE_CHILD_SETTID */
	struct task_scratch *scratch; /* decode's buffers */
	uint32_t stop_seen; /* proc.continued when the signal at hand was taken off the queue */
	uint64_t cpus[16];	      /* affinity mask, as the app set it */
	int nice, sched_policy, ioprio;
	bool sched_reset_on_fork;
	bool host_sched; /* its host thread has another affinity or nice value than it began with */
	unsigned timer_slack_ns, timer_slack_default_ns;
	bool keep_caps;	    /* PR_SET_KEEPCAPS, for the app to read back */
	int exit_code;	    /* of exit(2), in wait status format */
	bool pi_gone;	    /* futex_pi_exit has been; guarded by the lock of futex_pi.c */
	unsigned mempolicy; /* of set_mempolicy: sys_numa.c */
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

/* Makes t look at its signals and state soon: leaves guest mode, ends a task_host_call. Any thread.
 */
void task_interrupt(struct task *t);
/* True when t should stop what it waits for (signal to deliver, exit). */
bool task_pending(const struct task *t);

/* Sleeps until *word differs from val, task_interrupt, or the absolute deadline on clock (NULL: no
 * limit): 0 (look again), -ETIMEDOUT or -ERESTARTSYS. clock: CLOCK_MONOTONIC or CLOCK_REALTIME. */
int task_wait(struct task *t, _Atomic uint32_t *word, uint32_t val, int clock,
	      const struct timespec *deadline);
/* Wakes every task_wait on word; the caller changed it before. */
void task_wake(_Atomic uint32_t *word);

/* Host signal that ends a task_host_call; the platform reserves another one. */
int task_signal(void);

/* Runs events of t until it exits; the body of every app thread. */
void task_loop(struct task *t);

/* CLONE_THREAD clone of t: what clone and clone3 asked for. New tid or -errno. */
struct clone_req {
	uint64_t flags, stack, tls, parent_tid, child_tid, pidfd;
};
int task_clone(struct task *t, const struct clone_req *r);

/* True when t has to leave: it, its process or the sandbox ends, or another thread calls execve. */
bool task_leaving(const struct task *t);

/* Sleeps on word as task_wait does without a limit, but only leaving ends it early: then false. */
bool task_wait_killable(struct task *t, _Atomic uint32_t *word, uint32_t val);

/* ---- processes: sentry/proc.c ---- */

/* Starts the end of the whole process with a wait status (exit_group, fatal signal). */
void proc_exit_group(struct proc *p, int wait_status);

/* Stops all threads of t's process until SIGCONT, and tells the parent. Called by a thread of it. */
void proc_stop(struct task *t, int sig);
/* Waits while t's process is stopped. */
void proc_stop_wait(struct task *t);
/* SIGCONT or SIGKILL arrived: lets the threads of a stopped process go on. p->lock held. */
void proc_continue(struct proc *p);
/* Is p's process group one that nobody could continue if a terminal's signal stopped it? */
bool proc_group_orphaned(struct proc *p);

/* The view of the policy that a thread's process has; NULL: the policy itself. */
uint32_t task_view(const struct task *t);
/* Call nr was let through: begins the phase that waits for it, for all processes. */
void phase_advance(uint32_t nr);
/* May t look into p, send it signals and change it? Not where p has rights that t has not: a process of a
 * program's section would get out of it that way. */
bool proc_may_touch(const struct task *t, const struct proc *p);

/* New process or thread as clone(2) says; the new id or -errno. */
int proc_fork(struct task *t, const struct clone_req *r);

/* Bytes of memory, CPU time: of p's own life so far. */
struct rusage;
void proc_rusage(const struct cpu_times *c, uint64_t maxrss, struct rusage *ru);

/* CPU time used, in nanoseconds: of one thread, of a process with its dead threads. */
uint64_t task_cpu_ns(const struct task *t);
uint64_t proc_cpu_ns(struct proc *p);
/* The same divided into user and system time. */
struct cpu_times task_cpu_times(const struct task *t);
struct cpu_times proc_cpu_times(struct proc *p);
/* User time as the host samples it, for ITIMER_VIRTUAL. */
uint64_t proc_user_ns(struct proc *p);
/* Adds what the host tells of t. */
void cpu_sample_add(struct cpu_sample *s, const struct task *t);

/* Begins to count the CPU time of this thread, which is t's from now on; sets t->host_tid. */
void cpu_start(struct task *t);

/* Handles a CPU exception of the app: maps the page, or sends the signal. */
void task_fault(struct task *t, const struct platform_event *ev);

/* Creates the first process and runs it to its end. Returns the exit status of sbx. */
struct sandbox_opts {
	const struct pol_image *image;
	struct audit_log *audit;
	const char *program; /* as given; resolved by PATH when it has no slash */
	const char *const *argv;
	const char *const *envp;
	bool stats;
	int changes_fd; /* gets an archive of what was changed in overlays; 0: none */
	enum platform_residency residency;
	enum platform_pill pill;
};
int sandbox_run(const struct sandbox_opts *o, struct sbx_err **e);

/* Makes the housekeeping loop compute its deadline again (timers, end of the sandbox). Any thread.
 */
void sandbox_wake(void);

/* Is limits.wall used up? */
bool sandbox_wall_over(void);

/* Ends the whole sandbox from any thread: every task is interrupted and leaves. */
void sandbox_end(int status, const char *reason);

/* What uname(2) and /proc tell of the system: the policy's names, else the defaults. */
struct utsname;
void sandbox_uname(struct utsname *u);

struct task *task_get(struct task *t);
void task_put(struct task *t);
struct task *task_by_tid(int tid); /* referenced, or NULL */
struct proc *proc_by_pid(int pid); /* living or a zombie; referenced, or NULL */
struct proc *proc_get(struct proc *p);
void proc_put(struct proc *p);

#endif
