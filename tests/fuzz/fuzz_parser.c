/* Policy text from anywhere: parsing never crashes or hangs, reports stay printable, and text without
 * errors prints to text that parses to the same tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "parser/parser.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

static struct pol_ast *parse(struct parser_ctx **ctx, const void *data, size_t len)
{
	*ctx = parser_ctx_create(NULL);
	if (!*ctx)
		abort();
	(*ctx)->no_use = true;
	return parser_parse_bytes(*ctx, "fuzz.pol", data, len, NULL);
}

static void report(const struct parser_ctx *ctx)
{
	struct buf out = BUF_INIT;

	diag_format(&ctx->diags, &out);
	diag_format_json(&ctx->diags, &out);
	if (diag_failed(&ctx->diags) != (out.len != 0))
		abort();
	buf_free(&out);
}

static void round_trip(const struct pol_ast *ast)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct parser_ctx *ctx = NULL;
	const struct pol_ast *again;

	ast_print(ast, &once);
	if (once.len <= SOURCE_MAX_BYTES) {
		again = parse(&ctx, once.data, once.len);
		if (again)
			ast_print(again, &twice);
		if (!again || diag_failed(&ctx->diags) || strcmp(once.data, twice.data)) {
			fprintf(stderr, "printed:\n%s\nprinted again:\n%s\n", once.data,
				twice.len ? twice.data : "(nothing)");
			diag_print(&ctx->diags, 2);
			abort();
		}
	}
	parser_ctx_destroy(&ctx);
	buf_free(&once);
	buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	struct parser_ctx *ctx;
	const struct pol_ast *ast;

	if (len > SOURCE_MAX_BYTES)
		return 0;
	ast = parse(&ctx, data, len);
	report(ctx);
	if (ast && !diag_failed(&ctx->diags))
		round_trip(ast);
	parser_ctx_destroy(&ctx);
	return 0;
}
