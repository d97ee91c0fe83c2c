/* What an app's page tables hold: every entry of them is walked. In the lower half pages of the window
 * and nothing else; in the upper half the entry area and nothing else, for the supervisor only, never
 * writable and executable; nowhere memory of the sentry, and no page table. */
#include "tests/kvm/guest.h"
#include <stdio.h>
#include <stdlib.h>
#include "kvm/kvm.h"

struct walk {
	const struct platform *p;
	unsigned app_pages, entry_pages, bad;
};

static const uint64_t *table_at(const struct platform *p, uint64_t gpa)
{
	assert_true(gpa >= TABLE_GPA && gpa - TABLE_GPA < p->tables.used);
	return (const uint64_t *)(p->tables.base + (gpa - TABLE_GPA));
}

static bool in(uint64_t v, uint64_t start, uint64_t len)
{
	return v >= start && v - start < len;
}

static void complain(struct walk *w, const char *what, uint64_t va, uint64_t pte)
{
	w->bad++;
	printf("# %s: va %016llx entry %016llx\n", what, (unsigned long long)va, (unsigned long long)pte);
}

static void app_page(struct walk *w, uint64_t va, uint64_t pte, bool user)
{
	uint64_t gpa = pte & PTE_ADDR;

	w->app_pages++;
	if (!user)
		complain(w, "an app page without the user bit", va, pte);
	if (!in(gpa, WINDOW_GPA, w->p->window_size))
		complain(w, "an app page outside the window", va, pte);
	if (va >= USER_END)
		complain(w, "an app page at the end of the half", va, pte);
}

static void entry_page(struct walk *w, uint64_t va, uint64_t pte, bool user)
{
	uint64_t gpa = pte & PTE_ADDR;

	w->entry_pages++;
	if (user || (pte & PTE_U))
		complain(w, "a page of the upper half with the user bit", va, pte);
	if ((pte & PTE_W) && !(pte & PTE_NX))
		complain(w, "a page both writable and executable", va, pte);
	if (!in(gpa, SYS_GPA, w->p->sys_len) && !in(gpa, CPU_GPA, (uint64_t)CPUS_MAX * RING_CPU_SIZE))
		complain(w, "a page that is not of the entry area", va, pte);
	if (!in(va, RING_TEXT_VA, 1 << 20) && !in(va, RING_IDT_VA, PAGE) &&
	    !in(va, RING_CPU_VA, (uint64_t)CPUS_MAX * RING_CPU_SIZE) &&
	    !in(va, RING_IMAGE_VA, w->p->image_len + PAGE))
		complain(w, "a page at an address without a purpose", va, pte);
	if (!(pte & PTE_NX) && !in(va, RING_TEXT_VA, 1 << 20))
		complain(w, "code that is not the handler", va, pte);
}

static void walk(struct walk *w, uint64_t gpa, int level, uint64_t va, bool user)
{
	const uint64_t *t = table_at(w->p, gpa);
	unsigned i;

	for (i = 0; i < 512; i++) {
		uint64_t pte = t[i], at = va | (uint64_t)i << (12 + 9 * level);

		if (level == 3 && i >= 256)
			at |= 0xffff000000000000ull;
		if (!(pte & PTE_P)) {
			if (pte)
				complain(w, "an absent entry that is not zero", at, pte);
			continue;
		}
		if (level > 0) {
			if (pte & 0x80)
				complain(w, "a large page", at, pte);
			else
				walk(w, pte & PTE_ADDR, level - 1, at, user && (pte & PTE_U));
		} else if (at >> 63) {
			entry_page(w, at, pte, user && (pte & PTE_U));
		} else {
			app_page(w, at, pte, user && (pte & PTE_U));
		}
	}
}

static struct walk walk_all(const struct platform_as *as)
{
	struct walk w = {.p = as->p};

	walk(&w, as->root, 3, 0, true);
	return w;
}

/* syscall; l: jmp l */
static void test_walk(void **state)
{
	struct guest g, other;
	struct walk w;
	unsigned i;

	guest_open(&g, CODE_BYTES(0x0f, 0x05, 0xeb, 0xfe));
	for (i = 0; i < 16; i++)
		assert_int_equal(platform_map(g.as, 0x10000000ull << i, P, (16 + i) * P,
					      1 + i % 7), 0);
	guest_run(&g);
	w = walk_all(g.as);
	assert_int_equal(w.bad, 0);
	assert_true(w.app_pages >= 16 && w.entry_pages >= 4);
	guest_open(&other, CODE_BYTES(0x0f, 0x05, 0xeb, 0xfe)); /* a second vCPU and address space */
	w = walk_all(other.as);
	assert_int_equal(w.bad, 0);
	platform_protect(g.as, 0x10000000ull, P, PLATFORM_READ);
	platform_unmap(g.as, 0, USER_END & ~(PAGE - 1));
	w = walk_all(g.as);
	assert_int_equal(w.bad, 0);
	assert_int_equal(w.app_pages, 0);
	guest_close(&other);
	guest_close(&g);
}

/* Nothing of this process but the regions made for the guest is guest memory at all. */
static void test_slots(void **state)
{
	const struct platform *p = guest_platform;
	const struct {
		const uint8_t *start;
		uint64_t len;
	} regions[] = {
		{p->sys, p->sys_len},
		{p->cpus, (uint64_t)CPUS_MAX * RING_CPU_SIZE},
		{p->dummy, PAGE},
		{p->tables.base, TABLE_MAX},
		{p->window, p->window_size},
	};
	void *heap = malloc(100);
	const void *mine[] = {&p, heap, p, (void *)(uintptr_t)test_slots, stdout, &guest_platform};
	size_t i, k;

	for (i = 0; i < sizeof(mine) / sizeof(*mine); i++)
		for (k = 0; k < sizeof(regions) / sizeof(*regions); k++)
			assert_false(in((uintptr_t)mine[i], (uintptr_t)regions[k].start, regions[k].len));
	free(heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_walk), cmocka_unit_test(test_slots)};

	if (!guest_possible())
		return guest_skip();
	return cmocka_run_group_tests_name("tables", tests, guest_group_setup, guest_group_teardown);
}
