/* Policy tests as rows: FILE.rows beside FILE.pol holds lines of
 *
 *	call(arguments)  verdict  rule line
 *
 * after "@NAME " when a process is meant that entered these sections of programs: (NAME+NAME), judged by
 * the compiled image through both gates. {git log} are a program's arguments; "allow=NAME" wants the program
 * to be under these sections. Verdicts are allow, terminate, deny ERRNO and
 * emulate NUMBER; the line is where the deciding rule stands in FILE.pol (- for any). */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fdx.h"
#include "policy/compile.h"
#include "policy/expect.h"
#include "tests/tap.h"

static char *skip(char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* The next word, ended with a NUL; *s moves behind it. */
static char *word(char **s)
{
	char *start = skip(*s), *end = start;

	while (*end && !isspace((unsigned char)*end))
		end++;
	*s = *end ? end + 1 : end;
	*end = 0;
	return start;
}

/* O_RDWR|O_CREAT, 0x10, -1 */
static bool number(char *text, uint64_t *out)
{
	char *save, *end;
	uint64_t v;

	*out = 0;
	for (char *t = strtok_r(text, "|", &save); t; t = strtok_r(NULL, "|", &save)) {
		if (!sysconst_find(t, &v)) {
			v = strtoull(t, &end, 0);
			if (*end)
				return false;
		}
		*out |= v;
	}
	return true;
}

/* Words, up to MAX_LIST of them; kept until the next row. */
#define MAX_LIST 16
static bool list(char *text, struct expect_arg *out)
{
	static const char *words[MAX_LIST];
	char *save;

	out->list = words;
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (out->nr_list == MAX_LIST)
			return false;
		words[out->nr_list++] = w;
	}
	return true;
}

/* The view with that name; false when there is none. */
static bool find_view(const struct pol_image *img, const char *name, uint32_t *view)
{
	struct pol_config cfg;
	char have[256];

	pol_image_config(img, &cfg);
	for (*view = 0; *view < cfg.nr_views; ++*view) {
		pol_view_name(img, *view, have, sizeof(have));
		if (!strcmp(have, name))
			return true;
	}
	return false;
}

static bool argument(char *text, struct expect_arg *out)
{
	size_t len;

	text = skip(text);
	len = strlen(text);
	while (len && text[len - 1] == ' ')
		text[--len] = 0;
	if (!strcmp(text, "any"))
		return true;
	if (*text == '"' && len >= 2 && text[len - 1] == '"') {
		text[len - 1] = 0;
		out->text = text + 1;
		return true;
	}
	if (*text == '{' && len >= 2 && text[len - 1] == '}') {
		text[len - 1] = 0;
		return list(text + 1, out);
	}
	out->known = true;
	return number(text, &out->value);
}

static bool parse_call(char *text, const struct sys_desc **d, struct expect_arg arg[SYS_MAX_ARGS])
{
	char *open = strchr(text, '('), *save;
	unsigned n = 0;

	memset(arg, 0, SYS_MAX_ARGS * sizeof(*arg));
	if (!open)
		return false;
	*open = 0;
	*d = sysdesc_by_name(text);
	if (!*d)
		return false;
	for (char *a = strtok_r(open + 1, ",", &save); a; a = strtok_r(NULL, ",", &save))
		if (n == SYS_MAX_ARGS || !argument(a, &arg[n++]))
			return false;
	return true;
}

static void describe(const struct pol_verdict *v, char *out, size_t size)
{
	const char *name = sysconst_name(CS_errno, (uint64_t)v->value);

	if (v->action == POL_DENY)
		snprintf(out, size, "deny %s", name ? name : "?");
	else if (v->action == POL_EMULATE)
		snprintf(out, size, "emulate %lld", (long long)v->value);
	else
		snprintf(out, size, "%s", v->action == POL_ALLOW ? "allow" : "terminate");
}

static void run_row(const struct pol_image *img, const char *file, unsigned line, char *row)
{
	struct expect_result r[EXPECT_MAX_RESULTS];
	struct expect_arg arg[SYS_MAX_ARGS];
	const struct sys_desc *d;
	struct pol_rule_info info = {0};
	char shown[512], want[64], got[64], *close = strrchr(row, ')'), *rest, *at;
	const char *verdict, *why = NULL;
	uint32_t view = 0;
	size_t n;

	snprintf(shown, sizeof(shown), "%.200s:%u: %.200s", file, line, row);
	if (close)
		*close = 0;
	rest = close ? close + 1 : row;
	if (*row == '@' && !find_view(img, word(&row) + 1, &view)) {
		check(false, "%s: no such program", shown);
		return;
	}
	if (!close || !parse_call(skip(row), &d, arg)) {
		check(false, "%s: cannot be read", shown);
		return;
	}
	verdict = word(&rest);
	snprintf(want, sizeof(want), "%.20s", verdict);
	if (!strcmp(verdict, "deny") || !strcmp(verdict, "emulate"))
		snprintf(want, sizeof(want), "%.20s %.40s", verdict, word(&rest));
	at = word(&rest);
	n = expect_judge(img, view, d, arg, r, &why);
	if (n != 1) {
		check(false, "%s: %zu different verdicts %s", shown, n, why ? why : "");
		return;
	}
	describe(&r[0].v, got, sizeof(got));
	if (strchr(want, '=') && r[0].v.action == POL_ALLOW) {
		char name[48];

		pol_view_name(img, r[0].view, name, sizeof(name));
		snprintf(got, sizeof(got), "allow=%.40s", name);
	}
	pol_image_rule(img, r[0].v.rule, &info);
	check(!strcmp(got, want) && (!strcmp(at, "-") || (unsigned)atoi(at) == info.line), "%s%s%s",
	      shown, strcmp(got, want) ? ", got " : "", strcmp(got, want) ? got : "");
	if (strcmp(at, "-") && (unsigned)atoi(at) != info.line)
		printf("# decided by line %u: %s\n", info.line, info.text);
}

static void run_file(const char *pol)
{
	const char *dirs[] = {getenv("SBX_POLICY_PATH"), NULL};
	struct pol_source src = {.path = pol, .include_dirs = dirs};
	const struct pol_image *img = NULL;
	struct sbx_err *e = NULL;
	char rows[4096], *text = NULL, *save;
	unsigned line = 0;
	size_t len;

	if (pol_compile(&src, 2, &img, &e) || !img) {
		check(false, "%s compiles: %s", pol, e ? e->msg : "");
		sbx_err_free(&e);
		return;
	}
	snprintf(rows, sizeof(rows), "%.*srows", (int)(strlen(pol) - 3), pol);
	if (fdx_read_file(rows, 1 << 20, &text, &len, &e)) {
		check(false, "%s: %s", rows, e->msg);
		sbx_err_free(&e);
	}
	save = text;
	for (char *row; (row = strsep(&save, "\n"));) {
		line++;
		if (*row && *row != '#')
			run_row(img, rows, line, row);
	}
	free(text);
	pol_image_free(&img);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	printf("1..%u\n", tap_tests);
	return tap_failed || !tap_tests;
}
