/* "did you mean": nearest name by edit distance. */
#ifndef SBX_BASE_SUGGEST_H
#define SBX_BASE_SUGGEST_H

#include <stddef.h>

/* Edit distance with adjacent transpositions (optimal string alignment). Names over 63 bytes count
 * as far apart. */
unsigned suggest_distance(const char *a, const char *b);

struct suggest {
	const char *want, *best;
	unsigned best_distance;
};

/* Usage: suggest_begin, suggest_offer for each candidate (borrowed), suggest_end. */
void suggest_begin(struct suggest *s, const char *want);
void suggest_offer(struct suggest *s, const char *candidate);

/* The best candidate close enough to be worth saying, or NULL. */
const char *suggest_end(const struct suggest *s);

#endif
