/* transit.c - packets on their way: which direction, what befalls them, when they arrive.
 *
 * What befalls a packet is drawn by its number in its direction, a fragment's by its place in
 * the packet too, and each kind of trouble by a purpose of its own: switching one kind on or
 * off leaves the others as they were.
 *
 * Invariant: packets of a direction arrive in the order in which they left, unless one is held
 * back on purpose.
 * Source: E. N. Gilbert, "Capacity of a Burst-Noise Channel", 1960, and E. O. Elliott,
 * "Estimates of Error Rates for Codes on Burst-Noise Channels", 1963 (two states of a link);
 * RFC 791 section 3.2, RFC 8200 section 4.5 (fragments); RFC 1122 section 3.2.2 (which packets
 * get no ICMP error); arp(7) and neighbour discovery for how long an absent host is asked for.
 */
#include "sim/link.h"
#include <endian.h>
#include <errno.h>
#include <string.h>

#define UNREACHABLE_NS	 (3 * SOQ_S) /* three questions, a second apart, and no answer */
#define FRAGMENT_HEADER6 8
#define FRAGMENTS_BITS	 8 /* a packet of 65,575 bytes has fewer than 256 fragments */

/* ---- arrival ---- */

#define MIX_FACTOR UINT64_C(0x9fb21c651e98df25)
#define LANES	   4

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * MIX_FACTOR;
	return h ^ h >> 35;
}

static void mix_lanes(uint64_t lanes[LANES], const void *data)
{
	uint64_t words[LANES];

	memcpy(words, data, sizeof(words));
	for (size_t i = 0; i < LANES; i++)
		lanes[i] = (lanes[i] ^ le64toh(words[i])) * MIX_FACTOR;
}

/* Four words at a time, since a multiplication takes longer than it keeps the processor from
 * beginning others. */
static uint64_t mix_payload(uint64_t h, const char *data, size_t len)
{
	uint64_t lanes[LANES] = { h, h + 1, h + 2, h + 3 }, last[LANES] = { 0 };

	for (; len >= sizeof(last); len -= sizeof(last), data += sizeof(last))
		mix_lanes(lanes, data);
	memcpy(last, data, len);
	mix_lanes(lanes, last);
	for (size_t i = 0; i < LANES; i++)
		h = mix(h, lanes[i] ^ lanes[i] >> 29);
	return h;
}

/* Everything that the receiver can tell from another packet, payload included. */
static uint64_t fingerprint(const struct soq__sim_packet *p)
{
	uint64_t h = mix((uint64_t)p->from->index << 32 | p->to->index,
		(uint64_t)p->src.port << 48 | (uint64_t)p->dst.port << 32 |
			(uint64_t)p->protocol << 16 | (uint64_t)p->marks << 8 | p->flags);

	h = mix(h, (uint64_t)p->seq << 32 | p->ack);
	h = mix(h, (uint64_t)p->window << 32 | p->len);
	return p->len ? mix_payload(h, p->data, p->len) : h;
}

static void input_error(struct soq_sim_host *host, struct soq__sim_packet *p)
{
	if (p->protocol_told == IPPROTO_TCP)
		soq__sim_tcp_error(host, p);
	else
		soq__sim_udp_error(host, p);
	soq__sim_packet_free(p);
}

static bool is_lost_in_a_crash(const struct soq__sim_packet *p)
{
	return !p->to->up || (p->from == p->to && p->lives != p->to->lives);
}

static void arrive(struct soq_sim *sim, struct soq__sim_event *event)
{
	struct soq__sim_packet *p = soq__container_of(event, struct soq__sim_packet, arrival);
	struct soq_sim_host *to = p->to;

	soq__sim_link_of(p->from, to)->on_wire_bytes -= soq__sim_packet_bytes(p);
	soq__sim_digest(sim, fingerprint(p));
	if (soq__unlikely(is_lost_in_a_crash(p))) {
		soq__sim_see_packet(sim, p, SOQ__SIM_HOST_DOWN, sim->now_ns);
		soq__sim_packet_free(p);
	} else if (p->protocol == IPPROTO_TCP) {
		soq__sim_tcp_input(to, p);
	} else if (p->protocol == IPPROTO_UDP) {
		soq__sim_udp_input(to, p);
	} else {
		input_error(to, p);
	}
}

static void arrive_at(
	struct soq__sim_link_state *state, struct soq__sim_packet *p, int64_t at_ns)
{
	state->on_wire_bytes += soq__sim_packet_bytes(p);
	p->arrival.fire = arrive;
	soq__sim_at(state->from->sim, &p->arrival, at_ns);
}

void soq__sim_packets_free(struct soq_sim *sim)
{
	struct soq__timer *timer;

	/* All events are taken out, so that those of others do not move what is freed here. */
	while ((timer = soq__heap_pop_due(&sim->events, SOQ_NEVER))) {
		struct soq__sim_event *event =
			soq__container_of(timer, struct soq__sim_event, timer);

		if (event->fire == arrive)
			soq__sim_packet_free(
				soq__container_of(event, struct soq__sim_packet, arrival));
	}
}

/* ---- chance ---- */

static uint64_t draw(const struct soq__sim_link_state *state, enum soq__sim_purpose purpose,
	const struct soq__sim_packet *p, unsigned part)
{
	return soq__sim_draw(state->from->sim, purpose,
		soq__sim_link_key(state->from, state->to), p->number << FRAGMENTS_BITS | part);
}

/* In how many pieces it travels. RFC 791: all but the last carry a multiple of eight bytes;
 * RFC 8200: each has a header more. */
static unsigned fragments(const struct soq__sim_packet *p, unsigned mtu)
{
	size_t bytes = soq__sim_packet_bytes(p), header, room;

	if (soq__likely(bytes <= mtu))
		return 1;
	if (soq__sim_addr_is4(&p->dst)) {
		header = SOQ__SIM_IP4_HEADER;
		room = mtu - header;
	} else {
		header = SOQ__SIM_IP6_HEADER;
		room = mtu - header - FRAGMENT_HEADER6;
	}
	room &= ~(size_t)7;
	return (unsigned)((bytes - header + room - 1) / room);
}

/* A link in Gilbert and Elliott's model is good or bad, and may change with each packet. */
static uint32_t loss_now(
	struct soq__sim_link_state *state, const struct soq__sim_packet *p, unsigned part)
{
	const struct soq_sim_link *opt = state->opt;
	int64_t ppm = opt->loss_ppm;

	if (opt->burst_enter_ppm) {
		uint64_t drawn = draw(state, SOQ__SIM_BURST, p, part);

		if (soq__sim_chance(
			    drawn, state->is_bad ? opt->burst_leave_ppm : opt->burst_enter_ppm))
			state->is_bad = !state->is_bad;
		if (state->is_bad)
			ppm = opt->burst_loss_ppm;
	}
	return (uint32_t)soq__min(ppm + state->extra_loss_ppm, SOQ_PPM_ONE);
}

/* Lost with any of its fragments; each is a packet of the wire, whether or not one before it
 * is lost. */
static bool is_lost(struct soq__sim_link_state *state, const struct soq__sim_packet *p)
{
	unsigned parts = fragments(p, state->opt->mtu);
	bool lost = false;

	for (unsigned part = 0; part < parts; part++) {
		uint32_t ppm = loss_now(state, p, part);

		if (ppm && soq__sim_chance(draw(state, SOQ__SIM_LOSS, p, part), ppm))
			lost = true;
	}
	return lost;
}

/* One bit of a datagram changes, and the checksum happens to hold. TCP's bytes are a promise:
 * there the checksum never holds, and the segment is as good as lost. @return false: lost */
static bool corrupt(struct soq__sim_link_state *state, struct soq__sim_packet *p)
{
	uint64_t bit;

	if (!soq__sim_chance(draw(state, SOQ__SIM_CORRUPT, p, 0), state->opt->corrupt_ppm))
		return true;
	if (p->protocol != IPPROTO_UDP)
		return false;
	if (p->len == 0)
		return true;
	bit = soq__sim_below(draw(state, SOQ__SIM_CORRUPT, p, 1), (uint64_t)p->len * 8);
	p->data[bit / 8] ^= (char)(1 << bit % 8);
	p->marks |= SOQ__SIM_CORRUPTED;
	return true;
}

/* ---- on the wire ---- */

/* When a copy of a packet would arrive if it were alone on the wire. */
static int64_t travel(
	const struct soq__sim_link_state *state, const struct soq__sim_packet *p, unsigned copy)
{
	const struct soq_sim_link *opt = state->opt;
	int64_t at_ns = state->from->sim->now_ns + opt->latency_ns + state->extra_delay_ns;

	if (opt->jitter_ns)
		at_ns += (int64_t)soq__sim_below(
			draw(state, SOQ__SIM_LATENCY, p, copy), (uint64_t)opt->jitter_ns + 1);
	return at_ns;
}

static void go(struct soq__sim_link_state *state, struct soq__sim_packet *p, int64_t at_ns)
{
	soq__sim_see_packet(state->from->sim, p, SOQ__SIM_ARRIVES, at_ns);
	arrive_at(state, p, at_ns);
}

/* Not before those that left earlier. */
static void go_in_order(
	struct soq__sim_link_state *state, struct soq__sim_packet *p, int64_t at_ns)
{
	if (at_ns < state->last_arrival_ns)
		at_ns = state->last_arrival_ns;
	state->last_arrival_ns = at_ns;
	go(state, p, at_ns);
}

static struct soq__sim_packet *copy_of(const struct soq__sim_packet *p)
{
	struct soq__sim_packet *copy =
		soq__sim_packet_new(p->from, p->protocol, &p->src, &p->dst, p->len);

	memcpy(copy, p, sizeof(*p) + p->len);
	soq__timer_init(&copy->arrival.timer);
	return copy;
}

static void drop(
	struct soq__sim_link_state *state, struct soq__sim_packet *p, enum soq__sim_fate fate)
{
	soq__sim_see_packet(state->from->sim, p, fate, 0);
	soq__sim_packet_free(p);
}

/* The wire of a link whose options, or faults, trouble packets. */
static void transit_troubled(struct soq__sim_link_state *state, struct soq__sim_packet *p)
{
	const struct soq_sim_link *opt = state->opt;
	struct soq__sim_packet *copy = NULL;
	uint64_t drawn;

	if (p->number == opt->lose_nth) {
		drop(state, p, SOQ__SIM_LOST_NTH);
		return;
	}
	if (is_lost(state, p)) {
		drop(state, p, SOQ__SIM_LOST);
		return;
	}
	if (opt->duplicate_ppm &&
		soq__sim_chance(draw(state, SOQ__SIM_DUPLICATE, p, 0), opt->duplicate_ppm))
		copy = copy_of(p);
	drawn = draw(state, SOQ__SIM_REORDER, p, 0);
	if (opt->corrupt_ppm && !corrupt(state, p)) {
		drop(state, p, SOQ__SIM_LOST);
	} else if (opt->reorder_ppm && soq__sim_chance(drawn, opt->reorder_ppm)) {
		drawn = draw(state, SOQ__SIM_REORDER, p, 1);
		p->marks |= SOQ__SIM_HELD_BACK;
		go(state, p,
			travel(state, p, 0) + 1 +
				(int64_t)soq__sim_below(drawn, (uint64_t)opt->reorder_ns));
	} else {
		go_in_order(state, p, travel(state, p, 0));
	}
	if (copy) {
		copy->marks |= SOQ__SIM_IS_DUPLICATE;
		go_in_order(state, copy, travel(state, copy, 1));
	}
}

void soq__sim_transit(struct soq__sim_link_state *state, struct soq__sim_packet *p)
{
	const struct soq_sim_link *opt = state->opt;

	if (soq__unlikely(state->blocked))
		drop(state, p, SOQ__SIM_PARTITIONED);
	else if (soq__likely(!(opt->loss_ppm | opt->burst_enter_ppm | opt->lose_nth |
			 opt->duplicate_ppm | opt->reorder_ppm | opt->corrupt_ppm |
			 (uint64_t)state->extra_loss_ppm)))
		go_in_order(state, p, travel(state, p, 0));
	else
		transit_troubled(state, p);
}

/* ---- sending ---- */

static struct soq__sim_packet *error_about(
	struct soq_sim_host *from, const struct soq__sim_packet *about, int error)
{
	struct soq__sim_packet *p =
		soq__sim_packet_new(from, IPPROTO_ICMP, &about->dst, &about->src, 0);

	p->icmp_error = error;
	p->protocol_told = about->protocol;
	return p;
}

/* The sender's own kernel finds that a packet cannot be sent. */
static void tell_sender(const struct soq__sim_packet *about, int error, int64_t after_ns)
{
	struct soq_sim_host *host = about->from;
	struct soq__sim_packet *p;

	if (about->protocol == IPPROTO_ICMP)
		return;
	p = error_about(host, about, error);
	p->to = host;
	arrive_at(soq__sim_link_of(host, host), p, host->sim->now_ns + after_ns);
}

/* TCP never sends segments that do not fit, unless the MTU has become less meanwhile. */
static bool is_too_big(const struct soq__sim_link_state *state, const struct soq__sim_packet *p)
{
	return p->protocol == IPPROTO_TCP && soq__sim_packet_bytes(p) > state->opt->mtu;
}

void soq__sim_send_to(struct soq__sim_packet *p, struct soq_sim_host *to)
{
	struct soq__sim_link_state *state = soq__sim_link_of(p->from, to);

	p->to = to;
	p->number = ++state->packets;
	if (soq__unlikely(!p->from->up)) {
		soq__sim_packet_free(p);
	} else if (soq__unlikely(is_too_big(state, p))) {
		tell_sender(p, EMSGSIZE, 0);
		drop(state, p, SOQ__SIM_TOO_BIG);
	} else if (soq__likely(!state->queue && !state->opt->rate_bytes_s)) {
		soq__sim_transit(state, p);
	} else {
		soq__sim_queue_put(state, p);
	}
}

void soq__sim_send(struct soq__sim_packet *p)
{
	struct soq_sim_host *from = p->from, *to;

	if (soq__sim_addr_is_loopback(&p->dst)) {
		soq__sim_send_to(p, from);
		return;
	}
	to = soq__sim_host_of(from->sim, &p->dst);
	if (soq__likely(to != NULL)) {
		soq__sim_send_to(p, to);
		return;
	}
	if (from->up) {
		tell_sender(p, EHOSTUNREACH, UNREACHABLE_NS);
		soq__sim_see_packet(from->sim, p, SOQ__SIM_NO_HOST, 0);
	}
	soq__sim_packet_free(p);
}

void soq__sim_send_error(
	struct soq_sim_host *from, const struct soq__sim_packet *about, int error)
{
	/* Errors about errors, or about what went to many, would multiply. */
	if (about->protocol == IPPROTO_ICMP || soq__sim_addr_is_multicast(&about->dst) ||
		soq__sim_addr_is_broadcast(&about->dst))
		return;
	soq__sim_send(error_about(from, about, error));
}
