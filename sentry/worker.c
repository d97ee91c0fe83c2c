/* Host threads that run tasks. When a task ends, its thread waits for another together with the vCPU that it
 * ran: a new thread costs a stack, and a vCPU that is run by another thread than before makes KVM wait for a grace
 * period (synchronize_rcu in kvm_vcpu_ioctl, until Linux 6.12), which takes many milliseconds. */
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sentry/task.h"
#include "sentry/task_int.h"

#define TASK_STACK  (256u << 10)
#define WORKERS_MAX 128 /* that wait */

struct worker {
	_Atomic uint32_t posted;
	struct task *next; /* when posted; NULL: end */
};

static atomic_int waiting;

static void post(struct worker *w, struct task *t)
{
	atomic_fetch_sub(&waiting, 1);
	w->next = t;
	atomic_store(&w->posted, 1);
	syscall(SYS_futex, &w->posted, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static struct task *take(struct worker *w)
{
	while (!atomic_load(&w->posted))
		syscall(SYS_futex, &w->posted, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	atomic_store(&w->posted, 0);
	return w->next;
}

bool worker_release(struct platform_ctx *ctx, bool keep)
{
	if (keep && atomic_fetch_add(&waiting, 1) >= WORKERS_MAX) {
		atomic_fetch_sub(&waiting, 1);
		keep = false;
	}
	if (!keep)
		*platform_ctx_worker(ctx) = NULL;
	platform_ctx_destroy(&ctx); /* another task may be posted from here on */
	return keep;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct task *t;

	while ((t = take(w)) && task_main(t))
		;
	free(w);
	return NULL;
}

static int start_thread(struct worker *w)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, TASK_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	return -r;
}

int task_start(struct task *t)
{
	struct worker **place = (struct worker **)platform_ctx_worker(t->ctx), *w = *place;
	int r;

	if (w && !t->host_sched) {
		post(w, t);
		return 0;
	}
	if (w) /* the new thread is to inherit what this one has */
		post(w, NULL);
	*place = NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->next = t;
	w->posted = 1;
	*place = w;
	r = start_thread(w);
	if (r) {
		*place = NULL;
		free(w);
	}
	return r;
}
