/* Assembles a policy image: the back end of the compiler, also used by tests. Every call is a no-op
 * after an allocation failure, which img_build_finish reports. */
#ifndef SBX_POLICY_IMAGE_BUILD_H
#define SBX_POLICY_IMAGE_BUILD_H

#include "base/buf.h"
#include "base/err.h"
#include "policy/image.h"
#include "policy/image_format.h"

enum img_build_part {
	IMG_BUILD_CALLS,
	IMG_BUILD_INSNS,
	IMG_BUILD_VERDICTS,
	IMG_BUILD_RANGES,
	IMG_BUILD_PATTERNS,
	IMG_BUILD_PATHS,
	IMG_BUILD_NETS,
	IMG_BUILD_EXECS,
	IMG_BUILD_ARGVS,
	IMG_BUILD_LAYERS,
	IMG_BUILD_VIEWS,
	IMG_BUILD_RATES,
	IMG_BUILD_PHASES,
	IMG_BUILD_SCRATCH,
	IMG_BUILD_RULES,
	IMG_BUILD_STRINGS,
	IMG_BUILD_PARTS
};

struct img_build {
	struct pol_image head; /* filled in by the caller: digest, dflt, unknown, cfg */
	struct buf part[IMG_BUILD_PARTS];
	uint8_t tier0[IMG_CALLS];
	uint32_t *interned; /* offsets of the strings so far; owned */
	size_t nr_interned;
	bool failed;
};

void img_build_init(struct img_build *b);
void img_build_free(struct img_build *b);

/* Offset of a string in the pool; the same string is stored once. NULL and "" are 0. */
uint32_t img_build_string(struct img_build *b, const char *s);

/* Each appends one element and returns its index. */
uint32_t img_build_rule(struct img_build *b, const struct img_rule *rule);
uint32_t img_build_verdict(struct img_build *b, const struct img_verdict *v);
uint32_t img_build_insn(struct img_build *b, const struct img_insn *in);
uint32_t img_build_range(struct img_build *b, uint64_t lo, uint64_t hi);
uint32_t img_build_pattern(struct img_build *b, const struct img_pattern *p);
uint32_t img_build_path(struct img_build *b, const struct img_path *p);
uint32_t img_build_net(struct img_build *b, const struct img_net *n);
uint32_t img_build_exec(struct img_build *b, const struct img_exec *x);
uint32_t img_build_argv(struct img_build *b, const struct img_argv *a);
uint32_t img_build_layer(struct img_build *b, const struct img_layer *l);
uint32_t img_build_rate(struct img_build *b, const struct img_rate *r);
uint32_t img_build_phase(struct img_build *b, const struct img_phase *p);
uint32_t img_build_view(struct img_build *b, uint32_t layers);
uint32_t img_build_scratch(struct img_build *b, const struct img_scratch *s);

/* An instruction already appended: valid until the next append. NULL after a failure. */
struct img_insn *img_build_insn_at(struct img_build *b, uint32_t index);
uint32_t img_build_insns(const struct img_build *b);

/* How many elements a part has. */
uint32_t img_build_count(const struct img_build *b, enum img_build_part part);

/* One entry of the verdict tables, in order: IMG_CALLS for view 0, and so on. */
void img_build_call(struct img_build *b, const struct img_verdict *v);

/* Stores a pattern's bytes and tokens: len bytes at t, as struct img_pattern describes. */
struct img_pattern img_build_tokens(struct img_build *b, const char *t, size_t len, bool tail);

/* The layer and the view of a policy without `programs`, after head.dflt. */
void img_build_plain(struct img_build *b);

/* Lays everything out, verifies it and returns a page-aligned image (pol_image_free). */
const struct pol_image *img_build_finish(struct img_build *b, struct sbx_err **e);

/* Page-aligned copy of len bytes as an unverified image, padded with zeroes; NULL: no memory. */
void *img_alloc(size_t len);

#endif
