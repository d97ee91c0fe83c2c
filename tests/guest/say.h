/* For guest tests: prints an expression and what it gave. */
#ifndef TESTS_GUEST_SAY_H
#define TESTS_GUEST_SAY_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The result, or -1 and the name of errno. */
#define SAY(e)                                                                                     \
	({                                                                                         \
		errno = 0;                                                                         \
		long say_ = (long)(e);                                                             \
		printf("%s = %ld%s%s\n", #e, say_, say_ < 0 ? " " : "",                            \
		       say_ < 0 ? strerrorname_np(errno) : "");                                    \
		say_;                                                                              \
	})

/* As SAY for what gives a descriptor: its number is not said. */
#define SAY_FD(e)                                                                                  \
	({                                                                                         \
		errno = 0;                                                                         \
		long say_ = (long)(e);                                                             \
		printf("%s = %s\n", #e, say_ < 0 ? strerrorname_np(errno) : "fd");                 \
		say_;                                                                              \
	})

#endif
