/* audit/: records, folding, the chain, hints, and the reader on hostile logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "audit/args.h"
#include "audit/reader.h"
#include "audit/record.h"
#include "base/overflow.h"
#include "policy/compile.h"
#include "policy/sysdesc.h"

static const char policy_text[] = "sbx: 1\nname: unit\ndefault: deny as EPERM\nunknown: deny as ENOSYS\n"
				  "files: |\n  read /etc/ssl/**\n  hide /etc/ssl/secret/** because \"no\"\n"
				  "net: |\n  connect tcp 10.0.0.0/8:80\n"
				  "rules: |\n  allow @core, @file, @net\n";

static char dir[] = "/tmp/sbx-audit.XXXXXX";
static char policy_path[64], log_path[64];
static const struct pol_image *image;

static int set_up(void **state)
{
	static const char *const none[] = {NULL};
	struct pol_source src = {.path = policy_path, .include_dirs = none};
	struct sbx_err *e = NULL;
	int fd;

	if (!mkdtemp(dir))
		return -1;
	snprintf(policy_path, sizeof(policy_path), "%s/unit.pol", dir);
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
	fd = open(policy_path, O_WRONLY | O_CREAT, 0600);
	if (write(fd, policy_text, sizeof(policy_text) - 1) != sizeof(policy_text) - 1)
		return -1;
	close(fd);
	return pol_compile(&src, 2, &image, &e);
}

static int tear_down(void **state)
{
	pol_image_free(&image);
	unlink(policy_path);
	unlink(log_path);
	return rmdir(dir);
}

static struct audit_log *open_log(void)
{
	const char *argv[] = {"/bin/prog", "--token=secret", NULL};
	struct audit_opts o = {.argv = argv, .image = image};
	struct audit_log *log = NULL;
	struct sbx_err *e = NULL;

	o.fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(audit_open(&o, &log, &e), 0);
	return log;
}

static void close_log(struct audit_log **log)
{
	struct audit_totals t = {.calls = 10, .deny = 3};

	audit_close(log, 1, "exited", &t);
	assert_null(*log);
}

/* Record n of the log. */
static json_t *record(size_t n)
{
	FILE *f = fopen(log_path, "r");
	char line[16384];
	json_t *o = NULL;

	while (fgets(line, sizeof(line), f))
		if (!n--) {
			o = json_loads(line, 0, NULL);
			assert_non_null(o);
			break;
		}
	fclose(f);
	return o;
}

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void deny_file(struct audit_log *log, const char *path)
{
	struct audit_event ev = {.pid = 2, .tid = 2, .ppid = 1, .exe = "/bin/prog", .nr = 257,
				 .obj = AUDIT_OBJ_FILE, .verbs = POL_V_READ, .path = path};

	pol_eval_path(image, 0, POL_V_READ, path, strlen(path), &ev.verdict);
	assert_int_equal(ev.verdict.action, POL_DENY);
	audit_decision(log, &ev);
}

static void test_fields(void **state)
{
	struct audit_log *log = open_log();
	json_t *h, *d;

	deny_file(log, "/etc/passwd");
	deny_file(log, "/etc/shadow");
	deny_file(log, "/etc/ssl/secret/x");
	close_log(&log);
	h = record(0);
	assert_string_equal(str(h, "ev"), "header");
	assert_int_equal(json_array_size(json_object_get(h, "argv")), 1); /* the rest is redacted */
	d = record(1);
	assert_string_equal(str(d, "verdict"), "deny");
	assert_string_equal(str(d, "errno"), "EPERM");
	assert_string_equal(str(d, "gate"), "files");
	assert_string_equal(str(d, "sys"), "openat");
	assert_string_equal(str(d, "fix"), "files: read /etc/passwd");
	assert_non_null(strstr(str(json_object_get(d, "rule"), "at"), "unit.pol:3"));
	json_decref(d);
	d = record(2);
	assert_string_equal(str(d, "risk"), "credential");
	assert_null(json_object_get(d, "fix"));
	json_decref(d);
	d = record(3); /* an explicit rule: no grant is suggested */
	assert_string_equal(str(d, "errno"), "ENOENT");
	assert_string_equal(str(json_object_get(d, "rule"), "because"), "no");
	assert_null(json_object_get(d, "fix"));
	json_decref(d);
	d = record(4);
	assert_string_equal(str(d, "ev"), "footer");
	assert_int_equal(json_integer_value(json_object_get(d, "status")), 1);
	json_decref(d);
	json_decref(h);
}

static void test_folding(void **state)
{
	struct audit_log *log = open_log();
	uint64_t count = 0;
	json_t *d;
	size_t i;
	int k;

	for (k = 0; k < 1000; k++)
		deny_file(log, "/etc/passwd");
	for (k = 0; k < 2000; k++) { /* more kinds than there are slots */
		char path[32];

		snprintf(path, sizeof(path), "/etc/x%d", k % 700);
		deny_file(log, path);
	}
	close_log(&log);
	for (i = 0; (d = record(i)); i++) {
		if (!strcmp(str(d, "ev"), "decision"))
			count += (uint64_t)json_integer_value(json_object_get(d, "count"));
		assert_int_equal(json_integer_value(json_object_get(d, "seq")), i);
		json_decref(d);
	}
	assert_int_equal(count, 3000); /* nothing is lost */
	assert_true(i < 3002);
}

static int verify(void)
{
	FILE *null = fopen("/dev/null", "w");
	struct sbx_err *e = NULL;
	int r = audit_verify(log_path, null, &e);

	sbx_err_free(&e);
	fclose(null);
	return r;
}

static void test_chain(void **state)
{
	struct audit_log *log = open_log();
	char buf[65536], *p;
	ssize_t n;
	int fd;

	deny_file(log, "/etc/passwd");
	deny_file(log, "/etc/group");
	deny_file(log, "/etc/\xff\xfe");
	close_log(&log);
	assert_int_equal(verify(), 0);
	fd = open(log_path, O_RDWR);
	n = read(fd, buf, sizeof(buf) - 1);
	buf[n] = '\0';
	p = strstr(buf, "/etc/passwd");
	assert_int_equal(pwrite(fd, "/etc/passwx", 11, p - buf), 11);
	assert_int_equal(verify(), 1); /* changed */
	assert_int_equal(pwrite(fd, "/etc/passwd", 11, p - buf), 11);
	assert_int_equal(verify(), 0);
	p = strchr(strchr(buf, '\n') + 1, '\n') + 1; /* the second record goes */
	assert_int_equal(pwrite(fd, p, (size_t)(buf + n - p), strchr(buf, '\n') + 1 - buf), buf + n - p);
	assert_int_equal(ftruncate(fd, (strchr(buf, '\n') + 1 - buf) + (buf + n - p)), 0);
	assert_int_equal(verify(), 1);
	close(fd);
}

static void test_hostile_log(void **state)
{
	static const char *const lines[] = {
		"", "\n", "{}\n", "null\n", "[1]\n", "{\"v\":1}\n", "{\"v\":1,\"ev\":\"decision\"}\n",
		"{\"v\":1,\"ev\":7,\"seq\":\"x\"}\n", "{\"v\":1,\"ev\":\"header\",\"name\":[],\"argv\":{}}\n",
		"{\"v\":1,\"ev\":\"header\"}\n{\"v\":1,\"ev\":\"decision\",\"verdict\":\"deny\",\"obj\":5,"
		"\"rule\":\"x\",\"count\":-9,\"ts\":\"9999999999-1-1T\"}\n",
		"{\"v\":1,\"ev\":\"header\"}\n{\"v\":1,\"ev\":\"decision\",\"verdict\":\"deny\",\"obj\":{},"
		"\"rule\":{\"at\":\"a/\\u0007\\u001b[2Jb\"},\"sys\":\"\\u001b\"}\n{\"v\":1,\"ev\":\"footer\"}\n",
	};
	struct sbx_err *e = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);
		FILE *f = fopen(log_path, "w");

		fputs(lines[i], f);
		fclose(f);
		audit_report(log_path, out, &e);
		sbx_err_free(&e);
		audit_why(log_path, 0, out, &e);
		sbx_err_free(&e);
		audit_verify(log_path, out, &e);
		sbx_err_free(&e);
		fclose(out);
		assert_null(strchr(text, '\x1b')); /* nothing of the log drives the terminal */
		free(text);
	}
}

static void test_args(void **state)
{
	uint64_t raw[SYS_MAX_ARGS] = {(uint64_t)-100, 0x1000, 02000101, 0644, 0, 0};
	struct audit_arg_text text[SYS_MAX_ARGS] = {[1] = {.str = "a\"b"}};
	struct buf b = BUF_INIT;
	json_t *o;

	audit_args(&b, sysdesc_by_name("openat"), raw, text);
	o = json_loads(b.data, 0, NULL);
	assert_non_null(o);
	assert_string_equal(str(o, "dirfd"), "AT_FDCWD");
	assert_string_equal(str(o, "path"), "a\"b");
	assert_true(json_is_array(json_object_get(o, "flags")));
	json_decref(o);
	buf_reset(&b);
	audit_args(&b, NULL, raw, NULL);
	o = json_loads(b.data, 0, NULL);
	assert_int_equal(json_object_size(o), SYS_MAX_ARGS);
	json_decref(o);
	buf_free(&b);
}

/* Every call of the table prints as JSON, whatever its registers hold. */
static void test_all_args(void **state)
{
	uint64_t raw[SYS_MAX_ARGS];
	struct buf b = BUF_INIT;
	size_t i;
	int k, round;

	for (i = 0; i < sysdesc_count(); i++)
		for (round = 0; round < 8; round++) {
			json_t *o;

			for (k = 0; k < SYS_MAX_ARGS; k++)
				raw[k] = round == 0 ? 0
						    : round == 1 ? ~0ull
								 : (i + 1) * 0x9e3779b97f4a7c15ull << (k + round);
			buf_reset(&b);
			audit_args(&b, sysdesc_at(i), raw, NULL);
			o = json_loads(b.data, 0, NULL);
			assert_non_null(o);
			json_decref(o);
		}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields), cmocka_unit_test(test_folding), cmocka_unit_test(test_chain),
		cmocka_unit_test(test_hostile_log), cmocka_unit_test(test_args), cmocka_unit_test(test_all_args),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
