/* Threads as the app makes and ends them: clone, clone3, exit, exit_group, set_tid_address. */
#include <errno.h>
#include <linux/sched.h>
#include <stddef.h>
#include <string.h>
#include <stdlib.h>
#include "sentry/auditx.h"
#include "sentry/sched.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/task_int.h"

#define THREAD_FLAGS (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)
#define KNOWN_FLAGS                                                                                \
	(THREAD_FLAGS | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SETTLS |                    \
	 CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_DETACHED |        \
	 CLONE_IO | CLONE_PARENT | CLONE_UNTRACED | CLONE_PTRACE | 0xff)

int task_copy_context(struct task *t, struct task *n, const struct clone_req *r)
{
	void *fpu = aligned_alloc(64, ALIGN_UP(platform_fpu_size(sandbox.platform), (size_t)64));
	int err = -ENOMEM;

	if (!fpu)
		return err;
	*n->regs = *t->regs;
	n->regs->rax = 0;
	if (r->stack)
		n->regs->rsp = r->stack;
	err = platform_ctx_fpu_save(t->ctx, fpu);
	if (!err)
		err = platform_ctx_fpu_load(n->ctx, fpu);
	if (!err)
		err = platform_ctx_set_fsbase(
		    n->ctx, r->flags & CLONE_SETTLS ? r->tls : platform_ctx_fsbase(t->ctx));
	if (!err)
		err = platform_ctx_set_gsbase(n->ctx, platform_ctx_gsbase(t->ctx));
	free(fpu);
	return err;
}

void task_inherit(struct task *t, struct task *n, const struct clone_req *r)
{
	memcpy(n->comm, t->comm, sizeof(n->comm));
	memcpy(n->cpus, t->cpus, sizeof(n->cpus));
	sched_inherit(t, n);
	n->timer_slack_ns = n->timer_slack_default_ns = t->timer_slack_ns;
	n->mempolicy = t->mempolicy;
	if (!(r->flags & CLONE_VM) || (r->flags & CLONE_VFORK)) {
		n->sig->alt_sp = t->sig->alt_sp;
		n->sig->alt_size = t->sig->alt_size;
		n->sig->alt_flags = t->sig->alt_flags;
	}
	if (r->flags & CLONE_CHILD_CLEARTID)
		n->clear_child_tid = r->child_tid;
	if (r->flags & CLONE_CHILD_SETTID)
		n->create_tid_addr = r->child_tid;
}

int task_clone(struct task *t, const struct clone_req *r)
{
	struct proc *p = t->proc;
	struct task *n;
	int err, tid;

	if ((r->flags & (CLONE_THREAD | CLONE_PIDFD)) == (CLONE_THREAD | CLONE_PIDFD))
		return -EINVAL;
	if ((r->flags & CLONE_THREAD && !(r->flags & CLONE_SIGHAND)) ||
	    (r->flags & CLONE_SIGHAND && !(r->flags & CLONE_VM)))
		return -EINVAL;
	if (r->flags & CLONE_FS && r->flags & (CLONE_NEWNS | CLONE_NEWUSER))
		return -EINVAL;
	if (r->flags & CLONE_THREAD && r->flags & (CLONE_NEWUSER | CLONE_NEWPID))
		return -EINVAL;
	if (r->flags & CLONE_SYSVSEM && r->flags & CLONE_NEWIPC)
		return -EINVAL;
	if (!(r->flags & CLONE_THREAD))
		return proc_fork(t, r);
	if (r->flags & ~(uint64_t)KNOWN_FLAGS) {
		auditx_unimplemented(t, (uint32_t)t->orig_rax);
		return -ENOSYS;
	}
	n = task_create(p, mm_as(p->mm), atomic_load(&t->sig->blocked), &err);
	if (!n)
		return err;
	task_inherit(t, n, r);
	tid = n->tid;
	err = task_copy_context(t, n, r);
	if (!err && (r->flags & CLONE_PARENT_SETTID))
		err = gmem_write(p->mm, gptr_at(r->parent_tid), &tid, sizeof(tid));
	if (!err)
		err = task_start(n);
	if (err) {
		task_discard(n);
		return err;
	}
	return tid;
}

long sys_clone(struct task *t, struct sysargs *a)
{
	struct clone_req r = {
	    .flags = a->raw[0],
	    .stack = a->raw[1],
	    .parent_tid = a->raw[2],
	    .child_tid = a->raw[3],
	    .tls = a->raw[4],
	    .pidfd = a->raw[2], /* one argument for two things */
	};

	if ((r.flags & CLONE_PIDFD) && (r.flags & (CLONE_PARENT_SETTID | CLONE_DETACHED)))
		return -EINVAL;

	return task_clone(t, &r);
}

long sys_clone3(struct task *t, struct sysargs *a)
{
	struct clone_args c;
	struct clone_req r;

	if (a->strct_err)
		return a->strct_err;
	if (a->strct_size < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	memcpy(&c, a->strct, sizeof(c));
	if (c.flags & (CLONE_DETACHED | (0xff & ~CLONE_NEWTIME)))
		return -EINVAL;
	if (!!c.set_tid != !!c.set_tid_size || c.set_tid_size > 32)
		return -EINVAL;
	if ((c.flags & CLONE_SIGHAND) && (c.flags & CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if (c.set_tid_size)
		return -EPERM;
	if (c.flags & CLONE_INTO_CGROUP)
		return -ENOSYS;
	if ((c.stack && !c.stack_size) || (!c.stack && c.stack_size))
		return -EINVAL;
	if (((c.flags & (CLONE_THREAD | CLONE_PARENT)) && c.exit_signal) || c.exit_signal > SIGNAL_MAX)
		return -EINVAL;
	r = (struct clone_req){
	    .flags = c.flags | c.exit_signal,
	    .stack = c.stack ? c.stack + c.stack_size : 0,
	    .tls = c.tls,
	    .parent_tid = c.parent_tid,
	    .child_tid = c.child_tid,
	    .pidfd = c.pidfd,
	};
	return task_clone(t, &r);
}

long sys_exit(struct task *t, struct sysargs *a)
{
	t->exit_code = (A_INT(a, 0) & 0xff) << 8; /* the last thread's is the process's */
	t->exiting = true;
	return 0;
}

long sys_exit_group(struct task *t, struct sysargs *a)
{
	proc_exit_group(t->proc, (A_INT(a, 0) & 0xff) << 8);
	t->exiting = true;
	return 0;
}

long sys_set_tid_address(struct task *t, struct sysargs *a)
{
	t->clear_child_tid = a->raw[0];
	return t->tid;
}

long sys_set_robust_list(struct task *t, struct sysargs *a)
{
	if (a->raw[1] != 24)
		return -EINVAL;
	t->robust_list = a->raw[0];
	t->robust_list_len = a->raw[1];
	return 0;
}

long sys_get_robust_list(struct task *t, struct sysargs *a)
{
	struct task *o = A_INT(a, 0) ? task_by_tid(A_INT(a, 0)) : task_get(t);
	uint64_t head, len = 24;
	bool may;

	if (!o)
		return -ESRCH;
	head = o->robust_list;
	may = proc_may_touch(t, o->proc);
	task_put(o);
	if (!may)
		return -EPERM;
	if (gmem_write(t->proc->mm, A_PTR(a, 2), &len, sizeof(len)) ||
	    gmem_write(t->proc->mm, A_PTR(a, 1), &head, sizeof(head)))
		return -EFAULT;
	return 0;
}
