/* Tier 0: the verdicts that need nothing but the call's registers and the policy image. Built
 * freestanding, general registers only, linked at RING_TEXT_VA. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi/ring_abi.h"
#include "policy/eval.h"

/* What ring0_entry pushed. call.nr is the low half of RAX. */
struct entry_stack {
	union {
		struct pol_call call;
		uint64_t rax;
	};
	struct ring_frame frame;
};

_Static_assert(offsetof(struct entry_stack, frame) == 56, "seven words below the frame");
_Static_assert(offsetof(struct pol_call, arg) == 8, "nr and padding are one word");

unsigned ring0_syscall(struct entry_stack *s, struct ring_cpu *cpu);

/* Fallbacks until the evaluator is linked in: nothing is decided here. */
__attribute__((weak)) bool pol_eval_call(const struct pol_image *img, uint32_t phase,
					 const struct pol_call *call, const struct pol_env *env,
					 struct pol_verdict *v)
{
	return false;
}

__attribute__((weak)) unsigned pol_tier0_const(const struct pol_image *img, uint32_t nr)
{
	return 0;
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* Appends a record. False when the ring is full: the sentry must drain it first. */
static inline bool record(struct ring_cpu *cpu, const struct entry_stack *s,
			  const struct pol_verdict *v, int64_t result)
{
	uint32_t head = cpu->head;
	struct ring_record *r;

	if (head - cpu->tail >= RING_RECORDS)
		return false;
	r = (struct ring_record *)((char *)cpu + RING_CPU_RECORDS) + head % RING_RECORDS;
	r->arg[0] = s->call.arg[0];
	r->arg[1] = s->call.arg[1];
	r->arg[2] = s->call.arg[2];
	r->arg[3] = s->call.arg[3];
	r->arg[4] = s->call.arg[4];
	r->arg[5] = s->call.arg[5];
	r->rip = s->frame.rip;
	r->tsc = rdtsc();
	r->nr = s->call.nr;
	r->rule = v->rule;
	r->result = result;
	r->action = v->action;
	cpu->head = head + 1;
	return true;
}

/* Called by ring0_entry. 1: answered, s->rax is the result. 0: the sentry decides. */
unsigned ring0_syscall(struct entry_stack *s, struct ring_cpu *cpu)
{
	const struct pol_image *img = (const struct pol_image *)cpu->image;
	struct pol_verdict v;
	int64_t result;
	unsigned c;

	/* SYSRETQ faults in ring 0 on a RIP outside the user half. */
	if (!img || s->frame.rip >> 47)
		return 0;
	if (!pol_eval_call(img, cpu->phase, &s->call, NULL, &v))
		return 0;
	if (v.action == POL_DENY) {
		result = -v.value;
	} else if (v.action == POL_EMULATE) {
		result = v.value;
	} else if (v.action == POL_ALLOW) {
		c = pol_tier0_const(img, s->call.nr);
		if (c == 0 || c >= RING_CONSTS)
			return 0;
		result = cpu->consts[c];
	} else {
		return 0;
	}
	if ((v.flags & (POL_F_LOG | POL_F_QUIET)) && !record(cpu, s, &v, result))
		return 0;
	cpu->answered[v.action]++;
	s->rax = (uint64_t)result;
	return 1;
}
