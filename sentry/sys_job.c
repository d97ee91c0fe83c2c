/* Process groups, sessions, and the terminals that control them.
 *
 * The terminal that sbx was started on controls the first process's session. The host has one process
 * on it; which of the app's groups is in the foreground is the sentry's to know. Other sessions can
 * have pseudo-terminals of the sandbox (pty.c). */
#include <errno.h>
#include <sys/ioctl.h>
#include "sentry/job.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/task_int.h"

static long id_of(struct task *t, int pid, bool sid)
{
	struct proc *p = pid ? proc_by_pid(pid) : proc_get(t->proc);
	long r;

	if (!p)
		return pid == 1 ? 1 : -ESRCH; /* sbx itself */
	pthread_mutex_lock(&sandbox.lock);
	r = sid ? p->sid : p->pgid;
	pthread_mutex_unlock(&sandbox.lock);
	proc_put(p);
	return r;
}

long sys_getpgrp(struct task *t, struct sysargs *a)
{
	return id_of(t, 0, false);
}

long sys_getpgid(struct task *t, struct sysargs *a)
{
	return id_of(t, A_INT(a, 0), false);
}

long sys_getsid(struct task *t, struct sysargs *a)
{
	return id_of(t, A_INT(a, 0), true);
}

/* Is there a process in group pgid; with sid, one of that session? */
static bool group_exists(int pgid, int sid)
{
	struct proc *p;

	list_for_each (p, &sandbox.procs, node)
		if (p->pgid == pgid && (!sid || p->sid == sid))
			return true;
	return false;
}

long sys_setsid(struct task *t, struct sysargs *a)
{
	struct proc *p = t->proc;
	long r = -EPERM;

	pthread_mutex_lock(&sandbox.lock);
	if (p->sid != p->pid && !group_exists(p->pid, 0)) {
		r = p->sid = p->pgid = p->pid;
		p->tty = NULL;
	}
	pthread_mutex_unlock(&sandbox.lock);
	return r;
}

/* sandbox.lock held; p may be NULL. */
static long set_group(struct proc *self, struct proc *p, int pgid)
{
	if (!p || (p != self && p->parent != self))
		return -ESRCH;
	if (p != self && p->sid != self->sid)
		return -EPERM;
	if (p != self && p->did_exec)
		return -EACCES;
	if (p->sid == p->pid)
		return -EPERM;
	if (pgid != p->pid && !group_exists(pgid, self->sid))
		return -EPERM;
	p->pgid = pgid;
	return 0;
}

long sys_setpgid(struct task *t, struct sysargs *a)
{
	int pid = A_INT(a, 0), pgid = A_INT(a, 1);
	struct proc *p;
	long r;

	pid = pid ? pid : t->proc->pid;
	pgid = pgid ? pgid : pid;
	if (pgid < 0)
		return -EINVAL;
	p = proc_by_pid(pid);
	pthread_mutex_lock(&sandbox.lock);
	r = set_group(t->proc, p, pgid);
	pthread_mutex_unlock(&sandbox.lock);
	proc_put(p);
	return r;
}

/* ---- terminals ---- */

struct job_tty job_host_tty;

static bool ignores(struct task *t, int sig)
{
	struct sighand *sh = t->proc->sighand;
	bool r;

	pthread_mutex_lock(&sh->lock);
	r = sighand_action(sh, sig).handler == (uint64_t)SIG_IGN;
	pthread_mutex_unlock(&sh->lock);
	return r || (atomic_load(&t->sig->blocked) & sig_bit(sig));
}

/* sandbox.lock held. */
static void signal_group_locked(int pgid, int sig)
{
	siginfo_t info = {.si_signo = sig, .si_code = SI_KERNEL};
	struct proc *p;

	list_for_each (p, &sandbox.procs, node)
		if (pgid && p->pgid == pgid)
			signal_send_proc(p, &info);
}

static void signal_group(int pgid, int sig)
{
	pthread_mutex_lock(&sandbox.lock);
	signal_group_locked(pgid, sig);
	pthread_mutex_unlock(&sandbox.lock);
}

void job_signal(struct job_tty *j, int sig)
{
	signal_group(atomic_load(&j->foreground), sig);
}

static bool controls(const struct job_tty *j, const struct proc *p)
{
	bool r;

	pthread_mutex_lock(&sandbox.lock);
	r = p->tty == j;
	pthread_mutex_unlock(&sandbox.lock);
	return r;
}

int job_terminal_access(struct task *t, struct job_tty *j, int sig)
{
	struct proc *p = t->proc;
	int fg = atomic_load(&j->foreground);

	if (!sandbox.first || !fg || p->pgid == fg || !controls(j, p))
		return 0;
	if (ignores(t, sig))
		return sig == SIGTTIN ? -EIO : 0;
	if (proc_group_orphaned(p))
		return -EIO;
	signal_group(p->pgid, sig);
	return -ERESTARTSYS;
}

static int set_foreground(struct task *t, struct job_tty *j, struct gptr arg)
{
	int pgid, r = job_terminal_access(t, j, SIGTTOU);

	if (r)
		return r == -EIO ? -ENOTTY : r;
	if (gmem_read(t->proc->mm, &pgid, arg, sizeof(pgid)))
		return -EFAULT;
	if (pgid < 0)
		return -EINVAL;
	pthread_mutex_lock(&sandbox.lock);
	if (t->proc->tty != j || j->sid != t->proc->sid)
		r = -ENOTTY;
	else if (!group_exists(pgid, 0))
		r = -ESRCH;
	else if (!group_exists(pgid, t->proc->sid))
		r = -EPERM;
	else
		atomic_store(&j->foreground, pgid);
	pthread_mutex_unlock(&sandbox.lock);
	return r;
}

long job_ioctl(struct task *t, struct job_tty *j, bool master, uint32_t cmd, struct gptr arg)
{
	int id;

	if (cmd == TIOCSPGRP)
		return set_foreground(t, j, arg);
	if (!master && !controls(j, t->proc))
		return -ENOTTY;
	pthread_mutex_lock(&sandbox.lock);
	id = cmd == TIOCGSID ? j->sid : atomic_load(&j->foreground);
	pthread_mutex_unlock(&sandbox.lock);
	if (cmd == TIOCGSID && !id)
		return -ENOTTY;
	return gmem_write(t->proc->mm, arg, &id, sizeof(id));
}

/* ---- which terminal controls which session ---- */

/* sandbox.lock held. */
static void acquire(struct proc *p, struct job_tty *j)
{
	j->sid = p->sid;
	atomic_store(&j->foreground, p->pgid);
	p->tty = j;
}

/* No process of the session has j any more. sandbox.lock held. */
static void clear_session(struct job_tty *j)
{
	struct proc *p;

	list_for_each (p, &sandbox.procs, node)
		if (p->tty == j)
			p->tty = NULL;
	j->sid = 0;
	atomic_store(&j->foreground, 0);
}

void job_opened(struct task *t, struct job_tty *j)
{
	struct proc *p = t->proc;

	pthread_mutex_lock(&sandbox.lock);
	if (p->sid == p->pid && !p->tty && !j->sid && !j->dead)
		acquire(p, j);
	pthread_mutex_unlock(&sandbox.lock);
}

int job_take(struct task *t, struct job_tty *j)
{
	struct proc *p = t->proc;
	int r = 0;

	pthread_mutex_lock(&sandbox.lock);
	if (j->dead)
		r = -EIO;
	else if (p->sid != p->pid || (j->sid != p->sid && (p->tty || j->sid)))
		r = -EPERM;
	else if (j->sid != p->sid)
		acquire(p, j);
	pthread_mutex_unlock(&sandbox.lock);
	return r;
}

void job_release(struct proc *p, bool exit)
{
	struct job_tty *j = p->tty;
	int fg;

	if (!j || p->sid != p->pid || j->sid != p->sid)
		return;
	fg = atomic_load(&j->foreground);
	signal_group_locked(fg, SIGHUP);
	if (!exit)
		signal_group_locked(fg, SIGCONT);
	clear_session(j);
}

int job_leave(struct task *t, struct job_tty *j)
{
	struct proc *p = t->proc;
	int r = 0;

	pthread_mutex_lock(&sandbox.lock);
	if (p->tty != j)
		r = -ENOTTY;
	else
		job_release(p, false);
	if (!r)
		p->tty = NULL;
	pthread_mutex_unlock(&sandbox.lock);
	return r;
}

void job_hangup(struct job_tty *j)
{
	siginfo_t hup = {.si_signo = SIGHUP, .si_code = SI_KERNEL};
	siginfo_t cont = {.si_signo = SIGCONT, .si_code = SI_KERNEL};
	struct proc *p;

	pthread_mutex_lock(&sandbox.lock);
	list_for_each (p, &sandbox.procs, node) {
		if (!j->sid || p->sid != j->sid || p->pid != p->sid)
			continue;
		signal_send_proc(p, &hup);
		signal_send_proc(p, &cont);
	}
	clear_session(j);
	j->dead = true;
	pthread_mutex_unlock(&sandbox.lock);
}
