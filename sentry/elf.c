#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "base/overflow.h"
#include "sentry/elf.h"
#include "sentry/mm.h"

#define PAGE	     4096ull
#define PHDRS_MAX    (65536 / sizeof(Elf64_Phdr))
#define PHDRS_CHUNK  16
#define ALIGN_MAX    (1ull << 30)

static int refuse(const char **why, int err, const char *text)
{
	*why = text;
	return -err;
}

/* All n bytes, or -ENOEXEC when the file ends before. */
static int read_all(const struct elf_reader *r, void *buf, size_t n, uint64_t off)
{
	size_t done = 0;

	if (off > INT64_MAX - n)
		return -ENOEXEC;
	while (done < n) {
		ssize_t got = r->read(r->arg, (char *)buf + done, n - done, off + done);

		if (got < 0)
			return (int)got;
		if (!got || (size_t)got > n - done)
			return -ENOEXEC;
		done += (size_t)got;
	}
	return 0;
}

static int check_header(const Elf64_Ehdr *h, const char **why)
{
	if (h->e_ident[EI_CLASS] == ELFCLASS32)
		return refuse(why, ENOEXEC, "a 32-bit program; only x86-64 programs can run");
	if (h->e_ident[EI_CLASS] != ELFCLASS64)
		return refuse(why, ENOEXEC, "an ELF file of unknown class");
	if (h->e_ident[EI_DATA] != ELFDATA2LSB)
		return refuse(why, ENOEXEC, "a big-endian program");
	if (h->e_machine != EM_X86_64)
		return refuse(why, ENOEXEC, "a program for another processor");
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return refuse(why, ENOEXEC, "an ELF file, but not an executable");
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return refuse(why, ENOEXEC, "program headers of the wrong size");
	if (!h->e_phnum || h->e_phnum > PHDRS_MAX)
		return refuse(why, ENOEXEC, "no or too many program headers");
	return 0;
}

static int segment_prot(uint32_t flags)
{
	return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) |
	       (flags & PF_X ? PROT_EXEC : 0);
}

static int add_load(const Elf64_Phdr *p, struct elf_image *out, const char **why)
{
	struct elf_segment *prev =
		out->nr_segments ? &out->segment[out->nr_segments - 1] : NULL;
	uint64_t end, file_end;

	if (!p->p_memsz && !p->p_filesz)
		return 0;
	if (out->nr_segments == ELF_MAX_SEGMENTS)
		return refuse(why, ENOEXEC, "too many segments");
	if (p->p_filesz > p->p_memsz)
		return refuse(why, EINVAL, "a segment has more file than memory");
	if (add_overflow(p->p_vaddr, p->p_memsz, &end) || end > MM_ADDR_MAX - PAGE)
		return refuse(why, EINVAL, "a segment lies outside the address space");
	if (add_overflow(p->p_offset, p->p_filesz, &file_end) || file_end > INT64_MAX - PAGE)
		return refuse(why, EINVAL, "a segment lies outside the file");
	if (p->p_filesz && p->p_vaddr % PAGE != p->p_offset % PAGE)
		return refuse(why, EINVAL, "a segment's address and file offset do not match");
	if (p->p_align > 1 && (p->p_align & (p->p_align - 1)))
		return refuse(why, EINVAL, "a segment's alignment is not a power of two");
	if (p->p_align > ALIGN_MAX)
		return refuse(why, EINVAL, "a segment's alignment is too large");
	if (prev && p->p_vaddr < prev->vaddr + prev->memsz)
		return refuse(why, EINVAL, "segments overlap or are out of order");
	if (prev && prev->memsz > prev->filesz &&
	    ALIGN_DOWN(p->p_vaddr, PAGE) < ALIGN_UP(prev->vaddr + prev->memsz, PAGE))
		return refuse(why, EINVAL, "a segment shares a page with zeroed memory before it");
	out->segment[out->nr_segments++] = (struct elf_segment){
		.vaddr = p->p_vaddr,
		.memsz = p->p_memsz,
		.filesz = p->p_filesz,
		.off = p->p_offset,
		.prot = segment_prot(p->p_flags),
	};
	out->align = MAX(out->align, p->p_align);
	return 0;
}

static int add_interp(const Elf64_Phdr *p, struct elf_image *out, const char **why)
{
	if (out->interp_len)
		return 0; /* the first one counts */
	if (p->p_filesz < 2 || p->p_filesz > ELF_INTERP_MAX)
		return refuse(why, ENOEXEC, "the interpreter's name is empty or too long");
	out->interp_off = p->p_offset;
	out->interp_len = (uint32_t)p->p_filesz;
	return 0;
}

static int add_header(const Elf64_Phdr *p, struct elf_image *out, const char **why)
{
	switch (p->p_type) {
	case PT_LOAD:
		return add_load(p, out, why);
	case PT_INTERP:
		return add_interp(p, out, why);
	case PT_GNU_STACK:
		out->exec_stack = p->p_flags & PF_X;
		return 0;
	default:
		return 0;
	}
}

static int read_headers(const struct elf_reader *r, const Elf64_Ehdr *h, struct elf_image *out,
			const char **why)
{
	Elf64_Phdr chunk[PHDRS_CHUNK];
	uint64_t end;
	unsigned i, n;

	if (add_overflow(h->e_phoff, (uint64_t)h->e_phnum * sizeof(chunk[0]), &end) ||
	    end > INT64_MAX)
		return refuse(why, ENOEXEC, "the program headers lie outside the file");
	for (i = 0; i < h->e_phnum; i += n) {
		int ret;

		n = MIN((unsigned)h->e_phnum - i, (unsigned)PHDRS_CHUNK);
		ret = read_all(r, chunk, n * sizeof(chunk[0]),
			       h->e_phoff + i * sizeof(chunk[0]));
		if (ret < 0)
			return ret == -ENOEXEC ? refuse(why, ENOEXEC, "a truncated ELF file") : ret;
		for (unsigned k = 0; k < n; k++) {
			ret = add_header(&chunk[k], out, why);
			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

/* Where the program headers are in memory: in the segment that holds their bytes. */
static uint64_t find_phdr(const Elf64_Ehdr *h, const struct elf_image *img)
{
	uint64_t size = (uint64_t)h->e_phnum * sizeof(Elf64_Phdr);

	for (unsigned i = 0; i < img->nr_segments; i++) {
		const struct elf_segment *s = &img->segment[i];

		if (h->e_phoff >= s->off && h->e_phoff + size <= s->off + s->filesz)
			return s->vaddr + (h->e_phoff - s->off);
	}
	return 0;
}

int elf_parse(const struct elf_reader *r, struct elf_image *out, const char **why)
{
	const struct elf_segment *last;
	Elf64_Ehdr h;
	int ret;

	memset(out, 0, sizeof(*out));
	out->align = PAGE;
	ret = read_all(r, h.e_ident, SELFMAG, 0);
	if (ret == -ENOEXEC || (!ret && memcmp(h.e_ident, ELFMAG, SELFMAG)))
		return refuse(why, ENOEXEC, "neither an ELF program nor a script with a #! line");
	if (!ret)
		ret = read_all(r, &h, sizeof(h), 0);
	if (ret < 0)
		return ret == -ENOEXEC ? refuse(why, ENOEXEC, "too short to be a program") : ret;
	ret = check_header(&h, why);
	if (!ret)
		ret = read_headers(r, &h, out, why);
	if (ret)
		return ret;
	if (!out->nr_segments)
		return refuse(why, ENOEXEC, "no segment to load");
	last = &out->segment[out->nr_segments - 1];
	out->dyn = h.e_type == ET_DYN;
	out->entry = h.e_entry;
	out->phnum = h.e_phnum;
	out->phdr = find_phdr(&h, out);
	out->low = ALIGN_DOWN(out->segment[0].vaddr, PAGE);
	out->high = ALIGN_UP(last->vaddr + last->memsz, PAGE);
	if (out->entry >= MM_ADDR_MAX || (out->dyn && out->entry > out->high))
		return refuse(why, EINVAL, "the entry point lies outside the program");
	return 0;
}

int elf_read_interp(const struct elf_reader *r, const struct elf_image *img,
		    char path[ELF_INTERP_MAX], const char **why)
{
	int ret = read_all(r, path, img->interp_len, img->interp_off);

	if (ret < 0)
		return ret == -ENOEXEC ? refuse(why, ENOEXEC, "a truncated ELF file") : ret;
	if (path[img->interp_len - 1] != '\0' || !path[0])
		return refuse(why, ENOEXEC, "the interpreter's name is not terminated");
	return 0;
}
