/* Tier 0: the verdicts that need nothing but the call's registers and the policy image. Built
 * freestanding, general registers only, linked at RING_TEXT_VA. The evaluator is compiled in here
 * as a part of this file, so that its common path costs no call and no copy. */
#include "abi/ring_abi.h"
#include "policy/eval.c"

/* This vCPU's block: GS is its address while ring 0 works for the app. */
#define CPU ((struct ring_cpu __seg_gs *)0)

/* A function that saves whatever register it uses, so that its caller need not. */
#define KEEPS_REGISTERS __attribute__((no_caller_saved_registers))

uint64_t ring0_syscall(void) KEEPS_REGISTERS;
uint64_t ring0_syscall_slow(const struct pol_call *call);

_Static_assert(offsetof(struct pol_call, arg) == 8, "nr and padding are one word");
_Static_assert(offsetof(struct img_verdict, value) == 8 &&
		       offsetof(struct img_verdict, rule) == 4 &&
		       offsetof(struct img_verdict, flags) == 1,
	       "a verdict's first word is a record's");

/* Begins a record; head is the verdict's first word. The entry adds what is in the app's registers
 * and appends it. No room: the host must take the others first. */
static inline uint64_t record(uint64_t nr, uint64_t head, int64_t result)
{
	struct ring_record *r = (struct ring_record *)CPU->next;

	if (__builtin_expect((uint64_t)r >= CPU->limit, 0))
		return RING_FORWARD;
	r->nr = (uint32_t)nr;
	r->result = result;
	*(uint64_t *)&r->action = head;
	return (uint64_t)r;
}

#define RECORDED ((uint64_t)(POL_F_LOG | POL_F_QUIET) << 8)

/* Answers the call with verdict v. */
static inline uint64_t answer(uint64_t nr, const struct img_verdict *v)
{
	uint64_t head = *(const uint64_t *)v;
	uint8_t action = (uint8_t)head;
	int64_t result = v->value;

	if (__builtin_expect(action == POL_DENY, 1)) {
		result = -result;
	} else if (action == POL_ALLOW) {
		unsigned c = pol_tier0_const((const struct pol_image *)CPU->image, (uint32_t)nr);

		if (c == 0 || c >= RING_CONSTS)
			return RING_FORWARD;
		result = CPU->consts[c];
	} else if (action != POL_EMULATE) {
		return plain_verdict(v) ? RING_FORWARD : RING_SLOW;
	}
	if (__builtin_expect((head & RECORDED) != 0, 1))
		return record(nr, head, result);
	CPU->answered[action]++;
	CPU->user_rax = (uint64_t)result;
	return RING_ANSWERED;
}

/* The entry asks this first. Returns one of RING_FORWARD, RING_SLOW, RING_ANSWERED with the result in
 * user_rax, or the address of a record that holds the result. */
uint64_t ring0_syscall(void)
{
	uint64_t nr = CPU->user_nr;

	if (!in_table(nr))
		return RING_SLOW;
	return answer(nr, (const struct img_verdict *)CPU->calls + nr);
}

/* Then this, for calls that a filter program decides, and unknown ones: apart, so that the others
 * need not save registers for it. Returns the same, but for RING_SLOW. */
uint64_t ring0_syscall_slow(const struct pol_call *call)
{
	const struct img_verdict *v =
		find_verdict((const struct pol_image *)CPU->image,
			     (const struct img_verdict *)CPU->calls, call, NULL);

	return v ? answer(call->nr, v) : RING_FORWARD;
}
