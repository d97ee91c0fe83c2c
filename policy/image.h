/* The compiled policy image: one position-independent, checksummed blob, mapped read-only and read
 * by ring 0, the sentry and the command line. Loading verifies everything (offsets, counts, filter
 * programs, automata, strings, checksum): a damaged or hostile image is refused, never trusted. */
#ifndef SBX_POLICY_IMAGE_H
#define SBX_POLICY_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "policy/eval.h"

#define POL_DIGEST_SIZE 32

/* Verifies len bytes at p (8-byte aligned). On success the same bytes may be used as an image. */
const struct pol_image *pol_image_verify(const void *p, size_t len, struct sbx_err **e);

size_t pol_image_size(const struct pol_image *img);

/* Rule id -> position and text. Strings live as long as the image. False for an unknown id. */
struct pol_rule_info {
	const char *file;
	uint32_t line, column;
	const char *text;    /* the rule as written, one line */
	const char *because; /* or NULL */
	const char *tag;     /* or NULL */
};
bool pol_image_rule(const struct pol_image *img, uint32_t rule, struct pol_rule_info *out);

/* Policy-wide data the sentry and the command line need. Zero in a limit: no limit. */
struct pol_config {
	const char *name;
	const char *abi;
	const uint8_t *digest; /* SHA-256 of the policy text, includes and parameters */
	uint64_t limit_memory; /* bytes */
	uint64_t limit_cpu_ns, limit_wall_ns;
	uint64_t limit_processes, limit_open_files;
	uint64_t limit_output; /* bytes written to inherited descriptors 1 and 2 */
	bool has_uname;
	const char *uname_sysname, *uname_nodename, *uname_release, *uname_version, *uname_machine,
	    *uname_domain; /* NULL: the default */
	bool has_ids;
	bool has_exec; /* programs need POL_V_START to be started */
	uint32_t uid, gid;
	uint32_t cpus; /* 0: as the host */
	bool net_any;  /* some net rule grants something */
	bool net_inet, net_unix;
	bool files_write;   /* some pattern of the host's files grants write, append, create or delete */
	bool files_read;    /* some file pattern grants read or list */
	uint32_t nr_views;  /* at least 1: more with `programs` */
};
void pol_image_config(const struct pol_image *img, struct pol_config *out);

/* Does the policy grant itself one of verbs (bits 1 << enum pol_nverb) on the internet address
 * ip of family 4 or 6, whatever the protocol and port; or, when ip is NULL, on any address of the family
 * that is not the loopback's? A grant of the wildcard address to listen on is one of all. */
bool pol_net_grants(const struct pol_image *img, uint32_t verbs, uint8_t family, const uint8_t *ip);

/* The policy itself (index 0) and the sections of `programs`. Fills *out for index, when there is one, and
 * returns how many there are. Limits of index 0 are in pol_config. */
struct pol_layer {
	const char *name;
	uint32_t rule; /* where the section stands */
	uint32_t dflt; /* the rule of verdicts on what the section does not list */
	uint64_t memory, cpu_ns, wall_ns, processes, open_files; /* 0: none */
};
size_t pol_image_layer(const struct pol_image *img, size_t index, struct pol_layer *out);

/* `phases`: phase 0 is the start, phase n begins with the call of index n - 1. Fills *out for index, when there
 * is one, and returns how many there are. */
struct pol_phase {
	const char *name;
	uint32_t nr; /* the system call after which it begins */
};
size_t pol_image_phase(const struct pol_image *img, size_t index, struct pol_phase *out);

/* The view with the same sections of `programs` in that phase; the phase of a view. */
uint32_t pol_view_in_phase(const struct pol_image *img, uint32_t view, uint32_t phase);
uint32_t pol_view_phase(const struct pol_image *img, uint32_t view);

/* Limits of rules whose verdicts have POL_F_LIMIT. Fills *out for index, when there is one, and returns how
 * many there are. */
enum pol_over { POL_OVER_DELAY = 1, POL_OVER_DENY, POL_OVER_TERMINATE };
struct pol_rate {
	uint32_t rule;
	enum pol_over over;
	int64_t value;		/* POL_OVER_DENY: errno */
	uint64_t count, per_ns; /* per_ns 0: count in all */
};
size_t pol_image_rate(const struct pol_image *img, size_t index, struct pol_rate *out);

/* "self" for view 0, else the names of its sections: "tool", "tool+net". As snprintf. */
size_t pol_view_name(const struct pol_image *img, uint32_t view, char *buf, size_t size);

/* `scratch` and `overlay` mounts: private in-memory trees. */
struct pol_scratch {
	const char *path;
	uint64_t size; /* bytes; 0: the memory limit alone */
	uint32_t rule;
	bool overlay; /* starts as a view of the host's tree */
};
/* Fills *out for index, when there is one, and returns how many mounts there are. */
size_t pol_image_scratch(const struct pol_image *img, size_t index, struct pol_scratch *out);

/* Where the tree that a `files` pattern speaks of begins: the directory (or the very file) that its
 * fixed start names. Fills *out for index, when there is one, and returns how many patterns there
 * are. */
struct pol_grant {
	const char *root; /* not terminated */
	size_t root_len;
	uint32_t verbs; /* POL_V_* that it decides */
	bool allows;	/* grants verbs; else refuses or hides */
	uint32_t rule;
};
size_t pol_image_grant(const struct pol_image *img, size_t index, struct pol_grant *out);
/* The same of a pattern by itself: len bytes, the first literal of which are fixed. Returns the length
 * of the root. */
size_t pol_grant_root(const char *text, size_t len, size_t literal);

/* Does path lie below the directory dir, without being it? */
bool pol_path_below(const char *dir, size_t dir_len, const char *path, size_t len);

/* Does every `files` pattern say the same about all that lies below the directory path? Then moving
 * that directory changes nothing but what the pattern of its new place says. Errs on the side of no. */
bool pol_tree_uniform(const struct pol_image *img, const char *path, size_t len);

/* Nearest miss of a refused path or address, for the audit record's `near` and `fix`: the grant
 * that comes closest and why it does not cover it. False when nothing is near. */
struct pol_near {
	uint32_t rule;
	bool conditions; /* it covers a program, but not with its arguments */
	char why[256];
};
bool pol_near_path(const struct pol_image *img, uint32_t view, uint32_t verbs, const char *path,
		   size_t len, struct pol_near *out);
bool pol_near_net(const struct pol_image *img, uint32_t view, uint32_t nverb,
		  const struct pol_addr *addr, struct pol_near *out);
bool pol_near_exec(const struct pol_image *img, uint32_t view, const struct pol_program *prog,
		   struct pol_near *out);

#endif
