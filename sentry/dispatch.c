/* One system call: decode, decide, audit, invoke. Nothing has an effect before every gate passed.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include "base/hot.h"
#include "sentry/auditx.h"
#include "sentry/decode.h"
#include "sentry/net.h"
#include "sentry/rate.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/systable.h"

struct gate { /* argument of the evaluator's callbacks */
	struct task *t;
	struct sysargs *a;
};

static bool env_field(void *arg, unsigned argno, unsigned field, uint64_t *val)
{
	const struct sysargs *a = ((struct gate *)arg)->a;
	const struct sys_field *f = sysdesc_field(field);
	unsigned i;

	if (!f || a->strct_err || !a->desc || argno >= a->desc->nargs ||
	    a->desc->arg[argno].kind != ARG_STRUCT || a->desc->arg[argno].strct != f->strct ||
	    f->offset + f->size > SYS_STRUCT_MAX)
		return false;
	*val = 0;
	for (i = 0; i < f->size; i++)
		*val |= (uint64_t)a->strct[f->offset + i] << (8 * i);
	return true;
}

static enum pol_fdkind env_fdkind(void *arg, unsigned argno)
{
	const struct sysargs *a = ((struct gate *)arg)->a;

	return argno < 6 && a->file[argno] ? a->file[argno]->kind : POL_FD_NONE;
}

static const char *env_path(void *arg, unsigned argno, size_t *len)
{
	struct gate *g = arg;
	int k = decode_path_index(g->a, argno);

	if (k < 0 || decode_resolve(g->t, g->a, k) || !g->a->path[k].v)
		return NULL;
	*len = g->a->path[k].v->path_len;
	return g->a->path[k].v->path;
}

static void call_gate(struct task *t, struct sysargs *a, struct pol_verdict *v)
{
	struct gate g = {t, a};
	const struct pol_env env = {&g, env_field, env_fdkind, env_path};
	struct pol_call call = {.nr = a->nr};
	int i;

	for (i = 0; i < 6; i++)
		call.arg[i] = a->raw[i];
	if (pol_eval_call(sandbox.image, task_view(t), &call, &env, v))
		return;
	*v = (struct pol_verdict){
	    .action = POL_DENY,
	    .flags = POL_F_LOG | POL_F_DEFAULT,
	    .gate = POL_GATE_CALL,
	    .value = EPERM,
	};
}

/* Judges one resolved path. True to go on; else *v decides, or *err. A name that does not resolve
 * is judged too where its canonical text is known: what a policy hides must look the same whether
 * it exists or not. */
static bool path_gate(struct task *t, struct sysargs *a, int k, struct pol_verdict *v, long *err)
{
	enum path_role role = a->desc->arg[a->path[k].argno].role;
	int r = decode_resolve(t, a, k);
	struct vpath *p = a->path[k].v;
	struct auditx_obj obj = {.k = k};

	if (p && p->path_len) {
		obj.verbs = vfs_role_verbs(role, a, p);
		if (obj.verbs) {
			vfs_judge(p->path, p->path_len, obj.verbs, v);
			if (v->action != POL_ALLOW || (v->flags & POL_F_LOG))
				auditx_path(t, a, v, &obj);
			if (v->action != POL_ALLOW)
				return false;
		}
	}
	*err = r;
	return !r;
}

/* To run what a file holds is to execute it, whichever call makes it executable. */
static bool exec_gate(struct task *t, const struct sysargs *a, struct pol_verdict *v)
{
	struct file *f = sys_mm_executes(t, a);

	if (!f)
		return true;
	vfs_judge(f->path, strlen(f->path), POL_V_EXEC, v);
	if (v->action != POL_ALLOW || (v->flags & POL_F_LOG))
		auditx_file(t, a, v, f, POL_V_EXEC);
	file_put(f);
	return v->action == POL_ALLOW;
}

static bool object_gates(struct task *t, struct sysargs *a, struct pol_verdict *v, long *err)
{
	const struct net_target *refused = NULL;
	int k;

	/* All before any is judged: what a move needs on the old name depends on the new one. */
	for (k = 0; k < a->npaths; k++)
		decode_resolve(t, a, k);
	for (k = 0; k < a->npaths; k++)
		if (!path_gate(t, a, k, v, err))
			return false;
	if (!exec_gate(t, a, v))
		return false;
	*err = net_call_prepare(t, a);
	if (*err)
		return false;
	if (!a->net || net_call_judge(sandbox.image, task_view(t), a->net, v, &refused))
		return true;
	auditx_net(t, a, v, refused);
	return false;
}

/* Ends the run, naming the rule that wanted it so. */
static void terminate(const struct sysargs *a, const struct pol_verdict *v)
{
	static char why[512]; /* lives on as the sandbox's end_reason */
	static atomic_flag taken = ATOMIC_FLAG_INIT;
	struct pol_rule_info r;

	if (!atomic_flag_test_and_set(&taken) && pol_image_rule(sandbox.image, v->rule, &r))
		snprintf(why, sizeof(why), "terminated by policy: %s at %s:%u: %s",
			 a->desc ? a->desc->name : "call", r.file, r.line, r.text);
	sandbox_end(SBX_EXIT_TERMINATED, *why ? why : "terminated by policy");
}

/* What a verdict other than ALLOW makes of the call. */
static long refuse(struct task *t, const struct sysargs *a, const struct pol_verdict *v)
{
	switch (v->action) {
	case POL_EMULATE:
		t->totals.emulate++;
		return v->value;
	case POL_DENY:
		t->totals.deny++;
		return -v->value;
	default:
		t->totals.terminate++;
		terminate(a, v);
		return -EPERM;
	}
}

long sys_refuse(struct task *t, const struct sysargs *a, const struct pol_verdict *v)
{
	t->totals.allow--;
	return refuse(t, a, v);
}

static long decide_and_run(struct task *t, struct sysargs *a)
{
	struct pol_verdict v = {.action = POL_ALLOW}, obj = {.action = POL_ALLOW};
	sys_handler *handler = systable_handler(a->nr);
	long err = 0;

	call_gate(t, a, &v);
	if (v.action != POL_ALLOW) {
		if (v.flags & POL_F_LOG)
			auditx_call(t, a, &v);
		return refuse(t, a, &v);
	}
	if (!handler) {
		auditx_unimplemented(t, a->nr);
		return -ENOSYS;
	}
	if (!object_gates(t, a, &obj, &err)) {
		if (obj.action != POL_ALLOW)
			return refuse(t, a, &obj);
		t->totals.allow++;
		return err;
	}
	if (v.flags & POL_F_LIMIT) {
		err = rate_take(t, &v);
		if (err)
			return err;
	}
	if (v.flags & POL_F_LOG)
		auditx_call(t, a, &v);
	if (v.action != POL_ALLOW)
		return refuse(t, a, &v);
	t->totals.allow++;
	phase_advance(a->nr);
	return handler(t, a);
}

static bool is_restart(long r)
{
	return r == -ERESTARTSYS || r == -ERESTARTNOINTR || r == -ERESTARTNOHAND ||
	       r == -ERESTART_RESTARTBLOCK;
}

static void finish(struct task *t, uint32_t nr, long r)
{
	t->restart_code = 0;
	if (nr == SYS_rt_sigreturn && t->orig_rax == ~0ull)
		return; /* the registers are the interrupted code's */
	if (is_restart(r))
		t->restart_code = -r;
	else
		t->regs->rax = (uint64_t)r;
	if (t->sig->restore_mask && !t->restart_code) {
		t->sig->restore_mask = false;
		signal_set_mask(t, t->sig->saved_mask);
		if (signal_pending(t))
			atomic_store(&t->interrupt, 1);
	}
}

hot_path void sys_dispatch(struct task *t)
{
	uint64_t rax = t->regs->rax;
	uint32_t nr = rax > UINT32_MAX ? UINT32_MAX : (uint32_t)rax;
	struct sysargs *a = decode_begin(t, nr, sysdesc_by_nr(nr));
	long r;

	t->orig_rax = rax;
	t->totals.calls++;
	t->nr_syscalls++;
	r = decide_and_run(t, a);
	net_call_release(a);
	decode_end(t, a);
	finish(t, nr, r);
}
