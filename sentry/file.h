/* Open files and descriptor tables. Owner: sentry/file.c, fdtab.c.
 *
 * A struct file is an open file description: shared by dup and threads, reference counted. Nearly
 * all have a host descriptor that does the work; ops replace single operations where the sentry
 * itself answers. */
#ifndef SBX_SENTRY_FILE_H
#define SBX_SENTRY_FILE_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "policy/eval.h"
#include "sentry/gmem.h"

struct task;
struct vnode;
struct file;
struct dirent_sink;

#define FILE_AT_END	 (-2) /* off of a write: at the end, wherever the file position is */
#define FILE_AT_END_MOVE (-3) /* ... and the position goes there too */

/* Any member may be NULL: then the host descriptor is used (or -EINVAL / -ENOTTY ... without one).
 * Results are >= 0 or -errno. iov are host iovecs (pinned app memory). off < 0: the file position. */
struct file_ops {
	ssize_t (*read)(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off);
	ssize_t (*write)(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off);
	/* Moves up to len bytes that the host's pipe holds to off of the file, without waiting for any:
	 * -EAGAIN. Only for files that have write and a host descriptor. */
	ssize_t (*from_pipe)(struct task *t, struct file *f, int pipe, size_t len, off_t off);
	off_t (*seek)(struct task *t, struct file *f, off_t off, int whence);
	/* Emits directory entries through sink until it is full or the directory ends. */
	int (*getdents)(struct task *t, struct file *f, struct dirent_sink *sink);
	int (*fstat)(struct task *t, struct file *f, struct statx *st);
	long (*ioctl)(struct task *t, struct file *f, unsigned cmd, uint64_t arg);
	int (*truncate)(struct task *t, struct file *f, off_t len);
	int (*fallocate)(struct task *t, struct file *f, int mode, off_t off, off_t len);
	/* Host descriptor to map for mmap; -ENODEV when it cannot be mapped. */
	int (*mmap_fd)(struct task *t, struct file *f, bool shared);
	/* What poll says of the events asked for, when the host's answer about hostfd is only nearly
	 * right: hostfd has to be ready whenever this says something. */
	short (*poll)(struct file *f, short events);
	void (*release)(struct file *f); /* last reference: frees priv; the host fd is closed after */
	const char *link; /* what /proc/PID/fd says of one without a path; NULL: what the host says */
};

#define KERNEL_O_LARGEFILE 0100000u /* libc's O_LARGEFILE is 0 on 64-bit machines */

struct file {
	atomic_int refs;
	const struct file_ops *ops; /* never NULL */
	int hostfd;		    /* -1 when the sentry does all; owned ... */
	bool node_fd;		    /* ... unless it is node's own descriptor */
	_Atomic unsigned flags;	    /* O_ACCMODE and status flags as F_GETFL shows them */
	enum pol_fdkind kind;
	struct vnode *node;	    /* referenced; NULL for pipes, sockets ... */
	char *path;		    /* canonical path when opened by path; owned */
	uint32_t verbs;		    /* POL_V_* that the policy granted on path at open */
	bool append_only;	    /* only `append` was granted: O_APPEND cannot be cleared */
	bool count_output;	    /* inherited stdout/stderr: counts against limits.output */
	bool inherited;		    /* the description is shared with the host: its flags are left
				     * alone, O_NONBLOCK is emulated */
	int lockfd;		    /* what flock acts on, where hostfd is -1; 0: none */
	bool watched;		    /* was registered with an epoll: see epoll_forget */
	struct async *async;	    /* who is told of readiness: async.c; or NULL */
	pthread_mutex_t lock;	    /* guards pos and priv of sentry-made files */
	off_t pos;
	void *priv;
};

extern const struct file_ops file_host_ops; /* all NULL: everything through hostfd */

/* New description with one reference. Takes hostfd. NULL when out of memory (hostfd is closed). */
struct file *file_new(const struct file_ops *ops, int hostfd, unsigned flags, enum pol_fdkind kind);
struct file *file_get(struct file *f);
void file_put(struct file *f);

/* What a descriptor of a file of this type is to a policy; terminals are not told from devices. */
enum pol_fdkind file_kind(mode_t mode);

/* Description of a descriptor that sbx itself was started with (0, 1, 2): hostfd is duplicated.
 * NULL when it is not open or memory is out. 1 and 2 count against limits.output. */
struct file *file_inherit(int hostfd);

/* I/O through ops or the host, blocking and interruptible (task_host_call). -EBADF when f was not
 * opened for it; file_write raises SIGPIPE on -EPIPE and enforces limits.output. flags are RWF_*. */
ssize_t file_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off);
ssize_t file_write(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off);
ssize_t file_read_flags(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off,
			int flags);
ssize_t file_write_flags(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off,
			 int flags);
off_t file_seek(struct task *t, struct file *f, off_t off, int whence);
/* What a call that moves data into f by other means than file_write may move there: room bytes of
 * want, at off (-1: the position), as RLIMIT_FSIZE and limits.output let it. 0, or -EFBIG after
 * SIGXFSZ. file_out_end takes what came of it, and raises SIGPIPE and ends the sandbox as a write
 * would. */
struct file_out {
	size_t want, room;
};
int file_out_begin(struct task *t, struct file *f, off_t off, size_t want, struct file_out *o);
void file_out_end(struct task *t, struct file *f, const struct file_out *o, ssize_t r);
/* Attributes of an open file of any kind, as the app sees them. 0 or -errno. */
int file_fstat(struct task *t, struct file *f, struct statx *st);
/* RLIMIT_FSIZE for a file that is to become size bytes long: 0, or -EFBIG after SIGXFSZ. */
int file_check_size(struct task *t, off_t size);

/* 0 when input or output of f need not wait, or -EAGAIN: for descriptions shared with the host, whose
 * O_NONBLOCK is not the app's. events are poll's. */
int file_inherited_ready(const struct file *f, short events);

/* Bytes of iov; SIZE_MAX when they cannot be counted. */
size_t file_iov_total(const struct iovec *iov, int n);
/* Copies the part of iov that holds its first max bytes. Returns the number of entries. */
int file_iov_clip(const struct iovec *iov, int n, size_t max, struct iovec *out);

/* Copies len bytes that the sentry has made to iov, which has room for them: len, or -EFAULT when a page
 * vanished. */
ssize_t file_iov_put(const struct iovec *iov, int n, const void *from, size_t len);

/* A host system call whose first argument is f's descriptor, as task_host_call; on regular files and
 * directories it is restarted after any signal, as Linux does not interrupt them. */
long file_host_call(struct task *t, const struct file *f, long nr, long a1, long a2, long a3, long a4,
		    long a5);

static inline bool file_can_read(const struct file *f)
{
	return !(f->flags & O_PATH) && (f->flags & O_ACCMODE) != O_WRONLY;
}

static inline bool file_can_write(const struct file *f)
{
	return !(f->flags & O_PATH) && (f->flags & O_ACCMODE) != O_RDONLY;
}

/* linux_dirent64 assembly; returns false when the entry did not fit (stop, do not advance). An entry
 * that the policy hides is left out, and true is returned. */
bool dirent_emit(struct dirent_sink *sink, uint64_t ino, int64_t next_off, unsigned char type,
		 const char *name);

/* ---- descriptor tables ---- */

struct fdtab;
/* The table size that stands for a limit of want: less when the host would run out of descriptors. */
uint32_t fdtab_limit(uint64_t want);
#define FDTAB_RESERVE 64u /* host descriptors that sbx keeps for itself */
struct fdtab *fdtab_create(uint32_t max);
/* A table with the same descriptors, for fork. NULL when out of memory. */
struct fdtab *fdtab_copy(struct fdtab *t);
/* A reference for looking into the table. */
struct fdtab *fdtab_get(struct fdtab *t);
void fdtab_put(struct fdtab *t);
/* The table for another process (CLONE_FILES), which gives it back with fdtab_leave; so does the one that
 * it was made for. */
struct fdtab *fdtab_share(struct fdtab *t);
void fdtab_leave(struct fdtab *t); /* NULL is allowed */
/* Is it more than one process's? */
bool fdtab_is_shared(const struct fdtab *t);
/* Gives p, which has one thread, a copy of a table that it shares with other processes. 0 or -ENOMEM. */
struct proc;
int fdtab_own(struct proc *p);

/* Referenced file of fd, or NULL (EBADF). */
struct file *fdtab_lookup(struct fdtab *t, int fd);
/* Installs f (takes the reference) at the lowest free fd >= min; cloexec as FD_CLOEXEC.
 * fd, or -EMFILE (the reference is dropped). */
int fdtab_install(struct fdtab *t, struct file *f, int min, bool cloexec);
/* Sets the lowest free descriptor aside, for a call that must not fail once it was made: fd or -EMFILE.
 * fdtab_fill puts f there, taking the reference, or gives fd back when f is NULL. */
int fdtab_reserve(struct fdtab *t);
void fdtab_fill(struct fdtab *t, int fd, struct file *f, bool cloexec);
/* dup2/dup3: replaces what is at fd. fd, -EBADF, or -EBUSY when it is reserved. */
int fdtab_install_at(struct fdtab *t, struct file *f, int fd, bool cloexec);
int fdtab_close(struct fdtab *t, int fd); /* 0 or -EBADF */
int fdtab_get_cloexec(struct fdtab *t, int fd);
int fdtab_set_cloexec(struct fdtab *t, int fd, bool on);
void fdtab_close_range(struct fdtab *t, unsigned first, unsigned last, bool cloexec_only);
/* Sets FD_CLOEXEC on every open descriptor of first..last. */
void fdtab_cloexec_range(struct fdtab *t, unsigned first, unsigned last);
void fdtab_set_max(struct fdtab *t, uint32_t max);
uint32_t fdtab_max(struct fdtab *t);
/* Owner of the POSIX record locks taken through this table. */
struct filelock_table *fdtab_locks(struct fdtab *t);
/* Lowest open fd >= from, or -1: for /proc/self/fd. */
int fdtab_next(struct fdtab *t, int from);

#endif
