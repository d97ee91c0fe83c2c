/* Small helpers over file descriptors. */
#ifndef SBX_BASE_FDX_H
#define SBX_BASE_FDX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "base/err.h"

/* Reads all of path (at most max bytes) into a new NUL-terminated buffer that the caller frees.
 * A longer file, a directory, or a read error is an error. */
int fdx_read_file(const char *path, size_t max, char **data, size_t *len, struct sbx_err **e);

/* As fdx_read_file from an open descriptor; name is for messages. */
int fdx_read_fd(int fd, const char *name, size_t max, char **data, size_t *len, struct sbx_err **e);

/* Puts /dev/null at each of the descriptors 0, 1 and 2 that is closed, so that nothing that is opened
 * later can be taken for a standard stream. To be called first of all. 0, or -1 with errno. */
int fdx_hold_std(void);

/* Was fd (0..2) closed when fdx_hold_std was called? */
bool fdx_std_was_closed(int fd);

/* Writes all n bytes, going on after EINTR and short writes. 0, or -1 with errno. */
int fdx_write_all(int fd, const void *p, size_t n);

#endif
