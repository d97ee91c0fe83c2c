/* What a policy says of a call, and what programs it has: the same evaluation as everywhere. */
#include <stdio.h>
#include <string.h>
#include "policy/image_format.h"
#include "policy/tester.h"

/* ---- one call ---- */

static void put_rule(struct tester *t, const char *key, uint32_t rule, const char *why)
{
	struct pol_rule_info r;

	if (!pol_image_rule(t->img, rule, &r))
		return;
	buf_printf(&t->out, "  %-8s %s:%u: %s\n", key, r.file, r.line, why ? why : r.text);
}

/* The grant that comes closest to what `default` refused. */
static void put_near(struct tester *t, const struct sys_desc *d, const struct expect_arg *arg,
		     uint32_t view, const struct expect_result *r)
{
	struct pol_program prog = {0};
	struct pol_near near = {0};
	struct pol_addr addr;
	bool have = false;

	for (unsigned i = 0; i < d->nargs; i++)
		if (arg[i].list) {
			prog.argv = arg[i].list;
			prog.argc = arg[i].nr_list;
		}
	for (unsigned i = 0; i < d->nargs && !have; i++) {
		const char *text = arg[i].text;

		prog.path = text;
		prog.len = text ? strlen(text) : 0;
		if (!text)
			continue;
		if (r->v.gate == POL_GATE_EXEC)
			have = pol_near_exec(t->img, view, &prog, &near);
		else if (r->v.gate == POL_GATE_FILES && d->arg[i].kind == ARG_PATH)
			have = pol_near_path(t->img, view, r->verbs, text, prog.len, &near);
		else if (r->v.gate == POL_GATE_NET && d->arg[i].role && expect_addr(text, &addr))
			have = pol_near_net(t->img, view, d->arg[i].role, &addr, &near);
	}
	if (have)
		put_rule(t, "nearest", near.rule, near.why);
}

static void put_result(struct tester *t, const struct sys_desc *d, const struct expect_arg *arg,
		       uint32_t view, const struct expect_result *r)
{
	static const char *const gates[] = {
	    "", "rules", "never", "files", "net", "exec", "unknown"};
	char name[256];

	buf_printf(&t->out, "%s  (%s)", tester_verdict(t, &r->v), gates[r->v.gate]);
	if (r->v.action == POL_ALLOW &&
	    pol_view_layers(t->img, r->view) != pol_view_layers(t->img, view)) {
		pol_view_name(t->img, r->view, name, sizeof(name));
		buf_printf(&t->out, ", goes on as %s", name);
	}
	buf_putc(&t->out, '\n');
	put_rule(t, "rule", r->v.rule, NULL);
	if (r->v.action == POL_DENY && (r->v.flags & POL_F_DEFAULT))
		put_near(t, d, arg, view, r);
}

static void explain(struct tester *t, const struct ast_test *test)
{
	const struct sys_desc *d = sysdesc_by_name(test->call->text);
	struct ast_target target = {.span = test->call->span, .name = test->call->text};
	struct expect_result r[EXPECT_MAX_RESULTS];
	struct expect_arg arg[SYS_MAX_ARGS];
	bool in[IMG_CALLS];
	const char *why = NULL;
	uint32_t view = 0;
	size_t n;

	if (!d) {
		resolve_target(&t->u, &target, in); /* reports it */
		return;
	}
	if (!tester_arguments(t, test, d, arg) || !tester_view(t, test, &view))
		return;
	n = expect_judge(t->img, view, d, arg, r, &why);
	if (!n)
		diag_error(t->u.diags, test->span, "P050", "%s", why ? why : "out of memory");
	if (n > 1)
		buf_puts(&t->out, "It depends on the arguments that are not given:\n");
	for (size_t i = 0; i < n; i++)
		put_result(t, d, arg, view, &r[i]);
}

static void explain_text(struct tester *t, const char *call, struct sbx_err **e)
{
	const char *text = arena_printf(t->arena, "sbx: 1\ntests: |\n  expect allow %s\n", call);
	struct pol_ast *ast = NULL;

	if (text && !strpbrk(call, "\n\r"))
		ast = parser_parse_bytes(t->u.ctx, "call", text, strlen(text), e);
	else
		sbx_err_set(e, "a call is written on one line");
	if (ast && ast->tests && !diag_failed(t->u.diags))
		explain(t, ast->tests);
}

/* ---- the programs ---- */

static void put_limit(struct tester *t, const char *name, uint64_t v, uint64_t unit, const char *suffix)
{
	if (v)
		buf_printf(&t->out, "  %-8s %s %llu%s\n", "limit", name, (unsigned long long)(v / unit),
			   suffix);
}

static bool enters(const struct pol_image *img, uint32_t rule, size_t layer)
{
	const struct img_exec *x = IMG_AT(img, execs, struct img_exec);

	for (uint32_t i = 0; i < img->execs.count; i++)
		if (x[i].enters == 1u << layer && x[i].v.rule == rule)
			return true;
	return false;
}

static void put_layer(struct tester *t, size_t i)
{
	struct pol_rule_info r = {.file = ""};
	struct pol_layer l;

	pol_image_layer(t->img, i, &l);
	pol_image_rule(t->img, l.rule, &r);
	buf_printf(&t->out, "%s  %s:%u\n", l.name, r.file, r.line);
	for (uint32_t rule = 0; rule < t->img->rules.count; rule++)
		if (enters(t->img, rule, i))
			put_rule(t, "entered", rule, NULL);
	put_limit(t, "memory", l.memory, 1024, " KiB");
	put_limit(t, "cpu", l.cpu_ns, 1000000, " ms");
	put_limit(t, "wall", l.wall_ns, 1000000, " ms");
	put_limit(t, "processes", l.processes, 1, "");
	put_limit(t, "open files", l.open_files, 1, "");
}

static void overview(struct tester *t)
{
	size_t n = pol_image_layer(t->img, 0, NULL);
	struct pol_config cfg;
	char name[256];

	pol_image_config(t->img, &cfg);
	buf_printf(&t->out, "%s  %s, %zu program%s\n", cfg.name, cfg.abi, n - 1, n == 2 ? "" : "s");
	for (size_t i = 1; i < n; i++)
		put_layer(t, i);
	if (n == 1)
		return;
	buf_puts(&t->out, "A process can be under:");
	for (uint32_t v = 0; v < cfg.nr_views; v++) {
		pol_view_name(t->img, v, name, sizeof(name));
		buf_printf(&t->out, "%s %s", v ? "," : "", name);
	}
	buf_putc(&t->out, '\n');
}

int pol_explain(const struct pol_source *src, const struct pol_image *img, const char *call, int diag_fd,
		struct buf *out, struct sbx_err **e)
{
	struct tester t = {.img = img, .out = BUF_INIT};
	struct pol_ast *ast;
	int r;

	t.u.ctx = parser_ctx_create(src->include_dirs);
	if (!t.u.ctx)
		return sbx_err_set(e, "out of memory");
	t.u.diags = &t.u.ctx->diags;
	t.arena = &t.u.arena;
	ast = parser_parse_file(t.u.ctx, src->path, e);
	if (ast && !diag_failed(t.u.diags)) {
		t.u.main = ast;
		img_build_init(&t.u.build);
		resolve_init(&t.u, src->params, src->nr_params);
		layers_init(&t.u);
		if (call)
			explain_text(&t, call, e);
		else
			overview(&t);
		img_build_free(&t.u.build);
	}
	r = *e ? -1 : diag_failed(t.u.diags) || !ast;
	diag_write(t.u.diags, diag_fd, false);
	if (t.out.len)
		buf_append(out, t.out.data, t.out.len);
	buf_free(&t.out);
	arena_free(&t.u.arena);
	parser_ctx_destroy(&t.u.ctx);
	return r;
}
