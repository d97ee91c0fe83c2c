/* Record locks and waits for them: ranges against a byte map, circles of owners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include "sentry/lockgraph.h"

static const char owners[4];

static struct lock_range range(off_t start, off_t end, short type)
{
	return (struct lock_range){start, end, type};
}

/* Random changes of 64 bytes; the set must say what a map of each byte says, in as few ranges. */
static void ranges(void **state)
{
	enum { N = 64 };
	static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	short map[N];
	struct lock_set s;

	for (int i = 0; i < N; i++)
		map[i] = F_UNLCK;
	srand(1);
	lock_set_add(&s, &owners[0], 1, 1);
	for (int round = 0; round < 20000; round++) {
		int start = rand() % N, end = start + rand() % (N - start);
		short type = types[rand() % 3], seen[N];
		unsigned runs = 0;

		lock_set_change(&s, range(start, end, type));
		for (int i = start; i <= end; i++)
			map[i] = type;
		for (int i = 0; i < N; i++) {
			seen[i] = F_UNLCK;
			runs += map[i] != F_UNLCK && (!i || map[i - 1] != map[i]);
		}
		for (unsigned k = 0; k < s.n; k++)
			for (off_t i = s.held[k].start; i <= s.held[k].end; i++) {
				assert_int_equal(seen[i], F_UNLCK);
				seen[i] = s.held[k].type;
			}
		for (int i = 0; i < N; i++)
			assert_int_equal(seen[i], map[i]);
		assert_int_equal(s.n, runs);
	}
	lock_set_change(&s, range(0, INT64_MAX, F_WRLCK));
	assert_int_equal(s.n, 1);
	lock_set_change(&s, range(10, INT64_MAX, F_UNLCK));
	assert_int_equal(s.held[0].end, 9);
	lock_set_remove(&s);
}

/* A set with more ranges than are followed forgets them, and goes on. */
static void many_ranges(void **state)
{
	struct lock_set s;

	lock_set_add(&s, &owners[0], 1, 1);
	for (off_t i = 0; i < 20000; i++)
		lock_set_change(&s, range(2 * i, 2 * i, F_WRLCK));
	assert_true(s.n <= 4098);
	lock_set_change(&s, range(0, INT64_MAX, F_UNLCK));
	assert_int_equal(s.n, 0);
	lock_set_remove(&s);
}

static void circles(void **state)
{
	struct lock_set s[4], other;
	struct lock_wait w[4];

	for (int i = 0; i < 4; i++) {
		lock_set_add(&s[i], &owners[i], 1, 1);
		s[i].pid = 100 + i;
		lock_set_change(&s[i], range(10 * i, 10 * i + 9, F_WRLCK));
	}
	lock_set_add(&other, &owners[0], 1, 2);
	lock_set_change(&other, range(0, 0, F_WRLCK));
	assert_int_equal(lock_set_blocker(&s[0], range(25, 25, F_RDLCK)), 102);
	assert_int_equal(lock_set_blocker(&s[0], range(0, 9, F_WRLCK)), 0);
	/* 0 waits for 1, 1 for 2, 2 for 3 */
	for (int i = 0; i < 3; i++)
		assert_true(lock_wait_begin(&w[i], &s[i], range(10 * i + 10, 10 * i + 10, F_WRLCK)));
	assert_false(lock_wait_begin(&w[3], &s[3], range(5, 5, F_RDLCK)));
	assert_false(lock_wait_begin(&w[3], &s[3], range(25, 25, F_RDLCK)));
	assert_false(lock_wait_begin(&w[3], &s[3], range(0, INT64_MAX, F_WRLCK)));
	/* a free place, and the same owner's other file */
	assert_true(lock_wait_begin(&w[3], &s[3], range(40, 50, F_WRLCK)));
	lock_wait_end(&w[3]);
	lock_wait_end(&w[1]);
	assert_true(lock_wait_begin(&w[3], &s[3], range(5, 5, F_RDLCK)));
	assert_false(lock_wait_begin(&w[1], &s[1], range(35, 35, F_RDLCK)));
	lock_wait_end(&w[3]);
	lock_wait_end(&w[2]);
	lock_wait_end(&w[0]);
	for (int i = 0; i < 4; i++)
		lock_set_remove(&s[i]);
	lock_set_remove(&other);
}

/* Two that share a read lock and both want to write. */
static void upgrades(void **state)
{
	struct lock_set a, b;
	struct lock_wait wa, wb;

	lock_set_add(&a, &owners[0], 1, 1);
	lock_set_add(&b, &owners[1], 1, 1);
	lock_set_change(&a, range(0, 9, F_RDLCK));
	lock_set_change(&b, range(5, 14, F_RDLCK));
	assert_true(lock_wait_begin(&wa, &a, range(0, 9, F_WRLCK)));
	assert_true(lock_wait_begin(&wb, &b, range(10, 14, F_WRLCK)));
	lock_wait_end(&wb);
	assert_false(lock_wait_begin(&wb, &b, range(9, 9, F_WRLCK)));
	lock_wait_end(&wa);
	lock_set_remove(&a);
	lock_set_remove(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(many_ranges),
		cmocka_unit_test(circles),
		cmocka_unit_test(upgrades),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
