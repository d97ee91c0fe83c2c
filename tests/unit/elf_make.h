/* Small ELF files for tests, built in memory. */
#ifndef SBX_TESTS_ELF_MAKE_H
#define SBX_TESTS_ELF_MAKE_H

#include <elf.h>
#include <string.h>

#define ELF_MAKE_PHDRS 8
#define ELF_MAKE_SIZE  0x3000

struct elf_make {
	union {
		struct {
			Elf64_Ehdr h;
			Elf64_Phdr p[ELF_MAKE_PHDRS];
		};
		unsigned char bytes[ELF_MAKE_SIZE];
	};
};

/* A position-independent program: text in the first page, data with zeroed memory after it. */
static inline void elf_make(struct elf_make *e)
{
	memset(e, 0, sizeof(*e));
	memcpy(e->h.e_ident, ELFMAG, SELFMAG);
	e->h.e_ident[EI_CLASS] = ELFCLASS64;
	e->h.e_ident[EI_DATA] = ELFDATA2LSB;
	e->h.e_ident[EI_VERSION] = EV_CURRENT;
	e->h.e_type = ET_DYN;
	e->h.e_machine = EM_X86_64;
	e->h.e_version = EV_CURRENT;
	e->h.e_entry = 0x800;
	e->h.e_phoff = sizeof(e->h);
	e->h.e_ehsize = sizeof(e->h);
	e->h.e_phentsize = sizeof(Elf64_Phdr);
	e->h.e_phnum = 3;
	e->p[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 0x1000,
			       .p_memsz = 0x1000, .p_align = 0x1000};
	e->p[1] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 0x1200,
			       .p_vaddr = 0x2200, .p_filesz = 0x500, .p_memsz = 0x3000,
			       .p_align = 0x1000};
	e->p[2] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
	for (int i = 0; i < 0x500; i++)
		e->bytes[0x1200 + i] = (unsigned char)(i * 7 + 1);
}

#endif
