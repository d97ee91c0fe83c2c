/* The futex call, and what happens to futexes when a thread ends. */
#include <errno.h>
#include <linux/futex.h>
#include <time.h>
#include "base/hot.h"
#include "sentry/futex.h"
#include "sentry/sys.h"
#include "sentry/timer.h"

#define ROBUST_LIMIT 2048

static bool op_has_timeout(int cmd)
{
	return cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_LOCK_PI2;
}

static int restart_wait(struct task *t)
{
	uint64_t ns = t->restart_arg[2];
	struct timespec deadline = ns_to_timespec(ns);
	int r = futex_wait(t, gptr_at(t->restart_arg[0]), t->restart_arg[3] & 1,
			   (uint32_t)t->restart_arg[1], (uint32_t)(t->restart_arg[3] >> 32),
			   t->restart_arg[3] & 2 ? CLOCK_REALTIME : CLOCK_MONOTONIC, &deadline);

	return r == -ERESTARTSYS ? -ERESTART_RESTARTBLOCK : r;
}

/* FUTEX_WAIT's timeout is relative: it becomes a deadline that a restart keeps. */
static long wait_call(struct task *t, struct sysargs *a, int cmd, bool shared, int clock)
{
	struct timespec ts, *deadline = NULL;
	uint32_t bitset = cmd == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : A_UINT(a, 5);
	int r;

	if (a->raw[3]) {
		if (gmem_read(t->proc->mm, &ts, A_PTR(a, 3), sizeof(ts)))
			return -EFAULT;
		if (!timespec_valid(&ts))
			return -EINVAL;
		if (cmd == FUTEX_WAIT)
			ts = ns_to_timespec(ns_add(clock_now_ns(clock), timespec_to_ns(&ts)));
		deadline = &ts;
	}
	r = futex_wait(t, A_PTR(a, 0), shared, A_UINT(a, 2), bitset, clock, deadline);
	if (r != -ERESTARTSYS || !deadline)
		return r; /* with a deadline a handler ends the wait, whatever its flags say */
	t->restart = restart_wait;
	t->restart_arg[0] = a->raw[0];
	t->restart_arg[1] = a->raw[2];
	t->restart_arg[2] = timespec_to_ns(&ts);
	t->restart_arg[3] =
		(uint64_t)bitset << 32 | (shared ? 1u : 0u) | (clock == CLOCK_REALTIME ? 2u : 0u);
	return -ERESTART_RESTARTBLOCK;
}

static long lock_pi(struct task *t, struct sysargs *a, bool shared, int clock)
{
	struct timespec ts;

	if (!a->raw[3])
		return futex_pi_lock(t, A_PTR(a, 0), shared, false, clock, NULL);
	if (gmem_read(t->proc->mm, &ts, A_PTR(a, 3), sizeof(ts)))
		return -EFAULT;
	if (!timespec_valid(&ts))
		return -EINVAL;
	return futex_pi_lock(t, A_PTR(a, 0), shared, false, clock, &ts);
}

hot_path long sys_futex(struct task *t, struct sysargs *a)
{
	int op = A_INT(a, 1), cmd = op & FUTEX_CMD_MASK;
	bool shared = !(op & FUTEX_PRIVATE_FLAG);
	int clock = op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	uint32_t val = A_UINT(a, 2), val2 = (uint32_t)a->raw[3], val3 = A_UINT(a, 5);

	if ((op & FUTEX_CLOCK_REALTIME) && !op_has_timeout(cmd))
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		return wait_call(t, a, cmd, shared, clock);
	case FUTEX_WAKE:
		val3 = FUTEX_BITSET_MATCH_ANY;
		/* fallthrough */
	case FUTEX_WAKE_BITSET:
		if (!val3)
			return -EINVAL;
		/* Linux wakes one waiter even if none was asked for. */
		return futex_wake(t, A_PTR(a, 0), shared, val ? val : 1, val3);
	case FUTEX_REQUEUE:
		return futex_requeue(t, A_PTR(a, 0), shared, A_PTR(a, 4), shared, val, val2, false,
				     0);
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(t, A_PTR(a, 0), shared, A_PTR(a, 4), shared, val, val2, true,
				     val3);
	case FUTEX_WAKE_OP:
		return futex_wake_op(t, A_PTR(a, 0), A_PTR(a, 4), shared, val, val2, val3);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return lock_pi(t, a, shared, cmd == FUTEX_LOCK_PI ? CLOCK_REALTIME : clock);
	case FUTEX_TRYLOCK_PI:
		return futex_pi_lock(t, A_PTR(a, 0), shared, true, 0, NULL);
	case FUTEX_UNLOCK_PI:
		return futex_pi_unlock(t, A_PTR(a, 0), shared);
	default: /* requeueing between the two kinds, which no C library does, and what is obsolete */
		return -ENOSYS;
	}
}

/* ---- the calls with sizes and flags for each word ---- */

#define F2_32	   2u
#define F2_PRIVATE 128u
#define WAITV_MAX  128u

struct futex2 { /* struct futex_waitv */
	uint64_t val, addr;
	uint32_t flags, reserved;
};

/* Only words of 32 bits, as in Linux. */
static bool flags_ok(uint32_t flags)
{
	return !(flags & ~(F2_32 | F2_PRIVATE)) && (flags & F2_32);
}

/* An absolute time on CLOCK_MONOTONIC or CLOCK_REALTIME; *deadline is NULL for none. */
static long read_deadline(struct task *t, uint64_t addr, int clock, struct timespec *ts,
			  const struct timespec **deadline)
{
	*deadline = NULL;
	if (!addr)
		return 0;
	if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
		return -EINVAL;
	if (gmem_read(t->proc->mm, ts, gptr_at(addr), sizeof(*ts)))
		return -EFAULT;
	*deadline = ts;
	return timespec_valid(ts) ? 0 : -EINVAL;
}

static long read_wants(struct task *t, struct gptr p, unsigned n, struct futex_want *out)
{
	struct futex2 w;

	for (unsigned i = 0; i < n; i++) {
		if (gmem_read(t->proc->mm, &w, gptr_at(p.addr + i * sizeof(w)), sizeof(w)))
			return -EFAULT;
		if (!flags_ok(w.flags) || w.reserved || w.val > UINT32_MAX)
			return -EINVAL;
		out[i] = (struct futex_want){gptr_at(w.addr), (uint32_t)w.val,
					     !(w.flags & F2_PRIVATE)};
	}
	return 0;
}

long sys_futex_waitv(struct task *t, struct sysargs *a)
{
	struct futex_want want[WAITV_MAX];
	const struct timespec *deadline;
	unsigned n = A_UINT(a, 1);
	struct timespec ts;
	long r;

	if (A_UINT(a, 2) || !n || n > WAITV_MAX || !a->raw[0])
		return -EINVAL;
	r = read_deadline(t, a->raw[3], A_INT(a, 4), &ts, &deadline);
	if (!r)
		r = read_wants(t, A_PTR(a, 0), n, want);
	return r ? r : futex_wait_many(t, want, n, A_INT(a, 4), deadline);
}

long sys_futex_wake(struct task *t, struct sysargs *a)
{
	uint64_t mask = a->raw[1];

	if (!flags_ok(A_UINT(a, 3)) || mask > UINT32_MAX || !mask)
		return -EINVAL;
	if (A_INT(a, 2) <= 0)
		return 0;
	return futex_wake(t, A_PTR(a, 0), !(A_UINT(a, 3) & F2_PRIVATE), A_UINT(a, 2), (uint32_t)mask);
}

long sys_futex_wait(struct task *t, struct sysargs *a)
{
	const struct timespec *deadline;
	struct timespec ts;
	long r;

	if (!flags_ok(A_UINT(a, 3)) || a->raw[1] > UINT32_MAX || a->raw[2] > UINT32_MAX)
		return -EINVAL;
	r = read_deadline(t, a->raw[4], A_INT(a, 5), &ts, &deadline);
	if (r)
		return r;
	return futex_wait(t, A_PTR(a, 0), !(A_UINT(a, 3) & F2_PRIVATE), A_UINT(a, 1), A_UINT(a, 2),
			  A_INT(a, 5), deadline);
}

long sys_futex_requeue(struct task *t, struct sysargs *a)
{
	struct futex_want w[2];
	long r;

	if (A_UINT(a, 1) || !a->raw[0])
		return -EINVAL;
	r = read_wants(t, A_PTR(a, 0), 2, w);
	if (r)
		return r;
	return futex_requeue(t, w[0].p, w[0].shared, w[1].p, w[1].shared, A_UINT(a, 2), A_UINT(a, 3),
			     true, w[0].val);
}

/* ---- the end of a thread ---- */

static void owner_died(struct task *t, uint64_t addr, bool pending)
{
	struct mm *mm = t->proc->mm;
	uint32_t val, want;
	bool ok = false;

	if ((addr & 3) || gmem_load32(mm, gptr_at(addr), &val))
		return;
	while (!ok) {
		/* It died between unlocking and leaving the list: a waiter may have been missed. */
		if (pending && !(val & FUTEX_TID_MASK)) {
			futex_wake(t, gptr_at(addr), true, 1, FUTEX_BITSET_MATCH_ANY);
			futex_wake(t, gptr_at(addr), false, 1, FUTEX_BITSET_MATCH_ANY);
			return;
		}
		if ((val & FUTEX_TID_MASK) != (uint32_t)t->tid)
			return;
		want = (val & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
		if (gmem_cmpxchg32(mm, gptr_at(addr), &val, want, &ok))
			return;
	}
	if (val & FUTEX_WAITERS) {
		futex_wake(t, gptr_at(addr), true, 1, FUTEX_BITSET_MATCH_ANY);
		futex_wake(t, gptr_at(addr), false, 1, FUTEX_BITSET_MATCH_ANY);
	}
}

void futex_robust_exit(struct task *t)
{
	struct robust_list_head { /* as the kernel lays it out */
		uint64_t next;
		int64_t offset;
		uint64_t pending;
	} head;
	uint64_t entry, next, pending;
	struct mm *mm = t->proc->mm;
	int i;

	if (!t->robust_list || gmem_read(mm, &head, gptr_at(t->robust_list), sizeof(head)))
		return;
	pending = head.pending & ~1ull; /* bit 0 marks a PI futex */
	entry = head.next & ~1ull;
	for (i = 0; entry != t->robust_list && i < ROBUST_LIMIT; i++) {
		if (gmem_read(mm, &next, gptr_at(entry), sizeof(next)))
			break;
		if (entry != pending)
			owner_died(t, entry + (uint64_t)head.offset, false);
		entry = next & ~1ull;
	}
	if (pending)
		owner_died(t, pending + (uint64_t)head.offset, true);
}

void futex_clear_tid(struct task *t)
{
	uint32_t zero = 0;

	if (!t->clear_child_tid ||
	    gmem_write(t->proc->mm, gptr_at(t->clear_child_tid), &zero, sizeof(zero)))
		return;
	futex_wake(t, gptr_at(t->clear_child_tid), true, 1, FUTEX_BITSET_MATCH_ANY);
}
