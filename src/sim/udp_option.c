/* udp_option.c - what a datagram socket of the simulated Internet can be asked and told.
 *
 * Source: socket(7), ip(7), ipv6(7), udp(7), RFC 3678 (MCAST_JOIN_GROUP); Linux's limits and
 * defaults.
 */
#include "sim/udp.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

#define TTL 64

/* ---- numbers ---- */

enum kind {
	FLAG,	/* whatever is not 0 is 1 */
	STRICT, /* 0 or 1 */
	HOPS,	/* up to 255; -1 is the default */
	NUMBER,
};

struct option {
	int level;
	int option;
	enum soq__sim_udp_value value;
	enum kind kind;
	int initial;
	int least, most; /* of HOPS and NUMBER */
};

static const struct option options[] = {
	{ SOL_SOCKET, SO_BROADCAST, SOQ__SIM_UDP_BROADCAST, FLAG, 0, 0, 0 },
	{ IPPROTO_IP, IP_TTL, SOQ__SIM_UDP_TTL, HOPS, TTL, 1, 255 },
	{ IPPROTO_IP, IP_MULTICAST_TTL, SOQ__SIM_UDP_TTL_MULTICAST, HOPS, 1, 0, 255 },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, SOQ__SIM_UDP_LOOP, FLAG, 1, 0, 0 },
	{ IPPROTO_IP, IP_MULTICAST_ALL, SOQ__SIM_UDP_ALL, STRICT, 1, 0, 0 },
	{ IPPROTO_IP, IP_PKTINFO, SOQ__SIM_UDP_PKTINFO, FLAG, 0, 0, 0 },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, SOQ__SIM_UDP_HOPS6, HOPS, TTL, 0, 255 },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS, SOQ__SIM_UDP_HOPS6_MULTICAST, HOPS, 1, 0, 255 },
	{ IPPROTO_IPV6, IPV6_MULTICAST_LOOP, SOQ__SIM_UDP_LOOP6, STRICT, 1, 0, 0 },
	{ IPPROTO_IPV6, IPV6_MULTICAST_ALL, SOQ__SIM_UDP_ALL6, STRICT, 1, 0, 0 },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, SOQ__SIM_UDP_PKTINFO6, FLAG, 0, 0, 0 },
	{ IPPROTO_UDP, SOQ__SIM_UDP_SEGMENT_OPTION, SOQ__SIM_UDP_SEGMENT, NUMBER, 0, 0,
		USHRT_MAX },
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

void soq__sim_udp_options_init(struct soq__sim_udp_socket *s)
{
	size_t bytes = soq__min_size(s->base.host->sim->opt.buffer_bytes, INT_MAX);

	for (size_t i = 0; i < OPTIONS; i++)
		s->values[options[i].value] = options[i].initial;
	s->recv_buffer = s->send_buffer = (int)bytes;
}

static const struct option *find(int level, int option)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (options[i].level == level && options[i].option == option)
			return &options[i];
	return NULL;
}

static int set_number(struct soq__sim_udp_socket *s, const struct option *o, int value)
{
	if (o->kind == STRICT && value != 0 && value != 1)
		return -EINVAL;
	if (o->kind == FLAG)
		value = value != 0;
	if (o->kind == HOPS && value == -1)
		value = o->initial;
	if ((o->kind == HOPS || o->kind == NUMBER) && (value < o->least || value > o->most))
		return -EINVAL;
	s->values[o->value] = value;
	return 0;
}

/* ip(7): an option of IPv4 may be a byte, too. */
static int take_number(int level, const void *value, socklen_t len, int *ret)
{
	if (level != IPPROTO_IP || len == 0 || len >= sizeof(*ret))
		return soq__sim_take_int(value, len, ret);
	*ret = *(const unsigned char *)value;
	return 0;
}

/* ---- those of the socket ---- */

static int set_of_socket(struct soq__sim_udp_socket *s, int option, int value)
{
	switch (option) {
	case SO_REUSEADDR:
		s->bound.reuse_addr = value != 0;
		return 0;
	case SO_REUSEPORT:
		s->bound.reuse_port = value != 0;
		return 0;
	case SO_RCVBUF:
		s->recv_buffer = soq__sim_doubled(value, SOQ__SIM_RCVBUF_LEAST);
		return 0;
	case SO_SNDBUF:
		s->send_buffer = soq__sim_doubled(value, SOQ__SIM_SNDBUF_LEAST);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_of_socket(struct soq__sim_udp_socket *s, int option, void *value, socklen_t *len)
{
	switch (option) {
	case SO_REUSEADDR:
		return soq__sim_put_int(value, len, s->bound.reuse_addr);
	case SO_REUSEPORT:
		return soq__sim_put_int(value, len, s->bound.reuse_port);
	case SO_RCVBUF:
		return soq__sim_put_int(value, len, s->recv_buffer);
	case SO_SNDBUF:
		return soq__sim_put_int(value, len, s->send_buffer);
	case SO_ACCEPTCONN:
		return soq__sim_put_int(value, len, 0);
	case SO_ERROR:
		return soq__sim_put_int(value, len, (int)-soq__sim_udp_take_error(s));
	default:
		return -ENOPROTOOPT;
	}
}

static int set_v6only(struct soq__sim_udp_socket *s, int value)
{
	if (s->bound.socket)
		return -EINVAL;
	s->bound.v6only = value != 0;
	return 0;
}

static int set_interface6(struct soq__sim_udp_socket *s, int value)
{
	if (value < 0 || value > SOQ__SIM_ETH0)
		return -ENODEV;
	s->values[SOQ__SIM_UDP_INTERFACE6] = value;
	return 0;
}

/* ---- groups ---- */

static struct soq__sim_addr mapped(struct in_addr addr)
{
	struct soq__sim_addr ret = { .ip = { [10] = 0xff, 0xff } };

	memcpy(ret.ip + 12, &addr, sizeof(addr));
	return ret;
}

/* Which interface a request of IPv4 means: by index, else by an address that it has.
 * @return its index, 0 for the host's choice, or a negative code */
static int find_interface(const struct soq_sim_host *host, const struct ip_mreqn *request)
{
	struct soq__sim_addr addr = mapped(request->imr_address);

	if (request->imr_ifindex != 0)
		return request->imr_ifindex == SOQ__SIM_LO ||
				request->imr_ifindex == SOQ__SIM_ETH0
			? request->imr_ifindex
			: -ENODEV;
	if (soq__sim_addr_is_any(&addr))
		return 0;
	if (soq__sim_addr_is_loopback(&addr))
		return SOQ__SIM_LO;
	return soq__sim_host_has(host, &addr) ? SOQ__SIM_ETH0 : -ENODEV;
}

/* struct ip_mreqn, or the older struct ip_mreq, which is its beginning. */
static int take_request(const void *value, socklen_t len, struct ip_mreqn *ret)
{
	*ret = (struct ip_mreqn){ .imr_ifindex = 0 };
	if (len < sizeof(struct ip_mreq))
		return -EINVAL;
	memcpy(ret, value, soq__min_size(len, sizeof(*ret)));
	if (len < sizeof(*ret))
		ret->imr_ifindex = 0;
	return 0;
}

static int set_interface4(struct soq__sim_udp_socket *s, const void *value, socklen_t len)
{
	struct ip_mreqn request = { .imr_ifindex = 0 };
	int rc = 0;

	if (len >= sizeof(struct ip_mreq))
		rc = take_request(value, len, &request);
	else if (len >= sizeof(request.imr_address))
		memcpy(&request.imr_address, value, sizeof(request.imr_address));
	else
		rc = -EINVAL;
	if (rc == 0)
		rc = find_interface(s->base.host, &request);
	if (rc < 0)
		return rc == -ENODEV ? -EADDRNOTAVAIL : rc;
	s->interface4 = (unsigned)rc;
	return 0;
}

static int change_membership(struct soq__sim_udp_socket *s, const struct soq__sim_addr *group,
	int interface, bool join)
{
	if (join && !soq__sim_addr_is_multicast(group))
		return -EINVAL;
	if (join && interface < 0)
		return interface;
	/* Leaving by an interface that there is not is leaving what was not joined. */
	if (interface < 0)
		return -EADDRNOTAVAIL;
	return join ? soq__sim_udp_join(s, group, (unsigned)interface)
		    : soq__sim_udp_leave(s, group, (unsigned)interface);
}

static int membership4(
	struct soq__sim_udp_socket *s, const void *value, socklen_t len, bool join)
{
	struct ip_mreqn request;
	struct soq__sim_addr group;
	int rc = take_request(value, len, &request);

	if (rc < 0)
		return rc;
	group = mapped(request.imr_multiaddr);
	return change_membership(s, &group, find_interface(s->base.host, &request), join);
}

static int known_interface(unsigned index)
{
	return index <= SOQ__SIM_ETH0 ? (int)index : -ENODEV;
}

static int membership6(
	struct soq__sim_udp_socket *s, const void *value, socklen_t len, bool join)
{
	struct ipv6_mreq request;
	struct soq__sim_addr group = { .port = 0 };

	if (len < sizeof(request))
		return -EINVAL;
	memcpy(&request, value, sizeof(request));
	memcpy(group.ip, &request.ipv6mr_multiaddr, sizeof(group.ip));
	if (group.ip[0] != 0xff)
		return -EINVAL;
	return change_membership(s, &group, known_interface(request.ipv6mr_interface), join);
}

/* RFC 3678's request, of either family. */
static int membership(
	struct soq__sim_udp_socket *s, int level, const void *value, socklen_t len, bool join)
{
	struct group_req request;
	struct sockaddr_storage *name = &request.gr_group;
	struct soq__sim_addr group = { .port = 0 };

	if (len < sizeof(request))
		return -EINVAL;
	memcpy(&request, value, sizeof(request));
	if (level == IPPROTO_IP) {
		if (name->ss_family != AF_INET)
			return -EINVAL;
		group = mapped(((struct sockaddr_in *)name)->sin_addr);
	} else {
		if (name->ss_family != AF_INET6)
			return -EADDRNOTAVAIL;
		memcpy(group.ip, &((struct sockaddr_in6 *)name)->sin6_addr, sizeof(group.ip));
		if (group.ip[0] != 0xff)
			return -EINVAL;
	}
	return change_membership(s, &group, known_interface(request.gr_interface), join);
}

/* ---- all of them ---- */

/* Those that are no numbers. @return -ENOPROTOOPT for others */
static int set_special(
	struct soq__sim_udp_socket *s, int level, int option, const void *value, socklen_t len)
{
	bool is6 = level == IPPROTO_IPV6;

	if (!is6 && level != IPPROTO_IP)
		return -ENOPROTOOPT;
	if (option == MCAST_JOIN_GROUP || option == MCAST_LEAVE_GROUP)
		return membership(s, level, value, len, option == MCAST_JOIN_GROUP);
	if (is6 && (option == IPV6_ADD_MEMBERSHIP || option == IPV6_DROP_MEMBERSHIP))
		return membership6(s, value, len, option == IPV6_ADD_MEMBERSHIP);
	if (is6)
		return -ENOPROTOOPT;
	if (option == IP_ADD_MEMBERSHIP || option == IP_DROP_MEMBERSHIP)
		return membership4(s, value, len, option == IP_ADD_MEMBERSHIP);
	return option == IP_MULTICAST_IF ? set_interface4(s, value, len) : -ENOPROTOOPT;
}

static bool is_number(int level, int option)
{
	return level == SOL_SOCKET || find(level, option) ||
		(level == IPPROTO_IPV6 &&
			(option == IPV6_V6ONLY || option == IPV6_MULTICAST_IF));
}

int soq__sim_udp_set_option(
	struct soq__sim_socket *base, int level, int option, const void *value, socklen_t len)
{
	struct soq__sim_udp_socket *s = soq__sim_udp_of(base);
	const struct option *o = find(level, option);
	int number, rc;

	/* UDP_GRO among them: nothing here joins datagrams. */
	if ((level == IPPROTO_IPV6 && base->family != AF_INET6) || (level == IPPROTO_UDP && !o))
		return -ENOPROTOOPT;
	if (!is_number(level, option))
		return set_special(s, level, option, value, len);
	rc = take_number(level, value, len, &number);
	if (rc < 0)
		return rc;
	if (o)
		return set_number(s, o, number);
	if (level == SOL_SOCKET)
		return set_of_socket(s, option, number);
	return option == IPV6_V6ONLY ? set_v6only(s, number) : set_interface6(s, number);
}

int soq__sim_udp_get_option(
	const struct soq__sim_socket *base, int level, int option, void *value, socklen_t *len)
{
	struct soq__sim_udp_socket *s = soq__sim_udp_of(base);
	const struct option *o = find(level, option);

	if (level == IPPROTO_IPV6 && base->family != AF_INET6)
		return -ENOPROTOOPT;
	if (o)
		return soq__sim_put_int(value, len, s->values[o->value]);
	if (level == SOL_SOCKET)
		return get_of_socket(s, option, value, len);
	if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY)
		return soq__sim_put_int(value, len, s->bound.v6only);
	if (level == IPPROTO_IPV6 && option == IPV6_MULTICAST_IF)
		return soq__sim_put_int(value, len, s->values[SOQ__SIM_UDP_INTERFACE6]);
	return -ENOPROTOOPT;
}
