/* /proc/PID and /proc/PID/task/TID. */
#include "sentry/procfs.h"

#include <errno.h>
#include <elf.h>
#include <linux/capability.h>
#include <string.h>
#include "sentry/hostproc.h"

#define CMDLINE_MAX (4u << 20)
#define STACK_WORDS 512

/* ---- objects ---- */

int procfs_proc(const struct pseudo_key *k, struct proc **p)
{
	*p = proc_by_pid(k->pid);
	if (*p)
		return 0;
	return k->pid == 1 ? -EACCES : -ESRCH; /* sbx's own is not the app's to see */
}

int procfs_task(const struct pseudo_key *k, struct task **t)
{
	*t = task_by_tid(k->tid ? k->tid : k->pid);
	if (*t)
		return 0;
	return k->pid == 1 ? -EACCES : -ESRCH;
}

/* What a process has until it ends, referenced: whichever is asked for. */
static int parts(const struct pseudo_key *k, bool open, struct mm **mm, struct fdtab **tab)
{
	struct proc *p;
	int r = open ? procfs_proc(k, &p) : procfs_private(k, &p);

	if (r)
		return r;
	pthread_mutex_lock(&p->lock);
	if (mm)
		*mm = p->mm ? mm_get(p->mm) : NULL;
	if (tab)
		*tab = p->fdtab ? fdtab_get(p->fdtab) : NULL;
	pthread_mutex_unlock(&p->lock);
	proc_put(p);
	return (mm && !*mm) || (tab && !*tab) ? -ESRCH : 0;
}

int procfs_private(const struct pseudo_key *k, struct proc **p)
{
	int r = procfs_proc(k, p);

	if (r || proc_may_touch(current, *p))
		return r;
	proc_put(*p);
	return -EACCES;
}

int procfs_mm(const struct pseudo_key *k, struct mm **mm)
{
	return parts(k, false, mm, NULL);
}

int procfs_mm_open(const struct pseudo_key *k, struct mm **mm)
{
	return parts(k, true, mm, NULL);
}

int procfs_fdtab(const struct pseudo_key *k, struct fdtab **tab)
{
	return parts(k, false, NULL, tab);
}

ssize_t procfs_text(const char *text, char *buf, size_t size)
{
	size_t len = strlen(text);

	len = len < size ? len : size;
	memcpy(buf, text, len);
	return (ssize_t)len;
}

int procfs_next_pid(const struct pseudo_key *k, int from)
{
	struct proc *p;
	int best = -1;

	if (from <= 1)
		return 1;
	pthread_mutex_lock(&sandbox.lock);
	list_for_each(p, &sandbox.procs, node)
		if (p->pid >= from && (best < 0 || p->pid < best))
			best = p->pid;
	pthread_mutex_unlock(&sandbox.lock);
	return best;
}

static int next_tid(const struct pseudo_key *k, int from)
{
	struct proc *p;
	struct task *t;
	int best = -1;

	if (procfs_proc(k, &p))
		return -1;
	pthread_mutex_lock(&p->lock);
	list_for_each(t, &p->tasks, node)
		if (t->tid >= from && (best < 0 || t->tid < best))
			best = t->tid;
	pthread_mutex_unlock(&p->lock);
	proc_put(p);
	return best;
}

static void bind_tid(struct pseudo_key *k, int number)
{
	k->tid = number;
}

/* ---- memory ---- */

/* Appends app memory [start, end): what can be read of it. */
static int show_range(struct mm *mm, uint64_t start, uint64_t end, struct buf *out)
{
	char chunk[4096];

	if (end < start || end - start > CMDLINE_MAX)
		return 0;
	while (start < end) {
		size_t n = (size_t)MIN(end - start, sizeof(chunk) - (start & 4095));

		if (gmem_read(mm, chunk, gptr_at(start), n))
			break;
		buf_append(out, chunk, n);
		start += n;
	}
	return 0;
}

static int show_cmdline(const struct pseudo_key *k, struct buf *out)
{
	struct mm *mm;
	int r = procfs_mm_open(k, &mm);

	if (r && k->pid == 1)
		buf_append(out, PROCFS_INIT, sizeof(PROCFS_INIT));
	if (r)
		return 0; /* a zombie has none */
	r = show_range(mm, mm_layout(mm)->arg_start, mm_layout(mm)->arg_end, out);
	mm_put(mm);
	return r;
}

static int show_environ(const struct pseudo_key *k, struct buf *out)
{
	struct mm *mm;
	int r = procfs_mm(k, &mm);

	if (r)
		return r;
	r = show_range(mm, mm_layout(mm)->env_start, mm_layout(mm)->env_end, out);
	mm_put(mm);
	return r;
}

static int read_word(struct mm *mm, uint64_t *at, uint64_t *val)
{
	int r = gmem_read(mm, val, gptr_at(*at), sizeof(*val));

	*at += sizeof(*val);
	return r;
}

/* Skips a NULL-terminated pointer array of the initial stack. */
static int skip_array(struct mm *mm, uint64_t *at)
{
	uint64_t val;

	for (unsigned i = 0; i < CMDLINE_MAX / 8; i++) {
		if (read_word(mm, at, &val))
			return -EFAULT;
		if (!val)
			return 0;
	}
	return -EFAULT;
}

/* The auxiliary vector lies on the initial stack, behind argc, argv and envp. */
static int show_auxv(const struct pseudo_key *k, struct buf *out)
{
	Elf64_auxv_t a;
	struct mm *mm;
	uint64_t at;
	int r = procfs_mm(k, &mm);

	if (r)
		return r;
	at = mm_layout(mm)->start_stack + sizeof(uint64_t);
	if (!skip_array(mm, &at) && !skip_array(mm, &at)) {
		for (unsigned i = 0; i < STACK_WORDS; i++, at += sizeof(a)) {
			if (gmem_read(mm, &a, gptr_at(at), sizeof(a)))
				break;
			buf_append(out, &a, sizeof(a));
			if (a.a_type == AT_NULL)
				break;
		}
	}
	mm_put(mm);
	return 0;
}

static int show_mappings(const struct pseudo_key *k, void (*print)(struct mm *, struct buf *),
			 struct buf *out)
{
	struct mm *mm;
	int r = procfs_mm(k, &mm);

	if (r)
		return r;
	print(mm, out);
	mm_put(mm);
	return 0;
}

static int show_maps(const struct pseudo_key *k, struct buf *out)
{
	return show_mappings(k, mm_print_maps, out);
}

static int show_smaps(const struct pseudo_key *k, struct buf *out)
{
	return show_mappings(k, mm_print_smaps, out);
}

static int show_smaps_rollup(const struct pseudo_key *k, struct buf *out)
{
	return show_mappings(k, mm_print_smaps_rollup, out);
}

/* ---- identity ---- */

static int show_comm(const struct pseudo_key *k, struct buf *out)
{
	struct proc *p;
	struct task *t;

	if (!procfs_task(k, &t)) {
		buf_printf(out, "%.15s\n", t->comm);
		task_put(t);
		return 0;
	}
	if (k->pid == 1 && !k->tid) {
		buf_puts(out, PROCFS_INIT "\n");
		return 0;
	}
	if ((k->tid && k->tid != k->pid) || procfs_proc(k, &p))
		return -ESRCH;
	buf_printf(out, "%.15s\n", p->comm); /* a zombie */
	proc_put(p);
	return 0;
}

static int store_comm(const struct pseudo_key *k, const char *s, size_t n)
{
	char name[sizeof(((struct task *)0)->comm)] = "";
	struct task *t;
	int r = procfs_task(k, &t);

	if (r)
		return r;
	if (!proc_may_touch(current, t->proc)) {
		task_put(t);
		return -EACCES;
	}
	memcpy(name, s, MIN(n, sizeof(name) - 1));
	if (n && n < sizeof(name) && name[n - 1] == '\n')
		name[n - 1] = '\0';
	memcpy(t->comm, name, sizeof(name));
	if (t->tid == t->proc->pid)
		memcpy(t->proc->comm, name, sizeof(name));
	task_put(t);
	return 0;
}

static const struct {
	const char *name, *unit;
	int res;
} limit_rows[] = {
	{"Max cpu time", "seconds", RLIMIT_CPU},
	{"Max file size", "bytes", RLIMIT_FSIZE},
	{"Max data size", "bytes", RLIMIT_DATA},
	{"Max stack size", "bytes", RLIMIT_STACK},
	{"Max core file size", "bytes", RLIMIT_CORE},
	{"Max resident set", "bytes", RLIMIT_RSS},
	{"Max processes", "processes", RLIMIT_NPROC},
	{"Max open files", "files", RLIMIT_NOFILE},
	{"Max locked memory", "bytes", RLIMIT_MEMLOCK},
	{"Max address space", "bytes", RLIMIT_AS},
	{"Max file locks", "locks", RLIMIT_LOCKS},
	{"Max pending signals", "signals", RLIMIT_SIGPENDING},
	{"Max msgqueue size", "bytes", RLIMIT_MSGQUEUE},
	{"Max nice priority", "", RLIMIT_NICE},
	{"Max realtime priority", "", RLIMIT_RTPRIO},
	{"Max realtime timeout", "us", RLIMIT_RTTIME},
};

static void print_limit(struct buf *out, rlim_t v)
{
	if (v == RLIM_INFINITY)
		buf_printf(out, "%-20s ", "unlimited");
	else
		buf_printf(out, "%-20llu ", (unsigned long long)v);
}

static int show_limits(const struct pseudo_key *k, struct buf *out)
{
	struct rlimit lim[RLIM_NLIMITS];
	struct proc *p;
	int r = procfs_proc(k, &p);

	if (r)
		return r;
	pthread_mutex_lock(&p->lock);
	memcpy(lim, p->rlim, sizeof(lim));
	pthread_mutex_unlock(&p->lock);
	proc_put(p);
	buf_printf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (size_t i = 0; i < ARRAY_SIZE(limit_rows); i++) {
		buf_printf(out, "%-25s ", limit_rows[i].name);
		print_limit(out, lim[limit_rows[i].res].rlim_cur);
		print_limit(out, lim[limit_rows[i].res].rlim_max);
		buf_printf(out, "%-10s\n", limit_rows[i].unit);
	}
	return 0;
}

static int show_cgroup(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "0::/\n");
	return 0;
}

static int show_id_map(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%10u %10u %10u\n", 0u, 0u, UINT32_MAX);
	return 0;
}

/* Bytes moved by the whole of sbx: its own calls are few beside the app's. */
static int show_io(const struct pseudo_key *k, struct buf *out)
{
	return hostproc_read("self/io", 4096, out);
}

static int show_personality(const struct pseudo_key *k, struct buf *out)
{
	struct proc *p;
	int r = procfs_proc(k, &p);

	if (r)
		return r;
	buf_printf(out, "%08x\n", atomic_load(&p->persona));
	proc_put(p);
	return 0;
}

/* ---- links ---- */

static ssize_t link_exe(const struct pseudo_key *k, char *buf, size_t size)
{
	struct proc *p;
	ssize_t r = procfs_private(k, &p);

	if (r)
		return r;
	pthread_mutex_lock(&p->lock);
	r = p->exe && p->exe->path ? procfs_text(p->exe->path, buf, size) : -ENOENT;
	pthread_mutex_unlock(&p->lock);
	proc_put(p);
	return r;
}

static int follow_exe(struct task *t, const struct pseudo_key *k, struct vnode **out)
{
	struct proc *p;
	int r = procfs_private(k, &p);

	if (r)
		return r;
	pthread_mutex_lock(&p->lock);
	if (p->exe && p->exe->node)
		*out = vnode_get(p->exe->node);
	else
		r = -ENOENT;
	pthread_mutex_unlock(&p->lock);
	proc_put(p);
	return r;
}

static int fs_of(const struct pseudo_key *k, struct fsctx **fs)
{
	struct proc *p;
	int r = procfs_private(k, &p);

	if (r)
		return r;
	pthread_mutex_lock(&p->lock);
	*fs = p->fs ? fsctx_get(p->fs) : NULL;
	pthread_mutex_unlock(&p->lock);
	proc_put(p);
	return *fs ? 0 : -ESRCH;
}

static ssize_t link_cwd(const struct pseudo_key *k, char *buf, size_t size)
{
	struct fsctx *fs;
	ssize_t r = fs_of(k, &fs);

	if (r)
		return r;
	pthread_mutex_lock(&fs->lock);
	r = procfs_text(fs->cwd_path, buf, size);
	pthread_mutex_unlock(&fs->lock);
	fsctx_put(fs);
	return r;
}

static int follow_cwd(struct task *t, const struct pseudo_key *k, struct vnode **out)
{
	struct fsctx *fs;
	int r = fs_of(k, &fs);

	if (r)
		return r;
	pthread_mutex_lock(&fs->lock);
	*out = vnode_get(fs->cwd);
	pthread_mutex_unlock(&fs->lock);
	fsctx_put(fs);
	return 0;
}

static ssize_t link_root(const struct pseudo_key *k, char *buf, size_t size)
{
	struct fsctx *fs;
	ssize_t r = fs_of(k, &fs);

	if (r)
		return r;
	pthread_mutex_lock(&fs->lock);
	r = procfs_text(fs->root ? fs->root_path : "/", buf, size);
	pthread_mutex_unlock(&fs->lock);
	fsctx_put(fs);
	return r;
}

static int follow_root(struct task *t, const struct pseudo_key *k, struct vnode **out)
{
	struct fsctx *fs;
	int r = fs_of(k, &fs);

	if (r)
		return r;
	pthread_mutex_lock(&fs->lock);
	*out = vnode_get(fs->root ? fs->root : vfs_mount_at("/", 1)->root);
	pthread_mutex_unlock(&fs->lock);
	fsctx_put(fs);
	return 0;
}

/* ---- tables ---- */

#define COMMON_ENTRIES                                                                             \
	PROC_REG("auxv", 0400, show_auxv), PROC_REG("cgroup", 0444, show_cgroup),                  \
		PROC_REG("cmdline", 0444, show_cmdline),                                           \
		PROC_RW("comm", 0644, show_comm, store_comm),                                      \
		PROC_REG("cpuset", 0444, procfs_show_top_dir),                                     \
		PROC_MAGIC("cwd", link_cwd, follow_cwd), PROC_REG("environ", 0400, show_environ),  \
		PROC_MAGIC("exe", link_exe, follow_exe), PROC_REG("gid_map", 0644, show_id_map),   \
		PROC_REG("io", 0400, show_io), PROC_REG("limits", 0444, show_limits),              \
		PROC_REG("loginuid", 0644, procfs_show_no_id),                                     \
		PROC_REG("maps", 0444, show_maps),                                                 \
		PROC_REG("mountinfo", 0444, procfs_show_mountinfo),                                \
		PROC_REG("mounts", 0444, procfs_show_mounts), PROC_DIR("net", 0555, procfs_net),      \
		PROC_DIR("ns", 0511, procfs_ns),                                                   \
		PROC_RW("oom_adj", 0644, procfs_show_oom_adj, procfs_store_oom_adj),               \
		PROC_REG("oom_score", 0444, procfs_show_oom_score),                                \
		PROC_RW("oom_score_adj", 0644, procfs_show_oom_score_adj,                          \
			procfs_store_oom_score_adj),                                               \
		PROC_REG("personality", 0400, show_personality),                                   \
		PROC_MAGIC("root", link_root, follow_root),                                        \
		PROC_REG("schedstat", 0444, procfs_show_schedstat),                                \
		PROC_REG("sessionid", 0444, procfs_show_no_id),                                    \
		PROC_REG("setgroups", 0644, procfs_show_setgroups),                                \
		PROC_REG("smaps", 0444, show_smaps),                                               \
		PROC_REG("smaps_rollup", 0444, show_smaps_rollup),                                 \
		PROC_REG("stat", 0444, procfs_show_stat),                                          \
		PROC_REG("statm", 0444, procfs_show_statm),                                        \
		PROC_REG("status", 0444, procfs_show_status),                                      \
		PROC_REG("uid_map", 0644, show_id_map), PROC_REG("wchan", 0444, procfs_show_wchan)

static const struct pseudo_entry tid_members[] = {
	COMMON_ENTRIES,
	PROC_REG("children", 0444, procfs_show_children),
	PROCFS_FD_ENTRIES,
	PROC_END,
};

const struct pseudo_entry procfs_tid_dir = PROC_DIR("tid", 0555, tid_members);

static const struct pseudo_entry pid_members[] = {
	COMMON_ENTRIES,
	PROC_REG("coredump_filter", 0644, procfs_show_coredump_filter),
	PROC_REG("timerslack_ns", 0444, procfs_show_timerslack),
	PROCFS_FD_ENTRIES,
	{.name = "task", .mode = S_IFDIR | 0555, .numbered = &procfs_tid_dir, .next = next_tid, .bind = bind_tid},
	PROC_END,
};

const struct pseudo_entry procfs_pid_dir = PROC_DIR("pid", 0555, pid_members);
