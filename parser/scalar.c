/* Numbers, sizes, durations, addresses: scalars that both YAML values and sentences use. */
#include <arpa/inet.h>
#include <string.h>
#include "parser/parser.h"

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

static bool digits(const char *text, size_t len, unsigned base, uint64_t *num)
{
	uint64_t v = 0;

	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned d = digit_value(text[i]);

		if (d >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)d, &v))
			return false;
	}
	*num = v;
	return true;
}

bool parser_number(const char *text, size_t len, uint64_t *num)
{
	if (len > 2 && text[0] == '0' && text[1] == 'x')
		return digits(text + 2, len - 2, 16, num);
	if (len > 2 && text[0] == '0' && text[1] == 'o')
		return digits(text + 2, len - 2, 8, num);
	if (len > 1 && text[0] == '0')
		return false; /* 0644 means two different numbers to two readers */
	return digits(text, len, 10, num);
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{ "", 1 },	      { "B", 1 },	     { "KiB", 1ull << 10 },
	{ "MiB", 1ull << 20 }, { "GiB", 1ull << 30 }, { "TiB", 1ull << 40 },
};

static const struct unit durations[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000ull },
	{ "min", 60 * 1000000000ull },
	{ "h", 3600 * 1000000000ull },
	{ "d", 86400 * 1000000000ull },
};

static bool with_unit(const char *text, size_t len, const struct unit *units, size_t nr, uint64_t *out)
{
	size_t n = 0;
	uint64_t v;

	while (n < len && text[n] >= '0' && text[n] <= '9')
		n++;
	if (!parser_number(text, n, &v))
		return false;
	for (size_t i = 0; i < nr; i++)
		if (strlen(units[i].name) == len - n && !memcmp(units[i].name, text + n, len - n))
			return !__builtin_mul_overflow(v, units[i].factor, out);
	return false;
}

bool parser_size(const char *text, size_t len, uint64_t *bytes)
{
	return with_unit(text, len, sizes, sizeof(sizes) / sizeof(*sizes), bytes);
}

bool parser_duration(const char *text, size_t len, uint64_t *ns)
{
	return with_unit(text, len, durations, sizeof(durations) / sizeof(*durations), ns);
}

bool parser_ip(const char *text, size_t len, uint8_t *family, uint8_t ip[16], int *prefix)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *slash = memchr(text, '/', len);
	size_t hlen = slash ? (size_t)(slash - text) : len;
	uint64_t bits;

	if (hlen >= sizeof(host))
		return false;
	memcpy(host, text, hlen);
	host[hlen] = '\0';
	memset(ip, 0, 16);
	*family = strchr(host, ':') ? 6 : 4;
	*prefix = -1;
	if (inet_pton(*family == 6 ? AF_INET6 : AF_INET, host, ip) != 1)
		return false;
	if (!slash)
		return true;
	if (!parser_number(slash + 1, len - hlen - 1, &bits) || bits > (*family == 6 ? 128 : 32))
		return false;
	*prefix = bits;
	return true;
}

/* An absolute path as a variable may hold it: plain, no patterns, no dot components. */
static bool plain_path(const char *s)
{
	if (*s != '/')
		return false;
	for (const char *p = s; *p; p++) {
		if ((unsigned char)*p < 0x20 || strchr("*?[]{}\\", *p))
			return false;
		if (p[0] != '/')
			continue;
		if (p[1] == '/' || (p[1] == '.' && (!p[2] || p[2] == '/')) ||
		    (p[1] == '.' && p[2] == '.' && (!p[3] || p[3] == '/')))
			return false;
	}
	return s[1] == '\0' || s[strlen(s) - 1] != '/';
}

bool parser_var_check(enum ast_var_type type, const char *text, const char **why)
{
	size_t len = strlen(text);
	uint64_t n;
	uint8_t family, ip[16];
	int prefix;

	switch (type) {
	case AST_VAR_PATH:
		*why = "an absolute path without wildcards, '.', '..' or a slash at the end";
		return plain_path(text);
	case AST_VAR_PORT:
		*why = "a number from 1 to 65535";
		return parser_number(text, len, &n) && n >= 1 && n <= 65535;
	case AST_VAR_ADDR:
		*why = "an IPv4 or IPv6 address, with /prefix for a network";
		return parser_ip(text, len, &family, ip, &prefix);
	case AST_VAR_NUMBER:
		*why = "a number (decimal, 0x or 0o)";
		return parser_number(text, len, &n);
	case AST_VAR_SIZE:
		*why = "a size, such as 64MiB";
		return parser_size(text, len, &n);
	}
	*why = "a value";
	return false;
}
