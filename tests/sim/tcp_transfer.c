/* tcp_transfer.c - bytes over links that lose, reorder, double and delay them: each arrives
 * once, in order, and in a time that such a link allows.
 */
#include "sim/model.h"

#define CHUNK_MOST 20000

/* One direction of a connection, with at most one send and one receive at work. */
struct flow {
	struct soq__sim_socket *from, *to;
	uint64_t key; /* which bytes they are */
	uint64_t draws;
	size_t total, sent, got;
	struct call send, recv;
	bool is_sending, is_receiving, ended;
	char out[CHUNK_MOST], in[CHUNK_MOST];
};

static struct soq__sim_socket *pair[2];
static struct flow flows[2];

static char byte_at(const struct flow *f, size_t i)
{
	return (char)((i ^ f->key) * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static size_t some(struct flow *f, size_t most)
{
	uint64_t drawn = soq__sim_draw(sim, SOQ__SIM_ENTROPY, f->key, f->draws++);

	return 1 + soq__sim_below(drawn, most);
}

/* @return whether something has changed */
static bool go_on_sending(struct flow *f)
{
	size_t n;

	if (f->is_sending) {
		if (!call_over(&f->send))
			return false;
		f->is_sending = false;
		f->sent += (size_t)CHECK_OK(call_result(&f->send));
		if (f->sent == f->total)
			CHECK_EQ(shutdown_now(f->from, SHUT_WR), 0);
		return true;
	}
	if (f->sent == f->total)
		return false;
	n = soq__min_size(some(f, CHUNK_MOST), f->total - f->sent);
	for (size_t i = 0; i < n; i++)
		f->out[i] = byte_at(f, f->sent + i);
	f->is_sending = true;
	call_send(&f->send, f->from, f->out, n);
	return true;
}

static bool go_on_receiving(struct flow *f)
{
	int64_t n;

	if (f->ended)
		return false;
	if (!f->is_receiving) {
		f->is_receiving = true;
		call_recv(&f->recv, f->to, f->in, some(f, CHUNK_MOST));
		return true;
	}
	if (!call_over(&f->recv))
		return false;
	f->is_receiving = false;
	n = CHECK_OK(call_result(&f->recv));
	for (int64_t i = 0; i < n; i++) {
		char want = byte_at(f, f->got++);

		CHECK_MEM(&f->in[i], &want, 1);
	}
	f->ended = n == 0;
	return true;
}

static void begin(
	struct flow *f, struct soq__sim_socket *from, struct soq__sim_socket *to, size_t total)
{
	memset(f, 0, sizeof(*f));
	f->from = from;
	f->to = to;
	f->key = (uint64_t)(f - flows) + 7;
	f->total = total;
	if (total == 0)
		CHECK_EQ(shutdown_now(from, SHUT_WR), 0);
}

/* Transfer bytes in both directions, and end the connection. @return how long the bytes took */
static int64_t transfer(size_t up, size_t down)
{
	int64_t from_ns = sim->now_ns, took_ns;

	begin(&flows[0], pair[0], pair[1], up);
	begin(&flows[1], pair[1], pair[0], down);
	while (!flows[0].ended || !flows[1].ended) {
		bool any = false;

		for (int i = 0; i < 2; i++)
			any |= go_on_sending(&flows[i]) | go_on_receiving(&flows[i]);
		if (!any)
			CHECK(soq__sim_step(sim, 3600 * SOQ_S)); /* else it is stuck */
	}
	took_ns = sim->now_ns - from_ns;
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(flows[i].got, flows[i].total);
		close_now(pair[i]);
	}
	pass_all();
	CHECK_EQ(connections(host_a) + connections(host_b), 0);
	return took_ns;
}

/* ---- over troubled links ---- */

TEST(sim_tcp_transfer_troubled)
{
	static const struct {
		const char *what;
		struct soq_sim_link link;
		int64_t limit_s; /* for 200,000 bytes each way */
	} rows[] = {
		{ "no trouble", { 0 }, 1 },
		{ "loss and reordering and copies",
			{ .loss_ppm = 100000,
				.reorder_ppm = 100000,
				.duplicate_ppm = 50000,
				.jitter_ns = SOQ_MS },
			20 },
		{ "reordering", { .reorder_ppm = 200000, .jitter_ns = 2 * SOQ_MS }, 2 },
		{ "a loss now and then", { .loss_ppm = 10000, .latency_ns = 20 * SOQ_MS }, 10 },
		{ "bursts of losses",
			{ .burst_enter_ppm = 20000,
				.burst_leave_ppm = 300000,
				.latency_ns = 5 * SOQ_MS },
			2000 },
		{ "a short queue",
			{ .rate_bytes_s = 1250000,
				.queue_bytes = 20000,
				.latency_ns = 5 * SOQ_MS },
			3 },
		{ "CoDel", { .rate_bytes_s = 125000, .codel = true }, 15 },
		{ "small packets", { .mtu = 576, .loss_ppm = 20000 }, 5 },
		{ "corruption", { .corrupt_ppm = 30000 }, 5 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (uint64_t seed = 1; seed <= test_scale(12); seed++) {
			struct soq_sim_options opt = { .link = rows[i].link };
			int64_t took_ns;

			opt.buffer_bytes = seed % 3 == 0 ? 8192 : seed % 3 == 1 ? 1 << 20 : 0;
			ROW("%s, seed %u", rows[i].what, (unsigned)seed);
			world_open(seed, &opt);
			tcp_pair(pair, 80);
			for (int k = 0; k < 2; k++)
				CHECK_OK(set_int(pair[k], IPPROTO_TCP, TCP_NODELAY, seed & 1));
			took_ns = transfer(200000, seed % 4 ? 200000 : 0);
			ROW("%s, seed %u: %lld ms", rows[i].what, (unsigned)seed,
				(long long)(took_ns / SOQ_MS));
			CHECK(took_ns < rows[i].limit_s * SOQ_S);
			world_close();
		}
	}
}

/* A single loss in a full window costs a round trip, not a timeout: three duplicates tell. */
TEST(sim_tcp_transfer_fast_retransmit)
{
	for (uint64_t nth = 6; nth < 60; nth += 7) {
		struct soq_sim_link lossy = { .latency_ns = 10 * SOQ_MS, .lose_nth = nth };
		int64_t took_ns;

		ROW("packet %u is lost", (unsigned)nth);
		world_open_link(1, (struct soq_sim_link){ .latency_ns = 10 * SOQ_MS });
		CHECK_OK(soq_sim_link(host_a, host_b, &lossy));
		tcp_pair(pair, 80);
		took_ns = transfer(100000, 0);
		CHECK_EQ(fates[SOQ__SIM_LOST_NTH], 1);
		/* Without a loss it takes 150 ms; a timeout is 220 ms at the least. */
		ROW("packet %u is lost: %lld us", (unsigned)nth, (long long)took_ns / SOQ_US);
		CHECK(took_ns < 250 * SOQ_MS);
		world_close();
	}
}

/* The rate of a link is used: congestion control does not starve it. */
TEST(sim_tcp_transfer_fills_link)
{
	int64_t took_ns;

	world_open_link(1,
		(struct soq_sim_link){ .latency_ns = 5 * SOQ_MS,
			.rate_bytes_s = 1250000,
			.queue_bytes = 30000 });
	tcp_pair(pair, 80);
	took_ns = transfer(2000000, 0);
	/* The bytes alone take 1.6 s, with their headers 1.65 s. */
	ROW("%lld ms", (long long)(took_ns / SOQ_MS));
	CHECK(took_ns > 1650 * SOQ_MS);
	CHECK(took_ns < 2100 * SOQ_MS);
	CHECK(fates[SOQ__SIM_QUEUE_FULL] > 0);
	world_close();
}

/* ---- numbers that begin anew ---- */

/* Sequence numbers pass 2^32 in the middle of a transfer, in one direction or the other. They
 * begin with a clock of 64 ns, so that the instant can be chosen. */
TEST(sim_tcp_transfer_wraps)
{
	for (int side = 0; side < 2; side++) {
		uint32_t first, distance;
		struct call connect;
		struct soq__sim_socket *l;

		ROW("side %d", side);
		world_open_link(
			1, (struct soq_sim_link){ .loss_ppm = 30000, .reorder_ppm = 50000 });
		for (int round = 0; round < 2; round++) {
			l = listener(host_b, 80, 0);
			pair[0] = tcp(host_a, AF_INET);
			CHECK_OK(set_int(pair[0], SOL_SOCKET, SO_REUSEADDR, 1));
			CHECK_OK(bind_now(pair[0], at("10.0.0.1", 1000)));
			call_connect(&connect, pair[0], at("10.0.0.2", 80));
			CHECK_EQ(call_wait(&connect, 10 * SOQ_S), 0);
			pass(SOQ_S);
			pair[1] = soq__sim_socket_of(sim, (int)CHECK_OK(accept_now(l)));
			close_now(l);
			first = soq__sim_conn_of(pair[side])->snd_una;
			if (round == 1)
				break;
			transfer(0, 0);
			/* A second and the rest of the handshake pass until then. */
			distance = UINT32_MAX - 100000 - first;
			pass_all();
			pass((int64_t)distance * 64 - (sim->now_ns - SOQ_MS));
		}
		CHECK(first > UINT32_MAX - 140000);
		transfer(200000, 200000);
		world_close();
	}
}

/* ---- links that change ---- */

/* Segments that have become too large are sent again in smaller ones. */
TEST(sim_tcp_transfer_mtu_shrinks)
{
	const struct soq_sim_link narrow = { .mtu = 600 };
	char half[50000];

	world_open(1, NULL);
	tcp_pair(pair, 80);
	memset(half, 0, sizeof(half));
	CHECK_EQ(send_now(pair[0], half, sizeof(half)), sizeof(half));
	pass(1500 * SOQ_US);
	CHECK_OK(soq_sim_link_both(host_a, host_b, &narrow));
	for (size_t got = 0; got < sizeof(half);) {
		struct call recv;

		call_recv(&recv, pair[1], half, sizeof(half));
		got += (size_t)CHECK_OK(call_wait(&recv, SOQ_S));
	}
	CHECK(sim->now_ns < SOQ_S);
	CHECK(fates[SOQ__SIM_TOO_BIG] > 0);
	CHECK_EQ(get_int(pair[0], IPPROTO_TCP, TCP_MAXSEG), 560);
	transfer(100000, 100000);
	world_close();
}

/* Partitions, of both directions or one, that come and go. */
TEST(sim_tcp_transfer_partitions)
{
	for (uint64_t seed = 1; seed <= test_scale(20); seed++) {
		ROW("seed %u", (unsigned)seed);
		world_open(seed, NULL);
		for (uint64_t i = 0; i < 5; i++) {
			uint64_t drawn = soq__sim_draw(sim, SOQ__SIM_CHAOS, 0, i);
			struct soq_sim_fault f = { .kind = drawn % 3 ? SOQ_SIM_PARTITION_ONE
								     : SOQ_SIM_PARTITION,
				.a = drawn % 3 == 1 ? "a" : "b",
				.b = drawn % 3 == 1 ? "b" : "a",
				.at_ns = 3 * SOQ_MS + (int64_t)(drawn >> 8) % (60 * SOQ_MS),
				.duration_ns = (int64_t)(drawn >> 20) % (5 * SOQ_S) };

			CHECK_OK(soq_sim_add_fault(sim, &f));
		}
		tcp_pair(pair, 80);
		transfer(500000, 500000);
		world_close();
	}
}
