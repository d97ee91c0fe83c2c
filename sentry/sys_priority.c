/* Nice values and I/O priorities: of a thread, of a process group's, of a user's threads. */
#include <errno.h>
#include <linux/ioprio.h>
#include <sys/resource.h>
#include "sentry/sched.h"
#include "sentry/sys.h"

#define NONE_FOUND   INT32_MIN
#define PRIO_DATA    0x1fff
#define IOPRIO_WORST 0x7fff

void sched_set_nice(struct task *o, int nice)
{
	o->nice = nice;
	o->host_sched = true;
	if (o->host_tid)
		setpriority(PRIO_PROCESS, (id_t)o->host_tid, nice);
}

void sched_inherit(const struct task *t, struct task *n)
{
	n->ioprio = t->ioprio;
	n->nice = t->sched_reset_on_fork ? MAX(t->nice, 0) : t->nice;
	n->sched_policy = t->sched_policy;
	n->host_sched = t->host_sched;
}

/* ---- those that a call is about ---- */

struct each { /* which threads, and what is done with them */
	struct task *t;
	int which, who; /* PRIO_* */
	int value;
	int (*fn)(struct each *e, struct task *o); /* with its process's lock */
	int of_init; /* what there is to say of process 1 */
	int result; /* NONE_FOUND: there was none */
};

static bool process_matches(const struct each *e, const struct proc *p)
{
	if (p->zombie)
		return false;
	if (e->which == PRIO_PGRP)
		return p->pgid == (e->who ? e->who : e->t->proc->pgid);
	return p->uid == (e->who ? (uint32_t)e->who : e->t->proc->uid);
}

static void visit(struct each *e, struct task *o)
{
	int r = e->fn(e, o);

	e->result = e->result == NONE_FOUND || r < 0 ? r : e->result < 0 ? e->result : MAX(e->result, r);
}

static int for_each(struct each *e)
{
	struct task *o;
	struct proc *p;

	e->result = NONE_FOUND;
	if (e->which == PRIO_PROCESS) {
		o = e->who ? task_by_tid(e->who) : task_get(e->t);
		if (o) {
			pthread_mutex_lock(&o->proc->lock);
			visit(e, o);
			pthread_mutex_unlock(&o->proc->lock);
		}
		task_put(o);
		if (e->result == NONE_FOUND && e->who == 1) /* sbx itself */
			return e->of_init;
		return e->result == NONE_FOUND ? -ESRCH : e->result;
	}
	pthread_mutex_lock(&sandbox.lock);
	list_for_each(p, &sandbox.procs, node) {
		if (!process_matches(e, p))
			continue;
		pthread_mutex_lock(&p->lock);
		list_for_each(o, &p->tasks, node)
			visit(e, o);
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_unlock(&sandbox.lock);
	return e->result == NONE_FOUND ? -ESRCH : e->result;
}

/* ---- nice values ---- */

static int get_nice(struct each *e, struct task *o)
{
	return 20 - o->nice;
}

static int set_nice(struct each *e, struct task *o)
{
	if (!proc_may_touch(e->t, o->proc))
		return -EPERM;
	if (e->value < o->nice && !sched_can_nice(o, e->value))
		return -EACCES;
	sched_set_nice(o, e->value);
	return 0;
}

static bool known_which(int which)
{
	return which == PRIO_PROCESS || which == PRIO_PGRP || which == PRIO_USER;
}

long sys_getpriority(struct task *t, struct sysargs *a)
{
	struct each e = {.t = t, .which = A_INT(a, 0), .who = A_INT(a, 1), .fn = get_nice, .of_init = 20};

	return known_which(e.which) ? for_each(&e) : -EINVAL;
}

long sys_setpriority(struct task *t, struct sysargs *a)
{
	struct each e = {.t = t, .which = A_INT(a, 0), .who = A_INT(a, 1), .fn = set_nice, .of_init = -EPERM};

	e.value = MAX(-20, MIN(19, A_INT(a, 2)));
	return known_which(e.which) ? for_each(&e) : -EINVAL;
}

/* ---- I/O priorities: kept and told; the host's are not changed ---- */

static int set_ioprio(struct each *e, struct task *o)
{
	if (!proc_may_touch(e->t, o->proc))
		return -EPERM;
	o->ioprio = e->value;
	return 0;
}

static int get_ioprio(struct each *e, struct task *o)
{
	return o->ioprio;
}

/* The better of two is the smaller number; without a class it counts as best effort, level 4. */
static int best_ioprio(struct each *e, struct task *o)
{
	return IOPRIO_WORST - (o->ioprio ? o->ioprio : (IOPRIO_CLASS_BE << IOPRIO_CLASS_SHIFT | 4));
}

static int which_of(int ioprio_who)
{
	switch (ioprio_who) {
	case IOPRIO_WHO_PROCESS:
		return PRIO_PROCESS;
	case IOPRIO_WHO_PGRP:
		return PRIO_PGRP;
	case IOPRIO_WHO_USER:
		return PRIO_USER;
	default:
		return -1;
	}
}

long sys_ioprio_set(struct task *t, struct sysargs *a)
{
	struct each e = {.t = t, .which = which_of(A_INT(a, 0)), .who = A_INT(a, 1), .fn = set_ioprio};
	int class = A_INT(a, 2) >> IOPRIO_CLASS_SHIFT, data = A_INT(a, 2) & PRIO_DATA;

	e.value = A_INT(a, 2);
	e.of_init = -EPERM;
	if (class == IOPRIO_CLASS_RT)
		return -EPERM;
	if ((class != IOPRIO_CLASS_NONE || data) && class != IOPRIO_CLASS_BE && class != IOPRIO_CLASS_IDLE)
		return -EINVAL;
	return e.which < 0 ? -EINVAL : for_each(&e);
}

long sys_ioprio_get(struct task *t, struct sysargs *a)
{
	struct each e = {.t = t, .which = which_of(A_INT(a, 0)), .who = A_INT(a, 1), .fn = get_ioprio};
	int r;

	if (e.which < 0)
		return -EINVAL;
	if (e.which == PRIO_PROCESS)
		return for_each(&e);
	e.fn = best_ioprio;
	r = for_each(&e);
	return r < 0 ? r : IOPRIO_WORST - r;
}
