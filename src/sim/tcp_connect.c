/* tcp_connect.c - where a TCP socket is, and where it goes to: bind(2), connect(2).
 *
 * Invariant: who has bound a port is in the table of ports; who got one by connect(2) is found
 * by both its ends, in the table of connections, and may share the port with others.
 * Source: bind(2), connect(2), ip(7), ipv6(7); RFC 9293 section 3.10.1; Linux's
 * __inet_stream_connect, inet_hash_connect.
 */
#include "sim/tcp.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- binding ---- */

static int check_family(const struct soq__sim_conn *c, const struct soq_addr *addr)
{
	if (addr->len < sizeof(addr->sa.sa_family))
		return -EINVAL;
	/* RFC 2133 had no scope. */
	if (c->socket.family == AF_INET6 &&
		addr->len < offsetof(struct sockaddr_in6, sin6_scope_id))
		return -EINVAL;
	return addr->sa.sa_family == c->socket.family ? 0 : -EAFNOSUPPORT;
}

static struct soq__sim_bound *new_bound(const struct soq__sim_conn *c)
{
	struct soq__sim_bound *b = soq__sim_alloc(sizeof(*b));

	soq__list_init(&b->node);
	b->v6only = c->v6only;
	b->reuse_addr = c->reuse_addr;
	b->reuse_port = c->reuse_port;
	return b;
}

int soq__sim_conn_take_port(struct soq__sim_conn *c, const struct soq__sim_addr *addr)
{
	struct soq__sim_bound *b = new_bound(c);
	int rc = soq__sim_bind_port(b, &c->socket, IPPROTO_TCP, addr);

	if (rc < 0) {
		free(b);
		return rc;
	}
	c->bound = b;
	c->local = b->local;
	return 0;
}

int soq__sim_tcp_bind(struct soq__sim_socket *s, const struct soq_addr *addr)
{
	struct soq__sim_conn *c = soq__sim_conn_of(s);
	struct soq__sim_addr local;
	int rc = check_family(c, addr);

	if (rc == 0)
		rc = soq__sim_addr_from(&local, addr);
	if (rc < 0)
		return rc;
	if (c->state != TCP_CLOSE || c->bound || (c->v6only && soq__sim_addr_is4(&local)))
		return -EINVAL;
	if (local.port && soq__sim_tcp_port_taken(c, &local))
		return -EADDRINUSE;
	rc = soq__sim_conn_take_port(c, &local);
	if (rc == 0)
		c->has_chosen = local.port != 0;
	return rc;
}

int soq__sim_tcp_local_addr(const struct soq__sim_socket *s, struct soq_addr *ret)
{
	soq__sim_addr_to(ret, &soq__sim_conn_of(s)->local, s->family);
	return 0;
}

int soq__sim_tcp_peer_addr(const struct soq__sim_socket *s, struct soq_addr *ret)
{
	const struct soq__sim_conn *c = soq__sim_conn_of(s);

	if (c->state == TCP_CLOSE || c->state == TCP_TIME_WAIT || c->state == TCP_SYN_SENT ||
		c->state == TCP_LISTEN)
		return -ENOTCONN;
	soq__sim_addr_to(ret, &c->remote, s->family);
	return 0;
}

/* ---- connecting ---- */

void soq__sim_conn_find_mss(struct soq__sim_conn *c)
{
	struct soq_sim_host *host = c->socket.host, *peer = host;
	unsigned headers = SOQ__SIM_TCP_HEADER +
		(soq__sim_addr_is4(&c->remote) ? SOQ__SIM_IP4_HEADER : SOQ__SIM_IP6_HEADER);
	int64_t mtu = soq__sim_mtu(host, &c->remote);

	/* What the peer would say in its SYN. */
	if (!soq__sim_addr_is_loopback(&c->remote))
		peer = soq__sim_host_of(host->sim, &c->remote);
	if (peer)
		mtu = soq__min(mtu, soq__sim_mtu(peer, &c->local));
	c->mss = (uint16_t)(mtu - headers);
}

/* Where a connection goes to: RFC 1122 section 3.2.1.3 for what stands for this host. */
static int destination(
	const struct soq__sim_conn *c, const struct soq_addr *addr, struct soq__sim_addr *ret)
{
	int rc = check_family(c, addr);

	if (rc == 0)
		rc = soq__sim_addr_from(ret, addr);
	if (rc < 0)
		return rc;
	if (soq__sim_addr_is_any(ret)) {
		if (!soq__sim_addr_is4(ret))
			ret->ip[15] = 1;
		else
			memcpy(ret->ip + 12, (const uint8_t[]){ 127, 0, 0, 1 }, 4);
	}
	if (soq__sim_addr_is_multicast(ret) || soq__sim_addr_is_broadcast(ret) ||
		(c->v6only && soq__sim_addr_is4(ret)))
		return -ENETUNREACH;
	return 0;
}

struct route {
	struct soq_sim_host *host;
	const struct soq__sim_addr *to;
};

/* Connections may share a port as long as their other ends differ. */
static bool is_free(void *arg, const struct soq__sim_addr *from)
{
	const struct route *route = arg;

	return !soq__sim_tcp_find(route->host, from, route->to) &&
		!soq__sim_port_is_bound(route->host, IPPROTO_TCP, from);
}

/* An address and a port of our own, if it has none yet. */
static int source(struct soq__sim_conn *c, const struct soq__sim_addr *to)
{
	struct route route = { c->socket.host, to };
	struct soq__sim_addr from = c->local;

	if (!c->bound || soq__sim_addr_is_any(&c->local)) {
		if (!soq__sim_source_for(c->socket.host, to, &from))
			return -ENETUNREACH;
		from.port = c->local.port;
	} else if (soq__sim_addr_is4(&from) != soq__sim_addr_is4(to)) {
		return -ENETUNREACH;
	}
	/* connect(2): there is no free ephemeral port. */
	if (!c->bound && soq__sim_choose_port(c->socket.host, &from, is_free, &route) < 0)
		return -EADDRNOTAVAIL;
	c->local = from;
	return 0;
}

static int start_connecting(struct soq__sim_conn *c, const struct soq_addr *addr)
{
	struct soq__sim_addr to;
	int rc = destination(c, addr, &to);

	if (rc == 0)
		rc = source(c, &to);
	if (rc < 0)
		return rc;
	if (soq__sim_tcp_find(c->socket.host, &c->local, &to)) {
		if (!c->has_chosen)
			soq__sim_conn_free_port(c);
		return -EADDRNOTAVAIL;
	}
	c->remote = to;
	c->state = TCP_SYN_SENT;
	c->shut_rd = c->shut_wr = c->fin_sent = c->fin_received = false;
	c->error = 0;
	c->snd_una = c->snd_nxt = c->snd_edge = soq__sim_tcp_isn(c);
	c->rcv_nxt = c->rcv_edge = 0;
	c->srtt_us = c->rttvar_us = 0;
	soq__sim_conn_find_mss(c);
	c->cwnd = SOQ__SIM_WINDOW_SEGMENTS * c->mss;
	c->ssthresh = UINT32_MAX;
	soq__sim_tcp_list(c);
	soq__sim_tcp_send_syn(c);
	soq__sim_tcp_arm(c);
	return -EAGAIN;
}

int64_t soq__sim_tcp_connect(struct soq__sim_conn *c, struct soq__op *op)
{
	bool is_first = op->state == 0;
	int error;

	op->state = 1;
	switch (c->state) {
	case TCP_CLOSE:
		if (is_first)
			return c->was_connected ? -EISCONN : start_connecting(c, op->addr);
		error = soq__sim_conn_take_error(c);
		return error < 0 ? error : -ECONNABORTED;
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return is_first ? -EALREADY : -EAGAIN;
	default:
		return is_first ? -EISCONN : 0;
	}
}
