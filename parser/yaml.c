#include "parser/yaml.h"

#include <string.h>
#include <yaml.h>

struct yctx {
	struct parser_ctx *ctx;
	uint32_t file;
	struct source *src;
	yaml_parser_t yaml;
	unsigned nodes;
	bool failed; /* reported; stop */
};

static size_t mark_offset(const struct yctx *y, yaml_mark_t m)
{
	return source_offset(y->src, m.line, m.column);
}

static struct src_span span_of(const struct yctx *y, size_t start, size_t end)
{
	return source_span(&y->ctx->sources, y->file, start, end);
}

static struct src_span event_span(const struct yctx *y, const yaml_event_t *ev)
{
	return span_of(y, mark_offset(y, ev->start_mark), mark_offset(y, ev->end_mark));
}

static void fail(struct yctx *y, struct src_span at, const char *code, const char *msg, const char *help)
{
	struct diag *d = diag_error(&y->ctx->diags, at, code, "%s", msg);

	if (help)
		diag_help(&y->ctx->diags, d, "%s", help);
	y->failed = true;
}

/* ---- libyaml's own errors ---- */

static void yaml_failed(struct yctx *y)
{
	const yaml_parser_t *p = &y->yaml;
	const char *problem = p->problem ? p->problem : "not YAML";
	size_t off = mark_offset(y, p->problem_mark);
	struct diag *d;

	if (p->error == YAML_MEMORY_ERROR) {
		fail(y, span_of(y, 0, 0), "P008", "out of memory", NULL);
		return;
	}
	d = diag_error(&y->ctx->diags, span_of(y, off, off), "P001", "%s", problem);
	if (p->context && p->context_mark.line != p->problem_mark.line) {
		off = mark_offset(y, p->context_mark);
		diag_relate(&y->ctx->diags, d, span_of(y, off, off), "%s", p->context);
	}
	if (strstr(problem, "found a tab character"))
		diag_help(&y->ctx->diags, d, "lines are indented with blanks; tabs may stand between words");
	else if (strstr(problem, "cannot start any token") && off < y->src->len && y->src->bytes[off] == '\t')
		diag_help(&y->ctx->diags, d, "YAML is indented with blanks, not tabs");
	else if (strstr(problem, "cannot start any token"))
		diag_help(&y->ctx->diags, d, "write sentences in a block: 'rules: |', then indented lines");
	else if (strstr(problem, "mapping values are not allowed"))
		diag_help(&y->ctx->diags, d,
			  "a text with ': ' in it stands in a block after '|', or in quotes");
	y->failed = true;
}

static bool next_event(struct yctx *y, yaml_event_t *ev)
{
	if (y->failed)
		return false;
	if (yaml_parser_parse(&y->yaml, ev))
		return true;
	yaml_failed(y);
	return false;
}

/* ---- nodes ---- */

static struct ynode *new_node(struct yctx *y, enum ynode_kind kind, struct src_span at)
{
	struct ynode *n;

	if (++y->nodes > YAML_MAX_NODES) {
		fail(y, at, "P008", "too many keys and values in one file", NULL);
		return NULL;
	}
	n = arena_new(&y->ctx->arena, struct ynode);
	if (!n) {
		fail(y, at, "P008", "out of memory", NULL);
		return NULL;
	}
	n->kind = kind;
	n->span = at;
	return n;
}

/* The lines of a | block in the file itself: from the line below the | to the block's end. */
static void find_body(struct yctx *y, struct ynode *n, const yaml_event_t *ev)
{
	n->literal = true;
	n->body_start = source_offset(y->src, ev->start_mark.line + 1, 0);
	n->body_end = mark_offset(y, ev->end_mark);
	if (n->body_end < n->body_start)
		n->body_end = n->body_start;
}

/* Blanks and line ends after a plain text do not belong to it. */
static struct src_span trimmed(const struct yctx *y, struct src_span at)
{
	while (at.end > at.start && strchr(" \t\n", y->src->bytes[at.end - 1]))
		at.end--;
	return at;
}

static struct ynode *scalar(struct yctx *y, const yaml_event_t *ev)
{
	struct src_span at = trimmed(y, event_span(y, ev));
	struct ynode *n = new_node(y, YNODE_SCALAR, at);
	const char *value = (const char *)ev->data.scalar.value;

	if (!n)
		return NULL;
	if (memchr(value, '\0', ev->data.scalar.length)) {
		fail(y, at, "P007", "a value cannot hold a NUL character", NULL);
		return NULL;
	}
	n->text = arena_strndup(&y->ctx->arena, value, ev->data.scalar.length);
	n->multiline = ev->start_mark.line != ev->end_mark.line &&
		       memchr(y->src->bytes + at.start, '\n', at.end - at.start);
	switch (ev->data.scalar.style) {
	case YAML_LITERAL_SCALAR_STYLE:
		n->multiline = false;
		find_body(y, n, ev);
		break;
	case YAML_FOLDED_SCALAR_STYLE:
		n->folded = true;
		break;
	case YAML_SINGLE_QUOTED_SCALAR_STYLE:
	case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
		n->quoted = true;
		break;
	default:
		break;
	}
	if (!n->text)
		fail(y, at, "P008", "out of memory", NULL);
	return n->text ? n : NULL;
}

/* Anchors and tags make a text mean something that is not written where it is used. */
static bool check_plain(struct yctx *y, const yaml_event_t *ev, const yaml_char_t *anchor,
			const yaml_char_t *tag)
{
	if (anchor)
		fail(y, event_span(y, ev), "P002", "anchors are not allowed in a policy",
		     "write the value where it is used");
	else if (tag)
		fail(y, event_span(y, ev), "P002", "tags are not allowed in a policy",
		     "every value is text; its key says what it means");
	return !y->failed;
}

static struct ynode *node(struct yctx *y, const yaml_event_t *ev, unsigned depth);

static struct ynode *list(struct yctx *y, struct src_span at, unsigned depth)
{
	struct ynode *n = new_node(y, YNODE_LIST, at), **tail;
	yaml_event_t ev;

	if (!n)
		return NULL;
	for (tail = &n->kids; next_event(y, &ev);) {
		bool end = ev.type == YAML_SEQUENCE_END_EVENT;

		if (!end && (*tail = node(y, &ev, depth)) != NULL)
			tail = &(*tail)->next;
		yaml_event_delete(&ev);
		if (end)
			break;
	}
	return n;
}

static struct ynode *find_key(const struct ynode *map, const char *text)
{
	for (struct ynode *k = map->kids; k; k = k->next)
		if (!strcmp(k->text, text))
			return k;
	return NULL;
}

/* Is this key fit to be added? Reports why not. */
static bool check_key(struct yctx *y, const struct ynode *map, const struct ynode *key)
{
	const struct ynode *old;

	if (key->kind != YNODE_SCALAR) {
		fail(y, key->span, "P002", "a key is a plain word", NULL);
		return false;
	}
	if (!strcmp(key->text, "<<")) {
		fail(y, key->span, "P002", "merge keys are not allowed in a policy",
		     "name shared files under use:");
		return false;
	}
	old = find_key(map, key->text);
	if (!old)
		return true;
	diag_relate(&y->ctx->diags,
		    diag_error(&y->ctx->diags, key->span, "P003", "'%s' is written twice", key->text),
		    old->span, "first written here");
	return false;
}

static struct ynode *map(struct yctx *y, struct src_span at, unsigned depth)
{
	struct ynode *n = new_node(y, YNODE_MAP, at), **tail, *key = NULL;
	yaml_event_t ev;
	bool is_key = true;

	if (!n)
		return NULL;
	for (tail = &n->kids; next_event(y, &ev); is_key = !is_key) {
		bool end = ev.type == YAML_MAPPING_END_EVENT;
		struct ynode *child = end ? NULL : node(y, &ev, depth);

		yaml_event_delete(&ev);
		if (end)
			break;
		if (!child)
			continue;
		if (!is_key) {
			if (key)
				key->value = child;
			continue;
		}
		key = check_key(y, n, child) ? child : NULL;
		if (key) {
			*tail = key;
			tail = &key->next;
		}
	}
	return n;
}

static struct ynode *node(struct yctx *y, const yaml_event_t *ev, unsigned depth)
{
	if (depth >= YAML_MAX_DEPTH) {
		fail(y, event_span(y, ev), "P008", "nested too deeply", NULL);
		return NULL;
	}
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		if (!check_plain(y, ev, ev->data.scalar.anchor, ev->data.scalar.tag))
			return NULL;
		return scalar(y, ev);
	case YAML_SEQUENCE_START_EVENT:
		if (!check_plain(y, ev, ev->data.sequence_start.anchor, ev->data.sequence_start.tag))
			return NULL;
		return list(y, event_span(y, ev), depth + 1);
	case YAML_MAPPING_START_EVENT:
		if (!check_plain(y, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag))
			return NULL;
		return map(y, event_span(y, ev), depth + 1);
	case YAML_ALIAS_EVENT:
		fail(y, event_span(y, ev), "P002", "aliases are not allowed in a policy",
		     "a name that starts with * stands in quotes");
		return NULL;
	default:
		fail(y, event_span(y, ev), "P001", "not a policy", NULL);
		return NULL;
	}
}

static void check_document(struct yctx *y, const yaml_event_t *ev)
{
	if (ev->data.document_start.version_directive || ev->data.document_start.tag_directives.start !=
								 ev->data.document_start.tag_directives.end)
		fail(y, event_span(y, ev), "P002", "YAML directives are not allowed in a policy", NULL);
}

static struct ynode *stream(struct yctx *y)
{
	struct ynode *root = NULL;
	bool seen = false, end = false;
	yaml_event_t ev;

	while (!end && next_event(y, &ev)) {
		switch (ev.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_STREAM_END_EVENT:
			end = true;
			break;
		case YAML_DOCUMENT_START_EVENT:
			check_document(y, &ev);
			if (seen)
				fail(y, event_span(y, &ev), "P002", "a policy file is one YAML document",
				     NULL);
			seen = true;
			break;
		default:
			root = node(y, &ev, 0);
			break;
		}
		yaml_event_delete(&ev);
	}
	return root;
}

struct ynode *yaml_parse(struct parser_ctx *ctx, uint32_t file)
{
	struct yctx y = { .ctx = ctx, .file = file, .src = ctx->sources.files[file] };
	struct ynode *root;

	if (!yaml_parser_initialize(&y.yaml)) {
		fail(&y, span_of(&y, 0, 0), "P008", "out of memory", NULL);
		return NULL;
	}
	yaml_parser_set_encoding(&y.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y.yaml, (const unsigned char *)y.src->bytes, y.src->len);
	root = stream(&y);
	yaml_parser_delete(&y.yaml);
	return root;
}
