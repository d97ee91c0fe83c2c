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
	return cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET;
}

static int restart_wait(struct task *t)
{
	uint64_t ns = t->restart_arg[2];
	struct timespec deadline = ns_to_timespec(ns);
	int r = futex_wait(t, gptr_at(t->restart_arg[0]), t->restart_arg[3] & 1,
			   (uint32_t)t->restart_arg[1], FUTEX_BITSET_MATCH_ANY,
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
	if (r != -ERESTARTSYS || !deadline || cmd != FUTEX_WAIT)
		return r;
	t->restart = restart_wait;
	t->restart_arg[0] = a->raw[0];
	t->restart_arg[1] = a->raw[2];
	t->restart_arg[2] = timespec_to_ns(&ts);
	t->restart_arg[3] = (shared ? 1u : 0u) | (clock == CLOCK_REALTIME ? 2u : 0u);
	return -ERESTART_RESTARTBLOCK;
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
		return futex_requeue(t, A_PTR(a, 0), A_PTR(a, 4), shared, val, val2, false, 0);
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(t, A_PTR(a, 0), A_PTR(a, 4), shared, val, val2, true, val3);
	case FUTEX_WAKE_OP:
		return futex_wake_op(t, A_PTR(a, 0), A_PTR(a, 4), shared, val, val2, val3);
	default: /* priority inheritance and what is obsolete */
		return -ENOSYS;
	}
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
