/* unix_stream.c - streams on simulated Unix sockets, and their listeners.
 *
 * A connection is made at once, with a socket that waits in the listener's backlog. What one
 * side sends lies in the other's buffer, bounded by the sender's.
 *
 * Descriptors belong to the bytes they were sent with: a receive that takes the first of
 * these takes them, and ends with these at the latest.
 *
 * Invariant: of two that are connected each is the other's peer; when one ends, the other has
 * no peer and is shut both ways.
 * Source: unix(7), SCM_RIGHTS; listen(2), shutdown(2); Linux's unix_stream_read_generic() and
 * unix_release_sock().
 */
#include "sim/unix.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG_MAX 4096

/* Descriptors in the stream. */
struct mark {
	struct soq__list node;
	uint64_t first, end; /* positions of the bytes they came with */
	struct soq__sim_unix_rights *rights;
};

struct stream {
	struct soq__sim_unix_socket u;
	struct stream *peer;
	struct soq__sim_unix_name *peer_name; /* outlives the peer */
	bool connected;			      /* it was, and perhaps is */
	struct soq__sim_bytes in;
	uint64_t position;	/* of the first byte of in */
	struct soq__list marks; /* in their order */
	/* A listener's: */
	bool listening;
	struct soq__list backlog; /* connected, not accepted */
	unsigned backlog_count, backlog_max;
	struct soq__list node; /* of its listener's backlog */
};

static struct stream *stream_of(const struct soq__sim_socket *s)
{
	return soq__container_of(soq__sim_unix_of(s), struct stream, u);
}

static void changed(struct stream *s, unsigned directions)
{
	soq__sim_changed(&s->u.base, directions);
}

/* ---- connecting ---- */

static void join(struct stream *a, struct stream *b)
{
	a->peer = b;
	b->peer = a;
	a->connected = b->connected = true;
	a->peer_name = soq__sim_unix_name_ref(b->u.name);
	b->peer_name = soq__sim_unix_name_ref(a->u.name);
}

void soq__sim_unix_stream_join(struct soq__sim_socket *a, struct soq__sim_socket *b)
{
	join(stream_of(a), stream_of(b));
}

static int stream_listen(struct soq__sim_socket *base, int backlog)
{
	struct stream *s = stream_of(base);

	if (s->connected || !s->u.name)
		return -EINVAL;
	s->listening = true;
	s->backlog_max = backlog > 0 && backlog < BACKLOG_MAX ? (unsigned)backlog : BACKLOG_MAX;
	s->u.peer = soq__sim_unix_self(base->host);
	return 0;
}

static int64_t find_listener(struct stream *s, const struct soq_addr *addr, struct stream **ret)
{
	struct soq__sim_unix_socket *found;
	struct soq_addr name;
	struct stream *l;
	int rc = soq__sim_unix_parse(&name, addr);

	if (rc < 0)
		return rc;
	if (name.len == sizeof(sa_family_t))
		return -EINVAL;
	rc = soq__sim_unix_find(s->u.base.host, &name, SOCK_STREAM, &found);
	if (rc < 0)
		return rc;
	l = stream_of(&found->base);
	if (!l->listening || l->u.shut & SOQ__SIM_IN)
		return -ECONNREFUSED;
	/* The kernel says EAGAIN; but nothing tells when to try again (engine/epoll.c). */
	if (l->backlog_count > l->backlog_max)
		return -EBUSY;
	*ret = l;
	return 0;
}

static int64_t stream_connect(struct stream *s, const struct soq_addr *addr)
{
	struct stream *l, *child;
	int64_t rc;

	/* What the caller is comes last, as in Linux. */
	rc = find_listener(s, addr, &l);
	if (rc < 0)
		return rc;
	if (s->listening)
		return -EINVAL;
	if (s->connected)
		return -EISCONN;
	child = stream_of(soq__sim_unix_stream_new(s->u.base.host));
	child->u.name = soq__sim_unix_name_ref(l->u.name);
	child->u.peer = soq__sim_unix_self(s->u.base.host);
	s->u.peer = l->u.peer;
	join(s, child);
	soq__list_append(&l->backlog, &child->node);
	l->backlog_count++;
	changed(s, SOQ__SIM_IN | SOQ__SIM_OUT);
	changed(l, SOQ__SIM_IN);
	return 0;
}

static int64_t stream_accept(struct stream *l, struct soq__op *op)
{
	struct stream *child;
	int fd;

	if (!l->listening)
		return -EINVAL;
	if (l->backlog_count == 0)
		return l->u.shut & SOQ__SIM_IN ? -EINVAL : -EAGAIN;
	child = soq__container_of(l->backlog.next, struct stream, node);
	fd = soq__sim_fd_open(&child->u.base, soq__sim_engine_of(op->engine));
	if (fd < 0)
		return fd;
	soq__list_remove(&child->node);
	l->backlog_count--;
	if (op->addr)
		soq__sim_unix_name_addr(op->addr, child->peer_name);
	return fd;
}

/* ---- sending ---- */

static size_t room_for(const struct stream *s)
{
	size_t most = (size_t)s->u.send_buffer, used = s->peer ? s->peer->in.count : 0;

	return used < most ? most - used : 0;
}

static void put_mark(struct stream *to, struct soq__sim_unix_rights *rights, size_t len)
{
	struct mark *m;

	if (!rights)
		return;
	m = soq__sim_alloc(sizeof(*m));
	m->first = to->position + to->in.count;
	m->end = m->first + len;
	m->rights = rights;
	soq__list_append(&to->marks, &m->node);
}

static int64_t stream_send(struct stream *s, const struct msghdr *msg, int flags)
{
	struct soq__sim_unix_rights *rights;
	size_t len = soq__sim_iov_bytes(msg), n;
	int rc;

	if (flags & ~SOQ__SIM_UNIX_KNOWN_FLAGS)
		return -EOPNOTSUPP;
	if (msg->msg_name && msg->msg_namelen > 0)
		return s->connected ? -EISCONN : -EOPNOTSUPP;
	if (!s->connected)
		return -ENOTCONN;
	if (s->u.shut & SOQ__SIM_OUT)
		return -EPIPE;
	if (len == 0)
		return 0;
	n = soq__min_size(len, room_for(s));
	if (n == 0)
		return -EAGAIN;
	rc = soq__sim_unix_rights_take(s->u.base.host->sim, msg, &rights);
	if (rc < 0)
		return rc;
	n = soq__sim_shorten(&s->u.base, SOQ__SIM_SHORT_WRITE, n);
	put_mark(s->peer, rights, n);
	soq__sim_bytes_gather(&s->peer->in, msg, n);
	changed(s->peer, SOQ__SIM_IN);
	return (int64_t)n;
}

/* ---- receiving ---- */

/* The descriptors that lie within the next bytes; these are shortened to end with theirs. */
static struct mark *next_mark(const struct stream *s, size_t *len)
{
	struct mark *m;

	if (soq__list_empty(&s->marks))
		return NULL;
	m = soq__container_of(s->marks.next, struct mark, node);
	if (m->first >= s->position + *len)
		return NULL;
	*len = soq__min_size(*len, (size_t)(m->end - s->position));
	return m;
}

static struct soq__sim_unix_rights *take_mark(struct stream *s, struct mark *m, bool peek)
{
	struct soq__sim_unix_rights *rights;

	if (!m)
		return NULL;
	rights = m->rights;
	if (peek)
		return soq__sim_unix_rights_copy(s->u.base.host->sim, rights);
	soq__list_remove(&m->node);
	free(m);
	return rights;
}

static void drop_bytes(struct stream *s, size_t len)
{
	soq__sim_bytes_drop(&s->in, len);
	s->position += len;
	if (s->peer)
		changed(s->peer, SOQ__SIM_OUT);
}

static int64_t nothing_to_receive(struct stream *s)
{
	int64_t rc = soq__sim_unix_take_error(&s->u);

	if (rc < 0)
		return rc;
	return s->u.shut & SOQ__SIM_IN ? 0 : -EAGAIN;
}

static int64_t stream_recv(struct stream *s, struct msghdr *msg, int flags)
{
	size_t room = msg->msg_control ? msg->msg_controllen : 0;
	size_t n = soq__min_size(soq__sim_iov_bytes(msg), s->in.count);
	bool peek = flags & MSG_PEEK;
	struct soq__sim_unix_rights *rights;
	int64_t rc = 0;

	if (flags & (MSG_OOB | MSG_ERRQUEUE | MSG_WAITALL))
		return -EOPNOTSUPP;
	if (!s->connected)
		return -EINVAL;
	if (n == 0 && soq__sim_iov_bytes(msg) > 0)
		rc = nothing_to_receive(s);
	if (rc < 0)
		return rc;
	msg->msg_controllen = 0;
	msg->msg_flags = 0;
	soq__sim_unix_name_put(msg, n > 0 ? s->peer_name : NULL);
	if (n == 0)
		return 0;
	n = soq__sim_shorten(&s->u.base, SOQ__SIM_SHORT_READ, n);
	rights = take_mark(s, next_mark(s, &n), peek);
	soq__sim_scatter(msg, s->in.data + s->in.first, n);
	if (!peek)
		drop_bytes(s, n);
	soq__sim_unix_rights_put(s->u.base.host->sim, msg, room, rights);
	return (int64_t)n;
}

/* ---- operations ---- */

static int64_t stream_attempt(struct soq__sim_socket *base, struct soq__op *op)
{
	struct stream *s = stream_of(base);
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (op->code == SOQ__OP_RECV || op->code == SOQ__OP_SEND)
		iov = (struct iovec){ op->buf, op->len };
	switch (op->code) {
	case SOQ__OP_RECV:
		return stream_recv(s, &msg, op->flags);
	case SOQ__OP_RECVMSG:
		return stream_recv(s, op->msg, op->flags);
	case SOQ__OP_SEND:
		return stream_send(s, &msg, op->flags);
	case SOQ__OP_SENDMSG:
		return stream_send(s, op->msg, op->flags);
	case SOQ__OP_CONNECT:
		return stream_connect(s, op->addr);
	case SOQ__OP_ACCEPT:
		return stream_accept(s, op);
	default:
		return -EINVAL;
	}
}

static short stream_poll(struct soq__sim_socket *base)
{
	const struct stream *s = stream_of(base);
	int events = soq__sim_unix_events(&s->u, s->in.count > 0 || s->backlog_count > 0);

	if (s->listening)
		return (short)events;
	if (!s->connected)
		events |= POLLHUP;
	/* Worth waking for: three quarters of the buffer are free. */
	if (!s->peer || (uint64_t)s->peer->in.count * 4 <= (uint64_t)s->u.send_buffer)
		events |= POLLOUT | POLLWRNORM | POLLWRBAND;
	return (short)events;
}

static int stream_shutdown(struct soq__sim_socket *base, int how)
{
	struct stream *s = stream_of(base);
	int directions = soq__sim_unix_directions(how);

	if (directions < 0)
		return directions;
	s->u.shut |= (uint8_t)directions;
	if (s->peer && directions & SOQ__SIM_OUT)
		s->peer->u.shut |= SOQ__SIM_IN;
	if (s->peer && directions & SOQ__SIM_IN)
		s->peer->u.shut |= SOQ__SIM_OUT;
	changed(s, SOQ__SIM_IN | SOQ__SIM_OUT);
	if (s->peer)
		changed(s->peer, SOQ__SIM_IN | SOQ__SIM_OUT);
	return 0;
}

static int stream_peer_addr(const struct soq__sim_socket *base, struct soq_addr *ret)
{
	const struct stream *s = stream_of(base);

	if (!s->connected)
		return -ENOTCONN;
	soq__sim_unix_name_addr(ret, s->peer_name);
	return 0;
}

static int stream_get_option(
	const struct soq__sim_socket *base, int level, int option, void *value, socklen_t *len)
{
	if (level == SOL_SOCKET && option == SO_ACCEPTCONN)
		return soq__sim_put_int(value, len, stream_of(base)->listening);
	return soq__sim_unix_get_option(base, level, option, value, len);
}

static void stream_describe(const struct soq__sim_socket *base, char *buf, size_t len)
{
	const struct stream *s = stream_of(base);
	char local[SOQ_ADDR_TEXT_MAX], peer[SOQ_ADDR_TEXT_MAX];

	soq__sim_unix_name_text(local, s->u.name);
	soq__sim_unix_name_text(peer, s->peer_name);
	if (s->listening)
		snprintf(buf, len, "%s, listening, %u waiting", local, s->backlog_count);
	else if (!s->connected)
		snprintf(buf, len, "%s, not connected", local);
	else
		snprintf(buf, len, "%s to %s, %s", local, peer,
			s->peer ? "connected" : "the peer has ended");
}

static uint64_t stream_memory(const struct soq__sim_socket *base)
{
	const struct stream *s = stream_of(base);
	uint64_t bytes = sizeof(*s) + s->in.capacity;

	soq__list_for_each (node, &s->backlog) {
		const struct stream *child = soq__container_of(node, struct stream, node);

		bytes += sizeof(*child) + child->in.capacity;
	}
	return bytes;
}

/* ---- life ---- */

struct soq__sim_socket *soq__sim_unix_stream_new(struct soq_sim_host *host)
{
	struct stream *s = soq__sim_alloc(sizeof(*s));

	soq__sim_unix_init(&s->u, &soq__sim_unix_stream_proto, host);
	soq__list_init(&s->marks);
	soq__list_init(&s->backlog);
	soq__list_init(&s->node);
	return &s->u.base;
}

/* Part with the peer, which is not told yet. @return it, or NULL */
static struct stream *part(struct stream *s)
{
	struct stream *peer = s->peer;

	if (!peer)
		return NULL;
	s->peer = peer->peer = NULL;
	peer->u.shut = SOQ__SIM_IN | SOQ__SIM_OUT;
	return peer;
}

/* Free what nobody refers to any more. */
static void stream_free(struct stream *s, bool abandoned)
{
	struct soq_sim *sim = s->u.base.host->sim;
	struct soq__list *node;

	soq__sim_unix_unname(&s->u, abandoned);
	soq__sim_unix_name_unref(s->peer_name);
	while ((node = soq__list_pop(&s->marks))) {
		struct mark *m = soq__container_of(node, struct mark, node);

		soq__sim_unix_rights_free(sim, m->rights, abandoned);
		free(m);
	}
	soq__sim_bytes_done(&s->in);
	free(s);
}

/* @reset  the peer learns that something was lost: an end without that is orderly */
static void end(struct stream *s, bool reset)
{
	struct stream *peer = part(s);

	if (peer && reset)
		peer->u.error = ECONNRESET;
	if (peer)
		changed(peer, SOQ__SIM_IN | SOQ__SIM_OUT);
	stream_free(s, false);
}

static void stream_close(struct soq__sim_socket *base)
{
	struct stream *s = stream_of(base);
	struct soq__list *node;

	/* Whoever connects from now on must not find it. */
	soq__sim_unix_unname(&s->u, false);
	while ((node = soq__list_pop(&s->backlog)))
		end(soq__container_of(node, struct stream, node), true);
	end(s, s->in.count > 0);
}

static void stream_abandon(struct soq__sim_socket *base)
{
	struct stream *s = stream_of(base);
	struct soq__list *node;

	while ((node = soq__list_pop(&s->backlog))) {
		struct stream *child = soq__container_of(node, struct stream, node);

		part(child);
		stream_free(child, true);
	}
	part(s);
	stream_free(s, true);
}

const struct soq__sim_proto soq__sim_unix_stream_proto = {
	.name = "unix",
	.type = SOCK_STREAM,
	.attempt = stream_attempt,
	.poll = stream_poll,
	.bind = soq__sim_unix_bind,
	.listen = stream_listen,
	.shutdown = stream_shutdown,
	.set_option = soq__sim_unix_set_option,
	.get_option = stream_get_option,
	.local_addr = soq__sim_unix_local_addr,
	.peer_addr = stream_peer_addr,
	.close = stream_close,
	.abandon = stream_abandon,
	.describe = stream_describe,
	.memory = stream_memory,
};
