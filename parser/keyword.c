/* The words of the language, each with the sections where it is reserved. Elsewhere it is a plain name:
 * read is a verb under files: and a system call under rules:. */
#include <string.h>
#include "base/suggest.h"
#include "parser/dsl.h"
#include "parser/grammar.h"

#define NOTES (DSL_RULES | DSL_FILES | DSL_NET | DSL_EXEC)
#define CONDS (DSL_RULES | DSL_TESTS)
#define RULES (DSL_RULES | DSL_TESTS | DSL_OUTCOME)

struct keyword {
	const char *word;
	int kind;
	unsigned sections;
	unsigned value;
};

static const struct keyword keywords[] = {
	{ "never", TOK_NEVER, DSL_RULES | DSL_TESTS, 0 },
	{ "allow", TOK_ALLOW, RULES, 0 },
	{ "deny", TOK_DENY, RULES | DSL_FILES | DSL_NET | DSL_EXEC, 0 },
	{ "terminate", TOK_TERMINATE, RULES | NOTES, 0 },
	{ "trap", TOK_TRAP, RULES, 0 },
	{ "ask", TOK_ASK, RULES, 0 },
	{ "emulate", TOK_EMULATE, RULES, 0 },
	{ "extend", TOK_EXTEND, DSL_RULES, 0 },
	{ "replace", TOK_REPLACE, DSL_RULES, 0 },
	{ "on", TOK_ON, DSL_RULES, 0 },
	{ "as", TOK_AS, RULES | NOTES, 0 },
	{ "set", TOK_SET, DSL_RULES, 0 },
	{ "if", TOK_IF, CONDS, 0 },
	{ "else", TOK_ELSE, DSL_RULES, 0 },
	{ "except", TOK_EXCEPT, DSL_RULES | DSL_TARGETS, 0 },
	{ "because", TOK_BECAUSE, NOTES, 0 },
	{ "audit", TOK_AUDIT, NOTES, 0 },
	{ "quiet", TOK_QUIET, NOTES, 0 },
	{ "tag", TOK_TAG, NOTES, 0 },
	{ "limit", TOK_LIMIT, NOTES, 0 },
	{ "over", TOK_OVER, NOTES, 0 },
	{ "delay", TOK_DELAY, NOTES, 0 },
	{ "not", TOK_NOT, CONDS | DSL_EXEC, 0 },
	{ "and", TOK_AND, CONDS | DSL_EXEC, 0 },
	{ "or", TOK_OR, CONDS, 0 },
	{ "mask", TOK_MASK, CONDS, 0 },
	{ "in", TOK_IN, CONDS | DSL_EXEC, 0 },
	{ "has", TOK_HAS, CONDS, 0 },
	{ "any", TOK_ANY, CONDS, 0 },
	{ "only", TOK_ONLY, CONDS, 0 },
	{ "is", TOK_IS, CONDS, 0 },
	{ "under", TOK_UNDER, CONDS, 0 },
	{ "matches", TOK_MATCHES, CONDS | DSL_EXEC, 0 },
	{ "within", TOK_WITHIN, CONDS, 0 },
	{ "clamp", TOK_CLAMP, DSL_RULES, 0 },
	{ "hide", TOK_HIDE, DSL_FILES, 0 },
	{ "nulled", TOK_NULLED, DSL_FILES, 0 },
	{ "overlay", TOK_OVERLAY, DSL_FILES, 0 },
	{ "scratch", TOK_SCRATCH, DSL_FILES, 0 },
	{ "run", TOK_RUN, DSL_EXEC, 0 },
	{ "argv", TOK_ARGV, DSL_EXEC, 0 },
	{ "argc", TOK_ARGC, DSL_EXEC, 0 },
	{ "expect", TOK_EXPECT, DSL_TESTS, 0 },
	{ "prove", TOK_PROVE, DSL_TESTS, 0 },
	{ "no", TOK_NO, DSL_TESTS, 0 },
	{ "call", TOK_CALL, DSL_TESTS, 0 },
	{ "phase", TOK_PHASE, DSL_TESTS, 0 },
	{ "by", TOK_BY, DSL_TESTS, 0 },
	{ "first", TOK_FIRST, DSL_AFTER, 0 },
	{ "read", TOK_VERB, DSL_FILES, AST_V_READ },
	{ "list", TOK_VERB, DSL_FILES, AST_V_LIST },
	{ "stat", TOK_VERB, DSL_FILES, AST_V_STAT },
	{ "write", TOK_VERB, DSL_FILES, AST_V_WRITE },
	{ "append", TOK_VERB, DSL_FILES, AST_V_APPEND },
	{ "create", TOK_VERB, DSL_FILES, AST_V_CREATE },
	{ "delete", TOK_VERB, DSL_FILES, AST_V_DELETE },
	{ "exec", TOK_VERB, DSL_FILES, AST_V_EXEC },
	{ "link", TOK_VERB, DSL_FILES, AST_V_LINK },
	{ "connect", TOK_VERB, DSL_FILES, AST_V_CONNECT },
	{ "connect", TOK_NVERB, DSL_NET, AST_NET_CONNECT },
	{ "listen", TOK_NVERB, DSL_NET, AST_NET_LISTEN },
	{ "send", TOK_NVERB, DSL_NET, AST_NET_SEND },
	{ "tcp", TOK_PROTO, DSL_NET, AST_PROTO_TCP },
	{ "udp", TOK_PROTO, DSL_NET, AST_PROTO_UDP },
	{ "unix", TOK_PROTO, DSL_NET, AST_PROTO_UNIX },
};

#define NR_KEYWORDS (sizeof(keywords) / sizeof(*keywords))

int dsl_keyword(const struct dsl *dsl, const char *text, size_t len, unsigned *value)
{
	for (size_t i = 0; i < NR_KEYWORDS; i++) {
		const struct keyword *k = &keywords[i];

		if (!(k->sections & dsl->section) || strncmp(k->word, text, len) || k->word[len])
			continue;
		*value = k->value;
		return k->kind;
	}
	return 0;
}

/* The value of a word of one kind; 0 and an error, with the nearest one, when there is none. */
static unsigned find_word(struct dsl *dsl, const struct ast_name *word, int kind, const char *what)
{
	struct suggest s;
	struct diag *d;
	const char *best;

	suggest_begin(&s, word->text);
	for (size_t i = 0; i < NR_KEYWORDS; i++) {
		if (keywords[i].kind != kind)
			continue;
		if (!strcmp(keywords[i].word, word->text))
			return keywords[i].value;
		suggest_offer(&s, keywords[i].word);
	}
	d = diag_error(&dsl->ctx->diags, word->span, "P010", "'%s' is not a verb of %s", word->text, what);
	best = suggest_end(&s);
	if (best)
		diag_help(&dsl->ctx->diags, d, "did you mean '%s'?", best);
	return 0;
}

enum ast_verb dsl_verb(struct dsl *dsl, const struct ast_name *word)
{
	return find_word(dsl, word, TOK_VERB, "files");
}

enum ast_nverb dsl_nverb(struct dsl *dsl, const struct ast_name *word)
{
	return find_word(dsl, word, TOK_NVERB, "net");
}
