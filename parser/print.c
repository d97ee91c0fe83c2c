/* Prints the sentences of a tree as policy text. */
#include <arpa/inet.h>
#include <stdio.h>
#include "parser/print.h"

/* ---- words and values ---- */

static void put_string(struct buf *b, const char *s)
{
	buf_putc(b, '"');
	for (; *s; s++) {
		if (*s == '\n')
			buf_puts(b, "\\n");
		else if (*s == '\t')
			buf_puts(b, "\\t");
		else if (*s == '"' || *s == '\\')
			buf_printf(b, "\\%c", *s);
		else
			buf_putc(b, *s);
	}
	buf_putc(b, '"');
}

void print_unit(struct buf *b, uint64_t n, const char *const *units, const uint64_t *factors, int nr)
{
	int i = nr - 1;

	while (i > 0 && (n == 0 || n % factors[i]))
		i--;
	buf_printf(b, "%llu%s", (unsigned long long)(n / factors[i]), units[i]);
}

void print_size(struct buf *b, uint64_t n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
	static const uint64_t factors[] = { 1, 1 << 10, 1 << 20, 1 << 30 };

	print_unit(b, n, units, factors, 4);
}

static void put_val(struct buf *b, const struct ast_val *v)
{
	switch (v->kind) {
	case AST_VAL_NUMBER:
		if (v->negative)
			buf_printf(b, "-%llu", (unsigned long long)(0 - v->num));
		else
			buf_printf(b, "%llu", (unsigned long long)v->num);
		break;
	case AST_VAL_SIZE:
		print_size(b, v->num);
		break;
	case AST_VAL_CONST:
		buf_puts(b, v->name);
		break;
	case AST_VAL_VAR:
		buf_printf(b, "${%s}", v->name);
		break;
	case AST_VAL_NOT:
		buf_puts(b, v->kids->kind == AST_VAL_OR ? "~(" : "~");
		put_val(b, v->kids);
		buf_puts(b, v->kids->kind == AST_VAL_OR ? ")" : "");
		break;
	case AST_VAL_OR:
		for (const struct ast_val *k = v->kids; k; k = k->next) {
			buf_puts(b, k == v->kids ? "" : "|");
			buf_puts(b, k->kind == AST_VAL_OR ? "(" : "");
			put_val(b, k);
			buf_puts(b, k->kind == AST_VAL_OR ? ")" : "");
		}
		break;
	}
}

static void put_path(struct buf *b, const struct ast_path *p)
{
	for (const struct ast_piece *i = p->pieces; i; i = i->next)
		buf_printf(b, i->kind == AST_PIECE_VAR ? "${%s}" : "%s", i->text);
}

static void put_paths(struct buf *b, const struct ast_path *p)
{
	for (; p; p = p->next) {
		buf_putc(b, ' ');
		put_path(b, p);
	}
}

static void put_items(struct buf *b, const struct ast_item *i)
{
	buf_putc(b, '{');
	for (const struct ast_item *first = i; i; i = i->next) {
		buf_puts(b, i == first ? "" : ", ");
		if (i->str) {
			put_string(b, i->str);
			continue;
		}
		put_val(b, i->lo);
		if (i->hi) {
			buf_puts(b, "..");
			put_val(b, i->hi);
		}
	}
	buf_putc(b, '}');
}

static void put_term(struct buf *b, const struct ast_term *t)
{
	buf_puts(b, t->name);
	if (t->field)
		buf_printf(b, ".%s", t->field);
}

/* ---- conditions ---- */

static const char *cmp_text(enum ast_cmp cmp)
{
	static const char *const text[] = { "?", "==", "!=", "<", "<=", ">", ">=" };

	return text[cmp];
}

static void put_cond(struct buf *b, const struct ast_cond *c);

static void put_kids(struct buf *b, const struct ast_cond *c)
{
	for (const struct ast_cond *k = c->kids; k; k = k->next) {
		bool paren = k->kind == AST_COND_OR || (k->kind == AST_COND_AND && c->kind != AST_COND_OR);

		if (k != c->kids)
			buf_puts(b, c->kind == AST_COND_OR ? " or " : " and ");
		if (c->kind == AST_COND_NOT)
			buf_puts(b, "not ");
		buf_puts(b, paren ? "(" : "");
		put_cond(b, k);
		buf_puts(b, paren ? ")" : "");
	}
}

static void put_test(struct buf *b, const struct ast_cond *c, const char *op)
{
	put_term(b, c->term);
	buf_printf(b, " %s ", op);
	if (c->val)
		put_val(b, c->val);
	else if (c->items)
		put_items(b, c->items);
	else if (c->word)
		buf_puts(b, c->word->text);
	else if (c->path)
		put_path(b, c->path);
	else if (c->str)
		put_string(b, c->str->text);
}

static void put_cond(struct buf *b, const struct ast_cond *c)
{
	switch (c->kind) {
	case AST_COND_OR:
	case AST_COND_AND:
	case AST_COND_NOT:
		put_kids(b, c);
		break;
	case AST_COND_CMP:
		put_test(b, c, cmp_text(c->cmp));
		break;
	case AST_COND_MASK:
		put_term(b, c->term);
		buf_puts(b, " mask ");
		put_val(b, c->mask);
		buf_printf(b, " %s ", cmp_text(c->cmp));
		put_val(b, c->val);
		break;
	case AST_COND_IN:
		put_test(b, c, "in");
		break;
	case AST_COND_HAS:
		put_test(b, c, "has");
		break;
	case AST_COND_ANY:
		put_test(b, c, "any");
		break;
	case AST_COND_ONLY:
		put_test(b, c, "only");
		break;
	case AST_COND_IS:
		put_test(b, c, "is");
		break;
	case AST_COND_UNDER:
		put_test(b, c, "under");
		break;
	case AST_COND_MATCHES:
		put_test(b, c, "matches");
		break;
	case AST_COND_WITHIN:
		put_test(b, c, "within");
		break;
	}
}

/* ---- rules ---- */

void print_as(struct buf *b, const struct ast_val *as)
{
	if (!as)
		return;
	buf_puts(b, " as ");
	put_val(b, as);
}

static void put_limit(struct buf *b, const struct ast_limit *l)
{
	static const char *const over[] = { "?", "delay", "deny", "terminate" };
	const char *unit = l->per_ns > 3599 * 1000000000ull ? "/h" :
			   l->per_ns > 59 * 1000000000ull   ? "/min" :
			   l->per_ns			    ? "/s" :
							      "";

	buf_printf(b, " limit %llu%s over %s", (unsigned long long)l->count, unit, over[l->over]);
	print_as(b, l->as);
}

static void put_notes(struct buf *b, const struct ast_notes *n)
{
	if (n->because) {
		buf_puts(b, " because ");
		put_string(b, n->because->text);
	}
	buf_puts(b, n->audit ? " audit" : "");
	buf_puts(b, n->quiet ? " quiet" : "");
	if (n->tag) {
		buf_puts(b, " tag ");
		put_string(b, n->tag->text);
	}
	if (n->limit)
		put_limit(b, n->limit);
}

void print_targets(struct buf *b, const struct ast_target *t)
{
	for (const struct ast_target *first = t; t; t = t->next) {
		buf_printf(b, "%s%s%s", t == first ? " " : ", ", t->group ? "@" : "", t->name);
		if (!t->except)
			continue;
		buf_puts(b, " except {");
		for (const struct ast_target *x = t->except; x; x = x->next)
			buf_printf(b, "%s%s%s", x == t->except ? "" : ", ", x->group ? "@" : "", x->name);
		buf_putc(b, '}');
	}
}

static void put_set(struct buf *b, const struct ast_assign *a)
{
	static const char *const ops[] = { "?", "=", "|=", "&=", "clamp" };

	for (const struct ast_assign *first = a; a; a = a->next) {
		buf_puts(b, a == first ? " set " : ", ");
		put_term(b, a->term);
		buf_printf(b, " %s ", ops[a->op]);
		put_val(b, a->val);
	}
}

static void put_if(struct buf *b, const struct ast_cond *c)
{
	if (!c)
		return;
	buf_puts(b, " if ");
	put_cond(b, c);
}

static void put_block(struct buf *b, const struct ast_rule *r, const char *indent)
{
	buf_printf(b, "on %s {\n", r->targets->name);
	for (const struct ast_arm *a = r->arms; a; a = a->next) {
		buf_printf(b, "%s    ", indent);
		if (a->cond)
			put_cond(b, a->cond);
		else
			buf_puts(b, "else");
		buf_printf(b, " -> %s", ast_verdict_name(a->out.verdict));
		print_as(b, a->out.as);
		put_set(b, a->set);
		put_notes(b, &a->notes);
		buf_putc(b, '\n');
	}
	buf_printf(b, "%s  }\n", indent);
}

void print_rule(struct buf *b, const struct ast_rule *r, const char *indent)
{
	static const char *const modes[] = { "", "extend ", "replace " };

	buf_printf(b, "%s  %s", indent, modes[r->mode]);
	if (r->kind == AST_RULE_BLOCK) {
		put_block(b, r, indent);
		return;
	}
	buf_puts(b, r->kind == AST_RULE_NEVER ? "never" : ast_verdict_name(r->out.verdict));
	print_targets(b, r->targets);
	print_as(b, r->out.as);
	put_set(b, r->set);
	put_if(b, r->cond);
	if (r->other.verdict) {
		buf_printf(b, " else %s", ast_verdict_name(r->other.verdict));
		print_as(b, r->other.as);
	}
	put_notes(b, &r->notes);
	buf_putc(b, '\n');
}

/* ---- files, net, exec, tests ---- */

static void put_verbs(struct buf *b, uint32_t verbs)
{
	const char *sep = "";

	for (uint32_t v = AST_V_READ; v <= AST_V_CONNECT; v <<= 1) {
		if (!(verbs & v))
			continue;
		buf_printf(b, "%s%s", sep, ast_verb_name(v));
		sep = ",";
	}
}

void print_file(struct buf *b, const struct ast_file *f, const char *indent)
{
	static const char *const kinds[] = { "?", "", "deny", "hide", "nulled", "overlay", "scratch" };

	buf_printf(b, "%s  %s", indent, kinds[f->kind]);
	if (f->verbs) {
		buf_puts(b, f->kind == AST_FILE_DENY ? " " : "");
		put_verbs(b, f->verbs);
	}
	put_paths(b, f->paths);
	if (f->size) {
		buf_putc(b, ' ');
		put_val(b, f->size);
	}
	print_as(b, f->as);
	put_notes(b, &f->notes);
	buf_putc(b, '\n');
}

static void put_port(struct buf *b, const struct ast_port *p, char sep)
{
	if (p->kind == AST_PORT_NONE)
		return;
	buf_putc(b, sep);
	if (p->kind == AST_PORT_ANY)
		buf_putc(b, '*');
	else if (p->kind == AST_PORT_VAR)
		buf_printf(b, "${%s}", p->var);
	else
		buf_printf(b, "%u", p->num);
}

static void put_ip(struct buf *b, const struct ast_addr *a)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->ip, text, sizeof(text));
	buf_printf(b, a->family == 6 ? "[%s]" : "%s", text);
	if (a->prefix >= 0)
		buf_printf(b, "/%d", a->prefix);
}

static void put_addr(struct buf *b, const struct ast_addr *a)
{
	switch (a->kind) {
	case AST_ADDR_IP:
		put_ip(b, a);
		break;
	case AST_ADDR_ANY:
		buf_putc(b, '*');
		break;
	case AST_ADDR_HOST_VAR:
	case AST_ADDR_VAR:
		buf_printf(b, "${%s}", a->var);
		break;
	case AST_ADDR_PATH:
		put_path(b, a->path);
		break;
	case AST_ADDR_ABSTRACT:
		buf_printf(b, "@%s", a->text);
		break;
	}
	put_port(b, &a->port, ':');
	put_port(b, &a->port_hi, '-');
}

void print_net(struct buf *b, const struct ast_net *n, const char *indent)
{
	buf_printf(b, "%s  %s%s %s", indent, n->kind == AST_NET_DENY ? "deny " : "", ast_nverb_name(n->verb),
		   ast_proto_name(n->proto));
	for (const struct ast_addr *a = n->addrs; a; a = a->next) {
		buf_puts(b, a == n->addrs ? " " : ", ");
		put_addr(b, a);
	}
	print_as(b, n->as);
	put_notes(b, &n->notes);
	buf_putc(b, '\n');
}

static void put_argv(struct buf *b, const struct ast_argv *a, const char *before)
{
	buf_puts(b, before);
	if (a->kind == AST_ARGV_COUNT) {
		buf_printf(b, "argc %s ", cmp_text(a->cmp));
		put_val(b, a->count);
		return;
	}
	buf_puts(b, "argv[");
	put_val(b, a->index);
	buf_printf(b, "%s] %s", a->rest ? ".." : "", a->negated ? "not " : "");
	if (a->kind == AST_ARGV_IN) {
		buf_puts(b, "in ");
		put_items(b, a->items);
	} else {
		buf_puts(b, "matches ");
		put_string(b, a->pattern->text);
	}
}

void print_exec(struct buf *b, const struct ast_exec *x, const char *indent)
{
	buf_printf(b, "%s  %s", indent, x->kind == AST_EXEC_RUN ? "run" : "deny");
	put_paths(b, x->paths);
	for (const struct ast_argv *a = x->argv; a; a = a->next)
		put_argv(b, a, a == x->argv ? " " : " and ");
	if (x->as_program)
		buf_printf(b, " as %s", x->as_program->text);
	print_as(b, x->as);
	put_notes(b, &x->notes);
	buf_putc(b, '\n');
}

static void put_args(struct buf *b, const struct ast_arg *a)
{
	for (const struct ast_arg *first = a; a; a = a->next) {
		buf_puts(b, a == first ? "" : ", ");
		if (a->name)
			buf_printf(b, "%s = ", a->name);
		switch (a->kind) {
		case AST_ARG_ANY:
			buf_puts(b, "any");
			break;
		case AST_ARG_VAL:
			put_val(b, a->val);
			break;
		case AST_ARG_STRING:
			put_string(b, a->str);
			break;
		case AST_ARG_PATH:
			put_path(b, a->path);
			break;
		case AST_ARG_LIST:
			put_items(b, a->list);
			break;
		}
	}
}

static void put_in(struct buf *b, const struct ast_test *t)
{
	if (t->in)
		buf_printf(b, " in %s", t->in->text);
}

static void put_expect(struct buf *b, const struct ast_test *t)
{
	buf_printf(b, "expect %s", ast_verdict_name(t->out.verdict));
	print_as(b, t->out.as);
	buf_printf(b, " %s(", t->call->text);
	put_args(b, t->args);
	buf_putc(b, ')');
	if (t->enters)
		buf_printf(b, " as %s", t->enters->text);
	if (t->phase)
		buf_printf(b, " phase %s", t->phase->text);
	put_in(b, t);
	if (t->by_never)
		buf_puts(b, " by never");
	if (t->by) {
		buf_puts(b, " by ");
		put_string(b, t->by->text);
	}
}

void print_test(struct buf *b, const struct ast_test *t)
{
	buf_puts(b, "  ");
	switch (t->kind) {
	case AST_TEST_EXPECT:
		put_expect(b, t);
		break;
	case AST_TEST_NO_CALL:
		buf_printf(b, "prove no call %s", t->call->text);
		put_if(b, t->cond);
		put_in(b, t);
		break;
	case AST_TEST_NO_VERB:
		buf_printf(b, "prove no %s under ", ast_verb_name(t->verb));
		put_path(b, t->path);
		put_in(b, t);
		break;
	case AST_TEST_NO_NVERB:
		buf_printf(b, "prove no %s ", ast_nverb_name(t->nverb));
		put_string(b, t->str->text);
		put_in(b, t);
		break;
	case AST_TEST_WITHIN:
		buf_puts(b, "prove within ");
		put_string(b, t->str->text);
		break;
	}
	buf_putc(b, '\n');
}
