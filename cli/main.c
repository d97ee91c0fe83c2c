/* sbx: dispatch to the subcommands. Options may stand before or after `run`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/err.h"
#include "base/overflow.h"
#include "base/suggest.h"
#include "base/fdx.h"
#include "cli/cli.h"
#include "config.h"

static const struct command {
	const char *name, *args, *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"run", "--policy FILE [OPTION...] [--] PROGRAM [ARG...]", "run a program under a policy",
	 cli_run},
	{"check", "[-o OUT] [--json] [--param NAME=VALUE] FILE...",
	 "check policies, run their tests, compile them", cli_check},
	{"explain", "[--param NAME=VALUE] FILE ['CALL(ARGUMENTS) [in PROGRAM]']",
	 "say what a policy makes of a call, or which programs it has", cli_explain},
	{"audit", "[why SEQ | verify] FILE", "say what was refused in a run", cli_audit},
	{"doctor", "[--bench]", "say what this machine offers and what sbx will do", cli_doctor},
	{"syscalls", "[--man]", "print the table of system calls", cli_syscalls},
};

static void usage(FILE *out)
{
	size_t i;

	fprintf(out, "usage: sbx [OPTION...] COMMAND [ARG...]\n\ncommands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-9s %s\n            %s\n", commands[i].name, commands[i].args,
			commands[i].help);
	fprintf(out, "\n`sbx run --help` lists the options of run; see sbx(1).\n");
}

/* Index in argv of the command's name: the first word that is not an option of `run`. */
static int find_command(int argc, char **argv)
{
	static const char *const with_value[] = {"--policy", "-p",  "--log",  "--changes", "--param",
						 "--env",    "--chdir", "--residency", "--pill"};
	size_t k;
	int i;

	for (i = 1; i < argc; i++) {
		if (argv[i][0] != '-')
			return i;
		for (k = 0; k < ARRAY_SIZE(with_value); k++)
			if (!strcmp(argv[i], with_value[k]))
				i++;
	}
	return argc;
}

static int unknown_command(const char *name)
{
	struct suggest s;
	const char *near;
	size_t i;

	suggest_begin(&s, name);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		suggest_offer(&s, commands[i].name);
	near = suggest_end(&s);
	fprintf(stderr, "sbx: unknown command '%s'", name);
	if (near)
		fprintf(stderr, "; did you mean '%s'?", near);
	fprintf(stderr, "\n");
	return CLI_USAGE;
}

/* Moves the command's name to the front: sbx --policy p run x -> run --policy p x. */
static void rotate(char **argv, int at)
{
	char *name = argv[at];
	int i;

	for (i = at; i > 1; i--)
		argv[i] = argv[i - 1];
	argv[1] = name;
}

int main(int argc, char **argv)
{
	int at;
	size_t i;

	if (fdx_hold_std())
		return SBX_EXIT_SETUP;
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		usage(stdout);
		return CLI_OK;
	}
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		printf("sbx %s\n", PACKAGE_VERSION);
		return CLI_OK;
	}
	at = find_command(argc, argv);
	if (at >= argc) {
		usage(stderr);
		return CLI_USAGE;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[at], commands[i].name))
			break;
	if (i == ARRAY_SIZE(commands))
		return unknown_command(argv[at]);
	if (at > 1 && commands[i].run != cli_run) {
		fprintf(stderr, "sbx: options of '%s' come after its name\n", commands[i].name);
		return CLI_USAGE;
	}
	rotate(argv, at);
	return commands[i].run(argc - 1, argv + 1);
}
