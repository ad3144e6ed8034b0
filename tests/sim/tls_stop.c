/* tls_stop.c - a server that stops while a client has not finished its TLS handshake. */
#include "contract/net.h"
#include "sim/server_world.h"

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

/* It has asked for nothing yet, and is let go at once, as an idle one is. */
static void silent_client(void)
{
	struct link_tls tls = link_tls_new(SOQ_TLS_ANY);
	struct soq_server_options opt = {
		.tls = tls.server, .grace_ns = 600 * SOQ_S, .idle_timeout_ns = SOQ_NEVER
	};
	struct soq_scope *scope = scope_open();
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	struct stopping stopping;
	struct soq_stream *s;
	struct soq_addr addr;
	int64_t began_ns;

	CHECK_OK(soq_server_new(&stopping.server, &opt));
	CHECK_OK(soq_server_listen(stopping.server, "tls://127.0.0.1:0", never_called, NULL));
	CHECK_OK(soq_server_endpoint(stopping.server, 0, &addr, NULL));
	soq_addr_endpoint(endpoint, sizeof(endpoint), SOQ_SCHEME_TCP, &addr);
	go(scope, run, &stopping);
	CHECK_OK(soq_connect(&s, endpoint));
	CHECK_OK(soq_sleep(SOQ_S));
	CHECK_EQ(soq_server_clients(stopping.server), 1);
	began_ns = instant();
	soq_server_stop(stopping.server);
	scope_join(scope);
	CHECK_OK(stopping.result);
	CHECK_INSTANT(stopping.ended_ns, began_ns);
	soq_close(s);
	soq_server_free(stopping.server);
	link_tls_free(&tls);
}

SIM(tls_stop_does_not_wait_for_a_handshake)
{
	if (!have_tls())
		SKIP("this build has no TLS");
	in_world(&exact, silent_client);
}
