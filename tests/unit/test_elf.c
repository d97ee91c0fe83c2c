/* The ELF parser and the "#!" line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include "base/overflow.h"
#include "sentry/elf.h"
#include "sentry/loader_int.h"
#include "tests/unit/elf_make.h"

static size_t file_len = ELF_MAKE_SIZE;

static ssize_t read_bytes(void *arg, void *buf, size_t n, uint64_t off)
{
	if (off >= file_len)
		return 0;
	n = MIN(n, (size_t)(file_len - off));
	n = MIN(n, (size_t)100); /* short reads are allowed */
	memcpy(buf, (unsigned char *)arg + off, n);
	return (ssize_t)n;
}

static int parse(struct elf_make *e, struct elf_image *img, const char **why)
{
	struct elf_reader r = {.read = read_bytes, .arg = e->bytes};

	*why = NULL;
	return elf_parse(&r, img, why);
}

static void test_good(void **state)
{
	struct elf_image img;
	struct elf_make e;
	const char *why;

	elf_make(&e);
	assert_int_equal(parse(&e, &img, &why), 0);
	assert_true(img.dyn);
	assert_false(img.exec_stack);
	assert_int_equal(img.entry, 0x800);
	assert_int_equal(img.phdr, sizeof(Elf64_Ehdr));
	assert_int_equal(img.phnum, 3);
	assert_int_equal(img.nr_segments, 2);
	assert_int_equal(img.low, 0);
	assert_int_equal(img.high, 0x6000);
	assert_int_equal(img.segment[0].prot, PROT_READ | PROT_EXEC);
	assert_int_equal(img.segment[1].prot, PROT_READ | PROT_WRITE);
	assert_int_equal(img.interp_len, 0);
}

/* Each change makes the file a bad one. */
static void test_bad(void **state)
{
	static const struct {
		const char *what;
		size_t off, size;
		uint64_t value;
		int err;
	} row[] = {
#define H(m) offsetof(Elf64_Ehdr, m), sizeof(((Elf64_Ehdr *)0)->m)
#define P(i, m)                                                                                    \
	sizeof(Elf64_Ehdr) + (i) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, m),                   \
		sizeof(((Elf64_Phdr *)0)->m)
		{"magic", 0, 1, 0x7e, ENOEXEC},
		{"32 bits", EI_CLASS, 1, ELFCLASS32, ENOEXEC},
		{"class", EI_CLASS, 1, 7, ENOEXEC},
		{"big-endian", EI_DATA, 1, ELFDATA2MSB, ENOEXEC},
		{"machine", H(e_machine), EM_AARCH64, ENOEXEC},
		{"object file", H(e_type), ET_REL, ENOEXEC},
		{"core", H(e_type), ET_CORE, ENOEXEC},
		{"header size", H(e_phentsize), 32, ENOEXEC},
		{"no headers", H(e_phnum), 0, ENOEXEC},
		{"many headers", H(e_phnum), 0xffff, ENOEXEC},
		{"headers outside", H(e_phoff), 0x2fff, ENOEXEC},
		{"headers far outside", H(e_phoff), UINT64_MAX - 8, ENOEXEC},
		{"entry outside", H(e_entry), 0x100000, EINVAL},
		{"entry above", H(e_entry), 1ull << 62, EINVAL},
		{"more file than memory", P(1, p_memsz), 0x400, EINVAL},
		{"address wraps", P(1, p_vaddr), UINT64_MAX - 0xdff, EINVAL},
		{"upper half", P(1, p_vaddr), 0xffff800000000200, EINVAL},
		{"size wraps", P(1, p_memsz), UINT64_MAX - 0x100, EINVAL},
		{"offset wraps", P(1, p_offset), UINT64_MAX - 0xdff, EINVAL},
		{"incongruent", P(1, p_vaddr), 0x2300, EINVAL},
		{"odd alignment", P(1, p_align), 0x3000, EINVAL},
		{"huge alignment", P(1, p_align), 1ull << 40, EINVAL},
		{"overlap", P(1, p_vaddr), 0x200, EINVAL},
		{"nothing to load", P(0, p_type), PT_NULL, 0},
	};
	struct elf_image img;
	struct elf_make e;
	const char *why;

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		elf_make(&e);
		memcpy(e.bytes + row[i].off, &row[i].value, row[i].size);
		if (parse(&e, &img, &why) != -row[i].err || !why != !row[i].err)
			fail_msg("%s: not refused as it should be (%s)", row[i].what, why);
	}
	elf_make(&e);
	e.p[0].p_type = e.p[1].p_type = PT_NULL;
	assert_int_equal(parse(&e, &img, &why), -ENOEXEC);
}

static void test_short(void **state)
{
	struct elf_image img;
	struct elf_make e;
	const char *why;

	elf_make(&e);
	for (file_len = 0; file_len < sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr); file_len++)
		assert_int_equal(parse(&e, &img, &why), -ENOEXEC);
	file_len = ELF_MAKE_SIZE;
}

static void test_interp(void **state)
{
	struct elf_reader r = {.read = read_bytes};
	char path[ELF_INTERP_MAX];
	struct elf_image img;
	struct elf_make e;
	const char *why;

	elf_make(&e);
	r.arg = e.bytes;
	e.h.e_phnum = 4;
	e.p[3] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = 0x900, .p_filesz = 9};
	memcpy(e.bytes + 0x900, "/lib/ld.x", 9);
	assert_int_equal(parse(&e, &img, &why), 0);
	assert_int_equal(img.interp_len, 9);
	assert_int_equal(elf_read_interp(&r, &img, path, &why), -ENOEXEC);
	memcpy(e.bytes + 0x900, "/lib/ld\0", 9);
	assert_int_equal(elf_read_interp(&r, &img, path, &why), 0);
	assert_string_equal(path, "/lib/ld");
	e.p[3].p_offset = ELF_MAKE_SIZE - 4;
	assert_int_equal(parse(&e, &img, &why), 0);
	assert_int_equal(elf_read_interp(&r, &img, path, &why), -ENOEXEC);
	e.p[3].p_filesz = 5000;
	assert_int_equal(parse(&e, &img, &why), -ENOEXEC);
	e.p[3].p_filesz = 1;
	assert_int_equal(parse(&e, &img, &why), -ENOEXEC);
}

static void test_script(void **state)
{
	static const struct {
		const char *text, *interp, *arg;
		int ret;
	} row[] = {
		{"#!/bin/sh\n", "/bin/sh", NULL, 0},
		{"#! /bin/sh -e\necho", "/bin/sh", "-e", 0},
		{"#!\t/usr/bin/env  python3 -x \t\n", "/usr/bin/env", "python3 -x", 0},
		{"#!/bin/sh", "/bin/sh", NULL, 0},
		{"#!\n", NULL, NULL, -ENOEXEC},
		{"#!  \t\n", NULL, NULL, -ENOEXEC},
		{"#", NULL, NULL, 1},
		{"", NULL, NULL, 1},
		{"echo", NULL, NULL, 1},
	};
	char text[LOADER_LINE_MAX + 1], *interp, *arg;

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		memcpy(text, row[i].text, strlen(row[i].text));
		assert_int_equal(loader_parse_script(text, strlen(row[i].text), &interp, &arg),
				 row[i].ret);
		if (row[i].ret)
			continue;
		assert_string_equal(interp, row[i].interp);
		assert_true(!arg == !row[i].arg && (!arg || !strcmp(arg, row[i].arg)));
	}
	/* A name that may be cut is refused, a cut argument is used. */
	memset(text, 'x', sizeof(text));
	memcpy(text, "#!/", 3);
	assert_int_equal(loader_parse_script(text, LOADER_LINE_MAX, &interp, &arg), -ENOEXEC);
	memcpy(text, "#!/a ", 5);
	assert_int_equal(loader_parse_script(text, LOADER_LINE_MAX, &interp, &arg), 0);
	assert_int_equal(strlen(arg), LOADER_LINE_MAX - 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),   cmocka_unit_test(test_bad),
		cmocka_unit_test(test_short),  cmocka_unit_test(test_interp),
		cmocka_unit_test(test_script),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
