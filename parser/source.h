/* Policy text in memory: every file that was read, its line index, and spans that point into it. The
 * bytes stay until the set is freed, so that a report shows what was parsed. */
#ifndef SBX_PARSER_SOURCE_H
#define SBX_PARSER_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define SOURCE_MAX_BYTES (1u << 20) /* one file */
#define SOURCE_MAX_FILES 64

/* A stretch of one file. A zero line means "nowhere": such a span is printed without position. */
struct src_span {
	uint32_t file;	     /* index in the source set */
	uint32_t line, col;  /* of the first byte, from 1; col counts characters, not bytes */
	uint32_t start, end; /* byte offsets, end is one past the last byte */
};

struct source {
	const char *name;  /* as it is shown in messages; owned */
	const char *path;  /* canonical, to know the same file again; owned */
	const char *bytes; /* NUL-terminated; owned */
	size_t len;
	uint32_t *line_start; /* byte offset of each line; owned */
	uint32_t nr_lines;
	/* The last place that was counted: on one very long line, counting goes on from there. */
	uint32_t at_line;
	size_t at_off, at_col;
	struct src_span from; /* the `use` entry that named it; line 0 for the file of the command line */
};

struct source_set {
	struct source *files[SOURCE_MAX_FILES];
	uint32_t nr;
};

/* Reads path into the set. Returns its index, or -1 with *e. from may be NULL. */
int source_add_file(struct source_set *set, const char *path, const struct src_span *from,
		    struct sbx_err **e);

/* As source_add_file from memory (tests, fuzzing); the bytes are copied. */
int source_add_bytes(struct source_set *set, const char *name, const void *bytes, size_t len,
		     struct sbx_err **e);

void source_set_free(struct source_set *set);

/* NULL for an index that is not in the set. */
const struct source *source_get(const struct source_set *set, uint32_t file);

/* The span of bytes start..end of a file, with line and column filled in. Offsets are clamped. */
struct src_span source_span(const struct source_set *set, uint32_t file, size_t start, size_t end);

/* From the start of a to the end of b, which lie in the same file. */
struct src_span source_join(struct src_span a, struct src_span b);

/* Byte offset of a line (from 0) and a column in characters (from 0), as libyaml counts. */
size_t source_offset(struct source *src, size_t line, size_t column);

/* Length of the UTF-8 sequence at text, with its code point; 0 when it is malformed. */
size_t source_char(const char *text, size_t left, uint32_t *cp);

/* Why a policy may not hold this character, or NULL: other line ends would make positions ambiguous,
 * and characters that reorder text let a policy read differently from what it says. */
const char *source_char_refused(uint32_t cp);

#endif
