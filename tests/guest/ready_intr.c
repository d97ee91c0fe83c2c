/* Blocking calls and signals: what is restarted, what is not, and what was done by then. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "tests/guest/say.h"

static volatile int handled;
static pthread_t main_thread;

static void on_signal(int sig)
{
	handled++;
}

static void install(int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};

	sigaction(SIGUSR1, &sa, NULL);
	handled = 0;
}

static void nap(int ms)
{
	struct timespec ts = {0, ms * 1000000l};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* A helper that pokes the main thread, then writes to fd (when >= 0). */
static int poke_fd;

static void *poke(void *arg)
{
	nap(40);
	pthread_kill(main_thread, SIGUSR1);
	nap(40);
	if (poke_fd >= 0 && write(poke_fd, "data", 4) != 4)
		perror("write");
	return NULL;
}

static void say_handled(pthread_t th)
{
	pthread_join(th, NULL);
	printf("handled %d\n", handled);
}

#define POKED(flags, fd, e)                                                                        \
	do {                                                                                       \
		pthread_t th_;                                                                     \
		install(flags);                                                                    \
		poke_fd = (fd);                                                                    \
		fflush(stdout);                                                                    \
		pthread_create(&th_, NULL, poke, NULL);                                            \
		SAY(e);                                                                            \
		say_handled(th_);                                                                  \
	} while (0)

static void *drain(void *arg)
{
	static char buf[1 << 16];
	ssize_t n;

	while (!handled) /* the sender is stuck in the middle until the signal came */
		nap(5);
	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0)
		;
	return NULL;
}

/* A signal in the middle of a long send: the part that went is the result, also with SA_RESTART. */
static void partial(void)
{
	size_t size = 16 << 20;
	char *p = calloc(1, size);
	pthread_t reader, th;
	int sv[2];
	ssize_t r;

	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	install(SA_RESTART);
	poke_fd = -1;
	pthread_create(&th, NULL, poke, NULL);
	pthread_create(&reader, NULL, drain, &sv[1]);
	r = send(sv[0], p, size, 0);
	printf("partial %d\n", r > 0 && r < (ssize_t)size);
	close(sv[0]);
	say_handled(th);
	pthread_join(reader, NULL);
	close(sv[1]);
	free(p);
}

static void connections(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t n = sizeof(a);
	int ls = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval tv = {5, 0};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(ls, (struct sockaddr *)&a, sizeof(a));
	listen(ls, 1);
	getsockname(ls, (struct sockaddr *)&a, &n);
	POKED(0, -1, accept(ls, NULL, NULL));
	setsockopt(ls, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	POKED(SA_RESTART, -1, accept(ls, NULL, NULL));
	close(ls);
}

int main(void)
{
	struct timeval tv = {5, 0};
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd pf;
	char buf[16];
	fd_set set;
	int p[2], sv[2], ep = epoll_create1(0);

	main_thread = pthread_self();
	pipe(p);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	POKED(0, -1, read(p[0], buf, sizeof(buf)));
	POKED(SA_RESTART, p[1], read(p[0], buf, sizeof(buf)));
	POKED(0, -1, recv(sv[0], buf, sizeof(buf), 0));
	POKED(SA_RESTART, sv[1], recv(sv[0], buf, sizeof(buf), 0));
	setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	POKED(SA_RESTART, -1, recv(sv[0], buf, sizeof(buf), 0));
	POKED(SA_RESTART, -1, read(sv[0], buf, sizeof(buf)));
	/* Never restarted, whatever the handler says. */
	pf = (struct pollfd){.fd = p[0], .events = POLLIN};
	POKED(SA_RESTART, -1, poll(&pf, 1, -1));
	POKED(SA_RESTART, -1, poll(&pf, 1, 5000));
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	POKED(SA_RESTART, -1, select(p[0] + 1, &set, NULL, NULL, NULL));
	epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev);
	POKED(SA_RESTART, -1, epoll_wait(ep, &ev, 1, -1));
	partial();
	connections();
	return 0;
}
