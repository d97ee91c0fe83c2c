/* The tests: section: each `expect` is judged by the compiled image. */
#include <stdlib.h>
#include <string.h>
#include "base/fdx.h"
#include "policy/prove.h"
#include "policy/tester.h"

static void fail(struct tester *t, struct src_span at, const char *msg)
{
	if (t->json)
		diag_format_at_json(&t->u.ctx->sources, at, "test", msg, &t->out);
	else
		diag_format_at(&t->u.ctx->sources, at, "test failed", msg, &t->out);
	t->failed++;
}

const char *tester_verdict(struct tester *t, const struct pol_verdict *v)
{
	const char *name;

	switch (v->action) {
	case POL_ALLOW:
		return "allow";
	case POL_TERMINATE:
		return "terminate";
	case POL_EMULATE:
		return arena_printf(t->arena, "emulate as %lld", (long long)v->value);
	default:
		name = sysconst_name(CS_errno, (uint64_t)v->value);
		return name ? arena_printf(t->arena, "deny as %s", name)
			    : arena_printf(t->arena, "deny as %lld", (long long)v->value);
	}
}

static const char *gate_text(const struct pol_verdict *v)
{
	switch (v->gate) {
	case POL_GATE_FILES:
		return "files: ";
	case POL_GATE_NET:
		return "net: ";
	case POL_GATE_EXEC:
		return "exec: ";
	default:
		return "";
	}
}

/* "web.pol:16 (net: connect tcp 10.0.0.5:*)" */
static const char *rule_text(struct tester *t, const struct pol_verdict *v)
{
	struct pol_rule_info r;

	if (!pol_image_rule(t->img, v->rule, &r))
		return "no rule";
	return arena_printf(t->arena, "%s:%u (%s%s)", r.file, r.line, gate_text(v), r.text);
}

/* ---- programs ---- */

/* The layers that count: the policy, and the section after `in`. False after a report. */
static bool layers_of(struct tester *t, const struct ast_test *test, uint32_t *set)
{
	unsigned layer = test->in && strcmp(test->in->text, "self") != 0 ? layers_find(&t->u, test->in)
									: 0;

	*set = 1u | 1u << layer;
	return layer || !test->in || !strcmp(test->in->text, "self");
}

static bool in_phase(struct tester *t, const struct ast_name *name, uint32_t *view)
{
	struct pol_phase p;

	for (uint32_t i = 0; i < pol_image_phase(t->img, i, &p); i++) {
		if (strcmp(p.name, name->text) != 0)
			continue;
		*view = pol_view_in_phase(t->img, *view, i + 1);
		return true;
	}
	diag_error(t->u.diags, name->span, "P034", "there is no phase '%s'", name->text);
	return false;
}

bool tester_view(struct tester *t, const struct ast_test *test, uint32_t *view)
{
	struct pol_config cfg;
	uint32_t set;

	if (!layers_of(t, test, &set))
		return false;
	pol_image_config(t->img, &cfg);
	for (*view = 0; *view + 1 < cfg.nr_views && pol_view_layers(t->img, *view) != set; ++*view)
		;
	return !test->phase || in_phase(t, test->phase, view);
}

/* "as NAME" after the call: the section that the program enters. */
static bool enters(struct tester *t, const struct ast_test *test, const struct expect_result *r,
		   uint32_t view)
{
	uint32_t added = pol_view_layers(t->img, r->view) & ~pol_view_layers(t->img, view);
	struct pol_layer l;

	if (!test->enters || r->v.action != POL_ALLOW)
		return true;
	if (!strcmp(test->enters->text, "self"))
		return !added;
	for (size_t i = 1; i < pol_image_layer(t->img, i, &l); i++)
		if ((added >> i & 1) && !strcmp(l.name, test->enters->text))
			return true;
	return false;
}

/* ---- arguments ---- */

static const char *path_text(struct tester *t, const struct ast_path *p)
{
	struct pattern pat;

	if (!resolve_path(&t->u, p, true, &pat))
		return NULL;
	return arena_strndup(t->arena, pat.t, pat.len);
}

/* "tcp 0.0.0.0:${port}" with the variables' values, which are checked against their types. */
static const char *piece_text(struct tester *t, const struct ast_piece *p)
{
	const char *text = "";

	for (; p && text; p = p->next) {
		const struct rvar *v = NULL;

		if (p->kind == AST_PIECE_VAR && !(v = resolve_var(&t->u, p->text, p->span)))
			return NULL;
		text = arena_printf(t->arena, "%s%s", text, v ? v->text : p->text);
	}
	return text;
}

/* {"git", "log"} */
static bool list_text(struct tester *t, const struct ast_arg *a, struct expect_arg *out)
{
	const char **list;

	for (const struct ast_item *it = a->list; it; it = it->next) {
		if (!it->str) {
			diag_help(t->u.diags,
				  diag_error(t->u.diags, it->span, "P038",
					     "arguments are text, not numbers"),
				  "write it in double quotes");
			return false;
		}
		out->nr_list++;
	}
	list = arena_alloc(t->arena, (out->nr_list + 1) * sizeof(*list));
	if (!list)
		return false;
	out->list = list;
	for (const struct ast_item *it = a->list; it; it = it->next)
		*list++ = it->str;
	return true;
}

static bool one_arg(struct tester *t, const struct sys_desc *d, const struct ast_arg *a, unsigned i,
		    struct expect_arg *out)
{
	enum const_set set = (enum const_set)d->arg[i].set;

	switch (a->kind) {
	case AST_ARG_ANY:
		return true;
	case AST_ARG_STRING:
		out->text = a->pieces ? piece_text(t, a->pieces) : a->str;
		return out->text != NULL;
	case AST_ARG_PATH:
		out->text = path_text(t, a->path);
		return out->text != NULL;
	case AST_ARG_LIST:
		return list_text(t, a, out);
	default:
		out->known = true;
		return resolve_val(&t->u, a->val, set, d->arg[i].name, &out->value);
	}
}

bool tester_arguments(struct tester *t, const struct ast_test *test, const struct sys_desc *d,
		      struct expect_arg out[SYS_MAX_ARGS])
{
	unsigned next = 0;

	memset(out, 0, SYS_MAX_ARGS * sizeof(*out));
	for (const struct ast_arg *a = test->args; a; a = a->next) {
		int i = a->name ? sysdesc_arg(d, a->name) : (int)next;

		if (i < 0 || i >= d->nargs) {
			struct diag *dg = diag_error(t->u.diags, a->span, "P013",
						     a->name ? "'%s' has no argument '%s'"
							     : "'%s' has fewer arguments",
						     d->name, a->name);
			diag_help(t->u.diags, dg, "it has %u", d->nargs);
			return false;
		}
		if (!one_arg(t, d, a, (unsigned)i, &out[i]))
			return false;
		next = (unsigned)i + 1;
	}
	return true;
}

/* ---- expectations ---- */

static bool wanted(const struct ast_test *test, const struct pol_verdict *v, int64_t value,
		   bool has_value)
{
	static const uint8_t action[] = {[AST_ALLOW] = POL_ALLOW,
					 [AST_DENY] = POL_DENY,
					 [AST_TERMINATE] = POL_TERMINATE,
					 [AST_EMULATE] = POL_EMULATE};

	if (test->by_never && !(v->flags & POL_F_NEVER))
		return false;
	return action[test->out.verdict] == v->action && (!has_value || v->value == value);
}

/* `by "tag"`: the rule that decides carries it. */
static bool by_rule(struct tester *t, const struct ast_test *test, const struct pol_verdict *v)
{
	struct pol_rule_info r;

	if (!test->by)
		return true;
	return pol_image_rule(t->img, v->rule, &r) && r.tag && !strcmp(r.tag, test->by->text);
}

static const char *entered_text(struct tester *t, const struct ast_test *test,
				const struct expect_result *r)
{
	char name[256];

	if (!test->enters || r->v.action != POL_ALLOW)
		return "";
	pol_view_name(t->img, r->view, name, sizeof(name));
	return arena_printf(t->arena, " as %s", name);
}

static void compare(struct tester *t, const struct ast_test *test, const struct expect_result *r,
		    size_t n, int64_t value, bool has_value, uint32_t view)
{
	const struct expect_result *good = NULL, *bad = NULL;
	struct pol_verdict want = {0};
	const char *what;

	for (size_t i = 0; i < n; i++) {
		if (wanted(test, &r[i].v, value, has_value) && by_rule(t, test, &r[i].v) &&
		    enters(t, test, &r[i], view))
			good = &r[i];
		else
			bad = &r[i];
	}
	if (!bad)
		return;
	want.action = test->out.verdict == AST_DENY ? POL_DENY : POL_EMULATE;
	want.value = value;
	what = has_value ? tester_verdict(t, &want) : ast_verdict_name(test->out.verdict);
	if (test->by_never)
		what = arena_printf(t->arena, "%s by never", what);
	else if (test->by)
		what = arena_printf(t->arena, "%s by \"%s\"", what, test->by->text);
	if (test->enters)
		what = arena_printf(t->arena, "%s as %s", what, test->enters->text);
	fail(t, test->span,
	     arena_printf(t->arena, "expected %s, got %s%s by %s%s", what, tester_verdict(t, &bad->v),
			  entered_text(t, test, bad), rule_text(t, &bad->v),
			  good ? ", for some values of the arguments that are not given" : ""));
}

static void expect(struct tester *t, const struct ast_test *test)
{
	const struct sys_desc *d = sysdesc_by_name(test->call->text);
	struct ast_target target = {.span = test->call->span, .name = test->call->text};
	struct expect_result r[EXPECT_MAX_RESULTS];
	struct expect_arg arg[SYS_MAX_ARGS];
	bool in[IMG_CALLS];
	const char *why;
	int64_t value = 0;
	uint64_t number;
	uint32_t view = 0;
	size_t n;

	if (!d) {
		resolve_target(&t->u, &target, in); /* reports it */
		return;
	}
	if (test->out.verdict == AST_TRAP || test->out.verdict == AST_ASK) {
		resolve_unenforced(&t->u, test->out.span, ast_verdict_name(test->out.verdict));
		return;
	}
	if (test->out.as && test->out.verdict == AST_DENY) {
		if (!resolve_errno(&t->u, test->out.as, 0, &value))
			return;
	} else if (test->out.as) {
		if (!resolve_val(&t->u, test->out.as, CS_NONE, "value", &number))
			return;
		value = (int64_t)number;
	}
	if (!tester_arguments(t, test, d, arg) || !tester_view(t, test, &view))
		return;
	if (test->enters && strcmp(test->enters->text, "self") != 0 &&
	    !layers_find(&t->u, test->enters))
		return;
	n = expect_judge(t->img, view, d, arg, r, &why);
	if (n)
		compare(t, test, r, n, value, test->out.as != NULL, view);
	else
		diag_error(t->u.diags, test->span, "P050", "%s", why ? why : "out of memory");
}

/* ---- prove ---- */

static void not_proved(struct tester *t, const struct ast_test *test, uint32_t rule,
		       const char *how)
{
	struct pol_verdict v = {.action = POL_ALLOW, .rule = rule};

	fail(t, test->span,
	     arena_printf(t->arena, "not proved: allowed by %s%s%s", rule_text(t, &v),
			  how ? "; " : "", how ? how : ""));
}

/* What one of the layers refuses is refused. */
static bool no_call_in(struct tester *t, unsigned layer, uint32_t nr, const struct rcond *cond,
		       uint32_t *rule, const char **how)
{
	const struct layer *l = &t->u.layers[layer];
	struct rcall **calls = &t->calls[layer];

	*how = "out of memory";
	*rule = l->img.rule;
	if (!*calls) {
		*calls = arena_alloc(t->arena, IMG_CALLS * sizeof(**calls));
		if (!*calls)
			return false;
		layers_collect(&t->u, layer, *calls);
	}
	return prove_no_call(&t->u, &(*calls)[nr], cond, !l->closed, rule, how);
}

static void prove_call(struct tester *t, const struct ast_test *test)
{
	const struct sys_desc *d = sysdesc_by_name(test->call->text);
	struct ast_target target = {.span = test->call->span, .name = test->call->text};
	const struct rcond *cond = NULL;
	bool in[IMG_CALLS];
	const char *how = NULL;
	uint32_t rule = 0, set;

	if (!d) {
		resolve_target(&t->u, &target, in); /* reports it */
		return;
	}
	if (test->cond) {
		cond = typecheck_cond(&t->u, test->cond, d);
		if (!cond)
			return;
	}
	if (!layers_of(t, test, &set))
		return;
	for (unsigned i = t->u.nr_programs + 1; i-- > 0;) /* the policy last: its grant is what is shown */
		if ((set >> i & 1) && no_call_in(t, i, d->nr, cond, &rule, &how))
			return;
	not_proved(t, test, rule, how);
}

static void prove_verb(struct tester *t, const struct ast_test *test)
{
	struct pattern under;
	const char *how = NULL;
	uint32_t rule = 0, set;

	if (!resolve_path(&t->u, test->path, true, &under) || !layers_of(t, test, &set))
		return;
	pattern_spread(&under);
	for (unsigned i = t->u.nr_programs + 1; i-- > 0;)
		if ((set >> i & 1) &&
		    prove_no_verb(&t->u, t->img, i, test->verb, &under, &rule, &how))
			return;
	not_proved(t, test, rule, how);
}

/* Can any call that uses addresses this way be allowed at all? */
static bool verb_reachable(struct tester *t, uint32_t view, uint32_t nverb)
{
	static const char *const calls[] = {"connect",	"sendto", "sendmsg",
					    "sendmmsg", "bind",	  "listen"};
	struct expect_result r[EXPECT_MAX_RESULTS];
	struct expect_arg any[SYS_MAX_ARGS] = {0};
	const char *why;

	for (size_t i = nverb == POL_NET_LISTEN ? 4 : 0; i < (nverb == POL_NET_LISTEN ? 6 : 4);
	     i++) {
		size_t n = expect_judge(t->img, view, sysdesc_by_name(calls[i]), any, r, &why);

		for (size_t k = 0; k < n; k++)
			if (r[k].v.action == POL_ALLOW)
				return true;
	}
	return false;
}

static void prove_net(struct tester *t, const struct ast_test *test)
{
	struct pol_verdict v;
	struct pol_addr addr;
	uint32_t rule = 0, view = 0, set;

	if (!layers_of(t, test, &set) || !tester_view(t, test, &view) ||
	    !verb_reachable(t, view, test->nverb))
		return;
	if (!strcmp(test->str->text, "any")) {
		for (unsigned i = t->u.nr_programs + 1; i-- > 0;)
			if ((set >> i & 1) && prove_no_net(t->img, i, test->nverb, &rule))
				return;
		not_proved(t, test, rule, NULL);
		return;
	}
	if (!expect_addr(test->str->text, &addr)) {
		diag_error(t->u.diags, test->str->span, "P050",
			   "an address to prove is \"any\", or like \"tcp 10.0.0.5:22\"");
		return;
	}
	pol_eval_net(t->img, view, test->nverb, &addr, &v);
	if (v.action == POL_ALLOW)
		not_proved(t, test, v.rule, NULL);
}

static void run_test(struct tester *t, const struct ast_test *test)
{
	switch (test->kind) {
	case AST_TEST_EXPECT:
		expect(t, test);
		break;
	case AST_TEST_NO_CALL:
		prove_call(t, test);
		break;
	case AST_TEST_NO_VERB:
		prove_verb(t, test);
		break;
	case AST_TEST_NO_NVERB:
		prove_net(t, test);
		break;
	default:
		resolve_unenforced(&t->u, test->span, "prove within");
	}
}

static int run_all(struct tester *t, const struct pol_source *src, const struct pol_ast *ast,
		   unsigned *total)
{
	const unsigned before = t->u.diags->errors;

	t->u.main = ast;
	img_build_init(&t->u.build);
	resolve_init(&t->u, src->params, src->nr_params);
	layers_init(&t->u);
	for (const struct ast_test *test = ast->tests; test; test = test->next) {
		run_test(t, test);
		++*total;
	}
	img_build_free(&t->u.build);
	return (int)(t->failed + (t->u.diags->errors - before));
}

int pol_run_tests(const struct pol_source *src, const struct pol_image *img, int diag_fd,
		  unsigned *total, struct sbx_err **e)
{
	struct tester t = {.img = img, .out = BUF_INIT, .json = src->json};
	struct pol_ast *ast;
	char *data = NULL;
	size_t len = 0;
	int r = -1;

	*total = 0;
	if (fdx_read_file(src->path, IMG_MAX_SIZE, &data, &len, e))
		return -1;
	if (len >= 8 && !memcmp(data, IMG_MAGIC, 8)) {
		free(data);
		return 0; /* an image keeps no tests */
	}
	free(data);
	t.u.ctx = parser_ctx_create(src->include_dirs);
	if (!t.u.ctx)
		return sbx_err_set(e, "out of memory");
	t.u.diags = &t.u.ctx->diags;
	t.arena = &t.u.arena;
	ast = parser_parse_file(t.u.ctx, src->path, e);
	if (ast && !diag_failed(t.u.diags))
		r = run_all(&t, src, ast, total);
	else if (ast || diag_failed(t.u.diags))
		r = (int)t.u.diags->errors;
	diag_write(t.u.diags, diag_fd, src->json);
	if (t.out.len)
		fdx_write_all(diag_fd, t.out.data, t.out.len);
	buf_free(&t.out);
	arena_free(&t.u.arena);
	parser_ctx_destroy(&t.u.ctx);
	return r;
}
