/* Assembles a policy image. */
#include "policy/image_build.h"

#include <stdlib.h>
#include <string.h>
#include "base/digest.h"
#include "base/overflow.h"

#define PAGE 4096

static const struct part {
	size_t section; /* offset of its struct img_section in the header */
	size_t size;	/* of one element */
} parts[IMG_BUILD_PARTS] = {
    [IMG_BUILD_CALLS] = {offsetof(struct pol_image, calls), sizeof(struct img_verdict)},
    [IMG_BUILD_INSNS] = {offsetof(struct pol_image, insns), sizeof(struct img_insn)},
    [IMG_BUILD_VERDICTS] = {offsetof(struct pol_image, verdicts), sizeof(struct img_verdict)},
    [IMG_BUILD_RANGES] = {offsetof(struct pol_image, ranges), sizeof(struct img_range)},
    [IMG_BUILD_PATTERNS] = {offsetof(struct pol_image, patterns), sizeof(struct img_pattern)},
    [IMG_BUILD_PATHS] = {offsetof(struct pol_image, paths), sizeof(struct img_path)},
    [IMG_BUILD_NETS] = {offsetof(struct pol_image, nets), sizeof(struct img_net)},
    [IMG_BUILD_EXECS] = {offsetof(struct pol_image, execs), sizeof(struct img_exec)},
    [IMG_BUILD_ARGVS] = {offsetof(struct pol_image, argvs), sizeof(struct img_argv)},
    [IMG_BUILD_LAYERS] = {offsetof(struct pol_image, layers), sizeof(struct img_layer)},
    [IMG_BUILD_VIEWS] = {offsetof(struct pol_image, views), sizeof(struct img_view)},
    [IMG_BUILD_RATES] = {offsetof(struct pol_image, rates), sizeof(struct img_rate)},
    [IMG_BUILD_PHASES] = {offsetof(struct pol_image, phases), sizeof(struct img_phase)},
    [IMG_BUILD_SCRATCH] = {offsetof(struct pol_image, scratch), sizeof(struct img_scratch)},
    [IMG_BUILD_RULES] = {offsetof(struct pol_image, rules), sizeof(struct img_rule)},
    [IMG_BUILD_STRINGS] = {offsetof(struct pol_image, strings), 1},
};

void img_build_init(struct img_build *b)
{
	memset(b, 0, sizeof(*b));
	buf_putc(&b->part[IMG_BUILD_STRINGS], 0);
}

void img_build_free(struct img_build *b)
{
	for (unsigned i = 0; i < IMG_BUILD_PARTS; i++)
		buf_free(&b->part[i]);
	free(b->interned);
	b->interned = NULL;
}

uint32_t img_build_string(struct img_build *b, const char *s)
{
	uint32_t at = (uint32_t)b->part[IMG_BUILD_STRINGS].len;
	uint32_t *list;

	if (!s || !*s || b->part[IMG_BUILD_STRINGS].failed || b->failed)
		return 0;
	for (size_t i = 0; i < b->nr_interned; i++)
		if (!strcmp(b->part[IMG_BUILD_STRINGS].data + b->interned[i], s))
			return b->interned[i];
	list = reallocarray(b->interned, b->nr_interned + 1, sizeof(*list));
	if (!list) {
		b->failed = true;
		return 0;
	}
	b->interned = list;
	b->interned[b->nr_interned++] = at;
	buf_append(&b->part[IMG_BUILD_STRINGS], s, strlen(s) + 1);
	return at;
}

static uint32_t append(struct img_build *b, enum img_build_part part, const void *p)
{
	uint32_t index = (uint32_t)(b->part[part].len / parts[part].size);

	buf_append(&b->part[part], p, parts[part].size);
	return index;
}

uint32_t img_build_rule(struct img_build *b, const struct img_rule *rule)
{
	return append(b, IMG_BUILD_RULES, rule);
}

uint32_t img_build_verdict(struct img_build *b, const struct img_verdict *v)
{
	const struct buf *all = &b->part[IMG_BUILD_VERDICTS];

	for (size_t i = 0; i < all->len / sizeof(*v); i++)
		if (!memcmp(all->data + i * sizeof(*v), v, sizeof(*v)))
			return (uint32_t)i;
	return append(b, IMG_BUILD_VERDICTS, v);
}

uint32_t img_build_insn(struct img_build *b, const struct img_insn *in)
{
	return append(b, IMG_BUILD_INSNS, in);
}

uint32_t img_build_range(struct img_build *b, uint64_t lo, uint64_t hi)
{
	struct img_range r = {lo, hi};

	return append(b, IMG_BUILD_RANGES, &r);
}

uint32_t img_build_pattern(struct img_build *b, const struct img_pattern *p)
{
	return append(b, IMG_BUILD_PATTERNS, p);
}

uint32_t img_build_path(struct img_build *b, const struct img_path *p)
{
	return append(b, IMG_BUILD_PATHS, p);
}

uint32_t img_build_net(struct img_build *b, const struct img_net *n)
{
	return append(b, IMG_BUILD_NETS, n);
}

uint32_t img_build_exec(struct img_build *b, const struct img_exec *x)
{
	return append(b, IMG_BUILD_EXECS, x);
}

uint32_t img_build_argv(struct img_build *b, const struct img_argv *a)
{
	return append(b, IMG_BUILD_ARGVS, a);
}

uint32_t img_build_layer(struct img_build *b, const struct img_layer *l)
{
	return append(b, IMG_BUILD_LAYERS, l);
}

uint32_t img_build_rate(struct img_build *b, const struct img_rate *r)
{
	return append(b, IMG_BUILD_RATES, r);
}

uint32_t img_build_phase(struct img_build *b, const struct img_phase *p)
{
	return append(b, IMG_BUILD_PHASES, p);
}

uint32_t img_build_view(struct img_build *b, uint32_t layers)
{
	struct img_view v = {.layers = layers};

	return append(b, IMG_BUILD_VIEWS, &v);
}

uint32_t img_build_count(const struct img_build *b, enum img_build_part part)
{
	return (uint32_t)(b->part[part].len / parts[part].size);
}

uint32_t img_build_scratch(struct img_build *b, const struct img_scratch *s)
{
	return append(b, IMG_BUILD_SCRATCH, s);
}

void img_build_call(struct img_build *b, const struct img_verdict *v)
{
	append(b, IMG_BUILD_CALLS, v);
}

void img_build_plain(struct img_build *b)
{
	struct img_layer own = {.flags = IMG_LAYER_FILES | IMG_LAYER_NET, .dflt = b->head.dflt};

	own.paths.n = img_build_count(b, IMG_BUILD_PATHS);
	own.nets.n = img_build_count(b, IMG_BUILD_NETS);
	img_build_layer(b, &own);
	img_build_view(b, 1);
}

struct img_insn *img_build_insn_at(struct img_build *b, uint32_t index)
{
	struct buf *all = &b->part[IMG_BUILD_INSNS];

	return all->failed ? NULL : (struct img_insn *)(void *)all->data + index;
}

uint32_t img_build_insns(const struct img_build *b)
{
	return (uint32_t)(b->part[IMG_BUILD_INSNS].len / sizeof(struct img_insn));
}

struct img_pattern img_build_tokens(struct img_build *b, const char *t, size_t len, bool tail)
{
	const char *token = memchr(t, 0, len);
	struct img_pattern p = {
	    .str = (uint32_t)b->part[IMG_BUILD_STRINGS].len,
	    .len = (uint32_t)len,
	    .literal = (uint32_t)(token ? (size_t)(token - t) : len),
	    .tail = tail,
	};

	buf_append(&b->part[IMG_BUILD_STRINGS], t, len);
	return p;
}

void *img_alloc(size_t len)
{
	size_t size = ALIGN_UP(len ? len : 1, (size_t)PAGE);
	char *p = aligned_alloc(PAGE, size);

	if (p)
		memset(p, 0, size);
	return p;
}

const struct pol_image *img_build_finish(struct img_build *b, struct sbx_err **e)
{
	const size_t covered = offsetof(struct pol_image, digest);
	size_t total = sizeof(struct pol_image) + IMG_CALLS, at = sizeof(struct pol_image);
	struct pol_image *img;
	char *base;

	buf_putc(&b->part[IMG_BUILD_STRINGS], 0);
	for (unsigned i = 0; i < IMG_BUILD_PARTS; i++) {
		b->failed |= b->part[i].failed;
		total += ALIGN_UP(b->part[i].len, (size_t)8);
	}
	img = b->failed || total > IMG_MAX_SIZE || img_build_insns(b) > IMG_MAX_INSNS
		  ? NULL
		  : img_alloc(total);
	if (!img) {
		sbx_err_set(e, "the policy is too large, or memory is out");
		return NULL;
	}
	base = (char *)img;
	*img = b->head;
	memcpy(img->magic, IMG_MAGIC, sizeof(img->magic));
	img->version = IMG_VERSION;
	img->header_size = sizeof(*img);
	for (unsigned i = 0; i < IMG_BUILD_PARTS; i++) {
		const struct buf *part = &b->part[i];
		struct img_section s = {(uint32_t)at, (uint32_t)(part->len / parts[i].size)};

		if (part->len)
			memcpy(base + at, part->data, part->len);
		memcpy(base + parts[i].section, &s, sizeof(s));
		at += ALIGN_UP(part->len, (size_t)8);
	}
	img->tier0 = (struct img_section){(uint32_t)at, IMG_CALLS};
	memcpy(base + at, b->tier0, IMG_CALLS);
	img->size = at + IMG_CALLS;
	digest_sha256(base + covered, img->size - covered, img->checksum);
	if (!pol_image_verify(img, img->size, e)) {
		free(img);
		return NULL;
	}
	return img;
}
