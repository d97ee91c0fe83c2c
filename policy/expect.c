/* A call with arguments that are partly unknown, through both gates. */
#include "policy/expect.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/overflow.h"
#include "parser/parser.h"
#include "policy/image_format.h"

/* ---- the call gate, both ways where an answer is not known ---- */

struct walk {
	const struct pol_image *img;
	const struct sys_desc *d;
	const struct expect_arg *arg;
	uint32_t view;
	uint8_t *seen; /* by instruction; owned */
	struct expect_result *out;
	size_t n;
};

static void add_result(struct walk *w, const struct pol_verdict *v)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->out[i].v.action == v->action && w->out[i].v.value == v->value &&
		    w->out[i].v.rule == v->rule)
			return;
	if (w->n < EXPECT_MAX_RESULTS)
		w->out[w->n++] = (struct expect_result){.v = *v, .view = w->view};
}

static bool arg_known(const struct walk *w, const struct img_insn *in)
{
	const struct expect_arg *a = &w->arg[in->arg];

	if (in->op == IMG_PATH)
		return a->text != NULL;
	return in->op == IMG_ARG && a->known;
}

/* The outcome of a test whose argument is known. */
static bool test_known(struct walk *w, const struct img_insn *in)
{
	const struct expect_arg *a = &w->arg[in->arg];

	if (in->op == IMG_PATH)
		return img_test_pattern(w->img,
					IMG_AT(w->img, patterns, struct img_pattern) + in->a,
					a->text, strlen(a->text));
	return img_test_value(w->img, in, a->value);
}

/* Instructions are visited in order; jumps go forward, so one pass reaches everything. */
static void walk_program(struct walk *w, uint32_t start)
{
	const struct img_insn *insns = IMG_AT(w->img, insns, struct img_insn);
	const struct img_verdict *verdicts = IMG_AT(w->img, verdicts, struct img_verdict);

	w->seen[start] = 1;
	for (uint32_t pc = start; pc < w->img->insns.count; pc++) {
		const struct img_insn *in = &insns[pc];
		bool both, yes;

		if (!w->seen[pc])
			continue;
		if (in->op == IMG_RET) {
			const struct img_verdict *v = &verdicts[in->a];
			struct pol_verdict pv = {v->action, v->flags, v->gate,
						 0,	    v->value, v->rule};

			add_result(w, &pv);
			continue;
		}
		both = !arg_known(w, in);
		yes = !both && test_known(w, in);
		if (both || yes)
			w->seen[pc + 1 + in->jt] = 1;
		if (both || !yes)
			w->seen[pc + 1 + in->jf] = 1;
	}
}

/* ---- the object gates ---- */

static uint32_t open_verbs(uint64_t flags)
{
	uint32_t v = 0;

	if (flags & O_PATH)
		return POL_V_STAT;
	if ((flags & O_ACCMODE) != O_WRONLY)
		v |= flags & O_DIRECTORY ? POL_V_LIST : POL_V_READ;
	if ((flags & O_ACCMODE) != O_RDONLY)
		v |= flags & O_APPEND && !(flags & O_TRUNC) ? POL_V_APPEND : POL_V_WRITE;
	if (flags & O_TRUNC)
		v |= POL_V_WRITE;
	if (flags & O_CREAT)
		v |= POL_V_CREATE;
	return v;
}

uint32_t expect_role_verbs(unsigned role, uint64_t flags)
{
	switch (role) {
	case PATH_open:
		return open_verbs(flags);
	case PATH_access:
		return POL_V_STAT | (flags & R_OK ? POL_V_READ : 0) |
		       (flags & W_OK ? POL_V_WRITE : 0) | (flags & X_OK ? POL_V_EXEC : 0);
	case PATH_exec:
		return POL_V_EXEC;
	case PATH_mkdir:
	case PATH_mknod:
	case PATH_symlink:
	case PATH_link_to:
	case PATH_rename_to:
		return POL_V_CREATE;
	case PATH_unlink:
	case PATH_rmdir:
	case PATH_rename_from:
		return POL_V_DELETE;
	case PATH_link_from:
		return POL_V_LINK;
	case PATH_setattr:
	case PATH_lsetattr:
		return POL_V_WRITE;
	default:
		return POL_V_STAT;
	}
}

/* Flags of open and mode of access, whichever the call has. */
static uint64_t role_flags(const struct sys_desc *d, const struct expect_arg *arg, unsigned role)
{
	int i = sysdesc_arg(d, role == PATH_access ? "mode" : "flags");

	if (!strcmp(d->name, "creat"))
		return O_CREAT | O_WRONLY | O_TRUNC;
	return i >= 0 && arg[i].known ? arg[i].value : 0;
}

static bool clean_path(const char *p)
{
	if (*p != '/')
		return false;
	if (!p[1])
		return true;
	for (; *p; p++) {
		if (*p != '/')
			continue;
		if (!p[1] || p[1] == '/' || (p[1] == '.' && (!p[2] || p[2] == '/')) ||
		    (p[1] == '.' && p[2] == '.' && (!p[3] || p[3] == '/')))
			return false;
	}
	return true;
}

bool expect_addr(const char *text, struct pol_addr *a)
{
	static const char *const protos[] = {"tcp ", "udp ", "unix "};
	const char *colon;
	size_t len, i;
	uint64_t port;
	int prefix;

	memset(a, 0, sizeof(*a));
	for (i = 0; i < ARRAY_SIZE(protos); i++)
		if (!strncmp(text, protos[i], strlen(protos[i])))
			break;
	if (i == ARRAY_SIZE(protos))
		return false;
	a->proto = (uint8_t)(POL_PROTO_TCP + i);
	text += strlen(protos[i]);
	while (*text == ' ')
		text++;
	if (a->proto == POL_PROTO_UNIX) {
		a->path = text;
		a->path_len = strlen(text);
		return *text == '@' || clean_path(text);
	}
	colon = strrchr(text, ':');
	if (!colon || !parser_number(colon + 1, strlen(colon + 1), &port) || port > UINT16_MAX)
		return false;
	a->port = (uint16_t)port;
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	return parser_ip(text, len, &a->family, a->ip, &prefix) && prefix < 0;
}

/* Does it depend on the arguments whether the layer lets the program start? */
static bool conditional(const struct pol_image *img, const struct img_layer *l,
			const struct pol_program *prog)
{
	const struct img_exec *e = IMG_AT(img, execs, struct img_exec) + l->execs.at, *first = NULL;
	bool all = true;

	for (uint32_t i = 0; i < l->execs.n; i++, e++) {
		if (first ? e->group != first->group
			  : !img_test_pattern(img, &e->pat, prog->path, prog->len))
			continue;
		if (!first)
			first = e;
		all = all && e->argv_n;
	}
	return first && all;
}

static void judge_program(struct walk *w, uint32_t view, const char *path, struct pol_verdict *v,
			  uint32_t *next)
{
	const struct img_layer *l = IMG_AT(w->img, layers, struct img_layer);
	struct pol_program prog = {.path = path, .len = strlen(path)};

	for (unsigned i = 0; i < w->d->nargs; i++) {
		if (!w->arg[i].list)
			continue;
		prog.argv = w->arg[i].list;
		prog.argc = w->arg[i].nr_list;
	}
	pol_eval_exec(w->img, view, &prog, v, next);
	for (unsigned i = 0; i < w->img->layers.count && v->action == POL_ALLOW && !prog.argv; i++) {
		struct pol_verdict no = {l[i].dflt.action, l[i].dflt.flags, POL_GATE_EXEC,
					 0,		   l[i].dflt.value, l[i].dflt.rule};

		if ((pol_view_layers(w->img, view) >> i & 1) && conditional(w->img, &l[i], &prog))
			add_result(w, &no);
	}
}

/* Judges the objects that text names. The first refusal replaces the call gate's allow. */
static bool judge_objects(struct walk *w, uint32_t view, struct expect_result *r, const char **why)
{
	for (unsigned i = 0; i < w->d->nargs && r->v.action == POL_ALLOW; i++) {
		const struct sys_arg *sa = &w->d->arg[i];
		const char *text = w->arg[i].text;
		struct pol_addr addr;
		struct pol_verdict v;

		if (!text)
			continue;
		if (sa->kind == ARG_PATH) {
			uint32_t verbs =
			    expect_role_verbs(sa->role, role_flags(w->d, w->arg, sa->role));

			if (!clean_path(text)) {
				*why =
				    "a path in a test is absolute, without \".\", \"..\" or \"//\"";
				return false;
			}
			if (verbs & POL_V_APPEND &&
			    pol_path_verbs(w->img, view, text, strlen(text)) & POL_V_WRITE)
				verbs = (verbs & ~(uint32_t)POL_V_APPEND) | POL_V_WRITE;
			pol_eval_path(w->img, view, verbs, text, strlen(text), &v);
			r->verbs = verbs;
			if (sa->role == PATH_exec && v.action == POL_ALLOW)
				judge_program(w, view, text, &v, &r->view);
		} else if (sa->role) {
			if (!expect_addr(text, &addr)) {
				*why = "an address in a test is like \"tcp 10.0.0.5:22\" or \"unix "
				       "/run/x\"";
				return false;
			}
			pol_eval_net(w->img, view, sa->role, &addr, &v);
		} else {
			continue;
		}
		if (v.action != POL_ALLOW)
			r->v = v;
	}
	return true;
}

size_t expect_judge(const struct pol_image *img, uint32_t view, const struct sys_desc *d,
		    const struct expect_arg arg[SYS_MAX_ARGS], struct expect_result *out,
		    const char **why)
{
	struct walk w = {.img = img, .d = d, .arg = arg, .view = view, .out = out};
	const struct img_verdict *e = IMG_AT(img, calls, struct img_verdict) + d->nr;
	bool ok = true;

	*why = NULL;
	view = MIN(view, img->views.count - 1);
	e += (size_t)view * IMG_CALLS;
	if (e->action == IMG_PROGRAM) {
		w.seen = calloc(img->insns.count, 1);
		if (w.seen)
			walk_program(&w, (uint32_t)e->value);
		free(w.seen);
	} else {
		struct pol_verdict v = {e->action, e->flags, e->gate, 0, e->value, e->rule};

		add_result(&w, &v);
	}
	for (size_t i = 0; i < w.n && ok; i++)
		if (out[i].v.action == POL_ALLOW)
			ok = judge_objects(&w, view, &out[i], why);
	return ok ? w.n : 0;
}
