/* heap.h - timers in the order in which they fall due.
 *
 * A 4-ary heap: shallower than a binary one, and the four children share a cache line.
 * Ties fall due in the order of insertion, so that a run can be repeated.
 *
 * Invariant: heap.slots[t->index].timer == t for each timer t in the heap.
 */
#ifndef SOQ__HEAP_H
#define SOQ__HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOQ__TIMER_IDLE SIZE_MAX

struct soq__timer {
	size_t index; /* in the heap; SOQ__TIMER_IDLE when not in it */
};

struct soq__heap_slot {
	int64_t at_ns;
	uint64_t sequence;
	struct soq__timer *timer;
};

struct soq__heap {
	struct soq__heap_slot *slots;
	size_t count;
	size_t capacity;
	uint64_t sequence;
};

static inline void soq__timer_init(struct soq__timer *t)
{
	t->index = SOQ__TIMER_IDLE;
}

static inline bool soq__timer_armed(const struct soq__timer *t)
{
	return t->index != SOQ__TIMER_IDLE;
}

/* The instant a timer in the heap is set to. */
static inline int64_t soq__heap_at(const struct soq__heap *h, const struct soq__timer *t)
{
	return h->slots[t->index].at_ns;
}

/* When the first timer falls due; INT64_MAX for an empty heap. */
static inline int64_t soq__heap_first_ns(const struct soq__heap *h)
{
	return h->count ? h->slots[0].at_ns : INT64_MAX;
}

/* Make room for @count timers in all. @return 0, -ENOMEM */
int soq__heap_reserve(struct soq__heap *h, size_t count);

/* Put a timer in, or move it. Room must have been reserved if it is not in. */
void soq__heap_set(struct soq__heap *h, struct soq__timer *t, int64_t at_ns);

/* Take a timer out; nothing happens if it is not in. */
void soq__heap_remove(struct soq__heap *h, struct soq__timer *t);

/* Take out and return the first timer if it is due at @now_ns, else NULL. */
struct soq__timer *soq__heap_pop_due(struct soq__heap *h, int64_t now_ns);

void soq__heap_done(struct soq__heap *h);

#endif
