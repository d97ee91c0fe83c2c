#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char oom_msg[] = "out of memory";

static void put(struct sbx_err **e, int status, char *msg)
{
	struct sbx_err *n;

	if (!e) {
		free(msg);
		return;
	}
	sbx_err_free(e);
	n = calloc(1, sizeof(*n));
	if (!n) {
		free(msg);
		return;
	}
	n->status = status;
	n->msg = msg ? msg : oom_msg;
	*e = n;
}

static char *format(const char *fmt, va_list ap)
{
	char *s = NULL;

	return vasprintf(&s, fmt, ap) < 0 ? NULL : s;
}

int sbx_err_set(struct sbx_err **e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(e, 0, format(fmt, ap));
	va_end(ap);
	return -1;
}

int sbx_err_status(struct sbx_err **e, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(e, status, format(fmt, ap));
	va_end(ap);
	return -1;
}

int sbx_err_errno(struct sbx_err **e, int err, const char *fmt, ...)
{
	va_list ap;
	char *what, *all = NULL;

	va_start(ap, fmt);
	what = format(fmt, ap);
	va_end(ap);
	if (what && asprintf(&all, "%s: %s", what, strerror(err)) < 0)
		all = NULL;
	free(what);
	put(e, 0, all);
	return -1;
}

int sbx_err_wrap(struct sbx_err **e, const char *fmt, ...)
{
	va_list ap;
	char *ctx, *all = NULL;
	int status;

	if (!e || !*e)
		return -1;
	va_start(ap, fmt);
	ctx = format(fmt, ap);
	va_end(ap);
	status = (*e)->status;
	if (ctx && asprintf(&all, "%s: %s", ctx, (*e)->msg) < 0)
		all = NULL;
	free(ctx);
	if (all)
		put(e, status, all);
	return -1;
}

void sbx_err_free(struct sbx_err **e)
{
	if (!e || !*e)
		return;
	if ((*e)->msg != oom_msg)
		free((*e)->msg);
	free(*e);
	*e = NULL;
}
