#include "parser/source.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/fdx.h"

static int index_lines(struct source *s)
{
	size_t n = 1;
	const char *p = s->bytes, *end = s->bytes + s->len;

	while ((p = memchr(p, '\n', end - p)) != NULL) {
		p++;
		n++;
	}
	s->line_start = calloc(n, sizeof(*s->line_start));
	if (!s->line_start)
		return -1;
	for (p = s->bytes; (p = memchr(p, '\n', end - p)) != NULL;)
		s->line_start[++s->nr_lines] = ++p - s->bytes;
	s->nr_lines++;
	return 0;
}

static void source_free(struct source *s)
{
	if (!s)
		return;
	free((void *)s->name);
	free((void *)s->path);
	free((void *)s->bytes);
	free(s->line_start);
	free(s);
}

/* Takes bytes, also on failure. */
static int add(struct source_set *set, const char *name, char *bytes, size_t len, bool from_file,
	       const struct src_span *from, struct sbx_err **e)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s) {
		free(bytes);
		return sbx_err_errno(e, ENOMEM, "%s", name);
	}
	s->bytes = bytes;
	s->len = len;
	s->name = strdup(name);
	s->path = from_file ? realpath(name, NULL) : NULL;
	if (!s->path)
		s->path = strdup(name);
	if (from)
		s->from = *from;
	if (!s->name || !s->path || index_lines(s) < 0) {
		source_free(s);
		return sbx_err_errno(e, ENOMEM, "%s", name);
	}
	set->files[set->nr] = s;
	return set->nr++;
}

int source_add_file(struct source_set *set, const char *path, const struct src_span *from,
		    struct sbx_err **e)
{
	char *bytes;
	size_t len;

	if (set->nr == SOURCE_MAX_FILES)
		return sbx_err_set(e, "%s: more than %d policy files", path, SOURCE_MAX_FILES);
	if (fdx_read_file(path, SOURCE_MAX_BYTES, &bytes, &len, e) < 0)
		return -1;
	return add(set, path, bytes, len, true, from, e);
}

int source_add_bytes(struct source_set *set, const char *name, const void *bytes, size_t len,
		     struct sbx_err **e)
{
	char *copy;

	if (set->nr == SOURCE_MAX_FILES)
		return sbx_err_set(e, "%s: more than %d policy files", name, SOURCE_MAX_FILES);
	if (len > SOURCE_MAX_BYTES)
		return sbx_err_set(e, "%s: larger than %u bytes", name, SOURCE_MAX_BYTES);
	copy = malloc(len + 1);
	if (!copy)
		return sbx_err_errno(e, ENOMEM, "%s", name);
	if (len)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	return add(set, name, copy, len, false, NULL, e);
}

void source_set_free(struct source_set *set)
{
	for (uint32_t i = 0; i < set->nr; i++)
		source_free(set->files[i]);
	memset(set, 0, sizeof(*set));
}

const struct source *source_get(const struct source_set *set, uint32_t file)
{
	return file < set->nr ? set->files[file] : NULL;
}

/* Index of the line that holds byte off. */
static uint32_t find_line(const struct source *s, size_t off)
{
	uint32_t lo = 0, hi = s->nr_lines;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->line_start[mid] <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Moves the counting place to byte off of a line, or to its column col, whichever comes first. */
static void count_to(struct source *s, uint32_t line, size_t off, size_t col)
{
	size_t end = line + 1 < s->nr_lines ? s->line_start[line + 1] : s->len;

	if (s->at_line != line || s->at_off < s->line_start[line] || s->at_off > off || s->at_col > col) {
		s->at_line = line;
		s->at_off = s->line_start[line];
		s->at_col = 0;
	}
	while (s->at_off < end && s->at_off < off && s->at_col < col) {
		s->at_off++;
		while (s->at_off < end && is_tail((unsigned char)s->bytes[s->at_off]))
			s->at_off++;
		s->at_col++;
	}
}

struct src_span source_span(const struct source_set *set, uint32_t file, size_t start, size_t end)
{
	struct src_span sp = { .file = file };
	struct source *s = file < set->nr ? set->files[file] : NULL;

	if (!s)
		return sp;
	if (end > s->len)
		end = s->len;
	if (start > end)
		start = end;
	sp.start = start;
	sp.end = end;
	sp.line = find_line(s, start) + 1;
	count_to(s, sp.line - 1, start, SIZE_MAX);
	sp.col = s->at_col + 1;
	return sp;
}

struct src_span source_join(struct src_span a, struct src_span b)
{
	if (!a.line || a.file != b.file)
		return b;
	if (b.line && b.end > a.end)
		a.end = b.end;
	return a;
}

size_t source_offset(struct source *src, size_t line, size_t column)
{
	if (line >= src->nr_lines)
		return src->len;
	count_to(src, line, SIZE_MAX, column);
	return src->at_off;
}

/* ---- characters ---- */

size_t source_char(const char *text, size_t left, uint32_t *cp)
{
	const unsigned char *p = (const unsigned char *)text;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;

	if (n == 0 || n > left)
		return 0;
	*cp = n == 1 ? p[0] : p[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (p[i] & 0x3f);
	}
	if ((n > 1 && *cp < least[n]) || *cp > 0x10ffff || (*cp >= 0xd800 && *cp < 0xe000))
		return 0;
	return n;
}

const char *source_char_refused(uint32_t cp)
{
	if (cp == '\r')
		return "carriage return: save the file with Unix line ends";
	if ((cp < 0x20 && cp != '\t' && cp != '\n') || (cp >= 0x7f && cp < 0xa0))
		return "control character";
	if (cp == 0x2028 || cp == 0x2029)
		return "Unicode line separator";
	if ((cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f)
		return "character that changes the direction of text";
	if (cp == 0xfeff)
		return "byte order mark";
	return NULL;
}
