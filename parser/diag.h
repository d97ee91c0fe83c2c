/* Diagnostics about policy text: queued while parsing and checking go on, printed together at the end.
 *
 *	web.pol:34:5: error[P021]: this arm can never match
 *	    domain == AF_INET -> deny
 *	    ^^^^^^^^^^^^^^^^^ every such call is taken by line 33
 *	  = help: ...
 *
 * Codes are stable: P001..P011 belong to the parser, P012 and up to policy/. */
#ifndef SBX_PARSER_DIAG_H
#define SBX_PARSER_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/buf.h"
#include "parser/source.h"

#define DIAG_MAX_ERRORS	  10 /* kept and printed; more are counted */
#define DIAG_MAX_WARNINGS 10
#define DIAG_MAX_RELATED  2

enum diag_severity { DIAG_ERROR = 1, DIAG_WARNING };

struct diag_related {
	struct src_span at;
	const char *msg; /* NULL: marked with ~ only */
};

/* One queued record; strings live in the list's arena. */
struct diag {
	enum diag_severity severity;
	char code[8];
	struct src_span at;
	const char *msg;
	const char *label; /* after the carets, or NULL */
	const char *help;  /* or NULL */
	struct diag_related related[DIAG_MAX_RELATED];
	unsigned nr_related;
	unsigned seq;
};

struct diag_list {
	const struct source_set *sources; /* borrowed */
	struct arena arena;
	struct diag recs[DIAG_MAX_ERRORS + DIAG_MAX_WARNINGS];
	unsigned nr;			/* records kept */
	unsigned errors, warnings;	/* reported, kept or not */
	struct diag spare;		/* what the functions return when a record is not kept */
};

void diag_init(struct diag_list *l, const struct source_set *sources);
void diag_free(struct diag_list *l);

/* Queues a record. The result is never NULL and may be given label, related spans and help until the
 * next record is queued. A second record with the same code and position is dropped. */
struct diag *diag_error(struct diag_list *l, struct src_span at, const char *code, const char *fmt,
			...) __attribute__((format(printf, 4, 5)));
struct diag *diag_warn(struct diag_list *l, struct src_span at, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Text after the carets. */
void diag_label(struct diag_list *l, struct diag *d, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The "= help:" line. */
void diag_help(struct diag_list *l, struct diag *d, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A related place, underlined with ~; fmt NULL for no text. At most two, more are ignored. */
void diag_relate(struct diag_list *l, struct diag *d, struct src_span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Any error reported so far? */
static inline bool diag_failed(const struct diag_list *l)
{
	return l->errors != 0;
}

/* Appends all records, by file and position, as text for people or as JSON lines. */
void diag_format(const struct diag_list *l, struct buf *out);
void diag_format_json(const struct diag_list *l, struct buf *out);

/* Writes diag_format_json or diag_format to fd; 0, or -1 with errno. */
int diag_write(const struct diag_list *l, int fd, bool json);
/* diag_write as text. */
int diag_print(const struct diag_list *l, int fd);

/* Appends "file:line:col: what: msg" and the marked source line, for reports that are not queued
 * (failed tests). what may be "error", "test failed" ... */
void diag_format_at(const struct source_set *set, struct src_span at, const char *what, const char *msg,
		    struct buf *out);
/* As one JSON line, with severity "error" and the code. */
void diag_format_at_json(const struct source_set *set, struct src_span at, const char *code,
			 const char *msg, struct buf *out);

#endif
