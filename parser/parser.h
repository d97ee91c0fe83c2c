/* Policy text in, syntax tree out. */
#ifndef SBX_PARSER_PARSER_H
#define SBX_PARSER_PARSER_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/err.h"
#include "parser/ast.h"
#include "parser/diag.h"
#include "parser/source.h"

#define PARSER_MAX_USE_DEPTH 16

/* Owns every byte, node and diagnostic of one load. Not for use by two threads at once. */
struct parser_ctx {
	struct source_set sources;
	struct diag_list diags;
	struct arena arena;
	struct pol_ast *asts[SOURCE_MAX_FILES];	 /* by file index; NULL while or unless parsed */
	const char *const *include_dirs;	 /* where `use` looks; NULL-terminated, borrowed */
	bool open[SOURCE_MAX_FILES];		 /* being parsed: a use of it is a cycle */
	bool no_use;				 /* do not follow `use` (fuzzing, printing) */
};

/* NULL when memory is out. */
struct parser_ctx *parser_ctx_create(const char *const *include_dirs);
void parser_ctx_destroy(struct parser_ctx **ctx);

/* Reads and parses path and everything it uses. All errors found go to ctx->diags. Returns the tree,
 * or NULL when nothing could be read (*e is set) or parsed (see ctx->diags). After diag_failed() the
 * tree may still be checked for more errors, and must never be loaded. Statements that did not parse
 * are missing from it. */
struct pol_ast *parser_parse_file(struct parser_ctx *ctx, const char *path, struct sbx_err **e);

/* As parser_parse_file from memory; name is for messages. */
struct pol_ast *parser_parse_bytes(struct parser_ctx *ctx, const char *name, const void *bytes,
				   size_t len, struct sbx_err **e);

/* Prints a tree as policy text that parses to an equal tree. */
void ast_print(const struct pol_ast *ast, struct buf *out);

/* Scalars as the language writes them; the whole of text must match. False when it does not, or when
 * the number is too large. */
bool parser_number(const char *text, size_t len, uint64_t *num);   /* 10, 0x1f, 0o644 */
bool parser_size(const char *text, size_t len, uint64_t *bytes);   /* 64MiB, 10KiB, 512B; or a number */
bool parser_duration(const char *text, size_t len, uint64_t *ns);  /* 10s, 500ms, 30min, 2h, 1d */

/* An IP address with optional /prefix: family 4 or 6, prefix -1 when not written. */
bool parser_ip(const char *text, size_t len, uint8_t *family, uint8_t ip[16], int *prefix);

/* Is text a value of the type (for defaults and --param)? On failure *why says what is expected. */
bool parser_var_check(enum ast_var_type type, const char *text, const char **why);

#endif
