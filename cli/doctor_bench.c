/* sbx doctor --bench: what one system call, fault or page-table change costs on this machine. The
 * guest is a loop of machine code; the policy image has one call of each kind. */
#include <errno.h>
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
#define RUNS	2000u
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
	b.head.nr_phases = 1;
	b.head.dflt = b.head.unknown = deny;
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

/* Microseconds for one call nr, made n times by the guest; the counts of the run in *st. */
static double time_calls(struct bench *b, uint32_t nr, unsigned n, struct platform_stats *st)
{
	struct platform_regs *r = platform_ctx_regs(b->ctx);
	struct platform_stats before;
	struct platform_event ev;
	double t;

	load(b, loop_code, sizeof(loop_code));
	r->rbx = nr;
	r->rbp = n;
	platform_ctx_stats(b->ctx, &before);
	t = now_us();
	do {
		platform_run(b->ctx, &ev);
	} while (ev.kind == PLATFORM_INTERRUPTED ||
		 (ev.kind == PLATFORM_SYSCALL && (uint32_t)r->rax != SYS_END));
	t = now_us() - t;
	platform_ctx_stats(b->ctx, st);
	st->exits -= before.exits + 1;
	st->cr3_writes -= before.cr3_writes;
	return ev.kind == PLATFORM_SYSCALL ? t / n : -1;
}

static void bench_call(struct bench *b, const char *name, uint32_t nr)
{
	struct platform_stats st;
	struct platform_ctx *ctx;
	unsigned count = 0;
	double us;
	char counted[64] = "";

	time_calls(b, nr, 16, &st);
	us = time_calls(b, nr, RUNS, &st);
	if (platform_ctx_create(b->p, b->as, NULL, &ctx) == 0) {
		load(b, loop_code, sizeof(loop_code));
		platform_ctx_regs(ctx)->rip = CODE;
		platform_ctx_regs(ctx)->rbx = nr;
		platform_ctx_regs(ctx)->rbp = 1;
		if (kvm_debug_count(ctx, &count) >= 0)
			snprintf(counted, sizeof(counted), ", %u ring-0 instructions", count);
		platform_ctx_destroy(&ctx);
	}
	printf("%-34s %9.2f us, %.3f exits, %llu CR3 writes%s\n", name, us, (double)st.exits / RUNS,
	       (unsigned long long)st.cr3_writes, counted);
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

static int open_bench(struct bench *b, struct sbx_err **e)
{
	struct platform_opts opts = {0};
	size_t size;
	int r;

	b->image = build_image(e);
	if (!b->image)
		return -1;
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
}

static double native_getppid(void)
{
	double t = now_us();
	unsigned i;

	for (i = 0; i < 100000; i++)
		syscall(SYS_getppid);
	return (now_us() - t) / 100000;
}

int doctor_bench(void)
{
	struct bench b = {0};
	struct sbx_err *e = NULL;

	if (open_bench(&b, &e) < 0) {
		printf("%s\n", e->msg);
		sbx_err_free(&e);
		close_bench(&b);
		return CLI_FAILED;
	}
	printf("\n%-34s %9.2f us\n", "native system call (getppid)", native_getppid());
	bench_call(&b, "denied call, with its record", SYS_mount);
	bench_call(&b, "constant call (getpid)", SYS_getpid);
	bench_call(&b, "call handed to the sentry", SYS_read);
	bench_fault(&b);
	bench_pages(&b);
	close_bench(&b);
	return CLI_OK;
}
