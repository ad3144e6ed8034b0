/* udp_send.c - from a message to packets.
 *
 * Source: udp(7) (UDP_SEGMENT), ip(7) (IP_PKTINFO, IP_MULTICAST_IF), ipv6(7), RFC 3542 section
 * 6; Linux's udp_sendmsg() and ip_route_output_key() for the errors.
 */
#include "sim/udp.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_MAX   65535 /* what UDP's header can say, itself included */
#define IP4_MAX	     65535
#define SEGMENTS_MAX 64 /* UDP_MAX_SEGMENTS, before Linux made it 128 */
#define KNOWN_FLAGS  (MSG_NOSIGNAL | MSG_DONTWAIT | MSG_CONFIRM | MSG_EOR)

/* What goes out, as far as the message has said it. */
struct sending {
	struct soq__sim_addr to;
	struct soq__sim_addr from; /* asked for: else the wildcard */
	unsigned interface;	   /* 0: not asked for */
	int hops;		   /* -1: the socket's */
	size_t segment;		   /* 0: one datagram */
};

/* ---- where to ---- */

static void to_loopback(struct soq__sim_addr *addr)
{
	if (soq__sim_addr_is4(addr))
		addr->ip[12] = 127;
	addr->ip[15] = 1;
}

int soq__sim_udp_destination(const struct soq__sim_udp_socket *s, const struct soq_addr *name,
	struct soq__sim_addr *ret)
{
	const struct soq__sim_addr *local = &s->bound.local;
	struct soq__sim_addr to;
	int rc;

	if (s->base.family == AF_INET && name->sa.sa_family == AF_INET6)
		return -EAFNOSUPPORT;
	rc = soq__sim_addr_from(&to, name);
	if (rc < 0)
		return rc;
	if (soq__sim_addr_is4(&to)) {
		if (s->bound.v6only ||
			(!soq__sim_addr_is4(local) && !soq__sim_addr_is_any(local)))
			return -ENETUNREACH;
	} else if (soq__sim_addr_is4(local)) {
		return -EAFNOSUPPORT;
	}
	if (soq__sim_addr_is_any(&to))
		to_loopback(&to);
	*ret = to;
	return 0;
}

/* ---- where from ---- */

static bool is_group(const struct soq__sim_addr *addr)
{
	return soq__sim_addr_is_multicast(addr) || soq__sim_addr_is_broadcast(addr);
}

/* Whether an asked source will do. The kernel's codes differ by family. */
static int check_source(const struct soq_sim_host *host, const struct soq__sim_addr *from)
{
	if (is_group(from))
		return -EINVAL;
	if (soq__sim_addr_is_loopback(from) || soq__sim_host_has(host, from))
		return 0;
	return soq__sim_addr_is4(from) ? -ENETUNREACH : -EINVAL;
}

static unsigned interface_towards(const struct soq__sim_udp_socket *s,
	const struct soq__sim_addr *to, const struct soq__sim_addr *from)
{
	bool is4 = soq__sim_addr_is4(to);
	unsigned chosen = is4 ? s->interface4 : (unsigned)s->values[SOQ__SIM_UDP_INTERFACE6];

	if (!is_group(to))
		return soq__sim_addr_is_loopback(to) || soq__sim_host_has(s->base.host, to)
			? SOQ__SIM_LO
			: SOQ__SIM_ETH0;
	/* ff01::/16 is of the interface, that is, of the host. */
	if (!is4 && (to->ip[1] & 0x0f) == 1)
		return SOQ__SIM_LO;
	if (chosen > 0 && soq__sim_addr_is_multicast(to))
		return chosen;
	return soq__sim_addr_is_loopback(from) ? SOQ__SIM_LO : SOQ__SIM_ETH0;
}

int soq__sim_udp_route(const struct soq__sim_udp_socket *s, const struct soq__sim_addr *to,
	struct soq__sim_addr *ret, unsigned *interface)
{
	struct soq__sim_addr from = *ret;
	int rc;

	if (soq__sim_addr_is_any(&from) && !is_group(&s->bound.local))
		from = s->bound.local;
	if (soq__sim_addr_is_any(&from) && !soq__sim_source_for(s->base.host, to, &from))
		return -ENETUNREACH;
	rc = check_source(s->base.host, &from);
	if (rc < 0)
		return rc;
	if (*interface == 0 || !is_group(to))
		*interface = interface_towards(s, to, &from);
	/* What is sent from 127.0.0.1 does not leave the host. */
	if (*interface != SOQ__SIM_LO && soq__sim_addr_is_loopback(&from))
		return -EINVAL;
	*ret = from;
	return 0;
}

/* ---- control messages ---- */

static int take_interface(struct sending *out, unsigned index)
{
	if (index > SOQ__SIM_ETH0)
		return -ENODEV;
	if (index > 0)
		out->interface = index;
	return 0;
}

static int take_pktinfo(struct sending *out, const struct cmsghdr *c)
{
	struct in_pktinfo info;

	if (c->cmsg_len != CMSG_LEN(sizeof(info)))
		return -EINVAL;
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	out->from = (struct soq__sim_addr){ .ip = { [10] = 0xff, 0xff } };
	memcpy(out->from.ip + 12, &info.ipi_spec_dst, 4);
	return take_interface(out, (unsigned)info.ipi_ifindex);
}

static int take_pktinfo6(struct sending *out, const struct cmsghdr *c)
{
	struct in6_pktinfo info;
	struct soq__sim_addr from = { .port = 0 };

	if (c->cmsg_len != CMSG_LEN(sizeof(info)))
		return -EINVAL;
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	memcpy(from.ip, &info.ipi6_addr, sizeof(from.ip));
	if (!soq__sim_addr_is_any(&from) &&
		soq__sim_addr_is4(&from) != soq__sim_addr_is4(&out->to))
		return -EINVAL;
	out->from = from;
	return take_interface(out, info.ipi6_ifindex);
}

static int take_hops(struct sending *out, const struct cmsghdr *c, int least)
{
	int hops;

	if (c->cmsg_len != CMSG_LEN(sizeof(hops)))
		return -EINVAL;
	memcpy(&hops, CMSG_DATA(c), sizeof(hops));
	if (hops < least || hops > 255)
		return -EINVAL;
	out->hops = hops;
	return 0;
}

static int take_segment(struct sending *out, const struct cmsghdr *c)
{
	uint16_t bytes;

	if (c->cmsg_type != SOQ__SIM_UDP_SEGMENT_OPTION ||
		c->cmsg_len != CMSG_LEN(sizeof(bytes)))
		return -EINVAL;
	memcpy(&bytes, CMSG_DATA(c), sizeof(bytes));
	out->segment = bytes;
	return 0;
}

/* One control message. What is of the other family is passed over, as the kernel does. */
static int take_control(
	const struct soq__sim_udp_socket *s, struct sending *out, const struct cmsghdr *c)
{
	bool is4 = soq__sim_addr_is4(&out->to), takes6 = s->base.family == AF_INET6;

	if (c->cmsg_level == IPPROTO_UDP)
		return take_segment(out, c);
	if (c->cmsg_level == SOL_SOCKET)
		return -EINVAL;
	if (c->cmsg_level == IPPROTO_IP && is4) {
		if (c->cmsg_type == IP_PKTINFO)
			return take_pktinfo(out, c);
		return c->cmsg_type == IP_TTL ? take_hops(out, c, 1) : -EINVAL;
	}
	if (c->cmsg_level == IPPROTO_IPV6 && takes6) {
		if (c->cmsg_type == IPV6_PKTINFO)
			return take_pktinfo6(out, c);
		if (is4)
			return 0;
		return c->cmsg_type == IPV6_HOPLIMIT ? take_hops(out, c, -1) : -EINVAL;
	}
	return 0;
}

static int take_controls(
	const struct soq__sim_udp_socket *s, struct sending *out, const struct msghdr *msg)
{
	struct msghdr all = *msg;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&all); c; c = CMSG_NXTHDR(&all, c)) {
		int rc;

		if (c->cmsg_len < CMSG_LEN(0) ||
			c->cmsg_len > all.msg_controllen -
					(size_t)((char *)c - (char *)all.msg_control))
			return -EINVAL;
		rc = take_control(s, out, c);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- what the message says ---- */

static int named_destination(const struct soq__sim_udp_socket *s, const struct msghdr *msg,
	struct soq__sim_addr *ret)
{
	struct soq_addr name = { .len = msg->msg_namelen };
	int rc;

	if (msg->msg_namelen > sizeof(name.un) || msg->msg_namelen < sizeof(sa_family_t))
		return -EINVAL;
	memcpy(&name.sa, msg->msg_name, msg->msg_namelen);
	/* A name without a family is none on an IPv6 socket, and of IPv4 on another. */
	if (name.sa.sa_family == AF_UNSPEC && s->base.family == AF_INET6) {
		if (!s->bound.peer)
			return -EDESTADDRREQ;
		*ret = s->peer;
		return 0;
	}
	if (name.sa.sa_family == AF_UNSPEC)
		name.sa.sa_family = AF_INET;
	rc = soq__sim_udp_destination(s, &name, ret);
	return rc == 0 && ret->port == 0 ? -EINVAL : rc;
}

static int read_message(
	const struct soq__sim_udp_socket *s, struct sending *out, const struct msghdr *msg)
{
	int rc = 0;

	out->hops = -1;
	out->segment = (size_t)s->values[SOQ__SIM_UDP_SEGMENT];
	if (msg->msg_name && msg->msg_namelen > 0)
		rc = named_destination(s, msg, &out->to);
	else if (s->bound.peer)
		out->to = s->peer;
	else
		rc = -EDESTADDRREQ;
	if (rc == 0)
		rc = take_controls(s, out, msg);
	if (rc == 0 && soq__sim_addr_is_broadcast(&out->to) &&
		!s->values[SOQ__SIM_UDP_BROADCAST])
		rc = -EACCES;
	return rc;
}

/* Whether so many bytes can be sent at all, and so many segments. */
static int check_size(
	const struct soq__sim_udp_socket *s, const struct sending *out, size_t len)
{
	bool is4 = soq__sim_addr_is4(&out->to);
	size_t header = (is4 ? SOQ__SIM_IP4_HEADER : SOQ__SIM_IP6_HEADER) + SOQ__SIM_UDP_HEADER;
	size_t most = is4 ? IP4_MAX - header : LENGTH_MAX - SOQ__SIM_UDP_HEADER;

	if (len > most)
		return -EMSGSIZE;
	if (out->segment == 0)
		return 0;
	if (header + soq__min_size(len, out->segment) > soq__sim_mtu(s->base.host, &out->to))
		return -EMSGSIZE;
	return len > out->segment * SEGMENTS_MAX ? -EINVAL : 0;
}

/* ---- sending ---- */

static int hops_of(const struct soq__sim_udp_socket *s, const struct sending *out)
{
	bool is4 = soq__sim_addr_is4(&out->to);

	if (out->hops >= 0)
		return out->hops;
	if (soq__sim_addr_is_multicast(&out->to))
		return s->values[is4 ? SOQ__SIM_UDP_TTL_MULTICAST
				     : SOQ__SIM_UDP_HOPS6_MULTICAST];
	return s->values[is4 ? SOQ__SIM_UDP_TTL : SOQ__SIM_UDP_HOPS6];
}

static bool hears(const struct soq__sim_udp_socket *s, const struct soq_sim_host *host,
	const struct sending *out)
{
	bool is_own = host == s->base.host, is4 = soq__sim_addr_is4(&out->to);

	if (!is_own && (out->interface == SOQ__SIM_LO || hops_of(s, out) == 0))
		return false;
	if (soq__sim_addr_is_broadcast(&out->to))
		return true;
	if (is_own && !s->values[is4 ? SOQ__SIM_UDP_LOOP : SOQ__SIM_UDP_LOOP6])
		return false;
	return soq__sim_udp_is_member(host, &out->to, out->interface);
}

static struct soq__sim_packet *copy_packet(const struct soq__sim_packet *p)
{
	struct soq__sim_packet *copy =
		soq__sim_packet_new(p->from, p->protocol, &p->src, &p->dst, p->len);

	copy->hops = p->hops;
	memcpy(copy->data, p->data, p->len);
	return copy;
}

/* To each host that has joined, a packet with a fate of its own. */
static void send_to_group(const struct soq__sim_udp_socket *s, const struct sending *out,
	struct soq__sim_packet *p)
{
	const struct soq_sim *sim = s->base.host->sim;

	for (size_t i = 0; i < sim->host_count; i++)
		if (hears(s, sim->hosts[i], out))
			soq__sim_send_to(copy_packet(p), sim->hosts[i]);
	soq__sim_packet_free(p);
}

static void send_datagram(const struct soq__sim_udp_socket *s, const struct sending *out,
	const void *data, size_t len)
{
	struct soq__sim_packet *p =
		soq__sim_packet_new(s->base.host, IPPROTO_UDP, &out->from, &out->to, len);

	p->hops = (uint8_t)hops_of(s, out);
	memcpy(p->data, data, len);
	if (is_group(&out->to))
		send_to_group(s, out, p);
	else
		soq__sim_send(p);
}

static void send_datagrams(const struct soq__sim_udp_socket *s, const struct sending *out,
	const struct msghdr *msg, size_t len)
{
	char *data = soq__sim_alloc(len > 0 ? len : 1);
	size_t at = 0;

	soq__sim_gather(data, len, msg);
	do {
		size_t n = out->segment ? soq__min_size(out->segment, len - at) : len;

		send_datagram(s, out, data + at, n);
		at += n;
	} while (at < len);
	free(data);
}

int64_t soq__sim_udp_send(struct soq__sim_udp_socket *s, const struct msghdr *msg, int flags)
{
	struct sending out = { .to = { .port = 0 } };
	size_t len = soq__sim_iov_bytes(msg);
	int64_t rc = soq__sim_udp_autobind(s);

	if (rc < 0)
		return rc;
	if (flags & ~KNOWN_FLAGS)
		return -EOPNOTSUPP;
	if (len > LENGTH_MAX)
		return -EMSGSIZE;
	rc = read_message(s, &out, msg);
	if (rc == 0)
		rc = soq__sim_udp_route(s, &out.to, &out.from, &out.interface);
	if (rc == 0)
		rc = soq__sim_udp_take_error(s);
	if (rc == 0 && s->shut & SOQ__SIM_OUT)
		rc = -EPIPE;
	if (rc == 0)
		rc = check_size(s, &out, len);
	if (rc < 0)
		return rc;
	out.from.port = s->bound.local.port;
	send_datagrams(s, &out, msg, len);
	return (int64_t)len;
}
