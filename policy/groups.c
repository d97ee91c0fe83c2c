/* Groups of system calls, @name in policies. */
#include <string.h>
#include "base/overflow.h"
#include "policy/sysdesc.h"

/* Groups that cut across the classes. */
static const uint16_t chown_calls[] = {92, 93, 94, 260};
static const uint16_t sync_calls[] = {26, 74, 75, 162, 277, 306};
static const uint16_t xattr_calls[] = {188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198, 199};

static const struct group {
	const char *name, *about;
	const uint16_t *calls; /* NULL: by class */
	size_t nr_calls;
} groups[] = {
#define GROUP(class, text, description) [CLASS_##class] = {text, description, NULL, 0},
#include "policy/groups.def"
    {"chown", "changing owners", chown_calls, ARRAY_SIZE(chown_calls)},
    {"sync", "flushing to disk", sync_calls, ARRAY_SIZE(sync_calls)},
    {"xattr", "extended attributes", xattr_calls, ARRAY_SIZE(xattr_calls)},
};

int sysgroup_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (!strcmp(groups[i].name, name))
			return (int)i;
	return -1;
}

const char *sysgroup_name(int group)
{
	return groups[group].name;
}

const char *sysgroup_about(int group)
{
	return groups[group].about;
}

size_t sysgroup_count(void)
{
	return ARRAY_SIZE(groups);
}

bool sysgroup_has(int group, uint32_t nr)
{
	const struct group *g = &groups[group];

	if (!g->calls) {
		const struct sys_desc *d = sysdesc_by_nr(nr);

		return d && d->cls == group;
	}
	for (size_t i = 0; i < g->nr_calls; i++)
		if (g->calls[i] == nr)
			return true;
	return false;
}
