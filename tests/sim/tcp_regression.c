/* tcp_regression.c - what simulated TCP has once done wrong. */
#include "sim/model.h"

#define NEAR pair[0] /* the client's end, on host a */
#define FAR  pair[1]

static struct soq__sim_socket *pair[2];
static char bytes[1 << 18];

/* Send until both buffers are full, and nothing goes on any more. */
static void fill(struct soq__sim_socket *s)
{
	do {
		while (send_now(s, bytes, sizeof(bytes)) > 0)
			;
	} while (soq__sim_step(sim, sim->now_ns + 150 * SOQ_MS));
}

/* ---- probes of a closed window, whose receiver looks at nothing in them ---- */

/* They tell of no window: who reads tells of it, even if a probe has gone before. */
TEST(sim_tcp_probe_promises_nothing)
{
	const struct soq__sim_conn *near, *far;

	world_open(1, NULL);
	tcp_pair(pair, 80);
	near = soq__sim_conn_of(NEAR);
	far = soq__sim_conn_of(FAR);
	fill(NEAR);
	fill(FAR);
	pass(600 * SOQ_S);
	/* The window opens when the one has just asked for it, and before the other does. */
	pass(near->flow->retransmit_ns - sim->now_ns + 10 * SOQ_MS);
	CHECK_OK(set_int(FAR, SOL_SOCKET, SO_RCVBUF, 200000));
	CHECK(far->flow->retransmit_ns < near->flow->retransmit_ns);
	pass(far->flow->retransmit_ns - sim->now_ns + 10 * SOQ_MS);
	CHECK_EQ(recv_len(FAR), 128 * 1024);
	pass(5 * SOQ_MS);
	CHECK(recv_len(FAR) > 0);
	world_close();
}

/* Nor do they acknowledge anything: what had to be acknowledged still has to be. */
TEST(sim_tcp_probe_acknowledges_nothing)
{
	const struct soq__sim_conn *near, *far;
	int64_t probe_ns;

	world_open(1, NULL);
	tcp_pair(pair, 80);
	near = soq__sim_conn_of(NEAR);
	far = soq__sim_conn_of(FAR);
	fill(FAR);
	pass(10 * SOQ_S);
	probe_ns = far->flow->retransmit_ns;
	/* It comes 20 ms before a probe leaves; its acknowledgment is due 20 ms after. */
	pass(probe_ns - sim->now_ns - 21 * SOQ_MS);
	CHECK_EQ(send_now(NEAR, "hello", 5), 5);
	pass(30 * SOQ_MS);
	CHECK(far->flow->retransmit_ns > probe_ns);
	CHECK(near->snd_una != near->snd_nxt);
	pass(12 * SOQ_MS);
	CHECK_EQ(near->snd_una, near->snd_nxt);
	world_close();
}

/* ---- listeners that are shut down ---- */

/* They are like new sockets: there is no end to be read. */
TEST(sim_tcp_shut_listener_has_no_end)
{
	struct soq__sim_socket *l;
	struct call poll;

	world_open(1, NULL);
	l = listener(host_b, 80, 0);
	call_poll(&poll, l, POLLIN);
	CHECK_EQ(shutdown_now(l, SHUT_RD), 0);
	CHECK_EQ(call_result(&poll), POLLHUP);
	CHECK_EQ(events_of(l), POLLOUT | POLLHUP);
	CHECK_EQ(recv_len(l), -ENOTCONN);
	world_close();
}

/* ---- buffers smaller than a segment ---- */

/* Once the buffer is full, waiting for more bytes is in vain: neither Nagle's algorithm nor
 * TCP_CORK does. */
TEST(sim_tcp_full_buffer_is_sent)
{
	const struct soq_sim_options opt = { .buffer_bytes = 1024,
		.whole_reads = true,
		.whole_writes = true,
		.prompt_accepts = true };

	for (int cork = 0; cork < 2; cork++) {
		ROW("TCP_CORK %d", cork);
		world_open(1, &opt);
		tcp_pair(pair, 80);
		CHECK_EQ(send_now(NEAR, bytes, 100), 100);
		CHECK_OK(set_int(NEAR, IPPROTO_TCP, TCP_CORK, cork));
		CHECK_EQ(send_now(NEAR, bytes, 500), 500);
		pass(SOQ_MS);
		CHECK_EQ(recv_flags(FAR, bytes, sizeof(bytes), MSG_PEEK), 100);
		CHECK_EQ(send_now(NEAR, bytes, 500), 424);
		pass(SOQ_MS);
		CHECK_EQ(recv_flags(FAR, bytes, sizeof(bytes), MSG_PEEK), 1024);
		world_close();
	}
}

/* ---- many losses at once ---- */

/* Slow start overflows a queue, and every other segment of hundreds is lost: that costs a few
 * timeouts, not a round trip each. */
TEST(sim_tcp_mends_many_losses)
{
	struct soq_sim_options opt = { .whole_reads = true, .prompt_accepts = true };
	size_t sent = 0, total = 8 << 20, received = 0;
	int64_t begin_ns;

	opt.buffer_bytes = 4 << 20;
	opt.link = (struct soq_sim_link){
		.latency_ns = 50 * SOQ_MS, .rate_bytes_s = 10000000, .queue_bytes = 256 * 1024
	};
	world_open(1, &opt);
	tcp_pair(pair, 80);
	begin_ns = sim->now_ns;
	while (received < total) {
		int64_t n = sent < total ? send_now(NEAR, bytes, sizeof(bytes)) : 0;

		sent += n > 0 ? (size_t)n : 0;
		CHECK(soq__sim_step(sim, SOQ_NEVER));
		n = recv_len(FAR);
		received += n > 0 ? (size_t)n : 0;
	}
	CHECK(fates[SOQ__SIM_QUEUE_FULL] > 200);
	ROW("%lld ms", (long long)(sim->now_ns - begin_ns) / SOQ_MS);
	CHECK(sim->now_ns - begin_ns < 12 * SOQ_S);
	world_close();
}
