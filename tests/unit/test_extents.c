/* Ordered sets of address ranges, against an array that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "sentry/extents.h"

#define N    300
#define STEP 16

static struct extent member[N]; /* at most one in each step */
static bool in[N];
static struct extent *root;

static struct extent *slow_at(uint64_t off)
{
	struct extent *best = NULL;

	for (unsigned i = 0; i < N; i++)
		if (in[i] && member[i].off <= off)
			best = &member[i];
	return best;
}

static struct extent *slow_fit(uint64_t len)
{
	for (unsigned i = 0; i < N; i++)
		if (in[i] && member[i].len >= len)
			return &member[i];
	return NULL;
}

static unsigned depth(const struct extent *x)
{
	unsigned l, r;

	if (!x)
		return 0;
	l = depth(x->left);
	r = depth(x->right);
	return 1 + (l > r ? l : r);
}

static void change(unsigned i)
{
	uint64_t start = i * STEP, off = start + (uint64_t)(rand() % 4), len = 1 + (uint64_t)(rand() % 12);

	if (!in[i]) {
		member[i] = (struct extent){.off = off, .len = len};
		extents_add(&root, &member[i]);
		in[i] = true;
	} else if (rand() % 2) {
		extents_resize(root, &member[i], off, len);
	} else {
		extents_del(&root, &member[i]);
		in[i] = false;
	}
}

static void random_changes(void **state)
{
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t off = (uint64_t)(rand() % (N * STEP)), len = (uint64_t)(rand() % 14);

		change((unsigned)rand() % N);
		assert_ptr_equal(extents_at(root, off), slow_at(off));
		assert_ptr_equal(extents_fit(root, len), slow_fit(len));
	}
}

/* In order, as they come when a program maps one file after the other. */
static void stays_shallow(void **state)
{
	unsigned n = 30000;
	struct extent *many = calloc(n, sizeof(*many)), *top = NULL;

	for (unsigned i = 0; i < n; i++) {
		many[i] = (struct extent){.off = i * 4096ull, .len = 4096};
		extents_add(&top, &many[i]);
	}
	assert_true(depth(top) < 60);
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes),
		cmocka_unit_test(stays_shallow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
