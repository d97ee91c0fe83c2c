#include "sentry/hostproc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "base/cleanup.h"

static int proc_fd = -1, self_fd = -1;

int hostproc_init(struct sbx_err **e)
{
	if (proc_fd < 0)
		proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd >= 0 && self_fd < 0)
		self_fd = openat(proc_fd, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (self_fd < 0)
		return sbx_err_errno(e, errno, "cannot open the host's /proc/self/fd");
	return 0;
}

int hostproc_fd_proc(void)
{
	return proc_fd;
}

int hostproc_fd_self(void)
{
	return self_fd;
}

int hostproc_reopen(int fd, unsigned flags)
{
	char name[16];
	int r;

	snprintf(name, sizeof(name), "%d", fd);
	do
		r = openat(self_fd, name, (int)(flags | O_CLOEXEC));
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

ssize_t hostproc_readlink(int fd, char *buf, size_t size)
{
	char name[16];
	ssize_t r;

	snprintf(name, sizeof(name), "%d", fd);
	r = readlinkat(self_fd, name, buf, size);
	return r < 0 ? -errno : r;
}

int hostproc_read(const char *name, size_t max, struct buf *out)
{
	cleanup_close int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	size_t left = max;
	ssize_t r;

	if (fd < 0)
		return -errno;
	while (left) {
		r = read(fd, chunk, left < sizeof(chunk) ? left : sizeof(chunk));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (!r)
			break;
		buf_append(out, chunk, (size_t)r);
		left -= (size_t)r;
	}
	return out->failed ? -ENOMEM : 0;
}
