/* /proc/PID/{status,stat,statm}: what ps-like tools and language runtimes parse. */
#include "sentry/procfs.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "sentry/pty.h"
#include "sentry/signal.h"

#define USER_HZ	       100
#define PF_RANDOMIZE   0x00400000u
#define LOW31(set)     ((unsigned long long)(set)&0x7fffffff)
#define KIB(bytes)     ((unsigned long long)(bytes) / 1024)
#define TICKS(ns)      ((unsigned long long)(ns) / (1000000000 / USER_HZ))

/* Everything both files tell, copied under the locks. */
struct snapshot {
	int pid, tid, ppid, pgid, sid, nr_threads;
	uint32_t uid, gid;
	char comm[16], state;
	uint64_t start_ns;
	struct rlimit rss;
	struct mm_usage mem;
	struct mm_layout layout;
	struct cpu_times cpu, child_cpu;
	struct rusage usage; /* of what only the whole of sbx knows: faults, switches */
	int tty, tty_pgrp, exit_code, nice, policy;
	mode_t umask;
	uint32_t nofile;
	uint64_t sig_pending, sig_shared, sig_blocked, sig_ignored, sig_caught;
	unsigned sig_queued, sig_max;
};

/* Device number of the terminal that the process has, as /proc/PID/stat encodes it; 0: none. */
static int tty_of(struct fdtab *tab)
{
	struct stat st;
	struct file *f;
	int nr = 0;

	for (int fd = 0; tab && fd <= 2 && !nr; fd++) {
		f = fdtab_lookup(tab, fd);
		if (!f)
			continue;
		if (f->kind == POL_FD_TTY && f->hostfd >= 0 && !fstat(f->hostfd, &st))
			nr = (int)((major(st.st_rdev) << 8) | (minor(st.st_rdev) & 0xff) |
				   (minor(st.st_rdev) & ~0xffu) << 12);
		file_put(f);
	}
	return nr;
}

static void take_tty(struct proc *p, struct fdtab *tab, struct snapshot *s)
{
	struct job_tty *j;

	pthread_mutex_lock(&sandbox.lock);
	j = p->tty;
	s->tty = pty_device(j);
	s->tty_pgrp = j ? atomic_load(&j->foreground) : 0;
	pthread_mutex_unlock(&sandbox.lock);
	if (j == &job_host_tty)
		s->tty = tty_of(tab);
}

static void take_proc(struct proc *p, struct snapshot *s, struct mm **mm, struct fdtab **tab)
{
	pthread_mutex_lock(&p->lock);
	s->pid = p->pid;
	s->ppid = p->ppid;
	s->pgid = p->pgid;
	s->sid = p->sid;
	s->nr_threads = p->nr_tasks;
	s->uid = p->uid;
	s->gid = p->gid;
	s->start_ns = p->start_ns;
	s->rss = p->rlim[RLIMIT_RSS];
	s->nofile = (uint32_t)MIN(p->rlim[RLIMIT_NOFILE].rlim_cur, (rlim_t)UINT32_MAX);
	s->sig_max = (unsigned)MIN(p->rlim[RLIMIT_SIGPENDING].rlim_cur, (rlim_t)UINT32_MAX);
	s->umask = p->fs ? p->fs->umask : 022;
	s->child_cpu = p->child_cpu;
	*mm = p->mm ? mm_get(p->mm) : NULL;
	*tab = p->fdtab ? fdtab_get(p->fdtab) : NULL;
	pthread_mutex_unlock(&p->lock);
}

static void take_signals(struct task *t, struct snapshot *s)
{
	struct sighand *sh = t->proc->sighand;

	if (!sh || !t->sig)
		return;
	s->sig_blocked = atomic_load(&t->sig->blocked);
	s->sig_pending = atomic_load(&t->sig->pending.set);
	pthread_mutex_lock(&sh->lock);
	s->sig_shared = atomic_load(&sh->shared.set);
	s->sig_queued = sh->queued;
	for (int sig = 1; sig <= SIGNAL_MAX; sig++) {
		uint64_t handler = sighand_action(sh, sig).handler;

		if (handler == (uint64_t)(uintptr_t)SIG_IGN)
			s->sig_ignored |= sig_bit(sig);
		else if (handler != (uint64_t)(uintptr_t)SIG_DFL)
			s->sig_caught |= sig_bit(sig);
	}
	pthread_mutex_unlock(&sh->lock);
}

static void take_task(struct task *t, struct snapshot *s)
{
	s->tid = t->tid;
	s->nice = t->nice;
	s->policy = t->sched_policy;
	memcpy(s->comm, t->comm, sizeof(s->comm));
	/* A thread in a host call waits, or soon will; one in guest mode runs. */
	s->state = t == current || !atomic_load(&t->in_host) ? 'R' : 'S';
	if (atomic_load(&t->proc->stopped))
		s->state = 'T';
	take_signals(t, s);
}

static void take_zombie(struct proc *p, struct snapshot *s)
{
	s->tid = p->pid;
	memcpy(s->comm, p->comm, sizeof(s->comm));
	s->state = 'Z';
	s->exit_code = p->exit_code;
}

/* The process, and its thread that k names: NULL for a zombie, and when its first thread has ended
 * before the others. */
static int find(const struct pseudo_key *k, struct proc **p, struct task **t)
{
	*p = NULL;
	*t = task_by_tid(k->tid ? k->tid : k->pid);
	if (*t)
		*p = proc_get((*t)->proc);
	else if (!k->tid || k->tid == k->pid)
		*p = proc_by_pid(k->pid);
	return *p ? 0 : -ESRCH;
}

/* Process 1 is sbx itself: what there is of it is what its children see. */
static int take_init(struct snapshot *s)
{
	memset(s, 0, sizeof(*s));
	s->pid = s->tid = s->pgid = s->sid = 1;
	s->nr_threads = 1;
	s->uid = sandbox.first->uid;
	s->gid = sandbox.first->gid;
	s->state = 'S';
	s->nofile = 64;
	s->umask = 022;
	memcpy(s->comm, PROCFS_INIT, sizeof(PROCFS_INIT));
	return 0;
}

static int take(const struct pseudo_key *k, struct snapshot *s)
{
	struct mm *mm = NULL;
	struct fdtab *tab = NULL;
	struct proc *p;
	struct task *t;
	int r = find(k, &p, &t);

	if (r)
		return k->pid == 1 && !k->tid ? take_init(s) : r;
	memset(s, 0, sizeof(*s));
	take_proc(p, s, &mm, &tab);
	if (t)
		take_task(t, s);
	else
		take_zombie(p, s);
	s->comm[sizeof(s->comm) - 1] = '\0';
	s->cpu = k->tid && t ? task_cpu_times(t) : proc_cpu_times(p);
	getrusage(k->tid && t == current ? RUSAGE_THREAD : RUSAGE_SELF, &s->usage);
	if (mm) {
		mm_resident(mm, &s->mem);
		s->layout = *mm_layout(mm);
		mm_put(mm);
	}
	take_tty(p, tab, s);
	if (tab)
		fdtab_put(tab);
	task_put(t);
	proc_put(p);
	return 0;
}

/* ---- stat ---- */

static void stat_ids(const struct snapshot *s, struct buf *out)
{
	buf_printf(out, "%d (%s) %c %d %d %d %d %d %u ", s->tid, s->comm, s->state, s->ppid, s->pgid,
		   s->sid, s->tty, s->tty ? s->tty_pgrp : -1, PF_RANDOMIZE);
}

static void stat_times(const struct snapshot *s, struct buf *out)
{
	const struct rusage *u = &s->usage;

	/* minflt cminflt majflt cmajflt utime stime cutime cstime priority nice threads 0 start */
	buf_printf(out, "%ld 0 %ld 0 %llu %llu %llu %llu %d %d %d 0 %llu ", u->ru_minflt, u->ru_majflt,
		   TICKS(s->cpu.user), TICKS(s->cpu.sys), TICKS(s->child_cpu.user),
		   TICKS(s->child_cpu.sys), 20 + s->nice, s->nice, s->nr_threads,
		   (unsigned long long)(s->start_ns / (1000000000ull / USER_HZ)));
}

static void stat_memory(const struct snapshot *s, struct buf *out)
{
	const struct mm_layout *l = &s->layout;

	/* vsize rss rsslim startcode endcode startstack kstkesp kstkeip */
	buf_printf(out, "%llu %llu %llu %llu %llu %llu 0 0 ", (unsigned long long)s->mem.vsize,
		   (unsigned long long)s->mem.rss / PLATFORM_PAGE,
		   (unsigned long long)s->rss.rlim_cur, (unsigned long long)l->start_code,
		   (unsigned long long)l->end_code, (unsigned long long)l->start_stack);
}

static void stat_rest(const struct snapshot *s, struct buf *out)
{
	const struct mm_layout *l = &s->layout;
	int cpu = sched_getcpu();

	/* signal blocked sigignore sigcatch wchan nswap cnswap exit_signal processor rt_priority
	 * policy blkio guest cguest */
	buf_printf(out, "%llu %llu %llu %llu 0 0 0 17 %d 0 %d 0 0 0 ", LOW31(s->sig_pending),
		   LOW31(s->sig_blocked), LOW31(s->sig_ignored),
		   LOW31(s->sig_caught), cpu < 0 ? 0 : cpu % (int)procfs_cpus(),
		   s->policy);
	/* start_data end_data start_brk arg_start arg_end env_start env_end exit_code */
	buf_printf(out, "%llu %llu %llu %llu %llu %llu %llu %d\n", (unsigned long long)l->start_data,
		   (unsigned long long)l->end_data, (unsigned long long)l->start_brk,
		   (unsigned long long)l->arg_start, (unsigned long long)l->arg_end,
		   (unsigned long long)l->env_start, (unsigned long long)l->env_end, s->exit_code);
}

int procfs_show_stat(const struct pseudo_key *k, struct buf *out)
{
	struct snapshot s;
	int r = take(k, &s);

	if (r)
		return r;
	stat_ids(&s, out);
	stat_times(&s, out);
	stat_memory(&s, out);
	stat_rest(&s, out);
	return 0;
}

int procfs_show_statm(const struct pseudo_key *k, struct buf *out)
{
	struct snapshot s;
	int r = take(k, &s);

	if (r)
		return r;
	/* size resident shared text lib data dt, in pages */
	buf_printf(out, "%llu %llu %llu %llu 0 %llu 0\n",
		   (unsigned long long)s.mem.vsize / PLATFORM_PAGE,
		   (unsigned long long)s.mem.rss / PLATFORM_PAGE,
		   (unsigned long long)(s.mem.rss_file + s.mem.rss_shm) / PLATFORM_PAGE,
		   (unsigned long long)s.mem.text / PLATFORM_PAGE,
		   (unsigned long long)(s.mem.data + s.mem.stack) / PLATFORM_PAGE);
	return 0;
}

/* ---- status ---- */

/* A name that the file's reader must not take for a line of its own. */
static void put_name(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			buf_puts(out, "\\n");
		else if (*s == '\\')
			buf_puts(out, "\\\\");
		else
			buf_putc(out, *s);
	}
}

static void status_ids(const struct snapshot *s, struct buf *out)
{
	buf_puts(out, "Name:\t");
	put_name(out, s->comm);
	buf_printf(out, "\nUmask:\t%04o\nState:\t%s\n", s->umask,
		   s->state == 'R'   ? "R (running)"
		   : s->state == 'T' ? "T (stopped)"
		   : s->state == 'Z' ? "Z (zombie)"
				     : "S (sleeping)");
	buf_printf(out, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", s->pid, s->tid,
		   s->ppid);
	buf_printf(out, "Uid:\t%u\t%u\t%u\t%u\n", s->uid, s->uid, s->uid, s->uid);
	buf_printf(out, "Gid:\t%u\t%u\t%u\t%u\n", s->gid, s->gid, s->gid, s->gid);
	buf_printf(out, "FDSize:\t%u\nGroups:\t \n", MIN(s->nofile, 64u));
	buf_printf(out, "NStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\nKthread:\t0\n", s->pid,
		   s->tid, s->pgid, s->sid);
}

static void status_memory(const struct snapshot *s, struct buf *out)
{
	const struct mm_usage *m = &s->mem;
	uint64_t exe = s->layout.end_code - s->layout.start_code;
	const struct {
		const char *name;
		uint64_t bytes;
	} rows[] = {
		{"VmPeak", m->vsize_peak}, {"VmSize", m->vsize}, {"VmLck", m->locked}, {"VmPin", 0},
		{"VmHWM", m->rss_peak}, {"VmRSS", m->rss},    {"RssAnon", m->rss_anon},  {"RssFile", m->rss_file},
		{"RssShmem", m->rss_shm},	{"VmData", m->data},  {"VmStk", m->stack},  {"VmExe", exe},
		{"VmLib", m->text > exe ? m->text - exe : 0}, {"VmPTE", 0},	    {"VmSwap", m->swap},
		{"HugetlbPages", 0},
	};
	char name[16];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(name, sizeof(name), "%s:", rows[i].name);
		buf_printf(out, "%s\t%8llu kB\n", name, KIB(rows[i].bytes));
	}
	buf_puts(out, "CoreDumping:\t0\nTHP_enabled:\t0\n");
}

static void status_signals(const struct snapshot *s, struct buf *out)
{
	const struct {
		const char *name;
		uint64_t set;
	} rows[] = {
		{"SigPnd", s->sig_pending}, {"ShdPnd", s->sig_shared},	{"SigBlk", s->sig_blocked},
		{"SigIgn", s->sig_ignored}, {"SigCgt", s->sig_caught},	{"CapInh", 0},
		{"CapPrm", 0},		    {"CapEff", 0},		{"CapBnd", 0},
		{"CapAmb", 0},
	};

	buf_printf(out, "Threads:\t%d\nSigQ:\t%u/%u\n", s->nr_threads, s->sig_queued, s->sig_max);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		buf_printf(out, "%s:\t%016llx\n", rows[i].name, (unsigned long long)rows[i].set);
	buf_puts(out, "NoNewPrivs:\t1\nSeccomp:\t0\nSeccomp_filters:\t0\n");
}

static void status_cpus(const struct snapshot *s, struct buf *out)
{
	unsigned n = procfs_cpus(), words = (n + 31) / 32;

	buf_puts(out, "Cpus_allowed:\t");
	for (unsigned w = words; w-- > 0;) {
		unsigned bits = MIN(n - w * 32, 32u);
		uint32_t mask = bits == 32 ? UINT32_MAX : (1u << bits) - 1;

		if (w == words - 1)
			buf_printf(out, "%x", mask);
		else
			buf_printf(out, ",%08x", mask);
	}
	if (n > 1)
		buf_printf(out, "\nCpus_allowed_list:\t0-%u\n", n - 1);
	else
		buf_puts(out, "\nCpus_allowed_list:\t0\n");
	buf_puts(out, "Mems_allowed:\t1\nMems_allowed_list:\t0\n");
	buf_printf(out, "voluntary_ctxt_switches:\t%ld\nnonvoluntary_ctxt_switches:\t%ld\n",
		   s->usage.ru_nvcsw, s->usage.ru_nivcsw);
}

int procfs_show_status(const struct pseudo_key *k, struct buf *out)
{
	struct snapshot s;
	int r = take(k, &s);

	if (r)
		return r;
	status_ids(&s, out);
	status_memory(&s, out);
	status_signals(&s, out);
	status_cpus(&s, out);
	return 0;
}
