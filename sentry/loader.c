#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include "base/arena.h"
#include "sentry/file.h"
#include "sentry/loader_int.h"
#include "sentry/mm_impl.h"
#include "sentry/task.h"
#include "sentry/vdso.h"

#define SCRIPT_DEPTH 5
#define PIE_BASE     0x555555554000ull /* two thirds of the address space, as Linux has it */
#define BRK_RANDOM   0x2000000ull

/* What is being loaded: the program named, or the interpreter that its "#!" line asks for. */
struct loading {
	const struct loader_args *a;
	struct file *exe; /* referenced */
	struct loader_strings argv;
	struct arena arena; /* strings and vectors made from scripts */
	const char **why;
};

static int fail(struct loading *l, int err, const char *text)
{
	*l->why = text;
	return -err;
}

static uint64_t random_below(const struct loader_args *a, uint64_t n)
{
	uint64_t r = 0;

	if (a->fixed || getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = 0;
	return (r % n) & PAGE_MASK;
}

static ssize_t read_at(void *arg, void *buf, size_t n, uint64_t off)
{
	struct file *f = arg;
	int fd = f->ops->mmap_fd ? f->ops->mmap_fd(current, f, false) : f->hostfd;
	ssize_t got;

	if (fd < 0)
		return -EACCES;
	do
		got = pread(fd, buf, n, (off_t)off);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* ---- scripts ---- */

/* argv of a script's interpreter: its name, the argument, the script's path, the rest. */
static int script_argv(struct loading *l, const char *interp, const char *arg, const char *script)
{
	size_t rest = l->argv.n ? l->argv.n - 1 : 0, n = 0;
	const char **v = arena_alloc(&l->arena, (rest + 5) * sizeof(*v)); /* the last one stays NULL */

	if (!v)
		return -ENOMEM;
	v[n++] = interp;
	if (arg)
		v[n++] = arg;
	v[n++] = script;
	for (size_t i = 0; i < rest; i++)
		v[n++] = l->argv.v[i + 1];
	l->argv = (struct loader_strings){.v = v, .n = n};
	return 0;
}

/* Replaces a script by its interpreter until a program is found. */
static int resolve_scripts(struct loading *l)
{
	const char *script = l->a->path;

	for (int depth = 0;; depth++) {
		char *text = arena_alloc(&l->arena, LOADER_LINE_MAX + 1), *interp, *arg;
		struct file *next;
		ssize_t n;
		int ret;

		if (!text)
			return -ENOMEM;
		n = read_at(l->exe, text, LOADER_LINE_MAX, 0);
		if (n < 0)
			return (int)n;
		ret = loader_parse_script(text, (size_t)n, &interp, &arg);
		if (ret == 1)
			return 0;
		if (ret < 0)
			return fail(l, ENOEXEC, "a script with a bad #! line");
		if (depth == SCRIPT_DEPTH)
			return fail(l, ELOOP, "scripts that name scripts as interpreters too deeply");
		ret = script_argv(l, interp, arg, script);
		if (ret < 0)
			return ret;
		ret = l->a->open_exec(l->a->open_arg, interp, l->argv.v, &next);
		if (ret < 0)
			return fail(l, -ret, "the script's interpreter cannot be opened");
		file_put(l->exe);
		l->exe = next;
		script = interp;
	}
}

/* ---- mapping ---- */

static int64_t map_at(struct mm *mm, uint64_t at, uint64_t len, int prot, struct file *f,
		      uint64_t off)
{
	int flags = MAP_PRIVATE | MAP_FIXED | (f ? 0 : MAP_ANONYMOUS);

	return len ? mm_mmap(mm, at, len, prot, flags, f, off) : 0;
}

static int map_segment(struct mm *mm, struct file *f, const struct elf_segment *s, uint64_t bias)
{
	uint64_t start = s->vaddr + bias, file_end = start + s->filesz, end = start + s->memsz;
	uint64_t page = start & PAGE_MASK, anon = ALIGN_UP(file_end, PAGE_SIZE);
	int64_t ret = 0;

	if (s->filesz)
		ret = map_at(mm, page, anon - page, s->prot, f, s->off & PAGE_MASK);
	else
		anon = page;
	if (ret >= 0 && s->filesz && end > file_end && (s->prot & PROT_WRITE))
		ret = gmem_zero(mm, gptr_at(file_end), anon - file_end); /* ld.so uses the rest */
	if (ret >= 0 && end > anon)
		ret = map_at(mm, anon, ALIGN_UP(end, PAGE_SIZE) - anon, s->prot, NULL, 0);
	return ret < 0 ? (int)ret : 0;
}

/* Chooses where a movable image goes: near hint, or anywhere (0). */
static int place_image(struct mm *mm, struct loaded *p, uint64_t hint)
{
	uint64_t span = p->img.high - p->img.low, slack = p->img.align - PAGE_SIZE, base;
	int64_t at = mm_mmap(mm, hint, span + slack, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NULL, 0);

	if (at < 0)
		return (int)at;
	/* The first address is to be congruent to low modulo the alignment. */
	base = (uint64_t)at + ((p->img.low - (uint64_t)at) & (p->img.align - 1));
	if (base > (uint64_t)at)
		mm_munmap(mm, (uint64_t)at, base - (uint64_t)at);
	if ((uint64_t)at + slack > base)
		mm_munmap(mm, base + span, (uint64_t)at + slack - base);
	p->bias = base - p->img.low;
	return 0;
}

static int map_image(struct mm *mm, struct file *f, struct loaded *p, uint64_t hint)
{
	int ret = 0;

	if (p->img.dyn)
		ret = place_image(mm, p, hint);
	for (unsigned i = 0; !ret && i < p->img.nr_segments; i++)
		ret = map_segment(mm, f, &p->img.segment[i], p->bias);
	return ret;
}

static int parse(struct loading *l, struct file *f, struct elf_image *img)
{
	struct elf_reader r = {.read = read_at, .arg = f};

	return elf_parse(&r, img, l->why);
}

static int load_interp(struct mm *mm, struct loading *l, const struct elf_image *img,
		       struct loaded *interp)
{
	struct elf_reader r = {.read = read_at, .arg = l->exe};
	char path[ELF_INTERP_MAX];
	struct file *f;
	int ret = elf_read_interp(&r, img, path, l->why);

	if (ret < 0)
		return ret;
	ret = l->a->open_exec(l->a->open_arg, path, NULL, &f);
	if (ret < 0)
		return fail(l, -ret, "the program's interpreter (dynamic loader) cannot be opened");
	ret = parse(l, f, &interp->img);
	if (ret == -ENOEXEC || ret == -EINVAL)
		ret = fail(l, ELIBBAD, "the program's interpreter is not a valid ELF program");
	if (!ret)
		ret = map_image(mm, f, interp, 0);
	file_put(f);
	return ret;
}

/* ---- layout ---- */

static void set_layout(struct mm *mm, const struct loaded *p, const struct loader_args *a)
{
	struct mm_layout *lay = mm_layout(mm);

	for (unsigned i = 0; i < p->img.nr_segments; i++) {
		const struct elf_segment *s = &p->img.segment[i];
		uint64_t start = s->vaddr + p->bias, end = start + s->filesz;

		if (s->prot & PROT_EXEC) {
			if (!lay->start_code)
				lay->start_code = start;
			lay->end_code = end;
		}
		lay->start_data = start;
		lay->end_data = end;
	}
	lay->start_brk = p->img.high + p->bias + random_below(a, BRK_RANDOM);
}

static void set_comm(char comm[16], const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	memset(comm, 0, 16);
	memcpy(comm, base, strnlen(base, 15));
}

static int exec_program(struct mm *mm, struct loading *l, struct loader_result *out)
{
	struct loaded prog = {.bias = 0}, interp = {.bias = 0};
	struct loader_stack stack = {.args = l->a, .argv = &l->argv, .prog = &prog};
	int ret = parse(l, l->exe, &prog.img);

	if (ret < 0)
		return ret;
	ret = map_image(mm, l->exe, &prog, PIE_BASE + random_below(l->a, 1ull << 40));
	if (ret < 0)
		return fail(l, -ret, "the program's segments cannot be mapped");
	set_layout(mm, &prog, l->a);
	out->entry = prog.img.entry + prog.bias;
	if (prog.img.interp_len) {
		ret = load_interp(mm, l, &prog.img, &interp);
		if (ret < 0)
			return ret;
		out->entry = interp.img.entry + interp.bias;
		stack.interp_base = interp.bias;
	}
	ret = vdso_map(mm);
	if (ret < 0)
		return fail(l, -ret, "the vDSO cannot be mapped");
	stack.vdso = mm_layout(mm)->vdso;
	ret = loader_build_stack(mm, &stack, &out->stack);
	if (ret == -E2BIG)
		return fail(l, E2BIG, "the arguments and the environment are too long");
	return ret;
}

int loader_exec(struct mm *mm, const struct loader_args *a, struct loader_result *out,
		const char **why)
{
	const char *none = NULL;
	struct loading l = {.a = a, .why = why ? why : &none};
	int ret;

	*l.why = NULL;
	while (a->argv[l.argv.n])
		l.argv.n++;
	l.argv.v = (const char **)a->argv;
	l.exe = file_get(a->exe);
	ret = resolve_scripts(&l);
	if (!ret)
		ret = exec_program(mm, &l, out);
	set_comm(out->comm, a->path);
	arena_free(&l.arena);
	if (ret < 0)
		file_put(l.exe);
	else
		out->exe = l.exe;
	return ret;
}
