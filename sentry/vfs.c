/* The tree: nodes, mounts, the process' place in it. */
#include "sentry/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/log.h"
#include "sentry/auditx.h"
#include "sentry/hostfs.h"
#include "sentry/hostproc.h"
#include "sentry/notify.h"
#include "sentry/task.h"
#include "sentry/textbusy.h"

static struct mount *mounts; /* only grows, and only before the app starts */
static uid_t host_uid;
static gid_t host_gid;
static mode_t host_umask = 022;

/* ---- nodes ---- */

struct vnode *vnode_get(struct vnode *n)
{
	atomic_fetch_add(&n->refs, 1);
	return n;
}

void vnode_put(struct vnode *n)
{
	if (n && atomic_fetch_sub(&n->refs, 1) == 1)
		n->ops->release(n);
}

int vfs_node_path(struct vnode *n, char *buf, size_t size)
{
	struct mount *m = n->mnt;
	size_t len;
	int r;

	if (n->path) {
		len = strlen(n->path);
		if (len >= size)
			return -ENAMETOOLONG;
		memcpy(buf, n->path, len + 1);
		return (int)len;
	}
	if (!n->ops->node_path || !m)
		return -EOPNOTSUPP;
	len = m->path_len == 1 ? 0 : m->path_len;
	if (len + 1 >= size)
		return -ENAMETOOLONG;
	memcpy(buf, m->path, len);
	r = n->ops->node_path(n, buf + len, size - len);
	if (r < 0)
		return r;
	if (!buf[0])
		strcpy(buf, "/");
	return (int)strlen(buf);
}

void vfs_ids_to_app(struct statx *st)
{
	if (!sandbox.config.has_ids)
		return;
	if (st->stx_uid == host_uid)
		st->stx_uid = sandbox.config.uid;
	if (st->stx_gid == host_gid)
		st->stx_gid = sandbox.config.gid;
}

int vfs_ids_to_host(uid_t *uid, gid_t *gid)
{
	if (!sandbox.config.has_ids)
		return 0;
	if (*uid != (uid_t)-1) {
		if (*uid != sandbox.config.uid)
			return -EPERM;
		*uid = host_uid;
	}
	if (*gid != (gid_t)-1) {
		if (*gid != sandbox.config.gid)
			return -EPERM;
		*gid = host_gid;
	}
	return 0;
}

int vfs_getattr(struct task *t, struct vnode *n, struct statx *st)
{
	memset(st, 0, sizeof(*st));
	return n->ops->getattr ? n->ops->getattr(t, n, st) : -EPERM;
}

int vfs_access(struct task *t, struct vnode *n, int mode)
{
	struct statx st;
	unsigned bits;
	int r;

	if (!mode)
		return 0;
	if (n->ops == &hostfs_ops) {
		char num[16];

		snprintf(num, sizeof(num), "%d", n->hostfd);
		return faccessat(hostproc_fd_self(), num, mode, 0) ? -errno : 0;
	}
	r = vfs_getattr(t, n, &st);
	if (r)
		return r;
	if (t->proc->uid == 0)
		bits = 6 | (st.stx_mode & 0111 || n->type == S_IFDIR ? 1 : 0);
	else if (st.stx_uid == t->proc->uid)
		bits = st.stx_mode >> 6;
	else if (st.stx_gid == t->proc->gid)
		bits = st.stx_mode >> 3;
	else
		bits = st.stx_mode;
	return (unsigned)mode & ~bits & 7 ? -EACCES : 0;
}

/* ---- mounts ---- */

int vfs_mount(const char *path, struct vnode *root, const char *fstype, void *priv,
	      struct mount **out)
{
	size_t len = strlen(path);
	struct mount *m, **end = &mounts;
	unsigned minor = 0xfff00; /* far from what hosts hand out */

	if (path[0] != '/' || len >= PATH_MAX)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	memcpy(m->path, path, len + 1);
	m->path_len = len;
	m->root = root;
	m->fstype = fstype;
	m->priv = priv;
	root->mnt = m;
	for (; *end; end = &(*end)->next)
		minor++;
	m->dev = makedev(0, minor);
	*end = m;
	if (out)
		*out = m;
	return 0;
}

struct mount *vfs_mounts(void)
{
	return mounts;
}

int vfs_mount_id(const struct mount *m)
{
	int id = 20;

	for (const struct mount *at = mounts; at && at != m; at = at->next)
		id++;
	return id;
}

struct mount *vfs_mount_at(const char *path, size_t len)
{
	struct mount *found = NULL;

	for (struct mount *m = mounts; m; m = m->next)
		if (m->path_len == len && !memcmp(m->path, path, len))
			found = m; /* the latest covers what was there */
	return found;
}

struct mount *vfs_mount_of(const char *path, size_t len)
{
	struct mount *found = mounts;

	for (struct mount *m = mounts; m; m = m->next) {
		if (m->path_len > len || m->path_len < found->path_len ||
		    memcmp(m->path, path, m->path_len))
			continue;
		if (m->path_len == 1 || m->path_len == len || path[m->path_len] == '/')
			found = m;
	}
	return found;
}

static int mount_one(const char *path, int (*make)(struct vnode **), const char *fstype,
		     struct sbx_err **e)
{
	struct vnode *root;
	int r;

	r = make(&root);
	if (!r)
		r = vfs_mount(path, root, fstype, NULL, NULL);
	return r ? sbx_err_errno(e, -r, "cannot make the sandbox's %s", path) : 0;
}

/* Makes the directories of a scratch path that neither the host nor another scratch has: an empty
 * read-only-sized tmpfs at the first missing one carries the rest. */
static int mount_parents(const char *path, struct sbx_err **e)
{
	char part[PATH_MAX];
	const char *p = path;

	while ((p = strchr(p + 1, '/'))) {
		size_t len = (size_t)(p - path);
		struct vpath *v = calloc(1, sizeof(*v));
		struct vnode *root;
		int r;

		if (!v)
			return sbx_err_set(e, "out of memory");
		memcpy(part, path, len);
		part[len] = '\0';
		r = vfs_resolve(NULL, AT_FDCWD, part, VFS_DIRECTORY | VFS_CREATE, v);
		if (!r && !v->node && v->dir->ops->mkdir && v->dir->mnt != mounts) {
			r = v->dir->ops->mkdir(v->dir, v->name, 0755);
		} else if (!r && !v->node) {
			r = tmpfs_root(64 * 1024, &root);
			if (!r)
				r = vfs_mount(part, root, "tmpfs", NULL, NULL);
		}
		vpath_release(v);
		free(v);
		if (r)
			return sbx_err_errno(e, -r, "%s: cannot make %s", path, part);
	}
	return 0;
}

static void keep_point(struct vnode *n, const char *path)
{
	if (n->ops != &hostfs_ops && !n->path)
		n->path = strdup(path);
}

/* Gives path, on which something of this type will be mounted, an entry in the scratch, so that it is
 * listed there. Its fixed path keeps it from being removed or renamed. */
static void make_point(const char *path, mode_t type)
{
	struct vpath *v = calloc(1, sizeof(*v));
	struct vnode *n;
	int r;

	if (!v)
		return;
	r = vfs_resolve(NULL, AT_FDCWD, path, VFS_CREATE | VFS_NOFOLLOW, v);
	if (!r && v->node) {
		keep_point(v->node, path);
	} else if (!r && v->dir->ops != &hostfs_ops && v->dir->ops->mkdir) {
		r = type == S_IFDIR ? v->dir->ops->mkdir(v->dir, v->name, 0755)
				    : v->dir->ops->mknod(v->dir, v->name, S_IFREG | 0644, 0);
		if (!r && !v->dir->ops->lookup(v->dir, v->name, &n)) {
			keep_point(n, path);
			vnode_put(n);
		}
	}
	vpath_release(v);
	free(v);
}

static int mount_scratch(const struct pol_image *img, struct sbx_err **e)
{
	struct pol_scratch s;

	for (size_t i = 0; i < pol_image_scratch(img, i, &s); i++) {
		struct vnode *root;
		int r;

		if (mount_parents(s.path, e))
			return -1;
		r = s.overlay ? tmpfs_overlay(s.path, s.size, &root) : tmpfs_root(s.size, &root);
		if (r)
			return sbx_err_errno(e, -r, "cannot make %s %s",
					     s.overlay ? "overlay" : "scratch", s.path);
		make_point(s.path, S_IFDIR);
		r = vfs_mount(s.path, root, s.overlay ? "overlay" : "tmpfs", NULL, NULL);
		if (r)
			return sbx_err_errno(e, -r, "cannot mount %s", s.path);
	}
	return 0;
}

static bool below_scratch(const struct pol_image *img, const char *path, size_t len)
{
	struct pol_scratch s;

	for (size_t i = 0; i < pol_image_scratch(img, i, &s); i++) {
		if (pol_path_below(s.path, strlen(s.path), path, len))
			return true;
	}
	return false;
}

static bool is_scratch_rule(const struct pol_image *img, uint32_t rule)
{
	struct pol_scratch s;

	for (size_t i = 0; i < pol_image_scratch(img, i, &s); i++)
		if (s.rule == rule)
			return true;
	return false;
}

/* A grant that is more specific than a scratch around it shows the host's tree: `scratch /tmp` with
 * `read /tmp/job/...` is a private /tmp with the host's /tmp/job in it. */
static int mount_grants(const struct pol_image *img, struct sbx_err **e)
{
	struct pol_grant g;

	for (size_t i = 0; i < pol_image_grant(img, i, &g); i++) {
		char path[PATH_MAX];
		struct vnode *root;
		int r;

		/* To look at a directory on the way to a grant is not to have what is in it. */
		if (!g.allows || !(g.verbs & ~(uint32_t)POL_V_STAT) || g.root_len >= sizeof(path) ||
		    is_scratch_rule(img, g.rule) || !below_scratch(img, g.root, g.root_len) ||
		    vfs_mount_at(g.root, g.root_len) || /* a scratch or overlay of its own */
		    vfs_mount_of(g.root, g.root_len)->root->ops == &hostfs_ops)
			continue;
		memcpy(path, g.root, g.root_len);
		path[g.root_len] = '\0';
		if (hostfs_root(path, &root))
			continue; /* not there: the scratch is what the app finds */
		r = mount_parents(path, e);
		if (r)
			return r;
		make_point(path, root->type);
		r = vfs_mount(path, root, "bind", NULL, NULL);
		if (r)
			return sbx_err_errno(e, -r, "cannot show %s in its scratch", path);
	}
	return 0;
}

int vfs_save_overlays(int fd)
{
	int r = 0, part, end;

	for (const struct mount *m = mounts; m && (!r || r == -ENAMETOOLONG); m = m->next) {
		if (strcmp(m->fstype, "overlay") != 0 || m->root->ops == &hostfs_ops)
			continue;
		part = tmpfs_save(m->root, m->path, fd);
		r = part ? part : r;
	}
	if (r && r != -ENAMETOOLONG)
		return r;
	end = tmpfs_save_end(fd);
	return end ? end : r;
}

/* ---- the files gate ---- */

void vfs_judge(const char *path, size_t len, uint32_t verbs, struct pol_verdict *v)
{
	pol_eval_path(sandbox.image, task_view(current), verbs, path, len, v);
}

uint32_t vfs_verbs(const char *path, size_t len)
{
	uint32_t verbs = pol_path_verbs(sandbox.image, task_view(current), path, len);

	return sandbox.config.has_exec ? verbs : verbs & POL_V_ALL;
}

static const char *fstype_name(const struct vnode *n)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = {{0xef53, "ext4"},	    {0x9123683e, "btrfs"},    {0x58465342, "xfs"},
		     {0x01021994, "tmpfs"}, {0x794c7630, "overlay"},  {0xf2f52010, "f2fs"},
		     {0x2fc12fc1, "zfs"},   {0x73717368, "squashfs"}, {0x858458f6, "ramfs"}};
	struct statfs sf;

	if (!fstatfs(n->hostfd, &sf))
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (known[i].magic == (unsigned long)sf.f_type)
				return known[i].name;
	return "rootfs";
}

static bool is_of_host(const char *path)
{
	return vfs_mount_of(path, strlen(path))->root->ops == &hostfs_ops;
}

/* A grant whose name leads through a link of the host to what nothing grants does not do what it
 * seems to. */
static void warn_of_links(const struct pol_image *img)
{
	struct pol_rule_info rule = {.file = "policy"};
	struct pol_grant g;

	for (size_t i = 0; i < pol_image_grant(img, i, &g); i++) {
		cleanup_free char *root = NULL, *real = NULL;

		if (!g.allows || !g.root_len)
			continue;
		root = strndup(g.root, g.root_len);
		if (!root || !is_of_host(root))
			continue;
		real = realpath(root, NULL);
		if (!real || !strcmp(real, root) || !is_of_host(real) ||
		    !(g.verbs & ~vfs_verbs(real, strlen(real))))
			continue;
		pol_image_rule(img, g.rule, &rule);
		log_warn("%s:%u: %s is %s, which this policy does not grant: rules are about where "
			 "links lead",
			 rule.file, rule.line, root, real);
	}
}

int vfs_init(const struct pol_image *img, struct sbx_err **e)
{
	struct vnode *root;
	int r;

	host_uid = geteuid();
	host_gid = getegid();
	host_umask = umask(0); /* the app starts with it; its calls apply it */
	if (hostproc_init(e))
		return -1;
	r = hostfs_root("/", &root);
	if (!r)
		r = vfs_mount("/", root, fstype_name(root), NULL, NULL);
	if (r)
		return sbx_err_errno(e, -r, "cannot open the host's root directory");
	if (mount_one("/proc", procfs_root, "proc", e) ||
	    mount_one("/sys", sysfs_root, "sysfs", e) ||
	    mount_one("/sys/fs/cgroup", cgroupfs_root, "cgroup2", e) ||
	    mount_one("/dev", devfs_root, "devtmpfs", e))
		return -1;
	if (!img)
		return 0;
	if (mount_scratch(img, e) || mount_grants(img, e))
		return -1;
	warn_of_links(img);
	return 0;
}

/* ---- working directory and umask ---- */

struct fsctx *fsctx_create(const char *cwd, struct sbx_err **e)
{
	cleanup_free struct vpath *v = calloc(1, sizeof(*v));
	cleanup_free struct fsctx *fs = calloc(1, sizeof(*fs));
	int r = -ENOMEM;

	if (v && fs) {
		r = vfs_resolve(NULL, AT_FDCWD, cwd, VFS_DIRECTORY, v);
		if (r == -ENOENT ||
		    r == -EACCES) /* hidden by a scratch: the app starts at the top */
			r = vfs_resolve(NULL, AT_FDCWD, "/", VFS_DIRECTORY, v);
	}
	if (r) {
		sbx_err_errno(e, -r, "working directory %s", cwd);
		return NULL;
	}
	atomic_init(&fs->refs, 1);
	pthread_mutex_init(&fs->lock, NULL);
	fs->cwd = vnode_get(v->node);
	memcpy(fs->cwd_path, v->path, v->path_len + 1);
	fs->umask = host_umask;
	vpath_release(v);
	return steal_ptr(&fs);
}

struct fsctx *fsctx_copy(struct fsctx *from)
{
	struct fsctx *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return NULL;
	atomic_init(&fs->refs, 1);
	pthread_mutex_init(&fs->lock, NULL);
	pthread_mutex_lock(&from->lock);
	fs->cwd = vnode_get(from->cwd);
	memcpy(fs->cwd_path, from->cwd_path, sizeof(fs->cwd_path));
	fs->umask = from->umask;
	if (from->root) {
		fs->root_path = strdup(from->root_path);
		fs->root = fs->root_path ? vnode_get(from->root) : NULL;
		atomic_init(&fs->has_root, true);
	}
	pthread_mutex_unlock(&from->lock);
	if (fs->has_root && !fs->root) {
		fsctx_put(fs);
		return NULL;
	}
	return fs;
}

int fsctx_set_root(struct fsctx *fs, struct vnode *n, const char *path)
{
	char *copy = strdup(path), *old_path;
	struct vnode *old;

	if (!copy)
		return -ENOMEM;
	pthread_mutex_lock(&fs->lock);
	old = fs->root;
	old_path = fs->root_path;
	fs->root = vnode_get(n);
	fs->root_path = copy;
	atomic_store(&fs->has_root, true);
	pthread_mutex_unlock(&fs->lock);
	vnode_put(old);
	free(old_path);
	return 0;
}

bool fsctx_seen_path(struct fsctx *fs, char *path)
{
	bool below = true;
	size_t len;

	if (!atomic_load_explicit(&fs->has_root, memory_order_relaxed))
		return true;
	pthread_mutex_lock(&fs->lock);
	len = strlen(fs->root_path);
	if (len > 1)
		below = !strncmp(path, fs->root_path, len) && (!path[len] || path[len] == '/');
	pthread_mutex_unlock(&fs->lock);
	if (!below || len == 1)
		return below;
	memmove(path, path + len, strlen(path + len) + 1);
	if (!*path)
		strcpy(path, "/");
	return true;
}

struct fsctx *fsctx_get(struct fsctx *fs)
{
	atomic_fetch_add(&fs->refs, 1);
	return fs;
}

void fsctx_put(struct fsctx *fs)
{
	if (!fs || atomic_fetch_sub(&fs->refs, 1) != 1)
		return;
	vnode_put(fs->cwd);
	vnode_put(fs->root);
	free(fs->root_path);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
}

/* ---- opening nodes ---- */

/* What F_GETFL shows of a file opened by name: creation flags and O_CLOEXEC are not part of it. */
static unsigned status_flags(unsigned flags)
{
	if (flags & O_PATH)
		return flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
	return (flags & ~(unsigned)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC)) |
	       KERNEL_O_LARGEFILE;
}

int vfs_file_adopt(struct file *f, struct vnode *n, const char *path)
{
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	if (!f->node)
		f->node = vnode_get(n);
	free(f->path);
	f->path = copy;
	f->flags = status_flags(f->flags);
	if (sandbox.image)
		f->verbs = vfs_verbs(path, strlen(path));
	f->append_only = file_can_write(f) && !(f->verbs & POL_V_WRITE) && f->verbs & POL_V_APPEND;
	return 0;
}

int vfs_open(struct task *t, struct vnode *n, const char *path, unsigned flags, struct file **out)
{
	int r;

	if (!n->ops->open)
		return -EPERM;
	if (!(flags & O_PATH) && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)) {
		r = textbusy_check(n);
		if (r)
			return r;
	}
	r = n->ops->open(t, n, flags & ~(unsigned)(O_CREAT | O_EXCL), out);
	if (r)
		return r;
	r = vfs_file_adopt(*out, n, path);
	if (r) {
		file_put(*out);
		*out = NULL;
		return r;
	}
	notify_file(*out, IN_OPEN);
	if (flags & O_TRUNC)
		notify_file(*out, IN_MODIFY);
	return 0;
}

int vfs_open_program(struct task *t, const struct vpath *v, struct file **out)
{
	int r;

	if (!v->node || v->node->type != S_IFREG)
		return -EACCES;
	r = vfs_access(t, v->node, X_OK);
	return r ? r : vfs_open(t, v->node, v->path, O_RDONLY, out);
}

int vfs_find_exec(struct task *t, const char *path, struct vpath *v)
{
	struct pol_verdict verdict = {.action = POL_ALLOW};
	int r = vfs_resolve(t, AT_FDCWD, path, 0, v);

	if (r || !sandbox.image)
		return r;
	vfs_judge(v->path, v->path_len, POL_V_EXEC, &verdict);
	auditx_exec(t, v->path, path, NULL, &verdict);
	if (verdict.action == POL_ALLOW)
		return 0;
	vpath_release(v);
	return verdict.action == POL_DENY ? -(int)verdict.value : -EACCES;
}

int vfs_open_exec(struct task *t, const char *path, struct file **out)
{
	cleanup_free struct vpath *v = calloc(1, sizeof(*v));
	int r = v ? vfs_find_exec(t, path, v) : -ENOMEM;

	if (r)
		return r;
	r = vfs_open_program(t, v, out);
	vpath_release(v);
	return r;
}
