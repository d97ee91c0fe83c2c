/* Writer of the audit log. */
#include "audit/record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "base/digest.h"
#include "base/fdx.h"
#include "base/overflow.h"
#include "config.h"
#include "policy/sysdesc.h"

#define FOLD_SLOTS 256

/* A kind of event that was seen before: its text, and how many repeats were not written yet. */
struct fold {
	struct buf key;
	uint64_t first_seq, count;
	char *core; /* the record's fields from "policy" on, owned; NULL: free slot */
	struct timespec last;
};

struct audit_log {
	pthread_mutex_t lock;
	int fd;
	bool failed;
	const struct pol_image *image;
	char policy[sizeof("sha256:") + DIGEST_HEX_SIZE];
	char run[17];
	uint64_t seq, repeats;
	struct timespec start;
	char prev[DIGEST_HEX_SIZE];
	struct buf line, core, key;
	struct fold fold[FOLD_SLOTS];
};

static const char *const verb_names[] = {"read",   "list",   "stat", "write", "append",
					 "create", "delete", "exec", "link",  "connect",
					 "start"};

void audit_describe_verbs(struct buf *b, uint32_t verbs)
{
	bool first = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verb_names); i++) {
		if (!(verbs & 1u << i))
			continue;
		buf_printf(b, "%s%s", first ? "" : ",", verb_names[i]);
		first = false;
	}
}

static const char *nverb_name(uint32_t nverb)
{
	return nverb == POL_NET_CONNECT ? "connect" : nverb == POL_NET_LISTEN ? "listen" : "send";
}

void audit_describe_net(struct buf *b, uint32_t nverb, const struct pol_addr *a)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	buf_puts(b, nverb_name(nverb));
	if (a->proto == POL_PROTO_UNIX) {
		buf_printf(b, " unix %.*s", (int)a->path_len, a->path ? a->path : "");
		return;
	}
	inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->ip, ip, sizeof(ip));
	buf_printf(b, a->family == 6 ? " %s [%s]:%u" : " %s %s:%u",
		   a->proto == POL_PROTO_UDP ? "udp" : "tcp", ip, a->port);
}

static void put_time(struct buf *b, const char *key, const struct timespec *ts)
{
	struct tm tm;
	char s[32];

	gmtime_r(&ts->tv_sec, &tm);
	strftime(s, sizeof(s), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(b, ",\"%s\":\"%s.%06ldZ\"", key, s, ts->tv_nsec / 1000);
}

static void put_str(struct buf *b, const char *key, const char *val)
{
	buf_printf(b, ",\"%s\":", key);
	buf_json_str(b, val, strlen(val));
}

/* Starts a line: version, kind, sequence number, time, run. */
static void line_begin(struct audit_log *log, const char *ev, const struct timespec *now)
{
	buf_reset(&log->line);
	buf_printf(&log->line, "{\"v\":1,\"ev\":\"%s\",\"seq\":%llu", ev,
		   (unsigned long long)log->seq++);
	put_time(&log->line, "ts", now);
	buf_printf(&log->line, ",\"run\":\"%s\"", log->run);
}

/* Closes the chain and writes the line. */
static void line_end(struct audit_log *log)
{
	uint8_t sum[DIGEST_SIZE];
	struct buf *b = &log->line;

	buf_printf(b, ",\"prev\":\"%s\"}\n", log->prev);
	if (b->failed || log->failed) {
		log->failed = true;
		return;
	}
	digest_sha256(b->data, b->len - 1, sum);
	digest_hex(sum, log->prev);
	if (fdx_write_all(log->fd, b->data, b->len))
		log->failed = true;
}

static void put_limits(struct buf *b, const struct pol_config *c)
{
	buf_printf(b,
		   ",\"limits\":{\"memory\":%llu,\"cpu_ns\":%llu,\"wall_ns\":%llu,"
		   "\"processes\":%llu,\"open_files\":%llu,\"output\":%llu}",
		   (unsigned long long)c->limit_memory, (unsigned long long)c->limit_cpu_ns,
		   (unsigned long long)c->limit_wall_ns, (unsigned long long)c->limit_processes,
		   (unsigned long long)c->limit_open_files, (unsigned long long)c->limit_output);
}

static void write_header(struct audit_log *log, const struct audit_opts *o)
{
	struct pol_config cfg = {0};
	struct buf *b = &log->line;
	int i, argc = 0;

	pol_image_config(log->image, &cfg);
	line_begin(log, "header", &log->start);
	put_str(b, "sbx", PACKAGE_VERSION);
	put_str(b, "name", cfg.name ? cfg.name : "");
	put_str(b, "policy", log->policy);
	while (o->argv && o->argv[argc])
		argc++;
	buf_puts(b, ",\"argv\":[");
	for (i = 0; i < argc && (i == 0 || o->log_argv); i++) {
		if (i)
			buf_putc(b, ',');
		buf_json_str(b, o->argv[i], strlen(o->argv[i]));
	}
	buf_printf(b, "],\"argc\":%d", argc);
	put_limits(b, &cfg);
	line_end(log);
}

int audit_open(const struct audit_opts *o, struct audit_log **out, struct sbx_err **e)
{
	struct audit_log *log = calloc(1, sizeof(*log));
	struct pol_config cfg = {0};
	uint64_t id = 0;
	char hex[DIGEST_HEX_SIZE] = "";

	if (!log) {
		close(o->fd);
		return sbx_err_set(e, "audit log: out of memory");
	}
	pthread_mutex_init(&log->lock, NULL);
	log->fd = o->fd;
	log->image = o->image;
	clock_gettime(CLOCK_REALTIME, &log->start);
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = (uint64_t)log->start.tv_nsec * 0x9e3779b97f4a7c15ull;
	snprintf(log->run, sizeof(log->run), "%016llx", (unsigned long long)id);
	pol_image_config(log->image, &cfg);
	if (cfg.digest)
		digest_hex(cfg.digest, hex);
	snprintf(log->policy, sizeof(log->policy), "sha256:%s", hex);
	memset(log->prev, '0', DIGEST_HEX_SIZE - 1);
	write_header(log, o);
	if (log->failed) {
		int err = errno;

		close(log->fd);
		buf_free(&log->line);
		free(log);
		return sbx_err_errno(e, err, "audit log: write");
	}
	*out = log;
	return 0;
}

static const char *action_name(uint8_t action)
{
	static const char *const names[] = {"?", "allow", "deny", "emulate", "terminate"};

	return action < ARRAY_SIZE(names) ? names[action] : "?";
}

static const char *gate_name(uint8_t gate)
{
	static const char *const names[] = {"?", "call", "never", "files", "net", "exec", "unknown"};

	return gate < ARRAY_SIZE(names) ? names[gate] : "?";
}

static void put_verdict(struct buf *b, const struct audit_event *ev)
{
	const struct pol_verdict *v = &ev->verdict;
	const char *name;

	if (ev->unimplemented) {
		buf_puts(b, ",\"verdict\":\"unimplemented\",\"errno\":\"ENOSYS\"");
		return;
	}
	put_str(b, "verdict", action_name(v->action));
	if (v->action == POL_DENY) {
		name = strerrorname_np((int)v->value);
		if (name)
			put_str(b, "errno", name);
		else
			buf_printf(b, ",\"errno\":%lld", (long long)v->value);
	} else if (v->action == POL_EMULATE) {
		buf_printf(b, ",\"value\":%lld", (long long)v->value);
	}
	put_str(b, "gate", gate_name(v->gate));
}

static void put_position(struct buf *b, const struct pol_image *img, uint32_t rule,
			 const char *text_key, const char *text)
{
	struct pol_rule_info r;

	if (!pol_image_rule(img, rule, &r))
		return;
	buf_puts(b, "{\"at\":");
	{
		struct buf at = BUF_INIT;

		buf_printf(&at, "%s:%u", r.file, r.line);
		buf_json_str(b, at.data ? at.data : "", at.len);
		buf_free(&at);
	}
	put_str(b, text_key, text ? text : r.text);
	if (!text && r.because)
		put_str(b, "because", r.because);
	if (!text && r.tag)
		put_str(b, "tag", r.tag);
	buf_putc(b, '}');
}

static void put_object(struct buf *b, const struct audit_event *ev)
{
	struct buf s = BUF_INIT;

	if (ev->obj == AUDIT_OBJ_FILE) {
		audit_describe_verbs(&s, ev->verbs);
		buf_puts(b, ",\"obj\":{\"kind\":\"file\",\"verb\":");
		buf_json_str(b, s.data ? s.data : "", s.len);
		put_str(b, "path", ev->path);
		if (ev->asked && strcmp(ev->asked, ev->path))
			put_str(b, "asked", ev->asked);
		buf_putc(b, '}');
	} else if (ev->obj == AUDIT_OBJ_NET) {
		audit_describe_net(&s, ev->nverb, ev->addr);
		buf_puts(b, ",\"obj\":{\"kind\":\"net\",\"verb\":");
		buf_json_str(b, nverb_name(ev->nverb), strlen(nverb_name(ev->nverb)));
		put_str(b, "addr", s.data ? strchr(s.data, ' ') + 1 : "");
		buf_putc(b, '}');
	}
	buf_free(&s);
}

/* "programs: tool: " where a section of the policy refused because it does not list the object. */
static void put_section(struct buf *b, const struct pol_image *img, uint32_t rule)
{
	struct pol_layer l;

	for (size_t i = 1; i < pol_image_layer(img, i, &l); i++)
		if (l.dflt == rule)
			buf_printf(b, "programs: %s: ", l.name);
}

/* The nearest grant. *fix gets the line that would allow the object. */
static bool find_near(const struct audit_log *log, const struct audit_event *ev, const char *call,
		      struct pol_near *near, struct buf *fix)
{
	if (ev->obj == AUDIT_OBJ_NET) {
		buf_puts(fix, "net: ");
		audit_describe_net(fix, ev->nverb, ev->addr);
		return pol_near_net(log->image, ev->view, ev->nverb, ev->addr, near);
	}
	if (ev->obj != AUDIT_OBJ_FILE) {
		buf_printf(fix, "rules: allow %s", call);
		return false;
	}
	if (ev->prog) {
		buf_printf(fix, "exec: run %s as self", ev->path);
		return pol_near_exec(log->image, ev->view, ev->prog, near);
	}
	buf_puts(fix, "files: ");
	audit_describe_verbs(fix, ev->verbs & POL_V_ALL);
	buf_printf(fix, " %s", ev->path);
	return pol_near_path(log->image, ev->view, ev->verbs, ev->path, strlen(ev->path), near);
}

/* The nearest grant, and a line that would allow what `default` refused, unless that would be a risk.
 * Where a rule says no, another line is not the answer: the rule is. */
static void put_hints(struct buf *b, const struct audit_log *log, const struct audit_event *ev,
		      const char *call)
{
	struct pol_near near;
	struct buf fix = BUF_INIT;
	const char *risk = audit_risk_call(call);
	bool have;

	if (ev->obj == AUDIT_OBJ_FILE && !risk)
		risk = audit_risk_path(ev->path);
	put_section(&fix, log->image, ev->verdict.rule);
	have = find_near(log, ev, call, &near, &fix);
	if (have) {
		buf_puts(b, ",\"near\":");
		put_position(b, log->image, near.rule, "why", near.why);
	}
	if (risk)
		put_str(b, "risk", risk);
	else if (!(have && near.conditions) && (ev->verdict.flags & POL_F_DEFAULT) && !ev->unimplemented && fix.data)
		put_str(b, "fix", fix.data);
	buf_free(&fix);
}

/* Everything of a record that is equal for its repeats. */
static void build_core(struct audit_log *log, const struct audit_event *ev)
{
	const struct sys_desc *d = sysdesc_by_nr(ev->nr);
	const char *call = d ? d->name : "unknown";
	struct buf *b = &log->core;
	char prog[256];

	buf_reset(b);
	put_str(b, "policy", log->policy);
	buf_printf(b, ",\"phase\":%u,\"pid\":%d,\"tid\":%d,\"ppid\":%d",
		   pol_view_phase(log->image, ev->view), ev->pid, ev->tid, ev->ppid);
	if (ev->exe)
		put_str(b, "exe", ev->exe);
	pol_view_name(log->image, ev->view, prog, sizeof(prog));
	put_str(b, "prog", prog);
	put_str(b, "sys", call);
	buf_printf(b, ",\"nr\":%u,\"arch\":\"x86_64\",\"args\":%s", ev->nr,
		   ev->args ? ev->args : "{}");
	put_object(b, ev);
	put_verdict(b, ev);
	if (!ev->unimplemented) {
		buf_puts(b, ",\"rule\":");
		put_position(b, log->image, ev->verdict.rule, "text", NULL);
	}
	if (ev->unimplemented || ev->verdict.action == POL_DENY ||
	    ev->verdict.action == POL_TERMINATE)
		put_hints(b, log, ev, call);
	buf_printf(b, ",\"ip\":\"0x%llx\"", (unsigned long long)ev->ip);
}

/* Identity under which repeats fold: call, rule, result, object, view, process; not the thread, the
 * instruction or the other arguments. Compared whole: a guest must not be able to hide one refusal
 * behind the counter of another by choosing names whose hashes collide. */
static void build_key(struct buf *b, const struct audit_event *ev)
{
	buf_reset(b);
	buf_append(b, &ev->nr, sizeof(ev->nr));
	buf_append(b, &ev->pid, sizeof(ev->pid));
	buf_append(b, &ev->view, sizeof(ev->view));
	buf_append(b, &ev->unimplemented, sizeof(ev->unimplemented));
	buf_append(b, &ev->verdict.action, sizeof(ev->verdict.action));
	buf_append(b, &ev->verdict.value, sizeof(ev->verdict.value));
	buf_append(b, &ev->verdict.rule, sizeof(ev->verdict.rule));
	buf_append(b, &ev->verbs, sizeof(ev->verbs));
	buf_append(b, &ev->nverb, sizeof(ev->nverb));
	if (ev->obj == AUDIT_OBJ_FILE)
		buf_puts(b, ev->path);
	if (ev->obj == AUDIT_OBJ_NET)
		audit_describe_net(b, ev->nverb, ev->addr);
}

static size_t key_slot(const struct buf *key)
{
	uint64_t h = 0xcbf29ce484222325ull;
	size_t i;

	for (i = 0; i < key->len; i++)
		h = (h ^ (unsigned char)key->data[i]) * 0x100000001b3ull;
	return h % FOLD_SLOTS;
}

/* Writes the repeats of a slot that were counted and not written. */
static void fold_flush(struct audit_log *log, struct fold *f)
{
	if (!f->core || !f->count)
		return;
	line_begin(log, "decision", &f->last);
	buf_puts(&log->line, f->core);
	buf_printf(&log->line, ",\"count\":%llu,\"repeat_of\":%llu", (unsigned long long)f->count,
		   (unsigned long long)f->first_seq);
	put_time(&log->line, "last", &f->last);
	line_end(log);
	f->count = 0;
}

void audit_decision(struct audit_log *log, const struct audit_event *ev)
{
	struct timespec now;
	struct fold *f;

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&log->lock);
	build_key(&log->key, ev);
	f = &log->fold[key_slot(&log->key)];
	if (f->core && f->key.len == log->key.len &&
	    !memcmp(f->key.data, log->key.data, f->key.len)) {
		f->count++;
		f->last = now;
	} else {
		fold_flush(log, f);
		free(f->core);
		build_core(log, ev);
		f->core = log->core.data ? strdup(log->core.data) : NULL;
		buf_reset(&f->key);
		buf_append(&f->key, log->key.data, log->key.len);
		f->first_seq = log->seq;
		f->count = 0;
		f->last = now;
		line_begin(log, "decision", &now);
		buf_puts(&log->line, log->core.data ? log->core.data : "");
		buf_puts(&log->line, ",\"count\":1");
		line_end(log);
	}
	pthread_mutex_unlock(&log->lock);
}

void audit_limit(struct audit_log *log, const char *prog, const char *what, uint32_t rule)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&log->lock);
	line_begin(log, "limit", &now);
	put_str(&log->line, "prog", prog);
	put_str(&log->line, "limit", what);
	buf_puts(&log->line, ",\"rule\":");
	put_position(&log->line, log->image, rule, "text", NULL);
	line_end(log);
	pthread_mutex_unlock(&log->lock);
}

void audit_tick(struct audit_log *log)
{
	struct timespec now;
	size_t i;

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&log->lock);
	for (i = 0; i < FOLD_SLOTS; i++)
		if (log->fold[i].count && now.tv_sec - log->fold[i].last.tv_sec >= 1)
			fold_flush(log, &log->fold[i]);
	pthread_mutex_unlock(&log->lock);
}

bool audit_failed(const struct audit_log *log)
{
	return log->failed;
}

void audit_close(struct audit_log **plog, int exit_status, const char *reason,
		 const struct audit_totals *t)
{
	struct audit_log *log = *plog;
	struct timespec now;
	struct buf *b;
	size_t i;

	if (!log)
		return;
	b = &log->line;
	pthread_mutex_lock(&log->lock);
	for (i = 0; i < FOLD_SLOTS; i++) {
		fold_flush(log, &log->fold[i]);
		free(log->fold[i].core);
		buf_free(&log->fold[i].key);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	line_begin(log, "footer", &now);
	buf_printf(b, ",\"status\":%d", exit_status);
	put_str(b, "reason", reason ? reason : "");
	buf_printf(b, ",\"wall_ms\":%lld",
		   (long long)(now.tv_sec - log->start.tv_sec) * 1000 +
			   (now.tv_nsec - log->start.tv_nsec) / 1000000);
	buf_printf(b,
		   ",\"totals\":{\"calls\":%llu,\"allow\":%llu,\"deny\":%llu,\"emulate\":%llu,"
		   "\"terminate\":%llu,\"unimplemented\":%llu},\"lost\":0",
		   (unsigned long long)t->calls, (unsigned long long)t->allow,
		   (unsigned long long)t->deny, (unsigned long long)t->emulate,
		   (unsigned long long)t->terminate, (unsigned long long)t->unimplemented);
	line_end(log);
	fdatasync(log->fd); /* a pipe or terminal cannot; nothing to do then */
	close(log->fd);
	pthread_mutex_unlock(&log->lock);
	pthread_mutex_destroy(&log->lock);
	buf_free(&log->line);
	buf_free(&log->core);
	buf_free(&log->key);
	free(log);
	*plog = NULL;
}
