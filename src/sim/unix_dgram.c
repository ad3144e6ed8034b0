/* unix_dgram.c - datagrams on simulated Unix sockets: reliable and in order.
 *
 * A sender waits while the receiver's queue is full, unless the two are connected to each
 * other, and while too much of its own lies in queues anywhere.
 *
 * Invariant: a message is in its receiver's queue and, while its sender lives, in that one's
 * list; a sender is in the list of the receiver that it is connected to.
 * Source: unix(7), Linux's unix_dgram_sendmsg(), unix_dgram_poll(), unix_dgram_connect().
 */
#include "sim/unix.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX	 10  /* net.unix.max_dgram_qlen: one more than so many find room */
#define MESSAGE_OVERHEAD 576 /* of each message, as Linux charges it */
#define MESSAGE_RESERVE	 32  /* of the sender's buffer, which no message may have */

struct dgram {
	struct soq__sim_unix_socket u;
	struct dgram *peer; /* where it sends to; NULL: it has to be told each time */
	/* Its peer has ended, which a send is to tell once: until then nobody else is heard. */
	bool peer_ended;
	struct soq__sim_unix_name *ended_name; /* that one's; NULL: it had none */
	struct soq__list node;		       /* of the peer's list of senders */
	struct soq__list senders;	       /* struct dgram that are connected to this one */
	struct soq__list queue;		       /* struct message, received */
	unsigned queue_count;
	size_t queued_bytes;
	struct soq__list sent;	  /* struct message that are still in queues */
	size_t sent_bytes;	  /* of these, overhead included */
	struct soq__list waiters; /* struct waiter, for room in this one's queue */
	struct soq__list waits;	  /* struct waiter, this one for room in others' */
};

struct message {
	struct soq__list node;		 /* of the receiver's queue */
	struct soq__list sent;		 /* of the sender's */
	struct dgram *from;		 /* NULL: it has ended */
	struct soq__sim_unix_name *name; /* the sender's then; NULL: none */
	struct soq__sim_unix_rights *rights;
	size_t len;
	char data[];
};

/* A sender that waits for room in a receiver's queue. */
struct waiter {
	struct soq__list node; /* of the receiver's */
	struct soq__list wait; /* of the sender's */
	struct dgram *to, *from;
};

static struct dgram *dgram_of(const struct soq__sim_socket *s)
{
	return soq__container_of(soq__sim_unix_of(s), struct dgram, u);
}

static void changed(struct dgram *d, unsigned directions)
{
	soq__sim_changed(&d->u.base, directions);
}

static size_t charge(size_t len)
{
	return len + MESSAGE_OVERHEAD;
}

/* ---- waiting for room ---- */

static bool is_full(const struct dgram *to, const struct dgram *from)
{
	return to != from && to->peer != from && to->queue_count > QUEUE_MAX;
}

static void wait_for_room(struct dgram *from, struct dgram *to)
{
	struct waiter *w;

	soq__list_for_each (node, &from->waits)
		if (soq__container_of(node, struct waiter, wait)->to == to)
			return;
	w = soq__sim_alloc(sizeof(*w));
	w->from = from;
	w->to = to;
	soq__list_append(&to->waiters, &w->node);
	soq__list_append(&from->waits, &w->wait);
}

static void waiter_free(struct waiter *w)
{
	soq__list_remove(&w->node);
	soq__list_remove(&w->wait);
	free(w);
}

/* A list of its own, since whoever finds no room waits anew; and what a sender does may make
 * room, which comes here again. */
static void wake_waiters(struct dgram *to)
{
	struct soq__list now, *node;

	soq__list_init(&now);
	while ((node = soq__list_pop(&to->waiters)))
		soq__list_append(&now, node);
	while (!soq__list_empty(&now)) {
		struct waiter *w = soq__container_of(now.next, struct waiter, node);
		struct dgram *from = w->from;

		waiter_free(w);
		changed(from, SOQ__SIM_OUT);
	}
}

/* Those that are connected may wait by poll(2). Once around, since what one of them does may
 * end another. */
static void wake_connected(struct dgram *to)
{
	size_t left = 0;

	soq__list_for_each (counted, &to->senders)
		left++;
	for (; left > 0 && !soq__list_empty(&to->senders); left--) {
		struct soq__list *node = soq__list_pop(&to->senders);

		soq__list_append(&to->senders, node);
		changed(soq__container_of(node, struct dgram, node), SOQ__SIM_OUT);
	}
}

/* There is room in a queue, or none for ever: senders try again, in the order in which they
 * began to wait. */
static void wake_senders(struct dgram *to)
{
	wake_waiters(to);
	wake_connected(to);
}

/* ---- messages ---- */

static void enqueue(struct dgram *from, struct dgram *to, const struct msghdr *msg, size_t len,
	struct soq__sim_unix_rights *rights)
{
	struct message *m = soq__sim_alloc(sizeof(*m) + len);

	m->len = soq__sim_gather(m->data, len, msg);
	m->rights = rights;
	m->name = soq__sim_unix_name_ref(from->u.name);
	m->from = from;
	soq__list_append(&from->sent, &m->sent);
	from->sent_bytes += charge(len);
	soq__list_append(&to->queue, &m->node);
	to->queue_count++;
	to->queued_bytes += charge(len);
}

static void dequeue(struct dgram *d, struct message *m)
{
	soq__list_remove(&m->node);
	d->queue_count--;
	d->queued_bytes -= charge(m->len);
}

/* The message is in no queue any more: its sender has so much more room. */
static void settle(struct message *m, bool abandoned)
{
	struct dgram *from = m->from;

	if (!from)
		return;
	soq__list_remove(&m->sent);
	m->from = NULL;
	from->sent_bytes -= charge(m->len);
	if (!abandoned)
		changed(from, SOQ__SIM_OUT);
}

/* Its rights are somebody else's by now, or freed. */
static void message_free(struct message *m)
{
	soq__sim_unix_name_unref(m->name);
	free(m);
}

/* Lose what is in the queue now: what senders that are woken by it send is not lost. Closing
 * descriptors may end other sockets. */
static void purge(struct dgram *d, bool abandoned)
{
	struct soq_sim *sim = d->u.base.host->sim;
	struct soq__list lost, *node;

	soq__list_init(&lost);
	while (d->queue_count > 0) {
		struct message *m = soq__container_of(d->queue.next, struct message, node);

		dequeue(d, m);
		soq__list_append(&lost, &m->node);
	}
	while ((node = soq__list_pop(&lost))) {
		struct message *m = soq__container_of(node, struct message, node);

		settle(m, abandoned);
		soq__sim_unix_rights_free(sim, m->rights, abandoned);
		message_free(m);
	}
}

/* ---- connecting ---- */

static void set_peer(struct dgram *d, struct dgram *peer)
{
	soq__list_remove(&d->node);
	d->peer = peer;
	d->peer_ended = false;
	soq__sim_unix_name_unref(d->ended_name);
	d->ended_name = NULL;
	if (peer)
		soq__list_append(&peer->senders, &d->node);
}

void soq__sim_unix_dgram_join(struct soq__sim_socket *a, struct soq__sim_socket *b)
{
	set_peer(dgram_of(a), dgram_of(b));
	set_peer(dgram_of(b), dgram_of(a));
}

/* A socket that is connected hears nobody else. */
static bool may_send(const struct dgram *from, const struct dgram *to)
{
	return to->peer ? to->peer == from : !to->peer_ended;
}

static int find(const struct dgram *d, const void *addr, socklen_t len, struct dgram **ret)
{
	struct soq_addr given = { .len = len }, name;
	struct soq__sim_unix_socket *found;
	int rc;

	if (len > sizeof(given.un))
		return -EINVAL;
	memcpy(&given.un, addr, len);
	rc = soq__sim_unix_parse(&name, &given);
	if (rc < 0)
		return rc;
	if (name.len == sizeof(sa_family_t))
		return -EINVAL;
	rc = soq__sim_unix_find(d->u.base.host, &name, SOCK_DGRAM, &found);
	if (rc < 0)
		return rc;
	*ret = dgram_of(&found->base);
	return 0;
}

/* What the former peer had sent is lost, and it learns so if it was connected to us.
 * @former  NULL: it has ended */
static void part(struct dgram *d, struct dgram *former)
{
	if (soq__list_empty(&d->queue))
		return;
	if (former && former->peer == d)
		former->u.error = ECONNRESET;
	if (former)
		changed(former, SOQ__SIM_IN | SOQ__SIM_OUT);
	purge(d, false);
}

static int64_t dgram_connect(struct dgram *d, const struct soq_addr *addr)
{
	struct dgram *former = d->peer, *peer = NULL;
	bool had_ended = d->peer_ended;

	if (addr->len < sizeof(sa_family_t))
		return -EINVAL;
	if (addr->sa.sa_family != AF_UNSPEC) {
		int rc = find(d, &addr->un, addr->len, &peer);

		if (rc < 0)
			return rc;
		if (!may_send(d, peer))
			return -EPERM;
	}
	set_peer(d, peer);
	if (had_ended || (former && former != peer))
		part(d, former);
	changed(d, SOQ__SIM_IN | SOQ__SIM_OUT);
	/* Who may send to it, and how much, has changed. */
	wake_senders(d);
	return 0;
}

/* ---- sending ---- */

static bool has_name(const struct msghdr *msg)
{
	return msg->msg_name && msg->msg_namelen > 0;
}

static int64_t receiver_of(struct dgram *d, const struct msghdr *msg, struct dgram **ret)
{
	if (has_name(msg))
		return find(d, msg->msg_name, msg->msg_namelen, ret);
	if (d->peer_ended) {
		set_peer(d, NULL);
		part(d, NULL);
		wake_senders(d);
		return -ECONNREFUSED;
	}
	*ret = d->peer;
	return d->peer ? 0 : -ENOTCONN;
}

/* Whether its sender may send a message of so many bytes now, to whomever. It waits for its
 * own buffer first, whatever becomes of the receiver meanwhile. */
static int64_t may_leave(struct dgram *d, size_t len)
{
	size_t most = (size_t)d->u.send_buffer;
	int64_t rc;

	if (len + MESSAGE_RESERVE > most)
		return -EMSGSIZE;
	rc = soq__sim_unix_take_error(&d->u);
	if (rc < 0)
		return rc;
	if (d->u.shut & SOQ__SIM_OUT)
		return -EPIPE;
	return d->sent_bytes >= most ? -EAGAIN : 0;
}

/* Whether the receiver takes a message now. */
static int64_t may_arrive(struct dgram *d, struct dgram *to, int flags)
{
	if (!may_send(d, to))
		return -EPERM;
	if (to->u.shut & SOQ__SIM_IN)
		return -EPIPE;
	if (!is_full(to, d))
		return 0;
	if (!(flags & MSG_DONTWAIT))
		wait_for_room(d, to);
	return -EAGAIN;
}

static int64_t dgram_send(struct dgram *d, const struct msghdr *msg, int flags)
{
	struct soq__sim_unix_rights *rights;
	size_t len = soq__sim_iov_bytes(msg);
	struct dgram *to;
	int64_t rc;

	if (flags & ~SOQ__SIM_UNIX_KNOWN_FLAGS)
		return -EOPNOTSUPP;
	if (!has_name(msg) && !d->peer && !d->peer_ended)
		return -ENOTCONN;
	rc = may_leave(d, len);
	if (rc == 0)
		rc = receiver_of(d, msg, &to);
	if (rc == 0)
		rc = may_arrive(d, to, flags);
	if (rc == 0)
		rc = soq__sim_unix_rights_take(d->u.base.host->sim, msg, &rights);
	if (rc < 0)
		return rc;
	enqueue(d, to, msg, len, rights);
	changed(to, SOQ__SIM_IN);
	return (int64_t)len;
}

/* ---- receiving ---- */

/* The message has been received: whom its room interests. */
static void make_room(struct dgram *d, struct message *m)
{
	bool was_full = d->queue_count > QUEUE_MAX;

	dequeue(d, m);
	settle(m, false);
	if (was_full)
		wake_senders(d);
}

static int64_t dgram_recv(struct dgram *d, struct msghdr *msg, int flags)
{
	size_t room = msg->msg_control ? msg->msg_controllen : 0, n;
	struct soq_sim *sim = d->u.base.host->sim;
	struct soq__sim_unix_rights *rights;
	struct message *m;
	int64_t rc;

	if (flags & (MSG_OOB | MSG_ERRQUEUE))
		return -EOPNOTSUPP;
	rc = soq__sim_unix_take_error(&d->u);
	if (rc == 0 && d->queue_count == 0 && !(d->u.shut & SOQ__SIM_IN))
		rc = -EAGAIN;
	if (rc < 0)
		return rc;
	msg->msg_controllen = 0;
	msg->msg_flags = 0;
	if (d->queue_count == 0) {
		msg->msg_namelen = 0;
		return 0;
	}
	m = soq__container_of(d->queue.next, struct message, node);
	n = soq__sim_scatter(msg, m->data, m->len);
	if (n < m->len)
		msg->msg_flags |= MSG_TRUNC;
	soq__sim_unix_name_put(msg, m->name);
	rc = flags & MSG_TRUNC ? (int64_t)m->len : (int64_t)n;
	rights = m->rights;
	if (flags & MSG_PEEK) {
		rights = soq__sim_unix_rights_copy(sim, rights);
	} else {
		make_room(d, m);
		message_free(m);
	}
	soq__sim_unix_rights_put(sim, msg, room, rights);
	return rc;
}

/* ---- operations ---- */

static int64_t dgram_attempt(struct soq__sim_socket *base, struct soq__op *op)
{
	struct dgram *d = dgram_of(base);
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (op->code == SOQ__OP_RECV || op->code == SOQ__OP_SEND)
		iov = (struct iovec){ op->buf, op->len };
	switch (op->code) {
	case SOQ__OP_RECV:
		return dgram_recv(d, &msg, op->flags);
	case SOQ__OP_RECVMSG:
		return dgram_recv(d, op->msg, op->flags);
	case SOQ__OP_SEND:
		return dgram_send(d, &msg, op->flags);
	case SOQ__OP_SENDMSG:
		return dgram_send(d, op->msg, op->flags);
	case SOQ__OP_CONNECT:
		return dgram_connect(d, op->addr);
	default:
		return -EOPNOTSUPP;
	}
}

static short dgram_poll(struct soq__sim_socket *base)
{
	const struct dgram *d = dgram_of(base);
	int events = soq__sim_unix_events(&d->u, d->queue_count > 0);

	/* Worth waking for: three quarters of the buffer are free. */
	if (d->sent_bytes * 4 <= (size_t)d->u.send_buffer && !(d->peer && is_full(d->peer, d)))
		events |= POLLOUT | POLLWRNORM | POLLWRBAND;
	return (short)events;
}

static int dgram_listen(struct soq__sim_socket *base, int backlog)
{
	(void)base;
	(void)backlog;
	return -EOPNOTSUPP;
}

static int dgram_shutdown(struct soq__sim_socket *base, int how)
{
	struct dgram *d = dgram_of(base);
	int directions = soq__sim_unix_directions(how);

	if (directions < 0)
		return directions;
	d->u.shut |= (uint8_t)directions;
	changed(d, SOQ__SIM_IN | SOQ__SIM_OUT);
	/* Whoever waits for room now waits in vain. */
	wake_senders(d);
	return 0;
}

static int dgram_peer_addr(const struct soq__sim_socket *base, struct soq_addr *ret)
{
	const struct dgram *d = dgram_of(base);

	if (!d->peer && !d->peer_ended)
		return -ENOTCONN;
	soq__sim_unix_name_addr(ret, d->peer ? d->peer->u.name : d->ended_name);
	return 0;
}

static int dgram_get_option(
	const struct soq__sim_socket *base, int level, int option, void *value, socklen_t *len)
{
	if (level == SOL_SOCKET && option == SO_ACCEPTCONN)
		return soq__sim_put_int(value, len, 0);
	return soq__sim_unix_get_option(base, level, option, value, len);
}

static void dgram_describe(const struct soq__sim_socket *base, char *buf, size_t len)
{
	const struct dgram *d = dgram_of(base);
	char local[SOQ_ADDR_TEXT_MAX], peer[SOQ_ADDR_TEXT_MAX];

	soq__sim_unix_name_text(local, d->u.name);
	if (d->peer)
		snprintf(buf, len, "%s to %s", local,
			soq__sim_unix_name_text(peer, d->peer->u.name));
	else
		snprintf(buf, len, "%s", local);
}

static uint64_t dgram_memory(const struct soq__sim_socket *base)
{
	return sizeof(struct dgram) + dgram_of(base)->queued_bytes;
}

/* ---- life ---- */

struct soq__sim_socket *soq__sim_unix_dgram_new(struct soq_sim_host *host)
{
	struct dgram *d = soq__sim_alloc(sizeof(*d));

	soq__sim_unix_init(&d->u, &soq__sim_unix_dgram_proto, host);
	soq__list_init(&d->node);
	soq__list_init(&d->senders);
	soq__list_init(&d->queue);
	soq__list_init(&d->sent);
	soq__list_init(&d->waiters);
	soq__list_init(&d->waits);
	return &d->u.base;
}

/* Whoever is connected to it learns at the next send that it has ended. @name  what it had */
static void let_go_of_senders(struct dgram *d, struct soq__sim_unix_name *name, bool abandoned)
{
	struct soq__list *node;

	while ((node = soq__list_pop(&d->senders))) {
		struct dgram *from = soq__container_of(node, struct dgram, node);

		from->peer = NULL;
		from->peer_ended = true;
		from->ended_name = soq__sim_unix_name_ref(name);
		if (!abandoned)
			changed(from, SOQ__SIM_OUT);
	}
}

static void let_go_of_sent(struct dgram *d)
{
	struct soq__list *node;

	while ((node = soq__list_pop(&d->sent)))
		soq__container_of(node, struct message, sent)->from = NULL;
}

static void let_go_of_waiters(struct dgram *d)
{
	struct soq__list *node;

	while ((node = soq__list_pop(&d->waits)))
		waiter_free(soq__container_of(node, struct waiter, wait));
	while ((node = soq__list_pop(&d->waiters)))
		waiter_free(soq__container_of(node, struct waiter, node));
}

static void dgram_end(struct dgram *d, bool abandoned)
{
	struct soq__sim_unix_name *name = soq__sim_unix_name_ref(d->u.name);

	soq__sim_unix_unname(&d->u, abandoned);
	set_peer(d, NULL);
	let_go_of_sent(d);
	let_go_of_senders(d, name, abandoned);
	soq__sim_unix_name_unref(name);
	if (!abandoned)
		wake_senders(d);
	let_go_of_waiters(d);
	purge(d, abandoned);
	free(d);
}

static void dgram_close(struct soq__sim_socket *base)
{
	dgram_end(dgram_of(base), false);
}

static void dgram_abandon(struct soq__sim_socket *base)
{
	dgram_end(dgram_of(base), true);
}

const struct soq__sim_proto soq__sim_unix_dgram_proto = {
	.name = "unixgram",
	.type = SOCK_DGRAM,
	.attempt = dgram_attempt,
	.poll = dgram_poll,
	.bind = soq__sim_unix_bind,
	.listen = dgram_listen,
	.shutdown = dgram_shutdown,
	.set_option = soq__sim_unix_set_option,
	.get_option = dgram_get_option,
	.local_addr = soq__sim_unix_local_addr,
	.peer_addr = dgram_peer_addr,
	.close = dgram_close,
	.abandon = dgram_abandon,
	.describe = dgram_describe,
	.memory = dgram_memory,
};
