/* System calls of memory. */
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/hot.h"
#include "sentry/mm_impl.h"
#include "sentry/sys.h"

static struct mm *mm_of(struct task *t)
{
	return t->proc->mm;
}

long sys_mmap(struct task *t, struct sysargs *a)
{
	int prot = A_INT(a, 2), flags = A_INT(a, 3);
	struct file *f = NULL;

	if (a->raw[5] % PAGE_SIZE)
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS)) {
		f = a->file[4];
		if (!f || f->flags & O_PATH)
			return -EBADF;
	}
	return mm_mmap(mm_of(t), a->raw[0], a->raw[1], prot, flags, f, a->raw[5]);
}

hot_path struct file *sys_mm_executes(struct task *t, const struct sysargs *a)
{
	struct file *f = NULL;

	if ((a->nr != SYS_mmap && a->nr != SYS_mprotect && a->nr != SYS_pkey_mprotect) ||
	    !(A_INT(a, 2) & PROT_EXEC))
		return NULL;
	if (a->nr != SYS_mmap)
		f = mm_unexecutable(mm_of(t), a->raw[0], a->raw[1]);
	else if (!(A_INT(a, 3) & MAP_ANONYMOUS) && a->file[4] &&
		 !(a->file[4]->verbs & POL_V_EXEC))
		f = file_get(a->file[4]);
	if (f && !f->path) { /* no rule can be about it */
		file_put(f);
		f = NULL;
	}
	return f;
}

long sys_munmap(struct task *t, struct sysargs *a)
{
	return mm_munmap(mm_of(t), a->raw[0], a->raw[1]);
}

long sys_mprotect(struct task *t, struct sysargs *a)
{
	return mm_mprotect(mm_of(t), a->raw[0], a->raw[1], A_INT(a, 2));
}

/* As on a processor without protection keys: there is only the default one, named -1 here. */
long sys_pkey_mprotect(struct task *t, struct sysargs *a)
{
	if (A_INT(a, 3) != -1)
		return a->raw[0] % PAGE_SIZE || a->raw[1] ? -EINVAL : 0;
	return mm_mprotect(mm_of(t), a->raw[0], a->raw[1], A_INT(a, 2));
}

long sys_pkey_alloc(struct task *t, struct sysargs *a)
{
	return A_UINT(a, 0) || (A_UINT(a, 1) & ~3u) ? -EINVAL : -ENOSPC;
}

long sys_pkey_free(struct task *t, struct sysargs *a)
{
	return -EINVAL;
}

long sys_mremap(struct task *t, struct sysargs *a)
{
	return mm_mremap(mm_of(t), a->raw[0], a->raw[1], a->raw[2], A_INT(a, 3), a->raw[4]);
}

long sys_madvise(struct task *t, struct sysargs *a)
{
	return mm_madvise(mm_of(t), a->raw[0], a->raw[1], A_INT(a, 2));
}

long sys_msync(struct task *t, struct sysargs *a)
{
	return mm_msync(mm_of(t), a->raw[0], a->raw[1], A_INT(a, 2));
}

long sys_mincore(struct task *t, struct sysargs *a)
{
	return mm_mincore(mm_of(t), a->raw[0], a->raw[1], A_PTR(a, 2));
}

long sys_brk(struct task *t, struct sysargs *a)
{
	return (long)mm_brk(mm_of(t), a->raw[0]);
}

static uint64_t memlock_limit(struct task *t)
{
	uint64_t v;

	pthread_mutex_lock(&t->proc->lock);
	v = t->proc->rlim[RLIMIT_MEMLOCK].rlim_cur;
	pthread_mutex_unlock(&t->proc->lock);
	return v;
}

long sys_mlock(struct task *t, struct sysargs *a)
{
	return mm_mlock(mm_of(t), a->raw[0], a->raw[1], false, memlock_limit(t));
}

long sys_mlock2(struct task *t, struct sysargs *a)
{
	unsigned flags = A_UINT(a, 2);

	if (flags & ~(unsigned)MLOCK_ONFAULT)
		return -EINVAL;
	return mm_mlock(mm_of(t), a->raw[0], a->raw[1], flags & MLOCK_ONFAULT, memlock_limit(t));
}

long sys_munlock(struct task *t, struct sysargs *a)
{
	return mm_munlock(mm_of(t), a->raw[0], a->raw[1]);
}

long sys_mlockall(struct task *t, struct sysargs *a)
{
	return mm_mlockall(mm_of(t), A_INT(a, 0), memlock_limit(t));
}

long sys_munlockall(struct task *t, struct sysargs *a)
{
	return mm_munlockall(mm_of(t));
}

/* The app's threads are threads of this process and run natively between exits, so the host's
 * barrier is theirs. */
long sys_membarrier(struct task *t, struct sysargs *a)
{
	long ret;

	switch (A_INT(a, 0)) {
	case MEMBARRIER_CMD_QUERY:
	case MEMBARRIER_CMD_GLOBAL:
	case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
		break;
	default:
		return -EINVAL;
	}
	ret = syscall(SYS_membarrier, A_INT(a, 0), A_UINT(a, 1), 0);
	if (ret < 0)
		return -errno;
	if (A_INT(a, 0) == MEMBARRIER_CMD_QUERY)
		ret &= MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |
		       MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
		       MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
	return ret;
}
