/* watch.h - what the trace, the log and the diagram share. */
#ifndef SOQ__SIM_WATCH_H
#define SOQ__SIM_WATCH_H

#include "sim/sim.h"

/* ---- bytes that grow (watch.c) ---- */

struct soq__sim_buffer {
	uint8_t *data;
	size_t len, capacity;
};

void soq__sim_put(struct soq__sim_buffer *b, const void *data, size_t len);
void soq__sim_put_zeros(struct soq__sim_buffer *b, size_t len);
/* Big-endian, as on the wire. */
void soq__sim_put8(struct soq__sim_buffer *b, uint8_t value);
void soq__sim_put16(struct soq__sim_buffer *b, uint16_t value);
void soq__sim_put32(struct soq__sim_buffer *b, uint32_t value);

/* ---- packets as bytes (wire.c) ---- */

/* Append what follows the IP header: a TCP segment, a UDP datagram, an ICMP message. */
void soq__sim_wire_segment(struct soq__sim_buffer *ret, const struct soq__sim_packet *p);
/* How many IP packets carry a segment of @len bytes: 1, or as many as there are fragments. */
size_t soq__sim_wire_fragments(const struct soq__sim_packet *p, size_t len);
/* Append the IP packet, whole or the @index-th fragment, that carries a segment. */
void soq__sim_wire_packet(struct soq__sim_buffer *ret, const struct soq__sim_packet *p,
	const struct soq__sim_buffer *segment, size_t index);

/* ---- words (watch.c) ---- */

#define SOQ__SIM_WORDS_MAX 128 /* bytes that suffice for each of these */

/* "12.3 ms". */
const char *soq__sim_duration_text(char buf[SOQ__SIM_WORDS_MAX], int64_t ns);
/* "SYN+ACK", with the separator given. */
const char *soq__sim_flags_text(
	char buf[SOQ__SIM_WORDS_MAX], uint8_t flags, const char *separator);
/* A payload in quotes, with C's escapes, if it is printable text; else "". The first @max
 * bytes, and "..." when there are more. */
const char *soq__sim_payload_text(
	char buf[SOQ__SIM_WORDS_MAX], const struct soq__sim_packet *p, uint32_t max);
/* "port unreachable": what ICMP calls an error. */
const char *soq__sim_icmp_text(int error);
/* Which ways a packet differs: "retransmission, held back"; or "". */
const char *soq__sim_marks_text(char buf[SOQ__SIM_WORDS_MAX], uint8_t marks);
/* A host's addresses, with a separator, as many as there is room for. */
void soq__sim_host_addresses(
	char *buf, size_t len, const struct soq_sim_host *host, const char *separator);

/* ---- sequence numbers that begin at 0 (watch.c) ---- */

struct soq__sim_flow;

/* The connections seen so far; zeroed at first. */
struct soq__sim_flows {
	struct soq__sim_flow *slots;
	size_t count, capacity;
};

/* A TCP packet's numbers relative to the first ones of its connection. Those of a connection
 * whose beginning has not been seen stay as they are. */
void soq__sim_flows_see(struct soq__sim_flows *flows, const struct soq__sim_packet *p,
	uint32_t *ret_seq, uint32_t *ret_ack);
void soq__sim_flows_done(struct soq__sim_flows *flows);

/* ---- observers (watch.c) ---- */

/* Whether there is an observer of a kind, which its close function tells. */
bool soq__sim_watched(const struct soq_sim *sim, void (*close)(struct soq__sim_observer *o));
/* Let an observer look on from now, and tell it of the hosts that are there. */
void soq__sim_watch(struct soq_sim *sim, struct soq__sim_observer *o);

#endif
