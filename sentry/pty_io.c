/* Reading and writing the two ends of a pseudo-terminal. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include "base/overflow.h"
#include "sentry/pty.h"
#include "sentry/ready.h"
#include "sentry/task.h"

#define BOUNCE 4096

/* A position in a vector of the app's pinned memory. */
struct cursor {
	const struct iovec *iov;
	int n;
	size_t skip;
};

/* Copies up to n bytes between the cursor and buf, and moves it. Bytes copied: fewer at the end, or
 * where memory has vanished. */
static size_t copy(struct cursor *c, void *buf, size_t n, bool to_app)
{
	size_t done = 0;

	while (done < n && c->n) {
		char *at = (char *)c->iov->iov_base + c->skip;
		size_t k = MIN(n - done, c->iov->iov_len - c->skip), left;

		left = to_app ? gmem_copy_raw(at, (char *)buf + done, k)
			      : gmem_copy_raw((char *)buf + done, at, k);
		done += k - left;
		if (left)
			break;
		c->skip += k;
		if (c->skip == c->iov->iov_len) {
			c->iov++;
			c->n--;
			c->skip = 0;
		}
	}
	return done;
}

/* ---- the terminal is read ---- */

/* How long a read may go on: VMIN and VTIME. */
struct patience {
	size_t min;	   /* bytes that end it */
	uint64_t tenths;   /* 0: no limit */
	bool between;	   /* the limit counts from the last byte */
	uint64_t deadline; /* of ready_now, or READY_FOREVER */
};

static void be_patient(struct patience *w, const struct tty_line *l)
{
	uint64_t ns;

	w->min = 1;
	w->tenths = 0;
	w->between = false;
	w->deadline = READY_FOREVER;
	if (tty_is_canon(l))
		return;
	w->tenths = l->tio.c_cc[VTIME];
	ns = w->tenths * 100000000ull;
	if (l->tio.c_cc[VMIN]) {
		w->min = l->tio.c_cc[VMIN];
		w->between = w->tenths != 0;
	} else {
		w->deadline = ready_deadline(ns);
	}
}

/* Waits for more. 0 to look again, 1 when the time is up, or -errno. */
static int wait_input(struct task *t, struct file *f, const struct patience *w)
{
	struct timespec ts = {w->deadline / 1000000000, w->deadline % 1000000000};
	int r;

	if (pty_of(f)->master_closed)
		return 1;
	if (w->deadline != READY_FOREVER && !ready_left(w->deadline))
		return 1;
	if (f->flags & O_NONBLOCK)
		return -EAGAIN;
	r = pty_sleep(t, pty_of(f), w->deadline == READY_FOREVER ? NULL : &ts);
	if (r == -ETIMEDOUT)
		return 1;
	/* what woke it may be the end of the other side */
	return !r && pty_of(f)->master_closed ? -EIO : r;
}

/* Reads until there is enough. Locked. */
static ssize_t read_input(struct task *t, struct file *f, struct cursor *c, size_t want)
{
	struct pty *p = pty_of(f);
	struct patience w;
	uint8_t buf[BOUNCE];
	size_t done = 0, k, put;
	int r;

	be_patient(&w, &p->line);
	w.min = MIN(w.min, want);
	while (done < w.min) {
		if (!tty_has_input(&p->line)) {
			r = wait_input(t, f, &w);
			if (r > 0 || (r < 0 && done))
				break;
			if (r < 0)
				return r;
			r = job_terminal_access(t, &p->job, SIGTTIN);
			if (r)
				return done ? (ssize_t)done : r;
			continue;
		}
		k = tty_read(&p->line, buf, MIN(want - done, sizeof(buf)));
		put = copy(c, buf, k, true);
		done += put;
		if (put < k)
			return done ? (ssize_t)done : -EFAULT;
		if (tty_is_canon(&p->line))
			break;
		if (w.between)
			w.deadline = ready_deadline(w.tenths * 100000000ull);
	}
	return (ssize_t)done;
}

ssize_t pty_slave_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	struct cursor c = {iov, n, 0};
	struct pty *p = pty_of(f);
	size_t want = file_iov_total(iov, n);
	ssize_t r;

	if (off >= 0)
		return -ESPIPE;
	r = job_terminal_access(t, &p->job, SIGTTIN);
	if (r || !want)
		return r;
	pty_lock(p);
	r = p->master_closed ? 0 : read_input(t, f, &c, want);
	clock_gettime(CLOCK_REALTIME_COARSE, &p->atime);
	pty_unlock(p, false, false);
	return r;
}

/* ---- the terminal is written ---- */

/* One write's bytes stay together: others wait for its end. 0 or -errno. Locked. */
static int begin_printing(struct task *t, struct file *f)
{
	struct pty *p = pty_of(f);
	int r = 0;

	while (p->printing && !r)
		r = f->flags & O_NONBLOCK ? -EAGAIN : pty_sleep(t, p, NULL);
	if (!r)
		p->printing = true;
	return r;
}

static ssize_t print_all(struct task *t, struct file *f, struct cursor *c)
{
	struct pty *p = pty_of(f);
	uint8_t buf[BOUNCE];
	size_t done = 0, k, at;
	int r;

	while ((k = copy(c, buf, sizeof(buf), false)) != 0) {
		for (at = 0; at < k;) {
			if (p->master_closed)
				return done ? (ssize_t)done : -EIO;
			r = (int)tty_print(&p->line, buf + at, k - at);
			at += (size_t)r;
			done += (size_t)r;
			if (at == k)
				break;
			if (f->flags & O_NONBLOCK)
				return done ? (ssize_t)done : -EAGAIN;
			if (r) { /* tell the master before waiting for it */
				pty_unlock(p, false, true);
				pty_lock(p);
				continue;
			}
			r = pty_sleep(t, p, NULL);
			if (r)
				return done ? (ssize_t)done : r;
		}
	}
	return (ssize_t)done;
}

ssize_t pty_slave_write(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	struct cursor c = {iov, n, 0};
	struct pty *p = pty_of(f);
	ssize_t r = 0;

	if (off >= 0)
		return -ESPIPE;
	if (p->line.tio.c_lflag & TOSTOP)
		r = job_terminal_access(t, &p->job, SIGTTOU);
	if (r)
		return r;
	pty_lock(p);
	r = p->master_closed ? -EIO : begin_printing(t, f);
	if (!r) {
		r = print_all(t, f, &c);
		p->printing = false;
		clock_gettime(CLOCK_REALTIME_COARSE, &p->mtime);
	}
	pty_unlock(p, false, r > 0);
	return r;
}

/* ---- the master ---- */

/* Waits until there is something for the master. 0 or -errno. Locked. */
static int wait_output(struct task *t, struct file *f)
{
	struct pty *p = pty_of(f);
	int r = 0;

	while (!r && !pty_master_ready(p)) {
		if (p->slave_closed)
			return -EIO;
		r = f->flags & O_NONBLOCK ? -EAGAIN : pty_sleep(t, p, NULL);
	}
	return r;
}

ssize_t pty_master_read(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	struct cursor c = {iov, n, 0};
	struct pty *p = pty_of(f);
	size_t want = MIN(file_iov_total(iov, n), (size_t)BOUNCE), k = 0;
	uint8_t buf[BOUNCE];
	ssize_t r;

	if (off >= 0)
		return -ESPIPE;
	if (!want)
		return 0;
	pty_lock(p);
	r = wait_output(t, f);
	if (!r && p->line.packet) {
		buf[k++] = p->line.pkt;
		want = p->line.pkt ? 1 : want;
		p->line.pkt = 0;
	}
	if (!r)
		k += tty_take_output(&p->line, buf + k, want - k);
	pty_unlock(p, false, false);
	if (r)
		return r;
	r = (ssize_t)copy(&c, buf, k, true);
	return r ? r : -EFAULT;
}

ssize_t pty_master_write(struct task *t, struct file *f, const struct iovec *iov, int n, off_t off)
{
	struct cursor c = {iov, n, 0};
	struct pty *p = pty_of(f);
	uint8_t buf[BOUNCE];
	size_t done = 0, k, at = 0;
	int r = 0;

	if (off >= 0)
		return -ESPIPE;
	pty_lock(p);
	while (!r && (k = copy(&c, buf, sizeof(buf), false)) != 0) {
		for (at = 0; at < k && !r;) {
			size_t took = tty_type(&p->line, buf + at, k - at);

			at += took;
			done += took;
			if (at == k)
				break;
			if (took) { /* tell the terminal before waiting for it */
				pty_unlock(p, true, true);
				pty_lock(p);
			} else {
				r = f->flags & O_NONBLOCK ? -EAGAIN : pty_sleep(t, p, NULL);
			}
		}
	}
	pty_unlock(p, done > 0, tty_out_used(&p->line) > 0);
	return done ? (ssize_t)done : r;
}
