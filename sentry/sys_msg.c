/* The send and recv families. Payload goes in place between the host and pinned app memory; names
 * and control data are copies. */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include "base/cleanup.h"
#include "base/overflow.h"
#include "sentry/net.h"
#include "sentry/net_cred.h"
#include "sentry/netlink.h"
#include "sentry/signal.h"
#include "sentry/sys.h"

#define SEND_FLAGS                                                                                 \
	(MSG_OOB | MSG_DONTROUTE | MSG_DONTWAIT | MSG_EOR | MSG_CONFIRM | MSG_NOSIGNAL |           \
	 MSG_MORE | MSG_FASTOPEN)
#define RECV_FLAGS (MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL | MSG_ERRQUEUE)
#define BOUNCE_MAX (1ul << 18) /* no datagram is longer */
#define RW_MAX	   0x7ffff000ul /* MAX_RW_COUNT */

/* One message of the app, copied: what both directions need. */
struct message {
	struct task *t;
	struct file *file;
	struct sock *sock;
	struct iovec one, *iov; /* app addresses; consumed as the message proceeds */
	size_t niov, left;
	struct msghdr host; /* name and control: host memory */
	bool identified; /* the control data only says who sends: of use with every part */
	int flags;
};

static int message_init(struct message *m, struct task *t, struct sysargs *a)
{
	memset(m, 0, sizeof(*m));
	if (!a->file[0] || a->file[0]->flags & O_PATH)
		return -EBADF;
	m->t = t;
	m->file = a->file[0];
	m->sock = net_sock(m->file);
	return m->sock ? 0 : -ENOTSOCK;
}

static void message_buffer(struct message *m, struct gptr buf, uint64_t len)
{
	m->left = MIN(len, RW_MAX);
	m->one.iov_base = (void *)(uintptr_t)buf.addr;
	m->one.iov_len = m->left;
	m->iov = &m->one;
	m->niov = 1;
}

/* Copies in the iovec array of a header into storage that the caller frees. */
static int message_iov(struct message *m, const struct msghdr *h, struct iovec **storage)
{
	int err;

	if (h->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	*storage = calloc(h->msg_iovlen + 1, sizeof(struct iovec));
	if (!*storage)
		return -ENOMEM;
	err = gmem_read_iov(m->t->proc->mm, gptr_at((uintptr_t)h->msg_iov), h->msg_iovlen,
			    *storage);
	if (err)
		return err;
	m->iov = *storage;
	m->niov = h->msg_iovlen;
	m->left = 0;
	for (size_t i = 0; i < m->niov; i++)
		m->left += m->iov[i].iov_len;
	return 0;
}

static void consume(struct message *m, size_t n)
{
	m->left -= n;
	while (n) {
		size_t k = MIN(n, m->iov->iov_len);

		m->iov->iov_base = (char *)m->iov->iov_base + k;
		m->iov->iov_len -= k;
		n -= k;
		if (!m->iov->iov_len && m->niov > 1) {
			m->iov++;
			m->niov--;
		}
	}
}

static bool keeps_boundaries(const struct message *m)
{
	return m->sock->type != SOCK_STREAM;
}

/* Copies between buf and the app's buffers, at most n bytes. 0 or -EFAULT. */
static int copy_iov(const struct message *m, char *buf, size_t n, bool to_app)
{
	struct mm *mm = m->t->proc->mm;

	for (size_t i = 0; i < m->niov && n; i++) {
		size_t k = MIN(n, m->iov[i].iov_len);
		struct gptr p = gptr_at((uintptr_t)m->iov[i].iov_base);

		if (k && (to_app ? gmem_write(mm, p, buf, k) : gmem_read(mm, buf, p, k)))
			return -EFAULT;
		buf += k;
		n -= k;
	}
	return 0;
}

/* A datagram whose buffers are in too many pieces, by way of one of ours. */
static ssize_t bounce(struct message *m, long nr, bool receive)
{
	size_t size = MIN(m->left, BOUNCE_MAX);
	cleanup_free char *buf = NULL;
	struct iovec iov;
	ssize_t r;

	if (!receive && m->left > BOUNCE_MAX)
		return -EMSGSIZE;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	if (!receive && copy_iov(m, buf, size, false))
		return -EFAULT;
	iov = (struct iovec){buf, size};
	m->host.msg_iov = &iov;
	m->host.msg_iovlen = 1;
	r = task_host_call(m->t, nr, m->file->hostfd, (long)&m->host, m->flags, 0, 0, 0);
	if (receive && r > 0 && copy_iov(m, buf, MIN((size_t)r, size), true))
		return -EFAULT;
	return r;
}

/* One host call over what can be pinned of the rest. *all is set when that was all of it, or when
 * the host took or gave less than was pinned: then there is no more to do. */
static ssize_t transfer(struct message *m, long nr, bool receive, bool *all)
{
	struct gmem_pin pin;
	ssize_t r;
	int err;

	pin.niov = 0;
	pin.total = 0;
	if (m->left) {
		err = gmem_pin_iov(m->t->proc->mm, m->iov, m->niov, receive, &pin);
		if (err)
			return err;
	}
	/* A datagram goes whole or not at all; what could not be pinned may be but scattered. */
	if (keeps_boundaries(m) && pin.total < m->left && (!receive || pin.total < BOUNCE_MAX)) {
		gmem_unpin(&pin);
		*all = true;
		return bounce(m, nr, receive);
	}
	m->host.msg_iov = pin.iov;
	m->host.msg_iovlen = pin.niov;
	r = task_host_call(m->t, nr, m->file->hostfd, (long)&m->host, m->flags, 0, 0, 0);
	*all = pin.total == m->left || r < (ssize_t)pin.total;
	if (m->left)
		gmem_unpin(&pin);
	return r;
}

/* ---- sending ---- */

/* A request to the sentry itself, by way of a copy. */
static ssize_t send_netlink(struct message *m, const struct sockaddr_storage *name, socklen_t len)
{
	cleanup_free char *buf = NULL;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->left > NETLINK_SEND_MAX)
		return -EMSGSIZE;
	buf = malloc(m->left + 1);
	if (!buf)
		return -ENOMEM;
	if (copy_iov(m, buf, m->left, false))
		return -EFAULT;
	return netlink_send(m->t, m->sock->netlink, buf, m->left, name, len);
}

static ssize_t do_send(struct message *m)
{
	bool nosignal = m->flags & MSG_NOSIGNAL, all = false;
	ssize_t r, done = 0;

	m->flags = (m->flags & SEND_FLAGS) | MSG_NOSIGNAL;
	do {
		r = transfer(m, SYS_sendmsg, false, &all);
		if (r < 0)
			break;
		done += r;
		consume(m, r);
		if (!m->identified)
			m->host.msg_controllen = 0; /* went with the first part */
	} while (!all && !keeps_boundaries(m));
	if (done)
		return done;
	if (r == -EPIPE && !nosignal && m->sock->type != SOCK_DGRAM)
		signal_raise(m->t, SIGPIPE);
	return r == -ERESTARTSYS && m->sock->sndtimeo ? -EINTR : r;
}

/* Gives the message its judged address. has_name: the app gave one. */
static int send_name(struct message *m, struct net_target *tg, bool has_name)
{
	static const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	int err;

	if (tg) {
		if (m->sock->domain == AF_UNIX) {
			err = net_name_connect(tg);
			if (err)
				return err;
		}
		m->host.msg_name = &tg->host;
		m->host.msg_namelen = tg->host_len;
	} else if (has_name && m->sock->domain == AF_UNIX && m->sock->type == SOCK_STREAM) {
		/* The host says EISCONN or EOPNOTSUPP; it does not look at the name. */
		m->host.msg_name = (void *)&unnamed;
		m->host.msg_namelen = sizeof(sa_family_t);
	}
	return 0;
}

static bool rights_may_go(const struct message *m, const struct net_target *tg)
{
	return tg ? tg->inside : m->sock->peer_inside;
}

/* Makes a message that is not the first to need it say who sends it: used bytes of control data are at
 * control. 0 or -errno. */
static int identify(struct message *m, const struct net_target *tg, char *control, size_t used,
		    const struct net_rights *r)
{
	ssize_t n;
	int err;

	if (m->sock->domain != AF_UNIX)
		return 0;
	if ((m->sock->passcred || m->sock->passpidfd) && m->sock->type == SOCK_DGRAM && !m->sock->name) {
		err = net_name_autobind(m->t, m->file);
		if (err)
			return err;
	}
	if (r->n || !rights_may_go(m, tg) || !(r->named || net_cred_wanted(m->sock)))
		return 0;
	n = net_cmsg_identify(m->t, control, used);
	if (n < 0)
		return (int)n;
	m->identified = !used;
	m->host.msg_control = control;
	m->host.msg_controllen = n;
	return 0;
}

static ssize_t send_netlink_header(struct message *m, const struct msghdr *h)
{
	struct sockaddr_storage name = {0};
	socklen_t len = h->msg_name ? h->msg_namelen : 0;

	if (len > sizeof(name))
		return -EINVAL;
	if (gmem_read(m->t->proc->mm, &name, gptr_at((uintptr_t)h->msg_name), len))
		return -EFAULT;
	return send_netlink(m, &name, len);
}

/* sendmsg of one copied header. */
static long send_header(struct task *t, struct sysargs *a, const struct msghdr *h,
			struct net_target *tg, int flags)
{
	cleanup_free struct iovec *iov = NULL;
	cleanup_free char *in = NULL;
	_Alignas(struct cmsghdr) char control[NET_CMSG_MAX + NET_IDENTITY_SPACE];
	struct net_rights rights = {.n = 0};
	struct message m;
	ssize_t r = 0;
	int err = message_init(&m, t, a);

	if (err)
		return err;
	m.flags = flags;
	err = message_iov(&m, h, &iov);
	if (!err && m.sock->netlink)
		return send_netlink_header(&m, h);
	if (!err)
		err = send_name(&m, tg, h->msg_name && h->msg_namelen);
	if (err)
		return err;
	if (h->msg_controllen) {
		if (h->msg_controllen > NET_CMSG_MAX)
			return -ENOBUFS;
		in = malloc(h->msg_controllen);
		if (!in)
			return -ENOMEM;
		if (gmem_read(t->proc->mm, in, gptr_at((uintptr_t)h->msg_control),
			      h->msg_controllen))
			return -EFAULT;
		r = net_cmsg_send(t, m.sock, rights_may_go(&m, tg), in, h->msg_controllen, control,
				  &rights);
		if (r < 0)
			goto out;
		m.host.msg_control = control;
		m.host.msg_controllen = r;
	}
	err = identify(&m, tg, control, r, &rights);
	r = err ? err : do_send(&m);
out:
	net_rights_done(&rights);
	return r;
}

ssize_t net_unix_write(struct task *t, struct file *f, const struct iovec *iov, int n)
{
	_Alignas(struct cmsghdr) char control[NET_IDENTITY_SPACE];
	static const struct net_rights none;
	struct message m = {.t = t, .file = f, .sock = net_sock(f)};
	int err = identify(&m, NULL, control, 0, &none);
	ssize_t r;

	if (err)
		return err;
	m.host.msg_iov = (struct iovec *)iov;
	m.host.msg_iovlen = n;
	if (m.host.msg_controllen)
		r = file_host_call(t, f, SYS_sendmsg, (long)&m.host, MSG_NOSIGNAL, 0, 0, 0);
	else if (n == 1)
		r = file_host_call(t, f, SYS_write, (long)iov->iov_base, (long)iov->iov_len, 0, 0, 0);
	else
		r = file_host_call(t, f, SYS_writev, (long)iov, n, 0, 0, 0);
	return r == -ERESTARTSYS && m.sock->sndtimeo ? -EINTR : r;
}

long sys_sendto(struct task *t, struct sysargs *a)
{
	_Alignas(struct cmsghdr) char control[NET_IDENTITY_SPACE];
	static const struct net_rights none;
	struct net_target *tg;
	struct message m;
	int err = message_init(&m, t, a);

	if (err)
		return err;
	if (!a->net)
		return -EPERM;
	m.flags = A_INT(a, 3);
	message_buffer(&m, A_PTR(a, 1), a->raw[2]);
	if (m.sock->netlink)
		return send_netlink(&m, &a->addr, a->has_addr ? a->addr_len : 0);
	tg = a->net->n ? &a->net->target[0] : NULL;
	err = send_name(&m, tg, a->has_addr);
	if (!err)
		err = identify(&m, tg, control, 0, &none);
	return err ? err : do_send(&m);
}

long sys_sendmsg(struct task *t, struct sysargs *a)
{
	if (!a->net)
		return a->file[0] ? -EPERM : -EBADF;
	return send_header(t, a, &a->msg, a->net->n ? &a->net->target[0] : NULL, A_INT(a, 2));
}

long sys_sendmmsg(struct task *t, struct sysargs *a)
{
	const struct net_call *nc = a->net;
	unsigned i, len;
	long r = 0;

	if (!nc)
		return a->file[0] ? -EPERM : -EBADF;
	for (i = 0; i < nc->nmsg; i++) {
		int k = nc->msg_target[i];

		r = send_header(t, a, &nc->msg[i].msg_hdr, k < 0 ? NULL : &nc->target[k],
				A_INT(a, 3));
		if (r < 0)
			break;
		len = r;
		r = gmem_write(t->proc->mm,
			       gptr_at(a->raw[1] + i * sizeof(struct mmsghdr) +
				       offsetof(struct mmsghdr, msg_len)),
			       &len, sizeof(len));
		if (r)
			break;
	}
	return i ? i : r;
}

/* ---- receiving ---- */

static ssize_t do_recv(struct message *m)
{
	bool whole = (m->flags & MSG_WAITALL) && !keeps_boundaries(m), all = false;
	ssize_t r, done = 0;

	do {
		r = transfer(m, SYS_recvmsg, true, &all);
		if (r <= 0)
			break;
		done += r;
		/* MSG_TRUNC on a datagram counts bytes that were not stored. */
		consume(m, MIN((size_t)r, m->left));
	} while (whole && !all && !m->host.msg_controllen);
	if (m->sock->netlink && r >= 0)
		netlink_name(m->sock->netlink, true, m->host.msg_name, &m->host.msg_namelen);
	if (done)
		return done;
	return r == -ERESTARTSYS && m->sock->rcvtimeo ? -EINTR : r;
}

long sys_recvfrom(struct task *t, struct sysargs *a)
{
	struct sockaddr_storage ss = {0};
	struct message m;
	ssize_t r;
	int err = message_init(&m, t, a);

	if (err)
		return err;
	m.flags = A_INT(a, 3) & RECV_FLAGS;
	m.host.msg_name = &ss;
	m.host.msg_namelen = sizeof(ss);
	message_buffer(&m, A_PTR(a, 1), a->raw[2]);
	r = do_recv(&m);
	if (m.sock->domain == AF_UNIX)
		net_rights_sweep(); /* no control data: descriptors were lost */
	if (r < 0)
		return r;
	err = net_addr_write(t, &ss, m.host.msg_namelen, A_PTR(a, 4), A_PTR(a, 5));
	return err ? err : r;
}

/* Writes one member of the app's header at hdr. */
#define PUT(t, hdr, member, val)                                                                   \
	gmem_write((t)->proc->mm, gptr_at((hdr).addr + offsetof(struct msghdr, member)), (val),    \
		   sizeof(*(val)))

/* Gives the app name, control data and flags of a received message. 0 or -errno. */
static int recv_results(struct message *m, struct gptr hdr, const struct msghdr *app, bool cloexec)
{
	_Alignas(struct cmsghdr) char control[NET_CMSG_MAX] = {0};
	struct mm *mm = m->t->proc->mm;
	socklen_t len = m->host.msg_namelen;
	int flags = m->host.msg_flags & ~MSG_CMSG_CLOEXEC;
	size_t room = MIN(app->msg_controllen, sizeof(control)), n;

	if (app->msg_name) {
		net_name_translate(m->host.msg_name, &len);
		if (gmem_write(mm, gptr_at((uintptr_t)app->msg_name), m->host.msg_name,
			       MIN(len, app->msg_namelen)) ||
		    PUT(m->t, hdr, msg_namelen, &len))
			return -EFAULT;
	}
	n = net_cmsg_recv(m->t, m->sock, &m->host, control, app->msg_control ? room : 0, cloexec, &flags);
	if (n && gmem_write(mm, gptr_at((uintptr_t)app->msg_control), control, n))
		return -EFAULT;
	if (cloexec)
		flags |= MSG_CMSG_CLOEXEC;
	if (PUT(m->t, hdr, msg_controllen, &n) || PUT(m->t, hdr, msg_flags, &flags))
		return -EFAULT;
	return 0;
}

/* recvmsg into the app's header at hdr. */
static long recv_header(struct task *t, struct sysargs *a, struct gptr hdr, int flags)
{
	_Alignas(struct cmsghdr) char control[NET_CMSG_MAX];
	cleanup_free struct iovec *iov = NULL;
	struct sockaddr_storage ss = {0};
	struct msghdr app;
	struct message m;
	ssize_t r;
	int err = message_init(&m, t, a);

	if (err)
		return err;
	if (gmem_read(t->proc->mm, &app, hdr, sizeof(app)))
		return -EFAULT;
	if ((int)app.msg_namelen < 0)
		return -EINVAL;
	err = message_iov(&m, &app, &iov);
	if (err)
		return err;
	m.flags = (flags & RECV_FLAGS) | MSG_CMSG_CLOEXEC;
	m.host.msg_name = &ss;
	m.host.msg_namelen = sizeof(ss);
	m.host.msg_control = control;
	m.host.msg_controllen = sizeof(control);
	r = do_recv(&m);
	if (r < 0)
		return r;
	err = recv_results(&m, hdr, &app, flags & MSG_CMSG_CLOEXEC);
	return err ? err : r;
}

long sys_recvmsg(struct task *t, struct sysargs *a)
{
	return recv_header(t, a, A_PTR(a, 1), A_INT(a, 2));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* The timeout of recvmmsg as a deadline; like Linux it is looked at between messages. */
static int recv_deadline(struct task *t, struct gptr p, uint64_t *deadline)
{
	struct timespec ts;

	*deadline = UINT64_MAX;
	if (!p.addr)
		return 0;
	if (gmem_read(t->proc->mm, &ts, p, sizeof(ts)))
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000)
		return -EINVAL;
	if ((uint64_t)ts.tv_sec < UINT64_MAX / 4000000000ull)
		*deadline = now_ns() + ts.tv_sec * 1000000000ull + ts.tv_nsec;
	return 0;
}

long sys_recvmmsg(struct task *t, struct sysargs *a)
{
	unsigned vlen = MIN(A_UINT(a, 2), (unsigned)IOV_MAX), i, len;
	int flags = A_INT(a, 3);
	uint64_t deadline;
	long r = recv_deadline(t, A_PTR(a, 4), &deadline);

	if (r)
		return r;
	for (i = 0; i < vlen; i++) {
		struct gptr hdr = gptr_at(a->raw[1] + i * sizeof(struct mmsghdr));

		r = recv_header(t, a, hdr, flags & ~MSG_WAITFORONE);
		if (r < 0)
			break;
		len = r;
		r = gmem_write(t->proc->mm, gptr_at(hdr.addr + offsetof(struct mmsghdr, msg_len)),
			       &len, sizeof(len));
		if (r)
			break;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (now_ns() >= deadline) {
			i++;
			break;
		}
	}
	return i ? i : r;
}
