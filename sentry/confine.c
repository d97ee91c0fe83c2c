/* What sbx gives up before the app starts. */
#include "sentry/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/log.h"
#include "sentry/task.h"

#define CAP_BITS 64

/* ---- capabilities ---- */

/* Root's rights over other users' files and processes go; a server may still have low ports. */
static int drop_capabilities(const struct confine_opts *o, struct sbx_err **e)
{
	const uint32_t keep = o->net_inet ? 1u << CAP_NET_BIND_SERVICE : 0;
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	for (int cap = 0; cap < CAP_BITS; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno == EPERM)
			break; /* an ordinary user's bounding set cannot be changed: nothing to gain */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &hdr, data))
		return sbx_err_errno(e, errno, "cannot read the capabilities");
	data[0].effective &= keep;
	data[0].permitted &= keep;
	data[0].inheritable = 0;
	memset(&data[1], 0, sizeof(data[1]));
	if (syscall(SYS_capset, &hdr, data))
		return sbx_err_errno(e, errno, "cannot give up capabilities");
	return 0;
}

/* ---- Landlock: rights over names, whatever the descriptor they are used through ---- */

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ull << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif

#define ACCESS_NET_BIND_TCP    (1ull << 0)
#define ACCESS_NET_CONNECT_TCP (1ull << 1)
#define SCOPE_ABSTRACT_UNIX    (1ull << 0)
#define SCOPE_SIGNAL	       (1ull << 1)

#define FS_WRITES                                                                                  \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                            \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                              \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)

struct ruleset_attr { /* as of ABI 6; older kernels take its start */
	uint64_t fs, net, scoped;
};

static size_t attr_size(int abi)
{
	return abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
}

static void choose(const struct confine_opts *o, int abi, struct ruleset_attr *a)
{
	memset(a, 0, sizeof(*a));
	a->fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
		LANDLOCK_ACCESS_FS_MAKE_BLOCK;
	if (abi >= 2) /* moving between directories; may_move allows it again */
		a->fs |= LANDLOCK_ACCESS_FS_REFER;
	if (!o->files_write) {
		a->fs |= FS_WRITES;
		if (abi >= 3)
			a->fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
		if (o->net_unix) /* sockets that the app binds have names */
			a->fs &= ~(uint64_t)(LANDLOCK_ACCESS_FS_MAKE_SOCK |
					     LANDLOCK_ACCESS_FS_REMOVE_FILE);
	}
	if (abi >= 4 && !o->net_inet)
		a->net = ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP;
	/* Signals between our own threads count as crossing before ABI 7. */
	if (abi >= 7)
		a->scoped = SCOPE_SIGNAL;
	if (abi >= 6 && !o->net_unix)
		a->scoped |= SCOPE_ABSTRACT_UNIX;
}

/* Leaves an open file writable: /dev/null and what sbx's own output goes to. */
static void keep_writable(int ruleset, int fd, uint64_t fs)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = fs & (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE),
		.parent_fd = fd,
	};

	if (rule.allowed_access) /* pipes and sockets need no rule, and cannot have one */
		syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* Every ruleset forbids links and renames between directories unless a rule allows them. */
static int may_move(int ruleset, struct sbx_err **e)
{
	cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_REFER,
		.parent_fd = root,
	};

	if (root < 0 || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		return sbx_err_errno(e, errno, "cannot allow renames in the Landlock ruleset");
	return 0;
}

int confine_landlock(const struct confine_opts *o, struct sbx_err **e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	cleanup_close int fd = -1;
	struct ruleset_attr a;

	if (abi < 1) {
		log_debug("the host has no Landlock: the filter alone confines sbx");
		return 0;
	}
	if (abi < 2 && o->files_write) {
		log_debug("the host's Landlock cannot allow renames: the filter alone confines sbx");
		return 0;
	}
	choose(o, (int)abi, &a);
	fd = (int)syscall(SYS_landlock_create_ruleset, &a, attr_size((int)abi), 0);
	if (fd < 0)
		return sbx_err_errno(e, errno, "cannot make a Landlock ruleset");
	for (int std = 0; std <= 2; std++)
		keep_writable(fd, std, a.fs);
	for (size_t i = 0; devfs_host_fd(i) != -1; i++)
		keep_writable(fd, devfs_host_fd(i), a.fs);
	if (o->files_write && may_move(fd, e))
		return -1;
	if (syscall(SYS_landlock_restrict_self, fd, 0))
		return sbx_err_errno(e, errno, "cannot enforce the Landlock ruleset");
	return 0;
}

/* ---- all of it ---- */

#if defined(__has_feature) /* clang's way to say it */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SBX_INSTRUMENTED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SBX_INSTRUMENTED)
#define INSTRUMENTED 1 /* such builds open report files at exit */
#else
#define INSTRUMENTED 0
#endif

int confine_apply_opts(const struct confine_opts *o, struct sbx_err **e)
{
	struct rlimit none = {0, 0};

	tzset(); /* reads its file now: the audit log's times need it later */
	if (setrlimit(RLIMIT_CORE, &none))
		return sbx_err_errno(e, errno, "cannot turn core dumps off");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return sbx_err_errno(e, errno, "cannot set no_new_privs");
	if (drop_capabilities(o, e))
		return -1;
	if (INSTRUMENTED)
		return 0;
	if (confine_landlock(o, e))
		return -1;
	return confine_filter(o, e);
}

int confine_apply(struct sbx_err **e)
{
	const struct pol_config *c = &sandbox.config;
	struct confine_opts o = {
		.net_inet = c->net_inet,
		.net_unix = c->net_unix,
		.files_write = c->files_write,
		.files_read = c->files_read,
	};
	size_t size;

	o.window_base = (uint64_t)platform_window(sandbox.platform, &size);
	o.window_size = size;
	return confine_apply_opts(&o, e);
}
