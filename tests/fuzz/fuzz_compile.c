/* Policy text from anywhere: the compiler never crashes or hangs, says why when it refuses, and
 * what it accepts is an image that works. */
#include <stdlib.h>
#include "policy/resolve.h"
#include "tests/fuzz/exercise_image.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	struct parser_ctx *ctx = parser_ctx_create(NULL);
	const struct pol_image *img = NULL;
	struct sbx_err *e = NULL;
	struct pol_ast *ast;
	int r = 1;

	if (!ctx)
		abort();
	ctx->no_use = true;
	ast = parser_parse_bytes(ctx, "fuzz.pol", data, len, &e);
	if (ast)
		r = pol_compile_ast(ctx, ast, NULL, 0, &img, &e);
	if (ast && ((r == 0) != !diag_failed(&ctx->diags) || (r == 0) != (img != NULL)) && r != -1)
		abort();
	if (img)
		exercise_image(img);
	pol_image_free(&img);
	sbx_err_free(&e);
	parser_ctx_destroy(&ctx);
	return 0;
}
