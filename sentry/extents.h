/* Sets of address ranges that do not overlap, in order: a treap by offset, in which each member knows
 * the longest one below it. All operations are logarithmic. Owner and lock: the user's. */
#ifndef SBX_SENTRY_EXTENTS_H
#define SBX_SENTRY_EXTENTS_H

#include <stddef.h>
#include <stdint.h>

struct extent { /* embedded in, or first member of, what it belongs to */
	uint64_t off, len;
	uint64_t longest; /* of this one and all below */
	uint32_t prio;
	struct extent *left, *right;
};

/* Links x, whose off and len are set and overlap no member. */
void extents_add(struct extent **root, struct extent *x);
void extents_del(struct extent **root, struct extent *x);
/* The member with the highest off <= off, or NULL. */
struct extent *extents_at(struct extent *root, uint64_t off);
/* The lowest member of at least len, or NULL. */
struct extent *extents_fit(struct extent *root, uint64_t len);
/* Gives the member x other bounds, which must not change its place among the others. */
void extents_resize(struct extent *root, struct extent *x, uint64_t off, uint64_t len);

#endif
