/* Proofs over object tables; calls are in conflict.c, with the decision diagrams. */
#include "policy/prove.h"

#include <string.h>

static struct pattern pattern_of(const struct pol_image *img, const struct img_pattern *p)
{
	struct pattern pat = {.t = IMG_AT(img, strings, char) + p->str,
			      .len = p->len,
			      .tail = p->tail,
			      .literal = p->literal};

	return pat;
}

static bool inside(const struct pattern *a, const struct pattern *b)
{
	return pattern_equal(a, b) || pattern_relate(a, b, NULL) == PATTERN_INSIDE;
}

/* Does an entry before e take away all that e grants of verb under the tree? */
static bool overridden(const struct pol_image *img, const struct img_path *d,
		       const struct img_path *e, uint32_t verb, const struct pattern *under)
{
	struct pattern grant = pattern_of(img, &e->pat), refusal;

	for (; d < e; d++) {
		if (d->v.action == POL_ALLOW || !(d->verbs & verb))
			continue;
		refusal = pattern_of(img, &d->pat);
		if (inside(&grant, &refusal) || inside(under, &refusal))
			return true;
	}
	return false;
}

/* The path of witness, when the policy really grants verb on it. */
static const char *real_example(struct unit *u, const struct pol_image *img, unsigned layer,
				uint32_t verb, const struct buf *witness)
{
	struct pol_verdict v;

	if (!witness->len)
		return NULL;
	img_layer_path(img, layer, verb, witness->data, witness->len, &v);
	return v.action == POL_ALLOW ? arena_printf(&u->arena, "for example %s", witness->data)
				     : NULL;
}

/* Does the layer refuse each of verbs on all that is under? */
static bool refused(const struct pol_image *img, const struct img_path *e, uint32_t n, uint32_t verbs,
		    const struct pattern *under)
{
	for (; n && verbs; n--, e++) {
		struct pattern pat = pattern_of(img, &e->pat);

		if (e->v.action != POL_ALLOW && inside(under, &pat))
			verbs &= ~e->verbs;
	}
	return !verbs;
}

bool prove_no_verb(struct unit *u, const struct pol_image *img, unsigned layer, uint32_t verbs,
		   const struct pattern *under, uint32_t *rule, const char **how)
{
	const struct img_layer *l = IMG_AT(img, layers, struct img_layer) + layer;
	const struct img_path *first = IMG_AT(img, paths, struct img_path) + l->paths.at, *e = first;

	if (!(l->flags & IMG_LAYER_FILES)) {
		*rule = l->rule;
		*how = NULL;
		return refused(img, e, l->paths.n, verbs, under);
	}
	for (uint32_t i = 0; i < l->paths.n; i++, e++) {
		uint32_t verb = e->verbs & verbs;
		struct pattern grant = pattern_of(img, &e->pat);
		struct buf witness = BUF_INIT;

		if (e->v.action != POL_ALLOW || !verb ||
		    pattern_relate(&grant, under, &witness) == PATTERN_DISJOINT ||
		    overridden(img, first, e, verb, under)) {
			buf_free(&witness);
			continue;
		}
		*rule = e->v.rule;
		*how = real_example(u, img, layer, verb, &witness);
		if (!*how)
			*how = "undecided: refusals take away some of what it grants there";
		buf_free(&witness);
		return false;
	}
	return true;
}

bool prove_no_net(const struct pol_image *img, unsigned layer, uint32_t nverb, uint32_t *rule)
{
	const struct img_layer *l = IMG_AT(img, layers, struct img_layer) + layer;
	const struct img_net *e = IMG_AT(img, nets, struct img_net) + l->nets.at;

	if (!(l->flags & IMG_LAYER_NET)) {
		*rule = l->rule;
		return false;
	}
	for (uint32_t i = 0; i < l->nets.n; i++, e++) {
		if (e->v.action != POL_ALLOW || !(e->verbs >> nverb & 1))
			continue;
		*rule = e->v.rule;
		return false;
	}
	return true;
}
