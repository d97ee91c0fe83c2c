/* /proc/sys: the few settings that programs read. */
#include "sentry/procfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include "sentry/hostproc.h"
#include "sentry/mqueue.h"
#include "sentry/ipc.h"

#define PID_MAX	      4194304
#define MAP_COUNT_MAX 65530

/* ---- sys/kernel ---- */

#define UNAME_FILE(field)                                                                          \
	static int show_##field(const struct pseudo_key *k, struct buf *out)                       \
	{                                                                                          \
		struct utsname u;                                                                  \
		sandbox_uname(&u);                                                                  \
		buf_printf(out, "%s\n", u.field);                                                  \
		return 0;                                                                          \
	}
UNAME_FILE(sysname)
UNAME_FILE(release)
UNAME_FILE(version)
UNAME_FILE(nodename)
UNAME_FILE(domainname)

/* Version 4 of the UUIDs: random but for the version and variant bits. */
static int print_uuid(unsigned char b[16], struct buf *out)
{
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++)
		buf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
	buf_putc(out, '\n');
	return 0;
}

static int show_uuid(const struct pseudo_key *k, struct buf *out)
{
	unsigned char b[16];

	return getrandom(b, sizeof(b), 0) == sizeof(b) ? print_uuid(b, out) : -EIO;
}

/* One for the life of the sandbox. */
static int show_boot_id(const struct pseudo_key *k, struct buf *out)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static unsigned char id[16];
	static bool made;
	unsigned char b[16];

	pthread_mutex_lock(&lock);
	if (!made)
		made = getrandom(id, sizeof(id), 0) == sizeof(id);
	memcpy(b, id, sizeof(b));
	pthread_mutex_unlock(&lock);
	return made ? print_uuid(b, out) : -EIO;
}

#define CONST_FILE(name, value)                                                                    \
	static int show_##name(const struct pseudo_key *k, struct buf *out)                        \
	{                                                                                          \
		buf_printf(out, "%lld\n", (long long)(value));                                     \
		return 0;                                                                          \
	}
CONST_FILE(pid_max, PID_MAX)
CONST_FILE(entropy, 256)
CONST_FILE(ngroups_max, 65536)
CONST_FILE(cap_last_cap, 40)
CONST_FILE(randomize_va_space, 2)
CONST_FILE(overflow_id, 65534)
CONST_FILE(overcommit_memory, 1) /* mappings are never refused for what they might use */
CONST_FILE(overcommit_ratio, 50)
CONST_FILE(max_map_count, MAP_COUNT_MAX)
CONST_FILE(mmap_min_addr, 65536)
CONST_FILE(file_max, INT64_MAX)
CONST_FILE(nr_open, 1048576)
CONST_FILE(msgmax, IPC_MSG_MAX)
CONST_FILE(msgmnb, IPC_MSG_MNB)
CONST_FILE(msgmni, IPC_MSG_MNI)
CONST_FILE(shmmni, IPC_SHM_MNI)
CONST_FILE(zero, 0)
CONST_FILE(fips_enabled, 0) /* crypto libraries look */

static int show_shmmax(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%llu\n", (unsigned long long)IPC_SHM_MAX);
	return 0;
}

static int show_sem_limits(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%u\t%u\t%u\t%u\n", IPC_SEM_MSL, IPC_SEM_MNS, IPC_SEM_OPM, IPC_SEM_MNI);
	return 0;
}

CONST_FILE(tainted, 0)
CONST_FILE(core_uses_pid, 0)
CONST_FILE(suid_dumpable, 0)
CONST_FILE(dmesg_restrict, 1)
CONST_FILE(kptr_restrict, 1)
CONST_FILE(perf_event_paranoid, 3)
CONST_FILE(rt_period, 1000000)
CONST_FILE(rt_runtime, 950000)
CONST_FILE(rr_timeslice, 4)
CONST_FILE(mq_messages, MQ_MESSAGES_MAX)
CONST_FILE(mq_size, MQ_SIZE_MAX)
CONST_FILE(mq_queues, MQ_QUEUES_MAX)
CONST_FILE(aio_max_nr, 65536)
CONST_FILE(aio_nr, 0)
CONST_FILE(lease_break_time, 45)
CONST_FILE(protected, 1)
CONST_FILE(swappiness, 60)
CONST_FILE(nr_hugepages, 0)
CONST_FILE(page_cluster, 3)
CONST_FILE(panic_on_oom, 0)

/* Nothing dumps core. */
static int show_core_pattern(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "core\n");
	return 0;
}

/* Open descriptors are counted for each process only; the middle number is 0 since Linux 2.6. */
static int show_file_nr(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%d\t0\t%lld\n", atomic_load(&sandbox.nr_tasks), (long long)INT64_MAX);
	return 0;
}

#define HOST_FILE(name, path)                                                                      \
	static int show_##name(const struct pseudo_key *k, struct buf *out)                        \
	{                                                                                          \
		return hostproc_read(path, 64, out);                                               \
	}
HOST_FILE(pipe_max, "sys/fs/pipe-max-size")
HOST_FILE(pipe_soft, "sys/fs/pipe-user-pages-soft")
HOST_FILE(pipe_hard, "sys/fs/pipe-user-pages-hard")
HOST_FILE(epoll_watches, "sys/fs/epoll/max_user_watches")
HOST_FILE(inotify_events, "sys/fs/inotify/max_queued_events")
HOST_FILE(inotify_instances, "sys/fs/inotify/max_user_instances")
HOST_FILE(inotify_watches, "sys/fs/inotify/max_user_watches")
HOST_FILE(somaxconn, "sys/net/core/somaxconn")
HOST_FILE(port_range, "sys/net/ipv4/ip_local_port_range")

static int show_threads_max(const struct pseudo_key *k, struct buf *out)
{
	uint64_t n = sandbox.config.limit_processes;

	buf_printf(out, "%llu\n", (unsigned long long)(n ? n : PID_MAX));
	return 0;
}

static const struct pseudo_entry random_dir[] = {
	PROC_REG("boot_id", 0444, show_boot_id),
	PROC_REG("entropy_avail", 0444, show_entropy),
	PROC_REG("poolsize", 0444, show_entropy),
	PROC_REG("uuid", 0444, show_uuid),
	PROC_END,
};

static const struct pseudo_entry kernel_dir[] = {
	PROC_REG("cap_last_cap", 0444, show_cap_last_cap),
	PROC_REG("core_pattern", 0444, show_core_pattern),
	PROC_REG("core_uses_pid", 0444, show_core_uses_pid),
	PROC_REG("dmesg_restrict", 0444, show_dmesg_restrict),
	PROC_REG("domainname", 0444, show_domainname),
	PROC_REG("hostname", 0444, show_nodename),
	PROC_REG("msgmax", 0444, show_msgmax),
	PROC_REG("msgmnb", 0444, show_msgmnb),
	PROC_REG("msgmni", 0444, show_msgmni),
	PROC_REG("kptr_restrict", 0444, show_kptr_restrict),
	PROC_REG("ngroups_max", 0444, show_ngroups_max),
	PROC_REG("osrelease", 0444, show_release),
	PROC_REG("ostype", 0444, show_sysname),
	PROC_REG("overflowgid", 0444, show_overflow_id),
	PROC_REG("overflowuid", 0444, show_overflow_id),
	PROC_REG("perf_event_paranoid", 0444, show_perf_event_paranoid),
	PROC_REG("pid_max", 0444, show_pid_max),
	PROC_DIR("random", 0555, random_dir),
	PROC_REG("randomize_va_space", 0444, show_randomize_va_space),
	PROC_REG("sem", 0444, show_sem_limits),
	PROC_REG("shm_rmid_forced", 0444, show_zero),
	PROC_REG("shmall", 0444, show_shmmax),
	PROC_REG("shmmax", 0444, show_shmmax),
	PROC_REG("shmmni", 0444, show_shmmni),
	PROC_REG("sched_rr_timeslice_ms", 0444, show_rr_timeslice),
	PROC_REG("sched_rt_period_us", 0444, show_rt_period),
	PROC_REG("sched_rt_runtime_us", 0444, show_rt_runtime),
	PROC_REG("tainted", 0444, show_tainted),
	PROC_REG("threads-max", 0444, show_threads_max),
	PROC_REG("version", 0444, show_version),
	PROC_END,
};

static const struct pseudo_entry vm_dir[] = {
	PROC_REG("max_map_count", 0444, show_max_map_count),
	PROC_REG("mmap_min_addr", 0444, show_mmap_min_addr),
	PROC_REG("overcommit_memory", 0444, show_overcommit_memory),
	PROC_REG("nr_hugepages", 0444, show_nr_hugepages),
	PROC_REG("overcommit_ratio", 0444, show_overcommit_ratio),
	PROC_REG("page-cluster", 0444, show_page_cluster),
	PROC_REG("panic_on_oom", 0444, show_panic_on_oom),
	PROC_REG("swappiness", 0444, show_swappiness),
	PROC_END,
};

static const struct pseudo_entry crypto_dir[] = {
	PROC_REG("fips_enabled", 0444, show_fips_enabled),
	PROC_END,
};

static const struct pseudo_entry epoll_dir[] = {
	PROC_REG("max_user_watches", 0444, show_epoll_watches),
	PROC_END,
};

static const struct pseudo_entry inotify_dir[] = {
	PROC_REG("max_queued_events", 0444, show_inotify_events),
	PROC_REG("max_user_instances", 0444, show_inotify_instances),
	PROC_REG("max_user_watches", 0444, show_inotify_watches),
	PROC_END,
};

static const struct pseudo_entry mqueue_dir[] = {
	PROC_REG("msg_default", 0444, show_mq_messages),
	PROC_REG("msg_max", 0444, show_mq_messages),
	PROC_REG("msgsize_default", 0444, show_mq_size),
	PROC_REG("msgsize_max", 0444, show_mq_size),
	PROC_REG("queues_max", 0444, show_mq_queues),
	PROC_END,
};

static const struct pseudo_entry fs_dir[] = {
	PROC_REG("aio-max-nr", 0444, show_aio_max_nr),
	PROC_REG("aio-nr", 0444, show_aio_nr),
	PROC_DIR("epoll", 0555, epoll_dir),
	PROC_REG("file-nr", 0444, show_file_nr),
	PROC_DIR("inotify", 0555, inotify_dir),
	PROC_REG("lease-break-time", 0444, show_lease_break_time),
	PROC_REG("overflowgid", 0444, show_overflow_id),
	PROC_REG("overflowuid", 0444, show_overflow_id),
	PROC_REG("pipe-user-pages-hard", 0444, show_pipe_hard),
	PROC_REG("pipe-user-pages-soft", 0444, show_pipe_soft),
	PROC_REG("protected_hardlinks", 0444, show_protected),
	PROC_REG("protected_symlinks", 0444, show_protected),
	PROC_REG("suid_dumpable", 0444, show_suid_dumpable),
	PROC_REG("file-max", 0444, show_file_max),
	PROC_DIR("mqueue", 0555, mqueue_dir),
	PROC_REG("nr_open", 0444, show_nr_open),
	PROC_REG("pipe-max-size", 0444, show_pipe_max),
	PROC_END,
};

static const struct pseudo_entry core_dir[] = {
	PROC_REG("somaxconn", 0444, show_somaxconn),
	PROC_END,
};

static const struct pseudo_entry ipv4_dir[] = {
	PROC_REG("ip_local_port_range", 0444, show_port_range),
	PROC_END,
};

static const struct pseudo_entry net_dir[] = {
	PROC_DIR("core", 0555, core_dir),
	PROC_DIR("ipv4", 0555, ipv4_dir),
	PROC_END,
};

const struct pseudo_entry procfs_sys[] = {
	PROC_DIR("crypto", 0555, crypto_dir),
	PROC_DIR("fs", 0555, fs_dir),
	PROC_DIR("kernel", 0555, kernel_dir),
	PROC_DIR("net", 0555, net_dir),
	PROC_DIR("vm", 0555, vm_dir),
	PROC_END,
};
