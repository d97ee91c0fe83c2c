/* The host's /proc as the sentry itself needs it: descriptors held from before confinement.
 * Owner: sentry/hostproc.c. Thread safe after hostproc_init. */
#ifndef SBX_SENTRY_HOSTPROC_H
#define SBX_SENTRY_HOSTPROC_H

#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

/* Opens the host's /proc and /proc/self/fd. Called at start-up; a second call does nothing. */
int hostproc_init(struct sbx_err **e);

/* A new open file description of what fd (O_PATH or not) refers to, with its own position. flags are
 * O_*; O_CLOEXEC is added, O_CREAT and O_NOFOLLOW must not be given. Descriptor or -errno. */
int hostproc_reopen(int fd, unsigned flags);

/* Text of the host's link for fd ("pipe:[7]", "/path"), not NUL-terminated. Length or -errno. */
ssize_t hostproc_readlink(int fd, char *buf, size_t size);

/* Appends the host's /proc/NAME to out, at most max bytes. 0 or -errno. */
int hostproc_read(const char *name, size_t max, struct buf *out);

/* The two descriptors, for the confinement's filter: directory /proc and /proc/self/fd. */
int hostproc_fd_proc(void);
int hostproc_fd_self(void);

#endif
