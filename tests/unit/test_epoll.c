/* sentry/epoll.c: registrations by (open file, descriptor number) over a real host epoll. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "sentry/file.h"
#include "sentry/ready.h"

static struct epoll *book;
static int host;
static struct file rd, wr;

static int setup(void **state)
{
	int p[2];

	memset(&rd, 0, sizeof(rd));
	memset(&wr, 0, sizeof(wr));
	book = epoll_create_book();
	host = epoll_create1(EPOLL_CLOEXEC);
	if (!book || host < 0 || pipe2(p, O_CLOEXEC))
		return -1;
	rd.hostfd = p[0];
	wr.hostfd = p[1];
	return write(p[1], "x", 1) == 1 ? 0 : -1;
}

static int teardown(void **state)
{
	epoll_destroy_book(&book);
	close(host);
	close(rd.hostfd);
	close(wr.hostfd);
	return 0;
}

static int change(int op, struct file *f, int fd, unsigned events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_change(book, host, op, f, fd, &ev);
}

/* Sum of the data of all that is ready. */
static uint64_t ready(void)
{
	struct epoll_event ev[16];
	uint64_t sum = 0;

	for (int n = epoll_wait(host, ev, 16, 0); n-- > 0;)
		sum += ev[n].data.u64;
	return sum;
}

static void test_numbers(void **state)
{
	assert_int_equal(change(EPOLL_CTL_ADD, &rd, 3, EPOLLIN, 1), 0);
	assert_int_equal(change(EPOLL_CTL_ADD, &rd, 3, EPOLLIN, 1), -EEXIST);
	assert_int_equal(change(EPOLL_CTL_ADD, &rd, 4, EPOLLIN, 10), 0);
	assert_int_equal(change(EPOLL_CTL_ADD, &rd, 5, EPOLLIN, 100), 0);
	assert_int_equal(change(EPOLL_CTL_ADD, &wr, 3, EPOLLOUT, 1000), 0);
	assert_int_equal(epoll_count(book), 4);
	assert_int_equal(ready(), 1111);
	assert_int_equal(change(EPOLL_CTL_MOD, &rd, 4, EPOLLIN, 20), 0);
	assert_int_equal(change(EPOLL_CTL_MOD, &rd, 9, EPOLLIN, 20), -ENOENT);
	assert_int_equal(ready(), 1121);
	assert_int_equal(change(EPOLL_CTL_DEL, &rd, 3, 0, 0), 0);
	assert_int_equal(change(EPOLL_CTL_DEL, &rd, 3, 0, 0), -ENOENT);
	assert_int_equal(ready(), 1120);
	/* The file's own descriptor is free again. */
	assert_int_equal(change(EPOLL_CTL_ADD, &rd, 3, EPOLLIN, 2), 0);
	assert_int_equal(ready(), 1122);
}

/* The last app descriptor goes while the host's open file lives on elsewhere. */
static void test_forget(void **state)
{
	int other = dup(rd.hostfd);

	assert_int_equal(change(EPOLL_CTL_ADD, &rd, 3, EPOLLIN, 1), 0);
	assert_int_equal(change(EPOLL_CTL_ADD, &rd, 4, EPOLLIN, 10), 0);
	assert_int_equal(change(EPOLL_CTL_ADD, &wr, 5, EPOLLOUT, 100), 0);
	assert_true(rd.watched);
	epoll_forget(&rd);
	assert_int_equal(epoll_count(book), 1);
	assert_int_equal(ready(), 100);
	close(other);
}

static void test_two_books(void **state)
{
	struct epoll *second = epoll_create_book();
	int host2 = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 5};

	assert_int_equal(change(EPOLL_CTL_ADD, &rd, 3, EPOLLIN, 1), 0);
	assert_int_equal(epoll_change(second, host2, EPOLL_CTL_ADD, &rd, 3, &ev), 0);
	assert_int_equal(epoll_count(second), 1);
	epoll_destroy_book(&second);
	assert_null(second);
	assert_int_equal(epoll_count(book), 1);
	epoll_forget(&rd);
	assert_int_equal(epoll_count(book), 0);
	close(host2);
}

static void test_no_host(void **state)
{
	struct file f = {.hostfd = -1};

	assert_int_equal(change(EPOLL_CTL_ADD, &f, 3, EPOLLIN, 1), -EPERM);
	assert_int_equal(epoll_count(book), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_books, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_host, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
