/* The one evaluator of compiled policies: built freestanding for ring 0 (general registers only, no
 * libc, no allocation, no globals) and normally for the sentry, the command line and the fuzzers.
 *
 * All inputs are bounded: an image is verified once when it is loaded (policy/image.h); evaluation
 * cannot loop, fault or read outside a verified image whatever the call's arguments are. */
#ifndef SBX_POLICY_EVAL_H
#define SBX_POLICY_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pol_image; /* a verified image in memory */
struct img_verdict;

enum pol_action {
	POL_ALLOW = 1,
	POL_DENY = 2,	   /* value: errno, positive */
	POL_EMULATE = 3,   /* value: what the call returns */
	POL_TERMINATE = 4, /* the sandbox ends, status 159 */
};

enum pol_verdict_flags {
	POL_F_LOG = 1 << 0,	/* write an audit record (every refusal; `audit` on an allow) */
	POL_F_QUIET = 1 << 1,	/* `quiet`: counted, not recorded */
	POL_F_UNKNOWN = 1 << 2, /* decided by the `unknown` line */
	POL_F_DEFAULT = 1 << 3, /* decided by the `default` line */
	POL_F_NEVER = 1 << 4,	/* decided by a `never` rule */
	POL_F_LIMIT = 1 << 5,	/* allowed so often only: see pol_image_rate */
};

/* Which gate decided: for audit records and `explain`. */
enum pol_gate {
	POL_GATE_CALL = 1,
	POL_GATE_NEVER,
	POL_GATE_FILES,
	POL_GATE_NET,
	POL_GATE_EXEC,
	POL_GATE_UNKNOWN
};

struct pol_verdict {
	uint8_t action; /* enum pol_action */
	uint8_t flags;
	uint8_t gate;
	uint8_t pad;
	int64_t value;
	uint32_t rule; /* rule id; names file:line:column and text in the image */
};

struct pol_call {
	uint32_t nr;
	uint64_t arg[6];
};

/* What the sentry knows of a descriptor argument: `fd is socket`, `fd is tty` ... */
enum pol_fdkind {
	POL_FD_NONE = 0, /* not open */
	POL_FD_FILE,
	POL_FD_DIR,
	POL_FD_PIPE,
	POL_FD_SOCKET,
	POL_FD_TTY,
	POL_FD_EVENT, /* eventfd, timerfd, signalfd, epoll, inotify */
	POL_FD_DEVICE,
	POL_FD_MAX
};

/* How the evaluator asks for what is not in a register. Any member may be NULL. The answers come
 * from the caller's one copy of the guest's data. */
struct pol_env {
	void *arg;
	/* Value of a struct field (id from policy/sysdesc.h) reached through argument argno.
	 * False when the guest memory could not be read: the test is then false. */
	bool (*field)(void *arg, unsigned argno, unsigned field, uint64_t *val);
	enum pol_fdkind (*fdkind)(void *arg, unsigned argno);
	/* Canonical path that argument argno resolves to; NULL when there is none. */
	const char *(*path)(void *arg, unsigned argno, size_t *len);
};

/* The call gate with `never`. Returns true when decided. Without env (ring 0), or where env lacks
 * what a filter needs, it returns false and leaves *v alone: the sentry must decide. */
bool pol_eval_call(const struct pol_image *img, uint32_t view, const struct pol_call *call,
		   const struct pol_env *env, struct pol_verdict *v);

/* The verdict table that a view uses, inside the image: pol_eval_call indexes it by call number. */
const struct img_verdict *pol_eval_table(const struct pol_image *img, uint32_t view);

/* Views. A process sees the policy narrowed by the sections of `programs` that it entered: view 0 is the
 * policy itself, each other one a set of sections with it. Bit 0 of the set is the policy, the others are
 * the sections in their order. */
uint32_t pol_view_layers(const struct pol_image *img, uint32_t view);
/* Has a process with view b at most the rights of one with view a? */
bool pol_view_within(const struct pol_image *img, uint32_t b, uint32_t a);

/* Object verbs of `files:`, as bits. */
enum pol_verb {
	POL_V_READ = 1 << 0,
	POL_V_LIST = 1 << 1,
	POL_V_STAT = 1 << 2,
	POL_V_WRITE = 1 << 3,
	POL_V_APPEND = 1 << 4,
	POL_V_CREATE = 1 << 5,
	POL_V_DELETE = 1 << 6,
	POL_V_EXEC = 1 << 7,
	POL_V_LINK = 1 << 8,
	POL_V_CONNECT = 1 << 9,
	POL_V_ALL = (1 << 10) - 1, /* those that `files:` knows */
	POL_V_START = 1 << 10,	   /* of `exec:`: to be started, with some arguments at least */
	POL_V_ANY = POL_V_ALL | POL_V_START
};

/* The files gate: may every verb in verbs be used on the canonical absolute path? The verdict is
 * POL_ALLOW, POL_DENY (errno; ENOENT under `hide`) or POL_TERMINATE. path holds no "." or ".."
 * component, no repeated or trailing slash. Any granted verb implies stat; the literal parent
 * directories of every granted pattern have stat implied too. */
void pol_eval_path(const struct pol_image *img, uint32_t view, uint32_t verbs, const char *path,
		   size_t len, struct pol_verdict *v);

/* All verbs that path has: for opening a directory once and checking later uses of the fd. */
uint32_t pol_path_verbs(const struct pol_image *img, uint32_t view, const char *path, size_t len);

/* A program that is to be started: its canonical path, and the one copy of its arguments. */
struct pol_program {
	const char *path;
	size_t len;
	const char *const *argv; /* NULL: any arguments */
	uint32_t argc;
};

/* The exec gate. When it allows, *next is the view of the program. */
void pol_eval_exec(const struct pol_image *img, uint32_t view, const struct pol_program *prog,
		   struct pol_verdict *v, uint32_t *next);

enum pol_nverb { POL_NET_CONNECT = 1, POL_NET_LISTEN, POL_NET_SEND };
enum pol_proto { POL_PROTO_TCP = 1, POL_PROTO_UDP, POL_PROTO_UNIX };

/* A socket address, parsed from the sentry's copy. IPv4-mapped IPv6 addresses are given as IPv4. */
struct pol_addr {
	uint8_t proto;	  /* enum pol_proto */
	uint8_t family;	  /* 4, 6, or 0 for unix */
	uint16_t port;	  /* host byte order */
	uint8_t ip[16];	  /* network byte order; IPv4 in the first four */
	const char *path; /* unix: canonical path, or "@name" for an abstract name */
	size_t path_len;
};

/* The net gate. */
void pol_eval_net(const struct pol_image *img, uint32_t view, uint32_t nverb,
		  const struct pol_addr *addr, struct pol_verdict *v);

/* Tier 0 constant (enum platform_const) that answers call nr when it is allowed; 0 for none. */
unsigned pol_tier0_const(const struct pol_image *img, uint32_t nr);

#endif
