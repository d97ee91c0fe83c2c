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

/* What can be registered for, and the command that may be used then. */
static const struct {
	int registers, use;
} barriers[] = {
	{MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0},
	{MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED},
	{MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
	 MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE},
};

#define BARRIER_REGISTRATIONS 512 /* MEMBARRIER_CMD_GET_REGISTRATIONS */
#define BARRIERS                                                                                   \
	(MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |                                 \
	 MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |             \
	 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE |  \
	 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE)

static long host_barrier(int cmd)
{
	long ret = syscall(SYS_membarrier, cmd, 0, 0);

	return ret < 0 ? -errno : ret;
}

/* The app's threads are threads of this process and run natively between exits, so the host's
 * barrier is theirs; a vCPU that is interrupted for it is serialised when it enters the guest again.
 * Who registered is kept for each process. There is no command for rseq without rseq. */
long sys_membarrier(struct task *t, struct sysargs *a)
{
	int cmd = A_INT(a, 0);
	unsigned registered;
	long have;
	size_t i;

	if (A_UINT(a, 1))
		return -EINVAL;
	if (cmd == BARRIER_REGISTRATIONS)
		return atomic_load(&t->proc->barriers);
	have = host_barrier(MEMBARRIER_CMD_QUERY);
	if (have < 0)
		return have;
	have &= BARRIERS;
	if (cmd == MEMBARRIER_CMD_QUERY)
		return have | BARRIER_REGISTRATIONS;
	if (!(cmd & have) || (cmd & (cmd - 1)))
		return -EINVAL;
	registered = atomic_load(&t->proc->barriers);
	for (i = 0; i < ARRAY_SIZE(barriers); i++) {
		if (cmd == barriers[i].registers)
			atomic_fetch_or(&t->proc->barriers, (unsigned)cmd);
		if (cmd == barriers[i].use && !(registered & (unsigned)barriers[i].registers))
			return -EPERM;
	}
	return host_barrier(cmd);
}
