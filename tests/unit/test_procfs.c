/* /proc and /sys: the shape of the generated files, links, directories; /dev's members. The process
 * is made of its parts, nothing runs. */
#include "tests/unit/file_test.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "sentry/dirent.h"
#include "sentry/hostproc.h"
#include "sentry/signal.h"
#include "sentry/task_int.h"

static struct proc *proc;
static struct task task;

static int setup(void **state)
{
	struct sbx_err *e = NULL;

	assert_int_equal(vfs_init(NULL, &e), 0);
	proc = proc_create();
	assert_non_null(proc);
	proc->pid = proc->pgid = 7;
	proc->ppid = proc->sid = 1;
	proc->nr_tasks = 1;
	proc->fdtab = fdtab_create(64);
	proc->fs = fsctx_create("/", &e);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		proc->rlim[i] = (struct rlimit){1024, RLIM_INFINITY};
	list_append(&sandbox.procs, &proc->node);
	ids_add_proc(proc);
	sandbox.next_pid = 8;
	atomic_init(&task.refs, 1);
	task.proc = proc;
	task.tid = 7;
	task.sig = signal_state_create(1ull << (SIGUSR1 - 1));
	strcpy(task.comm, "a) b\n");
	list_append(&proc->tasks, &task.node);
	ids_add_task(&task);
	current = &task;
	return proc->fs && proc->fdtab ? 0 : -1;
}

static struct vnode *look(const char *path)
{
	struct vpath *v = calloc(1, sizeof(*v));
	struct vnode *n = NULL;

	if (!vfs_resolve(&task, AT_FDCWD, path, 0, v))
		n = vnode_get(v->node);
	vpath_release(v);
	free(v);
	return n;
}

static const char *text(const char *path)
{
	static char buf[1 << 16];
	struct iovec v = {buf, sizeof(buf) - 1};
	struct vnode *n = look(path);
	struct file *f;
	ssize_t r;

	if (!n)
		fail_msg("%s does not exist", path);
	assert_int_equal(n->ops->open(&task, n, O_RDONLY, &f), 0);
	r = f->ops->read(&task, f, &v, 1, -1);
	assert_true(r >= 0);
	buf[r] = '\0';
	file_put(f);
	vnode_put(n);
	return buf;
}

static void status(void **state)
{
	const char *s = text("/proc/self/status");
	static const char *const order[] = {
		"Name:\ta) b\\n\nUmask:\t00", "\nState:\tR (running)\n", "\nTgid:\t7\n", "\nPid:\t7\n",
		"\nPPid:\t1\n", "\nUid:\t", "\nFDSize:\t", "\nGroups:\t", "\nVmPeak:\t", "\nVmSize:\t",
		" kB\n", "\nVmRSS:\t", "\nThreads:\t1\n", "\nSigQ:\t0/1024\n",
		"\nSigBlk:\t0000000000000200\n", "\nCapEff:\t0000000000000000\n",
		"\nCpus_allowed_list:\t0", "\nvoluntary_ctxt_switches:\t"};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const char *at = strstr(s, order[i]);

		if (!at)
			fail_msg("status lacks or misplaces: %s", order[i]);
		s = at;
	}
}

static void stat_fields(void **state)
{
	const char *s = text("/proc/self/stat");
	int pid, ppid, spaces = 0;
	char st;

	assert_int_equal(sscanf(s, "%d (a) b\n) %c %d", &pid, &st, &ppid), 3);
	assert_int_equal(pid, 7);
	assert_int_equal(ppid, 1);
	for (s = strrchr(s, ')'); *s; s++)
		spaces += *s == ' ';
	assert_int_equal(spaces, 50); /* 52 fields */
}

static void small_files(void **state)
{
	unsigned long a, b, c, d, e, f, g;
	double up, idle, l1, l2, l3;
	const char *s;
	int run, all, last;

	assert_int_equal(sscanf(text("/proc/self/statm"), "%lu %lu %lu %lu %lu %lu %lu\n", &a, &b, &c,
				&d, &e, &f, &g), 7);
	assert_int_equal(sscanf(text("/proc/uptime"), "%lf %lf\n", &up, &idle), 2);
	assert_true(up > 0 && idle > 0);
	assert_int_equal(sscanf(text("/proc/loadavg"), "%lf %lf %lf %d/%d %d\n", &l1, &l2, &l3, &run,
				&all, &last), 6);
	assert_int_equal(last, 7);
	assert_int_equal(sscanf(text("/proc/meminfo"), "MemTotal: %lu kB\nMemFree: %lu kB\n", &a, &b), 2);
	assert_true(a >= b);
	s = text("/proc/stat");
	assert_memory_equal(s, "cpu  ", 5);
	assert_non_null(strstr(s, "\ncpu0 "));
	assert_non_null(strstr(s, "\nbtime 1"));
	assert_memory_equal(text("/proc/version"), "Linux version ", 14);
	assert_string_equal(text("/proc/sys/kernel/ostype"), "Linux\n");
	s = text("/proc/sys/kernel/random/uuid");
	assert_int_equal(strlen(s), 37);
	assert_true(s[8] == '-' && s[13] == '-' && s[14] == '4' && s[18] == '-' && s[23] == '-');
	assert_string_equal(text("/proc/self/cgroup"), "0::/\n");
	assert_non_null(strstr(text("/proc/self/limits"),
			       "\nMax open files            1024                 unlimited            "
			       "files     \n"));
	assert_non_null(strstr(text("/proc/mounts"), "proc /proc proc rw,relatime 0 0\n"));
	assert_non_null(strstr(text("/proc/self/mountinfo"), " / /dev/shm rw,relatime - tmpfs tmpfs rw\n"));
	assert_string_equal(text("/proc/thread-self/comm"), "a) b\n\n");
	assert_memory_equal(text("/sys/devices/system/cpu/online"), "0", 1);
}

static void cpus(void **state)
{
	const char *s;
	int n = 0;

	sandbox.config.cpus = 1;
	for (s = text("/proc/cpuinfo"); (s = strstr(s, "processor\t:")); s++)
		n++;
	assert_int_equal(n, 1);
	assert_string_equal(text("/sys/devices/system/cpu/possible"), "0\n");
	assert_null(look("/sys/devices/system/cpu/cpu1"));
	sandbox.config.cpus = 0;
}

/* A file that is kept open tells the present each time it is read from the start. */
static void reread(void **state)
{
	struct vnode *n = look("/proc/self/comm");
	char buf[32];
	struct iovec v = {buf, sizeof(buf)};
	struct file *f, *w;

	assert_int_equal(n->ops->open(&task, n, O_RDONLY, &f), 0);
	assert_int_equal(f->ops->read(&task, f, &v, 1, -1), 6);
	assert_int_equal(f->ops->read(&task, f, &v, 1, -1), 0);
	assert_int_equal(n->ops->open(&task, n, O_WRONLY, &w), 0);
	v.iov_len = 4;
	memcpy(buf, "new\n", 4);
	assert_int_equal(w->ops->write(&task, w, &v, 1, -1), 4);
	assert_string_equal(task.comm, "new");
	v.iov_len = sizeof(buf);
	assert_int_equal(f->ops->read(&task, f, &v, 1, 0), 4);
	assert_int_equal(lseek(f->hostfd, 0, SEEK_SET), 0);
	assert_int_equal(f->ops->read(&task, f, &v, 1, -1), 4);
	strcpy(task.comm, "a) b\n");
	file_put(f);
	file_put(w);
	vnode_put(n);
}

static void descriptors(void **state)
{
	char buf[64] = "";
	struct vnode *n, *to;
	struct file *f, *g;
	int p[2];

	assert_int_equal(pipe(p), 0);
	f = file_new(&file_host_ops, p[0], O_RDONLY, POL_FD_PIPE);
	assert_int_equal(fdtab_install(proc->fdtab, f, 5, true), 5);
	n = look("/proc/self/fd");
	assert_non_null(n);
	assert_int_equal(n->ops->lookup(n, "4", &to), -ENOENT);
	assert_int_equal(n->ops->lookup(n, "05", &to), -ENOENT);
	assert_int_equal(n->ops->lookup(n, "5", &to), 0);
	assert_true(to->ops->readlink(&task, to, buf, sizeof(buf)) > 6);
	assert_memory_equal(buf, "pipe:[", 6);
	vnode_put(to);
	vnode_put(n);
	to = look("/proc/self/fd/5");
	assert_non_null(to);
	assert_int_equal(to->type, S_IFIFO);
	assert_string_equal(to->path, "/proc/self/fd/5");
	assert_int_equal(to->ops->open(&task, to, O_RDONLY | O_NONBLOCK, &g), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(read(g->hostfd, buf, 1), 1);
	file_put(g);
	vnode_put(to);
	assert_memory_equal(text("/proc/self/fdinfo/5"), "pos:\t0\nflags:\t02000000\nmnt_id:\t", 31);
	fdtab_close(proc->fdtab, 5);
	close(p[1]);
}

static bool lists(const char *path, const char *name)
{
	char buf[4096], *p = buf;
	struct dirent_sink s = {.buf = (uint8_t *)buf, .cap = sizeof(buf)};
	struct vnode *n = look(path);
	bool found = false;
	struct file *f;

	assert_non_null(n);
	assert_int_equal(n->ops->open(&task, n, O_RDONLY | O_DIRECTORY, &f), 0);
	assert_int_equal(f->ops->getdents(&task, f, &s), 0);
	for (; p < buf + s.len; p += ((struct dirent64 *)p)->d_reclen)
		found |= !strcmp(((struct dirent64 *)p)->d_name, name);
	s.len = 0;
	assert_int_equal(f->ops->getdents(&task, f, &s), 0);
	assert_int_equal(s.len, 0);
	file_put(f);
	vnode_put(n);
	return found;
}

static void directories(void **state)
{
	struct statx st;
	struct vnode *n;
	struct file *f;

	assert_true(lists("/proc", "7"));
	assert_true(lists("/proc", "self"));
	assert_true(lists("/proc/7/task", "7"));
	assert_true(lists("/proc/self", "status"));
	assert_true(lists("/sys/devices/system/cpu", "cpu0"));
	assert_true(lists("/dev", "null"));
	assert_false(lists("/dev", "kvm"));
	assert_null(look("/proc/8"));
	assert_null(look("/proc/self/mem"));
	n = look("/dev/null");
	assert_int_equal(n->ops->getattr(&task, n, &st), 0);
	assert_int_equal(st.stx_rdev_major * 256 + st.stx_rdev_minor, 259);
	assert_int_equal(n->ops->open(&task, n, O_RDWR, &f), 0);
	assert_int_equal(f->kind, POL_FD_DEVICE);
	assert_int_equal(write(f->hostfd, "x", 1), 1);
	file_put(f);
	vnode_put(n);
	n = look("/proc/self/status");
	assert_int_equal(n->ops->open(&task, n, O_RDWR, &f), -EACCES);
	vnode_put(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status),      cmocka_unit_test(stat_fields),
		cmocka_unit_test(small_files), cmocka_unit_test(cpus),
		cmocka_unit_test(reread),      cmocka_unit_test(descriptors),
		cmocka_unit_test(directories),
	};

	return cmocka_run_group_tests_name("procfs", tests, setup, NULL);
}
