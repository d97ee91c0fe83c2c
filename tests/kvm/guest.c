#include "tests/kvm/guest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct platform_opts guest_opts;
struct platform *guest_platform;
uint8_t *guest_window;

bool guest_possible(void)
{
	setenv("CMOCKA_MESSAGE_OUTPUT", "TAP", 0);
	return access("/dev/kvm", R_OK | W_OK) == 0;
}

int guest_skip(void)
{
	const char *must = getenv("SBX_MUST_WORK");

	printf("1..0 # SKIP no usable /dev/kvm\n");
	return must && strstr(must, "kvm") ? 1 : 0;
}

/* SBX_RESIDENCY and SBX_PILL choose what the machine would choose itself. */
static void opts_from_environment(void)
{
	const char *residency = getenv("SBX_RESIDENCY"), *pill = getenv("SBX_PILL");

	if (residency && !strcmp(residency, "guest"))
		guest_opts.residency = PLATFORM_RESIDENCY_GUEST;
	if (residency && !strcmp(residency, "host"))
		guest_opts.residency = PLATFORM_RESIDENCY_HOST;
	if (pill && !strcmp(pill, "fault"))
		guest_opts.pill = PLATFORM_PILL_FAULT;
}

int guest_group_setup(void **state)
{
	struct sbx_err *e = NULL;
	size_t size;

	opts_from_environment();
	if (platform_create(&guest_opts, &guest_platform, &e) < 0) {
		fprintf(stderr, "# %s\n", e->msg);
		sbx_err_free(&e);
		return -1;
	}
	guest_window = platform_window(guest_platform, &size);
	if (mmap(guest_window, GUEST_PAGES * P, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return -1;
	return platform_window_commit(guest_platform, 0, GUEST_PAGES * P);
}

int guest_group_teardown(void **state)
{
	platform_destroy(&guest_platform);
	return 0;
}

void guest_open(struct guest *g, const void *code, size_t n)
{
	const unsigned rw = PLATFORM_READ | PLATFORM_WRITE;

	memset(g, 0, sizeof(*g));
	memset(guest_window, 0, 16 * P);
	memcpy(guest_window, code, n);
	assert_int_equal(platform_as_create(guest_platform, &g->as), 0);
	assert_int_equal(platform_map(g->as, CODE, P, 0, PLATFORM_READ | PLATFORM_EXEC), 0);
	assert_int_equal(platform_map(g->as, DATA, 2 * P, P, rw), 0);
	assert_int_equal(platform_map(g->as, STACK, P, 8 * P, rw), 0);
	assert_int_equal(platform_ctx_create(guest_platform, g->as, g, &g->ctx), 0);
	g->r = platform_ctx_regs(g->ctx);
	g->r->rip = CODE;
	g->r->rsp = STACK + P - 64;
}

void guest_close(struct guest *g)
{
	platform_ctx_destroy(&g->ctx);
	platform_as_destroy(&g->as);
}

void guest_run(struct guest *g)
{
	platform_run(g->ctx, &g->ev);
}

static void say(const struct guest *g)
{
	print_message("# kind %d vector %u error %x addr %lx rip %lx\n", g->ev.kind, g->ev.vector,
		      g->ev.error, g->ev.addr, g->r->rip);
}

void guest_expect_syscall(struct guest *g)
{
	guest_run(g);
	if (g->ev.kind != PLATFORM_SYSCALL)
		say(g);
	assert_int_equal(g->ev.kind, PLATFORM_SYSCALL);
}

void guest_expect_fault(struct guest *g, unsigned vector)
{
	guest_run(g);
	if (g->ev.kind != PLATFORM_FAULT || g->ev.vector != vector)
		say(g);
	assert_int_equal(g->ev.kind, PLATFORM_FAULT);
	assert_int_equal(g->ev.vector, vector);
}
