#include "parser/diag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fdx.h"

#define EXCERPT_MAX 120 /* characters of a source line that are shown */

void diag_init(struct diag_list *l, const struct source_set *sources)
{
	memset(l, 0, sizeof(*l));
	l->sources = sources;
}

void diag_free(struct diag_list *l)
{
	arena_free(&l->arena);
	memset(l, 0, sizeof(*l));
}

static const char *vformat(struct diag_list *l, const char *fmt, va_list ap)
{
	char *s, *copy;

	if (vasprintf(&s, fmt, ap) < 0)
		return "out of memory";
	copy = arena_strdup(&l->arena, s);
	free(s);
	return copy ? copy : "out of memory";
}

static bool repeated(const struct diag_list *l, struct src_span at, const char *code)
{
	for (unsigned i = 0; i < l->nr; i++) {
		const struct diag *d = &l->recs[i];

		if (d->at.line && d->at.file == at.file && d->at.start == at.start &&
		    !strcmp(d->code, code))
			return true;
	}
	return false;
}

static struct diag *take_slot(struct diag_list *l, enum diag_severity sev, struct src_span at,
			      const char *code)
{
	unsigned kept = 0;
	unsigned max = sev == DIAG_ERROR ? DIAG_MAX_ERRORS : DIAG_MAX_WARNINGS;

	memset(&l->spare, 0, sizeof(l->spare));
	if (repeated(l, at, code))
		return &l->spare;
	if (sev == DIAG_ERROR)
		l->errors++;
	else
		l->warnings++;
	for (unsigned i = 0; i < l->nr; i++)
		kept += l->recs[i].severity == sev;
	return kept < max ? &l->recs[l->nr++] : &l->spare;
}

static struct diag *queue(struct diag_list *l, enum diag_severity sev, struct src_span at,
			  const char *code, const char *fmt, va_list ap)
{
	struct diag *d = take_slot(l, sev, at, code);

	d->severity = sev;
	d->at = at;
	d->seq = l->nr;
	snprintf(d->code, sizeof(d->code), "%s", code);
	if (d != &l->spare)
		d->msg = vformat(l, fmt, ap);
	return d;
}

struct diag *diag_error(struct diag_list *l, struct src_span at, const char *code, const char *fmt,
			...)
{
	struct diag *d;
	va_list ap;

	va_start(ap, fmt);
	d = queue(l, DIAG_ERROR, at, code, fmt, ap);
	va_end(ap);
	return d;
}

struct diag *diag_warn(struct diag_list *l, struct src_span at, const char *code, const char *fmt, ...)
{
	struct diag *d;
	va_list ap;

	va_start(ap, fmt);
	d = queue(l, DIAG_WARNING, at, code, fmt, ap);
	va_end(ap);
	return d;
}

void diag_label(struct diag_list *l, struct diag *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (d != &l->spare)
		d->label = vformat(l, fmt, ap);
	va_end(ap);
}

void diag_help(struct diag_list *l, struct diag *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (d != &l->spare)
		d->help = vformat(l, fmt, ap);
	va_end(ap);
}

void diag_relate(struct diag_list *l, struct diag *d, struct src_span at, const char *fmt, ...)
{
	va_list ap;
	struct diag_related *r;

	if (d == &l->spare || d->nr_related == DIAG_MAX_RELATED)
		return;
	r = &d->related[d->nr_related++];
	r->at = at;
	if (!fmt)
		return;
	va_start(ap, fmt);
	r->msg = vformat(l, fmt, ap);
	va_end(ap);
}

/* ---- printing ---- */

static const struct source *place(const struct source_set *set, struct src_span at)
{
	const struct source *s = source_get(set, at.file);

	return at.line && s && at.line <= s->nr_lines ? s : NULL;
}

static void put_chain(const struct source_set *set, const struct source *s, struct buf *out)
{
	for (unsigned i = 0; i < SOURCE_MAX_FILES && s->from.line; i++) {
		const struct source *up = source_get(set, s->from.file);

		if (!up)
			return;
		buf_printf(out, "in %s, used by %s:%u:\n", s->name, up->name, s->from.line);
		s = up;
	}
}

/* Text of the file, or a message that may quote it: what a policy may not hold is shown as ?, lest a
 * report play tricks with the terminal. */
static void put_clean(struct buf *out, const char *s, size_t len)
{
	uint32_t cp;

	for (size_t i = 0; i < len;) {
		size_t n = source_char(s + i, len - i, &cp);

		if (!n || source_char_refused(cp) || cp == '\n')
			buf_putc(out, '?');
		else
			buf_append(out, s + i, n);
		i += n ? n : 1;
	}
}

static void put_text(struct buf *out, const char *s)
{
	put_clean(out, s, strlen(s));
}

static void put_head(const struct source_set *set, struct src_span at, const char *what,
		     const char *code, const char *msg, struct buf *out)
{
	const struct source *s = place(set, at);

	if (s)
		buf_printf(out, "%s:%u:%u: ", s->name, at.line, at.col);
	if (code)
		buf_printf(out, "%s[%s]: ", what, code);
	else
		buf_printf(out, "%s: ", what);
	put_text(out, msg);
	buf_putc(out, '\n');
}

static size_t char_next(const char *p, size_t i, size_t end)
{
	for (i++; i < end && ((unsigned char)p[i] & 0xc0) == 0x80; i++)
		;
	return i;
}

/* The part of a line that is shown: all of it, or a window around the primary span. */
struct excerpt {
	const char *bytes;
	size_t line_start, line_end;
	size_t from, to; /* byte offsets in the file */
};

static void cut_excerpt(const struct source *s, struct src_span at, struct excerpt *x)
{
	size_t chars = 0, back = 0;

	x->bytes = s->bytes;
	x->line_start = s->line_start[at.line - 1];
	x->line_end = at.line < s->nr_lines ? s->line_start[at.line] - 1 : s->len;
	x->from = x->line_start;
	if (at.col > EXCERPT_MAX - 40) {
		for (x->from = at.start; x->from > x->line_start && back < 40; x->from--)
			back += ((unsigned char)s->bytes[x->from] & 0xc0) != 0x80;
		while (x->from < at.start && ((unsigned char)s->bytes[x->from] & 0xc0) == 0x80)
			x->from++;
	}
	for (x->to = x->from; x->to < x->line_end && chars < EXCERPT_MAX; chars++)
		x->to = char_next(s->bytes, x->to, x->line_end);
}

static bool covers(struct src_span sp, size_t off)
{
	return (off >= sp.start && off < sp.end) || (off == sp.start && sp.start >= sp.end);
}

/* Which mark stands under byte off? */
static char mark_at(const struct diag *d, struct src_span at, char mark, size_t off)
{
	if (covers(at, off))
		return mark;
	for (unsigned i = 0; d && i < d->nr_related; i++)
		if (d->related[i].at.line == at.line && d->related[i].at.file == at.file &&
		    covers(d->related[i].at, off))
			return '~';
	return 0;
}

/* The source line and the line of marks below it. d, when given, adds related marks and the label. */
static void put_excerpt(const struct source_set *set, const struct diag *d, struct src_span at,
			char mark, struct buf *out)
{
	const struct source *s = place(set, at);
	struct excerpt x;
	size_t pad = 0;

	if (!s)
		return;
	cut_excerpt(s, at, &x);
	if (x.to == x.from)
		return;
	buf_puts(out, x.from > x.line_start ? "    ..." : "    ");
	put_clean(out, x.bytes + x.from, x.to - x.from);
	buf_puts(out, x.to < x.line_end ? "...\n" : "\n");
	buf_puts(out, x.from > x.line_start ? "       " : "    ");
	/* Padding is only written before the next mark, so that no line ends in blanks. */
	for (size_t i = x.from, from = x.from; i <= x.to; i = char_next(x.bytes, i, x.to + 1)) {
		char m = mark_at(d, at, mark, i);

		if (i == x.to && m && i != at.start)
			break;
		if (!m) {
			pad++;
			continue;
		}
		for (; pad; pad--) {
			buf_putc(out, x.bytes[from] == '\t' ? '\t' : ' ');
			from = char_next(x.bytes, from, x.to + 1);
		}
		buf_putc(out, m);
		from = char_next(x.bytes, i, x.to + 1);
	}
	if (d && d->label) {
		buf_putc(out, ' ');
		put_text(out, d->label);
	}
	buf_putc(out, '\n');
}

static const char *severity_name(enum diag_severity s)
{
	return s == DIAG_ERROR ? "error" : "warning";
}

static void put_related(const struct source_set *set, const struct diag *d, struct buf *out)
{
	for (unsigned i = 0; i < d->nr_related; i++) {
		const struct diag_related *r = &d->related[i];

		if (!r->msg && r->at.line == d->at.line && r->at.file == d->at.file)
			continue;
		put_head(set, r->at, "note", NULL, r->msg ? r->msg : "see also", out);
		if (r->at.line != d->at.line || r->at.file != d->at.file)
			put_excerpt(set, NULL, r->at, '~', out);
	}
}

static void put_record(const struct source_set *set, const struct diag *d, struct buf *out)
{
	const struct source *s = place(set, d->at);

	if (s)
		put_chain(set, s, out);
	put_head(set, d->at, severity_name(d->severity), d->code, d->msg, out);
	put_excerpt(set, d, d->at, '^', out);
	put_related(set, d, out);
	if (d->help) {
		buf_puts(out, "  = help: ");
		put_text(out, d->help);
		buf_putc(out, '\n');
	}
}

static int by_position(const void *pa, const void *pb)
{
	const struct diag *a = *(const struct diag *const *)pa, *b = *(const struct diag *const *)pb;

	if (a->at.file != b->at.file)
		return a->at.file < b->at.file ? -1 : 1;
	if (a->at.start != b->at.start)
		return a->at.start < b->at.start ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static unsigned sorted(const struct diag_list *l, const struct diag **v)
{
	for (unsigned i = 0; i < l->nr; i++)
		v[i] = &l->recs[i];
	qsort(v, l->nr, sizeof(*v), by_position);
	return l->nr;
}

void diag_format(const struct diag_list *l, struct buf *out)
{
	const struct diag *v[DIAG_MAX_ERRORS + DIAG_MAX_WARNINGS];
	unsigned n = sorted(l, v);

	for (unsigned i = 0; i < n; i++)
		put_record(l->sources, v[i], out);
	if (l->errors > DIAG_MAX_ERRORS)
		buf_printf(out, "%u more errors are not shown\n", l->errors - DIAG_MAX_ERRORS);
	if (l->warnings > DIAG_MAX_WARNINGS)
		buf_printf(out, "%u more warnings are not shown\n", l->warnings - DIAG_MAX_WARNINGS);
}

static void put_json_place(const struct source_set *set, struct src_span at, struct buf *out)
{
	const struct source *s = place(set, at);

	if (!s)
		return;
	buf_puts(out, "\"file\":");
	buf_json_str(out, s->name, strlen(s->name));
	buf_printf(out, ",\"line\":%u,\"column\":%u,\"start\":%u,\"end\":%u,", at.line, at.col, at.start,
		   at.end);
}

static void put_json_member(const char *key, const char *value, struct buf *out)
{
	if (!value)
		return;
	buf_printf(out, ",\"%s\":", key);
	buf_json_str(out, value, strlen(value));
}

static void put_json_record(const struct source_set *set, const struct diag *d, struct buf *out)
{
	buf_putc(out, '{');
	put_json_place(set, d->at, out);
	buf_printf(out, "\"severity\":\"%s\",\"code\":\"%s\"", severity_name(d->severity), d->code);
	put_json_member("message", d->msg, out);
	put_json_member("label", d->label, out);
	put_json_member("help", d->help, out);
	if (d->nr_related)
		buf_puts(out, ",\"related\":[");
	for (unsigned i = 0; i < d->nr_related; i++) {
		buf_puts(out, i ? ",{" : "{");
		put_json_place(set, d->related[i].at, out);
		buf_puts(out, "\"severity\":\"note\"");
		put_json_member("message", d->related[i].msg, out);
		buf_putc(out, '}');
	}
	buf_puts(out, d->nr_related ? "]}\n" : "}\n");
}

void diag_format_json(const struct diag_list *l, struct buf *out)
{
	const struct diag *v[DIAG_MAX_ERRORS + DIAG_MAX_WARNINGS];
	unsigned n = sorted(l, v);

	for (unsigned i = 0; i < n; i++)
		put_json_record(l->sources, v[i], out);
}

int diag_write(const struct diag_list *l, int fd, bool json)
{
	struct buf out = BUF_INIT;
	int r;

	if (json)
		diag_format_json(l, &out);
	else
		diag_format(l, &out);
	r = out.len ? fdx_write_all(fd, out.data, out.len) : 0;
	buf_free(&out);
	return r;
}

int diag_print(const struct diag_list *l, int fd)
{
	return diag_write(l, fd, false);
}

void diag_format_at(const struct source_set *set, struct src_span at, const char *what, const char *msg,
		    struct buf *out)
{
	put_head(set, at, what, NULL, msg, out);
	put_excerpt(set, NULL, at, '^', out);
}

void diag_format_at_json(const struct source_set *set, struct src_span at, const char *code,
			 const char *msg, struct buf *out)
{
	struct diag d = { .severity = DIAG_ERROR, .at = at, .msg = msg };

	snprintf(d.code, sizeof(d.code), "%s", code);
	put_json_record(set, &d, out);
}
