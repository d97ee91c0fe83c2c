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

bool img_test_pattern(const struct pol_image *img, const struct img_pattern *pat, const char *path,
		      size_t size)
{
	const char *t = IMG_AT(img, strings, char) + pat->str;
	uint32_t len = (uint32_t)size;

	if (size > INT32_MAX)
		return false;
	if (len == 1 && pat->len > 1) /* only "/" itself and what covers all match the root */
		return false;
	if (len < pat->literal)
		return false;
	for (uint32_t i = 0; i < pat->literal; i++)
		if (t[i] != path[i])
			return false;
	if (pat->literal == pat->len)
		return len == pat->len || (pat->tail && path[pat->len] == '/');
	return match_tokens(pat, t, path, len);
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

/* Phases only remove: one that the image lacks gets the last. */
static uint32_t clamp_phase(const struct pol_image *img, uint32_t phase)
{
	return phase < img->nr_phases ? phase : img->nr_phases - 1;
}

const struct img_verdict *pol_eval_table(const struct pol_image *img, uint32_t phase)
{
	return IMG_AT(img, calls, struct img_verdict) + clamp_phase(img, phase) * IMG_CALLS;
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

hot_path bool pol_eval_call(const struct pol_image *img, uint32_t phase, const struct pol_call *call,
		   const struct pol_env *env, struct pol_verdict *v)
{
	const struct img_verdict *e = find_verdict(img, pol_eval_table(img, phase), call, env);

	if (e)
		give(v, e);
	return e != NULL;
}

unsigned pol_tier0_const(const struct pol_image *img, uint32_t nr)
{
	return nr < IMG_CALLS ? IMG_AT(img, tier0, uint8_t)[nr] : 0;
}

/* ---- the object gates ---- */

static void give_default(const struct pol_image *img, uint8_t gate, struct pol_verdict *v)
{
	give(v, &img->dflt);
	v->gate = gate;
}

void pol_eval_path(const struct pol_image *img, uint32_t phase, uint32_t verbs, const char *path,
		   size_t len, struct pol_verdict *v)
{
	const struct img_path *e = IMG_AT(img, paths, struct img_path), *first = NULL;
	uint32_t bit = 1u << clamp_phase(img, phase), want = verbs & POL_V_ANY;
	uint8_t log = 0;

	for (uint32_t i = 0; i < img->paths.count && want; i++, e++) {
		if (!(e->verbs & want) || !(e->phases & bit) ||
		    !img_test_pattern(img, &e->pat, path, len))
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
	if (want) {
		give_default(img, POL_GATE_FILES, v);
		return;
	}
	v->action = POL_ALLOW;
	v->flags = log;
	v->gate = POL_GATE_FILES;
	v->pad = 0;
	v->value = 0;
	v->rule = first ? first->v.rule : 0;
}

uint32_t pol_path_verbs(const struct pol_image *img, uint32_t phase, const char *path, size_t len)
{
	const struct img_path *e = IMG_AT(img, paths, struct img_path);
	uint32_t bit = 1u << clamp_phase(img, phase), open = POL_V_ANY, have = 0;

	for (uint32_t i = 0; i < img->paths.count && open; i++, e++) {
		if (!(e->verbs & open) || !(e->phases & bit) ||
		    !img_test_pattern(img, &e->pat, path, len))
			continue;
		if (e->v.action == POL_ALLOW)
			have |= e->verbs & open;
		open &= ~e->verbs;
	}
	return have;
}

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

void pol_eval_net(const struct pol_image *img, uint32_t phase, uint32_t nverb,
		  const struct pol_addr *addr, struct pol_verdict *v)
{
	const struct img_net *e = IMG_AT(img, nets, struct img_net);
	uint32_t bit = 1u << clamp_phase(img, phase);

	for (uint32_t i = 0; i < img->nets.count; i++, e++) {
		if (!(e->phases & bit) || nverb > POL_NET_SEND || !(e->verbs >> nverb & 1))
			continue;
		if (match_addr(img, e, addr)) {
			give(v, &e->v);
			return;
		}
	}
	/* A socket in the file system may be granted by `files: connect` as well. */
	if (addr->proto == POL_PROTO_UNIX && nverb != POL_NET_LISTEN && addr->path &&
	    addr->path_len && addr->path[0] == '/') {
		pol_eval_path(img, phase, POL_V_CONNECT, addr->path, addr->path_len, v);
		if (!(v->flags & POL_F_DEFAULT))
			return;
	}
	give_default(img, POL_GATE_NET, v);
}
