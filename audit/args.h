/* Arguments of a system call as a JSON object, printed by their kinds in policy/syscalls.def. */
#ifndef SBX_AUDIT_ARGS_H
#define SBX_AUDIT_ARGS_H

#include <stdint.h>
#include "base/buf.h"
#include "policy/eval.h"
#include "policy/sysdesc.h"

/* What the sentry copied in for arguments that are pointers; all members may be zero: then the
 * argument prints as its address. */
struct audit_arg_text {
	const char *str;	     /* PATH, STR */
	const struct pol_addr *addr; /* SOCKADDR, MSGHDR */
	const void *strct;	     /* STRUCT: the copied bytes, at least the structure's size */
};

/* Appends {"fd":3,"flags":["O_RDONLY"]}. text: SYS_MAX_ARGS entries, or NULL. Buffers' contents are
 * never printed. d NULL (an unknown call): the six registers. */
void audit_args(struct buf *b, const struct sys_desc *d, const uint64_t raw[SYS_MAX_ARGS],
		const struct audit_arg_text *text);

#endif
