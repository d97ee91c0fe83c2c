/* Clocks may not be set: what is said to a user without the right to do so. */
#include <errno.h>
#include <sys/time.h>
#include "sentry/sys.h"
#include "sentry/timer.h"

/* Numbers of clocks that exist: those that can be read. */
static bool exists(struct task *t, int clock)
{
	uint64_t ns;

	return !clock_read(t, clock, &ns);
}

long sys_settimeofday(struct task *t, struct sysargs *a)
{
	struct timeval tv = {0};
	int tz[2];

	if (a->raw[0] && gmem_read(t->proc->mm, &tv, A_PTR(a, 0), sizeof(tv)))
		return -EFAULT;
	if (tv.tv_usec < 0 || tv.tv_usec > 1000000 || tv.tv_sec < 0)
		return -EINVAL;
	if (a->raw[1] && gmem_read(t->proc->mm, tz, A_PTR(a, 1), sizeof(tz)))
		return -EFAULT;
	return -EPERM;
}

long sys_clock_settime(struct task *t, struct sysargs *a)
{
	struct timespec ts;

	if (A_INT(a, 0) > 0 && A_INT(a, 0) != CLOCK_PROCESS_CPUTIME_ID &&
	    A_INT(a, 0) != CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	if (gmem_read(t->proc->mm, &ts, A_PTR(a, 1), sizeof(ts)))
		return -EFAULT;
	if (!exists(t, A_INT(a, 0)) || !timespec_valid(&ts))
		return -EINVAL;
	return -EPERM;
}
