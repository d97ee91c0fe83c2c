/* The policy compiler's driver: loads text or an image, runs the steps, adds what is not a rule. */
#include "policy/compile.h"

#include <stdlib.h>
#include <string.h>
#include "base/digest.h"
#include "base/fdx.h"
#include "base/suggest.h"
#include "policy/resolve.h"

#define ABI_NAME "linux-6.12"

/* ---- limits, emulate ---- */

static bool quantity(struct unit *u, const struct ast_quantity *q, const char *what, uint64_t *out)
{
	const struct rvar *v;
	size_t len;

	if (q->kind == AST_QTY_NONE)
		return false;
	*out = q->num;
	if (q->kind != AST_QTY_VAR)
		return true;
	v = resolve_var(u, q->var, q->span);
	if (!v)
		return false;
	len = strlen(v->text);
	if ((v->decl->type == AST_VAR_SIZE && parser_size(v->text, len, out)) ||
	    (v->decl->type == AST_VAR_NUMBER && parser_number(v->text, len, out)))
		return true;
	diag_error(u->diags, q->span, "P015", "variable '%s' is a %s, it cannot be the %s", q->var,
		   ast_var_type_name(v->decl->type), what);
	return false;
}

void resolve_limit(struct unit *u, const struct ast_quantity *q, const char *what, uint64_t *out)
{
	uint64_t v;

	if (!quantity(u, q, what, &v))
		return;
	if (v == 0)
		diag_error(u->diags, q->span, "P017", "a limit of 0 would let nothing run");
	*out = v;
}

static void add_limits(struct unit *u, const struct ast_limits *l)
{
	struct img_config *c = &u->build.head.cfg;

	if (!l->present)
		return;
	resolve_limit(u, &l->memory, "memory limit", &c->memory);
	resolve_limit(u, &l->cpu, "cpu limit", &c->cpu_ns);
	resolve_limit(u, &l->wall, "wall limit", &c->wall_ns);
	resolve_limit(u, &l->processes, "limit of processes", &c->processes);
	resolve_limit(u, &l->open_files, "limit of open files", &c->open_files);
	resolve_limit(u, &l->output, "output limit", &c->output);
	if (l->disk.kind != AST_QTY_NONE)
		resolve_unenforced(u, l->disk.span, "limits: disk");
}

static void set_uname(struct unit *u, unsigned index, const struct ast_name *n)
{
	if (!n)
		return;
	if (strlen(n->text) > 64)
		diag_error(u->diags, n->span, "P017", "a uname field has at most 64 bytes");
	u->build.head.cfg.uname[index] = img_build_string(&u->build, n->text);
}

static void set_id(struct unit *u, const struct ast_quantity *q, const char *what, uint32_t *out)
{
	uint64_t v;

	if (!quantity(u, q, what, &v))
		return;
	if (v >= UINT32_MAX)
		diag_error(u->diags, q->span, "P017", "an id is less than 4294967295");
	*out = (uint32_t)v;
}

static void add_emulate(struct unit *u, const struct ast_emulate *e)
{
	struct img_config *c = &u->build.head.cfg;
	uint64_t cpus;

	if (!e->present)
		return;
	if (e->clock != AST_CLOCK_NONE)
		resolve_unenforced(u, e->clock_span, "emulate: clock");
	if (e->has_random)
		resolve_unenforced(u, e->random_span, "emulate: random");
	if (e->has_uname) {
		c->flags |= IMG_HAS_UNAME;
		set_uname(u, 0, e->sysname);
		set_uname(u, 1, e->nodename);
		set_uname(u, 2, e->release);
		set_uname(u, 3, e->version);
		set_uname(u, 4, e->machine);
		set_uname(u, 5, e->domainname);
	}
	if (e->has_ids) {
		if (e->uid.kind == AST_QTY_NONE || e->gid.kind == AST_QTY_NONE)
			diag_error(u->diags, e->ids_span, "P020", "ids needs both uid and gid");
		c->flags |= IMG_HAS_IDS;
		set_id(u, &e->uid, "user id", &c->uid);
		set_id(u, &e->gid, "group id", &c->gid);
	}
	if (quantity(u, &e->cpus, "number of cpus", &cpus)) {
		if (cpus < 1 || cpus > 1024)
			diag_error(u->diags, e->cpus.span, "P017", "cpus is 1 to 1024");
		c->cpus = (uint32_t)cpus;
	}
}

/* ---- the rest of a file ---- */

static void check_abi(struct unit *u, const struct ast_name *abi)
{
	struct diag *d;

	if (!abi || !strcmp(abi->text, ABI_NAME))
		return;
	d = diag_error(u->diags, abi->span, "P016", "unknown abi '%s'", abi->text);
	diag_help(u->diags, d, "this version of sbx knows " ABI_NAME);
}

static void refuse_unenforced(struct unit *u, const struct pol_ast *f)
{
}

static void digest_text(struct unit *u, const struct pol_param *params, size_t nr_params)
{
	const struct source_set *set = &u->ctx->sources;
	struct buf all = BUF_INIT;

	for (uint32_t i = 0; i < set->nr; i++) {
		buf_printf(&all, "%zu:", set->files[i]->len);
		buf_append(&all, set->files[i]->bytes, set->files[i]->len);
	}
	for (size_t i = 0; i < nr_params; i++)
		buf_printf(&all, "%s=%s%c", params[i].name, params[i].value, 0);
	if (all.failed)
		u->oom = true;
	digest_sha256(all.data ? all.data : "", all.len, u->build.head.digest);
	buf_free(&all);
}

static const char *policy_name(const struct unit *u)
{
	const struct source *src = source_get(&u->ctx->sources, u->main->file);

	if (u->main->name)
		return u->main->name->text;
	return src ? src->name : "";
}

static void compile_unit(struct unit *u, const struct pol_param *params, size_t nr_params)
{
	struct pol_image *head = &u->build.head;

	resolve_init(u, params, nr_params);
	layers_init(u);
	head->dflt = u->dflt;
	head->unknown = u->unknown;
	head->cfg.name = img_build_string(&u->build, policy_name(u));
	head->cfg.abi = img_build_string(&u->build, ABI_NAME);
	if (u->layers[0].img.flags & IMG_LAYER_EXEC)
		head->cfg.flags |= IMG_HAS_EXEC;
	for (unsigned i = 0; i < u->nr_files; i++) {
		check_abi(u, u->files[i]->abi);
		add_limits(u, &u->files[i]->limits);
		add_emulate(u, &u->files[i]->emulate);
		refuse_unenforced(u, u->files[i]);
	}
	layers_compile(u);
	digest_text(u, params, nr_params);
}

int pol_compile_ast(struct parser_ctx *ctx, const struct pol_ast *ast,
		    const struct pol_param *params, size_t nr_params, const struct pol_image **img,
		    struct sbx_err **e)
{
	struct unit u = {.ctx = ctx, .main = ast, .diags = &ctx->diags};
	int r = 0;

	img_build_init(&u.build);
	compile_unit(&u, params, nr_params);
	if (u.oom)
		r = sbx_err_set(e, "out of memory");
	else if (diag_failed(&ctx->diags))
		r = 1;
	else
		*img = img_build_finish(&u.build, e);
	if (r == 0 && !*img)
		r = -1;
	img_build_free(&u.build);
	arena_free(&u.arena);
	return r;
}

/* ---- entry points ---- */

/* Takes data when it is an image. 1 when it is not. */
static int load_image(const char *path, const char *data, size_t len, const struct pol_image **img,
		      struct sbx_err **e)
{
	void *copy;

	if (len < 8 || memcmp(data, IMG_MAGIC, 8))
		return 1;
	copy = img_alloc(len);
	if (!copy)
		return sbx_err_set(e, "out of memory");
	memcpy(copy, data, len);
	*img = pol_image_verify(copy, len, e);
	if (*img)
		return 0;
	free(copy);
	return sbx_err_wrap(e, "%s", path);
}

int pol_compile(const struct pol_source *src, int diag_fd, const struct pol_image **img,
		struct sbx_err **e)
{
	struct parser_ctx *ctx;
	struct pol_ast *ast;
	char *data = NULL;
	size_t len = 0;
	int r;

	*img = NULL;
	if (fdx_read_file(src->path, IMG_MAX_SIZE, &data, &len, e))
		return -1;
	r = load_image(src->path, data, len, img, e);
	if (r == 0 && src->nr_params) {
		pol_image_free(img);
		r = sbx_err_set(e, "%s: --param needs the policy's text; this is compiled",
				src->path);
	}
	free(data);
	if (r != 1)
		return r;
	ctx = parser_ctx_create(src->include_dirs);
	if (!ctx)
		return sbx_err_set(e, "out of memory");
	ast = parser_parse_file(ctx, src->path, e);
	if (ast)
		r = pol_compile_ast(ctx, ast, src->params, src->nr_params, img, e);
	else
		r = diag_failed(&ctx->diags) ? 1 : -1;
	if (r == 1 && !diag_failed(&ctx->diags))
		r = sbx_err_set(e, "%s: cannot be compiled", src->path);
	if (r == 0 && src->errors_only) {
		parser_ctx_destroy(&ctx);
		return 0;
	}
	if (diag_write(&ctx->diags, diag_fd, src->json) && r == 0) {
		pol_image_free(img);
		r = sbx_err_set(e, "cannot write diagnostics");
	}
	parser_ctx_destroy(&ctx);
	return r;
}

void pol_image_free(const struct pol_image **img)
{
	free((void *)*img);
	*img = NULL;
}
