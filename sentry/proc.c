/* Processes: the table, relations, their end, stop and continue. Threads are task.c's.
 *
 * The relations are guarded by sandbox.lock, which is taken before a process's own lock. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sentry/domain.h"
#include "sentry/file.h"
#include "sentry/ipc.h"
#include "sentry/job.h"
#include "sentry/pidfd.h"
#include "sentry/signal.h"
#include "sentry/task_int.h"
#include "sentry/timer.h"
#include "sentry/vfs.h"

#define PID_MAX 4194304

/* ---- the table ---- */

struct proc *proc_create(void)
{
	struct proc *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	atomic_init(&p->refs, 1);
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->node);
	list_init(&p->tasks);
	list_init(&p->children);
	list_init(&p->sibling);
	list_init(&p->sem_undos);
	p->dumpable = true;
	p->mce_kill = 2; /* PR_MCE_KILL_DEFAULT */
	p->exit_signal = SIGCHLD;
	p->sighand = sighand_create();
	p->timers = timers_create();
	if (!p->sighand || !p->timers) {
		proc_put(p);
		return NULL;
	}
	return p;
}

struct proc *proc_get(struct proc *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

/* Lets go of everything that a zombie does not need. */
static void release_resources(struct proc *p)
{
	struct mm *mm;
	struct fdtab *fdtab;
	struct fsctx *fs;
	struct file *exe;

	pthread_mutex_lock(&p->lock);
	mm = p->mm;
	fdtab = p->fdtab;
	fs = p->fs;
	exe = p->exe;
	p->mm = NULL;
	p->fdtab = NULL;
	p->fs = NULL;
	p->exe = NULL;
	pthread_mutex_unlock(&p->lock);
	fdtab_leave(fdtab);
	fsctx_put(fs);
	if (exe)
		file_put(exe);
	if (mm)
		mm_put(mm);
}

void proc_put(struct proc *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	sighand_put(p->sighand); /* its queue may hold entries of timers */
	timers_destroy(&p->timers);
	release_resources(p);
	domain_put(p->domain);
	if (p->end_fd > 0)
		close(p->end_fd);
	if (p->cred_fd > 0)
		close(p->cred_fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

uint32_t task_view(const struct task *t)
{
	uint32_t phase = atomic_load(&sandbox.phase), view = t ? atomic_load(&t->proc->view) : 0;

	return phase ? pol_view_in_phase(sandbox.image, view, phase) : view;
}

/* Tier 0 of every thread uses the new tables from its next call on. */
static void use_new_tables(void)
{
	struct proc *p;
	struct task *t;

	pthread_mutex_lock(&sandbox.lock);
	list_for_each (p, &sandbox.procs, node) {
		pthread_mutex_lock(&p->lock);
		list_for_each (t, &p->tasks, node)
			platform_ctx_set_view(t->ctx, task_view(t));
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_unlock(&sandbox.lock);
}

void phase_advance(uint32_t nr)
{
	uint32_t phase = atomic_load(&sandbox.phase);
	struct pol_phase next;

	if (phase >= pol_image_phase(sandbox.image, phase, &next) || next.nr != nr ||
	    !atomic_compare_exchange_strong(&sandbox.phase, &phase, phase + 1))
		return;
	use_new_tables();
}

bool proc_may_touch(const struct task *t, const struct proc *p)
{
	return !t || !sandbox.image ||
	       pol_view_within(sandbox.image, atomic_load(&p->view), atomic_load(&t->proc->view));
}

static bool id_in_use(int id)
{
	struct proc *p;
	struct task *t;
	bool used = false;

	list_for_each (p, &sandbox.procs, node) {
		if (p->pid == id || p->pgid == id || p->sid == id)
			return true;
		pthread_mutex_lock(&p->lock);
		list_for_each (t, &p->tasks, node)
			used |= t->tid == id;
		pthread_mutex_unlock(&p->lock);
		if (used)
			return true;
	}
	return false;
}

int task_new_tid(void)
{
	int id;

	do {
		id = sandbox.next_pid++;
		if (sandbox.next_pid >= PID_MAX) {
			sandbox.next_pid = 300; /* where Linux goes on, too */
			sandbox.pids_wrapped = true;
		}
	} while (sandbox.pids_wrapped && id_in_use(id));
	return id;
}

static void set_parent(struct proc *p, struct proc *parent)
{
	struct task *t;

	list_del(&p->sibling);
	p->parent = parent;
	if (parent)
		list_append(&parent->children, &p->sibling);
	pthread_mutex_lock(&p->lock);
	p->ppid = parent ? parent->pid : 1;
	list_for_each (t, &p->tasks, node)
		task_set_constants(t);
	pthread_mutex_unlock(&p->lock);
}

void proc_link(struct proc *p, struct proc *parent)
{
	list_append(&sandbox.procs, &p->node);
	set_parent(p, parent);
	ids_add_proc(p);
}

void proc_reap(struct proc *p)
{
	if (p->zombie)
		atomic_fetch_sub(&sandbox.nr_zombies, 1);
	sandbox.reaped_cpu_ns += p->dead_cpu.exact;
	domain_reaped(p);
	list_del(&p->node);
	list_del(&p->sibling);
	ids_del_proc(p);
	p->parent = NULL;
	atomic_store(&p->gone, true);
	proc_put(p);
}

/* ---- telling the parent ---- */

static bool parent_flag(struct proc *parent, uint64_t flag, bool or_ignored)
{
	struct sig_action act;

	pthread_mutex_lock(&parent->sighand->lock);
	act = sighand_action(parent->sighand, SIGCHLD);
	pthread_mutex_unlock(&parent->sighand->lock);
	return (act.flags & flag) || (or_ignored && act.handler == (uint64_t)SIG_IGN);
}

static siginfo_t child_info(struct proc *p, int sig, int code, int status)
{
	siginfo_t info = {.si_signo = sig, .si_code = code};
	struct cpu_times c = proc_cpu_times(p);

	info.si_pid = p->pid;
	info.si_uid = p->uid;
	info.si_status = status;
	info.si_utime = (clock_t)(c.user / 10000000);
	info.si_stime = (clock_t)(c.sys / 10000000);
	return info;
}

void proc_notify_parent(struct proc *p, int code, int status)
{
	bool ended = code == CLD_EXITED || code == CLD_KILLED || code == CLD_DUMPED;
	int sig = ended ? p->exit_signal : SIGCHLD;
	struct proc *parent = p->parent;
	siginfo_t info;

	if (!parent)
		return;
	if (sig && (ended || !parent_flag(parent, SA_NOCLDSTOP, true))) {
		info = child_info(p, sig, code, status);
		signal_send_proc(parent, &info);
	}
	atomic_fetch_add(&parent->child_event, 1);
	task_wake(&parent->child_event);
}

void proc_vfork_done(struct proc *p)
{
	atomic_store(&p->vfork_done, 1);
	task_wake(&p->vfork_done);
}

/* ---- the end ---- */

void proc_exit_group(struct proc *p, int wait_status)
{
	struct task *t;

	pthread_mutex_lock(&p->lock);
	if (p->nr_tasks && !p->exiting) { /* nothing changes what the last thread left behind */
		p->exit_code = wait_status;
		atomic_store(&p->exiting, true);
	}
	proc_continue(p);
	list_for_each (t, &p->tasks, node)
		task_interrupt(t);
	pthread_mutex_unlock(&p->lock);
}

static void tell_end(struct proc *p)
{
	int code = p->exit_code;

	if (code & 0x7f)
		proc_notify_parent(p, code & 0x80 ? CLD_DUMPED : CLD_KILLED, code & 0x7f);
	else
		proc_notify_parent(p, CLD_EXITED, code >> 8 & 0xff);
}

/* Who becomes the parent of p's children: the nearest living ancestor that asked for it, or sbx. */
static struct proc *find_reaper(struct proc *p)
{
	struct proc *r = p->parent;

	while (r && (!r->subreaper || r->zombie))
		r = r->parent;
	return r;
}

static void send_pdeath(struct proc *c, const struct proc *parent)
{
	siginfo_t info = {.si_signo = c->pdeath_sig, .si_code = SI_USER};

	if (!c->pdeath_sig || c->zombie)
		return;
	info.si_pid = parent->pid;
	info.si_uid = parent->uid;
	signal_send_proc(c, &info);
}

void proc_thread_ended(struct proc *p, int tid)
{
	struct task *other;
	struct proc *c;
	int next = p->pid;

	if (list_empty(&p->children)) /* what this thread made it has seen there */
		return;
	pthread_mutex_lock(&sandbox.lock);
	pthread_mutex_lock(&p->lock);
	if (!list_empty(&p->tasks)) {
		other = list_entry(p->tasks.next, struct task, node);
		next = other->tid;
	}
	pthread_mutex_unlock(&p->lock);
	list_for_each (c, &p->children, sibling) {
		if (c->parent_tid != tid)
			continue;
		c->parent_tid = next;
		send_pdeath(c, p);
	}
	pthread_mutex_unlock(&sandbox.lock);
}

/* Hands p's children on. Zombies that nobody will wait for go. */
static void orphan_children(struct proc *p)
{
	struct proc *reaper = find_reaper(p), *c, *tmp;

	list_for_each_safe (c, tmp, &p->children, sibling) {
		set_parent(c, reaper);
		c->parent_tid = reaper ? reaper->pid : 1;
		send_pdeath(c, p);
		c->exit_signal = SIGCHLD;
		if (!c->zombie)
			continue;
		if (!reaper)
			proc_reap(c);
		else
			tell_end(c);
	}
}

/* Nobody waits for p: it has no parent in here, or one that does not want to know. */
static bool unwanted(struct proc *p)
{
	if (!p->parent)
		return true;
	return p->exit_signal == SIGCHLD && parent_flag(p->parent, SA_NOCLDWAIT, true);
}

/* The sandbox ends with its first process. */
static void end_sandbox(const struct proc *p)
{
	static char reason[32];
	int code = p->exit_code;

	if (code & 0x7f) {
		snprintf(reason, sizeof(reason), "signal %d", code & 0x7f);
		sandbox_end(128 + (code & 0x7f), reason);
	} else {
		sandbox_end((code >> 8) & 0xff, "exited");
	}
}

void proc_ended(struct proc *p)
{
	bool first = p == sandbox.first, reap;
	struct mm_usage mu;

	if (p->mm) {
		mm_usage(p->mm, &mu);
		p->maxrss_dead = mu.rss_peak;
	}
	ipc_sem_exit(p);
	release_resources(p);
	proc_vfork_done(p);
	pthread_mutex_lock(&sandbox.lock);
	orphan_children(p);
	job_release(p, true);
	p->zombie = true;
	atomic_fetch_add(&sandbox.nr_zombies, 1);
	pidfd_ended(p);
	reap = unwanted(p);
	tell_end(p);
	if (reap && !first)
		proc_reap(p);
	pthread_mutex_unlock(&sandbox.lock);
	/* Nobody looks at a zombie's timers. The caller holds a reference. */
	signal_flush(p);
	timers_destroy(&p->timers);
	if (first)
		end_sandbox(p);
}

/* ---- stop and continue ---- */

/* Nobody outside p's process group, but in its session, could continue the group if it stopped. */
static bool group_orphaned(const struct proc *p)
{
	const struct proc *q;

	list_for_each (q, &sandbox.procs, node) {
		if (q->pgid != p->pgid || q->zombie)
			continue;
		if (q == sandbox.first) /* whoever started sbx can */
			return false;
		if (q->parent && q->parent->pgid != q->pgid && q->parent->sid == q->sid)
			return false;
	}
	return true;
}

bool proc_group_orphaned(struct proc *p)
{
	bool r;

	pthread_mutex_lock(&sandbox.lock);
	r = group_orphaned(p);
	pthread_mutex_unlock(&sandbox.lock);
	return r;
}

void proc_stop(struct task *t, int sig)
{
	struct proc *p = t->proc;
	struct task *o;
	bool stops = false;

	pthread_mutex_lock(&sandbox.lock);
	pthread_mutex_lock(&p->lock);
	if (!p->exiting && !atomic_load(&p->stopped) && t->stop_seen == p->continued) {
		stops = true;
		atomic_store(&p->stopped, (uint32_t)sig);
		p->stop_report = sig;
		p->cont_report = false;
		list_for_each (o, &p->tasks, node)
			task_interrupt(o);
	}
	pthread_mutex_unlock(&p->lock);
	if (stops)
		proc_notify_parent(p, CLD_STOPPED, sig);
	pthread_mutex_unlock(&sandbox.lock);
}

static void notify_continued(struct proc *p)
{
	pthread_mutex_lock(&sandbox.lock);
	proc_notify_parent(p, CLD_CONTINUED, SIGCONT);
	pthread_mutex_unlock(&sandbox.lock);
}

void proc_stop_wait(struct task *t)
{
	struct proc *p = t->proc;
	uint32_t sig;

	while ((sig = atomic_load(&p->stopped)) != 0)
		if (!task_wait_killable(t, &p->stopped, sig))
			return;
	if (!task_leaving(t) && atomic_exchange(&p->cont_event, false))
		notify_continued(p);
}

void proc_continue(struct proc *p)
{
	if (!atomic_load(&p->stopped))
		return;
	p->stop_report = 0;
	p->cont_report = !p->exiting;
	atomic_store(&p->cont_event, true);
	atomic_store(&p->stopped, 0);
	task_wake(&p->stopped);
}
