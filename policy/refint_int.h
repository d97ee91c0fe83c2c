/* Inside of the reference interpreter. */
#ifndef SBX_POLICY_REFINT_INT_H
#define SBX_POLICY_REFINT_INT_H

#include "policy/refint.h"

#define REFINT_FILES SOURCE_MAX_FILES

/* The files whose statements count, used ones first; returns their number. */
unsigned refint_files(const struct refint *r, const struct pol_ast **files);
/* Those with variables and defaults. */
unsigned refint_main_files(const struct refint *r, const struct pol_ast **files);

/* The section n of programs: as a policy; false when there is none. */
bool refint_layer(const struct refint *r, unsigned n, struct pol_ast *file, struct refint *out);
/* Number of the section with that name; 0 for "self". */
unsigned refint_layer_named(const struct refint *r, const char *name);
/* Keeps the stricter one in v. */
void refint_narrow(struct refint_verdict *v, const struct refint_verdict *by);

enum refint_table { REFINT_CALLS, REFINT_FILES_TABLE, REFINT_NET, REFINT_EXEC };
/* What applies to what no statement is about. */
void refint_missing(const struct refint *r, enum refint_table table, bool unknown,
		    struct refint_verdict *v);

const char *refint_var(const struct refint *r, const char *name);
uint64_t refint_val(const struct refint *r, const struct ast_val *v);
void refint_outcome(const struct refint *r, const struct ast_outcome *o, const struct ast_notes *n,
		    uint32_t line, struct refint_verdict *v);
void refint_default(const struct refint *r, bool unknown, struct refint_verdict *v);

/* ---- patterns: refint_text.c ---- */

struct text {
	struct {
		char c;
		bool star;
	} at[8192];
	size_t n;
};

struct weight {
	bool exact, deep; /* deep: has two stars somewhere */
	size_t prefix, chars;
	unsigned stars;
};

/* Is the component of two stars at i, with its slash before it? */
bool refint_any_dirs(const struct text *t, size_t i);
void refint_put(struct text *t, char c, bool star);
/* A written path as text; under: with everything below. */
void refint_expand(const struct refint *r, const struct ast_path *p, bool under, struct text *t);
bool refint_text_matches(const struct text *t, const char *path);
struct weight refint_weigh(const struct text *t);
/* Positive: a is more specific. */
int refint_compare(const struct weight *a, const struct weight *b);

/* The statement that decides, as far as one has looked. */
struct best {
	bool found, implied, grant, scratch;
	bool hidden; /* a scratch that does not hold the path */
	unsigned order; /* in the text */
	struct weight w;
	struct refint_verdict v;
};
void refint_offer(struct best *b, const struct best *new);

/* One layer's answers. */
void refint_one_path(const struct refint *r, uint32_t verbs, const char *path, size_t len,
		     struct refint_verdict *v);
void refint_one_exec(const struct refint *r, const struct pol_program *prog,
		     struct refint_verdict *v, uint32_t *enters);

/* Does the written pattern match? under: it is one path, and everything below matches too. */
bool refint_path_matches(const struct refint *r, const struct ast_path *p, bool under,
			 const char *path, size_t len);

#endif
