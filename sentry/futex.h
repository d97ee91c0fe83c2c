/* Futexes of the app. Owner: sentry/futex.c (queues), sys_futex.c (the call, robust lists). */
#ifndef SBX_SENTRY_FUTEX_H
#define SBX_SENTRY_FUTEX_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "sentry/gmem.h"

struct task;

/* What waiters and wakers meet on. */
struct futex_key {
	uint64_t id;	/* private: the address; shared: identity of the page and offset */
	const void *mm; /* private: the address space; shared: NULL */
};

/* 0, -EINVAL (not aligned) or -EFAULT. */
int futex_key(struct task *t, struct gptr p, bool shared, struct futex_key *key);

/* Waits while *p == val, for a wake with a bit of bitset. deadline: absolute, on clock; NULL: none.
 * 0, -EAGAIN, -EFAULT, -ETIMEDOUT, -ERESTARTSYS. */
int futex_wait(struct task *t, struct gptr p, bool shared, uint32_t val, uint32_t bitset, int clock,
	       const struct timespec *deadline);

/* The same for n words at once: the index of one that was woken, or as futex_wait. */
struct futex_want {
	struct gptr p;
	uint32_t val;
	bool shared;
};
int futex_wait_many(struct task *t, const struct futex_want *w, unsigned n, int clock,
		    const struct timespec *deadline);

/* Wakes at most n waiters; their number or -errno. */
int futex_wake(struct task *t, struct gptr p, bool shared, uint32_t n, uint32_t bitset);

/* Wakes nwake and moves nmove waiters from p to p2. cmp: only if *p == val, else -EAGAIN. The
 * number of woken and moved waiters or -errno. */
int futex_requeue(struct task *t, struct gptr p, bool shared, struct gptr p2, bool shared2,
		  uint32_t nwake, uint32_t nmove, bool cmp, uint32_t val);

/* FUTEX_WAKE_OP: changes *p2 as op says, wakes n of p, and n2 of p2 if the old value compares. */
int futex_wake_op(struct task *t, struct gptr p, struct gptr p2, bool shared, uint32_t n,
		  uint32_t n2, uint32_t op);

/* Futexes with an owner (FUTEX_LOCK_PI ...; sentry/futex_pi.c). All tasks have one priority here, so
 * there is none to inherit: who unlocks hands over to who has waited longest. lock: 0, -EDEADLK,
 * -ESRCH (nobody has the owner's number), -EAGAIN (try), -ETIMEDOUT, -ERESTARTNOINTR. */
int futex_pi_lock(struct task *t, struct gptr p, bool shared, bool try, int clock,
		  const struct timespec *deadline);
int futex_pi_unlock(struct task *t, struct gptr p, bool shared);
/* The end of t: what it owned and others wait for goes to them, marked. */
void futex_pi_exit(struct task *t);

/* At the end of a thread: marks the robust futexes it holds, clears its child tid and wakes. */
void futex_robust_exit(struct task *t);
void futex_clear_tid(struct task *t);

#endif
