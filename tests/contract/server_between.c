/* server_between.c - a client between two requests, and what is left of that in the next one.
 */
#include "contract/server.h"
#include "net/net.h"

/* A stop lets the second request end as it does the first. */
CONTRACT_SHAPES(stop_lets_a_second_request_end)
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = wait_at_the_gate } },
		.opt = { .shape = the_shape(), .grace_ns = 600 * SOQ_S } };
	struct soq_stream *s;
	struct remote r;

	counters_open();
	remote_start(&r, &plan);
	bell_ring(&bells.gate);
	s = remote_connect(&r, 0);
	CHECK_EQ(soq_send_text(s, "x\n"), 2);
	expect_line(s, "done");
	bell_hush(&bells.gate);
	CHECK_EQ(soq_send_text(s, "x\n"), 2);
	AWAIT(atomic_load(&counters->began) == 2);
	remote_signal(&r, SIGTERM);
	remote_await_drain(&r, 0);
	bell_ring(&bells.gate);
	expect_line(s, "drained");
	expect_end(s);
	remote_end(&r, 0);
}

/* The server's end of the connection, which a simulated server shares memory with. */
static struct soq_stream *seen;

static int echo_and_show(struct soq_stream *peer, void *arg)
{
	seen = peer;
	return echo_a_line(peer, arg);
}

/* An idle client costs no buffer. */
SIM(sim_parked_client_has_no_buffer)
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = echo_and_show } },
		.opt = { .shape = SOQ_SHAPE_FIBER } };
	struct soq_stream *s;
	struct remote r;

	counters_open();
	remote_start(&r, &plan);
	s = remote_connect(&r, 0);
	for (int i = 0; i < 2; i++) {
		expect_echo(s, "hello");
		CHECK_OK(soq_sleep(SOQ_MS));
		CHECK_EQ(seen->count, 0);
		CHECK(!seen->buffer);
	}
	leave(s);
	remote_stop(&r);
}
