/* Inside of the policy compiler: one compilation and its resolved forms. The steps are
 *
 *	resolve.c	files in order of `use`, variables, constants, values, verdicts
 *	typecheck.c	conditions against the system call they are applied to
 *	rules.c		per call: never, named rules, group rules
 *	conflict.c	contradictions, unreachable arms
 *	codegen.c	verdict tables and filter programs
 *	files.c net.c exec.c	object tables
 *	layers.c	programs: each section as rules of its own, and the views they make
 *	compile.c	the driver, limits, emulate:
 */
#ifndef SBX_POLICY_RESOLVE_H
#define SBX_POLICY_RESOLVE_H

#include "parser/parser.h"
#include "policy/compile.h"
#include "policy/image_build.h"
#include "policy/pattern.h"
#include "policy/sysdesc.h"

struct rvar {
	const struct ast_var *decl;
	const char *text; /* the value; NULL: none was given (reported where it is used) */
	struct rvar *next;
};

struct rcall;
struct rexec;

/* One set of rules: the policy itself (number 0), or a section of `programs`. */
struct layer {
	const struct ast_program *prog; /* NULL: the policy, or a phase */
	const struct ast_phase *phase;
	uint32_t phase_call; /* that begins it */
	struct pol_ast ast;		/* what the section says, as if it were a file */
	struct img_layer img;
	struct rcall *calls; /* IMG_CALLS of them */
	bool closed;	     /* what rules: does not allow is refused */
	struct rexec *execs; /* of exec:, in order of specificity */
	size_t nr_execs;
	bool used;
};

struct unit {
	struct parser_ctx *ctx;
	const struct pol_ast *main;
	struct diag_list *diags; /* of ctx */
	struct arena arena;
	const struct pol_ast *files[SOURCE_MAX_FILES]; /* used files first, main last */
	unsigned nr_files;
	struct rvar *vars;
	struct img_build build;
	struct img_verdict dflt, unknown;
	struct layer layers[IMG_MAX_LAYERS];
	unsigned nr_layers, layer; /* which one files[] belongs to now */
	unsigned nr_programs;	   /* layers 1 .. nr_programs; phases are behind them */
	bool oom;
};

/* ---- resolved conditions, of one call ---- */

struct rtest {
	struct img_insn in;		/* without jumps and pool indices */
	const struct img_range *ranges; /* IMG_IN */
	uint32_t nr_ranges;
	const struct pattern *pat; /* IMG_PATH */
};

enum rcond_kind { RCOND_TEST, RCOND_AND, RCOND_OR, RCOND_NOT };

struct rcond {
	enum rcond_kind kind;
	struct rcond *kids, *next;
	struct rtest test;
};

/* ---- rules of one call ---- */

struct routcome {
	const struct rcond *cond; /* NULL: always */
	struct img_verdict v;
	struct src_span span; /* what messages point at */
	const char *via;      /* group, or NULL when the call is named */
	struct routcome *next;
};

struct rchain { /* outcomes tried in order; chains of one call exclude or agree with each other */
	struct routcome *outs;
	struct rchain *next;
};

struct rcall {
	const struct sys_desc *d;
	struct routcome *never;
	struct rchain *named, *group;
};

/* ---- programs that may be started ---- */

struct rargv {
	struct img_argv c;	   /* without pool indices */
	const struct pattern *pat; /* IMG_ARGV_TEXT; c.n of them */
	struct img_range range[2]; /* IMG_ARGV_COUNT; c.n of them */
};

struct rexec {
	struct pattern pat;
	struct img_verdict v;
	unsigned enters; /* layer; 0: none */
	const struct rargv *argv;
	unsigned nr_argv;
	struct src_span span; /* of the pattern */
	struct src_span as;   /* of the program's name */
	unsigned order;
};

/* ---- resolve.c ---- */

/* Files, variables, default and unknown. */
void resolve_init(struct unit *u, const struct pol_param *params, size_t nr_params);

const struct rvar *resolve_var(struct unit *u, const char *name, struct src_span at);

/* Value of a number-like expression. set: constants must be members of it (CS_NONE: any). what
 * names the place in messages. False after a report. */
bool resolve_val(struct unit *u, const struct ast_val *v, enum const_set set, const char *what,
		 uint64_t *out);

/* An errno as in `deny as EACCES`; dflt when v is NULL. */
bool resolve_errno(struct unit *u, const struct ast_val *v, int dflt, int64_t *out);

/* A rule's verdict. False after a report. */
bool resolve_outcome(struct unit *u, const struct ast_outcome *o, const struct ast_notes *notes,
		     uint32_t rule, struct img_verdict *out);

/* Registers a statement; text is its source on one line. */
uint32_t resolve_rule(struct unit *u, struct src_span span, const struct ast_notes *notes);

/* A path with variables as a pattern. literal: wildcards are not allowed. */
bool resolve_path(struct unit *u, const struct ast_path *p, bool literal, struct pattern *out);

/* Reports a feature that is parsed and not enforced yet. */
void resolve_unenforced(struct unit *u, struct src_span at, const char *what);

/* A value of limits:, when one was written. */
void resolve_limit(struct unit *u, const struct ast_quantity *q, const char *what, uint64_t *out);

/* The parts of notes that are not enforced: limits are, of rules. */
void resolve_notes(struct unit *u, const struct ast_notes *notes);

/* The limit of a statement of rules: registered for its rule. allows: one of its verdicts is allow. */
void resolve_rate(struct unit *u, const struct ast_notes *notes, uint32_t rule, bool allows);

/* Calls that a target names; in[] has IMG_CALLS members. */
bool resolve_target(struct unit *u, const struct ast_target *t, bool in[IMG_CALLS]);

/* ---- typecheck.c ---- */

/* NULL after a report. */
const struct rcond *typecheck_cond(struct unit *u, const struct ast_cond *c,
				   const struct sys_desc *d);

/* `emulate` as value on this call: reports one that would leave a buffer unset. */
bool typecheck_emulate(struct unit *u, const struct sys_desc *d, int64_t value, struct src_span at);

/* ---- rules.c ---- */

/* All rules of all files, by call number. */
void rules_collect(struct unit *u, struct rcall calls[IMG_CALLS]);

/* ---- conflict.c ---- */

/* Reports contradictions, arms that can never match, and guards that take back what is allowed. */
void rules_check(struct unit *u, const struct rcall *call);

/* ---- codegen.c, files.c, net.c, exec.c ---- */

/* The verdict table of a view: of the layers that are bits of set, the strictest. That of the policy
 * itself is made first. */
void codegen_view(struct unit *u, uint32_t set);
/* The tables of the layer at hand; *out: where its entries are. */
void files_compile(struct unit *u, struct img_run *out);
void exec_compile(struct unit *u, struct img_run *out);
void net_compile(struct unit *u, struct img_run *out);

/* What of the call applies when no rule of it does. */
const struct img_verdict *codegen_fallback(const struct unit *u, const struct layer *l,
					   const struct rcall *call);

/* ---- layers.c ---- */

/* Everything that is in force for some process: layers, views, and the tables of both. */
void layers_compile(struct unit *u);
/* The policy and the sections, without rules yet. After resolve_init. */
void layers_init(struct unit *u);
/* Number of the layer with that name, 0: none, which is reported. "self" is not one. */
unsigned layers_find(struct unit *u, const struct ast_name *name);
/* The rules of a layer, by call; the policy's own stay at hand. */
void layers_collect(struct unit *u, unsigned layer, struct rcall calls[IMG_CALLS]);
/* Makes the rules of a layer the ones at hand: files[], dflt. */
void layers_select(struct unit *u, unsigned layer);

/* ---- compile.c ---- */

/* Compiles a tree. Diagnostics go to ctx. 0; -1 with *e; 1 when ctx has errors. */
int pol_compile_ast(struct parser_ctx *ctx, const struct pol_ast *ast,
		    const struct pol_param *params, size_t nr_params, const struct pol_image **img,
		    struct sbx_err **e);

void *unit_alloc(struct unit *u, size_t size);
#define unit_new(u, type) ((type *)unit_alloc(u, sizeof(type)))

#endif
