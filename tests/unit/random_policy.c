#include "tests/unit/random_policy.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

uint64_t random_state;

static const char *const calls[] = {
    "read",   "write",		"lseek",   "mmap",	 "mprotect", "openat",	  "openat2",
    "ioctl",  "fcntl",		"socket",  "clone",	 "clone3",   "kill",	  "prctl",
    "futex",  "madvise",	"dup3",	   "fchmod",	 "setuid",   "brk",	  "clock_gettime",
    "execve", "io_uring_setup", "mkdirat", "setsockopt", "close",    "renameat2",
};

static const char *const groups[] = {"core",  "mem",	"io",	   "file",
				     "net",   "thread", "process", "signal",
				     "chown", "debug",	"async",   "kernel-admin"};

/* Literals met in conditions: calls are drawn near them. */
static uint64_t literals[64];
static unsigned nr_literals;

static void remember(uint64_t v)
{
	literals[nr_literals++ % ARRAY_SIZE(literals)] = v;
}

static void put_value(struct buf *b, unsigned set, unsigned width)
{
	static const uint64_t some[] = {0,	    1,		2,	    3,	       5,   7,
					8,	    15,		16,	    100,       255, 4096,
					0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
	unsigned count = 0;
	uint64_t v;

	while (set && sysconst_at((enum const_set)set, count, NULL))
		count++;
	if (count && chance(80)) {
		const char *name = sysconst_at((enum const_set)set, pick(count), &v);

		remember(v);
		buf_puts(b, name);
		if (chance(25)) {
			name = sysconst_at((enum const_set)set, pick(count), &v);
			remember(v);
			buf_printf(b, "|%s", name);
		}
		return;
	}
	v = PICK(some);
	if (width == 64 && chance(30))
		v = rnd() >> pick(64);
	remember(v);
	buf_printf(b, chance(50) ? "0x%" PRIx64 : "%" PRIu64, v);
}

static void put_set(struct buf *b, unsigned set, unsigned width)
{
	unsigned n = 1 + pick(4);

	buf_puts(b, "in {");
	for (unsigned i = 0; i < n; i++) {
		uint64_t lo = rnd() >> (pick(width - 2) + 66 - width),
			 len = rnd() >> (40 + pick(24));

		if (i)
			buf_puts(b, ", ");
		if (chance(50)) {
			put_value(b, set, width);
			continue;
		}
		if (width == 32 && lo + len > 0x7fffffff)
			lo = 1, len = 9;
		remember(lo);
		remember(lo + len);
		buf_printf(b, "%" PRIu64 "..%" PRIu64, lo, lo + len < lo ? lo : lo + len);
	}
	buf_puts(b, "}");
}

static void put_number_test(struct buf *b, const char *name, unsigned set, unsigned width,
			    unsigned preds)
{
	static const char *const cmps[] = {"==", "!=", "<", "<=", ">", ">="};
	static const char *const bits[] = {"has", "any", "only"};
	unsigned form = pick(10);

	buf_printf(b, "%s ", name);
	if (form >= 6 && form < 9 &&
	    (!(preds & PRED_BITS) || sysconst_is_enum((enum const_set)set)))
		form = 0;
	if (form < 4) {
		buf_printf(b, "%s ", PICK(cmps));
		put_value(b, set, width);
	} else if (form < 6) {
		put_set(b, set, width);
	} else if (form < 9) {
		buf_printf(b, "%s ", PICK(bits));
		put_value(b, set, width);
	} else {
		buf_printf(b, "mask 0x%x %s ", 1 + pick(0xfff), PICK(cmps));
		put_value(b, set, width);
	}
}

static const char *const patterns[] = {
    "/srv/www/**", "/srv/*/key", "/srv/www/key", "/srv/www/*.html", "/**/secret",
    "/srv/**/x*y", "/a*b/**",	 "/etc/*",	 "/etc/**.conf",    "/",
    "/**",	   "/tmp",	 "/srv",	 "/srv/www",	    "/srv/www/a/b/**",
    "/srv/www/a*/x", "/srv/www/key/**",
};

static const char *const paths[] = {
    "/",
    "/srv",
    "/srv/www",
    "/srv/www/key",
    "/srv/ftp/key",
    "/srv/www/a.html",
    "/srv/www/.html",
    "/srv/www/a/b",
    "/srv/www/a/b/c",
    "/srv/www/a/secret",
    "/secret",
    "/srv/q/xy",
    "/srv/xzzy",
    "/srv/x/y",
    "/ab",
    "/azzb/c/d",
    "/a/b",
    "/etc/passwd",
    "/etc/a/b.conf",
    "/etc/b.conf",
    "/etc",
    "/tmp",
    "/tmp/x",
    "/srvx",
    "/srv/wwwx",
    "/srv/www/x/key",
    "/srv/www/a",
    "/home/u/.ssh/id",
};

static void put_leaf(struct buf *b, const struct sys_desc *d)
{
	static const char *const kinds[] = {"file", "dir",   "pipe",  "socket",
					    "tty",  "event", "device"};
	const struct sys_arg *a = &d->arg[pick(d->nargs)];
	const struct arg_kind_desc *k = sysdesc_kind(a->kind);
	const struct sys_field *f;

	if ((k->preds & PRED_FDKIND) && chance(30)) {
		buf_printf(b, "%s is %s", a->name, PICK(kinds));
	} else if (k->preds & PRED_PATH) {
		if (chance(50))
			buf_printf(b, "%s matches %s", a->name, PICK(patterns));
		else
			buf_printf(b, "%s under %s", a->name, PICK(paths));
	} else if (k->preds & PRED_FIELD) {
		char name[64];

		do
			f = sysdesc_field(1 + pick(FIELD_MAX - 1));
		while (f->strct != a->strct);
		snprintf(name, sizeof(name), "%s.%s", a->name, f->name);
		put_number_test(b, name, f->set, 64, sysdesc_kind(f->kind)->preds);
	} else if (k->preds & PRED_CMP) {
		put_number_test(b, a->name, a->set, k->width, k->preds);
	} else {
		put_leaf(b, d); /* some other argument */
	}
}

static bool testable(const struct sys_desc *d)
{
	for (unsigned i = 0; i < d->nargs; i++)
		if (sysdesc_kind(d->arg[i].kind)->preds)
			return true;
	return false;
}

static void put_cond(struct buf *b, const struct sys_desc *d, unsigned depth)
{
	unsigned form = depth ? pick(10) : 9;

	if (form < 2) {
		buf_puts(b, "not (");
		put_cond(b, d, depth - 1);
		buf_puts(b, ")");
	} else if (form < 6) {
		buf_puts(b, "(");
		put_cond(b, d, depth - 1);
		buf_puts(b, form < 4 ? ") and (" : ") or (");
		put_cond(b, d, depth - 1);
		buf_puts(b, ")");
	} else {
		put_leaf(b, d);
	}
}

static const char *verdict(void)
{
	static const char *const v[] = {"allow", "deny", "deny as EACCES", "deny as ENOSYS",
					"terminate"};

	return PICK(v);
}

static const char *notes(void)
{
	static const char *const n[] = {
	    "", "", "", " audit", " quiet", " because \"it is so\"", " tag \"t\""};

	return PICK(n);
}

/* "deny" and "as EACCES" stand on two sides of the target. */
static void put_simple(struct buf *b, const char *target, const struct sys_desc *d,
		       const char *mode)
{
	const char *v = verdict(), *as = strstr(v, " as"), *other = verdict();
	bool cond = d && testable(d) && chance(75);

	buf_printf(b, "  %s%.*s %s%s", mode, as ? (int)(as - v) : (int)strlen(v), v, target,
		   as ? as : "");
	if (cond) {
		buf_puts(b, " if ");
		put_cond(b, d, 2);
		if (chance(50))
			buf_printf(b, " else %s", other);
	}
	if (v[0] == 'a' && chance(8))
		buf_puts(b, chance(50) ? " limit 5 over deny as EAGAIN" : " limit 9/s over delay");
	buf_printf(b, "%s\n", notes());
}

static void put_block(struct buf *b, const struct sys_desc *d, const char *mode)
{
	unsigned arms = 1 + pick(4);

	buf_printf(b, "  %son %s {\n", mode, d->name);
	for (unsigned i = 0; i < arms; i++) {
		buf_puts(b, "    ");
		put_cond(b, d, 2);
		buf_printf(b, " -> %s%s\n", verdict(), notes());
	}
	if (chance(50))
		buf_printf(b, "    else -> %s\n", verdict());
	buf_puts(b, "  }\n");
}

/* used: calls that a used file has rules for. */
static void put_named(struct buf *b, const bool *used, bool *now)
{
	bool mine[ARRAY_SIZE(calls)] = {false};

	for (unsigned n = 1 + pick(8); n > 0; n--) {
		unsigned c = pick(ARRAY_SIZE(calls));
		const struct sys_desc *d = sysdesc_by_name(calls[c]);
		const char *mode = !used || !used[c] ? "" : chance(60) ? "extend " : "replace ";

		if (mine[c] && chance(90))
			continue; /* two rules for one call mostly contradict each other */
		mine[c] = true;
		if (now)
			now[c] = true;
		if (testable(d) && chance(40))
			put_block(b, d, mode);
		else
			put_simple(b, d->name, d, mode);
	}
}

static void put_nevers(struct buf *b)
{
	for (unsigned i = pick(3); i > 0; i--) {
		const struct sys_desc *d = sysdesc_by_name(PICK(calls));

		buf_printf(b, "  never %s", d->name);
		if (testable(d)) {
			buf_puts(b, " if ");
			put_cond(b, d, 2);
		}
		buf_puts(b, "\n");
	}
}

static void put_rules(struct buf *b, const bool *used)
{
	bool grouped[ARRAY_SIZE(groups)] = {false};

	buf_puts(b, "rules: |\n");
	for (unsigned n = 1 + pick(8); n > 0; n--) {
		unsigned g = pick(ARRAY_SIZE(groups));
		char target[64];

		if (grouped[g])
			continue;
		grouped[g] = true;
		snprintf(target, sizeof(target), "@%s", groups[g]);
		put_simple(b, target, NULL, "");
	}
	put_named(b, used, NULL);
	put_nevers(b);
}

static void put_files(struct buf *b, const char *indent)
{
	static const char *const verbs[] = {"read",   "list",	"stat", "write", "append",
					    "create", "delete", "exec", "link",	 "connect"};
	unsigned n = 1 + pick(6);

	buf_printf(b, "%sfiles: |\n", indent);
	for (unsigned i = 0; i < n; i++) {
		unsigned form = pick(*indent ? 9 : 10); /* a program has no scratch */

		buf_puts(b, indent);
		if (form < 6)
			buf_printf(b, "  %s,%s %s %s%s\n", PICK(verbs), "read", PICK(patterns),
				   PICK(patterns), notes());
		else if (form < 7)
			buf_printf(b, "  deny %s%s\n", PICK(patterns),
				   chance(50) ? " as ENOTDIR" : "");
		else if (form < 8)
			buf_printf(b, "  deny %s %s quiet\n", PICK(verbs), PICK(patterns));
		else if (form < 9)
			buf_printf(b, "  hide %s\n", PICK(patterns));
		else if (chance(50))
			buf_printf(b, "  scratch %s\n", PICK(paths));
		else
			buf_printf(b, "  overlay %s\n", paths[1 + pick(ARRAY_SIZE(paths) - 1)]);
	}
}

static const char *const words[] = {"git", "log", "push", "-c", "--help", "", "x", "a*b", "--x=1"};
static const char *const word_patterns[] = {"*", "-*", "l*g", "--*=*", "log", "*x*", "a\\\\*b", "**"};

static void put_argv(struct buf *b)
{
	static const char *const cmps[] = {"==", "!=", "<", "<=", ">", ">="};
	unsigned n = 1 + pick(2);

	for (unsigned i = 0; i < n; i++) {
		buf_puts(b, i ? " and " : " ");
		if (chance(20)) {
			buf_printf(b, "argc %s %u", PICK(cmps), 1 + pick(4));
			continue;
		}
		buf_printf(b, "argv[%u%s] ", pick(4), chance(30) ? ".." : "");
		if (chance(30))
			buf_printf(b, "%s \"%s\"", chance(50) ? "==" : "!=", PICK(words));
		else if (chance(50))
			buf_printf(b, "%sin {\"%s\", \"%s\"}", chance(30) ? "not " : "",
				   PICK(words), PICK(words));
		else
			buf_printf(b, "%smatches \"%s\"", chance(30) ? "not " : "",
				   PICK(word_patterns));
	}
}

static void put_exec(struct buf *b, const char *indent, unsigned programs)
{
	static const char *const names[] = {"tool", "other", "third"};
	unsigned n = 1 + pick(5);

	buf_printf(b, "%sexec: |\n", indent);
	for (unsigned i = 0; i < n; i++) {
		const char *as = programs && chance(60) ? names[pick(programs)] : "self";

		buf_puts(b, indent);
		if (!chance(65)) {
			buf_printf(b, "  deny %s%s\n", PICK(patterns), chance(50) ? " as EIO" : "");
			continue;
		}
		buf_printf(b, "  run %s", PICK(patterns));
		if (programs && chance(50))
			put_argv(b);
		else if (chance(50))
			buf_printf(b, " %s", PICK(patterns));
		buf_printf(b, " as %s%s\n", as, notes());
	}
}

static const char *const nets[] = {
    "tcp 10.0.0.0/8:*",
    "tcp 10.0.0.5:22",
    "tcp 10.0.0.5:1-1000",
    "tcp 10.1.0.0/16:80",
    "tcp *:443",
    "udp 10.0.0.2:53",
    "udp *:53",
    "tcp [2001:db8::]/32:80",
    "tcp [::1]:*",
    "tcp 0.0.0.0/0:80",
    "unix /run/**",
    "unix /run/a/*",
    "unix /run/a/b",
    "unix @name",
    "unix @na*",
    "unix @*e*",
    "tcp ${host}:22",
    "tcp 127.0.0.1:${port}",
};

static void put_net(struct buf *b, const char *indent)
{
	static const char *const verbs[] = {"connect", "listen", "send"};
	unsigned n = 1 + pick(6);

	buf_printf(b, "%snet: |\n", indent);
	for (unsigned i = 0; i < n; i++)
		buf_printf(b, "%s  %s%s %s%s\n", indent, chance(30) ? "deny " : "", PICK(verbs),
			   PICK(nets), chance(20) ? " audit" : "");
}

/* Rules of a program: mostly refusals, so that few of them are more than the policy has. */
static void put_program_rules(struct buf *b)
{
	static const char *const verdicts[] = {"deny", "deny", "deny", "terminate", "never"};

	buf_puts(b, "    rules: |\n");
	if (chance(40))
		for (unsigned g = 0; g < ARRAY_SIZE(groups); g++)
			if (chance(60))
				buf_printf(b, "      allow @%s%s\n", groups[g], notes());
	for (unsigned n = 1 + pick(4); n > 0; n--) {
		const struct sys_desc *d = sysdesc_by_name(PICK(calls));

		buf_printf(b, "      %s %s", PICK(verdicts), d->name);
		if (testable(d) && chance(60)) {
			buf_puts(b, " if ");
			put_cond(b, d, 1);
		}
		buf_puts(b, "\n");
	}
}

static void put_programs(struct buf *b, unsigned programs)
{
	static const char *const names[] = {"tool", "other", "third"};

	buf_puts(b, "programs:\n");
	for (unsigned i = 0; i < programs; i++) {
		buf_printf(b, "  %s:\n    limits: {processes: 5}\n", names[i]);
		if (chance(50))
			put_files(b, "    ");
		if (chance(40))
			put_net(b, "    ");
		if (chance(40))
			put_exec(b, "    ", programs);
		if (chance(60))
			put_program_rules(b);
	}
}

char random_policy_dir[RANDOM_DIR_SIZE] = "/tmp/sbx-diff-XXXXXX";

static void put_file(const char *name, const struct buf *b)
{
	char path[sizeof(random_policy_dir) + 32];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", random_policy_dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fwrite(b->data, 1, b->len, f);
	assert_int_equal(fclose(f), 0);
}

static void make_used(bool *used)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "sbx: 1\n");
	if (chance(50))
		put_files(&b, "");
	if (chance(20))
		put_exec(&b, "", 0);
	buf_puts(&b, "rules: |\n");
	put_named(&b, NULL, used);
	put_nevers(&b);
	put_file("part.pol", &b);
	buf_free(&b);
}

static void put_phases(struct buf *b)
{
	static const char *const names[] = {"late", "later", "last"};
	unsigned n = 1 + pick(3);

	buf_puts(b, "phases:\n");
	for (unsigned i = 0; i < n; i++) {
		buf_printf(b, "  - name: %s\n    after: first read\n    drop:\n", names[i]);
		buf_printf(b, "      calls: %s, @%s\n", PICK(calls), PICK(groups));
		if (chance(60))
			buf_printf(b, "      files: read,write %s %s\n", PICK(patterns), PICK(patterns));
		if (chance(60))
			buf_printf(b, "      net: connect %s\n", PICK(nets));
	}
}

void random_policy(struct buf *b)
{
	static const char *const dflt[] = {"deny as EPERM", "deny as EACCES", "terminate", "deny"};
	unsigned programs = chance(40) ? 1 + pick(3) : 0;
	bool used[ARRAY_SIZE(calls)] = {false};

	nr_literals = 0;
	buf_puts(b, "sbx: 1\n");
	if (chance(40)) {
		make_used(used);
		buf_puts(b, "use: [part]\n");
	}
	buf_puts(b, "vars:\n  host: {type: addr, default: 10.0.0.5}\n"
		    "  port: {type: port, default: 8080}\n");
	buf_printf(b, "default: %s\nunknown: deny as ENOSYS\n", PICK(dflt));
	if (programs || chance(60))
		put_files(b, "");
	if (programs)
		buf_puts(b, "  read,write,append,create,delete,exec,link,list,connect /**\n");
	if (programs || chance(60))
		put_net(b, "");
	if (programs) /* so that their sections seldom have more */
		buf_puts(b, "  connect tcp *:*\n  connect udp *:*\n  listen tcp *:*\n"
			    "  listen udp *:*\n  send udp *:*\n  send tcp *:*\n");
	if (programs || chance(40))
		put_exec(b, "", programs);
	if (programs)
		buf_puts(b, "  run /** as self\n");
	put_rules(b, used);
	if (programs)
		put_programs(b, programs);
	if (chance(25))
		put_phases(b);
}

/* ---- what to ask ---- */

const struct sys_desc *random_call(void)
{
	return sysdesc_by_name(PICK(calls));
}

const char *random_path(void)
{
	return PICK(paths);
}

unsigned random_argv(const char *argv[RANDOM_ARGV])
{
	unsigned n = pick(RANDOM_ARGV + 1);

	for (unsigned i = 0; i < n; i++)
		argv[i] = PICK(words);
	return n;
}

uint64_t random_value(void)
{
	uint64_t v =
	    nr_literals ? literals[pick(MIN(nr_literals, (unsigned)ARRAY_SIZE(literals)))] : 0;
	unsigned form = pick(12);

	if (form < 3)
		v += pick(3) - 1ull;
	else if (form < 5)
		v |= rnd() & 0xffff;
	else if (form < 6)
		v = pick(10);
	else if (form < 7)
		v = rnd();
	if (chance(15))
		v = (v & 0xffffffff) | rnd() << 32;
	else if (chance(10))
		v = (uint64_t)(int64_t)(int32_t)v;
	return v;
}
