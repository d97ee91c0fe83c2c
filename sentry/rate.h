/* `limit` of rules: how often what they allow may be done. Owner: sentry/rate.c. */
#ifndef SBX_SENTRY_RATE_H
#define SBX_SENTRY_RATE_H

#include "policy/image.h"
#include "sentry/task.h"

/* Takes the limits from the image; once, before the first call. 0 or -1 with *e. */
int rate_init(const struct pol_image *img, struct sbx_err **e);

/* Counts one call that *v, with POL_F_LIMIT, allows. Over its limit it waits, or *v becomes what the rule says
 * then. 0, or -ERESTARTNOINTR when a signal came first. */
long rate_take(struct task *t, struct pol_verdict *v);

#endif
