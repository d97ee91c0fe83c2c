/* The `programs` section. Each program's rules are compiled as a policy of their own, a layer; what a
 * process may do is what the policy and every section that it entered allow, a view. */
#include <errno.h>
#include <string.h>
#include "base/suggest.h"
#include "policy/resolve.h"

/* ---- names ---- */

unsigned layers_find(struct unit *u, const struct ast_name *name)
{
	struct suggest s;
	const char *near;
	struct diag *d;

	for (unsigned i = 1; i <= u->nr_programs; i++)
		if (!strcmp(u->layers[i].prog->name->text, name->text))
			return i;
	suggest_begin(&s, name->text);
	suggest_offer(&s, "self");
	for (unsigned i = 1; i <= u->nr_programs; i++)
		suggest_offer(&s, u->layers[i].prog->name->text);
	near = suggest_end(&s);
	d = diag_error(u->diags, name->span, "P034", "there is no program '%s'%s%s%s", name->text,
		       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	if (!near)
		diag_help(u->diags, d, "write its rules under programs: %s:, or \"as self\"",
			  name->text);
	return 0;
}

/* ---- what a section says by itself ---- */

/* A statement that allows: then the section lists all that is left. */
static bool grants_calls(const struct ast_rule *r)
{
	for (; r; r = r->next)
		if (r->kind == AST_RULE_SIMPLE && r->out.verdict == AST_ALLOW)
			return true;
	return false;
}

static uint32_t flags_of(const struct ast_program *p)
{
	uint32_t flags = 0;

	for (const struct ast_file *f = p->files; f; f = f->next)
		flags |= f->kind == AST_FILE_GRANT ? IMG_LAYER_FILES : 0;
	for (const struct ast_net *n = p->net; n; n = n->next)
		flags |= n->kind == AST_NET_GRANT ? IMG_LAYER_NET : 0;
	for (const struct ast_exec *x = p->exec; x; x = x->next)
		flags |= x->kind == AST_EXEC_RUN ? IMG_LAYER_EXEC : 0;
	return flags;
}

static bool empty(const struct ast_program *p)
{
	return !p->rules && !p->files && !p->net && !p->exec && !p->limits.present;
}

static void name_is_good(struct unit *u, const struct ast_program *p)
{
	const struct ast_name *n = p->name;

	if (!strcmp(n->text, "self"))
		diag_error(u->diags, n->span, "P034", "'self' is the policy itself");
	else if (!*n->text || n->text[strspn(n->text, "abcdefghijklmnopqrstuvwxyz0123456789_"
							"ABCDEFGHIJKLMNOPQRSTUVWXYZ")])
		diag_error(u->diags, n->span, "P034",
			   "a program's name has letters, digits and _ only");
	for (unsigned i = 1; i < u->nr_layers; i++) {
		const struct ast_name *o = u->layers[i].prog->name;

		if (strcmp(o->text, n->text) != 0)
			continue;
		diag_relate(u->diags,
			    diag_error(u->diags, n->span, "P034", "there are two programs '%s'",
				       n->text),
			    o->span, NULL);
	}
}

static void add_layer(struct unit *u, const struct pol_ast *file, const struct ast_program *p)
{
	struct layer *l = &u->layers[u->nr_layers];
	struct img_rule rule = {.line = p->name->span.line, .column = p->name->span.col};
	const struct source *src = source_get(&u->ctx->sources, p->name->span.file);

	name_is_good(u, p);
	if (u->nr_layers == IMG_MAX_LAYERS) {
		diag_error(u->diags, p->name->span, "P034", "there are more than %u programs",
			   IMG_MAX_LAYERS - 1);
		return;
	}
	u->nr_layers++;
	l->prog = p;
	l->used = !strcmp(p->name->text, "self"); /* which has been reported */
	l->ast = (struct pol_ast){.file = file->file,
				  .rules = p->rules,
				  .files = p->files,
				  .net = p->net,
				  .exec = p->exec};
	l->closed = grants_calls(p->rules);
	l->img.flags = flags_of(p);
	l->img.name = img_build_string(&u->build, p->name->text);
	rule.file = img_build_string(&u->build, src ? src->name : "");
	rule.text = img_build_string(&u->build,
				     arena_printf(&u->arena, "programs: %s", p->name->text));
	l->img.rule = img_build_rule(&u->build, &rule);
	rule.text = img_build_string(
	    &u->build, arena_printf(&u->arena, "programs: %s: not granted there", p->name->text));
	l->img.dflt = u->dflt;
	l->img.dflt.rule = img_build_rule(&u->build, &rule);
}

/* ---- phases ---- */

/* What is dropped is refused with the error of `default`. */
static struct ast_val *drop_error(struct unit *u, struct src_span at)
{
	struct ast_val *v = unit_new(u, struct ast_val);

	v->kind = AST_VAL_NUMBER;
	v->span = at;
	v->num = u->dflt.action == POL_DENY ? (uint64_t)u->dflt.value : EPERM;
	v->depth = 1;
	return v;
}

static bool only_grants(struct unit *u, bool grant, struct src_span at)
{
	if (!grant)
		diag_error(u->diags, at, "P020", "a phase drops grants: write what was granted");
	return grant;
}

static struct ast_file *dropped_files(struct unit *u, const struct ast_file *f)
{
	struct ast_file *all = NULL, **tail = &all;

	for (; f; f = f->next) {
		if (!only_grants(u, f->kind == AST_FILE_GRANT, f->span))
			continue;
		*tail = unit_new(u, struct ast_file);
		**tail = *f;
		(*tail)->kind = AST_FILE_DENY;
		(*tail)->as = drop_error(u, f->span);
		(*tail)->next = NULL;
		tail = &(*tail)->next;
	}
	return all;
}

static struct ast_net *dropped_net(struct unit *u, const struct ast_net *n)
{
	struct ast_net *all = NULL, **tail = &all;

	for (; n; n = n->next) {
		if (!only_grants(u, n->kind == AST_NET_GRANT, n->span))
			continue;
		*tail = unit_new(u, struct ast_net);
		**tail = *n;
		(*tail)->kind = AST_NET_DENY;
		(*tail)->as = drop_error(u, n->span);
		(*tail)->next = NULL;
		tail = &(*tail)->next;
	}
	return all;
}

static struct ast_rule *dropped_calls(struct unit *u, const struct ast_phase *p)
{
	struct ast_rule *r;

	if (!p->drop_calls)
		return NULL;
	r = unit_new(u, struct ast_rule);
	r->kind = AST_RULE_SIMPLE;
	r->span = p->drop_calls->span;
	r->targets = p->drop_calls;
	r->out = (struct ast_outcome){AST_DENY, drop_error(u, p->drop_span), p->drop_span};
	return r;
}

/* The call after which a phase begins. */
static uint32_t trigger(struct unit *u, const struct ast_phase *p)
{
	const struct sys_desc *d = sysdesc_by_name(p->after->text);
	struct ast_target target = {.span = p->after->span, .name = p->after->text};
	bool in[IMG_CALLS];

	if (!d) {
		resolve_target(u, &target, in); /* reports it */
		return 0;
	}
	if (d->disposition == SYS_NOSYS)
		diag_error(u->diags, p->after->span, "P020", "'%s' never succeeds in a sandbox", d->name);
	return d->nr;
}

static void add_phase(struct unit *u, const struct pol_ast *file, const struct ast_phase *p)
{
	struct layer *l = &u->layers[u->nr_layers];

	if (!p->name || !p->after)
		return; /* reported */
	for (unsigned i = u->nr_programs + 1; i < u->nr_layers; i++)
		if (!strcmp(u->layers[i].phase->name->text, p->name->text))
			diag_error(u->diags, p->name->span, "P034", "there are two phases '%s'",
				   p->name->text);
	if (u->nr_layers == IMG_MAX_LAYERS) {
		diag_error(u->diags, p->name->span, "P034",
			   "there are more than %u programs and phases", IMG_MAX_LAYERS - 1);
		return;
	}
	u->nr_layers++;
	l->phase = p;
	l->phase_call = trigger(u, p);
	l->ast = (struct pol_ast){.file = file->file,
				  .rules = dropped_calls(u, p),
				  .files = dropped_files(u, p->drop_files),
				  .net = dropped_net(u, p->drop_net)};
	l->img.name = img_build_string(&u->build, p->name->text);
	l->img.rule = u->dflt.rule;
	l->img.dflt = u->dflt;
}

void layers_init(struct unit *u)
{
	struct layer *own = &u->layers[0];

	own->img.flags = IMG_LAYER_FILES | IMG_LAYER_NET;
	own->img.dflt = u->dflt;
	own->img.rule = u->dflt.rule;
	own->used = own->closed = true;
	for (unsigned i = 0; i < u->nr_files; i++)
		if (u->files[i]->exec)
			own->img.flags |= IMG_LAYER_EXEC;
	u->nr_layers = 1;
	for (unsigned i = 0; i < u->nr_files; i++)
		for (const struct ast_program *p = u->files[i]->programs; p; p = p->next)
			add_layer(u, u->files[i], p);
	u->nr_programs = u->nr_layers - 1;
	for (unsigned i = 0; i < u->nr_files; i++)
		for (const struct ast_phase *p = u->files[i]->phases; p; p = p->next)
			add_phase(u, u->files[i], p);
}

void layers_select(struct unit *u, unsigned layer)
{
	u->layer = layer;
	u->files[0] = &u->layers[layer].ast;
	u->nr_files = 1;
	u->dflt = u->layers[layer].img.dflt;
}

void layers_collect(struct unit *u, unsigned layer, struct rcall calls[IMG_CALLS])
{
	const struct pol_ast *files[SOURCE_MAX_FILES];
	const struct img_verdict dflt = u->dflt;
	unsigned n = u->nr_files;

	memcpy(files, u->files, sizeof(files));
	if (layer)
		layers_select(u, layer);
	rules_collect(u, calls);
	memcpy(u->files, files, sizeof(files));
	u->nr_files = n;
	u->dflt = dflt;
	u->layer = 0;
}

/* ---- limits of a program ---- */

static void narrower(struct unit *u, const struct ast_quantity *q, uint64_t own, uint64_t v,
		     const char *what)
{
	if (own && v > own)
		diag_warn(u->diags, q->span, "P036",
			  "the policy's own %s is less: this changes nothing", what);
}

static void add_limits(struct unit *u, struct layer *l)
{
	const struct ast_limits *a = &l->prog->limits;
	const struct img_config *c = &u->build.head.cfg;

	if (l->prog->emulate.present)
		resolve_unenforced(u, l->prog->emulate.span, "emulate of a program");
	if (!a->present)
		return;
	resolve_limit(u, &a->memory, "memory limit", &l->img.memory);
	resolve_limit(u, &a->cpu, "cpu limit", &l->img.cpu_ns);
	resolve_limit(u, &a->wall, "wall limit", &l->img.wall_ns);
	resolve_limit(u, &a->processes, "limit of processes", &l->img.processes);
	resolve_limit(u, &a->open_files, "limit of open files", &l->img.open_files);
	narrower(u, &a->memory, c->memory, l->img.memory, "memory limit");
	narrower(u, &a->cpu, c->cpu_ns, l->img.cpu_ns, "cpu limit");
	narrower(u, &a->wall, c->wall_ns, l->img.wall_ns, "wall limit");
	narrower(u, &a->processes, c->processes, l->img.processes, "limit of processes");
	narrower(u, &a->open_files, c->open_files, l->img.open_files, "limit of open files");
	if (a->output.kind != AST_QTY_NONE)
		resolve_unenforced(u, a->output.span, "limits: output of a program");
	if (a->disk.kind != AST_QTY_NONE)
		resolve_unenforced(u, a->disk.span, "limits: disk");
}

/* ---- calls ---- */

/* A call that a section allows by name and the policy never does. */
static void check_widening(struct unit *u, const struct rcall *call, const struct rcall *own)
{
	const struct rchain *k = own->named ? own->named : own->group;
	const struct img_verdict *v = k ? NULL : codegen_fallback(u, &u->layers[0], own);

	if (own->never && !own->never->cond)
		v = &own->never->v;
	else if (k && !k->outs->cond)
		v = &k->outs->v;
	if (!v || v->action == POL_ALLOW)
		return;
	for (k = call->named; k; k = k->next) {
		if (k->outs->v.action != POL_ALLOW || k->outs->via)
			continue;
		diag_help(u->diags,
			  diag_error(u->diags, k->outs->span, "P036",
				     "the policy itself never allows '%s'", call->d->name),
			  "a program can only have less than the policy: allow it there first");
	}
}

static void compile_calls(struct unit *u, struct layer *l)
{
	l->calls = arena_alloc(&u->arena, IMG_CALLS * sizeof(*l->calls));
	if (!l->calls) {
		u->oom = true;
		return;
	}
	rules_collect(u, l->calls);
	for (unsigned nr = 0; nr < IMG_CALLS && !u->oom; nr++) {
		if (!l->calls[nr].d)
			continue;
		rules_check(u, &l->calls[nr]);
		if (l->prog)
			check_widening(u, &l->calls[nr], &u->layers[0].calls[nr]);
	}
}

/* ---- views ---- */

/* Could section m let a program start that e starts? */
static bool lets_start(const struct layer *m, const struct rexec *e)
{
	if (!(m->img.flags & IMG_LAYER_EXEC))
		return true;
	for (size_t i = 0; i < m->nr_execs; i++)
		if (m->execs[i].v.action == POL_ALLOW &&
		    pattern_relate(&m->execs[i].pat, &e->pat, NULL) != PATTERN_DISJOINT)
			return true;
	return false;
}

/* Could a process that entered these layers start something by e? */
static bool possible(const struct unit *u, uint32_t set, unsigned layer, const struct rexec *e)
{
	for (unsigned i = 0; i <= u->nr_programs; i++)
		if ((set >> i & 1) && i != layer && !lets_start(&u->layers[i], e))
			return false;
	return true;
}

struct views {
	uint32_t set[IMG_MAX_VIEWS];
	unsigned n;
	bool full;
};

static void add_view(struct views *w, uint32_t set)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->set[i] == set)
			return;
	if (w->n == IMG_MAX_VIEWS)
		w->full = true;
	else
		w->set[w->n++] = set;
}

/* Every set of sections that some process can have entered. */
static void find_views(struct unit *u, struct views *w)
{
	add_view(w, 1);
	for (unsigned i = 1; i <= u->nr_programs; i++)
		add_view(w, 1u | 1u << i);
	for (unsigned i = 0; i < w->n; i++) {
		for (unsigned k = 0; k < u->nr_layers; k++) {
			const struct layer *l = &u->layers[k];

			for (size_t x = 0; (w->set[i] >> k & 1) && x < l->nr_execs; x++)
				if (l->execs[x].enters && possible(u, w->set[i], k, &l->execs[x]))
					add_view(w, w->set[i] | 1u << l->execs[x].enters);
		}
	}
	for (unsigned sets = w->n, i = u->nr_programs + 1; i < u->nr_layers && !w->full; i++)
		for (unsigned k = 0, from = w->n - sets; k < sets; k++)
			add_view(w, w->set[from + k] | 1u << i);
	if (w->full)
		diag_help(u->diags,
			  diag_error(u->diags, u->main->programs_span, "P034",
				     "the programs can enter each other in more than %u ways",
				     IMG_MAX_VIEWS),
			  "say in each program's exec: what it may start");
}

static void warn_of_unused(struct unit *u)
{
	for (unsigned i = 1; i <= u->nr_programs; i++) {
		if (!u->layers[i].used)
			diag_warn(u->diags, u->layers[i].prog->name->span, "P035",
				  "nothing runs as '%s'", u->layers[i].prog->name->text);
		else if (empty(u->layers[i].prog))
			diag_warn(u->diags, u->layers[i].prog->name->span, "P035",
				  "'%s' has no rules of its own: it is the same as 'self'",
				  u->layers[i].prog->name->text);
	}
	for (unsigned i = u->nr_programs + 1; i < u->nr_layers; i++) {
		const struct layer *l = &u->layers[i];

		if (!l->ast.rules && !l->ast.files && !l->ast.net)
			diag_warn(u->diags, l->phase->name->span, "P035",
				  "the phase '%s' drops nothing", l->phase->name->text);
	}
}

void layers_compile(struct unit *u)
{
	struct views w = {.n = 0};

	for (unsigned i = 0; i < u->nr_layers && !u->oom; i++) {
		struct layer *l = &u->layers[i];

		if (i)
			layers_select(u, i);
		compile_calls(u, l);
		files_compile(u, &l->img.paths);
		exec_compile(u, &l->img.execs);
		net_compile(u, &l->img.nets);
		if (l->prog)
			add_limits(u, l);
	}
	if (u->oom)
		return;
	warn_of_unused(u);
	find_views(u, &w);
	for (unsigned i = 0; i < u->nr_layers; i++)
		img_build_layer(&u->build, &u->layers[i].img);
	for (unsigned i = u->nr_programs + 1; i < u->nr_layers; i++) {
		struct img_phase p = {u->layers[i].img.name, u->layers[i].phase_call};

		img_build_phase(&u->build, &p);
	}
	u->dflt = u->layers[0].img.dflt;
	for (unsigned i = 0; i < w.n && !u->build.failed; i++) {
		img_build_view(&u->build, w.set[i]);
		codegen_view(u, w.set[i]);
	}
}
