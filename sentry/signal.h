/* Signals of the app. Owner: sentry/signal.c (queues, sending, delivery), sigframe.c (frames on the
 * app's stack), sys_signal.c (calls).
 *
 * struct sighand is per process: actions and the shared queue. struct signal_state is per thread.
 * Both are guarded by sighand->lock; the masks are atomics so that task_pending needs no lock. */
#ifndef SBX_SENTRY_SIGNAL_H
#define SBX_SENTRY_SIGNAL_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "sentry/gmem.h"

struct platform;
struct proc;
struct task;

#define SIGNAL_MAX	   64
#define sig_bit(n)	   (1ull << ((n)-1))
#define SIGNAL_UNBLOCKABLE (sig_bit(SIGKILL) | sig_bit(SIGSTOP))

struct sig_entry { /* one queued signal */
	struct list node;
	siginfo_t info;
	bool embedded; /* part of a timer: not freed when dequeued */
	int overrun;   /* embedded: further expirations since it was queued */
	int delivered; /* embedded: what overrun was when it was last taken off a queue */
};

struct sig_pending {
	struct list queue;
	_Atomic uint64_t set;
};

struct sig_action { /* struct sigaction of the x86-64 kernel interface */
	uint64_t handler, flags, restorer, mask;
};

struct sighand {
	atomic_int refs;
	pthread_mutex_t lock;
	struct sig_actions *acts; /* the pointer changes under lock */
	struct sig_pending shared;
	unsigned queued; /* entries in all queues, against RLIMIT_SIGPENDING */
};

struct signal_state {
	_Atomic uint64_t blocked;
	_Atomic uint64_t waitset; /* rt_sigtimedwait: blocked signals that wake the task */
	struct sig_pending pending;
	uint64_t saved_mask; /* sigsuspend, ppoll ...: mask to go back to */
	bool restore_mask;
	uint64_t alt_sp, alt_size; /* sigaltstack */
	uint32_t alt_flags;
	uint64_t trapno, error, cr2; /* of the last CPU exception, for the frame */
};

struct sighand *sighand_create(void);
struct sighand *sighand_get(struct sighand *sh);
void sighand_put(struct sighand *sh);
struct signal_state *signal_state_create(uint64_t blocked);
void signal_state_destroy(struct signal_state **s, struct sighand *sh);

/* ---- sigaction.c: actions; sh->lock held except where two processes or an address are named ---- */

struct sig_actions;
struct sig_actions *sig_actions_create(void); /* all default; NULL: out of memory */
void sig_actions_put(struct sig_actions *a);
struct sig_action sighand_action(const struct sighand *sh, int sig);
void sighand_set_action(struct sighand *sh, int sig, const struct sig_action *act);
void sighand_set_default(struct sighand *sh, int sig);
/* For a new process: the same actions, or from now on those of both (CLONE_SIGHAND). No lock held. */
void sighand_copy_actions(struct sighand *to, struct sighand *from);
void sighand_share_actions(struct sighand *to, struct sighand *from);
/* Shared actions become sh's own. No lock held. 0 or -ENOMEM. */
int sighand_own_actions(struct sighand *sh);

/* Sends to a process (any thread takes it) or to one thread. info->si_signo says which.
 * 0, or -EAGAIN when the queue of a real-time signal is full. */
int signal_send_proc(struct proc *p, const siginfo_t *info);
int signal_send_task(struct task *t, const siginfo_t *info);
/* As signal_send_task for what cannot be blocked or ignored: faults. */
void signal_force(struct task *t, const siginfo_t *info);
/* Signal sig with si_code SI_KERNEL to the calling task's thread: SIGPIPE, SIGXFSZ. */
void signal_raise(struct task *t, int sig);
/* Queues a timer's entry unless it is queued already (then counts an overrun). more: overruns beside. */
void signal_send_entry(struct proc *p, struct task *t, struct sig_entry *e, unsigned more);
/* Takes a timer's entry out of the queue it may be in. */
void signal_cancel_entry(struct proc *p, struct sig_entry *e);

/* Sets the action of sig; drops what is pending and now ignored. */
void signal_set_action(struct proc *p, int sig, const struct sig_action *act);

/* execve: every handler becomes the default action; what was ignored stays so. */
void signal_reset_actions(struct sighand *sh);

/* Drops what is pending for a process that ended. */
void signal_flush(struct proc *p);

/* True when a signal can be delivered to t now. */
bool signal_pending(const struct task *t);

/* Delivers what is pending, finishes or restarts the interrupted call; the app's registers are
 * ready for platform_run afterwards. Only the task itself. */
void signal_deliver(struct task *t);

/* Sets the mask (SIGKILL and SIGSTOP excepted) of t, the calling task. */
void signal_set_mask(struct task *t, uint64_t mask);

/* Temporary mask of ppoll, pselect6, epoll_pwait, rt_sigsuspend: in force until the call returns
 * (and, when it returns -ERESTARTNOHAND, until the handler has its frame). A handler that was
 * interrupted must return -ERESTARTNOHAND. */
void signal_push_mask(struct task *t, uint64_t mask);

/* Gives signals that only t could take to another thread: after t blocks more, or as it ends. */
void signal_retarget(struct task *t, uint64_t newly_blocked);

/* Takes one signal of set off t's queues; false when there is none. */
bool signal_dequeue(struct task *t, uint64_t set, siginfo_t *info);

/* ---- sigframe.c ---- */

/* Builds the handler's frame and points the registers at the handler. 0 or -EFAULT. mask is what
 * sigreturn restores. */
int sigframe_setup(struct task *t, const struct sig_action *act, const siginfo_t *info,
		   uint64_t mask);
/* rt_sigreturn: 0, or -EFAULT for a frame that cannot be restored. */
int sigframe_restore(struct task *t);

/* Bytes of stack that one signal frame may take: AT_MINSIGSTKSZ. */
size_t signal_frame_size(const struct platform *p);

/* sigaltstack with values in host memory. 0 or -errno. */
int signal_altstack(struct task *t, const stack_t *new_ss, stack_t *old_ss, uint64_t sp);

#endif
