/* The "#!" line. Pure, so that it can be fuzzed. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "sentry/loader_int.h"

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

int loader_parse_script(char text[LOADER_LINE_MAX + 1], size_t n, char **interp, char **arg)
{
	char *end, *p = text + 2;

	if (n < 2 || text[0] != '#' || text[1] != '!')
		return 1;
	text[n] = '\0';
	end = memchr(text, '\n', n);
	if (!end) {
		/* The line goes on: it may be cut inside the argument, not inside the name. */
		end = text + strlen(text);
		while (p < end && blank(*p))
			p++;
		if (n == LOADER_LINE_MAX && end == text + n && !strpbrk(p, " \t"))
			return -ENOEXEC;
		p = text + 2;
	}
	*end = '\0';
	while (end > p && blank(end[-1]))
		*--end = '\0';
	while (blank(*p))
		p++;
	if (!*p)
		return -ENOEXEC;
	*interp = p;
	*arg = NULL;
	while (*p && !blank(*p))
		p++;
	if (!*p)
		return 0;
	*p++ = '\0';
	while (blank(*p))
		p++;
	if (*p)
		*arg = p;
	return 0;
}
