/* parser/: policies in, trees out; positions, recovery, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fdx.h"
#include "parser/parser.h"

static struct parser_ctx *ctx;

static struct pol_ast *parse_n(const char *text, size_t len)
{
	parser_ctx_destroy(&ctx);
	ctx = parser_ctx_create(NULL);
	assert_non_null(ctx);
	ctx->no_use = true;
	return parser_parse_bytes(ctx, "t.pol", text, len, NULL);
}

static struct pol_ast *parse(const char *text)
{
	return parse_n(text, strlen(text));
}

/* The text must parse; shows the reports when it does not. */
static struct pol_ast *parse_ok(const char *text)
{
	struct pol_ast *ast = parse(text);

	if (!ast || diag_failed(&ctx->diags))
		diag_print(&ctx->diags, 2);
	assert_non_null(ast);
	assert_false(diag_failed(&ctx->diags));
	return ast;
}

static int teardown(void **state)
{
	parser_ctx_destroy(&ctx);
	return 0;
}

static const char *source_dir(void)
{
	const char *s = getenv("srcdir");

	return s ? s : ".";
}

/* ---- whole files ---- */

static void round_trip(const char *path)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct parser_ctx *c = parser_ctx_create(NULL);
	const struct pol_ast *ast;

	c->no_use = true;
	ast = parser_parse_file(c, path, NULL);
	if (!ast || diag_failed(&c->diags))
		diag_print(&c->diags, 2);
	assert_non_null(ast);
	assert_false(diag_failed(&c->diags));
	ast_print(ast, &once);
	ast_print(parse_ok(once.data), &twice);
	assert_string_equal(once.data, twice.data);
	buf_free(&once);
	buf_free(&twice);
	parser_ctx_destroy(&c);
}

static void round_trip_folder(const char *sub, int least)
{
	char dir[2048], path[4096];
	struct dirent **names;
	int found = 0, n;

	snprintf(dir, sizeof(dir), "%s/%s", source_dir(), sub);
	n = scandir(dir, &names, NULL, alphasort);
	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		size_t len = strlen(names[i]->d_name);

		if (len > 4 && !strcmp(names[i]->d_name + len - 4, ".pol")) {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			round_trip(path);
			found++;
		}
		free(names[i]);
	}
	free(names);
	assert_true(found >= least);
}

static void test_round_trip(void **state)
{
	round_trip_folder("tests/parse", 5);
	round_trip_folder("examples/policies", 4);
	round_trip_folder("examples/policies/sbx", 2);
}

/* ---- trees ---- */

#define HEAD "sbx: 1\n"

static void assert_span(struct src_span sp, unsigned line, unsigned col, const char *text)
{
	const struct source *s = source_get(&ctx->sources, sp.file);
	size_t len = strlen(text);

	assert_non_null(s);
	assert_int_equal(sp.line, line);
	assert_int_equal(sp.col, col);
	assert_int_equal(sp.end - sp.start, len);
	assert_memory_equal(s->bytes + sp.start, text, len);
}

static void test_positions(void **state)
{
	const struct pol_ast *a = parse_ok(HEAD "name: web\n"
						"rules: |\n"
						"    # caf\xc3\xa9\n"
						"    allow read if fd == 0 because \"\xc3\xa9\" tag \"x\"\n"
						"\n"
						"    deny  @net\n"
						"      as EACCES\n"
						"default: deny as EPERM # why\n"
						"files: read ${root}/x/** /y\n");
	const struct ast_rule *r = a->rules;

	assert_span(a->name->span, 2, 7, "web");
	assert_span(a->version_span, 1, 6, "1");
	assert_span(r->span, 5, 5, "allow read if fd == 0 because \"\xc3\xa9\" tag \"x\"");
	assert_span(r->cond->span, 5, 19, "fd == 0");
	assert_span(r->notes.because->span, 5, 35, "\"\xc3\xa9\"");
	assert_span(r->notes.tag->span, 5, 43, "\"x\""); /* columns count characters */
	assert_span(r->next->span, 7, 5, "deny  @net\n      as EACCES");
	assert_span(r->next->targets->span, 7, 11, "@net");
	assert_span(a->dflt.span, 9, 10, "deny as EPERM");
	assert_span(a->files->paths->span, 10, 13, "${root}/x/**");
	assert_span(a->files->paths->pieces->span, 10, 13, "${root}");
	assert_span(a->files->paths->pieces->next->span, 10, 20, "/x/**");
}

static void test_values(void **state)
{
	const struct ast_rule *r =
		parse_ok(HEAD "rules: allow a if x == 0o17|0x1F|~(A|2KiB) and y.z in {1..3, -1} or not b has ${v}\n")
			->rules;
	const struct ast_cond *and = r->cond->kids, *in = and->kids->next, *not = and->next;
	const struct ast_val *v = and->kids->val->kids;

	assert_int_equal(r->cond->kind, AST_COND_OR);
	assert_int_equal(and->kind, AST_COND_AND);
	assert_int_equal(v->num, 15);
	assert_int_equal(v->next->num, 31);
	assert_int_equal(v->next->next->kind, AST_VAL_NOT);
	assert_string_equal(v->next->next->kids->kids->name, "A");
	assert_int_equal(v->next->next->kids->kids->next->kind, AST_VAL_SIZE);
	assert_int_equal(v->next->next->kids->kids->next->num, 2048);
	assert_string_equal(in->term->field, "z");
	assert_int_equal(in->items->hi->num, 3);
	assert_true(in->items->next->lo->negative);
	assert_true(in->items->next->lo->num == UINT64_MAX);
	assert_int_equal(not->kind, AST_COND_NOT);
	assert_int_equal(not->kids->val->kind, AST_VAL_VAR);
	assert_string_equal(not->kids->val->name, "v");
}

static void test_addresses(void **state)
{
	const struct ast_addr *a =
		parse_ok(HEAD "net: connect tcp 10.1.2.3/8:80-90, [2001:db8::1]/32:*, *:${p}, ${h}:1, ${w}\n")
			->net->addrs;
	static const uint8_t ip4[] = { 10, 1, 2, 3 }, ip6[] = { 0x20, 0x01, 0x0d, 0xb8 };

	assert_int_equal(a->kind, AST_ADDR_IP);
	assert_memory_equal(a->ip, ip4, 4);
	assert_int_equal(a->prefix, 8);
	assert_int_equal(a->port.num, 80);
	assert_int_equal(a->port_hi.num, 90);
	a = a->next;
	assert_int_equal(a->family, 6);
	assert_memory_equal(a->ip, ip6, 4);
	assert_int_equal(a->prefix, 32);
	assert_int_equal(a->port.kind, AST_PORT_ANY);
	a = a->next;
	assert_int_equal(a->kind, AST_ADDR_ANY);
	assert_string_equal(a->port.var, "p");
	a = a->next;
	assert_int_equal(a->kind, AST_ADDR_HOST_VAR);
	assert_string_equal(a->var, "h");
	a = a->next;
	assert_int_equal(a->kind, AST_ADDR_VAR);
	assert_null(a->next);
}

static void test_keys(void **state)
{
	const struct pol_ast *a = parse_ok(HEAD "vars: {p: {type: port, default: 80}}\n"
						"limits: {memory: 1MiB, cpu: 2min, processes: 3}\n"
						"emulate: {clock: from 2000-02-29T12:00:00Z, cpus: 2}\n"
						"use: [a, 'b']\n");

	assert_int_equal(a->vars->type, AST_VAR_PORT);
	assert_string_equal(a->vars->dflt->text, "80");
	assert_int_equal(a->limits.memory.num, 1 << 20);
	assert_true(a->limits.cpu.num == 120 * 1000000000ull);
	assert_int_equal(a->limits.disk.kind, AST_QTY_NONE);
	assert_int_equal(a->emulate.clock, AST_CLOCK_FROM);
	assert_int_equal(a->emulate.clock_sec, 951825600);
	assert_string_equal(a->uses->next->name, "b");
}

static void test_scalars(void **state)
{
	uint64_t n;
	const char *why;

	assert_true(parser_number("0", 1, &n) && n == 0);
	assert_true(parser_number("18446744073709551615", 20, &n) && n == UINT64_MAX);
	assert_false(parser_number("18446744073709551616", 20, &n));
	assert_false(parser_number("0644", 4, &n));
	assert_false(parser_number("0x", 2, &n));
	assert_false(parser_number("", 0, &n));
	assert_false(parser_number("12a", 3, &n));
	assert_true(parser_size("2GiB", 4, &n) && n == 2ull << 30);
	assert_false(parser_size("2GB", 3, &n));
	assert_false(parser_size("99999999999TiB", 14, &n));
	assert_true(parser_duration("1d", 2, &n) && n == 86400 * 1000000000ull);
	assert_false(parser_duration("5", 1, &n));
	assert_true(parser_var_check(AST_VAR_PATH, "/a/b", &why));
	assert_false(parser_var_check(AST_VAR_PATH, "/a/../b", &why));
	assert_false(parser_var_check(AST_VAR_PATH, "/a/**", &why));
	assert_false(parser_var_check(AST_VAR_PATH, "a", &why));
	assert_false(parser_var_check(AST_VAR_PORT, "0", &why));
	assert_true(parser_var_check(AST_VAR_ADDR, "fe80::/10", &why));
	assert_false(parser_var_check(AST_VAR_ADDR, "10.0.0.0/33", &why));
}

/* ---- errors ---- */

/* The reports of a text, as "line:col code ..." in one string. */
static void assert_errors(const char *text, const char *want)
{
	struct buf got = BUF_INIT;

	parse(text);
	for (unsigned i = 0; i < ctx->diags.nr; i++)
		buf_printf(&got, "%s%u:%u %s", i ? ", " : "", ctx->diags.recs[i].at.line,
			   ctx->diags.recs[i].at.col, ctx->diags.recs[i].code);
	if (strcmp(got.data ? got.data : "", want))
		diag_print(&ctx->diags, 2);
	assert_string_equal(got.data ? got.data : "", want);
	buf_free(&got);
}

static void test_recovery(void **state)
{
	const struct ast_rule *r;

	assert_errors(HEAD "rules: |\n"
			   " allow if\n"	/* 3:8 no target */
			   " deny a as\n"	/* 4: value missing, seen at 5:2 */
			   " allow b else\n"	/* verdict missing, seen at 6:2 */
			   " never c\n"
			   " on d {\n"
			   "  x = 1 -> allow\n" /* 8:5 */
			   "  y == 1 -> deny\n"
			   "  z in {1, q} -> deny\n" /* 10:12 */
			   "  else allow\n"	      /* 11:8 */
			   " }\n"
			   " allow e\n",
		      "3:8 P010, 5:2 P010, 6:2 P010, 8:5 P010, 10:12 P010, 11:8 P010");
	/* what is right is kept */
	r = ctx->asts[0]->rules;
	assert_string_equal(r->targets->name, "c");
	assert_int_equal(r->next->kind, AST_RULE_BLOCK);
	assert_string_equal(r->next->arms->cond->term->name, "y");
	assert_null(r->next->arms->next);
	assert_string_equal(r->next->next->targets->name, "e");
	assert_null(r->next->next->next);
}

static void test_recovery_block(void **state)
{
	/* a block that is never closed: reported once, the statement after it is kept */
	assert_errors(HEAD "rules: |\n on a {\n  x == 1 -> deny\n allow b\n deny c\n", "5:2 P010");
	assert_string_equal(ctx->asts[0]->rules->next->targets->name, "b");
	assert_errors(HEAD "rules: |\n on a {\n  x == 1 -> deny\n", "4:17 P010");
	assert_errors(HEAD "rules: |\n on a { }\n allow b\n", "3:9 P010");
	assert_errors(HEAD "rules: |\n on 5 { x == 1 -> allow\n y == 2 -> deny }\n allow ?\n", "3:5 P010, 5:8 P011, 5:7 P010");
	assert_errors(HEAD "rules: |\n on a { x in {1, } -> allow\n  y == } \n allow b\n", "3:18 P010, 4:8 P010");
}

static void test_recovery_sections(void **state)
{
	assert_errors(HEAD "files: |\n read\n read,, list /a\n deny /b as\n hide /c\n"
			   "net: |\n connect /x\n listen tcp\n send udp *:1\n"
			   "exec: |\n run /a\n deny\n run /b as self\n"
			   "tests: |\n expect allow\n prove no\n prove no wirte under /x\n expect deny a()\n",
		      "4:2 P010, 4:7 P010, 6:2 P010, 8:10 P010, 10:2 P010, 13:2 P010, 14:2 P010, "
		      "17:2 P010, 18:2 P010, 18:11 P010");
	assert_errors(HEAD "default: 5\nunknown: deny as\nphases: [{name: a, after: second b}]\n",
		      "2:10 P010, 3:17 P010, 4:27 P010");
}

static void test_yaml_strict(void **state)
{
	assert_errors(HEAD "name: &a x\n", "2:7 P002");
	assert_errors(HEAD "name: *a\n", "2:7 P002");
	assert_errors(HEAD "name: !!str a\n", "2:7 P002");
	assert_errors(HEAD "<<: {a: b}\n", "2:1 P002");
	assert_errors("%YAML 1.1\n---\nsbx: 1\n", "1:1 P002");
	assert_errors(HEAD "---\nsbx: 1\n", "2:1 P002");
	assert_errors(HEAD "name: a\nname: b\n", "3:1 P003");
	assert_errors(HEAD "vars: {a: {type: path, type: port}}\n", "2:24 P003");
	assert_errors(HEAD "nam: a\n", "2:1 P004");
	assert_errors(HEAD "rules: >\n allow a\n", "2:1 P005");
	assert_errors(HEAD "rules: 'allow a'\n", "2:1 P005");
	assert_errors(HEAD "rules: allow a\n  if x == 1\n", "2:1 P005");
	assert_errors(HEAD "rules: [a]\n", "2:8 P005");
	assert_errors("name: a\n", "1:1 P006");
	assert_errors("sbx: 2\n", "1:6 P007");
	assert_errors("[1]\n", "1:1 P005");
	assert_errors("", "1:1 P005");
	assert_errors(HEAD "name: no\nstatus: 012\n", ""); /* no implicit types: text stays text */
}

static void test_text(void **state)
{
	assert_errors("sbx: 1\r\n", "1:7 P008");
	assert_errors("sbx: \xff\n", "1:6 P008");
	assert_errors("sbx: \xc0\x80\n", "1:6 P008");
	assert_errors("# \xe2\x80\xae\nsbx: 1\n", "1:3 P008"); /* right-to-left override */
	assert_errors("\xef\xbb\xbfsbx: 1\n", "1:1 P008");
	parse_n("sbx: 1\nname: a\0b\n", 18);
	assert_int_equal(ctx->diags.errors, 1);
}

/* ---- bounds ---- */

static void repeat(struct buf *b, const char *s, unsigned n)
{
	while (n--)
		buf_puts(b, s);
}

static void test_bounds(void **state)
{
	static const struct {
		const char *head, *unit, *tail;
		unsigned n, errors;
	} rows[] = {
		{ "rules: allow a if ", "not ", "x == 1\n", 63, 0 },
		{ "rules: allow a if ", "not ", "x == 1\n", 64, 1 },
		{ "rules: allow a if ", "not ", "x == 1\n", 5000, 1 },
		{ "rules: allow a if ", "(", "x == 1\n", 5000, 1 },
		{ "rules: allow a if x == ", "~", "1\n", 63, 0 },
		{ "rules: allow a if x == ", "~", "1\n", 64, 1 },
		{ "rules: allow a if x == ", "(", "1\n", 100000, 1 },
		{ "rules: allow a if x == 1", "|1", "\n", 4095, 0 },
		{ "rules: allow a if x == 1", "|1", "\n", 4096, 1 },
		{ "rules: allow a if x == 1", "|1", "\n", 100000, 1 },
		{ "rules: |\n", " allow a\n", "", 4096, 0 },
		{ "rules: |\n", " allow a\n", "", 5000, 1 },
		{ "name: ", "[", "\n", 100000, 1 },
		{ "use: [a", ",a", "]\n", 30000, 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct buf b = BUF_INIT;

		buf_puts(&b, HEAD);
		buf_puts(&b, rows[i].head);
		repeat(&b, rows[i].unit, rows[i].n);
		buf_puts(&b, rows[i].tail);
		parse(b.data);
		if (rows[i].errors ? !ctx->diags.errors : ctx->diags.errors)
			fail_msg("row %zu: %u errors", i, ctx->diags.errors);
		buf_free(&b);
	}
}

static void test_many_errors(void **state)
{
	struct buf b = BUF_INIT, out = BUF_INIT;

	buf_puts(&b, HEAD "rules: |\n");
	repeat(&b, " allow ,\n", 25);
	parse(b.data);
	assert_int_equal(ctx->diags.errors, 25);
	assert_int_equal(ctx->diags.nr, DIAG_MAX_ERRORS);
	diag_format(&ctx->diags, &out);
	assert_non_null(strstr(out.data, "15 more errors are not shown\n"));
	buf_free(&b);
	buf_free(&out);
}

/* ---- use ---- */

static char dir[64];

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void assert_use(const char *text, unsigned errors, const char *part)
{
	const char *dirs[] = { dir, NULL };
	struct buf out = BUF_INIT;
	char path[128];

	write_file("main.pol", text);
	snprintf(path, sizeof(path), "%s/main.pol", dir);
	parser_ctx_destroy(&ctx);
	ctx = parser_ctx_create(dirs);
	assert_non_null(parser_parse_file(ctx, path, NULL));
	diag_format(&ctx->diags, &out);
	if (ctx->diags.errors != errors)
		fail_msg("%s", out.data);
	if (part && !strstr(out.data, part))
		fail_msg("%s", out.data);
	buf_free(&out);
}

static void test_use(void **state)
{
	char cmd[100];

	strcpy(dir, "/tmp/sbx-parser.XXXXXX");
	assert_non_null(mkdtemp(dir));
	write_file("a.pol", HEAD "use: [b, ./b]\nrules: allow read\n");
	write_file("b.pol", HEAD "rules: allow write\n");
	write_file("bad.pol", HEAD "rules: alow x\n");
	write_file("self.pol", HEAD "use: [self2]\n");
	write_file("self2.pol", HEAD "use: [./self]\n");
	assert_use(HEAD "use: [a, b]\n", 0, NULL);
	assert_int_equal(ctx->sources.nr, 3); /* b is read once */
	assert_ptr_equal(ctx->asts[0]->uses->next->ast, ctx->asts[0]->uses->ast->uses->ast);
	assert_use(HEAD "use: [nothere]\n", 1, "there is no policy 'nothere'");
	assert_use(HEAD "use: [/etc/passwd]\n", 1, "is not the name of a policy");
	assert_use(HEAD "use: [bad]\n", 1, "main.pol:2:\n");
	assert_use(HEAD "use: [self]\n", 1, "uses itself");
	assert_use(HEAD "use: [main]\n", 1, "uses itself");
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	assert_int_equal(system(cmd), 0);
}

static void test_unreadable(void **state)
{
	struct sbx_err *e = NULL;

	parser_ctx_destroy(&ctx);
	ctx = parser_ctx_create(NULL);
	assert_null(parser_parse_file(ctx, "/nonexistent/x.pol", &e));
	assert_non_null(e);
	sbx_err_free(&e);
	assert_null(parser_parse_file(ctx, "/", &e));
	assert_non_null(e);
	sbx_err_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_recovery_block),
		cmocka_unit_test(test_recovery_sections),
		cmocka_unit_test(test_yaml_strict),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_use),
		cmocka_unit_test(test_unreadable),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, teardown);
}
