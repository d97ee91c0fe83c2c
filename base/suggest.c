#include "base/suggest.h"

#include <limits.h>
#include <string.h>
#include "base/overflow.h"

#define MAX_NAME 63

unsigned suggest_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), i, j;
	unsigned row[3][MAX_NAME + 1];

	if (la > MAX_NAME || lb > MAX_NAME)
		return UINT_MAX;
	for (j = 0; j <= lb; j++)
		row[0][j] = (unsigned)j;
	for (i = 1; i <= la; i++) {
		unsigned *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];

		cur[0] = (unsigned)i;
		for (j = 1; j <= lb; j++) {
			unsigned cost = a[i - 1] != b[j - 1];

			cur[j] = MIN(prev[j] + 1, cur[j - 1] + 1);
			cur[j] = MIN(cur[j], prev[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cur[j] = MIN(cur[j], prev2[j - 2] + 1);
		}
	}
	return row[la % 3][lb];
}

void suggest_begin(struct suggest *s, const char *want)
{
	s->want = want;
	s->best = NULL;
	s->best_distance = UINT_MAX;
}

void suggest_offer(struct suggest *s, const char *candidate)
{
	unsigned d = suggest_distance(s->want, candidate);

	if (d < s->best_distance) {
		s->best = candidate;
		s->best_distance = d;
	}
}

const char *suggest_end(const struct suggest *s)
{
	size_t limit = strlen(s->want) / 3 + 1;

	return s->best && s->best_distance <= limit ? s->best : NULL;
}
