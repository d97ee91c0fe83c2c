/* Watches on files of the host: the host keeps them, by inode, on the very object that was judged. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sentry/dirent.h"
#include "sentry/notify.h"
#include "sentry/task.h"
#include "sentry/vfs.h"

#define DRAIN_MAX 64 /* reads at a time: others may go on making events */

static struct watch *by_host(struct notify *in, int host_wd)
{
	struct list *b = notify_bucket(NOTIFY_BY_HOST, in, (uint64_t)host_wd);
	struct watch *w;

	list_for_each (w, b, by_place)
		if (w->in == in && w->host_wd == host_wd)
			return w;
	return NULL;
}

static bool is_hidden(const struct watch *w, const char *name)
{
	const struct dirent_sink s = {
		.path = w->path,
		.path_len = w->path ? strlen(w->path) : 0,
		.view = w->view,
	};

	return dirent_hidden(&s, name);
}

static void pass_on(struct notify *in, const struct inotify_event *e)
{
	const char *name = e->len ? e->name : NULL;
	struct watch *w;

	if (e->mask & IN_Q_OVERFLOW) {
		notify_event(in, -1, IN_Q_OVERFLOW, 0, NULL);
		return;
	}
	w = by_host(in, e->wd);
	if (!w || (name && is_hidden(w, name)))
		return;
	notify_event(in, w->wd, e->mask, e->cookie, name);
	if (e->mask & IN_IGNORED)
		notify_watch_free(w);
}

void notify_host_drain(struct notify *in)
{
	char buf[8192] __attribute__((aligned(8)));

	for (int i = 0; i < DRAIN_MAX; i++) {
		ssize_t n = read(notify_host_fd(in), buf, sizeof(buf));

		if (n <= 0)
			return;
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)p;

			pass_on(in, e);
			p += sizeof(*e) + e->len;
		}
	}
}

int notify_host_add(struct notify *in, const struct vpath *v, uint32_t mask)
{
	char path[32];
	struct watch *w;
	int wd, err;

	/* The descriptor's link leads to the object itself, a symbolic link too. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", v->node->hostfd);
	wd = inotify_add_watch(notify_host_fd(in), path,
			       mask & ~(uint32_t)(IN_DONT_FOLLOW | IN_ONLYDIR));
	if (wd < 0)
		return -errno;
	w = by_host(in, wd);
	if (w)
		return w->wd;
	w = notify_watch_new(in, &err);
	if (w && v->node->type == S_IFDIR) {
		w->path = strdup(v->path);
		err = -ENOMEM;
	}
	if (!w || (v->node->type == S_IFDIR && !w->path)) {
		inotify_rm_watch(notify_host_fd(in), wd);
		if (w)
			notify_watch_free(w);
		return err;
	}
	w->host_wd = wd;
	w->view = task_view(current);
	list_append(notify_bucket(NOTIFY_BY_HOST, in, (uint64_t)wd), &w->by_place);
	return w->wd;
}

void notify_host_remove(struct watch *w)
{
	w->removed = true;
	inotify_rm_watch(notify_host_fd(w->in), w->host_wd);
}
