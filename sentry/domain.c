#include "sentry/domain.h"

#include <errno.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/overflow.h"
#include "sentry/file.h"
#include "sentry/task_int.h"
#include "sentry/timer.h"

#define MSEC	    1000000ull
#define MEMORY_STEP (20 * MSEC) /* between two looks at memory */
#define LOOK_MIN    (1ull << 20)

/* A process's sections form a chain, the one entered last first. */
struct domain {
	atomic_int refs;
	struct domain *outer; /* referenced, or NULL */
	struct pol_layer limit;
	atomic_int tasks;
	uint64_t start_ns;
	/* Guarded by sandbox.lock. */
	uint64_t dead_cpu_ns;	/* of processes that were waited for */
	uint64_t before_cpu_ns; /* what processes had used when they entered */
	uint64_t cpu_ns;	/* sum of one look */
	uint64_t memory;	/* of one look, in bytes: an upper bound, or what is really there */
	uint64_t bound;
	uint64_t look_at;	/* look closely when the bound reaches this */
	bool over;
};

static atomic_bool in_use; /* some domain was made */

struct domain *domain_get(struct domain *d)
{
	if (d)
		atomic_fetch_add(&d->refs, 1);
	return d;
}

void domain_put(struct domain *d)
{
	struct domain *outer;

	for (; d && atomic_fetch_sub(&d->refs, 1) == 1; d = outer) {
		outer = d->outer;
		free(d);
	}
}

/* ---- entering ---- */

static bool has_limits(const struct pol_layer *l)
{
	return l->memory || l->cpu_ns || l->wall_ns || l->processes || l->open_files;
}

int domain_enter(struct proc *p, uint32_t view, struct domain **out)
{
	uint32_t more = pol_view_layers(sandbox.image, view) &
			~pol_view_layers(sandbox.image, atomic_load(&p->view));
	struct domain *d = domain_get(p->domain), *inner;
	struct pol_layer l;

	for (size_t i = 1; more && i < pol_image_layer(sandbox.image, i, &l); i++) {
		if (!(more >> i & 1) || !has_limits(&l))
			continue;
		inner = calloc(1, sizeof(*inner));
		if (!inner) {
			domain_put(d);
			return -ENOMEM;
		}
		atomic_init(&inner->refs, 1);
		inner->outer = d;
		inner->limit = l;
		inner->look_at = l.memory;
		inner->start_ns = clock_now_ns(CLOCK_MONOTONIC);
		d = inner;
	}
	*out = d;
	return 0;
}

static void limit_files(struct proc *p, uint64_t max)
{
	struct rlimit *r = &p->rlim[RLIMIT_NOFILE];

	pthread_mutex_lock(&p->lock);
	*r = (struct rlimit){MIN(r->rlim_cur, max), MIN(r->rlim_max, max)};
	pthread_mutex_unlock(&p->lock);
	fdtab_set_max(p->fdtab, fdtab_limit(r->rlim_cur));
}

void domain_take_over(struct proc *p, struct domain **d)
{
	struct domain *old = p->domain;
	uint64_t used;

	if (*d == old) {
		domain_put(*d);
		*d = NULL;
		return;
	}
	used = proc_cpu_ns(p);
	pthread_mutex_lock(&sandbox.lock);
	for (struct domain *i = *d; i != old; i = i->outer) {
		atomic_store(&i->tasks, 1);
		i->before_cpu_ns = used;
		if (i->limit.open_files)
			limit_files(p, i->limit.open_files);
	}
	p->domain = *d;
	pthread_mutex_unlock(&sandbox.lock);
	*d = NULL;
	domain_put(old);
	atomic_store(&in_use, true);
	sandbox_wake();
}

/* ---- processes ---- */

bool domain_add_task(struct domain *d)
{
	for (struct domain *i = d; i; i = i->outer) {
		uint64_t before = (uint64_t)atomic_fetch_add(&i->tasks, 1);

		if (!i->limit.processes || before < i->limit.processes)
			continue;
		for (struct domain *k = d;; k = k->outer) {
			atomic_fetch_sub(&k->tasks, 1);
			if (k == i)
				return false;
		}
	}
	return true;
}

void domain_remove_task(struct domain *d)
{
	for (; d; d = d->outer)
		atomic_fetch_sub(&d->tasks, 1);
}

void domain_reaped(const struct proc *p)
{
	for (struct domain *d = p->domain; d; d = d->outer)
		d->dead_cpu_ns += p->dead_cpu.exact;
}

/* ---- memory ---- */

static void say(const struct domain *d, const char *what)
{
	struct pol_rule_info r = {.file = "policy"};

	pol_image_rule(sandbox.image, d->limit.rule, &r);
	log_error("the %s limit of program '%s' (%s:%u) is used up; its processes are stopped", what,
		  d->limit.name, r.file, r.line);
	if (sandbox.audit)
		audit_limit(sandbox.audit, d->limit.name, what, d->limit.rule);
}

/* An address space of a domain that is to be looked at closely. */
struct space {
	struct mm *mm;	  /* referenced */
	struct domain *d; /* the innermost; referenced */
	uint64_t bytes;
};

static bool wants_look(const struct domain *d)
{
	for (; d; d = d->outer)
		if (d->limit.memory && !d->over && d->memory >= d->look_at)
			return true;
	return false;
}

static bool have_space(const struct space *s, size_t n, const struct mm *mm)
{
	for (size_t i = 0; i < n; i++)
		if (s[i].mm == mm)
			return true;
	return false;
}

/* Each address space once: a child in vfork has its parent's. NULL: no memory, or none. */
static struct space *collect(size_t *n)
{
	struct space *s;
	struct proc *p;
	size_t max = 0;

	*n = 0;
	list_for_each (p, &sandbox.procs, node)
		max += wants_look(p->domain);
	s = max ? calloc(max, sizeof(*s)) : NULL;
	list_for_each (p, &sandbox.procs, node) {
		if (!s || !wants_look(p->domain))
			continue;
		pthread_mutex_lock(&p->lock);
		if (p->mm && !have_space(s, *n, p->mm)) {
			s[*n].mm = mm_get(p->mm);
			s[(*n)++].d = domain_get(p->domain);
		}
		pthread_mutex_unlock(&p->lock);
	}
	return s;
}

/* d->memory is what its processes really hold. */
static void judge_memory(struct domain *d, uint64_t bound)
{
	if (d->memory > d->limit.memory) {
		d->over = true;
		say(d, "memory");
	} else {
		d->look_at = bound + MAX((d->limit.memory - d->memory) / 2, LOOK_MIN);
	}
}

/* What was made present is an upper bound; at the limit the host tells what is really there, and how far
 * that is from the limit says when to look again. */
static void look_closely(void)
{
	struct domain *d;
	struct space *s;
	size_t n;

	pthread_mutex_lock(&sandbox.lock);
	s = collect(&n);
	pthread_mutex_unlock(&sandbox.lock);
	for (size_t i = 0; i < n; i++)
		s[i].bytes = mm_private(s[i].mm);
	pthread_mutex_lock(&sandbox.lock);
	for (size_t i = 0; i < n; i++)
		for (d = s[i].d; d; d = d->outer) {
			d->bound = MAX(d->bound, d->memory);
			d->memory = 0;
		}
	for (size_t i = 0; i < n; i++)
		for (d = s[i].d; d; d = d->outer)
			d->memory += s[i].bytes;
	for (size_t i = 0; i < n; i++)
		for (d = s[i].d; d; d = d->outer) {
			if (d->bound && d->limit.memory && !d->over)
				judge_memory(d, d->bound);
			d->bound = 0; /* done with this one */
		}
	pthread_mutex_unlock(&sandbox.lock);
	for (size_t i = 0; i < n; i++) {
		mm_put(s[i].mm);
		domain_put(s[i].d);
	}
	free(s);
}

/* ---- looking at limits ---- */

static void sum_up(void)
{
	struct proc *p;

	list_for_each (p, &sandbox.procs, node) {
		for (struct domain *d = p->domain; d; d = d->outer) {
			d->cpu_ns = d->dead_cpu_ns - d->before_cpu_ns;
			d->memory = 0;
		}
	}
	list_for_each (p, &sandbox.procs, node) {
		uint64_t cpu, bytes = 0;

		if (!p->domain)
			continue;
		cpu = proc_cpu_ns(p);
		pthread_mutex_lock(&p->lock);
		if (p->mm)
			bytes = mm_present(p->mm);
		pthread_mutex_unlock(&p->lock);
		for (struct domain *d = p->domain; d; d = d->outer) {
			d->cpu_ns += cpu;
			d->memory += bytes;
		}
	}
}

/* Marks a domain that is over a limit of time; *next: when it could be at the earliest. */
static void check_time(struct domain *d, uint64_t now, uint64_t *next)
{
	const struct pol_layer *l = &d->limit;
	uint64_t at;
	int n = MAX(atomic_load(&d->tasks), 1);

	if (l->cpu_ns && (int64_t)d->cpu_ns >= (int64_t)l->cpu_ns) {
		d->over = true;
		say(d, "cpu");
	} else if (l->wall_ns && now - d->start_ns >= l->wall_ns) {
		d->over = true;
		say(d, "wall");
	}
	if (l->cpu_ns && !d->over) {
		at = now + MAX((l->cpu_ns - d->cpu_ns) / (uint64_t)n, 10 * MSEC);
		*next = MIN(*next, at);
	}
	if (l->wall_ns && !d->over) {
		at = d->start_ns + l->wall_ns;
		*next = MIN(*next, at);
	}
}

/* Also those that were made since: a domain that was over once stays so. */
static void stop_processes(void)
{
	struct proc *p;

	list_for_each (p, &sandbox.procs, node) {
		bool over = false;

		for (struct domain *d = p->domain; d; d = d->outer)
			over |= d->over;
		if (over && !p->zombie)
			proc_exit_group(p, SIGKILL);
	}
}

/* Looks at the time of all domains, and at the bound of their memory; true when that is not enough. */
static bool look(uint64_t now, uint64_t *next)
{
	bool closely = false;
	struct proc *p;

	sum_up();
	list_for_each (p, &sandbox.procs, node) {
		for (struct domain *d = p->domain; d; d = d->outer) {
			if (!d->over)
				check_time(d, now, next);
			if (d->over || d->limit.memory)
				*next = MIN(*next, now + MEMORY_STEP);
			if (d->memory < d->limit.memory)
				d->look_at = d->limit.memory;
		}
		closely |= wants_look(p->domain);
	}
	return closely;
}

uint64_t domain_check(uint64_t now)
{
	uint64_t next = UINT64_MAX;
	bool closely;

	if (!atomic_load(&in_use))
		return next;
	pthread_mutex_lock(&sandbox.lock);
	closely = look(now, &next);
	pthread_mutex_unlock(&sandbox.lock);
	if (closely)
		look_closely();
	pthread_mutex_lock(&sandbox.lock);
	stop_processes();
	pthread_mutex_unlock(&sandbox.lock);
	return next;
}
