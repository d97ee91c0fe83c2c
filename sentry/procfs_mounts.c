/* /proc/PID/mounts and mountinfo. */
#include "sentry/procfs.h"

#include <string.h>
#include <sys/sysmacros.h>


/* Spaces and the like would break the columns: octal, as the kernel writes them. */
static void put_path(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (strchr(" \t\n\\", *s))
			buf_printf(out, "\\%03o", (unsigned char)*s);
		else
			buf_putc(out, *s);
	}
}

static const char *source_of(const struct mount *m)
{
	return strcmp(m->path, "/") ? m->fstype : "/dev/root";
}

static const char *type_of(const struct mount *m)
{
	return m->fstype ? m->fstype : "rootfs";
}

int procfs_show_mounts(const struct pseudo_key *k, struct buf *out)
{
	for (struct mount *m = vfs_mounts(); m; m = m->next) {
		buf_printf(out, "%s ", source_of(m) ? source_of(m) : "none");
		put_path(out, m->path);
		buf_printf(out, " %s rw,relatime 0 0\n", type_of(m));
	}
	return 0;
}

/* Is m mounted at or below the mount point of up? */
static bool contains(const struct mount *up, const struct mount *m)
{
	if (up == m || up->path_len >= m->path_len)
		return false;
	if (up->path_len == 1)
		return true;
	return !strncmp(up->path, m->path, up->path_len) && m->path[up->path_len] == '/';
}

static int parent_id(const struct mount *m)
{
	const struct mount *best = NULL;

	for (struct mount *u = vfs_mounts(); u; u = u->next)
		if (contains(u, m) && (!best || u->path_len > best->path_len))
			best = u;
	return best ? vfs_mount_id(best) : 1;
}

int procfs_show_mountinfo(const struct pseudo_key *k, struct buf *out)
{
	struct statx st;

	for (struct mount *m = vfs_mounts(); m; m = m->next) {
		if (!m->root->ops->getattr || m->root->ops->getattr(current, m->root, &st))
			memset(&st, 0, sizeof(st));
		buf_printf(out, "%d %d %u:%u / ", vfs_mount_id(m), parent_id(m), st.stx_dev_major,
			   st.stx_dev_minor);
		put_path(out, m->path);
		buf_printf(out, " rw,relatime - %s %s rw\n", type_of(m),
			   source_of(m) ? source_of(m) : "none");
	}
	return 0;
}
