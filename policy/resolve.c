/* Names to values: files, variables, constants, verdicts, paths, targets. */
#include "policy/resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/overflow.h"
#include "base/suggest.h"

#define RULE_TEXT_MAX 240

void *unit_alloc(struct unit *u, size_t size)
{
	static _Alignas(16) char spare[4096];
	void *p = arena_alloc(&u->arena, size);

	if (p)
		return p;
	u->oom = true; /* the compilation fails at its end; until then writes go nowhere */
	memset(spare, 0, sizeof(spare));
	if (size > sizeof(spare))
		abort();
	return spare;
}

void resolve_unenforced(struct unit *u, struct src_span at, const char *what)
{
	struct diag *d =
	    diag_error(u->diags, at, "P019", "%s: understood, but not enforced yet", what);

	diag_help(u->diags, d, "remove it: sbx does not accept what it would not enforce");
}

void resolve_notes(struct unit *u, const struct ast_notes *notes)
{
	if (notes->limit)
		resolve_unenforced(u, notes->limit->span, "limit outside of rules");
	resolve_rate(u, notes, 0, false);
}

static bool good_rate(struct unit *u, const struct ast_limit *l, bool allows)
{
	if (u->layer)
		resolve_unenforced(u, l->span, "limit in a program");
	else if (!allows)
		diag_error(u->diags, l->span, "P020", "'limit' is about what is allowed");
	else if (!l->count || l->count > UINT32_MAX)
		diag_error(u->diags, l->span, "P017", "a limit is 1 to 4294967295");
	else if (l->over == AST_OVER_DELAY && !l->per_ns)
		diag_help(u->diags,
			  diag_error(u->diags, l->span, "P020", "nothing would end this delay"),
			  "write a rate, like 50/s, or \"over deny\"");
	else
		return true;
	return false;
}

void resolve_rate(struct unit *u, const struct ast_notes *notes, uint32_t rule, bool allows)
{
	const struct ast_limit *l = rule || allows ? notes->limit : NULL;
	struct img_rate r = {.rule = rule};

	if (l && good_rate(u, l, allows)) {
		r.over = (uint8_t)l->over;
		r.count = l->count;
		r.per_ns = l->per_ns;
		if (l->over != AST_OVER_DENY || resolve_errno(u, l->as, EAGAIN, &r.value))
			img_build_rate(&u->build, &r);
	}
	if (notes->audit && notes->quiet)
		diag_error(u->diags, notes->quiet_span, "P020",
			   "'audit' and 'quiet' exclude each other");
}

/* ---- files and variables ---- */

static void add_file(struct unit *u, const struct pol_ast *ast, unsigned depth)
{
	for (unsigned i = 0; i < u->nr_files; i++)
		if (u->files[i] == ast)
			return;
	if (depth > PARSER_MAX_USE_DEPTH || u->nr_files == ARRAY_SIZE(u->files))
		return; /* the parser has reported it */
	for (const struct ast_use *use = ast->uses; use; use = use->next)
		if (use->ast)
			add_file(u, use->ast, depth + 1);
	for (unsigned i = 0; i < u->nr_files; i++)
		if (u->files[i] == ast)
			return;
	if (u->nr_files < ARRAY_SIZE(u->files))
		u->files[u->nr_files++] = ast;
}

static struct rvar *find_var(const struct unit *u, const char *name)
{
	for (struct rvar *v = u->vars; v; v = v->next)
		if (!strcmp(v->decl->name, name))
			return v;
	return NULL;
}

static void add_var(struct unit *u, const struct ast_var *decl)
{
	struct rvar *v = find_var(u, decl->name);

	if (!v) {
		v = unit_new(u, struct rvar);
		v->next = u->vars;
		u->vars = v;
	} else if (v->decl->type != decl->type) {
		struct diag *d = diag_error(
		    u->diags, decl->type_span, "P015", "'%s' is a %s here and a %s in a used file",
		    decl->name, ast_var_type_name(decl->type), ast_var_type_name(v->decl->type));
		diag_relate(u->diags, d, v->decl->span, NULL);
	}
	v->decl = decl;
	if (decl->dflt)
		v->text = decl->dflt->text;
}

static void give_param(struct unit *u, const struct pol_param *p)
{
	struct src_span nowhere = {0};
	struct rvar *v = find_var(u, p->name);
	const char *why = NULL;

	if (!v) {
		struct suggest s;
		const char *near;
		struct diag *d = diag_error(u->diags, nowhere, "P015",
					    "--param %s: the policy has no such variable", p->name);
		suggest_begin(&s, p->name);
		for (const struct rvar *o = u->vars; o; o = o->next)
			suggest_offer(&s, o->decl->name);
		near = suggest_end(&s);
		if (near)
			diag_help(u->diags, d, "did you mean '%s'?", near);
		return;
	}
	if (!parser_var_check(v->decl->type, p->value, &why)) {
		diag_error(u->diags, nowhere, "P015", "--param %s=%s: %s", p->name, p->value,
			   why ? why : "not a value of the variable's type");
		return;
	}
	v->text = p->value;
}

const struct rvar *resolve_var(struct unit *u, const char *name, struct src_span at)
{
	struct rvar *v = find_var(u, name);
	struct suggest s;
	const char *near;

	if (v && v->text)
		return v;
	if (v) {
		struct diag *d =
		    diag_error(u->diags, at, "P015", "variable '%s' has no value", name);

		diag_help(u->diags, d, "give it one with --param %s=..., or a default", name);
		return NULL;
	}
	suggest_begin(&s, name);
	for (const struct rvar *o = u->vars; o; o = o->next)
		suggest_offer(&s, o->decl->name);
	near = suggest_end(&s);
	diag_error(u->diags, at, "P015", "unknown variable '%s'%s%s%s", name,
		   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return NULL;
}

/* ---- default and unknown ---- */

static void fallback(struct unit *u, const struct ast_outcome *o, const char *key, int err,
		     uint8_t flags, uint8_t gate, struct img_verdict *out)
{
	struct img_rule rule = {0};
	const struct source *src;
	const char *text;

	*out = (struct img_verdict){.action = POL_DENY, .flags = flags, .gate = gate, .value = err};
	src = source_get(&u->ctx->sources, o ? o->span.file : u->main->file);
	rule.file = img_build_string(&u->build, src ? src->name : "");
	text = arena_printf(&u->arena, "%s: deny as %s (built in)", key,
			    sysconst_name(CS_errno, (uint64_t)err));
	if (o && src) {
		rule.line = o->span.line;
		rule.column = o->span.col;
		text = arena_printf(&u->arena, "%s: %.*s", key, (int)(o->span.end - o->span.start),
				    src->bytes + o->span.start);
	}
	rule.text = img_build_string(&u->build, text);
	out->rule = img_build_rule(&u->build, &rule);
	if (!o)
		return;
	if (o->verdict == AST_TERMINATE && !o->as) {
		out->action = POL_TERMINATE;
		out->value = 0;
	} else if (o->verdict == AST_DENY) {
		resolve_errno(u, o->as, err, &out->value);
	} else if (o->verdict == AST_ASK || o->verdict == AST_TRAP) {
		resolve_unenforced(u, o->span, ast_verdict_name(o->verdict));
	} else {
		diag_error(u->diags, o->span, "P020", "'%.*s' can only be deny or terminate",
			   (int)strcspn(key, ":"), key);
	}
}

void resolve_init(struct unit *u, const struct pol_param *params, size_t nr_params)
{
	const struct ast_outcome *dflt = NULL, *unknown = NULL;

	add_file(u, u->main, 0);
	for (unsigned i = 0; i < u->nr_files; i++) {
		const struct pol_ast *f = u->files[i];

		for (const struct ast_var *v = f->vars; v; v = v->next)
			add_var(u, v);
		if (f->dflt.verdict)
			dflt = &f->dflt;
		if (f->unknown.verdict)
			unknown = &f->unknown;
	}
	for (size_t i = 0; i < nr_params; i++)
		give_param(u, &params[i]);
	fallback(u, dflt, "default", EPERM, POL_F_LOG | POL_F_DEFAULT, POL_GATE_CALL, &u->dflt);
	fallback(u, unknown, "unknown", ENOSYS, POL_F_LOG | POL_F_UNKNOWN, POL_GATE_UNKNOWN,
		 &u->unknown);
}

/* ---- values ---- */

static bool constant(struct unit *u, const struct ast_val *v, enum const_set set, const char *what,
		     uint64_t *out)
{
	struct suggest s;
	const char *name, *near;
	bool exists = sysconst_find(v->name, out);

	if (exists && (set == CS_NONE || sysconst_find_in(set, v->name, out)))
		return true;
	suggest_begin(&s, v->name);
	for (size_t i = 0; (name = sysconst_at(set, i, NULL)); i++)
		suggest_offer(&s, name);
	near = suggest_end(&s);
	if (exists)
		diag_error(u->diags, v->span, "P014", "'%s' is not a value of '%s'%s%s%s", v->name,
			   what, near ? "; did you mean '" : "", near ? near : "",
			   near ? "'?" : "");
	else
		diag_error(u->diags, v->span, "P014", "unknown constant '%s'%s%s%s", v->name,
			   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return false;
}

static bool variable(struct unit *u, const struct ast_val *v, uint64_t *out)
{
	const struct rvar *var = resolve_var(u, v->name, v->span);
	size_t len;

	if (!var)
		return false;
	len = strlen(var->text);
	if ((var->decl->type == AST_VAR_NUMBER || var->decl->type == AST_VAR_PORT) &&
	    parser_number(var->text, len, out))
		return true;
	if (var->decl->type == AST_VAR_SIZE && parser_size(var->text, len, out))
		return true;
	diag_error(u->diags, v->span, "P015", "variable '%s' is a %s, a number is needed", v->name,
		   ast_var_type_name(var->decl->type));
	return false;
}

bool resolve_val(struct unit *u, const struct ast_val *v, enum const_set set, const char *what,
		 uint64_t *out)
{
	uint64_t one, all = 0;

	switch (v->kind) {
	case AST_VAL_NUMBER:
	case AST_VAL_SIZE:
		*out = v->num;
		return true;
	case AST_VAL_CONST:
		return constant(u, v, set, what, out);
	case AST_VAL_VAR:
		return variable(u, v, out);
	case AST_VAL_NOT:
		if (!resolve_val(u, v->kids, set, what, &one))
			return false;
		*out = ~one;
		return true;
	case AST_VAL_OR:
		for (const struct ast_val *k = v->kids; k; k = k->next) {
			if (!resolve_val(u, k, set, what, &one))
				return false;
			all |= one;
		}
		*out = all;
		return true;
	}
	return false;
}

bool resolve_errno(struct unit *u, const struct ast_val *v, int dflt, int64_t *out)
{
	uint64_t err;

	*out = dflt;
	if (!v)
		return true;
	if (!resolve_val(u, v, CS_errno, "errno", &err))
		return false;
	if (err < 1 || err > 4095) {
		diag_error(u->diags, v->span, "P017", "an error number is 1 to 4095");
		return false;
	}
	*out = (int64_t)err;
	return true;
}

static bool emulated(struct unit *u, const struct ast_outcome *o, int64_t *out)
{
	uint64_t v;

	if (!o->as) {
		struct diag *d = diag_error(u->diags, o->span, "P020", "'emulate' needs a value");

		diag_help(u->diags, d, "write: emulate NAME as 0");
		return false;
	}
	if (!resolve_val(u, o->as, CS_NONE, "emulate", &v))
		return false;
	*out = (int64_t)v;
	if (*out < 0 && *out > -4096) {
		struct diag *d = diag_error(u->diags, o->as->span, "P017",
					    "the program would take this for an error");

		diag_help(u->diags, d, "write: deny NAME as ERRNO");
		return false;
	}
	return true;
}

bool resolve_outcome(struct unit *u, const struct ast_outcome *o, const struct ast_notes *notes,
		     uint32_t rule, struct img_verdict *out)
{
	*out = (struct img_verdict){.gate = POL_GATE_CALL, .rule = rule};
	if (o->as && o->verdict != AST_DENY && o->verdict != AST_EMULATE) {
		diag_error(u->diags, o->as->span, "P020", "'%s' has no value",
			   ast_verdict_name(o->verdict));
		return false;
	}
	switch (o->verdict) {
	case AST_ALLOW:
		out->action = POL_ALLOW;
		break;
	case AST_DENY:
		out->action = POL_DENY;
		out->flags = POL_F_LOG;
		if (!resolve_errno(u, o->as, EPERM, &out->value))
			return false;
		break;
	case AST_TERMINATE:
		out->action = POL_TERMINATE;
		out->flags = POL_F_LOG;
		break;
	case AST_EMULATE:
		out->action = POL_EMULATE;
		if (!emulated(u, o, &out->value))
			return false;
		break;
	default:
		resolve_unenforced(u, o->span, ast_verdict_name(o->verdict));
		return false;
	}
	if (notes && notes->audit)
		out->flags |= POL_F_LOG;
	if (notes && notes->quiet)
		out->flags = (out->flags & (uint8_t)~POL_F_LOG) | POL_F_QUIET;
	return true;
}

/* ---- rules as text ---- */

uint32_t resolve_rule(struct unit *u, struct src_span span, const struct ast_notes *notes)
{
	const struct source *src = source_get(&u->ctx->sources, span.file);
	struct img_rule r = {.line = span.line, .column = span.col};
	char text[RULE_TEXT_MAX + 4];
	size_t n = 0;
	bool comment = false;

	for (uint32_t i = span.start; src && i < span.end && i < src->len; i++) {
		char c = src->bytes[i];

		comment = c != '\n' && (comment || (c == '#' && n && text[n - 1] == ' '));
		if (comment)
			continue;
		if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
			if (n && text[n - 1] != ' ')
				text[n++] = ' ';
		} else {
			text[n++] = c;
		}
		if (n >= RULE_TEXT_MAX) {
			memcpy(text + n, "...", 3);
			n += 3;
			break;
		}
	}
	while (n && text[n - 1] == ' ')
		n--;
	text[n] = 0;
	r.file = img_build_string(&u->build, src ? src->name : "");
	r.text = img_build_string(&u->build, text);
	if (notes && notes->because)
		r.because = img_build_string(&u->build, notes->because->text);
	if (notes && notes->tag)
		r.tag = img_build_string(&u->build, notes->tag->text);
	return img_build_rule(&u->build, &r);
}

/* ---- paths ---- */

struct chars {
	struct pattern_char *c;
	size_t n, cap;
};

static bool add_char(struct chars *s, unsigned char c, bool wild)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 128;
		struct pattern_char *more = reallocarray(s->c, cap, sizeof(*more));

		if (!more)
			return false;
		s->c = more;
		s->cap = cap;
	}
	s->c[s->n++] = (struct pattern_char){c, wild};
	return true;
}

static bool add_text(struct chars *s, const char *text, bool verbatim)
{
	for (; *text; text++) {
		bool escaped = !verbatim && *text == '\\' && text[1];

		if (escaped)
			text++;
		if (!add_char(s, (unsigned char)*text, !verbatim && !escaped && *text == '*'))
			return false;
	}
	return true;
}

static bool add_piece(struct unit *u, struct chars *s, const struct ast_piece *p)
{
	const struct rvar *v;
	const char *text = p->text;

	if (p->kind == AST_PIECE_VAR) {
		v = resolve_var(u, p->text, p->span);
		if (!v)
			return false;
		if (v->decl->type != AST_VAR_PATH) {
			diag_error(u->diags, p->span, "P015",
				   "variable '%s' is a %s, a path is needed", p->text,
				   ast_var_type_name(v->decl->type));
			return false;
		}
		return add_text(s, v->text, true);
	}
	if (s->n == 0 && text[0] == '~' && (text[1] == '/' || !text[1])) {
		const char *home = getenv("HOME");

		if (!home || home[0] != '/') {
			diag_error(u->diags, p->span, "P032", "'~' needs HOME to be set");
			return false;
		}
		if (!add_text(s, home, true))
			return false;
		text++;
	}
	return add_text(s, text, false);
}

bool resolve_path(struct unit *u, const struct ast_path *p, bool literal, struct pattern *out)
{
	struct chars s = {0};
	const char *why = NULL;
	bool ok = true;

	for (const struct ast_piece *pc = p->pieces; pc && ok; pc = pc->next)
		ok = add_piece(u, &s, pc);
	if (ok && !pattern_code(&u->arena, s.c, s.n, out, &why))
		diag_error(u->diags, p->span, "P032", "%s", why);
	else if (ok && literal && !pattern_is_exact(out))
		diag_error(u->diags, p->span, "P032", "a pattern cannot stand here, only one path");
	else if (ok)
		why = "";
	free(s.c);
	return why && !*why;
}

/* ---- targets ---- */

static bool unknown_call(struct unit *u, const struct ast_target *t)
{
	struct suggest s;
	const char *near, *sigil = t->group ? "@" : "";

	suggest_begin(&s, t->name);
	if (t->group)
		for (size_t i = 0; i < sysgroup_count(); i++)
			suggest_offer(&s, sysgroup_name((int)i));
	else
		for (size_t i = 0; i < sysdesc_count(); i++)
			suggest_offer(&s, sysdesc_at(i)->name);
	near = suggest_end(&s);
	diag_error(u->diags, t->span, "P012", "unknown %s '%s%s'%s%s%s%s",
		   t->group ? "group" : "syscall", sigil, t->name, near ? "; did you mean '" : "",
		   near ? sigil : "", near ? near : "", near ? "'?" : "");
	return false;
}

bool resolve_target(struct unit *u, const struct ast_target *t, bool in[IMG_CALLS])
{
	const struct sys_desc *d;
	bool out[IMG_CALLS];
	int g;

	memset(in, 0, IMG_CALLS * sizeof(*in));
	if (!t->group) {
		d = sysdesc_by_name(t->name);
		if (!d)
			return unknown_call(u, t);
		in[d->nr] = true;
		return true;
	}
	g = sysgroup_find(t->name);
	if (g < 0)
		return unknown_call(u, t);
	for (uint32_t nr = 0; nr < IMG_CALLS; nr++)
		in[nr] = sysgroup_has(g, nr);
	for (const struct ast_target *x = t->except; x; x = x->next) {
		bool any = false;

		if (!resolve_target(u, x, out))
			return false;
		for (uint32_t nr = 0; nr < IMG_CALLS; nr++) {
			any |= in[nr] && out[nr];
			in[nr] = in[nr] && !out[nr];
		}
		if (!any)
			diag_error(u->diags, x->span, "P012", "'%s%s' is not in @%s",
				   x->group ? "@" : "", x->name, t->name);
	}
	return true;
}
