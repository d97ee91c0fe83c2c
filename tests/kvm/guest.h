/* Helpers for tests that run a few bytes of machine code in ring 3. */
#ifndef SBX_TESTS_KVM_GUEST_H
#define SBX_TESTS_KVM_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kvm/probe.h"
#include "sentry/platform.h"

#define CODE	    0x400000ull
#define DATA	    0x500000ull
#define STACK	    0x7fffff000000ull
#define P	    4096ull
#define GUEST_PAGES 64

/* The machine of all tests in a program; set guest_opts before the group is run. */
extern struct platform_opts guest_opts;
extern struct platform *guest_platform;
extern uint8_t *guest_window;

/* Window pages: 0 code, 1 and 2 data, 8 stack. */
struct guest {
	struct platform_as *as;
	struct platform_ctx *ctx;
	struct platform_regs *r;
	struct platform_event ev;
};

#define CODE_BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

bool guest_possible(void);
int guest_skip(void); /* says so, and returns main's value */
int guest_group_setup(void **state);
int guest_group_teardown(void **state);

void guest_open(struct guest *g, const void *code, size_t n);
void guest_close(struct guest *g);
void guest_run(struct guest *g);
void guest_expect_syscall(struct guest *g);
void guest_expect_fault(struct guest *g, unsigned vector);

#endif
