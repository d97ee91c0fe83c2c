/* Directories of the in-memory file system: a hash table for names, and a slot array that gives every
 * name a place which does not move while it exists, so getdents offsets are stable. */
#include "sentry/dirent.h"
#include "sentry/tmpfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define NO_SLOT	    UINT32_MAX
#define FIRST_SLOT  2 /* offsets 0 and 1 are "." and ".." */
#define SLOTS_MAX   (1u << 30)
#define MIN_BUCKETS 8u

static uint32_t name_hash(const struct tmpfs *fs, const char *name)
{
	uint64_t h = fs->seed;

	for (; *name; name++) {
		h ^= (unsigned char)*name;
		h *= 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return (uint32_t)(h ^ h >> 32);
}

struct tentry *tmpfs_dir_find(struct tnode *dir, const char *name)
{
	struct tdir *d = &dir->dir;
	uint32_t hash = name_hash(dir->fs, name);
	struct tentry *e;

	if (!d->nr_buckets)
		return NULL;
	for (e = d->buckets[hash & (d->nr_buckets - 1)]; e; e = e->next)
		if (e->hash == hash && !strcmp(e->name, name))
			return e;
	return NULL;
}

static int grow_buckets(struct tdir *d)
{
	uint32_t n = d->nr_buckets ? d->nr_buckets * 2 : MIN_BUCKETS;
	struct tentry **b, *e, *next;

	if (d->count < d->nr_buckets)
		return 0;
	b = calloc(n, sizeof(struct tentry *));
	if (!b)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->nr_buckets; i++) {
		for (e = d->buckets[i]; e; e = next) {
			next = e->next;
			e->next = b[e->hash & (n - 1)];
			b[e->hash & (n - 1)] = e;
		}
	}
	free(d->buckets);
	d->buckets = b;
	d->nr_buckets = n;
	return 0;
}

static int take_slot(struct tdir *d, struct tentry *e)
{
	uint32_t cap;
	struct tslot *s;

	if (d->free_slot != NO_SLOT) {
		e->slot = d->free_slot;
		d->free_slot = d->slots[e->slot].next_free;
		d->slots[e->slot].entry = e;
		return 0;
	}
	if (d->nr_slots == d->cap_slots) {
		if (d->cap_slots >= SLOTS_MAX)
			return -ENOSPC;
		cap = d->cap_slots ? d->cap_slots * 2 : MIN_BUCKETS;
		s = realloc(d->slots, cap * sizeof(*s));
		if (!s)
			return -ENOMEM;
		d->slots = s;
		d->cap_slots = cap;
	}
	e->slot = d->nr_slots++;
	d->slots[e->slot].entry = e;
	return 0;
}

int tmpfs_dir_add(struct tnode *dir, const char *name, struct tnode *node)
{
	struct tdir *d = &dir->dir;
	size_t len = strlen(name);
	struct tentry *e;
	int r;

	r = tmpfs_charge(dir->fs, TMPFS_ENTRY_COST);
	if (r)
		return r;
	e = malloc(sizeof(*e) + len + 1);
	r = -ENOMEM;
	if (!e)
		goto fail;
	memcpy(e->name, name, len + 1);
	e->hash = name_hash(dir->fs, name);
	e->dir = dir;
	e->host = e->covers = false;
	e->node = node;
	r = grow_buckets(d);
	if (!r)
		r = take_slot(d, e);
	if (r)
		goto fail;
	e->next = d->buckets[e->hash & (d->nr_buckets - 1)];
	d->buckets[e->hash & (d->nr_buckets - 1)] = e;
	d->count++;
	node->entry = e;
	if (S_ISDIR(node->vn.type)) {
		node->dir.parent = dir;
		d->subdirs++;
	}
	return 0;
fail:
	free(e);
	tmpfs_uncharge(dir->fs, TMPFS_ENTRY_COST);
	return r;
}

static void drop_tables(struct tdir *d)
{
	free(d->buckets);
	free(d->slots);
	d->buckets = NULL;
	d->slots = NULL;
	d->nr_buckets = d->nr_slots = d->cap_slots = 0;
	d->free_slot = NO_SLOT;
}

void tmpfs_dir_del(struct tentry *entry)
{
	struct tnode *dir = entry->dir;
	struct tdir *d = &dir->dir;
	struct tentry **p = &d->buckets[entry->hash & (d->nr_buckets - 1)];

	while (*p != entry)
		p = &(*p)->next;
	*p = entry->next;
	d->slots[entry->slot].entry = NULL;
	d->slots[entry->slot].next_free = d->free_slot;
	d->free_slot = entry->slot;
	d->count--;
	if (S_ISDIR(entry->node->vn.type)) {
		entry->node->dir.parent = NULL;
		d->subdirs--;
	}
	if (entry->node->entry == entry)
		entry->node->entry = NULL;
	if (entry->host || entry->covers) {
		entry->node = NULL;
		entry->next = d->gone;
		d->gone = entry;
	} else {
		free(entry);
		tmpfs_uncharge(dir->fs, TMPFS_ENTRY_COST);
	}
	if (!d->count)
		drop_tables(d);
}

void tmpfs_dir_free(struct tnode *dir)
{
	struct tdir *d = &dir->dir;

	for (uint32_t i = 0; i < d->nr_slots; i++) {
		struct tentry *e = d->slots[i].entry;

		if (!e)
			continue;
		if (S_ISDIR(e->node->vn.type))
			e->node->dir.parent = NULL;
		e->node->entry = NULL;
		vnode_put(&e->node->vn);
		free(e);
		tmpfs_uncharge(dir->fs, TMPFS_ENTRY_COST);
	}
	drop_tables(d);
	while (d->gone) {
		struct tentry *e = d->gone;

		d->gone = e->next;
		free(e);
		tmpfs_uncharge(dir->fs, TMPFS_ENTRY_COST);
	}
}

/* ---- open directories: priv is the node, pos the next offset ---- */

static bool emit_entry(struct dirent_sink *sink, const struct tentry *e, uint32_t slot)
{
	return dirent_emit(sink, e->node->vn.ino, (int64_t)slot + FIRST_SLOT + 1,
			   (unsigned char)IFTODT(e->node->vn.type), e->name);
}

static int dir_getdents(struct task *t, struct file *f, struct dirent_sink *sink)
{
	struct tnode *n = f->priv;
	struct tdir *d = &n->dir;
	struct tnode *up;
	int r;

	pthread_mutex_lock(&f->lock);
	pthread_mutex_lock(&n->fs->lock);
	up = d->parent ? d->parent : n;
	r = n->nlink ? tmpfs_lower_list(n) : -ENOENT; /* removed */
	if (!r && f->pos == 0 && dirent_emit(sink, n->vn.ino, 1, DT_DIR, "."))
		f->pos = 1;
	if (!r && f->pos == 1 && dirent_emit(sink, up->vn.ino, FIRST_SLOT, DT_DIR, ".."))
		f->pos = FIRST_SLOT;
	if (f->pos >= FIRST_SLOT && f->pos - FIRST_SLOT < d->nr_slots) {
		for (uint32_t i = (uint32_t)(f->pos - FIRST_SLOT); i < d->nr_slots; i++) {
			if (d->slots[i].entry && !emit_entry(sink, d->slots[i].entry, i))
				break;
			f->pos = (off_t)i + FIRST_SLOT + 1;
		}
	}
	n->atime = tmpfs_now();
	pthread_mutex_unlock(&n->fs->lock);
	pthread_mutex_unlock(&f->lock);
	return r;
}

static int dir_fstat(struct task *t, struct file *f, struct statx *st)
{
	struct tnode *n = f->priv;

	return tmpfs_getattr(t, &n->vn, st);
}

static void dir_release(struct file *f)
{
	struct tnode *n = f->priv;

	vnode_put(&n->vn);
}

static const struct file_ops dir_file_ops = {
	.read = dirfile_io,
	.write = dirfile_io,
	.seek = dirfile_seek,
	.getdents = dir_getdents,
	.fstat = dir_fstat,
	.release = dir_release,
};

int tmpfs_dir_open(struct tnode *dir, unsigned flags, struct file **out)
{
	struct file *f;

	if ((flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
		return -EISDIR;
	f = file_new(&dir_file_ops, -1, flags, POL_FD_DIR);
	if (!f)
		return -ENOMEM;
	f->priv = dir;
	vnode_get(&dir->vn);
	*out = f;
	return 0;
}
