/* sbx doctor: what this machine offers, which mode sbx takes and why, and what to do when none. */
#include <cpuid.h>
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/doctor.h"
#include "kvm/probe.h"
#include "sentry/platform.h"

static void row(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void row(const char *name, const char *fmt, ...)
{
	va_list ap;

	printf("%-16s", name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* ---- when it does not work ---- */

struct cpu {
	bool vmx, svm, virtual;
};

static struct cpu cpu_look(void)
{
	struct cpu c = {false, false, false};
	unsigned a, b, cx, d;

	if (__get_cpuid(1, &a, &b, &cx, &d)) {
		c.vmx = cx & 1u << 5;
		c.virtual = cx & 1u << 31;
	}
	if (__get_cpuid(0x80000001, &a, &b, &cx, &d))
		c.svm = cx & 1u << 2;
	return c;
}

static void advise_missing(const struct cpu *c)
{
	const char *module = c->svm ? "kvm_amd" : "kvm_intel";

	if (c->vmx || c->svm) {
		printf("The CPU has %s, so the kernel module is missing: modprobe %s\n"
		       "(Debian has it in every linux-image package). If modprobe says \"Operation "
		       "not\n"
		       "supported\", the firmware has virtualization switched off.\n",
		       c->svm ? "AMD SVM" : "Intel VMX", module);
	} else if (c->virtual) {
		printf("This is a virtual machine, and its hypervisor does not offer "
		       "virtualization to\n"
		       "its guests. Switch nested virtualization on there (libvirt: CPU mode\n"
		       "host-passthrough; cloud providers: an instance type with nested "
		       "virtualization).\n");
	} else {
		printf("The CPU announces no virtualization (VMX or SVM): switch it on in the "
		       "firmware\n"
		       "set-up (Intel: VT-x; AMD: SVM mode) and start the machine again.\n");
	}
	if (access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0)
		printf("This is a container: start it with --device /dev/kvm.\n");
}

static void advise_permission(const struct stat *st)
{
	const struct group *g = getgrgid(st->st_gid);
	const char *name = g ? g->gr_name : "kvm";

	if (st->st_gid == 0 || !(st->st_mode & 0060)) {
		printf("/dev/kvm belongs to %s and its mode is %04o, so only root may use it. As "
		       "root:\n"
		       "    groupadd -rf kvm; chgrp kvm /dev/kvm; chmod 660 /dev/kvm\n"
		       "(udev does this by itself where it runs), and then add this user to the "
		       "group:\n"
		       "    usermod -aG kvm USER\n",
		       name, st->st_mode & 07777);
		return;
	}
	printf("/dev/kvm belongs to group %s. As root: usermod -aG %s USER, then log in again\n"
	       "(`id` must list the group).\n",
	       name, name);
}

static void advise(void)
{
	struct cpu c = cpu_look();
	struct stat st;

	if (stat("/dev/kvm", &st) < 0)
		advise_missing(&c);
	else if (access("/dev/kvm", R_OK | W_OK) < 0)
		advise_permission(&st);
	else
		printf("/dev/kvm is there and may be opened, so this is about the KVM behind it. "
		       "The kernel\n"
		       "log (dmesg) may say more; a newer kernel may help.\n");
}

/* ---- when it works ---- */

static const char *yes(bool b)
{
	return b ? "yes" : "no";
}

static void print_vector(const struct kvm_facts *f)
{
	const char *what = !f->xsave		      ? "x87 and SSE only (no XSAVE)"
			   : (f->xcr0 & 0xe0) == 0xe0 ? "x87, SSE, AVX, AVX-512"
			   : f->xcr0 & 4	      ? "x87, SSE, AVX"
						      : "x87, SSE";

	row("vector state", "%s; %zu bytes (XCR0 0x%llx)%s", what, f->xsave ? f->xsave_size : 512,
	    (unsigned long long)f->xcr0,
	    f->xsave_unlisted ? "; not announced, but tried and there" : "");
}

static void print_facts(const struct kvm_facts *f)
{
	row("/dev/kvm", "opens; API %d, %u vCPUs, %u memory slots", f->api_version, f->max_vcpus,
	    f->max_slots);
	row("addresses", "%u-bit guest-physical; %llu GiB for the program", f->phys_bits,
	    (unsigned long long)(f->window_size >> 30));
	row("system calls",
	    f->syscall_entry ? "SYSCALL enters the handler in guest ring 0"
			     : "SYSCALL does not enter ring 0; it is caught as a fetch fault");
	row("ring 0",
	    f->ring0_ps >= 10000 ? "%u.%02u us per instruction: emulated"
				 : "native speed (%u.%02u us per instruction)",
	    f->ring0_ps / 1000000, f->ring0_ps / 10000 % 100);
	row("page tables", f->shadow ? "shadowed by software: changes have to be announced to KVM"
				     : "walked by hardware (nested paging)");
	print_vector(f);
	row("FSGSBASE", "%s%s", yes(f->fsgsbase),
	    f->fsgsbase_unlisted && f->fsgsbase ? "; not announced, but tried and there" : "");
	row("CPUID", f->cpuid_native ? "not trapped: programs see the host's" : "filtered");
	row("protections", "SMEP %s, SMAP %s, UMIP %s", yes(f->smep), yes(f->smap), yes(f->umip));
	if (f->tsc_shared && f->tsc_invariant)
		row("clock", "the TSC is the host's, %llu.%03llu MHz: time is read without a call",
		    (unsigned long long)f->tsc_khz / 1000, (unsigned long long)f->tsc_khz % 1000);
	else if (f->tsc_shared)
		row("clock",
		    "the TSC is the host's; the CPU does not say that it is steady: time is read without a "
		    "call once it has proved so");
	else
		row("clock", "the TSC is not the host's: time takes a system call");
	row("start-up", "%u us to create and probe the machine", f->probe_us);
}

/* The residency that `auto`, the default, takes here, and why. */
static void print_residency(const struct platform *p)
{
	const struct kvm_facts *f = kvm_facts_get(p);

	if (platform_resident(p))
		printf("Residency: auto takes guest. The sentry runs in guest ring 0, since KVM enters ring "
		       "0 by\nSYSCALL, at the processor's speed and with nested paging; it leaves the guest "
		       "only for\nwhat the host kernel has to do.\n");
	else
		printf("Residency: auto takes host. The sentry runs in the host: %s.\n",
		       f->shadow	  ? "KVM shadows page tables here, so\nmemory that the host moves "
					    "would have to be announced"
		       : !f->syscall_entry ? "SYSCALL does not enter guest ring 0"
		       : !f->tier0	  ? "guest ring 0 is emulated, so anything\nin it is slower "
					    "than leaving it"
					  : "the guest does not get all\nof the vector registers that "
					    "the sentry's libraries use");
}

static void print_mode(const struct platform *p)
{
	const struct kvm_facts *f = kvm_facts_get(p);

	if (f->tier0)
		printf("\nMode: hardware. Denied and constant system calls are answered in guest "
		       "ring 0.\n");
	else
		printf("\nMode: software KVM. %s, so\n"
		       "every verdict is taken in the host process.\n",
		       f->syscall_entry ? "Guest ring 0 is too slow to decide anything"
					: "System calls do not reach guest ring 0 by themselves");
	print_residency(p);
	printf("sbx works on this machine.\n");
}

int cli_doctor(int argc, char **argv)
{
	struct platform_opts opts = {0};
	struct platform *p = NULL;
	struct sbx_err *e = NULL;
	bool bench = false;
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--bench")) {
			fprintf(stderr,
				"sbx doctor: unknown argument '%s'\nusage: sbx doctor [--bench]\n",
				argv[i]);
			return CLI_USAGE;
		}
		bench = true;
	}
	if (platform_create(&opts, &p, &e) < 0) {
		printf("sbx cannot run programs on this machine:\n%s\n\n", e->msg);
		sbx_err_free(&e);
		advise();
		return CLI_FAILED;
	}
	print_facts(kvm_facts_get(p));
	print_mode(p);
	platform_destroy(&p);
	return bench ? doctor_bench() : CLI_OK;
}
