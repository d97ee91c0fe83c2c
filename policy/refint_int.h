/* Inside of the reference interpreter. */
#ifndef SBX_POLICY_REFINT_INT_H
#define SBX_POLICY_REFINT_INT_H

#include "policy/refint.h"

#define REFINT_FILES SOURCE_MAX_FILES

/* All files, used ones first; returns their number. */
unsigned refint_files(const struct refint *r, const struct pol_ast **files);

const char *refint_var(const struct refint *r, const char *name);
uint64_t refint_val(const struct refint *r, const struct ast_val *v);
void refint_outcome(const struct refint *r, const struct ast_outcome *o, const struct ast_notes *n,
		    uint32_t line, struct refint_verdict *v);
void refint_default(const struct refint *r, bool unknown, struct refint_verdict *v);

/* Does the written pattern match? under: it is one path, and everything below matches too. */
bool refint_path_matches(const struct refint *r, const struct ast_path *p, bool under,
			 const char *path, size_t len);

#endif
