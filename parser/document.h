/* The keys of a policy file: YAML nodes in, syntax tree out. Private to parser/. */
#ifndef SBX_PARSER_DOCUMENT_H
#define SBX_PARSER_DOCUMENT_H

#include <setjmp.h>
#include "parser/yaml.h"

/* Parses a source file. Errors go to ctx->diags; NULL when there is no document at all. */
struct pol_ast *document_parse(struct parser_ctx *ctx, uint32_t file);

/* ---- shared by document.c and sections.c ---- */

struct doc {
	struct parser_ctx *ctx;
	uint32_t file;
	jmp_buf on_oom;
};

/* One key of a map: fn fills target from the value. */
struct doc_key {
	const char *name;
	void (*fn)(struct doc *doc, const struct ynode *key, void *target);
};

struct diag *doc_error(struct doc *doc, struct src_span at, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void doc_help(struct doc *doc, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void *doc_alloc(struct doc *doc, size_t size);
#define doc_new(doc, type) ((struct type *)doc_alloc((doc), sizeof(struct type)))

/* Calls the handler of every key of the map that is key's value. what names the map in messages. */
void doc_walk(struct doc *doc, const struct ynode *map, const struct doc_key *keys, size_t nr,
	      const char *what, void *target);

/* key's value as text on one line, a list, a map; NULL and an error when it is something else. */
const struct ynode *doc_text(struct doc *doc, const struct ynode *key);
const struct ynode *doc_list(struct doc *doc, const struct ynode *key);
const struct ynode *doc_map(struct doc *doc, const struct ynode *key);
struct ast_name *doc_name(struct doc *doc, const struct ynode *key);

/* Parses key's value as sentences of a section. */
void doc_sentences(struct doc *doc, const struct ynode *key, unsigned section, void *result);

/* "did you mean" over the names of keys. */
const char *doc_nearest(const struct doc_key *keys, size_t nr, const char *want);

/* Sections with keys of their own (sections.c). */
void section_vars(struct doc *doc, const struct ynode *key, struct pol_ast *ast);
void section_emulate(struct doc *doc, const struct ynode *key, struct ast_emulate *em);
void section_limits(struct doc *doc, const struct ynode *key, struct ast_limits *lim);
void section_phases(struct doc *doc, const struct ynode *key, struct pol_ast *ast);

#endif
