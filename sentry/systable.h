/* Handlers by call number. Owner: sentry/systable.c. */
#ifndef SBX_SENTRY_SYSTABLE_H
#define SBX_SENTRY_SYSTABLE_H

#include <stdint.h>

struct sysargs;
struct task;

typedef long sys_handler(struct task *t, struct sysargs *a);

/* NULL for calls that are not implemented. */
sys_handler *systable_handler(uint32_t nr);

#endif
