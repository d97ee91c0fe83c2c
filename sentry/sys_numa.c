/* NUMA: the app sees one node, number 0. Policies are checked as Linux checks them and can be read
 * back; where pages lie is the host's affair. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include "sentry/sys.h"

#define PAGE	     4096u
#define MAX_NODES    1024u /* bits that a mask may have set at all */
#define MASK_BITS    (PAGE * 8)
#define MODES	     7u
#define MODE_SHIFT   3 /* of the mode flags in a policy's six bits */
#define MODE_FLAGS   (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING)
#define PACKED_FLAGS 13 /* lowest bit of MODE_FLAGS */

#ifndef MPOL_F_NUMA_BALANCING
#define MPOL_F_NUMA_BALANCING (1 << 13)
#endif

enum nodes { NODES_NONE, NODES_ZERO, NODES_OTHER };

/* Which nodes the app's mask of maxnode - 1 bits names; -errno. Node 0 counts if it is among others. */
static int read_nodes(struct task *t, uint64_t addr, uint64_t maxnode)
{
	uint64_t bits = maxnode - 1, word, i;
	bool zero = false, other = false;

	if (!addr || bits == 0 || bits == UINT64_MAX)
		return NODES_NONE;
	if (bits > MASK_BITS)
		return -EINVAL;
	for (i = 0; i < bits; i += 64) {
		if (gmem_read(t->proc->mm, &word, gptr_at(addr + i / 8), sizeof(word)))
			return -EFAULT;
		if (bits - i < 64)
			word &= (1ull << (bits - i)) - 1;
		if (word && i >= MAX_NODES)
			return -EINVAL;
		zero |= !i && (word & 1);
		other |= word != (!i && (word & 1));
	}
	return zero ? NODES_ZERO : other ? NODES_OTHER : NODES_NONE;
}

/* A policy in six bits, or -errno. */
static int check_policy(struct task *t, uint32_t mode, uint64_t addr, uint64_t maxnode)
{
	uint32_t flags = mode & MODE_FLAGS;
	int nodes;

	mode &= ~(uint32_t)MODE_FLAGS;
	if (mode >= MODES || ((flags & MPOL_F_STATIC_NODES) && (flags & MPOL_F_RELATIVE_NODES)) ||
	    ((flags & MPOL_F_NUMA_BALANCING) && mode != MPOL_BIND))
		return -EINVAL;
	nodes = read_nodes(t, addr, maxnode);
	if (nodes < 0)
		return nodes;
	if (mode == MPOL_DEFAULT)
		return nodes == NODES_NONE ? 0 : -EINVAL;
	if (mode == MPOL_PREFERRED && nodes == NODES_NONE && !flags)
		mode = MPOL_LOCAL;
	if (mode == MPOL_LOCAL ? nodes != NODES_NONE || flags : nodes != NODES_ZERO)
		return -EINVAL;
	return (int)(mode | flags >> PACKED_FLAGS << MODE_SHIFT);
}

long sys_set_mempolicy(struct task *t, struct sysargs *a)
{
	int policy = check_policy(t, A_UINT(a, 0), a->raw[1], a->raw[2]);

	if (policy < 0)
		return policy;
	t->mempolicy = (unsigned)policy;
	return 0;
}

long sys_mbind(struct task *t, struct sysargs *a)
{
	uint64_t start = a->raw[0], len = ALIGN_UP(a->raw[1], (uint64_t)PAGE);
	unsigned flags = A_UINT(a, 5);
	int policy;

	if (flags & ~(unsigned)(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if (flags & MPOL_MF_MOVE_ALL)
		return -EPERM;
	policy = check_policy(t, A_UINT(a, 2), a->raw[3], a->raw[4]);
	if (policy < 0)
		return policy;
	return start % PAGE ? -EINVAL : mm_set_policy(t->proc->mm, start, len, (unsigned)policy);
}

long sys_set_mempolicy_home_node(struct task *t, struct sysargs *a)
{
	uint64_t start = a->raw[0], len = ALIGN_UP(a->raw[1], (uint64_t)PAGE);
	unsigned policy = 0;
	long r;

	if (start % PAGE || a->raw[3] || a->raw[2] || start + len < start)
		return -EINVAL;
	if (!len)
		return 0;
	r = mm_get_policy(t->proc->mm, start, &policy);
	if (r)
		return r;
	policy &= MODES;
	return policy == MPOL_BIND || policy == MPOL_PREFERRED_MANY ? 0 : -EOPNOTSUPP;
}

/* Node 0, or none, as a mask of maxnode bits. */
static int write_nodes(struct task *t, uint64_t addr, uint64_t maxnode, bool zero)
{
	uint64_t bytes = ALIGN_UP(maxnode - 1, 64ull) / 8, word = zero;

	if (bytes > PAGE)
		return -EINVAL;
	if (gmem_zero(t->proc->mm, gptr_at(addr), bytes))
		return -EFAULT;
	return bytes ? gmem_write(t->proc->mm, gptr_at(addr), &word, sizeof(word)) : 0;
}

/* The policy that the flags ask for; *out is what the call tells as mode. */
static long find_policy(struct task *t, uint64_t addr, unsigned flags, unsigned *policy, int *out)
{
	*policy = t->mempolicy;
	if (flags & MPOL_F_ADDR) {
		unsigned of_map = 0;

		if (mm_get_policy(t->proc->mm, addr, &of_map))
			return -EFAULT;
		if (of_map)
			*policy = of_map;
	} else if (addr) {
		return -EINVAL;
	}
	*out = (int)((*policy & MODES) | (*policy >> MODE_SHIFT) << PACKED_FLAGS);
	if (!(flags & MPOL_F_NODE))
		return 0;
	if (!(flags & MPOL_F_ADDR) && (*policy & MODES) != MPOL_INTERLEAVE)
		return -EINVAL;
	*out = 0; /* the node */
	return 0;
}

long sys_get_mempolicy(struct task *t, struct sysargs *a)
{
	uint64_t mask = a->raw[1], maxnode = a->raw[2], addr = a->raw[3], flags = a->raw[4];
	unsigned policy = 0;
	bool zero = true;
	int out = 0;
	long r = 0;

	if ((flags & ~(uint64_t)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED)) ||
	    (mask && !maxnode))
		return -EINVAL;
	if (flags & MPOL_F_MEMS_ALLOWED) {
		if (flags & (MPOL_F_NODE | MPOL_F_ADDR))
			return -EINVAL;
	} else {
		r = find_policy(t, addr, (unsigned)flags, &policy, &out);
		zero = policy && (policy & MODES) != MPOL_LOCAL;
	}
	if (r)
		return r;
	if (a->raw[0] && gmem_write(t->proc->mm, A_PTR(a, 0), &out, sizeof(out)))
		return -EFAULT;
	return mask ? write_nodes(t, mask, maxnode, zero) : 0;
}

/* ---- moving pages: they are where they should be ---- */

long sys_migrate_pages(struct task *t, struct sysargs *a)
{
	int from = read_nodes(t, a->raw[2], a->raw[1]), to;
	struct task *o;

	if (from < 0)
		return from;
	to = read_nodes(t, a->raw[3], a->raw[1]);
	if (to < 0)
		return to;
	o = A_INT(a, 0) ? task_by_tid(A_INT(a, 0)) : task_get(t);
	if (!o)
		return -ESRCH;
	task_put(o);
	return to == NODES_ZERO ? 0 : -EINVAL;
}

static long move_page(struct task *t, struct mm *mm, const struct sysargs *a, uint64_t i)
{
	uint64_t page;
	int node, status;

	if (gmem_read(t->proc->mm, &page, gptr_at(a->raw[2] + i * 8), sizeof(page)))
		return -EFAULT;
	if (a->raw[3]) {
		if (gmem_read(t->proc->mm, &node, gptr_at(a->raw[3] + i * 4), sizeof(node)))
			return -EFAULT;
		if (node)
			return -ENODEV;
	}
	status = mm_page_present(mm, page);
	status = status == 1 ? 0 : status < 0 ? status : -ENOENT;
	return gmem_write(t->proc->mm, gptr_at(a->raw[4] + i * 4), &status, sizeof(status));
}

long sys_move_pages(struct task *t, struct sysargs *a)
{
	struct proc *p = A_INT(a, 0) ? proc_by_pid(A_INT(a, 0)) : proc_get(t->proc);
	struct mm *mm = NULL;
	bool may = !p || proc_may_touch(t, p);
	uint64_t i;
	long r = 0;

	if (p) {
		pthread_mutex_lock(&p->lock);
		mm = p->mm ? mm_get(p->mm) : NULL;
		pthread_mutex_unlock(&p->lock);
	}
	proc_put(p);
	if (A_INT(a, 5) & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		r = -EINVAL;
	else if ((A_INT(a, 5) & MPOL_MF_MOVE_ALL) || !may)
		r = -EPERM;
	else if (!mm)
		r = -ESRCH;
	for (i = 0; !r && i < a->raw[1] && !task_pending(t); i++)
		r = move_page(t, mm, a, i);
	if (mm)
		mm_put(mm);
	return r ? r : i < a->raw[1] ? -EINTR : 0;
}
