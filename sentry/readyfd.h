/* A host descriptor whose readiness the sentry sets, so that the host's poll and epoll can wait for
 * what is the sentry's own: one end of a stream socket pair. Owner: sentry/readyfd.c. */
#ifndef SBX_SENTRY_READYFD_H
#define SBX_SENTRY_READYFD_H

#include <stdbool.h>

struct readyfd {
	int fd, peer;	   /* both owned; fd is the one to wait for */
	bool in, out, hup; /* what fd says now */
};

/* A new pair: not readable, writable. 0 or -errno. */
int readyfd_open(struct readyfd *r);
void readyfd_close(struct readyfd *r);

/* Makes fd readable and writable, or not; with again, a new edge is made when it is readable already.
 * Not after readyfd_hangup. */
void readyfd_set(struct readyfd *r, bool in, bool out, bool again);

/* From now on fd says POLLHUP, and that it can be read. */
void readyfd_hangup(struct readyfd *r);

/* Takes a hang-up back: fd's number then stands for another open file, and whoever watches it has to
 * register it again. 0 or -errno. */
int readyfd_renew(struct readyfd *r);

#endif
