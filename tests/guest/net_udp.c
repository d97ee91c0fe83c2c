/* UDP over loopback: names, truncation, batches, packet information. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static struct sockaddr_in addr_of(int s)
{
	struct sockaddr_in a;
	socklen_t n = sizeof(a);

	getsockname(s, (struct sockaddr *)&a, &n);
	return a;
}

static int udp(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)))
		perror("bind");
	return s;
}

static void batches(int from, struct sockaddr_in *to, int rx)
{
	char text[5][8], in[6][8] = {0};
	struct iovec iov[5], riov[6];
	struct mmsghdr m[5] = {0}, r[6] = {0};
	struct timespec ts = {1, 0};

	for (int i = 0; i < 5; i++) {
		snprintf(text[i], sizeof(text[i]), "m%d", i * i);
		iov[i] = (struct iovec){text[i], strlen(text[i])};
		m[i].msg_hdr = (struct msghdr){.msg_name = to, .msg_namelen = sizeof(*to),
					       .msg_iov = &iov[i], .msg_iovlen = 1};
	}
	SAY(sendmmsg(from, m, 5, 0));
	for (int i = 0; i < 5; i++)
		printf(" %u", m[i].msg_len);
	printf("\n");
	for (int i = 0; i < 6; i++) {
		riov[i] = (struct iovec){in[i], 4};
		r[i].msg_hdr = (struct msghdr){.msg_iov = &riov[i], .msg_iovlen = 1};
	}
	SAY(recvmmsg(rx, r, 6, MSG_WAITFORONE, &ts));
	for (int i = 0; i < 6; i++)
		printf(" %s:%u", in[i], r[i].msg_len);
	printf("\n");
	SAY(sendmmsg(from, (void *)16, 1, 0));
	SAY(recvmmsg(rx, r, 1, MSG_DONTWAIT, NULL));
	ts.tv_nsec = -1;
	SAY(recvmmsg(rx, r, 1, 0, &ts));
}

static void pktinfo(int tx, struct sockaddr_in *to, int rx)
{
	char ctl[256], buf[16];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			   .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c;
	int one = 1;

	SAY(setsockopt(rx, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)));
	SAY(setsockopt(rx, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)));
	sendto(tx, "info", 4, 0, (struct sockaddr *)to, sizeof(*to));
	SAY(recvmsg(rx, &m, 0));
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		printf("cmsg level %d type %d len %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
		if (c->cmsg_type == IP_PKTINFO)
			printf(" to %s", inet_ntoa(((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr));
		printf("\n");
	}
	m.msg_controllen = 20;
	sendto(tx, "info", 4, 0, (struct sockaddr *)to, sizeof(*to));
	SAY(recvmsg(rx, &m, 0));
	printf("truncated control %d\n", (m.msg_flags & MSG_CTRUNC) != 0);
	one = 0;
	setsockopt(rx, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
	setsockopt(rx, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one));
}

/* A datagram in more pieces than any table of the implementation holds. */
static void pieces(int tx, struct sockaddr_in *to, int rx)
{
	static char out[1000][8], in[1000][8];
	struct iovec o[1000], i[1000];
	struct msghdr m = {.msg_name = to, .msg_namelen = sizeof(*to), .msg_iov = o, .msg_iovlen = 1000};
	struct msghdr r = {.msg_iov = i, .msg_iovlen = 1000};

	for (int k = 0; k < 1000; k++) {
		snprintf(out[k], sizeof(out[k]), "%03d", k);
		o[k] = (struct iovec){out[k], 3};
		i[k] = (struct iovec){in[k], 3};
	}
	SAY(sendmsg(tx, &m, 0));
	SAY(recvmsg(rx, &r, 0));
	printf("equal %d truncated %d\n", !memcmp(out, in, sizeof(out)), r.msg_flags & MSG_TRUNC);
	m.msg_iovlen = 1025;
	SAY(sendmsg(tx, &m, 0));
	o[999].iov_base = (void *)16;
	m.msg_iovlen = 1000;
	SAY(sendmsg(tx, &m, 0));
}

int main(void)
{
	int rx = udp(), tx = udp();
	struct sockaddr_in to = addr_of(rx), mine = addr_of(tx), from;
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	struct sockaddr_in v4unspec = to;
	socklen_t n = sizeof(from);
	char buf[64] = {0};

	SAY(sendto(tx, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)));
	SAY(recvfrom(rx, buf, sizeof(buf), 0, (struct sockaddr *)&from, &n));
	printf("%s from %s len %u same %d\n", buf, inet_ntoa(from.sin_addr), n,
	       from.sin_port == mine.sin_port);
	n = 4; /* a short name is cut, its length is not */
	sendto(tx, "0123456789", 10, 0, (struct sockaddr *)&to, sizeof(to));
	SAY(recvfrom(rx, buf, 4, MSG_TRUNC, (struct sockaddr *)&from, &n));
	printf("len %u %.4s\n", n, buf);
	SAY(sendto(tx, "", 0, 0, (struct sockaddr *)&to, sizeof(to)));
	SAY(recv(rx, buf, sizeof(buf), 0));
	SAY(recv(rx, buf, sizeof(buf), MSG_DONTWAIT));
	SAY(send(tx, "x", 1, 0));
	SAY(sendto(tx, "x", 1, 0, (struct sockaddr *)&to, 5));
	SAY(sendto(tx, (void *)16, 8, 0, (struct sockaddr *)&to, sizeof(to)));
	v4unspec.sin_family = AF_UNSPEC;
	SAY(sendto(tx, "unspec", 6, 0, (struct sockaddr *)&v4unspec, sizeof(v4unspec)));
	SAY(recv(rx, buf, sizeof(buf), 0));
	SAY(connect(tx, (struct sockaddr *)&to, sizeof(to)));
	SAY(send(tx, "conn", 4, 0));
	SAY(recv(rx, buf, sizeof(buf), 0));
	SAY(connect(tx, &un, sizeof(un)));
	SAY(send(tx, "x", 1, 0));
	SAY(listen(tx, 1));
	batches(tx, &to, rx);
	pktinfo(tx, &to, rx);
	pieces(tx, &to, rx);
	return 0;
}
