/* Conditions against the call they guard: which argument a name is, what may be asked of it, and
 * how wide it is. */
#include <stdlib.h>
#include <string.h>
#include "base/overflow.h"
#include "base/suggest.h"
#include "policy/resolve.h"

/* What a term stands for. */
struct subject {
	unsigned arg, kind, set, preds, width;
	bool is_signed;
	uint16_t field;
	const char *name;
};

static bool unknown_arg(struct unit *u, const struct ast_term *t, const struct sys_desc *d)
{
	struct buf have = BUF_INIT;
	struct suggest s;
	const char *near;
	struct diag *dg;

	suggest_begin(&s, t->name);
	for (unsigned i = 0; i < d->nargs; i++) {
		suggest_offer(&s, d->arg[i].name);
		buf_printf(&have, "%s%s", i ? ", " : "", d->arg[i].name);
	}
	near = suggest_end(&s);
	dg =
	    diag_error(u->diags, t->span, "P013", "'%s' has no argument '%s'%s%s%s", d->name,
		       t->name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	if (d->nargs)
		diag_help(u->diags, dg, "its arguments are: %s", have.data ? have.data : "");
	buf_free(&have);
	return false;
}

static bool unknown_field(struct unit *u, const struct ast_term *t, const struct sys_arg *a)
{
	struct buf have = BUF_INIT;
	const struct sys_field *f;
	struct diag *dg;

	if (a->kind != ARG_STRUCT) {
		diag_error(u->diags, t->field_span, "P013", "'%s' is not a structure", t->name);
		return false;
	}
	for (unsigned id = 1; (f = sysdesc_field(id)); id++)
		if (f->strct == a->strct)
			buf_printf(&have, "%s%s", have.len ? ", " : "", f->name);
	dg = diag_error(u->diags, t->field_span, "P013", "'%s' has no field '%s'", t->name,
			t->field);
	diag_help(u->diags, dg, "its fields are: %s", have.data ? have.data : "");
	buf_free(&have);
	return false;
}

static bool find_subject(struct unit *u, const struct ast_term *t, const struct sys_desc *d,
			 struct subject *s)
{
	int i = sysdesc_arg(d, t->name);
	const struct arg_kind_desc *k;
	const struct sys_field *f;

	if (i < 0)
		return unknown_arg(u, t, d);
	k = sysdesc_kind(d->arg[i].kind);
	*s = (struct subject){(unsigned)i, d->arg[i].kind, d->arg[i].set,
			      k->preds,	   k->width,	   k->is_signed,
			      0,	   t->name};
	if (!t->field)
		return true;
	f = sysdesc_field_by_name(d->arg[i].strct, t->field);
	if (d->arg[i].kind != ARG_STRUCT || !f)
		return unknown_field(u, t, &d->arg[i]);
	s->kind = f->kind;
	s->set = f->set;
	s->preds = sysdesc_kind(f->kind)->preds & ~PRED_FDKIND;
	s->width = 64;
	s->is_signed = false;
	s->field = f->id;
	s->name = t->field;
	return true;
}

/* ---- tests ---- */

static struct rcond *new_test(struct unit *u, const struct subject *s)
{
	struct rcond *c = unit_new(u, struct rcond);
	struct img_insn *in = &c->test.in;

	c->kind = RCOND_TEST;
	in->op = s->field ? IMG_FIELD : IMG_ARG;
	in->arg = (uint8_t)s->arg;
	in->field = s->field;
	in->conv = s->width == 64 ? IMG_U64 : s->is_signed ? IMG_S32 : IMG_U32;
	in->mask = ~0ull;
	return c;
}

/* The value as the evaluator sees the argument: truncated and extended as the argument is. */
static bool value_of(struct unit *u, const struct subject *s, const struct ast_val *v,
		     uint64_t *out)
{
	int64_t n;

	if (!resolve_val(u, v, s->set, s->name, out))
		return false;
	if (s->width == 64)
		return true;
	n = (int64_t)*out;
	if (n < INT32_MIN || n > UINT32_MAX) {
		diag_error(u->diags, v->span, "P017", "'%s' has 32 bits; this value never occurs",
			   s->name);
		return false;
	}
	*out = s->is_signed ? (uint64_t)(int64_t)(int32_t)n : (uint32_t)n;
	return true;
}

static void compare_as(struct img_insn *in, enum ast_cmp cmp, bool is_signed, uint64_t v)
{
	in->imm = v;
	switch (cmp) {
	case AST_EQ:
	case AST_NE:
		in->cmp = IMG_EQ;
		in->invert = cmp == AST_NE;
		break;
	case AST_LT:
	case AST_GE:
		in->cmp = is_signed ? IMG_SLT : IMG_ULT;
		in->invert = cmp == AST_GE;
		break;
	case AST_LE:
	case AST_GT:
		in->cmp = is_signed ? IMG_SLE : IMG_ULE;
		in->invert = cmp == AST_GT;
		break;
	}
}

static const struct rcond *bits_test(struct unit *u, const struct ast_cond *c,
				     const struct subject *s, struct rcond *r)
{
	struct img_insn *in = &r->test.in;
	uint64_t v;

	if (sysconst_is_enum((enum const_set)s->set)) {
		struct diag *d =
		    diag_error(u->diags, c->span, "P018",
			       "'%s' is one of a list of values, not a set of bits", s->name);

		diag_help(u->diags, d, "compare it with ==, or with in { ... }");
		return NULL;
	}
	if (!value_of(u, s, c->val, &v))
		return NULL;
	in->cmp = IMG_EQ;
	if (c->kind == AST_COND_HAS) {
		in->mask = in->imm = v;
	} else if (c->kind == AST_COND_ANY) {
		in->mask = v;
		in->invert = 1;
	} else {
		in->mask = ~v;
	}
	return r;
}

static int by_lo(const void *a, const void *b)
{
	const struct img_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Sorts and joins ranges; returns how many are left. */
static uint32_t join_ranges(struct img_range *r, uint32_t n)
{
	uint32_t k = 0;

	qsort(r, n, sizeof(*r), by_lo);
	for (uint32_t i = 1; i < n; i++) {
		if (r[i].lo <= r[k].hi || r[i].lo == r[k].hi + 1)
			r[k].hi = MAX(r[k].hi, r[i].hi);
		else
			r[++k] = r[i];
	}
	return k + 1;
}

static bool add_item(struct unit *u, const struct subject *s, const struct ast_item *it,
		     struct img_range *r, uint32_t *n)
{
	uint64_t lo, hi;

	if (!it->lo) {
		diag_error(u->diags, it->span, "P018", "'%s' is a number, not a text", s->name);
		return false;
	}
	if (!value_of(u, s, it->lo, &lo) || (it->hi && !value_of(u, s, it->hi, &hi)))
		return false;
	if (!it->hi)
		hi = lo;
	if (s->is_signed ? (int64_t)lo > (int64_t)hi : lo > hi) {
		diag_error(u->diags, it->span, "P017", "empty range");
		return false;
	}
	if (lo <= hi) {
		r[(*n)++] = (struct img_range){lo, hi};
	} else { /* from a negative number to a positive one */
		r[(*n)++] = (struct img_range){lo, UINT64_MAX};
		r[(*n)++] = (struct img_range){0, hi};
	}
	return true;
}

static const struct rcond *set_test(struct unit *u, const struct ast_cond *c,
				    const struct subject *s, struct rcond *r)
{
	struct img_range *ranges;
	uint32_t n = 0;
	size_t items = 0;

	for (const struct ast_item *it = c->items; it; it = it->next)
		items++;
	ranges = arena_alloc(&u->arena, 2 * items * sizeof(*ranges));
	if (!ranges) {
		u->oom = true;
		return NULL;
	}
	for (const struct ast_item *it = c->items; it; it = it->next)
		if (!add_item(u, s, it, ranges, &n))
			return NULL;
	r->test.in.cmp = IMG_IN;
	r->test.ranges = ranges;
	r->test.nr_ranges = join_ranges(ranges, n);
	return r;
}

static const struct rcond *fd_test(struct unit *u, const struct ast_cond *c, struct rcond *r)
{
	static const struct {
		const char *word;
		enum pol_fdkind kind;
	} words[] = {
	    {"file", POL_FD_FILE},     {"dir", POL_FD_DIR}, {"pipe", POL_FD_PIPE},
	    {"socket", POL_FD_SOCKET}, {"tty", POL_FD_TTY}, {"event", POL_FD_EVENT},
	    {"device", POL_FD_DEVICE},
	};
	struct diag *d;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].word, c->word->text))
			continue;
		r->test.in.op = IMG_FDKIND;
		r->test.in.imm = 1ull << words[i].kind;
		return r;
	}
	d = diag_error(u->diags, c->word->span, "P018", "unknown kind of descriptor '%s'",
		       c->word->text);
	diag_help(u->diags, d, "kinds are: file, dir, pipe, socket, tty, event, device");
	return NULL;
}

static const struct rcond *path_test(struct unit *u, const struct ast_cond *c, struct rcond *r)
{
	struct pattern *p = unit_new(u, struct pattern);

	if (!resolve_path(u, c->path, c->kind == AST_COND_UNDER, p))
		return NULL;
	if (c->kind == AST_COND_UNDER)
		pattern_spread(p);
	r->test.in.op = IMG_PATH;
	r->test.pat = p;
	return r;
}

static unsigned needed(enum ast_cond_kind kind)
{
	switch (kind) {
	case AST_COND_CMP:
		return PRED_CMP;
	case AST_COND_MASK:
		return PRED_MASK;
	case AST_COND_IN:
		return PRED_IN;
	case AST_COND_IS:
		return PRED_FDKIND;
	case AST_COND_UNDER:
	case AST_COND_MATCHES:
		return PRED_PATH;
	default:
		return PRED_BITS;
	}
}

static bool legal(struct unit *u, const struct ast_cond *c, const struct subject *s,
		  const struct sys_desc *d)
{
	struct diag *dg;

	if (s->preds & needed(c->kind))
		return true;
	dg = diag_error(u->diags, c->span, "P018", "'%s' of '%s' cannot be tested this way",
			s->name, d->name);
	if (s->preds & PRED_PATH)
		diag_help(u->diags, dg,
			  "it is a path: use under or matches, or the files: section");
	else if (s->kind == ARG_STRUCT)
		diag_help(u->diags, dg, "it is a structure: name a field, as in %s.flags", s->name);
	else if (s->kind == ARG_SOCKADDR || s->kind == ARG_MSGHDR)
		diag_help(u->diags, dg, "it is an address: use the net: section");
	else if (s->preds & PRED_CMP)
		diag_help(u->diags, dg, "it is a number: use ==, <, in, mask");
	else
		diag_help(u->diags, dg, "it points to data that rules do not look at");
	return false;
}

static const struct rcond *leaf(struct unit *u, const struct ast_cond *c, const struct sys_desc *d)
{
	struct subject s;
	struct rcond *r;
	uint64_t v, mask;

	if (c->kind == AST_COND_WITHIN) {
		resolve_unenforced(u, c->span, "within");
		return NULL;
	}
	if (!find_subject(u, c->term, d, &s) || !legal(u, c, &s, d))
		return NULL;
	r = new_test(u, &s);
	switch (c->kind) {
	case AST_COND_CMP:
		if (!value_of(u, &s, c->val, &v))
			return NULL;
		compare_as(&r->test.in, c->cmp, s.is_signed, v);
		return r;
	case AST_COND_MASK:
		if (!value_of(u, &s, c->mask, &mask) || !value_of(u, &s, c->val, &v))
			return NULL;
		r->test.in.mask = mask;
		compare_as(&r->test.in, c->cmp, s.is_signed, v);
		return r;
	case AST_COND_IN:
		return set_test(u, c, &s, r);
	case AST_COND_IS:
		return fd_test(u, c, r);
	case AST_COND_UNDER:
	case AST_COND_MATCHES:
		return path_test(u, c, r);
	default:
		return bits_test(u, c, &s, r);
	}
}

const struct rcond *typecheck_cond(struct unit *u, const struct ast_cond *c,
				   const struct sys_desc *d)
{
	struct rcond *r, **tail;
	bool ok = true;

	if (c->kind > AST_COND_NOT)
		return leaf(u, c, d);
	r = unit_new(u, struct rcond);
	r->kind = c->kind == AST_COND_OR    ? RCOND_OR
		  : c->kind == AST_COND_AND ? RCOND_AND
					    : RCOND_NOT;
	tail = &r->kids;
	for (const struct ast_cond *k = c->kids; k; k = k->next) {
		struct rcond *kid = (struct rcond *)typecheck_cond(u, k, d);

		if (!kid) {
			ok = false; /* go on: report all errors of the condition */
			continue;
		}
		*tail = kid;
		tail = &kid->next;
	}
	return ok ? r : NULL;
}

/* ---- emulate ---- */

/* Calls whose success promises a filled structure. The others return a count with their buffer. */
static const char *const fillers[] = {
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "uname",
    "sysinfo",
    "getrlimit",
    "getrusage",
    "prlimit64",
    "getresuid",
    "getresgid",
    "capget",
    "times",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "getitimer",
    "timer_create",
    "timer_gettime",
    "timerfd_gettime",
    "rt_sigpending",
    "sigaltstack",
    "pipe",
    "pipe2",
    "socketpair",
    "getsockname",
    "getpeername",
    "getsockopt",
    "sched_getparam",
    "sched_getattr",
    "sched_rr_get_interval",
    "get_robust_list",
    "mincore",
    "mq_timedreceive",
    "getcwd",
    "wait4",
    "waitid",
};

bool typecheck_emulate(struct unit *u, const struct sys_desc *d, int64_t value, struct src_span at)
{
	bool fills = false;
	struct diag *dg;

	for (size_t i = 0; i < ARRAY_SIZE(fillers); i++)
		fills |= !strcmp(fillers[i], d->name);
	for (unsigned i = 0; i < d->nargs; i++)
		if ((d->arg[i].kind == ARG_OBUF || d->arg[i].kind == ARG_IOVEC) && value > 0 &&
		    strcmp(d->name, "writev") && strncmp(d->name, "pwritev", 7))
			fills = true;
	if (!fills)
		return true;
	dg = diag_error(u->diags, at, "P041",
			"'%s' fills a buffer; \"as %lld\" would leave it unset", d->name,
			(long long)value);
	if (!strcmp(d->name, "uname"))
		diag_help(u->diags, dg, "use the emulate: uname: section");
	else
		diag_help(u->diags, dg, "allow it, or deny it with an errno");
	return false;
}
