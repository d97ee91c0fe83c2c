/* Decoded system calls. Owner: sentry/decode.c, dispatch.c.
 *
 * dispatch is one function: decode (copy in) -> call gate -> resolve objects -> object gate -> audit
 * -> invoke -> result. A handler gets a struct sysargs: it never reads raw guest pointers for what a
 * policy judged, and never calls the policy.
 *
 * A handler is `long sys_NAME(struct task *t, struct sysargs *a)`: >= 0, or -errno, or -ERESTART*.
 * The prototypes and the table come from policy/syscalls.def (sentry/systable.c). */
#ifndef SBX_SENTRY_SYS_H
#define SBX_SENTRY_SYS_H

#include <stdint.h>
#include <sys/socket.h>
#include "policy/sysdesc.h"
#include "sentry/file.h"
#include "sentry/task.h"
#include "sentry/vfs.h"

#define SYS_MAX_PATHS 2
#define SYS_STRUCT_MAX 128

struct net_call;

struct sysargs {
	const struct sys_desc *desc;
	uint32_t nr;
	uint64_t raw[6]; /* scalars: already truncated or sign-extended to their kind's width */
	/* FD arguments (and DIRFD used as a descriptor): referenced, NULL when not open. */
	struct file *file[6];
	/* PATH arguments in order of appearance: the copied string and what it resolved to. err is
	 * the resolution's -errno, which the handler's caller returns before the handler runs. */
	struct {
		char *str;
		struct vpath *v;
		int argno, err;
	} path[SYS_MAX_PATHS];
	int npaths;
	/* SOCKADDR / MSGHDR's name: the copy. */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	bool has_addr;
	int addr_err;
	/* MSGHDR: the copied header (pointers are app addresses). */
	struct msghdr msg;
	/* STRUCT: the copied structure, zero-padded; size as the app gave it. */
	uint8_t strct[SYS_STRUCT_MAX];
	size_t strct_size;
	int strct_err;
	char *str; /* STR: the copied string, up to PATH_MAX */
	int str_err;
	struct net_call *net; /* addresses that the net gate judged; sentry/net.h */
};

#define A_INT(a, i)  ((int)(a)->raw[i])
#define A_UINT(a, i) ((unsigned)(a)->raw[i])
#define A_PTR(a, i)  gptr_at((a)->raw[i])

#define SYS(nr, name, class, disp, args, tier0) long sys_##name(struct task *t, struct sysargs *a);
#include "policy/syscalls.def"
#undef SYS

/* The file whose contents an mmap or mprotect would make executable, where it was opened without the
 * verb for that: the policy is asked. Referenced, or NULL. */
struct file *sys_mm_executes(struct task *t, const struct sysargs *a);

/* Decodes, decides, audits and invokes the call that t->regs hold; stores the result in rax
 * (or leaves a restart for the signal code). */
void sys_dispatch(struct task *t);

/* For a handler with a gate of its own: what the verdict, which is not POL_ALLOW, makes of the call. */
long sys_refuse(struct task *t, const struct sysargs *a, const struct pol_verdict *v);

#endif
