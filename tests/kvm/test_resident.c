/* The sentry in guest ring 0: which mode its code is in, what moving between the modes keeps, and what
 * its page table holds. Where the machine cannot do it, that it says so. */
#include "tests/kvm/guest.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "kvm/kvm.h"
#include "ring0/ring0_syms.h"

/* l: mov $102,%eax ; syscall ; jmp l */
static const uint8_t calls[] = {0xb8, 0x66, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7};

static unsigned privilege(void)
{
	unsigned cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	return cs & 3;
}

static struct platform_stats stats_of(const struct guest *g)
{
	struct platform_stats st;

	platform_ctx_stats(g->ctx, &st);
	return st;
}

/* Everything in memory that the test code will touch is taken in, and the call path is warm. */
static void open_warm(struct guest *g)
{
	int i;

	guest_open(g, calls, sizeof(calls));
	for (i = 0; i < 8; i++)
		guest_expect_syscall(g);
}

static void test_mode(void **state)
{
	char byte;
	struct guest g;
	int zero = open("/dev/zero", O_RDONLY);

	open_warm(&g);
	assert_int_equal(privilege(), 0);
	assert_int_equal(read(zero, &byte, 1), 1); /* a request */
	assert_int_equal(privilege(), 0);
	assert_true(syscall(SYS_getppid) > 0); /* the red pill */
	assert_int_equal(privilege(), 3);
	guest_expect_syscall(&g); /* the blue one */
	assert_int_equal(privilege(), 0);
	assert_int_equal(read(-1, &byte, 1), -1);
	assert_int_equal(errno, EBADF);
	guest_close(&g);
	assert_int_equal(privilege(), 3);
	close(zero);
}

/* What each way costs, in exits and CR3 writes. */
static void test_costs(void **state)
{
	struct platform_stats a, b;
	char byte;
	struct guest g;
	int i, zero = open("/dev/zero", O_RDONLY);

	open_warm(&g);
	read(zero, &byte, 1);
	guest_expect_syscall(&g);
	a = stats_of(&g);
	for (i = 0; i < 100; i++)
		guest_expect_syscall(&g);
	b = stats_of(&g);
	assert_int_equal(b.exits - a.exits, 0);
	assert_int_equal(b.cr3_writes - a.cr3_writes, 200);
	assert_int_equal(b.tier1 - a.tier1, 100);
	for (i = 0; i < 100; i++) {
		read(zero, &byte, 1);
		guest_expect_syscall(&g);
	}
	a = stats_of(&g);
	assert_int_equal(a.exits - b.exits, 100);
	assert_int_equal(a.requests - b.requests, 100);
	assert_int_equal(a.red_pills - b.red_pills, 0);
	for (i = 0; i < 100; i++) {
		syscall(SYS_getppid);
		guest_expect_syscall(&g);
	}
	b = stats_of(&g);
	assert_int_equal(b.red_pills - a.red_pills, 100);
	assert_int_equal(b.blue_pills - a.blue_pills, 100);
	assert_in_range(b.exits - a.exits, 100, 200);
	guest_close(&g);
	close(zero);
}

/* A system call in the middle of registers that it must not change: by request, and by red pill. */
static bool registers_survive(long nr, long arg)
{
	static const uint64_t pattern[4] = {0x1111, 0x2222, 0x3333, 0x4444};
	uint64_t out[4] = {0}, rbx, r12, r15;
	long r = nr;

	__asm__ volatile("movups (%[in]), %%xmm7\n\t"
			 "movups 16(%[in]), %%xmm15\n\t"
			 "mov $0x77, %%ebx\n\t"
			 "mov $0x78, %%r12d\n\t"
			 "mov $0x79, %%r15d\n\t"
			 "syscall\n\t"
			 "movups %%xmm7, (%[out])\n\t"
			 "movups %%xmm15, 16(%[out])\n\t"
			 "mov %%rbx, %[b]\n\t"
			 "mov %%r12, %[c]\n\t"
			 "mov %%r15, %[d]\n\t"
			 : "+a"(r), [b] "=&r"(rbx), [c] "=&r"(r12), [d] "=&r"(r15)
			 : "D"(arg), "S"(0l), "d"(0l), [in] "r"(pattern), [out] "r"(out)
			 : "rcx", "r11", "rbx", "r12", "r15", "xmm7", "xmm15", "memory");
	return !memcmp(out, pattern, sizeof(out)) && rbx == 0x77 && r12 == 0x78 && r15 == 0x79;
}

static void test_registers(void **state)
{
	struct guest g;
	int i;

	open_warm(&g);
	for (i = 0; i < 20; i++) {
		assert_true(registers_survive(SYS_getppid, 0));
		guest_expect_syscall(&g);
		assert_true(registers_survive(SYS_close, -1));
		assert_int_equal(privilege(), 0);
	}
	guest_close(&g);
}

static sigjmp_buf jump;
static volatile unsigned fault_mode;

static void on_fault(int sig)
{
	fault_mode = 8 | privilege();
	siglongjmp(jump, 1);
}

/* A fault of the sentry's own is the host's signal, with the instruction in host mode. */
static void expect_signal(int sig, volatile char *p)
{
	struct sigaction sa = {.sa_handler = on_fault}, old;
	struct guest g;

	open_warm(&g);
	sigaction(sig, &sa, &old);
	fault_mode = 0;
	if (!sigsetjmp(jump, 1)) {
		guest_expect_syscall(&g);
		*p = 1;
	}
	assert_int_equal(fault_mode, 8 | 3);
	sigaction(sig, &old, NULL);
	guest_expect_syscall(&g); /* the thread and its vCPU go on */
	guest_close(&g);
}

static void test_sentry_fault(void **state)
{
	FILE *f = tmpfile();
	char *none = mmap(NULL, P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *ro = mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *gone = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);

	assert_ptr_not_equal(none, MAP_FAILED);
	expect_signal(SIGSEGV, none);
	expect_signal(SIGSEGV, ro);
	expect_signal(SIGBUS, gone); /* a mapping beyond the end of its file */
	munmap(none, P);
	munmap(ro, P);
	munmap(gone, P);
	fclose(f);
}

/* Memory that the process got after the machine was made, far from what it had. */
static void test_new_memory(void **state)
{
	const size_t far = 3ull << 30, len = 64ull << 20;
	struct guest g;
	uint8_t *m;
	size_t i;

	open_warm(&g);
	m = mmap(NULL, far, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0);
	assert_ptr_not_equal(m, MAP_FAILED);
	guest_expect_syscall(&g);
	for (i = 0; i < far; i += len)
		m[i] = (uint8_t)(i / len);
	assert_int_equal(privilege(), 0);
	for (i = 0; i < far; i += len)
		assert_int_equal(m[i], (uint8_t)(i / len));
	mprotect(m, P, PROT_READ);
	mprotect(m, P, PROT_READ | PROT_WRITE);
	guest_expect_syscall(&g);
	m[0] = 9;
	assert_int_equal(m[0], 9);
	munmap(m, far);
	guest_close(&g);
}

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t turn;
	unsigned count, in_ring0;
	bool resident_turn;
};

#define ROUNDS 300u

static void *host_side(void *arg)
{
	struct shared *s = arg;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&s->lock);
		while (s->resident_turn)
			pthread_cond_wait(&s->turn, &s->lock);
		s->count++;
		s->resident_turn = true;
		pthread_cond_signal(&s->turn);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

/* A lock and a condition that a thread in host mode and one in ring 0 share. */
static void test_locks(void **state)
{
	static struct shared s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, false};
	struct guest g;
	pthread_t th;
	unsigned i;

	open_warm(&g);
	pthread_create(&th, NULL, host_side, &s);
	for (i = 0; i < ROUNDS; i++) {
		guest_expect_syscall(&g);
		s.in_ring0 += privilege() == 0;
		pthread_mutex_lock(&s.lock);
		while (!s.resident_turn)
			pthread_cond_wait(&s.turn, &s.lock);
		s.count++;
		s.resident_turn = false;
		pthread_cond_signal(&s.turn);
		pthread_mutex_unlock(&s.lock);
	}
	pthread_join(th, NULL);
	assert_int_equal(s.count, 2 * ROUNDS);
	assert_int_equal(s.in_ring0, ROUNDS);
	guest_close(&g);
}

struct tally {
	const struct platform *p;
	unsigned pages, text, bad;
};

static const uint64_t *sentry_table(const struct platform *p, uint64_t gpa)
{
	return (const uint64_t *)kvm_sentry_page(p, gpa);
}

static void tally(struct tally *w, const uint64_t *t, int level)
{
	unsigned i, n = level == 3 ? 256 : 512;

	for (i = 0; i < n; i++) {
		bool leaf = level == 0 || (t[i] & 0x80);

		if (!(t[i] & PTE_P))
			continue;
		w->bad += t[i] & PTE_U ? 1 : 0;
		if (!leaf) {
			tally(w, sentry_table(w->p, t[i]), level - 1);
			continue;
		}
		w->pages++;
		w->text += !(t[i] & PTE_NX);
		w->bad += (t[i] & PTE_W) && !(t[i] & PTE_NX);
		w->bad += !(t[i] & PTE_NX) && level > 0; /* text only in pages of its own */
	}
}

/* The sentry's table: nothing for ring 3, nothing both written and executed. */
static void test_table(void **state)
{
	struct tally w = {.p = guest_platform};
	struct guest g;

	open_warm(&g);
	tally(&w, sentry_table(w.p, w.p->sentry_root), 3);
	assert_int_equal(w.bad, 0);
	assert_true(w.text > 10 && w.pages > w.text);
	guest_close(&g);
}

static int refused(void)
{
	struct platform_opts o = {.residency = PLATFORM_RESIDENCY_GUEST};
	struct platform *p = NULL;
	struct sbx_err *e = NULL;

	if (platform_create(&o, &p, &e) == 0) {
		platform_destroy(&p);
		return 0;
	}
	printf("1..1\n%s 1 - residency=guest is refused: %s\n",
	       strstr(e->msg, "residency=guest: ") ? "ok" : "not ok", e->msg);
	sbx_err_free(&e);
	return 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode),	     cmocka_unit_test(test_costs),
		cmocka_unit_test(test_registers),    cmocka_unit_test(test_sentry_fault),
		cmocka_unit_test(test_new_memory),   cmocka_unit_test(test_locks),
		cmocka_unit_test(test_table),
	};

	if (!guest_possible())
		return guest_skip();
	if (refused())
		return 0;
	guest_opts.residency = PLATFORM_RESIDENCY_GUEST;
	setenv("SBX_RESIDENCY", "guest", 1);
	return cmocka_run_group_tests_name("resident", tests, guest_group_setup,
					   guest_group_teardown);
}
