/* Copy-in of system call arguments: each is read once, here. */
#include "sentry/decode.h"
#include "base/hot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define STRUCT_COPY_MAX 4096u

int decode_scratch_alloc(struct task *t)
{
	t->scratch = calloc(1, sizeof(*t->scratch));
	return t->scratch ? 0 : -1;
}

void decode_scratch_free(struct task *t)
{
	free(t->scratch);
	t->scratch = NULL;
}

static void copy_path(struct task *t, struct sysargs *a, int i)
{
	struct task_scratch *s = t->scratch;
	int k = a->npaths;
	ssize_t n;

	if (k == SYS_MAX_PATHS)
		return;
	a->npaths++;
	a->path[k].argno = i;
	a->path[k].str = NULL;
	a->path[k].v = NULL;
	a->path[k].err = 0;
	s->resolved[k] = s->tried[k] = false;
	/* A null path names the descriptor itself in these calls; the handler acts on the file. */
	if (!a->raw[i] && (a->nr == SYS_utimensat || a->nr == SYS_futimesat)) {
		s->tried[k] = true;
		return;
	}
	n = gmem_read_str(t->proc->mm, s->path[k], A_PTR(a, i), PATH_MAX);
	if (n < 0)
		a->path[k].err = (int)n;
	else
		a->path[k].str = s->path[k];
}

static void copy_str(struct task *t, struct sysargs *a, int i)
{
	struct task_scratch *s = t->scratch;
	ssize_t n = gmem_read_str(t->proc->mm, s->str, A_PTR(a, i), sizeof(s->str));

	s->str[n < 0 ? 0 : n] = '\0';
	a->str_err = n < 0 ? (int)n : 0;
}

static void copy_sockaddr(struct task *t, struct sysargs *a, uint64_t addr, uint64_t len)
{
	a->addr_len = 0;
	if (!addr)
		return;
	a->has_addr = true;
	if (len > sizeof(a->addr)) {
		a->addr_err = -EINVAL;
		return;
	}
	memset(&a->addr, 0, sizeof(a->addr));
	a->addr_err = gmem_read(t->proc->mm, &a->addr, gptr_at(addr), len);
	a->addr_len = (socklen_t)len;
}

static void copy_msghdr(struct task *t, struct sysargs *a, int i)
{
	uint32_t len;

	a->addr_err = gmem_read(t->proc->mm, &a->msg, A_PTR(a, i), sizeof(a->msg));
	if (a->addr_err) {
		memset(&a->msg, 0, sizeof(a->msg));
		return;
	}
	len = (uint32_t)a->msg.msg_namelen;
	if ((int32_t)len < 0) {
		a->addr_err = -EINVAL;
		return;
	}
	if (a->msg.msg_name && len)
		copy_sockaddr(t, a, (uint64_t)a->msg.msg_name, MIN(len, (uint32_t)sizeof(a->addr)));
}

/* The bytes of the app's structure beyond what sbx knows must be zero: a newer caller that asks for
 * nothing newer. */
static int check_tail(struct task *t, uint64_t from, uint64_t n)
{
	uint8_t chunk[256];
	size_t part, i;

	for (; n; n -= part, from += part) {
		part = MIN(n, (uint64_t)sizeof(chunk));
		if (gmem_read(t->proc->mm, chunk, gptr_at(from), part))
			return -EFAULT;
		for (i = 0; i < part; i++)
			if (chunk[i])
				return -E2BIG;
	}
	return 0;
}

static void copy_struct(struct task *t, struct sysargs *a, int i)
{
	size_t known = sysdesc_struct_size(a->desc->arg[i].strct), n;
	int ref = sysdesc_ref(a->desc, (unsigned)i);
	uint64_t size = ref < 0 ? known : a->raw[ref];

	memset(a->strct, 0, sizeof(a->strct));
	known = MIN(known, sizeof(a->strct));
	a->strct_size = size;
	if (size > STRUCT_COPY_MAX) {
		a->strct_err = -E2BIG;
		return;
	}
	n = MIN(size, known);
	a->strct_err = gmem_read(t->proc->mm, a->strct, A_PTR(a, i), n);
	if (!a->strct_err && size > known)
		a->strct_err = check_tail(t, a->raw[i] + known, size - known);
}

static void copy_arg(struct task *t, struct sysargs *a, int i)
{
	int ref;

	switch (a->desc->arg[i].kind) {
	case ARG_FD:
	case ARG_DIRFD:
		if (A_INT(a, i) >= 0)
			a->file[i] = fdtab_lookup(t->proc->fdtab, A_INT(a, i));
		break;
	case ARG_PATH:
		copy_path(t, a, i);
		break;
	case ARG_STR:
		copy_str(t, a, i);
		break;
	case ARG_SOCKADDR:
		ref = sysdesc_ref(a->desc, (unsigned)i);
		copy_sockaddr(t, a, a->raw[i], ref < 0 ? 0 : a->raw[ref]);
		break;
	case ARG_MSGHDR:
		copy_msghdr(t, a, i);
		break;
	case ARG_STRUCT:
		copy_struct(t, a, i);
		break;
	default:
		break;
	}
}

hot_path struct sysargs *decode_begin(struct task *t, uint32_t nr, const struct sys_desc *d)
{
	const struct platform_regs *r = t->regs;
	const uint64_t reg[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
	struct sysargs *a = &t->scratch->args;
	int i, nargs = d ? d->nargs : 0;

	a->desc = d;
	a->nr = nr;
	a->npaths = 0;
	a->has_addr = false;
	a->addr_err = a->strct_err = a->str_err = 0;
	a->str = t->scratch->str;
	a->str[0] = '\0';
	a->net = NULL;
	memset(a->file, 0, sizeof(a->file));
	for (i = 0; i < 6; i++)
		a->raw[i] = i < nargs ? sysdesc_value(d->arg[i].kind, reg[i]) : reg[i];
	for (i = 0; i < nargs; i++)
		copy_arg(t, a, i);
	return a;
}

int decode_resolve(struct task *t, struct sysargs *a, int k)
{
	struct task_scratch *s = t->scratch;
	int i = a->path[k].argno, dirfd = AT_FDCWD;

	if (s->tried[k] || a->path[k].err)
		return a->path[k].err;
	s->tried[k] = true;
	if (i > 0 && a->desc->arg[i - 1].kind == ARG_DIRFD)
		dirfd = A_INT(a, i - 1);
	s->vpath[k].path_len = 0;
	s->vpath[k].path[0] = '\0';
	a->path[k].err = vfs_role_check(a->desc->arg[i].role, a);
	if (a->path[k].err)
		return a->path[k].err;
	a->path[k].err = vfs_resolve(t, dirfd, a->path[k].str,
				     vfs_role_flags(a->desc->arg[i].role, a), &s->vpath[k]);
	a->path[k].v = &s->vpath[k];
	s->resolved[k] = !a->path[k].err;
	return a->path[k].err;
}

int decode_path_index(const struct sysargs *a, unsigned argno)
{
	int k;

	for (k = 0; k < a->npaths; k++)
		if (a->path[k].argno == (int)argno)
			return k;
	return -1;
}

hot_path void decode_end(struct task *t, struct sysargs *a)
{
	struct task_scratch *s = t->scratch;
	int i;

	for (i = 0; i < 6; i++)
		if (a->file[i])
			file_put(a->file[i]);
	for (i = 0; i < a->npaths; i++)
		if (s->resolved[i])
			vpath_release(&s->vpath[i]);
	a->npaths = 0;
}
