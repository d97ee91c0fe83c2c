/* Binary decision diagrams over the bits of a call's arguments: decides exactly whether two
 * conditions can hold for the same call. Bounded: past BDD_MAX_NODES or BDD_MAX_STEPS every result
 * is "unknown". */
#ifndef SBX_POLICY_BDD_H
#define SBX_POLICY_BDD_H

#include <stdbool.h>
#include <stdint.h>
#include "policy/image_format.h"

#define BDD_MAX_NODES (1u << 18)
#define BDD_MAX_STEPS (1u << 23) /* a second or so */
#define BDD_TERMS     64 /* of one diagram: arguments, fields, descriptor kinds, yes/no atoms */

typedef uint32_t bdd_ref;
#define BDD_FALSE ((bdd_ref)0)
#define BDD_TRUE  ((bdd_ref)1)

struct bdd; /* owns the nodes; references die with it */

/* NULL when memory is out. */
struct bdd *bdd_create(void);
void bdd_destroy(struct bdd **b);

/* True after a size limit or memory ran out: results are then meaningless. */
bool bdd_failed(const struct bdd *b);

bdd_ref bdd_ite(struct bdd *b, bdd_ref c, bdd_ref t, bdd_ref e);
bdd_ref bdd_and(struct bdd *b, bdd_ref x, bdd_ref y);
bdd_ref bdd_or(struct bdd *b, bdd_ref x, bdd_ref y);
bdd_ref bdd_not(struct bdd *b, bdd_ref x);

/* ((conv(term) & mask) cmp imm), with enum img_conv and enum img_cmp except IMG_IN. */
bdd_ref bdd_compare(struct bdd *b, unsigned term, unsigned conv, uint64_t mask, unsigned cmp,
		    uint64_t imm);

/* A yes/no atom: bit 0 of a term of its own. */
bdd_ref bdd_atom(struct bdd *b, unsigned term);

/* One assignment that makes f true, as a value for each of BDD_TERMS terms; *used tells which terms
 * f looks at on that path. False when f is false. */
bool bdd_witness(const struct bdd *b, bdd_ref f, uint64_t value[BDD_TERMS], uint64_t *used);

#endif
