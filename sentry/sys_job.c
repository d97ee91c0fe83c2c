/* Process groups and sessions. */
#include <errno.h>
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
