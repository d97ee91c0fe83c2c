/* Named constants: names to values for policies, values to names for the audit log. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <asm/prctl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <linux/random.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sys/inotify.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <asm/ioctls.h>
#include "base/overflow.h"
#include "policy/sysdesc.h"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

struct row {
	const char *name; /* NULL: starts the set in `set` */
	uint64_t value;	  /* for a start: the mask of the enumerated part */
	unsigned set;
};

#define SET(name, mask) {NULL, mask, CS_##name},
#define C(ident)	{#ident, (uint64_t)(int64_t)ident, 0},
#define V(ident, val)	{#ident, (uint64_t)(int64_t)val, 0},
static const struct row rows[] = {
#include "policy/flags.def"
    {NULL, 0, CS_MAX}, /* end */
};
#undef SET
#undef C
#undef V

#define SET(name, mask) [CS_##name] = #name,
#define C(ident)
#define V(ident, val)
static const char *const set_names[CS_MAX] = {
    [CS_NONE] = "",
#include "policy/flags.def"
};
#undef SET
#undef C
#undef V

/* The row that starts a set; its constants follow up to the next start. */
static const struct row *set_start(enum const_set set)
{
	const struct row *r = rows;

	while (r->name || (r->set != (unsigned)set && r->set != CS_MAX))
		r++;
	return r;
}

bool sysconst_find(const char *name, uint64_t *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].name && !strcmp(rows[i].name, name)) {
			*value = rows[i].value;
			return true;
		}
	}
	return false;
}

bool sysconst_find_in(enum const_set set, const char *name, uint64_t *value)
{
	const struct row *r = set_start(set);

	if (r->set == CS_MAX)
		return false;
	for (r++; r->name; r++) {
		if (!strcmp(r->name, name)) {
			*value = r->value;
			return true;
		}
	}
	return false;
}

const char *sysconst_name(enum const_set set, uint64_t value)
{
	const struct row *r = set_start(set);

	if (r->set == CS_MAX)
		return NULL;
	for (r++; r->name; r++)
		if (r->value == value)
			return r->name;
	return NULL;
}

/* The constant outside the enumerated bits that covers most of value, or NULL. */
static const struct row *widest(const struct row *start, uint64_t value)
{
	const struct row *best = NULL;

	for (const struct row *r = start + 1; r->name; r++) {
		if (!r->value || (r->value & start->value) || (r->value & ~value))
			continue;
		if (!best || __builtin_popcountll(r->value) > __builtin_popcountll(best->value))
			best = r;
	}
	return best;
}

size_t sysconst_split(enum const_set set, uint64_t value, const char **names, size_t max,
		      uint64_t *rest)
{
	const struct row *start = set_start(set), *r;
	const char *name;
	size_t n = 0;

	*rest = value;
	if (start->set == CS_MAX || !max)
		return 0;
	name = sysconst_name(set, value & start->value);
	if (name && (start->value || !value)) {
		names[n++] = name;
		value &= ~start->value;
	}
	while (n < max && (r = widest(start, value))) {
		names[n++] = r->name;
		value &= ~r->value;
	}
	*rest = value;
	return n;
}

const char *sysconst_at(enum const_set set, size_t index, uint64_t *value)
{
	const struct row *r = set == CS_NONE ? rows : set_start(set) + 1;

	if (set != CS_NONE && (r - 1)->set == CS_MAX)
		return NULL;
	for (; r->name || (set == CS_NONE && r->set != CS_MAX); r++) {
		if (!r->name)
			continue;
		if (index-- == 0) {
			if (value)
				*value = r->value;
			return r->name;
		}
	}
	return NULL;
}

const char *sysconst_set_name(enum const_set set)
{
	return set < CS_MAX ? set_names[set] : "";
}

bool sysconst_is_enum(enum const_set set)
{
	return set > CS_NONE && set < CS_MAX && set_start(set)->value == ~0ull;
}
