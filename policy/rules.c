/* The rules of each call, from all files: which level speaks, what contradicts what, what can never
 * happen. */
#include <string.h>
#include "policy/bdd.h"
#include "policy/prove.h"
#include "policy/resolve.h"

/* ---- collecting ---- */

/* What one file says of one call, after merging what it uses. */
struct layer {
	struct rchain *chains; /* of all */
	bool own;	       /* the file itself has a rule */
	struct src_span at;    /* of one of the rules */
};

struct collector {
	struct unit *u;
	struct rcall *calls;
	struct layer (*layers)[SOURCE_MAX_FILES]; /* [call][file] */
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
				    const struct img_verdict *v, struct src_span span, const char *via)
{
	struct routcome *o = unit_new(u, struct routcome);

	o->cond = cond;
	o->v = *v;
	o->span = span;
	o->via = via;
	return o;
}

/* A verdict for this call. False when it must not be used. */
static bool outcome_for(struct unit *u, const struct ast_outcome *out, const struct ast_notes *notes,
			const struct sys_desc *d, uint32_t rule, struct img_verdict *v)
{
	if (!resolve_outcome(u, out, notes, rule, v))
		return false;
	return v->action != POL_EMULATE || typecheck_emulate(u, d, v->value, out->span);
}

static struct rchain *block_chain(struct unit *u, const struct ast_rule *r, const struct sys_desc *d)
{
	struct rchain *chain = unit_new(u, struct rchain);

	for (const struct ast_arm *arm = r->arms; arm; arm = arm->next) {
		const struct rcond *cond = arm->cond ? typecheck_cond(u, arm->cond, d) : NULL;
		uint32_t rule = resolve_rule(u, arm->span, &arm->notes);
		struct img_verdict v;

		resolve_notes(u, &arm->notes);
		if (arm->set)
			resolve_unenforced(u, arm->set->span, "set");
		if (outcome_for(u, &arm->out, &arm->notes, d, rule, &v) && (cond || !arm->cond))
			append_outcome(&chain->outs, new_outcome(u, cond, &v, arm->span, NULL));
	}
	return chain->outs ? chain : NULL;
}

static struct rchain *simple_chain(struct unit *u, const struct ast_rule *r, const struct sys_desc *d,
				   uint32_t rule, const struct ast_target *t)
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

static void add_named(struct collector *c, const struct ast_rule *r, uint32_t nr, struct rchain *chain,
		      struct src_span at)
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
		diag_error(c->u->diags, t->span, "P025", "extend and replace apply to named calls only");
	for (uint32_t nr = 0; nr < IMG_CALLS; nr++) {
		const struct sys_desc *d = in[nr] ? sysdesc_by_nr(nr) : NULL;
		struct rchain *chain;

		if (!d)
			continue;
		if (r->kind == AST_RULE_NEVER) {
			const struct rcond *cond = r->cond ? typecheck_cond(c->u, r->cond, d) : NULL;
			struct img_verdict v = { .action = POL_TERMINATE,
						 .flags = POL_F_LOG | POL_F_NEVER,
						 .gate = POL_GATE_NEVER,
						 .rule = rule };

			if (cond || !r->cond)
				append_outcome(&c->calls[nr].never,
					       new_outcome(c->u, cond, &v, t->span,
							   t->group ? t->name : NULL));
			continue;
		}
		chain = r->kind == AST_RULE_BLOCK ? block_chain(c->u, r, d) :
						    simple_chain(c->u, r, d, rule, t);
		if (t->group && chain)
			append_chain(&c->calls[nr].group, chain);
		else
			add_named(c, r, nr, chain, t->span);
	}
}

static void add_rule(struct collector *c, const struct ast_rule *r)
{
	uint32_t rule = r->kind == AST_RULE_BLOCK ? 0 : resolve_rule(c->u, r->span, &r->notes);

	resolve_notes(c->u, &r->notes);
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
	const struct rchain *lists[] = { own, below };

	for (unsigned i = 0; i < 2; i++)
		for (const struct rchain *k = lists[i]; k; k = k->next)
			for (const struct routcome *o = k->outs; o; o = o->next)
				append_outcome(&r->outs,
					       new_outcome(u, o->cond, &o->v, o->span, o->via));
	return r;
}

static void settle(struct collector *c, const struct pol_ast *file, unsigned index, uint32_t nr)
{
	struct layer *l = &c->layers[nr][index];
	struct src_span below_at = { 0 };
	struct rchain *below = used_chains(c, file, nr, &below_at);
	struct diag *d;

	l->own = c->own[nr] || c->extends[nr];
	l->at = l->own ? c->at[nr] : below_at;
	if (!l->own) {
		l->chains = below;
		return;
	}
	if (!below && (c->extends[nr] || c->replaces[nr])) {
		diag_error(c->u->diags, c->at[nr], "P025",
			   "no used file has a rule for '%s' to %s", sysdesc_by_nr(nr)->name,
			   c->extends[nr] ? "extend" : "replace");
	} else if (below && !c->extends[nr] && !c->replaces[nr]) {
		d = diag_error(c->u->diags, c->at[nr], "P024", "a used file has a rule for '%s' too",
			       sysdesc_by_nr(nr)->name);
		diag_relate(c->u->diags, d, below_at, NULL);
		diag_help(c->u->diags, d,
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

/* ---- conditions as decision diagrams ---- */

/* A term of the diagram. Terms 0..5 are the arguments. */
struct term {
	const struct rtest *test;
};

struct checker {
	struct unit *u;
	const struct rcall *call;
	struct bdd *b;
	struct term terms[BDD_TERMS];
	unsigned nr_terms;
	bdd_ref world; /* what holds whatever the arguments are */
	bool undecided;
};

static bool same_term(const struct rtest *a, const struct rtest *b)
{
	if (a->in.op != b->in.op || a->in.arg != b->in.arg)
		return false;
	if (a->in.op == IMG_FIELD)
		return a->in.field == b->in.field;
	return a->in.op != IMG_PATH || pattern_equal(a->pat, b->pat);
}

static unsigned term_of(struct checker *c, const struct rtest *t, bool *is_new)
{
	*is_new = false;
	if (t->in.op == IMG_ARG)
		return t->in.arg;
	for (unsigned i = 6; i < c->nr_terms; i++)
		if (c->terms[i].test && same_term(c->terms[i].test, t))
			return i;
	if (c->nr_terms + 2 > BDD_TERMS) {
		c->undecided = true;
		return BDD_TERMS - 1;
	}
	*is_new = true;
	c->terms[c->nr_terms].test = t;
	return c->nr_terms++;
}

static bdd_ref compare_ref(struct checker *c, unsigned term, const struct rtest *t)
{
	const struct img_insn *in = &t->in;
	bdd_ref r = BDD_FALSE;

	if (in->cmp != IMG_IN) {
		r = bdd_compare(c->b, term, in->conv, in->mask, in->cmp, in->imm);
	} else {
		for (uint32_t i = 0; i < t->nr_ranges; i++) {
			bdd_ref lo = bdd_compare(c->b, term, in->conv, in->mask, IMG_ULT,
						 t->ranges[i].lo);
			bdd_ref hi = bdd_compare(c->b, term, in->conv, in->mask, IMG_ULE,
						 t->ranges[i].hi);

			r = bdd_or(c->b, r, bdd_and(c->b, bdd_not(c->b, lo), hi));
		}
	}
	return in->invert ? bdd_not(c->b, r) : r;
}

/* Patterns over one path are not independent: says so for a new one and each before it. */
static void relate_paths(struct checker *c, unsigned term)
{
	const struct rtest *t = c->terms[term].test;
	bdd_ref here = bdd_atom(c->b, term), there, rule;

	for (unsigned i = 6; i < term; i++) {
		const struct rtest *o = c->terms[i].test;

		if (!o || o->in.op != IMG_PATH || o->in.arg != t->in.arg)
			continue;
		there = bdd_atom(c->b, i);
		switch (pattern_relate(t->pat, o->pat, NULL)) {
		case PATTERN_DISJOINT:
			rule = bdd_not(c->b, bdd_and(c->b, here, there));
			break;
		case PATTERN_INSIDE:
			rule = bdd_or(c->b, bdd_not(c->b, here), there);
			break;
		case PATTERN_CONTAINS:
			rule = bdd_or(c->b, here, bdd_not(c->b, there));
			break;
		default:
			rule = BDD_TRUE;
			break;
		}
		c->world = bdd_and(c->b, c->world, rule);
	}
}

static bdd_ref test_ref(struct checker *c, const struct rtest *t)
{
	bool is_new;
	unsigned term = term_of(c, t, &is_new);
	bdd_ref r = BDD_FALSE;

	if (c->undecided)
		return BDD_FALSE;
	switch (t->in.op) {
	case IMG_ARG:
		return compare_ref(c, term, t);
	case IMG_FIELD:
		/* The term after a field says whether it can be read at all. */
		if (is_new)
			c->terms[c->nr_terms++].test = NULL;
		return bdd_and(c->b, bdd_atom(c->b, term + 1), compare_ref(c, term, t));
	case IMG_FDKIND:
		for (unsigned k = 0; k < POL_FD_MAX; k++)
			if (t->in.imm >> k & 1)
				r = bdd_or(c->b, r, bdd_compare(c->b, term, IMG_U64, 7, IMG_EQ, k));
		return r;
	default:
		if (is_new)
			relate_paths(c, term);
		return bdd_atom(c->b, term);
	}
}

static bdd_ref cond_ref(struct checker *c, const struct rcond *cond)
{
	bdd_ref r;

	if (!cond)
		return BDD_TRUE;
	if (cond->kind == RCOND_TEST)
		return test_ref(c, &cond->test);
	if (cond->kind == RCOND_NOT)
		return bdd_not(c->b, cond_ref(c, cond->kids));
	r = cond->kind == RCOND_AND ? BDD_TRUE : BDD_FALSE;
	for (const struct rcond *k = cond->kids; k; k = k->next)
		r = cond->kind == RCOND_AND ? bdd_and(c->b, r, cond_ref(c, k)) :
					      bdd_or(c->b, r, cond_ref(c, k));
	return r;
}

/* ---- checks ---- */

struct region {
	const struct routcome *out;
	const struct rchain *chain;
	bdd_ref f;
};

#define MAX_REGIONS 512

static const char *verb_of(const struct img_verdict *v)
{
	switch (v->action) {
	case POL_ALLOW:
		return "allowed";
	case POL_DENY:
		return "denied";
	case POL_EMULATE:
		return "emulated";
	default:
		return "terminated";
	}
}

/* "write(fd = 3)": a call that f holds for. */
static const char *example(struct checker *c, bdd_ref f)
{
	uint64_t value[BDD_TERMS], used;
	struct buf b = BUF_INIT;
	const char *r = NULL;
	bool first = true;

	if (bdd_witness(c->b, f, value, &used) && used) {
		buf_printf(&b, "for example %s(", c->call->d->name);
		for (unsigned i = 0; i < c->call->d->nargs; i++) {
			const struct sys_arg *a = &c->call->d->arg[i];
			const char *name;

			if (!(used >> i & 1))
				continue;
			name = sysconst_is_enum((enum const_set)a->set) ?
				       sysconst_name((enum const_set)a->set, value[i]) : NULL;
			buf_printf(&b, "%s%s = ", first ? "" : ", ", a->name);
			if (name)
				buf_puts(&b, name);
			else
				buf_printf(&b, value[i] > 4096 ? "0x%llx" : "%llu",
					   (unsigned long long)value[i]);
			first = false;
		}
		buf_puts(&b, ")");
		if (!first && !b.failed)
			r = arena_strdup(&c->u->arena, b.data);
	}
	buf_free(&b);
	return r;
}

static bool meet(struct checker *c, bdd_ref x, bdd_ref y, bdd_ref *both)
{
	*both = bdd_and(c->b, c->world, bdd_and(c->b, x, y));
	return !c->undecided && !bdd_failed(c->b) && *both != BDD_FALSE;
}

/* Regions of a list of chains; reports outcomes that can never happen. */
static unsigned regions_of(struct checker *c, const struct rchain *chains, struct region *r)
{
	unsigned n = 0;

	for (const struct rchain *k = chains; k; k = k->next) {
		bdd_ref left = BDD_TRUE, f, all;
		const struct routcome *before = NULL;

		for (const struct routcome *o = k->outs; o && n < MAX_REGIONS; o = o->next) {
			all = cond_ref(c, o->cond);
			f = bdd_and(c->b, left, all);
			left = bdd_and(c->b, left, bdd_not(c->b, all));
			if (!c->undecided && !bdd_failed(c->b) &&
			    bdd_and(c->b, c->world, f) == BDD_FALSE) {
				struct diag *d = diag_error(c->u->diags, o->span, "P021",
							    "this arm can never match");
				if (bdd_and(c->b, c->world, all) == BDD_FALSE)
					diag_label(c->u->diags, d, "no call fulfils the condition");
				else if (before && before->span.line)
					diag_label(c->u->diags, d,
						   "every such call is taken by line %u",
						   before->span.line);
			}
			r[n++] = (struct region){ o, k, f };
			before = o;
		}
	}
	return n;
}

static const char *place(struct unit *u, const struct routcome *o)
{
	if (o->via)
		return arena_printf(&u->arena, "@%s, line %u", o->via, o->span.line);
	return arena_printf(&u->arena, "line %u", o->span.line);
}

static void report_conflict(struct checker *c, const struct routcome *a, const struct routcome *b,
			    bdd_ref both)
{
	const struct routcome *first = a->span.start <= b->span.start ? a : b;
	const struct routcome *last = first == a ? b : a;
	const char *witness = example(c, both), *name = c->call->d->name;
	struct diag *d;

	if (first->v.action == last->v.action)
		d = diag_error(c->u->diags, last->span, "P022", "'%s' is %s with two values (%s and %s)",
			       name, verb_of(&first->v), place(c->u, first), place(c->u, last));
	else
		d = diag_error(c->u->diags, last->span, "P022", "'%s' is both %s (%s) and %s (%s)", name,
			       verb_of(&first->v), place(c->u, first), verb_of(&last->v),
			       place(c->u, last));
	diag_relate(c->u->diags, d, first->span, NULL);
	if (witness)
		diag_label(c->u->diags, d, "%s", witness);
	if (a->via && b->via)
		diag_help(c->u->diags, d, "name it: \"allow %s\" or \"deny %s\"", name, name);
	else
		diag_help(c->u->diags, d, "make the conditions exclude each other, or use one \"on %s\" block",
			  name);
}

static void check_level(struct checker *c, const struct rchain *chains)
{
	static _Thread_local struct region r[MAX_REGIONS];
	unsigned n = regions_of(c, chains, r);
	bdd_ref both;

	for (unsigned i = 0; i < n; i++) {
		for (unsigned j = i + 1; j < n; j++) {
			const struct img_verdict *x = &r[i].out->v, *y = &r[j].out->v;

			if (r[i].chain == r[j].chain ||
			    (x->action == y->action && x->value == y->value))
				continue;
			if (meet(c, r[i].f, r[j].f, &both)) {
				report_conflict(c, r[i].out, r[j].out, both);
				return; /* one report for a call is enough */
			}
		}
	}
	for (const struct routcome *o = c->call->never; o; o = o->next) {
		for (unsigned i = 0; i < n; i++) {
			struct diag *d;

			if (r[i].out->via || r[i].out->v.action != POL_ALLOW ||
			    !meet(c, cond_ref(c, o->cond), r[i].f, &both))
				continue;
			d = diag_error(c->u->diags, r[i].out->span, "P023",
				       "'%s' is allowed here, and never allowed by line %u",
				       c->call->d->name, o->span.line);
			diag_relate(c->u->diags, d, o->span, NULL);
			diag_help(c->u->diags, d, "the guard would win; remove one of the two");
			return;
		}
	}
}

/* A condition that holds for no call is a mistake in a guard as well. */
static void check_never(struct checker *c)
{
	for (const struct routcome *o = c->call->never; o; o = o->next)
		if (o->cond && bdd_and(c->b, c->world, cond_ref(c, o->cond)) == BDD_FALSE &&
		    !c->undecided && !bdd_failed(c->b))
			diag_error(c->u->diags, o->span, "P021", "this rule can never match");
}

/* Most calls have one rule without a condition. */
static bool is_plain(const struct rcall *call)
{
	const struct rchain *k = call->named ? call->named : call->group;

	return !call->never && (!k || (!k->next && !k->outs->next && !k->outs->cond));
}

static struct checker *new_checker(struct unit *u, const struct rcall *call)
{
	struct checker *c = arena_alloc(&u->arena, sizeof(*c));

	if (c)
		c->b = bdd_create();
	if (!c || !c->b) {
		u->oom = true;
		return NULL;
	}
	c->u = u;
	c->call = call;
	c->nr_terms = 6;
	c->world = BDD_TRUE;
	return c;
}

void rules_check(struct unit *u, const struct rcall *call)
{
	struct checker *c = is_plain(call) ? NULL : new_checker(u, call);

	if (!c)
		return;
	check_never(c);
	check_level(c, call->named ? call->named : call->group);
	if (c->undecided || bdd_failed(c->b)) {
		const struct rchain *k = call->named ? call->named : call->group;

		diag_warn(u->diags, k && k->outs ? k->outs->span : (struct src_span){ 0 }, "P029",
			  "the conditions on '%s' are too large to check for overlap: undecided",
			  call->d->name);
	}
	bdd_destroy(&c->b);
}

bool prove_no_call(struct unit *u, const struct rcall *call, const struct rcond *cond, uint32_t *rule,
		   const char **how)
{
	struct checker *c = new_checker(u, call);
	bdd_ref open, left, f;
	bool proved = true;

	*how = "out of memory";
	if (!c)
		return false;
	open = cond_ref(c, cond);
	for (const struct routcome *o = call->never; o; o = o->next)
		open = bdd_and(c->b, open, bdd_not(c->b, cond_ref(c, o->cond)));
	for (const struct rchain *k = call->named ? call->named : call->group; k && proved; k = k->next) {
		left = open;
		for (const struct routcome *o = k->outs; o && proved; o = o->next) {
			f = cond_ref(c, o->cond);
			if (o->v.action == POL_ALLOW && meet(c, left, f, &f)) {
				proved = false;
				*rule = o->v.rule;
				*how = example(c, f);
			}
			left = bdd_and(c->b, left, bdd_not(c->b, cond_ref(c, o->cond)));
		}
	}
	if (c->undecided || bdd_failed(c->b)) {
		proved = false;
		*how = "undecided: the conditions are too large";
	}
	bdd_destroy(&c->b);
	return proved;
}
