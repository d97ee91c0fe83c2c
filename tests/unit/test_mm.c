/* App address spaces: mappings, faults, limits; and a random comparison with the host's own mmap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/overflow.h"
#include "sentry/mm.h"
#include "sentry/pgpool.h"
#include "tests/unit/fake_platform.h"
#include "tests/unit/mm_fixture.h"

#define PG	 4096ull
#define RW	 (PROT_READ | PROT_WRITE)
#define ANON	 (MAP_PRIVATE | MAP_ANONYMOUS)
#define FIXED_AT 0x200000000ull

static int setup(void **state)
{
	fixture_start(0);
	*state = fixture_mm();
	return 0;
}

static int teardown(void **state)
{
	struct mm *mm = *state;

	mm_put(mm);
	fixture_stop();
	return 0;
}

static uint64_t map(struct mm *mm, uint64_t addr, uint64_t len, int prot, int flags, struct file *f,
		    uint64_t off)
{
	int64_t at = mm_mmap(mm, addr, len, prot, flags, f, off);

	if (at < 0)
		fail_msg("mmap: %s", strerror((int)-at));
	return (uint64_t)at;
}

static void put_byte(struct mm *mm, uint64_t at, uint8_t v)
{
	assert_int_equal(fixture_access(mm, at, &v, 1, true), 0);
}

static uint8_t get_byte(struct mm *mm, uint64_t at)
{
	uint8_t v;

	assert_int_equal(fixture_access(mm, at, &v, 1, false), 0);
	return v;
}

static void test_anon(void **state)
{
	struct mm *mm = *state;
	uint64_t at = map(mm, 0, 10 * PG, RW, ANON, NULL, 0);
	uint8_t v = 0;

	assert_int_equal(at % PG, 0);
	assert_int_equal(get_byte(mm, at), 0);
	put_byte(mm, at + 3 * PG + 5, 77);
	assert_int_equal(gmem_read(mm, &v, gptr_at(at + 3 * PG + 5), 1), 0);
	assert_int_equal(v, 77);
	assert_int_equal(mm_munmap(mm, at + 3 * PG, PG), 0);
	assert_int_equal(fixture_access(mm, at + 3 * PG, &v, 1, false), MM_FAULT_MAPERR);
	assert_int_equal(map(mm, at + 3 * PG, PG, RW, ANON | MAP_FIXED, NULL, 0), at + 3 * PG);
	assert_int_equal(get_byte(mm, at + 3 * PG + 5), 0);
	assert_int_equal(mm_mprotect(mm, at, PG, PROT_READ), 0);
	assert_int_equal(fixture_access(mm, at, &v, 1, true), MM_FAULT_ACCERR);
	assert_int_equal(gmem_write(mm, gptr_at(at + 8), &v, 1), -EFAULT);
	assert_int_equal(mm_mprotect(mm, at, PG, PROT_NONE), 0);
	assert_int_equal(fixture_access(mm, at, &v, 1, false), MM_FAULT_ACCERR);
	assert_int_equal(gmem_read(mm, &v, gptr_at(0), 1), -EFAULT);
	assert_int_equal(gmem_read(mm, &v, gptr_at(UINT64_MAX), 1), -EFAULT);
	assert_int_equal(gmem_read(mm, &v, gptr_at(1ull << 63), 1), -EFAULT);
}

static void test_errnos(void **state)
{
	struct mm *mm = *state;
	struct file *ro = fixture_file(PG, O_RDONLY), *wo = fixture_file(PG, O_WRONLY);
	uint64_t at = map(mm, 0, PG, RW, ANON, NULL, 0);

	assert_int_equal(mm_mmap(mm, 0, 0, RW, ANON, NULL, 0), -EINVAL);
	assert_int_equal(mm_mmap(mm, 0, PG, RW, MAP_ANONYMOUS, NULL, 0), -EINVAL);
	assert_int_equal(mm_mmap(mm, 0, 1ull << 60, RW, ANON, NULL, 0), -ENOMEM);
	assert_int_equal(mm_mmap(mm, 1, PG, RW, ANON | MAP_FIXED, NULL, 0), -EINVAL);
	assert_int_equal(mm_mmap(mm, at, PG, RW, ANON | MAP_FIXED_NOREPLACE, NULL, 0), -EEXIST);
	assert_int_equal(mm_mmap(mm, MM_ADDR_MAX, PG, RW, ANON | MAP_FIXED, NULL, 0), -ENOMEM);
	assert_int_equal(mm_mmap(mm, 0, PG, RW, MAP_SHARED, ro, 0), -EACCES);
	assert_int_equal(mm_mmap(mm, 0, PG, PROT_READ, MAP_PRIVATE, wo, 0), -EACCES);
	assert_int_equal(mm_mmap(mm, 0, PG, PROT_READ, MAP_PRIVATE, ro, 1), -EINVAL);
	assert_int_equal(mm_munmap(mm, at + 1, PG), -EINVAL);
	assert_int_equal(mm_munmap(mm, at, 0), -EINVAL);
	assert_int_equal(mm_mprotect(mm, at + 1, PG, RW), -EINVAL);
	assert_int_equal(mm_mprotect(mm, at, 2 * PG, RW), -ENOMEM);
	assert_int_equal(mm_mprotect(mm, at, PG, 0x100), -EINVAL);
	assert_int_equal(mm_mremap(mm, at, PG, 0, 0, 0), -EINVAL);
	assert_int_equal(mm_mremap(mm, at + PG, PG, 2 * PG, MREMAP_MAYMOVE, 0), -EFAULT);
	assert_int_equal(mm_mremap(mm, at, PG, PG, MREMAP_FIXED, 0), -EINVAL);
	assert_int_equal(mm_mremap(mm, at, 0, PG, MREMAP_MAYMOVE, 0), -EINVAL);
	assert_int_equal(mm_madvise(mm, at, PG, 9999), -EINVAL);
	assert_int_equal(mm_madvise(mm, at + PG, PG, MADV_DONTNEED), -ENOMEM);
	file_put(ro);
	file_put(wo);
}

static void test_file(void **state)
{
	struct mm *mm = *state;
	struct file *f = fixture_file(3 * PG + 100, O_RDWR);
	uint64_t priv = map(mm, 0, 4 * PG, RW, MAP_PRIVATE, f, 0);
	uint64_t shared = map(mm, 0, 2 * PG, RW, MAP_SHARED, f, PG);
	uint8_t v = 0, buf[300];

	assert_int_equal(get_byte(mm, priv + PG + 1), 2);
	put_byte(mm, priv + PG + 1, 200);
	assert_int_equal(pread(f->hostfd, &v, 1, PG + 1), 1);
	assert_int_equal(v, 2);
	put_byte(mm, shared + 1, 99);
	assert_int_equal(pread(f->hostfd, &v, 1, PG + 1), 1);
	assert_int_equal(v, 99);
	assert_int_equal(get_byte(mm, priv + PG + 1), 200);
	assert_int_equal(mm_madvise(mm, priv, 4 * PG, MADV_DONTNEED), 0);
	assert_int_equal(get_byte(mm, priv + PG + 1), 99);
	assert_int_equal(get_byte(mm, priv + 3 * PG + 200), 0); /* the tail of the last page */
	/* A truncated file: the copy routines return -EFAULT instead of dying. */
	fixture_catch_faults();
	assert_int_equal(ftruncate(f->hostfd, PG), 0);
	assert_int_equal(gmem_read(mm, buf, gptr_at(shared), sizeof(buf)), -EFAULT);
	assert_int_equal(gmem_write(mm, gptr_at(shared), buf, sizeof(buf)), -EFAULT);
	assert_int_equal(gmem_zero(mm, gptr_at(shared), sizeof(buf)), -EFAULT);
	assert_int_equal(gmem_read(mm, buf, gptr_at(priv + 10), sizeof(buf)), 0);
	/* The mapping holds the file. */
	file_put(f);
	assert_int_equal(mm_munmap(mm, shared, PG), 0);
	assert_int_equal(get_byte(mm, priv + 5), 5);
}

/* What was opened without `exec` is never executable, nor what is mapped together with it. */
static void test_unexecutable(void **state)
{
	struct file *f = fixture_file(3 * PG, O_RDWR), *x = fixture_file(PG, O_RDWR);
	struct mm *mm = *state;
	uint64_t at;

	f->verbs = POL_V_READ | POL_V_WRITE;
	assert_int_equal(mm_mmap(mm, 0, PG, PROT_READ | PROT_EXEC, MAP_PRIVATE, f, 0), -EPERM);
	at = map(mm, FIXED_AT, PG, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, x, 0);
	map(mm, at + PG, 3 * PG, PROT_READ, MAP_SHARED | MAP_FIXED, f, 0);
	assert_null(mm_unexecutable(mm, at, PG));
	assert_null(mm_unexecutable(mm, at, 0));
	assert_null(mm_unexecutable(mm, at + 4 * PG, PG));
	assert_ptr_equal(mm_unexecutable(mm, at, PG + 1), f);
	assert_ptr_equal(mm_unexecutable(mm, 0, UINT64_MAX), f);
	file_put(f);
	file_put(f);
	assert_int_equal(mm_mprotect(mm, at + PG, PG, PROT_EXEC), -EACCES);
	assert_int_equal(mm_mprotect(mm, at, 4 * PG, PROT_READ | PROT_EXEC), -EACCES);
	assert_int_equal(mm_mprotect(mm, at, PG, PROT_READ), 0);
	assert_int_equal(mm_mprotect(mm, at, PG, PROT_READ | PROT_EXEC), 0);
	assert_int_equal(mm_mprotect(mm, at + PG, 3 * PG, RW), 0);
	file_put(f);
	file_put(x);
}

static void test_stack(void **state)
{
	struct mm *mm = *state;
	uint64_t top = FIXED_AT + (64 << 20), at = top - 16 * PG;
	uint8_t v = 1;

	mm_set_limits(mm, UINT64_MAX, UINT64_MAX, 1 << 20);
	map(mm, at, 16 * PG, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, NULL, 0);
	assert_int_equal(fixture_access(mm, at - 5 * PG, &v, 1, true), 0);
	assert_int_equal(fixture_access(mm, top - (1 << 20), &v, 1, true), 0);
	assert_int_equal(fixture_access(mm, top - (1 << 20) - 1, &v, 1, true), MM_FAULT_MAPERR);
	/* A neighbour stops it: one guard gap away at least. */
	map(mm, FIXED_AT, PG, RW, ANON | MAP_FIXED, NULL, 0);
	mm_set_limits(mm, UINT64_MAX, UINT64_MAX, 1 << 30);
	assert_int_equal(fixture_access(mm, FIXED_AT + 257 * PG, &v, 1, true), 0);
	assert_int_equal(fixture_access(mm, FIXED_AT + 256 * PG, &v, 1, true), MM_FAULT_MAPERR);
}

static void test_brk(void **state)
{
	struct mm *mm = *state;
	uint64_t start = FIXED_AT + 0x123;
	struct buf b = BUF_INIT;

	mm_layout(mm)->start_brk = start;
	assert_int_equal(mm_brk(mm, 0), start);
	assert_int_equal(mm_brk(mm, start - 1), start);
	assert_int_equal(mm_brk(mm, start + 100000), start + 100000);
	put_byte(mm, start + 99999, 1);
	mm_print_maps(mm, &b);
	assert_non_null(strstr(b.data, "[heap]\n"));
	buf_free(&b);
	assert_int_equal(mm_brk(mm, start), start);
	mm_set_limits(mm, UINT64_MAX, 8 * PG, 8 << 20);
	assert_int_equal(mm_brk(mm, start + 9 * PG), start);
}

static void test_limits(void **state)
{
	struct mm *mm = *state;

	mm_set_limits(mm, 100 * PG, 50 * PG, 8 << 20);
	assert_int_equal(mm_mmap(mm, 0, 101 * PG, PROT_READ, ANON, NULL, 0), -ENOMEM);
	assert_int_equal(mm_mmap(mm, 0, 51 * PG, RW, ANON, NULL, 0), -ENOMEM);
	assert_true(mm_mmap(mm, 0, 50 * PG, RW, ANON, NULL, 0) > 0);
	assert_true(mm_mmap(mm, 0, 50 * PG, PROT_READ, ANON, NULL, 0) > 0);
	assert_int_equal(mm_mmap(mm, 0, PG, PROT_READ, ANON, NULL, 0), -ENOMEM);
}

static void test_reserve(void **state)
{
	struct mm *mm = *state;
	uint64_t tb = 1ull << 40, at = map(mm, 0, 20 * tb, PROT_NONE, ANON | MAP_NORESERVE, NULL, 0);
	uint64_t used = pgpool_used();

	assert_int_equal(pgpool_used(), used);
	assert_int_equal(mm_mprotect(mm, at + 7 * tb, PG, RW), 0);
	put_byte(mm, at + 7 * tb, 3);
	assert_int_equal(mm_munmap(mm, at, 20 * tb), 0);
	assert_int_equal(pgpool_used(), used);
}

static void test_shared_anon(void **state)
{
	struct mm *mm = *state;
	uint64_t a = map(mm, 0, 4 * PG, RW, MAP_SHARED | MAP_ANONYMOUS, NULL, 0);
	int64_t b = mm_mremap(mm, a, 0, 4 * PG, MREMAP_MAYMOVE, 0);

	assert_true(b > 0 && (uint64_t)b != a);
	put_byte(mm, a + 2 * PG, 42);
	assert_int_equal(get_byte(mm, (uint64_t)b + 2 * PG), 42);
	assert_int_equal(mm_munmap(mm, a, 4 * PG), 0);
	assert_int_equal(get_byte(mm, (uint64_t)b + 2 * PG), 42);
}

static void test_mremap_file(void **state)
{
	struct mm *mm = *state;
	struct file *f = fixture_file(64 * PG, O_RDWR);
	uint64_t at = map(mm, 0, 4 * PG, RW, MAP_PRIVATE, f, 8 * PG);
	int64_t big;

	put_byte(mm, at + PG + 7, 222);
	map(mm, at + 4 * PG, PG, PROT_READ, ANON | MAP_FIXED, NULL, 0); /* in the way */
	assert_int_equal(mm_mremap(mm, at, 4 * PG, 20 * PG, 0, 0), -ENOMEM);
	big = mm_mremap(mm, at, 4 * PG, 20 * PG, MREMAP_MAYMOVE, 0);
	assert_true(big > 0);
	assert_int_equal(get_byte(mm, (uint64_t)big + PG + 7), 222);
	assert_int_equal(get_byte(mm, (uint64_t)big + 2 * PG), 10);
	assert_int_equal(get_byte(mm, (uint64_t)big + 19 * PG + 1), (8 + 19 + 1) & 0xff);
	assert_int_equal(mm_fault(mm, at, PLATFORM_READ), MM_FAULT_MAPERR);
	file_put(f);
}

static void test_pin(void **state)
{
	struct mm *mm = *state;
	uint64_t at = map(mm, 0, 64 * PG, RW, ANON, NULL, 0);
	struct file *f = fixture_file(8 * PG, O_RDWR);
	uint64_t fat = map(mm, 0, 4 * PG, PROT_READ, MAP_PRIVATE, f, 0);
	struct gmem_pin pin;
	uint64_t before;

	assert_int_equal(gmem_pin(mm, gptr_at(at + 100), 20 * PG, true, &pin), 0);
	assert_int_equal(pin.total, 20 * PG);
	memset(pin.iov[0].iov_base, 9, pin.iov[0].iov_len);
	assert_int_equal(get_byte(mm, at + 100), 9);
	before = pgpool_used();
	assert_int_equal(mm_munmap(mm, at, 64 * PG), 0);
	assert_true(pgpool_used() >= 21 * PG && pgpool_used() < before);
	memset(pin.iov[0].iov_base, 8, pin.iov[0].iov_len);
	gmem_unpin(&pin);
	assert_int_equal(pgpool_used(), 0);
	assert_int_equal(gmem_pin(mm, gptr_at(fat + 2 * PG), 8 * PG, false, &pin), 0);
	assert_int_equal(pin.total, 2 * PG);
	assert_int_equal(mm_munmap(mm, fat, 4 * PG), 0);
	gmem_unpin(&pin);
	assert_int_equal(gmem_pin(mm, gptr_at(fat), 1, false, &pin), -EFAULT);
	assert_int_equal(gmem_pin(mm, gptr_at(16), PG, false, &pin), -EFAULT);
	file_put(f);
}

static void test_strings(void **state)
{
	struct mm *mm = *state;
	uint64_t at = map(mm, 0, 2 * PG, RW, ANON, NULL, 0);
	char out[64];

	assert_int_equal(mm_munmap(mm, at + PG, PG), 0);
	assert_int_equal(gmem_write(mm, gptr_at(at + PG - 6), "hello", 6), 0);
	assert_int_equal(gmem_read_str(mm, out, gptr_at(at + PG - 6), sizeof(out)), 5);
	assert_string_equal(out, "hello");
	assert_int_equal(gmem_read_str(mm, out, gptr_at(at + PG - 6), 5), -ENAMETOOLONG);
	assert_int_equal(gmem_write(mm, gptr_at(at + PG - 1), "x", 1), 0);
	assert_int_equal(gmem_read_str(mm, out, gptr_at(at + PG - 6), sizeof(out)), -EFAULT);
}

static void test_maps(void **state)
{
	struct mm *mm = *state;
	struct buf b = BUF_INIT;

	map(mm, FIXED_AT, PG, RW, ANON | MAP_FIXED, NULL, 0);
	map(mm, FIXED_AT + PG, PG, RW, ANON | MAP_FIXED, NULL, 0);
	map(mm, FIXED_AT + 3 * PG, PG, PROT_READ | PROT_EXEC, ANON | MAP_FIXED, NULL, 0);
	mm_print_maps(mm, &b);
	assert_string_equal(b.data, "200000000-200002000 rw-p 00000000 00:00 0 \n"
				    "200003000-200004000 r-xp 00000000 00:00 0 \n");
	buf_free(&b);
}

/* ---- random operations, here and on the host ---- */

#define AREA	96 /* pages */
#define HOST_AT ((void *)0x200000000000) /* where nothing else comes into the holes */

struct pair {
	struct mm *mm;
	uint8_t *host;	/* the host's area; the app's is at FIXED_AT */
	struct file *file;
	unsigned seed;
};

static unsigned rnd(struct pair *p, unsigned n)
{
	p->seed = p->seed * 1103515245u + 12345u;
	return (p->seed >> 12) % n;
}

static int64_t host_result(void *at, struct pair *p)
{
	return at == MAP_FAILED ? -errno : (int64_t)((uint8_t *)at - p->host + FIXED_AT);
}

static int rnd_prot(struct pair *p)
{
	static const int prot[] = {PROT_NONE, PROT_READ, RW, RW, RW};

	return prot[rnd(p, 5)];
}

static void do_mmap(struct pair *p, uint64_t at, uint64_t len)
{
	int prot = rnd_prot(p), kind = (int)rnd(p, 4);
	int flags = kind == 3 ? MAP_SHARED : kind == 2 ? MAP_PRIVATE : ANON;
	uint64_t off = kind >= 2 ? PG * rnd(p, 32) : 0;
	int64_t a, b;

	flags |= rnd(p, 8) ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	a = host_result(mmap(p->host + at, len, prot, flags, kind >= 2 ? p->file->hostfd : -1,
			     (off_t)off), p);
	b = mm_mmap(p->mm, FIXED_AT + at, len, prot, flags, kind >= 2 ? p->file : NULL, off);
	assert_int_equal(a, b);
}

/* End of the mapping at addr in a list in the format of maps; 0 for none. */
static uint64_t end_in(const char *maps, uint64_t addr)
{
	unsigned long long start, end;

	for (; maps && *maps; maps = strchr(maps, '\n') + 1)
		if (sscanf(maps, "%llx-%llx", &start, &end) == 2 && addr >= start && addr < end)
			return end;
	return 0;
}

/* Kernels differ in moves across several mappings: len is cut to what is one on both sides. */
static uint64_t one_mapping(struct pair *p, uint64_t at, uint64_t len)
{
	static char text[1 << 20];
	int fd = open("/proc/self/maps", O_RDONLY);
	uint64_t host, ours;
	struct buf b = BUF_INIT;
	ssize_t n, done = 0;

	while ((n = read(fd, text + done, sizeof(text) - 1 - (size_t)done)) > 0)
		done += n;
	text[done] = '\0';
	close(fd);
	mm_print_maps(p->mm, &b);
	host = end_in(text, (uint64_t)p->host + at);
	ours = end_in(b.data, FIXED_AT + at);
	buf_free(&b);
	assert_int_equal(!host, !ours);
	if (!host)
		return 0;
	ours = MIN(ours - FIXED_AT, host - (uint64_t)p->host);
	return MIN(len, ours - at);
}

static void do_mremap(struct pair *p, uint64_t at, uint64_t len)
{
	uint64_t to = PG * rnd(p, AREA), new_len = PG * (1 + rnd(p, 12));
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (rnd(p, 4) ? 0 : MREMAP_DONTUNMAP);
	int64_t a, b;

	len = one_mapping(p, at, len);
	if (!len)
		return;
	new_len = MIN(new_len, AREA * PG - to);
	if (flags & MREMAP_DONTUNMAP)
		new_len = len = MIN(new_len, len);
	if (rnd(p, 3) == 0)
		flags = 0; /* in place */
	if (!(flags & MREMAP_FIXED))
		new_len = MIN(new_len, len); /* the host's area has neighbours */
	a = host_result(mremap(p->host + at, len, new_len, flags, p->host + to), p);
	b = mm_mremap(p->mm, FIXED_AT + at, len, new_len, flags, FIXED_AT + to);
	assert_int_equal(a, b);
}

/* Writes a byte in both when the host can; both refuse or both take it. */
static void do_write(struct pair *p, uint64_t at)
{
	uint8_t v = (uint8_t)rnd(p, 256);
	struct iovec local = {&v, 1}, remote = {p->host + at, 1};
	bool a = process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == 1;
	bool b = fixture_access(p->mm, FIXED_AT + at, &v, 1, true) == 0;

	assert_int_equal(a, b);
}

static void do_advise(struct pair *p, uint64_t at, uint64_t len)
{
	int a = madvise(p->host + at, len, MADV_DONTNEED) ? -errno : 0;

	assert_int_equal(a, mm_madvise(p->mm, FIXED_AT + at, len, MADV_DONTNEED));
}

static void do_mprotect(struct pair *p, uint64_t at, uint64_t len)
{
	int prot = rnd_prot(p), a = mprotect(p->host + at, len, prot) ? -errno : 0;

	assert_int_equal(a, mm_mprotect(p->mm, FIXED_AT + at, len, prot));
}

static void compare(struct pair *p)
{
	for (uint64_t at = 0; at < AREA * PG; at += PG) {
		uint8_t a[PG], b[PG];
		struct iovec local = {a, PG}, remote = {p->host + at, PG};
		bool host = process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)PG;
		bool ours = fixture_access(p->mm, FIXED_AT + at, b, PG, false) == 0;

		assert_int_equal(host, ours);
		if (host)
			assert_memory_equal(a, b, PG);
		if (host) {
			assert_int_equal(gmem_read(p->mm, b, gptr_at(FIXED_AT + at), PG), 0);
			assert_memory_equal(a, b, PG);
		}
	}
}

static void test_random(void **state)
{
	struct pair p = {.mm = *state, .seed = 4711};

	p.file = fixture_file(64 * PG, O_RDWR);
	p.host = mmap(HOST_AT, AREA * PG, PROT_NONE, ANON, -1, 0);
	assert_true(p.host == HOST_AT);
	map(p.mm, FIXED_AT, AREA * PG, PROT_NONE, ANON | MAP_FIXED, NULL, 0);
	for (int i = 0; i < 6000; i++) {
		uint64_t at = PG * rnd(&p, AREA), len = PG * (1 + rnd(&p, 12));

		len = MIN(len, AREA * PG - at);
		switch (rnd(&p, 8)) {
		case 0:
		case 1:
			do_mmap(&p, at, len);
			break;
		case 2:
			assert_int_equal(munmap(p.host + at, len), 0);
			assert_int_equal(mm_munmap(p.mm, FIXED_AT + at, len), 0);
			break;
		case 3:
			do_mprotect(&p, at, len);
			break;
		case 4:
			do_mremap(&p, at, len);
			break;
		case 5:
			do_advise(&p, at, len);
			break;
		default:
			for (int k = 0; k < 6; k++)
				do_write(&p, PG * rnd(&p, AREA) + rnd(&p, PG));
		}
		if (i % 50 == 0)
			compare(&p);
	}
	compare(&p);
	munmap(p.host, AREA * PG);
	file_put(p.file);
}

/* Pages that were used before come back as zeros, to threads that free theirs at the same time. */
static void *use_pages(void *arg)
{
	struct {
		uint32_t page;
		unsigned order;
		bool any;
	} have[64] = {{0}};
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < 20000; i++) {
		unsigned k = (unsigned)rand_r(&seed) % ARRAY_SIZE(have);
		uint64_t *p;

		if (have[k].any) {
			pgpool_put(have[k].page, 1u << have[k].order);
			have[k].any = false;
			continue;
		}
		have[k].order = (unsigned)rand_r(&seed) % 6;
		if (pgpool_alloc(&have[k].order, &have[k].page) < 0)
			return arg;
		have[k].any = true;
		if (rand_r(&seed) % 2)
			pgpool_populate(have[k].page, 1u << have[k].order);
		p = (void *)pgpool_host((uint64_t)have[k].page << PGPOOL_SHIFT);
		for (unsigned w = 0; w < PG / 8 << have[k].order; w += 64)
			if (p[w])
				return arg;
		memset(p, 0xa5, PG << have[k].order);
	}
	for (unsigned k = 0; k < ARRAY_SIZE(have); k++)
		if (have[k].any)
			pgpool_put(have[k].page, 1u << have[k].order);
	return NULL;
}

static void test_used_pages(void **state)
{
	pthread_t t[4];
	void *bad;

	fixture_start(32 << 20);
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, use_pages, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	fixture_stop();
}

/* Mappings of the same text share one range, unless the file changed or one is to be written. */
static void test_text(void **state)
{
	struct mm *mm = *state;
	struct file *f = fixture_file(4 * PG, O_RDWR), *g = fixture_file(4 * PG, O_RDWR);
	uint64_t a = map(mm, 0, 4 * PG, PROT_READ, MAP_PRIVATE, f, 0);
	uint64_t b = map(mm, 0, 4 * PG, PROT_READ, MAP_PRIVATE, f, 0);
	uint64_t other = map(mm, 0, 4 * PG, PROT_READ, MAP_PRIVATE, g, 0);
	uint64_t rw = map(mm, 0, 4 * PG, RW, MAP_PRIVATE, f, 0), c, off[4];
	unsigned prot;

	get_byte(mm, a);
	get_byte(mm, b);
	get_byte(mm, other);
	get_byte(mm, rw);
	assert_true(platform_lookup(mm_as(mm), a, &off[0], &prot));
	assert_true(platform_lookup(mm_as(mm), b, &off[1], &prot));
	assert_true(platform_lookup(mm_as(mm), other, &off[2], &prot));
	assert_true(platform_lookup(mm_as(mm), rw, &off[3], &prot));
	assert_true(off[0] == off[1] && off[0] != off[2] && off[0] != off[3]);
	assert_int_equal(mm_munmap(mm, a, 4 * PG), 0);
	put_byte(mm, rw + 10, 7);
	assert_int_equal(mm_mprotect(mm, b, 4 * PG, RW), 0);
	put_byte(mm, b + 10, 9);
	assert_int_equal(pwrite(f->hostfd, "x", 1, 0), 1);
	c = map(mm, 0, 4 * PG, PROT_READ, MAP_PRIVATE, f, 0);
	assert_int_equal(get_byte(mm, c), 'x');
	assert_int_not_equal(get_byte(mm, c + 10), 9);
	for (unsigned i = 0; i < 8; i++)
		mm_text_age();
	assert_int_equal(get_byte(mm, c), 'x');
	assert_int_equal(mm_munmap(mm, c, 4 * PG), 0);
	file_put(f);
	file_put(g);
}

static void test_memory_limit(void **state)
{
	struct mm *mm;
	uint8_t v = 1;
	uint64_t at, i;

	fixture_start(64 << 20);
	mm = fixture_mm();
	at = map(mm, 0, 1ull << 30, RW, ANON, NULL, 0);
	for (i = 0; i < 1ull << 30; i += PG)
		if (fixture_access(mm, at + i, &v, 1, true) != 0)
			break;
	assert_true(i > 40 << 20 && i <= 64 << 20);
	assert_int_equal(mm_fault(mm, at + i, PLATFORM_WRITE), MM_FAULT_NOMEM);
	assert_int_equal(mm_munmap(mm, at, 1 << 20), 0);
	assert_int_equal(mm_fault(mm, at + i, PLATFORM_WRITE), MM_FAULT_OK);
	mm_put(mm);
	fixture_stop();
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_anon), TEST(test_errnos), TEST(test_file),
		TEST(test_unexecutable), TEST(test_stack),
		TEST(test_brk), TEST(test_limits), TEST(test_reserve), TEST(test_shared_anon),
		TEST(test_mremap_file), TEST(test_pin), TEST(test_strings), TEST(test_maps),
		TEST(test_random), TEST(test_text), cmocka_unit_test(test_memory_limit),
		cmocka_unit_test(test_used_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
