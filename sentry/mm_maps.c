#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "sentry/file.h"
#include "sentry/mm_impl.h"
#include "sentry/task.h"

#define NAME_COLUMN 73 /* of a maps line */

static const char *vma_name(const struct mm *mm, const struct vma *v)
{
	const struct mm_layout *l = &mm->layout;
	uint64_t brk_end = mm->brk ? mm->brk : l->start_brk;

	if (v->kind == VMA_FILE)
		return v->file->path ? v->file->path : "/memfd: (deleted)";
	if (v->kind == VMA_SHM)
		return v->shm->name ? v->shm->name : "/dev/zero (deleted)";
	if (v->start < brk_end && v->end > l->start_brk)
		return "[heap]";
	if (v->start <= l->start_stack && v->end >= l->start_stack && l->start_stack)
		return "[stack]";
	return NULL;
}

static void file_identity(const struct vma *v, struct stat *st)
{
	struct statx sx;

	memset(st, 0, sizeof(*st));
	if (v->kind == VMA_SHM && v->shm->ops) {
		st->st_dev = makedev(0, 1);
		st->st_ino = v->shm->ino;
	} else if (v->kind == VMA_SHM && !v->shm->name) {
		st->st_dev = makedev(0, 1);
		st->st_ino = 1 + ((uintptr_t)v->shm >> 4 & 0xffffff);
	} else if (v->kind == VMA_FILE && v->file->ops->fstat) {
		memset(&sx, 0, sizeof(sx));
		if (!v->file->ops->fstat(current, v->file, &sx)) {
			st->st_dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
			st->st_ino = sx.stx_ino;
		}
	} else if (v->kind == VMA_FILE && v->file->hostfd >= 0) {
		if (fstat(v->file->hostfd, st) < 0)
			memset(st, 0, sizeof(*st));
	}
}

/* A name as maps shows it: a newline would end the line. */
static void put_name(struct buf *out, const char *name)
{
	for (; *name; name++) {
		if (*name == '\n')
			buf_puts(out, "\\012");
		else
			buf_putc(out, *name);
	}
}

void mm_print_vma(struct mm *mm, const struct vma *v, struct buf *out)
{
	const char *name = vma_name(mm, v);
	size_t line = out->len;
	struct stat st;

	file_identity(v, &st);
	buf_printf(out, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ",
		   (unsigned long long)v->start, (unsigned long long)v->end,
		   v->prot & PROT_READ ? 'r' : '-', v->prot & PROT_WRITE ? 'w' : '-',
		   v->prot & PROT_EXEC ? 'x' : '-', v->flags & VMA_SHARED ? 's' : 'p',
		   (unsigned long long)(v->kind == VMA_ANON || (v->flags & VMA_SPECIAL) ? 0 : v->off), major(st.st_dev),
		   minor(st.st_dev), (unsigned long long)st.st_ino);
	if (name) {
		while (!out->failed && out->len - line < NAME_COLUMN)
			buf_putc(out, ' ');
		put_name(out, name);
	}
	buf_putc(out, '\n');
}

void mm_print_maps(struct mm *mm, struct buf *out)
{
	struct vma *v;

	pthread_mutex_lock(&mm->lock);
	list_for_each(v, &mm->vmas, node)
		mm_print_vma(mm, v, out);
	pthread_mutex_unlock(&mm->lock);
}

struct file *mm_unexecutable(struct mm *mm, uint64_t addr, uint64_t len)
{
	struct file *f = NULL;
	struct vma *v;

	if (!len || addr % PAGE_SIZE)
		return NULL;
	pthread_mutex_lock(&mm->lock);
	for (v = vma_find(mm, addr); v && (v->start <= addr || v->start - addr < len) && !f;
	     v = vma_next(mm, v))
		if (v->kind == VMA_FILE && !(v->flags & VMA_MAYEXEC))
			f = file_get(v->file);
	pthread_mutex_unlock(&mm->lock);
	return f;
}

void mm_usage(struct mm *mm, struct mm_usage *out)
{
	struct rusage ru;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&mm->lock);
	out->vsize = mm->vsize;
	out->vsize_peak = mm->vsize_peak;
	out->data = mm->data;
	out->stack = mm->stack;
	out->text = mm->text;
	out->locked = mm->locked;
	pthread_mutex_unlock(&mm->lock);
	/* The host counts what the sentry has grown by as well: not more than was mapped is said. */
	out->rss = MIN(pgpool_resident(), out->vsize);
	out->rss_peak = out->rss;
	if (!getrusage(RUSAGE_SELF, &ru))
		out->rss_peak = MAX(out->rss, MIN(pgpool_program_share((uint64_t)ru.ru_maxrss * 1024),
						  out->vsize_peak));
}
