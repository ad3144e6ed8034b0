/* tcp_ack.c - what an acknowledgment tells: what has arrived, how long that takes, how much the
 * path bears, and what was lost on it.
 *
 * Congestion control counts bytes. A loss is noticed by three duplicate acknowledgments; each
 * partial one after that shows the next hole, so that one round trip mends one loss; of many,
 * the timeout of the first mends the others.
 *
 * Invariant: the peer's window never shrinks, since none of ours does: snd_edge only grows.
 * Source: RFC 9293 section 3.10.7.4; RFC 5681 (slow start, congestion avoidance); RFC 6582
 * (NewReno); RFC 3465 (counting bytes); RFC 6298 (round trips).
 */
#include "sim/tcp.h"

#define DUPLICATES_MAX 200
#define CWND_MOST      (1u << 30)

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* ---- round trips ---- */

/* RFC 6298 section 2, in microseconds: a connection has no room for more. */
void soq__sim_tcp_measure(struct soq__sim_conn *c, int64_t round_trip_ns)
{
	int64_t us = round_trip_ns / SOQ_US, difference;

	if (us < 1)
		us = 1;
	if (us > SOQ__SIM_RTO_MOST_NS / SOQ_US)
		us = SOQ__SIM_RTO_MOST_NS / SOQ_US;
	if (c->srtt_us == 0) {
		c->srtt_us = (uint32_t)us;
		c->rttvar_us = (uint32_t)(us / 2);
		return;
	}
	difference = us - c->srtt_us;
	c->srtt_us = (uint32_t)(c->srtt_us + difference / 8);
	if (difference < 0)
		difference = -difference;
	c->rttvar_us = (uint32_t)(c->rttvar_us + (difference - c->rttvar_us) / 4);
}

static void take_round_trip(struct soq__sim_conn *c, uint32_t ack)
{
	struct soq__sim_flow *f = c->flow;

	if (!f->is_timing || soq__sim_before(ack, f->timed_seq))
		return;
	f->is_timing = false;
	soq__sim_tcp_measure(c, soq__sim_conn_now(c) - f->timed_ns);
}

/* ---- congestion ---- */

static void grow_window(struct soq__sim_conn *c, uint32_t acked, uint32_t flight)
{
	/* A window that was not used has shown nothing: RFC 7661; Linux, tcp_is_cwnd_limited.
	 */
	if (flight < c->cwnd / 2 || c->cwnd > CWND_MOST)
		return;
	if (acked > 2u * c->mss)
		acked = 2u * c->mss;
	if (c->cwnd < c->ssthresh)
		c->cwnd += acked;
	else
		c->cwnd += most(1, (uint32_t)((uint64_t)c->mss * acked / c->cwnd));
}

/* RFC 6582 section 3.2, steps 3 to 5. */
static void recover(struct soq__sim_conn *c, uint32_t acked)
{
	struct soq__sim_flow *f = c->flow;

	if (!soq__sim_before(c->snd_una, f->recover)) {
		uint32_t flight = most(f->snd_max - c->snd_una, c->mss) + c->mss;

		f->is_recovering = false;
		c->cwnd = c->ssthresh < flight ? c->ssthresh : flight;
		return;
	}
	c->cwnd = c->cwnd > acked ? c->cwnd - acked : 0;
	if (acked >= c->mss)
		c->cwnd += c->mss;
	c->cwnd = most(c->cwnd, c->mss);
	soq__sim_tcp_resend(c);
	/* Not again for the next ones: where much is lost, the timeout mends it sooner. */
	if (!f->had_partial)
		soq__sim_tcp_start_timer(c);
	f->had_partial = true;
}

static void take_duplicate(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;

	if (f->duplicates < DUPLICATES_MAX)
		f->duplicates++;
	if (f->is_recovering) {
		if (c->cwnd < CWND_MOST)
			c->cwnd += c->mss;
		return;
	}
	/* After a timeout, the duplicates are what it has sent in vain: RFC 6582 section 4. */
	if (f->duplicates != 3 || soq__sim_before(c->snd_una, f->recover))
		return;
	f->is_recovering = true;
	f->had_partial = false;
	f->recover = f->snd_max;
	c->ssthresh = most((f->snd_max - c->snd_una) / 2, 2u * c->mss);
	c->cwnd = c->ssthresh + 3u * c->mss;
	soq__sim_tcp_resend(c);
	soq__sim_tcp_start_timer(c);
}

/* ---- acknowledgments ---- */

static void take_new(struct soq__sim_conn *c, uint32_t ack)
{
	struct soq__sim_flow *f = c->flow;
	uint32_t acked = ack - c->snd_una, flight = f->snd_max - c->snd_una;

	take_round_trip(c, ack);
	/* What is not data is the FIN, or the SYN. */
	soq__sim_bytes_drop(&f->tx, acked < f->tx.count ? acked : f->tx.count);
	c->snd_una = ack;
	if (soq__sim_before(c->snd_nxt, ack))
		c->snd_nxt = ack;
	f->duplicates = f->backoff = f->retries = 0;
	f->soft_error = 0;
	if (f->is_recovering)
		recover(c, acked);
	else
		grow_window(c, acked, flight);
	/* Marks that have been passed stay near, so that they never seem to lie ahead. */
	if (soq__sim_before(f->recover, ack))
		f->recover = ack;
	if (soq__sim_before(f->small_end, ack))
		f->small_end = ack;
	if (f->snd_max == ack)
		f->retransmit_ns = SOQ_NEVER;
	else if (!f->is_recovering)
		soq__sim_tcp_start_timer(c);
}

bool soq__sim_tcp_take_ack(struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	uint32_t edge = p->ack + p->window;
	bool opens = soq__sim_after(edge, c->snd_edge);
	struct soq__sim_flow *f = c->flow;

	if (soq__sim_after(p->ack, soq__sim_snd_max(c)))
		return false;
	if (c->keepalive) {
		c->rare->heard_ns = soq__sim_conn_now(c);
		c->rare->probes = 0;
	}
	if (f)
		f->probes = 0;
	if (soq__sim_before(p->ack, c->snd_una))
		return true;
	if (opens)
		c->snd_edge = edge;
	if (p->ack != c->snd_una) {
		take_new(c, p->ack);
	} else if (f && f->snd_max != c->snd_una) {
		if (p->len == 0 && !opens && !(p->flags & SOQ__SIM_FIN))
			take_duplicate(c);
	} else if (f && opens) {
		/* The timer was for probes of a closed window. */
		f->backoff = 0;
		f->retransmit_ns = SOQ_NEVER;
	}
	return true;
}
