/* One run of sbx: setting up the first process, the housekeeping loop, the end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "audit/record.h"
#include "base/cleanup.h"
#include "base/fdx.h"
#include "base/log.h"
#include "sentry/async.h"
#include "sentry/domain.h"
#include "sentry/rate.h"
#include "sentry/auditx.h"
#include "sentry/confine.h"
#include "sentry/file.h"
#include "sentry/netif.h"
#include "sentry/job.h"
#include "sentry/pgpool.h"
#include "sentry/signal.h"
#include "sentry/task_int.h"
#include "sentry/timer.h"
#include "sentry/vdso.h"
#include "sentry/vfs.h"

#define NSEC	 1000000000ull
/* For threads to leave when the sandbox has ended: how often they are told, and how long between. */
#define GRACE_ROUNDS 30
#define GRACE_STEP   (NSEC / 10)

struct sandbox sandbox = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.procs = LIST_INIT(sandbox.procs),
	.next_pid = 2,
	.wake_fd = -1,
};

struct host_state { /* what sbx was started with */
	sigset_t blocked;
	uint64_t ignored;
	int signal_fd;
};

static uint64_t mono_ns(void)
{
	return vdso_now(CLOCK_MONOTONIC);
}

void sandbox_wake(void)
{
	uint64_t one = 1;

	if (sandbox.wake_fd >= 0 && write(sandbox.wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

/* sandbox.lock held. */
static void interrupt_all(void)
{
	struct proc *p;
	struct task *t;

	list_for_each (p, &sandbox.procs, node) {
		pthread_mutex_lock(&p->lock);
		list_for_each (t, &p->tasks, node)
			task_interrupt(t);
		pthread_mutex_unlock(&p->lock);
	}
}

void sandbox_end(int status, const char *reason)
{
	pthread_mutex_lock(&sandbox.lock);
	if (!atomic_load(&sandbox.ended)) {
		sandbox.end_status = status;
		sandbox.end_reason = reason;
		atomic_store(&sandbox.ended, true);
	}
	interrupt_all();
	pthread_mutex_unlock(&sandbox.lock);
	sandbox_wake();
}

/* ---- host signals ---- */

/* Signals that are passed on to the app. Not here: those that mean a bug of sbx (SIGSEGV ...),
 * SIGABRT, SIGPIPE (made by the sentry), SIGTTIN and SIGTTOU (they stop sbx as they would the app).
 */
static const int forwarded[] = {
	SIGHUP,	 SIGINT, SIGQUIT,   SIGUSR1,  SIGUSR2, SIGALRM, SIGTERM, SIGCONT,
	SIGTSTP, SIGURG, SIGVTALRM, SIGWINCH, SIGIO,   SIGPWR,	SIGXFSZ, SIGXCPU,
};

static void forwarded_set(sigset_t *set)
{
	int sig;
	size_t i;

	sigemptyset(set);
	for (i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(set, forwarded[i]);
	for (sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		if (sig != task_signal() && sig != platform_kick_signal())
			sigaddset(set, sig);
}

static int host_signals_init(struct host_state *h, struct sbx_err **e)
{
	static const int kept[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGTTIN, SIGTTOU};
	struct sigaction sa;
	sigset_t set, own;
	size_t i;

	if (hostcall_init(e))
		return -1;
	forwarded_set(&set);
	for (i = 0; i < ARRAY_SIZE(forwarded); i++)
		if (!sigaction(forwarded[i], NULL, &sa) && sa.sa_handler == SIG_IGN)
			h->ignored |= sig_bit(forwarded[i]);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, &h->blocked);
	sigemptyset(&own);
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		sigaddset(&own, kept[i]);
	sigaddset(&own, task_signal());
	sigaddset(&own, platform_kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &own, NULL);
	h->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (h->signal_fd < 0)
		return sbx_err_errno(e, errno, "signalfd");
	return 0;
}

/* Is the signal meant for p? What a terminal, or a shell's job control, sends is for the whole
 * foreground group, and the end of the terminal for the first process, too; everything else is only
 * for that one. */
static bool is_meant(const struct proc *p, int sig, bool by_kernel)
{
	bool group = by_kernel || sig == SIGCONT;

	if (p == sandbox.first && (!group || sig == SIGHUP))
		return true;
	return group && p->pgid == atomic_load(&job_host_tty.foreground);
}

/* Passes a host signal to the app. Who sent it stays outside. */
static void forward_signal(const struct signalfd_siginfo *si)
{
	siginfo_t info = {.si_signo = (int)si->ssi_signo, .si_code = SI_USER};
	struct proc *p;

	if (si->ssi_code == SI_KERNEL)
		info.si_code = SI_KERNEL;
	else
		info.si_uid = sandbox.first->uid;
	pthread_mutex_lock(&sandbox.lock);
	list_for_each (p, &sandbox.procs, node)
		if (is_meant(p, info.si_signo, si->ssi_code == SI_KERNEL))
			signal_send_proc(p, &info);
	pthread_mutex_unlock(&sandbox.lock);
}

static void read_signals(struct host_state *h)
{
	struct signalfd_siginfo si;

	while (read(h->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		forward_signal(&si);
}

/* ---- set-up ---- */

static void tier0_records(void *tag, const struct platform_tier0_record *rec, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		auditx_tier0(tag, &rec[i]);
}

static int create_machine(const struct sandbox_opts *o, struct sbx_err **e)
{
	struct platform_opts po = {
		.residency = o->residency,
		.pill = o->pill,
		.cancel = hostcall_cancel(),
		.image = sandbox.image,
		.image_len = pol_image_size(sandbox.image),
		.tier0 = tier0_records,
	};

	if (platform_create(&po, &sandbox.platform, e))
		return -1;
	if (mm_global_init(sandbox.platform, sandbox.config.limit_memory, e))
		return -1;
	return vdso_init(sandbox.platform, e);
}

static void set_rlimits(struct proc *p)
{
	struct rlimit *nofile = &p->rlim[RLIMIT_NOFILE], up;
	uint64_t max = sandbox.config.limit_open_files;
	int i;

	for (i = 0; i < RLIM_NLIMITS; i++)
		if (getrlimit(i, &p->rlim[i]))
			p->rlim[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	up = *nofile; /* the sentry needs more descriptors than the app */
	up.rlim_max = up.rlim_max == RLIM_INFINITY ? up.rlim_max : up.rlim_max + FDTAB_RESERVE;
	up.rlim_cur = up.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &up)) { /* not root: then the app gets less */
		up.rlim_max = up.rlim_cur = nofile->rlim_max;
		setrlimit(RLIMIT_NOFILE, &up);
	}
	nofile->rlim_cur = fdtab_limit(nofile->rlim_cur);
	nofile->rlim_max = MAX(nofile->rlim_cur, (rlim_t)fdtab_limit(nofile->rlim_max));
	if (max)
		*nofile = (struct rlimit){MIN(nofile->rlim_cur, max), MIN(nofile->rlim_max, max)};
	mm_set_limits(p->mm, p->rlim[RLIMIT_AS].rlim_cur, p->rlim[RLIMIT_DATA].rlim_cur,
		      p->rlim[RLIMIT_STACK].rlim_cur);
	mm_set_memlock(p->mm, p->rlim[RLIMIT_MEMLOCK].rlim_cur);
}

static int install_std_fds(struct proc *p, struct sbx_err **e)
{
	struct file *f;
	int fd;

	for (fd = 0; fd <= 2; fd++) {
		if (fdx_std_was_closed(fd) || fcntl(fd, F_GETFD) < 0)
			continue; /* closed: stays closed */
		f = file_inherit(fd);
		if (!f || fdtab_install_at(p->fdtab, f, fd, false) < 0)
			return sbx_err_set(e, "cannot pass on file descriptor %d", fd);
	}
	return 0;
}

static int create_proc(const struct host_state *h, struct proc **out, struct sbx_err **e)
{
	const struct sig_action ignored = {.handler = (uint64_t)SIG_IGN};
	cleanup_free char *cwd = getcwd(NULL, 0);
	struct proc *p = proc_create();
	struct timespec ts;
	int sig;

	if (!p)
		return sbx_err_set(e, "out of memory");
	*out = p;
	if (mm_create(sandbox.platform, &p->mm))
		return sbx_err_set(e, "cannot create an address space");
	p->fs = fsctx_create(cwd ? cwd : "/", e);
	if (!p->fs)
		return -1;
	p->sid = 1;
	p->uid = sandbox.config.has_ids ? sandbox.config.uid : getuid();
	p->gid = sandbox.config.has_ids ? sandbox.config.gid : getgid();
	clock_gettime(CLOCK_BOOTTIME, &ts);
	p->start_ns = (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
	set_rlimits(p);
	p->fdtab = fdtab_create(fdtab_limit(p->rlim[RLIMIT_NOFILE].rlim_cur));
	if (!p->fdtab)
		return sbx_err_set(e, "out of memory");
	for (sig = 1; sig <= SIGNAL_MAX; sig++)
		if (h->ignored & sig_bit(sig))
			sighand_set_action(p->sighand, sig, &ignored);
	pthread_mutex_lock(&sandbox.lock);
	sandbox.first = p;
	proc_link(p, NULL);
	p->exit_signal = 0;
	pthread_mutex_unlock(&sandbox.lock);
	return install_std_fds(p, e);
}

/* ---- the program ---- */

/* The first program is the user's choice: `exec:` is about what it starts. */
static int open_exec_cb(void *arg, const char *path, const char *const *argv, struct file **out)
{
	return vfs_open_exec(arg, path, out);
}

static const char *env_value(const char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp; envp++)
		if (!strncmp(*envp, name, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

/* Looks name up as execvp(3) does. 0 with *path (to be freed) and *out, or -errno. */
static int search_path(struct task *t, const struct sandbox_opts *o, char **path, struct file **out)
{
	const char *dirs = env_value(o->envp, "PATH"), *end;
	int r, err = -ENOENT;

	if (strchr(o->program, '/')) {
		*path = strdup(o->program);
		return *path ? vfs_open_exec(t, *path, out) : -ENOMEM;
	}
	for (dirs = dirs ? dirs : "/usr/bin:/bin"; dirs; dirs = *end ? end + 1 : NULL) {
		end = strchrnul(dirs, ':');
		if (asprintf(path, "%.*s%s%s", (int)(end - dirs), dirs, end > dirs ? "/" : "",
			     o->program) < 0)
			return -ENOMEM;
		r = vfs_open_exec(t, *path, out);
		if (!r)
			return 0;
		free(*path);
		*path = NULL;
		if (r != -ENOENT && r != -ENOTDIR)
			err = r;
	}
	return err;
}

static int exec_failed(const char *program, int r, const char *why, struct sbx_err **e)
{
	int status = r == -ENOENT ? SBX_EXIT_NOT_FOUND : SBX_EXIT_NOT_EXEC;

	if (why)
		return sbx_err_status(e, status, "%s: %s", program, why);
	if (r == -EACCES || r == -EPERM)
		return sbx_err_status(e, status,
				      "%s: not executable, or the policy's files: section does not "
				      "grant exec on it",
				      program);
	return sbx_err_status(e, status, "%s: %s", program, strerror(-r));
}

static int load_program(struct task *t, const struct sandbox_opts *o, struct sbx_err **e)
{
	cleanup_free char *path = NULL;
	struct loader_result res = {0};
	struct proc *p = t->proc;
	const char *why = NULL;
	struct loader_args la = {
		.argv = o->argv,
		.envp = o->envp,
		.uid = p->uid,
		.gid = p->gid,
		.hwcap2 = platform_hwcap2(sandbox.platform),
		.open_exec = open_exec_cb,
		.open_arg = t,
	};
	int r = search_path(t, o, &path, &p->exe);

	if (r)
		return exec_failed(o->program, r, NULL, e);
	la.exe = p->exe;
	la.path = path;
	r = loader_exec(p->mm, &la, &res, &why);
	if (r)
		return exec_failed(path, r, why, e);
	file_put(p->exe);
	p->exe = res.exe;
	memcpy(p->comm, res.comm, sizeof(p->comm));
	memcpy(t->comm, res.comm, sizeof(t->comm));
	t->regs->rip = res.entry;
	t->regs->rsp = res.stack;
	return 0;
}

static uint64_t app_mask(const sigset_t *set)
{
	uint64_t m = 0;
	int sig;

	for (sig = 1; sig <= SIGNAL_MAX; sig++)
		if (sigismember(set, sig) == 1)
			m |= sig_bit(sig);
	return m;
}

bool sandbox_wall_over(void)
{
	uint64_t limit = sandbox.config.limit_wall_ns;

	return limit && mono_ns() - sandbox.start_mono_ns >= limit;
}

/* A program can stop this process, as it can stop itself. SIGCONT from the host's timer lets it go on
 * when the wall time limit is reached, so that the limit ends it. */
static int arm_wall_alarm(struct sbx_err **e)
{
	uint64_t ns = sandbox.start_mono_ns + sandbox.config.limit_wall_ns;
	struct itimerspec when = {.it_interval.tv_sec = 1};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT};
	timer_t timer;

	if (!sandbox.config.limit_wall_ns || ns < sandbox.start_mono_ns)
		return 0;
	when.it_value.tv_sec = (time_t)(ns / NSEC);
	when.it_value.tv_nsec = (long)(ns % NSEC);
	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) ||
	    timer_settime(timer, TIMER_ABSTIME, &when, NULL))
		return sbx_err_errno(e, errno, "a timer for limits.wall");
	return 0;
}

static int set_up(const struct sandbox_opts *o, struct host_state *h, struct task **out,
		  struct sbx_err **e)
{
	struct proc *p = NULL;
	int err;

	sandbox.image = o->image;
	sandbox.audit = o->audit;
	sandbox.start_mono_ns = mono_ns();
	pol_image_config(o->image, &sandbox.config);
	sandbox.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sandbox.wake_fd < 0)
		return sbx_err_errno(e, errno, "eventfd");
	if (host_signals_init(h, e) || create_machine(o, e) || vfs_init(o->image, e) ||
	    rate_init(o->image, e) || create_proc(h, &p, e) || arm_wall_alarm(e))
		return -1;
	*out = task_create(p, mm_as(p->mm), app_mask(&h->blocked), &err);
	if (!*out)
		return sbx_err_errno(e, -err, "cannot create an execution context");
	(*out)->nice = getpriority(PRIO_PROCESS, 0);
	current = *out;
	if (load_program(*out, o, e))
		return -1;
	current = NULL;
	netif_init(o->image);
	return confine_apply(e);
}

/* ---- running ---- */

/* When used of limit could be reached at the earliest, with all threads running. */
static uint64_t cpu_deadline(uint64_t now, uint64_t used, uint64_t limit)
{
	uint64_t n = (uint64_t)MAX(atomic_load(&sandbox.nr_tasks), 1);

	return now + MAX((limit - used) / n, 10000000ull);
}

/* RLIMIT_CPU, in seconds: SIGXCPU at the soft limit and every second after it, then SIGKILL. */
static uint64_t check_rlimit_cpu(struct proc *p, uint64_t now, uint64_t used)
{
	const struct rlimit *r = &p->rlim[RLIMIT_CPU];
	siginfo_t info = {.si_signo = SIGXCPU, .si_code = SI_KERNEL};
	uint64_t soft = r->rlim_cur > UINT32_MAX ? UINT64_MAX : r->rlim_cur * NSEC;

	if (r->rlim_max <= UINT32_MAX && used >= r->rlim_max * NSEC) {
		proc_exit_group(p, SIGKILL);
		return UINT64_MAX;
	}
	soft = MAX(soft, p->xcpu_next_ns);
	if (used >= soft) {
		p->xcpu_next_ns = soft = (used / NSEC + 1) * NSEC;
		signal_send_proc(p, &info);
	}
	return soft == UINT64_MAX ? soft : cpu_deadline(now, used, soft);
}

/* CPU time of all processes, ended ones too; sandbox.lock held. */
static uint64_t all_cpu_ns(void)
{
	uint64_t sum = sandbox.reaped_cpu_ns;
	struct proc *p;

	list_for_each (p, &sandbox.procs, node)
		sum += proc_cpu_ns(p);
	return sum;
}

/* True when limits.cpu is used up. */
static bool check_cpu(uint64_t now, uint64_t *next)
{
	uint64_t limit = sandbox.config.limit_cpu_ns, used;

	if (!limit)
		return false;
	pthread_mutex_lock(&sandbox.lock);
	used = all_cpu_ns();
	pthread_mutex_unlock(&sandbox.lock);
	if (used >= limit)
		return true;
	*next = MIN(*next, cpu_deadline(now, used, limit));
	return false;
}

/* Ends the sandbox at its limits; returns when to look again (monotonic). */
static uint64_t check_limits(uint64_t now)
{
	uint64_t limit = sandbox.config.limit_wall_ns, next = now + NSEC, used;

	if (limit) {
		used = now - sandbox.start_mono_ns;
		if (used >= limit)
			sandbox_end(128 + SIGKILL, "wall time limit");
		else
			next = MIN(next, now + limit - used);
	}
	if (check_cpu(now, &next))
		sandbox_end(128 + SIGKILL, "cpu time limit");
	used = domain_check(now);
	return MIN(next, used);
}

/* Timers and RLIMIT_CPU of every process; returns when to look again. */
static uint64_t run_processes(uint64_t now)
{
	uint64_t next = UINT64_MAX, at;
	struct proc *p;

	pthread_mutex_lock(&sandbox.lock);
	list_for_each (p, &sandbox.procs, node) {
		if (p->zombie)
			continue;
		at = timers_run(p, now);
		next = MIN(next, at);
		if (p->rlim[RLIMIT_CPU].rlim_cur == RLIM_INFINITY)
			continue;
		at = check_rlimit_cpu(p, now, proc_cpu_ns(p));
		next = MIN(next, at);
	}
	pthread_mutex_unlock(&sandbox.lock);
	return next;
}

static void out_of_memory(void)
{
	log_error("the program needs more memory than limits.memory allows; it is stopped");
	sandbox_end(128 + SIGKILL, "memory limit");
}

static void once_a_second(uint64_t now)
{
	static uint64_t last;

	if (now - last < NSEC)
		return;
	last = now;
	vdso_update();
	mm_text_age();
	if (pgpool_over_limit() && !atomic_load(&sandbox.ended))
		out_of_memory();
	if (!sandbox.audit)
		return;
	audit_tick(sandbox.audit);
	if (audit_failed(sandbox.audit)) {
		log_error("the audit log cannot be written; the program is stopped");
		sandbox_end(SBX_EXIT_SETUP, "audit log failed");
	}
}

/* Says how many threads are still there, and what one of them is doing. */
static void warn_of_the_rest(void)
{
	uint64_t call = 0;
	bool in_host = false;
	struct proc *p;
	struct task *t;
	int tid = 0;

	pthread_mutex_lock(&sandbox.lock);
	list_for_each (p, &sandbox.procs, node) {
		pthread_mutex_lock(&p->lock);
		list_for_each (t, &p->tasks, node) {
			tid = t->tid;
			call = t->orig_rax;
			in_host = atomic_load(&t->in_host);
		}
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_unlock(&sandbox.lock);
	log_warn("%d threads did not stop in time; thread %d is in %s, its last call was %lld",
		 atomic_load(&sandbox.nr_tasks), tid, in_host ? "a host call" : "the sandbox",
		 (long long)call);
}

/* After the end: waits until something happens, and tells the threads again to leave when nothing does.
 * Only steps in which they could run count, not a clock that went on while the machine stood still.
 * False: enough. */
static bool wait_for_the_rest(unsigned *rounds)
{
	struct pollfd wake = {sandbox.wake_fd, POLLIN, 0};
	const struct timespec step = {.tv_nsec = (long)GRACE_STEP};
	uint64_t ticks;

	if (ppoll(&wake, 1, &step, NULL) > 0)
		return read(sandbox.wake_fd, &ticks, sizeof(ticks)) > 0 || errno == EAGAIN;
	pthread_mutex_lock(&sandbox.lock);
	interrupt_all();
	pthread_mutex_unlock(&sandbox.lock);
	if (++*rounds < GRACE_ROUNDS)
		return true;
	warn_of_the_rest();
	return false;
}

/* Until every app thread is gone: forwards signals, fires timers, watches limits. */
static void housekeep(struct host_state *h)
{
	struct pollfd fds[3] = {{h->signal_fd, POLLIN, 0}, {sandbox.wake_fd, POLLIN, 0}};
	uint64_t now, next, at, ticks;
	struct timespec ts;
	unsigned rounds = 0;

	while (atomic_load(&sandbox.nr_tasks) > 0) {
		if (atomic_load(&sandbox.ended)) {
			if (!wait_for_the_rest(&rounds))
				return;
			continue;
		}
		now = mono_ns();
		once_a_second(now);
		next = check_limits(now);
		if (vdso_on_trial()) {
			vdso_update();
			next = MIN(next, now + VDSO_TRIAL_NS);
		}
		at = run_processes(now);
		next = MIN(next, at);
		ts.tv_sec = (time_t)((next > now ? next - now : 0) / NSEC);
		ts.tv_nsec = (long)((next > now ? next - now : 0) % NSEC);
		fds[2] = (struct pollfd){async_fd(), POLLIN, 0};
		if (ppoll(fds, 3, &ts, NULL) <= 0)
			continue;
		if (fds[2].revents)
			async_run();
		if (fds[1].revents && read(sandbox.wake_fd, &ticks, sizeof(ticks)) < 0)
			continue;
		if (fds[0].revents)
			read_signals(h);
	}
}

/* What is lost of the changes is not the program's fault: its status stays. */
static void save_changes(const struct sandbox_opts *o)
{
	int r = o->changes_fd > 0 ? vfs_save_overlays(o->changes_fd) : 0;

	if (r)
		log_error("what the program changed could not be saved: %s", strerror(-r));
}

int sandbox_run(const struct sandbox_opts *o, struct sbx_err **e)
{
	struct host_state h = {.signal_fd = -1};
	struct task *t = NULL;
	int r;

	if (set_up(o, &h, &t, e))
		return -1;
	/* Kept to the end: the host takes a whole process down faster than sbx could piece by piece. */
	proc_get(sandbox.first);
	job_host_tty.sid = sandbox.first->sid;
	atomic_store(&job_host_tty.foreground, sandbox.first->pgid);
	sandbox.first->tty = &job_host_tty;
	vdso_update();
	mm_on_nomem(out_of_memory);
	r = task_start(t);
	if (r)
		return sbx_err_errno(e, -r, "cannot start a thread");
	housekeep(&h);
	if (atomic_load(&sandbox.nr_tasks) > 0)
		sandbox.audit = NULL; /* a thread that does not stop must not use it any more */
	if (o->stats)
		stats_print();
	save_changes(o);
	return sandbox.end_status;
}
