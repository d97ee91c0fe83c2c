#include "tests/fuzz/exercise_image.h"

#include <stdlib.h>
#include <string.h>
#include "base/digest.h"
#include "policy/image_format.h"

static bool some_field(void *arg, unsigned argno, unsigned field, uint64_t *val)
{
	*val = field * 0x9e3779b97f4a7c15ull + argno;
	return (argno ^ field) & 1;
}

static enum pol_fdkind some_fdkind(void *arg, unsigned argno)
{
	return (enum pol_fdkind)(argno + 1);
}

static const char *some_path(void *arg, unsigned argno, size_t *len)
{
	static const char path[] = "/srv/www/a/b.html";

	*len = sizeof(path) - 1;
	return argno == 5 ? NULL : path;
}

static void check_verdict(const struct pol_image *img, const struct pol_verdict *v)
{
	struct pol_rule_info r;

	if (v->action < POL_ALLOW || v->action > POL_TERMINATE || !pol_image_rule(img, v->rule, &r))
		abort();
	if (strlen(r.file) + strlen(r.text) > IMG_MAX_SIZE)
		abort();
}

static void use_calls(const struct pol_image *img)
{
	static const uint64_t values[] = {0,	      1,	 3, ~0ull, 0xffffffff00000001,
					  0x80000000, 0x7fffffff};
	const struct pol_env env = {NULL, some_field, some_fdkind, some_path};
	struct pol_verdict v;

	for (uint32_t nr = 0; nr < IMG_CALLS + 2; nr++) {
		struct pol_call c = {.nr = nr == IMG_CALLS + 1 ? UINT32_MAX : nr};

		for (unsigned k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
			for (unsigned i = 0; i < 6; i++)
				c.arg[i] = values[(k + i) % (sizeof(values) / sizeof(values[0]))];
			if (!pol_eval_call(img, k, &c, &env, &v))
				abort();
			check_verdict(img, &v);
			pol_eval_call(img, k, &c, NULL, &v);
		}
		pol_tier0_const(img, c.nr);
	}
}

static void use_program(const struct pol_image *img, const char *path, size_t len)
{
	static const char *const argv[] = {"git", "log", "", "--x=1", "abcabcabc"};
	struct pol_program prog = {.path = path, .len = len, .argv = argv};
	struct pol_verdict v;
	struct pol_near near;
	char name[64];

	for (uint32_t view = 0; view < 8; view++) {
		uint32_t next = view;

		prog.argc = view % 6;
		pol_eval_exec(img, view, &prog, &v, &next);
		check_verdict(img, &v);
		if (v.action == POL_ALLOW && !pol_view_within(img, next, view))
			abort();
		pol_near_exec(img, view, &prog, &near);
		pol_view_name(img, view, name, sizeof(name));
		if (!memchr(name, 0, sizeof(name)))
			abort();
	}
}

static void use_path(const struct pol_image *img, const char *path, size_t len)
{
	struct pol_verdict v;
	struct pol_near near;

	for (uint32_t verb = 1; verb <= POL_V_ALL; verb <<= 1) {
		for (uint32_t view = 0; view < 4; view++) {
			pol_eval_path(img, view, verb, path, len, &v);
			check_verdict(img, &v);
			if ((v.action == POL_ALLOW) !=
			    !(verb & ~pol_path_verbs(img, view, path, len)))
				abort();
		}
	}
	use_program(img, path, len);
	if (pol_near_path(img, 1, POL_V_READ | POL_V_WRITE, path, len, &near) &&
	    !memchr(near.why, 0, sizeof(near.why)))
		abort();
}

static void use_objects(const struct pol_image *img)
{
	static const char *const paths[] = {"/", "/srv/www", "/srv/www/a/b/c.html", "/a/b/a/b/a/b",
					    "@x"};
	struct pol_addr a = {.port = 80};
	struct pol_verdict v;
	struct pol_near near;

	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		use_path(img, paths[i], strlen(paths[i]));
	for (unsigned i = 0; i < 3 * 3 * 2; i++) {
		a.proto = (uint8_t)(1 + i % 3);
		a.family = i & 8 ? 6 : 4;
		a.ip[0] = (uint8_t)(i * 10);
		a.path = a.proto == POL_PROTO_UNIX ? "/run/x" : NULL;
		a.path_len = a.path ? 6 : 0;
		pol_eval_net(img, i % 3, 1 + i / 3 % 3, &a, &v);
		check_verdict(img, &v);
		pol_near_net(img, i % 3, 1 + i / 3 % 3, &a, &near);
	}
}

void exercise_image(const struct pol_image *img)
{
	struct pol_config cfg;
	struct pol_scratch s;
	size_t used = 0;

	use_calls(img);
	use_objects(img);
	pol_image_config(img, &cfg);
	used += strlen(cfg.name) + strlen(cfg.abi) +
		(cfg.uname_release ? strlen(cfg.uname_release) : 0);
	for (size_t i = 0; i < pol_image_scratch(img, i, &s); i++)
		used += strlen(s.path);
	if (used > 16 * (size_t)IMG_MAX_SIZE)
		abort();
}

bool exercise_bytes(const void *bytes, size_t len, bool seal)
{
	const size_t covered = offsetof(struct pol_image, digest);
	const struct pol_image *img;
	char *copy = malloc(len ? len : 1);
	struct sbx_err *e = NULL;

	if (!copy)
		abort();
	memcpy(copy, bytes, len);
	if (seal && len >= sizeof(struct pol_image)) {
		struct pol_image *head = (struct pol_image *)(void *)copy;

		memcpy(head->magic, IMG_MAGIC, sizeof(head->magic));
		head->version = IMG_VERSION;
		head->header_size = sizeof(*head);
		head->size = len;
		digest_sha256(copy + covered, len - covered, head->checksum);
	}
	img = pol_image_verify(copy, len, &e);
	if (!img == !e)
		abort(); /* exactly one of the two */
	if (img)
		exercise_image(img);
	sbx_err_free(&e);
	free(copy);
	return img != NULL;
}
