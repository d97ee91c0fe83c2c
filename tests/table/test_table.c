/* Checks policy/syscalls.def and policy/flags.def against themselves and the host's headers. */
#include <stdio.h>
#include <string.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include "policy/sysdesc.h"
#include "sentry/platform.h"
#include "tests/tap.h"

/* Calls newer than the oldest headers we build with, and ones that only old kernels define. */
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef __NR_map_shadow_stack
#define __NR_map_shadow_stack 453
#endif
#ifndef __NR_futex_wake
#define __NR_futex_wake 454
#endif
#ifndef __NR_futex_wait
#define __NR_futex_wait 455
#endif
#ifndef __NR_futex_requeue
#define __NR_futex_requeue 456
#endif
#ifndef __NR_statmount
#define __NR_statmount 457
#endif
#ifndef __NR_listmount
#define __NR_listmount 458
#endif
#ifndef __NR_lsm_get_self_attr
#define __NR_lsm_get_self_attr 459
#endif
#ifndef __NR_lsm_set_self_attr
#define __NR_lsm_set_self_attr 460
#endif
#ifndef __NR_lsm_list_modules
#define __NR_lsm_list_modules 461
#endif
#ifndef __NR_mseal
#define __NR_mseal 462
#endif

#define SYS(nr, name, class, disp, args, t0)                                                       \
	_Static_assert(nr == __NR_##name, #name " has another number");
#include "policy/syscalls.def"
#undef SYS

#define FIELD(st, name, kind, set, off, size)                                                      \
	_Static_assert(offsetof(struct st, name) == off, #st "." #name " offset");                 \
	_Static_assert(sizeof(((struct st *)0)->name) == size, #st "." #name " size");
#include "policy/structs.def"
#undef FIELD

_Static_assert((int)TIER0_PID == (int)PLATFORM_CONST_PID, "tier0");
_Static_assert((int)TIER0_TID == (int)PLATFORM_CONST_TID, "tier0");
_Static_assert((int)TIER0_PPID == (int)PLATFORM_CONST_PPID, "tier0");
_Static_assert((int)TIER0_UID == (int)PLATFORM_CONST_UID, "tier0");
_Static_assert((int)TIER0_EUID == (int)PLATFORM_CONST_EUID, "tier0");
_Static_assert((int)TIER0_GID == (int)PLATFORM_CONST_GID, "tier0");
_Static_assert((int)TIER0_EGID == (int)PLATFORM_CONST_EGID, "tier0");

/* A row whose flaw is returned, or NULL. */
static const char *row_flaw(const struct sys_desc *d)
{
	for (unsigned i = 0; i < d->nargs; i++) {
		const struct sys_arg *a = &d->arg[i];
		int ref = sysdesc_ref(d, i);

		if (a->ref && ref < 0)
			return "a length reference names no argument";
		if (ref >= 0 && d->arg[ref].kind != ARG_LEN && d->arg[ref].kind != ARG_UINT)
			return "a length reference is not a LEN";
		for (unsigned j = 0; j < i; j++)
			if (!strcmp(d->arg[j].name, a->name))
				return "two arguments have one name";
		if (a->kind == ARG_STRUCT && !sysdesc_struct_size(a->strct))
			return "a structure has no fields";
		if ((a->kind == ARG_FLAGS || a->kind == ARG_ENUM || a->kind == ARG_CMD) && !a->set)
			return "flags without a set";
	}
	return NULL;
}

static void test_rows(void)
{
	const struct sys_desc *prev = NULL, *d;

	for (size_t i = 0; (d = sysdesc_at(i)); i++) {
		const char *flaw = row_flaw(d);
		int groups = 0;

		for (int g = 0; g < (int)sysgroup_count(); g++)
			groups += sysgroup_has(g, d->nr);
		if (prev && prev->nr >= d->nr)
			flaw = "rows are not sorted";
		else if (!groups)
			flaw = "is in no group";
		else if (d->nr >= SYS_TABLE_SIZE)
			flaw = "number too large";
		else if (sysdesc_by_nr(d->nr) != d || sysdesc_by_name(d->name) != d)
			flaw = "cannot be looked up";
		check(!flaw, "%u %s%s%s", d->nr, d->name, flaw ? ": " : "", flaw ? flaw : "");
		prev = d;
	}
	check(sysdesc_count() == 374, "374 calls, as in Linux 6.12");
	check(!sysdesc_by_nr(335) && !sysdesc_by_nr(423) && !sysdesc_by_nr(463),
	      "gaps are unknown");
}

static void test_constants(void)
{
	const char *name, *bad = NULL;
	uint64_t v, first;
	size_t n = 0;

	for (; (name = sysconst_at(CS_NONE, n, &v)); n++)
		if (!sysconst_find(name, &first) || first != v)
			bad = name;
	check(!bad, "each of %zu constants has one value%s%s", n, bad ? ": " : "", bad ? bad : "");
	for (int s = 1; s < CS_MAX; s++)
		check(sysconst_at(s, 0, NULL) != NULL, "set %s has members", sysconst_set_name(s));
}

static void test_split(void)
{
	const char *n[8];
	uint64_t rest;
	size_t k;

	k = sysconst_split(CS_open_flags, 02000101 | 04000000000000ull, n, 8, &rest);
	check(k == 3 && !strcmp(n[0], "O_WRONLY") && rest == 04000000000000ull, "open flags split");
	k = sysconst_split(CS_open_flags, 04010000, n, 8, &rest);
	check(k == 2 && !strcmp(n[0], "O_RDONLY") && !strcmp(n[1], "O_SYNC"),
	      "O_SYNC covers O_DSYNC");
	k = sysconst_split(CS_prot, 0, n, 8, &rest);
	check(k == 1 && !strcmp(n[0], "PROT_NONE"), "no protection has a name");
	k = sysconst_split(CS_socket_type, 02000002, n, 8, &rest);
	check(k == 2 && !strcmp(n[0], "SOCK_DGRAM") && !strcmp(n[1], "SOCK_CLOEXEC"),
	      "socket type");
	k = sysconst_split(CS_ioctl_cmd, 0x5401, n, 8, &rest);
	check(k == 1 && !strcmp(n[0], "TCGETS") && !rest, "an enumeration is one name");
	k = sysconst_split(CS_ioctl_cmd, 0x12345, n, 8, &rest);
	check(k == 0 && rest == 0x12345, "a value without a name stays a number");
}

static void test_values(void)
{
	check(sysdesc_value(ARG_FD, 0xdeadbeef00000001) == 1, "an fd is its low half");
	check(sysdesc_value(ARG_FD, 0xffffffff) == ~0ull, "an fd is signed");
	check(sysdesc_value(ARG_FLAGS, 0x1ffffffff) == 0xffffffff, "flags are unsigned");
	check(sysdesc_value(ARG_LEN, ~0ull) == ~0ull, "a length has 64 bits");
}

int main(void)
{
	test_rows();
	test_constants();
	test_split();
	test_values();
	printf("1..%u\n", tap_tests);
	return tap_failed != 0;
}
