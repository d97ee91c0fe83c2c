/* Inside of /proc: what the procfs*.c files share. */
#ifndef SBX_SENTRY_PROCFS_H
#define SBX_SENTRY_PROCFS_H

#include <sys/utsname.h>
#include "sentry/pseudofs.h"
#include "sentry/task.h"

#define PROC_REG(n, perm, fn)	   {.name = (n), .mode = S_IFREG | (perm), .show = (fn)}
#define PROC_RW(n, perm, fn, st)   {.name = (n), .mode = S_IFREG | (perm), .show = (fn), .store = (st)}
#define PROC_DIR(n, perm, members) {.name = (n), .mode = S_IFDIR | (perm), .children = (members)}
#define PROC_LINK(n, fn)	   {.name = (n), .mode = S_IFLNK | 0777, .link = (fn)}
#define PROC_MAGIC(n, fn, fol)	   {.name = (n), .mode = S_IFLNK | 0777, .link = (fn), .follow = (fol)}
#define PROC_END		   {.name = NULL}

#define PROCFS_INIT "sbx" /* name of process 1 */

/* procfs_pid.c */
extern const struct pseudo_entry procfs_pid_dir, procfs_tid_dir; /* templates */
int procfs_next_pid(const struct pseudo_key *k, int from);
/* procfs_status.c */
int procfs_show_status(const struct pseudo_key *k, struct buf *out);
int procfs_show_stat(const struct pseudo_key *k, struct buf *out);
int procfs_show_statm(const struct pseudo_key *k, struct buf *out);
/* procfs_fd.c */
extern const struct pseudo_entry procfs_fd_link, procfs_fdinfo_file; /* templates */
int procfs_next_fd(const struct pseudo_key *k, int from);
void procfs_bind_num(struct pseudo_key *k, int number);
#define PROCFS_FD_ENTRIES                                                                          \
	{.name = "fd", .mode = S_IFDIR | 0500, .numbered = &procfs_fd_link,                        \
	 .next = procfs_next_fd, .bind = procfs_bind_num},                                         \
		{.name = "fdinfo", .mode = S_IFDIR | 0555, .numbered = &procfs_fdinfo_file,        \
		 .next = procfs_next_fd, .bind = procfs_bind_num}
/* procfs_mem.c */
int procfs_show_meminfo(const struct pseudo_key *k, struct buf *out);
int procfs_show_vmstat(const struct pseudo_key *k, struct buf *out);
int procfs_show_node_meminfo(const struct pseudo_key *k, struct buf *out);
/* procfs_more.c: small files of a process */
int procfs_show_oom_score(const struct pseudo_key *k, struct buf *out);
int procfs_show_oom_score_adj(const struct pseudo_key *k, struct buf *out);
int procfs_store_oom_score_adj(const struct pseudo_key *k, const char *s, size_t n);
int procfs_show_oom_adj(const struct pseudo_key *k, struct buf *out);
int procfs_store_oom_adj(const struct pseudo_key *k, const char *s, size_t n);
int procfs_show_schedstat(const struct pseudo_key *k, struct buf *out);
int procfs_show_timerslack(const struct pseudo_key *k, struct buf *out);
int procfs_show_wchan(const struct pseudo_key *k, struct buf *out);
int procfs_show_children(const struct pseudo_key *k, struct buf *out);
int procfs_show_no_id(const struct pseudo_key *k, struct buf *out);
int procfs_show_setgroups(const struct pseudo_key *k, struct buf *out);
int procfs_show_top_dir(const struct pseudo_key *k, struct buf *out);
int procfs_show_coredump_filter(const struct pseudo_key *k, struct buf *out);
extern const struct pseudo_entry procfs_ns[];
/* procfs_system.c: files at the top */
int procfs_show_devices(const struct pseudo_key *k, struct buf *out);
int procfs_show_partitions(const struct pseudo_key *k, struct buf *out);
int procfs_show_cgroups(const struct pseudo_key *k, struct buf *out);
int procfs_show_kernel_cmdline(const struct pseudo_key *k, struct buf *out);
int procfs_show_empty(const struct pseudo_key *k, struct buf *out);
extern const struct pseudo_entry procfs_tty[];
/* sysfs_cpu.c. The first asks the processor, at start: in ring 0 the sentry would be told what the guest is. */
void sysfs_cpu_init(void);
int sysfs_show_cpu_list(const struct pseudo_key *k, struct buf *out);
extern const struct pseudo_entry sysfs_system[];
/* procfs_mounts.c */
int procfs_show_mounts(const struct pseudo_key *k, struct buf *out);
int procfs_show_mountinfo(const struct pseudo_key *k, struct buf *out);
/* procfs_net.c */
extern const struct pseudo_entry procfs_net[];
/* procfs_sys.c */
extern const struct pseudo_entry procfs_sys[];

/* Objects of a key, referenced; -ESRCH when they are gone. *t may be NULL: then any thread of the
 * process does. */
int procfs_proc(const struct pseudo_key *k, struct proc **p);
int procfs_task(const struct pseudo_key *k, struct task **t);
/* The same where only who may look into the process is answered: else -EACCES. */
int procfs_private(const struct pseudo_key *k, struct proc **p);
/* Referenced address space or descriptor table of the process, as procfs_private; _open: for everybody. */
int procfs_mm_open(const struct pseudo_key *k, struct mm **mm);
int procfs_mm(const struct pseudo_key *k, struct mm **mm);
int procfs_fdtab(const struct pseudo_key *k, struct fdtab **tab);

/* Copies text that a link has into buf, as readlink does. */
ssize_t procfs_text(const char *text, char *buf, size_t size);


/* Bytes of memory the sandbox may use and uses. */
uint64_t procfs_mem_total(void);
uint64_t procfs_mem_used(void);
uint64_t procfs_mem_free(void);

/* Load of the sandbox, in hundredths. */
uint64_t procfs_load(void);

/* Processors the app sees. */
unsigned procfs_cpus(void);

#endif
