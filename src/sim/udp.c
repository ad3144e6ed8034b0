/* udp.c - datagram sockets of the simulated Internet.
 *
 * Sending never waits: a datagram is on its link at once, or lost there. What arrives waits in
 * the socket's queue, and is dropped without a word when that is full.
 *
 * Invariant: a connected socket is bound; its local address is one of the host's then.
 * Source: RFC 768; udp(7), ip(7), ipv6(7), connect(2); Linux's behaviour where these are
 * silent.
 */
#include "sim/udp.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t soq__sim_udp_take_error(struct soq__sim_udp_socket *s)
{
	int error = s->error;

	s->error = 0;
	return -error;
}

/* ---- binding ---- */

static struct soq__sim_addr wildcard(int family)
{
	struct soq__sim_addr addr = { .port = 0 };

	if (family == AF_INET)
		addr.ip[10] = addr.ip[11] = 0xff;
	return addr;
}

int soq__sim_udp_autobind(struct soq__sim_udp_socket *s)
{
	struct soq__sim_addr at = s->bound.local;

	if (s->bound.socket)
		return 0;
	at.port = 0;
	return soq__sim_bind_port(&s->bound, &s->base, IPPROTO_UDP, &at);
}

static int udp_bind(struct soq__sim_socket *base, const struct soq_addr *addr)
{
	struct soq__sim_udp_socket *s = soq__sim_udp_of(base);
	struct soq__sim_addr at;
	int rc;

	if (addr->len < sizeof(sa_family_t))
		return -EINVAL;
	if (addr->sa.sa_family != base->family)
		return -EAFNOSUPPORT;
	rc = soq__sim_addr_from(&at, addr);
	if (rc < 0)
		return rc;
	if (s->bound.socket || (s->bound.v6only && soq__sim_addr_is4(&at)))
		return -EINVAL;
	rc = soq__sim_bind_port(&s->bound, base, IPPROTO_UDP, &at);
	if (rc < 0)
		return rc;
	s->named = at;
	return 0;
}

/* ---- connecting ---- */

/* Linux forgets a port, too, that bind(2) was not told by number. */
static void dissolve(struct soq__sim_udp_socket *s)
{
	s->bound.peer = NULL;
	if (s->named.port == 0)
		soq__sim_unbind_port(&s->bound);
	s->bound.local = s->named;
}

static int64_t udp_connect(struct soq__sim_udp_socket *s, const struct soq_addr *addr)
{
	struct soq__sim_addr to, from = { .port = 0 };
	unsigned interface = 0;
	int rc;

	if (addr->len < sizeof(sa_family_t))
		return -EINVAL;
	if (addr->sa.sa_family == AF_UNSPEC) {
		dissolve(s);
		return 0;
	}
	/* As in Linux, it has a port from then on, even where it cannot be connected. */
	rc = soq__sim_udp_autobind(s);
	if (rc == 0)
		rc = soq__sim_udp_destination(s, addr, &to);
	if (rc == 0 && soq__sim_addr_is_broadcast(&to) && !s->values[SOQ__SIM_UDP_BROADCAST])
		rc = -EACCES;
	if (rc == 0)
		rc = soq__sim_udp_route(s, &to, &from, &interface);
	if (rc < 0)
		return rc;
	if (soq__sim_addr_is_any(&s->bound.local))
		memcpy(s->bound.local.ip, from.ip, sizeof(from.ip));
	s->peer = to;
	s->bound.peer = &s->peer;
	return 0;
}

/* ---- operations ---- */

static int64_t udp_attempt(struct soq__sim_socket *base, struct soq__op *op)
{
	struct soq__sim_udp_socket *s = soq__sim_udp_of(base);
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (op->code == SOQ__OP_RECV || op->code == SOQ__OP_SEND)
		iov = (struct iovec){ op->buf, op->len };
	switch (op->code) {
	case SOQ__OP_RECV:
		return soq__sim_udp_recv(s, &msg, op->flags);
	case SOQ__OP_RECVMSG:
		return soq__sim_udp_recv(s, op->msg, op->flags);
	case SOQ__OP_SEND:
		return soq__sim_udp_send(s, &msg, op->flags);
	case SOQ__OP_SENDMSG:
		return soq__sim_udp_send(s, op->msg, op->flags);
	case SOQ__OP_CONNECT:
		return udp_connect(s, op->addr);
	default:
		return -EOPNOTSUPP;
	}
}

static short udp_poll(struct soq__sim_socket *base)
{
	const struct soq__sim_udp_socket *s = soq__sim_udp_of(base);
	int events = POLLOUT | POLLWRNORM | POLLWRBAND;

	if (!soq__list_empty(&s->queue))
		events |= POLLIN | POLLRDNORM;
	if (s->shut & SOQ__SIM_IN)
		events |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (s->shut == (SOQ__SIM_IN | SOQ__SIM_OUT))
		events |= POLLHUP;
	if (s->error)
		events |= POLLERR;
	return (short)events;
}

static int udp_listen(struct soq__sim_socket *base, int backlog)
{
	(void)base;
	(void)backlog;
	return -EOPNOTSUPP;
}

/* It takes effect on an unconnected socket too, although Linux denies it. */
static int udp_shutdown(struct soq__sim_socket *base, int how)
{
	struct soq__sim_udp_socket *s = soq__sim_udp_of(base);

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (how != SHUT_WR)
		s->shut |= SOQ__SIM_IN;
	if (how != SHUT_RD)
		s->shut |= SOQ__SIM_OUT;
	soq__sim_changed(base, SOQ__SIM_IN | SOQ__SIM_OUT);
	return s->bound.peer ? 0 : -ENOTCONN;
}

static int udp_local_addr(const struct soq__sim_socket *base, struct soq_addr *ret)
{
	soq__sim_addr_to(ret, &soq__sim_udp_of(base)->bound.local, base->family);
	return 0;
}

static int udp_peer_addr(const struct soq__sim_socket *base, struct soq_addr *ret)
{
	const struct soq__sim_udp_socket *s = soq__sim_udp_of(base);

	if (!s->bound.peer)
		return -ENOTCONN;
	soq__sim_addr_to(ret, s->bound.peer, base->family);
	return 0;
}

static void udp_describe(const struct soq__sim_socket *base, char *buf, size_t len)
{
	const struct soq__sim_udp_socket *s = soq__sim_udp_of(base);
	char local[SOQ_ADDR_TEXT_MAX], peer[SOQ_ADDR_TEXT_MAX];

	if (!s->bound.socket)
		snprintf(buf, len, "not bound");
	else if (s->bound.peer)
		snprintf(buf, len, "from %s to %s", soq__sim_addr_text(local, &s->bound.local),
			soq__sim_addr_text(peer, s->bound.peer));
	else
		snprintf(buf, len, "at %s", soq__sim_addr_text(local, &s->bound.local));
}

static uint64_t udp_memory(const struct soq__sim_socket *base)
{
	return sizeof(struct soq__sim_udp_socket) + soq__sim_udp_of(base)->queued_bytes;
}

/* ---- life ---- */

struct soq__sim_socket *soq__sim_udp_socket(struct soq_sim_host *host, int family)
{
	struct soq__sim_udp_socket *s = soq__sim_alloc(sizeof(*s));

	soq__sim_socket_init(&s->base, &soq__sim_udp_proto, host, family);
	soq__list_init(&s->bound.node);
	s->bound.local = s->named = wildcard(family);
	soq__list_init(&s->queue);
	soq__list_init(&s->memberships);
	soq__sim_udp_options_init(s);
	return &s->base;
}

/* Nobody is ever told of a datagram socket's end. */
static void udp_free(struct soq__sim_socket *base)
{
	struct soq__sim_udp_socket *s = soq__sim_udp_of(base);

	soq__sim_unbind_port(&s->bound);
	soq__sim_udp_leave_all(s);
	soq__sim_udp_purge(s);
	free(s);
}

const struct soq__sim_proto soq__sim_udp_proto = {
	.name = "udp",
	.type = SOCK_DGRAM,
	.protocol = IPPROTO_UDP,
	.attempt = udp_attempt,
	.poll = udp_poll,
	.bind = udp_bind,
	.listen = udp_listen,
	.shutdown = udp_shutdown,
	.set_option = soq__sim_udp_set_option,
	.get_option = soq__sim_udp_get_option,
	.local_addr = udp_local_addr,
	.peer_addr = udp_peer_addr,
	.close = udp_free,
	.abandon = udp_free,
	.describe = udp_describe,
	.memory = udp_memory,
};
