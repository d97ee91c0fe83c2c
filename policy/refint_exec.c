/* The reference interpreter: which programs may be started. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "parser/parser.h"
#include "policy/refint_int.h"

static bool glob_matches(const char *pat, bool wild, const char *s)
{
	if (!*pat)
		return !*s;
	if (wild && *pat == '*') {
		for (;; s++) {
			if (glob_matches(pat + 1, wild, s))
				return true;
			if (!*s)
				return false;
		}
	}
	if (wild && *pat == '\\' && pat[1])
		pat++;
	return *pat == *s && glob_matches(pat + 1, wild, s + 1);
}

static bool arg_matches(const struct ast_argv *a, const char *s)
{
	if (a->kind == AST_ARGV_MATCHES)
		return glob_matches(a->pattern->text, true, s);
	for (const struct ast_item *it = a->items; it; it = it->next)
		if (glob_matches(it->str, false, s))
			return true;
	return false;
}

static bool condition_holds(const struct ast_argv *a, const struct pol_program *prog)
{
	uint64_t n = prog->argc, k;

	if (a->kind == AST_ARGV_COUNT) {
		k = a->count->num;
		switch (a->cmp) {
		case AST_EQ:
			return n == k;
		case AST_NE:
			return n != k;
		case AST_LT:
			return n < k;
		case AST_LE:
			return n <= k;
		case AST_GT:
			return n > k;
		default:
			return n >= k;
		}
	}
	k = a->index->num;
	if (!a->rest)
		return k < n && arg_matches(a, prog->argv[k]) != a->negated;
	for (; k < n; k++)
		if (arg_matches(a, prog->argv[k]) == a->negated)
			return false;
	return true;
}

static bool all_hold(const struct ast_exec *x, const struct pol_program *prog)
{
	for (const struct ast_argv *a = x->argv; a && prog->argv; a = a->next)
		if (!condition_holds(a, prog))
			return false;
	return true;
}

static bool same_pattern(const struct text *a, const struct text *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (a->at[i].c != b->at[i].c || a->at[i].star != b->at[i].star)
			return false;
	return a->n == b->n;
}

static void exec_verdict(const struct refint *r, const struct ast_exec *x, struct refint_verdict *v)
{
	*v = (struct refint_verdict){
	    .action = POL_ALLOW, .gate = POL_GATE_EXEC, .line = x->span.line};
	if (x->kind == AST_EXEC_DENY) {
		v->action = POL_DENY;
		v->flags = POL_F_LOG;
		v->value = x->as ? (int64_t)refint_val(r, x->as) : EPERM;
	}
	if (x->notes.audit)
		v->flags = POL_F_LOG;
	if (x->notes.quiet)
		v->flags = POL_F_QUIET;
}

/* The statement whose pattern decides about path; *where is that pattern. NULL: none does. */
static const struct ast_exec *deciding_exec(const struct refint *r, const char *path,
					    struct best *b, struct text *where)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_files(r, files), order = 0;
	const struct ast_exec *decides = NULL;
	static struct text t;

	for (unsigned i = 0; i < n; i++) {
		for (const struct ast_exec *x = files[i]->exec; x; x = x->next) {
			struct best new = {.found = true, .grant = x->kind == AST_EXEC_RUN};

			exec_verdict(r, x, &new.v);
			for (const struct ast_path *p = x->paths; p; p = p->next) {
				new.order = order++;
				refint_expand(r, p, false, &t);
				new.w = refint_weigh(&t);
				if (!refint_text_matches(&t, path))
					continue;
				refint_offer(b, &new);
				if (b->order != new.order)
					continue;
				decides = x;
				*where = t;
			}
		}
	}
	return decides;
}

/* Of the statements with the pattern that decides, the first whose conditions hold. */
static const struct ast_exec *holding_exec(const struct refint *r, const struct text *where,
					   const struct pol_program *prog)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_files(r, files);
	static struct text t;

	for (unsigned i = 0; i < n; i++) {
		for (const struct ast_exec *x = files[i]->exec; x; x = x->next) {
			for (const struct ast_path *p = x->paths; p; p = p->next) {
				refint_expand(r, p, false, &t);
				if (same_pattern(&t, where) && x->kind == AST_EXEC_RUN &&
				    all_hold(x, prog))
					return x;
			}
		}
	}
	return NULL;
}

void refint_one_exec(const struct refint *r, const struct pol_program *prog,
		     struct refint_verdict *v, uint32_t *enters)
{
	static struct text where;
	char *copy = strndup(prog->path, prog->len);
	struct best b = {0};
	const struct ast_exec *x = deciding_exec(r, copy ? copy : "", &b, &where);
	struct refint all = *r;

	free(copy);
	if (!x) {
		refint_missing(r, REFINT_EXEC, false, v);
		return;
	}
	*v = b.v;
	if (!b.grant)
		return;
	x = holding_exec(r, &where, prog);
	if (!x) {
		refint_missing(r, REFINT_EXEC, false, v);
		return;
	}
	exec_verdict(r, x, v);
	if (r->main)
		all.ast = r->main;
	all.main = NULL;
	*enters |= 1u << refint_layer_named(&all, x->as_program->text);
}

void refint_exec(const struct refint *r, const struct pol_program *prog, struct refint_verdict *v,
		 uint32_t *layers)
{
	struct refint_verdict by;
	struct pol_ast file;
	struct refint one;

	*layers = r->layers | 1;
	refint_one_exec(r, prog, v, layers);
	for (unsigned i = 1; i < 32; i++) {
		if (!refint_layer(r, i, &file, &one))
			continue;
		refint_one_exec(&one, prog, &by, layers);
		refint_narrow(v, &by);
	}
}

