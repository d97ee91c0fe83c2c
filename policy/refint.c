/* The reference interpreter: the call gate. */
#include "policy/refint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "parser/parser.h"
#include "policy/refint_int.h"
#include "policy/sysdesc.h"

/* ---- values ---- */

const char *refint_var(const struct refint *r, const char *name)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_main_files(r, files);
	const char *text = NULL;

	for (size_t i = 0; i < r->nr_params; i++)
		if (!strcmp(r->params[i].name, name))
			return r->params[i].value;
	for (unsigned i = 0; i < n; i++)
		for (const struct ast_var *v = files[i]->vars; v; v = v->next)
			if (!strcmp(v->name, name) && v->dflt)
				text = v->dflt->text;
	return text ? text : "";
}

uint64_t refint_val(const struct refint *r, const struct ast_val *v)
{
	uint64_t out = 0;
	const char *text;

	switch (v->kind) {
	case AST_VAL_NUMBER:
	case AST_VAL_SIZE:
		return v->num;
	case AST_VAL_CONST:
		sysconst_find(v->name, &out);
		return out;
	case AST_VAL_VAR:
		text = refint_var(r, v->name);
		if (!parser_number(text, strlen(text), &out))
			parser_size(text, strlen(text), &out);
		return out;
	case AST_VAL_NOT:
		return ~refint_val(r, v->kids);
	default:
		for (const struct ast_val *k = v->kids; k; k = k->next)
			out |= refint_val(r, k);
		return out;
	}
}

/* ---- files in the order in which they apply: what is used before what uses it ---- */

static void visit(const struct pol_ast *ast, const struct pol_ast **files, unsigned *n)
{
	for (unsigned i = 0; i < *n; i++)
		if (files[i] == ast)
			return;
	for (const struct ast_use *u = ast->uses; u; u = u->next)
		if (u->ast)
			visit(u->ast, files, n);
	files[(*n)++] = ast;
}

unsigned refint_files(const struct refint *r, const struct pol_ast **files)
{
	unsigned n = 0;

	visit(r->ast, files, &n);
	return n;
}

unsigned refint_main_files(const struct refint *r, const struct pol_ast **files)
{
	unsigned n = 0;

	visit(r->main ? r->main : r->ast, files, &n);
	return n;
}

/* ---- sections of programs ---- */

static const struct ast_program *program_at(const struct refint *r, unsigned want)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_main_files(r, files), k = 0;

	for (unsigned i = 0; i < n; i++)
		for (const struct ast_program *p = files[i]->programs; p; p = p->next)
			if (++k == want)
				return p;
	return NULL;
}

unsigned refint_layer_named(const struct refint *r, const char *name)
{
	const struct ast_program *p;

	for (unsigned i = 1; (p = program_at(r, i)); i++)
		if (!strcmp(p->name->text, name))
			return i;
	return 0;
}

static const struct ast_phase *phase_at(const struct refint *r, unsigned want)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_main_files(r, files), k = 0;

	for (unsigned i = 0; i < n; i++)
		for (const struct ast_phase *p = files[i]->phases; p; p = p->next)
			if (++k == want)
				return p;
	return NULL;
}

#define MAX_DROPS 64

/* What a phase drops, as refusals with the error of `default`. Good until the next call. */
static void dropped(const struct refint *r, const struct ast_phase *p, struct pol_ast *file)
{
	static struct ast_file drop_files[MAX_DROPS];
	static struct ast_net drop_net[MAX_DROPS];
	static struct ast_rule rule;
	static struct ast_val err;
	struct refint_verdict dflt;
	unsigned n = 0;

	refint_default(r, false, &dflt);
	err = (struct ast_val){.kind = AST_VAL_NUMBER,
			       .num = dflt.action == POL_DENY ? (uint64_t)dflt.value : EPERM};
	for (const struct ast_file *f = p->drop_files; f && n < MAX_DROPS; f = f->next, n++) {
		drop_files[n] = *f;
		drop_files[n].kind = AST_FILE_DENY;
		drop_files[n].as = &err;
		drop_files[n].next = f->next ? &drop_files[n + 1] : NULL;
	}
	file->files = p->drop_files ? drop_files : NULL;
	n = 0;
	for (const struct ast_net *d = p->drop_net; d && n < MAX_DROPS; d = d->next, n++) {
		drop_net[n] = *d;
		drop_net[n].kind = AST_NET_DENY;
		drop_net[n].as = &err;
		drop_net[n].next = d->next ? &drop_net[n + 1] : NULL;
	}
	file->net = p->drop_net ? drop_net : NULL;
	if (!p->drop_calls)
		return;
	rule = (struct ast_rule){.kind = AST_RULE_SIMPLE,
				 .span = p->drop_calls->span,
				 .targets = p->drop_calls,
				 .out = {.verdict = AST_DENY, .as = &err}};
	file->rules = &rule;
}

static unsigned nr_programs(const struct refint *r)
{
	unsigned n = 0;

	while (program_at(r, n + 1))
		n++;
	return n;
}

bool refint_layer(const struct refint *r, unsigned n, struct pol_ast *file, struct refint *out)
{
	static const struct ast_program none;
	const struct ast_program *p = program_at(r, n);
	const struct ast_phase *ph = p ? NULL : phase_at(r, n - nr_programs(r));

	if ((!p && !ph) || !(r->layers >> n & 1))
		return false;
	if (ph) {
		*file = (struct pol_ast){0};
		dropped(r, ph, file);
		*out = *r;
		out->main = r->ast;
		out->ast = file;
		out->prog = &none;
		return true;
	}
	*file = (struct pol_ast){
	    .rules = p->rules, .files = p->files, .net = p->net, .exec = p->exec};
	*out = *r;
	out->main = r->ast;
	out->ast = file;
	out->prog = p;
	return true;
}

static unsigned strictness(const struct refint_verdict *v)
{
	switch (v->action) {
	case POL_TERMINATE:
		return 6;
	case POL_DENY:
		return 5;
	case POL_EMULATE:
		return 4;
	default:
		return (v->flags & POL_F_LIMIT ? 2 : 0) + (v->flags & POL_F_LOG ? 1 : 0);
	}
}

void refint_narrow(struct refint_verdict *v, const struct refint_verdict *by)
{
	if (strictness(by) > strictness(v))
		*v = *by;
}

/* Does the section list what is left, because it grants something? */
static bool lists_all(const struct ast_program *p, enum refint_table table)
{
	switch (table) {
	case REFINT_CALLS:
		for (const struct ast_rule *r = p->rules; r; r = r->next)
			if (r->kind == AST_RULE_SIMPLE && r->out.verdict == AST_ALLOW)
				return true;
		return false;
	case REFINT_FILES_TABLE:
		for (const struct ast_file *f = p->files; f; f = f->next)
			if (f->kind == AST_FILE_GRANT)
				return true;
		return false;
	case REFINT_NET:
		for (const struct ast_net *n = p->net; n; n = n->next)
			if (n->kind == AST_NET_GRANT)
				return true;
		return false;
	default:
		for (const struct ast_exec *x = p->exec; x; x = x->next)
			if (x->kind == AST_EXEC_RUN)
				return true;
		return false;
	}
}

static bool has_exec(const struct refint *r)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_files(r, files);

	for (unsigned i = 0; i < n; i++)
		if (files[i]->exec)
			return true;
	return false;
}

void refint_missing(const struct refint *r, enum refint_table table, bool unknown,
		    struct refint_verdict *v)
{
	static const uint8_t gates[] = {POL_GATE_CALL, POL_GATE_FILES, POL_GATE_NET, POL_GATE_EXEC};

	if (r->prog ? !lists_all(r->prog, table) : table == REFINT_EXEC && !has_exec(r)) {
		*v = (struct refint_verdict){.action = POL_ALLOW, .gate = gates[table]};
		return;
	}
	refint_default(r, unknown && !r->prog, v);
	if (table != REFINT_CALLS)
		v->gate = gates[table];
	if (r->prog)
		v->line = r->prog->name->span.line;
}

/* ---- conditions ---- */

struct judge {
	const struct refint *r;
	const struct pol_call *call;
	const struct pol_env *env;
	const struct sys_desc *d;
};

/* A number as mathematics sees it: arguments are 32 or 64 bits, signed or not. */
struct number {
	uint64_t bits;
	bool is_signed;
	unsigned width;
};

static struct number narrow(uint64_t bits, unsigned width, bool is_signed)
{
	struct number n = {bits, is_signed, width};

	if (width == 32) {
		n.bits &= 0xffffffff;
		if (is_signed && n.bits & 0x80000000)
			n.bits |= 0xffffffff00000000;
	}
	return n;
}

static bool less(struct number a, struct number b)
{
	if (a.is_signed && (a.bits ^ b.bits) >> 63)
		return a.bits >> 63;
	return a.bits < b.bits;
}

static bool compare(struct number a, enum ast_cmp cmp, struct number b)
{
	switch (cmp) {
	case AST_EQ:
		return a.bits == b.bits;
	case AST_NE:
		return a.bits != b.bits;
	case AST_LT:
		return less(a, b);
	case AST_LE:
		return !less(b, a);
	case AST_GT:
		return less(b, a);
	default:
		return !less(a, b);
	}
}

static bool fd_is(const struct judge *j, unsigned argno, const char *word)
{
	static const char *const words[] = {"",	      "file", "dir",   "pipe",
					    "socket", "tty",  "event", "device"};
	enum pol_fdkind kind = j->env->fdkind(j->env->arg, argno);

	return kind > POL_FD_NONE && kind < POL_FD_MAX && !strcmp(words[kind], word);
}

static bool path_test(const struct judge *j, const struct ast_cond *c, unsigned argno)
{
	size_t len = 0;
	const char *path = j->env->path(j->env->arg, argno, &len);

	return path && refint_path_matches(j->r, c->path, c->kind == AST_COND_UNDER, path, len);
}

static bool number_test(const struct judge *j, const struct ast_cond *c, struct number n)
{
	struct number v = {0}, lo, hi;

	if (c->val)
		v = narrow(refint_val(j->r, c->val), n.width, n.is_signed);
	switch (c->kind) {
	case AST_COND_CMP:
		return compare(n, c->cmp, v);
	case AST_COND_MASK:
		n.bits &= narrow(refint_val(j->r, c->mask), n.width, n.is_signed).bits;
		return compare(n, c->cmp, v);
	case AST_COND_HAS:
		return (n.bits & v.bits) == v.bits;
	case AST_COND_ANY:
		return (n.bits & v.bits) != 0;
	case AST_COND_ONLY:
		return (n.bits & ~v.bits) == 0;
	default:
		for (const struct ast_item *it = c->items; it; it = it->next) {
			lo = narrow(refint_val(j->r, it->lo), n.width, n.is_signed);
			hi = it->hi ? narrow(refint_val(j->r, it->hi), n.width, n.is_signed) : lo;
			if (!less(n, lo) && !less(hi, n))
				return true;
		}
		return false;
	}
}

static bool leaf(const struct judge *j, const struct ast_cond *c)
{
	int i = sysdesc_arg(j->d, c->term->name);
	const struct arg_kind_desc *k = sysdesc_kind(j->d->arg[i].kind);
	const struct sys_field *f;
	uint64_t v;

	if (c->kind == AST_COND_IS)
		return fd_is(j, (unsigned)i, c->word->text);
	if (c->kind == AST_COND_UNDER || c->kind == AST_COND_MATCHES)
		return path_test(j, c, (unsigned)i);
	if (!c->term->field)
		return number_test(j, c, narrow(j->call->arg[i], k->width, k->is_signed));
	f = sysdesc_field_by_name(j->d->arg[i].strct, c->term->field);
	if (!j->env->field(j->env->arg, (unsigned)i, f->id, &v))
		return false;
	return number_test(j, c, narrow(v, 64, false));
}

static bool holds(const struct judge *j, const struct ast_cond *c)
{
	switch (c->kind) {
	case AST_COND_OR:
		for (const struct ast_cond *k = c->kids; k; k = k->next)
			if (holds(j, k))
				return true;
		return false;
	case AST_COND_AND:
		for (const struct ast_cond *k = c->kids; k; k = k->next)
			if (!holds(j, k))
				return false;
		return true;
	case AST_COND_NOT:
		return !holds(j, c->kids);
	default:
		return leaf(j, c);
	}
}

/* ---- verdicts ---- */

void refint_outcome(const struct refint *r, const struct ast_outcome *o, const struct ast_notes *n,
		    uint32_t line, struct refint_verdict *v)
{
	*v = (struct refint_verdict){.gate = POL_GATE_CALL, .line = line};
	switch (o->verdict) {
	case AST_ALLOW:
		v->action = POL_ALLOW;
		break;
	case AST_DENY:
		v->action = POL_DENY;
		v->value = o->as ? (int64_t)refint_val(r, o->as) : EPERM;
		v->flags = POL_F_LOG;
		break;
	case AST_EMULATE:
		v->action = POL_EMULATE;
		v->value = (int64_t)refint_val(r, o->as);
		break;
	default:
		v->action = POL_TERMINATE;
		v->flags = POL_F_LOG;
		break;
	}
	if (n->audit)
		v->flags = POL_F_LOG;
	if (n->quiet)
		v->flags = POL_F_QUIET;
	if (n->limit && v->action == POL_ALLOW)
		v->flags |= POL_F_LIMIT;
}

void refint_default(const struct refint *r, bool unknown, struct refint_verdict *v)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_main_files(r, files);
	const struct ast_outcome *o = NULL;

	for (unsigned i = 0; i < n; i++) {
		const struct ast_outcome *f = unknown ? &files[i]->unknown : &files[i]->dflt;

		if (f->verdict)
			o = f;
	}
	*v = (struct refint_verdict){.action = POL_DENY, .value = unknown ? ENOSYS : EPERM};
	if (o && o->verdict == AST_TERMINATE) {
		v->action = POL_TERMINATE;
		v->value = 0;
	} else if (o && o->as) {
		v->value = (int64_t)refint_val(r, o->as);
	}
	v->line = o ? o->span.line : 0;
	v->gate = unknown ? POL_GATE_UNKNOWN : POL_GATE_CALL;
	v->flags = POL_F_LOG | (unknown ? POL_F_UNKNOWN : POL_F_DEFAULT);
}

/* ---- rules ---- */

static bool targets_call(const struct ast_target *t, const struct sys_desc *d)
{
	if (!t->group)
		return !strcmp(t->name, d->name);
	if (!sysgroup_has(sysgroup_find(t->name), d->nr))
		return false;
	for (const struct ast_target *x = t->except; x; x = x->next)
		if (targets_call(x, d))
			return false;
	return true;
}

static bool names(const struct ast_rule *r, const struct sys_desc *d, bool group)
{
	for (const struct ast_target *t = r->targets; t; t = t->next)
		if (t->group == group && targets_call(t, d))
			return true;
	return false;
}

/* What a rule says of the call, if anything. */
static bool apply(const struct judge *j, const struct ast_rule *r, struct refint_verdict *v)
{
	if (r->kind == AST_RULE_BLOCK) {
		for (const struct ast_arm *a = r->arms; a; a = a->next) {
			if (a->cond && !holds(j, a->cond))
				continue;
			refint_outcome(j->r, &a->out, &a->notes, a->span.line, v);
			return true;
		}
		return false;
	}
	if (!r->cond || holds(j, r->cond)) {
		refint_outcome(j->r, &r->out, &r->notes, r->span.line, v);
		return true;
	}
	if (!r->other.verdict)
		return false;
	refint_outcome(j->r, &r->other, &r->notes, r->span.line, v);
	return true;
}

enum answer { NO_RULES, NO_MATCH, MATCH };

static enum answer own_rules(const struct judge *j, const struct pol_ast *f, bool extends,
			     bool group, struct refint_verdict *v)
{
	enum answer a = NO_RULES;

	for (const struct ast_rule *r = f->rules; r; r = r->next) {
		if (r->kind == AST_RULE_NEVER || !names(r, j->d, group) ||
		    (!group && (r->mode == AST_MODE_EXTEND) != extends))
			continue;
		a = NO_MATCH;
		if (apply(j, r, v))
			return MATCH;
	}
	return a;
}

static enum answer used_rules(const struct judge *j, const struct pol_ast *f,
			      struct refint_verdict *v);

/* Named rules of a file and what it uses: extensions, then what they extend, then its own. */
static enum answer named_rules(const struct judge *j, const struct pol_ast *f,
			       struct refint_verdict *v)
{
	enum answer ext = own_rules(j, f, true, false, v), below, own;

	if (ext == MATCH)
		return MATCH;
	if (ext == NO_MATCH) {
		below = used_rules(j, f, v);
		if (below == MATCH)
			return MATCH;
	}
	own = own_rules(j, f, false, false, v);
	if (own == NO_RULES && ext == NO_RULES)
		return used_rules(j, f, v);
	return own == MATCH ? MATCH : NO_MATCH;
}

static enum answer used_rules(const struct judge *j, const struct pol_ast *f,
			      struct refint_verdict *v)
{
	enum answer all = NO_RULES, a;

	for (const struct ast_use *u = f->uses; u; u = u->next) {
		a = u->ast ? named_rules(j, u->ast, v) : NO_RULES;
		if (a == MATCH)
			return MATCH;
		if (a == NO_MATCH)
			all = NO_MATCH;
	}
	return all;
}

static enum answer group_rules(const struct judge *j, const struct pol_ast **files, unsigned n,
			       struct refint_verdict *v)
{
	enum answer all = NO_RULES, a;

	for (unsigned i = 0; i < n; i++) {
		a = own_rules(j, files[i], false, true, v);
		if (a == MATCH)
			return MATCH;
		if (a == NO_MATCH)
			all = NO_MATCH;
	}
	return all;
}

static bool forbidden(const struct judge *j, const struct pol_ast *f, struct refint_verdict *v)
{
	for (const struct ast_rule *r = f->rules; r; r = r->next) {
		if (r->kind != AST_RULE_NEVER ||
		    (!names(r, j->d, false) && !names(r, j->d, true)) ||
		    (r->cond && !holds(j, r->cond)))
			continue;
		*v = (struct refint_verdict){.action = POL_TERMINATE,
					     .flags = POL_F_LOG | POL_F_NEVER,
					     .gate = POL_GATE_NEVER,
					     .line = r->span.line};
		return true;
	}
	return false;
}

static void one_call(const struct refint *r, const struct pol_call *call, const struct pol_env *env,
		     struct refint_verdict *v)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_files(r, files);
	struct judge j = {r, call, env, sysdesc_by_nr(call->nr)};
	enum answer a;

	if (!j.d) {
		refint_missing(r, REFINT_CALLS, true, v);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		if (forbidden(&j, files[i], v))
			return;
	a = named_rules(&j, r->ast, v);
	if (a == NO_RULES)
		a = group_rules(&j, files, n, v);
	if (a != MATCH)
		refint_missing(r, REFINT_CALLS, a == NO_RULES && j.d->disposition == SYS_NOSYS, v);
}

void refint_call(const struct refint *r, const struct pol_call *call, const struct pol_env *env,
		 struct refint_verdict *v)
{
	struct refint_verdict by;
	struct pol_ast file;
	struct refint one;

	one_call(r, call, env, v);
	if (call->nr >= 512) /* beyond the tables: the policy's own line alone */
		return;
	for (unsigned i = 1; i < 32; i++) {
		if (!refint_layer(r, i, &file, &one))
			continue;
		one_call(&one, call, env, &by);
		refint_narrow(v, &by);
	}
}
