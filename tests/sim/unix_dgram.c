/* unix_dgram.c - simulated Unix datagrams: who waits for whose room, who is told of whose end.
 */
#include "sim/model.h"

#define PLACES 11 /* in a queue: one more than net.unix.max_dgram_qlen */

static char bytes[1 << 18];

static struct soq__sim_socket *dgram(void)
{
	return un(host_a, SOCK_DGRAM);
}

static struct soq__sim_socket *named_dgram(const char *name)
{
	struct soq__sim_socket *s = dgram();

	CHECK_OK(bind_now(s, named(name)));
	return s;
}

static struct soq__sim_socket *connected_dgram(const char *to)
{
	struct soq__sim_socket *s = dgram();

	CHECK_EQ(connect_now(s, named(to)), 0);
	return s;
}

/* ---- room ---- */

/* A queue has eleven places for those that it is not connected to. A sender that is connected
 * sees by poll(2) whether there is room. */
TEST(sim_unixgram_queue)
{
	struct soq__sim_socket *to, *connected, *other;
	struct call send[2];

	world_open(1, NULL);
	to = named_dgram("@to");
	connected = connected_dgram("@to");
	other = dgram();
	for (int i = 0; i < PLACES; i++)
		CHECK_EQ(send_to(other, 1, named("@to")), 1);
	CHECK_EQ(send_to(other, 1, named("@to")), -EAGAIN);
	CHECK_EQ(send_now(connected, "x", 1), -EAGAIN);
	CHECK_EQ(events_of(connected), 0);
	CHECK_EQ(events_of(other), POLLOUT);
	for (int i = 0; i < 2; i++)
		call_send(&send[i], connected, bytes, 2);
	CHECK_EQ(recv_len(to), 1);
	/* There is one place, for the one that has waited longer. */
	CHECK_EQ(call_result(&send[0]), 2);
	CHECK_EQ(call_result(&send[1]), -EINPROGRESS);
	for (int i = 1; i < PLACES; i++)
		CHECK_EQ(recv_len(to), 1);
	CHECK_EQ(call_result(&send[1]), 2);
	CHECK_EQ(events_of(connected), POLLOUT);
	world_close();
}

/* Two that are connected to each other are bounded by the sender's buffer only. */
TEST(sim_unixgram_pair_room)
{
	struct soq__sim_socket *pair[2];
	int64_t n = 0;

	world_open(1, NULL);
	un_pair(pair, SOCK_DGRAM);
	while (send_now(pair[0], "x", 1) == 1)
		n++;
	/* Each counts for 576 bytes more than it has, and the last goes over the limit. */
	CHECK_EQ(n, 131072 / 577 + 1);
	CHECK_EQ(send_now(pair[0], "x", 1), -EAGAIN);
	CHECK_EQ(events_of(pair[0]), 0);
	CHECK_EQ(recv_len(pair[1]), 1);
	CHECK_EQ(send_now(pair[0], "x", 1), 1);
	world_close();
}

/* A message is no larger than the sender's buffer, but for what the kernel keeps of it. */
TEST(sim_unixgram_sizes)
{
	static const struct {
		size_t len;
		int64_t rc;
	} rows[] = { { 0, 0 }, { 131072 - 32, 131072 - 32 }, { 131072 - 31, -EMSGSIZE } };
	struct soq__sim_socket *pair[2];

	world_open(1, NULL);
	un_pair(pair, SOCK_DGRAM);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%zu bytes", rows[i].len);
		CHECK_EQ(send_now(pair[0], bytes, rows[i].len), rows[i].rc);
		CHECK_EQ(recv_len(pair[1]), rows[i].rc < 0 ? -EAGAIN : rows[i].rc);
	}
	world_close();
}

/* A sender's own buffer, over all receivers. */
TEST(sim_unixgram_own_buffer)
{
	struct soq__sim_socket *a, *b, *from;

	world_open(1, NULL);
	a = named_dgram("@a");
	b = named_dgram("@b");
	from = dgram();
	CHECK_EQ(send_to(from, 100000, named("@a")), 100000);
	CHECK_EQ(send_to(from, 100000, named("@b")), 100000);
	CHECK_EQ(send_to(from, 1, named("@a")), -EAGAIN);
	CHECK_EQ(events_of(from), 0);
	close_now(b); /* and what waited there is lost */
	CHECK_EQ(send_to(from, 1, named("@a")), 1);
	CHECK_EQ(recv_len(a), 100000);
	CHECK_EQ(events_of(from), POLLOUT);
	world_close();
}

TEST(sim_unixgram_truncated)
{
	struct soq__sim_socket *pair[2];
	struct received r;
	char buf[8];

	world_open(1, NULL);
	un_pair(pair, SOCK_DGRAM);
	CHECK_EQ(send_now(pair[0], "hello", 5), 5);
	CHECK_EQ(recv_flags(pair[1], buf, 2, MSG_PEEK | MSG_TRUNC), 5);
	r = recv_msg(pair[1], 2, 0, 0);
	CHECK_EQ(r.n, 2);
	CHECK_EQ(r.flags, MSG_TRUNC);
	CHECK_EQ(recv_len(pair[1]), -EAGAIN);
	world_close();
}

/* ---- to whom ---- */

/* Who is connected hears its peer alone. */
TEST(sim_unixgram_hears_its_peer)
{
	struct soq__sim_socket *a, *b, *stranger;

	world_open(1, NULL);
	a = named_dgram("@a");
	b = named_dgram("@b");
	stranger = dgram();
	CHECK_EQ(connect_now(a, named("@b")), 0);
	CHECK_EQ(send_to(stranger, 1, named("@a")), -EPERM);
	CHECK_EQ(connect_now(stranger, named("@a")), -EPERM);
	CHECK_EQ(send_to(b, 1, named("@a")), 1);
	CHECK_EQ(recv_len(a), 1);
	CHECK_EQ(send_to(stranger, 1, named("@b")), 1);
	CHECK_EQ(connect_now(b, named("@b")), 0); /* to itself: nobody else may */
	CHECK_EQ(send_to(stranger, 1, named("@b")), -EPERM);
	CHECK_EQ(send_now(b, "self", 4), 4);
	CHECK_EQ(recv_len(b), 1);
	CHECK_EQ(recv_len(b), 4);
	world_close();
}

/* What a former peer had sent is lost, and it is told if it was connected, too. */
TEST(sim_unixgram_dissolved)
{
	const struct soq_addr nobody = { .len = sizeof(struct sockaddr_in) };
	struct soq__sim_socket *pair[2];

	world_open(1, NULL);
	un_pair(pair, SOCK_DGRAM);
	CHECK_EQ(send_now(pair[1], "hi", 2), 2);
	CHECK_EQ(connect_now(pair[0], nobody), 0);
	CHECK_EQ(recv_len(pair[0]), -EAGAIN);
	CHECK_EQ(send_now(pair[0], "x", 1), -ENOTCONN);
	CHECK_EQ(events_of(pair[1]), POLLOUT | POLLERR);
	CHECK_EQ(recv_len(pair[1]), -ECONNRESET);
	CHECK_EQ(send_now(pair[1], "x", 1), 1);
	CHECK_EQ(recv_len(pair[0]), 1);
	world_close();
}

/* ---- ends ---- */

/* The peer has ended: the next send says so, and then the socket has none. */
TEST(sim_unixgram_peer_closed)
{
	struct soq__sim_socket *s, *l;

	world_open(1, NULL);
	l = named_dgram("@to");
	s = connected_dgram("@to");
	close_now(l);
	CHECK_EQ(events_of(s), POLLOUT);
	CHECK_EQ(recv_len(s), -EAGAIN);
	CHECK_EQ(send_now(s, "x", 1), -ECONNREFUSED);
	CHECK_EQ(send_now(s, "x", 1), -ENOTCONN);
	CHECK_STR(peer_text(s), soq_strerror(-ENOTCONN));
	world_close();
}

/* Until it has been told, it hears nobody else and knows its peer's name; then what it had
 * received is lost. */
TEST(sim_unixgram_peer_closed_untold)
{
	static const struct {
		const char *what;
		const char *to; /* NULL: send to the peer that has ended */
	} rows[] = { { "told by a send", NULL }, { "connected anew", "@stranger" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *s, *peer, *stranger;

		ROW("%s", rows[i].what);
		world_open(1, NULL);
		peer = named_dgram("@peer");
		stranger = named_dgram("@stranger");
		s = named_dgram("@s");
		CHECK_EQ(send_to(stranger, 9, named("@s")), 9);
		CHECK_EQ(connect_now(s, named("@peer")), 0);
		close_now(peer);
		CHECK_STR(peer_text(s), "@peer");
		CHECK_EQ(send_to(stranger, 1, named("@s")), -EPERM);
		CHECK_EQ(connect_now(stranger, named("@s")), -EPERM);
		CHECK_EQ(recv_flags(s, bytes, 9, MSG_PEEK), 9);
		if (rows[i].to)
			CHECK_EQ(connect_now(s, named(rows[i].to)), 0);
		else
			CHECK_EQ(send_now(s, "x", 1), -ECONNREFUSED);
		CHECK_EQ(recv_len(s), -EAGAIN);
		CHECK_EQ(send_to(stranger, 1, named("@s")), 1);
		world_close();
	}
}

/* Whoever waits for room is told when there will be none. */
TEST(sim_unixgram_end_wakes)
{
	struct call send;

	for (int shut = 0; shut < 2; shut++) {
		struct soq__sim_socket *to, *from;

		ROW("shut down: %d", shut);
		world_open(1, NULL);
		to = named_dgram("@to");
		from = connected_dgram("@to");
		for (int i = 0; i < PLACES; i++)
			CHECK_EQ(send_now(from, "x", 1), 1);
		call_send(&send, from, bytes, 1);
		CHECK_EQ(call_result(&send), -EINPROGRESS);
		if (shut)
			CHECK_EQ(shutdown_now(to, SHUT_RD), 0);
		else
			close_now(to);
		CHECK_EQ(call_result(&send), shut ? -EPIPE : -ECONNREFUSED);
		world_close();
	}
}

/* A sender that names its receiver each time waits for it, too. */
TEST(sim_unixgram_waits_unconnected)
{
	struct soq_addr name = named("@to");
	struct iovec iov = { bytes, 7 };
	struct msghdr msg = {
		.msg_name = &name.sa, .msg_namelen = name.len, .msg_iov = &iov, .msg_iovlen = 1
	};
	struct call send = { .op = { .code = SOQ__OP_SENDMSG, .msg = &msg } };
	struct soq__sim_socket *to, *from;

	world_open(1, NULL);
	to = named_dgram("@to");
	from = dgram();
	for (int i = 0; i < PLACES; i++)
		CHECK_EQ(send_to(to, 1, name), 1);
	call_begin(&send, from);
	CHECK_EQ(call_result(&send), -EINPROGRESS);
	CHECK_EQ(recv_len(to), 1);
	CHECK_EQ(call_result(&send), 7);
	world_close();
}

/* One receive lets a send go on, which completes another receive, which gives the sender room
 * again: the send that is at work is not begun anew by that. */
TEST(sim_unixgram_chain)
{
	struct soq__sim_socket *a, *b, *from;
	struct call send, recv[2];
	char buf[2][8];

	world_open(1, NULL);
	a = named_dgram("@a");
	b = named_dgram("@b");
	from = connected_dgram("@a");
	CHECK_EQ(send_to(from, 131072 - 32, named("@b")), 131072 - 32);
	call_send(&send, from, "once", 4);
	CHECK_EQ(call_result(&send), -EINPROGRESS);
	for (int i = 0; i < 2; i++)
		call_recv(&recv[i], a, buf[i], sizeof(buf[i]));
	CHECK_EQ(recv_len(b), 131072 - 32);
	CHECK_EQ(call_result(&send), 4);
	CHECK_EQ(call_result(&recv[0]), 4);
	CHECK_EQ(call_result(&recv[1]), -EINPROGRESS);
	call_cancel(&recv[1]);
	world_close();
}

/* Many wait for the same room: each place goes to one, in their order; none waits for ever. */
TEST(sim_unixgram_many_wait)
{
	enum { SENDERS = 20 };
	struct soq__sim_socket *to, *from[SENDERS];
	static struct call send[SENDERS];
	unsigned got = 0;

	world_open(1, NULL);
	to = named_dgram("@to");
	for (int i = 0; i < PLACES; i++)
		CHECK_EQ(send_to(to, 100, named("@to")), 100); /* to oneself there is room */
	for (int i = 0; i < SENDERS; i++) {
		from[i] = connected_dgram("@to");
		call_send(&send[i], from[i], bytes, (size_t)i + 1);
		CHECK_EQ(call_result(&send[i]), -EINPROGRESS);
	}
	for (int i = 0; i < PLACES; i++)
		CHECK_EQ(recv_len(to), 100);
	for (int i = 0; i < SENDERS; i++) {
		ROW("receive %d", i);
		CHECK_EQ(recv_len(to), i + 1);
		got += call_over(&send[i]);
	}
	CHECK_EQ(got, SENDERS);
	world_close();
}

TEST(sim_unixgram_shutdown)
{
	struct soq__sim_socket *to, *from;

	world_open(1, NULL);
	to = named_dgram("@to");
	from = dgram();
	CHECK_EQ(shutdown_now(to, SHUT_RD), 0);
	CHECK_EQ(events_of(to), POLLIN | POLLRDHUP | POLLOUT);
	CHECK_EQ(recv_len(to), 0);
	CHECK_EQ(send_to(from, 1, named("@to")), -EPIPE);
	CHECK_EQ(shutdown_now(from, SHUT_WR), 0);
	CHECK_EQ(send_to(from, 1, named("@to")), -EPIPE);
	CHECK_EQ(listen_now(from, 1), -EOPNOTSUPP);
	CHECK_EQ(get_int(from, SOL_SOCKET, SO_ACCEPTCONN), 0);
	world_close();
}
