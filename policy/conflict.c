/* What contradicts what, what can never happen, and what never does: conditions as decision
 * diagrams. */
#include "policy/bdd.h"
#include "policy/prove.h"
#include "policy/resolve.h"

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
			bdd_ref lo =
			    bdd_compare(c->b, term, in->conv, in->mask, IMG_ULT, t->ranges[i].lo);
			bdd_ref hi =
			    bdd_compare(c->b, term, in->conv, in->mask, IMG_ULE, t->ranges[i].hi);

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
		r = cond->kind == RCOND_AND ? bdd_and(c->b, r, cond_ref(c, k))
					    : bdd_or(c->b, r, cond_ref(c, k));
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
			name = sysconst_is_enum((enum const_set)a->set)
				   ? sysconst_name((enum const_set)a->set, value[i])
				   : NULL;
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

		for (const struct routcome *o = k->outs; o; o = o->next) {
			if (n == MAX_REGIONS) {
				c->undecided = true;
				return n;
			}
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
			r[n++] = (struct region){o, k, f};
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
		d = diag_error(c->u->diags, last->span, "P022",
			       "'%s' is %s with two values (%s and %s)", name, verb_of(&first->v),
			       place(c->u, first), place(c->u, last));
	else
		d = diag_error(c->u->diags, last->span, "P022", "'%s' is both %s (%s) and %s (%s)",
			       name, verb_of(&first->v), place(c->u, first), verb_of(&last->v),
			       place(c->u, last));
	diag_relate(c->u->diags, d, first->span, NULL);
	if (witness)
		diag_label(c->u->diags, d, "%s", witness);
	if (a->via && b->via)
		diag_help(c->u->diags, d, "name it: \"allow %s\" or \"deny %s\"", name, name);
	else
		diag_help(c->u->diags, d,
			  "make the conditions exclude each other, or use one \"on %s\" block",
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

/* A group's rule and a guard on all calls: legal, the guard wins, but worth saying. */
static void note_overlap(struct checker *c)
{
	const struct routcome *n = c->call->never;
	struct diag *d;

	while (n && n->cond)
		n = n->next;
	if (!n || c->call->named)
		return;
	for (const struct rchain *k = c->call->group; k; k = k->next) {
		if (k->outs->v.action != POL_ALLOW)
			continue;
		d = diag_warn(c->u->diags, n->span, "P026",
			      "'%s' is allowed (%s), and never allowed here", c->call->d->name,
			      place(c->u, k->outs));
		diag_relate(c->u->diags, d, k->outs->span, NULL);
		diag_help(c->u->diags, d, "the guard wins; to say so, write @%s except {%s}",
			  k->outs->via, c->call->d->name);
		return;
	}
}

/* A condition that holds for no call is a mistake in a guard as well. */
static void check_never(struct checker *c)
{
	note_overlap(c);
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

		diag_warn(u->diags, k && k->outs ? k->outs->span : (struct src_span){0}, "P029",
			  "the conditions on '%s' are too large to check for overlap: undecided",
			  call->d->name);
	}
	bdd_destroy(&c->b);
}

bool prove_no_call(struct unit *u, const struct rcall *call, const struct rcond *cond, bool open_end,
		   uint32_t *rule, const char **how)
{
	struct checker *c = new_checker(u, call);
	bdd_ref open, left, rest, f;
	bool proved = true;

	*how = "out of memory";
	if (!c)
		return false;
	open = cond_ref(c, cond);
	for (const struct routcome *o = call->never; o; o = o->next)
		open = bdd_and(c->b, open, bdd_not(c->b, cond_ref(c, o->cond)));
	rest = open;
	for (const struct rchain *k = call->named ? call->named : call->group; k && proved;
	     k = k->next) {
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
		rest = bdd_and(c->b, rest, left);
	}
	if (open_end && proved && meet(c, rest, BDD_TRUE, &f)) {
		proved = false;
		*how = example(c, f);
	}
	if (c->undecided || bdd_failed(c->b)) {
		proved = false;
		*how = "undecided: the conditions are too large";
	}
	bdd_destroy(&c->b);
	return proved;
}
