/* ioctl: a table of what may reach the host's descriptor, with the direction and size of each
 * argument. Everything else is ENOTTY. Nothing that puts input into a terminal is here. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <linux/random.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <asm/termbits.h>
#include "base/overflow.h"
#include "sentry/async.h"
#include "sentry/job.h"
#include "sentry/net.h"
#include "sentry/netif.h"
#include "sentry/sys.h"

#define KERNEL_TERMIOS_SIZE 36 /* struct termios of the kernel's interface */
#define ARG_BYTES	    64

#define ON(kind) (1u << (kind))
#define STREAMS	 (ON(POL_FD_PIPE) | ON(POL_FD_SOCKET) | ON(POL_FD_TTY))
#define TTY	 ON(POL_FD_TTY)
#define SOCKET	 ON(POL_FD_SOCKET)

enum dir {
	NONE,  /* no argument */
	VALUE, /* the argument is a number */
	IN,    /* size bytes are read from the app */
	OUT,   /* size bytes are written to the app */
};

struct cmd {
	uint32_t cmd;
	uint8_t dir, size;
	uint16_t kinds; /* ON(enum pol_fdkind) ... */
};

static const struct cmd cmds[] = {
	{FIONREAD, OUT, sizeof(int), STREAMS | ON(POL_FD_FILE) | ON(POL_FD_EVENT)},
	{TIOCOUTQ, OUT, sizeof(int), TTY | SOCKET},
	{SIOCATMARK, OUT, sizeof(int), SOCKET},
	{SIOCOUTQNSD, OUT, sizeof(int), SOCKET},
	{SIOCGSTAMP_OLD, OUT, sizeof(struct timeval), SOCKET},
	{SIOCGSTAMPNS_OLD, OUT, sizeof(struct timespec), SOCKET},
	{RNDGETENTCNT, OUT, sizeof(int), ON(POL_FD_DEVICE)},
	{TCGETS, OUT, KERNEL_TERMIOS_SIZE, TTY},
	{TCSETS, IN, KERNEL_TERMIOS_SIZE, TTY},
	{TCSETSW, IN, KERNEL_TERMIOS_SIZE, TTY},
	{TCSETSF, IN, KERNEL_TERMIOS_SIZE, TTY},
	{TCGETS2, OUT, sizeof(struct termios2), TTY},
	{TCSETS2, IN, sizeof(struct termios2), TTY},
	{TCSETSW2, IN, sizeof(struct termios2), TTY},
	{TCSETSF2, IN, sizeof(struct termios2), TTY},
	{TCSBRK, VALUE, 0, TTY},
	{TCXONC, VALUE, 0, TTY},
	{TCFLSH, VALUE, 0, TTY},
	{TIOCGWINSZ, OUT, sizeof(struct winsize), TTY},
	{TIOCSWINSZ, IN, sizeof(struct winsize), TTY},
};

static const struct cmd *find(uint32_t cmd, enum pol_fdkind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++)
		if (cmds[i].cmd == cmd && (cmds[i].kinds & ON(kind)))
			return &cmds[i];
	return NULL;
}

static long host_ioctl(struct task *t, struct file *f, const struct cmd *c, uint64_t arg)
{
	_Alignas(8) char buf[ARG_BYTES] = {0};
	long r, host_arg = (long)buf;

	/* What changes a terminal is the foreground's to do; its size may be anybody's. */
	if (c->kinds == TTY && c->dir != OUT && c->cmd != TIOCSWINSZ) {
		r = job_terminal_access(t, &job_host_tty, SIGTTOU);
		if (r)
			return r;
	}
	if (c->dir == VALUE || c->dir == NONE)
		host_arg = c->dir == VALUE ? (int)arg : 0;
	if (c->dir == IN && gmem_read(t->proc->mm, buf, gptr_at(arg), c->size))
		return -EFAULT;
	r = task_host_call(t, SYS_ioctl, f->hostfd, c->cmd, host_arg, 0, 0, 0);
	if (r >= 0 && c->dir == OUT && gmem_write(t->proc->mm, gptr_at(arg), buf, c->size))
		return -EFAULT;
	return r;
}

/* FIONBIO: the flag of the description, and of the host's where it is ours alone. */
static long set_nonblock(struct task *t, struct file *f, struct gptr arg)
{
	unsigned flags;
	int on;

	if (gmem_read(t->proc->mm, &on, arg, sizeof(on)))
		return -EFAULT;
	if (on)
		flags = atomic_fetch_or(&f->flags, O_NONBLOCK) | O_NONBLOCK;
	else
		flags = atomic_fetch_and(&f->flags, ~O_NONBLOCK) & ~O_NONBLOCK;
	if (f->hostfd < 0 || f->inherited || f->kind == POL_FD_FILE || f->kind == POL_FD_DIR)
		return 0;
	return fcntl(f->hostfd, F_SETFL, flags & (O_NONBLOCK | O_APPEND | O_DIRECT)) ? -errno : 0;
}

/* SIOCSPGRP and the like: fcntl's owner by a pointer. */
static long socket_owner(struct task *t, struct file *f, uint32_t cmd, struct gptr arg)
{
	long r;
	int id;

	if (cmd == FIOGETOWN || cmd == SIOCGPGRP) {
		r = async_fcntl(t, f, F_GETOWN, 0);
		id = (int)r;
		return gmem_write(t->proc->mm, arg, &id, sizeof(id));
	}
	if (gmem_read(t->proc->mm, &id, arg, sizeof(id)))
		return -EFAULT;
	return async_fcntl(t, f, F_SETOWN, (uint64_t)id);
}

static long set_async(struct task *t, struct file *f, int fd, struct gptr arg)
{
	int on, err;

	if (gmem_read(t->proc->mm, &on, arg, sizeof(on)))
		return -EFAULT;
	err = async_set(t, f, fd, on);
	if (err)
		return err;
	if (on)
		atomic_fetch_or(&f->flags, O_ASYNC);
	else
		atomic_fetch_and(&f->flags, ~(unsigned)O_ASYNC);
	return 0;
}

long sys_ioctl(struct task *t, struct sysargs *a)
{
	struct file *f = a->file[0];
	uint32_t cmd = A_UINT(a, 1);
	const struct cmd *c;
	long r;

	if (!f || (f->flags & O_PATH))
		return -EBADF;
	switch (cmd) {
	case FIOCLEX:
	case FIONCLEX:
		return fdtab_set_cloexec(t->proc->fdtab, A_INT(a, 0), cmd == FIOCLEX);
	case FIONBIO:
		return set_nonblock(t, f, A_PTR(a, 2));
	case FIOSETOWN:
	case SIOCSPGRP:
	case FIOGETOWN:
	case SIOCGPGRP:
		return f->kind == POL_FD_SOCKET ? socket_owner(t, f, cmd, A_PTR(a, 2)) : -ENOTTY;
	case FIOASYNC:
		return set_async(t, f, A_INT(a, 0), A_PTR(a, 2));
	case TIOCGPGRP:
	case TIOCSPGRP:
	case TIOCGSID:
		if (f->ops->ioctl || f->kind != POL_FD_TTY)
			break;
		return job_ioctl(t, &job_host_tty, false, cmd, A_PTR(a, 2));
	}
	if (f->kind == POL_FD_SOCKET) {
		r = netif_ioctl(t, cmd, A_PTR(a, 2));
		if (r != -ENOTTY)
			return r;
	}
	if (f->ops->ioctl)
		return f->ops->ioctl(t, f, cmd, a->raw[2]);
	c = f->hostfd >= 0 ? find(cmd, f->kind) : NULL;
	return c ? host_ioctl(t, f, c, a->raw[2]) : -ENOTTY;
}
