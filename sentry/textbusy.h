/* Programs that run may not be written to. Owner: sentry/textbusy.c. */
#ifndef SBX_SENTRY_TEXTBUSY_H
#define SBX_SENTRY_TEXTBUSY_H

#include "sentry/vfs.h"

/* -ETXTBSY when a process of the sandbox executes this file, else 0. */
int textbusy_check(struct vnode *n);

#endif
