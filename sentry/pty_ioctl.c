/* ioctl on pseudo-terminals. What concerns the terminal is the same from both ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/sysmacros.h>
#include "base/overflow.h"
#include "sentry/pty.h"
#include "sentry/signal.h"
#include "sentry/sys.h"

#define TERMIOS_SIZE 36 /* struct termios of the kernel's interface: the first part of termios2 */

static long put_int(struct task *t, uint64_t arg, int v)
{
	return gmem_write(t->proc->mm, gptr_at(arg), &v, sizeof(v));
}

/* ---- settings ---- */

/* The speed that bits of c_cflag stand for; BOTHER: the number given beside them. */
static unsigned speed_of(unsigned code, unsigned other)
{
	static const unsigned low[] = {0,   50,	 75,   110,  134,  150,	 200,	300,
				       600, 1200, 1800, 2400, 4800, 9600, 19200, 38400};
	static const unsigned high[] = {0,	57600,	 115200,  230400,  460800,  500000,
					576000, 921600,	 1000000, 1152000, 1500000, 2000000,
					2500000, 3000000, 3500000, 4000000};

	code &= CBAUD;
	if (code == BOTHER)
		return other;
	if (code & CBAUDEX)
		return high[code & 15];
	return low[code & 15];
}

static long get_termios(struct task *t, struct pty *p, uint64_t arg, size_t size)
{
	struct termios2 tio;

	pty_lock(p);
	tio = p->line.tio;
	pthread_mutex_unlock(&p->lock);
	return gmem_write(t->proc->mm, gptr_at(arg), &tio, size);
}

static long set_termios(struct task *t, struct pty *p, uint64_t arg, size_t size, bool flush)
{
	struct termios2 tio = {0};
	unsigned in;
	int r = job_terminal_access(t, &p->job, SIGTTOU);

	if (r)
		return r;
	if (gmem_read(t->proc->mm, &tio, gptr_at(arg), size))
		return -EFAULT;
	in = tio.c_cflag >> IBSHIFT & CBAUD;
	tio.c_ospeed = speed_of(tio.c_cflag, tio.c_ospeed);
	tio.c_ispeed = in ? speed_of(in, tio.c_ispeed) : tio.c_ospeed;
	pty_lock(p);
	if (flush)
		tty_flush_input(&p->line);
	tty_set_termios(&p->line, &tio);
	pty_unlock(p, true, false);
	return 0;
}

static long termios(struct task *t, struct pty *p, unsigned cmd, uint64_t arg)
{
	bool two = cmd == TCSETS2 || cmd == TCSETSW2 || cmd == TCSETSF2;

	if (cmd == TCGETS || cmd == TCGETS2)
		return get_termios(t, p, arg, cmd == TCGETS ? TERMIOS_SIZE : sizeof(struct termios2));
	return set_termios(t, p, arg, two ? sizeof(struct termios2) : TERMIOS_SIZE,
			   cmd == TCSETSF || cmd == TCSETSF2);
}

static long set_size(struct task *t, struct pty *p, uint64_t arg)
{
	struct winsize ws;
	bool same;

	if (gmem_read(t->proc->mm, &ws, gptr_at(arg), sizeof(ws)))
		return -EFAULT;
	pty_lock(p);
	same = !memcmp(&ws, &p->size, sizeof(ws));
	p->size = ws;
	if (!same)
		p->line.signals |= (uint32_t)sig_bit(SIGWINCH);
	pty_unlock(p, false, false);
	return 0;
}

static long get_size(struct task *t, struct pty *p, uint64_t arg)
{
	struct winsize ws;

	pty_lock(p);
	ws = p->size;
	pthread_mutex_unlock(&p->lock);
	return gmem_write(t->proc->mm, gptr_at(arg), &ws, sizeof(ws));
}

/* ---- flow and queues ---- */

static long flow(struct task *t, struct pty *p, bool master, int what)
{
	struct tty_line *l = &p->line;
	int r = job_terminal_access(t, &p->job, SIGTTOU);

	if (r)
		return r;
	if (what < TCOOFF || what > TCION)
		return -EINVAL;
	pty_lock(p);
	if (master) {
		/* nothing holds the master's own output back */
	} else if (what == TCOOFF) {
		tty_stop(l);
		l->stopped_by_app = true;
	} else if (what == TCOON) {
		if (l->stopped_by_app) {
			l->stopped_by_app = false;
			tty_start(l);
		}
	} else {
		uint8_t c = l->tio.c_cc[what == TCIOFF ? VSTOP : VSTART];

		if (c)
			tty_emit(l, c);
	}
	pty_unlock(p, false, true);
	return 0;
}

static long flush(struct task *t, struct pty *p, bool master, int what)
{
	struct tty_line *l = &p->line;
	int r = job_terminal_access(t, &p->job, SIGTTOU);

	if (r)
		return r;
	if (what < TCIFLUSH || what > TCIOFLUSH)
		return -EINVAL;
	pty_lock(p);
	if (master) {
		if (what != TCOFLUSH)
			l->out_tail = l->out_head;
		if (what != TCIFLUSH)
			l->raw_tail = l->raw_head;
	} else {
		if (what != TCOFLUSH) {
			l->raw_tail = l->raw_head;
			tty_flush_input(l);
		}
		if (what != TCIFLUSH) {
			l->nheld = 0;
			if (l->packet)
				l->pkt |= TIOCPKT_FLUSHWRITE;
		}
	}
	pty_unlock(p, false, false);
	return 0;
}

static long readable(struct task *t, struct pty *p, bool master, uint64_t arg)
{
	int n;

	pty_lock(p);
	n = master ? (int)tty_out_used(&p->line) : (int)tty_readable(&p->line);
	pthread_mutex_unlock(&p->lock);
	return put_int(t, arg, n);
}

/* ---- the master's own ---- */

static long set_lock(struct task *t, struct pty *p, uint64_t arg)
{
	int on;

	if (gmem_read(t->proc->mm, &on, gptr_at(arg), sizeof(on)))
		return -EFAULT;
	pty_lock(p);
	p->locked = on != 0;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static long set_packet(struct task *t, struct pty *p, uint64_t arg)
{
	int on;

	if (gmem_read(t->proc->mm, &on, gptr_at(arg), sizeof(on)))
		return -EFAULT;
	pty_lock(p);
	if (!on != !p->line.packet)
		p->line.pkt = 0;
	p->line.packet = on != 0;
	pty_unlock(p, false, false);
	return 0;
}

static long send_signal(struct pty *p, int sig)
{
	if (sig != SIGINT && sig != SIGQUIT && sig != SIGTSTP)
		return -EINVAL;
	job_signal(&p->job, sig);
	return 0;
}

/* The descriptor is a new open of the terminal: what the policy says of its name counts. */
static long open_peer(struct task *t, struct pty *p, unsigned flags)
{
	struct file *f;
	int r;

	if (flags & ~(unsigned)(O_ACCMODE | O_NOCTTY | O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	r = devpts_open(t, p, flags, &f);
	return r ? r : fdtab_install(t->proc->fdtab, f, 0, flags & O_CLOEXEC);
}

static long master_ioctl(struct task *t, struct pty *p, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case TIOCGPTN:
		return put_int(t, arg, p->index);
	case TIOCSPTLCK:
		return set_lock(t, p, arg);
	case TIOCGPTLCK:
		return put_int(t, arg, p->locked);
	case TIOCPKT:
		return set_packet(t, p, arg);
	case TIOCGPKT:
		return put_int(t, arg, p->line.packet);
	case TIOCSIG:
		return send_signal(p, (int)arg);
	case TIOCGPTPEER:
		return open_peer(t, p, (unsigned)arg);
	default:
		return -ENOTTY;
	}
}

/* ---- both ends ---- */

static long terminal_ioctl(struct task *t, struct pty *p, bool master, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case TCGETS:
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
	case TCGETS2:
	case TCSETS2:
	case TCSETSW2:
	case TCSETSF2:
		return termios(t, p, cmd, arg);
	case TIOCGWINSZ:
		return get_size(t, p, arg);
	case TIOCSWINSZ:
		return set_size(t, p, arg);
	case TCXONC:
		return flow(t, p, master, (int)arg);
	case TCFLSH:
		return flush(t, p, master, (int)arg);
	case TCSBRK:
	case TCSBRKP:
		return job_terminal_access(t, &p->job, SIGTTOU);
	case FIONREAD:
		return readable(t, p, master, arg);
	case TIOCOUTQ:
	case TIOCGETD:
		return put_int(t, arg, 0);
	case TIOCEXCL:
	case TIOCNXCL:
		p->exclusive = cmd == TIOCEXCL;
		return 0;
	case TIOCGEXCL:
		return put_int(t, arg, p->exclusive);
	case TIOCGDEV:
		return put_int(t, arg, master ? (int)makedev(5, 2) : pty_device(&p->job));
	default:
		return -ENOTTY;
	}
}

long pty_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	bool master = f->ops == &pty_master_ops;
	struct pty *p = pty_of(f);
	long r;

	if (p->master_closed)
		return cmd == TIOCSPGRP ? -ENOTTY : -EIO;
	switch (cmd) {
	case TIOCGPGRP:
	case TIOCSPGRP:
	case TIOCGSID:
		return job_ioctl(t, &p->job, master, cmd, gptr_at(arg));
	case TIOCSCTTY:
		return master ? -ENOTTY : job_take(t, &p->job);
	case TIOCNOTTY:
		return master ? -ENOTTY : job_leave(t, &p->job);
	case TIOCSTI:
		return -EIO; /* nobody types for another */
	case TIOCVHANGUP:
	case TIOCCONS:
		return -EPERM;
	}
	r = master ? master_ioctl(t, p, cmd, arg) : -ENOTTY;
	return r == -ENOTTY ? terminal_ioctl(t, p, master, cmd, arg) : r;
}
