/* Tables of signal actions: one for each process, or shared by those that clone made with
 * CLONE_SIGHAND. A process's own lock is held around every use, so that its queue and an action go
 * together; the table's lock is for the other processes that have it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sentry/signal.h"

struct sig_actions {
	atomic_int refs;
	pthread_mutex_t lock; /* innermost */
	struct sig_action action[SIGNAL_MAX];
};

struct sig_actions *sig_actions_create(void)
{
	struct sig_actions *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	atomic_init(&a->refs, 1);
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void sig_actions_put(struct sig_actions *a)
{
	if (!a || atomic_fetch_sub(&a->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

struct sig_action sighand_action(const struct sighand *sh, int sig)
{
	struct sig_action act;

	pthread_mutex_lock(&sh->acts->lock);
	act = sh->acts->action[sig - 1];
	pthread_mutex_unlock(&sh->acts->lock);
	return act;
}

void sighand_set_action(struct sighand *sh, int sig, const struct sig_action *act)
{
	pthread_mutex_lock(&sh->acts->lock);
	sh->acts->action[sig - 1] = *act;
	pthread_mutex_unlock(&sh->acts->lock);
}

void sighand_set_default(struct sighand *sh, int sig)
{
	pthread_mutex_lock(&sh->acts->lock);
	sh->acts->action[sig - 1].handler = (uint64_t)SIG_DFL;
	pthread_mutex_unlock(&sh->acts->lock);
}

void sighand_copy_actions(struct sighand *to, struct sighand *from)
{
	pthread_mutex_lock(&from->lock);
	pthread_mutex_lock(&from->acts->lock);
	memcpy(to->acts->action, from->acts->action, sizeof(to->acts->action));
	pthread_mutex_unlock(&from->acts->lock);
	pthread_mutex_unlock(&from->lock);
}

void sighand_share_actions(struct sighand *to, struct sighand *from)
{
	struct sig_actions *own = to->acts;

	pthread_mutex_lock(&from->lock);
	atomic_fetch_add(&from->acts->refs, 1);
	to->acts = from->acts;
	pthread_mutex_unlock(&from->lock);
	sig_actions_put(own);
}

int sighand_own_actions(struct sighand *sh)
{
	struct sig_actions *own, *old = sh->acts;

	if (atomic_load(&old->refs) == 1)
		return 0;
	own = sig_actions_create();
	if (!own)
		return -ENOMEM;
	pthread_mutex_lock(&sh->lock);
	pthread_mutex_lock(&old->lock);
	memcpy(own->action, old->action, sizeof(own->action));
	pthread_mutex_unlock(&old->lock);
	sh->acts = own;
	pthread_mutex_unlock(&sh->lock);
	sig_actions_put(old);
	return 0;
}

void signal_reset_actions(struct sighand *sh)
{
	struct sig_action *act;

	pthread_mutex_lock(&sh->lock);
	pthread_mutex_lock(&sh->acts->lock);
	for (act = sh->acts->action; act < sh->acts->action + SIGNAL_MAX; act++)
		*act = (struct sig_action){
			.handler = act->handler == (uint64_t)SIG_IGN ? act->handler : 0,
		};
	pthread_mutex_unlock(&sh->acts->lock);
	pthread_mutex_unlock(&sh->lock);
}
