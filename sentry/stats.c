/* What `--stats` tells: counters of threads, added up when they end. */
#include <stdio.h>
#include "sentry/task.h"
#include "sentry/task_int.h"

void stats_add(struct task *t)
{
	struct audit_totals *s = &sandbox.totals, *o = &t->totals;
	struct platform_stats st;

	platform_ctx_stats(t->ctx, &st);
	pthread_mutex_lock(&sandbox.lock);
	sandbox.stats.exits += st.exits;
	sandbox.stats.tier0 += st.tier0;
	sandbox.stats.forwarded += st.forwarded;
	sandbox.stats.faults += st.faults;
	sandbox.stats.interrupts += st.interrupts;
	sandbox.stats.cr3_writes += st.cr3_writes;
	sandbox.stats.tier1 += st.tier1;
	sandbox.stats.requests += st.requests;
	sandbox.stats.red_pills += st.red_pills;
	sandbox.stats.blue_pills += st.blue_pills;
	sandbox.stats.ring0_faults += st.ring0_faults;
	s->calls += o->calls;
	s->allow += o->allow;
	s->deny += o->deny;
	s->emulate += o->emulate;
	s->terminate += o->terminate;
	s->unimplemented += o->unimplemented;
	pthread_mutex_unlock(&sandbox.lock);
}

void stats_print(void)
{
	const struct audit_totals *a = &sandbox.totals;
	const struct platform_stats *s = &sandbox.stats;
	struct rusage ru;

	fprintf(stderr,
		"sbx: calls %llu: allow %llu, deny %llu, emulate %llu, terminate %llu, "
		"unimplemented %llu\n"
		"sbx: tier 0 %llu, sentry %llu; exits %llu, faults %llu, interrupts %llu, "
		"CR3 writes %llu\n",
		(unsigned long long)a->calls, (unsigned long long)a->allow,
		(unsigned long long)a->deny, (unsigned long long)a->emulate,
		(unsigned long long)a->terminate, (unsigned long long)a->unimplemented,
		(unsigned long long)s->tier0, (unsigned long long)s->forwarded,
		(unsigned long long)s->exits, (unsigned long long)s->faults,
		(unsigned long long)s->interrupts, (unsigned long long)s->cr3_writes);
	if (!getrusage(RUSAGE_SELF, &ru))
		fprintf(stderr, "sbx: largest memory %ld KiB\n", ru.ru_maxrss);
	if (platform_resident(sandbox.platform))
		fprintf(stderr,
			"sbx: sentry in ring 0: tier 1 %llu, requests %llu, red pills %llu, "
			"blue pills %llu, faults %llu\n",
			(unsigned long long)s->tier1, (unsigned long long)s->requests,
			(unsigned long long)s->red_pills, (unsigned long long)s->blue_pills,
			(unsigned long long)s->ring0_faults);
}
