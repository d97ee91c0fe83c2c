/* Policy text (or a compiled image) in, verified image out: what `run`, `check` and tests call. */
#ifndef SBX_POLICY_COMPILE_H
#define SBX_POLICY_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "policy/image.h"

struct pol_param {
	const char *name, *value; /* --param name=value; borrowed */
};

struct pol_source {
	const char *path; /* web.pol or web.polc; told apart by content */
	const struct pol_param *params;
	size_t nr_params;
	const char *const *include_dirs; /* where `use: [sbx/dynamic]` looks; NULL-terminated */
	bool json;			 /* diagnostics and failed tests as JSON lines */
	bool errors_only;		 /* the warnings of a policy without errors are not printed */
};

/* Loads and compiles. On success *img is a new page-aligned image (pol_image_free).
 * Diagnostics (errors and warnings, with carets) are written to diag_fd as they stand at the end.
 * Returns 0; -1 with *e when the file cannot be read; 1 when diagnostics with errors were printed.
 */
int pol_compile(const struct pol_source *src, int diag_fd, const struct pol_image **img,
		struct sbx_err **e);
void pol_image_free(const struct pol_image **img);

/* Runs the tests: section of src against its own image. Returns the number of failures, each
 * printed to diag_fd as file:line:column: test failed: ...; *total is how many ran. */
int pol_run_tests(const struct pol_source *src, const struct pol_image *img, int diag_fd,
		  unsigned *total, struct sbx_err **e);

/* What the policy says, as text appended to out: of one call, written as after `expect` ("openat(AT_FDCWD,
 * \"/etc/passwd\", O_RDONLY) in tool"), or with call NULL of its programs. 0; 1 when diagnostics were printed
 * to diag_fd; -1 with *e. */
int pol_explain(const struct pol_source *src, const struct pol_image *img, const char *call, int diag_fd,
		struct buf *out, struct sbx_err **e);

#endif
