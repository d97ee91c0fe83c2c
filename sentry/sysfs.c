/* The little of /sys that programs read: the processors. */
#include <linux/magic.h>
#include <stdio.h>
#include "sentry/procfs.h"

static int show_cpu_list(const struct pseudo_key *k, struct buf *out)
{
	unsigned n = procfs_cpus();

	if (n > 1)
		buf_printf(out, "0-%u\n", n - 1);
	else
		buf_puts(out, "0\n");
	return 0;
}

static int show_none(const struct pseudo_key *k, struct buf *out)
{
	buf_putc(out, '\n');
	return 0;
}

static int show_node_list(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "0\n");
	return 0;
}

static int show_one(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "1\n");
	return 0;
}

static int show_kernel_max(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%u\n", procfs_cpus() - 1);
	return 0;
}

static int show_thp(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "always madvise [never]\n");
	return 0;
}

static int next_cpu(const struct pseudo_key *k, int from)
{
	return from < (int)procfs_cpus() ? from : -1;
}

static void bind_cpu(struct pseudo_key *k, int number)
{
	k->num = number;
}

static const struct pseudo_entry cpu_members[] = {
	PROC_REG("online", 0444, show_one),
	PROC_END,
};

static const struct pseudo_entry cpu_dir = PROC_DIR("cpuN", 0755, cpu_members);

static const struct pseudo_entry cpu_files[] = {
	PROC_REG("kernel_max", 0444, show_kernel_max),
	PROC_REG("offline", 0444, show_none),
	PROC_REG("online", 0444, show_cpu_list),
	PROC_REG("possible", 0444, show_cpu_list),
	PROC_REG("present", 0444, show_cpu_list),
	PROC_END,
};

static const struct pseudo_entry node0_files[] = {
	PROC_REG("cpulist", 0444, show_cpu_list),
	PROC_END,
};

static const struct pseudo_entry node_files[] = {
	PROC_DIR("node0", 0755, node0_files),
	PROC_REG("online", 0444, show_node_list),
	PROC_REG("possible", 0444, show_node_list),
	PROC_END,
};

static const struct pseudo_entry system_dirs[] = {
	{.name = "cpu",
	 .mode = S_IFDIR | 0755,
	 .children = cpu_files,
	 .numbered = &cpu_dir,
	 .prefix = "cpu",
	 .next = next_cpu,
	 .bind = bind_cpu},
	PROC_DIR("node", 0755, node_files),
	PROC_END,
};

static const struct pseudo_entry devices_dirs[] = {
	PROC_DIR("system", 0755, system_dirs),
	PROC_END,
};

static const struct pseudo_entry thp_files[] = {
	PROC_REG("enabled", 0444, show_thp),
	PROC_END,
};

static const struct pseudo_entry mm_dirs[] = {
	PROC_DIR("transparent_hugepage", 0755, thp_files),
	PROC_END,
};

static const struct pseudo_entry kernel_dirs[] = {
	PROC_DIR("mm", 0755, mm_dirs),
	PROC_END,
};

static const struct pseudo_entry top_dirs[] = {
	PROC_DIR("devices", 0755, devices_dirs),
	PROC_DIR("kernel", 0755, kernel_dirs),
	PROC_END,
};

static const struct pseudo_entry top = PROC_DIR("sys", 0555, top_dirs);

int sysfs_root(struct vnode **out)
{
	return pseudo_root(&top, SYSFS_MAGIC, out);
}
