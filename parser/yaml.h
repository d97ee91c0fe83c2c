/* The YAML layer: a file's keys, values and lists with exact byte spans, and nothing else of YAML.
 * Private to parser/. */
#ifndef SBX_PARSER_YAML_H
#define SBX_PARSER_YAML_H

#include "parser/parser.h"

#define YAML_MAX_DEPTH 8
#define YAML_MAX_NODES 20000

enum ynode_kind { YNODE_SCALAR = 1, YNODE_LIST, YNODE_MAP };

struct ynode {
	enum ynode_kind kind;
	struct src_span span; /* scalar: of the text itself, without quotes; of | blocks: the whole block */
	const char *text;     /* scalar */
	bool literal;	      /* scalar: a | block; body_start..body_end are its lines */
	bool folded, quoted;  /* scalar: > block, '' or "" */
	bool multiline;	      /* plain or quoted text over several lines */
	size_t body_start, body_end;
	struct ynode *kids;  /* list: items; map: keys (scalars), each with its value */
	struct ynode *value; /* of a map's key; NULL after an error */
	struct ynode *next;
};

/* Parses a source file. Errors go to ctx->diags; the result is what was read before the first one,
 * or NULL when there is nothing. Duplicate keys are reported and left out. */
struct ynode *yaml_parse(struct parser_ctx *ctx, uint32_t file);

#endif
