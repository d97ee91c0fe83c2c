/* What one process does to another of the sandbox: copying memory, descriptors, comparing. All of it
 * is between processes of one user under one policy. */
#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include "sentry/pidfd.h"
#include "sentry/signal.h"
#include "sentry/sys.h"

#define IOV_LIMIT 1024u

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* May t look into p? As ptrace(2) says, without capabilities; and not where the policy gives p more. */
static bool may_access(const struct task *t, const struct proc *p)
{
	return p == t->proc || (p->dumpable && p->uid == t->proc->uid && p->gid == t->proc->gid &&
				proc_may_touch(t, p));
}

/* The address space of the process that pid names, referenced. 0, -ESRCH or -EPERM. */
static long peer_mm(struct task *t, int pid, struct mm **out)
{
	struct task *o = task_by_tid(pid);
	struct proc *p;
	long r = 0;

	*out = NULL;
	if (!o)
		return -ESRCH;
	p = o->proc;
	pthread_mutex_lock(&p->lock);
	if (!p->mm)
		r = -ESRCH;
	else if (!may_access(t, p))
		r = -EPERM;
	else
		*out = mm_get(p->mm);
	pthread_mutex_unlock(&p->lock);
	task_put(o);
	return r;
}

/* ---- process_vm_readv, process_vm_writev ---- */

struct side { /* a place in an array of the app's areas */
	struct mm *mm;
	struct iovec *iov;
	size_t n, at;
	uint64_t done; /* of iov[at] */
};

/* Bytes up to the end of the present area or page; 0 at the end of all. */
static size_t side_part(struct side *s, uint64_t *addr)
{
	while (s->at < s->n && s->done == s->iov[s->at].iov_len) {
		s->at++;
		s->done = 0;
	}
	if (s->at == s->n)
		return 0;
	*addr = (uint64_t)(uintptr_t)s->iov[s->at].iov_base + s->done;
	return MIN(s->iov[s->at].iov_len - s->done, (size_t)(4096 - *addr % 4096));
}

static int64_t copy_sides(struct task *t, struct side *from, struct side *to)
{
	uint64_t src, dst;
	uint8_t page[4096];
	int64_t total = 0;
	size_t n, m;

	while (!task_pending(t)) {
		n = side_part(from, &src);
		m = side_part(to, &dst);
		n = MIN(n, m);
		if (!n)
			break;
		if (gmem_read(from->mm, page, gptr_at(src), n) ||
		    gmem_write(to->mm, gptr_at(dst), page, n))
			return total ? total : -EFAULT;
		from->done += n;
		to->done += n;
		total += (int64_t)n;
	}
	return total;
}

static uint64_t bytes_of(const struct side *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->iov[i].iov_len;
	return n;
}

static long read_sides(struct task *t, struct sysargs *a, struct side *local, struct side *remote)
{
	struct mm *mm = t->proc->mm;
	long r;

	local->n = a->raw[2];
	remote->n = a->raw[4];
	r = gmem_read_iov(mm, A_PTR(a, 1), local->n, local->iov);
	if (r || !bytes_of(local))
		return r;
	r = gmem_read_iov(mm, A_PTR(a, 3), remote->n, remote->iov);
	if (r || !bytes_of(remote))
		return r;
	local->mm = mm_get(mm);
	return peer_mm(t, A_INT(a, 0), &remote->mm);
}

static long process_vm(struct task *t, struct sysargs *a, bool write)
{
	struct side local = {0}, remote = {0};
	long r;

	if (a->raw[5] || a->raw[2] > IOV_LIMIT || a->raw[4] > IOV_LIMIT)
		return -EINVAL;
	local.iov = calloc(2 * IOV_LIMIT, sizeof(*local.iov));
	if (!local.iov)
		return -ENOMEM;
	remote.iov = local.iov + IOV_LIMIT;
	r = read_sides(t, a, &local, &remote);
	if (!r && remote.mm)
		r = write ? copy_sides(t, &local, &remote) : copy_sides(t, &remote, &local);
	if (local.mm)
		mm_put(local.mm);
	if (remote.mm)
		mm_put(remote.mm);
	free(local.iov);
	return r;
}

long sys_process_vm_readv(struct task *t, struct sysargs *a)
{
	return process_vm(t, a, false);
}

long sys_process_vm_writev(struct task *t, struct sysargs *a)
{
	return process_vm(t, a, true);
}

/* ---- process_madvise, process_mrelease ---- */

static long advise_all(struct mm *mm, const struct iovec *iov, size_t n, int advice)
{
	long total = 0, r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		r = mm_madvise(mm, (uint64_t)(uintptr_t)iov[i].iov_base, iov[i].iov_len, advice);
		total += r ? 0 : (long)iov[i].iov_len;
	}
	return total ? total : r;
}

/* Processes other than the caller's need a capability that nobody has here. */
long sys_process_madvise(struct task *t, struct sysargs *a)
{
	struct proc *p = a->file[0] ? pidfd_proc(a->file[0]) : NULL;
	int advice = A_INT(a, 3);
	struct iovec *iov;
	long r;

	if (A_UINT(a, 4) || a->raw[2] > IOV_LIMIT)
		return -EINVAL;
	iov = calloc(IOV_LIMIT, sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	r = gmem_read_iov(t->proc->mm, A_PTR(a, 1), a->raw[2], iov);
	if (!r && !p)
		r = -EBADF;
	else if (!r && atomic_load(&p->gone))
		r = -ESRCH;
	else if (!r && advice != MADV_COLD && advice != MADV_PAGEOUT && advice != MADV_WILLNEED &&
		 advice != MADV_COLLAPSE && p != t->proc)
		r = -EINVAL;
	else if (!r && p != t->proc)
		r = -EPERM;
	if (!r)
		r = advise_all(t->proc->mm, iov, a->raw[2], advice);
	free(iov);
	return r;
}

/* A dying process lets go of its memory by itself. */
long sys_process_mrelease(struct task *t, struct sysargs *a)
{
	struct proc *p = a->file[0] ? pidfd_proc(a->file[0]) : NULL;

	if (A_UINT(a, 1))
		return -EINVAL;
	if (!p)
		return -EBADF;
	if (atomic_load(&p->gone) || p->zombie)
		return -ESRCH;
	return p->exiting ? 0 : -EINVAL;
}

/* ---- descriptors ---- */

/* The open file that number fd means in p, referenced. */
static long peer_file(struct task *t, struct proc *p, int fd, struct file **out)
{
	struct fdtab *tab = NULL;
	long r = 0;

	*out = NULL;
	pthread_mutex_lock(&p->lock);
	if (!p->fdtab)
		r = -ESRCH;
	else if (!may_access(t, p))
		r = -EPERM;
	else
		tab = fdtab_get(p->fdtab);
	pthread_mutex_unlock(&p->lock);
	if (!tab)
		return r;
	*out = fd < 0 ? NULL : fdtab_lookup(tab, fd);
	fdtab_put(tab);
	return *out ? 0 : -EBADF;
}

long sys_pidfd_getfd(struct task *t, struct sysargs *a)
{
	struct proc *p = a->file[0] ? pidfd_proc(a->file[0]) : NULL;
	struct file *f;
	long r;

	if (A_UINT(a, 2))
		return -EINVAL;
	if (!p)
		return -EBADF;
	if (atomic_load(&p->gone))
		return -ESRCH;
	r = peer_file(t, p, A_INT(a, 1), &f);
	return r ? r : fdtab_install(t->proc->fdtab, f, 0, true);
}

/* An order of the sentry's objects that tells nothing of their addresses. */
static long compare(const void *a, const void *b)
{
	static _Atomic uint64_t secret;
	uint64_t s = atomic_load(&secret), x, y;

	while (!s) {
		if (getrandom(&x, sizeof(x), 0) != sizeof(x))
			return -EAGAIN;
		atomic_compare_exchange_strong(&secret, &s, x | 1);
		s = atomic_load(&secret);
	}
	x = ((uint64_t)(uintptr_t)a ^ s) * (s | 1);
	y = ((uint64_t)(uintptr_t)b ^ s) * (s | 1);
	return x == y ? 0 : x < y ? 1 : 2;
}

static long compare_files(struct task *t, struct proc *p, struct proc *q, const struct sysargs *a)
{
	struct file *f, *g;
	long r = peer_file(t, p, (int)MIN(a->raw[3], (uint64_t)INT32_MAX), &f);

	if (r)
		return r == -ESRCH ? -EBADF : r;
	r = peer_file(t, q, (int)MIN(a->raw[4], (uint64_t)INT32_MAX), &g);
	if (!r) {
		r = compare(f, g);
		file_put(g);
	}
	file_put(f);
	return r;
}

static long compare_procs(struct task *t, struct proc *p, struct proc *q, const struct sysargs *a)
{
	switch (A_INT(a, 2)) {
	case KCMP_FILE:
		return compare_files(t, p, q, a);
	case KCMP_VM:
		return compare(p->mm, q->mm);
	case KCMP_FILES:
		return compare(p->fdtab, q->fdtab);
	case KCMP_FS:
		return compare(p->fs, q->fs);
	case KCMP_SIGHAND:
		return compare(p->sighand->acts, q->sighand->acts);
	case KCMP_IO: /* nobody has a context of that kind */
		return 0;
	case KCMP_SYSVSEM:
		if (list_empty(&p->sem_undos) && list_empty(&q->sem_undos))
			return 0;
		return compare(p, q);
	default:
		return -EINVAL;
	}
}

long sys_kcmp(struct task *t, struct sysargs *a)
{
	struct task *x = task_by_tid(A_INT(a, 0)), *y = task_by_tid(A_INT(a, 1));
	long r;

	if (!x || !y)
		r = -ESRCH;
	else if (!may_access(t, x->proc) || !may_access(t, y->proc))
		r = -EPERM;
	else
		r = compare_procs(t, x->proc, y->proc, a);
	task_put(x);
	task_put(y);
	return r;
}
