/* The driver between scanner and grammar: injects the section's start token, and after an error skips
 * to where parsing can go on. */
#include "parser/dsl.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include "parser/dsl_scan.h"

struct dsl_token {
	int kind;
	POL_YYSTYPE val;
	struct src_span at;
};

/* ---- where statements and arms begin ---- */

static bool starts_rule(int prev, int kind)
{
	bool mode = prev == TOK_EXTEND || prev == TOK_REPLACE;

	switch (kind) {
	case TOK_ALLOW:
	case TOK_DENY:
	case TOK_TERMINATE:
	case TOK_TRAP:
	case TOK_ASK:
	case TOK_EMULATE:
		return !mode && prev != TOK_ELSE && prev != TOK_ARROW && prev != TOK_OVER;
	case TOK_ON:
		return !mode;
	case TOK_NEVER:
	case TOK_EXTEND:
	case TOK_REPLACE:
		return true;
	default:
		return false;
	}
}

static bool starts_file(int prev, int kind)
{
	switch (kind) {
	case TOK_VERB:
		return prev != TOK_COMMA && prev != TOK_DENY;
	case TOK_DENY:
		return prev != TOK_OVER;
	case TOK_HIDE:
	case TOK_NULLED:
	case TOK_OVERLAY:
	case TOK_SCRATCH:
		return true;
	default:
		return false;
	}
}

static bool starts_statement(const struct dsl *dsl, int prev, int kind)
{
	switch (dsl->section) {
	case DSL_RULES:
		return starts_rule(prev, kind);
	case DSL_FILES:
		return starts_file(prev, kind);
	case DSL_NET:
		return (kind == TOK_NVERB && prev != TOK_DENY) ||
		       (kind == TOK_DENY && prev != TOK_OVER);
	case DSL_EXEC:
		return kind == TOK_RUN || (kind == TOK_DENY && prev != TOK_OVER);
	case DSL_TESTS:
		return kind == TOK_EXPECT || kind == TOK_PROVE;
	default:
		return false;
	}
}

static bool starts_arm(int kind)
{
	return kind == TOK_IDENT || kind == TOK_ELSE || kind == TOK_NOT || kind == TOK_LPAREN;
}

/* ---- the token stream ---- */

/* Keeps count of braces: is the parser inside an `on call { }` block? */
static void track_braces(struct dsl *dsl, int kind)
{
	switch (kind) {
	case TOK_ON:
		dsl->block_next = true;
		break;
	case TOK_LBRACE:
		if (dsl->block_next)
			dsl->in_block = true;
		if (dsl->in_block)
			dsl->braces++;
		dsl->block_next = false;
		break;
	case TOK_RBRACE:
		if (dsl->in_block && --dsl->braces == 0)
			dsl->in_block = false;
		break;
	default:
		break;
	}
}

static void scan(struct dsl *dsl, struct dsl_token *t)
{
	struct src_span last = dsl->last->at;

	memset(t, 0, sizeof(*t));
	t->kind = dsl_scan(&t->val, &t->at, dsl->scanner);
	if (t->kind == TOK_YYEOF && last.line) /* "missing at the end" is shown after the last word */
		t->at = source_span(&dsl->ctx->sources, dsl->file, last.end, last.end);
}

static void enqueue(struct dsl *dsl, int kind, const struct dsl_token *t)
{
	struct dsl_token *slot = &dsl->queue[dsl->queue_len++];

	*slot = *t;
	slot->kind = kind;
}

static void recover_statement(struct dsl *dsl, struct dsl_token *t, int prev)
{
	while (t->kind != TOK_YYEOF && !starts_statement(dsl, prev, t->kind)) {
		prev = t->kind;
		*dsl->last = *t;
		scan(dsl, t);
	}
	dsl->in_block = dsl->block_next = false;
	dsl->braces = 0;
	enqueue(dsl, TOK_RESYNC, t);
	enqueue(dsl, t->kind, t);
	track_braces(dsl, t->kind);
}

static void recover_arm(struct dsl *dsl, struct dsl_token *t, int prev, uint32_t prev_line)
{
	bool closed = false, fresh = false;

	while (t->kind != TOK_YYEOF) {
		bool first_on_line = t->at.line > prev_line;

		closed = !dsl->in_block;
		fresh = first_on_line && starts_arm(t->kind);
		if (closed || fresh || (first_on_line && starts_statement(dsl, prev, t->kind)))
			break;
		prev = t->kind;
		prev_line = t->at.line;
		*dsl->last = *t;
		scan(dsl, t);
		track_braces(dsl, t->kind);
	}
	enqueue(dsl, TOK_RESYNC_ARM, t);
	dsl->braces = dsl->in_block;
	if (!closed && !fresh) { /* a statement or the end: the block was not closed */
		enqueue(dsl, TOK_RBRACE, t);
		dsl->in_block = false;
		dsl->braces = 0;
	}
	enqueue(dsl, t->kind, t);
	if (!closed && !fresh)
		track_braces(dsl, t->kind);
}

/* The grammar met an error at dsl->last. Skips to a place where it can go on, and queues the marker
 * that the error productions wait for. */
static void recover(struct dsl *dsl)
{
	struct dsl_token t = *dsl->last;
	bool in_block = dsl->in_block || (t.kind == TOK_RBRACE && dsl->was_in_block);

	dsl->resync = false;
	dsl->queue_pos = dsl->queue_len = 0;
	if (in_block)
		recover_arm(dsl, &t, dsl->prev_kind, dsl->prev_line);
	else
		recover_statement(dsl, &t, dsl->prev_kind);
}

static int start_token(enum dsl_section section)
{
	switch (section) {
	case DSL_RULES:
		return TOK_START_RULES;
	case DSL_FILES:
		return TOK_START_FILES;
	case DSL_NET:
		return TOK_START_NET;
	case DSL_EXEC:
		return TOK_START_EXEC;
	case DSL_TESTS:
		return TOK_START_TESTS;
	case DSL_OUTCOME:
		return TOK_START_OUTCOME;
	case DSL_TARGETS:
		return TOK_START_TARGETS;
	case DSL_AFTER:
		return TOK_START_AFTER;
	}
	return TOK_POL_YYUNDEF;
}

int pol_yylex(POL_YYSTYPE *val, POL_YYLTYPE *loc, struct dsl *dsl)
{
	struct dsl_token t;

	if (!dsl->started) {
		dsl->started = true;
		memset(loc, 0, sizeof(*loc));
		return start_token(dsl->section);
	}
	if (dsl->resync)
		recover(dsl);
	dsl->prev_kind = dsl->last->kind;
	dsl->prev_line = dsl->last->at.line;
	if (dsl->queue_pos < dsl->queue_len) {
		t = dsl->queue[dsl->queue_pos++];
	} else {
		scan(dsl, &t);
		dsl->was_in_block = dsl->in_block;
		track_braces(dsl, t.kind);
	}
	*dsl->last = t;
	*val = t.val;
	*loc = t.at;
	return t.kind;
}

/* ---- memory ---- */

void dsl_fatal(struct dsl *dsl)
{
	longjmp(dsl->on_oom, 1);
}

void *dsl_alloc(struct dsl *dsl, size_t size)
{
	void *p = arena_alloc(&dsl->ctx->arena, size);

	if (!p)
		dsl_fatal(dsl);
	return p;
}

bool dsl_room(struct dsl *dsl, unsigned nr, struct src_span at)
{
	if (nr < DSL_MAX_LIST)
		return true;
	if (nr == DSL_MAX_LIST && !dsl->list_reported) {
		dsl->list_reported = true;
		diag_error(&dsl->ctx->diags, at, "P008", "this list has more than %d members",
			   DSL_MAX_LIST);
	}
	return false;
}

/* ---- entry ---- */

/* In its own function: nothing that longjmp could disturb lives in its frame. */
static void run_parser(struct dsl *dsl, const struct source *src, size_t start, size_t end)
{
	struct src_span at = source_span(&dsl->ctx->sources, dsl->file, start, start);

	if (setjmp(dsl->on_oom) || !dsl_scanner_open(dsl, src->bytes + start, end - start)) {
		diag_error(&dsl->ctx->diags, at, "P008", "out of memory");
		return;
	}
	pol_yyparse(dsl);
}

void dsl_parse(struct parser_ctx *ctx, uint32_t file, size_t start, size_t end,
	       enum dsl_section section, struct dsl_result *out)
{
	struct dsl_token last = { 0 }, queue[DSL_MAX_QUEUE];
	struct dsl dsl = { .ctx = ctx, .file = file, .section = section, .last = &last };
	const struct source *src = source_get(&ctx->sources, file);
	struct src_span at = source_span(&ctx->sources, file, start, start);

	dsl.queue = queue;
	dsl.offset = start;
	dsl.line = at.line;
	dsl.col = at.col;
	last.at = at;
	run_parser(&dsl, src, start, end);
	dsl_scanner_close(&dsl);
	*out = dsl.out;
}
