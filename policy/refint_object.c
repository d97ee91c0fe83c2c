/* The reference interpreter: the object gates. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "parser/parser.h"
#include "policy/refint_int.h"

/* ---- patterns, as a list of characters with stars ---- */

struct text {
	struct {
		char c;
		bool star;
	} at[8192];
	size_t n;
};

static void put(struct text *t, char c, bool star)
{
	if (c == '/' && t->n && t->at[t->n - 1].c == '/')
		return;
	t->at[t->n].c = c;
	t->at[t->n++].star = star;
}

static void expand(const struct refint *r, const struct ast_path *p, bool under, struct text *t)
{
	t->n = 0;
	for (const struct ast_piece *pc = p->pieces; pc; pc = pc->next) {
		const char *s = pc->text;

		if (pc->kind == AST_PIECE_VAR) {
			for (s = refint_var(r, s); *s; s++)
				put(t, *s, false);
			continue;
		}
		for (; *s; s++) {
			if (*s == '\\' && s[1])
				put(t, *++s, false);
			else
				put(t, *s, *s == '*');
		}
	}
	if (t->n > 1 && t->at[t->n - 1].c == '/')
		t->n--;
	if (under) {
		put(t, '/', false);
		put(t, '*', true);
		put(t, '*', true);
	}
}

static bool star(const struct text *t, size_t i)
{
	return i < t->n && t->at[i].star;
}

/* Is the component of two stars at i, with its slash before it? */
static bool any_dirs(const struct text *t, size_t i)
{
	return i < t->n && t->at[i].c == '/' && star(t, i + 1) && star(t, i + 2) &&
	       (i + 3 == t->n || t->at[i + 3].c == '/');
}

static bool match(const struct text *t, size_t i, const char *s)
{
	if (i == t->n)
		return !*s;
	if (any_dirs(t, i)) {
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

static bool matches(const struct text *t, const char *path)
{
	bool all = t->n % 3 == 0;

	for (size_t i = 0; i < t->n; i += 3)
		all = all && any_dirs(t, i);
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

	expand(r, p, under, &t);
	yes = copy && matches(&t, copy);
	free(copy);
	return yes;
}

/* ---- specificity: see "most specific pattern wins" in sbx-policy(5) ---- */

struct weight {
	bool exact, deep; /* deep: has two stars somewhere */
	size_t prefix, chars;
	unsigned stars;
};

static struct weight weigh(const struct text *t)
{
	struct weight w = {.exact = true};

	for (size_t i = 0; i < t->n; i++) {
		if (any_dirs(t, i)) {
			/* Repeated components of two stars are one. */
			bool last = i + 3 == t->n;

			w.exact = false;
			w.deep = true;
			if (!last && any_dirs(t, i + 3)) {
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
static int compare(const struct weight *a, const struct weight *b)
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

/* ---- files ---- */

struct best {
	bool found, implied, grant, scratch;
	bool hidden; /* a scratch that does not hold the path */
	unsigned order; /* in the text */
	struct weight w;
	struct refint_verdict v;
};

/* Takes new when it decides rather than what is there: the more specific, a refusal before a grant, a
 * scratch after both, what is written first. */
static void offer(struct best *b, const struct best *new)
{
	int r = 1;

	if (b->found) {
		r = new->w.exact - b->w.exact;
		if (!r)
			r = b->implied - new->implied;
		if (!r)
			r = compare(&new->w, &b->w);
		if (!r)
			r = b->grant - new->grant;
		if (!r)
			r = b->scratch - new->scratch;
		if (!r)
			r = new->order < b->order;
	}
	if (r > 0)
		*b = *new;
}

static void file_verdict(const struct refint *r, const struct ast_file *f, struct refint_verdict *v)
{
	*v = (struct refint_verdict){
	    .action = POL_ALLOW, .gate = POL_GATE_FILES, .line = f->span.line};
	if (f->kind == AST_FILE_DENY || f->kind == AST_FILE_HIDE) {
		v->action = POL_DENY;
		v->flags = POL_F_LOG;
		v->value = f->kind == AST_FILE_HIDE ? ENOENT
			   : f->as		    ? (int64_t)refint_val(r, f->as)
						    : EPERM;
	}
	if (f->notes.audit)
		v->flags = POL_F_LOG;
	if (f->notes.quiet)
		v->flags = POL_F_QUIET;
}

/* A private tree: a scratch, or an overlay, of which the gate says the same. */
static bool is_private(const struct ast_file *f)
{
	return f->kind == AST_FILE_SCRATCH || f->kind == AST_FILE_OVERLAY;
}

static uint32_t verbs_of(const struct ast_file *f)
{
	switch (f->kind) {
	case AST_FILE_GRANT:
		return f->verbs | POL_V_STAT;
	case AST_FILE_DENY:
		return f->verbs ? f->verbs : POL_V_ALL;
	case AST_FILE_SCRATCH:
	case AST_FILE_OVERLAY:
		return POL_V_ALL & ~(uint32_t)POL_V_EXEC;
	default:
		return POL_V_ALL;
	}
}

/* Is path a directory on the way to what the pattern's literal start names? */
static bool is_parent(const struct text *t, const char *path)
{
	size_t len = strlen(path), n = 0;

	while (n < t->n && !t->at[n].star)
		n++;
	if (n < t->n && n && any_dirs(t, n - 1) && n + 2 == t->n)
		n--; /* the slash belongs to the two stars at the end */
	if (!strcmp(path, "/"))
		return n > 0;
	if (len >= n)
		return false;
	for (size_t i = 0; i < len; i++)
		if (path[i] != t->at[i].c)
			return false;
	return t->at[len].c == '/';
}

/* ---- what is the host's inside a scratch ---- */

/* Length of the folder, or the one file, that all that the pattern matches is in. */
static size_t root_of(const struct text *t)
{
	size_t n = 0;

	while (n < t->n && !t->at[n].star)
		n++;
	while (n < t->n && n && t->at[n - 1].c != '/')
		n--;
	while (n > 1 && t->at[n - 1].c == '/')
		n--;
	return n;
}

/* Is path the root, or below it? */
static bool in_root(const struct text *t, size_t root, const char *path)
{
	for (size_t i = 0; i < root; i++)
		if (path[i] != t->at[i].c)
			return false;
	return !path[root] || path[root] == '/';
}

/* Is path inside a folder of the host that a grant shows in the scratch? */
static bool is_shown(const struct refint *r, const struct text *scratch, const char *path)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_files(r, files);
	size_t dir = root_of(scratch), root;
	static struct text t;

	for (unsigned i = 0; i < n; i++) {
		for (const struct ast_file *f = files[i]->files; f; f = f->next) {
			if (f->kind != AST_FILE_GRANT || !(f->verbs & ~(uint32_t)POL_V_STAT))
				continue;
			for (const struct ast_path *p = f->paths; p; p = p->next) {
				expand(r, p, false, &t);
				root = root_of(&t);
				/* The scratch's pattern matched path: it begins as the scratch does. */
				if (dir > 1 && root > dir && in_root(&t, root, path))
					return true;
			}
		}
	}
	return false;
}

static void look(const struct refint *r, uint32_t verb, const char *path, struct best *b)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_files(r, files), order = 0;
	static struct text t;

	for (unsigned i = 0; i < n; i++) {
		for (const struct ast_file *f = files[i]->files; f; f = f->next) {
			bool grant = f->kind == AST_FILE_GRANT || is_private(f);
			struct best new = {.found = true, .grant = grant};

			file_verdict(r, f, &new.v);
			for (const struct ast_path *p = f->paths; p; p = p->next) {
				struct best parent = new;

				new.order = parent.order = order++;
				new.scratch = is_private(f);
				expand(r, p, new.scratch, &t);
				new.w = weigh(&t);
				parent.implied = true;
				parent.v.flags = 0;
				parent.w = (struct weight){
				    .exact = true, .prefix = strlen(path), .chars = strlen(path)};
				new.hidden = new.scratch && is_shown(r, &t, path);
				if ((verbs_of(f) & verb) && matches(&t, path))
					offer(b, &new);
				else if (grant && verb == POL_V_STAT && is_parent(&t, path))
					offer(b, &parent);
			}
		}
	}
}

/* ---- exec ---- */

static bool text_matches(const char *pat, bool wild, const char *s)
{
	if (!*pat)
		return !*s;
	if (wild && *pat == '*') {
		for (;; s++) {
			if (text_matches(pat + 1, wild, s))
				return true;
			if (!*s)
				return false;
		}
	}
	if (wild && *pat == '\\' && pat[1])
		pat++;
	return *pat == *s && text_matches(pat + 1, wild, s + 1);
}

static bool arg_matches(const struct ast_argv *a, const char *s)
{
	if (a->kind == AST_ARGV_MATCHES)
		return text_matches(a->pattern->text, true, s);
	for (const struct ast_item *it = a->items; it; it = it->next)
		if (text_matches(it->str, false, s))
			return true;
	return false;
}

static bool condition_holds(const struct ast_argv *a, const struct pol_program *prog)
{
	uint64_t n = prog->argc, k;

	if (a->kind == AST_ARGV_COUNT) {
		k = a->count->num;
		switch (a->cmp) {
		case AST_EQ:
			return n == k;
		case AST_NE:
			return n != k;
		case AST_LT:
			return n < k;
		case AST_LE:
			return n <= k;
		case AST_GT:
			return n > k;
		default:
			return n >= k;
		}
	}
	k = a->index->num;
	if (!a->rest)
		return k < n && arg_matches(a, prog->argv[k]) != a->negated;
	for (; k < n; k++)
		if (arg_matches(a, prog->argv[k]) == a->negated)
			return false;
	return true;
}

static bool all_hold(const struct ast_exec *x, const struct pol_program *prog)
{
	for (const struct ast_argv *a = x->argv; a && prog->argv; a = a->next)
		if (!condition_holds(a, prog))
			return false;
	return true;
}

static bool same_pattern(const struct text *a, const struct text *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (a->at[i].c != b->at[i].c || a->at[i].star != b->at[i].star)
			return false;
	return a->n == b->n;
}

/* The statement whose pattern decides about path; *where is that pattern. NULL: none does. */
static const struct ast_exec *deciding_exec(const struct refint *r, const char *path,
					    struct best *b, struct text *where)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_files(r, files), order = 0;
	const struct ast_exec *decides = NULL;
	static struct text t;

	for (unsigned i = 0; i < n; i++) {
		for (const struct ast_exec *x = files[i]->exec; x; x = x->next) {
			struct best new = {.found = true, .grant = x->kind == AST_EXEC_RUN};
			struct ast_file same = {.kind = new.grant ? AST_FILE_GRANT : AST_FILE_DENY,
						.span = x->span,
						.as = x->as,
						.notes = x->notes};

			file_verdict(r, &same, &new.v);
			new.v.gate = POL_GATE_EXEC;
			for (const struct ast_path *p = x->paths; p; p = p->next) {
				new.order = order++;
				expand(r, p, false, &t);
				new.w = weigh(&t);
				if (!matches(&t, path))
					continue;
				offer(b, &new);
				if (b->order != new.order)
					continue;
				decides = x;
				*where = t;
			}
		}
	}
	return decides;
}

/* Of the statements with the pattern that decides, the first whose conditions hold. */
static const struct ast_exec *holding_exec(const struct refint *r, const struct text *where,
					   const struct pol_program *prog)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_files(r, files);
	static struct text t;

	for (unsigned i = 0; i < n; i++) {
		for (const struct ast_exec *x = files[i]->exec; x; x = x->next) {
			for (const struct ast_path *p = x->paths; p; p = p->next) {
				expand(r, p, false, &t);
				if (same_pattern(&t, where) && x->kind == AST_EXEC_RUN &&
				    all_hold(x, prog))
					return x;
			}
		}
	}
	return NULL;
}

static void one_exec(const struct refint *r, const struct pol_program *prog,
		     struct refint_verdict *v, uint32_t *enters)
{
	static struct text where;
	char *copy = strndup(prog->path, prog->len);
	struct best b = {0};
	const struct ast_exec *x = deciding_exec(r, copy ? copy : "", &b, &where);
	struct refint all = *r;

	free(copy);
	if (!x) {
		refint_missing(r, REFINT_EXEC, false, v);
		return;
	}
	*v = b.v;
	if (!b.grant)
		return;
	x = holding_exec(r, &where, prog);
	if (!x) {
		refint_missing(r, REFINT_EXEC, false, v);
		return;
	}
	*v = (struct refint_verdict){.action = POL_ALLOW,
				     .gate = POL_GATE_EXEC,
				     .flags = x->notes.audit   ? POL_F_LOG
					      : x->notes.quiet ? POL_F_QUIET
							       : 0,
				     .line = x->span.line};
	if (r->main)
		all.ast = r->main;
	all.main = NULL;
	*enters |= 1u << refint_layer_named(&all, x->as_program->text);
}

void refint_exec(const struct refint *r, const struct pol_program *prog, struct refint_verdict *v,
		 uint32_t *layers)
{
	struct refint_verdict by;
	struct pol_ast file;
	struct refint one;

	*layers = r->layers | 1;
	one_exec(r, prog, v, layers);
	for (unsigned i = 1; i < 32; i++) {
		if (!refint_layer(r, i, &file, &one))
			continue;
		one_exec(&one, prog, &by, layers);
		refint_narrow(v, &by);
	}
}

static void one_path(const struct refint *r, uint32_t verbs, const char *path, size_t len,
		     struct refint_verdict *v)
{
	char *copy = strndup(path, len);
	const struct pol_program any = {.path = path, .len = len};
	struct refint_verdict start = {.action = POL_ALLOW};
	struct best worst = {0};
	uint32_t enters = 0;
	uint8_t flags = 0;
	bool missing = false;

	for (uint32_t verb = 1; verb < POL_V_START && copy; verb <<= 1) {
		struct best b = {0};

		if (!(verbs & verb))
			continue;
		look(r, verb, copy, &b);
		if (b.hidden) {
			refint_default(r, false, &b.v);
			b.v.gate = POL_GATE_FILES;
			b.grant = false;
		}
		flags |= b.v.flags;
		if (!b.found)
			missing = true;
		else if (!b.grant)
			offer(&worst, &b);
	}
	free(copy);
	if (worst.found) {
		*v = worst.v;
		return;
	}
	*v = (struct refint_verdict){.action = POL_ALLOW, .gate = POL_GATE_FILES};
	if (missing)
		refint_missing(r, REFINT_FILES_TABLE, false, v);
	if (v->action != POL_ALLOW)
		return;
	if (verbs & POL_V_START) /* files: is asked first */
		one_exec(r, &any, &start, &enters);
	if (start.action == POL_ALLOW)
		v->flags = flags | start.flags;
	else
		*v = start;
}

void refint_path(const struct refint *r, uint32_t verbs, const char *path, size_t len,
		 struct refint_verdict *v)
{
	struct refint_verdict by;
	struct pol_ast file;
	struct refint one;

	one_path(r, verbs, path, len, v);
	for (unsigned i = 1; i < 32; i++) {
		if (!refint_layer(r, i, &file, &one))
			continue;
		one_path(&one, verbs, path, len, &by);
		refint_narrow(v, &by);
	}
}

/* ---- net ---- */

static bool port_value(const struct refint *r, const struct ast_port *p, uint64_t *out)
{
	const char *text;

	if (p->kind == AST_PORT_NUMBER) {
		*out = p->num;
		return true;
	}
	if (p->kind != AST_PORT_VAR)
		return false;
	text = refint_var(r, p->var);
	return parser_number(text, strlen(text), out);
}

struct range {
	int prefix, family; /* family 0: both */
	uint64_t lo, hi;
	struct weight w; /* unix */
};

static bool ip_matches(const uint8_t *ip, int prefix, const uint8_t *other)
{
	for (int i = 0; i < prefix; i++)
		if ((ip[i / 8] >> (7 - i % 8) & 1) != (other[i / 8] >> (7 - i % 8) & 1))
			return false;
	return true;
}

static bool inet_matches(const struct refint *r, const struct ast_addr *a,
			 const struct pol_addr *addr, struct range *g)
{
	uint8_t family = a->family, ip[16];
	int prefix = a->prefix;

	*g = (struct range){.lo = 0, .hi = 65535};
	if (port_value(r, &a->port, &g->lo))
		g->hi = g->lo;
	port_value(r, &a->port_hi, &g->hi);
	if (addr->port < g->lo || addr->port > g->hi)
		return false;
	if (a->kind == AST_ADDR_ANY)
		return true;
	memcpy(ip, a->ip, sizeof(ip));
	if (a->kind != AST_ADDR_IP) {
		const char *text = refint_var(r, a->var);

		parser_ip(text, strlen(text), &family, ip, &prefix);
	}
	g->family = family;
	g->prefix = prefix < 0 ? (family == 4 ? 32 : 128) : prefix;
	return family == addr->family && ip_matches(ip, g->prefix, addr->ip);
}

static bool unix_matches(const struct refint *r, const struct ast_addr *a,
			 const struct pol_addr *addr, struct range *g)
{
	static struct text t;
	char *path = strndup(addr->path, addr->path_len);
	bool yes;

	t.n = 0;
	if (a->kind == AST_ADDR_PATH) {
		expand(r, a->path, false, &t);
	} else {
		put(&t, '@', false);
		for (const char *s = a->text; *s; s++) {
			/* A star stands for any bytes, as two of them do in a path. */
			if (*s == '*' && t.n && t.at[t.n - 1].star)
				continue;
			for (int i = 0; i <= (*s == '*'); i++) {
				t.at[t.n].c = *s;
				t.at[t.n++].star = *s == '*';
			}
		}
	}
	*g = (struct range){.w = weigh(&t)};
	yes = path && matches(&t, path);
	free(path);
	return yes;
}

static bool better(const struct range *a, const struct range *b, bool is_unix)
{
	if (is_unix)
		return compare(&a->w, &b->w) > 0;
	if (a->prefix != b->prefix)
		return a->prefix > b->prefix;
	if (!a->family != !b->family)
		return a->family != 0;
	return a->hi - a->lo < b->hi - b->lo;
}

static bool same(const struct range *a, const struct range *b, bool is_unix)
{
	return !better(a, b, is_unix) && !better(b, a, is_unix);
}

static bool verb_applies(enum ast_nverb rule, uint32_t asked)
{
	return (uint32_t)rule == asked || (rule == AST_NET_CONNECT && asked == POL_NET_SEND);
}

static bool best_net(const struct refint *r, uint32_t nverb, const struct pol_addr *addr,
		     struct refint_verdict *v)
{
	const struct pol_ast *files[REFINT_FILES];
	unsigned n = refint_files(r, files);
	bool found = false, grant = false, is_unix = addr->proto == POL_PROTO_UNIX;
	struct range best = {0}, g;

	for (unsigned i = 0; i < n; i++) {
		for (const struct ast_net *s = files[i]->net; s; s = s->next) {
			if ((uint32_t)s->proto != addr->proto || !verb_applies(s->verb, nverb))
				continue;
			for (const struct ast_addr *a = s->addrs; a; a = a->next) {
				bool allow = s->kind == AST_NET_GRANT;
				bool hit = is_unix ? unix_matches(r, a, addr, &g)
						   : inet_matches(r, a, addr, &g);

				if (!hit || (found && !better(&g, &best, is_unix) &&
					     !(same(&g, &best, is_unix) && grant && !allow)))
					continue;
				found = true;
				grant = allow;
				best = g;
				*v = (struct refint_verdict){.action = allow ? POL_ALLOW : POL_DENY,
							     .flags = allow ? 0 : POL_F_LOG,
							     .gate = POL_GATE_NET,
							     .line = s->span.line};
				if (!allow)
					v->value = s->as ? (int64_t)refint_val(r, s->as) : EPERM;
				if (s->notes.audit)
					v->flags = POL_F_LOG;
				if (s->notes.quiet)
					v->flags = POL_F_QUIET;
			}
		}
	}
	return found;
}

static void one_net(const struct refint *r, uint32_t nverb, const struct pol_addr *addr,
		    struct refint_verdict *v)
{
	if (best_net(r, nverb, addr, v))
		return;
	if (addr->proto == POL_PROTO_UNIX && nverb != POL_NET_LISTEN && addr->path &&
	    addr->path_len && addr->path[0] == '/') {
		one_path(r, POL_V_CONNECT, addr->path, addr->path_len, v);
		if (!(v->flags & POL_F_DEFAULT))
			return;
	}
	refint_missing(r, REFINT_NET, false, v);
}

void refint_net(const struct refint *r, uint32_t nverb, const struct pol_addr *addr,
		struct refint_verdict *v)
{
	struct refint_verdict by;
	struct pol_ast file;
	struct refint one;

	one_net(r, nverb, addr, v);
	for (unsigned i = 1; i < 32; i++) {
		if (!refint_layer(r, i, &file, &one))
			continue;
		one_net(&one, nverb, addr, &by);
		refint_narrow(v, &by);
	}
}
