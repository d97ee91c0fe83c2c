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
static bool overridden(const struct pol_image *img, const struct img_path *e, uint32_t verb,
		       const struct pattern *under)
{
	const struct img_path *d = IMG_AT(img, paths, struct img_path);
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
static const char *real_example(struct unit *u, const struct pol_image *img, uint32_t verb,
				const struct buf *witness)
{
	struct pol_verdict v;

	if (!witness->len)
		return NULL;
	pol_eval_path(img, 0, verb, witness->data, witness->len, &v);
	return v.action == POL_ALLOW ? arena_printf(&u->arena, "for example %s", witness->data)
				     : NULL;
}

bool prove_no_verb(struct unit *u, const struct pol_image *img, uint32_t verbs,
		   const struct pattern *under, uint32_t *rule, const char **how)
{
	const struct img_path *e = IMG_AT(img, paths, struct img_path);

	for (uint32_t i = 0; i < img->paths.count; i++, e++) {
		uint32_t verb = e->verbs & verbs;
		struct pattern grant = pattern_of(img, &e->pat);
		struct buf witness = BUF_INIT;

		if (e->v.action != POL_ALLOW || !verb ||
		    pattern_relate(&grant, under, &witness) == PATTERN_DISJOINT ||
		    overridden(img, e, verb, under)) {
			buf_free(&witness);
			continue;
		}
		*rule = e->v.rule;
		*how = real_example(u, img, verb, &witness);
		if (!*how)
			*how = "undecided: refusals take away some of what it grants there";
		buf_free(&witness);
		return false;
	}
	return true;
}

bool prove_no_net(const struct pol_image *img, uint32_t nverb, uint32_t *rule)
{
	const struct img_net *e = IMG_AT(img, nets, struct img_net);

	for (uint32_t i = 0; i < img->nets.count; i++, e++) {
		if (e->v.action != POL_ALLOW || !(e->verbs >> nverb & 1))
			continue;
		*rule = e->v.rule;
		return false;
	}
	return true;
}
