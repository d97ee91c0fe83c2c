/* Sockets and their addresses: socket to shutdown. Messages are in sys_msg.c. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "sentry/net.h"
#include "sentry/net_cred.h"
#include "sentry/netlink.h"
#include "sentry/ready.h"
#include "sentry/sys.h"

#define TYPE_FLAGS (SOCK_CLOEXEC | SOCK_NONBLOCK)

static struct list sockets = LIST_INIT(sockets); /* guarded by net_lock */

static void sock_release(struct file *f)
{
	struct sock *s = f->priv;
	bool is_unix = s->domain == AF_UNIX;

	pthread_mutex_lock(&net_lock);
	list_del(&s->all);
	pthread_mutex_unlock(&net_lock);
	net_cred_released(s);
	net_name_release(&s->name);
	netlink_destroy(&s->netlink);
	free(s);
	f->priv = NULL;
	if (!is_unix)
		return;
	/* Messages that nobody will read any more may hold open files. */
	close(f->hostfd);
	f->hostfd = -1;
	net_rights_closed();
}

/* As the host's read; but descriptors that come with the bytes are lost by it. */
static ssize_t sock_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	ssize_t r;

	if (off >= 0)
		return -ESPIPE;
	r = task_host_call(t, SYS_readv, f->hostfd, (long)iov, n, 0, 0, 0);
	if (r > 0 && net_sock(f)->domain == AF_UNIX)
		net_rights_sweep();
	return r == -ERESTARTSYS && net_sock(f)->rcvtimeo ? -EINTR : r;
}

const struct file_ops file_sock_ops = {
	.read = sock_read,
	.release = sock_release,
};

static ssize_t unix_write(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	return off >= 0 ? -ESPIPE : net_unix_write(t, f, iov, n);
}

const struct file_ops file_unix_ops = {
	.read = sock_read,
	.write = unix_write,
	.release = sock_release,
};

/* Requests by way of write(2). */
static ssize_t netlink_write(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	size_t total = file_iov_total(iov, n), used = 0;
	cleanup_free char *buf = NULL;

	if (off >= 0)
		return -ESPIPE;
	if (total > NETLINK_SEND_MAX)
		return -EMSGSIZE;
	buf = malloc(total + 1);
	if (!buf)
		return -ENOMEM;
	for (int i = 0; i < n; used += iov[i++].iov_len)
		if (gmem_copy_pinned(buf + used, iov[i].iov_base, iov[i].iov_len))
			return -EFAULT;
	return netlink_send(t, netlink_of(f), buf, total, NULL, 0);
}

const struct file_ops file_netlink_ops = {
	.read = sock_read,
	.write = netlink_write,
	.release = sock_release,
};

struct sock *net_sock(const struct file *f)
{
	return f->ops->release == sock_release ? f->priv : NULL;
}

struct file *net_file_new(int hostfd, int domain, int type, int protocol, unsigned flags)
{
	const struct file_ops *ops = domain == AF_UNIX	    ? &file_unix_ops
				     : domain == AF_NETLINK ? &file_netlink_ops
							    : &file_sock_ops;
	struct sock *s = calloc(1, sizeof(*s));
	struct file *f;

	if (!s) {
		close(hostfd);
		return NULL;
	}
	s->domain = domain;
	s->type = type;
	s->protocol = protocol;
	f = file_new(ops, hostfd, flags, POL_FD_SOCKET);
	if (!f) {
		free(s);
		return NULL;
	}
	f->priv = s;
	s->file = f;
	pthread_mutex_lock(&net_lock);
	list_append(&sockets, &s->all);
	pthread_mutex_unlock(&net_lock);
	return f;
}

void net_each(void (*visit)(struct sock *s, void *arg), void *arg)
{
	struct sock *s;

	pthread_mutex_lock(&net_lock);
	list_for_each (s, &sockets, all)
		visit(s, arg);
	pthread_mutex_unlock(&net_lock);
}

/* Which sockets exist in here. 0 or -errno, as Linux says it. */
static int check_kind(int domain, int type, int protocol)
{
	if (domain == AF_UNIX) {
		if (protocol && protocol != PF_UNIX)
			return -EPROTONOSUPPORT;
		return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET
			       ? 0
			       : -ESOCKTNOSUPPORT;
	}
	if (domain == AF_NETLINK) {
		if (type != SOCK_RAW && type != SOCK_DGRAM)
			return -ESOCKTNOSUPPORT;
		return protocol == NETLINK_ROUTE ? 0 : -EPROTONOSUPPORT;
	}
	if (domain != AF_INET && domain != AF_INET6)
		return -EAFNOSUPPORT;
	if (type == SOCK_RAW)
		return -EPERM;
	if (type == SOCK_STREAM)
		return protocol && protocol != IPPROTO_TCP ? -EPROTONOSUPPORT : 0;
	if (type == SOCK_DGRAM)
		return protocol && protocol != IPPROTO_UDP ? -EPROTONOSUPPORT : 0;
	return -ESOCKTNOSUPPORT;
}

static int parse_kind(struct sysargs *a, int *type, unsigned *flags)
{
	*flags = A_UINT(a, 1) & ~0xfu;
	*type = A_INT(a, 1) & 0xf;
	if (*flags & ~TYPE_FLAGS)
		return -EINVAL;
	return check_kind(A_INT(a, 0), *type, A_INT(a, 2));
}

static unsigned file_flags(unsigned sock_flags)
{
	return O_RDWR | (sock_flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
}

long sys_socket(struct task *t, struct sysargs *a)
{
	unsigned flags;
	struct file *f;
	int type, fd, err = parse_kind(a, &type, &flags);

	if (err)
		return err;
	if (A_INT(a, 0) == AF_NETLINK) {
		f = netlink_socket(type, A_INT(a, 2), file_flags(flags), flags, &err);
		return f ? fdtab_install(t->proc->fdtab, f, 0, flags & SOCK_CLOEXEC) : err;
	}
	fd = socket(A_INT(a, 0), type | SOCK_CLOEXEC | (flags & SOCK_NONBLOCK), A_INT(a, 2));
	if (fd < 0)
		return -errno;
	f = net_file_new(fd, A_INT(a, 0), type, A_INT(a, 2), file_flags(flags));
	if (!f)
		return -ENOMEM;
	return fdtab_install(t->proc->fdtab, f, 0, flags & SOCK_CLOEXEC);
}

static struct file *pair_end(int hostfd, int type, unsigned flags)
{
	struct file *f = net_file_new(hostfd, AF_UNIX, type, 0, file_flags(flags));

	if (f)
		net_sock(f)->peer_inside = true;
	return f;
}

long sys_socketpair(struct task *t, struct sysargs *a)
{
	struct file *f[2];
	unsigned flags;
	int type, sv[2], err = parse_kind(a, &type, &flags);

	if (err)
		return err;
	if (A_INT(a, 0) != AF_UNIX)
		return -EOPNOTSUPP;
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | (flags & SOCK_NONBLOCK), 0, sv))
		return -errno;
	f[0] = pair_end(sv[0], type, flags);
	f[1] = pair_end(sv[1], type, flags);
	if (!f[0] || !f[1]) {
		if (f[0])
			file_put(f[0]);
		if (f[1])
			file_put(f[1]);
		return -ENOMEM;
	}
	net_cred_pair(t, net_sock(f[0]), net_sock(f[1]));
	return ready_install_pair(t, f, flags & SOCK_CLOEXEC, A_PTR(a, 3));
}

/* ---- addresses ---- */

static int sock_of(struct sysargs *a, struct sock **s)
{
	if (!a->file[0] || a->file[0]->flags & O_PATH)
		return -EBADF;
	*s = net_sock(a->file[0]);
	return *s ? 0 : -ENOTSOCK;
}

/* The address that was judged, or NULL: then the call was not prepared and must not be made. */
static struct net_target *judged(struct sysargs *a)
{
	return a->net && a->net->n ? &a->net->target[0] : NULL;
}

long sys_bind(struct task *t, struct sysargs *a)
{
	struct net_target *tg = judged(a);
	struct sock *s;
	int err = sock_of(a, &s);

	if (err)
		return err;
	if (s->netlink)
		return netlink_bind(t, s->netlink, &a->addr, a->addr_len);
	if (!tg)
		return -EPERM;
	if (s->domain == AF_UNIX)
		return net_name_bind(t, a->file[0], tg);
	if (bind(a->file[0]->hostfd, (struct sockaddr *)&tg->host, tg->host_len))
		return -errno;
	s->bound = true;
	return 0;
}

long sys_listen(struct task *t, struct sysargs *a)
{
	struct sock *s;
	int err = sock_of(a, &s);

	if (err)
		return err;
	if (s->netlink)
		return -EOPNOTSUPP;
	if (s->domain != AF_UNIX && !s->bound && !judged(a))
		return -EPERM;
	if (listen(a->file[0]->hostfd, A_INT(a, 1)))
		return -errno;
	if (s->domain == AF_UNIX)
		net_cred_listen(t, s);
	return 0;
}

/* Is the process at the other end of a connected unix socket this sandbox itself? */
static bool peer_is_us(int hostfd)
{
	struct ucred c;
	socklen_t n = sizeof(c);

	return !getsockopt(hostfd, SOL_SOCKET, SO_PEERCRED, &c, &n) && n == sizeof(c) &&
	       c.pid == getpid();
}

long sys_connect(struct task *t, struct sysargs *a)
{
	struct net_target *tg = judged(a);
	struct sock *s;
	long r = sock_of(a, &s);

	if (r)
		return r;
	if (s->netlink)
		return netlink_connect(t, s->netlink, &a->addr, a->addr_len);
	if (!tg)
		return -EPERM;
	if (s->domain == AF_UNIX && !tg->disconnect) {
		r = net_name_connect(tg);
		if (!r)
			r = net_cred_connecting(t, a->file[0], tg);
		if (r)
			return r;
	}
	r = task_host_call(t, SYS_connect, a->file[0]->hostfd, (long)&tg->host, tg->host_len, 0, 0,
			   0);
	if (!r && s->domain == AF_UNIX)
		net_cred_connected(s);
	if (!r && s->domain == AF_UNIX)
		s->peer_inside =
			s->type == SOCK_DGRAM ? tg->inside : peer_is_us(a->file[0]->hostfd);
	return r == -ERESTARTSYS && s->sndtimeo ? -EINTR : r;
}

int net_addr_write(struct task *t, const struct sockaddr_storage *ss, socklen_t len,
		   struct gptr addr, struct gptr lenp)
{
	struct sockaddr_storage copy = *ss;
	int room;

	if (!addr.addr)
		return 0;
	if (gmem_read(t->proc->mm, &room, lenp, sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	len = len < sizeof(copy) ? len : sizeof(copy);
	net_name_translate(&copy, &len);
	if ((socklen_t)room > len)
		room = len;
	if (room && gmem_write(t->proc->mm, addr, &copy, room))
		return -EFAULT;
	return gmem_write(t->proc->mm, lenp, &len, sizeof(len));
}

/* The next connection of a listening socket: host descriptor or -errno. Whoever finds the host name
 * of an abstract socket could connect to it; such names are the sandbox's own, so strangers are
 * sent away. */
static long next_connection(struct task *t, struct file *f, unsigned flags,
			    struct sockaddr_storage *ss, socklen_t *len)
{
	const struct sock *s = net_sock(f);
	bool ours_only = s->name && s->name->dirfd < 0;

	for (;;) {
		long fd;

		*len = sizeof(*ss);
		fd = task_host_call(t, SYS_accept4, f->hostfd, (long)ss, (long)len,
				    SOCK_CLOEXEC | (flags & SOCK_NONBLOCK), 0, 0);
		if (fd < 0 || !ours_only || peer_is_us(fd))
			return fd;
		close(fd);
	}
}

/* The next connection as an open file, its peer's name written. 0 or -errno. */
static long accept_file(struct task *t, struct sysargs *a, struct sock *s, unsigned flags,
			struct file **out)
{
	struct sockaddr_storage ss = {0};
	struct file *f;
	socklen_t len;
	long r;

	r = next_connection(t, a->file[0], flags, &ss, &len);
	if (r < 0)
		return r == -ERESTARTSYS && s->rcvtimeo ? -EINTR : r;
	f = net_file_new(r, s->domain, s->type, s->protocol, file_flags(flags));
	if (!f)
		return -ENOMEM;
	net_sock(f)->peer_inside = s->domain == AF_UNIX && peer_is_us(f->hostfd);
	if (net_sock(f)->peer_inside)
		net_cred_accepted(net_sock(f), &ss, len);
	r = net_addr_write(t, &ss, len, A_PTR(a, 1), A_PTR(a, 2));
	if (r)
		file_put(f);
	else
		*out = f;
	return r;
}

static long do_accept(struct task *t, struct sysargs *a, unsigned flags)
{
	struct file *f = NULL;
	struct sock *s;
	long r = sock_of(a, &s);
	int fd;

	if (r)
		return r;
	if (flags & ~TYPE_FLAGS)
		return -EINVAL;
	if (s->netlink)
		return -EOPNOTSUPP;
	/* First: a connection that was accepted and finds no place would be lost. */
	fd = fdtab_reserve(t->proc->fdtab);
	if (fd < 0)
		return fd;
	r = accept_file(t, a, s, flags, &f);
	fdtab_fill(t->proc->fdtab, fd, f, flags & SOCK_CLOEXEC);
	return r ? r : fd;
}

long sys_accept(struct task *t, struct sysargs *a)
{
	return do_accept(t, a, 0);
}

long sys_accept4(struct task *t, struct sysargs *a)
{
	return do_accept(t, a, A_UINT(a, 3));
}

typedef int name_fn(int fd, struct sockaddr *addr, socklen_t *len);

static int host_sockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return getsockname(fd, addr, len);
}

static int host_peername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return getpeername(fd, addr, len);
}

static long do_name(struct task *t, struct sysargs *a, name_fn *get)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);
	struct sock *s;
	int err = sock_of(a, &s);

	if (err)
		return err;
	if (s->netlink)
		netlink_name(s->netlink, get == host_peername, &ss, &len);
	else if (get(a->file[0]->hostfd, (struct sockaddr *)&ss, &len))
		return -errno;
	if (!A_PTR(a, 1).addr)
		return -EFAULT;
	return net_addr_write(t, &ss, len, A_PTR(a, 1), A_PTR(a, 2));
}

long sys_getsockname(struct task *t, struct sysargs *a)
{
	return do_name(t, a, host_sockname);
}

long sys_getpeername(struct task *t, struct sysargs *a)
{
	return do_name(t, a, host_peername);
}

long sys_shutdown(struct task *t, struct sysargs *a)
{
	struct sock *s;
	int err = sock_of(a, &s);

	if (err)
		return err;
	if (s->netlink)
		return -EOPNOTSUPP;
	return shutdown(a->file[0]->hostfd, A_INT(a, 1)) ? -errno : 0;
}

long sys_getsockopt(struct task *t, struct sysargs *a)
{
	struct sock *s;
	int err = sock_of(a, &s);

	return err ? err
		   : net_getsockopt(t, a->file[0], A_INT(a, 1), A_INT(a, 2), A_PTR(a, 3),
				    A_PTR(a, 4));
}

long sys_setsockopt(struct task *t, struct sysargs *a)
{
	struct sock *s;
	int err = sock_of(a, &s);

	return err ? err
		   : net_setsockopt(t, a, A_INT(a, 1), A_INT(a, 2), A_PTR(a, 3),
				    A_UINT(a, 4));
}
