/* Verdict tables and filter programs. */
#include <string.h>
#include "base/buf.h"
#include "policy/resolve.h"

/* While a program is made, jt and jf hold label numbers; finish() turns them into distances. Every
 * label is placed after all jumps to it. */
struct gen {
	struct unit *u;
	struct buf labels; /* uint32_t each: the instruction a label stands before */
	uint32_t start;
};

static uint32_t new_label(struct gen *g)
{
	uint32_t unset = UINT32_MAX, index = (uint32_t)(g->labels.len / sizeof(unset));

	buf_append(&g->labels, &unset, sizeof(unset));
	return index;
}

static uint32_t *label_at(struct gen *g, uint32_t label)
{
	return (uint32_t *)(void *)g->labels.data + label;
}

static void place_label(struct gen *g, uint32_t label)
{
	if (!g->labels.failed)
		*label_at(g, label) = img_build_insns(&g->u->build);
}

static void gen_test(struct gen *g, const struct rtest *t, uint32_t yes, uint32_t no)
{
	struct img_build *b = &g->u->build;
	struct img_insn in = t->in;

	if (in.op == IMG_PATH) {
		struct img_pattern p = img_build_tokens(b, t->pat->t, t->pat->len, t->pat->tail);

		in.a = img_build_pattern(b, &p);
	} else if (in.op != IMG_FDKIND && in.cmp == IMG_IN) {
		in.b = t->nr_ranges;
		for (uint32_t i = 0; i < t->nr_ranges; i++) {
			uint32_t at = img_build_range(b, t->ranges[i].lo, t->ranges[i].hi);

			if (i == 0)
				in.a = at;
		}
	}
	in.jt = yes;
	in.jf = no;
	img_build_insn(b, &in);
}

static void gen_cond(struct gen *g, const struct rcond *c, uint32_t yes, uint32_t no)
{
	if (c->kind == RCOND_TEST) {
		gen_test(g, &c->test, yes, no);
		return;
	}
	if (c->kind == RCOND_NOT) {
		gen_cond(g, c->kids, no, yes);
		return;
	}
	for (const struct rcond *k = c->kids; k; k = k->next) {
		uint32_t next = k->next ? new_label(g) : 0;

		if (!k->next)
			gen_cond(g, k, yes, no);
		else if (c->kind == RCOND_AND)
			gen_cond(g, k, next, no);
		else
			gen_cond(g, k, yes, next);
		if (k->next)
			place_label(g, next);
	}
}

static void gen_ret(struct gen *g, const struct img_verdict *v)
{
	struct img_insn in = {.op = IMG_RET, .a = img_build_verdict(&g->u->build, v)};

	img_build_insn(&g->u->build, &in);
}

/* One outcome: its verdict when the condition holds, else on to what follows. False when nothing
 * can follow. */
static bool gen_outcome(struct gen *g, const struct routcome *o)
{
	uint32_t yes, no;

	if (!o->cond) {
		gen_ret(g, &o->v);
		return false;
	}
	yes = new_label(g);
	no = new_label(g);
	gen_cond(g, o->cond, yes, no);
	place_label(g, yes);
	gen_ret(g, &o->v);
	place_label(g, no);
	return true;
}

static void finish(struct gen *g)
{
	uint32_t end = img_build_insns(&g->u->build);

	for (uint32_t pc = g->start; pc < end && !g->labels.failed; pc++) {
		struct img_insn *in = img_build_insn_at(&g->u->build, pc);

		if (!in)
			break;
		if (in->op == IMG_RET)
			continue;
		in->jt = *label_at(g, in->jt) - pc - 1;
		in->jf = *label_at(g, in->jf) - pc - 1;
	}
	if (g->labels.failed)
		g->u->oom = true;
	buf_free(&g->labels);
}

/* What applies when no rule of the call does. */
static const struct img_verdict *fallback(const struct unit *u, const struct rcall *call)
{
	if (!call->d)
		return &u->unknown;
	if (call->d->disposition == SYS_NOSYS && !call->named && !call->group)
		return &u->unknown;
	return &u->dflt;
}

/* The verdict of a call that needs no program, or NULL. */
static const struct img_verdict *simple(const struct unit *u, const struct rcall *call)
{
	const struct rchain *k = call->named ? call->named : call->group;

	if (call->never)
		return call->never->cond ? NULL : &call->never->v;
	if (!k)
		return fallback(u, call);
	return k->outs->cond ? NULL : &k->outs->v;
}

static void gen_call(struct unit *u, const struct rcall *call)
{
	struct gen g = {.u = u, .labels = BUF_INIT, .start = img_build_insns(&u->build)};
	const struct img_verdict *only = simple(u, call);
	struct img_verdict program = {.action = IMG_PROGRAM, .value = g.start};
	bool more = true;

	if (only) {
		img_build_call(&u->build, only);
		return;
	}
	for (const struct routcome *o = call->never; o && more; o = o->next)
		more = gen_outcome(&g, o);
	for (const struct rchain *k = call->named ? call->named : call->group; k; k = k->next)
		for (const struct routcome *o = k->outs; o && more; o = o->next)
			more = gen_outcome(&g, o);
	if (more)
		gen_ret(&g, fallback(u, call));
	finish(&g);
	img_build_call(&u->build, &program);
}

void codegen_calls(struct unit *u, const struct rcall calls[IMG_CALLS])
{
	for (uint32_t nr = 0; nr < IMG_CALLS; nr++) {
		gen_call(u, &calls[nr]);
		u->build.tier0[nr] = calls[nr].d ? calls[nr].d->tier0 : 0;
	}
}
