/* Follows one read(2), one denied ptrace(2) and one umask(2) of tests/trace/calls instruction by instruction, through
 * the real sandbox with its sentry in ring 0, and prints what they pass: names from a list of places,
 * CR3 writes, exits. Usage: trace POLICY DIRECTORY PROGRAM, the
 * policy's variable work being the directory. Exit status 77: the machine cannot do it.
 *
 * The linker puts __wrap_platform_run in front of the platform's, so that the product needs no hook; and
 * __wrap_confine_apply for the real one, because a confined process may not single-step a vCPU. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "kvm/probe.h"
#include "policy/compile.h"
#include "ring0/ring0_syms.h"
#include "sentry/sys.h"
#include "sentry/task.h"

#define MARK  0x5b7
#define STEPS 256
#define CALLS 3

void __real_platform_run(struct platform_ctx *ctx, struct platform_event *ev);
void __wrap_platform_run(struct platform_ctx *ctx, struct platform_event *ev);
int __wrap_confine_apply(struct sbx_err **e);
void kvm_pill_switch(void *pill);
long sys_read(struct task *t, struct sysargs *a);
long sys_umask(struct task *t, struct sysargs *a);

#define RING0(name, at) {name, at}
#define CODE(name) {#name, (uint64_t)name}
static const struct place {
	const char *name;
	uint64_t at;
} places[] = {
	RING0("ring0_lstar_app_full", RING0_LSTAR_APP_FULL_VA),
	RING0("ring0_syscall", RING0_SYSCALL_VA),
	RING0("ring0_answered", RING0_ANSWERED_VA),
	RING0("ring0_answered_sysret", RING0_ANSWERED_SYSRET_VA),
	RING0("ring0_leave_syscall", RING0_LEAVE_SYSCALL_VA),
	RING0("ring0_enter", RING0_ENTER_VA),
	RING0("ring0_enter_sysret", RING0_ENTER_SYSRET_VA),
	RING0("ring0_enter_iret", RING0_ENTER_IRET_VA),
	RING0("ring0_lstar_sentry", RING0_LSTAR_APP_FULL_VA), /* in the sentry's table */
	CODE(kvm_pill_switch),
	CODE(sys_dispatch),
	CODE(sys_read),
	CODE(sys_umask),
};

static struct {
	const char *step[STEPS];
	unsigned n, instructions, ring0, work, exits, cr3_writes;
} call[CALLS];
static int now = -1; /* the call that is followed */
static bool counting, working; /* between LSTAR and SYSRETQ; in the sentry's handling of the call */
static bool was_sentry, known;
static struct platform_stats before[CALLS], after[CALLS];

static void note(const char *what)
{
	if (call[now].n < STEPS)
		call[now].step[call[now].n++] = what;
}

/* Instructions of the call, from LSTAR to the SYSRETQ after it; and those from the sentry's dispatch to
 * its next platform_run, the entry to ring0/ for a host call among them. */
static void count(const struct kvm_step *s)
{
	if (s->rip == RING0_LSTAR_APP_FULL_VA && !s->sentry_table && !call[now].instructions)
		counting = true;
	if (!counting)
		return;
	if (s->rip == (uint64_t)sys_dispatch)
		working = true;
	if (s->rip == (uint64_t)__wrap_platform_run)
		working = false;
	call[now].work += working;
	call[now].instructions += s->sentry_table || s->rip >> 47;
	call[now].ring0 += (s->rip >> 47) != 0;
	if (s->rip == RING0_ENTER_SYSRET_VA || s->rip == RING0_ANSWERED_SYSRET_VA)
		counting = false;
}

/* The last place of a call is where ring 3 goes on: nothing after it belongs to the call. */
static void step(void *arg, const struct kvm_step *s)
{
	size_t i;

	if (now < 0)
		return;
	if (known && s->sentry_table != was_sentry) {
		note(s->sentry_table ? "CR3: the sentry's" : "CR3: the app's");
		call[now].cr3_writes++;
	}
	known = true;
	was_sentry = s->sentry_table;
	if (s->exit) {
		call[now].exits++;
		note(s->rip == RING0_HALT_REQUEST_VA ? "exit: request" : "exit");
		return;
	}
	count(s);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i].at == s->rip &&
		    (s->rip != RING0_LSTAR_APP_FULL_VA ||
		     s->sentry_table == !strcmp(places[i].name, "ring0_lstar_sentry")))
			note(places[i].name);
}

/* Between two marks the first way back to ring 3 belongs to the mark before, and the last way to the
 * sentry to the one after: both are cut off when printing. */
void __wrap_platform_run(struct platform_ctx *ctx, struct platform_event *ev)
{
	struct platform_regs *r = platform_ctx_regs(ctx);

	__real_platform_run(ctx, ev);
	if (ev->kind != PLATFORM_SYSCALL || r->rax != SYS_getpriority || r->rdi != MARK)
		return;
	if (now >= 0)
		platform_ctx_stats(ctx, &after[now]);
	else if (kvm_trace_start(ctx, step, NULL) < 0)
		exit(77);
	now = (int)r->rsi;
	if (now >= CALLS) {
		now = -1;
		kvm_trace_stop(ctx);
	} else {
		platform_ctx_stats(ctx, &before[now]);
	}
}

int __wrap_confine_apply(struct sbx_err **e)
{
	return 0;
}

static void print(const char *name, unsigned c)
{
	const struct platform_stats *a = &before[c], *b = &after[c];
	unsigned i = 0, n = call[c].n;

	while (i < n && strcmp(call[c].step[i], "ring0_enter_sysret"))
		i++;
	i++;
	while (n > i && strcmp(call[c].step[n - 1], "ring0_lstar_app_full"))
		n--; /* the call that is the next mark */
	printf("%s\n", name);
	for (; i + 1 < n; i++)
		printf("%s\n", call[c].step[i]);
	/* the mark's own event counts for one way back and one way there, 2 CR3 writes */
	printf("tier %d, exits %llu, CR3 writes %lld\n",
	       b->tier0 > a->tier0   ? 0
	       : b->exits > a->exits ? 2
				     : 1,
	       (unsigned long long)(b->exits - a->exits),
	       (long long)(b->cr3_writes - a->cr3_writes) - 2);
	fprintf(stderr,
		"# %s: %u instructions in ring 0: %u of ring0/, %u of the platform, %u for the call\n",
		name, call[c].instructions, call[c].ring0,
		call[c].instructions - call[c].ring0 - call[c].work, call[c].work);
}

int main(int argc, char **argv)
{
	struct pol_param work = {"work", argv[2]};
	struct pol_source src = {
		.path = argv[1], .params = &work, .nr_params = 1, .errors_only = true};
	const char *const dirs[] = {getenv("SBX_POLICY_PATH"), NULL};
	struct sandbox_opts o = {
		.program = argv[3],
		.argv = (const char *const *)argv + 3,
		.envp = (const char *const[]){NULL},
		.residency = PLATFORM_RESIDENCY_GUEST,
	};
	const struct pol_image *img = NULL;
	struct sbx_err *e = NULL;
	int status;

	if (argc < 4)
		return 2;
	src.include_dirs = dirs;
	if (pol_compile(&src, 2, &img, &e)) {
		fprintf(stderr, "trace: %s\n", e ? e->msg : "the policy has errors");
		return 1;
	}
	o.image = img;
	status = sandbox_run(&o, &e);
	if (e) {
		fprintf(stderr, "trace: %s\n", e->msg);
		return strstr(e->msg, "residency=guest") ? 77 : 1;
	}
	print("read", 0);
	print("ptrace", 1);
	print("umask", 2);
	return status;
}
