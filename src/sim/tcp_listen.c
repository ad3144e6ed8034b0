/* tcp_listen.c - TCP listeners, and clients that nobody has accepted yet.
 *
 * A client is a connection of its own from its SYN on, without a descriptor. It has no port of
 * its own but its listener's, and keeps that after the listener has gone.
 *
 * Programs that wait for a client hear of it a little later than it comes, by chance: who asks
 * without waiting finds it at once, as a kernel's accept(2) would.
 *
 * Invariant: a client is on one of its listener's two lists: of those whose handshake is not
 * over, or of those that can be accepted, whose length is the count.
 * Source: listen(2), accept(2); Linux's inet_connection_sock.c and tcp_minisocks.c.
 */
#include "sim/tcp.h"
#include <errno.h>
#include <stdlib.h>

#define BACKLOG_MOST 4096 /* net.core.somaxconn */

/* ---- listening ---- */

int soq__sim_tcp_listen(struct soq__sim_conn *c, int backlog)
{
	int rc = 0;

	if (c->state != TCP_LISTEN) {
		rc = soq__sim_may_listen(c->bound);
		if (rc < 0)
			return rc;
		c->bound->listening = true;
		c->state = TCP_LISTEN;
		c->shut_rd = c->shut_wr = false;
		c->listen = soq__sim_alloc(sizeof(*c->listen));
		soq__list_init(&c->listen->embryos);
		soq__list_init(&c->listen->queue);
	}
	c->listen->backlog = BACKLOG_MOST;
	if (backlog > 0 && backlog < BACKLOG_MOST)
		c->listen->backlog = (unsigned)backlog;
	return 0;
}

static struct soq__sim_conn *conn_of_node(struct soq__list *node)
{
	return soq__container_of(node, struct soq__sim_client, node)->conn;
}

void soq__sim_tcp_stop_listening(struct soq__sim_conn *c, bool reset)
{
	struct soq__sim_listen *l = c->listen;

	while (!soq__list_empty(&l->embryos))
		soq__sim_conn_free(conn_of_node(l->embryos.next));
	while (!soq__list_empty(&l->queue)) {
		struct soq__sim_conn *client = conn_of_node(l->queue.next);

		if (reset && client->state != TCP_CLOSE)
			soq__sim_tcp_send_reset(client);
		soq__sim_conn_free(client);
	}
	free(l);
	c->listen = NULL;
	c->state = TCP_CLOSE;
	c->bound->listening = false;
}

/* ---- clients ---- */

/* Linux, sk_acceptq_is_full: one more than the backlog. */
static bool is_full(const struct soq__sim_listen *l)
{
	return l->count > l->backlog;
}

/* Options that a client has from its listener. */
static void inherit(struct soq__sim_conn *c, const struct soq__sim_conn *listener)
{
	c->nodelay = listener->nodelay;
	c->cork = listener->cork;
	c->keepalive = listener->keepalive;
	c->reuse_addr = listener->reuse_addr;
	c->reuse_port = listener->reuse_port;
	c->v6only = listener->v6only;
	if (listener->rare) {
		c->rare = soq__sim_alloc(sizeof(*c->rare));
		*c->rare = *listener->rare;
	}
}

static void add_client(struct soq__sim_conn *c, struct soq__sim_conn *listener)
{
	struct soq__sim_client *client = soq__sim_alloc(sizeof(*client));

	client->conn = c;
	client->listener = listener;
	client->tell_ns = SOQ_NEVER;
	soq__list_append(&listener->listen->embryos, &client->node);
	c->client = client;
	c->is_queued = true;
}

void soq__sim_tcp_syn(struct soq__sim_conn *listener, const struct soq__sim_packet *p)
{
	struct soq__sim_conn *c;
	uint32_t window;

	if (is_full(listener->listen))
		return;
	c = soq__sim_conn_new(listener->socket.host, listener->socket.family);
	inherit(c, listener);
	c->local = p->dst;
	c->remote = p->src;
	c->state = TCP_SYN_RECV;
	c->snd_una = c->snd_nxt = soq__sim_tcp_isn(c);
	c->snd_edge = c->snd_una + 1 + p->window;
	c->rcv_nxt = p->seq + 1;
	window = soq__sim_conn_rcvbuf(c);
	c->rcv_edge = c->rcv_nxt + (uint32_t)soq__min(window, SOQ__SIM_SYN_WINDOW_MOST);
	soq__sim_conn_find_mss(c);
	c->cwnd = SOQ__SIM_WINDOW_SEGMENTS * c->mss;
	c->ssthresh = UINT32_MAX;
	add_client(c, listener);
	soq__sim_tcp_list(c);
	soq__sim_tcp_send_syn(c);
	soq__sim_tcp_arm(c);
}

static int64_t telling_delay(struct soq_sim_host *host)
{
	if (host->sim->opt.prompt_accepts)
		return 0;
	return (int64_t)soq__sim_below(
		soq__sim_host_draw(host, SOQ__SIM_ACCEPT), SOQ__SIM_ACCEPT_DELAY_NS + 1);
}

bool soq__sim_tcp_enqueue(struct soq__sim_conn *c)
{
	struct soq__sim_client *client = c->client;
	struct soq__sim_listen *l = client->listener->listen;

	if (is_full(l))
		return false;
	soq__list_remove(&client->node);
	soq__list_append(&l->queue, &client->node);
	l->count++;
	client->tell_ns = soq__sim_conn_now(c) + telling_delay(c->socket.host);
	return true;
}

void soq__sim_tcp_tell(struct soq__sim_client *client)
{
	client->tell_ns = SOQ_NEVER;
	/* Whoever accepts it now frees @client. */
	soq__sim_changed(&client->listener->socket, SOQ__SIM_IN);
}

void soq__sim_tcp_leave(struct soq__sim_conn *c)
{
	struct soq__sim_client *client = c->client;

	soq__list_remove(&client->node);
	if (c->state != TCP_SYN_RECV)
		client->listener->listen->count--;
	free(client);
	c->client = NULL;
	c->is_queued = false;
}

int64_t soq__sim_tcp_accept(struct soq__sim_conn *listener, struct soq__op *op)
{
	struct soq__sim_conn *c;
	int fd;

	if (listener->state != TCP_LISTEN)
		return -EINVAL;
	if (soq__list_empty(&listener->listen->queue))
		return -EAGAIN;
	c = conn_of_node(listener->listen->queue.next);
	fd = soq__sim_fd_open(&c->socket, soq__sim_engine_of(op->engine));
	if (fd < 0)
		return fd;
	soq__sim_tcp_leave(c);
	soq__sim_addr_to(op->addr, &c->remote, listener->socket.family);
	return fd;
}
