/* /sys as programs read it: the processors, memory, and the loopback interface. There are no devices. */
#include <linux/if_arp.h>
#include <linux/magic.h>
#include <stdio.h>
#include "sentry/procfs.h"

#define CONST_FILE(name, text)                                                                     \
	static int show_##name(const struct pseudo_key *k, struct buf *out)                        \
	{                                                                                          \
		buf_printf(out, "%s\n", text);                                                     \
		return 0;                                                                          \
	}
CONST_FILE(thp, "always madvise [never]")
CONST_FILE(thp_defrag, "always defer defer+madvise madvise [never]")
CONST_FILE(thp_shmem, "always within_size advise [never] deny force")
CONST_FILE(thp_size, "2097152")
CONST_FILE(zero, "0")
CONST_FILE(one, "1")
CONST_FILE(lo_mtu, "65536")
CONST_FILE(lo_address, "00:00:00:00:00:00")
CONST_FILE(lo_state, "unknown")
CONST_FILE(six, "6")
CONST_FILE(queue_len, "1000")

static int show_lo_type(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%d\n", ARPHRD_LOOPBACK);
	return 0;
}

static int show_lo_flags(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "0x%x\n", IFF_UP | IFF_LOOPBACK);
	return 0;
}

static const struct pseudo_entry none[] = {PROC_END};

static const struct pseudo_entry lo_files[] = {
	PROC_REG("addr_len", 0444, show_six),
	PROC_REG("address", 0444, show_lo_address),
	PROC_REG("broadcast", 0444, show_lo_address),
	PROC_REG("carrier", 0444, show_one),
	PROC_REG("flags", 0444, show_lo_flags),
	PROC_REG("ifindex", 0444, show_one),
	PROC_REG("iflink", 0444, show_one),
	PROC_REG("mtu", 0444, show_lo_mtu),
	PROC_REG("operstate", 0444, show_lo_state),
	PROC_REG("tx_queue_len", 0444, show_queue_len),
	PROC_REG("type", 0444, show_lo_type),
	PROC_END,
};

static const struct pseudo_entry net_dirs[] = {
	PROC_DIR("lo", 0755, lo_files),
	PROC_END,
};

static const struct pseudo_entry class_dirs[] = {
	PROC_DIR("block", 0755, none),
	PROC_DIR("net", 0755, net_dirs),
	PROC_END,
};

static const struct pseudo_entry dev_dirs[] = {
	PROC_DIR("block", 0755, none),
	PROC_DIR("char", 0755, none),
	PROC_END,
};

static const struct pseudo_entry devices_dirs[] = {
	PROC_DIR("system", 0755, sysfs_system),
	PROC_END,
};

static const struct pseudo_entry thp_files[] = {
	PROC_REG("defrag", 0444, show_thp_defrag),
	PROC_REG("enabled", 0444, show_thp),
	PROC_REG("hpage_pmd_size", 0444, show_thp_size),
	PROC_REG("shmem_enabled", 0444, show_thp_shmem),
	PROC_REG("use_zero_page", 0444, show_zero),
	PROC_END,
};

static const struct pseudo_entry mm_dirs[] = {
	PROC_DIR("hugepages", 0755, none),
	PROC_DIR("transparent_hugepage", 0755, thp_files),
	PROC_END,
};

static const struct pseudo_entry kernel_dirs[] = {
	PROC_DIR("mm", 0755, mm_dirs),
	PROC_END,
};

static const struct pseudo_entry fs_dirs[] = {
	PROC_DIR("cgroup", 0755, none), /* mounted over */
	PROC_END,
};

static const struct pseudo_entry top_dirs[] = {
	PROC_DIR("block", 0755, none),
	PROC_DIR("bus", 0755, none),
	PROC_DIR("class", 0755, class_dirs),
	PROC_DIR("dev", 0755, dev_dirs),
	PROC_DIR("devices", 0755, devices_dirs),
	PROC_DIR("fs", 0755, fs_dirs),
	PROC_DIR("kernel", 0755, kernel_dirs),
	PROC_DIR("module", 0755, none),
	PROC_END,
};

static const struct pseudo_entry top = PROC_DIR("sys", 0555, top_dirs);

int sysfs_root(struct vnode **out)
{
	sysfs_cpu_init();
	return pseudo_root(&top, SYSFS_MAGIC, out);
}
