/* ELF64 programs: checks everything the loader uses. Pure: reads through a callback, touches nothing
 * else, so that it can be fuzzed. */
#ifndef SBX_SENTRY_ELF_H
#define SBX_SENTRY_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ELF_MAX_SEGMENTS 64
#define ELF_INTERP_MAX	 4096

struct elf_reader {
	/* Reads at most n bytes at off: the count, 0 at the end, or -errno. */
	ssize_t (*read)(void *arg, void *buf, size_t n, uint64_t off);
	void *arg;
};

struct elf_segment {
	uint64_t vaddr, memsz, filesz, off;
	int prot; /* PROT_* */
};

struct elf_image {
	bool dyn;	  /* ET_DYN: may be placed anywhere */
	bool exec_stack;  /* PT_GNU_STACK asks for an executable stack */
	uint64_t entry;
	uint64_t phdr;	  /* address of the program headers when loaded; 0: not loaded */
	uint16_t phnum;
	uint64_t low, high; /* [low, high): page-aligned span of all segments */
	uint64_t align;	  /* largest segment alignment, at least a page */
	unsigned nr_segments;
	struct elf_segment segment[ELF_MAX_SEGMENTS]; /* ascending, not overlapping */
	uint64_t interp_off;
	uint32_t interp_len; /* with its NUL; 0: no interpreter */
};

/* Parses and checks. 0; -ENOEXEC or -EINVAL with *why a static sentence; or the reader's error. */
int elf_parse(const struct elf_reader *r, struct elf_image *out, const char **why);

/* Reads the interpreter's path, NUL-terminated, of an image that has one. */
int elf_read_interp(const struct elf_reader *r, const struct elf_image *img,
		    char path[ELF_INTERP_MAX], const char **why);

#endif
