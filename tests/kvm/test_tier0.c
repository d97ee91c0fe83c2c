/* Calls that ring 0 answers from the policy image, where ring 0 is fast; forwarded ones elsewhere.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include "policy/image_build.h"
#include "tests/kvm/guest.h"

#define RULE_DENY    11
#define RULE_EMULATE 12
#define RULE_QUIET   13
#define RULE_PROGRAM 14

static struct platform_tier0_record got[4096];
static size_t nr_got;
static bool count_only;
static void *got_tag;

static void take(void *tag, const struct platform_tier0_record *rec, size_t n)
{
	if (!count_only) {
		assert_true(nr_got + n <= sizeof(got) / sizeof(got[0]));
		memcpy(got + nr_got, rec, n * sizeof(*rec));
	}
	nr_got += n;
	got_tag = tag;
}

static struct img_verdict verdict(struct img_build *b, uint32_t nr, uint32_t program)
{
	struct img_verdict v = {.action = POL_ALLOW, .gate = POL_GATE_CALL};

	switch (nr) {
	case SYS_mount:
		v.action = POL_DENY;
		v.flags = POL_F_LOG;
		v.rule = RULE_DENY;
		v.value = EPERM;
		break;
	case SYS_getuid:
		v.action = POL_EMULATE;
		v.rule = RULE_EMULATE;
		v.value = 1000;
		break;
	case SYS_ptrace:
		v.action = POL_DENY;
		v.flags = POL_F_QUIET;
		v.rule = RULE_QUIET;
		v.value = ENOSYS;
		break;
	case SYS_ioctl:
		v.action = IMG_PROGRAM;
		v.gate = 0;
		v.value = program;
		break;
	case SYS_kexec_load:
		v.action = POL_TERMINATE;
		break;
	}
	return v;
}

static const struct pol_image *build(void)
{
	struct img_insn test = {.op = IMG_ARG,
				.arg = 1,
				.conv = IMG_U32,
				.cmp = IMG_EQ,
				.jf = 1,
				.mask = UINT64_MAX,
				.imm = 0x5412};
	struct img_insn ret = {.op = IMG_RET};
	struct img_verdict deny = {.action = POL_DENY,
				   .flags = POL_F_LOG,
				   .rule = RULE_PROGRAM,
				   .gate = POL_GATE_CALL,
				   .value = EACCES};
	struct img_verdict allow = {.action = POL_ALLOW, .gate = POL_GATE_CALL};
	struct img_rule rule = {0};
	struct sbx_err *e = NULL;
	const struct pol_image *img;
	struct img_build b;
	uint32_t nr, program;

	img_build_init(&b);
	b.head.dflt = deny;
	b.head.unknown = deny;
	b.head.unknown.gate = POL_GATE_UNKNOWN;
	b.head.unknown.value = ENOSYS;
	for (nr = 0; nr < 16; nr++)
		img_build_rule(&b, &rule);
	img_build_plain(&b);
	program = img_build_insn(&b, &test);
	ret.a = img_build_verdict(&b, &deny);
	img_build_insn(&b, &ret);
	ret.a = img_build_verdict(&b, &allow);
	img_build_insn(&b, &ret);
	for (nr = 0; nr < IMG_CALLS; nr++) {
		struct img_verdict v = verdict(&b, nr, program);

		img_build_call(&b, &v);
	}
	b.tier0[SYS_getpid] = PLATFORM_CONST_PID;
	img = img_build_finish(&b, &e);
	if (!img)
		print_message("# %s\n", e->msg);
	img_build_free(&b);
	return img;
}

/* mov %ebx,%eax ; syscall ; mov %rax,%r12 ; mov $1,%eax ; syscall: one call, then write(2). */
static void one_call(struct guest *g, uint32_t nr)
{
	guest_open(g, CODE_BYTES(0x89, 0xd8, 0x0f, 0x05, 0x49, 0x89, 0xc4, 0xb8, 1, 0, 0, 0, 0x0f,
				 0x05));
	g->r->rbx = nr;
	g->r->rdi = 0xd1;
	g->r->rsi = 0x5412;
	g->r->rdx = 0xd3;
	g->r->r10 = 0xd4;
	g->r->r8 = 0xd5;
	g->r->r9 = 0xd6;
	g->r->rbp = 0xd7;
	g->r->r15 = 0xd8;
	platform_ctx_consts(g->ctx)[PLATFORM_CONST_PID] = 4242;
	nr_got = 0;
}

static bool fast(void)
{
	return kvm_facts_get(guest_platform)->syscall_entry;
}

/* Runs the call and checks that ring 0 gave result, with one record of rule, or none for 0. */
static void expect_answer(uint32_t nr, int64_t result, uint32_t rule)
{
	struct platform_stats st;
	struct guest g;

	one_call(&g, nr);
	guest_expect_syscall(&g);
	if (!fast()) {
		assert_int_equal((uint32_t)g.r->rax, nr);
		guest_close(&g);
		return;
	}
	assert_int_equal(g.r->rax, SYS_write);
	assert_int_equal((int64_t)g.r->r12, result);
	assert_int_equal(g.r->rdi, 0xd1);
	assert_int_equal(g.r->rsi, 0x5412);
	assert_int_equal(g.r->rdx, 0xd3);
	assert_int_equal(g.r->r10, 0xd4);
	assert_int_equal(g.r->r8, 0xd5);
	assert_int_equal(g.r->r9, 0xd6);
	assert_int_equal(g.r->rbp, 0xd7);
	assert_int_equal(g.r->r15, 0xd8);
	assert_int_equal(g.r->rsp, STACK + P - 64);
	platform_ctx_stats(g.ctx, &st);
	assert_int_equal(st.tier0, 1);
	assert_int_equal(st.forwarded, 1);
	assert_int_equal(st.exits, platform_resident(guest_platform) ? 0 : 1);
	assert_int_equal(nr_got, rule ? 1 : 0);
	if (rule) {
		assert_ptr_equal(got_tag, &g);
		assert_int_equal(got[0].nr, nr);
		assert_int_equal(got[0].rule, rule);
		assert_int_equal(got[0].result, result);
		assert_int_equal(got[0].rip, CODE + 4);
		assert_int_equal(got[0].arg[0], 0xd1);
		assert_int_equal(got[0].arg[3], 0xd4);
		assert_int_equal(got[0].arg[5], 0xd6);
	}
	guest_close(&g);
}

static void test_answers(void **state)
{
	expect_answer(SYS_mount, -EPERM, RULE_DENY);
	expect_answer(SYS_getuid, 1000, 0);
	expect_answer(SYS_ptrace, -ENOSYS, RULE_QUIET);
	expect_answer(SYS_getpid, 4242, 0);
	expect_answer(SYS_ioctl, -EACCES, RULE_PROGRAM);
	expect_answer(0x7fffffff, -ENOSYS, RULE_PROGRAM);
}

static void expect_forward(uint32_t nr, uint64_t rsi)
{
	struct guest g;

	one_call(&g, nr);
	g.r->rsi = rsi;
	guest_expect_syscall(&g);
	assert_int_equal(g.r->rax, nr);
	assert_int_equal(g.r->rip, CODE + 4);
	assert_int_equal(g.r->rsi, rsi);
	assert_int_equal(g.r->r9, 0xd6);
	assert_int_equal(nr_got, 0);
	g.r->rax = 77;
	guest_expect_syscall(&g);
	assert_int_equal(g.r->r12, 77);
	guest_close(&g);
}

static void test_forwards(void **state)
{
	expect_forward(SYS_openat, 1);
	expect_forward(SYS_ioctl, 0x5413);
	expect_forward(SYS_kexec_load, 0);
}

/* mov %ebx,%eax ; syscall ; dec %ebp ; jnz 0 ; mov $1,%eax ; syscall */
static void test_many(void **state)
{
	struct platform_stats st;
	struct guest g;
	size_t i;

	if (!fast())
		return;
	guest_open(&g, CODE_BYTES(0x89, 0xd8, 0x0f, 0x05, 0xff, 0xcd, 0x75, 0xf8, 0xb8, 1, 0, 0, 0,
				  0x0f, 0x05));
	g.r->rbx = SYS_mount;
	g.r->rbp = 3000;
	nr_got = 0;
	/* a full ring makes the call come to the host; the sentry would answer it */
	for (;;) {
		guest_expect_syscall(&g);
		if (g.r->rax == SYS_write)
			break;
		assert_int_equal(g.r->rax, SYS_mount);
		take(NULL, &got[0], 1);
	}
	assert_int_equal(nr_got, 3000);
	for (i = 0; i < nr_got; i++)
		assert_int_equal(got[i].nr, SYS_mount);
	platform_ctx_stats(g.ctx, &st);
	assert_int_equal(st.tier0 + st.forwarded, 3001);
	assert_true(st.exits < 16);
	guest_close(&g);
}

static unsigned count(uint32_t nr, int expect)
{
	struct guest g;
	unsigned n = 0;

	one_call(&g, nr);
	assert_int_equal(kvm_debug_count(g.ctx, &n), expect);
	guest_close(&g);
	return n;
}

static void test_count(void **state)
{
	unsigned deny, constant, quiet, program, forward;

	if (!fast())
		return;
	deny = count(SYS_mount, 0);
	constant = count(SYS_getpid, 0);
	quiet = count(SYS_getuid, 0);
	program = count(SYS_ioctl, 0);
	forward = count(SYS_openat, 1);
	print_message(
		"# ring-0 instructions: deny %u, constant %u, emulate %u, program %u, forward %u\n",
		deny, constant, quiet, program, forward);
	assert_in_range(deny, 20, 60);
	assert_in_range(constant, 20, 60);
	assert_in_range(quiet, 20, 60);
}

/* Kicks land anywhere in the entry path: nothing may be lost or changed. The guest is
 * a loop of one call that checks the result and three registers. */
#define KICK_NR	    1
#define KICK_RESULT 8
static const uint8_t kick_loop[] = {
	0xb8, 0x00, 0x00, 0x00, 0x00,	    /* l: mov $NR,%eax */
	0x0f, 0x05,			    /* syscall */
	0x3d, 0x00, 0x00, 0x00, 0x00,	    /* cmp $RESULT,%eax */
	0x75, 0x15,			    /* jne bad */
	0x48, 0xff, 0xc3,		    /* inc %rbx */
	0x48, 0x39, 0xe5,		    /* cmp %rsp,%rbp */
	0x75, 0x0d,			    /* jne bad */
	0x49, 0x81, 0xfc, 0x34, 0x12, 0, 0, /* cmp $0x1234,%r12 */
	0x75, 0x04,			    /* jne bad */
	0xeb, 0xdf,			    /* jmp l */
	0x90, 0x90, 0x0f, 0x0b,		    /* bad: ud2 */
};

struct kicker {
	struct platform_ctx *ctx;
	struct platform_as *as;
	_Atomic bool stop;
	unsigned kicks;
};

/* Kicks, and changes page tables under the running vCPU, which stops it too. */
static void *kick(void *arg)
{
	struct kicker *k = arg;
	struct timespec t = {0, 1000};

	while (!k->stop) {
		platform_kick(k->ctx);
		if (k->kicks++ % 4 == 0)
			platform_protect(k->as, CODE, P,
					 k->kicks % 8
						 ? PLATFORM_READ | PLATFORM_EXEC
						 : PLATFORM_READ | PLATFORM_WRITE | PLATFORM_EXEC);
		t.tv_nsec = (k->kicks * 7919) % 20000;
		nanosleep(&t, NULL);
	}
	return NULL;
}

static void open_kicked(struct guest *g, uint32_t nr, int32_t result)
{
	uint8_t code[sizeof(kick_loop)];

	memcpy(code, kick_loop, sizeof(code));
	memcpy(code + KICK_NR, &nr, 4);
	memcpy(code + KICK_RESULT, &result, 4);
	guest_open(g, code, sizeof(code));
	platform_ctx_consts(g->ctx)[PLATFORM_CONST_PID] = 4242;
	platform_ctx_set_gsbase(g->ctx, 0x5678000);
	g->r->rbp = g->r->rsp;
	g->r->r12 = 0x1234;
	g->r->rdi = 0xd1;
	g->r->rsi = 0xd2;
	g->r->rdx = 0xd3;
	g->r->r10 = 0xd4;
	g->r->r8 = 0xd5;
	g->r->r9 = 0xd6;
	g->r->r15 = 0xd7;
	nr_got = 0;
}

static void expect_unchanged(const struct guest *g)
{
	assert_int_equal(g->r->rdi, 0xd1);
	assert_int_equal(g->r->rsi, 0xd2);
	assert_int_equal(g->r->rdx, 0xd3);
	assert_int_equal(g->r->r10, 0xd4);
	assert_int_equal(g->r->r8, 0xd5);
	assert_int_equal(g->r->r9, 0xd6);
	assert_int_equal(g->r->r15, 0xd7);
	assert_int_equal(g->r->rbp, g->r->rsp);
}

static void run_kicked(uint32_t nr, int32_t result, bool recorded)
{
	unsigned i, interrupts = 0, calls = 0;
	struct kicker k = {0};
	struct guest g;
	pthread_t th;

	open_kicked(&g, nr, result);
	k.ctx = g.ctx;
	k.as = g.as;
	pthread_create(&th, NULL, kick, &k);
	for (i = 0; i < 3000; i++) {
		guest_run(&g);
		expect_unchanged(&g);
		if (g.ev.kind == PLATFORM_SYSCALL) {
			assert_int_equal(g.r->rax, nr);
			g.r->rax = (uint64_t)(int64_t)result;
			calls++;
			continue;
		}
		if (g.ev.kind != PLATFORM_INTERRUPTED)
			print_message("# kind %d vector %u at %lx, addr %lx error %x\n", g.ev.kind,
				      g.ev.vector, g.r->rip, g.ev.addr, g.ev.error);
		assert_int_equal(g.ev.kind, PLATFORM_INTERRUPTED);
		assert_in_range(g.r->rip, CODE, CODE + sizeof(kick_loop) - 4);
		assert_int_equal(platform_ctx_gsbase(g.ctx), 0x5678000);
		interrupts++;
	}
	k.stop = true;
	pthread_join(th, NULL);
	print_message("# %u interrupts, %u calls, %lu loops\n", interrupts, calls, g.r->rbx);
	/* every call has its record, but for one that is answered and not yet counted */
	if (recorded && fast())
		assert_in_range(nr_got + calls, g.r->rbx, g.r->rbx + 1);
	else
		assert_int_equal(nr_got, 0);
	guest_close(&g);
}

static void test_kicks(void **state)
{
	run_kicked(SYS_getpid, 4242, false);
}

static void test_kicks_recorded(void **state)
{
	count_only = true;
	run_kicked(SYS_mount, -EPERM, true);
	count_only = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers), cmocka_unit_test(test_forwards),
		cmocka_unit_test(test_many),	cmocka_unit_test(test_count),
		cmocka_unit_test(test_kicks),	cmocka_unit_test(test_kicks_recorded),
	};
	const struct pol_image *img;

	if (!guest_possible())
		return guest_skip();
	img = build();
	if (!img)
		return 1;
	guest_opts.image = img;
	guest_opts.image_len = pol_image_size(img);
	guest_opts.tier0 = take;
	return cmocka_run_group_tests_name("tier0", tests, guest_group_setup, guest_group_teardown);
}
