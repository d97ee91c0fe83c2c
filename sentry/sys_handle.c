/* name_to_handle_at, open_by_handle_at. A handle tells one object from another; nobody in a sandbox has the
 * privilege to open one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "sentry/sys_file.h"

#define HANDLE_MAX  128u /* as Linux */
#define HANDLE_TYPE 1	 /* an inode's number and its generation */

struct handle_head {
	uint32_t bytes;
	int32_t type;
};

struct handle {
	struct handle_head head;
	uint64_t ino;
	uint32_t major_minor, made;
};

static int fill(struct task *t, struct vnode *n, struct handle *h)
{
	struct statx st;
	int r = vfs_getattr(t, n, &st);

	if (r)
		return r;
	h->head.type = HANDLE_TYPE;
	h->ino = st.stx_ino;
	h->major_minor = st.stx_dev_major << 20 | st.stx_dev_minor;
	h->made = (uint32_t)st.stx_btime.tv_sec ^ st.stx_btime.tv_nsec;
	return 0;
}

long sys_name_to_handle_at(struct task *t, struct sysargs *a)
{
	const size_t payload = sizeof(struct handle) - sizeof(struct handle_head);
	struct vnode *n = a->path[0].v->node;
	struct handle h = {0};
	int id, r;

	if (!n || !n->ops->setattr) /* /proc and the like have no handles */
		return -EOPNOTSUPP;
	if (gmem_read(t->proc->mm, &h.head, A_PTR(a, 2), sizeof(h.head)))
		return -EFAULT;
	if (h.head.bytes > HANDLE_MAX)
		return -EINVAL;
	r = h.head.bytes < payload ? -EOVERFLOW : fill(t, n, &h);
	if (r && r != -EOVERFLOW)
		return r;
	h.head.bytes = (uint32_t)payload;
	id = vfs_mount_id(n->mnt);
	if (gmem_write(t->proc->mm, A_PTR(a, 3), &id, sizeof(id)) ||
	    gmem_write(t->proc->mm, A_PTR(a, 2), &h, r ? sizeof(h.head) : sizeof(h)))
		return -EFAULT;
	return r;
}

long sys_open_by_handle_at(struct task *t, struct sysargs *a)
{
	return A_INT(a, 0) != AT_FDCWD && !a->file[0] ? -EBADF : -EPERM;
}
