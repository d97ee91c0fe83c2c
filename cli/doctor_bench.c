/* sbx doctor --bench: what one system call, fault or page-table change costs on this machine. The
 * guest is a loop of machine code; the policy image has one call of each kind. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/overflow.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "kvm/probe.h"
#include "policy/image_build.h"
#include "sentry/platform.h"

#define CODE	0x400000ull
#define DATA	0x500000ull
#define PAGE	PLATFORM_PAGE
#define PAGES	66u
#define RUNS	200u
#define ROUNDS	10u
#define SYS_END 1u /* write: ends the loop */

/* ebp times call ebx, then call SYS_END:
 * mov %ebx,%eax; syscall; dec %ebp; jnz 0; mov $1,%eax; syscall */
static const uint8_t loop_code[] = {0x89, 0xd8, 0x0f, 0x05, 0xff, 0xcd, 0x75, 0xf8,
				    0xb8, 0x01, 0,    0,    0,	  0x0f, 0x05};

/* Reads one word from each page at rdi, rcx pages; then a system call:
 * mov (%rdi),%rax; add $4096,%rdi; dec %rcx; jnz 0; syscall */
static const uint8_t touch_code[] = {0x48, 0x8b, 0x07, 0x48, 0x81, 0xc7, 0,    0x10, 0,
				     0,	   0x48, 0xff, 0xc9, 0x75, 0xf1, 0x0f, 0x05};

struct bench {
	struct platform *p;
	struct platform_as *as;
	struct platform_ctx *ctx;
	const struct pol_image *image;
	uint8_t *window;
	int zero; /* /dev/zero */
};

/* What the sentry's side does with each call of the loop, beyond going back to the program. */
enum duty {
	DUTY_NOTHING,
	DUTY_READ,    /* one host call of those that a sentry in ring 0 has made by request */
	DUTY_GETPPID, /* one of the others: to host mode and back */
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static const struct pol_image *build_image(struct sbx_err **e)
{
	struct img_verdict allow = {.action = POL_ALLOW, .gate = POL_GATE_CALL};
	struct img_verdict deny = {
		.action = POL_DENY, .flags = POL_F_LOG, .gate = POL_GATE_CALL, .value = EPERM};
	struct img_rule rule = {0};
	const struct pol_image *img;
	struct img_build b;
	uint32_t nr;

	img_build_init(&b);
	b.head.dflt = b.head.unknown = deny;
	img_build_plain(&b);
	img_build_rule(&b, &rule);
	for (nr = 0; nr < IMG_CALLS; nr++)
		img_build_call(&b, nr == SYS_mount ? &deny : &allow);
	b.tier0[SYS_getpid] = PLATFORM_CONST_PID;
	img = img_build_finish(&b, e);
	img_build_free(&b);
	return img;
}

static void load(struct bench *b, const uint8_t *code, size_t n)
{
	memcpy(b->window, code, n);
	platform_ctx_regs(b->ctx)->rip = CODE;
}

static bool do_duty(const struct bench *b, enum duty duty)
{
	char byte;

	if (duty == DUTY_READ)
		return read(b->zero, &byte, 1) == 1;
	if (duty == DUTY_GETPPID)
		return syscall(SYS_getppid) >= 0;
	return true;
}

static void subtract(struct platform_stats *st, const struct platform_stats *before)
{
	st->exits -= before->exits;
	st->cr3_writes -= before->cr3_writes;
	st->tier0 -= before->tier0;
	st->tier1 -= before->tier1;
	st->requests -= before->requests;
	st->red_pills -= before->red_pills;
	st->blue_pills -= before->blue_pills;
}

/* Microseconds for one call nr, made n times by the guest; the counts of the run in *st. */
static double time_calls(struct bench *b, uint32_t nr, unsigned n, enum duty duty,
			 struct platform_stats *st)
{
	struct platform_regs *r = platform_ctx_regs(b->ctx);
	struct platform_stats before;
	struct platform_event ev;
	bool more = true;
	double t;

	load(b, loop_code, sizeof(loop_code));
	r->rbx = nr;
	r->rbp = n;
	platform_ctx_stats(b->ctx, &before);
	t = now_us();
	while (more) {
		platform_run(b->ctx, &ev);
		more = ev.kind == PLATFORM_INTERRUPTED ||
		       (ev.kind == PLATFORM_SYSCALL && (uint32_t)r->rax != SYS_END);
		if (more && ev.kind == PLATFORM_SYSCALL)
			more = do_duty(b, duty);
	}
	t = now_us() - t;
	platform_ctx_stats(b->ctx, st);
	subtract(st, &before);
	return ev.kind == PLATFORM_SYSCALL && (uint32_t)r->rax == SYS_END ? t / n : -1;
}

/* Ring-0 instructions of one call nr, counted by single steps; 0 where that cannot be done. */
static unsigned count_steps(struct bench *b, uint32_t nr)
{
	struct platform_ctx *ctx;
	unsigned count = 0;
	int r;

	if (platform_ctx_create(b->p, b->as, NULL, &ctx))
		return 0;
	load(b, loop_code, sizeof(loop_code));
	platform_ctx_regs(ctx)->rip = CODE;
	platform_ctx_regs(ctx)->rbx = nr;
	platform_ctx_regs(ctx)->rbp = 1;
	r = kvm_debug_count(ctx, &count);
	platform_ctx_destroy(&ctx);
	return r < 0 ? 0 : count;
}

/* The best of ten rounds: other work on the machine spoils some. The counts, of RUNS calls, are exact:
 * those of one call and of the end of the loop are taken off. */
static void bench_call(struct bench *b, const char *name, uint32_t nr, enum duty duty)
{
	struct platform_stats one, st;
	char steps[32] = "-";
	double us = 1e18, t;
	unsigned i, count;

	time_calls(b, nr, 16, duty, &st);
	time_calls(b, nr, 1, duty, &one);
	time_calls(b, nr, RUNS + 1, duty, &st);
	subtract(&st, &one);
	for (i = 0; i < ROUNDS; i++) {
		struct platform_stats unused;

		t = time_calls(b, nr, RUNS, duty, &unused);
		us = t < us ? t : us;
	}
	if (us < 0) {
		printf("%-34s failed\n", name);
		return;
	}
	count = duty == DUTY_NOTHING ? count_steps(b, nr) : 0;
	if (count)
		snprintf(steps, sizeof(steps), "%u", count);
	printf("%-34s %9.2f %7.2f %7.2f %7.2f %7.2f %7.2f %7.2f %7.2f %7s\n", name, us,
	       (double)st.exits / RUNS, (double)st.cr3_writes / RUNS, (double)st.tier0 / RUNS,
	       (double)st.tier1 / RUNS, (double)st.requests / RUNS, (double)st.red_pills / RUNS,
	       (double)st.blue_pills / RUNS, steps);
}

/* First touch of each of 64 mapped pages, and the price of taking them away. */
static void bench_pages(struct bench *b)
{
	struct platform_regs *r = platform_ctx_regs(b->ctx);
	double map = 0, touch = 0, unmap = 0, t;
	struct platform_event ev;
	const unsigned n = PAGES - 2, rounds = 20;
	unsigned i;

	load(b, touch_code, sizeof(touch_code));
	for (i = 0; i < rounds; i++) {
		t = now_us();
		platform_map(b->as, DATA, n * PAGE, 2 * PAGE, PLATFORM_READ | PLATFORM_WRITE);
		map += now_us() - t;
		r->rip = CODE;
		r->rdi = DATA;
		r->rcx = n;
		t = now_us();
		platform_run(b->ctx, &ev);
		touch += now_us() - t;
		t = now_us();
		platform_unmap(b->as, DATA, n * PAGE);
		unmap += now_us() - t;
	}
	printf("%-34s %9.2f us\n", "map a page", map / rounds / n);
	printf("%-34s %9.2f us\n", "first touch of a mapped page", touch / rounds / n);
	printf("%-34s %9.2f us\n", "unmap a used page", unmap / rounds / n);
}

/* A fault that the host answers by mapping the page. */
static void bench_fault(struct bench *b)
{
	struct platform_regs *r = platform_ctx_regs(b->ctx);
	const unsigned n = PAGES - 2;
	struct platform_event ev;
	double t = now_us();

	load(b, touch_code, sizeof(touch_code));
	r->rip = CODE;
	r->rdi = DATA;
	r->rcx = n;
	for (;;) {
		platform_run(b->ctx, &ev);
		if (ev.kind != PLATFORM_FAULT)
			break;
		platform_map(b->as, ev.addr & ~(uint64_t)(PAGE - 1), PAGE,
			     2 * PAGE + (ev.addr - DATA), PLATFORM_READ);
	}
	printf("%-34s %9.2f us\n", "page fault answered by the host", (now_us() - t) / n);
	platform_unmap(b->as, DATA, n * PAGE);
}

static int open_bench(struct bench *b, enum platform_residency residency, enum platform_pill pill,
		      struct sbx_err **e)
{
	struct platform_opts opts = {.residency = residency, .pill = pill};
	size_t size;
	int r;

	b->image = build_image(e);
	if (!b->image)
		return -1;
	b->zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (b->zero < 0)
		return sbx_err_errno(e, errno, "/dev/zero");
	opts.image = b->image;
	opts.image_len = pol_image_size(b->image);
	if (platform_create(&opts, &b->p, e) < 0)
		return -1;
	b->window = platform_window(b->p, &size);
	if (mmap(b->window, PAGES * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return sbx_err_errno(e, errno, "bench memory");
	memset(b->window, 0, PAGES * PAGE);
	r = platform_as_create(b->p, &b->as);
	r = r ? r : platform_map(b->as, CODE, PAGE, 0, PLATFORM_READ | PLATFORM_EXEC);
	r = r ? r : platform_ctx_create(b->p, b->as, NULL, &b->ctx);
	return r ? sbx_err_errno(e, -r, "bench guest") : 0;
}

static void close_bench(struct bench *b)
{
	platform_ctx_destroy(&b->ctx);
	platform_as_destroy(&b->as);
	platform_destroy(&b->p);
	pol_image_free(&b->image);
	if (b->zero >= 0)
		close(b->zero);
}

static double native_us(const struct bench *b, enum duty duty)
{
	const unsigned n = 100000;
	double t = now_us();
	unsigned i;

	for (i = 0; i < n; i++)
		do_duty(b, duty);
	return (now_us() - t) / n;
}

static void print_heads(void)
{
	printf("%-34s %9s %7s %7s %7s %7s %7s %7s %7s %7s\n", "each", "us", "exits", "CR3", "tier 0",
	       "tier 1", "request", "red", "blue", "steps");
}

/* What both residencies have. */
static void bench_calls(struct bench *b, const char *heading)
{
	printf("\n%s:\n", heading);
	print_heads();
	bench_call(b, "denied call, with its record", SYS_mount, DUTY_NOTHING);
	bench_call(b, "constant call (getpid)", SYS_getpid, DUTY_NOTHING);
	bench_call(b, "call handed to the sentry", SYS_read, DUTY_NOTHING);
	bench_call(b, "the same, and it reads a file", SYS_read, DUTY_READ);
}

static void bench_host(struct bench *b)
{
	printf("\nnative: getppid %.2f us, read of a byte %.2f us\n", native_us(b, DUTY_GETPPID),
	       native_us(b, DUTY_READ));
	bench_calls(b, "The sentry in the host (residency=host)");
	bench_fault(b);
	bench_pages(b);
}

static void bench_guest(struct bench *b)
{
	bench_calls(b, "The sentry in ring 0 (residency=guest)");
	bench_call(b, "red pill, blue pill (direct)", SYS_read, DUTY_GETPPID);
	bench_fault(b);
	bench_pages(b);
}

static void bench_pill(struct bench *b)
{
	bench_call(b, "red pill, blue pill (by a fault)", SYS_read, DUTY_GETPPID);
}

/* Runs a part of the benchmark on a machine of its own. Where that cannot be made, says why: an error
 * for the sentry in the host, a fact for the one in ring 0. */
static int bench_with(enum platform_residency residency, enum platform_pill pill,
		      void (*part)(struct bench *))
{
	struct bench b = {.zero = -1};
	struct sbx_err *e = NULL;
	int r = open_bench(&b, residency, pill, &e);

	if (r == 0)
		part(&b);
	else
		printf("\n%s\n", e->msg);
	sbx_err_free(&e);
	close_bench(&b);
	return r;
}

int doctor_bench(void)
{
	if (bench_with(PLATFORM_RESIDENCY_HOST, PLATFORM_PILL_DIRECT, bench_host) < 0)
		return CLI_FAILED;
	if (bench_with(PLATFORM_RESIDENCY_GUEST, PLATFORM_PILL_DIRECT, bench_guest) == 0)
		bench_with(PLATFORM_RESIDENCY_GUEST, PLATFORM_PILL_FAULT, bench_pill);
	return CLI_OK;
}
