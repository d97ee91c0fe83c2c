/* Inside of the program loader: sentry/loader*.c. */
#ifndef SBX_SENTRY_LOADER_INT_H
#define SBX_SENTRY_LOADER_INT_H

#include "sentry/elf.h"
#include "sentry/mm.h"

/* A program as it is in memory. */
struct loaded {
	struct elf_image img;
	uint64_t bias; /* added to the file's addresses */
};

struct loader_strings { /* argv, owned pointers array; the strings are borrowed or in owned */
	const char **v;
	size_t n;
};

/* Writes the initial stack below mm's stack top: strings, auxv, envp, argv, argc.
 * 0 and *sp, or -E2BIG, -ENOMEM. */
struct loader_stack {
	const struct loader_args *args;
	const struct loader_strings *argv;
	const struct loaded *prog;
	uint64_t interp_base;
	uint64_t vdso;
};
int loader_build_stack(struct mm *mm, const struct loader_stack *s, uint64_t *sp);

/* "#!" line at the start of a file: text holds n bytes of it. 0 with *interp and *arg (NULL: none)
 * pointing into text, which is changed; 1 when it is no script; -ENOEXEC when it is a bad one. */
#define LOADER_LINE_MAX 256
int loader_parse_script(char text[LOADER_LINE_MAX + 1], size_t n, char **interp, char **arg);

#endif
