/* New processes: fork, vfork, and clone without CLONE_THREAD. */
#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include "sentry/auditx.h"
#include "sentry/domain.h"
#include "sentry/file.h"
#include "sentry/ipc.h"
#include "sentry/pidfd.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/task_int.h"
#include "sentry/timer.h"
#include "sentry/vfs.h"

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
	 CLONE_NEWCGROUP)
/* What a process can be made with. Tracing flags mean nothing without a tracer. */
#define FORK_FLAGS                                                                                 \
	(0xffull | CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_VFORK | CLONE_PARENT |                \
	 CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_SETTLS |          \
	 CLONE_SYSVSEM | CLONE_IO | CLONE_UNTRACED | CLONE_PTRACE | CLONE_DETACHED |               \
	 CLONE_SIGHAND | CLONE_CLEAR_SIGHAND | CLONE_PIDFD)

static void copy_actions(struct proc *from, struct proc *to, uint64_t flags)
{
	if (flags & CLONE_SIGHAND)
		sighand_share_actions(to->sighand, from->sighand);
	else
		sighand_copy_actions(to->sighand, from->sighand);
	if (flags & CLONE_CLEAR_SIGHAND)
		signal_reset_actions(to->sighand);
}

static void copy_identity(struct task *t, struct proc *p)
{
	struct proc *o = t->proc;

	p->uid = o->uid;
	p->gid = o->gid;
	p->dumpable = o->dumpable;
	p->mce_kill = o->mce_kill;
	p->thp_disable = o->thp_disable;
	p->barriers = atomic_load(&o->barriers);
	atomic_store(&p->view, atomic_load(&o->view));
	p->domain = domain_get(o->domain);
	p->nice = o->nice;
	atomic_store(&p->persona, atomic_load(&o->persona));
	atomic_store(&p->oom_adj, atomic_load(&o->oom_adj));
	atomic_store(&p->oom_adj_min, atomic_load(&o->oom_adj_min));
	p->start_ns = clock_now_ns(CLOCK_BOOTTIME);
	memcpy(p->comm, t->comm, sizeof(p->comm));
	pthread_mutex_lock(&o->lock);
	memcpy(p->rlim, o->rlim, sizeof(p->rlim));
	p->exe = o->exe ? file_get(o->exe) : NULL;
	pthread_mutex_unlock(&o->lock);
}

/* The new process with its parts, without a thread. NULL: *err says why. */
static struct proc *copy_proc(struct task *t, uint64_t flags, int *err)
{
	struct proc *o = t->proc, *p = proc_create();

	*err = -ENOMEM;
	if (!p)
		return NULL;
	copy_identity(t, p);
	copy_actions(o, p, flags);
	/* a sibling tells the common parent what this process would */
	p->exit_signal = flags & CLONE_PARENT ? o->exit_signal : (int)(flags & 0xff);
	p->fs = flags & CLONE_FS ? fsctx_get(o->fs) : fsctx_copy(o->fs);
	p->fdtab = flags & CLONE_FILES ? fdtab_share(o->fdtab) : fdtab_copy(o->fdtab);
	if (!p->fs || !p->fdtab)
		goto fail;
	if (flags & CLONE_VM) {
		p->mm = mm_get(o->mm);
	} else {
		*err = mm_fork(o->mm, &p->mm);
		if (*err)
			goto fail;
	}
	return p;
fail:
	proc_put(p);
	return NULL;
}

/* Links the child, unless a signal came first that is meant for all of the parent's group. */
static int publish(struct task *t, struct proc *p, uint64_t flags)
{
	int err = 0;

	pthread_mutex_lock(&sandbox.lock);
	if (task_pending(t)) {
		err = -ERESTARTNOINTR;
	} else {
		p->pgid = t->proc->pgid;
		p->sid = t->proc->sid;
		p->tty = t->proc->tty;
		/* under the lock: the parent's parent may be ending */
		proc_link(p, flags & CLONE_PARENT ? t->proc->parent : t->proc);
		p->parent_tid = flags & CLONE_PARENT ? t->proc->parent_tid : t->tid;
	}
	pthread_mutex_unlock(&sandbox.lock);
	return err;
}

static void unpublish(struct proc *p)
{
	pthread_mutex_lock(&sandbox.lock);
	proc_get(p);
	proc_reap(p);
	pthread_mutex_unlock(&sandbox.lock);
}

/* CLONE_PIDFD: a number is set aside and told to the app; what it stands for comes to it when nothing
 * can fail any more. *fd is -1 without it. */
static int make_pidfd(struct task *t, struct proc *p, const struct clone_req *r, int *fd,
		      struct file **f)
{
	int err;

	if (!(r->flags & CLONE_PIDFD))
		return 0;
	err = pidfd_file(p, 0, f);
	if (err)
		return err;
	*fd = fdtab_reserve(t->proc->fdtab);
	if (*fd < 0)
		return *fd;
	return gmem_write(t->proc->mm, gptr_at(r->pidfd), fd, sizeof(*fd));
}

static int start_child(struct task *t, struct task *n, const struct clone_req *r)
{
	int tid = n->tid, fd = -1, err = task_copy_context(t, n, r);
	struct file *f = NULL;

	if (!err)
		err = make_pidfd(t, n->proc, r, &fd, &f);
	if (!err && (r->flags & CLONE_PARENT_SETTID) &&
	    gmem_write(t->proc->mm, gptr_at(r->parent_tid), &tid, sizeof(tid)))
		err = -EFAULT;
	if (!err)
		err = publish(t, n->proc, r->flags);
	if (!err) {
		err = task_start(n);
		if (err)
			unpublish(n->proc);
	}
	if (fd >= 0)
		fdtab_fill(t->proc->fdtab, fd, err ? NULL : f, true);
	if (err)
		file_put(f);
	return err;
}

static int check_flags(struct task *t, uint64_t flags)
{
	if (flags & NAMESPACES)
		return -EPERM;
	if (flags & ~FORK_FLAGS) {
		auditx_unimplemented(t, (uint32_t)t->orig_rax);
		return -ENOSYS;
	}
	return (flags & 0xff) > SIGNAL_MAX ? -EINVAL : 0;
}

int proc_fork(struct task *t, const struct clone_req *r)
{
	struct proc *p;
	struct task *n;
	int err = check_flags(t, r->flags), pid;

	if (err)
		return err;
	if (!task_room(t->proc))
		return -EAGAIN;
	p = copy_proc(t, r->flags, &err);
	if (!p)
		return err;
	n = task_create(p, mm_as(p->mm), atomic_load(&t->sig->blocked), &err);
	if (!n) {
		proc_put(p);
		return err;
	}
	task_inherit(t, n, r);
	pid = p->pid;
	proc_get(p); /* it may end before vfork's parent sleeps */
	err = start_child(t, n, r);
	if (err) {
		task_discard(n);
		proc_put(p);
	} else if (r->flags & CLONE_VFORK) {
		task_wait_killable(t, &p->vfork_done, 0);
	}
	proc_put(p);
	return err ? err : pid;
}

long sys_fork(struct task *t, struct sysargs *a)
{
	struct clone_req r = {.flags = SIGCHLD};

	return proc_fork(t, &r);
}

long sys_vfork(struct task *t, struct sysargs *a)
{
	struct clone_req r = {.flags = CLONE_VM | CLONE_VFORK | SIGCHLD};

	return proc_fork(t, &r);
}

/* ---- unshare ---- */

#define UNSHARE_FLAGS                                                                              \
	(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SYSVSEM)

/* Gives p, whose only thread calls, a table of descriptors or a working directory of its own. */
static int own_copy(struct proc *p, bool files)
{
	struct fdtab *tab = files ? fdtab_copy(p->fdtab) : NULL, *old_tab = NULL;
	struct fsctx *fs = files ? NULL : fsctx_copy(p->fs), *old_fs = NULL;

	if (!tab && !fs)
		return -ENOMEM;
	pthread_mutex_lock(&p->lock);
	if (tab) {
		old_tab = p->fdtab;
		p->fdtab = tab;
	} else {
		old_fs = p->fs;
		p->fs = fs;
	}
	pthread_mutex_unlock(&p->lock);
	fdtab_put(old_tab);
	fsctx_put(old_fs);
	return 0;
}

/* What is shared with other processes. The threads of one share everything: none of several can
 * leave. */
long sys_unshare(struct task *t, struct sysargs *a)
{
	uint64_t flags = a->raw[0];
	struct proc *p = t->proc;
	bool alone;
	int r = 0;

	if (flags & ~(uint64_t)(UNSHARE_FLAGS | NAMESPACES | CLONE_NEWTIME))
		return -EINVAL;
	if (flags & (NAMESPACES | CLONE_NEWTIME))
		return -EPERM;
	pthread_mutex_lock(&p->lock);
	alone = p->nr_tasks == 1;
	pthread_mutex_unlock(&p->lock);
	if (!alone && (flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)))
		return -EINVAL;
	if (!alone && flags) {
		auditx_unimplemented(t, (uint32_t)t->orig_rax);
		return -ENOSYS;
	}
	if ((flags & CLONE_FILES) && fdtab_is_shared(p->fdtab))
		r = own_copy(p, true);
	if (!r && (flags & CLONE_FS))
		r = own_copy(p, false);
	if (!r && (flags & CLONE_SYSVSEM))
		ipc_sem_exit(p);
	return r;
}
