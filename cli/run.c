/* sbx run: a program under a policy. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "audit/record.h"
#include "base/log.h"
#include "cli/cli.h"
#include "sentry/task.h"

struct run_opts {
	struct cli_policy_opts policy;
	const char *log, *changes, *chdir;
	bool log_argv, stats, clear_env;
	enum platform_residency residency;
	enum platform_pill pill;
	const char **env; /* --env arguments, in order */
	size_t nr_env;
};

static const char help_text[] =
	"usage: sbx run --policy FILE [OPTION...] [--] PROGRAM [ARG...]\n"
	"  -p, --policy FILE      policy, as text or compiled by `sbx check -o`\n"
	"      --param NAME=VALUE set a variable of the policy\n"
	"      --log FILE         write the audit log; - is standard output, fd:N a descriptor\n"
	"      --changes FILE     write what was changed in overlays, as a tar archive; - and fd:N as above\n"
	"      --log-argv         record the program's arguments in the log's header\n"
	"      --stats            print calls by verdict and by tier on standard error at the end\n"
	"      --chdir DIR        start the program in DIR\n"
	"      --clear-env        start with an empty environment\n"
	"      --env NAME[=VALUE] set a variable, or with --clear-env pass one on\n"
	"      --residency MODE   where the sentry runs: guest, host or auto (default)\n"
	"      --pill KIND        how it enters guest mode: direct (default) or fault\n"
	"  -v, --verbose          say more; twice for debugging\n"
	"Exit status: the program's; 128+N when signal N ended it; 159 when the policy terminated it;\n"
	"125 when sbx could not start it; 126 not executable; 127 not found.\n";

enum { OPT_PARAM = 256, OPT_LOG, OPT_CHANGES, OPT_LOG_ARGV, OPT_STATS, OPT_CHDIR, OPT_CLEAR_ENV, OPT_ENV,
       OPT_RESIDENCY,
	OPT_PILL, OPT_HELP };

static const struct option long_options[] = {
	{"policy", required_argument, NULL, 'p'},
	{"param", required_argument, NULL, OPT_PARAM},
	{"log", required_argument, NULL, OPT_LOG},
	{"changes", required_argument, NULL, OPT_CHANGES},
	{"log-argv", no_argument, NULL, OPT_LOG_ARGV},
	{"stats", no_argument, NULL, OPT_STATS},
	{"chdir", required_argument, NULL, OPT_CHDIR},
	{"clear-env", no_argument, NULL, OPT_CLEAR_ENV},
	{"env", required_argument, NULL, OPT_ENV},
	{"residency", required_argument, NULL, OPT_RESIDENCY},
	{"pill", required_argument, NULL, OPT_PILL},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int bad_usage(const char *msg, const char *arg)
{
	if (msg)
		fprintf(stderr, "sbx: run: %s%s; see 'sbx run --help'\n", msg, arg ? arg : "");
	return SBX_EXIT_SETUP;
}

static bool set_residency(struct run_opts *o, const char *word)
{
	if (!strcmp(word, "guest"))
		o->residency = PLATFORM_RESIDENCY_GUEST;
	else if (!strcmp(word, "host"))
		o->residency = PLATFORM_RESIDENCY_HOST;
	else if (!strcmp(word, "auto"))
		o->residency = PLATFORM_RESIDENCY_AUTO;
	else
		return false;
	return true;
}

static bool set_pill(struct run_opts *o, const char *word)
{
	o->pill = strcmp(word, "fault") ? PLATFORM_PILL_DIRECT : PLATFORM_PILL_FAULT;
	return o->pill == PLATFORM_PILL_FAULT || !strcmp(word, "direct");
}

/* SBX_RESIDENCY and SBX_PILL are defaults of the options. 0 or an exit status. */
static int from_environment(struct run_opts *o)
{
	const char *residency = getenv("SBX_RESIDENCY"), *pill = getenv("SBX_PILL");

	if (residency && !set_residency(o, residency))
		return bad_usage("SBX_RESIDENCY is guest, host or auto, not ", residency);
	if (pill && !set_pill(o, pill))
		return bad_usage("SBX_PILL is direct or fault, not ", pill);
	return 0;
}

/* One option; 0 or an exit status (with *stop set for --help). */
static int take_option(struct run_opts *o, int c, bool *stop)
{
	switch (c) {
	case 'p':
		if (o->policy.path)
			return bad_usage("more than one --policy is not supported yet", NULL);
		o->policy.path = optarg;
		return 0;
	case OPT_PARAM:
		return cli_add_param(&o->policy, optarg)
			       ? 0
			       : bad_usage("--param wants NAME=VALUE, not ", optarg);
	case OPT_LOG:
		o->log = optarg;
		return 0;
	case OPT_CHANGES:
		o->changes = optarg;
		return 0;
	case OPT_LOG_ARGV:
		o->log_argv = true;
		return 0;
	case OPT_STATS:
		o->stats = true;
		return 0;
	case OPT_CHDIR:
		o->chdir = optarg;
		return 0;
	case OPT_CLEAR_ENV:
		o->clear_env = true;
		return 0;
	case OPT_ENV:
		o->env = reallocarray(o->env, o->nr_env + 1, sizeof(*o->env));
		if (!o->env)
			abort();
		o->env[o->nr_env++] = optarg;
		return 0;
	case OPT_RESIDENCY:
		return set_residency(o, optarg)
			       ? 0
			       : bad_usage("--residency is guest, host or auto, not ", optarg);
	case OPT_PILL:
		return set_pill(o, optarg) ? 0
					   : bad_usage("--pill is direct or fault, not ", optarg);
	case 'v':
		sbx_log_set_level(sbx_log_get_level() + 1);
		return 0;
	case OPT_HELP:
		fputs(help_text, stdout);
		*stop = true;
		return 0;
	default:
		return bad_usage(NULL, NULL);
	}
}

/* Applies --clear-env and --env to this process's environment, which the program inherits. */
static int prepare_environment(const struct run_opts *o)
{
	size_t i;

	for (i = 0; i < o->nr_env; i++) {
		const char *s = o->env[i];

		if (!strchr(s, '=') && o->clear_env) { /* NAME: keep its value */
			const char *v = getenv(s);
			char *kv = NULL;

			if (v && asprintf(&kv, "%s=%s", s, v) < 0)
				return -1;
			o->env[i] = kv;
		}
	}
	if (o->clear_env && clearenv())
		return -1;
	for (i = 0; i < o->nr_env; i++)
		if (o->env[i] && strchr(o->env[i], '=') && putenv((char *)o->env[i]))
			return -1;
	return 0;
}

/* Opens a descriptor to write to, for an option, out of the way of 0..2. */
static int open_output(const char *option, const char *where, struct sbx_err **e)
{
	char *end;
	int fd;

	if (!strcmp(where, "-"))
		fd = fcntl(1, F_DUPFD_CLOEXEC, 3);
	else if (!strncmp(where, "fd:", 3)) {
		long n = strtol(where + 3, &end, 10);

		if (*end || end == where + 3 || n < 0 || n > 1 << 20)
			return sbx_err_set(e, "%s %s: not a descriptor number", option, where);
		fd = fcntl((int)n, F_DUPFD_CLOEXEC, 3);
	} else {
		fd = open(where, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
	}
	if (fd < 0)
		return sbx_err_errno(e, errno, "%s %s", option, where);
	return fd;
}

static int load_policy(struct run_opts *o, const struct pol_image **img, struct sbx_err **e)
{
	char **dirs = cli_include_dirs(o->policy.path);
	struct pol_source src = {
		.path = o->policy.path,
		.params = o->policy.params,
		.nr_params = o->policy.nr_params,
		.include_dirs = (const char *const *)dirs,
		.errors_only = true, /* warnings are for `sbx check` */
	};
	int r = pol_compile(&src, 2, img, e);

	cli_include_dirs_free(dirs);
	if (r > 0)
		return sbx_err_set(e, "%s: the policy has errors; nothing was run", o->policy.path);
	return r;
}

/* Says on stderr why the run was ended from outside the program: nothing else would. */
static void say_end(const char *reason)
{
	size_t n = reason ? strlen(reason) : 0;

	if (n > 6 && !strcmp(reason + n - 6, " limit"))
		fprintf(stderr, "sbx: ended at the policy's %s\n", reason);
	else if (reason && !strncmp(reason, "terminated by policy", 20))
		fprintf(stderr, "sbx: %s\n", reason);
}

static int open_changes(const struct run_opts *o, const struct pol_image *img, int *fd,
			struct sbx_err **e)
{
	struct pol_scratch s;
	bool any = false;

	for (size_t i = 0; i < pol_image_scratch(img, i, &s); i++)
		any |= s.overlay;
	if (!any)
		return sbx_err_set(e, "--changes: the policy has no overlay");
	*fd = open_output("--changes", o->changes, e);
	return *fd < 0 ? -1 : 0;
}

static int start(struct run_opts *o, char **argv, int *status, struct sbx_err **e)
{
	const struct pol_image *img = NULL;
	struct audit_log *log = NULL;
	int changes = 0;
	struct sandbox_opts so;

	if (load_policy(o, &img, e))
		return -1;
	if (o->log) {
		struct audit_opts ao = {
			.argv = (const char *const *)argv, .log_argv = o->log_argv, .image = img};

		ao.fd = open_output("--log", o->log, e);
		if (ao.fd < 0 || audit_open(&ao, &log, e))
			return -1;
	}
	if (o->changes && open_changes(o, img, &changes, e))
		return -1;
	if (o->chdir && chdir(o->chdir))
		return sbx_err_errno(e, errno, "--chdir %s", o->chdir);
	if (prepare_environment(o))
		return sbx_err_set(e, "out of memory");
	so = (struct sandbox_opts){
		.image = img,
		.audit = log,
		.program = argv[0],
		.argv = (const char *const *)argv,
		.envp = (const char *const *)environ,
		.stats = o->stats,
		.changes_fd = changes,
		.residency = o->residency,
		.pill = o->pill,
	};
	*status = sandbox_run(&so, e);
	if (*status < 0)
		*status = *e && (*e)->status ? (*e)->status : SBX_EXIT_SETUP;
	audit_close(&log, *status, sandbox.end_reason ? sandbox.end_reason : *e ? (*e)->msg : "",
		    &sandbox.totals);
	say_end(sandbox.end_reason);
	return *e ? -1 : 0;
}

int cli_run(int argc, char **argv)
{
	static struct run_opts o;
	struct sbx_err *e = NULL;
	int c, r, status = SBX_EXIT_SETUP;
	bool stop = false;

	opterr = 1;
	r = from_environment(&o);
	if (r)
		return r;
	while ((c = getopt_long(argc, argv, "+p:v", long_options, NULL)) != -1) {
		r = take_option(&o, c, &stop);
		if (r || stop)
			return r;
	}
	if (!o.policy.path)
		return bad_usage("--policy FILE is needed", NULL);
	if (optind >= argc)
		return bad_usage("no program given", NULL);
	if (start(&o, argv + optind, &status, &e)) {
		fprintf(stderr, "sbx: %s\n", e ? e->msg : "failed");
		if (e && e->status)
			status = e->status;
		sbx_err_free(&e);
	}
	return status;
}
