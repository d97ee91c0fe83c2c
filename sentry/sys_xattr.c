/* Extended attributes. Names of the `user.` class are the app's: reading them is reading the file,
 * changing them is writing it. Those of the other classes carry what belongs to the host (capabilities,
 * labels, access lists): they are answered as Linux answers a process without privileges. */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/notify.h"
#include "sentry/sys_file.h"

/* The object of a call, however it was named. */
struct target {
	struct vnode *node; /* NULL: a pipe, a socket ... */
	uint32_t verbs;	    /* what the policy grants on it */
	bool dir;
};

static int target_path(const struct sysargs *a, struct target *o)
{
	struct vnode *n = a->path[0].v->node;

	*o = (struct target){n, POL_V_ALL, n->type == S_IFDIR}; /* judged already */
	return 0;
}

static int target_fd(const struct sysargs *a, struct target *o)
{
	struct file *f = a->file[0];

	if (!f || f->flags & O_PATH)
		return -EBADF;
	*o = (struct target){f->node, f->verbs, f->node && f->node->type == S_IFDIR};
	return 0;
}

static bool has_prefix(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* 0 for a name that the object may have; otherwise what the call returns. */
static int check_name(const struct target *o, const struct sysargs *a, bool write)
{
	const int refused = write ? -EPERM : -ENODATA;
	const char *name = a->str;

	if (a->str_err)
		return a->str_err == -ENAMETOOLONG ? -ERANGE : a->str_err;
	if (!*name || strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	if (has_prefix(name, "security.") || has_prefix(name, "trusted."))
		return refused;
	if (!has_prefix(name, "user."))
		return -EOPNOTSUPP;
	if (!o->node || (o->node->type != S_IFREG && !o->dir))
		return refused;
	return 0;
}

/* ---- reading ---- */

static long put_result(struct task *t, uint64_t addr, const void *buf, size_t cap, ssize_t n)
{
	if (n <= 0 || !cap)
		return n;
	return gmem_write(t->proc->mm, gptr_at(addr), buf, (size_t)n) ? -EFAULT : n;
}

static long get(struct task *t, struct sysargs *a, const struct target *o)
{
	size_t cap = MIN(a->raw[3], (uint64_t)XATTR_SIZE_MAX);
	cleanup_free char *buf = NULL;
	ssize_t n = check_name(o, a, false);

	if (n)
		return n;
	if (!(o->verbs & (o->dir ? POL_V_LIST : POL_V_READ)))
		return -EPERM;
	if (!o->node->ops->getxattr)
		return -EOPNOTSUPP;
	buf = malloc(cap + 1);
	if (!buf)
		return -ENOMEM;
	n = o->node->ops->getxattr(o->node, a->str, buf, cap);
	return put_result(t, a->raw[2], buf, cap, n);
}

static long list(struct task *t, struct sysargs *a, const struct target *o)
{
	size_t cap = MIN(a->raw[2], (uint64_t)XATTR_LIST_MAX);
	cleanup_free char *buf = NULL;
	ssize_t n;

	if (!o->node || !o->node->ops->listxattr || (o->node->type != S_IFREG && !o->dir))
		return 0;
	buf = malloc(cap + 1);
	if (!buf)
		return -ENOMEM;
	n = o->node->ops->listxattr(o->node, buf, cap);
	if (n == -ERANGE && cap == XATTR_LIST_MAX)
		return -E2BIG;
	return put_result(t, a->raw[1], buf, cap, n);
}

/* ---- changing ---- */

static long change(struct sysargs *a, const struct target *o, const void *value, size_t size,
		   int flags)
{
	int r;

	if (!(o->verbs & POL_V_WRITE))
		return -EPERM;
	if (!o->node->ops->setxattr)
		return -EOPNOTSUPP;
	r = o->node->ops->setxattr(o->node, a->str, value, size, flags);
	if (!r)
		notify_node(o->node, IN_ATTRIB);
	return r;
}

static long set(struct task *t, struct sysargs *a, const struct target *o)
{
	unsigned flags = A_UINT(a, 4);
	size_t size = a->raw[3];
	cleanup_free char *value = NULL;
	int r;

	if (flags & ~(unsigned)(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	r = check_name(o, a, true);
	if (r == -ERANGE || r == -EFAULT)
		return r;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	value = malloc(size + 1);
	if (!value)
		return -ENOMEM;
	if (size && gmem_read(t->proc->mm, value, A_PTR(a, 2), size))
		return -EFAULT;
	return r ? r : change(a, o, value, size, (int)flags);
}

static long discard(struct task *t, struct sysargs *a, const struct target *o)
{
	int r = check_name(o, a, true);

	return r ? r : change(a, o, NULL, 0, XATTR_REPLACE);
}

/* ---- the twelve calls ---- */

#define XATTR_CALL(name, find, act)                                                                \
	long sys_##name(struct task *t, struct sysargs *a)                                         \
	{                                                                                          \
		struct target o;                                                                   \
		int r = find(a, &o);                                                               \
                                                                                                   \
		return r ? r : act(t, a, &o);                                                      \
	}

XATTR_CALL(setxattr, target_path, set)
XATTR_CALL(lsetxattr, target_path, set)
XATTR_CALL(fsetxattr, target_fd, set)
XATTR_CALL(getxattr, target_path, get)
XATTR_CALL(lgetxattr, target_path, get)
XATTR_CALL(fgetxattr, target_fd, get)
XATTR_CALL(listxattr, target_path, list)
XATTR_CALL(llistxattr, target_path, list)
XATTR_CALL(flistxattr, target_fd, list)
XATTR_CALL(removexattr, target_path, discard)
XATTR_CALL(lremovexattr, target_path, discard)
XATTR_CALL(fremovexattr, target_fd, discard)
