/* Bump allocator: many small objects, freed together. */
#ifndef SBX_BASE_ARENA_H
#define SBX_BASE_ARENA_H

#include <stddef.h>

struct arena {
	struct arena_block *head;
};

/* Zeroed storage aligned for any object; NULL when memory is out. Lives until arena_free. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a);

#define arena_new(a, type) ((type *)arena_alloc(a, sizeof(type)))

#endif
