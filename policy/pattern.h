/* Path patterns as the compiler sees them: their bytes and tokens (policy/image_format.h), and how
 * two of them relate. Patterns judge canonical absolute paths. */
#ifndef SBX_POLICY_PATTERN_H
#define SBX_POLICY_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/buf.h"

#define PATTERN_MAX 4096 /* bytes of the coded form */

struct pattern {
	const char *t; /* coded: the byte 0 introduces a token */
	size_t len;
	bool tail; /* also everything below */
	/* Specificity, see pattern_order. */
	size_t literal;	   /* bytes before the first token */
	size_t nr_literal; /* bytes that stand for themselves */
	unsigned stars, globstars;
};

/* One character of a pattern before coding. */
struct pattern_char {
	unsigned char c;
	bool wild; /* c is an unescaped '*' */
};

/* Codes n characters. False with *why when they make no legal pattern. */
bool pattern_code(struct arena *a, const struct pattern_char *s, size_t n, struct pattern *out,
		  const char **why);

/* A pattern that matches path alone (below: and everything under it); path is absolute and clean.
 */
bool pattern_literal(struct arena *a, const char *path, bool below, struct pattern *out);

/* Makes a pattern that names one path match everything below it, too. */
void pattern_spread(struct pattern *p);

bool pattern_is_exact(const struct pattern *p);

/* As it was written, more or less: appended to out. */
void pattern_print(const struct pattern *p, struct buf *out);

/* Negative: a goes before b, being more specific. A linear extension of "matches fewer paths". */
int pattern_order(const struct pattern *a, const struct pattern *b);

bool pattern_equal(const struct pattern *a, const struct pattern *b);

enum pattern_relation {
	PATTERN_DISJOINT,
	PATTERN_INSIDE,	  /* every path of a is one of b (or they are equal) */
	PATTERN_CONTAINS, /* the other way round */
	PATTERN_OVERLAP,  /* some paths in common, neither inside the other */
};

/* A path that both match, if there is one, is appended to witness (may be NULL). */
enum pattern_relation pattern_relate(const struct pattern *a, const struct pattern *b,
				     struct buf *witness);

#endif
