/* The rules of each call, from all files: what is named, what a group says, what extends or
 * replaces what. */
#include <string.h>
#include "policy/resolve.h"

/* ---- collecting ---- */

/* What one file says of one call, after merging what it uses. */
struct file_rules {
	struct rchain *chains; /* of all */
	bool own;	       /* the file itself has a rule */
	struct src_span at;    /* of one of the rules */
};

struct collector {
	struct unit *u;
	struct rcall *calls;
	struct file_rules (*layers)[SOURCE_MAX_FILES]; /* [call][file] */
	/* of the file at hand, by call */
	struct rchain *own[IMG_CALLS], *extends[IMG_CALLS];
	bool replaces[IMG_CALLS];
	struct src_span at[IMG_CALLS];
};

static void append_outcome(struct routcome **list, struct routcome *o)
{
	while (*list)
		list = &(*list)->next;
	*list = o;
}

static void append_chain(struct rchain **list, struct rchain *c)
{
	while (*list)
		list = &(*list)->next;
	*list = c;
}

static struct routcome *new_outcome(struct unit *u, const struct rcond *cond,
				    const struct img_verdict *v, struct src_span span,
				    const char *via)
{
	struct routcome *o = unit_new(u, struct routcome);

	o->cond = cond;
	o->v = *v;
	o->span = span;
	o->via = via;
	return o;
}

/* A verdict for this call. False when it must not be used. */
static bool outcome_for(struct unit *u, const struct ast_outcome *out,
			const struct ast_notes *notes, const struct sys_desc *d, uint32_t rule,
			struct img_verdict *v)
{
	if (!resolve_outcome(u, out, notes, rule, v))
		return false;
	if (notes->limit && v->action == POL_ALLOW)
		v->flags |= POL_F_LIMIT;
	return v->action != POL_EMULATE || typecheck_emulate(u, d, v->value, out->span);
}

static struct rchain *block_chain(struct unit *u, const struct ast_rule *r,
				  const struct sys_desc *d)
{
	struct rchain *chain = unit_new(u, struct rchain);

	for (const struct ast_arm *arm = r->arms; arm; arm = arm->next) {
		const struct rcond *cond = arm->cond ? typecheck_cond(u, arm->cond, d) : NULL;
		uint32_t rule = resolve_rule(u, arm->span, &arm->notes);
		struct img_verdict v;

		resolve_rate(u, &arm->notes, rule, arm->out.verdict == AST_ALLOW);
		if (arm->set)
			resolve_unenforced(u, arm->set->span, "set");
		if (outcome_for(u, &arm->out, &arm->notes, d, rule, &v) && (cond || !arm->cond))
			append_outcome(&chain->outs, new_outcome(u, cond, &v, arm->span, NULL));
	}
	return chain->outs ? chain : NULL;
}

static struct rchain *simple_chain(struct unit *u, const struct ast_rule *r,
				   const struct sys_desc *d, uint32_t rule,
				   const struct ast_target *t)
{
	struct rchain *chain = unit_new(u, struct rchain);
	const char *via = t->group ? t->name : NULL;
	const struct rcond *cond = r->cond ? typecheck_cond(u, r->cond, d) : NULL;
	struct img_verdict v;

	if (!outcome_for(u, &r->out, &r->notes, d, rule, &v) || (r->cond && !cond))
		return NULL;
	append_outcome(&chain->outs, new_outcome(u, cond, &v, t->span, via));
	if (!r->other.verdict)
		return chain;
	if (!outcome_for(u, &r->other, &r->notes, d, rule, &v))
		return NULL;
	append_outcome(&chain->outs, new_outcome(u, NULL, &v, r->other.span, via));
	return chain;
}

static void add_named(struct collector *c, const struct ast_rule *r, uint32_t nr,
		      struct rchain *chain, struct src_span at)
{
	if (!chain)
		return;
	c->at[nr] = at;
	if (r->mode == AST_MODE_EXTEND)
		append_chain(&c->extends[nr], chain);
	else
		append_chain(&c->own[nr], chain);
	c->replaces[nr] |= r->mode == AST_MODE_REPLACE;
}

static void add_target(struct collector *c, const struct ast_rule *r, const struct ast_target *t,
		       uint32_t rule)
{
	bool in[IMG_CALLS];

	if (!resolve_target(c->u, t, in))
		return;
	if (t->group && r->mode != AST_MODE_NONE)
		diag_error(c->u->diags, t->span, "P025",
			   "extend and replace apply to named calls only");
	for (uint32_t nr = 0; nr < IMG_CALLS; nr++) {
		const struct sys_desc *d = in[nr] ? sysdesc_by_nr(nr) : NULL;
		struct rchain *chain;

		if (!d)
			continue;
		if (r->kind == AST_RULE_NEVER) {
			const struct rcond *cond =
			    r->cond ? typecheck_cond(c->u, r->cond, d) : NULL;
			struct img_verdict v = {.action = POL_TERMINATE,
						.flags = POL_F_LOG | POL_F_NEVER,
						.gate = POL_GATE_NEVER,
						.rule = rule};

			if (cond || !r->cond)
				append_outcome(&c->calls[nr].never,
					       new_outcome(c->u, cond, &v, t->span,
							   t->group ? t->name : NULL));
			continue;
		}
		chain = r->kind == AST_RULE_BLOCK ? block_chain(c->u, r, d)
						  : simple_chain(c->u, r, d, rule, t);
		if (t->group && chain)
			append_chain(&c->calls[nr].group, chain);
		else
			add_named(c, r, nr, chain, t->span);
	}
}

static void add_rule(struct collector *c, const struct ast_rule *r)
{
	uint32_t rule = r->kind == AST_RULE_BLOCK ? 0 : resolve_rule(c->u, r->span, &r->notes);

	resolve_rate(c->u, &r->notes, rule,
		     r->kind == AST_RULE_SIMPLE && (r->out.verdict == AST_ALLOW ||
						    r->other.verdict == AST_ALLOW));
	if (r->set)
		resolve_unenforced(c->u, r->set->span, "set");
	for (const struct ast_target *t = r->targets; t; t = t->next)
		add_target(c, r, t, rule);
}

/* ---- merging what is used ---- */

static unsigned file_index(const struct unit *u, const struct pol_ast *ast)
{
	unsigned i = 0;

	while (i < u->nr_files && u->files[i] != ast)
		i++;
	return i;
}

static bool holds(const struct rchain *list, const struct rchain *c)
{
	for (; list; list = list->next)
		if (list->outs == c->outs)
			return true;
	return false;
}

/* Chains of used files, each once: a file may be used along two ways. */
static struct rchain *used_chains(struct collector *c, const struct pol_ast *file, uint32_t nr,
				  struct src_span *at)
{
	struct rchain *all = NULL;

	for (const struct ast_use *use = file->uses; use; use = use->next) {
		unsigned i = use->ast ? file_index(c->u, use->ast) : c->u->nr_files;

		if (i == c->u->nr_files)
			continue;
		for (struct rchain *k = c->layers[nr][i].chains; k; k = k->next) {
			struct rchain *copy = unit_new(c->u, struct rchain);

			if (holds(all, k))
				continue;
			copy->outs = k->outs;
			append_chain(&all, copy);
			*at = c->layers[nr][i].at;
		}
	}
	return all;
}

/* extend: own arms first, then those below, as one chain. */
static struct rchain *extended(struct unit *u, const struct rchain *own, const struct rchain *below)
{
	struct rchain *r = unit_new(u, struct rchain);
	const struct rchain *lists[] = {own, below};

	for (unsigned i = 0; i < 2; i++)
		for (const struct rchain *k = lists[i]; k; k = k->next)
			for (const struct routcome *o = k->outs; o; o = o->next)
				append_outcome(&r->outs,
					       new_outcome(u, o->cond, &o->v, o->span, o->via));
	return r;
}

static void settle(struct collector *c, const struct pol_ast *file, unsigned index, uint32_t nr)
{
	struct file_rules *l = &c->layers[nr][index];
	struct src_span below_at = {0};
	struct rchain *below = used_chains(c, file, nr, &below_at);
	struct diag *d;

	l->own = c->own[nr] || c->extends[nr];
	l->at = l->own ? c->at[nr] : below_at;
	if (!l->own) {
		l->chains = below;
		return;
	}
	if (!below && (c->extends[nr] || c->replaces[nr])) {
		diag_error(c->u->diags, c->at[nr], "P025", "no used file has a rule for '%s' to %s",
			   sysdesc_by_nr(nr)->name, c->extends[nr] ? "extend" : "replace");
	} else if (below && !c->extends[nr] && !c->replaces[nr]) {
		d = diag_error(c->u->diags, c->at[nr], "P024",
			       "a used file has a rule for '%s' too", sysdesc_by_nr(nr)->name);
		diag_relate(c->u->diags, d, below_at, NULL);
		diag_help(
		    c->u->diags, d,
		    "write \"extend\" to try this one first, or \"replace\" to drop the other");
	}
	l->chains = c->extends[nr] ? extended(c->u, c->extends[nr], below) : NULL;
	append_chain(&l->chains, c->own[nr]);
}

void rules_collect(struct unit *u, struct rcall calls[IMG_CALLS])
{
	struct collector *c;
	size_t i;

	memset(calls, 0, IMG_CALLS * sizeof(*calls));
	for (i = 0; i < sysdesc_count(); i++)
		calls[sysdesc_at(i)->nr].d = sysdesc_at(i);
	c = arena_alloc(&u->arena, sizeof(*c));
	if (c)
		c->layers = arena_alloc(&u->arena, IMG_CALLS * sizeof(*c->layers));
	if (!c || !c->layers) {
		u->oom = true;
		return;
	}
	c->u = u;
	c->calls = calls;
	for (unsigned f = 0; f < u->nr_files; f++) {
		memset(c->own, 0, sizeof(c->own));
		memset(c->extends, 0, sizeof(c->extends));
		memset(c->replaces, 0, sizeof(c->replaces));
		for (const struct ast_rule *r = u->files[f]->rules; r; r = r->next)
			add_rule(c, r);
		for (i = 0; i < sysdesc_count(); i++)
			settle(c, u->files[f], f, sysdesc_at(i)->nr);
	}
	for (i = 0; i < sysdesc_count() && u->nr_files; i++)
		calls[sysdesc_at(i)->nr].named =
		    c->layers[sysdesc_at(i)->nr][u->nr_files - 1].chains;
}
