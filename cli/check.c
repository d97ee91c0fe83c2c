/* sbx check: parse, check, run the tests in the file, compile. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fdx.h"
#include "cli/cli.h"

struct check {
	const char *out; /* -o, or NULL */
	bool json, quiet;
	struct cli_policy_opts policy; /* its params */
};

static const struct option options[] = {
	{"output", required_argument, NULL, 'o'}, {"json", no_argument, NULL, 'j'},
	{"param", required_argument, NULL, 'P'},  {"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0},
};

static int usage(FILE *out)
{
	fprintf(out, "usage: sbx check [-o OUT] [--json] [--quiet] [--param NAME=VALUE] FILE...\n"
		     "  -o OUT              write the compiled policy (one FILE)\n"
		     "  --json              reports as JSON lines on standard output\n"
		     "  --quiet             say nothing of files that are right\n"
		     "  --param NAME=VALUE  set a variable of the policy\n"
		     "status: 0 when all is well, 1 for errors and failed tests, 2 for wrong usage\n");
	return out == stdout ? CLI_OK : CLI_USAGE;
}

/* A failure without a position in a policy. */
static int report(const struct check *c, const char *file, const char *msg)
{
	struct buf b = BUF_INIT;

	if (!c->json) {
		fprintf(stderr, "sbx: check: %s\n", msg);
		return CLI_FAILED;
	}
	buf_puts(&b, "{\"file\":");
	buf_json_str(&b, file, strlen(file));
	buf_puts(&b, ",\"severity\":\"error\",\"message\":");
	buf_json_str(&b, msg, strlen(msg));
	buf_puts(&b, "}\n");
	if (b.data)
		fdx_write_all(STDOUT_FILENO, b.data, b.len);
	buf_free(&b);
	return CLI_FAILED;
}

static int report_err(const struct check *c, const char *file, struct sbx_err **e)
{
	int r = report(c, file, *e ? (*e)->msg : "out of memory");

	sbx_err_free(e);
	return r;
}

/* ---- -o ---- */

static int write_errno(const struct check *c, const char *tmp)
{
	char msg[512];

	snprintf(msg, sizeof(msg), "%s: %s", c->out, strerror(errno));
	if (tmp)
		unlink(tmp);
	return report(c, c->out, msg);
}

/* Writes beside the target and renames: a reader sees the old image or the new one. */
static int write_image(const struct check *c, const struct pol_image *img)
{
	cleanup_free char *tmp = NULL;
	cleanup_close int fd = -1;
	mode_t mask = umask(0);

	umask(mask);
	if (asprintf(&tmp, "%s.XXXXXX", c->out) < 0) {
		tmp = NULL;
		return report(c, c->out, "out of memory");
	}
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return write_errno(c, NULL);
	if (fdx_write_all(fd, img, pol_image_size(img)) < 0 || fchmod(fd, 0666 & ~mask) < 0 ||
	    rename(tmp, c->out) < 0)
		return write_errno(c, tmp);
	return CLI_OK;
}

/* ---- one file ---- */

static int run_tests(const struct check *c, const struct pol_source *src, const struct pol_image *img)
{
	struct sbx_err *e = NULL;
	unsigned total = 0;
	int failed = pol_run_tests(src, img, c->json ? STDOUT_FILENO : STDERR_FILENO, &total, &e);

	if (failed < 0)
		return report_err(c, src->path, &e);
	if (failed == 0 && !c->quiet && !c->json)
		printf("%s: ok, %u test%s\n", src->path, total, total == 1 ? "" : "s");
	return failed ? CLI_FAILED : CLI_OK;
}

static int check_file(const struct check *c, const char *path)
{
	char **dirs = cli_include_dirs(path);
	struct pol_source src = {
		.path = path,
		.params = c->policy.params,
		.nr_params = c->policy.nr_params,
		.include_dirs = (const char *const *)dirs,
		.json = c->json,
	};
	const struct pol_image *img = NULL;
	struct sbx_err *e = NULL;
	int r = pol_compile(&src, c->json ? STDOUT_FILENO : STDERR_FILENO, &img, &e);

	if (r < 0)
		r = report_err(c, path, &e);
	else if (r == 0)
		r = run_tests(c, &src, img);
	if (r == CLI_OK && c->out)
		r = write_image(c, img);
	if (img)
		pol_image_free(&img);
	cli_include_dirs_free(dirs);
	return r ? CLI_FAILED : CLI_OK;
}

/* ---- the command ---- */

static void free_params(struct check *c)
{
	for (size_t i = 0; i < c->policy.nr_params; i++)
		free((char *)c->policy.params[i].name);
	free(c->policy.params);
}

/* CLI_OK to go on, else the exit status; *done when nothing is left to do. */
static int parse_options(struct check *c, int argc, char **argv, bool *done)
{
	int opt;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "o:qh", options, NULL)) != -1) {
		switch (opt) {
		case 'o':
			c->out = optarg;
			break;
		case 'j':
			c->json = true;
			break;
		case 'q':
			c->quiet = true;
			break;
		case 'P':
			if (cli_add_param(&c->policy, optarg))
				break;
			fprintf(stderr, "sbx: check: '%s' is not NAME=VALUE\n", optarg);
			return CLI_USAGE;
		case 'h':
			*done = true;
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind == argc)
		return usage(stderr);
	if (c->out && argc - optind > 1) {
		fprintf(stderr, "sbx: check: -o takes one policy\n");
		return CLI_USAGE;
	}
	return CLI_OK;
}

int cli_check(int argc, char **argv)
{
	struct check c = {0};
	bool done = false;
	int r = parse_options(&c, argc, argv, &done);

	for (int i = optind; r != CLI_USAGE && !done && i < argc; i++)
		r |= check_file(&c, argv[i]);
	free_params(&c);
	return r;
}
