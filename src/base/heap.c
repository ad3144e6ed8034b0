/* heap.c - see heap.h. */
#include "base/heap.h"
#include <errno.h>
#include <stdlib.h>

#define CHILDREN 4

static bool before(const struct soq__heap_slot *a, const struct soq__heap_slot *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

static void place(struct soq__heap *h, size_t index, struct soq__heap_slot slot)
{
	h->slots[index] = slot;
	slot.timer->index = index;
}

static void sift_up(struct soq__heap *h, size_t index, struct soq__heap_slot slot)
{
	while (index > 0) {
		size_t parent = (index - 1) / CHILDREN;

		if (!before(&slot, &h->slots[parent]))
			break;
		place(h, index, h->slots[parent]);
		index = parent;
	}
	place(h, index, slot);
}

static void sift_down(struct soq__heap *h, size_t index, struct soq__heap_slot slot)
{
	for (;;) {
		size_t first = index * CHILDREN + 1, least = first;

		if (first >= h->count)
			break;
		for (size_t i = first + 1; i < first + CHILDREN && i < h->count; i++)
			if (before(&h->slots[i], &h->slots[least]))
				least = i;
		if (!before(&h->slots[least], &slot))
			break;
		place(h, index, h->slots[least]);
		index = least;
	}
	place(h, index, slot);
}

int soq__heap_reserve(struct soq__heap *h, size_t count)
{
	size_t capacity = h->capacity ? h->capacity : 64;
	struct soq__heap_slot *slots;

	if (count <= h->capacity)
		return 0;
	while (capacity < count)
		capacity *= 2;
	slots = realloc(h->slots, capacity * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	h->slots = slots;
	h->capacity = capacity;
	return 0;
}

void soq__heap_set(struct soq__heap *h, struct soq__timer *t, int64_t at_ns)
{
	struct soq__heap_slot slot = { at_ns, h->sequence++, t };

	soq__heap_remove(h, t);
	sift_up(h, h->count++, slot);
}

void soq__heap_remove(struct soq__heap *h, struct soq__timer *t)
{
	size_t index = t->index;
	struct soq__heap_slot last;

	if (index == SOQ__TIMER_IDLE)
		return;
	t->index = SOQ__TIMER_IDLE;
	last = h->slots[--h->count];
	if (index == h->count)
		return;
	/* The last one may belong above or below the hole. */
	if (index > 0 && before(&last, &h->slots[(index - 1) / CHILDREN]))
		sift_up(h, index, last);
	else
		sift_down(h, index, last);
}

struct soq__timer *soq__heap_pop_due(struct soq__heap *h, int64_t now_ns)
{
	struct soq__timer *t;

	if (!h->count || h->slots[0].at_ns > now_ns)
		return NULL;
	t = h->slots[0].timer;
	soq__heap_remove(h, t);
	return t;
}

void soq__heap_done(struct soq__heap *h)
{
	free(h->slots);
	*h = (struct soq__heap){ 0 };
}
