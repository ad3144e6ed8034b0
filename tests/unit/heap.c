/* heap.c - timers fall due by instant, then by insertion; against a model that is a plain
 * array searched from end to end.
 */
#include "test.h"
#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

#define TIMERS 200

/* The model: what is in the heap, and the order in which it was put there. */
struct model {
	bool in[TIMERS];
	int64_t at_ns[TIMERS];
	uint64_t sequence[TIMERS];
	uint64_t next;
	size_t count;
};

static uint64_t draw(uint64_t *state)
{
	/* Marsaglia's xorshift64. */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void model_set(struct model *m, size_t i, int64_t at_ns)
{
	m->count += !m->in[i];
	m->in[i] = true;
	m->at_ns[i] = at_ns;
	m->sequence[i] = m->next++;
}

static void model_remove(struct model *m, size_t i)
{
	m->count -= m->in[i];
	m->in[i] = false;
}

static bool is_before(const struct model *m, size_t a, size_t b)
{
	return m->at_ns[a] != m->at_ns[b] ? m->at_ns[a] < m->at_ns[b]
					  : m->sequence[a] < m->sequence[b];
}

/* @return the first, or TIMERS when there is none */
static size_t model_first(const struct model *m)
{
	size_t first = TIMERS;

	for (size_t i = 0; i < TIMERS; i++)
		if (m->in[i] && (first == TIMERS || is_before(m, i, first)))
			first = i;
	return first;
}

static void check_invariant(const struct soq__heap *h, const struct model *m)
{
	CHECK_EQ(h->count, m->count);
	for (size_t i = 0; i < h->count; i++)
		CHECK_EQ(h->slots[i].timer->index, i);
	CHECK_EQ(soq__heap_first_ns(h), m->count ? m->at_ns[model_first(m)] : INT64_MAX);
}

static void check_pop(
	struct soq__heap *h, struct soq__timer *timers, struct model *m, int64_t now_ns)
{
	struct soq__timer *got = soq__heap_pop_due(h, now_ns);
	size_t want = model_first(m);

	if (want == TIMERS || m->at_ns[want] > now_ns) {
		CHECK(got == NULL);
		return;
	}
	CHECK(got != NULL);
	CHECK_EQ(got - timers, want);
	CHECK(!soq__timer_armed(got));
	model_remove(m, want);
}

TEST(heap_random_against_model)
{
	static struct soq__timer timers[TIMERS];
	static struct model m;
	struct soq__heap h = { 0 };
	uint64_t state = 20260731;

	CHECK_OK(soq__heap_reserve(&h, TIMERS));
	for (size_t i = 0; i < TIMERS; i++)
		soq__timer_init(&timers[i]);
	for (unsigned step = 0; step < test_scale(100000); step++) {
		size_t i = draw(&state) % TIMERS;
		int64_t at_ns = (int64_t)(draw(&state) % 64); /* many ties */

		ROW("seed 20260731, step %u", step);
		switch (draw(&state) % 4) {
		case 0:
			soq__heap_remove(&h, &timers[i]);
			model_remove(&m, i);
			break;
		case 1:
			check_pop(&h, timers, &m, at_ns);
			break;
		default: /* a new one, or one moved */
			soq__heap_set(&h, &timers[i], at_ns);
			model_set(&m, i, at_ns);
			CHECK_EQ(soq__heap_at(&h, &timers[i]), at_ns);
		}
		if (step % 16 == 0)
			check_invariant(&h, &m);
	}
	while (m.count > 0)
		check_pop(&h, timers, &m, INT64_MAX);
	CHECK(soq__heap_pop_due(&h, INT64_MAX) == NULL);
	soq__heap_done(&h);
}

TEST(heap_ties_in_insertion_order)
{
	struct soq__timer timers[50];
	struct soq__heap h = { 0 };

	CHECK_OK(soq__heap_reserve(&h, 50));
	for (size_t i = 0; i < 50; i++) {
		soq__timer_init(&timers[i]);
		soq__heap_set(&h, &timers[i], 7);
	}
	soq__heap_set(&h, &timers[20], 7); /* set again: it goes behind the others */
	CHECK(soq__heap_pop_due(&h, 6) == NULL);
	for (size_t i = 0; i < 49; i++) {
		ROW("%zu", i);
		CHECK_EQ(soq__heap_pop_due(&h, 7) - timers, i < 20 ? i : i + 1);
	}
	CHECK_EQ(soq__heap_pop_due(&h, 7) - timers, 20);
	soq__heap_done(&h);
}

TEST(heap_reserve_keeps_timers)
{
	struct soq__timer timers[1000];
	struct soq__heap h = { 0 };

	for (size_t i = 0; i < 1000; i++) {
		soq__timer_init(&timers[i]);
		CHECK_OK(soq__heap_reserve(&h, i + 1));
		soq__heap_set(&h, &timers[i], 1000 - (int64_t)i);
	}
	for (size_t i = 1000; i-- > 0;)
		CHECK_EQ(soq__heap_pop_due(&h, INT64_MAX) - timers, i);
	soq__heap_done(&h);
	CHECK_EQ(h.capacity, 0);
}

TEST(heap_remove_idle)
{
	struct soq__timer t;
	struct soq__heap h = { 0 };

	soq__timer_init(&t);
	soq__heap_remove(&h, &t);
	CHECK(!soq__timer_armed(&t));
	CHECK_EQ(soq__heap_first_ns(&h), INT64_MAX);
}
