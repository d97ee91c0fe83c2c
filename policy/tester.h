/* Inside of what runs tests: and explains calls. */
#ifndef SBX_POLICY_TESTER_H
#define SBX_POLICY_TESTER_H

#include "policy/expect.h"
#include "policy/resolve.h"

struct tester {
	struct unit u;
	const struct pol_image *img;
	struct buf out;
	struct arena *arena;
	struct rcall *calls[IMG_MAX_LAYERS]; /* collected when first needed */
	unsigned failed;
	bool json;
};

/* "deny as EPERM" */
const char *tester_verdict(struct tester *t, const struct pol_verdict *v);

/* The view of a process that entered the section after `in`. False after a report. */
bool tester_view(struct tester *t, const struct ast_test *test, uint32_t *view);

/* The arguments of the call that a test names. False after a report. */
bool tester_arguments(struct tester *t, const struct ast_test *test, const struct sys_desc *d,
		      struct expect_arg out[SYS_MAX_ARGS]);

#endif
