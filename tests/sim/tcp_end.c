/* tcp_end.c - how simulated TCP connections end: in order, by a reset, without a program,
 * without a peer.
 */
#include "sim/model.h"

#define NEAR pair[0] /* the client's end, on host a */
#define FAR  pair[1]

static struct soq__sim_socket *pair[2];
static char bytes[1 << 18];

static void reset_on_close(struct soq__sim_socket *s)
{
	const struct linger none = { .l_onoff = 1 };

	CHECK_OK(s->proto->set_option(s, SOL_SOCKET, SO_LINGER, &none, sizeof(none)));
}

/* Nothing of a connection is left, and nothing is to happen any more. */
static void check_over(void)
{
	pass_all();
	CHECK_EQ(connections(host_a), 0);
	CHECK_EQ(connections(host_b), 0);
	CHECK_EQ(soq__sim_link_bytes(host_a) + soq__sim_link_bytes(host_b), 0);
}

/* ---- in order ---- */

TEST(sim_tcp_end_in_order)
{
	world_open(1, NULL);
	tcp_pair(pair, 80);
	CHECK_EQ(shutdown_now(NEAR, SHUT_WR), 0);
	CHECK_EQ(state_of(NEAR), TCP_FIN_WAIT1);
	CHECK_EQ(send_now(NEAR, "x", 1), -EPIPE);
	pass(SOQ_S);
	CHECK_EQ(state_of(NEAR), TCP_FIN_WAIT2);
	CHECK_EQ(state_of(FAR), TCP_CLOSE_WAIT);
	CHECK_EQ(events_of(FAR), POLLIN | POLLRDHUP | POLLOUT);
	CHECK_EQ(recv_len(FAR), 0);
	/* Half closed, for as long as it likes. */
	pass(3600 * SOQ_S);
	CHECK_EQ(send_now(FAR, "bye", 3), 3);
	pass(SOQ_S);
	CHECK_EQ(recv_len(NEAR), 3);
	close_now(FAR);
	pass(SOQ_S);
	CHECK_EQ(state_of(NEAR), TCP_TIME_WAIT);
	CHECK_EQ(recv_len(NEAR), 0);
	CHECK_EQ(events_of(NEAR), POLLIN | POLLRDHUP | POLLOUT | POLLHUP);
	CHECK_STR(peer_text(NEAR), soq_strerror(-ENOTCONN));
	CHECK_EQ(shutdown_now(NEAR, SHUT_WR), -ENOTCONN);
	CHECK_EQ(connections(host_a), 0); /* it rests */
	close_now(NEAR);
	check_over();
	world_close();
}

/* Both close at the same instant: FINs cross, and both rest. */
TEST(sim_tcp_end_simultaneous)
{
	world_open(1, NULL);
	tcp_pair(pair, 80);
	shutdown_now(NEAR, SHUT_WR);
	shutdown_now(FAR, SHUT_WR);
	pass(SOQ_MS);
	CHECK_EQ(state_of(NEAR), TCP_CLOSING);
	CHECK_EQ(state_of(FAR), TCP_CLOSING);
	pass(SOQ_MS);
	CHECK_EQ(state_of(NEAR), TCP_TIME_WAIT);
	CHECK_EQ(state_of(FAR), TCP_TIME_WAIT);
	close_now(NEAR);
	close_now(FAR);
	check_over();
	world_close();
}

/* What was sent before the close arrives, more than a window of it, and then the end. */
TEST(sim_tcp_end_after_all_data)
{
	struct call recv;
	int64_t n, got = 0;

	world_open(1, NULL);
	tcp_pair(pair, 80);
	CHECK_EQ(send_now(NEAR, bytes, 120000), 120000);
	close_now(NEAR);
	do {
		call_recv(&recv, FAR, bytes, sizeof(bytes));
		n = call_wait(&recv, 10 * SOQ_S);
		CHECK(n >= 0);
		got += n;
	} while (n > 0);
	CHECK_EQ(got, 120000);
	close_now(FAR);
	check_over();
	world_close();
}

/* ---- with losses ---- */

/* The FIN arrives when bytes before it are missing: it counts when they have come. */
TEST(sim_tcp_end_behind_a_gap)
{
	/* The first is the segment with the first byte, sent twice in vain; its third time,
	 * what follows it has arrived. */
	world_open(1, NULL);
	tcp_pair(pair, 80);
	CHECK_OK(soq_sim_partition_one(host_a, host_b));
	CHECK_EQ(send_now(NEAR, bytes, 1460), 1460);
	CHECK_OK(soq_sim_heal(host_a, host_b));
	/* The next of full size, which a retransmission does not bring along. */
	CHECK_EQ(send_now(NEAR, bytes, 1460), 1460);
	close_now(NEAR);
	pass(SOQ_MS);
	CHECK_EQ(state_of(FAR), TCP_ESTABLISHED);
	CHECK_EQ(recv_len(FAR), -EAGAIN);
	CHECK_EQ(soq__sim_conn_of(FAR)->flow->held_count, 2);
	pass(SOQ_S);
	CHECK_EQ(state_of(FAR), TCP_CLOSE_WAIT);
	CHECK_EQ(recv_len(FAR), 2920);
	CHECK_EQ(recv_len(FAR), 0);
	close_now(FAR);
	check_over();
	world_close();
}

/* The FIN has to wait for a window that is closed, whether or not a program still has its end.
 */
TEST(sim_tcp_end_before_a_closed_window)
{
	for (int closed = 0; closed < 2; closed++) {
		int64_t n, sent = 0, got = 0;
		struct call call;

		ROW("closed: %d", closed);
		world_open(1, NULL);
		tcp_pair(pair, 80);
		while (sent < 131072) {
			call_send(&call, NEAR, bytes, (size_t)(131072 - sent));
			sent += CHECK_OK(call_wait(&call, SOQ_S));
		}
		pass(2 * SOQ_S);
		CHECK_EQ(soq__sim_conn_of(NEAR)->snd_una, soq__sim_conn_of(NEAR)->snd_edge);
		if (closed)
			close_now(NEAR);
		else
			CHECK_EQ(shutdown_now(NEAR, SHUT_WR), 0);
		pass(3 * SOQ_S);
		CHECK_EQ(connections(host_a), 1);
		CHECK_EQ(state_of(FAR), TCP_ESTABLISHED);
		do {
			call_recv(&call, FAR, bytes, 50000);
			n = CHECK_OK(call_wait(&call, SOQ_S));
			got += n;
		} while (n > 0);
		CHECK_EQ(got, 131072);
		close_now(FAR);
		if (!closed)
			close_now(NEAR);
		check_over();
		world_close();
	}
}

/* FINs are lost, up to the fourth of either side, or their acknowledgments. */
TEST(sim_tcp_end_losses)
{
	for (unsigned nth = 2; nth < 6; nth++) {
		for (int side = 0; side < 2; side++) {
			struct soq_sim_link lossy = { .lose_nth = nth };

			ROW("lost: packet %u from %s", nth, side ? "b" : "a");
			world_open(1, NULL);
			if (side)
				CHECK_OK(soq_sim_link(host_b, host_a, &lossy));
			else
				CHECK_OK(soq_sim_link(host_a, host_b, &lossy));
			tcp_pair(pair, 80);
			CHECK_EQ(shutdown_now(NEAR, SHUT_WR), 0);
			pass(5 * SOQ_S);
			CHECK_EQ(recv_len(FAR), 0);
			CHECK_EQ(shutdown_now(FAR, SHUT_WR), 0);
			pass(5 * SOQ_S);
			CHECK_EQ(recv_len(NEAR), 0);
			CHECK_EQ(connections(host_a) + connections(host_b), 0);
			close_now(NEAR);
			close_now(FAR);
			check_over();
			world_close();
		}
	}
}

/* ---- waiting for nobody ---- */

TEST(sim_tcp_time_wait)
{
	struct soq__sim_socket *s;
	struct soq_addr local;

	world_open(1, NULL);
	tcp_pair(pair, 80);
	CHECK_OK(NEAR->proto->local_addr(NEAR, &local));
	close_now(NEAR);
	pass(10 * SOQ_MS);
	close_now(FAR);
	pass(SOQ_MS); /* the FIN arrives */
	s = tcp(host_a, AF_INET);
	CHECK_EQ(bind_now(s, local), -EADDRINUSE);
	pass(60 * SOQ_S - 1);
	CHECK_EQ(bind_now(s, local), -EADDRINUSE);
	pass(1);
	CHECK_OK(bind_now(s, local));
	world_close();
}

/* A client may come again from the port that rests at the server: its numbers are higher. */
TEST(sim_tcp_time_wait_reopened)
{
	struct soq__sim_socket *s;
	struct soq_addr local;
	struct call connect;

	world_open(1, NULL);
	listener(host_b, 81, 0);
	tcp_pair(pair, 80);
	CHECK_OK(NEAR->proto->local_addr(NEAR, &local));
	listener(host_b, 80, 0);
	close_now(FAR);
	pass(10 * SOQ_MS);
	close_now(NEAR);
	pass(SOQ_S);
	s = tcp(host_a, AF_INET);
	CHECK_OK(bind_now(s, local));
	call_connect(&connect, s, at("10.0.0.2", 80));
	CHECK_EQ(call_wait(&connect, 2 * SOQ_MS), 0);
	world_close();
}

/* Closed, and the peer does not close: forgotten a minute after its acknowledgment, which it
 * has delayed. */
TEST(sim_tcp_fin_wait_2_of_closed)
{
	world_open(1, NULL);
	tcp_pair(pair, 80);
	close_now(NEAR);
	pass(42 * SOQ_MS + 60 * SOQ_S - 1);
	CHECK_EQ(connections(host_a), 1);
	pass(1);
	CHECK_EQ(connections(host_a), 0);
	CHECK_EQ(state_of(FAR), TCP_CLOSE_WAIT);
	close_now(FAR);
	check_over();
	world_close();
}

/* ---- resets ---- */

/* What the peer of an end that was closed sees, when bytes were lost by that. */
TEST(sim_tcp_end_resets)
{
	static const struct {
		const char *what;
		bool by_linger, near_unread, far_unread;
		int64_t first, then;
	} rows[] = {
		{ "by SO_LINGER", true, false, false, -ECONNRESET, 0 },
		{ "not read by the one that closes", false, true, false, -ECONNRESET, 0 },
		{ "nor by the other", false, true, true, 5, -ECONNRESET },
		{ "read by none, reset by SO_LINGER", true, false, true, 5, -ECONNRESET },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s", rows[i].what);
		world_open(1, NULL);
		tcp_pair(pair, 80);
		if (rows[i].near_unread)
			CHECK_EQ(send_now(FAR, "hello", 5), 5);
		if (rows[i].far_unread)
			CHECK_EQ(send_now(NEAR, "hello", 5), 5);
		pass(SOQ_S);
		if (rows[i].by_linger)
			reset_on_close(NEAR);
		close_now(NEAR);
		CHECK_EQ(connections(host_a), 0);
		pass(SOQ_S);
		CHECK_EQ(events_of(FAR), POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
		CHECK_EQ(recv_len(FAR), rows[i].first);
		CHECK_EQ(recv_len(FAR), rows[i].then);
		CHECK_EQ(send_now(FAR, "x", 1), -EPIPE);
		close_now(FAR);
		check_over();
		world_close();
	}
}

/* An error is told once, to whoever asks first. */
TEST(sim_tcp_reset_told_once)
{
	for (int way = 0; way < 3; way++) {
		ROW("way %d", way);
		world_open(1, NULL);
		tcp_pair(pair, 80);
		reset_on_close(NEAR);
		close_now(NEAR);
		pass(SOQ_S);
		if (way == 0)
			CHECK_EQ(send_now(FAR, "x", 1), -ECONNRESET);
		else if (way == 1)
			CHECK_EQ(get_int(FAR, SOL_SOCKET, SO_ERROR), ECONNRESET);
		else
			CHECK_EQ(recv_len(FAR), -ECONNRESET);
		CHECK_EQ(get_int(FAR, SOL_SOCKET, SO_ERROR), 0);
		CHECK_EQ(send_now(FAR, "x", 1), -EPIPE);
		CHECK_EQ(recv_len(FAR), 0);
		world_close();
	}
}

/* Bytes for an end that is closed are answered by a reset; that end is then gone. */
TEST(sim_tcp_send_to_closed)
{
	world_open(1, NULL);
	tcp_pair(pair, 80);
	close_now(NEAR);
	pass(SOQ_S);
	CHECK_EQ(connections(host_a), 1);
	CHECK_EQ(send_now(FAR, "hello", 5), 5);
	pass(2 * SOQ_MS);
	CHECK_EQ(connections(host_a), 0);
	CHECK_EQ(state_of(FAR), TCP_CLOSE);
	CHECK_EQ(get_int(FAR, SOL_SOCKET, SO_ERROR), EPIPE);
	CHECK_EQ(recv_len(FAR), 0);
	close_now(FAR);
	check_over();
	world_close();
}

/* A reset is obeyed if it is exactly where the next byte is expected, and one that is nearly
 * there is answered (RFC 5961); so is a SYN. @offset  from rcv_nxt */
TEST(sim_tcp_reset_forged)
{
	static const struct {
		const char *what;
		uint8_t flags;
		int32_t offset;
		bool answered, ends;
	} rows[] = {
		{ "a reset", SOQ__SIM_RST, 0, false, true },
		{ "a reset a byte ahead", SOQ__SIM_RST, 1, true, false },
		{ "a reset at the window's end", SOQ__SIM_RST, 65535, true, false },
		{ "a reset beyond the window", SOQ__SIM_RST, 1 << 20, false, false },
		{ "a reset of the past", SOQ__SIM_RST, -1, false, false },
		{ "a SYN", SOQ__SIM_SYN, 0, true, false },
		{ "bytes beyond the window", SOQ__SIM_ACK, 1 << 20, true, false },
		{ "an acknowledgment of the past", SOQ__SIM_ACK, -1, true, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct soq__sim_conn *c;
		struct soq__sim_packet *p;
		unsigned before;

		ROW("%s", rows[i].what);
		world_open(1, NULL);
		tcp_pair(pair, 80);
		pass(SOQ_S);
		c = soq__sim_conn_of(FAR);
		p = soq__sim_packet_new(host_a, IPPROTO_TCP, &c->remote, &c->local, 0);
		p->flags = rows[i].flags;
		p->seq = c->rcv_nxt + (uint32_t)rows[i].offset;
		p->ack = c->snd_nxt;
		before = fates[SOQ__SIM_ARRIVES];
		soq__sim_send(p);
		pass(SOQ_S);
		CHECK_EQ(fates[SOQ__SIM_ARRIVES] - before, 1 + rows[i].answered);
		CHECK_EQ(state_of(FAR), rows[i].ends ? TCP_CLOSE : TCP_ESTABLISHED);
		CHECK_EQ(recv_len(FAR), rows[i].ends ? -ECONNRESET : -EAGAIN);
		world_close();
	}
}

/* Whoever forges much gets few answers: one in half a second. */
TEST(sim_tcp_answers_to_forgery)
{
	const struct soq__sim_conn *c;
	unsigned before;

	world_open(1, NULL);
	tcp_pair(pair, 80);
	pass(SOQ_S);
	c = soq__sim_conn_of(FAR);
	before = fates[SOQ__SIM_ARRIVES];
	for (int i = 0; i < 100; i++) {
		struct soq__sim_packet *p =
			soq__sim_packet_new(host_a, IPPROTO_TCP, &c->remote, &c->local, 0);

		p->flags = SOQ__SIM_SYN;
		soq__sim_send(p);
		pass(12 * SOQ_MS);
	}
	CHECK_EQ(fates[SOQ__SIM_ARRIVES] - before, 100 + 3);
	CHECK_EQ(state_of(FAR), TCP_ESTABLISHED);
	world_close();
}

/* ---- crashes ---- */

/* A host that has started again knows nothing of its connections, and says so when asked. */
TEST(sim_tcp_peer_restarted)
{
	struct call recv;
	int64_t from_ns;
	char byte;

	world_open(1, NULL);
	tcp_pair(pair, 80);
	pass(SOQ_S);
	CHECK_OK(soq_sim_crash(host_b));
	CHECK_EQ(connections(host_b), 0);
	CHECK_OK(soq_sim_restart(host_b));
	pass(3600 * SOQ_S);
	CHECK_EQ(state_of(NEAR), TCP_ESTABLISHED); /* nobody has told it */
	from_ns = sim->now_ns;
	CHECK_EQ(send_now(NEAR, "hello", 5), 5);
	call_recv(&recv, NEAR, &byte, 1);
	CHECK_EQ(call_wait(&recv, SOQ_S), -ECONNRESET);
	CHECK_EQ(sim->now_ns - from_ns, 2 * SOQ_MS);
	world_close();
}

/* A client that comes again from the same port after a crash finds the former connection: that
 * one is reset by what it does not expect, and the next SYN gets through. */
TEST(sim_tcp_client_restarted)
{
	struct soq__sim_socket *s;
	struct call connect, recv;
	struct soq_addr local;
	char byte;

	world_open(1, NULL);
	tcp_pair(pair, 80);
	listener(host_b, 80, 0);
	CHECK_OK(NEAR->proto->local_addr(NEAR, &local));
	CHECK_OK(soq_sim_crash(host_a));
	CHECK_OK(soq_sim_restart(host_a));
	call_recv(&recv, FAR, &byte, 1);
	s = tcp(host_a, AF_INET);
	CHECK_OK(bind_now(s, local));
	call_connect(&connect, s, at("10.0.0.2", 80));
	CHECK_EQ(call_wait(&connect, 10 * SOQ_S), 0);
	CHECK_EQ(call_result(&recv), -ECONNRESET);
	CHECK_EQ(sim->now_ns, 3 * SOQ_MS + SOQ_S + 2 * SOQ_MS);
	world_close();
}

/* What is under way to a host that crashes is lost with it, whatever it is. */
TEST(sim_tcp_crash_in_mid_transfer)
{
	for (int64_t after_us = 0; after_us < 6000; after_us += 250) {
		struct call recv;

		ROW("after %d us", (int)after_us);
		world_open(1, NULL);
		tcp_pair(pair, 80);
		CHECK_EQ(send_now(NEAR, bytes, 100000), 100000);
		CHECK_EQ(send_now(FAR, bytes, 100000), 100000);
		call_recv(&recv, FAR, bytes, 200000);
		pass(after_us * SOQ_US);
		CHECK_OK(soq_sim_crash(host_b));
		CHECK_EQ(connections(host_b), 0);
		CHECK_OK(soq_sim_restart(host_b));
		pass(10 * SOQ_S);
		CHECK_EQ(state_of(NEAR), TCP_CLOSE);
		close_now(NEAR);
		check_over();
		world_close();
	}
}
