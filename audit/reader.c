#include "audit/reader.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/overflow.h"

#define MAX_LINE (1u << 20)

struct group {
	char *what, *verdict, *rule, *hint, *because;
	uint64_t count, first_seq;
	double last_ts;
	bool terminal; /* the verdict that ended the program */
};

struct report {
	struct group *groups;
	size_t n, cap;
	json_t *header, *footer;
	uint64_t denials, lost;
	double end_ts;
};

/* Calls fn for each line. 0, or -1 with *e; stops early when fn returns nonzero and returns that. */
static int each_line(const char *path, int (*fn)(void *arg, const char *line, size_t len, json_t *o),
		     void *arg, struct sbx_err **e)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	cleanup_free char *line = NULL;
	size_t cap = 0;
	unsigned long no = 0;
	ssize_t n;
	int r = 0;

	if (!f)
		return sbx_err_errno(e, errno, "%s", path);
	while (!r && (n = getline(&line, &cap, f)) > 0) {
		json_error_t je;
		json_t *o = NULL;

		no++;
		if (line[n - 1] == '\n')
			line[--n] = '\0';
		if ((size_t)n <= MAX_LINE)
			o = json_loadb(line, (size_t)n, 0, &je);
		if (!json_is_object(o) || json_integer_value(json_object_get(o, "v")) != 1) {
			json_decref(o);
			r = sbx_err_set(e, "%s:%lu: not a record of an sbx audit log", path, no);
			break;
		}
		r = fn(arg, line, (size_t)n, o);
		json_decref(o);
	}
	if (!no && !r)
		r = sbx_err_set(e, "%s: empty: not an sbx audit log", path);
	if (f != stdin)
		fclose(f);
	return r;
}

/* String member, or "" - also for values that are not text ({"b64":...}). */
static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static double parse_ts(const char *s)
{
	int y, mo, d, h, mi;
	double sec;

	if (sscanf(s, "%d-%d-%dT%d:%d:%lf", &y, &mo, &d, &h, &mi, &sec) != 6)
		return 0;
	return ((y * 372.0 + mo * 31.0 + d) * 24 + h) * 3600 + mi * 60 + sec;
}

/* Makes text of a log harmless to a terminal: control bytes, and the C1 controls of UTF-8, become '?'. */
static void clean_in_place(char *s)
{
	unsigned char *p;

	for (p = (unsigned char *)s; p && *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			p[0] = p[1] = '?';
}

static char *clean(const char *s)
{
	char *c = strdup(s);

	clean_in_place(c);
	return c;
}

/* printf of a line whose strings come from the log: the whole line is cleaned. */
static void say(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(FILE *out, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (b.data)
		clean_in_place(b.data);
	fprintf(out, "%s\n", b.data ? b.data : "");
	buf_free(&b);
}

static void put_args(struct buf *b, const json_t *rec)
{
	const json_t *args = json_object_get(rec, "args");
	const char *key;
	json_t *val;
	bool first = true;

	buf_putc(b, '(');
	json_object_foreach((json_t *)args, key, val) {
		char *s = json_is_string(val) ? strdup(json_string_value(val))
					      : json_dumps(val, JSON_COMPACT | JSON_ENCODE_ANY);

		buf_printf(b, "%s%s", first ? "" : ", ", s ? s : "?");
		first = false;
		free(s);
	}
	buf_putc(b, ')');
}

/* What was asked, in a few words: "read /etc/shadow", "connect tcp 10.0.0.9:6379", "ptrace(...)". */
static char *describe(const json_t *rec, bool with_args)
{
	const json_t *obj = json_object_get(rec, "obj");
	struct buf b = BUF_INIT;
	char *raw, *s;

	if (json_is_object(obj) && !strcmp(str(obj, "kind"), "file")) {
		buf_printf(&b, "%s %s", str(obj, "verb"), str(obj, "path"));
	} else if (json_is_object(obj)) {
		buf_printf(&b, "%s %s", str(obj, "verb"), str(obj, "addr"));
	} else {
		buf_puts(&b, str(rec, "sys"));
		if (with_args)
			put_args(&b, rec);
	}
	raw = buf_steal(&b);
	s = raw ? clean(raw) : NULL;
	free(raw);
	return s;
}

static char *describe_verdict(const json_t *rec)
{
	struct buf b = BUF_INIT;
	char *raw;

	buf_puts(&b, str(rec, "verdict"));
	if (*str(rec, "errno"))
		buf_printf(&b, " %s", str(rec, "errno"));
	raw = buf_steal(&b);
	clean_in_place(raw);
	return raw;
}

static char *describe_hint(const json_t *rec)
{
	struct buf b = BUF_INIT;

	if (*str(rec, "risk"))
		buf_printf(&b, "%s risk; not suggested", str(rec, "risk"));
	else if (*str(rec, "fix"))
		buf_puts(&b, str(rec, "fix"));
	else if (!strcmp(str(rec, "verdict"), "unimplemented"))
		buf_puts(&b, "leave: sbx does not implement the call");
	else
		buf_puts(&b, "leave: the rule is explicit");
	return buf_steal(&b);
}

static struct group *find_group(struct report *r, const char *what, const char *verdict,
				const char *rule)
{
	struct group *g;
	size_t i;

	for (i = 0; i < r->n; i++) {
		g = &r->groups[i];
		if (!strcmp(g->what, what) && !strcmp(g->verdict, verdict) &&
		    !strcmp(g->rule, rule))
			return g;
	}
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 32;

		g = reallocarray(r->groups, cap, sizeof(*g));
		if (!g)
			return NULL;
		r->groups = g;
		r->cap = cap;
	}
	g = &r->groups[r->n++];
	memset(g, 0, sizeof(*g));
	return g;
}

static bool is_refusal(const char *verdict)
{
	return !strcmp(verdict, "deny") || !strcmp(verdict, "terminate") ||
	       !strcmp(verdict, "unimplemented");
}

static int add_decision(struct report *r, const json_t *rec)
{
	const json_t *rule = json_object_get(rec, "rule");
	char *what = describe(rec, false), *verdict = describe_verdict(rec), *at = clean(str(rule, "at"));
	char *slash = at ? strrchr(at, '/') : NULL;
	struct group *g;

	if (slash) /* the record has the whole name */
		memmove(at, slash + 1, strlen(slash));
	if (!what || !verdict || !at || !(g = find_group(r, what, verdict, at))) {
		free(what);
		free(verdict);
		free(at);
		return -1;
	}
	if (!g->what) {
		g->what = what;
		g->verdict = verdict;
		g->rule = at;
		g->hint = describe_hint(rec);
		clean_in_place(g->hint);
		g->because = clean(str(rule, "because"));
		g->first_seq = (uint64_t)json_integer_value(json_object_get(rec, "seq"));
		g->terminal = !strcmp(str(rec, "verdict"), "terminate");
	} else {
		free(what);
		free(verdict);
		free(at);
	}
	g->count += (uint64_t)json_integer_value(json_object_get(rec, "count"));
	g->last_ts = MAX(g->last_ts, parse_ts(str(rec, *str(rec, "last") ? "last" : "ts")));
	return 0;
}

static int collect(void *arg, const char *line, size_t len, json_t *o)
{
	struct report *r = arg;
	const char *ev = str(o, "ev");

	if (!strcmp(ev, "header") && !r->header)
		r->header = json_incref(o);
	else if (!strcmp(ev, "footer"))
		r->footer = json_incref(o), r->end_ts = parse_ts(str(o, "ts"));
	else if (!strcmp(ev, "gap"))
		r->lost += (uint64_t)json_integer_value(json_object_get(o, "count"));
	else if (!strcmp(ev, "decision") && is_refusal(str(o, "verdict")) && add_decision(r, o))
		return -1;
	return 0;
}

static int by_count(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->first_seq < y->first_seq ? -1 : x->first_seq > y->first_seq;
}

static void print_summary(const struct report *r, FILE *out)
{
	cleanup_free char *policy = clean(str(r->header, "policy"));
	cleanup_free char *name = clean(str(r->header, "name"));
	const char *hex = policy ? strchr(policy, ':') : NULL;

	fprintf(out, "%s  policy %.12s  ", name ? name : "", hex ? hex + 1 : "?");
	if (r->footer)
		fprintf(out, "exit %lld after %.1f s   ",
			(long long)json_integer_value(json_object_get(r->footer, "status")),
			(double)json_integer_value(json_object_get(r->footer, "wall_ms")) / 1000);
	else
		fprintf(out, "no footer: still running, or killed   ");
	fprintf(out, "%llu denial%s in %zu group%s, %llu lost\n", (unsigned long long)r->denials,
		r->denials == 1 ? "" : "s", r->n, r->n == 1 ? "" : "s", (unsigned long long)r->lost);
}

static int width(size_t w, size_t max)
{
	return (int)(w < max ? w : max);
}

static void print_groups(const struct report *r, FILE *out)
{
	size_t wv = 7, ww = 4, wr = 4, i;

	for (i = 0; i < r->n; i++) {
		wv = MAX(wv, strlen(r->groups[i].verdict));
		ww = MAX(ww, strlen(r->groups[i].what));
		wr = MAX(wr, strlen(r->groups[i].rule));
	}
	fprintf(out, "%5s  %-*s  %-*s  %-*s  %s\n", "n", width(wv, 24), "verdict", width(ww, 60),
		"what", width(wr, 40), "rule", "suggestion");
	for (i = 0; i < r->n; i++) {
		const struct group *g = &r->groups[i];

		fprintf(out, "%5llu  %-*s  %-*s  %-*s  %s", (unsigned long long)g->count,
			width(wv, 24), g->verdict, width(ww, 60), g->what, width(wr, 40),
			*g->rule ? g->rule : "-", g->hint);
		if (*g->because)
			fprintf(out, "  (%s)", g->because);
		fputc('\n', out);
	}
}

/* Names the last refusal before a failed exit, as a hint and no more. */
static void print_cause(const struct report *r, FILE *out)
{
	long long status = json_integer_value(json_object_get(r->footer, "status"));
	size_t i, last = 0;

	/* A signal from outside is its own cause. */
	if (!r->footer || !status || !r->n || status == 128 + SIGTERM || status == 128 + SIGINT ||
	    status == 128 + SIGHUP)
		return;
	for (i = 1; i < r->n; i++)
		if (r->groups[i].terminal > r->groups[last].terminal ||
		    (r->groups[i].terminal == r->groups[last].terminal &&
		     r->groups[i].last_ts > r->groups[last].last_ts))
			last = i;
	if (r->groups[last].terminal)
		fprintf(out, "cause of exit: group %zu (terminated by the policy)\n", last + 1);
	else
		fprintf(out, "likely cause of exit: group %zu (last denial before exit, %.0f ms)\n",
			last + 1, (r->end_ts - r->groups[last].last_ts) * 1000);
}

static void report_free(struct report *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		free(r->groups[i].what);
		free(r->groups[i].verdict);
		free(r->groups[i].rule);
		free(r->groups[i].hint);
		free(r->groups[i].because);
	}
	free(r->groups);
	json_decref(r->header);
	json_decref(r->footer);
}

int audit_report(const char *path, FILE *out, struct sbx_err **e)
{
	struct report r = {0};
	size_t i;
	int ret = each_line(path, collect, &r, e);

	if (!ret && !r.header)
		ret = sbx_err_set(e, "%s: no header record: not an sbx audit log", path);
	if (!ret) {
		for (i = 0; i < r.n; i++)
			r.denials += r.groups[i].count;
		if (r.n)
			qsort(r.groups, r.n, sizeof(*r.groups), by_count);
		print_summary(&r, out);
		if (r.n) {
			print_groups(&r, out);
			print_cause(&r, out);
		}
	}
	report_free(&r);
	if (ret && e && !*e)
		sbx_err_set(e, "%s: out of memory", path);
	return ret ? -1 : 0;
}

struct why {
	uint64_t seq;
	FILE *out;
	bool found;
};

static int print_why(void *arg, const char *line, size_t len, json_t *o)
{
	struct why *w = arg;
	const json_t *rule = json_object_get(o, "rule"), *near = json_object_get(o, "near");
	char *what, *verdict;

	if ((uint64_t)json_integer_value(json_object_get(o, "seq")) != w->seq ||
	    strcmp(str(o, "ev"), "decision"))
		return 0;
	w->found = true;
	what = describe(o, true);
	verdict = describe_verdict(o);
	say(w->out, "%s  pid %lld  %s", str(o, "ts"),
		(long long)json_integer_value(json_object_get(o, "pid")), str(o, "exe"));
	if (*str(o, "prog") && strcmp(str(o, "prog"), "self") != 0)
		say(w->out, "program:  %s", str(o, "prog"));
	say(w->out, "asked:    %s%s%s", str(o, "sys"), what ? ": " : "", what ? what : "");
	say(w->out, "verdict:  %s (%s gate)", verdict ? verdict : "?", str(o, "gate"));
	if (json_is_object(rule))
		say(w->out, "rule:     %s: %s", str(rule, "at"), str(rule, "text"));
	if (*str(rule, "because"))
		say(w->out, "because:  %s", str(rule, "because"));
	if (json_is_object(near))
		say(w->out, "nearest:  %s: %s", str(near, "at"), str(near, "why"));
	if (*str(o, "risk"))
		say(w->out, "risk:     %s; no grant is suggested", str(o, "risk"));
	else if (*str(o, "fix"))
		say(w->out, "to allow: %s", str(o, "fix"));
	free(what);
	free(verdict);
	return 1;
}

int audit_why(const char *path, uint64_t seq, FILE *out, struct sbx_err **e)
{
	struct why w = {seq, out, false};

	if (each_line(path, print_why, &w, e) < 0)
		return -1;
	if (!w.found)
		return sbx_err_set(e, "%s: no decision with number %llu", path,
				   (unsigned long long)seq);
	return 0;
}

struct verify {
	char prev[DIGEST_HEX_SIZE];
	uint64_t next;
	const char *broken;
	bool footer;
};

static int check_chain(void *arg, const char *line, size_t len, json_t *o)
{
	struct verify *v = arg;
	uint8_t sum[DIGEST_SIZE];

	if ((uint64_t)json_integer_value(json_object_get(o, "seq")) != v->next)
		v->broken = "a record is missing or out of order";
	else if (strcmp(str(o, "prev"), v->prev))
		v->broken = "the record before it was changed or removed";
	if (v->broken)
		return 1;
	v->footer = !strcmp(str(o, "ev"), "footer");
	v->next++;
	digest_sha256(line, len, sum);
	digest_hex(sum, v->prev);
	return 0;
}

int audit_verify(const char *path, FILE *out, struct sbx_err **e)
{
	struct verify v = {0};
	int r;

	memset(v.prev, '0', DIGEST_HEX_SIZE - 1);
	r = each_line(path, check_chain, &v, e);
	if (r < 0)
		return -1;
	if (v.broken) {
		fprintf(out, "%s: record %llu: %s\n", path, (unsigned long long)v.next, v.broken);
		return 1;
	}
	fprintf(out, "%s: %llu records, chain whole%s\n", path, (unsigned long long)v.next,
		v.footer ? "" : "; no footer: the end may be missing");
	return 0;
}
