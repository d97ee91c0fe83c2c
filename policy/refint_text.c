/* The reference interpreter: patterns, as lists of characters with stars. */
#include <stdlib.h>
#include <string.h>
#include "policy/refint_int.h"

void refint_put(struct text *t, char c, bool star)
{
	if (c == '/' && t->n && t->at[t->n - 1].c == '/')
		return;
	t->at[t->n].c = c;
	t->at[t->n++].star = star;
}

void refint_expand(const struct refint *r, const struct ast_path *p, bool under, struct text *t)
{
	t->n = 0;
	for (const struct ast_piece *pc = p->pieces; pc; pc = pc->next) {
		const char *s = pc->text;

		if (pc->kind == AST_PIECE_VAR) {
			for (s = refint_var(r, s); *s; s++)
				refint_put(t, *s, false);
			continue;
		}
		for (; *s; s++) {
			if (*s == '\\' && s[1])
				refint_put(t, *++s, false);
			else
				refint_put(t, *s, *s == '*');
		}
	}
	if (t->n > 1 && t->at[t->n - 1].c == '/')
		t->n--;
	if (under) {
		refint_put(t, '/', false);
		refint_put(t, '*', true);
		refint_put(t, '*', true);
	}
}

static bool star(const struct text *t, size_t i)
{
	return i < t->n && t->at[i].star;
}

bool refint_any_dirs(const struct text *t, size_t i)
{
	return i < t->n && t->at[i].c == '/' && star(t, i + 1) && star(t, i + 2) &&
	       (i + 3 == t->n || t->at[i + 3].c == '/');
}

static bool match(const struct text *t, size_t i, const char *s)
{
	if (i == t->n)
		return !*s;
	if (refint_any_dirs(t, i)) {
		if (i + 3 == t->n)
			return !*s || *s == '/';
		if (match(t, i + 3, s))
			return true;
		if (*s != '/')
			return false;
		for (s++; *s && *s != '/'; s++)
			;
		return *s && match(t, i, s);
	}
	if (star(t, i)) {
		bool two = star(t, i + 1);

		for (;; s++) {
			if (match(t, i + (two ? 2 : 1), s))
				return true;
			if (!*s || (*s == '/' && !two))
				return false;
		}
	}
	return *s == t->at[i].c && match(t, i + 1, s + 1);
}

bool refint_text_matches(const struct text *t, const char *path)
{
	bool all = t->n % 3 == 0;

	for (size_t i = 0; i < t->n; i += 3)
		all = all && refint_any_dirs(t, i);
	if (!strcmp(path, "/"))
		return all || (t->n == 1 && t->at[0].c == '/');
	return match(t, 0, path);
}

bool refint_path_matches(const struct refint *r, const struct ast_path *p, bool under,
			 const char *path, size_t len)
{
	static struct text t;
	char *copy = strndup(path, len);
	bool yes;

	refint_expand(r, p, under, &t);
	yes = copy && refint_text_matches(&t, copy);
	free(copy);
	return yes;
}

/* ---- specificity: see "most specific pattern wins" in sbx-policy(5) ---- */


struct weight refint_weigh(const struct text *t)
{
	struct weight w = {.exact = true};

	for (size_t i = 0; i < t->n; i++) {
		if (refint_any_dirs(t, i)) {
			/* Repeated components of two stars are one. */
			bool last = i + 3 == t->n;

			w.exact = false;
			w.deep = true;
			if (!last && refint_any_dirs(t, i + 3)) {
				i += 2;
				continue;
			}
			if (!w.prefix)
				w.prefix = w.chars + !last + 1;
			w.stars += last ? 2 : 3;
			i += 2;
			continue;
		}
		if (star(t, i)) {
			bool two = star(t, i + 1);

			if (!w.prefix)
				w.prefix = w.chars + 1;
			w.exact = false;
			w.deep |= two;
			w.stars += two ? 5 : 1;
			i += two;
			continue;
		}
		w.chars++;
	}
	w.prefix = w.prefix ? w.prefix - 1 : w.chars;
	return w;
}

/* Positive: a is more specific. */
int refint_compare(const struct weight *a, const struct weight *b)
{
	if (a->exact != b->exact)
		return a->exact - b->exact;
	if (a->prefix != b->prefix)
		return a->prefix > b->prefix ? 1 : -1;
	if (a->deep != b->deep)
		return b->deep - a->deep;
	if (a->chars != b->chars)
		return a->chars > b->chars ? 1 : -1;
	return (int)b->stars - (int)a->stars;
}

