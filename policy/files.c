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
	bool overlay = f->kind == AST_FILE_OVERLAY;
	char *path = arena_strndup(&t->u->arena, p->t, p->len);
	struct entry *e;

	if (f->size && !resolve_val(t->u, f->size, CS_NONE, "size", &s.size))
		return;
	if (overlay && p->len <= 1) {
		struct diag *d = diag_error(t->u->diags, span, "P032",
					    "the whole file system cannot be an overlay");

		diag_help(t->u->diags, d, "name the folders that the program may change");
		return;
	}
	s.flags = overlay ? IMG_OVERLAY : 0;
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
	bool is_scratch = f->kind == AST_FILE_SCRATCH || f->kind == AST_FILE_OVERLAY;
	struct pattern p;

	resolve_notes(u, &f->notes);
	if (f->kind == AST_FILE_NULLED) {
		resolve_unenforced(u, f->span, "nulled");
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
		if (!resolve_path(u, path, is_scratch, &p))
			continue;
		if (is_scratch)
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
	struct img_path p = {.verbs = verbs, .v = *v};

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

/* ---- sections of programs ---- */

/* Verbs of e that no grant of the policy itself has on any path that e matches. */
static uint32_t never_granted(struct unit *u, const struct entry *e)
{
	const struct img_path *own = (const void *)u->build.part[IMG_BUILD_PATHS].data;
	const char *strings = u->build.part[IMG_BUILD_STRINGS].data;
	const struct img_run *run = &u->layers[0].img.paths;
	uint32_t left = e->verbs & ~(uint32_t)POL_V_STAT;

	for (uint32_t i = 0; i < run->n && left; i++) {
		const struct img_path *p = &own[run->at + i];
		struct pattern pat = {.t = strings + p->pat.str,
				      .len = p->pat.len,
				      .tail = p->pat.tail,
				      .literal = p->pat.literal};

		if (p->v.action == POL_ALLOW && (p->verbs & left) &&
		    pattern_relate(&e->pat, &pat, NULL) != PATTERN_DISJOINT)
			left &= ~p->verbs;
	}
	return left;
}

static const char *first_verb(uint32_t verbs)
{
	return ast_verb_name((enum ast_verb)(verbs & -verbs));
}

/* What the policy does not grant at all, a program cannot get either. */
static void check_widening(struct table *t)
{
	for (size_t i = 0; i < t->n && !t->u->build.part[IMG_BUILD_PATHS].failed; i++) {
		const struct entry *e = &t->e[i];
		uint32_t left = e->v.action == POL_ALLOW ? never_granted(t->u, e) : 0;
		struct buf b = BUF_INIT;

		if (!left)
			continue;
		pattern_print(&e->pat, &b);
		diag_help(t->u->diags,
			  diag_error(t->u->diags, e->span, "P036",
				     "the policy itself grants '%s' on nothing that %s matches",
				     first_verb(left), b.data ? b.data : ""),
			  "a program can only have less than the policy: grant it there first");
		buf_free(&b);
	}
}

static bool is_mount(struct unit *u, const struct ast_file *f)
{
	if (f->kind != AST_FILE_SCRATCH && f->kind != AST_FILE_OVERLAY)
		return false;
	diag_help(u->diags,
		  diag_error(u->diags, f->span, "P036", "a program has no %s of its own",
			     f->kind == AST_FILE_OVERLAY ? "overlay" : "scratch"),
		  "all programs see the same tree: write it in the policy's files");
	return true;
}

void files_compile(struct unit *u, struct img_run *out)
{
	struct table t = {.u = u};

	out->at = img_build_count(&u->build, IMG_BUILD_PATHS);
	for (unsigned f = 0; f < u->nr_files; f++)
		for (const struct ast_file *s = u->files[f]->files; s; s = s->next) {
			if (!u->layer || !is_mount(u, s))
				add_statement(&t, s);
		}
	check_overlaps(&t);
	if (u->layer)
		check_widening(&t);
	add_parents(&t);
	if (t.n)
		qsort(t.e, t.n, sizeof(*t.e), by_order);
	for (size_t i = 0; i < t.n; i++) {
		const struct entry *e = &t.e[i];

		if (e->scratch)
			emit_shown(&t, e);
		emit(u, &e->pat, e->verbs, &e->v);
	}
	out->n = img_build_count(&u->build, IMG_BUILD_PATHS) - out->at;
	free(t.e);
}
