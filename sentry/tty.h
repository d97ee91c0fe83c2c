/* The line discipline of a terminal: what the app types and prints, and what becomes of it on the way.
 * Nothing here blocks, locks or knows of files: sentry/pty.c does. Owner: sentry/tty_in.c, tty_out.c. */
#ifndef SBX_SENTRY_TTY_H
#define SBX_SENTRY_TTY_H

#include <asm/termbits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TTY_IN	 4096  /* typed and edited: what the app can read, as Linux has it */
#define TTY_RAW	 8192  /* typed, waiting for room */
#define TTY_OUT	 16384 /* printed: what the master can read */
#define TTY_SOFT 8192  /* of that, what the app can fill; the rest is for echoes */
#define TTY_HELD 4096  /* echoes of a stopped terminal */

struct tty_line {
	struct termios2 tio;
	/* Positions count on and on; modulo the size they are indices. */
	uint8_t in[TTY_IN];
	uint64_t ends[TTY_IN / 64];   /* characters that end a line */
	unsigned tail, canon, head;   /* tail..canon: whole lines; canon..head: the line in the making */
	uint8_t raw[TTY_RAW];
	unsigned raw_tail, raw_head;
	uint8_t out[TTY_OUT];
	unsigned out_tail, out_head;
	uint8_t held[TTY_HELD];
	unsigned nheld;
	unsigned column, canon_column; /* of the cursor; where the line in the making began */
	bool literal, erasing;	       /* after VLNEXT; inside the \.../ of ECHOPRT */
	bool stopped, stopped_by_app;  /* output: by ^S or TCOOFF; by the latter */
	bool packet;		       /* TIOCPKT of the master */
	uint8_t pkt;		       /* what it was not told yet */
	uint32_t signals;	       /* sig_bit(): to be sent to the foreground group by the caller */
};

void tty_init(struct tty_line *l);

/* New settings, as tcsetattr gives them. */
void tty_set_termios(struct tty_line *l, const struct termios2 *tio);

/* What the master writes: bytes taken, fewer than n when there is no room. */
size_t tty_type(struct tty_line *l, const uint8_t *buf, size_t n);
/* Lets what waits for room in, after something was read or flushed. */
void tty_type_on(struct tty_line *l);
/* Bytes that the app could read now; in canonical mode, those of whole lines. */
size_t tty_readable(const struct tty_line *l);
/* Is there something to read? An empty line (^D) is something. */
bool tty_has_input(const struct tty_line *l);
/* Takes at most n > 0 bytes, at most one line in canonical mode. */
size_t tty_read(struct tty_line *l, uint8_t *buf, size_t n);
void tty_flush_input(struct tty_line *l);

/* What the app writes: bytes taken, fewer than n when there is no room or output is stopped. */
size_t tty_print(struct tty_line *l, const uint8_t *buf, size_t n);
/* What the master reads. */
size_t tty_take_output(struct tty_line *l, uint8_t *buf, size_t n);
void tty_stop(struct tty_line *l);
void tty_start(struct tty_line *l);

/* For tty_in.c: one character of an echo, processed as output; a control character as ^X. */
void tty_echo_raw(struct tty_line *l, uint8_t c);
void tty_echo(struct tty_line *l, uint8_t c);
/* One character to the master as it is. */
void tty_emit(struct tty_line *l, uint8_t c);

static inline bool tty_is_canon(const struct tty_line *l)
{
	return (l->tio.c_lflag & (ICANON | EXTPROC)) == ICANON;
}

static inline unsigned tty_out_used(const struct tty_line *l)
{
	return l->out_head - l->out_tail;
}

static inline bool tty_out_room(const struct tty_line *l)
{
	return !l->stopped && tty_out_used(l) + 8 <= TTY_SOFT;
}

static inline unsigned tty_raw_room(const struct tty_line *l)
{
	return TTY_RAW - (l->raw_head - l->raw_tail);
}

/* The second and later bytes of a character, in UTF-8 mode. */
static inline bool tty_continues(const struct tty_line *l, uint8_t c)
{
	return (l->tio.c_iflag & IUTF8) && (c & 0xc0) == 0x80;
}

static inline bool tty_is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

#endif
