/* Helpers of the file guests: every line says what was called and what came back. */
#ifndef SBX_TESTS_GUEST_FILES_H
#define SBX_TESTS_GUEST_FILES_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

/* Calls and reports the result, or the error's name. */
#define T(call) report(#call, (errno = 0, (long)(call)))

static inline long report(const char *what, long r)
{
	if (r < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %ld\n", what, r);
	return r;
}

/* Test harnesses leave descriptors open: numbers start at 3 in both runs. */
#ifndef KEEP_INHERITED
__attribute__((constructor)) static void close_inherited(void)
{
	syscall(SYS_close_range, 3, ~0u, 0);
}
#endif

/* Contents of a file in printable form. */
static inline void show(const char *path)
{
	char buf[256];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	printf("%s = ", path);
	for (ssize_t i = 0; i < n; i++)
		putchar(buf[i] >= ' ' && buf[i] < 127 ? buf[i] : '.');
	printf(" (%zd)\n", n);
	if (fd >= 0)
		close(fd);
}

static inline void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		printf("cannot write %s\n", path);
		exit(1);
	}
	close(fd);
}

/* An address that is never mapped, and a count below zero; the compiler must not know. */
static void *volatile bad_ptr __attribute__((unused)) = (void *)16;
static volatile int minus_one __attribute__((unused)) = -1;
#define BAD_PTR ((void *)bad_ptr)

#endif
