/* The image loader against damage, the evaluator's corners, patterns and decision diagrams. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/overflow.h"
#include "policy/bdd.h"
#include "policy/resolve.h"
#include "tests/fuzz/exercise_image.h"

static const char policy[] =
    "sbx: 1\nname: t\ndefault: deny as EACCES\nunknown: deny as ENOSYS\n"
    "files: |\n"
    "  read,list /srv/www/**\n"
    "  write /srv/*/upload\n"
    "  hide /srv/www/.git/**\n"
    "  deny /srv/www/secret as ENOTDIR quiet\n"
    "  scratch /tmp 1MiB\n"
    "net: |\n"
    "  connect tcp 10.0.0.0/8:1-1000\n"
    "  deny connect tcp 10.0.0.5:22 as ENETUNREACH\n"
    "  listen unix /run/*.sock\n"
    "rules: |\n"
    "  allow @core, @io\n"
    "  allow mmap if not (prot has PROT_WRITE|PROT_EXEC) else deny as EPERM\n"
    "  allow write if fd in {1, 2, 7..9}\n"
    "  allow clone3 if args.flags has CLONE_THREAD else deny as ENOSYS\n"
    "  on openat {\n"
    "    path under /srv and flags only O_CLOEXEC|O_DIRECTORY -> allow\n"
    "    dirfd is dir -> deny as EXDEV audit\n"
    "  }\n"
    "  emulate chown as 0\n"
    "  never ptrace\n"
    "  never mprotect if prot has PROT_EXEC\n"
    "emulate:\n  uname: {release: 6.12.0}\n  ids: {uid: 7, gid: 8}\n";

static const struct pol_image *compile(const char *text)
{
	struct parser_ctx *ctx = parser_ctx_create(NULL);
	const struct pol_image *img = NULL;
	struct sbx_err *e = NULL;
	struct pol_ast *ast = parser_parse_bytes(ctx, "t.pol", text, strlen(text), &e);

	if (!ast || pol_compile_ast(ctx, ast, NULL, 0, &img, &e))
		diag_print(&ctx->diags, 2);
	parser_ctx_destroy(&ctx);
	assert_non_null(img);
	return img;
}

/* ---- the loader ---- */

static void test_whole(void **arg)
{
	const struct pol_image *img = compile(policy);

	assert_true(exercise_bytes(img, pol_image_size(img), false));
	assert_true(exercise_bytes(img, pol_image_size(img), true));
	pol_image_free(&img);
}

static void test_checksum(void **arg)
{
	const struct pol_image *img = compile(policy);
	size_t len = pol_image_size(img);
	unsigned char *copy = malloc(len);

	for (size_t i = 0; i < len; i += 1 + i % 7) {
		memcpy(copy, img, len);
		copy[i] ^= 1u << i % 8;
		assert_false(exercise_bytes(copy, len, false));
	}
	for (size_t cut = 0; cut < len; cut += 97)
		assert_false(exercise_bytes(img, cut, false));
	free(copy);
	pol_image_free(&img);
}

/* Damage under a right checksum: refused, or harmless. */
static void test_damage(void **arg)
{
	const struct pol_image *img = compile(policy);
	size_t len = pol_image_size(img);
	unsigned char *copy = malloc(len);
	uint64_t seed = 1;
	unsigned refused = 0, accepted = 0;

	for (unsigned round = 0; round < 6000; round++) {
		size_t at;

		memcpy(copy, img, len);
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		/* Half of the damage goes to the header, where the offsets are. */
		at = (size_t)(seed >> 33) % (round & 1 ? sizeof(struct pol_image) : len);
		copy[at] = round & 2 ? (unsigned char)(seed >> 25) : round & 4 ? 0xff : 0;
		if (exercise_bytes(copy, len, true))
			accepted++;
		else
			refused++;
	}
	assert_true(refused > 100 && accepted > 100);
	free(copy);
	pol_image_free(&img);
}

/* ---- verdicts ---- */

static struct pol_verdict call6(const struct pol_image *img, uint32_t nr, uint64_t a, uint64_t b,
				uint64_t c)
{
	struct pol_call call = {.nr = nr, .arg = {a, b, c}};
	struct pol_verdict v = {0};

	assert_true(pol_eval_call(img, 0, &call, NULL, &v));
	return v;
}

static void test_calls(void **arg)
{
	const struct pol_image *img = compile(policy);
	struct pol_call openat = {.nr = 257};
	struct pol_rule_info r;
	struct pol_verdict v;

	assert_int_equal(call6(img, 0, 0, 0, 0).action, POL_ALLOW);
	assert_int_equal(call6(img, 1, 2, 0, 0).action, POL_ALLOW);
	/* A failing `if` goes to the default, not to the group's rule. */
	v = call6(img, 1, 3, 0, 0);
	assert_int_equal(v.action, POL_DENY);
	assert_int_equal(v.value, EACCES);
	assert_true(v.flags & POL_F_DEFAULT);
	/* The kernel looks at the low half of an int: so do rules. */
	assert_int_equal(call6(img, 1, 0xdeadbeef00000008, 0, 0).action, POL_ALLOW);
	assert_int_equal(call6(img, 9, 0, 0, 6).value, EPERM);
	assert_int_equal(call6(img, 9, 0, 0, 0x700000006).value, EPERM);
	assert_int_equal(call6(img, 9, 0, 0, 2).action, POL_ALLOW);
	assert_int_equal(call6(img, 10, 0, 0, 5).action, POL_TERMINATE);
	assert_true(call6(img, 101, 0, 0, 0).flags & POL_F_NEVER);
	assert_int_equal(call6(img, 92, 0, 0, 0).action, POL_EMULATE);
	/* Unknown numbers, and known ones that nothing mentions and nothing implements. */
	assert_true(call6(img, 400, 0, 0, 0).flags & POL_F_UNKNOWN);
	assert_true(call6(img, UINT32_MAX, 0, 0, 0).flags & POL_F_UNKNOWN);
	assert_int_equal(call6(img, 425, 0, 0, 0).value, ENOSYS);
	/* Without the sentry's help nothing is decided that needs it. */
	assert_false(pol_eval_call(img, 0, &openat, NULL, &v));
	v = call6(img, 1, 3, 0, 0);
	assert_true(pol_image_rule(img, v.rule, &r));
	assert_string_equal(r.text, "default: deny as EACCES");
	assert_int_equal(r.line, 3);
	assert_int_equal(pol_tier0_const(img, 39), 1);
	assert_int_equal(pol_tier0_const(img, 0), 0);
	pol_image_free(&img);
}

static int64_t path_errno(const struct pol_image *img, uint32_t verbs, const char *path)
{
	struct pol_verdict v;

	pol_eval_path(img, 0, verbs, path, strlen(path), &v);
	return v.action == POL_ALLOW ? 0 : v.value;
}

static void test_paths(void **arg)
{
	const struct pol_image *img = compile(policy);
	struct pol_scratch s;
	struct pol_near near;

	assert_int_equal(path_errno(img, POL_V_READ, "/srv/www/a"), 0);
	assert_int_equal(path_errno(img, POL_V_LIST, "/srv/www"), 0);
	assert_int_equal(path_errno(img, POL_V_READ, "/srv/wwwx"), EACCES);
	assert_int_equal(path_errno(img, POL_V_STAT, "/srv"), 0);
	assert_int_equal(path_errno(img, POL_V_STAT, "/"), 0);
	assert_int_equal(path_errno(img, POL_V_LIST, "/"), EACCES);
	assert_int_equal(path_errno(img, POL_V_STAT, "/etc"), EACCES);
	assert_int_equal(path_errno(img, POL_V_STAT, "/srv/www/.git"), ENOENT);
	assert_int_equal(path_errno(img, POL_V_READ, "/srv/www/.git/config"), ENOENT);
	assert_int_equal(path_errno(img, POL_V_READ, "/srv/www/secret"), ENOTDIR);
	assert_int_equal(path_errno(img, POL_V_WRITE, "/srv/x/upload"), 0);
	assert_int_equal(path_errno(img, POL_V_WRITE, "/srv/x/y/upload"), EACCES);
	assert_int_equal(path_errno(img, POL_V_READ | POL_V_WRITE, "/srv/www/upload"), 0);
	assert_int_equal(path_errno(img, POL_V_CREATE | POL_V_DELETE, "/tmp/a/b"), 0);
	assert_int_equal(path_errno(img, POL_V_EXEC, "/tmp/a"), EACCES);
	assert_int_equal(pol_image_scratch(img, 0, &s), 1);
	assert_string_equal(s.path, "/tmp");
	assert_int_equal(s.size, 1 << 20);
	assert_true(pol_near_path(img, 0, POL_V_WRITE, "/srv/www/a", 10, &near));
	assert_string_equal(near.why, "/srv/www/** grants read,list, not write");
	assert_true(pol_near_path(img, 0, POL_V_READ, "/srv/ftp/a", 10, &near));
	assert_string_equal(near.why, "/srv/www/** does not cover it");
	assert_false(pol_near_path(img, 0, POL_V_READ, "/etc/shadow", 11, &near));
	pol_image_free(&img);
}

static int64_t net_errno(const struct pol_image *img, unsigned verb, const uint8_t ip[4],
			 uint16_t port)
{
	struct pol_addr a = {.proto = POL_PROTO_TCP, .family = 4, .port = port};
	struct pol_verdict v;

	memcpy(a.ip, ip, 4);
	pol_eval_net(img, 0, verb, &a, &v);
	return v.action == POL_ALLOW ? 0 : v.value;
}

static void test_nets(void **arg)
{
	const struct pol_image *img = compile(policy);
	const uint8_t in[4] = {10, 1, 2, 3}, five[4] = {10, 0, 0, 5}, out[4] = {11, 0, 0, 1};
	struct pol_addr un = {.proto = POL_PROTO_UNIX, .path = "/run/a.sock", .path_len = 11};
	struct pol_addr far = {.proto = POL_PROTO_TCP, .family = 4, .port = 2000, .ip = {10, 1}};
	struct pol_near near;
	struct pol_verdict v;

	assert_int_equal(net_errno(img, POL_NET_CONNECT, in, 1000), 0);
	assert_int_equal(net_errno(img, POL_NET_SEND, in, 1000), 0);
	assert_int_equal(net_errno(img, POL_NET_CONNECT, in, 1001), EACCES);
	assert_int_equal(net_errno(img, POL_NET_LISTEN, in, 80), EACCES);
	assert_int_equal(net_errno(img, POL_NET_CONNECT, five, 22), ENETUNREACH);
	assert_int_equal(net_errno(img, POL_NET_CONNECT, five, 23), 0);
	assert_int_equal(net_errno(img, POL_NET_CONNECT, out, 80), EACCES);
	pol_eval_net(img, 0, POL_NET_LISTEN, &un, &v);
	assert_int_equal(v.action, POL_ALLOW);
	assert_true(pol_near_net(img, 0, POL_NET_CONNECT, &far, &near));
	assert_string_equal(near.why, "10.0.0.0/8:1-1000 does not cover it");
	pol_image_free(&img);
}

static void test_config(void **arg)
{
	const struct pol_image *img = compile(policy);
	struct pol_config c;

	pol_image_config(img, &c);
	assert_string_equal(c.name, "t");
	assert_string_equal(c.uname_release, "6.12.0");
	assert_null(c.uname_sysname);
	assert_true(c.has_ids && c.uid == 7 && c.gid == 8);
	assert_true(c.net_any && c.net_inet && c.net_unix && c.files_write);
	pol_image_free(&img);
}

/* ---- patterns ---- */

static struct pattern pat(struct arena *a, const char *text)
{
	struct pattern_char s[256];
	struct pattern p;
	const char *why;
	size_t n = 0;

	for (; text[n]; n++)
		s[n] = (struct pattern_char){(unsigned char)text[n], text[n] == '*'};
	assert_true(pattern_code(a, s, n, &p, &why));
	return p;
}

static void test_relations(void **arg)
{
	static const struct {
		const char *a, *b;
		enum pattern_relation r;
		const char *witness;
	} rows[] = {
	    {"/srv/**", "/srv/www/**", PATTERN_CONTAINS, NULL},
	    {"/srv", "/srv/**", PATTERN_INSIDE, NULL},
	    {"/srv/*", "/srv/**", PATTERN_INSIDE, NULL},
	    {"/srv/*/key", "/srv/www/**", PATTERN_OVERLAP, "/srv/www/key"},
	    {"/srv/*", "/etc/*", PATTERN_DISJOINT, NULL},
	    {"/srv/*", "/srv/a/b", PATTERN_DISJOINT, NULL},
	    {"/a*b", "/*", PATTERN_INSIDE, NULL},
	    {"/a*", "/*b", PATTERN_OVERLAP, "/ab"},
	    {"/**/x", "/a/**", PATTERN_OVERLAP, "/a/x"},
	    {"/**/x", "/**x", PATTERN_INSIDE, NULL},
	    {"/**", "/", PATTERN_CONTAINS, NULL},
	    {"/*", "/", PATTERN_DISJOINT, NULL},
	    {"/a/**/b", "/a/b", PATTERN_CONTAINS, NULL},
	};
	struct arena a = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pattern x = pat(&a, rows[i].a), y = pat(&a, rows[i].b);
		struct buf w = BUF_INIT, text = BUF_INIT;

		assert_int_equal(pattern_relate(&x, &y, &w), rows[i].r);
		if (rows[i].witness)
			assert_string_equal(w.data, rows[i].witness);
		/* More specific means earlier in the table. */
		if (rows[i].r == PATTERN_INSIDE)
			assert_true(pattern_order(&x, &y) < 0);
		if (rows[i].r == PATTERN_CONTAINS)
			assert_true(pattern_order(&x, &y) > 0);
		pattern_print(&x, &text);
		assert_string_equal(text.data, rows[i].a);
		buf_free(&w);
		buf_free(&text);
	}
	arena_free(&a);
}

/* ---- decision diagrams ---- */

static void test_bdd(void **arg)
{
	struct bdd *b = bdd_create();
	uint64_t value[BDD_TERMS], used;
	bdd_ref lt, ge, both, eq;

	lt = bdd_compare(b, 0, IMG_S32, ~0ull, IMG_SLT, 5);
	ge = bdd_not(b, bdd_compare(b, 0, IMG_S32, ~0ull, IMG_SLT, (uint64_t)-3));
	both = bdd_and(b, lt, ge);
	assert_true(bdd_witness(b, both, value, &used));
	assert_true((int32_t)value[0] >= -3 && (int32_t)value[0] < 5 && used == 1);
	eq = bdd_compare(b, 0, IMG_S32, ~0ull, IMG_EQ, (uint64_t)-4);
	assert_int_equal(bdd_and(b, both, eq), BDD_FALSE);
	eq = bdd_compare(b, 1, IMG_U32, 0xff, IMG_EQ, 0x1ff);
	assert_int_equal(eq, BDD_FALSE);
	eq = bdd_compare(b, 1, IMG_U64, 0xff, IMG_ULE, 0xff);
	assert_int_equal(eq, BDD_TRUE);
	assert_int_equal(bdd_or(b, lt, bdd_not(b, lt)), BDD_TRUE);
	bdd_destroy(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),  cmocka_unit_test(test_checksum),
	    cmocka_unit_test(test_damage), cmocka_unit_test(test_calls),
	    cmocka_unit_test(test_paths),  cmocka_unit_test(test_nets),
	    cmocka_unit_test(test_config), cmocka_unit_test(test_relations),
	    cmocka_unit_test(test_bdd),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
