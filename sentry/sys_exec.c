/* execve and execveat.
 *
 * The new program is loaded into a new address space first: whatever fails there leaves the caller as
 * it was. Then the other threads are sent away, and what is left cannot fail. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include "base/buf.h"
#include "base/cleanup.h"
#include "sentry/auditx.h"
#include "sentry/domain.h"
#include "sentry/futex.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/task_int.h"
#include "sentry/timer.h"

#define STR_MAX	  (32u * 4096) /* of one string, with its NUL */
#define TOTAL_MAX (6u << 20)   /* of all strings and their pointers */

/* A NULL-terminated array of the app's strings, copied. */
struct strings {
	struct buf text; /* the strings with their NULs, one after the other */
	size_t n;
	const char **v;
};

struct exec {
	struct task *t;
	const struct sysargs *a;
	size_t left; /* of TOTAL_MAX */
	struct strings argv, envp;
	struct loader_result res;
	struct mm *mm;
	uint32_t view; /* of the policy: the program's */
	struct domain *domain; /* the program's, referenced until it is taken over */
};

/* ---- the exec gate ---- */

/* May the program be started with these arguments, and under which rules? Those that were found so far
 * decide: a script's interpreter is started by what the script may do. */
static long judge_start(struct exec *x, const char *path, const char *asked, const char *const *argv)
{
	struct pol_program prog = {.path = path, .len = strlen(path), .argv = argv};
	struct pol_verdict v;

	if (!sandbox.image || !sandbox.config.has_exec)
		return 0;
	while (argv[prog.argc])
		prog.argc++;
	pol_eval_exec(sandbox.image, x->view, &prog, &v, &x->view);
	auditx_exec(x->t, path, asked, &prog, &v);
	return v.action == POL_ALLOW ? 0 : sys_refuse(x->t, x->a, &v);
}

static int open_exec(void *arg, const char *path, const char *const *argv, struct file **out)
{
	cleanup_free struct vpath *v = calloc(1, sizeof(*v));
	struct exec *x = arg;
	int r = v ? vfs_find_exec(x->t, path, v) : -ENOMEM;

	if (r)
		return r;
	if (argv)
		r = (int)judge_start(x, v->path, path, argv);
	if (!r)
		r = vfs_open_program(x->t, v, out);
	vpath_release(v);
	return r;
}

/* ---- arguments ---- */

static int copy_string(struct task *t, struct exec *x, uint64_t addr, struct buf *text)
{
	char part[4096];
	size_t len = 0, n;
	ssize_t got;

	do {
		/* Up to the end of a page: what is behind it may not be there. */
		n = sizeof(part) - (addr + len) % sizeof(part);
		got = gmem_read_str(t->proc->mm, part, gptr_at(addr + len), n);
		if (got < 0 && got != -ENAMETOOLONG)
			return (int)got;
		n = got < 0 ? n : (size_t)got;
		if (len + n + 1 > STR_MAX || n + 1 > x->left)
			return -E2BIG;
		x->left -= n;
		len += n;
		buf_append(text, part, n);
	} while (got < 0);
	x->left--;
	buf_append(text, "", 1);
	return 0;
}

/* The array of pointers to the strings that were copied. */
static int make_vector(struct strings *s)
{
	const char *at = s->text.data;
	size_t i;

	if (s->text.failed)
		return -ENOMEM;
	s->v = calloc(s->n + 1, sizeof(*s->v));
	if (!s->v)
		return -ENOMEM;
	for (i = 0; i < s->n; i++, at += strlen(at) + 1)
		s->v[i] = at;
	return 0;
}

static int copy_strings(struct task *t, struct exec *x, uint64_t addr, struct strings *s)
{
	uint64_t ptr = 0;
	int r;

	for (; addr; addr += sizeof(ptr)) {
		if (gmem_read(t->proc->mm, &ptr, gptr_at(addr), sizeof(ptr)))
			return -EFAULT;
		if (!ptr)
			break;
		if (x->left < sizeof(ptr))
			return -E2BIG;
		x->left -= sizeof(ptr);
		r = copy_string(t, x, ptr, &s->text);
		if (r)
			return r;
		s->n++;
	}
	return make_vector(s);
}

static void free_strings(struct strings *s)
{
	buf_free(&s->text);
	free(s->v);
}

/* ---- loading ---- */

static int load(struct task *t, struct exec *x, struct file *exe, const char *path)
{
	struct proc *p = t->proc;
	struct loader_args la = {
		.exe = exe,
		.path = path,
		.argv = x->argv.v,
		.envp = x->envp.v,
		.uid = p->uid,
		.gid = p->gid,
		.hwcap2 = platform_hwcap2(sandbox.platform),
		.open_exec = open_exec,
		.open_arg = x,
		.fixed = p->persona & ADDR_NO_RANDOMIZE,
	};
	int r = mm_create(sandbox.platform, &x->mm);

	if (r)
		return r;
	if (la.fixed)
		mm_fix_layout(x->mm);
	mm_set_limits(x->mm, p->rlim[RLIMIT_AS].rlim_cur, p->rlim[RLIMIT_DATA].rlim_cur,
		      p->rlim[RLIMIT_STACK].rlim_cur);
	mm_set_memlock(x->mm, p->rlim[RLIMIT_MEMLOCK].rlim_cur);
	r = loader_exec(x->mm, &la, &x->res, NULL);
	if (!r) {
		r = domain_enter(p, x->view, &x->domain);
		if (r)
			file_put(x->res.exe);
	}
	if (r) {
		mm_put(x->mm);
		x->mm = NULL;
	}
	return r;
}

/* ---- the point of no return ---- */

/* Sends the other threads away and waits until they are gone. -EINTR: t has to leave itself. */
static int stay_alone(struct task *t)
{
	struct proc *p = t->proc;
	struct task *o;
	uint32_t seen;
	int left;

	pthread_mutex_lock(&p->lock);
	if (p->exiting || atomic_load(&p->exec_task)) {
		pthread_mutex_unlock(&p->lock);
		return -EINTR;
	}
	if (p->nr_tasks > 1)
		atomic_store(&p->exec_task, t);
	list_for_each (o, &p->tasks, node)
		if (o != t)
			task_interrupt(o);
	pthread_mutex_unlock(&p->lock);
	for (;;) {
		seen = atomic_load(&p->thread_event);
		pthread_mutex_lock(&p->lock);
		left = p->nr_tasks;
		pthread_mutex_unlock(&p->lock);
		if (left == 1)
			break;
		if (!task_wait_killable(t, &p->thread_event, seen))
			return -EINTR;
	}
	atomic_store(&p->exec_task, NULL);
	return 0;
}

/* A descriptor table of the process's own: what closes for the new program stays open for those that
 * shared the old one. -ENOMEM: the process is about to be killed, as it is too late to go back. */
static int own_files(struct proc *p)
{
	int r = fdtab_own(p);

	if (r)
		proc_exit_group(p, SIGKILL);
	return r;
}

/* What belongs to the old program. */
static void drop_old_state(struct task *t)
{
	struct proc *p = t->proc;

	futex_robust_exit(t);
	futex_pi_exit(t);
	futex_clear_tid(t);
	t->robust_list = t->clear_child_tid = 0;
	fdtab_close_range(p->fdtab, 0, UINT32_MAX, true);
	signal_reset_actions(p->sighand);
	t->sig->alt_sp = t->sig->alt_size = 0;
	t->sig->alt_flags = SS_DISABLE;
	timers_exec(p);
}

static void take_over(struct task *t, struct exec *x)
{
	struct proc *p = t->proc;
	struct mm *old_mm = p->mm;
	struct file *old_exe = p->exe;

	platform_ctx_set_as(t->ctx, mm_as(x->mm));
	domain_take_over(p, &x->domain);
	pthread_mutex_lock(&p->lock);
	p->mm = x->mm;
	p->exe = x->res.exe;
	memcpy(p->comm, x->res.comm, sizeof(p->comm));
	memcpy(t->comm, x->res.comm, sizeof(t->comm));
	p->dumpable = true;
	p->barriers = 0;
	t->keep_caps = false;
	p->did_exec = true;
	atomic_store(&p->view, pol_view_in_phase(sandbox.image, x->view, 0));
	platform_ctx_set_view(t->ctx, task_view(t));
	if (p->exit_signal)
		p->exit_signal = SIGCHLD;
	ids_change_task(t, p->pid); /* whichever thread called execve is the leader now */
	task_set_constants(t);
	pthread_mutex_unlock(&p->lock);
	x->mm = NULL;
	if (old_exe)
		file_put(old_exe);
	mm_put(old_mm);
	proc_vfork_done(p);
}

static void start_registers(struct task *t, const struct loader_result *res)
{
	memset(t->regs, 0, sizeof(*t->regs));
	t->regs->rip = res->entry;
	t->regs->rsp = res->stack;
	t->regs->rflags = 0x202;
	platform_ctx_fpu_load(t->ctx, NULL);
	platform_ctx_set_fsbase(t->ctx, 0);
	platform_ctx_set_gsbase(t->ctx, 0);
}

static long run_exec(struct task *t, struct sysargs *a, struct exec *x, uint64_t argv, uint64_t envp)
{
	const char *path = a->path[0].str;
	struct file *exe = NULL;
	int r = copy_strings(t, x, argv, &x->argv);

	if (!r)
		r = copy_strings(t, x, envp, &x->envp);
	if (!r)
		r = (int)judge_start(x, a->path[0].v->path, path, x->argv.v);
	if (!r)
		r = vfs_open_program(t, a->path[0].v, &exe);
	if (r)
		return r;
	r = load(t, x, exe, *path ? path : exe->path);
	file_put(exe);
	if (r)
		return r;
	r = stay_alone(t);
	if (!r)
		r = own_files(t->proc);
	if (!r)
		r = sighand_own_actions(t->proc->sighand);
	if (r) {
		file_put(x->res.exe);
		return r;
	}
	drop_old_state(t);
	take_over(t, x);
	start_registers(t, &x->res);
	return 0;
}

static long do_exec(struct task *t, struct sysargs *a, uint64_t argv, uint64_t envp)
{
	struct exec x = {.t = t,
			 .a = a,
			 .left = TOTAL_MAX,
			 .argv.text = BUF_INIT,
			 .envp.text = BUF_INIT,
			 .view = task_view(t)};
	long r = run_exec(t, a, &x, argv, envp);

	if (x.mm)
		mm_put(x.mm);
	domain_put(x.domain);
	free_strings(&x.argv);
	free_strings(&x.envp);
	return r;
}

long sys_execve(struct task *t, struct sysargs *a)
{
	return do_exec(t, a, a->raw[1], a->raw[2]);
}

long sys_execveat(struct task *t, struct sysargs *a)
{
	if (A_INT(a, 4) & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	if (a->path[0].v->node && a->path[0].v->node->type == S_IFLNK)
		return -ELOOP;
	return do_exec(t, a, a->raw[2], a->raw[3]);
}
