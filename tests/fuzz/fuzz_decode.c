/* A system call from anywhere: registers and app memory are the input; decoding keeps its promises.
 */
#include <stdlib.h>
#include <string.h>
#include "sentry/decode.h"
#include "tests/unit/task_fixture.h"

#define MEM_SIZE 8192u

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

static void expect(bool ok)
{
	if (!ok)
		abort();
}

/* Registers that point into the mapping are likelier than chance makes them. */
static uint64_t reg_value(const unsigned char *b, uint64_t mem)
{
	uint64_t v;

	memcpy(&v, b, sizeof(v));
	return (v & 0xff) < 160 ? mem + (v >> 8) % MEM_SIZE : v;
}

static void check(const struct sysargs *a)
{
	int i;

	expect(a->npaths >= 0 && a->npaths <= SYS_MAX_PATHS);
	for (i = 0; i < a->npaths; i++) {
		expect(!a->path[i].str || strlen(a->path[i].str) < PATH_MAX);
		expect(a->path[i].err <= 0);
	}
	expect(a->addr_len <= sizeof(a->addr));
	expect(strlen(a->str) < PATH_MAX);
	expect(a->strct_err <= 0 && a->addr_err <= 0 && a->str_err <= 0);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	static struct task *t;
	static uint64_t mem;
	struct platform_regs *r;
	struct sysargs *a;
	uint32_t nr;

	if (!t) {
		t = task_fixture_start();
		mem = task_fixture_map(t, MEM_SIZE);
	}
	if (len < 52)
		return 0;
	memcpy(&nr, data, sizeof(nr));
	nr %= SYS_TABLE_SIZE + 8;
	r = t->regs;
	r->rdi = reg_value(data + 4, mem);
	r->rsi = reg_value(data + 12, mem);
	r->rdx = reg_value(data + 20, mem);
	r->r10 = reg_value(data + 28, mem);
	r->r8 = reg_value(data + 36, mem);
	r->r9 = reg_value(data + 44, mem);
	gmem_zero(t->proc->mm, gptr_at(mem), MEM_SIZE);
	gmem_write(t->proc->mm, gptr_at(mem), data + 52, MIN(len - 52, (size_t)MEM_SIZE));
	a = decode_begin(t, nr, sysdesc_by_nr(nr));
	check(a);
	decode_end(t, a);
	return 0;
}
