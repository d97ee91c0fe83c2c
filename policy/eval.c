/* The one evaluator. Freestanding: general registers, no library, no writable data. It trusts what
 * pol_image_verify has checked and nothing else. */
#include "policy/eval.h"
#include "base/hot.h"
#include "policy/image_format.h"

static void give(struct pol_verdict *v, const struct img_verdict *from)
{
	__builtin_memcpy(v, from, 4); /* action, flags, gate, pad: the same in both */
	v->value = from->value;
	v->rule = from->rule;
}

_Static_assert(offsetof(struct pol_verdict, pad) == 3 && offsetof(struct img_verdict, pad) == 3 &&
		   offsetof(struct pol_verdict, flags) == 1 &&
		   offsetof(struct img_verdict, flags) == 1 &&
		   offsetof(struct pol_verdict, gate) == 2 &&
		   offsetof(struct img_verdict, gate) == 2,
	       "the first four bytes of a verdict");

static uint64_t convert(uint64_t reg, unsigned conv)
{
	if (conv == IMG_U64)
		return reg;
	return conv == IMG_S32 ? (uint64_t)(int64_t)(int32_t)reg : (uint32_t)reg;
}

static bool in_ranges(const struct img_range *r, uint32_t n, uint64_t v)
{
	while (n) {
		uint32_t mid = n / 2;

		if (v < r[mid].lo) {
			n = mid;
		} else if (v > r[mid].hi) {
			r += mid + 1;
			n -= mid + 1;
		} else {
			return true;
		}
	}
	return false;
}

bool img_test_value(const struct pol_image *img, const struct img_insn *in, uint64_t v)
{
	bool r;

	v = convert(v, in->conv) & in->mask;
	switch (in->cmp) {
	case IMG_EQ:
		r = v == in->imm;
		break;
	case IMG_ULT:
		r = v < in->imm;
		break;
	case IMG_ULE:
		r = v <= in->imm;
		break;
	case IMG_SLT:
		r = (int64_t)v < (int64_t)in->imm;
		break;
	case IMG_SLE:
		r = (int64_t)v <= (int64_t)in->imm;
		break;
	default:
		r = in_ranges(IMG_AT(img, ranges, struct img_range) + in->a, in->b, v);
		break;
	}
	return r != in->invert;
}

/* ---- path patterns ---- */

/* Where matching goes on when the bytes after a token did not match. */
struct retry {
	uint32_t p, s;
	bool set;
};

/* Moves a retry point forward: one byte, for IMG_GLOBDIR one component. False at the end. */
static bool advance(struct retry *r, uint8_t token, const char *path, uint32_t len)
{
	if (token == IMG_GLOBDIR) {
		while (r->s < len && path[r->s] != '/')
			r->s++;
	} else if (token == IMG_STAR && r->s < len && path[r->s] == '/') {
		return false;
	}
	if (r->s >= len)
		return false;
	r->s++;
	return true;
}

/* Tokens absorb as little as they can; on a mismatch the last star grows, or else the last
 * globstar. Going further back is never needed: the later token could absorb whatever an earlier
 * one would. */
static bool match_tokens(const struct img_pattern *pat, const char *t, const char *path,
			 uint32_t len)
{
	struct retry star = {0, 0, false}, glob = {0, 0, false};
	uint32_t p = 0, s = 0;

	for (;;) {
		if (p == pat->len) {
			if (s == len || (pat->tail && path[s] == '/'))
				return true;
		} else if (t[p] == 0) {
			struct retry *r = t[p + 1] == IMG_STAR ? &star : &glob;

			if (r == &glob)
				star.set = false;
			p += 2;
			r->p = p;
			r->s = s;
			r->set = true;
			continue;
		} else if (s < len && t[p] == path[s]) {
			p++;
			s++;
			continue;
		}
		if (star.set && advance(&star, IMG_STAR, path, len)) {
			p = star.p;
			s = star.s;
		} else if (glob.set && advance(&glob, (uint8_t)t[glob.p - 1], path, len)) {
			star.set = false;
			p = glob.p;
			s = glob.s;
		} else {
			return false;
		}
	}
}

bool img_test_text(const struct pol_image *img, const struct img_pattern *pat, const char *path,
		   size_t size)
{
	const char *t = IMG_AT(img, strings, char) + pat->str;
	uint32_t len = (uint32_t)size;

	if (size > INT32_MAX || len < pat->literal)
		return false;
	for (uint32_t i = 0; i < pat->literal; i++)
		if (t[i] != path[i])
			return false;
	if (pat->literal == pat->len)
		return len == pat->len || (pat->tail && path[pat->len] == '/');
	return match_tokens(pat, t, path, len);
}

bool img_test_pattern(const struct pol_image *img, const struct img_pattern *pat, const char *path,
		      size_t size)
{
	if (size == 1 && pat->len > 1) /* only "/" itself and what covers all match the root */
		return false;
	return img_test_text(img, pat, path, size);
}

/* ---- the call gate ---- */

enum test { TEST_FALSE, TEST_TRUE, TEST_UNDECIDED };

static enum test test_env(const struct pol_image *img, const struct img_insn *in,
			  const struct pol_env *env)
{
	const struct img_pattern *pat;
	const char *path;
	size_t len = 0;
	uint64_t v = 0;

	switch (in->op) {
	case IMG_FIELD:
		if (!env || !env->field)
			return TEST_UNDECIDED;
		if (!env->field(env->arg, in->arg, in->field, &v))
			return TEST_FALSE;
		return img_test_value(img, in, v) ? TEST_TRUE : TEST_FALSE;
	case IMG_FDKIND:
		if (!env || !env->fdkind)
			return TEST_UNDECIDED;
		v = env->fdkind(env->arg, in->arg);
		return v < POL_FD_MAX && (in->imm >> v & 1) ? TEST_TRUE : TEST_FALSE;
	default:
		if (!env || !env->path)
			return TEST_UNDECIDED;
		pat = IMG_AT(img, patterns, struct img_pattern) + in->a;
		path = env->path(env->arg, in->arg, &len);
		return path && img_test_pattern(img, pat, path, len) ? TEST_TRUE : TEST_FALSE;
	}
}

static __attribute__((noinline)) const struct img_verdict *run(const struct pol_image *img,
							       uint32_t pc,
							       const struct pol_call *call,
							       const struct pol_env *env)
{
	const struct img_insn *insns = IMG_AT(img, insns, struct img_insn);

	for (;;) {
		const struct img_insn *in = &insns[pc];
		enum test t;

		if (in->op == IMG_RET)
			return IMG_AT(img, verdicts, struct img_verdict) + in->a;
		if (in->op == IMG_ARG)
			t = img_test_value(img, in, call->arg[in->arg]) ? TEST_TRUE : TEST_FALSE;
		else
			t = test_env(img, in, env);
		if (t == TEST_UNDECIDED)
			return NULL;
		pc += 1 + (t == TEST_TRUE ? in->jt : in->jf);
	}
}

/* One that the image lacks gets the last. */
static uint32_t clamp_view(const struct pol_image *img, uint32_t view)
{
	return view < img->views.count ? view : img->views.count - 1;
}

const struct img_verdict *pol_eval_table(const struct pol_image *img, uint32_t view)
{
	return IMG_AT(img, calls, struct img_verdict) + clamp_view(img, view) * IMG_CALLS;
}

uint32_t pol_view_layers(const struct pol_image *img, uint32_t view)
{
	return IMG_AT(img, views, struct img_view)[clamp_view(img, view)].layers;
}

bool pol_view_within(const struct pol_image *img, uint32_t b, uint32_t a)
{
	return !(pol_view_layers(img, a) & ~pol_view_layers(img, b));
}

/* Does the table have an entry for call nr? */
static inline bool in_table(uint64_t nr)
{
	return __builtin_expect(nr < IMG_CALLS, 1);
}

/* Is an entry a verdict by itself, or does a program decide? */
static inline bool plain_verdict(const struct img_verdict *v)
{
	return v->action != IMG_PROGRAM;
}

/* The verdict, however it is found; NULL: not decided. */
static const struct img_verdict *find_verdict(const struct pol_image *img,
					      const struct img_verdict *table,
					      const struct pol_call *call,
					      const struct pol_env *env)
{
	const struct img_verdict *e;

	if (!in_table(call->nr))
		return &img->unknown;
	e = table + call->nr;
	return plain_verdict(e) ? e : run(img, (uint32_t)e->value, call, env);
}

hot_path bool pol_eval_call(const struct pol_image *img, uint32_t view, const struct pol_call *call,
		   const struct pol_env *env, struct pol_verdict *v)
{
	const struct img_verdict *e = find_verdict(img, pol_eval_table(img, view), call, env);

	if (e)
		give(v, e);
	return e != NULL;
}

unsigned pol_tier0_const(const struct pol_image *img, uint32_t nr)
{
	return nr < IMG_CALLS ? IMG_AT(img, tier0, uint8_t)[nr] : 0;
}

/* ---- the object gates ---- */

static const struct img_layer *layer_at(const struct pol_image *img, unsigned layer)
{
	return IMG_AT(img, layers, struct img_layer) + layer;
}

static void give_allow(uint8_t gate, uint8_t flags, uint32_t rule, struct pol_verdict *v)
{
	v->action = POL_ALLOW;
	v->flags = flags;
	v->gate = gate;
	v->pad = 0;
	v->value = 0;
	v->rule = rule;
}

/* What the layer says of an object that none of its entries covers. */
static void give_default(const struct img_layer *l, uint32_t table, uint8_t gate,
			 struct pol_verdict *v)
{
	if (!(l->flags & table)) {
		give_allow(gate, 0, l->dflt.rule, v);
		return;
	}
	give(v, &l->dflt);
	v->gate = gate;
}

/* The layers of a view one after the other: the first is the policy itself. */
struct layers {
	uint32_t left;
	unsigned at;
};

static struct layers first_layer(const struct pol_image *img, uint32_t view)
{
	struct layers l = {pol_view_layers(img, view) >> 1, 0};

	return l;
}

static bool next_layer(struct layers *l)
{
	while (l->left) {
		bool in = l->left & 1;

		l->left >>= 1;
		l->at++;
		if (in)
			return true;
	}
	return false;
}

static void narrow(struct pol_verdict *v, const struct pol_verdict *by)
{
	if (img_stricter(v->action, v->flags, by->action, by->flags))
		__builtin_memcpy(v, by, sizeof(*v));
}

/* ---- programs ---- */

static bool matches_one(const struct pol_image *img, const struct img_argv *c, const char *arg)
{
	const struct img_pattern *p = IMG_AT(img, patterns, struct img_pattern) + c->at;
	size_t len = 0;

	while (arg[len])
		len++;
	for (uint32_t i = 0; i < c->n; i++)
		if (img_test_text(img, &p[i], arg, len))
			return true;
	return false;
}

bool img_test_argv(const struct pol_image *img, const struct img_argv *c,
		   const struct pol_program *prog)
{
	bool not = c->flags & IMG_ARGV_NOT;
	uint32_t end = prog->argc;

	if (c->kind == IMG_ARGV_COUNT)
		return in_ranges(IMG_AT(img, ranges, struct img_range) + c->at, c->n, prog->argc);
	if (!(c->flags & IMG_ARGV_REST)) {
		if (c->index >= prog->argc)
			return false;
		end = c->index + 1;
	}
	for (uint32_t i = c->index; i < end; i++)
		if (matches_one(img, c, prog->argv[i]) == not)
			return false;
	return true;
}

static bool argv_holds(const struct pol_image *img, const struct img_exec *e,
		       const struct pol_program *prog)
{
	const struct img_argv *c = IMG_AT(img, argvs, struct img_argv) + e->argv_at;

	for (uint32_t i = 0; prog->argv && i < e->argv_n; i++)
		if (!img_test_argv(img, &c[i], prog))
			return false;
	return true;
}

void img_layer_exec(const struct pol_image *img, unsigned layer, const struct pol_program *prog,
		    struct pol_verdict *v, uint32_t *enters)
{
	const struct img_layer *l = layer_at(img, layer);
	const struct img_exec *e = IMG_AT(img, execs, struct img_exec) + l->execs.at, *first = NULL;

	*enters = 0;
	for (uint32_t i = 0; i < l->execs.n; i++, e++) {
		if (first ? e->group != first->group
			  : !img_test_pattern(img, &e->pat, prog->path, prog->len))
			continue;
		if (!first)
			first = e;
		if (!argv_holds(img, e, prog))
			continue;
		give(v, &e->v);
		*enters = e->enters;
		return;
	}
	if (!first) {
		give_default(l, IMG_LAYER_EXEC, POL_GATE_EXEC, v);
		return;
	}
	give(v, &l->dflt); /* a line names the program: not with these arguments */
	v->gate = POL_GATE_EXEC;
}

static bool find_view(const struct pol_image *img, uint32_t layers, uint32_t *out)
{
	const struct img_view *w = IMG_AT(img, views, struct img_view);

	for (uint32_t i = 0; i < img->views.count; i++) {
		if (w[i].layers != layers)
			continue;
		*out = i;
		return true;
	}
	return false;
}

void pol_eval_exec(const struct pol_image *img, uint32_t view, const struct pol_program *prog,
		   struct pol_verdict *v, uint32_t *next)
{
	struct layers l = first_layer(img, view);
	uint32_t set = pol_view_layers(img, view), enters;
	struct pol_verdict one;

	img_layer_exec(img, 0, prog, v, &enters);
	set |= enters;
	while (next_layer(&l)) {
		img_layer_exec(img, l.at, prog, &one, &enters);
		set |= enters;
		narrow(v, &one);
	}
	if (v->action == POL_ALLOW && !find_view(img, set, next)) {
		give(v, &img->dflt);
		v->gate = POL_GATE_EXEC;
	}
}

/* ---- paths ---- */

static void start_verdict(const struct pol_image *img, unsigned layer, const char *path, size_t len,
			  struct pol_verdict *v)
{
	const struct pol_program any = {.path = path, .len = len};
	uint32_t enters;

	img_layer_exec(img, layer, &any, v, &enters);
}

void img_layer_path(const struct pol_image *img, unsigned layer, uint32_t verbs, const char *path,
		    size_t len, struct pol_verdict *v)
{
	const struct img_layer *l = layer_at(img, layer);
	const struct img_path *e = IMG_AT(img, paths, struct img_path) + l->paths.at, *first = NULL;
	uint32_t want = verbs & POL_V_ALL;
	uint8_t log = 0;

	for (uint32_t i = 0; i < l->paths.n && want; i++, e++) {
		if (!(e->verbs & want) || !img_test_pattern(img, &e->pat, path, len))
			continue;
		if (e->v.action != POL_ALLOW) {
			give(v, &e->v);
			return;
		}
		want &= ~e->verbs;
		log |= e->v.flags;
		if (!first)
			first = e;
	}
	if (want && (l->flags & IMG_LAYER_FILES)) {
		give_default(l, IMG_LAYER_FILES, POL_GATE_FILES, v);
		return;
	}
	if (verbs & POL_V_START) {
		start_verdict(img, layer, path, len, v);
		if (v->action != POL_ALLOW)
			return;
		log |= v->flags;
	}
	give_allow(POL_GATE_FILES, log, first ? first->v.rule : l->dflt.rule, v);
}

void pol_eval_path(const struct pol_image *img, uint32_t view, uint32_t verbs, const char *path,
		   size_t len, struct pol_verdict *v)
{
	struct layers l = first_layer(img, view);
	struct pol_verdict one;

	img_layer_path(img, 0, verbs, path, len, v);
	while (next_layer(&l)) {
		img_layer_path(img, l.at, verbs, path, len, &one);
		narrow(v, &one);
	}
}

static uint32_t layer_verbs(const struct pol_image *img, unsigned layer, const char *path, size_t len)
{
	const struct img_layer *l = layer_at(img, layer);
	const struct img_path *e = IMG_AT(img, paths, struct img_path) + l->paths.at;
	uint32_t open = POL_V_ALL, have = 0;
	struct pol_verdict start;

	for (uint32_t i = 0; i < l->paths.n && open; i++, e++) {
		if (!(e->verbs & open) || !img_test_pattern(img, &e->pat, path, len))
			continue;
		if (e->v.action == POL_ALLOW)
			have |= e->verbs & open;
		open &= ~e->verbs;
	}
	if (!(l->flags & IMG_LAYER_FILES))
		have |= open;
	start_verdict(img, layer, path, len, &start);
	return have | (start.action == POL_ALLOW ? POL_V_START : 0);
}

uint32_t pol_path_verbs(const struct pol_image *img, uint32_t view, const char *path, size_t len)
{
	struct layers l = first_layer(img, view);
	uint32_t have = layer_verbs(img, 0, path, len);

	while (have && next_layer(&l))
		have &= layer_verbs(img, l.at, path, len);
	return have;
}

/* ---- addresses ---- */

static bool match_ip(const struct img_net *e, const struct pol_addr *a)
{
	unsigned whole = e->prefix / 8, bits = e->prefix % 8;

	if (e->family && e->family != a->family)
		return false;
	if (a->port < e->port_lo || a->port > e->port_hi)
		return false;
	for (unsigned i = 0; i < whole; i++)
		if (e->ip[i] != a->ip[i])
			return false;
	return !bits || !((e->ip[whole] ^ a->ip[whole]) >> (8 - bits));
}

static bool match_addr(const struct pol_image *img, const struct img_net *e,
		       const struct pol_addr *a)
{
	if (e->proto != a->proto)
		return false;
	if (a->proto == POL_PROTO_UNIX)
		return a->path && img_test_pattern(img, &e->pat, a->path, a->path_len);
	return match_ip(e, a);
}

void img_layer_net(const struct pol_image *img, unsigned layer, uint32_t nverb,
		   const struct pol_addr *addr, struct pol_verdict *v)
{
	const struct img_layer *l = layer_at(img, layer);
	const struct img_net *e = IMG_AT(img, nets, struct img_net) + l->nets.at;

	for (uint32_t i = 0; i < l->nets.n; i++, e++) {
		if (nverb > POL_NET_SEND || !(e->verbs >> nverb & 1))
			continue;
		if (match_addr(img, e, addr)) {
			give(v, &e->v);
			return;
		}
	}
	/* A socket in the file system may be granted by `files: connect` as well. */
	if (addr->proto == POL_PROTO_UNIX && nverb != POL_NET_LISTEN && addr->path &&
	    addr->path_len && addr->path[0] == '/') {
		img_layer_path(img, layer, POL_V_CONNECT, addr->path, addr->path_len, v);
		if (v->action == POL_ALLOW ? l->flags & IMG_LAYER_FILES : !(v->flags & POL_F_DEFAULT))
			return;
	}
	give_default(l, IMG_LAYER_NET, POL_GATE_NET, v);
}

void pol_eval_net(const struct pol_image *img, uint32_t view, uint32_t nverb,
		  const struct pol_addr *addr, struct pol_verdict *v)
{
	struct layers l = first_layer(img, view);
	struct pol_verdict one;

	img_layer_net(img, 0, nverb, addr, v);
	while (next_layer(&l)) {
		img_layer_net(img, l.at, nverb, addr, &one);
		narrow(v, &one);
	}
}
