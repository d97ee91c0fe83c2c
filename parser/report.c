/* Syntax errors in words. Bison knows which tokens could come next; this file turns that set into a
 * phrase ("a value", "a comparison") and adds the hint that fits. */
#include <string.h>
#include "base/suggest.h"
#include "parser/dsl.h"
#include "parser/grammar.h"

#define MAX_PHRASES 6

struct expected {
	const char *const *names;
	int nr;
	bool said[128]; /* already covered by a phrase */
	const char *phrases[MAX_PHRASES];
	unsigned nr_phrases;
};

static bool has(const struct expected *e, const char *name)
{
	for (int i = 0; i < e->nr; i++)
		if (!strcmp(e->names[i], name))
			return true;
	return false;
}

static void say(struct expected *e, const char *phrase)
{
	for (unsigned i = 0; i < e->nr_phrases; i++)
		if (!strcmp(e->phrases[i], phrase))
			return;
	if (e->nr_phrases < MAX_PHRASES)
		e->phrases[e->nr_phrases++] = phrase;
}

/* Marks every expected token that is listed in words (separated by blanks) as covered. */
static void cover(struct expected *e, const char *words)
{
	for (int i = 0; i < e->nr; i++) {
		size_t n = strlen(e->names[i]);
		const char *p = words;

		while ((p = strstr(p, e->names[i])) != NULL) {
			if ((p == words || p[-1] == ' ') && (!p[n] || p[n] == ' ')) {
				if (i < 128)
					e->said[i] = true;
				break;
			}
			p++;
		}
	}
}

/* A group of tokens that has one name: chosen when both keys are expected. */
struct group {
	const char *key1, *key2, *phrase, *words;
};

static const struct group groups[] = {
	{ "NUMBER", "CONST", "a value", "NUMBER SIZE CONST VAR ~ (" },
	{ "not", "IDENT", "a condition", "not IDENT ( mask" },
	{ "==", "!=", "a comparison (==, !=, <, in, has, any, only, ...)",
	  "== != < <= > >= in has any only mask is under matches within ." },
	{ "=", "|=", "an assignment (=, |=, &= or clamp)", "= |= &= clamp ." },
	{ "==", "!=", "a comparison", "== != < <= > >=" },
	{ "IDENT", "GROUP", "a system call or @group", "IDENT GROUP" },
	{ "IDENT", "mask", "a name", "IDENT mask" },
	{ "PATH", "ADDR", "an address", "PATH ADDR VAR" },
	{ "PATH", "VAR", "a path", "PATH VAR" },
};

static const struct group statements[] = {
	{ "on", "never", "a rule", "never allow deny terminate trap ask emulate extend replace on" },
	{ "hide", "deny", "a rule", "VERB deny hide nulled overlay scratch" },
	{ "NVERB", "deny", "a rule", "NVERB deny" },
	{ "run", "deny", "a rule", "run deny" },
	{ "expect", "prove", "a test ('expect' or 'prove')", "expect prove" },
	{ "allow", "terminate", "a verdict (allow, deny, terminate or emulate)",
	  "allow deny terminate trap ask emulate" },
};

static void say_groups(struct expected *e, const struct group *g, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		bool open = false;

		for (int k = 0; k < e->nr && k < 128; k++)
			if (!strcmp(e->names[k], g[i].key1) && !e->said[k])
				open = true;
		if (!open || !has(e, g[i].key2))
			continue;
		cover(e, g[i].words);
		say(e, g[i].phrase);
	}
}

static const char *token_phrase(struct arena *a, const char *name)
{
	static const char *const words[][2] = {
		{ "IDENT", "a name" },	     { "GROUP", "a @group" },
		{ "NUMBER", "a number" },    { "SIZE", "a size" },
		{ "CONST", "a constant" },   { "VAR", "a variable" },
		{ "RATE", "a rate" },	     { "STRING", "a string" },
		{ "PATH", "a path" },	     { "ADDR", "an address" },
		{ "NVERB", "connect, listen or send" }, { "PROTO", "tcp, udp or unix" },
		{ "VERB", "a verb (read, list, write, ...)" },
	};
	const char *s;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(name, words[i][0]))
			return words[i][1];
	s = arena_printf(a, "'%s'", name);
	return s ? s : name;
}

static void say_all(struct dsl *dsl, struct expected *e)
{
	const char *notes = "because audit quiet tag limit";
	bool in_notes = has(e, "because") && has(e, "audit");

	say_groups(e, groups, sizeof(groups) / sizeof(*groups));
	if (in_notes)
		cover(e, notes);
	cover(e, "RESYNC RESYNC_ARM error");
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < e->nr && i < 128; i++) {
			if (e->said[i] || !strcmp(e->names[i], "end of file"))
				continue;
			if (pass)
				say(e, token_phrase(&dsl->ctx->arena, e->names[i]));
		}
		if (!pass) { /* statements are named last, but must not be listed word by word */
			unsigned before = e->nr_phrases;

			say_groups(e, statements, sizeof(statements) / sizeof(*statements));
			if (e->nr_phrases > before && e->nr_phrases < MAX_PHRASES && in_notes)
				say(e, "a note (because, audit, ...)");
		}
	}
	if (!e->nr_phrases)
		say(e, in_notes ? "a note (because, audit, quiet, tag or limit)" : "the end of the text");
}

static void put_expected(const struct expected *e, struct buf *b)
{
	for (unsigned i = 0; i < e->nr_phrases; i++) {
		if (i)
			buf_puts(b, i + 1 == e->nr_phrases ? " or " : ", ");
		buf_puts(b, e->phrases[i]);
	}
}

static const char *const verbs[] = { "read",   "list",	 "stat", "write", "append",
				     "create", "delete", "exec", "link",  "connect" };

static const char *nearest(const struct expected *e, const char *word)
{
	struct suggest s;

	suggest_begin(&s, word);
	for (int i = 0; i < e->nr; i++) {
		if (e->names[i][0] >= 'a' && e->names[i][0] <= 'z' && !strchr(e->names[i], ' '))
			suggest_offer(&s, e->names[i]);
		if (!strcmp(e->names[i], "VERB"))
			for (size_t k = 0; k < sizeof(verbs) / sizeof(*verbs); k++)
				suggest_offer(&s, verbs[k]);
		if (!strcmp(e->names[i], "NVERB")) {
			suggest_offer(&s, "connect");
			suggest_offer(&s, "listen");
			suggest_offer(&s, "send");
		}
		if (!strcmp(e->names[i], "PROTO")) {
			suggest_offer(&s, "tcp");
			suggest_offer(&s, "udp");
			suggest_offer(&s, "unix");
		}
	}
	return suggest_end(&s);
}

static void add_hint(struct dsl *dsl, struct diag *d, const struct expected *e, const char *found,
		     const char *word)
{
	struct diag_list *l = &dsl->ctx->diags;
	const char *near;

	if (!strcmp(found, "=") && has(e, "==")) {
		diag_help(l, d, "'==' compares; '=' assigns, after 'set'");
		return;
	}
	if (!strcmp(found, "PATH") && has(e, "STRING")) {
		diag_help(l, d, "write it as a string: \"%s\"", word);
		return;
	}
	if (!strcmp(found, "STRING") && has(e, "PATH")) {
		diag_help(l, d, "paths are written without quotes; \\ stands before a blank in one");
		return;
	}
	if (!strcmp(found, "STRING") && has(e, "CONST")) {
		diag_help(l, d, "paths are compared with 'under' and 'matches', addresses with 'within'");
		return;
	}
	if (strcmp(found, "IDENT") && strcmp(found, "CONST"))
		return;
	if (!strcmp(word, "kill") && has(e, "terminate")) {
		diag_help(l, d, "kill is a system call; the verdict is 'terminate'");
		return;
	}
	near = nearest(e, word);
	if (near)
		diag_help(l, d, "did you mean '%s'?", near);
	else if (!strcmp(found, "IDENT") && has(e, "CONST"))
		diag_help(l, d, "constants are written in capitals, as in O_RDONLY");
	else if (!strcmp(found, "CONST") && has(e, "IDENT"))
		diag_help(l, d, "names of calls and arguments are written in small letters");
}

void dsl_report(struct dsl *dsl, struct src_span at, const char *found, const char *const *names, int nr)
{
	struct diag_list *l = &dsl->ctx->diags;
	struct expected e = { .names = names, .nr = nr };
	const struct source *src = source_get(&dsl->ctx->sources, dsl->file);
	struct buf b = BUF_INIT;
	int len = at.end - at.start > 40 ? 40 : (int)(at.end - at.start);
	const char *word = arena_strndup(&dsl->ctx->arena, src->bytes + at.start, len);
	struct diag *d;

	say_all(dsl, &e);
	put_expected(&e, &b);
	if (b.failed || !word)
		d = diag_error(l, at, "P010", "syntax error");
	else if (len == 0)
		d = diag_error(l, at, "P010", "expected %s, but the text ends here", b.data);
	else
		d = diag_error(l, at, "P010", "expected %s, found '%s'", b.data, word);
	if (word)
		add_hint(dsl, d, &e, found, word);
	buf_free(&b);
	dsl->resync = true;
}

/* Called by the generated parser when its stack is full, or memory is out. */
void pol_yyerror(POL_YYLTYPE *loc, struct dsl *dsl, const char *msg)
{
	diag_error(&dsl->ctx->diags, *loc, "P008", "nested too deeply");
}
