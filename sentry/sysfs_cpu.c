/* /sys/devices/system/cpu and node: as many processors as the sandbox has, each a core of one package, with
 * the caches that the CPUID instruction describes, and one memory node. */
#include <cpuid.h>
#include <stdio.h>
#include "sentry/procfs.h"

#define INTEL_CACHES 4u
#define AMD_CACHES   0x8000001du
#define AMD_L1	     0x80000005u
#define AMD_L2	     0x80000006u
#define CACHES_MAX   8

static void put_list(struct buf *out, unsigned n)
{
	if (n > 1)
		buf_printf(out, "0-%u\n", n - 1);
	else
		buf_puts(out, "0\n");
}

/* Bits from..from+n-1 of all processors' masks, in words of 32 bits, the highest first. */
static void put_mask(struct buf *out, unsigned from, unsigned n)
{
	unsigned words = (procfs_cpus() + 31) / 32;

	for (unsigned w = words; w-- > 0;) {
		uint32_t bits = 0;

		for (unsigned i = 0; i < 32; i++)
			if (w * 32 + i >= from && w * 32 + i < from + n)
				bits |= 1u << i;
		if (w == words - 1)
			buf_printf(out, "%0*x", (int)((procfs_cpus() % 32 + 3) / 4), bits);
		else
			buf_printf(out, ",%08x", bits);
	}
	buf_putc(out, '\n');
}

int sysfs_show_cpu_list(const struct pseudo_key *k, struct buf *out)
{
	put_list(out, procfs_cpus());
	return 0;
}

static int show_cpu_mask(const struct pseudo_key *k, struct buf *out)
{
	put_mask(out, 0, procfs_cpus());
	return 0;
}

static int show_none(const struct pseudo_key *k, struct buf *out)
{
	buf_putc(out, '\n');
	return 0;
}

static int show_zero(const struct pseudo_key *k, struct buf *out)
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

/* ---- topology: key.num is the processor ---- */

static unsigned cpu_of(const struct pseudo_key *k)
{
	return (unsigned)k->num / CACHES_MAX;
}

static int show_cpu_number(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%u\n", cpu_of(k));
	return 0;
}

static int show_own_mask(const struct pseudo_key *k, struct buf *out)
{
	put_mask(out, cpu_of(k), 1);
	return 0;
}

static const struct pseudo_entry topology_files[] = {
	PROC_REG("core_cpus", 0444, show_own_mask),
	PROC_REG("core_cpus_list", 0444, show_cpu_number),
	PROC_REG("core_id", 0444, show_cpu_number),
	PROC_REG("core_siblings", 0444, show_cpu_mask),
	PROC_REG("core_siblings_list", 0444, sysfs_show_cpu_list),
	PROC_REG("die_cpus", 0444, show_cpu_mask),
	PROC_REG("die_cpus_list", 0444, sysfs_show_cpu_list),
	PROC_REG("die_id", 0444, show_zero),
	PROC_REG("package_cpus", 0444, show_cpu_mask),
	PROC_REG("package_cpus_list", 0444, sysfs_show_cpu_list),
	PROC_REG("physical_package_id", 0444, show_zero),
	PROC_REG("thread_siblings", 0444, show_own_mask),
	PROC_REG("thread_siblings_list", 0444, show_cpu_number),
	PROC_END,
};

/* ---- caches: key.num is the processor and the cache's index ---- */

struct cache {
	unsigned type, level, shared, line, partitions, ways, sets; /* type 1: data, 2: instruction, 3: both */
};

static struct cache caches[CACHES_MAX];
static unsigned nr_caches;

/* The index-th cache as CPUID's leaves for it describe it. */
static bool describe(unsigned leaf, unsigned index, struct cache *c)
{
	unsigned a, b, cx, d;

	if (!__get_cpuid_count(leaf, index, &a, &b, &cx, &d) || !(a & 0x1f))
		return false;
	*c = (struct cache){
		.type = a & 0x1f,
		.level = a >> 5 & 7,
		.line = (b & 0xfff) + 1,
		.partitions = (b >> 12 & 0x3ff) + 1,
		.ways = (b >> 22) + 1,
		.sets = cx + 1,
	};
	return c->type <= 3;
}

static void add_cache(unsigned type, unsigned level, unsigned kib, unsigned ways, unsigned line)
{
	if (kib && ways && line && nr_caches < CACHES_MAX)
		caches[nr_caches++] = (struct cache){type, level, 0, line, 1, ways, kib * 1024 / (ways * line)};
}

/* What older processors of AMD say of their caches (AMD64 manual, volume 3, appendix E). */
static void describe_old(void)
{
	static const unsigned ways[16] = {0, 1, 2, 0, 4, 0, 8, 0, 16, 0, 32, 48, 64, 96, 128, 1};
	unsigned a, b, c, d;

	if (!__get_cpuid(AMD_L1, &a, &b, &c, &d))
		return;
	add_cache(1, 1, c >> 24, c >> 16 & 0xff, c & 0xff);
	add_cache(2, 1, d >> 24, d >> 16 & 0xff, d & 0xff);
	if (!__get_cpuid(AMD_L2, &a, &b, &c, &d))
		return;
	add_cache(3, 2, c >> 16, ways[c >> 12 & 15], c & 0xff);
	add_cache(3, 3, (d >> 18) * 512, ways[d >> 12 & 15], d & 0xff);
}

void sysfs_cpu_init(void)
{
	while (nr_caches < CACHES_MAX && (describe(INTEL_CACHES, nr_caches, &caches[nr_caches]) ||
					  describe(AMD_CACHES, nr_caches, &caches[nr_caches])))
		nr_caches++;
	if (!nr_caches)
		describe_old();
}

static void get_cache(const struct pseudo_key *k, struct cache *c)
{
	*c = caches[(unsigned)k->num % CACHES_MAX];
	/* Only the last level is taken as common to all processors. */
	c->shared = c->level >= 3 ? procfs_cpus() : 1;
}

static int next_cache(const struct pseudo_key *k, int from)
{
	return from < (int)nr_caches ? from : -1;
}

static void bind_cache(struct pseudo_key *k, int number)
{
	k->num += number;
}

#define CACHE_FILE(name, value)                                                                    \
	static int show_cache_##name(const struct pseudo_key *k, struct buf *out)                  \
	{                                                                                          \
		struct cache c;                                                                    \
		get_cache(k, &c);                                                                  \
		buf_printf(out, "%u\n", (value));                                                  \
		return 0;                                                                          \
	}
CACHE_FILE(line, c.line)
CACHE_FILE(level, c.level)
CACHE_FILE(sets, c.sets)
CACHE_FILE(partitions, c.partitions)
CACHE_FILE(ways, c.ways)
CACHE_FILE(id, c.shared > 1 ? 0 : cpu_of(k))

static int show_cache_size(const struct pseudo_key *k, struct buf *out)
{
	struct cache c;

	get_cache(k, &c);
	buf_printf(out, "%lluK\n", 1ull * c.line * c.partitions * c.ways * c.sets / 1024);
	return 0;
}

static int show_cache_type(const struct pseudo_key *k, struct buf *out)
{
	static const char *const names[] = {"", "Data", "Instruction", "Unified"};
	struct cache c;

	get_cache(k, &c);
	buf_printf(out, "%s\n", names[c.type & 3]);
	return 0;
}

static int show_cache_list(const struct pseudo_key *k, struct buf *out)
{
	struct cache c;

	get_cache(k, &c);
	if (c.shared > 1)
		put_list(out, c.shared);
	else
		buf_printf(out, "%u\n", cpu_of(k));
	return 0;
}

static int show_cache_mask(const struct pseudo_key *k, struct buf *out)
{
	struct cache c;

	get_cache(k, &c);
	put_mask(out, c.shared > 1 ? 0 : cpu_of(k), c.shared);
	return 0;
}

static const struct pseudo_entry cache_files[] = {
	PROC_REG("coherency_line_size", 0444, show_cache_line),
	PROC_REG("id", 0444, show_cache_id),
	PROC_REG("level", 0444, show_cache_level),
	PROC_REG("number_of_sets", 0444, show_cache_sets),
	PROC_REG("physical_line_partition", 0444, show_cache_partitions),
	PROC_REG("shared_cpu_list", 0444, show_cache_list),
	PROC_REG("shared_cpu_map", 0444, show_cache_mask),
	PROC_REG("size", 0444, show_cache_size),
	PROC_REG("type", 0444, show_cache_type),
	PROC_REG("ways_of_associativity", 0444, show_cache_ways),
	PROC_END,
};

static const struct pseudo_entry cache_dir = PROC_DIR("index", 0755, cache_files);

/* ---- processors ---- */

static int next_cpu(const struct pseudo_key *k, int from)
{
	return from < (int)procfs_cpus() ? from : -1;
}

static void bind_cpu(struct pseudo_key *k, int number)
{
	k->num = number * CACHES_MAX;
}

static const struct pseudo_entry cpu_members[] = {
	{.name = "cache", .mode = S_IFDIR | 0755, .numbered = &cache_dir, .prefix = "index",
	 .next = next_cache, .bind = bind_cache},
	PROC_REG("online", 0444, show_one),
	PROC_DIR("topology", 0755, topology_files),
	PROC_END,
};

static const struct pseudo_entry cpu_dir = PROC_DIR("cpuN", 0755, cpu_members);

static const struct pseudo_entry cpu_files[] = {
	PROC_REG("isolated", 0444, show_none),
	PROC_REG("kernel_max", 0444, show_kernel_max),
	PROC_REG("offline", 0444, show_none),
	PROC_REG("online", 0444, sysfs_show_cpu_list),
	PROC_REG("possible", 0444, sysfs_show_cpu_list),
	PROC_REG("present", 0444, sysfs_show_cpu_list),
	PROC_END,
};

/* ---- the memory node ---- */

static int show_distance(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "10\n");
	return 0;
}

static const struct pseudo_entry node0_files[] = {
	PROC_REG("cpulist", 0444, sysfs_show_cpu_list),
	PROC_REG("cpumap", 0444, show_cpu_mask),
	PROC_REG("distance", 0444, show_distance),
	PROC_REG("meminfo", 0444, procfs_show_node_meminfo),
	PROC_END,
};

static const struct pseudo_entry node_files[] = {
	PROC_REG("has_cpu", 0444, show_zero),
	PROC_REG("has_memory", 0444, show_zero),
	PROC_REG("has_normal_memory", 0444, show_zero),
	PROC_DIR("node0", 0755, node0_files),
	PROC_REG("online", 0444, show_zero),
	PROC_REG("possible", 0444, show_zero),
	PROC_END,
};

const struct pseudo_entry sysfs_system[] = {
	{.name = "cpu", .mode = S_IFDIR | 0755, .children = cpu_files, .numbered = &cpu_dir,
	 .prefix = "cpu", .next = next_cpu, .bind = bind_cpu},
	PROC_DIR("node", 0755, node_files),
	PROC_END,
};
