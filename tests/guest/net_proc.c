/* /proc/net: a program finds its own sockets there, in the form that tools read. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/guest/say.h"

static unsigned long inode(int fd)
{
	struct stat st;

	fstat(fd, &st);
	return st.st_ino;
}

/* Prints the fields of fd's row that do not change from run to run. */
static void internet(const char *file, int fd)
{
	char line[512], own[64], peer[64];
	unsigned state, uid;
	unsigned long ino;
	FILE *f = fopen(file, "r");

	if (!f || !fgets(line, sizeof(line), f)) {
		printf("%s: nothing\n", file);
		return;
	}
	printf("%s: head \"%.40s\"\n", file, line);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*d: %60s %60s %x %*s %*s %*s %u %*d %lu", own, peer, &state, &uid, &ino) != 5) {
			printf("odd row: %s", line);
			continue;
		}
		if (ino != inode(fd))
			continue;
		*strchr(own, ':') = 0;
		printf("  own %s, port of the peer %s, state %x, uid %d\n", own,
		       strcmp(strchr(peer, ':'), ":0000") ? "set" : "none", state, uid == getuid());
	}
	fclose(f);
}

static void local(int fd)
{
	char line[512], path[128];
	unsigned flags, type, state;
	unsigned long ino;
	FILE *f = fopen("/proc/net/unix", "r");
	int n;

	fgets(line, sizeof(line), f);
	printf("unix: head %s", line);
	while (fgets(line, sizeof(line), f)) {
		path[0] = 0;
		n = sscanf(line, "%*x: %*x %*x %x %x %x %lu %120s", &flags, &type, &state, &ino, path);
		if (n >= 4 && ino == inode(fd))
			printf("  flags %x type %x state %x path %s\n", flags, type, state, path);
	}
	fclose(f);
}

/* Rows of the loopback interface, and the first lines. */
static void interface(const char *file)
{
	char line[512], name[64];
	FILE *f = fopen(file, "r");

	for (int i = 0; fgets(line, sizeof(line), f); i++) {
		if (sscanf(line, " %60[^:]:", name) == 1 && !strcmp(name, "lo") && strchr(line, ':'))
			printf("%s: lo\n", file);
		else if (strstr(line, "       lo\n"))
			printf("%s: %s", file, line);
		else if (i < 2 && (strchr(line, '|') || strstr(line, "Iface")))
			printf("%s: %s", file, line);
	}
	fclose(f);
}

int main(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t n = sizeof(in), n6 = sizeof(in6);
	int ls = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
	int six = socket(AF_INET6, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
	int x = socket(AF_UNIX, SOCK_STREAM, 0), sv[2];
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "proc.sock"};

	setvbuf(stdout, NULL, _IOLBF, 0);
	bind(ls, (struct sockaddr *)&in, n);
	getsockname(ls, (struct sockaddr *)&in, &n);
	internet("/proc/net/tcp", ls); /* bound, but not listed yet */
	listen(ls, 1);
	internet("/proc/net/tcp", ls);
	connect(c, (struct sockaddr *)&in, n);
	s = accept(ls, NULL, NULL);
	internet("/proc/net/tcp", c);
	internet("/proc/self/net/tcp", s);
	shutdown(c, SHUT_WR);
	usleep(50000);
	internet("/proc/net/tcp", c);
	internet("/proc/net/tcp", s);
	bind(six, (struct sockaddr *)&in6, n6);
	listen(six, 1);
	internet("/proc/net/tcp6", six);
	internet("/proc/net/udp", u);
	in.sin_port = 0;
	bind(u, (struct sockaddr *)&in, n);
	internet("/proc/net/udp", u);
	in.sin_port = htons(9);
	connect(u, (struct sockaddr *)&in, n);
	internet("/proc/net/udp", u);
	local(x);
	bind(x, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + 10);
	local(x);
	listen(x, 1);
	local(x);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, sv);
	local(sv[0]);
	interface("/proc/net/dev");
	interface("/proc/net/if_inet6");
	interface("/proc/net/route");
	return 0;
}
