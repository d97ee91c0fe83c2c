/* The nearest miss: which grant comes closest to what was refused, and why it does not cover it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "base/overflow.h"
#include "policy/image.h"
#include "policy/image_format.h"
#include "policy/pattern.h"

/* In the order of enum pol_verb. */
static const char *const verb_names[] = {"read",   "list",   "stat", "write", "append",
					 "create", "delete", "exec", "link",  "connect",
					 "start"};

static void list_verbs(uint32_t verbs, struct buf *b)
{
	bool first = true;

	for (unsigned i = 0; i < ARRAY_SIZE(verb_names); i++) {
		if (!(verbs >> i & 1))
			continue;
		buf_printf(b, "%s%s", first ? "" : ",", verb_names[i]);
		first = false;
	}
}

static void print_pattern(const struct pol_image *img, const struct img_pattern *p, struct buf *b)
{
	struct pattern pat = {
	    .t = IMG_AT(img, strings, char) + p->str, .len = p->len, .tail = p->tail};

	pattern_print(&pat, b);
}

static void finish(struct pol_near *out, uint32_t rule, struct buf *b)
{
	out->rule = rule;
	out->conditions = false;
	snprintf(out->why, sizeof(out->why), "%s", b->data ? b->data : "");
	buf_free(b);
}

/* Length of the common start in whole components, without the root's slash. */
static size_t shared(const char *a, size_t na, const char *b, size_t nb)
{
	size_t n = MIN(na, nb), last = 0;

	for (size_t i = 0; i < n && a[i] == b[i]; i++)
		if (a[i] == '/')
			last = i;
	return last;
}

/* The layers of a view, as numbers: the next one after i, or the number of layers. */
static unsigned next_layer(const struct pol_image *img, uint32_t view, unsigned i)
{
	uint32_t set = pol_view_layers(img, view);

	for (i++; i < img->layers.count && !(set >> i & 1); i++)
		;
	return i;
}

static const struct img_layer *layer_at(const struct pol_image *img, unsigned layer)
{
	return IMG_AT(img, layers, struct img_layer) + layer;
}

/* The first layer that refuses: what it grants is what comes near. */
static const struct img_layer *refusing_path(const struct pol_image *img, uint32_t view,
					     uint32_t verbs, const char *path, size_t len)
{
	struct pol_verdict v;

	for (unsigned i = 0; i < img->layers.count; i = next_layer(img, view, i)) {
		img_layer_path(img, i, verbs, path, len, &v);
		if (v.action != POL_ALLOW)
			return layer_at(img, i);
	}
	return layer_at(img, 0);
}

bool pol_near_path(const struct pol_image *img, uint32_t view, uint32_t verbs, const char *path,
		   size_t len, struct pol_near *out)
{
	const struct img_layer *l = refusing_path(img, view, verbs, path, len);
	const struct img_path *e = IMG_AT(img, paths, struct img_path) + l->paths.at, *best = NULL,
			      *other = NULL;
	const char *strings = IMG_AT(img, strings, char);
	struct buf b = BUF_INIT;
	size_t best_len = 0;

	for (uint32_t i = 0; i < l->paths.n; i++, e++) {
		size_t n = shared(path, len, strings + e->pat.str, e->pat.literal);

		if (e->v.action != POL_ALLOW || !(e->verbs & ~(uint32_t)POL_V_STAT))
			continue;
		if (!other && (verbs & ~e->verbs) && img_test_pattern(img, &e->pat, path, len))
			other = e;
		if (!(verbs & ~e->verbs) && n > best_len) {
			best = e;
			best_len = n;
		}
	}
	if (other) {
		print_pattern(img, &other->pat, &b);
		buf_puts(&b, " grants ");
		list_verbs(other->verbs & ~(uint32_t)POL_V_STAT, &b);
		buf_puts(&b, ", not ");
		list_verbs(verbs & ~other->verbs, &b);
		finish(out, other->v.rule, &b);
		return true;
	}
	if (!best)
		return false;
	print_pattern(img, &best->pat, &b);
	buf_puts(&b, " does not cover it");
	finish(out, best->v.rule, &b);
	return true;
}

/* ---- programs ---- */

static const struct img_layer *refusing_exec(const struct pol_image *img, uint32_t view,
					     const struct pol_program *prog)
{
	struct pol_verdict v;
	uint32_t enters;

	for (unsigned i = 0; i < img->layers.count; i = next_layer(img, view, i)) {
		img_layer_exec(img, i, prog, &v, &enters);
		if (v.action != POL_ALLOW)
			return layer_at(img, i);
	}
	return layer_at(img, 0);
}

/* Says which condition does not hold, without saying what the argument is. */
static void print_condition(const struct pol_image *img, const struct img_exec *e,
			    const struct pol_program *prog, struct buf *b)
{
	const struct img_argv *c = IMG_AT(img, argvs, struct img_argv) + e->argv_at;

	for (uint32_t i = 0; i < e->argv_n; i++, c++) {
		if (img_test_argv(img, c, prog))
			continue;
		if (c->kind == IMG_ARGV_COUNT)
			buf_printf(b, ": not with %u arguments", prog->argc);
		else if (!(c->flags & IMG_ARGV_REST) && c->index >= prog->argc)
			buf_printf(b, ": there is no argv[%u]", c->index);
		else
			buf_printf(b, ": not with this argv[%u%s]", c->index,
				   c->flags & IMG_ARGV_REST ? ".." : "");
		return;
	}
}

/* The line that decides about the program, when it is one that starts it. */
static bool near_condition(const struct pol_image *img, const struct img_exec *e,
			   const struct pol_program *prog, struct pol_near *out)
{
	struct buf b = BUF_INIT;

	if (e->v.action != POL_ALLOW)
		return false;
	print_pattern(img, &e->pat, &b);
	if (prog->argv)
		print_condition(img, e, prog, &b);
	finish(out, e->v.rule, &b);
	out->conditions = true;
	return true;
}

bool pol_near_exec(const struct pol_image *img, uint32_t view, const struct pol_program *prog,
		   struct pol_near *out)
{
	const struct img_layer *l = refusing_exec(img, view, prog);
	const struct img_exec *e = IMG_AT(img, execs, struct img_exec) + l->execs.at, *best = NULL;
	struct buf b = BUF_INIT;
	size_t best_len = 0;

	for (uint32_t i = 0; i < l->execs.n; i++, e++) {
		size_t n = shared(prog->path, prog->len, IMG_AT(img, strings, char) + e->pat.str,
				  e->pat.literal);

		if (img_test_pattern(img, &e->pat, prog->path, prog->len))
			return near_condition(img, e, prog, out);
		if (e->v.action == POL_ALLOW && n > best_len) {
			best = e;
			best_len = n;
		}
	}
	if (!best)
		return false;
	print_pattern(img, &best->pat, &b);
	buf_puts(&b, " does not cover it");
	finish(out, best->v.rule, &b);
	return true;
}

/* ---- addresses ---- */

static unsigned shared_bits(const uint8_t *a, const uint8_t *b, unsigned max)
{
	unsigned n = 0;

	while (n < max && !((a[n / 8] ^ b[n / 8]) & 0x80 >> n % 8))
		n++;
	return n;
}

static void print_net(const struct img_net *n, struct buf *b)
{
	char ip[INET6_ADDRSTRLEN] = "*";

	if (n->family)
		inet_ntop(n->family == 4 ? AF_INET : AF_INET6, n->ip, ip, sizeof(ip));
	buf_printf(b, n->family == 6 ? "[%s]" : "%s", ip);
	if (n->family && n->prefix != (n->family == 4 ? 32 : 128))
		buf_printf(b, "/%u", n->prefix);
	if (n->port_lo == 0 && n->port_hi == UINT16_MAX)
		buf_puts(b, ":*");
	else if (n->port_lo == n->port_hi)
		buf_printf(b, ":%u", n->port_lo);
	else
		buf_printf(b, ":%u-%u", n->port_lo, n->port_hi);
}

static bool near_unix(const struct pol_image *img, const struct img_net *e,
		      const struct pol_addr *a, size_t *score)
{
	*score = a->path ? shared(a->path, a->path_len, IMG_AT(img, strings, char) + e->pat.str,
				  e->pat.literal)
			 : 0;
	return *score > 0;
}

/* An address that the entry does not cover: same port, or a neighbour of the address. */
static bool near_inet(const struct img_net *e, const struct pol_addr *a, size_t *score)
{
	bool port = a->port >= e->port_lo && a->port <= e->port_hi;
	unsigned bits = e->family == a->family ? shared_bits(e->ip, a->ip, e->prefix) : 0;

	*score = bits + (port ? 8 : 0) + 1;
	return port || (e->prefix && bits == e->prefix) || bits >= 16;
}

static const struct img_layer *refusing_net(const struct pol_image *img, uint32_t view, uint32_t nverb,
					    const struct pol_addr *addr)
{
	struct pol_verdict v;

	for (unsigned i = 0; i < img->layers.count; i = next_layer(img, view, i)) {
		img_layer_net(img, i, nverb, addr, &v);
		if (v.action != POL_ALLOW)
			return layer_at(img, i);
	}
	return layer_at(img, 0);
}

bool pol_near_net(const struct pol_image *img, uint32_t view, uint32_t nverb,
		  const struct pol_addr *addr, struct pol_near *out)
{
	const struct img_layer *l = refusing_net(img, view, nverb, addr);
	const struct img_net *e = IMG_AT(img, nets, struct img_net) + l->nets.at, *best = NULL;
	struct buf b = BUF_INIT;
	size_t score, best_score = 0;

	for (uint32_t i = 0; i < l->nets.n; i++, e++) {
		if (e->v.action != POL_ALLOW || nverb > POL_NET_SEND || !(e->verbs >> nverb & 1) ||
		    e->proto != addr->proto)
			continue;
		if (!(e->proto == POL_PROTO_UNIX ? near_unix(img, e, addr, &score)
						 : near_inet(e, addr, &score)))
			continue;
		if (score > best_score) {
			best = e;
			best_score = score;
		}
	}
	if (!best)
		return false;
	if (best->proto == POL_PROTO_UNIX)
		print_pattern(img, &best->pat, &b);
	else
		print_net(best, &b);
	buf_puts(&b, " does not cover it");
	finish(out, best->v.rule, &b);
	return true;
}
