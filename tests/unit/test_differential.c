/* Random policies, random calls: the compiled image and the reference interpreter must agree.
 * The policies are text, so that parser, compiler, image and evaluator are all in the path.
 * SBX_DIFF_CASES sets how many cases run; SBX_DIFF_SEED where they start. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "parser/parser.h"
#include "policy/refint.h"
#include "policy/resolve.h"
#include "tests/unit/random_policy.h"

#define CASES_PER_POLICY 600

/* ---- a random call ---- */

struct world {
	uint64_t field[FIELD_MAX];
	bool readable;
	enum pol_fdkind kind[6];
	const char *path[6];
};

static bool world_field(void *arg, unsigned argno, unsigned field, uint64_t *val)
{
	struct world *w = arg;

	*val = w->field[field];
	return w->readable;
}

static enum pol_fdkind world_fdkind(void *arg, unsigned argno)
{
	struct world *w = arg;

	return w->kind[argno];
}

static const char *world_path(void *arg, unsigned argno, size_t *len)
{
	struct world *w = arg;

	*len = w->path[argno] ? strlen(w->path[argno]) : 0;
	return w->path[argno];
}

static void draw_call(struct pol_call *c, struct world *w)
{
	const struct sys_desc *d = random_call();

	c->nr = chance(75) ? d->nr : chance(90) ? pick(470) : (uint32_t)rnd();
	for (unsigned i = 0; i < 6; i++) {
		c->arg[i] = random_value();
		w->kind[i] = (enum pol_fdkind)pick(POL_FD_MAX);
		w->path[i] = chance(90) ? random_path() : NULL;
	}
	for (unsigned i = 0; i < FIELD_MAX; i++)
		w->field[i] = random_value();
	w->readable = chance(90);
}

/* ---- comparing ---- */

struct subject {
	struct refint ref;
	const struct pol_image *img;
	const char *text; /* of the policy, for failures */
	uint32_t view;	  /* under which the case at hand is judged */
};

static unsigned with_programs; /* policies with more than one view */

static bool agree(const struct subject *s, const struct pol_verdict *v,
		  const struct refint_verdict *r)
{
	struct pol_rule_info info;

	if (v->action != r->action || v->value != r->value || v->flags != r->flags ||
	    v->gate != r->gate)
		return false;
	if (!r->line)
		return true;
	return pol_image_rule(s->img, v->rule, &info) && info.line == r->line;
}

static void report(const struct subject *s, const char *what, const struct pol_verdict *v,
		   const struct refint_verdict *r)
{
	struct pol_rule_info info = {0};

	pol_image_rule(s->img, v->rule, &info);
	fprintf(stderr, "%s\n(layers %x)\n", s->text, pol_view_layers(s->img, s->view));
	fail_msg("%s: image says action %u value %" PRId64 " flags %u gate %u line %u, reference "
		 "says action %u value %" PRId64 " flags %u gate %u line %u",
		 what, v->action, v->value, v->flags, v->gate, info.line, r->action, r->value,
		 r->flags, r->gate, r->line);
}

static void compare_call(const struct subject *s)
{
	struct pol_call c;
	struct world w;
	struct pol_env env = {&w, world_field, world_fdkind, world_path};
	struct pol_verdict v, bare;
	struct refint_verdict r;
	char what[256];

	draw_call(&c, &w);
	refint_call(&s->ref, &c, &env, &r);
	assert_true(pol_eval_call(s->img, s->view, &c, &env, &v));
	snprintf(what, sizeof(what), "call %u(%" PRIx64 ", %" PRIx64 ", %" PRIx64 ", %" PRIx64 ")",
		 c.nr, c.arg[0], c.arg[1], c.arg[2], c.arg[3]);
	if (!agree(s, &v, &r))
		report(s, what, &v, &r);
	/* Ring 0 has no environment: it may pass, and must not decide differently. */
	if (pol_eval_call(s->img, s->view, &c, NULL, &bare) && !agree(s, &bare, &r))
		report(s, what, &bare, &r);
}

static void compare_path(const struct subject *s)
{
	const char *path = random_path();
	uint32_t verbs = chance(70) ? 1u << pick(11) : 1 + pick(POL_V_ANY);
	uint32_t have = pol_path_verbs(s->img, s->view, path, strlen(path));
	struct pol_verdict v;
	struct refint_verdict r;

	refint_path(&s->ref, verbs, path, strlen(path), &r);
	pol_eval_path(s->img, s->view, verbs, path, strlen(path), &v);
	/* Being started needs a verb of exec: only where the policy has that section. */
	if (!agree(s, &v, &r) ||
	    (!(verbs & POL_V_START) && (v.action == POL_ALLOW) != !(verbs & ~have)))
		report(s, path, &v, &r);
}

static void compare_net(const struct subject *s)
{
	static const uint8_t ips[][16] = {
	    {10, 0, 0, 5}, {10, 0, 0, 2}, {10, 1, 2, 3}, {127, 0, 0, 1}, {192, 168, 0, 1},
	};
	static const uint8_t ips6[][16] = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, {[15] = 1}, {0xfe}};
	static const char *const names[] = {"/run/a", "/run/a/b", "/run/a/b/c", "/run",
					    "@name",  "@other",	  "/srv/www/a", "/srv/www/key"};
	static const uint16_t ports[] = {0, 22, 53, 80, 443, 1000, 1001, 8080, 65535};
	struct pol_addr a = {.proto = (uint8_t)(1 + pick(3)), .port = PICK(ports)};
	uint32_t nverb = 1 + pick(3);
	struct pol_verdict v;
	struct refint_verdict r;

	if (a.proto == POL_PROTO_UNIX) {
		a.path = PICK(names);
		a.path_len = strlen(a.path);
	} else {
		a.family = chance(70) ? 4 : 6;
		memcpy(a.ip, a.family == 4 ? PICK(ips) : PICK(ips6), 16);
	}
	refint_net(&s->ref, nverb, &a, &r);
	pol_eval_net(s->img, s->view, nverb, &a, &v);
	if (!agree(s, &v, &r))
		report(s, a.path ? a.path : "inet", &v, &r);
}

static void compare_exec(const struct subject *s)
{
	const char *path = random_path(), *argv[RANDOM_ARGV] = {NULL};
	struct pol_program prog = {.path = path, .len = strlen(path), .argv = argv};
	uint32_t next = 0, layers = 0;
	struct pol_verdict v;
	struct refint_verdict r;

	prog.argc = random_argv(argv);
	refint_exec(&s->ref, &prog, &r, &layers);
	pol_eval_exec(s->img, s->view, &prog, &v, &next);
	if (!agree(s, &v, &r) ||
	    (v.action == POL_ALLOW && pol_view_layers(s->img, next) != layers) ||
	    (v.action == POL_ALLOW &&
	     pol_view_phase(s->img, next) != pol_view_phase(s->img, s->view)))
		report(s, path, &v, &r);
	if (v.action == POL_ALLOW && !pol_view_within(s->img, next, s->view))
		report(s, "the view widens", &v, &r);
}

static void compare_many(struct subject *s, unsigned n)
{
	struct pol_config cfg;

	pol_image_config(s->img, &cfg);
	with_programs += cfg.nr_views > 1;
	for (unsigned i = 0; i < n; i++) {
		unsigned form = pick(11);

		s->view = chance(30) ? 0 : pick(cfg.nr_views);
		s->ref.layers = pol_view_layers(s->img, s->view);
		if (form < 7)
			compare_call(s);
		else if (form < 9)
			compare_path(s);
		else if (form < 10)
			compare_net(s);
		else
			compare_exec(s);
	}
}

/* ---- the tests ---- */

/* True when the policy compiled and its cases ran. */
static bool run_policy(const char *text, size_t len, unsigned cases, struct buf *why)
{
	const char *dirs[] = {random_policy_dir, NULL};
	struct parser_ctx *ctx = parser_ctx_create(dirs);
	struct subject s = {.text = text};
	struct sbx_err *e = NULL;
	struct pol_ast *ast;
	int r = -1;

	assert_non_null(ctx);
	ast = parser_parse_bytes(ctx, "random.pol", text, len, &e);
	if (ast && !diag_failed(&ctx->diags))
		r = pol_compile_ast(ctx, ast, NULL, 0, &s.img, &e);
	if (e)
		fail_msg("%s\n%s", text, e->msg);
	if (r == 0) {
		s.ref = (struct refint){.ast = ast};
		compare_many(&s, cases);
		pol_image_free(&s.img);
	} else if (why) {
		diag_format(&ctx->diags, why);
	}
	parser_ctx_destroy(&ctx);
	return r == 0;
}

static void test_generated(void **arg)
{
	const char *env = getenv("SBX_DIFF_CASES");
	uint64_t want = env ? strtoull(env, NULL, 0) : 1200000, done = 0;
	unsigned compiled = 0, refused = 0;
	char part[sizeof(random_policy_dir) + 16];

	env = getenv("SBX_DIFF_SEED");
	random_state = env ? strtoull(env, NULL, 0) : 1;
	assert_non_null(mkdtemp(random_policy_dir));
	while (done < want) {
		struct buf b = BUF_INIT, why = BUF_INIT;

		random_policy(&b);
		assert_false(b.failed);
		if (run_policy(b.data, b.len, CASES_PER_POLICY, &why)) {
			compiled++;
			done += CASES_PER_POLICY;
		} else {
			refused++;
			if (getenv("SBX_DIFF_VERBOSE"))
				fprintf(stderr, "%s\n%s\n", b.data, why.data ? why.data : "");
		}
		assert_true(compiled + 100 >
			    refused / 30); /* the generator is not wasting its time */
		buf_free(&b);
		buf_free(&why);
	}
	snprintf(part, sizeof(part), "%s/part.pol", random_policy_dir);
	unlink(part);
	rmdir(random_policy_dir);
	print_message("# %" PRIu64 " cases over %u policies, %u with programs; %u contradicted themselves\n",
		      done, compiled, with_programs, refused);
	assert_true(with_programs > compiled / 50);
}

static void test_shipped(void **arg)
{
	static const char *const names[] = {
		"build", "c-build", "compute", "nginx", "node-web", "postgres", "python",
		"redis", "runtime", "shell", "tools", "trial", "web",
	};
	const char *dir = getenv("SBX_POLICY_PATH");
	const char *dirs[] = {dir, NULL};

	if (!dir)
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		struct parser_ctx *ctx = parser_ctx_create(dirs);
		struct subject s = {.text = names[i]};
		struct sbx_err *e = NULL;
		struct pol_ast *ast;
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s.pol", dir, names[i]);
		ast = parser_parse_file(ctx, path, &e);
		assert_non_null(ast);
		assert_int_equal(pol_compile_ast(ctx, ast, NULL, 0, &s.img, &e), 0);
		s.ref = (struct refint){.ast = ast};
		compare_many(&s, 20000);
		pol_image_free(&s.img);
		parser_ctx_destroy(&ctx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_generated),
	    cmocka_unit_test(test_shipped),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
