/* POSIX message queues: the sandbox's own, by names that are no files. Owner: sentry/mqueue.c; the calls
 * are in sentry/sys_mq.c. One lock for all, after which none is taken but those of signals. */
#ifndef SBX_SENTRY_MQUEUE_H
#define SBX_SENTRY_MQUEUE_H

#include <limits.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include "base/list.h"
#include "sentry/file.h"

/* Linux's limits for users without rights. */
#define MQ_QUEUES_MAX	256
#define MQ_MESSAGES_MAX 10
#define MQ_SIZE_MAX	8192

#define MQ_PRIO_END 32768u /* first priority that is too high */

struct mq_message {
	struct list node;
	unsigned prio;
	size_t len;
	char text[];
};

struct mq_notify { /* whom to tell of a message in an empty queue */
	struct proc *proc; /* referenced; NULL: nobody */
	int how, signo;	   /* SIGEV_* */
	union sigval value;
};

struct mqueue {
	int refs;	  /* open files, and the name */
	struct list node; /* among the named ones; empty: unlinked */
	char name[NAME_MAX + 1];
	uint32_t uid, gid;
	mode_t mode;
	long max_messages, max_size, count;
	uint64_t charged, bytes; /* against RLIMIT_MSGQUEUE; of the messages that are in it */
	struct list messages;	 /* highest priority first, then oldest */
	struct timespec changed, read;
	int ready_fd;	/* an eventfd that poll sees as the queue is */
	int ready_state;
	int receivers;	/* that wait */
	struct mq_notify notify;
	_Atomic uint32_t event; /* changes with the queue: waits are on it */
};

extern pthread_mutex_t mq_lock;

/* All with mq_lock held but mq_files'. */

/* The queue of a name, or NULL. */
struct mqueue *mq_find(const char *name);

/* A new named queue with one reference, the name's. attr: NULL for the defaults. NULL: *err. */
struct mqueue *mq_create(struct task *t, const char *name, mode_t mode, const struct mq_attr *attr,
			 int *err);

/* Takes the name away, and its reference. */
void mq_remove(struct mqueue *q);
void mq_put(struct mqueue *q);

/* May t do this (R_OK, W_OK)? */
bool mq_permits(const struct task *t, const struct mqueue *q, int mode);

/* Takes m, in order of priority, and tells who is to be told. There is room. */
void mq_add(struct task *t, struct mqueue *q, struct mq_message *m);
/* The message to be received next, taken out. There is one. */
struct mq_message *mq_take(struct mqueue *q);

/* Forgets who is to be told, if it is p (NULL: whoever it is). */
void mq_forget(struct mqueue *q, const struct proc *p);

/* A descriptor's file for q, with a reference of its own on it, or NULL with *err. */
struct file *mq_file(struct mqueue *q, unsigned flags, int *err);

/* The queue of a descriptor's file, or NULL. Needs no lock. */
struct mqueue *mq_of(const struct file *f);

/* A process closed a descriptor of f: the end of its wish to be told. Takes the lock. */
void mq_closed(struct file *f);

#endif
