/* list.h - a doubly linked list whose nodes live in the things listed.
 *
 * Invariant: a node is on a list, or points to itself.
 */
#ifndef SOQ__LIST_H
#define SOQ__LIST_H

#include <stdbool.h>
#include "base/util.h"

struct soq__list {
	struct soq__list *next;
	struct soq__list *prev;
};

/* Make an empty list, or a node on no list. */
static inline void soq__list_init(struct soq__list *node)
{
	node->next = node->prev = node;
}

static inline bool soq__list_empty(const struct soq__list *list)
{
	return list->next == list;
}

static inline void soq__list_append(struct soq__list *list, struct soq__list *node)
{
	node->prev = list->prev;
	node->next = list;
	list->prev->next = node;
	list->prev = node;
}

static inline void soq__list_prepend(struct soq__list *list, struct soq__list *node)
{
	soq__list_append(list->next, node);
}

/* Take a node off its list; nothing happens if it is on none. */
static inline void soq__list_remove(struct soq__list *node)
{
	node->next->prev = node->prev;
	node->prev->next = node->next;
	soq__list_init(node);
}

/* The first node, taken off, or NULL. */
static inline struct soq__list *soq__list_pop(struct soq__list *list)
{
	struct soq__list *node = list->next;

	if (node == list)
		return NULL;
	/* clang's analyzer loses track of links: it takes a freed node for still linked. */
	soq__list_remove(node); /* NOLINT(clang-analyzer-unix.Malloc) */
	return node;
}

/* Each node in order; the body may remove the node it is at. */
#define soq__list_for_each(node, list)                                              \
	for (struct soq__list *node = (list)->next, *soq__next_##node = node->next; \
		node != (list); node = soq__next_##node, soq__next_##node = node->next)

#endif
