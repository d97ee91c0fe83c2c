/* Layout of a compiled policy image, version 2. Little endian, fixed widths, offsets from the start
 * of the image, no pointers. Read by policy/eval.c in ring 0, so this header is freestanding.
 *
 * policy/image.c verifies everything that the evaluator relies on; see there for the invariants. */
#ifndef SBX_POLICY_IMAGE_FORMAT_H
#define SBX_POLICY_IMAGE_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include "policy/eval.h"

#define IMG_MAGIC      "SBXPOL\r\n"
#define IMG_VERSION    3
#define IMG_CALLS      512 /* entries of one view's verdict table */
#define IMG_MAX_VIEWS  64
#define IMG_MAX_LAYERS 32
#define IMG_MAX_SIZE   (64u << 20)
#define IMG_MAX_INSNS  (1u << 16)

/* A stretch of the image: count elements of the section's type. */
struct img_section {
	uint32_t off, count;
};

/* A decision. In a verdict table action may also be IMG_PROGRAM: value is then the index of the
 * program's first instruction. */
#define IMG_PROGRAM 0x80

struct img_verdict {
	uint8_t action; /* enum pol_action */
	uint8_t flags;	/* enum pol_verdict_flags */
	uint8_t gate;	/* enum pol_gate */
	uint8_t pad;
	uint32_t rule;
	int64_t value;
};

/* Filter programs. A test continues at pc + 1 + jt when true, pc + 1 + jf when false: forward only.
 * The last instruction of the pool returns, so every program ends. */
enum img_op {
	IMG_RET = 1, /* a: index in verdicts */
	IMG_ARG,     /* scalar argument */
	IMG_FIELD,   /* structure field reached through argument arg */
	IMG_FDKIND,  /* kind of descriptor argument arg is one of the bits of imm */
	IMG_PATH,    /* path of argument arg matches pattern a */
	IMG_OP_MAX
};

enum img_conv { IMG_U64 = 0, IMG_U32, IMG_S32, IMG_CONV_MAX };

enum img_cmp {
	IMG_EQ = 0,
	IMG_ULT,
	IMG_ULE,
	IMG_SLT,
	IMG_SLE,
	IMG_IN, /* in one of ranges a .. a + b - 1, unsigned, ascending */
	IMG_CMP_MAX
};

struct img_insn {
	uint8_t op, arg;
	uint8_t conv; /* enum img_conv, applied first; then mask, then cmp with imm */
	uint8_t cmp;
	uint16_t field;
	uint8_t
	    invert; /* the result of the comparison is negated; what cannot be read stays false */
	uint8_t pad;
	uint32_t jt, jf;
	uint32_t a, b;
	uint64_t mask, imm;
};

struct img_range {
	uint64_t lo, hi; /* inclusive */
};

/* A path pattern: bytes at str, where the byte 0 introduces one of the tokens below; any other byte
 * stands for itself. With tail, it matches a path whose start, up to its end or a slash, the bytes
 * match: "/srv/" followed by two stars is "/srv" with tail. */
enum img_token {
	IMG_STAR = 1,	  /* any bytes but slashes */
	IMG_GLOBSTAR = 2, /* any bytes */
	IMG_GLOBDIR = 3,  /* after a slash: any number of whole components, each with its slash */
};

struct img_pattern {
	uint32_t str, len; /* in the string pool */
	uint32_t literal;  /* length of the part before the first token */
	uint8_t tail;
	uint8_t pad[3];
};

/* One entry of `files`, most specific first, refusals before grants of the same specificity. */
struct img_path {
	struct img_pattern pat;
	uint32_t verbs; /* enum pol_verb bits it decides */
	uint32_t pad;
	struct img_verdict v;
};

/* One entry of `exec`, in the same order. Entries with the same pattern have the same group: the first
 * one whose pattern matches decides which group does. */
struct img_exec {
	struct img_pattern pat;
	uint32_t group;
	uint32_t enters; /* the bit of the layer that the program gets in addition; 0: none */
	uint32_t argv_at, argv_n; /* conditions, all of which must hold */
	struct img_verdict v;
};

enum img_argv_flags { IMG_ARGV_REST = 1, IMG_ARGV_NOT = 2 };

/* A condition on arguments: the one at index (and with IMG_ARGV_REST all behind it) matches one of the
 * patterns, or with IMG_ARGV_NOT none. An index that is not there is false either way. Without
 * patterns: their number, in one of ranges at .. at + n - 1. */
struct img_argv {
	uint8_t kind; /* enum img_argv_kind */
	uint8_t flags;
	uint16_t pad;
	uint32_t index;
	uint32_t at, n;
};

enum img_argv_kind { IMG_ARGV_TEXT = 1, IMG_ARGV_COUNT };

/* One entry of `net`, in the same order. */
struct img_net {
	uint16_t verbs;	       /* bits 1 << enum pol_nverb */
	uint8_t proto, family; /* family 0: both, prefix 0; unused for unix */
	uint8_t prefix;	       /* bits of ip that count */
	uint8_t pad;
	uint16_t port_lo, port_hi;
	uint8_t pad2[6];
	uint8_t ip[16];
	struct img_pattern pat; /* unix: path pattern, or "@name" */
	uint64_t pad3;
	struct img_verdict v;
};

enum img_scratch_flags { IMG_OVERLAY = 1 };

struct img_scratch {
	uint32_t path; /* string */
	uint32_t rule;
	uint64_t size;
	uint32_t flags, pad;
};

struct img_rule {
	uint32_t file, text;   /* strings */
	uint32_t because, tag; /* strings, or 0: the empty string, none */
	uint32_t line, column;
};

/* A layer is the policy itself (number 0) or one section of `programs`. Tables of objects are per layer;
 * what has no entry there gets dflt where the flag of the table is set, else it is allowed. */
enum img_layer_flags { IMG_LAYER_FILES = 1, IMG_LAYER_NET = 2, IMG_LAYER_EXEC = 4 };

struct img_run { /* entries of a section that belong to a layer */
	uint32_t at, n;
};

struct img_layer {
	uint32_t name; /* string */
	uint32_t flags;
	struct img_run paths, nets, execs;
	struct img_verdict dflt;
	uint32_t rule, pad; /* where the section stands */
	uint64_t memory, cpu_ns, wall_ns, processes, open_files;
};

/* A view is the policy as one process sees it: a set of layers, whose strictest verdict counts. Bit 0 is
 * set in all of them, view 0 has no other. */
struct img_view {
	uint32_t layers, pad;
};

/* A phase: begins with the first time, after the one before began, that call nr is let through. Its layer is
 * one of the last, in order; views are those of phase 0, then the same with the layer of the first phase, and
 * so on. */
struct img_phase {
	uint32_t name; /* string */
	uint32_t nr;
};

/* What `limit` says of a rule: count calls, or so many in each per_ns; then over, with value. */
struct img_rate {
	uint32_t rule;
	uint8_t over; /* enum pol_over */
	uint8_t pad[3];
	int64_t value;
	uint64_t count, per_ns; /* per_ns 0: in all */
};

enum img_config_flags { IMG_HAS_UNAME = 1, IMG_HAS_IDS = 2, IMG_HAS_EXEC = 4 };

struct img_config {
	uint32_t name, abi; /* strings */
	uint32_t uname[6];  /* sysname, nodename, release, version, machine, domain; 0: default */
	uint32_t flags, uid, gid, cpus;
	uint64_t memory, cpu_ns, wall_ns, processes, open_files, output;
};

struct pol_image {
	uint8_t magic[8];
	uint32_t version, header_size;
	uint64_t size;
	uint8_t checksum[32]; /* SHA-256 of everything after this field */
	uint8_t digest[32];   /* SHA-256 of the policy text, includes and parameters */
	struct img_section layers;   /* struct img_layer */
	struct img_section views;    /* struct img_view */
	struct img_section calls;    /* struct img_verdict, IMG_CALLS for each view */
	struct img_section insns;    /* struct img_insn */
	struct img_section verdicts; /* struct img_verdict: results of programs */
	struct img_section ranges;   /* struct img_range */
	struct img_section patterns; /* struct img_pattern: for IMG_PATH */
	struct img_section paths;    /* struct img_path */
	struct img_section nets;     /* struct img_net */
	struct img_section execs;    /* struct img_exec */
	struct img_section argvs;    /* struct img_argv */
	struct img_section scratch;  /* struct img_scratch */
	struct img_section rules;    /* struct img_rule */
	struct img_section strings;  /* bytes; the first and the last are 0 */
	struct img_section rates;    /* struct img_rate */
	struct img_section phases;   /* struct img_phase */
	struct img_section tier0;    /* bytes, IMG_CALLS: enum platform_const */
	struct img_verdict dflt;     /* `default`, for the object gates */
	struct img_verdict unknown;  /* `unknown`, for numbers beyond the table */
	struct img_config cfg;
};

_Static_assert(sizeof(struct img_verdict) == 16, "img_verdict");
_Static_assert(sizeof(struct img_insn) == 40, "img_insn");
_Static_assert(sizeof(struct img_pattern) == 16, "img_pattern");
_Static_assert(sizeof(struct img_path) == 40, "img_path");
_Static_assert(sizeof(struct img_net) == 72, "img_net");
_Static_assert(sizeof(struct img_exec) == 48, "img_exec");
_Static_assert(sizeof(struct img_argv) == 16, "img_argv");
_Static_assert(sizeof(struct img_layer) == 96, "img_layer");
_Static_assert(sizeof(struct img_view) == 8, "img_view");
_Static_assert(sizeof(struct img_rate) == 32, "img_rate");
_Static_assert(sizeof(struct img_rule) == 24, "img_rule");
_Static_assert(sizeof(struct img_config) == 96, "img_config");
_Static_assert(sizeof(struct pol_image) == 352 && offsetof(struct pol_image, digest) == 56,
	       "pol_image");

#define IMG_AT(img, section, type) ((const type *)((const char *)(img) + (img)->section.off))

/* Parts of the evaluator, for whoever explains what it does: a test of IMG_ARG or IMG_FIELD on a
 * value, and a pattern on a path. */
bool img_test_value(const struct pol_image *img, const struct img_insn *in, uint64_t v);
bool img_test_pattern(const struct pol_image *img, const struct img_pattern *pat, const char *path,
		      size_t len);
/* The same for text that is no path. */
bool img_test_text(const struct pol_image *img, const struct img_pattern *pat, const char *text,
		   size_t len);
bool img_test_argv(const struct pol_image *img, const struct img_argv *c,
		   const struct pol_program *prog);

/* What one layer says of an object. */
void img_layer_path(const struct pol_image *img, unsigned layer, uint32_t verbs, const char *path,
		    size_t len, struct pol_verdict *v);
void img_layer_net(const struct pol_image *img, unsigned layer, uint32_t nverb,
		   const struct pol_addr *addr, struct pol_verdict *v);
/* *enters: bits of the layer that the program gets. prog->argv NULL: any arguments. */
void img_layer_exec(const struct pol_image *img, unsigned layer, const struct pol_program *prog,
		    struct pol_verdict *v, uint32_t *enters);

static inline unsigned img_rank(uint8_t action, uint8_t flags)
{
	static const uint8_t rank[] = {0, 0, 8, 4, 12}; /* by enum pol_action */

	if (action != POL_ALLOW)
		return rank[action];
	return (flags & POL_F_LIMIT ? 2 : 0) + (flags & POL_F_LOG ? 1 : 0);
}

/* Is b stricter than a? Among equals the outer layer's stays. What is allowed so often only goes before what
 * is allowed, and what is logged before what is not. */
static inline bool img_stricter(uint8_t action_a, uint8_t flags_a, uint8_t action_b, uint8_t flags_b)
{
	return img_rank(action_b, flags_b) > img_rank(action_a, flags_a);
}

#endif
