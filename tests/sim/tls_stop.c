/* tls_stop.c - a server that stops while a client has not finished its TLS handshake. */
#include "contract/net.h"
#include "sim/server_world.h"

#define LINGER SOQ_S

struct stopping {
	struct soq_server *server;
	int result;
	int64_t ended_ns;
};

static void run(void *arg)
{
	struct stopping *s = arg;

	s->result = soq_server_run(s->server);
	s->ended_ns = instant();
}

static int never_called(struct soq_stream *peer, void *arg)
{
	(void)peer;
	(void)arg;
	CHECK(!"the handler is called");
	return SOQ_DONE;
}

/* A server, not running yet, and clients that say nothing. */
struct silence {
	struct link_tls tls;
	struct stopping stopping;
	struct soq_stream *clients[8];
	size_t count;
};

static void silence_open(struct silence *q, size_t count)
{
	struct soq_server_options opt = { .shape = SOQ_SHAPE_FIBER,
		.grace_ns = 600 * SOQ_S,
		.idle_timeout_ns = SOQ_NEVER,
		.linger_ns = LINGER };
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_addr addr;

	q->tls = link_tls_new(SOQ_TLS_ANY);
	opt.tls = q->tls.server;
	CHECK_OK(soq_server_new(&q->stopping.server, &opt));
	CHECK_OK(
		soq_server_listen(q->stopping.server, "tls://127.0.0.1:0", never_called, NULL));
	CHECK_OK(soq_server_endpoint(q->stopping.server, 0, &addr, NULL));
	soq_addr_endpoint(endpoint, sizeof(endpoint), SOQ_SCHEME_TCP, &addr);
	for (q->count = 0; q->count < count; q->count++)
		CHECK_OK(soq_connect(&q->clients[q->count], endpoint));
}

static void silence_close(struct silence *q)
{
	CHECK_OK(q->stopping.result);
	for (size_t i = 0; i < q->count; i++)
		soq_close(q->clients[i]);
	soq_server_free(q->stopping.server);
	link_tls_free(&q->tls);
}

/* It has asked for nothing yet, and is let go at once, as an idle one is. */
static void in_the_handshake(void)
{
	struct soq_scope *scope = scope_open();
	struct silence q;
	int64_t began_ns;

	silence_open(&q, 1);
	go(scope, run, &q.stopping);
	CHECK_OK(soq_sleep(SOQ_S));
	CHECK_EQ(soq_server_clients(q.stopping.server), 1);
	began_ns = instant();
	soq_server_stop(q.stopping.server);
	scope_join(scope);
	CHECK_INSTANT(q.stopping.ended_ns, began_ns);
	silence_close(&q);
}

/* The stop comes first: they are taken from the backlog, and let go as whoever is finished
 * with. */
static void before_the_handshake(void)
{
	int64_t began_ns;
	struct silence q;

	silence_open(&q, 8);
	began_ns = instant();
	soq_server_stop(q.stopping.server);
	run(&q.stopping);
	CHECK_INSTANT(q.stopping.ended_ns, began_ns + LINGER);
	silence_close(&q);
}

SIM(tls_stop_does_not_wait_for_a_handshake)
{
	if (!have_tls())
		SKIP("this build has no TLS");
	in_world(&exact, in_the_handshake);
}

SIM(tls_stop_does_not_begin_a_handshake)
{
	if (!have_tls())
		SKIP("this build has no TLS");
	in_world(&exact, before_the_handshake);
}
