#include "audit/args.h"

#include <fcntl.h>
#include <string.h>
#include "audit/record.h"
#include "base/overflow.h"

#define MAX_FLAG_NAMES 24

static void put_hex(struct buf *b, uint64_t v)
{
	buf_printf(b, "\"0x%llx\"", (unsigned long long)v);
}

static void put_name(struct buf *b, const char *name)
{
	buf_json_str(b, name, strlen(name));
}

/* ["O_RDONLY","O_CLOEXEC","0x40"] */
static void put_flags(struct buf *b, enum const_set set, uint64_t v)
{
	const char *names[MAX_FLAG_NAMES];
	uint64_t rest = 0;
	size_t n = sysconst_split(set, v, names, MAX_FLAG_NAMES, &rest), i;

	buf_putc(b, '[');
	for (i = 0; i < n; i++) {
		if (i)
			buf_putc(b, ',');
		put_name(b, names[i]);
	}
	if (rest) {
		if (n)
			buf_putc(b, ',');
		put_hex(b, rest);
	}
	buf_putc(b, ']');
}

static void put_number(struct buf *b, unsigned kind, enum const_set set, uint64_t v)
{
	const struct arg_kind_desc *k = sysdesc_kind(kind);
	const char *name = set != CS_NONE ? sysconst_name(set, v) : NULL;

	if (name)
		put_name(b, name);
	else if (k && k->is_signed)
		buf_printf(b, "%lld", (long long)v);
	else if (v > INT64_MAX) /* readers of JSON have no wider integers */
		put_hex(b, v);
	else
		buf_printf(b, "%llu", (unsigned long long)v);
}

static void put_scalar(struct buf *b, unsigned kind, enum const_set set, uint64_t v)
{
	switch (kind) {
	case ARG_FLAGS:
		if (set != CS_NONE)
			put_flags(b, set, v);
		else
			put_hex(b, v);
		break;
	case ARG_MODE:
		buf_printf(b, "\"0%llo\"", (unsigned long long)v);
		break;
	case ARG_CMD:
		if (set != CS_NONE && sysconst_name(set, v))
			put_name(b, sysconst_name(set, v));
		else
			put_hex(b, v);
		break;
	case ARG_DIRFD:
		if ((int)v == AT_FDCWD)
			buf_puts(b, "\"AT_FDCWD\"");
		else
			buf_printf(b, "%d", (int)v);
		break;
	case ARG_SIG:
	case ARG_CLOCK:
	default:
		put_number(b, kind, set, v);
		break;
	}
}

static void put_struct(struct buf *b, const struct sys_arg *arg, const uint8_t *bytes)
{
	unsigned id;
	bool first = true;

	buf_putc(b, '{');
	for (id = 1; id < FIELD_MAX; id++) {
		const struct sys_field *f = sysdesc_field(id);
		uint64_t v = 0;

		if (!f || f->strct != arg->strct || f->size > sizeof(v))
			continue;
		memcpy(&v, bytes + f->offset, f->size);
		if (!first)
			buf_putc(b, ',');
		first = false;
		put_name(b, f->name);
		buf_putc(b, ':');
		put_scalar(b, f->kind, f->set, v);
	}
	buf_putc(b, '}');
}

static void put_arg(struct buf *b, const struct sys_arg *arg, uint64_t raw,
		    const struct audit_arg_text *t)
{
	switch (arg->kind) {
	case ARG_PATH:
	case ARG_STR:
		if (t && t->str)
			put_name(b, t->str);
		else
			put_hex(b, raw);
		break;
	case ARG_SOCKADDR:
	case ARG_MSGHDR:
		if (t && t->addr) {
			struct buf s = BUF_INIT;

			audit_describe_net(&s, POL_NET_CONNECT, t->addr);
			put_name(b, s.data ? strchr(s.data, ' ') + 1 : "?");
			buf_free(&s);
		} else {
			put_hex(b, raw);
		}
		break;
	case ARG_STRUCT:
		if (t && t->strct)
			put_struct(b, arg, t->strct);
		else
			put_hex(b, raw);
		break;
	case ARG_ADDR:
	case ARG_PTR:
	case ARG_BUF:
	case ARG_OBUF:
	case ARG_IOVEC:
	case ARG_MMSGHDR:
	case ARG_TIMESPEC:
	case ARG_FDPAIR:
		put_hex(b, raw);
		break;
	default:
		put_scalar(b, arg->kind, arg->set, sysdesc_value(arg->kind, raw));
		break;
	}
}

void audit_args(struct buf *b, const struct sys_desc *d, const uint64_t raw[SYS_MAX_ARGS],
		const struct audit_arg_text *text)
{
	unsigned i, n = d ? d->nargs : SYS_MAX_ARGS;

	buf_putc(b, '{');
	for (i = 0; i < n; i++) {
		if (i)
			buf_putc(b, ',');
		if (d) {
			put_name(b, d->arg[i].name);
			buf_putc(b, ':');
			put_arg(b, &d->arg[i], raw[i], text ? &text[i] : NULL);
		} else {
			buf_printf(b, "\"arg%u\":", i);
			put_hex(b, raw[i]);
		}
	}
	buf_putc(b, '}');
}
