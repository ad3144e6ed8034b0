/* udp_group.c - who has joined which multicast group.
 *
 * A socket lists what it has joined; its host counts how many of its sockets have joined a
 * group at an interface, and is sent what goes to the group while there is one.
 *
 * Source: RFC 1112, RFC 4291 section 2.7.1, RFC 3678; ip(7), ipv6(7).
 */
#include "sim/udp.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERSHIPS_MAX 20 /* of a socket, IPv4: Linux's igmp_max_memberships */

/* Of a host. */
struct group {
	struct soq__list node;
	struct soq__sim_addr addr;
	unsigned interface;
	unsigned sockets;
};

struct membership {
	struct soq__list node; /* of the socket's */
	struct group *group;
};

struct soq__sim_udp {
	struct soq__list groups; /* with sockets > 0 */
};

struct soq__sim_udp *soq__sim_udp_new(void)
{
	struct soq__sim_udp *udp = soq__sim_alloc(sizeof(*udp));

	soq__list_init(&udp->groups);
	return udp;
}

void soq__sim_udp_free(struct soq__sim_udp *udp)
{
	struct soq__list *node;

	if (!udp)
		return;
	while ((node = soq__list_pop(&udp->groups)))
		free(soq__container_of(node, struct group, node));
	free(udp);
}

static struct group *find_group(
	const struct soq_sim_host *host, const struct soq__sim_addr *addr, unsigned interface)
{
	soq__list_for_each (node, &host->udp->groups) {
		struct group *g = soq__container_of(node, struct group, node);

		if (g->interface == interface && soq__sim_same_ip(&g->addr, addr))
			return g;
	}
	return NULL;
}

static struct group *enter_group(
	struct soq_sim_host *host, const struct soq__sim_addr *addr, unsigned interface)
{
	struct group *g = find_group(host, addr, interface);

	if (!g) {
		g = soq__sim_alloc(sizeof(*g));
		g->addr = *addr;
		g->interface = interface;
		soq__list_append(&host->udp->groups, &g->node);
	}
	g->sockets++;
	return g;
}

static void leave_group(struct group *g)
{
	if (--g->sockets > 0)
		return;
	soq__list_remove(&g->node);
	free(g);
}

/* @interface  0: any */
static struct membership *find_membership(const struct soq__sim_udp_socket *s,
	const struct soq__sim_addr *group, unsigned interface)
{
	soq__list_for_each (node, &s->memberships) {
		struct membership *m = soq__container_of(node, struct membership, node);

		if (soq__sim_same_ip(&m->group->addr, group) &&
			(interface == 0 || interface == m->group->interface))
			return m;
	}
	return NULL;
}

int soq__sim_udp_join(
	struct soq__sim_udp_socket *s, const struct soq__sim_addr *group, unsigned interface)
{
	struct membership *m;
	bool is4 = soq__sim_addr_is4(group);

	if (interface == 0)
		interface = SOQ__SIM_ETH0;
	if (find_membership(s, group, interface))
		return -EADDRINUSE;
	if (is4 && s->membership_count == MEMBERSHIPS_MAX)
		return -ENOBUFS;
	s->membership_count += is4;
	m = soq__sim_alloc(sizeof(*m));
	m->group = enter_group(s->base.host, group, interface);
	soq__list_append(&s->memberships, &m->node);
	return 0;
}

static void drop(struct soq__sim_udp_socket *s, struct membership *m)
{
	s->membership_count -= soq__sim_addr_is4(&m->group->addr);
	soq__list_remove(&m->node);
	leave_group(m->group);
	free(m);
}

int soq__sim_udp_leave(
	struct soq__sim_udp_socket *s, const struct soq__sim_addr *group, unsigned interface)
{
	struct membership *m = find_membership(s, group, interface);

	if (!m)
		return -EADDRNOTAVAIL;
	drop(s, m);
	return 0;
}

void soq__sim_udp_leave_all(struct soq__sim_udp_socket *s)
{
	soq__list_for_each (node, &s->memberships)
		drop(s, soq__container_of(node, struct membership, node));
}

/* 224.0.0.1 and ff02::1, which every host belongs to (RFC 1112 section 4, RFC 4291). */
static bool is_all_hosts(const struct soq__sim_addr *group)
{
	static const uint8_t four[4] = { 224, 0, 0, 1 };
	static const uint8_t six[16] = { 0xff, 0x02, [15] = 1 };

	if (soq__sim_addr_is4(group))
		return memcmp(group->ip + 12, four, sizeof(four)) == 0;
	return memcmp(group->ip, six, sizeof(six)) == 0;
}

bool soq__sim_udp_is_member(
	const struct soq_sim_host *host, const struct soq__sim_addr *group, unsigned interface)
{
	return is_all_hosts(group) || find_group(host, group, interface);
}

bool soq__sim_udp_wants(const struct soq__sim_udp_socket *s, const struct soq__sim_addr *group)
{
	bool is4 = soq__sim_addr_is4(group);

	return s->values[is4 ? SOQ__SIM_UDP_ALL : SOQ__SIM_UDP_ALL6] ||
		find_membership(s, group, 0);
}
