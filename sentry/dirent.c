#include "sentry/dirent.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "base/overflow.h"
#include "sentry/file.h"
#include "sentry/task.h"
#include "sentry/vfs.h"

#define NAME64 19u /* offset of d_name in struct linux_dirent64 */
#define NAME32 18u /* ... and in struct linux_dirent, whose type is the last byte of the record */

bool dirent_hidden(const struct dirent_sink *s, const char *name)
{
	size_t len = strlen(name);
	char path[PATH_MAX];
	struct pol_verdict v;
	size_t n = s->path_len;

	if (!s->path || !sandbox.image || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	if (n == 1)
		n = 0; /* "/" */
	if (n + 1 + len >= sizeof(path))
		return true; /* cannot be named, so it cannot be judged */
	memcpy(path, s->path, n);
	path[n] = '/';
	memcpy(path + n + 1, name, len + 1);
	pol_eval_path(sandbox.image, s->view, POL_V_STAT, path, n + 1 + len, &v);
	return v.action == POL_DENY && v.value == ENOENT;
}

bool dirent_emit(struct dirent_sink *s, uint64_t ino, int64_t next_off, unsigned char type,
		 const char *name)
{
	size_t len = strlen(name);
	size_t size = ALIGN_UP((s->legacy ? NAME32 + 1 : NAME64) + len + 1, 8);
	uint16_t reclen = (uint16_t)size;
	uint8_t *p;

	if (dirent_hidden(s, name))
		return true;
	if (size > s->cap - s->len) {
		s->overflow = true;
		return false;
	}
	p = s->buf + s->len;
	memset(p, 0, size);
	memcpy(p, &ino, 8);
	memcpy(p + 8, &next_off, 8);
	memcpy(p + 16, &reclen, 2);
	if (s->legacy) {
		memcpy(p + NAME32, name, len);
		p[size - 1] = type;
	} else {
		p[18] = type;
		memcpy(p + NAME64, name, len);
	}
	s->len += size;
	return true;
}

off_t dirfile_seek(struct task *t, struct file *f, off_t off, int whence)
{
	off_t pos = -EINVAL;

	pthread_mutex_lock(&f->lock);
	if (whence == SEEK_CUR && add_overflow(f->pos, off, &off))
		off = -1;
	if ((whence == SEEK_SET || whence == SEEK_CUR) && off >= 0)
		pos = f->pos = off;
	pthread_mutex_unlock(&f->lock);
	return pos;
}

ssize_t dirfile_io(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	return -EISDIR;
}

int dirfile_fstat(struct task *t, struct file *f, struct statx *st)
{
	return vfs_getattr(t, f->priv, st);
}

void dirfile_release(struct file *f)
{
	vnode_put(f->priv);
}

int dirfile_open(struct vnode *vn, const struct file_ops *ops, unsigned flags, unsigned kind, struct file **out)
{
	static const struct file_ops name_ops = {.fstat = dirfile_fstat, .release = dirfile_release};
	bool dir = S_ISDIR(vn->type);

	if (dir && !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY)
		return -EISDIR;
	*out = file_new(dir ? ops : &name_ops, -1, flags, dir ? POL_FD_DIR : kind);
	if (!*out)
		return -ENOMEM;
	(*out)->priv = vnode_get(vn);
	return 0;
}
