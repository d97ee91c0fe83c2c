/* Random policies as text, and what to ask of them: for tests that compare what reads a policy. */
#ifndef TESTS_UNIT_RANDOM_POLICY_H
#define TESTS_UNIT_RANDOM_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/overflow.h"
#include "policy/sysdesc.h"

/* ---- random numbers: splitmix64, the same everywhere ---- */

extern uint64_t random_state;

static inline uint64_t rnd(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline unsigned pick(unsigned n)
{
	return (unsigned)(rnd() % n);
}

static inline bool chance(unsigned percent)
{
	return pick(100) < percent;
}

#define PICK(array) ((array)[pick(ARRAY_SIZE(array))])

/* ---- policies ---- */

/* The folder of the file that random policies use: a template for mkdtemp before the first. */
#define RANDOM_DIR_SIZE 21
extern char random_policy_dir[RANDOM_DIR_SIZE];

/* Appends a policy, which may contradict itself. Writes part.pol, which it may use. */
void random_policy(struct buf *b);

/* A call and a path that policies speak of; a value at or around those that the last one names, with
 * and without garbage in the upper half. */
const struct sys_desc *random_call(void);
const char *random_path(void);

/* Arguments of a program; returns how many. */
#define RANDOM_ARGV 5
unsigned random_argv(const char *argv[RANDOM_ARGV]);
uint64_t random_value(void);

#endif
