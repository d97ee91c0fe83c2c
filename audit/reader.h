/* Reader of audit logs: what was refused, grouped. The log is untrusted text. */
#ifndef SBX_AUDIT_READER_H
#define SBX_AUDIT_READER_H

#include <stdint.h>
#include <stdio.h>
#include "base/err.h"

/* Prints the grouped report of the log at path to out. 0, or -1 with *e (unreadable, not a log). */
int audit_report(const char *path, FILE *out, struct sbx_err **e);

/* Prints record seq in full sentences. 0, or -1 with *e. */
int audit_why(const char *path, uint64_t seq, FILE *out, struct sbx_err **e);

/* Checks the hash chain and the sequence numbers. 0 when whole; 1 when broken (said on out); -1. */
int audit_verify(const char *path, FILE *out, struct sbx_err **e);

#endif
