/* Intrusive doubly linked list. A head is an initialised node; an unlinked node points to itself. */
#ifndef SBX_BASE_LIST_H
#define SBX_BASE_LIST_H

#include <stdbool.h>
#include "base/overflow.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name)                                                                            \
	{                                                                                          \
		&(name), &(name)                                                                   \
	}

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Links n in before at; with at the head, that appends. */
static inline void list_add_before(struct list *at, struct list *n)
{
	n->next = at;
	n->prev = at->prev;
	at->prev->next = n;
	at->prev = n;
}

static inline void list_append(struct list *head, struct list *n)
{
	list_add_before(head, n);
}

static inline void list_prepend(struct list *head, struct list *n)
{
	list_add_before(head->next, n);
}

/* Unlinks n and leaves it initialised; unlinking twice is harmless. */
static inline void list_del(struct list *n)
{
	n->next->prev = n->prev;
	n->prev->next = n->next;
	list_init(n);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)

#define list_for_each(pos, head, member)                                                           \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head);     \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* As list_for_each, but pos may be unlinked and freed in the body. */
#define list_for_each_safe(pos, tmp, head, member)                                                 \
	for (pos = list_entry((head)->next, __typeof__(*pos), member),                             \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member);                          \
	     &pos->member != (head);                                                               \
	     pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))

#endif
