/* Files at the top of /proc about devices, control groups and the kernel, as tools read them. */
#include "sentry/procfs.h"

#include <stdio.h>

int procfs_show_devices(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n"
		      "136 pts\n\nBlock devices:\n");
	return 0;
}

/* Which numbers are terminals: ps looks their names up here. */
static int show_tty_drivers(const struct pseudo_key *k, struct buf *out)
{
	static const struct {
		const char *name, *node;
		int major;
		const char *minors, *type;
	} rows[] = {
		{"/dev/tty", "/dev/tty", 5, "0", "system:/dev/tty"},
		{"/dev/console", "/dev/console", 5, "1", "system:console"},
		{"/dev/ptmx", "/dev/ptmx", 5, "2", "system"},
		{"serial", "/dev/ttyS", 4, "64-95", "serial"},
		{"pty_slave", "/dev/pts", 136, "0-1048575", "pty:slave"},
		{"pty_master", "/dev/ptm", 128, "0-1048575", "pty:master"},
		{"unknown", "/dev/tty", 4, "1-63", "console"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		buf_printf(out, "%-20s %-10s %5d %7s %s\n", rows[i].name, rows[i].node, rows[i].major,
			   rows[i].minors, rows[i].type);
	return 0;
}

const struct pseudo_entry procfs_tty[] = {
	PROC_REG("drivers", 0444, show_tty_drivers),
	PROC_END,
};

int procfs_show_partitions(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "major minor  #blocks  name\n\n");
	return 0;
}

/* There are none: no block devices, modules, interrupts. */
int procfs_show_empty(const struct pseudo_key *k, struct buf *out)
{
	return 0;
}

/* The controllers whose limits /sys/fs/cgroup tells, in the unified hierarchy. */
int procfs_show_cgroups(const struct pseudo_key *k, struct buf *out)
{
	static const char *const names[] = {"cpuset", "cpu", "cpuacct", "memory", "pids"};

	buf_puts(out, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		buf_printf(out, "%s\t0\t1\t1\n", names[i]);
	return 0;
}

/* How the kernel was started is the host's. */
int procfs_show_kernel_cmdline(const struct pseudo_key *k, struct buf *out)
{
	buf_putc(out, '\n');
	return 0;
}
