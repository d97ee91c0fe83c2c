/* sbx explain: what a policy says of a call, or which programs it has. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/fdx.h"
#include "cli/cli.h"

static const struct option options[] = {
	{"param", required_argument, NULL, 'P'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int usage(FILE *out)
{
	fprintf(out, "usage: sbx explain [--param NAME=VALUE] FILE ['CALL(ARGUMENTS) [in PROGRAM]']\n"
		     "  CALL is written as in tests: 'openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY)';\n"
		     "  without it: the programs of the policy\n");
	return out == stdout ? CLI_OK : CLI_USAGE;
}

static int explain(const struct pol_source *src, const char *call)
{
	const struct pol_image *img = NULL;
	struct sbx_err *e = NULL;
	struct buf out = BUF_INIT;
	int r = pol_compile(src, STDERR_FILENO, &img, &e);

	if (r == 0)
		r = pol_explain(src, img, call, STDERR_FILENO, &out, &e);
	if (out.len)
		fdx_write_all(STDOUT_FILENO, out.data, out.len);
	if (r < 0)
		fprintf(stderr, "sbx: explain: %s\n", e ? e->msg : "out of memory");
	sbx_err_free(&e);
	buf_free(&out);
	if (img)
		pol_image_free(&img);
	return r ? CLI_FAILED : CLI_OK;
}

int cli_explain(int argc, char **argv)
{
	struct cli_policy_opts policy = {0};
	struct pol_source src = {.errors_only = true};
	char **dirs;
	int opt, r;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'h')
			return usage(stdout);
		if (opt != 'P' || !cli_add_param(&policy, optarg))
			return usage(stderr);
	}
	if (argc - optind < 1 || argc - optind > 2)
		return usage(stderr);
	dirs = cli_include_dirs(argv[optind]);
	src.path = argv[optind];
	src.params = policy.params;
	src.nr_params = policy.nr_params;
	src.include_dirs = (const char *const *)dirs;
	r = explain(&src, argc - optind == 2 ? argv[optind + 1] : NULL);
	cli_include_dirs_free(dirs);
	for (size_t i = 0; i < policy.nr_params; i++)
		free((char *)policy.params[i].name);
	free(policy.params);
	return r;
}
