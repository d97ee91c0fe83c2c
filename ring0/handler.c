/* Tier 0: the verdicts that need nothing but the call's registers and the policy image. Built
 * freestanding, general registers only, linked at RING_TEXT_VA. The evaluator is compiled in here
 * as a part of this file, so that its common path costs no call and no copy. */
#include "abi/ring_abi.h"
#include "policy/eval.c"

/* What ring0_entry pushed. call.nr is the low half of RAX. */
struct entry_stack {
	union {
		struct pol_call call;
		uint64_t rax;
	};
	uint64_t rip, rflags;
};

_Static_assert(offsetof(struct entry_stack, rip) == 56, "seven words below RIP");
_Static_assert(offsetof(struct pol_call, arg) == 8, "nr and padding are one word");

unsigned ring0_syscall(struct entry_stack *s, struct ring_cpu *cpu);

_Static_assert(offsetof(struct img_verdict, value) == 8 &&
		       offsetof(struct img_verdict, rule) == 4 &&
		       offsetof(struct img_verdict, flags) == 1,
	       "a verdict's first word is a record's");

/* Appends a record; head is the verdict's first word. False when there is no room: the host must
 * take the others first. */
static inline bool record(struct ring_cpu *cpu, const struct entry_stack *s, uint64_t nr,
			  uint64_t head, int64_t result)
{
	struct ring_record *r = (struct ring_record *)cpu->next;
	uint32_t *tsc;

	if (__builtin_expect((uint64_t)r >= cpu->limit, 0))
		return false;
	r->arg[0] = s->call.arg[0];
	r->arg[1] = s->call.arg[1];
	r->arg[2] = s->call.arg[2];
	r->arg[3] = s->call.arg[3];
	r->arg[4] = s->call.arg[4];
	r->arg[5] = s->call.arg[5];
	r->rip = s->rip;
	r->nr = (uint32_t)nr;
	r->result = result;
	*(uint64_t *)&r->action = head;
	tsc = (uint32_t *)&r->tsc;
	__asm__ volatile("rdtsc" : "=a"(tsc[0]), "=d"(tsc[1]));
	cpu->next = (uint64_t)(r + 1);
	return true;
}

#define RECORDED ((uint64_t)(POL_F_LOG | POL_F_QUIET) << 8)

/* Answers the call with verdict v. False when that takes the sentry. */
static inline unsigned answer(struct entry_stack *s, struct ring_cpu *cpu,
			      const struct img_verdict *v, uint64_t nr)
{
	uint64_t head = *(const uint64_t *)v;
	uint8_t action = (uint8_t)head;
	int64_t result = v->value;

	if (__builtin_expect(action == POL_DENY, 1)) {
		result = -result;
	} else if (action == POL_ALLOW) {
		unsigned c = pol_tier0_const((const struct pol_image *)cpu->image, (uint32_t)nr);

		if (c == 0 || c >= RING_CONSTS)
			return 0;
		result = cpu->consts[c];
	} else if (action != POL_EMULATE) {
		return 0;
	}
	/* SYSRETQ faults in ring 0 on a RIP outside the user half. RIP follows an instruction that
	 * was executed in the user half, so bit 47 tells. */
	if (__builtin_expect(((const int8_t *)&s->rip)[5] < 0, 0))
		return 0;
	if (__builtin_expect((head & RECORDED) != 0, 1)) {
		if (!record(cpu, s, nr, head, result))
			return 0;
	} else {
		cpu->answered[action]++;
	}
	s->rax = (uint64_t)result;
	return 1;
}

/* Calls that a filter program decides, and unknown ones: apart, so that the others need not save
 * registers for it. */
static __attribute__((noinline)) unsigned answer_slow(struct entry_stack *s, struct ring_cpu *cpu)
{
	const struct img_verdict *v =
		find_verdict((const struct pol_image *)cpu->image,
			     (const struct img_verdict *)cpu->calls, &s->call, NULL);

	return v ? answer(s, cpu, v, s->call.nr) : 0;
}

/* Called by ring0_entry. 1: answered, s->rax is the result. 0: the sentry decides. */
unsigned ring0_syscall(struct entry_stack *s, struct ring_cpu *cpu)
{
	uint64_t nr = s->call.nr;
	const struct img_verdict *v = plain_verdict((const struct img_verdict *)cpu->calls, nr);

	return __builtin_expect(v != NULL, 1) ? answer(s, cpu, v, nr) : answer_slow(s, cpu);
}
