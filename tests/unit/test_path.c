/* Path resolution against a small tree of the host, with an in-memory mount. */
#include "tests/unit/file_test.h"

#include <sys/stat.h>
#include "sentry/hostfs.h"

static char base[PATH_MAX]; /* the tree: a/b/c/file, links, scratch */
static struct proc proc;
static struct task task = {.proc = &proc};

static void put(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	char mount_point[PATH_MAX + 16];
	struct sbx_err *e = NULL;
	struct vnode *root;
	char *real;

	snprintf(base, sizeof(base), "/tmp/sbx-path-XXXXXX");
	assert_non_null(mkdtemp(base));
	real = realpath(base, NULL);
	strcpy(base, real);
	free(real);
	assert_int_equal(chdir(base), 0);
	assert_int_equal(mkdir("a", 0755) | mkdir("a/b", 0755) | mkdir("a/b/c", 0755), 0);
	assert_int_equal(mkdir("elsewhere", 0755), 0);
	put("a/b/c/file");
	put("elsewhere/f");
	assert_int_equal(symlink("a/b", "rel") | symlink("b/c/../c", "a/dots") |
				 symlink("loop2", "loop1") | symlink("loop1", "loop2") |
				 symlink("missing", "dangling") | symlink("/proc/self/fd", "toproc") |
				 symlink("file", "a/b/c/tofile"),
			 0);
	snprintf(mount_point, sizeof(mount_point), "%s/rel", base);
	assert_int_equal(symlink(mount_point, "abs"), 0);
	assert_int_equal(vfs_init(NULL, &e), 0);
	snprintf(mount_point, sizeof(mount_point), "%s/a/scratch", base);
	assert_int_equal(tmpfs_root(1 << 20, &root), 0);
	assert_int_equal(vfs_mount(mount_point, root, "tmpfs", NULL, NULL), 0);
	proc.fdtab = fdtab_create(64);
	proc.fs = fsctx_create(base, &e);
	return proc.fs ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[PATH_MAX + 16];

	fdtab_put(proc.fdtab);
	fsctx_put(proc.fs);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", base);
	return system(cmd);
}

/* Resolves and expects the canonical path below base (or an absolute one that starts with "//"). */
static void expect_at(int dirfd, const char *path, unsigned flags, const char *want)
{
	char full[PATH_MAX * 2];
	struct vpath v;
	int r = vfs_resolve(&task, dirfd, path, flags, &v);

	if (r)
		fail_msg("%s: %s", path, strerror(-r));
	if (!strncmp(want, "//", 2))
		strcpy(full, want + 1);
	else
		snprintf(full, sizeof(full), "%s%s%s", base, *want ? "/" : "", want);
	assert_string_equal(v.path, full);
	assert_int_equal(v.path_len, strlen(full));
	vpath_release(&v);
}

static void expect(const char *path, unsigned flags, const char *want)
{
	expect_at(AT_FDCWD, path, flags, want);
}

static void refuse(const char *path, unsigned flags, int err)
{
	struct vpath v;
	int r = vfs_resolve(&task, AT_FDCWD, path, flags, &v);

	if (r != -err)
		fail_msg("%s: got %d, expected %d", path, r, -err);
	assert_null(v.node);
	assert_null(v.dir);
}

static void plain(void **state)
{
	char abs_path[PATH_MAX + 64];

	expect("a/b/c/file", 0, "a/b/c/file");
	expect("./a//b/./c/file", 0, "a/b/c/file");
	expect("a/b/c/", 0, "a/b/c");
	expect("a/b/c/.", 0, "a/b/c");
	expect(".", 0, "");
	expect("/", 0, "//");
	expect("/..", 0, "//");
	expect("//", 0, "//");
	snprintf(abs_path, sizeof(abs_path), "%s/a/b", base);
	expect(abs_path, 0, "a/b");
	refuse("", 0, ENOENT);
	refuse("nothing", 0, ENOENT);
	refuse("nothing/below", VFS_CREATE, ENOENT);
	refuse("a/b/c/file/", 0, ENOTDIR);
	refuse("a/b/c/file/x", 0, ENOTDIR);
	refuse("a/b/c/file/..", 0, ENOTDIR);
	refuse("a/b/c/file", VFS_DIRECTORY, ENOTDIR);
}

static void dotdot(void **state)
{
	expect("a/b/c/..", 0, "a/b");
	expect("a/b/c/../..", 0, "a");
	expect("a/b/../b/c/file", 0, "a/b/c/file");
	expect("a/../elsewhere/f", 0, "elsewhere/f");
	expect("rel/..", 0, "a"); /* of the link's target, not of the text */
	expect("abs/../../elsewhere", 0, "elsewhere");
	refuse("nothing/..", 0, ENOENT);
}

static void symlinks(void **state)
{
	char deep[PATH_MAX] = "";

	expect("rel", 0, "a/b");
	expect("rel", VFS_NOFOLLOW, "rel");
	expect("rel/", VFS_NOFOLLOW, "a/b");
	expect("rel/c/file", 0, "a/b/c/file");
	expect("abs/c/tofile", 0, "a/b/c/file");
	expect("abs/c/tofile", VFS_NOFOLLOW, "a/b/c/tofile");
	expect("a/dots/file", 0, "a/b/c/file");
	refuse("loop1", 0, ELOOP);
	refuse("loop1/x", 0, ELOOP);
	expect("loop1", VFS_NOFOLLOW, "loop1");
	refuse("dangling", 0, ENOENT);
	expect("dangling", VFS_CREATE, "missing");
	expect("dangling", VFS_CREATE | VFS_NOFOLLOW, "dangling");
	refuse("rel/c", VFS_NO_SYMLINKS, ELOOP);
	/* 40 links are followed, 41 are not. */
	for (int i = 0; i < 40; i++) {
		char name[16], target[32];

		snprintf(name, sizeof(name), "n%d", i);
		snprintf(target, sizeof(target), i ? "n%d" : "a", i - 1);
		assert_int_equal(symlink(target, name), 0);
	}
	assert_int_equal(symlink("n39", "n40"), 0);
	expect("n39/b", 0, "a/b");
	refuse("n40/b", 0, ELOOP);
	/* Too long in all, though no part is. */
	for (int i = 0; i < 16; i++)
		strcat(deep, "a/b/../../");
	expect(deep, 0, "");
}

static void parents(void **state)
{
	struct vpath v;

	assert_int_equal(vfs_resolve(&task, AT_FDCWD, "a/b/new", VFS_PARENT, &v), 0);
	assert_null(v.node);
	assert_non_null(v.dir);
	assert_string_equal(v.name, "new");
	vpath_release(&v);
	assert_int_equal(vfs_resolve(&task, AT_FDCWD, "rel", VFS_PARENT, &v), 0);
	assert_int_equal(v.node->type, S_IFLNK);
	vpath_release(&v);
	assert_int_equal(vfs_resolve(&task, AT_FDCWD, "a/b/", VFS_PARENT, &v), 0);
	assert_string_equal(v.name, "b");
	assert_true(v.must_dir);
	vpath_release(&v);
	assert_int_equal(vfs_resolve(&task, AT_FDCWD, "a/b/..", VFS_PARENT, &v), 0);
	assert_null(v.dir);
	assert_string_equal(v.name, "..");
	vpath_release(&v);
	assert_int_equal(vfs_resolve(&task, AT_FDCWD, "a/b/new", VFS_CREATE, &v), 0);
	assert_string_equal(v.name, "new");
	assert_non_null(v.dir);
	vpath_release(&v);
}

static void restricted(void **state)
{
	struct vpath v;

	expect("a/b/c", VFS_BENEATH, "a/b/c");
	expect("a/b/..", VFS_BENEATH, "a");
	refuse("..", VFS_BENEATH, EXDEV);
	refuse("a/../../x", VFS_BENEATH, EXDEV);
	refuse("abs", VFS_BENEATH, EXDEV);
	refuse("/etc", VFS_BENEATH, EXDEV);
	expect("/a/b", VFS_IN_ROOT, "a/b");
	expect("../../../a/b", VFS_IN_ROOT, "a/b");
	assert_int_equal(vfs_resolve(&task, AT_FDCWD, "abs", VFS_IN_ROOT, &v), -ENOENT);
}

static void mounts(void **state)
{
	struct vnode *n = NULL;
	struct file *f = NULL;
	struct vpath v;

	assert_int_equal(vfs_resolve(&task, AT_FDCWD, "a/scratch/new", VFS_CREATE, &v), 0);
	assert_null(v.node);
	assert_int_equal(v.dir->hostfd, -1);
	assert_int_equal(v.dir->ops->create(&task, v.dir, v.name, 0644, O_RDWR, &n, &f), 0);
	file_put(f);
	vnode_put(n);
	vpath_release(&v);
	expect("a/scratch/new", 0, "a/scratch/new");
	expect("a/scratch/../b", 0, "a/b");
	expect("a/scratch/..", 0, "a");
	expect("a/b/../scratch/new", 0, "a/scratch/new");
	expect("rel/../scratch/./new", 0, "a/scratch/new");
	refuse("a/scratch/new/..", 0, ENOTDIR);
	refuse("a/scratch", VFS_NO_XDEV, EXDEV);
}

/* The host's /proc is never reached, whichever way. */
static void no_host_proc(void **state)
{
	char self[64];
	struct vpath v;

	snprintf(self, sizeof(self), "/proc/%d/mem", getpid());
	assert_int_not_equal(vfs_resolve(&task, AT_FDCWD, self, 0, &v), 0);
	if (!vfs_resolve(&task, AT_FDCWD, "toproc", 0, &v)) {
		assert_int_equal(v.node->hostfd, -1);
		vpath_release(&v);
	}
	if (!vfs_resolve(&task, AT_FDCWD, "../../proc/self/status", 0, &v)) {
		assert_int_equal(v.node->hostfd, -1);
		vpath_release(&v);
	}
}

static void descriptors(void **state)
{
	struct vpath v;
	struct file *f;
	int fd;

	assert_int_equal(vfs_resolve(&task, AT_FDCWD, "a/b", 0, &v), 0);
	assert_int_equal(vfs_open(&task, v.node, v.path, O_RDONLY | O_DIRECTORY, &f), 0);
	vpath_release(&v);
	fd = fdtab_install(proc.fdtab, f, 0, false);
	expect_at(fd, "c/file", 0, "a/b/c/file");
	expect_at(fd, "", VFS_EMPTY, "a/b");
	/* Under its present name, whatever it was opened as. */
	assert_int_equal(rename("a/b", "elsewhere/moved"), 0);
	expect_at(fd, "c/file", 0, "elsewhere/moved/c/file");
	expect_at(fd, "..", 0, "elsewhere");
	assert_int_equal(rename("elsewhere/moved", "a/b"), 0);
	assert_int_equal(vfs_resolve(&task, 17, "x", 0, &v), -EBADF);
	assert_int_equal(vfs_resolve(&task, 17, "", VFS_EMPTY, &v), -EBADF);
	fdtab_close(proc.fdtab, fd);
}

/* What was resolved stays what it was when the name is given to something else afterwards. */
static void pinned(void **state)
{
	struct vpath v;
	struct file *f;
	char buf[8] = "";
	struct iovec iov = {buf, sizeof(buf)};
	int fd = open("good", O_WRONLY | O_CREAT, 0644);

	assert_int_equal(write(fd, "good", 4), 4);
	close(fd);
	fd = open("secret", O_WRONLY | O_CREAT, 0644);
	assert_int_equal(write(fd, "secret", 6), 6);
	close(fd);
	assert_int_equal(vfs_resolve(&task, AT_FDCWD, "good", 0, &v), 0);
	assert_int_equal(rename("secret", "good"), 0);
	assert_int_equal(vfs_open(&task, v.node, v.path, O_RDONLY, &f), 0);
	assert_int_equal(file_read(&task, f, &iov, 1, -1), 4);
	assert_memory_equal(buf, "good", 4);
	file_put(f);
	vpath_release(&v);
}

static atomic_bool stop;

static void *renamer(void *arg)
{
	while (!atomic_load(&stop)) {
		(void)!rename("swap/in", "swap/out");
		(void)!rename("swap/out", "swap/in");
	}
	return NULL;
}

/* A directory that moves all the time: every answer is a place where it really was. */
static void race_rename(void **state)
{
	pthread_t th;
	char in[PATH_MAX + 64], out[PATH_MAX + 64];

	assert_int_equal(mkdir("swap", 0755) | mkdir("swap/in", 0755) | mkdir("swap/in/d", 0755), 0);
	put("swap/in/d/f");
	snprintf(in, sizeof(in), "%s/swap/in/d/f", base);
	snprintf(out, sizeof(out), "%s/swap/out/d/f", base);
	pthread_create(&th, NULL, renamer, NULL);
	for (int i = 0; i < 3000; i++) {
		struct vpath v;
		int r = vfs_resolve(&task, AT_FDCWD, i % 2 ? "swap/in/d/f" : "swap/in/d/../d/f", 0, &v);

		assert_true(r == 0 || r == -ENOENT);
		if (!r && strcmp(v.path, in) && strcmp(v.path, out))
			fail_msg("%s", v.path);
		vpath_release(&v);
	}
	atomic_store(&stop, true);
	pthread_join(th, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),	cmocka_unit_test(dotdot),
		cmocka_unit_test(symlinks),	cmocka_unit_test(parents),
		cmocka_unit_test(restricted),	cmocka_unit_test(mounts),
		cmocka_unit_test(no_host_proc), cmocka_unit_test(descriptors),
		cmocka_unit_test(pinned),	cmocka_unit_test(race_rename),
	};

#ifdef TEST_NO_OPENAT2 /* component by component, as on hosts before Linux 5.6 */
	atomic_store(&hostfs_no_openat2, true);
#endif
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
