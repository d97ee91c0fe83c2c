/* Reduced ordered binary decision diagrams: unique table, if-then-else with a cache. */
#include "policy/bdd.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS (1u << 12)
#define CACHE	(1u << 12)
#define NO_VAR	UINT32_MAX

struct node {
	uint32_t var; /* term * 64 + distance from the top bit */
	bdd_ref lo, hi;
	uint32_t next; /* in its bucket; 0 ends */
};

struct entry {
	bdd_ref c, t, e, r;
};

struct bdd {
	struct node *nodes;
	uint32_t nr, cap;
	uint32_t bucket[BUCKETS];
	struct entry cache[CACHE];
	unsigned steps;
	bool failed;
};

struct bdd *bdd_create(void)
{
	struct bdd *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->cap = 1024;
	b->nodes = calloc(b->cap, sizeof(*b->nodes));
	if (!b->nodes) {
		free(b);
		return NULL;
	}
	b->nr = 2;
	b->nodes[BDD_FALSE].var = b->nodes[BDD_TRUE].var = NO_VAR;
	return b;
}

void bdd_destroy(struct bdd **b)
{
	if (!*b)
		return;
	free((*b)->nodes);
	free(*b);
	*b = NULL;
}

bool bdd_failed(const struct bdd *b)
{
	return b->failed;
}

static uint32_t mix(uint32_t a, uint32_t b, uint32_t c)
{
	uint64_t h =
	    a * 0x9e3779b97f4a7c15ull ^ b * 0xc2b2ae3d27d4eb4full ^ c * 0x165667b19e3779f9ull;

	return (uint32_t)(h >> 29);
}

static bdd_ref make(struct bdd *b, uint32_t var, bdd_ref lo, bdd_ref hi)
{
	uint32_t *head = &b->bucket[mix(var, lo, hi) % BUCKETS];

	if (lo == hi)
		return lo;
	for (uint32_t i = *head; i; i = b->nodes[i].next)
		if (b->nodes[i].var == var && b->nodes[i].lo == lo && b->nodes[i].hi == hi)
			return i;
	if (b->nr == b->cap) {
		struct node *more = b->cap < BDD_MAX_NODES
					? reallocarray(b->nodes, b->cap * 2, sizeof(*more))
					: NULL;

		if (!more) {
			b->failed = true;
			return BDD_FALSE;
		}
		b->nodes = more;
		b->cap *= 2;
	}
	b->nodes[b->nr] = (struct node){var, lo, hi, *head};
	*head = b->nr;
	return b->nr++;
}

static bdd_ref branch(const struct bdd *b, bdd_ref f, uint32_t var, bool high)
{
	const struct node *n = &b->nodes[f];

	if (n->var != var)
		return f;
	return high ? n->hi : n->lo;
}

/* Recursion is as deep as there are variables: at most BDD_TERMS * 64. */
bdd_ref bdd_ite(struct bdd *b, bdd_ref c, bdd_ref t, bdd_ref e)
{
	struct entry *slot;
	uint32_t var;
	bdd_ref lo, hi, r;

	if (c == BDD_TRUE || t == e || b->failed)
		return t;
	if (c == BDD_FALSE)
		return e;
	if (t == BDD_TRUE && e == BDD_FALSE)
		return c;
	slot = &b->cache[mix(c, t, e) % CACHE];
	if (slot->c == c && slot->t == t && slot->e == e)
		return slot->r;
	if (++b->steps > BDD_MAX_STEPS) {
		b->failed = true;
		return BDD_FALSE;
	}
	var = b->nodes[c].var;
	if (b->nodes[t].var < var)
		var = b->nodes[t].var;
	if (b->nodes[e].var < var)
		var = b->nodes[e].var;
	lo = bdd_ite(b, branch(b, c, var, false), branch(b, t, var, false),
		     branch(b, e, var, false));
	hi = bdd_ite(b, branch(b, c, var, true), branch(b, t, var, true), branch(b, e, var, true));
	r = make(b, var, lo, hi);
	*slot = (struct entry){c, t, e, r};
	return r;
}

bdd_ref bdd_and(struct bdd *b, bdd_ref x, bdd_ref y)
{
	return bdd_ite(b, x, y, BDD_FALSE);
}

bdd_ref bdd_or(struct bdd *b, bdd_ref x, bdd_ref y)
{
	return bdd_ite(b, x, BDD_TRUE, y);
}

bdd_ref bdd_not(struct bdd *b, bdd_ref x)
{
	return bdd_ite(b, x, BDD_FALSE, BDD_TRUE);
}

/* Bit i of (conv(term) & mask). */
static bdd_ref bit_of(struct bdd *b, unsigned term, unsigned conv, uint64_t mask, unsigned i)
{
	unsigned bit = i;

	if (!(mask >> i & 1) || (conv == IMG_U32 && i > 31))
		return BDD_FALSE;
	if (conv == IMG_S32 && i > 31)
		bit = 31;
	return make(b, term * 64 + 63 - bit, BDD_FALSE, BDD_TRUE);
}

bdd_ref bdd_compare(struct bdd *b, unsigned term, unsigned conv, uint64_t mask, unsigned cmp,
		    uint64_t imm)
{
	bool is_signed = cmp == IMG_SLT || cmp == IMG_SLE;
	bdd_ref r = cmp == IMG_EQ || cmp == IMG_ULE || cmp == IMG_SLE ? BDD_TRUE : BDD_FALSE;

	for (unsigned i = 0; i < 64; i++) {
		bdd_ref x = bit_of(b, term, conv, mask, i);
		bool want = imm >> i & 1;
		bdd_ref smaller = BDD_TRUE;

		if (cmp == IMG_EQ) {
			r = want ? bdd_and(b, x, r) : bdd_ite(b, x, BDD_FALSE, r);
			continue;
		}
		/* A set top bit is the smaller one of two signed numbers. */
		if (is_signed && i == 63)
			r = want ? bdd_ite(b, x, r, BDD_FALSE) : bdd_ite(b, x, smaller, r);
		else
			r = want ? bdd_ite(b, x, r, smaller) : bdd_ite(b, x, BDD_FALSE, r);
	}
	return r;
}

bdd_ref bdd_atom(struct bdd *b, unsigned term)
{
	return make(b, term * 64 + 63, BDD_FALSE, BDD_TRUE);
}

bool bdd_witness(const struct bdd *b, bdd_ref f, uint64_t value[BDD_TERMS], uint64_t *used)
{
	memset(value, 0, BDD_TERMS * sizeof(*value));
	*used = 0;
	while (f > BDD_TRUE) {
		const struct node *n = &b->nodes[f];
		unsigned term = n->var / 64, bit = 63 - n->var % 64;

		*used |= 1ull << term;
		if (n->lo == BDD_FALSE) {
			value[term] |= 1ull << bit;
			f = n->hi;
		} else {
			f = n->lo;
		}
	}
	return f == BDD_TRUE;
}
