#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/pgpool.h"
#include "sentry/task.h"
#include "tests/unit/fake_platform.h"
#include "tests/unit/mm_fixture.h"

struct platform *fixture_platform;
__thread struct task *current;

const struct file_ops file_host_ops;

struct file *file_get(struct file *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

void file_put(struct file *f)
{
	if (atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	close(f->hostfd);
	free(f->path);
	free(f);
}

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
	if (!gmem_fixup(ucontext))
		signal(sig, SIG_DFL);
}

void fixture_catch_faults(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGBUS, &sa, NULL);
}

void fixture_start(uint64_t limit)
{
	struct platform_opts opts = {0};
	struct sbx_err *e = NULL;

	assert_int_equal(platform_create(&opts, &fixture_platform, &e), 0);
	assert_int_equal(mm_global_init(fixture_platform, limit, &e), 0);
}

void fixture_stop(void)
{
	assert_int_equal(pgpool_used(), 0);
	mm_text_exit();
	pgpool_exit();
	platform_destroy(&fixture_platform);
}

struct mm *fixture_mm(void)
{
	struct mm *mm;

	assert_int_equal(mm_create(fixture_platform, &mm), 0);
	return mm;
}

struct file *fixture_file_with(const void *data, size_t len)
{
	struct file *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	atomic_init(&f->refs, 1);
	f->ops = &file_host_ops;
	f->hostfd = memfd_create("fixture", MFD_CLOEXEC);
	f->flags = O_RDWR;
	f->kind = POL_FD_FILE;
	f->verbs = POL_V_ALL;
	assert_true(f->hostfd >= 0);
	assert_int_equal(write(f->hostfd, data, len), len);
	return f;
}

struct file *fixture_file(size_t len, unsigned flags)
{
	uint8_t *data = malloc(len + 1);
	struct file *f;

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)((i >> 12) + i);
	f = fixture_file_with(data, len);
	f->flags = flags;
	free(data);
	return f;
}

int fixture_access(struct mm *mm, uint64_t va, void *buf, size_t n, bool write)
{
	uint8_t *p = buf;

	while (n) {
		size_t part = MIN(n, (size_t)(PLATFORM_PAGE - va % PLATFORM_PAGE));
		int tries = 0, ret;

		while (!fake_access(mm_as(mm), va, p, part, write)) {
			ret = mm_fault(mm, va, write ? PLATFORM_WRITE : PLATFORM_READ);
			if (ret != MM_FAULT_OK)
				return ret;
			assert_true(++tries < 3);
		}
		p += part;
		va += part;
		n -= part;
	}
	return 0;
}
