#include "base/fdx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/cleanup.h"

int fdx_read_fd(int fd, const char *name, size_t max, char **data, size_t *len, struct sbx_err **e)
{
	cleanup_free char *p = NULL;
	size_t n = 0, cap = 0;

	for (;;) {
		ssize_t r;

		if (n + 1 >= cap) {
			char *q;

			cap = cap ? cap * 2 : 4096;
			q = realloc(p, cap);
			if (!q)
				return sbx_err_set(e, "%s: out of memory", name);
			p = q;
		}
		r = read(fd, p + n, cap - n - 1);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return sbx_err_errno(e, errno, "%s", name);
		if (r == 0)
			break;
		n += (size_t)r;
		if (n > max)
			return sbx_err_set(e, "%s: larger than %zu bytes", name, max);
	}
	p[n] = '\0';
	*data = steal_ptr(&p);
	*len = n;
	return 0;
}

int fdx_read_file(const char *path, size_t max, char **data, size_t *len, struct sbx_err **e)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return sbx_err_errno(e, errno, "%s", path);
	return fdx_read_fd(fd, path, max, data, len, e);
}

int fdx_write_all(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n) {
		ssize_t r = write(fd, s, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		s += r;
		n -= (size_t)r;
	}
	return 0;
}

static bool std_closed[3];

int fdx_hold_std(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		std_closed[fd] = true;
		if (open("/dev/null", O_RDWR | O_CLOEXEC) != fd) /* the lowest free one */
			return -1;
	}
	return 0;
}

bool fdx_std_was_closed(int fd)
{
	return fd >= 0 && fd <= 2 && std_closed[fd];
}
