/* Assembly of directory entries for getdents. Owner: sentry/dirent.c. */
#ifndef SBX_SENTRY_DIRENT_H
#define SBX_SENTRY_DIRENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct file;
struct file_ops;
struct statx;
struct task;
struct vnode;

struct dirent_sink {
	uint8_t *buf;
	size_t cap, len;
	bool legacy;	  /* struct linux_dirent of getdents instead of linux_dirent64 */
	bool overflow;	  /* an entry did not fit */
	const char *path; /* canonical path of the directory, for `hide`; NULL: nothing is hidden */
	size_t path_len;
	uint32_t view;
};

/* Does the policy hide this name of the sink's directory? A `hide` makes even stat answer ENOENT. */
bool dirent_hidden(const struct dirent_sink *s, const char *name);

/* file_ops of directories that the sentry makes: positions are what getdents stored, and reading or
 * writing is -EISDIR. */
off_t dirfile_seek(struct task *t, struct file *f, off_t off, int whence);
ssize_t dirfile_io(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off);

/* The same for files whose priv is a reference to their vnode. */
int dirfile_fstat(struct task *t, struct file *f, struct statx *st);
void dirfile_release(struct file *f);

/* Opens a directory of such a file system with its ops, or holds another node's name open (O_PATH); kind is what
 * that is to the policy. 0 or -errno. */
int dirfile_open(struct vnode *vn, const struct file_ops *ops, unsigned flags, unsigned kind, struct file **out);

#endif
