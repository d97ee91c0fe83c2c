/* Terminal input: what the master writes is edited, echoed and turned into signals as termios says, and
 * is then there for the app to read. */
#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include "base/overflow.h"
#include "sentry/signal.h"
#include "sentry/tty.h"

#define L(l, flag) ((l)->tio.c_lflag & (flag))
#define I(l, flag) ((l)->tio.c_iflag & (flag))

/* c is the control character `which`; those that are 0 are switched off. */
static bool is_cc(const struct tty_line *l, int which, uint8_t c)
{
	return c && l->tio.c_cc[which] == c;
}

static uint8_t in_at(const struct tty_line *l, unsigned pos)
{
	return l->in[pos % TTY_IN];
}

static bool ends_at(const struct tty_line *l, unsigned pos)
{
	return l->ends[pos % TTY_IN / 64] >> pos % 64 & 1;
}

static void set_end(struct tty_line *l, unsigned pos, bool on)
{
	uint64_t bit = 1ull << pos % 64;

	if (on)
		l->ends[pos % TTY_IN / 64] |= bit;
	else
		l->ends[pos % TTY_IN / 64] &= ~bit;
}

void tty_init(struct tty_line *l)
{
	static const uint8_t cc[] = {
		[VINTR] = 'C' - 64, [VQUIT] = '\\' - 64, [VERASE] = 0177,     [VKILL] = 'U' - 64,
		[VEOF] = 'D' - 64,  [VMIN] = 1,		 [VSTART] = 'Q' - 64, [VSTOP] = 'S' - 64,
		[VSUSP] = 'Z' - 64, [VREPRINT] = 'R' - 64, [VDISCARD] = 'O' - 64,
		[VWERASE] = 'W' - 64, [VLNEXT] = 'V' - 64,
	};

	memset(l, 0, sizeof(*l));
	l->tio.c_iflag = ICRNL | IXON;
	l->tio.c_oflag = OPOST | ONLCR;
	l->tio.c_cflag = B38400 | CS8 | CREAD;
	l->tio.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
	l->tio.c_ispeed = l->tio.c_ospeed = 38400;
	memcpy(l->tio.c_cc, cc, sizeof(cc));
}

void tty_flush_input(struct tty_line *l)
{
	l->tail = l->canon = l->head = 0;
	memset(l->ends, 0, sizeof(l->ends));
	l->erasing = l->literal = false;
	if (l->packet)
		l->pkt |= TIOCPKT_FLUSHREAD;
}

/* ---- what can be read ---- */

bool tty_has_input(const struct tty_line *l)
{
	return tty_is_canon(l) ? l->canon != l->tail : l->head != l->tail;
}

size_t tty_readable(const struct tty_line *l)
{
	size_t n = 0;

	if (!tty_is_canon(l))
		return l->head - l->tail;
	for (unsigned i = l->tail; i != l->canon; i++)
		n += !ends_at(l, i) || in_at(l, i);
	return n;
}

/* The end of a file is stored as an end of a line with nothing in it. */
static bool is_eof(const struct tty_line *l, unsigned pos)
{
	return ends_at(l, pos) && !in_at(l, pos);
}

static size_t read_line(struct tty_line *l, uint8_t *buf, size_t n)
{
	size_t done = 0;
	bool end = false;

	while (done < n && !end && l->tail != l->canon) {
		end = ends_at(l, l->tail);
		if (!is_eof(l, l->tail))
			buf[done++] = in_at(l, l->tail);
		set_end(l, l->tail++, false);
	}
	/* an end of file right after what fitted ends this read, not the next */
	if (!end && l->tail != l->canon && is_eof(l, l->tail))
		set_end(l, l->tail++, false);
	return done;
}

size_t tty_read(struct tty_line *l, uint8_t *buf, size_t n)
{
	size_t done;

	if (tty_is_canon(l)) {
		done = read_line(l, buf, n);
	} else {
		n = MIN(n, l->head - l->tail);
		for (done = 0; done < n; done++)
			buf[done] = in_at(l, l->tail++);
		l->canon = l->tail;
	}
	tty_type_on(l);
	return done;
}

/* ---- putting characters in ---- */

static bool full(const struct tty_line *l)
{
	return l->head - l->tail >= TTY_IN - 1;
}

/* Is the one line in the making longer than fits? Its last character then gives way to the next one,
 * so that the line can be ended. */
static bool overlong(const struct tty_line *l)
{
	return full(l) && tty_is_canon(l) && l->canon == l->tail;
}

static void put(struct tty_line *l, uint8_t c)
{
	if (overlong(l) && l->head - l->tail == TTY_IN)
		l->head--;
	if (l->head - l->tail < TTY_IN)
		l->in[l->head++ % TTY_IN] = c;
}

static void put_marked(struct tty_line *l, uint8_t c)
{
	if (c == 0xff && I(l, PARMRK))
		put(l, c);
	put(l, c);
}

static void put_end(struct tty_line *l, uint8_t c)
{
	put(l, c);
	set_end(l, l->head - 1, true);
	l->canon = l->head;
}

/* ---- editing ---- */

static void finish_erasing(struct tty_line *l)
{
	if (l->erasing)
		tty_echo_raw(l, '/');
	l->erasing = false;
}

static void rub_out(struct tty_line *l)
{
	tty_emit(l, '\b');
	tty_emit(l, ' ');
	tty_emit(l, '\b');
	l->column -= l->column > 0;
}

/* Moves the cursor back over a tab, whose width is found from what is before it on the line. */
static void rub_out_tab(struct tty_line *l)
{
	unsigned pos = l->head, columns = 0;
	bool after_tab = false;

	while (pos != l->canon && !after_tab) {
		uint8_t c = in_at(l, --pos);

		if (c == '\t')
			after_tab = true;
		else if (tty_is_control(c))
			columns += L(l, ECHOCTL) ? 2 : 0;
		else
			columns += !tty_continues(l, c);
	}
	if (!after_tab)
		columns += l->canon_column;
	for (unsigned n = 8 - columns % 8; n; n--) {
		tty_emit(l, '\b');
		l->column -= l->column > 0;
	}
}

/* Echoes that the len bytes of one character at the end of the line are gone. */
static void echo_erased(struct tty_line *l, uint8_t c, unsigned len, bool one)
{
	if (!L(l, ECHO))
		return;
	if (L(l, ECHOPRT)) {
		if (!l->erasing)
			tty_echo_raw(l, '\\');
		l->erasing = true;
		tty_echo(l, c);
		for (unsigned i = 1; i < len; i++)
			tty_emit(l, in_at(l, l->head + i));
	} else if (one && !L(l, ECHOE)) {
		tty_echo(l, l->tio.c_cc[VERASE]);
	} else if (c == '\t') {
		rub_out_tab(l);
	} else {
		if (tty_is_control(c) && L(l, ECHOCTL))
			rub_out(l);
		if (!tty_is_control(c) || L(l, ECHOCTL))
			rub_out(l);
	}
}

/* Takes the last character off the line in the making. False when there is none, or with in_word,
 * when a word ends before it. */
static bool erase_one(struct tty_line *l, bool *in_word, bool one)
{
	unsigned pos = l->head, len;
	uint8_t c;

	if (pos == l->canon)
		return false;
	do
		c = in_at(l, --pos);
	while (tty_continues(l, c) && pos != l->canon);
	if (tty_continues(l, c)) /* never part of a character */
		return false;
	if (in_word && (isalnum(c) || c == '_'))
		*in_word = true;
	else if (in_word && *in_word)
		return false;
	len = l->head - pos;
	l->head = pos;
	echo_erased(l, c, len, one && !in_word);
	return true;
}

static void kill_line(struct tty_line *l)
{
	if (L(l, ECHO) && L(l, ECHOK) && L(l, ECHOKE) && L(l, ECHOE)) {
		while (erase_one(l, NULL, false))
			;
		return;
	}
	l->head = l->canon;
	if (!L(l, ECHO))
		return;
	finish_erasing(l);
	tty_echo(l, l->tio.c_cc[VKILL]);
	if (L(l, ECHOK))
		tty_echo_raw(l, '\n');
}

static void edit(struct tty_line *l, uint8_t c)
{
	bool in_word = false;

	if (l->head == l->canon)
		return;
	if (is_cc(l, VERASE, c))
		erase_one(l, NULL, true);
	else if (is_cc(l, VKILL, c))
		kill_line(l);
	else
		while (erase_one(l, &in_word, false))
			;
	if (l->head == l->canon && L(l, ECHO))
		finish_erasing(l);
}

static void reprint(struct tty_line *l, uint8_t c)
{
	finish_erasing(l);
	tty_echo(l, c);
	tty_echo_raw(l, '\n');
	for (unsigned i = l->canon; i != l->head; i++)
		tty_echo(l, in_at(l, i));
}

/* ---- one character ---- */

static void echo_typed(struct tty_line *l, uint8_t c)
{
	if (!L(l, ECHO))
		return;
	finish_erasing(l);
	if (c == '\n') {
		tty_echo_raw(l, c);
		return;
	}
	if (l->canon == l->head)
		l->canon_column = l->column;
	tty_echo(l, c);
}

static int signal_of(const struct tty_line *l, uint8_t c)
{
	if (!L(l, ISIG))
		return 0;
	if (is_cc(l, VINTR, c))
		return SIGINT;
	if (is_cc(l, VQUIT, c))
		return SIGQUIT;
	return is_cc(l, VSUSP, c) ? SIGTSTP : 0;
}

static void raise_signal(struct tty_line *l, int sig, uint8_t c)
{
	l->signals |= (uint32_t)sig_bit(sig);
	if (!L(l, NOFLSH)) {
		tty_flush_input(l);
		l->nheld = 0;
		if (l->packet)
			l->pkt |= TIOCPKT_FLUSHWRITE;
	}
	if (I(l, IXON))
		tty_start(l);
	if (L(l, ECHO))
		tty_echo(l, c);
}

/* Flow control and signals. True: c was one of these. */
static bool control(struct tty_line *l, uint8_t c)
{
	int sig = signal_of(l, c);

	if (I(l, IXON) && (is_cc(l, VSTART, c) || is_cc(l, VSTOP, c))) {
		if (is_cc(l, VSTART, c))
			tty_start(l);
		else
			tty_stop(l);
		return true;
	}
	if (sig)
		raise_signal(l, sig, c);
	else if (I(l, IXON) && I(l, IXANY))
		tty_start(l);
	return sig != 0;
}

/* Canonical mode. True: c was an editing character or ended the line. */
static bool canonical(struct tty_line *l, uint8_t c)
{
	bool ext = L(l, IEXTEN);

	if (is_cc(l, VERASE, c) || is_cc(l, VKILL, c) || (ext && is_cc(l, VWERASE, c))) {
		edit(l, c);
	} else if (ext && is_cc(l, VLNEXT, c)) {
		l->literal = true;
		if (L(l, ECHO)) {
			finish_erasing(l);
			if (L(l, ECHOCTL)) {
				tty_emit(l, '^');
				tty_emit(l, '\b');
			}
		}
	} else if (ext && is_cc(l, VREPRINT, c) && L(l, ECHO)) {
		reprint(l, c);
	} else if (c == '\n') {
		if (L(l, ECHO | ECHONL))
			tty_echo_raw(l, c);
		put_end(l, c);
	} else if (is_cc(l, VEOF, c)) {
		put_end(l, 0);
	} else if (is_cc(l, VEOL, c) || (ext && is_cc(l, VEOL2, c))) {
		echo_typed(l, c);
		if (c == 0xff && I(l, PARMRK))
			put(l, c);
		put_end(l, c);
	} else {
		return false;
	}
	return true;
}

static uint8_t mapped(const struct tty_line *l, uint8_t c)
{
	if (I(l, ISTRIP))
		c &= 0x7f;
	if (I(l, IUCLC) && L(l, IEXTEN) && c >= 'A' && c <= 'Z')
		c = (uint8_t)(c - 'A' + 'a');
	return c;
}

static void type_one(struct tty_line *l, uint8_t c)
{
	c = mapped(l, c);
	if (L(l, EXTPROC)) {
		put(l, c);
		return;
	}
	if (!l->literal) {
		if (control(l, c) || (c == '\r' && I(l, IGNCR)))
			return;
		if (c == '\r' && I(l, ICRNL))
			c = '\n';
		else if (c == '\n' && I(l, INLCR))
			c = '\r';
		if (tty_is_canon(l) && canonical(l, c))
			return;
	}
	l->literal = false;
	echo_typed(l, c);
	put_marked(l, c);
}

void tty_type_on(struct tty_line *l)
{
	while (l->raw_tail != l->raw_head && (!full(l) || overlong(l)))
		type_one(l, l->raw[l->raw_tail++ % TTY_RAW]);
}

size_t tty_type(struct tty_line *l, const uint8_t *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		while (done < n && tty_raw_room(l))
			l->raw[l->raw_head++ % TTY_RAW] = buf[done++];
		tty_type_on(l);
		if (!tty_raw_room(l))
			break;
	}
	return done;
}

/* ---- settings ---- */

/* With packet mode, the master wants to know whether ^S and ^Q are flow control. */
static bool plain_flow(const struct termios2 *t)
{
	return t->c_iflag & IXON && t->c_cc[VSTOP] == 'S' - 64 && t->c_cc[VSTART] == 'Q' - 64;
}

static void tell_settings(struct tty_line *l, const struct termios2 *old)
{
	bool now = plain_flow(&l->tio);

	if (!l->packet)
		return;
	if (now != plain_flow(old)) {
		l->pkt &= (uint8_t)~(TIOCPKT_DOSTOP | TIOCPKT_NOSTOP);
		l->pkt |= now ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP;
	}
	if ((old->c_lflag | l->tio.c_lflag) & EXTPROC)
		l->pkt |= TIOCPKT_IOCTL;
}

/* What was typed stays readable when the mode changes: as one line without an end, or as characters. */
static void change_mode(struct tty_line *l)
{
	memset(l->ends, 0, sizeof(l->ends));
	l->canon = l->tail;
	if (tty_is_canon(l) && l->head != l->tail) {
		set_end(l, l->head - 1, true);
		l->canon = l->head;
	}
	l->erasing = l->literal = false;
}

void tty_set_termios(struct tty_line *l, const struct termios2 *tio)
{
	struct termios2 old = l->tio;

	l->tio = *tio;
	l->tio.c_cflag &= ~(unsigned)(CSIZE | PARENB);
	l->tio.c_cflag |= CS8 | CREAD;
	tell_settings(l, &old);
	if ((old.c_lflag ^ tio->c_lflag) & (ICANON | EXTPROC))
		change_mode(l);
	if (old.c_iflag & IXON && !(tio->c_iflag & IXON))
		tty_start(l);
	tty_type_on(l);
}
