/* Path patterns: coding, printing, and which of two is more specific or contains the other. */
#include "policy/pattern.h"

#include <stdlib.h>
#include <string.h>
#include "base/overflow.h"
#include "policy/image_format.h"

/* ---- coding ---- */

struct coder {
	struct buf out;
	struct pattern *p;
	bool pending; /* a component of two stars was read */
};

static void put_token(struct coder *c, enum img_token token)
{
	static const unsigned weight[] = {[IMG_STAR] = 1, [IMG_GLOBDIR] = 3, [IMG_GLOBSTAR] = 5};

	buf_putc(&c->out, 0);
	buf_putc(&c->out, (char)token);
	c->p->stars += weight[token];
	c->p->globstars += token != IMG_STAR;
}

static void put_char(struct coder *c, unsigned char ch)
{
	buf_putc(&c->out, (char)ch);
	c->p->nr_literal++;
}

static bool component(struct coder *c, const struct pattern_char *s, size_t n, const char **why)
{
	size_t stars = 0, dots = 0;

	for (size_t i = 0; i < n; i++) {
		dots += s[i].c == '.';
		stars += s[i].wild;
	}
	if (n <= 2 && dots == n) {
		*why = "a pattern has no \".\" or \"..\" component";
		return false;
	}
	if (n == 2 && stars == 2) {
		c->pending = true;
		return true;
	}
	put_char(c, '/');
	if (c->pending)
		put_token(c, IMG_GLOBDIR);
	c->pending = false;
	for (size_t i = 0; i < n; i++) {
		if (!s[i].wild) {
			put_char(c, s[i].c);
			continue;
		}
		stars = 1;
		while (i + 1 < n && s[i + 1].wild) {
			stars++;
			i++;
		}
		if (stars > 2) {
			*why = "more than two stars in a row";
			return false;
		}
		put_token(c, stars == 2 ? IMG_GLOBSTAR : IMG_STAR);
	}
	return true;
}

bool pattern_code(struct arena *a, const struct pattern_char *s, size_t n, struct pattern *out,
		  const char **why)
{
	struct coder c = {BUF_INIT, out, false};
	const char *token;
	bool ok = true;

	memset(out, 0, sizeof(*out));
	*why = NULL;
	if (!n || s[0].c != '/' || s[0].wild)
		*why = "a path pattern starts with a slash";
	for (size_t i = 0; i < n && !*why; i++) {
		size_t len = 0;

		if (s[i].c == '/' && !s[i].wild)
			continue;
		while (i + len < n && (s[i + len].c != '/' || s[i + len].wild))
			len++;
		ok = component(&c, s + i, len, why);
		i += len;
	}
	if (!*why && !c.out.len && !c.pending)
		put_char(&c, '/');
	if (c.pending) {
		out->tail = true;
		out->globstars++;
		out->stars += 2;
	}
	if (!*why && c.out.len > PATTERN_MAX)
		*why = "the pattern is too long";
	ok = ok && !*why && !c.out.failed;
	if (ok) {
		out->len = c.out.len;
		out->t = arena_strndup(a, c.out.data ? c.out.data : "", c.out.len);
		ok = out->t != NULL;
	}
	if (ok) {
		token = memchr(out->t, 0, out->len);
		out->literal = token ? (size_t)(token - out->t) : out->len;
	} else if (!*why) {
		*why = "out of memory";
	}
	buf_free(&c.out);
	return ok;
}

bool pattern_literal(struct arena *a, const char *path, bool below, struct pattern *out)
{
	size_t n = strlen(path);
	struct pattern_char *s = calloc(n + 3, sizeof(*s));
	const char *why;
	bool ok;

	if (!s)
		return false;
	for (size_t i = 0; i < n; i++)
		s[i].c = (unsigned char)path[i];
	if (below) {
		s[n++].c = '/';
		s[n++] = (struct pattern_char){'*', true};
		s[n++] = (struct pattern_char){'*', true};
	}
	ok = pattern_code(a, s, n, out, &why);
	free(s);
	return ok;
}

void pattern_spread(struct pattern *p)
{
	p->tail = true;
	p->globstars = 1;
	p->stars = 2;
	if (p->len == 1)
		p->len = p->literal = p->nr_literal = 0; /* below / is everything */
}

bool pattern_is_exact(const struct pattern *p)
{
	return !p->tail && p->literal == p->len;
}

void pattern_print(const struct pattern *p, struct buf *out)
{
	static const char *const text[] = {"", "*", "**", "**/"};

	for (size_t i = 0; i < p->len; i++) {
		if (!p->t[i]) {
			buf_puts(out, text[(unsigned char)p->t[++i]]);
			continue;
		}
		if (p->t[i] == '*' || p->t[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, p->t[i]);
	}
	if (p->tail)
		buf_puts(out, "/**");
}

/* ---- order ---- */

static int more(size_t a, size_t b)
{
	return (a < b) - (a > b);
}

int pattern_order(const struct pattern *a, const struct pattern *b)
{
	int r = more(pattern_is_exact(a), pattern_is_exact(b));

	if (!r)
		r = more(a->literal, b->literal);
	if (!r)
		r = more(!a->globstars, !b->globstars);
	if (!r)
		r = more(a->nr_literal, b->nr_literal);
	if (!r)
		r = more(b->stars, a->stars);
	return r;
}

bool pattern_equal(const struct pattern *a, const struct pattern *b)
{
	return a->len == b->len && a->tail == b->tail && !memcmp(a->t, b->t, a->len);
}

/* ---- relation: both patterns run over the same paths, as sets of states ---- */

#define MAX_PAIRS 4096

/* State 2i: before element i; 2i + 1: inside a component of the IMG_GLOBDIR that is element i.
 * State 2n: all matched; 2n + 1: below it. */
struct machine {
	const struct pattern *p;
	uint8_t token[PATTERN_MAX + 1]; /* 0: literal */
	uint8_t lit[PATTERN_MAX + 1];
	unsigned n, words;
};

/* A set of states is m->words words. */
static void set_add(const struct machine *m, uint64_t *s, unsigned state)
{
	s[state / 64] |= 1ull << state % 64;
	/* A star may match nothing. */
	if (!(state & 1) && state / 2 < m->n && m->token[state / 2])
		set_add(m, s, state + 2);
}

static bool set_has(const uint64_t *s, unsigned state)
{
	return s[state / 64] >> state % 64 & 1;
}

static void machine_init(struct machine *m, const struct pattern *p)
{
	m->p = p;
	m->n = 0;
	for (size_t i = 0; i < p->len; i++) {
		m->token[m->n] = p->t[i] ? 0 : (uint8_t)p->t[++i];
		m->lit[m->n++] = (uint8_t)p->t[i];
	}
	m->words = (2 * m->n + 1) / 64 + 1;
}

static void step_state(const struct machine *m, unsigned state, unsigned char c, uint64_t *out)
{
	unsigned i = state / 2;

	if (i == m->n) {
		if ((state & 1) || (m->p->tail && c == '/'))
			set_add(m, out, 2 * m->n + 1);
	} else if (!m->token[i]) {
		if (m->lit[i] == c)
			set_add(m, out, state + 2);
	} else if (m->token[i] == IMG_GLOBDIR) {
		if (c != '/')
			set_add(m, out, 2 * i + 1);
		else if (state & 1)
			set_add(m, out, 2 * i);
	} else if (m->token[i] == IMG_GLOBSTAR || c != '/') {
		set_add(m, out, state);
	}
}

static bool step(const struct machine *m, const uint64_t *in, unsigned char c, uint64_t *out)
{
	bool any = false;

	memset(out, 0, m->words * sizeof(*out));
	for (unsigned s = 0; s <= 2 * m->n + 1; s++)
		if (set_has(in, s))
			step_state(m, s, c, out);
	for (unsigned w = 0; w < m->words; w++)
		any |= out[w] != 0;
	return any;
}

static bool accepts(const struct machine *m, const uint64_t *s, bool root)
{
	if (root && m->p->len > 1)
		return false;
	return set_has(s, 2 * m->n) || set_has(s, 2 * m->n + 1);
}

struct pair {
	unsigned from;
	unsigned char c;
	bool slash; /* the last byte was one */
};

struct search {
	struct machine a, b;
	struct pair *pairs;
	uint64_t *sets; /* for each pair: the states of a, then of b */
	unsigned nr, cap;
	unsigned char alphabet[256];
	unsigned nr_alphabet;
	bool both, only_a, only_b, gave_up;
	unsigned witness; /* the pair that both accept */
};

static void make_alphabet(struct search *s)
{
	static const char others[] = "xyzabcdefghijklmnopqrstuvwABC0123456789";
	bool in[256] = {false};

	for (unsigned i = 0; i < s->a.n; i++)
		if (!s->a.token[i])
			in[s->a.lit[i]] = true;
	for (unsigned i = 0; i < s->b.n; i++)
		if (!s->b.token[i])
			in[s->b.lit[i]] = true;
	in['/'] = true;
	for (unsigned i = 0; i < sizeof(others) - 1; i++) {
		if (!in[(unsigned char)others[i]]) {
			s->alphabet[s->nr_alphabet++] = (unsigned char)others[i];
			break;
		}
	}
	for (unsigned c = 1; c < 256; c++)
		if (in[c] && s->nr_alphabet < 256)
			s->alphabet[s->nr_alphabet++] = (unsigned char)c;
}

static uint64_t *set_a(const struct search *s, unsigned i)
{
	return s->sets + (size_t)i * (s->a.words + s->b.words);
}

static uint64_t *set_b(const struct search *s, unsigned i)
{
	return set_a(s, i) + s->a.words;
}

/* Room for one more pair. */
static bool grow(struct search *s)
{
	size_t words = s->a.words + s->b.words;
	unsigned cap = s->cap ? s->cap * 2 : 64;
	struct pair *pairs;
	uint64_t *sets;

	if (s->nr < s->cap)
		return true;
	if (cap > MAX_PAIRS)
		return false;
	pairs = reallocarray(s->pairs, cap, sizeof(*pairs));
	if (pairs)
		s->pairs = pairs;
	sets = pairs ? reallocarray(s->sets, cap, words * sizeof(*sets)) : NULL;
	if (!sets)
		return false;
	s->sets = sets;
	s->cap = cap;
	return true;
}

static void note(struct search *s, unsigned i)
{
	const struct pair *p = &s->pairs[i];
	bool root = p->from == 0 && i != 0 && p->slash;
	bool a, b;

	if (i == 0 || (p->slash && !root))
		return; /* not a canonical path */
	a = accepts(&s->a, set_a(s, i), root);
	b = accepts(&s->b, set_b(s, i), root);
	if (a && b && !s->both)
		s->witness = i;
	s->both |= a && b;
	s->only_a |= a && !b;
	s->only_b |= b && !a;
}

/* Was the new pair, behind the last, met before? */
static bool seen(const struct search *s)
{
	const struct pair *p = &s->pairs[s->nr];
	size_t bytes = (s->a.words + s->b.words) * sizeof(uint64_t);

	for (unsigned i = 1; i < s->nr; i++)
		if (s->pairs[i].slash == p->slash && (s->pairs[i].from == 0) == (p->from == 0) &&
		    !memcmp(set_a(s, i), set_a(s, s->nr), bytes))
			return true;
	return false;
}

/* Follows one byte from pair i. */
static void follow(struct search *s, unsigned i, unsigned char c)
{
	bool a, b;

	if (c == '/' ? s->pairs[i].slash : i == 0)
		return; /* an empty component, or a relative path */
	a = step(&s->a, set_a(s, i), c, set_a(s, s->nr));
	b = step(&s->b, set_b(s, i), c, set_b(s, s->nr));
	s->pairs[s->nr] = (struct pair){i, c, c == '/'};
	if ((!a && !b) || seen(s))
		return;
	note(s, s->nr++);
}

static void explore(struct search *s)
{
	s->gave_up = !grow(s);
	if (s->gave_up)
		return;
	memset(set_a(s, 0), 0, (s->a.words + s->b.words) * sizeof(uint64_t));
	s->pairs[0] = (struct pair){0, 0, false};
	set_add(&s->a, set_a(s, 0), 0);
	set_add(&s->b, set_b(s, 0), 0);
	s->nr = 1;
	for (unsigned i = 0; i < s->nr; i++) {
		for (unsigned k = 0; k < s->nr_alphabet; k++) {
			if (!grow(s)) {
				s->gave_up = true;
				return;
			}
			follow(s, i, s->alphabet[k]);
		}
		if (s->both && s->only_a && s->only_b)
			return;
	}
}

static void print_witness(const struct search *s, struct buf *out)
{
	unsigned char path[MAX_PAIRS];
	size_t n = 0;

	for (unsigned i = s->witness; i; i = s->pairs[i].from)
		path[n++] = s->pairs[i].c;
	while (n)
		buf_putc(out, (char)path[--n]);
}

enum pattern_relation pattern_relate(const struct pattern *a, const struct pattern *b,
				     struct buf *witness)
{
	size_t common = MIN(a->literal, b->literal);
	enum pattern_relation r = PATTERN_OVERLAP;
	struct search *s;

	if (memcmp(a->t, b->t, common))
		return PATTERN_DISJOINT;
	s = calloc(1, sizeof(*s));
	if (s) {
		machine_init(&s->a, a);
		machine_init(&s->b, b);
		make_alphabet(s);
		explore(s);
		if (s->gave_up)
			r = PATTERN_OVERLAP;
		else if (!s->both)
			r = PATTERN_DISJOINT;
		else if (!s->only_a)
			r = PATTERN_INSIDE;
		else if (!s->only_b)
			r = PATTERN_CONTAINS;
		if (s->both && witness)
			print_witness(s, witness);
		free(s->pairs);
		free(s->sets);
	}
	free(s);
	return r;
}
