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

/* ---- a call under several layers ---- */

const struct img_verdict *codegen_fallback(const struct unit *u, const struct layer *l,
					   const struct rcall *call)
{
	static const struct img_verdict open = {.action = POL_ALLOW, .gate = POL_GATE_CALL};
	bool none = !call->d || (call->d->disposition == SYS_NOSYS && !call->named && !call->group);

	if (l != u->layers)
		return l->closed ? &l->img.dflt : &open;
	return none ? &u->unknown : &l->img.dflt;
}

/* The verdict of a call that needs no program, or NULL. */
static const struct img_verdict *simple(const struct unit *u, const struct layer *l,
					const struct rcall *call)
{
	const struct rchain *k = call->named ? call->named : call->group;

	if (call->never)
		return call->never->cond ? NULL : &call->never->v;
	if (!k)
		return codegen_fallback(u, l, call);
	return k->outs->cond ? NULL : &k->outs->v;
}

static const struct img_verdict *stricter(const struct img_verdict *a, const struct img_verdict *b)
{
	return !a || img_stricter(a->action, a->flags, b->action, b->flags) ? b : a;
}

/* What a call gets: the layers one after the other, with the strictest verdict so far. */
struct nest {
	struct gen g;
	uint32_t set, nr;
};

static void gen_layers(struct nest *n, unsigned layer, const struct img_verdict *so_far);

/* One outcome: when its condition holds, on to the layers behind; else on to what follows. False when
 * nothing can follow. */
static bool gen_outcome(struct nest *n, unsigned layer, const struct routcome *o,
			const struct img_verdict *so_far)
{
	uint32_t yes, no;

	if (!o->cond) {
		gen_layers(n, layer + 1, stricter(so_far, &o->v));
		return false;
	}
	yes = new_label(&n->g);
	no = new_label(&n->g);
	gen_cond(&n->g, o->cond, yes, no);
	place_label(&n->g, yes);
	gen_layers(n, layer + 1, stricter(so_far, &o->v));
	place_label(&n->g, no);
	return true;
}

/* The code from this layer on. It is there once for each way through the layers before, which the limit of
 * instructions bounds. */
static void gen_layers(struct nest *n, unsigned layer, const struct img_verdict *so_far)
{
	const struct unit *u = n->g.u;
	const struct rcall *call;
	bool more = true;

	while (layer < u->nr_layers && !(n->set >> layer & 1))
		layer++;
	if (layer == u->nr_layers || img_build_insns(&u->build) >= IMG_MAX_INSNS) {
		gen_ret(&n->g, so_far);
		return;
	}
	call = &u->layers[layer].calls[n->nr];
	for (const struct routcome *o = call->never; o && more; o = o->next)
		more = gen_outcome(n, layer, o, so_far);
	for (const struct rchain *k = call->named ? call->named : call->group; k; k = k->next)
		for (const struct routcome *o = k->outs; o && more; o = o->next)
			more = gen_outcome(n, layer, o, so_far);
	if (more)
		gen_layers(n, layer + 1,
			   stricter(so_far, codegen_fallback(u, &u->layers[layer], call)));
}

/* The policy's own entry, where no section says anything stricter. */
static bool reuse(struct unit *u, uint32_t set, uint32_t nr, struct img_verdict *out)
{
	const struct img_verdict *v;

	for (unsigned i = 1; i < u->nr_layers; i++) {
		v = set >> i & 1 ? simple(u, &u->layers[i], &u->layers[i].calls[nr]) : NULL;
		if ((set >> i & 1) && (!v || v->action != POL_ALLOW || (v->flags & POL_F_LOG)))
			return false;
	}
	if (set == 1 || u->build.part[IMG_BUILD_CALLS].failed)
		return false;
	memcpy(out, u->build.part[IMG_BUILD_CALLS].data + nr * sizeof(*out), sizeof(*out));
	return true;
}

static void gen_call(struct unit *u, uint32_t set, uint32_t nr)
{
	struct nest n = {{.u = u, .labels = BUF_INIT, .start = img_build_insns(&u->build)}, set, nr};
	struct img_verdict program = {.action = IMG_PROGRAM, .value = n.g.start};
	const struct img_verdict *only = NULL, *v = NULL;

	if (reuse(u, set, nr, &program)) {
		img_build_call(&u->build, &program);
		return;
	}
	for (unsigned i = 0; i < u->nr_layers; i++) {
		if (!(set >> i & 1))
			continue;
		v = simple(u, &u->layers[i], &u->layers[i].calls[nr]);
		if (!v)
			break;
		only = stricter(only, v);
	}
	if (v) {
		img_build_call(&u->build, only);
		return;
	}
	gen_layers(&n, 0, NULL);
	finish(&n.g);
	img_build_call(&u->build, &program);
}

/* May the call be allowed so often only? Then ring 0 cannot answer it. */
static bool begins_phase(const struct unit *u, uint32_t nr)
{
	for (unsigned i = u->nr_programs + 1; i < u->nr_layers; i++)
		if (u->layers[i].phase_call == nr)
			return true;
	return false;
}

static bool has_limit(const struct rcall *call)
{
	for (const struct rchain *k = call->named ? call->named : call->group; k; k = k->next)
		for (const struct routcome *o = k->outs; o; o = o->next)
			if (o->v.flags & POL_F_LIMIT)
				return true;
	return false;
}

void codegen_view(struct unit *u, uint32_t set)
{
	for (uint32_t nr = 0; nr < IMG_CALLS; nr++) {
		const struct sys_desc *d = u->layers[0].calls[nr].d;

		gen_call(u, set, nr);
		u->build.tier0[nr] = d && !has_limit(&u->layers[0].calls[nr]) && !begins_phase(u, nr)
					  ? d->tier0
					  : 0;
	}
}
