/* What the handlers of the file family share. Owner: sentry/sys_file_*.c, vfs_role.c. */
#ifndef SBX_SENTRY_SYS_FILE_H
#define SBX_SENTRY_SYS_FILE_H

#include <linux/openat2.h>
#include <stdbool.h>
#include "sentry/sys.h"

#define SYS_RW_MAX 0x7ffff000ull /* most bytes of one read or write, as Linux */

/* Flags, mode and resolve of open, openat, creat and openat2 in one form. */
int sys_open_how(const struct sysargs *a, struct open_how *how);
/* Refuses flags that Linux refuses before it looks at the path. 0 or -errno. */
int sys_open_check(const struct sysargs *a);
bool sys_open_is_tmpfile(const struct open_how *how);

/* Refuses what Linux refuses of inotify_add_watch before it looks at the path. 0 or -errno. */
int sys_watch_check(const struct sysargs *a);

/* Would linking an open file to this new name let it be used for more than its opening did? */
bool sys_link_widens(const struct file *f, const struct vpath *to);

/* The AT_* flags of the call, 0 when it has none. */
unsigned sys_at_flags(const struct sysargs *a);

/* An off_t of the app's behind a pointer that may be NULL: then *off is -1. -EFAULT, or -EINVAL for one
 * below zero; *off is what was read. */
int sys_off_read(struct task *t, uint64_t addr, off_t *off);
int sys_off_write(struct task *t, uint64_t addr, off_t off);

/* mode without the process' umask and without what sbx does not let a program create: set-id bits,
 * which would lend the identity of whoever runs sbx. */
mode_t sys_create_mode(struct task *t, mode_t mode);

/* Present path of the process' working directory: length, -ENOENT when it was removed. */
int sys_cwd_path(struct task *t, char *buf, size_t size);

#endif
