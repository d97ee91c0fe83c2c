/* The system call table as data. */
#include "policy/sysdesc.h"
#include "base/hot.h"

#include <string.h>
#include "base/overflow.h"

#define INT(n)                                                                                     \
	{                                                                                          \
		.name = #n, .kind = ARG_INT                                                        \
	}
#define UINT(n)                                                                                    \
	{                                                                                          \
		.name = #n, .kind = ARG_UINT                                                       \
	}
#define LONG(n)                                                                                    \
	{                                                                                          \
		.name = #n, .kind = ARG_LONG                                                       \
	}
#define ULONG(n)                                                                                   \
	{                                                                                          \
		.name = #n, .kind = ARG_ULONG                                                      \
	}
#define LEN(n)                                                                                     \
	{                                                                                          \
		.name = #n, .kind = ARG_LEN                                                        \
	}
#define OFF(n)                                                                                     \
	{                                                                                          \
		.name = #n, .kind = ARG_OFF                                                        \
	}
#define FLAGS(n, s)                                                                                \
	{                                                                                          \
		.name = #n, .kind = ARG_FLAGS, .set = CS_##s                                       \
	}
#define MODE(n)                                                                                    \
	{                                                                                          \
		.name = #n, .kind = ARG_MODE, .set = CS_mode                                       \
	}
#define CMD(n, s)                                                                                  \
	{                                                                                          \
		.name = #n, .kind = ARG_CMD, .set = CS_##s                                         \
	}
#define ENUM(n, s)                                                                                 \
	{                                                                                          \
		.name = #n, .kind = ARG_ENUM, .set = CS_##s                                        \
	}
#define SIG(n)                                                                                     \
	{                                                                                          \
		.name = #n, .kind = ARG_SIG, .set = CS_signal                                      \
	}
#define PID(n)                                                                                     \
	{                                                                                          \
		.name = #n, .kind = ARG_PID                                                        \
	}
#define UID(n)                                                                                     \
	{                                                                                          \
		.name = #n, .kind = ARG_UID                                                        \
	}
#define GID(n)                                                                                     \
	{                                                                                          \
		.name = #n, .kind = ARG_GID                                                        \
	}
#define CLOCK(n)                                                                                   \
	{                                                                                          \
		.name = #n, .kind = ARG_CLOCK, .set = CS_clockid                                   \
	}
#define ADDR(n)                                                                                    \
	{                                                                                          \
		.name = #n, .kind = ARG_ADDR                                                       \
	}
#define PTR(n)                                                                                     \
	{                                                                                          \
		.name = #n, .kind = ARG_PTR                                                        \
	}
#define FD(n)                                                                                      \
	{                                                                                          \
		.name = #n, .kind = ARG_FD                                                         \
	}
#define DIRFD(n)                                                                                   \
	{                                                                                          \
		.name = #n, .kind = ARG_DIRFD, .set = CS_dirfd                                     \
	}
#define PATH(n, r)                                                                                 \
	{                                                                                          \
		.name = #n, .kind = ARG_PATH, .role = PATH_##r                                     \
	}
#define STR(n)                                                                                     \
	{                                                                                          \
		.name = #n, .kind = ARG_STR                                                        \
	}
#define SOCKADDR(n, len, r)                                                                        \
	{                                                                                          \
		.name = #n, .kind = ARG_SOCKADDR, .role = ADDR_##r, .ref = #len                    \
	}
#define MSGHDR(n)                                                                                  \
	{                                                                                          \
		.name = #n, .kind = ARG_MSGHDR, .role = ADDR_send                                  \
	}
#define MMSGHDR(n, cnt)                                                                            \
	{                                                                                          \
		.name = #n, .kind = ARG_MMSGHDR, .role = ADDR_send, .ref = #cnt                    \
	}
#define STRUCT(n, st, len)                                                                         \
	{                                                                                          \
		.name = #n, .kind = ARG_STRUCT, .strct = STRUCT_##st, .ref = #len                  \
	}
#define BUF(n, len)                                                                                \
	{                                                                                          \
		.name = #n, .kind = ARG_BUF, .ref = #len                                           \
	}
#define OBUF(n, len)                                                                               \
	{                                                                                          \
		.name = #n, .kind = ARG_OBUF, .ref = #len                                          \
	}
#define IOVEC(n, cnt)                                                                              \
	{                                                                                          \
		.name = #n, .kind = ARG_IOVEC, .ref = #cnt                                         \
	}
#define TIMESPEC(n)                                                                                \
	{                                                                                          \
		.name = #n, .kind = ARG_TIMESPEC                                                   \
	}
#define FDPAIR(n)                                                                                  \
	{                                                                                          \
		.name = #n, .kind = ARG_FDPAIR                                                     \
	}
#define NOARGS		()
#define UNPAREN(...)	__VA_ARGS__
#define COUNT_ARGS(...) (sizeof((struct sys_arg[]){__VA_ARGS__}) / sizeof(struct sys_arg))

#define SYS(number, ident, class, disp, args, t0)                                                  \
	{                                                                                          \
	    .nr = number,                                                                          \
	    .cls = CLASS_##class,                                                                  \
	    .disposition = SYS_##disp,                                                             \
	    .tier0 = TIER0_##t0,                                                                   \
	    .nargs = COUNT_ARGS(UNPAREN args),                                                     \
	    .name = #ident,                                                                        \
	    .arg = {UNPAREN args},                                                                 \
	},

static const struct sys_desc table[] = {
#include "policy/syscalls.def"
};
#undef SYS

#define ROWS ARRAY_SIZE(table)

const struct sys_desc *sysdesc_at(size_t index)
{
	return index < ROWS ? &table[index] : NULL;
}

size_t sysdesc_count(void)
{
	return ROWS;
}

hot_path const struct sys_desc *sysdesc_by_nr(uint32_t nr)
{
	size_t lo = 0, hi = ROWS;

	if (nr < ROWS && table[nr].nr == nr) /* most numbers are their index */
		return &table[nr];
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (table[mid].nr == nr)
			return &table[mid];
		if (table[mid].nr < nr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct sys_desc *sysdesc_by_name(const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

int sysdesc_arg(const struct sys_desc *d, const char *name)
{
	for (unsigned i = 0; i < d->nargs; i++)
		if (!strcmp(d->arg[i].name, name))
			return (int)i;
	return -1;
}

int sysdesc_ref(const struct sys_desc *d, unsigned argno)
{
	if (argno >= d->nargs || !d->arg[argno].ref)
		return -1;
	return sysdesc_arg(d, d->arg[argno].ref);
}

static const struct arg_kind_desc kinds[] = {[ARG_NONE] = {"none", 64, false, 0},
#define ARG(name, width, is_signed, preds) [ARG_##name] = {#name, width, is_signed, preds},
					     SYS_ARG_KINDS(ARG)
#undef ARG
};

const struct arg_kind_desc *sysdesc_kind(unsigned kind)
{
	return &kinds[kind < ARG_KIND_MAX ? kind : ARG_NONE];
}

hot_path uint64_t sysdesc_value(unsigned kind, uint64_t reg)
{
	const struct arg_kind_desc *k = sysdesc_kind(kind);

	if (k->width == 64)
		return reg;
	return k->is_signed ? (uint64_t)(int64_t)(int32_t)reg : (uint32_t)reg;
}

static const struct sys_field fields[] = {
    {0},
#define FIELD(st, ident, knd, cset, off, sz)                                                       \
	{                                                                                          \
	    .id = FIELD_##st##_##ident,                                                            \
	    .strct = STRUCT_##st,                                                                  \
	    .kind = ARG_##knd,                                                                     \
	    .set = CS_##cset,                                                                      \
	    .offset = off,                                                                         \
	    .size = sz,                                                                            \
	    .name = #ident,                                                                        \
	},
#include "policy/structs.def"
#undef FIELD
};

const struct sys_field *sysdesc_field(unsigned id)
{
	return id > 0 && id < ARRAY_SIZE(fields) ? &fields[id] : NULL;
}

const struct sys_field *sysdesc_field_by_name(unsigned strct, const char *name)
{
	for (size_t i = 1; i < ARRAY_SIZE(fields); i++)
		if (fields[i].strct == strct && !strcmp(fields[i].name, name))
			return &fields[i];
	return NULL;
}

const char *sysdesc_struct_name(unsigned strct)
{
	static const char *const names[STRUCT_MAX] = {"", "clone_args", "open_how"};

	return names[strct < STRUCT_MAX ? strct : STRUCT_NONE];
}

size_t sysdesc_struct_size(unsigned strct)
{
	size_t size = 0;

	for (size_t i = 1; i < ARRAY_SIZE(fields); i++)
		if (fields[i].strct == strct)
			size = MAX(size, (size_t)fields[i].offset + fields[i].size);
	return size;
}
