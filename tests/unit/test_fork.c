/* Copies of address spaces: what one side writes stays its own, what is shared stays shared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/overflow.h"
#include "sentry/pgpool.h"
#include "tests/unit/fake_platform.h"
#include "tests/unit/mm_fixture.h"

#define PG   4096ull
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static int setup(void **state)
{
	fixture_start(0);
	*state = fixture_mm();
	return 0;
}

static int teardown(void **state)
{
	mm_put(*state);
	fixture_stop();
	return 0;
}

static uint64_t map(struct mm *mm, uint64_t len, int prot, int flags, struct file *f)
{
	int64_t at = mm_mmap(mm, 0, len, prot, flags, f, 0);

	assert_true(at > 0);
	return (uint64_t)at;
}

static void put(struct mm *mm, uint64_t at, uint8_t v)
{
	assert_int_equal(fixture_access(mm, at, &v, 1, true), 0);
}

static uint8_t get(struct mm *mm, uint64_t at)
{
	uint8_t v;

	assert_int_equal(fixture_access(mm, at, &v, 1, false), 0);
	return v;
}

static struct mm *fork_of(struct mm *mm)
{
	struct mm *c;

	assert_int_equal(mm_fork(mm, &c), 0);
	return c;
}

static uint64_t window_of(struct mm *mm, uint64_t at)
{
	uint64_t off;
	unsigned prot;

	assert_true(platform_lookup(mm_as(mm), at, &off, &prot));
	return off;
}

static void private_pages(void **state)
{
	struct mm *mm = *state, *c, *g;
	uint64_t a = map(mm, 64 * PG, RW, ANON, NULL);

	put(mm, a, 1);
	put(mm, a + 5 * PG, 2);
	c = fork_of(mm);
	assert_int_equal(get(c, a), 1);
	assert_int_equal(get(c, a + 5 * PG), 2);
	assert_int_equal(get(c, a + 40 * PG), 0);
	put(mm, a, 3);
	put(c, a + 5 * PG, 4);
	put(c, a + 40 * PG, 5);
	assert_int_equal(get(c, a), 1);
	assert_int_equal(get(mm, a + 5 * PG), 2);
	assert_int_equal(get(mm, a + 40 * PG), 0);
	g = fork_of(c);
	put(c, a + 5 * PG, 6);
	assert_int_equal(get(g, a + 5 * PG), 4);
	assert_int_equal(get(mm, a + 5 * PG), 2);
	mm_put(c);
	assert_int_equal(get(g, a), 1);
	mm_put(g);
	assert_int_equal(get(mm, a), 3);
}

static bool writable(struct mm *mm, uint64_t at)
{
	uint64_t off;
	unsigned prot;

	return platform_lookup(mm_as(mm), at, &off, &prot) && (prot & PLATFORM_WRITE);
}

/* What either side wrote to after a fork, the next one copies at once: no fault for either. */
static void written_again(void **state)
{
	struct mm *mm = *state, *c;
	uint64_t a = map(mm, 8 * PG, RW, ANON, NULL);

	for (unsigned i = 0; i < 8; i++)
		put(mm, a + i * PG, (uint8_t)i);
	c = fork_of(mm);
	put(mm, a + PG, 101);
	put(c, a + 2 * PG, 102);
	put(c, a + 7 * PG, 107);
	mm_put(c);
	put(mm, a + 7 * PG, 17); /* takes the page over */
	for (unsigned forks = 0; forks < 12; forks++) {
		c = fork_of(mm);
		assert_true(writable(mm, a + PG) && writable(c, a + PG));
		assert_true(writable(mm, a + 7 * PG) && writable(c, a + 7 * PG));
		assert_false(writable(mm, a + 3 * PG) || writable(c, a + 3 * PG));
		assert_int_equal(get(c, a + PG), 101);
		assert_int_equal(get(c, a + 2 * PG), 2);
		assert_int_equal(get(c, a + 7 * PG), 17);
		put(c, a + PG, 1);
		put(mm, a + 7 * PG, 17);
		assert_int_equal(get(mm, a + PG), 101);
		assert_int_equal(get(c, a + 7 * PG), 17);
		mm_put(c);
	}
	for (unsigned forks = 0; forks < 40; forks++) {
		c = fork_of(mm);
		mm_put(c);
	}
	c = fork_of(mm); /* nobody wrote for long */
	assert_false(writable(mm, a + PG) || writable(c, a + PG));
	put(mm, a + PG, 5);
	assert_int_equal(get(c, a + PG), 101);
	mm_put(c);
}

static void sentry_writes(void **state)
{
	struct mm *mm = *state, *c;
	uint64_t a = map(mm, 4 * PG, RW, ANON, NULL);
	uint8_t v = 7, w;

	put(mm, a + PG, 1);
	c = fork_of(mm);
	assert_int_equal(get(c, a + PG), 1);
	assert_int_equal(gmem_write(c, gptr_at(a + PG), &v, 1), 0);
	assert_int_equal(get(c, a + PG), 7); /* through its page table, too */
	assert_int_equal(get(mm, a + PG), 1);
	assert_int_equal(gmem_read(mm, &w, gptr_at(a + PG), 1), 0);
	assert_int_equal(w, 1);
	mm_put(c);
}

static void last_holder_keeps(void **state)
{
	struct mm *mm = *state, *c;
	uint64_t a = map(mm, PG, RW, ANON, NULL), off, used;

	put(mm, a, 1);
	off = window_of(mm, a);
	c = fork_of(mm);
	mm_put(c);
	used = pgpool_used();
	put(mm, a, 2);
	assert_int_equal(window_of(mm, a), off);
	assert_int_equal(pgpool_used(), used);
}

static void protections(void **state)
{
	struct mm *mm = *state, *c;
	uint64_t a = map(mm, 8 * PG, RW, ANON, NULL);

	put(mm, a, 1);
	put(mm, a + PG, 1);
	c = fork_of(mm);
	assert_int_equal(mm_mprotect(c, a, 8 * PG, PROT_READ), 0);
	assert_int_equal(mm_mprotect(c, a, 8 * PG, RW), 0);
	put(c, a, 2);
	assert_int_equal(get(mm, a), 1);
	assert_int_equal(mm_mprotect(mm, a, 8 * PG, PROT_NONE), 0);
	assert_int_equal(mm_mprotect(mm, a, 8 * PG, RW), 0);
	put(mm, a + PG, 3);
	assert_int_equal(get(c, a + PG), 1);
	assert_true(mm_mremap(c, a, 8 * PG, 64 * PG, MREMAP_MAYMOVE, 0) > 0);
	assert_int_equal(get(mm, a + PG), 3);
	mm_put(c);
}

static void dontneed(void **state)
{
	struct mm *mm = *state, *c;
	uint64_t a = map(mm, 8 * PG, RW, ANON, NULL);

	put(mm, a, 1);
	c = fork_of(mm);
	assert_int_equal(mm_madvise(c, a, 8 * PG, MADV_DONTNEED), 0);
	assert_int_equal(get(c, a), 0);
	assert_int_equal(get(mm, a), 1);
	mm_put(c);
}

static void shared_memory(void **state)
{
	struct mm *mm = *state, *c;
	uint64_t a = map(mm, 8 * PG, RW, MAP_SHARED | MAP_ANONYMOUS, NULL);

	put(mm, a, 1);
	c = fork_of(mm);
	put(c, a, 2);
	put(mm, a + 3 * PG, 3);
	assert_int_equal(get(mm, a), 2);
	assert_int_equal(get(c, a + 3 * PG), 3);
	mm_put(c);
}

static void private_file(void **state)
{
	struct mm *mm = *state, *c;
	struct file *f = fixture_file(8 * PG, O_RDWR);
	uint64_t a = map(mm, 8 * PG, RW, MAP_PRIVATE, f);
	uint8_t old = get(mm, a + 2 * PG);

	put(mm, a + PG, 99);
	c = fork_of(mm);
	assert_int_equal(get(c, a + PG), 99);
	put(mm, a + PG, 98);
	put(c, a + 2 * PG, 97);
	assert_int_equal(get(c, a + PG), 99);
	assert_int_equal(get(mm, a + 2 * PG), old);
	mm_put(c);
	assert_int_equal(get(mm, a + PG), 98);
	file_put(f);
}

/* What was written to is found wherever it is, and wherever it went. */
static void private_file_parts(void **state)
{
	enum { N = 1500 };
	struct mm *mm = *state, *c, *g;
	struct file *f = fixture_file(N * PG, O_RDWR);
	uint64_t a = map(mm, N * PG, RW, MAP_PRIVATE, f), b;
	static const unsigned page[] = {3, 4, 511, 512, 900, N - 1};
	uint8_t v = 55;

	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		put(mm, a + page[i] * PG, (uint8_t)(200 + i));
	assert_int_equal(gmem_write(mm, gptr_at(a + 700 * PG), &v, 1), 0);
	assert_int_equal(mm_mprotect(mm, a + 600 * PG, 200 * PG, PROT_READ), 0); /* three areas */
	c = fork_of(mm);
	assert_int_equal(mm_mprotect(mm, a + 600 * PG, 200 * PG, RW), 0); /* one again */
	b = (uint64_t)mm_mremap(mm, a, N * PG, (N - 1) * PG, MREMAP_MAYMOVE | MREMAP_FIXED, 0x300000000ull);
	assert_int_equal(b, 0x300000000ull);
	assert_int_equal(mm_mremap(mm, b, (N - 1) * PG, 2 * N * PG, MREMAP_MAYMOVE, 0), b);
	g = fork_of(mm);
	for (unsigned i = 0; i + 1 < ARRAY_SIZE(page); i++) {
		put(mm, b + page[i] * PG, 1);
		assert_int_equal(get(c, a + page[i] * PG), 200 + i);
		assert_int_equal(get(g, b + page[i] * PG), 200 + i);
	}
	assert_int_equal(get(c, a + 700 * PG), v);
	assert_int_equal(get(g, b + 700 * PG), v);
	mm_put(c);
	mm_put(g);
	file_put(f);
}

static void read_only_file(void **state)
{
	struct mm *mm = *state, *c;
	struct file *f = fixture_file(8 * PG, O_RDWR);
	uint64_t a = map(mm, 8 * PG, PROT_READ, MAP_PRIVATE, f);
	uint8_t old = get(mm, a);

	c = fork_of(mm);
	assert_int_equal(get(c, a), old);
	assert_int_equal(window_of(c, a), window_of(mm, a)); /* one mapping for both */
	assert_int_equal(mm_mprotect(c, a, 8 * PG, RW), 0);
	put(c, a, (uint8_t)(old + 1));
	assert_int_equal(get(mm, a), old);
	assert_int_equal(mm_munmap(mm, a + PG, PG), 0);
	assert_int_equal(get(c, a + PG), get(c, a + PG));
	mm_put(c);
	assert_int_equal(get(mm, a), old);
	file_put(f);
}

static void partly_unmapped(void **state)
{
	struct mm *mm = *state, *c;
	struct file *f = fixture_file(8 * PG, O_RDWR);
	uint64_t a = map(mm, 8 * PG, PROT_READ, MAP_PRIVATE, f);
	uint8_t v = get(mm, a + 3 * PG);

	c = fork_of(mm);
	assert_int_equal(mm_munmap(c, a, 8 * PG), 0);
	mm_put(c);
	assert_int_equal(get(mm, a + 3 * PG), v);
	c = fork_of(mm);
	assert_int_equal(mm_munmap(mm, a, 8 * PG), 0);
	assert_int_equal(get(c, a + 3 * PG), v);
	mm_put(c);
	file_put(f);
}

/* What a host call in progress writes arrives at the process that made it. */
static void pinned(void **state)
{
	struct mm *mm = *state, *c;
	uint64_t a = map(mm, 4 * PG, RW, ANON, NULL);
	struct gmem_pin pin;

	put(mm, a, 1);
	assert_int_equal(gmem_pin(mm, gptr_at(a), PG, true, &pin), 0);
	c = fork_of(mm);
	memset(pin.iov[0].iov_base, 5, PG);
	put(mm, a + 1, 6);
	gmem_unpin(&pin);
	assert_int_equal(get(mm, a), 5);
	assert_int_equal(get(mm, a + 1), 6);
	assert_int_equal(get(c, a), 1);
	mm_put(c);
}

static void advice(void **state)
{
	struct mm *mm = *state, *c;
	uint64_t a = map(mm, 4 * PG, RW, ANON, NULL);
	uint8_t v;

	put(mm, a, 1);
	put(mm, a + PG, 2);
	assert_int_equal(mm_madvise(mm, a, PG, MADV_WIPEONFORK), 0);
	assert_int_equal(mm_madvise(mm, a + PG, PG, MADV_DONTFORK), 0);
	c = fork_of(mm);
	assert_int_equal(get(c, a), 0);
	assert_int_not_equal(fixture_access(c, a + PG, &v, 1, false), 0);
	put(c, a, 9);
	assert_int_equal(get(mm, a), 1);
	assert_int_equal(get(mm, a + PG), 2);
	mm_put(c);
}

/* A family of address spaces against plain arrays. */
enum { FAMILY = 6, PAGES = 48, STEPS = 20000 };

static void random_family(void **state)
{
	static uint8_t model[FAMILY][PAGES];
	struct mm *mm[FAMILY] = {*state};
	uint64_t a = map(mm[0], PAGES * PG, RW, ANON, NULL), used = pgpool_used();

	srand(4711);
	memset(model, 0, sizeof(model));
	for (int i = 0; i < STEPS; i++) {
		int who = rand() % FAMILY, page = rand() % PAGES, other = 1 + rand() % (FAMILY - 1);
		uint8_t v = (uint8_t)rand();

		if (!mm[who])
			continue;
		switch (rand() % 12) {
		case 0:
			if (other == who)
				break;
			if (mm[other])
				mm_put(mm[other]);
			mm[other] = fork_of(mm[who]);
			memcpy(model[other], model[who], PAGES);
			break;
		case 1:
			mm_madvise(mm[who], a + (uint64_t)page * PG, PG, MADV_DONTNEED);
			model[who][page] = 0;
			break;
		case 2:
			mm_mprotect(mm[who], a + (uint64_t)page * PG, PG, PROT_READ);
			mm_mprotect(mm[who], a + (uint64_t)page * PG, PG, RW);
			break;
		case 3:
			assert_int_equal(gmem_write(mm[who], gptr_at(a + (uint64_t)page * PG), &v, 1), 0);
			model[who][page] = v;
			break;
		case 4: case 5: case 6: case 7:
			put(mm[who], a + (uint64_t)page * PG, v);
			model[who][page] = v;
			break;
		default:
			assert_int_equal(get(mm[who], a + (uint64_t)page * PG), model[who][page]);
			break;
		}
	}
	for (int who = 0; who < FAMILY; who++)
		for (int page = 0; mm[who] && page < PAGES; page++)
			assert_int_equal(get(mm[who], a + (uint64_t)page * PG), model[who][page]);
	for (int who = 1; who < FAMILY; who++)
		if (mm[who])
			mm_put(mm[who]);
	assert_int_equal(mm_munmap(mm[0], a, PAGES * PG), 0);
	assert_true(pgpool_used() <= used);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(private_pages), T(written_again), T(sentry_writes), T(last_holder_keeps), T(protections),
		T(dontneed), T(shared_memory), T(private_file), T(private_file_parts), T(read_only_file),
		T(partly_unmapped), T(pinned), T(advice), T(random_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
