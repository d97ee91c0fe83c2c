/* Signals for readiness. Files with O_ASYNC are in one epoll of the host, edge by edge; the thread that
 * keeps house waits for it and sends the signals. */
#include "sentry/async.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "base/list.h"
#include "sentry/file.h"
#include "sentry/signal.h"
#include "sentry/task.h"

#define BATCH 16

struct async {
	struct list node; /* in listening while O_ASYNC is on */
	struct file *file;
	uint64_t id;
	int fd, hostfd;
	int type, owner; /* F_OWNER_*; owner 0: nobody */
	int sig;	 /* 0: SIGIO */
	uint32_t view;	 /* of the policy: of who said whom to tell, or what */
};

struct notice { /* a signal that is to be sent */
	int type, owner;
	uint32_t view;
	siginfo_t info;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below and every struct async */
static struct list listening = LIST_INIT(listening);
static atomic_int host_epoll = -1;
static uint64_t next_id = 1;

int async_fd(void)
{
	return atomic_load(&host_epoll);
}

/* ---- telling ---- */

static void fill_info(const struct async *as, uint32_t events, siginfo_t *info)
{
	*info = (siginfo_t){.si_signo = as->sig ? as->sig : SIGIO};
	if (!as->sig) {
		info->si_code = SI_KERNEL;
		return;
	}
	info->si_fd = as->fd;
	if (events & EPOLLIN) {
		info->si_code = POLL_IN;
		info->si_band = POLLIN | POLLRDNORM;
	} else if (events & EPOLLOUT) {
		info->si_code = POLL_OUT;
		info->si_band = POLLOUT | POLLWRNORM | POLLWRBAND;
	} else {
		info->si_code = POLL_HUP;
		info->si_band = POLLHUP | POLLERR;
	}
}

/* Takes up to BATCH events that are no first answer for `not_of`. */
static unsigned collect(const struct async *not_of, struct notice *out)
{
	struct epoll_event ev[BATCH];
	int n = epoll_wait(host_epoll, ev, BATCH, 0);
	struct async *as;
	unsigned used = 0;

	for (int i = 0; i < n; i++) {
		list_for_each (as, &listening, node) {
			if (as->id != ev[i].data.u64)
				continue;
			if (as != not_of && as->owner) {
				out[used].type = as->type;
				out[used].owner = as->owner;
				out[used].view = as->view;
				fill_info(as, ev[i].events, &out[used++].info);
			}
			break;
		}
	}
	return used;
}

/* Who has less than the receiver cannot have signals sent to it, as by kill(2). */
static bool may_tell(const struct notice *n, const struct proc *p)
{
	return !sandbox.image || pol_view_within(sandbox.image, atomic_load(&p->view), n->view);
}

static void tell_group(const struct notice *n)
{
	struct proc *p;

	pthread_mutex_lock(&sandbox.lock);
	list_for_each (p, &sandbox.procs, node)
		if (p->pgid == n->owner && may_tell(n, p))
			signal_send_proc(p, &n->info);
	pthread_mutex_unlock(&sandbox.lock);
}

static void tell(const struct notice *n)
{
	struct proc *p;
	struct task *t;

	if (n->type == F_OWNER_PGRP) {
		tell_group(n);
	} else if (n->type == F_OWNER_TID) {
		t = task_by_tid(n->owner);
		if (t && may_tell(n, t->proc))
			signal_send_task(t, &n->info);
		task_put(t);
	} else {
		p = proc_by_pid(n->owner);
		if (!p)
			return;
		if (may_tell(n, p))
			signal_send_proc(p, &n->info);
		proc_put(p);
	}
}

static void tell_all(const struct notice *n, unsigned used)
{
	for (unsigned i = 0; i < used; i++)
		tell(&n[i]);
}

void async_run(void)
{
	struct notice n[BATCH];
	unsigned used;

	pthread_mutex_lock(&lock);
	used = collect(NULL, n);
	pthread_mutex_unlock(&lock);
	tell_all(n, used);
}

/* ---- who listens ---- */

/* f's record, made for the first; lock held. NULL: out of memory. */
static struct async *record(struct file *f)
{
	struct async *as = f->async;

	if (as)
		return as;
	as = calloc(1, sizeof(*as));
	if (!as)
		return NULL;
	list_init(&as->node);
	as->file = f;
	as->hostfd = f->hostfd;
	as->id = next_id++;
	as->type = F_OWNER_PID;
	f->async = as;
	return as;
}

static int listen_on(struct async *as)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET,
				 .data.u64 = as->id};

	if (host_epoll < 0) {
		host_epoll = epoll_create1(EPOLL_CLOEXEC);
		if (host_epoll < 0)
			return -errno;
		sandbox_wake();
	}
	if (epoll_ctl(host_epoll, EPOLL_CTL_ADD, as->hostfd, &ev))
		return errno == EPERM ? -ENOTTY : -errno;
	list_append(&listening, &as->node);
	return 0;
}

static void listen_off(struct async *as)
{
	if (list_empty(&as->node))
		return;
	epoll_ctl(host_epoll, EPOLL_CTL_DEL, as->hostfd, NULL);
	list_del(&as->node);
}

int async_set(struct task *t, struct file *f, int fd, bool on)
{
	struct notice n[BATCH];
	unsigned used = 0;
	struct async *as;
	int err = 0;

	if (f->hostfd < 0)
		return -ENOTTY;
	pthread_mutex_lock(&lock);
	as = record(f);
	if (!as) {
		err = -ENOMEM;
	} else if (!on) {
		listen_off(as);
	} else {
		as->fd = fd;
		if (list_empty(&as->node)) {
			err = listen_on(as);
			/* What is ready already is no news. */
			used = err ? 0 : collect(as, n);
		}
	}
	pthread_mutex_unlock(&lock);
	tell_all(n, used);
	return err;
}

void async_forget(struct file *f)
{
	pthread_mutex_lock(&lock);
	listen_off(f->async);
	free(f->async);
	f->async = NULL;
	pthread_mutex_unlock(&lock);
}

/* ---- fcntl ---- */

/* Does the process, group or thread exist? Linux asks when an owner is set. */
static bool exists(int type, int id)
{
	struct proc *p;
	struct task *t;
	bool found = false;

	if (type == F_OWNER_TID) {
		t = task_by_tid(id);
		task_put(t);
		return t != NULL;
	}
	pthread_mutex_lock(&sandbox.lock);
	list_for_each (p, &sandbox.procs, node)
		found = found || (type == F_OWNER_PGRP ? p->pgid : p->pid) == id;
	pthread_mutex_unlock(&sandbox.lock);
	return found;
}

static long set_owner(struct file *f, int type, int id)
{
	struct async *as;

	if (id < 0)
		return -EINVAL;
	if (id && !exists(type, id))
		return -ESRCH;
	pthread_mutex_lock(&lock);
	as = record(f);
	if (as) {
		as->type = type;
		as->owner = id;
		as->view = current ? atomic_load(&current->proc->view) : 0;
	}
	pthread_mutex_unlock(&lock);
	return as ? 0 : -ENOMEM;
}

static long set_signal(struct file *f, int sig)
{
	struct async *as;

	if (sig < 0 || sig > SIGNAL_MAX)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	as = record(f);
	if (as) {
		as->sig = sig;
		as->view = current ? atomic_load(&current->proc->view) : 0;
	}
	pthread_mutex_unlock(&lock);
	return as ? 0 : -ENOMEM;
}

long async_fcntl(struct task *t, struct file *f, int cmd, uint64_t arg)
{
	struct f_owner_ex ex = {.type = F_OWNER_PID};
	int sig = 0;

	if (cmd == F_SETOWN && (int)arg == INT32_MIN)
		return -EINVAL;
	if (cmd == F_SETOWN)
		return (int)arg < 0 ? set_owner(f, F_OWNER_PGRP, -(int)arg)
				    : set_owner(f, F_OWNER_PID, (int)arg);
	if (cmd == F_SETSIG)
		return set_signal(f, (int)arg);
	if (cmd == F_SETOWN_EX) {
		if (gmem_read(t->proc->mm, &ex, gptr_at(arg), sizeof(ex)))
			return -EFAULT;
		if (ex.type != F_OWNER_TID && ex.type != F_OWNER_PID && ex.type != F_OWNER_PGRP)
			return -EINVAL;
		return set_owner(f, ex.type, ex.pid);
	}
	pthread_mutex_lock(&lock);
	if (f->async) {
		ex.type = f->async->type;
		ex.pid = f->async->owner;
		sig = f->async->sig;
	}
	pthread_mutex_unlock(&lock);
	if (cmd == F_GETSIG)
		return sig;
	if (cmd == F_GETOWN)
		return ex.type == F_OWNER_PGRP ? -ex.pid : ex.pid;
	return gmem_write(t->proc->mm, gptr_at(arg), &ex, sizeof(ex));
}
