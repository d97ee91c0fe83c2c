/* Host confinement: what the sentry itself may still ask of the host once the app runs. A sentry that
 * the app has taken over holds only these rights. Owner: sentry/confine.c. */
#ifndef SBX_SENTRY_CONFINE_H
#define SBX_SENTRY_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct confine_opts {
	bool net_inet;	  /* some rule grants internet sockets */
	bool net_unix;	  /* some rule grants named Unix sockets */
	bool files_write; /* some rule lets host files change */
	bool files_read;  /* some rule lets host files or folders be read */
	uint64_t window_base, window_size; /* of the platform; size 0: none */
};

/* Gives up capabilities, core dumps, new privileges, host files that the policy cannot reach
 * (Landlock, where the host has it) and all system calls but those of confine_calls.def. For ever, for
 * this thread and those it makes: called once, before other threads exist. -1 with *e. */
int confine_apply_opts(const struct confine_opts *o, struct sbx_err **e);

/* As confine_apply_opts, for the sandbox's policy. */
int confine_apply(struct sbx_err **e);

/* The steps, for tests. */
int confine_landlock(const struct confine_opts *o, struct sbx_err **e);
int confine_filter(const struct confine_opts *o, struct sbx_err **e);

/* Host descriptors of devices that stay writable without files_write (devfs.c). Index from 0; -1 after
 * the last. */
int devfs_host_fd(size_t index);

#endif
