/* Who the process is: identifiers, system name, limits, prctl. */
#include <asm/prctl.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include "sentry/procfs.h"
#include "sentry/signal.h"
#include "sentry/sys.h"
#include "sentry/timer.h"

/* ---- identifiers ---- */

long sys_getpid(struct task *t, struct sysargs *a)
{
	return t->proc->pid;
}

long sys_gettid(struct task *t, struct sysargs *a)
{
	return t->tid;
}

long sys_getppid(struct task *t, struct sysargs *a)
{
	return t->proc->ppid;
}

long sys_getuid(struct task *t, struct sysargs *a)
{
	return t->proc->uid;
}

long sys_geteuid(struct task *t, struct sysargs *a)
{
	return t->proc->uid;
}

long sys_getgid(struct task *t, struct sysargs *a)
{
	return t->proc->gid;
}

long sys_getegid(struct task *t, struct sysargs *a)
{
	return t->proc->gid;
}

static int write_ids(struct task *t, const struct sysargs *a, uint32_t id)
{
	int i;

	for (i = 0; i < 3; i++)
		if (gmem_write(t->proc->mm, A_PTR(a, i), &id, sizeof(id)))
			return -EFAULT;
	return 0;
}

long sys_getresuid(struct task *t, struct sysargs *a)
{
	return write_ids(t, a, t->proc->uid);
}

long sys_getresgid(struct task *t, struct sysargs *a)
{
	return write_ids(t, a, t->proc->gid);
}

/* All ids of a process are the same and there are no capabilities: only "the same" can be set. */
static long set_ids(uint32_t have, const struct sysargs *a, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (A_UINT(a, i) != have && (n == 1 || A_UINT(a, i) != UINT32_MAX))
			return A_UINT(a, i) == UINT32_MAX ? -EINVAL : -EPERM;
	return 0;
}

long sys_setuid(struct task *t, struct sysargs *a)
{
	return set_ids(t->proc->uid, a, 1);
}

long sys_setgid(struct task *t, struct sysargs *a)
{
	return set_ids(t->proc->gid, a, 1);
}

long sys_setreuid(struct task *t, struct sysargs *a)
{
	return set_ids(t->proc->uid, a, 2);
}

long sys_setregid(struct task *t, struct sysargs *a)
{
	return set_ids(t->proc->gid, a, 2);
}

long sys_setresuid(struct task *t, struct sysargs *a)
{
	return set_ids(t->proc->uid, a, 3);
}

long sys_setresgid(struct task *t, struct sysargs *a)
{
	return set_ids(t->proc->gid, a, 3);
}

/* These two return the old id and never fail. */
long sys_setfsuid(struct task *t, struct sysargs *a)
{
	return t->proc->uid;
}

long sys_setfsgid(struct task *t, struct sysargs *a)
{
	return t->proc->gid;
}

long sys_getgroups(struct task *t, struct sysargs *a)
{
	return A_INT(a, 0) < 0 ? -EINVAL : 0;
}

long sys_setgroups(struct task *t, struct sysargs *a)
{
	return -EPERM;
}

long sys_capget(struct task *t, struct sysargs *a)
{
	struct __user_cap_header_struct hdr;
	struct __user_cap_data_struct data[2] = {0};
	size_t n = sizeof(data);
	struct task *o;

	if (gmem_read(t->proc->mm, &hdr, A_PTR(a, 0), sizeof(hdr)))
		return -EFAULT;
	if (hdr.version == _LINUX_CAPABILITY_VERSION_1) {
		n = sizeof(data[0]);
	} else if (hdr.version != _LINUX_CAPABILITY_VERSION_2 &&
		   hdr.version != _LINUX_CAPABILITY_VERSION_3) {
		hdr.version = _LINUX_CAPABILITY_VERSION_3;
		if (gmem_write(t->proc->mm, A_PTR(a, 0), &hdr, sizeof(hdr)))
			return -EFAULT;
		return a->raw[1] ? -EINVAL : 0;
	}
	if (hdr.pid < 0)
		return -EINVAL;
	o = hdr.pid && hdr.pid != 1 ? task_by_tid(hdr.pid) : task_get(t);
	if (!o)
		return -ESRCH;
	task_put(o);
	return a->raw[1] ? gmem_write(t->proc->mm, A_PTR(a, 1), data, n) : 0;
}

/* There are none to be had, and having none can be asked for. */
long sys_capset(struct task *t, struct sysargs *a)
{
	struct __user_cap_header_struct hdr;
	struct __user_cap_data_struct data[2] = {0};
	size_t n = 2;

	if (gmem_read(t->proc->mm, &hdr, A_PTR(a, 0), sizeof(hdr)))
		return -EFAULT;
	if (hdr.version == _LINUX_CAPABILITY_VERSION_1) {
		n = 1;
	} else if (hdr.version != _LINUX_CAPABILITY_VERSION_2 &&
		   hdr.version != _LINUX_CAPABILITY_VERSION_3) {
		hdr.version = _LINUX_CAPABILITY_VERSION_3;
		return gmem_write(t->proc->mm, A_PTR(a, 0), &hdr, sizeof(hdr)) ? -EFAULT : -EINVAL;
	}
	if (hdr.pid && hdr.pid != t->tid)
		return -EPERM;
	if (gmem_read(t->proc->mm, data, A_PTR(a, 1), n * sizeof(data[0])))
		return -EFAULT;
	for (size_t i = 0; i < n; i++)
		if (data[i].effective || data[i].permitted || data[i].inheritable)
			return -EPERM;
	return 0;
}

/* ---- the system ---- */

static void set_name(char *field, size_t size, const char *policy, const char *otherwise)
{
	snprintf(field, size, "%s", policy ? policy : otherwise);
}

void sandbox_uname(struct utsname *u)
{
	const struct pol_config *c = &sandbox.config;
	struct utsname host;

	memset(u, 0, sizeof(*u));
	if (uname(&host))
		memset(&host, 0, sizeof(host));
	set_name(u->sysname, sizeof(u->sysname), c->uname_sysname, "Linux");
	set_name(u->nodename, sizeof(u->nodename), c->uname_nodename, "sandbox");
	set_name(u->release, sizeof(u->release), c->uname_release, host.release);
	set_name(u->version, sizeof(u->version), c->uname_version, "#1 SMP sbx");
	set_name(u->machine, sizeof(u->machine), c->uname_machine, "x86_64");
	set_name(u->domainname, sizeof(u->domainname), c->uname_domain, "(none)");
}

/* What programs that know no version after 2.6 are told: 2.6.(40 + minor) and what follows, as Linux does
 * for 3.x; from 4.0 on 60 is added. */
static void old_release(char *release, size_t size)
{
	const char *rest = release;
	unsigned major = 0, minor = 0;
	char text[96];
	int dots = 0;

	sscanf(release, "%u.%u", &major, &minor);
	while (*rest && (dots += *rest == '.') < 3 && (*rest == '.' || (*rest >= '0' && *rest <= '9')))
		rest++;
	snprintf(text, sizeof(text), "2.6.%u%.60s", minor + (major >= 4 ? 60 : 40), rest);
	memcpy(release, text, MIN(size - 1, strlen(text) + 1));
}

long sys_uname(struct task *t, struct sysargs *a)
{
	struct utsname u;

	sandbox_uname(&u);
	if (atomic_load(&t->proc->persona) & UNAME26)
		old_release(u.release, sizeof(u.release));
	return gmem_write(t->proc->mm, A_PTR(a, 0), &u, sizeof(u));
}

long sys_sysinfo(struct task *t, struct sysargs *a)
{
	struct sysinfo si = {.mem_unit = 1}, host;

	if (sysinfo(&host))
		return -EFAULT;
	si.uptime = host.uptime;
	si.procs = (unsigned short)MIN(atomic_load(&sandbox.nr_tasks), 0xffff);
	si.totalram = procfs_mem_total();
	si.freeram = procfs_mem_free();
	for (int i = 0; i < 3; i++)
		si.loads[i] = (procfs_load() << SI_LOAD_SHIFT) / 100;
	return gmem_write(t->proc->mm, A_PTR(a, 0), &si, sizeof(si));
}

/* Bytes go through a bounded buffer; a signal ends a long request early, as Linux does. */
long sys_getrandom(struct task *t, struct sysargs *a)
{
	uint64_t len = MIN(a->raw[1], (uint64_t)INT32_MAX), done = 0;
	unsigned flags = A_UINT(a, 2);
	uint8_t chunk[256];
	size_t n;

	if (flags & ~(unsigned)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	if ((flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	while (done < len) {
		n = MIN(len - done, (uint64_t)sizeof(chunk));
		if (getrandom(chunk, n, 0) != (ssize_t)n)
			return done ? (long)done : -EAGAIN;
		if (gmem_write(t->proc->mm, gptr_at(a->raw[0] + done), chunk, n))
			return done ? (long)done : -EFAULT;
		done += n;
		if (done % 4096 == 0 && task_pending(t))
			break;
	}
	return (long)done;
}

/* ---- limits ---- */

static bool rlimit_ok(const struct rlimit *have, const struct rlimit *want)
{
	return want->rlim_cur <= want->rlim_max && want->rlim_max <= have->rlim_max;
}

/* Takes effect where it is kept a second time; a zombie has nothing of it any more. */
static void rlimit_apply(struct proc *p, unsigned res)
{
	struct rlimit lim[RLIM_NLIMITS];
	struct fdtab *fdtab;
	struct mm *mm;

	pthread_mutex_lock(&p->lock);
	memcpy(lim, p->rlim, sizeof(lim));
	fdtab = p->fdtab ? fdtab_get(p->fdtab) : NULL;
	mm = p->mm ? mm_get(p->mm) : NULL;
	pthread_mutex_unlock(&p->lock);
	if (fdtab && res == RLIMIT_NOFILE)
		fdtab_set_max(fdtab, fdtab_limit(lim[res].rlim_cur));
	if (mm && res == RLIMIT_MEMLOCK)
		mm_set_memlock(mm, lim[res].rlim_cur);
	if (mm && (res == RLIMIT_AS || res == RLIMIT_DATA || res == RLIMIT_STACK))
		mm_set_limits(mm, lim[RLIMIT_AS].rlim_cur, lim[RLIMIT_DATA].rlim_cur,
			      lim[RLIMIT_STACK].rlim_cur);
	fdtab_put(fdtab);
	if (mm)
		mm_put(mm);
}

static long do_prlimit(struct task *t, struct proc *p, unsigned res, uint64_t new_ptr,
		       uint64_t old_ptr)
{
	struct mm *mm = t->proc->mm;
	struct rlimit old, want;
	long r = 0;

	if (res >= RLIM_NLIMITS)
		return -EINVAL;
	if (new_ptr && gmem_read(mm, &want, gptr_at(new_ptr), sizeof(want)))
		return -EFAULT;
	pthread_mutex_lock(&p->lock);
	old = p->rlim[res];
	if (new_ptr && want.rlim_cur > want.rlim_max)
		r = -EINVAL;
	else if (new_ptr && !rlimit_ok(&old, &want))
		r = -EPERM;
	else if (new_ptr)
		p->rlim[res] = want;
	pthread_mutex_unlock(&p->lock);
	if (r)
		return r;
	if (new_ptr)
		rlimit_apply(p, res);
	return old_ptr ? gmem_write(mm, gptr_at(old_ptr), &old, sizeof(old)) : 0;
}

long sys_getrlimit(struct task *t, struct sysargs *a)
{
	return a->raw[1] ? do_prlimit(t, t->proc, A_UINT(a, 0), 0, a->raw[1]) : -EFAULT;
}

long sys_setrlimit(struct task *t, struct sysargs *a)
{
	return a->raw[1] ? do_prlimit(t, t->proc, A_UINT(a, 0), a->raw[1], 0) : -EFAULT;
}

long sys_prlimit64(struct task *t, struct sysargs *a)
{
	struct task *o = A_INT(a, 0) ? task_by_tid(A_INT(a, 0)) : task_get(t);
	long r;

	if (!o)
		return A_INT(a, 0) == 1 ? -EPERM : -ESRCH;
	r = -EPERM;
	if (proc_may_touch(t, o->proc))
		r = do_prlimit(t, o->proc, A_UINT(a, 1), a->raw[2], a->raw[3]);
	task_put(o);
	return r;
}
