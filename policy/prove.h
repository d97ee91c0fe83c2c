/* `prove` statements: what a policy can never do. */
#ifndef SBX_POLICY_PROVE_H
#define SBX_POLICY_PROVE_H

#include "policy/resolve.h"

/* Each returns true when it is proved. Otherwise *rule is the grant that stands against it and
 * *how, in u's arena, an example or a reason (may be NULL). */

/* No arguments for which the call is allowed (and cond holds, unless NULL). open: what no rule is about is
 * allowed, too. Exact; "undecided" in *how when the conditions are too large. */
bool prove_no_call(struct unit *u, const struct rcall *call, const struct rcond *cond, bool open,
		   uint32_t *rule, const char **how);

/* No path that is under, or below, for which the layer grants one of verbs. Never wrong when true. */
bool prove_no_verb(struct unit *u, const struct pol_image *img, unsigned layer, uint32_t verbs,
		   const struct pattern *under, uint32_t *rule, const char **how);

/* No address with this verb. */
bool prove_no_net(const struct pol_image *img, unsigned layer, uint32_t nverb, uint32_t *rule);

#endif
