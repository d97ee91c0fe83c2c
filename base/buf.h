/* Growable byte buffer. All appends are no-ops after an allocation failure, which `failed`
 * remembers, so that a long chain needs one check at its end. */
#ifndef SBX_BASE_BUF_H
#define SBX_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* NUL-terminated once anything was appended; owned */
	size_t len, cap;
	bool failed;
};

#define BUF_INIT                                                                                   \
	{                                                                                          \
		NULL, 0, 0, false                                                                  \
	}

void buf_free(struct buf *b);
void buf_reset(struct buf *b); /* len = 0, keeps the storage */
void buf_append(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* Appends n bytes as a JSON string with its quotes. Bytes that are not UTF-8 make the value
 * {"b64":"..."} instead, so the output is always valid JSON. */
void buf_json_str(struct buf *b, const char *s, size_t n);

/* Appends zeroes up to the next multiple of align (a power of two). */
void buf_align(struct buf *b, size_t align);

/* Gives the storage to the caller (NULL when empty or failed) and leaves b empty. */
char *buf_steal(struct buf *b);

#endif
