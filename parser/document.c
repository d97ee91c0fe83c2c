#include "parser/document.h"

#include <stdio.h>
#include <string.h>
#include "base/suggest.h"
#include "parser/dsl.h"

struct diag *doc_error(struct doc *doc, struct src_span at, const char *code, const char *fmt, ...)
{
	struct diag *d;
	char msg[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	d = diag_error(&doc->ctx->diags, at, code, "%s", msg);
	return d;
}

void doc_help(struct doc *doc, struct diag *d, const char *fmt, ...)
{
	char msg[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	diag_help(&doc->ctx->diags, d, "%s", msg);
}

void *doc_alloc(struct doc *doc, size_t size)
{
	void *p = arena_alloc(&doc->ctx->arena, size);

	if (!p)
		longjmp(doc->on_oom, 1);
	return p;
}

const char *doc_nearest(const struct doc_key *keys, size_t nr, const char *want)
{
	struct suggest s;

	suggest_begin(&s, want);
	for (size_t i = 0; i < nr; i++)
		suggest_offer(&s, keys[i].name);
	return suggest_end(&s);
}

static void unknown_key(struct doc *doc, const struct ynode *key, const struct doc_key *keys, size_t nr,
			const char *what)
{
	const char *near = doc_nearest(keys, nr, key->text);
	char list[200] = "";
	size_t len = 0;
	struct diag *d;

	if (near) {
		doc_error(doc, key->span, "P004", "unknown key '%.80s' in %s; did you mean '%s'?", key->text,
			  what, near);
		return;
	}
	for (size_t i = 0; i < nr && len < sizeof(list); i++)
		len += snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", keys[i].name);
	d = doc_error(doc, key->span, "P004", "unknown key '%.80s' in %s", key->text, what);
	doc_help(doc, d, "keys: %s", list);
}

void doc_walk(struct doc *doc, const struct ynode *map, const struct doc_key *keys, size_t nr,
	      const char *what, void *target)
{
	for (const struct ynode *key = map->kids; key; key = key->next) {
		size_t i = 0;

		while (i < nr && strcmp(keys[i].name, key->text))
			i++;
		if (i == nr)
			unknown_key(doc, key, keys, nr, what);
		else if (key->value)
			keys[i].fn(doc, key, target);
	}
}

/* ---- kinds of values ---- */

static const char *const kind_names[] = { "?", "a text", "a list", "a map" };

static bool want_kind(struct doc *doc, const struct ynode *key, enum ynode_kind kind, const char *example)
{
	const struct ynode *v = key->value;
	struct diag *d;

	if (v->kind == kind)
		return true;
	d = doc_error(doc, v->span.start < v->span.end ? v->span : key->span, "P005", "'%.80s' takes %s, not %s",
		      key->text, kind_names[kind], kind_names[v->kind]);
	doc_help(doc, d, example, key->text);
	return false;
}

const struct ynode *doc_text(struct doc *doc, const struct ynode *key)
{
	const struct ynode *v = key->value;

	if (!want_kind(doc, key, YNODE_SCALAR, "write %s: VALUE"))
		return NULL;
	if (v->literal || v->folded || v->multiline) {
		doc_error(doc, key->span, "P005", "'%.80s' takes a value on one line", key->text);
		return NULL;
	}
	if (!*v->text) {
		doc_error(doc, key->span, "P005", "'%.80s' has no value", key->text);
		return NULL;
	}
	return v;
}

const struct ynode *doc_list(struct doc *doc, const struct ynode *key)
{
	return want_kind(doc, key, YNODE_LIST, "write %s: [ONE, TWO]") ? key->value : NULL;
}

const struct ynode *doc_map(struct doc *doc, const struct ynode *key)
{
	return want_kind(doc, key, YNODE_MAP, "write %s: {KEY: VALUE}") ? key->value : NULL;
}

static struct ast_name *name_of(struct doc *doc, const struct ynode *text)
{
	struct ast_name *n = doc_new(doc, ast_name);

	n->text = text->text;
	n->span = text->span;
	return n;
}

struct ast_name *doc_name(struct doc *doc, const struct ynode *key)
{
	const struct ynode *v = doc_text(doc, key);

	return v ? name_of(doc, v) : NULL;
}

void doc_sentences(struct doc *doc, const struct ynode *key, unsigned section, void *result)
{
	const struct ynode *v = key->value;
	struct dsl_result *out = result;

	memset(out, 0, sizeof(*out));
	if (!want_kind(doc, key, YNODE_SCALAR, "write the sentences in a block: '%s: |', then indented lines"))
		return;
	if (v->folded || v->quoted || v->multiline) {
		doc_help(doc,
			 doc_error(doc, key->span, "P005", "'%.80s' takes a block after '|', or one line without quotes",
				   key->text),
			 "write '%.80s: |' and the sentences below it, indented", key->text);
		return;
	}
	if (v->literal)
		dsl_parse(doc->ctx, doc->file, v->body_start, v->body_end, section, out);
	else if (v->span.start < v->span.end)
		dsl_parse(doc->ctx, doc->file, v->span.start, v->span.end, section, out);
	else
		doc_error(doc, key->span, "P005", "'%.80s' has no value", key->text);
}

/* ---- the keys of a file ---- */

static void key_sbx(struct doc *doc, const struct ynode *key, void *target)
{
	struct pol_ast *ast = target;
	const struct ynode *v = doc_text(doc, key);

	if (!v)
		return;
	ast->version_span = v->span;
	ast->version = 1;
	if (strcmp(v->text, "1"))
		doc_help(doc, doc_error(doc, v->span, "P007", "unknown language version '%.80s'", v->text),
			 "this sbx reads version 1: write sbx: 1");
}

static void key_abi(struct doc *doc, const struct ynode *key, void *target)
{
	((struct pol_ast *)target)->abi = doc_name(doc, key);
}

static void key_name(struct doc *doc, const struct ynode *key, void *target)
{
	((struct pol_ast *)target)->name = doc_name(doc, key);
}

static void key_status(struct doc *doc, const struct ynode *key, void *target)
{
	((struct pol_ast *)target)->status = doc_name(doc, key);
}

static void key_use(struct doc *doc, const struct ynode *key, void *target)
{
	struct ast_use **tail = &((struct pol_ast *)target)->uses;
	const struct ynode *list = doc_list(doc, key);

	for (const struct ynode *item = list ? list->kids : NULL; item; item = item->next) {
		if (item->kind != YNODE_SCALAR || item->literal || item->folded || item->multiline) {
			doc_error(doc, item->span, "P005", "'use' lists names of policies");
			continue;
		}
		*tail = doc_new(doc, ast_use);
		(*tail)->name = item->text;
		(*tail)->span = item->span;
		tail = &(*tail)->next;
	}
}

static void key_vars(struct doc *doc, const struct ynode *key, void *target)
{
	section_vars(doc, key, target);
}

static void key_default(struct doc *doc, const struct ynode *key, void *target)
{
	struct dsl_result r;

	doc_sentences(doc, key, DSL_OUTCOME, &r);
	((struct pol_ast *)target)->dflt = r.outcome;
}

static void key_unknown(struct doc *doc, const struct ynode *key, void *target)
{
	struct dsl_result r;

	doc_sentences(doc, key, DSL_OUTCOME, &r);
	((struct pol_ast *)target)->unknown = r.outcome;
}

static void key_tests(struct doc *doc, const struct ynode *key, void *target)
{
	struct dsl_result r;

	doc_sentences(doc, key, DSL_TESTS, &r);
	((struct pol_ast *)target)->tests = r.tests;
}

static void key_phases(struct doc *doc, const struct ynode *key, void *target)
{
	section_phases(doc, key, target);
}

/* Sections that a file and a program both have. */
struct sections {
	struct ast_rule **rules;
	struct ast_file **files;
	struct ast_net **net;
	struct ast_exec **exec;
	struct src_span *exec_span;
	struct ast_emulate *emulate;
	struct ast_limits *limits;
};

static void set_section(struct doc *doc, const struct ynode *key, const struct sections *s)
{
	struct dsl_result r;

	switch (key->text[0]) {
	case 'r':
		doc_sentences(doc, key, DSL_RULES, &r);
		*s->rules = r.rules;
		break;
	case 'f':
		doc_sentences(doc, key, DSL_FILES, &r);
		*s->files = r.files;
		break;
	case 'n':
		doc_sentences(doc, key, DSL_NET, &r);
		*s->net = r.net;
		break;
	case 'l':
		section_limits(doc, key, s->limits);
		break;
	default:
		if (!strcmp(key->text, "emulate")) {
			section_emulate(doc, key, s->emulate);
			break;
		}
		doc_sentences(doc, key, DSL_EXEC, &r);
		*s->exec = r.exec;
		if (s->exec_span)
			*s->exec_span = key->span;
		break;
	}
}

static void key_section(struct doc *doc, const struct ynode *key, void *target)
{
	struct pol_ast *ast = target;
	struct sections s = { &ast->rules, &ast->files,	  &ast->net,	&ast->exec,
			      &ast->exec_span, &ast->emulate, &ast->limits };

	set_section(doc, key, &s);
}

static void key_program_section(struct doc *doc, const struct ynode *key, void *target)
{
	struct ast_program *p = target;
	struct sections s = { &p->rules, &p->files, &p->net, &p->exec, NULL, &p->emulate, &p->limits };

	set_section(doc, key, &s);
}

static const struct doc_key program_keys[] = {
	{ "rules", key_program_section }, { "files", key_program_section },
	{ "net", key_program_section },	  { "exec", key_program_section },
	{ "emulate", key_program_section }, { "limits", key_program_section },
};

static void key_programs(struct doc *doc, const struct ynode *key, void *target)
{
	struct pol_ast *ast = target;
	struct ast_program **tail = &ast->programs;
	const struct ynode *map = doc_map(doc, key);

	ast->programs_span = key->span;
	for (const struct ynode *k = map ? map->kids : NULL; k; k = k->next) {
		struct ast_program *p = doc_new(doc, ast_program);

		p->name = name_of(doc, k);
		p->span = k->span;
		*tail = p;
		tail = &p->next;
		if (k->value && doc_map(doc, k))
			doc_walk(doc, k->value, program_keys, sizeof(program_keys) / sizeof(*program_keys),
				 "a program", p);
	}
}

static const struct doc_key file_keys[] = {
	{ "sbx", key_sbx },	    { "abi", key_abi },		{ "name", key_name },
	{ "status", key_status },   { "use", key_use },		{ "vars", key_vars },
	{ "default", key_default }, { "unknown", key_unknown }, { "rules", key_section },
	{ "files", key_section },   { "net", key_section },	{ "exec", key_section },
	{ "phases", key_phases },   { "programs", key_programs }, { "emulate", key_section },
	{ "limits", key_section },  { "tests", key_tests },
};

static struct pol_ast *walk_file(struct doc *doc, const struct ynode *root)
{
	struct pol_ast *ast = arena_new(&doc->ctx->arena, struct pol_ast);

	if (!ast || setjmp(doc->on_oom)) {
		doc_error(doc, source_span(&doc->ctx->sources, doc->file, 0, 0), "P008", "out of memory");
		return NULL;
	}
	ast->file = doc->file;
	doc_walk(doc, root, file_keys, sizeof(file_keys) / sizeof(*file_keys), "a policy", ast);
	return ast;
}

struct pol_ast *document_parse(struct parser_ctx *ctx, uint32_t file)
{
	struct doc doc = { .ctx = ctx, .file = file };
	struct src_span top = source_span(&ctx->sources, file, 0, 0);
	unsigned errors = ctx->diags.errors;
	struct ynode *root = yaml_parse(ctx, file);
	struct pol_ast *ast;

	if (!root || root->kind != YNODE_MAP) {
		if (ctx->diags.errors == errors)
			doc_help(&doc, doc_error(&doc, root ? root->span : top, "P005", "this is not a policy"),
				 "a policy is a file of keys that starts with sbx: 1");
		return NULL;
	}
	ast = walk_file(&doc, root);
	if (ast && !ast->version && ctx->diags.errors == errors)
		doc_help(&doc, doc_error(&doc, top, "P006", "the key 'sbx' is missing"),
			 "start the file with sbx: 1");
	return ast;
}
