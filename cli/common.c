/* What several subcommands share. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"

bool cli_add_param(struct cli_policy_opts *o, const char *arg)
{
	const char *eq = strchr(arg, '=');
	struct pol_param *p;
	char *name;

	if (!eq || eq == arg)
		return false;
	p = reallocarray(o->params, o->nr_params + 1, sizeof(*p));
	name = strndup(arg, (size_t)(eq - arg));
	if (!p || !name)
		abort();
	o->params = p;
	p[o->nr_params].name = name;
	p[o->nr_params++].value = eq + 1;
	return true;
}

static void push(char ***dirs, size_t *n, const char *s, size_t len)
{
	*dirs = reallocarray(*dirs, *n + 2, sizeof(**dirs));
	if (!*dirs || !((*dirs)[*n] = strndup(s, len)))
		abort();
	(*dirs)[++*n] = NULL;
}

/* Is this sbx the one that was just built, not an installed one? Its folder then holds config.status. */
static bool in_build_tree(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("config.status"));

	while (n > 0 && path[n - 1] != '/')
		n--;
	if (n <= 0)
		return false;
	memcpy(path + n, "config.status", sizeof("config.status"));
	return access(path, F_OK) == 0;
}

char **cli_include_dirs(const char *policy_path)
{
	const char *slash = strrchr(policy_path, '/'), *env = getenv("SBX_POLICY_PATH");
	char **dirs = NULL;
	size_t n = 0;

	if (slash)
		push(&dirs, &n, policy_path, slash == policy_path ? 1 : (size_t)(slash - policy_path));
	else
		push(&dirs, &n, ".", 1);
	while (env && *env) {
		size_t len = strcspn(env, ":");

		if (len)
			push(&dirs, &n, env, len);
		env += len + (env[len] == ':');
	}
	if (in_build_tree())
		push(&dirs, &n, SBX_SOURCE_POLICIES, strlen(SBX_SOURCE_POLICIES));
	push(&dirs, &n, SBX_FRAGMENT_DIR, strlen(SBX_FRAGMENT_DIR));
	return dirs;
}

void cli_include_dirs_free(char **dirs)
{
	size_t i;

	for (i = 0; dirs && dirs[i]; i++)
		free(dirs[i]);
	free(dirs);
}
