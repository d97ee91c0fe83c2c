/* prctl, arch_prctl, personality. */
#include <asm/prctl.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include "sentry/signal.h"
#include "sentry/sys.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

static long set_comm(struct task *t, uint64_t addr)
{
	char name[16] = "";
	ssize_t n = gmem_read_str(t->proc->mm, name, gptr_at(addr), sizeof(name));

	if (n < 0 && n != -ENAMETOOLONG)
		return n;
	/* Too long: Linux cuts. */
	if (n < 0 && gmem_read(t->proc->mm, name, gptr_at(addr), sizeof(name) - 1))
		return -EFAULT;
	name[sizeof(name) - 1] = '\0';
	memcpy(t->comm, name, sizeof(name));
	if (t->tid == t->proc->pid)
		memcpy(t->proc->comm, name, sizeof(name));
	return 0;
}

/* Is one of the arguments from the nth on not 0? */
static bool extra_args(const struct sysargs *a, int n)
{
	for (; n < 5; n++)
		if (a->raw[n])
			return true;
	return false;
}

/* What becomes of a process whose memory is broken. Nothing in here tells it: remembered. */
static long mce_kill(struct task *t, const struct sysargs *a)
{
	uint64_t how = a->raw[2];

	if (extra_args(a, 3))
		return -EINVAL;
	switch (a->raw[1]) {
	case PR_MCE_KILL_CLEAR:
		if (how)
			return -EINVAL;
		t->proc->mce_kill = PR_MCE_KILL_DEFAULT;
		return 0;
	case PR_MCE_KILL_SET:
		if (how != PR_MCE_KILL_EARLY && how != PR_MCE_KILL_LATE && how != PR_MCE_KILL_DEFAULT)
			return -EINVAL;
		t->proc->mce_kill = (int)how;
		return 0;
	default:
		return -EINVAL;
	}
}

/* There are no capabilities to have or to raise. */
static long cap_ambient(const struct sysargs *a)
{
	if (a->raw[1] == PR_CAP_AMBIENT_CLEAR_ALL)
		return extra_args(a, 2) ? -EINVAL : 0;
	if (extra_args(a, 3) || a->raw[2] > CAP_LAST_CAP)
		return -EINVAL;
	switch (a->raw[1]) {
	case PR_CAP_AMBIENT_IS_SET:
	case PR_CAP_AMBIENT_LOWER:
		return 0;
	case PR_CAP_AMBIENT_RAISE:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

/* Options that only ask; -EINVAL: not one of these. */
static long prctl_get(struct task *t, struct sysargs *a)
{
	uint64_t p2 = a->raw[1];
	int zero = 0;

	switch (A_INT(a, 0)) {
	case PR_GET_NAME:
		return gmem_write(t->proc->mm, gptr_at(p2), t->comm, sizeof(t->comm));
	case PR_GET_DUMPABLE:
		return t->proc->dumpable;
	case PR_GET_KEEPCAPS:
		return t->keep_caps;
	case PR_GET_SECUREBITS:
		return 0;
	case PR_GET_THP_DISABLE:
		return extra_args(a, 1) ? -EINVAL : t->proc->thp_disable;
	case PR_GET_NO_NEW_PRIVS:
		return extra_args(a, 1) ? -EINVAL : 1;
	case PR_MCE_KILL_GET:
		return extra_args(a, 1) ? -EINVAL : t->proc->mce_kill;
	case PR_GET_TIMING:
		return PR_TIMING_STATISTICAL;
	case PR_GET_TIMERSLACK:
		return (long)t->timer_slack_ns;
	case PR_GET_PDEATHSIG:
		return gmem_write(t->proc->mm, gptr_at(p2), &t->proc->pdeath_sig,
				  sizeof(t->proc->pdeath_sig));
	case PR_GET_CHILD_SUBREAPER:
		zero = t->proc->subreaper;
		return gmem_write(t->proc->mm, gptr_at(p2), &zero, sizeof(zero));
	case PR_GET_TSC:
		zero = PR_TSC_ENABLE;
		return gmem_write(t->proc->mm, gptr_at(p2), &zero, sizeof(zero));
	case PR_GET_TID_ADDRESS:
		return gmem_write(t->proc->mm, gptr_at(p2), &t->clear_child_tid,
				  sizeof(t->clear_child_tid));
	case PR_CAPBSET_READ:
		return p2 <= CAP_LAST_CAP ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

long sys_prctl(struct task *t, struct sysargs *a)
{
	uint64_t p2 = a->raw[1];

	switch (A_INT(a, 0)) {
	case PR_SET_NAME:
		return set_comm(t, p2);
	case PR_SET_DUMPABLE:
		if (p2 > 1)
			return -EINVAL;
		t->proc->dumpable = p2 == 1;
		return 0;
	case PR_SET_PDEATHSIG:
		if (p2 > SIGNAL_MAX)
			return -EINVAL;
		t->proc->pdeath_sig = (int)p2;
		return 0;
	case PR_SET_CHILD_SUBREAPER:
		t->proc->subreaper = p2 != 0;
		return 0;
	case PR_SET_NO_NEW_PRIVS:
		return p2 == 1 && !a->raw[2] && !a->raw[3] && !a->raw[4] ? 0 : -EINVAL;
	case PR_SET_KEEPCAPS:
		if (p2 > 1)
			return -EINVAL;
		t->keep_caps = p2 == 1;
		return 0;
	case PR_SET_TIMERSLACK:
		t->timer_slack_ns = t->timer_slack_default_ns;
		if (p2)
			t->timer_slack_ns = (unsigned)MIN(p2, (uint64_t)UINT32_MAX);
		return 0;
	case PR_SET_TIMING:
		return p2 == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
	case PR_SET_TSC:
		return p2 == PR_TSC_ENABLE ? 0 : -EINVAL;
	case PR_SET_THP_DISABLE:
		if (extra_args(a, 2))
			return -EINVAL;
		t->proc->thp_disable = p2 != 0;
		return 0;
	case PR_MCE_KILL:
		return mce_kill(t, a);
	case PR_CAP_AMBIENT:
		return cap_ambient(a);
	case PR_SET_PTRACER:
	case PR_TASK_PERF_EVENTS_DISABLE: /* of which there are none */
	case PR_TASK_PERF_EVENTS_ENABLE:
		return 0;
	case PR_SET_VMA: /* names of anonymous mappings: accepted, not shown */
		return p2 == PR_SET_VMA_ANON_NAME ? 0 : -EINVAL;
	case PR_CAPBSET_DROP:
	case PR_SET_SECUREBITS:
	case PR_SET_MM:
	case PR_SET_IO_FLUSHER:
	case PR_GET_IO_FLUSHER:
		return -EPERM;
	default:
		return prctl_get(t, a);
	}
}

long sys_arch_prctl(struct task *t, struct sysargs *a)
{
	uint64_t v;

	switch (A_INT(a, 0)) {
	case ARCH_SET_FS:
		return platform_ctx_set_fsbase(t->ctx, a->raw[1]);
	case ARCH_SET_GS:
		return platform_ctx_set_gsbase(t->ctx, a->raw[1]);
	case ARCH_GET_FS:
		v = platform_ctx_fsbase(t->ctx);
		return gmem_write(t->proc->mm, A_PTR(a, 1), &v, sizeof(v));
	case ARCH_GET_GS:
		v = platform_ctx_gsbase(t->ctx);
		return gmem_write(t->proc->mm, A_PTR(a, 1), &v, sizeof(v));
	case ARCH_GET_CPUID:
		return 1;
	case ARCH_SET_CPUID: /* the instruction is not trapped */
		return -ENODEV;
	default:
		return -EINVAL;
	}
}

/* All that can be asked for is told again and given to children; ADDR_NO_RANDOMIZE and UNAME26 have an
 * effect, most others have none for x86-64. What would make pages executable is not to be had. */
long sys_personality(struct task *t, struct sysargs *a)
{
	uint32_t want = (uint32_t)a->raw[0];

	if (want == UINT32_MAX)
		return atomic_load(&t->proc->persona);
	if (want & (READ_IMPLIES_EXEC | MMAP_PAGE_ZERO))
		return -EINVAL;
	return atomic_exchange(&t->proc->persona, want);
}
