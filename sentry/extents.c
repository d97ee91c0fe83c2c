#include "sentry/extents.h"

#include "base/overflow.h"

static void pull(struct extent *x)
{
	x->longest = x->len;
	if (x->left)
		x->longest = MAX(x->longest, x->left->longest);
	if (x->right)
		x->longest = MAX(x->longest, x->right->longest);
}

static struct extent *join(struct extent *a, struct extent *b)
{
	if (!a || !b)
		return a ? a : b;
	if (a->prio > b->prio) {
		a->right = join(a->right, b);
		pull(a);
		return a;
	}
	b->left = join(a, b->left);
	pull(b);
	return b;
}

/* Divides t into members below off and the rest. */
static void divide(struct extent *t, uint64_t off, struct extent **low, struct extent **high)
{
	if (!t) {
		*low = *high = NULL;
	} else if (t->off < off) {
		divide(t->right, off, &t->right, high);
		*low = t;
		pull(t);
	} else {
		divide(t->left, off, low, &t->left);
		*high = t;
		pull(t);
	}
}

void extents_add(struct extent **root, struct extent *x)
{
	/* Offsets mixed: as good as random, and nobody needs to keep a seed. */
	uint64_t h = (x->off + 1) * 0x9e3779b97f4a7c15ull;
	struct extent *low, *high;

	x->prio = (uint32_t)((h ^ h >> 29) * 0xbf58476d1ce4e5b9ull >> 32);
	x->left = x->right = NULL;
	pull(x);
	divide(*root, x->off, &low, &high);
	*root = join(join(low, x), high);
}

static struct extent *detach(struct extent *t, struct extent *x)
{
	if (t == x)
		return join(t->left, t->right);
	if (x->off < t->off)
		t->left = detach(t->left, x);
	else
		t->right = detach(t->right, x);
	pull(t);
	return t;
}

void extents_del(struct extent **root, struct extent *x)
{
	*root = detach(*root, x);
}

struct extent *extents_at(struct extent *root, uint64_t off)
{
	struct extent *best = NULL;

	while (root) {
		if (root->off <= off) {
			best = root;
			root = root->right;
		} else {
			root = root->left;
		}
	}
	return best;
}

struct extent *extents_fit(struct extent *root, uint64_t len)
{
	if (!root || root->longest < len)
		return NULL;
	for (;;) {
		if (root->left && root->left->longest >= len)
			root = root->left;
		else if (root->len >= len)
			return root;
		else
			root = root->right;
	}
}

static void refresh(struct extent *t, const struct extent *x)
{
	if (t != x)
		refresh(x->off < t->off ? t->left : t->right, x);
	pull(t);
}

void extents_resize(struct extent *root, struct extent *x, uint64_t off, uint64_t len)
{
	x->off = off;
	x->len = len;
	refresh(root, x);
}
