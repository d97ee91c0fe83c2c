/* /proc/PID/smaps and smaps_rollup: what of each mapping is present. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "sentry/mm_impl.h"

#define LOOKUPS_MAX 65536u /* pages of one file mapping that are looked up */

struct sums { /* pages */
	uint64_t size, rss, shared, dirty, anon, locked;
};

static uint64_t populated(const struct pagemap *m, uint64_t index, uint64_t end)
{
	struct pagemap_run run;
	uint64_t n = 0;

	while (index < end && pagemap_next_run(m, index, end, &run)) {
		n += MIN(run.n, end - run.index);
		index = run.index + run.n;
	}
	return n;
}

/* Pages of a file mapping that the app has touched. */
static uint64_t translated(struct mm *mm, const struct vma *v)
{
	uint64_t n = 0, off, left = LOOKUPS_MAX;
	unsigned prot;

	for (uint64_t at = v->start; v->touched && at < v->end && left; at += PLATFORM_PAGE, left--)
		n += platform_lookup(mm->as, at, &off, &prot);
	return n;
}

static void count(struct mm *mm, const struct vma *v, struct sums *s)
{
	uint64_t first = v->start / PLATFORM_PAGE, end = v->end / PLATFORM_PAGE;
	uint64_t at = v->off / PLATFORM_PAGE;

	memset(s, 0, sizeof(*s));
	s->size = end - first;
	s->locked = v->flags & VMA_LOCKED ? s->size : 0;
	if (v->kind == VMA_FILE)
		s->rss = translated(mm, v);
	else if (v->kind == VMA_SHM)
		s->rss = s->shared = s->dirty = populated(&v->shm->pages, at, at + s->size);
	else
		s->rss = s->anon = s->dirty = populated(&mm->pages, first, end);
}

void mm_resident(struct mm *mm, struct mm_usage *out)
{
	struct sums s;
	struct vma *v;
	uint64_t most;

	mm_usage(mm, out);
	most = out->rss;
	pthread_mutex_lock(&mm->lock);
	list_for_each(v, &mm->vmas, node) {
		if (v->kind == VMA_ANON)
			continue;
		count(mm, v, &s);
		if (v->kind == VMA_FILE)
			out->rss_file += s.rss * PLATFORM_PAGE;
		else
			out->rss_shm += s.rss * PLATFORM_PAGE;
	}
	out->rss_anon = mm->pages.pages * PLATFORM_PAGE;
	pthread_mutex_unlock(&mm->lock);
	/* Pages are made present in blocks, of which the host holds only what was touched. */
	out->rss_anon = MIN(out->rss_anon, most);
	out->rss_shm = MIN(out->rss_shm, most);
	out->rss = out->rss_anon + out->rss_file + out->rss_shm;
	out->rss_peak = MAX(out->rss, out->rss_peak);
}

static void row(struct buf *out, const char *name, uint64_t pages)
{
	char label[24];

	snprintf(label, sizeof(label), "%s:", name);
	buf_printf(out, "%-15s %8llu kB\n", label, (unsigned long long)pages * (PLATFORM_PAGE / 1024));
}

static void print_sums(const struct sums *s, bool rollup, struct buf *out)
{
	static const char *const zeroes[] = {"KSM", "LazyFree", "AnonHugePages", "ShmemPmdMapped",
					     "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb",
					     "Swap", "SwapPss"};

	if (!rollup) {
		row(out, "Size", s->size);
		row(out, "KernelPageSize", 1);
		row(out, "MMUPageSize", 1);
	}
	row(out, "Rss", s->rss);
	row(out, "Pss", s->rss); /* one process: nobody to share with */
	row(out, "Pss_Dirty", s->dirty);
	if (rollup) {
		row(out, "Pss_Anon", s->anon);
		row(out, "Pss_File", s->rss - s->anon - s->shared);
		row(out, "Pss_Shmem", s->shared);
	}
	row(out, "Shared_Clean", 0);
	row(out, "Shared_Dirty", 0);
	row(out, "Private_Clean", s->rss - s->dirty);
	row(out, "Private_Dirty", s->dirty);
	row(out, "Referenced", s->rss);
	row(out, "Anonymous", s->anon);
	for (size_t i = 0; i < ARRAY_SIZE(zeroes); i++)
		row(out, zeroes[i], 0);
	row(out, "Locked", s->locked);
	if (!rollup)
		buf_puts(out, "THPeligible:           0\n");
}

static void print_flags(const struct vma *v, struct buf *out)
{
	buf_printf(out, "VmFlags:%s%s%s%s mr mw me%s \n", v->prot & PROT_READ ? " rd" : "",
		   v->prot & PROT_WRITE ? " wr" : "", v->prot & PROT_EXEC ? " ex" : "",
		   v->flags & VMA_SHARED ? " sh" : "", v->flags & VMA_LOCKED ? " lo" : "");
}

void mm_print_smaps(struct mm *mm, struct buf *out)
{
	struct sums s;
	struct vma *v;

	pthread_mutex_lock(&mm->lock);
	list_for_each(v, &mm->vmas, node) {
		mm_print_vma(mm, v, out);
		count(mm, v, &s);
		print_sums(&s, false, out);
		print_flags(v, out);
	}
	pthread_mutex_unlock(&mm->lock);
}

void mm_print_smaps_rollup(struct mm *mm, struct buf *out)
{
	uint64_t start = 0, end = 0;
	struct sums s, all = {0};
	struct vma *v;

	pthread_mutex_lock(&mm->lock);
	list_for_each(v, &mm->vmas, node) {
		count(mm, v, &s);
		start = end ? start : v->start;
		end = v->end;
		all.rss += s.rss;
		all.shared += s.shared;
		all.dirty += s.dirty;
		all.anon += s.anon;
		all.locked += s.locked;
	}
	pthread_mutex_unlock(&mm->lock);
	buf_printf(out, "%08llx-%08llx ---p 00000000 00:00 0 %25s[rollup]\n",
		   (unsigned long long)start, (unsigned long long)end, "");
	print_sums(&all, true, out);
}
