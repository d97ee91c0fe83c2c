/* What a program changed in an overlay, as a tar archive: new and changed files, links, folders; for a
 * name that is gone an empty file .wh.NAME, and .wh..wh..opq in a new folder where the host has another
 * one, as the layers of container images have them. Written when the sandbox has ended, to a descriptor
 * from before it was confined. */
#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/cleanup.h"
#include "sentry/tmpfs.h"

#define BLOCK	   512u
#define FIELD_MAX  077777777777ull /* what eleven octal digits hold */
#define CHUNK	   (64u * 1024)

struct archive {
	int fd;
	int err; /* the first -errno */
	bool left_out; /* something has a path that nobody could unpack */
};

struct tar_header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};

_Static_assert(sizeof(struct tar_header) == BLOCK, "the format's size");

/* ---- the format ---- */

static void put(struct archive *a, const void *data, size_t n)
{
	const char *p = data;

	while (n && !a->err) {
		ssize_t k = write(a->fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			a->err = k < 0 ? -errno : -EIO;
			return;
		}
		p += k;
		n -= (size_t)k;
	}
}

static void put_padding(struct archive *a, uint64_t size)
{
	static const char zero[BLOCK];

	put(a, zero, (size_t)(-size % BLOCK));
}

static void put_header(struct archive *a, struct tar_header *h)
{
	unsigned sum = 0;

	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->sum, ' ', sizeof(h->sum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += ((const unsigned char *)h)[i];
	snprintf(h->sum, sizeof(h->sum), "%06o", sum);
	put(a, h, sizeof(*h));
}

/* One record of an extended header: its length counts its own digits. */
static void record(struct buf *b, const char *key, const char *value)
{
	size_t body = strlen(key) + strlen(value) + 3, len = body + 1;

	while ((size_t)snprintf(NULL, 0, "%zu", len) + body > len)
		len++;
	buf_printf(b, "%zu %s=%s\n", len, key, value);
}

static void octal(char *field, size_t size, uint64_t v)
{
	field[--size] = '\0';
	while (size) {
		field[--size] = (char)('0' + (v & 7));
		v >>= 3;
	}
}

/* What a plain header has no room for goes into an extended one before it. */
static void put_extended(struct archive *a, const char *path, const char *link, uint64_t size)
{
	struct tar_header h = {.type = 'x', .name = "./PaxHeaders/long"};
	struct buf b = BUF_INIT;
	char number[24];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)size);
	if (strlen(path) >= sizeof(h.name))
		record(&b, "path", path);
	if (strlen(link) >= sizeof(h.link))
		record(&b, "linkpath", link);
	if (size > FIELD_MAX)
		record(&b, "size", number);
	if (b.len) {
		octal(h.mode, sizeof(h.mode), 0644);
		octal(h.size, sizeof(h.size), b.len);
		put_header(a, &h);
		put(a, b.data, b.len);
		put_padding(a, b.len);
	}
	buf_free(&b);
}

/* n NULL: a mark of sbx's own. */
static void put_entry(struct archive *a, const struct tnode *n, char type, const char *path,
		      const char *link, uint64_t size)
{
	struct tar_header h = {.type = type};
	const uint32_t id_max = 07777777;

	put_extended(a, path, link, size);
	memcpy(h.name, path, strnlen(path, sizeof(h.name)));
	memcpy(h.link, link, strnlen(link, sizeof(h.link)));
	octal(h.mode, sizeof(h.mode), n ? n->perm : 0);
	octal(h.uid, sizeof(h.uid), n && n->uid <= id_max ? n->uid : 0);
	octal(h.gid, sizeof(h.gid), n && n->gid <= id_max ? n->gid : 0);
	octal(h.size, sizeof(h.size), size <= FIELD_MAX ? size : 0);
	octal(h.mtime, sizeof(h.mtime),
	      n && n->mtime.tv_sec > 0 ? (uint64_t)n->mtime.tv_sec & FIELD_MAX : 0);
	put_header(a, &h);
}

static void put_mark(struct archive *a, const char *dir, const char *prefix, const char *name)
{
	struct buf path = BUF_INIT;

	buf_printf(&path, "%s/%s%s", dir, prefix, name);
	if (path.data)
		put_entry(a, NULL, '0', path.data, "", 0);
	buf_free(&path);
}

/* ---- nodes ---- */

/* Exactly size bytes, zeros where fd has fewer. */
static void put_contents(struct archive *a, int fd, uint64_t size)
{
	cleanup_free char *buf = calloc(1, CHUNK);
	uint64_t done = 0;

	if (!buf)
		a->err = -ENOMEM;
	while (buf && done < size && !a->err) {
		size_t want = (size_t)MIN(size - done, (uint64_t)CHUNK);
		ssize_t k = fd < 0 ? 0 : pread(fd, buf, want, (off_t)done);

		if (k < (ssize_t)want)
			memset(buf + MAX(k, 0), 0, want - (size_t)MAX(k, 0));
		put(a, buf, want);
		done += want;
	}
	put_padding(a, size);
}

static void save_file(struct archive *a, struct tnode *n, const char *path)
{
	cleanup_close int host = -1;
	uint64_t size, blocks;

	if (n->saved) { /* another name of it came before */
		put_entry(a, n, '1', path, n->saved, 0);
		return;
	}
	if (n->data.host) {
		host = tmpfs_lower_host(n);
		a->err = host < 0 ? host : a->err;
	}
	tmpfs_data_sync(n, &size, &blocks);
	put_entry(a, n, '0', path, "", size);
	if (n->data.parked) {
		put(a, n->data.parked, size);
		put_padding(a, size);
	} else {
		put_contents(a, n->data.host ? host : n->data.memfd, size);
	}
	if (n->nlink > 1)
		n->saved = strdup(path);
}

static void save_node(struct archive *a, struct tnode *n, const char *path)
{
	switch (n->vn.type) {
	case S_IFREG:
		save_file(a, n, path);
		break;
	case S_IFDIR:
		put_entry(a, n, '5', path, "", 0);
		break;
	case S_IFLNK:
		put_entry(a, n, '2', path, n->target, 0);
		break;
	case S_IFIFO:
		put_entry(a, n, '6', path, "", 0);
		break;
	}
}

static bool changed(const struct tnode *n)
{
	return n->dirty || (n->vn.type == S_IFREG && !n->data.host);
}

/* ---- trees ---- */

static void save_dir(struct archive *a, struct tnode *dir, const char *path, bool home);

/* An entry that is not where, or what, the host has. */
static void save_entry(struct archive *a, struct tentry *e, const char *path, bool home)
{
	struct tnode *n = e->node;
	bool same = home && e->host;

	if (!same || changed(n))
		save_node(a, n, path);
	if (n->vn.type == S_IFDIR && home && e->covers)
		put_mark(a, path, ".wh.", ".wh..opq");
	if (n->vn.type == S_IFDIR)
		save_dir(a, n, path, same);
}

/* The names that are gone. */
static void save_gone(struct archive *a, struct tnode *dir, const char *path)
{
	for (const struct tentry *g = dir->dir.gone; g; g = g->next) {
		const struct tentry *now = tmpfs_dir_find(dir, g->name);
		struct buf sub = BUF_INIT;

		if (!now) {
			put_mark(a, path, ".wh.", g->name);
		} else if (!now->host && now->node->vn.type == S_IFDIR) {
			buf_printf(&sub, "%s/%s", path, g->name);
			if (sub.data)
				put_mark(a, sub.data, ".wh.", ".wh..opq");
		}
		buf_free(&sub);
	}
}

/* home: dir is where the host has it, so what was not looked at needs no saving. Elsewhere all that is
 * below it does. By moving folders into others a program can make a tree of any depth: what has a longer
 * path than a host takes is left out, which bounds the recursion. */
static void save_dir(struct archive *a, struct tnode *dir, const char *path, bool home)
{
	if (!home && !a->err)
		a->err = tmpfs_lower_list(dir);
	for (uint32_t i = 0; i < dir->dir.nr_slots && !a->err; i++) {
		struct tentry *e = dir->dir.slots[i].entry, *found;
		struct buf sub = BUF_INIT;

		if (!e || (e->node->raw && home && e->host))
			continue;
		if (tmpfs_find(dir, e->name, &found) || found != e)
			continue; /* gone from the host meanwhile */
		buf_printf(&sub, "%s/%s", path, e->name);
		if (sub.len >= PATH_MAX)
			a->left_out = true;
		else if (sub.data)
			save_entry(a, e, sub.data, home);
		buf_free(&sub);
	}
	if (home)
		save_gone(a, dir, path);
}

int tmpfs_save(struct vnode *root, const char *path, int fd)
{
	struct tnode *top = tnode_of(root);
	struct archive a = {.fd = fd};

	while (*path == '/')
		path++;
	pthread_mutex_lock(&top->fs->lock);
	if (top->dirty)
		save_node(&a, top, path);
	save_dir(&a, top, path, true);
	pthread_mutex_unlock(&top->fs->lock);
	return a.err ? a.err : a.left_out ? -ENAMETOOLONG : 0;
}

int tmpfs_save_end(int fd)
{
	static const char zero[2 * BLOCK];
	struct archive a = {.fd = fd};

	put(&a, zero, sizeof(zero));
	return a.err;
}
