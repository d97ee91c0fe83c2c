/* /proc/meminfo and vmstat: the sandbox's memory, whose size is its limit. */
#include "sentry/procfs.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include "sentry/hostproc.h"
#include "sentry/pgpool.h"

struct mem_sums { /* bytes, of all processes */
	uint64_t anon, file, shm, locked;
	uint64_t total, used, left;
};

uint64_t procfs_mem_used(void)
{
	uint64_t n = pgpool_resident();

	return n ? n : pgpool_used();
}

uint64_t procfs_mem_total(void)
{
	struct sysinfo si;
	uint64_t host = sysinfo(&si) ? 0 : (uint64_t)si.totalram * si.mem_unit;
	uint64_t limit = sandbox.config.limit_memory;

	return limit && limit < host ? limit : host;
}

/* What the host could still give. */
static uint64_t host_available(void)
{
	struct buf text = BUF_INIT;
	unsigned long long kib = 0;
	const char *s;

	if (!hostproc_read("meminfo", 16384, &text)) {
		s = strstr(text.data, "MemAvailable:");
		if (s)
			sscanf(s, "MemAvailable: %llu", &kib);
	}
	buf_free(&text);
	return kib * 1024;
}

uint64_t procfs_mem_free(void)
{
	uint64_t total = procfs_mem_total(), used = procfs_mem_used();
	uint64_t left = total > used ? total - used : 0, host = host_available();

	return MIN(left, host);
}

static void sum_up(struct mem_sums *s)
{
	struct pseudo_key key = {0};
	struct mm_usage u;
	struct mm *mm;

	memset(s, 0, sizeof(*s));
	for (key.pid = procfs_next_pid(&key, 1); key.pid > 0;
	     key.pid = procfs_next_pid(&key, key.pid + 1)) {
		if (procfs_mm(&key, &mm))
			continue;
		mm_resident(mm, &u);
		mm_put(mm);
		s->anon += u.rss_anon;
		s->file += u.rss_file;
		/* shared by most that have it: the largest is nearer to the truth than the sum */
		s->shm = MAX(s->shm, u.rss_shm);
		s->locked += u.locked;
	}
	s->total = procfs_mem_total();
	s->used = procfs_mem_used();
	s->anon = MIN(s->anon, s->used); /* after a fork several processes have the same pages */
	s->left = procfs_mem_free();
}

static void meminfo_row(struct buf *out, const char *name, uint64_t bytes)
{
	char label[24];

	snprintf(label, sizeof(label), "%s:", name);
	buf_printf(out, "%-15s %8llu kB\n", label, (unsigned long long)bytes / 1024);
}

int procfs_show_meminfo(const struct pseudo_key *k, struct buf *out)
{
	struct mem_sums s;

	sum_up(&s);
	const struct {
		const char *name;
		uint64_t bytes;
	} rows[] = {
		{"MemTotal", s.total}, {"MemFree", s.left}, {"MemAvailable", s.left}, {"Buffers", 0},
		{"Cached", s.file + s.shm}, {"SwapCached", 0}, {"Active", s.anon + s.file + s.shm},
		{"Inactive", 0}, {"Active(anon)", s.anon + s.shm}, {"Inactive(anon)", 0},
		{"Active(file)", s.file}, {"Inactive(file)", 0}, {"Unevictable", s.locked},
		{"Mlocked", s.locked}, {"SwapTotal", 0}, {"SwapFree", 0}, {"Dirty", 0},
		{"Writeback", 0}, {"AnonPages", s.anon}, {"Mapped", s.file + s.shm}, {"Shmem", s.shm},
		{"KReclaimable", 0}, {"Slab", 0}, {"SReclaimable", 0}, {"SUnreclaim", 0},
		{"KernelStack", 0}, {"PageTables", 0}, {"NFS_Unstable", 0}, {"Bounce", 0},
		{"WritebackTmp", 0}, {"CommitLimit", s.total}, {"Committed_AS", s.used},
		{"VmallocTotal", 34359738367ull * 1024}, {"VmallocUsed", 0}, {"VmallocChunk", 0},
		{"AnonHugePages", 0}, {"ShmemHugePages", 0}, {"ShmemPmdMapped", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		meminfo_row(out, rows[i].name, rows[i].bytes);
	buf_puts(out, "HugePages_Total:       0\nHugePages_Free:        0\n"
		      "HugePages_Rsvd:        0\nHugePages_Surp:        0\n");
	meminfo_row(out, "Hugepagesize", 2 << 20);
	meminfo_row(out, "Hugetlb", 0);
	return 0;
}

/* The counters that tools print. There is no paging to a disk, and no swap. */
int procfs_show_vmstat(const struct pseudo_key *k, struct buf *out)
{
	static const char *const none[] = {"nr_dirty", "nr_writeback", "nr_unstable", "pgpgin",
					   "pgpgout",  "pswpin",       "pswpout",     "pgmajfault",
					   "oom_kill"};
	struct mem_sums s;

	sum_up(&s);
	const struct {
		const char *name;
		uint64_t bytes;
	} rows[] = {
		{"nr_free_pages", s.left}, {"nr_inactive_anon", 0}, {"nr_active_anon", s.anon},
		{"nr_inactive_file", 0},   {"nr_active_file", s.file}, {"nr_unevictable", s.locked},
		{"nr_mlock", s.locked},	   {"nr_anon_pages", s.anon}, {"nr_mapped", s.file + s.shm},
		{"nr_file_pages", s.file + s.shm}, {"nr_shmem", s.shm},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		buf_printf(out, "%s %llu\n", rows[i].name,
			   (unsigned long long)rows[i].bytes / PLATFORM_PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		buf_printf(out, "%s 0\n", none[i]);
	return 0;
}

/* The one memory node, for /sys/devices/system/node/node0/meminfo. */
int procfs_show_node_meminfo(const struct pseudo_key *k, struct buf *out)
{
	struct mem_sums s;

	sum_up(&s);
	const struct {
		const char *name;
		uint64_t bytes;
	} rows[] = {
		{"MemTotal", s.total}, {"MemFree", s.left}, {"MemUsed", s.total - s.left},
		{"FilePages", s.file + s.shm}, {"Mapped", s.file + s.shm}, {"AnonPages", s.anon},
		{"Shmem", s.shm},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_puts(out, "Node 0 ");
		meminfo_row(out, rows[i].name, rows[i].bytes);
	}
	return 0;
}
