/* System V shared memory: shmget, shmat, shmdt, shmctl, /proc/sysvipc/shm. The pages are an object
 * that address spaces map (sentry/mm_shm.c): fork shares them, exec and exit let go of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include "sentry/ipc.h"
#include "sentry/sys.h"

#define PAGE	    4096ull
#define SHM_PAGES   IPC_SHM_MAX /* shmall: of all segments */
#define SHM_EXEC_OK 0100

struct shm_seg {
	struct ipc_obj obj; /* first */
	struct mm_shm *shm;
	uint64_t size, nattch;
	int64_t atime, dtime, ctime;
	int cpid, lpid;
	char name[32];
};

static struct ipc_ids segs;
static uint64_t total_pages;

static struct shm_seg *seg_of(struct ipc_obj *o)
{
	return (struct shm_seg *)o;
}

static uint64_t pages_of(uint64_t size)
{
	return ALIGN_UP(size, PAGE) / PAGE;
}

/* ---- attachments; the lock is held ---- */

static void seg_free(struct ipc_obj *o)
{
	struct shm_seg *s = seg_of(o);

	total_pages -= pages_of(s->size);
	mm_shm_put(s->shm);
	ipc_uncharge(sizeof(*s));
	free(s);
}

static void detach(struct shm_seg *s)
{
	if (--s->nattch || !(s->obj.mode & SHM_DEST))
		return;
	ipc_remove(&segs, &s->obj);
	seg_free(&s->obj);
}

static int caller_pid(void)
{
	return current ? current->proc->pid : 0;
}

static void on_attached(void *owner)
{
	struct shm_seg *s = owner;

	pthread_mutex_lock(&ipc_lock);
	s->nattch++;
	s->atime = ipc_now();
	s->lpid = caller_pid();
	pthread_mutex_unlock(&ipc_lock);
}

static void on_detached(void *owner)
{
	struct shm_seg *s = owner;

	pthread_mutex_lock(&ipc_lock);
	s->dtime = ipc_now();
	s->lpid = caller_pid();
	detach(s);
	pthread_mutex_unlock(&ipc_lock);
}

static const struct mm_shm_ops seg_ops = {on_attached, on_detached};

/* ---- shmget ---- */

static long check_size(uint64_t size)
{
	if (!size || size > IPC_SHM_MAX)
		return -EINVAL;
	if (total_pages + pages_of(size) > SHM_PAGES)
		return -ENOSPC;
	return size >= MM_ADDR_MAX || mm_overcommits(size) ? -ENOMEM : 0;
}

static struct ipc_obj *seg_create(struct task *t, const struct ipc_get *g, long *err)
{
	struct shm_seg *s;

	*err = check_size(g->size);
	if (!*err && (g->flags & SHM_HUGETLB))
		*err = -EPERM;
	if (*err)
		return NULL;
	*err = -ENOMEM;
	if (!ipc_charge(sizeof(*s)))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s)
		s->shm = mm_shm_create(s->name, g->size, 0, &seg_ops, s);
	if (!s || !s->shm) {
		free(s);
		ipc_uncharge(sizeof(*s));
		return NULL;
	}
	snprintf(s->name, sizeof(s->name), "/SYSV%08x (deleted)", (unsigned)g->key);
	s->size = g->size;
	s->cpid = t->proc->pid;
	s->ctime = ipc_now();
	total_pages += pages_of(g->size);
	return &s->obj;
}

static long seg_check(const struct ipc_obj *o, const struct ipc_get *g)
{
	return ((const struct shm_seg *)o)->size < g->size ? -EINVAL : 0;
}

long sys_shmget(struct task *t, struct sysargs *a)
{
	const struct ipc_get g = {
		.ids = &segs,
		.max = IPC_SHM_MNI,
		.create = seg_create,
		.destroy = seg_free,
		.check = seg_check,
		.key = A_INT(a, 0),
		.size = a->raw[1],
		.flags = A_INT(a, 2),
	};

	return ipc_get(t, &g);
}

/* ---- shmat, shmdt ---- */

/* The segment, which stays until detach. */
static long hold(struct task *t, int id, int flags, struct shm_seg **out)
{
	int want = flags & SHM_RDONLY ? S_IRUSR : S_IRUSR | S_IWUSR;
	struct ipc_obj *o;
	long r = 0;

	if (flags & SHM_EXEC)
		want |= SHM_EXEC_OK;
	pthread_mutex_lock(&ipc_lock);
	o = ipc_find(&segs, id);
	if (!o)
		r = -EINVAL;
	else if (!ipc_access(t, o, want))
		r = -EACCES;
	else
		seg_of(o)->nattch++;
	pthread_mutex_unlock(&ipc_lock);
	*out = r ? NULL : seg_of(o);
	return r;
}

long sys_shmat(struct task *t, struct sysargs *a)
{
	uint64_t addr = a->raw[1];
	int flags = A_INT(a, 2), prot = PROT_READ;
	struct shm_seg *s;
	long r;

	if (addr % SHMLBA) {
		if (!(flags & SHM_RND))
			return -EINVAL;
		addr -= addr % SHMLBA;
	}
	if (!addr && (flags & SHM_REMAP))
		return -EINVAL;
	r = hold(t, A_INT(a, 0), flags, &s);
	if (r)
		return r;
	if (!(flags & SHM_RDONLY))
		prot |= PROT_WRITE;
	if (flags & SHM_EXEC)
		prot |= PROT_EXEC;
	r = mm_shmat(t->proc->mm, s->shm, addr, prot, !(flags & SHM_RDONLY), flags & SHM_REMAP);
	pthread_mutex_lock(&ipc_lock);
	detach(s);
	pthread_mutex_unlock(&ipc_lock);
	return r;
}

long sys_shmdt(struct task *t, struct sysargs *a)
{
	return a->raw[0] % SHMLBA ? -EINVAL : mm_shmdt(t->proc->mm, a->raw[0]);
}

/* ---- shmctl ---- */

static long stat_seg(struct task *t, int id, int cmd, struct shmid_ds *ds)
{
	struct ipc_obj *o = cmd == IPC_STAT ? ipc_find(&segs, id) : ipc_at(&segs, id);
	struct shm_seg *s = seg_of(o);

	if (!o)
		return -EINVAL;
	if (cmd != SHM_STAT_ANY && !ipc_access(t, o, S_IRUSR))
		return -EACCES;
	*ds = (struct shmid_ds){
		.shm_segsz = s->size,
		.shm_atime = s->atime,
		.shm_dtime = s->dtime,
		.shm_ctime = s->ctime,
		.shm_cpid = s->cpid,
		.shm_lpid = s->lpid,
		.shm_nattch = s->nattch,
	};
	ipc_fill_perm(o, &ds->shm_perm);
	return cmd == IPC_STAT ? 0 : o->id;
}

static long remove_seg(struct task *t, struct shm_seg *s)
{
	if (!ipc_owns(t, &s->obj))
		return -EPERM;
	if (s->nattch) {
		s->obj.mode |= SHM_DEST;
		ipc_unkey(&s->obj);
	} else {
		ipc_remove(&segs, &s->obj);
		seg_free(&s->obj);
	}
	return 0;
}

/* What changes a segment. */
static long change_seg(struct task *t, int id, int cmd, const struct shmid_ds *ds)
{
	struct ipc_obj *o = ipc_find(&segs, id);
	long r;

	if (!o)
		return -EINVAL;
	switch (cmd) {
	case IPC_RMID:
		return remove_seg(t, seg_of(o));
	case IPC_SET:
		r = ipc_set_perm(t, o, &ds->shm_perm);
		if (!r)
			seg_of(o)->ctime = ipc_now();
		return r;
	default: /* SHM_LOCK, SHM_UNLOCK: nothing of the app's is ever locked */
		if (!ipc_owns(t, o) || (cmd == SHM_LOCK && !t->proc->rlim[RLIMIT_MEMLOCK].rlim_cur))
			return -EPERM;
		o->mode = cmd == SHM_LOCK ? o->mode | SHM_LOCKED : o->mode & ~(unsigned)SHM_LOCKED;
		return 0;
	}
}

static uint64_t resident_pages(void)
{
	uint64_t n = 0;

	for (int i = 0; i <= segs.high; i++)
		if (ipc_at(&segs, i))
			n += mm_shm_resident(seg_of(ipc_at(&segs, i))->shm) / PAGE;
	return n;
}

static long info(struct task *t, struct gptr out, int cmd)
{
	struct shminfo limits = {
		.shmmax = IPC_SHM_MAX,
		.shmmin = 1,
		.shmmni = IPC_SHM_MNI,
		.shmseg = IPC_SHM_MNI,
		.shmall = SHM_PAGES,
	};
	struct shm_info use = {0};
	long high;

	pthread_mutex_lock(&ipc_lock);
	high = segs.max ? MAX(segs.high, 0) : 0;
	use.used_ids = (int)segs.used;
	use.shm_tot = total_pages;
	if (cmd == SHM_INFO)
		use.shm_rss = segs.max ? resident_pages() : 0;
	pthread_mutex_unlock(&ipc_lock);
	if (cmd == IPC_INFO ? gmem_write(t->proc->mm, out, &limits, sizeof(limits))
			    : gmem_write(t->proc->mm, out, &use, sizeof(use)))
		return -EFAULT;
	return high;
}

long sys_shmctl(struct task *t, struct sysargs *a)
{
	int id = A_INT(a, 0), cmd = A_INT(a, 1);
	struct shmid_ds ds = {0};
	long r;

	if (cmd < 0 || id < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case SHM_INFO:
		return info(t, A_PTR(a, 2), cmd);
	case IPC_STAT:
	case SHM_STAT:
	case SHM_STAT_ANY:
		pthread_mutex_lock(&ipc_lock);
		r = stat_seg(t, id, cmd, &ds);
		pthread_mutex_unlock(&ipc_lock);
		if (r >= 0 && gmem_write(t->proc->mm, A_PTR(a, 2), &ds, sizeof(ds)))
			r = -EFAULT;
		return r;
	case IPC_SET:
		if (gmem_read(t->proc->mm, &ds, A_PTR(a, 2), sizeof(ds)))
			return -EFAULT;
		/* fallthrough */
	case IPC_RMID:
	case SHM_LOCK:
	case SHM_UNLOCK:
		pthread_mutex_lock(&ipc_lock);
		r = change_seg(t, id, cmd, &ds);
		pthread_mutex_unlock(&ipc_lock);
		return r;
	default:
		return -EINVAL;
	}
}

int ipc_show_shm(const struct pseudo_key *k, struct buf *out)
{
	struct shm_seg *s;

	buf_puts(out, "       key      shmid perms                  size  cpid  lpid nattch   uid"
		      "   gid  cuid  cgid      atime      dtime      ctime"
		      "                   rss                  swap\n");
	pthread_mutex_lock(&ipc_lock);
	for (int i = 0; segs.max && i <= segs.high; i++) {
		s = seg_of(ipc_at(&segs, i));
		if (!s)
			continue;
		buf_printf(out, "%10d %10d  %4o %21llu %5d %5d  %5llu %5u %5u %5u %5u "
				"%10lld %10lld %10lld %21llu %21d\n",
			   s->obj.key, s->obj.id, s->obj.mode, (unsigned long long)s->size, s->cpid,
			   s->lpid, (unsigned long long)s->nattch, s->obj.uid, s->obj.gid,
			   s->obj.cuid, s->obj.cgid, (long long)s->atime, (long long)s->dtime,
			   (long long)s->ctime, (unsigned long long)mm_shm_resident(s->shm), 0);
	}
	pthread_mutex_unlock(&ipc_lock);
	return 0;
}
