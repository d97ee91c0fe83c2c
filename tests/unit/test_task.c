/* The sentry's core without a machine: signal frames, queues, futexes, interruption, decoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "sentry/decode.h"
#include "sentry/futex.h"
#include "sentry/signal.h"
#include "sentry/timer.h"
#include "tests/unit/task_fixture.h"

#define STACK_SIZE 65536u
#define RESTORER   0x04000000ull

static struct task *t;
static uint64_t stack; /* top */

static int set_up(void **state)
{
	t = task_fixture_start();
	stack = task_fixture_map(t, STACK_SIZE) + STACK_SIZE;
	return 0;
}

static int tear_down(void **state)
{
	task_fixture_stop(t);
	return 0;
}

static siginfo_t info_of(int sig, int value)
{
	siginfo_t si = {.si_signo = sig, .si_code = SI_QUEUE};

	si.si_value.sival_int = value;
	return si;
}

static void fill_regs(void)
{
	uint64_t *r = (uint64_t *)t->regs;
	size_t i;

	for (i = 0; i < sizeof(*t->regs) / sizeof(*r); i++)
		r[i] = 0x1111 * (i + 1);
	t->regs->rip = 0x401000;
	t->regs->rsp = stack - 1000;
	t->regs->rflags = 0x246;
}

/* ---- frames ---- */

static const struct sig_action handler = {
    .handler = 0x402000, .flags = RESTORER | SA_SIGINFO, .restorer = 0x403000};

static void frame_round_trip(void **state)
{
	struct platform_regs before;
	siginfo_t si = info_of(SIGUSR1, 7), back;
	uint8_t fpu[2][4096] = {{0}};
	uint64_t ret;

	fill_regs();
	memset(fpu[0], 0, 512);
	fpu[0][0] = 0x7f;
	fpu[0][1] = 3;
	fpu[0][24] = 0x80;
	fpu[0][25] = 0x1f;
	fpu[0][160] = 0xab; /* XMM0 */
	fpu[0][512] = 3;
	assert_int_equal(platform_ctx_fpu_load(t->ctx, fpu[0]), 0);
	before = *t->regs;
	assert_int_equal(sigframe_setup(t, &handler, &si, 0x5a), 0);
	assert_int_equal(t->regs->rip, handler.handler);
	assert_int_equal(t->regs->rdi, SIGUSR1);
	assert_int_equal(t->regs->rsp % 16, 8);
	assert_true(t->regs->rsp < before.rsp - 128);
	assert_int_equal(gmem_read(t->proc->mm, &ret, gptr_at(t->regs->rsp), 8), 0);
	assert_int_equal(ret, handler.restorer);
	assert_int_equal(gmem_read(t->proc->mm, &back, gptr_at(t->regs->rsi), sizeof(back)), 0);
	assert_int_equal(back.si_value.sival_int, 7);
	t->regs->rsp += 8; /* the handler's RET */
	t->regs->rbx = t->regs->r15 = 0;
	platform_ctx_fpu_load(t->ctx, NULL);
	assert_int_equal(sigframe_restore(t), 0);
	assert_memory_equal(t->regs, &before, sizeof(before));
	assert_int_equal(atomic_load(&t->sig->blocked), 0x5a);
	platform_ctx_fpu_save(t->ctx, fpu[1]);
	assert_int_equal(fpu[1][160], 0xab);
}

static void frame_does_not_fit(void **state)
{
	siginfo_t si = info_of(SIGUSR1, 0);
	struct sig_action act = handler;

	fill_regs();
	t->regs->rsp = 0x1000;
	assert_int_equal(sigframe_setup(t, &handler, &si, 0), -EFAULT);
	t->regs->rsp = 16;
	assert_int_equal(sigframe_setup(t, &handler, &si, 0), -EFAULT);
	t->regs->rsp = stack - 1000;
	act.flags = 0; /* no restorer: nothing to return through */
	assert_int_equal(sigframe_setup(t, &act, &si, 0), -EFAULT);
	act = handler;
	act.handler = 0xffffffff80000000ull;
	assert_int_equal(sigframe_setup(t, &act, &si, 0), -EFAULT);
	act = handler;
	act.flags |= SA_ONSTACK;
	t->sig->alt_sp = stack - STACK_SIZE;
	t->sig->alt_size = 2048;
	t->sig->alt_flags = 0;
	t->regs->rsp = stack - STACK_SIZE + 512; /* on the alternate stack, which is nearly full */
	assert_int_equal(sigframe_setup(t, &act, &si, 0), -EFAULT);
}

/* Whatever bytes come back, only the app's own state changes, within what it may have. */
static void hostile_frames(void **state)
{
	uint8_t junk[2048];
	uint64_t fp;
	int i;

	srandom(1);
	for (i = 0; i < 20000; i++) {
		size_t k;

		for (k = 0; k < sizeof(junk); k++)
			junk[k] = (uint8_t)random();
		fp = stack - 4096 + (uint64_t)(random() % 2048);
		if (i & 1) /* a vector state that can be read */
			memcpy(junk + 224, &fp, sizeof(fp));
		if (i & 2) { /* and a plausible instruction pointer */
			fp = 0x401000;
			memcpy(junk + 168, &fp, sizeof(fp));
		}
		gmem_write(t->proc->mm, gptr_at(stack - 8192), junk, sizeof(junk));
		fill_regs();
		t->regs->rsp = stack - 8192 + 8;
		sigframe_restore(t);
		assert_true(t->regs->rip < MM_ADDR_MAX);
		assert_int_equal(t->regs->rflags & ~0x50fd7ull, 0);
		assert_int_equal(t->regs->rflags & 0x202, 0x202);
		assert_int_equal(atomic_load(&t->sig->blocked) & SIGNAL_UNBLOCKABLE, 0);
	}
	t->regs->rsp = 0xffffffffffff0000ull;
	assert_int_equal(sigframe_restore(t), -EFAULT);
}

/* ---- queues ---- */

static void queues(void **state)
{
	struct sig_action act = handler;
	siginfo_t si;
	int i;

	signal_set_action(t->proc, SIGUSR1, &act);
	signal_set_action(t->proc, SIGRTMIN, &act);
	signal_set_mask(t, ~0ull);
	for (i = 0; i < 3; i++) {
		si = info_of(SIGUSR1, i);
		assert_int_equal(signal_send_proc(t->proc, &si), 0);
		si = info_of(SIGRTMIN, i);
		assert_int_equal(signal_send_proc(t->proc, &si), 0);
	}
	assert_false(signal_pending(t));
	assert_true(signal_dequeue(t, ~0ull, &si));
	assert_int_equal(si.si_signo, SIGUSR1);
	assert_int_equal(si.si_value.sival_int, 0);
	for (i = 0; i < 3; i++) {
		assert_true(signal_dequeue(t, ~0ull, &si));
		assert_int_equal(si.si_signo, SIGRTMIN);
		assert_int_equal(si.si_value.sival_int, i);
	}
	assert_false(signal_dequeue(t, ~0ull, &si));
}

static void queue_limit(void **state)
{
	struct sig_action act = handler, ign = {.handler = (uint64_t)SIG_IGN};
	siginfo_t si = info_of(SIGRTMIN + 1, 0);
	int i, n = 0;

	signal_set_action(t->proc, SIGRTMIN + 1, &act);
	signal_set_mask(t, ~0ull);
	for (i = 0; i < 200; i++)
		n += signal_send_proc(t->proc, &si) == 0;
	assert_int_equal(n, 100);
	signal_set_action(t->proc, SIGRTMIN + 1, &ign); /* drops them all */
	assert_false(signal_dequeue(t, ~0ull, &si));
	assert_int_equal(t->proc->sighand->queued, 0);
}

static void stop_and_continue_cancel(void **state)
{
	siginfo_t stop = info_of(SIGTSTP, 0), cont = info_of(SIGCONT, 0), si;

	signal_set_mask(t, ~0ull);
	signal_send_proc(t->proc, &stop);
	signal_send_task(t, &stop);
	signal_send_proc(t->proc, &cont);
	assert_false(signal_dequeue(t, sig_bit(SIGTSTP), &si));
	signal_send_proc(t->proc, &stop);
	assert_false(signal_dequeue(t, sig_bit(SIGCONT), &si));
}

static void handler_restarts(void **state)
{
	struct sig_action act = handler;
	siginfo_t si = info_of(SIGUSR1, 0);
	static const struct {
		long code;
		uint64_t flags;
		bool again;
	} row[] = {
	    {ERESTARTSYS, 0, false},
	    {ERESTARTSYS, SA_RESTART, true},
	    {ERESTARTNOINTR, 0, true},
	    {ERESTARTNOHAND, SA_RESTART, false},
	    {ERESTART_RESTARTBLOCK, SA_RESTART, false},
	};
	uint64_t ax, ip;
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		signal_set_mask(t, 0);
		act.flags = handler.flags | row[i].flags;
		signal_set_action(t->proc, SIGUSR1, &act);
		fill_regs();
		t->orig_rax = 35;
		t->restart_code = row[i].code;
		signal_send_proc(t->proc, &si);
		signal_deliver(t);
		assert_int_equal(t->regs->rip, handler.handler);
		assert_int_equal(t->restart_code, 0);
		t->regs->rsp += 8;
		assert_int_equal(sigframe_restore(t), 0);
		ax = t->regs->rax;
		ip = t->regs->rip;
		assert_int_equal(ax, row[i].again ? 35 : (uint64_t)-EINTR);
		assert_int_equal(ip, row[i].again ? 0x401000 - 2 : 0x401000);
	}
}

/* ---- futexes and interruption ---- */

static struct task *other;
static uint64_t word;
static _Atomic int result;

static void *futex_waiter(void *arg)
{
	current = other;
	other->host_tid = (int)syscall(SYS_gettid);
	atomic_store(&result,
		     futex_wait(other, gptr_at(word), false, 0, ~0u, CLOCK_MONOTONIC, NULL));
	return NULL;
}

static void futex_basics(void **state)
{
	struct timespec soon = ns_to_timespec(clock_now_ns(CLOCK_MONOTONIC) + 5000000);
	pthread_t th;

	word = stack - 64;
	other = task_fixture_add(t);
	assert_int_equal(futex_wait(t, gptr_at(word), false, 1, ~0u, CLOCK_MONOTONIC, NULL),
			 -EAGAIN);
	assert_int_equal(futex_wait(t, gptr_at(word + 1), false, 0, ~0u, CLOCK_MONOTONIC, NULL),
			 -EINVAL);
	assert_int_equal(futex_wait(t, gptr_at(8), false, 0, ~0u, CLOCK_MONOTONIC, NULL), -EFAULT);
	assert_int_equal(futex_wait(t, gptr_at(word), false, 0, ~0u, CLOCK_MONOTONIC, &soon),
			 -ETIMEDOUT);
	result = 77;
	pthread_create(&th, NULL, futex_waiter, NULL);
	while (futex_wake(t, gptr_at(word), false, 1, ~0u) != 1)
		usleep(1000);
	pthread_join(th, NULL);
	assert_int_equal(result, 0);
	pthread_create(&th, NULL, futex_waiter, NULL);
	usleep(10000);
	task_interrupt(other);
	pthread_join(th, NULL);
	assert_int_equal(result, -ERESTARTSYS);
	assert_int_equal(futex_wake(t, gptr_at(word), false, 1, ~0u), 0);
}

static _Atomic int rounds;

#define ROUNDS 20000

/* Each round blocks for ever unless the interruption arrives, whenever that is. */
static void *host_caller(void *arg)
{
	static _Atomic uint32_t never;

	current = other;
	other->host_tid = (int)syscall(SYS_gettid);
	while (atomic_load(&rounds) < ROUNDS) {
		while (task_host_call(other, SYS_futex, (long)&never, FUTEX_WAIT_PRIVATE, 0, 0, 0,
				      0) != -ERESTARTSYS)
			;
		atomic_store(&other->interrupt, 0);
		atomic_fetch_add(&rounds, 1);
	}
	return NULL;
}

static void interruption_is_never_lost(void **state)
{
	pthread_t th;
	int i, seen;

	other = task_fixture_add(t);
	rounds = 0;
	alarm(60); /* a lost one hangs */
	pthread_create(&th, NULL, host_caller, NULL);
	srandom(2);
	while ((seen = atomic_load(&rounds)) < ROUNDS) {
		for (i = (int)(random() % 200); i; i--)
			__builtin_ia32_pause();
		task_interrupt(other);
		while (atomic_load(&rounds) == seen)
			sched_yield();
	}
	pthread_join(th, NULL);
	alarm(0);
}

/* ---- decoding ---- */

static struct sysargs *decode(uint32_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	t->regs->rdi = a;
	t->regs->rsi = b;
	t->regs->rdx = c;
	t->regs->r10 = d;
	t->regs->r8 = t->regs->r9 = 0;
	return decode_begin(t, nr, sysdesc_by_nr(nr));
}

static void decode_kinds(void **state)
{
	struct msghdr mh = {.msg_name = (void *)(stack - 3000), .msg_namelen = 16};
	uint64_t how[4] = {O_RDWR | O_CREAT, 0644, 0, 1}, at = stack - 4096;
	struct sysargs *a;

	gmem_write(t->proc->mm, gptr_at(at), "/etc/passwd", 12);
	a = decode(SYS_openat, 0xffffffffffffff9cull, at, 0xdead00000000ull | O_CLOEXEC, 0);
	assert_int_equal(A_INT(a, 0), AT_FDCWD);
	assert_int_equal(a->raw[2], O_CLOEXEC); /* the upper half does not count */
	assert_string_equal(a->path[0].str, "/etc/passwd");
	decode_end(t, a);
	a = decode(SYS_openat, 3, 8, 0, 0);
	assert_int_equal(a->path[0].err, -EFAULT);
	assert_null(a->file[0]);
	decode_end(t, a);
	gmem_write(t->proc->mm, gptr_at(at), how, sizeof(how));
	a = decode(SYS_openat2, (uint64_t)AT_FDCWD, at, at, 24);
	assert_int_equal(a->strct_err, 0);
	assert_memory_equal(a->strct, how, 24);
	decode_end(t, a);
	a = decode(SYS_openat2, (uint64_t)AT_FDCWD, at, at, 32);
	assert_int_equal(a->strct_err, -E2BIG);
	decode_end(t, a);
	a = decode(SYS_openat2, (uint64_t)AT_FDCWD, at, at, 8);
	assert_int_equal(a->strct_err, 0);
	assert_int_equal(a->strct[8], 0); /* what was not given is zero */
	decode_end(t, a);
	a = decode(SYS_openat2, (uint64_t)AT_FDCWD, at, at, 1u << 20);
	assert_int_equal(a->strct_err, -E2BIG);
	decode_end(t, a);
	gmem_write(t->proc->mm, gptr_at(at), &mh, sizeof(mh));
	a = decode(SYS_sendmsg, 3, at, 0, 0);
	assert_true(a->has_addr);
	assert_int_equal(a->addr_len, 16);
	decode_end(t, a);
	a = decode(SYS_connect, 3, at, 1000, 0);
	assert_int_equal(a->addr_err, -EINVAL);
	decode_end(t, a);
}

/* Any registers, any call: nothing but errors kept in the arguments. */
static void decode_anything(void **state)
{
	static const uint64_t odd[] = {0,
				       1,
				       7,
				       8,
				       0xfff,
				       0x7fffffff,
				       0x80000000,
				       0xffffffff,
				       0x7fffffffffff,
				       0x800000000000,
				       0xffff800000000000,
				       UINT64_MAX,
				       UINT64_MAX - 7};
	uint64_t v[4];
	uint32_t nr;
	int i, k;

	srandom(3);
	for (i = 0; i < 100000; i++) {
		nr = (uint32_t)(random() % 480);
		for (k = 0; k < 4; k++)
			v[k] = random() & 1 ? odd[(size_t)random() % (sizeof(odd) / sizeof(odd[0]))]
					    : stack - (uint64_t)(random() % STACK_SIZE);
		decode_end(t, decode(nr, v[0], v[1], v[2], v[3]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(frame_round_trip, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(frame_does_not_fit, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(hostile_frames, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(queues, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(queue_limit, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(stop_and_continue_cancel, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(handler_restarts, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(futex_basics, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(interruption_is_never_lost, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(decode_kinds, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(decode_anything, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
