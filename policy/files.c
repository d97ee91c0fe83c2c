/* The `files` section: patterns in order of specificity. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/overflow.h"
#include "policy/resolve.h"

struct entry {
	struct pattern pat;
	uint32_t verbs;
	bool implied; /* stat of a parent directory */
	bool scratch;
	struct img_verdict v;
	struct src_span span;
	unsigned order; /* in the text */
};

struct table {
	struct unit *u;
	struct entry *e; /* owned */
	size_t n, cap;
};

static struct entry *add(struct table *t, const struct pattern *p, uint32_t verbs,
			 const struct img_verdict *v, struct src_span span)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct entry *more = reallocarray(t->e, cap, sizeof(*more));

		if (!more) {
			t->u->oom = true;
			return NULL;
		}
		t->e = more;
		t->cap = cap;
	}
	t->e[t->n] = (struct entry){
		.pat = *p, .verbs = verbs, .v = *v, .span = span, .order = (unsigned)t->n};
	return &t->e[t->n++];
}

static void add_scratch(struct table *t, const struct ast_file *f, const struct pattern *p,
			const struct img_verdict *v, struct src_span span)
{
	struct pattern below = *p;
	struct img_scratch s = {.rule = v->rule};
	char *path = arena_strndup(&t->u->arena, p->t, p->len);
	struct entry *e;

	if (f->size && !resolve_val(t->u, f->size, CS_NONE, "size", &s.size))
		return;
	s.path = img_build_string(&t->u->build, path ? path : "/");
	img_build_scratch(&t->u->build, &s);
	pattern_spread(&below);
	e = add(t, &below, POL_V_ALL & ~(uint32_t)POL_V_EXEC, v, span);
	if (e)
		e->scratch = true;
}

static void add_statement(struct table *t, const struct ast_file *f)
{
	struct unit *u = t->u;
	uint32_t rule = resolve_rule(u, f->span, &f->notes), verbs = f->verbs;
	struct img_verdict v = {.action = POL_ALLOW, .gate = POL_GATE_FILES, .rule = rule};
	struct pattern p;

	resolve_notes(u, &f->notes);
	if (f->kind == AST_FILE_NULLED || f->kind == AST_FILE_OVERLAY) {
		resolve_unenforced(u, f->span, f->kind == AST_FILE_NULLED ? "nulled" : "overlay");
		return;
	}
	if (f->kind == AST_FILE_DENY || f->kind == AST_FILE_HIDE) {
		v.action = POL_DENY;
		v.flags = POL_F_LOG;
		v.value = ENOENT;
		if (f->kind == AST_FILE_DENY && !resolve_errno(u, f->as, EPERM, &v.value))
			return;
		if (f->kind == AST_FILE_HIDE || !verbs)
			verbs = POL_V_ALL;
	} else {
		verbs |= POL_V_STAT;
	}
	if (f->notes.audit)
		v.flags |= POL_F_LOG;
	if (f->notes.quiet)
		v.flags = POL_F_QUIET;
	for (const struct ast_path *path = f->paths; path; path = path->next) {
		if (!resolve_path(u, path, f->kind == AST_FILE_SCRATCH, &p))
			continue;
		if (f->kind == AST_FILE_SCRATCH)
			add_scratch(t, f, &p, &v, path->span);
		else
			add(t, &p, verbs, &v, path->span);
	}
}

/* ---- conflicts ---- */

static void report_overlap(struct table *t, const struct entry *a, const struct entry *b,
			   const char *witness)
{
	const struct entry *last = a->order > b->order ? a : b, *first = last == a ? b : a;
	struct buf x = BUF_INIT, y = BUF_INIT;
	struct diag *d;

	pattern_print(&first->pat, &x);
	pattern_print(&last->pat, &y);
	d = diag_error(t->u->diags, last->span, "P030",
		       "%s and %s both match %s; neither is more specific", x.data ? x.data : "",
		       y.data ? y.data : "", witness ? witness : "some paths");
	diag_relate(t->u->diags, d, first->span, "%s here",
		    first->v.action == POL_ALLOW ? "granted" : "refused");
	diag_help(t->u->diags, d, "add a line for what both match, or narrow one of them");
	buf_free(&x);
	buf_free(&y);
}

/* A grant and a refusal of one verb must be ordered by what they cover. */
static void check_overlaps(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t j = i + 1; j < t->n; j++) {
			const struct entry *a = &t->e[i], *b = &t->e[j];
			struct buf witness = BUF_INIT;

			if (!(a->verbs & b->verbs) ||
			    (a->v.action == POL_ALLOW) == (b->v.action == POL_ALLOW))
				continue;
			if (pattern_relate(&a->pat, &b->pat, &witness) == PATTERN_OVERLAP)
				report_overlap(t, a, b, witness.data);
			buf_free(&witness);
		}
	}
}

/* ---- parents ---- */

static bool have_exact(const struct table *t, const char *path, size_t len)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->e[i].implied && t->e[i].pat.len == len && !memcmp(t->e[i].pat.t, path, len))
			return true;
	return false;
}

/* The directories on the way to a granted path can be looked at. */
static void add_parents(struct table *t)
{
	size_t n = t->n;

	for (size_t i = 0; i < n; i++) {
		struct img_verdict v = t->e[i].v;
		const char *text = t->e[i].pat.t;
		size_t literal = t->e[i].pat.literal;

		if (v.action != POL_ALLOW)
			continue;
		v.flags = 0;
		for (size_t k = 0; k < literal; k++) {
			struct pattern p = {.t = text, .len = k ? k : 1};
			struct entry *e;

			if (text[k] != '/' || have_exact(t, text, p.len))
				continue;
			p.literal = p.nr_literal = p.len;
			e = add(t, &p, POL_V_STAT, &v, t->e[i].span);
			if (!e)
				return;
			e->implied = true;
		}
	}
}

/* ---- order ---- */

static int by_order(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	int r = pattern_is_exact(&b->pat) - pattern_is_exact(&a->pat);

	if (!r)
		r = a->implied - b->implied; /* among exact ones, what was written comes first */
	if (!r)
		r = pattern_order(&a->pat, &b->pat);
	if (!r)
		r = (a->v.action == POL_ALLOW) - (b->v.action == POL_ALLOW);
	if (!r)
		r = a->scratch - b->scratch;
	return r ? r : (a->order > b->order) - (a->order < b->order);
}

/* ---- output ---- */

static void emit(struct unit *u, const struct pattern *pat, uint32_t verbs,
		 const struct img_verdict *v)
{
	struct img_path p = {.verbs = verbs, .phases = UINT32_MAX, .v = *v};

	p.pat = img_build_tokens(&u->build, pat->t, pat->len, pat->tail);
	img_build_path(&u->build, &p);
}

/* Grants inside a scratch show the host's files there: the scratch gives nothing on what lies below
 * them, and goes after all that is more specific. */
static void emit_shown(struct table *t, const struct entry *scratch)
{
	struct img_verdict v = t->u->dflt;

	v.gate = POL_GATE_FILES;
	for (size_t i = 0; i < t->n && scratch->pat.len; i++) {
		const struct entry *e = &t->e[i];
		size_t len = pol_grant_root(e->pat.t, e->pat.len, e->pat.literal);
		struct pattern below;
		char *root;

		if (e->v.action != POL_ALLOW || e->scratch || !(e->verbs & ~(uint32_t)POL_V_STAT) ||
		    !pol_path_below(scratch->pat.t, scratch->pat.len, e->pat.t, len))
			continue;
		root = arena_strndup(&t->u->arena, e->pat.t, len);
		if (!root || !pattern_literal(&t->u->arena, root, true, &below)) {
			t->u->oom = true;
			return;
		}
		emit(t->u, &below, scratch->verbs, &v);
	}
}

/* ---- exec ---- */

/* What is not enforced yet of a statement: rules of their own, and conditions on arguments. */
static bool exec_enforced(struct unit *u, const struct ast_exec *x)
{
	if (x->has_argv) {
		resolve_unenforced(u, x->span, "argv");
		return false;
	}
	if (x->kind == AST_EXEC_RUN && strcmp(x->as_program->text, "self") != 0) {
		resolve_unenforced(u, x->as_program->span, "as a program of its own");
		return false;
	}
	return true;
}

static void add_exec(struct table *t, const struct ast_exec *x)
{
	struct unit *u = t->u;
	struct img_verdict v = {.action = POL_ALLOW,
				.gate = POL_GATE_FILES,
				.rule = resolve_rule(u, x->span, &x->notes)};
	struct pattern p;

	resolve_notes(u, &x->notes);
	if (!exec_enforced(u, x))
		return;
	if (x->kind == AST_EXEC_DENY) {
		v.action = POL_DENY;
		v.flags = POL_F_LOG;
		if (!resolve_errno(u, x->as, EPERM, &v.value))
			return;
	}
	if (x->notes.audit)
		v.flags |= POL_F_LOG;
	if (x->notes.quiet)
		v.flags = POL_F_QUIET;
	for (const struct ast_path *path = x->paths; path; path = path->next)
		if (resolve_path(u, path, false, &p))
			add(t, &p, POL_V_START, &v, path->span);
}

void exec_compile(struct unit *u)
{
	struct table t = {.u = u};

	for (unsigned f = 0; f < u->nr_files; f++) {
		for (const struct ast_exec *x = u->files[f]->exec; x; x = x->next) {
			u->build.head.cfg.flags |= IMG_HAS_EXEC;
			add_exec(&t, x);
		}
	}
	check_overlaps(&t);
	if (t.n)
		qsort(t.e, t.n, sizeof(*t.e), by_order);
	for (size_t i = 0; i < t.n; i++)
		emit(u, &t.e[i].pat, t.e[i].verbs, &t.e[i].v);
	free(t.e);
}

void files_compile(struct unit *u)
{
	struct table t = {.u = u};

	for (unsigned f = 0; f < u->nr_files; f++)
		for (const struct ast_file *s = u->files[f]->files; s; s = s->next)
			add_statement(&t, s);
	check_overlaps(&t);
	add_parents(&t);
	if (t.n)
		qsort(t.e, t.n, sizeof(*t.e), by_order);
	for (size_t i = 0; i < t.n; i++) {
		const struct entry *e = &t.e[i];

		if (e->scratch)
			emit_shown(&t, e);
		emit(u, &e->pat, e->verbs, &e->v);
	}
	free(t.e);
}
