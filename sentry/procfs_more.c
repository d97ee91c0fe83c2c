/* /proc/PID's small files for tools: what OOM killer, auditing, scheduler and namespaces say. */
#include "sentry/procfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OOM_ADJ_MAX	  1000
#define OOM_OLD_MAX	  15
#define OOM_OLD_MIN	  (-17)
#define FIRST_NAMESPACE	  4026531834u

/* ---- the OOM killer's score ---- */

static int get_oom_adj(const struct pseudo_key *k, int *val)
{
	struct proc *p;
	int r = procfs_proc(k, &p);

	if (r)
		return r;
	*val = atomic_load(&p->oom_adj);
	proc_put(p);
	return 0;
}

/* Only raising it is everybody's right. */
static int set_oom_adj(const struct pseudo_key *k, int val)
{
	struct proc *p;
	int r = procfs_private(k, &p);

	if (r)
		return r;
	if (val < atomic_load(&p->oom_adj_min))
		r = -EACCES;
	else
		atomic_store(&p->oom_adj, val);
	proc_put(p);
	return r;
}

/* A decimal number with white space around it. */
static int parse_int(const char *s, size_t n, int *val)
{
	char text[16], *end;
	long v;

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = '\0';
	errno = 0;
	v = strtol(text, &end, 10);
	if (errno || end == text || strlen(end) != strspn(end, " \t\n") || v < INT32_MIN || v > INT32_MAX)
		return -EINVAL;
	*val = (int)v;
	return 0;
}

int procfs_show_oom_score_adj(const struct pseudo_key *k, struct buf *out)
{
	int val, r = get_oom_adj(k, &val);

	if (!r)
		buf_printf(out, "%d\n", val);
	return r;
}

int procfs_store_oom_score_adj(const struct pseudo_key *k, const char *s, size_t n)
{
	int val, r = parse_int(s, n, &val);

	if (r)
		return r;
	return val >= -OOM_ADJ_MAX && val <= OOM_ADJ_MAX ? set_oom_adj(k, val) : -EINVAL;
}

/* The older scale, from -17 to 15. */
int procfs_show_oom_adj(const struct pseudo_key *k, struct buf *out)
{
	int val, r = get_oom_adj(k, &val);

	if (!r)
		buf_printf(out, "%d\n", val == OOM_ADJ_MAX ? OOM_OLD_MAX : val * -OOM_OLD_MIN / OOM_ADJ_MAX);
	return r;
}

int procfs_store_oom_adj(const struct pseudo_key *k, const char *s, size_t n)
{
	int val, r = parse_int(s, n, &val);

	if (r)
		return r;
	if (val < OOM_OLD_MIN || val > OOM_OLD_MAX)
		return -EINVAL;
	return set_oom_adj(k, val == OOM_OLD_MAX ? OOM_ADJ_MAX : val * OOM_ADJ_MAX / -OOM_OLD_MIN);
}

/* How far the process is from the limit, in thousandths, moved by its adjustment. */
int procfs_show_oom_score(const struct pseudo_key *k, struct buf *out)
{
	uint64_t total = procfs_mem_total(), used = procfs_mem_used();
	int adj, r = get_oom_adj(k, &adj);
	int64_t score;

	if (r)
		return r;
	score = (1000 + (int64_t)(total ? used * 1000 / total : 0) + adj) * 2 / 3;
	buf_printf(out, "%lld\n", (long long)MAX(score, 0));
	return 0;
}

/* ---- scheduling ---- */

/* Time on a processor and waiting for one, in nanoseconds, and turns: the host does not tell the latter. */
int procfs_show_schedstat(const struct pseudo_key *k, struct buf *out)
{
	struct task *t;
	int r = procfs_task(k, &t);

	if (r)
		return r;
	buf_printf(out, "%llu 0 0\n", (unsigned long long)task_cpu_ns(t));
	task_put(t);
	return 0;
}

int procfs_show_timerslack(const struct pseudo_key *k, struct buf *out)
{
	struct task *t;
	int r = procfs_task(k, &t);

	if (r)
		return r;
	buf_printf(out, "%u\n", t->timer_slack_ns);
	task_put(t);
	return 0;
}

/* Which function of the kernel it sleeps in is nobody's business: Linux says 0 then. */
int procfs_show_wchan(const struct pseudo_key *k, struct buf *out)
{
	buf_putc(out, '0');
	return 0;
}

/* Children made by this thread; a process's are told with its first thread. */
int procfs_show_children(const struct pseudo_key *k, struct buf *out)
{
	struct proc *p, *c;
	int r = procfs_proc(k, &p);

	if (r)
		return r;
	pthread_mutex_lock(&sandbox.lock);
	if (!k->tid || k->tid == p->pid)
		list_for_each(c, &p->children, sibling)
			buf_printf(out, "%d ", c->pid);
	pthread_mutex_unlock(&sandbox.lock);
	proc_put(p);
	return 0;
}

/* ---- identity ---- */

/* No login was recorded. */
int procfs_show_no_id(const struct pseudo_key *k, struct buf *out)
{
	buf_printf(out, "%u", UINT32_MAX);
	return 0;
}

int procfs_show_setgroups(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "allow\n");
	return 0;
}

int procfs_show_top_dir(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "/\n");
	return 0;
}

int procfs_show_coredump_filter(const struct pseudo_key *k, struct buf *out)
{
	buf_puts(out, "00000033\n");
	return 0;
}

/* ---- namespaces: one of each kind, which nothing can be done with but comparing ---- */

static ssize_t namespace_text(const char *kind, unsigned nr, char *buf, size_t size)
{
	char text[40];

	snprintf(text, sizeof(text), "%s:[%u]", kind, FIRST_NAMESPACE + nr);
	return procfs_text(text, buf, size);
}

static int follow_none(struct task *t, const struct pseudo_key *k, struct vnode **out)
{
	return -EACCES;
}

#define NAMESPACE(name, kind, nr)                                                                  \
	static ssize_t link_##name(const struct pseudo_key *k, char *buf, size_t size)             \
	{                                                                                          \
		return namespace_text(kind, nr, buf, size);                                        \
	}
NAMESPACE(cgroup, "cgroup", 1)
NAMESPACE(ipc, "ipc", 5)
NAMESPACE(mnt, "mnt", 6)
NAMESPACE(net, "net", 7)
NAMESPACE(pid, "pid", 2)
NAMESPACE(time, "time", 0)
NAMESPACE(user, "user", 3)
NAMESPACE(uts, "uts", 4)

const struct pseudo_entry procfs_ns[] = {
	PROC_MAGIC("cgroup", link_cgroup, follow_none),
	PROC_MAGIC("ipc", link_ipc, follow_none),
	PROC_MAGIC("mnt", link_mnt, follow_none),
	PROC_MAGIC("net", link_net, follow_none),
	PROC_MAGIC("pid", link_pid, follow_none),
	PROC_MAGIC("pid_for_children", link_pid, follow_none),
	PROC_MAGIC("time", link_time, follow_none),
	PROC_MAGIC("time_for_children", link_time, follow_none),
	PROC_MAGIC("user", link_user, follow_none),
	PROC_MAGIC("uts", link_uts, follow_none),
	PROC_END,
};
