/* tcp.c - TCP sockets: what programs do with them, and how connections begin and end.
 *
 * A connection outlives its descriptor: until the peer has all its bytes, and TIME_WAIT is
 * over. Until a program has accepted it, it is its listener's.
 *
 * Invariant: a connection is in its host's table from its first segment on until it dies; one
 * that is in state TCP_CLOSE is in none, and has a descriptor or is waiting to be accepted.
 * Source: RFC 9293 section 3.9; tcp(7); Linux's tcp.c, af_inet.c and inet_connection_sock.c for
 * what each call returns when.
 */
#include "sim/tcp.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define RECV_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_CMSG_CLOEXEC)
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE)

/* ---- life ---- */

struct soq__sim_conn *soq__sim_conn_new(struct soq_sim_host *host, int family)
{
	struct soq__sim_conn *c = soq__sim_alloc(sizeof(*c));

	soq__sim_socket_init(&c->socket, &soq__sim_tcp_proto, host, family);
	soq__sim_event_init(&c->timer, soq__sim_tcp_fire);
	if (family == AF_INET) {
		c->local.ip[10] = c->local.ip[11] = 0xff;
		c->remote = c->local;
	}
	c->state = TCP_CLOSE;
	return c;
}

struct soq__sim_socket *soq__sim_tcp_socket(struct soq_sim_host *host, int family)
{
	return &soq__sim_conn_new(host, family)->socket;
}

static void free_flow(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;

	if (!f)
		return;
	soq__sim_bytes_done(&f->tx);
	soq__sim_bytes_done(&f->rx);
	soq__sim_tcp_drop_held(f);
	free(f);
	c->flow = NULL;
}

void soq__sim_conn_free_port(struct soq__sim_conn *c)
{
	if (!c->bound)
		return;
	soq__sim_unbind_port(c->bound);
	free(c->bound);
	c->bound = NULL;
}

void soq__sim_conn_free(struct soq__sim_conn *c)
{
	soq__sim_cancel(soq__sim_conn_world(c), &c->timer);
	if (c->state == TCP_LISTEN)
		soq__sim_tcp_stop_listening(c, false);
	if (c->is_queued)
		soq__sim_tcp_leave(c);
	soq__sim_tcp_unlist(c);
	free_flow(c);
	soq__sim_conn_free_port(c);
	free(c->rare);
	free(c);
}

struct soq__sim_flow *soq__sim_conn_flow(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;

	if (f)
		return f;
	f = c->flow = soq__sim_alloc(sizeof(*f));
	f->retransmit_ns = f->ack_ns = f->cork_ns = f->quiet_ns = SOQ_NEVER;
	f->snd_max = c->snd_nxt;
	f->rcv_acked = c->rcv_nxt;
	f->recover = f->small_end = c->snd_una;
	return f;
}

static bool is_idle(const struct soq__sim_conn *c)
{
	const struct soq__sim_flow *f = c->flow;

	return f->tx.count == 0 && f->rx.count == 0 && f->held_count == 0 &&
		f->snd_max == c->snd_una && f->ack_ns == SOQ_NEVER &&
		f->quiet_ns == SOQ_NEVER && !soq__sim_tcp_has_unsent(c);
}

void soq__sim_conn_settle(struct soq__sim_conn *c)
{
	if (c->flow && is_idle(c))
		free_flow(c);
	soq__sim_tcp_arm(c);
}

/* Nothing is to be sent or received any more; what has arrived can still be read. */
static void stop_flow(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;

	if (!f)
		return;
	soq__sim_bytes_done(&f->tx);
	soq__sim_tcp_drop_held(f);
	f->retransmit_ns = f->ack_ns = f->cork_ns = f->quiet_ns = SOQ_NEVER;
	f->snd_max = c->snd_nxt = c->snd_una;
	if (f->rx.count == 0)
		free_flow(c);
}

void soq__sim_conn_die(struct soq__sim_conn *c, int error)
{
	bool is_owned = c->socket.refs > 0;

	/* Who waits for being accepted is accepted even so, and the error is read then; but not
	 * before the end of the handshake. */
	if (c->is_closed || (c->is_queued && c->state == TCP_SYN_RECV)) {
		soq__sim_conn_free(c);
		return;
	}
	soq__sim_tcp_unlist(c);
	c->state = TCP_CLOSE;
	c->shut_rd = c->shut_wr = true;
	c->error = (uint16_t)error;
	stop_flow(c);
	soq__sim_tcp_watch(c);
	if (!c->has_chosen)
		soq__sim_conn_free_port(c);
	soq__sim_cancel(soq__sim_conn_world(c), &c->timer);
	soq__sim_tcp_arm(c);
	if (is_owned)
		soq__sim_changed(&c->socket, SOQ__SIM_IN | SOQ__SIM_OUT);
}

void soq__sim_conn_abort(struct soq__sim_conn *c, int error)
{
	soq__sim_tcp_send_reset(c);
	soq__sim_conn_die(c, error);
}

void soq__sim_conn_expire(struct soq__sim_conn *c)
{
	soq__sim_conn_die(c, 0);
}

void soq__sim_conn_established(struct soq__sim_conn *c)
{
	c->state = TCP_ESTABLISHED;
	c->was_connected = true;
	soq__sim_tcp_watch(c);
	/* Closed, or shut down, before that. */
	if (c->shut_wr)
		soq__sim_conn_finish(c);
}

void soq__sim_conn_finish(struct soq__sim_conn *c)
{
	c->shut_wr = true;
	if (c->state == TCP_ESTABLISHED)
		c->state = TCP_FIN_WAIT1;
	else if (c->state == TCP_CLOSE_WAIT)
		c->state = TCP_LAST_ACK;
	else
		return;
	c->more = false;
	soq__sim_conn_flow(c);
	soq__sim_tcp_output(c, false);
	soq__sim_conn_settle(c);
}

void soq__sim_conn_time_wait(struct soq__sim_conn *c)
{
	c->shut_rd = c->shut_wr = true;
	stop_flow(c);
	soq__sim_tcp_rests(c);
	soq__sim_tcp_watch(c);
	soq__sim_at(soq__sim_conn_world(c), &c->timer,
		soq__sim_conn_now(c) + SOQ__SIM_TIME_WAIT_NS);
	if (c->socket.refs > 0)
		soq__sim_changed(&c->socket, SOQ__SIM_IN | SOQ__SIM_OUT);
}

/* ---- receiving and sending ---- */

int soq__sim_conn_take_error(struct soq__sim_conn *c)
{
	int error = c->error;

	c->error = 0;
	return -error;
}

uint32_t soq__sim_conn_sndbuf(const struct soq__sim_conn *c)
{
	if (c->rare && c->rare->sndbuf)
		return c->rare->sndbuf;
	return (uint32_t)soq__sim_conn_world(c)->opt.buffer_bytes;
}

uint32_t soq__sim_conn_rcvbuf(const struct soq__sim_conn *c)
{
	if (c->rare && c->rare->rcvbuf)
		return c->rare->rcvbuf;
	return (uint32_t)soq__sim_conn_world(c)->opt.buffer_bytes;
}

/* A third free: Linux, sk_stream_is_writeable. */
bool soq__sim_conn_has_room(const struct soq__sim_conn *c)
{
	uint64_t used = c->flow ? c->flow->tx.count : 0;

	return used * 3 <= (uint64_t)soq__sim_conn_sndbuf(c) * 2;
}

static bool is_connecting(const struct soq__sim_conn *c)
{
	return c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECV;
}

/* What a receive would find: bytes, 0 at the end, or a negative code. */
static int64_t receivable(struct soq__sim_conn *c)
{
	if (c->flow && c->flow->rx.count > 0)
		return c->flow->rx.count;
	if (c->fin_received)
		return 0;
	if (c->error)
		return soq__sim_conn_take_error(c);
	if (c->shut_rd)
		return 0;
	return c->state == TCP_CLOSE || c->state == TCP_LISTEN ? -ENOTCONN : -EAGAIN;
}

static int64_t receive(struct soq__sim_conn *c, struct soq__op *op)
{
	bool is_msg = op->code == SOQ__OP_RECVMSG;
	struct msghdr one = { .msg_iov = &(struct iovec){ op->buf, op->len }, .msg_iovlen = 1 };
	struct msghdr *msg = is_msg ? op->msg : &one;
	int64_t n;

	if (op->flags & ~RECV_FLAGS)
		return -EOPNOTSUPP;
	n = receivable(c);
	if (n < 0)
		return n;
	msg->msg_namelen = 0;
	msg->msg_controllen = 0;
	msg->msg_flags = 0;
	n = soq__min(n, (int64_t)soq__sim_iov_bytes(msg));
	if (n == 0)
		return 0;
	n = (int64_t)soq__sim_shorten(&c->socket, SOQ__SIM_SHORT_READ, (size_t)n);
	soq__sim_scatter(msg, c->flow->rx.data + c->flow->rx.first, (size_t)n);
	if (op->flags & MSG_PEEK)
		return n;
	soq__sim_bytes_drop(&c->flow->rx, (size_t)n);
	soq__sim_tcp_has_read(c);
	soq__sim_conn_settle(c);
	return n;
}

/* What a send would have: bytes, or a negative code. */
static int64_t sendable(struct soq__sim_conn *c)
{
	uint32_t used = c->flow ? c->flow->tx.count : 0, all = soq__sim_conn_sndbuf(c);

	if (c->error)
		return soq__sim_conn_take_error(c);
	if (c->shut_wr || c->state == TCP_CLOSE || c->state == TCP_LISTEN)
		return -EPIPE;
	if (is_connecting(c) || used >= all)
		return -EAGAIN;
	return all - used;
}

static int64_t send_bytes(struct soq__sim_conn *c, struct soq__op *op)
{
	struct msghdr one = { .msg_iov = &(struct iovec){ op->buf, op->len }, .msg_iovlen = 1 };
	const struct msghdr *msg = op->code == SOQ__OP_SENDMSG ? op->msg : &one;
	int64_t n;

	if (op->flags & ~SEND_FLAGS)
		return -EOPNOTSUPP;
	if (msg->msg_controllen > 0)
		return -EINVAL;
	n = sendable(c);
	if (n < 0)
		return n;
	n = soq__min(n, (int64_t)soq__sim_iov_bytes(msg));
	if (n == 0)
		return 0;
	n = (int64_t)soq__sim_shorten(&c->socket, SOQ__SIM_SHORT_WRITE, (size_t)n);
	soq__sim_bytes_gather(&soq__sim_conn_flow(c)->tx, msg, (size_t)n);
	c->more = op->flags & MSG_MORE;
	/* Nobody can add to what fills the buffer: Linux, tcp_sendmsg_locked. */
	soq__sim_tcp_output(c, c->flow->tx.count >= soq__sim_conn_sndbuf(c));
	soq__sim_conn_settle(c);
	return n;
}

static int64_t attempt(struct soq__sim_socket *s, struct soq__op *op)
{
	struct soq__sim_conn *c = soq__sim_conn_of(s);

	switch (op->code) {
	case SOQ__OP_RECV:
	case SOQ__OP_RECVMSG:
		return receive(c, op);
	case SOQ__OP_SEND:
	case SOQ__OP_SENDMSG:
		return send_bytes(c, op);
	case SOQ__OP_ACCEPT:
		return soq__sim_tcp_accept(c, op);
	case SOQ__OP_CONNECT:
		return soq__sim_tcp_connect(c, op);
	default:
		return -EOPNOTSUPP;
	}
}

/* As Linux's tcp_poll. */
static short poll_events(struct soq__sim_socket *s)
{
	const struct soq__sim_conn *c = soq__sim_conn_of(s);
	bool is_over = c->state == TCP_CLOSE || c->state == TCP_TIME_WAIT;
	short events = 0;

	if (c->state == TCP_LISTEN)
		return c->listen->count > 0 ? POLLIN | POLLRDNORM : 0;
	if (is_over || (c->shut_rd && c->shut_wr))
		events |= POLLHUP;
	if (c->shut_rd)
		events |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (c->error)
		events |= POLLERR;
	if (is_connecting(c))
		return events;
	if (c->flow && c->flow->rx.count > 0)
		events |= POLLIN | POLLRDNORM;
	if (c->shut_wr || soq__sim_conn_has_room(c))
		events |= POLLOUT | POLLWRNORM;
	return events;
}

/* ---- listening, ending ---- */

static int listen_socket(struct soq__sim_socket *s, int backlog)
{
	struct soq__sim_conn *c = soq__sim_conn_of(s);
	struct soq__sim_addr any = c->local;
	int rc = 0;

	if (c->state != TCP_CLOSE && c->state != TCP_LISTEN)
		return -EINVAL;
	if (!c->bound) {
		any.port = 0;
		rc = soq__sim_conn_take_port(c, &any);
	}
	return rc < 0 ? rc : soq__sim_tcp_listen(c, backlog);
}

static int shutdown_socket(struct soq__sim_socket *s, int how)
{
	struct soq__sim_conn *c = soq__sim_conn_of(s);
	bool rd = how == SHUT_RD || how == SHUT_RDWR, wr = how == SHUT_WR || how == SHUT_RDWR;

	if (!rd && !wr)
		return -EINVAL;
	switch (c->state) {
	case TCP_CLOSE:
	case TCP_TIME_WAIT:
		c->shut_rd |= rd;
		c->shut_wr |= wr;
		soq__sim_changed(s, SOQ__SIM_IN | SOQ__SIM_OUT);
		return -ENOTCONN;
	case TCP_LISTEN:
		if (rd) {
			soq__sim_tcp_stop_listening(c, true);
			if (!c->has_chosen)
				soq__sim_conn_free_port(c);
			soq__sim_changed(s, SOQ__SIM_IN | SOQ__SIM_OUT);
		}
		return 0;
	case TCP_SYN_SENT:
		soq__sim_conn_die(c, ECONNRESET);
		return 0;
	default:
		c->shut_rd |= rd;
		if (wr)
			soq__sim_conn_finish(c);
		soq__sim_changed(s, SOQ__SIM_IN | SOQ__SIM_OUT);
		return 0;
	}
}

/* Linux, tcp_need_reset: the peer believes that the connection is there. */
static bool needs_reset(const struct soq__sim_conn *c)
{
	return c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT ||
		c->state == TCP_FIN_WAIT1 || c->state == TCP_FIN_WAIT2 ||
		c->state == TCP_SYN_RECV ||
		((c->state == TCP_CLOSING || c->state == TCP_LAST_ACK) &&
			soq__sim_tcp_has_unsent(c));
}

/* What waits to be sent goes on without a program, and a FIN after it; unless bytes are thrown
 * away that the peer believes to be read: RFC 2525 section 2.17. */
static void close_connection(struct soq__sim_conn *c)
{
	bool unread = c->flow && c->flow->rx.count > 0;
	bool lingers = !c->rare || c->rare->linger_s != 0;

	if (unread || !lingers) {
		if (unread || needs_reset(c))
			soq__sim_tcp_send_reset(c);
		soq__sim_conn_free(c);
		return;
	}
	c->shut_rd = true;
	if (c->state == TCP_FIN_WAIT2)
		soq__sim_at(soq__sim_conn_world(c), &c->timer,
			soq__sim_conn_now(c) + SOQ__SIM_FIN_WAIT_2_NS);
	else
		soq__sim_conn_finish(c);
}

static void close_socket(struct soq__sim_socket *s)
{
	struct soq__sim_conn *c = soq__sim_conn_of(s);

	c->is_closed = true;
	switch (c->state) {
	case TCP_LISTEN:
		soq__sim_tcp_stop_listening(c, true);
		soq__sim_conn_free(c);
		break;
	case TCP_CLOSE:
	case TCP_SYN_SENT:
		soq__sim_conn_free(c);
		break;
	case TCP_TIME_WAIT:
		free_flow(c);
		break;
	default:
		close_connection(c);
	}
}

static void abandon(struct soq__sim_socket *s)
{
	soq__sim_conn_free(soq__sim_conn_of(s));
}

const struct soq__sim_proto soq__sim_tcp_proto = {
	.name = "tcp",
	.type = SOCK_STREAM,
	.protocol = IPPROTO_TCP,
	.attempt = attempt,
	.poll = poll_events,
	.bind = soq__sim_tcp_bind,
	.listen = listen_socket,
	.shutdown = shutdown_socket,
	.set_option = soq__sim_tcp_set_option,
	.get_option = soq__sim_tcp_get_option,
	.local_addr = soq__sim_tcp_local_addr,
	.peer_addr = soq__sim_tcp_peer_addr,
	.close = close_socket,
	.abandon = abandon,
	.describe = soq__sim_tcp_describe,
	.memory = soq__sim_tcp_memory,
};
