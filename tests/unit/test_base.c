/* base/: buffers, arenas, suggestions, errors, digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/list.h"
#include "base/suggest.h"

static void test_json(void **state)
{
	static const struct {
		const char *in, *out;
		size_t n;
	} row[] = {
		{"plain", "\"plain\"", 5},
		{"a\"b\\c\n\t\x01", "\"a\\\"b\\\\c\\n\\t\\u0001\"", 8},
		{"\xc3\xa9", "\"\xc3\xa9\"", 2},
		{"\xe2\x82\xac", "\"\xe2\x82\xac\"", 3},
		{"\xff", "{\"b64\":\"/w==\"}", 1},
		{"\xc0\x80", "{\"b64\":\"wIA=\"}", 2},	    /* overlong */
		{"\xed\xa0\x80", "{\"b64\":\"7aCA\"}", 3}, /* surrogate */
		{"\xe2\x82", "{\"b64\":\"4oI=\"}", 2},	    /* cut */
		{"", "\"\"", 0},
	};
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		buf_reset(&b);
		buf_json_str(&b, row[i].in, row[i].n);
		assert_string_equal(b.data, row[i].out);
	}
	buf_free(&b);
}

static void test_buf(void **state)
{
	struct buf b = BUF_INIT;
	int i;

	for (i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	assert_int_equal(b.len, 3890);
	buf_align(&b, 64);
	assert_int_equal(b.len % 64, 0);
	assert_false(b.failed);
	buf_free(&b);
	assert_null(b.data);
}

static void test_arena(void **state)
{
	struct arena a = {0};
	char *s[100];
	int i;

	for (i = 0; i < 100; i++) {
		s[i] = arena_printf(&a, "string %d", i);
		assert_int_equal((uintptr_t)s[i] % 16, 0);
	}
	assert_non_null(arena_alloc(&a, 1 << 20));
	assert_null(arena_alloc(&a, SIZE_MAX - 8));
	assert_string_equal(s[0], "string 0");
	assert_string_equal(s[99], "string 99");
	arena_free(&a);
}

static void test_suggest(void **state)
{
	struct suggest s;

	assert_int_equal(suggest_distance("kitten", "sitting"), 3);
	assert_int_equal(suggest_distance("a", "b"), 1);
	assert_int_equal(suggest_distance("ab", "ba"), 1);
	assert_int_equal(suggest_distance("", "abc"), 3);
	assert_int_equal(suggest_distance("same", "same"), 0);
	suggest_begin(&s, "opennat");
	suggest_offer(&s, "open");
	suggest_offer(&s, "openat");
	suggest_offer(&s, "openat2");
	assert_string_equal(suggest_end(&s), "openat");
	suggest_begin(&s, "xyzzy");
	suggest_offer(&s, "openat");
	assert_null(suggest_end(&s));
}

static void test_err(void **state)
{
	struct sbx_err *e = NULL;

	assert_int_equal(sbx_err_status(&e, SBX_EXIT_NOT_FOUND, "%s: not found", "x"), -1);
	sbx_err_wrap(&e, "running");
	assert_string_equal(e->msg, "running: x: not found");
	assert_int_equal(e->status, SBX_EXIT_NOT_FOUND);
	sbx_err_errno(&e, ENOENT, "open");
	assert_string_equal(e->msg, "open: No such file or directory");
	sbx_err_free(&e);
	assert_null(e);
	assert_int_equal(sbx_err_set(NULL, "dropped"), -1);
}

static void test_digest(void **state)
{
	uint8_t d[DIGEST_SIZE];
	char hex[DIGEST_HEX_SIZE];

	digest_sha256("abc", 3, d);
	digest_hex(d, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

struct item {
	int v;
	struct list node;
};

static void test_list(void **state)
{
	struct list head = LIST_INIT(head);
	struct item it[4], *p, *tmp;
	int i, sum = 0;

	for (i = 0; i < 4; i++) {
		it[i].v = i;
		list_append(&head, &it[i].node);
	}
	list_for_each_safe(p, tmp, &head, node)
		if (p->v % 2)
			list_del(&p->node);
	list_for_each(p, &head, node)
		sum = sum * 10 + p->v;
	assert_int_equal(sum, 2);
	list_del(&it[0].node);
	list_del(&it[0].node);
	list_del(&it[2].node);
	assert_true(list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json), cmocka_unit_test(test_buf),   cmocka_unit_test(test_arena),
		cmocka_unit_test(test_suggest), cmocka_unit_test(test_err), cmocka_unit_test(test_digest),
		cmocka_unit_test(test_list),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
