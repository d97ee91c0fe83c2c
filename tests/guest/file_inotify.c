/* inotify: each event of files and folders, the flags of a watch, the queue. */
#include "tests/guest/files.h"
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static int in;
static uint32_t last_cookie;

static const struct {
	uint32_t bit;
	const char *name;
} bits[] = {
#define B(x) {IN_##x, #x}
	B(ACCESS), B(MODIFY), B(ATTRIB), B(CLOSE_WRITE), B(CLOSE_NOWRITE), B(OPEN), B(MOVED_FROM),
	B(MOVED_TO), B(CREATE), B(DELETE), B(DELETE_SELF), B(MOVE_SELF), B(UNMOUNT), B(Q_OVERFLOW),
	B(IGNORED), B(ISDIR),
#undef B
};

static void print_event(const struct inotify_event *e)
{
	uint32_t mask = e->mask;

	printf("  %d", e->wd);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (mask & bits[i].bit) {
			printf(" %s", bits[i].name);
			mask &= ~bits[i].bit;
		}
	if (mask)
		printf(" %#x", mask);
	if (e->cookie) {
		printf(e->cookie == last_cookie ? " same-cookie" : " new-cookie");
		last_cookie = e->cookie;
	}
	if (e->len)
		printf(" %s (%u)", e->name, e->len);
	printf("\n");
}

/* Everything that is queued. */
static void events(const char *after)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n;

	printf("%s:\n", after);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n;) {
			struct inotify_event *e = (struct inotify_event *)p;

			print_event(e);
			p += sizeof(*e) + e->len;
		}
	if (errno != EAGAIN)
		printf("  %s\n", strerrorname_np(errno));
}

/* The kinds of what is queued: kernels differ in the order. */
static uint32_t kinds(void)
{
	char buf[4096] __attribute__((aligned(8)));
	uint32_t mask = 0;
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n;) {
			mask |= ((struct inotify_event *)p)->mask;
			p += sizeof(struct inotify_event) + ((struct inotify_event *)p)->len;
		}
	return mask;
}

static void renew(void)
{
	if (in > 0)
		close(in);
	in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (in < 0)
		exit(printf("no inotify: %s\n", strerrorname_np(errno)));
}

static void in_a_folder(void)
{
	struct timespec ts[2] = {{1, 0}, {2, 0}};
	int fd, p[2];

	renew();
	mkdir("d", 0755);
	mkdir("other", 0755);
	T(inotify_add_watch(in, "d", IN_ALL_EVENTS));
	T(inotify_add_watch(in, "other", IN_MOVED_TO | IN_MOVED_FROM));
	fd = open("d/f", O_RDWR | O_CREAT, 0644);
	events("created");
	write(fd, "text", 4);
	write(fd, "more", 4);
	events("written twice");
	lseek(fd, 0, SEEK_SET);
	read(fd, p, 4);
	events("read");
	fchmod(fd, 0600);
	events("fchmod");
	ftruncate(fd, 1);
	events("ftruncate");
	fallocate(fd, 0, 0, 100);
	events("fallocate");
	fsetxattr(fd, "user.x", "y", 1, 0);
	futimens(fd, ts);
	events("attributes and times");
	ts[0].tv_nsec = UTIME_OMIT;
	futimens(fd, ts);
	events("time of change alone");
	close(fd);
	events("closed");
	fd = open("d/f", O_RDONLY);
	close(fd);
	events("opened to read");
	fd = open("d/f", O_WRONLY | O_TRUNC);
	close(fd);
	printf("opened to truncate: %#x\n", kinds());
	fd = open("d/f", O_PATH);
	close(fd);
	events("O_PATH");
	link("d/f", "d/hard");
	symlink("f", "d/soft");
	mkfifo("d/fifo", 0644);
	mkdir("d/sub", 0755);
	events("link, symlink, mkfifo, mkdir");
	chmod("d/sub", 0700);
	rename("d/f", "d/g");
	events("chmod of a folder, rename");
	rename("d/g", "other/g");
	events("moved away");
	rename("other/g", "d/hard");
	rename("other/g", "d/back");
	events("moved back, over another");
	renameat2(AT_FDCWD, "d/hard", AT_FDCWD, "d/soft", RENAME_EXCHANGE);
	events("exchanged");
	fd = open("d", O_RDONLY | O_DIRECTORY);
	getdents64(fd, (char[4096]){0}, 4096);
	close(fd);
	events("listed");
	rmdir("d/sub");
	unlink("d/hard");
	unlink("d/soft");
	unlink("d/fifo");
	unlink("d/back");
	unlink("other/g");
	events("removed");
	chmod("d", 0700);
	rename("d", "e");
	events("the folder itself");
	rmdir("e");
	rmdir("other");
	events("removed itself");
	T(inotify_rm_watch(in, 1));
	T(inotify_rm_watch(in, 2));
}

static void on_a_file(void)
{
	char one[sizeof(struct inotify_event)];
	int fd, n;

	renew();
	put("f", "text");
	T(inotify_add_watch(in, "f", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF));
	put("f", "new");
	chmod("f", 0600);
	rename("f", "g");
	events("changed, moved");
	link("g", "h");
	unlink("g");
	events("another name");
	fd = open("h", O_RDONLY);
	unlink("h");
	events("no name");
	close(fd);
	events("nobody");
	T(inotify_rm_watch(in, 1));

	put("f", "text");
	T(inotify_add_watch(in, "f", IN_MODIFY));
	T(inotify_add_watch(in, "f", IN_ATTRIB));
	put("f", "1");
	chmod("f", 0644);
	events("the second mask holds");
	T(inotify_add_watch(in, "f", IN_MODIFY | IN_MASK_ADD));
	put("f", "2");
	chmod("f", 0600);
	events("both");
	T(inotify_add_watch(in, "f", IN_MODIFY | IN_MASK_CREATE));
	T(inotify_add_watch(in, "f", IN_MODIFY | IN_ONESHOT));
	put("f", "3");
	put("f", "4");
	events("once");
	T(inotify_add_watch(in, "f", IN_OPEN | IN_CLOSE));
	fd = open("f", O_RDONLY);
	close(fd);
	T((ioctl(in, FIONREAD, &n), n));
	T(read(in, one, 8));
	T(read(in, one, sizeof(one)));
	T(inotify_rm_watch(in, 4));
	T(inotify_rm_watch(in, 3));
	T(inotify_rm_watch(in, 3));
	events("removed");
	symlink("f", "l");
	T(inotify_add_watch(in, "l", IN_ATTRIB | IN_DONT_FOLLOW));
	T(inotify_add_watch(in, "l", IN_ATTRIB));
	chmod("f", 0640);
	rename("l", "l2");
	lchown("l2", getuid(), getgid());
	events("a link and its target");
	unlink("l2");
	unlink("f");
	events("both gone");
}

static void refused(void)
{
	char name[64], link[64];
	ssize_t n;
	int fd;

	renew();
	snprintf(name, sizeof(name), "/proc/self/fd/%d", in);
	n = readlink(name, link, sizeof(link));
	printf("it is %.*s\n", (int)n, link);
	put("f", "text");
	T(inotify_add_watch(in, "none", IN_ALL_EVENTS));
	T(inotify_add_watch(in, "f", 0));
	T(inotify_add_watch(in, "f", IN_OPEN | IN_ONLYDIR));
	T(inotify_add_watch(in, "f/x", IN_OPEN));
	T(inotify_add_watch(in, "f", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE));
	T(inotify_add_watch(in, BAD_PTR, IN_OPEN));
	T(inotify_add_watch(99, "f", IN_OPEN));
	T(inotify_add_watch(1, "f", IN_OPEN));
	T(inotify_add_watch(in, "", IN_OPEN));
	T(inotify_rm_watch(in, 1));
	T(inotify_rm_watch(in, -1));
	T(inotify_rm_watch(99, 1));
	T(inotify_rm_watch(1, 1));
	T(inotify_init1(1));
	T(write(in, "x", 1));
	T(lseek(in, 5, SEEK_SET));
	T(read(in, &fd, 4));
	T(inotify_add_watch(in, "f", IN_OPEN));
	T(inotify_add_watch(in, ".", IN_OPEN | IN_ONLYDIR));
	unlink("f");
}

static void waiting(void)
{
	struct pollfd p;
	struct epoll_event ev = {.events = EPOLLIN};
	char buf[256] __attribute__((aligned(8)));
	int ep = epoll_create1(0), st;

	close(in);
	in = inotify_init();
	put("f", "text");
	T(inotify_add_watch(in, "f", IN_MODIFY));
	p = (struct pollfd){.fd = in, .events = POLLIN | POLLOUT};
	T(poll(&p, 1, 0));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, in, &ev));
	T(epoll_wait(ep, &ev, 1, 0));
	if (fork() == 0) {
		int fd = open("f", O_WRONLY);

		usleep(30000);
		_exit(write(fd, "other process", 13) != 13);
	}
	T(read(in, buf, sizeof(buf)));
	print_event((struct inotify_event *)buf);
	wait(&st);
	T(fcntl(in, F_SETFL, O_NONBLOCK));
	events("the rest");
	put("f", "again");
	T(poll(&p, 1, 1000));
	printf("revents %#x\n", p.revents & (POLLIN | POLLOUT | POLLERR));
	T(epoll_wait(ep, &ev, 1, 1000));
	events("read");
	T(poll(&p, 1, 0));
	T(epoll_wait(ep, &ev, 1, 0));
	close(ep);
	unlink("f");
}

static void too_many(void)
{
	char buf[65536] __attribute__((aligned(8)));
	long n, count = 0, overflows = 0;

	renew();
	put("a", "");
	put("b", "");
	inotify_add_watch(in, "a", IN_ATTRIB);
	inotify_add_watch(in, "b", IN_ATTRIB);
	for (int i = 0; i < 9000; i++) {
		chmod("a", 0600);
		chmod("b", 0600);
	}
	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n; p += sizeof(struct inotify_event), count++)
			overflows += ((struct inotify_event *)p)->mask == IN_Q_OVERFLOW &&
				     ((struct inotify_event *)p)->wd == -1;
	printf("%ld events, %ld overflows\n", count, overflows);
	chmod("a", 0600);
	events("after it");
	unlink("a");
	unlink("b");
}

static void all(const char *where)
{
	printf("-- %s\n", where);
	in_a_folder();
	on_a_file();
	refused();
	waiting();
	too_many();
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	all("the disk");
	if (!mkdir("/dev/shm/sbx-inotify", 0755) && !chdir("/dev/shm/sbx-inotify")) {
		all("memory");
		rmdir("/dev/shm/sbx-inotify");
	}
	return 0;
}
