/* Nodes of the syntax tree, made by the grammar's actions. */
#include <string.h>
#include "base/suggest.h"
#include "parser/dsl.h"

struct ast_val *dsl_val_num(struct dsl *dsl, struct src_span at, enum ast_val_kind kind, uint64_t num)
{
	struct ast_val *v = dsl_new(dsl, ast_val);

	v->kind = kind;
	v->span = at;
	v->num = num;
	v->depth = 1;
	return v;
}

const char *dsl_text(struct dsl *dsl, const char *text, size_t len)
{
	char *s = dsl_alloc(dsl, len + 1);

	memcpy(s, text, len);
	return s;
}

struct ast_val *dsl_val_name(struct dsl *dsl, struct src_span at, enum ast_val_kind kind,
			     const char *text, size_t len)
{
	struct ast_val *v = dsl_val_num(dsl, at, kind, 0);

	v->name = dsl_text(dsl, text, len);
	return v;
}

static void too_deep(struct dsl *dsl, struct src_span at)
{
	if (!dsl->depth_reported)
		diag_error(&dsl->ctx->diags, at, "P008", "nested more than %d deep", AST_MAX_DEPTH);
	dsl->depth_reported = true;
}

struct ast_val *dsl_val_not(struct dsl *dsl, struct src_span at, struct ast_val *kid)
{
	struct ast_val *v;

	if (kid->depth >= AST_MAX_DEPTH) {
		too_deep(dsl, at);
		return dsl_val_num(dsl, at, AST_VAL_NUMBER, 0);
	}
	v = dsl_val_num(dsl, at, AST_VAL_NOT, 0);
	v->kids = kid;
	v->depth = kid->depth + 1;
	return v;
}

struct ast_val *dsl_val_or(struct dsl *dsl, struct src_span at, struct ast_val_list kids)
{
	struct ast_val *v;

	if (kids.first == kids.last)
		return kids.first;
	v = dsl_val_num(dsl, at, AST_VAL_OR, 0);
	for (const struct ast_val *k = kids.first; k; k = k->next)
		if (k->depth >= v->depth)
			v->depth = k->depth + 1;
	if (v->depth > AST_MAX_DEPTH) {
		too_deep(dsl, at);
		return dsl_val_num(dsl, at, AST_VAL_NUMBER, 0);
	}
	v->kids = kids.first;
	return v;
}

struct ast_name *dsl_name(struct dsl *dsl, struct src_span at, const char *text, size_t len)
{
	struct ast_name *n = dsl_new(dsl, ast_name);

	n->text = dsl_text(dsl, text, len);
	n->span = at;
	return n;
}

struct ast_target *dsl_target(struct dsl *dsl, struct src_span at, const struct ast_name *name, bool group)
{
	struct ast_target *t = dsl_new(dsl, ast_target);

	t->name = name->text;
	t->group = group;
	t->span = at;
	return t;
}

struct ast_item *dsl_item(struct dsl *dsl, struct src_span at, struct ast_val *lo, struct ast_val *hi,
			  const char *str)
{
	struct ast_item *i = dsl_new(dsl, ast_item);

	i->span = at;
	i->lo = lo;
	i->hi = hi;
	i->str = str;
	return i;
}

struct ast_arm *dsl_arm(struct dsl *dsl, struct src_span at, struct ast_outcome out,
			struct ast_assign_list set, struct ast_notes notes)
{
	struct ast_arm *a = dsl_new(dsl, ast_arm);

	a->span = at;
	a->out = out;
	a->set = set.first;
	a->notes = notes;
	return a;
}

struct ast_file *dsl_file(struct dsl *dsl, struct src_span at, enum ast_file_kind kind, unsigned verbs,
			  struct ast_path_list paths, struct ast_notes notes)
{
	struct ast_file *f = dsl_new(dsl, ast_file);

	f->kind = kind;
	f->span = at;
	f->verbs = verbs;
	f->paths = paths.first;
	f->notes = notes;
	return f;
}

struct ast_arg *dsl_arg(struct dsl *dsl, struct src_span at, enum ast_arg_kind kind)
{
	struct ast_arg *a = dsl_new(dsl, ast_arg);

	a->span = at;
	a->kind = kind;
	return a;
}

struct ast_cond *dsl_cond(struct dsl *dsl, struct src_span at, enum ast_cond_kind kind, struct ast_term *term)
{
	struct ast_cond *c = dsl_new(dsl, ast_cond);

	c->kind = kind;
	c->span = at;
	c->term = term;
	c->depth = 1;
	return c;
}

struct ast_cond *dsl_cond_list(struct dsl *dsl, struct src_span at, enum ast_cond_kind kind,
			       struct ast_cond_list kids)
{
	struct ast_cond *c;
	unsigned depth = 0;

	if (kids.first == kids.last && kind != AST_COND_NOT)
		return kids.first;
	for (const struct ast_cond *k = kids.first; k; k = k->next)
		if (k->depth > depth)
			depth = k->depth;
	if (depth >= AST_MAX_DEPTH) {
		too_deep(dsl, at);
		kids.first->next = NULL;
		return kids.first;
	}
	c = dsl_cond(dsl, at, kind, NULL);
	c->kids = kids.first;
	c->depth = depth + 1;
	return c;
}

struct ast_path *dsl_path_of_var(struct dsl *dsl, const struct ast_val *var)
{
	struct ast_path *p = dsl_new(dsl, ast_path);
	struct ast_piece *piece = dsl_new(dsl, ast_piece);

	piece->kind = AST_PIECE_VAR;
	piece->text = var->name;
	piece->span = var->span;
	p->span = var->span;
	p->pieces = piece;
	return p;
}

struct ast_addr *dsl_addr_of_var(struct dsl *dsl, const struct ast_val *var)
{
	struct ast_addr *a = dsl_new(dsl, ast_addr);

	a->kind = AST_ADDR_VAR;
	a->span = var->span;
	a->var = var->name;
	a->prefix = -1;
	return a;
}

struct ast_addr *dsl_addr_of_path(struct dsl *dsl, struct ast_path *path)
{
	struct ast_addr *a = dsl_new(dsl, ast_addr);

	a->kind = AST_ADDR_PATH;
	a->span = path->span;
	a->path = path;
	a->prefix = -1;
	return a;
}

void dsl_check_addrs(struct dsl *dsl, enum ast_proto proto, const struct ast_addr *addrs)
{
	struct diag_list *l = &dsl->ctx->diags;

	for (; addrs; addrs = addrs->next) {
		bool is_unix = addrs->kind == AST_ADDR_PATH || addrs->kind == AST_ADDR_ABSTRACT;

		if (addrs->kind == AST_ADDR_VAR || is_unix == (proto == AST_PROTO_UNIX))
			continue;
		if (is_unix)
			diag_help(l,
				  diag_error(l, addrs->span, "P011", "%s needs an IP address and a port",
					     ast_proto_name(proto)),
				  "paths and @names are addresses of unix sockets");
		else
			diag_error(l, addrs->span, "P011", "unix needs a path or an @name");
	}
}

static void twice(struct dsl *dsl, struct src_span at, const char *word)
{
	diag_error(&dsl->ctx->diags, at, "P010", "'%s' is written twice", word);
}

void dsl_note_merge(struct dsl *dsl, struct ast_notes *notes, struct ast_notes one, struct src_span at)
{
	if (one.because && notes->because)
		twice(dsl, at, "because");
	if (one.audit && notes->audit)
		twice(dsl, at, "audit");
	if (one.quiet && notes->quiet)
		twice(dsl, at, "quiet");
	if (one.tag && notes->tag)
		twice(dsl, at, "tag");
	if (one.limit && notes->limit)
		twice(dsl, at, "limit");
	if (one.because)
		notes->because = one.because;
	if (one.tag)
		notes->tag = one.tag;
	if (one.limit)
		notes->limit = one.limit;
	if (one.audit) {
		notes->audit = true;
		notes->audit_span = one.audit_span;
	}
	if (one.quiet) {
		notes->quiet = true;
		notes->quiet_span = one.quiet_span;
	}
}
