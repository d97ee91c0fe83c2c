/* The audit log: JSON Lines, one object per event, written by the sentry only.
 *
 * Nothing is lost: the first of a kind is written at once; repeats of one (call, rule, object, program,
 * result) are counted and written as one record with "repeat_of" and "count" when the counter is
 * evicted, about once a second, and at close. Every line carries the SHA-256 of the line before it in
 * "prev". Fields are only ever added within "v":1; docs/AUDIT.md is the schema. */
#ifndef SBX_AUDIT_RECORD_H
#define SBX_AUDIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "policy/eval.h"
#include "policy/image.h"

struct audit_log;

struct audit_opts {
	int fd;			 /* taken: closed by audit_close, and on failure */
	const char *const *argv; /* NULL-terminated; only argv[0] and the count are written ... */
	bool log_argv;		 /* ... unless this is set */
	const struct pol_image *image; /* borrowed for the log's life */
};

/* Writes the header record. 0, or -1 with *e. */
int audit_open(const struct audit_opts *o, struct audit_log **out, struct sbx_err **e);

enum audit_obj_kind { AUDIT_OBJ_NONE, AUDIT_OBJ_FILE, AUDIT_OBJ_NET };

struct audit_event {
	int pid, tid, ppid;
	const char *exe;	/* path of the program, or NULL */
	uint32_t nr;		/* system call number */
	const char *args;	/* JSON object text from audit_args_* */
	uint64_t ip;		/* app's RIP, past the SYSCALL instruction */
	uint32_t view;		/* of the process: see policy/eval.h */
	bool unimplemented;	/* no policy decided: sbx does not implement the call */
	struct pol_verdict verdict;
	enum audit_obj_kind obj;
	uint32_t verbs;		/* AUDIT_OBJ_FILE: POL_V_* that were asked */
	const char *path;	/* AUDIT_OBJ_FILE: canonical */
	const char *asked;	/* AUDIT_OBJ_FILE: as the app wrote it, or NULL */
	const struct pol_program *prog; /* AUDIT_OBJ_FILE: to be started; or NULL */
	uint32_t nverb;		/* AUDIT_OBJ_NET */
	const struct pol_addr *addr; /* AUDIT_OBJ_NET */
};

/* Records a decision. Any thread. A log that cannot be written (disk full) marks the log failed:
 * audit_failed() turns true and the sandbox must stop, since it may not run unrecorded. */
void audit_decision(struct audit_log *log, const struct audit_event *ev);

/* Records that the processes of a program's section were ended at its limit ("memory", "cpu", "wall"). */
void audit_limit(struct audit_log *log, const char *prog, const char *what, uint32_t rule);

/* Writes repeat counts that are older than a second; to be called about once a second. */
void audit_tick(struct audit_log *log);

bool audit_failed(const struct audit_log *log);

struct audit_totals {
	uint64_t calls, allow, deny, emulate, terminate, unimplemented;
};

/* Writes pending counts and the footer, syncs, closes and frees. */
void audit_close(struct audit_log **log, int exit_status, const char *reason,
		 const struct audit_totals *totals);

/* "connect tcp 10.0.0.9:6379", "read,write /etc/x": what an object asks for, in policy words. */
void audit_describe_net(struct buf *b, uint32_t nverb, const struct pol_addr *a);
void audit_describe_verbs(struct buf *b, uint32_t verbs);

/* Why a grant must not be suggested ("credential", "kernel", "escape"), or NULL. */
const char *audit_risk_path(const char *path);
const char *audit_risk_call(const char *syscall);

#endif
