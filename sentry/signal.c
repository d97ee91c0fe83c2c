/* Signal queues, sending and delivery. */
#include "sentry/signal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sentry/signalfd.h"
#include "sentry/task.h"

#define QUEUE_MAX ((rlim_t)16384) /* whatever RLIMIT_SIGPENDING says */

#define STOP_SIGNALS (sig_bit(SIGSTOP) | sig_bit(SIGTSTP) | sig_bit(SIGTTIN) | sig_bit(SIGTTOU))
#define IGNORED_BY_DEFAULT                                                                         \
	(sig_bit(SIGCONT) | sig_bit(SIGCHLD) | sig_bit(SIGWINCH) | sig_bit(SIGURG))
#define SYNCHRONOUS                                                                                \
	(sig_bit(SIGSEGV) | sig_bit(SIGBUS) | sig_bit(SIGILL) | sig_bit(SIGTRAP) |                 \
	 sig_bit(SIGFPE) | sig_bit(SIGSYS))

static void pending_init(struct sig_pending *p)
{
	list_init(&p->queue);
	atomic_init(&p->set, 0);
}

struct sighand *sighand_create(void)
{
	struct sighand *sh = calloc(1, sizeof(*sh));

	if (!sh)
		return NULL;
	sh->acts = sig_actions_create();
	if (!sh->acts) {
		free(sh);
		return NULL;
	}
	atomic_init(&sh->refs, 1);
	pthread_mutex_init(&sh->lock, NULL);
	pending_init(&sh->shared);
	return sh;
}

struct sighand *sighand_get(struct sighand *sh)
{
	atomic_fetch_add(&sh->refs, 1);
	return sh;
}

/* Removes every entry of the signals in mask. Called with the lock held. */
static void pending_flush(struct sighand *sh, struct sig_pending *p, uint64_t mask)
{
	struct sig_entry *e, *tmp;

	if (!(atomic_load(&p->set) & mask))
		return;
	list_for_each_safe(e, tmp, &p->queue, node)
	{
		if (!(sig_bit(e->info.si_signo) & mask))
			continue;
		list_del(&e->node);
		if (!e->embedded) {
			sh->queued--;
			free(e);
		}
	}
	atomic_fetch_and(&p->set, ~mask);
}

void sighand_put(struct sighand *sh)
{
	if (!sh || atomic_fetch_sub(&sh->refs, 1) != 1)
		return;
	pending_flush(sh, &sh->shared, ~0ull);
	sig_actions_put(sh->acts);
	pthread_mutex_destroy(&sh->lock);
	free(sh);
}

struct signal_state *signal_state_create(uint64_t blocked)
{
	struct signal_state *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_init(&s->blocked, blocked & ~SIGNAL_UNBLOCKABLE);
	pending_init(&s->pending);
	s->alt_flags = SS_DISABLE;
	return s;
}

void signal_state_destroy(struct signal_state **s, struct sighand *sh)
{
	if (!*s)
		return;
	pthread_mutex_lock(&sh->lock);
	pending_flush(sh, &(*s)->pending, ~0ull);
	pthread_mutex_unlock(&sh->lock);
	free(*s);
	*s = NULL;
}

/* ---- sending ---- */

static bool wants(const struct task *t, int sig)
{
	uint64_t blocked = atomic_load(&t->sig->blocked) & ~atomic_load(&t->sig->waitset);

	return !(blocked & sig_bit(sig)) && !t->exiting;
}

static bool action_ignores(const struct sighand *sh, int sig)
{
	uint64_t h = sighand_action(sh, sig).handler;

	return h == (uint64_t)SIG_IGN ||
	       (h == (uint64_t)SIG_DFL && (IGNORED_BY_DEFAULT & sig_bit(sig)));
}

static bool blocked_anywhere(const struct proc *p, int sig)
{
	struct task *t;

	list_for_each(t, &p->tasks,
		      node) if (atomic_load(&t->sig->blocked) & sig_bit(sig)) return true;
	return false;
}

/* SIGCONT discards stop signals that wait, and the other way round. */
static void cancel_opposites(struct proc *p, int sig)
{
	struct sighand *sh = p->sighand;
	uint64_t mask = 0;
	struct task *t;

	if (sig == SIGCONT) {
		mask = STOP_SIGNALS;
		p->continued++;
	} else if (STOP_SIGNALS & sig_bit(sig)) {
		mask = sig_bit(SIGCONT);
	}
	if (!mask)
		return;
	pending_flush(sh, &sh->shared, mask);
	list_for_each(t, &p->tasks, node) pending_flush(sh, &t->sig->pending, mask);
}

/* Adds a copy of info to q. Standard signals are queued once. */
static int enqueue(struct proc *p, struct sig_pending *q, const siginfo_t *info)
{
	struct sighand *sh = p->sighand;
	int sig = info->si_signo;
	struct sig_entry *e;

	if (sig < 32 && (atomic_load(&q->set) & sig_bit(sig)))
		return 0;
	if (sig >= 32 && sh->queued >= MIN(p->rlim[RLIMIT_SIGPENDING].rlim_cur, QUEUE_MAX)) {
		if (info->si_code != SI_USER)
			return -EAGAIN;
		if (atomic_load(&q->set) & sig_bit(sig)) /* plain kill: merged, as Linux does */
			return 0;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return -EAGAIN;
	e->info = *info;
	list_append(&q->queue, &e->node);
	sh->queued++;
	atomic_fetch_or(&q->set, sig_bit(sig));
	return 0;
}

/* A thread of p that takes sig now; the first of the list is preferred. */
static struct task *pick_thread(struct proc *p, int sig)
{
	struct task *t;

	list_for_each(t, &p->tasks, node) if (wants(t, sig)) return t;
	return NULL;
}

/* Sends with proc->lock held; t is NULL for the process. */
static int send_locked(struct proc *p, struct task *t, const siginfo_t *info)
{
	struct sighand *sh = p->sighand;
	int sig = info->si_signo, r = 0;
	struct task *target;

	pthread_mutex_lock(&sh->lock);
	cancel_opposites(p, sig);
	if (action_ignores(sh, sig) &&
	    !(t ? (atomic_load(&t->sig->blocked) & sig_bit(sig)) != 0 : blocked_anywhere(p, sig)))
		goto out;
	r = enqueue(p, t ? &t->sig->pending : &sh->shared, info);
	if (r < 0)
		goto out;
	signalfd_notify(sig);
	target = t ? (wants(t, sig) ? t : NULL) : pick_thread(p, sig);
	if (target)
		task_interrupt(target);
out:
	pthread_mutex_unlock(&sh->lock);
	return r;
}

static int send(struct proc *p, struct task *t, const siginfo_t *info)
{
	int r;

	if (info->si_signo == SIGKILL) {
		proc_exit_group(p, SIGKILL);
		return 0;
	}
	pthread_mutex_lock(&p->lock);
	if (info->si_signo == SIGCONT)
		proc_continue(p);
	r = p->nr_tasks ? send_locked(p, t, info) : 0;
	pthread_mutex_unlock(&p->lock);
	return r;
}

int signal_send_proc(struct proc *p, const siginfo_t *info)
{
	return send(p, NULL, info);
}

int signal_send_task(struct task *t, const siginfo_t *info)
{
	return send(t->proc, t, info);
}

void signal_force(struct task *t, const siginfo_t *info)
{
	struct sighand *sh = t->proc->sighand;
	uint64_t bit = sig_bit(info->si_signo);
	int sig = info->si_signo;

	pthread_mutex_lock(&t->proc->lock);
	pthread_mutex_lock(&sh->lock);
	if (sighand_action(sh, sig).handler == (uint64_t)SIG_IGN ||
	    (atomic_load(&t->sig->blocked) & bit)) {
		sighand_set_default(sh, sig);
		atomic_fetch_and(&t->sig->blocked, ~bit);
	}
	pending_flush(sh, &t->sig->pending, bit);
	if (enqueue(t->proc, &t->sig->pending, info) < 0)
		sighand_set_default(sh, sig);
	pthread_mutex_unlock(&sh->lock);
	pthread_mutex_unlock(&t->proc->lock);
	task_interrupt(t);
}

void signal_raise(struct task *t, int sig)
{
	siginfo_t info = {.si_signo = sig, .si_code = SI_KERNEL};

	signal_send_task(t, &info);
}

static void count_overrun(struct sig_entry *e, uint64_t n)
{
	e->overrun = (int)MIN((uint64_t)e->overrun + n, (uint64_t)INT32_MAX);
}

void signal_send_entry(struct proc *p, struct task *t, struct sig_entry *e, unsigned more)
{
	struct sighand *sh = p->sighand;
	int sig = e->info.si_signo;
	struct sig_pending *q;
	struct task *target;

	pthread_mutex_lock(&p->lock);
	pthread_mutex_lock(&sh->lock);
	q = t ? &t->sig->pending : &sh->shared;
	if (!list_empty(&e->node)) {
		count_overrun(e, 1ull + more);
		goto out;
	}
	if (action_ignores(sh, sig) &&
	    !(t ? (atomic_load(&t->sig->blocked) & sig_bit(sig)) != 0 : blocked_anywhere(p, sig)))
		goto out;
	e->overrun = 0;
	count_overrun(e, more);
	list_append(&q->queue, &e->node);
	atomic_fetch_or(&q->set, sig_bit(sig));
	signalfd_notify(sig);
	target = t ? (wants(t, sig) ? t : NULL) : pick_thread(p, sig);
	if (target)
		task_interrupt(target);
out:
	pthread_mutex_unlock(&sh->lock);
	pthread_mutex_unlock(&p->lock);
}

void signal_cancel_entry(struct proc *p, struct sig_entry *e)
{
	struct sighand *sh = p->sighand;
	struct sig_entry *o;

	pthread_mutex_lock(&sh->lock);
	list_del(&e->node);
	/* A thread's own bit may stay: a dequeue that finds nothing clears it. */
	list_for_each (o, &sh->shared.queue, node)
		if (o->info.si_signo == e->info.si_signo)
			goto out;
	atomic_fetch_and(&sh->shared.set, ~sig_bit(e->info.si_signo));
out:
	pthread_mutex_unlock(&sh->lock);
}

void signal_retarget(struct task *t, uint64_t newly_blocked)
{
	struct proc *p = t->proc;
	struct task *o;
	int sig;

	if (!(atomic_load(&p->sighand->shared.set) & newly_blocked))
		return;
	pthread_mutex_lock(&p->lock);
	for (sig = 1; sig <= SIGNAL_MAX; sig++) {
		if (!(atomic_load(&p->sighand->shared.set) & newly_blocked & sig_bit(sig)))
			continue;
		list_for_each(o, &p->tasks, node)
		{
			if (o != t && wants(o, sig)) {
				task_interrupt(o);
				break;
			}
		}
	}
	pthread_mutex_unlock(&p->lock);
}

void signal_set_action(struct proc *p, int sig, const struct sig_action *act)
{
	struct sighand *sh = p->sighand;
	struct sig_action checked = *act;
	struct task *t;

	checked.mask &= ~SIGNAL_UNBLOCKABLE;
	pthread_mutex_lock(&p->lock);
	pthread_mutex_lock(&sh->lock);
	sighand_set_action(sh, sig, &checked);
	if (action_ignores(sh, sig)) {
		pending_flush(sh, &sh->shared, sig_bit(sig));
		list_for_each(t, &p->tasks, node) pending_flush(sh, &t->sig->pending, sig_bit(sig));
	}
	pthread_mutex_unlock(&sh->lock);
	pthread_mutex_unlock(&p->lock);
}

void signal_flush(struct proc *p)
{
	pthread_mutex_lock(&p->sighand->lock);
	pending_flush(p->sighand, &p->sighand->shared, ~0ull);
	pthread_mutex_unlock(&p->sighand->lock);
}

/* ---- masks ---- */

bool signal_pending(const struct task *t)
{
	uint64_t set =
	    atomic_load(&t->sig->pending.set) | atomic_load(&t->proc->sighand->shared.set);

	return (set & ~atomic_load(&t->sig->blocked)) != 0;
}

void signal_set_mask(struct task *t, uint64_t mask)
{
	uint64_t old = atomic_load(&t->sig->blocked);

	mask &= ~SIGNAL_UNBLOCKABLE;
	atomic_store(&t->sig->blocked, mask);
	if (mask & ~old)
		signal_retarget(t, mask & ~old);
}

void signal_push_mask(struct task *t, uint64_t mask)
{
	t->sig->saved_mask = atomic_load(&t->sig->blocked);
	t->sig->restore_mask = true;
	signal_set_mask(t, mask);
	if (signal_pending(t))
		task_interrupt(t);
}

/* ---- delivery ---- */

/* Takes the entry of sig off q. Called with the lock held. */
static bool take(struct sighand *sh, struct sig_pending *q, int sig, siginfo_t *info)
{
	struct sig_entry *e, *tmp;
	bool found = false, more = false;

	list_for_each_safe(e, tmp, &q->queue, node)
	{
		if (e->info.si_signo != sig)
			continue;
		if (found) {
			more = true;
			break;
		}
		found = true;
		*info = e->info;
		list_del(&e->node);
		if (e->embedded) {
			info->si_overrun = e->delivered = e->overrun;
		} else {
			sh->queued--;
			free(e);
		}
	}
	if (!more)
		atomic_fetch_and(&q->set, ~sig_bit(sig));
	return found;
}

static int next_signal(uint64_t set)
{
	if (set & SYNCHRONOUS)
		set &= SYNCHRONOUS;
	return set ? __builtin_ctzll(set) + 1 : 0;
}

static bool dequeue_locked(struct task *t, uint64_t set, siginfo_t *info)
{
	struct sighand *sh = t->proc->sighand;
	struct sig_pending *queues[2] = {&t->sig->pending, &sh->shared};
	int i, sig;

	for (i = 0; i < 2; i++)
		while ((sig = next_signal(atomic_load(&queues[i]->set) & set)) != 0)
			if (take(sh, queues[i], sig, info))
				return true;
	return false;
}

bool signal_dequeue(struct task *t, uint64_t set, siginfo_t *info)
{
	struct sighand *sh = t->proc->sighand;
	bool found;

	pthread_mutex_lock(&sh->lock);
	found = dequeue_locked(t, set, info);
	pthread_mutex_unlock(&sh->lock);
	return found;
}

/* Stops the host process as the app's signal would stop the app: the shell that started sbx sees it
 * stop, and SIGCONT lets all threads go on. */
static void stop_process(int sig)
{
	sigset_t set, old;

	if (sandbox_wall_over())
		return;
	if (sig == SIGSTOP) {
		kill(getpid(), SIGSTOP);
		return;
	}
	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, &old);
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* True when the process is to end. */
static bool default_action(struct task *t, int sig)
{
	if (IGNORED_BY_DEFAULT & sig_bit(sig))
		return false;
	if (STOP_SIGNALS & sig_bit(sig)) {
		if (t->proc == sandbox.first || !sandbox.first)
			stop_process(sig);
		else if (sig == SIGSTOP || !proc_group_orphaned(t->proc))
			proc_stop(t, sig);
		return false;
	}
	proc_exit_group(t->proc, sig);
	return true;
}

static void rewind_call(struct task *t)
{
	t->regs->rax = t->orig_rax;
	t->regs->rip -= 2;
}

/* What becomes of the interrupted call when a handler runs. */
static void restart_for_handler(struct task *t, const struct sig_action *act)
{
	long code = t->restart_code;

	if (!code)
		return;
	t->restart_code = 0;
	if (code == ERESTARTNOINTR || (code == ERESTARTSYS && (act->flags & SA_RESTART)))
		rewind_call(t);
	else
		t->regs->rax = (uint64_t)-EINTR;
}

static uint64_t handler_mask(const struct task *t, const struct sig_action *act, int sig)
{
	uint64_t m = atomic_load(&t->sig->blocked) | act->mask;

	if (!(act->flags & SA_NODEFER))
		m |= sig_bit(sig);
	return m;
}

static void run_handler(struct task *t, const struct sig_action *act, const siginfo_t *info)
{
	uint64_t mask = t->sig->restore_mask ? t->sig->saved_mask : atomic_load(&t->sig->blocked);
	siginfo_t segv = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};

	t->sig->restore_mask = false;
	restart_for_handler(t, act);
	if (sigframe_setup(t, act, info, mask) == 0) {
		signal_set_mask(t, handler_mask(t, act, info->si_signo));
		return;
	}
	if (info->si_signo == SIGSEGV)
		proc_exit_group(t->proc, SIGSEGV);
	else
		signal_force(t, &segv);
}

/* Delivers everything that is pending and not blocked. */
static void deliver_pending(struct task *t)
{
	struct sighand *sh = t->proc->sighand;
	struct sig_action act;
	siginfo_t info;
	bool found;

	while (!task_leaving(t) && !atomic_load(&t->proc->stopped) && signal_pending(t)) {
		pthread_mutex_lock(&sh->lock);
		t->stop_seen = t->proc->continued;
		found = dequeue_locked(t, ~atomic_load(&t->sig->blocked), &info);
		if (found) {
			act = sighand_action(sh, info.si_signo);
			if ((act.flags & SA_RESETHAND) && act.handler > (uint64_t)SIG_IGN)
				sighand_set_default(sh, info.si_signo);
		}
		pthread_mutex_unlock(&sh->lock);
		if (!found)
			break;
		if (act.handler == (uint64_t)SIG_IGN)
			continue;
		if (act.handler != (uint64_t)SIG_DFL)
			run_handler(t, &act, &info);
		else if (default_action(t, info.si_signo))
			break;
	}
}

/* The interrupted call when no handler ran: runs again. False: it was interrupted again. */
static bool finish_restart(struct task *t)
{
	long r;

	if (t->restart_code != ERESTART_RESTARTBLOCK) {
		if (t->restart_code)
			rewind_call(t);
		t->restart_code = 0;
		return true;
	}
	r = t->restart ? t->restart(t) : -EINTR;
	if (r <= -ERESTARTSYS && r >= -ERESTART_RESTARTBLOCK) {
		t->restart_code = -r;
		return false;
	}
	t->restart_code = 0;
	t->regs->rax = (uint64_t)r;
	return true;
}

/* Is the process stopped, or is its parent still to be told that it goes on again? */
static bool stop_or_cont(const struct proc *p)
{
	return atomic_load(&p->stopped) || atomic_load(&p->cont_event);
}

/* Delivers what is pending; a stop lasts until SIGCONT. */
static void deliver_and_stop(struct task *t)
{
	do {
		atomic_store(&t->interrupt, 0);
		if (stop_or_cont(t->proc))
			proc_stop_wait(t);
		if (signal_pending(t))
			deliver_pending(t);
	} while (!task_leaving(t) && stop_or_cont(t->proc));
}

void signal_deliver(struct task *t)
{
	do {
		do {
			deliver_and_stop(t);
			if (task_leaving(t))
				return;
		} while (!finish_restart(t));
		if (!t->sig->restore_mask)
			return;
		t->sig->restore_mask = false;
		signal_set_mask(t, t->sig->saved_mask);
	} while (signal_pending(t));
}
