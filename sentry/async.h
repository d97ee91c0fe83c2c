/* Signals for readiness: O_ASYNC, F_SETOWN, F_SETSIG. Owner: sentry/async.c. */
#ifndef SBX_SENTRY_ASYNC_H
#define SBX_SENTRY_ASYNC_H

#include <stdbool.h>
#include <stdint.h>
#include "sentry/gmem.h"

struct file;
struct task;

/* Turns O_ASYNC of f, which the app knows as fd, on or off. 0; -ENOTTY for a file that is always
 * ready, which nobody is told of; -errno. */
int async_set(struct task *t, struct file *f, int fd, bool on);

/* fcntl's F_[GS]ETOWN, F_[GS]ETOWN_EX, F_[GS]ETSIG. */
long async_fcntl(struct task *t, struct file *f, int cmd, uint64_t arg);

/* The last descriptor of f is gone. Called by file_put when f->async. */
void async_forget(struct file *f);

/* Host descriptor that is readable when async_run has signals to send; -1 while nobody wants any. */
int async_fd(void);
void async_run(void);

#endif
