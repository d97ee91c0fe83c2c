#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include "sentry/loader_int.h"
#include "sentry/mm_impl.h"

#define ARG_STR_MAX   (32 * PAGE_SIZE) /* of one string, with its NUL */
#define ARG_TOTAL_MAX (6ull << 20)
#define ARG_TOTAL_MIN (128ull << 10)
#define STACK_EXTRA   (128ull << 10) /* mapped below the arguments at once */
#define STACK_RANDOM  22	     /* bits of pages that the top moves by */
#define AUX_MAX	      24
#define PLATFORM_NAME "x86_64"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#define MINSIGSTKSZ_FALLBACK 3632

/* The image of the stack's upper end: strings from base up, the vectors before them. */
struct image {
	char *text;
	size_t len, cap;
	uint64_t base; /* address of text[0] */
};

static size_t count(const char *const *v)
{
	size_t n = 0;

	while (v[n])
		n++;
	return n;
}

/* Adds to *total; false when one string is too long. */
static bool sum_strings(const char *const *v, size_t n, uint64_t *total)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strnlen(v[i], ARG_STR_MAX) + 1;

		if (len > ARG_STR_MAX)
			return false;
		*total += len + sizeof(uint64_t);
		if (*total > ARG_TOTAL_MAX)
			return false;
	}
	return true;
}

/* Space that the strings need, NULs and pointers included; 0 when it is beyond the limits. */
static uint64_t strings_size(struct mm *mm, const struct loader_stack *s)
{
	uint64_t limit = MAX(MIN(mm->limit_stack / 4, ARG_TOTAL_MAX), ARG_TOTAL_MIN), total = 1;

	if (!sum_strings(s->argv->v, s->argv->n, &total) ||
	    !sum_strings(s->args->envp, count(s->args->envp), &total))
		return 0;
	return total <= limit ? total : 0;
}

/* Appends n bytes; their address. The caller has made room. */
static uint64_t put(struct image *im, const void *p, size_t n)
{
	uint64_t at = im->base + im->len;

	memcpy(im->text + im->len, p, n);
	im->len += n;
	return at;
}

static uint64_t put_str(struct image *im, const char *str)
{
	return put(im, str, strlen(str) + 1);
}

static unsigned long min_sigstack(void)
{
	unsigned long n = getauxval(AT_MINSIGSTKSZ);

	return n ? n : MINSIGSTKSZ_FALLBACK;
}

static size_t fill_auxv(const struct loader_stack *s, Elf64_auxv_t *aux, uint64_t random,
			uint64_t platform, uint64_t execfn)
{
	const struct loader_args *a = s->args;
	const struct elf_image *img = &s->prog->img;
	unsigned eax, ebx, ecx, edx = 0;
	size_t n = 0;

	__get_cpuid(1, &eax, &ebx, &ecx, &edx);
#define AUX(type, value) aux[n++] = (Elf64_auxv_t){.a_type = (type), .a_un.a_val = (value)}
	if (s->vdso)
		AUX(AT_SYSINFO_EHDR, s->vdso);
	AUX(AT_MINSIGSTKSZ, min_sigstack());
	AUX(AT_HWCAP, edx);
	AUX(AT_PAGESZ, PAGE_SIZE);
	AUX(AT_CLKTCK, 100);
	AUX(AT_PHDR, img->phdr ? img->phdr + s->prog->bias : 0);
	AUX(AT_PHENT, sizeof(Elf64_Phdr));
	AUX(AT_PHNUM, img->phnum);
	AUX(AT_BASE, s->interp_base);
	AUX(AT_FLAGS, 0);
	AUX(AT_ENTRY, img->entry + s->prog->bias);
	AUX(AT_UID, a->uid);
	AUX(AT_EUID, a->uid);
	AUX(AT_GID, a->gid);
	AUX(AT_EGID, a->gid);
	AUX(AT_SECURE, 0);
	AUX(AT_RANDOM, random);
	AUX(AT_HWCAP2, a->hwcap2);
	AUX(AT_EXECFN, execfn);
	AUX(AT_PLATFORM, platform);
	AUX(AT_NULL, 0);
#undef AUX
	return n;
}

static int map_stack(struct mm *mm, uint64_t top, uint64_t size, bool exec)
{
	int prot = PROT_READ | PROT_WRITE | (exec ? PROT_EXEC : 0);
	int64_t at;

	size = ALIGN_UP(size, PAGE_SIZE);
	at = mm_mmap(mm, top - size, size, prot,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, NULL, 0);
	return at < 0 ? (int)at : 0;
}

/* Puts the strings into im and their addresses into words, in the order of the final stack. */
static size_t fill_words(const struct loader_stack *s, struct image *im, uint64_t *words,
			 struct mm_layout *lay)
{
	size_t envc = count(s->args->envp), n = 0;
	uint64_t random, platform, execfn;
	uint8_t seed[16];

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		memset(seed, 0, sizeof(seed));
	random = put(im, seed, sizeof(seed));
	platform = put_str(im, PLATFORM_NAME);
	words[n++] = s->argv->n;
	lay->arg_start = im->base + im->len;
	for (size_t i = 0; i < s->argv->n; i++)
		words[n++] = put_str(im, s->argv->v[i]);
	words[n++] = 0;
	lay->arg_end = lay->env_start = im->base + im->len;
	for (size_t i = 0; i < envc; i++)
		words[n++] = put_str(im, s->args->envp[i]);
	words[n++] = 0;
	lay->env_end = im->base + im->len;
	execfn = put_str(im, s->args->path);
	n += 2 * fill_auxv(s, (Elf64_auxv_t *)(words + n), random, platform, execfn);
	return n;
}

int loader_build_stack(struct mm *mm, const struct loader_stack *s, uint64_t *sp)
{
	static const char *const empty[] = {""};
	struct loader_strings none = {.v = (const char **)empty, .n = 1};
	struct loader_stack st = *s;
	struct mm_layout *lay = mm_layout(mm);
	uint64_t total, rnd = 0, top, *words = NULL;
	struct image im = {0};
	size_t n, cap;
	int ret = -ENOMEM;

	if (!st.argv->n)
		st.argv = &none; /* programs rely on argv[0] */
	total = strings_size(mm, &st);
	if (!total)
		return -E2BIG;
	if (s->args->fixed || getrandom(&rnd, sizeof(rnd), 0) != sizeof(rnd))
		rnd = 0;
	top = MM_ADDR_MAX - PAGE_SIZE - (rnd & ((1ull << STACK_RANDOM) - 1)) * PAGE_SIZE;
	cap = total + strlen(st.args->path) + 64;
	n = st.argv->n + count(st.args->envp) + 3 + 2 * AUX_MAX;
	im.text = malloc(cap);
	words = calloc(n, sizeof(*words));
	if (!im.text || !words)
		goto out;
	im.cap = cap;
	im.base = ALIGN_DOWN(top - 16 - cap - ((rnd >> 32) & 0x1ff0), 16ull);
	n = fill_words(&st, &im, words, lay);
	*sp = ALIGN_DOWN(im.base - n * sizeof(*words), 16ull);
	ret = map_stack(mm, top, top - *sp + STACK_EXTRA, st.prog->img.exec_stack);
	if (!ret)
		ret = gmem_write(mm, gptr_at(im.base), im.text, im.len);
	if (!ret)
		ret = gmem_write(mm, gptr_at(*sp), words, n * sizeof(*words));
	lay->start_stack = *sp;
out:
	free(im.text);
	free(words);
	return ret == -EFAULT ? -ENOMEM : ret;
}
