/* tcp_input.c - TCP segments that arrive, and ICMP's errors.
 *
 * Invariant: whatever a segment changes is complete before those who wait are told, since what
 * they do then comes back here.
 * Source: RFC 9293 section 3.10.7; RFC 5961 (resets and SYNs that do not fit are answered, not
 * obeyed); RFC 1122 section 4.2.2.13 (data after close); Linux's tcp_input.c and
 * tcp_minisocks.c where the RFC leaves a choice; RFC 5927 section 4 (ICMP's errors are soft).
 */
#include "sim/tcp.h"
#include <errno.h>

/* ---- of a synchronized connection ---- */

/* RFC 9293 table 6. What we have not acknowledged yet may come again unasked, as in Linux. */
static bool is_acceptable(const struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	uint32_t acked = c->flow ? c->flow->rcv_acked : c->rcv_nxt;

	return !soq__sim_before(soq__sim_end_of(p), acked) &&
		!soq__sim_after(p->seq, c->rcv_edge);
}

static void take_reset(struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	bool past_fin = c->state == TCP_CLOSE_WAIT || c->state == TCP_LAST_ACK ||
		c->state == TCP_CLOSING;

	/* RFC 5961 section 3. Who sent a FIN may reset from where that was. */
	if (p->seq == c->rcv_nxt || (past_fin && p->seq + 1 == c->rcv_nxt)) {
		soq__sim_conn_die(c, c->state == TCP_CLOSE_WAIT ? EPIPE : ECONNRESET);
	} else if (is_acceptable(c, p)) {
		soq__sim_tcp_challenge(c, p);
		soq__sim_conn_settle(c);
	}
}

/* Both sides began at once, and this is the other's answer to our SYN. */
static bool is_crossed(const struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	return c->state == TCP_SYN_RECV && !c->is_queued && p->flags & SOQ__SIM_ACK &&
		p->seq + 1 == c->rcv_nxt && p->ack == c->snd_nxt;
}

/* @return false when the segment is to be dropped; @c may be gone then */
static bool check(struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	if (p->flags & SOQ__SIM_RST) {
		take_reset(c, p);
		return false;
	}
	if (!is_acceptable(c, p) || (p->flags & SOQ__SIM_SYN && !is_crossed(c, p))) {
		soq__sim_tcp_challenge(c, p);
		soq__sim_conn_settle(c);
		return false;
	}
	return p->flags & SOQ__SIM_ACK;
}

/* Data for a program that will not read it any more. */
static bool is_too_late(const struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	return c->shut_rd && !c->fin_received &&
		(c->state == TCP_FIN_WAIT1 || c->state == TCP_FIN_WAIT2) && p->len > 0 &&
		soq__sim_after(p->seq + p->len, c->rcv_nxt);
}

/* Our FIN has been acknowledged. @return false when that was all */
static bool take_fin_ack(struct soq__sim_conn *c)
{
	switch (c->state) {
	case TCP_FIN_WAIT1:
		c->state = TCP_FIN_WAIT2;
		if (c->is_closed)
			soq__sim_at(soq__sim_conn_world(c), &c->timer,
				soq__sim_conn_now(c) + SOQ__SIM_FIN_WAIT_2_NS);
		return true;
	case TCP_CLOSING:
		soq__sim_conn_time_wait(c);
		return false;
	case TCP_LAST_ACK:
		soq__sim_conn_die(c, 0);
		return false;
	default:
		return true;
	}
}

/* The peer's FIN has come, and all before it. @return false when that was all */
static bool take_fin(struct soq__sim_conn *c)
{
	switch (c->state) {
	case TCP_ESTABLISHED:
		c->state = TCP_CLOSE_WAIT;
		return true;
	case TCP_FIN_WAIT1:
		c->state = TCP_CLOSING;
		c->flow->ack_ns = soq__sim_conn_now(c);
		return true;
	case TCP_FIN_WAIT2:
		soq__sim_tcp_send_ack(c);
		soq__sim_conn_time_wait(c);
		return false;
	default:
		return true;
	}
}

/* Answer, and tell those who wait. */
static void conclude(struct soq__sim_conn *c, unsigned news)
{
	soq__sim_tcp_output(c, false);
	if (c->flow && c->flow->ack_ns <= soq__sim_conn_now(c))
		soq__sim_tcp_send_ack(c);
	soq__sim_conn_settle(c);
	if (news && c->socket.refs > 0)
		soq__sim_changed(&c->socket, news);
}

/* What an acceptable segment says. @return true when the packet is kept */
static bool take_text(struct soq__sim_conn *c, struct soq__sim_packet *p, unsigned news)
{
	uint32_t una = c->snd_una, nxt = c->rcv_nxt;
	bool had_fin = c->fin_received, kept;

	if (!soq__sim_tcp_take_ack(c, p)) {
		soq__sim_tcp_challenge(c, p);
		soq__sim_conn_settle(c);
		return false;
	}
	if (c->state == TCP_SYN_RECV)
		soq__sim_conn_established(c);
	if (is_too_late(c, p)) {
		soq__sim_tcp_reject(c->socket.host, p);
		soq__sim_conn_die(c, ECONNRESET);
		return false;
	}
	if (c->fin_sent && c->snd_una == soq__sim_snd_max(c) && !take_fin_ack(c))
		return false;
	kept = soq__sim_tcp_take_data(c, p);
	if (c->fin_received && !had_fin && !take_fin(c))
		return kept;
	if (c->rcv_nxt != nxt)
		news |= SOQ__SIM_IN;
	if (c->snd_una != una && soq__sim_conn_has_room(c))
		news |= SOQ__SIM_OUT;
	conclude(c, news);
	return kept;
}

/* ---- before that ---- */

/* RFC 9293 section 3.10.7.3. */
static void take_in_syn_sent(struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	uint32_t window = soq__sim_conn_rcvbuf(c);

	if (p->flags & SOQ__SIM_ACK && p->ack != c->snd_nxt) {
		soq__sim_tcp_reject(c->socket.host, p);
		return;
	}
	if (p->flags & SOQ__SIM_RST) {
		if (p->flags & SOQ__SIM_ACK)
			soq__sim_conn_die(c, ECONNREFUSED);
		return;
	}
	if (!(p->flags & SOQ__SIM_SYN))
		return;
	c->rcv_nxt = p->seq + 1;
	c->rcv_edge = c->rcv_nxt + (uint32_t)soq__min(window, SOQ__SIM_SYN_WINDOW_MOST);
	c->flow->rcv_acked = c->rcv_nxt;
	c->snd_edge = c->snd_nxt + p->window;
	if (p->flags & SOQ__SIM_ACK) {
		soq__sim_tcp_take_ack(c, p);
		soq__sim_conn_established(c);
		c->flow->ack_ns = soq__sim_conn_now(c);
		conclude(c, SOQ__SIM_IN | SOQ__SIM_OUT);
	} else {
		c->state = TCP_SYN_RECV;
		c->flow->retries = c->flow->backoff = 0;
		soq__sim_tcp_send_syn(c);
		soq__sim_tcp_arm(c);
	}
}

/* @return false when the segment is to be dropped; @c may be gone then */
static bool take_in_syn_received(struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	bool again = c->is_queued && p->seq + 1 == c->rcv_nxt &&
		(p->flags & (SOQ__SIM_SYN | SOQ__SIM_ACK | SOQ__SIM_RST)) == SOQ__SIM_SYN;

	if (again) {
		soq__sim_tcp_send_syn(c);
		soq__sim_tcp_arm(c);
		return false;
	}
	if (!check(c, p))
		return false;
	if (p->ack != c->snd_nxt) {
		soq__sim_tcp_reject(c->socket.host, p);
		return false;
	}
	/* Where there is no room for it, the client's handshake is not over; it will ask again,
	 * or be asked: Linux, tcp_check_req. */
	return !c->is_queued || soq__sim_tcp_enqueue(c);
}

/* ---- after it ---- */

/* RFC 9293 section 3.10.7.4 for TIME_WAIT, and RFC 6191's idea of a SYN that is newer; as
 * Linux's tcp_timewait_state_process. @return true when the segment is a listener's */
static bool take_in_time_wait(struct soq__sim_conn *c, const struct soq__sim_packet *p)
{
	uint8_t kind = p->flags & (SOQ__SIM_SYN | SOQ__SIM_RST | SOQ__SIM_ACK);
	bool in_order = p->seq == c->rcv_nxt;

	if (in_order && kind & SOQ__SIM_RST) {
		soq__sim_conn_expire(c);
		return false;
	}
	if (kind == SOQ__SIM_SYN && soq__sim_after(p->seq, c->rcv_nxt) &&
		soq__sim_port_owner(c->socket.host, IPPROTO_TCP, &p->dst, &p->src)) {
		soq__sim_conn_expire(c);
		return true;
	}
	if (kind & SOQ__SIM_RST)
		return false;
	if (kind & SOQ__SIM_ACK)
		soq__sim_at(soq__sim_conn_world(c), &c->timer,
			soq__sim_conn_now(c) + SOQ__SIM_TIME_WAIT_NS);
	if (!in_order || soq__sim_end_of(p) != p->seq)
		soq__sim_tcp_send_ack(c);
	return false;
}

/* Of no connection: perhaps the first of one. */
static void take_stray(struct soq_sim_host *host, const struct soq__sim_packet *p)
{
	struct soq__sim_bound *listener;

	if (p->flags & SOQ__SIM_RST || soq__sim_addr_is_multicast(&p->dst) ||
		soq__sim_addr_is_broadcast(&p->dst))
		return;
	listener = soq__sim_port_owner(host, IPPROTO_TCP, &p->dst, &p->src);
	if (!listener || p->flags & SOQ__SIM_ACK)
		soq__sim_tcp_reject(host, p);
	else if (p->flags & SOQ__SIM_SYN)
		soq__sim_tcp_syn(soq__sim_conn_of(listener->socket), p);
}

/* @return true when the packet is kept */
static bool take_known(struct soq__sim_conn *c, struct soq__sim_packet *p)
{
	if (c->state == TCP_SYN_SENT) {
		take_in_syn_sent(c, p);
		return false;
	}
	if (c->state == TCP_SYN_RECV)
		return take_in_syn_received(c, p) &&
			take_text(c, p, SOQ__SIM_IN | SOQ__SIM_OUT);
	return check(c, p) && take_text(c, p, 0);
}

void soq__sim_tcp_input(struct soq_sim_host *host, struct soq__sim_packet *p)
{
	struct soq__sim_conn *c = soq__sim_tcp_find(host, &p->dst, &p->src);
	bool kept = false;

	if (c && c->state == TCP_TIME_WAIT) {
		if (take_in_time_wait(c, p))
			take_stray(host, p);
	} else if (c) {
		kept = take_known(c, p);
	} else {
		take_stray(host, p);
	}
	if (!kept)
		soq__sim_packet_free(p);
}

/* ---- errors ---- */

/* A segment was larger than a link lets through: RFC 1191 section 6.4. What is under way is
 * sent again in smaller ones. */
static void shrink_segments(struct soq__sim_conn *c)
{
	uint16_t before = c->mss;

	soq__sim_conn_find_mss(c);
	if (c->mss >= before || !c->flow || c->state == TCP_SYN_SENT ||
		c->state == TCP_SYN_RECV)
		return;
	c->flow->recover = c->flow->snd_max;
	c->flow->is_recovering = false;
	c->snd_nxt = c->snd_una;
	soq__sim_tcp_output(c, false);
	soq__sim_conn_settle(c);
}

void soq__sim_tcp_error(struct soq_sim_host *host, const struct soq__sim_packet *icmp)
{
	struct soq__sim_conn *c = soq__sim_tcp_find(host, &icmp->dst, &icmp->src);

	if (!c || c->state == TCP_TIME_WAIT)
		return;
	if (icmp->icmp_error == EMSGSIZE)
		shrink_segments(c);
	else if (c->state == TCP_SYN_SENT || (c->state == TCP_SYN_RECV && !c->is_queued))
		soq__sim_conn_die(c, icmp->icmp_error);
	else if (c->flow)
		c->flow->soft_error = (uint16_t)icmp->icmp_error;
}
