/* sbx audit: what was refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "audit/reader.h"
#include "cli/cli.h"

static int usage(FILE *out)
{
	fprintf(out, "usage: sbx audit FILE          refusals, grouped, with the rule that refused\n"
		     "       sbx audit why SEQ FILE  one record in full\n"
		     "       sbx audit verify FILE   check that nothing was changed or removed\n"
		     "FILE may be - for standard input.\n");
	return out == stdout ? CLI_OK : CLI_USAGE;
}

static int finish(int r, struct sbx_err **e)
{
	if (r >= 0)
		return r;
	fprintf(stderr, "sbx: audit: %s\n", *e ? (*e)->msg : "failed");
	sbx_err_free(e);
	return CLI_FAILED;
}

int cli_audit(int argc, char **argv)
{
	struct sbx_err *e = NULL;
	unsigned long long seq;
	char *end;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return usage(stdout);
	if (argc == 2)
		return finish(audit_report(argv[1], stdout, &e), &e);
	if (argc == 3 && !strcmp(argv[1], "verify"))
		return finish(audit_verify(argv[2], stdout, &e), &e);
	if (argc == 4 && !strcmp(argv[1], "why")) {
		errno = 0;
		seq = strtoull(argv[2], &end, 10);
		if (errno || *end || end == argv[2])
			return usage(stderr);
		return finish(audit_why(argv[3], seq, stdout, &e), &e);
	}
	return usage(stderr);
}
