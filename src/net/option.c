/* option.c - what a stream can be asked and told, by name. */
#include "net/net.h"
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>

int soq_fd(const struct soq_stream *s)
{
	return s->socket.fd;
}

int soq_peer_addr(const struct soq_stream *s, struct soq_addr *ret)
{
	if (s->peer.len == 0)
		return soq__type(s->worker)->peer_addr(&s->socket, ret);
	*ret = s->peer;
	return 0;
}

int soq_local_addr(const struct soq_stream *s, struct soq_addr *ret)
{
	return soq__type(s->worker)->local_addr(&s->socket, ret);
}

void soq_set_recv_timeout(struct soq_stream *s, int64_t timeout_ns)
{
	s->recv_timeout_ns = timeout_ns < 0 ? 0 : timeout_ns;
}

void soq_set_send_timeout(struct soq_stream *s, int64_t timeout_ns)
{
	s->send_timeout_ns = timeout_ns < 0 ? 0 : timeout_ns;
}

int64_t soq_recv_timeout(const struct soq_stream *s)
{
	return s->recv_timeout_ns;
}

int64_t soq_send_timeout(const struct soq_stream *s)
{
	return s->send_timeout_ns;
}

void soq_set_stream_data(struct soq_stream *s, void *data, void (*free_data)(void *))
{
	s->data = data;
	s->free_data = free_data;
}

void *soq_stream_data(const struct soq_stream *s)
{
	return s->data;
}

int soq_set_nodelay(struct soq_stream *s, bool on)
{
	return soq__set_int(&s->socket, IPPROTO_TCP, TCP_NODELAY, on);
}

int soq_set_cork(struct soq_stream *s, bool on)
{
	return soq__set_int(&s->socket, IPPROTO_TCP, TCP_CORK, on);
}

static int seconds(int64_t ns)
{
	int64_t s = ns / SOQ_S + (ns % SOQ_S > 0);

	return s > INT_MAX ? INT_MAX : (int)s;
}

int soq_set_keepalive(
	struct soq_stream *s, int64_t idle_ns, int64_t interval_ns, unsigned count)
{
	int rc = soq__set_int(&s->socket, SOL_SOCKET, SO_KEEPALIVE, idle_ns > 0);

	if (idle_ns <= 0 || rc < 0)
		return rc;
	rc = soq__set_int(&s->socket, IPPROTO_TCP, TCP_KEEPIDLE, seconds(idle_ns));
	if (rc == 0)
		rc = soq__set_int(&s->socket, IPPROTO_TCP, TCP_KEEPINTVL, seconds(interval_ns));
	if (rc == 0)
		rc = soq__set_int(&s->socket, IPPROTO_TCP, TCP_KEEPCNT, (int)count);
	return rc;
}

static int set_buffer(struct soq__socket *s, int option, size_t bytes)
{
	return soq__set_int(
		s, SOL_SOCKET, option, bytes > INT_MAX / 2 ? INT_MAX / 2 : (int)bytes);
}

int soq_set_recv_buffer(struct soq_stream *s, size_t bytes)
{
	return set_buffer(&s->socket, SO_RCVBUF, bytes);
}

int soq_set_send_buffer(struct soq_stream *s, size_t bytes)
{
	return set_buffer(&s->socket, SO_SNDBUF, bytes);
}

int soq_set_linger(struct soq_stream *s, int64_t linger_ns)
{
	struct linger linger = { .l_onoff = linger_ns == 0, .l_linger = 0 };

	if (linger_ns > 0)
		return -EINVAL;
	return soq__type(s->worker)->set_option(
		&s->socket, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}
