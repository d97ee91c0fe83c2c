/* Subcommands of sbx: each gets argv with argv[0] its own name and returns the exit status. */
#ifndef SBX_CLI_CLI_H
#define SBX_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include "policy/compile.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_syscalls(int argc, char **argv) __attribute__((weak));

/* Options shared by the subcommands that read policies. */
struct cli_policy_opts {
	const char *path;
	struct pol_param *params;
	size_t nr_params;
};

/* Parses "name=value" into the next parameter; false when there is no '='. */
bool cli_add_param(struct cli_policy_opts *o, const char *arg);

/* Where `use:` looks: the policy's own folder, the folders of $SBX_POLICY_PATH, the installed
 * fragments (in a build tree the source's come first). NULL-terminated; free with cli_include_dirs_free. */
char **cli_include_dirs(const char *policy_path);
void cli_include_dirs_free(char **dirs);

#endif
