/* Descriptors: duplicating, closing, flags, locks, syncing, memfd. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/hot.h"
#include "sentry/async.h"
#include "sentry/filelock.h"
#include "sentry/sys_file.h"

#define SETFL_MASK (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC)
/* What the host's description follows. */
#define SETFL_HOST (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

/* ---- duplicates ---- */

long sys_dup(struct task *t, struct sysargs *a)
{
	if (!a->file[0])
		return -EBADF;
	return fdtab_install(t->proc->fdtab, file_get(a->file[0]), 0, false);
}

long sys_dup2(struct task *t, struct sysargs *a)
{
	if (!a->file[0])
		return -EBADF;
	if (A_INT(a, 0) == A_INT(a, 1))
		return A_INT(a, 1);
	return fdtab_install_at(t->proc->fdtab, file_get(a->file[0]), A_INT(a, 1), false);
}

long sys_dup3(struct task *t, struct sysargs *a)
{
	if (A_UINT(a, 2) & ~(unsigned)O_CLOEXEC || A_INT(a, 0) == A_INT(a, 1))
		return -EINVAL;
	if (!a->file[0])
		return -EBADF;
	return fdtab_install_at(t->proc->fdtab, file_get(a->file[0]), A_INT(a, 1),
				A_UINT(a, 2) & O_CLOEXEC);
}

static long dup_from(struct task *t, struct file *f, uint64_t min, bool cloexec)
{
	if (min >= fdtab_max(t->proc->fdtab))
		return -EINVAL;
	return fdtab_install(t->proc->fdtab, file_get(f), (int)min, cloexec);
}

/* ---- closing ---- */

long sys_close(struct task *t, struct sysargs *a)
{
	return fdtab_close(t->proc->fdtab, A_INT(a, 0));
}

long sys_close_range(struct task *t, struct sysargs *a)
{
	unsigned first = A_UINT(a, 0), last = A_UINT(a, 1), flags = A_UINT(a, 2);
	int r;

	if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return -EINVAL;
	/* The other threads of a process cannot be left with the old table. */
	if (flags & CLOSE_RANGE_UNSHARE && t->proc->nr_tasks > 1)
		return -ENOSYS;
	r = flags & CLOSE_RANGE_UNSHARE ? fdtab_own(t->proc) : 0;
	if (r)
		return r;
	if (flags & CLOSE_RANGE_CLOEXEC)
		fdtab_cloexec_range(t->proc->fdtab, first, last);
	else
		fdtab_close_range(t->proc->fdtab, first, last, false);
	return 0;
}

/* ---- fcntl ---- */

static long set_flags(struct task *t, struct file *f, int fd, unsigned flags)
{
	unsigned old = f->flags, now;
	int err;

	if (f->append_only && !(flags & O_APPEND))
		return -EPERM;
	if (f->hostfd >= 0 && !f->inherited) {
		int host = fcntl(f->hostfd, F_GETFL);

		if (host < 0 ||
		    fcntl(f->hostfd, F_SETFL, (host & ~SETFL_HOST) | (int)(flags & SETFL_HOST)))
			return -errno;
	}
	if ((old ^ flags) & O_ASYNC) {
		err = async_set(t, f, fd, flags & O_ASYNC);
		if (err == -ENOTTY)
			flags &= ~(unsigned)O_ASYNC;
		else if (err)
			return err;
	}
	do
		now = (old & ~(unsigned)SETFL_MASK) | (flags & SETFL_MASK);
	while (!atomic_compare_exchange_weak(&f->flags, &old, now));
	return 0;
}

static long lock(struct task *t, struct file *f, int cmd, uint64_t addr)
{
	struct mm *mm = t->proc->mm;
	struct flock fl;
	long r;

	if (gmem_read(mm, &fl, gptr_at(addr), sizeof(fl)))
		return -EFAULT;
	switch (cmd) {
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		r = filelock_ofd(t, f, cmd, &fl);
		break;
	default:
		r = filelock_posix(t, fdtab_locks(t->proc->fdtab), f, cmd, &fl);
	}
	if (!r && (cmd == F_GETLK || cmd == F_OFD_GETLK))
		r = gmem_write(mm, gptr_at(addr), &fl, sizeof(fl));
	return r;
}

/* Commands that the host's descriptor answers with a number. */
static long host_fcntl(struct file *f, int cmd, uint64_t arg)
{
	long r;

	if (f->hostfd < 0 || f->inherited)
		return -EINVAL;
	r = fcntl(f->hostfd, cmd, arg);
	return r < 0 ? -errno : r;
}

static long fcntl_any(struct task *t, struct file *f, int cmd, uint64_t arg)
{
	switch (cmd) {
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return lock(t, f, cmd, arg);
	case F_GETPIPE_SZ:
	case F_SETPIPE_SZ:
		return f->kind == POL_FD_PIPE ? host_fcntl(f, cmd, arg) : -EBADF;
	case F_ADD_SEALS:
	case F_GET_SEALS:
		return host_fcntl(f, cmd, arg);
	case F_SETOWN:
	case F_GETOWN:
	case F_SETOWN_EX:
	case F_GETOWN_EX:
	case F_SETSIG:
	case F_GETSIG:
		return async_fcntl(t, f, cmd, arg);
	case F_GETLEASE:
		return F_UNLCK;
	default:
		return -EINVAL;
	}
}

hot_path long sys_fcntl(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	int fd = A_INT(a, 0), cmd = A_INT(a, 1);
	uint64_t arg = a->raw[2];

	if (!f)
		return -EBADF;
	switch (cmd) {
	case F_DUPFD:
		return dup_from(t, f, (unsigned)arg, false);
	case F_DUPFD_CLOEXEC:
		return dup_from(t, f, (unsigned)arg, true);
	case F_GETFD:
		return fdtab_get_cloexec(t->proc->fdtab, fd);
	case F_SETFD:
		return fdtab_set_cloexec(t->proc->fdtab, fd, arg & FD_CLOEXEC);
	case F_GETFL:
		return (long)f->flags;
	}
	if (f->flags & O_PATH)
		return -EBADF;
	return cmd == F_SETFL ? set_flags(t, f, fd, (unsigned)arg) : fcntl_any(t, f, cmd, arg);
}

/* ---- whole-file locks and syncing ---- */

long sys_flock(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	int op = A_INT(a, 1) & ~LOCK_NB, fd;

	if (!f || f->flags & O_PATH)
		return -EBADF;
	if (op != LOCK_SH && op != LOCK_EX && op != LOCK_UN)
		return -EINVAL;
	fd = filelock_flock_fd(f);
	return fd < 0 ? fd : task_host_call(t, SYS_flock, fd, A_INT(a, 1), 0, 0, 0, 0);
}

static long sync_file(struct task *t, struct sysargs *a, long nr)
{
	struct file *f = a->file[0];

	if (!f || f->flags & O_PATH)
		return -EBADF;
	if (f->hostfd < 0) /* in memory */
		return f->kind == POL_FD_FILE || f->kind == POL_FD_DIR ? 0 : -EINVAL;
	return file_host_call(t, f, nr, (long)a->raw[1], (long)a->raw[2], (long)a->raw[3], 0, 0);
}

long sys_fsync(struct task *t, struct sysargs *a)
{
	return sync_file(t, a, SYS_fsync);
}

long sys_fdatasync(struct task *t, struct sysargs *a)
{
	return sync_file(t, a, SYS_fdatasync);
}

long sys_syncfs(struct task *t, struct sysargs *a)
{
	return sync_file(t, a, SYS_syncfs);
}

long sys_sync_file_range(struct task *t, struct sysargs *a)
{
	return sync_file(t, a, SYS_sync_file_range);
}

long sys_sync(struct task *t, struct sysargs *a)
{
	long r = task_host_call(t, SYS_sync, 0, 0, 0, 0, 0, 0);

	return r == -ERESTARTSYS ? -ERESTARTNOINTR : 0;
}

/* ---- memfd ---- */

#define NOEXEC_SEAL 8u /* MFD_NOEXEC_SEAL and MFD_EXEC of Linux 6.3 */
#define EXEC_OK	    16u

long sys_memfd_create(struct task *t, struct sysargs *a)
{
	unsigned flags = A_UINT(a, 1);
	struct file *f;
	int r;

	if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | NOEXEC_SEAL | EXEC_OK) ||
	    (flags & (NOEXEC_SEAL | EXEC_OK)) == (NOEXEC_SEAL | EXEC_OK))
		return -EINVAL; /* huge pages are not offered */
	if (a->str_err && a->str_err != -ENAMETOOLONG)
		return a->str_err;
	if (a->str_err || strlen(a->str) > 249)
		return -EINVAL;
	r = tmpfs_memfd(a->str, flags & NOEXEC_SEAL ? 0666 : 0777,
			flags & (MFD_ALLOW_SEALING | NOEXEC_SEAL), &f);
	return r ? r : fdtab_install(t->proc->fdtab, f, 0, flags & MFD_CLOEXEC);
}
