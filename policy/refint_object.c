/* The reference interpreter: the gates of files and addresses. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "parser/parser.h"
#include "policy/refint_int.h"

/* ---- files ---- */


/* Takes new when it decides rather than what is there: the more specific, a refusal before a grant, a
 * scratch after both, what is written first. */
void refint_offer(struct best *b, const struct best *new)
{
	int r = 1;

	if (b->found) {
		r = new->w.exact - b->w.exact;
		if (!r)
			r = b->implied - new->implied;
		if (!r)
			r = refint_compare(&new->w, &b->w);
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
	if (n < t->n && n && refint_any_dirs(t, n - 1) && n + 2 == t->n)
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
				refint_expand(r, p, false, &t);
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
				refint_expand(r, p, new.scratch, &t);
				new.w = refint_weigh(&t);
				parent.implied = true;
				parent.v.flags = 0;
				parent.w = (struct weight){
				    .exact = true, .prefix = strlen(path), .chars = strlen(path)};
				new.hidden = new.scratch && is_shown(r, &t, path);
				if ((verbs_of(f) & verb) && refint_text_matches(&t, path))
					refint_offer(b, &new);
				else if (grant && verb == POL_V_STAT && is_parent(&t, path))
					refint_offer(b, &parent);
			}
		}
	}
}

void refint_one_path(const struct refint *r, uint32_t verbs, const char *path, size_t len,
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
			refint_offer(&worst, &b);
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
		refint_one_exec(r, &any, &start, &enters);
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

	refint_one_path(r, verbs, path, len, v);
	for (unsigned i = 1; i < 32; i++) {
		if (!refint_layer(r, i, &file, &one))
			continue;
		refint_one_path(&one, verbs, path, len, &by);
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
		refint_expand(r, a->path, false, &t);
	} else {
		refint_put(&t, '@', false);
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
	*g = (struct range){.w = refint_weigh(&t)};
	yes = path && refint_text_matches(&t, path);
	free(path);
	return yes;
}

static bool better(const struct range *a, const struct range *b, bool is_unix)
{
	if (is_unix)
		return refint_compare(&a->w, &b->w) > 0;
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
	struct refint_verdict open;

	if (best_net(r, nverb, addr, v))
		return;
	if (addr->proto == POL_PROTO_UNIX && nverb != POL_NET_LISTEN && addr->path &&
	    addr->path_len && addr->path[0] == '/') {
		refint_one_path(r, POL_V_CONNECT, addr->path, addr->path_len, v);
		refint_missing(r, REFINT_FILES_TABLE, false, &open);
		if (v->action == POL_ALLOW ? open.action != POL_ALLOW : !(v->flags & POL_F_DEFAULT))
			return; /* granted, or refused, by a line */
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
