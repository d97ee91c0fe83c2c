/* The `net` section: addresses in order of specificity. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "policy/image_format.h"
#include "policy/resolve.h"

#define GLOBSTAR_WEIGHT 5 /* of pattern.stars, as in pattern.c */

struct entry {
	struct img_net n;
	struct pattern pat; /* unix */
	struct src_span span;
	unsigned order;
};

struct table {
	struct unit *u;
	struct entry *e; /* owned */
	size_t n, cap;
};

static void add(struct table *t, const struct entry *e)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 32;
		struct entry *more = reallocarray(t->e, cap, sizeof(*more));

		if (!more) {
			t->u->oom = true;
			return;
		}
		t->e = more;
		t->cap = cap;
	}
	t->e[t->n] = *e;
	t->e[t->n].order = (unsigned)t->n;
	t->n++;
}

/* ---- one address ---- */

static bool port_of(struct unit *u, const struct ast_port *p, uint16_t *lo, uint16_t *hi)
{
	const struct rvar *v;
	uint64_t num;

	switch (p->kind) {
	case AST_PORT_ANY:
		*lo = 0;
		*hi = UINT16_MAX;
		return true;
	case AST_PORT_NUMBER:
		*lo = *hi = p->num;
		return true;
	case AST_PORT_VAR:
		v = resolve_var(u, p->var, p->span);
		if (!v)
			return false;
		if ((v->decl->type == AST_VAR_PORT || v->decl->type == AST_VAR_NUMBER) &&
		    parser_number(v->text, strlen(v->text), &num) && num <= UINT16_MAX) {
			*lo = *hi = (uint16_t)num;
			return true;
		}
		diag_error(u->diags, p->span, "P015", "variable '%s' is not a port", p->var);
		return false;
	default:
		return false;
	}
}

static bool ports_of(struct unit *u, const struct ast_addr *a, struct img_net *n)
{
	uint16_t lo, hi;
	struct diag *d;

	if (a->port.kind == AST_PORT_NONE) {
		d = diag_error(u->diags, a->span, "P033", "a port is missing");
		diag_help(u->diags, d, "write :PORT, :FIRST-LAST, or :* for every port");
		return false;
	}
	if (!port_of(u, &a->port, &n->port_lo, &n->port_hi))
		return false;
	if (a->port_hi.kind == AST_PORT_NONE)
		return true;
	if (!port_of(u, &a->port_hi, &lo, &hi))
		return false;
	n->port_hi = hi;
	if (n->port_lo > n->port_hi)
		diag_error(u->diags, a->port_hi.span, "P017", "empty range of ports");
	return n->port_lo <= n->port_hi;
}

static bool set_ip(struct unit *u, struct img_net *n, uint8_t family, const uint8_t *ip, int prefix,
		   struct src_span span)
{
	int bits = family == 4 ? 32 : 128;
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (prefix < 0)
		prefix = bits;
	if (prefix > bits) {
		diag_error(u->diags, span, "P017", "a prefix of this address has at most %d bits",
			   bits);
		return false;
	}
	if (family == 6 && prefix >= 96 && !memcmp(ip, mapped, sizeof(mapped)))
		return set_ip(u, n, 4, ip + 12, prefix - 96, span);
	n->family = family;
	n->prefix = (uint8_t)prefix;
	memcpy(n->ip, ip, (size_t)bits / 8);
	for (int i = prefix; i < bits; i++) {
		if (n->ip[i / 8] & 0x80 >> i % 8) {
			diag_error(u->diags, span, "P017",
				   "the address has bits beyond its prefix /%d", prefix);
			return false;
		}
	}
	return true;
}

/* "@name": abstract names are flat, so a star stands for any bytes, slashes too. */
static bool abstract_pattern(struct unit *u, const char *name, struct pattern *p)
{
	struct buf b = BUF_INIT;

	buf_putc(&b, '@');
	p->nr_literal = 1;
	for (; *name; name++) {
		if (*name != '*') {
			buf_putc(&b, *name);
			p->nr_literal++;
			continue;
		}
		while (name[1] == '*')
			name++;
		if (!p->globstars++)
			p->literal = b.len;
		p->stars += GLOBSTAR_WEIGHT;
		buf_putc(&b, 0);
		buf_putc(&b, IMG_GLOBSTAR);
	}
	if (!p->globstars)
		p->literal = b.len;
	p->len = b.len;
	p->t = b.failed ? NULL : arena_strndup(&u->arena, b.data, b.len);
	buf_free(&b);
	u->oom = u->oom || !p->t;
	return p->t;
}

static bool unix_pattern(struct entry *e, struct unit *u, const struct ast_addr *a)
{
	if (a->kind == AST_ADDR_PATH)
		return resolve_path(u, a->path, false, &e->pat);
	if (a->kind != AST_ADDR_ABSTRACT)
		return false;
	return abstract_pattern(u, a->text, &e->pat);
}

static bool addr_var(struct unit *u, const struct ast_addr *a, struct entry *e)
{
	const struct rvar *v = resolve_var(u, a->var, a->span);
	uint8_t family, ip[16];
	int prefix;

	if (!v)
		return false;
	if (v->decl->type == AST_VAR_PATH && e->n.proto == POL_PROTO_UNIX)
		return pattern_literal(&u->arena, v->text, false, &e->pat);
	if (v->decl->type != AST_VAR_ADDR || e->n.proto == POL_PROTO_UNIX ||
	    !parser_ip(v->text, strlen(v->text), &family, ip, &prefix)) {
		diag_error(u->diags, a->span, "P015", "variable '%s' is a %s, not an address",
			   a->var, ast_var_type_name(v->decl->type));
		return false;
	}
	return set_ip(u, &e->n, family, ip, prefix, a->span) && ports_of(u, a, &e->n);
}

static bool addr_of(struct unit *u, const struct ast_addr *a, struct entry *e)
{
	bool path = a->kind == AST_ADDR_PATH || a->kind == AST_ADDR_ABSTRACT;

	if (a->kind == AST_ADDR_VAR || a->kind == AST_ADDR_HOST_VAR)
		return addr_var(u, a, e);
	if (path != (e->n.proto == POL_PROTO_UNIX)) {
		diag_error(u->diags, a->span, "P033", "%s needs %s",
			   ast_proto_name((enum ast_proto)e->n.proto),
			   path ? "an address and a port" : "a path, or @NAME");
		return false;
	}
	if (path)
		return unix_pattern(e, u, a);
	if (a->kind == AST_ADDR_IP && !set_ip(u, &e->n, a->family, a->ip, a->prefix, a->span))
		return false;
	return ports_of(u, a, &e->n);
}

static void add_statement(struct table *t, const struct ast_net *s)
{
	struct unit *u = t->u;
	struct img_verdict v = {.action = POL_ALLOW, .gate = POL_GATE_NET};

	v.rule = resolve_rule(u, s->span, &s->notes);
	resolve_notes(u, &s->notes);
	if (s->kind == AST_NET_DENY) {
		v.action = POL_DENY;
		v.flags = POL_F_LOG;
		if (!resolve_errno(u, s->as, EPERM, &v.value))
			return;
	}
	if (s->notes.audit)
		v.flags |= POL_F_LOG;
	if (s->notes.quiet)
		v.flags = POL_F_QUIET;
	for (const struct ast_addr *a = s->addrs; a; a = a->next) {
		struct entry e = {.span = a->span};

		e.n.verbs = (uint16_t)(1u << s->verb);
		/* What may be connected to may be sent to. */
		if (s->verb == AST_NET_CONNECT)
			e.n.verbs |= 1u << POL_NET_SEND;
		e.n.proto = (uint8_t)s->proto;
		e.n.port_hi = UINT16_MAX;
		e.n.v = v;
		if (addr_of(u, a, &e))
			add(t, &e);
	}
}

/* ---- conflicts and order ---- */

static bool ip_within(const struct img_net *in, const struct img_net *out)
{
	for (unsigned i = 0; i < out->prefix; i++)
		if ((in->ip[i / 8] ^ out->ip[i / 8]) & 0x80 >> i % 8)
			return false;
	return in->prefix >= out->prefix && (!out->family || out->family == in->family);
}

static bool net_within(const struct img_net *in, const struct img_net *out)
{
	return ip_within(in, out) && in->port_lo >= out->port_lo && in->port_hi <= out->port_hi;
}

static bool ambiguous(const struct entry *a, const struct entry *b)
{
	if (a->n.proto != b->n.proto || !(a->n.verbs & b->n.verbs) ||
	    (a->n.v.action == POL_ALLOW) == (b->n.v.action == POL_ALLOW))
		return false;
	if (a->n.proto == POL_PROTO_UNIX)
		return pattern_relate(&a->pat, &b->pat, NULL) == PATTERN_OVERLAP;
	if (!ip_within(&a->n, &b->n) && !ip_within(&b->n, &a->n))
		return false;
	if (a->n.port_lo > b->n.port_hi || b->n.port_lo > a->n.port_hi)
		return false;
	return !net_within(&a->n, &b->n) && !net_within(&b->n, &a->n);
}

static void check_overlaps(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t j = i + 1; j < t->n; j++) {
			struct diag *d;

			if (!ambiguous(&t->e[i], &t->e[j]))
				continue;
			d = diag_error(
			    t->u->diags, t->e[j].span, "P031",
			    "this and line %u match the same addresses; neither is more specific",
			    t->e[i].span.line);
			diag_relate(t->u->diags, d, t->e[i].span, "%s here",
				    t->e[i].n.v.action == POL_ALLOW ? "granted" : "refused");
			diag_help(t->u->diags, d,
				  "add a line for what both match, or narrow one of them");
		}
	}
}

static int by_order(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	int r = (int)a->n.proto - (int)b->n.proto;

	if (r)
		return r;
	if (a->n.proto == POL_PROTO_UNIX) {
		r = pattern_order(&a->pat, &b->pat);
	} else {
		r = (int)b->n.prefix - (int)a->n.prefix;
		if (!r)
			r = (b->n.family != 0) - (a->n.family != 0);
		if (!r)
			r = (a->n.port_hi - a->n.port_lo) - (b->n.port_hi - b->n.port_lo);
	}
	if (!r)
		r = (a->n.v.action == POL_ALLOW) - (b->n.v.action == POL_ALLOW);
	return r ? r : (a->order > b->order) - (a->order < b->order);
}

/* ---- sections of programs ---- */

/* May some address be covered by both? */
static bool meets(const struct entry *a, const struct img_net *n, const struct pattern *pat)
{
	unsigned bits = a->n.prefix < n->prefix ? a->n.prefix : n->prefix;

	if (a->n.proto != n->proto || !(a->n.verbs & n->verbs))
		return false;
	if (n->proto == POL_PROTO_UNIX)
		return pattern_relate(&a->pat, pat, NULL) != PATTERN_DISJOINT;
	if ((a->n.family && n->family && a->n.family != n->family) ||
	    a->n.port_lo > n->port_hi || n->port_lo > a->n.port_hi)
		return false;
	for (unsigned i = 0; i < bits; i++)
		if ((a->n.ip[i / 8] ^ n->ip[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

/* What the policy does not grant at all, a program cannot get either. */
static void check_widening(struct table *t, const struct entry *e)
{
	struct unit *u = t->u;
	const struct img_net *own = (const void *)u->build.part[IMG_BUILD_NETS].data;
	const char *strings = u->build.part[IMG_BUILD_STRINGS].data;
	const struct img_run *run = &u->layers[0].img.nets;

	if (e->n.v.action != POL_ALLOW || u->build.part[IMG_BUILD_NETS].failed ||
	    e->n.proto == POL_PROTO_UNIX) /* which files: connect may grant */
		return;
	for (uint32_t i = run->at; i < run->at + run->n; i++) {
		struct pattern pat = {.t = strings + own[i].pat.str,
				      .len = own[i].pat.len,
				      .tail = own[i].pat.tail,
				      .literal = own[i].pat.literal};

		if (own[i].v.action == POL_ALLOW && meets(e, &own[i], &pat))
			return;
	}
	diag_help(u->diags,
		  diag_error(u->diags, e->span, "P036",
			     "the policy itself grants nothing of these addresses"),
		  "a program can only have less than the policy: grant it there first");
}

void net_compile(struct unit *u, struct img_run *out)
{
	struct table t = {.u = u};

	out->at = img_build_count(&u->build, IMG_BUILD_NETS);
	for (unsigned f = 0; f < u->nr_files; f++)
		for (const struct ast_net *s = u->files[f]->net; s; s = s->next)
			add_statement(&t, s);
	check_overlaps(&t);
	if (t.n)
		qsort(t.e, t.n, sizeof(*t.e), by_order);
	for (size_t i = 0; i < t.n; i++) {
		struct entry *e = &t.e[i];

		if (u->layer)
			check_widening(&t, e);
		e->n.pat =
		    img_build_tokens(&u->build, e->pat.t ? e->pat.t : "", e->pat.len, e->pat.tail);
		img_build_net(&u->build, &e->n);
	}
	out->n = img_build_count(&u->build, IMG_BUILD_NETS) - out->at;
	free(t.e);
}
