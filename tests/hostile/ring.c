/* Tries to leave ring 3. Each attempt must end in the signal that Linux gives: status 139 (SIGSEGV),
 * 132 (SIGILL), 133 (SIGTRAP) or 136 (SIGFPE). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void do_hlt(void) { __asm__ volatile("hlt"); }
static void do_cli(void) { __asm__ volatile("cli"); }
static void do_sti(void) { __asm__ volatile("sti"); }
static void do_in(void) { __asm__ volatile("inb $0x60, %%al" ::: "rax"); }
static void do_out(void) { __asm__ volatile("outb %%al, $0x80" ::: "rax"); }
static void do_wrmsr(void) { __asm__ volatile("wrmsr" ::"c"(0xc0000082), "a"(0), "d"(0)); }
static void do_rdmsr(void) { uint32_t a, d; __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(0xc0000082)); }
static void do_lgdt(void) { char b[10] = {0}; __asm__ volatile("lgdt %0" ::"m"(b)); }
static void do_lidt(void) { char b[10] = {0}; __asm__ volatile("lidt %0" ::"m"(b)); }
static void do_ltr(void) { __asm__ volatile("ltr %%ax" ::"a"(0x28)); }
static void do_cr3(void) { uint64_t v; __asm__ volatile("mov %%cr3, %0" : "=r"(v)); }
static void do_setcr3(void) { __asm__ volatile("mov %0, %%cr3" ::"r"(0ul)); }
static void do_dr7(void) { __asm__ volatile("mov %0, %%dr7" ::"r"(0x401ul)); }
static void do_invlpg(void) { __asm__ volatile("invlpg (%0)" ::"r"(0ul)); }
static void do_swapgs(void) { __asm__ volatile("swapgs"); }
static void do_sysret(void) { __asm__ volatile("sysretq" ::"c"(0ul)); }
static void do_iret(void)
{
	/* To ring 0's code selector: must not work. */
	__asm__ volatile("pushq $0\n\tpushq %%rsp\n\tpushfq\n\tpushq $0x08\n\tleaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\tiretq\n1:" ::: "rax", "memory");
}
static void do_int3(void) { __asm__ volatile("int3"); }
static void do_int0(void) { __asm__ volatile("int $0"); }
static void do_int14(void) { __asm__ volatile("int $14"); }
static void do_int32(void) { __asm__ volatile("int $32"); }
static void do_ud2(void) { __asm__ volatile("ud2"); }
static void do_div(void) { __asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; div %%edx" ::: "rax", "rdx"); }
static void jump(uint64_t to) { __asm__ volatile("jmp *%0" ::"r"(to)); }
static void do_upper(void) { jump(0xffffffff80000000ull); }
static void do_upper2(void) { jump(0xffff800000000000ull); }
static void do_noncanonical(void) { jump(0x0000800000000000ull); }
static void do_readupper(void) { *(volatile char *)0xffffffff80000000ull; }
static void do_writeupper(void) { *(volatile char *)0xffffffff80001000ull = 1; }
static void do_badstack(void) { __asm__ volatile("mov %0, %%rsp; push %%rax" ::"r"(0xffffffff80001000ull)); }
static void do_farjmp(void)
{
	struct { uint32_t off; uint16_t sel; } __attribute__((packed)) p = {0, 0x08};
	__asm__ volatile("ljmp *%0" ::"m"(p));
}
static void do_ldtsel(void) { __asm__ volatile("mov %%ax, %%ds" ::"a"(0x7f)); }

static const struct {
	const char *name;
	void (*run)(void);
} attempts[] = {
	{"hlt", do_hlt}, {"cli", do_cli}, {"sti", do_sti}, {"in", do_in}, {"out", do_out},
	{"wrmsr", do_wrmsr}, {"rdmsr", do_rdmsr}, {"lgdt", do_lgdt}, {"lidt", do_lidt}, {"ltr", do_ltr},
	{"cr3", do_cr3}, {"setcr3", do_setcr3}, {"dr7", do_dr7}, {"invlpg", do_invlpg},
	{"swapgs", do_swapgs}, {"sysret", do_sysret}, {"iret", do_iret}, {"int3", do_int3},
	{"int0", do_int0}, {"int14", do_int14}, {"int32", do_int32}, {"ud2", do_ud2}, {"div", do_div},
	{"upper", do_upper}, {"upper2", do_upper2},
	{"noncanonical", do_noncanonical}, {"readupper", do_readupper}, {"writeupper", do_writeupper},
	{"badstack", do_badstack}, {"farjmp", do_farjmp}, {"ldtsel", do_ldtsel},
};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
		if (argc < 2)
			puts(attempts[i].name);
		else if (!strcmp(argv[1], attempts[i].name))
			attempts[i].run();
	}
	return argc < 2 ? 0 : 99; /* 99: the instruction went through */
}
