/* server_stop.c - soq_server_stop() itself, called as often as one likes, at any time of a
 * server's life; and requests that a stop finds on their way.
 */
#include "sim/server_world.h"

struct running {
	struct soq_server *server;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	int64_t ended_ns;
	int result;
};

static void run(void *arg)
{
	struct running *r = arg;

	r->result = soq_server_run(r->server);
	r->ended_ns = instant();
}

static int sleep_a_minute(struct soq_stream *peer, void *arg)
{
	int rc = soq_sleep(60 * SOQ_S);

	(void)arg;
	soq_send_text(peer, "slept\n");
	return rc < 0 ? rc : SOQ_DONE;
}

static void open_server(struct running *r)
{
	struct soq_server_options opt = { .grace_ns = 600 * SOQ_S };
	enum soq_scheme scheme;
	struct soq_addr addr;

	CHECK_OK(soq_server_new(&r->server, &opt));
	CHECK_OK(soq_server_listen(r->server, LOCAL, sleep_a_minute, NULL));
	CHECK_OK(soq_server_endpoint(r->server, 0, &addr, &scheme));
	soq_addr_endpoint(r->endpoint, sizeof(r->endpoint), scheme, &addr);
}

/* The first drains, the second cancels, each after those changes nothing. */
static void several(void)
{
	for (unsigned stops = 1; stops <= 4; stops++) {
		struct soq_scope *scope = scope_open();
		struct soq_stream *s;
		struct running r;
		int64_t began_ns;

		ROW("%u stops", stops);
		open_server(&r);
		go(scope, run, &r);
		CHECK_OK(soq_connect(&s, r.endpoint));
		CHECK_OK(soq_sleep(SOQ_S));
		CHECK_EQ(soq_server_clients(r.server), 1);
		began_ns = instant();
		for (unsigned i = 0; i < stops; i++) {
			soq_server_stop(r.server);
			CHECK_OK(soq_sleep(i == 0 ? SOQ_S : 0));
		}
		if (stops == 1)
			expect_line(s, "slept");
		expect_end(s);
		scope_join(scope);
		CHECK_ERR(r.result, stops == 1 ? 0 : -ETIMEDOUT);
		CHECK(r.ended_ns - began_ns >= (stops == 1 ? 59 * SOQ_S - SOQ_MS : SOQ_S));
		CHECK(r.ended_ns - began_ns <
			(stops == 1 ? 59 * SOQ_S + SOQ_MS : SOQ_S + SOQ_MS));
		soq_server_stop(r.server); /* of what has ended */
		soq_server_free(r.server);
	}
}

SIM(server_stop_several_times)
{
	in_world(&exact, several);
}

/* What is there at the stop counts, and not whether it has been accepted; what is still on its
 * way is refused. */
static void on_the_way(void)
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = echo_a_line } } };
	struct soq_stream *there, *late;
	struct remote r;
	char line[16];

	remote_start(&r, &plan);
	CHECK_OK(soq_connect(&there, r.places[0].endpoint));
	CHECK_EQ(soq_send_text(there, "hello\n"), 6);
	CHECK_OK(soq_sleep(LATENCY)); /* it arrives as the next one begins to come */
	CHECK_OK(soq_connect(&late, r.places[0].endpoint));
	remote_signal(&r, SIGTERM); /* while the handshake's last segment is on its way */
	CHECK_EQ(soq_recv_line(there, line, sizeof(line)), 5);
	CHECK_ERR(soq_recv_line(there, line, sizeof(line)), -ENODATA);
	CHECK_ERR(soq_recv_line(late, line, sizeof(line)), -ECONNRESET);
	soq_close(there);
	soq_close(late);
	remote_end(&r, 0);
}

SIM(server_stop_while_a_client_comes)
{
	in_world(&exact, on_the_way);
}
