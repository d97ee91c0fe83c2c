/* The in-memory file system through its vnode operations: names, links, renames, contents, limits. */
#include "tests/unit/file_test.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "sentry/dirent.h"
#include "sentry/hostproc.h"

static struct vnode *root;

static int setup(void **state)
{
	assert_int_equal(hostproc_init(NULL), 0);
	return tmpfs_root(4 << 20, &root);
}

static int teardown(void **state)
{
	vnode_put(root);
	return 0;
}

static uint64_t free_blocks(void)
{
	struct statfs st;

	assert_int_equal(root->ops->statfs(root, &st), 0);
	return st.f_bfree;
}

static struct file *make_file(struct vnode *dir, const char *name, unsigned flags)
{
	struct vnode *n;
	struct file *f;

	assert_int_equal(dir->ops->create(NULL, dir, name, 0644, flags, &n, &f), 0);
	vnode_put(n);
	return f;
}

static struct vnode *look(struct vnode *dir, const char *name)
{
	struct vnode *n = NULL;

	return dir->ops->lookup(dir, name, &n) ? NULL : n;
}

static ssize_t put(struct file *f, const void *p, size_t n, off_t off)
{
	struct iovec v = {(void *)p, n};

	return f->ops->write(NULL, f, &v, 1, off);
}

static struct statx attr(struct vnode *n)
{
	struct statx st;

	assert_int_equal(n->ops->getattr(NULL, n, &st), 0);
	return st;
}

static void contents(void **state)
{
	struct file *f = make_file(root, "a", O_RDWR), *g;
	struct vnode *n = look(root, "a");
	char buf[8] = "";

	assert_int_equal(put(f, "hello", 5, -1), 5);
	assert_int_equal(put(f, "J", 1, 0), 1);
	assert_int_equal(pread(f->hostfd, buf, sizeof(buf), 0), 5);
	assert_string_equal(buf, "Jello");
	assert_int_equal(attr(n).stx_size, 5);
	assert_int_equal(attr(n).stx_nlink, 1);
	/* a second description has its own position, O_APPEND writes at the end */
	assert_int_equal(n->ops->open(NULL, n, O_WRONLY | O_APPEND, &g), 0);
	assert_int_equal(put(g, "!", 1, -1), 1);
	assert_int_equal(attr(n).stx_size, 6);
	file_put(g);
	/* contents survive without anybody having it open */
	file_put(f);
	assert_int_equal(n->ops->open(NULL, n, O_RDONLY, &f), 0);
	assert_int_equal(put(f, "x", 1, -1), -EBADF);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(read(f->hostfd, buf, sizeof(buf)), 6);
	assert_string_equal(buf, "Jello!");
	file_put(f);
	assert_int_equal(n->ops->open(NULL, n, O_WRONLY | O_TRUNC, &f), 0);
	assert_int_equal(attr(n).stx_size, 0);
	file_put(f);
	vnode_put(n);
	assert_int_equal(root->ops->unlink(root, "a", false), 0);
	assert_null(look(root, "a"));
}

static void unlinked_while_open(void **state)
{
	uint64_t before = free_blocks();
	struct file *f = make_file(root, "gone", O_RDWR);
	char buf[4] = "";

	assert_int_equal(put(f, "abc", 3, -1), 3);
	assert_int_equal(root->ops->unlink(root, "gone", false), 0);
	assert_int_equal(put(f, "d", 1, -1), 1);
	assert_int_equal(pread(f->hostfd, buf, 4, 0), 4);
	assert_memory_equal(buf, "abcd", 4);
	assert_true(free_blocks() < before);
	file_put(f);
	assert_int_equal(free_blocks(), before);
}

static void times(void **state)
{
	struct file *f = make_file(root, "t", O_RDWR);
	struct vnode *n = look(root, "t");
	struct vattr a = {.mask = VATTR_ATIME | VATTR_MTIME};

	a.atime.tv_sec = 1000;
	a.mtime.tv_sec = 2000;
	assert_int_equal(n->ops->setattr(n, &a), 0);
	assert_int_equal(attr(n).stx_mtime.tv_sec, 2000);
	file_put(f); /* parked */
	assert_int_equal(attr(n).stx_mtime.tv_sec, 2000);
	assert_int_equal(n->ops->open(NULL, n, O_RDWR, &f), 0);
	assert_int_equal(attr(n).stx_mtime.tv_sec, 2000);
	assert_int_equal(attr(n).stx_atime.tv_sec, 1000);
	assert_int_equal(put(f, "x", 1, -1), 1);
	assert_true(attr(n).stx_mtime.tv_sec > 1000000);
	file_put(f);
	vnode_put(n);
	assert_int_equal(root->ops->unlink(root, "t", false), 0);
}

/* A change counts in the very tick of the host's clock in which the times were set. */
static void times_within_a_tick(void **state)
{
	struct file *f = make_file(root, "t", O_RDWR);
	struct vnode *n = look(root, "t");
	struct vattr a = {.mask = VATTR_MTIME, .mtime.tv_sec = 2000};

	for (int i = 0; i < 200; i++) {
		assert_int_equal(n->ops->setattr(n, &a), 0);
		assert_int_equal(attr(n).stx_mtime.tv_sec, 2000);
		assert_int_equal(put(f, "x", 1, -1), 1);
		assert_true(attr(n).stx_mtime.tv_sec > 2000);
		assert_int_equal(n->ops->setattr(n, &a), 0);
		assert_int_equal(f->ops->truncate(NULL, f, i), 0);
		assert_true(attr(n).stx_mtime.tv_sec > 2000);
	}
	file_put(f);
	vnode_put(n);
	assert_int_equal(root->ops->unlink(root, "t", false), 0);
}

static void links(void **state)
{
	struct vnode *n, *d;

	file_put(make_file(root, "one", O_RDWR));
	n = look(root, "one");
	assert_int_equal(root->ops->mkdir(root, "d", 0755), 0);
	assert_int_equal(root->ops->mkdir(root, "d", 0755), -EEXIST);
	d = look(root, "d");
	assert_int_equal(root->ops->link(n, d, "two"), 0);
	assert_int_equal(root->ops->link(d, root, "three"), -EPERM);
	assert_int_equal(attr(n).stx_nlink, 2);
	assert_int_equal(attr(root).stx_nlink, 3);
	assert_int_equal(root->ops->unlink(root, "d", true), -ENOTEMPTY);
	assert_int_equal(root->ops->unlink(root, "d", false), -EISDIR);
	assert_int_equal(root->ops->unlink(root, "one", true), -ENOTDIR);
	assert_int_equal(root->ops->unlink(root, "one", false), 0);
	assert_int_equal(attr(n).stx_nlink, 1);
	assert_int_equal(root->ops->unlink(d, "two", false), 0);
	assert_int_equal(root->ops->link(n, root, "again"), -ENOENT);
	assert_int_equal(root->ops->unlink(root, "d", true), 0);
	assert_int_equal(d->ops->mkdir(d, "sub", 0755), -ENOENT); /* removed, still held */
	vnode_put(n);
	vnode_put(d);
}

static void symlinks(void **state)
{
	struct vnode *n;
	char buf[32];

	assert_int_equal(root->ops->symlink(root, "s", "../target"), 0);
	n = look(root, "s");
	assert_int_equal(n->ops->readlink(NULL, n, buf, sizeof(buf)), 9);
	assert_memory_equal(buf, "../target", 9);
	assert_int_equal(n->ops->readlink(NULL, n, buf, 3), 3);
	assert_int_equal(attr(n).stx_size, 9);
	assert_int_equal(attr(n).stx_mode, S_IFLNK | 0777);
	vnode_put(n);
	assert_int_equal(root->ops->unlink(root, "s", false), 0);
}

static void where(struct vnode *n, const char *want)
{
	char buf[PATH_MAX];

	assert_int_equal(n->ops->node_path(n, buf, sizeof(buf)), 0);
	assert_string_equal(buf, want);
}

static void renames(void **state)
{
	struct vnode *a, *b, *f;
	char buf[8];

	assert_int_equal(root->ops->mkdir(root, "a", 0755), 0);
	a = look(root, "a");
	assert_int_equal(a->ops->mkdir(a, "b", 0755), 0);
	b = look(a, "b");
	file_put(make_file(b, "f", O_RDWR));
	f = look(b, "f");
	where(f, "/a/b/f");
	where(root, "");
	assert_int_equal(f->ops->node_path(f, buf, 6), -ENAMETOOLONG);
	assert_int_equal(root->ops->rename(root, "a", b, "loop", 0), -EINVAL);
	assert_int_equal(root->ops->rename(b, "f", root, "f", RENAME_NOREPLACE), 0);
	where(f, "/f");
	assert_int_equal(root->ops->rename(root, "f", a, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(root->ops->rename(root, "f", a, "b", 0), -EISDIR);
	assert_int_equal(root->ops->rename(a, "b", root, "f", 0), -ENOTDIR);
	assert_int_equal(root->ops->rename(root, "none", root, "x", 0), -ENOENT);
	assert_int_equal(root->ops->rename(root, "f", root, "g", RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(root->ops->rename(root, "f", a, "b", RENAME_EXCHANGE), 0);
	where(f, "/a/b");
	where(b, "/f");
	assert_int_equal(attr(root).stx_nlink, 4);
	assert_int_equal(attr(a).stx_nlink, 2);
	/* replacing a file frees it; an empty directory may be replaced by a directory */
	file_put(make_file(a, "other", O_RDWR));
	assert_int_equal(root->ops->rename(a, "b", a, "other", 0), 0);
	where(f, "/a/other");
	assert_int_equal(a->ops->unlink(a, "other", false), 0);
	assert_int_equal(f->ops->node_path(f, buf, sizeof(buf)), -ENOENT);
	assert_int_equal(root->ops->rename(root, "a", root, "f", 0), 0);
	where(a, "/f");
	assert_int_equal(b->ops->node_path(b, buf, sizeof(buf)), -ENOENT);
	assert_int_equal(attr(root).stx_nlink, 3);
	vnode_put(f);
	vnode_put(a);
	vnode_put(b);
	assert_int_equal(root->ops->unlink(root, "f", true), 0);
}

/* ---- limits ---- */

static void space(void **state)
{
	uint64_t before = free_blocks();
	struct file *f = make_file(root, "big", O_RDWR);
	struct vnode *n = look(root, "big");
	size_t len = 3 << 20;
	char *p = calloc(1, len), name[] = "a";

	assert_int_equal(put(f, p, len, -1), len);
	assert_true(put(f, p, len, -1) < (ssize_t)len); /* what still fits */
	assert_int_equal(put(f, p, len, -1), -ENOSPC);
	assert_int_equal(f->ops->truncate(NULL, f, (off_t)len * 2), -ENOSPC);
	assert_int_equal(f->ops->fallocate(NULL, f, 0, 0, (off_t)len * 2), -ENOSPC);
	assert_int_equal(put(f, p, 1, 1ll << 40), -ENOSPC); /* holes are paid for */
	while (!root->ops->mkdir(root, name, 0755)) /* a rest smaller than a page */
		name[0]++;
	assert_true(name[0] < 'd');
	while (name[0]-- > 'a')
		assert_int_equal(root->ops->unlink(root, name, true), 0);
	assert_int_equal(f->ops->truncate(NULL, f, 4096), 0);
	assert_int_equal(put(f, p, 4096, 4096), 4096);
	assert_int_equal(f->ops->fallocate(NULL, f, FALLOC_FL_KEEP_SIZE, 0, 1 << 20), 0);
	assert_int_equal(attr(n).stx_size, 8192);
	assert_true(before - free_blocks() >= 256);
	assert_int_equal(f->ops->fallocate(NULL, f, 0x10, 0, 1), -EOPNOTSUPP);
	assert_int_equal(f->ops->truncate(NULL, f, -1), -EINVAL);
	file_put(f);
	vnode_put(n);
	assert_int_equal(root->ops->unlink(root, "big", false), 0);
	assert_int_equal(free_blocks(), before);
	free(p);
}

/* ---- directories ---- */

static unsigned list(struct file *f, char *last, off_t *pos)
{
	char buf[4096], *p = buf;
	struct dirent_sink s = {.buf = (uint8_t *)buf, .cap = sizeof(buf)};
	unsigned n = 0;

	assert_int_equal(f->ops->getdents(NULL, f, &s), 0);
	while (p < buf + s.len) {
		struct dirent64 *d = (struct dirent64 *)p;

		if (last)
			snprintf(last, 32, "%.31s", d->d_name);
		if (pos)
			*pos = d->d_off;
		p += d->d_reclen;
		n++;
	}
	return n;
}

static void directory_order(void **state)
{
	struct vnode *d;
	struct file *f;
	char name[32], last[32];
	unsigned n, sum = 0;
	off_t pos;

	assert_int_equal(root->ops->mkdir(root, "dir", 0755), 0);
	d = look(root, "dir");
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		file_put(make_file(d, name, O_RDWR));
	}
	assert_int_equal(d->ops->open(NULL, d, O_RDONLY | O_DIRECTORY, &f), 0);
	while ((n = list(f, NULL, NULL)))
		sum += n;
	assert_int_equal(sum, 502);
	/* a position stays good while other names go */
	assert_int_equal(f->ops->seek(NULL, f, 0, SEEK_SET), 0);
	assert_true(list(f, last, &pos) > 10);
	for (int i = 0; i < 500; i += 2) {
		snprintf(name, sizeof(name), "name-%d", i);
		assert_int_equal(d->ops->unlink(d, name, false), 0);
	}
	assert_int_equal(f->ops->seek(NULL, f, pos, SEEK_SET), pos);
	for (sum = 0; (n = list(f, NULL, NULL));)
		sum += n;
	assert_true(sum > 150 && sum < 250);
	/* deleting while reading sees every name */
	assert_int_equal(f->ops->seek(NULL, f, 0, SEEK_SET), 0);
	for (int i = 1; i < 500; i += 2) {
		snprintf(name, sizeof(name), "name-%d", i);
		assert_int_equal(d->ops->unlink(d, name, false), 0);
	}
	assert_int_equal(list(f, NULL, NULL), 2);
	assert_int_equal(d->ops->open(NULL, d, O_RDWR, &f), -EISDIR);
	file_put(f);
	vnode_put(d);
	assert_int_equal(root->ops->unlink(root, "dir", true), 0);
}

/* Far more files than descriptors, in time that grows with their number only. */
static void many_files(void **state)
{
	enum { N = 200000 };
	struct rlimit lim, small = {64, 64};
	struct vnode *top, *n;
	char name[32];

	assert_int_equal(tmpfs_root(1ull << 30, &top), 0);
	getrlimit(RLIMIT_NOFILE, &lim);
	small.rlim_max = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &small);
	for (int i = 0; i < N; i++) {
		struct file *f;

		snprintf(name, sizeof(name), "f%d", i);
		if (i % 1000) { /* no contents: no memfd */
			assert_int_equal(top->ops->mknod(top, name, S_IFREG | 0600, 0), 0);
			continue;
		}
		f = make_file(top, name, O_RDWR);
		assert_int_equal(put(f, name, 4, -1), 4);
		file_put(f);
	}
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		n = look(top, name);
		assert_non_null(n);
		vnode_put(n);
		assert_int_equal(top->ops->unlink(top, name, false), 0);
	}
	setrlimit(RLIMIT_NOFILE, &lim);
	assert_int_equal(attr(top).stx_size, 40);
	vnode_put(top);
}

static void fifo(void **state)
{
	struct file *r, *w;
	struct vnode *n;
	char c;

	assert_int_equal(root->ops->mknod(root, "q", S_IFIFO | 0600, 0), 0);
	assert_int_equal(root->ops->mknod(root, "dev", S_IFCHR | 0600, 0), -EPERM);
	n = look(root, "q");
	assert_int_equal(n->ops->open(NULL, n, O_WRONLY | O_NONBLOCK, &w), -ENXIO);
	assert_int_equal(n->ops->open(NULL, n, O_RDONLY | O_NONBLOCK, &r), 0);
	assert_int_equal(n->ops->open(NULL, n, O_WRONLY, &w), 0);
	assert_int_equal(write(w->hostfd, "x", 1), 1);
	assert_int_equal(read(r->hostfd, &c, 1), 1);
	assert_int_equal(read(r->hostfd, &c, 1), -1);
	file_put(w);
	assert_int_equal(read(r->hostfd, &c, 1), 0);
	file_put(r);
	vnode_put(n);
	assert_int_equal(root->ops->unlink(root, "q", false), 0);
}

/* ---- threads ---- */

static unsigned pick(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

static void use_file(struct vnode *n)
{
	char buf[200] = "";
	struct iovec v = {buf, sizeof(buf)};
	struct file *f;

	if (n->ops->open(NULL, n, O_RDWR | O_NONBLOCK, &f))
		return;
	if (f->ops->write)
		f->ops->write(NULL, f, &v, 1, -1);
	file_put(f);
}

static void change_node(struct vnode *n, struct vnode *to, const char *name, unsigned *seed)
{
	struct vattr a = {.mask = VATTR_SIZE | VATTR_MODE, .mode = 0600};
	char path[64];
	struct statx st;

	switch (pick(seed, 4)) {
	case 0:
		n->ops->getattr(NULL, n, &st);
		n->ops->node_path(n, path, sizeof(path));
		break;
	case 1:
		to->ops->link(n, to, name);
		break;
	case 2:
		use_file(n);
		break;
	default:
		a.size = pick(seed, 100000);
		n->ops->setattr(n, &a);
	}
}

static void change_names(struct vnode *d, const char *name, struct vnode *to, const char *other,
			 unsigned *seed)
{
	struct vnode *n;
	struct file *f;

	switch (pick(seed, 7)) {
	case 0:
		if (!d->ops->create(NULL, d, name, 0644, O_RDWR, &n, &f)) {
			file_put(f);
			vnode_put(n);
		}
		break;
	case 1:
		d->ops->mkdir(d, name, 0755);
		break;
	case 2:
		d->ops->symlink(d, name, "x");
		break;
	case 3:
		d->ops->unlink(d, name, pick(seed, 2));
		break;
	case 4:
		d->ops->rename(d, name, to, other, 0);
		break;
	case 5:
		d->ops->rename(d, name, to, other, RENAME_EXCHANGE);
		break;
	default:
		if (!d->ops->open(NULL, d, O_RDONLY, &f)) {
			list(f, NULL, NULL);
			file_put(f);
		}
	}
}

static void *at_random(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct vnode *dir[3] = {look(root, "d0"), look(root, "d1"), look(root, "d2")}, *n;
	char name[16], other[16];

	for (int i = 0; i < 5000; i++) {
		struct vnode *d = dir[pick(&seed, 3)], *to = dir[pick(&seed, 3)];

		snprintf(name, sizeof(name), "n%u", pick(&seed, 20));
		snprintf(other, sizeof(other), "n%u", pick(&seed, 20));
		if (pick(&seed, 2)) {
			change_names(d, name, to, other, &seed);
		} else if (!d->ops->lookup(d, name, &n)) {
			change_node(n, to, other, &seed);
			vnode_put(n);
		}
	}
	for (int i = 0; i < 3; i++)
		vnode_put(dir[i]);
	return NULL;
}

static void threads(void **state)
{
	pthread_t t[4];

	assert_int_equal(root->ops->mkdir(root, "d0", 0755), 0);
	assert_int_equal(root->ops->mkdir(root, "d1", 0755), 0);
	assert_int_equal(root->ops->mkdir(root, "d2", 0755), 0);
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, at_random, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contents),
		cmocka_unit_test(unlinked_while_open),
		cmocka_unit_test(times), cmocka_unit_test(times_within_a_tick),
		cmocka_unit_test(links),
		cmocka_unit_test(symlinks),
		cmocka_unit_test(renames),
		cmocka_unit_test(space),
		cmocka_unit_test(directory_order),
		cmocka_unit_test(many_files),
		cmocka_unit_test(fifo),
		cmocka_unit_test(threads), /* last: leaves names behind */
	};

	return cmocka_run_group_tests_name("tmpfs", tests, setup, teardown);
}
