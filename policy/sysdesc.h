/* What is known of each system call, from policy/syscalls.def: arguments, their kinds and details,
 * the constants that may name their values, and structures that are copied in. Everything is
 * constant data. */
#ifndef SBX_POLICY_SYSDESC_H
#define SBX_POLICY_SYSDESC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYS_TABLE_SIZE 512 /* numbers from here on are always unknown */
#define SYS_MAX_ARGS   6

/* ARG(kind, width, signed, predicates, printer hint). 32-bit kinds: the kernel looks at the low
 * half of the register only, so do policy conditions, and so must handlers. */
#define SYS_ARG_KINDS(ARG)                                                                         \
	ARG(INT, 32, true, PRED_NUMBER | PRED_BITS)                                                \
	ARG(UINT, 32, false, PRED_NUMBER | PRED_BITS)                                              \
	ARG(LONG, 64, true, PRED_NUMBER | PRED_BITS)                                               \
	ARG(ULONG, 64, false, PRED_NUMBER | PRED_BITS)                                             \
	ARG(LEN, 64, false, PRED_NUMBER)                                                           \
	ARG(OFF, 64, true, PRED_NUMBER)                                                            \
	ARG(FLAGS, 32, false, PRED_NUMBER | PRED_BITS)                                             \
	ARG(MODE, 32, false, PRED_NUMBER | PRED_BITS)                                              \
	ARG(CMD, 32, false, PRED_NUMBER)                                                           \
	ARG(ENUM, 32, true, PRED_NUMBER | PRED_BITS)                                               \
	ARG(SIG, 32, true, PRED_NUMBER)                                                            \
	ARG(PID, 32, true, PRED_NUMBER)                                                            \
	ARG(UID, 32, false, PRED_NUMBER)                                                           \
	ARG(GID, 32, false, PRED_NUMBER)                                                           \
	ARG(CLOCK, 32, true, PRED_NUMBER)                                                          \
	ARG(ADDR, 64, false, PRED_NUMBER)                                                          \
	ARG(PTR, 64, false, PRED_NUMBER)                                                           \
	ARG(FD, 32, true, PRED_NUMBER | PRED_FDKIND)                                               \
	ARG(DIRFD, 32, true, PRED_NUMBER | PRED_FDKIND)                                            \
	ARG(PATH, 64, false, PRED_PATH)                                                            \
	ARG(STR, 64, false, 0)                                                                     \
	ARG(SOCKADDR, 64, false, 0)                                                                \
	ARG(MSGHDR, 64, false, 0)                                                                  \
	ARG(MMSGHDR, 64, false, 0)                                                                 \
	ARG(STRUCT, 64, false, PRED_FIELD)                                                         \
	ARG(BUF, 64, false, 0)                                                                     \
	ARG(OBUF, 64, false, 0)                                                                    \
	ARG(IOVEC, 64, false, 0)                                                                   \
	ARG(TIMESPEC, 64, false, 0)                                                                \
	ARG(FDPAIR, 64, false, 0)

enum arg_kind {
	ARG_NONE,
#define ARG(name, width, is_signed, preds) ARG_##name,
	SYS_ARG_KINDS(ARG)
#undef ARG
	    ARG_KIND_MAX
};

/* Predicates of the policy language that an argument kind may be used with. */
enum arg_preds {
	PRED_CMP = 1 << 0,    /* == != < <= > >= */
	PRED_MASK = 1 << 1,   /* mask M == V */
	PRED_IN = 1 << 2,     /* in { ... } */
	PRED_BITS = 1 << 3,   /* has any only */
	PRED_FDKIND = 1 << 4, /* is tty */
	PRED_PATH = 1 << 5,   /* under, matches */
	PRED_FIELD = 1 << 6,  /* name.field */
	PRED_NUMBER = PRED_CMP | PRED_MASK | PRED_IN,
};

struct arg_kind_desc {
	const char *name;
	uint8_t width; /* bits that count: 32 or 64 */
	bool is_signed;
	uint16_t preds;
};

/* What a call does with the object that a path names: decides the verbs it needs. */
enum path_role {
	PATH_NONE,
	PATH_open,
	PATH_stat, /* follows a final symlink unless AT_SYMLINK_NOFOLLOW */
	PATH_lstat,
	PATH_access,
	PATH_readlink,
	PATH_chdir,
	PATH_exec,
	PATH_mkdir,
	PATH_mknod,
	PATH_symlink, /* the new name */
	PATH_unlink,  /* rmdir with AT_REMOVEDIR */
	PATH_rmdir,
	PATH_rename_from,
	PATH_rename_to,
	PATH_link_from,
	PATH_link_to,
	PATH_setattr, /* chmod, chown, utimens, truncate; follows unless AT_SYMLINK_NOFOLLOW */
	PATH_lsetattr,
	PATH_xattr,
	PATH_lxattr,
	PATH_statfs,
	PATH_watch, /* inotify: follows unless IN_DONT_FOLLOW */
	PATH_ROLE_MAX
};

/* What a call does with the address it names; the values of enum pol_nverb. */
enum addr_role { ADDR_NONE, ADDR_connect, ADDR_listen, ADDR_send };

enum sys_class {
#define GROUP(name, text, about) CLASS_##name,
#include "policy/groups.def"
	CLASS_MAX
};

enum sys_disposition { SYS_NOSYS, SYS_EMULATE };

/* Constants that ring 0 may answer with; the values of enum platform_const (a test proves it). */
enum sys_tier0 {
	TIER0_NONE,
	TIER0_PID,
	TIER0_TID,
	TIER0_PPID,
	TIER0_UID,
	TIER0_EUID,
	TIER0_GID,
	TIER0_EGID,
};

/* Sets of named constants: CS_open_flags ... */
enum const_set {
	CS_NONE,
#define SET(name, mask) CS_##name,
#define C(name)
#define V(name, value)
#include "policy/flags.def"
#undef SET
#undef C
#undef V
	CS_MAX
};

enum sys_struct { STRUCT_NONE, STRUCT_clone_args, STRUCT_open_how, STRUCT_MAX };

/* Field ids, for pol_env.field: FIELD_open_how_flags ... */
enum sys_field_id {
	FIELD_NONE,
#define FIELD(st, name, kind, set, off, size) FIELD_##st##_##name,
#include "policy/structs.def"
#undef FIELD
	FIELD_MAX
};

struct sys_arg {
	const char *name;
	uint8_t kind;	 /* enum arg_kind */
	uint8_t set;	 /* enum const_set: names for values */
	uint8_t role;	 /* PATH: enum path_role; SOCKADDR: enum addr_role */
	uint8_t strct;	 /* STRUCT: enum sys_struct */
	const char *ref; /* name of the argument that holds the length or count, or NULL */
};

struct sys_desc {
	uint16_t nr;
	uint8_t cls;	     /* enum sys_class */
	uint8_t disposition; /* enum sys_disposition */
	uint8_t tier0;	     /* enum sys_tier0 */
	uint8_t nargs;
	const char *name;
	struct sys_arg arg[SYS_MAX_ARGS];
};

struct sys_field {
	uint8_t id, strct, kind, set;
	uint8_t offset, size;
	const char *name;
};

/* NULL when the table has no such call. */
const struct sys_desc *sysdesc_by_nr(uint32_t nr);
const struct sys_desc *sysdesc_by_name(const char *name);

/* Rows in the order of the table; NULL from sysdesc_count() on. */
const struct sys_desc *sysdesc_at(size_t index);
size_t sysdesc_count(void);

/* Index of the argument with this name, or -1. */
int sysdesc_arg(const struct sys_desc *d, const char *name);

/* Index of the argument that holds the length or count of argument argno, or -1. */
int sysdesc_ref(const struct sys_desc *d, unsigned argno);

const struct arg_kind_desc *sysdesc_kind(unsigned kind);
const char *sysdesc_struct_name(unsigned strct);
size_t sysdesc_struct_size(unsigned strct);
const struct sys_field *sysdesc_field(unsigned id);
const struct sys_field *sysdesc_field_by_name(unsigned strct, const char *name);

/* Register contents as the call sees them: truncated and extended as the kind says. */
uint64_t sysdesc_value(unsigned kind, uint64_t reg);

/* ---- named constants ---- */

/* Value of a constant by name, of any set. */
bool sysconst_find(const char *name, uint64_t *value);

/* The same within one set. */
bool sysconst_find_in(enum const_set set, const char *name, uint64_t *value);

/* First name of a value in a set, or NULL: for enumerations. */
const char *sysconst_name(enum const_set set, uint64_t value);

/* Names of the bits of value, at most max; *rest are the bits without a name. Returns their number.
 * The enumerated part of a set (access mode, socket type) comes first. */
size_t sysconst_split(enum const_set set, uint64_t value, const char **names, size_t max,
		      uint64_t *rest);

/* For lists and suggestions: the name at index in a set (CS_NONE: in all); NULL at the end. */
const char *sysconst_at(enum const_set set, size_t index, uint64_t *value);

const char *sysconst_set_name(enum const_set set);
bool sysconst_is_enum(enum const_set set);

/* ---- groups ---- */

/* Group membership: @file, @kernel-admin ...; name without the @. -1 when unknown. */
int sysgroup_find(const char *name);
const char *sysgroup_name(int group);
const char *sysgroup_about(int group);
size_t sysgroup_count(void);
bool sysgroup_has(int group, uint32_t nr);

#endif
