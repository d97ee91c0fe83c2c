/* sentry/net_*.c: which addresses a call uses and how they are judged; names of unix sockets. The file
 * system, guest memory and the policy are fakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sentry/net.h"
#include "sentry/net_cred.h"
#include "sentry/net_cred.h"
#include "sentry/notify.h"
#include "sentry/sys.h"
#include "tests/net/addr.h"

#define PATH_OFF offsetof(struct sockaddr_un, sun_path)

/* ---- fakes ---- */

static struct sock sock;
static struct file file;
static struct proc proc;
static struct task task;

struct sock *net_sock(const struct file *f)
{
	return f == &file ? &sock : NULL;
}

int vfs_resolve(struct task *t, int dirfd, const char *path, unsigned flags, struct vpath *out)
{
	if (!strcmp(path, "gone/x"))
		return -ENOENT;
	out->path_len = snprintf(out->path, sizeof(out->path), "/cwd/%s", path);
	return 0;
}

static unsigned released;

void vpath_release(struct vpath *p)
{
	released++;
}

void vnode_put(struct vnode *n)
{
}

atomic_uint notify_count;
pthread_mutex_t net_lock = PTHREAD_MUTEX_INITIALIZER;

bool net_cred_left(const void *host, socklen_t len, struct sockaddr_un *app, socklen_t *app_len)
{
	return false;
}

void notify_name_slow(struct vnode *dir, const char *name, bool dir_entry, uint32_t mask,
		      uint32_t cookie)
{
}

/* Guest addresses are host addresses here; the first page is not there. */
int gmem_read(struct mm *mm, void *dst, struct gptr src, size_t n)
{
	if (src.addr < 4096)
		return -EFAULT;
	memcpy(dst, (void *)(uintptr_t)src.addr, n);
	return 0;
}

/* Grants connecting to 10.0.0.0/8, sending to 10.1.0.0/16; 10.2.* is explicitly refused. */
void pol_eval_net(const struct pol_image *img, uint32_t phase, uint32_t nverb,
		  const struct pol_addr *addr, struct pol_verdict *v)
{
	*v = (struct pol_verdict){.action = POL_DENY, .value = EPERM, .flags = POL_F_DEFAULT};
	if (nverb == POL_NET_CONNECT && addr->ip[0] == 10)
		v->action = POL_ALLOW;
	if (nverb == POL_NET_SEND && addr->ip[0] == 10 && addr->ip[1] == 2)
		v->flags = 0;
}

/* ---- helpers ---- */

static struct sysargs args;

static void fresh(int nr, int domain, int type)
{
	net_call_release(&args);
	memset(&args, 0, sizeof(args));
	memset(&sock, 0, sizeof(sock));
	task.proc = &proc;
	sock.domain = domain;
	sock.type = type;
	args.nr = nr;
	args.file[0] = &file;
}

static void set_addr(const void *a, socklen_t len)
{
	memset(&args.addr, 0, sizeof(args.addr));
	memcpy(&args.addr, a, len);
	args.addr_len = len;
	args.has_addr = true;
}

static const char *judged(unsigned i)
{
	static char text[128], ip[64];
	const struct pol_addr *a = &args.net->target[i].addr;
	static const char *const proto[] = {"?", "tcp", "udp", "unix"};
	static const char *const verb[] = {"?", "connect", "listen", "send"};

	if (a->proto == POL_PROTO_UNIX)
		snprintf(ip, sizeof(ip), "%.*s", (int)a->path_len, a->path);
	else
		inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, ip, sizeof(ip));
	snprintf(text, sizeof(text), "%s %s %s %u", verb[args.net->target[i].nverb],
		 proto[a->proto], ip, a->port);
	return text;
}

#define PREPARE() net_call_prepare(&task, &args)

/* ---- tests ---- */

static void test_inet(void **state)
{
	struct sockaddr_in a = v4("192.0.2.7", 80);
	struct sockaddr_in6 b = v6("::ffff:192.0.2.9", 443);

	fresh(SYS_connect, AF_INET, SOCK_STREAM);
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "connect tcp 192.0.2.7 80");
	assert_memory_equal(&args.net->target[0].host, &a, sizeof(a));
	set_addr(&a, 15);
	net_call_release(&args);
	assert_int_equal(PREPARE(), -EINVAL);
	assert_null(args.net);
	set_addr(&b, sizeof(b));
	assert_int_equal(PREPARE(), -EAFNOSUPPORT);

	fresh(SYS_bind, AF_INET6, SOCK_DGRAM);
	set_addr(&b, sizeof(b));
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "listen udp 192.0.2.9 443");
	b = v6("2001:db8::1", 53);
	net_call_release(&args);
	set_addr(&b, 24);
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "listen udp 2001:db8::1 53");
	net_call_release(&args);
	set_addr(&b, 23);
	assert_int_equal(PREPARE(), -EINVAL);
}

/* The wildcard address must not be another name for the loopback one. */
static void test_wildcard(void **state)
{
	static const struct {
		const char *ip, *judged, *used;
	} row[] = {
		{"::", "connect tcp ::1 80", "::1"},
		{"::ffff:0.0.0.0", "connect tcp 127.0.0.1 80", "::ffff:127.0.0.1"},
		{"::2", "connect tcp ::2 80", "::2"},
	};
	struct sockaddr_in a = v4("0.0.0.0", 80);
	struct sockaddr_in6 b;
	char text[64];

	fresh(SYS_connect, AF_INET, SOCK_STREAM);
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "connect tcp 127.0.0.1 80");
	a = v4("127.0.0.1", 80);
	assert_memory_equal(&args.net->target[0].host, &a, sizeof(a));
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		fresh(SYS_connect, AF_INET6, SOCK_STREAM);
		b = v6(row[i].ip, 80);
		set_addr(&b, sizeof(b));
		assert_int_equal(PREPARE(), 0);
		assert_string_equal(judged(0), row[i].judged);
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&args.net->target[0].host)->sin6_addr,
			  text, sizeof(text));
		assert_string_equal(text, row[i].used);
	}
	fresh(SYS_bind, AF_INET, SOCK_STREAM);
	a = v4("0.0.0.0", 80);
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "listen tcp 0.0.0.0 80");
}

static void test_unspec(void **state)
{
	struct sockaddr_in a = v4("192.0.2.7", 80);

	a.sin_family = AF_UNSPEC;
	fresh(SYS_connect, AF_INET, SOCK_DGRAM);
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	assert_true(args.net->target[0].disconnect);
	/* To Linux this is an IPv4 address all the same. */
	fresh(SYS_sendto, AF_INET, SOCK_DGRAM);
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "send udp 192.0.2.7 80");
	assert_int_equal(args.net->target[0].host.ss_family, AF_INET);
	fresh(SYS_sendto, AF_INET6, SOCK_DGRAM);
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	assert_int_equal(args.net->n, 0);
}

static void test_stream_send(void **state)
{
	struct sockaddr_in a = v4("192.0.2.7", 80);

	fresh(SYS_sendto, AF_INET, SOCK_STREAM);
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	assert_int_equal(args.net->n, 0);
	fresh(SYS_sendto, AF_INET, SOCK_STREAM);
	set_addr(&a, sizeof(a));
	args.raw[3] = MSG_FASTOPEN;
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "connect tcp 192.0.2.7 80");
	fresh(SYS_sendmsg, AF_INET, SOCK_STREAM);
	set_addr(&a, sizeof(a));
	args.raw[2] = MSG_FASTOPEN;
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "connect tcp 192.0.2.7 80");
}

static void test_listen(void **state)
{
	fresh(SYS_listen, AF_INET, SOCK_STREAM);
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "listen tcp 0.0.0.0 0");
	fresh(SYS_listen, AF_INET6, SOCK_STREAM);
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "listen tcp :: 0");
	sock.bound = true;
	net_call_release(&args);
	assert_int_equal(PREPARE(), 0);
	assert_int_equal(args.net->n, 0);
	fresh(SYS_listen, AF_UNIX, SOCK_STREAM);
	assert_int_equal(PREPARE(), 0);
	assert_int_equal(args.net->n, 0);
}

static void test_other_calls(void **state)
{
	fresh(SYS_read, AF_INET, SOCK_STREAM);
	assert_int_equal(PREPARE(), 0);
	assert_null(args.net);
	fresh(SYS_connect, AF_INET, SOCK_STREAM);
	args.file[0] = NULL;
	assert_int_equal(PREPARE(), -EBADF);
	args.file[0] = (struct file *)&proc;
	assert_int_equal(PREPARE(), -ENOTSOCK);
	fresh(SYS_connect, AF_INET, SOCK_STREAM);
	args.addr_err = -EFAULT;
	assert_int_equal(PREPARE(), -EFAULT);
}

static void test_unix(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct net_target *tg;
	struct sockaddr_storage ss;
	socklen_t len;

	strcpy(a.sun_path, "dir/sock");
	fresh(SYS_connect, AF_UNIX, SOCK_STREAM);
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	assert_string_equal(judged(0), "connect unix /cwd/dir/sock 0");
	released = 0;
	net_call_release(&args);
	assert_int_equal(released, 1);
	memset(a.sun_path, 'p', sizeof(a.sun_path)); /* no terminator */
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	assert_int_equal(args.net->target[0].addr.path_len, 5 + sizeof(a.sun_path));
	net_call_release(&args);
	strcpy(a.sun_path, "gone/x");
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), -ENOENT);
	set_addr(&a, 2);
	assert_int_equal(PREPARE(), -EINVAL);

	memcpy(a.sun_path, "\0na\0me", 6);
	set_addr(&a, PATH_OFF + 6);
	assert_int_equal(PREPARE(), 0);
	tg = &args.net->target[0];
	assert_int_equal(tg->addr.path_len, 6);
	assert_memory_equal(tg->addr.path, "@na\0me", 6);
	assert_true(tg->inside);
	assert_int_equal(tg->host.ss_family, AF_UNIX);
	assert_true(tg->host_len > PATH_OFF + 6 + 16);
	memcpy(&ss, &tg->host, sizeof(ss));
	len = tg->host_len;
	net_name_translate(&ss, &len);
	assert_int_equal(len, PATH_OFF + 6);
	assert_memory_equal(&ss, &a, len);
}

static void test_abstract_names(void **state)
{
	struct sockaddr_un x, y;
	socklen_t nx, ny;
	char name[107];

	memset(name, 'n', sizeof(name));
	net_name_abstract(name, 107, &x, &nx);
	assert_true(nx <= sizeof(x));
	name[106] = 'm';
	net_name_abstract(name, 107, &y, &ny);
	assert_true(nx != ny || memcmp(&x, &y, nx));
	for (size_t n = 0; n <= sizeof(name); n++) {
		net_name_abstract(name, n, &x, &nx);
		assert_true(nx <= sizeof(x) && !x.sun_path[0]);
	}
}

static void test_autobind(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	fresh(SYS_bind, AF_UNIX, SOCK_STREAM);
	set_addr(&a, sizeof(sa_family_t));
	assert_int_equal(PREPARE(), 0);
	assert_int_equal(args.net->target[0].addr.path_len, 6);
	assert_int_equal(args.net->target[0].app_len, PATH_OFF + 6);
}

static void test_batch(void **state)
{
	struct sockaddr_in a = v4("10.0.0.1", 1), b = v4("192.0.2.1", 2);
	struct mmsghdr m[4] = {0};

	m[0].msg_hdr = (struct msghdr){.msg_name = &a, .msg_namelen = sizeof(a)};
	m[2].msg_hdr = (struct msghdr){.msg_name = &b, .msg_namelen = sizeof(b)};
	m[3].msg_hdr = (struct msghdr){.msg_name = (void *)16, .msg_namelen = sizeof(b)};
	fresh(SYS_sendmmsg, AF_INET, SOCK_DGRAM);
	args.raw[1] = (uintptr_t)m;
	args.raw[2] = 4;
	assert_int_equal(PREPARE(), 0);
	assert_int_equal(args.net->nmsg, 3); /* the last one cannot be read */
	assert_int_equal(args.net->n, 2);
	assert_int_equal(args.net->msg_target[0], 0);
	assert_int_equal(args.net->msg_target[1], -1);
	assert_int_equal(args.net->msg_target[2], 1);
	assert_string_equal(judged(0), "send udp 10.0.0.1 1");
	assert_string_equal(judged(1), "send udp 192.0.2.1 2");
	net_call_release(&args);
	args.raw[1] = (uintptr_t)&m[3];
	args.raw[2] = 1;
	assert_int_equal(PREPARE(), -EFAULT);
}

static bool verdict(int nr, int type, const char *ip)
{
	struct sockaddr_in a = v4(ip, 53);
	const struct net_target *refused = NULL;
	struct pol_verdict v;
	bool ok;

	fresh(nr, AF_INET, type);
	set_addr(&a, sizeof(a));
	assert_int_equal(PREPARE(), 0);
	ok = net_call_judge(NULL, 0, args.net, &v, &refused);
	assert_true(ok == !refused);
	return ok;
}

static void test_judge(void **state)
{
	assert_true(verdict(SYS_connect, SOCK_STREAM, "10.0.0.1"));
	assert_false(verdict(SYS_connect, SOCK_STREAM, "192.0.2.1"));
	assert_false(verdict(SYS_bind, SOCK_STREAM, "10.0.0.1"));
	/* Either verb of a datagram socket, unless a rule refuses the one that was used. */
	assert_true(verdict(SYS_sendto, SOCK_DGRAM, "10.0.0.1"));
	assert_true(verdict(SYS_connect, SOCK_DGRAM, "10.2.0.1"));
	assert_false(verdict(SYS_sendto, SOCK_DGRAM, "10.2.0.1"));
	assert_false(verdict(SYS_sendto, SOCK_DGRAM, "192.0.2.1"));
}

static int done(void **state)
{
	net_call_release(&args);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inet),	     cmocka_unit_test(test_wildcard),
		cmocka_unit_test(test_unspec),	     cmocka_unit_test(test_stream_send),
		cmocka_unit_test(test_listen),	     cmocka_unit_test(test_other_calls),
		cmocka_unit_test(test_unix),	     cmocka_unit_test(test_abstract_names),
		cmocka_unit_test(test_autobind),     cmocka_unit_test(test_batch),
		cmocka_unit_test(test_judge),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
