/* The vDSO's clocks follow the host's and never go backwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/mm.h"
#include "sentry/vdso.h"
#include "sentry/vdso/clock.h"
#include "tests/unit/fake_platform.h"
#include "tests/unit/mm_fixture.h"

#define SLACK_NS 50000 /* the test machine may be busy */

static uint64_t host_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * VDSO_NS + (uint64_t)ts.tv_nsec;
}

static uint64_t measure_khz(void)
{
	uint64_t ns = host_ns(CLOCK_MONOTONIC_RAW), tsc = vdso_tsc();

	usleep(50000);
	return (vdso_tsc() - tsc) * 1000000 / (host_ns(CLOCK_MONOTONIC_RAW) - ns);
}

/* How far the page's clock lies outside two readings of the host's around it. */
static uint64_t off_by(clockid_t clock)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 20; i++) {
		uint64_t before = host_ns(clock), v = 0, after, off;

		assert_true(vdso_clock_ns(vdso_page_data(), clock, &v));
		after = host_ns(clock);
		off = v < before ? before - v : v > after ? v - after : 0;
		best = MIN(best, off);
	}
	return best;
}

static void test_clocks(void **state)
{
	static const clockid_t clock[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
					  CLOCK_BOOTTIME};
	uint64_t last = 0, now, v = 0;

	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(clock); i++)
			assert_in_range(off_by(clock[i]), 0, SLACK_NS);
		assert_true(vdso_clock_ns(vdso_page_data(), CLOCK_MONOTONIC_COARSE, &v));
		now = host_ns(CLOCK_MONOTONIC);
		assert_true(v <= now + SLACK_NS && now - v < 30000000);
		for (uint64_t until = now + 130000000; now < until; last = now) {
			assert_true(vdso_clock_ns(vdso_page_data(), CLOCK_MONOTONIC, &now));
			assert_true(now >= last);
			if (now % 64 == 0)
				vdso_update();
		}
		vdso_update();
	}
	assert_false(vdso_clock_ns(vdso_page_data(), CLOCK_PROCESS_CPUTIME_ID, &v));
	assert_false(vdso_clock_ns(vdso_page_data(), CLOCK_TAI, &v));
	assert_false(vdso_clock_ns(vdso_page_data(), -6, &v));
}

/* A TSC that the CPU does not call steady is read only after measurements agreed, and not behind the clock
 * that was read before; one that changes its rate no longer. */
static void test_trial(void **state)
{
	struct sbx_err *e = NULL;
	uint64_t v, before;
	int rounds = 0;

	vdso_exit();
	fake_tsc_variable = true;
	assert_int_equal(vdso_init(fixture_platform, &e), 0);
	assert_false(vdso_read(CLOCK_MONOTONIC, &v));
	while (vdso_on_trial()) {
		usleep(VDSO_TRIAL_NS / 1000);
		before = vdso_now(CLOCK_MONOTONIC);
		vdso_update();
		assert_in_range(++rounds, 1, 20);
	}
	assert_in_range(rounds, 3, 20);
	assert_true(vdso_read(CLOCK_MONOTONIC, &v));
	assert_true(v >= before);
	assert_in_range(off_by(CLOCK_MONOTONIC), 0, SLACK_NS);
	assert_false(vdso_read(CLOCK_PROCESS_CPUTIME_ID, &v));
	fake_tsc_variable = false;
	vdso_exit();
	assert_int_equal(vdso_init(fixture_platform, &e), 0);
}

static void test_mapping(void **state)
{
	struct mm *mm = fixture_mm(), *other = fixture_mm();
	struct buf b = BUF_INIT;
	struct vdso_data page;
	char magic[4];
	uint64_t at;

	assert_int_equal(vdso_map(mm), 0);
	assert_int_equal(vdso_map(other), 0);
	at = mm_layout(mm)->vdso;
	assert_int_equal(gmem_read(mm, magic, gptr_at(at), 4), 0);
	assert_memory_equal(magic, "\177ELF", 4);
	assert_int_equal(gmem_read(other, &page, gptr_at(mm_layout(other)->vdso - 4096), sizeof(page)),
			 0);
	assert_int_equal(page.usable, 1);
	assert_int_not_equal(gmem_write(mm, gptr_at(at), magic, 4), 0);
	assert_int_not_equal(gmem_write(mm, gptr_at(at - 4096), magic, 4), 0);
	assert_int_not_equal(mm_mprotect(mm, at - 4096, 4096, 3), 0);
	mm_print_maps(mm, &b);
	assert_non_null(strstr(b.data, "[vvar]\n"));
	assert_non_null(strstr(b.data, "[vdso]\n"));
	buf_free(&b);
	mm_put(mm);
	mm_put(other);
}

static int setup(void **state)
{
	struct sbx_err *e = NULL;

	fake_tsc_khz = measure_khz();
	fixture_start(0);
	assert_int_equal(vdso_init(fixture_platform, &e), 0);
	assert_non_null(vdso_page_data());
	return 0;
}

static int teardown(void **state)
{
	vdso_exit();
	fixture_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_trial),
		cmocka_unit_test(test_mapping),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
