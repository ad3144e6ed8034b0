/* link.h - what the files of links share: a direction between two hosts.
 *
 * A packet goes through its direction's queue, if there is a rate (link_queue.c), and then
 * over the wire (transit.c), where chance has its say.
 */
#ifndef SOQ__SIM_LINK_H
#define SOQ__SIM_LINK_H

#include "sim/sim.h"

struct soq__sim_queue;

struct soq__sim_link_state {
	/* What holds here: the world's default, which may change, or own. */
	const struct soq_sim_link *opt;
	struct soq_sim_host *from, *to;
	uint64_t packets;	 /* so far; the last one's number */
	uint64_t on_wire_bytes;	 /* of packets that have not arrived yet */
	int64_t last_arrival_ns; /* no later packet arrives before it, unless reordered */
	unsigned blocked;	 /* by how many partitions */
	uint64_t healed_event;	 /* partitions that began before it have nothing to take back */
	bool is_bad;		 /* the state of Gilbert and Elliott's model */
	int64_t extra_loss_ppm, extra_delay_ns;
	uint64_t limit_bytes_s;	      /* 0: none */
	struct soq__sim_queue *queue; /* NULL while there has been no rate */
	struct soq_sim_link own;
};

/* The direction, made when first asked for. */
struct soq__sim_link_state *soq__sim_link_of(
	struct soq_sim_host *from, struct soq_sim_host *to);

/* transit.c. A packet goes over the wire now. */
void soq__sim_transit(struct soq__sim_link_state *state, struct soq__sim_packet *p);

/* link_queue.c. Let a packet wait until the rate allows it to leave. The queue is made when
 * first needed, with the bucket full. */
void soq__sim_queue_put(struct soq__sim_link_state *state, struct soq__sim_packet *p);
/* The rate is about to change, and has changed. */
void soq__sim_queue_settle(struct soq__sim_link_state *state);
void soq__sim_queue_resume(struct soq__sim_link_state *state);
uint64_t soq__sim_queue_bytes(const struct soq__sim_link_state *state);
void soq__sim_queue_free(struct soq__sim_link_state *state);

/* Bytes a second, 0: without limit. */
static inline uint64_t soq__sim_link_rate(const struct soq__sim_link_state *state)
{
	uint64_t own = state->opt->rate_bytes_s, limit = state->limit_bytes_s;

	return limit && (!own || limit < own) ? limit : own;
}

#endif
