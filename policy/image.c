/* Verification of policy images, and access to their data. */
#include "policy/image.h"

#include <stdio.h>
#include <string.h>
#include "base/digest.h"
#include "base/overflow.h"
#include "policy/image_format.h"

struct check {
	const struct pol_image *img;
	const char *flaw; /* NULL while all is well */
};

static bool flaw(struct check *c, const char *what)
{
	if (!c->flaw)
		c->flaw = what;
	return false;
}

/* ---- sections ---- */

struct section_rule {
	const char *name;
	size_t at, size;
	uint32_t max;
};

#define SECTION(name, size, max)                                                                   \
	{                                                                                          \
#name, offsetof(struct pol_image, name), size, max                                 \
	}

static const struct section_rule sections[] = {
    SECTION(layers, sizeof(struct img_layer), IMG_MAX_LAYERS),
    SECTION(views, sizeof(struct img_view), IMG_MAX_VIEWS),
    SECTION(calls, sizeof(struct img_verdict), IMG_CALLS *IMG_MAX_VIEWS),
    SECTION(insns, sizeof(struct img_insn), IMG_MAX_INSNS),
    SECTION(verdicts, sizeof(struct img_verdict), 1u << 20),
    SECTION(ranges, sizeof(struct img_range), 1u << 20),
    SECTION(patterns, sizeof(struct img_pattern), 1u << 16),
    SECTION(paths, sizeof(struct img_path), 1u << 16),
    SECTION(nets, sizeof(struct img_net), 1u << 16),
    SECTION(execs, sizeof(struct img_exec), 1u << 16),
    SECTION(argvs, sizeof(struct img_argv), 1u << 16),
    SECTION(rates, sizeof(struct img_rate), 1u << 16),
    SECTION(phases, sizeof(struct img_phase), IMG_MAX_LAYERS - 1),
    SECTION(scratch, sizeof(struct img_scratch), 1u << 12),
    SECTION(rules, sizeof(struct img_rule), 1u << 20),
    SECTION(strings, 1, 1u << 25),
    SECTION(tier0, 1, IMG_CALLS),
};

static bool check_sections(struct check *c)
{
	const struct pol_image *img = c->img;

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		const struct section_rule *r = &sections[i];
		const struct img_section *s = (const void *)((const char *)img + r->at);
		uint64_t bytes = (uint64_t)s->count * r->size;

		if (s->off % 8 || s->off < sizeof(*img) || s->count > r->max ||
		    s->off > img->size || bytes > img->size - s->off)
			return flaw(c, r->name);
	}
	if (!img->views.count || !img->layers.count)
		return flaw(c, "number of views");
	if (img->calls.count != img->views.count * IMG_CALLS || img->tier0.count != IMG_CALLS)
		return flaw(c, "table size");
	return true;
}

/* ---- elements ---- */

/* Strings start anywhere in the pool: its last byte ends them all. */
static bool string_ok(const struct pol_image *img, uint32_t s)
{
	return s < img->strings.count;
}

static bool check_strings(struct check *c)
{
	const struct img_section *s = &c->img->strings;
	const char *p = IMG_AT(c->img, strings, char);

	return s->count && !p[0] && !p[s->count - 1] ? true : flaw(c, "strings");
}

static bool verdict_ok(const struct pol_image *img, const struct img_verdict *v)
{
	const uint8_t flags = POL_F_LOG | POL_F_QUIET | POL_F_UNKNOWN | POL_F_DEFAULT | POL_F_NEVER |
			      POL_F_LIMIT;

	if ((v->flags & ~flags) || v->pad || v->gate < POL_GATE_CALL ||
	    v->gate > POL_GATE_UNKNOWN || v->rule >= img->rules.count)
		return false;
	switch (v->action) {
	case POL_ALLOW:
	case POL_TERMINATE:
		return v->value == 0;
	case POL_DENY:
		return v->value > 0 && v->value < 4096;
	case POL_EMULATE:
		return true;
	default:
		return false;
	}
}

static bool check_verdicts(struct check *c)
{
	const struct pol_image *img = c->img;
	const struct img_verdict *v = IMG_AT(img, verdicts, struct img_verdict);

	for (uint32_t i = 0; i < img->verdicts.count; i++)
		if (!verdict_ok(img, &v[i]))
			return flaw(c, "verdict");
	if (!verdict_ok(img, &img->dflt) || !verdict_ok(img, &img->unknown) ||
	    img->dflt.action == POL_EMULATE)
		return flaw(c, "default verdict");
	v = IMG_AT(img, calls, struct img_verdict);
	for (uint32_t i = 0; i < img->calls.count; i++) {
		if (v[i].action == IMG_PROGRAM) {
			if (v[i].value < 0 || v[i].value >= img->insns.count || v[i].flags ||
			    v[i].rule || v[i].gate || v[i].pad)
				return flaw(c, "program start");
		} else if (!verdict_ok(img, &v[i])) {
			return flaw(c, "call verdict");
		}
	}
	return true;
}

static bool pattern_ok(const struct pol_image *img, const struct img_pattern *p)
{
	const char *t = IMG_AT(img, strings, char) + p->str;

	if (p->str > img->strings.count || p->len > img->strings.count - p->str ||
	    p->literal > p->len || p->tail > 1 || p->pad[0] || p->pad[1] || p->pad[2])
		return false;
	if (memchr(t, 0, p->literal) || (p->literal < p->len && t[p->literal]))
		return false;
	for (uint32_t i = p->literal; i < p->len; i++) {
		if (t[i])
			continue;
		if (++i == p->len || t[i] < IMG_STAR || t[i] > IMG_GLOBDIR)
			return false;
	}
	return true;
}

static bool run_ok(const struct img_run *r, uint32_t count)
{
	return r->at <= count && r->n <= count - r->at;
}

static bool check_layers(struct check *c)
{
	const struct pol_image *img = c->img;
	const struct img_layer *l = IMG_AT(img, layers, struct img_layer);
	const struct img_view *w = IMG_AT(img, views, struct img_view);
	const uint32_t flags = IMG_LAYER_FILES | IMG_LAYER_NET | IMG_LAYER_EXEC;

	for (uint32_t i = 0; i < img->layers.count; i++) {
		if (!string_ok(img, l[i].name) || (l[i].flags & ~flags) ||
		    !verdict_ok(img, &l[i].dflt) || l[i].dflt.action == POL_EMULATE ||
		    l[i].dflt.action == POL_ALLOW || !run_ok(&l[i].paths, img->paths.count) ||
		    !run_ok(&l[i].nets, img->nets.count) ||
		    !run_ok(&l[i].execs, img->execs.count) || l[i].rule >= img->rules.count)
			return flaw(c, "layer");
	}
	/* What the policy itself does not grant is refused. */
	if ((l->flags | IMG_LAYER_EXEC) != flags || w->layers != 1)
		return flaw(c, "first layer");
	for (uint32_t i = 0; i < img->views.count; i++)
		if (!(w[i].layers & 1) || (uint64_t)w[i].layers >> img->layers.count)
			return flaw(c, "view");
	return true;
}

static bool argv_ok(const struct pol_image *img, const struct img_argv *a)
{
	if (a->pad || (a->flags & ~(IMG_ARGV_REST | IMG_ARGV_NOT)))
		return false;
	if (a->kind == IMG_ARGV_COUNT)
		return a->at <= img->ranges.count && a->n <= img->ranges.count - a->at;
	return a->kind == IMG_ARGV_TEXT && a->at <= img->patterns.count &&
	       a->n <= img->patterns.count - a->at;
}

static bool check_execs(struct check *c)
{
	const struct pol_image *img = c->img;
	const struct img_exec *e = IMG_AT(img, execs, struct img_exec);
	const struct img_argv *a = IMG_AT(img, argvs, struct img_argv);

	for (uint32_t i = 0; i < img->execs.count; i++) {
		if (!pattern_ok(img, &e[i].pat) || !verdict_ok(img, &e[i].v) ||
		    e[i].v.action == POL_EMULATE || e[i].argv_at > img->argvs.count ||
		    e[i].argv_n > img->argvs.count - e[i].argv_at || (e[i].enters & 1) ||
		    (e[i].enters & (e[i].enters - 1)) ||
		    (uint64_t)e[i].enters >> img->layers.count)
			return flaw(c, "exec entry");
	}
	for (uint32_t i = 0; i < img->argvs.count; i++)
		if (!argv_ok(img, &a[i]))
			return flaw(c, "argument condition");
	return true;
}

static bool check_rates(struct check *c)
{
	const struct pol_image *img = c->img;
	const struct img_rate *r = IMG_AT(img, rates, struct img_rate);

	for (uint32_t i = 0; i < img->rates.count; i++)
		if (r[i].rule >= img->rules.count || r[i].over < POL_OVER_DELAY ||
		    r[i].over > POL_OVER_TERMINATE || !r[i].count || r[i].value < 0 ||
		    r[i].value >= 4096 || r[i].count > UINT32_MAX || r[i].per_ns > INT64_MAX ||
		    (r[i].over == POL_OVER_DENY && !r[i].value) ||
		    (r[i].over == POL_OVER_DELAY && !r[i].per_ns))
			return flaw(c, "rate");
	return true;
}

/* Phase after phase, the views of the first with one layer more. */
static bool check_phases(struct check *c)
{
	const struct pol_image *img = c->img;
	const struct img_phase *p = IMG_AT(img, phases, struct img_phase);
	const struct img_view *w = IMG_AT(img, views, struct img_view);
	uint32_t n = img->phases.count, sets = img->views.count / (n + 1), first, more = 0;

	if (n >= img->layers.count || sets * (n + 1) != img->views.count)
		return flaw(c, "number of phases");
	first = img->layers.count - n;
	for (uint32_t i = 0; i < img->views.count; i++) {
		if (i >= sets && i % sets == 0)
			more |= 1u << (first + i / sets - 1);
		if ((uint64_t)w[i % sets].layers >> first || w[i].layers != (w[i % sets].layers | more))
			return flaw(c, "view of a phase");
	}
	for (uint32_t i = 0; i < n; i++)
		if (!string_ok(img, p[i].name) || p[i].nr >= IMG_CALLS)
			return flaw(c, "phase");
	return true;
}

static bool insn_ok(const struct pol_image *img, uint32_t pc)
{
	const struct img_insn *in = IMG_AT(img, insns, struct img_insn) + pc;
	uint32_t room = img->insns.count - pc - 1; /* instructions after this one */

	if (in->op == IMG_RET)
		return in->a < img->verdicts.count;
	if (in->op == 0 || in->op >= IMG_OP_MAX || in->arg >= 6 || in->jt >= room || in->jf >= room)
		return false;
	if (in->op == IMG_PATH)
		return in->a < img->patterns.count;
	if (in->op == IMG_FDKIND)
		return true;
	if (in->conv >= IMG_CONV_MAX || in->cmp >= IMG_CMP_MAX || in->invert > 1)
		return false;
	return in->cmp != IMG_IN ||
	       (in->a <= img->ranges.count && in->b <= img->ranges.count - in->a);
}

/* Jumps go forward inside the pool and the last instruction returns: every run ends, after at most
 * IMG_MAX_INSNS steps. */
static bool check_insns(struct check *c)
{
	const struct pol_image *img = c->img;
	const struct img_insn *in = IMG_AT(img, insns, struct img_insn);
	const struct img_range *r = IMG_AT(img, ranges, struct img_range);
	uint32_t n = img->insns.count;

	for (uint32_t i = 0; i < n; i++)
		if (!insn_ok(img, i))
			return flaw(c, "instruction");
	if (n && in[n - 1].op != IMG_RET)
		return flaw(c, "program end");
	for (uint32_t i = 0; i < img->ranges.count; i++)
		if (r[i].lo > r[i].hi)
			return flaw(c, "range");
	return true;
}

static bool check_patterns(struct check *c)
{
	const struct pol_image *img = c->img;
	const struct img_pattern *p = IMG_AT(img, patterns, struct img_pattern);
	const struct img_path *e = IMG_AT(img, paths, struct img_path);
	const struct img_net *n = IMG_AT(img, nets, struct img_net);

	for (uint32_t i = 0; i < img->patterns.count; i++)
		if (!pattern_ok(img, &p[i]))
			return flaw(c, "pattern");
	for (uint32_t i = 0; i < img->paths.count; i++)
		if (!pattern_ok(img, &e[i].pat) || !verdict_ok(img, &e[i].v) ||
		    e[i].v.action == POL_EMULATE || (e[i].verbs & ~(uint32_t)POL_V_ALL))
			return flaw(c, "files entry");
	for (uint32_t i = 0; i < img->nets.count; i++) {
		unsigned bits = n[i].family == 4 ? 32 : n[i].family == 6 ? 128 : 0;

		if (!pattern_ok(img, &n[i].pat) || !verdict_ok(img, &n[i].v) ||
		    n[i].v.action == POL_EMULATE || n[i].prefix > bits || (n[i].family && !bits) ||
		    n[i].proto < POL_PROTO_TCP || n[i].proto > POL_PROTO_UNIX)
			return flaw(c, "net entry");
	}
	return true;
}

static bool check_rest(struct check *c)
{
	const struct pol_image *img = c->img;
	const struct img_rule *r = IMG_AT(img, rules, struct img_rule);
	const struct img_scratch *s = IMG_AT(img, scratch, struct img_scratch);
	const struct img_config *cfg = &img->cfg;
	const uint8_t *t0 = IMG_AT(img, tier0, uint8_t);

	for (uint32_t i = 0; i < img->rules.count; i++)
		if (!string_ok(img, r[i].file) || !string_ok(img, r[i].text) ||
		    !string_ok(img, r[i].because) || !string_ok(img, r[i].tag))
			return flaw(c, "rule");
	for (uint32_t i = 0; i < img->scratch.count; i++)
		if (!string_ok(img, s[i].path) || s[i].rule >= img->rules.count ||
		    IMG_AT(img, strings, char)[s[i].path] != '/' || s[i].flags & ~(uint32_t)IMG_OVERLAY ||
		    s[i].pad)
			return flaw(c, "scratch");
	for (uint32_t i = 0; i < IMG_CALLS; i++)
		if (t0[i] > 7)
			return flaw(c, "tier 0 constant");
	for (unsigned i = 0; i < ARRAY_SIZE(cfg->uname); i++)
		if (!string_ok(img, cfg->uname[i]))
			return flaw(c, "uname");
	if (!string_ok(img, cfg->name) || !string_ok(img, cfg->abi) ||
	    (cfg->flags & ~(IMG_HAS_UNAME | IMG_HAS_IDS | IMG_HAS_EXEC)))
		return flaw(c, "configuration");
	return true;
}

const struct pol_image *pol_image_verify(const void *p, size_t len, struct sbx_err **e)
{
	const struct pol_image *img = p;
	const size_t covered = offsetof(struct pol_image, digest);
	struct check c = {img, NULL};
	uint8_t sum[DIGEST_SIZE];

	if ((uintptr_t)p % 8 || len < sizeof(*img) || len > IMG_MAX_SIZE ||
	    memcmp(img->magic, IMG_MAGIC, sizeof(img->magic))) {
		sbx_err_set(e, "not a compiled policy");
		return NULL;
	}
	if (img->version != IMG_VERSION || img->header_size != sizeof(*img)) {
		sbx_err_set(e, "compiled by another version of sbx (format %u, this is %u)",
			    img->version, IMG_VERSION);
		return NULL;
	}
	if (img->size != len) {
		sbx_err_set(e, "damaged compiled policy: %zu bytes, should have %llu", len,
			    (unsigned long long)img->size);
		return NULL;
	}
	digest_sha256((const char *)p + covered, len - covered, sum);
	if (memcmp(sum, img->checksum, sizeof(sum))) {
		sbx_err_set(e, "damaged compiled policy: wrong checksum");
		return NULL;
	}
	if (check_sections(&c) && check_strings(&c) && check_verdicts(&c) && check_insns(&c) &&
	    check_patterns(&c) && check_layers(&c) && check_execs(&c) &&
	    check_rates(&c) && check_phases(&c) && check_rest(&c))
		return img;
	sbx_err_set(e, "damaged compiled policy: bad %s", c.flaw);
	return NULL;
}

/* ---- access ---- */

static const char *string_at(const struct pol_image *img, uint32_t s)
{
	return IMG_AT(img, strings, char) + s;
}

static const char *string_or_null(const struct pol_image *img, uint32_t s)
{
	return s ? string_at(img, s) : NULL;
}

size_t pol_image_size(const struct pol_image *img)
{
	return img->size;
}

bool pol_image_rule(const struct pol_image *img, uint32_t rule, struct pol_rule_info *out)
{
	const struct img_rule *r;

	if (rule >= img->rules.count)
		return false;
	r = IMG_AT(img, rules, struct img_rule) + rule;
	out->file = string_at(img, r->file);
	out->line = r->line;
	out->column = r->column;
	out->text = string_at(img, r->text);
	out->because = string_or_null(img, r->because);
	out->tag = string_or_null(img, r->tag);
	return true;
}

static bool is_zero(const uint8_t *ip, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ip[i])
			return false;
	return true;
}

/* Does the entry speak of addresses of this host's loopback only? The wildcard, connected to, is it. */
static bool only_loopback(const struct img_net *e)
{
	if (e->family == 4)
		return (e->prefix >= 8 && e->ip[0] == 127) || (e->prefix == 32 && is_zero(e->ip, 4));
	return e->family == 6 && e->prefix == 128 && is_zero(e->ip, 15) && e->ip[15] <= 1;
}

static bool entry_covers(const struct img_net *e, uint32_t verbs, uint8_t family, const uint8_t *ip)
{
	unsigned whole = e->prefix / 8, bits = e->prefix % 8;
	size_t size = family == 4 ? 4 : 16;

	/* [::] may take IPv4, too. */
	if ((verbs & e->verbs & 1u << POL_NET_LISTEN) && e->family &&
	    e->prefix == (e->family == 4 ? 32 : 128) && is_zero(e->ip, e->family == 4 ? 4 : 16))
		return e->family == 6 || family == 4;
	if (e->family && e->family != family)
		return false;
	if (!ip)
		return !only_loopback(e);
	if (whole > size || memcmp(e->ip, ip, whole))
		return false;
	return !bits || !((e->ip[whole] ^ ip[whole]) >> (8 - bits));
}

bool pol_net_grants(const struct pol_image *img, uint32_t verbs, uint8_t family, const uint8_t *ip)
{
	const struct img_run *own = &IMG_AT(img, layers, struct img_layer)->nets;
	const struct img_net *e = IMG_AT(img, nets, struct img_net) + own->at;

	for (uint32_t i = 0; i < own->n; i++, e++)
		if (e->v.action == POL_ALLOW && e->proto != POL_PROTO_UNIX && (e->verbs & verbs) &&
		    entry_covers(e, verbs, family, ip))
			return true;
	return false;
}

/* Is what the grant lets change none of the host's files? It is a scratch's or an overlay's, or of the
 * sandbox's own /dev, /proc and /sys. */
static bool is_private(const struct pol_image *img, const struct pol_grant *g)
{
	static const char *const own[] = {"/dev", "/proc", "/sys"};
	const struct img_scratch *s = IMG_AT(img, scratch, struct img_scratch);

	for (uint32_t i = 0; i < img->scratch.count; i++)
		if (s[i].rule == g->rule)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (pol_path_below(own[i], strlen(own[i]), g->root, g->root_len))
			return true;
	return false;
}

static void summarize_objects(const struct pol_image *img, struct pol_config *out)
{
	const struct img_path *e = IMG_AT(img, paths, struct img_path);
	const struct img_net *n = IMG_AT(img, nets, struct img_net);
	const struct img_layer *base = IMG_AT(img, layers, struct img_layer);
	struct pol_grant g;
	const uint32_t writing =
	    POL_V_WRITE | POL_V_APPEND | POL_V_CREATE | POL_V_DELETE | POL_V_LINK;

	n += base->nets.at;
	e += base->paths.at;
	for (uint32_t i = 0; i < base->nets.n; i++) {
		if (n[i].v.action != POL_ALLOW)
			continue;
		out->net_any = true;
		if (n[i].proto == POL_PROTO_UNIX)
			out->net_unix = true;
		else
			out->net_inet = true;
	}
	for (uint32_t i = 0; i < base->paths.n; i++) {
		if (e[i].v.action != POL_ALLOW)
			continue;
		if (e[i].verbs & writing && pol_image_grant(img, i, &g) && !is_private(img, &g))
			out->files_write = true;
		out->files_read |= (e[i].verbs & (POL_V_READ | POL_V_LIST)) != 0;
		if (e[i].verbs & POL_V_CONNECT)
			out->net_any = out->net_unix = true;
	}
}

void pol_image_config(const struct pol_image *img, struct pol_config *out)
{
	const struct img_config *c = &img->cfg;

	*out = (struct pol_config){
	    .name = string_at(img, c->name),
	    .abi = string_at(img, c->abi),
	    .digest = img->digest,
	    .limit_memory = c->memory,
	    .limit_cpu_ns = c->cpu_ns,
	    .limit_wall_ns = c->wall_ns,
	    .limit_processes = c->processes,
	    .limit_open_files = c->open_files,
	    .limit_output = c->output,
	    .has_uname = c->flags & IMG_HAS_UNAME,
	    .uname_sysname = string_or_null(img, c->uname[0]),
	    .uname_nodename = string_or_null(img, c->uname[1]),
	    .uname_release = string_or_null(img, c->uname[2]),
	    .uname_version = string_or_null(img, c->uname[3]),
	    .uname_machine = string_or_null(img, c->uname[4]),
	    .uname_domain = string_or_null(img, c->uname[5]),
	    .has_ids = c->flags & IMG_HAS_IDS,
	    .has_exec = c->flags & IMG_HAS_EXEC,
	    .uid = c->uid,
	    .gid = c->gid,
	    .cpus = c->cpus,
	    .nr_views = img->views.count,
	};
	summarize_objects(img, out);
}

size_t pol_image_scratch(const struct pol_image *img, size_t index, struct pol_scratch *out)
{
	if (index < img->scratch.count && out) {
		const struct img_scratch *s = IMG_AT(img, scratch, struct img_scratch) + index;

		out->path = string_at(img, s->path);
		out->size = s->size;
		out->rule = s->rule;
		out->overlay = s->flags & IMG_OVERLAY;
	}
	return img->scratch.count;
}

size_t pol_grant_root(const char *text, size_t len, size_t literal)
{
	size_t n = literal;

	if (literal < len) /* the last component is not fixed */
		while (n && text[n - 1] != '/')
			n--;
	while (n > 1 && text[n - 1] == '/')
		n--;
	return n;
}

bool pol_path_below(const char *dir, size_t dir_len, const char *path, size_t len)
{
	return len > dir_len && !memcmp(path, dir, dir_len) && path[dir_len] == '/';
}

size_t pol_image_grant(const struct pol_image *img, size_t index, struct pol_grant *out)
{
	const struct img_run *own = &IMG_AT(img, layers, struct img_layer)->paths;

	if (index < own->n && out) {
		const struct img_path *p = IMG_AT(img, paths, struct img_path) + own->at + index;

		out->root = string_at(img, p->pat.str);
		out->root_len = pol_grant_root(out->root, p->pat.len, p->pat.literal);
		out->verbs = p->verbs & POL_V_ALL;
		out->allows = p->v.action == POL_ALLOW;
		out->rule = p->v.rule;
	}
	return own->n;
}

size_t pol_image_layer(const struct pol_image *img, size_t index, struct pol_layer *out)
{
	if (index < img->layers.count && out) {
		const struct img_layer *l = IMG_AT(img, layers, struct img_layer) + index;

		*out = (struct pol_layer){
		    .name = string_at(img, l->name),
		    .rule = l->rule,
		    .dflt = l->dflt.rule,
		    .memory = l->memory,
		    .cpu_ns = l->cpu_ns,
		    .wall_ns = l->wall_ns,
		    .processes = l->processes,
		    .open_files = l->open_files,
		};
	}
	return img->layers.count;
}

static uint32_t sets(const struct pol_image *img)
{
	return img->views.count / (img->phases.count + 1);
}

uint32_t pol_view_in_phase(const struct pol_image *img, uint32_t view, uint32_t phase)
{
	return view % sets(img) + MIN(phase, img->phases.count) * sets(img);
}

uint32_t pol_view_phase(const struct pol_image *img, uint32_t view)
{
	return view / sets(img);
}

size_t pol_image_phase(const struct pol_image *img, size_t index, struct pol_phase *out)
{
	if (index < img->phases.count && out) {
		const struct img_phase *p = IMG_AT(img, phases, struct img_phase) + index;

		*out = (struct pol_phase){string_at(img, p->name), p->nr};
	}
	return img->phases.count;
}

size_t pol_image_rate(const struct pol_image *img, size_t index, struct pol_rate *out)
{
	if (index < img->rates.count && out) {
		const struct img_rate *r = IMG_AT(img, rates, struct img_rate) + index;

		*out = (struct pol_rate){r->rule, (enum pol_over)r->over, r->value, r->count, r->per_ns};
	}
	return img->rates.count;
}

size_t pol_view_name(const struct pol_image *img, uint32_t view, char *buf, size_t size)
{
	uint32_t set = pol_view_layers(img, view);
	struct pol_layer l;
	size_t n = 0;

	if (size)
		*buf = 0;
	set &= (uint32_t)((1ull << (img->layers.count - img->phases.count)) - 1);
	for (size_t i = set == 1 ? 0 : 1; i < img->layers.count; i++) {
		if (!(set >> i & 1))
			continue;
		pol_image_layer(img, i, &l);
		n += (size_t)snprintf(buf + MIN(n, size), size - MIN(n, size), "%s%s", n ? "+" : "",
				      i ? l.name : "self");
	}
	return n;
}

/* May the pattern single out something below the directory path? */
static bool reaches_into(const struct pol_image *img, const struct img_pattern *p, const char *path,
			 size_t len)
{
	const char *text = string_at(img, p->str);
	size_t fixed = p->literal;

	if (fixed > len)
		return !memcmp(text, path, len) && text[len] == '/';
	return fixed < p->len && !memcmp(text, path, fixed);
}

bool pol_tree_uniform(const struct pol_image *img, const char *path, size_t len)
{
	const struct img_path *p = IMG_AT(img, paths, struct img_path);
	const struct img_exec *x = IMG_AT(img, execs, struct img_exec);

	for (uint32_t i = 0; i < img->paths.count; i++)
		if (reaches_into(img, &p[i].pat, path, len))
			return false;
	for (uint32_t i = 0; i < img->execs.count; i++)
		if (reaches_into(img, &x[i].pat, path, len))
			return false;
	return true;
}
