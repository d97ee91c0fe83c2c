/* Blocking host calls of app threads, and their interruption. */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "sentry/task.h"
#include "sentry/task_int.h"

long hostcall_run(const void *flag, long nr, const long arg[6]);
extern const char hostcall_begin[], hostcall_end[], hostcall_cancelled[];

/* One before the last real-time signal unless the platform took it. */
int task_signal(void)
{
	int n = SIGRTMAX - 1;

	return n == platform_kick_signal() ? n - 1 : n;
}

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *uc = ctx;
	greg_t *rip = &uc->uc_mcontext.gregs[REG_RIP];

	if (!current || !atomic_load(&current->interrupt))
		return;
	if (*rip >= (greg_t)hostcall_begin && *rip < (greg_t)hostcall_end)
		*rip = (greg_t)hostcall_cancelled;
}

int hostcall_init(struct sbx_err **e)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	sigfillset(&sa.sa_mask);
	if (sigaction(task_signal(), &sa, NULL))
		return sbx_err_errno(e, errno, "sigaction");
	return 0;
}

struct platform_cancel hostcall_cancel(void)
{
	return (struct platform_cancel){hostcall_run, hostcall_begin, hostcall_end};
}

long task_host_call(struct task *t, long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	const long arg[6] = {a0, a1, a2, a3, a4, a5};
	long r;

	/* Ordered with task_interrupt: either it sees in_host, or the test of interrupt sees it. */
	atomic_store(&t->in_host, 1);
	r = hostcall_run(&t->interrupt, nr, arg);
	atomic_store(&t->in_host, 0);
	return r == -EINTR ? -ERESTARTSYS : r;
}

void task_interrupt(struct task *t)
{
	atomic_store(&t->interrupt, 1);
	if (atomic_load(&t->in_host))
		syscall(SYS_tgkill, getpid(), t->host_tid, task_signal());
	if (t != current && t->ctx)
		platform_kick(t->ctx);
}

int task_wait(struct task *t, _Atomic uint32_t *word, uint32_t val, int clock,
	      const struct timespec *deadline)
{
	int op = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG;
	long r;

	if (clock == CLOCK_REALTIME)
		op |= FUTEX_CLOCK_REALTIME;
	r = task_host_call(t, SYS_futex, (long)word, op, val, (long)deadline, 0,
			   (long)FUTEX_BITSET_MATCH_ANY);
	return r == -EAGAIN ? 0 : (int)r;
}

void task_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX, NULL, NULL, 0);
}
