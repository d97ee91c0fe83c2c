/* Descriptors whose readiness the sentry sets. A byte on its way to fd makes it readable; a full send
 * buffer, which nobody but the sentry empties, makes it not writable. */
#include "sentry/readyfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILL 1024 /* bytes of one message of those that fill a buffer */

static int open_pair(int fd[2])
{
	int smallest = 1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return -errno;
	for (int i = 0; i < 2; i++)
		setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest));
	return 0;
}

int readyfd_open(struct readyfd *r)
{
	int fd[2], err = open_pair(fd);

	if (err)
		return err;
	*r = (struct readyfd){.fd = fd[0], .peer = fd[1], .out = true};
	return 0;
}

void readyfd_close(struct readyfd *r)
{
	if (r->fd >= 0)
		close(r->fd);
	if (r->peer >= 0)
		close(r->peer);
	r->fd = r->peer = -1;
}

/* False when the buffer is full. The app may change whether fd blocks: the call says that it must
 * not. */
static bool put(int fd, size_t n)
{
	static const char nothing[FILL];
	struct iovec iov = {(void *)nothing, n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

static void drain(int fd)
{
	char junk[FILL];
	struct iovec iov = {junk, sizeof(junk)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	while (recvmsg(fd, &m, MSG_DONTWAIT) > 0)
		;
}

void readyfd_set(struct readyfd *r, bool in, bool out, bool again)
{
	if (r->hup)
		return;
	if (in && (!r->in || again))
		put(r->peer, 1);
	else if (!in && r->in)
		drain(r->fd);
	if (!out && r->out)
		while (put(r->fd, FILL))
			;
	else if (out && !r->out)
		drain(r->peer);
	r->in = in;
	r->out = out;
}

void readyfd_hangup(struct readyfd *r)
{
	if (!r->hup)
		shutdown(r->fd, SHUT_RDWR);
	r->hup = true;
}

int readyfd_renew(struct readyfd *r)
{
	int fd[2], err = open_pair(fd);

	if (err)
		return err;
	if (dup3(fd[0], r->fd, O_CLOEXEC) < 0) {
		err = -errno;
		close(fd[1]);
	} else {
		close(r->peer);
		r->peer = fd[1];
		r->in = r->hup = false;
		r->out = true;
	}
	close(fd[0]);
	return err;
}
