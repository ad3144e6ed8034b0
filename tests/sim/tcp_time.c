/* tcp_time.c - what simulated TCP does when time passes: retransmission, probes, keepalive,
 * delayed acknowledgments, Nagle's algorithm; at the level of instants.
 *
 * Between the hosts a packet takes a millisecond. A connection that is new has measured a round
 * trip of 2 ms, and so waits for 202 ms before it sends again: 2 ms, and the least variance.
 */
#include "sim/model.h"

#define NEAR   pair[0] /* the client's end, on host a */
#define FAR    pair[1]
#define RTO_NS (202 * SOQ_MS)

static struct soq__sim_socket *pair[2];
static char bytes[1 << 18];

/* Segments that host a has sent: when, and with how much. */
static struct {
	int64_t at_ns;
	uint32_t len;
	uint8_t marks;
} sent[200];
static unsigned sent_count;
static struct soq__sim_observer listening;

static void note_sent(struct soq__sim_observer *o, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t arrives_ns)
{
	(void)o, (void)fate, (void)arrives_ns;
	if (p->from != host_a || sent_count == 200)
		return;
	sent[sent_count].at_ns = sim->now_ns;
	sent[sent_count].len = p->len;
	sent[sent_count++].marks = p->marks;
}

/* A pair that has said nothing yet; from now on, what a sends is noted. */
static void open_pair(void)
{
	world_open(1, NULL);
	tcp_pair(pair, 80);
	listening = (struct soq__sim_observer){ .packet = note_sent, .close = keep_watcher };
	soq__list_append(&sim->observers, &listening.node);
	sent_count = 0;
}

/* Send until both buffers are full, and nothing goes on any more. @return how many bytes */
static size_t fill(void)
{
	size_t total = 0;
	int64_t n;

	do {
		while ((n = send_now(NEAR, bytes, sizeof(bytes))) > 0)
			total += (size_t)n;
		CHECK_EQ(n, -EAGAIN);
	} while (soq__sim_step(sim, sim->now_ns + 150 * SOQ_MS));
	return total;
}

/* Receive until so many bytes have come. @return when */
static int64_t empty(size_t total)
{
	struct call recv;

	while (total > 0) {
		call_recv(&recv, FAR, bytes, sizeof(bytes));
		total -= (size_t)CHECK_OK(call_wait(&recv, 300 * SOQ_S));
		CHECK(total < sizeof(bytes) * 2);
	}
	return sim->now_ns;
}

/* ---- no answer ---- */

/* The peer falls silent. How many times it is asked again, and when it is given up; distances
 * double up to two minutes. */
TEST(sim_tcp_silent_peer)
{
	static const struct {
		const char *what;
		bool closed;
		int user_timeout_ms;
		unsigned again;
		int64_t ends_ms;
	} rows[] = {
		/* 202 ms 2^10 times, which is 206 s, and 120 s six times; Linux: 924.6 s, 15 */
		{ "as Linux, tcp_retries2", false, 0, 15, 926646 },
		{ "nobody has it any more", true, 0, 8, 103222 },
		{ "TCP_USER_TIMEOUT", false, 5000, 4, 5202 },
		{ "TCP_USER_TIMEOUT of little", false, 1, 1, 203 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t from_ns, wait_ns = RTO_NS, at_ns;

		ROW("%s", rows[i].what);
		open_pair();
		CHECK_OK(set_int(NEAR, IPPROTO_TCP, TCP_USER_TIMEOUT, rows[i].user_timeout_ms));
		CHECK_OK(soq_sim_partition(host_a, host_b));
		from_ns = at_ns = sim->now_ns;
		CHECK_EQ(send_now(NEAR, "hello", 5), 5);
		if (rows[i].closed)
			close_now(NEAR);
		while (connections(host_a) && soq__sim_step(sim, SOQ_NEVER))
			;
		CHECK_EQ(sim->now_ns - from_ns, rows[i].ends_ms * SOQ_MS);
		CHECK_EQ(sent_count, 1 + rows[i].closed + rows[i].again);
		for (unsigned k = 1 + rows[i].closed; k < sent_count; k++) {
			CHECK_EQ(sent[k].at_ns - at_ns, wait_ns);
			CHECK_EQ(sent[k].len, 5);
			CHECK_EQ(sent[k].marks, SOQ__SIM_RETRANSMISSION);
			at_ns = sent[k].at_ns;
			wait_ns = soq__min(2 * wait_ns, 120 * SOQ_S);
		}
		if (!rows[i].closed)
			CHECK_EQ(recv_len(NEAR), -ETIMEDOUT);
		world_close();
	}
}

/* A partition that ends is noticed by the next retransmission. */
TEST(sim_tcp_partition_healed)
{
	open_pair();
	CHECK_OK(soq_sim_partition(host_a, host_b));
	CHECK_EQ(send_now(NEAR, "hello", 5), 5);
	pass(30 * SOQ_S);
	CHECK_OK(soq_sim_heal(host_a, host_b));
	/* 202 ms, 404 ms and so on: that of 51.51 s is the next. */
	pass(51510 * SOQ_MS - 30 * SOQ_S + SOQ_MS - 1);
	CHECK_EQ(recv_len(FAR), -EAGAIN);
	pass(1);
	CHECK_EQ(recv_len(FAR), 5);
	pass(60 * SOQ_S);
	CHECK(!soq__sim_conn_of(NEAR)->flow);
	CHECK_EQ(state_of(NEAR), TCP_ESTABLISHED);
	/* Nobody knows which of the segments was acknowledged: Karn's algorithm. */
	CHECK_EQ(soq__sim_conn_of(NEAR)->srtt_us, 2000);
	world_close();
}

/* Acknowledgments are lost: the bytes have arrived, once. */
TEST(sim_tcp_partition_of_acknowledgments)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	open_pair();
	CHECK_OK(soq_sim_partition_one(host_b, host_a));
	CHECK_EQ(send_now(NEAR, "hello", 5), 5);
	pass(20 * SOQ_S);
	CHECK_EQ(recv_len(FAR), 5);
	CHECK_EQ(recv_len(FAR), -EAGAIN);
	CHECK_OK(NEAR->proto->get_option(NEAR, IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_retransmits, 6);
	CHECK_EQ(info.tcpi_backoff, 6);
	CHECK_EQ(info.tcpi_unacked, 1);
	CHECK_EQ(info.tcpi_rto, 202000);
	CHECK_EQ(info.tcpi_rtt, 2000);
	CHECK_OK(soq_sim_heal(host_a, host_b));
	pass(60 * SOQ_S);
	CHECK(!soq__sim_conn_of(NEAR)->flow);
	CHECK_EQ(recv_len(FAR), -EAGAIN);
	world_close();
}

/* An error of ICMP's is a soft one: it says why, once the connection is given up. */
TEST(sim_tcp_soft_error)
{
	struct soq__sim_packet *p;
	const struct soq__sim_conn *c;

	open_pair();
	c = soq__sim_conn_of(NEAR);
	CHECK_OK(soq_sim_partition(host_a, host_b));
	CHECK_EQ(send_now(NEAR, "hello", 5), 5);
	p = soq__sim_packet_new(host_b, IPPROTO_TCP, &c->local, &c->remote, 0);
	CHECK_OK(soq_sim_heal(host_a, host_b));
	soq__sim_send_error(host_b, p, EHOSTUNREACH);
	soq__sim_packet_free(p);
	CHECK_OK(soq_sim_partition(host_a, host_b));
	pass(100 * SOQ_S);
	CHECK_EQ(state_of(NEAR), TCP_ESTABLISHED);
	pass(1000 * SOQ_S);
	CHECK_EQ(recv_len(NEAR), -EHOSTUNREACH);
	world_close();
}

/* The first of many segments is lost. The first two acknowledgments that say nothing new let a
 * new segment out each, the third lets the lost one out again: RFC 3042, RFC 5681. */
TEST(sim_tcp_lost_segment_sent_again)
{
	const struct soq__sim_conn *c;

	open_pair();
	c = soq__sim_conn_of(NEAR);
	/* Beyond what a SYN can say, the window is known after that. */
	CHECK_EQ(send_now(NEAR, bytes, 1), 1);
	pass(SOQ_S);
	sent_count = 0;
	CHECK_OK(soq_sim_partition_one(host_a, host_b));
	CHECK_EQ(send_now(NEAR, bytes, 1460), 1460);
	CHECK_OK(soq_sim_heal(host_a, host_b));
	CHECK_EQ(send_now(NEAR, bytes, 20 * 1460), 20 * 1460);
	CHECK_EQ(sent_count, SOQ__SIM_WINDOW_SEGMENTS);
	pass(2 * SOQ_MS);
	CHECK_EQ(sent[10].marks, 0);
	CHECK_EQ(sent[11].marks, 0);
	CHECK_EQ(sent[12].marks, SOQ__SIM_RETRANSMISSION);
	CHECK_EQ(c->flow->duplicates, 9);
	/* Half of the flight, three segments that have left, and those of the other six. */
	CHECK_EQ(c->ssthresh, 6 * 1460);
	CHECK_EQ(c->cwnd, (6 + 9) * 1460);
	pass(2 * SOQ_MS);
	CHECK(!c->flow->is_recovering || soq__sim_after(c->snd_una, c->flow->recover));
	world_close();
}

/* After a timeout all counts as lost, and the window begins with a segment. */
TEST(sim_tcp_timeout_begins_anew)
{
	open_pair();
	pass(SOQ_S);
	CHECK_OK(soq_sim_partition_one(host_a, host_b));
	CHECK_EQ(send_now(NEAR, bytes, 10 * 1460), 10 * 1460);
	CHECK_EQ(sent_count, 10);
	CHECK_OK(soq_sim_heal(host_a, host_b));
	pass(RTO_NS + SOQ_MS);
	CHECK_EQ(sent_count, 11);
	CHECK_EQ(soq__sim_conn_of(NEAR)->ssthresh, 5 * 1460);
	pass(42 * SOQ_MS); /* a lone segment's acknowledgment is delayed */
	CHECK_EQ(sent_count, 13);
	world_close();
}

/* ---- closed windows ---- */

/* A window that stays closed is probed, at distances that double up to two minutes, and for
 * ever if there is an answer. */
TEST(sim_tcp_closed_window_probed)
{
	size_t total;
	int64_t last_ns;

	open_pair();
	total = fill();
	CHECK_EQ(total, 2 * 131072);
	CHECK_EQ(events_of(NEAR), 0);
	sent_count = 0;
	pass(3600 * SOQ_S);
	CHECK(sent_count > 30 && sent_count < 45);
	for (unsigned i = 0; i < sent_count; i++)
		CHECK_EQ(sent[i].len, 0);
	for (unsigned i = 2; i < sent_count; i++) {
		int64_t former_ns = sent[i - 1].at_ns - sent[i - 2].at_ns;

		CHECK_EQ(sent[i].at_ns - sent[i - 1].at_ns,
			soq__min(2 * former_ns, 120 * SOQ_S));
	}
	/* It is opened by what is read, and nobody has to wait for the next probe. */
	last_ns = sim->now_ns;
	CHECK(empty(total) - last_ns < 100 * SOQ_MS);
	CHECK_EQ(events_of(NEAR), POLLOUT);
	world_close();
}

/* Probes that nobody answers: 15 of them, and 8 if no program has the connection. */
TEST(sim_tcp_closed_window_silent_peer)
{
	static const struct {
		bool closed;
		unsigned probes;
	} rows[] = { { false, 15 }, { true, 8 } };

	for (size_t i = 0; i < 2; i++) {
		ROW("closed: %d", rows[i].closed);
		open_pair();
		fill();
		CHECK_OK(soq_sim_partition(host_a, host_b));
		sent_count = 0;
		if (rows[i].closed)
			close_now(NEAR);
		while (connections(host_a) && soq__sim_step(sim, SOQ_NEVER))
			;
		CHECK_EQ(sent_count, rows[i].probes);
		if (!rows[i].closed)
			CHECK_EQ(recv_len(NEAR), -ETIMEDOUT);
		world_close();
	}
}

/* Answers or not, nobody waits for ever for a window on behalf of nobody, nor longer than
 * TCP_USER_TIMEOUT. */
TEST(sim_tcp_closed_window_given_up)
{
	static const struct {
		bool closed;
		int user_timeout_ms;
		int64_t least_s, most_s;
	} rows[] = { { true, 0, 200, 400 }, { false, 10000, 10, 30 } };

	for (size_t i = 0; i < 2; i++) {
		int64_t from_ns;

		ROW("closed: %d", rows[i].closed);
		open_pair();
		CHECK_OK(set_int(NEAR, IPPROTO_TCP, TCP_USER_TIMEOUT, rows[i].user_timeout_ms));
		fill();
		from_ns = sim->now_ns;
		if (rows[i].closed)
			close_now(NEAR);
		while (connections(host_a) && soq__sim_step(sim, SOQ_NEVER))
			;
		CHECK(sim->now_ns - from_ns > rows[i].least_s * SOQ_S);
		CHECK(sim->now_ns - from_ns < rows[i].most_s * SOQ_S);
		world_close();
	}
}

/* The news of an open window is lost: the next probe finds out. */
TEST(sim_tcp_window_update_lost)
{
	size_t total;
	int64_t from_ns;

	open_pair();
	total = fill();
	CHECK_OK(soq_sim_partition_one(host_b, host_a));
	while (recv_len(FAR) > 0)
		;
	total -= 131072;
	pass(10 * SOQ_MS);
	CHECK_OK(soq_sim_heal(host_a, host_b));
	from_ns = sim->now_ns;
	CHECK(empty(total) - from_ns > 50 * SOQ_MS);
	CHECK(sim->now_ns - from_ns < 2 * SOQ_S);
	world_close();
}

/* Small windows are not told: a segment's worth, or half of the buffer, has to be free. */
TEST(sim_tcp_silly_window)
{
	size_t total;

	open_pair();
	total = fill();
	sent_count = 0;
	CHECK_EQ(recv_now(FAR, bytes, 1459), 1459);
	pass(50 * SOQ_MS);
	CHECK_EQ(sent_count, 0);
	CHECK_EQ(recv_now(FAR, bytes, 1), 1);
	pass(50 * SOQ_MS);
	CHECK_EQ(sent_count, 1);
	CHECK_EQ(sent[0].len, 1460);
	empty(total - 1460);
	world_close();
}

/* ---- keepalive ---- */

static void keep_alive(struct soq__sim_socket *s, int idle_s, int interval_s, int count)
{
	CHECK_OK(set_int(s, SOL_SOCKET, SO_KEEPALIVE, 1));
	CHECK_OK(set_int(s, IPPROTO_TCP, TCP_KEEPIDLE, idle_s));
	CHECK_OK(set_int(s, IPPROTO_TCP, TCP_KEEPINTVL, interval_s));
	CHECK_OK(set_int(s, IPPROTO_TCP, TCP_KEEPCNT, count));
}

TEST(sim_tcp_keepalive)
{
	static const int64_t silent_s[] = { 10, 12, 14 };
	struct call recv;
	int64_t from_ns;
	char byte;

	open_pair();
	from_ns = sim->now_ns;
	keep_alive(NEAR, 10, 2, 3);
	/* A peer that answers is asked every ten seconds; the answer takes 2 ms. */
	pass(105 * SOQ_S);
	CHECK_EQ(sent_count, 10);
	CHECK_EQ(sent[0].at_ns - from_ns, 10 * SOQ_S);
	CHECK_EQ(sent[1].at_ns - sent[0].at_ns, 10 * SOQ_S + 2 * SOQ_MS);
	CHECK_EQ(state_of(NEAR), TCP_ESTABLISHED);
	CHECK_OK(soq_sim_partition(host_a, host_b));
	from_ns = sent[9].at_ns + 2 * SOQ_MS;
	sent_count = 0;
	call_recv(&recv, NEAR, &byte, 1);
	CHECK_EQ(call_wait(&recv, 100 * SOQ_S), -ETIMEDOUT);
	CHECK_EQ(sim->now_ns - from_ns, 16 * SOQ_S);
	CHECK_EQ(sent_count, 4); /* and a reset */
	for (int i = 0; i < 3; i++)
		CHECK_EQ(sent[i].at_ns - from_ns, silent_s[i] * SOQ_S);
	world_close();
}

/* TCP_USER_TIMEOUT takes the place of the count. */
TEST(sim_tcp_keepalive_user_timeout)
{
	int64_t from_ns;
	struct call recv;
	char byte;

	open_pair();
	from_ns = sim->now_ns;
	keep_alive(NEAR, 10, 2, 100);
	CHECK_OK(set_int(NEAR, IPPROTO_TCP, TCP_USER_TIMEOUT, 15000));
	CHECK_OK(soq_sim_partition(host_a, host_b));
	call_recv(&recv, NEAR, &byte, 1);
	CHECK_EQ(call_wait(&recv, 100 * SOQ_S), -ETIMEDOUT);
	CHECK_EQ(sim->now_ns - from_ns, 16 * SOQ_S); /* at 10 s, 12 s, 14 s it had asked */
	world_close();
}

/* Taken back, it does nothing; and a peer that has restarted is found out by it. */
TEST(sim_tcp_keepalive_finds_restart)
{
	struct call recv;
	char byte;

	open_pair();
	keep_alive(NEAR, 10, 2, 3);
	CHECK_OK(set_int(NEAR, SOL_SOCKET, SO_KEEPALIVE, 0));
	pass(3600 * SOQ_S);
	CHECK_EQ(sent_count, 0);
	CHECK_OK(set_int(NEAR, SOL_SOCKET, SO_KEEPALIVE, 1));
	CHECK_OK(soq_sim_crash(host_b));
	CHECK_OK(soq_sim_restart(host_b));
	call_recv(&recv, NEAR, &byte, 1);
	CHECK_EQ(call_wait(&recv, 100 * SOQ_S), -ECONNRESET);
	CHECK_EQ(sent_count, 1);
	world_close();
}

/* ---- little by little ---- */

/* A single segment is acknowledged after 40 ms, the second of two full ones at once; and an
 * answer carries the acknowledgment. */
TEST(sim_tcp_delayed_acknowledgment)
{
	static const struct {
		const char *what;
		size_t len;
		bool answered;
		int64_t acked_ms;
	} rows[] = {
		{ "a byte", 1, false, 42 },
		{ "a full segment", 1460, false, 42 },
		{ "two full segments", 2920, false, 2 },
		{ "a byte that is answered", 1, true, 2 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct soq__sim_conn *c;
		int64_t from_ns;

		ROW("%s", rows[i].what);
		open_pair();
		c = soq__sim_conn_of(NEAR);
		pass(SOQ_S);
		from_ns = sim->now_ns;
		CHECK_EQ(send_now(NEAR, bytes, rows[i].len), rows[i].len);
		pass(SOQ_MS);
		if (rows[i].answered)
			CHECK_EQ(send_now(FAR, "x", 1), 1);
		while (c->snd_una != soq__sim_snd_max(c) && soq__sim_step(sim, SOQ_NEVER))
			;
		CHECK_EQ(sim->now_ns - from_ns, rows[i].acked_ms * SOQ_MS);
		world_close();
	}
}

/* What fills a gap is acknowledged at once, however little it is: the sender waits for that. */
TEST(sim_tcp_gap_filled)
{
	const struct soq__sim_conn *c;
	int64_t from_ns;

	open_pair();
	c = soq__sim_conn_of(NEAR);
	CHECK_OK(set_int(NEAR, IPPROTO_TCP, TCP_NODELAY, 1));
	CHECK_OK(soq_sim_partition_one(host_a, host_b));
	from_ns = sim->now_ns;
	CHECK_EQ(send_now(NEAR, "a", 1), 1);
	CHECK_OK(soq_sim_heal(host_a, host_b));
	CHECK_EQ(send_now(NEAR, "b", 1), 1);
	while (c->snd_una != soq__sim_snd_max(c) && soq__sim_step(sim, SOQ_NEVER))
		;
	CHECK_EQ(sim->now_ns - from_ns, RTO_NS + 2 * SOQ_MS);
	world_close();
}

/* What holds a small segment back, and for how long; the peer hears of it a millisecond later.
 * The first byte goes at once, but for a cork. */
TEST(sim_tcp_small_segments)
{
	static const struct {
		const char *what;
		int option, flags; /* of TCP; of the send */
		int64_t first_ms, second_ms;
	} rows[] = {
		{ "Nagle: until the first is acknowledged", 0, 0, 1, 43 },
		{ "TCP_NODELAY", TCP_NODELAY, 0, 1, 1 },
		{ "TCP_CORK: 200 ms", TCP_CORK, 0, 201, 201 },
		{ "MSG_MORE: until the next without", 0, MSG_MORE, 1, 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t from_ns, at_ms[2] = { 0 };
		size_t got = 0;

		ROW("%s", rows[i].what);
		open_pair();
		pass(SOQ_S);
		if (rows[i].option)
			CHECK_OK(set_int(NEAR, IPPROTO_TCP, rows[i].option, 1));
		from_ns = sim->now_ns;
		CHECK_EQ(send_flags(NEAR, "a", 1, rows[i].flags), 1);
		CHECK_EQ(send_now(NEAR, "b", 1), 1);
		while (got < 2 && soq__sim_step(sim, SOQ_NEVER))
			while (got < 2 && recv_now(FAR, bytes, 1) == 1)
				at_ms[got++] = (sim->now_ns - from_ns) / SOQ_MS;
		CHECK_EQ(at_ms[0], rows[i].first_ms);
		CHECK_EQ(at_ms[1], rows[i].second_ms);
		world_close();
	}
}

/* What was held back goes when the cork is taken off, or when a segment is full. */
TEST(sim_tcp_uncorked)
{
	open_pair();
	pass(SOQ_S);
	CHECK_OK(set_int(NEAR, IPPROTO_TCP, TCP_CORK, 1));
	CHECK_EQ(send_now(NEAR, bytes, 1459), 1459);
	pass(10 * SOQ_MS);
	CHECK_EQ(recv_len(FAR), -EAGAIN);
	CHECK_EQ(send_now(NEAR, bytes, 2), 2);
	pass(SOQ_MS);
	CHECK_EQ(recv_len(FAR), 1460);
	CHECK_OK(set_int(NEAR, IPPROTO_TCP, TCP_CORK, 0));
	pass(42 * SOQ_MS); /* Nagle's algorithm still waits for the acknowledgment */
	CHECK_EQ(recv_len(FAR), 1);
	/* TCP_NODELAY flushes, although the cork stays on. */
	pass(SOQ_S);
	CHECK_OK(set_int(NEAR, IPPROTO_TCP, TCP_CORK, 1));
	CHECK_EQ(send_now(NEAR, "a", 1), 1);
	CHECK_OK(set_int(NEAR, IPPROTO_TCP, TCP_NODELAY, 1));
	CHECK_EQ(send_now(NEAR, "b", 1), 1);
	pass(SOQ_MS);
	CHECK_EQ(recv_len(FAR), 1);
	world_close();
}
