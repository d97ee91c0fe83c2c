/* Terminal output: what the app prints and what is echoed, processed as termios says, on its way to the
 * master. */
#include <string.h>
#include <sys/ioctl.h>
#include "base/overflow.h"
#include "sentry/tty.h"

#define TAB 8

static void put(struct tty_line *l, uint8_t c)
{
	if (tty_out_used(l) < TTY_OUT)
		l->out[l->out_head++ % TTY_OUT] = c;
}

void tty_emit(struct tty_line *l, uint8_t c)
{
	if (!l->stopped)
		put(l, c);
	else if (l->nheld < TTY_HELD)
		l->held[l->nheld++] = c;
}

static void emit_newline(struct tty_line *l)
{
	if (l->tio.c_oflag & (ONLCR | ONLRET))
		l->column = 0;
	if (l->tio.c_oflag & ONLCR)
		tty_emit(l, '\r');
	l->canon_column = l->column;
	tty_emit(l, '\n');
}

static void emit_return(struct tty_line *l)
{
	if (l->tio.c_oflag & ONOCR && !l->column)
		return;
	if (l->tio.c_oflag & OCRNL) {
		if (l->tio.c_oflag & ONLRET)
			l->canon_column = l->column = 0;
		tty_emit(l, '\n');
		return;
	}
	l->canon_column = l->column = 0;
	tty_emit(l, '\r');
}

static void emit_tab(struct tty_line *l)
{
	unsigned n = TAB - l->column % TAB;

	l->column += n;
	if ((l->tio.c_oflag & TABDLY) != XTABS) {
		tty_emit(l, '\t');
		return;
	}
	while (n--)
		tty_emit(l, ' ');
}

/* At most TAB bytes come of one character. */
static void process(struct tty_line *l, uint8_t c)
{
	if (!(l->tio.c_oflag & OPOST)) {
		tty_emit(l, c);
		return;
	}
	switch (c) {
	case '\n':
		emit_newline(l);
		return;
	case '\r':
		emit_return(l);
		return;
	case '\t':
		emit_tab(l);
		return;
	case '\b':
		l->column -= l->column > 0;
		break;
	default:
		if (tty_is_control(c))
			break;
		if (l->tio.c_oflag & OLCUC && c >= 'a' && c <= 'z')
			c = (uint8_t)(c - 'a' + 'A');
		l->column += !tty_continues(l, c);
	}
	tty_emit(l, c);
}

size_t tty_print(struct tty_line *l, const uint8_t *buf, size_t n)
{
	size_t done;

	for (done = 0; done < n && tty_out_room(l); done++)
		process(l, buf[done]);
	return done;
}

void tty_echo_raw(struct tty_line *l, uint8_t c)
{
	process(l, c);
}

void tty_echo(struct tty_line *l, uint8_t c)
{
	if (!(l->tio.c_lflag & ECHOCTL) || !tty_is_control(c) || c == '\t') {
		process(l, c);
		return;
	}
	tty_emit(l, '^');
	tty_emit(l, c ^ 0100);
	l->column += 2;
}

size_t tty_take_output(struct tty_line *l, uint8_t *buf, size_t n)
{
	size_t i;

	n = MIN(n, tty_out_used(l));
	for (i = 0; i < n; i++)
		buf[i] = l->out[l->out_tail++ % TTY_OUT];
	return n;
}

static void tell(struct tty_line *l, uint8_t what, uint8_t instead_of)
{
	if (l->packet)
		l->pkt = (uint8_t)((l->pkt & ~instead_of) | what);
}

void tty_stop(struct tty_line *l)
{
	if (l->stopped)
		return;
	l->stopped = true;
	tell(l, TIOCPKT_STOP, TIOCPKT_START);
}

void tty_start(struct tty_line *l)
{
	if (!l->stopped || l->stopped_by_app)
		return;
	l->stopped = false;
	tell(l, TIOCPKT_START, TIOCPKT_STOP);
	for (unsigned i = 0; i < l->nheld; i++)
		put(l, l->held[i]);
	l->nheld = 0;
}
