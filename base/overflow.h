/* Checked size arithmetic: each returns true when the result did NOT fit. */
#ifndef SBX_BASE_OVERFLOW_H
#define SBX_BASE_OVERFLOW_H

#define add_overflow(a, b, out) __builtin_add_overflow(a, b, out)
#define sub_overflow(a, b, out) __builtin_sub_overflow(a, b, out)
#define mul_overflow(a, b, out) __builtin_mul_overflow(a, b, out)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(x, a)	 (((x) + ((a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) min_a_ = (a);                                                        \
		__typeof__(b) min_b_ = (b);                                                        \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) max_a_ = (a);                                                        \
		__typeof__(b) max_b_ = (b);                                                        \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-__builtin_offsetof(type, member)))

#endif
