/* Descriptor tables: lowest free numbers, limits, ranges, close-on-exec, threads. */
#include "tests/unit/file_test.h"

#define TABLE_MAX 100000

static struct file *new_file(void)
{
	struct file *f = file_new(&file_host_ops, -1, O_RDWR, POL_FD_EVENT);

	assert_non_null(f);
	return f;
}

static void lowest_free(void **state)
{
	struct fdtab *t = fdtab_create(TABLE_MAX);

	for (int i = 0; i < 5000; i++)
		assert_int_equal(fdtab_install(t, new_file(), 0, false), i);
	assert_int_equal(fdtab_close(t, 4999), 0);
	assert_int_equal(fdtab_close(t, 63), 0);
	assert_int_equal(fdtab_close(t, 64), 0);
	assert_int_equal(fdtab_close(t, 4097), 0);
	assert_int_equal(fdtab_close(t, 4097), -EBADF);
	assert_int_equal(fdtab_install(t, new_file(), 0, false), 63);
	assert_int_equal(fdtab_install(t, new_file(), 100, false), 4097);
	assert_int_equal(fdtab_install(t, new_file(), 0, false), 64);
	assert_int_equal(fdtab_install(t, new_file(), 0, false), 4999);
	assert_int_equal(fdtab_install(t, new_file(), 70000, false), 70000);
	assert_int_equal(fdtab_install(t, new_file(), 0, false), 5000);
	fdtab_put(t);
}

/* Against the plainest possible table. */
static void random_operations(void **state)
{
	enum { N = 700 };
	bool used[N] = {false};
	struct fdtab *t = fdtab_create(N);

	srand(1);
	for (int i = 0; i < 20000; i++) {
		int fd = rand() % N, want;

		if (rand() % 3) {
			for (want = fd; want < N && used[want]; want++)
				;
			assert_int_equal(fdtab_install(t, new_file(), fd, false), want < N ? want : -EMFILE);
			if (want < N)
				used[want] = true;
		} else {
			assert_int_equal(fdtab_close(t, fd), used[fd] ? 0 : -EBADF);
			used[fd] = false;
		}
	}
	for (int fd = fdtab_next(t, 0), want = 0; want < N; want++) {
		if (!used[want])
			continue;
		assert_int_equal(fd, want);
		fd = fdtab_next(t, fd + 1);
	}
	fdtab_put(t);
}

static void limits(void **state)
{
	struct fdtab *t = fdtab_create(3);
	struct file *f;

	for (int i = 0; i < 3; i++)
		assert_int_equal(fdtab_install(t, new_file(), 0, false), i);
	assert_int_equal(fdtab_install(t, new_file(), 0, false), -EMFILE);
	assert_int_equal(fdtab_install_at(t, new_file(), 3, false), -EBADF);
	assert_int_equal(fdtab_install_at(t, new_file(), -1, false), -EBADF);
	assert_int_equal(fdtab_install_at(t, new_file(), 1, true), 1);
	assert_int_equal(fdtab_get_cloexec(t, 1), 1);
	fdtab_set_max(t, 10);
	assert_int_equal(fdtab_install(t, new_file(), 0, false), 3);
	/* Lowering it leaves open descriptors alone. */
	fdtab_set_max(t, 1);
	f = fdtab_lookup(t, 3);
	assert_non_null(f);
	file_put(f);
	assert_null(fdtab_lookup(t, 4));
	assert_null(fdtab_lookup(t, -1));
	assert_null(fdtab_lookup(t, INT_MAX));
	fdtab_put(t);
}

/* A descriptor that is set aside is neither free nor open. */
static void reserved(void **state)
{
	struct fdtab *t = fdtab_create(4), *copy;
	int fd;

	assert_int_equal(fdtab_install(t, new_file(), 0, false), 0);
	fd = fdtab_reserve(t);
	assert_int_equal(fd, 1);
	assert_int_equal(fdtab_install(t, new_file(), 0, false), 2);
	assert_null(fdtab_lookup(t, fd));
	assert_int_equal(fdtab_close(t, fd), -EBADF);
	assert_int_equal(fdtab_get_cloexec(t, fd), -EBADF);
	assert_int_equal(fdtab_set_cloexec(t, fd, true), -EBADF);
	assert_int_equal(fdtab_install_at(t, new_file(), fd, false), -EBUSY);
	assert_int_equal(fdtab_next(t, 1), 2);
	copy = fdtab_copy(t);
	assert_non_null(copy);
	assert_int_equal(fdtab_install(copy, new_file(), 0, false), fd);
	fdtab_put(copy);
	fdtab_close_range(t, 0, 2, false);
	assert_int_equal(fdtab_next(t, 0), -1);
	fdtab_fill(t, fd, new_file(), true);
	assert_int_equal(fdtab_get_cloexec(t, fd), 1);
	assert_int_equal(fdtab_reserve(t), 0);
	assert_int_equal(fdtab_reserve(t), 2);
	assert_int_equal(fdtab_reserve(t), 3);
	assert_int_equal(fdtab_reserve(t), -EMFILE);
	fdtab_fill(t, 2, NULL, false);
	assert_int_equal(fdtab_install(t, new_file(), 0, false), 2);
	fdtab_put(t);
}

static void ranges(void **state)
{
	struct fdtab *t = fdtab_create(TABLE_MAX);

	for (int i = 0; i < 300; i++)
		fdtab_install(t, new_file(), 0, i % 2);
	fdtab_close_range(t, 0, 99, true); /* the odd ones */
	assert_int_equal(fdtab_get_cloexec(t, 0), 0);
	assert_int_equal(fdtab_get_cloexec(t, 1), -EBADF);
	assert_int_equal(fdtab_get_cloexec(t, 101), 1);
	fdtab_cloexec_range(t, 250, UINT_MAX);
	assert_int_equal(fdtab_get_cloexec(t, 250), 1);
	assert_int_equal(fdtab_get_cloexec(t, 248), 0);
	fdtab_close_range(t, 200, UINT_MAX, false);
	assert_int_equal(fdtab_next(t, 200), -1);
	assert_int_equal(fdtab_next(t, 101), 101);
	fdtab_close_range(t, 0, UINT_MAX, false);
	assert_int_equal(fdtab_next(t, 0), -1);
	assert_int_equal(fdtab_set_cloexec(t, 0, true), -EBADF);
	fdtab_put(t);
}

static void *hammer(void *arg)
{
	struct fdtab *t = arg;

	for (int i = 0; i < 20000; i++) {
		int fd = fdtab_install(t, file_new(&file_host_ops, -1, 0, POL_FD_EVENT), 0, i & 1);
		struct file *f = fdtab_lookup(t, fd);

		if (f)
			file_put(f);
		fdtab_close(t, (fd * 7 + i) % 64);
		fdtab_close(t, fd);
	}
	return NULL;
}

static void threads(void **state)
{
	struct fdtab *t = fdtab_create(TABLE_MAX);
	pthread_t th[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, hammer, t);
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	fdtab_put(t);
}

/* Who only looks into a table does not make it shared. */
static void shared(void **state)
{
	struct fdtab *t = fdtab_create(TABLE_MAX), *other;

	assert_false(fdtab_is_shared(t));
	other = fdtab_get(t);
	assert_false(fdtab_is_shared(t));
	fdtab_put(other);
	other = fdtab_share(t);
	assert_true(fdtab_is_shared(t));
	fdtab_leave(other);
	assert_false(fdtab_is_shared(t));
	other = fdtab_share(t);
	fdtab_leave(t);
	assert_false(fdtab_is_shared(other));
	fdtab_leave(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lowest_free), cmocka_unit_test(random_operations),
		cmocka_unit_test(limits),      cmocka_unit_test(ranges),
		cmocka_unit_test(reserved),    cmocka_unit_test(threads),
		cmocka_unit_test(shared),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
