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
#define PATHS_MAX (16u << 20) /* bytes that the paths of all watched folders may take */

static size_t paths_size; /* guarded by notify_lock */

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

/* Remembers the path of a folder, by which its names are judged. 0 or -errno. */
static int keep_path(struct watch *w, const struct vpath *v)
{
	if (v->node->type != S_IFDIR)
		return 0;
	if (v->path_len >= PATHS_MAX - paths_size)
		return -ENOSPC;
	w->path = strdup(v->path);
	if (!w->path)
		return -ENOMEM;
	paths_size += strlen(w->path) + 1;
	return 0;
}

void notify_host_forget(struct watch *w)
{
	if (w->path)
		paths_size -= strlen(w->path) + 1;
	free(w->path);
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
	if (w) {
		w->host_wd = wd;
		err = keep_path(w, v);
	}
	if (!w || err) {
		inotify_rm_watch(notify_host_fd(in), wd);
		if (w)
			notify_watch_free(w);
		return err;
	}
	w->view = task_view(current);
	list_append(notify_bucket(NOTIFY_BY_HOST, in, (uint64_t)wd), &w->by_place);
	return w->wd;
}

void notify_host_remove(struct watch *w)
{
	w->removed = true;
	inotify_rm_watch(notify_host_fd(w->in), w->host_wd);
}
