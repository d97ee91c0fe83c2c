/* Unix sockets: paths, abstract names, pairs, and what they say of themselves. */
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/guest/say.h"

static void *volatile bad = (void *)8;

static socklen_t name(struct sockaddr_un *a, const char *path, int abstract)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	strcpy(a->sun_path + abstract, path);
	return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static void say_name(const char *what, const struct sockaddr_un *a, socklen_t n)
{
	size_t off = offsetof(struct sockaddr_un, sun_path);

	printf("%s family %d len %u ", what, a->sun_family, n);
	if (n <= off)
		printf("unnamed\n");
	else if (!a->sun_path[0])
		printf("abstract %.*s\n", (int)(n - off - 1), a->sun_path + 1);
	else
		printf("path %s\n", a->sun_path);
}

static void say_names(int s)
{
	struct sockaddr_un a;
	socklen_t n = sizeof(a);

	if (!SAY(getsockname(s, (struct sockaddr *)&a, &n)))
		say_name("own", &a, n);
	n = sizeof(a);
	if (!SAY(getpeername(s, (struct sockaddr *)&a, &n)))
		say_name("peer", &a, n);
}

static void stream(const char *path, int abstract)
{
	struct sockaddr_un a;
	socklen_t n = name(&a, path, abstract), len;
	int ls = socket(AF_UNIX, SOCK_STREAM, 0), c, s;
	struct ucred cred;
	char buf[16] = {0};

	printf("-- stream %s%s\n", abstract ? "@" : "", path);
	SAY(listen(ls, 1));
	SAY(connect(ls, (struct sockaddr *)&a, n));
	SAY(bind(ls, (struct sockaddr *)&a, n));
	SAY(bind(ls, (struct sockaddr *)&a, n));
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	SAY(bind(c, (struct sockaddr *)&a, n));
	SAY(connect(c, (struct sockaddr *)&a, n));
	SAY(listen(ls, 4));
	SAY(connect(c, (struct sockaddr *)&a, n));
	s = SAY_FD(accept(ls, (struct sockaddr *)&a, (len = sizeof(a), &len)));
	say_name("accepted", &a, len);
	say_names(c);
	say_names(s);
	len = sizeof(cred);
	SAY(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	printf("cred %d %d len %u\n", cred.pid == getpid(), cred.uid == getuid(), len);
	SAY(write(c, "ping", 4));
	SAY(read(s, buf, sizeof(buf)));
	SAY(sendto(c, "x", 1, 0, (struct sockaddr *)&a, name(&a, path, abstract)));
	SAY(shutdown(c, SHUT_WR));
	SAY(read(s, buf, sizeof(buf)));
	close(c);
	SAY(send(s, "x", 1, MSG_NOSIGNAL));
	close(s);
	close(ls);
	SAY(connect(c = socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a,
		    name(&a, path, abstract)));
	close(c);
}

static void dgram(const char *one, const char *two, int abstract)
{
	struct sockaddr_un a, b;
	socklen_t na = name(&a, one, abstract), nb = name(&b, two, abstract), n;
	int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	char buf[16] = {0};

	printf("-- dgram %s%s\n", abstract ? "@" : "", one);
	SAY(bind(x, (struct sockaddr *)&a, na));
	SAY(bind(y, (struct sockaddr *)&b, nb));
	SAY(sendto(x, "to y", 4, 0, (struct sockaddr *)&b, nb));
	n = sizeof(a);
	SAY(recvfrom(y, buf, sizeof(buf), 0, (struct sockaddr *)&a, &n));
	say_name("from", &a, n);
	SAY(sendto(y, "back", 4, 0, (struct sockaddr *)&a, n));
	SAY(recv(x, buf, sizeof(buf), 0));
	SAY(connect(x, (struct sockaddr *)&b, nb));
	SAY(send(x, "conn", 4, 0));
	SAY(recv(y, buf, 2, MSG_TRUNC));
	SAY(connect(x, &un, sizeof(un)));
	SAY(send(x, "x", 1, 0));
	close(x);
	close(y);
	SAY(sendto(x = socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&b, nb));
	close(x);
}

static void errors(void)
{
	struct sockaddr_un a;
	struct stat st;
	int s = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	printf("-- errors\n");
	SAY(connect(s, (struct sockaddr *)&a, name(&a, "missing", 0)));
	SAY(connect(s, (struct sockaddr *)&a, name(&a, "missing/sock", 0)));
	close(fd = open("plain", O_CREAT | O_WRONLY, 0600));
	SAY(connect(s, (struct sockaddr *)&a, name(&a, "plain", 0)));
	SAY(bind(s, (struct sockaddr *)&a, name(&a, "plain", 0)));
	SAY(connect(s, (struct sockaddr *)&a, 2));
	SAY(connect(s, (struct sockaddr *)&a, 1));
	SAY(bind(s, (struct sockaddr *)&a, 200));
	umask(027);
	SAY(bind(s, (struct sockaddr *)&a, name(&a, "masked", 0)));
	SAY(stat("masked", &st));
	printf("mode %o\n", st.st_mode);
	close(s);
	s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	SAY(bind(s, (struct sockaddr *)&a, sizeof(sa_family_t)));
	SAY(listen(s, 1));
	close(s);
	SAY(socket(AF_UNIX, SOCK_STREAM, 5));
	SAY(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}));
	SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, bad));
}

static void pairs(void)
{
	int sv[2];
	char buf[8] = {0};

	printf("-- pairs\n");
	SAY(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv));
	printf("cloexec %d nonblock %d\n", fcntl(sv[0], F_GETFD), (fcntl(sv[1], F_GETFL) & O_NONBLOCK) != 0);
	SAY(recv(sv[0], buf, 8, 0));
	SAY(write(sv[0], "one", 3));
	SAY(write(sv[0], "two!", 4));
	SAY(read(sv[1], buf, 8));
	SAY(read(sv[1], buf, 2));
	SAY(read(sv[1], buf, 8));
	say_names(sv[0]);
	close(sv[0]);
	SAY(read(sv[1], buf, 8));
	close(sv[1]);
}

int main(void)
{
	mkdir("dir", 0755);
	stream("dir/stream.sock", 0);
	unlink("dir/stream.sock");
	stream("sbx-test-stream", 1);
	dgram("dir/one", "dir/two", 0);
	dgram("sbx-test-one", "sbx-test-two", 1);
	pairs();
	errors();
	return 0;
}
