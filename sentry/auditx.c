/* Builds audit events from the sentry's decisions. */
#include "sentry/auditx.h"

#include <string.h>
#include <sys/syscall.h>
#include "audit/args.h"
#include "audit/record.h"
#include "sentry/decode.h"
#include "sentry/net.h"
#include "sentry/sys.h"

static void fill(struct task *t, struct audit_event *ev, uint32_t nr)
{
	const struct proc *p = t->proc;

	memset(ev, 0, sizeof(*ev));
	ev->pid = p->pid;
	ev->tid = t->tid;
	ev->ppid = p->ppid;
	ev->exe = p->exe ? p->exe->path : NULL;
	ev->nr = nr;
	ev->ip = t->regs ? t->regs->rip : 0;
	ev->view = task_view(t);
}

static void add_args(struct buf *b, const struct sysargs *a, const struct pol_addr *addr)
{
	struct audit_arg_text text[SYS_MAX_ARGS] = {0};
	int i, k;

	for (i = 0; a->desc && i < a->desc->nargs; i++) {
		switch (a->desc->arg[i].kind) {
		case ARG_STR:
			text[i].str = a->str_err ? NULL : a->str;
			break;
		case ARG_SOCKADDR:
		case ARG_MSGHDR:
			text[i].addr = addr;
			break;
		case ARG_STRUCT:
			text[i].strct = a->strct_err ? NULL : a->strct;
			break;
		default:
			break;
		}
	}
	for (k = 0; k < a->npaths; k++)
		text[a->path[k].argno].str = a->path[k].str;
	audit_args(b, a->desc, a->raw, text);
}

static void record(struct task *t, const struct sysargs *a, struct audit_event *ev)
{
	struct buf b = BUF_INIT;

	add_args(&b, a, ev->addr);
	ev->args = b.failed ? NULL : b.data;
	audit_decision(sandbox.audit, ev);
	buf_free(&b);
}

void auditx_call(struct task *t, const struct sysargs *a, const struct pol_verdict *v)
{
	struct audit_event ev;

	if (!sandbox.audit)
		return;
	fill(t, &ev, a->nr);
	ev.verdict = *v;
	record(t, a, &ev);
}

static void files_event(struct task *t, const struct sysargs *a, const struct pol_verdict *v,
			uint32_t verbs, const char *path, const char *asked)
{
	struct audit_event ev;

	if (!sandbox.audit || !(v->flags & POL_F_LOG))
		return;
	fill(t, &ev, a->nr);
	ev.verdict = *v;
	ev.obj = AUDIT_OBJ_FILE;
	ev.verbs = verbs;
	ev.path = path;
	ev.asked = asked;
	record(t, a, &ev);
}

void auditx_path(struct task *t, const struct sysargs *a, const struct pol_verdict *v,
		 const struct auditx_obj *obj)
{
	files_event(t, a, v, obj->verbs, a->path[obj->k].v->path, a->path[obj->k].str);
}

void auditx_file(struct task *t, const struct sysargs *a, const struct pol_verdict *v,
		 const struct file *f, uint32_t verbs)
{
	files_event(t, a, v, verbs, f->path, NULL);
}

void auditx_exec(struct task *t, const char *path, const char *asked, const struct pol_program *prog,
		 const struct pol_verdict *v)
{
	struct audit_arg_text text[SYS_MAX_ARGS] = {{.str = asked}};
	const uint64_t raw[6] = {0};
	struct audit_event ev;
	struct buf b = BUF_INIT;

	if (!sandbox.audit || !(v->flags & POL_F_LOG))
		return;
	fill(t, &ev, SYS_execve);
	ev.verdict = *v;
	ev.obj = AUDIT_OBJ_FILE;
	ev.verbs = prog ? POL_V_START : POL_V_EXEC;
	ev.prog = prog;
	ev.path = path;
	ev.asked = asked;
	audit_args(&b, sysdesc_by_nr(SYS_execve), raw, text);
	ev.args = b.failed ? NULL : b.data;
	audit_decision(sandbox.audit, &ev);
	buf_free(&b);
}

void auditx_net(struct task *t, const struct sysargs *a, const struct pol_verdict *v,
		const struct net_target *target)
{
	struct audit_event ev;

	if (!sandbox.audit || !(v->flags & POL_F_LOG))
		return;
	fill(t, &ev, a->nr);
	ev.verdict = *v;
	if (target) {
		ev.obj = AUDIT_OBJ_NET;
		ev.nverb = target->nverb;
		ev.addr = &target->addr;
	}
	record(t, a, &ev);
}

void auditx_unimplemented(struct task *t, uint32_t nr)
{
	static _Atomic uint64_t seen[SYS_TABLE_SIZE / 64];
	struct audit_event ev;
	uint64_t bit = 1ull << (nr % 64);

	t->totals.unimplemented++;
	if (nr < SYS_TABLE_SIZE && (atomic_fetch_or(&seen[nr / 64], bit) & bit))
		return;
	if (!sandbox.audit)
		return;
	fill(t, &ev, nr);
	ev.unimplemented = true;
	record(t, &t->scratch->args, &ev);
}

static void count(struct audit_totals *c, uint8_t action)
{
	c->calls++;
	switch (action) {
	case POL_ALLOW:
		c->allow++;
		break;
	case POL_DENY:
		c->deny++;
		break;
	case POL_EMULATE:
		c->emulate++;
		break;
	default:
		c->terminate++;
		break;
	}
}

void auditx_tier0(struct task *t, const struct platform_tier0_record *rec)
{
	const struct sys_desc *d = sysdesc_by_nr(rec->nr);
	struct audit_event ev;
	struct buf b = BUF_INIT;

	count(&t->totals, rec->action);
	if (!sandbox.audit || rec->action == POL_ALLOW)
		return;
	fill(t, &ev, rec->nr);
	ev.ip = rec->rip;
	ev.verdict = (struct pol_verdict){
	    .action = rec->action,
	    .flags = POL_F_LOG,
	    .gate = POL_GATE_CALL,
	    .value = rec->action == POL_DENY ? -rec->result : rec->result,
	    .rule = rec->rule,
	};
	audit_args(&b, d, rec->arg, NULL);
	ev.args = b.failed ? NULL : b.data;
	audit_decision(sandbox.audit, &ev);
	buf_free(&b);
}
