/* dgram_option.c - broadcast, hops, multicast; see dgram.h. */
#include "net/dgram.h"
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>

int soq_dgram_set_broadcast(struct soq_dgram *d, bool on)
{
	return soq__set_int(&d->socket, SOL_SOCKET, SO_BROADCAST, on);
}

/* Set the option of the socket's family; a dual-stack socket takes both. */
static int set_both(struct soq_dgram *d, int option4, int option6, int value)
{
	int rc = d->family == AF_INET6 ? soq__set_int(&d->socket, IPPROTO_IPV6, option6, value)
				       : 0;
	int rc4;

	if (rc < 0 || d->family == AF_UNIX)
		return rc < 0 ? rc : -EOPNOTSUPP;
	rc4 = soq__set_int(&d->socket, IPPROTO_IP, option4, value);
	return d->family == AF_INET6 ? 0 : rc4;
}

int soq_dgram_set_hops(struct soq_dgram *d, unsigned hops)
{
	return hops > 255 ? -EINVAL : set_both(d, IP_TTL, IPV6_UNICAST_HOPS, (int)hops);
}

int soq_dgram_set_multicast_hops(struct soq_dgram *d, unsigned hops)
{
	return hops > 255 ? -EINVAL
			  : set_both(d, IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, (int)hops);
}

int soq_dgram_set_multicast_loop(struct soq_dgram *d, bool on)
{
	return set_both(d, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, on);
}

/* @return the interface's index, 0 for the system's choice, or a negative code */
static int interface_index(const struct soq_dgram *d, const char *interface)
{
	const struct soq__engine *e = d->worker->engine;
	unsigned index;

	if (!interface || !*interface)
		return 0;
	index = e->type->interface_index(e, interface);
	return index ? (int)index : -ENODEV;
}

int soq_dgram_set_multicast_interface(struct soq_dgram *d, const char *interface)
{
	int index = interface_index(d, interface);
	struct ip_mreqn request = { .imr_ifindex = index };

	if (index < 0)
		return index;
	if (d->family == AF_INET6)
		return soq__set_int(&d->socket, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
	return soq__type(d->worker)->set_option(
		&d->socket, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof(request));
}

/* Join or leave, by RFC 3678's request, which serves both families. */
static int membership(struct soq_dgram *d, const char *group, const char *interface, int option)
{
	struct group_req request = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	int index = interface_index(d, interface), level;

	if (index < 0)
		return index;
	request.gr_interface = (uint32_t)index;
	if (inet_pton(AF_INET, group, &in.sin_addr) == 1 &&
		IN_MULTICAST(ntohl(in.sin_addr.s_addr))) {
		*(struct sockaddr_in *)&request.gr_group = in;
		level = IPPROTO_IP;
	} else if (inet_pton(AF_INET6, group, &in6.sin6_addr) == 1 &&
		IN6_IS_ADDR_MULTICAST(&in6.sin6_addr)) {
		*(struct sockaddr_in6 *)&request.gr_group = in6;
		level = IPPROTO_IPV6;
	} else {
		return -EINVAL;
	}
	return soq__type(d->worker)->set_option(
		&d->socket, level, option, &request, sizeof(request));
}

int soq_dgram_join(struct soq_dgram *d, const char *group, const char *interface)
{
	return membership(d, group, interface, MCAST_JOIN_GROUP);
}

int soq_dgram_leave(struct soq_dgram *d, const char *group, const char *interface)
{
	return membership(d, group, interface, MCAST_LEAVE_GROUP);
}

static int set_buffer(struct soq_dgram *d, int option, size_t bytes)
{
	return soq__set_int(
		&d->socket, SOL_SOCKET, option, bytes > INT_MAX / 2 ? INT_MAX / 2 : (int)bytes);
}

int soq_dgram_set_recv_buffer(struct soq_dgram *d, size_t bytes)
{
	return set_buffer(d, SO_RCVBUF, bytes);
}

int soq_dgram_set_send_buffer(struct soq_dgram *d, size_t bytes)
{
	return set_buffer(d, SO_SNDBUF, bytes);
}
