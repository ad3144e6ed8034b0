/* tcp_data.c - bytes that arrive, in order or not.
 *
 * What is beyond a gap is held, as the packets in which it came, and follows when the gap is
 * filled.
 *
 * Invariant: held packets begin after rcv_nxt, end within the window that was promised, and are
 * sorted; rx ends at rcv_nxt.
 * Source: RFC 9293 section 3.10.7.4, "process the segment text" and "check the FIN bit"; RFC
 * 5681 section 4.2 (when to acknowledge); RFC 9293 section 3.8.6.2.2 (window updates).
 */
#include "sim/tcp.h"
#include <stdlib.h>
#include <string.h>

/* ---- what is held ---- */

void soq__sim_tcp_drop_held(struct soq__sim_flow *f)
{
	for (uint32_t i = 0; i < f->held_count; i++)
		soq__sim_packet_free(f->held[i]);
	free(f->held);
	f->held = NULL;
	f->held_count = f->held_capacity = 0;
}

/* @return false when an earlier one has all that this one has */
static bool hold(struct soq__sim_flow *f, struct soq__sim_packet *p)
{
	uint32_t at = f->held_count;

	while (at > 0 && soq__sim_before(p->seq, f->held[at - 1]->seq))
		at--;
	if (at > 0 && !soq__sim_after(soq__sim_end_of(p), soq__sim_end_of(f->held[at - 1])))
		return false;
	if (f->held_count == f->held_capacity) {
		f->held_capacity = f->held_capacity ? 2 * f->held_capacity : 8;
		f->held = soq__sim_realloc(
			f->held, f->held_capacity * sizeof(struct soq__sim_packet *));
	}
	memmove(f->held + at + 1, f->held + at,
		(f->held_count - at) * sizeof(struct soq__sim_packet *));
	f->held[at] = p;
	f->held_count++;
	return true;
}

/* ---- in order ---- */

static void take_fin(struct soq__sim_conn *c)
{
	c->rcv_nxt++;
	if (soq__sim_before(c->rcv_edge, c->rcv_nxt))
		c->rcv_edge = c->rcv_nxt;
	c->fin_received = c->shut_rd = true;
	soq__sim_tcp_drop_held(c->flow);
}

/* Take what follows rcv_nxt: a packet that begins there or before. */
static void take_in_order(struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	uint32_t skip = c->rcv_nxt - p->seq;

	if (soq__sim_before(soq__sim_end_of(p), c->rcv_nxt))
		return;
	if (skip < p->len) {
		soq__sim_bytes_put(&c->flow->rx, p->data + skip, p->len - skip);
		c->rcv_nxt = p->seq + p->len;
	}
	if (p->flags & SOQ__SIM_FIN && c->rcv_nxt == p->seq + p->len)
		take_fin(c);
}

static void take_held(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;
	uint32_t n = 0;

	while (n < f->held_count && !soq__sim_after(f->held[n]->seq, c->rcv_nxt)) {
		struct soq__sim_packet *p = f->held[n];

		take_in_order(c, p);
		if (c->fin_received)
			return; /* which has dropped those that were left, this one too */
		soq__sim_packet_free(p);
		f->held[n++] = NULL;
	}
	f->held_count -= n;
	memmove(f->held, f->held + n, f->held_count * sizeof(struct soq__sim_packet *));
	if (f->held_count == 0)
		soq__sim_tcp_drop_held(f);
}

/* Cut off what is beyond the window. @return false when nothing is left */
static bool trim(const struct soq__sim_conn *c, struct soq__sim_packet *p)
{
	if (soq__sim_after(p->seq + p->len, c->rcv_edge)) {
		if (!soq__sim_after(c->rcv_edge, p->seq))
			return false;
		p->len = c->rcv_edge - p->seq;
		p->flags &= (uint8_t)~SOQ__SIM_FIN;
	}
	return soq__sim_after(soq__sim_end_of(p), c->rcv_nxt);
}

bool soq__sim_tcp_take_data(struct soq__sim_conn *c, struct soq__sim_packet *p)
{
	int64_t now = soq__sim_conn_now(c);
	struct soq__sim_flow *f;
	bool had_gap;

	if (p->len == 0 && !(p->flags & SOQ__SIM_FIN))
		return false;
	f = soq__sim_conn_flow(c);
	if (c->fin_received || !trim(c, p)) {
		f->ack_ns = now;
		return false;
	}
	if (soq__sim_after(p->seq, c->rcv_nxt)) {
		f->ack_ns = now;
		return hold(f, p);
	}
	had_gap = f->held_count > 0;
	take_in_order(c, p);
	if (f->held_count > 0)
		take_held(c);
	if (had_gap || c->rcv_nxt - f->rcv_acked > c->mss)
		f->ack_ns = now;
	else if (f->ack_ns == SOQ_NEVER)
		f->ack_ns = now + SOQ__SIM_DELAYED_ACK_NS;
	return false;
}

/* ---- windows ---- */

/* The peer hears of a window that has doubled since it was last told, when that was little: as
 * Linux's tcp_cleanup_rbuf, where the window of a SYN never is. */
void soq__sim_tcp_has_read(struct soq__sim_conn *c)
{
	uint32_t promised = c->rcv_edge - c->rcv_nxt, window;
	int64_t much = soq__min(soq__sim_conn_rcvbuf(c), SOQ__SIM_SYN_WINDOW_MOST);

	if (c->fin_received || c->shut_rd || c->state == TCP_CLOSE || promised > much / 2)
		return;
	window = soq__sim_tcp_window(c);
	if (window > 0 && window >= 2 * promised)
		soq__sim_tcp_send_ack(c);
}
