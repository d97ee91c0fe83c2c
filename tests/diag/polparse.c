/* Parses policies and writes the reports to stderr, for the golden files. -p prints the tree. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/fdx.h"
#include "parser/parser.h"

static int parse(const char *path, bool print)
{
	struct parser_ctx *ctx = parser_ctx_create(NULL);
	struct sbx_err *e = NULL;
	struct buf out = BUF_INIT;
	struct pol_ast *ast;
	int failed;

	if (!ctx)
		return 1;
	ast = parser_parse_file(ctx, path, &e);
	if (e)
		fprintf(stderr, "%s\n", e->msg);
	sbx_err_free(&e);
	diag_print(&ctx->diags, STDERR_FILENO);
	failed = !ast || diag_failed(&ctx->diags);
	if (print && !failed)
		ast_print(ast, &out);
	if (out.len)
		fdx_write_all(STDOUT_FILENO, out.data, out.len);
	buf_free(&out);
	parser_ctx_destroy(&ctx);
	return failed;
}

int main(int argc, char **argv)
{
	bool print = argc > 1 && !strcmp(argv[1], "-p");
	int failed = 0;

	for (int i = 1 + print; i < argc; i++)
		failed |= parse(argv[i], print);
	return failed;
}
