/* Prints a tree as policy text. What is printed parses to an equal tree, so printing it again gives the
 * same text: the round-trip tests and the fuzzer rely on that. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "parser/parser.h"
#include "parser/print.h"

/* ---- scalars ---- */

/* One code point of valid UTF-8 as a YAML escape; returns its length. */
static size_t put_code_point(struct buf *b, const char *s)
{
	size_t n = (unsigned char)*s < 0xe0 ? 2 : (unsigned char)*s < 0xf0 ? 3 : 4;
	uint32_t cp = (unsigned char)*s & (0x7f >> n);

	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return i;
		cp = cp << 6 | ((unsigned char)s[i] & 0x3f);
	}
	buf_printf(b, "\\U%08x", cp);
	return n;
}

/* A YAML scalar: plain when nothing in it could be mistaken. */
static void put_scalar(struct buf *b, const char *s)
{
	if (*s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-")] == '\0' &&
	    *s != '-' && strncmp(s, "...", 3)) {
		buf_puts(b, s);
		return;
	}
	buf_putc(b, '"');
	while (*s) {
		unsigned char c = *s;

		if (c >= 0x80) {
			s += put_code_point(b, s);
			continue;
		}
		if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\x%02x", c);
		else if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else
			buf_putc(b, c);
		s++;
	}
	buf_putc(b, '"');
}

static void put_duration(struct buf *b, uint64_t n)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	static const uint64_t factors[] = { 1, 1000, 1000000, 1000000000 };

	print_unit(b, n, units, factors, 4);
}

/* ---- keys ---- */

static void put_key_name(struct buf *b, const char *key, const struct ast_name *n, const char *indent)
{
	if (!n)
		return;
	buf_printf(b, "%s%s: ", indent, key);
	put_scalar(b, n->text);
	buf_putc(b, '\n');
}

static void put_outcome(struct buf *b, const char *key, const struct ast_outcome *o)
{
	if (!o->verdict)
		return;
	buf_printf(b, "%s: %s", key, ast_verdict_name(o->verdict));
	print_as(b, o->as);
	buf_putc(b, '\n');
}

static void put_quantity(struct buf *b, const char *key, const struct ast_quantity *q, const char *indent)
{
	if (!q->kind)
		return;
	buf_printf(b, "%s%s: ", indent, key);
	switch (q->kind) {
	case AST_QTY_SIZE:
		print_size(b, q->num);
		break;
	case AST_QTY_DURATION:
		put_duration(b, q->num);
		break;
	case AST_QTY_VAR:
		buf_printf(b, "${%s}", q->var);
		break;
	default:
		buf_printf(b, "%llu", (unsigned long long)q->num);
		break;
	}
	buf_putc(b, '\n');
}

static void put_limits(struct buf *b, const struct ast_limits *l, const char *indent)
{
	char in[16];

	if (!l->present)
		return;
	snprintf(in, sizeof(in), "%s  ", indent);
	if (!(l->memory.kind || l->cpu.kind || l->wall.kind || l->processes.kind || l->open_files.kind ||
	      l->output.kind || l->disk.kind)) {
		buf_printf(b, "%slimits: {}\n", indent);
		return;
	}
	buf_printf(b, "%slimits:\n", indent);
	put_quantity(b, "memory", &l->memory, in);
	put_quantity(b, "cpu", &l->cpu, in);
	put_quantity(b, "wall", &l->wall, in);
	put_quantity(b, "processes", &l->processes, in);
	put_quantity(b, "open_files", &l->open_files, in);
	put_quantity(b, "output", &l->output, in);
	put_quantity(b, "disk", &l->disk, in);
}

static void put_uname(struct buf *b, const struct ast_emulate *em, const char *in)
{
	char deeper[20];

	if (!em->has_uname)
		return;
	snprintf(deeper, sizeof(deeper), "%s  ", in);
	if (!(em->sysname || em->nodename || em->release || em->version || em->machine || em->domainname)) {
		buf_printf(b, "%suname: {}\n", in);
		return;
	}
	buf_printf(b, "%suname:\n", in);
	put_key_name(b, "sysname", em->sysname, deeper);
	put_key_name(b, "nodename", em->nodename, deeper);
	put_key_name(b, "release", em->release, deeper);
	put_key_name(b, "version", em->version, deeper);
	put_key_name(b, "machine", em->machine, deeper);
	put_key_name(b, "domainname", em->domainname, deeper);
}

static void put_clock(struct buf *b, const struct ast_emulate *em, const char *in)
{
	char text[40];
	time_t t = em->clock_sec;
	struct tm tm;

	if (!em->clock || !gmtime_r(&t, &tm))
		return;
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", (tm.tm_year + 1900) % 10000,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	buf_printf(b, "%sclock: %s %s\n", in, em->clock == AST_CLOCK_FROZEN ? "frozen" : "from", text);
}

static void put_ids(struct buf *b, const struct ast_emulate *em, const char *in)
{
	char deeper[20];

	if (!em->has_ids)
		return;
	snprintf(deeper, sizeof(deeper), "%s  ", in);
	buf_printf(b, "%sids:%s\n", in, em->uid.kind || em->gid.kind ? "" : " {}");
	put_quantity(b, "uid", &em->uid, deeper);
	put_quantity(b, "gid", &em->gid, deeper);
}

static void put_emulate(struct buf *b, const struct ast_emulate *em, const char *indent)
{
	char in[16];

	if (!em->present)
		return;
	snprintf(in, sizeof(in), "%s  ", indent);
	if (!(em->clock || em->has_random || em->has_uname || em->has_ids || em->cpus.kind)) {
		buf_printf(b, "%semulate: {}\n", indent);
		return;
	}
	buf_printf(b, "%semulate:\n", indent);
	put_clock(b, em, in);
	if (em->has_random)
		buf_printf(b, "%srandom: seed %llu\n", in, (unsigned long long)em->random_seed);
	put_uname(b, em, in);
	put_ids(b, em, in);
	put_quantity(b, "cpus", &em->cpus, in);
}

static void put_sections(struct buf *b, const struct ast_rule *rules, const struct ast_file *files,
			 const struct ast_net *net, const struct ast_exec *exec, const char *indent)
{
	if (files)
		buf_printf(b, "%sfiles: |\n", indent);
	for (; files; files = files->next)
		print_file(b, files, indent);
	if (net)
		buf_printf(b, "%snet: |\n", indent);
	for (; net; net = net->next)
		print_net(b, net, indent);
	if (exec)
		buf_printf(b, "%sexec: |\n", indent);
	for (; exec; exec = exec->next)
		print_exec(b, exec, indent);
	if (rules)
		buf_printf(b, "%srules: |\n", indent);
	for (; rules; rules = rules->next)
		print_rule(b, rules, indent);
}

static void put_drop(struct buf *b, const struct ast_phase *ph)
{
	bool any = ph->drop_calls || ph->drop_files || ph->drop_net;

	if (!ph->has_drop)
		return;
	buf_puts(b, any ? "    drop:\n" : "    drop: {}\n");
	if (ph->drop_calls) {
		buf_puts(b, "      calls:");
		print_targets(b, ph->drop_calls);
		buf_putc(b, '\n');
	}
	put_sections(b, NULL, ph->drop_files, ph->drop_net, NULL, "      ");
}

static void put_phases(struct buf *b, const struct ast_phase *ph)
{
	if (ph)
		buf_puts(b, "phases:\n");
	for (; ph; ph = ph->next) {
		buf_puts(b, "  - name: ");
		put_scalar(b, ph->name ? ph->name->text : "?");
		buf_putc(b, '\n');
		if (ph->after)
			buf_printf(b, "    after: first %s\n", ph->after->text);
		put_drop(b, ph);
	}
}

static void put_programs(struct buf *b, const struct ast_program *p)
{
	if (p)
		buf_puts(b, "programs:\n");
	for (; p; p = p->next) {
		bool any = p->rules || p->files || p->net || p->exec || p->emulate.present ||
			   p->limits.present;

		buf_puts(b, "  ");
		put_scalar(b, p->name->text);
		buf_puts(b, any ? ":\n" : ": {}\n");
		put_sections(b, p->rules, p->files, p->net, p->exec, "    ");
		put_emulate(b, &p->emulate, "    ");
		put_limits(b, &p->limits, "    ");
	}
}

static void put_vars(struct buf *b, const struct ast_var *v)
{
	if (v)
		buf_puts(b, "vars:\n");
	for (; v; v = v->next) {
		buf_puts(b, "  ");
		put_scalar(b, v->name);
		buf_printf(b, ":\n    type: %s\n", ast_var_type_name(v->type));
		put_key_name(b, "default", v->dflt, "    ");
	}
}

static void put_uses(struct buf *b, const struct ast_use *u)
{
	if (u)
		buf_puts(b, "use:\n");
	for (; u; u = u->next) {
		buf_puts(b, "  - ");
		put_scalar(b, u->name);
		buf_putc(b, '\n');
	}
}

void ast_print(const struct pol_ast *ast, struct buf *out)
{
	buf_printf(out, "sbx: %u\n", ast->version);
	put_key_name(out, "abi", ast->abi, "");
	put_key_name(out, "name", ast->name, "");
	put_key_name(out, "status", ast->status, "");
	put_uses(out, ast->uses);
	put_vars(out, ast->vars);
	put_outcome(out, "default", &ast->dflt);
	put_outcome(out, "unknown", &ast->unknown);
	put_sections(out, ast->rules, ast->files, ast->net, ast->exec, "");
	put_phases(out, ast->phases);
	put_programs(out, ast->programs);
	put_emulate(out, &ast->emulate, "");
	put_limits(out, &ast->limits, "");
	if (ast->tests)
		buf_puts(out, "tests: |\n");
	for (const struct ast_test *t = ast->tests; t; t = t->next)
		print_test(out, t);
}
