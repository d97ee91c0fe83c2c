/* The platform on this machine's KVM, below any sentry: a few bytes of machine code in ring 3. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/kvm/guest.h"

/* mov $imm,%eax ; syscall ; inc %rbx ; syscall ; hlt */
static void test_syscall(void **state)
{
	struct guest g;

	guest_open(&g,
		   CODE_BYTES(0xb8, 0x27, 0, 0, 0, 0x0f, 0x05, 0x48, 0xff, 0xc3, 0x0f, 0x05, 0xf4));
	g.r->rdi = 1;
	g.r->r9 = 0x123456789abcdef0;
	g.r->r15 = 15;
	g.r->rbp = 7;
	guest_expect_syscall(&g);
	assert_int_equal(g.r->rax, 0x27);
	assert_int_equal(g.r->rip, CODE + 7);
	assert_int_equal(g.r->rcx, CODE + 7);
	assert_int_equal(g.r->rdi, 1);
	assert_int_equal(g.r->r9, 0x123456789abcdef0);
	assert_int_equal(g.r->r15, 15);
	assert_int_equal(g.r->rbp, 7);
	assert_int_equal(g.r->rsp, STACK + P - 64);
	assert_int_equal(g.r->r11, g.r->rflags);
	g.r->rax = 99;
	g.r->rbx = 41;
	guest_expect_syscall(&g);
	assert_int_equal(g.r->rax, 99);
	assert_int_equal(g.r->rbx, 42);
	guest_expect_fault(&g, 13);
	assert_int_equal(g.r->rip, CODE + 12);
	guest_close(&g);
}

/* mov %rax,(%rdi) ; mov (%rsi),%rbx ; syscall */
static void test_fault(void **state)
{
	struct guest g;

	guest_open(&g, CODE_BYTES(0x48, 0x89, 0x07, 0x48, 0x8b, 0x1e, 0x0f, 0x05));
	g.r->rax = 0x55;
	g.r->rdi = DATA;
	g.r->rsi = 0x600000;
	guest_expect_fault(&g, 14);
	assert_int_equal(g.ev.addr, 0x600000);
	assert_int_equal(g.ev.error, 4);
	assert_int_equal(g.r->rip, CODE + 3);
	assert_int_equal(*(uint64_t *)(guest_window + P), 0x55);
	*(uint64_t *)(guest_window + 4 * P) = 0x77;
	assert_int_equal(platform_map(g.as, 0x600000, P, 4 * P, PLATFORM_READ), 0);
	guest_expect_syscall(&g);
	assert_int_equal(g.r->rbx, 0x77);
	guest_close(&g);
}

/* l: mov (%rdi),%rbx ; syscall ; jmp l */
static void test_unmap(void **state)
{
	uint64_t off;
	unsigned prot;
	struct guest g;

	guest_open(&g, CODE_BYTES(0x48, 0x8b, 0x1f, 0x0f, 0x05, 0xeb, 0xf9));
	g.r->rdi = DATA;
	*(uint64_t *)(guest_window + P) = 1;
	*(uint64_t *)(guest_window + 5 * P) = 5;
	guest_expect_syscall(&g);
	assert_int_equal(g.r->rbx, 1);
	assert_true(platform_lookup(g.as, DATA + 8, &off, &prot));
	assert_int_equal(off, P);
	assert_int_equal(prot, PLATFORM_READ | PLATFORM_WRITE);
	assert_int_equal(platform_map(g.as, DATA, P, 5 * P, PLATFORM_READ), 0);
	guest_expect_syscall(&g);
	assert_int_equal(g.r->rbx, 5);
	platform_unmap(g.as, DATA, P);
	assert_false(platform_lookup(g.as, DATA, &off, &prot));
	guest_expect_fault(&g, 14);
	assert_int_equal(g.ev.addr, DATA);
	assert_int_equal(platform_map(g.as, DATA, P, P, PLATFORM_READ), 0);
	guest_expect_syscall(&g);
	assert_int_equal(g.r->rbx, 1);
	guest_close(&g);
}

/* l: mov %rax,(%rdi) ; syscall ; jmp l */
static void test_protect(void **state)
{
	struct guest g;
	int i;

	guest_open(&g, CODE_BYTES(0x48, 0x89, 0x07, 0x0f, 0x05, 0xeb, 0xf9));
	g.r->rdi = DATA;
	for (i = 0; i < 20; i++) {
		guest_expect_syscall(&g);
		platform_protect(g.as, DATA, P, PLATFORM_READ);
		guest_expect_fault(&g, 14);
		assert_int_equal(g.ev.error, 7);
		platform_protect(g.as, DATA, P, PLATFORM_READ | PLATFORM_WRITE);
	}
	guest_expect_syscall(&g);
	platform_protect(g.as, CODE, P, PLATFORM_READ);
	guest_expect_fault(&g, 14);
	assert_int_equal(g.ev.error & 16, 16);
	assert_int_equal(g.ev.addr, CODE + 5);
	guest_close(&g);
}

static void *kicker(void *arg)
{
	struct guest *g = arg;
	struct timespec t = {0, 20000000};

	nanosleep(&t, NULL);
	platform_kick(g->ctx);
	return NULL;
}

/* l: inc %rbx ; jmp l */
static void test_kick(void **state)
{
	struct guest g;
	pthread_t th;
	uint64_t n;
	int i;

	guest_open(&g, CODE_BYTES(0x48, 0xff, 0xc3, 0xeb, 0xfb));
	for (i = 0; i < 5; i++) {
		n = g.r->rbx;
		pthread_create(&th, NULL, kicker, &g);
		guest_run(&g);
		pthread_join(th, NULL);
		assert_int_equal(g.ev.kind, PLATFORM_INTERRUPTED);
		assert_true(g.r->rbx > n);
		assert_true(g.r->rip == CODE || g.r->rip == CODE + 3);
	}
	platform_kick(g.ctx);
	n = g.r->rbx;
	guest_run(&g);
	assert_int_equal(g.ev.kind, PLATFORM_INTERRUPTED);
	assert_int_equal(g.r->rbx, n);
	guest_close(&g);
}

/* A loop that stores through (%rdi) until its page goes away. */
struct racer {
	struct guest *g;
	struct platform_ctx *ctx;
	struct platform_event ev;
};

static void *race_run(void *arg)
{
	struct racer *rc = arg;

	platform_run(rc->ctx, &rc->ev);
	return NULL;
}

/* Gives the racer time to show that it runs. */
static bool counts(const volatile uint64_t *word)
{
	struct timespec t = {0, 5000000};
	uint64_t was = *word;
	int i;

	for (i = 0; i < 4000 && *word == was; i++)
		nanosleep(&t, NULL);
	return *word != was;
}

/* l: lock incq (%rdi) ; jmp l */
static void test_shootdown(void **state)
{
	struct racer rc;
	struct guest g;
	pthread_t th;
	struct timespec t = {0, 5000000};
	struct platform_regs *r;
	volatile uint64_t *word = (volatile uint64_t *)(guest_window + P);
	uint64_t n;
	int i;

	guest_open(&g, CODE_BYTES(0xf0, 0x48, 0xff, 0x07, 0xeb, 0xfa));
	rc.g = &g;
	assert_int_equal(platform_ctx_create(guest_platform, g.as, &g, &rc.ctx), 0);
	r = platform_ctx_regs(rc.ctx);
	r->rip = CODE;
	r->rdi = DATA;
	for (i = 0; i < 10; i++) {
		platform_map(g.as, DATA, P, P, PLATFORM_READ | PLATFORM_WRITE);
		pthread_create(&th, NULL, race_run, &rc);
		assert_true(counts(word));
		if (i & 1)
			platform_unmap(g.as, DATA, P);
		else
			platform_protect(g.as, DATA, P, PLATFORM_READ);
		n = *word;
		nanosleep(&t, NULL);
		assert_int_equal(*word, n);
		pthread_join(th, NULL);
		assert_int_equal(rc.ev.kind, PLATFORM_FAULT);
		assert_int_equal(rc.ev.vector, 14);
		assert_int_equal(rc.ev.addr, DATA);
	}
	platform_ctx_destroy(&rc.ctx);
	guest_close(&g);
}

/* Table pages come and go with their mappings, and what a reused one said before is forgotten: each
 * round reads one of three pages through fresh tables. l: mov (%rdi),%rbx; syscall; jmp l */
static void test_churn(void **state)
{
	const uint8_t code[] = {0x48, 0x8b, 0x1f, 0x0f, 0x05, 0xeb, 0xf9};
	struct guest g, h;
	uint64_t i;

	guest_open(&g, code, sizeof(code));
	for (i = 0; i < 3; i++)
		*(uint64_t *)(guest_window + (4 + i) * P) = i;
	for (i = 0; i < 1500; i++) {
		uint64_t va = (i * 0x5bd1e995ull << 21) & 0x7fffffe00000ull;

		if (va < 0x1000000)
			continue;
		assert_int_equal(platform_map(g.as, va, P, (4 + i % 3) * P, PLATFORM_READ), 0);
		g.r->rdi = va;
		guest_expect_syscall(&g);
		assert_int_equal(g.r->rbx, i % 3);
		platform_unmap(g.as, va, P);
		if (i % 100)
			continue;
		guest_expect_fault(&g, 14);
		assert_int_equal(g.ev.addr, va);
		g.r->rip = CODE;
		/* another address space from the same pool of pages */
		h = g;
		assert_int_equal(platform_as_create(guest_platform, &h.as), 0);
		assert_int_equal(platform_map(h.as, CODE, P, 0, PLATFORM_READ | PLATFORM_EXEC), 0);
		assert_int_equal(platform_map(h.as, va, P, 6 * P, PLATFORM_READ), 0);
		platform_ctx_set_as(h.ctx, h.as);
		guest_expect_syscall(&h);
		assert_int_equal(h.r->rbx, 2);
		g.r->rip = CODE;
		platform_ctx_set_as(g.ctx, g.as);
		guest_expect_fault(&g, 14);
		g.r->rip = CODE;
		platform_as_destroy(&h.as);
	}
	guest_close(&g);
}

static void on_signal(int sig)
{
}

/* Another signal of this process ends the run too. l: jmp l */
static void test_host_signal(void **state)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct itimerval t = {.it_value.tv_usec = 20000};
	struct guest g;

	sigaction(SIGALRM, &sa, NULL);
	guest_open(&g, CODE_BYTES(0xeb, 0xfe));
	setitimer(ITIMER_REAL, &t, NULL);
	guest_run(&g);
	assert_int_equal(g.ev.kind, PLATFORM_INTERRUPTED);
	assert_int_equal(g.r->rip, CODE);
	guest_close(&g);
}

/* l: syscall ; jmp l */
static void test_speed(void **state)
{
	struct timespec a, b;
	struct platform_stats st;
	struct guest g;
	int i;

	guest_open(&g, CODE_BYTES(0x0f, 0x05, 0xeb, 0xfc));
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < 2000; i++)
		guest_expect_syscall(&g);
	clock_gettime(CLOCK_MONOTONIC, &b);
	platform_ctx_stats(g.ctx, &st);
	print_message("# %.2f us per forwarded system call, %lu exits\n",
		      ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / 2000 / 1e3,
		      st.exits);
	assert_int_equal(st.forwarded, 2000);
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syscall), cmocka_unit_test(test_fault),
		cmocka_unit_test(test_unmap),	cmocka_unit_test(test_protect),
		cmocka_unit_test(test_kick),	cmocka_unit_test(test_shootdown),
		cmocka_unit_test(test_churn),	cmocka_unit_test(test_host_signal),
		cmocka_unit_test(test_speed),
	};

	if (!guest_possible())
		return guest_skip();
	return cmocka_run_group_tests_name("platform", tests, guest_group_setup,
					   guest_group_teardown);
}
