/* Who has a number: tasks by thread number, processes by process number. */
#include "sentry/task_int.h"

#define BUCKETS 4096u /* a power of two; numbers are handed out in order */

/* Held for a few instructions only; comes after all other locks of tasks and processes. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct proc *procs[BUCKETS];
static struct task *tasks[BUCKETS];

void ids_add_proc(struct proc *p)
{
	struct proc **head = &procs[(unsigned)p->pid % BUCKETS];

	pthread_mutex_lock(&lock);
	p->id_next = *head;
	*head = p;
	p->has_id = true;
	pthread_mutex_unlock(&lock);
}

void ids_del_proc(struct proc *p)
{
	struct proc **at = &procs[(unsigned)p->pid % BUCKETS];

	pthread_mutex_lock(&lock);
	while (*at && *at != p)
		at = &(*at)->id_next;
	if (*at)
		*at = p->id_next;
	p->has_id = false;
	pthread_mutex_unlock(&lock);
}

void ids_change_proc(struct proc *p, int pid)
{
	bool had = p->has_id;

	if (had)
		ids_del_proc(p);
	p->pid = pid;
	if (had)
		ids_add_proc(p);
}

static void task_link(struct task *t)
{
	struct task **head = &tasks[(unsigned)t->tid % BUCKETS];

	t->id_next = *head;
	*head = t;
}

static void task_unlink(struct task *t)
{
	struct task **at = &tasks[(unsigned)t->tid % BUCKETS];

	while (*at && *at != t)
		at = &(*at)->id_next;
	if (*at)
		*at = t->id_next;
}

void ids_add_task(struct task *t)
{
	pthread_mutex_lock(&lock);
	task_link(t);
	pthread_mutex_unlock(&lock);
}

void ids_del_task(struct task *t)
{
	pthread_mutex_lock(&lock);
	task_unlink(t);
	pthread_mutex_unlock(&lock);
}

void ids_change_task(struct task *t, int tid)
{
	pthread_mutex_lock(&lock);
	task_unlink(t);
	t->tid = tid;
	task_link(t);
	pthread_mutex_unlock(&lock);
}

struct proc *proc_by_pid(int pid)
{
	struct proc *p;

	pthread_mutex_lock(&lock);
	for (p = procs[(unsigned)pid % BUCKETS]; p && p->pid != pid; p = p->id_next)
		;
	if (p)
		proc_get(p);
	pthread_mutex_unlock(&lock);
	return p;
}

/* A task whose process is still being made, or is gone, is nobody's business. */
struct task *task_by_tid(int tid)
{
	struct task *t;

	pthread_mutex_lock(&lock);
	for (t = tasks[(unsigned)tid % BUCKETS]; t; t = t->id_next)
		if (t->tid == tid && t->proc->has_id)
			break;
	if (t)
		task_get(t);
	pthread_mutex_unlock(&lock);
	return t;
}
