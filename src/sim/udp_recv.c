/* udp_recv.c - from a packet to the sockets that want it, and from a queue to a message.
 *
 * Source: RFC 1122 section 4.1.3 (errors, port unreachable), recvmsg(2), ip(7) (IP_PKTINFO),
 * RFC 3542 section 6.2 (IPV6_PKTINFO); Linux's __udp4_lib_rcv(), __udp4_lib_err().
 */
#include "sim/udp.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What waits to be received. */
struct datagram {
	struct soq__list node;
	struct soq__sim_addr src, dst;
	uint8_t interface;
	uint32_t len;
	char data[];
};

/* ---- arrival ---- */

/* The interface that a packet came by, as IP_PKTINFO tells it: for one to an address, where
 * that address is. */
static unsigned interface_of(const struct soq_sim_host *host, const struct soq__sim_packet *p)
{
	if (!soq__sim_addr_is_multicast(&p->dst))
		return soq__sim_addr_is_loopback(&p->dst) ? SOQ__SIM_LO : SOQ__SIM_ETH0;
	return p->from == host && !soq__sim_udp_is_member(host, &p->dst, SOQ__SIM_ETH0)
		? SOQ__SIM_LO
		: SOQ__SIM_ETH0;
}

static void note_full(const struct soq__sim_udp_socket *s, const struct soq__sim_packet *p)
{
	char from[SOQ_ADDR_TEXT_MAX], to[SOQ_ADDR_TEXT_MAX];

	soq__sim_note(s->base.host->sim, s->base.host,
		"drops a datagram of %u bytes from %s to %s: the socket's buffer is full",
		(unsigned)p->len, soq__sim_addr_text(from, &p->src),
		soq__sim_addr_text(to, &p->dst));
}

static void deliver(struct soq__sim_udp_socket *s, const struct soq__sim_packet *p)
{
	struct datagram *d;

	/* As in Linux, what goes over the limit is the last that comes in. */
	if (s->queued_bytes > (size_t)s->recv_buffer) {
		note_full(s, p);
		return;
	}
	d = soq__sim_alloc(sizeof(*d) + p->len);
	d->src = p->src;
	d->dst = p->dst;
	d->interface = (uint8_t)interface_of(s->base.host, p);
	d->len = p->len;
	memcpy(d->data, p->data, p->len);
	soq__list_append(&s->queue, &d->node);
	s->queued_bytes += p->len + SOQ__SIM_UDP_OVERHEAD;
	soq__sim_changed(&s->base, SOQ__SIM_IN);
}

/* Whether a socket gets a copy of what goes to a group or to everybody. */
static bool takes_copy(const struct soq__sim_bound *b, const struct soq__sim_packet *p)
{
	bool is4 = soq__sim_addr_is4(&p->dst);

	if (b->peer && !soq__sim_same_addr(b->peer, &p->src))
		return false;
	if (soq__sim_addr_is_multicast(&p->dst) &&
		!soq__sim_udp_wants(soq__sim_udp_of(b->socket), &p->dst))
		return false;
	if (!soq__sim_addr_is_any(&b->local))
		return soq__sim_same_ip(&b->local, &p->dst);
	if (soq__sim_addr_is4(&b->local))
		return is4;
	return !is4 || !b->v6only;
}

static void deliver_copies(struct soq_sim_host *host, const struct soq__sim_packet *p)
{
	struct soq__sim_bound *b = NULL;

	/* The host may have left the group while the packet was on its way. */
	if (soq__sim_addr_is_multicast(&p->dst) &&
		!soq__sim_udp_is_member(host, &p->dst, SOQ__SIM_ETH0) &&
		!soq__sim_udp_is_member(host, &p->dst, SOQ__SIM_LO))
		return;
	while ((b = soq__sim_port_next(host, p->dst.port, b)))
		if (takes_copy(b, p))
			deliver(soq__sim_udp_of(b->socket), p);
}

void soq__sim_udp_input(struct soq_sim_host *host, struct soq__sim_packet *p)
{
	struct soq__sim_bound *b;

	if (soq__sim_addr_is_multicast(&p->dst) || soq__sim_addr_is_broadcast(&p->dst)) {
		deliver_copies(host, p);
	} else {
		b = soq__sim_port_owner(host, IPPROTO_UDP, &p->dst, &p->src);
		if (b)
			deliver(soq__sim_udp_of(b->socket), p);
		else
			soq__sim_send_error(host, p, ECONNREFUSED);
	}
	soq__sim_packet_free(p);
}

/* Only a refusal is final, and only a connected socket is told (udp(7), IP_RECVERR). */
void soq__sim_udp_error(struct soq_sim_host *host, const struct soq__sim_packet *icmp)
{
	struct soq__sim_bound *b =
		soq__sim_port_owner(host, IPPROTO_UDP, &icmp->dst, &icmp->src);
	struct soq__sim_udp_socket *s;

	if (!b || !b->peer || icmp->icmp_error != ECONNREFUSED)
		return;
	s = soq__sim_udp_of(b->socket);
	s->error = icmp->icmp_error;
	soq__sim_changed(&s->base, SOQ__SIM_IN | SOQ__SIM_OUT);
}

/* ---- receiving ---- */

static void put_name(struct msghdr *msg, const struct datagram *d, int family)
{
	struct soq_addr name;

	if (!msg->msg_name)
		return;
	soq__sim_addr_to(&name, &d->src, family);
	memcpy(msg->msg_name, &name.sa, soq__min_size(name.len, msg->msg_namelen));
	msg->msg_namelen = name.len;
}

/* The address that a reply should come from: a group's cannot be a source. */
static struct in_addr spec_dst(const struct soq__sim_udp_socket *s, const struct datagram *d)
{
	struct soq__sim_addr from = d->dst;
	struct in_addr ret = { 0 };

	if ((soq__sim_addr_is_multicast(&d->dst) || soq__sim_addr_is_broadcast(&d->dst)) &&
		!soq__sim_source_for(s->base.host, &d->src, &from))
		return ret;
	memcpy(&ret, from.ip + 12, sizeof(ret));
	return ret;
}

static void put_pktinfo(struct msghdr *msg, size_t room, const struct soq__sim_udp_socket *s,
	const struct datagram *d)
{
	bool is4 = soq__sim_addr_is4(&d->dst);

	if (s->base.family == AF_INET6 && s->values[SOQ__SIM_UDP_PKTINFO6]) {
		struct in6_pktinfo info = { .ipi6_ifindex = d->interface };

		memcpy(&info.ipi6_addr, d->dst.ip, sizeof(d->dst.ip));
		soq__sim_put_control(
			msg, room, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (is4 && s->values[SOQ__SIM_UDP_PKTINFO]) {
		struct in_pktinfo info = { .ipi_ifindex = d->interface,
			.ipi_spec_dst = spec_dst(s, d) };

		memcpy(&info.ipi_addr, d->dst.ip + 12, sizeof(info.ipi_addr));
		soq__sim_put_control(msg, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
}

static void drop(struct soq__sim_udp_socket *s, struct datagram *d)
{
	soq__list_remove(&d->node);
	s->queued_bytes -= d->len + SOQ__SIM_UDP_OVERHEAD;
	free(d);
}

int64_t soq__sim_udp_recv(struct soq__sim_udp_socket *s, struct msghdr *msg, int flags)
{
	size_t room = msg->msg_control ? msg->msg_controllen : 0, n;
	struct datagram *d;
	int64_t rc;

	if (flags & MSG_ERRQUEUE)
		return -EOPNOTSUPP;
	rc = soq__sim_udp_take_error(s);
	if (rc < 0)
		return rc;
	if (soq__list_empty(&s->queue) && !(s->shut & SOQ__SIM_IN))
		return -EAGAIN;
	msg->msg_controllen = 0;
	msg->msg_flags = 0;
	if (soq__list_empty(&s->queue)) {
		msg->msg_namelen = 0;
		return 0;
	}
	d = soq__container_of(s->queue.next, struct datagram, node);
	n = soq__sim_scatter(msg, d->data, d->len);
	if (n < d->len)
		msg->msg_flags |= MSG_TRUNC;
	put_name(msg, d, s->base.family);
	put_pktinfo(msg, room, s, d);
	rc = flags & MSG_TRUNC ? (int64_t)d->len : (int64_t)n;
	if (!(flags & MSG_PEEK))
		drop(s, d);
	return rc;
}

void soq__sim_udp_purge(struct soq__sim_udp_socket *s)
{
	soq__list_for_each (node, &s->queue)
		drop(s, soq__container_of(node, struct datagram, node));
}
