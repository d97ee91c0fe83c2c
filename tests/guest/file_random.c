/* Random calls on names in a small tree, with the same seed natively and under sbx: paths full of
 * links, "..", slashes and missing parts. Usage: file_random [SEED [CALLS]] */
#include "tests/guest/files.h"
#include <linux/fs.h>
#include <linux/openat2.h>

static uint64_t state;
static int dirs[3];

static unsigned rnd(unsigned n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % n;
}

static const char *path(void)
{
	static const char *const part[] = {"a", "b", "c", "d", "a", "b", "a", "l", "m", ".", "..", ""};
	static char ring[4][256];
	static unsigned at;
	char *p = ring[at++ % 4];

	*p = '\0';
	for (unsigned i = 0, n = 1 + rnd(4); i < n; i++) {
		strcat(p, part[rnd(sizeof(part) / sizeof(*part))]);
		if (i + 1 < n || !rnd(6))
			strcat(p, "/");
	}
	return *p == '/' ? "a" : p; /* never absolute: the two runs share only what is below */
}

static int dirfd_any(void)
{
	unsigned n = rnd(6);

	return n < 3 ? dirs[n] : AT_FDCWD;
}

static const char *err(long r)
{
	return r < 0 ? strerrorname_np(errno) : "ok";
}

static void say_stat(const char *what, const char *p, long r, const struct stat *st)
{
	printf("%s %s: %s", what, p, err(r));
	if (!r)
		printf(" %o %ld", st->st_mode, S_ISDIR(st->st_mode) ? 0 : (long)st->st_size);
	puts("");
}

static void open_one(const char *p)
{
	static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_PATH};
	static const int extra[] = {O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW};
	int flags = modes[rnd(4)] | O_NONBLOCK, fd;
	char buf[8];

	for (int i = 0; i < 6; i++)
		if (!rnd(4))
			flags |= extra[i];
	fd = openat(dirfd_any(), p, flags, 0644);
	printf("open %s %o: %s\n", p, flags, err(fd));
	if (fd < 0)
		return;
	if (!rnd(2))
		printf(" write %zd\n", write(fd, "xyz", 3));
	if (!rnd(2))
		printf(" read %zd\n", read(fd, buf, sizeof(buf)));
	if (!rnd(5)) {
		int i = (int)rnd(3);

		printf(" keep %d\n", i);
		dup2(fd, dirs[i]);
	}
	close(fd);
}

static void open_restricted(const char *p)
{
	static const uint64_t resolve[] = {RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS};
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK, .resolve = resolve[rnd(3)]};
	long fd = syscall(SYS_openat2, dirfd_any(), p, &how, sizeof(how));

	printf("openat2 %s %llx: %s\n", p, how.resolve, err(fd));
	if (fd >= 0)
		close((int)fd);
}

static void list(const char *p)
{
	struct dirent **e;
	int n = scandir(p, &e, NULL, alphasort);

	printf("list %s: %s", p, err(n));
	for (int i = 0; i < n; i++) {
		printf(" %s", e[i]->d_name);
		free(e[i]);
	}
	puts("");
	if (n >= 0)
		free(e);
}

static const char *where(void)
{
	static char cwd[PATH_MAX];
	char *p = getcwd(cwd, sizeof(cwd)) ? strstr(cwd, "/top") : NULL;

	return p ? p : err(-1);
}

static void one(void)
{
	const char *p = path(), *q = path();
	char buf[64];
	struct stat st;
	long r;

	switch (rnd(19)) {
	case 0:
	case 1:
	case 2:
		open_one(p);
		break;
	case 3:
		open_restricted(p);
		break;
	case 4:
	case 5:
	case 17:
	case 18:
		printf("mkdir %s: %s\n", p, err(mkdirat(dirfd_any(), p, 0755)));
		break;
	case 6:
		printf("unlink %s: %s\n", p, err(unlinkat(dirfd_any(), p, 0)));
		break;
	case 7:
		printf("rmdir %s: %s\n", p, err(unlinkat(dirfd_any(), p, AT_REMOVEDIR)));
		break;
	case 8:
		printf("rename %s %s: %s\n", p, q, err(renameat(dirfd_any(), p, dirfd_any(), q)));
		break;
	case 9:
		r = renameat2(dirfd_any(), p, dirfd_any(), q, 1u << rnd(2));
		printf("renameat2 %s %s: %s\n", p, q, err(r));
		break;
	case 10:
		r = linkat(dirfd_any(), p, dirfd_any(), q, rnd(2) ? AT_SYMLINK_FOLLOW : 0);
		printf("link %s %s: %s\n", p, q, err(r));
		break;
	case 11:
		printf("symlink %s %s: %s\n", p, q, err(symlinkat(p, dirfd_any(), q)));
		break;
	case 12:
		r = fstatat(dirfd_any(), p, &st, rnd(2) ? AT_SYMLINK_NOFOLLOW : 0);
		say_stat("stat", p, r, &st);
		break;
	case 13:
		r = readlinkat(dirfd_any(), p, buf, sizeof(buf));
		printf("readlink %s: %s %.*s\n", p, err(r), r > 0 ? (int)r : 0, buf);
		break;
	case 14:
		r = chdir(p);
		printf("chdir %s: %s", p, err(r));
		printf(" %s\n", where());
		break;
	case 15:
		list(p);
		break;
	case 16:
		printf("access %s: %s\n", p, err(faccessat(dirfd_any(), p, R_OK, 0)));
		break;
	}
	/* The tree that counts is deep enough that ".." rarely leaves it. */
	if (!strncmp(where(), "/top", 4) && strlen(where()) > 8)
		return;
	fchdir(dirs[0] + 10);
}

int main(int argc, char **argv)
{
	long calls = argc > 2 ? atol(argv[2]) : 3000;
	int base;

	state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	umask(022);
	mkdir("top", 0755);
	mkdir("top/1", 0755);
	mkdir("top/1/2", 0755);
	mkdir("top/1/2/3", 0755);
	base = open("top/1/2/3", O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 3; i++)
		dirs[i] = fcntl(base, F_DUPFD, 100 + i);
	dup2(base, dirs[0] + 10);
	close(base);
	fchdir(dirs[0] + 10);
	for (long i = 0; i < calls; i++) {
		printf("%ld ", i);
		one();
	}
	return 0;
}
