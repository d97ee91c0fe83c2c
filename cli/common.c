/* What several subcommands share. */
#include <stdlib.h>
#include <string.h>
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
