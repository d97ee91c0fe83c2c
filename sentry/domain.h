/* Limits of the policy's `programs`: counted over the processes of one entry, from the execve that entered
 * the section on, with all that they start. Owner: sentry/domain.c. */
#ifndef SBX_SENTRY_DOMAIN_H
#define SBX_SENTRY_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

struct domain;
struct proc;

struct domain *domain_get(struct domain *d); /* NULL is allowed, here and below */
void domain_put(struct domain *d);

/* What a program of p with that view belongs to: p's domain, with one more for each section with limits that
 * p has not entered. 0 with *out referenced, or -ENOMEM. */
int domain_enter(struct proc *p, uint32_t view, struct domain **out);

/* p, which has one thread, goes on as a program of *d, whose reference it takes; *d becomes NULL. */
void domain_take_over(struct proc *p, struct domain **d);

/* Counts a task more, unless a limit on processes forbids it; and one less. */
bool domain_add_task(struct domain *d);
void domain_remove_task(struct domain *d);

/* p was waited for: its CPU time stays counted. sandbox.lock held. */
void domain_reaped(const struct proc *p);

/* Ends the processes of domains that used up their limits; returns when to look again. For the
 * housekeeper; now is CLOCK_MONOTONIC. */
uint64_t domain_check(uint64_t now);

#endif
