/* link_queue.c - what waits for a link's rate; CoDel.
 *
 * A token bucket: tokens come at the link's rate up to the burst, a packet takes as many as it
 * has bytes, and leaves when they are there. Tokens are counted in billionths of a byte, of
 * which a rate of R bytes a second brings R in a nanosecond: so the arithmetic is exact.
 *
 * CoDel looks at how long a packet has waited when it might leave. When all have waited for
 * longer than the target during an interval, it drops one, and the next ones at intervals
 * that shrink with the square root of how many it has dropped.
 *
 * Invariant: while packets wait, the event is set to the first instant at which the first one
 * may leave.
 * Source: RFC 8289 section 5 (CoDel's pseudocode, whose names are kept); tc-tbf(8).
 */
#include "sim/link.h"
#include <stdlib.h>

#define NANO	    UINT64_C(1000000000)
#define TARGET_NS   (5 * SOQ_MS)
#define INTERVAL_NS (100 * SOQ_MS)

struct waiting {
	struct soq__sim_packet *packet;
	int64_t since_ns;
};

struct codel {
	int64_t first_above_time_ns; /* 0: not above the target */
	int64_t drop_next_ns;
	uint32_t count, lastcount;
	bool dropping;
};

struct soq__sim_queue {
	struct soq__sim_link_state *state;
	struct soq__sim_event departure;
	uint64_t tokens; /* billionths of a byte */
	int64_t at_ns;	 /* when there were so many */
	struct waiting *ring;
	size_t first, count, capacity; /* a power of two */
	uint64_t bytes;
	/* CoDel has let the first one pass already: it waits for tokens only. */
	bool picked;
	struct codel codel;
};

/* ---- the ring ---- */

static struct waiting *first_of(struct soq__sim_queue *q)
{
	return &q->ring[q->first];
}

static void ring_put(struct soq__sim_queue *q, struct soq__sim_packet *p)
{
	if (q->count == q->capacity) {
		size_t capacity = q->capacity ? 2 * q->capacity : 16;
		struct waiting *ring = soq__sim_alloc(capacity * sizeof(*ring));

		for (size_t i = 0; i < q->count; i++)
			ring[i] = q->ring[(q->first + i) & (q->capacity - 1)];
		free(q->ring);
		q->ring = ring;
		q->first = 0;
		q->capacity = capacity;
	}
	q->ring[(q->first + q->count++) & (q->capacity - 1)] =
		(struct waiting){ p, q->state->from->sim->now_ns };
	q->bytes += soq__sim_packet_bytes(p);
}

static struct soq__sim_packet *ring_take(struct soq__sim_queue *q)
{
	struct soq__sim_packet *p = first_of(q)->packet;

	q->first = (q->first + 1) & (q->capacity - 1);
	q->count--;
	q->bytes -= soq__sim_packet_bytes(p);
	return p;
}

/* ---- tokens ---- */

/* What the bucket holds when full: a packet larger than the burst still gets through. */
static uint64_t depth(const struct soq__sim_queue *q, size_t bytes)
{
	uint64_t burst = q->state->opt->burst_bytes;

	return (burst > bytes ? burst : bytes) * NANO;
}

/* Count the tokens that have come until now. The bucket overflows only while no packet waits:
 * one that does takes them as soon as they suffice, and leaves the next one the fraction of a
 * nanosecond's tokens that was too much. Without a limit, there are always enough. */
static void refill(struct soq__sim_queue *q, size_t bytes)
{
	int64_t now_ns = q->state->from->sim->now_ns;
	uint64_t rate = soq__sim_link_rate(q->state), elapsed = (uint64_t)(now_ns - q->at_ns);
	uint64_t most = q->count > 0 && rate ? UINT64_MAX : depth(q, bytes);
	unsigned __int128 tokens = (unsigned __int128)rate * elapsed + q->tokens;

	q->tokens = rate && tokens < most ? (uint64_t)tokens : most;
	q->at_ns = now_ns;
}

/* How long until the bucket has what a packet needs; 0: it has. */
static int64_t wait_ns(struct soq__sim_queue *q, size_t bytes)
{
	uint64_t rate = soq__sim_link_rate(q->state), need = bytes * NANO;

	if (!rate)
		return 0;
	refill(q, bytes);
	return q->tokens >= need ? 0 : (int64_t)((need - q->tokens + rate - 1) / rate);
}

/* ---- CoDel ---- */

static uint64_t square_root(uint64_t n)
{
	uint64_t root = 0;

	for (uint64_t bit = (uint64_t)1 << 62; bit; bit >>= 2) {
		if (n >= root + bit) {
			n -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	return root;
}

static int64_t control_law(int64_t t_ns, uint32_t count)
{
	/* The root of 2^32 times the count has 16 bits of fraction. */
	return t_ns +
		(int64_t)(((uint64_t)INTERVAL_NS << 16) / square_root((uint64_t)count << 32));
}

/* Whether the first packet, about to leave, might be dropped. */
static bool ok_to_drop(struct soq__sim_queue *q, int64_t now_ns)
{
	struct codel *c = &q->codel;

	const struct waiting *first = first_of(q);
	uint64_t rest = q->bytes - soq__sim_packet_bytes(first->packet);

	/* With no more than a packet behind it, it stands in no standing queue. */
	if (now_ns - first->since_ns < TARGET_NS || rest <= q->state->opt->mtu) {
		c->first_above_time_ns = 0;
		return false;
	}
	if (c->first_above_time_ns == 0) {
		c->first_above_time_ns = now_ns + INTERVAL_NS;
		return false;
	}
	return now_ns >= c->first_above_time_ns;
}

static void codel_drop(struct soq__sim_queue *q)
{
	struct soq__sim_packet *p = ring_take(q);

	soq__sim_see_packet(q->state->from->sim, p, SOQ__SIM_CODEL, 0);
	soq__sim_packet_free(p);
}

static bool may_drop(struct soq__sim_queue *q, int64_t now_ns)
{
	if (q->count > 0)
		return ok_to_drop(q, now_ns);
	q->codel.first_above_time_ns = 0;
	return false;
}

/* Drop what is to be dropped before the packet that leaves: RFC 8289 section 5.5. */
static void codel_pick(struct soq__sim_queue *q)
{
	struct codel *c = &q->codel;
	int64_t now_ns = q->state->from->sim->now_ns;
	bool ok = may_drop(q, now_ns);

	if (c->dropping) {
		c->dropping = ok;
		while (c->dropping && now_ns >= c->drop_next_ns) {
			codel_drop(q);
			c->count++;
			c->dropping = may_drop(q, now_ns);
			if (c->dropping)
				c->drop_next_ns = control_law(c->drop_next_ns, c->count);
		}
	} else if (ok) {
		uint32_t delta = c->count - c->lastcount;

		codel_drop(q);
		may_drop(q, now_ns);
		c->dropping = true;
		/* Dropping again soon: go on from the rate that was found then. */
		c->count = delta > 1 && now_ns - c->drop_next_ns < 16 * INTERVAL_NS ? delta : 1;
		c->drop_next_ns = control_law(now_ns, c->count);
		c->lastcount = c->count;
	}
}

/* ---- departure ---- */

/* Let all packets leave that may, and wait for the next. */
static void serve(struct soq__sim_queue *q)
{
	struct soq_sim *sim = q->state->from->sim;

	while (q->count > 0) {
		size_t bytes = soq__sim_packet_bytes(first_of(q)->packet);
		int64_t wait = wait_ns(q, bytes);

		if (wait > 0) {
			soq__sim_at(sim, &q->departure, soq__after(sim->now_ns, wait));
			return;
		}
		if (q->state->opt->codel && !q->picked) {
			q->picked = true;
			codel_pick(q);
			continue;
		}
		q->picked = false;
		if (soq__sim_link_rate(q->state))
			q->tokens -= bytes * NANO;
		soq__sim_transit(q->state, ring_take(q));
	}
	q->picked = false;
	q->codel.first_above_time_ns = 0;
}

static void depart(struct soq_sim *sim, struct soq__sim_event *event)
{
	serve(soq__container_of(event, struct soq__sim_queue, departure));
}

static struct soq__sim_queue *queue_of(struct soq__sim_link_state *state)
{
	struct soq__sim_queue *q = state->queue;

	if (q)
		return q;
	q = soq__sim_alloc(sizeof(*q));
	q->state = state;
	soq__sim_event_init(&q->departure, depart);
	q->at_ns = state->from->sim->now_ns;
	q->tokens = depth(q, 0);
	state->queue = q;
	return q;
}

void soq__sim_queue_put(struct soq__sim_link_state *state, struct soq__sim_packet *p)
{
	struct soq__sim_queue *q = queue_of(state);
	size_t bytes = soq__sim_packet_bytes(p);

	/* The queue is for those that wait: a packet that can leave at once needs no room. */
	if (q->count > 0 || wait_ns(q, bytes) > 0) {
		if (bytes > state->opt->queue_bytes ||
			q->bytes > state->opt->queue_bytes - bytes) {
			soq__sim_see_packet(state->from->sim, p, SOQ__SIM_QUEUE_FULL, 0);
			soq__sim_packet_free(p);
			return;
		}
	}
	ring_put(q, p);
	if (q->count == 1)
		serve(q);
}

/* ---- changing, ending ---- */

void soq__sim_queue_settle(struct soq__sim_link_state *state)
{
	struct soq__sim_queue *q = state->queue;

	if (q)
		refill(q, q->count ? soq__sim_packet_bytes(first_of(q)->packet) : 0);
}

void soq__sim_queue_resume(struct soq__sim_link_state *state)
{
	if (!state->queue && !soq__sim_link_rate(state))
		return;
	soq__sim_cancel(state->from->sim, &queue_of(state)->departure);
	serve(state->queue);
}

uint64_t soq__sim_queue_bytes(const struct soq__sim_link_state *state)
{
	return state->queue ? state->queue->bytes : 0;
}

void soq__sim_queue_free(struct soq__sim_link_state *state)
{
	struct soq__sim_queue *q = state->queue;

	if (!q)
		return;
	while (q->count > 0)
		soq__sim_packet_free(ring_take(q));
	free(q->ring);
	free(q);
}
