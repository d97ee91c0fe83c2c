/* Programs from anywhere: the ELF parser accepts only images that keep its promises. */
#include <stdlib.h>
#include <string.h>
#include "base/overflow.h"
#include "sentry/elf.h"
#include "sentry/loader_int.h"
#include "sentry/mm.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

struct bytes {
	const unsigned char *data;
	size_t len;
};

static ssize_t read_bytes(void *arg, void *buf, size_t n, uint64_t off)
{
	const struct bytes *b = arg;

	if (off >= b->len)
		return 0;
	n = MIN(n, (size_t)(b->len - off));
	memcpy(buf, b->data + off, n);
	return (ssize_t)n;
}

static void expect(bool ok)
{
	if (!ok)
		abort();
}

static void check_image(const struct elf_image *img)
{
	uint64_t end = 0;

	expect(img->nr_segments >= 1 && img->nr_segments <= ELF_MAX_SEGMENTS);
	expect(img->low % 4096 == 0 && img->high % 4096 == 0 && img->low < img->high);
	expect(img->high <= MM_ADDR_MAX);
	expect(img->align >= 4096 && !(img->align & (img->align - 1)));
	for (unsigned i = 0; i < img->nr_segments; i++) {
		const struct elf_segment *s = &img->segment[i];

		expect(s->filesz <= s->memsz && s->memsz);
		expect(s->vaddr >= end && s->vaddr >= img->low);
		end = s->vaddr + s->memsz;
		expect(end >= s->vaddr && end <= img->high);
		expect(!s->filesz || s->vaddr % 4096 == s->off % 4096);
		expect(s->off + s->filesz >= s->off);
	}
}

static void check_script(const unsigned char *data, size_t len)
{
	char text[LOADER_LINE_MAX + 1], *interp, *arg;

	len = MIN(len, (size_t)LOADER_LINE_MAX);
	memcpy(text, data, len);
	if (loader_parse_script(text, len, &interp, &arg))
		return;
	expect(interp > text && interp < text + LOADER_LINE_MAX && *interp);
	expect(strlen(interp) < LOADER_LINE_MAX);
	expect(!arg || (arg > interp && *arg && strlen(arg) < LOADER_LINE_MAX));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	struct bytes b = {data, len};
	struct elf_reader r = {.read = read_bytes, .arg = &b};
	static char interp[ELF_INTERP_MAX];
	struct elf_image img;
	const char *why = NULL;
	int ret = elf_parse(&r, &img, &why);

	expect(ret <= 0 && (!ret || why));
	if (!ret) {
		check_image(&img);
		if (img.interp_len && !elf_read_interp(&r, &img, interp, &why))
			expect(strlen(interp) < ELF_INTERP_MAX && *interp);
	}
	check_script(data, len);
	return 0;
}
