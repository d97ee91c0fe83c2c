/* The `exec` section: which programs may be started, with which arguments, under which rules. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "policy/resolve.h"

#define ARGV_MAX_INDEX 65535
#define TEXT_MAX       4096

struct table {
	struct unit *u;
	struct rexec *e; /* owned */
	size_t n, cap;
};

/* ---- conditions on arguments ---- */

/* Text in which, with wild, a star stands for any bytes and a backslash takes that meaning. */
static bool text_pattern(struct unit *u, const char *s, bool wild, struct src_span at,
			 struct pattern *p)
{
	struct buf b = BUF_INIT;
	bool token = false;

	memset(p, 0, sizeof(*p));
	for (; *s; s++) {
		if (wild && *s == '*') {
			if (!token)
				p->literal = b.len;
			token = true;
			while (s[1] == '*')
				s++;
			buf_putc(&b, 0);
			buf_putc(&b, IMG_GLOBSTAR);
			continue;
		}
		if (wild && *s == '\\' && s[1])
			s++;
		buf_putc(&b, *s);
	}
	if (!token)
		p->literal = b.len;
	p->len = b.len;
	p->t = b.failed ? NULL : arena_strndup(&u->arena, b.data ? b.data : "", b.len);
	u->oom = u->oom || !p->t;
	if (b.len > TEXT_MAX)
		diag_error(u->diags, at, "P017", "this is too long for an argument's pattern");
	buf_free(&b);
	return p->t && p->len <= TEXT_MAX;
}

/* The texts of `in { }`. False after a report. */
static bool text_items(struct unit *u, const struct ast_argv *a, struct rargv *out)
{
	struct pattern *pat;
	bool ok = true;

	for (const struct ast_item *it = a->items; it; it = it->next)
		out->c.n++;
	pat = arena_alloc(&u->arena, out->c.n * sizeof(*pat));
	if (!pat) {
		u->oom = true;
		return false;
	}
	out->pat = pat;
	for (const struct ast_item *it = a->items; it; it = it->next) {
		if (it->str) {
			ok &= text_pattern(u, it->str, false, it->span, pat++);
			continue;
		}
		diag_help(u->diags,
			  diag_error(u->diags, it->span, "P038", "arguments are text, not numbers"),
			  "write it in double quotes");
		ok = false;
	}
	return ok;
}

/* Ranges of argc for which the comparison holds. */
static bool count_ranges(struct unit *u, const struct ast_argv *a, struct rargv *out)
{
	uint64_t v = a->count->num, max = UINT32_MAX;
	struct img_range r[2] = {{0, max}, {0, max}};
	unsigned n = 1;

	out->c.kind = IMG_ARGV_COUNT;
	if (a->count->negative || v > ARGV_MAX_INDEX) {
		diag_error(u->diags, a->count->span, "P038",
			   "the number of arguments is 0 to %u", ARGV_MAX_INDEX);
		return false;
	}
	switch (a->cmp) {
	case AST_EQ:
		r[0] = (struct img_range){v, v};
		break;
	case AST_NE:
		n = v ? 2 : 1;
		r[0] = (struct img_range){v ? 0 : 1, v ? v - 1 : max};
		r[1] = (struct img_range){v + 1, max};
		break;
	case AST_LT:
		n = v ? 1 : 0;
		r[0].hi = v - 1;
		break;
	case AST_LE:
		r[0].hi = v;
		break;
	case AST_GT:
		r[0].lo = v + 1;
		break;
	default:
		r[0].lo = v;
		break;
	}
	if (!n)
		diag_error(u->diags, a->span, "P038", "this can never hold");
	memcpy(out->range, r, sizeof(r));
	out->c.n = n;
	return n;
}

static bool one_condition(struct unit *u, const struct ast_argv *a, struct rargv *out)
{
	struct pattern *pat;

	if (a->kind == AST_ARGV_COUNT)
		return count_ranges(u, a, out);
	out->c.kind = IMG_ARGV_TEXT;
	out->c.flags = (uint8_t)((a->rest ? IMG_ARGV_REST : 0) | (a->negated ? IMG_ARGV_NOT : 0));
	if (a->index->kind != AST_VAL_NUMBER || a->index->negative ||
	    a->index->num > ARGV_MAX_INDEX) {
		diag_error(u->diags, a->index->span, "P038", "an argument's number is 0 to %u",
			   ARGV_MAX_INDEX);
		return false;
	}
	out->c.index = (uint32_t)a->index->num;
	if (a->kind == AST_ARGV_IN)
		return text_items(u, a, out);
	pat = unit_new(u, struct pattern);
	out->pat = pat;
	out->c.n = 1;
	return text_pattern(u, a->pattern->text, true, a->pattern->span, pat);
}

/* The conditions of a statement; false after a report. */
static bool conditions(struct unit *u, const struct ast_exec *x, struct rexec *e)
{
	struct rargv *r;
	bool ok = true;

	for (const struct ast_argv *a = x->argv; a; a = a->next)
		e->nr_argv++;
	if (!e->nr_argv)
		return true;
	r = arena_alloc(&u->arena, e->nr_argv * sizeof(*r));
	if (!r) {
		u->oom = true;
		return false;
	}
	memset(r, 0, e->nr_argv * sizeof(*r));
	e->argv = r;
	for (const struct ast_argv *a = x->argv; a; a = a->next)
		ok &= one_condition(u, a, r++);
	return ok;
}

/* ---- statements ---- */

static void add(struct table *t, const struct rexec *e)
{
	struct rexec *more;
	size_t cap;

	if (t->n == t->cap) {
		cap = t->cap ? t->cap * 2 : 32;
		more = reallocarray(t->e, cap, sizeof(*more));
		if (!more) {
			t->u->oom = true;
			return;
		}
		t->e = more;
		t->cap = cap;
	}
	t->e[t->n] = *e;
	t->e[t->n].order = (unsigned)t->n;
	t->n++;
}

static void add_statement(struct table *t, const struct ast_exec *x)
{
	struct unit *u = t->u;
	struct rexec e = {.v = {.action = POL_ALLOW,
				.gate = POL_GATE_EXEC,
				.rule = resolve_rule(u, x->span, &x->notes)}};
	bool ok = conditions(u, x, &e);

	resolve_notes(u, &x->notes);
	if (x->kind == AST_EXEC_DENY) {
		e.v.action = POL_DENY;
		e.v.flags = POL_F_LOG;
		ok &= resolve_errno(u, x->as, EPERM, &e.v.value);
	} else if (strcmp(x->as_program->text, "self") != 0) {
		e.enters = layers_find(u, x->as_program);
		ok &= e.enters != 0;
		u->layers[e.enters].used = true;
		e.as = x->as_program->span;
	}
	if (x->notes.audit)
		e.v.flags |= POL_F_LOG;
	if (x->notes.quiet)
		e.v.flags = POL_F_QUIET;
	for (const struct ast_path *path = x->paths; path; path = path->next) {
		e.span = path->span;
		if (resolve_path(u, path, false, &e.pat) && ok)
			add(t, &e);
	}
}

/* ---- conflicts ---- */

static bool same_text(const struct pattern *a, const struct pattern *b)
{
	return a->len == b->len && !memcmp(a->t, b->t, a->len);
}

/* How many of a's texts are among b's? */
static uint32_t common(const struct rargv *a, const struct rargv *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->c.n; i++)
		for (uint32_t k = 0; k < b->c.n; k++)
			if (same_text(&a->pat[i], &b->pat[k])) {
				n++;
				break;
			}
	return n;
}

static bool plain(const struct rargv *a)
{
	for (uint32_t i = 0; i < a->c.n; i++)
		if (a->pat[i].literal < a->pat[i].len)
			return false;
	return true;
}

/* Do two conditions exclude each other, as far as can be told at a glance? */
static bool exclude(const struct rargv *a, const struct rargv *b)
{
	bool not_a = a->c.flags & IMG_ARGV_NOT, not_b = b->c.flags & IMG_ARGV_NOT;

	if (a->c.kind != b->c.kind)
		return false;
	if (a->c.kind == IMG_ARGV_COUNT) {
		for (uint32_t i = 0; i < a->c.n; i++)
			for (uint32_t k = 0; k < b->c.n; k++)
				if (a->range[i].lo <= b->range[k].hi &&
				    b->range[k].lo <= a->range[i].hi)
					return false;
		return true;
	}
	if (a->c.index != b->c.index || ((a->c.flags | b->c.flags) & IMG_ARGV_REST) ||
	    (not_a && not_b))
		return false;
	if (not_a)
		return common(b, a) == b->c.n;
	if (not_b)
		return common(a, b) == a->c.n;
	return plain(a) && plain(b) && common(a, b) == 0;
}

static bool disjoint(const struct rexec *a, const struct rexec *b)
{
	for (unsigned i = 0; i < a->nr_argv; i++)
		for (unsigned k = 0; k < b->nr_argv; k++)
			if (exclude(&a->argv[i], &b->argv[k]))
				return true;
	return false;
}

/* Is the decision the same whichever of the two is asked? */
static bool alike(const struct rexec *a, const struct rexec *b)
{
	return a->v.action == b->v.action && a->enters == b->enters && !a->nr_argv && !b->nr_argv;
}

static void report_overlap(struct unit *u, const struct rexec *first, const struct rexec *last,
			   const char *witness)
{
	struct buf x = BUF_INIT, y = BUF_INIT;
	struct diag *d;

	pattern_print(&first->pat, &x);
	pattern_print(&last->pat, &y);
	d = diag_error(u->diags, last->span, "P030",
		       "%s and %s both match %s; neither is more specific", x.data ? x.data : "",
		       y.data ? y.data : "", witness ? witness : "some paths");
	diag_relate(u->diags, d, first->span, "%s here",
		    first->v.action == POL_ALLOW ? "granted" : "refused");
	diag_help(u->diags, d, "add a line for what both match, or narrow one of them");
	buf_free(&x);
	buf_free(&y);
}

/* Two lines for the same programs. */
static void check_equal(struct unit *u, const struct rexec *first, const struct rexec *last)
{
	bool deny_first = first->v.action != POL_ALLOW;
	struct diag *d;

	if (deny_first && last->v.action != POL_ALLOW)
		return;
	if (deny_first || last->v.action != POL_ALLOW) {
		const struct rexec *run = deny_first ? last : first, *deny = deny_first ? first : last;

		d = diag_warn(u->diags, run->span, "P037",
			      "this never starts anything: the same programs are refused");
		diag_relate(u->diags, d, deny->span, NULL);
		return;
	}
	if (first->enters != last->enters && !disjoint(first, last)) {
		d = diag_error(u->diags, last->span, "P039",
			       "the same arguments may start this as '%s' and as '%s'",
			       first->enters ? u->layers[first->enters].prog->name->text : "self",
			       last->enters ? u->layers[last->enters].prog->name->text : "self");
		diag_relate(u->diags, d, first->span, NULL);
		diag_help(u->diags, d, "give both lines conditions that exclude each other");
	} else if (first->enters == last->enters && first->nr_argv != last->nr_argv &&
		   (!first->nr_argv || !last->nr_argv)) {
		const struct rexec *cond = first->nr_argv ? first : last;

		d = diag_warn(u->diags, cond->span, "P037",
			      "these conditions change nothing: another line has none");
		diag_relate(u->diags, d, (cond == first ? last : first)->span, NULL);
	}
}

static void check_overlaps(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t j = i + 1; j < t->n; j++) {
			const struct rexec *a = &t->e[i], *b = &t->e[j];
			struct buf witness = BUF_INIT;

			if (pattern_equal(&a->pat, &b->pat))
				check_equal(t->u, a, b);
			else if (!alike(a, b) &&
				 pattern_relate(&a->pat, &b->pat, &witness) == PATTERN_OVERLAP)
				report_overlap(t->u, a, b, witness.data);
			buf_free(&witness);
		}
	}
}

/* A program's section can only start what the policy lets start. */
static void check_widening(struct unit *u, const struct rexec *e)
{
	const struct layer *own = &u->layers[0];

	if (e->v.action != POL_ALLOW || !(own->img.flags & IMG_LAYER_EXEC))
		return;
	for (size_t i = 0; i < own->nr_execs; i++)
		if (own->execs[i].v.action == POL_ALLOW &&
		    pattern_relate(&e->pat, &own->execs[i].pat, NULL) != PATTERN_DISJOINT)
			return;
	diag_help(u->diags,
		  diag_error(u->diags, e->span, "P036", "the policy itself lets none of these start"),
		  "a program can only have less than the policy: add a run line there first");
}

/* ---- order and output ---- */

static int by_order(const void *x, const void *y)
{
	const struct rexec *a = x, *b = y;
	int r = pattern_is_exact(&b->pat) - pattern_is_exact(&a->pat);

	if (!r)
		r = pattern_order(&a->pat, &b->pat);
	if (!r)
		r = (a->v.action == POL_ALLOW) - (b->v.action == POL_ALLOW);
	return r ? r : (a->order > b->order) - (a->order < b->order);
}

static void emit_argv(struct unit *u, const struct rargv *a)
{
	struct img_argv c = a->c;

	for (uint32_t i = 0; i < c.n; i++) {
		uint32_t at;

		if (c.kind == IMG_ARGV_COUNT) {
			at = img_build_range(&u->build, a->range[i].lo, a->range[i].hi);
		} else {
			struct img_pattern p =
			    img_build_tokens(&u->build, a->pat[i].t, a->pat[i].len, false);

			at = img_build_pattern(&u->build, &p);
		}
		if (i == 0)
			c.at = at;
	}
	img_build_argv(&u->build, &c);
}

static void emit(struct unit *u, const struct rexec *e, uint32_t group)
{
	struct img_exec x = {.group = group,
			     .enters = e->enters ? 1u << e->enters : 0,
			     .argv_at = img_build_count(&u->build, IMG_BUILD_ARGVS),
			     .argv_n = e->nr_argv,
			     .v = e->v};

	x.pat = img_build_tokens(&u->build, e->pat.t, e->pat.len, e->pat.tail);
	for (unsigned i = 0; i < e->nr_argv; i++)
		emit_argv(u, &e->argv[i]);
	img_build_exec(&u->build, &x);
}

static uint32_t group_of(const struct table *t, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (pattern_equal(&t->e[k].pat, &t->e[i].pat))
			return (uint32_t)k;
	return (uint32_t)i;
}

void exec_compile(struct unit *u, struct img_run *out)
{
	struct layer *l = &u->layers[u->layer];
	struct table t = {.u = u};

	out->at = img_build_count(&u->build, IMG_BUILD_EXECS);
	for (unsigned f = 0; f < u->nr_files; f++)
		for (const struct ast_exec *x = u->files[f]->exec; x; x = x->next)
			add_statement(&t, x);
	check_overlaps(&t);
	if (t.n)
		qsort(t.e, t.n, sizeof(*t.e), by_order);
	for (size_t i = 0; i < t.n; i++) {
		if (u->layer)
			check_widening(u, &t.e[i]);
		emit(u, &t.e[i], group_of(&t, i));
	}
	out->n = img_build_count(&u->build, IMG_BUILD_EXECS) - out->at;
	l->execs = arena_alloc(&u->arena, (t.n ? t.n : 1) * sizeof(*t.e));
	if (!l->execs)
		u->oom = true;
	else if (t.n)
		memcpy(l->execs, t.e, t.n * sizeof(*t.e));
	l->nr_execs = l->execs ? t.n : 0;
	free(t.e);
}
