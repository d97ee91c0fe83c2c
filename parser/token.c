/* Tokens with an inner structure: paths, addresses, numbers, rates, strings. A malformed one is reported
 * and replaced by something harmless, so that the statement around it is still checked. */
#include <string.h>
#include "parser/dsl.h"

struct src_span dsl_part(struct dsl *dsl, struct src_span at, size_t start, size_t end)
{
	return source_span(&dsl->ctx->sources, dsl->file, at.start + start, at.start + end);
}

static struct diag *bad(struct dsl *dsl, struct src_span at, const char *msg)
{
	return diag_error(&dsl->ctx->diags, at, "P011", "%s", msg);
}

static void help(struct dsl *dsl, struct diag *d, const char *msg)
{
	diag_help(&dsl->ctx->diags, d, "%s", msg);
}

/* ---- numbers ---- */

struct ast_val *dsl_number(struct dsl *dsl, struct src_span at, const char *text, size_t len)
{
	bool negative = text[0] == '-';
	uint64_t num = 0;
	struct ast_val *v;
	struct diag *d;

	if (!negative && !parser_number(text, len, &num) && parser_size(text, len, &num))
		return dsl_val_num(dsl, at, AST_VAL_SIZE, num);
	v = dsl_val_num(dsl, at, AST_VAL_NUMBER, 0);
	v->negative = negative;
	if (parser_number(text + negative, len - negative, &num) &&
	    (!negative || num <= (uint64_t)INT64_MAX + 1)) {
		v->num = negative ? 0 - num : num;
		return v;
	}
	d = diag_error(&dsl->ctx->diags, at, "P011", "'%.*s' is not a number", len > 40 ? 40 : (int)len,
		       text);
	if (!negative && len > 1 && text[0] == '0' && strspn(text, "01234567") >= len)
		diag_help(&dsl->ctx->diags, d, "octal numbers are written 0o%.*s",
			  len > 40 ? 40 : (int)len - 1, text + 1);
	else
		help(dsl, d, "numbers are written 10, 0x1f or 0o644; sizes 64KiB, 64MiB or 64GiB");
	return v;
}

bool dsl_rate(struct dsl *dsl, struct src_span at, const char *text, size_t len, struct dsl_rate *rate)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{ "s", 1000000000ull }, { "min", 60 * 1000000000ull }, { "h", 3600 * 1000000000ull }
	};
	const char *slash = memchr(text, '/', len);
	size_t n = slash - text, unit_len = len - n - 1;

	*rate = (struct dsl_rate){ 1, 1000000000ull };
	if (!parser_number(text, n, &rate->count) || !rate->count)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strlen(units[i].unit) == unit_len && !memcmp(units[i].unit, slash + 1, unit_len)) {
			rate->per_ns = units[i].ns;
			return true;
		}
	}
	return false;
}

/* ---- strings ---- */

static struct ast_piece *add_piece(struct dsl *dsl, struct ast_piece **first, struct ast_piece *last,
				   enum ast_piece_kind kind, struct src_span at, const char *text,
				   size_t len)
{
	struct ast_piece *piece = dsl_new(dsl, ast_piece);

	piece->kind = kind;
	piece->text = dsl_text(dsl, text, len);
	piece->span = at;
	if (last)
		last->next = piece;
	else
		*first = piece;
	return piece;
}

static char unescape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case '"':
	case '\\':
		return c;
	default:
		return 0;
	}
}

void dsl_no_vars(struct dsl *dsl, struct src_span at)
{
	help(dsl, bad(dsl, at, "variables are not replaced in this string"),
	     "only strings among the arguments of 'expect' may hold them");
}

/* The pieces of a string with ${variables}. */
static struct ast_piece *split_str(struct dsl *dsl, struct src_span at, const char *text, size_t len)
{
	struct ast_piece *first = NULL, *last = NULL;
	size_t i = 0;

	while (i < len) {
		const char *open = strstr(text + i, "${");
		size_t start = open ? (size_t)(open - text) : len, name;

		if (start > i)
			last = add_piece(dsl, &first, last, AST_PIECE_LITERAL, at, text + i, start - i);
		if (!open)
			break;
		name = strspn(open + 2, "abcdefghijklmnopqrstuvwxyz0123456789_");
		if (!name || open[2 + name] != '}') {
			bad(dsl, at, "this string holds a malformed variable; write ${name}");
			break;
		}
		last = add_piece(dsl, &first, last, AST_PIECE_VAR, at, open + 2, name);
		i = start + name + 3;
	}
	return first;
}

struct ast_str *dsl_str(struct dsl *dsl, struct src_span at, const char *text, size_t len)
{
	struct ast_str *s = dsl_new(dsl, ast_str);
	char *out = dsl_alloc(dsl, len + 1);
	bool has_vars = false;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\\' && i + 1 < len) {
			c = unescape(text[++i]);
			if (!c) {
				help(dsl, bad(dsl, dsl_part(dsl, at, i, i + 2), "unknown escape"),
				     "a string knows \\\" \\\\ \\n and \\t");
				c = '?';
			}
		} else if (c == '$' && i + 1 < len && text[i + 1] == '{') {
			has_vars = true;
		}
		out[n++] = c;
	}
	s->text = out;
	s->span = at;
	if (has_vars && dsl->section == DSL_TESTS)
		s->pieces = split_str(dsl, at, out, n);
	else if (has_vars)
		dsl_no_vars(dsl, s->span);
	return s;
}

/* ---- paths ---- */

/* Components that no canonical path has. */
static void check_path(struct dsl *dsl, struct src_span at, const char *text, size_t len)
{
	const char *first = memchr(text, '/', len);
	size_t i = first ? (size_t)(first - text) : len;

	while (i < len) {
		size_t end = i + 1;

		while (end < len && text[end] != '/')
			end++;
		if (end - i == 1 && (len > 1 || i > 0)) {
			help(dsl, bad(dsl, dsl_part(dsl, at, i, end),
				      end == len ? "a path does not end with a slash" :
						   "two slashes in a row match nothing"),
			     end == len ? "name the directory, or add ** for what is below it" :
					  "paths are compared in their canonical form");
			return;
		}
		if ((end - i == 2 && text[i + 1] == '.') ||
		    (end - i == 3 && text[i + 1] == '.' && text[i + 2] == '.')) {
			help(dsl, bad(dsl, dsl_part(dsl, at, i + 1, end), "this component matches nothing"),
			     "paths are compared in their canonical form, without . and ..");
			return;
		}
		i = end;
	}
}

struct ast_path *dsl_path(struct dsl *dsl, struct src_span at, const char *text, size_t len)
{
	struct ast_path *p = dsl_new(dsl, ast_path);
	struct ast_piece *last = NULL;
	size_t i = 0;

	p->span = at;
	while (i < len) {
		size_t start = i;

		if (text[i] == '$') { /* the scanner has seen that ${name} is complete */
			while (text[i] != '}')
				i++;
			i++;
			last = add_piece(dsl, &p->pieces, last, AST_PIECE_VAR, dsl_part(dsl, at, start, i),
					 text + start + 2, i - start - 3);
			continue;
		}
		while (i < len && text[i] != '$')
			i += text[i] == '\\' && i + 1 < len ? 2 : 1;
		last = add_piece(dsl, &p->pieces, last, AST_PIECE_LITERAL, dsl_part(dsl, at, start, i),
				 text + start, i - start);
	}
	check_path(dsl, at, text, len);
	return p;
}

/* ---- addresses ---- */

static bool is_var(const char *text, size_t len)
{
	return len > 3 && text[0] == '$' && text[len - 1] == '}' && !memchr(text, ':', len) &&
	       !memchr(text + 1, '$', len - 1);
}

static const char *var_name(struct dsl *dsl, const char *text, size_t len)
{
	return dsl_text(dsl, text + 2, len - 3);
}

static void parse_port(struct dsl *dsl, struct src_span at, const char *text, size_t len,
		       struct ast_port *port)
{
	uint64_t n;

	port->span = at;
	port->kind = AST_PORT_NUMBER;
	if (len == 1 && *text == '*') {
		port->kind = AST_PORT_ANY;
	} else if (is_var(text, len)) {
		port->kind = AST_PORT_VAR;
		port->var = var_name(dsl, text, len);
	} else if (parser_number(text, len, &n) && n >= 1 && n <= 65535) {
		port->num = n;
	} else {
		help(dsl, bad(dsl, at, "this is not a port"),
		     "a port is a number from 1 to 65535, a range 8000-8080, a variable, or *");
		port->num = 1;
	}
}

static void parse_ports(struct dsl *dsl, struct src_span tok, const char *text, size_t from, size_t len,
			struct ast_addr *a)
{
	const char *dash = memchr(text + from, '-', len - from);
	size_t mid = dash ? (size_t)(dash - text) : len;

	parse_port(dsl, dsl_part(dsl, tok, from, mid), text + from, mid - from, &a->port);
	if (!dash)
		return;
	parse_port(dsl, dsl_part(dsl, tok, mid + 1, len), text + mid + 1, len - mid - 1, &a->port_hi);
	if (a->port.kind == AST_PORT_ANY || a->port_hi.kind == AST_PORT_ANY)
		bad(dsl, dsl_part(dsl, tok, from, len), "* already means every port");
	else if (a->port.kind == AST_PORT_NUMBER && a->port_hi.kind == AST_PORT_NUMBER &&
		 a->port.num > a->port_hi.num)
		bad(dsl, dsl_part(dsl, tok, from, len), "this range is empty: its first port is above its last");
}

/* Where the host part ends: at the colon before the port, or at len. */
static size_t host_end(const char *text, size_t len)
{
	if (text[0] == '[') {
		const char *close = memchr(text, ']', len);
		size_t i = close ? (size_t)(close - text) + 1 : len;

		while (i < len && text[i] != ':')
			i++;
		return i;
	}
	for (size_t i = 0; i < len; i++)
		if (text[i] == ':')
			return i;
	return len;
}

static bool parse_host6(const char *text, size_t len, struct ast_addr *a)
{
	char copy[64];
	const char *close = memchr(text, ']', len);
	size_t in = close ? (size_t)(close - text) - 1 : 0, after = close ? len - in - 2 : 0;

	/* [fe80::/10] and [fe80::]/10 both */
	if (!close || in + after >= sizeof(copy) || (after && close[1] != '/'))
		return false;
	memcpy(copy, text + 1, in);
	memcpy(copy + in, close + 1, after);
	return parser_ip(copy, in + after, &a->family, a->ip, &a->prefix) && a->family == 6;
}

static void parse_host(struct dsl *dsl, struct src_span tok, const char *text, size_t len,
		       struct ast_addr *a)
{
	a->kind = AST_ADDR_IP;
	a->family = 4;
	if (len == 1 && *text == '*') {
		a->kind = AST_ADDR_ANY;
	} else if (is_var(text, len)) {
		a->kind = AST_ADDR_HOST_VAR;
		a->var = var_name(dsl, text, len);
	} else if (text[0] == '[') {
		if (!parse_host6(text, len, a))
			bad(dsl, dsl_part(dsl, tok, 0, len), "this is not an IPv6 address");
	} else if (!parser_ip(text, len, &a->family, a->ip, &a->prefix)) {
		struct diag *d = bad(dsl, dsl_part(dsl, tok, 0, len), "this is not an IP address");

		if (text[strspn(text, "0123456789./")] == ':' || (text[0] >= '0' && text[0] <= '9'))
			help(dsl, d, "addresses are written 10.0.0.5:80, 10.0.0.0/8:* or [2001:db8::1]:80");
		else
			help(dsl, d, "host names are not resolved: write the address");
	}
}

struct ast_addr *dsl_addr(struct dsl *dsl, struct src_span at, const char *text, size_t len)
{
	struct ast_addr *a = dsl_new(dsl, ast_addr);
	size_t host = host_end(text, len);

	a->span = at;
	a->prefix = -1;
	if (text[0] == '@') {
		a->kind = AST_ADDR_ABSTRACT;
		a->text = dsl_text(dsl, text + 1, len - 1);
		if (len == 1)
			bad(dsl, at, "@ needs a name");
		return a;
	}
	if (host == 0) {
		a->kind = AST_ADDR_ANY;
		help(dsl, bad(dsl, at, "the address before the port is missing"), "every address is written *");
	} else {
		parse_host(dsl, at, text, host, a);
	}
	if (host < len) {
		parse_ports(dsl, at, text, host + 1, len, a);
	} else {
		a->port.kind = AST_PORT_ANY;
		help(dsl, bad(dsl, at, "the port is missing"), "write :80, a range :8000-8080, or :* for every port");
	}
	return a;
}
