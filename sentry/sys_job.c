/* Process groups, sessions, and the terminal that sbx was started on.
 *
 * That terminal is the controlling terminal of the first process's session. The host has one process
 * on it; which of the app's groups is in the foreground is the sentry's to know (sandbox.foreground). */
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
		return -ESRCH;
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
	if (p->sid != p->pid && !group_exists(p->pid, 0))
		r = p->sid = p->pgid = p->pid;
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

/* ---- the terminal ---- */

static bool has_terminal(const struct proc *p)
{
	return !sandbox.first || p->sid == sandbox.first->sid;
}

static bool ignores(struct task *t, int sig)
{
	struct sighand *sh = t->proc->sighand;
	bool r;

	pthread_mutex_lock(&sh->lock);
	r = sh->action[sig - 1].handler == (uint64_t)SIG_IGN;
	pthread_mutex_unlock(&sh->lock);
	return r || (atomic_load(&t->sig->blocked) & sig_bit(sig));
}

static void signal_group(int pgid, int sig)
{
	siginfo_t info = {.si_signo = sig, .si_code = SI_KERNEL};
	struct proc *p;

	pthread_mutex_lock(&sandbox.lock);
	list_for_each (p, &sandbox.procs, node)
		if (p->pgid == pgid)
			signal_send_proc(p, &info);
	pthread_mutex_unlock(&sandbox.lock);
}

int job_terminal_access(struct task *t, int sig)
{
	struct proc *p = t->proc;

	if (!sandbox.first || !has_terminal(p) || p->pgid == atomic_load(&sandbox.foreground))
		return 0;
	if (ignores(t, sig))
		return sig == SIGTTIN ? -EIO : 0;
	if (proc_group_orphaned(p))
		return -EIO;
	signal_group(p->pgid, sig);
	return -ERESTARTSYS;
}

static int set_foreground(struct task *t, int pgid)
{
	int r;

	if (pgid < 0)
		return -EINVAL;
	r = job_terminal_access(t, SIGTTOU);
	if (r)
		return r;
	pthread_mutex_lock(&sandbox.lock);
	if (!group_exists(pgid, 0))
		r = -ESRCH;
	else if (!group_exists(pgid, t->proc->sid))
		r = -EPERM;
	else
		atomic_store(&sandbox.foreground, pgid);
	pthread_mutex_unlock(&sandbox.lock);
	return r;
}

long job_ioctl(struct task *t, uint32_t cmd, struct gptr arg)
{
	int id;

	if (!has_terminal(t->proc))
		return -ENOTTY;
	if (cmd == TIOCSPGRP) {
		if (gmem_read(t->proc->mm, &id, arg, sizeof(id)))
			return -EFAULT;
		return set_foreground(t, id);
	}
	id = cmd == TIOCGSID ? t->proc->sid : atomic_load(&sandbox.foreground);
	return gmem_write(t->proc->mm, arg, &id, sizeof(id));
}
