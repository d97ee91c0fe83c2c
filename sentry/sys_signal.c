/* Signal calls. */
#include <errno.h>
#include <string.h>
#include "base/hot.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/timer.h"

#define SIGSET_SIZE 8u
#define SA_KNOWN                                                                                   \
	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |         \
	 (uint64_t)(uint32_t)SA_RESETHAND | 0x800 /* SA_EXPOSE_TAGBITS */ | 0x04000000 /* SA_RESTORER */)

static int read_mask(struct task *t, struct gptr p, uint64_t size, uint64_t *mask)
{
	if (size != SIGSET_SIZE)
		return -EINVAL;
	return gmem_read(t->proc->mm, mask, p, sizeof(*mask));
}

hot_path long sys_rt_sigaction(struct task *t, struct sysargs *a)
{
	struct sighand *sh = t->proc->sighand;
	int sig = A_INT(a, 0);
	struct sig_action act = {0}, old;

	if (a->raw[3] != SIGSET_SIZE)
		return -EINVAL;
	if (sig < 1 || sig > SIGNAL_MAX || (a->raw[1] && (SIGNAL_UNBLOCKABLE & sig_bit(sig))))
		return -EINVAL;
	if (a->raw[1] && gmem_read(t->proc->mm, &act, A_PTR(a, 1), sizeof(act)))
		return -EFAULT;
	act.flags &= SA_KNOWN; /* a program that reads them back learns what is supported */
	pthread_mutex_lock(&sh->lock);
	old = sighand_action(sh, sig);
	pthread_mutex_unlock(&sh->lock);
	if (a->raw[2] && gmem_write(t->proc->mm, A_PTR(a, 2), &old, sizeof(old)))
		return -EFAULT;
	if (a->raw[1])
		signal_set_action(t->proc, sig, &act);
	return 0;
}

hot_path long sys_rt_sigprocmask(struct task *t, struct sysargs *a)
{
	uint64_t old = atomic_load(&t->sig->blocked), set;

	if (a->raw[3] != SIGSET_SIZE)
		return -EINVAL;
	if (a->raw[1]) {
		if (read_mask(t, A_PTR(a, 1), a->raw[3], &set))
			return -EFAULT;
		switch (A_INT(a, 0)) {
		case SIG_BLOCK:
			set |= old;
			break;
		case SIG_UNBLOCK:
			set = old & ~set;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		signal_set_mask(t, set);
		if (signal_pending(t))
			atomic_store(&t->interrupt, 1);
	}
	if (a->raw[2] && gmem_write(t->proc->mm, A_PTR(a, 2), &old, sizeof(old)))
		return -EFAULT;
	return 0;
}

long sys_rt_sigreturn(struct task *t, struct sysargs *a)
{
	siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};

	if (sigframe_restore(t))
		signal_force(t, &info);
	t->orig_rax = ~0ull;
	atomic_store(&t->interrupt, 1); /* the mask changed */
	return 0;
}

long sys_rt_sigpending(struct task *t, struct sysargs *a)
{
	uint64_t set =
	    atomic_load(&t->sig->pending.set) | atomic_load(&t->proc->sighand->shared.set);
	uint64_t size = a->raw[1];

	if (size > SIGSET_SIZE)
		return -EINVAL;
	set &= atomic_load(&t->sig->blocked);
	return gmem_write(t->proc->mm, A_PTR(a, 0), &set, size);
}

long sys_rt_sigsuspend(struct task *t, struct sysargs *a)
{
	uint64_t mask;
	int r = read_mask(t, A_PTR(a, 0), a->raw[1], &mask);

	if (r)
		return r;
	signal_push_mask(t, mask);
	atomic_store(&t->wait_word, 0);
	while (!task_pending(t))
		if (task_wait(t, &t->wait_word, 0, CLOCK_MONOTONIC, NULL) == -ERESTARTSYS)
			break;
	return -ERESTARTNOHAND;
}

long sys_pause(struct task *t, struct sysargs *a)
{
	atomic_store(&t->wait_word, 0);
	while (!task_pending(t))
		if (task_wait(t, &t->wait_word, 0, CLOCK_MONOTONIC, NULL) == -ERESTARTSYS)
			break;
	return -ERESTARTNOHAND;
}

static int wait_for(struct task *t, uint64_t set, const struct timespec *deadline, siginfo_t *info)
{
	int r = 0;

	atomic_store(&t->sig->waitset, set);
	atomic_store(&t->wait_word, 0);
	for (;;) {
		if (signal_dequeue(t, set, info)) {
			r = 0;
			break;
		}
		if (r == -ETIMEDOUT) {
			r = -EAGAIN;
			break;
		}
		if (task_pending(t)) {
			r = -EINTR;
			break;
		}
		r = task_wait(t, &t->wait_word, 0, CLOCK_MONOTONIC, deadline);
		if (r == -ERESTARTSYS)
			atomic_store(&t->interrupt, 0); /* looked at in the next round */
	}
	atomic_store(&t->sig->waitset, 0);
	signal_retarget(t, set); /* one may have been meant for this thread, which leaves it */
	if (task_pending(t))
		atomic_store(&t->interrupt, 1);
	return r;
}

long sys_rt_sigtimedwait(struct task *t, struct sysargs *a)
{
	struct timespec ts, *deadline = NULL;
	siginfo_t info;
	uint64_t set;
	int r = read_mask(t, A_PTR(a, 0), a->raw[3], &set);

	if (r)
		return r;
	if (a->raw[2]) {
		if (gmem_read(t->proc->mm, &ts, A_PTR(a, 2), sizeof(ts)))
			return -EFAULT;
		if (!timespec_valid(&ts))
			return -EINVAL;
		ts = ns_to_timespec(ns_add(clock_now_ns(CLOCK_MONOTONIC), timespec_to_ns(&ts)));
		deadline = &ts;
	}
	r = wait_for(t, set & ~SIGNAL_UNBLOCKABLE, deadline, &info);
	if (r)
		return r;
	if (a->raw[1] && gmem_write(t->proc->mm, A_PTR(a, 1), &info, sizeof(info)))
		return -EFAULT;
	return info.si_signo;
}

long sys_sigaltstack(struct task *t, struct sysargs *a)
{
	stack_t new_ss, old_ss;
	int r;

	if (a->raw[0] && gmem_read(t->proc->mm, &new_ss, A_PTR(a, 0), sizeof(new_ss)))
		return -EFAULT;
	r = signal_altstack(t, a->raw[0] ? &new_ss : NULL, &old_ss, t->regs->rsp);
	if (r)
		return r;
	return a->raw[1] ? gmem_write(t->proc->mm, A_PTR(a, 1), &old_ss, sizeof(old_ss)) : 0;
}

/* ---- sending ---- */

static siginfo_t user_info(const struct task *t, int sig, int code)
{
	siginfo_t info = {.si_signo = sig, .si_code = code};

	info.si_pid = t->proc->pid;
	info.si_uid = t->proc->uid;
	return info;
}

/* As Linux, SIGCONT goes to every process of the session. */
static bool may_signal(const struct task *t, const struct proc *p, int sig)
{
	return proc_may_touch(t, p) || (sig == SIGCONT && p->sid == t->proc->sid);
}

static int kill_one(const struct task *t, struct proc *p, int sig, const siginfo_t *info)
{
	if (!may_signal(t, p, sig))
		return -EPERM;
	return sig ? signal_send_proc(p, info) : 0;
}

/* Processes that a negative or zero pid of kill(2) means. */
static bool kill_matches(const struct task *t, const struct proc *p, int pid)
{
	if (pid == -1)
		return p != t->proc;
	return p->pgid == (pid ? -pid : t->proc->pgid);
}

static long kill_many(struct task *t, int pid, int sig, const siginfo_t *info)
{
	struct proc *p;
	long r = -ESRCH;
	int one;

	/* All at once: a process of the group that forks meanwhile sees the signal, or its child does. */
	pthread_mutex_lock(&sandbox.lock);
	list_for_each (p, &sandbox.procs, node) {
		if (!kill_matches(t, p, pid))
			continue;
		one = kill_one(t, p, sig, info);
		if (r)
			r = one == -EPERM ? -EPERM : 0;
	}
	pthread_mutex_unlock(&sandbox.lock);
	return r;
}

/* The process of this number, or of the thread that has it; process 1 is sbx itself. */
static int find_process(int pid, struct proc **p)
{
	struct task *o;

	*p = proc_by_pid(pid);
	if (*p)
		return 0;
	o = task_by_tid(pid);
	if (!o)
		return pid == 1 ? -EPERM : -ESRCH;
	*p = proc_get(o->proc);
	task_put(o);
	return 0;
}

long sys_kill(struct task *t, struct sysargs *a)
{
	int pid = A_INT(a, 0), sig = A_INT(a, 1);
	siginfo_t info = user_info(t, sig, SI_USER);
	struct proc *p;
	long r;

	if (sig < 0 || sig > SIGNAL_MAX)
		return -EINVAL;
	if (pid <= 0)
		return pid == INT32_MIN ? -ESRCH : kill_many(t, pid, sig, &info);
	r = find_process(pid, &p);
	if (r)
		return r;
	r = kill_one(t, p, sig, &info);
	proc_put(p);
	return r;
}

/* tgid 0: any process. */
static long send_thread(struct task *t, int tgid, int tid, int sig, const siginfo_t *info)
{
	struct task *target;
	long r = 0;

	if (sig < 0 || sig > SIGNAL_MAX || tid <= 0)
		return -EINVAL;
	target = task_by_tid(tid);
	if (!target)
		return -ESRCH;
	if (tgid && target->proc->pid != tgid)
		r = -ESRCH;
	else if (!may_signal(t, target->proc, sig))
		r = -EPERM;
	else if (sig)
		r = signal_send_task(target, info);
	task_put(target);
	return r;
}

long sys_tkill(struct task *t, struct sysargs *a)
{
	siginfo_t info = user_info(t, A_INT(a, 1), SI_TKILL);

	return send_thread(t, 0, A_INT(a, 0), A_INT(a, 1), &info);
}

long sys_tgkill(struct task *t, struct sysargs *a)
{
	siginfo_t info = user_info(t, A_INT(a, 2), SI_TKILL);

	if (A_INT(a, 0) <= 0)
		return -EINVAL;
	return send_thread(t, A_INT(a, 0), A_INT(a, 1), A_INT(a, 2), &info);
}

/* A siginfo that the app made up: it may not look like one of the kernel's to another thread (id). */
static int read_info(struct task *t, struct gptr p, int sig, int id, siginfo_t *info)
{
	if (gmem_read(t->proc->mm, info, p, sizeof(*info)))
		return -EFAULT;
	info->si_signo = sig;
	if ((info->si_code >= 0 || info->si_code == SI_TKILL) && id != t->tid)
		return -EPERM;
	return 0;
}

long sys_rt_sigqueueinfo(struct task *t, struct sysargs *a)
{
	int pid = A_INT(a, 0), sig = A_INT(a, 1);
	struct proc *p;
	siginfo_t info;
	long r = read_info(t, A_PTR(a, 2), sig, pid, &info);

	if (r)
		return r;
	if (sig < 0 || sig > SIGNAL_MAX)
		return -EINVAL;
	r = find_process(pid, &p);
	if (r)
		return r;
	r = kill_one(t, p, sig, &info);
	proc_put(p);
	return r;
}

long sys_rt_tgsigqueueinfo(struct task *t, struct sysargs *a)
{
	siginfo_t info;
	int r = read_info(t, A_PTR(a, 3), A_INT(a, 2), A_INT(a, 1), &info);

	if (r)
		return r;
	if (A_INT(a, 0) <= 0)
		return -EINVAL;
	return send_thread(t, A_INT(a, 0), A_INT(a, 1), A_INT(a, 2), &info);
}

long sys_restart_syscall(struct task *t, struct sysargs *a)
{
	return t->restart ? t->restart(t) : -EINTR;
}
