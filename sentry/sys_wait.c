/* wait4 and waitid: what became of children. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "sentry/pidfd.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/task_int.h"

#ifndef __WNOTHREAD
#define __WNOTHREAD 0x20000000
#define __WALL	    0x40000000
#define __WCLONE    0x80000000
#endif
#define WAIT4_FLAGS                                                                                \
	(WNOHANG | WUNTRACED | WCONTINUED | (int)__WNOTHREAD | (int)__WCLONE | (int)__WALL)
#define WAITID_FLAGS (WAIT4_FLAGS | WEXITED | WSTOPPED | WNOWAIT)

struct wait {
	int idtype, id, options;
	struct proc *proc; /* P_PIDFD */
	/* The event that was found. */
	int pid, code, status, wstatus;
	uint32_t uid;
	struct rusage ru;
};

static bool matches(const struct wait *w, const struct proc *c)
{
	if (w->idtype == P_PID && c->pid != w->id)
		return false;
	if (w->idtype == P_PGID && c->pgid != w->id)
		return false;
	if (w->proc && c != w->proc)
		return false;
	if (w->options & (int)__WALL)
		return true;
	return (c->exit_signal != SIGCHLD) == !!(w->options & (int)__WCLONE);
}

static void found(struct wait *w, struct proc *c, int code, int status, int wstatus)
{
	struct cpu_times cpu = proc_cpu_times(c);

	w->pid = c->pid;
	w->uid = c->uid;
	w->code = code;
	w->status = status;
	w->wstatus = wstatus;
	cpu.user += c->child_cpu.user;
	cpu.sys += c->child_cpu.sys;
	proc_rusage(&cpu, MAX(c->maxrss_dead, c->child_maxrss), &w->ru);
}

static void take_zombie(struct proc *p, struct proc *c, struct wait *w)
{
	int code = c->exit_code;
	struct cpu_times cpu;

	if (code & 0x7f)
		found(w, c, code & 0x80 ? CLD_DUMPED : CLD_KILLED, code & 0x7f, code);
	else
		found(w, c, CLD_EXITED, code >> 8 & 0xff, code);
	if (w->options & WNOWAIT)
		return;
	cpu = proc_cpu_times(c);
	p->child_cpu.user += cpu.user + c->child_cpu.user;
	p->child_cpu.sys += cpu.sys + c->child_cpu.sys;
	p->child_maxrss = MAX(p->child_maxrss, c->maxrss_dead);
	p->child_maxrss = MAX(p->child_maxrss, c->child_maxrss);
	proc_reap(c);
}

/* Takes an event of c, if it has one that is waited for. */
static bool take_event(struct proc *p, struct proc *c, struct wait *w)
{
	int sig;

	if (c->zombie) {
		if (!(w->options & WEXITED))
			return false;
		take_zombie(p, c, w);
		return true;
	}
	sig = c->stop_report;
	if (sig && (w->options & WSTOPPED)) {
		found(w, c, CLD_STOPPED, sig, sig << 8 | 0x7f);
		if (!(w->options & WNOWAIT))
			c->stop_report = 0;
		return true;
	}
	if (c->cont_report && (w->options & WCONTINUED)) {
		found(w, c, CLD_CONTINUED, SIGCONT, 0xffff);
		if (!(w->options & WNOWAIT))
			c->cont_report = false;
		return true;
	}
	return false;
}

/* 1: an event; 0: children, but none has one; or -ECHILD. */
static int look(struct proc *p, struct wait *w)
{
	struct proc *c;
	int r = -ECHILD;

	pthread_mutex_lock(&sandbox.lock);
	list_for_each (c, &p->children, sibling) {
		/* A zombie will never stop or go on. */
		if (!matches(w, c) || (c->zombie && !(w->options & WEXITED)))
			continue;
		r = take_event(p, c, w);
		if (r)
			break;
	}
	pthread_mutex_unlock(&sandbox.lock);
	return r;
}

static long do_wait(struct task *t, struct wait *w)
{
	struct proc *p = t->proc;
	uint32_t seen;
	int r, late;

	for (;;) {
		seen = atomic_load(&p->child_event);
		r = look(p, w);
		if (r || (w->options & WNOHANG))
			return r;
		r = task_wait(t, &p->child_event, seen, CLOCK_MONOTONIC, NULL);
		if (r) { /* the event that SIGCHLD tells of comes before the signal */
			late = look(p, w);
			return late ? late : r;
		}
	}
}

long sys_wait4(struct task *t, struct sysargs *a)
{
	int pid = A_INT(a, 0), options = A_INT(a, 2);
	struct wait w = {.options = options | WEXITED};
	long r;

	if (options & ~WAIT4_FLAGS)
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	w.idtype = pid == -1 ? P_ALL : pid > 0 ? P_PID : P_PGID;
	w.id = pid > 0 ? pid : pid ? -pid : t->proc->pgid;
	r = do_wait(t, &w);
	if (r <= 0)
		return r;
	if (a->raw[1] && gmem_write(t->proc->mm, A_PTR(a, 1), &w.wstatus, sizeof(w.wstatus)))
		return -EFAULT;
	if (a->raw[3] && gmem_write(t->proc->mm, A_PTR(a, 3), &w.ru, sizeof(w.ru)))
		return -EFAULT;
	return w.pid;
}

static int write_info(struct task *t, uint64_t addr, const struct wait *w)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	if (w->pid) {
		info.si_signo = SIGCHLD;
		info.si_code = w->code;
		info.si_pid = w->pid;
		info.si_uid = w->uid;
		info.si_status = w->status;
	}
	/* Linux writes the members and leaves the rest of the structure alone. */
	return gmem_write(t->proc->mm, gptr_at(addr), &info, offsetof(siginfo_t, si_status) + 4);
}

/* Waits for the process of a descriptor. One that does not block says so instead of waiting. */
static long wait_pidfd(struct task *t, struct wait *w)
{
	struct file *f = fdtab_lookup(t->proc->fdtab, w->id);
	bool nonblock;
	long r;

	if (!f)
		return -EBADF;
	w->proc = pidfd_proc(f);
	nonblock = (f->flags & O_NONBLOCK) && !(w->options & WNOHANG);
	w->options |= nonblock ? WNOHANG : 0;
	r = w->proc ? do_wait(t, w) : -EBADF;
	file_put(f);
	return !r && nonblock ? -EAGAIN : r;
}

long sys_waitid(struct task *t, struct sysargs *a)
{
	struct wait w = {.idtype = A_INT(a, 0), .id = A_INT(a, 1), .options = A_INT(a, 3)};
	long r;

	if ((w.options & ~WAITID_FLAGS) || !(w.options & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	switch (w.idtype) {
	case P_ALL:
		break;
	case P_PID:
		if (w.id <= 0)
			return -EINVAL;
		break;
	case P_PGID:
		if (w.id < 0)
			return -EINVAL;
		w.id = w.id ? w.id : t->proc->pgid;
		break;
	case P_PIDFD:
		if (w.id < 0)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	r = w.idtype == P_PIDFD ? wait_pidfd(t, &w) : do_wait(t, &w);
	if (r < 0)
		return r;
	if (r > 0 && a->raw[4] && gmem_write(t->proc->mm, A_PTR(a, 4), &w.ru, sizeof(w.ru)))
		return -EFAULT;
	return a->raw[2] ? write_info(t, a->raw[2], &w) : 0;
}
