/* udp.h - what the files of simulated UDP share.
 *
 *	udp.c         life, binding, connecting; what poll(2) says
 *	udp_send.c    from a message to packets: destination, source, segments, copies
 *	udp_recv.c    from a packet to the sockets that want it, and to a message
 *	udp_option.c  options
 *	udp_group.c   who has joined which group
 */
#ifndef SOQ__SIM_UDP_H
#define SOQ__SIM_UDP_H

#include "sim/sim.h"

/* A host has "lo" and "eth0". */
#define SOQ__SIM_LO   1
#define SOQ__SIM_ETH0 2

#define SOQ__SIM_UDP_SEGMENT_OPTION 103 /* UDP_SEGMENT; newer than some libc headers */

#define SOQ__SIM_UDP_OVERHEAD 576 /* of each datagram in a queue, as Linux charges it */

/* Options that are numbers. */
enum soq__sim_udp_value {
	SOQ__SIM_UDP_BROADCAST,
	SOQ__SIM_UDP_TTL,
	SOQ__SIM_UDP_TTL_MULTICAST,
	SOQ__SIM_UDP_LOOP,
	SOQ__SIM_UDP_ALL, /* what others of the host have joined too */
	SOQ__SIM_UDP_PKTINFO,
	SOQ__SIM_UDP_HOPS6,
	SOQ__SIM_UDP_HOPS6_MULTICAST,
	SOQ__SIM_UDP_LOOP6,
	SOQ__SIM_UDP_ALL6,
	SOQ__SIM_UDP_PKTINFO6,
	SOQ__SIM_UDP_INTERFACE6,
	SOQ__SIM_UDP_SEGMENT,
	SOQ__SIM_UDP_VALUES,
};

struct soq__sim_udp_socket {
	struct soq__sim_socket base;
	/* Where it is bound; local is the wildcard of its family before. Its peer is NULL or
	 * the one below: connected. */
	struct soq__sim_bound bound;
	struct soq__sim_addr peer;
	/* What bind(2) was told, a wildcard before: what the end of a connection goes back to.
	 * Its port is 0 if the port was the host's choice. */
	struct soq__sim_addr named;
	uint8_t shut;		/* SOQ__SIM_IN, SOQ__SIM_OUT */
	int error;		/* to be told once, positive; 0: none */
	struct soq__list queue; /* of what has arrived */
	size_t queued_bytes;
	int recv_buffer, send_buffer;
	int values[SOQ__SIM_UDP_VALUES];
	unsigned interface4;	      /* IP_MULTICAST_IF; 0: eth0 */
	struct soq__list memberships; /* groups that it has joined */
	unsigned membership_count;    /* of IPv4 */
};

static inline struct soq__sim_udp_socket *soq__sim_udp_of(const struct soq__sim_socket *s)
{
	return soq__container_of(s, struct soq__sim_udp_socket, base);
}

/* Take the error that waits to be told. @return 0, or a negative code */
int64_t soq__sim_udp_take_error(struct soq__sim_udp_socket *s);
/* An ephemeral port, unless it is bound. @return 0, -EADDRINUSE */
int soq__sim_udp_autobind(struct soq__sim_udp_socket *s);

/* ---- udp_send.c ---- */

/* What a name means to a socket, as sendto(2) and connect(2) see it.
 * @return 0, -EINVAL, -EAFNOSUPPORT, -ENETUNREACH */
int soq__sim_udp_destination(const struct soq__sim_udp_socket *s, const struct soq_addr *name,
	struct soq__sim_addr *ret);
/* The source towards an address. @ret  its ip is an asked one, or a wildcard
 * @interface  to send by, for groups; 0: the host's choice. Becomes what it is
 * @return 0, -ENETUNREACH, -EINVAL */
int soq__sim_udp_route(const struct soq__sim_udp_socket *s, const struct soq__sim_addr *to,
	struct soq__sim_addr *ret, unsigned *interface);
int64_t soq__sim_udp_send(struct soq__sim_udp_socket *s, const struct msghdr *msg, int flags);

/* ---- udp_recv.c ---- */

int64_t soq__sim_udp_recv(struct soq__sim_udp_socket *s, struct msghdr *msg, int flags);
/* Forget what has arrived. */
void soq__sim_udp_purge(struct soq__sim_udp_socket *s);

/* ---- udp_option.c ---- */

void soq__sim_udp_options_init(struct soq__sim_udp_socket *s);
int soq__sim_udp_set_option(
	struct soq__sim_socket *base, int level, int option, const void *value, socklen_t len);
int soq__sim_udp_get_option(
	const struct soq__sim_socket *base, int level, int option, void *value, socklen_t *len);

/* ---- udp_group.c ---- */

/* @interface  0: eth0. @return 0, -EADDRINUSE, -ENOBUFS */
int soq__sim_udp_join(
	struct soq__sim_udp_socket *s, const struct soq__sim_addr *group, unsigned interface);
/* @interface  0: any. @return 0, -EADDRNOTAVAIL */
int soq__sim_udp_leave(
	struct soq__sim_udp_socket *s, const struct soq__sim_addr *group, unsigned interface);
void soq__sim_udp_leave_all(struct soq__sim_udp_socket *s);
/* Whether some socket of the host has joined a group at an interface. */
bool soq__sim_udp_is_member(
	const struct soq_sim_host *host, const struct soq__sim_addr *group, unsigned interface);
/* Whether a socket wants what is sent to a group: it has joined, or has not asked to be
 * spared what others have joined. */
bool soq__sim_udp_wants(const struct soq__sim_udp_socket *s, const struct soq__sim_addr *group);

#endif
