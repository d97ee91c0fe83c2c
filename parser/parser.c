#include "parser/parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "parser/document.h"

struct parser_ctx *parser_ctx_create(const char *const *include_dirs)
{
	struct parser_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->include_dirs = include_dirs;
	diag_init(&ctx->diags, &ctx->sources);
	return ctx;
}

void parser_ctx_destroy(struct parser_ctx **ctx)
{
	if (!*ctx)
		return;
	diag_free(&(*ctx)->diags);
	source_set_free(&(*ctx)->sources);
	arena_free(&(*ctx)->arena);
	free(*ctx);
	*ctx = NULL;
}

/* ---- the text itself ---- */

static bool check_text(struct parser_ctx *ctx, uint32_t file)
{
	const struct source *s = source_get(&ctx->sources, file);
	size_t i = 0;

	while (i < s->len) {
		uint32_t cp = 0;
		size_t n = source_char(s->bytes + i, s->len - i, &cp);
		const char *why = n ? source_char_refused(cp) : "not UTF-8";

		if (why) {
			diag_error(&ctx->diags, source_span(&ctx->sources, file, i, i + (n ? n : 1)), "P008",
				   "%s", why);
			return false;
		}
		i += n;
	}
	return true;
}

/* ---- use ---- */

static bool use_name_ok(const char *name)
{
	if (!*name || *name == '/' || strstr(name, "//"))
		return false;
	for (const char *p = name; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_./", *p))
			return false;
	return true;
}

static char *join_path(struct parser_ctx *ctx, const char *dir, size_t dir_len, const char *name)
{
	while (!strncmp(name, "./", 2))
		name += 2;
	if (!dir_len)
		return arena_printf(&ctx->arena, "%s.pol", name);
	return arena_printf(&ctx->arena, "%.*s/%s.pol", (int)dir_len, dir, name);
}

/* Path of the file that a use names: ./x and ../x beside the naming file, else in the include
 * directories. NULL when there is none. */
static char *find_use(struct parser_ctx *ctx, uint32_t from, const char *name)
{
	const char *path = source_get(&ctx->sources, from)->name;
	const char *slash = strrchr(path, '/');
	char *candidate;

	if (name[0] == '.') {
		candidate = slash ? join_path(ctx, path, slash - path, name) : join_path(ctx, "", 0, name);
		return candidate && access(candidate, F_OK) == 0 ? candidate : NULL;
	}
	for (size_t i = 0; ctx->include_dirs && ctx->include_dirs[i]; i++) {
		candidate = join_path(ctx, ctx->include_dirs[i], strlen(ctx->include_dirs[i]), name);
		if (candidate && access(candidate, F_OK) == 0)
			return candidate;
	}
	return NULL;
}

static int find_loaded(struct parser_ctx *ctx, const char *path)
{
	char *real = realpath(path, NULL);
	int found = -1;

	if (real)
		path = real;
	for (uint32_t i = 0; i < ctx->sources.nr; i++)
		if (!strcmp(ctx->sources.files[i]->path, path))
			found = (int)i;
	free(real);
	return found;
}

static void report_missing(struct parser_ctx *ctx, const struct ast_use *use)
{
	struct diag *d = diag_error(&ctx->diags, use->span, "P009", "there is no policy '%s'", use->name);
	struct buf b = BUF_INIT;

	for (size_t i = 0; ctx->include_dirs && ctx->include_dirs[i]; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", ctx->include_dirs[i]);
	if (use->name[0] == '.')
		diag_help(&ctx->diags, d, "looked beside this file for %s.pol", use->name);
	else
		diag_help(&ctx->diags, d, "looked for %s.pol in %s", use->name, b.len ? b.data : "no directory");
	buf_free(&b);
}

static struct pol_ast *parse_loaded(struct parser_ctx *ctx, uint32_t file, unsigned depth);

static void load_use(struct parser_ctx *ctx, uint32_t from, struct ast_use *use, unsigned depth)
{
	struct sbx_err *e = NULL;
	char *path;
	int file;

	if (!use_name_ok(use->name)) {
		diag_error(&ctx->diags, use->span, "P009", "'%s' is not the name of a policy", use->name);
		return;
	}
	path = find_use(ctx, from, use->name);
	if (!path) {
		report_missing(ctx, use);
		return;
	}
	file = find_loaded(ctx, path);
	if (file >= 0) {
		if (ctx->open[file])
			diag_error(&ctx->diags, use->span, "P009", "'%s' uses itself", use->name);
		use->ast = ctx->asts[file];
		return;
	}
	if (depth >= PARSER_MAX_USE_DEPTH) {
		diag_error(&ctx->diags, use->span, "P009", "use goes more than %d files deep",
			   PARSER_MAX_USE_DEPTH);
		return;
	}
	file = source_add_file(&ctx->sources, path, &use->span, &e);
	if (file < 0) {
		diag_error(&ctx->diags, use->span, "P009", "%s", e ? e->msg : "cannot be read");
		sbx_err_free(&e);
		return;
	}
	use->ast = parse_loaded(ctx, file, depth + 1);
}

/* ---- entry ---- */

static struct pol_ast *parse_loaded(struct parser_ctx *ctx, uint32_t file, unsigned depth)
{
	struct pol_ast *ast;

	if (!check_text(ctx, file))
		return NULL;
	ast = document_parse(ctx, file);
	ctx->asts[file] = ast;
	if (!ast || ctx->no_use)
		return ast;
	ctx->open[file] = true;
	for (struct ast_use *u = ast->uses; u; u = u->next)
		load_use(ctx, file, u, depth);
	ctx->open[file] = false;
	return ast;
}

struct pol_ast *parser_parse_file(struct parser_ctx *ctx, const char *path, struct sbx_err **e)
{
	int file = source_add_file(&ctx->sources, path, NULL, e);

	return file < 0 ? NULL : parse_loaded(ctx, file, 0);
}

struct pol_ast *parser_parse_bytes(struct parser_ctx *ctx, const char *name, const void *bytes,
				   size_t len, struct sbx_err **e)
{
	int file = source_add_bytes(&ctx->sources, name, bytes, len, e);

	return file < 0 ? NULL : parse_loaded(ctx, file, 0);
}
