/* The sections that are keys with values: vars, emulate, limits, phases. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "parser/document.h"
#include "parser/dsl.h"

/* ---- vars ---- */

static void var_type(struct doc *doc, const struct ynode *key, void *target)
{
	static const struct doc_key names[] = {
		{ "path", NULL }, { "port", NULL }, { "addr", NULL }, { "number", NULL }, { "size", NULL },
	};
	struct ast_var *var = target;
	const struct ynode *v = doc_text(doc, key);
	const char *near;
	struct diag *d;

	if (!v)
		return;
	var->type_span = v->span;
	for (unsigned t = AST_VAR_PATH; t <= AST_VAR_SIZE; t++)
		if (!strcmp(v->text, ast_var_type_name(t)))
			var->type = t;
	if (var->type)
		return;
	near = doc_nearest(names, sizeof(names) / sizeof(*names), v->text);
	d = doc_error(doc, v->span, "P007", "unknown type '%.80s'", v->text);
	if (near)
		doc_help(doc, d, "did you mean '%s'?", near);
	else
		doc_help(doc, d, "types: path, port, addr, number, size");
	var->type = AST_VAR_PATH;
	var->bad = true;
}

static void var_default(struct doc *doc, const struct ynode *key, void *target)
{
	((struct ast_var *)target)->dflt = doc_name(doc, key);
}

static const struct doc_key var_keys[] = { { "type", var_type }, { "default", var_default } };

static bool variable_name(const char *s)
{
	if (*s < 'a' || *s > 'z')
		return false;
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static void check_var(struct doc *doc, struct ast_var *var)
{
	const char *why = NULL;
	unsigned errors = doc->ctx->diags.errors;

	if (!variable_name(var->name))
		doc_help(doc, doc_error(doc, var->span, "P007", "'%.80s' is not a variable name", var->name),
			 "names have small letters, digits and _, and start with a letter");
	if (!var->type && errors == doc->ctx->diags.errors)
		doc_help(doc, doc_error(doc, var->span, "P006", "the variable '%.80s' has no type", var->name),
			 "write %.80s: {type: path}", var->name);
	if (!var->type || var->bad) {
		var->type = AST_VAR_PATH;
		return;
	}
	if (var->dflt && !parser_var_check(var->type, var->dflt->text, &why))
		doc_help(doc,
			 doc_error(doc, var->dflt->span, "P007", "'%.80s' is not a %s", var->dflt->text,
				   ast_var_type_name(var->type)),
			 "a %s is %s", ast_var_type_name(var->type), why);
}

void section_vars(struct doc *doc, const struct ynode *key, struct pol_ast *ast)
{
	struct ast_var **tail = &ast->vars;
	const struct ynode *map = doc_map(doc, key);

	for (const struct ynode *k = map ? map->kids : NULL; k; k = k->next) {
		struct ast_var *var = doc_new(doc, ast_var);

		var->name = k->text;
		var->span = k->span;
		*tail = var;
		tail = &var->next;
		if (!k->value || !doc_map(doc, k)) {
			var->type = AST_VAR_PATH;
			continue;
		}
		doc_walk(doc, k->value, var_keys, 2, "a variable", var);
		check_var(doc, var);
	}
}

/* ---- quantities ---- */

static bool parse_quantity(const struct ynode *v, enum ast_quantity_kind kind, uint64_t *num)
{
	size_t len = strlen(v->text);

	switch (kind) {
	case AST_QTY_SIZE: /* a bare number would leave the reader to guess the unit */
		return !parser_number(v->text, len, num) && parser_size(v->text, len, num);
	case AST_QTY_DURATION:
		return parser_duration(v->text, len, num);
	default:
		return parser_number(v->text, len, num);
	}
}

static void quantity(struct doc *doc, const struct ynode *key, enum ast_quantity_kind kind,
		     struct ast_quantity *q)
{
	static const char *const want[] = {
		[AST_QTY_NUMBER] = "a number",
		[AST_QTY_SIZE] = "a size with its unit: 64KiB, 256MiB, 2GiB",
		[AST_QTY_DURATION] = "a duration with its unit: 500ms, 10s, 30min, 2h",
	};
	const struct ynode *v = doc_text(doc, key);
	size_t len = v ? strlen(v->text) : 0;

	if (!v)
		return;
	q->span = v->span;
	q->key = key->span;
	q->kind = kind;
	if (len > 3 && v->text[0] == '$' && v->text[1] == '{' && v->text[len - 1] == '}') {
		q->kind = AST_QTY_VAR;
		q->var = arena_strndup(&doc->ctx->arena, v->text + 2, len - 3);
		if (!q->var || !variable_name(q->var)) {
			doc_error(doc, v->span, "P007", "'%.80s' is not a variable", v->text);
			q->kind = AST_QTY_NONE;
		}
		return;
	}
	if (parse_quantity(v, kind, &q->num))
		return;
	doc_help(doc, doc_error(doc, v->span, "P007", "'%.80s' is no value for '%s'", v->text, key->text),
		 "%s takes %s", key->text, want[kind]);
}

/* ---- limits ---- */

#define LIMIT(name_, kind_)                                                                        \
	static void limit_##name_(struct doc *doc, const struct ynode *key, void *target)          \
	{                                                                                          \
		quantity(doc, key, kind_, &((struct ast_limits *)target)->name_);                  \
	}
LIMIT(memory, AST_QTY_SIZE)
LIMIT(cpu, AST_QTY_DURATION)
LIMIT(wall, AST_QTY_DURATION)
LIMIT(processes, AST_QTY_NUMBER)
LIMIT(open_files, AST_QTY_NUMBER)
LIMIT(output, AST_QTY_SIZE)
LIMIT(disk, AST_QTY_SIZE)

static const struct doc_key limit_keys[] = {
	{ "memory", limit_memory },	    { "cpu", limit_cpu },	  { "wall", limit_wall },
	{ "processes", limit_processes },   { "open_files", limit_open_files },
	{ "output", limit_output },	    { "disk", limit_disk },
};

void section_limits(struct doc *doc, const struct ynode *key, struct ast_limits *lim)
{
	const struct ynode *map = doc_map(doc, key);

	lim->present = true;
	lim->span = key->span;
	if (map)
		doc_walk(doc, map, limit_keys, sizeof(limit_keys) / sizeof(*limit_keys), "limits", lim);
}

/* ---- emulate ---- */

/* "2025-01-01T00:00:00Z", nothing else. */
static bool parse_time(const char *text, int64_t *sec)
{
	struct tm tm = { 0 }, back;
	int end = 0;

	if (strlen(text) != 20 ||
	    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &end) != 6 ||
	    end != 20 || strspn(text, "0123456789-T:Z") != 20)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	*sec = timegm(&back);
	return back.tm_year == tm.tm_year && back.tm_mon == tm.tm_mon && back.tm_mday == tm.tm_mday &&
	       back.tm_hour == tm.tm_hour && back.tm_min == tm.tm_min && back.tm_sec == tm.tm_sec;
}

static void emulate_clock(struct doc *doc, const struct ynode *key, void *target)
{
	struct ast_emulate *em = target;
	const struct ynode *v = doc_text(doc, key);
	bool frozen;

	if (!v)
		return;
	em->clock_span = key->span;
	frozen = !strncmp(v->text, "frozen ", 7);
	if ((frozen && parse_time(v->text + 7, &em->clock_sec)) ||
	    (!strncmp(v->text, "from ", 5) && parse_time(v->text + 5, &em->clock_sec))) {
		em->clock = frozen ? AST_CLOCK_FROZEN : AST_CLOCK_FROM;
		return;
	}
	doc_help(doc, doc_error(doc, v->span, "P007", "'%.80s' is no value for 'clock'", v->text),
		 "write 'from 2025-01-01T00:00:00Z' or 'frozen 2025-01-01T00:00:00Z'");
}

static void emulate_random(struct doc *doc, const struct ynode *key, void *target)
{
	struct ast_emulate *em = target;
	const struct ynode *v = doc_text(doc, key);

	if (!v)
		return;
	em->random_span = key->span;
	em->has_random = !strncmp(v->text, "seed ", 5) &&
			 parser_number(v->text + 5, strlen(v->text + 5), &em->random_seed);
	if (!em->has_random)
		doc_help(doc, doc_error(doc, v->span, "P007", "'%.80s' is no value for 'random'", v->text),
			 "write 'seed 42'");
}

#define UNAME(name_)                                                                               \
	static void uname_##name_(struct doc *doc, const struct ynode *key, void *target)          \
	{                                                                                          \
		((struct ast_emulate *)target)->name_ = uname_text(doc, key);                      \
	}

/* struct utsname has 65 bytes for each member. */
static struct ast_name *uname_text(struct doc *doc, const struct ynode *key)
{
	struct ast_name *n = doc_name(doc, key);

	if (n && strlen(n->text) > 64)
		doc_error(doc, n->span, "P007", "'%s' has at most 64 bytes", key->text);
	return n;
}
UNAME(sysname)
UNAME(nodename)
UNAME(release)
UNAME(version)
UNAME(machine)
UNAME(domainname)

static const struct doc_key uname_keys[] = {
	{ "sysname", uname_sysname }, { "nodename", uname_nodename }, { "release", uname_release },
	{ "version", uname_version }, { "machine", uname_machine },   { "domainname", uname_domainname },
};

static void emulate_uname(struct doc *doc, const struct ynode *key, void *target)
{
	struct ast_emulate *em = target;
	const struct ynode *map = doc_map(doc, key);

	em->has_uname = true;
	em->uname_span = key->span;
	if (map)
		doc_walk(doc, map, uname_keys, sizeof(uname_keys) / sizeof(*uname_keys), "uname", em);
}

static void ids_uid(struct doc *doc, const struct ynode *key, void *target)
{
	quantity(doc, key, AST_QTY_NUMBER, &((struct ast_emulate *)target)->uid);
}

static void ids_gid(struct doc *doc, const struct ynode *key, void *target)
{
	quantity(doc, key, AST_QTY_NUMBER, &((struct ast_emulate *)target)->gid);
}

static const struct doc_key ids_keys[] = { { "uid", ids_uid }, { "gid", ids_gid } };

static void emulate_ids(struct doc *doc, const struct ynode *key, void *target)
{
	struct ast_emulate *em = target;
	const struct ynode *map = doc_map(doc, key);

	em->has_ids = true;
	em->ids_span = key->span;
	if (map)
		doc_walk(doc, map, ids_keys, sizeof(ids_keys) / sizeof(*ids_keys), "ids", em);
}

static void emulate_cpus(struct doc *doc, const struct ynode *key, void *target)
{
	quantity(doc, key, AST_QTY_NUMBER, &((struct ast_emulate *)target)->cpus);
}

static const struct doc_key emulate_keys[] = {
	{ "clock", emulate_clock }, { "random", emulate_random }, { "uname", emulate_uname },
	{ "ids", emulate_ids },	    { "cpus", emulate_cpus },
};

void section_emulate(struct doc *doc, const struct ynode *key, struct ast_emulate *em)
{
	const struct ynode *map = doc_map(doc, key);

	em->present = true;
	em->span = key->span;
	if (map)
		doc_walk(doc, map, emulate_keys, sizeof(emulate_keys) / sizeof(*emulate_keys), "emulate", em);
}

/* ---- phases ---- */

static void phase_name(struct doc *doc, const struct ynode *key, void *target)
{
	((struct ast_phase *)target)->name = doc_name(doc, key);
}

static void phase_after(struct doc *doc, const struct ynode *key, void *target)
{
	struct dsl_result r;

	doc_sentences(doc, key, DSL_AFTER, &r);
	((struct ast_phase *)target)->after = r.after;
}

static void drop_calls(struct doc *doc, const struct ynode *key, void *target)
{
	struct dsl_result r;

	doc_sentences(doc, key, DSL_TARGETS, &r);
	((struct ast_phase *)target)->drop_calls = r.targets;
}

static void drop_files(struct doc *doc, const struct ynode *key, void *target)
{
	struct dsl_result r;

	doc_sentences(doc, key, DSL_FILES, &r);
	((struct ast_phase *)target)->drop_files = r.files;
}

static void drop_net(struct doc *doc, const struct ynode *key, void *target)
{
	struct dsl_result r;

	doc_sentences(doc, key, DSL_NET, &r);
	((struct ast_phase *)target)->drop_net = r.net;
}

static const struct doc_key drop_keys[] = {
	{ "calls", drop_calls },
	{ "files", drop_files },
	{ "net", drop_net },
};

static void phase_drop(struct doc *doc, const struct ynode *key, void *target)
{
	struct ast_phase *ph = target;
	const struct ynode *map = doc_map(doc, key);

	ph->has_drop = true;
	ph->drop_span = key->span;
	if (map)
		doc_walk(doc, map, drop_keys, sizeof(drop_keys) / sizeof(*drop_keys), "drop", ph);
}

static const struct doc_key phase_keys[] = {
	{ "name", phase_name },
	{ "after", phase_after },
	{ "drop", phase_drop },
};

void section_phases(struct doc *doc, const struct ynode *key, struct pol_ast *ast)
{
	struct ast_phase **tail = &ast->phases;
	const struct ynode *list = doc_list(doc, key);

	ast->phases_span = key->span;
	for (const struct ynode *item = list ? list->kids : NULL; item; item = item->next) {
		unsigned errors = doc->ctx->diags.errors;
		struct ast_phase *ph;

		if (item->kind != YNODE_MAP) {
			doc_error(doc, item->span, "P005", "a phase is a map: name, after, drop");
			continue;
		}
		ph = doc_new(doc, ast_phase);
		ph->span = item->span;
		doc_walk(doc, item, phase_keys, 3, "a phase", ph);
		if (errors == doc->ctx->diags.errors && (!ph->name || !ph->after))
			doc_error(doc, item->span, "P006", "a phase needs '%s'", ph->name ? "after" : "name");
		*tail = ph;
		tail = &ph->next;
	}
}
