#include "sentry/rate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "sentry/timer.h"

/* A rate of n in a time lets n calls through at once, and then one in each nth of that time: the next call
 * is due at `due`, and calls may come up to one time early. */
struct meter {
	struct pol_rate rate;
	pthread_mutex_t lock;
	uint64_t used; /* of a plain number */
	uint64_t due;  /* CLOCK_MONOTONIC */
};

static struct meter *meters;
static size_t nr_meters;

int rate_init(const struct pol_image *img, struct sbx_err **e)
{
	struct meter *m;

	nr_meters = pol_image_rate(img, 0, NULL);
	meters = calloc(nr_meters ? nr_meters : 1, sizeof(*meters));
	if (!meters)
		return sbx_err_set(e, "out of memory");
	for (m = meters; m < meters + nr_meters; m++) {
		pol_image_rate(img, (size_t)(m - meters), &m->rate);
		pthread_mutex_init(&m->lock, NULL);
	}
	return 0;
}

static struct meter *find(uint32_t rule)
{
	for (size_t i = 0; i < nr_meters; i++)
		if (meters[i].rate.rule == rule)
			return &meters[i];
	return NULL;
}

/* 0: counted; else the time from which on it would be. */
static uint64_t take(struct meter *m, uint64_t now)
{
	uint64_t step = m->rate.per_ns / m->rate.count, early = m->rate.per_ns - step, late = 0;

	pthread_mutex_lock(&m->lock);
	if (!m->rate.per_ns) {
		if (m->used == m->rate.count)
			late = UINT64_MAX;
		else
			m->used++;
	} else if (m->due > now && m->due - now > early) {
		late = m->due - early;
	} else {
		m->due = (m->due > now ? m->due : now) + step;
	}
	pthread_mutex_unlock(&m->lock);
	return late;
}

static long wait_until(struct task *t, uint64_t ns)
{
	struct timespec ts = ns_to_timespec(ns);

	atomic_store(&t->wait_word, 0);
	while (!task_pending(t))
		if (task_wait(t, &t->wait_word, 0, CLOCK_MONOTONIC, &ts) == -ETIMEDOUT)
			return 0;
	return -ERESTARTNOINTR;
}

long rate_take(struct task *t, struct pol_verdict *v)
{
	struct meter *m = find(v->rule);
	uint64_t late;
	long r = 0;

	if (!m)
		return 0;
	while (!r && (late = take(m, clock_now_ns(CLOCK_MONOTONIC)))) {
		if (m->rate.over == POL_OVER_DELAY) {
			r = wait_until(t, late);
			continue;
		}
		v->action = m->rate.over == POL_OVER_DENY ? POL_DENY : POL_TERMINATE;
		v->value = m->rate.value;
		if (!(v->flags & POL_F_QUIET))
			v->flags |= POL_F_LOG;
		break;
	}
	return r;
}
