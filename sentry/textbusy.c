#include "sentry/textbusy.h"

#include <errno.h>
#include "sentry/file.h"
#include "sentry/task.h"

/* Are these the same file? Nodes of the host's files are made anew by each lookup. */
static bool same(struct vnode *a, struct vnode *b)
{
	struct statx x, y;

	if (a == b)
		return true;
	if (a->hostfd < 0 || b->hostfd < 0 || a->ino != b->ino)
		return false;
	return !vfs_getattr(current, a, &x) && !vfs_getattr(current, b, &y) &&
	       x.stx_dev_major == y.stx_dev_major && x.stx_dev_minor == y.stx_dev_minor;
}

int textbusy_check(struct vnode *n)
{
	bool busy = false;
	struct vnode *exe;
	struct proc *p;

	if (n->type != S_IFREG || !current)
		return 0;
	pthread_mutex_lock(&sandbox.lock);
	list_for_each(p, &sandbox.procs, node) {
		pthread_mutex_lock(&p->lock);
		exe = p->exe && !p->zombie ? p->exe->node : NULL;
		busy = exe && same(exe, n);
		pthread_mutex_unlock(&p->lock);
		if (busy)
			break;
	}
	pthread_mutex_unlock(&sandbox.lock);
	return busy ? -ETXTBSY : 0;
}
