/* sbx syscalls: the system call table, as a list or as the manual page sbx-syscalls(7). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "base/overflow.h"
#include "cli/cli.h"
#include "policy/sysdesc.h"

static const char usage[] =
    "usage: sbx syscalls [--groups | --man] [NAME | @GROUP]...\n"
    "Lists the system calls that policies can name: number, group, what sbx does, arguments.\n"
    "  --groups   list the groups instead\n"
    "  --man      print sbx-syscalls(7)\n";

static const char *disposition(const struct sys_desc *d)
{
	if (d->tier0)
		return "constant";
	return d->disposition == SYS_EMULATE ? "emulated" : "ENOSYS";
}

/* What a detail of an argument is, for people: the set, structure or counterpart it refers to. */
static const char *detail(const struct sys_arg *a)
{
	if (a->set)
		return sysconst_set_name((enum const_set)a->set);
	if (a->strct)
		return sysdesc_struct_name(a->strct);
	return a->ref ? a->ref : "";
}

static void print_args(const struct sys_desc *d)
{
	for (unsigned i = 0; i < d->nargs; i++) {
		const struct sys_arg *a = &d->arg[i];

		printf("%s%s:%s", i ? ", " : "", a->name, sysdesc_kind(a->kind)->name);
		if (*detail(a))
			printf("(%s)", detail(a));
	}
}

static bool wanted(const struct sys_desc *d, char **names, int n)
{
	for (int i = 0; i < n; i++) {
		int g = names[i][0] == '@' ? sysgroup_find(names[i] + 1) : -1;

		if (g >= 0 ? sysgroup_has(g, d->nr) : !strcmp(names[i], d->name))
			return true;
	}
	return n == 0;
}

static int list_calls(char **names, int n)
{
	const struct sys_desc *d;
	unsigned found = 0;

	for (size_t i = 0; (d = sysdesc_at(i)); i++) {
		if (!wanted(d, names, n))
			continue;
		printf("%3u  %-23s  @%-12s  %-8s  ", d->nr, d->name, sysgroup_name(d->cls),
		       disposition(d));
		print_args(d);
		putchar('\n');
		found++;
	}
	if (!found)
		fprintf(stderr, "sbx syscalls: no such system call or group\n");
	return found ? CLI_OK : CLI_FAILED;
}

static int list_groups(void)
{
	for (int g = 0; g < (int)sysgroup_count(); g++) {
		unsigned n = 0;

		for (uint32_t nr = 0; nr < SYS_TABLE_SIZE; nr++)
			n += sysgroup_has(g, nr);
		printf("@%-13s %3u  %s\n", sysgroup_name(g), n, sysgroup_about(g));
	}
	return CLI_OK;
}

/* ---- the manual page ---- */

static const char man_head[] =
    ".Dd $Mdocdate$\n"
    ".Dt SBX-SYSCALLS 7\n"
    ".Os sbx\n"
    ".Sh NAME\n"
    ".Nm sbx-syscalls\n"
    ".Nd system calls that sbx policies can name\n"
    ".Sh DESCRIPTION\n"
    "This page is generated from the table that\n"
    ".Xr sbx 1\n"
    "itself works with.\n"
    "Each entry gives the number, what happens to an allowed call, and the arguments with the "
    "names\n"
    "that rules of\n"
    ".Xr sbx-policy 5\n"
    "use.\n"
    ".Bl -tag -width constant\n"
    ".It emulated\n"
    "implemented by the sentry\n"
    ".It constant\n"
    "implemented, and answered without leaving the guest where the policy allows it\n"
    ".It ENOSYS\n"
    "known and not implemented: fails with\n"
    ".Er ENOSYS ,\n"
    "and is recorded in the audit log as unimplemented\n"
    ".El\n";

static void man_predicates(unsigned preds)
{
	static const struct {
		unsigned bit;
		const char *text;
	} list[] = {
	    {PRED_CMP, "comparisons"},	   {PRED_MASK, "mask"}, {PRED_IN, "in"},
	    {PRED_BITS, "has, any, only"}, {PRED_FDKIND, "is"}, {PRED_PATH, "under, matches"},
	    {PRED_FIELD, "fields"},
	};
	bool first = true;

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		if (!(preds & list[i].bit))
			continue;
		printf("%s%s", first ? "" : ", ", list[i].text);
		first = false;
	}
	printf("%s\n", first ? "none" : "");
}

static void man_kinds(void)
{
	printf(".Sh ARGUMENTS\nWhat the kinds of arguments can be tested for:\n.Bl -tag -width "
	       "SOCKADDR\n");
	for (unsigned k = 1; k < ARG_KIND_MAX; k++) {
		const struct arg_kind_desc *d = sysdesc_kind(k);

		printf(".It %s\n", d->name);
		if (d->preds & PRED_CMP)
			printf("%u bits, %s: ", d->width, d->is_signed ? "signed" : "unsigned");
		man_predicates(d->preds);
	}
	printf(".El\n");
}

static void man_group(int g)
{
	const struct sys_desc *d;

	printf(".Ss @%s\n%s.\n.Bl -tag -width Ds\n", sysgroup_name(g), sysgroup_about(g));
	for (size_t i = 0; (d = sysdesc_at(i)); i++) {
		if (!sysgroup_has(g, d->nr))
			continue;
		printf(".It Fn %s\n%u, %s%s", d->name, d->nr, disposition(d),
		       d->nargs ? ".\n" : ".\n");
		for (unsigned a = 0; a < d->nargs; a++) {
			const struct sys_arg *arg = &d->arg[a];

			printf(".Fa %s\n.Pq %s%s%s%s\n", arg->name, sysdesc_kind(arg->kind)->name,
			       *detail(arg) ? " " : "", detail(arg), "");
		}
	}
	printf(".El\n");
}

static void man_constants(void)
{
	const char *name;
	uint64_t v;

	printf(".Sh CONSTANTS\n.Bl -tag -width Ds\n");
	for (int s = CS_NONE + 1; s < CS_MAX; s++) {
		printf(".It %s\n", sysconst_set_name((enum const_set)s));
		for (size_t i = 0; (name = sysconst_at((enum const_set)s, i, &v)); i++)
			printf("%s%s", i ? ",\n" : "", name);
		putchar('\n');
	}
	printf(".El\n");
}

static int print_man(void)
{
	fputs(man_head, stdout);
	man_kinds();
	printf(".Sh GROUPS\nEvery call is in one of the groups of this section; a few further "
	       "groups cut\n"
	       "across them.\n");
	for (int g = 0; g < (int)sysgroup_count(); g++)
		man_group(g);
	man_constants();
	printf(".Sh SEE ALSO\n.Xr sbx 1 ,\n.Xr sbx-policy 5 ,\n.Xr syscalls 2\n");
	return CLI_OK;
}

int cli_syscalls(int argc, char **argv)
{
	static const struct option options[] = {
	    {"groups", no_argument, NULL, 'g'},
	    {"man", no_argument, NULL, 'm'},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	int opt, what = 0;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(usage, stdout);
			return CLI_OK;
		case 'g':
		case 'm':
			what = opt;
			break;
		default:
			fputs(usage, stderr);
			return CLI_USAGE;
		}
	}
	if (what && optind < argc) {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	if (what == 'g')
		return list_groups();
	if (what == 'm')
		return print_man();
	return list_calls(argv + optind, argc - optind);
}
