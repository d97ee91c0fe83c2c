/* Policy text through the whole compiler: no crash, no hang, also for text with errors, which is
 * checked further but never compiled; what compiles is an image that verifies and can be used. */
#include <stdlib.h>
#include "base/buf.h"
#include "policy/resolve.h"
#include "tests/fuzz/exercise_image.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	struct parser_ctx *ctx = parser_ctx_create(NULL);
	const struct pol_image *img = NULL;
	struct sbx_err *e = NULL;
	const struct pol_ast *ast;
	struct buf out = BUF_INIT;
	int r = 1;

	if (!ctx)
		abort();
	ctx->no_use = true;
	ast = parser_parse_bytes(ctx, "fuzz.pol", data, len, &e);
	if (ast)
		r = pol_compile_ast(ctx, ast, NULL, 0, &img, &e);
	if (r == 0 && (diag_failed(&ctx->diags) || !exercise_bytes(img, pol_image_size(img), false)))
		abort();
	diag_format(&ctx->diags, &out);
	buf_free(&out);
	pol_image_free(&img);
	sbx_err_free(&e);
	parser_ctx_destroy(&ctx);
	return 0;
}
