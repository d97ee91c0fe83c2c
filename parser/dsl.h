/* What the scanner, the grammar and their driver share while one section of sentences is parsed.
 * Private to parser/. */
#ifndef SBX_PARSER_DSL_H
#define SBX_PARSER_DSL_H

#include <setjmp.h>
#include "parser/parser.h"

enum dsl_section { /* bits: a keyword belongs to several */
	DSL_RULES = 1 << 0,
	DSL_FILES = 1 << 1,
	DSL_NET = 1 << 2,
	DSL_EXEC = 1 << 3,
	DSL_TESTS = 1 << 4,
	DSL_OUTCOME = 1 << 5, /* deny as EPERM */
	DSL_TARGETS = 1 << 6, /* bind, listen */
	DSL_AFTER = 1 << 7,   /* first accept4 */
};

#define DSL_MAX_LIST  4096 /* members of one list */
#define DSL_MAX_QUEUE 4

struct dsl_rate {
	uint64_t count, per_ns;
};

/* Lists under construction: appending must not walk them. */
#define DSL_LIST(type)                                                                             \
	struct type##_list {                                                                       \
		struct type *first, *last;                                                         \
		unsigned nr;                                                                       \
	}
DSL_LIST(ast_val);
DSL_LIST(ast_cond);
DSL_LIST(ast_item);
DSL_LIST(ast_target);
DSL_LIST(ast_assign);
DSL_LIST(ast_arm);
DSL_LIST(ast_rule);
DSL_LIST(ast_path);
DSL_LIST(ast_file);
DSL_LIST(ast_addr);
DSL_LIST(ast_net);
DSL_LIST(ast_exec);
DSL_LIST(ast_argv);
DSL_LIST(ast_arg);
DSL_LIST(ast_test);

/* Appends node (which may be NULL after an error) to a list value. */
#define dsl_append(dsl, list, node)                                                                \
	do {                                                                                       \
		if ((node) && dsl_room((dsl), (list).nr, (node)->span)) {                          \
			if ((list).last)                                                           \
				(list).last->next = (node);                                        \
			else                                                                       \
				(list).first = (node);                                             \
			(list).last = (node);                                                      \
			(list).nr++;                                                               \
		}                                                                                  \
	} while (0)

/* Filled by the grammar's start rules. */
struct dsl_result {
	struct ast_rule *rules;
	struct ast_file *files;
	struct ast_net *net;
	struct ast_exec *exec;
	struct ast_test *tests;
	struct ast_outcome outcome;
	struct ast_target *targets;
	struct ast_name *after;
};

struct dsl_token; /* dsl.c */

struct dsl {
	struct parser_ctx *ctx;
	uint32_t file;
	enum dsl_section section;
	void *scanner;
	/* Where the scanner stands. */
	size_t offset;
	uint32_t line, col;
	/* Driver state: see dsl.c. */
	bool started;	/* the start token was given */
	bool resync;	/* the grammar reported an error: skip before the next token */
	struct dsl_token *last; /* the token given last */
	int prev_kind;	/* of the one before it */
	uint32_t prev_line;
	struct dsl_token *queue; /* tokens to give before scanning on */
	unsigned queue_pos, queue_len;
	bool block_next, in_block, was_in_block;
	unsigned braces;
	bool list_reported, depth_reported;
	jmp_buf on_oom;
	struct dsl_result out;
};

/* Parses bytes start..end of a source file as one section. Errors go to ctx->diags; what could be
 * parsed is in *out. */
void dsl_parse(struct parser_ctx *ctx, uint32_t file, size_t start, size_t end,
	       enum dsl_section section, struct dsl_result *out);

/* Zeroed memory of the parse context. Never NULL: when memory is out it does not return, and the
 * section ends with an error. */
void *dsl_alloc(struct dsl *dsl, size_t size);
#define dsl_new(dsl, type) ((struct type *)dsl_alloc((dsl), sizeof(struct type)))

void dsl_fatal(struct dsl *dsl) __attribute__((noreturn));

/* May a list of nr members get one more? Reports the first refusal. */
bool dsl_room(struct dsl *dsl, unsigned nr, struct src_span at);

/* ---- nodes (build.c) ---- */

/* A NUL-terminated copy in the parse context. */
const char *dsl_text(struct dsl *dsl, const char *text, size_t len);

struct ast_val *dsl_val_num(struct dsl *dsl, struct src_span at, enum ast_val_kind kind, uint64_t num);
struct ast_val *dsl_val_name(struct dsl *dsl, struct src_span at, enum ast_val_kind kind,
			     const char *text, size_t len);
struct ast_val *dsl_val_not(struct dsl *dsl, struct src_span at, struct ast_val *kid);
struct ast_val *dsl_val_or(struct dsl *dsl, struct src_span at, struct ast_val_list kids);
struct ast_name *dsl_name(struct dsl *dsl, struct src_span at, const char *text, size_t len);
struct ast_target *dsl_target(struct dsl *dsl, struct src_span at, const struct ast_name *name, bool group);
struct ast_item *dsl_item(struct dsl *dsl, struct src_span at, struct ast_val *lo, struct ast_val *hi,
			  const char *str);
struct ast_arm *dsl_arm(struct dsl *dsl, struct src_span at, struct ast_outcome out,
			struct ast_assign_list set, struct ast_notes notes);
struct ast_file *dsl_file(struct dsl *dsl, struct src_span at, enum ast_file_kind kind, unsigned verbs,
			  struct ast_path_list paths, struct ast_notes notes);
struct ast_arg *dsl_arg(struct dsl *dsl, struct src_span at, enum ast_arg_kind kind);
struct ast_cond *dsl_cond(struct dsl *dsl, struct src_span at, enum ast_cond_kind kind,
			  struct ast_term *term);
/* One kid is returned as it is; several are joined. */
struct ast_cond *dsl_cond_list(struct dsl *dsl, struct src_span at, enum ast_cond_kind kind,
			       struct ast_cond_list kids);
struct ast_path *dsl_path_of_var(struct dsl *dsl, const struct ast_val *var);
struct ast_addr *dsl_addr_of_var(struct dsl *dsl, const struct ast_val *var);
struct ast_addr *dsl_addr_of_path(struct dsl *dsl, struct ast_path *path);
/* Which address kinds a protocol takes. */
void dsl_check_addrs(struct dsl *dsl, enum ast_proto proto, const struct ast_addr *addrs);
/* Adds one note to notes; a second of its kind is an error. */
void dsl_note_merge(struct dsl *dsl, struct ast_notes *notes, struct ast_notes one, struct src_span at);
/* Words of `prove no ...`; 0 and an error when there is no such verb. */
enum ast_verb dsl_verb(struct dsl *dsl, const struct ast_name *word);
enum ast_nverb dsl_nverb(struct dsl *dsl, const struct ast_name *word);

/* ---- tokens with inner structure (token.c) ---- */

struct ast_path *dsl_path(struct dsl *dsl, struct src_span at, const char *text, size_t len);
struct ast_addr *dsl_addr(struct dsl *dsl, struct src_span at, const char *text, size_t len);
struct ast_str *dsl_str(struct dsl *dsl, struct src_span at, const char *text, size_t len);
/* Reports variables in a string that may not have them. */
void dsl_no_vars(struct dsl *dsl, struct src_span at);
struct ast_val *dsl_number(struct dsl *dsl, struct src_span at, const char *text, size_t len);
bool dsl_rate(struct dsl *dsl, struct src_span at, const char *text, size_t len, struct dsl_rate *rate);

/* The part start..end of the token at `at`. */
struct src_span dsl_part(struct dsl *dsl, struct src_span at, size_t start, size_t end);

/* The token kind of a word in this section, or 0 (keywords are local to sections). Sets *value for
 * verbs and protocols. */
int dsl_keyword(const struct dsl *dsl, const char *text, size_t len, unsigned *value);

#endif
