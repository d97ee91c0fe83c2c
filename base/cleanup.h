/* Scope-bound cleanup attributes. A pointer or fd that outlives its scope is taken with
 * steal_ptr() / steal_fd(), which leave the neutral value behind. */
#ifndef SBX_BASE_CLEANUP_H
#define SBX_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_p(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define cleanup_free  __attribute__((cleanup(cleanup_free_p)))
#define cleanup_close __attribute__((cleanup(cleanup_close_p)))

/* Takes *p, leaving NULL; the caller of the enclosing function becomes the owner. */
#define steal_ptr(p)                                                                               \
	({                                                                                         \
		__typeof__(*(p)) steal_value_ = *(p);                                              \
		*(p) = NULL;                                                                       \
		steal_value_;                                                                      \
	})

static inline int steal_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

#endif
