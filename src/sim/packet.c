/* packet.c - what travels between hosts: headers as fields, payload as bytes.
 *
 * Invariant: a packet has one owner: whoever made it, then the link, then the protocol that
 * it is for.
 */
#include "sim/sim.h"
#include <stdlib.h>
#include <string.h>

struct soq__sim_packet *soq__sim_packet_new(struct soq_sim_host *from, uint8_t protocol,
	const struct soq__sim_addr *src, const struct soq__sim_addr *dst, size_t len)
{
	struct soq__sim_packet *p = soq__sim_realloc(NULL, sizeof(*p) + len);

	*p = (struct soq__sim_packet){ 0 };
	soq__timer_init(&p->arrival.timer);
	p->from = from;
	p->lives = from->lives;
	p->src = *src;
	p->dst = *dst;
	p->protocol = protocol;
	p->len = (uint32_t)len;
	return p;
}

void soq__sim_packet_free(struct soq__sim_packet *p)
{
	free(p);
}

static size_t header_bytes(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? SOQ__SIM_TCP_HEADER : SOQ__SIM_UDP_HEADER;
}

size_t soq__sim_packet_bytes(const struct soq__sim_packet *p)
{
	size_t ip = soq__sim_addr_is4(&p->dst) ? SOQ__SIM_IP4_HEADER : SOQ__SIM_IP6_HEADER;

	/* An ICMP message has as large a header as UDP, and quotes the packet that it is about:
	 * RFC 792. */
	if (p->protocol == IPPROTO_ICMP)
		return ip + SOQ__SIM_UDP_HEADER + ip + SOQ__SIM_UDP_HEADER;
	return ip + header_bytes(p->protocol) + p->len;
}

const char *soq__sim_fate_text(enum soq__sim_fate fate)
{
	static const char *const texts[SOQ__SIM_FATES] = {
		[SOQ__SIM_ARRIVES] = "arrives",
		[SOQ__SIM_LOST] = "lost",
		[SOQ__SIM_LOST_NTH] = "lost, as was asked for",
		[SOQ__SIM_QUEUE_FULL] = "dropped: the queue is full",
		[SOQ__SIM_CODEL] = "dropped: it has waited for too long",
		[SOQ__SIM_PARTITIONED] = "lost: a partition",
		[SOQ__SIM_NO_HOST] = "lost: no host has the address",
		[SOQ__SIM_HOST_DOWN] = "lost: the host is down",
		[SOQ__SIM_TOO_BIG] = "dropped: larger than the link's MTU",
	};

	return (unsigned)fate < SOQ__SIM_FATES ? texts[fate] : "?";
}
