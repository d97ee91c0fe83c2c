/* /sys/fs/cgroup: the sandbox as one group of the unified hierarchy, with its limits. Language runtimes
 * size their heaps and thread pools by these files. Read-only. */
#include <linux/magic.h>
#include <stdio.h>
#include "sentry/procfs.h"

#define PERIOD_US 100000

static int show_controllers(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "cpuset cpu memory pids\n");
	return 0;
}

static int show_none(const struct pseudo_key *k, struct buf *out)
{
	return 0;
}

static int show_type(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "domain\n");
	return 0;
}

static int show_procs(const struct pseudo_key *k, struct buf *out)
{
	struct pseudo_key key = {0};

	for (int pid = procfs_next_pid(&key, 2); pid > 0; pid = procfs_next_pid(&key, pid + 1))
		buf_printf(out, "%d\n", pid);
	return 0;
}

static int show_events(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "populated 1\nfrozen 0\n");
	return 0;
}

/* ---- memory and processes ---- */

static int show_limit(struct buf *out, uint64_t limit)
{
	if (limit)
		buf_printf(out, "%llu\n", (unsigned long long)limit);
	else
		buf_puts(out, "max\n");
	return 0;
}

static int show_memory_max(const struct pseudo_key *k, struct buf *out)
{
	return show_limit(out, sandbox.config.limit_memory);
}

static int show_memory_current(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%llu\n", (unsigned long long)procfs_mem_used());
	return 0;
}

static int show_zero(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "0\n");
	return 0;
}

static int show_max(const struct pseudo_key *k, struct buf *out)
{
	return show_limit(out, 0);
}

static int show_memory_events(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n");
	return 0;
}

static int show_pids_max(const struct pseudo_key *k, struct buf *out)
{
	return show_limit(out, sandbox.config.limit_processes);
}

static int show_pids_current(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%d\n", atomic_load(&sandbox.nr_tasks));
	return 0;
}

/* ---- processors ---- */

/* Their number is what sched_getaffinity tells; no share of their time is taken away. */
static int show_cpu_max(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "max %d\n", PERIOD_US);
	return 0;
}

static int show_cpu_weight(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "100\n");
	return 0;
}

static int show_cpu_stat(const struct pseudo_key *k, struct buf *out)
{
	struct rusage u;
	long long user, sys;

	getrusage(RUSAGE_SELF, &u);
	user = u.ru_utime.tv_sec * 1000000ll + u.ru_utime.tv_usec;
	sys = u.ru_stime.tv_sec * 1000000ll + u.ru_stime.tv_usec;
	buf_printf(out, "usage_usec %lld\nuser_usec %lld\nsystem_usec %lld\n", user + sys, user, sys);
	return 0;
}

static const struct pseudo_entry files[] = {
	PROC_REG("cgroup.controllers", 0444, show_controllers),
	PROC_REG("cgroup.events", 0444, show_events),
	PROC_REG("cgroup.procs", 0444, show_procs),
	PROC_REG("cgroup.subtree_control", 0444, show_none),
	PROC_REG("cgroup.type", 0444, show_type),
	PROC_REG("cpu.max", 0444, show_cpu_max),
	PROC_REG("cpu.stat", 0444, show_cpu_stat),
	PROC_REG("cpu.weight", 0444, show_cpu_weight),
	PROC_REG("cpuset.cpus.effective", 0444, sysfs_show_cpu_list),
	PROC_REG("cpuset.mems.effective", 0444, show_zero),
	PROC_REG("memory.current", 0444, show_memory_current),
	PROC_REG("memory.events", 0444, show_memory_events),
	PROC_REG("memory.high", 0444, show_max),
	PROC_REG("memory.low", 0444, show_zero),
	PROC_REG("memory.max", 0444, show_memory_max),
	PROC_REG("memory.swap.current", 0444, show_zero),
	PROC_REG("memory.swap.max", 0444, show_zero),
	PROC_REG("pids.current", 0444, show_pids_current),
	PROC_REG("pids.max", 0444, show_pids_max),
	PROC_END,
};

static const struct pseudo_entry top = PROC_DIR("cgroup", 0555, files);

int cgroupfs_root(struct vnode **out)
{
	return pseudo_root(&top, CGROUP2_SUPER_MAGIC, out);
}
