/* Waiting for descriptors: epoll, poll, select, and the descriptors that exist to be waited for.
 * Owner: sentry/pipe.c, epoll.c, poll.c. */
#ifndef SBX_SENTRY_READY_H
#define SBX_SENTRY_READY_H

#include <stdbool.h>
#include <stdint.h>
#include "sentry/gmem.h"

struct epoll_event;
struct file;
struct task;

/* Installs two files (references taken) and writes their numbers to out. 0, or -errno with neither
 * open. */
long ready_install_pair(struct task *t, struct file *f[2], bool cloexec, struct gptr out);

/* ---- epoll's book of what is registered where ---- */

struct epoll;
struct epoll *epoll_create_book(void);
void epoll_destroy_book(struct epoll **ep);

/* epoll_ctl of fd, which is file f, on the host epoll descriptor. The registration does not keep f
 * open. 0 or -errno. */
int epoll_change(struct epoll *ep, int host_epoll, int op, struct file *f, int fd,
		 struct epoll_event *ev);

/* The last descriptor of f is gone: drops its registrations. Called by file_put, before the host
 * descriptor is closed, when f->watched. */
void epoll_forget(struct file *f);

/* f's host descriptor stands for another open file now: registers it anew wherever it was. */
void epoll_renew(struct file *f);

/* Number of registrations, for tests. */
unsigned epoll_count(struct epoll *ep);

/* ---- timeouts ---- */

#define READY_FOREVER UINT64_MAX

/* Monotonic time in nanoseconds. */
uint64_t ready_now(void);
/* Deadline that lies ns (READY_FOREVER: none) in the future. */
uint64_t ready_deadline(uint64_t ns);
/* Time left to a deadline, 0 when it has passed; READY_FOREVER without one. */
uint64_t ready_left(uint64_t deadline);
/* A timespec or timeval of the app as nanoseconds, NULL: READY_FOREVER. 0 or -errno. */
int ready_read_timespec(struct task *t, struct gptr p, uint64_t *ns);
int ready_read_timeval(struct task *t, struct gptr p, uint64_t *ns);

/* Puts the signal mask at p (size bytes; NULL: none) in force until the call returns. 0 or -errno.
 */
int ready_push_mask(struct task *t, struct gptr p, uint64_t size);

#endif
