/* What the handlers of the file family share. Owner: sentry/sys_file_*.c, vfs_role.c. */
#ifndef SBX_SENTRY_SYS_FILE_H
#define SBX_SENTRY_SYS_FILE_H

#include <linux/openat2.h>
#include <stdbool.h>
#include "sentry/sys.h"

/* Flags, mode and resolve of open, openat, creat and openat2 in one form. */
int sys_open_how(const struct sysargs *a, struct open_how *how);
bool sys_open_is_tmpfile(const struct open_how *how);

/* The AT_* flags of the call, 0 when it has none. */
unsigned sys_at_flags(const struct sysargs *a);

#endif
