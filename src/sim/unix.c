/* unix.c - what simulated Unix sockets of both kinds have.
 *
 * They are within a host's kernel: what is sent is there at once, and nothing is lost.
 *
 * Source: unix(7), socket(7); Linux's behaviour where these are silent.
 */
#include "sim/unix.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* ---- life ---- */

void soq__sim_unix_init(struct soq__sim_unix_socket *u, const struct soq__sim_proto *proto,
	struct soq_sim_host *host)
{
	size_t bytes = soq__min_size(host->sim->opt.buffer_bytes, INT_MAX);

	soq__sim_socket_init(&u->base, proto, host, AF_UNIX);
	u->peer = (struct ucred){ 0, (uid_t)-1, (gid_t)-1 };
	u->send_buffer = u->recv_buffer = (int)bytes;
}

struct soq__sim_socket *soq__sim_unix_socket(struct soq_sim_host *host, int type)
{
	return type == SOCK_STREAM ? soq__sim_unix_stream_new(host)
				   : soq__sim_unix_dgram_new(host);
}

void soq__sim_unix_pair(struct soq_sim_host *host, int type, struct soq__sim_socket *ret[2])
{
	for (int i = 0; i < 2; i++) {
		ret[i] = soq__sim_unix_socket(host, type);
		soq__sim_unix_of(ret[i])->peer = soq__sim_unix_self(host);
	}
	if (type == SOCK_STREAM)
		soq__sim_unix_stream_join(ret[0], ret[1]);
	else
		soq__sim_unix_dgram_join(ret[0], ret[1]);
}

struct ucred soq__sim_unix_self(const struct soq_sim_host *host)
{
	const struct soq__sim_engine *self = soq__sim_running();
	struct ucred cred = { .pid = 0 };

	soq__list_for_each (node, &host->engines) {
		cred.pid++;
		if (self && node == &self->node)
			return cred;
	}
	/* The world's loop is nobody's process. */
	cred.pid = 0;
	return cred;
}

int64_t soq__sim_unix_take_error(struct soq__sim_unix_socket *u)
{
	int error = u->error;

	u->error = 0;
	return -error;
}

/* ---- names ---- */

int soq__sim_unix_bind(struct soq__sim_socket *base, const struct soq_addr *addr)
{
	struct soq__sim_unix_socket *u = soq__sim_unix_of(base);
	struct soq_addr at;
	bool is_drawn;
	int rc = soq__sim_unix_parse(&at, addr);

	if (rc < 0)
		return rc;
	is_drawn = at.len == sizeof(sa_family_t);
	if (u->name)
		return is_drawn ? 0 : -EINVAL;
	u->name = is_drawn ? soq__sim_unix_draw_name(u) : soq__sim_unix_enter(u, &at);
	if (u->name)
		return 0;
	return is_drawn ? -ENOSPC : -EADDRINUSE;
}

int soq__sim_unix_local_addr(const struct soq__sim_socket *base, struct soq_addr *ret)
{
	soq__sim_unix_name_addr(ret, soq__sim_unix_of(base)->name);
	return 0;
}

/* ---- readiness ---- */

short soq__sim_unix_events(const struct soq__sim_unix_socket *u, bool has_input)
{
	int events = has_input ? POLLIN | POLLRDNORM : 0;

	if (u->shut & SOQ__SIM_IN)
		events |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (u->shut == (SOQ__SIM_IN | SOQ__SIM_OUT))
		events |= POLLHUP;
	if (u->error)
		events |= POLLERR;
	return (short)events;
}

int soq__sim_unix_directions(int how)
{
	switch (how) {
	case SHUT_RD:
		return SOQ__SIM_IN;
	case SHUT_WR:
		return SOQ__SIM_OUT;
	case SHUT_RDWR:
		return SOQ__SIM_IN | SOQ__SIM_OUT;
	default:
		return -EINVAL;
	}
}

/* ---- options ---- */

static int set_linger(struct soq__sim_unix_socket *u, const void *value, socklen_t len)
{
	if (len < sizeof(u->linger))
		return -EINVAL;
	memcpy(&u->linger, value, sizeof(u->linger));
	return 0;
}

int soq__sim_unix_set_option(
	struct soq__sim_socket *base, int level, int option, const void *value, socklen_t len)
{
	struct soq__sim_unix_socket *u = soq__sim_unix_of(base);
	int number, rc;

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (option == SO_LINGER)
		return set_linger(u, value, len);
	rc = soq__sim_take_int(value, len, &number);
	if (rc < 0)
		return rc;
	switch (option) {
	case SO_RCVBUF:
		u->recv_buffer = soq__sim_doubled(number, SOQ__SIM_RCVBUF_LEAST);
		return 0;
	case SO_SNDBUF:
		u->send_buffer = soq__sim_doubled(number, SOQ__SIM_SNDBUF_LEAST);
		soq__sim_changed(base, SOQ__SIM_OUT);
		return 0;
	case SO_KEEPALIVE:
		u->keepalive = number != 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int soq__sim_unix_get_option(
	const struct soq__sim_socket *base, int level, int option, void *value, socklen_t *len)
{
	struct soq__sim_unix_socket *u = soq__sim_unix_of(base);

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	switch (option) {
	case SO_RCVBUF:
		return soq__sim_put_int(value, len, u->recv_buffer);
	case SO_SNDBUF:
		return soq__sim_put_int(value, len, u->send_buffer);
	case SO_KEEPALIVE:
		return soq__sim_put_int(value, len, u->keepalive);
	case SO_ERROR:
		return soq__sim_put_int(value, len, (int)-soq__sim_unix_take_error(u));
	case SO_LINGER:
		return soq__sim_put_part(value, len, &u->linger, sizeof(u->linger));
	case SO_PEERCRED:
		return soq__sim_put_part(value, len, &u->peer, sizeof(u->peer));
	default:
		return -ENOPROTOOPT;
	}
}
