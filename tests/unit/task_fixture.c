#include "tests/unit/task_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "sentry/file.h"
#include "sentry/signal.h"
#include "sentry/task_int.h"
#include "tests/unit/fake_platform.h"

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "task fixture: %s\n", what);
	abort();
}

struct task *task_fixture_start(void)
{
	struct platform_opts opts = {0};
	struct proc *p;
	struct task *t;
	int err;

	if (!sandbox.platform) {
		need(!platform_create(&opts, &sandbox.platform, NULL), "platform");
		need(!mm_global_init(sandbox.platform, 256u << 20, NULL), "memory");
		need(!hostcall_init(NULL), "signal handler");
	}
	p = proc_create();
	need(p, "process");
	need(!mm_create(sandbox.platform, &p->mm), "address space");
	p->fdtab = fdtab_create(1024);
	need(p->fdtab, "descriptors");
	p->rlim[RLIMIT_SIGPENDING] = (struct rlimit){100, 100};
	t = task_create(p, mm_as(p->mm), 0, &err);
	need(t, "task");
	t->regs->rflags = 0x202;
	current = t;
	return t;
}

void task_fixture_stop(struct task *t)
{
	struct proc *p = t->proc;
	struct task *o, *tmp;

	t->host_tid = 0;
	list_for_each_safe(o, tmp, &p->tasks, node) task_discard(o);
	proc_put(p);
	current = NULL;
}

struct task *task_fixture_add(struct task *t)
{
	int err;
	struct task *n = task_create(t->proc, mm_as(t->proc->mm), 0, &err);

	need(n, "task");
	return n;
}

uint64_t task_fixture_map(struct task *t, uint64_t len)
{
	int64_t at = mm_mmap(t->proc->mm, 0, len, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);

	need(at > 0, "mapping");
	return (uint64_t)at;
}
