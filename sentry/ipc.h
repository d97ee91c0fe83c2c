/* System V IPC: what shared memory, semaphores and message queues have in common, and what the rest
 * of the sentry asks of them. Owner: sentry/ipc.c; sys_shm.c, sys_sem.c, sys_msgq.c.
 *
 * All of it is the sandbox's own, under one lock, which comes after every other but those of pages:
 * app memory is never touched while it is held. */
#ifndef SBX_SENTRY_IPC_H
#define SBX_SENTRY_IPC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ipc.h>
#include "base/buf.h"
#include "base/list.h"

struct proc;
struct pseudo_key;
struct task;
struct timespec;

#define IPC_BUCKETS 64u

#define IPC_SHM_MNI 4096u
#define IPC_SHM_MAX (UINT64_MAX - (1ull << 24))
#define IPC_SEM_MNI 32000u
#define IPC_SEM_MSL 32000u
#define IPC_SEM_MNS 1024000u
#define IPC_SEM_OPM 500u
#define IPC_MSG_MNI 32000u
#define IPC_MSG_MAX 8192u
#define IPC_MSG_MNB 16384u

struct ipc_obj {
	int key, id;
	uint32_t uid, gid, cuid, cgid, mode;
	struct list hash; /* by key; empty: private */
};

struct ipc_ids { /* all objects of a kind */
	struct ipc_obj **slot;
	unsigned cap, used, last, seq, max;
	int high; /* highest slot in use, or -1 */
	struct list hash[IPC_BUCKETS];
};

extern pthread_mutex_t ipc_lock;

/* How a kind finds and makes its objects; called with the lock held. */
struct ipc_get {
	struct ipc_ids *ids;
	unsigned max;
	/* A new object, or NULL with *err. */
	struct ipc_obj *(*create)(struct task *t, const struct ipc_get *g, long *err);
	void (*destroy)(struct ipc_obj *o); /* of an object that got no id */
	/* Does an object that exists do? 0 or -errno. */
	long (*check)(const struct ipc_obj *o, const struct ipc_get *g);
	int key, flags;
	uint64_t size;
};

/* The body of shmget, semget and msgget: an id or -errno. */
long ipc_get(struct task *t, const struct ipc_get *g);
/* By id, or by slot (the *_STAT commands); NULL: there is none. */
struct ipc_obj *ipc_find(const struct ipc_ids *ids, int id);
struct ipc_obj *ipc_at(const struct ipc_ids *ids, int slot);
/* Nobody finds o by its key any more, but by its id. */
void ipc_unkey(struct ipc_obj *o);
/* Takes o off its ids. */
void ipc_remove(struct ipc_ids *ids, struct ipc_obj *o);
/* May t do what the S_I* bits of want say? */
bool ipc_access(const struct task *t, const struct ipc_obj *o, int want);
/* May t change or remove o? */
bool ipc_owns(const struct task *t, const struct ipc_obj *o);
void ipc_fill_perm(const struct ipc_obj *o, struct ipc_perm *p);
/* IPC_SET: 0, -EPERM or -EINVAL. */
long ipc_set_perm(const struct task *t, struct ipc_obj *o, const struct ipc_perm *p);

/* Memory of the sentry that the app makes it hold; with the lock held. False: it is too much. */
bool ipc_charge(uint64_t n);
void ipc_uncharge(uint64_t n);

/* Sleeps until t's wait_word is set: 0, -EINTR, or -ETIMEDOUT after the deadline (NULL: none) on
 * CLOCK_MONOTONIC. */
int ipc_sleep(struct task *t, const struct timespec *deadline);
/* Ends t's ipc_sleep. */
void ipc_wake(struct task *t);
/* CLOCK_REALTIME in seconds. */
int64_t ipc_now(void);

/* The end of p: what it asked to be undone is. */
void ipc_sem_exit(struct proc *p);

/* /proc/sysvipc */
int ipc_show_shm(const struct pseudo_key *k, struct buf *out);
int ipc_show_sem(const struct pseudo_key *k, struct buf *out);
int ipc_show_msg(const struct pseudo_key *k, struct buf *out);

#endif
