/* Building a process image: segments, zeroed memory, the initial stack; and the vDSO. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include "base/overflow.h"
#include "sentry/mm.h"
#include "tests/unit/elf_make.h"
#include "tests/unit/mm_fixture.h"

static struct file *interp_file; /* what open_exec gives for "/interp" */

static int open_exec(void *arg, const char *path, const char *const *args, struct file **out)
{
	if (strcmp(path, "/interp") || !interp_file)
		return -ENOENT;
	*out = file_get(interp_file);
	return 0;
}

static const char *const argv[] = {"prog", "one", "", NULL};
static const char *const envp[] = {"A=1", "B=22", NULL};

static struct loader_args args_for(struct file *f)
{
	return (struct loader_args){.exe = f, .path = "/bin/prog-with-a-long-name", .argv = argv,
				    .envp = envp, .uid = 1000, .gid = 100, .hwcap2 = 2,
				    .open_exec = open_exec};
}

static int setup(void **state)
{
	fixture_start(0);
	*state = fixture_mm();
	interp_file = NULL;
	return 0;
}

static int teardown(void **state)
{
	struct mm *mm = *state;

	mm_put(mm);
	if (interp_file)
		file_put(interp_file);
	fixture_stop();
	return 0;
}

static uint64_t word(struct mm *mm, uint64_t at)
{
	uint64_t v;

	assert_int_equal(gmem_read(mm, &v, gptr_at(at), sizeof(v)), 0);
	return v;
}

static void text_at(struct mm *mm, uint64_t at, const char *want)
{
	char text[256];

	assert_int_equal(gmem_read_str(mm, text, gptr_at(at), sizeof(text)), strlen(want));
	assert_string_equal(text, want);
}

/* Value of an auxv entry of the stack at sp; fails when there is none. */
static uint64_t aux(struct mm *mm, uint64_t sp, uint64_t type)
{
	uint64_t at = sp + 8 * (1 + word(mm, sp) + 1);

	while (word(mm, at))
		at += 8;
	for (at += 8; word(mm, at); at += 16)
		if (word(mm, at) == type)
			return word(mm, at + 8);
	fail_msg("no auxv entry %llu", (unsigned long long)type);
	return 0;
}

static void check_stack(struct mm *mm, uint64_t sp)
{
	assert_int_equal(sp % 16, 0);
	assert_int_equal(word(mm, sp), 3);
	text_at(mm, word(mm, sp + 8), "prog");
	text_at(mm, word(mm, sp + 16), "one");
	text_at(mm, word(mm, sp + 24), "");
	assert_int_equal(word(mm, sp + 32), 0);
	text_at(mm, word(mm, sp + 40), "A=1");
	text_at(mm, word(mm, sp + 48), "B=22");
	assert_int_equal(word(mm, sp + 56), 0);
	text_at(mm, aux(mm, sp, AT_EXECFN), "/bin/prog-with-a-long-name");
	text_at(mm, aux(mm, sp, AT_PLATFORM), "x86_64");
	assert_int_equal(aux(mm, sp, AT_PAGESZ), 4096);
	assert_int_equal(aux(mm, sp, AT_PHENT), sizeof(Elf64_Phdr));
	assert_int_equal(aux(mm, sp, AT_UID), 1000);
	assert_int_equal(aux(mm, sp, AT_EGID), 100);
	assert_int_equal(aux(mm, sp, AT_SECURE), 0);
	assert_int_equal(aux(mm, sp, AT_HWCAP2), 2);
	assert_true(aux(mm, sp, AT_HWCAP) != 0);
	assert_true(word(mm, aux(mm, sp, AT_RANDOM)) || word(mm, aux(mm, sp, AT_RANDOM) + 8));
}

static void test_pie(void **state)
{
	struct mm *mm = *state;
	struct elf_make e;
	struct loader_result res = {0};
	const char *why = NULL;
	uint8_t v;

	elf_make(&e);
	struct file *f = fixture_file_with(e.bytes, sizeof(e.bytes));
	struct loader_args a = args_for(f);

	assert_int_equal(loader_exec(mm, &a, &res, &why), 0);
	uint64_t base = res.entry - 0x800;

	assert_int_equal(base % 4096, 0);
	assert_string_equal(res.comm, "prog-with-a-lon");
	check_stack(mm, res.stack);
	assert_int_equal(aux(mm, res.stack, AT_PHDR), base + sizeof(Elf64_Ehdr));
	assert_int_equal(aux(mm, res.stack, AT_PHNUM), 3);
	assert_int_equal(aux(mm, res.stack, AT_ENTRY), res.entry);
	assert_int_equal(aux(mm, res.stack, AT_BASE), 0);
	assert_int_equal(gmem_read(mm, &v, gptr_at(base + 0x2200 + 3), 1), 0);
	assert_int_equal(v, 3 * 7 + 1);
	/* Zero behind the file's part: in its page, and in the pages after it. */
	assert_int_equal(word(mm, base + 0x2700), 0);
	assert_int_equal(word(mm, base + 0x51f8), 0);
	assert_int_equal(gmem_write(mm, gptr_at(base), &v, 1), -EFAULT);
	assert_int_equal(gmem_write(mm, gptr_at(base + 0x5000), &v, 1), 0);
	assert_true(mm_layout(mm)->start_brk >= base + 0x6000);
	file_put(res.exe);
	file_put(f);
}

static void test_interp(void **state)
{
	struct mm *mm = *state;
	struct elf_make e, ld;
	struct loader_result res = {0};
	const char *why = NULL;

	elf_make(&ld);
	ld.h.e_entry = 0x40;
	elf_make(&e);
	e.h.e_type = ET_EXEC;
	e.p[0].p_vaddr += 0x400000;
	e.p[1].p_vaddr += 0x400000;
	e.h.e_entry = 0x400800;
	e.h.e_phnum = 4;
	e.p[3] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = 0x900, .p_filesz = 8};
	memcpy(e.bytes + 0x900, "/interp", 8);
	struct file *f = fixture_file_with(e.bytes, sizeof(e.bytes));
	struct loader_args a = args_for(f);

	assert_int_equal(loader_exec(mm, &a, &res, &why), -ENOENT);
	assert_non_null(why);
	mm_put(mm);
	*state = mm = fixture_mm();
	interp_file = fixture_file_with(ld.bytes, 100);
	assert_int_equal(loader_exec(mm, &a, &res, &why), -ELIBBAD);
	mm_put(mm);
	*state = mm = fixture_mm();
	file_put(interp_file);
	interp_file = fixture_file_with(ld.bytes, sizeof(ld.bytes));
	assert_int_equal(loader_exec(mm, &a, &res, &why), 0);
	assert_int_equal(aux(mm, res.stack, AT_ENTRY), 0x400800);
	assert_int_equal(res.entry, aux(mm, res.stack, AT_BASE) + 0x40);
	assert_int_equal(aux(mm, res.stack, AT_PHDR), 0x400000 + sizeof(Elf64_Ehdr));
	file_put(res.exe);
	file_put(f);
}

static void test_script(void **state)
{
	static const char text[] = "#!/interp -x y\nhello\n", self[] = "#!/interp\n";
	struct mm *mm = *state;
	struct loader_result res = {0};
	struct file *f = fixture_file_with(text, sizeof(text) - 1);
	struct loader_args a = args_for(f);
	const char *why = NULL;
	struct elf_make e;

	elf_make(&e);
	interp_file = fixture_file_with(e.bytes, sizeof(e.bytes));
	assert_int_equal(loader_exec(mm, &a, &res, &why), 0);
	assert_int_equal(word(mm, res.stack), 5);
	text_at(mm, word(mm, res.stack + 8), "/interp");
	text_at(mm, word(mm, res.stack + 16), "-x y");
	text_at(mm, word(mm, res.stack + 24), "/bin/prog-with-a-long-name");
	text_at(mm, word(mm, res.stack + 32), "one");
	assert_ptr_equal(res.exe, interp_file);
	file_put(res.exe);
	/* A script that is its own interpreter. */
	mm_put(mm);
	*state = mm = fixture_mm();
	file_put(interp_file);
	interp_file = fixture_file_with(self, sizeof(self) - 1);
	assert_int_equal(loader_exec(mm, &a, &res, &why), -ELOOP);
	assert_non_null(why);
	file_put(f);
}

static void test_too_long(void **state)
{
	static char big[200000];
	const char *const many[] = {"prog", big, NULL};
	struct mm *mm = *state;
	struct loader_result res;
	const char *why = NULL;
	struct elf_make e;

	elf_make(&e);
	struct file *f = fixture_file_with(e.bytes, sizeof(e.bytes));
	struct loader_args a = args_for(f);

	memset(big, 'x', sizeof(big) - 1);
	a.argv = many;
	assert_int_equal(loader_exec(mm, &a, &res, &why), -E2BIG);
	file_put(f);
}

static void test_not_programs(void **state)
{
	struct mm *mm = *state;
	struct file *text = fixture_file_with("hello\n", 6), *none = fixture_file_with("", 0);
	struct loader_args a = args_for(text), b = args_for(none);
	struct loader_result res;
	const char *why = NULL;

	assert_int_equal(loader_exec(mm, &a, &res, &why), -ENOEXEC);
	assert_non_null(why);
	assert_int_equal(loader_exec(mm, &b, &res, NULL), -ENOEXEC);
	file_put(text);
	file_put(none);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pie),	     TEST(test_interp),	      TEST(test_script),
		TEST(test_too_long), TEST(test_not_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
