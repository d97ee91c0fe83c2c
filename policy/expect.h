/* Judges a call as text describes it, by an image: the tests: section, `sbx explain`. */
#ifndef SBX_POLICY_EXPECT_H
#define SBX_POLICY_EXPECT_H

#include "policy/image.h"
#include "policy/sysdesc.h"

#define EXPECT_MAX_RESULTS 16

/* What is known of one argument. */
struct expect_arg {
	bool known; /* value is; otherwise any value */
	uint64_t value;
	const char *text; /* a path or an address; or NULL */
	const char *const *list; /* arguments of a program; or NULL */
	uint32_t nr_list;
};

struct expect_result {
	struct pol_verdict v;
	uint32_t verbs; /* of the files gate, for messages */
	uint32_t view;	/* of the program that is started, where it may be */
};

/* All verdicts that the call can get, over everything that is not known, at most
 * EXPECT_MAX_RESULTS; returns their number. why is set (and 0 returned) when an argument's text
 * makes no sense. */
size_t expect_judge(const struct pol_image *img, uint32_t view, const struct sys_desc *d,
		    const struct expect_arg arg[SYS_MAX_ARGS], struct expect_result *out,
		    const char **why);

/* Verbs that a path argument in this role needs, for an object of which nothing is known: flags and
 * mode are those of open and access. */
uint32_t expect_role_verbs(unsigned role, uint64_t flags);

/* Reads "tcp 10.0.0.5:22", "udp [::1]:53", "unix /run/x.sock", "unix @name". */
bool expect_addr(const char *text, struct pol_addr *a);

#endif
