/* What a path argument means: how it is resolved and which verbs of the policy it needs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sentry/sys.h"
#include "sentry/sys_file.h"

/* Verbs on content: a new name must not give an object more of them than its old name had. */
#define CONTENT                                                                                    \
	(POL_V_READ | POL_V_LIST | POL_V_WRITE | POL_V_APPEND | POL_V_EXEC | POL_V_START)

int sys_open_how(const struct sysargs *a, struct open_how *how)
{
	memset(how, 0, sizeof(*how));
	switch (a->nr) {
	case SYS_open:
		how->flags = A_UINT(a, 1);
		how->mode = A_UINT(a, 2);
		break;
	case SYS_openat:
		how->flags = A_UINT(a, 2);
		how->mode = A_UINT(a, 3);
		break;
	case SYS_creat:
		how->flags = O_CREAT | O_WRONLY | O_TRUNC;
		how->mode = A_UINT(a, 1);
		break;
	case SYS_openat2:
		memcpy(how, a->strct, sizeof(*how));
		return 0; /* judged as written: the handler refuses bad bits */
	}
	/* open and openat ignore what they do not know. */
	if (how->flags & O_PATH)
		how->flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if (!(how->flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))))
		how->mode = 0;
	how->mode &= 07777;
	return 0;
}

bool sys_open_is_tmpfile(const struct open_how *how)
{
	return (how->flags & O_TMPFILE) == O_TMPFILE;
}

static unsigned open_role_flags(const struct sysargs *a)
{
	struct open_how how;
	unsigned f = 0;

	sys_open_how(a, &how);
	if (how.flags & O_NOFOLLOW || (how.flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		f |= VFS_NOFOLLOW;
	if (how.flags & O_CREAT && !(how.flags & O_PATH))
		f |= VFS_CREATE;
	else if (how.flags & O_DIRECTORY)
		f |= VFS_DIRECTORY;
	if (how.resolve & RESOLVE_BENEATH)
		f |= VFS_BENEATH;
	if (how.resolve & RESOLVE_IN_ROOT)
		f |= VFS_IN_ROOT;
	if (how.resolve & RESOLVE_NO_SYMLINKS)
		f |= VFS_NO_SYMLINKS;
	if (how.resolve & RESOLVE_NO_MAGICLINKS)
		f |= VFS_NO_MAGICLINKS;
	if (how.resolve & RESOLVE_NO_XDEV)
		f |= VFS_NO_XDEV;
	return f;
}

/* The AT_* flags of a call that has them. */
unsigned sys_at_flags(const struct sysargs *a)
{
	switch (a->nr) {
	case SYS_statx:
		return A_UINT(a, 2);
	case SYS_newfstatat:
	case SYS_faccessat2:
	case SYS_utimensat:
#ifdef SYS_fchmodat2
	case SYS_fchmodat2:
#else
	case 452:
#endif
		return A_UINT(a, 3);
	case SYS_fchownat:
	case SYS_linkat:
	case SYS_execveat:
	case SYS_name_to_handle_at:
		return A_UINT(a, 4);
	case SYS_unlinkat:
		return A_UINT(a, 2);
	case SYS_readlinkat:
		return AT_EMPTY_PATH; /* an O_PATH descriptor of a symlink */
	default:
		return 0;
	}
}

/* AT_* flags that a call knows. */
static unsigned known_at_flags(uint32_t nr)
{
	switch (nr) {
	case SYS_statx:
		return AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE;
	case SYS_newfstatat:
		return AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT;
	case SYS_faccessat2:
		return AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
	case SYS_linkat:
		return AT_SYMLINK_FOLLOW | AT_EMPTY_PATH;
	case SYS_name_to_handle_at:
		return AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | 0x200 /* AT_HANDLE_FID */;
	case SYS_unlinkat:
		return AT_REMOVEDIR;
	case SYS_readlinkat:
		return AT_EMPTY_PATH;
	default:
		return AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
	}
}

int vfs_role_check(enum path_role role, const struct sysargs *a)
{
	unsigned mode;

	if (role == PATH_open)
		return sys_open_check(a);
	if (role == PATH_watch)
		return sys_watch_check(a);
	if (role == PATH_symlink) /* the target: copied as the call's string */
		return a->str_err ? a->str_err : a->str[0] ? 0 : -ENOENT;
	if (sys_at_flags(a) & ~known_at_flags(a->nr))
		return -EINVAL;
	if (role == PATH_access) {
		mode = A_UINT(a, a->nr == SYS_access ? 1 : 2);
		return mode & ~7u ? -EINVAL : 0;
	}
	if (a->nr == SYS_statx && (A_UINT(a, 3) & STATX__RESERVED ||
				   (A_UINT(a, 2) & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE))
		return -EINVAL;
	return 0;
}

unsigned vfs_role_flags(enum path_role role, const struct sysargs *a)
{
	unsigned at = sys_at_flags(a), empty = at & AT_EMPTY_PATH ? VFS_EMPTY : 0;
	unsigned nofollow = at & AT_SYMLINK_NOFOLLOW ? VFS_NOFOLLOW : 0;

	if (a->nr == SYS_name_to_handle_at)
		nofollow = at & AT_SYMLINK_FOLLOW ? 0 : VFS_NOFOLLOW;

	switch (role) {
	case PATH_open:
		return open_role_flags(a);
	case PATH_stat:
	case PATH_access:
	case PATH_setattr:
	case PATH_exec:
		return empty | nofollow;
	case PATH_lstat:
	case PATH_lsetattr:
	case PATH_lxattr:
		return VFS_NOFOLLOW;
	case PATH_readlink:
		return VFS_NOFOLLOW | empty;
	case PATH_chdir:
		return VFS_DIRECTORY;
	case PATH_watch:
		return (A_UINT(a, 2) & IN_DONT_FOLLOW ? VFS_NOFOLLOW : 0) |
		       (A_UINT(a, 2) & IN_ONLYDIR ? VFS_DIRECTORY : 0);
	case PATH_link_from:
		return empty | (at & AT_SYMLINK_FOLLOW ? 0 : VFS_NOFOLLOW);
	case PATH_mkdir:
	case PATH_mknod:
	case PATH_symlink:
	case PATH_unlink:
	case PATH_rmdir:
	case PATH_rename_from:
	case PATH_rename_to:
	case PATH_link_to:
		return VFS_PARENT;
	default:
		return 0;
	}
}

static uint32_t granted(const struct vpath *p)
{
	return vfs_verbs(p->path, p->path_len);
}

static uint32_t write_verb(const struct open_how *how, const struct vpath *p)
{
	/* `append` is enough to open with O_APPEND, and the least to ask for. */
	if (how->flags & O_APPEND && !(how->flags & O_TRUNC) && !(granted(p) & POL_V_WRITE))
		return POL_V_APPEND;
	return POL_V_WRITE;
}

static uint32_t open_verbs(const struct sysargs *a, const struct vpath *p)
{
	struct open_how how;
	uint32_t v = 0;

	sys_open_how(a, &how);
	if (how.flags & O_PATH || (p->node && p->node->type == S_IFLNK))
		return POL_V_STAT;
	if (sys_open_is_tmpfile(&how))
		return POL_V_CREATE | POL_V_WRITE;
	if (p->node && (how.flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return POL_V_STAT; /* -EEXIST */
	if (p->node && p->node->type == S_IFDIR)
		return POL_V_LIST;
	if (!p->node && how.flags & O_CREAT)
		v |= POL_V_CREATE;
	switch (how.flags & O_ACCMODE) {
	case O_RDONLY:
		v |= POL_V_READ;
		break;
	case O_WRONLY:
		v |= write_verb(&how, p);
		break;
	default:
		v |= POL_V_READ | write_verb(&how, p);
	}
	if (how.flags & O_TRUNC && p->node)
		v |= POL_V_WRITE;
	return v;
}

static uint32_t access_verbs(const struct sysargs *a, const struct vpath *p)
{
	unsigned mode = A_UINT(a, a->nr == SYS_access ? 1 : 2);
	bool dir = p->node && p->node->type == S_IFDIR;
	uint32_t v = POL_V_STAT;

	if (mode & R_OK)
		v |= dir ? POL_V_LIST : POL_V_READ;
	if (mode & W_OK)
		v |= dir ? POL_V_CREATE : POL_V_WRITE;
	if (mode & X_OK && !dir)
		v |= POL_V_EXEC;
	return v;
}

/* What the object may be used for under its new name must be granted under the old one too. */
static uint32_t moved_verbs(const struct sysargs *a, const struct vpath *from)
{
	int other = from == a->path[0].v;
	const struct vpath *to = a->path[other].v;

	if (a->npaths < 2 || a->path[other].err || !to)
		return 0;
	return granted(to) & CONTENT &
	       ~(from->node && from->node->type == S_IFDIR ? 0 : POL_V_LIST);
}

bool sys_link_widens(const struct file *f, const struct vpath *to)
{
	return granted(to) & CONTENT & ~POL_V_LIST & ~f->verbs;
}

static uint32_t rename_verbs(enum path_role role, const struct sysargs *a, const struct vpath *p)
{
	unsigned flags = a->nr == SYS_renameat2 ? A_UINT(a, 4) : 0;

	if (flags & RENAME_EXCHANGE)
		return POL_V_CREATE | POL_V_DELETE | moved_verbs(a, p);
	if (role == PATH_rename_from)
		return POL_V_DELETE | moved_verbs(a, p);
	if (flags & RENAME_NOREPLACE)
		return p->node ? POL_V_STAT : POL_V_CREATE;
	return POL_V_CREATE | (p->node ? POL_V_DELETE : 0);
}

/* Attributes of the class that a program may have its own in are content. */
static uint32_t xattr_verbs(const struct sysargs *a, const struct vpath *p)
{
	switch (a->nr) {
	case SYS_setxattr:
	case SYS_lsetxattr:
	case SYS_removexattr:
	case SYS_lremovexattr:
		return POL_V_WRITE;
	case SYS_getxattr:
	case SYS_lgetxattr:
		if (strncmp(a->str, "user.", 5) || (p->node && p->node->type == S_IFLNK))
			break;
		return p->node && p->node->type == S_IFDIR ? POL_V_LIST : POL_V_READ;
	}
	return POL_V_STAT;
}

uint32_t vfs_role_verbs(enum path_role role, const struct sysargs *a, const struct vpath *p)
{
	if (p->file && role != PATH_exec)
		return 0; /* a descriptor: the verbs of its opening count */
	switch (role) {
	case PATH_open:
		return open_verbs(a, p);
	case PATH_access:
		return access_verbs(a, p);
	case PATH_exec:
		return POL_V_EXEC; /* exec: is asked when the arguments are there */
	case PATH_mkdir:
	case PATH_mknod:
	case PATH_symlink:
	case PATH_link_to:
		return p->node ? POL_V_STAT : POL_V_CREATE; /* -EEXIST */
	case PATH_unlink:
	case PATH_rmdir:
		return POL_V_DELETE;
	case PATH_rename_from:
	case PATH_rename_to:
		return rename_verbs(role, a, p);
	case PATH_link_from:
		return POL_V_LINK | moved_verbs(a, p);
	case PATH_setattr:
	case PATH_lsetattr:
		return POL_V_WRITE;
	case PATH_watch:
		return p->node && p->node->type == S_IFDIR ? POL_V_LIST : POL_V_READ;
	case PATH_xattr:
	case PATH_lxattr:
		return xattr_verbs(a, p);
	default:
		return POL_V_STAT;
	}
}
