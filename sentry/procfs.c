/* The top of /proc. */
#include "sentry/procfs.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "sentry/hostproc.h"
#include "sentry/ipc.h"
#include "sentry/vdso.h"

#define USER_HZ	    100ull
#define CPUINFO_MAX (8u << 20)

static unsigned host_cpus = 1;
static struct vnode *root_node; /* borrowed: the mount holds it */

unsigned procfs_cpus(void)
{
	return sandbox.config.cpus ? sandbox.config.cpus : host_cpus;
}

/* ---- processors and time ---- */

/* The host's text for as many processors as the sandbox has. */
static int show_cpuinfo(const struct pseudo_key *k, struct buf *out)
{
	unsigned left = procfs_cpus();
	char *s, *end;
	int r = hostproc_read("cpuinfo", CPUINFO_MAX, out);

	if (r || !out->len)
		return r;
	for (s = out->data; left && (end = strstr(s, "\n\n")); left--)
		s = end + 2;
	if (!left) {
		out->len = (size_t)(s - out->data);
		*s = '\0';
	}
	return 0;
}

static uint64_t ticks(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * USER_HZ + (uint64_t)tv->tv_usec / (1000000 / USER_HZ);
}

static int show_uptime(const struct pseudo_key *k, struct buf *out)
{
	uint64_t up = vdso_now(CLOCK_BOOTTIME) / 10000000, idle;
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	idle = up * procfs_cpus();
	idle -= MIN(idle, ticks(&u.ru_utime) + ticks(&u.ru_stime));
	buf_printf(out, "%llu.%02llu %llu.%02llu\n", (unsigned long long)up / 100,
		   (unsigned long long)up % 100, (unsigned long long)idle / 100,
		   (unsigned long long)idle % 100);
	return 0;
}

static void cpu_row(struct buf *out, const char *name, uint64_t user, uint64_t sys, uint64_t all)
{
	buf_printf(out, "%s %llu 0 %llu %llu 0 0 0 0 0 0\n", name, (unsigned long long)user,
		   (unsigned long long)sys,
		   (unsigned long long)(all > user + sys ? all - user - sys : 0));
}

/* The sandbox's own use of the processors; the rest of the time counts as idle. */
static int show_stat(const struct pseudo_key *k, struct buf *out)
{
	uint64_t boot = vdso_now(CLOCK_BOOTTIME), now = vdso_now(CLOCK_REALTIME);
	uint64_t all = boot / (1000000000ull / USER_HZ), user, sys;
	unsigned n = procfs_cpus();
	struct rusage u;
	char name[16];

	getrusage(RUSAGE_SELF, &u);
	user = ticks(&u.ru_utime);
	sys = ticks(&u.ru_stime);
	cpu_row(out, "cpu ", user, sys, all * n);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "cpu%u", i);
		cpu_row(out, name, user / n + (i < user % n), sys / n + (i < sys % n), all);
	}
	buf_printf(out, "intr 0\nctxt %ld\nbtime %llu\nprocesses %d\n", u.ru_nvcsw + u.ru_nivcsw,
		   (unsigned long long)((now - boot) / 1000000000ull), sandbox.next_pid - 1);
	buf_puts(out, "procs_running 1\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n");
	return 0;
}

/* The host's load is not the sandbox's to know. Its own: how many processors it kept busy so far. */
uint64_t procfs_load(void)
{
	uint64_t age = vdso_now(CLOCK_MONOTONIC) - sandbox.start_mono_ns, busy;
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	busy = (ticks(&u.ru_utime) + ticks(&u.ru_stime)) * (1000000000ull / USER_HZ);
	return age ? busy * 100 / age : 0;
}

static int show_loadavg(const struct pseudo_key *k, struct buf *out)
{
	unsigned long long load = procfs_load();

	for (int i = 0; i < 3; i++)
		buf_printf(out, "%llu.%02llu ", load / 100, load % 100);
	buf_printf(out, "1/%d %d\n", atomic_load(&sandbox.nr_tasks), sandbox.next_pid - 1);
	return 0;
}

/* ---- identity of the system ---- */

static int show_version(const struct pseudo_key *k, struct buf *out)
{
	struct utsname u;

	sandbox_uname(&u);
	buf_printf(out, "%s version %s (sbx) %s\n", u.sysname, u.release, u.version);
	return 0;
}

static int show_filesystems(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "nodev\tproc\nnodev\tsysfs\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tcgroup2\n");
	return 0;
}

static int show_swaps(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	return 0;
}

static ssize_t link_self(const struct pseudo_key *k, char *buf, size_t size)
{
	char text[16];

	if (!current)
		return -ENOENT;
	snprintf(text, sizeof(text), "%d", current->proc->pid);
	return procfs_text(text, buf, size);
}

static ssize_t link_thread_self(const struct pseudo_key *k, char *buf, size_t size)
{
	char text[40];

	if (!current)
		return -ENOENT;
	snprintf(text, sizeof(text), "%d/task/%d", current->proc->pid, current->tid);
	return procfs_text(text, buf, size);
}

/* Both are followed to the directory itself, whose name is then /proc/self: what a policy grants
 * there is the process's own, whatever its number. */
static int follow_own(const struct pseudo_entry *dir, int tid, struct vnode **out)
{
	struct pseudo_key key = {.tid = tid};
	char path[48];
	int r;

	if (!current)
		return -ENOENT;
	key.pid = current->proc->pid;
	r = pseudo_node(root_node->mnt, dir, &key, PROC_SUPER_MAGIC, out);
	if (r)
		return r;
	if (tid)
		snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
	else
		snprintf(path, sizeof(path), "/proc/self");
	(*out)->path = strdup(path);
	if ((*out)->path)
		return 0;
	vnode_put(*out);
	return -ENOMEM;
}

static int follow_self(struct task *t, const struct pseudo_key *k, struct vnode **out)
{
	return follow_own(&procfs_pid_dir, 0, out);
}

static int follow_thread_self(struct task *t, const struct pseudo_key *k, struct vnode **out)
{
	return follow_own(&procfs_tid_dir, t ? t->tid : 0, out);
}

static ssize_t link_mounts(const struct pseudo_key *k, char *buf, size_t size)
{
	return procfs_text("self/mounts", buf, size);
}

static ssize_t link_net(const struct pseudo_key *k, char *buf, size_t size)
{
	return procfs_text("self/net", buf, size);
}

static void bind_pid(struct pseudo_key *k, int number)
{
	k->pid = number;
}

static const struct pseudo_entry sysvipc_dir[] = {
	PROC_REG("msg", 0444, ipc_show_msg),
	PROC_REG("sem", 0444, ipc_show_sem),
	PROC_REG("shm", 0444, ipc_show_shm),
	PROC_END,
};

static const struct pseudo_entry top_members[] = {
	PROC_REG("cgroups", 0444, procfs_show_cgroups),
	PROC_REG("cmdline", 0444, procfs_show_kernel_cmdline),
	PROC_REG("cpuinfo", 0444, show_cpuinfo),
	PROC_REG("devices", 0444, procfs_show_devices),
	PROC_REG("diskstats", 0444, procfs_show_empty),
	PROC_REG("filesystems", 0444, show_filesystems),
	PROC_REG("loadavg", 0444, show_loadavg),
	PROC_REG("meminfo", 0444, procfs_show_meminfo),
	PROC_REG("modules", 0444, procfs_show_empty),
	PROC_LINK("mounts", link_mounts),
	PROC_LINK("net", link_net),
	PROC_REG("partitions", 0444, procfs_show_partitions),
	PROC_MAGIC("self", link_self, follow_self),
	PROC_REG("stat", 0444, show_stat),
	PROC_REG("swaps", 0444, show_swaps),
	PROC_DIR("sys", 0555, procfs_sys),
	PROC_DIR("sysvipc", 0555, sysvipc_dir),
	PROC_MAGIC("thread-self", link_thread_self, follow_thread_self),
	PROC_DIR("tty", 0555, procfs_tty),
	PROC_REG("uptime", 0444, show_uptime),
	PROC_REG("version", 0444, show_version),
	PROC_REG("vmstat", 0444, procfs_show_vmstat),
	PROC_END,
};

static const struct pseudo_entry top = {
	.name = "proc",
	.mode = S_IFDIR | 0555,
	.children = top_members,
	.numbered = &procfs_pid_dir,
	.next = procfs_next_pid,
	.bind = bind_pid,
};

int procfs_root(struct vnode **out)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN); /* reads a host file: not possible later */
	int r;

	host_cpus = n > 0 ? (unsigned)n : 1;
	r = pseudo_root(&top, PROC_SUPER_MAGIC, out);
	if (!r)
		root_node = *out;
	return r;
}
