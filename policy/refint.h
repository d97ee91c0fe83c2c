/* The reference interpreter: decides calls, paths and addresses straight from the syntax tree, in
 * the plainest way, sharing no code with the compiler and the evaluator. Only tests use it: the two
 * must never differ. It assumes a policy that compiles. */
#ifndef SBX_POLICY_REFINT_H
#define SBX_POLICY_REFINT_H

#include "parser/ast.h"
#include "policy/compile.h"
#include "policy/eval.h"

struct refint {
	const struct pol_ast *ast;
	const struct pol_param *params;
	size_t nr_params;
	uint32_t layers; /* bit n: the nth section of programs: is in force */
	/* Set inside: the section that is looked at, as if it were a file, and the file it is in. */
	const struct ast_program *prog;
	const struct pol_ast *main;
};

struct refint_verdict {
	uint8_t action, flags, gate;
	int64_t value;
	uint32_t line; /* of the rule; 0: built in */
};

void refint_call(const struct refint *r, const struct pol_call *call, const struct pol_env *env,
		 struct refint_verdict *v);
void refint_path(const struct refint *r, uint32_t verbs, const char *path, size_t len,
		 struct refint_verdict *v);
/* *layers: those of the program that is started. */
void refint_exec(const struct refint *r, const struct pol_program *prog, struct refint_verdict *v,
		 uint32_t *layers);
void refint_net(const struct refint *r, uint32_t nverb, const struct pol_addr *addr,
		struct refint_verdict *v);

#endif
