/* Decisions of the sentry on their way to the audit log. Owner: sentry/auditx.c.
 * All are no-ops without a log. The caller counts; these only record. */
#ifndef SBX_SENTRY_AUDITX_H
#define SBX_SENTRY_AUDITX_H

#include <stdint.h>
#include "policy/eval.h"

struct file;
struct net_target;
struct platform_tier0_record;
struct sysargs;
struct task;

struct auditx_obj {
	int k;		/* index into sysargs.path */
	uint32_t verbs; /* POL_V_* asked */
};

/* The call gate decided. */
void auditx_call(struct task *t, const struct sysargs *a, const struct pol_verdict *v);
/* The files gate decided on a path. */
void auditx_path(struct task *t, const struct sysargs *a, const struct pol_verdict *v,
		 const struct auditx_obj *obj);
/* The files gate decided on what a descriptor or a mapping refers to. */
void auditx_file(struct task *t, const struct sysargs *a, const struct pol_verdict *v,
		 const struct file *f, uint32_t verbs);
/* The exec gate decided on a program, or (prog NULL) the files gate on a program or interpreter that sbx
 * itself opens: recorded as execve's. path is canonical. */
void auditx_exec(struct task *t, const char *path, const char *asked, const struct pol_program *prog,
		 const struct pol_verdict *v);
/* The net gate decided on an address. */
void auditx_net(struct task *t, const struct sysargs *a, const struct pol_verdict *v,
		const struct net_target *target);
/* sbx does not implement the call: recorded once per number, counted always. */
void auditx_unimplemented(struct task *t, uint32_t nr);
/* Tier 0 decided by itself; also counts it. */
void auditx_tier0(struct task *t, const struct platform_tier0_record *rec);

#endif
