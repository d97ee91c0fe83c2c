/* The syntax tree of a policy file: what the text says, with positions, nothing resolved. Everything
 * lives in the arena of the parse context; lists are linked through `next` in source order and end
 * with NULL. Strings are NUL-terminated and hold no NUL inside.
 *
 * Variables are kept as references (AST_VAL_VAR, ast_piece, ast_addr): policy/ replaces them by typed
 * values once --param is known. They are never pasted into text. */
#ifndef SBX_PARSER_AST_H
#define SBX_PARSER_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "parser/source.h"

#define AST_MAX_DEPTH 64 /* nesting of conditions and of values; walkers may recurse */

struct ast_name {
	const char *text;
	struct src_span span;
	struct ast_name *next;
};


/* ---- values, terms, conditions ---- */

enum ast_val_kind {
	AST_VAL_NUMBER = 1, /* num; a negative number as two's complement with negative set */
	AST_VAL_SIZE,	    /* num, in bytes */
	AST_VAL_CONST,	    /* name: O_CLOEXEC, ENOENT */
	AST_VAL_VAR,	    /* name: the variable, without ${} */
	AST_VAL_NOT,	    /* ~ kids */
	AST_VAL_OR,	    /* kids | kids->next | ... (two or more) */
};

struct ast_val {
	enum ast_val_kind kind;
	struct src_span span;
	bool negative;
	uint64_t num;
	const char *name;
	struct ast_val *kids;
	struct ast_val *next; /* sibling under AST_VAL_OR */
	unsigned depth;	      /* 1 for a leaf */
};

enum ast_piece_kind { AST_PIECE_LITERAL = 1, AST_PIECE_VAR };

struct ast_piece {
	enum ast_piece_kind kind;
	const char *text; /* literal text, or the variable's name without ${} */
	struct src_span span;
	struct ast_piece *next;
};

/* A quoted string, escapes replaced. Only an argument of a test may hold variables: then pieces is not
 * NULL and has the parts of text. */
struct ast_str {
	const char *text;
	struct src_span span;
	struct ast_piece *pieces;
};

/* A path or path pattern: /srv/www, ~/.ssh/config, ${root}/x. A variable alone is one AST_PIECE_VAR.
 * Literal pieces keep a backslash before an escaped character ("\*" is a star in a name). */
struct ast_path {
	struct src_span span;
	struct ast_piece *pieces;
	struct ast_path *next;
};

struct ast_term { /* an argument, or a field of the struct it points to: how.flags */
	struct src_span span;
	const char *name;
	const char *field; /* or NULL */
	struct src_span field_span;
};

struct ast_item { /* member of a set: a value, a range, or a string */
	struct src_span span;
	struct ast_val *lo; /* the value; NULL for a string */
	struct ast_val *hi; /* NULL unless lo..hi */
	const char *str;    /* or NULL */
	struct ast_item *next;
};

enum ast_cmp { AST_EQ = 1, AST_NE, AST_LT, AST_LE, AST_GT, AST_GE };

enum ast_cond_kind {
	AST_COND_OR = 1, /* kids, two or more */
	AST_COND_AND,	 /* kids, two or more */
	AST_COND_NOT,	 /* kids, one */
	AST_COND_CMP,	 /* term cmp val */
	AST_COND_MASK,	 /* term mask `mask` cmp val */
	AST_COND_IN,	 /* term in { items } */
	AST_COND_HAS,	 /* all bits of val */
	AST_COND_ANY,	 /* at least one bit of val */
	AST_COND_ONLY,	 /* no bits but those of val */
	AST_COND_IS,	 /* term is word: socket, tty ... */
	AST_COND_UNDER,	 /* term under path */
	AST_COND_MATCHES, /* term matches path */
	AST_COND_WITHIN, /* term within "10.0.0.0/8" */
};

struct ast_cond {
	enum ast_cond_kind kind;
	struct src_span span;
	struct ast_cond *kids;
	struct ast_cond *next; /* sibling */
	struct ast_term *term;
	enum ast_cmp cmp;
	struct ast_val *mask, *val;
	struct ast_item *items;
	struct ast_name *word;
	struct ast_path *path;
	struct ast_str *str;
	unsigned depth; /* 1 for a leaf */
};

/* ---- verdicts and notes ---- */

enum ast_verdict {
	AST_ALLOW = 1,
	AST_DENY,
	AST_TERMINATE,
	AST_TRAP,
	AST_ASK,
	AST_EMULATE,
};

struct ast_outcome { /* verdict ["as" val]; verdict 0 when absent */
	enum ast_verdict verdict;
	struct ast_val *as; /* or NULL */
	struct src_span span;
};

enum ast_over { AST_OVER_DELAY = 1, AST_OVER_DENY, AST_OVER_TERMINATE };

struct ast_limit { /* "limit" (NUMBER | RATE) "over" ... */
	struct src_span span;
	uint64_t count;
	uint64_t per_ns; /* 0: a plain count, not a rate */
	enum ast_over over;
	struct ast_val *as; /* with AST_OVER_DENY, or NULL */
};

struct ast_notes {
	struct ast_str *because; /* or NULL */
	bool audit, quiet;
	struct src_span audit_span, quiet_span;
	struct ast_str *tag;	 /* or NULL */
	struct ast_limit *limit; /* or NULL */
};

/* ---- rules ---- */

enum ast_assign_op { AST_SET = 1, AST_SET_OR, AST_SET_AND, AST_CLAMP };

struct ast_assign {
	struct src_span span;
	struct ast_term *term;
	enum ast_assign_op op;
	struct ast_val *val;
	struct ast_assign *next;
};

struct ast_target {
	struct src_span span;
	const char *name; /* a call, or a group without its @ */
	bool group;
	struct ast_target *except; /* only below a group; these have none themselves */
	struct ast_target *next;
};

struct ast_arm {
	struct src_span span;
	struct ast_cond *cond; /* NULL for `else` */
	struct ast_outcome out;
	struct ast_assign *set;
	struct ast_notes notes;
	struct ast_arm *next;
};

enum ast_rule_kind { AST_RULE_NEVER = 1, AST_RULE_SIMPLE, AST_RULE_BLOCK };
enum ast_mode { AST_MODE_NONE = 0, AST_MODE_EXTEND, AST_MODE_REPLACE };

struct ast_rule {
	enum ast_rule_kind kind;
	struct src_span span;
	enum ast_mode mode;
	struct ast_target *targets; /* for a block: the one call */
	struct ast_outcome out;	    /* simple */
	struct ast_assign *set;	    /* simple */
	struct ast_cond *cond;	    /* never, simple; or NULL */
	struct ast_outcome other;   /* simple: `else`; verdict 0 when absent */
	struct ast_arm *arms;	    /* block */
	struct ast_notes notes;
	struct ast_rule *next;
};

/* ---- files, net, exec ---- */

enum ast_verb { /* the same bits as enum pol_verb */
	AST_V_READ = 1 << 0,
	AST_V_LIST = 1 << 1,
	AST_V_STAT = 1 << 2,
	AST_V_WRITE = 1 << 3,
	AST_V_APPEND = 1 << 4,
	AST_V_CREATE = 1 << 5,
	AST_V_DELETE = 1 << 6,
	AST_V_EXEC = 1 << 7,
	AST_V_LINK = 1 << 8,
	AST_V_CONNECT = 1 << 9,
};

enum ast_file_kind {
	AST_FILE_GRANT = 1,
	AST_FILE_DENY,
	AST_FILE_HIDE,
	AST_FILE_NULLED,
	AST_FILE_OVERLAY,
	AST_FILE_SCRATCH,
};

struct ast_file {
	enum ast_file_kind kind;
	struct src_span span;
	uint32_t verbs; /* grant; deny: 0 means every verb */
	struct ast_path *paths;
	struct ast_val *as;   /* deny; or NULL */
	struct ast_val *size; /* scratch; or NULL */
	struct ast_notes notes;
	struct ast_file *next;
};

enum ast_nverb { AST_NET_CONNECT = 1, AST_NET_LISTEN, AST_NET_SEND }; /* as enum pol_nverb */
enum ast_proto { AST_PROTO_TCP = 1, AST_PROTO_UDP, AST_PROTO_UNIX };  /* as enum pol_proto */

enum ast_port_kind { AST_PORT_NONE = 0, AST_PORT_ANY, AST_PORT_NUMBER, AST_PORT_VAR };

struct ast_port {
	enum ast_port_kind kind; /* NONE: not written */
	struct src_span span;
	uint16_t num;
	const char *var;
};

enum ast_addr_kind {
	AST_ADDR_IP = 1,   /* family, ip, prefix, ports */
	AST_ADDR_ANY,	   /* *:port */
	AST_ADDR_HOST_VAR, /* ${host}:port; var, ports */
	AST_ADDR_VAR,	   /* ${addr} alone: may be an address, a network or a path; var */
	AST_ADDR_PATH,	   /* a Unix socket's path pattern */
	AST_ADDR_ABSTRACT, /* @name, without the @ in text */
};

struct ast_addr {
	enum ast_addr_kind kind;
	struct src_span span;
	uint8_t family;	      /* 4 or 6 */
	uint8_t ip[16];	      /* network byte order */
	int prefix;	      /* bits; -1 when not written */
	struct ast_port port; /* the port, or the first of a range */
	struct ast_port port_hi; /* NONE unless a range */
	const char *var;
	const char *text;
	struct ast_path *path;
	struct ast_addr *next;
};

enum ast_net_kind { AST_NET_GRANT = 1, AST_NET_DENY };

struct ast_net {
	enum ast_net_kind kind;
	struct src_span span;
	enum ast_nverb verb;
	enum ast_proto proto;
	struct ast_addr *addrs;
	struct ast_val *as; /* deny; or NULL */
	struct ast_notes notes;
	struct ast_net *next;
};

enum ast_exec_kind { AST_EXEC_RUN = 1, AST_EXEC_DENY };

enum ast_argv_kind {
	AST_ARGV_IN = 1,  /* argv[N] in { items }; == and != have one item */
	AST_ARGV_MATCHES, /* argv[N] matches "pattern" */
	AST_ARGV_COUNT,	  /* argc cmp number */
};

/* A condition on the arguments of a program that is started. */
struct ast_argv {
	enum ast_argv_kind kind;
	struct src_span span;
	bool negated;
	struct ast_val *index; /* a number; NULL for argc */
	bool rest;	       /* argv[N..]: every argument from N on */
	struct ast_item *items;
	struct ast_str *pattern;
	enum ast_cmp cmp;
	struct ast_val *count;
	struct ast_argv *next; /* all of them must hold */
};

struct ast_exec {
	enum ast_exec_kind kind;
	struct src_span span;
	struct ast_path *paths;
	struct ast_argv *argv;	     /* run: conditions; or NULL */
	struct ast_name *as_program; /* run: a name of programs:, or "self" */
	struct ast_val *as;	     /* deny; or NULL */
	struct ast_notes notes;
	struct ast_exec *next;
};

/* ---- tests ---- */

enum ast_arg_kind { AST_ARG_ANY = 1, AST_ARG_VAL, AST_ARG_STRING, AST_ARG_PATH, AST_ARG_LIST };

struct ast_arg {
	enum ast_arg_kind kind;
	struct src_span span;
	const char *name; /* name = ...; or NULL */
	struct ast_val *val;
	const char *str;	  /* as written; see pieces */
	struct ast_piece *pieces; /* of a string with variables: "tcp 0.0.0.0:${port}"; else NULL */
	struct ast_path *path; /* ${root}/x, /etc/passwd without quotes; no wildcard meaning */
	struct ast_item *list; /* {"git", "log"}: the arguments of a program */
	struct ast_arg *next;
};

enum ast_test_kind {
	AST_TEST_EXPECT = 1,
	AST_TEST_NO_CALL,   /* prove no call name [if cond] */
	AST_TEST_NO_VERB,   /* prove no verb under path */
	AST_TEST_NO_NVERB,  /* prove no nverb "address" */
	AST_TEST_WITHIN,    /* prove within "policy" */
};

struct ast_test {
	enum ast_test_kind kind;
	struct src_span span;
	struct ast_outcome out; /* expect */
	struct ast_name *call;
	struct ast_arg *args;
	struct ast_name *phase; /* or NULL */
	struct ast_name *in;	/* the program's section under which to judge; or NULL */
	struct ast_name *enters; /* expect: "as NAME" after the call; or NULL */
	bool by_never;
	struct ast_str *by; /* or NULL */
	struct ast_cond *cond;
	enum ast_verb verb;
	enum ast_nverb nverb;
	struct ast_path *path;
	struct ast_str *str;
	struct ast_test *next;
};

/* ---- the keys with values ---- */

enum ast_var_type {
	AST_VAR_PATH = 1,
	AST_VAR_PORT,
	AST_VAR_ADDR, /* an IP address or network */
	AST_VAR_NUMBER,
	AST_VAR_SIZE,
};

struct ast_var {
	const char *name;
	struct src_span span, type_span;
	enum ast_var_type type;
	struct ast_name *dflt; /* the default's text, checked for the type by parser_var_check; or NULL */
	bool bad;	       /* the type was not understood */
	struct ast_var *next;
};

enum ast_quantity_kind { AST_QTY_NONE = 0, AST_QTY_NUMBER, AST_QTY_SIZE, AST_QTY_DURATION, AST_QTY_VAR };

struct ast_quantity { /* one value of limits:, ids:, cpus: */
	enum ast_quantity_kind kind; /* NONE: not written */
	struct src_span span;	     /* of the value */
	struct src_span key;
	uint64_t num; /* plain, bytes, or nanoseconds */
	const char *var;
};

struct ast_limits {
	bool present;
	struct src_span span;
	struct ast_quantity memory, cpu, wall, processes, open_files, output, disk;
};

enum ast_clock_kind { AST_CLOCK_NONE = 0, AST_CLOCK_FROZEN, AST_CLOCK_FROM };

struct ast_emulate {
	bool present;
	struct src_span span;
	enum ast_clock_kind clock;
	struct src_span clock_span;
	int64_t clock_sec; /* since 1970 UTC */
	bool has_random;
	struct src_span random_span;
	uint64_t random_seed;
	bool has_uname;
	struct src_span uname_span;
	struct ast_name *sysname, *nodename, *release, *version, *machine, *domainname; /* or NULL */
	bool has_ids;
	struct src_span ids_span;
	struct ast_quantity uid, gid;
	struct ast_quantity cpus;
};

struct ast_phase {
	struct src_span span;
	struct ast_name *name;
	struct ast_name *after; /* after: first CALL */
	bool has_drop;
	struct src_span drop_span;
	struct ast_target *drop_calls;
	struct ast_file *drop_files;
	struct ast_net *drop_net;
	struct ast_phase *next;
};

struct ast_program {
	struct ast_name *name;
	struct src_span span;
	struct ast_rule *rules;
	struct ast_file *files;
	struct ast_net *net;
	struct ast_exec *exec;
	struct ast_emulate emulate;
	struct ast_limits limits;
	struct ast_program *next;
};

struct ast_use {
	const char *name; /* sbx/dynamic */
	struct src_span span;
	struct pol_ast *ast; /* what it names, when it could be parsed; shared between several uses */
	struct ast_use *next;
};

/* One policy file. Absent keys are NULL, or have present/verdict/kind 0. */
struct pol_ast {
	uint32_t file; /* index in the source set */
	unsigned version;
	struct src_span version_span;
	struct ast_name *abi, *name, *status;
	struct ast_use *uses;
	struct ast_var *vars;
	struct ast_outcome dflt, unknown; /* default:, unknown: */
	struct ast_rule *rules;
	struct ast_file *files;
	struct ast_net *net;
	struct ast_exec *exec;
	struct ast_test *tests;
	struct ast_phase *phases;
	struct ast_program *programs;
	struct ast_emulate emulate;
	struct ast_limits limits;
	/* Where each section stands, for "parsed, not enforced" reports; line 0 when absent. */
	struct src_span phases_span, programs_span, exec_span;
};

/* Words of the language for messages and printers. */
const char *ast_verdict_name(enum ast_verdict v);
const char *ast_verb_name(enum ast_verb v); /* one bit */
const char *ast_nverb_name(enum ast_nverb v);
const char *ast_proto_name(enum ast_proto p);
const char *ast_var_type_name(enum ast_var_type t);

#endif
