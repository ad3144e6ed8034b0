/* tcp_output.c - TCP segments that leave.
 *
 * Every segment carries the latest acknowledgment and window, so that a reply makes a separate
 * acknowledgment needless.
 *
 * Invariant: snd_una <= snd_nxt <= snd_max <= the end of what has been written, FIN included.
 * Source: RFC 9293 sections 3.8.6.2 (silly windows), 3.7.4 (Nagle), 3.10.7.1 (resets); RFC 3042
 * (limited transmit); RFC 5961 section 7 (answers are limited); Linux's tcp_output.c for
 * Minshall's variant of Nagle's algorithm.
 */
#include "sim/tcp.h"
#include <string.h>

#define HOPS 64 /* Linux's default time to live */

/* ---- windows ---- */

/* RFC 9293 section 3.8.6.2.2: a window opens by a segment, or by half of the buffer. */
static uint32_t window_edge(const struct soq__sim_conn *c)
{
	uint32_t capacity = soq__sim_conn_rcvbuf(c);
	uint32_t waiting = c->flow ? c->flow->rx.count : 0;
	uint32_t room = capacity > waiting ? capacity - waiting : 0;
	uint32_t least = capacity / 2 < c->mss ? capacity / 2 : c->mss;
	uint32_t edge = c->rcv_nxt + room;

	if (c->fin_received || room < least || soq__sim_before(edge, c->rcv_edge))
		return c->rcv_edge;
	return edge;
}

uint32_t soq__sim_tcp_window(const struct soq__sim_conn *c)
{
	uint32_t edge = window_edge(c);

	return soq__sim_after(edge, c->rcv_nxt) ? edge - c->rcv_nxt : 0;
}

/* ---- segments ---- */

static struct soq__sim_packet *new_segment(
	struct soq__sim_conn *c, uint32_t seq, uint8_t flags, uint32_t len)
{
	struct soq__sim_packet *p =
		soq__sim_packet_new(c->socket.host, IPPROTO_TCP, &c->local, &c->remote, len);

	p->hops = HOPS;
	p->flags = flags;
	p->seq = seq;
	p->window = soq__sim_tcp_window(c);
	if (flags & SOQ__SIM_SYN && p->window > SOQ__SIM_SYN_WINDOW_MOST)
		p->window = SOQ__SIM_SYN_WINDOW_MOST;
	if (flags & SOQ__SIM_ACK)
		p->ack = c->rcv_nxt;
	return p;
}

/* Send it, and remember what it has promised. */
static void transmit(struct soq__sim_conn *c, struct soq__sim_packet *p)
{
	if (p->flags & SOQ__SIM_ACK) {
		c->rcv_edge = c->rcv_nxt + p->window;
		if (c->flow) {
			c->flow->ack_ns = SOQ_NEVER;
			c->flow->rcv_acked = c->rcv_nxt;
		}
	}
	soq__sim_send(p);
}

void soq__sim_tcp_send_ack(struct soq__sim_conn *c)
{
	transmit(c, new_segment(c, soq__sim_snd_max(c), SOQ__SIM_ACK, 0));
}

/* The peer answers it and does not look at it: it has acknowledged nothing, and promised
 * nothing. */
void soq__sim_tcp_send_probe(struct soq__sim_conn *c)
{
	soq__sim_send(new_segment(c, c->snd_una - 1, SOQ__SIM_ACK, 0));
}

void soq__sim_tcp_send_reset(struct soq__sim_conn *c)
{
	transmit(c, new_segment(c, soq__sim_snd_max(c), SOQ__SIM_RST | SOQ__SIM_ACK, 0));
}

void soq__sim_tcp_send_syn(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = soq__sim_conn_flow(c);
	uint8_t ack = c->state == TCP_SYN_RECV ? SOQ__SIM_ACK : 0;
	struct soq__sim_packet *p = new_segment(c, c->snd_una, SOQ__SIM_SYN | ack, 0);

	if (f->retries > 0) {
		p->marks |= SOQ__SIM_RETRANSMISSION;
		f->is_timing = false;
	} else {
		f->is_timing = true;
		f->timed_seq = c->snd_una + 1;
		f->timed_ns = soq__sim_conn_now(c);
	}
	c->snd_nxt = f->snd_max = c->snd_una + 1;
	soq__sim_tcp_start_timer(c);
	transmit(c, p);
}

void soq__sim_tcp_reject(struct soq_sim_host *host, const struct soq__sim_packet *p)
{
	struct soq__sim_packet *reply;

	if (p->flags & SOQ__SIM_RST)
		return;
	reply = soq__sim_packet_new(host, IPPROTO_TCP, &p->dst, &p->src, 0);
	reply->hops = HOPS;
	if (p->flags & SOQ__SIM_ACK) {
		reply->flags = SOQ__SIM_RST;
		reply->seq = p->ack;
	} else {
		reply->flags = SOQ__SIM_RST | SOQ__SIM_ACK;
		reply->ack = soq__sim_end_of(p);
	}
	soq__sim_send(reply);
}

void soq__sim_tcp_challenge(struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	int64_t now = soq__sim_conn_now(c);

	/* Two that each find the other's acknowledgments odd would never stop; data cannot be
	 * part of that. */
	if (p->len == 0 || p->flags & SOQ__SIM_SYN) {
		struct soq__sim_flow *f = soq__sim_conn_flow(c);

		if (f->quiet_ns != SOQ_NEVER && f->quiet_ns > now)
			return;
		f->quiet_ns = now + SOQ__SIM_CHALLENGE_NS;
	}
	soq__sim_tcp_send_ack(c);
}

/* ---- data ---- */

/* A FIN that has not been acknowledged is due in these. */
static bool is_finishing(const struct soq__sim_conn *c)
{
	return c->state == TCP_FIN_WAIT1 || c->state == TCP_CLOSING || c->state == TCP_LAST_ACK;
}

static bool may_send(const struct soq__sim_conn *c)
{
	return c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT || is_finishing(c);
}

bool soq__sim_tcp_has_unsent(const struct soq__sim_conn *c)
{
	if (!c->flow || !may_send(c) || c->fin_sent)
		return false;
	return is_finishing(c) || c->flow->snd_max != c->snd_una + c->flow->tx.count;
}

/* Data from snd_una on, and the FIN when it comes next. */
static void send_data(struct soq__sim_conn *c, uint32_t seq, uint32_t len, bool fin)
{
	struct soq__sim_flow *f = c->flow;
	uint32_t at = seq - c->snd_una, end = seq + len + fin;
	uint8_t flags = SOQ__SIM_ACK;
	struct soq__sim_packet *p;

	if (len > 0 && at + len == f->tx.count)
		flags |= SOQ__SIM_PSH;
	if (fin)
		flags |= SOQ__SIM_FIN;
	p = new_segment(c, seq, flags, len);
	soq__sim_bytes_peek(&f->tx, at, p->data, len);
	if (soq__sim_before(seq, f->snd_max)) {
		p->marks |= SOQ__SIM_RETRANSMISSION;
		f->is_timing = false; /* RFC 6298 section 3: Karn's algorithm */
	} else if (!f->is_timing) {
		f->is_timing = true;
		f->timed_seq = end;
		f->timed_ns = soq__sim_conn_now(c);
	}
	if (soq__sim_after(end, f->snd_max))
		f->snd_max = end;
	if (fin)
		c->fin_sent = true;
	transmit(c, p);
}

/* Whether a segment that is not full has to wait for more, or for an acknowledgment. */
static bool is_held_back(const struct soq__sim_conn *c)
{
	if (c->cork || c->more)
		return true;
	return !c->nodelay && soq__sim_after(c->flow->small_end, c->snd_una);
}

/* RFC 5681 section 3.1, and RFC 3042: the first two duplicates let new segments out. */
static bool has_congestion_room(const struct soq__sim_conn *c, uint32_t len)
{
	const struct soq__sim_flow *f = c->flow;
	uint32_t flight = c->snd_nxt - c->snd_una, extra = 0;

	if (!f->is_recovering && f->duplicates > 0)
		extra = (f->duplicates < 2 ? f->duplicates : 2) * c->mss;
	return flight == 0 || flight + len <= c->cwnd + extra;
}

/* Send the segment at snd_nxt. @return false when there is none to be sent now */
static bool send_next(struct soq__sim_conn *c, bool push)
{
	struct soq__sim_flow *f = c->flow;
	uint32_t end = c->snd_una + f->tx.count;
	uint32_t left = end - c->snd_nxt, window = c->snd_edge - c->snd_nxt, len;
	bool again = soq__sim_before(c->snd_nxt, f->snd_max), fin;

	if (soq__sim_after(c->snd_nxt, end))
		return false; /* past the FIN */
	if (soq__sim_before(c->snd_edge, c->snd_nxt))
		window = 0;
	len = left < c->mss ? left : c->mss;
	if (len > window)
		len = window;
	fin = is_finishing(c) && len == left && (window > len || c->fin_sent);
	if ((len == 0 && !fin) || !has_congestion_room(c, len))
		return false;
	if (len < c->mss && !fin && !again && !push && is_held_back(c))
		return false;
	send_data(c, c->snd_nxt, len, fin);
	c->snd_nxt += len + fin;
	if (len > 0 && len < c->mss)
		f->small_end = c->snd_nxt;
	if (f->retransmit_ns == SOQ_NEVER)
		soq__sim_tcp_start_timer(c);
	return true;
}

void soq__sim_tcp_output(struct soq__sim_conn *c, bool push)
{
	struct soq__sim_flow *f = c->flow;

	if (!f || !may_send(c))
		return;
	while (send_next(c, push))
		;
	if (f->snd_max != c->snd_una || !soq__sim_tcp_has_unsent(c)) {
		f->cork_ns = SOQ_NEVER;
		return;
	}
	/* Nothing is under way that an acknowledgment would come for. */
	if (!soq__sim_after(c->snd_edge, c->snd_nxt)) {
		if (f->retransmit_ns == SOQ_NEVER)
			soq__sim_tcp_start_timer(c);
	} else if (f->cork_ns == SOQ_NEVER) {
		f->cork_ns = soq__sim_conn_now(c) + SOQ__SIM_CORK_NS;
	}
}

void soq__sim_tcp_resend(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;
	uint32_t sent = f->snd_max - c->snd_una - c->fin_sent;
	uint32_t len = sent < c->mss ? sent : c->mss;

	send_data(c, c->snd_una, len, c->fin_sent && len == sent);
}
