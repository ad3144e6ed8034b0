/* stack.h - the stacks that fibers run on.
 *
 * Cut from slabs, reserved large and touched little. The lowest page of each is a guard:
 * a fiber that overflows faults there instead of writing into its neighbour.
 *
 * Invariant: a stack is in use, or on its class's warm or cold list.
 */
#ifndef SOQ__STACK_H
#define SOQ__STACK_H

#include <stdbool.h>
#include <stddef.h>
#include "base/list.h"

#define SOQ__STACK_DEFAULT ((size_t)256 * 1024)
#define SOQ__STACK_LEAST   ((size_t)32 * 1024)
#define SOQ__STACK_MOST	   ((size_t)1 << 30)

struct soq__stack_class;

struct soq__stack {
	struct soq__list node;
	struct soq__stack_class *class;
	char *low;  /* the lowest usable byte; the guard page lies beneath it */
	char *high; /* one past the highest */
	unsigned valgrind_id;
};

struct soq__stack_pool {
	struct soq__list classes; /* one a stack size in use */
	bool keeps;		  /* abandoned stacks, for a leak checker: it is never freed */
};

void soq__stack_pool_init(struct soq__stack_pool *pool);
/* Give all memory back. No stack of the pool may be in use. */
void soq__stack_pool_done(struct soq__stack_pool *pool);

/* A stack of @size bytes, the guard page included, or NULL: no memory, or (before Linux
 * 6.13) vm.max_map_count reached. */
struct soq__stack *soq__stack_get(struct soq__stack_pool *pool, size_t size);
void soq__stack_put(struct soq__stack *stack);
/* The same for a stack whose fiber has not ended and never will. */
void soq__stack_abandon(struct soq__stack *stack);

size_t soq__page_size(void);

#endif
