/* Host set-up errors: the second of the three error channels (docs/HACKING.md).
 * A fallible function returns 0 or -1 and takes `struct sbx_err **` last; on success it leaves the
 * pointer alone, on failure it stores a new error that the caller owns. */
#ifndef SBX_BASE_ERR_H
#define SBX_BASE_ERR_H

struct sbx_err {
	int status; /* exit status that fits: SBX_EXIT_*; 0 when the caller decides */
	char *msg;  /* one line, no newline */
};

enum {
	SBX_EXIT_SETUP = 125,	    /* sbx could not start the program */
	SBX_EXIT_NOT_EXEC = 126,    /* found, but cannot be executed; as env(1) */
	SBX_EXIT_NOT_FOUND = 127,   /* program not found; as env(1) */
	SBX_EXIT_TERMINATED = 159,  /* the policy terminated the program (128 + SIGSYS) */
};

/* Stores a new error built from fmt; always returns -1. A NULL e discards the message. */
int sbx_err_set(struct sbx_err **e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As sbx_err_set, with an exit status. */
int sbx_err_status(struct sbx_err **e, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As sbx_err_set, and appends ": " and strerror(err). */
int sbx_err_errno(struct sbx_err **e, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Prepends context ("loading web.pol: ") to the error in *e; always returns -1. */
int sbx_err_wrap(struct sbx_err **e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void sbx_err_free(struct sbx_err **e);

#endif
