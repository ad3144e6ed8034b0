/* unix_stream.c - simulated Unix streams: backlogs, ends, room. */
#include "sim/model.h"

static struct soq__sim_socket *pair[2];
static char bytes[1 << 18];

static struct soq__sim_socket *stream(void)
{
	return un(host_a, SOCK_STREAM);
}

static struct soq__sim_socket *listen_at(const char *name, int backlog)
{
	struct soq__sim_socket *l = stream();

	CHECK_OK(bind_now(l, named(name)));
	CHECK_OK(listen_now(l, backlog));
	return l;
}

static void open_pair(void)
{
	world_open(1, NULL);
	un_pair(pair, SOCK_STREAM);
}

/* ---- listening ---- */

/* One more than the backlog can wait; the next is to try again. What waits can be written to.
 */
TEST(sim_unix_backlog)
{
	struct soq__sim_socket *l, *s[4], *accepted;

	world_open(1, NULL);
	l = listen_at("path", 1);
	CHECK_EQ(events_of(l), 0);
	CHECK_EQ(accept_now(l), -EAGAIN);
	for (int i = 0; i < 4; i++) {
		s[i] = stream();
		CHECK_EQ(connect_now(s[i], named("path")), i < 2 ? 0 : -EBUSY);
	}
	CHECK_EQ(events_of(l), POLLIN);
	CHECK_EQ(send_now(s[0], "early", 5), 5);
	accepted = soq__sim_socket_of(sim, (int)CHECK_OK(accept_now(l)));
	CHECK_EQ(recv_len(accepted), 5);
	CHECK_EQ(connect_now(s[2], named("path")), 0);
	/* Those that nobody has accepted are reset with their listener, the others not. */
	close_now(l);
	CHECK_EQ(recv_len(s[1]), -ECONNRESET);
	CHECK_EQ(recv_len(s[1]), 0);
	CHECK_EQ(send_now(s[1], "x", 1), -EPIPE);
	CHECK_EQ(send_now(accepted, "still", 5), 5);
	CHECK_EQ(recv_len(s[0]), 5);
	world_close();
}

/* Without a number, or with too high a one, it is 4,096. */
TEST(sim_unix_backlog_most)
{
	unsigned connected = 0;
	struct soq__sim_socket *l;

	world_open(1, NULL);
	l = listen_at("path", 0);
	for (int i = 0; i < 4200; i++)
		connected += connect_now(stream(), named("path")) == 0;
	CHECK_EQ(connected, 4097);
	CHECK_EQ(shutdown_now(l, SHUT_RD), 0);
	CHECK_EQ(connect_now(stream(), named("path")), -ECONNREFUSED);
	CHECK_OK(accept_now(l)); /* who waits can still be accepted */
	world_close();
}

TEST(sim_unix_wrong_state)
{
	struct soq__sim_socket *l, *s;

	world_open(1, NULL);
	l = listen_at("path", 1);
	s = stream();
	CHECK_EQ(recv_len(s), -EINVAL);
	CHECK_EQ(send_now(s, "x", 1), -ENOTCONN);
	CHECK_EQ(listen_now(s, 1), -EINVAL); /* it has no name */
	CHECK_EQ(accept_now(s), -EINVAL);
	CHECK_EQ(events_of(s), POLLOUT | POLLHUP);
	CHECK_EQ(send_to(s, 1, named("path")), -EOPNOTSUPP);
	CHECK_EQ(connect_now(s, named("path")), 0);
	CHECK_EQ(connect_now(s, named("path")), -EISCONN);
	CHECK_EQ(connect_now(s, named("nobody")), -ENOENT); /* which is noticed first */
	CHECK_EQ(send_to(s, 1, named("path")), -EISCONN);
	CHECK_EQ(listen_now(s, 1), -EINVAL);
	CHECK_EQ(recv_len(l), -EINVAL);
	CHECK_EQ(send_now(l, "x", 1), -ENOTCONN);
	CHECK_EQ(connect_now(l, named("path")), -EINVAL);
	CHECK_EQ(get_int(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	CHECK_EQ(get_int(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
	CHECK_EQ(set_int(s, IPPROTO_TCP, TCP_NODELAY, 1), -EOPNOTSUPP);
	world_close();
}

/* Who waits to accept has the next client at once. */
TEST(sim_unix_accept_waits)
{
	struct soq__sim_socket *l;
	struct call accept[2];

	world_open(1, NULL);
	l = listen_at("path", 1);
	for (int i = 0; i < 2; i++)
		call_accept(&accept[i], l);
	CHECK_EQ(connect_now(stream(), named("path")), 0);
	CHECK(call_result(&accept[0]) > 0);
	CHECK_EQ(call_result(&accept[1]), -EINPROGRESS);
	CHECK_EQ(shutdown_now(l, SHUT_RD), 0);
	CHECK_EQ(call_result(&accept[1]), -EINVAL);
	world_close();
}

/* ---- ends ---- */

/* What one end sees when the other is closed: bytes that were read by nobody reset it. */
TEST(sim_unix_peer_closed)
{
	static const struct {
		const char *what;
		bool near_unread, far_unread;
		int events;
		int64_t recv[3];
	} rows[] = {
		{ "nothing unread", false, false, 0, { 0, 0, 0 } },
		{ "bytes for the one that stays", true, false, 0, { 3, 0, 0 } },
		{ "bytes for the one that went", false, true, POLLERR, { -ECONNRESET, 0, 0 } },
		{ "both", true, true, POLLERR, { 3, -ECONNRESET, 0 } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s", rows[i].what);
		open_pair();
		if (rows[i].near_unread)
			CHECK_EQ(send_now(pair[1], "abc", 3), 3);
		if (rows[i].far_unread)
			CHECK_EQ(send_now(pair[0], "abc", 3), 3);
		close_now(pair[1]);
		CHECK_EQ(events_of(pair[0]),
			POLLIN | POLLOUT | POLLRDHUP | POLLHUP | rows[i].events);
		CHECK_EQ(send_now(pair[0], "x", 1), -EPIPE);
		for (int k = 0; k < 3; k++)
			CHECK_EQ(recv_len(pair[0]), rows[i].recv[k]);
		world_close();
	}
}

/* Each way of shutting down one end, and what both may do then. */
TEST(sim_unix_shutdown)
{
	static const struct {
		int how, near_events, far_events;
		int64_t near_send, far_send, near_recv, far_recv;
	} rows[] = {
		{ SHUT_WR, POLLOUT, POLLIN | POLLRDHUP | POLLOUT, -EPIPE, 1, 1, 0 },
		{ SHUT_RD, POLLIN | POLLRDHUP | POLLOUT, POLLOUT, 1, -EPIPE, 0, 1 },
		{ SHUT_RDWR, POLLIN | POLLRDHUP | POLLOUT | POLLHUP,
			POLLIN | POLLRDHUP | POLLOUT | POLLHUP, -EPIPE, -EPIPE, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("how: %d", rows[i].how);
		open_pair();
		CHECK_EQ(shutdown_now(pair[0], rows[i].how), 0);
		CHECK_EQ(events_of(pair[0]), rows[i].near_events);
		CHECK_EQ(events_of(pair[1]), rows[i].far_events);
		CHECK_EQ(send_now(pair[0], "x", 1), rows[i].near_send);
		CHECK_EQ(send_now(pair[1], "x", 1), rows[i].far_send);
		CHECK_EQ(recv_len(pair[0]), rows[i].near_recv);
		CHECK_EQ(recv_len(pair[1]), rows[i].far_recv);
		CHECK_EQ(shutdown_now(pair[0], 3), -EINVAL);
		world_close();
	}
}

/* What had come before the receiver was shut down can be read. */
TEST(sim_unix_shutdown_keeps_bytes)
{
	open_pair();
	CHECK_EQ(send_now(pair[1], "x", 1), 1);
	CHECK_EQ(shutdown_now(pair[0], SHUT_RD), 0);
	CHECK_EQ(recv_len(pair[0]), 1);
	CHECK_EQ(recv_len(pair[0]), 0);
	world_close();
}

/* Whoever waits is told of the end. */
TEST(sim_unix_end_wakes)
{
	struct call recv, send, poll;
	char byte;

	open_pair();
	call_recv(&recv, pair[0], &byte, 1);
	while (send_now(pair[0], bytes, sizeof(bytes)) > 0)
		;
	call_send(&send, pair[0], bytes, 1);
	call_poll(&poll, pair[0], 0);
	CHECK(!call_over(&recv) && !call_over(&send) && !call_over(&poll));
	close_now(pair[1]);
	CHECK_EQ(call_result(&send), -EPIPE);
	CHECK_EQ(call_result(&recv), -ECONNRESET);
	CHECK_EQ(call_result(&poll) & POLLHUP, POLLHUP);
	world_close();
}

/* ---- room ---- */

/* As many bytes wait as the sender's buffer has, and poll(2) says "room" at a quarter of it. */
TEST(sim_unix_back_pressure)
{
	struct call send;
	int64_t n, total = 0;

	open_pair();
	while ((n = send_now(pair[0], bytes, 1000)) > 0)
		total += n;
	CHECK_EQ(n, -EAGAIN);
	CHECK_EQ(total, 131072);
	CHECK_EQ(events_of(pair[0]), 0);
	call_send(&send, pair[0], bytes, 2000);
	CHECK_EQ(call_result(&send), -EINPROGRESS);
	CHECK_EQ(recv_now(pair[1], bytes, 1000), 1000);
	CHECK_EQ(call_result(&send), 1000);
	CHECK_EQ(events_of(pair[0]), 0);
	CHECK_EQ(recv_now(pair[1], bytes, 131072 * 3 / 4 - 1), 131072 * 3 / 4 - 1);
	CHECK_EQ(events_of(pair[0]), 0);
	CHECK_EQ(recv_now(pair[1], bytes, 1), 1);
	CHECK_EQ(events_of(pair[0]), POLLOUT);
	/* A larger buffer lets who waits go on. */
	while (send_now(pair[0], bytes, 1000) > 0)
		;
	call_send(&send, pair[0], bytes, 2000);
	CHECK_OK(set_int(pair[0], SOL_SOCKET, SO_SNDBUF, 131072));
	CHECK_EQ(call_result(&send), 2000);
	world_close();
}

TEST(sim_unix_small_calls)
{
	char buf[8];

	open_pair();
	CHECK_EQ(recv_now(pair[0], buf, 0), 0);
	CHECK_EQ(send_now(pair[0], "", 0), 0);
	CHECK_EQ(recv_now(pair[1], buf, 1), -EAGAIN);
	CHECK_EQ(send_now(pair[1], "abcdef", 6), 6);
	CHECK_EQ(recv_flags(pair[0], buf, 3, MSG_PEEK), 3);
	CHECK_EQ(recv_now(pair[0], buf, 2), 2);
	CHECK_EQ(recv_now(pair[0], buf, 8), 4);
	CHECK_MEM(buf, "cdef", 4);
	world_close();
}

/* By default calls are short now and then, and no byte is lost by that. */
TEST(sim_unix_short_calls)
{
	const struct soq_sim_options opt = { .buffer_bytes = 0 };
	unsigned short_sends = 0, short_receives = 0;

	world_open(1, &opt);
	un_pair(pair, SOCK_STREAM);
	for (int i = 0; i < 400; i++) {
		int64_t sent = send_now(pair[0], bytes, 100), got, all = 0;

		CHECK(sent >= 1 && sent <= 100);
		short_sends += sent < 100;
		while ((got = recv_now(pair[1], bytes, 100)) > 0) {
			short_receives += all == 0 && got < sent;
			all += got;
		}
		CHECK_EQ(all, sent);
	}
	ROW("%u short sends, %u short receives of 400", short_sends, short_receives);
	CHECK(short_sends > 60 && short_sends < 140);
	CHECK(short_receives > 60 && short_receives < 140);
	world_close();
}
